#!/usr/bin/env python3
"""Files for several targets, run on several processors.

    dispatch.py --mncc=MNCC --cc=gcc --clang=clang-19 --work=DIR --targets=x86-64-v4,x86-64-v3,generic \\
      NET.mn 'NET.mn --alpha 1/2' ...

Each network is compiled for the whole list, as C by gcc and by clang without a word of the processor and as
mncc's own object, with weights as constants and as a blob, for one thread and for two. Every one of these runs on
this machine and, where qemu-x86_64 is installed, on older processors that it emulates. There PREFIX_target must name the
first target of the list that the processor has, and the outputs must be the bits of the object for that target alone."""

import argparse
import os
import shutil
import sys

from networks import (LEVELS, PREFIX, check_each, compare_bits, harness, levels_here, network_and_options,
                      ports_of_header, random_values, read_two_runs, report, run)

EMULATOR = "qemu-x86_64"
# Processors of qemu's, and the levels that they have.
EMULATED = {"Haswell": ["x86-64-v2", "x86-64-v3"], "Nehalem": ["x86-64-v2"], "qemu64": []}
FORMS = {"plain": [], "blob": ["--weights-as=blob"], "threads": ["--threads=2"],
         "threads-blob": ["--threads=2", "--weights-as=blob"]}
C_FORMS = ("plain", "threads-blob")
WHICH = '#include <stdio.h>\n#include "model.h"\n\nint main(void) {\n  puts(%s_target());\n  return 0;\n}\n' % PREFIX


def machines():
    """name: (what to put before a command, the levels there)"""
    found = {"this machine": ([], levels_here())}
    if shutil.which(EMULATOR):
        for name, levels in EMULATED.items():
            found[name] = ([EMULATOR, "-cpu", name], levels)
    return found


class Network:
    def __init__(self, options, text, work):
        self.options, self.text, self.work = options, text, work
        self.file, self.arguments = network_and_options(text)
        self.arguments += ["--weights", "random:1", "--prefix", PREFIX]
        self.targets = options.targets.split(",")
        # Those that run the fallback: it is taken without a question.
        self.machines = {name: machine for name, machine in machines().items()
                         if self.targets[-1] not in LEVELS or self.targets[-1] in machine[1]}

    def emit(self, name, target, form, output):
        """mncc into the folder `name`."""
        folder = os.path.join(self.work, name)
        os.makedirs(folder, exist_ok=True)
        kind = ["-c"] if output.endswith(".o") else []
        run([self.options.mncc, self.file] + self.arguments + FORMS[form] + [f"--target={target}"] + kind +
            ["-o", os.path.join(folder, output)])
        return folder

    def prepare(self, folder):
        self.inputs, self.outputs = ports_of_header(os.path.join(folder, "model.h"))
        with open(os.path.join(self.work, "in.bin"), "wb") as file:
            for i, port in enumerate(self.inputs):
                file.write(random_values(1 + i, port).tobytes())

    def compiled(self, folder, compiler, model):
        """The model as an object. Without -march: that a function may use what its target has is for the file to say."""
        if model.endswith(".o"):
            return os.path.join(folder, model)
        made = os.path.join(folder, f"{model}-{os.path.basename(compiler)}.o")
        run([compiler, "-std=c99", "-O2", "-c", os.path.join(folder, model), "-o", made])
        return made

    def link(self, folder, compiler, model, program, text):
        """A program of the model, an object, and a main function, which is `text`."""
        main, binary = os.path.join(folder, f"{program}.c"), os.path.join(folder, f"{program}-{os.path.basename(compiler)}")
        with open(main, "w") as file:
            file.write(text)
        run([compiler, "-std=gnu99", "-O1", "-I", folder, main, model, "-o", binary, "-pthread"])
        return binary

    def outputs_of(self, binary, folder, form, emulate):
        command = emulate + [binary, os.path.join(self.work, "in.bin"), binary + ".out"]
        run(command + ([os.path.join(folder, "model.bin")] if "blob" in form else []))
        return read_two_runs(binary + ".out", self.outputs)

    def alone(self, target, emulate):
        """What the object for one target computes."""
        folder = self.emit(target, target, "plain", "model.o")
        self.prepare(folder)
        model = os.path.join(folder, "model.o")
        binary = self.link(folder, self.options.cc, model, "alone", harness(self.inputs, self.outputs, False))
        return self.outputs_of(binary, folder, "plain", emulate)

    def expected(self, levels):
        return next((t for t in self.targets if t in levels or t not in LEVELS), self.targets[-1])

    def check_build(self, folder, form, compiler, model, wanted):
        compiled = self.compiled(folder, compiler, model)
        program = self.link(folder, compiler, compiled, "run", harness(self.inputs, self.outputs, "blob" in form))
        which = self.link(folder, compiler, compiled, "which", WHICH)
        for machine, (emulate, levels) in self.machines.items():
            where = f"{self.text}, {form}, {model} by {os.path.basename(compiler)} on {machine}"
            target = self.expected(levels)
            said = run(emulate + [which]).splitlines()[-1] # behind what the emulator may have to say
            if said != target:
                yield f"{where}: runs the code for '{said}', not for '{target}'"
            problem = compare_bits(self.outputs, self.outputs_of(program, folder, form, emulate), wanted[machine])
            if problem:
                yield f"{where}, {said}: {problem}"

    def check(self):
        wanted = {machine: self.alone(self.expected(levels), emulate)
                  for machine, (emulate, levels) in self.machines.items()}
        compilers = [c for c in (self.options.cc, self.options.clang) if c]
        for form in FORMS:
            if form in C_FORMS:
                folder = self.emit(f"c-{form}", self.options.targets, form, "model.c")
                for compiler in compilers:
                    yield from self.check_build(folder, form, compiler, "model.c", wanted)
            folder = self.emit(f"object-{form}", self.options.targets, form, "model.o")
            yield from self.check_build(folder, form, self.options.cc, "model.o", wanted)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mncc", required=True)
    parser.add_argument("--cc", default="gcc")
    parser.add_argument("--clang", default="", help="empty: there is none")
    parser.add_argument("--work", required=True, help="folder for all that is written")
    parser.add_argument("--targets", required=True)
    parser.add_argument("networks", nargs="+")
    options = parser.parse_args()
    if options.clang and not shutil.which(options.clang):
        options.clang = ""
    return report(check_each(options, Network), "all bits agree on " + ", ".join(machines()))


if __name__ == "__main__":
    sys.exit(main())
