#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Judges what iscsi-test-cu -V printed: what really passed, was skipped, failed.

The suite counts a test that it skipped as passed, so its own summary is only
held against what its lines say, test by test. A LOG is a file, or FILE=TESTS when
the suite was run with --test=TESTS instead of the whole family; with several
(a removable LUN beside a plain one) a test has passed if it did on one of them
and failed on none, and is skipped only if it was skipped on all. One of the
family that was not run at all is skipped, too.

Fails when a test failed, when one was skipped that the list of skips does not
name, or passed that it names, when fewer than --least passed, and when a log
does not account for every test that `iscsi-test-cu --list` names.
"""
import argparse
import os
import re
import sys

FAMILY = "SCSI"
BEGIN = re.compile(r"^\s*CUnit - A unit testing framework")
SUITE = re.compile(r"^Suite: (\S+)")
TEST = re.compile(r"^  Test: (\S+) \.\.\.\s*(.*)")
# CUnit prints the verdict at the start of a line, or right behind the test's name;
# what follows comes from tidying up behind the suite.
VERDICT = re.compile(r"^(passed|FAILED)(?:\s|$)")
# The suite's own output follows the last assertion without a line break.
ASSERTION = re.compile(r"^    \d+\. (\S+:\d+)  - (.*?)(?:    Send .*)?$")
SUMMARY = re.compile(r"^\s+(suites|tests|asserts)\s+(\d+)\s+(\d+)\s+(\d+|n/a)\s+(\d+)\s+(\d+|n/a)\s*$")


class Result:
    """What one test came to on one LUN."""

    def __init__(self, name):
        self.name = name
        self.verdict = None
        self.skips = []  # what the suite says it skipped
        self.fails = []  # [FAILED] lines as (what was being tested, command, message)
        self.asserts = []  # (place, expression)
        self.doing = self.sent = ""

    def hear(self, line):
        """One line of the test's own output."""
        text = line.strip()
        if text.startswith("[SKIPPED]"):
            self.skips.append(text[len("[SKIPPED]"):].strip())
        elif text.startswith("[FAILED]"):
            self.fails.append((self.doing, self.sent, text[len("[FAILED]"):].strip()))
        elif text.startswith("Send "):
            self.sent = text[len("Send "):]
        elif text and not text.startswith("["):
            self.doing = text

    @property
    def outcome(self):
        if self.verdict == "passed":
            return "skipped" if self.skips else "passed"
        return "failed"

    def reason(self):
        """Why it did not pass, on one line."""
        if self.outcome == "skipped":
            return "; ".join(dict.fromkeys(self.skips))
        if self.verdict is None:
            return f"did not end; last heard: {self.sent or self.doing}"
        if self.fails:
            doing, sent, said = self.fails[0]
            more = f" (and {len(self.fails) - 1} more)" if len(self.fails) > 1 else ""
            return f"{doing}: {sent}: {said}{more}"
        place, expression = self.asserts[0] if self.asserts else ("", "no assertion named")
        return f"{self.doing}: {place} {expression}"

    def report(self):
        """All that the suite said against it, alike things once."""
        kinds = {}
        for doing, sent, said in self.fails:
            key = re.sub(r"\d+", "#", f"{sent}|{said}")
            kinds.setdefault(key, [0, doing, sent, said])[0] += 1
        for count, doing, sent, said in kinds.values():
            yield f"  {count:5} x {said}"
            yield f"          after: {sent}"
            yield f"          in: {doing}"
        places = {}
        for assertion in self.asserts:
            places[assertion] = places.get(assertion, 0) + 1
        for (place, expression), count in places.items():
            yield f"  {count:5} x {place}: {expression}"
        if not self.fails:
            yield f"          last: {self.doing}"


def parse(path):
    """({name: Result}, {summary row: numbers}, what is wrong with the log)."""
    results, summary, wrong = {}, {}, []
    suite, test, begun = None, None, False
    if not os.path.exists(path):
        return results, summary, ["the suite was not run"]
    with open(path, errors="replace") as log:
        for line in log:
            line = line.rstrip("\n")
            if not begun:
                begun = bool(BEGIN.match(line))
                continue
            if match := SUITE.match(line):
                suite = match[1]
                continue
            if match := TEST.match(line):
                test = Result(f"{FAMILY}.{suite}.{match[1]}")
                if test.name in results:
                    wrong.append(f"{test.name} ran twice")
                results[test.name] = test
                line = match[2]
            if match := SUMMARY.match(line):
                summary[match[1]] = [int(n) if n != "n/a" else None for n in match.groups()[1:]]
            elif test is None:
                continue
            elif match := VERDICT.match(line) if test.verdict is None else None:
                test.verdict = match[1]
            elif test.verdict is None:
                test.hear(line)
            elif match := ASSERTION.match(line) if test.verdict == "FAILED" else None:
                test.asserts.append(match.groups())
    if not begun:
        wrong.append("the suite did not begin")
    return results, summary, wrong


def expected(list_path, expression):
    """The tests that --test=EXPRESSION is to run, in the suite's words."""
    with open(list_path) as names:
        tests = [name.strip() for name in names]
    wanted = []
    for part in expression.split(","):
        mine = [t for t in tests if t.count(".") == 2 and (t == part or t.startswith(part + "."))]
        if not mine:
            sys.exit(f"{list_path} has no tests of {part}")
        wanted += mine
    return wanted


