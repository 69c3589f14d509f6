#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A suite that nobody here wrote: libiscsi's, over iSCSI, on a LUN of the file
# handler with 512-byte blocks, on a removable one and on a read-only one.
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

size=$(( ${TCMU_VM_LUN_MIB:-256} << 20))

if [ "${TCMU_VM_BACKSTORE-}" = fileio ]; then
	conformance_fileio "$size"
	# By Debian's kernel 6.1.0-56 and libiscsi-bin 1.19.0-3.
	judge fileio 121/84/10 fileio
	exit
fi

start_daemon
bad=''
conformance_lun plain "" "$size"
judge plain 190 plain || bad=y

conformance_lun removable ";removable" "$size" SCSI.NoMedia,SCSI.PreventAllow,SCSI.StartStopUnit || bad=y
conformance_lun readonly ";readonly" "$size" SCSI.ReadOnly || bad=y
judge all 205 plain removable=SCSI.NoMedia,SCSI.PreventAllow,SCSI.StartStopUnit readonly=SCSI.ReadOnly || bad=y
stop_daemon
[ -z "$bad" ] || fail "the LUN does not conform"
