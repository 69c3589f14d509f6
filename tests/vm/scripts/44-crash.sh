#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# kill -9 under load: what the ring held is done by the next daemon, and the
# initiator sees a pause and no error.
#
# timeout: 500

. "$TCMU_SRC/tests/vm/lib.sh"
need fio
need_daemon

size=$((128 << 20))
start_daemon
lun_create crash "file/$(backing crash.img "$size")" "$size"
lun_attach crash

fio_verify "$DISK" --bsrange=512-256k --blockalign=512 --runtime=40 >"$TCMU_RESULTS/44-fio.out" 2>&1 &
fio_pid=$!
for cycle in 1 2 3; do
	sleep 4
	kill -0 "$fio_pid" || fail "fio ended before kill $cycle: $(tail -n 5 "$TCMU_RESULTS/44-fio.out")"
	step "kill $cycle"
	kill_daemon
	start_daemon
done
wait "$fio_pid" || fail "fio saw an error: $(cat "$TCMU_RESULTS/44-fio.out")"
grep -E 'READ:|WRITE:' "$TCMU_RESULTS/44-fio.out"

step "a creation that waits for a daemon is finished by the next one"
kill_daemon
lun_create late "file/$(backing late.img "$size")" "$size" &
create_pid=$!
sleep 2
start_daemon
wait "$create_pid" || fail "the creation failed"
assert_eq "late/enable" "$(cat "$core/late/enable")" 1
lun_delete late

lun_detach crash
lun_delete crash
stop_daemon
