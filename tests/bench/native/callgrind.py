# SPDX-License-Identifier: Apache-2.0
"""What callgrind --separate-threads=yes wrote, thread by thread."""

import collections
import glob
import re

Function = collections.namedtuple("Function", "object file name")


class Names:
    """Callgrind's compression of names: "(7) name" the first time, "(7)" from then on."""

    def __init__(self):
        self.known = collections.defaultdict(dict)

    def get(self, kind, text):
        number, name = re.fullmatch(r"(\(\d+\)) ?(.*)", text).groups()
        if name:
            self.known[kind][number] = name
        return self.known[kind][number]


KINDS = {"ob": "ob", "fl": "fl", "fi": "fl", "fe": "fl", "fn": "fn",
         "cob": "ob", "cfi": "fl", "cfl": "fl", "cfn": "fn"}


def read(path):
    """{Function: instructions of its own}. What is inlined is its function's."""
    names, costs = Names(), collections.Counter()
    obj = file = fn = None
    of_call = False
    for line in open(path, encoding="utf-8"):
        line = line.rstrip("\n")
        kind, _, text = line.partition("=")
        if kind in KINDS:
            name = names.get(KINDS[kind], text)
            if kind == "ob":
                obj = name
            elif kind == "fl":
                file = name
            elif kind == "fn":
                # Recursion and other contexts of the same function.
                fn = Function(obj, file, name.split("'")[0])
        elif kind == "calls":
            of_call = True
        elif re.match(r"[0-9+*-]", line):
            if not of_call:
                costs[fn] += int(line.split()[1])
            of_call = False
    return costs


def threads(prefix):
    """read() of each thread that has executed anything."""
    return [costs for costs in map(read, sorted(glob.glob(prefix + "-[0-9]*"))) if costs]
