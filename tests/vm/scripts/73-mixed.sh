#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Everything at once, in an order that chance makes: a backend that fails, flickers
# or hangs, with commands aborted and reset meanwhile; a file system that is full;
# LUNs that grow, go and come; and a daemon that is killed, stopped and upgraded. The
# LUNs that have no part in it, over the loopback fabric and over iSCSI, verify what
# they read and see no error; no command is lost; and the daemon at rest has as much
# memory, as many descriptors and threads as before.
#
# TCMU_VM_MINUTES: how long, in place of a few rounds. TCMU_VM_SEED: another order.
#
# timeout: 3600
# The initiators of the two LUNs with faults are right to complain.
# dmesg: allowed I/O error|error, dev |Buffer I/O|[Aa]bort|[Rr]eset|timing out

. "$TCMU_SRC/tests/vm/lib.sh"
. "$TCMU_SRC/tests/vm/conformance.sh"
need fio iscsistart dmsetup losetup blkdiscard mkfs.ext4 sg_reset
need_daemon

minutes=${TCMU_VM_MINUTES:-0}
seed=${TCMU_VM_SEED:-1}
RANDOM=$seed
step "seed $seed, $minutes minutes"

size=$((64 << 20))
thin_size=$((32 << 20)) # on a file system of 64 MiB
come_size=$size
# No command may take too long for a slow machine, unless that is meant.
patient=600
declare -A disk load counts
witnesses=(file direct remote)

# --- the LUNs and their loads ---------------------------------------------------

# count WHAT: once more.
count() { counts[$1]=$((${counts[$1]:-0} + 1)); }

# give NAME FIO-ARG...: patience and a load to its disk.
give()
{
	local name=$1
	shift
	echo "$patient" >"/sys/block/${disk[$name]##*/}/device/timeout"
	fio "$@" --filename="${disk[$name]}" --thread --runtime=36000 \
		>"$TCMU_RESULTS/73-$name.out" 2>&1 </dev/null &
	load[$name]=$!
}

verifying=("${fio_verify_args[@]}" --bsrange=4k-64k --blockalign=4k --iodepth=8 --rate_iops=20 --verify_backlog=32)
# Errors do not end it: EIO, ENOSPC, ENODATA (of a MEDIUM ERROR), ETIMEDOUT, EREMOTEIO. The
# last quarter is left to `good`.
borne=5:28:61:110:121
# shellcheck disable=SC2054 # fio's commas
bearing=(--name=bear --rw=randrw --ioengine=libaio --direct=1 --iodepth=4 --bs=16k --size=75%
	--time_based --rate_iops=10,10 --eta=never
	--continue_on_error=all --ignore_error="$borne,$borne" --error_dump=0 --randrepeat=0)

# create NAME CONFIG SIZE: as lun_create, but the kernel ends no command by itself, and a ring is
# soon seen in full.
create()
{
	lun_create "$@" cmd_ring_size_mb=1
	put "$core/$1/attrib/cmd_time_out" 0
}

# A name of a disk is given again: what was said of the one that went is not about this one.
come()
{
	come_size=$size
	echo "$come_mark" >/dev/kmsg
	create come "file/$(backing come.img "$size")" "$size"
	lun_attach come
	disk[come]=$DISK
	give come "${verifying[@]}" --size="$size"
}

come_mark='73-mixed: come is a new disk'

bad_table() { echo "0 $((size / 512)) $*"; }

setup()
{
	local name
	iscsi_begin
	modprobe -a dm_mod dm_flakey
	for name in file direct; do
		create "$name" "file/$(backing "$name.img" "$size")$([ "$name" = file ] || echo ';direct')" "$size"
		lun_attach "$name"
		disk[$name]=$DISK
	done
	create remote "file/$(backing remote.img "$size")" "$size"
	iscsi_target "$core/remote"
	iscsi_login
	disk[remote]=$REMOTE

	loop=$(losetup --show -f "$(backing bad.img "$size")")
	dmsetup create bad --table "$(bad_table linear "$loop" 0)"
	dmsetup mknodes bad
	create bad 'file//dev/mapper/bad;direct' "$size"
	lun_attach bad
	disk[bad]=$DISK

	mkfs.ext4 -q -m 0 "$(backing small.img 64M)"
	mkdir -p /mnt/small
	mount -o loop /mnt/data/small.img /mnt/small
	truncate -s "$thin_size" /mnt/small/thin.img
	create thin file//mnt/small/thin.img "$thin_size"
	lun_attach thin
	disk[thin]=$DISK

	for name in "${witnesses[@]}"; do
		give "$name" "${verifying[@]}"
	done
	come
	give bad "${bearing[@]}"
	give thin "${bearing[@]}"
}

