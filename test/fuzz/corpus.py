#!/usr/bin/env python3
"""Gathers seeds for the fuzzers from the project's own tests and examples.

    corpus.py ROOT FOLDER        FOLDER/mn, FOLDER/mnl and FOLDER/safetensors

Of a network the fuzzer's first byte says how it is lowered. Comments are left out: they are
nothing to learn from."""

import json
import os
import re
import struct
import sys

MOST = 8000


def texts(root, suffix):
    for folder, folders, files in os.walk(root):
        folders[:] = [f for f in folders if not f.startswith((".", "build", "Output"))]
        for name in sorted(files):
            if name.endswith(suffix):
                with open(os.path.join(folder, name), "rb") as file:
                    yield file.read()


def without_comments(text):
    return re.sub(rb"//[^\n]*\n", b"\n", text).strip() + b"\n"


def safetensors(tensors, gap=0):
    header, data = {}, b""
    for name, (dtype, shape, values) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(values)]}
        data += values
    text = json.dumps(header).encode() + b" " * gap
    return struct.pack("<Q", len(text)) + text + data


def weights():
    floats = struct.pack("<6f", *range(6))
    yield safetensors({"a": ("F32", [2, 3], floats), "b": ("F64", [2], struct.pack("<2d", 1, 2))})
    yield safetensors({"a": ("F16", [2, 3], floats[:12]), "b": ("BF16", [2], floats[:4])}, 3)
    yield safetensors({"a": ("F32", [2, 3], floats), "b": ("F32", [2], floats[:8]),
                       "b.num_batches_tracked": ("I64", [], floats[:8])})
    yield safetensors({"__metadata__": ("I8", [], b"")})
    yield safetensors({})


SMALL = """network n() { input x: f32[12, 12, 8]; x -> conv(3x3, 16) -> relu -> depthwise(3x3) -> conv(1x1, 16, name = "a b")
 -> let t; add(t, t) -> maxpool(2x2) -> flatten -> dense(4) -> output y; }
"""
FILES = {
    "regions": """region conv0:2/weights:8 depthwise0:1 "a b":1/rows:4 // joined
region add0/whole/hwc
region maxpool0/channels:8/blocks:8 dense0
""".replace('"', ""),
    "schedule": """conv0: peel y; peel x; split x 4; split c 8; order c y x k x.i c.i; unroll x.i; vector c.i
a b: deal x 2; split c 4
""",
    "tuned": """target x86-64-v3, vectors of 32 bytes, 16 registers
conv | relu, 12x12x16 from 12x12x8, sums of 72: tile 4x2 // 0.1 ms
depthwise, 12x12x16 from 12x12x16, sums of 9: tile 3x1
network n, 6 operators, 100 multiply-accumulates, 1 thread
region conv0 depthwise0
""",
}


def write(folder, number, data):
    with open(os.path.join(folder, f"{number:04}"), "wb") as file:
        file.write(data)


def main():
    root, out = sys.argv[1:]
    for kind in "mn", "mnl", "safetensors":
        os.makedirs(os.path.join(out, kind), exist_ok=True)
    networks = [without_comments(t) for t in texts(root, ".mn")]
    networks = [t for t in networks if len(t) <= MOST]
    for i, text in enumerate(networks):
        write(os.path.join(out, "mn"), i, b"0123"[i % 4:i % 4 + 1] + text)
    for i, (kind, text) in enumerate(FILES.items(), len(networks)):
        write(os.path.join(out, "mn"), i, f"2{SMALL}//# {kind}\n{text}".encode())
    for i, text in enumerate(t for t in texts(root, ".mnl") if len(t) <= MOST):
        write(os.path.join(out, "mnl"), i, text)
    for i, data in enumerate(weights()):
        write(os.path.join(out, "safetensors"), i, data)


main()
