"""Valid programs made wrong by one change.

A change of the tree (a name, an argument, a number, an item, a declaration) makes a program that
may still be valid; language.py judges, and what it does not refuse, or refuses for the tests'
sake only, is not used. A change of the tokens is wrong by itself, whatever it meets: each function
says why. What a change is not wrong for certain at, it leaves alone."""

import re
from dataclasses import dataclass, field
from fractions import Fraction

import operators
from language import (Apply, Arg, Binary, Block, Body, Cond, Default, Flow, Fn, Include, Input, Invalid, Kernel,
                      Let, Listing, Net, Num, Output, Source, Text, Unary, Var, Word, expand, nodes,
                      source_text)
from operators import Unwanted


@dataclass
class Wrong:
    """A program that has to be refused: its files, mncc's options, what was done; the tree, if
    there is one, to cut it down."""
    how: str
    files: dict
    arguments: list = field(default_factory=list)
    program: object = None


def refused(program):
    """True if the program is wrong for certain."""
    try:
        expand(program)
    except Unwanted:
        return False
    except (Invalid, RecursionError):
        return True
    return False


def texts(program):
    return {"net.mn": source_text(program.main), **{name: source_text(file) for name, file in program.files.items()}}


# ---- changes of the tree: they change the program in place, or return False ----

def places(program, kind):
    """(node, parent, key, index) of all nodes of a kind, in all files."""
    found = []
    for source in [program.main] + list(program.files.values()):
        for root in source.items + ([source.network] if source.network else []):
            found += [entry for entry in nodes(root) if isinstance(entry[0], kind)]
    return found


def pick(numbers, program, kind):
    found = places(program, kind)
    return numbers.choice(found) if found else None


def put(entry, node):
    _, parent, key, i = entry
    if i is None:
        setattr(parent, key, node)
    else:
        getattr(parent, key)[i] = node


def misspelt(numbers, name):
    """Another name, near or far."""
    ways = [name + "x", name + name[-1], name[:-1] or "q", name.capitalize() + "_", "nothing", name + "_" * 10]
    return numbers.choice(ways)


def unknown_callee(numbers, program):
    entry = pick(numbers, program, Apply)
    if not entry:
        return False
    entry[0].name = misspelt(numbers, entry[0].name)


def unknown_value(numbers, program):
    entry = pick(numbers, program, Var)
    if not entry:
        return False
    entry[0].name = misspelt(numbers, entry[0].name)


def other_value(numbers, program):
    """One name for another that exists."""
    entries = places(program, Var)
    if len(entries) < 2:
        return False
    one, other = numbers.sample(entries, 2)
    one[0].name = other[0].name


def other_callee(numbers, program):
    entry = pick(numbers, program, Apply)
    if not entry:
        return False
    names = sorted(operators.NAMES | operators.REFUSED) + ["floor", "max", "height"]
    names += [node.name for node, _, _, _ in places(program, (Fn, Block))]
    entry[0].name = numbers.choice(names)


def refused_operator(numbers, program):
    entry = pick(numbers, program, Flow)
    if not entry:
        return False
    entry[0].stages.insert(0, Apply(numbers.choice(sorted(operators.REFUSED))))


def with_arguments(numbers, program):
    found = [entry for entry in places(program, (Apply, Input, Default)) if entry[0].args]
    return numbers.choice(found)[0] if found else None


def argument_name(numbers, program):
    at = with_arguments(numbers, program)
    if not at:
        return False
    arg = numbers.choice(at.args)
    arg.name = misspelt(numbers, arg.name or "stride")


def argument_twice(numbers, program):
    at = with_arguments(numbers, program)
    if not at:
        return False
    at.args.append(numbers.choice(at.args))


def argument_missing(numbers, program):
    at = with_arguments(numbers, program)
    if not at:
        return False
    at.args.remove(numbers.choice(at.args))


def argument_extra(numbers, program):
    at = pick(numbers, program, Apply)
    if not at:
        return False
    at[0].args.append(Arg(numbers.choice([None, "stride", "bias", "units", "n"]), odd_value(numbers, program)))


