#!/usr/bin/env python3
"""Writes test/loop-run/ops-*.mnl: every operation of the loops on every type it allows.

    make_loop_run.py test/loop-run

Each operation is done to scalars, to vectors straight from memory and to vectors that were named
first. What is expected is computed here, in exact arithmetic that shares nothing with mncc."""
import os, random, struct, sys
from fractions import Fraction

N = 16
BITS = {"i8": 8, "u8": 8, "i16": 16, "i32": 32, "i64": 64}
INF, NAN = float("inf"), float("nan")


# ---- arithmetic ----

def limits(elem):
    if elem == "u8":
        return 0, 255
    return -(1 << BITS[elem] - 1), (1 << BITS[elem] - 1) - 1


def wrap(elem, value):
    value &= (1 << BITS[elem]) - 1
    lo, hi = limits(elem)
    return value - (1 << BITS[elem]) if value > hi else value


def saturate(elem, value):
    lo, hi = limits(elem)
    return max(lo, min(hi, value))


def to_f32(bits):
    return struct.unpack("<f", struct.pack("<I", bits & 0xffffffff))[0]


def f32_bits(x):
    try:
        return struct.unpack("<I", struct.pack("<f", x))[0]
    except OverflowError:
        return 0x7f800000 if x > 0 else 0xff800000


def rounded(x):
    """The nearest f32 of a double or an exact fraction, ties to even."""
    if isinstance(x, Fraction):
        if x == 0:
            return 0.0
        exponent = -149
        while abs(x) >= Fraction(2) ** (exponent + 24):
            exponent += 1
        unit = Fraction(2) ** exponent
        n = round(x / unit)  # Python rounds ties to even
        return to_f32(f32_bits(float(n * unit)))
    return to_f32(f32_bits(x))


def f32_div(a, b):
    if b == 0:
        if a == 0 or a != a:
            return NAN
        negative = (f32_bits(a) ^ f32_bits(b)) >> 31
        return -INF if negative else INF
    return rounded(a / b)


def f32_fma(a, b, c):
    if any(abs(v) == INF or v != v for v in (a, b, c)):
        return a * b + c
    exact = Fraction(a) * Fraction(b) + Fraction(c)
    if exact == 0:
        return a * b + c  # the sign of zero as IEEE has it; no rounding in the way
    return rounded(exact)


def to_int(x, towards):
    if x != x:
        return 0
    if x in (INF, -INF):
        return limits("i32")[x > 0]
    f = Fraction(x)
    return saturate("i32", f.__floor__() if towards == "floor" else round(f))


# ---- a file ----

def word(elem, value):
    if elem != "f32":
        return str(value)
    if value != value:
        return "nan"
    return "0x%08x" % f32_bits(value)


class File:
    def __init__(self, name, what):
        self.name, self.what = name, what
        self.comments, self.buffers, self.kernels, self.calls = [], [], [], []
        self.n = 0

    def lines(self, kind, name, elem, values):
        for i in range(0, len(values), N):
            words = " ".join(word(elem, v) for v in values[i:i + N])
            self.comments.append(f"// {kind}: {name} = {words}")

    def input(self, elem, values):
        name = f"in{len(self.buffers)}"
        self.buffers.append(f"buffer {name}: {elem}[{len(values)}] input")
        self.lines("INPUT", name, elem, values)
        return name

    def output(self, elem, rows):
        name = f"out{len(self.buffers)}"
        self.buffers.append(f"buffer {name}: {elem}[{len(rows)}][{len(rows[0])}] output")
        for row in rows:
            self.lines("EXPECT", name, elem, row)
        return name

    def op(self, label, elems, columns, result, expression, function, extra=()):
        """One elementwise operation: `expression(operands, lanes)` is its text, `function` its meaning;
        lanes is "" or "x8". extra: weight parameters (name, type text, buffer line)."""
        inputs = [self.input(e, c) for e, c in zip(elems, columns)]
        n = len(columns[0])
        want = [function(*values) for values in zip(*columns)]
        output = self.output(result, [want] * 3)
        names = ["a", "b", "c"][:len(elems)]
        params = [f"in {p}: {e}[{n}]" for p, e in zip(names, elems)]
        params += [f"in {p}: {t}" for p, t, _ in extra] + [f"out o: {result}[3][{n}]"]
        for _, _, line in extra:
            self.buffers.append(line)
        half = n // 2
        plain = expression([f"{p}[i]" for p in names], "")
        direct = expression([f"{p}[i]:{half}" for p in names], f"x{half}")
        named = expression([f"v{p}" for p in names], f"x{n}")
        body = [f"  for i in 0..{n} {{", f"    o[0][i] = {plain}", "  }",
                f"  for j in 0..{n} by {half} {{",
                "    o[1][j]:%d = %s" % (half, direct.replace("[i]", "[j]")), "  }"]
        body += [f"  let v{p}: {e}x{n} = {p}[0]:{n}" for p, e in zip(names, elems)]
        body += [f"  let r: {result}x{n} = {named}", f"  o[2][0]:{n} = r"]
        kernel = f"{label}_{len(self.kernels)}"
        self.kernels.append(f"kernel {kernel}({', '.join(params)}) {{\n" + "\n".join(body) + "\n}")
        weights = [line.split()[1].rstrip(":") for _, _, line in extra]
        self.calls.append(f"  call {kernel}({', '.join(inputs + weights + [output])})")

    def write(self, folder):
        program = self.name.replace("-", "_")
        text = ["// RUN: %python %S/../tools/run_mnl.py --mncc=%mncc --cc=%cc --clang=%clang --work=%t %s",
                f"// {self.what} (written by test/tools/make_loop_run.py)", ""]
        text += self.comments + ["", f"program {program}", ""] + self.buffers + [""]
        text += [k + "\n" for k in self.kernels] + ["entry {"] + self.calls + ["}", ""]
        open(os.path.join(folder, self.name + ".mnl"), "w").write("\n".join(text))


