"""Compares the options of the man page with those of mncc --help, verb by verb.

    check_manual.py --mncc PROGRAM PAGE

SECTIONS says which sections of the page hold which verbs' options. Prints a line for each option that
one of the two lacks or that takes a value in one of them only; the exit status is 1 if there was any."""

import argparse
import re
import subprocess
import sys

RUNS = {"run", "bench", "verify", "tune"}
SECTIONS = {
    "All commands": {"compile", "cost", "fmt"} | RUNS,
    "Networks": {"compile", "cost"} | RUNS,
    "Compiling and running": {"compile"} | RUNS,
    "Compiling, run, bench and verify": {"compile", "run", "bench", "verify"},
    "Compiling": {"compile"},
    "Cost, run, bench and verify": {"cost", "run", "bench", "verify"},
    "Running": RUNS,
    "Run, bench and tune": {"run", "bench", "tune"},
    "Tune": {"tune"},
    "Verify": {"verify"},
    "Run": {"run"},
    "Fmt": {"fmt"},
}


def help_options(mncc, verb):
    command = [mncc] + ([verb] if verb != "compile" else []) + ["--help"]
    text = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout.decode()
    options = set()
    for line in text.split("options:\n", 1)[1].split("\n"):
        if not line.startswith("  -"):
            continue
        match = re.match(r"  (--?[a-z-]+|-[DOW](?=[A-Z])|-[A-Za-z]+)(?:[ =]?([A-Z]\S*|[a-z]+\|\S+))?(?:  |$)", line)
        if not match:
            sys.exit("what option is this? %s" % line)
        options.add((match.group(1), match.group(2)))
    return options


def page_options(path):
    """(option, value) -> verbs, of the lines between "Sh OPTIONS" and the next section."""
    options = {}
    section = None
    with open(path, encoding="utf-8") as file:
        lines = file.read().split(".Sh OPTIONS\n", 1)[1].split("\n.Sh ", 1)[0].split("\n")
    for line in lines:
        if line.startswith(".Ss "):
            section = line[4:]
        elif line.startswith(".It "):
            for flag in line[4:].split(" , "):
                words = flag.split()
                value = words[3] if len(words) == 4 and words[2] == "Ar" else None
                options.setdefault(("-" + words[1], value), set()).update(SECTIONS[section])
    return options


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--mncc", required=True)
    parser.add_argument("page")
    arguments = parser.parse_args()
    page = page_options(arguments.page)
    mistakes = []
    for verb in sorted(SECTIONS["All commands"]):
        of_help = help_options(arguments.mncc, verb)
        of_page = {option for option, verbs in page.items() if verb in verbs}
        for where, options in (("the page", of_help - of_page), ("--help", of_page - of_help)):
            for name, value in sorted(options, key=str):
                mistakes.append("%s: %s lacks %s%s" % (verb, where, name, " " + value if value else ""))
    print("\n".join(mistakes), end="\n" if mistakes else "")
    return 1 if mistakes else 0


if __name__ == "__main__":
    sys.exit(main())