def odd_value(numbers, program):
    tensors = [node.name for node, _, _, _ in places(program, (Let, Input))]
    return numbers.choice([
        Text("same"), Text(""), Word("true"), Word("same"), Kernel(3, 3), Kernel(0, 1), Listing([]),
        Listing([Num(Fraction(1))] * 3), Listing([Kernel(1, 1), Num(Fraction(1))]), Num(Fraction(-1)), Num(Fraction(1, 2)),
        Num(Fraction(0)), Num(Fraction(7)), Var(numbers.choice(tensors)), Listing([Var(numbers.choice(tensors))]),
        Binary("/", Num(Fraction(1)), Num(Fraction(0))), Binary("<", Num(Fraction(1)), Num(Fraction(2))),
        Binary("+", Var(numbers.choice(tensors)), Num(Fraction(1))), Binary("==", Kernel(1, 1), Num(Fraction(1)))])


def argument_value(numbers, program):
    at = with_arguments(numbers, program)
    if not at:
        return False
    numbers.choice(at.args).value = odd_value(numbers, program)


def number_value(numbers, program):
    entry = pick(numbers, program, Num)
    if not entry:
        return False
    value = entry[0].value
    entry[0].value = numbers.choice([value + 1, value - 1, value * 2, value + Fraction(1, 2), Fraction(0), -value,
                                     value / 3, value + 100])


def kernel_value(numbers, program):
    entry = pick(numbers, program, Kernel)
    if not entry:
        return False
    entry[0].height, entry[0].width = numbers.choice([(0, 0), (0, 3), (40, 1), (1, 40), (99, 99)])


def expression_value(numbers, program):
    found = [entry for entry in places(program, (Num, Binary, Unary, Kernel, Word)) if entry[1] is not None]
    if not found:
        return False
    put(numbers.choice(found), odd_value(numbers, program))


def missing_part(numbers, program):
    entry = pick(numbers, program, (Body, Flow, Fn, Block, Net, Listing))
    for key in ("items", "stages", "params"):
        part = getattr(entry[0], key, None) if entry else None
        if part:
            del part[numbers.randrange(len(part))]
            return None
    return False


def doubled_item(numbers, program):
    """An input, a function, a block, a let or an output given twice."""
    body = program.main.network.body
    at = numbers.choice(body.items)
    body.items.insert(numbers.randint(body.items.index(at), len(body.items)), at)


def moved_item(numbers, program):
    items = program.main.network.body.items
    if len(items) < 2:
        return False
    items.insert(numbers.randrange(len(items)), items.pop(numbers.randrange(len(items))))


def taken_name(numbers, program):
    entry = pick(numbers, program, (Let, Output, Input, Fn, Block))
    others = places(program, (Let, Output, Input, Fn, Block))
    entry[0].name = numbers.choice([node.name for node, _, _, _ in others] + ["in", "conv", "relu"])


def recursion(numbers, program):
    """A block that applies itself, a function that calls itself, or two that call each other."""
    declared = places(program, (Fn, Block))
    if not declared:
        return False
    item, other = numbers.choice(declared)[0], numbers.choice(declared)[0]
    if isinstance(item, Block):
        item.body.items.append(Flow(Var("in"), [Apply(item.name)]))
    elif isinstance(other, Fn):
        item.value = Binary("+", Apply(other.name, [Arg(None, Var("n"))]), Num(Fraction(1)))
        other.value = Apply(item.name, [Arg(None, Binary("+", Var("n"), Num(Fraction(1))))])
    else:
        return False


def operator_in_function(numbers, program):
    entry = pick(numbers, program, Fn)
    if not entry:
        return False
    entry[0].value = Apply("relu", [Arg(None, entry[0].value)] if numbers.random() < 0.5 else [])


