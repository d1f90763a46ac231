"""Weights of facets and balancing at ridges, from brute-force faces and gradients only.

The gradient of a region is found by differences of exact values of the network at points of the region,
not by multiplying masked matrices.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from .exact_faces import ExactComplex, Face, as_fraction, below, independent_rows, inverse, product

Signs = tuple[int, ...]


def evaluate(weights: Any, biases: Any, point: Any) -> list[Fraction]:
    """The exact value of the network at a rational point."""
    y = [as_fraction(v) for v in point]
    for layer, (w, b) in enumerate(zip(weights, biases)):
        y = [sum((as_fraction(v) * x for v, x in zip(row, y)), as_fraction(c)) for row, c in zip(w, b)]
        if layer < len(weights) - 1:
            y = [max(v, Fraction(0)) for v in y]
    return y


def affine_map(net: Any, face: Face, cx: ExactComplex) -> tuple[list[list[Fraction]], list[Fraction]]:
    """(A, a) of the network on a full-dimensional face.

    d + 1 affinely independent points are made from the generators of the face; A solves for the
    differences of the values there and vanishes on the lineality space.
    """
    weights, biases = net
    base = face.vertices[0]
    spread = _span(face)
    steps = [spread[index] for index in independent_rows(spread)]
    if len(steps) != cx.dim:
        raise ValueError(f"the face spans {len(steps)} of {cx.dim} dimensions")
    value = evaluate(weights, biases, base)
    ends = [evaluate(weights, biases, [b + s for b, s in zip(base, step)]) for step in steps]
    differences = [[t - v for t, v in zip(end, value)] for end in ends]
    columns = [list(col) for col in zip(*steps)]
    # A^T = S^T (S S^T)^-1 differences, the solution of least norm
    transposed = (
        product(columns, product(inverse(product(steps, columns)), differences))
        if steps
        else [[Fraction(0)] * len(value) for _ in range(cx.n0)]
    )
    a = [list(col) for col in zip(*transposed)]
    constant = [v - sum((r * b for r, b in zip(row, base)), Fraction(0)) for v, row in zip(value, a)]
    center = face.interior_point()
    expected = [sum((r * x for r, x in zip(row, center)), c) for row, c in zip(a, constant)]
    if evaluate(weights, biases, center) != expected:
        raise AssertionError("the network is not affine on a face")
    return a, constant


def affine_maps(weights: Any, biases: Any, cx: ExactComplex) -> dict[Signs, Any]:
    """Region signs -> (A, a), exact."""
    return {face.signs: affine_map((weights, biases), face, cx) for face in cx.of_dim(cx.dim)}


def facet_weights(weights: Any, biases: Any, cx: ExactComplex) -> dict[Signs, np.ndarray]:
    """Facet signs -> c(F) = (A_P - A_Q) n, n the unit normal from Q into P, by gradient jumps.

    Facets on the boundary of the domain have one region and are left out. Float64, rounded once
    from exact rationals (the norm apart).
    """
    maps = affine_maps(weights, biases, cx)
    found: dict[Signs, np.ndarray] = {}
    for facet in cx.of_dim(cx.dim - 1):
        sides = [s for s in maps if below(facet.signs, s)]
        if len(sides) == 1:
            continue
        if len(sides) != 2:
            raise AssertionError(f"{len(sides)} regions at the facet {facet.signs}")
        p, q = (cx.faces[s] for s in sides)
        jump = [[x - y for x, y in zip(rp, rq)] for rp, rq in zip(maps[p.signs][0], maps[q.signs][0])]
        normal = _normal(facet, [a - b for a, b in zip(p.interior_point(), q.interior_point())])
        norm = _sqrt(sum(v * v for v in normal))
        found[facet.signs] = np.array(
            [float(sum((j * v for j, v in zip(row, normal)), Fraction(0))) / norm for row in jump]
        )
    return found


def balancing_residual(cx: ExactComplex, facets: dict[Signs, np.ndarray]) -> float:
    """Largest ``|sum_F c(F) n_{F/R}^T|`` over ridges inside the domain, relative to ``sum |c(F)|``."""
    worst = 0.0
    for ridge in cx.of_dim(cx.dim - 2) if cx.dim >= 2 else []:
        if any(s == 0 for s in ridge.signs[cx.n_hidden :]):
            continue  # on the boundary of the domain
        total: Any = 0.0
        size = 0.0
        for signs, weight in facets.items():
            if below(ridge.signs, signs):
                total = total + np.outer(weight, _inward(ridge, cx.faces[signs]))
                size += float(np.abs(weight).sum())
        if size:
            worst = max(worst, float(np.abs(total).max()) / size)
    return worst


# ---- directions ---------------------------------------------------------------------------------------


def _span(face: Face) -> list[list[Fraction]]:
    return [[a - b for a, b in zip(v, face.vertices[0])] for v in face.vertices[1:]] + [list(r) for r in face.rays]


def _orthogonal_part(vector: list[Fraction], span: list[list[Fraction]]) -> list[Fraction]:
    """Exact Gram-Schmidt: the part of a vector orthogonal to a span."""
    basis: list[list[Fraction]] = []
    for row in [*span, vector]:
        work = list(row)
        for b in basis:
            factor = sum((x * y for x, y in zip(work, b)), Fraction(0)) / sum(x * x for x in b)
            work = [x - factor * y for x, y in zip(work, b)]
        if row is vector:
            return work
        if any(work):
            basis.append(work)
    raise AssertionError("unreachable")


def _normal(facet: Face, towards: list[Fraction]) -> list[Fraction]:
    normal = _orthogonal_part(towards, _span(facet))
    if not any(normal):
        raise AssertionError("the two sides of a facet are not separated by it")
    return normal


def _inward(ridge: Face, facet: Face) -> np.ndarray:
    into = [a - b for a, b in zip(facet.interior_point(), ridge.interior_point())]
    direction = _orthogonal_part(into, _span(ridge))
    norm = _sqrt(sum(v * v for v in direction))
    return np.array([float(v) / norm for v in direction])


def _sqrt(value: Any) -> float:
    return float(np.sqrt(float(value)))
