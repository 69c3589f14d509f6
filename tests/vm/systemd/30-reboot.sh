#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# After a reboot everything is there again: targetctl has cleared while the daemon was still there, and restored
# when it was there again.
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
wait_for 120 boot_is_over || fail "the boot is not over: $(systemctl list-jobs)"

# at PROPERTY UNIT: in microseconds of this boot.
at() { prop "$1" "$2"; }

step "the boot"
is active || fail "the daemon does not run"
is active rtslib-fb-targetctl.service || fail "targetctl has not restored"
ready=$(at ActiveEnterTimestampMonotonic "$unit")
restored=$(at ExecMainStartTimestampMonotonic rtslib-fb-targetctl.service)
echo "ready at $ready us, targetctl at $restored us"
[ "$ready" -le "$restored" ] || fail "targetctl has begun before the daemon was ready"
journalctl --no-pager -b -o cat -u rtslib-fb-targetctl.service | grep -i -E 'error|could not|fail' >"$out" || :
[ ! -s "$out" ] || fail "targetctl: $(cat "$out")"
assert_match "what the unit says" "$(prop StatusText)" ', 2 devices$'
for name in one two; do
	assert_eq "enable of $name" "$(cat "$(object "$name")/enable")" 1
done

step "the shutdown before it"
# In the order of the journal: clear has ended, then the daemon was told to stop.
journalctl --no-pager -b -1 -o cat -u rtslib-fb-targetctl.service -u "$unit" | tail -n 12
order=$(journalctl --no-pager -b -1 -o cat -u rtslib-fb-targetctl.service -u "$unit" |
	grep -E 'Stopped .*Restore LIO|(^|tcmu-runner: )stopped$' | tail -n 2 || :)
assert_match "the last two" "$(tr '\n' ' ' <<<"$order")" 'Restore LIO.*stopped $'

step "the data"
systemctl start iscsid.service
login
mkdir -p /mnt/one
mount "$DISK" /mnt/one
assert_eq "the files" "$(tree_sum /mnt/one)" "$(cat /srv/one.sum)"
umount /mnt/one
logout
systemctl stop iscsid.socket iscsid.service

step "for the next boot: nobody starts the daemon, and nothing is cleared at the end"
systemctl disable "$unit" 2>&1
