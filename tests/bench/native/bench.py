# SPDX-License-Identifier: Apache-2.0
"""bench-native for the tests: runs it, alone or under callgrind, and skips where that cannot be."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile

import callgrind

TIMEOUT = 100  # seconds
SKIPPED = 77


def skip(reason):
    print("SKIP: " + reason)
    sys.exit(SKIPPED)


def need_valgrind():
    if not shutil.which("valgrind"):
        skip("valgrind is missing (apt install valgrind, dnf install valgrind)")


@contextlib.contextmanager
def files(count, size=64 << 20):
    """The config string of file LUNs, with %d."""
    with tempfile.TemporaryDirectory(prefix="bench-native.") as directory:
        for i in range(count):
            with open(f"{directory}/lun{i}", "wb") as file:
                file.truncate(size)
        yield f"file/{directory}/lun%d"


def come_first():
    """Before all who have no such class. False: we may not."""
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except PermissionError:
        return False
    return True


def run(program, *arguments, preload=None, wrapper=(), cpus=None):
    """What it prints. cpus: it may use these processors only."""
    env = dict(os.environ)
    if preload:
        env["LD_PRELOAD"] = preload
    ended = subprocess.run([*wrapper, program, *map(str, arguments)], env=env,
                           preexec_fn=lambda: cpus and os.sched_setaffinity(0, cpus),
                           stdout=subprocess.PIPE, timeout=TIMEOUT, check=False)
    if ended.returncode:
        sys.exit(f"{program} ended with {ended.returncode}")
    return json.loads(ended.stdout)


class Profile:
    """One run under callgrind, in bursts, so that it comes again as it was."""

    def __init__(self, program, *arguments, preload=None):
        with tempfile.TemporaryDirectory(prefix="bench-native.") as directory:
            wrapper = ["valgrind", "-q", "--tool=callgrind", "--instr-atstart=no",
                       "--separate-threads=yes", f"--callgrind-out-file={directory}/out"]
            self.said = run(program, "--bursts", "--gather", 0, *arguments, preload=preload,
                            wrapper=wrapper, cpus={min(os.sched_getaffinity(0))})
            self.threads = callgrind.threads(directory + "/out")
        if not any(self.of(thread, "runner_cmdproc") for thread in self.threads):
            skip("bench-native was built without valgrind/callgrind.h (Fedora: dnf install "
                 "valgrind-devel)")

    @staticmethod
    def of(thread, function):
        return any(f.name == function for f in thread)

    def instructions(self, *functions):
        """Of the project's own code, per command, in the threads that run one of these functions."""
        own = sum(count for thread in self.threads for f, count in thread.items()
                  if any(self.of(thread, name) for name in functions) and self.is_own(f))
        return own / self.said["commands"]

    @staticmethod
    def is_own(function):
        """Not libc, and not the tests'."""
        name = os.path.basename(function.object)
        return (name == "bench-native" or name.startswith("handler_")) and \
            "/tests/" not in function.file
