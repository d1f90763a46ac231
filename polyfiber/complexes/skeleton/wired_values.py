"""Networks with a form, value by value: gated evaluation in floats, forms and values in rationals and integers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from ..._once import cached_property
from ..._typing import Array, FloatArray
from .arrays import Frame, exact_rows
from .layout import unpack


def gated_values(frame: Frame, layer: int, x: FloatArray, finite: FloatArray, words: Any) -> FloatArray:
    """Values (slopes along rays) of the gates of a block at vertices, (m, m_l), gated by sign bits and not by values.

    x: (m, n) points or directions; finite: (m, 1) 1.0 or 0.0; words: (m, W) sign bits.
    """
    form, net, n = frame.form, frame.net, frame.n
    assert form is not None
    first, active = net.layers.first, unpack(words)
    table = net.affine.rows.reshape(-1, net.stride)
    needed = {layer}
    for l in range(layer, 0, -1):
        if l in needed:
            needed.update(form.reads[l - 1])
    behind: dict[int, FloatArray] = {}
    for l in sorted(needed):
        rows = table[first[l] : first[l + 1]]
        z = x @ rows[:, :n].T + finite * rows[:, n]
        for j, matrix in (form.floats.reads[l - 1] if l else {}).items():
            z = z + behind[j] @ matrix.T
        if l == layer:
            return np.ascontiguousarray(z)
        behind[l] = z * active[:, first[l] : first[l + 1]]
    raise AssertionError("unreachable")


def gated_forms(frame: Frame, layer: int, which: Any, active: Any, rows: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Forms (p, n + 1) of gates of a block on cells, by products of gated matrices; and the same with absolute values.

    which: (p,) places in the block; active: (p, 64 W) bool; rows: what every facet reads of the input, (facets, n + 1).
    """
    form, first = frame.form, frame.net.layers.first
    assert form is not None
    own = form.floats.reads[layer - 1]
    total = rows[first[layer] + which]
    size = np.abs(total)
    waiting = {j: (_rows(m, which), np.abs(_rows(m, which))) for j, m in own.items()}
    for q in range(layer - 1, 0, -1):
        if q not in waiting:
            continue
        gate = active[:, first[q] : first[q + 1]]
        row, absolute = (part * gate for part in waiting.pop(q))
        given = rows[first[q] : first[q + 1]]
        total, size = total + row @ given, size + absolute @ np.abs(given)
        for j, m in form.floats.reads[q - 1].items():
            old = waiting.get(j, (0.0, 0.0))
            waiting[j] = old[0] + row @ m, old[1] + absolute @ abs(m)
    return total, size


def _rows(matrix: Any, which: Any) -> FloatArray:
    part = matrix[which]
    return np.asarray(part if isinstance(part, np.ndarray) else part.toarray())


class ExactGates:
    """What gates and outputs read, as Fractions, by facet id; rows in the quotient coordinates."""

    def __init__(self, frame: Frame) -> None:
        assert frame.form is not None
        self.frame, self.form = frame, frame.form
        self._reads: dict[int, list[tuple[int, Fraction]]] = {}

    @cached_property
    def rows(self) -> list[list[Fraction]]:
        """Rows on the input: domain, gates, outputs."""
        return exact_rows(self.frame)

    def row(self, facet: int) -> list[Fraction]:
        """The row of a facet or output id."""
        inf = int(self.frame.net.inf)
        return self.rows[facet - (facet > inf)]

    def reads(self, facet: int) -> list[tuple[int, Fraction]]:
        """(gate id, weight) of all that an id reads."""
        found = self._reads.get(facet)
        if found is None:
            net = self.frame.net
            layer = int(net.layers.layer_of[facet])
            begin = int(net.inf) + 1 if layer == self.frame.n_blocks + 1 else int(net.layers.first[layer])
            terms = self.form.terms(layer, facet - begin)
            found = self._reads[facet] = [(int(net.layers.first[j]) + i, Fraction(v)) for j, i, v in terms]
        return found

    def coefficients(self, facet: int, active: int, *, above: int = -1) -> dict[int, Fraction]:
        """Coefficients of an id on the active gates (bits of an integer), along all ways; of those with ids >
        ``above``.
        """
        total: dict[int, Fraction] = {}
        for t, v in self.reads(facet):
            if active >> t & 1:
                total[t] = v
        done: dict[int, Fraction] = {}
        while total:
            t = max(total)
            factor = total.pop(t)
            if factor == 0:
                continue
            done[t] = factor
            if t <= above:
                continue
            for s, v in self.reads(t):
                if active >> s & 1:
                    total[s] = total.get(s, Fraction(0)) + factor * v
        return done

    def form_of(self, facet: int, active: int) -> list[Fraction]:
        """Affine form on the cell with these active facets; constant last."""
        out = list(self.row(facet))
        if self.frame.net.layers.layer_of[facet] <= 1:
            return out
        for t, factor in self.coefficients(facet, active).items():
            out = [a + factor * b if b else a for a, b in zip(out, self.row(t))]
        return out


