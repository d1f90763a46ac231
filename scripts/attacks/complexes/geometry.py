"""Attack the complexes: every face, vertex, volume and cover against exact brute force, on weights of every kind.

    python scripts/attacks/complexes/geometry.py [--seconds 240] [--count N] [--seed 0] [--part NAME]

The truth is `tests/oracles/exact_faces.py`: cones cut one by one in Python integers, no floating point, no LP, no code of the
library. Volumes of the truth are sums of determinants of rational simplices.

  faces      networks with n = 1 ... 6 inputs: f-vectors, sign vectors of all faces, covers, vertices within their bounds
  volumes    boxes in n = 2, 3, 4: the volumes add up to the box within the sum of their bounds; small ones one by one
  overflow   weights and biases of exponents +-300, +-1000 (rational), subnormals
  slopes     the same in 1 to 3 inputs: slopes and Lipschitz constants within their bounds, which facets bend, their weights
  flats      domains without an interior, bounded and unbounded, most of them away from the origin: faces and vertices; in half of
             the inputs rays, interior points, corners, distances, nearest points and balls too (`tests/oracles/flat_cells.py`)
  sizes      lengths and areas on slanted lines and planes of any size, far out too: squares within their bounds, verified
  tilted     parallel walls and flats next to a coordinate direction: what is given out, by signs at exact points
  wide       one layer in n = 7 ... 40: counts against the formula
  large      n = 7 ... 12, 10^3 to 10^4 faces: all faces and vertices against the oracle

One line a kind: how many inputs were tried, how many answers were wrong, how many were refused with a clear error.
Exit code 1 if one was wrong; each failure is printed with what reproduces it.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

import polyfiber as pf
from polyfiber.complexes.geometry import map_errors
from polyfiber.complexes.metric import exact_rays
from polyfiber.errors import PolyfiberError
from polyfiber.numerics.exact import as_fractions
from tests.oracles.exact_faces import ExactComplex, box, exact_complex
from tests.oracles.flat_cells import FlatCells
from tests.oracles.volumes import region_volumes

Case = tuple[pf.ReLUNetwork, Any, Any]
"""A network, a domain of the library, and the same domain as (A, b) for the oracle."""
MOST_FACES = 6000

# ---- weights ------------------------------------------------------------------------------------


def gaussian(rng: np.random.Generator, shape: Any) -> Any:
    return rng.standard_normal(shape)


def tenths(rng: np.random.Generator, shape: Any) -> Any:
    return np.round(rng.standard_normal(shape) * 4) / 10


def eighths(rng: np.random.Generator, shape: Any) -> Any:
    return np.round(rng.standard_normal(shape) * 8) / 8


def dyadic(rng: np.random.Generator, shape: Any) -> Any:
    return np.round(rng.standard_normal(shape) * 4) * 2.0 ** -rng.integers(0, 20, size=shape)


def single(rng: np.random.Generator, shape: Any) -> Any:
    return rng.standard_normal(shape).astype(np.float32).astype(np.float64)


def integers(rng: np.random.Generator, shape: Any) -> Any:
    return rng.integers(-2, 3, size=shape).astype(np.float64)


def exponents(rng: np.random.Generator, shape: Any) -> Any:
    return rng.standard_normal(shape) * 10.0 ** rng.integers(-300, 301, size=shape)


def few_exponents(rng: np.random.Generator, shape: Any) -> Any:
    return np.round(rng.standard_normal(shape) * 3) * 10.0 ** (100.0 * rng.integers(-3, 4, size=shape))


def subnormals(rng: np.random.Generator, shape: Any) -> Any:
    return rng.integers(-50, 51, size=shape) * 5e-324 * 2.0 ** rng.integers(0, 40, size=shape)


def rationals(rng: np.random.Generator, shape: Any) -> Any:
    out = np.empty(shape, dtype=object)
    for index in np.ndindex(*np.atleast_1d(shape)):
        power = int(rng.integers(-1000, 1001))
        out[index] = (
            int(rng.integers(-9, 10))
            * (Fraction(10**power) if power >= 0 else Fraction(1, 10**-power))
            * Fraction(1, int(rng.integers(1, 8)))
        )
    return out


def thirds(rng: np.random.Generator, shape: Any) -> Any:
    out = np.empty(shape, dtype=object)
    for index in np.ndindex(*np.atleast_1d(shape)):
        out[index] = Fraction(int(rng.integers(-6, 7)), int(rng.integers(1, 8)))
    return out


ORDINARY: dict[str, Callable[..., Any]] = {
    "gaussian": gaussian,
    "k/10": tenths,
    "k/8": eighths,
    "dyadic": dyadic,
    "float32": single,
    "integer": integers,
    "rational": thirds,
}
EXTREME: dict[str, Callable[..., Any]] = {
    "10^+-300": exponents,
    "10^(100 k)": few_exponents,
    "subnormal": subnormals,
    "10^+-1000 rational": rationals,
}


def network(rng: np.random.Generator, widths: tuple[int, ...], make: Callable[..., Any]) -> pf.ReLUNetwork:
    """A network of these weights; sometimes pruned, with repeated rows, without biases, with a dead layer."""
    weights = [make(rng, (b, a)) for a, b in zip(widths[:-1], widths[1:])]
    biases = [make(rng, (b,)) for b in widths[1:]]
    habit = int(rng.integers(0, 8))
    if habit == 1:
        for w in weights:
            w[rng.random(w.shape) < 0.4] = 0
    elif habit == 2:
        for w, b in zip(weights[:-1], biases[:-1]):
            if len(b) > 1:
                i, j = rng.choice(len(b), 2, replace=False)
                w[i], b[i] = w[j], b[j]
                if rng.random() < 0.3:
                    w[i], b[i] = -w[j], -b[j]
    elif habit == 3:
        for b in biases:
            b[:] = 0
    elif habit == 4:
        layer = int(rng.integers(0, len(weights) - 1))
        weights[layer][int(rng.integers(0, len(biases[layer])))] = 0
    elif habit == 5:
        layer = int(rng.integers(0, len(weights) - 1))
        weights[layer][:] = -abs(weights[layer])
        biases[layer][:] = -abs(biases[layer])
    return pf.ReLUNetwork(weights, biases)


def widths_for(rng: np.random.Generator, n: int) -> tuple[int, ...]:
    """Hidden widths that brute force can follow."""
    most = {1: 6, 2: 6, 3: 5, 4: 4, 5: 3, 6: 3}[n]
    depth = int(rng.integers(1, 6 if n <= 2 else 4 if n == 3 else 3))
    return (n, *(int(rng.integers(1, most + 1)) for _ in range(depth)), 1)


def domain(rng: np.random.Generator, n: int, make: Callable[..., Any]) -> tuple[Any, Any]:
    kind = int(rng.integers(0, 4))
    if kind == 0:
        return None, None
    if kind == 1:
        lo, hi = -np.round(rng.random(n) * 8 + 1) / 8, np.round(rng.random(n) * 8 + 1) / 8
        return pf.Box(lo, hi), box(lo, hi)
    if kind == 2:
        lo = make(rng, (n,))
        hi = np.array([a + abs(b) + (1 if isinstance(a, Fraction) else 5e-324) for a, b in zip(lo, make(rng, (n,)))])
        if np.isfinite(hi.astype(np.float64) if hi.dtype != object else 0.0).all() and all(
            a < b for a, b in zip(lo, hi)
        ):
            return pf.Box(lo, hi), box(lo, hi)
        return None, None
    m = int(rng.integers(1, 5))
    A = make(rng, (m, n))
    b = abs(make(rng, (m,)))
    b = np.where(b == 0, b + 1, b)
    keep = [i for i in range(m) if any(v != 0 for v in A[i])]
    return (pf.Polyhedron(A[keep], b[keep]), (A[keep], b[keep])) if keep else (None, None)


# ---- comparisons --------------------------------------------------------------------------------


def trimmed(counts: tuple[int, ...]) -> tuple[int, ...]:
    """Without the dimensions above the domain's."""
    while len(counts) > 1 and counts[-1] == 0:
        counts = counts[:-1]
    return counts


