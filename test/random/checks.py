"""What has to hold of a network, however it is compiled.

    fixed point   the printed network prints itself
    dump          it compiles to the same loops
    bits          for one target, C by gcc, C by clang and LLVM, fused and not, give the same bits
    evaluator     these are within the bound of the reference evaluator
    PyTorch       and so are PyTorch and the evaluator

and that nothing crashes, no C gives a warning and no program touches memory around its own.

Networks are checked in batches: their generated C goes through one process for each compiler and
its options and into one program, and PyTorch is loaded once. What is built how is drawn from a
network's seed."""

import os
import random
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, List

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools"))

from networks import (HARNESS, LEVELS, SANITIZE, WARNINGS, Failure, Jit, compare_bits,  # noqa: E402
                      harness_function, level_flags, levels_here, ports_of_header, random_values,
                      read_two_runs, relative_difference)

# Relative to an output's largest magnitude: that of whole networks in test/reference.
BOUND = 1e-4
# Of what a network makes of a relative change of 1e-6 in its inputs and weights, this multiple is
# allowed besides: its layers round some tens of times by 6e-8.
CHANGE, ALLOWED = 1e-6, 10
# A network that amplifies rounding beyond this shows nothing: a wrong tap or weight is 1e-2.
HOPELESS = 1e-2
SECONDS = 300  # for one process: it hangs


@dataclass(frozen=True)
class Way:
    """How a network is compiled: by mncc alone ("run", "object", or "foreign": for a machine that
    this one is not, and not run) or through C; `skip` is an optional pass that is left out."""
    target: str
    fused: bool
    compiler: str
    flags: tuple = ()
    blob: bool = False
    skip: str = ""
    threads: int = 1
    others: tuple = ()  # targets behind it in one file, which this machine leaves aside

    def options(self):
        return [f"--target={','.join((self.target,) + self.others)}"] + ([] if self.fused else ["--no-fuse"]) + (
            ["--weights-as=blob"] if self.blob else []) + ([f"--skip={self.skip}"] if self.skip else []) + (
            [f"--threads={self.threads}"] if self.threads > 1 else [])

    def arithmetic(self):
        """What decides the bits: passes may round less often."""
        return self.target, self.skip

    def __str__(self):
        words = [" or ".join((self.target,) + self.others)] + ([] if self.fused else ["unfused"]) + (["blob"] if self.blob else [])
        words += [f"without {self.skip}"] if self.skip else []
        words += [f"{self.threads} threads"] if self.threads > 1 else []
        return " ".join(words + [os.path.basename(self.compiler)] +
                        [flag for flag in self.flags if not flag.startswith(("-W", "-pedantic"))])

    def sanitized(self):
        return "-fsanitize=address,undefined" in self.flags


@dataclass
class Finding:
    """A check that failed: which, for which way (or null), and in words."""
    check: str
    way: Any
    text: str

    def same_as(self, other):
        return self.check == other.check and self.way == other.way

    def __str__(self):
        return f"{self.check}{f' ({self.way})' if self.way else ''}: {self.text}"


class Problem(Exception):
    def __init__(self, check, way, text):
        super().__init__(text)
        self.finding = Finding(check, way, text)


@dataclass
class Plan:
    """What of it all is done."""
    ways: List[Way]
    texts: bool = True       # fixed point and dump
    evaluator: bool = True
    torch: bool = True

    def reduced_to(self, finding):
        """As much as shows the finding."""
        ways = []
        if finding.way:
            ways = [way for way in self.ways if way.arithmetic() == finding.way.arithmetic() and
                    way.compiler != "foreign"][:1]
            ways += [finding.way] if finding.way not in ways else []
        # A wrong printer of PyTorch shows without code, wrong code without PyTorch.
        return Plan(ways, finding.check in ("fixed point", "dump", "mncc"),
                    finding.check in ("evaluator", "PyTorch", "mncc"),
                    finding.check in ("PyTorch", "mncc"))


