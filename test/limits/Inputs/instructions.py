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


def instructions(mncc, path):
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", mncc, "--emit=plan", "--verify", path]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode != 0 or not found:
        sys.exit(done.stderr)
    return int(found[1])


def main():
    mncc, folder = sys.argv[1:]
    os.makedirs(folder, exist_ok=True)
    counts = {}
    for layers in 400, 800, 1600:
        path = os.path.join(folder, f"{layers}.mn")
        with open(path, "w") as file:
            file.write(network(layers))
        counts[layers] = instructions(mncc, path)
        print(f"{layers} layers: {counts[layers]} instructions")
    ratio = (counts[1600] - counts[800]) / (counts[800] - counts[400])
    print(f"the second 800 layers take {ratio:.3f} times what the second 400 take")
    if ratio > MOST:
        sys.exit(f"more than {MOST}: something grows faster than the number of layers")


main()
