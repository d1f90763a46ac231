"""The same preparation for networks of gates with slopes and skips: every block reads the input and the blocks before
it.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np

from ..._once import cached_property
from ..._typing import Array, BoolArray, FloatArray, IntArray, SignArray
from ...budget import heed
from ...domain import Polyhedron
from ...kernels.complexes import cell_facets as kf
from ...network.piecewise import PiecewiseLinearNetwork
from ...network.relu_form import ReluForm, relu_form
from ...network.sparse import SparseMatrix
from ...numerics.exact import as_fractions
from ...numerics.floats import nearest
from ...numerics.independent import independent_columns
from ...numerics.products import exact_product
from ...numerics.rounding import LEAST, UNIT, gamma
from ..skeleton.wires import roundings
from .cell_arrays import CellFrame, CellStats, _lexicographic, require_fitting


class GateFrame(CellFrame):
    """A network of gates prepared for questions about single cells, in input coordinates.

    Parameters
    ----------
    network : PiecewiseLinearNetwork
    domain : Box or Polyhedron, optional
    """

    network: Any

    def __init__(self, network: PiecewiseLinearNetwork, domain: Polyhedron | None = None) -> None:
        require_fitting(network, domain)
        self.network, self.domain = network, domain
        self.form: ReluForm = relu_form(network)
        n0 = network.n_inputs
        self.n_domain = 0 if domain is None else domain.n_facets
        self.n_neurons, self.hidden = network.n_hidden, network.hidden_widths
        self.hull = None if domain is None else domain.affine_hull
        sides: Array = np.zeros((0, n0 + 1)) if domain is None else domain.affine_forms()
        bases = self.form.bases
        self.sides: Array = sides if self.hull is None else self.hull.in_chart(sides)
        self.charts: tuple[Array, ...] = bases if self.hull is None else tuple(self.hull.in_chart(b) for b in bases)
        self.tangential = sides if self.hull is None else self.hull.tangential(sides)
        parts = [self.sides, *self.charts[:-1]]
        exact = any(p.dtype == object for p in parts)
        self.given = np.concatenate([as_fractions(p) if exact else p for p in parts])
        self.vanishing: BoolArray = np.zeros(self.n_domain + self.n_neurons, dtype=np.bool_)
        if self.hull is not None:
            self.vanishing[self.hull.equal] = True
        self.columns, _ = independent_columns(self.given[:, :-1], n_first=self.n_domain)
        self.by_layer = False
        self.first = np.zeros((0, len(self.columns)))
        self.offsets = np.concatenate([[0], np.cumsum(self.hidden)]).astype(np.int64)
        self.terms = roundings(self.form, n0)
        self.stats = CellStats()

    def reference(self, x: FloatArray) -> FloatArray:
        """The reference point is the input."""
        return x

    # ---- forward ----------------------------------------------------------------------------
    def _blocks(self) -> Iterator[tuple[int, dict[int, Any], slice]]:
        """(block from 0, its matrices in floats, its rows)."""
        for l, reads in enumerate(self.form.floats.reads[:-1]):
            yield l, reads, slice(self.n_domain + self.offsets[l], self.n_domain + self.offsets[l + 1])

    def values(self, X: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Values of all rows (domain, gates) at inputs (m, n0), and bounds of their errors."""
        n0 = self.n0
        with np.errstate(over="ignore", invalid="ignore"):
            rows = nearest(self.sides)
            out = [X @ rows[:, :-1].T + rows[:, -1]]
            size = np.abs(X) @ np.abs(rows[:, :-1]).T + np.abs(rows[:, -1])
            err = [gamma(n0 + 4) * size + (2 * n0 + 4) * LEAST]
            behind: list[tuple[FloatArray, FloatArray, FloatArray]] = []
            for l, reads, _ in self._blocks():
                base = nearest(self.charts[l])
                z = X @ base[:, :-1].T + base[:, -1]
                size = np.abs(X) @ np.abs(base[:, :-1]).T + np.abs(base[:, -1])
                tiny = np.full(len(base), (2 * n0 + 4) * LEAST)
                for j, matrix in reads.items():
                    y, s, t = behind[j - 1]
                    z, size = z + y @ matrix.T, size + s @ abs(matrix).T
                    tiny = tiny + abs(matrix) @ t + (2 * matrix.shape[1] + 4) * LEAST
                out.append(z)
                err.append(gamma(self.terms[l]) * size + tiny)
                behind.append((np.where(z > 0, z, 0 * z), size, tiny))
        values, bounds = np.concatenate(out, axis=1), np.concatenate(err, axis=1)
        bounds[np.isnan(bounds) | ~np.isfinite(values)] = np.inf
        return values, bounds

    def exact_signs(self, x: Any, direction: Any) -> SignArray:
        """Signs (D + N,) at ``x + eps direction`` for all small eps > 0, in rational arithmetic."""
        self.stats.exact_points += 1
        pair = np.array([[Fraction(a), Fraction(b)] for a, b in zip(x, direction)], dtype=object).reshape(self.n0, 2)
        if self.hull is not None:  # on a flat the free coordinates say where
            fixed, lift = self.hull.fixed, as_fractions(self.hull.lift[self.hull.fixed])
            pair[fixed] = exact_product(lift[:, :-1], pair[self.hull.free])
            pair[fixed, 0] = pair[fixed, 0] + lift[:, -1]
        signs: list[int] = []
        if self.n_domain:
            values = self._exact_domain[:, :-1] @ pair
            signs += [_lexicographic(v + c, s) for (v, s), c in zip(values, self._exact_domain[:, -1])]
        behind = [pair]
        for block in self._exact_network.blocks:
            values = np.full((block.width, 2), Fraction(0), dtype=object)
            values[:, 0] = block.bias
            for j, matrix in block.weights.items():
                values = values + _applied(matrix, behind[j])
            mine = [_lexicographic(v, s) for v, s in values]
            signs += mine
            slopes = [pair[1] if s > 0 else pair[0] for pair, s in zip(block.slopes, mine)]
            behind.append(values * np.array(slopes, dtype=object)[:, None])
        return np.array(signs, dtype=np.int8)

    @cached_property
    def _exact_network(self) -> PiecewiseLinearNetwork:
        exact: PiecewiseLinearNetwork = self.network.exact()
        return exact

    @cached_property
    def _exact_domain(self) -> Array:
        return as_fractions(self.sides).reshape(self.n_domain, self.n0 + 1)

    # ---- forms ------------------------------------------------------------------------------
    def _active(self, signs: SignArray, block: int) -> BoolArray:
        """Which gates of a block (from 1) are on."""
        d = self.n_domain
        on: BoolArray = signs[d + self.offsets[block - 1] : d + self.offsets[block]] > 0
        return on

    def _pulled_back(self, signs: SignArray, wanted: list[tuple[int, int]]) -> Array:
        """Forms (., n0 + 1) of gates and outputs, each (block, row), on a cell: pulled back along the gates that are
        on, exactly.
        """
        reads: dict[tuple[int, int], list[tuple[tuple[int, int], Fraction]]] = {}
        waiting = list(wanted)
        while waiting:
            if (at := waiting.pop()) not in reads:
                reads[at] = [
                    ((j, i), Fraction(v)) for j, i, v in self.form.terms(*at) if v and self._is_on(signs, j, i)
                ]
                waiting += [gate for gate, _ in reads[at]]
        forms: dict[tuple[int, int], dict[int, Fraction]] = {}
        for at in sorted(reads):
            heed("forms of gates in rationals")
            chart = self.charts[at[0] - 1][at[1]]
            used = np.flatnonzero(chart)
            form = dict(zip(used.tolist(), as_fractions(chart[used]).tolist()))
            for gate, factor in reads[at]:
                for k, value in forms[gate].items():
                    form[k] = form[k] + factor * value if k in form else factor * value
            forms[at] = form
        out = np.full((len(wanted), self.n0 + 1), Fraction(0), dtype=object)
        for row, at in zip(out, wanted):
            row[list(forms[at])] = list(forms[at].values())
        return out

    def _is_on(self, signs: SignArray, block: int, gate: int) -> bool:
        return bool(signs[self.n_domain + self.offsets[block - 1] + gate] > 0)

    def exact_forms(self, signs: SignArray, rows: Any) -> Array:
        """Forms (len(rows), n0 + 1) of rows on a cell as Fractions, constant last."""
        wanted = np.array([int(r) for r in rows], dtype=np.int64)
        out = np.full((len(wanted), self.n0 + 1), Fraction(0), dtype=object)
        out[wanted < self.n_domain] = self._exact_domain[wanted[wanted < self.n_domain]]
        gates = wanted[wanted >= self.n_domain] - self.n_domain
        blocks = np.searchsorted(self.offsets, gates, side="right")
        places = list(zip(blocks.tolist(), (gates - self.offsets[blocks - 1]).tolist()))
        out[wanted >= self.n_domain] = self._pulled_back(signs, places)
        return out

    def exact_outputs(self, signs: SignArray) -> Array:
        """Forms (nL, n0 + 1) of the outputs on a cell as Fractions."""
        last = len(self.hidden) + 1
        return self._pulled_back(signs, [(last, o) for o in range(self.network.n_outputs)])

    def _levels(self, signs: SignArray, rows: tuple[FloatArray, ...]) -> list[FloatArray]:
        """Forms of each block, and the outputs, from what they read of the input, along the gates that are on."""
        found: list[FloatArray] = []
        for base, reads in zip(rows, self.form.floats.reads):
            level = base.copy()
            for j, matrix in reads.items():
                on = np.flatnonzero(self._active(signs, j))
                level = level + matrix[:, on] @ found[j - 1][on]
            found.append(level)
        return found

    def _sizes(self, signs: SignArray, rows: tuple[FloatArray, ...]) -> list[FloatArray]:
        """The same with absolute values."""
        found: list[FloatArray] = []
        for base, reads in zip(rows, self.form.floats.reads):
            level = np.abs(base)
            for j, matrix in reads.items():
                on = np.flatnonzero(self._active(signs, j))
                level = level + abs(matrix[:, on]) @ found[j - 1][on]
            found.append(level)
        return found

    def rows(self, signs: SignArray, reference: FloatArray) -> kf.Rows:
        """Oriented rows (G, V, E1, E0) of a cell about a reference point."""
        n, d = self.n, self.n_domain
        picked = [*self.columns, self.n0]
        with np.errstate(over="ignore", invalid="ignore"):
            about, far = [], []
            for part in (self.sides, *self.charts):
                rows = nearest(part)
                value = rows[:, :-1] @ reference + rows[:, -1]
                size = np.abs(rows[:, :-1]) @ np.abs(reference) + np.abs(rows[:, -1])
                about.append(np.concatenate([rows[:, picked[:-1]], value[:, None]], axis=1))
                far.append(np.concatenate([np.abs(rows[:, picked[:-1]]), size[:, None]], axis=1))
            forms = np.concatenate([about[0], *self._levels(signs, tuple(about[1:]))[:-1]])
            levels = self._sizes(signs, tuple(far[1:]))[:-1]
            small: list[FloatArray] = []
            parts = [(far[0], self.n0 + 4.0, np.full(d, (2 * self.n0 + 4) * LEAST))]
            for l, reads, _ in self._blocks():
                tiny = np.full(len(levels[l]), (2 * self.n0 + 4) * LEAST)
                for j, matrix in reads.items():
                    tiny = tiny + abs(matrix) @ small[j - 1] + (2 * matrix.shape[1] + 4) * LEAST
                small.append(tiny)
                parts.append((levels[l], self.terms[l], tiny))
            size = np.concatenate([p[0] for p in parts])
            rounded = np.concatenate([np.full(len(p[0]), gamma(p[1])) for p in parts])
            tiny = np.concatenate([p[2] for p in parts])
            largest = size[:, :n].max(axis=1, initial=0.0)
            E1 = rounded * largest + tiny + (n + 4) * UNIT * largest * 1.01
            E0 = rounded * size[:, n] + tiny + 2 * UNIT * size[:, n]
        flip = np.where(np.concatenate([np.ones(d), signs[d:]]) < 0, -1.0, 1.0)[:, None]
        G, V = np.ascontiguousarray(forms[:, :n] * flip), np.ascontiguousarray(forms[:, n] * flip[:, 0])
        unknown = ~np.isfinite(forms).all(axis=1)
        E1[unknown | np.isnan(E1)], E0[unknown | np.isnan(E0)] = np.inf, np.inf
        return kf.Rows(G, V, E1, E0)