def call(name):
    return lambda operands, lanes: f"{name}({', '.join(operands)})"


def infix(sign):
    return lambda operands, lanes: f"{operands[0]} {sign} {operands[1]}"


def typed(name, elem):
    return lambda operands, lanes: f"{name}({', '.join(operands)}):{elem}{lanes}"


# ---- data ----

rng = random.Random(1)


def ints(elem, edge=True, lo=None, hi=None):
    low, high = limits(elem)
    low = low if lo is None else lo
    high = high if hi is None else hi
    edges = [v for v in (low, high, 0, 1, -1, low + 1, high - 1) if low <= v <= high] if edge else []
    return (edges + [rng.randint(low, high) for _ in range(N)])[:N]


def in_range(elem, function, columns):
    """The columns with rows whose result leaves the type replaced by zeros."""
    lo, hi = limits(elem)
    rows = [r if lo <= function(*r) <= hi else (0,) * len(r) for r in zip(*columns)]
    return [list(c) for c in zip(*rows)]


SPECIAL = [0.0, -0.0, 1.0, -1.0, INF, -INF, NAN, to_f32(1), to_f32(0x80000001), to_f32(0x7f7fffff),
           to_f32(0x00800000), 0.5, -2.5, 16777217.0]


def floats(shift=0, special=True):
    values = [rounded(rng.uniform(-4, 4)) for _ in range(N)]
    if special:
        for i in range(N):
            if rng.random() < 0.7:
                values[i] = to_f32(f32_bits(SPECIAL[(i * 5 + shift) % len(SPECIAL)]))
    return values


# ---- the files ----

def f32_file():
    f = File("ops-f32", "f32 arithmetic, comparison, min and max with their answers for NaN and zeros")
    for special in (False, True):
        a, b, c = floats(0, special), floats(3, special), floats(7, special)
        f.op("add", ["f32"] * 2, [a, b], "f32", infix("+"), lambda x, y: rounded(x + y))
        f.op("sub", ["f32"] * 2, [a, b], "f32", infix("-"), lambda x, y: rounded(x - y))
        f.op("mul", ["f32"] * 2, [a, b], "f32", infix("*"), lambda x, y: rounded(x * y))
        f.op("div", ["f32"] * 2, [a, b], "f32", infix("/"), f32_div)
        f.op("min", ["f32"] * 2, [a, b], "f32", call("min"), lambda x, y: x if x < y else y)
        f.op("max", ["f32"] * 2, [a, b], "f32", call("max"), lambda x, y: x if x > y else y)
        f.op("relu6", ["f32"], [a], "f32", lambda o, l: f"min(max({o[0]}, 0), 6)",
             lambda x: (lambda y: y if y < 6 else 6.0)(x if x > 0 else 0.0))
        f.op("fma", ["f32"] * 3, [a, b, c], "f32", call("fma"), f32_fma)
        f.op("muladd", ["f32"] * 3, [a, b, c], "f32", lambda o, l: f"{o[0]} * {o[1]} + {o[2]}",
             lambda x, y, z: rounded(rounded(x * y) + z))
        f.op("neg", ["f32"], [a], "f32", call("neg"), lambda x: to_f32(f32_bits(x) ^ 0x80000000))
        f.op("abs", ["f32"], [a], "f32", call("abs"), lambda x: to_f32(f32_bits(x) & 0x7fffffff))
        f.op("sqrt", ["f32"], [a], "f32", call("sqrt"),
             lambda x: x if x == 0 or x != x or x == INF else NAN if x < 0 else rounded(x ** 0.5))
        for name, test in (("eq", lambda x, y: x == y), ("lt", lambda x, y: x < y), ("le", lambda x, y: x <= y)):
            f.op(name, ["f32"] * 3, [a, b, c], "f32",
                 lambda o, l, name=name: f"select({name}({o[0]}, {o[1]}), {o[2]}, {o[0]})",
                 lambda x, y, z, test=test: z if test(x, y) else x)
    f.op("infinity", ["f32"], [a], "f32",
         lambda o, l: f"min({o[0]}, inf) + max({o[0]}, -inf)",
         lambda x: rounded((x if x < INF else INF) + (x if x > -INF else -INF)))
    f.op("nested", ["f32"] * 2, [b, c], "f32",
         lambda o, l: f"max({o[0]} - ({o[1]} - {o[0]}), {o[0]} / ({o[0]} * {o[1]}))",
         lambda x, y: (lambda p, q: p if p > q else q)(rounded(x - rounded(y - x)),
                                                       f32_div(x, rounded(x * y))))
    return f


