#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A thin LUN whose file system fills up: writes fail with "no space", in words
# the initiator understands, and work again when there is space.
#
# timeout: 300
# dmesg: allowed error, dev sd|I/O error

. "$TCMU_SRC/tests/vm/lib.sh"
need mkfs.ext4
need_daemon

truncate -s 64M /mnt/data/small.img
mkfs.ext4 -q -m 0 /mnt/data/small.img
mkdir -p /mnt/small
mount -o loop /mnt/data/small.img /mnt/small
dd if=/dev/zero of=/mnt/small/ballast bs=1M count=16 status=none
truncate -s 256M /mnt/small/thin.img

start_daemon
lun_create thin file//mnt/small/thin.img $((256 << 20))
lun_attach thin
if said=$(dd if=/dev/zero of="$DISK" bs=1M count=128 oflag=direct conv=fsync 2>&1); then
	fail "128 MiB fitted into 64 MiB"
fi
step "$said"
assert_match "dd" "$said" 'No space left on device'
daemon_alive || fail "the daemon is gone"

step "reads go on, and so do writes once there is space"
dd if="$DISK" of=/dev/null bs=1M count=32 iflag=direct status=none
rm /mnt/small/ballast
sync /mnt/small
dd if=/dev/urandom of=/mnt/data/pattern bs=1M count=4 status=none
dd if=/mnt/data/pattern of="$DISK" bs=1M seek=200 oflag=direct conv=fsync,notrunc status=none
cmp -n $((4 << 20)) -i "0:$((200 << 20))" /mnt/data/pattern "$DISK" || fail "written after the space came back, but not there"
lun_detach thin
lun_delete thin
stop_daemon
umount /mnt/small
