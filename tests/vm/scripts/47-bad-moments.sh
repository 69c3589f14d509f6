#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What happens at the wrong moment: a backing file is cut off or deleted in use,
# a handler hangs in open() or close(), fifty objects are refused at once, and
# the daemon is told to stop while objects come and go. Every writer in configfs
# returns, and a LUN that has nothing to do with it notices nothing.
#
# timeout: 600
# The initiator whose disk has lost its end is right to complain; the stacks are
# counted at the end.
# dmesg: allowed I/O error|error, dev sd|Buffer I/O
# dmesg: allowed Call Trace:

. "$TCMU_SRC/tests/vm/lib.sh"
need fio truncate pkill
need_daemon
slow_handler=$TCMU_BUILD/tests/slow/handler_slow.so
[ -e "$slow_handler" ] || skip "$slow_handler is not built"

size=$((32 << 20))
slow=/mnt/data/slow
mkdir -p /run/handlers "$slow"
cp "$handlers_dir/handler_file.so" "$slow_handler" /run/handlers
handlers_dir=/run/handlers

# took WHAT LEAST MOST: seconds since `begin`; both are generous.
took()
{
	now_ms
	step "$1 after $((now - begin)) ms"
	[ $((now - begin)) -ge $(($2 * 1000)) ] || fail "$1 after $((now - begin)) ms, expected at least $2 s"
	[ $((now - begin)) -le $(($3 * 1000)) ] || fail "$1 after $((now - begin)) ms, expected at most $3 s"
}

begins() { now_ms; begin=$now; }

# What the test handler is to hang in, and what it has come to.
hold() { : >"$slow/$1.hold-$2"; }
let_go() { rm "$slow/$1.hold-$2"; }
came_to() { grep -qs "^$2\$" "$slow/$1.trace"; }
wait_came_to() { wait_for 20 came_to "$1" "$2" || fail "$1: '$2' was not reached"; }

# device_threads: of the daemon, one for each device that it serves.
device_threads() { grep -lsx tcmu-device "/proc/$daemon_pid/task"/*/comm | wc -l; }
threads_are() { [ "$(device_threads)" -eq "$1" ]; }

none_stuck() { [ -z "$(stuck)" ]; }

# written_to FILE: 2 MiB of it are there, which fio has not read back yet.
written_to() { [ "$(stat -c %b "$1")" -ge 4096 ]; }

# unread DISK: sectors that fio has written to it and not read back.
unread() { awk '{ print $7 - $3 }' "/sys/block/${1##*/}/stat"; }

# other_works NAME: something else is made and removed, with nothing in its way.
other_works()
{
	begins
	within 8 dd if="$other" of=/dev/null bs=64k count=1 iflag=direct status=none || fail "the other LUN does not answer"
	lun_create "$1" "file/$(backing "$1.img" "$size")" "$size"
	lun_delete "$1"
	took "another object came and went" 0 8
	load_runs
}

start_daemon --open-timeout 6 --stop-timeout 5
lun_create other "file/$(backing other.img 64M)" $((64 << 20))
put "$core/other/attrib/cmd_time_out" 0 # on a slow machine a restart takes its time
lun_attach other
other=$DISK
load_begin "$DISK" --max_latency=100s

# --- the backing file --------------------------------------------------------

step "a backing file is cut off under load"
cut=$(backing cut.img "$size")
lun_create cut "file/$cut" "$size"
lun_attach cut
fio_verify "$DISK" --bs=64k --runtime=180 --thread >"$TCMU_RESULTS/47-cut.out" 2>&1 &
fio_pid=$!
wait_for 60 written_to "$cut" || fail "fio writes nothing"
kill -0 "$fio_pid" || fail "fio ended by itself: $(tail -n 5 "$TCMU_RESULTS/47-cut.out")"
# Between two rounds fio has verified all that it wrote: what is lost at such a moment
# was not missed. So it is cut off while fio is stopped, with 4 MiB still to be read;
# up to 2 MiB of them may be in reads that end before the file does.
for ((tries = 0; ; tries++)); do
	[ "$tries" -lt 50 ] || fail "fio has verified everything whenever it is stopped"
	pkill -STOP -P "$fio_pid" || fail "fio ended by itself: $(tail -n 5 "$TCMU_RESULTS/47-cut.out")"
	sleep 0.2
	[ "$(unread "$DISK")" -lt 8192 ] || break
	pkill -CONT -P "$fio_pid"
	sleep 0.05
