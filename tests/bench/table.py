#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The table of tests/bench/run: table.py RESULTS [--json FILE] [--least FILE]

RESULTS has JOB.BACKSTORE.ROUND.json of fio; the last round counts. Each figure is the
I/O operations per second divided by those of the kernel's fileio in the same run.
--least: JOB BACKSTORE RATIO a line; exit status 1 when a figure is below."""

import argparse
import json
import pathlib
import sys


def operations_per_second(path):
    job = json.loads(path.read_text())["jobs"][0]
    return sum(job[way]["iops"] for way in ("read", "write"))


def load(results):
    """{job: {backstore: [figure of round 1, 2, ...]}}"""
    jobs = {}
    for path in sorted(results.glob("*.*.*.json")):
        job, backstore, number, _ = path.name.split(".")
        jobs.setdefault(job, {}).setdefault(backstore, []).append((int(number), operations_per_second(path)))
    return {job: {name: [iops for _, iops in sorted(rounds)] for name, rounds in of.items()}
            for job, of in jobs.items()}


def print_table(jobs):
    names = sorted({name for of in jobs.values() for name in of}, key=lambda name: (name != "fileio", name))
    print("%-18s" % "job" + "".join("%24s" % name for name in names))
    for job, of in sorted(jobs.items()):
        base = of.get("fileio", [0])[-1]
        line = "%-18s" % job
        for name in names:
            if name not in of:
                line += "%24s" % "-"
                continue
            iops = of[name][-1]
            line += "%24s" % ("%d IOPS %6s" % (iops, "%.3f" % (iops / base) if base else ""))
        print(line)


def below(jobs, path):
    """The lines of the file whose figure is not reached."""
    missed = []
    for line in path.read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        job, backstore, least = line.split()[:3]
        of = jobs.get(job, {})
        if "fileio" not in of or backstore not in of:
            missed.append("%s on %s was not measured" % (job, backstore))
            continue
        got = of[backstore][-1] / of["fileio"][-1]
        if got < float(least):
            missed.append("%s on %s: %.3f of fileio, at least %s should be" % (job, backstore, got, least))
    return missed


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=pathlib.Path)
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--least", type=pathlib.Path)
    args = parser.parse_args()
    jobs = load(args.results)
    if not jobs:
        sys.exit("table.py: %s has no figures" % args.results)
    print_table(jobs)
    if args.json:
        args.json.write_text(json.dumps(jobs, indent=1) + "\n")
    missed = below(jobs, args.least) if args.least else []
    for line in missed:
        print("MISSED: " + line)
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
