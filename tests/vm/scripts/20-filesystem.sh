#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A user's day: a file system with many small files on a LUN survives a daemon
# restart, and what the backing file holds is exactly what was written.
#
# environment: TCMU_VM_FILES, so many (default 4000, long: 20000).
#
# timeout: 900

. "$TCMU_SRC/tests/vm/lib.sh"
need mkfs.ext4 losetup split
need_daemon

files=${TCMU_VM_FILES:-4000}
size=$((512 << 20))
file=$(backing fs.img "$size")
mkdir -p /mnt/fs

start_daemon
lun_create fs "file/$file" "$size"
lun_attach fs
mkfs.ext4 -q "$DISK"
mount "$DISK" /mnt/fs

step "writing $files files"
for ((i = 0; i < files / 1000; i++)); do
	mkdir "/mnt/fs/$i"
	head -c 1000000 /dev/urandom | split -a 3 -b 1000 - "/mnt/fs/$i/f"
done
before=$(tree_sum /mnt/fs)
umount /mnt/fs

step "restarting the daemon"
stop_daemon
start_daemon
drop_caches
mount "$DISK" /mnt/fs
assert_eq "files after the restart" "$(find /mnt/fs -name 'f*' -type f | wc -l)" $((files / 1000 * 1000))
assert_eq "checksum after the restart" "$(tree_sum /mnt/fs)" "$before"
umount /mnt/fs
lun_detach fs
lun_delete fs
stop_daemon

step "reading the backing file without us"
drop_caches
loop=$(losetup -r -f --show "$file")
mount -o ro "$loop" /mnt/fs
assert_eq "checksum of the backing file" "$(tree_sum /mnt/fs)" "$before"
umount /mnt/fs
losetup -d "$loop"
