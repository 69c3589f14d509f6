# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Debian's tcmu-runner 1.5 in the guest, from where it was unpacked (TCMU_VM_PEER), on a
# message bus of its own. Sourced by tests/bench/vm.sh after
# tests/bench/lib.sh.

. "$TCMU_SRC/tests/vm/bus.sh"

peer_dir=/run/peer
peer_lib=usr/lib/x86_64-linux-gnu

# Its name on the bus is there once it serves.
peer_is_ready()
{
	kill -0 "$daemon_pid" 2>/dev/null || return 0
	bus_has org.kernel.TCMUService1
}

# start_peer: only the handler qcow, which also serves raw images; the others are not for
# disks or need libraries that are not there.
start_peer()
{
	[ -n "${TCMU_VM_PEER:-}" ] || fail "Debian's tcmu-runner could not be downloaded"
	mkdir -p "$peer_dir/handlers" "$peer_dir/log" /etc/tcmu
	cp "$TCMU_VM_PEER/etc/tcmu/tcmu.conf" /etc/tcmu/
	cp "$TCMU_VM_PEER/$peer_lib/tcmu-runner/handler_qcow.so" "$peer_dir/handlers/"
	warm env LD_LIBRARY_PATH="$TCMU_VM_PEER/$peer_lib" "$TCMU_VM_PEER/usr/bin/tcmu-runner" --version
	warm cat "$TCMU_VM_PEER/usr/bin/tcmu-runner" "$peer_dir"/handlers/*
	warm dbus-send --help
	warm dbus-daemon --version
	bus_begin "$TCMU_VM_PEER/etc/dbus-1/system.d/tcmu-runner.conf"
	LD_LIBRARY_PATH=$TCMU_VM_PEER/$peer_lib "$TCMU_VM_PEER/usr/bin/tcmu-runner" \
		--handler-path "$peer_dir/handlers" --tcmu-log-dir "$peer_dir/log" >>"$daemon_log" 2>&1 </dev/null &
	daemon_pid=$!
	wait_for 60 peer_is_ready || fail "Debian's tcmu-runner is not ready after 60 s"
	kill -0 "$daemon_pid" 2>/dev/null ||
		fail "Debian's tcmu-runner ended instead of getting ready: $(cat "$peer_dir"/log/* 2>/dev/null)"
}

stop_peer()
{
	kill -TERM "$daemon_pid"
	wait_for 30 daemon_gone || fail "Debian's tcmu-runner runs on 30 s after SIGTERM"
	daemon_pid=''
	bus_end
}