def compare(cx: pf.PolyhedralComplex, truth: ExactComplex, *, covers: bool = False) -> str:
    """What is wrong, or an empty string."""
    f = trimmed(truth.f_vector)
    if tuple(cx.f_vector) != f:
        return f"f-vector {cx.f_vector}, true {f}"
    for k in range(len(f)):
        if {tuple(row) for row in cx.signs(k).tolist()} != truth.signs(k):
            return f"faces of dimension {k}"
    points, errors, exact = cx.vertices, cx.vertex_errors, truth.vertices()
    for signs, point, error in zip(cx.signs(0).tolist(), points, errors):
        true = exact[tuple(signs)]
        if cx.lineality_dimension:
            continue  # bounds are of quotient coordinates
        for x, t in zip(point.tolist(), true):
            if math.isnan(x):
                return "a coordinate is not a number"
            if math.isinf(error):
                if math.isfinite(x) and abs(t) > Fraction(sys.float_info.max) * 2:
                    return f"a coordinate beyond floats is {x}"
                continue
            if abs(Fraction(x) - t) > Fraction(error):
                return f"vertex {point} is off by {float(abs(Fraction(x) - t)):.3g}, its bound is {error:.3g}"
    if covers and sum(f) < 400:
        mine = set()
        for k in range(len(f) - 1):
            lower, upper = [tuple(r) for r in cx.signs(k).tolist()], [tuple(r) for r in cx.signs(k + 1).tolist()]
            indptr, indices = cx._store.covers_above(k)
            mine |= {
                (lower[i], upper[j]) for i in range(len(lower)) for j in indices[indptr[i] : indptr[i + 1]].tolist()
            }
        if mine != truth.covers():
            return "covers"
    return ""


