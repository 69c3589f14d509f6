#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The README's own commands, as they are written there, and between them what
# its reader would do with the disk.
#
# timeout: 400

. "$TCMU_SRC/tests/vm/lib.sh"
. "$TCMU_SRC/tests/lib/readme.sh"
need mkfs.ext4 sg_inq
need_daemon

readme_begin "$TCMU_BUILD" "$daemon_log"
for block in backing start create attach; do
	step "$block"
	readme_block "$block"
done
daemon_pid=$readme_daemon
readme_disk || fail "no disk after 30 s"

sg_inq "$DISK"
assert_match "serial number" "$(sg_vpd -p 0x80 "$DISK")" 'disk0-0001'
mkfs.ext4 -q "$DISK"
mkdir -p /mnt/disk0
mount "$DISK" /mnt/disk0
cp -r /usr/share/common-licenses /mnt/disk0/
before=$(tree_sum /mnt/disk0)
umount /mnt/disk0
drop_caches
mount "$DISK" /mnt/disk0
assert_eq "checksum" "$(tree_sum /mnt/disk0)" "$before"
umount /mnt/disk0

for block in detach delete; do
	step "$block"
	readme_block "$block"
done
[ ! -e "$core/disk0" ] || fail "the storage object is still there"
stop_daemon
readme_end
