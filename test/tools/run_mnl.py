#!/usr/bin/env python3
"""Runs a loop program (.mnl) through every way of making code of it and compares the bytes.

    run_mnl.py --mncc=MNCC --cc=gcc --clang=clang-19 --work=DIR FILE.mnl

The program's inputs and what it should make of them stand in the file as comments:

    // INPUT: a = 1 2.5 -inf 0x7fc00000
    // EXPECT: o = 3 nan

Numbers are separated by blanks or commas; for f32, 0x... is a bit pattern and nan any NaN. A line
may be repeated to go on. Inputs without a line are filled with small numbers.

The C is built by gcc and clang, as C99 and as C++, at -O0, -O2 and -O3 and with sanitizers, with
warnings as errors; unless --no-llvm is given, the object that mncc makes itself joins. All outputs
must be equal to EXPECT, and where there is none to each other, bit for bit. Caller's memory is
malloc'd to the exact size, so that the sanitizer sees any access outside.

A program that says `threads` is run twice: its branches in order, and each in a thread of its own.

The same for the targets with vector types in C that this processor can run (--targets names them),
with fewer compilers each; those that differ from another in what they do with bytes only take part
where there are bytes. With --emulator and a compiler for its machine other targets run too. Several
joined by + are one file for all of them, the last of which must run here."""
import argparse, os, re, shlex, struct, subprocess, sys
from concurrent.futures import ThreadPoolExecutor

from networks import LEVELS, SPAWN, level_flags

WARNINGS = ("-Wall -Wextra -Wconversion -Wsign-conversion -Wshadow -Wdouble-promotion -Wcast-align "
            "-Wundef -Wvla -pedantic -Werror").split()
# What /proc/cpuinfo must list, and the compilers' option.
TARGETS = {"generic": (set(), []), **{level: (needs, level_flags(level)) for level, needs in LEVELS.items()},
           "aarch64": (set(), []), "aarch64-dotprod": (set(), ["-march=armv8.2-a+dotprod"])}
SANITIZE = "-O0 -g -fsanitize=address,undefined -fno-sanitize-recover=all".split()
FORMAT = {"f32": "f", "i8": "b", "u8": "B", "i16": "h", "i32": "i"}
CTYPE = {"f32": "float", "i8": "int8_t", "u8": "uint8_t", "i16": "int16_t", "i32": "int32_t"}


class Port:
    def __init__(self, name, elem, dims, kind):
        self.name, self.elem, self.kind = name, elem, kind
        self.n = 1
        for d in dims:
            self.n *= d
        self.bytes = self.n * struct.calcsize(FORMAT[elem])
        self.values = None


def f32_bits(word):
    if word.lower().lstrip("+-").startswith("0x"):
        return int(word, 16)
    return struct.unpack("<I", struct.pack("<f", float(word)))[0]


def pack(port, words):
    if len(words) != port.n:
        sys.exit(f"error: {port.name} has {port.n} elements, {len(words)} values are given")
    if port.elem == "f32":
        return b"".join(struct.pack("<I", f32_bits(w)) for w in words)
    return b"".join(struct.pack("<" + FORMAT[port.elem], int(w, 0)) for w in words)


def default_words(port):
    small = [(i * 7 + 3) % 11 - 5 for i in range(port.n)]
    if port.elem == "u8":
        small = [abs(v) for v in small]
    return [str(v / 2 if port.elem == "f32" else v) for v in small]


def parse(path):
    text = open(path).read()
    ports, given, expected = [], {}, {}
    for m in re.finditer(r"^\s*buffer\s+(\w+)\s*:\s*(\w+)((?:\s*\[\d+\])*)\s+(input|output)\b", text, re.M):
        dims = [int(d) for d in re.findall(r"\d+", m[3])]
        ports.append(Port(m[1], m[2], dims, m[4]))
    for m in re.finditer(r"^\s*//\s*(INPUT|EXPECT):\s*(\w+)\s*=(.*)$", text, re.M):
        into = given if m[1] == "INPUT" else expected
        into.setdefault(m[2], []).extend(m[3].replace(",", " ").split())
    names = {p.name for p in ports}
    for name in list(given) + list(expected):
        if name not in names:
            sys.exit(f"error: the program has no input or output '{name}'")
    program = re.search(r"^\s*program\s+(\w+)", text, re.M)
    threads = re.search(r"^\s*threads\s+(\d+)", text, re.M)
    has_bytes = re.search(r":\s*[iu]8\b", text)
    return program[1], ports, given, expected, bool(threads), bool(has_bytes)


