# SPDX-License-Identifier: Apache-2.0
"""glfs-lun for tests: logical units of the daemon's own code, led from here."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time

from cluster import die_with_parent, skip

BLOCK = 512
MIB = 1 << 20
PATIENCE = 150  # seconds


class Failed(Exception):
    """What a test found."""


def check(fine, what):
    """A line of what is checked; the test ends with the first that is not so."""
    print(f"{'ok' if fine else 'FAILED'}: {what}", flush=True)
    if not fine:
        raise Failed(what)


def say(what):
    print("    " + what, flush=True)


def now_ms():
    """The clock of the figures that a load gives."""
    return int(time.monotonic() * 1000)


class Gateway:
    """A process with units; each method is a line of tests/glfs/lun.c."""

    def __init__(self, program, log, wrapper=()):
        self.log_path = log
        self.tag = 0
        self.answers = {}
        self.came = threading.Condition()
        with open(log, "ab") as file:
            self.process = subprocess.Popen([*wrapper, program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=file,
                                            text=True, preexec_fn=die_with_parent)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is None:
            self.quit()
        else:
            self.kill()
            if kind is not SystemExit:
                self.tell_log()

    def read(self):
        for line in self.process.stdout:
            tag, _, answer = line.rstrip("\n").partition(" ")
            with self.came:
                self.answers[tag] = answer
                self.came.notify_all()
        with self.came:
            self.answers[None] = ""
            self.came.notify_all()

    # ---- lines

    def send(self, *words):
        """Is carried out beside others; answer() has what comes of it."""
        self.tag += 1
        tag = f"@{self.tag}"
        self.process.stdin.write(" ".join([tag, *map(str, words)]) + "\n")
        self.process.stdin.flush()
        return tag

    def answer(self, tag, seconds=PATIENCE):
        with self.came:
            if not self.came.wait_for(lambda: tag in self.answers or None in self.answers, seconds):
                raise Failed(f"glfs-lun has not answered {tag} for {seconds} s")
            if tag not in self.answers:
                raise Failed("glfs-lun has ended")
            return self.answers.pop(tag)

    def has_answered(self, tag):
        with self.came:
            return tag in self.answers

    def ask(self, *words, seconds=PATIENCE):
        return self.answer(self.send(*words), seconds)

    def must(self, *words):
        answer = self.ask(*words)
        if not answer.startswith("ok"):
            raise Failed(f"{' '.join(map(str, words))[:200]}: {answer}")
        return answer[2:].strip()

    # ---- units

    def add(self, name, config, size, **options):
        return self.must("add", name, config, size, *(f"{k}={v}" for k, v in options.items()))

    def remove(self, name):
        self.must("remove", name)

    def check_config(self, config):
        """Is it good; how many seconds that took; the reason."""
        word, ms, reason = self.ask("check", config).split(" ", 2)
        return word == "good", int(ms) / 1000, reason

    def start(self, name, **options):
        return self.must("start", name, *(f"{k}={v}" for k, v in options.items()))

    def progress(self, name, commands, seconds=60):
        self.must("progress", name, commands, int(seconds * 1000))

    def stats(self, name):
        return json.loads(self.ask("stats", name))

    def stop(self, name, seconds=60):
        """Ends the load; what is on the disk is what may be there."""
        return self.ask("stop", name, f"timeout={int(seconds * 1000)}")

    def number(self, what):
        return int(self.ask(what))

    def capacity(self, name):
        """Bytes, by READ CAPACITY(16)."""
        data = bytes.fromhex(self.must("cdb", name, "9e10" + "00" * 8 + "00000020" + "0000", "in=32", "retry=1"))
        return (int.from_bytes(data[:8], "big") + 1) * int.from_bytes(data[8:12], "big")

    def md5(self, name, lba, blocks):
        return self.must("read", name, lba, blocks).split()[0]

    def wait_good(self, name, commands=100, seconds=60):
        """Until so many more have ended GOOD; what is counted begins anew. Milliseconds until the first of them."""
        begun = time.monotonic()
        self.stats(name)
        first, good = 0, 0
        while good < commands:
            if time.monotonic() - begun > seconds:
                raise Failed(f"{name}: {good} good commands, not {commands}, in {seconds} s")
            self.ask("progress", name, 20, 100)
            stats = self.stats(name)
            first = first or stats["first_good"]
            good += stats["good"]
        return first - begun * 1000

    # ---- the end

    def said(self, text):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return [line.rstrip() for line in file if text in line]

    def tell_log(self, lines=25):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            for line in file.readlines()[-lines:]:
                print("  | " + line.rstrip()[:300], file=sys.stderr)

    def quit(self, seconds=60):
        self.process.stdin.write("quit\n")
        self.process.stdin.close()
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            status = "not at all"
        if status:
            self.tell_log()
            raise Failed(f"glfs-lun ended with {status}, not with 0")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def md5_of_file(path, start=0, length=None):
    with open(path, "rb") as file:
        file.seek(start)
        return hashlib.md5(file.read(length)).hexdigest()


def main(scenario):
    """scenario(program) with the command line's; the exit status of a test."""
    program = sys.argv[1]
    if not os.access(program, os.X_OK):
        skip(f"{program} is not built")
    begun = time.monotonic()
    try:
        scenario(program)
    except (Failed, TimeoutError, RuntimeError) as e:
        print(f"FAILED: {e}")
        sys.exit(1)
    print(f"{time.monotonic() - begun:.1f} s")
