"""Random programs that are valid.

A body grows stage by stage. What a stage makes of its input is asked of language.py, and what that
refuses, or what would cost too much, is taken back; so the drawing itself may be careless. Numbers
are drawn as values and written down as one of the expressions with that value: literals, sums,
parameters, functions, dimensions of tensors. Blocks are bodies of which some literals have become
parameters, and are applied again where that is valid."""

import random
from fractions import Fraction

import operators
from language import (Apply, Arg, Binary, Block, Body, Comment, Cond, Declared, Default, Expansion, Flow, Fn,
                      Include, Input, Invalid, Kernel, Let, Listing, Net, Num, Output, Param, Program,
                      Scope, Source, Tensor, Text, Unary, Var, Word, expand, nodes)
from operators import MAX_MACS, MAX_WEIGHTS, REQUIRED, TABLE, costs, product

# Names that are harmless here and mean something in C, C++, Python or the files that mncc writes.
AWKWARD = ["int", "float", "register", "double", "class", "arena", "out", "main", "self", "lambda", "None",
           "torch", "errno", "i", "y", "c", "acc", "t0", "w0", "in0", "weights_", "NULL", "memcpy", "x_", "__",
           "restrict", "F", "nn", "forward", "conv0", "EOF", "inline", "print", "net", "run", "step"]
PLAIN = ["a", "b", "d", "left", "right", "skip", "wide", "narrow", "deep", "stem", "feat", "mid", "low", "high"]
WORDS = {"same", "valid", "true", "false"}


def literal(value):
    return Num(Fraction(value))


class Names:
    """Every name is given once in a program, which keeps programs free of accidents."""

    def __init__(self, numbers):
        self.numbers, self.used = numbers, set()

    def new(self, stem=None):
        pool = [stem] if stem else AWKWARD if self.numbers.random() < 0.2 else PLAIN
        while True:
            name = self.numbers.choice(pool)
            if name in self.used or stem:
                name += str(self.numbers.randint(0, 99))
            if name not in self.used and name not in operators.NAMES and name not in WORDS:
                self.used.add(name)
                return name


class Level:
    """What numbers can be written with at one place: parameters and functions, with their values
    and how to invert them; `declared` is the scope of its functions and blocks."""

    def __init__(self, declared):
        self.declared = declared
        self.parameters = {}  # name -> value
        self.functions = []   # (name, function that gives the argument for a value, or None)
        self.blocks = []


