#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# EXTENDED COPY moves 512 MiB from one LUN to another without the initiator seeing
# a byte of it, and what it moved compares equal. Only between LUNs that every
# target port group maps together: a LUN of another target is not to be had by
# naming it.
#
# timeout: 600

. "$TCMU_SRC/tests/vm/lib.sh"
need sg_xcopy ddpt cmp sg_vpd sg_opcodes
need_daemon
modprobe sg

mib=${TCMU_VM_XCOPY_MIB:-512}
size=$((mib << 20))
tpg=$cfs/loopback/$(lun_naa xcopy)/tpgt_1

# attach_both: source and target as LUNs 0 and 1 of one target.
attach_both()
{
	local lun name address
	mkdir -p "$tpg"
	put "$tpg/nexus" "$(lun_naa xcopy)"
	address=$(cat "$tpg/address")
	lun=0
	for name in source target; do
		mkdir "$tpg/lun/lun_$lun"
		within 60 ln -s "$core/$name" "$tpg/lun/lun_$lun/port" || fail "attaching $name failed"
		wait_for 30 disk_at "$address:$lun" || fail "no disk for $name"
		printf -v "$name" %s "$DISK"
		lun=$((lun + 1))
	done
}

disk_at()
{
	set -- "/sys/class/scsi_device/$1/device/block/"*
	[ -e "$1" ] || return 1
	DISK=/dev/${1##*/}
	[ -b "$DISK" ]
}

# sg_of DISK: its node for the tools that send commands of their own.
sg_of() { echo "/dev/$(basename "$(readlink "/sys/block/${1##*/}/device/generic")")"; }

# The bytes of writes that the kernel sent to the disk of the target.
written() { awk '{ print $7 * 512 }' "/sys/block/${target##*/}/stat"; }

same() { cmp -n "$1" -i "$2" "$source" "$target"; }

start_daemon
lun_create source "file/$(backing source.img "$size")" "$size"
lun_create target "file/$(backing target.img "$size")" "$size"
source='' target=''
attach_both
assert_match "REPORT SUPPORTED OPERATION CODES" "$(sg_opcodes "$target")" 'xtended copy'
sg_vpd --page=0x8f "$target" >/dev/null || fail "no VPD page 8Fh"

step "a pattern of $mib MiB"
dd if=/dev/urandom of="$source" bs=1M count="$mib" oflag=direct status=none
before=$(written)

step "sg_xcopy"
within 250 sg_xcopy if="$(sg_of "$source")" of="$(sg_of "$target")" bs=512 count=$((size / 512)) bpt=16384 ||
	fail "sg_xcopy failed"
step "comparing"
blockdev --flushbufs "$source" "$target"
drop_caches
same "$size" 0:0 || fail "what sg_xcopy copied is not the same"
assert_eq "bytes that went through the initiator" "$(written)" "$before"

# Not more than 65535 blocks: ddpt 0.97 sends the same source LBA for each command.
step "ddpt, and parts that do not begin at 0"
blkdiscard "$target"
within 250 ddpt if="$(sg_of "$source")" of="$(sg_of "$target")" bs=512 skip=1000 seek=3000 count=60001 --xcopy ||
	fail "ddpt failed"
blockdev --flushbufs "$target"
cmp -n $((60001 * 512)) -i $((1000 * 512)):$((3000 * 512)) "$source" "$target" ||
	fail "what ddpt copied is not the same"
cmp -n $((3000 * 512)) "$target" /dev/zero || fail "ddpt's copy begins too early"
cmp -n 65536 -i $((63001 * 512)):0 "$target" /dev/zero || fail "ddpt's copy ends too late"

step "a LUN of another target"
lun_create other "file/$(backing other.img 16M)" $((16 << 20))
lun_attach other
! within 60 sg_xcopy if="$(sg_of "$DISK")" of="$(sg_of "$target")" bs=512 count=1024 ||
	fail "copied from a LUN that another target has"
! within 60 sg_xcopy if="$(sg_of "$source")" of="$(sg_of "$DISK")" bs=512 count=1024 ||
	fail "copied to a LUN that another target has"
cmp -n $((16 << 20)) "$DISK" /dev/zero || fail "something was written to it"
lun_detach other
lun_delete other

rm "$tpg"/lun/lun_?/port
rmdir "$tpg"/lun/lun_? "$tpg" "${tpg%/*}"
lun_delete source
lun_delete target
stop_daemon
