#!/usr/bin/env python3
"""check_bounds.py NAME BOUND ... < OUTPUT: the number after each NAME that begins a
line of the firmware's output is greater than 0 and less than its bound."""

import re
import sys


def main():
    text = sys.stdin.read()
    wrong = 0
    for name, bound in zip(sys.argv[1::2], sys.argv[2::2]):
        found = re.search(rf"^{name} (\d+) ", text, re.MULTILINE)
        if not found or not 0 < int(found.group(1)) < int(bound):
            print(f"{name}: {found.group(1) if found else 'no number'}, not less than {bound}", file=sys.stderr)
            wrong = 1
    return wrong


if __name__ == "__main__":
    sys.exit(main())