def draw_plan(options, seed):
    numbers = random.Random(f"plan {seed}")
    targets = {"generic": []}
    if options.vectors:
        vector = numbers.choice(options.vectors)
        targets[vector] = level_flags(vector)
    ways = []
    if not options.no_llvm:
        for target in targets:
            ways += [Way(target, True, "run", (numbers.choice(["-O1", "-O2", "-O2", "-O3"]),)),
                     Way(target, False, "run", (numbers.choice(["-O0", "-O0", "-O1", "-O2"]),),
                         threads=numbers.choice([1, 1, 2, 4]))]
    for i in range(int(options.builds + numbers.random())):  # a half: one for every other network
        # Vector code is long and takes compilers longer: less of it, and less optimised.
        vector = numbers.random() < 0.3
        target = list(targets)[-1] if vector else "generic"
        ways.append(draw_build(options, numbers, target, targets[target]))
    if options.passes and not options.no_llvm and numbers.random() < 0.3:
        ways.append(Way(numbers.choice(list(targets)), numbers.random() < 0.7, "run", ("-O1",),
                        skip=numbers.choice(options.passes)))
    if options.foreign and numbers.random() < 0.4:
        ways.append(Way(numbers.choice(options.foreign), numbers.random() < 0.7, "foreign",
                        () if options.no_llvm else (numbers.choice(["-c", "--emit=c"]),)))
    if options.vectors and options.builds and numbers.random() < 0.3:
        ways.append(draw_list(options, numbers, list(targets)[-1]))
    if options.no_llvm and not options.builds:
        ways.append(Way("generic", True, options.cc, ("-std=c99", "-O0") + tuple(WARNINGS)))
    return Plan(ways, torch=not options.no_torch)


def draw_build(options, numbers, target, march):
    fused, blob = numbers.random() < 0.7, numbers.random() < 0.15
    threads = numbers.choice([1, 1, 1, 2, 3, 5])
    compilers = [options.cc] + ([options.clang] if options.clang else [])
    if numbers.random() < 0.1 and not options.no_llvm:
        return Way(target, fused, "object", threads=threads)
    compiler = compilers[numbers.randrange(len(compilers))]
    if numbers.random() < 0.12 and target == "generic":
        return Way(target, fused, compiler, ("-std=c99",) + tuple(SANITIZE), blob, threads=threads)
    levels = ["-O0", "-O0", "-O1"] if march else ["-O0", "-O0", "-O1", "-O2", "-O2", "-O3", "-Os"]
    if numbers.random() < 0.15:
        levels = ["-O2", "-O3"]
    standard = "-std=gnu99" if march or numbers.random() < 0.2 else "-std=c99"
    return Way(target, fused, compiler, (standard, numbers.choice(levels)) + tuple(march) + tuple(WARNINGS), blob, threads=threads)


def draw_list(options, numbers, target):
    """A file for several targets, which runs the code of the first here."""
    below = [level for level in reversed(sorted(LEVELS)) if level < target] + ["generic"]
    others = tuple(sorted(numbers.sample(below, numbers.randrange(len(below)) + 1), key=below.index))
    compilers = [options.cc] + ([options.clang] if options.clang else []) + ([] if options.no_llvm else ["object"])
    compiler = numbers.choice(compilers)
    flags = () if compiler == "object" else ("-std=c99", numbers.choice(["-O0", "-O0", "-O1", "-O2"])) + tuple(WARNINGS)
    return Way(target, numbers.random() < 0.7, compiler, flags, compiler != "object" and numbers.random() < 0.2,
               threads=numbers.choice([1, 1, 2, 3]), others=others)


def know_mncc(options):
    """What there is to choose from: targets of other machines, passes that may be left out."""
    options.vectors = levels_here()
    status, text = call([options.mncc, "--print-targets"])
    names = [line.split()[0] for line in text.split("\n")[1:] if line.strip()]
    options.foreign = [name for name in names if name not in ("native", "generic") and not name.startswith("x86-64")]
    status, text = call([options.mncc, "--list-passes"])
    options.passes = [line.split()[1] for line in text.split("\n") if line.endswith(" optional")]


