"""What the tests that run networks share: calling mncc, tensors in files, a C program around a
generated model. Needs nothing but Python's library."""

import array
import os
import random
import re
import shlex
import subprocess
import sys

PREFIX = "net"
SANITIZE = ("-O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined "
            "-fno-sanitize-recover=all").split()
WARNINGS = ("-Wall -Wextra -Wconversion -Wsign-conversion -Wshadow -Wdouble-promotion -Wcast-align "
            "-Wundef -Wvla -pedantic -Werror").split()


# The x86-64 levels whose C uses vector types, and what a processor that runs them has.
LEVELS = {"x86-64-v2": {"sse4_2"}, "x86-64-v3": {"avx2", "fma"},
          "x86-64-v4": {"avx512f", "avx512vl", "avx512bw", "avx512dq"}}
VNNI = {"x86-64-v3": ("avx_vnni", "-mavxvnni"), "x86-64-v4": ("avx512_vnni", "-mavx512vnni")}
LEVELS.update({level + "-vnni": LEVELS[level] | {flag} for level, (flag, _) in VNNI.items()})


def levels_here():
    """Those that this machine runs."""
    try:
        with open("/proc/cpuinfo") as file:
            have = set(next((line for line in file if line.startswith("flags")), "").split())
    except OSError:
        have = set()
    return [level for level, needs in LEVELS.items() if needs <= have]


def level_flags(level):
    """The compilers' options for one."""
    base = level.replace("-vnni", "")
    return [f"-march={base}"] + ([VNNI[base][1]] if base != level else [])


class Failure(Exception):
    """A test has failed; the text says how."""


def run(command, cwd=None):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=cwd,
                          universal_newlines=True)
    if done.returncode != 0:
        raise Failure(f"exit status {done.returncode}: {' '.join(command)}\n{done.stdout}")
    return done.stdout


def network_and_options(text):
    """'net.mn --alpha 1/2' as the file and mncc's options."""
    words = shlex.split(text)
    return words[0], words[1:]


class Port:
    """An input or output: its name, the macro of its size, its type and its dimensions."""

    def __init__(self, name, macro, elem, dims):
        self.name, self.macro, self.elem, self.dims = name, macro, elem, dims
        self.elems = 1
        for dim in dims:
            self.elems *= dim


def ports_of_header(path, prefix=PREFIX):
    """The inputs and the outputs, in the order of the run function's arguments."""
    text = open(path).read()
    found = re.findall(r"^ \*   (input|output) +(\w+): (f32|u8|i32)((?:\[\d+\])+),", text, re.M)
    # In the same order: a name that C or C++ reserves has an underscore that its macros lack.
    macros = {kind: re.findall(rf"^#define ({prefix.upper()}_{word}_\w+_BYTES) ", text, re.M)
              for kind, word in (("input", "IN"), ("output", "OUT"))}
    ports = {"input": [], "output": []}
    for kind, name, elem, dims in found:
        macro = macros[kind][len(ports[kind])]
        ports[kind].append(Port(name, macro, elem, [int(d) for d in re.findall(r"\d+", dims)]))
    if not ports["input"] or not ports["output"]:
        raise Failure(f"{path} lists no inputs or no outputs")
    return ports["input"], ports["output"]


def random_floats(seed, count):
    """Numbers around zero, many beyond 6 for relu6's sake, and some zeros of both signs."""
    numbers = random.Random(seed)
    values = array.array("f", (numbers.gauss(0, 4) for _ in range(count)))
    for i in range(0, count, 13):
        values[i] = 0.0 if i % 2 else -0.0
    return values


def random_values(seed, port):
    """What an input of that type may hold."""
    if port.elem == "u8":
        numbers = random.Random(seed)
        return array.array("B", (numbers.randrange(256) for _ in range(port.elems)))
    return random_floats(seed, port.elems)


def write_npy(path, dims, values):
    descr = "<f4" if values.typecode == "f" else "|u1"
    shape = ", ".join(map(str, dims)) + ("," if len(dims) == 1 else "")
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}"
    header += " " * (-(len(header) + 11) % 64) + "\n"
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode())
        file.write(values.tobytes())


def read_npy(path):
    with open(path, "rb") as file:
        data = file.read()
    values = array.array("i" if b"'<i4'" in data[:128] else "f")
    values.frombytes(data[10 + int.from_bytes(data[8:10], "little"):])
    return values


