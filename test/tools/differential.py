#!/usr/bin/env python3
"""Makes code of networks in every way there is and compares the results bit for bit.

    differential.py --mncc=MNCC --cc=gcc --clang=clang-19 --work=DIR NET.mn 'NET.mn --alpha 1/2' ...

A network may be followed by options for mncc, the whole quoted. For each: the C that mncc writes
(weights as constants and as a blob, operators fused and not, divided for threads) built by gcc and clang with and
without optimisation and under sanitizers; mncc's own objects; and mncc run. All on one random
input. The results must be the same bits, and equal to the reference evaluator's within
--bound, relative to an output's largest magnitude: both round to float, the one after every
operation, the other once per operator."""

import argparse
import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor

from networks import (PREFIX, SANITIZE, WARNINGS, Failure, Jit, compare_bits, harness,
                      network_and_options, ports_of_header, random_values, read_two_runs,
                      relative_difference, report, run)

# name: mncc's options. The first is the one that every compiler builds.
FORMS = [("fused", []),
         ("unfused", ["--no-fuse"]),
         ("blob", ["--weights-as=blob"]),
         ("unfused-blob", ["--no-fuse", "--weights-as=blob"]),
         ("threads", ["--threads=3"]),
         ("threads-blob", ["--threads=2", "--weights-as=blob"])]
C99 = ["-std=c99"]
THREADS = (2, 64)  # of mncc run, beside those of the forms


def c_builds(form, options):
    """(name, compiler, flags) for the C of a form: everything for the first, a few for others."""
    gcc = [("-O0", C99 + ["-O0"]), ("-O2", C99 + ["-O2"]),
           ("-O3 -march=native -std=gnu99", ["-std=gnu99", "-O3", "-march=native"]),
           ("sanitized", C99 + SANITIZE)]
    clang = [("-O0", C99 + ["-O0"]), ("-O2", C99 + ["-O2"]), ("sanitized", C99 + SANITIZE)]
    wanted = {"fused": (gcc, clang), "unfused": (gcc[3:], clang[1:2]),
              "blob": (gcc[1:2], []), "unfused-blob": (gcc[1:2], []),
              "threads": (gcc[1:2], clang[1:]), "threads-blob": (gcc[1:2], [])}[form]
    if options.few and form == "fused":
        wanted = gcc[2:], clang[:1]
    elif options.few:
        wanted = gcc[1:2], []
    march = []
    if options.march:
        # Sanitizers take gcc minutes for kernels that are unrolled to so many registers, and the
        # loops' accesses are those of other targets.
        march = [f"-march={options.march}"]
        wanted = [[build for build in builds if build[0] != "sanitized"] for builds in wanted]
    return ([(name, options.cc, flags + march) for name, flags in wanted[0]] +
            [(name, options.clang, flags + march) for name, flags in wanted[1] if options.clang])


class Model:
    """One network with its options, in a folder of its own."""

    def __init__(self, options, text, work):
        self.options, self.text, self.work = options, text, work
        self.file, self.arguments = network_and_options(text)
        self.arguments += ["--weights", f"random:{options.seed}"]
        os.makedirs(work, exist_ok=True)

    def path(self, *names):
        return os.path.join(self.work, *names)

    def emit(self, form, extra, is_object):
        """mncc into folder `form`; the header has the same name in all of them."""
        folder = self.path(form + ("-object" if is_object else ""))
        os.makedirs(folder, exist_ok=True)
        output = ["-c", "-o", os.path.join(folder, "model.o")] if is_object else [
            "-o", os.path.join(folder, "model.c")]
        run([self.options.mncc, self.file] + self.arguments + ["--prefix", PREFIX] + extra + output)
        return folder

    def prepare(self):
        folder = self.emit(*FORMS[0], False)
        self.inputs, self.outputs = ports_of_header(os.path.join(folder, "model.h"))
        self.data = [random_values(self.options.seed + i, port)
                     for i, port in enumerate(self.inputs)]
        with open(self.path("in.bin"), "wb") as file:
            for values in self.data:
                file.write(values.tobytes())
        for blob in False, True:
            with open(self.path("main_blob.c" if blob else "main.c"), "w") as file:
                file.write(harness(self.inputs, self.outputs, blob))

    def build_and_run(self, folder, name, compiler, flags, source):
        blob = "blob" in os.path.basename(folder)
        binary = os.path.join(folder, f"run-{compiler}-{name}".replace("/", "_").replace(" ", ""))
        run([compiler] + flags + ["-I", folder, self.path("main_blob.c" if blob else "main.c"),
                                  os.path.join(folder, source), "-o", binary, "-pthread"])
        command = [binary, self.path("in.bin"), binary + ".out"]
        if blob:
            command.append(os.path.join(folder, "model.bin"))
        run(command)
        return read_two_runs(binary + ".out", self.outputs)

    def ways(self):
        """(name, function that returns the outputs), all but the first form's C to be emitted yet."""
        for form, extra in FORMS[:3] + FORMS[4:5] if self.options.few else FORMS:
            folder = self.path(form) if form == "fused" else self.emit(form, extra, False)
            for name, compiler, flags in c_builds(form, self.options):
                yield (f"{form}, {compiler} {name}",
                       lambda f=folder, n=name, c=compiler, g=flags: self.build_and_run(
                           f, n, c, g, "model.c"))
            if not self.options.no_llvm:
                yield (f"{form}, mncc -c",
                       lambda f=form, e=extra: self.build_and_run(
                           self.emit(f, e, True), "object", self.options.cc, ["-O1"], "model.o"))
        if not self.options.no_llvm:
            jit = Jit(self.options.mncc, self.file, self.arguments, self.work, self.inputs,
                      self.outputs, self.data)
            yield "fused, mncc run", lambda: jit.run("jit")
            yield "unfused, mncc run", lambda: jit.run("jit-unfused", ["--no-fuse"])
            yield "fused, mncc run -O0", lambda: jit.run("jit-O0", ["-O0"])
            for n in THREADS:
                yield (f"fused, mncc run --threads={n}",
                       lambda n=n: jit.run(f"jit-threads-{n}", [f"--threads={n}"]))

    def check(self, pool):
        """Failures, the number of ways, the difference from the evaluator."""
        self.prepare()
        names, functions = zip(*self.ways())
        results = list(pool.map(attempt, functions))
        failures, want = [], None
        for name, result in zip(names, results):
            if isinstance(result, Failure):
                failures.append(f"{self.text}: {name}: {result}")
            elif want is None:
                want, first = result, name
            else:
                problem = compare_bits(self.outputs, result, want)
                if problem:
                    failures.append(f"{self.text}: {name} differs from {first}: {problem}")
        evaluator = Jit(self.options.mncc, self.file, self.arguments, self.work, self.inputs,
                        self.outputs, self.data).run("evaluator", ["--evaluate"])
        worst = 0.0
        for port, values, exact in zip(self.outputs, want or [], evaluator):
            worst = max(worst, relative_difference(values, exact))
        if not worst <= self.options.bound:
            failures.append(f"{self.text}: differs from the evaluator by {worst:.2g}, more than "
                            f"{self.options.bound:g}")
        return failures, len(names), worst


