"""Signs at vertices in integer arithmetic: one forward pass decides all neurons of a layer.

Floats are dyadic and rationals have denominators, so every layer times a positive integer has
integer entries; scaling a layer and what follows by positive numbers changes no sign.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np

from ..._once import cached_property
from ..._typing import Array
from ...errors import NumericalError
from .arrays import Frame, exact_rows
from .layout import unpack
from .wired_values import IntegerGates

Row = list[int]
CACHED_FORMS = 1 << 14
FEW = 2
"""Up to so many neurons at a vertex are asked by their forms on the cell, more by a forward pass."""


def integer_layer(w: Any, b: Any) -> tuple[Array, Array, int]:
    """Integer ``(S w, S b, S)`` of a layer, S > 0 the least common denominator."""
    rows = [[Fraction(x) for x in row] for row in w]
    shifts = [Fraction(x) for x in b]
    scale = math.lcm(1, *(x.denominator for row in rows for x in row), *(x.denominator for x in shifts))
    whole = np.empty((len(rows), len(rows[0]) if rows else 0), dtype=object)
    for i, row in enumerate(rows):
        for j, x in enumerate(row):
            whole[i, j] = x.numerator * (scale // x.denominator)
    constants = np.empty(len(rows), dtype=object)
    constants[:] = [x.numerator * (scale // x.denominator) for x in shifts]
    return whole, constants, scale


def eliminate(rows: list[Row], columns: int) -> tuple[list[int], int]:
    """Fraction-free Gauss-Jordan in place; (pivot column of each of the first rows, common pivot value)."""
    pivots: list[int] = []
    previous = 1
    top = 0
    for c in range(columns):
        best = next((r for r in range(top, len(rows)) if rows[r][c]), None)
        if best is None:
            continue
        rows[top], rows[best] = rows[best], rows[top]
        pivot_row = rows[top]
        p = pivot_row[c]
        for r, row in enumerate(rows):
            if r != top:
                f = row[c]
                rows[r] = [(p * a - f * q) // previous for a, q in zip(row, pivot_row)]
        previous = p
        pivots.append(c)
        top += 1
        if top == len(rows):
            break
    return pivots, previous


class IntegerForms:
    """Exact points of vertices and signs of neurons there.

    A vertex is asked about as n independent zero facets and the signs of the neurons before
    them; a vertex at infinity as n - 1 of them, infinity, and the signs of the starting facets.
    """

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self._forms: dict[tuple[int, int], Row] = {}

    @cached_property
    def domain(self) -> list[Row]:
        """Rows of the domain as integers."""
        found = []
        for row in exact_rows(self.frame)[: self.frame.n_domain]:
            scale = math.lcm(*(x.denominator for x in row))
            found.append([int(x * scale) for x in row])
        return found

    @cached_property
    def gates(self) -> IntegerGates:
        """The blocks of a network with a form."""
        return IntegerGates(self.frame)

    def _bits(self, words: Any, layer: int) -> list[Array]:
        """Which gates of each block before ``layer`` are positive."""
        first, bits = self.frame.net.layers.first, unpack(words)
        return [bits[first[q] : first[q + 1]] for q in range(1, layer)]

    @cached_property
    def layers(self) -> list[tuple[Array, Array, int]]:
        """Hidden layers as integers, see `integer_layer`; made when the first sign is asked for."""
        n, net = self.frame.n, self.frame.network
        own = exact_rows(self.frame)[self.frame.n_domain :]
        if not own:
            return []
        first = integer_layer([r[:n] for r in own], [r[n] for r in own])
        return [first, *(integer_layer(w, b) for w, b in zip(net.weights[1:-1], net.biases[1:-1]))]

    def active(self, words: Any, layer: int) -> list[int]:
        """Positions of the positive neurons of a hidden layer (1-based)."""
        first = self.frame.net.layers.first
        low, high = int(first[layer]), int(first[layer + 1])
        bits = _whole(words) >> low
        return [a for a in range(high - low) if bits >> a & 1]

    def form(self, facet: int, words: Any) -> Row:
        """A positive multiple of the form of a facet on the cell of these positive bits; constant last."""
        net = self.frame.net
        layer = int(net.layers.layer_of[facet])
        if layer == 0:
            return self.domain[facet]
        key = (facet, _whole(words) & ((1 << int(net.layers.first[layer])) - 1) if layer > 1 else 0)
        found = self._forms.get(key)
        if found is None:
            if len(self._forms) >= CACHED_FORMS:
                self._forms.clear()
            found = self._forms[key] = self._pull_back(facet, layer, words)
        return found

    def _pull_back(self, facet: int, layer: int, words: Any) -> Row:
        at = facet - int(self.frame.net.layers.first[layer])
        if self.frame.form is not None:
            return self.gates.pulled_back(layer, at, self._bits(words, layer))
        w, b, _ = self.layers[layer - 1]
        row, constant = w[at], b[at]
        for q in range(layer - 1, 0, -1):
            w, b, scale = self.layers[q - 1]
            active = [a for a in self.active(words, q) if row[a]]
            constant = constant * scale
            if not active:
                return [0] * self.frame.n + [int(constant)]  # later scales are positive
            row = row[active]
            constant += row @ b[active]
            row = row @ w[active]
        return [*row.tolist(), int(constant)]

    def point(self, basis: list[int], words: Any) -> tuple[Row, int, Row | None]:
        """(X, D, direction): the vertex X / D, D > 0, or a point X / D and the direction of a ray.

        Raises
        ------
        ArithmeticError
            If the forms are linearly dependent.
        """
        n, inf = self.frame.n, self.frame.net.inf
        forms = [self.form(k, words) for k in basis if k != inf]
        direction: Row | None = None
        if len(forms) < n:
            rows = [f[:n] for f in forms]
            pivots, scale = eliminate(rows, n)
            if len(pivots) != n - 1 or len(forms) != n - 1:
                raise NumericalError("damaged: the walls of a vertex do not meet in one point")
            free = next(c for c in range(n) if c not in pivots)
            direction = [0] * n
            direction[free] = scale
            for r, c in enumerate(pivots):
                direction[c] = -rows[r][free]
            divisor = math.gcd(*direction)
            direction = self._oriented([d // divisor for d in direction], words)
            forms.append([*direction, 0])
        rows = [[*f[:n], -f[n]] for f in forms]
        pivots, scale = eliminate(rows, n)
        if len(pivots) != n:
            raise NumericalError("damaged: the walls of a vertex do not meet in one point")
        point = [row[n] for row in rows]
        if scale < 0:
            point, scale = [-x for x in point], -scale
        divisor = math.gcd(scale, *point)
        return [x // divisor for x in point], scale // divisor, direction

    def _oriented(self, direction: Row, words: Any) -> Row:
        frame = self.frame
        for k in frame.start:
            slope = sum(a * d for a, d in zip(self.form(k, words), direction))
            if slope:
                positive = bool((int(words[k >> 6]) >> (k & 63)) & 1)
                return direction if (slope > 0) == positive else [-d for d in direction]
        raise ArithmeticError("the starting facets do not span")

    def values(self, layer: int, rows: list[int], words: Any, point: Row, scale: int) -> list[int]:
        """Pre-activations of some neurons of a layer times a positive integer at ``point / scale``.

        Gated by the positive bits. With ``scale`` 0: slopes along a direction.
        """
        if layer == 0:
            return [_dot(self.domain[r], point, scale) for r in rows]
        if self.frame.form is not None:
            return self.gates.values(layer, rows, self._bits(words, layer), point, scale)
        z = np.empty(len(point), dtype=object)
        z[:] = point
        for q, (w, b, s) in enumerate(self.layers[:layer], start=1):
            if q == layer:
                w, b = w[rows], b[rows]
            if q > 1:
                active = self.active(words, q - 1)
                w, z = w[:, active], z[active]
            # z is layer q times the scales of the layers up to q and that of the point
            z = w @ z + b * scale if z.size else b * scale
            scale *= s
        values: list[int] = z.tolist()
        return values

    def signs(
        self, layer: int, rows: list[int], words: Any, point: Row, scale: int, direction: Row | None
    ) -> list[int]:
        """Signs of some neurons of a layer (0: domain facets); along a ray those far out."""
        if layer and len(rows) <= FEW:
            low = int(self.frame.net.layers.first[layer])
            forms = [self.form(low + r, words) for r in rows]
            values = [_dot(form, point, scale) for form in forms]
            if direction is not None:
                slopes = [_dot(form, direction, 0) for form in forms]
        else:
            values = self.values(layer, rows, words, point, scale)
            if direction is not None:
                slopes = self.values(layer, rows, words, direction, 0)
        signs = [(z > 0) - (z < 0) for z in values]
        if direction is not None:
            signs = [(t > 0) - (t < 0) or s for t, s in zip(slopes, signs)]
        return signs


def _whole(words: Any) -> int:
    return int.from_bytes(words.astype("<u8", copy=False).tobytes(), "little")


def _dot(row: Row, point: Row, scale: int) -> int:
    return sum(a * x for a, x in zip(row, point)) + row[-1] * scale
