#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Storage objects that come and go (scripts/long/74-storm.sh).

  storm.py run COUNT SEED     COUNT administrators, each with an object of its own,
                              which it creates, with a config that is good or bad,
                              looks at and removes, until there is /run/storm.stop;
                              prints what came of it
  storm.py shrink PID         the receive buffer of the daemon's event socket, to
                              a few events
"""

import collections
import ctypes
import errno
import os
import random
import socket
import sys
import threading
import time

CORE = "/sys/kernel/config/target/core"
STOP = "/run/storm.stop"
RACES = "/run/74-storm.races"
LAX = "/run/storm.lax"  # from when to when nobody looked at configs: two uptimes a line
FILES = "/mnt/data/storm"
HBAS = 50  # the kernel removes one object of an HBA at a time
SIZE = 1 << 20

# What a good and a bad config may be answered with. A daemon that ends refuses, and
# one that has to free a writer that waited for a dead one ends the waits of others.
TRANSIENT = {errno.ESHUTDOWN, errno.EINTR, errno.EAGAIN, errno.EBUSY}
BAD = {
    "file//mnt/data/no/such": errno.ENOENT,
    "file//mnt/data": errno.EISDIR,
    "file/relative/x": errno.EINVAL,
    "file//mnt/data/storm/0;nonsense": errno.EINVAL,
}

lock = threading.Lock()
counts = collections.Counter()
accepted = []  # though it should not: (begin, end, what)
wrong = []


def count(what):
    with lock:
        counts[what] += 1


def complain(what):
    with lock:
        wrong.append(what)


def put(path, text):
    """One write(2): 0 or the errno."""
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, text.encode())
    except OSError as e:
        return e.errno
    finally:
        os.close(fd)
    return 0


def get(path):
    with open(path) as f:
        return f.read()


def enable(dev):
    """As enable() of lib.sh: the kernel's own race, if it is that, is counted."""
    while True:
        err = put(dev + "/enable", "1")
        if err != errno.EEXIST:
            return err
        with lock, open(RACES, "a") as f:
            f.write(dev + "\n")


def judge(dev, config, want, err, begin, end):
    enabled = get(dev + "/enable").strip() == "1"
    if enabled != (err == 0):
        complain(f"{dev} ({config}): enable gave {err}, and reads {enabled}")
    elif err == 0 and want:
        with lock:
            accepted.append((begin, end, f"{dev} ({config}): accepted, not refused with {want}"))
    elif err and err != want and err not in TRANSIENT:
        complain(f"{dev} ({config}): {os.strerror(err)}")
    elif err == 0 and "Status: " not in get(dev + "/info"):
        complain(f"{dev}: no status in info")
    count("enabled" if not err else "refused rightly" if err == want
          else errno.errorcode[err])


def one_round(dev, good, rnd):
    config, want = good, 0
    if rnd.random() < 0.25:
        config, want = rnd.choice(list(BAD.items()))
    os.mkdir(dev)
    err = put(dev + "/control", f"dev_config={config},dev_size={SIZE},"
                                "max_data_area_mb=8,cmd_ring_size_mb=1")
    if err:
        complain(f"{dev}: control gave {err}")
    begin = time.monotonic()
    err = enable(dev)
    judge(dev, config, want, err, begin, time.monotonic())
    if rnd.random() < 0.5:
        time.sleep(rnd.random())
    os.rmdir(dev)
    count("removed")


def administrator(i, seed):
    rnd = random.Random(seed * 10000 + i)
    try:
        while not os.path.exists(STOP):
            one_round(f"{CORE}/user_{100 + i % HBAS}/s{i}", f"file/{FILES}/{i}", rnd)
    except OSError as e:
        complain(f"{i}: {e}")


def judge_accepted():
    lax = []
    if os.path.exists(LAX):
        lax = [[float(t) for t in line.split()] for line in get(LAX).splitlines()]
    for begin, end, what in accepted:
        if not any(begin <= t1 and end >= t0 for t0, t1 in lax):
            complain(f"{what} ({begin:.1f} to {end:.1f})")
    counts["accepted while nobody looked"] = len(accepted)


def run(n, seed):
    threading.stack_size(256 << 10)
    for i in range(min(n, HBAS)):
        os.makedirs(f"{CORE}/user_{100 + i}", exist_ok=True)
    threads = [threading.Thread(target=administrator, args=(i, seed)) for i in range(n)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for i in range(min(n, HBAS)):
        os.rmdir(f"{CORE}/user_{100 + i}")
    judge_accepted()
    print(", ".join(f"{v} {k}" for k, v in sorted(counts.items())))
    for what in wrong[:20]:
        print("WRONG:", what)
    return 1 if wrong else 0


def event_inodes():
    """Of the generic netlink sockets that are members of a group."""
    with open("/proc/net/netlink") as f:
        next(f)
        for line in f:
            field = line.split()
            if field[1] == "16" and int(field[3], 16):
                yield field[9]


def shrink(pid):
    libc = ctypes.CDLL(None, use_errno=True)
    pidfd = os.pidfd_open(pid)
    wanted = {f"socket:[{inode}]" for inode in event_inodes()}
    for fd in os.listdir(f"/proc/{pid}/fd"):
        if os.readlink(f"/proc/{pid}/fd/{fd}") not in wanted:
            continue
        ours = libc.syscall(438, pidfd, int(fd), 0)  # pidfd_getfd
        if ours < 0:
            raise OSError(ctypes.get_errno(), "pidfd_getfd")
        socket.socket(fileno=ours).setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        return 0
    return "no event socket"


if __name__ == "__main__":
    if sys.argv[1] == "run":
        sys.exit(run(int(sys.argv[2]), int(sys.argv[3])))
    sys.exit(shrink(int(sys.argv[2])))