def signs_at(cx: pf.PolyhedralComplex, x: list[Fraction]) -> list[int]:
    """Signs of the neurons, then of the domain's inequalities, at a rational point, by fractions alone."""
    signs, y = [], x
    for w, b in zip(cx.network.weights[:-1], cx.network.biases[:-1]):
        z = [sum((Fraction(a) * c for a, c in zip(row, y)), Fraction(s)) for row, s in zip(w.tolist(), b.tolist())]
        signs += [(v > 0) - (v < 0) for v in z]
        y = [max(v, Fraction(0)) for v in z]
    sides = [] if cx.domain is None else zip(cx.domain.A.tolist(), cx.domain.b.tolist())
    for row, side in sides:
        value = Fraction(side) - sum((Fraction(a) * c for a, c in zip(row, x)), Fraction(0))
        signs.append((value > 0) - (value < 0))
    return signs


def given_out(cx: pf.PolyhedralComplex) -> str:
    """What is wrong about vertices, rays and points inside, as they are given out, by the signs at them in rationals."""
    exact, points, errors = cx.exact_vertices().tolist(), cx.vertices, cx.vertex_errors
    for row, true, point, error in zip(cx.signs(0).tolist(), exact, points.tolist(), errors.tolist()):
        if signs_at(cx, true) != row:
            return "an exact vertex has other signs"
        if any(math.isnan(x) for x in point) or not error >= 0:
            return f"the vertex {point} with the bound {error} is no number"
        if max(map(abs, true)) < Fraction(10) ** 300 and not error <= 1e-5 * float(max(map(abs, true))) + 1e-290:
            return f"the bound {error} of {point} says little"
        if math.isfinite(error) and any(abs(Fraction(x) - t) > Fraction(error) for x, t in zip(point, true)):
            return f"the vertex {point} +- {error} is {[float(t) for t in true]}"
    ids, directions = cx.rays
    edge_signs = cx.signs(1).tolist() if cx.dimension else []
    for i, to, along in zip(ids.tolist(), directions, exact_rays(cx)[1].tolist()):
        start = exact[cx.edges[i, 0]]
        for step in (Fraction(1), Fraction(10) ** 9):
            if signs_at(cx, [s + step * a for s, a in zip(start, along)]) != edge_signs[i]:
                return "an exact direction leaves its ray"
        size = max(map(abs, along))
        floats = np.array([float(a / size) for a in along])
        if not np.abs(floats / np.linalg.norm(floats) - to).max() <= 1e-9:
            return f"a ray goes along {floats}, not {to}"
    for dim in range(cx.dimension + 1):
        inside, rows = cx.interior_points(dim), cx.signs(dim).tolist()
        for row, point, sure in zip(rows, inside.tolist(), cx.interior_points(dim, exact=True).tolist()):
            if signs_at(cx, sure) != row:
                return "an exact point inside has other signs"
            if math.isnan(point[0]):  # none was found: then the rounded one is none
                if max(map(abs, sure)) < 10**300 and dim == cx.dimension:
                    size = max(map(abs, sure))
                    if agrees(signs_at(cx, [Fraction(float(x)) for x in sure]), row) and size > Fraction(1, 10**300):
                        return f"no point inside was found, and {[float(x) for x in sure]} is one"
            elif not agrees(signs_at(cx, [Fraction(x) for x in point]), row):
                return f"{point} does not lie inside"
    found = cx.certificate.verify(everything=True)
    return "" if found.verdict is not pf.Verdict.NO else f"verify: {found.problems}"


