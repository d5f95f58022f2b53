#!/usr/bin/env python3
"""Counts the instructions that networks of 400, 800 and 1600 layers take.

    instructions.py MNCC FOLDER

The second 800 layers may take little more than twice what the second 400 take: a pass that looks
at every layer for every layer shows, long before anybody waits for it. The counts are valgrind's, the same at every run."""

import os
import re
import subprocess
import sys

MOST = 2.12  # 2 is linear, n log n comes to 2.05; what grows with the square adds up to 2


def network(layers):
    """Named tensors, residual sums, views, rings, and kernels that are shared and that are not."""
    lines, before = [], "x"
    for i in range(layers // 10):
        width = 8 + i % 4
        lines.append(f"{before} -> conv(1x1, {width}) -> batchnorm -> relu6 -> dropout -> depthwise(3x3) -> batchnorm"
                     f" -> conv(1x1, 8) -> dropout -> block{i % 2} -> add({before}) -> let t{i};")
        before = f"t{i}"
    body = "\n".join(lines)
    return f"""network deep() {{
input x: f32[8, 8, 8];
block block0() {{ relu -> let inner; inner; }}
block block1() {{ relu6 -> let inner; inner; }}
{body}
{before} -> flatten -> dense(2) -> output y; }}"""


def differing(layers):
    """Pairs of convolutions, no two of one shape."""
    flow = " -> ".join(f"conv(1x1, {8 + i}) -> conv(1x1, 8)" for i in range(layers // 2))
    return f"network differing() {{ input x: f32[8, 8, 8]; x -> {flow} -> output y; }}"


def written(path, text):
    with open(path, "w") as file:
        file.write(text)
    return path


def plan(mncc, folder, layers):
    """Through all passes up to the plan, verified."""
    return [mncc, "--emit=plan", "--verify", written(os.path.join(folder, f"{layers}.mn"), network(layers))]


def files(mncc, folder, layers):
    """Regions that are read, schedules for one half of the stages and measured tiles for the other."""
    stem = os.path.join(folder, f"{layers}-differing")
    command = [mncc, "--emit=regions", "--target=x86-64-v3", "--no-verify", written(stem + ".mn", differing(layers))]
    printed = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    schedules = re.findall(r"// +schedule (.*: .*\n)", printed)[::2]
    shapes = [f"conv, 8x8x8 from 8x8x{8 + i}, sums of {8 + i}: tile 4x1\n" for i in range(layers // 2)]
    regions = written(stem + ".regions", "".join(f"{line}\n" for line in printed.split("\n") if line.startswith("region")))
    schedule = written(stem + ".schedule", "".join(schedules))
    tuned = written(stem + ".tuned", "target x86-64-v3, vectors of 32 bytes, 16 registers\n" + "".join(shapes))
    if len(schedules) != layers // 2:
        sys.exit(f"{len(schedules)} schedules, expected {layers // 2}")
    return command + ["-Werror", f"--regions={regions}", f"--schedule={schedule}", f"--tuned={tuned}"]


def instructions(command):
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"] + command
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode != 0 or not found:
        sys.exit(done.stderr)
    return int(found[1])


def main():
    mncc, folder = sys.argv[1:]
    os.makedirs(folder, exist_ok=True)
    for case in plan, files:
        counts = {}
        for layers in 400, 800, 1600:
            counts[layers] = instructions(case(mncc, folder, layers))
            print(f"{case.__name__}, {layers} layers: {counts[layers]} instructions")
        ratio = (counts[1600] - counts[800]) / (counts[800] - counts[400])
        print(f"the second 800 layers take {ratio:.3f} times what the second 400 take")
        if ratio > MOST:
            sys.exit(f"more than {MOST}: something grows faster than the number of layers")


main()
