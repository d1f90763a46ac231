"""Level sets and decision boundaries on a slice, as segments of its regions."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from typing import Any

import numpy as np

from ... import words
from ..._typing import Array, BoolArray, FloatArray, IntArray, SignArray
from ...errors import InputError
from .exact_forms import ExactForms
from .subdivision import PlanarSlice

CLEAR = 1e-9
"""Places on a segment whose error may exceed this share of it are computed in rationals."""


@dataclass(frozen=True, eq=False)
class Segments:
    """Segments in the regions of a slice.

    Attributes
    ----------
    ends : (S, 2, 2) float64
        In coordinates t.
    regions : (S,)
        The first one, where a segment is an edge of two.
    labels : (S, 2)
        The two outputs that are equal there; for a level set twice the output.
    inputs : (S, 2, n0) float64
        The ends as inputs of the network.
    """

    ends: FloatArray
    regions: IntArray
    labels: IntArray
    slice: PlanarSlice

    def __len__(self) -> int:
        return len(self.ends)

    @property
    def inputs(self) -> FloatArray:
        """Ends as inputs, (S, 2, n0)."""
        return self.slice.points(self.ends)

    @property
    def length(self) -> float:
        """Total length in the space of inputs."""
        step = (self.ends[:, 1] - self.ends[:, 0]) @ self.slice.directions
        return float(np.linalg.norm(step, axis=1).sum())

    def __repr__(self) -> str:
        return f"Segments({len(self)} in {words.count(len(np.unique(self.regions)), 'region')})"


@dataclass(frozen=True, eq=False)
class _Sides:
    """Sides of polygons: their region, the vertices they go from and to, and their place in the slice's tables."""

    region: IntArray
    tail: IntArray
    head: IntArray
    at: IntArray

    @classmethod
    def of(cls, s: PlanarSlice) -> _Sides:
        ptr, corners = s.polygon_corners
        following = np.arange(1, len(corners) + 1)
        following[ptr[1:] - 1] = ptr[:-1]
        return cls(
            np.repeat(np.arange(s.n_regions), np.diff(ptr)), corners, corners[following], np.arange(len(corners))
        )

    def __getitem__(self, which: Any) -> _Sides:
        return _Sides(self.region[which], self.tail[which], self.head[which], self.at[which])


@dataclass(frozen=True, eq=False)
class _Chords:
    """Where a function that is affine on regions vanishes: two ends a row, each on a side; at a corner, at its tail.

    ``place`` says how far along the side, within ``doubt``.
    """

    sides: _Sides  # of shape (S, 2)
    corner: BoolArray
    place: FloatArray
    doubt: FloatArray

    def __len__(self) -> int:
        return len(self.corner)

    def __getitem__(self, which: Any) -> _Chords:
        return _Chords(self.sides[which], self.corner[which], self.place[which], self.doubt[which])

    @property
    def region(self) -> IntArray:
        return self.sides.region[:, 0]

    @property
    def vertices(self) -> IntArray:
        """(S, 2) the vertices that the ends are, in rising order; all different negative numbers for others."""
        pairs = np.sort(self.sides.tail, axis=1)
        inner = ~self.corner.all(axis=1)
        pairs[inner] = -1 - np.arange(len(pairs))[inner, None]
        return pairs

    def at(self, of_vertices: FloatArray) -> FloatArray:
        """What is affine on regions, given at vertices, at the ends: (S, 2, …)."""
        a, b = of_vertices[self.sides.tail], of_vertices[self.sides.head]
        place = self.place.reshape(self.place.shape + (1,) * (a.ndim - 2))
        return np.asarray(np.where(place == 0.0, a, a + place * (b - a)))


def _chords(sign: SignArray, value: FloatArray, error: FloatArray, sides: _Sides) -> _Chords:
    """Segments on which a function vanishes in regions where it does not vanish throughout, from its exact signs at
    vertices.
    """
    before, behind = sign[sides.tail], sign[sides.head]
    moving = np.bincount(sides.region, before != 0) > 0
    which = np.flatnonzero(((before == 0) | (before * behind < 0)) & moving[sides.region])
    # a line meets the border of a convex polygon in two points or along a side, which has two ends, too
    two = np.bincount(sides.region[which]) == 2 if len(which) else np.zeros(0, dtype=np.bool_)
    found = sides[which[two[sides.region[which]]].reshape(-1, 2)]
    corner = sign[found.tail] == 0
    a, b = value[found.tail], value[found.head]
    loose = error[found.tail] + error[found.head]
    place = np.clip(np.nan_to_num(a / (a - b), nan=0.5), 0.0, 1.0)
    doubt = np.nan_to_num(2.0 * loose / np.maximum(np.abs(a - b) - loose, 0.0), nan=np.inf) + 1e-15
    return _Chords(found, corner, np.where(corner, 0.0, place), np.where(corner, 0.0, doubt))


