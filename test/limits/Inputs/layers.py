#!/usr/bin/env python3
"""Compiles generated networks of 1000 to 4000 layers and looks at what that takes.

    layers.py MNCC FOLDER

Time is the processor's, with a wide margin: the bound is for what grows with the square of the
layers or worse in earnest. Memory grows in proportion, apart from a constant."""

import os
import subprocess
import sys

SECONDS = 20


def chain(layers):
    flow = " -> ".join(["conv(1x1, 8)", "relu6", "depthwise(3x3)", "batchnorm"] * (layers // 4))
    return f"network chain() {{ input x: f32[8, 8, 8]; x -> {flow} -> output y; }}"


def residual(layers):
    lines, before = [], "x"
    for i in range(layers // 4):
        lines.append(f"{before} -> conv(1x1, 8) -> batchnorm -> relu -> add({before}) -> let t{i};")
        before = f"t{i}"
    return "network residual() { input x: f32[8, 8, 8];" + "\n".join(lines) + f"{before} -> output y; }}"


def measure(command):
    """Seconds of processor time, and megabytes."""
    child = os.posix_spawn(command[0], command, os.environ)
    _, status, usage = os.wait4(child, 0)
    if status != 0:
        sys.exit(f"status {status}: {' '.join(command)}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main():
    mncc, folder = sys.argv[1:]
    os.makedirs(folder, exist_ok=True)
    for make in chain, residual:
        megabytes = {}
        for layers in 1000, 2000, 4000:
            path = os.path.join(folder, f"{make.__name__}{layers}.mn")
            with open(path, "w") as file:
                file.write(make(layers))
            seconds, megabytes[layers] = measure([mncc, path, "--weights", "random:1", "-o", path[:-3] + ".c"])
            print(f"{make.__name__} {layers}: {seconds:.2f} s, {megabytes[layers]:.0f} MB")
            if layers <= 2000 and seconds > SECONDS:
                sys.exit(f"{layers} layers took more than {SECONDS} s")
        if megabytes[4000] - megabytes[2000] > 3 * (megabytes[2000] - megabytes[1000]) + 20:
            sys.exit("memory grows faster than the number of layers")


main()
