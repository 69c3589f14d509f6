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

start_daemon
conformance_handler=qcow
conformance_units
# shellcheck disable=SC2086 # a list of words
judge qcow 199 $all_units
stop_daemon
