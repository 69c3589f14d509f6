#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: Apache-2.0
"""brick-killed LUN: one of three bricks dies under load and comes back. Nobody notices, and all three are the same at
the end."""

from cluster import Cluster, until
from gateway import MIB, Gateway, check, main, md5_of_file, say

SIZE = 16 * MIB


def scenario(program):
    with Cluster() as cluster:
        cluster.create("v", 3)
        cluster.start("v")
        cluster.make_file("v", "/disk", SIZE)
        with Gateway(program, cluster.dir + "/lun.log") as gateway:
            gateway.add("disk", cluster.config("v", "/disk"), SIZE)
            gateway.start("disk", depth=32, flush=3)
            gateway.progress("disk", 500)
            cluster.kill_brick("v", 1)
            gateway.progress("disk", 1500)
            check(cluster.brick_pid("v", 1) is None, "the brick is dead")
            cluster.restart_bricks("v")
            gateway.progress("disk", 1500)
            stats = gateway.stats("disk")
            said = gateway.stop("disk")
            say(f"{stats['good']} commands, the longest {stats['longest_ms']} ms")
            check(stats["errors"] == 0, f"no errors: {stats['errors']} {stats}")
            check(said.startswith("ok"), f"everything reads back: {said}")
            until(lambda: cluster.heal_count("v") == 0, "the end of the healing")
            sums = [md5_of_file(cluster.brick_file("v", i, "/disk")) for i in range(3)]
            check(len(set(sums)) == 1, f"the three bricks have the same: {sums}")


main(scenario)