def int_file(elem):
    f = File(f"ops-{elem}", f"{elem}: arithmetic, bits, shifts, comparison")
    width = BITS[elem]
    a, b, c = ints(elem), ints(elem), ints(elem)
    b[3], b[5] = a[3], a[5]
    two = [elem] * 2
    for name, text, function in (("add", infix("+"), lambda x, y: x + y), ("sub", infix("-"), lambda x, y: x - y),
                                 ("mul", infix("*"), lambda x, y: x * y)):
        small = ints(elem, hi=3, lo=-3 if elem != "u8" else 0) if name == "mul" else b
        f.op(name, two, in_range(elem, function, [a, small]), elem, text, function)
    f.op("min", two, [a, b], elem, call("min"), min)
    f.op("max", two, [a, b], elem, call("max"), max)
    f.op("same", [elem], [a], elem, lambda o, l: f"max(min({o[0]}, {o[0]}), {limits(elem)[0]})", lambda x: x)
    f.op("and", two, [a, b], elem, call("and"), lambda x, y: x & y)
    f.op("or", two, [a, b], elem, call("or"), lambda x, y: x | y)
    f.op("xor", two, [a, b], elem, call("xor"), lambda x, y: x ^ y)
    f.op("not", [elem], [a], elem, call("not"), lambda x: wrap(elem, ~x))
    f.op("notmax", two, [a, b], elem, lambda o, l: f"max(not({o[0]}), not(xor({o[0]}, {o[1]})))",
         lambda x, y: max(wrap(elem, ~x), wrap(elem, ~(x ^ y))))
    counts = [rng.randint(0, width - 1) for _ in range(N)]
    counts[:2] = [width - 1, 0]
    shl = lambda x, n: x << n
    base = [rng.choice([-1, 0, 1, 3]) if elem != "u8" else rng.choice([0, 1, 3]) for _ in range(N)]
    if elem != "u8":
        base[0] = -1
    f.op("shl", two, in_range(elem, shl, [base, counts]), elem, call("shl"), shl)
    f.op("shr", two, [a, counts], elem, call("shr"), lambda x, n: x >> n)
    f.op("shr2", [elem], [a], elem, lambda o, l: f"shr({o[0]}, 2)", lambda x: x >> 2)
    f.op("shl2", [elem], in_range(elem, lambda x: x << 2, [c]), elem, lambda o, l: f"shl({o[0]}, 2)",
         lambda x: x << 2)
    for name, test in (("eq", lambda x, y: x == y), ("lt", lambda x, y: x < y), ("le", lambda x, y: x <= y)):
        f.op(name, [elem] * 3, [a, b, c], elem,
             lambda o, l, name=name: f"select({name}({o[0]}, {o[1]}), {o[2]}, {o[0]})",
             lambda x, y, z, test=test: z if test(x, y) else x)
        end = limits(elem)[1]
        f.op(name + "_end", two, [a, b], elem,
             lambda o, l, name=name: f"select({name}({o[0]}, {end}), {o[1]}, {end})",
             lambda x, y, test=test: y if test(x, end) else end)
    if elem in ("i16", "i32"):
        f.op("mulhi", two, [a, b], elem, call("mulhi"), lambda x, y: x * y >> width)
        f.op("mulhi3", [elem] * 3, [a, b, c], elem,
             lambda o, l: f"mulhi(xor({o[0]}, {o[2]}), not({o[1]}))",
             lambda x, y, z: (x ^ z) * ~y >> width)
    return f


