"""What is timed: mncc's outputs and its peers, each behind the same few functions.

A competitor is made from the folder that bench.py has prepared (its contents: `Files`) and a number
of threads; `run()` is one inference on the input it was made with, and `outputs()` are the results
of the last one by name. Everything that can be done once is done when it is made: reading the model,
optimising it, placing inputs and outputs. Modules are imported where they are needed, since each
competitor has a process of its own."""

import ctypes
import importlib.metadata
import json
import mmap
import os
import re

import numpy as np


class Files:
    """A folder with one network in all forms, and what is common to them."""

    def __init__(self, folder):
        self.folder = folder
        with open(self.path("network.json")) as file:
            self.about = json.load(file)
        self.input_name = self.about["input"]
        self.input = np.load(self.path("input.npy"))  # height, width, channels
        self.outputs = self.about["outputs"]  # name: {tensor, blob, first (shape, channels first), elems}

    def path(self, name):
        return os.path.join(self.folder, name)

    def model(self, name):
        """The path of a peer's model, which is not there if the package that writes it is not."""
        if not os.path.exists(self.path(name)):
            raise ImportError(f"{name} was not written: the package for that is not installed")
        return self.path(name)

    def channels_first(self):
        return np.ascontiguousarray(self.input.transpose(2, 0, 1)[None])


class Competitor:
    package = ""  # on PyPI
    note = ""  # for the reader of the table

    def version(self):
        return importlib.metadata.version(self.package)


# ---- mncc ----


class Parallel(ctypes.Structure):
    """mncc_parallel of the generated headers."""

    _fields_ = [("run", ctypes.c_void_p), ("self", ctypes.c_void_p)]


class Mapping(ctypes.Structure):
    """MnrtMapping of mnrt.h."""

    _fields_ = [("data", ctypes.c_void_p), ("bytes", ctypes.c_size_t), ("taken", ctypes.c_size_t)]


class Mncc(Competitor):
    """A shared object that `models.py` built, with mncc's runtime in it: arena, weights and pool come from
    there, as in a program that uses it. Inputs and outputs are plain memory."""

    form = ""

    def __init__(self, files, threads):
        name = files.path(f"mncc-{self.form}-{threads}")
        with open(name + ".json") as file:
            self.about = json.load(file)
        self.library = ctypes.CDLL(name + ".so")
        self.memory = []
        arguments = []
        if threads > 1:
            self.library.mnrt_pool_new.restype = ctypes.c_void_p
            pool = self.library.mnrt_pool_new(threads, 0)
            if not pool:
                raise RuntimeError("no threads to be had")
            self.parallel = Parallel(ctypes.cast(self.library.mnrt_pool_run, ctypes.c_void_p), pool)
            arguments.append(ctypes.addressof(self.parallel))
        if "weights" in self.about:
            arguments.append(self.weights(self.about["weights"]))
        self.library.mnrt_arena_new.restype = ctypes.c_void_p
        self.library.mnrt_arena_new.argtypes = [ctypes.c_size_t, ctypes.c_size_t]
        arguments.append(self.library.mnrt_arena_new(self.about["arena_bytes"], self.about["arena_align"]))
        arguments.append(self.fresh(files.input.nbytes, files.input))
        self.results = {}
        for output, about in files.outputs.items():
            address = self.fresh(4 * about["elems"])
            self.results[output] = (address, about["elems"])
            arguments.append(address)
        self.call = self.library.net_run
        self.call.restype = None
        self.call.argtypes = [ctypes.c_void_p] * len(arguments)
        self.arguments = [ctypes.c_void_p(address) for address in arguments]

    def fresh(self, size, values=None):
        """The address of pages of their own."""
        area = mmap.mmap(-1, max(size, 1))
        self.memory.append(area)
        if values is not None:
            area.write(values.tobytes())
        return ctypes.addressof(ctypes.c_char.from_buffer(area))

    def weights(self, path):
        """The address of the file's bytes, loaded."""
        mapping = Mapping()
        if self.library.mnrt_load_file(ctypes.byref(mapping), path.encode(), ctypes.c_size_t(os.path.getsize(path))):
            raise RuntimeError(f"{path} cannot be loaded")
        return mapping.data

    def run(self):
        self.call(*self.arguments)

    def outputs(self):
        return {name: np.ctypeslib.as_array((ctypes.c_float * elems).from_address(address)).copy()
                for name, (address, elems) in self.results.items()}

    def version(self):
        return self.about["version"]


class MnccGcc(Mncc):
    form = "gcc"
    note = "mncc's C, compiled by gcc"


class MnccClang(Mncc):
    form = "clang"
    note = "mncc's C, compiled by clang"


class MnccObject(Mncc):
    form = "object"
    note = "mncc's object, written through LLVM"


# ---- peers ----


