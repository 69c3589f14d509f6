#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What a command costs in counts: system calls and context switches of the daemon, and
# doorbells (writes to the UIO device, each of which completes all that is in the ring),
# with both engines, on one processor. Run by tests/bench/run --counters: how many
# commands come together depends on the clock, so only one that counts instructions
# gives the same figures again.
#
# timeout: 360000
# mem: 2048

. "$TCMU_SRC/tests/bench/lib.sh"
need taskset
bench_begin

ios=20000
tracefs=/sys/kernel/tracing
trace=$tracefs/instances/counters
cpu=0

# At most so many of each for a command. Depth 1 waits, reads or writes, and rings the
# doorbell: nobody can share that. Without io_uring no call reads for two commands. Writes
# come in smaller batches than reads, by the kernel's doing: 0.25 to 0.26 were seen.
most_io_uring_randread_32='syscalls 0.25  switches 0.2  doorbells 0.1'
most_io_uring_randwrite_32='syscalls 0.27  switches 0.2  doorbells 0.1'
most_workers_randread_32='syscalls 1.25  switches 0.2  doorbells 0.1'
most_workers_randwrite_32=$most_workers_randread_32
most_io_uring_randread_1='syscalls 3.05'
most_io_uring_randwrite_1=$most_io_uring_randread_1
most_workers_randread_1=$most_io_uring_randread_1
most_workers_randwrite_1=$most_io_uring_randread_1

# Histograms count without a trace. The daemon's threads are tcmu-*, and io_uring's
# workers, which are the daemon's too, iou-wrk-*.
events=(
	'raw_syscalls/sys_enter syscalls hist:keys=id.syscall if comm ~ "tcmu-*"'
	'sched/sched_switch switches hist:keys=prev_comm if prev_comm ~ "tcmu-*" || prev_comm ~ "iou-*"'
	'tcmu/doorbell doorbells hist:keys=common_pid'
)

trace_begin()
{
	local event
	[ -e "$tracefs/events" ] || mount -t tracefs tracefs "$tracefs"
	put "$tracefs/kprobe_events" 'p:tcmu/doorbell target_core_user:tcmu_irqcontrol'
	mkdir "$trace"
	for event in "${events[@]}"; do
		put "$trace/events/${event%% *}/trigger" "${event#* * }"
	done
}

trace_end()
{
	rmdir "$trace"
	: >"$tracefs/kprobe_events"
}

# counters: NAME COUNT a line, since trace_begin.
counters()
{
	local event name
	awk '{ print "commands", $1 + $5 }' "/sys/block/${DISK##*/}/stat"
	for event in "${events[@]}"; do
		read -r _ name _ <<<"$event"
		awk -v name="$name" '$1 == "Hits:" { print name, $2 }' "$trace/events/${event%% *}/hist"
	done
}

missed=''
# measure ENGINE WAY DEPTH
measure()
{
	local name=counters.$1.$2.$3 most=most_$1_$2_$3 line
	counters >/run/before
	taskset -c "$cpu" fio --name=count --filename="$DISK" --rw="$2" --bs=4k --iodepth="$3" --ioengine=libaio \
		--direct=1 --norandommap --randseed=1 --number_ios="$ios" --eta=never >"/run/$name" 2>&1 </dev/null ||
		fail "fio $2 with $3 at a time: $(cat "/run/$name")"
	counters >/run/after
	line=$(paste -d ' ' /run/before /run/after | awk -v most="${!most}" '
		{ count[$1] = $4 - $2 }
		END {
			n = split(most, word)
			for (i = 1; i < n; i += 2)
				limit[word[i]] = word[i + 1]
			split("syscalls switches doorbells", names)
			printf "%d commands", count["commands"]
			for (i = 1; i <= 3; i++) {
				per = count[names[i]] / count["commands"]
				printf ", %.3f %s", per, names[i]
				if (names[i] in limit && per > limit[names[i]])
					printf " (MISSED: at most %s)", limit[names[i]]
			}
		}')
	step "$(printf '%-8s %-9s depth %2d: %s' "$1" "$2" "$3" "$line")"
	assert_ge "commands" "$(awk -v before="$(awk '/commands/ { print $2 }' /run/before)" \
		'/commands/ { print $2 - before }' /run/after)" "$ios"
	[[ $line != *MISSED* ]] || missed+=" $1/$2/$3"
}

store_begin
file_of_pages
trace_begin
for engine in workers io_uring; do
	start_daemon --engine="$engine"
	taskset -a -p -c "$cpu" "$daemon_pid" >/dev/null
	lun_create count "file/$store/file" "$size"
	lun_attach count
	put "/sys/block/${DISK##*/}/queue/scheduler" none
	for way in randread randwrite; do
		for depth in 32 1; do
			measure "$engine" "$way" "$depth"
		done
	done
	lun_detach count
	lun_delete count
	stop_daemon
done
cat "$trace/events/raw_syscalls/sys_enter/hist" >"$TCMU_RESULTS/counters.syscalls"
trace_end
umount "$store"
[ -z "$missed" ] || fail "more than the limits at the top of this script:$missed"