class _Rationals:
    """Ends of chords and outputs there, computed exactly on one region after another."""

    def __init__(self, s: PlanarSlice) -> None:
        self.slice = s
        self.exact = ExactForms(s._restricted)

    def ends(self, chords: _Chords, row: int, weights: list[Fraction], offset: Fraction) -> list[list[Fraction]]:
        """Both ends as (x, y) in the coordinates of forms, on the zeros of a combination of outputs."""
        t = self.slice._tables
        region = int(chords.region[row])
        self.exact.take(self.slice._unit_signs([region])[0])
        first, last = int(t.ptr[region]), int(t.ptr[region + 1])
        found = []
        for at, corner in zip(chords.sides.at[row].tolist(), chords.corner[row].tolist()):
            a, b, c = self.exact.form(int(t.edge_line[t.cell_edges[at]]))
            if corner:
                before = at - 1 if at > first else last - 1
                other: Any = self.exact.form(int(t.edge_line[t.cell_edges[before]]))
            else:
                other = self.exact.combined(weights, offset)
            d, e, f = other
            below = Fraction(a * e - b * d)
            found.append([(b * f - c * e) / below, (c * d - a * f) / below])
        return found

    def outputs(self, point: list[Fraction]) -> list[Fraction]:
        """All outputs at a point of the region, times one positive number."""
        forms = [self.exact.form(k) for k in range(self.exact.r.n_gates, len(self.exact.r.units))]
        return [a * point[0] + b * point[1] + c for a, b, c in forms]

    def coordinates(self, point: list[Fraction]) -> list[float]:
        """Coordinates t."""
        frame = self.slice._restricted.frame
        return [float(m + w * v) for m, w, v in zip(frame.middle, frame.scale, point)]


@np.errstate(all="ignore")
def level_set(s: PlanarSlice, value: float = 0.0, *, output: int = 0) -> Segments:
    """Where an output takes a value: segments in regions where it is not this value throughout.

    Parameters
    ----------
    s : PlanarSlice
        By a plane.
    value : float
    output : int

    Returns
    -------
    Segments
        One in each region that the level crosses, and the edges along which the output takes the value; an edge of two
        regions once. Which these are is exact, the ends are floats. Where the output has the value on a whole region,
        the region's edges to regions where it has not; where it has in a single point of a region, nothing.

    Examples
    --------
    >>> import polyfiber as pf
    >>> net = pf.ReLUNetwork.random((9, 8, 8, 2), rng=0)
    >>> s = pf.slice_through(net, [0] * 9, [1] * 9, [1, -1] * 4 + [1])
    >>> level_set(s, float(s.values[:, 0].mean())).length > 0
    True
    """
    n = s.values.shape[1]
    if not isinstance(output, (int, np.integer)) or isinstance(output, bool):
        raise InputError(f"an output is named by its number, found {output!r}")
    if not 0 <= output < n:
        raise InputError(f"output {output} does not exist; the network has outputs 0 to {n - 1}")
    weights = np.zeros(n)
    weights[output] = 1.0
    try:
        level = np.nan if np.ma.is_masked(value) else float(value)
    except (TypeError, ValueError, OverflowError):
        level = np.nan
    if not np.isfinite(level):
        raise InputError(f"a level must be a finite number, found {value!r}")
    signs = s.output_signs(weights, -level)
    chords = _chords(signs, s.values[:, output] - level, s._tables.values[:, -1] + 1e-15 * abs(level), _Sides.of(s))
    _, once = np.unique(chords.vertices, axis=0, return_index=True)
    chords = chords[np.sort(once)]
    ends = chords.at(s.coordinates)
    rationals, exact = _Rationals(s), [Fraction(w) for w in weights.tolist()]
    for row in np.flatnonzero((chords.doubt > CLEAR).any(axis=1)).tolist():
        points = rationals.ends(chords, row, exact, Fraction(-level))
        ends[row] = [rationals.coordinates(p) for p in points]
    return Segments(ends, chords.region, np.full((len(chords), 2), int(output)), s)


def classes_at_vertices(s: PlanarSlice) -> tuple[IntArray, BoolArray]:
    """The largest output at each vertex, and whether it is certain and the only one."""
    values, bound = s.values, s._tables.values[:, -1]
    order = np.sort(values, axis=1)
    return values.argmax(axis=1), np.asarray(order[:, -1] - order[:, -2] > 2 * bound)