done
truncate -s 0 "$cut"
pkill -CONT -P "$fio_pid"
! wait "$fio_pid" || fail "fio saw no error"
load_runs
truncate -s 1M "$cut"
blockdev --flushbufs "$DISK"
dd if="$DISK" of=/dev/null bs=64k count=16 iflag=direct status=none || fail "what is still there cannot be read"
said=$(dd if="$DISK" of=/dev/null bs=64k skip=256 count=1 iflag=direct 2>&1) && fail "what is gone can be read"
assert_match "dd" "$said" 'No data available' # which is what a MEDIUM ERROR becomes
grep -q 'user_0/cut: .*something has made it smaller' "$daemon_log" || fail "the log does not say why"
truncate -s "$size" "$cut"
dd if=/dev/urandom of="$DISK" bs=1M seek=16 count=1 oflag=direct status=none || fail "it cannot be written to again"
cmp -n 1048576 -i 16777216 "$DISK" "$cut" || fail "what was written then is not there"
lun_detach cut
lun_delete cut

step "a backing file is deleted under load"
gone=$(backing gone.img "$size")
lun_create gone "file/$gone" "$size"
lun_attach gone
fio_verify "$DISK" --bs=64k --runtime=4 >"$TCMU_RESULTS/47-gone.out" 2>&1 &
fio_pid=$!
wait_for 60 written_to "$gone" || fail "fio writes nothing"
ln "$gone" "$gone.saved"
rm "$gone"
wait "$fio_pid" || fail "an open file was enough before: $(tail -n 5 "$TCMU_RESULTS/47-gone.out")"
step "a daemon that does not find it lets its commands wait, and nobody else's"
stop_daemon
start_daemon --open-timeout 6 --stop-timeout 5
wait_for 20 grep -q 'user_0/gone: cannot be served: No such file' "$daemon_log" || fail "the log does not say so"
dd if="$DISK" of=/dev/null bs=64k count=1 iflag=direct status=none &
dd_pid=$!
sleep 1
kill -0 "$dd_pid" 2>/dev/null || fail "a read of a file that is not there has ended"
load_runs
mv "$gone.saved" "$gone"
wait "$dd_pid" || fail "the read failed"
lun_detach gone
lun_delete gone

# --- handlers that hang ------------------------------------------------------

step "open() hangs"
hold opens open
begins
opens_begin=$begin
lun_refused 'Connection timed out' opens "slow/$slow/opens" "$size" &
refused_pid=$!
wait_came_to opens 'open begins'
other_works bystander1
kill -0 "$refused_pid" 2>/dev/null || fail "the refusal came before the time was over"
wait "$refused_pid" || fail "not refused as it has to be"
begin=$opens_begin
took "the hanging open() was refused" 5 16
grep -q "user_0/opens: handler 'slow' has not answered" "$daemon_log" || fail "the log does not say so"
assert_eq "device threads while it hangs" "$(device_threads)" 2
let_go opens open
wait_came_to opens 'open ends'
wait_came_to opens 'close ends'
wait_for 10 threads_are 1 || fail "$(device_threads) device threads are left"
lun_create opens "slow/$slow/opens" "$size"
lun_delete opens

step "close() hangs"
lun_create closes "slow/$slow/closes" "$size"
hold closes close
begins
lun_delete closes
took "the removal returned" 4 14
assert_eq "close() has ended" "$(grep -c 'close ends' "$slow/closes.trace")" 0
other_works bystander2
step "who wants the same storage waits for its end"
begins
lun_create closes "slow/$slow/closes" "$size" &
again_pid=$!
sleep 1
kill -0 "$again_pid" 2>/dev/null || fail "the storage was opened twice, or refused"
let_go closes close
wait "$again_pid" || fail "refused, though it was closed in time"
assert_eq "order" "$(tr '\n' ',' <"$slow/closes.trace")" 'open begins,open ends,close begins,close ends,open begins,open ends,'
lun_delete closes
wait_for 10 threads_are 1 || fail "$(device_threads) device threads are left"

step "SIGTERM while open() hangs"
hold term open
lun_refused 'Cannot send after transport endpoint shutdown' term "slow/$slow/term" "$size" &
refused_pid=$!
wait_came_to term 'open begins'
begins
kill -TERM "$daemon_pid"
wait "$refused_pid" || fail "not refused as it has to be"
took "the writer returned" 0 8
status=0
wait "$daemon_pid" || status=$?
took "the daemon ended" 4 16
assert_eq "exit status with a device that hangs" "$status" 1
start_daemon --open-timeout 6 --stop-timeout 5
let_go term open
load_runs

