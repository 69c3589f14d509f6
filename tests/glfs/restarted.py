#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: Apache-2.0
"""restarted LUN: the only brick dies and comes back; glusterd does; the file is deleted under the unit."""

from cluster import Cluster, until
from gateway import MIB, Gateway, check, main, say

SIZE = 16 * MIB
BACK = 15_000  # ms: from the brick's return to good commands


def brick(cluster, gateway):
    gateway.start("disk", depth=32, flush=3)
    gateway.progress("disk", 500)
    cluster.kill_brick("v", 0)
    until(lambda: gateway.stats("disk")["errors"], "an error", 10)
    check(True, "errors while the brick is dead")
    cluster.restart_bricks("v")
    took = gateway.wait_good("disk")
    check(took < BACK, f"it serves again {took:.0f} ms after the brick is back")
    gateway.stats("disk")
    gateway.progress("disk", 500)
    check(gateway.stats("disk")["errors"] == 0, "without errors")
    said = gateway.stop("disk")
    check(said.startswith("ok"), f"it has what may be expected: {said}")


def glusterd(cluster, gateway):
    gateway.start("disk", depth=16, rate=500)
    gateway.progress("disk", 200)
    gateway.stats("disk")
    cluster.kill_glusterd()
    gateway.progress("disk", 500)
    cluster.start_glusterd()
    gateway.progress("disk", 1000)
    stats = gateway.stats("disk")
    say(f"{stats['good']} commands, the longest {stats['longest_ms']} ms")
    check(stats["errors"] == 0, f"no error while glusterd dies and comes back: {stats['errors']}")
    check(stats["longest_ms"] < 2000, "and no command waits for it")
    said = gateway.stop("disk")
    check(said.startswith("ok"), f"it has what it must: {said}")
    cluster.make_file("v", "/second", SIZE)
    gateway.add("second", cluster.config("v", "/second"), SIZE)
    check(gateway.ask("write", "second", 0, 8, 0) == "ok", "a new unit can be opened on the same volume")


def deleted(cluster, gateway):
    gateway.start("second", depth=4, rate=200)
    gateway.start("disk", depth=8, rate=200, unmap=0)
    gateway.progress("disk", 100)
    cluster.unlink("v", "/disk")
    # A brick keeps the file open that it has; after a restart it has nothing.
    cluster.kill_brick("v", 0)
    cluster.restart_bricks("v")
    gateway.wait_good("second")
    gateway.stats("disk")
    gateway.stats("second")
    gateway.progress("second", 200)
    gone, fine = gateway.stats("disk"), gateway.stats("second")
    say(f"of the deleted one: {gone['good']} good, {gone['errors']} errors, "
        f"{ {kind: gone[kind]['sorts'] for kind in ('read', 'write', 'flush')} }")
    check(gone["errors"] > 0 and gone["good"] == 0, "a unit whose file was deleted has errors only")
    check(fine["errors"] == 0, f"the one beside it has none: {fine['errors']}")
    check(gateway.stop("second").startswith("ok"), "and has what it must")
    say(f"at the end: {gateway.stop('disk', 1)}")
    gateway.remove("disk")
    gateway.remove("second")


def scenario(program):
    with Cluster() as cluster:
        cluster.create("v")
        cluster.start("v")
        cluster.make_file("v", "/disk", SIZE)
        with Gateway(program, cluster.dir + "/lun.log") as gateway:
            gateway.add("disk", cluster.config("v", "/disk"), SIZE)
            brick(cluster, gateway)
            glusterd(cluster, gateway)
            deleted(cluster, gateway)


main(scenario)
