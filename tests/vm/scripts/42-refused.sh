#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What cannot be opened is refused with the errno that says why, seen by whoever
# writes `enable`; and the daemon goes on serving.
#
# timeout: 400

. "$TCMU_SRC/tests/vm/lib.sh"
need_daemon

size=$((16 << 20))
start_daemon
good=$(backing good.img "$size")
lun_create good "file/$good" "$size"

lun_refused 'No such file or directory' bad "file//mnt/data/there-is-no-such.img" "$size"
lun_refused 'No such file or directory' bad "file//mnt/data/no/such/dir.img" "$size"
mkdir -p /mnt/data/directory
lun_refused 'Is a directory' bad "file//mnt/data/directory" "$size"
lun_refused '(Invalid argument|No space left on device|File too large)' bad \
	"file/$(backing small.img 4096)" "$size"
lun_refused 'Device or resource busy' bad "file/$good" "$size"
ln -s "$good" /mnt/data/alias.img
lun_refused 'Device or resource busy' bad "file//mnt/data/alias.img" "$size"
lun_refused 'Invalid argument' bad "file/$(backing odd.img "$size");nosuchoption" "$size"

begin=$SECONDS
lun_refused 'No such file or directory' bad "nosuchsubtype/$good" "$size"
step "an unknown subtype was refused after $((SECONDS - begin)) s"
[ $((SECONDS - begin)) -le 7 ] || fail "refusing an unknown subtype took $((SECONDS - begin)) s"
# A subtype is matched whole: neither a prefix nor an extension will do.
lun_refused 'No such file or directory' bad "fi/$good" "$size"
lun_refused 'No such file or directory' bad "files/$good" "$size"

step "still serving"
daemon_alive || fail "the daemon is gone"
lun_attach good
dd if="$DISK" of=/dev/null bs=1M count=8 iflag=direct status=none
lun_detach good
lun_create second "file/$(backing second.img "$size")" "$size"
lun_attach second
lun_detach second
lun_delete second
lun_delete good

step "what was busy is free again"
lun_create again "file/$good" "$size"
lun_delete again
stop_daemon
