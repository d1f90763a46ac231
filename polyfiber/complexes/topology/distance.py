"""How far an input is from a decision boundary or level set: the nearest point, exactly.

For each cell of largest dimension the nearest point solves a small quadratic program (`numerics.polyhedra`). Cells that
a hyperplane keeps farther away are left out, by a bound that allows for rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._typing import FloatArray
from ..._values.read_only import closed
from ...budget import Budget, Monitor, heed
from ...errors import InputError
from ...numerics.floats import as_float, directed, root
from ...numerics.polyhedra import nearest_point as exact_nearest_point
from ...numerics.rounding import UNIT
from ...words import one_line
from ..breakpoints.ridges import full_predicate
from .sets import require_rows

if TYPE_CHECKING:
    from .sets import PolyhedralSet


@closed
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

    __repr__ = one_line

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
    systems, reach = _Systems(found), float("inf")
    best: tuple[Fraction, list[Fraction], int] | None = None
    for k in range(found.dimension, -1, -1):
        cells = systems.maximal(k)
        bounds = np.array([systems.lower_bound(k, c, point) for c in cells.tolist()])
        for i in np.argsort(bounds).tolist():
            heed("the nearest point")
            if best is not None and bounds[i] * (1 - 1e-9) - 1e-12 > reach:
                break
            squared, at = systems.project(k, int(cells[i]), start)
            if best is None or squared < best[0]:
                best = squared, at, int(cells[i])
                reach = directed(root(squared, up=True), up=True)
    assert best is not None
    squared, at, cell = best
    return Nearest(as_float(root(squared)), squared, np.array([as_float(v) for v in at]), tuple(at), cell)


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
        equal: list[list[Fraction]] = list(frame.equations)
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
            largest = max(abs(v) for v in row)
            a = np.array([float(v / largest) for v in row])
            size = float(np.linalg.norm(a[:-1]))
            value = float(a[:-1] @ point + a[-1])
            rounding = 2 * UNIT * (len(a) + 4) * float(np.abs(a[:-1]) @ np.abs(point) + abs(a[-1]))
            if size > 0 and np.isfinite(value):
                best = max(best, ((abs(value) if flat else -value) - rounding) / size)
        return best

    def rows_of(self, dim: int, cell: int) -> tuple[list[list[Fraction]], list[list[Fraction]]]:
        """`_rows`, kept."""
        if not hasattr(self, "_kept"):
            self._kept: dict[tuple[int, int], Any] = {}
        key = dim, cell
        if key not in self._kept:
            self._kept[key] = self._rows(dim, cell)
        return self._kept[key]

    def project(self, dim: int, cell: int, start: list[Fraction]) -> tuple[Fraction, list[Fraction]]:
        """Exact squared distance and nearest point of a closed cell."""
        return exact_nearest_point(*self.rows_of(dim, cell), start)