class IntegerGates:
    """The blocks of a form in integers: block l times ``scale[l]`` reads integers of the input and of blocks before."""

    def __init__(self, frame: Frame) -> None:
        assert frame.form is not None
        form = frame.form
        rows = exact_rows(frame)[frame.n_domain :]
        self.bases: list[Array] = []
        self.reads: list[dict[int, Array]] = []
        self.scale: list[int] = []
        at = 0
        for l, width in enumerate(form.widths):
            own, at = rows[at : at + width], at + width
            entries = [list(form.terms(l + 1, i)) for i in range(width)]
            below = [f.denominator for row in own for f in row]
            below += [Fraction(v).denominator for row in entries for _, _, v in row]
            scale = math.lcm(1, *below)
            base = np.empty((width, frame.n + 1), dtype=object)
            reads = {j: np.zeros((width, form.widths[j - 1]), dtype=object) for j in form.reads[l]}
            for i, (row, terms) in enumerate(zip(own, entries)):
                base[i] = [f.numerator * (scale // f.denominator) for f in row]
                for j, k, v in terms:
                    f = Fraction(v)
                    reads[j][i, k] = f.numerator * (scale // f.denominator)
            self.bases.append(base)
            self.reads.append(reads)
            self.scale.append(scale)

    def pulled_back(self, layer: int, row: int, active: Sequence[Array]) -> list[int]:
        """A positive multiple of the form of a gate; active: bool (m_q,) of each block before."""
        total = self.bases[layer - 1][row].copy()
        waiting = {j: m[row].copy() for j, m in self.reads[layer - 1].items()}
        for q in range(layer - 1, 0, -1):
            if q not in waiting:
                continue
            on = np.flatnonzero(active[q - 1] & np.asarray(waiting[q] != 0, dtype=bool))
            factors = waiting.pop(q)[on]
            if not len(on):
                continue
            s = self.scale[q - 1]
            total = total * s + factors @ self.bases[q - 1][on]
            waiting = {j: w * s for j, w in waiting.items()}
            for j, m in self.reads[q - 1].items():
                part = factors @ m[on]
                waiting[j] = waiting[j] + part if j in waiting else part
        return [int(v) for v in total]

    def values(self, layer: int, rows: list[int], active: Sequence[Array], point: list[int], scale: int) -> list[int]:
        """Values of gates times a positive integer at ``point / scale``, gated by the bits; with scale 0 slopes."""
        x = np.empty(len(point) + 1, dtype=object)
        x[:] = [*point, scale]
        needed = {layer}
        for l in range(layer, 0, -1):
            if l in needed:
                needed.update(self.reads[l - 1])
        behind: dict[int, tuple[Array, int]] = {}  # gated values, and what they are multiplied by
        for l in sorted(needed):
            chosen: Any = rows if l == layer else slice(None)
            common = math.lcm(1, *(behind[j][1] for j in self.reads[l - 1]))
            z = (self.bases[l - 1][chosen] @ x) * common
            for j, m in self.reads[l - 1].items():
                y, factor = behind[j]
                z = z + (m[chosen] @ y) * (common // factor)
            if l == layer:
                return [int(v) for v in z]
            behind[l] = np.where(active[l - 1], z, 0 * z), self.scale[l - 1] * common
        raise AssertionError("unreachable")


__all__ = ["ExactGates", "IntegerGates", "gated_forms", "gated_values"]
