"""The rules of the house that no compiler checks.

    lint.py ROOT          prints FILE:LINE: what is wrong, for each breach; status 1 if there was one
    lint.py --self-test   breaks each rule on purpose and sees that it is noticed, and only then

A rule is a function from a file's path and text to (line, message) pairs; RULES lists them. What
else may happen to the project, such as its build folders, is not looked at."""

import os
import re
import sys

LLVM_FILES = {"compiler/target/emit_llvm.c", "compiler/target/llvm_emitter.h", "compiler/target/llvm_entry.c", "compiler/target/object.c", "compiler/target/jit.c"}

# Words that are an operator's name and something else as well, which is what they are there.
OTHER_WORDS = {
    ("compiler/network/apply.c", "add"): "the operator that + between tensors stands for",
    ("compiler/network/apply.c", "sub"): "the operator that - between tensors stands for",
    ("compiler/network/apply.c", "mul"): "the operator that * between tensors stands for",
    ("compiler/weights/recipe.c", "add"): "a sum of numbers",
    ("compiler/weights/recipe.c", "sub"): "a difference of numbers",
    ("compiler/weights/recipe.c", "mul"): "a product of numbers",
    ("compiler/weights/recipe.c", "reshape"): "the same numbers in another shape",
    ("compiler/weights/recipe.c", "pad"): "the same numbers and zeros",
    ("compiler/loop/loop.h", "add"): "a sum of numbers",
    ("compiler/loop/loop.h", "sub"): "a difference of numbers",
    ("compiler/loop/loop.h", "mul"): "a product of numbers",
    ("compiler/commands/cost.c", "depthwise"): "a kind of cost in the report",
    ("compiler/commands/cost.c", "dense"): "a kind of cost in the report",
    ("compiler/options.c", "pad"): "a value of --fit",
}

MAX_LINES = 900
# Longer than they should be. The limit of each may be lowered, and goes once the file is split.
LONG_FILES = {}

TEST_SUFFIXES = (".mn", ".mnl", ".test")
KEYWORDS = {"RUN", "REQUIRES", "UNSUPPORTED", "XFAIL", "DEFINE", "REDEFINE", "END"}
CHECK_SUFFIX = r"-(?:NEXT|SAME|NOT|DAG|LABEL|EMPTY|COUNT-\d+)"


def is_source(path):
    return path.startswith(("compiler/", "runtime/", "grammar/", "examples/")) or (
        path.startswith("test/") and path.endswith((".c", ".h", ".py", ".sh")))


def is_c(path):
    return path.startswith("compiler/") and path.endswith((".c", ".h"))


def is_test(path):
    return path.startswith("test/") and path.endswith(TEST_SUFFIXES) and "/Inputs/" not in path


def lines(text):
    return enumerate(text.split("\n"), 1)


def without_comments(text):
    """The same lines, with comments blank."""
    return re.sub(r"/\*.*?\*/|//[^\n]*", lambda m: re.sub(r"[^\n]", " ", m.group()), text,
                  flags=re.S)


# ---- rules ----

def llvm_stays_in_its_files(path, text, operators):
    if not is_c(path) or path in LLVM_FILES:
        return
    for n, line in lines(text):
        if re.match(r'\s*#\s*include\s*[<"]llvm', line):
            yield n, "only " + ", ".join(sorted(LLVM_FILES)) + " include LLVM's headers"


def operators_are_not_named(path, text, operators):
    if not is_c(path) or path.startswith("compiler/ops/"):
        return
    names = "|".join(map(re.escape, operators))
    for n, line in lines(without_comments(text)):
        for match in re.finditer(r'\bop_(%s)\b|"(%s)"' % (names, names), line):
            if (path, match.group(2)) not in OTHER_WORDS:
                yield n, "names the operator %s; ask for a property of OpDef" % match.group()


def tests_run(path, text, operators):
    if not path.startswith("test/") or path.endswith((".py", ".md", ".txt", ".in")):
        return
    has_run = False
    for n, line in lines(text):
        has_run |= "RUN:" in line and is_test(path)
        run = re.match(r"\s*(//|#|;|/\*)\s*(RUNS?|RNU|Run)\b(:?)", line)
        if not run:
            continue
        if is_test(path) and (run.group(2) != "RUN" or not run.group(3)):
            yield n, "a line to run begins with 'RUN:'"
        if not is_test(path) and run.group(2) == "RUN" and run.group(3):
            yield n, "lit does not look at this file: a test ends in " + ", ".join(TEST_SUFFIXES)
    if is_test(path) and not has_run:
        yield 1, "a test without a RUN line"


