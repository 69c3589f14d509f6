# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# What the build and the tests need from Debian 12. Sourced, never run:
#
#	. tests/lib/deps.sh
#	deps_need build test vm
#
# Has to work in a freshly bootstrapped minimal system, so it uses nothing but
# bash, dpkg and apt, and no /dev/fd.

# Debian 12's package names, by what they are for.
deps_build=(
	gcc g++ make cmake pkg-config libc6-dev
	libnl-3-dev libnl-genl-3-dev libkmod-dev libglib2.0-dev liburing-dev
	libsystemd-dev zlib1g-dev libzstd-dev libglusterfs-dev
)
deps_test=(
	libcmocka-dev clang clang-format libclang-rt-14-dev valgrind dbus-daemon
	python3 procps util-linux man-db groff-base systemd qemu-utils
	glusterfs-server attr qemu-block-extra fio
)
deps_vm=(
	qemu-system-x86 busybox-static cpio kmod e2fsprogs dmsetup
	sg3-utils sdparm fio python3 util-linux mount xz-utils
	libiscsi-bin open-iscsi iproute2 ddpt smartmontools xfsprogs btrfs-progs dbus-daemon dbus-bin
	systemd udev dbus cmake qemu-utils glusterfs-server qemu-block-extra
)
# The message bus that Debian's tcmu-runner needs (tests/bench/run --backstores peer).
deps_peer=(dbus-daemon dbus-bin libglib2.0-0 libkmod2 libnl-3-200 libnl-genl-3-200)
# tests/bench/run --profile.
deps_profile=(linux-perf)
deps_demo=(kmod e2fsprogs sg3-utils util-linux mount)

# deps_missing SET...: the packages of these sets that are not installed, one a line.
deps_missing()
{
	local set pkg
	for set in "$@"; do
		local -n list="deps_$set"
		for pkg in "${list[@]}"; do
			case $(dpkg-query -W -f '${db:Status-Status}' "$pkg" 2>/dev/null || :) in
			installed) ;;
			*) echo "$pkg" ;;
			esac
		done
	done | sort -u
}

deps_root() { [ "${EUID:-$(id -u)}" -eq 0 ]; }

# deps_apt ARG...: apt-get that never asks. The keyboard is not its to read.
deps_apt()
{
	DEBIAN_FRONTEND=noninteractive DEBCONF_NOWARNINGS=yes \
		apt-get -q -y -o APT::Sandbox::User=root -o Dpkg::Use-Pty=0 "$@" </dev/null
}

# deps_install PACKAGE...: one quiet attempt, and one with fresh package lists.
deps_install()
{
	local log
	log=$(mktemp)
	if deps_apt install --no-install-recommends "$@" >"$log" 2>&1 ||
		{ deps_apt update && deps_apt install --no-install-recommends "$@"; } >"$log" 2>&1; then
		rm -f "$log"
		return 0
	fi
	tail -n 20 "$log" >&2
	rm -f "$log"
	echo "apt-get could not install: $*" >&2
	return 1
}

# deps_need SET...: after this returns 0, everything in these sets is there.
# Installing is what root gets; anyone else is told what to type.
deps_need()
{
	local missing pkgs
	if ! command -v dpkg-query >/dev/null; then
		echo "note: this is not a Debian system; going on without checking for: $*" >&2
		return 0
	fi
	pkgs=$(deps_missing "$@")
	read -r -d '' -a missing <<<"$pkgs" || :
	[ "${#missing[@]}" -gt 0 ] || return 0
	if ! deps_root; then
		echo "missing packages: ${missing[*]}" >&2
		echo "install them with: sudo apt-get install --no-install-recommends ${missing[*]}" >&2
		return 1
	fi
	echo "installing with apt-get: ${missing[*]}" >&2
	deps_install "${missing[@]}"
}

# deps_proc: in a bare chroot these may be missing: /proc, without which neither the
# sanitizers nor bash's <(...) work, and /dev/pts, without which there is no terminal
# to open by mistake. deps_proc_off takes away again what it mounted.
deps_mounted=()
deps_proc()
{
	deps_mount_missing /proc/self -t proc proc /proc
	deps_mount_missing /dev/pts/ptmx -t devpts -o newinstance,ptmxmode=0666 devpts /dev/pts
}

# deps_mount_missing WHAT-IT-GIVES MOUNT-ARGUMENT... MOUNT-POINT
deps_mount_missing()
{
	local gives=$1 at=${*: -1}
	shift
	[ ! -e "$gives" ] || return 0
	if ! deps_root || ! mount "$@" 2>/dev/null; then
		echo "note: $at is not mounted and cannot be" >&2
		return 0
	fi
	deps_mounted+=("$at")
	echo "mounted $at, for as long as this runs" >&2
}

deps_proc_off()
{
	local at
	for at in "${deps_mounted[@]}"; do
		umount "$at" || :
	done
}
