"""The steps of a network (network.py) as files: weights for mncc, and a model for each peer.

ONNX and ncnn keep channels first, TensorFlow Lite keeps them last, as mncc does. The padding of a
convolution with stride 2 is TensorFlow's, one row more below than above. ONNX and ncnn have an
attribute for that, so that no format needs a step of its own for padding."""

import json
import struct

import numpy as np


def write_safetensors(path, tensors):
    header, offset = {}, 0
    for name, values in tensors.items():
        header[name] = {"dtype": "F32", "shape": list(values.shape),
                        "data_offsets": [offset, offset + values.nbytes]}
        offset += values.nbytes
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for values in tensors.values():
            file.write(values.astype("<f4").tobytes())


# ---- ONNX ----


def channels_first(shape):
    return [1] + ([shape[2], shape[0], shape[1]] if len(shape) == 3 else list(shape))


def write_onnx(path, net, steps, outputs):
    """Operators as PyTorch exports them, opset 14 for hard swish; batch normalisation is folded
    and activations are nodes, which all readers of ONNX fuse."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    nodes, constants = [], []

    def constant(name, values):
        constants.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def activate(kind, source, target):
        if kind == "relu":
            nodes.append(helper.make_node("Relu", [source], [target]))
        elif kind == "relu6":
            bounds = [constant(f"{target}.{word}", np.float32(value)) for word, value in (("low", 0), ("high", 6))]
            nodes.append(helper.make_node("Clip", [source] + bounds, [target]))
        elif kind == "hard_swish":
            nodes.append(helper.make_node("HardSwish", [source], [target]))
        else:
            nodes.append(helper.make_node("HardSigmoid", [source], [target], alpha=1 / 6, beta=0.5))

    for step in steps:
        target = step.output + ".linear" if step.activation else step.output
        inputs = list(step.inputs)
        if step.weight is not None:
            inputs += [constant(f"{step.output}.weight", step.weight), constant(f"{step.output}.bias", step.bias)]
        if step.kind == "conv":
            nodes.append(helper.make_node("Conv", inputs, [target], kernel_shape=step.weight.shape[2:],
                                          strides=step.stride, pads=step.padding, group=step.groups))
        elif step.kind == "dense":
            nodes.append(helper.make_node("Flatten", inputs[:1], [f"{step.output}.flat"]))
            nodes.append(helper.make_node("Gemm", [f"{step.output}.flat"] + inputs[1:], [target], transB=1))
        elif step.kind == "pool":
            nodes.append(helper.make_node("GlobalAveragePool", inputs, [target]))
        elif step.kind == "softmax":
            nodes.append(helper.make_node("Softmax", inputs, [target], axis=-1))
        elif step.kind in ("add", "mul"):
            nodes.append(helper.make_node(step.kind.capitalize(), inputs, [target]))
        else:
            target = inputs[0]
        if step.activation:
            activate(step.activation, target, step.output)
    ports = [helper.make_tensor_value_info(net.input, TensorProto.FLOAT, channels_first(net.shape))]
    results = [helper.make_tensor_value_info(tensor, TensorProto.FLOAT, channels_first(net.shapes[tensor]))
               for tensor in outputs.values()]
    graph = helper.make_graph(nodes, net.name, ports, results, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, path)


# ---- ncnn ----

NCNN_ACTIVATION = {"relu": "9=1", "relu6": "9=3 -23310=2,0.0,6.0",
                   "hard_swish": "9=6 -23310=2,1.66666667e-01,0.5"}
NCNN_LAYER = {"relu": ("ReLU", ""), "relu6": ("Clip", "0=0.0 1=6.0"),
              "hard_swish": ("HardSwish", "0=1.66666667e-01 1=0.5"),
              "hard_sigmoid": ("HardSigmoid", "0=1.66666667e-01 1=0.5")}


class NcnnText:
    """The lines of a .param file. Every blob has one reader: more need a Split."""

    def __init__(self, steps, outputs):
        self.lines, self.blobs, self.copies = [], set(), {}
        readers = [name for step in steps for name in step.inputs] + list(outputs.values())
        self.readers = {name: readers.count(name) for name in readers}

    def layer(self, kind, inputs, output, parameters):
        inputs = [self.copies[name].pop(0) if name in self.copies else name for name in inputs]
        self.add(kind, inputs, [output], parameters)
        count = self.readers.get(output, 0)
        if count > 1:
            self.copies[output] = [f"{output}_split{i}" for i in range(count)]
            self.add("Split", [output], self.copies[output], "")

    def add(self, kind, inputs, outputs, parameters):
        self.lines.append(" ".join([kind, f"layer{len(self.lines)}", str(len(inputs)), str(len(outputs))]
                                   + inputs + list(outputs) + [parameters]).rstrip())
        self.blobs.update(outputs)

    def text(self):
        return "\n".join(["7767517", f"{len(self.lines)} {len(self.blobs)}"] + self.lines) + "\n"


def ncnn_convolution(step):
    out, _, rows, columns = step.weight.shape
    above, left, below, right = step.padding
    words = [f"0={out} 1={columns} 11={rows} 2=1 3={step.stride[1]} 13={step.stride[0]}",
             f"4={left} 15={right} 14={above} 16={below} 5=1 6={step.weight.size}"]
    if step.groups > 1:
        words.append(f"7={step.groups}")
    return words


def write_ncnn(stem, net, steps, outputs):
    """STEM.param and STEM.bin, with activations inside the layers, as ncnn's own optimiser writes
    them. Returns the names of the blobs that are the outputs."""
    text = NcnnText(steps, outputs)
    text.layer("Input", [], net.input, f"0={net.shape[1]} 1={net.shape[0]} 2={net.shape[2]}")
    with open(stem + ".bin", "wb") as file:
        for step in steps:
            words, rest = [], step.activation
            if step.weight is not None:
                file.write(struct.pack("<I", 0) + step.weight.astype("<f4").tobytes() + step.bias.astype("<f4").tobytes())
            # What pooling leaves is a vector there, and a convolution of it a matrix product.
            vector = step.kind == "conv" and step.groups == 1 and net.shapes[step.inputs[0]][:2] == [1, 1]
            if step.kind == "conv" and not vector:
                kind = "Convolution" if step.groups == 1 else "ConvolutionDepthWise"
                words = ncnn_convolution(step)
            elif step.kind == "dense" or vector:
                kind, words = "InnerProduct", [f"0={step.weight.shape[0]} 1=1 2={step.weight.size}"]
            elif step.kind == "pool":
                kind, words = "Pooling", ["0=1 4=1"]
            elif step.kind == "softmax":
                kind, words = "Softmax", ["0=0 1=1"]
            elif step.kind in ("add", "mul"):
                kind, words = "BinaryOp", ["0=0" if step.kind == "add" else "0=2"]
            else:
                kind, word = NCNN_LAYER[rest]
                words, rest = [word], ""
            if rest in NCNN_ACTIVATION and step.weight is not None:
                words, rest = words + [NCNN_ACTIVATION[rest]], ""
            if rest:
                text.layer(kind, step.inputs, step.output + "_linear", " ".join(words))
                text.layer(NCNN_LAYER[rest][0], [step.output + "_linear"], step.output, NCNN_LAYER[rest][1])
            else:
                text.layer(kind, step.inputs, step.output, " ".join(words))
    with open(stem + ".param", "w") as file:
        file.write(text.text())
    return {name: text.copies[tensor].pop(0) if tensor in text.copies else tensor
            for name, tensor in outputs.items()}