@np.errstate(all="ignore")
def decision_boundary(s: PlanarSlice) -> Segments:
    """Where two outputs are largest that are not equal on the whole region.

    Parameters
    ----------
    s : PlanarSlice
        By a plane, of a network with two outputs or more; with one, its zero level.

    Returns
    -------
    Segments
        Labels are the two classes, the first two where more tie along a segment. Which segments there are is exact, an
        edge of two regions counts once. Ends are floats; where three classes meet, they are the true point up to
        rounding.
    """
    n = s.values.shape[1]
    if n == 1:
        return level_set(s, 0.0)
    winner, sure = classes_at_vertices(s)
    ptr, corners = s.polygon_corners
    # a region whose vertices all have one class is of that class: regions are convex
    low = np.minimum.reduceat(np.where(sure[corners], winner[corners], -1), ptr[:-1])
    high = np.maximum.reduceat(np.where(sure[corners], winner[corners], n), ptr[:-1])
    sides = _Sides.of(s)
    sides = sides[(low != high)[sides.region]]
    boundary = _Boundary(s, sides)
    parts = [p for i, j in combinations(range(n), 2) for p in [boundary.between(i, j)] if len(p[0])]
    if not parts:
        return Segments(np.zeros((0, 2, 2)), np.zeros(0, dtype=np.int64), np.zeros((0, 2), dtype=np.int64), s)
    ends, regions, labels, edges = (np.concatenate([p[q] for p in parts]) for q in range(4))
    edges[edges[:, 0] < 0] = -1 - np.arange(len(edges))[edges[:, 0] < 0, None]
    _, once = np.unique(np.concatenate([edges, labels], axis=1), axis=0, return_index=True)
    once = np.sort(once)
    return Segments(ends[once], regions[once], labels[once], s)