# good NAME MIB: what is written there now is read back.
good()
{
	head -c 1M /dev/urandom >/run/pattern
	within 300 dd if=/run/pattern of="${disk[$1]}" bs=128k oseek="$2"M oflag=direct,seek_bytes conv=notrunc,fsync status=none ||
		fail "$1: a write fails"
	within 300 dd if="${disk[$1]}" of=/run/read bs=128k iseek="$2"M iflag=direct,skip_bytes count=8 status=none ||
		fail "$1: a read fails"
	cmp /run/pattern /run/read || fail "$1 reads back something else"
}

# all_go_on NAME...: with more commands that end.
all_go_on()
{
	local name
	for name in "$@"; do
		kill -0 "${load[$name]}" 2>/dev/null ||
			fail "the load on $name has ended: $(tail -n 25 "$TCMU_RESULTS/73-$name.out")"
		wait_for 300 goes_on "${disk[$name]}" "$(done_on "${disk[$name]}")" || fail "nothing ends on $name"
	done
}

# --- faults of the backend -------------------------------------------------------

# bad_becomes TARGET...: another table.
bad_becomes()
{
	dmsetup reload bad --table "$(bad_table "$@")"
	within 60 dmsetup suspend --nolockfs --noflush bad || fail "the backend cannot be changed"
	dmsetup resume bad
}

in_flight() { awk '{ n += $1 + $2 } END { exit !n }' "/sys/block/${1##*/}/inflight"; }

# kept: buffers of commands that were answered while the handler had them.
kept() { grep -c 'its buffer is kept' "$daemon_log" || :; }
more_kept() { [ "$(kept)" -gt "$1" ]; }

bad_reads() { dd if="${disk[bad]}" of=/dev/null bs=4k count=1 iflag=direct status=none 2>/dev/null; }

hang()
{
	hung=y
	dmsetup suspend --nolockfs --noflush bad
	wait_for 60 in_flight "${disk[bad]}" || fail "no command hangs"
}

bad_begin()
{
	local before
	case $1 in
	error)
		bad_becomes error
		! within 100 bad_reads || fail "a backend that fails can be read"
		;;
	flakey) bad_becomes flakey "$loop" 0 1 1 ;;
	hang) hang ;;
	abort)
		before=$(kept)
		# Each command is aborted, tried again, aborted, and so on.
		echo 3 >"/sys/block/${disk[bad]##*/}/device/timeout"
		hang
		wait_for 100 more_kept "$before" || fail "no command that hangs was aborted"
		;;
	reset)
		hang
		within 100 sg_reset --device "${disk[bad]}" || fail "the reset failed, or hangs"
		;;
	esac
}

resume()
{
	[ -n "$hung" ] || return 0
	dmsetup resume bad
	hung=''
}

bad_end()
{
	resume
	case $1 in
	error | flakey) bad_becomes linear "$loop" 0 ;;
	abort) echo "$patient" >"/sys/block/${disk[bad]##*/}/device/timeout" ;;
	esac
	good bad 50
}

# --- faults of others --------------------------------------------------------------

# full: no space for what was never written; then there is again.
full()
{
	local said
	blkdiscard "${disk[thin]}"
	! dd if=/dev/zero of=/mnt/small/ballast bs=64k status=none 2>/dev/null || fail "the file system does not fill up"
	! said=$(dd if=/dev/zero of="${disk[thin]}" bs=64k oseek=25M oflag=direct,seek_bytes count=80 2>&1) ||
		fail "what has no space can be written"
	assert_match dd "$said" 'No space left on device'
	sleep "$1"
	rm /mnt/small/ballast
	sync -f /mnt/small
}

# grow SIZE: a daemon that is about to end refuses, and says so; and so does the next one until it has opened the storage.
grow()
{
	local said
	truncate -s "$1" /mnt/data/come.img
	while said=$(within 300 put "$core/come/attrib/dev_size" "$1" 2>&1) || :; [ -n "$said" ]; do
		assert_match "the new size" "$said" '(Cannot send after transport endpoint shutdown|Resource temporarily unavailable)$'
		sleep 0.2
	done
	echo 1 >"/sys/block/${disk[come]##*/}/device/rescan"
	assert_eq "size after" "$(blockdev --getsize64 "${disk[come]}")" "$1"
}

go()
{
	lun_detach come 300
	lun_delete come
}

# side_begin KIND: beside whatever else happens.
side_begin()
{
	case $1 in
	full) full $((RANDOM % 3)) & ;;
	grow) grow $((come_size + (4 << 20))) & ;;
	go) go & ;;
	none) return ;;
	esac
	side_pid=$!
}

