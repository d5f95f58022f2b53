"""cross.py MNCC OUT TARGET [threads]: compiles net.mn for TARGET, runs it under an emulator and compares with the evaluator.

With "threads" the work is divided for three, and run by a pool of the runtime and one after the other.

Where there is a C compiler for the target, its C must give the same bits as the object. The bound: sums of at most 500 products in another order, 1e-5 of the largest output."""

import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path

# The compiler, what the C wants beside, the emulator.
RUN = {
    "aarch64": (["aarch64-linux-gnu-gcc", "-static"], [], ["qemu-aarch64"]),
    "armv7": (["arm-linux-gnueabihf-gcc", "-static"], ["-march=armv7-a", "-mfpu=neon-vfpv4"], ["qemu-arm"]),
    "riscv64": (["riscv64-linux-gnu-gcc", "-static"], ["-march=rv64gcv"],
                ["qemu-riscv64", "-cpu", "rv64,v=true,vext_spec=v1.0,vlen=128"]),
}
WARNINGS = "-std=c99 -Wall -Wextra -Wconversion -Wsign-conversion -Wshadow -Wcast-align -pedantic -Werror".split()


def floats(data):
    return struct.unpack("<%df" % (len(data) // 4), data)


def run_wasm(here, out, image):
    linker = shutil.which("wasm-ld") or shutil.which("wasm-ld-19")
    subprocess.run([linker, "--no-entry", "--export=cross_run", "--export=__heap_base", "--import-memory",
                    out / "cross.o", "-o", out / "cross.wasm"], check=True)
    arena = re.search(r"ARENA_BYTES (\d+)", (out / "cross.h").read_text()).group(1)
    subprocess.run(["node", here / "run_wasm.mjs", out / "cross.wasm", image, out / "result", arena], check=True)
    return (out / "result").read_bytes()


def main():
    mncc, out, target = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    here = Path(__file__).parent
    out.mkdir(parents=True, exist_ok=True)
    common = [here / "net.mn", "--weights", "random:7"]
    divided, pool = [], []
    if sys.argv[4:] == ["threads"]:
        divided = ["--threads=3", "--regions", here / "threads.regions"]
        runtime = here.parents[2] / "runtime"
        pool = [f"-I{runtime}", runtime / "pool.c", runtime / "mnrt.c", "-pthread"]
    image = out / "image"
    image.write_bytes(b"".join(struct.pack("<f", (i * 37 % 101) / 50 - 1) for i in range(13 * 11 * 3)))
    subprocess.run([mncc, *common, *divided, f"--target={target}", "-c", "-o", out / "cross.o"], check=True)
    if target == "wasm32":
        got = run_wasm(here, out, image)
    else:
        compiler, flags, emulator = RUN[target]
        subprocess.run([mncc, *common, *divided, f"--target={target}", "-o", out / "cross.c"], check=True)
        results = []
        for name, source, options in ("object", out / "cross.o", []), ("c", out / "cross.c", WARNINGS + flags):
            subprocess.run([*compiler, "-O2", *options, f"-I{out}", here / "main.c", source, *pool, "-o", out / name, "-lm"],
                           check=True)
            results.append(subprocess.run([*emulator, out / name], input=image.read_bytes(), stdout=subprocess.PIPE,
                                          check=True).stdout)
        got = results[0]
        assert results[1] == got, "C differs from the object"
    text = subprocess.run([mncc, "run", *common, image, "--evaluate", "--format=csv"],
                          stdout=subprocess.PIPE, text=True, check=True).stdout
    expected = [float(line.split(",")[2]) for line in text.splitlines()]
    values = floats(got)
    assert len(values) == len(expected) == 22
    largest = max(abs(v) for v in expected)
    worst = max(abs(a - b) for a, b in zip(values, expected))
    print(f"{target}: largest difference {worst:.3g} of {largest:.3g}")
    return 0 if worst <= 1e-5 * largest else 1


sys.exit(main())
