#!/usr/bin/env python3
"""Compares networks with PyTorch.

    against_torch.py --mncc=MNCC --work=DIR [--bound=1e-5] NET.mn 'NET.mn --alpha 1/4' ...

A network may be followed by options for mncc, the whole quoted. For each, mncc writes the PyTorch
module; random weights are loaded into it and written as safetensors; then the module, the
reference evaluator and the compiled code (mncc run) get the same random inputs. Every output of
the latter two must equal PyTorch's within the bound.

The bound is on the largest difference over all elements, divided by the largest magnitude of
PyTorch's output. A float has 24 bits, so rounding once costs 6e-8, and the sum of a few hundred
products, in whatever order, less than 1e-5: the bound for single operators. Whole networks add
such errors up over some tens of layers; theirs is 1e-4. A wrong tap, weight or border shows as
1e-2 and more, since the inputs and weights are random."""

import argparse
import importlib.util
import inspect
import json
import os
import re
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools"))

import numpy as np  # noqa: E402
import torch  # noqa: E402

from networks import Failure, network_and_options, report, run  # noqa: E402


def load_module(path):
    """The class of the one torch module in the file, made and ready to evaluate."""
    spec = importlib.util.spec_from_file_location("generated", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    classes = [c for _, c in inspect.getmembers(module, inspect.isclass)
               if c.__module__ == "generated"]
    if len(classes) != 1:
        raise Failure(f"{path} defines {len(classes)} classes, not one")
    return classes[0]().eval()


def randomise(net, numbers):
    """Weights that keep activations near 1, and batch normalisations that do something."""
    normal_of = {id(p): m for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d)
                 or isinstance(m, torch.nn.BatchNorm1d)
                 for p in list(m.parameters()) + list(m.buffers())}
    state = net.state_dict(keep_vars=True)
    for name, tensor in state.items():
        kind, shape = name.split(".")[-1], tuple(tensor.shape)
        if kind == "num_batches_tracked":
            continue
        if kind == "running_var" or (kind == "weight" and id(tensor) in normal_of):
            values = numbers.uniform(0.5, 1.5, shape)
        elif kind == "weight":
            values = numbers.normal(0, 1.4 / np.sqrt(np.prod(shape[1:])), shape)
        else:
            values = numbers.normal(0, 0.5, shape)
        tensor.data.copy_(torch.from_numpy(values.astype(np.float32)))
    return {name: tensor for name, tensor in state.items()
            if not name.endswith("num_batches_tracked")}


def write_safetensors(path, state):
    header, data = {}, []
    offset = 0
    for name, tensor in state.items():
        values = tensor.detach().numpy().astype("<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": list(tensor.shape),
                        "data_offsets": [offset, offset + len(values)]}
        data.append(values)
        offset += len(values)
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(data))


def input_shapes(mncc, file, arguments):
    """Name, type and dimensions of each input, from the network as mncc has expanded it."""
    text = run([mncc, file] + arguments + ["--emit=network"])
    found = re.findall(r"^ *input (\w+): (f32|u8)\[([0-9, ]+)\];", text, re.M)
    return [(name, elem, [int(dim) for dim in dims.split(",")]) for name, elem, dims in found]


def load_outputs(path, names):
    if len(names) == 1:
        return [np.load(path)]
    return [np.load(f"{path[:-4]}.{name}.npy") for name in names]


def compare(options, text, work):
    """Prints the largest differences; failures as texts."""
    os.makedirs(work, exist_ok=True)
    file, arguments = network_and_options(text)
    at = lambda name: os.path.join(work, name)  # noqa: E731
    numbers = np.random.RandomState(options.seed)
    run([options.mncc, file] + arguments + ["--emit=pytorch", "-o", at("net.py")])
    net = load_module(at("net.py"))
    weights = ["--weights", at("net.safetensors")]
    write_safetensors(at("net.safetensors"), randomise(net, numbers))

    command = [options.mncc, "run", file] + arguments + weights
    inputs = []
    for name, elem, dims in input_shapes(options.mncc, file, arguments):
        inputs.append(numbers.normal(0, 2, dims).astype(np.float32) if elem == "f32" else
                      numbers.randint(0, 256, dims).astype(np.uint8))
        np.save(at(f"in.{name}.npy"), inputs[-1])
        command += ["--input", at(f"in.{name}.npy")]
    if not inputs:
        raise Failure("no input found in --emit=network")
    with torch.no_grad():
        expected = net(*[torch.from_numpy(x)[None] for x in inputs])

    failures, worst = [], []
    ways = [("evaluator", ["--evaluate"])] + ([] if options.no_llvm else [("compiled", [])])
    for way, extra in ways:
        run(command + extra + ["-o", at(f"{way}.npy")])
        worst.append(0.0)
        for (name, want), got in zip(expected.items(), load_outputs(at(f"{way}.npy"), expected)):
            want = want[0].numpy()
            if want.shape != got.shape:
                failures.append(f"{text}: {way}: {name} has shape {got.shape}, not {want.shape}")
                continue
            largest = np.abs(want).max()
            difference = np.abs(got.astype(np.float64) - want).max() / (largest or 1)
            worst[-1] = max(worst[-1], difference)
            if not difference <= options.bound:
                failures.append(f"{text}: {way}: {name} differs by {difference:.2g} of "
                                f"{largest:.3g}, more than {options.bound:g}")
    figures = ", ".join(f"{way} {w:.2g}" for (way, _), w in zip(ways, worst))
    print(f"{' '.join([os.path.basename(file)] + arguments)}: {figures}", flush=True)
    return failures


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mncc", required=True)
    parser.add_argument("--work", required=True, help="folder for all that is written")
    parser.add_argument("--bound", type=float, default=1e-5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-llvm", action="store_true", help="mncc was built without LLVM")
    parser.add_argument("networks", nargs="+")
    options = parser.parse_args()
    torch.set_num_threads(1)
    failures = []
    for i, text in enumerate(options.networks):
        try:
            failures += compare(options, text, os.path.join(options.work, str(i)))
        except Failure as failure:
            failures.append(f"{text}: {failure}")
    return report(failures, f"{len(options.networks)} networks agree with PyTorch within "
                            f"{options.bound:g}")


if __name__ == "__main__":
    sys.exit(main())
