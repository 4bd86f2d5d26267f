#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Usage: sections.py SERIES NAMES
Prints the patch names of file NAMES with the section comments of SERIES:
each stays in front of the patch it stood before, or of the next one that
is still there. The number in a name does not matter."""
import re
import sys


def slug(name):
    return re.sub(r"^\d+-", "", name)


def main(old_file, names_file):
    names = open(names_file).read().split()
    left = {slug(n) for n in names}
    before, block = {}, []
    for line in open(old_file).read().splitlines():
        if line and not line.startswith("#"):
            patch = slug(line.split()[0])
            if block and patch in left:
                before[patch], block = block, []
        else:
            block.append(line)
    for name in names:
        for line in before.get(slug(name), []):
            print(line)
        print(name)
    for line in block:
        print(line)


if len(sys.argv) != 3 or sys.argv[1] in ("-h", "--help"):
    sys.exit(__doc__)
main(*sys.argv[1:])
