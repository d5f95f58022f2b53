"""Makes a program small that fails, as long as it fails in the same way.

The program is first written down flat, a flow for each layer, which takes blocks, functions and
conditions away at once; where the failure needs them it stays as it is. Then parts are taken out
(outputs, items, stages, arguments, the layers before or behind a tensor) and what stands is made
plainer (expressions become their values, numbers become small, names plain), again and again until
nothing goes any more. A candidate that language.py calls invalid is not tried."""

from fractions import Fraction

from language import (Apply, Arg, Binary, Body, Cond, Expansion, Flow, Input, Invalid, Kernel, Let, Listing, Net, Num,
                      Output, Program, Source, Unary, Var, Word, expand, nodes)
from operators import TABLE


def size(program):
    """What shrinking makes less: nodes first, then what the numbers come to."""
    count = total = 0
    for source in [program.main] + list(program.files.values()):
        roots = source.items + ([source.network] if source.network else [])
        for root in roots:
            for node, _, _, _ in nodes(root):
                count += 1
                if isinstance(node, Num):
                    total += abs(node.value.numerator) + abs(node.value.denominator)
                elif isinstance(node, Kernel):
                    total += node.height + node.width
                elif isinstance(node, Input):
                    total += 5 * (node.elem != "f32")
    return count + len(program.files) + len(program.values), total


# ---- flat ----

def attribute(kind, value):
    if kind == "bool":
        return Word("true" if value else "false")
    if isinstance(value, str):
        return Word(value)
    if kind == "kernel":
        return Kernel(*value)
    if isinstance(value, tuple):
        return Num(Fraction(value[0])) if kind == "numbers" and len(value) == 1 else \
            Listing([Num(Fraction(v)) for v in value])
    return Num(Fraction(value))


def flat(program):
    """The same layers without anything around them."""
    expansion = expand(program)
    names, items = {}, []
    for i, (name, tensor) in enumerate(expansion.inputs):
        names[id(tensor)] = f"x{i}"
        items.append(Input(f"x{i}", tensor.elem, [Num(Fraction(dim)) for dim in tensor.shape]))
    for i, layer in enumerate(expansion.layers):
        args = [Arg(None, Var(names[id(tensor)])) for tensor in layer.inputs[1:]]
        args += [Arg(key, attribute(attr.kind, layer.attrs[key])) for key, attr in TABLE[layer.op].attrs.items()
                 if layer.attrs[key] != attr.default]
        names[id(layer.output)] = f"t{i}"
        items.append(Flow(Var(names[id(layer.inputs[0])]), [Apply(layer.op, args), Let(f"t{i}")]))
    for i, (_, tensor) in enumerate(expansion.outputs):
        items.append(Flow(Var(names[id(tensor)]), [Output(f"y{i}")]))
    return Program(Source([], Net("small", [], Body(items))))


# ---- reductions: functions from a program to candidates ----

def lists(program):
    """Every list of which elements can be taken out, as functions that find it in a copy."""
    for source in ["main"] + sorted(program.files):
        root = program.main if source == "main" else program.files[source]
        yield lambda p, s=source: (p.main if s == "main" else p.files[s]).items
        starts = root.items + ([root.network] if root.network else [])
        for k, start in enumerate(starts):
            for n, (node, _, _, _) in enumerate(nodes(start)):
                for key in ("items", "stages", "args", "params", "labels"):
                    if isinstance(getattr(node, key, None), list) and getattr(node, key):
                        yield lambda p, s=source, k=k, n=n, key=key: getattr(found(p, s, k, n), key)


def found(program, source, k, n):
    root = program.main if source == "main" else program.files[source]
    start = (root.items + ([root.network] if root.network else []))[k]
    return next(node for i, (node, _, _, _) in enumerate(nodes(start)) if i == n)


def without_parts(program):
    """Chunks of every list left out, large chunks first."""
    for find in lists(program):
        length = len(find(program))
        chunk = length
        while chunk:
            for at in range(0, length, chunk):
                candidate = program.copy()
                del find(candidate)[at:at + chunk]
                yield candidate
            chunk //= 2
    for i in range(len(program.values)):
        candidate = program.copy()
        del candidate.values[i]
        yield candidate
    for name in program.files:
        candidate = program.copy()
        del candidate.files[name]
        yield candidate
    if program.resolution:
        candidate = program.copy()
        candidate.resolution = None
        yield candidate


def items_of(program):
    return program.main.network.body.items


def one_output(program):
    """One output alone."""
    outputs = [node.name for node, _, _, _ in nodes(program.main.network) if isinstance(node, Output)]
    for name in outputs if len(outputs) > 1 else []:
        candidate = program.copy()
        for node, _, _, _ in list(nodes(candidate.main.network)):
            if isinstance(node, Flow):
                node.stages = [stage for stage in node.stages if not isinstance(stage, Output) or stage.name == name]
        drop_unread(candidate)
        yield candidate


def drop_unread(program):
    """Takes out what nothing reads, of flows that name one thing."""
    items = items_of(program)
    while True:
        read = {node.name for item in items for node, _, _, _ in nodes(item) if isinstance(node, Var)}
        dead = [item for item in items if isinstance(item, Flow) and
                not any(isinstance(node, Output) for node, _, _, _ in nodes(item)) and
                not any(isinstance(stage, Let) and stage.name in read for stage in item.stages)]
        inputs = [item for item in items if isinstance(item, Input) and item.name not in read]
        dead += inputs if len(inputs) < sum(isinstance(item, Input) for item in items) else []
        if not dead:
            return
        items[:] = [item for item in items if not any(item is other for other in dead)]