class _Boundary:
    """Signs of all differences of outputs at the vertices of some polygons, and where two of them are largest."""

    def __init__(self, s: PlanarSlice, sides: _Sides) -> None:
        self.slice, self.sides = s, sides
        self.n = n = s.values.shape[1]
        used = np.unique(sides.tail)
        self.signs = np.zeros((n, n, len(s.values)), dtype=np.int8)  # of f_i - f_j, at vertices in use
        self.again = np.zeros((n, s.n_regions), dtype=np.bool_)  # outputs that equal an earlier one on the region
        for i, j in combinations(range(n), 2):
            weights = np.zeros(n)
            weights[i], weights[j] = 1.0, -1.0
            self.signs[i, j, used] = s.output_signs(weights, vertices=used)
            self.signs[j, i] = -self.signs[i, j]
            self.again[j] |= np.bincount(sides.region, self.signs[i, j, sides.tail] != 0, s.n_regions) == 0
        self.rationals = _Rationals(s)

    @staticmethod
    def _beaten(sign: SignArray) -> BoolArray:
        """Chords between whose ends another output is larger throughout, from the signs (S, 2, n) at the ends."""
        loses: BoolArray = np.any(sign < 0, axis=1) & np.all(sign <= 0, axis=1)
        return np.asarray(np.any(loses, axis=1))

    def between(self, i: int, j: int) -> tuple[FloatArray, IntArray, IntArray, Array]:
        """Ends, regions, labels, and the vertices of those that are edges, of segments where outputs i < j are
        largest.
        """
        s, n = self.slice, self.n
        values, error = s.values, s._tables.values[:, -1]
        chords = _chords(self.signs[i, j], values[:, i] - values[:, j], 2.0 * error, self.sides)
        chords = chords[~(self.again[i] | self.again[j])[chords.region]]
        x = chords.at(s.coordinates)
        v = chords.at(values)
        edge = chords.vertices
        # of f_i - f_k at the ends: signs where vertices tell them, floats where their bounds do
        gap = v[:, :, [i]] - v
        spread = np.abs(values[chords.sides.head] - values[chords.sides.tail])
        loose = np.maximum(error[chords.sides.tail], error[chords.sides.head])[:, :, None]
        loose = (
            2.0 * loose
            + chords.doubt[:, :, None] * (spread + spread[:, :, [i]])
            + 4e-16 * (np.abs(v) + np.abs(v[:, :, [i]]))
        )
        sign = np.where(gap > loose, 1, np.where(gap < -loose, -1, 9)).astype(np.int8)
        at_tail = self.signs[i].T[chords.sides.tail]
        at_head = np.where(chords.corner[:, :, None], at_tail, self.signs[i].T[chords.sides.head])
        sign = np.where(at_tail == at_head, at_tail, sign)
        sign[:, :, [i, j]] = 0
        cut = np.nan_to_num(gap[:, 0] / (gap[:, 0] - gap[:, 1]), nan=0.5)
        doubt = (loose[:, 0] + loose[:, 1]) / np.abs(gap[:, 0] - gap[:, 1])
        enters, leaves = (sign[:, 0] == -1) & (sign[:, 1] == 1), (sign[:, 0] == 1) & (sign[:, 1] == -1)
        begin = np.max(np.where(enters, cut, 0.0), axis=1, initial=0.0)
        end = np.min(np.where(leaves, cut, 1.0), axis=1, initial=1.0)
        unsure = (sign == 9).any(axis=(1, 2)) | ((enters | leaves) & ~(doubt < CLEAR)).any(axis=1)
        unsure |= (chords.doubt > CLEAR).any(axis=1) | (np.abs(end - begin) < 4 * CLEAR)
        ends = np.stack([x[:, 0] + p[:, None] * (x[:, 1] - x[:, 0]) for p in (begin, end)], axis=1)
        alive = begin < end
        weights = [Fraction(int(k == i) - int(k == j)) for k in range(n)]
        unsure &= ~self._beaten(sign)
        for row in np.flatnonzero(unsure).tolist():
            points = self.rationals.ends(chords, row, weights, Fraction(0))
            outputs = [self.rationals.outputs(p) for p in points]
            gaps = [[f[i] - g for g in f] for f in outputs]
            sign[row] = [[int(g > 0) - int(g < 0) for g in side] for side in gaps]
            ratios = [(a / (a - b), a < 0) for a, b in zip(*gaps) if (a < 0 < b) or (b < 0 < a)]
            first = max([r for r, rises in ratios if rises], default=Fraction(0))
            last = min([r for r, rises in ratios if not rises], default=Fraction(1))
            alive[row] = first < last
            ends[row] = [self.rationals.coordinates([p + r * (q - p) for p, q in zip(*points)]) for r in (first, last)]
        alive &= ~self._beaten(sign)
        # more than two that tie: the first two stand for all; on an edge those of both regions, inside those of this
        # one
        ties = (sign == 0).all(axis=1)
        rank = np.cumsum(ties, axis=1)
        inside = edge[:, 0] < 0
        own = np.cumsum(ties & ~self.again[:, chords.region].T, axis=1)
        alive &= ~inside | (own[:, j] == 2)
        labels = np.stack([(rank >= q).argmax(axis=1) for q in (1, 2)], axis=1)
        labels[inside] = i, j
        return ends[alive], chords.region[alive], labels[alive], edge[alive]


def class_polygons(s: PlanarSlice) -> dict[int, list[FloatArray]]:
    """Polygons in coordinates t on which each output is the largest: regions, and parts of regions that the boundary
    cuts.
    """
    values, x = s.values, s.coordinates
    n = values.shape[1]
    ptr, corners = s.polygon_corners
    if n == 1:
        values = np.concatenate([-values, values], axis=1) / 2
        n = 2
    winner = values.argmax(axis=1)[corners]
    low, high = np.minimum.reduceat(winner, ptr[:-1]), np.maximum.reduceat(winner, ptr[:-1])
    found: dict[int, list[FloatArray]] = {}
    for r in range(s.n_regions):
        inside = corners[ptr[r] : ptr[r + 1]]
        if low[r] == high[r]:
            found.setdefault(int(low[r]), []).append(x[inside])
            continue
        for c in range(n):
            part = np.concatenate([x[inside], values[inside]], axis=1)
            for k in range(n):
                if k != c and len(part):
                    part = _half(part, part[:, 2 + c] - part[:, 2 + k])
            if len(part) > 2:
                found.setdefault(c, []).append(part[:, :2])
    return dict(sorted(found.items()))


def _half(part: FloatArray, value: FloatArray) -> FloatArray:
    """The part of a polygon (rows of numbers at its corners) where a value is not negative."""
    kept: list[FloatArray] = []
    for k in range(len(part)):
        following = (k + 1) % len(part)
        if value[k] >= 0:
            kept.append(part[k])
        if (value[k] > 0 and value[following] < 0) or (value[k] < 0 and value[following] > 0):
            kept.append(part[k] + value[k] / (value[k] - value[following]) * (part[following] - part[k]))
    return np.array(kept).reshape(-1, part.shape[1])


__all__ = ["Segments", "class_polygons", "decision_boundary", "level_set"]
