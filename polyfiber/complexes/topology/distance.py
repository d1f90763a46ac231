"""How far an input is from a decision boundary or level set: the nearest point, exactly.

For each cell of largest dimension the nearest point solves a small quadratic program. Floats find its active inequalities
(least distance programming, Lawson and Hanson 1974); the point and its multipliers are then solved in rationals, and checked:
feasible and with multipliers of the right sign they prove that no point of the cell is nearer. Cells that a hyperplane keeps
farther away are left out, by a bound that allows for rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._typing import Array, FloatArray
from ...budget import Budget, Monitor, heed
from ...errors import InputError, NumericalError
from ...numerics import exact
from ..breakpoints.ridges import full_predicate
from .sets import require_rows

if TYPE_CHECKING:
    from .sets import PolyhedralSet


@dataclass(frozen=True)
class Nearest:
    """The nearest point of a set.

    Attributes
    ----------
    distance : float
        Euclidean distance, the square root of an exact rational rounded once; inf for the empty set.
    squared : Fraction or None
        The exact squared distance.
    point : (n0,) float64 or None
    exact_point : tuple of Fraction or None
    cell : int
        A cell of largest dimension that the point lies in; -1 for the empty set.
    """

    distance: float
    squared: Fraction | None
    point: FloatArray | None
    exact_point: tuple[Fraction, ...] | None
    cell: int


def nearest_point(found: PolyhedralSet, x: Any, *, budget: Budget | None = None) -> Nearest:
    """The nearest point of a set whose cells all have one dimension; see `PolyhedralSet.nearest_point`."""
    cx = found.complex
    n0 = cx.network.architecture[0]
    point = require_rows(x, n0)
    if len(point) != 1:
        raise InputError(f"expected one point, found {len(point)}")
    start = [Fraction(float(v)) for v in point[0]]
    if found.dimension < 0:
        return Nearest(float("inf"), None, None, None, -1)
    with Monitor(budget, None).watching():
        return _search(found, start, point[0])


def _search(found: PolyhedralSet, start: list[Fraction], point: FloatArray) -> Nearest:
    systems = _Systems(found)
    best: tuple[Fraction, list[Fraction], int] | None = None
    for k in range(found.dimension, -1, -1):
        cells = systems.maximal(k)
        bounds = np.array([systems.lower_bound(k, c, point) for c in cells.tolist()])
        for i in np.argsort(bounds).tolist():
            heed("the nearest point")
            if best is not None and bounds[i] * (1 - 1e-9) - 1e-12 > float(best[0]) ** 0.5:
                break
            squared, at = systems.project(k, int(cells[i]), start, point)
            if best is None or squared < best[0]:
                best = squared, at, int(cells[i])
    assert best is not None
    squared, at, cell = best
    return Nearest(_root(squared), squared, np.array([float(v) for v in at]), tuple(at), cell)


def _root(value: Fraction) -> float:
    """Square root of a rational, rounded once or twice."""
    from math import isqrt

    if value == 0:
        return 0.0
    shift = 2 * max(0, 60 - (value.numerator.bit_length() - value.denominator.bit_length()) // 2)
    return float(Fraction(isqrt((value.numerator << (2 * shift)) // value.denominator), 1 << shift))


class _Systems:
    """Exact equalities and inequalities of the cells of a set."""

    def __init__(self, found: PolyhedralSet) -> None:
        self.found = found
        self.cx = found.complex
        self.predicate = full_predicate(self.cx)
        self.gates = found._cells.gates
        self.outputs = self.cx.network.exact()

    def maximal(self, dim: int) -> Any:
        """Cells of a dimension that are facets of no other."""
        count = self.found.f_vector[dim]
        if dim == self.found.dimension:
            return np.arange(count)
        used = np.zeros(count, dtype=np.bool_)
        used[self.found.facets_of(dim + 1)[1]] = True
        return np.flatnonzero(~used)

    def _rows(self, dim: int, cell: int) -> tuple[list[list[Fraction]], list[list[Fraction]]]:
        """(equalities, inequalities >= 0) as rows with the constant last."""
        layer, store, frame = self.found._cells.layers[dim], self.cx._store, self.cx._frame
        planes = layer.planes[cell]
        signs = store.to_signs(planes[None])[0]
        equal: list[list[Fraction]] = []
        at_least: list[list[Fraction]] = []
        for c, s in enumerate(signs.tolist()):
            facet = c + frame.n_domain if c < frame.n_neurons else c - frame.n_neurons
            form = self.predicate.form(facet, planes)
            if any(form[:-1]):
                (equal if s == 0 else at_least).append(form if s >= 0 else [-v for v in form])
        n_out = self.cx.network.architecture[-1]
        first = int(self.predicate.frame.net.inf) + 1
        forms = [self.predicate.form(first + o, planes) for o in range(n_out)]
        for g in range(self.gates.count):
            s = int(layer.gates[cell, g])
            if s in (-1, 0, 1):
                row, constant = self.gates.exact_gate(g)
                form = [sum((r * f[i] for r, f in zip(row, forms)), Fraction(0)) for i in range(len(forms[0]))]
                form[-1] += constant
                if any(form[:-1]):
                    (equal if s == 0 else at_least).append(form if s >= 0 else [-v for v in form])
        return equal, at_least

    def lower_bound(self, dim: int, cell: int, point: FloatArray) -> float:
        """A distance that the cell keeps from a point: from one of the hyperplanes it lies on, or behind."""
        equal, at_least = self.rows_of(dim, cell)
        best = 0.0
        for row, flat in [*((r, True) for r in equal), *((r, False) for r in at_least)]:
            a = np.array([float(v) for v in row])
            size = float(np.linalg.norm(a[:-1]))
            value = float(a[:-1] @ point + a[-1])
            if size > 0 and np.isfinite(size):
                best = max(best, abs(value) / size if flat else -value / size)
        return best

    def rows_of(self, dim: int, cell: int) -> tuple[list[list[Fraction]], list[list[Fraction]]]:
        """`_rows`, kept."""
        if not hasattr(self, "_kept"):
            self._kept: dict[tuple[int, int], Any] = {}
        key = dim, cell
        if key not in self._kept:
            self._kept[key] = self._rows(dim, cell)
        return self._kept[key]

    def project(self, dim: int, cell: int, start: list[Fraction], point: FloatArray) -> tuple[Fraction, list[Fraction]]:
        """Exact squared distance and nearest point of a closed cell."""
        equal, at_least = self.rows_of(dim, cell)
        active = _float_active(equal, at_least, point)
        for _ in range(4 * (len(at_least) + 1)):
            at, multipliers = _project_on(equal, [at_least[i] for i in active], start)
            worst = [(sum((a * v for a, v in zip(r, at)), r[-1]), i) for i, r in enumerate(at_least) if i not in active]
            violated = min(worst, default=(Fraction(0), -1))
            wrong = min(zip(multipliers, active), default=(Fraction(0), -1))
            if violated[0] >= 0 and wrong[0] >= 0:
                return sum(((a - b) ** 2 for a, b in zip(at, start)), Fraction(0)), at
            if wrong[0] < 0:
                active.remove(wrong[1])
            else:
                active.append(violated[1])
        raise NumericalError("the nearest point of a cell was not found; please report this network")


def _float_active(equal: list[Any], at_least: list[Any], point: FloatArray) -> list[int]:
    """Inequalities that are active at the nearest point, as floats see it: nonnegative least squares."""
    from scipy.optimize import nnls

    rows, who = [], []
    for i, r in enumerate([*equal, *([-v for v in e] for e in equal), *at_least]):
        a = np.array([float(v) for v in r])
        size = float(np.linalg.norm(a[:-1]))
        if not (size > 0 and np.isfinite(size)):
            continue
        rows.append(np.append(a[:-1] / size, -(a[:-1] @ point + a[-1]) / size))  # G y >= h with y = x - point
        who.append(i - 2 * len(equal))
    table = np.array(rows).T
    target = np.zeros(len(table))
    target[-1] = 1.0
    try:
        weights, _ = nnls(table, target, maxiter=50 * table.shape[1])
    except RuntimeError:
        return []
    return [w for w, u in zip(who, weights) if w >= 0 and u > 1e-12]


def _project_on(equal: list[Any], active: list[Any], start: list[Fraction]) -> tuple[list[Fraction], list[Fraction]]:
    """Nearest point of the flat where rows vanish, and the multipliers of the active rows (independent rows only count)."""
    rows = [*equal, *active]
    if not rows:
        return start, []
    A = np.array([r[:-1] for r in rows], dtype=object)
    right = np.array([-(sum((a * v for a, v in zip(r, start)), r[-1])) for r in rows], dtype=object)
    gram: Array = A @ A.T
    multipliers = exact.solve(gram, right)
    if multipliers is None:
        raise NumericalError("walls of a cell exclude each other; please report this network")
    step = A.T @ multipliers
    return [s + d for s, d in zip(start, step)], list(multipliers[len(equal) :])