def function_in_flow(numbers, program):
    flow, names = pick(numbers, program, Flow), [node.name for node, _, _, _ in places(program, Fn)] + ["floor", "max"]
    if not flow:
        return False
    flow[0].stages.insert(0, Apply(numbers.choice(names), [Arg(None, Num(Fraction(2)))]))


def tensor_as_stage(numbers, program):
    flow = pick(numbers, program, Flow)
    names = [node.name for node, _, _, _ in places(program, (Let, Input))]
    if not flow:
        return False
    flow[0].stages.insert(0, Apply(numbers.choice(names)))


def in_at_network(numbers, program):
    program.main.network.body.items.append(Flow(Var("in"), [Apply("relu")]))


def nothing_flows(numbers, program):
    program.main.network.body.items.append(Flow(Apply(numbers.choice(["relu", "softmax"])), [Output("more_")]))


def head_value(numbers, program):
    flow = pick(numbers, program, Flow)
    if not flow:
        return False
    flow[0].head = odd_value(numbers, program)


def input_type(numbers, program):
    entry = pick(numbers, program, Input)
    entry[0].elem = numbers.choice(["i8", "F32", "f64", "float", "u8", "int", "i32"])
    if entry[0].elem == "u8":
        entry[0].args = []


def input_rank(numbers, program):
    entry = pick(numbers, program, Input)
    dims = entry[0].dims
    entry[0].dims = numbers.choice([[], dims + [Num(Fraction(2))] * 2, dims + [Num(Fraction(1))], dims[:-1],
                                    dims[:1] + [odd_value(numbers, program)]])


def input_inside(numbers, program):
    entry = pick(numbers, program, (Block, Cond))
    if not entry:
        return False
    body = entry[0].body if isinstance(entry[0], Block) else entry[0].then
    body.items.append(Input("inner_", "f32", [Num(Fraction(4))]))


def output_names(numbers, program):
    outputs = places(program, Output)
    ports = [node.name for node, _, _, _ in places(program, (Output, Input))]
    node = numbers.choice(outputs)[0]
    choice = numbers.randrange(3)
    if choice == 0:
        node.name = numbers.choice([name for name in ports if name != node.name] or ["in"])
    elif choice == 1:
        node.labels = ["a"] * numbers.randint(1, 9)
    else:
        for entry in places(program, Flow):
            entry[0].stages = [stage for stage in entry[0].stages if not isinstance(stage, Output)]


def condition_kind(numbers, program):
    entry = pick(numbers, program, Cond)
    if not entry:
        return False
    entry[0].condition = numbers.choice([Num(Fraction(1)), Kernel(3, 3), Text("true"), Word("same"),
                                         Binary("and", Num(Fraction(1)), Word("true")),
                                         Binary("or", Word("false"), Num(Fraction(1)))])


def repetition(numbers, program):
    entry = pick(numbers, program, Apply)
    if not entry:
        return False
    entry[0].times = numbers.choice([Num(Fraction(5, 2)), Num(Fraction(-1)), Num(Fraction(10001)), Word("true"), Kernel(2, 2),
                                     Text("2"), Num(Fraction(4))])


def default_wrong(numbers, program):
    wrong = [Default("convv", [Arg("stride", Num(Fraction(1)))]), Default("conv", [Arg("strid", Num(Fraction(1)))]),
             Default("relu", [Arg("slope", Num(Fraction(1)))]),
             Default("conv", [Arg("stride", Num(Fraction(0)))]), Default("depthwise", [Arg("padding", Word("true"))]),
             Default("batchnorm", [Arg("epsilon", Num(Fraction(-1)))])]
    program.main.network.body.items.append(numbers.choice(wrong))


def command_line(numbers, program):
    choice = numbers.randrange(5)
    if choice == 0:
        name = numbers.choice(["gamma", "alpha", "rho", "alph"])
        if name in dict(program.values):  # an option given twice is another kind of mistake
            return False
        program.values.append((name, Fraction(1)))
    elif choice == 1 and program.values:
        program.values.remove(numbers.choice(program.values))
    elif choice == 2 and program.values:
        i = numbers.randrange(len(program.values))
        value = numbers.choice([Fraction(7, 11), Fraction(0), Fraction(-1), Fraction(1, 1000), Fraction(10, 3)])
        program.values[i] = (program.values[i][0], value)
    elif choice == 3:
        program.resolution = numbers.choice([1, 7, 31])
    else:
        return False