class Generator:
    def __init__(self, numbers):
        self.numbers = numbers
        self.names = Names(numbers)
        self.budget = 6 if self.chance(0.04) else 1  # now and then a larger network

    def chance(self, share):
        return self.numbers.random() < share

    # ---- numbers as expressions ----

    def number(self, value, level, tensors=()):
        """An expression with this value."""
        value = Fraction(value)
        if self.chance(0.72):
            return literal(value)
        ways = [self.sum, self.product, self.bounded, self.by_parameter, self.by_function, self.by_dimension]
        return self.numbers.choice(ways)(value, level, tensors) or literal(value)

    def sum(self, value, level, tensors):
        part = Fraction(self.numbers.randint(0, 9))
        if self.chance(0.5):
            return Binary("+", literal(part), literal(value - part)) if value >= part else None
        return Binary("-", literal(value + part), literal(part))

    def product(self, value, level, tensors):
        factor = Fraction(self.numbers.choice([2, 3, 4, 5]))
        return Binary(*self.numbers.choice([("*", literal(value / factor), literal(factor)),
                                            ("/", literal(value * factor), literal(factor))]))

    def bounded(self, value, level, tensors):
        call = lambda name, *args: Apply(name, [Arg(None, arg) for arg in args])  # noqa: E731
        other, bit = Fraction(self.numbers.randint(1, 9)), Fraction(1, self.numbers.choice([3, 4, 7]))
        ways = [call("max", literal(value), literal(value - other)),
                call("min", literal(value + other), literal(value), literal(value + 1)),
                Unary("-", literal(-value))]
        if value.denominator == 1 and value > 0:
            ways += [call("floor", literal(value + bit)), call("ceil", literal(value - bit)),
                     call("round", literal(value + bit))]
        if value.denominator == 1 and value % 8 == 0 and value > 0:
            ways.append(call("divisible", literal(value + Fraction(1, 2)), literal(8)))
        return self.numbers.choice(ways)

    def by_parameter(self, value, level, tensors):
        if not level.parameters:
            return None
        name = self.numbers.choice(sorted(level.parameters))
        has = level.parameters[name]
        if type(has) is not Fraction or has == 0:
            return None
        ratio = value / has
        if ratio.denominator <= 16 and abs(ratio.numerator) < 10**5:
            return Var(name) if ratio == 1 else Binary("*", literal(ratio), Var(name))
        return Binary("+", Var(name), literal(value - has)) if (value - has).denominator <= 16 else None

    def by_function(self, value, level, tensors):
        if not level.functions:
            return None
        name, inverse = self.numbers.choice(level.functions)
        argument = inverse(value)
        return None if argument is None else Apply(name, [Arg(None, literal(argument))])

    def by_dimension(self, value, level, tensors):
        found = [(dimension, name) for name, tensor in tensors
                 for dimension, size in zip(("height", "width", "channels"),
                                            (1,) * (3 - len(tensor.shape)) + tensor.shape) if size == value]
        if not found:
            return None
        dimension, name = self.numbers.choice(found)
        return Apply(dimension, [Arg(None, Var(name))])

    def truth(self, want, level, tensors):
        """A condition that is `want`."""
        if self.chance(0.15):
            return Word("true" if want else "false")
        left, right = Fraction(self.numbers.randint(1, 6)), Fraction(self.numbers.randint(1, 6))
        holds = {"==": left == right, "!=": left != right, "<": left < right, "<=": left <= right,
                 ">": left > right, ">=": left >= right}
        op = self.numbers.choice(sorted(holds))
        test = Binary(op, self.number(left, level, tensors), self.number(right, level, tensors))
        is_true = holds[op]
        if self.chance(0.3):
            other = self.chance(0.5)
            joint = self.numbers.choice(["and", "or"])
            test = Binary(joint, test, Word("true" if other else "false"))
            is_true = (is_true and other) if joint == "and" else (is_true or other)
        return test if is_true == want else Unary("not", test)

    # ---- attributes ----

    def attribute(self, kind, value, level, tensors):
        number = lambda v: self.number(v, level, tensors)  # noqa: E731
        if kind == "int" or kind == "number":
            return number(value)
        if kind == "bool":
            return Word("true" if value else "false")
        if kind == "padding" and isinstance(value, str):
            return Word(value)
        if kind == "dims":
            return Listing([number(v) for v in value])
        if kind == "numbers":
            return number(value[0]) if len(value) == 1 else Listing([literal(v) for v in value])
        if kind == "kernel":
            if value[0] == value[1] and self.chance(0.4):
                return number(value[0])
            return Kernel(*value) if self.chance(0.6) else Listing([number(v) for v in value])
        if len(set(value)) == 1 and self.chance(0.6):
            return number(value[0])
        if value[:2] == value[2:] and self.chance(0.7):
            return Listing([number(v) for v in value[:2]])
        return Listing([number(v) for v in value])

    def application(self, name, attrs, tensors, level, visible):
        """Some arguments by place, others by name, those with their default often left out."""
        args, by_place = [Arg(None, Var(tensor)) for tensor in tensors], True
        named = []
        for key, attr in TABLE[name].attrs.items():
            if attr.default is not REQUIRED and attrs[key] == attr.default and self.chance(0.8):
                by_place = False
                continue
            value = self.attribute(attr.kind, attrs[key], level, visible)
            if by_place and self.chance(0.75):
                args.append(Arg(None, value))
            else:
                by_place = False
                named.append(Arg(key, value))
        self.numbers.shuffle(named)
        return Apply(name, args + named)

    # ---- bodies ----

    def affordable(self, expansion):
        macs = weights = 0
        for layer in expansion.layers:
            some, more = costs(layer.op, [t.shape for t in layer.inputs], layer.attrs, layer.output.shape)
            macs, weights = macs + some, weights + more
        return macs <= self.budget * MAX_MACS and weights <= self.budget * MAX_WEIGHTS


