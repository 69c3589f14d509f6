#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A LUN is taken away while it is written to: the administrator's commands
# return, the daemon lives, and its other LUN notices nothing.
#
# timeout: 400
# The initiator whose disk vanishes is right to complain.
# dmesg: allowed I/O error|error, dev sd|Buffer I/O|rejecting I/O|lost async page

. "$TCMU_SRC/tests/vm/lib.sh"
need fio
need_daemon

size=$((128 << 20))
start_daemon
lun_create gone "file/$(backing gone.img "$size")" "$size"
lun_create stays "file/$(backing stays.img "$size")" "$size"
lun_attach gone
gone=$DISK
lun_attach stays
stays=$DISK

fio_verify "$gone" --bs=64k --runtime=60 >"$TCMU_RESULTS/41-gone.out" 2>&1 &
gone_pid=$!
fio_verify "$stays" --bs=64k --runtime=15 >"$TCMU_RESULTS/41-stays.out" 2>&1 &
stays_pid=$!
sleep 4
step "removing the LUN under I/O"
lun_detach gone
lun_delete gone
step "removed"
if wait "$gone_pid"; then
	fail "fio on the removed disk saw no error"
fi
daemon_alive || fail "the daemon is gone"
wait "$stays_pid" || fail "the other LUN was hurt: $(cat "$TCMU_RESULTS/41-stays.out")"

step "the same name again"
lun_create gone "file/$(backing gone.img "$size")" "$size"
lun_attach gone
dd if="$DISK" of=/dev/null bs=1M count=8 iflag=direct status=none
lun_detach gone
lun_delete gone
lun_detach stays
lun_delete stays
stop_daemon
