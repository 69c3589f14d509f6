# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Debian's stock kernel, unpacked into a cache and never installed, and so are
# rtslib, targetcli and another tcmu-runner; the initramfs that gets a guest from it to the host's files; and the
# question whether KVM works. Sourced by tests/vm/run.

vm_cache=${TCMU_VM_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/tcmu-runner/vm}

# What the initramfs needs to reach the host's root and the data disk; all
# other modules are loaded from /lib/modules by name once the guest runs.
vm_modules=(virtio_pci virtio_blk 9p 9pnet_virtio overlay ext4)

# The package that linux-image-amd64 stands for today; nothing when apt does not know.
kernel_package()
{
	apt-cache depends linux-image-amd64 2>/dev/null |
		sed -n 's/^ *Depends: \(linux-image-[0-9].*-amd64\)$/\1/p' | head -n 1
}

# unpack_vmlinux BZIMAGE OUT: the ELF kernel inside. QEMU boots it directly (PVH),
# which saves the guest from running an xz decompressor under emulation: 3 of 5 s.
unpack_vmlinux()
{
	local at
	at=$(LC_ALL=C grep -aobF -m 1 $'\xfd7zXZ' "$1" | head -n 1 | cut -d : -f 1)
	[ -n "$at" ] || return 1
	# xz complains of what follows the stream; the ELF magic decides.
	tail -c "+$((at + 1))" "$1" | xz -dc --single-stream >"$2" 2>/dev/null || :
	[ "$(head -c 4 "$2" | tail -c 3)" = ELF ]
}

