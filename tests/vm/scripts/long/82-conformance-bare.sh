#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# libiscsi's suite (see 80-conformance.sh) on a handler that has no more than
# open, close, read and write: what it lacks, the runner makes up for.
#
# timeout: 2000

. "$TCMU_SRC/tests/vm/lib.sh"
. "$TCMU_SRC/tests/vm/conformance.sh"
need iscsi-test-cu python3 tc
need_daemon
handlers_dir=$TCMU_BUILD/tests/vm-handlers
[ -e "$handlers_dir/handler_bare.so" ] || skip "$handlers_dir/handler_bare.so is not built"
iscsi_begin

start_daemon
conformance_handler=bare
conformance_units
# shellcheck disable=SC2086 # a list of words
judge bare 182 $all_units
stop_daemon