def agrees(found: list[int], row: list[int]) -> bool:
    return all(s in (0, t) for s, t in zip(row, found))


def tilted_case(rng: np.random.Generator) -> tuple[str, str]:
    """Walls that are parallel, and flats, along directions that are nearly a coordinate axis: what is lifted cancels."""
    n = int(rng.integers(2, 4))
    low = 160 if rng.random() < 0.3 else 17
    row = [float(rng.integers(-3, 4)) * 10.0 ** -int(rng.integers(0, low)) for _ in range(n)]
    row[int(rng.integers(0, n))] = float(rng.integers(1, 4))
    other = [float(rng.integers(-3, 4)) * 10.0 ** -int(rng.integers(0, low)) for _ in range(n)]
    width = int(rng.integers(1, 4))
    scales = [float(s) for s in rng.choice([-2.0, -1.0, 0.5, 1.0, 4.0], width)]
    first = [[s * v for v in (row if rng.random() < 0.7 else other)] for s in scales]
    biases = [float(v) for v in rng.integers(-5, 6, width)]
    net = pf.ReLUNetwork([first, [[1.0] * width]], [biases, [0.0]])
    kind = ["none", "half", "flat", "slab"][int(rng.integers(0, 4))]
    dom = {
        "none": lambda: None,
        "half": lambda: pf.Polyhedron([[-v for v in row]], [5.0]),
        "flat": lambda: pf.Polyhedron([row, [-v for v in row]], [5.0, -5.0]),
        "slab": lambda: pf.Polyhedron([row, [-v for v in row]], [7.0, 5.0]),
    }[kind]()
    try:
        cx = pf.canonical_complex(net, dom)
    except PolyfiberError as error:
        return f"tilted {kind}", "" if getattr(error, "empty", False) else f"refused: {error}"
    return f"tilted {kind}", given_out(cx)


def faces_case(rng: np.random.Generator) -> tuple[str, str]:
    kind = list(ORDINARY)[int(rng.integers(0, len(ORDINARY)))]
    n = int(rng.choice([1, 2, 2, 3, 3, 4, 5, 6]))
    net = network(rng, widths_for(rng, n), ORDINARY[kind])
    dom, sides = domain(rng, n, ORDINARY[kind])
    return f"faces {kind}", _built(net, dom, sides, covers=True)


def overflow_case(rng: np.random.Generator) -> tuple[str, str]:
    kind = list(EXTREME)[int(rng.integers(0, len(EXTREME)))]
    n = int(rng.integers(1, 4))
    net = network(rng, widths_for(rng, n), EXTREME[kind])
    dom, sides = domain(rng, n, EXTREME[kind] if kind != "subnormal" else gaussian)
    return f"overflow {kind}", _built(net, dom, sides)


def slopes_case(rng: np.random.Generator) -> tuple[str, str]:
    kind = ["exponents", "cancelling", "few", "rational"][int(rng.integers(0, 4))]
    n, depth = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    widths = (n, *(int(rng.integers(1, 4)) for _ in range(depth)), int(rng.integers(1, 3)))
    net = spread_network(rng, widths, kind)
    name = f"slopes {kind} n={n}"
    try:
        cx = pf.canonical_complex(net, None if rng.random() < 0.6 else pf.Box([-1.0] * n, [1.0] * n))
    except PolyfiberError as error:
        return name, f"refused: {type(error).__name__}"
    return name, "too large" if cx.n_regions > 60 or not cx.dimension else slopes_wrong(cx)


