#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# libiscsi's suite (see 80-conformance.sh) on 4096-byte blocks, two in a physical one.
#
# timeout: 2000

. "$TCMU_SRC/tests/vm/lib.sh"
. "$TCMU_SRC/tests/vm/conformance.sh"
need iscsi-test-cu python3
need_daemon
iscsi_begin

# See 80-conformance.sh for each.
suite_left_out="SCSI.Sanitize.Reset SCSI.GetLBAStatus.UnmapSingle SCSI.WriteSame10.UnmapUntilEnd"

start_daemon
conformance_lun 4096 ";phys=8192" $((64 << 20)) "" hw_block_size=4096
judge 4096 187 4096
stop_daemon
