"""Compiles and runs what the pages show.

    check_docs.py --mncc PROGRAM --source FOLDER [--cc COMPILER] --work FOLDER PAGE ...

A page is Markdown. Of its fenced blocks, by the words behind the fence:

    mn             a network that must compile, to C, without a message
    mn flow        statements; they are compiled inside the network of WRAPPER below
    mn error       either of the two ("mn flow error") must fail; the block behind it, marked
                   `message`, is what mncc prints
    ... NAME.EXT   the block is also stored as NAME.EXT, for the commands that follow
    console        lines that start with "$ " are commands, run by sh in one folder per page, which
                   has the project's docs/ and examples/ in it; the other lines are what the command
                   prints, standard error included, and "exit status N" in the end if N is not 0
    console llvm   the same, left out if mncc was built without LLVM
    c quote FILE   lines of a file of the project

Other blocks are only read. In what is shown, a line "..." stands for one or more lines and ... within a line
for any text. A link to a file of the project must lead to one. Prints one line for each mistake; the exit
status is 1 if there was any."""

import argparse
import os
import re
import shutil
import subprocess
import sys

WRAPPER = """network example(alpha = 1) {
    input image: f32[16, 16, 8];
%s}
"""
FENCE = re.compile(r"^(\s*)```(.*)$")
LINK = re.compile(r"\]\(([^)#\s]+)(#[^)]*)?\)")
FILE_NAME = re.compile(r"^[A-Za-z0-9_-]+\.[a-z]+$")


class Block:
    def __init__(self, words, line):
        self.words = words
        self.line = line
        self.lines = []

    @property
    def text(self):
        return "".join(line + "\n" for line in self.lines)

    @property
    def kind(self):
        return self.words[0] if self.words else ""

    @property
    def file_name(self):
        names = [word for word in self.words if FILE_NAME.match(word)]
        return names[0] if names else None


