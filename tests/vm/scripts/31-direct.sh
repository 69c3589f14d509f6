#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Direct I/O on a disk whose queue takes 128 KiB at once: random writes of up to 1 MiB come back as they were, with
# iovecs of a page and of 256 KiB; and io_uring needs no thread of its own for them, as it does for what the queue
# would have to cut (runner/direct.c).
#
# timeout: 300

. "$TCMU_SRC/tests/vm/lib.sh"
need fio
need_daemon

size=$((128 << 20)) disk=/dev/nullb0 dev=/sys/kernel/config/nullb/nullb0
modprobe null_blk nr_devices=0
mkdir "$dev"
put "$dev/size" $((size >> 20))
put "$dev/blocksize" 512
put "$dev/max_sectors" 256
put "$dev/memory_backed" 1
put "$dev/power" 1
wait_for 10 test -b "$disk" || fail "null_blk makes no $disk"
assert_eq "what the queue takes, in KiB" "$(cat /sys/block/nullb0/queue/max_sectors_kb)" 128

uring_threads() { cat "/proc/$daemon_pid/task/"*/comm | grep -c '^iou-wrk' || :; }

start_daemon
for pages in 1 64; do
	step "data_pages_per_blk=$pages"
	lun_create direct "file/$disk;direct" "$size" data_pages_per_blk="$pages"
	lun_attach direct
	fio_verify "$DISK" --bsrange=4k-1M --blockalign=4k --runtime="${TCMU_VM_FIO_SECONDS:-10}"
	dd if="$DISK" of=/dev/null bs=1M count=64 iflag=direct status=none
	assert_eq "threads of io_uring" "$(uring_threads)" 0
	lun_detach direct
	lun_delete direct
done
stop_daemon
put "$dev/power" 0
rmdir "$dev"
