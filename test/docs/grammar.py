"""The grammar of a page, made from the grammar that bison reads.

    grammar.py --bison PROGRAM GRAMMAR.y            prints it
    grammar.py --bison PROGRAM GRAMMAR.y PAGE ...   compares it with what the pages show, indented by four; status 1 if they differ

bison says in XML what it has read. Rules with an error in them are left out; what repeats on the left becomes {x}, what may
be missing [x]; alternatives that begin and end alike are drawn together; a symbol with one short rule that is used once is
written in its place. Operators between two operands are in the order of their precedence, the loosest first."""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree

WIDTH = 100
# The nonterminals that keep their name though they are used only once, since a reader asks for them.
KEPT = {"file", "body", "item", "decl", "stage", "count", "param", "arg", "flow", "expr", "primary", "apply", "exprs"}
# Words for the tokens that are no fixed text.
TOKENS = {"a name": "NAME", "a string": "STRING", "a number": "NUMBER", "a kernel size": "KERNEL", "end of file": ""}


def read_grammar(bison, path):
    """symbol -> alternatives, each a list of symbols; and the precedence of each alternative, 0: none."""
    with tempfile.TemporaryDirectory() as folder:
        report = os.path.join(folder, "grammar.xml")
        subprocess.run([bison, "--xml=" + report, "-o", os.path.join(folder, "grammar.c"), path], check=True)
        root = ElementTree.parse(report).getroot().find("grammar")
    rules, tightness = {}, {}
    precedence = {plain(symbol.get("name")): int(symbol.get("prec", 0)) for symbol in root.find("terminals")}
    for rule in root.find("rules"):
        name = rule.find("lhs").text
        symbols = [plain(symbol.text) for symbol in rule.find("rhs").findall("symbol")]
        if name != "$accept" and "error" not in symbols:
            rules.setdefault(name, []).append(symbols)
            operators = [symbol for symbol in symbols if precedence.get(symbol)]
            tightness[name, tuple(symbols)] = precedence.get(plain(rule.get("percent_prec") or (operators or [""])[0]), 0)
    return rules, tightness


def plain(name):
    name = name.strip('"')
    return TOKENS.get(name, name)


# A rule is a list of alternatives; an alternative is a list of pieces; a piece is a symbol or ("[" or "{" or "(", rule).

def optional(rule):
    return ("[", rule)


def remove_left_recursion(name, rule):
    """a: x | a y  ->  a: x {y}; of several y: x {y | z}. A list that begins with one of what repeats: {y}."""
    again = [alternative[1:] for alternative in rule if alternative[:1] == [name]]
    first = [alternative for alternative in rule if alternative[:1] != [name]]
    if not again or any(name in alternative for alternative in again):
        return rule
    return [alternative + [("{", factored(again))] for alternative in first]


def common(alternatives, end):
    n = 0
    while all(len(a) > n for a in alternatives) and all(
            a[-1 - n if end else n] == alternatives[0][-1 - n if end else n] for a in alternatives):
        n += 1
    return n


def alike(a, b):
    """They begin alike, or one is the end of the other."""
    shorter = min(len(a), len(b))
    return shorter > 0 and (a[0] == b[0] or a[len(a) - shorter:] == b[len(b) - shorter:])


def factored(rule):
    """Draws together neighbours that are alike; what may be nothing is optional."""
    groups = []
    for alternative in rule:
        if groups and alike(groups[-1][0], alternative):
            groups[-1].append(alternative)
        else:
            groups.append([alternative])
    result = [together(group) for group in groups]
    if [] in result and len(result) > 1:
        result = [[optional([alternative for alternative in result if alternative])]]
    return result


def together(group):
    if len(group) == 1:
        return group[0]
    begin = common(group, False)
    rests = [alternative[begin:] for alternative in group]
    end = common(rests, True)
    middles = [rest[:len(rest) - end] for rest in rests]
    present = factored([middle for middle in middles if middle])
    if all(middles):
        piece = ("(", present)
    elif len(present) == 1 and len(present[0]) > 1 and present[0][-1] == ("{", [present[0][:-1]]):
        piece = present[0][-1]  # [x {x}] is {x}
    else:
        piece = optional(present)
    return group[0][:begin] + [piece] + (group[0][-end:] if end else [])


def is_binary(name, alternative):
    return len(alternative) == 3 and alternative[0] == alternative[2] == name


def with_precedence(name, rule, precedence):
    """e: e '+' e | e '-' e | e '*' e ...  ->  a line for each precedence, the loosest first, then the others."""
    levels = {}
    for alternative in rule:
        levels.setdefault(precedence[name, tuple(alternative)], []).append(alternative)
    others = levels.pop(0, [])
    return [alternative for _, level in sorted(levels.items()) for alternative in factored(level)] + others


def uses(rules, name):
    def count(rule):
        return sum(count(piece[1]) if isinstance(piece, tuple) else piece == name for alternative in rule for piece in alternative)
    return sum(count(rule) for rule in rules.values())


def substituted(rule, name, body):
    result = []
    for alternative in rule:
        pieces = []
        for piece in alternative:
            if isinstance(piece, tuple):
                pieces.append((piece[0], substituted(piece[1], name, body)))
            elif piece != name:
                pieces.append(piece)
            elif len(body) == 1:
                pieces += body[0]
            else:
                pieces.append(optional([a for a in body if a]) if [] in body else ("(", body))
        result.append(pieces)
    return result


def simplify(rules, precedence):
    for name in rules:
        rules[name] = remove_left_recursion(name, rules[name])
    for name in rules:
        binary = any(is_binary(name, alternative) for alternative in rules[name])
        rules[name] = with_precedence(name, rules[name], precedence) if binary else factored(rules[name])
    for name in [name for name in rules if name not in KEPT]:
        body = rules[name]
        if uses(rules, name) <= 2 and name not in str(body) and len(body) <= 2:
            del rules[name]
            for other in rules:
                inserted = substituted(rules[other], name, body)
                rules[other] = factored(inserted) if inserted != rules[other] else rules[other]
    return rules


def text_of(rule):
    return " | ".join(" ".join(piece_text(piece) for piece in alternative) for alternative in rule)


def piece_text(piece):
    if isinstance(piece, str):
        return piece
    kind, rule = piece
    return kind + text_of(rule) + {"[": "]", "{": "}", "(": ")"}[kind]


def page_lines(rules):
    left = max(len(name) for name in rules) + 2
    for name, rule in rules.items():
        alternatives = [text_of([alternative]) for alternative in rule]
        line = (name + ":").ljust(left)
        for i, alternative in enumerate(alternatives):
            begin = "" if i == 0 else " | "
            if i and len(line) + len(begin) + len(alternative) > WIDTH or (i and len(alternative) > 24):
                yield line
                line, begin = " " * (left - 2) + "| ", ""
            line += begin + alternative
        yield line


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bison", default="bison")
    parser.add_argument("grammar")
    parser.add_argument("pages", nargs="*")
    arguments = parser.parse_args()
    rules, precedence = read_grammar(arguments.bison, arguments.grammar)
    block = "".join("    " + line + "\n" for line in page_lines(simplify(rules, precedence)))
    if not arguments.pages:
        print(block, end="")
    status = 0
    for path in arguments.pages:
        with open(path, encoding="utf-8") as file:
            text = file.read()
        if block not in text:
            shown = re.search(r"(?:^    .*\n)*^    file: .*\n(?:^    .*\n)*", text, re.MULTILINE)
            print(f"{path}: the grammar is not that of {arguments.grammar}, which is\n\n{block}\nshown is\n\n{shown[0] if shown else ''}")
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
