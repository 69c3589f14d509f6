#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A planned restart under load loses nothing and shows the initiator nothing but
# a pause; and a daemon finds the devices that were made while it was away.
#
# timeout: 500

. "$TCMU_SRC/tests/vm/lib.sh"
need fio
need_daemon

size=$((128 << 20))
start_daemon
lun_create restart "file/$(backing restart.img "$size")" "$size"
lun_attach restart
disk=$DISK

fio_verify "$disk" --bsrange=512-256k --blockalign=512 --runtime=40 >"$TCMU_RESULTS/40-fio.out" 2>&1 &
fio_pid=$!
for cycle in 1 2 3; do
	sleep 4
	kill -0 "$fio_pid" || fail "fio ended before restart $cycle: $(tail -n 5 "$TCMU_RESULTS/40-fio.out")"
	step "restart $cycle"
	stop_daemon 10
	sleep 1
	start_daemon
done
wait "$fio_pid" || fail "fio saw an error: $(cat "$TCMU_RESULTS/40-fio.out")"
grep -E 'READ:|WRITE:' "$TCMU_RESULTS/40-fio.out"

step "a device made while no daemon runs"
stop_daemon
lun_create orphan "file/$(backing orphan.img "$size")" "$size"
start_daemon
lun_attach orphan
dd if=/dev/urandom of=/mnt/data/pattern bs=1M count=8 status=none
dd if=/mnt/data/pattern of="$DISK" bs=1M oflag=direct status=none
cmp -n $((8 << 20)) /mnt/data/pattern "$DISK" || fail "the device made without a daemon reads back something else"
lun_detach orphan
lun_delete orphan

step "the device from before is still served"
dd if=/mnt/data/pattern of="$disk" bs=1M oflag=direct status=none
cmp -n $((8 << 20)) /mnt/data/pattern "$disk" || fail "the old device reads back something else"
lun_detach restart
lun_delete restart
stop_daemon
