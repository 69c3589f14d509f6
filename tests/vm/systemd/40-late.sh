#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A boot in which targetctl restores with no daemon there: the one that comes later serves all of it. Then all is
# deleted with targetcli.
#
# needs: targetcli
# boot: again
# timeout: 300
#
# The initiator of this kernel warns of itself at a logout.
# dmesg: allowed WQ_MEM_RECLAIM iscsi_ctrl_.*iscsi_unbind_session
# dmesg: allowed WARNING: .* check_flush_dependency
# dmesg: allowed Call Trace:

. "$TCMU_SRC/tests/vm/systemd/lib.sh"

restored_objects() { compgen -G "$cfs/core/user_*/two" >/dev/null && [ "$(cat "$cfs"/core/user_*/two/enable)" = 1 ]; }

step "restored without a daemon"
wait_for 120 restored_objects || fail "targetctl has restored nothing"
is inactive || fail "the daemon runs: $(prop ActiveState)"
is active rtslib-fb-targetctl.service || is activating rtslib-fb-targetctl.service || fail "targetctl has failed"
echo "targetctl is $(prop ActiveState rtslib-fb-targetctl.service)"

step "the daemon comes"
within 60 systemctl start "$unit"
wait_for 60 is active rtslib-fb-targetctl.service || fail "targetctl has not come to its end"
wait_for 120 boot_is_over || fail "the boot is not over: $(systemctl list-jobs)"
wait_for 20 has_devices 2 || fail "the unit says: $(prop StatusText)"
systemctl start iscsid.service
login
mkdir -p /mnt/one
mount "$DISK" /mnt/one
assert_eq "the files" "$(tree_sum /mnt/one)" "$(cat /srv/one.sum)"
umount /mnt/one

step "deleted with targetcli, the one under an initiator that is logged in"
cli '/backstores/user:file delete one'
says 'Deleted storage object one'
! compgen -G "$cfs/core/user_*/one" || fail "it is still there: $(cat "$out")"
wait_for 10 has_devices 1 || fail "the unit says: $(prop StatusText)"
logout
systemctl stop iscsid.socket iscsid.service
cli "/iscsi delete $iqn" '/loopback delete naa.5001405000000002' \
	'/backstores/user:file delete two' 'saveconfig'
! compgen -G "$cfs/core/user_*/*/udev_path" || fail "something is left: $(cat "$out")"
wait_for 10 has_devices 0 || fail "the unit says: $(prop StatusText)"
within 60 systemctl stop "$unit"
assert_eq "result of the stop" "$(prop Result) $(prop ExecMainStatus)" "success 0"