class Growth:
    """A body that grows: items, and the flow that is being continued."""

    def __init__(self, generator, level, tensors, depth):
        self.g, self.level, self.depth = generator, level, depth
        self.given = dict(tensors)  # name -> Tensor, from outside
        self.items, self.flow = [], None
        self.named = {}             # what the items name

    def probe(self, items, head=None):
        """The tensors that items name, the value of the last flow; Invalid if they are wrong or too dear."""
        expansion = Expansion(Program(Source([])))
        expansion.network_scope = None
        scope = Scope(self.level.declared, dict(self.given))
        value = expansion.body(Scope(scope, {}) if "in" in self.given else scope, Body(items), None)
        if not self.g.affordable(expansion):
            raise Invalid("too dear")
        return value

    def visible(self):
        return list(self.given.items()) + list(self.named.items())

    def current(self):
        return self.probe(self.items + [self.flow])

    def start(self, name):
        self.flow = Flow(Var(name))
        self.tensor = dict(self.visible())[name]

    def attempt(self, stages, before=()):
        """Appends stages if the whole remains valid."""
        trial = Flow(self.flow.head, self.flow.stages + stages)
        try:
            value = self.probe(self.items + list(before) + [trial])
        except Invalid:
            return False
        self.items += before
        self.flow, self.tensor = trial, value
        return True

    def flush(self):
        """Names what the flow has come to; the next flow begins there."""
        if not self.flow.stages:
            return self.flow.head.name
        last = self.flow.stages[-1]
        if not isinstance(last, Let):
            last = Let(self.g.names.new())
            self.flow.stages.append(last)
        self.items.append(self.flow)
        self.named[last.name] = self.tensor
        self.flow = Flow(Var(last.name))
        return last.name

    # -- stages --

    def grow(self, count):
        g = self.g
        for _ in range(count):
            kind = g.numbers.random()
            if kind < 0.60:
                self.operator()
            elif kind < 0.74:
                self.joined()
            elif kind < 0.82 and self.depth < 2:
                self.block()
            elif kind < 0.88 and self.depth < 2:
                self.condition()
            elif kind < 0.92 and self.depth < 2:
                self.nested_body()
            elif kind < 0.96:
                self.gate()
            else:
                self.flow.stages.append(Let(g.names.new())) if not (
                    self.flow.stages and isinstance(self.flow.stages[-1], Let)) else None
                if self.flow.stages and isinstance(self.flow.stages[-1], Let):
                    self.flush()

    def operator(self):
        g = self.g
        single = [name for name, row in TABLE.items() if row.draw]
        weights = [TABLE[name].weight for name in single]
        for _ in range(4):
            name = g.numbers.choices(single, weights)[0]
            stage = g.application(name, TABLE[name].draw(g.numbers, self.tensor.shape if name == "transpose" else self.shape3()), [], self.level, self.visible())
            if g.chance(0.06):
                stage.times = g.number(g.numbers.randint(0, 3), self.level, self.visible())
            elif g.chance(0.04) and not self.depth:
                stage.args.append(Arg("name", Text(g.names.new("my.path"))))
            if self.attempt([stage]):
                return True
        return False

    def shape3(self):
        return (1,) * (3 - len(self.tensor.shape)) + self.tensor.shape

    def partner(self, fits):
        names = [name for name, tensor in self.visible() if fits(tensor) and tensor.elem == self.tensor.elem]
        return self.g.numbers.choice(names) if names else None

    def joined(self):
        """add, sub, mul or concat with another tensor, which is made if there is none."""
        g = self.g
        base = self.flush()
        op = g.numbers.choices(["add", "sub", "mul", "concat"], [3, 1, 1, 2])[0]
        shape = self.tensor.shape
        fits = (lambda t: t.shape[:-1] == shape[:-1]) if op == "concat" else (lambda t: t.shape == shape)
        others = []
        for _ in range(g.numbers.choice([1, 1, 1, 2, 3, 7]) if op == "concat" else 1):
            other = self.partner(fits)
            if other is None or g.chance(0.4):
                other = self.branch(base, fits) or other
            if other is None:
                return
            others.append(other)
        self.start(base)
        self.join(op, base, others)

    def join(self, op, base, others):
        g = self.g
        names = [base] + others
        sign = {"add": "+", "sub": "-", "mul": "*"}.get(op)
        way = g.numbers.random()
        if sign and way < 0.3:
            self.head(Binary(sign, Var(base), Var(others[0])))
        elif way < 0.55:
            self.head(Apply(op, [Arg(None, Var(name)) for name in names]))
        elif sign and way < 0.65 and self.items and isinstance(self.items[-1], Flow):
            self.head(Binary(sign, Flow(Var(base), [Apply("relu")]), Var(others[0])))
        else:
            self.attempt([Apply(op, [Arg(None, Var(name)) for name in others])])

    def head(self, head):
        before, self.flow = self.flow, Flow(head)
        if not self.attempt([]):
            self.flow = before
            return
        self.flow.stages.append(Let(self.g.names.new()))
        self.flush()

    def branch(self, base, fits):
        """A flow from `base` whose result fits; its name or null."""
        g, kept = self.g, (list(self.items), dict(self.named))
        self.start(base)
        shape = self.tensor.shape
        for _ in range(g.numbers.randint(1, 2)):
            if len(shape) == 3 and g.chance(0.6):
                kernel = g.numbers.choice([(1, 1), (3, 3), (1, 3), (5, 5), (3, 2)])
                attrs = {"kernel": kernel, "channels": shape[2], "stride": (1, 1), "padding": "same",
                         "dilation": (1, 1), "groups": 1, "bias": g.chance(0.3)}
                self.attempt([g.application("conv", attrs, [], self.level, self.visible())])
            else:
                self.operator()
        if self.flow.stages and fits(self.tensor):
            return self.flush()
        self.items, self.named = kept
        return None

    def gate(self):
        """Squeeze and excite: a factor per channel."""
        g = self.g
        if len(self.tensor.shape) != 3:
            return
        base, channels = self.flush(), self.tensor.shape[2]
        pool = g.numbers.choice(["avgpool", "mean", "maxpool"])
        gate = g.numbers.choice(["sigmoid", "hard_sigmoid", "tanh"])
        squeeze = Apply("conv", [Arg(None, Kernel(1, 1)), Arg(None, literal(channels)), Arg("bias", Word("true"))])
        stages = [Apply(pool)] + ([squeeze] if g.chance(0.7) else []) + [Apply(gate)]
        if self.attempt(stages):
            factor = self.flush()
            self.start(base)
            self.join("mul", *((base, [factor]) if g.chance(0.7) else (factor, [base])))

    def nested(self, count, outer=False):
        """A body for what flows here: items, or null. It may see the tensors around it."""
        given = dict(self.visible()) if outer else {}
        inner = Growth(self.g, self.level, {**given, "in": self.tensor}, self.depth + 1)
        inner.start("in")
        inner.grow(count)
        return inner.finished()

    def finished(self):
        if not self.flow.stages and not self.items:
            return None
        if self.flow.stages:
            self.items.append(self.flow)
        else:
            self.items.append(Flow(Var(self.flow.head.name)))
        return self.headed(self.items)

    def headed(self, items):
        """Now and then without `in` at the head, which an application then is fed."""
        for flow in items:
            if isinstance(flow, Flow) and isinstance(flow.head, Var) and flow.head.name == "in" and \
                    flow.stages and isinstance(flow.stages[0], Apply) and flow.stages[0].times is None and \
                    not any(isinstance(arg.value, Var) and arg.name is None and arg.value.name in
                            dict(self.visible()) for arg in flow.stages[0].args) and self.g.chance(0.5):
                flow.head = flow.stages.pop(0)
        return items

    def nested_body(self):
        items = self.nested(self.g.numbers.randint(1, 2), outer=True)
        if items:
            self.attempt([Body(items)])

    def condition(self):
        g = self.g
        taken = self.nested(g.numbers.randint(1, 2), outer=True)
        if not taken:
            return
        want = g.chance(0.6)
        other = None
        if not want or g.chance(0.5):  # what is not taken may be nonsense
            other = Body([Flow(Var("in"), [Apply(g.numbers.choice(["relu", "never", "tanh"]))])])
        test = g.truth(want, self.level, self.visible())
        branches = (Body(taken), other) if want else (other, Body(taken))
        if want and other and g.chance(0.3):
            branches = (branches[0], Cond(g.truth(True, self.level, self.visible()), other))
        self.attempt([Cond(test, *branches)])

    # -- blocks --

    def block(self):
        g = self.g
        if self.level.blocks and g.chance(0.5) and self.apply_again(g.numbers.choice(self.level.blocks)):
            return
        items = self.nested(g.numbers.randint(1, 3))
        if not items:
            return
        block = Block(g.names.new("block"), [], Body(items))
        args = self.abstract(block)
        try:
            self.level.declared.define(block.name, Declared(block, self.level.declared))
        except Invalid:
            return
        self.level.blocks.append(block)
        stage = Apply(block.name, args)
        if g.chance(0.2):
            stage.times = literal(g.numbers.choice([1, 2, 2, 3]))
        elif g.chance(0.15) and not self.depth:
            stage.args.append(Arg("name", Text(g.names.new("my.block"))))
        self.attempt([stage])

    def abstract(self, block):
        """Some literals of the block become its parameters; the arguments that restore them."""
        g, args = self.g, []
        places = [(parent, key, i, node) for node, parent, key, i in nodes(block.body)
                  if isinstance(parent, Arg) and (parent.name != "name") and
                  (isinstance(node, (Num, Kernel)) or (isinstance(node, Word) and node.name in ("same", "valid")))]
        for parent, key, i, node in g.numbers.sample(places, min(len(places), g.numbers.choice([0, 1, 1, 2, 3]))):
            name = g.names.new()
            has_default = bool(block.params and block.params[-1].value is not None) or g.chance(0.5)
            setattr(parent, key, Var(name))
            block.params.append(Param(name, node if has_default else None))
            if not has_default:
                args.append(Arg(None, node) if all(arg.name is None for arg in args) and g.chance(0.7)
                            else Arg(name, node))
            elif g.chance(0.3):
                args.append(Arg(name, node))
        return args

    def apply_again(self, block):
        g, args = self.g, []
        for param in block.params:
            if param.value is not None and g.chance(0.5):
                continue
            sample = param.value if param.value is not None else literal(g.numbers.randint(1, 12))
            value = {Num: lambda: g.number(g.numbers.randint(1, 12), self.level, self.visible()),
                     Kernel: lambda: Kernel(g.numbers.choice([1, 3]), g.numbers.choice([1, 2, 3])),
                     Word: lambda: Word(g.numbers.choice(["same", "valid"]))}[type(sample)]()
            args.append(Arg(param.name, value))
        return self.attempt([Apply(block.name, args)])


