#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What images are after a SIGKILL or a loss of power while they were written to.

  crash-matrix.py CRASH [--seed N] [--seeds COUNT] [--only TEXT] [--long] [--point N]

CRASH (qcow-crash) does all of it, for the kinds of images that differ in what has to be in order.
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile

from matrix import MIB
from variants import all_variants

# Enough to be quick.
CHOSEN = (
    "0.10 clusters of 65536", "1.1 clusters of 512", "1.1 clusters of 4096",
    "1.1 clusters of 65536", "refcount_bits=1, small clusters", "lazy refcounts",
    "extended L2, clusters of 16384", "preallocation=metadata", "zlib", "zlib, small clusters",
    "data file", "raw data file", "data file, extended L2", "version 1", "version 1, deflate",
    "backing raw", "backing, small clusters", "backing, extended L2", "snapshot",
    "snapshot, small clusters", "snapshot, zlib", "snapshot, extended L2", "bitmap")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("crash")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=0)
    parser.add_argument("--only", default="")
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--point", help="only this one; what was found there is kept")
    args = parser.parse_args()
    if not shutil.which("qemu-img") or not shutil.which("qemu-io"):
        print("SKIP: qemu-img and qemu-io are missing (apt install qemu-utils)")
        return 77
    failures = 0
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else "/var/tmp"
    for seed in range(args.seed, args.seed + (args.seeds or (20 if args.long else 1))):
        print("seed", seed)
        for variant in all_variants():
            if args.only not in variant.name or (variant.name not in CHOSEN and not args.long):
                continue
            variant.size = min(variant.size, 3 * MIB)
            folder = tempfile.mkdtemp(prefix="qcow-", dir=memory)
            image = variant.make(folder, seed)
            modes = [] if variant.checked else ["unchecked"]
            modes += ["lazy"] if variant.lazy else []
            modes += ["snapshot=one"] if variant.snapshot else []
            modes += [f"point={args.point}"] if args.point else []
            modes += ["rounds=4"] if args.long else ["rounds=2"]
            argv = [args.crash, folder, os.path.basename(image), variant.data_file or "-",
                    str(random.Random(f"crash {variant.name} {seed}").randrange(1 << 30)),
                    "400" if args.long else "150", "200" if args.long else "10", *modes]
            done = subprocess.run(argv, capture_output=True, text=True)
            if done.returncode:
                print(f"FAIL: {variant.name}, seed {seed}: status {done.returncode}: "
                      f"{' '.join(argv)}\n{done.stderr[:3000]}")
                failures += 1
            if args.long:
                print(f"{variant.name}: {argv[6]} moments, {modes}, status {done.returncode}", flush=True)
            if args.point:
                print("kept:", folder)
            else:
                shutil.rmtree(folder)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