def spread_network(rng: np.random.Generator, widths: tuple[int, ...], kind: str) -> pf.ReLUNetwork:
    """Layers of sizes 1e-300 to 1e300 whose product is within floats more often than not; some entries cancel or are gone."""
    weights, biases, total = [], [], 0
    reach = 900 if kind == "rational" else 280
    for l, (a, b) in enumerate(zip(widths, widths[1:])):
        last = l == len(widths) - 2
        e = int(np.clip(rng.integers(-250, 250) - total, -reach, reach)) if last else int(rng.integers(-reach, reach))
        total += e
        digits = rng.integers(-3, 4, (b, a)) if kind == "cancelling" else rng.integers(-99, 100, (b, a))
        spread = rng.integers(-20, 21, (b, a)) if kind == "exponents" else np.zeros((b, a), dtype=np.int64)
        exact = [[Fraction(int(d)) * Fraction(10) ** (e + int(s)) for d, s in zip(*row)] for row in zip(digits, spread)]
        shift = [Fraction(int(d)) * Fraction(10) ** min(total, reach) for d in rng.integers(-2, 3, b)]
        if kind == "rational":
            weights.append(np.array(exact, dtype=object).reshape(b, a))
            biases.append(np.array(shift, dtype=object))
        else:
            weights.append(np.array([[float(x) for x in row] for row in exact]))
            biases.append(
                np.array([float(np.clip(float(max(min(x, 10**300), -(10**300))), -1e300, 1e300)) for x in shift])
            )
    return pf.ReLUNetwork(weights, biases)


def slopes_wrong(cx: pf.PolyhedralComplex) -> str:
    """What is wrong about affine maps, Lipschitz constants and breakpoints, by products of Fractions over the active neurons."""
    n, hidden = cx.dimension, cx.network.hidden_widths
    W = [[[Fraction(x) for x in row] for row in w] for w in cx.network.weights]
    exact = []
    for signs in cx.signs(n).tolist():
        A, at = W[0], 0
        for w, width in zip(W[1:], hidden):
            on = [i for i in range(width) if signs[at + i] > 0]
            A = [[sum((row[i] * A[i][c] for i in on), Fraction(0)) for c in range(len(W[0][0]))] for row in w]
            at += width
        exact.append(A)
    floats, _ = cx.affine_maps()
    bounds = map_errors(cx._frame)
    for r, A in enumerate(exact):
        for row, true, bound in zip(floats[r].tolist(), A, bounds.tolist()):
            for x, y, b in zip(row, true, bound):
                if np.isnan(x) or (np.isfinite(x) and b < np.inf and abs(Fraction(x) - y) > Fraction(b)):
                    return f"the slope {x} +- {b} is {float(min(max(y, -(10**300)), 10**300))}"
    for ord in (1, np.inf):
        said = cx.lipschitz(ord)
        true = max(norm(A, ord) for A in exact)
        if np.isfinite(said.value + said.error) and abs(Fraction(said.value) - true) > Fraction(said.error):
            return f"the Lipschitz constant {said} is {float(true)}"
        if Fraction(10) ** -280 < true < Fraction(10) ** 280 and not (
            said.error <= said.value * 1e-6 or cancels(W, exact)
        ):
            return f"the bound of {said} says nothing"
    bends = cx.breakpoint_complex()
    indptr, indices = cx._store.covers_above(n - 1)
    for f in range(cx.f_vector[n - 1]):
        two = indices[indptr[f] : indptr[f + 1]].tolist()
        weight = bends._all_weights[f].tolist()
        if len(two) < 2:
            continue
        for o, w in enumerate(weight):
            jump = [a - b for a, b in zip(exact[two[0]][o], exact[two[1]][o])]
            square = sum((x * x for x in jump), Fraction(0))
            if np.isnan(w) or (w == 0) != (square == 0):
                return f"facet {f}: the weight {w} is of a jump of square {square != 0}"
            if 1e-280 < abs(w) < 1e280 and abs(Fraction(w) ** 2 - square) > square / 10**9:
                return f"facet {f}: the weight {w} has another length"
        if any(weight) != (f in bends.facets):
            return f"facet {f} is visible, or not, against its weight"
    found = cx.certificate.verify(everything=True)
    return "" if found.verdict is not pf.Verdict.NO else f"verify: {found.problems}"


