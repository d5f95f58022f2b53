"""The language as these tests know it: the tree of a program, its text, and what it means.

`expand` binds parameters, expands blocks, repetitions and conditions and infers every shape, or
raises Invalid. It is written from docs/language.md and docs/operators.md and shares nothing with
mncc: so a generator knows without asking mncc that its program is valid, and a mutation that it
has become wrong.

A value is a Fraction, a bool, a Word, a Kernel, a Text, a list or a Tensor."""

import copy
from dataclasses import dataclass, field, fields, is_dataclass
from fractions import Fraction
from typing import Any, List, Optional, Tuple

import operators
from operators import Invalid, Shape, Unwanted

MAX_STEPS = 20000


# ---- the tree: expressions ----

@dataclass
class Num:
    value: Fraction


@dataclass
class Kernel:
    height: int
    width: int


@dataclass
class Word:
    """same, valid, true or false."""
    name: str


@dataclass
class Text:
    text: str


@dataclass
class Var:
    """A parameter or a tensor."""
    name: str


@dataclass
class Listing:
    items: List[Any]


@dataclass
class Unary:
    op: str
    of: Any


@dataclass
class Binary:
    op: str
    left: Any
    right: Any


@dataclass
class Arg:
    name: Optional[str]
    value: Any


@dataclass
class Apply:
    """Of an operator, block or function; `times` is a repetition's count."""
    name: str
    args: List[Arg] = field(default_factory=list)
    times: Any = None


# ---- flows ----

@dataclass
class Let:
    name: str


@dataclass
class Output:
    name: str
    labels: Optional[List[str]] = None


@dataclass
class Cond:
    """A stage, or an item of a body."""
    condition: Any
    then: Any
    other: Any = None


@dataclass
class Body:
    items: List[Any] = field(default_factory=list)


@dataclass
class Flow:
    """An item of a body, or in parentheses a value."""
    head: Any
    stages: List[Any] = field(default_factory=list)


# ---- declarations ----

@dataclass
class Param:
    name: str
    value: Any = None


@dataclass
class Fn:
    name: str
    params: List[Param]
    value: Any


@dataclass
class Block:
    name: str
    params: List[Param]
    body: Body


@dataclass
class Default:
    op: str
    args: List[Arg]


@dataclass
class Input:
    name: str
    elem: str
    dims: List[Any]
    args: List[Arg] = field(default_factory=list)


@dataclass
class Comment:
    text: str


@dataclass
class Include:
    name: str


@dataclass
class Source:
    """A file; `network` is null in one that is included."""
    items: List[Any]
    network: Any = None


@dataclass
class Net:
    name: str
    params: List[Param]
    body: Body


@dataclass
class Program:
    """`files` by name: what `main` includes. `values`: what the command line sets."""
    main: Source
    files: dict = field(default_factory=dict)
    values: List[Tuple[str, Fraction]] = field(default_factory=list)
    resolution: Optional[int] = None

    def arguments(self):
        """mncc's options for the parameters."""
        words = []
        for name, value in self.values:
            words += [f"--{name}", str(value)] if name in ("alpha", "rho") else ["-D", f"{name}={value}"]
        return words + (["--resolution", str(self.resolution)] if self.resolution else [])

    def copy(self):
        return copy.deepcopy(self)


def nodes(node):
    """The node and all below it, as (node, parent, field name, index or none), parents first."""
    stack = [(node, None, None, None)]
    while stack:
        entry = stack.pop()
        yield entry
        at = entry[0]
        if not is_dataclass(at):
            continue
        for part in reversed(fields(at)):
            value = getattr(at, part.name)
            if isinstance(value, list):
                stack += [(child, at, part.name, i) for i, child in reversed(list(enumerate(value)))
                          if is_dataclass(child)]
            elif is_dataclass(value):
                stack.append((value, at, part.name, None))


# ---- text ----

def number_text(value):
    """A literal; fractions are quotients."""
    if value.denominator == 1:
        return str(value.numerator)
    decimal = value * 10000
    if decimal.denominator == 1:
        sign, digits = "-" if value < 0 else "", str(abs(decimal.numerator)).rjust(5, "0")
        return f"{sign}{digits[:-4]}.{digits[-4:].rstrip('0')}"
    return f"{value.numerator} / {value.denominator}"


