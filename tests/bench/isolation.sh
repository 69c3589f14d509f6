#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Two hundred LUNs, one of which hangs, fails or spins with 255 commands of an initiator: how long the
# commands of another one take, beside how long they take when nobody else does anything. With both
# engines. tests/bench/run --isolation, where the clock counts instructions; TCMU_VM_ISOLATION_IOS and
# TCMU_VM_ISOLATION_LUNS make it longer.
#
# timeout: 360000
# mem: 2048
# The file system that is full.
# dmesg: allowed error, dev sd

. "$TCMU_SRC/tests/bench/lib.sh"
need dmsetup fsfreeze losetup mkfs.ext4
bench_begin
for cmd in awk cat dd dmsetup find fsfreeze grep kill ln losetup md5sum mkdir mkfs.ext4 mount ps rm rmdir sleep tail \
	truncate umount xargs; do
	warm "$cmd" --version
done

ios=${TCMU_VM_ISOLATION_IOS:-1000}
count=${TCMU_VM_ISOLATION_LUNS:-200}
depth=255     # commands in flight to the LUN that hurts
most=1.5      # times the p99 that the others have without it
least=0.4     # of the commands per second, beside somebody who wants the processor all the time
patience=1000000 # in seconds: see warm() for what they may be worth
ready_limit=$patience
# Who fails as fast as he can, compared with who is served as fast: each write is tried twice, in io_uring and by a
# worker, and the initiator's kernel tells of each.
most_full=3
lun_size=$((32 << 20))
spin_handler=$TCMU_BUILD/tests/vm-handlers/handler_spin.so
[ -e "$spin_handler" ] || skip "$spin_handler is not built"
mkdir -p /run/handlers
cp "$handlers_dir"/*.so "$spin_handler" /run/handlers
handlers_dir=/run/handlers

# The LUNs, by their place among all.
frozen=0 suspended=1 full=2 spins=3 busy=4 measured=5
spin_flag=/run/spin

# --- the storage ---------------------------------------------------------------

# In memory, or the guest would wait for the host. What is to fail or hang is on a device of its own.
storage_begin()
{
	local i
	mkdir -p "$store" /mnt/frozen /mnt/full "$core"
	mount -t tmpfs -o size=800m tmpfs "$store"
	truncate -s 64M "$store/frozen.img" "$store/full.img" "$store/suspended.img"
	for i in frozen full; do
		mkfs.ext4 -q -m 0 "$store/$i.img"
		mount -o loop "$store/$i.img" "/mnt/$i"
	done
	dd if=/dev/zero of=/mnt/frozen/file bs=1M count=32 status=none
	truncate -s 32M /mnt/full/file
	dd if=/dev/zero of=/mnt/full/ballast bs=64k status=none 2>/dev/null || :
	dmsetup create suspended --table "0 $((64 << 11)) linear $(losetup -f --show "$store/suspended.img") 0"
	dmsetup mknodes suspended
	for ((i = busy; i < count; i++)); do
		truncate -s "$lun_size" "$store/$i"
	done
	for i in $busy $measured; do
		dd if=/dev/zero of="$store/$i" bs=1M count=32 status=none
	done
}

config_of()
{
	case $1 in
	"$frozen") echo file//mnt/frozen/file ;;
	"$suspended") echo "file//dev/mapper/suspended;direct" ;;
	"$full") echo file//mnt/full/file ;;
	"$spins") echo "spin/$spin_flag" ;;
	*) echo "file/$store/$1" ;;
	esac
}

create() { small_lun "lun$1" "$(config_of "$1")" "$lun_size"; }
remove() { rmdir "$core/lun$1"; }

declare -A disk
attach()
{
	local queue
	put "$core/lun$1/attrib/cmd_time_out" 0
	lun_attach "lun$1"
	disk[$1]=$DISK
	queue=/sys/block/${DISK##*/}/queue
	put "$queue/scheduler" none
	put "$queue/nomerges" 2
	put "${queue%/queue}/device/timeout" "$patience"
}

# --- who hurts -------------------------------------------------------------------

# hurt NAME LUN [FIO-OPTION]...: random writes, as many at a time as $depth.
hurt()
{
	fio --name="$1" --filename="${disk[$2]}" --rw=randwrite --bs=4k --iodepth="$depth" --ioengine=libaio \
		--direct=1 --randseed=2 --eta=never "${@:3}" >"/run/hurt.$1" 2>&1 </dev/null &
	hurt_pid=$!
}

# in_flight LUN [LEAST]
in_flight()
{
	local writes
	read -r _ writes <"/sys/block/${disk[$1]##*/}/inflight"
	[ "$writes" -ge "${2:-$depth}" ]
}

