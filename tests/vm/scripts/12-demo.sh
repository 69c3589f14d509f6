#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What tests/demo shows, and that it leaves nothing behind.
#
# timeout: 300

. "$TCMU_SRC/tests/vm/lib.sh"
need mkfs.ext4 sg_inq lsblk
need_daemon

bash "$TCMU_SRC/tests/lib/demo-steps"
[ ! -e "$core/disk0" ] || fail "the storage object is still there"
[ ! -e /var/tmp/disk0.img ] || fail "the backing file is still there"
! pgrep -x tcmu-runner >/dev/null || fail "the daemon is still running"
! mount | grep -q tcmu-demo || fail "a mount is left"
