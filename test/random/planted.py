#!/usr/bin/env python3
"""mncc with a planted mistake, to see that the checks notice it and that shrinking finds its core.

    PLANTED_MNCC=mncc PLANTED=KIND planted.py ARGUMENTS...

runs mncc and spoils what it made of a network whose expansion has a line that matches
PLANTED_WHERE:

    run        the last bit of one element that compiled code computes
    evaluate   an element of what the evaluator computes, by a thousandth
    C          a constant in the C
    network    an attribute in the printed network
    loops      the text of the loops of a printed network
    crash      exit status 70

or of any network:

    accept     errors are forgotten: exit status 0
    nowhere    errors have no place
    file       an output file is left behind
"""

import os
import re
import struct
import subprocess
import sys


def output_name(words):
    return words[words.index("-o") + 1] if "-o" in words else None


def spoil_npy(path, spoil):
    stem, folder = os.path.basename(path)[:-4], os.path.dirname(path) or "."
    files = [name for name in sorted(os.listdir(folder))
             if re.fullmatch(re.escape(stem) + r"(\.\w+)?\.npy", name)]
    for name in files:
        with open(os.path.join(folder, name), "r+b") as file:
            data = bytearray(file.read())
            data[-4:] = spoil(data[-4:])
            file.seek(0)
            file.write(data)


def last_bit(data):
    return bytes([data[0] ^ 1]) + data[1:]


def thousandth(data):
    value = struct.unpack("<f", data)[0]
    return struct.pack("<f", value * 1.01 + 0.05)


def spoil_text(path, pattern, replacement):
    with open(path) as file:
        text = file.read()
    with open(path, "w") as file:
        file.write(re.sub(pattern, replacement, text, count=1, flags=re.M))


def spoil(kind, words, path, done):
    """What the real mncc printed, spoilt, and its status."""
    out = output_name(words)
    evaluated = "--evaluate" in words
    if kind == "run" and words[0] == "run" and not evaluated and "--no-fuse" in words:
        spoil_npy(out, last_bit)
    elif kind == "evaluate" and evaluated:
        spoil_npy(out, thousandth)
    elif kind == "C" and out and out.endswith(".c") and not out.endswith("first.c"):
        spoil_text(out, r"(\w\[\d+\] = \{\n\s*)-?[\d.]+(?:e-?\d+)?f", r"\g<1>0.625f")
    elif kind == "network" and "--emit=network" in words:
        return re.sub(r"stride = 1x1", "stride = 1x2", done.stdout, count=1), 0
    elif kind == "loops" and "--emit=loops" in words and os.path.basename(path) == "dump.mn":
        return done.stdout + "\n", 0
    elif kind == "crash" and "-E" not in words:
        return done.stdout, 70
    return done.stdout, done.returncode


def spoil_refusal(kind, words, done):
    if kind == "accept":
        return "", "", 0
    if kind == "nowhere":
        return done.stdout, re.sub(r"^.*?:\d+:\d+: error", "mncc: error", done.stderr, flags=re.M), 1
    if output_name(words):
        with open(output_name(words), "w") as file:
            file.write("half")
    return done.stdout, done.stderr, 1


def main():
    mncc, kind, words = os.environ["PLANTED_MNCC"], os.environ["PLANTED"], sys.argv[1:]
    done = subprocess.run([mncc] + words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
    stdout, stderr, status = done.stdout, done.stderr, done.returncode
    path = next((word for word in words if word.endswith(".mn")), "")
    if status == 1 and kind in ("accept", "nowhere", "file"):
        stdout, stderr, status = spoil_refusal(kind, words, done)
    elif status == 0 and path:
        at = words.index(path) + 1
        options = []
        while at < len(words) and words[at] in ("--alpha", "--rho", "--resolution", "-D"):
            options += words[at:at + 2]
            at += 2
        network = subprocess.run([mncc, "-E", path] + options, stdout=subprocess.PIPE,
                                 stderr=subprocess.DEVNULL, universal_newlines=True).stdout
        if re.search(os.environ.get("PLANTED_WHERE", ""), network):
            stdout, status = spoil(kind, words, path, done)
    sys.stdout.write(stdout)
    sys.stderr.write(stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
