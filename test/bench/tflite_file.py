"""The steps of a network (network.py) as a model of TensorFlow Lite, in f32.

Written with the schema's classes that come with ai-edge-litert. relu and relu6 are attributes of the
operator before them, as TensorFlow's converter writes them. There is no hard sigmoid: it is the
relu6 of what is 3 larger, which goes into the bias, divided by 6."""

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

FUSED = {"": schema.ActivationFunctionType.NONE, "relu": schema.ActivationFunctionType.RELU,
         "relu6": schema.ActivationFunctionType.RELU6}


class Builder:
    def __init__(self):
        self.model = schema.ModelT()
        self.model.version, self.model.description = 3, "written by mncc's benchmark"
        self.model.operatorCodes, self.model.buffers = [], [schema.BufferT()]
        self.codes, self.at = {}, {}
        self.graph = schema.SubGraphT()
        self.graph.name, self.graph.tensors, self.graph.operators = "main", [], []
        self.model.subgraphs = [self.graph]

    def tensor(self, name, shape, values=None):
        """The number of the tensor of that name, made if it is new. One without values is computed."""
        if name in self.at:
            return self.at[name]
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.buffer = name, list(shape), 0
        tensor.type = schema.TensorType.FLOAT32
        if values is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
            tensor.buffer = len(self.model.buffers)
            self.model.buffers.append(buffer)
            if values.dtype == np.int32:
                tensor.type = schema.TensorType.INT32
        self.at[name] = len(self.graph.tensors)
        self.graph.tensors.append(tensor)
        return self.at[name]

    def operator(self, kind, inputs, output, options=None, options_type=""):
        builtin = getattr(schema.BuiltinOperator, kind)
        if builtin not in self.codes:
            code = schema.OperatorCodeT()
            code.builtinCode = builtin
            code.deprecatedBuiltinCode = min(builtin, 127)
            code.version = 1
            self.codes[builtin] = len(self.model.operatorCodes)
            self.model.operatorCodes.append(code)
        operator = schema.OperatorT()
        operator.opcodeIndex, operator.inputs, operator.outputs = self.codes[builtin], inputs, [output]
        if options is not None:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, options_type)
            operator.builtinOptions = options
        self.graph.operators.append(operator)

    def bytes(self):
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def with_batch(shape):
    return [1] + list(shape)


def convolution(build, net, step, bias, fused, source, target):
    """A convolution, or a depthwise one; one with as many groups as channels is depthwise."""
    if step.padding != (0, 0, 0, 0) and not step.same:
        raise ValueError(f"{step.output}: a padding that is neither same nor valid")
    depthwise = step.groups > 1
    options = schema.DepthwiseConv2DOptionsT() if depthwise else schema.Conv2DOptionsT()
    options.padding = schema.Padding.SAME if step.same else schema.Padding.VALID
    options.strideH, options.strideW = step.stride
    options.dilationHFactor = options.dilationWFactor = 1
    options.fusedActivationFunction = fused
    if depthwise:
        if step.groups != net.shapes[step.inputs[0]][-1]:
            raise ValueError(f"{step.output}: groups of more than one channel")
        options.depthMultiplier = step.weight.shape[0] // step.groups
        weight = step.weight.transpose(1, 2, 3, 0)
    else:
        weight = step.weight.transpose(0, 2, 3, 1)
    inputs = [source, build.tensor(f"{step.output}.weight", weight.shape, weight),
              build.tensor(f"{step.output}.bias", bias.shape, bias)]
    kind = ("DEPTHWISE_CONV_2D", "DepthwiseConv2DOptions") if depthwise else ("CONV_2D", "Conv2DOptions")
    build.operator(kind[0], inputs, target, options, kind[1])


def dense(build, step, bias, fused, source, target):
    options = schema.FullyConnectedOptionsT()
    options.fusedActivationFunction = fused
    inputs = [source, build.tensor(f"{step.output}.weight", step.weight.shape, step.weight),
              build.tensor(f"{step.output}.bias", bias.shape, bias)]
    build.operator("FULLY_CONNECTED", inputs, target, options, "FullyConnectedOptions")


def mean(build, source, target):
    options = schema.ReducerOptionsT()
    options.keepDims = True
    axes = build.tensor("height and width", [2], np.array([1, 2], np.int32))
    build.operator("MEAN", [source, axes], target, options, "ReducerOptions")


def arithmetic(build, kind, inputs, target, fused):
    options = schema.AddOptionsT() if kind == "add" else schema.MulOptionsT()
    options.fusedActivationFunction = fused
    build.operator(kind.upper(), inputs, target, options, kind.capitalize() + "Options")


def softmax(build, source, target):
    options = schema.SoftmaxOptionsT()
    options.beta = 1.0
    build.operator("SOFTMAX", [source], target, options, "SoftmaxOptions")


def write_step(build, net, step):
    shape = with_batch(step.shape)
    inputs = [build.tensor(name, with_batch(net.shapes[name])) for name in step.inputs]
    rest, bias = step.activation, step.bias
    own = FUSED.get(rest)
    if step.kind == "activation":
        write_activation(build, rest, inputs[0], build.tensor(step.output, shape), shape)
        return
    if rest == "hard_sigmoid" and step.bias is not None:
        own, bias = FUSED["relu6"], step.bias + np.float32(3)
    target = step.output if own is not None and rest in FUSED else step.output + ".linear"
    target, own = build.tensor(target, shape), own or FUSED[""]
    if step.kind == "conv":
        convolution(build, net, step, bias, own, inputs[0], target)
    elif step.kind == "dense":
        dense(build, step, bias, own, inputs[0], target)
    elif step.kind == "pool":
        mean(build, inputs[0], target)
    elif step.kind == "softmax":
        softmax(build, inputs[0], target)
    else:
        arithmetic(build, step.kind, inputs, target, own)
    if rest == "hard_sigmoid":
        arithmetic(build, "mul", [target, sixth(build)], build.tensor(step.output, shape), FUSED[""])
    elif rest not in FUSED:
        write_activation(build, rest, target, build.tensor(step.output, shape), shape)


def sixth(build):
    return build.tensor("1/6", [], np.array(1 / 6, np.float32))


def write_activation(build, kind, source, target, shape):
    if kind == "hard_swish":
        build.operator("HARD_SWISH", [source], target, schema.HardSwishOptionsT(), "HardSwishOptions")
    elif kind == "hard_sigmoid":
        shifted = build.tensor(f"tensor{target}.shifted", shape)
        three = build.tensor("3", [], np.array(3, np.float32))
        arithmetic(build, "add", [source, three], shifted, FUSED["relu6"])
        arithmetic(build, "mul", [shifted, sixth(build)], target, FUSED[""])
    else:
        build.operator(kind.upper(), [source], target)


def write_tflite(path, net, steps, outputs):
    build = Builder()
    build.graph.inputs = [build.tensor(net.input, with_batch(net.shape))]
    for step in steps:
        write_step(build, net, step)
    build.graph.outputs = [build.at[tensor] for tensor in outputs.values()]
    with open(path, "wb") as file:
        file.write(build.bytes())
