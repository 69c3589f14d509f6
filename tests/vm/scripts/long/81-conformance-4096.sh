#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# libiscsi's suite (see 80-conformance.sh) on 4096-byte blocks, two in a physical one.
#
# timeout: 2000

. "$TCMU_SRC/tests/vm/lib.sh"
. "$TCMU_SRC/tests/vm/conformance.sh"
need iscsi-test-cu python3 tc
need_daemon
iscsi_begin

# conformance.skip has the reasons.
suite_left_out="SCSI.Sanitize.Reset SCSI.GetLBAStatus.UnmapSingle SCSI.WriteSame10.UnmapUntilEnd
	SCSI.Write10.Async SCSI.ProutReserve.AccessEA SCSI.ProutReserve.AccessWE
	SCSI.ProutReserve.AccessEARO SCSI.ProutReserve.AccessWERO
	SCSI.ProutReserve.AccessEAAR SCSI.ProutReserve.AccessWEAR"

start_daemon
conformance_lun 4096 ";phys=8192" $((64 << 20)) "" hw_block_size=4096
judge 4096 181 4096
stop_daemon
