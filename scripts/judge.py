#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Usage: judge.py [--expect LIST] [--allow LIST] [--fail GLOBS] RESULT...
       judge.py --list RESULT... | --left LIST RESULT...

Judges what boots left in RESULT... (console.log, ktap.log, rc; "crashed" names
the test that took the kernel down). Prints the verdict with its reasons and
exits with its status:
  0 pass, 1 a test failed, vanished, or skipped without a stated reason,
  2 no verdict (QEMU or the guest did not do its work), 3 kernel splat,
  124 timeout.

--expect: file of the tests that must have run: "<glob>", or
          "<glob> # SKIP <glob of the reason>" for one that may skip.
--allow:  file of splats that do not count: "<regex> # <why>".
--fail:   the tests that must fail, and no others. Splats do not count then, and
          a test of --expect that is not there has failed. Other trouble does,
          but for that of a boot that names the test that crashed it.
--list:   print every result, in the form of a file for --expect.
--left:   print the tests of LIST that have no result yet."""
import argparse
import fnmatch
import os
import re
import sys

SPLAT = re.compile(
    r"WARNING:|BUG:|kernel BUG at|\bINFO: |KASAN|UBSAN|KCSAN|\bOops\b|Kernel panic|"
    r"general protection fault|\bbad p[gu4m]d\b|possible (circular|recursive|irq)|"
    r"stack guard|refcount_t:|\bODEBUG|Call Trace:|rcu_\w+ (detected|self-detected)|"
    r"Unable to (handle|mount)|soft lockup|hard LOCKUP|cut here")
RESULT = re.compile(r"^( *)(not ok|ok) (\d+)(?: -)?(?: (?!#)(.*?))?(?: # (\w+)(?: (.*))?)?$")
PLAN = re.compile(r"^( *)1\.\.(\d+)(?: # (SKIP) ?(.*))?$")
SUBTEST = re.compile(r"^( *)# Subtest: (.*)$")


SEVERITY = [0, 1, 124, 3, 2]


class Test:
    def __init__(self, name, status, reason, notes):
        self.name, self.status, self.reason, self.notes = name, status, reason, notes


def read_ktap(lines):
    """KTAP, nested or not -> (list of leaf tests, list of errors)."""
    tests, errors = [], []
    plans, counts, titles, children = {}, {}, {}, {}
    notes = []

    def check_plan(depth):
        if depth in counts or depth in plans:
            if depth not in plans and depth > 4:
                pass    # the parameters of a KUnit case have none
            elif depth not in plans:
                errors.append("no plan")
            elif plans[depth] != counts.get(depth, 0):
                errors.append("planned %d tests, %d ran" % (plans[depth], counts.get(depth, 0)))
        plans.pop(depth, None)
        counts.pop(depth, None)

    for line in lines:
        depth = len(line) - len(line.lstrip(" "))
        if depth == 0 and line.startswith("KTAP version"):
            check_plan(0)       # the results of the next suite
        elif m := PLAN.match(line):
            plans[depth] = int(m[2])
        elif m := SUBTEST.match(line):
            titles[depth] = m[2]
        elif m := RESULT.match(line):
            check_plan(depth + 4)
            counts[depth] = counts.get(depth, 0) + 1
            if int(m[3]) != counts[depth]:
                errors.append("test number %s where %d was due" % (m[3], counts[depth]))
            path = [titles.get(d, "?") for d in range(4, depth + 1, 4)]
            name = ".".join(path + [m[4] or m[3]])
            status = "pass" if m[2] == "ok" else "fail"
            if status == "pass" and (m[5] or "").upper() == "SKIP":
                status = "skip"
            failed_below = children.pop(depth + 4, None)
            titles.pop(depth + 4, None)
            if failed_below is None or (status == "fail" and not failed_below):
                tests.append(Test(name, status, m[6] or "", notes[-6:]))
            children[depth] = children.get(depth, False) or status == "fail"
            notes = []
        elif line.lstrip().startswith("#") and "# table:" not in line:
            notes.append(line.strip())
    for depth in sorted(set(plans) | set(counts)):
        check_plan(depth)
    return tests, errors


def read_lines(path):
    try:
        with open(path, errors="replace") as f:
            return [re.sub(r"^\[ *\d+\.\d+\] ", "", s.rstrip("\r\n")) for s in f]
    except FileNotFoundError:
        return []


def read_list(path):
    """Lines "<what> # <why>" -> list of pairs."""
    out = []
    for line in read_lines(path) if path else []:
        if line and not line.startswith("#"):
            what, _, why = line.partition(" # ")
            out.append((what.strip(), why.strip()))
    return out


def matches(name, glob):
    return fnmatch.fnmatchcase(name, glob)


def read_result(d, allow):
    """What one boot left -> (tests, errors, (status, reasons) or None)."""
    console = read_lines(os.path.join(d, "console.log"))
    ktap = read_lines(os.path.join(d, "ktap.log"))
    rc = (read_lines(os.path.join(d, "rc")) or ["(none)"])[0]
    tests, errors = read_ktap(ktap)
    crashed = [Test(s, "fail", "", ["crashed the kernel"])
               for s in read_lines(os.path.join(d, "crashed"))]
    splats = [s for s in console if SPLAT.search(s) and
              not any(re.search(regex, s) for regex, _ in allow)]
    if splats:
        trouble = 3, splats[:3]
    elif rc == "124":
        trouble = 124, ["timeout; the last line was: " + (ktap or console or ["(none)"])[-1]]
    elif rc != "0":
        trouble = 2, ["QEMU ended with status %s, see qemu.log" % rc]
    elif not any(s.startswith("DONE rc=") for s in ktap):
        trouble = 2, ["the guest did not get to its end (no DONE)"]
    else:
        trouble = None
    return tests + crashed, [] if crashed else errors, trouble


def judge(args):
    allow = read_list(args.allow)
    for regex, why in allow:
        if not why:
            return 2, ["%s: '%s' has no reason: add '# why'" % (args.allow, regex)], []
    tests, errors, wrong = [], [], []
    worst = 0, []
    for d in args.result:
        t, e, trouble = read_result(d, allow)
        tests += t
        errors += e
        if args.fail is not None and trouble and (
                trouble[0] == 3 or read_lines(os.path.join(d, "crashed"))):
            continue
        if trouble and SEVERITY.index(trouble[0]) > SEVERITY.index(worst[0]):
            worst = trouble
    if worst[0]:
        return worst + (tests,)

    if args.fail is not None:
        globs = args.fail.split()
        names = {t.name for t in tests}
        if not names:
            wrong.append("no test ran")
        tests += [Test(n, "fail", "", ["vanished"]) for n, _ in read_list(args.expect)
                  if n not in names and "*" not in n]
        for t in tests:
            due = any(matches(t.name, g) for g in globs)
            if due and t.status != "fail":
                wrong.append("%s was to fail, but: %s %s" % (t.name, t.status, t.reason))
            if not due and t.status == "fail":
                wrong.append("%s failed, and was not to" % t.name)
        for g in globs:
            if not any(matches(t.name, g) for t in tests):
                wrong.append("no test matches %s" % g)
        return (1 if wrong else 0), wrong, tests

    wrong += errors
    expect = read_list(args.expect)
    for t in tests:
        mine = [why for glob, why in expect if matches(t.name, glob)]
        if t.status == "fail":
            wrong.append("%s failed" % t.name)
            wrong += ["    " + n for n in t.notes]
        elif args.expect and not mine:
            wrong.append("%s is not in %s: add it" % (t.name, args.expect))
        elif t.status == "skip" and not any(
                why.startswith("SKIP") and matches(t.reason, why[4:].strip() or "?*")
                for why in mine):
            wrong.append("%s skipped, and was not to: %s" % (t.name, t.reason or "(no reason)"))
    for glob, _ in expect:
        if not any(matches(t.name, glob) for t in tests):
            wrong.append("%s did not run" % glob)
    if not any(t.status == "pass" for t in tests):
        wrong.append("no test passed")
    return (1 if wrong else 0), wrong, tests


def main():
    ap = argparse.ArgumentParser(usage=__doc__, add_help=False)
    ap.add_argument("--expect")
    ap.add_argument("--allow")
    ap.add_argument("--fail")
    ap.add_argument("--list", action="store_true")
    ap.add_argument("--left")
    ap.add_argument("-h", "--help", action="store_true")
    ap.add_argument("result", nargs="*")
    args = ap.parse_args()
    if args.help or not args.result:
        print(__doc__)
        return 0 if args.help else 2
    code, reasons, tests = judge(args)
    if args.list:
        for t in tests:
            print(t.name + (" # SKIP " + t.reason if t.status == "skip" else ""))
        return 0
    if args.left:
        have = {t.name for t in tests}
        for name, _ in read_list(args.left):
            if name not in have:
                print(name)
        return 0
    n = {s: sum(t.status == s for t in tests) for s in ("pass", "fail", "skip")}
    word = {0: "PASS", 1: "FAIL", 2: "TROUBLE", 3: "SPLAT", 124: "TIMEOUT"}[code]
    if args.fail is None:
        text = ["%s %d passed, %d failed, %d skipped" % (word, n["pass"], n["fail"], n["skip"])]
    else:
        text = ["%s %d of %d tests failed" % (word, n["fail"], len(tests))]
    text += ["  " + r for r in reasons[:40]]
    print("\n".join(text))
    with open(os.path.join(args.result[0], "verdict"), "w") as f:
        f.write("\n".join(text) + "\n")
    return code


sys.exit(main())
