"""What is asked about the cells of a complex on a flat domain, beside the faces that brute force finds in the input space.

Points, directions, nearest points and balls in rationals; the forms of a region are added up here, neuron by neuron.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

import numpy as np

import polyfiber as pf

from .exact_faces import ExactComplex, Face, as_fraction, below, independent_rows, inverse, matrix, product

Row = list[Fraction]
CLOSE = 1e-9


def value(row: Row, x: Iterable[Fraction]) -> Fraction:
    """A row, constant last, at a point."""
    return sum((a * v for a, v in zip(row, x)), row[-1])


def signs_at(net: Any, sides: list[Row], x: list[Fraction]) -> tuple[int, ...]:
    """Signs of the hidden neurons and of the sides at a point."""
    y, found = x, []
    for w, b in zip(net.weights[:-1], net.biases[:-1]):
        z = [value([*map(as_fraction, row), as_fraction(c)], y) for row, c in zip(w, b)]
        found += z
        y = [max(v, Fraction(0)) for v in z]
    return tuple((v > 0) - (v < 0) for v in [*found, *(value(row, x) for row in sides)])


def forms_on(net: Any, sides: list[Row], signs: tuple[int, ...]) -> tuple[list[Row], list[Row]]:
    """Forms of the hidden neurons and sides, and of the outputs, on the cell with these signs."""
    n0 = len(net.weights[0][0])
    level: list[Row] = [[Fraction(int(i == j)) for j in range(n0 + 1)] for i in range(n0)]
    hidden: list[Row] = []
    for w, b in zip(net.weights, net.biases):
        new = []
        for row, c in zip(w, b):
            form = [sum((as_fraction(a) * f[j] for a, f in zip(row, level) if a), Fraction(0)) for j in range(n0 + 1)]
            form[-1] += as_fraction(c)
            new.append(form)
        if len(hidden) < len(signs) - len(sides):
            start = len(hidden)
            hidden += new
            level = [f if signs[start + i] > 0 else [Fraction(0)] * (n0 + 1) for i, f in enumerate(new)]
        else:
            level = new
    return [*hidden, *sides], level


def projected(equal: list[Row], p: Row) -> Row | None:
    """Nearest point of the flat where rows vanish; None where there is none."""
    rows = [equal[i] for i in independent_rows([r[:-1] for r in equal])]
    if not rows:
        return p
    A = [r[:-1] for r in rows]
    gram = product(A, [list(c) for c in zip(*A)])
    weights = product(inverse(gram), [[-value(r, p)] for r in rows])
    at = [v + sum((w[0] * a[j] for w, a in zip(weights, A)), Fraction(0)) for j, v in enumerate(p)]
    return at if all(value(r, at) == 0 for r in equal) else None


def nearest(equal: list[Row], at_least: list[Row], p: Row, most: int) -> Fraction | None:
    """Squared distance to a polyhedron: over the flats that up to ``most`` inequalities give, the points that satisfy all."""
    best: Fraction | None = None
    for count in range(most + 1):
        for some in itertools.combinations(at_least, count):
            at = projected([*equal, *some], p)
            if at is not None and all(value(r, at) >= 0 for r in at_least):
                size = sum(((a - b) ** 2 for a, b in zip(at, p)), Fraction(0))
                best = size if best is None else min(best, size)
    return best


def squared_size(points: Iterable[tuple[Fraction, ...]], dim: int) -> Fraction:
    """Squared length of a segment, or squared area of a convex polygon in any space, from its corners."""
    corners = sorted(set(points))
    if dim == 1:
        p, q = corners
        return sum(((a - b) ** 2 for a, b in zip(p, q)), Fraction(0))
    middle = [sum(c, Fraction(0)) / len(corners) for c in zip(*corners)]
    off = [[a - m for a, m in zip(p, middle)] for p in corners]
    pairs = list(itertools.combinations(range(len(middle)), 2))

    def turn(p: Row, q: Row, i: int, j: int) -> Fraction:
        return p[i] * q[j] - p[j] * q[i]

    i, j = next((i, j) for i, j in pairs if any(turn(p, q, i, j) for p, q in itertools.combinations(off, 2)))

    def half(p: Row) -> bool:
        return p[j] > 0 or (p[j] == 0 and p[i] > 0)

    def before(p: Row, q: Row) -> int:
        if half(p) != half(q):
            return -1 if half(p) else 1
        t = turn(p, q, i, j)
        return (t < 0) - (t > 0)

    ring = sorted(off, key=functools.cmp_to_key(before))
    areas = [sum((turn(p, q, k, l) for p, q in zip(ring, [*ring[1:], ring[0]])), Fraction(0)) / 2 for k, l in pairs]
    return sum((a * a for a in areas), Fraction(0))


def unit(v: Iterable[Fraction]) -> np.ndarray[Any, Any]:
    """A direction in floats, of length 1."""
    row = list(v)
    top = max(map(abs, row))
    floats = np.array([float(x / top) for x in row])
    return floats / np.linalg.norm(floats)


def same_directions(found: Any, true: Iterable[tuple[Fraction, ...]]) -> bool:
    """Whether unit vectors are these directions, in any order; parallel edges have the same one."""
    rows = [unit(r) for r in true]
    near = [[i for i, r in enumerate(rows) if np.abs(r - direction).max() < CLOSE] for direction in found]
    return all(near) and {i for ids in near for i in ids} == set(range(len(rows)))


class FlatCells:
    """A complex beside the faces of brute force (`exact_complex`), on the same domain of inequalities ``A x <= b``."""

    def __init__(self, cx: pf.PolyhedralComplex, truth: ExactComplex, domain: tuple[Any, Any]) -> None:
        self.cx, self.truth = cx, truth
        A, b = matrix(domain[0]), [as_fraction(v) for v in domain[1]]
        self.sides = [[*(-v for v in row), c] for row, c in zip(A, b)]
        top = next(iter(truth.signs(cx.dimension)))
        self.flat = [row for row, s in zip(self.sides, top[len(top) - len(self.sides) :]) if s == 0]

    def wrong(self, rng: np.random.Generator, *, regions: int = 3) -> str:
        """What is wrong, or an empty string; distances and balls of a few regions."""
        own = rng.permutation(self.cx.n_regions)[:regions].tolist()
        checks = [self.rays(), self.points(), self.sizes(), *(self.corners(r) for r in own)]
        for r in own:
            checks += [self.distance(r, self.somewhere(rng)), self.ball(r)]
        return next((found for found in [*checks, self.superlevel(self.somewhere(rng))] if found), "")

    def somewhere(self, rng: np.random.Generator) -> np.ndarray[Any, Any]:
        return np.round(rng.standard_normal(self.truth.n0) * 16) / 8

    def off(self, x: Any, *, hom: int = 1) -> bool:
        """Whether floats are farther from the flat than rounding explains."""
        for row in self.flat:
            a = np.array([float(v) for v in row])
            terms = a * np.append(x, hom)
            if not abs(terms.sum()) <= CLOSE * np.abs(terms).sum() + 1e-300:
                return True
        return False

    def rays(self) -> str:
        if self.cx.dimension == 0:
            return ""
        ids, directions = self.cx.rays
        rows = [tuple(row) for row in self.cx.signs(1).tolist()]
        true = {face.signs: face.rays for face in self.truth.of_dim(1) if face.rays}
        if {rows[i] for i in ids} != set(true):
            return "unbounded edges"
        for i, direction in zip(ids.tolist(), directions):
            if not same_directions([direction], true[rows[i]]):
                return f"ray {direction}, true {unit(true[rows[i]][0])}"
        return ""

    def points(self) -> str:
        for k in range(self.cx.dimension + 1):
            rows = [tuple(row) for row in self.cx.signs(k).tolist()]
            for row, x in zip(rows, self.cx.interior_points(k, exact=True)):
                if signs_at(self.cx.network, self.sides, list(x)) != row:
                    return f"the exact interior point {x} of a {k}-face"
            for x in self.cx.interior_points(k):
                if not np.isnan(x).any() and self.off(x):  # nan: no float was found
                    return f"the interior point {x} of a {k}-face is off the flat"
        return ""

    def face(self, region: int) -> Face:
        return self.truth.faces[tuple(self.cx.signs(self.cx.dimension)[region].tolist())]

    def sizes(self) -> str:
        """Lengths and areas within their bounds, and these small: squares are compared, which are rational."""
        if self.cx.dimension not in (1, 2):
            return ""
        for region, (size, error) in enumerate(zip(self.cx.volumes().tolist(), self.cx.volume_errors.tolist())):
            face = self.face(region)
            if face.rays:
                if (size, error) != (math.inf, 0.0):
                    return f"an unbounded region has the size {size} with the bound {error}"
                continue
            true = squared_size(face.vertices, self.cx.dimension)
            if math.isinf(error):
                if size != math.inf or true < Fraction(2) ** 2040:
                    return f"size {size}, bound {error}, true squared {true}"
                continue
            low, high = Fraction(size) - Fraction(error), Fraction(size) + Fraction(error)
            if not max(low, Fraction(0)) ** 2 <= true <= high**2 or error > 2e-6 * size + 1e-323:
                return f"size {size}, bound {error}, true squared {true}"
        return ""

    def corners(self, region: int) -> str:
        face, shown = self.face(region), self.cx.v_representation(region)
        exact = {tuple(v) for v in self.cx.exact_vertices(shown.vertex_ids)}
        if exact != set(face.vertices):
            return f"vertices of region {region}"
        near = [
            bool(np.abs(v - [float(c) for c in x]).max() <= CLOSE * (1 + np.abs(v).max()))
            for v, x in zip(shown.vertices, self.cx.exact_vertices(shown.vertex_ids))
        ]
        if not all(near):
            return f"vertices of region {region} in floats"
        return "" if same_directions(shown.rays, face.rays) else f"rays of region {region}"

    def system(self, face: Face) -> tuple[list[Row], list[Row]]:
        """Irredundant inequalities of a region: of one wall of each facet."""
        forms, outputs = forms_on(self.cx.network, self.sides, face.signs)
        walls = []
        for facet in self.truth.of_dim(self.cx.dimension - 1) if self.cx.dimension else []:
            if below(facet.signs, face.signs):
                k = next(i for i, (s, t) in enumerate(zip(facet.signs, face.signs)) if s == 0 and t)
                walls.append([face.signs[k] * v for v in forms[k]])
        return walls, outputs

    def distance(self, region: int, p: np.ndarray[Any, Any]) -> str:
        walls, _ = self.system(self.face(region))
        true = nearest(self.flat, walls, [Fraction(v) for v in p.tolist()], self.cx.dimension)
        found, at = self.cx.distance(p, region)
        if true is None or abs(Fraction(found) ** 2 - true) > Fraction(CLOSE) * true:
            return f"distance {found} of {p} to region {region}, true squared {true and float(true)}"
        return "" if not true or not self.off(at) else f"the nearest point {at} of region {region} is off the flat"

    def tangential(self, row: Row) -> Row:
        """The gradient's part along the flat."""
        result = projected([[*r[:-1], Fraction(0)] for r in self.flat], row[:-1])
        assert result is not None
        return result

    def ball(self, region: int) -> str:
        face = self.face(region)
        walls, ball = self.system(face)[0], self.cx.largest_ball(region)
        if any(value(row, ball.center) for row in self.flat) or any(value(row, ball.center) < 0 for row in walls):
            return f"the centre of a ball of region {region} is outside"
        along = [self.tangential(row) for row in walls]
        center, _ = self.cx.chebyshev_center(region)
        if self.off(center):
            return f"the centre {center} of region {region} is off the flat"
        if math.isinf(ball.radius):
            out = [sum(c, Fraction(0)) for c in zip(*face.rays)] if face.rays else [Fraction(0)] * self.truth.n0
            inward = all(sum((a * d for a, d in zip(row, out)), Fraction(0)) > 0 for row in along)
            return "" if inward else f"no balls of every size fit into region {region}"
        radius, upper = Fraction(ball.radius), Fraction(ball.upper)
        sizes = [sum((a * a for a in row), Fraction(0)) for row in along]
        if any(radius**2 * size > value(row, ball.center) ** 2 for row, size in zip(walls, sizes)):
            return f"a ball leaves region {region}"
        return "" if radius <= upper <= radius * Fraction(1001, 1000) else f"radius {ball.radius}, at most {ball.upper}"

    def superlevel(self, p: np.ndarray[Any, Any]) -> str:
        """Where the first output is at least its value at a vertex."""
        corners = self.cx.exact_vertices()
        level = max(forms_value(self.cx.network, list(v)) for v in corners)
        kept = self.cx.superlevel_set(level)
        if any(self.off(d, hom=0) for d in kept.rays[1]) or any(self.off(v) for v in kept.vertices):
            return "the vertices or rays of a superlevel set are off the flat"
        best: Fraction | None = None
        for face in self.truth.of_dim(self.cx.dimension):
            walls, outputs = self.system(face)
            rise = [*outputs[0][:-1], outputs[0][-1] - level]
            found = nearest(self.flat, [*walls, rise], [Fraction(v) for v in p.tolist()], self.cx.dimension)
            if found is not None:
                best = found if best is None else min(best, found)
        near = kept.nearest_point(p)
        return "" if near.squared == best else f"nearest point of a superlevel set: {near}, true squared {best}"


def forms_value(net: Any, x: list[Fraction]) -> Fraction:
    """The first output at a point."""
    for w, b in zip(net.weights[:-1], net.biases[:-1]):
        x = [max(Fraction(0), value([*map(as_fraction, row), as_fraction(c)], x)) for row, c in zip(w, b)]
    return value([*map(as_fraction, net.weights[-1][0]), as_fraction(net.biases[-1][0])], x)
