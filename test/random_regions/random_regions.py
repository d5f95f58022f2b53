#!/usr/bin/env python3
"""Compiles networks under random legal partitions and schedules; none may change a bit.

    random_regions.py --mncc=MNCC --cc=gcc --work=DIR --cases=40 NET.mn 'NET.mn --alpha 1/4' ...

A network may be followed by options for mncc, the whole quoted. The operators, in the order in
which mncc runs them, are cut into chains of 1 to 6 that become regions, with 1 to 4 rows per step
(or all); their loops are split, peeled, reordered, unrolled and made vectors at random. What mncc
run then computes, and in every --c-every'th case C built by gcc, must be what the default
partition and schedule compute, bit for bit.

Case K of a network is made from the seed --seed + K, whatever --cases says: a case that failed is
repeated by --seed=S --cases=1. A campaign is --cases=10000. The files of a failing case stay in
DIR; it is then cut down: regions and schedules that the failure does not need are taken out."""

import argparse
import os
import random
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools"))

from networks import (PREFIX, Failure, Jit, compare_bits, harness, network_and_options,  # noqa: E402
                      ports_of_header, random_values, read_two_runs, report, run)


def partition(numbers, paths):
    """Lists of (path, rows or none)."""
    chains, at = [], 0
    while at < len(paths):
        length = numbers.randint(1, 6)
        rows = [numbers.choice([1, 1, 2, 3, 4, None]) for _ in paths[at:at + length]]
        chains.append(list(zip(paths[at:at + length], rows)))
        at += length
    return chains


def schedule(numbers, labels):
    """Directives for loops with these labels, parallel ones first: y, x, c. Most apply; those that
    do not must leave their loop as it is."""
    directives = []
    nest = [label for label in labels if label in ("y", "x", "c")]
    reductions = [label for label in labels if label not in nest]
    if numbers.random() < 0.5:
        directives += [f"peel {label}" for label in nest if numbers.random() < 0.4]
    inner = []
    for label in numbers.sample(nest, len(nest)):
        if numbers.random() < 0.6:
            factor = numbers.choice([2, 3, 4, 5, 8])
            directives.append(f"split {label} {factor}")
            inner.append(f"{label}.i")
            if numbers.random() < 0.15:
                directives.append(f"split {label}.i 2")
                inner.append(f"{label}.i.i")
    if numbers.random() < 0.8:
        order = nest + inner + (reductions if numbers.random() < 0.2 else [])
        if len(order) > 1:
            numbers.shuffle(order)
            directives.append("order " + " ".join(order))
    if numbers.random() < 0.2:
        directives += [f"peel {label}" for label in nest if numbers.random() < 0.3]
    # Unrolling whole loops of many iterations makes enormous code, not more of a test.
    candidates = inner + [label for label in reductions if label != "k"]
    for label in candidates:
        if numbers.random() < 0.35:
            directives.append(f"unroll {label}")
    if inner and numbers.random() < 0.7:
        directives.append(f"vector {numbers.choice(inner)}")
    return "; ".join(directives)


class Case:
    def __init__(self, numbers, labels):
        self.chains = partition(numbers, list(labels))
        self.schedules = {path: schedule(numbers, labels[path])
                          for path in labels if numbers.random() < 0.7}

    def write(self, stem):
        with open(stem + ".regions", "w") as file:
            for chain in self.chains:
                words = [path + (f":{rows}" if rows else "") for path, rows in chain]
                file.write(" ".join(["region"] + words) + "\n")
        with open(stem + ".schedule", "w") as file:
            for path, text in self.schedules.items():
                file.write(f"{path}: {text}\n")
        return ["--regions", stem + ".regions", "--schedule", stem + ".schedule"]


