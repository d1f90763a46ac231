"""The exact predicate: signs of neurons at vertices in rational arithmetic.

A vertex is asked about as what it is, a set of zero facets and a cell, never as a rounded
point. Floats are dyadic rationals, so nothing is lost.
"""

from __future__ import annotations

import time
from fractions import Fraction

import numpy as np

from ..._once import cached_property
from ...budget import heed
from ...errors import NumericalError
from ...numerics.exact import nullspace, rank, solve
from .arrays import Frame, exact_rows
from .wired_values import ExactGates

Form = list[Fraction]


class ExactPredicate:
    """Exact forms, points and signs in one frame; counts its own calls.

    Parameters
    ----------
    frame : Frame
    """

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.calls = 0
        self.seconds = 0.0

    @cached_property
    def _rows(self) -> list[Form]:
        return exact_rows(self.frame)

    @cached_property
    def _gates(self) -> ExactGates:
        return ExactGates(self.frame)

    @cached_property
    def _layers(self) -> list[tuple[list[list[Fraction]], list[Fraction]]]:
        net = self.frame.network
        return [
            ([[Fraction(x) for x in row] for row in w], [Fraction(x) for x in b])
            for w, b in zip(net.weights[1:], net.biases[1:])
        ]

    def _active(self, words: np.ndarray, layer: int) -> list[int]:
        """Positions of active neurons of a hidden layer (1-based)."""
        first = self.frame.net.layers.first
        low, high = int(first[layer]), int(first[layer + 1])
        return [k - low for k in range(low, high) if (int(words[k >> 6]) >> (k & 63)) & 1]

    def form(self, facet: int, words: np.ndarray) -> Form:
        """Affine form of a facet (or output id) on the cell with these sign bits; constant last."""
        heed("exact arithmetic")
        net = self.frame.net
        n = self.frame.n
        layer = int(net.layers.layer_of[facet])
        if layer == 0 or (layer == 1 and facet < net.inf):
            return self._rows[facet]
        if self.frame.form is not None:
            return self._gates.form_of(facet, int.from_bytes(words.astype("<u8", copy=False).tobytes(), "little"))
        first_id = int(net.inf) + 1 if layer == len(self._layers) + 1 else int(net.layers.first[layer])
        w, b = self._layers[layer - 2]
        row = w[facet - first_id]
        constant = b[facet - first_id]
        for q in range(layer - 1, 1, -1):
            w, b = self._layers[q - 2]
            active = [a for a in self._active(words, q) if row[a] != 0]
            constant += sum((row[a] * b[a] for a in active), Fraction(0))
            width = len(w[0])
            row = [sum((row[a] * w[a][c] for a in active), Fraction(0)) for c in range(width)]
        low = int(net.layers.first[1])
        out = [Fraction(0)] * (n + 1)
        for a in self._active(words, 1):
            factor = row[a]
            if factor != 0:
                given = self._rows[low + a]
                for c in range(n + 1):
                    out[c] += factor * given[c]
        out[n] += constant
        return out

    def point(self, zeros: np.ndarray, words: np.ndarray, *, ray: bool) -> tuple[Form, Form | None]:
        """Exact coordinates of a vertex: (point, None), or (point of the ray's line, direction).

        Parameters
        ----------
        zeros : (n,) facet ids, infinity among them for a ray
        words : sign bits
        ray : bool
            Whether the vertex is the end of a ray at infinity. The direction is oriented by the
            signs of the starting facets, whose forms span: one of them is not constant on it.

        Raises
        ------
        ArithmeticError
            If the forms are linearly dependent: the zero set is not a vertex.
        """
        n, inf = self.frame.n, self.frame.net.inf
        forms = [self.form(int(k), words) for k in zeros if int(k) != inf]
        direction: Form | None = None
        if ray:
            kernel = nullspace(np.array([f[:n] for f in forms], dtype=object).reshape(len(forms), n))
            if kernel.shape[1] != 1:
                raise NumericalError("damaged: the walls of a vertex do not meet in one point")
            direction = self._oriented(list(kernel[:, 0]), words)
            forms.append([*direction, Fraction(0)])
        matrix = np.array([f[:n] for f in forms], dtype=object).reshape(n, n)
        if rank(matrix) < n:
            raise NumericalError("damaged: the walls of a vertex do not meet in one point")
        solution = solve(matrix, np.array([-f[n] for f in forms], dtype=object))
        assert solution is not None
        return list(solution), direction

    def _oriented(self, direction: Form, words: np.ndarray) -> Form:
        for k in self.frame.start:
            slope = sum((a * d for a, d in zip(self.form(k, words), direction)), Fraction(0))
            if slope != 0:
                positive = bool((int(words[k >> 6]) >> (k & 63)) & 1)
                return direction if (slope > 0) == positive else [-d for d in direction]
        raise ArithmeticError("the starting facets do not span")

    def value(self, facet: int, words: np.ndarray, point: Form) -> Fraction:
        """Value of a facet's form at a point."""
        form = self.form(facet, words)
        return sum((a * x for a, x in zip(form, point)), form[-1])

    def sign(self, facet: int, words: np.ndarray, point: Form, direction: Form | None) -> int:
        """-1, 0 or 1; along a ray the sign far out. 0 means that the input is not generic."""
        started = time.perf_counter()
        form = self.form(facet, words)
        value = Fraction(0)
        if direction is not None:
            value = sum((a * x for a, x in zip(form, direction)), Fraction(0))
        if value == 0:
            value = sum((a * x for a, x in zip(form, point)), form[-1])
        self.calls += 1
        self.seconds += time.perf_counter() - started
        return (value > 0) - (value < 0)
