#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Usage: check.py
Checks what can be checked without a compiler: series and patches, their
headers, git am and quilt, the way there and back, the mirror, checkpatch,
and the harness itself. Each failure is a line with the command that mends it."""
import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.environ.get("B") or TOP + "/build"
BASE = BUILD + "/base"
MIRRORED = ["include", "mm", "lib", "tools", "Documentation", "scripts/coccinelle"]
ENV = dict(os.environ, GIT_CONFIG_GLOBAL="/dev/null", GIT_CONFIG_NOSYSTEM="1",
           GIT_COMMITTER_NAME="c", GIT_COMMITTER_EMAIL="c@localhost",
           GIT_AUTHOR_NAME="c", GIT_AUTHOR_EMAIL="c@localhost", LC_ALL="C")
SUBJECT = re.compile(r"^\[PATCH\] (mm|fs|lib|selftests|Documentation|docs|MAINTAINERS|kunit|"
                     r"x86|arm64|riscv|s390|powerpc|coccinelle|drm|vfio|KVM|proc)"
                     r"[\w/,. -]*: \S.*$")


def read(path):
    with open(path, "rb") as f:
        return f.read()


def run(*cmd, cwd=TOP, env=None, **kw):
    return subprocess.run(cmd, cwd=cwd, env=dict(ENV, **(env or {})), text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **kw)


def series():
    lines = [s.split("#")[0].strip() for s in open(TOP + "/series")]
    return [s for s in lines if s]


def check_series(names):
    have = {f for f in os.listdir(TOP + "/patches") if f.endswith(".patch")}
    for n in names:
        if n not in have:
            yield "series: %s is not in patches/ (make export)" % n
    for n in sorted(have - set(names)):
        yield "patches/%s is not in series (make export)" % n
    if names != sorted(set(names)):
        yield "series: the order is not that of the numbers (make export)"


def check_header(name):
    text = read(TOP + "/patches/" + name)
    mend = " (git -C build/linux rebase -i base, reword it, make export)"
    ours, _, diff = text.partition(b"\n---\n")
    ours += b"\n".join(s for s in diff.splitlines() if s.startswith(b"+"))
    if not ours.isascii():
        yield "patches/%s: not ASCII%s" % (name, mend)
    text = text.decode("ascii", "replace")
    head, _, rest = text.partition("\n\n")
    body = rest.split("\n---\n")[0].split("\ndiff --git ")[0]
    fields = dict(re.findall(r"^(From|Date|Subject): (.*(?:\n .*)*)", head, re.M))
    fields = {k: v.replace("\n", "") for k, v in fields.items()}
    subject = fields.get("Subject", "")
    wrong = []
    if not text.startswith("From " + "0" * 40 + " "):
        wrong.append("first line is not that of make export")
    if not re.match(r"\S.* <\S+@\S+>$", fields.get("From", "")):
        wrong.append("no From:")
    if not fields.get("Date"):
        wrong.append("no Date:")
    if not SUBJECT.match(subject):
        wrong.append("subject without a subsystem prefix: '%s'" % subject)
    elif len(subject) - len("[PATCH] ") > 75:
        wrong.append("subject is longer than 75 columns")
    if not body.strip() or body.startswith("---"):
        wrong.append("no description")
    if re.search(r"^Signed-off-by:", text, re.M | re.I):
        wrong.append("Signed-off-by: is for the person who posts it")
    for line in body.splitlines():
        if len(line) > 75 and not re.match(r"\s|[A-Z][\w-]+: |\[\d+\]|#|>", line):
            wrong.append("line longer than 75 columns: '%s...'" % line[:40])
            break
    for w in wrong:
        yield "patches/%s: %s%s" % (name, w, mend)


def check_apply(names, tmp):
    """git am and quilt on the touched files; there and back; the mirror."""
    text = b"".join(read(TOP + "/patches/" + n) for n in names).decode("ascii", "replace")
    touched = sorted(set(re.findall(r"^diff --git a/(\S+) b/", text, re.M)))
    there = [f for f in touched if os.path.exists(BASE + "/" + f)]
    there.append(".gitattributes")      # tells git diff about C
    repo, quilt = tmp + "/am", tmp + "/quilt"
    for d in repo, quilt:
        for f in there:
            os.makedirs(os.path.dirname(d + "/" + f), exist_ok=True)
            shutil.copy2(BASE + "/" + f, d + "/" + f)
        os.makedirs(d, exist_ok=True)
    run("git", "init", "-q", "-b", "base", cwd=repo)
    run("git", "add", "-A", "-f", cwd=repo)
    run("git", "commit", "-q", "--allow-empty", "-m", "base", cwd=repo)
    run("git", "checkout", "-q", "-b", "series", cwd=repo)
    for n in names:
        r = run("git", "am", "-q", "--no-3way", TOP + "/patches/" + n, cwd=repo)
        if r.returncode:
            yield "patches/%s: git am fails (correct it, or series; make tree)" % n
            return
    r = run("git", "-c", "core.abbrev=40", "format-patch", "-q", "-N", "--zero-commit",
            "--no-signature", "--full-index", "--diff-algorithm=myers", "--no-base",
            "-o", tmp + "/back", "base", cwd=repo)
    back = sorted(os.listdir(tmp + "/back")) if names else []
    for n in names:
        if n not in back:
            yield "patches/%s: its name is not what make export gives (make export)" % n
        elif read(tmp + "/back/" + n) != read(TOP + "/patches/" + n):
            yield "patches/%s: import and export change its bytes (make tree export)" % n

    r = run("quilt", "--quiltrc", "/dev/null", "push", "-a", "--fuzz=0", cwd=quilt,
            env={"QUILT_PATCHES": TOP + "/patches", "QUILT_SERIES": TOP + "/series",
                 "QUILT_PC": tmp + "/pc"})
    if names and r.returncode:
        last = [s for s in r.stdout.splitlines() if s.startswith("Patch ")]
        yield "quilt push -a --fuzz=0 fails (%s) (make tree export)" % (last or ["?"])[-1]
    for f in touched:
        a, b = repo + "/" + f, quilt + "/" + f
        if names and not r.returncode and (
                os.path.exists(a) != os.path.exists(b) or
                os.path.exists(a) and read(a) != read(b)):
            yield "%s: git am and quilt give different files (make tree export)" % f

    if run("git", "apply", "--check", TOP + "/tests/race-delay.patch", cwd=repo).returncode:
        yield "tests/race-delay.patch: does not apply to the patched tree (adapt it)"

    added = set(run("git", "diff", "--no-renames", "--diff-filter=A", "--name-only",
                    "base", "HEAD", cwd=repo).stdout.split() if names else [])
    mirror = set()
    for d in MIRRORED:
        for dirpath, _, files in os.walk(TOP + "/" + d):
            mirror |= {os.path.relpath(dirpath + "/" + f, TOP) for f in files}
    for f in sorted(added | mirror):
        if f not in added:
            yield "%s: the series does not add it (make export)" % f
        elif not os.path.exists(TOP + "/" + f):
            yield "%s: the series adds it, the mirror lacks it (make export)" % f
        elif read(TOP + "/" + f) != read(repo + "/" + f) or \
                os.access(TOP + "/" + f, os.X_OK) != os.access(repo + "/" + f, os.X_OK):
            yield "%s: not the file that the series adds (make export)" % f


def check_checkpatch(name):
    """Excuses: tests/checkpatch.allowed, "<regex>  # <why>"."""
    excuses = []
    for line in open(TOP + "/tests/checkpatch.allowed"):
        if line.strip() and not line.startswith("#"):
            regex, _, why = line.strip().partition(" # ")
            if not why:
                yield 'tests/checkpatch.allowed: "%s" has no reason (add " # why")' % regex
            excuses.append(regex.strip())
    r = run("perl", BASE + "/scripts/checkpatch.pl", "--root=" + BASE, "--strict",
            "--no-signoff", "--terse", "--show-types", "--no-summary",
            TOP + "/patches/" + name, env={"GIT_DIR": "/nonexistent"})
    for line in r.stdout.splitlines():
        line = line.replace(TOP + "/", "")
        if line and not any(re.search(e, line) for e in excuses):
            yield "checkpatch: %s (git -C build/linux rebase -i base, edit it, make export)" % line


def check_lists(names):
    for line in open(TOP + "/tests/must-fail"):
        if line.strip() and not line.startswith("#"):
            for p in line.split()[0].split(","):
                if sum(bool(re.match(r"\d+-" + re.escape(p), n)) for n in names) != 1:
                    yield "tests/must-fail: '%s' is not one patch (correct the name)" % p
    fixes = open(TOP + "/tests/must-fail").read()
    for n in names:
        if re.search(rb"^Fixes: ", read(TOP + "/patches/" + n), re.M) and \
                not any(p and re.match(r"\d+-" + re.escape(p), n)
                        for s in fixes.splitlines() if not s.startswith("#")
                        for p in s.split(" ")[0].split(",")):
            yield "patches/%s: a fix that tests/must-fail does not name (add its tests there)" % n


def check_harness():
    scripts = [TOP + "/scripts/" + f for f in sorted(os.listdir(TOP + "/scripts"))]
    shell = [f for f in scripts if os.path.isfile(f) and not f.endswith(".py")] + [TOP + "/.ci/run"]
    r = run("shellcheck", "-x", "-P", "SCRIPTDIR", *shell)
    if r.returncode:
        yield "shellcheck: %s" % (r.stdout.strip().splitlines() or ["?"])[0] + \
            " (shellcheck -x -P SCRIPTDIR scripts/*)"
    for f in scripts:
        if f.endswith(".py"):
            try:
                compile(read(f), f, "exec")
            except SyntaxError as e:
                yield "%s: %s" % (f, e)
    r = run(TOP + "/scripts/judge-selftest.sh")
    for line in r.stdout.splitlines():
        if line.startswith("not ok"):
            yield "%s (scripts/judge-selftest.sh)" % line
    if r.returncode and "not ok" not in r.stdout:
        yield "scripts/judge-selftest.sh does not run: %s" % r.stdout.strip()


def main():
    if len(sys.argv) > 1:
        sys.exit(__doc__)
    names = series()
    done = bad = 0

    def tell(title, failures):
        nonlocal done, bad
        failures = list(failures)
        done += 1
        bad += bool(failures)
        print("%s  %s" % ("FAIL" if failures else "ok  ", title))
        for f in failures:
            print("      " + f)
        return not failures

    whole = tell("series and patches/ agree", check_series(names))
    names = [n for n in names if os.path.exists(TOP + "/patches/" + n)]
    tell("headers of %d patches" % len(names), [f for n in names for f in check_header(n)])
    if whole:
        with tempfile.TemporaryDirectory() as tmp:
            tell("git am, quilt push --fuzz=0, there and back, mirror", check_apply(names, tmp))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        tell("checkpatch --strict", [f for fs in pool.map(
            lambda n: list(check_checkpatch(n)), names) for f in fs])
    tell("every fix has tests that must fail without it", check_lists(names))
    tell("shellcheck, python, the judge's own tests", check_harness())
    print("%d checks, %d failed" % (done, bad))
    return 1 if bad else 0


sys.exit(main())
