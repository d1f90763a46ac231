"""Signs where two lines meet, when the floats of a walk leave them open: four ways to know, the cheapest first.

*A vertex met before.* The sign of a gate at a point is the network's, whatever region one looks from. Where many walls
meet, the signs of all gates are kept, and serve every region around that point: a region's closure holds a point
exactly if no gate has opposite signs on the two, and within one region two lines that are not parallel meet once.

*A wall on a wall.* Windows that overlap compare one pair of values behind two gates, whose walls are then one line
wherever the signs that fix the forms of both are the same. Once found in integers, it is known for all such regions.

*Pairs of floats*, with a bound of their own: walls that differ in the twentieth digit, at a hundredth of the cost of
integers.

*Integers*, for zeros and for what is closer still.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from ..._typing import Array, FloatArray
from ...budget import Monitor
from ...kernels.planar import doubled as kernels
from ...numerics.rounding import TINY
from .exact_forms import ExactForms
from .restrict import REACH, Columns, Point, Restricted

MET, DOUBLED, EXACT = range(3)
KEPT_FROM = 3
"""Zeros at one meeting from which on the signs of all gates there are worth their cost, a pass over the network."""
MOST_KEPT = 1 << 28
"""Bytes of signs at vertices; beyond that, vertices are looked at anew."""


class Meetings:
    """Answers about meetings of lines.

    Parameters
    ----------
    restricted : Restricted
    columns : Columns
        The same in floats.
    exact : ExactForms
    """

    @np.errstate(under="ignore")
    def __init__(self, restricted: Restricted, columns: Columns, exact: ExactForms) -> None:
        units, gates = restricted.units, restricted.n_gates
        n = len(units)
        weights = np.zeros((len(columns.rows), 2))
        weights[:, 0] = columns.row_weights
        for k, u in enumerate(units):
            if u.weights.dtype == object:
                weights[columns.row_ptr[k] : columns.row_ptr[k + 1]] = _pairs(u.weights.tolist())
        base = _pairs([v for u in units for v in u.base]).reshape(n, 3, 2)
        sizes = (np.abs(base[:, 0, 0]) + np.abs(base[:, 1, 0])) * REACH + np.abs(base[:, 2, 0])
        slopes = _pairs([s for u in units[:gates] for s in u.slopes]).reshape(gates, 2, 2)
        sides = _pairs([v for line in restricted.frame.sides for v in line]).reshape(-1, 3, 2)
        self._net = kernels.Pairs(
            columns.row_ptr, columns.rows, weights, base, sizes * kernels.FINE + TINY, slopes, sides
        )
        numbers = np.zeros((3, n), dtype=np.int64)
        self._forms = kernels.Forms(
            np.zeros((n, 3, 2)), np.zeros(n), numbers[0], numbers[1], np.zeros(2, dtype=np.int64)
        )
        self._exact, self._gates = exact, gates
        self._signs: Array = np.zeros(0, dtype=np.int8)
        self._zeros: dict[tuple[int, int], int] = {}  # at meetings on this region
        self._along: dict[tuple[int, int], set[bytes]] = {}
        self._below: dict[int, Array] = {}
        self._vertices: list[Array] = []  # signs of all gates
        self._at: dict[int, set[int]] = {}  # vertices on a line
        self._room = MOST_KEPT // max(1, gates)

    def sign(self, signs: Array, i: int, j: int, g: int) -> tuple[int, int]:
        """Sign of gate g where lines i and j (gates, or -1 - side) meet, on the region with these signs; and how it is
        known.
        """
        if len(self._signs) != len(signs) or not np.array_equal(self._signs, signs):
            self._signs = signs.copy()
            self._forms.stamp[0] += 1
            self._zeros.clear()
        here = self._signs[: self._gates]
        if self._is_along(g, i) or self._is_along(g, j):
            return 0, MET
        for k in self._at.get(i, set()) & self._at.get(j, set()):
            if np.all((self._vertices[k] == 0) | (self._vertices[k] == here)):
                return int(self._vertices[k][g]), MET
        found = int(kernels.sign_at_meeting(self._net, self._signs, self._forms, i, j, g))
        if found != kernels.UNSURE:
            return found, DOUBLED
        self._exact.take(self._signs)
        found = self._exact.at_meeting(i, j, g)
        if found == 0:
            self._find_along(g, i)
            self._find_along(g, j)
            self._zeros[i, j] = self._zeros.get((i, j), 0) + 1
            if self._zeros[i, j] == KEPT_FROM and len(self._vertices) < self._room:
                self._keep(i, j)
        return found, EXACT

    def _is_along(self, g: int, line: int) -> bool:
        return (g, line) in self._along and self._under(g, line) in self._along[g, line]

    def _find_along(self, g: int, line: int) -> None:
        """Keep that gate g vanishes along a line, if it does."""
        (a, b, c), (p, q, r) = self._exact.form(g), self._exact.form(line)
        if a * q == b * p and a * r == c * p and b * r == c * q:
            self._along.setdefault((g, line), set()).add(self._under(g, line))

    def _under(self, g: int, line: int) -> bytes:
        """The signs that fix the forms of a gate and a line: those of all that they read, and what that reads."""
        units = self._exact.r.units
        for k in {g, line} - set(self._below):
            found = np.zeros(max(k + 1, 1), dtype=bool)
            if k >= 0:
                found[units[k].reads] = True
            for u in range(k - 1, -1, -1):
                if found[u]:
                    found[units[u].reads] = True
            self._below[k] = np.flatnonzero(found)
        return self._signs[self._below[g]].tobytes() + self._signs[self._below[line]].tobytes()

    def signs_at(self, point: Point, monitor: Monitor) -> Array:
        """Signs of all gates at a point of the polygon, (n_gates,) int8."""
        signs = np.zeros(self._gates, dtype=np.int8)
        value, bound = np.zeros((self._gates, 2)), np.zeros(self._gates)
        at, exact = _pairs(list(point)), _Values(self._exact.r, signs, point)
        begin, answer = 0, kernels.UNSURE
        while True:
            begin = int(kernels.signs_at(self._net, at, value, bound, signs, begin, answer))
            if begin < 0:
                return signs
            monitor.check_time("looking at a corner of the slice")
            z = exact(begin)
            answer = (z > 0) - (z < 0)

    def _keep(self, i: int, j: int) -> None:
        """Keep the signs of all gates at a vertex where many walls meet."""
        here = self._signs[: self._gates]
        signs = np.zeros(self._gates, dtype=np.int8)
        kernels.signs_at_meeting(self._net, self._signs, self._forms, i, j, signs)
        if np.any(signs * here == -1):
            return  # not a point of the region
        for h in np.flatnonzero(signs == kernels.UNSURE).tolist():
            signs[h] = self._exact.at_meeting(i, j, h)
            if signs[h] * here[h] < 0:
                return
        for line in (i, j, *np.flatnonzero(signs == 0).tolist()):
            self._at.setdefault(line, set()).add(len(self._vertices))
        self._vertices.append(signs)


class _Values:
    """Values of gates at a point in rationals, those that are asked for and what they rest on; signs before them are
    known.
    """

    def __init__(self, restricted: Restricted, signs: Array, point: Point) -> None:
        self._units, self._signs, (self._x, self._y) = restricted.units, signs, point
        self._known: dict[int, Fraction] = {}

    def __call__(self, gate: int) -> Fraction:
        stack, known = [gate], self._known
        while stack:
            u = self._units[stack[-1]]
            read = [(j, w) for j, w in zip(u.reads.tolist(), u.weights.tolist()) if self._slope(j)]
            missing = [j for j, _ in read if j not in known]
            if missing:
                stack += missing
                continue
            a, b, c = u.base
            total = a * self._x + b * self._y + c
            known[stack.pop()] = total + sum((Fraction(w) * self._slope(j) * known[j] for j, w in read), Fraction(0))
        return known[gate]

    def _slope(self, gate: int) -> Fraction:
        """Of a gate with a sign; 0 where what is behind it is 0."""
        sign = self._signs[gate]
        return Fraction(self._units[gate].slopes[1 if sign > 0 else 0]) if sign else Fraction(0)


def _pairs(values: list[Any]) -> FloatArray:
    """Rationals as (high, low), (len, 2): together within 2^-106 of each, or within 2^-1074; not finite where beyond
    floats.
    """
    found = np.zeros((len(values), 2))
    for k, v in enumerate(values):
        try:
            high = float(v)
            found[k] = high, float(Fraction(v) - Fraction(high))
        except OverflowError:
            found[k] = np.inf, np.nan
    return found


__all__ = ["DOUBLED", "EXACT", "MET", "Meetings"]
