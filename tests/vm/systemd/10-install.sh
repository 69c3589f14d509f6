#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Installed and enabled as the README says, on a machine with systemd: the unit starts, and starts by activation
# when targetcli asks for the handlers.
#
# needs: targetcli
# timeout: 300

. "$TCMU_SRC/tests/vm/systemd/lib.sh"
. "$TCMU_SRC/tests/lib/readme.sh"
[ -n "${TCMU_VM_TARGETCLI:-}" ] || skip "targetcli could not be downloaded"

# in_journal FIELD=VALUE...: a message has all of them.
in_journal() { journalctl --no-pager -q -b -o cat -u "$unit" "$@" >"$out" && [ -s "$out" ]; }

step "what Debian's packages of targetcli would install"
cp -a "$TCMU_VM_TARGETCLI/usr/." /usr/
cp -a "$TCMU_VM_TARGETCLI/lib/." /usr/lib/
cp -a "$TCMU_VM_TARGETCLI/etc/." /etc/
mkdir -p /etc/rtslib-fb-target /etc/target "$store"

step "installed, with the README's commands"
wait_for 120 boot_is_over || fail "the boot is not over: $(systemctl list-jobs)"
readme_begin "$TCMU_BUILD" "$out"
readme_block systemd-install >"$out" 2>&1 || fail "$(cat "$out")"
readme_end
is active || fail "it does not run"
said=$(systemd-analyze verify --man=no "$unit" 2>&1 | grep tcmu || :)
assert_eq "systemd-analyze verify" "$said" ""
systemctl --no-pager --full cat "$unit" | head -n 3

step "started by targetcli"
glfs=
[ ! -e "$TCMU_BUILD/handlers/handler_glfs.so" ] || glfs=y
systemctl stop "$unit"
assert_eq "result of the stop" "$(prop Result) $(prop ExecMainStatus)" "success 0"
cli '/backstores ls'
assert_eq "nodes" "$(grep -o 'user:[a-z]* \.\.\.' "$out" | tr -d '.\n')" "user:file ${glfs:+user:glfs }user:null user:qcow "
wait_for 30 is active || fail "it has not come to be ready"
assert_match "what the unit says" "$(prop StatusText)" '^[34] handlers \((file|glfs|null|qcow)(, (file|glfs|null|qcow)){2,3}\), 0 devices$'
assert_eq "the process" "$(cat "/proc/$(main_pid)/comm")" tcmu-runner
grep Seccomp: "/proc/$(main_pid)/status"
assert_eq "priority to live" "$(cat "/proc/$(main_pid)/oom_score_adj")" -900
assert_match "open files" "$(cat "/proc/$(main_pid)/limits")" 'open files *1000000 *1000000'

step "restored by targetctl"
systemctl enable rtslib-fb-targetctl.service 2>&1
systemctl start rtslib-fb-targetctl.service # with nothing to restore yet; its stop clears
journalctl --no-pager -b -o cat -u "$unit" -p warning >"$out"
[ ! -s "$out" ] || fail "complaints: $(cat "$out")"

step "what the journal has of one storage object"
dev=$core/journaled
mkdir -p "$dev"
put "$dev/control" dev_config=file/relative,dev_size=1048576
! within 60 put "$dev/enable" 1 2>"$out" || fail "a relative path was accepted"
rmdir "$dev" "$core"
wait_for 20 in_journal PRIORITY=3 HANDLER=file DEVICE="${core##*/}/journaled" || fail "not there, or without fields"
assert_match "the message" "$(cat "$out")" "^${core##*/}/journaled: .*is not an absolute path"
