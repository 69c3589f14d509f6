#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: Apache-2.0
"""frozen LUN: the only brick of a volume stops answering, with its connection open. With ";timeout=5" initiators are told
after that time; when it is back the unit goes on. Units on another volume, and new ones there, do not notice.
Nothing is answered before the brick has it."""

import time

from cluster import Cluster, until
from gateway import MIB, Gateway, check, main, say

SIZE = 16 * MIB
TOLD = 15_000   # ms, with a timeout of 5 s
BESIDE = 2000   # ms: the longest of a command of the other unit
OPENING = 3.0   # seconds


def scenario(program):
    with Cluster() as cluster:
        for volume in ("v", "other"):
            cluster.create(volume)
            cluster.start(volume)
            cluster.make_file(volume, "/disk", SIZE)
        cluster.make_file("other", "/new", SIZE)
        with Gateway(program, cluster.dir + "/lun.log") as gateway:
            gateway.add("disk", cluster.config("v", "/disk", timeout=5), SIZE)
            gateway.add("other", cluster.config("other", "/disk"), SIZE)
            gateway.start("other", depth=8, max=16, rate=300)
            gateway.start("disk", depth=32, flush=3)
            gateway.progress("disk", 1000)
            gateway.stats("disk")
            cluster.freeze_brick("v", 0)
            frozen = time.monotonic()

            begun = time.monotonic()
            gateway.add("new", cluster.config("other", "/new"), SIZE)
            took = time.monotonic() - begun
            check(took < OPENING, f"a unit on the other volume is opened meanwhile, in {took:.2f} s")
            gateway.must("write", "new", 0, 8, 1)
            gateway.remove("new")
            begun = time.monotonic()
            good, took, reason = gateway.check_config(cluster.config("v", "/disk"))
            say(f"check of a config string of that volume: {good} in {took:.1f} s: {reason}")
            check(took < 2.0, "a check of a config string there does not wait")

            errors = until(lambda: (lambda s: s["errors"] and s)(gateway.stats("disk")), "an error", 30)
            after = errors["first_error"] - frozen * 1000
            say(f"the first error after {after:.0f} ms; "
                f"{ {kind: errors[kind]['sorts'] for kind in ('read', 'write', 'flush', 'unmap')} }")
            check(after < TOLD, f"initiators are told within {TOLD} ms")
            check(all(sort.startswith("2/") or (kind == "flush" and sort.startswith("3/"))
                      for kind in ("read", "write", "flush", "unmap") for sort in errors[kind]["sorts"]),
                  "NOT READY, or of flushes MEDIUM ERROR")

            cluster.thaw_brick("v", 0)
            say(f"again {gateway.wait_good('disk'):.0f} ms after the brick")
            gateway.progress("disk", 500)
            said = gateway.stop("disk")
            check(said.startswith("ok"), f"it has what may be expected: {said}")
            stats = gateway.stats("other")
            say(f"the other unit: {stats['good']} commands, the longest {stats['longest_ms']} ms")
            check(stats["errors"] == 0 and stats["longest_ms"] < BESIDE, "the other unit has not noticed")
            check(gateway.stop("other").startswith("ok"), "and has what it must")

            gateway.must("write", "disk", 0, 8, 1)  # it has the lock
            cluster.freeze_brick("v", 0)
            tag = gateway.send("write", "disk", 8, 8, 2)
            time.sleep(1)
            check(not gateway.has_answered(tag), "a write that no brick has is not answered")
            cluster.thaw_brick("v", 0)
            check(gateway.answer(tag).startswith("ok"), "until one has it")


main(scenario)