# fetch_kernel: sets vm_kernel_dir (boot/, lib/modules/), vm_kver and vm_kernel
# (the file to boot). Downloads once per kernel version.
fetch_kernel()
{
	local pkg dir tmp
	[ "$(uname -m)" = x86_64 ] || { echo "the VM's kernel is Debian's amd64 one; this is $(uname -m)" >&2; return 1; }
	mkdir -p "$vm_cache"
	exec {vm_lock}>"$vm_cache/lock"
	flock "$vm_lock"
	pkg=$(kernel_package)
	if [ -z "$pkg" ] && deps_root; then
		deps_apt update >/dev/null 2>&1 || :
		pkg=$(kernel_package)
	fi
	# Offline, yesterday's kernel is as good.
	[ -n "$pkg" ] || pkg=$(cd "$vm_cache" && find . -maxdepth 1 -name 'linux-image-*' -type d -printf '%f\n' | sort -V | tail -n 1)
	[ -n "$pkg" ] || { echo "apt knows no linux-image-amd64 and no kernel is in $vm_cache" >&2; return 1; }
	dir=$vm_cache/$pkg
	if [ ! -e "$dir/complete" ]; then
		echo "fetching $pkg into $vm_cache (once; it is unpacked there, not installed)" >&2
		tmp=$(mktemp -d "$vm_cache/.fetch.XXXXXX")
		if ! download_kernel "$pkg" "$tmp"; then
			rm -rf "$tmp"
			return 1
		fi
		rm -rf "$dir"
		mv "$tmp/root" "$dir"
		rm -rf "$tmp"
		: >"$dir/complete"
	fi
	exec {vm_lock}>&-
	vm_kernel_dir=$dir
	vm_kver=${pkg#linux-image-}
	vm_kernel=$dir/boot/vmlinux
	[ -e "$vm_kernel" ] || vm_kernel=$dir/boot/vmlinuz-$vm_kver
}

# download_package PACKAGE DIR: unpacked into DIR/root.
download_package()
{
	# The lists may name a version the mirror no longer has: refresh once.
	(cd "$2" && apt-get -q -o APT::Sandbox::User=root download "$1" >log 2>&1 ||
		{ deps_root && deps_apt update >log 2>&1 &&
			apt-get -q -o APT::Sandbox::User=root download "$1" >>log 2>&1; }) ||
		{ tail -n 5 "$2/log" >&2; echo "apt-get download $1 failed" >&2; return 1; }
	dpkg-deb -x "$2/$1"_*.deb "$2/root"
}

# download_kernel PACKAGE DIR: with its module index.
download_kernel()
{
	local kver=${1#linux-image-}
	download_package "$1" "$2" || return 1
	depmod -b "$2/root" "$kver" || return 1
	unpack_vmlinux "$2/root/boot/vmlinuz-$kver" "$2/root/boot/vmlinux" ||
		rm -f "$2/root/boot/vmlinux"
}

# fetch_unpacked NAME PACKAGE...: the packages, unpacked into $vm_cache/NAME; not 0 when
# they could not be downloaded.
fetch_unpacked()
{
	local name=$1 dir=$vm_cache/$1 pkg tmp got=y
	shift
	mkdir -p "$vm_cache"
	exec {vm_lock}>"$vm_cache/lock"
	flock "$vm_lock"
	if [ ! -e "$dir/complete" ]; then
		echo "fetching $name into $vm_cache (once; it is unpacked there, not installed)" >&2
		tmp=$(mktemp -d "$vm_cache/.fetch.XXXXXX")
		for pkg in "$@"; do
			[ -z "$got" ] || download_package "$pkg" "$tmp" || got=''
		done
		rm -rf "$dir"
		[ -z "$got" ] || mv "$tmp/root" "$dir"
		rm -rf "$tmp"
		[ -z "$got" ] || : >"$dir/complete"
	fi
	exec {vm_lock}>&-
	[ -n "$got" ]
}

# fetch_rtslib: exports TCMU_VM_RTSLIB, where Python finds it. Not installed, as
# with it comes a service that restores targets on this machine. Without it,
# scripts that need it are skipped.
fetch_rtslib()
{
	! fetch_unpacked rtslib python3-rtslib-fb python3-pyudev python3-six ||
		export TCMU_VM_RTSLIB=$vm_cache/rtslib/usr/lib/python3/dist-packages
}

# fetch_targetcli: exports TCMU_VM_TARGETCLI, the root of targetcli and what it needs of
# Python. Not installed either.
fetch_targetcli()
{
	! fetch_unpacked targetcli targetcli-fb python3-configshell-fb python3-rtslib-fb python3-pyudev python3-six \
		python3-urwid python3-pyparsing python3-gi gir1.2-glib-2.0 libgirepository-1.0-1 ||
		export TCMU_VM_TARGETCLI=$vm_cache/targetcli
}

# fetch_peer: exports TCMU_VM_PEER, the root of Debian's package of tcmu-runner 1.5, to
# measure beside ours. Not installed, as both are /usr/bin/tcmu-runner.
fetch_peer()
{
	! fetch_unpacked peer tcmu-runner libtcmu2 || export TCMU_VM_PEER=$vm_cache/peer
}

# make_initramfs OUT: busybox, the modules above in load order, tests/vm/init.
make_initramfs()
{
	local dir mod path
	dir=$(mktemp -d "$vm_tmp/initramfs.XXXXXX")
	mkdir -p "$dir"/{bin,dev,proc,sys,lib,root}
	cp "$(command -v busybox)" "$dir/bin/busybox"
	cp "$vm_dir/init" "$dir/init"
	chmod 755 "$dir/init"
	: >"$dir/modules"
	for mod in "${vm_modules[@]}"; do
		modprobe -d "$vm_kernel_dir" -S "$vm_kver" --show-depends "$mod"
	done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' >"$dir/order"
	while read -r path; do
		cp "$path" "$dir/lib/"
		basename "$path" >>"$dir/modules"
	done <"$dir/order"
	rm -f "$dir/order"
	(cd "$dir" && find . -print0 | cpio -o -0 -H newc --quiet) >"$1"
	rm -rf "$dir"
}

# kvm_works INITRAMFS: a /dev/kvm that exists may still hang, so boot something
# that says a word. The verdict is kept for as long as this host stays up.
kvm_works()
{
	local verdict
	[ -w /dev/kvm ] || return 1
	verdict=$vm_cache/kvm.$(cat /proc/sys/kernel/random/boot_id 2>/dev/null || echo unknown)
	if [ ! -e "$verdict" ]; then
		find "$vm_cache" -maxdepth 1 -name 'kvm.*' -delete
		if timeout -s KILL 8 qemu-system-x86_64 -accel kvm -cpu host -m 256 -nodefaults \
			-no-user-config -display none -serial stdio -no-reboot -kernel "$vm_kernel" \
			-initrd "$1" -append 'console=ttyS0 quiet panic=-1 tcmu_vm=probe' \
			</dev/null 2>/dev/null | grep -q 'tcmu-vm: probe'; then
			echo yes >"$verdict"
		else
			echo no >"$verdict"
		fi
	fi
	[ "$(cat "$verdict")" = yes ]
}
