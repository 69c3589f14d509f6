#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A program on libtcmu that is not the daemon: the single-threaded RAM disk of
# examples/consumer.c serves a disk of its own.
#
# timeout: 300

. "$TCMU_SRC/tests/vm/lib.sh"
need fio
load_modules
consumer=
for path in "$TCMU_BUILD/examples/consumer" "$TCMU_BUILD/consumer"; do
	[ ! -x "$path" ] || consumer=$path
done
[ -n "$consumer" ] || skip "the example consumer is not built"

"$consumer" >"$TCMU_RESULTS/61-consumer.out" 2>&1 </dev/null &
consumer_pid=$!
sleep 2
kill -0 "$consumer_pid" || fail "the consumer ended: $(cat "$TCMU_RESULTS/61-consumer.out")"

size=$((32 << 20))
lun_create ram consumer/ "$size" || fail "refused: $(cat "$TCMU_RESULTS/61-consumer.out")"
lun_attach ram
assert_eq "size" "$(blockdev --getsize64 "$DISK")" "$size"
fio_verify "$DISK" --bsrange=512-256k --blockalign=512 --runtime=5
lun_detach ram
lun_delete ram

step "stopping it"
kill -TERM "$consumer_pid"
wait_for 10 eval '! kill -0 "$consumer_pid" 2>/dev/null' || fail "the consumer runs on after SIGTERM"