def draw_functions(generator, level, prefix):
    """Functions whose inverse is known, so that numbers can be written with them."""
    g = generator
    for _ in range(g.numbers.choice([0, 0, 1, 2])):
        name, by = g.names.new(prefix), Fraction(g.numbers.randint(1, 4))
        n = Var("n")
        shapes = [(Binary("+", n, Num(by)), lambda v, by=by: v - by),
                  (Binary("*", Num(by), n), lambda v, by=by: v / by),
                  (Apply("max", [Arg(None, Apply("floor", [Arg(None, n)])), Arg(None, Num(Fraction(1)))]),
                   lambda v: v + Fraction(1, 3) if v >= 1 and v.denominator == 1 else None)]
        if "alpha" in level.parameters:
            alpha = level.parameters["alpha"]
            scaled = Apply("floor", [Arg(None, Binary("*", n, Var("alpha")))])
            shapes += [(Apply("max", [Arg(None, scaled), Arg(None, Num(Fraction(1)))]),
                        lambda v, a=alpha: Fraction((v / a).__ceil__()) if v >= 1 and v.denominator == 1 and
                        ((v / a).__ceil__() * a).__floor__() == v else None)] * 3
        value, inverse = g.numbers.choice(shapes)
        item = Fn(name, [Param("n")], value)
        level.declared.define(name, Declared(item, level.declared))
        level.functions.append((name, inverse))
        yield item


