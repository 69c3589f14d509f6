#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# libiscsi's suite (see 80-conformance.sh) on 4096-byte blocks.
#
# timeout: 2000

. "$TCMU_SRC/tests/vm/lib.sh"
. "$TCMU_SRC/tests/vm/conformance.sh"
need iscsi-test-cu python3
need_daemon
iscsi_begin

start_daemon
conformance_lun 4096 "" $((64 << 20)) "" hw_block_size=4096
judge 4096 190 4096
stop_daemon
