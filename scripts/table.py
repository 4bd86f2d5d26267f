#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Usage: table.py TITLE [TAG BASE PATCHED]...
Prints what the kselftest measured on two kernels side by side. BASE and
PATCHED are directories of ksft.sh; their readers get TAG as a suffix. Exits
with 1 if the patched kernel lost or misreported something it must not, or if
a row was not measured in both."""
import glob
import os
import re
import sys

TABLE = re.compile(r"^# table: (\S+) (\S+) lost=(\S+) refaults=(\S+) report=(\S+) ?(.*)$")
RESULT = re.compile(r"^(ok|not ok) \d+ (\S+)(?: # SKIP (.*))?$")


def read(directory):
    """-> {test: (state, lost, refaults, report, detail)}"""
    rows = {}
    for boot in sorted(glob.glob(os.path.join(directory, "[0-9]*")),
                       key=lambda p: int(os.path.basename(p))):
        cells = None
        with open(os.path.join(boot, "ktap.log"), errors="replace") as f:
            for line in f:
                line = line.rstrip("\r\n")
                if m := TABLE.match(line):
                    cells = m.groups()[2:]
                elif m := RESULT.match(line):
                    state = "skip" if m[3] is not None else "ok" if m[1] == "ok" else "FAIL"
                    rows[m[2]] = (state,) + (cells or ("", "", "", m[3] or ""))
                    cells = None
        crashed = os.path.join(boot, "crashed")
        if os.path.exists(crashed):
            rows[open(crashed).read().strip()] = ("CRASH", "", "", "", "")
    return rows


def side(row, width):
    state, lost, refaults, report, _ = row
    return "%*s %7s %-6s" % (width, lost, refaults, report if lost else state)


def compare(tag, base_dir, patched_dir):
    """-> (fixture, reader, mapping, base's row, patched's row, what is wrong) of each test."""
    none = ("none", "", "", "", "")
    base, patched = read(base_dir), read(patched_dir)
    with open(os.path.join(patched_dir, "list")) as f:
        tests = f.read().split()
    for test in tests:
        b, p = base.get(test, none), patched.get(test, none)
        fixture, *variant, reader = test.split(".")
        if fixture not in ("pagewalk", "boundary"):
            variant.insert(0, fixture)
        mapping = "_".join(variant)
        wrong = ""
        if p[0] not in ("ok", "skip"):
            wrong = "%s%s: %s on the patched kernel" % (test, tag, p[0])
        elif p[0] == "ok" and b[0] in ("skip", "none"):
            wrong = "%s%s: not measured on base (%s)" % (test, tag, b[4] or "no result")
        elif p[0] == "skip" and b[0] != "skip":
            wrong = "%s%s: not measured on the patched kernel (%s)" % (test, tag, p[4])
        yield fixture, reader + tag, mapping, b, p, wrong


def main(title, *dirs):
    rows = [r for i in range(0, len(dirs), 3) for r in compare(*dirs[i:i + 3])]
    differ = [r[1:5] for r in rows if r[3][:4] != r[4][:4]]
    same = {}       # fixture -> reader -> mapping -> mark
    for fixture, reader, mapping, b, p, _ in rows:
        if b[:4] == p[:4]:
            lost = p[1].split("/")[0]
            mark = {"skip": "-", "ok": "." if lost in ("", "0") else lost}.get(p[0], p[0])
            same.setdefault(fixture, {}).setdefault(reader, {})[mapping] = mark

    width = max([len(d[0]) for d in differ] + [6])
    print("%s\n" % title)
    lost = max([len(row[1]) for d in differ for row in d[2:]] + [4])
    head = side(("", "lost", "refault", "report", ""), lost)
    print("%-*s %-10s  %-*s  | %s" % (width, "", "", len(head) - 1, "base v7.3.4", " with the series"))
    print("%-*s %-10s %s  | %s  %s" % (width, "reader", "mapping", head, head, "base said"))
    for reader, mapping, b, p in differ:
        said = re.sub(" (kB|present|resident|pages)", "", b[4].split(",")[0]) if b[3] == "wrong" else ""
        said = said if len(said) <= 22 else "(see ktap.log)"
        print(("%-*s %-10s %s  | %s  %s" % (
            width, reader, mapping, side(b, lost), side(p, lost), said)).rstrip())
    print("\nThe same on both: '.' nothing lost and report right, '-' not possible, number of leaves lost")
    for fixture, readers in same.items():
        mappings = list(dict.fromkeys(r[2] for r in rows if r[0] == fixture))
        width = max(len(r) for r in readers)
        print("\n" + " " * width + "".join(" " + m for m in mappings))
        for reader, row in readers.items():
            print("%-*s" % (width, reader) + "".join(" %*s" % (len(m), row.get(m, "")) for m in mappings).rstrip())
    print()
    wrong = [r[5] for r in rows if r[5]]
    for line in wrong:
        print("wrong: " + line)
    return 1 if wrong or not rows else 0


if len(sys.argv) < 5 or len(sys.argv) % 3 != 2 or sys.argv[1] in ("-h", "--help"):
    sys.exit(__doc__)
sys.exit(main(*sys.argv[1:]))