def call(command, cwd=None):
    """Exit status and output; a status below zero is a signal's, 124 means that it hung."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=cwd,
                              universal_newlines=True, errors="replace", timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return 124, f"no end after {SECONDS} s"
    return done.returncode, done.stdout


class Subject:
    """A network in a folder of its own, and what has become of it."""

    def __init__(self, options, name, file, arguments, plan, folder, data_seed=1):
        self.options, self.name, self.file, self.arguments, self.plan = options, name, file, arguments, plan
        self.folder, self.data_seed = os.path.abspath(folder), data_seed
        self.findings, self.results, self.builds = [], {}, []
        self.ports = self.data = self.evaluated = self.torch = self.weights = None
        self.hopeless = False
        os.makedirs(self.folder, exist_ok=True)

    def at(self, name):
        return os.path.join(self.folder, name)

    def mncc(self, way, *words, file=None):
        """mncc's standard output; a failure is the network's, which is valid."""
        file = file or self.file
        arguments = self.arguments if file == self.file else []
        verb = ["run"] if words and words[0] == "run" else []
        command = [self.options.mncc] + verb + [file] + arguments + list(words[len(verb):])
        status, output = call(command)
        if status != 0:
            raise Problem("mncc", way, f"exit status {status}: {' '.join(command)}\n{output}")
        return output

    def note(self, check, way, text):
        self.findings.append(Finding(check, way, text))

    def guarded(self, function, *arguments):
        """Runs a step; what it raises becomes a finding."""
        try:
            return function(*arguments)
        except Problem as problem:
            self.findings.append(problem.finding)
        except (Failure, OSError) as failure:
            self.note("program", None, str(failure))
        return None

    # ---- texts, and what the later steps need ----

    def write(self, name, text):
        with open(self.at(name), "w") as file:
            file.write(text)
        return self.at(name)

    def texts(self):
        quiet = ["-Wno-unused-let", "-Wno-unused-input", "-Wno-unused-result"]
        dump = self.mncc(None, "-E", *quiet)
        path = self.write("dump.mn", dump)
        again = self.mncc(None, "--emit=network", *quiet, file=path)
        if again != dump:
            self.note("fixed point", None, f"the printed network prints another one\n{dump}\n{again}")
        extra = [] if self.plan.ways and self.plan.ways[0].fused else ["--no-fuse"]
        loops = self.mncc(None, "--emit=loops", *quiet, *extra)
        if self.mncc(None, "--emit=loops", *quiet, *extra, file=path) != loops:
            self.note("dump", None, "the printed network has other loops than the network itself")

    def first(self):
        if self.plan.texts:
            self.guarded(self.texts)
        self.mncc(None, "--weights", "random:1", "--prefix", "first", "-o", self.at("first.c"))
        self.ports = ports_of_header(self.at("first.h"), "first")
        inputs, outputs = self.ports
        self.data = [random_values(self.data_seed + i, port) for i, port in enumerate(inputs)]
        with open(self.at("in.bin"), "wb") as file:
            for values in self.data:
                file.write(values.tobytes())
        self.weights = ["--weights", "random:1"]
        if self.plan.torch:
            self.mncc(None, "--emit=pytorch", "-o", self.at("net.py"))

    # ---- code ----

    def jit(self, data=None, weights=None):
        return Jit(self.options.mncc, self.file, self.arguments + (weights or self.weights), self.folder,
                   *self.ports, data or self.data)

    def run(self, way, name, extra):
        try:
            return self.jit().run(name, extra)
        except (Failure, OSError) as failure:
            raise Problem("mncc", way, str(failure)) from failure

    def code(self):
        """All that mncc does alone; the C for the compilers."""
        if self.plan.evaluator:
            self.evaluated = self.guarded(self.run, None, "evaluator", ["--evaluate"])
        for i, way in enumerate(self.plan.ways):
            if way.compiler == "foreign":
                self.guarded(self.mncc, way, *self.weights, *way.options(), *way.flags, "-o", self.at(f"foreign{i}"))
            elif way.compiler == "run":
                self.results[way] = self.guarded(self.run, way, f"run{i}", way.options() + list(way.flags))
            else:
                self.guarded(self.emit, way, i)

    def emit(self, way, i):
        prefix = f"{self.name}_{i}"
        output = self.at(f"{prefix}.{'o' if way.compiler == 'object' else 'c'}")
        self.mncc(way, *self.weights, *way.options(), "--prefix", prefix, "-o", output)
        ports = ports_of_header(self.at(f"{prefix}.h"), prefix)
        self.builds.append(Build(self, way, prefix, output, ports))

    # ---- comparisons ----

    def compare(self):
        first = {}
        for way, result in self.results.items():
            if result is None:
                continue
            want = first.setdefault(way.arithmetic(), way)
            problem = None if want == way else compare_bits(self.ports[1], result, self.results[want])
            if problem:
                self.note("bits", way, f"differs from {want}: {problem}")
        for way in first.values():
            self.near("evaluator", way, self.results[way], self.evaluated)
        self.near("PyTorch", None, self.evaluated, self.torch)

    def near(self, check, way, got, want):
        if got is None or want is None:
            return
        if any(not abs(v) < 1e30 for values in want for v in values):
            self.hopeless = True  # products of products: nothing to compare
            return
        worst = difference(got, want)
        if worst <= BOUND:
            return
        bound = BOUND + ALLOWED * self.condition()
        if bound > HOPELESS:
            self.hopeless = True
        elif not worst <= bound:
            self.note(check, way, f"differs by {worst:.2g}, more than {bound:.2g}")

    def condition(self):
        """What small changes of inputs and weights make of the evaluator's outputs."""
        numbers = random.Random(1)
        data = [values if values.typecode != "f" else
                type(values)("f", [v * (1 + CHANGE * numbers.choice((-1, 1))) for v in values]) for values in self.data]
        weights = None
        if self.torch is not None:
            import reference
            weights = ["--weights", reference.changed(self.weights[1], CHANGE)]
        os.makedirs(self.at("changed"), exist_ok=True)
        changed = Jit(self.options.mncc, self.file, self.arguments + (weights or self.weights),
                      self.at("changed"), *self.ports, data).run("changed", ["--evaluate"])
        return difference(changed, self.evaluated)


