#!/usr/bin/env python3
"""Compiles random networks that one change has made wrong; each must be refused, and properly.

    wrong_networks.py --mncc=MNCC --work=DIR --count=300
    wrong_networks.py --mncc=MNCC --work=DIR --seed=5000 --minutes=60

mncc must end with status 1, an error that says where, in a file of the network's and within it,
and nothing written. Wrong network K is made from the seed --seed + K. mutate.py makes them, and
tells without mncc that they are wrong. One that is accepted is cut down to a program that
language.py refuses and mncc does not; one that makes mncc crash to any text that does. What failed
is left in DIR/failed/SEED and printed with the command that shows it again."""

import argparse
import json
import os
import random
import re
import shlex
import shutil
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from checks import call
from generate import random_program
from language import source_text
from mutate import mutated, refused, texts, tokens
from random_networks import add_arguments
from shrink import shrink

# What mncc is asked for, and the file that it would write.
REQUESTS = [(["--weights", "random:1", "-o", "OUT.c"], "OUT.c"), (["--emit=plan", "-o", "OUT.txt"], "OUT.txt"),
            (["-fsyntax-only"], None), (["--emit=network"], None), (["--emit=loops", "--no-fuse"], None),
            (["--diagnostics=json", "--emit=graph"], None), (["--emit=pytorch", "-o", "OUT.py"], "OUT.py"),
            (["cost"], None), (["-Werror", "-E"], None), (["run", "--weights", "random:1"], None)]
WITH_LLVM = [(["--weights", "random:1", "-c", "-o", "OUT.o"], "OUT.o")]
ERROR = re.compile(r"^(?P<file>[^\n]+?):(?P<line>\d+):(?P<column>\d+): error: \S", re.M)


def draw_wrong(seed):
    """The wrong network of this seed."""
    numbers = random.Random(f"wrong {seed}")
    while True:
        program = random_program(numbers.randrange(10**9))
        for _ in range(20):
            wrong = mutated(numbers, program)
            if wrong:
                return wrong, numbers.random()


def write_files(files, folder):
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    for name, text in files.items():
        with open(os.path.join(folder, name), "w") as file:
            file.write(text)


def places(output):
    """(file, line, column) of every error that has a place."""
    found = [(match["file"], int(match["line"]), int(match["column"])) for match in ERROR.finditer(output)]
    for line in output.split("\n"):
        if line.startswith("{"):
            message = json.loads(line)
            if message.get("severity") == "error" and "line" in message:
                found.append((message["file"], message["line"], message["column"]))
    return found


def problem_of(options, files, arguments, request, folder):
    """Null, or (what is wrong with mncc's answer, in a word; the whole)."""
    write_files(files, folder)
    words, written = request
    verb = words[:1] if words[0] in ("run", "cost") else []
    words = [word.replace("OUT", os.path.join(folder, "out")) for word in words[len(verb):]]
    command = [options.mncc] + verb + [os.path.join(folder, "net.mn")] + arguments + words
    status, output = call(command)
    text = f"exit status {status}: {' '.join(command)}\n{output}"
    if status == 0:
        return "accepted", text
    if status != 1 or re.search(r"runtime error|Sanitizer|internal error|please report", output):
        return "crash", text
    found = places(output)
    if not found:
        return "no place", text
    for file, line, column in found:
        try:
            with open(file, errors="replace") as source:
                lines = source.read().split("\n")
        except OSError:
            return "a place in no file", text
        if not 1 <= line <= len(lines) or not 1 <= column <= len(lines[line - 1].encode()) + 1:
            return "a place outside the file", text
    left = [name for name in os.listdir(folder) if name.startswith("out")]
    return (f"left {left[0]}", text) if left else None


def cut_down(options, files, still_fails):
    """Fewer tokens of the main file, as long as it holds."""
    words = [token[1] for token in tokens_of(files["net.mn"])]
    chunk = len(words) // 2
    while chunk:
        at = 0
        while at < len(words):
            fewer = words[:at] + words[at + chunk:]
            if still_fails({**files, "net.mn": " ".join(fewer)}):
                words = fewer
            else:
                at += chunk
        chunk //= 2
    return {**files, "net.mn": " ".join(words)}


def tokens_of(text):
    try:
        return tokens(text)
    except AssertionError:
        return [(None, line, 0) for line in text.split("\n")]


def shrunk(options, wrong, request, kind, folder):
    def same(files, arguments):
        problem = problem_of(options, files, arguments, request, folder)
        return problem is not None and problem[0] == kind

    if kind == "crash":
        files = cut_down(options, wrong.files, lambda files: same(files, wrong.arguments))
        return files, wrong.arguments
    if wrong.program:
        program, _ = shrink(wrong.program, lambda p: same(texts(p), p.arguments()), allowed=refused)
        return texts(program), program.arguments()
    return wrong.files, wrong.arguments


def report(options, seed, wrong, request, problem):
    kind, text = problem
    print(f"seed {seed}: {wrong.how}: {kind}: {text}", flush=True)
    files, arguments = wrong.files, wrong.arguments
    if options.shrink:
        files, arguments = shrunk(options, wrong, request, kind, os.path.join(options.work, "trial"))
    folder = os.path.join(options.work, "failed", str(seed))
    write_files(files, folder)
    for name, content in files.items():
        print(f"// {name}\n{content}")
    command = [options.mncc, os.path.join(folder, "net.mn")] + arguments + ["-fsyntax-only"]
    print(f"again: {' '.join(map(shlex.quote, command))}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_arguments(parser)
    parser.add_argument("--no-llvm", action="store_true", help="mncc was built without LLVM")
    options = parser.parse_args()
    options.work = os.path.abspath(options.work)
    requests = REQUESTS[:-1] if options.no_llvm else REQUESTS + WITH_LLVM
    end = time.monotonic() + 60 * options.minutes
    seen, failed = Counter(), 0

    def check(seed):
        wrong, share = draw_wrong(seed)
        request = requests[int(share * len(requests))]
        folder = os.path.join(options.work, f"net{seed}")
        problem = problem_of(options, wrong.files, wrong.arguments, request, folder)
        if not problem:
            shutil.rmtree(folder)
        return seed, wrong, request, problem

    with ThreadPoolExecutor(options.jobs) as pool:
        at, last = options.seed, options.seed + (options.count or 10**9)
        while at < last and (not options.minutes or time.monotonic() < end):
            upto = min(last, at + 100)
            for seed, wrong, request, problem in pool.map(check, range(at, upto)):
                seen[wrong.how] += 1
                if problem:
                    failed += 1
                    report(options, seed, wrong, request, problem)
            at = upto
    print(f"{sum(seen.values())} wrong networks, made so in {len(seen)} ways")
    print("all refused" if not failed else f"{failed} failed", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
