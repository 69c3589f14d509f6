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
need iscsi-test-cu python3 tc
need_daemon
iscsi_begin

if [ "${TCMU_VM_BACKSTORE-}" = fileio ]; then
	conformance_fileio $((31 << 20))
	# By Debian's kernel 6.1.0-56 and libiscsi-bin 1.19.0-3.
	judge fileio 121/84/10 fileio
	exit
fi

start_daemon
conformance_units ";atomic;phys=4096"
bad=''
# shellcheck disable=SC2086 # lists of words
judge plain 190 $plain_units || bad=y
# shellcheck disable=SC2086
judge all 205 $all_units || bad=y
stop_daemon
[ -z "$bad" ] || fail "the LUN does not conform"
