#!/usr/bin/env python3
"""The digits example on its held-out images: PyTorch, the C that mncc writes and mncc's object.

    digits_accuracy.py --mncc=MNCC --cc=gcc --digits=examples/digits --work=DIR

The module that mncc writes takes the committed weights as they are. All must recognise the same
digits, at least 97 % of them; C and object must give the same bits, and logits within 1e-5 of
PyTorch's relative to the greatest (see against_torch.py)."""

import argparse
import ctypes
import json
import os
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools"))

import numpy as np  # noqa: E402
import torch  # noqa: E402

from against_torch import load_module  # noqa: E402
from networks import PREFIX, Failure, report, run  # noqa: E402

FLOOR, BOUND, CLASSES = 0.97, 1e-5, 10


def read_safetensors(path):
    with open(path, "rb") as file:
        data = file.read()
    length = struct.unpack("<Q", data[:8])[0]
    tensors = {}
    for name, entry in json.loads(data[8:8 + length]).items():
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        values = np.frombuffer(data[begin:end], "<f4").reshape(entry["shape"])
        tensors[name] = torch.from_numpy(values.copy())
    return tensors


def logits_of_torch(net, weights, images):
    missing, unexpected = net.load_state_dict(weights, strict=False)
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    if missing or unexpected:
        raise Failure(f"the weights lack {missing} and have {unexpected}")
    with torch.no_grad():
        return net(torch.from_numpy(images))["logits"].numpy()


def logits_of_library(path, arena_bytes, images):
    pointer = ctypes.POINTER(ctypes.c_float)
    function = getattr(ctypes.CDLL(path), f"{PREFIX}_run")
    function.restype, function.argtypes = None, [ctypes.c_void_p] + [pointer] * 3
    memory = ctypes.create_string_buffer(arena_bytes + 64)
    arena = (ctypes.addressof(memory) + 63) // 64 * 64
    logits = np.empty((len(images), CLASSES), np.float32)
    scores = np.empty(CLASSES, np.float32)
    for image, row in zip(images, logits):
        function(arena, *(x.ctypes.data_as(pointer) for x in (np.ascontiguousarray(image), row, scores)))
    return logits


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mncc", required=True)
    parser.add_argument("--cc", default="gcc")
    parser.add_argument("--digits", required=True, help="the folder of the example")
    parser.add_argument("--work", required=True)
    options = parser.parse_args()
    os.makedirs(options.work, exist_ok=True)
    at = lambda name: os.path.join(os.path.abspath(options.work), name)  # noqa: E731
    sys.path.insert(0, options.digits)
    from train import load  # the images and the split that it was trained with

    images, labels, held_out = load()
    images, labels = np.ascontiguousarray(images[held_out]), labels[held_out]
    network = os.path.join(options.digits, "digits.mn")
    run([options.mncc, network, "--emit=pytorch", "-o", at("digits_net.py")])
    mncc = [options.mncc, network, "--prefix", PREFIX]
    run(mncc + ["-o", at("model.c")])
    run([options.cc, "-O2", "-shared", "-fPIC", at("model.c"), "-o", at("c.so")])
    header = open(at("model.h")).read()
    arena_bytes = int(header.split(f"#define {PREFIX.upper()}_ARENA_BYTES ")[1].split()[0])
    os.makedirs(at("object"), exist_ok=True)
    run(mncc + ["-c", "-o", at("object/model.o")])
    run([options.cc, "-shared", at("object/model.o"), "-o", at("llvm.so")])

    weights = read_safetensors(os.path.join(options.digits, "digits.safetensors"))
    logits = {"PyTorch": logits_of_torch(load_module(at("digits_net.py")), weights, images),
              "C": logits_of_library(at("c.so"), arena_bytes, images),
              "LLVM": logits_of_library(at("llvm.so"), arena_bytes, images)}
    failures = []
    right = {name: int((x.argmax(1) == labels).sum()) for name, x in logits.items()}
    print(f"right of {len(labels)}: {right}")
    if min(right.values()) < FLOOR * len(labels):
        failures.append(f"accuracy below {FLOOR:.0%}")
    want = logits["PyTorch"]
    for name in "C", "LLVM":
        difference = np.abs(logits[name] - want).max() / np.abs(want).max()
        print(f"{name}: logits within {difference:.2g} of PyTorch's")
        if not difference <= BOUND:
            failures.append(f"{name}: logits differ from PyTorch's by more than {BOUND:g}")
        if (logits[name].argmax(1) != want.argmax(1)).any():
            failures.append(f"{name} and PyTorch recognise different digits")
    if logits["C"].tobytes() != logits["LLVM"].tobytes():
        failures.append("C and object differ")
    return report(failures, "the digits agree")


if __name__ == "__main__":
    sys.exit(main())
