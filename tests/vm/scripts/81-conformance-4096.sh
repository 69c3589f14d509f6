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

# For the first three see 80-conformance.sh. The others are for blocks of 512 bytes, and
# send as many for a block of any size: a WRITE without all of its data, which the kernel's
# own fileio refuses as well.
suite_left_out="SCSI.Sanitize.Reset SCSI.GetLBAStatus.UnmapSingle SCSI.WriteSame10.UnmapUntilEnd
	SCSI.Write10.Async SCSI.ProutReserve.AccessEA SCSI.ProutReserve.AccessWE
	SCSI.ProutReserve.AccessEARO SCSI.ProutReserve.AccessWERO
	SCSI.ProutReserve.AccessEAAR SCSI.ProutReserve.AccessWEAR"

start_daemon
conformance_lun 4096 ";phys=8192" $((64 << 20)) "" hw_block_size=4096
judge 4096 181 4096
stop_daemon
