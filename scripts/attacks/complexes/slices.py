"""Attack slices: random networks of every kind against polygons cut in rationals, and against exact signs at points.

``python scripts/attacks/complexes/slices.py [--seconds 60] [--seed 0]``

A case is a network (a chain, leaky, absolute values, residual, a small CNN with maxima; random, quantised, without biases,
with dead and equal rows, with walls that differ in the twentieth digit, with exponents up to ±390) on a triangle, a box or far from the origin, through data or along axes. The truth shares no line
with the answer: every polygon is cut by every gate in Fractions, block by block. Compared are the sign vectors of all
regions, the number of vertices, the signs at random rational points, and the segments of a level set (of an output at a
vertex, too) and of the decision boundary. Prints one line per failure and a summary; exits with 1 if anything failed.
"""

from __future__ import annotations

import argparse
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

import polyfiber as pf

Point = tuple[Fraction, Fraction]
KINDS = ("chain", "leaky", "absolute", "residual", "maxima")


def numbers(rng: np.random.Generator, style: str, *shape: int) -> np.ndarray:
    if style == "integer":
        return rng.integers(-1, 2, shape).astype(float)
    if style == "near":
        steps = np.where(rng.random(shape) < 0.3, np.ldexp(rng.integers(-1, 2, shape).astype(float), -64), 0.0)
        whole = rng.integers(-1, 2, shape).astype(float)
        return whole * (1.0 + np.ldexp(rng.integers(-1, 2, shape).astype(float), -52)) + np.where(
            whole == 0, steps, 0.0
        )
    if style == "scales":
        values = rng.integers(-2, 3, shape).astype(float)
        return np.ldexp(values, np.where(rng.random(shape) < 0.5, rng.integers(-390, 391, shape), 0))
    values = rng.standard_normal(shape).astype(np.float32).astype(float)
    if style == "pruned":
        values[rng.random(shape) < 0.5] = 0.0
    return values


