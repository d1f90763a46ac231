"""Critical points of an output and the persistence of its sublevel sets.

At a vertex the output is linear on every cell around it. Its *lower link* is the part of the link on whose edges the
output falls; a vertex is critical when the lower link is not contractible, and its index is one more than the dimension
of the homology (Banchoff 1967, Kühnel 1990). In a simple complex the link is the boundary of a cross-polytope, and the
answer can be read off edge by edge: along every wall line both edges must fall or both must rise, and the index is the
number of lines on which both fall. An edge along which the output is constant makes a vertex degenerate: named, not
counted.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._typing import BoolArray, FloatArray, IntArray, SignArray
from ..._values.read_only import closed
from ...budget import Budget, Monitor, did, heed, heed_memory
from ...errors import InputError
from ...numerics.floats import directed, nearest
from ...numerics.rounding import gamma
from ...words import one_line
from ..skeleton.entering import first_filter
from ..skeleton.exact_signs import ExactPredicate
from . import homology
from .build import refuse_without_walls
from .cells import Cells
from .gates import Gates
from .sets import require_output, require_value

if TYPE_CHECKING:
    from ..complex import PolyhedralComplex


@closed
@dataclass(frozen=True)
class CriticalPoints:
    """Critical vertices of one output, inside the domain.

    Attributes
    ----------
    vertices : (m,) int64
        Rows of ``cx.vertices``.
    index : (m,) int64
        0 for minima, the dimension of the space for maxima.
    multiplicity : (m,) int64
        1 for ordinary critical points; more where several saddles meet in one vertex (a vertex appears once for each
        index).
    values, errors : (m,) float64
        The output there, and bounds of the errors.
    degenerate : (p,) int64
        Vertices with an edge along which the output is constant: they may be critical, and are not counted.
    """

    __repr__ = one_line

    vertices: IntArray
    index: IntArray
    multiplicity: IntArray
    values: FloatArray
    errors: FloatArray
    degenerate: IntArray

    @property
    def counts(self) -> tuple[int, ...]:
        """Critical points of each index, with multiplicity, up to the largest index found."""
        if not len(self.index):
            return ()
        return tuple(np.bincount(self.index, weights=self.multiplicity).astype(int).tolist())


@closed
@dataclass(frozen=True)
class Persistence:
    """Birth and death of the homology of sublevel sets, over two elements.

    Attributes
    ----------
    dimension : (m,) int64
    birth, death : (m,) float64
        Values of the output, up to rounding, infinite beyond the range of floats; death is inf for what the whole
        domain has.
    errors : (m, 2) float64
        Bounds of the errors of both.
    vertices : (m, 2) int64
        Rows of ``complex.vertices`` with these values, exactly; -1 for what does not die.
    complex : PolyhedralComplex
    output : int
    """

    __repr__ = one_line

    dimension: IntArray
    birth: FloatArray
    death: FloatArray
    errors: FloatArray
    vertices: IntArray
    complex: PolyhedralComplex
    output: int

    def betti(self, value: Any) -> tuple[int, ...]:
        """Betti numbers of the sublevel set of a value, exactly; what floats cannot tell apart is compared in
        rationals.

        Raises
        ------
        InputError
            A value that is not a finite number.
        """
        level = require_value(value)
        alive = self._at_most(0, level) & ~self._at_most(1, level)
        top = int(self.dimension.max(initial=-1))
        return tuple(int((alive & (self.dimension == k)).sum()) for k in range(top + 1))

    def _at_most(self, side: int, level: Fraction) -> BoolArray:
        """Which births (0) or deaths (1) are at most a level."""
        at, vertices = (self.birth, self.death)[side], self.vertices[:, side]
        near = float(max(min(level, LARGEST), -LARGEST))
        with np.errstate(invalid="ignore", over="ignore"):
            sure = np.abs(at - near) > self.errors[:, side] + (np.abs(at) + abs(near)) * gamma(8)
        found: BoolArray = at < near
        rows = np.flatnonzero(~sure & (vertices >= 0))
        if len(rows):
            exact = self.complex.network.exact()(self.complex.exact_vertices(vertices[rows]))[:, self.output]
            found[rows] = exact <= level
        return found & (vertices >= 0)


LARGEST = Fraction(float(np.finfo(np.float64).max))


def _gates(cx: PolyhedralComplex, output: int) -> Gates:
    rows = np.full((1, cx.network.architecture[-1]), Fraction(0))
    rows[0, require_output(cx, output)] = Fraction(1)
    return Gates(cx, rows, np.array([Fraction(0)], dtype=object))


class _Values:
    """The output at vertices (its slope along rays), with error bounds; exact values where they are asked for."""

    def __init__(self, gates: Gates) -> None:
        self.gates = gates
        with gates.complex._lock:
            if gates.frame.form is None:
                value, bound = gates.at_vertices.bounded()
            else:
                nv = gates.complex._skeleton.nv
                state = gates._copied(np.arange(nv)).state
                value, bound = first_filter(gates.frame, [], gates.layer, state, slice(0, nv))
                bound = np.where(np.isfinite(value), bound, np.inf)
        self.value, self.bound = value[:, 0], bound[:, 0]
        self._predicate = ExactPredicate(gates.frame)
        self._exact: dict[int, Fraction] = {}
        with np.errstate(invalid="ignore", over="ignore"):
            unsure = ~np.isfinite(np.abs(self.value) + self.bound)
        for point in np.flatnonzero(unsure).tolist():
            self.value[point], self.bound[point] = _enclosed(self.exact(point))

    def exact(self, point: int) -> Fraction:
        """The value at a vertex, or the slope at the end of a ray, as a rational."""
        if point not in self._exact:
            heed("exact values")
            integers, words = self.gates.integers, self.gates.star_of(point)[1]
            place, scale, direction = self.gates.whole(point)
            at, scale = (place, scale) if direction is None else (direction, 0)
            if self.gates.frame.form is not None:
                row = self._predicate.form(self.gates.id_of(0), words)
                value = sum((a * x for a, x in zip(row, at)), Fraction(0))
                self._exact[point] = value / scale + row[-1] if scale else value
                return self._exact[point]
            whole = integers.values(self.gates.layer, [0], words, at, scale)[0]
            self._exact[point] = Fraction(whole, (scale or 1) * math.prod(s for _, _, s in integers.layers))
        return self._exact[point]

    def slope_signs(self, low: IntArray, high: IntArray) -> SignArray:
        """Sign of the output's change from vertices to neighbours, or out along rays."""
        far = self.gates.far[high]
        with np.errstate(invalid="ignore"):
            change = np.where(far, self.value[high], self.value[high] - self.value[low])
            error = np.where(far, self.bound[high], self.bound[high] + self.bound[low]) + np.abs(change) * gamma(8)
            sure = np.abs(change) > error
        signs = np.where(sure, np.sign(change), 0).astype(np.int8)
        for i in np.flatnonzero(~sure):
            a = self.exact(int(high[i]))
            b = Fraction(0) if far[i] else self.exact(int(low[i]))
            signs[i] = (a > b) - (a < b)
        return signs