def operand_text(node):
    text = expr_text(node)
    whole = isinstance(node, (Binary, Unary)) or (isinstance(node, Num) and not text.replace(".", "").isdigit())
    return f"({text})" if whole else text


def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def arg_text(arg):
    return (f"{arg.name} = " if arg.name else "") + expr_text(arg.value)


def args_text(args):
    return f"({', '.join(map(arg_text, args))})" if args else ""


def expr_text(node):
    if isinstance(node, Num):
        return number_text(node.value)
    if isinstance(node, Kernel):
        return f"{node.height}x{node.width}"
    if isinstance(node, (Word, Var)):
        return node.name
    if isinstance(node, Text):
        return quoted(node.text)
    if isinstance(node, Listing):
        return f"[{', '.join(map(expr_text, node.items))}]"
    if isinstance(node, Unary):
        return f"{node.op}{' ' if node.op == 'not' else ''}{operand_text(node.of)}"
    if isinstance(node, Binary):
        return f"{operand_text(node.left)} {node.op} {operand_text(node.right)}"
    if isinstance(node, Apply):
        return node.name + args_text(node.args)
    return f"({flow_text(node, '')})"


def stage_text(stage, indent):
    if isinstance(stage, Let):
        return f"let {stage.name}"
    if isinstance(stage, Output):
        labels = [Arg("labels", Listing([Text(label) for label in stage.labels]))] if stage.labels else []
        return f"output {stage.name}{args_text(labels)}"
    if isinstance(stage, Cond):
        return cond_text(stage, indent)
    if isinstance(stage, Body):
        return body_text(stage, indent)
    times = ""
    if stage.times is not None:
        count = expr_text(stage.times)
        times = f" * {count}" if isinstance(stage.times, Var) or count.isdigit() else f" * ({count})"
    return stage.name + args_text(stage.args) + times


def cond_text(cond, indent):
    text = f"if ({expr_text(cond.condition)}) {body_text(cond.then, indent)}"
    if isinstance(cond.other, Cond):
        return f"{text} else {cond_text(cond.other, indent)}"
    return text if cond.other is None else f"{text} else {body_text(cond.other, indent)}"


def flow_text(flow, indent):
    parts = [expr_text(flow.head)] + [stage_text(stage, indent) for stage in flow.stages]
    lines = [parts[0]]
    for part in parts[1:]:
        if len(lines[-1]) + len(part) > 90:
            lines.append(f"{indent}    -> {part}")
        else:
            lines[-1] += f" -> {part}"
    return "\n".join(lines)


def params_text(params):
    return "(" + ", ".join(p.name + (f" = {expr_text(p.value)}" if p.value is not None else "")
                           for p in params) + ")"


def body_text(body, indent):
    inner = indent + "    "
    if not body.items:
        return "{}"
    return "{\n" + "".join(f"{inner}{item_text(item, inner)}\n" for item in body.items) + indent + "}"


def item_text(item, indent):
    if isinstance(item, Flow):
        return flow_text(item, indent) + ";"
    if isinstance(item, Cond):
        return cond_text(item, indent)
    if isinstance(item, Fn):
        return f"fn {item.name}{params_text(item.params)} = {expr_text(item.value)};"
    if isinstance(item, Block):
        return f"block {item.name}{params_text(item.params)} {body_text(item.body, indent)}"
    if isinstance(item, Default):
        return f"default {item.op}{args_text(item.args)};"
    if isinstance(item, Input):
        args = " " + args_text(item.args) if item.args else ""
        return f"input {item.name}: {item.elem}[{', '.join(map(expr_text, item.dims))}]{args};"
    if isinstance(item, Include):
        return f"include {quoted(item.name)};"
    return f"// {item.text}"


def source_text(source):
    text = "".join(item_text(item, "") + "\n" for item in source.items)
    if source.network:
        net = source.network
        text += f"network {net.name}{params_text(net.params)} {body_text(net.body, '')}\n"
    return text


# ---- meaning ----

@dataclass
class Tensor:
    shape: Shape
    elem: str = "f32"


@dataclass
class Layer:
    op: str
    attrs: dict
    inputs: List[Tensor]
    output: Tensor