# hang NAME LUN: returns when all of its commands are on their way.
hang()
{
	hurt "$1" "$2" --number_ios="$depth" --norandommap
	wait_for "$patience" in_flight "$2" || fail "$1: in flight: $(cat "/sys/block/${disk[$2]##*/}/inflight"), expected $depth"
}

# hang_ends NAME LUN: all of them are GOOD.
hang_ends()
{
	local status=0
	within "$patience" tail --pid="$hurt_pid" -f /dev/null || fail "$1: its commands do not end"
	wait "$hurt_pid" || status=$?
	grep -q 'err= 0' "/run/hurt.$1" && grep -q "total=0,$depth," "/run/hurt.$1" || status=1
	[ "$status" -eq 0 ] ||
		fail "$1: not all of $depth commands are GOOD: $(tail -n 15 "/run/hurt.$1")"
}

# flood NAME LUN [FIO-OPTION]...: until flood_ends.
flood()
{
	hurt "$1" "$2" --time_based --runtime="$patience" "${@:3}"
	wait_for "$patience" in_flight "$2" 1 || fail "$1: it does not begin"
}

flood_ends()
{
	kill -TERM "$hurt_pid" 2>/dev/null || fail "$1: it has ended: $(tail -n 15 "/run/hurt.$1")"
	wait "$hurt_pid" || :
}

# What never comes back otherwise, and nobody could remove.
thaw_all()
{
	local status=$?
	set +e
	rm -f "$spin_flag"
	fsfreeze -u /mnt/frozen 2>/dev/null
	dmsetup resume suspended 2>/dev/null
	return "$status"
}
trap 'thaw_all; on_exit' EXIT

# --- the figures -----------------------------------------------------------------

declare -A p99 iops
# measure PHASE COMMANDS: p99[PHASE.JOB] in ns, iops[PHASE.JOB].
measure()
{
	local job nsec rate
	IOS=$2 fio --filename="${disk[$measured]}" --output-format=json --output=/run/fio.json --eta=never \
		"$TCMU_SRC/tests/bench/isolation.fio" >/run/fio.err 2>&1 </dev/null || fail "$1: $(cat /run/fio.err)"
	while read -r job nsec rate; do
		p99[$1.$job]=$nsec iops[$1.$job]=$rate
	done < <(awk -F '[:, "]+' '
		$2 == "jobname" { job = $3 }
		$2 == "iops" && $3 > 0 { rate = $3 }
		$2 == "99.000000" { nsec = $3 }
		$2 == "sync" && job { print job, nsec, rate; job = "" }' /run/fio.json)
	[ -n "${p99[$1.randwrite-8]-}" ] || fail "$1: no figures in $(cat /run/fio.json)"
	cp /run/fio.json "$TCMU_RESULTS/isolation.$engine.$1.json"
}

missed=''
# against PHASE BASE MOST LEAST: prints the figures of PHASE beside those of BASE; remembers a p99 of more
# than MOST times, or commands per second of less than LEAST times (0: neither matters).
against()
{
	local job line
	for job in randread-1 randwrite-1 randread-8 randwrite-8; do
		line=$(awk -v p="${p99[$1.$job]}" -v base="${p99[$2.$job]}" -v r="${iops[$1.$job]}" \
			-v before="${iops[$2.$job]}" -v most="$3" -v least="$4" 'BEGIN {
				printf "p99 %7.1f us, x %.2f; %6d per second, x %.2f", p / 1000, p / base, r, r / before
				if (most && p > most * base)
					printf " (MISSED: at most x %s)", most
				if (least && r < least * before)
					printf " (MISSED: at least x %s)", least
			}')
		step "$(printf '%-8s %-9s to %-5s %-11s %s' "$engine" "$1" "$2" "$job" "$line")"
		[[ $line != *MISSED* ]] || missed+=" $engine/$1/$job"
	done
}

# --- the story -------------------------------------------------------------------

# Nobody who comes or goes has to wait for it either.
another_comes_and_goes()
{
	truncate -s "$lun_size" "$store/another"
	lun_create another "file/$store/another" "$lun_size"
	lun_delete another
}

all_phases()
{
	measure warm "$ios"
	measure alone "$ios"
	against alone warm 0 0

	fsfreeze -f /mnt/frozen
	hang frozen "$frozen"
	measure frozen "$ios"
	another_comes_and_goes
	in_flight "$frozen" || fail "a command to the frozen file system came back"
	fsfreeze -u /mnt/frozen
	hang_ends frozen "$frozen"
	against frozen alone "$most" 0

	dmsetup suspend --nolockfs --noflush suspended
	hang suspended "$suspended"
	measure suspended "$ios"
	another_comes_and_goes
	in_flight "$suspended" || fail "a command to the suspended device came back"
	dmsetup resume suspended
	hang_ends suspended "$suspended"
	against suspended alone "$most" 0

	# Who fails at once, or is served at once, wants the processor again and again.
	flood busy "$busy"
	measure busy $((ios / 2))
	flood_ends busy
	against busy alone 0 0
	flood full "$full" --ignore_error=,ENOSPC
	measure full $((ios / 2))
	flood_ends full
	grep -q 'No space left' /run/hurt.full || fail "nothing was full: $(tail -n 15 /run/hurt.full)"
	against full alone 0 0
	against full busy "$most_full" 0

	: >"$spin_flag"
	hang spins "$spins"
	measure spins $((ios / 2))
	in_flight "$spins" || fail "a command to the handler that spins came back"
	rm "$spin_flag"
	hang_ends spins "$spins"
	against spins alone 0 "$least"
}

uninterruptible() { ps -eo state=,pid=,comm= | grep '^D'; }
none_stuck() { ! uninterruptible >/dev/null; }

storage_begin
engine=io_uring
start_daemon --engine="$engine" --stop-timeout=86400
within "$patience" all_at_once "$count" create || fail "not all of $count storage objects were created"
for lun in $frozen $suspended $full $spins $busy $measured; do
	attach "$lun"
done
step "$count LUNs are there"
all_phases
stop_daemon "$patience"
engine=workers
start_daemon --engine="$engine" --stop-timeout=86400
all_phases

for lun in $frozen $suspended $full $spins $busy $measured; do
	lun_detach "lun$lun"
done
within "$patience" all_at_once "$count" remove || fail "not all of $count storage objects were removed"
! compgen -G "$core/lun*" >/dev/null || fail "some are still there"
wait_for 30 none_stuck || fail "they cannot be interrupted: $(uninterruptible)"
stop_daemon "$patience"
dmsetup remove suspended
umount /mnt/frozen /mnt/full
losetup -D
umount "$store"
[ -z "$missed" ] || fail "slower than the limits at the top of this script:$missed"