def norm(A: list[list[Fraction]], ord: float) -> Fraction:
    lines = A if ord == np.inf else list(map(list, zip(*A)))
    return max(sum((abs(x) for x in line), Fraction(0)) for line in lines)


def cancels(W: list[list[list[Fraction]]], exact: list[list[list[Fraction]]]) -> bool:
    """Whether sizes along all ways are far above the slopes themselves: then a bound by sizes may say little."""
    total = [[abs(x) for x in row] for row in W[0]]
    for w in W[1:]:
        total = [
            [sum((abs(a) * t[c] for a, t in zip(row, total)), Fraction(0)) for c in range(len(total[0]))] for row in w
        ]
    return max(map(max, total)) > 10**6 * max(norm(A, np.inf) for A in exact)


def _built(net: pf.ReLUNetwork, dom: Any, sides: Any, *, covers: bool = False, most: int = MOST_FACES) -> str:
    try:
        truth = exact_complex(net.weights, net.biases, domain=sides, limit=most)
    except MemoryError:
        return "too large"
    empty = not truth.faces
    try:
        cx = pf.canonical_complex(net, dom)
    except PolyfiberError as error:
        if empty and getattr(error, "empty", False):
            return ""
        return f"refused: {type(error).__name__}: {error}"
    return compare(cx, truth, covers=covers) or (given_out(cx) if sum(cx.f_vector) < 60 else "")


def volumes_case(rng: np.random.Generator) -> tuple[str, str]:
    kind = ["k/10", "k/8", "dyadic", "float32"][int(rng.integers(0, 4))]
    n = int(rng.integers(2, 5))
    widths = (n, int(rng.integers(1, 5)), int(rng.integers(1, 4)), 1)
    net = network(rng, widths, ORDINARY[kind])
    lo, hi = -np.round(1 + 20 * rng.random(n)) / 8, np.round(1 + 20 * rng.random(n)) / 10
    name = f"volumes {kind} n={n}"
    cx = pf.canonical_complex(net, pf.Box(lo, hi))
    sizes, bounds = cx.volumes(), cx.volume_errors
    total = sum((Fraction(v) for v in sizes.tolist()), Fraction(0))
    true = math.prod((Fraction(b) - Fraction(a) for a, b in zip(lo.tolist(), hi.tolist())), start=Fraction(1))
    if not np.isfinite(bounds).all():
        return name, "a bound is not finite"
    if abs(total - true) > sum((Fraction(b) for b in bounds.tolist()), Fraction(0)):
        return name, f"the sum is {float(total)}, true {float(true)}, bounds {bounds.sum():.3g}"
    if float(bounds.sum()) > 1e-6 * float(true):
        return name, f"the bounds add up to {bounds.sum():.3g} of {float(true):.3g}"
    if sum(cx.f_vector) < 150 and rng.random() < 0.2:
        truth = exact_complex(net.weights, net.biases, domain=box(lo, hi))
        exact = region_volumes(truth)
        for signs, v, e in zip(cx.signs(n).tolist(), sizes.tolist(), bounds.tolist()):
            if abs(Fraction(v) - exact[tuple(signs)]) > Fraction(e):
                return name, f"a region has volume {v} +- {e}, true {float(exact[tuple(signs)])}"
    return name, ""


