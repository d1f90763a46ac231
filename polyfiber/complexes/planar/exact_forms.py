"""Signs in integers: what the floats of a walk leave open."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np

from ..._typing import Array
from .restrict import Restricted

Form = tuple[int, int, int]


class ExactForms:
    """Forms of units on one region as integers: a positive multiple of the true form, the same for all of a block.

    Parameters
    ----------
    restricted : Restricted

    Notes
    -----
    Only what a question needs is computed, and kept until the signs change.
    """

    def __init__(self, restricted: Restricted) -> None:
        self.r = restricted
        self.sides: list[Form] = []
        for line in restricted.frame.sides:
            below = math.lcm(*(v.denominator for v in line))
            a, b, c = (v.numerator * (below // v.denominator) for v in line)
            self.sides.append((a, b, c))
        self.scales: list[int] = []  # of each block
        self.kept: dict[int, Form] = {}
        self.signs: Array = np.zeros(0, dtype=np.int8)
        self._rows: dict[int, tuple[Form, list[tuple[int, int, int]]]] = {}
        self._scale()

    def _scale(self) -> None:
        """Common denominators of blocks, given those before."""
        units = self.r.units
        slopes_of: dict[int, int] = {}  # denominators of the slopes of a block
        for u in units[: self.r.n_gates]:
            dens = [Fraction(s).denominator for s in u.slopes]
            slopes_of[u.block] = math.lcm(slopes_of.get(u.block, 1), *dens)
        blocks = np.array([u.block for u in units], dtype=np.int64)
        self.scales = [1] * (self.r.blocks + 1)
        members: list[list[int]] = [[] for _ in self.scales]
        for k, u in enumerate(units):
            members[u.block].append(k)
        for block, inside in enumerate(members):
            scale = 1
            for k in inside:
                u = units[k]
                scale = math.lcm(scale, *(v.denominator for v in u.base))
            weights: dict[int, int] = {}
            for k in inside:
                u = units[k]
                for j in np.unique(blocks[u.reads]).tolist():
                    data = u.weights[blocks[u.reads] == j]
                    weights[j] = math.lcm(weights.get(j, 1), _denominator(data))
            for j, below in weights.items():
                scale = math.lcm(scale, self.scales[j] * below * slopes_of[j])
            self.scales[block] = scale
        self._slopes = slopes_of

    def take(self, signs: Array) -> None:
        """The signs of the region that is asked about."""
        if len(self.signs) != len(signs) or not np.array_equal(self.signs, signs):
            self.kept = {}
            self.signs = signs.copy()

    def _row(self, k: int) -> tuple[Form, list[tuple[int, int, int]]]:
        """Integer form of the base, and (unit, factor below, factor above) where both are times the unit's form."""
        if k not in self._rows:
            u = self.r.units[k]
            scale = self.scales[u.block]
            a, b, c = (v.numerator * (scale // v.denominator) for v in u.base)
            entries = []
            for j, w in zip(u.reads.tolist(), u.weights.tolist()):
                other = self.r.units[j]
                ratio = Fraction(scale, self.scales[other.block]) * Fraction(w)
                below, above = (ratio * Fraction(s) for s in other.slopes)
                entries.append((j, int(below), int(above)))
            self._rows[k] = ((a, b, c), entries)
        return self._rows[k]

    def form(self, k: int) -> Form:
        """The form of a unit, or of side -1 - k of the domain."""
        if k < 0:
            return self.sides[-1 - k]
        stack = [k]
        while stack:
            top = stack[-1]
            if top in self.kept:
                stack.pop()
                continue
            (a, b, c), entries = self._row(top)
            needed = []
            for j, below, above in entries:
                s = self.signs[j]
                factor = above if s > 0 else below if s < 0 else 0
                if factor:
                    if j not in self.kept:
                        needed.append(j)
                    elif not needed:
                        f = self.kept[j]
                        a, b, c = a + factor * f[0], b + factor * f[1], c + factor * f[2]
            if needed:
                stack.extend(needed)
            else:
                self.kept[top] = (a, b, c)
                stack.pop()
        return self.kept[k]

    def at_meeting(self, i: int, j: int, g: int) -> int:
        """Sign of gate g where lines i and j meet (they do, in one point)."""
        a, b, c = self.form(i)
        d, e, f = self.form(j)
        p, q, r = self.form(g)
        below = a * e - b * d
        value = p * (b * f - c * e) + q * (c * d - a * f) + r * below
        return _sign(value) * _sign(below)

    def combined(self, weights: list[Fraction], offset: Fraction) -> tuple[Fraction, Fraction, Fraction]:
        """A combination of the outputs and an offset, times what the form of an output is multiplied by."""
        first = self.r.n_gates
        total = (Fraction(0), Fraction(0), offset * self.scales[-1])
        for k, w in enumerate(weights):
            if w:
                a, b, c = self.form(first + k)
                total = (total[0] + w * a, total[1] + w * b, total[2] + w * c)
        return total

    def combination(self, i: int, j: int, weights: list[Fraction], offset: Fraction) -> int:
        """Sign of a combination of the outputs and an offset where lines i and j meet."""
        p, q, r = self.combined(weights, offset)
        a, b, c = self.form(i)
        d, e, f = self.form(j)
        below = a * e - b * d
        return _sign(p * (b * f - c * e) + q * (c * d - a * f) + r * below) * _sign(below)

    def at(self, k: int, x: Fraction, y: Fraction) -> int:
        """Sign of a unit at a point."""
        a, b, c = self.form(k)
        return _sign(a * x + b * y + c)

    def beyond(self, k: int, wall: int, wall_sign: int) -> int:
        """Sign of a unit that vanishes on the line of gate ``wall``, where that gate's sign is not ``wall_sign``."""
        a, b, _ = self.form(k)
        p, q, _ = self.form(wall)
        return -wall_sign * (_sign(a) * _sign(p) if p else _sign(b) * _sign(q))

    def vanishes(self, k: int) -> bool:
        """Whether a unit is zero on the whole region."""
        return self.form(k) == (0, 0, 0)


def _sign(value: Any) -> int:
    return int(value > 0) - int(value < 0)


def _denominator(data: Array) -> int:
    return math.lcm(*{Fraction(v).denominator for v in data.tolist()})


__all__ = ["ExactForms"]
