#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Discarding gives the space back to the file system below, and what was
# discarded or zeroed reads as zeroes.
#
# timeout: 300

. "$TCMU_SRC/tests/vm/lib.sh"
need blkdiscard
need_daemon

size=$((64 << 20))
file=$(backing discard.img "$size")
start_daemon
lun_create discard "file/$file" "$size"
lun_attach discard
used_kib() { sync "$file"; du -k "$file" | cut -f 1; }

dd if=/dev/urandom of="$DISK" bs=1M oflag=direct status=none 2>/dev/null ||
	: # dd ends with the disk being full
assert_ge "KiB of the full backing file" "$(used_kib)" 65000
blkdiscard -o $((16 << 20)) -l $((32 << 20)) "$DISK"
used=$(used_kib)
step "$used KiB used after discarding 32 of 64 MiB"
[ "$used" -lt 34000 ] || fail "the discarded space is still used: $used KiB"
blkdiscard "$DISK"
used=$(used_kib)
step "$used KiB used after discarding all"
[ "$used" -lt 1024 ] || fail "the discarded space is still used: $used KiB"
drop_caches
cmp -n "$size" /dev/zero "$DISK" || fail "what was discarded does not read as zeroes"

step "zeroing"
dd if=/dev/urandom of="$DISK" bs=1M count=8 oflag=direct status=none
blkdiscard -z -o $((1 << 20)) -l $((4 << 20)) "$DISK"
drop_caches
cmp -n $((4 << 20)) -i "0:$((1 << 20))" /dev/zero "$DISK" || fail "what was zeroed does not read as zeroes"
! cmp -s -n 4096 /dev/zero "$DISK" || fail "more was zeroed than asked for"
lun_detach discard
lun_delete discard
stop_daemon
