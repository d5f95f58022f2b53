#!/usr/bin/env python3
"""Compiles random networks in every way there is and compares the results.

    random_networks.py --mncc=MNCC --work=DIR --count=100
    random_networks.py --mncc=MNCC --work=DIR --seed=5000 --minutes=120 --builds=4

Network K is made from the seed --seed + K, whatever --count says; checks.py tells what has to hold
of it. A network that fails is cut down to the smallest that fails in the same way, which is left
in DIR/failed/SEED and printed with the command that shows the failure again:

    random_networks.py --mncc=MNCC --work=DIR --seed=SEED --network 'small.mn --alpha 1/2'

--builds says how many C compilations each network gets, --minutes ends a campaign at a time."""

import argparse
import os
import shlex
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from checks import Subject, check_batch, draw_plan, know_mncc
from generate import random_program
from language import expand, source_text
from networks import network_and_options
from shrink import shrink


def write_program(program, folder, name):
    """The files of a program; its main one."""
    os.makedirs(folder, exist_ok=True)
    for file, source in list(program.files.items()) + [(name, program.main)]:
        with open(os.path.join(folder, file), "w") as out:
            out.write(source_text(source))
    return os.path.join(folder, name)


class Campaign:
    def __init__(self, options):
        self.options = options
        self.pool = ThreadPoolExecutor(options.jobs)
        self.checked = self.hopeless = self.ways = self.failed = 0
        self.operators = set()

    def subject(self, program, seed, folder, plan=None):
        shutil.rmtree(folder, ignore_errors=True)
        file = write_program(program, folder, "net.mn")
        return Subject(self.options, f"n{seed}", file, program.arguments(), plan or draw_plan(self.options, seed),
                       folder, seed)

    def check(self, seeds):
        """A batch of networks."""
        folder = os.path.join(self.options.work, "batch")
        shutil.rmtree(folder, ignore_errors=True)
        subjects = []
        for seed in seeds:
            program = random_program(seed)
            self.operators |= {layer.op for layer in expand(program).layers}
            subjects.append((program, seed, self.subject(program, seed, os.path.join(folder, str(seed)))))
        check_batch(self.options, self.pool, folder, [subject for _, _, subject in subjects])
        for program, seed, subject in subjects:
            self.checked += 1
            self.hopeless += subject.hopeless
            self.ways += len(subject.results)
            if subject.findings:
                self.failed += 1
                self.report(program, seed, subject)

    def report(self, program, seed, subject):
        finding = subject.findings[0]
        others = f" (and {len(subject.findings) - 1} more)" if len(subject.findings) > 1 else ""
        print(f"seed {seed}: {finding}{others}", flush=True)
        if self.options.shrink:
            program, trials = self.shrunk(program, seed, subject.plan.reduced_to(finding), finding)
            print(f"cut down in {trials} trials to", flush=True)
        folder = os.path.join(self.options.work, "failed", str(seed))
        shutil.rmtree(folder, ignore_errors=True)
        file = write_program(program, folder, "small.mn")
        print(source_text(program.main), end="")
        for name, source in program.files.items():
            print(f"// {name}\n{source_text(source)}", end="")
        network = " ".join([file] + program.arguments())
        options = self.options
        command = [sys.executable, os.path.abspath(__file__), f"--mncc={options.mncc}", f"--work={options.work}",
                   f"--cc={options.cc}", f"--clang={options.clang}", f"--builds={options.builds}", f"--seed={seed}"]
        command += ["--no-llvm"] * options.no_llvm + ["--no-torch"] * options.no_torch + ["--network", network]
        print(f"again: {' '.join(map(shlex.quote, command))}", flush=True)

    def shrunk(self, program, seed, plan, finding):
        folder = os.path.join(self.options.work, "trial")

        def still_fails(candidate):
            shutil.rmtree(folder, ignore_errors=True)
            trial = self.subject(candidate, seed, os.path.join(folder, "n"), plan)
            check_batch(self.options, self.pool, folder, [trial])
            return any(finding.same_as(other) for other in trial.findings)

        if not still_fails(program):  # not by itself: leave it whole
            return program, 1
        return shrink(program, still_fails, self.options.trials)

    def summary(self):
        print(f"{self.checked} networks, {len(self.operators)} operators, {self.ways} results compared, "
              f"{self.hopeless} too sensitive to rounding")
        print("all agree" if not self.failed else f"{self.failed} failed", flush=True)
        return 1 if self.failed else 0


def check_network(campaign, options):
    """One network that is given."""
    file, arguments = network_and_options(options.network)
    folder = os.path.join(options.work, "network")
    shutil.rmtree(folder, ignore_errors=True)
    subject = Subject(options, f"n{options.seed}", os.path.abspath(file), arguments, draw_plan(options, options.seed),
                      os.path.join(folder, "n"), options.seed)
    check_batch(options, campaign.pool, folder, [subject])
    for finding in subject.findings:
        print(finding)
    for way in subject.results:
        print(f"compared: {way}")
    print("it fails" if subject.findings else "it agrees")
    return 1 if subject.findings else 0


def add_arguments(parser):
    parser.add_argument("--mncc", required=True)
    parser.add_argument("--cc", default="gcc")
    parser.add_argument("--clang", default="clang", help="empty: there is none")
    parser.add_argument("--work", required=True, help="folder for all that is written")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=0, help="0: until --minutes are over")
    parser.add_argument("--minutes", type=float, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--no-shrink", dest="shrink", action="store_false", help="leave failures as they are")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_arguments(parser)
    parser.add_argument("--builds", type=float, default=2, help="C compilations of each network; 0.5: of every other one")
    parser.add_argument("--batch", type=int, default=25, help="networks that are compiled together")
    parser.add_argument("--trials", type=int, default=400, help="of cutting one network down")
    parser.add_argument("--no-llvm", action="store_true", help="mncc was built without LLVM")
    parser.add_argument("--no-torch", action="store_true", help="without PyTorch")
    parser.add_argument("--network", help="check this one, with its options for mncc, and nothing else")
    options = parser.parse_args()
    know_mncc(options)
    options.work = os.path.abspath(options.work)
    if options.clang and not shutil.which(options.clang):
        print(f"without clang: there is no '{options.clang}'")
        options.clang = ""
    campaign = Campaign(options)
    if options.network:
        return check_network(campaign, options)
    end = time.monotonic() + 60 * options.minutes
    at, last = options.seed, options.seed + (options.count or 10**9)
    while at < last and (not options.minutes or time.monotonic() < end):
        upto = min(last, at + options.batch)
        campaign.check(range(at, upto))
        at = upto
        if options.minutes:
            print(f"{campaign.checked} networks checked", flush=True)
    return campaign.summary()


if __name__ == "__main__":
    sys.exit(main())