class Page:
    """Blocks and links of one page, and the folder in which its commands run."""

    def __init__(self, path, options):
        self.path = path
        self.options = options
        self.mistakes = []
        self.blocks = []
        self.links = []
        self.read()
        self.folder = os.path.join(options.work, os.path.splitext(os.path.basename(path))[0])
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(self.folder)
        for name in ("docs", "examples", "runtime"):
            os.symlink(os.path.join(options.source, name), os.path.join(self.folder, name))
        tools = os.path.join(self.folder, ".tools")
        os.mkdir(tools)
        for name, program in (("mncc", options.mncc), ("cc", options.cc)):
            if program:
                os.symlink(program, os.path.join(tools, name))
        self.environment = dict(os.environ, LC_ALL="C", NO_COLOR="1")
        self.environment["PATH"] = os.pathsep.join([tools, os.environ["PATH"]])

    def read(self):
        block = None
        indent = ""
        with open(self.path, encoding="utf-8") as file:
            for number, line in enumerate(file.read().split("\n"), 1):
                fence = FENCE.match(line)
                if fence and block is None:
                    indent = fence.group(1)
                    block = Block(fence.group(2).split(), number)
                elif fence and not fence.group(2):
                    self.blocks.append(block)
                    block = None
                elif block is not None:
                    block.lines.append(line[len(indent):])
                else:
                    self.links += [(number, link.group(1)) for link in LINK.finditer(line)]
        if block is not None:
            self.mistake(block.line, "the block is not closed")

    def mistake(self, line, text):
        self.mistakes.append("%s:%d: %s" % (os.path.relpath(self.path, self.options.source), line, text))

    def run(self, command):
        result = subprocess.run(command, shell=isinstance(command, str), cwd=self.folder, env=self.environment,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                timeout=300)
        return result.returncode, result.stdout.decode("utf-8", "replace").splitlines()

    # ---- what is checked ----

    def check(self):
        for line, target in self.links:
            if "://" not in target and not os.path.exists(os.path.join(os.path.dirname(self.path), target)):
                self.mistake(line, "there is no file '%s'" % target)
        has_llvm = any("with LLVM" in line for line in self.run(["mncc", "--version"])[1])
        for i, block in enumerate(self.blocks):
            if block.file_name:
                with open(os.path.join(self.folder, block.file_name), "w", encoding="utf-8") as file:
                    file.write(block.text)
            if block.kind == "mn":
                self.check_network(block, self.blocks[i + 1] if i + 1 < len(self.blocks) else None)
            elif block.kind == "console" and (has_llvm or "llvm" not in block.words):
                self.check_console(block)
            elif "quote" in block.words:
                self.check_quote(block, block.words[-1])
            elif block.kind == "message" and (i == 0 or "error" not in self.blocks[i - 1].words):
                self.mistake(block.line, "a message without a network that fails")
        return self.mistakes

    def check_network(self, block, after):
        name = block.file_name or "example.mn"
        with open(os.path.join(self.folder, name), "w", encoding="utf-8") as file:
            file.write(WRAPPER % block.text if "flow" in block.words else block.text)
        status, lines = self.run(["mncc", name, "--weights", "random:1", "-o", "example.c"])
        if "error" not in block.words:
            if status or lines:
                self.mistake(block.line, "the network does not compile cleanly:\n    " + "\n    ".join(lines))
            return
        if status != 1:
            self.mistake(block.line, "exit status %d instead of 1:\n    %s" % (status, "\n    ".join(lines)))
        elif after is None or after.kind != "message":
            self.mistake(block.line, "a block with the message must follow")
        else:
            self.compare(after.line, after.lines, lines)

    def check_console(self, block):
        commands = []
        for number, line in enumerate(block.lines, block.line + 1):
            if line.startswith("$ "):
                commands.append((number, line[2:], []))
            elif commands:
                commands[-1][2].append(line)
            else:
                self.mistake(number, "output without a command")
        for number, command, shown in commands:
            status, lines = self.run(command)
            if status:
                lines = lines + ["exit status %d" % status]
            self.compare(number, shown, lines)

    def check_quote(self, block, name):
        with open(os.path.join(self.options.source, name), encoding="utf-8") as file:
            if not fits(["..."] + block.lines + ["..."], [""] + file.read().split("\n") + [""]):
                self.mistake(block.line, "these lines are not in %s" % name)

    def compare(self, line, shown, real):
        if not fits(shown, real):
            self.mistake(line, "what is shown differs from what is printed:\n    shown   | %s\n    printed | %s"
                         % ("\n            | ".join(shown), "\n            | ".join(real[:200])))


def fits(shown, real):
    """Whether `shown`, with its "...", can stand for the lines `real`."""
    reachable = {0}  # numbers of lines of `real` that the lines of `shown` so far can have used up
    for line in shown:
        if line.strip() == "...":
            reachable = set(range(min(reachable) + 1, len(real) + 1)) if reachable else set()
        else:
            reachable = {j + 1 for j in reachable if j < len(real) and fits_line(line, real[j])}
    return len(real) in reachable


def fits_line(shown, real):
    pattern = ".*".join(re.escape(part) for part in shown.rstrip().split("..."))
    return re.fullmatch(pattern, real.rstrip()) is not None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--mncc", required=True)
    parser.add_argument("--source", required=True)
    parser.add_argument("--work", required=True)
    parser.add_argument("--cc")
    parser.add_argument("pages", nargs="+")
    options = parser.parse_args()
    for name in ("mncc", "source", "work", "cc"):
        path = getattr(options, name)
        if path:
            setattr(options, name, os.path.abspath(shutil.which(path) or path))
    mistakes = []
    for path in options.pages:
        mistakes += Page(os.path.abspath(path), options).check()
    for mistake in mistakes:
        print(mistake)
    return 1 if mistakes else 0


if __name__ == "__main__":
    sys.exit(main())