def i64_file():
    f = File("ops-i64", "i64, which lives between a widening and a narrowing")
    a, b, c = ints("i32"), ints("i32"), ints("i32")
    w = lambda o, l: f"convert({o}):i64{l}"
    def narrow(text, how="saturate", elem="i32"):
        return lambda o, l: f"{how}({text(o, l)}):{elem}{l}"
    two = ["i32"] * 2
    sat, wr = lambda v: saturate("i32", v), lambda v: wrap("i32", v)
    binary = lambda sign: lambda o, l: f"{w(o[0], l)} {sign} {w(o[1], l)}"
    named = lambda name: lambda o, l: f"{name}({w(o[0], l)}, {w(o[1], l)})"
    f.op("add", two, [a, b], "i32", narrow(binary("+")), lambda x, y: sat(x + y))
    f.op("sub", two, [a, b], "i32", narrow(binary("-")), lambda x, y: sat(x - y))
    f.op("mul", two, [a, b], "i32", narrow(binary("*")), lambda x, y: sat(x * y))
    f.op("mulwrap", two, [a, b], "i32", narrow(binary("*"), "wrap"), lambda x, y: wr(x * y))
    f.op("wrap8", two, [a, b], "i8", narrow(binary("*"), "wrap", "i8"), lambda x, y: wrap("i8", x * y))
    f.op("wrapu8", two, [a, b], "u8", narrow(binary("*"), "wrap", "u8"), lambda x, y: wrap("u8", x * y))
    f.op("wrap16", two, [a, b], "i16", narrow(binary("*"), "wrap", "i16"), lambda x, y: wrap("i16", x * y))
    f.op("sat8", two, [a, b], "i8", narrow(binary("*"), "saturate", "i8"), lambda x, y: saturate("i8", x * y))
    f.op("satu8", two, [a, b], "u8", narrow(binary("*"), "saturate", "u8"), lambda x, y: saturate("u8", x * y))
    f.op("sat16", two, [a, b], "i16", narrow(binary("*"), "saturate", "i16"), lambda x, y: saturate("i16", x * y))
    f.op("min", two, [a, b], "i32", narrow(named("min")), min)
    f.op("max", two, [a, b], "i32", narrow(named("max")), max)
    f.op("and", two, [a, b], "i32", narrow(named("and")), lambda x, y: x & y)
    f.op("or", two, [a, b], "i32", narrow(named("or")), lambda x, y: x | y)
    f.op("xor", two, [a, b], "i32", narrow(named("xor")), lambda x, y: x ^ y)
    f.op("not", ["i32"], [a], "i32", narrow(lambda o, l: f"not({w(o[0], l)})"), lambda x: ~x)
    # The requantisation of TFLite, single rounding, in 64 bits.
    m = [rng.randint(1 << 30, (1 << 31) - 1) for _ in range(N)]
    f.op("requantise", two, [a, m], "i32",
         narrow(lambda o, l: f"shr({w(o[0], l)} * {w(o[1], l)} + 274877906944, 39)"),
         lambda x, y: sat(x * y + (1 << 38) >> 39))
    counts = [rng.randint(0, 63) for _ in range(N)]
    small = [rng.choice([-1, 0, 1]) for _ in range(N)]
    small[0], counts[0] = -1, 63
    counts = [min(n, 62) if s > 0 else n for s, n in zip(small, counts)]
    f.op("shl", two, [small, counts], "i32", narrow(named("shl")), lambda x, n: sat(x << n))
    f.op("shr", two, [a, counts], "i32", narrow(named("shr")), lambda x, n: x >> n)
    for name, test in (("eq", lambda x, y: x == y), ("lt", lambda x, y: x < y), ("le", lambda x, y: x <= y)):
        f.op(name, ["i32"] * 3, [a, b, c], "i32",
             lambda o, l, name=name: f"select({name}({w(o[0], l)}, {w(o[1], l)}), {o[2]}, {o[0]})",
             lambda x, y, z, test=test: z if test(x, y) else x)
    f.op("select", ["i32"] * 2, [a, b], "i32",
         narrow(lambda o, l: f"select(lt({w(o[0], l)}, 5), {w(o[1], l)}, -9223372036854775808)"),
         lambda x, y: y if x < 5 else limits("i32")[0])
    return f


