#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: Apache-2.0
"""quorum-lost LUN: two of three bricks die under load. Initiators are told, soon; the unit serves again when the bricks
are back, and what it has is what they may expect; a unit on another volume does not notice."""

import time

from cluster import Cluster, until
from gateway import MIB, Gateway, check, main, say

SIZE = 16 * MIB
SOON = 10_000  # ms: from the deaths to the first error
BESIDE = 2000  # ms: the longest of a command of the other unit


def sorts(stats):
    return {kind: stats[kind]["sorts"] for kind in ("read", "write", "flush", "unmap")}


def allowed(kind, sort):
    """NOT READY; a flush may tell that data are lost."""
    return sort.startswith("2/") or (kind == "flush" and sort.startswith("3/"))


def scenario(program):
    with Cluster() as cluster:
        cluster.create("v", 3)
        cluster.create("other")
        for volume in ("v", "other"):
            cluster.start(volume)
            cluster.make_file(volume, "/disk", SIZE)
        with Gateway(program, cluster.dir + "/lun.log") as gateway:
            gateway.add("disk", cluster.config("v", "/disk"), SIZE)
            gateway.add("other", cluster.config("other", "/disk"), SIZE)
            gateway.start("other", depth=8, max=16, rate=300)
            # A write that has reached one brick only has failed, but healing may choose that brick's data later on.
            check(gateway.start("disk", depth=32, flush=5, wavers=1) == "cached", "it has a write cache")
            gateway.progress("disk", 1000)
            gateway.stats("disk")
            killed = time.monotonic() * 1000
            cluster.kill_brick("v", 0)
            cluster.kill_brick("v", 1)
            gateway.progress("disk", 500)
            stats = gateway.stats("disk")
            say(f"errors: {sorts(stats)}")
            say(f"the first {stats['first_error'] - killed:.0f} ms after the deaths, the longest command "
                f"{stats['longest_ms']} ms")
            check(stats["errors"] > 0 and stats["first_error"] - killed < SOON, "errors come soon")
            check(stats["longest_ms"] < SOON, "and no command is stuck")
            check(all(allowed(kind, sort) for kind, of in sorts(stats).items() for sort in of),
                  "NOT READY, or of flushes MEDIUM ERROR")
            until(lambda: gateway.stats("disk")["flush"]["errors"], "an error of a flush", 20)
            check(gateway.ask("flush", "disk").startswith("status 02"), "a flush is told, too")
            check(gateway.ask("cdb", "disk", "000000000000").startswith("status 02 sense 2/"), "and TEST UNIT READY")

            cluster.restart_bricks("v")
            say(f"again {gateway.wait_good('disk'):.0f} ms after the bricks are back")
            gateway.stats("disk")
            gateway.progress("disk", 1000)
            stats = gateway.stats("disk")
            check(stats["write"]["good"] and stats["read"]["good"], f"it serves again without being opened: {stats['good']}")
            said = gateway.stop("disk")
            check(said.startswith("ok"), f"it has what may be expected: {said}")
            check(gateway.ask("flush", "disk") == "ok", "a flush succeeds again")
            stats = gateway.stats("other")
            say(f"the other unit: {stats['good']} commands, the longest {stats['longest_ms']} ms")
            check(stats["errors"] == 0 and stats["longest_ms"] < BESIDE, "the other unit has not noticed")
            check(gateway.stop("other").startswith("ok"), "and has what it must")


main(scenario)