class Jit:
    """mncc run: inputs as files, outputs as a list of arrays."""

    def __init__(self, mncc, file, options, work, inputs, outputs, data):
        self.command = [mncc, "run", file] + options
        self.outputs, self.work = outputs, work
        for port, values in zip(inputs, data):
            path = os.path.join(work, f"in.{port.name}.npy")
            write_npy(path, port.dims, values)
            self.command += ["--input", path]

    def run(self, name, extra=()):
        path = os.path.join(self.work, f"{name}.npy")
        run(self.command + list(extra) + ["-o", path])
        if len(self.outputs) == 1:
            return [read_npy(path)]
        return [read_npy(self.output_path(path[:-4], port.name)) for port in self.outputs]

    @staticmethod
    def output_path(stem, name):
        """The header changes names that C or C++ reserves, by an underscore behind or a v before; files do not."""
        names = [name, name[:-1], name[1:], name[1:-1]]
        return next((path for path in (f"{stem}.{one}.npy" for one in names) if os.path.exists(path)),
                    f"{stem}.{name}.npy")


# A thread for each branch.
SPAWN = """
#if !defined(SPAWNS)
#define SPAWNS
#include <pthread.h>

typedef struct Started {
  pthread_t thread;
  void (*task)(void *, int);
  void *context;
  int index;
} Started;

static void *start(void *argument) {
  Started *started = (Started *)argument;
  started->task(started->context, started->index);
  return NULL;
}

static void spawn(void *self, int n, void (*task)(void *, int), void *context) {
  Started *started = (Started *)malloc((size_t)n * sizeof *started);
  (void)self;
  if (!started) exit(3);
  for (int i = n - 1; i >= 0; i--) {
    started[i].task = task;
    started[i].context = context;
    started[i].index = i;
    if (pthread_create(&started[i].thread, NULL, start, &started[i]) != 0) exit(3);
  }
  for (int i = 0; i < n; i++) pthread_join(started[i].thread, NULL);
  free(started);
}
#endif
"""


# Memory of exactly the size that the model asks for, between guard bytes: the address sanitizer
# is told to stop at any access to them; elsewhere they are looked at after the run.
HARNESS = """
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) && !defined(__SANITIZE_ADDRESS__)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
void __asan_poison_memory_region(void const volatile *at, size_t size);
void __asan_unpoison_memory_region(void const volatile *at, size_t size);
#else
#define __asan_poison_memory_region(at, size) ((void)0)
#define __asan_unpoison_memory_region(at, size) ((void)0)
#endif

enum { GUARD = 256 };

typedef struct Area {
  unsigned char *whole, *at;
  size_t size;
} Area;

static Area area_new(size_t size, size_t align, unsigned char fill) {
  Area a;
  a.size = size;
  a.whole = malloc(size + 2 * align + 2 * GUARD);
  if (!a.whole)
    exit(10);
  memset(a.whole, 0xa5, size + 2 * align + 2 * GUARD);
  /* A multiple of align and of no more than align, so that nothing greater is relied on. */
  a.at = a.whole + GUARD;
  while ((uintptr_t)a.at % align != 0 || (uintptr_t)a.at % (2 * align) == 0)
    a.at++;
  memset(a.at, fill, size);
  __asan_poison_memory_region(a.at - GUARD, GUARD);
  __asan_poison_memory_region(a.at + size, GUARD);
  return a;
}

static void area_check(const Area *a, const char *name) {
  __asan_unpoison_memory_region(a->at - GUARD, GUARD);
  __asan_unpoison_memory_region(a->at + a->size, GUARD);
  for (int i = 1; i <= GUARD; i++)
    if (a->at[-i] != 0xa5 || a->at[a->size + (size_t)i - 1] != 0xa5) {
      fprintf(stderr, "memory around %s was written\\n", name);
      exit(11);
    }
}

static void read_area(const Area *a, FILE *file) {
  if (fread(a->at, 1, a->size, file) != a->size)
    exit(12);
}
"""


def harness(inputs, outputs, blob):
    """A program IN OUT [BLOB]: reads all inputs from one file, writes all outputs to another."""
    return HARNESS + '\n#include "model.h"\n' + harness_function("int main", PREFIX, inputs, outputs, blob)