@dataclass
class Scope:
    """Names of one body: values, functions and blocks; what is declared around it is `up`."""
    up: Any = None
    names: dict = field(default_factory=dict)
    defaults: dict = field(default_factory=dict)

    def find(self, name):
        scope = self
        while scope:
            if name in scope.names:
                return scope.names[name]
            scope = scope.up
        return None

    def define(self, name, value):
        if name in self.names:
            raise Invalid(f"'{name}' is defined twice")
        if name == "in" and self.names.get("in") is None and not isinstance(value, Tensor):
            raise Invalid("'in' is the language's")
        self.names[name] = value

    def default(self, op, attr):
        scope = self
        while scope:
            if (op, attr) in scope.defaults:
                return scope.defaults[op, attr], scope
            scope = scope.up
        return None, None


@dataclass
class Declared:
    item: Any
    scope: Scope


BUILTINS = {"floor": 1, "ceil": 1, "round": 1, "min": 0, "max": 0, "divisible": 2,
            "height": 1, "width": 1, "channels": 1}


def rounded(value):
    whole = (abs(value) + Fraction(1, 2)).__floor__()
    return Fraction(whole if value >= 0 else -whole)


def divisible(value, by, least=None):
    multiple = max(((value + by / 2) / by).__floor__() * by, by if least is None else least)
    return multiple + by if multiple < value * Fraction(9, 10) else multiple


def small(value):
    """Numbers as large as these tests use; mncc's have 63 bits."""
    if abs(value.numerator) > 10**9 or value.denominator > 10**9:
        raise Unwanted("a number out of range")
    return value


