#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Images of every kind that qemu-img makes, written to by us and read by it.

  write-matrix.py WRITER [--seed N] [--only TEXT] [--long] [--qemu] [--modes "MODE..."]

WRITER (qcow-writer) says what it has done; the same is done to a raw twin. Then qemu-img
compare finds no difference, and qemu-img check neither errors nor leaks. After that qemu-io
writes to the image itself, and WRITER goes on with that. With --qemu (and --long) there is a second
twin, an image of the same kind, to which qemu-io does the same.
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile

from matrix import MIB, io, life, run
from variants import all_variants


class Failed(Exception):
    pass


class Writing:
    def __init__(self, writer, folder, variant, seed, qemu=False):
        self.writer, self.dir, self.variant = writer, folder, variant
        self.rnd = random.Random(f"write {variant.name} {seed}")
        self.image = variant.make(folder, seed)
        self.twin = os.path.join(folder, "twin.raw")
        self.then = os.path.join(folder, "then.raw")
        self.size = variant.size
        self.convert(self.twin)
        if variant.snapshot:
            shutil.copy(self.twin, self.then)
        self.base = self.base_bytes()
        self.image_twin = self.copy_image() if qemu else None

    def copy_image(self):
        """In a folder of its own, for the data file's name."""
        folder = os.path.join(self.dir, "twin")
        os.makedirs(folder, exist_ok=True)
        for file in os.listdir(self.dir):
            if file not in ("twin", "twin.raw", "then.raw", "now.raw") and not file.startswith("base"):
                shutil.copy(os.path.join(self.dir, file), folder)
        return os.path.join(folder, os.path.basename(self.image))

    def do_by_qemu(self, commands):
        folder, fmt = os.path.dirname(self.image_twin), self.variant.fmt
        for command in commands:
            if command.startswith("truncate"):
                run("qemu-img", "resize", "-q", "-f", fmt, self.image_twin, command.split()[1], cwd=folder)
        lines = [c for c in commands if not c.startswith("truncate")]
        subprocess.run(["qemu-io", "-f", fmt, self.image_twin], input="\n".join(lines) + "\n",
                       text=True, check=True, stdout=subprocess.DEVNULL, cwd=folder)

    def compare_by_qemu(self):
        if self.variant.data_file:  # two of that name: the contents are compared one by one
            raw = os.path.join(self.dir, "twin", "twin.raw")
            run("qemu-img", "convert", "-f", self.variant.fmt, "-O", "raw", self.image_twin, raw,
                cwd=os.path.dirname(raw))
            return self.qemu_img("compare", "-f", "raw", "-F", self.variant.fmt, raw, self.image)
        return self.qemu_img("compare", "-f", self.variant.fmt, "-F", self.variant.fmt, self.image,
                             self.image_twin)

    def base_bytes(self):
        if not self.variant.base:
            return b""
        with open(os.path.join(self.dir, "base." + self.variant.base[0]), "rb") as f:
            return f.read()

    def convert(self, to, *source):
        source = source or ("-f", self.variant.fmt)
        run("qemu-img", "convert", *source, "-O", "raw", self.image, to, cwd=self.dir)

    def qemu_img(self, *argv):
        return subprocess.run(["qemu-img", *argv], capture_output=True, text=True, cwd=self.dir)

    def write(self, count, *modes):
        seed = str(self.rnd.randrange(1 << 30))
        options = self.rnd.choice(("", ";cache=64K"))
        done = subprocess.run(
            [self.writer, f"qcow/{self.image}{options}", seed, self.twin, str(count), *modes],
            capture_output=True, text=True, errors="replace")
        if done.returncode:
            raise Failed(f"writer, seed {seed}, {count} commands, modes {modes}: "
                         f"status {done.returncode}: {done.stderr[:3000]}")
        self.do_to_twin(done.stdout.splitlines())
        self.seed = seed

    def do_to_twin(self, commands):
        """What qemu-io would do, without a process."""
        if self.image_twin:
            self.do_by_qemu(commands)
        with open(self.twin, "r+b") as f:
            for command in commands:
                what, *args = command.split()
                if what == "truncate":
                    f.truncate(int(args[0]))
                else:
                    pattern, off, length = (int(a) for a in args[1:])
                    f.seek(off)
                    f.write(bytes([pattern]) * length)

    def qemu_writes(self, count):
        commands = life(self.rnd, self.size, count, zeros=False)
        io(self.image, self.variant.fmt, commands)
        self.do_to_twin(commands)

    def judge(self, leaks=False):
        done = self.qemu_img("compare", "-f", self.variant.fmt, "-F", "raw", self.image, self.twin)
        if done.returncode:
            raise Failed(f"after seed {self.seed}: qemu-img compare: {done.stdout} {done.stderr}")
        if self.image_twin:
            done = self.compare_by_qemu()
            if done.returncode:
                raise Failed(f"after seed {self.seed}: not what QEMU has made: {done.stdout} "
                             f"{done.stderr}")
        if self.variant.snapshot:
            now = os.path.join(self.dir, "now.raw")
            self.convert(now, "-l", "snapshot.name=one")
            # It has the size of the disk now for qemu-img, whatever it had then.
            os.truncate(now, self.variant.size)
            with open(now, "rb") as a, open(self.then, "rb") as b:
                if a.read() != b.read():
                    raise Failed(f"after seed {self.seed}: the snapshot has changed")
        if self.base_bytes() != self.base:
            raise Failed(f"after seed {self.seed}: the backing file has changed")
        if self.variant.raw and not leaks:  # what a failed write has left there is not the disk's
            data_file = os.path.join(self.dir, self.variant.data_file)
            done = self.qemu_img("compare", "-f", "raw", "-F", "raw", data_file, self.twin)
            if done.returncode:
                raise Failed(f"after seed {self.seed}: the raw data file is not the disk: "
                             f"{done.stdout} {done.stderr}")
        if self.variant.checked:
            done = self.qemu_img("check", "-f", self.variant.fmt, self.image)
            if done.returncode and not (leaks and done.returncode == 3):
                raise Failed(f"after seed {self.seed}: qemu-img check: {done.returncode} "
                             f"{done.stdout[:1500]} {done.stderr[:1500]}")

    def grow(self):
        """Where the size of the disk can change."""
        v = self.variant
        return v.fmt == "qcow2" and not v.base and not v.snapshot

    def rounds(self, count, rounds, modes):
        for i in range(rounds):
            more = ["shrink"] if i == 0 else []
            if i == rounds - 1 and self.grow():
                self.size += MIB + 512 * 9
                more.append(f"grow={self.size}")
            self.write(count, "reopens=1", *more, *modes)
            self.judge()
            self.qemu_writes(5)
        self.write(count, "errors", *modes)
        # What became of the commands that failed only the writer knows.
        self.convert(self.twin)
        if self.image_twin:
            self.image_twin = self.copy_image()
        self.write(count // 2, *modes)
        self.judge(leaks=True)


def damaged(writer, folder):
    """An entry that refers to metadata: nothing is written over them, and the image is marked."""
    image, twin = os.path.join(folder, "a.qcow2"), os.path.join(folder, "twin.raw")
    for name, field in ("L1 table", 40), ("refcount table", 48), ("L2 table", "l2"):
        run("qemu-img", "create", "-q", "-f", "qcow2", image, "1M")
        io(image, "qcow2", ["write -P 1 0 64k"])
        with open(image, "r+b") as f:
            def number(at):
                f.seek(at)
                return int.from_bytes(f.read(8), "big")
            l2 = number(number(40)) & 0x00fffffffffffe00
            target = l2 if field == "l2" else number(field)
            f.seek(l2 + 8)  # the second cluster
            f.write((1 << 63 | target).to_bytes(8, "big"))
        with open(image, "rb") as f:
            before = f.read()
        with open(twin, "wb") as f:
            f.truncate(MIB)
        done = subprocess.run([writer, f"qcow/{image}", "1", twin, "50", "reopens=0"],
                              capture_output=True, text=True, errors="replace")
        with open(image, "rb") as f:
            after = f.read()
        marked = bool(after[79] & 2)
        if "that refers to metadata" not in done.stderr or not marked:
            raise Failed(f"{name}: marked {marked}, {done.stderr[:500]}")
        same = before[:72] == after[:72] and before[80:len(before)] == after[80:len(before)]
        if not same:
            raise Failed(f"{name}: written over")
        again = subprocess.run([writer, f"qcow/{image}", "1", twin, "1"], capture_output=True,
                               text=True, errors="replace")
        if "marked as corrupt" not in again.stderr:
            raise Failed(f"{name}: opened again: {again.stderr[:500]}")
        os.unlink(image)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("writer")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="")
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--qemu", action="store_true")
    parser.add_argument("--modes", default="")
    args = parser.parse_args()
    if not shutil.which("qemu-img") or not shutil.which("qemu-io"):
        print("SKIP: qemu-img and qemu-io are missing (apt install qemu-utils)")
        return 77
    failures = 0
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else "/var/tmp"
    for seed in range(args.seed, args.seed + (10 if args.long else 1)):
        print("seed", seed)
        if args.only in "damaged":
            with tempfile.TemporaryDirectory(prefix="qcow-", dir=memory) as folder:
                try:
                    damaged(args.writer, folder)
                except (Failed, RuntimeError) as e:
                    print(f"FAIL: damaged: {e}")
                    failures += 1
        for variant in all_variants():
            if args.only not in variant.name:
                continue
            with tempfile.TemporaryDirectory(prefix="qcow-", dir=memory) as folder:
                try:
                    Writing(args.writer, folder, variant, seed, args.qemu or args.long).rounds(
                        2000 if args.long else 200, 4 if args.long else 1, args.modes.split())
                except (Failed, RuntimeError) as e:
                    print(f"FAIL: {variant.name}, seed {seed}: {e}")
                    failures += 1
                    if args.long and failures > 20:
                        return 1
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
