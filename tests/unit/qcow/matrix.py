#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Images of every kind that qemu-img makes, read by us and by it.

  matrix.py READER [--seed N] [--only TEXT]

Each image gets the same sort of life: writes, zeroes, discards, compressed
clusters, by qemu-io. What READER (qcow-reader) then reads has to be what
qemu-img convert reads. And images that have to be refused are.
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile

MIB = 1 << 20

failures = []


def run(*argv, cwd=None):
    done = subprocess.run(argv, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: {done.stdout} {done.stderr}")
    return done.stdout


def io(image, fmt, commands):
    argv = ["qemu-io", "-f", fmt]
    for c in commands:
        argv += ["-c", c]
    run(*argv, image, cwd=os.path.dirname(image))  # to which QEMU takes the data file's name


def life(rnd, size, count, zeros=True, compressed=0):
    """qemu-io commands: what somebody does with a disk of size bytes. compressed:
    that has so many bytes in a cluster, some of them compressed."""
    commands = []
    if compressed:  # only where there is nothing yet
        for off in sorted(rnd.sample(range(0, size, compressed), count)):
            commands.append(f"write -c -P {rnd.randrange(1, 256)} {off} {compressed}")
    for _ in range(count):
        length = 512 * rnd.choice([1, 3, 8, 64, 127, 128, 300, 2000])
        length = min(length, size // 2 // 512 * 512)
        off = rnd.randrange(0, (size - length) // 512 + 1) * 512
        kind = rnd.random()
        if zeros and kind < 0.55:
            commands.append(f"write -z {off} {length}")
        elif zeros and kind < 0.65:
            commands.append(f"write -z -u {off} {length}")
        elif zeros and kind < 0.75:
            commands.append(f"discard {off} {length}")
        else:
            commands.append(f"write -P {rnd.randrange(1, 256)} {off} {length}")
    return commands


class Matrix:
    def __init__(self, reader, folder, seed, only):
        self.reader, self.dir, self.seed, self.only = reader, folder, seed, only
        self.rnd = random.Random(seed)

    def path(self, name):
        return os.path.join(self.dir, name)

    def wanted(self, name):
        return not self.only or self.only in name

    def compare(self, name, image, fmt="qcow2", options="", convert=(), size=0):
        """What we read of it is what qemu-img reads, of a snapshot the first size bytes:
        for qemu-img it has the size that the disk has now, for us that of then."""
        twin = self.path("twin.raw")
        source = [] if convert else ["-f", fmt]
        run("qemu-img", "convert", *source, *convert, "-O", "raw", image, twin,
            cwd=self.dir)
        if size:
            os.truncate(twin, size)
        seed = str(self.rnd.randrange(1 << 30))
        done = subprocess.run([self.reader, f"qcow/{image};ro{options}", seed, twin],
                              capture_output=True, text=True)
        os.unlink(twin)
        if done.returncode:
            failures.append(f"{name} (seed {seed}): {done.stderr[:2000]}")

    def make(self, image, size, options="", fmt="qcow2", backing=()):
        argv = ["qemu-img", "create", "-q", "-f", fmt]
        if options:
            argv += ["-o", options]
        run(*argv, *backing, image, *([str(size)] if size else []), cwd=self.dir)

    def simple(self, name, options, size=6 * MIB, fmt="qcow2", **kind):
        if not self.wanted(name):
            return
        image = self.path("a.qcow2")
        self.make(image, size, options, fmt)
        io(image, fmt, life(self.rnd, size, 40, **kind))
        self.compare(name, image, fmt)
        for file in os.listdir(self.dir):
            os.unlink(self.path(file))

    def formats(self):
        for compat in "0.10", "1.1":
            for bits in 9, 12, 16, 21:
                self.simple(f"{compat} clusters of {1 << bits}",
                            f"compat={compat},cluster_size={1 << bits}",
                            zeros=compat != "0.10")
        for bits in 1, 2, 4, 8, 32, 64:
            self.simple(f"refcount_bits={bits}", f"refcount_bits={bits}")
        self.simple("lazy refcounts", "lazy_refcounts=on")
        for bits in 14, 16, 21:
            self.simple(f"extended L2, clusters of {1 << bits}",
                        f"extended_l2=on,cluster_size={1 << bits}")
        for mode in "metadata", "falloc", "full":
            self.simple(f"preallocation={mode}", f"preallocation={mode}")
        self.simple("extended L2, preallocation", "extended_l2=on,preallocation=metadata")
        self.simple("zlib", "", compressed=65536)
        self.simple("zstd", "compression_type=zstd", compressed=65536)
        self.simple("zlib, extended L2", "extended_l2=on", compressed=65536)
        self.simple("data file", "data_file=ext.raw")
        self.simple("raw data file", "data_file=ext.raw,data_file_raw=on")
        self.simple("data file, extended L2", "data_file=ext.raw,extended_l2=on")
        self.simple("version 1", "", fmt="qcow", zeros=False)
        self.simple("version 1, deflate", "", fmt="qcow", zeros=False, compressed=4096)
        self.simple("no multiple of a cluster", "", size=5 * MIB + 512 * 77)
        self.simple("1 GiB", "", size=1024 * MIB)

    def compressed(self):
        base = self.path("base.raw")
        for name, options in (
                ("deflate", ""),
                ("zstd", "compression_type=zstd"),
                ("deflate, small clusters", "cluster_size=512"),
                ("zstd, large clusters", "compression_type=zstd,cluster_size=2M"),
                ("deflate, large clusters", "cluster_size=2M"),
                ("deflate, v2", "compat=0.10,cluster_size=4k")):
            if not self.wanted("converted " + name):
                continue
            with open(base, "wb") as f:  # text, noise and holes, as disks have them
                for i in range(100):
                    f.seek(self.rnd.randrange(0, 12 * MIB) // 512 * 512)
                    n = self.rnd.randrange(1, 200) * 512
                    f.write(self.rnd.randbytes(n) if i % 4 == 0 else bytes([i]) * n)
                f.truncate(12 * MIB + 512 * 9)
            image = self.path("c.qcow2")
            argv = ["-o", options] if options else []
            run("qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", *argv, base, image)
            self.compare("converted " + name, image)

    def chains(self):
        size = 16 * MIB
        names = []
        if not self.wanted("chain"):
            return
        os.mkdir(self.path("sub"))
        for i, (options, fmt, base_size) in enumerate((
                ("", "raw", size // 2),
                ("", "qcow2", size),
                ("cluster_size=4k", "qcow2", size // 4),
                ("extended_l2=on", "qcow2", size),
                ("compat=0.10", "qcow2", size + 4 * MIB),
                ("compression_type=zstd", "qcow2", size))):
            name = self.path(f"sub/layer{i}")
            backing = ()
            if names:
                last, last_fmt = names[-1]
                # a relative name, then an absolute one
                backing = ("-b", os.path.basename(last) if i % 2 else last, "-F", last_fmt)
            self.make(name, base_size, options, fmt, backing)
            io(name, fmt, life(self.rnd, base_size, 40, zeros=fmt != "raw" and "0.10" not in options))
            names.append((name, fmt))
            if fmt != "raw":
                self.compare(f"chain of {i + 1}", name)
        deep, fmt = names[-1]
        for i in range(20):
            name = self.path(f"deep{i}")
            self.make(name, 0, "", "qcow2", ("-b", deep, "-F", fmt))
            io(name, "qcow2", life(self.rnd, size, 3))
            deep, fmt = name, "qcow2"
        self.compare("chain of 26", deep, options=";cache=64K")

    def snapshots(self):
        for options in "", "extended_l2=on", "compat=0.10", "refcount_bits=64":
            if not self.wanted("snapshot " + options):
                continue
            image, size = self.path("s.qcow2"), 16 * MIB
            self.make(image, size, options)
            for i in range(4):
                io(image, "qcow2", life(self.rnd, size, 25, zeros="0.10" not in options))
                run("qemu-img", "snapshot", "-c", f"one {i}", image)
                if i == 1 and "0.10" not in options:
                    run("qemu-img", "bitmap", "--add", "-g", "64k", image, "b0")
                if i == 2 and "0.10" not in options:
                    size = 20 * MIB
                    run("qemu-img", "resize", "-q", image, str(size))
            self.compare("snapshot, active", image)
            for i in range(4):
                self.compare(f"snapshot {i} {options}", image, options=f";snapshot=one {i}",
                             convert=("-l", f"snapshot.name=one {i}"),
                             size=16 * MIB if i < 3 else size)
            self.refused(f"qcow/{image};ro;snapshot=none", "no snapshot 'none'")
            os.unlink(image)

    # ---- refusals ----

    def refused(self, config, sentence):
        done = subprocess.run([self.reader, config, "1", "/dev/null"], capture_output=True, text=True)
        if done.returncode != 3 or sentence not in done.stderr:
            failures.append(f"{config}: not refused with '{sentence}': {done.returncode} {done.stderr}")

    def patched(self, name, patches, sentence, source=None):
        image = self.path("p.qcow2")
        shutil.copy(source or self.path("whole.qcow2"), image)
        with open(image, "r+b") as f:
            for at, data in patches:
                f.seek(at)
                f.write(data)
        self.refused(f"qcow/{image};ro", sentence)
        os.unlink(image)

    def refusals(self):
        if not self.wanted("refusals"):
            return
        image = self.path("whole.qcow2")
        self.make(image, 16 * MIB)
        self.refused(f"qcow/{image};snapshot=one", "a snapshot can only be read")
        self.refused(f"qcow/{image};ro;frob", "no option of the qcow handler")
        self.refused("qcow/relative;ro", "not an absolute path")
        self.refused(f"qcow/{self.dir};ro", "neither a regular file")
        self.refused("qcow//dev/null;ro", "neither a regular file")
        self.refused("qcow//no/such;ro", "No such file")

        def be(value, size):
            return value.to_bytes(size, "big")

        for patches, sentence in (
                ([(0, b"QFJ")], "no qcow image"),
                ([(4, be(4, 4))], "its version is 4"),
                ([(20, be(8, 4))], "cluster_bits are 8"),
                ([(20, be(22, 4))], "cluster_bits are 22"),
                ([(32, be(1, 4))], "encrypted"),
                ([(36, be(0, 4))], "L1 table has 0 entries"),
                ([(36, be(0xffffffff, 4))], "more than the"),
                ([(24, be(1 << 62, 8))], "more than the"),
                ([(24, be((1 << 64) - 1, 8))], "more than the"),
                ([(40, be(0x30200, 8))], "not at the start of a cluster"),
                ([(40, be(1 << 40, 8))], "not inside the file"),
                ([(40, be(0, 8))], "not inside the file"),
                ([(48, be(77, 8))], "refcount table"),
                ([(60, be(65537, 4))], "65537 snapshots"),
                ([(60, be(1, 4)), (64, be(1 << 50, 8))], "snapshot table"),
                ([(72, be(1 << 5, 8))], "incompatible feature 5"),
                ([(72, be(1 << 63, 8))], "incompatible feature 63"),
                ([(72, be(1 << 3, 8))], "compression_type is 0"),
                ([(104, be(1, 1))], "compression_type is 1"),
                ([(72, be(1 << 3, 8)), (104, be(2, 1))], "supported are 0 (deflate) and 1"),
                ([(72, be(1 << 2, 8))], "whose name it does not say"),
                ([(96, be(7, 4))], "refcount_order is 7"),
                ([(100, be(100, 4))], "header_length is 100"),
                ([(100, be(1 << 31, 4))], "header_length is"),
                ([(116, be(0xfffffff0, 4))], "more than the first cluster"),
                ([(8, be(65535, 8)), (16, be(2, 4))], "not inside the first cluster"),
                ([(8, be(512, 8)), (16, be(1024, 4))], "longer than 1023")):
            self.patched(sentence, patches, sentence)
        # The feature's name is in the table that qemu-img writes: bit 4 becomes bit 40.
        with open(image, "rb") as f:
            table = f.read(65536).index(b"\x00\x04extended L2 entries")
        self.patched("name", [(table + 1, be(40, 1)), (72, be(1 << 40, 8))], "'extended L2 entries'")

        self.make(self.path("over.qcow2"), 0, "", "qcow2", ("-b", image, "-F", "qcow2"))
        with open(self.path("over.qcow2"), "rb") as f:
            head = f.read(65536)
        ext = head.index(be(0xe2792aca, 4))
        self.patched("no format", [(ext, b"\x12\x34\x56\x78")], "none is guessed",
                     self.path("over.qcow2"))
        self.patched("vmdk", [(ext + 8, b"vmdk2")], "supported are raw", self.path("over.qcow2"))
        name_at = head.index(image.encode())
        self.patched("protocol", [(name_at, b"nbd:x")], "not a file's name", self.path("over.qcow2"))
        self.patched("json", [(name_at, b"json:")], "not a file's name", self.path("over.qcow2"))
        loop, other = self.path("loop.qcow2"), self.path("other.qcow2")
        for a, b in (loop, other), (other, loop):
            run("qemu-img", "create", "-q", "-u", "-f", "qcow2", "-b", b, "-F", "qcow2", a, "1M")
        self.refused(f"qcow/{loop};ro", "leads back to")
        for base in "/dev/zero", self.dir, "/no/such":
            run("qemu-img", "create", "-q", "-u", "-f", "qcow2", "-b", base, "-F", "raw", loop, "1M")
            self.refused(f"qcow/{loop};ro", base)
        os.truncate(image, 100)
        self.refused(f"qcow/{image};ro", "ends inside its header")

    def costs(self):
        """1 TiB with all of its L2 tables, of which few are in memory: a read where none is costs
        one read more."""
        if not self.wanted("costs"):
            return
        image = self.path("large.qcow2")
        self.make(image, 1 << 40, "preallocation=metadata")
        for cache in "64K", "4M":
            done = subprocess.run([self.reader, f"qcow/{image};cache={cache}", "1", "costs"],
                                  capture_output=True, text=True)
            most = done.stdout.split()[-1] if done.stdout else "?"
            print(f"1 TiB, 2000 reads of 4 KiB, cache={cache}: operations: {done.stdout.strip()}")
            if done.returncode or most != "2":
                failures.append(f"1 TiB, cache={cache}: {done.stdout} {done.stderr}")

    def locks(self):
        """QEMU refuses to write to what we serve, and we to serve what it writes to."""
        if not self.wanted("locks"):
            return
        image = self.path("locked.qcow2")
        self.make(image, MIB)
        qemu = subprocess.Popen(["qemu-io", "-f", "qcow2", image], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, text=True)
        qemu.stdin.write("write 0 512\n")
        qemu.stdin.flush()
        qemu.stdout.readline()
        self.refused(f"qcow/{image};ro", "is being written to by another process")
        qemu.stdin.close()
        qemu.wait()
        ours = subprocess.Popen([self.reader, f"qcow/{image};ro", "1", "-"], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, text=True)
        ours.stdout.readline()
        done = subprocess.run(["qemu-io", "-f", "qcow2", "-c", "write 0 512", image],
                              capture_output=True, text=True)
        if "lock" not in done.stdout + done.stderr:
            failures.append(f"QEMU writes to what we serve: {done.stdout} {done.stderr}")
        self.refused(f"qcow/{image}", "is being used by another process")
        # Readers do not mind each other.
        run("qemu-img", "convert", "-f", "qcow2", "-O", "raw", image, self.path("copy.raw"))
        ours.stdin.close()
        ours.wait()
        ours = subprocess.Popen([self.reader, f"qcow/{image}", "1", "-"], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, text=True)
        ours.stdout.readline()
        for argv in (["qemu-img", "convert", "-f", "qcow2", "-O", "raw", image, self.path("copy.raw")],
                     ["qemu-io", "-f", "qcow2", "-c", "write 0 512", image]):
            done = subprocess.run(argv, capture_output=True, text=True)
            if "lock" not in done.stdout + done.stderr:
                failures.append(f"{argv[0]} uses what we write to: {done.stdout} {done.stderr}")
        ours.stdin.close()
        ours.wait()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("reader")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="")
    args = parser.parse_args()
    if not shutil.which("qemu-img") or not shutil.which("qemu-io"):
        print("SKIP: qemu-img and qemu-io are missing (apt install qemu-utils)")
        return 77
    for part in "formats", "compressed", "chains", "snapshots", "refusals", "costs", "locks":
        with tempfile.TemporaryDirectory(prefix="qcow-", dir="/var/tmp") as folder:
            getattr(Matrix(args.reader, folder, args.seed, args.only), part)()
    for failure in failures:
        print("FAIL:", failure)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