def attempt(function):
    try:
        return function()
    except Failure as failure:
        return failure


def cxx_of(compiler):
    """The C++ compiler beside gcc or clang."""
    folder, name = os.path.split(compiler)
    return os.path.join(folder, name.replace("gcc", "g++").replace("clang", "clang++"))


def check_warnings(options, text, work):
    """model.c and model.h in C and C++, every warning an error."""
    model = Model(options, text, work)
    failures = []
    languages = [(options.cc, ["-std=c99"])]
    languages += [(cxx_of(options.cc), ["-x", "c++", f"-std=c++{year}"]) for year in ("98", "17")]
    if options.clang:
        languages += [(options.clang, ["-std=c99"]),
                      (cxx_of(options.clang), ["-x", "c++", "-std=c++11"])]
    march = [f"-march={options.march}"] if options.march else []
    for form, extra in FORMS:
        if form not in ("fused", "blob", "threads"):
            continue
        folder = model.emit(form, extra, False)
        # The header alone, included twice, before anything else.
        with open(os.path.join(folder, "twice.c"), "w") as file:
            file.write('#include "model.h"\n#include "model.h"\n'
                       f'{PREFIX.upper()}_ARENA(memory);\nvoid *memory_of(void);\n'
                       'void *memory_of(void) { return memory; }\n')
        for compiler, flags in languages:
            # Optimised, because some warnings come of what the optimiser finds out.
            for source, level in ("model.c", "-O2"), ("twice.c", "-O0"):
                try:
                    run([compiler] + flags + march + WARNINGS + [level, "-c", os.path.join(folder, source),
                                                         "-o", os.path.join(folder, "checked.o")])
                except Failure as failure:
                    failures.append(f"{text}: {form}: {failure}")
    return failures


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mncc", required=True)
    parser.add_argument("--cc", default="gcc")
    parser.add_argument("--clang", default="", help="empty: there is none")
    parser.add_argument("--work", required=True, help="folder for all that is written")
    parser.add_argument("--no-llvm", action="store_true", help="mncc was built without LLVM")
    parser.add_argument("--bound", type=float, default=1e-5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--march", default="",
                        help="for C compilers, where the networks' options have a --target")
    parser.add_argument("--few", action="store_true", help="not every compiler at every level")
    parser.add_argument("--warnings", action="store_true",
                        help="only compile, with every warning, as C and C++")
    parser.add_argument("networks", nargs="+")
    options = parser.parse_args()
    if options.clang and not shutil.which(options.clang):
        print(f"without clang: there is no '{options.clang}'")
        options.clang = ""
    failures = []
    with ThreadPoolExecutor(options.jobs) as pool:
        for i, text in enumerate(options.networks):
            work = os.path.join(options.work, str(i))
            try:
                if options.warnings:
                    failures += check_warnings(options, text, work)
                    continue
                found, ways, worst = Model(options, text, work).check(pool)
                failures += found
                name = os.path.basename(network_and_options(text)[0])
                print(f"{name}: {ways} ways, {worst:.2g} from the evaluator", flush=True)
            except Failure as failure:
                failures.append(f"{text}: {failure}")
    return report(failures, "no warnings" if options.warnings else "all bits agree")


if __name__ == "__main__":
    sys.exit(main())