side_end()
{
	[ "$1" != none ] || return 0
	wait "$side_pid" || fail "$1: failed"
	case $1 in
	full) good thin 25 ;;
	grow)
		come_size=$((come_size + (4 << 20)))
		good come $(((come_size >> 20) - 4))
		;;
	go)
		within 100 tail --pid="${load[come]}" -f /dev/null || fail "the load on what was removed does not end"
		! wait "${load[come]}" || fail "the load on what was removed saw no error"
		come
		;;
	esac
}

# daemon_event KIND: a hung backend ends meanwhile, or a stop would not.
daemon_event()
{
	local before
	case $1 in
	kill)
		kill_daemon
		pause
		start_daemon -d
		;;
	term)
		kill -TERM "$daemon_pid"
		pause
		resume
		wait_for 100 daemon_gone || fail "the daemon runs on 100 s after SIGTERM"
		wait "$daemon_pid" || fail "the daemon exited with $? after SIGTERM"
		start_daemon -d
		;;
	upgrade)
		before=$(ready_lines)
		kill -USR2 "$daemon_pid"
		pause
		resume
		wait_for 100 is_ready "$before" || fail "an upgrade: not ready after 100 s"
		;;
	none) return ;;
	esac
	daemon_alive || fail "the daemon has ended"
}

pause() { sleep "$((RANDOM % 2)).$((RANDOM % 10))"; }