def draw_input(generator, level, proportion=None):
    """An Input; at a proportion to rho, if given."""
    g = generator
    side = lambda: g.numbers.choice([1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 13, 15, 16, 17, g.numbers.randint(1, 24)])  # noqa: E731
    name = g.names.new()
    channels = g.numbers.choice([1, 2, 3, 3, 3, 4, 5, 8, 11, 16])
    if proportion:
        size = proportion * g.numbers.randint(1, 5)
        dims = [Binary("*", literal(size / level.parameters["rho"]), Var("rho"))] * 2 + [literal(channels)]
    elif g.chance(0.12):
        dims = [literal(g.numbers.choice([1, 2, 7, 16, 33])) for _ in range(g.numbers.choice([1, 1, 2]))]
        channels = int(dims[-1].value)
    else:
        dims = [g.number(v, level) for v in (side(), side(), channels)]
    elem, args = ("u8" if g.chance(0.25) else "f32"), []
    if elem == "u8" or g.chance(0.1):
        mean = lambda: literal(Fraction(g.numbers.randint(0, 255)))  # noqa: E731
        count = channels if channels <= 7 and g.chance(0.5) else 1
        means = [mean() for _ in range(count)]
        args = [Arg("mean", Listing(means) if count > 1 else means[0])] if g.chance(0.7) else []
        if elem == "f32":
            args = [Arg("mean", literal(Fraction(1, 2)))]
        if g.chance(0.8) or not args:
            args.append(Arg("scale", Binary("/", literal(1), literal(g.numbers.choice([32, 58, 64, 128])))
                            if elem == "u8" else literal(Fraction(3, 4))))
    return Input(name, elem, dims, args)


