#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# libiscsi's suite (see 80-conformance.sh) on a file of a GlusterFS volume.
#
# timeout: 6000

. "$TCMU_SRC/tests/vm/lib.sh"
. "$TCMU_SRC/tests/vm/conformance.sh"
. "$TCMU_SRC/tests/vm/gluster.sh"
need iscsi-test-cu python3 tc
need_daemon
gluster_begin
iscsi_begin

start_daemon
conformance_handler=glfs
conformance_units
# shellcheck disable=SC2086 # a list of words
judge glfs 199 $all_units
stop_daemon
