"""A network as the writers of other formats want it.

`read` takes the text of `mncc --emit=network`: one application a line, all attributes filled in.
`random_parameters` draws weights, `fold` makes of both a list of few kinds of steps, in which batch
normalisation has gone into the weights (in double, rounded once) and an activation into the step
that feeds it. Every peer gets these same numbers, so that none pays for what its own tools would do
once and for all.

Tensors are [height, width, channels]; weights have PyTorch's shapes, [out, in, height, width] and
[out, in]."""

import dataclasses
import math
import re

import numpy as np


class Unsupported(Exception):
    """The text says what the benchmark cannot express."""


@dataclasses.dataclass
class Layer:
    """One application in the network's text."""

    operator: str
    name: str  # its path, with which its tensors are named
    attributes: dict
    inputs: list
    output: str
    shape: list


@dataclasses.dataclass
class Network:
    name: str
    input: str
    shape: list
    layers: list
    outputs: dict  # name of the output: name of the tensor
    shapes: dict  # of all tensors


LINE = re.compile(r"(?:(?P<input>\w+) -> )?(?P<operator>\w+)\((?P<arguments>.*)\) -> let (?P<output>\w+);"
                  r"\s*// f32\[(?P<shape>[\d, ]+)\]$")
INPUT = re.compile(r"input (\w+): f32\[([\d, ]+)\];$")
OUTPUT = re.compile(r"(\w+) -> output (\w+);$")


def dimensions(text):
    return [int(dim) for dim in text.split(",")]


def read(text):
    lines = [line.strip() for line in text.splitlines()]
    head = re.match(r"network (\w+)\(\) \{$", lines[0])
    net = Network(head[1], "", [], [], {}, {})
    for line in lines[1:]:
        if found := INPUT.match(line):
            if net.input:
                raise Unsupported("networks with one input only")
            net.input, net.shape = found[1], dimensions(found[2])
            net.shapes[net.input] = net.shape
        elif found := OUTPUT.match(line):
            net.outputs[found[2]] = found[1]
        elif found := LINE.match(line):
            layer = read_layer(found)
            net.layers.append(layer)
            net.shapes[layer.output] = layer.shape
        elif line not in ("}", "", "weights"):
            raise Unsupported(f"cannot be read: {line}")
    return net


def read_layer(found):
    attributes, inputs = {}, [found["input"]] if found["input"] else []
    for word in re.findall(r'(?:[^,"\[]|"[^"]*"|\[[^\]]*\])+', found["arguments"]):
        key, equals, value = (part.strip() for part in word.strip().partition("="))
        if equals:
            attributes[key] = value.strip('"')
        elif re.fullmatch(r"\d+x\d+", key):
            attributes["kernel"] = key
        elif key.isdigit():
            attributes["size"] = key
        elif key:
            inputs.append(key)
    return Layer(found["operator"], attributes.pop("name"), attributes, inputs, found["output"],
                 dimensions(found["shape"]))


def pair(text):
    return [int(part) for part in text.split("x")]


# ---- weights ----