def _applied(matrix: Any, pair: Array) -> Array:
    if isinstance(matrix, SparseMatrix):
        return np.asarray(matrix.apply(pair.T).T)
    return np.asarray(matrix @ pair)


def next_walls(frame: GateFrame, signs: SignArray, line: tuple[FloatArray, FloatArray]) -> tuple[int, float, float]:
    """The gate whose wall a segment meets next, where and within what error; -1: none before its end, -2: floats cannot
    tell.

    signs: (N,) of the piece; line: start (n0,) and end.
    """
    start, step = line[0], line[1] - line[0]
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        rows, sizes = [], []
        for part in frame.charts:
            base = nearest(part)
            rows.append(np.stack([base[:, :-1] @ start + base[:, -1], base[:, :-1] @ step], axis=1))
            size = np.abs(base)
            sizes.append(np.stack([size[:, :-1] @ np.abs(start) + size[:, -1], size[:, :-1] @ np.abs(step)], axis=1))
        value = np.concatenate(frame._levels(signs, tuple(rows))[:-1])
        level = frame._sizes(signs, tuple(sizes))[:-1]
        terms = np.concatenate([np.full(len(s), gamma(t + 4)) for s, t in zip(level, frame.terms)])
        error = terms[:, None] * np.concatenate(level) + 1e-300
        a, b, ea, eb = value[:, 0], value[:, 1], error[:, 0], error[:, 1]
        if (signs == 0).any() or not np.isfinite(value).all():
            return -2, 0.0, 0.0
        end = (a + b) * signs
        bound = (ea + eb) * 1.01 + 2 * UNIT * (np.abs(a) + np.abs(b))
        near: IntArray = np.flatnonzero(~(end > bound))
        if not len(near):
            return -1, 0.0, 0.0
        if not ((end[near] < -bound[near]) & (np.abs(b[near]) > 2 * eb[near])).all():
            return -2, 0.0, 0.0
        t = -a[near] / b[near]
        dt = (ea[near] + np.abs(t) * eb[near]) / (np.abs(b[near]) - eb[near]) * 1.01 + 4 * UNIT
    best = int(np.argmin(t))
    others = np.delete(t - dt, best)
    if len(others) and not others.min() > t[best] + dt[best]:
        return -2, 0.0, 0.0
    return int(near[best]), float(t[best]), float(dt[best])


__all__ = ["GateFrame", "next_walls"]
