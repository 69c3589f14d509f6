#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: Apache-2.0
"""many LUN: fifty units on one volume have one connection and little memory; coming and going leaves nothing behind."""

import os

from cluster import PORT, Cluster, until
from gateway import MIB, Gateway, check, main, say

SIZE = MIB
UNITS = 50
TURNS = 100
ROUNDS = 4
EACH = 1024  # KiB of memory for one more


def connections(pid, address, port=None):
    """TCP connections of this process to there."""
    inodes = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            inodes.add(os.readlink(f"/proc/{pid}/fd/{fd}"))
        except OSError:
            pass
    wanted = "".join(f"{int(part):02X}" for part in reversed(address.split(".")))
    n = 0
    with open(f"/proc/{pid}/net/tcp", encoding="ascii") as file:
        for line in list(file)[1:]:
            words = line.split()
            host, remote = words[2].split(":")
            n += host == wanted and (port is None or int(remote, 16) == port) and f"socket:[{words[9]}]" in inodes
    return n


def figures(gateway):
    return {what: gateway.number(what) for what in ("rss", "threads", "fds")}


def crowd(cluster, gateway):
    config = [cluster.config("v", f"/disk{i}", create=None) for i in range(UNITS)]
    gateway.add("lun0", config[0], SIZE)
    gateway.must("write", "lun0", 0, 8, 1)
    one = figures(gateway)
    tags = [gateway.send("add", f"lun{i}", config[i], SIZE) for i in range(1, UNITS)]
    check(all(gateway.answer(tag) == "ok" for tag in tags), f"{UNITS} units on one volume")
    for i in range(UNITS):
        gateway.must("write", f"lun{i}", 0, 8, i + 1)
    for i in range(UNITS):
        byte = gateway.must("read", f"lun{i}", 0, 8).split()[1]
        if int(byte, 16) != i + 1:
            check(False, f"lun{i} has its own data: {byte}")
    all_of_them = figures(gateway)
    each = (all_of_them["rss"] - one["rss"]) / (UNITS - 1)
    say(f"with one: {one}; with {UNITS}: {all_of_them}")
    pid = gateway.process.pid
    check(connections(pid, cluster.host, PORT) == 1, f"one connection to glusterd: {connections(pid, cluster.host, PORT)}")
    check(connections(pid, cluster.host) == 2, f"and one to the brick: {connections(pid, cluster.host)} in all")
    check(each <= EACH, f"one more unit needs {each:.0f} KiB, {EACH} at most")
    for i in range(1, UNITS):
        gateway.remove(f"lun{i}")


def coming_and_going(cluster, gateway):
    config = cluster.config("v", "/disk1")

    def turn():
        gateway.add("again", config, SIZE)
        gateway.must("write", "again", 0, 8, 7)
        gateway.remove("again")

    # The allocator has an arena for each thread that came by, and now and then one more grows. What is lost with every
    # turn is lost in each round.
    rounds = []
    for _ in range(ROUNDS):
        for _ in range(TURNS):
            turn()
        # Threads of a device may need a moment to be gone.
        until(lambda: not rounds or gateway.number("threads") <= rounds[0]["threads"], "as many threads as before", 10)
        rounds.append(figures(gateway))
        say(f"after {TURNS * len(rounds)} turns: {rounds[-1]}")
    check(rounds[-1]["threads"] <= rounds[0]["threads"], "no more threads")
    check(rounds[-1]["fds"] <= rounds[0]["fds"], "no more descriptors")
    least = min(after["rss"] - before["rss"] for before, after in zip(rounds, rounds[1:]))
    check(least <= TURNS, f"and no more memory: {least} KiB at least in a round, {TURNS} at most")


def scenario(program):
    with Cluster() as cluster:
        cluster.create("v")
        cluster.start("v")
        with Gateway(program, cluster.dir + "/lun.log") as gateway:
            crowd(cluster, gateway)
            coming_and_going(cluster, gateway)


main(scenario)
