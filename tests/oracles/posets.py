"""Slow oracles for orders: covers by the definition; faces of a line arrangement, exactly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction


def covers_by_definition(rows: Sequence, leq: Callable) -> set[tuple[int, int]]:
    """Pairs i < j with nothing strictly between."""
    n = len(rows)
    less = [[i != j and leq(rows[i], rows[j]) for j in range(n)] for i in range(n)]
    return {
        (i, j)
        for i in range(n)
        for j in range(n)
        if less[i][j] and not any(less[i][k] and less[k][j] for k in range(n))
    }


def signs_leq(a: Sequence[int], b: Sequence[int]) -> bool:
    return all(x in (0, y) for x, y in zip(a, b))


def ranks_leq(a: Sequence[int], b: Sequence[int]) -> bool:
    return all(x <= y for x, y in zip(a, b))


def line_arrangement(lines: Sequence[tuple[int, int, int]]) -> list[tuple[int, tuple[int, ...]]]:
    """(dimension, signs) of all faces of the lines a x + b y + c = 0 in the plane, (a, b) not 0.

    Lines may repeat, be parallel, or meet many at a point.
    """

    def sign(v: Fraction) -> int:
        return (v > 0) - (v < 0)

    def at(p: tuple[Fraction, Fraction], direction: tuple[int, int] | None = None) -> tuple[int, ...]:
        out = []
        for a, b, c in lines:
            s = sign(a * p[0] + b * p[1] + c)
            if s == 0 and direction is not None:
                s = sign(Fraction(a * direction[0] + b * direction[1]))
            out.append(s)
        return tuple(out)

    if not lines:
        return [(2, ())]
    faces: set[tuple[int, tuple[int, ...]]] = set()
    for a, b, c in lines:
        norm = Fraction(a * a + b * b)
        base = (Fraction(-a * c) / norm, Fraction(-b * c) / norm)
        along = (Fraction(-b), Fraction(a))
        stops = set()
        for a2, b2, c2 in lines:
            slope = a2 * along[0] + b2 * along[1]
            if slope:
                stops.add(-(a2 * base[0] + b2 * base[1] + c2) / slope)
        ts = sorted(stops)

        def point(t: Fraction, base: tuple = base, along: tuple = along) -> tuple[Fraction, Fraction]:
            return base[0] + t * along[0], base[1] + t * along[1]

        for t in ts:
            faces.add((0, at(point(t))))
        inner = [(s + t) / 2 for s, t in zip(ts, ts[1:])]
        for t in [ts[0] - 1, *inner, ts[-1] + 1] if ts else [Fraction(0)]:
            faces.add((1, at(point(t))))
            faces.add((2, at(point(t), (a, b))))
            faces.add((2, at(point(t), (-a, -b))))
    return sorted(faces)
