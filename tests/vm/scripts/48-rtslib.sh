#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Names that rtslib, of which targetcli is made, does not carry into a config
# string or out of it again; and that a symbolic link with a plain name, as the
# manual says, is the way round all of them.
#
# needs: rtslib
# timeout: 200

. "$TCMU_SRC/tests/vm/lib.sh"
need /usr/bin/python3
need_daemon
[ -n "${TCMU_VM_RTSLIB:-}" ] || skip "rtslib could not be downloaded"

dir=/mnt/data/names
odd='a:b, c;d.img'
mkdir -p "$dir" /etc/rtslib-fb-target # which its package would make
truncate -s 16M "$dir/with:colon.img" "$dir/with space.img" "$dir/with,comma.img" "$dir/$odd"
ln -s "$odd" "$dir/plain.img"
start_daemon

PYTHONPATH=$TCMU_VM_RTSLIB /usr/bin/python3 - "$dir" >/run/48-rtslib.out 2>&1 <<'END' ||
import os
import sys

from rtslib_fb import RTSRoot, UserBackedStorageObject

dir = sys.argv[1]
saved = "/run/saveconfig.json"


def make(name, file):
    return UserBackedStorageObject(name, config="file/%s/%s" % (dir, file), size=16 << 20)


def refused(name, file, reason):
    try:
        make(name, file)
    except Exception as error:
        assert reason in str(error), "%s: %s" % (file, error)
        print("%s: %s" % (file, error))
    else:
        raise AssertionError("%s was accepted" % file)


root = RTSRoot()
refused("colon", "with:colon.img", "':' not allowed in config string")
# The kernel ends the value there; the file with the shorter name is not found.
refused("comma", "with,comma.img", "No such file")
assert not list(root.storage_objects), "something is left of what was refused"

# Accepted, and saved as another file: restoring it at the next start fails.
space = make("space", "with space.img")
assert space.config == "file/%s/with" % dir, space.config
root.save_to_file(saved)
root.clear_existing(confirm=True)
errors = root.restore_from_file(saved)
assert errors and not list(root.storage_objects), "it was restored, though the name was cut off"
print("with space.img: %s" % errors[0])

link = make("link", "plain.img")
assert link.config == "file/%s/plain.img" % dir, link.config
root.save_to_file(saved)
root.clear_existing(confirm=True)
assert not list(root.storage_objects)
errors = root.restore_from_file(saved)
assert not errors, errors
restored, = root.storage_objects
assert restored.config == "file/%s/plain.img" % dir, restored.config
assert restored.status != "NOT ACTIVATED" and restored.size == 16 << 20
print(restored.path)
END
	fail "$(cat /run/48-rtslib.out)"
cat /run/48-rtslib.out
path=$(tail -n 1 /run/48-rtslib.out)
assert_eq "enable of $path" "$(<"$path/enable")" 1
readlink "/proc/$daemon_pid/fd"/* | grep -qx "$dir/$odd" || fail "the daemon has not opened the file behind the link"

step "the restored one is a disk"
core=${path%/*}
lun_attach "${path##*/}"
dd if=/dev/urandom of="$DISK" bs=64k count=1 oflag=direct status=none
cmp -n 65536 "$DISK" "$dir/$odd" || fail "what was written is not in the file"
lun_detach "${path##*/}"
lun_delete "${path##*/}"
stop_daemon
