#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The commands that administrators type: each is answered sanely, and what it
# says it did is what the disk then reads as.
#
# timeout: 200

. "$TCMU_SRC/tests/vm/lib.sh"
need sg_vpd sg_modes sg_readcap sg_unmap sg_write_same sg_verify sg_requests sg_opcodes sdparm cmp
need_daemon

size=$((64 << 20))
file=$(backing tools.img "$size")
start_daemon
lun_create tools "file/$file" "$size"
lun_attach tools

# said COMMAND...: it succeeds, and complains about nothing.
said()
{
	local out status=0
	out=$("$@" 2>&1) || status=$?
	# sdparm asks for saved values too, which we do not have (SPC-5 6.14), and
	# says so only by exit status 5.
	[ "$1" != sdparm ] || [ "$status" -ne 5 ] || status=0
	[ "$status" -eq 0 ] || fail "$*: exit status $status: $out"
	! grep -Eiq 'malformed|bad field|illegal|truncated|unexpected|aborted' <<<"$out" || fail "$* complains: $out"
	step "$*"
}

said sg_vpd -a "$DISK"
said sg_modes -a "$DISK"
said sg_modes -6 -a "$DISK"
said sg_readcap "$DISK"
said sg_readcap -l "$DISK"
said sg_requests "$DISK"
said sg_turs "$DISK"
said sg_opcodes "$DISK"
said sdparm --get=WCE "$DISK"
said sdparm --all "$DISK"
said sg_sync "$DISK"

dd if=/dev/urandom of="$DISK" bs=1M count=4 oflag=direct status=none
said sg_verify --lba=0 --count=2048 "$DISK"
dd if="$DISK" of=/tmp/block bs=512 count=1 skip=7 iflag=direct status=none
said sg_verify --lba=7 --count=1 --ndo=512 --in=/tmp/block "$DISK"
! sg_verify --lba=8 --count=1 --ndo=512 --in=/tmp/block "$DISK" >/dev/null 2>&1 || fail "a miscompare passed"

said sg_unmap --force --lba=2048 --num=2048 "$DISK"
blockdev --flushbufs "$DISK"
cmp -n 1048576 -i 1048576:0 "$DISK" /dev/zero || fail "unmapped blocks do not read as zeros"
said sg_write_same --16 --lba=0 --num=64 --xferlen=512 --in=/tmp/block "$DISK"
said sg_write_same --10 --lba=64 --num=64 --xferlen=512 --in=/tmp/block "$DISK"
said sg_write_same --16 --unmap --lba=4096 --num=1024 --xferlen=512 --in=/dev/zero "$DISK"
blockdev --flushbufs "$DISK"
for i in 0 63 64 127; do
	dd if="$DISK" bs=512 count=1 skip="$i" iflag=direct status=none | cmp - /tmp/block || fail "block $i is not the pattern"
done

said sdparm --clear=WCE "$DISK"
assert_match "WCE" "$(sdparm --get=WCE "$DISK" || :)" 'WCE +0'
said sdparm --set=WCE "$DISK"
assert_match "WCE" "$(sdparm --get=WCE "$DISK" || :)" 'WCE +1'

lun_detach tools
lun_delete tools
stop_daemon
