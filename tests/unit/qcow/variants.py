# SPDX-License-Identifier: Apache-2.0
"""The kinds of images that are written to."""

import os
import random

import matrix
from matrix import MIB, io, life, run


class Variant:
    """name: what --only looks for. size: of the disk. compressed: clusters of so many bytes
    are in it, compressed. base: the format, size and options of a backing file; None: there is none."""

    def __init__(self, name, options="", fmt="qcow2", size=6 * MIB, zeros=True, compressed=0,
                 base=None, data_file=None, snapshot=False, bitmap=False, empty=False):
        self.name, self.options, self.fmt, self.size = name, options, fmt, size
        self.zeros, self.compressed, self.base = zeros, compressed, base
        self.data_file, self.snapshot, self.bitmap = data_file, snapshot, bitmap
        self.empty = empty  # nothing has been written to it
        self.checked = fmt != "qcow"  # qemu-img check knows this format
        self.raw = "data_file_raw" in options
        self.lazy = "lazy_refcounts" in options

    def make(self, folder, seed, image="a.qcow2"):
        """In folder, which is empty. The image's path."""
        rnd = random.Random(f"{self.name} {seed}")
        maker = matrix.Matrix(None, folder, seed, "")
        path = os.path.join(folder, image)
        backing = ()
        if self.base:
            fmt, size, *options = self.base
            base = os.path.join(folder, "base." + fmt)
            maker.make(base, size, *options or [""], fmt)
            io(base, fmt, life(rnd, size, 30, zeros=fmt == "qcow2"))
            backing = ("-b", base)
            if self.fmt == "qcow2":
                backing += ("-F", fmt)
        maker.make(path, self.size, self.options, self.fmt, backing)
        if not self.empty:
            io(path, self.fmt, life(rnd, self.size, 20, self.zeros, self.compressed))
        if self.bitmap:
            run("qemu-img", "bitmap", "--add", "-g", "64k", path, "b0")
            io(path, self.fmt, life(rnd, self.size, 3, self.zeros))
        if self.snapshot:
            run("qemu-img", "snapshot", "-c", "one", path)
        return path


def all_variants():
    found = []

    def add(name, *args, **kind):
        found.append(Variant(name, *args, **kind))

    for compat in "0.10", "1.1":
        for bits in 9, 12, 16, 21:
            add(f"{compat} clusters of {1 << bits}", f"compat={compat},cluster_size={1 << bits}",
                zeros=compat != "0.10", size=16 * MIB if bits == 21 else 6 * MIB)
    for bits in 1, 2, 4, 8, 32, 64:
        add(f"refcount_bits={bits}", f"refcount_bits={bits}")
    add("refcount_bits=1, small clusters", "refcount_bits=1,cluster_size=512")
    add("refcount_bits=64, small clusters", "refcount_bits=64,cluster_size=512")
    add("lazy refcounts", "lazy_refcounts=on")
    for bits in 14, 16, 21:
        add(f"extended L2, clusters of {1 << bits}", f"extended_l2=on,cluster_size={1 << bits}")
    for mode in "metadata", "falloc", "full":
        add(f"preallocation={mode}", f"preallocation={mode}")
    add("extended L2, preallocation", "extended_l2=on,preallocation=metadata")
    add("zlib", compressed=65536)
    add("zlib, small clusters", "cluster_size=4096", compressed=4096)
    add("zstd", "compression_type=zstd", compressed=65536)
    add("zlib, extended L2", "extended_l2=on", compressed=65536)
    add("data file", "data_file=ext.raw", data_file="ext.raw")
    add("raw data file", "data_file=ext.raw,data_file_raw=on", data_file="ext.raw")
    add("data file, extended L2", "data_file=ext.raw,extended_l2=on", data_file="ext.raw")
    add("version 1", fmt="qcow", zeros=False)
    add("version 1, deflate", fmt="qcow", zeros=False, compressed=4096)
    add("no multiple of a cluster", size=5 * MIB + 512 * 77)
    add("64 MiB, small clusters", "cluster_size=512", size=64 * MIB)
    add("backing raw", base=("raw", 6 * MIB))
    add("backing qcow2", base=("qcow2", 6 * MIB))
    add("backing shorter", base=("raw", 2 * MIB + 512 * 33))
    add("backing longer", base=("qcow2", 9 * MIB))
    # The first write to the cluster in which the backing file ends may be behind that end.
    for end in 7, 9, 11:
        add(f"backing ends in a cluster, at {end} MiB", "cluster_size=2M", size=16 * MIB,
            empty=True, base=("raw", end * MIB))
    add("backing, 0.10", "compat=0.10", zeros=False, base=("qcow2", 6 * MIB))
    add("backing, extended L2", "extended_l2=on", base=("qcow2", 6 * MIB))
    add("backing, small clusters", "cluster_size=4096", base=("raw", 6 * MIB))
    # Many L2 tables, and a cache of few: a command that changes one needs others.
    add("backing, tiny clusters", "cluster_size=512", base=("qcow2", 6 * MIB, "cluster_size=512"))
    add("snapshot", snapshot=True)
    add("snapshot, small clusters", "cluster_size=4096", snapshot=True)
    add("snapshot, zlib", compressed=65536, snapshot=True)
    add("snapshot, extended L2", "extended_l2=on", snapshot=True)
    add("snapshot, backing", snapshot=True, base=("qcow2", 6 * MIB))
    add("snapshot, 0.10", "compat=0.10", zeros=False, snapshot=True)
    add("snapshot, refcount_bits=64", "refcount_bits=64", snapshot=True)
    add("snapshot, lazy refcounts", "lazy_refcounts=on", snapshot=True)
    add("bitmap", bitmap=True)
    return found