def harness(prefix, ports, given, threads):
    up = prefix.upper()
    out = ['#include "model.h"', "#include <stdio.h>", "#include <stdlib.h>", "#include <string.h>", ""]
    for p in ports:
        if p.kind == "input":
            data = pack(p, given.get(p.name) or default_words(p))
            out.append(f"static const unsigned char data_{p.name}[{len(data)}] = {{{','.join(map(str, data))}}};")
    out += SPAWN.splitlines() if threads else []
    out += ["", "static void *fresh(size_t size) {", "  void *p = malloc(size ? size : 1);",
            "  if (!p) exit(3);", "  memset(p, 0xa5, size);", "  return p;", "}", "", "int main(void) {",
            f"  void *raw = NULL;",
            f"  if (posix_memalign(&raw, {up}_ARENA_ALIGN < 16 ? 16 : {up}_ARENA_ALIGN, {up}_ARENA_BYTES + 1)) return 3;",
            f"  memset(raw, 0xa5, {up}_ARENA_BYTES + 1);"]
    args = ["raw"]
    for p in ports:
        out.append(f"  {CTYPE[p.elem]} *port_{p.name} = ({CTYPE[p.elem]} *)fresh({p.bytes});")
        if p.kind == "input":
            out.append(f"  memcpy(port_{p.name}, data_{p.name}, {p.bytes});")
    args += [f"port_{p.name}" for kind in ("input", "output") for p in ports if p.kind == kind]
    # Twice: state that survived a run would show.
    if threads:
        out.append(f"  {prefix}_parallel parallel = {{spawn, NULL}};")
    firsts = ["NULL, ", "&parallel, "] if threads else ["", ""]
    out.append(f"  {prefix}_run({firsts[0]}{', '.join(args)});")
    for p in ports:
        if p.kind == "output":
            out += [f"  void *first_{p.name} = fresh({p.bytes});",
                    f"  memcpy(first_{p.name}, port_{p.name}, {p.bytes});"]
    out.append(f"  {prefix}_run({firsts[1]}{', '.join(args)});")
    for p in ports:
        if p.kind == "output":
            out += [f"  if (memcmp(first_{p.name}, port_{p.name}, {p.bytes}) != 0) return 5;",
                    f"  free(first_{p.name});"]
    for p in ports:
        if p.kind == "output":
            out += [f"  for (size_t i = 0; i < {p.bytes}; i++)",
                    f"    printf(\"%02x\", ((const unsigned char *)port_{p.name})[i]);", '  printf("\\n");']
        else:
            out.append(f"  if (memcmp(port_{p.name}, data_{p.name}, {p.bytes}) != 0) return 4;")
    out += [f"  free(port_{p.name});" for p in ports]
    out += ["  free(raw);", "  return 0;", "}", ""]
    return "\n".join(out)


def run(command, what):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"error: {what}: {' '.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout


def cxx_of(cc):
    """/usr/bin/gcc-12 -> /usr/bin/g++-12, clang-19 -> clang++-19; the C driver if it has another name."""
    folder, name = os.path.split(cc)
    for c, cxx in (("clang", "clang++"), ("gcc", "g++"), ("cc", "c++")):
        if name.startswith(c):
            return os.path.join(folder, cxx + name[len(c):])
    return cc


def runnable(targets):
    try:
        flags = re.search(r"^flags\s*:(.*)$", open("/proc/cpuinfo").read(), re.M)
    except OSError:
        flags = None
    have = set(flags[1].split()) if flags else set()
    return [t for t in targets if have.issuperset(TARGETS[t.split("+")[-1]][0])]


def usual_targets(has_bytes):
    return ["generic"] + [level for level in LEVELS if has_bytes or not level.endswith("-vnni")]


def flags_of(target):
    return TARGETS[target][1] if target in TARGETS else []


def c_builds(compilers, target):
    """(name, command for the model, driver that links, sanitized). Levels and dialects are spread
    over the compilers: each build costs as much as all of mncc."""
    for cc, cxx in compilers:
        clang = "clang" in os.path.basename(cc)
        if target == "generic":
            ways = [("c99", ["-O3"] if clang else ["-O0"]), ("gnu99", ["-O0"] if clang else ["-O3"]),
                    ("c11", SANITIZE), ("c++11", ["-O2"])]
        elif "+" in target:
            ways = [("c99", ["-O2"])]
        elif target not in LEVELS:
            ways = [("c99", ["-O2"]), ("c11", ["-O0"])]
        elif clang:
            ways = [("c++11" if target == "x86-64-v2" else "c99", ["-O0" if target == "x86-64-v3" else "-O2"])]
        else:
            ways = {"x86-64-v2": [("c99", ["-O3"])],
                    "x86-64-v3-vnni": [("c99", ["-O2"])],
                    "x86-64-v4-vnni": [("c99", ["-O0"]), ("c++11", ["-O2"])],
                    "x86-64-v3": [("c11", SANITIZE), ("c++11", ["-O2"])],
                    "x86-64-v4": [("c99", ["-O0"]), ("c++11", ["-O3"])]}[target]
        for language, flags in ways:
            name = f"{target}, {cxx if '++' in language else cc} -std={language} " + ("sanitized" if flags is SANITIZE else flags[0])
            front = [cxx, "-x", "c++"] if "++" in language else [cc]
            yield name, front + [f"-std={language}"] + flags + WARNINGS + flags_of(target), cc, flags is SANITIZE


