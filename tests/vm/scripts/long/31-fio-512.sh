#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A minute of verified random I/O on 512-byte blocks, buffered and direct.
#
# timeout: 300

. "$TCMU_SRC/tests/vm/lib.sh"
need fio
need_daemon

size=$((256 << 20))
start_daemon
for option in '' ';direct'; do
	file=$(backing fio.img "$size")
	step "file/$file$option"
	lun_create fio "file/$file$option" "$size" hw_block_size=512
	lun_attach fio
	fio_verify "$DISK" --bsrange=512-1M --blockalign=512 --runtime=60
	lun_detach fio
	lun_delete fio
done
stop_daemon
