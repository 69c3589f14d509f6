#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: Apache-2.0
"""two-gateways LUN: the same file as a unit of two gateways. One writes at a time: the other one waits for the lock,
and says so where that is in vain; it has it soon where the first has nothing to do, or is dead. Where the bricks
enforce locks it has it at once."""

import signal
import time

from cluster import Cluster
from gateway import MIB, Gateway, check, main, say

SIZE = 16 * MIB
HALF = SIZE // 2 // 512
STANDBY = "status 02 sense 2/04/0b"
IDLE = 4  # seconds: the first one's two without a command, and some
WAIT = (8, 16)  # seconds until it is given up, and what a slow machine adds


def write(gateway, byte, lba=HALF):
    """An answer, and the seconds that it took."""
    begun = time.monotonic()
    answer = gateway.ask("write", "disk", lba, 64, byte)
    return answer, time.monotonic() - begun


def reads(gateway, byte, lba=HALF):
    return int(gateway.must("read", "disk", lba, 64).split()[1], 16) == byte


def zero(gateway):
    for lba in range(0, SIZE // 512, 1024):
        gateway.must("write", "disk", lba, 1024, 0, "same=1")


def hand_over(first, second, byte):
    """Nothing tells the first one that its initiator has gone."""
    answer, _ = write(first, byte)
    check(answer == "ok", f"one writes: {answer}")
    check(reads(second, byte), "what one has written the other one reads, at once")
    answer, seconds = write(second, byte + 1)
    check(answer == "ok" and seconds < IDLE, f"the other one writes when the first is idle: {answer} after {seconds:.2f} s")
    check(reads(first, byte + 1), "and that is read by the first, at once")


def busy(first, second):
    zero(first)
    first.start("disk", depth=8, blocks=HALF)
    first.progress("disk", 300)
    answer, seconds = write(second, 0x55)
    check(answer == STANDBY, f"the other one waits in vain for one that is busy: {answer} after {seconds:.2f} s")
    check(WAIT[0] < seconds < WAIT[1], "for about ten seconds")
    check(second.said("another gateway has the lock"), "and the log tells why")
    stats = first.stats("disk")
    check(stats["errors"] == 0, f"the busy one has not noticed: {stats['good']} good, {stats['errors']} errors")
    said = first.stop("disk")
    check(said.startswith("ok"), f"and has what it must: {said}")
    answer, seconds = write(second, 0x66)
    check(answer == "ok" and seconds < IDLE, f"then the other one writes: {answer} after {seconds:.2f} s")


def dies(first, second):
    zero(first)
    first.start("disk", depth=32)
    first.progress("disk", 500)
    first.kill()
    answer, seconds = write(second, 0x77)
    check(answer == "ok" and seconds < IDLE, f"after the death of the one the other one writes: {answer} after {seconds:.2f} s")
    zero(second)
    second.start("disk", depth=32)
    second.progress("disk", 1000)
    said = second.stop("disk")
    check(said.startswith("ok"), f"and everything that it writes reads back: {said}")


def enforced(first, second):
    """Whoever asks has the lock; what the other one has sent is refused, and sent again by its initiator."""
    zero(first)
    first.start("disk", depth=8, blocks=HALF)
    first.progress("disk", 300)
    stats = first.stats("disk")
    check(stats["errors"] == stats["retried"] == 0, f"nobody refuses one that is alone: {stats['good']} good")
    byte = 0
    for byte in range(1, 9):
        answer, seconds = write(second, byte)
        check(answer == "ok" and reads(second, byte), f"taken away, and written: {answer} after {seconds:.2f} s")
        first.progress("disk", 50)
    stats = first.stats("disk")
    say(f"the other one: {stats['good']} good, {stats['retried']} refused and sent again, {stats['errors']} errors")
    check(stats["errors"] == 0 and stats["retried"] > 0, "its initiator was told to send again, and no more")
    said = first.stop("disk")
    check(said.startswith("ok"), f"and has what it must: {said}")
    check(reads(first, byte), "and what the first has written")


def stopped(first, second):
    """One that does not run holds nobody up; what it has sent when it runs again is refused."""
    first.start("disk", depth=8, blocks=HALF)
    first.progress("disk", 100)
    first.process.send_signal(signal.SIGSTOP)
    answer, seconds = write(second, 0x99)
    first.process.send_signal(signal.SIGCONT)
    check(answer == "ok", f"one that is stopped holds nobody up: {answer} after {seconds:.2f} s")
    first.progress("disk", 100)
    said = first.stop("disk")
    check(said.startswith("ok"), f"and goes on when it runs again: {said}")


def pair(program, cluster, volume, what):
    cluster.make_file(volume, "/disk", SIZE)
    config = cluster.config(volume, "/disk")
    with Gateway(program, f"{cluster.dir}/{volume}-second.log") as second:
        first = Gateway(program, f"{cluster.dir}/{volume}-first.log")
        try:
            for gateway in (first, second):
                gateway.add("disk", config, SIZE)
            what(first, second)
        except BaseException:
            first.tell_log()
            raise
        finally:
            first.kill()


def polite(first, second):
    hand_over(first, second, 0x21)
    hand_over(second, first, 0x42)
    busy(first, second)
    dies(first, second)


def strict(first, second):
    enforced(first, second)
    stopped(first, second)
    dies(first, second)


def scenario(program):
    with Cluster() as cluster:
        cluster.create("v", 3)
        cluster.start("v")
        cluster.create("enforced")
        for option, value in (("locks.mandatory-locking", "forced"), ("features.enforce-mandatory-lock", "on")):
            cluster.set("enforced", option, value)
        cluster.start("enforced")
        pair(program, cluster, "v", polite)
        pair(program, cluster, "enforced", strict)


main(scenario)