def difference(got, want):
    """The largest of all outputs. Of indices one in 50 may be another: two channels are as good as equal."""
    worst = 0
    for a, b in zip(got, want):
        if b.typecode == "i":
            others = sum(x != y for x, y in zip(a, b))
            worst = max(worst, 0 if others <= len(b) / 50 else 1)
        else:
            worst = max(worst, relative_difference(a, b))
    return worst


@dataclass
class Build:
    subject: Subject
    way: Way
    prefix: str
    source: str
    ports: Any
    object: str = ""


# ---- compilers ----

def compile_group(folder, builds):
    """One process for all; if that fails, one for each, to know which it is."""
    way = builds[0].way
    os.makedirs(folder, exist_ok=True)
    command = [way.compiler] + list(way.flags) + ["-c"]
    for build in builds:
        build.object = os.path.join(folder, build.prefix + ".o")
    status, output = call(command + [build.source for build in builds], folder)
    if status == 0:
        return
    for build in builds:
        status, output = call(command + [build.source], folder)
        if status != 0:
            build.subject.note("compiler", way, f"exit status {status}: {' '.join(command + [build.source])}\n{output}")
            build.object = ""


def harness_of(builds):
    """A program NAME IN OUT [BLOB] that runs the model of that name."""
    parts = [HARNESS] + [f'#include "{os.path.splitext(build.source)[0]}.h"\n' for build in builds]
    parts += [harness_function(f"static int run_{build.prefix}", build.prefix, *build.ports, build.way.blob)
              for build in builds]
    parts.append("int main(int argc, char **argv) {\n")
    parts += [f'  if (strcmp(argv[1], "{build.prefix}") == 0)\n    return run_{build.prefix}(argc - 1, argv + 1);\n'
              for build in builds]
    return "".join(parts) + "  return 9;\n}\n"


def link(options, folder, builds, sanitized):
    """The program of all builds; the objects of those whose linking fails are found by linking each."""
    os.makedirs(folder, exist_ok=True)
    source, program = os.path.join(folder, "harness.c"), os.path.join(folder, "program")
    with open(source, "w") as file:
        file.write(harness_of(builds))
    # Objects of both compilers can share a program, but not the sanitizers of both.
    compiler = builds[0].way.compiler if sanitized else options.cc
    flags = SANITIZE if sanitized else ["-O0"]
    status, output = call([compiler] + flags + [source] + [build.object for build in builds] + ["-o", program])
    if status == 0:
        return program
    if len(builds) == 1:
        builds[0].subject.note("program", builds[0].way, f"does not link\n{output}")
        return None
    raise AssertionError(f"a program does not link\n{output}")


def run_build(program, build):
    subject = build.subject
    out = subject.at(build.prefix + ".out")
    command = [program, build.prefix, subject.at("in.bin"), out]
    if build.way.blob:
        command.append(os.path.splitext(build.source)[0] + ".bin")
    status, output = call(command)
    if status != 0:
        raise Problem("program", build.way, f"exit status {status}: {' '.join(command)}\n{output}")
    subject.results[build.way] = read_two_runs(out, subject.ports[1])


def compile_and_run(options, pool, folder, subjects):
    groups = {}
    for build in (build for subject in subjects for build in subject.builds):
        if build.way.compiler == "object":
            build.object = build.source
        else:
            groups.setdefault((build.way.compiler, build.way.flags), []).append(build)
    list(pool.map(lambda pair: compile_group(os.path.join(folder, f"objects{pair[0]}"), pair[1]),
                  enumerate(groups.values())))
    programs = {}
    for build in (build for subject in subjects for build in subject.builds if build.object):
        key = build.way.compiler if build.way.sanitized() else ""
        programs.setdefault(key, []).append(build)
    for i, (key, builds) in enumerate(programs.items()):
        program = link(options, os.path.join(folder, f"program{i}"), builds, bool(key))
        if program:
            list(pool.map(lambda build: build.subject.guarded(run_build, program, build), builds))


def check_batch(options, pool, folder, subjects):
    """Fills in the subjects' findings."""
    list(pool.map(lambda subject: subject.guarded(subject.first), subjects))
    subjects = [subject for subject in subjects if subject.data]
    if any(subject.plan.torch for subject in subjects):
        import reference
        for subject in subjects:
            if subject.plan.torch and os.path.exists(subject.at("net.py")):
                subject.guarded(reference.run_torch, subject)
    list(pool.map(lambda subject: subject.code(), subjects))
    compile_and_run(options, pool, folder, subjects)
    list(pool.map(lambda subject: subject.guarded(subject.compare), subjects))
