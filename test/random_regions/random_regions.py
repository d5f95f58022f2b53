#!/usr/bin/env python3
"""Compiles networks under random legal partitions and schedules; none may change a bit.

    random_regions.py --mncc=MNCC --cc=gcc --work=DIR --cases=40 NET.mn 'NET.mn --alpha 1/4' ...

A network may be followed by options for mncc, the whole quoted. The operators, in the order in
which mncc runs them, are cut into chains of 1 to 6 that become regions, with 1 to 4 rows per step
(or all); results and weights are stored in blocks of channels or not, and loops are split, peeled, reordered,
unrolled and made vectors at random. What mncc run then computes, and in every --c-every'th case C built by gcc, must be what the default
partition and schedule compute, bit for bit.

With --threads the work is divided at random too, for 2 to 5 threads: regions by rows, and stages that
make all rows at once into channels or pixels. What mncc refuses, for it knows who reads what, is
taken back.

Case K of a network is made from the seed --seed + K, whatever --cases says: a case that failed is
repeated by --seed=S --cases=1. A campaign is --cases=10000. The files of a failing case stay in
DIR; it is then cut down: regions and schedules that the failure does not need are taken out."""

import argparse
import os
import random
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools"))

from networks import (PREFIX, Failure, Jit, check_each, compare_bits, harness, network_and_options,  # noqa: E402
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


def ceil_div(a, b):
    return -(-a // b)


def cuts(numbers, chains, shapes, threads):
    """For each chain a list of the word behind each path, as "/rows:4", or ""."""
    result = []
    for chain in chains:
        words = [""] * len(chain)
        path, step = chain[-1]
        height, width, channels = shapes[path]
        whole = all(step is None or step >= shapes[path][0] for path, step in chain)
        if numbers.random() < 0.5 and height > 1:
            step = min(step or numbers.randint(1, height), height)
            steps = ceil_div(height, step)
            least = ceil_div(steps, threads)
            words[-1] = f"/rows:{step * numbers.randint(least, max(least, steps - 1))}"
            if chain[-1][1] is None:
                chain[-1] = (path, step)
        elif whole:
            for i, (path, _) in enumerate(chain):
                height, width, channels = shapes[path]
                kind, extent = numbers.choice([("channels", channels), ("pixels", height * width), ("whole", 0)])
                least = ceil_div(extent, threads)
                words[i] = "/whole" if kind == "whole" else f"/{kind}:{numbers.randint(least, extent)}"
        result.append(words)
    return result


def layouts(numbers, chains):
    """For each chain a list of the words behind each path, as "/blocks:8/weights:3", or ""."""
    def words():
        weights = random.Random(numbers.random())
        return (numbers.choice(["", "", "/hwc", f"/blocks:{numbers.choice([2, 3, 8, 16])}"]) +
                weights.choice(["", f"/weights:{weights.choice([2, 3, 4, 8, 12, 16])}"]))
    return [[words() for _ in chain] for chain in chains]


class Case:
    def __init__(self, numbers, labels, shapes=None):
        self.chains = partition(numbers, list(labels))
        self.layouts = layouts(random.Random(numbers.random()), self.chains)
        self.threads = numbers.randint(2, 5) if shapes else 1
        self.cuts = cuts(numbers, self.chains, shapes, self.threads) if shapes else None
        self.schedules = {path: schedule(numbers, labels[path])
                          for path in labels if numbers.random() < 0.7}

    def write(self, stem):
        with open(stem + ".regions", "w") as file:
            for k, chain in enumerate(self.chains):
                behind = self.cuts[k] if self.cuts else [""] * len(chain)
                words = [path + (f":{rows}" if rows else "") + cut + layout
                         for (path, rows), cut, layout in zip(chain, behind, self.layouts[k])]
                file.write(" ".join(["region"] + words) + "\n")
        with open(stem + ".schedule", "w") as file:
            for path, text in self.schedules.items():
                file.write(f"{path}: {text}\n")
        return ["--regions", stem + ".regions", "--schedule", stem + ".schedule", f"--threads={self.threads}"]


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
        self.divided = [0, 0]

    def path(self, name):
        return os.path.join(self.work, name)

    def find_labels(self):
        """The labels of each operator's loops before any schedule, from the loops themselves."""
        text = run([self.options.mncc, self.file] + self.arguments + ["--no-fuse", "--emit=regions"])
        paths = re.findall(r"^region (\S+)$", text, re.M)
        self.shapes = {}
        for path, dims in re.findall(r"^//   (\S+): \w+\[([^\]]+)\]", text, re.M):
            numbers = [int(d) for d in dims.split(",")]
            self.shapes[path] = [1] * (3 - len(numbers)) + numbers
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
                "-I", self.work, self.path("main.c"), self.path("model.c"), "-o", self.path("model"), "-pthread"])
            run([self.path("model"), self.path("in.bin"), self.path("out.bin")])
            problem = compare_bits(self.outputs, read_two_runs(self.path("out.bin"), self.outputs),
                                   self.want)
            return f"C: {problem}" if problem else None
        except Failure as failure:
            return str(failure)

    def take_back(self, case, stem):
        """Drops the layouts and cuts that mncc refuses."""
        for _ in range(200):
            try:
                text = run([self.options.mncc, self.file] + self.arguments + case.write(stem) + ["--emit=regions"])
                self.divided[0] += len(re.findall(r"parts of \d+ rows at", text))
                self.divided[1] += len(re.findall(r"parts of \d+ (pixels|channels) at", text))
                return
            except Failure as failure:
                line = re.search(r"\.regions:(\d+):\d+: error: ", str(failure))
                if not line:
                    raise
                k = int(line[1]) - 1
                if any(case.layouts[k]):
                    case.layouts[k] = [""] * len(case.chains[k])
                else:
                    case.cuts[k] = ["/whole"] * len(case.chains[k])
        raise Failure("mncc refuses all layouts and ways to divide the work")

    def still_fails(self, case, stem, with_c):
        """The case fails, and not because mncc refuses what is left of it."""
        problem = self.problem(case, stem, with_c)
        return problem and not re.search(r"\.(regions|schedule):\d+:\d+: error: ", problem)

    def reduce(self, case, stem, with_c):
        """Takes out what the failure does not need."""
        for path in list(case.schedules):
            text = case.schedules.pop(path)
            if not self.still_fails(case, stem, with_c):
                case.schedules[path] = text
        for path, text in list(case.schedules.items()):
            words = text.split("; ")
            for i in range(len(words) - 1, -1, -1):
                fewer = words[:i] + words[i + 1:]
                case.schedules[path] = "; ".join(fewer)
                if self.still_fails(case, stem, with_c):
                    words = fewer
            case.schedules[path] = "; ".join(words)
        i = 0
        while i < len(case.chains):
            chain = case.chains[i]
            before = case.layouts[i]
            case.layouts[i] = [""] * len(chain)
            if not self.still_fails(case, stem, with_c):
                case.layouts[i] = before
            if case.cuts:
                i += 1
                continue
            before = case.layouts[i]
            case.chains[i:i + 1] = [[(path, None)] for path, _ in chain]
            case.layouts[i:i + 1] = [[layout] for layout in before]
            if len(chain) > 1 and not self.still_fails(case, stem, with_c):
                case.chains[i:i + len(chain)] = [chain]
                case.layouts[i:i + len(chain)] = [before]
            i += 1
        return self.problem(case, stem, with_c)

    def check(self):
        """Failures of all cases, as texts."""
        failures, regions, longest = [], 0, 0
        for seed in range(self.options.seed, self.options.seed + self.options.cases):
            case = Case(random.Random(f"{os.path.basename(self.file)} {seed}"), self.labels, self.shapes if self.options.threads else None)
            regions += len(case.chains)
            longest = max([longest] + [len(chain) for chain in case.chains])
            with_c = bool(self.options.c_every) and seed % self.options.c_every == 0
            stem = self.path(f"case{seed}")
            self.take_back(case, stem)
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
        if self.options.threads:
            print(f"{self.text}: {self.divided[0]} regions divided by rows, {self.divided[1]} stages by themselves", flush=True)
            if not all(self.divided):
                failures.append(f"{self.text}: nothing was divided in one of the ways")
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
    parser.add_argument("--threads", action="store_true", help="divide the work at random")
    parser.add_argument("--no-reduce", dest="reduce", action="store_false",
                        help="leave failing cases as they are")
    parser.add_argument("networks", nargs="+")
    options = parser.parse_args()
    return report(check_each(options, Network), "all bits agree")


if __name__ == "__main__":
    sys.exit(main())
