#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# libiscsi's suite (see 80-conformance.sh) on a handler that has no more than
# open, close, read and write: what it lacks, the runner makes up for.
#
# timeout: 2000

. "$TCMU_SRC/tests/vm/lib.sh"
. "$TCMU_SRC/tests/vm/conformance.sh"
need iscsi-test-cu python3
need_daemon
handlers_dir=$TCMU_BUILD/tests/vm-handlers
[ -e "$handlers_dir/handler_bare.so" ] || skip "$handlers_dir/handler_bare.so is not built"
iscsi_begin

suite_left_out="SCSI.Sanitize.Reset SCSI.WriteSame10.UnmapUntilEnd" # see there
start_daemon
conformance_handler=bare
conformance_lun bare "" $((31 << 20))
judge bare 190 bare
stop_daemon
