#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Eight initiators count in one block with COMPARE AND WRITE, each through an I_T
# nexus of its own: not one addition is lost. On the file handler, and on one of
# which the runner has nothing but read and write.
#
# timeout: 400

. "$TCMU_SRC/tests/vm/lib.sh"
need_daemon
caw=$TCMU_BUILD/tests/caw
[ -x "$caw" ] || skip "$caw is not built"
[ -e "$TCMU_BUILD/tests/vm-handlers/handler_bare.so" ] || skip "handler_bare.so is not built"

size=$((16 << 20))
each=${TCMU_VM_CAW_COUNT:-100}

count_together()
{
	local i disks=()
	lun_create caw "$1/$(backing caw.img "$size")" "$size"
	for i in {1..8}; do
		lun_attach caw "caw$i"
		disks+=("$DISK")
	done
	within 150 "$caw" "$each" "${disks[@]}" || fail "handler $1: the count is not right"
	step "handler $1"
	for i in {1..8}; do
		lun_detach "caw$i"
	done
	lun_delete caw
}

start_daemon
count_together file
stop_daemon
handlers_dir=$TCMU_BUILD/tests/vm-handlers
start_daemon
count_together bare
stop_daemon
