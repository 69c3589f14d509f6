#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: Apache-2.0
"""basic LUN: volumes of all kinds, by the handler and by QEMU's own driver for them; sizes, holes, transports."""

import os
import subprocess

from cluster import Cluster, need
from gateway import BLOCK, MIB, Failed, Gateway, check, main, md5_of_file, say

SIZE = 16 * MIB
VOLUMES = ("v1", "v3", "shards")
CHUNK = 1024  # blocks of a read


def run_all(commands):
    """At the same time: QEMU's driver needs ten seconds to say good-bye to a volume."""
    running = [subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
               for command in commands]
    for command, process in zip(commands, running):
        said = process.communicate()[0]
        # qemu-io says so, and ends with 0.
        if process.returncode or "failed:" in said:
            raise Failed(f"{' '.join(command)}: {said}")


def sums_of_lun(gateway, name, size):
    return [gateway.md5(name, lba, CHUNK) for lba in range(0, size // BLOCK, CHUNK)]


def sums_of_file(path, size):
    return [md5_of_file(path, at, CHUNK * BLOCK) for at in range(0, size, CHUNK * BLOCK)]


def load(cluster, gateway, volume):
    cluster.make_file(volume, "/disk", SIZE)
    gateway.add(volume, cluster.config(volume, "/disk"), SIZE)
    check(gateway.capacity(volume) == SIZE, f"{volume}: READ CAPACITY says {SIZE}")
    gateway.start(volume, depth=32, max=128)
    gateway.progress(volume, 2000)
    stats = gateway.stats(volume)
    say(f"{volume}: {stats['good']} commands, the longest {stats['longest_ms']} ms")
    check(stats["errors"] == 0, f"{volume}: no errors at depth 32: {stats['errors']}")
    said = gateway.stop(volume)
    check(said.startswith("ok"), f"{volume}: everything reads back: {said}")


def both_ways(cluster, gateway, volumes):
    """What one writes the other reads."""
    urls = {volume: cluster.url(volume, "/disk") for volume in volumes}
    copies = {volume: f"{cluster.dir}/{volume}.raw" for volume in volumes}
    run_all([["qemu-img", "convert", "-f", "raw", "-O", "raw", urls[v], copies[v]] for v in volumes])
    for volume in volumes:
        ours = sums_of_lun(gateway, volume, SIZE)
        check(ours == sums_of_file(copies[volume], SIZE), f"{volume}: qemu-img reads the same")
        for i in range(cluster.bricks(volume) if volume != "shards" else 0):
            check(ours == sums_of_file(cluster.brick_file(volume, i, "/disk"), SIZE), f"{volume}: brick {i} has the same")
    run_all([["qemu-io", "-f", "raw", "-c", "write -P 0x5c 1M 1M", "-c", "write -P 0xa7 3584 512", urls[v]] for v in volumes])
    for volume in volumes:
        check(gateway.must("read", volume, MIB // BLOCK, 1024).split()[1] == "5c", f"{volume}: it reads what qemu-io writes")
        check(gateway.must("read", volume, 7, 1).split()[1] == "a7", f"{volume}: also a single block")


def used(cluster, volume, path="/disk"):
    return os.stat(cluster.brick_file(volume, 0, path)).st_blocks * 512


def lba_status(gateway, name, lba):
    """Blocks, and the provisioning status: 0 mapped, 1 deallocated."""
    data = bytes.fromhex(gateway.must("cdb", name, f"9e12{lba:016x}000000180000", "in=24", "retry=1"))
    return int.from_bytes(data[16:20], "big"), data[20] & 15


def holes(cluster, gateway, name):
    """On a volume with one brick and without shards."""
    path = cluster.brick_file(name, 0, "/disk")
    length, blocks = os.path.getsize(path), 4 * MIB // BLOCK
    for lba in range(0, 2 * blocks, 2048):
        gateway.must("write", name, lba, 2048, 0x11)
    gateway.must("flush", name)
    before = used(cluster, name)
    gateway.must("unmap", name, 0, blocks)
    gateway.must("flush", name)
    after = used(cluster, name)
    say(f"UNMAP of {blocks * BLOCK} bytes: {before} in use before, {after} after")
    check(before - after >= 4 * MIB - 65536, "UNMAP gives the storage back")
    check(gateway.must("read", name, 0, 2048).split()[1] == "00", "and it reads as zeros")
    check(gateway.must("read", name, blocks, 2048).split()[1] == "11", "what is beside it does not")
    count, status = lba_status(gateway, name, 0)
    check(status == 1 and count == blocks, f"GET LBA STATUS: {count} blocks deallocated, {blocks} are")
    count, status = lba_status(gateway, name, blocks)
    check(status == 0 and count >= blocks, f"GET LBA STATUS: {count} blocks mapped, at least {blocks} are")

    end = SIZE // BLOCK
    gateway.must("write", name, end - 2048, 2048, 0x22)
    gateway.must("write", name, end - 2048, 2048, 0, "same=1")
    gateway.must("write", name, end - 1, 1, 0, "same=1")
    gateway.must("flush", name)
    check(gateway.must("read", name, end - 2048, 2048).split()[1] == "00", "WRITE SAME of zeros at the end reads as zeros")
    check(os.path.getsize(path) == length, f"and the file is as long as before: {os.path.getsize(path)}")


def sizes(cluster, gateway, name):
    cluster.make_file(name, "/disk", 2 * SIZE)
    gateway.must("resize", name, 2 * SIZE)
    check(gateway.capacity(name) == 2 * SIZE, "twice as large after dev_size and file have grown")
    last = 2 * SIZE // BLOCK - 8
    gateway.must("write", name, last, 8, 0x33)
    check(gateway.must("read", name, last, 8).split()[1] == "33", "the new end can be written to")
    answer = gateway.ask("resize", name, 4 * SIZE)
    say(f"a dev_size that the file does not have: {answer}")
    check(not answer.startswith("ok") or os.path.getsize(cluster.brick_file(name, 0, "/disk")) >= 4 * SIZE,
          "it is refused, or the file grows")


def odd_end(cluster, gateway, volume):
    """The end of the file lies within a page: zeros up to it."""
    size = MIB + 3 * BLOCK
    gateway.add("odd", cluster.config(volume, "/odd", create=None), size)
    path = cluster.brick_file(volume, 0, "/odd")
    check(os.path.getsize(path) == size, f"create makes a file of dev_size: {os.path.getsize(path)}")
    gateway.must("write", "odd", 2046, 5, 0x44)
    gateway.must("unmap", "odd", 2047, 4)
    check(gateway.must("read", "odd", 2046, 1).split()[1] == "44", "UNMAP of the end leaves what is before it")
    check(gateway.must("read", "odd", 2047, 4).split()[1] == "00", "and zeros")
    check(os.path.getsize(path) == size, "and the size")
    gateway.remove("odd")


def transports(cluster, gateway):
    cluster.make_file("v1", "/other", SIZE)
    dead = "127.0.0.99"
    for what, config in (
            ("unix transport", f"glfs/v1@/other;socket={cluster.socket};log={cluster.dir}/log/gfapi.log"),
            ("the second server, the first is dead", cluster.config("v1", "/other", host=dead, server=cluster.host)),
            ("port=24007", cluster.config("v1", "/other", port=24007))):
        gateway.add("t", config, SIZE)
        gateway.must("write", "t", 8, 8, 0x66)
        check(gateway.must("read", "t", 8, 8).split()[1] == "66", what)
        gateway.remove("t")


def scenario(program):
    need("qemu-img", "qemu-io")
    with Cluster() as cluster:
        cluster.create("v1")
        cluster.create("v3", 3)
        cluster.create("shards", 1, {"features.shard": "on", "features.shard-block-size": "4MB"})
        for volume in VOLUMES:
            cluster.start(volume)
        with Gateway(program, cluster.dir + "/lun.log") as gateway:
            for volume in VOLUMES:
                load(cluster, gateway, volume)
            both_ways(cluster, gateway, VOLUMES)
            holes(cluster, gateway, "v1")
            sizes(cluster, gateway, "v1")
            odd_end(cluster, gateway, "v1")
            transports(cluster, gateway)


main(scenario)
