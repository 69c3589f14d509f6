# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# What guest scripts share. Sourced first:
#
#	. "$TCMU_SRC/tests/vm/lib.sh"
#
# A process that waits inside the kernel for a daemon that is not there sleeps
# uninterruptibly, so nothing here waits without a deadline: what may hang runs
# in a child, through `within`.

set -eu -o pipefail
export LC_ALL=C

cfs=/sys/kernel/config/target
core=$cfs/core/user_0
daemon_bin=${TCMU_DAEMON:-$TCMU_BUILD/tcmu-runner}
handlers_dir=${TCMU_HANDLERS:-$TCMU_BUILD/handlers}
script_name=$(basename "$0" .sh)
daemon_log=$TCMU_RESULTS/$script_name.daemon.log
daemon_pid=''

# --- verdicts ---------------------------------------------------------------

step()
{
	local up
	read -r up _ </proc/uptime
	printf '%6.1f  %s\n' "$up" "$*"
}

fail()
{
	echo "FAIL: $*" >&2
	exit 1
}

skip()
{
	echo "SKIP: $*"
	exit 77
}

# need COMMAND...: without them the script has nothing to say.
need()
{
	local cmd
	for cmd in "$@"; do
		command -v "$cmd" >/dev/null || skip "$cmd is not installed"
	done
}

need_daemon()
{
	[ -x "$daemon_bin" ] || skip "$daemon_bin is not built"
	load_modules
}

assert_eq()
{
	[ "$2" = "$3" ] || fail "$1: got '$2', expected '$3'"
}

# assert_ge WHAT GOT LEAST
assert_ge()
{
	[ "$2" -ge "$3" ] || fail "$1: got $2, expected at least $3"
}

# assert_match WHAT TEXT REGEX
assert_match()
{
	grep -Eq -- "$3" <<<"$2" || fail "$1: no '$3' in: $2"
}

# --- waiting ----------------------------------------------------------------

# within SECONDS COMMAND...: its status, or 124 when it is still at it. The
# command runs in a subshell; one stuck in the kernel is left behind.
within()
{
	local limit=$1 pid dog first='' status=0
	shift
	("$@") &
	pid=$!
	sleep "$limit" &
	dog=$!
	wait -n -p first "$pid" "$dog" || status=$?
	if [ "$first" = "$dog" ]; then
		echo "not finished after $limit s: $*" >&2
		kill -KILL "$pid" 2>/dev/null || :
		return 124
	fi
	kill "$dog" 2>/dev/null || :
	wait "$dog" 2>/dev/null || :
	return "$status"
}

# wait_for SECONDS COMMAND...: until it is true; 1 when it never was.
wait_for()
{
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.1
	done
}

now_ms() { now=$((${EPOCHREALTIME/./} / 1000)); }

# done_on DISK: I/Os that have ended.
done_on() { awk '{ print $1 + $5 }' "/sys/block/${1##*/}/stat"; }

# goes_on DISK COUNT: more than so many.
goes_on() { [ "$(done_on "$1")" -gt "$2" ]; }

# stuck [NAMES]: what sleeps uninterruptibly of those that write to configfs, and of these.
stuck() { sed -n "s/^[0-9]* (\(bash\|rm\|rmdir\|mkdir\|ln${1:+\|$1}\)) D .*/&/p" /proc/[0-9]*/stat 2>/dev/null; }

# --- the daemon -------------------------------------------------------------

load_modules()
{
	# Without udev nobody loads the disk driver when a disk appears.
	modprobe -a target_core_user tcm_loop sd_mod
	mkdir -p "$cfs/loopback"
}

ready_lines() { grep -c '^tcmu-runner: ready' "$daemon_log" 2>/dev/null || :; }

is_ready() { [ "$(ready_lines)" -gt "$1" ] || ! kill -0 "$daemon_pid" 2>/dev/null; }

