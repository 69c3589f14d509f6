#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What administrators' tools see: identity, limits and modes of a disk.
#
# timeout: 300

. "$TCMU_SRC/tests/vm/lib.sh"
need sg_inq sg_vpd sg_readcap sg_modes lsblk
need_daemon

# disk_limit NAME: a value of the disk's queue in sysfs
disk_limit() { cat "/sys/block/${DISK##*/}/queue/$1"; }

size=$((256 << 20))
start_daemon
lun_create tools "file/$(backing tools.img "$size")" "$size"
lun_attach tools

said=$(sg_inq "$DISK")
assert_match "INQUIRY" "$said" 'Peripheral device type: disk'
assert_match "INQUIRY" "$said" "Unit serial number: $lun_serial"

said=$(sg_vpd -p 0 "$DISK")
for page in 'Unit serial number' 'Device identification' 'Block limits' \
	'Block device characteristics' 'Logical block provisioning'; do
	assert_match "VPD page 00" "$said" "$page"
done
assert_match "VPD page 80" "$(sg_vpd -p 0x80 "$DISK")" "$lun_serial"

said=$(sg_vpd -p 0x83 "$DISK")
assert_match "VPD page 83" "$said" 'designator type: NAA'
assert_match "VPD page 83" "$said" '0x6001405'
assert_match "VPD page 83" "$said" 'T10 vendor identification'

said=$(sg_vpd -p 0xb0 "$DISK")
assert_match "VPD page b0" "$said" 'Maximum transfer length: [1-9]'
assert_match "VPD page b0" "$said" 'Maximum unmap LBA count: [1-9]'
sg_vpd -p 0xb1 "$DISK"
assert_match "VPD page b2" "$(sg_vpd -p 0xb2 "$DISK")" 'LBPU\): 1'

said=$(sg_readcap -l "$DISK")
assert_match "READ CAPACITY(16)" "$said" "Last LBA=$((size / 512 - 1)) "
assert_match "READ CAPACITY(16)" "$said" 'Logical block length=512 bytes'
assert_match "READ CAPACITY(16)" "$said" 'lbpme=1'

said=$(sg_modes -a "$DISK")
assert_match "MODE SENSE" "$said" 'Caching'
assert_match "MODE SENSE" "$said" 'Control'

assert_eq "size by lsblk" "$(lsblk -bdno SIZE "$DISK" | tr -d ' ')" "$size"
assert_ge "largest I/O in KiB" "$(disk_limit max_sectors_kb)" 1024
assert_ge "largest discard" "$(disk_limit discard_max_bytes)" 1048576
dd if="$DISK" of=/dev/null bs=1M count=16 iflag=direct status=none
lun_detach tools
lun_delete tools

step "4096-byte blocks"
lun_create tools4k "file/$(backing tools4k.img "$size")" "$size" hw_block_size=4096
lun_attach tools4k
assert_match "READ CAPACITY(16)" "$(sg_readcap -l "$DISK")" 'Logical block length=4096 bytes'
assert_eq "logical block size" "$(disk_limit logical_block_size)" 4096
assert_eq "size by lsblk" "$(lsblk -bdno SIZE "$DISK" | tr -d ' ')" "$size"
lun_detach tools4k
lun_delete tools4k
stop_daemon