class OnnxRuntime(Competitor):
    package = "onnxruntime"

    def __init__(self, files, threads):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        self.session = onnxruntime.InferenceSession(files.model("model.onnx"), options, ["CPUExecutionProvider"])
        self.binding = self.session.io_binding()
        self.input = onnxruntime.OrtValue.ortvalue_from_numpy(files.channels_first())
        self.binding.bind_ortvalue_input(files.input_name, self.input)
        self.results = {}
        for name, about in files.outputs.items():
            self.results[name] = onnxruntime.OrtValue.ortvalue_from_numpy(np.zeros(about["first"], np.float32))
            self.binding.bind_ortvalue_output(about["tensor"], self.results[name])

    def run(self):
        self.session.run_with_iobinding(self.binding)

    def outputs(self):
        return {name: value.numpy().ravel() for name, value in self.results.items()}


class LiteRt(Competitor):
    package = "ai-edge-litert"
    note = "XNNPACK"

    def __init__(self, files, threads):
        from ai_edge_litert.interpreter import Interpreter

        self.interpreter = Interpreter(files.model("model.tflite"), num_threads=threads)
        self.interpreter.allocate_tensors()
        self.interpreter.set_tensor(self.interpreter.get_input_details()[0]["index"], files.input[None])
        indices = [detail["index"] for detail in self.interpreter.get_output_details()]
        self.results = dict(zip(files.outputs, indices))
        self.run = self.interpreter.invoke

    def outputs(self):
        return {name: self.interpreter.get_tensor(index).ravel() for name, index in self.results.items()}


class OpenVino(Competitor):
    package = "openvino"

    def __init__(self, files, threads):
        import openvino

        properties = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY",
                      "INFERENCE_PRECISION_HINT": "f32"}
        self.model = openvino.Core().compile_model(files.model("model.onnx"), "CPU", properties)
        self.request = self.model.create_infer_request()
        self.input = files.channels_first()
        self.request.set_input_tensor(openvino.Tensor(self.input, shared_memory=True))
        # The class that the Python wrapper is made of: its infer copies no results.
        infer = super(type(self.request), self.request).infer
        nothing = {}
        self.run = lambda: infer(nothing, share_outputs=True, decode_strings=False)
        self.results = {name: about["tensor"] for name, about in files.outputs.items()}

    def outputs(self):
        return {name: self.request.get_tensor(tensor).data.copy().ravel() for name, tensor in self.results.items()}


class Tvm(Competitor):
    package = "apache-tvm"
    note = "its default pipeline, not tuned"

    def __init__(self, files, threads):
        os.environ["TVM_NUM_THREADS"] = str(threads)
        import onnx
        import tvm
        from tvm import relax
        from tvm.relax.frontend.onnx import from_onnx
        from tvm.target import codegen

        module = from_onnx(onnx.load(files.model("model.onnx")), keep_params_in_input=False)
        target = tvm.target.Target({"kind": "llvm", "mcpu": str(codegen.llvm_get_system_cpu())})
        with target:
            executable = relax.build(module, target)
        self.machine = relax.VirtualMachine(executable, tvm.cpu())
        self.input = tvm.runtime.tensor(files.channels_first())
        self.machine.set_input("main", self.input)
        self.names = list(files.outputs)

    def run(self):
        self.machine.invoke_stateful("main")

    def outputs(self):
        results = self.machine.get_outputs("main")
        results = [results] if len(self.names) == 1 else list(results)
        return {name: result.numpy().ravel() for name, result in zip(self.names, results)}


class Ncnn(Competitor):
    package = "ncnn"

    def __init__(self, files, threads):
        import ncnn

        self.net = ncnn.Net()
        options = self.net.opt
        options.num_threads = threads
        options.use_vulkan_compute = False
        for name in dir(options):  # f32 is asked for
            if re.match(r"use_(fp16|bf16)_", name):
                setattr(options, name, False)
        if self.net.load_param(files.model("model.param")) or self.net.load_model(files.model("model.bin")):
            raise RuntimeError("the model is refused")
        self.values = files.channels_first()[0]
        self.input = ncnn.Mat(self.values)
        self.name = files.input_name
        self.blobs = {name: about["blob"] for name, about in files.outputs.items()}
        self.results = {}

    def run(self):
        extractor = self.net.create_extractor()
        extractor.input(self.name, self.input)
        for name, blob in self.blobs.items():
            self.results[name] = extractor.extract(blob)

    def outputs(self):
        for status, _ in self.results.values():
            if status:
                raise RuntimeError(f"extract returns {status}")
        return {name: np.array(result).ravel() for name, (_, result) in self.results.items()}


MNCC = {"mncc-gcc": MnccGcc, "mncc-clang": MnccClang, "mncc-object": MnccObject}
PEERS = {"onnxruntime": OnnxRuntime, "litert": LiteRt, "openvino": OpenVino, "tvm": Tvm, "ncnn": Ncnn}
ALL = {**MNCC, **PEERS}