# start_daemon [OPTION...]: returns once it serves. TCMU_VM_DAEMON_OPTIONS has more, for all.
start_daemon()
{
	local before more
	read -r -a more <<<"${TCMU_VM_DAEMON_OPTIONS-}"
	touch "$daemon_log"
	before=$(ready_lines)
	"$daemon_bin" --handler-path "$handlers_dir" "${more[@]}" "$@" >>"$daemon_log" 2>&1 </dev/null &
	daemon_pid=$!
	wait_for "${ready_limit:-60}" is_ready "$before" || fail "the daemon is not ready after ${ready_limit:-60} s"
	kill -0 "$daemon_pid" 2>/dev/null || fail "the daemon ended instead of getting ready"
}

daemon_alive() { [ -n "$daemon_pid" ] && kill -0 "$daemon_pid" 2>/dev/null; }

# stop_daemon [SECONDS]: SIGTERM, and it must exit with 0 in time.
stop_daemon()
{
	local limit=${1:-30} dog first='' status=0 pid=$daemon_pid
	[ -n "$pid" ] || return 0
	kill -TERM "$pid" 2>/dev/null || fail "the daemon was gone before it was told to stop"
	sleep "$limit" &
	dog=$!
	wait -n -p first "$pid" "$dog" || status=$?
	[ "$first" = "$pid" ] || fail "the daemon runs on $limit s after SIGTERM"
	kill "$dog" 2>/dev/null || :
	wait "$dog" 2>/dev/null || :
	daemon_pid=''
	[ "$status" -eq 0 ] || fail "the daemon exited with $status after SIGTERM"
}

# kill_daemon: as a crash would.
kill_daemon()
{
	kill -KILL "$daemon_pid"
	wait "$daemon_pid" 2>/dev/null || :
	daemon_pid=''
}

# --- storage objects (configfs) ----------------------------------------------

# put FILE VALUE: one write(2); the kernel's errno comes out as bash's message.
put() { echo -n "$2" >"$1"; }

# enable DEV: like put DEV/enable 1, but for a race of the kernel's own where
# others are just being deleted: uio_unregister_device() (drivers/uio/uio.c)
# gives a minor back before sysfs has forgotten its name, and who registers in
# between gets EEXIST, and a stack in dmesg. Then it is tried again, and counted.
uio_races=/run/$script_name.races
enable()
{
	local said status
	while :; do
		status=0
		said=$(put "$1/enable" 1 2>&1) || status=$?
		[ "$status" -ne 0 ] && [ "${said##*: }" = 'File exists' ] || break
		echo "$1" >>"$uio_races"
	done
	[ -z "$said" ] || echo "$said" >&2
	return "$status"
}

# only_uio_races: in scripts that have to allow "Call Trace:" in dmesg.
only_uio_races()
{
	local races=0 traces
	[ ! -e "$uio_races" ] || races=$(wc -l <"$uio_races")
	traces=$(dmesg | grep -c "sysfs: cannot create duplicate filename '/devices/tcm_user/uio/" || :)
	assert_eq "objects that could not be enabled because of the kernel's race" "$races" "$traces"
	assert_eq "stacks in dmesg" "$(dmesg | grep -c 'Call Trace:' || :)" "$traces"
}

# lun_create NAME DEV_CONFIG SIZE [key=value...]: the keys go to `control`
# before it is enabled. Not 0, and nothing left of it, when the enable failed.
lun_create()
{
	local name=$1 dev=$core/$1 param status=0
	mkdir -p "$core"
	mkdir "$dev"
	put "$dev/control" "dev_config=$2"
	put "$dev/control" "dev_size=$3"
	shift 3
	for param in "$@"; do
		put "$dev/control" "$param"
	done
	within 60 put "$dev/enable" 1 || status=$?
	if [ "$status" -eq 124 ]; then
		fail "enabling $name hangs"
	elif [ "$status" -ne 0 ]; then
		rmdir "$dev"
		return "$status"
	fi
	lun_serial=$(cat /proc/sys/kernel/random/uuid)
	put "$dev/wwn/vpd_unit_serial" "$lun_serial"
}

# lun_refused ERROR NAME DEV_CONFIG SIZE [key=value...]: the writer of `enable`
# must see this error, by its strerror text.
lun_refused()
{
	local want=$1 said
	shift
	if said=$(lun_create "$@" 2>&1); then
		fail "enabling $1 ($2) succeeded, expected: $want"
	fi
	assert_match "the refusal of $2" "$said" "$want\$"
}