class Expansion:
    """A program's layers in order, its inputs and outputs."""

    def __init__(self, program):
        self.program = program
        self.layers, self.inputs, self.outputs = [], [], []
        self.ports, self.paths, self.calling, self.steps = set(), set(), [], 0

    # -- files --

    def file_scope(self, source, known):
        scope = Scope()
        for item in source.items:
            if not isinstance(item, Include):
                continue
            if item.name in known["open"]:
                raise Invalid("a file includes itself")
            if item.name not in self.program.files:
                raise Invalid(f"there is no file '{item.name}'")
            if item.name not in known:
                inner = {"open": known["open"] | {item.name}, **{k: v for k, v in known.items() if k != "open"}}
                known[item.name] = self.file_scope(self.program.files[item.name], inner)
            for name, value in known[item.name].names.items():
                if scope.names.get(name) is not value:
                    scope.define(name, value)
        self.declare(scope, source.items)
        return scope

    def declare(self, scope, items):
        for item in items:
            if isinstance(item, (Fn, Block)):
                if item.name in operators.NAMES:
                    raise Invalid(f"'{item.name}' is an operator")
                scope.define(item.name, Declared(item, scope))
                names = [param.name for param in item.params]
                if len(set(names)) != len(names):
                    raise Unwanted("two parameters of one name are wrong where they are given")
            elif isinstance(item, Default):
                for arg in item.args:
                    key = item.op, arg.name
                    if key in scope.defaults or arg.name not in operators.attributes(item.op):
                        raise Invalid("an impossible default")
                    scope.defaults[key] = arg.value

    def run(self):
        net = self.program.main.network
        scope = Scope(self.file_scope(self.program.main, {"open": frozenset()}))
        self.declare(scope, net.body.items)
        values = dict(self.program.values)
        if len(values) != len(self.program.values) or not set(values) <= {p.name for p in net.params}:
            raise Invalid("a parameter that the network does not have")
        if self.program.resolution:
            values["rho"] = self.resolved(net, scope)
        for param in net.params:
            if param.name not in values and param.value is None:
                raise Invalid("a parameter without a value")
            scope.define(param.name, values[param.name] if param.name in values else
                         self.value(scope, param.value))
        self.network_scope = scope
        self.body(scope, net.body, None, declared=True)
        if not self.inputs or not self.outputs:
            raise Invalid("a network has inputs and outputs")
        if self.program.resolution and self.inputs[0][1].shape[:2] != (self.program.resolution,) * 2:
            raise Invalid("not in proportion to rho")
        return self

    def resolved(self, net, scope):
        """rho for --resolution."""
        trial = Scope(scope.up, dict(scope.names), scope.defaults)
        names = [param.name for param in net.params]
        if "rho" not in names or "rho" in dict(self.program.values):
            raise Invalid("no rho, or two")
        values = {**dict(self.program.values), "rho": Fraction(1)}
        for param in net.params:
            if param.name not in values and param.value is None:
                raise Invalid("a parameter without a value")
            trial.names[param.name] = values[param.name] if param.name in values else \
                self.value(trial, param.value)
        first = next(item for item in net.body.items if isinstance(item, Input))
        sides = [self.value(trial, dim) for dim in first.dims[:2]]
        if len(sides) < 2 or sides[0] != sides[1]:
            raise Invalid("the input is not square")
        return Fraction(self.program.resolution) / sides[0]

    # -- expressions --

    def value(self, scope, node):
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise Unwanted("it takes too long")
        if isinstance(node, Num):
            return node.value
        if isinstance(node, (Kernel, Text)):
            return node
        if isinstance(node, Word):
            return node.name == "true" if node.name in ("true", "false") else node
        if isinstance(node, Listing):
            return [self.value(scope, item) for item in node.items]
        if isinstance(node, Var):
            return self.variable(scope, node.name)
        if isinstance(node, Unary):
            return self.unary(node.op, self.value(scope, node.of))
        if isinstance(node, Binary):
            return self.binary(scope, node)
        if isinstance(node, Flow):
            return self.flow(scope, node)
        return self.call(scope, node)

    def variable(self, scope, name):
        found = scope.find(name)
        if found is None or isinstance(found, Declared):
            raise Invalid(f"'{name}' is no value")
        return found

    def unary(self, op, value):
        if isinstance(value, bool) != (op == "not") or not isinstance(value, (bool, Fraction)):
            raise Invalid(f"'{op}' before something else")
        return not value if op == "not" else -value

    def binary(self, scope, node):
        op, left = node.op, self.value(scope, node.left)
        if op in ("and", "or"):
            if not isinstance(left, bool):
                raise Invalid("a condition must be true or false")
            if left == (op == "or"):
                return left
            right = self.value(scope, node.right)
            if not isinstance(right, bool):
                raise Invalid("a condition must be true or false")
            return right
        right = self.value(scope, node.right)
        if isinstance(left, Tensor) or isinstance(right, Tensor):
            name = {"+": "add", "-": "sub", "*": "mul"}.get(op)
            if not name or not isinstance(left, Tensor) or not isinstance(right, Tensor):
                raise Invalid(f"'{op}' between a tensor and something else")
            return self.layer(name, [left, right], {})
        if op in ("==", "!="):
            if type(left) is not type(right) or isinstance(left, (list, Tensor)):
                raise Invalid("these cannot be compared")
            return (left == right) == (op == "==")
        if type(left) is not Fraction or type(right) is not Fraction:
            raise Invalid(f"'{op}' between what is no number")
        if op == "/" and right == 0:
            raise Invalid("division by zero")
        functions = {"+": lambda: small(left + right), "-": lambda: small(left - right),
                     "*": lambda: small(left * right), "/": lambda: small(left / right),
                     "<": lambda: left < right, "<=": lambda: left <= right,
                     ">": lambda: left > right, ">=": lambda: left >= right}
        return functions[op]()

    def call(self, scope, node):
        found = scope.find(node.name)
        if isinstance(found, Declared) and isinstance(found.item, Fn):
            if len(self.calling) > 250:
                raise Invalid("calls are nested too deeply")
            inner = self.bind(found, [(arg.name, self.value(scope, arg.value)) for arg in node.args])
            self.calling.append(found.item)
            result = self.value(inner, found.item.value)
            self.calling.pop()
            return result
        if found is None and node.name in BUILTINS and node.name not in operators.NAMES:
            return self.builtin(node.name, [self.value(scope, arg.value) for arg in node.args])
        return self.apply(scope, node, None)

    def builtin(self, name, args):
        if name in ("height", "width", "channels"):
            if len(args) != 1 or not isinstance(args[0], Tensor):
                raise Invalid(f"'{name}' takes a tensor")
            shape = (1,) * (3 - len(args[0].shape)) + args[0].shape
            return Fraction(shape[("height", "width", "channels").index(name)])
        if any(type(arg) is not Fraction for arg in args):
            raise Invalid(f"'{name}' takes numbers")
        if not args or (BUILTINS[name] == 1 and len(args) != 1) or (BUILTINS[name] == 2 and len(args) not in (2, 3)):
            raise Invalid(f"'{name}' takes another number of arguments")
        if name in ("min", "max"):
            return min(args) if name == "min" else max(args)
        if name == "divisible":
            if args[1] < 1 or args[1].denominator != 1:
                raise Invalid("the divisor must be a whole number")
            return divisible(*args)
        return {"floor": lambda v: Fraction(v.__floor__()), "ceil": lambda v: Fraction(v.__ceil__()),
                "round": rounded}[name](args[0])

    def bind(self, declared, args):
        """The scope of a function's or block's body; args are (name, value)."""
        params, given, at = declared.item.params, {}, 0
        for name, value in args:
            if name is None:
                if at >= len(params):
                    raise Invalid("too many arguments")
                name, at = params[at].name, at + 1
            if name in given or name not in [param.name for param in params]:
                raise Invalid(f"there is no parameter '{name}', or it is given twice")
            given[name] = value
        scope = Scope(declared.scope)
        for param in params:
            if param.name in given:
                scope.define(param.name, given[param.name])
            elif param.value is None:
                raise Invalid(f"'{param.name}' is missing")
            else:
                scope.define(param.name, self.value(scope, param.value))
        return scope

    # -- flows --

    def apply(self, scope, node, chain):
        """An operator or block; `chain` flows into it, or null at a head."""
        found = scope.find(node.name)
        if isinstance(found, Declared) and isinstance(found.item, Block):
            return self.apply_block(scope, node, found, chain)
        if found is not None and node.name not in operators.NAMES:
            raise Invalid(f"'{node.name}' is no operator and no block")
        if node.name not in operators.NAMES:
            raise Invalid(f"there is no operator '{node.name}'")
        tensors, given, at = [] if chain is None else [chain], {}, 0
        attributes = operators.attributes(node.name)
        for arg in node.args:
            if arg.name == "name":
                self.take_path(scope, arg)
                continue
            value = self.value(scope, arg.value)
            if arg.name is None and isinstance(value, Tensor):
                tensors.append(value)
                continue
            name = arg.name
            if name is None:
                if at >= len(attributes):
                    raise Invalid("too many arguments")
                name, at = list(attributes)[at], at + 1
            if name not in attributes or name in given:
                raise Invalid(f"no attribute '{name}', or given twice")
            given[name] = value
        for name in attributes:
            default, where = scope.default(node.name, name)
            if name not in given and default is not None:
                given[name] = self.value(where, default)
        if chain is None and not tensors:
            tensors = [self.variable(scope, "in")]
        return self.layer(node.name, tensors, given)

    def take_path(self, scope, arg):
        value = self.value(scope, arg.value)
        if not isinstance(value, Text) or not value.text:
            raise Invalid("a path is a string")
        path = value.text + self.suffix
        if path in self.paths:
            raise Unwanted("two layers of one path, unless they are blocks with different ones inside")
        self.paths.add(path)

    suffix = ""

    def layer(self, op, tensors, given):
        if any(isinstance(item, Fn) for item in self.calling):
            raise Invalid("a function computes numbers")
        attrs = operators.convert(op, given)
        elem, shape = operators.infer(op, [(t.elem, t.shape) for t in tensors], attrs)
        output = Tensor(shape, elem)
        self.layers.append(Layer(op, attrs, tensors, output))
        return output

    def apply_block(self, scope, node, found, chain):
        if any(found.item is item for item in self.calling):
            raise Invalid(f"block '{node.name}' applies itself")
        if any(isinstance(item, Fn) for item in self.calling):
            raise Invalid("a function computes numbers")
        if len(self.calling) > 100:
            raise Unwanted("blocks are nested deeply")
        args = []
        for arg in node.args:
            if arg.name == "name":
                self.take_path(scope, arg)
            else:
                args.append((arg.name, self.value(scope, arg.value)))
        if chain is None and args and args[0][0] is None and isinstance(args[0][1], Tensor):
            chain, args = args[0][1], args[1:]
        if chain is None:
            chain = self.variable(scope, "in")
        inner = Scope(found.scope, {"in": chain})
        bound = self.bind_in(found, inner, args)
        self.calling.append(found.item)
        suffix, self.suffix = self.suffix, ""
        result = self.body(bound, found.item.body, chain)
        self.suffix = suffix
        self.calling.pop()
        return result

    def bind_in(self, found, inner, args):
        """As bind, with `in` visible to the parameters' defaults."""
        bound = self.bind(Declared(found.item, inner), args)
        return Scope(found.scope, {**inner.names, **bound.names}, {})

    def body(self, scope, body, chain, declared=False):
        """The value of the last flow, or `chain`."""
        if not declared:
            self.declare(scope, body.items)
        for item in body.items:
            if isinstance(item, Input):
                self.input(scope, item)
            elif isinstance(item, Cond):
                chosen = self.chosen(scope, item)
                if isinstance(chosen, Cond):
                    chosen = Body([chosen])
                if chosen is not None:
                    chain = self.body(Scope(scope), chosen, chain)
            elif isinstance(item, Flow):
                chain = self.flow(scope, item)
        return chain

    def chosen(self, scope, cond):
        truth = self.value(scope, cond.condition)
        if not isinstance(truth, bool):
            raise Invalid("a condition must be true or false")
        return cond.then if truth else cond.other

    def input(self, scope, item):
        if scope is not self.network_scope:
            raise Invalid("inputs are declared in the network itself")
        dims = [self.value(scope, dim) for dim in item.dims]
        for dim in dims:
            if type(dim) is not Fraction or dim.denominator != 1 or dim < 1:
                raise Invalid("a dimension is a whole number")
            if dim > 10**6:
                raise Unwanted("a large dimension")
        if not 1 <= len(dims) <= 3 or item.elem not in ("f32", "u8"):
            raise Invalid("an impossible input")
        tensor = Tensor(tuple(int(dim) for dim in dims), item.elem)
        self.inputs.append((item.name, tensor))
        self.ports.add(item.name)
        if item.args:
            given = {arg.name: self.value(scope, arg.value) for arg in item.args}
            tensor = self.layer("normalize", [tensor], given)
        scope.define(item.name, tensor)

    def flow(self, scope, flow):
        head = flow.head
        if isinstance(head, Apply) and scope.find(head.name) is None and head.name not in BUILTINS:
            chain = self.apply(scope, head, None)
        else:
            chain = self.value(scope, head)
        if not isinstance(chain, Tensor):
            raise Invalid("a flow starts with a tensor")
        for stage in flow.stages:
            chain = self.stage(scope, stage, chain)
        return chain

    def stage(self, scope, stage, chain):
        if isinstance(stage, Let):
            if stage.name == "in":
                raise Invalid("'in' is the language's")
            scope.define(stage.name, chain)
            return chain
        if isinstance(stage, Output):
            return self.output(stage, chain)
        if isinstance(stage, (Cond, Body)):
            chosen = stage
            while isinstance(chosen, Cond):
                chosen = self.chosen(scope, chosen)
            return chain if chosen is None else self.body(Scope(scope, {"in": chain}), chosen, chain)
        if stage.times is None:
            return self.apply(scope, stage, chain)
        times = self.value(scope, stage.times)
        if type(times) is not Fraction or times.denominator != 1 or not 0 <= times <= 10000:
            raise Invalid("an impossible repetition")
        if times > 50:
            raise Unwanted("many repetitions")
        suffix = self.suffix
        for i in range(int(times)):
            self.suffix = f"{suffix}.{i}"
            chain = self.apply(scope, stage, chain)
        self.suffix = suffix
        return chain

    def output(self, stage, chain):
        if stage.name in self.ports:
            raise Invalid(f"there is an input or output '{stage.name}'")
        if chain.elem == "u8" or (stage.labels and len(stage.labels) != chain.shape[-1]):
            raise Invalid("an output is f32 or i32, with a label for each channel")
        self.ports.add(stage.name)
        self.outputs.append((stage.name, chain))
        return chain


def expand(program):
    return Expansion(program).run()