def network_parameters(generator, program, level):
    """Parameters, and what the command line makes of them. The side that --resolution asks for, or null."""
    g, params = generator, []
    if g.chance(0.35):
        alpha = g.numbers.choice([Fraction(1), Fraction(1, 2), Fraction(3, 4), Fraction(5, 4), Fraction(1, 3)])
        params.append(Param("alpha", literal(1)))
        level.parameters["alpha"] = alpha
        if alpha != 1 or g.chance(0.3):
            program.values.append(("alpha", alpha))
    unit = None
    if g.chance(0.25):
        rho = g.numbers.choice([Fraction(1), Fraction(1, 2), Fraction(3, 4), Fraction(6, 7), Fraction(2)])
        params.append(Param("rho", literal(1)))
        level.parameters["rho"] = rho
        unit = rho.numerator
        if rho != 1:
            program.values.append(("rho", rho))
    for _ in range(g.numbers.choice([0, 0, 0, 1, 2])):
        name, value = g.names.new("p"), Fraction(g.numbers.randint(1, 16))
        params.append(Param(name, literal(value) if g.chance(0.7) else None))
        if params[-1].value is None or g.chance(0.3):
            value = Fraction(g.numbers.randint(1, 16), g.numbers.choice([1, 1, 2]))
            program.values.append((name, value))
        level.parameters[name] = value
    return params, unit


def side_by_resolution(program, level):
    """--resolution instead of --rho, where the first input allows it."""
    first = next(item for item in program.main.network.body.items if isinstance(item, Input))
    if not isinstance(first.dims[0], Binary) or first.dims[0].op != "*" or len(first.dims) != 3:
        return
    program.values = [pair for pair in program.values if pair[0] != "rho"]
    program.resolution = int(first.dims[0].left.value * level.parameters["rho"])


def make_library(generator, program):
    """A file to include, with functions and a block; its level. Names are lexical: it stands alone."""
    g = generator
    level = Level(Scope())
    items = list(draw_functions(g, level, "file"))
    growth = Growth(g, level, {"in": Tensor((g.numbers.randint(3, 9), g.numbers.randint(3, 9), g.numbers.randint(1, 8)))}, 1)
    growth.start("in")
    growth.block()
    return level, items + level.blocks