def path_wrong(numbers, program):
    flows = [item for item in program.main.network.body.items if isinstance(item, Flow)]
    stages = [stage for flow in flows for stage in flow.stages if isinstance(stage, Apply)]
    if not stages:
        return False
    stage = numbers.choice(stages)
    stage.args = [arg for arg in stage.args if arg.name != "name"]
    stage.args.append(Arg("name", numbers.choice([Num(Fraction(1)), Word("true"), Listing([]), Text("")])))


def includes(numbers, program):
    """A file that is missing, includes itself, or includes one that includes it."""
    main = program.main
    choice = numbers.randrange(3)
    if choice == 0:
        main.items.insert(0, Include("absent.mn"))
    elif choice == 1:
        program.files["self.mn"] = Source([Include("self.mn")])
        main.items.append(Include("self.mn"))
    else:
        program.files["one.mn"] = Source([Include("two.mn")])
        program.files["two.mn"] = Source([Include("one.mn")])
        main.items.insert(0, Include("one.mn"))



TREE = [unknown_callee, unknown_value, other_value, other_callee, refused_operator, argument_name, argument_twice,
        argument_missing, argument_extra, argument_value, number_value, kernel_value, expression_value,
        missing_part, doubled_item, moved_item, taken_name, recursion, operator_in_function, function_in_flow,
        tensor_as_stage, in_at_network, nothing_flows, head_value, input_type, input_rank, input_inside,
        output_names, condition_kind, repetition, default_wrong, command_line, path_wrong, includes]


# ---- changes of the text: each says why no program can be right after it ----

TOKENS = re.compile(r"""
    (?P<space>[ \t\n]+|//[^\n]*) | (?P<string>"(?:[^"\\\n]|\\.)*") | (?P<kernel>\d+x\d+)
  | (?P<number>\d+\.\d*|\.\d+|\d+) | (?P<name>[A-Za-z_]\w*) | (?P<sign>->|==|!=|<=|>=|[-<>()\[\]{},;:=+*/])""", re.X)
KEYWORDS = set("include default network input output weights fn block let if else and or not".split())
OPENING, CLOSING = "([{", ")]}"


def tokens(text):
    """(kind, text, offset) of all tokens; kind is keyword, name, number, kernel, string or sign."""
    found, at = [], 0
    while at < len(text):
        match = TOKENS.match(text, at)
        if not match:
            raise AssertionError(f"no token at {text[at:at + 20]!r}")
        kind = match.lastgroup
        if kind != "space":
            kind = "keyword" if kind == "name" and match.group() in KEYWORDS else kind
            found.append((kind, match.group(), at))
        at = match.end()
    return found


def cut(text, token, replacement):
    _, word, at = token
    return text[:at] + replacement + text[at + len(word):]


def bracket(numbers, text, all_tokens):
    """Brackets no longer match; they do in every program."""
    token = numbers.choice([t for t in all_tokens if t[1] in OPENING + CLOSING])
    others = [b for b in OPENING + CLOSING if b != token[1]]
    return cut(text, token, numbers.choice(["", token[1] * 2] + others))


def semicolon(numbers, text, all_tokens):
    """Every item that ends in a semicolon needs it; what follows here cannot continue the item:
    only a parenthesis could, or a keyword in an arrow's or expression's place."""
    found = [t for t, after in zip(all_tokens, all_tokens[1:]) if t[1] == ";" and after[1] != "("]
    return cut(text, numbers.choice(found), "") if found else None


