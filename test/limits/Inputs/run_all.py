#!/usr/bin/env python3
"""Expands every network of a folder under limits and prints its status and first message.

    run_all.py MNCC FOLDER

Of time and memory each gets far more than it needs and far less than what it asks for; the
sanitizers, which reserve memory without using it, get no limit of memory."""

import os
import re
import resource
import subprocess
import sys

SECONDS, MEMORY, LONGEST = 60, 1 << 30, 60000


def limit():
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    if "ASAN_OPTIONS" not in os.environ:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def main():
    mncc, folder = sys.argv[1:]
    for name in sorted(os.listdir(folder)):
        done = subprocess.run([mncc, "-E", os.path.join(folder, name), "-o", os.devnull],
                              stderr=subprocess.PIPE, preexec_fn=limit)
        text = done.stderr.decode("utf-8", "replace")
        if len(text) > LONGEST:
            sys.exit(f"{name}: {len(text)} characters of messages")
        first = re.search(r"(?:error|warning): (.*)", text)
        print(f"{name[:-3]}: status {done.returncode}" + (f": {first.group(1)}" if first else ""))


main()