# --- many at once ------------------------------------------------------------

# what_enable_says DEV: the errno's text; nothing when it was enabled.
what_enable_says()
{
	local said
	said=$(enable "$1" 2>&1) || :
	echo "${said##*: }"
}

# all_return SECONDS: every process in pids ends in time, with success.
pids=()
all_return()
{
	local dog first='' i
	sleep "$1" &
	dog=$!
	while [ "${#pids[@]}" -gt 0 ]; do
		wait -n -p first "${pids[@]}" "$dog" || [ "$first" = "$dog" ] || fail "one of them failed"
		[ "$first" != "$dog" ] || fail "some did not return in $1 s: $(stuck)"
		for i in "${!pids[@]}"; do
			[ "${pids[i]}" != "$first" ] || unset "pids[i]"
		done
	done
	kill "$dog"
	wait "$dog" 2>/dev/null || :
}

step "fifty that cannot be opened, at once"
none_stuck || fail "stuck: $(stuck)"
mkdir "$core"/no{1..50}
for dev in "$core"/no*; do
	put "$dev/control" "dev_config=file//mnt/data/no/${dev##*/},dev_size=$size,max_data_area_mb=8,cmd_ring_size_mb=1"
done
begins
for dev in "$core"/no*; do
	{
		said=$(what_enable_says "$dev")
		[ "$said" = 'No such file or directory' ] || fail "$dev: '$said'"
	} &
	pids+=($!)
done
all_return 20
took "all were refused" 0 20
wait_for 5 none_stuck || fail "stuck: $(stuck)"
wait_for 10 threads_are 1 || fail "$(device_threads) device threads are left"
assert_eq "refusals in the log" "$(grep -c "/mnt/data/no/.* cannot be opened" "$daemon_log")" 50
rmdir "$core"/no*
load_runs

step "SIGTERM at ten moments while twenty come and go"
devs=("$core"/churn{1..20})
dir=/mnt/data/churn
mkdir "$dir"
truncate -s "$size" "${devs[@]/#*\//$dir/}"
RANDOM=${TCMU_VM_SEED:-1}

# A daemon that is about to end refuses, and says so; the next one will not.
enable_at_last()
{
	local said
	said=$(what_enable_says "$1")
	while [ "$said" = 'Cannot send after transport endpoint shutdown' ]; do
		echo "$1" >>"$dir/refused"
		sleep 0.2
		said=$(what_enable_says "$1")
	done
	[ -z "$said" ] || fail "$1: '$said'"
}

all_at_once()
{
	local dev
	for dev in "${devs[@]}"; do
		"$1" "$dev" &
		pids+=($!)
	done
	all_return 60
}

create_all()
{
	local dev
	mkdir "${devs[@]}"
	for dev in "${devs[@]}"; do
		put "$dev/control" "dev_config=file/$dir/${dev##*/},dev_size=$size,max_data_area_mb=8,cmd_ring_size_mb=1"
	done
	all_at_once enable_at_last
}

# churn: until the end is called; then all of them are there.
churn()
{
	renice -n 10 "$BASHPID" >/dev/null
	create_all
	while [ ! -e "$dir/end" ]; do
		all_at_once rmdir
		create_all
		echo round >>"$dir/rounds"
	done
}

churn &
churn_pid=$!
for ((i = 0; i < 10; i++)); do
	sleep "$((RANDOM % 2)).$((RANDOM % 10))"
	kill -0 "$churn_pid" 2>/dev/null || fail "one of them was not made or not removed"
	stop_daemon 30
	sleep "0.$((RANDOM % 10))"
	start_daemon
done
: >"$dir/end"
pids=("$churn_pid")
all_return 150
step "$(wc -l <"$dir/rounds") rounds; $(cat "$dir/refused" 2>/dev/null | wc -l) times one was refused by a daemon that ended"
all_open()
{
	local fds=("/proc/$daemon_pid/fd"/*)
	[ "$(readlink "${fds[@]}" | grep -c "^$dir/")" -eq "${#devs[@]}" ]
}
wait_for 20 all_open || fail "the daemon does not have all of them open: $(ls -l "/proc/$daemon_pid/fd")"
stop_daemon
start_daemon
wait_for 20 all_open || fail "the next daemon does not have all of them open: $(ls -l "/proc/$daemon_pid/fd")"
all_at_once rmdir
wait_for 10 threads_are 1 || fail "$(device_threads) device threads are left"
none_stuck || fail "stuck: $(stuck)"
only_uio_races

load_end
lun_detach other
lun_delete other
stop_daemon
