#!/usr/bin/env python3
"""Formats networks, and the same networks with other white space and comments between their tokens.

    mutate.py MNCC ROUNDS NETWORKS...

Of each text it holds: formatted, it has the same tokens and comments in the same order; formatted again it stays as it is;
no line ends in white space; where the network compiles, the formatted text compiles to the same one. A file that does not
parse stays as it is. The seed of a text is its name and round. NETWORKS are folders, and copies: each text becomes a file
beside its network, for what that includes."""

import os
import random
import re
import subprocess
import sys

GAPS = ["", " ", "  ", "     ", "\t", "\n", "\n", "\n\n", "\n\n\n\n", "\r\n", " \n ", "// one\n", "  // two \n", "\n// three\n",
        "\n\n    // four\n\n", "/* five */", " /* six */ ", "\n/* seven */\n", "\n\n/* eight */ ", "/* nine\n   and */",
        "\n  /* ten\n\n     * lines */\n", "/**/", "//\n", " /* a */ /* b */ // c\n", "\n// d\n/* e */ ", "/* ä → */"]
PLAIN = [" ", "\n", "", "  ", "\n\n"]
ENDS = ["", "\n", "// end", "\n\n/* end */\n\n"]
PIECE = re.compile(r'(?P<comment>//[^\n]*|/\*.*?\*/)|(?P<space>\s+)|(?P<token>"(?:[^"\\\n]|\\.)*"|[0-9.]+[eE][+-]?[0-9]+|[A-Za-z0-9_.]+|->|[=!<>]=|.)',
                   re.DOTALL)


def pieces(text, kind):
    return [match[0] for match in PIECE.finditer(text) if match.lastgroup == kind]


def joins(a, b):
    """True if the tokens a and b need something between them."""
    word = re.compile(r"[A-Za-z0-9_.]")
    return bool(word.match(a[-1]) and word.match(b[0])) or a[-1] + b[0] in ("->", "==", "<=", ">=", "!=", "//", "/*")


def mutated(tokens, numbers):
    text, share = "", numbers.choice([0, 0.05, 0.4])
    for i, token in enumerate(tokens):
        gap = numbers.choice(GAPS if numbers.random() < share else PLAIN)
        if i and (joins(tokens[i - 1], token) if not gap else tokens[i - 1] + gap[0] in ("//", "/*")):
            gap = " " + gap
        text += gap + token
    return text + numbers.choice(ENDS)


def read(path):
    with open(path, encoding="utf-8", newline="") as file:
        return file.read()


def write(path, text):
    with open(path, "w", encoding="utf-8", newline="") as file:
        file.write(text)


def in_batches(paths):
    return [paths[i:i + 500] for i in range(0, len(paths), 500)]


def run(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode not in (0, 1):
        sys.exit(f"status {done.returncode}: {done.stderr.decode()[-2000:]}")
    return done


def format_all(mncc, paths):
    """Formats the files; returns those that were refused."""
    refused = set()
    for batch in in_batches(paths):
        errors = run(mncc, "fmt", "-i", *batch).stderr.decode(errors="replace")
        refused |= {path for path in batch if re.search(rf"^{re.escape(path)}:\d+:\d+: error", errors, re.MULTILINE)}
    return refused


def networks(mncc, folder, paths):
    """The network of each that compiles, by its file's name."""
    os.makedirs(folder, exist_ok=True)
    for batch in in_batches(paths):
        run(mncc, "--emit=network", *batch, "-o", folder + "/")
    return {name.rsplit(".", 1)[0]: read(os.path.join(folder, name)) for name in os.listdir(folder)}


def check(path, before):
    after = read(path)
    if pieces(before, "token") != pieces(after, "token"):
        sys.exit(f"{path}: the tokens have changed")
    if [re.sub(r"\s+", "", c) for c in pieces(before, "comment")] != [re.sub(r"\s+", "", c) for c in pieces(after, "comment")]:
        sys.exit(f"{path}: the comments have changed")
    if re.search(r"[ \t\r]\n", after):
        sys.exit(f"{path}: a line ends in white space")


def main():
    mncc, rounds, trees = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
    originals = sorted(os.path.join(place, name) for tree in trees for place, _, names in os.walk(tree)
                       for name in names if name.endswith(".mn"))
    refused = format_all(mncc, originals_copies(originals))
    texts, pairs = {}, []
    for n, original in enumerate(originals):
        copy = beside(original, f"before{n}")
        if copy in refused:
            if read(copy) != read(original):
                sys.exit(f"{copy}: refused, but changed")
            continue
        text = read(original)
        write(copy, text)
        variants = [text] + [mutated(pieces(text, "token"), random.Random(f"{os.path.basename(original)} {i}"))
                             for i in range(rounds)]
        for i, variant in enumerate(variants):
            path = beside(original, f"after{n}_{i}")
            write(path, variant)
            texts[path] = variant
            pairs.append((copy, path))
    if format_all(mncc, list(texts)):
        sys.exit("a text that parses is refused")
    for path, before in texts.items():
        check(path, before)
    for batch in in_batches(list(texts)):
        again = run(mncc, "fmt", "--check", *batch).stdout.decode()
        if again:
            sys.exit("formatted again they change:\n" + again)
    found = networks(mncc, os.path.join(trees[0], "networks"), sorted({path for pair in pairs for path in pair}))
    compiled = 0
    for pair in pairs:
        before, after = (found.get(os.path.basename(path).rsplit(".", 1)[0]) for path in pair)
        if before != after:
            sys.exit(f"{pair[1]}: another network than {pair[0]}")
        compiled += before is not None
    print(f"{len(texts)} texts formatted, {compiled} of them compiled, {len(refused)} files refused")


def beside(path, name):
    return os.path.join(os.path.dirname(path), name + ".mn")


def originals_copies(originals):
    copies = []
    for n, original in enumerate(originals):
        copies.append(beside(original, f"before{n}"))
        write(copies[-1], read(original))
    return copies


main()