def _enclosed(value: Fraction) -> tuple[float, float]:
    """The float next to a rational and a bound of its error; beyond the range of floats both are infinite."""
    if abs(value) > LARGEST:
        return math.inf if value > 0 else -math.inf, math.inf
    near = float(value)
    return near, math.ulp(near)


LOOKED_AT = "vertices looked at"
ENTRIES = "cells with their entry"


def critical_points(cx: PolyhedralComplex, output: int = 0, *, budget: Budget | None = None) -> CriticalPoints:
    """Critical vertices of an output inside the domain; see `PolyhedralComplex.critical_points`.

    Raises
    ------
    BudgetExceededError
        ``partial`` is a `polyfiber.budget.SoFar`: how many vertices were looked at, of those inside the domain without
        a flat edge, and in ``partial.found`` the `CriticalPoints` among them (None before the first).
    """
    refuse_without_walls(cx)
    with Monitor(budget, None).watching():
        did(LOOKED_AT, 0)
        gates = _gates(cx, output)
        n, count = cx.dimension, cx.f_vector[0]
        if n == 0:
            none = np.zeros(0, dtype=np.int64)
            return CriticalPoints(none, none, none, np.zeros(0), np.zeros(0), np.zeros(1, dtype=np.int64))
        edges = cx.f_vector[1]
        heed_memory(
            (2 * count + edges) * (cx.network.n_hidden + cx._frame.n_domain) + 32 * (count + edges),
            f"signs and slopes of {edges} edges",
        )
        inner = _inside(cx)
        values = _Values(gates)
        ends, finite = cx._edges, cx._finite_index
        up = values.slope_signs(ends[:, 0], ends[:, 1])
        low, high = finite[ends[:, 0]], finite[ends[:, 1]]
        flat = np.zeros(count, dtype=np.bool_)
        flat[low[up == 0]] = True
        flat[high[(up == 0) & (high >= 0)]] = True

        def made(rows: IntArray, index: IntArray, many: IntArray) -> CriticalPoints:
            own = cx._finite[rows]
            return CriticalPoints(rows, index, many, values.value[own], values.bound[own], np.flatnonzero(inner & flat))

        if cx.is_simple:
            return made(*_simple(cx, gates, up, low, high, inner & ~flat))
        return made(*_by_links(cx, gates, up, low, high, inner & ~flat, made))