def try_program(numbers):
    """One attempt; Invalid if it came to nothing."""
    g = Generator(numbers)
    program = Program(Source([]))
    outside = Level(Scope())
    library = None
    if g.chance(0.3):
        library, items = make_library(g, program)
        if items and g.chance(0.5):
            name = g.names.new("lib") + ".mn"
            program.files[name] = Source(items)
            program.main.items.append(Include(name))
        else:
            program.main.items += items
        outside = library
    level = Level(Scope(outside.declared))
    params, unit = network_parameters(g, program, level)
    level.functions, level.blocks = list(outside.functions), list(outside.blocks)
    for name, value in level.parameters.items():
        level.declared.define(name, value)
    body = Body(list(draw_functions(g, level, "fn")))
    if g.chance(0.1):
        body.items.append(Default("batchnorm", [Arg("epsilon", literal(Fraction(1, 100000)))]))
    if g.chance(0.08):
        body.items.append(Default("conv", [Arg(*g.numbers.choice([("bias", Word("true")), ("padding", Word("valid"))]))]))
    Expansion(program).declare(level.declared, [item for item in body.items if isinstance(item, Default)])
    program.main.network = Net(g.names.new() if g.chance(0.5) else "random", params, body)
    fill(g, program, level, body, unit)
    return program


def fill(g, program, level, body, unit):
    """Inputs, flows and outputs."""
    tensors = {}
    for i in range(g.numbers.choice([1, 1, 1, 1, 2, 3])):
        item = draw_input(g, level, unit if i == 0 and unit else None)
        trial = Expansion(program)
        trial.network_scope = Scope(level.declared)
        trial.input(trial.network_scope, item)
        tensors[item.name] = trial.network_scope.names[item.name]
        body.items.append(item)
    growth = Growth(g, level, tensors, 0)
    left = g.numbers.choice([1, 2, 3, 4, 5, 6, 8]) * (3 if g.budget > 1 else 1)
    while left > 0:
        unread = [name for name in tensors if name not in used_names(growth.items)]
        growth.start(g.numbers.choice(unread if unread and g.chance(0.7) else [name for name, _ in growth.visible()]))
        count = min(left, g.numbers.randint(1, 5))
        growth.grow(count)
        left -= count
        if growth.flow.stages:
            growth.flush()
    inner = set(outside_names(level, g))
    body.items += [block for block in level.blocks if block.name not in inner]
    body.items += growth.items
    name_outputs(g, growth, body)
    if program.values and "rho" in dict(program.values) and g.chance(0.5):
        side_by_resolution(program, level)
    if g.chance(0.2):
        body.items.insert(g.numbers.randint(0, len(body.items)), Comment("'quoted', \"too\" -> */ ;"))


def outside_names(level, g):
    return level.declared.up.names


def used_names(items):
    return {node.name for item in items for node, _, _, _ in nodes(item) if isinstance(node, Var)}


def name_outputs(g, growth, body):
    """Every tensor that nothing reads becomes an output, and now and then one that is read, or an input."""
    read = used_names(growth.items)
    made = [name for name in growth.named if g.chance(0.12) or name not in read]
    made = [name for name in made if growth.named[name].elem != "u8"]
    for name in made[-6:] or list(growth.named)[-1:]:
        shape = growth.named[name].shape
        labels = [f"class \\{i}\"" for i in range(shape[-1])] if shape[-1] <= 4 and g.chance(0.1) else None
        output = Output(g.names.new(), labels)
        flow = next((item for item in growth.items if isinstance(item, Flow) and item.stages and
                     isinstance(item.stages[-1], Let) and item.stages[-1].name == name), None)
        if flow and name not in read and g.chance(0.7):
            flow.stages[-1] = output
        elif flow and g.chance(0.5):
            flow.stages.append(output)
        else:
            body.items.append(Flow(Var(name), [output]))
    if g.chance(0.06):
        name, tensor = g.numbers.choice(growth.visible())
        body.items += [Flow(Var(name), [Output(g.names.new())])] if tensor.elem != "u8" else []


def random_program(seed):
    """The program of this seed: the same everywhere."""
    for attempt in range(1000):
        try:
            program = try_program(random.Random(f"network {seed} {attempt}"))
            expansion = expand(program)
        except Invalid:
            continue
        if expansion.layers:
            return program
    raise AssertionError(f"no program for seed {seed}")
