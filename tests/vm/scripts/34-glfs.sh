#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A LUN in a GlusterFS volume, with server and brick in this guest, as the README sets it up: random
# writes of every size, each verified; a file system, fstrim, growth in use; a daemon that is killed; a
# brick that dies: initiators with another path go on there, and here when it is back.
#
# timeout: 600
# The kernel's initiator is right to complain when the brick is dead.
# dmesg: allowed error, dev sd|Buffer I/O|EXT4-fs|device-mapper|reservation conflict

. "$TCMU_SRC/tests/vm/lib.sh"
. "$TCMU_SRC/tests/vm/gluster.sh"
need fio fstrim mkfs.ext4 dmsetup qemu-img
need_daemon
gluster_begin

size=$((1 << 30)) # the README's
step "as in the README"
start_daemon
readme_block glfs-create
assert_eq "size of the file" "$(stat -c %s /srv/brick/vol0/disk2.img)" "$size"
lun_attach disk2

step "fio"
fio_verify "$DISK" --bsrange=512-1M --blockalign=512 --size=256M --runtime="${TCMU_VM_FIO_SECONDS:-15}"

step "killed under load"
load_begin "$DISK" --size=256M
wait_for 60 has_read || fail "no load"
kill_daemon
start_daemon
wait_for 120 has_read || fail "nothing ends after the restart"
load_reads=$(reads_of "$load_stat")
wait_for 120 has_read || fail "nothing ends after the restart"
load_end

step "a file system, and fstrim"
mkfs.ext4 -q "$DISK"
mkdir -p /mnt/glfs
mount "$DISK" /mnt/glfs
dd if=/dev/urandom of=/mnt/glfs/much bs=1M count=48 conv=fsync status=none
before=$(tree_sum /mnt/glfs)
used_kib() { du -k /srv/brick/vol0/disk2.img | cut -f 1; }
full=$(used_kib)
cp /mnt/glfs/much /mnt/glfs/more
sync -f /mnt/glfs
rm /mnt/glfs/more
sync -f /mnt/glfs
assert_ge "KiB of the file" "$(used_kib)" $((full + (40 << 10)))
fstrim /mnt/glfs
sync -f /mnt/glfs
step "$full KiB, and 48 MiB more come and go: $(used_kib) KiB"
[ "$(used_kib)" -lt $((full + (8 << 10))) ] || fail "fstrim does not give the space back"

step "it grows while it is mounted"
within 60 put "$core/disk2/attrib/dev_size" $((size * 2)) || fail "the new size was refused"
echo 1 >"/sys/block/${DISK##*/}/device/rescan"
assert_eq "size after" "$(blockdev --getsize64 "$DISK")" $((size * 2))
assert_eq "size of the file" "$(stat -c %s /srv/brick/vol0/disk2.img)" $((size * 2))
! put "$core/disk2/attrib/dev_size" "$size" 2>/dev/null || fail "a smaller size was taken"
drop_caches
assert_eq "contents" "$(tree_sum /mnt/glfs)" "$before"
umount /mnt/glfs

step "the brick dies: initiators go on with another path"
first=$DISK
lun_create other "file/$(backing other.img $((size * 2)))" $((size * 2))
lun_attach other
second=$DISK
modprobe -a dm_multipath dm_round_robin
paths() { echo "round-robin 0 1 1 $1 1000"; }
dmsetup create both --table "0 $((size * 2 / 512)) multipath 0 0 2 1 $(paths "$first") $(paths "$second")"
dmsetup mknodes both
kill -KILL "$(brick_pid vol0)"
echo here >/run/pattern
truncate -s 4096 /run/pattern
within 60 dd if=/run/pattern of=/dev/mapper/both bs=4k count=1 seek=5 oflag=direct conv=notrunc status=none ||
	fail "a write fails although there is another path"
cmp -n 4096 -i 0:20480 /run/pattern "$second" || fail "the write is not on the other path"
assert_match "paths" "$(dmsetup status both)" " F [0-9]+ .* A [0-9]+ "
! within 60 sg_turs "$first" >/dev/null 2>&1 || fail "TEST UNIT READY says that it is ready"
! within 60 dd if=/run/pattern of="$first" bs=4k count=1 oflag=direct,dsync status=none 2>/dev/null ||
	fail "a write to a dead brick succeeds"

step "and back"
gluster volume start vol0 force >/dev/null
wait_for 60 sg_turs "$first" || fail "TEST UNIT READY does not say that it is back"
dd if=/run/pattern of="$first" bs=4k count=1 seek=7 oflag=direct conv=notrunc,fsync status=none
dmsetup remove both
drop_caches
cmp -n 4096 -i 0:28672 /run/pattern "$first" || fail "written after the brick came back, but not there"

lun_detach other
lun_delete other
lun_detach disk2
rmdir "$core/disk2"
cmp -n 4096 -i 0:28672 /run/pattern /srv/brick/vol0/disk2.img || fail "it is not at the brick"
stop_daemon