def _inside(cx: PolyhedralComplex) -> np.ndarray:
    """(f_0,) whether each vertex lies inside the domain."""
    signs = cx.signs(0)
    result: np.ndarray = (signs[:, cx.network.n_hidden :] != 0).all(axis=1)
    return result


def _simple(
    cx: PolyhedralComplex, gates: Gates, up: SignArray, low: IntArray, high: IntArray, wanted: np.ndarray
) -> tuple[IntArray, IntArray, IntArray]:
    """Critical vertices of a simple complex: on every wall line both edges fall, or both rise."""
    n, count = cx.dimension, cx.f_vector[0]
    signs, edges = cx.signs(0), cx.signs(1)
    falls = np.zeros((count, edges.shape[1]), dtype=np.int8)  # per wall that an edge leaves: how many edges fall
    for ends, rising in ((low, up), (high, -up)):
        own = np.flatnonzero(ends >= 0)
        v = ends[own]
        leaves = (edges[own] != 0) & (signs[v] == 0)  # the one wall of the vertex that the edge is not on
        np.add.at(falls, (v, leaves.argmax(axis=1)), (rising[own] < 0).astype(np.int8))
    walls = signs == 0
    both = np.where(walls, falls != 1, True).all(axis=1)
    rows = np.flatnonzero(both & wanted)
    index = (falls[rows] == 2).sum(axis=1).astype(np.int64)
    assert (walls[rows].sum(axis=1) == n).all()
    return rows, index, np.ones(len(rows), dtype=np.int64)


