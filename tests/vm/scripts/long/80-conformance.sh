#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A suite that nobody here wrote: libiscsi's, over iSCSI, on a LUN of the file
# handler with 512-byte blocks, and those of its tests that a plain LUN cannot pass on
# one with larger physical blocks, a large, a removable, a read-only and one with
# atomic writes.
#
# TCMU_VM_BACKSTORE=fileio runs it on the kernel's own file backstore instead,
# whose numbers are known: a check of the counting.
#
# timeout: 2000

. "$TCMU_SRC/tests/vm/lib.sh"
. "$TCMU_SRC/tests/vm/conformance.sh"
need iscsi-test-cu python3
need_daemon
iscsi_begin

# Fewer than 65536 blocks: the suite's WriteSame16.Unmap would write as many with one
# command, whatever MAXIMUM TRANSFER LENGTH is.
size=$((${TCMU_VM_LUN_MIB:-31} << 20))

if [ "${TCMU_VM_BACKSTORE-}" = fileio ]; then
	conformance_fileio "$size"
	# By Debian's kernel 6.1.0-56 and libiscsi-bin 1.19.0-3.
	judge fileio 121/84/10 fileio
	exit
fi

start_daemon
bad=''
suite_left_out="SCSI.Sanitize.Reset SCSI.WriteSame10.UnmapUntilEnd" # on the large one
# The suite's GetLBAStatus.UnmapSingle is for physical blocks of one logical one: it
# asks for the status of block n + 1 and expects that of n + LBPPB.
conformance_lun plain ";phys=512" "$size"
# For LBPPB of 2 and more it has other tests (see 81-conformance-4096.sh, too).
conformance_lun physical ";phys=4096" "$size" \
	SCSI.WriteSame10.UnmapUnaligned,SCSI.WriteSame16.UnmapUnaligned,SCSI.WriteSame10.InvalidDataOutSize,SCSI.WriteSame16.InvalidDataOutSize,SCSI.CompareAndWrite.InvalidDataOutSize
# A sanitize operation that is still under way after four seconds at 200 MiB/s, and
# WRITE SAME of 0 blocks refused: where it is not, the suite's test asks for a pattern
# of FFh and wants to read zeros.
conformance_lun large "" $((1200 << 20)) "SCSI.Sanitize.Reset SCSI.WriteSame10.UnmapUntilEnd"
judge plain 190 plain physical large || bad=y
conformance_lun removable ";removable" "$size" \
	"SCSI.NoMedia,SCSI.StartStopUnit SCSI.PreventAllow.Simple SCSI.PreventAllow.Eject SCSI.PreventAllow.LUNReset"
conformance_lun readonly ";ro" "$size" SCSI.ReadOnly
conformance_lun atomic ";atomic;phys=4096" "$size" SCSI.WriteAtomic16
judge all 205 plain physical large removable readonly atomic || bad=y
stop_daemon
[ -z "$bad" ] || fail "the LUN does not conform"
