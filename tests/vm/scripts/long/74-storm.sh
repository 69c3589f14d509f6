#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Many storage objects come and go at once, with configs that are good and bad,
# while the daemon is stopped until events are lost, killed with events unread
# or half answered, upgraded, and has a second one beside it: every writer
# returns with what it should, and nothing is left.
#
# TCMU_VM_STORM: how many at once; a thousand take --mem 6000.
#
# timeout: 3600
# The stacks are counted at the end.
# dmesg: allowed Call Trace:

. "$TCMU_SRC/tests/vm/lib.sh"
need /usr/bin/python3
need_daemon
slow_handler=$TCMU_BUILD/tests/slow/handler_slow.so
[ -e "$slow_handler" ] || skip "$slow_handler is not built"

count=${TCMU_VM_STORM:-100}
ready_limit=$((60 + count / 4)) # beside as many who want the processor
size=$((1 << 20))
dir=/mnt/data/storm
slow=/mnt/data/slow
mkdir -p "$dir" "$slow" "$core" /run/handlers
for ((i = 0; i < count; i++)); do
	truncate -s "$size" "$dir/$i"
done
cp "$handlers_dir/handler_file.so" "$slow_handler" /run/handlers
handlers_dir=/run/handlers
RANDOM=${TCMU_VM_SEED:-1}

status_of() { awk -v key="$1:" '$1 == key { print $2 }' "/proc/$daemon_pid/status"; }
fds() { find "/proc/$daemon_pid/fd" -type l | wc -l; }

# in_kernel: tasks that sleep uninterruptibly, but for the kernel's own.
in_kernel() { sed -n 's/^[0-9]* (\(python3\|bash\|rmdir\|tcmu[^)]*\)) D .*/\1/p' /proc/[0-9]*/task/*/stat 2>/dev/null; }
waiting() { [ "$(in_kernel | wc -l)" -ge "$1" ]; }
devices() { [ "$(compgen -G '/sys/class/uio/uio*' | wc -l)" -ge "$1" ]; }
none_waits() { [ -z "$(in_kernel)" ]; }

# stacks: where the daemon is, and who waits in the kernel beside it, up to a hundred.
stacks()
{
	local task
	{
		ls "/proc/$daemon_pid/task"
		sed -n 's/^\([0-9]*\) (.*) D .*/\1/p' /proc/[0-9]*/task/*/stat | head -n 100
	} 2>/dev/null | while read -r task; do
		task=/proc/$task
		echo "$task $(cat "$task/comm") $(awk '/^State/ { print $2 }' "$task/status"): $(awk '{ printf "%s ", $2 }' "$task/stack")"
	done 2>/dev/null | awk '{ task = $1; sub(/^[^ ]* /, ""); n[$0]++; last[$0] = task } END { for (s in n) print n[s], last[s], s }'
}

# A process that is killed beside a removal that waits may be there until the next
# daemon has answered it, so nobody waits for its end.
dead() { ! kill -0 "$1" 2>/dev/null || grep -qs '^State:.Z' "/proc/$1/status"; }
kill_it()
{
	kill -KILL "$daemon_pid"
	wait_for 20 dead "$daemon_pid" || fail "the daemon survives SIGKILL"
	daemon_pid=''
}

storm_out=$TCMU_RESULTS/$script_name.storm.out
storm_begin()
{
	rm -f /run/storm.stop /run/storm.lax
	/usr/bin/python3 "$TCMU_SRC/tests/vm/storm.py" run "$count" "$RANDOM" >"$storm_out" 2>&1 </dev/null &
	storm_pid=$!
	wait_for 60 devices $((count / 4)) || fail "nothing happens: $(cat "$storm_out")"
}
storm_goes_on() { kill -0 "$storm_pid" 2>/dev/null || fail "the storm is over: $(cat "$storm_out")"; }
storm_is_over() { ! kill -0 "$storm_pid" 2>/dev/null; }
storm_end()
{
	local status=0
	storm_goes_on
	: >/run/storm.stop
	wait_for $((120 + count / 4)) storm_is_over || fail "not all have returned: $(stacks)"
	wait "$storm_pid" || status=$?
	step "$(head -n 1 "$storm_out")"
	[ "$status" -eq 0 ] || fail "$(cat "$storm_out")"
	wait_for 10 none_waits || fail "stuck: $(in_kernel | sort | uniq -c)"
	! compgen -G '/sys/class/uio/uio*' >/dev/null || fail "devices are left: $(cat /sys/class/uio/uio*/name)"
}

