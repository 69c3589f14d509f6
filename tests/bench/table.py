#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The tables of tests/bench/run: table.py RESULTS [--json FILE] [--least FILE] [--parameters]

RESULTS has JOB.BACKSTORE.ROUND.json of fio; the last round counts. Each figure is the
I/O operations per second divided by those of the kernel's fileio in the same run; on
null_blk (BACKSTORE-nullb...) by fileio's on null_blk, and then by fileio's on tmpfs.
--least: JOB BACKSTORE RATIO a line; exit status 1 when a figure is below.
--parameters: names are sets of a device's parameters, and memory.NAME is their memory."""

import argparse
import json
import pathlib
import re
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


def base_of(backstore):
    return "fileio-nullb" if "-nullb" in backstore else "fileio"


def ratio(of, backstore, base):
    """None when it was not measured."""
    if backstore not in of or base not in of:
        return None
    return of[backstore][-1] / of[base][-1]


def cell(of, name):
    if name not in of:
        return "-"
    text = "%d IOPS" % of[name][-1]
    for base in dict.fromkeys((base_of(name), "fileio")):
        value = ratio(of, name, base)
        text += " %6s" % ("" if value is None else "%.3f" % value)
    return text


def print_table(jobs):
    names = sorted({name for of in jobs.values() for name in of},
                   key=lambda name: ("-nullb" in name, name != base_of(name), name))
    widths = {name: 31 if "-nullb" in name else 24 for name in names}
    print("%-18s" % "job" + "".join("%*s" % (widths[name], name) for name in names))
    for job, of in sorted(jobs.items()):
        print("%-18s" % job + "".join("%*s" % (widths[name], cell(of, name)) for name in names))
    if any("-nullb" in name for name in names):
        print("on null_blk the first ratio is to fileio-nullb, the second to fileio")


def below(jobs, path):
    """The lines of the file whose figure is not reached."""
    missed = []
    for line in path.read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        job, backstore, least = line.split()[:3]
        base = base_of(backstore)
        got = ratio(jobs.get(job, {}), backstore, base)
        if got is None:
            missed.append("%s on %s was not measured" % (job, backstore))
        elif got < float(least):
            missed.append("%s on %s: %.3f of %s, at least %s should be" % (job, backstore, got, base, least))
    return missed


def print_parameters(jobs, results):
    """A line a set: its figures, and what its device held of the memory, in MiB."""
    columns = {"all": "free:", "ring": "VmallocUsed:", "slab": "Slab:", "daemon": "RssAnon:"}
    names = [path.name.split(".", 1)[1] for path in results.glob("memory.*")]
    print("%-24s" % "parameters" + "".join("%20s" % job for job in sorted(jobs)) +
          "".join("%8s" % title for title in columns) + "  MiB")
    for name in sorted(names, key=lambda name: [int(number) for number in re.findall("[0-9]+", name)]):
        lines = (results / ("memory." + name)).read_text().splitlines()
        memory = {key: int(value) / 1024 for key, value in (line.split() for line in lines)}
        memory["free:"] = -memory["free:"]
        print("%-24s" % name + "".join("%15d IOPS" % jobs[job][name][-1] for job in sorted(jobs)) +
              "".join("%8.1f" % memory[key] for key in columns.values()))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=pathlib.Path)
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--least", type=pathlib.Path)
    parser.add_argument("--parameters", action="store_true")
    args = parser.parse_args()
    jobs = load(args.results)
    if not jobs:
        sys.exit("table.py: %s has no figures" % args.results)
    if args.parameters:
        print_parameters(jobs, args.results)
    else:
        print_table(jobs)
    if args.json:
        args.json.write_text(json.dumps(jobs, indent=1) + "\n")
    missed = below(jobs, args.least) if args.least else []
    for line in missed:
        print("MISSED: " + line)
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
