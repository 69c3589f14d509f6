# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# What the scripts here share: a daemon that is installed, and systemd's. Sourced first.

. "$TCMU_SRC/tests/vm/lib.sh"
trap on_systemd_exit EXIT

shopt -s extglob
unit=tcmu-runner.service
out=/run/systemd.out
store=/srv/luns # on the disk that outlives a reboot

on_systemd_exit()
{
	local status=$?
	trap - EXIT
	case $status in
	0 | 77) exit "$status" ;;
	esac
	set +e
	echo "--- $unit:"
	systemctl status -n 0 --no-pager "$unit"
	echo "--- its journal, and that of targetctl:"
	journalctl --no-pager -b -o short-monotonic -n 60 -u "$unit" -u rtslib-fb-targetctl.service
	jobs -p | xargs -r kill -KILL 2>/dev/null
	exit "$status"
}

prop() { systemctl show -P "$1" "${2:-$unit}"; }

main_pid() { prop MainPID; }

# is STATE [UNIT]
is() { [ "$(prop ActiveState "${2:-$unit}")" = "$1" ]; }

# runs_anew PID: another process than that one is ready.
runs_anew() { is active && [ "$(main_pid)" != "$1" ] && [ "$(main_pid)" != 0 ]; }

# has_devices N: so the unit says.
has_devices() { [[ $(prop StatusText) == *", $1 device"?(s) ]]; }

# times_said TEXT: in this boot.
times_said() { journalctl -b -u "$unit" -o cat | grep -cF -- "$1" || :; }

# has_said TIMES TEXT
has_said() { [ "$(times_said "$2")" -ge "$1" ]; }

# boot_is_over: no job is left.
boot_is_over() { [ -z "$(systemctl list-jobs --no-legend 2>/dev/null)" ]; }

# cli COMMAND...: targetcli, each one a line; one process for all, since Python is slow here.
cli()
{
	printf '%s\n' "$@" exit >/run/targetcli.in
	# A background command, as within() makes one, has no input of its own.
	within 200 env TERM=dumb HOME=/root sh -c 'exec targetcli </run/targetcli.in' >"$out" 2>&1 ||
		fail "targetcli: $(cat "$out")"
}

# says TEXT: targetcli did.
says() { grep -qF -- "$1" "$out" || fail "targetcli does not say '$1': $(cat "$out")"; }

# object NAME: its directory in configfs.
object() { compgen -G "$cfs/core/user_*/$1" || fail "there is no storage object $1"; }

iqn=iqn.2003-01.org.linux-iscsi.tcmu:one

# login: sets DISK to the disk of the session.
login()
{
	within 60 iscsiadm -m discovery -t sendtargets -p 127.0.0.1 >"$out" 2>&1 || fail "discovery: $(cat "$out")"
	within 60 iscsiadm -m node -T "$iqn" -p 127.0.0.1:3260 --login >"$out" 2>&1 || fail "login: $(cat "$out")"
	wait_for 30 iscsi_disk || fail "no disk after the login"
}

iscsi_disk()
{
	local dev
	for dev in /sys/class/iscsi_session/session*/device/target*/*/block/*; do
		[ -e "$dev" ] || continue
		DISK=/dev/${dev##*/}
		[ -b "$DISK" ] && [ "$(blockdev --getsize64 "$DISK" 2>/dev/null || echo 0)" -gt 0 ] && return 0
	done
	return 1
}

logout()
{
	within 60 iscsiadm -m node -T "$iqn" -p 127.0.0.1:3260 --logout >"$out" 2>&1 || fail "logout: $(cat "$out")"
}
