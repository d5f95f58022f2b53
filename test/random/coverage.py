#!/usr/bin/env python3
"""Holds operators.py and what mncc lists equal, and sees that random programs use all there is.

    mncc --print-ops | coverage.py

An operator that is added to mncc needs a row in operators.py: its attributes, its shape, and how
to draw it."""

import re
import sys
from collections import Counter

import operators
from generate import random_program
from language import Apply, Body, Cond, Fn, Block, Default, Include, Input, Output, expand, nodes

PROGRAMS = 400


def listed(text):
    """name -> (fewest inputs, most inputs, {attribute: default as text}) of --print-ops; the refused ones."""
    whole, _, refused = text.partition("\n## Not supported")
    found = {}
    for section in re.split(r"^## ", whole, flags=re.M)[1:]:
        name, few, many = re.match(r"(\w+)\n.*?Inputs: (\d+)(?: to (\d+))?", section, re.S).groups()
        rows = re.findall(r"^\| (\w+) \| .*? \| (\S+) \| [^|]*\|$", section, re.M)
        found[name] = int(few), int(many or few), {key: default for key, default in rows if key != "attribute"}
    return found, set(re.findall(r"^\| (\w+) \|", refused, re.M)) - {"operator"}


def default_text(attr):
    value = attr.default
    if value is operators.REQUIRED:
        return "required"
    if isinstance(value, bool):
        return str(value).lower()
    if attr.kind == "kernel":
        return f"{value[0]}x{value[1]}"
    if attr.kind == "dims":
        return str(list(value))
    if attr.kind == "numbers":
        return str(float(value[0])).removesuffix(".0")
    return value if isinstance(value, str) else str(float(value)).removesuffix(".0")


def differences(text):
    found, refused = listed(text)
    for name in sorted(found.keys() - operators.NAMES):
        yield f"'{name}' has no row in test/random/operators.py"
    for name in sorted(operators.NAMES - found.keys()):
        yield f"test/random/operators.py has '{name}', mncc has not"
    for name, (few, many, attrs) in found.items():
        row = operators.TABLE.get(name)
        if not row:
            continue
        if row.inputs != (few, many):
            yield f"'{name}' takes {few} to {many} tensors, not {row.inputs}"
        own = {key: default_text(attr) for key, attr in row.attrs.items()}
        if list(own.items()) != list(attrs.items()):
            yield f"'{name}' has the attributes {attrs}, not {own}"
    if refused != operators.REFUSED:
        yield f"refused are {sorted(refused)}, not {sorted(operators.REFUSED)}"


def unused():
    """What no program of many uses."""
    seen = Counter()
    for seed in range(PROGRAMS):
        program = random_program(seed)
        seen.update(layer.op for layer in expand(program).layers)
        for source in [program.main] + list(program.files.values()):
            for root in source.items + ([source.network] if source.network else []):
                for node, _, _, _ in nodes(root):
                    seen[type(node)] += 1
                    if isinstance(node, Apply):
                        seen["repetition"] += node.times is not None
                        seen["name ="] += any(arg.name == "name" for arg in node.args)
                    if isinstance(node, Input):
                        seen[node.elem] += 1
                    if isinstance(node, Output):
                        seen["labels"] += bool(node.labels)
        seen.update("-D" if name not in ("alpha", "rho") else name for name, _ in program.values)
        seen["resolution"] += bool(program.resolution)
    wanted = sorted(operators.NAMES) + [Body, Cond, Fn, Block, Default, Include, "repetition", "name =", "f32", "u8", "labels",
                                        "-D", "alpha", "rho", "resolution"]
    return [f"no program of {PROGRAMS} has {thing}" for thing in wanted if not seen[thing]]


def main():
    problems = list(differences(sys.stdin.read()))
    problems += [] if problems else unused()
    for problem in problems:
        print(problem)
    print("differs" if problems else f"all {len(operators.NAMES)} operators are drawn")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
