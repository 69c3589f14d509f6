#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Helper of scripts/60-durability.sh: writes, and replays a dm-log-writes log.

  write DISK SIZE JOURNAL DM ROUNDS [careless]
                                write with flushes and FUA; mark each acknowledgement in the log
                                (careless: promise the same, but flush nothing)
  marks LOG                     the names of the marks in the log
  replay LOG IMAGE MARK STATE   apply the log to IMAGE up to MARK, from where STATE says
  check FILE JOURNAL MARK       FILE holds everything acknowledged before MARK

The log's format is in the kernel's Documentation/admin-guide/device-mapper/log-writes.rst:
a superblock sector, then entries of one sector, each followed by its data.
"""
import hashlib
import json
import mmap
import os
import random
import struct
import subprocess
import sys

BLOCK = 4096
MAGIC = 0x6A736677736872
FLAG_DISCARD = 1 << 2
FLAG_MARK = 1 << 3


def pattern(offset, generation, length):
    """Bytes that say where and when they were written."""
    out = bytearray()
    for block in range(offset, offset + length, BLOCK):
        seed = hashlib.sha256(f"{block} {generation}".encode()).digest()
        out += seed * (BLOCK // len(seed))
    return bytes(out)


def mark(dm, name):
    subprocess.run(["dmsetup", "message", dm, "0", "mark", name], check=True)


def write(disk, size, journal_path, dm, rounds, mode=""):
    rng = random.Random(4711)
    size = int(size)
    fd = os.open(disk, os.O_RDWR | os.O_DIRECT)
    buf = mmap.mmap(-1, 64 * BLOCK)  # O_DIRECT wants aligned memory
    journal = []  # what is acknowledged as durable at each mark: {block: generation}
    durable, volatile = {}, {}
    generation = 0

    def put(flags):
        nonlocal generation
        generation += 1
        length = BLOCK * rng.choice((1, 1, 2, 7, 64))
        offset = BLOCK * rng.randrange((size - length) // BLOCK)
        data = pattern(offset, generation, length)
        buf.seek(0)
        buf.write(data)
        written = os.pwritev(fd, [memoryview(buf)[:length]], offset, flags)
        if written != length:
            sys.exit(f"short write at {offset}: {written}")
        return {block: generation for block in range(offset, offset + length, BLOCK)}

    for round_no in range(int(rounds)):
        if round_no % 2:
            # One FUA write; what was not flushed before stays unpromised.
            volatile.update(put(0))
            done = put(0 if mode == "careless" else os.RWF_DSYNC)
            durable.update(done)
            for block in done:
                volatile.pop(block, None)
        else:
            for _ in range(rng.randrange(1, 6)):
                volatile.update(put(0))
            if mode != "careless":
                os.fsync(fd)
            durable.update(volatile)
            volatile = {}
        name = f"ack-{round_no}"
        mark(dm, name)
        # A newer, unpromised write may be there instead of the promised one.
        journal.append({"mark": name, "durable": dict(durable), "volatile": dict(volatile)})
    os.close(fd)
    with open(journal_path, "w", encoding="ascii") as out:
        json.dump(journal, out)


def entries(log, start=0):
    """(position of the next entry, sector, data offset, length, flags, mark) in bytes."""
    fd = os.open(log, os.O_RDONLY)
    magic, version, count, sector_size = struct.unpack("<QQQI", os.pread(fd, 28, 0))
    if magic != MAGIC or version != 1:
        sys.exit(f"{log} is not a dm-log-writes log")
    at, number = sector_size, 0
    while number < count:
        sector, nr, flags, data_len = struct.unpack("<QQQQ", os.pread(fd, 32, at))
        data = at + sector_size
        name = ""
        if flags & FLAG_MARK:
            name = os.pread(fd, data_len, at + 32).decode()
        at = data + (0 if flags & FLAG_DISCARD else nr * sector_size)
        number += 1
        if number > start:
            yield fd, number, sector * sector_size, data, nr * sector_size, flags, name
    os.close(fd)


def marks(log):
    for entry in entries(log):
        if entry[-1].startswith("ack-"):
            print(entry[-1])


def replay(log, image, until, state):
    start = 0
    if os.path.exists(state):
        with open(state, encoding="ascii") as file:
            start = int(file.read())
    out = os.open(image, os.O_WRONLY)
    for fd, number, target, data, length, flags, name in entries(log, start):
        if flags & FLAG_DISCARD:
            # A discarded block may read as anything; zeroes are the usual.
            os.pwrite(out, bytes(length), target)
        elif length:
            os.pwrite(out, os.pread(fd, length, data), target)
        if name == until:
            os.close(out)
            with open(state, "w", encoding="ascii") as file:
                file.write(str(number))
            return
    sys.exit(f"the log has no mark {until}")


def check(path, journal_path, until):
    with open(journal_path, encoding="ascii") as file:
        record = next(r for r in json.load(file) if r["mark"] == until)
    lost = volatile = 0
    with open(path, "rb") as file:
        for block, generation in record["durable"].items():
            file.seek(int(block))
            found = file.read(BLOCK)
            if found == pattern(int(block), generation, BLOCK):
                continue
            newer = record["volatile"].get(block)
            if newer and found == pattern(int(block), newer, BLOCK):
                continue
            lost += 1
            if lost <= 5:
                print(f"{until}: block at {block} (write {generation}) is not there")
        for block, generation in record["volatile"].items():
            file.seek(int(block))
            volatile += file.read(BLOCK) != pattern(int(block), generation, BLOCK)
    print(f"{until}: {len(record['durable'])} blocks promised, {lost} lost; "
          f"of {len(record['volatile'])} not promised {volatile} lost")
    sys.exit(1 if lost else 0)


if __name__ == "__main__":
    {"write": write, "marks": marks, "replay": replay, "check": check}[sys.argv[1]](*sys.argv[2:])
