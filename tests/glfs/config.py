#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: Apache-2.0
"""config LUN: what is said of config strings, and how soon."""

import socket
import time

from cluster import PORT, Cluster
from gateway import MIB, Gateway, check, main

SOON = 2.0  # seconds
NOBODY = "127.0.0.99"
NO_ROUTE = "192.0.2.1"  # RFC 5737: it may be a black hole, too
MUTE, DEAF = "127.0.0.97", "127.0.0.98"

# What follows "glfs/", and what the reason has to name.
SYNTAX = [
    ("", "''"),
    ("v", "'v'"),
    ("v@", "'v@'"),
    ("v@{host}", "'v@{host}'"),
    ("v@{host}/", "'v@{host}/'"),
    ("@{host}/disk", "'@{host}/disk'"),
    ("v.o@{host}/disk", "'v.o'"),
    ("v@/disk", "'v@/disk'"),
    ("v@[::1/disk", "'[::1'"),
    ("v@{host}:0/disk", "'{host}:0'"),
    ("v@{host}:x/disk", "'{host}:x'"),
    ("v@{host}/disk;nonsense", "'nonsense'"),
    ("v@{host}/disk;", "''"),
    ("v@{host}/disk;port=", "'port='"),
    ("v@{host}/disk;port=70000", "'port=70000'"),
    ("v@{host}/disk;port=-1", "'port=-1'"),
    ("v@{host}/disk;loglevel=10", "'loglevel=10'"),
    ("v@{host}/disk;loglevel=x", "'loglevel=x'"),
    ("v@{host}/disk;timeout=0", "'timeout=0'"),
    ("v@{host}/disk;timeout=5s", "'timeout=5s'"),
    ("v@{host}/disk;log=here", "'log=here'"),
    ("v@{host}/disk;socket=here", "'socket=here'"),
    ("v@{host}/disk;server=", "''"),
    ("v@{host}/disk;create;ro", "'create'"),
    ("v@{host}/disk;create=1", "'create=1'"),
]


def reasons(cluster):
    """Strings that are well-formed: config, what has to be named."""
    return [
        ("nobody listens", cluster.config("v", "/disk", host=NOBODY), NOBODY),
        ("another port", cluster.config("v", "/disk", port=1), cluster.host),
        ("a name that there is not", cluster.config("v", "/disk", host="nowhere.invalid"), "nowhere.invalid"),
        ("no such socket", f"glfs/v@/disk;socket={cluster.dir}/none;log={cluster.dir}/log/gfapi.log", cluster.dir + "/none"),
        ("an unknown volume", cluster.config("unknown", "/disk"), "'unknown'"),
        ("a volume that is not started", cluster.config("stopped", "/disk"), "'stopped'"),
        ("no such file", cluster.config("v", "/none"), "'/none'"),
        ("no such directory", cluster.config("v", "/none/disk"), "'/none/disk'"),
        ("a directory", cluster.config("v", "/dir"), "'/dir'"),
        ("an empty file", cluster.config("v", "/empty"), "'/empty'"),
    ]


def silent(cluster):
    """Servers that say nothing: what, config, the address."""
    return [(f"{what} server", cluster.config("v", "/disk", host=host), host)
            for what, host in (("a mute", MUTE), ("a deaf", DEAF), ("a very far", NO_ROUTE))]


def checks(cluster, gateway):
    for text, named in SYNTAX:
        config = "glfs/" + text.format(host=cluster.host)
        good, seconds, reason = gateway.check_config(config)
        named = named.format(host=cluster.host)
        check(not good and named in reason and seconds < SOON, f"check {config}: {reason} ({seconds:.2f} s)")
    for what, config, named in reasons(cluster) + silent(cluster):
        good, seconds, reason = gateway.check_config(config)
        check(not good and named in reason and seconds < SOON, f"check, {what}: {reason} ({seconds:.2f} s)")
    for what, config in (("as it should be", cluster.config("v", "/disk")),
                         ("read-only", cluster.config("v", "/disk", ro=None)),
                         ("to be created", cluster.config("v", "/new", create=None)),
                         ("all options", cluster.config("v", "/disk", server=cluster.host, port=24007, timeout=9, loglevel=7))):
        good, seconds, reason = gateway.check_config(config)
        check(good and seconds < SOON, f"check, {what}: good {reason} ({seconds:.2f} s)")


def opens(cluster, gateway):
    """The same of 'enable', where the log has the reason."""
    for what, config, named in reasons(cluster):
        answer = gateway.ask("add", "x", config, MIB)
        check(answer.startswith("failed -") and named in answer, f"open, {what}: {answer}")
    answer = gateway.ask("add", "x", cluster.config("v", "/disk"), 8 * MIB)
    check(answer.startswith("failed -") and str(8 * MIB) in answer and str(4 * MIB) in answer,
          f"open, dev_size is more than the file has: {answer}")
    answer = gateway.ask("add", "x", cluster.config("v", "/new", create=None), 0)
    check(answer.startswith("failed -") and "/new" in answer, f"open, create without dev_size: {answer}")
    gateway.add("x", cluster.config("v", "/disk"), 4 * MIB)
    answer = gateway.ask("add", "y", cluster.config("v", "/disk"), 4 * MIB)
    check(answer.startswith("failed -") and "x" in answer, f"open, the file is in use: {answer}")
    gateway.remove("x")
    gateway.add("r", cluster.config("v", "/disk", ro=None), 4 * MIB)
    gateway.add("s", cluster.config("v", "/disk", ro=None), 4 * MIB)
    answer = gateway.ask("write", "r", 0, 8, 1)
    check("7/27" in answer, f"a write to one that is read-only: {answer}")
    check(gateway.ask("read", "s", 0, 8).startswith("ok"), "two that are read-only share a file")
    gateway.remove("r")
    gateway.remove("s")


def slow_opens(cluster, gateway):
    """An open that waits for nobody's answer holds up no other."""
    begun = time.monotonic()
    tags = [(what, host, gateway.send("add", host, config, MIB)) for what, config, host in silent(cluster)]
    gateway.add("beside", cluster.config("v", "/disk"), MIB)
    gateway.must("write", "beside", 0, 8, 1)
    took = time.monotonic() - begun
    check(took < SOON, f"another unit is opened meanwhile, in {took:.2f} s")
    for what, host, tag in tags:
        answer = gateway.answer(tag, 60)
        check(answer.startswith("failed -") and host in answer,
              f"open, {what}: {answer} (after {time.monotonic() - begun:.1f} s)")


def listen(host, backlog):
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((host, PORT))
    sock.listen(backlog)
    return sock


def silent_servers():
    """One takes connections and says nothing; the other one's queue is full, so that it does not even answer SYNs."""
    deaf, callers = listen(DEAF, 0), []
    for _ in range(4):
        callers.append(socket.socket())
        callers[-1].setblocking(False)
        callers[-1].connect_ex((DEAF, PORT))
    return [listen(MUTE, 64), deaf, *callers]


def scenario(program):
    with Cluster() as cluster:
        for volume in ("v", "stopped"):
            cluster.create(volume)
        cluster.start("v")
        cluster.make_file("v", "/disk", 4 * MIB)
        cluster.make_file("v", "/empty", 0)
        cluster.make_directory("v", "/dir")
        servers = silent_servers()
        with Gateway(program, cluster.dir + "/lun.log") as gateway:
            checks(cluster, gateway)
            opens(cluster, gateway)
            slow_opens(cluster, gateway)
        for server in servers:
            server.close()


main(scenario)