def prefixes(text):
    """The FileCheck prefixes that the RUN lines ask for."""
    run = re.sub(r"\\\n\s*(//|#|;)?\s*RUN:", " ", text)
    found = set()
    for line in run.split("\n"):
        if "RUN:" not in line:
            continue
        for call in re.split(r"[|;&]", line.split("RUN:", 1)[1]):
            if not re.search(r"\bFileCheck\b", call):
                continue
            given = re.findall(r"--?check-prefix(?:es)?[= ]\s*([\w,-]+)", call)
            for names in given:
                found.update(names.split(","))
            if not given:
                found.add("CHECK")
    return found


def check_lines_are_read(path, text, operators):
    if not is_test(path):
        return
    known = prefixes(text)
    exact = re.compile(r"(?:%s)(?:%s)?$" % ("|".join(map(re.escape, known)) or "(?!)", CHECK_SUFFIX))
    for n, line in lines(text):
        match = re.match(r"\s*(?://|#|;)\s*([A-Z][A-Z0-9_-]*[A-Z0-9])\s*(:?)", line)
        if not match:
            continue
        word, colon = match.groups()
        if match.group().endswith(word + ":"):
            # Without FileCheck other readers may have words of their own.
            if word not in KEYWORDS and not exact.match(word) and (known or "CHECK" in word):
                yield n, "no RUN line reads '%s:'" % word
        elif exact.match(word) and (colon or re.search(CHECK_SUFFIX + "$", word) or word == "CHECK"):
            yield n, "'%s' needs its colon at once" % word


def something_must_appear(path, text, operators):
    if not is_test(path):
        return
    for prefix in sorted(prefixes(text)):
        kinds = re.findall(r"(?<![\w-])%s(%s)?:" % (re.escape(prefix), CHECK_SUFFIX), text)
        if kinds and all(kind == "-NOT" for kind in kinds):
            yield 1, "all that is checked by '%s' is that something is absent" % prefix


def no_machine_paths(path, text, operators):
    # In two pieces, or this line would be one.
    pattern = re.compile(r"(?<![\w.$}/~-])/(?:" + "work|home|root" + r")/")
    for n, line in lines(text):
        if pattern.search(line):
            yield n, "a path of one machine's"


def sources_are_short(path, text, operators):
    if not is_source(path) or not path.endswith((".c", ".h", ".y", ".l", ".py")):
        return
    count = text.count("\n")
    limit = LONG_FILES.get(path, MAX_LINES)
    if count > limit:
        yield count, "%d lines; %d is the most" % (count, limit)
    elif path in LONG_FILES and count <= MAX_LINES:
        yield count, "no longer long: take it off LONG_FILES"


def no_tabs(path, text, operators):
    name = os.path.basename(path)
    if name == "Makefile" or not is_source(path) and name not in ("CMakeLists.txt", "CMakePresets.json"):
        return
    if os.path.basename(path) == "Makefile":
        return  # make asks for them
    for n, line in lines(text):
        if "\t" in line:
            yield n, "a tab"


def merges_are_done(path, text, operators):
    for n, line in lines(text):
        if re.match(r"(<{7}|>{7}) ", line):
            yield n, "a merge that was left undone"


RULES = [llvm_stays_in_its_files, operators_are_not_named, tests_run, check_lines_are_read,
         something_must_appear, no_machine_paths, sources_are_short, no_tabs, merges_are_done]


# ---- running them ----

def operator_names(ops_def):
    return re.findall(r"^OP\((\w+)\)", ops_def, flags=re.M)


def project_files(root):
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(f for f in folders
                            if f not in (".git", "__pycache__") and not f.startswith("build"))
        for name in sorted(names):
            if name == ".git":  # a worktree's: a file that says where the repository is
                continue
            path = os.path.join(folder, name)
            if os.path.isfile(path) and name != ".git" and not name.endswith((".safetensors", ".pgm", ".pyc")):
                yield os.path.relpath(path, root).replace(os.sep, "/"), path


def lint(root):
    with open(os.path.join(root, "compiler/ops/ops.def"), encoding="utf-8") as file:
        operators = operator_names(file.read())
    breaches = seen = 0
    for path, full in project_files(root):
        with open(full, encoding="utf-8", errors="replace") as file:
            text = file.read()
        seen += 1
        for rule in RULES:
            for n, message in rule(path, text, operators):
                print("%s:%d: %s" % (path, n, message))
                breaches += 1
    # A word that is gone would hide the next one.
    for path, word in OTHER_WORDS:
        full = os.path.join(root, path)
        if not os.path.exists(full) or '"%s"' % word not in open(full, encoding="utf-8").read():
            print("%s: no \"%s\" any more: take it off OTHER_WORDS" % (path, word))
            breaches += 1
    print("%d files, %d breaches of %d rules" % (seen, breaches, len(RULES)))
    return breaches != 0 or seen < 10 or not operators