# all_at_once COUNT COMMAND...: with 0 to COUNT-1 as its last argument, side by side.
all_at_once()
{
	local n=$1 i pids=()
	shift
	for ((i = 0; i < n; i++)); do
		"$@" "$i" &
		pids+=($!)
	done
	for i in "${pids[@]}"; do
		wait "$i" || return 1
	done
}

# small_lun NAME DEV_CONFIG [SIZE]: one of many, which takes little memory.
small_lun()
{
	mkdir "$core/$1"
	put "$core/$1/control" "dev_config=$2,max_data_area_mb=8,cmd_ring_size_mb=1${3:+,dev_size=$3}"
	put "$core/$1/enable" 1
}

lun_delete()
{
	within 60 rmdir "$core/$1" || fail "deleting $1 failed"
}

# A NAA name per storage object, the same each time it is asked for.
lun_naa()
{
	local sum
	sum=$(md5sum <<<"$1")
	echo "naa.6001405${sum:0:9}"
}

lun_disk()
{
	local address
	address=$(cat "$cfs/loopback/$(lun_naa "$1")/tpgt_1/address") || return 1
	set -- "/sys/class/scsi_device/$address:0/device/block/"*
	[ -e "$1" ] || return 1
	DISK=/dev/${1##*/}
	[ -b "$DISK" ] && [ "$(blockdev --getsize64 "$DISK" 2>/dev/null || echo 0)" -gt 0 ]
}

# lun_attach NAME [AS]: a SCSI disk of this machine; sets DISK to /dev/sdX. AS is the
# name for the commands here if one LUN is attached more than once.
lun_attach()
{
	local naa tpg
	naa=$(lun_naa "${2:-$1}")
	tpg=$cfs/loopback/$naa/tpgt_1
	mkdir -p "$tpg"
	put "$tpg/nexus" "$naa"
	mkdir -p "$tpg/lun/lun_0"
	within 60 ln -s "$core/$1" "$tpg/lun/lun_0/port" || fail "attaching $1 failed"
	DISK=''
	wait_for 30 lun_disk "${2:-$1}" || fail "no disk for $1 after 30 s"
}

lun_detach()
{
	local tpg
	tpg=$cfs/loopback/$(lun_naa "$1")/tpgt_1
	within "${2:-60}" rm "$tpg/lun/lun_0/port" || fail "detaching $1 failed"
	within 30 rmdir "$tpg/lun/lun_0" "$tpg" "${tpg%/*}" || fail "removing the loopback target of $1 failed"
}

# backing NAME SIZE: a fresh sparse file on the data disk; prints its path.
backing()
{
	local path=/mnt/data/$1
	rm -f "$path"
	truncate -s "$2" "$path"
	echo "$path"
}

# --- data --------------------------------------------------------------------

drop_caches()
{
	sync
	echo 3 >/proc/sys/vm/drop_caches
}

# tree_sum DIR: one checksum over names, sizes and contents.
tree_sum()
{
	(
		cd "$1"
		find . -type f -printf '%p %s\n' | sort
		find . -type f -print0 | sort -z | xargs -0 cat
	) | sha256sum | cut -d ' ' -f 1
}

fio_verify_args=(
	--name=verify --rw=randwrite --ioengine=libaio --direct=1
	--iodepth=32 --verify=crc32c --verify_fatal=1 --verify_backlog=128
	--serialize_overlap=1 --time_based --randrepeat=0 --eta=never
)

# fio_verify FILE [ARG...]: random writes of all sizes, each verified by its own
# checksum soon after; not 0 on any error. Give it a --runtime.
fio_verify()
{
	local file=$1
	shift
	fio "${fio_verify_args[@]}" --filename="$file" "$@" </dev/null
}

# load_begin DISK [ARG...]: the same until load_end, in the background, on a LUN
# that nothing else touches; at a rate that leaves the processors to the test.
load_begin()
{
	load_stat=/sys/block/${1##*/}/stat
	load_reads=$(reads_of "$load_stat")
	load_out=$TCMU_RESULTS/$script_name.load.out
	fio "${fio_verify_args[@]}" --filename="$1" --bsrange=4k-64k --blockalign=4k --iodepth=8 \
		--rate_iops=40 --max_latency=25s --verify_backlog=32 --runtime=3600 "${@:2}" \
		>"$load_out" 2>&1 </dev/null &
	load_pid=$!
}

reads_of() { awk '{ print $1 }' "$1"; }

has_read() { [ "$(reads_of "$load_stat")" -gt "$load_reads" ] || ! kill -0 "$load_pid" 2>/dev/null; }

load_hurt() { fail "the other LUN was hurt: $(tail -n 25 "$load_out")"; }

load_runs() { kill -0 "$load_pid" 2>/dev/null || load_hurt; }

# load_end: fails when there was an error, or an answer took too long.
load_end()
{
	local status=0
	wait_for 30 has_read || fail "nothing was read on the other LUN" # it begins with writes
	load_runs
	kill -TERM "$load_pid"
	wait "$load_pid" || status=$?
	# What it says when it was told to end.
	[ "$status" -eq 128 ] && grep -q 'err= 0' "$load_out" && ! grep -q 'err=[^ ]' "$load_out" || load_hurt
	grep -q 'issued rwts: total=[1-9]' "$load_out" || fail "nothing was read on the other LUN"
}

# --- afterwards ---------------------------------------------------------------

# vm_reset: nothing of a script left, whatever state it ended in. Not 0 when
# something could not be removed.
vm_reset()
{
	local dir dev status=0
	set +e
	# What is mounted from our disks goes first; what lies under them is busy
	# until the daemon has let go of it.
	for dir in $(mounts); do
		within 20 umount "$dir" 2>/dev/null
	done
	# Without its daemon a disk answers only what the kernel answers for it.
	daemon_alive || reset_rings
	for dir in "$cfs"/loopback/naa.*; do
		[ -d "$dir" ] || continue
		for dev in "$dir"/tpgt_*/lun/lun_*; do
			[ -d "$dev" ] || continue
			find "$dev" -maxdepth 1 -type l -print0 | within 40 xargs -0 -r rm || status=1
			within 20 rmdir "$dev" || status=1
		done
		within 20 rmdir "$dir"/tpgt_* "$dir" || status=1
	done
	for dev in "$cfs"/core/user_*/*; do
		[ -d "$dev" ] && [ -e "$dev/udev_path" ] || continue
		within 40 rmdir "$dev" || status=1
	done
	if daemon_alive; then
		kill -TERM "$daemon_pid"
		wait_for 15 daemon_gone || kill -KILL "$daemon_pid"
		wait "$daemon_pid" 2>/dev/null
		daemon_pid=''
	fi
	for dir in $(mounts); do
		within 20 umount "$dir" || umount -l "$dir" || status=1
	done
	dmsetup remove_all --force >/dev/null 2>&1
	losetup -D
	rm -rf /mnt/data/* /mnt/data/.var-tmp/*
	return "$status"
}

mounts() { awk '$2 ~ "^/mnt/" && $2 != "/mnt/data" { print $2 }' /proc/mounts | sort -r; }

daemon_gone() { ! kill -0 "$daemon_pid" 2>/dev/null; }

reset_rings()
{
	local dev
	for dev in "$cfs"/core/user_*/*; do
		[ -e "$dev/action/reset_ring" ] && [ "$(cat "$dev/enable")" = 1 ] || continue
		echo 0 >"$dev/action/block_dev"
		echo 2 >"$dev/action/reset_ring"
	done
}

on_exit()
{
	local status=$?
	trap - EXIT
	set +e
	case $status in
	0 | 77) ;;
	*)
		echo "--- the end of $script_name.daemon.log:"
		tail -n 40 "$daemon_log" 2>/dev/null
		;;
	esac
	jobs -p | while read -r pid; do
		[ "$pid" = "$daemon_pid" ] || kill -KILL "$pid" 2>/dev/null
	done
	if ! vm_reset; then
		echo "FAIL: something could not be removed" >&2
		case $status in 0 | 77) status=1 ;; esac
	fi
	exit "$status"
}

# PID 1 of the guest sources this for vm_reset alone, with bash -c.
case $0 in
*.sh) trap on_exit EXIT ;;
esac
