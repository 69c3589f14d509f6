#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The ground everything else stands on: the kernel's modules load, configfs has
# their directories, a storage object can be made and removed.

. "$TCMU_SRC/tests/vm/lib.sh"

step "kernel $(uname -r)"
load_modules
for module in target_core_mod target_core_user tcm_loop uio; do
	[ -d "/sys/module/$module" ] || fail "the module $module is not loaded"
done
[ -d "$cfs/core" ] || fail "configfs has no $cfs/core"

mkdir -p "$core/probe"
for file in control info enable attrib/cmd_time_out action/reset_ring wwn/vpd_unit_serial; do
	[ -e "$core/probe/$file" ] || fail "a user storage object has no $file"
done
within 10 rmdir "$core/probe" || fail "an object that was never enabled cannot be removed"
