#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# libiscsi's suite (see 80-conformance.sh) on an image of QEMU's, in which QEMU then
# finds no error.
#
# timeout: 2000

. "$TCMU_SRC/tests/vm/lib.sh"
. "$TCMU_SRC/tests/vm/conformance.sh"
need iscsi-test-cu python3 tc qemu-img
need_daemon
[ -e "$handlers_dir/handler_qcow.so" ] || skip "handler_qcow.so is not built"
iscsi_begin

suite_left_out="SCSI.Sanitize.Reset SCSI.WriteSame10.UnmapUntilEnd" # on the large one
start_daemon
conformance_handler=qcow
conformance_lun plain "" $((31 << 20))
qemu-img check /mnt/data/conformance.img || fail "QEMU finds errors in the image"
conformance_lun large "" $((1200 << 20)) "SCSI.Sanitize.Reset SCSI.WriteSame10.UnmapUntilEnd"
conformance_lun readonly ";ro" $((31 << 20)) SCSI.ReadOnly
judge qcow 187 plain large readonly
stop_daemon
