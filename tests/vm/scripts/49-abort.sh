#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# An initiator whose command hangs in the handler aborts it, or resets the
# logical unit, and goes on while the handler still hangs: the command is
# answered with KEEP_BUF. What comes back late does no harm, a stop waits for it
# and a removal does not.
#
# timeout: 300
# The initiator is right to complain.
# dmesg: allowed I/O error|error, dev sd|Buffer I/O|[Aa]bort|[Rr]eset|timing out

. "$TCMU_SRC/tests/vm/lib.sh"
need sg_raw sg_reset
need_daemon
slow_handler=$TCMU_BUILD/tests/slow/handler_slow.so
[ -e "$slow_handler" ] || skip "$slow_handler is not built"

size=$((32 << 20))
slow=/mnt/data/slow
mkdir -p /run/handlers "$slow"
cp "$slow_handler" /run/handlers
handlers_dir=/run/handlers

hold() { : >"$slow/lun.hold-$1"; }
let_go() { rm "$slow/lun.hold-$1"; }
# so_often N LINE: this line is in the trace N times.
so_often() { [ "$(grep -cx "$2" "$slow/lun.trace" || :)" -eq "$1" ]; }

notified() { [ "$(cat "$core/lun/attrib/tmr_notification")" = 1 ]; }

# kept N: so many buffers have been kept so far.
kept() { [ "$(grep -c 'its buffer is kept' "$daemon_log" || :)" -eq "$1" ]; }

# write_one TIMEOUT: a WRITE(10) of one block, which is not tried again.
write_one()
{
	sg_raw --timeout="$1" --send=512 --infile=/dev/zero "$DISK" 2a 00 00 00 00 08 00 00 01 00 >/dev/null 2>&1
}

reads() { within 10 dd if="$DISK" of=/dev/null bs=4k count=16 iflag=direct status=none; }

start_daemon -d
lun_create lun "slow/$slow/lun" "$size"
lun_attach lun
wait_for 10 notified || fail "tmr_notification is $(cat "$core/lun/attrib/tmr_notification")"
writes=0 ends=0 kept=0

# hangs: a write that is given up after 3 s, by ABORT TASK.
hangs()
{
	local status=0
	hold write
	within 25 write_one 3 || status=$?
	[ "$status" -ne 124 ] || fail "the initiator waits for its abort"
	[ "$status" -ne 0 ] || fail "a write that hangs is GOOD"
	writes=$((writes + 1)) kept=$((kept + 1))
	so_often "$writes" 'write begins' || fail "the handler was called: $(sort "$slow/lun.trace" | uniq -c)"
	so_often "$ends" 'write ends' || fail "the write has come back"
	wait_for 10 kept "$kept" || fail "the buffer was not kept"
}

# comes_back: the late completion.
comes_back()
{
	let_go write
	ends=$writes
	wait_for 10 so_often "$ends" 'write ends' || fail "the write does not come back"
}

step "ABORT TASK: a command times out"
hangs
reads || fail "no reads while the handler hangs"
step "another one, while the first still hangs"
hangs
reads || fail "no reads while the handler hangs"
comes_back
for i in {1..20}; do
	within 20 write_one 10 || fail "write $i afterwards failed"
done
writes=$((writes + 20)) ends=$writes
so_often "$ends" 'write ends' || fail "the handler was called: $(sort "$slow/lun.trace" | uniq -c)"

step "LOGICAL UNIT RESET"
hold write
write_one 100 &
write_pid=$!
writes=$((writes + 1))
wait_for 10 so_often "$writes" 'write begins' || fail "the write does not begin"
within 25 sg_reset --device "$DISK" || fail "the reset failed, or hangs"
# tcm_loop gives a command that was reset any status.
within 10 tail --pid="$write_pid" -f /dev/null || fail "the write does not end"
kept=$((kept + 1))
kept "$kept" || fail "the buffer was not kept"
reads || reads || fail "no reads while the handler hangs" # the first has the unit attention
comes_back
within 20 write_one 10 || fail "a write afterwards failed"
writes=$((writes + 1)) ends=$writes

step "a stop waits for what comes back late, and the next daemon goes on"
hangs
kill -TERM "$daemon_pid"
sleep 2
kill -0 "$daemon_pid" 2>/dev/null || fail "the daemon is gone before the write came back"
comes_back
status=0
wait "$daemon_pid" || status=$?
assert_eq "exit status" "$status" 0
start_daemon -d
within 20 write_one 10 || fail "a write afterwards failed"
writes=$((writes + 1)) ends=$writes

step "the LUN is removed before that"
hangs
lun_detach lun
lun_delete lun
comes_back
lun_create lun "slow/$slow/lun" "$size"
lun_attach lun
within 20 write_one 10 || fail "a write afterwards failed"
assert_eq "complaints about kept buffers" "$(grep -c free_kept_buf "$daemon_log" || :)" 0
! dmesg | grep -q free_kept_buf || fail "the kernel complains about kept buffers"
lun_detach lun
lun_delete lun
stop_daemon