def _by_links(
    cx: PolyhedralComplex,
    gates: Gates,
    up: SignArray,
    low: IntArray,
    high: IntArray,
    wanted: np.ndarray,
    made: Callable[[IntArray, IntArray, IntArray], CriticalPoints] | None = None,
) -> tuple[IntArray, IntArray, IntArray]:
    """Critical vertices by the homology of their lower links."""
    cells = Cells.of(cx, gates)
    above = [cx._store.covers_above(k) for k in range(cx.dimension)]
    rows, index, many = list[int](), list[int](), list[int]()
    falling, total = {0: up < 0, 1: up > 0}, int(wanted.sum())

    def so_far(made: Callable[[IntArray, IntArray, IntArray], CriticalPoints]) -> CriticalPoints:
        return made(*arrays())

    def arrays() -> tuple[IntArray, IntArray, IntArray]:
        return tuple(np.array(x, dtype=np.int64) for x in (rows, index, many))  # type: ignore[return-value]

    for done, v in enumerate(np.flatnonzero(wanted).tolist()):
        did(LOOKED_AT, done, total, found=None if made is None else partial(so_far, made))
        heed("lower links")
        star = above[0][1][above[0][0][v] : above[0][0][v + 1]].astype(np.int64)
        kept = [np.array([e for e in star if falling[int(low[e] != v)][e]], dtype=np.int64)]
        for k in range(1, cx.dimension):
            ptr, idx = above[k]
            star = np.unique(np.concatenate([idx[ptr[f] : ptr[f + 1]] for f in star])).astype(np.int64)
            below, inside = cells.layers[k + 1].below, set(kept[-1].tolist())
            own = [below.indices[below.indptr[f] : below.indptr[f + 1]] for f in star]
            through = [[g for g in facets.tolist() if _contains(above, v, k, g)] for facets in own]
            kept.append(np.array([f for f, g in zip(star, through) if g and inside.issuperset(g)], dtype=np.int64))
        link = _link(cells, above, v, kept)
        sizes = [np.ones(len(k), dtype=np.bool_) for k in kept]
        betti = [0] if not len(kept[0]) else list(homology.betti_numbers(link, sizes, 2, closed=True))
        reduced = [1] if not len(kept[0]) else [0, betti[0] - 1, *betti[1:]]  # the empty link has homology in degree -1
        for i, b in enumerate(reduced):
            if b:
                rows.append(v)
                index.append(i)
                many.append(b)
    return arrays()


def _contains(above: list[tuple[IntArray, Any]], v: int, dim: int, face: int) -> bool:
    """Whether a face of a dimension has v among its vertices."""
    reached = {v}
    for k in range(dim):
        ptr, idx = above[k]
        reached = {int(f) for g in reached for f in idx[ptr[g] : ptr[g + 1]]}
    return face in reached


def _link(
    cells: Cells, above: list[tuple[IntArray, Any]], v: int, kept: list[IntArray]
) -> list[tuple[IntArray, IntArray]]:
    """Incidences of a part of the link of a vertex: faces of dimension k + 1 there are cells of dimension k."""
    result = []
    for k, faces in enumerate(kept):
        ptr, idx = [0], []
        if k == 0:
            result.append((np.zeros(len(faces) + 1, dtype=np.int64), np.zeros(0, dtype=np.int64)))
            continue
        number = {int(f): i for i, f in enumerate(kept[k - 1])}
        below = cells.layers[k + 1].below
        for f in faces.tolist():
            idx += [number[int(g)] for g in below.indices[below.indptr[f] : below.indptr[f + 1]] if int(g) in number]
            ptr.append(len(idx))
        result.append((np.array(ptr, dtype=np.int64), np.array(idx, dtype=np.int64)))
    return result


