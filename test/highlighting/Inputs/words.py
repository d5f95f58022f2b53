#!/usr/bin/env python3
"""Holds the words of a TextMate grammar equal to those of the scanner and of the operators' page.

    words.py GRAMMAR.json SCAN.l OPERATORS.md"""

import json
import re
import sys


def alternatives(grammar, scope):
    pattern = next(p["match"] for p in grammar["patterns"] if p["name"] == f"{scope}.mn")
    return set(re.search(r"\(\?:([\w|]+)\)", pattern)[1].split("|"))


def main():
    grammar, scanner, operators = (open(path).read() for path in sys.argv[1:])
    grammar = json.loads(grammar)
    known = operators.partition("\n## Not supported")[0]
    expected = {
        "keyword.control": set(re.findall(r"^([a-z]+) +\{ TOKEN\(", scanner, re.M)),
        "support.function": set(re.findall(r"^## (\w+)$", known, re.M)),
        "variable.parameter": {"name"} | set(re.findall(r"^\| (\w+) \| .*\|$", known, re.M)) - {"attribute"},
    }
    for scope, words in expected.items():
        found = alternatives(grammar, scope)
        if found != words or not words:
            sys.exit(f"{scope}: missing {sorted(words - found)}, too many {sorted(found - words)}")


main()