def convert_file():
    f = File("ops-convert", "conversions: widening, wrapping, saturating, rounding, bits")
    for a, b in (("i8", "i16"), ("i8", "i32"), ("u8", "i16"), ("u8", "i32"), ("i16", "i32")):
        f.op(f"convert_{a}_{b}", [a], [ints(a)], b, typed("convert", b), lambda x: x)
    exact = [16777217, 16777219, -16777217, 2147483647, -2147483648, 33554433, 33554434, 33554435]
    f.op("convert_i32_f32", ["i32"], [exact + ints("i32")[:8]], "f32", typed("convert", "f32"),
         lambda x: rounded(Fraction(x)))
    for a, b in (("i32", "i16"), ("i32", "i8"), ("i32", "u8"), ("i16", "i8"), ("i16", "u8")):
        f.op(f"wrap_{a}_{b}", [a], [ints(a)], b, typed("wrap", b), lambda x, b=b: wrap(b, x))
        near = [limits(b)[0] - 1, limits(b)[0], limits(b)[1], limits(b)[1] + 1]
        f.op(f"saturate_{a}_{b}", [a], [near + ints(a)[:12]], b, typed("saturate", b),
             lambda x, b=b: saturate(b, x))
    halves = [0.5, -0.5, 1.5, -1.5, 2.5, -2.5, 0.49999997, -0.49999997, 8388607.5, -8388607.5, 0.0, -0.0,
              1e-30, -1e-30, 16777216.0, 3.7]
    ends = [2147483647.0, 2147483520.0, -2147483648.0, -2147483904.0, 3e9, -3e9, INF, -INF, NAN, 8388609.0,
            -8388609.0, 4194304.5, -4194304.5, -0.75, 1.0, -1.0]
    for values in (halves, ends):
        values = [rounded(v) for v in values]
        f.op("floor", ["f32"], [values], "i32", call("floor"), lambda x: to_int(x, "floor"))
        f.op("nearest", ["f32"], [values], "i32", call("nearest"), lambda x: to_int(x, "nearest"))
    numbers = [rounded(v) for v in (1.5, -0.0, INF, -INF, to_f32(1), 3.25, -7, 1e10, 0.1, -0.1, 2, 4, 8, 16, 0.0, -1)]
    patterns = [wrap("i32", f32_bits(v)) for v in numbers]
    f.op("bitcast_f32", ["f32"], [numbers], "i32", typed("bitcast", "i32"), lambda x: wrap("i32", f32_bits(x)))
    f.op("bitcast_i32", ["i32"], [patterns], "f32", typed("bitcast", "f32"), to_f32)
    f.op("bitcast_i8", ["i8"], [ints("i8")], "u8", typed("bitcast", "u8"), lambda x: x & 255)
    f.op("bitcast_u8", ["u8"], [ints("u8")], "i8", typed("bitcast", "i8"), lambda x: wrap("i8", x))
    f.op("bitcast_sum", ["i8"] * 2, in_range("i8", lambda x, y: x + y, [ints("i8"), ints("i8")]), "u8",
         lambda o, l: f"bitcast({o[0]} + {o[1]}):u8{l}", lambda x, y: x + y & 255)
    return f


def multiply_file():
    f = File("ops-multiply", "widening multiply-add, dot products, packing, tables")
    for a in ("i8", "u8", "i16"):
        for b in ("i8", "u8", "i16"):
            x, y = ints(a), ints(b)
            c = [rng.randint(-1 << 20, 1 << 20) for _ in range(N)]
            f.op(f"madd_{a}_{b}", [a, b, "i32"], [x, y, c], "i32", call("madd"), lambda x, y, z: x * y + z)
    f.op("madd_tree", ["i8", "i8", "i32"], [ints("i8"), ints("i8"), ints("i32", lo=-9, hi=9)], "i32",
         lambda o, l: f"madd(max({o[0]}, 0), not({o[1]}), {o[2]} - 1)", lambda x, y, z: max(x, 0) * ~y + z - 1)
    for a in ("i8", "u8"):
        x, y = ints(a) + ints(a), ints("i8") + ints("i8")
        c = [rng.randint(-1000, 1000) for _ in range(8)]
        want = [c[i] + sum(x[4 * i + j] * y[4 * i + j] for j in range(4)) for i in range(8)]
        names = f.input(a, x), f.input("i8", y), f.input("i32", c)
        out = f.output("i32", [want] * 3)
        k = f"dot4_{a}"
        f.kernels.append(f"""kernel {k}(in a: {a}[32], in b: i8[32], in c: i32[8], out o: i32[3][8]) {{
  for i in 0..8 {{
    o[0][i] = dot4(a[4*i]:4, b[4*i]:4, c[i])
  }}
  o[1][0]:8 = dot4(a[0]:32, b[0]:32, c[0]:8)
  let va: {a}x32 = a[0]:32
  var sum: i32x8 = c[0]:8
  set sum = dot4(va, max(b[0]:32, -128), sum)
  o[2][0]:8 = sum
}}""")
        f.calls.append(f"  call {k}({', '.join(names)}, {out})")
    for a, b in (("i32", "i16"), ("i16", "i8"), ("i16", "u8")):
        x, y = ints(a), ints(a)
        want = [saturate(b, v) for v in x[:8] + y[:8]]
        names = f.input(a, x[:8]), f.input(a, y[:8])
        out = f.output(b, [want] * 2)
        k = f"pack_{a}_{b}"
        f.kernels.append(f"""kernel {k}(in a: {a}[8], in b: {a}[8], out o: {b}[2][16]) {{
  o[0][0]:16 = pack(a[0]:8, b[0]:8):{b}x16
  let x: {a}x8 = a[0]:8
  let p: {b}x16 = pack(max(x, x), b[0]:8):{b}x16
  for i in 0..16 by 16 {{
    o[1][i]:16 = p
  }}
}}""")
        f.calls.append(f"  call {k}({', '.join(names)}, {out})")
    for elem in ("i8", "u8", "i16", "i32", "f32"):
        table = [rounded(i * 0.25 - 7) for i in range(256)] if elem == "f32" else \
                [wrap(elem, i * 7 - 100) for i in range(256)]
        texts = [str(v) for v in table]
        line = f"buffer table_{elem}: {elem}[256] weight = {{\n" + \
               ",\n".join("  " + ", ".join(texts[i:i + 16]) for i in range(0, 256, 16)) + "\n}"
        f.op(f"table_{elem}", ["u8"], [ints("u8")], elem, lambda o, l: f"table(t, {o[0]})",
             lambda x, table=table: table[x], [("t", f"{elem}[256]", line)])
        f.op(f"tablenot_{elem}", ["u8"], [ints("u8")], elem, lambda o, l: f"table(t, not({o[0]}))",
             lambda x, table=table: table[255 - x],
             [("t", f"{elem}[256]", line.replace(f"table_{elem}", f"again_{elem}"))])
    return f


