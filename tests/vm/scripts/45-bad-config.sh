#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Config strings at the limits of the kernel and beyond what a file handler can
# serve: whoever writes `enable` gets the errno that says why, in time; the
# daemon lives; its other LUN notices nothing.
#
# timeout: 300
# Counted at the end:
# dmesg: allowed Call Trace:

. "$TCMU_SRC/tests/vm/lib.sh"
need fio flock losetup mkfs.ext4
need_daemon

size=$((16 << 20))
soon=8 # seconds for an answer that waits for nothing, on a slow machine
dir=/mnt/data

# store FILE VALUE: one write(2); bash's own echo makes one of each line.
store()
{
	case $2 in
	*$'\n'?*) printf %s "$2" | dd of="$1" bs=4096 iflag=fullblock conv=notrunc status=none ;;
	*) put "$1" "$2" ;;
	esac
}

# set_up NAME [FILE VALUE]...: writes each value as it is, and enables it.
set_up()
{
	local dev=$core/$1
	shift
	while [ $# -gt 0 ]; do
		store "$dev/$1" "$2" || return 1
		shift 2
	done
	within "${limit:-$soon}" enable "$dev"
}

# refused_as NAME SECONDS ERROR [FILE VALUE]...: by this errno, in time.
refused_as()
{
	local name=$1 limit=$2 want=$3 said status=0 begin
	shift 3
	begin=${EPOCHREALTIME/./}
	said=$(set_up "$name" "$@" 2>&1) || status=$?
	[ "$status" -ne 124 ] || fail "no answer to [$*] within $limit s"
	[ "$status" -ne 0 ] || fail "[$*] was accepted, expected: $want"
	case $said in
	*": $want") ;;
	*) fail "[$*] was refused, but not by '$want': $said" ;;
	esac
	step "$(((${EPOCHREALTIME/./} - begin) / 1000)) ms: $want [${*//[[:cntrl:]]/?}]"
	daemon_alive || fail "the daemon died of [$*]"
	load_runs
}

# refused ERROR [FILE VALUE]...: at once. The same object each time: a refusal
# leaves nothing behind that would be in the way of the next attempt.
refused() { refused_as bad "$soon" "$@"; }

# slowly NAME ERROR [FILE VALUE]...: in the background, by one that may wait.
slow_pids=()
slowly()
{
	mkdir "$core/$1"
	refused_as "$1" 40 "${@:2}" &
	slow_pids+=($!)
}

# served NAME PATH: enabled, and the daemon has this file open.
served()
{
	local fd
	assert_eq "enable of $1" "$(<"$core/$1/enable")" 1
	for fd in "/proc/$daemon_pid/fd"/*; do
		[ ! "$fd" -ef "$2" ] || return 0
	done
	fail "$1 is enabled, but the daemon has not opened $2"
}

# accepted NAME PATH [FILE VALUE]...: and deleted again.
accepted()
{
	local name=$1 path=$2
	shift 2
	mkdir "$core/$name"
	set_up "$name" "$@" || fail "[$*] was refused"
	served "$name" "$path"
	step "accepted [${*//[[:cntrl:]]/?}]"
	lun_delete "$name"
	load_runs
}

