#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A disk grows while it is in use.
#
# timeout: 300

. "$TCMU_SRC/tests/vm/lib.sh"
need_daemon

old=$((64 << 20)) new=$((160 << 20))
file=$(backing resize.img "$old")
start_daemon
lun_create resize "file/$file" "$old"
lun_attach resize
dd if=/dev/urandom of=/mnt/data/pattern bs=1M count=4 status=none
dd if=/mnt/data/pattern of="$DISK" bs=1M oflag=direct status=none
assert_eq "size before" "$(blockdev --getsize64 "$DISK")" "$old"

truncate -s "$new" "$file"
within 60 put "$core/resize/attrib/dev_size" "$new" || fail "the new size was refused"
echo 1 >"/sys/block/${DISK##*/}/device/rescan"
assert_eq "size after" "$(blockdev --getsize64 "$DISK")" "$new"

step "the new end can be written, the old data is untouched"
dd if=/mnt/data/pattern of="$DISK" bs=1M seek=$((new / 1048576 - 4)) oflag=direct conv=notrunc status=none
drop_caches
cmp -n 4194304 /mnt/data/pattern "$DISK" || fail "the old data changed"
cmp -n 4194304 -i "0:$((new - 4194304))" /mnt/data/pattern "$DISK" || fail "the new end reads back something else"
lun_detach resize
lun_delete resize
stop_daemon
cmp -n 4194304 -i "0:$((new - 4194304))" /mnt/data/pattern "$file" || fail "the backing file lacks the new end"