def parameter_shapes(net):
    """Name and shape of each tensor of the weights file, as PyTorch has them."""
    shapes = {}
    for layer in net.layers:
        channels = net.shapes[layer.inputs[0]][-1]
        if layer.operator == "conv":
            groups = int(layer.attributes["groups"])
            weight = [layer.shape[-1], channels // groups] + pair(layer.attributes["kernel"])
        elif layer.operator == "depthwise":
            weight = [layer.shape[-1], 1] + pair(layer.attributes["kernel"])
        elif layer.operator == "dense":
            weight = [layer.shape[-1], math.prod(net.shapes[layer.inputs[0]])]
        elif layer.operator == "batchnorm":
            for name in ("weight", "bias", "running_mean", "running_var"):
                shapes[f"{layer.name}.{name}"] = [channels]
            continue
        else:
            continue
        shapes[f"{layer.name}.weight"] = weight
        if layer.attributes["bias"] == "true":
            shapes[f"{layer.name}.bias"] = [layer.shape[-1]]
    return shapes


# What an operator makes of the mean square of its input, roughly.
MEAN_SQUARE = {"relu": 0.5, "relu6": 0.5, "hard_swish": 0.4, "avgpool": 0.4, "batchnorm": 1.6}


def mean_squares(net):
    """An estimate for every tensor if each convolution is made to leave 1, as training leaves it: with
    batch normalisation, the numbers that random_parameters draws for that leave 1.6."""
    squares = {net.input: 1.0}
    for layer in net.layers:
        own = [squares[name] for name in layer.inputs]
        if layer.operator == "add":
            squares[layer.output] = sum(own)
        elif layer.operator == "mul":
            squares[layer.output] = math.prod(own)
        elif layer.operator == "hard_sigmoid":
            squares[layer.output] = 0.3
        elif layer.operator in ("conv", "depthwise", "dense"):
            squares[layer.output] = 1.0
        else:
            squares[layer.output] = own[0] * MEAN_SQUARE.get(layer.operator, 1)
    return squares


def random_parameters(net, seed):
    """Numbers that keep activations near 1 through all layers, so that none is a subnormal or an infinity
    that some kernel would be slower at, and no output is lost in rounding."""
    numbers, parameters = np.random.RandomState(seed), {}
    squares = mean_squares(net)
    before = {layer.name: squares[layer.inputs[0]] for layer in net.layers}
    for name, shape in parameter_shapes(net).items():
        layer, kind = name.rsplit(".", 1)
        if kind == "running_var" or (kind == "weight" and len(shape) == 1):
            values = numbers.uniform(0.5, 1.5, shape)
        elif kind == "weight":
            values = numbers.normal(0, 1 / math.sqrt(math.prod(shape[1:]) * before[layer]), shape)
        else:
            values = numbers.normal(0, 0.5, shape)
        parameters[name] = values.astype(np.float32)
    return parameters


# ---- steps ----


@dataclasses.dataclass
class Step:
    """kind: conv, dense, add, mul, pool (mean over the whole map), softmax, activation."""

    kind: str
    inputs: list
    output: str
    shape: list  # of the output
    activation: str = ""  # relu, relu6, hard_swish, hard_sigmoid
    weight: np.ndarray = None
    bias: np.ndarray = None
    stride: tuple = (1, 1)
    padding: tuple = (0, 0, 0, 0)  # rows above, columns left, rows below, columns right
    same: bool = False  # the padding is TensorFlow's `same`
    groups: int = 1


ACTIVATIONS = ("relu", "relu6", "hard_swish", "hard_sigmoid")


def padding_of(layer, before):
    """Rows above, columns left, rows below, columns right."""
    text = layer.attributes["padding"]
    if text == "valid":
        return (0, 0, 0, 0)
    if text != "same":
        raise Unsupported(f"{layer.name}: padding {text}")
    sides = []
    for axis, (kernel, stride) in enumerate(zip(pair(layer.attributes["kernel"]), pair(layer.attributes["stride"]))):
        total = max((layer.shape[axis] - 1) * stride + kernel - before[axis], 0)
        sides.append((total // 2, total - total // 2))
    return (sides[0][0], sides[1][0], sides[0][1], sides[1][1])


def convolution(net, layer, parameters):
    if layer.attributes["dilation"] != "1x1":
        raise Unsupported(f"{layer.name}: dilation")
    before = net.shapes[layer.inputs[0]]
    weight = parameters[f"{layer.name}.weight"].astype(np.float64)
    return Step("conv", layer.inputs, layer.output, layer.shape, weight=weight,
                bias=parameters.get(f"{layer.name}.bias", np.zeros(layer.shape[-1])).astype(np.float64),
                stride=tuple(pair(layer.attributes["stride"])), padding=padding_of(layer, before),
                same=layer.attributes["padding"] == "same", groups=before[-1] // weight.shape[1])


def dense(net, layer, parameters):
    if math.prod(net.shapes[layer.inputs[0]][:-1]) != 1:
        raise Unsupported(f"{layer.name}: dense of a map of more than one pixel")
    return Step("dense", layer.inputs, layer.output, layer.shape,
                weight=parameters[f"{layer.name}.weight"].astype(np.float64),
                bias=parameters.get(f"{layer.name}.bias", np.zeros(layer.shape[-1])).astype(np.float64))


def pool(net, layer):
    window = pair(layer.attributes["kernel"])
    if window not in ([0, 0], net.shapes[layer.inputs[0]][:2]):
        raise Unsupported(f"{layer.name}: pooling but over the whole map")
    return Step("pool", layer.inputs, layer.output, layer.shape)


def fold_batchnorm(step, layer, parameters):
    gamma, beta, mean, variance = (parameters[f"{layer.name}.{name}"].astype(np.float64)
                                   for name in ("weight", "bias", "running_mean", "running_var"))
    scale = gamma / np.sqrt(variance + float(layer.attributes["epsilon"]))
    step.weight = step.weight * scale.reshape([-1] + [1] * (step.weight.ndim - 1))
    step.bias = (step.bias - mean) * scale + beta
    step.output = layer.output


def fold(net, parameters):
    """The steps of the network and, by name, the tensor that each of its outputs is."""
    uses, maker, renamed, steps = {}, {}, {}, []
    for name in [name for layer in net.layers for name in layer.inputs] + list(net.outputs.values()):
        uses[name] = uses.get(name, 0) + 1
    for layer in net.layers:
        layer = dataclasses.replace(layer, inputs=[renamed.get(name, name) for name in layer.inputs])
        first = maker.get(layer.inputs[0])
        alone = first is not None and uses[layer.inputs[0]] == 1
        if layer.operator in ("conv", "depthwise"):
            step = convolution(net, layer, parameters)
        elif layer.operator == "dense":
            step = dense(net, layer, parameters)
        elif layer.operator == "avgpool":
            step = pool(net, layer)
        elif layer.operator in ("add", "mul", "softmax"):
            step = Step(layer.operator, layer.inputs, layer.output, layer.shape)
        elif layer.operator == "batchnorm" and alone and first.kind == "conv" and not first.activation:
            fold_batchnorm(first, layer, parameters)
            maker[layer.output] = first
            continue
        elif layer.operator in ACTIVATIONS and alone and first.kind in ("conv", "dense") and not first.activation:
            first.activation, first.output = layer.operator, layer.output
            maker[layer.output] = first
            continue
        elif layer.operator in ACTIVATIONS:
            step = Step("activation", layer.inputs, layer.output, layer.shape, activation=layer.operator)
        elif layer.operator == "dropout":  # nothing, once trained
            renamed[layer.output] = layer.inputs[0]
            net.shapes[layer.output] = net.shapes[layer.inputs[0]]
            uses[layer.inputs[0]] += uses[layer.output] - 1
            continue
        else:
            raise Unsupported(f"operator {layer.operator}")
        maker[step.output] = step
        steps.append(step)
    for step in steps:
        if step.weight is not None:
            step.weight = np.ascontiguousarray(step.weight, dtype=np.float32)
            step.bias = np.ascontiguousarray(step.bias, dtype=np.float32)
    return steps, {name: renamed.get(tensor, tensor) for name, tensor in net.outputs.items()}