# long_path LENGTH FILE: this file's path with so many characters.
long_path()
{
	local path=$dir/ tail=$2
	while [ $((${#path} + ${#tail} + 2)) -le "$1" ]; do
		path+=./
	done
	[ $((${#path} + ${#tail})) -eq "$1" ] || path+=/
	echo "$path$tail"
}

file() { truncate -s "${2:-$size}" "$dir/$1"; }

start_daemon
lun_create other "file/$(backing other.img 64M)" $((64 << 20))
lun_attach other
load_begin "$DISK"
sized=(control "dev_size=$size")
fds=("/proc/$daemon_pid/fd"/*)

step "what takes its time, all at once: nobody's subtype, files and disks in use"
file locked.img
flock -x "$dir/locked.img" sleep 1000 &
file mounted.img
mkfs.ext4 -q "$dir/mounted.img"
mounted=$(losetup -f --show "$dir/mounted.img")
mkdir -p /mnt/mounted
mount "$mounted" /mnt/mounted
slowly none 'No such file or directory' "${sized[@]}"
slowly nothing 'No such file or directory' control dev_config= "${sized[@]}"
slowly slash 'No such file or directory' control dev_config=/ "${sized[@]}"
slowly nobody 'No such file or directory' control dev_config=/file "${sized[@]}"
slowly cntrl 'No such file or directory' control $'dev_config=\001\e[2J/x' "${sized[@]}"
slowly locked 'Device or resource busy' control "dev_config=file/$dir/locked.img" "${sized[@]}"
slowly mounted 'Device or resource busy' control "dev_config=file/$mounted" "${sized[@]}"
slowly root 'Device or resource busy' control "dev_config=file//dev/vda" "${sized[@]}"
mkdir "$core/bad"

step "lengths"
file long.img
path=$(long_path 250 long.img)
assert_eq "the config string's length" "$(wc -c <<<"file/$path")" 256 # with wc's newline
accepted long "$dir/long.img" control "dev_config=file/$path" "${sized[@]}"
accepted long "$dir/long.img" attrib/dev_config "file/$path" "${sized[@]}"
# The kernel keeps the first 255 bytes of a value in control, without a word
# (match_strlcpy() in tcmu_set_configfs_dev_params()): another path.
path=$(long_path 251 long.img)
refused 'No such file or directory' control "dev_config=file/$path" "${sized[@]}"
assert_match "the log" "$(<"$daemon_log")" '/long\.im. cannot be opened'
path=$(long_path 1500 long.img)
refused 'Is a directory' control "dev_config=file/$path" "${sized[@]}"
# In attrib/ it refuses, and counts the newline of echo (tcmu_dev_config_store()).
mkdir "$core/over"
! put "$core/over/attrib/dev_config" "file/$(long_path 251 long.img)" 2>/dev/null || fail "attrib/dev_config took 256 bytes"
! put "$core/over/attrib/dev_config" "file/$(long_path 250 long.img)"$'\n' 2>/dev/null || fail "attrib/dev_config took 256 bytes"
rmdir "$core/over"
# The longest names of all: of the object, and of its backing.
name=$(printf 'n%.0s' {1..240})
accepted "$name" "$dir/long.img" control "dev_config=file/$(long_path 250 long.img)" "${sized[@]}"

step "commas, newlines and other characters"
file 'base,v2.img'
refused 'No such file or directory' control "dev_config=file/$dir/base,v2.img" "${sized[@]}"
assert_match "the log" "$(<"$daemon_log")" "'$dir/base' cannot be opened"
accepted comma "$dir/base,v2.img" attrib/dev_config "file/$dir/base,v2.img" "${sized[@]}"
accepted newline "$dir/long.img" attrib/dev_config "file/$dir/long.img"$'\n' "${sized[@]}"
accepted newlines "$dir/long.img" control "dev_config=file/$dir/long.img"$'\n'"dev_size=$size"$'\n'
odd=$'odd \a\e[31m\x7f "\'%s:*\\.img'
file "$odd"
accepted odd "$dir/$odd" control "dev_config=file/$dir/$odd" "${sized[@]}"
refused 'No such file or directory' control "dev_config=file/$dir/not $odd" "${sized[@]}"
forged=$'two\ntcmu-runner: forged.img'
file "$forged"
accepted forged "$dir/$forged" attrib/dev_config "file/$dir/$forged" "${sized[@]}"
refused 'No such file or directory' attrib/dev_config "file/$dir/not $forged" "${sized[@]}"
refused 'Invalid argument' control "dev_config=file" "${sized[@]}"
refused 'Invalid argument' control "dev_config=file/" "${sized[@]}"
refused 'Invalid argument' control "dev_config=file/relative.img" "${sized[@]}"
refused 'Invalid argument' control "dev_config=file/$dir/long.img;" "${sized[@]}"

step "what is no file"
mkfifo "$dir/fifo"
refused 'Invalid argument' control "dev_config=file/$dir/fifo" "${sized[@]}"
refused 'Invalid argument' control "dev_config=file/$dir/fifo;ro" "${sized[@]}"
refused 'Invalid argument' control "dev_config=file/$dir/fifo;create" "${sized[@]}"
refused 'Is a directory' control "dev_config=file/$dir" "${sized[@]}"
refused 'Is a directory' control "dev_config=file//" "${sized[@]}"
ln -s loop2 "$dir/loop1"
ln -s loop1 "$dir/loop2"
refused 'Too many levels of symbolic links' control "dev_config=file/$dir/loop1" "${sized[@]}"
refused 'Invalid argument' control "dev_config=file//dev/zero" "${sized[@]}"
refused 'Invalid argument' control "dev_config=file//dev/ttyS0" "${sized[@]}"
refused 'Invalid argument' control "dev_config=file//proc/version" "${sized[@]}"
refused 'Not a directory' control "dev_config=file/$dir/long.img/x" "${sized[@]}"

step "sizes"
file empty.img 0
accepted own "$dir/long.img" control "dev_config=file/$dir/long.img"
accepted own "$dir/long.img" control "dev_config=file/$dir/long.img" control dev_size=0
accepted less "$dir/long.img" control "dev_config=file/$dir/long.img" control dev_size=4096
for wrong in $((size + 1)) 511 18446744073709551615; do
	refused 'Invalid argument' control "dev_config=file/$dir/long.img" control "dev_size=$wrong"
done
refused 'Invalid argument' control "dev_config=file/$dir/empty.img" control dev_size=0
refused 'Invalid argument' control "dev_config=file/$dir/new.img;create" control dev_size=0
refused 'File too large' control "dev_config=file/$dir/new.img;create" control dev_size=$((1 << 60))
mkdir "$core/blocks"
for wrong in 1000 256 1 131072; do
	refused_as blocks "$soon" 'Invalid argument' control "dev_config=file/$dir/long.img" "${sized[@]}" \
		control "hw_block_size=$wrong"
done
# These the kernel refuses by itself, as it does 0 for the block size.
for wrong in dev_size=-1 dev_size=12x hw_block_size=0 hw_block_size=-512; do
	! put "$core/blocks/control" "$wrong" 2>/dev/null || fail "control took $wrong"
done
rmdir "$core/blocks"

step "in use"
mkdir "$core/used" "$core/disk"
set_up used control "dev_config=file/$dir/long.img" "${sized[@]}" || fail "refused"
refused 'Device or resource busy' control "dev_config=file/$dir/long.img" "${sized[@]}"
refused 'Device or resource busy' control "dev_config=file/$(long_path 250 long.img);ro" "${sized[@]}"
! mkdir "$core/used" 2>/dev/null || fail "a second object has the same name"
said=$(within "$soon" put "$core/used/enable" 1 2>&1) && fail "it can be enabled twice"
assert_match "enabling it twice" "$said" 'File exists$'
said=$(within "$soon" put "$core/used/attrib/dev_config" "file/$dir/other.img" 2>&1) && fail "a served object changes its file"
assert_match "another file" "$said" 'Operation not supported$'
said=$(within "$soon" put "$core/used/attrib/dev_config" "null/$dir" 2>&1) && fail "a served object changes its handler"
assert_match "another handler" "$said" 'Invalid argument$'
assert_eq "the config string" "$(cat "$core/used/attrib/dev_config")" "file/$dir/long.img"
served used "$dir/long.img"
file namesake.img
mkdir -p "$cfs/core/user_7"
core=$cfs/core/user_7 accepted used "$dir/namesake.img" control "dev_config=file/$dir/namesake.img" "${sized[@]}"
served used "$dir/long.img"
lun_delete used

step "a disk, which then cannot be mounted"
loop=$(losetup -f --show "$dir/namesake.img")
mkfs.ext4 -q "$loop"
set_up disk control "dev_config=file/$loop" "${sized[@]}" || fail "$loop was refused"
served disk "$loop"
mkdir /mnt/free
! mount "$loop" /mnt/free 2>/dev/null || fail "$loop can be mounted while it is served"
lun_delete disk
mount "$loop" /mnt/free || fail "$loop cannot be mounted afterwards"
umount /mnt/free

step "corrected, the same object can be enabled"
refused 'No such file or directory' control "dev_config=file/$dir/fixed.img" "${sized[@]}"
file fixed.img
within "$soon" put "$core/bad/enable" 1 || fail "refused again"
served bad "$dir/fixed.img"
lun_delete bad

for pid in "${slow_pids[@]}"; do
	wait "$pid" || fail "one of those that take their time went wrong, see above"
done
rmdir "$core"/{none,nothing,slash,nobody,cntrl,locked,mounted,root}
load_end
only_uio_races
no_more_fds()
{
	local now=("/proc/$daemon_pid/fd"/*)
	[ "${#now[@]}" -le "${#fds[@]}" ]
}
wait_for 10 no_more_fds || fail "the daemon has more files open than before: $(ls -l "/proc/$daemon_pid/fd")"
! tr -d '\n' <"$daemon_log" | grep -q '[[:cntrl:]]' || fail "the log has control characters"
! grep -v '^tcmu-runner: ' "$daemon_log" || fail "the log has a line that the daemon did not write"
! grep '^tcmu-runner: forged' "$daemon_log" || fail "the log has a forged line"
lun_detach other
lun_delete other
stop_daemon
umount /mnt/mounted
