# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs the README's blocks as they are written. Sourced by the guest script
# 10-readme and by tests/demo, so it wants nothing but TCMU_SRC.
#
# The README's reader is in the source tree and built in build/; here that is
# a directory with a link to whatever build directory is meant.

readme_daemon=''

# readme_begin BUILD LOG: LOG gets what the blocks' background programs say.
readme_begin()
{
	readme_dir=$(mktemp -d "${TMPDIR:-/tmp}/tcmu-readme.XXXXXX")
	readme_log=$2
	ln -s "$1" "$readme_dir/build"
}

readme_end() { rm -rf "$readme_dir"; }

# readme_block NAME: runs it; one that starts the daemon returns when it serves.
readme_block()
{
	local block old=$PWD status=0
	block=$("$TCMU_SRC/tests/lib/readme-block" "$1")
	cd "$readme_dir"
	case $block in
	*'&')
		# In this shell, so that the daemon is our child to wait for.
		eval "$block" >>"$readme_log" 2>&1 </dev/null || status=$?
		readme_daemon=$!
		readme_ready || status=1
		;;
	*) bash -e -c "$block" </dev/null || status=$? ;;
	esac
	cd "$old"
	return "$status"
}

readme_ready()
{
	local i
	for ((i = 0; i < 300; i++)); do
		! grep -q '^tcmu-runner: ready' "$readme_log" || return 0
		kill -0 "$readme_daemon" 2>/dev/null || return 1
		sleep 0.1
	done
	return 1
}

# readme_disk: sets DISK to the loopback disk that the README's blocks made.
readme_disk()
{
	local address i link
	address=$(cat /sys/kernel/config/target/loopback/naa.6001405000000001/tpgt_1/address) || return 1
	for ((i = 0; i < 300; i++)); do
		for link in "/sys/class/scsi_device/$address:0/device/block/"*; do
			DISK=/dev/${link##*/}
			[ -b "$DISK" ] && [ "$(cat "/sys/block/${link##*/}/size")" -gt 0 ] && return 0
		done
		sleep 0.1
	done
	return 1
}
