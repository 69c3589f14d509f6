#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Random writes of every size from 512 bytes to 1 MiB, 32 at a time, each with
# its own checksum that a later read must find: as the daemon is by default, and with the
# other engine and without looking for commands.
#
# timeout: 300

. "$TCMU_SRC/tests/vm/lib.sh"
need fio
need_daemon

size=$((256 << 20))
for words in '' '--engine=workers --spin=0'; do
	step "tcmu-runner $words"
	read -r -a options <<<"$words"
	start_daemon "${options[@]}"
	lun_create fio "file/$(backing fio.img "$size")" "$size"
	lun_attach fio
	fio_verify "$DISK" --bsrange=512-1M --blockalign=512 --runtime="${TCMU_VM_FIO_SECONDS:-15}"
	lun_detach fio
	lun_delete fio
	stop_daemon
done