# (rule, path, text, the lines it must name)
SAMPLES = [
    (llvm_stays_in_its_files, "compiler/graph/a.c", "#include <stdio.h>\n # include <llvm-c/Core.h>\n", [2]),
    (llvm_stays_in_its_files, "compiler/target/jit.c", "#include <llvm-c/Core.h>\n", []),
    (operators_are_not_named, "compiler/graph/a.c", "x == &op_conv;\nfind(\"conv\");\n// \"conv\"\n", [1, 2]),
    (operators_are_not_named, "compiler/graph/a.c", "op_conv2; \"convex\"; op_find(name);\n", []),
    (operators_are_not_named, "compiler/ops/a.c", "x == &op_conv;\n", []),
    (operators_are_not_named, "compiler/loop/loop.h", "X(ADD, \"add\", 2)\nop_add\n", [2]),
    (tests_run, "test/a/b.mn", "// RUN %mncc\n", [1, 1]),
    (tests_run, "test/a/b.mn", "network t() {}\n", [1]),
    (tests_run, "test/a/b.c", "int x;\n// RUN: %cc %s\n", [2]),
    (tests_run, "test/a/b.mn", "// RUN: %mncc %s\n", []),
    (tests_run, "test/a/b.mn", "// RUN: %mncc %s\n// Run: %mncc %s\n", [2]),
    (tests_run, "test/a/b.sh", "# run.sh RUN\n", []),
    (tests_run, "test/a/Inputs/b.mn", "network t() {}\n", []),
    (check_lines_are_read, "test/a/b.mn", "// RUN: x | FileCheck %s\n// CHEKC: a\n// CHECK: b\n// NAME-NEXT: c\n", [2, 4]),
    (check_lines_are_read, "test/a/b.mn", "// RUN: x | FileCheck %s\n// CHECK-NXT: a\n// CHECK-NEXT a\n// CHECK a\n// CHECK : a\n", [2, 3, 4, 5]),
    (check_lines_are_read, "test/a/b.mn", "// RUN: x | FileCheck --check-prefix=NAME %s\n// NAME-DAG: a\n// CHECK: a\n// A comment: b\n", [3]),
    (check_lines_are_read, "test/a/b.mn", "// RUN: x | \\\n// RUN: FileCheck -check-prefixes A1,B-C %s\n// A1: a\n// B-C-COUNT-2: a\n// REQUIRES: llvm\n", []),
    (check_lines_are_read, "test/a/b.mn", "// RUN: x\n// CHECK: a\n// INPUT: a\n", [2]),
    (something_must_appear, "test/a/b.mn", "// RUN: x | FileCheck %s\n// CHECK-NOT: a\n", [1]),
    (something_must_appear, "test/a/b.mn", "// RUN: x | FileCheck %s\n// CHECK: b\n// CHECK-NOT: a\n", []),
    (something_must_appear, "test/a/b.mn", "// RUN: x | FileCheck %s\n// RUN: x | FileCheck --check-prefix=NO %s\n// CHECK: b\n// NO-NOT: a\n", [1]),
    (no_machine_paths, "README.md", "cd " + "/ho" + "me/me/mncc\n", [1]),
    (no_machine_paths, "README.md", "a frame/wo" + "rk/load, $x/ro" + "ot/y and the /usr/bin\n", []),
    (sources_are_short, "compiler/a/b.c", "x;\n" * (MAX_LINES + 1), [MAX_LINES + 1]),
    (sources_are_short, "compiler/a/b.c", "x;\n" * MAX_LINES, []),
    (sources_are_short, sorted(LONG_FILES)[0] if LONG_FILES else "compiler/a.c", "x;\n", [1] if LONG_FILES else []),
    (merges_are_done, "docs/a.md", "a\n" + "<" * 7 + " HEAD\nb\n=======\nc\n" + ">" * 7 + " 1 (c)\n", [2, 6]),
    (no_tabs, "compiler/a/b.c", "int\tx;\n", [1]),
    (no_tabs, "test/scan/blanks.mn", "a\tb\n", []),
]


def self_test():
    failures = 0
    fired = set()
    for rule, path, text, expected in SAMPLES:
        found = [n for n, _ in rule(path, text, ["conv", "add"])]
        if found:
            fired.add(rule)
        if found != expected:
            print("%s on %s %r: lines %s, not %s" % (rule.__name__, path, text[:60], expected, found))
            failures += 1
    for rule in RULES:
        if rule not in fired:
            print("%s: no sample breaks it" % rule.__name__)
            failures += 1
    return failures != 0


if len(sys.argv) != 2:
    sys.exit("usage: lint.py ROOT | --self-test")
sys.exit(self_test() if sys.argv[1] == "--self-test" else lint(sys.argv[1]))
