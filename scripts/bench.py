#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Usage: bench.py RESULT [BASE] [NEW]
Prints what bench.sh measured, BASE beside NEW, and writes RESULT/bench.json.
RESULT/base-1/ktap.log and new-1/ktap.log are what bench/bench.c printed; BASE
and NEW say what was measured. A cost per entry is the difference of a full and a
half mapping, divided by the difference of their entries. No cost is a failure."""
import json
import math
import os
import sys

# What a walk alone would need: nothing is changed but a buffer of its own.
READERS = ("walk_pte", "walk_pmd", "walk_all", "plain", "leaves", "walk_kernel", "ptdump",
           "smaps", "smaps_rollup", "numa_maps", "pagemap", "scan_get", "mincore", "move_pages",
           "mbind")
COLUMNS = 4             # of mappings, so that a table is less than 100 wide
NOISE = 16              # instructions: less than this between full and half is nothing
TICK = 16000            # what a timer interrupt can add to what runs longer than
PERIOD = 4000000        # this, so that even the least of some runs has one or two


def read(path):
    """-> {(interface, mapping): cost per entry}, {...: what of it is noise}, {...: paid},
    {(interface, kind): points}, {...: why there is no cost}"""
    ends, paid, scale, none = {}, {}, {}, {}
    with open(path) as f:
        for line in f:
            w = line.split()
            if not w:
                continue
            if w[0] == "cost":
                ends.setdefault((w[1], w[2]), {})[w[3]] = int(w[4]), int(w[5])
            elif w[0] == "paid":
                paid[w[1], w[2]] = [int(x) for x in w[3:]]
            elif w[0] == "scale":
                scale.setdefault((w[1], w[2]), []).append([int(x) for x in w[3:]])
            elif w[0] == "none":
                none[w[1], w[2]] = os.strerror(int(w[3]))
    costs, noise = {}, {}
    for key, e in ends.items():
        if len(e) == 2:
            (n, t), (n2, t2) = e["full"], e["half"]
            slack = TICK if t > PERIOD else NOISE
            if key[0] == "damon":       # looks at random addresses
                slack = max(slack, t // 100)
            if n <= n2 or t2 - t > max(slack, 1000):
                none[key] = "half of it cost more, %d, than all of it, %d" % (t2, t)
                continue
            costs[key] = (t - t2) / (n - n2) if t - t2 >= NOISE else 0.0
            noise[key] = slack / (n - n2)
    return costs, noise, paid, scale, none


def number(x):
    if x >= 1e6:
        return "%.4gM" % (x / 1e6)
    return "%.2f" % x if 0 < x < 10 else "%.1f" % x if x < 1000 else "%.0f" % x


def quotient(x):
    return "%.3f" % x if x < 10 else "%.4g" % x


def cell(base, new):
    if base is None and new is None:
        return ""
    return "%6s %6s %5s" % ("" if base is None else number(base), "" if new is None else number(new),
                            quotient(new / base) if base and new else "-")


def print_tables(base, new, names, mappings):
    width = max(map(len, names))
    for i in range(0, len(mappings), COLUMNS):
        block = mappings[i:i + COLUMNS]
        print("%-*s" % (width, "") + "".join(" %19s" % m for m in block))
        print("%-*s" % (width, "") + " %6s %6s %5s" % ("base", "new", "ratio") * len(block))
        for n in names:
            cells = [(base.get((n, m)), new.get((n, m))) for m in block]
            row = "".join(" %19s" % cell(*c) for c in cells)
            if row.strip():
                print(("%-*s" % (width, n) + row).rstrip())
        print()


def print_summary(base, new, noise):
    ratio = {k: new[k] / base[k] for k in base
             if base[k] and new.get(k) and not k[0].startswith("floor")}
    if not ratio:
        return ratio
    order = sorted(ratio, key=ratio.get)
    mean = math.exp(sum(map(math.log, ratio.values())) / len(ratio))
    print("%d cells: geometric mean %.3f, best %s (%s %s), worst %s (%s %s)\n" % (
        len(ratio), mean, quotient(ratio[order[0]]), *order[0],
        quotient(ratio[order[-1]]), *order[-1]))
    print("Geometric mean of each mapping, of which a few can outweigh all others above:")
    for m in dict.fromkeys(k[1] for k in ratio):
        logs = [math.log(r) for k, r in ratio.items() if k[1] == m]
        print("  %-11s %3d cells %6.3f" % (m, len(logs), math.exp(sum(logs) / len(logs))))
    print()
    nothing = [k for k in base if not base[k] and new.get(k)]
    worse = [k for k in nothing + order[::-1] if k in new and new[k] - base[k] > noise[k]]
    print("%d cells are dearer than before (by more than a timer interrupt, a random address)%s" % (
        len(worse), ", worst first:" if worse else "."))
    for k in worse:
        print("  %6s  %-13s %-11s %9s -> %s" % (
            quotient(ratio[k]) if k in ratio else "new", *k, number(base[k]), number(new[k])))
    print()
    return ratio


def print_floor(new, names, mappings):
    floor = {m: new.get(("floor", m)) or new.get(("floor_kernel", m)) for m in mappings}
    names = [n for n in names if n in READERS]
    width = max(map(len, names), default=0)
    print("How far the new kernel's readers are above the floor, which maps a table once, takes its\n"
          "lock once and reads each entry: times its cost.\n")
    for part in mappings[:7], mappings[7:]:
        if not part:
            break
        print("%-*s" % (width, "") + "".join(" %10s" % m for m in part))
        print("%-*s" % (width, "floor") + "".join(" %10s" % number(floor[m] or 0) for m in part))
        for n in names:
            row = ["%.1f" % (new[n, m] / floor[m]) if new.get((n, m)) and floor[m] else ""
                   for m in part]
            if any(row):
                print(("%-*s" % (width, n) + "".join(" %10s" % c for c in row)).rstrip())
        print()


def print_paid(base, new):
    print("What is paid beyond the walk, for so many entries: faults when they are touched again,\n"
          "calls of MMU notifiers, TLB flushes. (All that is not 0 on both.)\n")
    print("%-13s %-11s %8s  %17s  %17s  %17s" % ("", "", "entries", "refaults", "notified", "flushed"))
    for k in base:
        b, n = base[k], new.get(k)
        if n and any(b[1:] + n[1:]):
            print("%-13s %-11s %8d" % (*k, b[0]) + "".join(
                "  %17s" % (str(x) if x == y else "%d -> %d" % (x, y)) for x, y in zip(b[1:], n[1:])))
    print()


def exponent(points):
    """Of the entries that were added from each size to the next, and what these cost."""
    xy = []
    for (_, n, t), (_, n2, t2) in zip(points, points[1:]):
        if n2 > n and t2 > t + NOISE:
            xy.append((math.log(n2 - n), math.log(t2 - t)))
    if len(xy) < 2:
        return None
    mx, my = (sum(v) / len(xy) for v in zip(*xy))
    return sum((x - mx) * (y - my) for x, y in xy) / sum((x - mx) ** 2 for x, _ in xy)


def jump(points):
    """How much dearer an entry of the last size is than it was at the cheapest size. (Below a
    thousand entries, what a table of entries costs is not yet spread over them.)"""
    each = [(t2 - t) / (n2 - n) for (_, n, t), (_, n2, t2) in zip(points, points[1:])
            if n2 - n >= 1000]
    return each[-1] / min(each) if each and min(each) > 0 else 1.0


def print_scale(base, new):
    print("Cost against size: instructions, and k of the fitted cost = entries ^ k. (Of the zero\n"
          "page, mapped at each 4 KiB, or each 16 MiB.)\n")
    for kind in dict.fromkeys(k[1] for k in new):
        keys = [k for k in new if k[1] == kind]
        points = new[keys[0]]
        print("%-8s %s" % (kind, "".join(" %8s" % size(p[0]) for p in points)))
        print("%-8s %s" % ("entries", "".join(" %8d" % p[1] for p in points)))
        for k in keys:
            for who, table in (("base", base), ("new", new)):
                if k not in table:
                    continue
                e = exponent(table[k])
                print("%-8s %s  %s k=%s%s" % (
                    k[0], "".join(" %8s" % number(p[2]) for p in table[k]), who,
                    "?" if e is None else "%.3f" % e,
                    "  FASTER THAN ITS ENTRIES" if e and e > 1.05 or jump(table[k]) > 1.05 else ""))
        print()


def size(n):
    for unit in "KMGT":
        n /= 1024
        if n < 1024:
            return "%d%s" % (n, unit)
    return "?"


def main(result, *says):
    base, noise, base_paid, base_scale, base_none = read(result + "/base-1/ktap.log")
    new, _, new_paid, new_scale, new_none = read(result + "/new-1/ktap.log")
    keys = list(dict.fromkeys(list(new) + list(base)))
    mappings = list(dict.fromkeys(k[1] for k in keys))
    names = list(dict.fromkeys(k[0] for k in keys))
    print("What a walk costs: instructions per entry")
    for who, what in zip(("base", "new"), says):
        print("  %-7s %s" % (who, what))
    print("  plain   a loop by hand over each table, with folio and batch; leaves: for_each_pt_leaf(),\n"
          "          or the same as plain where there is none\n")
    print_tables(base, new, names, mappings)
    ratio = print_summary(base, new, noise)
    print_floor(new, names, mappings)
    print_paid(base_paid, new_paid)
    if new_scale:
        print_scale(base_scale, new_scale)
    for who, other, none in (("base", new, base_none), ("new", base, new_none)):
        for k in none:
            if k in other or none[k].startswith("half"):
                print("no cost on %s: %s %s (%s)" % (who, *k, none[k]))

    def flat(table):
        return {"%s %s" % k: v for k, v in table.items()}
    with open(result + "/bench.json", "w") as f:
        json.dump({"what": says, "ratio": flat(ratio),
                   "base": {"per_entry": flat(base), "paid": flat(base_paid),
                            "scale": flat(base_scale), "none": flat(base_none)},
                   "new": {"per_entry": flat(new), "paid": flat(new_paid),
                              "scale": flat(new_scale), "none": flat(new_none)}}, f, indent=1)
    return 0


if sys.argv[1:2] in (["-h"], ["--help"]):
    print(__doc__)
    sys.exit(0)
if len(sys.argv) < 2:
    sys.exit(__doc__)
sys.exit(main(*sys.argv[1:]))
