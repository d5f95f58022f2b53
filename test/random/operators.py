"""The operators as these tests know them: attributes, shapes, costs, and how to draw one at random.

A row of TABLE for each operator that `mncc --print-ops` lists; a test compares the two. Written
from docs/operators.md and docs/language.md, not from mncc's sources, so that a mistake must be
made twice to go unseen."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Callable, Tuple

Shape = Tuple[int, ...]

REQUIRED = object()
# What a tensor, the weights of a layer and its multiply-accumulates may come to, for the tests' sake.
MAX_ELEMS, MAX_WEIGHTS, MAX_MACS = 6000, 3000, 150000


class Invalid(Exception):
    """The program is wrong; the text says how."""


class Unwanted(Invalid):
    """It is more than these tests want, or they cannot tell: mncc may accept it."""


@dataclass
class Attr:
    kind: str  # int, kernel, padding, number, bool, dims, numbers
    default: Any = REQUIRED
    least: int = 0
    lengths: Tuple[int, ...] = (1, 3)  # of dims


@dataclass
class Operator:
    attrs: dict
    shape: Callable        # (shapes, attrs) -> shape
    draw: Callable = None  # (numbers, shape) -> attrs or None; null: it takes several tensors
    inputs: Tuple[int, int] = (1, 1)
    takes: Tuple[str, ...] = ("f32",)  # element types of the first tensor
    makes: str = ""        # element type of the output; empty: the input's
    cost: Callable = None  # (shapes, attrs, output) -> (macs, weights)
    weight: float = 1      # how often it is drawn


# ---- values of attributes ----

def whole(value, least):
    if type(value) is not Fraction or value.denominator != 1 or value < least:
        raise Invalid(f"{value} is no whole number of at least {least}")
    if value > 32767:
        raise Unwanted("a large number")
    return int(value)


def wholes(values, least, lengths):
    if not isinstance(values, list) or len(values) not in lengths:
        raise Invalid("a list of another length")
    return tuple(whole(value, least) for value in values)


def convert_one(attr, value):
    """What an attribute makes of a language's value."""
    kind, name = attr.kind, type(value).__name__
    if kind == "int":
        return whole(value, attr.least)
    if kind == "kernel":
        if name == "Kernel":
            return wholes([Fraction(value.height), Fraction(value.width)], attr.least, (2,))
        return wholes(value if isinstance(value, list) else [value] * 2, attr.least, (2,))
    if kind == "padding":
        if name == "Word" and value.name in ("same", "valid"):
            return value.name
        sides = wholes(value if isinstance(value, list) else [value] * 4, 0, (2, 4))
        return sides * (4 // len(sides))
    if kind == "bool" and type(value) is bool:
        return value
    if kind == "number" and type(value) is Fraction:
        return value
    if kind == "dims":
        return wholes(value if isinstance(value, list) else [value], attr.least, attr.lengths)
    if kind == "numbers":
        values = value if isinstance(value, list) else [value]
        if values and all(type(one) is Fraction for one in values):
            return tuple(values)
    raise Invalid(f"{value} is no {kind}")


def attributes(name):
    if name not in TABLE:
        raise Invalid(f"there is no operator '{name}'")
    return TABLE[name].attrs


def convert(name, given):
    """All attributes of an application, defaults filled in."""
    attrs = {}
    for key, attr in TABLE[name].attrs.items():
        if key in given:
            attrs[key] = convert_one(attr, given[key])
        elif attr.default is REQUIRED:
            raise Invalid(f"'{name}' needs '{key}'")
        else:
            attrs[key] = attr.default
    return attrs


def product(numbers):
    result = 1
    for number in numbers:
        result *= number
    return result


def infer(name, inputs, attrs):
    """The output's (element type, shape); inputs are such pairs."""
    operator = TABLE[name]
    if not operator.inputs[0] <= len(inputs) <= operator.inputs[1]:
        raise Invalid(f"'{name}' takes another number of tensors")
    for i, (elem, _) in enumerate(inputs):
        if elem != "f32" and not (i == 0 and elem in operator.takes):
            raise Invalid(f"'{name}' takes {operator.takes}")
    shapes = [shape for _, shape in inputs]
    shape = operator.shape(shapes, attrs)
    if product(shape) > MAX_ELEMS:
        raise Unwanted("more elements than these tests want")
    return operator.makes or inputs[0][0], shape


def costs(name, shapes, attrs, output):
    """(multiply-accumulates, elements of weights); those without weights count a visit an element."""
    operator = TABLE[name]
    return operator.cost(shapes, attrs, output) if operator.cost else (product(output), 0)


# ---- shapes ----

def need_map(shape):
    if len(shape) != 3:
        raise Invalid("a feature map is wanted")


def window(shape, kernel, stride, padding, dilation=(1, 1)):
    """The output's height and width, and [top, left, bottom, right]."""
    need_map(shape)
    out, pads = [], [0] * 4
    for i in range(2):
        reach = (kernel[i] - 1) * dilation[i] + 1
        if padding == "same":
            out.append(-(-shape[i] // stride[i]))
            total = max((out[i] - 1) * stride[i] + reach - shape[i], 0)
            pads[i], pads[i + 2] = total // 2, total - total // 2
            continue
        if padding != "valid":
            pads[i], pads[i + 2] = padding[i], padding[i + 2]
        room = shape[i] + pads[i] + pads[i + 2] - reach
        if room < 0 or pads[i] >= reach or pads[i + 2] >= reach:
            raise Invalid("the kernel does not fit")
        out.append(room // stride[i] + 1)
    return tuple(out), pads


def conv_shape(shapes, a):
    out, _ = window(shapes[0], a["kernel"], a["stride"], a["padding"], a["dilation"])
    if shapes[0][2] % a["groups"] or a["channels"] % a["groups"]:
        raise Invalid("groups that do not divide the channels")
    return out + (a["channels"],)


def depthwise_shape(shapes, a):
    out, _ = window(shapes[0], a["kernel"], a["stride"], a["padding"], a["dilation"])
    return out + (shapes[0][2] * a["multiplier"],)


def pool_shape(shapes, a):
    need_map(shapes[0])
    kernel, stride, padding = a["kernel"], a["stride"], a["padding"]
    if (kernel[0] == 0) != (kernel[1] == 0) or (stride[0] == 0) != (stride[1] == 0):
        raise Invalid("half a kernel")
    if kernel[0] == 0:
        kernel, padding = shapes[0][:2], "valid"
    stride = kernel if stride[0] == 0 else stride
    return window(shapes[0], kernel, stride, padding)[0] + (shapes[0][2],)


def mean_shape(shapes, a):
    need_map(shapes[0])
    return (1, 1, shapes[0][2])


def same_shape(shapes, a):
    return shapes[0]


def equal_shapes(shapes, a):
    if shapes[0] != shapes[1]:
        raise Invalid("two shapes")
    return shapes[0]


def mul_shape(shapes, a):
    x, y = shapes
    for one, other in ((x, y), (y, x)):
        if one == other or (len(one) == len(other) == 3 and one == (1, 1, other[2])):
            return other
    raise Invalid("two shapes")


def concat_shape(shapes, a):
    if len({shape[:-1] for shape in shapes}) != 1:
        raise Invalid("they differ in more than channels")
    return shapes[0][:-1] + (sum(shape[-1] for shape in shapes),)


def batchnorm_shape(shapes, a):
    if len(shapes[0]) == 2 or a["epsilon"] < 0:
        raise Invalid("no map and no vector, or a negative epsilon")
    return shapes[0]


def argmax_shape(shapes, a):
    return shapes[0][:-1] + (1,)


def transpose_shape(shapes, a):
    if sorted(a["order"]) != list(range(len(shapes[0]))):
        raise Invalid("each dimension once")
    return tuple(shapes[0][d] for d in a["order"])


def conv_transpose_shape(shapes, a):
    need_map(shapes[0])
    out = []
    for i in range(2):
        kernel, stride, more = a["kernel"][i], a["stride"][i], a["output_padding"][i]
        if a["padding"] == "same":
            out.append(shapes[0][i] * stride)
            if more:
                raise Invalid("no output_padding with same")
            continue
        pads = (0, 0) if a["padding"] == "valid" else (a["padding"][i], a["padding"][i + 2])
        if max(pads) >= kernel or (more and more >= stride):
            raise Invalid("too much padding")
        out.append((shapes[0][i] - 1) * stride + kernel + more - sum(pads))
        if out[-1] < 1:
            raise Invalid("nothing is left")
    if shapes[0][2] % a["groups"] or a["channels"] % a["groups"]:
        raise Invalid("groups that do not divide the channels")
    return tuple(out) + (a["channels"],)


def normalize_shape(shapes, a):
    for values in (a["mean"], a["scale"]):
        if len(values) not in (1, shapes[0][-1]):
            raise Invalid("a number, or one for each channel")
    return shapes[0]


def pad_shape(shapes, a):
    need_map(shapes[0])
    if a["amounts"] in ("same", "valid"):
        raise Invalid("amounts are explicit")
    top, left, bottom, right = a["amounts"]
    return (shapes[0][0] + top + bottom, shapes[0][1] + left + right, shapes[0][2])


def channel_pad_shape(shapes, a):
    return shapes[0][:-1] + (shapes[0][-1] + a["after"] + a["before"],)


def resize_shape(shapes, a):
    need_map(shapes[0])
    height, width, scale = a["height"], a["width"], a["scale"]
    if scale == 0 and height and width:
        return (height, width, shapes[0][2])
    if scale == 0 or height or width:
        raise Invalid("either a size or a scale")
    sides = [side * scale for side in shapes[0][:2]]
    if any(side < 1 or side.denominator != 1 for side in sides):
        raise Invalid("no whole side")
    return (int(sides[0]), int(sides[1]), shapes[0][2])


def reshape_shape(shapes, a):
    if product(a["shape"]) != product(shapes[0]):
        raise Invalid("another number of elements")
    return a["shape"]


def dropout_shape(shapes, a):
    if not 0 <= a["rate"] < 1:
        raise Invalid("a rate outside 0..1")
    return shapes[0]


# ---- costs ----

def conv_cost(shapes, a, out):
    taps = product(a["kernel"]) * shapes[0][2] // a["groups"]
    return product(out) * taps, out[2] * taps


def conv_transpose_cost(shapes, a, out):
    taps = product(a["kernel"]) * out[2] // a["groups"]
    return product(shapes[0]) * taps, shapes[0][2] * taps


def depthwise_cost(shapes, a, out):
    return product(out) * product(a["kernel"]), out[2] * product(a["kernel"])


def dense_cost(shapes, a, out):
    return (product(shapes[0]) * out[0],) * 2


def pool_cost(shapes, a, out):
    kernel = a["kernel"] if a["kernel"][0] else shapes[0][:2]
    return product(out) * product(kernel), 0


# ---- drawing ----

def channels(numbers):
    """Few, often odd; now and then what fills vectors."""
    return numbers.choice([1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 16, 17, 19, 24, numbers.randint(1, 40)])


def extent(numbers):
    return numbers.choice([1, 1, 1, 2, 2, 3, 3, 3, 3, 4, 5, 5, 7])


def pair(numbers, draw):
    """Mostly the same in both directions."""
    first = draw(numbers)
    return (first, first if numbers.random() < 0.7 else draw(numbers))


def step(numbers):
    return numbers.choice([1, 1, 1, 2, 2, 3, 4])


def spread(numbers):
    return numbers.choice([1, 1, 1, 1, 2, 3])


def padding_within(numbers, kernel, dilation):
    """Any kind; explicit amounts are smaller than the window's reach."""
    kind = numbers.random()
    if kind < 0.5:
        return "same"
    if kind < 0.7:
        return "valid"
    most = [(k - 1) * d for k, d in zip(kernel, dilation)]
    amount = lambda i: numbers.randint(0, min(most[i], 4))  # noqa: E731
    if kind < 0.8:
        return (min(amount(0), amount(1)),) * 4
    if kind < 0.9:
        return (amount(0), amount(1)) * 2
    return (amount(0), amount(1), amount(0), amount(1))


def draw_window(numbers, shape):
    kernel, dilation = pair(numbers, extent), pair(numbers, spread)
    return {"kernel": kernel, "stride": pair(numbers, step), "dilation": dilation,
            "padding": padding_within(numbers, kernel, dilation)}


def divisors(number):
    return [k for k in range(1, number + 1) if number % k == 0]


def draw_conv(numbers, shape):
    groups = numbers.choice(divisors(shape[2])) if numbers.random() < 0.25 else 1
    out = channels(numbers)
    out = max(1, out // groups) * groups if groups > 1 else out
    attrs = draw_window(numbers, shape)
    if numbers.random() < 0.4:  # pointwise, what these networks are made of
        attrs.update(kernel=(1, 1), padding="same", dilation=(1, 1))
        attrs["stride"] = (1, 1) if numbers.random() < 0.7 else attrs["stride"]
    return {**attrs, "channels": out, "groups": groups, "bias": numbers.random() < 0.4}


def draw_conv_transpose(numbers, shape):
    groups = numbers.choice(divisors(shape[2])) if numbers.random() < 0.25 else 1
    kernel, stride = pair(numbers, extent), pair(numbers, step)
    padding = padding_within(numbers, kernel, (1, 1))
    more = (0, 0) if padding == "same" or numbers.random() < 0.7 else tuple(numbers.randrange(s) for s in stride)
    return {"kernel": kernel, "channels": max(1, channels(numbers) // groups) * groups, "stride": stride,
            "padding": padding, "output_padding": more, "groups": groups, "bias": numbers.random() < 0.4}


def draw_depthwise(numbers, shape):
    return {**draw_window(numbers, shape), "multiplier": numbers.choice([1, 1, 1, 1, 2, 3]),
            "bias": numbers.random() < 0.3}


def draw_pool(numbers, shape):
    if numbers.random() < 0.3:
        return {"kernel": (0, 0), "stride": (0, 0), "padding": "same"}
    kernel = pair(numbers, extent)
    return {"kernel": kernel, "stride": (0, 0) if numbers.random() < 0.4 else pair(numbers, step),
            "padding": padding_within(numbers, kernel, (1, 1))}


def decimals(numbers, low, high):
    return Fraction(numbers.randint(low * 8, high * 8), 8)


def one_or_each(numbers, count, draw):
    return tuple(draw() for _ in range(count)) if numbers.random() < 0.4 and count <= 12 else (draw(),)


def draw_normalize(numbers, shape):
    return {"mean": one_or_each(numbers, shape[-1], lambda: decimals(numbers, -2, 3)),
            "scale": one_or_each(numbers, shape[-1], lambda: decimals(numbers, -2, 2) or Fraction(1, 3))}


def draw_pad(numbers, shape):
    p, q = numbers.randint(0, 3), numbers.randint(0, 3)
    return {"amounts": numbers.choice([(p,) * 4, (p, q, p, q), (p, q, numbers.randint(0, 2), 0)])}


def draw_channel_pad(numbers, shape):
    return {"after": numbers.randint(0, 9), "before": numbers.choice([0, 0, 1, 3, 8])}


def draw_resize(numbers, shape, flag):
    attrs = {"height": 0, "width": 0, "scale": Fraction(0), flag: numbers.random() < 0.5}
    if numbers.random() < 0.5:
        attrs["scale"] = Fraction(numbers.choice([1, 2, 2, 3]), numbers.choice([1, 1, 2]))
    else:
        attrs.update(height=numbers.randint(1, 2 * shape[0] + 1), width=numbers.randint(1, 2 * shape[1] + 1))
    return attrs


def draw_reshape(numbers, shape):
    total = product(shape)
    height = numbers.choice(divisors(total))
    width = numbers.choice(divisors(total // height))
    return {"shape": (total,) if numbers.random() < 0.3 else (height, width, total // height // width)}


def draw_transpose(numbers, shape):
    return {"order": tuple(numbers.sample(range(len(shape)), len(shape)))}


def nothing(numbers, shape):
    return {}


WINDOW = {"kernel": Attr("kernel", REQUIRED, 1)}
STRIDED = {"stride": Attr("kernel", (1, 1), 1), "padding": Attr("padding", "same"),
           "dilation": Attr("kernel", (1, 1), 1)}
POOL = {"kernel": Attr("kernel", (0, 0)), "stride": Attr("kernel", (0, 0)), "padding": Attr("padding", "same")}
SIZES = {"height": Attr("int", 0), "width": Attr("int", 0), "scale": Attr("number", Fraction(0))}

ANY = ("f32", "u8", "i32")

TABLE = {
    "conv": Operator({**WINDOW, "channels": Attr("int", REQUIRED, 1), **STRIDED, "groups": Attr("int", 1, 1),
                      "bias": Attr("bool", False)}, conv_shape, draw_conv, cost=conv_cost, weight=10),
    "depthwise": Operator({**WINDOW, **STRIDED, "multiplier": Attr("int", 1, 1), "bias": Attr("bool", False)},
                          depthwise_shape, draw_depthwise, cost=depthwise_cost, weight=6),
    "dense": Operator({"units": Attr("int", REQUIRED, 1), "bias": Attr("bool", True)},
                      lambda shapes, a: (a["units"],),
                      lambda numbers, shape: {"units": channels(numbers), "bias": numbers.random() < 0.7},
                      cost=dense_cost, weight=1.5),
    "batchnorm": Operator({"epsilon": Attr("number", Fraction(1, 1000))}, batchnorm_shape,
                          lambda numbers, shape: {"epsilon": numbers.choice([Fraction(1, 1000), Fraction(1, 100000)])},
                          cost=lambda shapes, a, out: (product(out), 4 * out[-1]), weight=3),
    "bias": Operator({}, same_shape, nothing, cost=lambda shapes, a, out: (product(out), out[-1])),
    "normalize": Operator({"mean": Attr("numbers", (Fraction(0),)), "scale": Attr("numbers", (Fraction(1),))},
                          normalize_shape, draw_normalize, takes=("f32", "u8"), makes="f32"),
    "relu": Operator({}, same_shape, nothing, weight=1.5),
    "relu6": Operator({}, same_shape, nothing, weight=1.5),
    "leaky_relu": Operator({"slope": Attr("number", Fraction(1, 100))}, same_shape,
                           lambda numbers, shape: {"slope": decimals(numbers, -1, 2)}),
    "prelu": Operator({}, same_shape, nothing, cost=lambda shapes, a, out: (product(out), out[-1])),
    "sigmoid": Operator({}, same_shape, nothing),
    "hard_sigmoid": Operator({}, same_shape, nothing),
    "swish": Operator({}, same_shape, nothing),
    "hard_swish": Operator({}, same_shape, nothing),
    "tanh": Operator({}, same_shape, nothing),
    "add": Operator({}, equal_shapes, inputs=(2, 2), weight=3),
    "sub": Operator({}, equal_shapes, inputs=(2, 2)),
    "mul": Operator({}, mul_shape, inputs=(2, 2), weight=2),
    "avgpool": Operator(POOL, pool_shape, draw_pool, cost=pool_cost, weight=2),
    "maxpool": Operator(POOL, pool_shape, draw_pool, cost=pool_cost, weight=2),
    "mean": Operator({}, mean_shape, nothing, weight=0.5),
    "softmax": Operator({}, same_shape, nothing),
    "concat": Operator({}, concat_shape, inputs=(2, 8), weight=2),
    "pad": Operator({"amounts": Attr("padding", REQUIRED)}, pad_shape, draw_pad),
    "channel_pad": Operator({"after": Attr("int", REQUIRED), "before": Attr("int", 0)}, channel_pad_shape,
                            draw_channel_pad),
    "resize_nearest": Operator({**SIZES, "half_pixel": Attr("bool", False)}, resize_shape,
                               lambda numbers, shape: draw_resize(numbers, shape, "half_pixel")),
    "resize_bilinear": Operator({**SIZES, "align_corners": Attr("bool", False)}, resize_shape,
                                lambda numbers, shape: draw_resize(numbers, shape, "align_corners")),
    "reshape": Operator({"shape": Attr("dims", REQUIRED, 1)}, reshape_shape, draw_reshape, takes=ANY),
    "transpose": Operator({"order": Attr("dims", REQUIRED, 0, (1, 2, 3))}, transpose_shape, draw_transpose, takes=ANY),
    "argmax": Operator({}, argmax_shape, nothing, makes="i32", weight=0.7),
    "conv_transpose": Operator({**WINDOW, "channels": Attr("int", REQUIRED, 1), "stride": Attr("kernel", (1, 1), 1),
                                "padding": Attr("padding", "same"), "output_padding": Attr("kernel", (0, 0)),
                                "groups": Attr("int", 1, 1), "bias": Attr("bool", False)},
                               conv_transpose_shape, draw_conv_transpose, cost=conv_transpose_cost, weight=2),
    "flatten": Operator({}, lambda shapes, a: (product(shapes[0]),), nothing, takes=ANY, weight=0.5),
    "dropout": Operator({"rate": Attr("number", Fraction(1, 2))}, dropout_shape,
                        lambda numbers, shape: {"rate": Fraction(numbers.randint(0, 9), 10)}, weight=0.5),
}
NAMES = set(TABLE)
# What mncc refuses by name, and must.
REFUSED = {"layernorm", "matmul", "gru"}