def character(numbers, text, all_tokens):
    """No token begins with these."""
    _, _, at = numbers.choice(all_tokens)
    strange = numbers.choice(["$", "@", "?", "`", "~", "%", "^", "&", "|", "#", "'", "\\", "\u2192", "\u00d7", "\x00", "\x01",
                              "\x7f", "\xa0", "! "])
    return text[:at] + strange + " " + text[at:]


def early_end(numbers, text, all_tokens):
    """The network is the last thing in a file and ends in a brace."""
    return text[:numbers.choice(all_tokens)[2]]


def doubled_word(numbers, text, all_tokens):
    """Names, numbers, kernels and strings never stand beside each other."""
    found = [t for t in all_tokens if t[0] in ("name", "number", "kernel", "string")]
    token = numbers.choice(found)
    return cut(text, token, token[1] + " " + token[1])


def doubled_sign(numbers, text, all_tokens):
    """Of these signs no two of a kind stand beside each other."""
    found = [t for t in all_tokens if t[1] in ("->", ",", ";", ":", "=", "*", "/", "+", "==", "<", ">=")]
    token = numbers.choice(found)
    return cut(text, token, token[1] + " " + token[1])


def misspelt_keyword(numbers, text, all_tokens):
    """As a name, a keyword's place is before another name, a string, or a body where only an arrow
    could stand. `not` is left out: as a name before parentheses it would be a call."""
    found = [t for t in all_tokens if t[0] == "keyword" and t[1] != "not"]
    token = numbers.choice(found)
    return cut(text, token, numbers.choice([token[1] + "x", token[1][:-1] + "_", token[1].capitalize()]))


def keyword_as_name(numbers, text, all_tokens):
    """These keywords stand nowhere that a name can, or need one behind, which never follows a name."""
    token = numbers.choice([t for t in all_tokens if t[0] == "name"])
    return cut(text, token, numbers.choice(["fn", "block", "let", "network", "include"]))


def open_comment(numbers, text, all_tokens):
    """The rest, and with it the network's end, is comment."""
    _, _, at = numbers.choice(all_tokens)
    return None if "*/" in text[at:] else text[:at] + "/* " + text[at:]


def open_string(numbers, text, all_tokens):
    """A string ends on its line."""
    _, _, at = numbers.choice(all_tokens)
    line = text[at:].split("\n", 1)[0]
    return None if '"' in line or "\\" in line else text[:at] + '"' + text[at:]


def string_escape(numbers, text, all_tokens):
    """Escapes that there are not."""
    found = [t for t in all_tokens if t[0] == "string"]
    return cut(text, numbers.choice(found), numbers.choice(['"\\q"', '"\\x0"', '"\\xzz"', '"\\'])) if found else None


def number_form(numbers, text, all_tokens):
    """No numbers, or more than 63 bits."""
    found = [t for t in all_tokens if t[0] in ("number", "kernel")]
    if not found:
        return None
    wrong = ["1.2.3", "3xx3", "5q", "0b1", "1__", "99999999999999999999", "1e999", "3x3x3", "99999999999x1"]
    return cut(text, numbers.choice(found), numbers.choice(wrong))


def comparison_chain(numbers, text, all_tokens):
    """Comparisons do not chain."""
    found = [t for t in all_tokens if t[0] == "number"]
    return cut(text, numbers.choice(found), "1 < 2 <= 3") if found else None


def deep(numbers, text, all_tokens):
    """Trees are at most 1000 levels high."""
    found = [t for t in all_tokens if t[0] == "number"]
    signs = numbers.choice([("- " * 1500, ""), ("[" * 1500, "]" * 1500), ("floor(" * 1500, ")" * 1500)])
    return cut(text, numbers.choice(found), signs[0] + "1" + signs[1]) if found else None


def behind(numbers, text, all_tokens):
    """The network is the last thing in a file."""
    return text + numbers.choice(["x", "}", ";", "fn late_() = 1;", "network more_() {}", "3", "include \"net.mn\";"]) + "\n"


