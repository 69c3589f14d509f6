#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A thin LUN stays thin: fstrim on a file system gives the space of removed files
# back to the file system below, and so does a new file system over what was there.
#
# timeout: 400

. "$TCMU_SRC/tests/vm/lib.sh"
need mkfs.ext4 mkfs.xfs mkfs.btrfs fstrim blkdiscard
need_daemon
modprobe -a xfs btrfs

size=$((512 << 20))
start_daemon
file=$(backing thin.img "$size")
lun_create thin "file/$file" "$size"
lun_attach thin
mkdir -p /mnt/fs

used_mib() { sync "$file"; echo $(($(du -k "$file" | cut -f 1) / 1024)); }

# assert_le WHAT GOT MOST
assert_le() { [ "$2" -le "$3" ] || fail "$1: got $2, expected at most $3"; }

full()
{
	dd if=/dev/urandom of="$DISK" bs=4M count=24 oflag=direct status=none
	assert_ge "MiB used before $1" "$(used_mib)" 96
}

for fs in ext4 xfs btrfs; do
	step "mkfs.$fs over 96 MiB of something else"
	full "mkfs.$fs"
	case $fs in
	ext4) mkfs.ext4 -q -F "$DISK" ;;
	xfs) mkfs.xfs -q -f "$DISK" ;;
	btrfs) mkfs.btrfs -q -f "$DISK" ;;
	esac
	empty=$(used_mib)
	step "$empty MiB used by an empty $fs"
	assert_le "MiB used after mkfs.$fs" "$empty" 80

	mount -t "$fs" "$DISK" /mnt/fs
	dd if=/dev/urandom of=/mnt/fs/keep bs=1M count=20 status=none
	dd if=/dev/urandom of=/mnt/fs/remove bs=1M count=150 status=none
	sync -f /mnt/fs
	kept=$(sha256sum </mnt/fs/keep)
	with=$(used_mib)
	assert_ge "MiB used with the files on $fs" "$with" $((empty + 160))
	rm /mnt/fs/remove
	sync -f /mnt/fs
	within 100 fstrim -v /mnt/fs || fail "fstrim failed on $fs"
	without=$(used_mib)
	step "$with MiB used with the files on $fs, $without after rm and fstrim"
	assert_le "MiB used after fstrim on $fs" "$without" $((with - 140))
	umount /mnt/fs
	drop_caches
	mount -t "$fs" -o ro "$DISK" /mnt/fs
	assert_eq "the file that was kept on $fs" "$(sha256sum </mnt/fs/keep)" "$kept"
	umount /mnt/fs
done

step "blkdiscard"
blkdiscard -f "$DISK"
assert_le "MiB used after blkdiscard" "$(used_mib)" 1
lun_detach thin
lun_delete thin
stop_daemon
