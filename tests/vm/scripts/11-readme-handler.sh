#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The README's handler, compiled as the README says: a disk of zeros that
# refuses writes.
#
# timeout: 300

. "$TCMU_SRC/tests/vm/lib.sh"
need gcc sg_raw cmp
need_daemon

dir=$(mktemp -d)
cd "$dir"
SRC=$TCMU_SRC bash -eu -c "$("$TCMU_SRC/tests/lib/readme-block" handler)"
handlers_dir=$dir
start_daemon
lun_create zero zero/x 1048576
lun_attach zero
assert_eq "size" "$(blockdev --getsize64 "$DISK")" 1048576
cmp -n 1048576 "$DISK" /dev/zero || fail "it does not read as zeros"
! dd if=/dev/urandom of="$DISK" bs=4k count=1 oflag=direct 2>/dev/null || fail "it took a write"
lun_detach zero
lun_delete zero
stop_daemon