# deal DECK CARD...: sets card. Each one once, in any order, before one comes again.
declare -A decks
deal()
{
	local deck=$1 cards i
	shift
	read -r -a cards <<<"${decks[$deck]-}"
	[ "${#cards[@]}" -gt 0 ] || cards=("$@")
	i=$((RANDOM % ${#cards[@]}))
	card=${cards[i]}
	unset "cards[i]"
	decks[$deck]=${cards[*]}
}

# round [DAEMON-EVENT...]
rounds=0
round()
{
	local bad side event=none
	deal bad error flakey hang abort reset
	bad=$card
	deal side full grow go grow
	side=$card
	if [ $# -gt 0 ]; then
		deal event "$@"
		event=$card
	fi
	rounds=$((rounds + 1))
	step "round $rounds: $bad, $side, $event"
	hung=''
	bad_begin "$bad"
	side_begin "$side"
	pause
	daemon_event "$event"
	pause
	all_go_on "${witnesses[@]}"
	bad_end "$bad"
	side_end "$side"
	all_go_on "${!load[@]}"
	count "$bad"
	count "$side"
	count "$event"
}

# --- at rest -----------------------------------------------------------------------

none_in_flight()
{
	local name
	for name in "${!disk[@]}"; do
		! in_flight "${disk[$name]}" || return 1
	done
}

# look: kB of memory of its own, kB RSS, descriptors, threads. RSS has the pages of the
# kernel's rings too, as far as they have been seen once, and of the programs as long as the
# page cache has them. And io_uring keeps a thread for a device that once needed one.
look()
{
	local fds=("/proc/$daemon_pid/fd"/*) threads
	threads=$(grep -Lsx 'iou-wrk.*' "/proc/$daemon_pid/task"/*/comm | wc -l)
	awk -v fds="${#fds[@]}" -v threads="$threads" '
		/^Rss:/ { rss += $2 }
		/^Anonymous:/ { own += $2 }
		END { print own, rss, fds, threads }' "/proc/$daemon_pid/smaps"
}

# What a device does not use it gives back when it looks for the second time, every 5 s.
rest()
{
	local before='' now same=0 looks=0
	while [ "$same" -lt 11 ]; do
		now=$(look)
		same=$([ "$now" = "$before" ] && echo $((same + 1)) || echo 0)
		before=$now
		looks=$((looks + 1))
		[ "$looks" -lt 200 ] || fail "the daemon does not come to rest: $now"
		sleep 1
	done
	echo "$now"
}

all_samples=() samples=()
sample()
{
	local now
	kill -STOP "${load[@]}"
	wait_for 300 none_in_flight || fail "commands are lost: $(grep . /sys/block/sd*/inflight)"
	now=$(rest)
	samples+=("$now")
	all_samples+=("$now")
	cp "/proc/$daemon_pid/smaps" "$TCMU_RESULTS/73-smaps.${#all_samples[@]}"
	# On a stack that chance puts below a multiple of 2 MiB, for a thread that touches some kB.
	! grep '^AnonHugePages: *[1-9]' "/proc/$daemon_pid/smaps" || fail "the daemon has huge pages"
	step "at rest: $now (kB of its own, kB RSS, descriptors, threads)"
	[ -z "$(stuck "$stuck_too")" ] || fail "stuck: $(stuck "$stuck_too")"
	kill -CONT "${load[@]}"
}
stuck_too='fio\|dd\|sg_reset\|dmsetup\|tcmu[^)]*'

# flat WHAT SAMPLE...: the last third has no more memory of its own than the first, and as
# many descriptors and threads. The margin: the heap's pages that one or the other command
# has touched first.
margin=${TCMU_VM_MARGIN:-256}
flat()
{
	local what=$1 said status=0
	shift
	said=$(printf '%s\n' "$@" | awk -v margin="$margin" '
		function least(from, to,  i, n) {
			n = own[from]
			for (i = from; i <= to; i++)
				if (own[i] < n) n = own[i]
			return n
		}
		{
			own[NR] = $1; rss[NR] = $2
			if ($1 > most) most = $1
			if ($2 > most_rss) most_rss = $2
			if (NR == 1) { fds = $3; threads = $4 }
			if ($3 != fds || $4 != threads) unlike = 1
		}
		END {
			third = NR < 3 ? 1 : int(NR / 3)
			begin = least(1, third); end = least(NR - third + 1, NR)
			printf "%d samples; %d descriptors, %d threads%s; kB RSS first %d, most %d, last %d; ", \
				NR, fds, threads, unlike ? ", not always" : "", rss[1], most_rss, rss[NR]
			printf "of its own %d, %d, %d; least in the first third %d, in the last %d\n", \
				own[1], most, own[NR], begin, end
			exit unlike || end > begin + margin
		}') || status=$?
	step "$what: $said"
	[ "$status" -eq 0 ] || fail "$what: not flat: $(printf '%s, ' "$@")"
}

# stretch WHAT SECONDS ROUNDS EACH [DAEMON-EVENT...]: for so long, or so many rounds;
# a sample after EACH.
stretch()
{
	local what=$1 until=$((SECONDS + $2)) least=$3 each=$4 i
	shift 4
	samples=()
	for ((i = 1; SECONDS < until || i <= least; i++)); do
		round "$@"
		[ $((i % each)) -ne 0 ] || sample
	done
	flat "$what" "${samples[@]}"
}

# --- the whole -----------------------------------------------------------------------

# verified NAME: ends the load, which must have seen no error.
verified()
{
	local out=$TCMU_RESULTS/73-$1.out status=0
	kill -TERM "${load[$1]}"
	wait "${load[$1]}" || status=$?
	[ "$status" -eq 128 ] && grep -q 'err= 0' "$out" && ! grep -q 'err=[^ ]' "$out" ||
		fail "$1: an error ($status): $(tail -n 25 "$out")"
	step "$1: $(sed -n 's/^ *READ:.* \(io=[^ ,]*\).*/verified \1/p; s/^ *issued rwts: total=\([0-9]*\),\([0-9]*\).*/\1 reads and \2 writes/p' "$out" | paste -sd ' ')"
}

start_daemon -d
setup
all_go_on "${!load[@]}"
if [ "$minutes" -gt 0 ]; then
	quarter=$((minutes * 15))
	for i in 1 2; do
		stretch "stretch $i, one process" "$quarter" 0 3
		stretch "stretch $i, many processes" "$quarter" 0 3 kill term upgrade
	done
else
	stretch "one process" 0 2 1
	stretch "many processes" 0 3 3 kill term upgrade
fi
flat "all" "${all_samples[@]}"
for i in "${!counts[@]}"; do
	[ "$i" = none ] || echo "${counts[$i]} $i"
done | sort -k 2 | paste -sd ' ' | sed "s/^/$rounds rounds: /"

for name in "${witnesses[@]}" come; do
	verified "$name"
done
kill -TERM "${load[bad]}" "${load[thin]}"
wait "${load[bad]}" "${load[thin]}" || :

# errors_on NAME: what the kernel said of the disk that has this name now.
errors_on()
{
	dmesg | awk -v said="error, dev ${disk[$1]##*/}," -v new="$([ "$1" != come ] || echo "$come_mark")" '
		new != "" && index($0, new) { errors = "" }
		index($0, said) { errors = errors $0 "\n" }
		END { printf "%s", errors }'
}

for name in "${witnesses[@]}" come; do
	assert_eq "errors that the kernel saw on $name" "$(errors_on "$name")" ''
done
! grep 'resetting the ring' "$daemon_log" || fail "a ring was reset"
! grep free_kept_buf "$daemon_log" || fail "complaints about kept buffers"
! dmesg | grep free_kept_buf || fail "the kernel complains about kept buffers"

iscsi_forget
iscsi_target_end || fail "the iSCSI target cannot be removed"
lun_delete remote
for name in file direct come bad thin; do
	lun_detach "$name"
	lun_delete "$name"
done
stop_daemon
umount /mnt/small
dmsetup remove bad
losetup -d "$loop"
