"""Exact volumes of the bounded regions of a brute-force complex: determinants of rational simplices."""

from __future__ import annotations

from fractions import Fraction
from math import factorial

from .exact_faces import ExactComplex, below

Signs = tuple[int, ...]
Point = tuple[Fraction, ...]


def region_volumes(cx: ExactComplex) -> dict[Signs, Fraction]:
    """Region signs -> volume, for a complex without lineality and regions without rays."""
    levels = [sorted(cx.signs(k)) for k in range(cx.dim + 1)]
    points = cx.vertices()
    known: dict[Signs, list[list[Point]]] = {}

    def simplices(signs: Signs, dim: int) -> list[list[Point]]:
        """A triangulation without new points: the cone from one vertex over the facets that avoid it."""
        if dim == 0:
            return [[points[signs]]]
        if signs not in known:
            apex = next(v for v in levels[0] if below(v, signs))
            known[signs] = [
                [points[apex], *rest]
                for facet in levels[dim - 1]
                if below(facet, signs) and not below(apex, facet)
                for rest in simplices(facet, dim - 1)
            ]
        return known[signs]

    return {
        signs: sum((abs(determinant(s)) for s in simplices(signs, cx.dim)), Fraction(0)) / factorial(cx.dim)
        for signs in levels[cx.dim]
        if not cx.faces[signs].rays
    }


def determinant(simplex: list[Point]) -> Fraction:
    """Of the edge vectors from the first corner."""
    rows = [[a - b for a, b in zip(p, simplex[0])] for p in simplex[1:]]
    total = Fraction(1)
    for c in range(len(rows)):
        pivot = next((r for r in range(c, len(rows)) if rows[r][c]), None)
        if pivot is None:
            return Fraction(0)
        if pivot != c:
            rows[c], rows[pivot] = rows[pivot], rows[c]
            total = -total
        total *= rows[c][c]
        for r in range(c + 1, len(rows)):
            if rows[r][c]:
                factor = rows[r][c] / rows[c][c]
                rows[r] = [a - factor * b for a, b in zip(rows[r], rows[c])]
    return total