def flats_case(rng: np.random.Generator) -> tuple[str, str]:
    kind = ["k/10", "k/8", "float32", "gaussian", "rational"][int(rng.integers(0, 5))]
    n = int(rng.integers(1, 5))
    net = network(rng, widths_for(rng, n), ORDINARY[kind])
    A, b = box(-np.ones(n), np.ones(n))
    way = ["box", "pair", "point", "open"][int(rng.integers(0, 4))]
    if way == "box":
        lo, hi = -np.round(rng.random(n) * 8 + 1) / 8, np.round(rng.random(n) * 8 + 1) / 8
        fixed = rng.random(n) < 0.5
        fixed[int(rng.integers(0, n))] = True
        hi[fixed] = lo[fixed]
        dom, sides = pf.Box(lo, hi), box(lo, hi)
    elif way == "pair":
        row = [int(v) for v in rng.integers(-2, 3, size=n)]
        row = row if any(row) else [1] * n
        A, b = [*A, row, [-3 * v for v in row]], [*b, Fraction(1, 4), Fraction(-3, 4)]
        dom, sides = pf.Polyhedron(np.array(A, dtype=object), np.array(b, dtype=object)), (A, b)
    elif way == "open":  # equations away from the origin, and at most two inequalities beside them
        A, b = [], []
        for _ in range(int(rng.integers(1, max(2, n)))):
            row = [int(v) for v in rng.integers(-3, 4, size=n)]
            row = row if any(row) else [1] * n
            c = Fraction(int(rng.integers(-9, 10)), int(rng.integers(1, 4)))
            A, b = [*A, row, [-v for v in row]], [*b, c, -c]
        for _ in range(int(rng.integers(0, 3))):
            row = [int(v) for v in rng.integers(-2, 3, size=n)]
            A, b = [*A, row if any(row) else [1] * n], [*b, int(rng.integers(0, 4))]
        dom, sides = pf.Polyhedron(np.array(A, dtype=object), np.array(b, dtype=object)), (A, b)
    else:  # sum x <= -n touches the box in a corner
        A, b = [*A, [1] * n], [*b, -n]
        dom, sides = pf.Polyhedron(np.array(A, dtype=float), np.array([float(v) for v in b])), (A, b)
    verdict, cells = _built(net, dom, sides), ""
    if not verdict and rng.random() < 0.5:
        truth = exact_complex(net.weights, net.biases, domain=sides)
        if 0 < len(truth.faces) < 120:
            cells = " with cells"
            verdict = FlatCells(pf.canonical_complex(net, dom), truth, sides).wrong(rng)
    return f"flats {way} {kind}{cells}", verdict


def sizes_case(rng: np.random.Generator) -> tuple[str, str]:
    """Lengths and areas of regions on slanted lines and planes, of any size, near and far, thin and wide."""
    kind = ["k/10", "k/8", "float32", "gaussian", "rational"][int(rng.integers(0, 5))]
    n = int(rng.integers(2, 4))
    net = network(
        rng,
        (n, int(rng.integers(1, 6)), *((int(rng.integers(1, 4)),) if rng.random() < 0.4 else ()), 1),
        ORDINARY[kind],
    )
    scale = Fraction(10) ** int(rng.choice([0, 0, 0, -3, 3, -80, 80, -155, 155, -200, 200, -310, 300]))
    net = pf.ReLUNetwork(net.weights, [as_fractions(c) * scale for c in net.biases[:1]] + list(net.biases[1:]))
    A, b = [], []
    for _ in range(int(rng.integers(1, n))):
        row = [int(v) for v in rng.integers(-3, 4, size=n)]
        row = row if any(row) else [1] * n
        c = scale * Fraction(int(rng.integers(-9, 10)), int(rng.integers(1, 4)))
        A, b = [*A, row, [-v for v in row]], [*b, c, -c]
    for i in range(n):
        side = [int(i == j) for j in range(n)]
        A, b = [*A, side, [-v for v in side]], [*b, 8 * scale, 8 * scale]
    dom, sides = pf.Polyhedron(np.array(A, dtype=object), np.array(b, dtype=object)), (A, b)
    truth = exact_complex(net.weights, net.biases, domain=sides)
    if not 0 < len(truth.faces) < 400:
        return f"sizes {kind}", ""
    cx = pf.canonical_complex(net, dom)
    verdict = FlatCells(cx, truth, sides).sizes()
    if not verdict and cx.certificate.verify(everything=True).verdict is not pf.Verdict.YES:
        verdict = str(cx.certificate.verify(everything=True))
    return f"sizes {kind} n={n}", verdict


