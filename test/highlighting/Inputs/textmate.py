#!/usr/bin/env python3
"""Colours a text as an editor does with a TextMate grammar, and prints each coloured part.

    textmate.py GRAMMAR.json FILE"""

import json
import re
import sys


def main():
    with open(sys.argv[1]) as file:
        patterns = json.load(file)["patterns"]
    with open(sys.argv[2]) as file:
        text = file.read()
    rules = [(p["name"], re.compile(p["match"], re.M) if "match" in p else
              re.compile(f"{p['begin']}.*?{p['end']}", re.S)) for p in patterns]
    at = 0
    while True:
        # The first in the text, and of several there the first of the rules.
        found = [(match.start(), i, match) for i, (_, rule) in enumerate(rules) if (match := rule.search(text, at))]
        if not found:
            return
        _, i, match = min(found, key=lambda one: one[:2])
        print(f"{text.count(chr(10), 0, match.start()) + 1} {rules[i][0]}: {' '.join(match[0].split())}")
        at = max(match.end(), at + 1)


main()
