#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# As 70-many, with a thousand storage objects.
#
# timeout: 1800
# mem: 6000

export TCMU_MANY=1000
. "$TCMU_SRC/tests/vm/scripts/70-many.sh"