def account(results, summary, wanted):
    """What shows that the suite did not run to its end, or that we misread it."""
    missing = [name for name in wanted if name not in results]
    if missing:
        yield f"{len(missing)} of {len(wanted)} tests did not run: {', '.join(missing[:5])}" + (
            ", ..." if len(missing) > 5 else "")
    for name in results:
        if name not in wanted:
            yield f"{name} ran, but is not in the list"
    for result in results.values():
        if result.verdict is None:
            yield f"the suite ended, or was ended, in {result.name}"
    if "tests" not in summary:
        yield "the suite printed no summary"
        return
    total, ran, passed, failed, inactive = summary["tests"]
    ours = [r.verdict for r in results.values()]
    if (total, ran) != (len(wanted), len(wanted)) or inactive:
        yield f"the suite's summary: {ran} of {total} tests ran, {inactive} inactive; the list has {len(wanted)}"
    if (passed, failed) != (ours.count("passed"), ours.count("FAILED")):
        yield (f"the suite's summary: {passed} passed, {failed} failed; "
               f"its lines: {ours.count('passed')}, {ours.count('FAILED')}")


def merge(per_lun):
    """{name: (outcome, [(LUN, Result), ...])}; the Results are those that say why."""
    merged = {}
    names = dict.fromkeys(name for _, results in per_lun for name in results)
    for name in names:
        runs = [(lun, results[name]) for lun, results in per_lun if name in results]
        for outcome in ("failed", "passed", "skipped"):
            those = [(lun, run) for lun, run in runs if run.outcome == outcome]
            if those:
                merged[name] = (outcome, those)
                break
    return merged


def left_out(merged, names):
    """Those that no log was to have, as if they had skipped themselves."""
    for name in names:
        if name not in merged:
            result = Result(name)
            result.verdict = "passed"
            result.skips.append("left out")
            yield name, ("skipped", [("not run", result)])


def read_skips(path, variant):
    """{test: reason} of what is meant for this variant: lines of TEST VARIANTS REASON."""
    skips = {}
    with open(path) as lines:
        for number, line in enumerate(lines, 1):
            line = line.split("#", 1)[0].strip()
            if not line:
                continue
            fields = line.split(None, 2)
            if len(fields) < 3:
                sys.exit(f"{path}:{number}: not TEST VARIANTS REASON: {line}")
            if fields[1] == "*" or variant in fields[1].split(","):
                skips[fields[0]] = fields[2]
    return skips


def judge(merged, skips, least):
    """What is wrong with the results."""
    for name, (outcome, _) in merged.items():
        if outcome == "failed":
            yield f"failed: {name}"
        elif outcome == "skipped" and name not in skips:
            yield f"skipped, and the list of skips does not have it: {name}"
        elif outcome == "passed" and name in skips:
            yield f"passed, and the list of skips has it (take it out): {name}"
    for name in skips:
        if name not in merged:
            yield f"the list of skips has it, but there is no such test: {name}"
    passed = [outcome for outcome, _ in merged.values()].count("passed")
    if passed < least:
        yield f"{passed} really passed, at least {least} should"


def why(runs, several):
    return "; ".join((f"{lun}: " if several else "") + run.reason() for lun, run in runs)


def table(merged, several):
    """A row for each suite, and under it each test that did not pass."""
    suites = {}
    for name, (outcome, runs) in merged.items():
        rows, count = suites.setdefault(name.split(".")[1], ([], {}))
        count[outcome] = count.get(outcome, 0) + 1
        if outcome != "passed":
            rows.append(f"  {outcome:8} {name}: {why(runs, several)}")
    yield f"{'':28} passed skipped failed"
    for suite, (rows, count) in suites.items():
        yield f"{suite:28} {count.get('passed', 0):6} {count.get('skipped', 0):7} {count.get('failed', 0):6}"
        yield from rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--list", required=True, help="what `iscsi-test-cu --list` printed")
    parser.add_argument("--skips", help="tests that may be skipped, and why")
    parser.add_argument("--variant", default="", help="which lines of the list of skips count")
    parser.add_argument("--least", type=int, default=1, help="how many must really pass")
    parser.add_argument("--expect", help="PASSED/SKIPPED/FAILED: exactly these numbers, and nothing else")
    parser.add_argument("--all", help="file for the outcome of each test")
    parser.add_argument("--failures", help="file for all that the suite said of failed tests")
    parser.add_argument("logs", nargs="+", metavar="LOG[=TESTS]")
    args = parser.parse_args()

    wrong, per_lun = [], []
    for arg in args.logs:
        path, _, expression = arg.partition("=")
        lun = os.path.splitext(os.path.basename(path))[0]
        results, summary, broken = parse(path)
        broken += account(results, summary, expected(args.list, expression or FAMILY))
        wrong += [f"{lun}: {what}" for what in broken]
        per_lun.append((lun, results))
    several = len(per_lun) > 1
    merged = merge(per_lun)
    merged.update(list(left_out(merged, expected(args.list, FAMILY))) if not wrong else [])

    for line in table(merged, several):
        print(line)
    outcomes = [outcome for outcome, _ in merged.values()]
    counts = [outcomes.count(o) for o in ("passed", "skipped", "failed")]
    print("really passed {}, skipped {}, failed {}, of {}".format(*counts, len(outcomes)))
    if args.all:
        with open(args.all, "w") as out:
            for name, (outcome, runs) in sorted(merged.items()):
                out.write(f"{outcome}\t{name}\t{why(runs, several) if outcome != 'passed' else ''}\n")
    if args.failures:
        with open(args.failures, "w") as out:
            for name, (outcome, runs) in merged.items():
                for lun, run in runs if outcome == "failed" else ():
                    out.write("\n".join([f"{name} ({lun})", *run.report()]) + "\n\n")

    if args.expect:
        if "/".join(map(str, counts)) != args.expect:
            wrong.append(f"expected {args.expect}")
    else:
        wrong += judge(merged, read_skips(args.skips, args.variant) if args.skips else {}, args.least)
    for what in wrong:
        print(f"NOT GOOD: {what}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
