"""PyTorch's side of the comparison: apart, because loading it takes seconds."""

import array
import json
import os
import struct
import sys
import warnings

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "reference"))

import numpy as np  # noqa: E402
import torch  # noqa: E402

from against_torch import load_module, randomise, write_safetensors  # noqa: E402

torch.set_num_threads(1)


def run_torch(subject):
    """Random weights, which the other ways take from then on, and PyTorch's outputs."""
    numbers = np.random.RandomState(subject.data_seed)
    try:
        net = load_module(subject.at("net.py"))
        weights = randomise(net, numbers)
        inputs = [torch.from_numpy(np.array(values, np.uint8 if port.elem == "u8" else np.float32).reshape([1] + port.dims))
                  for port, values in zip(subject.ports[0], subject.data)]
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = net(*inputs)
    except Exception as problem:  # whatever a wrong module raises
        subject.note("PyTorch", None, f"{type(problem).__name__}: {problem}")
        return
    write_safetensors(subject.at("net.safetensors"), weights)
    subject.weights = ["--weights", subject.at("net.safetensors")]
    outputs, found = subject.ports[1], []
    if len(expected) != len(outputs):
        subject.note("PyTorch", None, f"the outputs are {list(expected)}")
        return
    for port, (name, values) in zip(outputs, expected.items()):
        if list(values[0].shape) != port.dims:
            subject.note("PyTorch", None, f"{name} has shape {list(values[0].shape)}, not {port.dims}")
            return
        kind, dtype = ("i", np.int32) if port.elem == "i32" else ("f", np.float32)
        found.append(array.array(kind, values[0].contiguous().numpy().astype(dtype).tobytes()))
    subject.torch = found


def changed(path, share):
    """The weights, each more or less by this share, in a file beside."""
    with open(path, "rb") as file:
        data = file.read()
    length = struct.unpack("<Q", data[:8])[0]
    json.loads(data[8:8 + length])
    values = np.frombuffer(data[8 + length:], "<f4")
    signs = np.random.RandomState(1).choice([-1, 1], len(values))
    with open(path + ".changed", "wb") as file:
        file.write(data[:8 + length] + (values * (1 + share * signs)).astype("<f4").tobytes())
    return path + ".changed"