class Network:
    def __init__(self, options, text, work):
        self.options, self.text, self.work = options, text, work
        os.makedirs(work, exist_ok=True)
        self.file, self.arguments = network_and_options(text)
        self.arguments += ["--weights", "random:1"]
        run([options.mncc, self.file] + self.arguments + ["--prefix", PREFIX, "-o", self.path("model.c")])
        self.inputs, self.outputs = ports_of_header(self.path("model.h"))
        data = [random_values(i, port) for i, port in enumerate(self.inputs)]
        with open(self.path("in.bin"), "wb") as file:
            for values in data:
                file.write(values.tobytes())
        with open(self.path("main.c"), "w") as file:
            file.write(harness(self.inputs, self.outputs, False))
        self.jit = Jit(options.mncc, self.file, self.arguments, work, self.inputs, self.outputs, data)
        self.want = self.jit.run("default")
        self.labels = self.find_labels()

    def path(self, name):
        return os.path.join(self.work, name)

    def find_labels(self):
        """The labels of each operator's loops before any schedule, from the loops themselves."""
        text = run([self.options.mncc, self.file] + self.arguments + ["--no-fuse", "--emit=regions"])
        paths = re.findall(r"^region (\S+)$", text, re.M)
        with open(self.path("none.schedule"), "w") as file:
            file.write("".join(f"{path}:\n" for path in paths))
        text = run([self.options.mncc, self.file] + self.arguments +
                   ["--no-fuse", "--emit=loops", "--schedule", self.path("none.schedule")])
        labels = {}
        for kernel in re.split(r"^kernel ", text, flags=re.M)[1:]:
            title = re.search(r'^\) "(\S+): ', kernel, re.M)
            if not title:
                raise Failure("a kernel without a title in --emit=loops")
            labels[title[1]] = list(dict.fromkeys(re.findall(r"^ *for ([a-z]+)(?:_\d+)? in ", kernel, re.M)))
        # Kernels are shared between operators of one shape: others have the same loops.
        return {path: labels.get(path, ["y", "x", "c", "ky", "kx", "k"]) for path in paths}

    def problem(self, case, stem, with_c):
        """Null, or how this case fails."""
        extra = case.write(stem)
        try:
            problem = compare_bits(self.outputs, self.jit.run("random", extra), self.want)
            if problem or not with_c:
                return problem
            run([self.options.mncc, self.file] + self.arguments + extra +
                ["--prefix", PREFIX, "-o", self.path("model.c")])
            run([self.options.cc, "-std=c99"] + self.options.c_flags.split() + [
                "-I", self.work, self.path("main.c"), self.path("model.c"), "-o", self.path("model")])
            run([self.path("model"), self.path("in.bin"), self.path("out.bin")])
            problem = compare_bits(self.outputs, read_two_runs(self.path("out.bin"), self.outputs),
                                   self.want)
            return f"C: {problem}" if problem else None
        except Failure as failure:
            return str(failure)

    def reduce(self, case, stem, with_c):
        """Takes out what the failure does not need."""
        for path in list(case.schedules):
            text = case.schedules.pop(path)
            if not self.problem(case, stem, with_c):
                case.schedules[path] = text
        for path, text in list(case.schedules.items()):
            words = text.split("; ")
            for i in range(len(words) - 1, -1, -1):
                fewer = words[:i] + words[i + 1:]
                case.schedules[path] = "; ".join(fewer)
                if self.problem(case, stem, with_c):
                    words = fewer
            case.schedules[path] = "; ".join(words)
        i = 0
        while i < len(case.chains):
            chain = case.chains[i]
            case.chains[i:i + 1] = [[(path, None)] for path, _ in chain]
            if len(chain) > 1 and not self.problem(case, stem, with_c):
                case.chains[i:i + len(chain)] = [chain]
            i += 1
        return self.problem(case, stem, with_c)

    def check(self):
        """Failures of all cases, as texts."""
        failures, regions, longest = [], 0, 0
        for seed in range(self.options.seed, self.options.seed + self.options.cases):
            case = Case(random.Random(f"{os.path.basename(self.file)} {seed}"), self.labels)
            regions += len(case.chains)
            longest = max([longest] + [len(chain) for chain in case.chains])
            with_c = bool(self.options.c_every) and seed % self.options.c_every == 0
            stem = self.path(f"case{seed}")
            problem = self.problem(case, stem, with_c)
            if problem:
                if self.options.reduce:
                    problem = self.reduce(case, stem, with_c) or problem
                failures.append(f"{self.text}: seed {seed}: {problem}\n"
                                f"{open(stem + '.regions').read()}{open(stem + '.schedule').read()}")
            else:
                os.remove(stem + ".regions")
                os.remove(stem + ".schedule")
        print(f"{self.text}: {self.options.cases} cases, {regions} regions, the longest of "
              f"{longest} operators", flush=True)
        return failures


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mncc", required=True)
    parser.add_argument("--cc", default="gcc")
    parser.add_argument("--work", required=True, help="folder for all that is written")
    parser.add_argument("--cases", type=int, default=40, help="for each network")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--c-every", type=int, default=8, help="0: never")
    parser.add_argument("--c-flags", default="-O3 -march=native")
    parser.add_argument("--no-reduce", dest="reduce", action="store_false",
                        help="leave failing cases as they are")
    parser.add_argument("networks", nargs="+")
    options = parser.parse_args()
    failures = []
    for i, text in enumerate(options.networks):
        try:
            failures += Network(options, text, os.path.join(options.work, str(i))).check()
        except Failure as failure:
            failures.append(f"{text}: {failure}")
    return report(failures, "all bits agree")


if __name__ == "__main__":
    sys.exit(main())