def operator_after_stage(numbers, text, all_tokens):
    """Behind a stage stands an arrow or the flow's end."""
    stack, behind_stage, found = [], False, []
    for token in all_tokens:
        if token[1] in ("{", "(", "["):
            stack.append(behind_stage)
            behind_stage = False
        elif token[1] in ("}", ")", "]"):
            behind_stage = stack.pop()
        elif token[1] in (";", ","):
            behind_stage = False
        elif token[1] == "->":
            if behind_stage:
                found.append(token)
            behind_stage = True
    return cut(text, numbers.choice(found), numbers.choice(["+", "-", "/", "==", "and"])) if found else None


def long_name(numbers, text, all_tokens):
    """A name has at most 200 characters."""
    token = numbers.choice([t for t in all_tokens if t[0] == "name"])
    return cut(text, token, "n" * 201)


def large(numbers, text, all_tokens):
    """An input with too many elements or rows, or a dimension of more than 31 bits."""
    dims = numbers.choice(["2147483648", "46341, 46341, 1", "1048577, 1, 1", "65536, 65536, 65536",
                           "9223372036854775807, 9223372036854775807", "1290, 1290, 1291"])
    return in_network(text, all_tokens, f"input large_: f32[{dims}];")


def large_layer(numbers, text, all_tokens):
    """A layer whose output, weights or attributes are too large."""
    layer = numbers.choice(["conv(1x1, 2147483647)", "conv(32768, 1)", "conv(1, 1, stride = 32768)", "pad(32768)",
                            "dense(2147483647) -> dense(2147483647)", "depthwise(1x1, multiplier = 2147483647)",
                            "channel_pad(2147483647)", "resize_nearest(2147483647, 2147483647)",
                            "reshape([2147483648])", "resize_bilinear(scale = 1000000000)", "conv(1x1, 4294967296)"])
    return in_network(text, all_tokens, f"input large_: f32[64, 64, 3]; large_ -> {layer} -> output huge_;")


def in_network(text, all_tokens, item):
    """The item as the network's last."""
    at = all_tokens[-1][2]
    return text[:at] + "    " + item + "\n" + text[at:]


def weights_item(numbers, text, all_tokens):
    """The weights file is named once, by a name, in the network itself."""
    item = numbers.choice(['weights "";', 'weights "a"; weights "b";', "weights a;", "weights 3;",
                           'if (true) { weights "a"; }'])
    return in_network(text, all_tokens, item)


def wrong_item(numbers, text, all_tokens):
    """Items that no body can have."""
    item = numbers.choice(["input;", "3;", '"text";', "[1, 2];", "3x3;", "true;", "1 -> relu;", "fn f_() = ;", "block b_ {}",
                           "let x_;", "output y_;", "if true { relu; }", "default relu;", "-> relu;", "input in: f32[3];",
                           "input q_: f32[1,,2];", "input q_: f32(3);", "network n_() { }", 'include "a.mn";', "default in(x = 1);"])
    return in_network(text, all_tokens, item)


def network_in_include(numbers, text, all_tokens):
    """What is included has no network."""
    return f'include "net.mn";\n{text}'


TEXT = [bracket, semicolon, character, early_end, doubled_word, doubled_sign, misspelt_keyword, keyword_as_name,
        open_comment, open_string, string_escape, number_form, comparison_chain, deep, behind, operator_after_stage,
        long_name, large, large_layer, weights_item, wrong_item, network_in_include]


def mutated(numbers, program):
    """A Wrong, or null if this change leaves the program valid, or may."""
    if numbers.random() < 0.6:
        change = numbers.choice(TREE)
        changed = program.copy()
        if change(numbers, changed) is False or not refused(changed):
            return None
        return Wrong(change.__name__, texts(changed), changed.arguments(), changed)
    change = numbers.choice(TEXT)
    files = texts(program)
    # A file that is included and wrong makes what includes it wrong; all but its end is checked there too.
    text = files["net.mn"]
    result = change(numbers, text, tokens(text))
    return None if result is None or result == text else Wrong(change.__name__, {**files, "net.mn": result}, program.arguments())