def shapes_of(program):
    expansion = expand(program)
    return {name: tensor for name, tensor in expansion.network_scope.names.items() if hasattr(tensor, "shape")}


def tensors_as_inputs(program):
    """A tensor given from outside instead of computed, the later ones first."""
    shapes = shapes_of(program)
    for i, item in reversed(list(enumerate(items_of(program)))):
        if not isinstance(item, Flow) or not item.stages or not isinstance(item.stages[-1], Let):
            continue
        name = item.stages[-1].name
        if name not in shapes:
            continue
        candidate = program.copy()
        items_of(candidate)[i] = Input(name, "f32", [Num(Fraction(dim)) for dim in shapes[name].shape])
        drop_unread(candidate)
        yield candidate


def tensors_as_outputs(program):
    """A tensor as the only output, the earlier ones first."""
    for i, item in enumerate(items_of(program)):
        if isinstance(item, Flow) and item.stages and isinstance(item.stages[-1], Let):
            candidate = program.copy()
            for node, _, _, _ in list(nodes(candidate.main.network)):
                if isinstance(node, Flow):
                    node.stages = [stage for stage in node.stages if not isinstance(stage, Output)]
            items_of(candidate)[i].stages.append(Output("y"))
            drop_unread(candidate)
            yield candidate


def bypassed(program):
    """A name of one tensor in place of another's; in a flow of one stage, its head for its name."""
    for i, item in enumerate(items_of(program)):
        if not (isinstance(item, Flow) and isinstance(item.head, Var) and item.stages and
                isinstance(item.stages[-1], Let)):
            continue
        others = [item.head.name] + [node.name for node, _, _, _ in nodes(item) if isinstance(node, Var)]
        for other in dict.fromkeys(others):
            candidate = program.copy()
            del items_of(candidate)[i]
            for later in items_of(candidate)[i:]:
                for node, _, _, _ in nodes(later):
                    if isinstance(node, Var) and node.name == item.stages[-1].name:
                        node.name = other
            drop_unread(candidate)
            yield candidate


def plainer_structure(program):
    """Conditions become their branches, bodies their items, repetitions once, parenthesised flows their head."""
    for n, (node, parent, key, i) in enumerate(nodes(program.main.network)):
        replacements = []
        if isinstance(node, Cond):
            replacements = [branch for branch in (node.then, node.other) if branch is not None]
        elif isinstance(node, Apply) and node.times is not None:
            replacements = [Apply(node.name, node.args)]
        elif isinstance(node, Flow) and not isinstance(parent, Body):
            replacements = [node.head]
        for replacement in replacements:
            candidate = program.copy()
            replace(candidate, n, replacement)
            yield candidate


def replace(program, n, replacement):
    _, parent, key, i = next(entry for k, entry in enumerate(nodes(program.main.network)) if k == n)
    if i is None:
        setattr(parent, key, replacement)
    elif isinstance(replacement, Body) and isinstance(parent, Body):
        getattr(parent, key)[i:i + 1] = replacement.items
    else:
        getattr(parent, key)[i] = replacement


def value_of(node):
    """The number of an expression that needs nothing around it, or null."""
    try:
        value = Expansion(Program(Source([]))).value(Scopeless(), node)
    except Invalid:
        return None
    return value if type(value) is Fraction else None


class Scopeless:
    def find(self, name):
        return None


def plainer_values(program):
    """Numbers become small; what is computed becomes its value."""
    for n, (node, parent, key, i) in enumerate(nodes(program.main.network)):
        replacements = []
        if isinstance(node, Num):
            value = node.value
            smaller = [Fraction(1), Fraction(2), Fraction(value.__floor__()), Fraction((value / 2).__floor__()), value - 1]
            replacements = [Num(v) for v in dict.fromkeys(smaller) if 0 <= v < value]
        elif isinstance(node, Kernel):
            sides = [(1, 1), (node.height, 1), (1, node.width), (2, 2), (3, 3),
                     (node.height - 1, node.width), (node.height, node.width - 1)]
            replacements = [Kernel(h, w) for h, w in sides
                            if 0 < h <= node.height and 0 < w <= node.width and (h, w) != (node.height, node.width)]
        elif isinstance(node, Input) and (node.elem != "f32" or node.args):
            replacements = [Input(node.name, "f32", node.dims)]
        elif isinstance(node, (Apply, Binary, Unary)) and not isinstance(parent, (Flow, Body)):
            value = value_of(node)
            replacements = [Num(value)] if value is not None else []
        for replacement in replacements:
            candidate = program.copy()
            replace(candidate, n, replacement)
            yield candidate


def flat_program(program):
    candidate = flat(program)
    if candidate.main != program.main:
        yield candidate


REDUCTIONS = [flat_program, one_output, tensors_as_inputs, tensors_as_outputs, bypassed, without_parts,
              plainer_structure, plainer_values]


def valid(program):
    try:
        expand(program)
        return True
    except Invalid:
        return False


def shrink(program, still_fails, most=400, allowed=valid):
    """The smallest allowed program found in `most` trials for which still_fails holds, and how many it took."""
    trials, seen = 0, set()
    progress = True
    while progress:
        progress = False
        for reduction in REDUCTIONS:
            again = True
            while again:
                again = False
                for candidate in reduction(program):
                    key = repr(candidate)
                    # The flat form may have more nodes than the blocks that it expands.
                    if key in seen or (reduction is not flat_program and size(candidate) >= size(program)):
                        continue
                    seen.add(key)
                    if not allowed(candidate):
                        continue
                    if trials >= most:
                        return program, trials
                    trials += 1
                    if still_fails(candidate):
                        program, again = candidate, reduction is not flat_program
                        progress = True
                        break
    return program, trials
