#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What was acknowledged as durable is on the disk. The file system under the
# backing file sits on dm-log-writes, which records what would survive a power
# cut at each moment; the log is cut at every acknowledged flush and FUA write,
# and each such disk is mounted and must hold everything acknowledged by then.
#
# timeout: 1200

. "$TCMU_SRC/tests/vm/lib.sh"
need dmsetup mkfs.ext4 losetup /usr/bin/python3
need_daemon
modprobe dm-log-writes || skip "this kernel has no dm-log-writes"

size=$((8 << 20))
wanted=8 # power cuts
helper=/usr/bin/python3\ $TCMU_SRC/tests/vm/durability.py
mkdir -p /mnt/under /mnt/cut

# lower_disk: a file system on a logged disk at /mnt/under, with lun.img in it;
# sets data and log. Its first state is kept in /mnt/data/image.
lower_disk()
{
	truncate -s 32M /mnt/data/disk
	truncate -s 512M /mnt/data/log
	mkfs.ext4 -q /mnt/data/disk
	cp --sparse=always /mnt/data/disk /mnt/data/image
	data=$(losetup -f --show /mnt/data/disk)
	log=$(losetup -f --show /mnt/data/log)
	dmsetup create logged --table "0 $(blockdev --getsz "$data") log-writes $data $log"
	dmsetup mknodes logged
	mount /dev/mapper/logged /mnt/under
	truncate -s "$size" /mnt/under/lun.img
	sync -f /mnt/under/lun.img
}

lower_disk_off()
{
	umount /mnt/under
	dmsetup remove logged
	losetup -d "$data"
}

# cut_log: a power cut at each acknowledgement; sets cuts and lossy, the number
# of cuts and of those that lost something.
cut_log()
{
	local mark loop
	cuts=0 lossy=0
	for mark in $($helper marks "$log"); do
		$helper replay "$log" /mnt/data/image "$mark" /mnt/data/position
		# Mounting replays the file system's journal, which must not happen
		# to the image that the next cut builds upon.
		cp --sparse=always /mnt/data/image /mnt/data/cut
		loop=$(losetup -f --show /mnt/data/cut)
		mount "$loop" /mnt/cut || fail "after a power cut at $mark the file system does not mount"
		$helper check /mnt/cut/lun.img /mnt/data/journal "$mark" || lossy=$((lossy + 1))
		umount /mnt/cut
		losetup -d "$loop"
		cuts=$((cuts + 1))
	done
	losetup -d "$log"
	rm -f /mnt/data/{disk,log,image,cut,journal,position}
	step "$cuts power cuts, $lossy with losses"
}

step "the method itself: writes that are promised but never flushed must be missed"
lower_disk
loop=$(losetup -f --show /mnt/under/lun.img)
$helper write "$loop" "$size" /mnt/data/journal logged 4 careless
losetup -d "$loop"
lower_disk_off
cut_log >/mnt/data/careless.out
tail -n 1 /mnt/data/careless.out
assert_eq "cuts that must have lost something" "$lossy" "$cuts"

for option in '' ';direct'; do
	step "a LUN on file//mnt/under/lun.img$option"
	lower_disk
	start_daemon
	lun_create durable "file//mnt/under/lun.img$option" "$size"
	lun_attach durable
	$helper write "$DISK" "$size" /mnt/data/journal logged "$wanted"
	lun_detach durable
	lun_delete durable
	stop_daemon
	lower_disk_off
	cut_log
	assert_eq "power cuts" "$cuts" "$wanted"
	assert_eq "power cuts that lost acknowledged data" "$lossy" 0
done
