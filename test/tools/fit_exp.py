#!/usr/bin/env python3
"""Coefficients for exp in compiler/loop/math.c: the polynomial P of degree 5 with

    exp(r) = 1 + r + r^2 P(r),  |r| <= ln 2 / 2

whose largest error relative to exp(r) is least (Remez' exchange). The highest coefficient is
rounded to f32 first and the others are fitted again, so that each rounding is made good by those
below it. Prints them, highest first, and the error that remains.

    fit_exp.py            print
    fit_exp.py MATH.C     fail unless the file holds these numbers
"""

import math
import re
import struct
import sys

DEGREE = 5
END = math.log(2) / 2
GRID = 4000


def f32(x):
    return struct.unpack("<f", struct.pack("<f", x))[0]


def wanted(r):
    """(exp(r) - 1 - r) / r^2 by its series: no digits are lost near 0."""
    return math.fsum(r**k / math.factorial(k + 2) for k in range(20))


def weight(r):
    """An error of P counts so much in exp(r)."""
    return r * r / math.exp(r)


def horner(coefficients, r):
    value = 0.0
    for c in reversed(coefficients):
        value = value * r + c
    return value


def solve(a, b):
    """Gaussian elimination with pivots."""
    n = len(b)
    rows = [a[i] + [b[i]] for i in range(n)]
    for i in range(n):
        pivot = max(range(i, n), key=lambda k: abs(rows[k][i]))
        rows[i], rows[pivot] = rows[pivot], rows[i]
        for k in range(i + 1, n):
            factor = rows[k][i] / rows[i][i]
            for j in range(i, n + 1):
                rows[k][j] -= factor * rows[i][j]
    x = [0.0] * n
    for i in reversed(range(n)):
        x[i] = (rows[i][n] - math.fsum(rows[i][j] * x[j] for j in range(i + 1, n))) / rows[i][i]
    return x


def remez(target, terms):
    """The best coefficients of 1, r, ..., r^(terms - 1)."""
    xs = [END * (2 * i / GRID - 1) for i in range(GRID + 1)]
    # Off the middle, where the weight is 0.
    points = [END * (math.cos(math.pi * i / terms) * 0.99 + 0.005) for i in reversed(range(terms + 1))]
    for _ in range(40):
        a = [[x**k for k in range(terms)] + [(-1) ** i / weight(x)] for i, x in enumerate(points)]
        coefficients = solve(a, [target(x) for x in points])[:terms]
        errors = [weight(x) * (horner(coefficients, x) - target(x)) for x in xs]
        # The largest error between two changes of sign.
        peaks = []
        for x, e in zip(xs, errors):
            if e == 0:
                continue
            if peaks and (peaks[-1][1] > 0) == (e > 0):
                if abs(e) > abs(peaks[-1][1]):
                    peaks[-1] = (x, e)
            else:
                peaks.append((x, e))
        while len(peaks) > terms + 1:
            peaks.pop(0 if abs(peaks[0][1]) < abs(peaks[-1][1]) else -1)
        if len(peaks) < terms + 1 or [p[0] for p in peaks] == points:
            break
        points = [p[0] for p in peaks]
    return coefficients


def fit():
    fixed = []  # lowest first, as they are found from the top
    for terms in range(DEGREE + 1, 0, -1):
        known = [0.0] * terms + fixed
        best = remez(lambda r: wanted(r) - horner(known, r), terms)
        fixed.insert(0, f32(best[-1]))
    return fixed


def main():
    coefficients = fit()
    if len(sys.argv) > 1:
        with open(sys.argv[1], encoding="utf-8") as f:
            numbers = [f32(float(n)) for n in re.findall(r"(-?\d+\.\d+(?:e-?\d+)?)f\b", f.read())]
        missing = [c for c in coefficients if c not in numbers]
        if missing:
            sys.exit(f"{sys.argv[1]} lacks {', '.join('%.9g' % c for c in missing)}")
    for c in reversed(coefficients):
        print("%.9gf" % c)
    worst = max(
        abs(weight(r) * (horner(coefficients, r) - wanted(r))) for r in (END * (2 * i / GRID - 1) for i in range(GRID + 1))
    )
    print("largest relative error 2^%.2f" % math.log2(worst))


if __name__ == "__main__":
    main()