def sublevel_persistence(cx: PolyhedralComplex, output: int = 0, *, budget: Budget | None = None) -> Persistence:
    """Persistent homology of the sublevel sets of an output; see `PolyhedralComplex.persistence`.

    Raises
    ------
    BudgetExceededError
        ``partial`` is a `polyfiber.budget.SoFar` with the number of cells whose entry into the sublevel sets is known;
        ``partial.found`` has for each dimension so far (f_k,) int64, a vertex with the value at which each cell enters.
    """
    if cx.lineality_dimension or cx.is_unbounded(cx.dimension).any():
        raise InputError("persistence of sublevel sets needs a bounded domain; take the complex on a Box")
    refuse_without_walls(cx)
    with Monitor(budget, None).watching():
        if cx.dimension == 0:
            return _of_a_point(cx, require_output(cx, output))
        did(ENTRIES, 0, sum(cx.f_vector))
        gates = _gates(cx, output)
        values = _Values(gates)
        at = values.value[cx._finite]
        rank = _exact_ranks(values, cx._finite, at)
        vertex = np.empty(int(rank.max()) + 1, dtype=np.int64)  # one of each value
        vertex[rank] = np.arange(len(rank))
        entry = [rank]
        _keep_entries(cx, vertex, entry)
        cells = Cells.of(cx, gates)
        for k in range(1, cx.dimension + 1):
            heed("the order of cells")
            below = cells.layers[k].below
            entry.append(np.maximum.reduceat(entry[-1][below.indices], below.indptr[:-1]))
            _keep_entries(cx, vertex, entry)
        start = np.concatenate([[0], np.cumsum(cx.f_vector)]).astype(np.int64)
        when, dims = np.concatenate(entry), np.repeat(np.arange(cx.dimension + 1), cx.f_vector)
        sequence = np.lexsort((dims, when))
        place = np.empty(len(sequence), dtype=np.int64)
        place[sequence] = np.arange(len(sequence))
        lists = [cells.layers[k].below for k in range(cx.dimension + 1)]
        ptr = np.concatenate([[0], np.cumsum(np.concatenate([np.diff(b.indptr) for b in lists]))]).astype(np.int64)
        rows = place[np.concatenate([b.indices + (start[k - 1] if k else 0) for k, b in enumerate(lists)])]
        pairs = homology.persistence_pairs(ptr, rows, np.ones(len(rows), dtype=np.int8), sequence, 2)
        assert pairs is not None
        births = np.flatnonzero(pairs >= 0)
        open_ends = np.flatnonzero(pairs == -1)
        lasting = births[when[sequence[births]] != when[sequence[pairs[births]]]]
        places = np.stack(
            [np.concatenate([lasting, open_ends]), np.concatenate([pairs[lasting], 0 * open_ends])], axis=1
        )
        found = vertex[when[sequence[places]]]
        found[len(lasting) :, 1] = -1
        never = found < 0
        death = np.where(never, np.inf, at[found])[:, 1]
        errors = np.where(never, 0.0, values.bound[cx._finite][found])
        dimension = dims[sequence[places[:, 0]]]
        return Persistence(dimension, at[found[:, 0]], death, errors, found, cx, require_output(cx, output))


def _keep_entries(cx: PolyhedralComplex, vertex: IntArray, entry: list[IntArray]) -> None:
    """Have the error of a budget that runs out hold when cells enter."""
    did(ENTRIES, sum(map(len, entry)), sum(cx.f_vector), found=lambda: tuple(vertex[ranks] for ranks in entry))


def _of_a_point(cx: PolyhedralComplex, output: int) -> Persistence:
    """A domain that is a point: it is born with the value there and stays."""
    value = cx.network.exact()(cx.exact_vertices())[:, output]
    birth = nearest(value)
    error = directed(abs(value[0] - Fraction(birth[0])), up=True) if np.isfinite(birth[0]) else np.inf
    none = np.zeros(1, dtype=np.int64)
    return Persistence(none, birth, np.array([np.inf]), np.array([[error, 0.0]]), np.array([[0, -1]]), cx, output)


def _exact_ranks(values: _Values, finite: IntArray, at: FloatArray) -> IntArray:
    """Place of every vertex by value, equal for equal values; what floats cannot tell apart is compared as
    rationals.
    """
    bound = values.bound[finite]
    beyond = np.isinf(at)  # between the largest float and an infinity
    with np.errstate(invalid="ignore", over="ignore"):
        low, high = (np.where(beyond, at, at + side * (bound + np.abs(at) * gamma(8))) for side in (-1, 1))
    low[beyond & (at > 0)], high[beyond & (at < 0)] = float(LARGEST), -float(LARGEST)
    order = np.argsort(low, kind="stable")
    close = low[order][1:] <= np.maximum.accumulate(high[order])[:-1]
    rank = np.empty(len(order), dtype=np.int64)
    begin, place = 0, 0
    for end in [*np.flatnonzero(~close).tolist(), len(order) - 1]:
        mine = order[begin : end + 1].tolist()
        if len(mine) > 1:
            exact = {v: values.exact(int(finite[v])) for v in mine}
            mine.sort(key=exact.__getitem__)
        for i, v in enumerate(mine):
            place += i > 0 and exact[v] != exact[mine[i - 1]]
            rank[v] = place
        place += 1
        begin = end + 1
    return rank