def network(rng: np.random.Generator) -> tuple[pf.PiecewiseLinearNetwork, str]:
    kind, style = str(rng.choice(KINDS)), str(rng.choice(["random", "integer", "pruned", "near", "near", "scales"]))
    n = int(rng.integers(2, 6))
    bias = 0.0 if rng.random() < 0.25 else 1.0
    widths = [n]
    blocks: list[Any] = []
    if kind == "maxima":  # equal windows over one row of inputs, their maxima in pairs, then a ReLU
        window = numbers(rng, style, 2)
        m = 2 * ((n + 3) // 2)
        W = np.zeros((m, n))
        for i in range(m):
            W[i, i % n], W[i, (i + 1) % n] = window
        pairs = W[::2] - W[1::2]
        blocks.append(pf.GateBlock({0: pairs}, np.zeros(m // 2)))
        b = bias * numbers(rng, style, 1)[0]
        blocks.append(pf.GateBlock({0: W[1::2], 1: np.eye(m // 2)}, np.full(m // 2, b)))
        widths += [m // 2, m // 2]
    for _ in range(int(rng.integers(1, 3 if kind != "maxima" else 2))):
        m = int(rng.integers(1, 7))
        reads = {len(widths) - 1: numbers(rng, style, m, widths[-1])}
        if kind == "residual" and len(widths) > 1:
            j = int(rng.integers(0, len(widths) - 1))
            reads[j] = numbers(rng, style, m, widths[j])
        slopes = {"leaky": (float(np.float32(0.1)), 1.0), "absolute": (-1.0, 1.0)}.get(kind, (0.0, 1.0))
        if style == "scales" and kind in ("leaky", "absolute"):
            slopes = (slopes[0], float(np.ldexp(1.0, int(rng.integers(-390, 391)))))
        if rng.random() < 0.2 and m > 1:
            for w in reads.values():
                w[-1] = w[0]
        blocks.append(pf.GateBlock(reads, bias * numbers(rng, style, m), slopes=slopes))
        widths.append(m)
    outputs = int(rng.integers(1, 5))
    W, c = numbers(rng, style, outputs, widths[-1]), bias * numbers(rng, style, outputs)
    if rng.random() < 0.3:  # outputs that are equal, everywhere or where some units are off
        W[-1], c[-1] = W[0] * (rng.random(widths[-1]) < 0.7), c[0]
    out = pf.AffineMap({len(widths) - 1: W}, c)
    return pf.PiecewiseLinearNetwork(n, blocks, out), f"{kind}, {style}{'' if bias else ', no biases'}"


Form = tuple[Fraction, Fraction, Fraction]


def combine(maps: Any, values: list[list[Any]]) -> list[Form]:
    """Affine functions of x and y: those of an affine map of blocks whose values are given."""
    rows = []
    for i, b in enumerate(maps.bias):
        total = [Fraction(0), Fraction(0), Fraction(b)]
        for j, w in maps.weights.items():
            matrix = np.asarray(w.toarray() if hasattr(w, "toarray") else w, dtype=object)
            for v, f in zip(matrix[i].tolist(), values[j]):
                if v:
                    total = [a + Fraction(v) * b for a, b in zip(total, f)]
        rows.append((total[0], total[1], total[2]))
    return rows


def chord(polygon: list[Point], form: Form) -> list[Point]:
    """The two ends of where a function that is not zero throughout vanishes on a polygon; empty where it is a point or nothing."""
    values = [form[0] * x + form[1] * y + form[2] for x, y in polygon]
    if not any(values):
        return []
    ends = {p for p, v in zip(polygon, values) if v == 0}
    for p, q, a, b in zip(polygon, polygon[1:] + polygon[:1], values, values[1:] + values[:1]):
        if a * b < 0:
            ends.add((p[0] + a / (a - b) * (q[0] - p[0]), p[1] + a / (a - b) * (q[1] - p[1])))
    return sorted(ends) if len(ends) == 2 else []


def ties(cells: list[Any], one: Any) -> set[tuple[Point, ...]]:
    """Segments where the two largest of the outputs are equal, which differ in the region; with ``one = (output, level)`` of a level set."""
    found = set()
    for _, cell, forms in cells:
        if one is not None:
            f = forms[one[0]]
            found.add(tuple(chord(cell, (f[0], f[1], f[2] - one[1]))))
            continue
        for i in range(len(forms)):
            for j in range(i):
                ends = chord(cell, tuple(a - b for a, b in zip(forms[i], forms[j])))  # type: ignore[arg-type]
                for other in forms:
                    if ends:
                        a, b = (
                            sum(u * v for u, v in zip([p - q for p, q in zip(forms[i], other)], (*e, 1))) for e in ends
                        )
                        if max(a, b) <= 0 and min(a, b) < 0:
                            ends = []
                        elif a * b < 0:
                            t = a / (a - b)
                            middle = (
                                ends[0][0] + t * (ends[1][0] - ends[0][0]),
                                ends[0][1] + t * (ends[1][1] - ends[0][1]),
                            )
                            ends = sorted([middle, ends[1] if b > 0 else ends[0]])
                found.add(tuple(ends))
    return found - {()}


def cut(polygon: list[Point], form: tuple[Fraction, Fraction, Fraction], side: int) -> list[Point]:
    """The part of a polygon where ``side * form >= 0``."""
    kept: list[Point] = []
    values = [side * (form[0] * x + form[1] * y + form[2]) for x, y in polygon]
    for k, p in enumerate(polygon):
        following = (k + 1) % len(polygon)
        if values[k] >= 0:
            kept.append(p)
        if values[k] * values[following] < 0:
            t = values[k] / (values[k] - values[following])
            q = polygon[following]
            kept.append((p[0] + t * (q[0] - p[0]), p[1] + t * (q[1] - p[1])))
    return kept


def truth(
    net: pf.PiecewiseLinearNetwork, o: list[Fraction], D: list[list[Fraction]], polygon: list[Point]
) -> list[tuple[tuple[int, ...], list[Point], list[Form]]]:
    """(signs, polygon, outputs) of every region, by cutting."""
    n = net.n_inputs
    first = [(D[0][i], D[1][i], o[i]) for i in range(n)]
    cells: list[tuple[tuple[int, ...], list[list[Any]], list[Point]]] = [((), [first], polygon)]
    for block in net.exact().blocks:
        after = []
        for signs, values, cell in cells:
            forms = combine(block, values)
            parts: list[tuple[tuple[int, ...], list[Point]]] = [((), cell)]
            for form in forms:
                grown = []
                for mine, part in parts:
                    at = [form[0] * x + form[1] * y + form[2] for x, y in part]
                    if all(v == 0 for v in at):
                        grown.append(((*mine, 0), part))
                    elif all(v >= 0 for v in at):
                        grown.append(((*mine, 1), part))
                    elif all(v <= 0 for v in at):
                        grown.append(((*mine, -1), part))
                    else:
                        grown += [((*mine, s), cut(part, form, s)) for s in (1, -1)]
                parts = grown
            for mine, part in parts:
                y = []
                for s, form, (low, high) in zip(mine, forms, block.slopes.tolist()):
                    slope = Fraction(high) if s > 0 else Fraction(low) if s < 0 else Fraction(0)
                    y.append(tuple(slope * f for f in form))
                after.append(((*signs, *mine), [*values, y], part))
        cells = after
    return [(signs, cell, combine(net.exact().output, values)) for signs, values, cell in cells]


def one(rng: np.random.Generator) -> tuple[str, str | None]:
    net, what = network(rng)
    n = net.n_inputs
    through = rng.random() < 0.5
    o = numbers(rng, str(rng.choice(["random", "integer"])), n)
    D = numbers(rng, str(rng.choice(["random", "integer"])), 2, n)
    if rng.random() < 0.15:  # a small piece of the plane, where products underflow
        step = np.ldexp(1.0, int(rng.integers(-1020, -300)))
        o, D = o * step, D * step
    corners: list[tuple[float, float]] = [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0)]
    if not through:
        low, high = np.sort(rng.integers(-3, 4, (2, 2)) * float(rng.choice([0.5, 1.0, 1e-3])), axis=0)
        shift = float(rng.choice([0.0, 0.0, 1000.0]))
        low, high = low + shift, np.where(low == high, low + 1, high) + shift
        corners = [(low[0], low[1]), (high[0], low[1]), (high[0], high[1]), (low[0], high[1])]
    try:
        s = pf.complexes.planar.build.planar_slice(net, o, D, corners=corners)
    except pf.errors.InputError as error:
        known = "dependent" in str(error) or ("scales" in what and "beyond 2^400" in str(error))
        return (what, None) if known else (what, f"refused: {error}")
    exact = [Fraction(v) for v in o.tolist()], [[Fraction(v) for v in row] for row in D.tolist()]
    cells = truth(net, *exact, [(Fraction(a), Fraction(b)) for a, b in corners])
    expected = sorted(signs for signs, _, _ in cells)
    found = sorted(tuple(row) for row in s.signs().tolist())
    if expected != found:
        return what, f"{len(found)} regions, {len(expected)} by cutting; {len(set(expected) - set(found))} missing"
    vertices = len({p for _, cell, _ in cells for p in cell})
    if s.f_vector[0] != vertices or s.euler_characteristic != 1:
        return what, f"{s.f_vector} with {vertices} vertices by cutting"
    forms, corner = cells[int(rng.integers(len(cells)))][2], cells[0][1][0]
    k = int(rng.integers(len(forms)))
    at_corner = forms[k][0] * corner[0] + forms[k][1] * corner[1] + forms[k][2]
    levels = [0.0, float(numbers(rng, "random", 1)[0]), float(at_corner) if abs(at_corner) < 1e300 else 0.0]
    level = float(rng.choice(levels))
    asked = [(s.level_set(level, output=k), (k, Fraction(level)))]
    if len(forms) > 1:
        asked.append((s.decision_boundary(), None))
    slack = 1e-6 * max(abs(a) + abs(b) + 1e-3 for a, b in corners) + 10 * s.coordinate_error
    for segments, one_output in asked:
        right = ties(cells, one_output)
        kind = f"level {level!r} of output {k}" if one_output else "boundary"
        if len(right) != len(segments):
            return what, f"{kind}: {len(segments)} segments, {len(right)} by cutting"
        if right:
            there = np.array([[[float(x) for x in p] for p in ends] for ends in right])
            both = np.concatenate([there, there[:, ::-1]])
            far = np.abs(segments.ends[:, None] - both).max(axis=(2, 3)).min(axis=1).max()
            if not far <= slack:
                return what, f"{kind}: an end is off by {far}"
    problems = s.verify(samples=50, rng=int(rng.integers(1 << 30))).problems
    return what, "; ".join(problems) or None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    import polyfiber.complexes.planar.build  # noqa: F401

    end, seed, failures = time.monotonic() + options.seconds, options.seed, 0
    kinds: dict[str, int] = {}
    while time.monotonic() < end:
        try:
            what, problem = one(np.random.default_rng(seed))
        except Exception as error:  # an attack goes on
            what, problem = "stopped", f"{type(error).__name__}: {error}"
        kinds[what] = kinds.get(what, 0) + 1
        if problem is not None:
            failures += 1
            print(f"seed {seed} ({what}): {problem}", flush=True)
        seed += 1
    print(f"{sum(kinds.values())} slices of {len(kinds)} kinds of networks, {failures} failures")
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main())