def lanes_file():
    f = File("ops-lanes", "splat, lane, shuffle and masks")
    for elem in ("f32", "i8", "u8", "i16", "i32"):
        x = [float(v) for v in range(1, 9)] if elem == "f32" else ints(elem)[:8]
        y = [float(v) for v in range(11, 19)] if elem == "f32" else ints(elem)[:8]
        both = x + y
        zip_ = [0, 8, 1, 9, 2, 10, 3, 11]
        rows = [[both[i] for i in zip_], [x[7 - i] for i in range(8)], [y[2]] * 8,
                [x[(i + 4) % 8] for i in range(8)], [x[i ^ 1] for i in range(8)],
                [x[0], y[0]] * 4]
        out = f.output(elem, rows)
        names = f.input(elem, x), f.input(elem, y)
        f.kernels.append(f"""kernel lanes_{elem}(in a: {elem}[8], in b: {elem}[8], out o: {elem}[6][8]) {{
  let va: {elem}x8 = a[0]:8
  let vb: {elem}x8 = b[0]:8
  o[0][0]:8 = shuffle(va, vb, [{', '.join(map(str, zip_))}])
  let back: {elem}x8 = shuffle(a[0]:8, b[0]:8, [7, 6, 5, 4, 3, 2, 1, 0])
  o[1][0]:8 = back
  o[2][0]:8 = splat(lane(vb, 2)):8
  var turn: {elem}x8 = va
  set turn = shuffle(turn, turn, [4, 5, 6, 7, 0, 1, 2, 3])
  o[3][0]:8 = turn
  o[4][0]:8 = max(shuffle(va, va, [1, 0, 3, 2, 5, 4, 7, 6]), shuffle(shuffle(va, va, [0, 1, 2, 3, 4, 5, 6, 7]), vb, [1, 0, 3, 2, 5, 4, 7, 6]))
  for i in 0..8 by 2 {{
    o[5][i]:2 = shuffle(va, b[0]:8, [0, 8])
  }}
}}""")
        f.calls.append(f"  call lanes_{elem}({', '.join(names)}, {out})")
    a = [float(v) for v in range(16)]
    tree = f.output("f32", [[sum(a), 15.0, a[3] + 4]])
    f.kernels.append("""kernel tree(in a: f32[16], out o: f32[1][3]) {
  let v: f32x16 = a[0]:16
  let h8: f32x8 = shuffle(v, v, [0, 1, 2, 3, 4, 5, 6, 7]) + shuffle(v, v, [8, 9, 10, 11, 12, 13, 14, 15])
  let h4: f32x4 = shuffle(h8, h8, [0, 1, 2, 3]) + shuffle(h8, h8, [4, 5, 6, 7])
  let h2: f32x2 = shuffle(h4, h4, [0, 1]) + shuffle(h4, h4, [2, 3])
  o[0][0] = lane(h2, 0) + lane(h2, 1)
  o[0][1] = lane(a[8]:8, 7)
  o[0][2] = lane(v + splat(4), 3)
}""")
    f.calls.append(f"  call tree({f.input('f32', a)}, {tree})")
    x, y = ints("i32", lo=-5, hi=5), ints("i32", lo=-5, hi=5)
    two = ["i32"] * 2
    less, eq = lambda o: f"lt({o[0]}, {o[1]})", lambda o: f"eq({o[0]}, 0)"
    pick = lambda text: lambda o, l: f"select({text(o)}, {o[0]}, {o[1]})"
    f.op("mask_and", two, [x, y], "i32", pick(lambda o: f"and({less(o)}, {eq(o)})"),
         lambda a, b: a if a < b and a == 0 else b)
    f.op("mask_or", two, [x, y], "i32", pick(lambda o: f"or({less(o)}, {eq(o)})"),
         lambda a, b: a if a < b or a == 0 else b)
    f.op("mask_xor", two, [x, y], "i32", pick(lambda o: f"xor({less(o)}, {eq(o)})"),
         lambda a, b: a if (a < b) != (a == 0) else b)
    f.op("mask_not", two, [x, y], "i32", pick(lambda o: f"not({less(o)})"), lambda a, b: a if a >= b else b)
    f.op("mask_select", two, [x, y], "i32", pick(lambda o: f"select({less(o)}, {eq(o)}, le({o[1]}, 2))"),
         lambda a, b: a if (a == 0 if a < b else b <= 2) else b)
    f.op("mask_constant", two, [x, y], "i32", pick(lambda o: f"select({less(o)}, true, {eq(o)})"),
         lambda a, b: a if a < b or a == 0 else b)
    f.kernels.append("""kernel mask_values(in a: i32[8], in b: i32[8], out o: i32[3][8]) {
  let m: maskx8 = lt(a[0]:8, b[0]:8)
  var k: maskx8 = not(m)
  set k = or(k, eq(a[0]:8, splat(b[0])))
  o[0][0]:8 = select(m, a[0]:8, b[0]:8)
  o[1][0]:8 = select(k, a[0]:8, b[0]:8)
  let one: mask = lane(k, 1)
  for i in 0..8 {
    o[2][i] = select(one, a[i], b[i])
  }
}""")
    m = [p < q for p, q in zip(x[:8], y[:8])]
    k = [not v or p == y[0] for v, p in zip(m, x[:8])]
    out = f.output("i32", [[p if v else q for v, p, q in zip(m, x, y)], [p if v else q for v, p, q in zip(k, x, y)],
                           [p if k[1] else q for p, q in zip(x[:8], y[:8])]])
    f.calls.append(f"  call mask_values({f.input('i32', x[:8])}, {f.input('i32', y[:8])}, {out})")
    return f


