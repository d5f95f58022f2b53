#!/usr/bin/env python3
"""Writes networks that ask for too much, NAME.mn each, into the folder that is named."""

import os
import sys

MILLION = "a" * 1000000


def network(items, params=""):
    return f"network n({params}) {{ input x: f32[4];\n{items}\n}}\n"


def flow(text):
    return network(f"x -> {text} -> output y;")


NETWORKS = {
    "name": flow(MILLION),
    "name-twice": network(f"block {MILLION}() {{ relu; }} x -> {MILLION} * 10000 -> output y;"),
    "name-string": flow(f'relu(name = "{MILLION}") * 10000'),
    "file": f'include "{MILLION}";\n' + flow("relu"),
    "path": network("".join(f"block {c * 190}() {{ {chr(ord(c) + 1) * 190}; }}\n"
                            for c in "abcdefghijklmnop") + f"block {'q' * 190}() {{ relu; }}\n"
                    f"x -> {'a' * 190} -> output y;"),
    "flow": flow(" -> ".join(["relu"] * 200000)),
    "repeat": flow("relu * 1000000000"),
    "repeats": network("block a() { in -> relu * 10000; } block b() { in -> a * 10000; }\n"
                       "x -> b * 10000 -> output y;"),
    "blocks": network("".join(f"block b{i}() {{ in -> b{i + 1} -> b{i + 1}; }}\n" for i in range(60)) +
                      "block b60() { in -> relu * 0; }\nx -> b0 -> output y;"),
    "functions": network("".join(f"fn f{i}() = f{i + 1}() + f{i + 1}();\n" for i in range(60)) +
                         "fn f60() = 1;\nx -> dense(f0()) -> output y;"),
    "lists": network("fn l0() = [1];" + "".join(f"fn l{i + 1}() = [l{i}(), l{i}()];\n"
                                                for i in range(40)) +
                     "x -> reshape(l40()) -> output y;"),
    "braces": flow("if (true) { " * 3000 + "relu;" + "}" * 3000),
    "parentheses": flow("dense(" + "(" * 100000 + "4" + ")" * 100000 + ")"),
    "not": flow("if (" + "not " * 500000 + "true) { relu; }"),
    "sum": network("x" + " + x" * 20000 + " -> output y;"),
    "digits": flow("dense(" + "1" * 1000000 + ")"),
    "input": "network n() { input x: f32[100000, 100000]; x -> relu -> output y; }",
    "rows": "network n() { input x: f32[100000000, 1, 1]; x -> conv(3x1, 1) -> output y; }",
    "tensor": "network n() { input x: f32[40000, 40000, 1]; x -> conv(1x1, 2000) -> output y; }",
    "weights": "network n() { input x: f32[1, 1, 40000]; x -> conv(1x1, 2000000) -> output y; }",
    "numbers": "network n() { input x: f32[4] (mean = [" + "1, " * 200000 + "]); x -> relu -> output y; }",
    "bytes": flow("relu") + " " * (17 << 20),
    "warnings": network("".join(f"x -> relu -> let a{i};\n" for i in range(20000)) + "x -> relu -> output y;"),
    "ports": "network n() {\n" + "".join(f"input x{i}: f32[4];\n" for i in range(20000)) +
             "".join(f"x{i} -> relu -> output y{i};\n" for i in range(20000)) + "}",
}


def main():
    for name, text in NETWORKS.items():
        with open(os.path.join(sys.argv[1], name + ".mn"), "w") as file:
            file.write(text)


main()