def wide_case(rng: np.random.Generator) -> tuple[str, str]:
    """One layer in n = 7 ... 40: every count is a formula (general position, or independent hyperplanes)."""
    n = int(rng.integers(7, 41))
    extra = int(rng.integers(0, 4 if n > 12 else 6))
    net = pf.ReLUNetwork.random((n, n + extra, 1), rng=int(rng.integers(1 << 30)))
    m = n + extra
    true = tuple(sum(math.comb(m, n - k) * math.comb(m - n + k, i) for i in range(k + 1)) for k in range(n + 1))
    found = pf.canonical_complex(net).f_vector
    return (
        f"wide n={'7-12' if n <= 12 else '13-32' if n <= 32 else '33-40'}",
        "" if found == true else f"{n}, {m}: {found}",
    )


def large_case(rng: np.random.Generator) -> tuple[str, str]:
    """Every face of n = 7 ... 12, of two or three layers or on a box: 10^3 to 10^4 faces, cut in integers."""
    kind = list(ORDINARY)[int(rng.integers(0, len(ORDINARY)))]
    dom: Any = None
    sides: Any = None
    shape = rng.random()
    if shape < 0.04:  # as many neurons as inputs: a vertex
        n = int(rng.integers(7, 10))
        net = network(rng, (n, n, int(rng.integers(1, 3)), 1) if n < 9 else (n, n, 1), ORDINARY[kind])
    elif shape < 0.93:  # fewer: no vertex
        n = int(rng.integers(7, 13))
        deep = (int(rng.integers(2, 4)), int(rng.integers(1, 3))) if rng.random() < 0.5 else (int(rng.integers(1, 4)),)
        net = network(rng, (n, int(rng.integers(4, 6)), *deep, 1), ORDINARY[kind])
    else:
        n = int(rng.integers(7, 9))
        net = network(rng, (n, int(rng.integers(1, 4 if n == 7 else 2)), 1), ORDINARY[kind])
        lo, hi = -np.round(rng.random(n) * 8 + 1) / 8, np.round(rng.random(n) * 8 + 1) / 8
        dom, sides = pf.Box(lo, hi), box(lo, hi)
    return f"large {kind}", _built(net, dom, sides, most=60_000)


PARTS: dict[str, Callable[[np.random.Generator], tuple[str, str]]] = {
    "faces": faces_case,
    "volumes": volumes_case,
    "overflow": overflow_case,
    "slopes": slopes_case,
    "flats": flats_case,
    "sizes": sizes_case,
    "tilted": tilted_case,
    "wide": wide_case,
    "large": large_case,
}


def attack(part: str, *, seed: int, count: int | None, seconds: float) -> tuple[Counter[str], Counter[str], list[str]]:
    """(inputs tried by kind, those refused or too large, failures); input i of a seed is always the same."""
    tried: Counter[str] = Counter()
    left: Counter[str] = Counter()
    wrong: list[str] = []
    end = time.monotonic() + seconds
    i = 0
    while (count is None or i < count) and time.monotonic() < end:
        rng = np.random.default_rng([seed, i])
        try:
            name, verdict = PARTS[part](rng)
        except Exception as error:  # a raw error is a failure as well
            name, verdict = part, f"{type(error).__name__}: {error}"
        if verdict == "too large":
            left[name] += 1
        else:
            tried[name] += 1
            if verdict:
                wrong.append(f"{part} --seed {seed}, input {i} ({name}): {verdict}")
        i += 1
    return tried, left, wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=240, help="for all parts together")
    parser.add_argument("--count", type=int, help="inputs of each part")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--part", choices=[*PARTS, "all"], default="all")
    options = parser.parse_args()
    warnings.simplefilter("error")
    parts = list(PARTS) if options.part == "all" else [options.part]
    failed = 0
    for part in parts:
        tried, left, wrong = attack(part, seed=options.seed, count=options.count, seconds=options.seconds / len(parts))
        for line in wrong:
            print("WRONG", line)
        for name in sorted({*tried, *left}):
            bad = sum(f"({name})" in line for line in wrong)
            print(f"{name:32} {tried[name]:6} tried, {bad} wrong, {left[name]} too large for the oracle")
        failed += len(wrong)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
