#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Usage: table.py TITLE BASE PATCHED
Prints what the kselftest measured on two kernels side by side. BASE and
PATCHED are directories of ksft.sh. Exits with 1 if the patched kernel lost
or misreported something it must not, or if a row was not measured in both."""
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


def clean(row):
    return row[0] == "ok" and row[1].startswith("0/") or row[0] == "ok" and not row[1]


def side(row):
    state, lost, refaults, report, _ = row
    if not lost:
        return "%9s %8s %-5s" % ("", "", state)
    return "%9s %8s %-5s" % (lost, refaults, report)


def main(title, base_dir, patched_dir):
    with open(os.path.join(patched_dir, "list")) as f:
        tests = f.read().split()
    base, patched = read(base_dir), read(patched_dir)
    none = ("none", "", "", "", "")
    differ, same, wrong = [], {}, []
    mappings = []
    for test in tests:
        b, p = base.get(test, none), patched.get(test, none)
        mapping, reader = test.split(".")[-2:]
        if mapping not in mappings:
            mappings.append(mapping)
        if p[0] not in ("ok", "skip"):
            wrong.append("%s: %s on the patched kernel" % (test, p[0]))
        elif p[0] == "ok" and b[0] in ("skip", "none"):
            wrong.append("%s: not measured on base (%s)" % (test, b[4] or "no result"))
        elif p[0] == "skip" and b[0] != "skip":
            wrong.append("%s: not measured on the patched kernel (%s)" % (test, p[4]))
        if b[:4] != p[:4]:
            differ.append((reader, mapping, b, p))
        else:
            mark = "-" if p[0] == "skip" else "." if clean(p) else p[1].split("/")[0] or p[0]
            same.setdefault(reader, {})[mapping] = mark

    print(title)
    print()
    print("%-21s %-10s %-24s   %-24s" % ("", "", "          base v7.3.4", "         with the series"))
    print("%-21s %-10s %9s %8s %-5s | %9s %8s %-5s  %s" % (
        "reader", "mapping", "lost", "refaults", "report", "lost", "refaults", "report", "base said"))
    for reader, mapping, b, p in differ:
        said = b[4].replace(" kB", "") if b[3] == "wrong" else ""
        print(("%-21s %-10s %s  | %s   %s" % (reader, mapping, side(b), side(p), said))[:110].rstrip())
    print()
    print("The same on both ('.' nothing lost and right, '-' not possible, a number: leaves lost):")
    print(("%-21s " % "" + " ".join("%10s" % m for m in mappings)).rstrip())
    for reader, row in same.items():
        print(("%-21s " % reader + " ".join("%10s" % row.get(m, "") for m in mappings)).rstrip())
    print()
    for line in wrong:
        print("wrong: " + line)
    return 1 if wrong or not tests else 0


if len(sys.argv) != 4 or sys.argv[1] in ("-h", "--help"):
    sys.exit(__doc__)
sys.exit(main(*sys.argv[1:]))