# frozen WHAT: the daemon reads nothing, until at least half of them wait for it (of
# removals only one in fifty can, which is how many HBAs there are).
frozen()
{
	kill -STOP "$daemon_pid"
	wait_for 60 waiting $((count / 2)) || fail "$1: only $(in_kernel | wc -l) wait"
	step "$1: $(in_kernel | wc -l) tasks wait"
}

up() { awk '{ print $1 }' /proc/uptime; }

unseen() { grep -c 'the kernel accepts what is created' "$daemon_log" || :; }

# A removal that waits since before the daemon keeps the new program from being executed. Then the kernel
# does not wait for anybody, and configs are accepted unseen; the daemon says so.
upgrade()
{
	local before before_unseen begin
	before=$(ready_lines)
	before_unseen=$(unseen)
	begin=$(up)
	kill -USR2 "$daemon_pid"
	wait_for "$ready_limit" is_ready "$before" || fail "upgrade: not ready after $ready_limit s: $(stacks)"
	[ "$(unseen)" -eq "$before_unseen" ] || echo "$begin $(up)" >>/run/storm.lax
	storm_goes_on
}

lost() { grep -c 'events of the kernel were lost' "$daemon_log" || :; }
lost_more() { [ "$(lost)" -gt "$1" ]; }

back_where_it_was()
{
	[ "$(status_of Threads)" -le "$threads" ] && [ "$(fds)" -le "$files" ]
}

start_daemon --stop-timeout "$ready_limit"
step "a storm, and nothing in its way"
storm_begin
sleep 3
storm_end
threads=$(status_of Threads)
files=$(fds)
rss=$(status_of VmRSS)

storm_begin
step "events are lost"
before=$(lost)
kill -STOP "$daemon_pid"
/usr/bin/python3 "$TCMU_SRC/tests/vm/storm.py" shrink "$daemon_pid" || fail "its socket is not found"
frozen "events lost"
kill -CONT "$daemon_pid"
wait_for 20 lost_more "$before" || fail "none was lost"
storm_goes_on

step "a second daemon"
for lock in /run/tcmu.lock; do
	status=0
	said=$("$daemon_bin" --handler-path "$handlers_dir" --lock-file "$lock" 2>&1 </dev/null) || status=$?
	[ "$status" -ne 0 ] || fail "a second daemon ran with $lock: $said"
	assert_match "the second daemon ($lock)" "$said" "another tcmu-runner.* $daemon_pid "
done
storm_goes_on

for ((i = 0; i < 2; i++)); do
	frozen "killed with events unread"
	kill_it
	start_daemon --stop-timeout "$ready_limit"
	sleep "$((RANDOM % 2)).$((RANDOM % 10))"
	step "killed at work"
	kill_it
	start_daemon --stop-timeout "$ready_limit"
	storm_goes_on
done

step "upgraded beside removals that wait since before"
upgrade
step "upgraded twice"
upgrade
upgrade

step "killed between an event and its answer"
: >"$slow/half.hold-open"
lun_create half "slow/$slow/half" "$size" &
half_pid=$!
wait_for 30 grep -qs '^open begins' "$slow/half.trace" || fail "open() was not reached"
kill_it
start_daemon --stop-timeout "$ready_limit"
rm "$slow/half.hold-open"
status=0
wait "$half_pid" || status=$?
step "the creation ended with $status"
[ "$status" -ne 0 ] || lun_delete half
storm_end

step "all is as it was"
lun_create last "file/$dir/0" "$size"
lun_attach last
dd if="$DISK" of=/dev/null bs=64k count=4 iflag=direct status=none || fail "it does not answer"
lun_detach last
lun_delete last
stop_daemon
start_daemon --stop-timeout "$ready_limit"
storm_begin
sleep 2
storm_end
wait_for 20 back_where_it_was ||
	fail "$(status_of Threads) threads and $(fds) files, after $threads and $files: $(ls -l "/proc/$daemon_pid/fd")"
step "RSS $rss kB, then $(status_of VmRSS) kB; $threads threads, $files files"
[ "$(status_of VmRSS)" -le $((rss + rss / 4)) ] || fail "RSS grows"
stop_daemon
only_uio_races
