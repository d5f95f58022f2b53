"""Prepares a folder with one network in all forms that competitors read."""

import hashlib
import json
import os
import re
import subprocess

import numpy as np

import formats
import network


HERE = os.path.dirname(os.path.abspath(__file__))
RUNTIME = os.path.join(HERE, "..", "..", "runtime")


class Unavailable(Exception):
    """Something cannot be built here; the text says what."""


def run(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)
    if done.returncode != 0:
        raise Unavailable(f"exit status {done.returncode}: {' '.join(command)}\n{done.stdout}")
    return done.stdout


def prepare(folder, source, options, tools, seed=1):
    """Weights, input, expected outputs and the peers' models. `options` are mncc's, for parameters.
    A peer's model is left out where the package that writes it is not installed."""
    os.makedirs(folder, exist_ok=True)
    at = lambda name: os.path.join(folder, name)  # noqa: E731
    mncc = [tools.mncc, source] + options
    net = network.read(run(mncc + ["--emit=network"]))
    parameters = network.random_parameters(net, seed)
    formats.write_safetensors(at("net.safetensors"), parameters)
    image = np.random.RandomState(seed).normal(0, 1, net.shape).astype(np.float32)
    np.save(at("input.npy"), image)
    evaluate(at, [tools.mncc, "run", source] + options, net)
    steps, outputs = network.fold(net, parameters)
    blobs = formats.write_ncnn(at("model"), net, steps, outputs)
    for write, name in ((formats.write_onnx, "model.onnx"), (write_tflite, "model.tflite")):
        try:
            write(at(name), net, steps, outputs)
        except ImportError:
            pass  # the peer that reads it is missing too, and says so itself
    cost = json.loads(run([tools.mncc, "cost", source] + options + ["--format=json"]))
    about = {"name": net.name, "input": net.input, "macs": cost["total"]["macs"],
             "outputs": {name: {"tensor": outputs[name], "blob": blobs[name],
                                "first": formats.channels_first(net.shapes[tensor]),
                                "elems": int(np.prod(net.shapes[tensor]))}
                         for name, tensor in net.outputs.items()}}
    with open(at("network.json"), "w") as file:
        json.dump(about, file, indent=1)
    return about


def write_tflite(*arguments):
    import tflite_file

    tflite_file.write_tflite(*arguments)


def evaluate(at, command, net):
    """The outputs as mncc's reference evaluator has them: plain loops, sums in double."""
    run(command + ["--weights", at("net.safetensors"), "--input", at("input.npy"), "--evaluate", "-o", at("want.npy")])
    if len(net.outputs) == 1:
        os.replace(at("want.npy"), at(f"want.{next(iter(net.outputs))}.npy"))


# ---- mncc ----


def is_current(stem, about, sources):
    """Whether STEM.so was built by the same commands from the same weights and is newer than what it is made of."""
    try:
        with open(stem + ".json") as file:
            old = json.load(file)
        built = os.path.getmtime(stem + ".so")
        return (all(old[key] == value for key, value in about.items())
                and all(built > os.path.getmtime(path) for path in sources))
    except (OSError, KeyError, ValueError):
        return False


def build_mncc(folder, form, source, options, tools, threads):
    """A shared object of the form `gcc`, `clang` (from C) or `object` (mncc's own), for so many threads,
    with the runtime in it. The weights are a file of their own, which the runtime loads into large pages."""
    stem = os.path.join(folder, f"mncc-{form}-{threads}")
    command = [tools.mncc, source] + options + ["--target=" + tools.target, "--prefix=net",
                                                "--weights", os.path.join(folder, "net.safetensors"), "--weights-as=blob"]
    if threads > 1:
        command.append(f"--threads={threads}")
    runtime = ["-I" + RUNTIME] + [os.path.join(RUNTIME, name) for name in ("mnrt.c", "pool.c")] + ["-lpthread"]
    with open(os.path.join(folder, "net.safetensors"), "rb") as file:
        weights = hashlib.sha256(file.read()).hexdigest()
    about = {"version": run([tools.mncc, "--version"]).split()[1], "parameters": weights,
             "command": command + [tools.cc, tools.clang] + tools.cflags + runtime}
    if is_current(stem, about, [tools.mncc, source] + [path for path in runtime if path.endswith(".c")]):
        return
    if form == "object":
        if not tools.llvm:
            raise Unavailable("mncc was built without LLVM")
        run(command + ["-c", "-o", stem + ".o"])
        run([tools.cc, "-O2", "-shared", "-fPIC", stem + ".o"] + runtime + ["-o", stem + ".so"])
    else:
        compiler = tools.cc if form == "gcc" else tools.clang
        if not compiler:
            raise Unavailable(f"there is no {form}")
        run(command + ["-o", stem + ".c"])
        run([compiler] + tools.cflags + ["-shared", "-fPIC", stem + ".c"] + runtime + ["-o", stem + ".so"])
    if os.path.getsize(stem + ".bin"):
        about["weights"] = stem + ".bin"
    with open(stem + ".h") as file:
        header = file.read()
    for name in ("ARENA_BYTES", "ARENA_ALIGN"):
        about[name.lower()] = int(re.search(rf"^#define NET_{name} (\d+)", header, re.M)[1])
    with open(stem + ".json", "w") as file:
        json.dump(about, file)


def build_machine(folder, tools):
    """The library that measures what the machine can do."""
    path = os.path.join(folder, "machine.so")
    source = os.path.join(HERE, "machine.c")
    run([tools.cc, "-O3", "-march=native", "-ffp-contract=fast", "-shared", "-fPIC", source, "-o", path, "-lpthread"])
    return path
