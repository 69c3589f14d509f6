#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Writing to an image of QEMU's through the real kernel: a snapshot in it stays what it
# was, what is discarded gives its space back, a disk grows in use, a full file system
# costs nothing but the writes that it has no room for; and QEMU finds no error in it.
#
# timeout: 400
# dmesg: allowed error, dev sd|I/O error|EXT4-fs

. "$TCMU_SRC/tests/vm/lib.sh"
need qemu-img qemu-io cmp fio fstrim mkfs.ext4
need_daemon
[ -e "$handlers_dir/handler_qcow.so" ] || skip "handler_qcow.so is not built"

size=$((96 << 20))
dir=/mnt/data/qcow
mkdir -p "$dir"

# check IMAGE: no error, and nothing leaks after a clean end.
check() { qemu-img check "$1" >"$TCMU_RESULTS/$script_name.check" 2>&1 || fail "$1: $(cat "$TCMU_RESULTS/$script_name.check")"; }

step "1,000 random writes after a snapshot, over a backing file"
qemu-img create -q -f qcow2 "$dir/base.qcow2" "$size"
qemu-io -f qcow2 -c 'write -P 17 0 5M' -c 'write -P 34 40M 3M' "$dir/base.qcow2" >/dev/null
qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 "$dir/image.qcow2"
qemu-io -f qcow2 -c 'write -P 51 1M 7M' -c 'write -z 41M 64k' "$dir/image.qcow2" >/dev/null
qemu-img snapshot -c night "$dir/image.qcow2"
qemu-img convert -l snapshot.name=night -O raw "$dir/image.qcow2" "$dir/night.raw"
start_daemon
lun_create image "qcow/$dir/image.qcow2" "$size"
lun_attach image
fio_verify "$DISK" --bsrange=512-64k --blockalign=512 --time_based=0 --number_ios=1000 --do_verify=1
drop_caches
cp --sparse=always "$DISK" "$dir/active.raw"
said=$(qemu-io -f qcow2 -c 'write 0 512' "$dir/image.qcow2" 2>&1) && fail "QEMU writes to an image that is served"
assert_match "QEMU" "$said" 'Failed to get .*lock'
lun_detach image
lun_delete image
check "$dir/image.qcow2"
qemu-img compare -q -f qcow2 -F raw "$dir/image.qcow2" "$dir/active.raw" ||
	fail "QEMU does not read what has been written"
qemu-img convert -l snapshot.name=night -O raw "$dir/image.qcow2" "$dir/now.raw"
cmp "$dir/night.raw" "$dir/now.raw" || fail "the snapshot has changed"

step "a file system, and fstrim"
rm -f "$dir"/*
qemu-img create -q -f qcow2 "$dir/trim.qcow2" "$size"
lun_create trim "qcow/$dir/trim.qcow2" "$size"
lun_attach trim
mkfs.ext4 -q "$DISK"
mkdir -p /mnt/trim
mount "$DISK" /mnt/trim
dd if=/dev/urandom of=/mnt/trim/much bs=1M count=48 conv=fsync status=none
used_kib() { du -k "$dir/trim.qcow2" | cut -f 1; }
full=$(used_kib)
assert_ge "KiB of the image" "$full" $((48 << 10))
rm /mnt/trim/much
sync -f /mnt/trim
fstrim /mnt/trim
sync -f /mnt/trim
echo kept >/mnt/trim/kept
sync -f /mnt/trim
step "$full KiB used by the image, $(used_kib) KiB after fstrim"
[ "$(used_kib)" -lt $((full - (40 << 10))) ] || fail "fstrim does not give the space back"

step "it grows while it is mounted"
within 60 put "$core/trim/attrib/dev_size" $((size * 2)) || fail "the new size was refused"
echo 1 >"/sys/block/${DISK##*/}/device/rescan"
assert_eq "size after" "$(blockdev --getsize64 "$DISK")" $((size * 2))
! put "$core/trim/attrib/dev_size" "$size" 2>/dev/null || fail "a smaller size was taken"
dd if=/dev/urandom of=/mnt/data/pattern bs=1M count=4 status=none
dd if=/mnt/data/pattern of="$DISK" bs=1M seek=$((size * 2 / 1048576 - 4)) oflag=direct conv=notrunc status=none
umount /mnt/trim
lun_detach trim
lun_delete trim
check "$dir/trim.qcow2"
qemu-img convert -O raw "$dir/trim.qcow2" "$dir/trim.raw"
cmp -n 4194304 -i "0:$((size * 2 - 4194304))" /mnt/data/pattern "$dir/trim.raw" || fail "the new end has something else"
e2fsck -fn "$dir/trim.raw" >/dev/null 2>&1 || fail "the file system in it is damaged"

step "no space"
truncate -s 48M /mnt/data/small.img
mkfs.ext4 -q -m 0 /mnt/data/small.img
mkdir -p /mnt/small
mount -o loop /mnt/data/small.img /mnt/small
qemu-img create -q -f qcow2 /mnt/small/thin.qcow2 256M
dd if=/dev/zero of=/mnt/small/ballast bs=1M count=16 status=none
lun_create thin qcow//mnt/small/thin.qcow2 $((256 << 20))
lun_attach thin
if said=$(dd if=/dev/urandom of="$DISK" bs=1M count=64 oflag=direct conv=fsync 2>&1); then
	fail "64 MiB fitted into 48 MiB"
fi
assert_match "dd" "$said" 'No space left on device'
daemon_alive || fail "the daemon is gone"
rm /mnt/small/ballast
sync /mnt/small
dd if=/mnt/data/pattern of="$DISK" bs=1M seek=200 oflag=direct conv=fsync,notrunc status=none
drop_caches
cmp -n $((4 << 20)) -i "0:$((200 << 20))" /mnt/data/pattern "$DISK" || fail "written after the space came back, but not there"
lun_detach thin
lun_delete thin
qemu-img check /mnt/small/thin.qcow2 >/dev/null 2>&1 || [ $? -eq 3 ] || fail "QEMU finds errors"
stop_daemon
umount /mnt/small
rm -rf "$dir"
