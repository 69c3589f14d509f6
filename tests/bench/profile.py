#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Where the instructions of a command go: profile.py RESULTS [--leaves N]

Of what tests/bench/run --profile leaves in RESULTS, JOB.BACKSTORE.N.perf and kallsyms. A sample belongs to the thread
that ran and to the part of the kernel that is nearest to the top of its stack; user space has no stack here. Only the
time from the first command to the last one counts. What sampling itself costs falls out by scale: the samples
are all that the last round without perf took, of which fio tells the operations per second. Interrupts
cannot be interrupted: what runs with them off is where they are turned on again, in a function or its caller."""

import argparse
import collections
import json
import pathlib
import re
import subprocess

PER_SECOND = 250_000_000  # an instruction is 4 ns of the guest's clock

# The first that a function's name matches has it; others belong to who called them.
PARTS = [(part, re.compile(pattern)) for part, pattern in [
    ("copy", r"^_?copy_|^mem(cpy|set)|^copy(in|out)|^clear_page"),
    ("pin", r"get_user_pages|iov_iter_get_pages|^gup_|^bio_(iov_iter_get_pages|set_pages_dirty|check_pages_dirty)"
            r"|bio_release_pages|^folio_(mark_dirty|mapping|unlock)"),
    ("scheduler", r"^_*(schedule|try_to_wake_up|wake_up|swake_up|pick_next|sched_)|^(finish_task_switch|__switch_to|ttwu)"
                  r"|^(ep_poll_callback|ep_autoremove|autoremove_wake|default_wake|wq_worker_|__queue_work|queue_work_on"
                  r"|process_one_work|worker_thread|rcu_|kthread|hrtimer_|schedule_)"),
    ("TCMU", r"^(tcmu_|uio_)"),
    ("target", r"^_*(target_|transport_|tcm_loop|sbc_|core_|iblock_|fd_|passthrough|spc_)"),
    ("page cache", r"^(shmem_|generic_perform_write|generic_file_|filemap_|folio_|pagecache_|balance_dirty|fault_in)"),
    ("block", r"^_*(scsi_|sd_|blk_|bio_|blkdev|submit_bio|null_|nullb|end_bio)|^__?(aio|io_submit_one)|^aio_"),
    ("call", r"^(do_syscall|entry_SYSCALL|syscall_|exit_to_user|__x64_sys|x64_sys|vfs_|ksys_|do_iter|do_preadv|do_pwritev"
             r"|ep_|do_epoll|io_|__io_|__do_sys|security_|apparmor)"),
]]
COMMAND = re.compile("^(io_submit_one|__x64_sys_io_submit|do_io_getevents|read_events)$")

USER, CALLS = "device's thread: user space", "device's thread: its system calls, but for what they do"
DATA, CACHE = "copy, file and data area or initiator", "page cache, each page"
DIRECT, RING = "direct I/O: pages pinned, bio, the device", "TCMU, but for its copy"
SECOND, TARGET = "copy, data area and initiator", "target core, tcm_loop"
SCHED, FIO = "scheduler, wake-ups, work queues", "fio, in user space"
INITIATOR = "initiator: libaio, its pages, block layer, SCSI"
OTHERS = "idle, interrupts, others"
ROWS = [USER, CALLS, DATA, CACHE, DIRECT, SECOND, RING, TARGET, SCHED, INITIATOR, FIO, OTHERS]


def part_of(stack):
    for function in stack:
        for part, pattern in PARTS:
            if pattern.search(function):
                return part
    return None


def has(stack, *prefixes):
    return any(function.startswith(prefixes) for function in stack)


def row_of(comm, stack):
    ours = comm.startswith(("tcmu", "floor", "iou-"))
    part = part_of(stack)
    if not ours and comm != "fio" and not comm.startswith("kworker"):
        return OTHERS
    if not stack:
        return USER if ours else FIO
    if part == "scheduler":
        return SCHED
    if part == "copy" and has(stack, "tcmu_"):
        return SECOND
    if part in ("TCMU", "target"):
        return RING if part == "TCMU" else TARGET
    if ours and has(stack, "__blkdev_direct_IO", "blkdev_direct_IO", "io_complete_rw", "blk_", "__blk_"):
        return DIRECT
    if ours or has(stack, "fd_"):
        return {"copy": DATA, "page cache": CACHE, "pin": CACHE}.get(part, CALLS if ours else TARGET)
    return INITIATOR if part else OTHERS


def samples(path):
    """(comm, stack from the top down; [] in user space) in order."""
    text = subprocess.run(["perf", "script", "-i", path, "--kallsyms", path.parent / "kallsyms", "-F", "comm,tid,ip,sym"],
                          check=True, capture_output=True, text=True).stdout
    found = []
    for line in text.splitlines():
        if line.startswith("\t"):
            found[-1][1].append(line.split(None, 1)[1].removesuffix(".isra.0"))
        elif line:
            found.append((line.rsplit(None, 1)[0].strip(), []))
    return found


def of_commands(found):
    """Those between the first and the last command."""
    at = [i for i, (comm, stack) in enumerate(found) if comm == "fio" and any(map(COMMAND.match, stack))]
    return [sample for sample in found[at[0]:at[-1] + 1] if sample[0] not in ("perf", "perf-exec")]


def instructions(results, job, backstore):
    """Of one command, all in all."""
    last = sorted(results.glob("%s.%s.[0-9]*.json" % (job, backstore)))[-1]
    of = json.loads(last.read_text())["jobs"][0]
    return PER_SECOND / sum(of[way]["iops"] for way in ("read", "write"))


def profile(results, job, backstore, leaves):
    rows, tops = collections.Counter(), collections.defaultdict(collections.Counter)
    paths = sorted(results.glob("%s.%s.[0-9]*.perf" % (job, backstore)))
    for path in paths:
        found = of_commands(samples(path))
        each = instructions(results, job, backstore) / len(found) / len(paths)
        for comm, stack in found:
            row = row_of(comm, stack)
            rows[row] += each
            tops[row]["%s: %s" % (comm.split("/")[0], " < ".join(stack[:4]))] += each
    if leaves:
        print("\n%s, %s" % (job, backstore))
        for row in ROWS:
            print("%8.2f %s" % (rows[row] / 1000, row))
            for top, part in tops[row].most_common(leaves):
                print("          %8.2f %s" % (part / 1000, top))
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=pathlib.Path)
    parser.add_argument("--leaves", type=int, default=0, help="so many of the functions in each row")
    args = parser.parse_args()
    jobs = collections.defaultdict(dict)
    for path in sorted(args.results.glob("*.1.perf"), key=lambda path: path.stat().st_mtime):
        job, backstore, *_ = path.name.split(".")
        jobs[job][backstore] = profile(args.results, job, backstore, args.leaves)
    for job, of in jobs.items():
        print("\n%-56s" % (job + ", thousands of instructions") + "".join("%13s" % name for name in of))
        for row in ROWS:
            print("%-56s" % row + "".join("%13.1f" % (rows[row] / 1000) for rows in of.values()))
        print("%-56s" % "all" + "".join("%13.1f" % (sum(rows.values()) / 1000) for rows in of.values()))


if __name__ == "__main__":
    main()
