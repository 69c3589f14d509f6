#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: Apache-2.0
"""two-gateways LUN: the same file as a unit of two gateways. An initiator that fails over finds everything that was
answered by the other one."""

import time

from cluster import Cluster
from gateway import MIB, Gateway, check, main, say

SIZE = 16 * MIB


def hand_over(first, second, byte):
    """All that one has answered GOOD the other one reads, at once."""
    for lba in range(0, 1024, 64):
        first.must("write", "disk", lba, 64, byte)
    begun = time.monotonic()
    for lba in range(0, 1024, 64):
        found = second.must("read", "disk", lba, 64).split()[1]
        if int(found, 16) != byte:
            check(False, f"block {lba} by the other one: {found}, not {byte:02x}")
    check(True, f"what one has written the other one reads ({time.monotonic() - begun:.2f} s)")
    begun = time.monotonic()
    answer = second.ask("write", "disk", 2048, 8, byte)
    check(answer == "ok", f"and the other one can write: {answer} after {time.monotonic() - begun:.2f} s")


def fail_over(cluster, program, first, second):
    """The first one dies under load."""
    first.start("disk", depth=32)
    first.progress("disk", 500)
    first.kill()
    begun = time.monotonic()
    answer = second.ask("write", "disk", 0, 8, 0x77)
    check(answer == "ok", f"after the death of the one the other one writes: {answer} after {time.monotonic() - begun:.2f} s")
    for lba in range(0, SIZE // 512, 1024):
        second.must("write", "disk", lba, 1024, 0, "same=1")
    second.start("disk", depth=32)
    second.progress("disk", 1000)
    stats = second.stats("disk")
    check(stats["errors"] == 0, f"without errors: {stats['errors']}")
    said = second.stop("disk")
    check(said.startswith("ok"), f"and everything reads back: {said}")


def scenario(program):
    with Cluster() as cluster:
        cluster.create("v")
        cluster.start("v")
        cluster.make_file("v", "/disk", SIZE)
        config = cluster.config("v", "/disk")
        with Gateway(program, cluster.dir + "/second.log") as second:
            first = Gateway(program, cluster.dir + "/first.log")
            for gateway in (first, second):
                gateway.add("disk", config, SIZE)
            hand_over(first, second, 0x21)
            hand_over(second, first, 0x42)
            for lba in range(0, SIZE // 512, 1024):
                first.must("write", "disk", lba, 1024, 0, "same=1")
            fail_over(cluster, program, first, second)
            say(f"the second one said: {second.said('lock')[:3]}")


main(scenario)