def harness_function(function, prefix, inputs, outputs, blob):
    """What such a program does, for the model with this prefix."""
    up = prefix.upper()
    # The first run has its parts one after the other, the second each in a thread of its own.
    text = [f"#if defined({up}_THREADS)", SPAWN, f"static const {prefix}_parallel {prefix}_threads = {{spawn, NULL}};",
            f"#define {up}_HAND(times) (times) ? &{prefix}_threads : NULL,", "#else", f"#define {up}_HAND(times)", "#endif",
            f"{function}(int argc, char **argv) {{", f"  if (argc != {4 if blob else 3})",
            "    return 13;", '  FILE *in = fopen(argv[1], "rb"), *out = fopen(argv[2], "wb");',
            "  if (!in || !out)", "    return 14;"]
    # 0xff everywhere is a NaN: what is read before it was written shows in the results.
    align = f"({up}_ARENA_ALIGN < 4 ? 4 : {up}_ARENA_ALIGN)"
    arguments = []
    if blob:
        text += [f"  Area weights = area_new({up}_WEIGHT_BYTES, {up}_WEIGHT_ALIGN, 0);",
                 '  FILE *blob = fopen(argv[3], "rb");', "  if (!blob)", "    return 15;",
                 "  read_area(&weights, blob);", "  if (fgetc(blob) != EOF)", "    return 16;",
                 "  fclose(blob);"]
        arguments.append("weights.at")
    text.append(f"  Area arena = area_new({up}_ARENA_BYTES, {align}, 0xff);")
    arguments.append("arena.at")
    for i, port in enumerate(inputs):
        elem = "uint8_t" if port.elem == "u8" else "float"
        text += [f"  Area in{i} = area_new({port.macro}, sizeof({elem}), 0xff);",
                 f"  read_area(&in{i}, in);"]
        arguments.append(f"(const {elem} *)(const void *)in{i}.at")
    for i, port in enumerate(outputs):
        elem = "int32_t" if port.elem == "i32" else "float"
        text.append(f"  Area out{i} = area_new({port.macro}, sizeof({elem}), 0xff);")
        arguments.append(f"({elem} *)(void *)out{i}.at")
    # Twice, on what the first run left behind: nothing may stay between runs.
    text += ["  for (int times = 0; times < 2; times++) {",
             f"    {prefix}_run({up}_HAND(times) {', '.join(arguments)});"]
    for i, port in enumerate(outputs):
        text.append(f"    fwrite(out{i}.at, 1, out{i}.size, out);")
    text.append("  }")
    names = [("arena", "the arena")]
    names += [(f"in{i}", "input " + p.name) for i, p in enumerate(inputs)]
    names += [(f"out{i}", "output " + p.name) for i, p in enumerate(outputs)]
    names += [("weights", "the weights")] if blob else []
    for variable, name in names:
        text += [f'  area_check(&{variable}, "{name}");', f"  free({variable}.whole);"]
    text += ["  fclose(in);", "  return fclose(out) == 0 ? 0 : 17;", "}", ""]
    return "\n".join(text)


def read_two_runs(path, outputs):
    """The outputs of the program's first run; its second must be equal to the bit."""
    with open(path, "rb") as file:
        data = file.read()
    half = len(data) // 2
    if data[:half] != data[half:]:
        raise Failure("the second run in one arena differs from the first")
    results, at = [], 0
    for port in outputs:
        values = array.array("i" if port.elem == "i32" else "f")
        values.frombytes(data[at:at + 4 * port.elems])
        if len(values) != port.elems:
            raise Failure("the program wrote too little")
        results.append(values)
        at += 4 * port.elems
    if at != half:
        raise Failure("the program wrote too much")
    return results


def compare_bits(outputs, got, want):
    """Null, or the first element that differs in its bits."""
    for port, a, b in zip(outputs, got, want):
        if a.tobytes() == b.tobytes():
            continue
        x, y = array.array("I", a.tobytes()), array.array("I", b.tobytes())
        different = [i for i in range(len(x)) if x[i] != y[i]]
        i = different[0]
        return (f"{port.name}[{i}] is {a[i]!r} ({x[i]:#010x}), not {b[i]!r} ({y[i]:#010x}); "
                f"{len(different)} of {len(x)} elements differ")
    return None


def relative_difference(got, want):
    """The largest difference over all elements, relative to the largest magnitude of `want`."""
    largest = max(map(abs, want))
    difference = max(abs(a - b) for a, b in zip(got, want))
    if difference != difference or not all(a == a for a in got):
        return float("inf")
    return difference / largest if largest else difference


def check_each(options, network):
    """The failures of all networks that options name; network(options, text, folder).check() gives those of one."""
    failures = []
    for i, text in enumerate(options.networks):
        try:
            failures += network(options, text, os.path.join(options.work, str(i))).check()
        except Failure as failure:
            failures.append(f"{text}: {failure}")
    return failures


def report(failures, what):
    """Prints what failed and returns the exit status."""
    for failure in failures:
        print(failure, file=sys.stderr)
    if failures:
        print(f"{len(failures)} failed", file=sys.stderr)
        return 1
    print(what)
    return 0