def dot_file():
    """As int8 networks use dot4: in registers of every width, tiles of pixels by channels, bytes that are changed before."""
    f = File("ops-dot", "dot products and the bytes that they multiply")
    for a in ("u8", "i8"):
        some = lambda elem: sum((ints(elem, edge=False) for _ in range(4)), [])
        x, y = some(a), some("i8")
        x[:12], y[:12] = [limits(a)[1]] * 8 + [limits(a)[0]] * 4, [-128] * 4 + [127] * 4 + [-128] * 4
        c = [rng.randint(-1 << 24, 1 << 24) for _ in range(N)]
        dot = lambda x, y, i: sum(x[4 * i + j] * y[4 * i + j] for j in range(4))
        sums = [c[i] + dot(x, y, i) for i in range(N)]
        names = f.input(a, x), f.input("i8", y), f.input("i32", c)

        out = f.output("i32", [sums] * 6)
        f.kernels.append(f"""kernel widths_{a}(in a: {a}[64], in b: i8[64], in c: i32[16], out o: i32[6][16]) {{
  o[0][0]:16 = dot4(a[0]:64, b[0]:64, c[0]:16)
  for i in 0..16 by 8 {{
    o[1][i]:8 = dot4(a[4*i]:32, b[4*i]:32, c[i]:8)
  }}
  for k in 0..16 by 4 {{
    let v: i32x4 = dot4(a[4*k]:16, b[4*k]:16, c[k]:4)
    o[2][k]:4 = v
  }}
  o[3][0]:12 = dot4(a[0]:48, b[0]:48, c[0]:12)
  o[3][12]:4 = dot4(a[48]:16, b[48]:16, c[12]:4)
  o[4][0]:5 = dot4(a[0]:20, b[0]:20, c[0]:5)
  o[4][5]:6 = dot4(a[20]:24, b[20]:24, c[5]:6)
  o[4][11]:3 = dot4(a[44]:12, b[44]:12, c[11]:3)
  o[4][14]:2 = dot4(a[56]:8, b[56]:8, c[14]:2)
  let va: {a}x64 = a[0]:64
  let vb: i8x64 = b[0]:64
  var r: i32x16 = c[0]:16
  set r = dot4(va, vb, r)
  o[5][0]:16 = r
}}""")
        f.calls.append(f"  call widths_{a}({', '.join(names)}, {out})")

        tile = [[c[i] + sum(x[16 * p + 4 * k + j] * y[4 * (i % 8) + 32 * k + j] for k in range(2) for j in range(4))
                 for i in range(N)] for p in range(4)]
        out = f.output("i32", tile + [[c[i] + sum(x[4 + j] * y[4 * i + j] for j in range(4)) for i in range(N)]])
        repeat = lambda first, lanes: ", ".join(str(first + i % 4) for i in range(lanes))
        f.kernels.append(f"""kernel tile_{a}(in a: {a}[4][16], in b: i8[64], in c: i32[16], out o: i32[5][16]) {{
  for p in 0..4 {{
    for i in 0..16 by 8 {{
      var r: i32x8 = c[i]:8
      for k in 0..2 {{
        let w: i8x32 = b[32*k]:32
        set r = dot4(shuffle(a[p][4*k]:4, a[p][4*k]:4, [{repeat(0, 32)}]), w, r)
      }}
      o[p][i]:8 = r
    }}
  }}
  let eight: {a}x8 = a[0][0]:8
  o[4][0]:16 = dot4(shuffle(eight, eight, [{repeat(4, 64)}]), b[0]:64, c[0]:16)
}}""")
        f.calls.append(f"  call tile_{a}({', '.join(names)}, {out})")

        other = "i8" if a == "u8" else "u8"
        clipped = [max(-100, min(100, v)) if a == "i8" else min(100, v) for v in x[:32]]
        up = [v + 9 for v in clipped]
        flipped = [wrap(other, v) for v in x[:32]]
        even = [clipped[i ^ 1] for i in range(32)]
        few = [c[i] + dot(up, y, i) for i in range(8)]
        out = f.output("i32", [few, [c[i] + dot(flipped, y, i) for i in range(8)],
                               [c[i] + dot([~v & 255 if a == "u8" else ~v for v in x], y, i) for i in range(8)],
                               [c[i] + dot(even, y, i) for i in range(8)],
                               [c[i] + sum(7 * y[4 * i + j] for j in range(4)) for i in range(8)],
                               x[:8], [x[3] + v for v in c[:8]]])
        stored = f.output(a, [x[:32], [saturate(a, v) for v in few] * 4, even])
        bound = f"min(max(a[0]:32, -100), 100)" if a == "i8" else "min(a[0]:32, 100)"
        f.kernels.append(f"""kernel bytes_{a}(in a: {a}[64], in b: i8[64], in c: i32[16], out o: i32[7][8], out p: {a}[3][32]) {{
  let clipped: {a}x32 = {bound}
  var up: {a}x32 = clipped
  set up = up + 9
  let few: i32x8 = dot4(up, b[0]:32, c[0]:8)
  o[0][0]:8 = few
  o[1][0]:8 = dot4(bitcast(a[0]:32):{other}x32, b[0]:32, c[0]:8)
  o[2][0]:8 = dot4(not(a[0]:32), b[0]:32, c[0]:8)
  let even: {a}x32 = shuffle(clipped, clipped, [{', '.join(str(i ^ 1) for i in range(32))}])
  o[3][0]:8 = dot4(even, b[0]:32, c[0]:8)
  let seven: {a}x32 = splat(7)
  o[4][0]:8 = dot4(seven, b[0]:32, c[0]:8)
  let all: {a}x32 = a[0]:32
  o[5][0]:8 = convert(shuffle(all, all, [0, 1, 2, 3, 4, 5, 6, 7])):i32x8
  o[6][0]:8 = c[0]:8 + splat(convert(lane(all, 3)):i32)
  p[0][0]:32 = all
  for i in 0..32 by 8 {{
    p[1][i]:8 = saturate(few):{a}x8
  }}
  p[2][0]:32 = even
}}""")
        f.calls.append(f"  call bytes_{a}({', '.join(names)}, {out}, {stored})")
    return f


def main():
    folder = sys.argv[1]
    files = [f32_file()] + [int_file(e) for e in ("i8", "u8", "i16", "i32")]
    files += [i64_file(), convert_file(), multiply_file(), lanes_file(), dot_file()]
    for f in files:
        f.write(folder)


main()