def is_nan(bits):
    return bits & 0x7fffffff > 0x7f800000


def differences(port, got, want_words):
    """Indices at which the bytes differ from EXPECT."""
    size = struct.calcsize(FORMAT[port.elem])
    wrong = []
    for i, word in enumerate(want_words):
        part = got[i * size:(i + 1) * size]
        if port.elem == "f32":
            bits = struct.unpack("<I", part)[0]
            same = is_nan(bits) if word == "nan" else bits == f32_bits(word)
        else:
            same = part == struct.pack("<" + FORMAT[port.elem], int(word, 0))
        if not same:
            wrong.append((i, struct.unpack("<" + FORMAT[port.elem], part)[0], word))
    return wrong


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--mncc", required=True)
    options.add_argument("--cc", default="gcc")
    options.add_argument("--clang", default="")
    options.add_argument("--work", required=True)
    options.add_argument("--no-llvm", action="store_true")
    options.add_argument("--mncc-arg", action="append", default=[])
    options.add_argument("--targets")
    options.add_argument("--emulator", help="command that runs what the compilers make")
    options.add_argument("--jobs", type=int, default=2)
    options.add_argument("file")
    o = options.parse_args()
    os.makedirs(o.work, exist_ok=True)
    prefix, ports, given, expected, threads, has_bytes = parse(o.file)
    at = lambda name: os.path.join(o.work, name)
    mncc = shlex.split(o.mncc)
    with open(at("main.c"), "w") as main_c:
        main_c.write(harness(prefix, ports, given, threads))

    compilers = [(cc, cxx_of(cc)) for cc in (o.cc, o.clang) if cc and cc != "clang-is-missing"]
    with_llvm = not o.no_llvm and "without LLVM" not in run(mncc + ["--version"], "mncc --version")
    work = []
    targets = o.targets.split(",") if o.targets else usual_targets(has_bytes)
    emulator = shlex.split(o.emulator) if o.emulator else []
    linking = ["-static"] if emulator else []
    for target in targets if emulator else runnable(targets):
        arguments = o.mncc_arg + ["--target=" + target.replace("+", ",")]
        folder = at(target)
        os.makedirs(folder, exist_ok=True)
        inside = lambda name, folder=folder: os.path.join(folder, name)
        run(mncc + [o.file] + arguments + ["-o", inside("model.c")], "mncc")
        # One main for all, in C: the header's extern "C" is part of the test.
        run([o.cc, "-O0", "-I", folder, "-c", at("main.c"), "-o", inside("main.o")], "main")
        for i, (name, compile_, driver, sanitized) in enumerate(c_builds(compilers, target)):
            work.append((name, [compile_ + ["-c", inside("model.c"), "-o", inside(f"model{i}.o")],
                                [driver] + (SANITIZE if sanitized else []) +
                                [inside("main.o"), inside(f"model{i}.o"), "-o", inside(f"run{i}"), "-lm", "-pthread"] + linking,
                                emulator + [inside(f"run{i}")]]))
        if with_llvm:
            work.append((f"{target}, mncc -c", [mncc + [o.file] + arguments + ["-c", "-o", inside("llvm.o")],
                                                [o.cc, inside("main.o"), inside("llvm.o"), "-o", inside("runl"), "-lm", "-pthread"] + linking,
                                                emulator + [inside("runl")]]))

    def execute(item):
        name, commands = item
        for command in commands:
            out = run(command, name)
        return name, out

    with ThreadPoolExecutor(o.jobs) as pool:
        results = list(pool.map(execute, work))

    outputs = [p for p in ports if p.kind == "output"]
    failures = 0
    for name, text in results:
        for k, (port, line) in enumerate(zip(outputs, text.split("\n"))):
            got = bytes.fromhex(line)
            if port.name in expected:
                if len(expected[port.name]) != port.n:
                    sys.exit(f"error: {port.name} has {port.n} elements, EXPECT has {len(expected[port.name])}")
                for i, value, word in differences(port, got, expected[port.name])[:5]:
                    print(f"{name}: {port.name}[{i}] is {value}, expected {word}")
                    failures += 1
            # Equal to the first way too: bits of a NaN are left to the machine, other bits are not.
            first = bytes.fromhex(results[0][1].split("\n")[k])
            if port.elem == "f32":
                norm = lambda b: [v if not is_nan(v) else -1 for v in struct.unpack(f"<{len(b) // 4}I", b)]
            else:
                norm = lambda b: b
            if norm(first) != norm(got):
                print(f"{name}: {port.name} differs from {results[0][0]}")
                failures += 1
    if failures:
        sys.exit(1)
    print(f"{len(results)} ways agree")


if __name__ == "__main__":
    sys.exit(main())
