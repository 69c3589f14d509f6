#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Beside other TCM-User daemons: their devices are served on, and who waits for
# one of them is neither answered nor released by ours, whether it starts, runs
# or stops meanwhile.
#
# timeout: 500

. "$TCMU_SRC/tests/vm/lib.sh"
need_daemon
need fio
foreign=$TCMU_BUILD/tests/foreign
consumer=$TCMU_BUILD/examples/consumer
for program in "$foreign" "$consumer"; do
	[ -x "$program" ] || skip "$program is not built"
done
load_modules
slow=10 # longer than our daemon looks on, where it is alone

"$foreign" slow "$slow" >"$TCMU_RESULTS/62-foreign.out" 2>&1 </dev/null &
foreign_pid=$!
wait_for 10 grep -q listening "$TCMU_RESULTS/62-foreign.out" ||
	fail "the other daemon did not start: $(cat "$TCMU_RESULTS/62-foreign.out")"
"$consumer" >"$TCMU_RESULTS/62-consumer.out" 2>&1 </dev/null &
consumer_pid=$!
sleep 2

size=$((32 << 20))
lun_create ram consumer/ "$size" || fail "refused: $(cat "$TCMU_RESULTS/62-consumer.out")"
lun_attach ram
fio_verify "$DISK" --bsrange=4k-64k --runtime=100 >"$TCMU_RESULTS/62-fio.out" 2>&1 &
fio_pid=$!

# begin_create NAME: a writer of `enable` that waits for the slow daemon.
begin_create()
{
	mkdir -p "$core/$1"
	put "$core/$1/control" "dev_config=slow/$1,dev_size=$size"
	begin=$SECONDS
	within 60 put "$core/$1/enable" 1 &
	writer=$!
}

# end_wait WHAT PID: it took as long as the slow daemon does, and succeeded.
end_wait()
{
	local status=0
	wait "$2" || status=$?
	step "$1: status $status after $((SECONDS - begin)) s"
	[ "$status" -eq 0 ] || fail "$1 failed"
	[ $((SECONDS - begin)) -ge $((slow - 2)) ] || fail "$1: somebody else has answered"
}

step "ours starts while a writer waits for another"
begin_create one
sleep 1
start_daemon
end_wait "creating one" "$writer"

step "and runs while one does"
begin_create two
end_wait "creating two" "$writer"
begin=$SECONDS
within 60 rmdir "$core/one" || fail "removing one failed"
step "removing one: $((SECONDS - begin)) s"
[ $((SECONDS - begin)) -ge $((slow - 2)) ] || fail "removing one: somebody else has answered"

step "ours serves meanwhile, and stops"
begin_create three
lun_create mine "file/$(backing mine.img "$size")" "$size"
lun_attach mine
dd if="$DISK" of=/dev/null bs=1M count=8 iflag=direct status=none
lun_detach mine
lun_delete mine
[ $((SECONDS - begin)) -lt "$slow" ] || fail "our own LUN took $((SECONDS - begin)) s"
stop_daemon
end_wait "creating three" "$writer"

step "and starts while a removal waits"
begin=$SECONDS
within 60 rmdir "$core/two" &
writer=$!
sleep 1
start_daemon
end_wait "removing two" "$writer"

! grep -q 'too late' "$TCMU_RESULTS/62-foreign.out" || fail "$(cat "$TCMU_RESULTS/62-foreign.out")"
! grep -Eq 'refused|released' "$daemon_log" || fail "our daemon has interfered"
status=0
wait "$fio_pid" || status=$?
[ "$status" -eq 0 ] || fail "fio on the other daemon's disk: $(tail -n 5 "$TCMU_RESULTS/62-fio.out")"
lun_detach ram
lun_delete ram
within 60 rmdir "$core/three" || fail "removing three failed"

step "what nobody owns is refused as soon as the others are gone"
begin=$SECONDS
mkdir -p "$core/nobody"
put "$core/nobody/control" "dev_config=nobody/x,dev_size=$size"
within 60 put "$core/nobody/enable" 1 >"$TCMU_RESULTS/62-nobody.out" 2>&1 &
writer=$!
sleep 8
kill -0 "$writer" 2>/dev/null || fail "refused while another daemon may still answer"
kill "$foreign_pid" "$consumer_pid"
status=0
wait "$writer" || status=$?
step "status $status after $((SECONDS - begin)) s"
[ "$status" -ne 0 ] || fail "a subtype of nobody was accepted"
assert_match "the refusal" "$(cat "$TCMU_RESULTS/62-nobody.out")" 'No such file or directory$'
[ $((SECONDS - begin)) -le 20 ] || fail "refused only after $((SECONDS - begin)) s"
rmdir "$core/nobody"
stop_daemon
