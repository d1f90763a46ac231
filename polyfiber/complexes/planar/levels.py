"""Level sets and decision boundaries on a slice, as segments of its regions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..._typing import Array, BoolArray, FloatArray, IntArray
from ...errors import InputError
from .subdivision import PlanarSlice


@dataclass(frozen=True, eq=False)
class Segments:
    """Segments in the regions of a slice.

    Attributes
    ----------
    ends : (S, 2, 2) float64
        In coordinates t.
    regions : (S,)
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
        return f"Segments({len(self)} in {len(np.unique(self.regions))} regions)"


def _sides(s: PlanarSlice) -> tuple[IntArray, IntArray, IntArray]:
    """(region, vertex, next vertex) of every side of every polygon."""
    ptr, corners = s.polygon_corners
    owner = np.repeat(np.arange(s.n_regions), np.diff(ptr))
    following = np.arange(1, len(corners) + 1)
    following[ptr[1:] - 1] = ptr[:-1]
    return owner, corners, corners[following]


def _crossings(
    positive: BoolArray, value: FloatArray, sides: tuple[IntArray, IntArray, IntArray]
) -> tuple[IntArray, IntArray, IntArray, FloatArray, IntArray, IntArray, FloatArray]:
    """Regions that a line crosses, and for both ends the side (two vertices) and the place on it."""
    owner, tail, head = sides
    which = np.flatnonzero(positive[tail] != positive[head])
    # a convex polygon is entered once and left once
    first, second = which[::2], which[1::2]
    a, b = value[tail[which]], value[head[which]]
    with np.errstate(divide="ignore", invalid="ignore"):
        place = np.where(a == b, 0.5, a / (a - b))
    place = np.clip(np.nan_to_num(place, nan=0.5), 0.0, 1.0)
    return owner[first], tail[first], head[first], place[::2], tail[second], head[second], place[1::2]


def level_set(s: PlanarSlice, value: float = 0.0, *, output: int = 0) -> Segments:
    """Where an output takes a value: the border of the set where it is greater.

    Parameters
    ----------
    s : PlanarSlice
        By a plane.
    value : float
    output : int

    Returns
    -------
    Segments
        One in each region that the level crosses. Which regions those are is exact, the ends are floats.

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
    positive = s.output_signs(weights, -level) > 0
    region, t0, h0, p0, t1, h1, p1 = _crossings(positive, s.values[:, output] - level, _sides(s))
    x = s.coordinates
    ends = np.stack([x[t0] + p0[:, None] * (x[h0] - x[t0]), x[t1] + p1[:, None] * (x[h1] - x[t1])], axis=1)
    return Segments(ends, region, np.full((len(region), 2), output), s)


def classes_at_vertices(s: PlanarSlice) -> tuple[IntArray, BoolArray]:
    """The largest output at each vertex, and whether it is certain and the only one."""
    values, bound = s.values, s._tables.values[:, -1]
    order = np.sort(values, axis=1)
    return values.argmax(axis=1), np.asarray(order[:, -1] - order[:, -2] > 2 * bound)


def decision_boundary(s: PlanarSlice) -> Segments:
    """Where the largest output changes from one to another.

    Parameters
    ----------
    s : PlanarSlice
        By a plane, of a network with two outputs or more; with one, its zero level.

    Returns
    -------
    Segments
        Labels are the two classes. Which regions their tie crosses is exact. Ends are floats; where three classes meet,
        they are the true point up to rounding.
    """
    values = s.values
    n = values.shape[1]
    if n == 1:
        return level_set(s, 0.0)
    winner, sure = classes_at_vertices(s)
    ptr, corners = s.polygon_corners
    # a region whose vertices all have one class is of that class: regions are convex
    low = np.minimum.reduceat(np.where(sure[corners], winner[corners], -1), ptr[:-1])
    high = np.maximum.reduceat(np.where(sure[corners], winner[corners], n), ptr[:-1])
    mixed = low != high
    owner, tail, head = _sides(s)
    keep = mixed[owner]
    sides = owner[keep], tail[keep], head[keep]
    used, doubt = np.unique(sides[1]), 3.0 * s._tables.values[:, -1] + 1e-300
    x = s.coordinates
    parts: list[tuple[FloatArray, IntArray, Array]] = []
    for i in range(n):
        for j in range(i + 1, n):
            difference = values[:, i] - values[:, j]
            if bool((np.abs(difference[used]) > doubt[used]).all()) and len(np.unique(difference[used] > 0)) < 2:
                continue
            weights = np.zeros(n)
            weights[i], weights[j] = 1.0, -1.0
            positive = s.output_signs(weights) > 0
            region, t0, h0, p0, t1, h1, p1 = _crossings(positive, difference, sides)
            if not len(region):
                continue
            v0 = values[t0] + p0[:, None] * (values[h0] - values[t0])
            v1 = values[t1] + p1[:, None] * (values[h1] - values[t1])
            others = [k for k in range(n) if k not in (i, j)]
            g0, g1 = v0[:, [i]] - v0[:, others], v1[:, [i]] - v1[:, others]
            with np.errstate(divide="ignore", invalid="ignore"):
                cut = g0 / (g0 - g1)
            begin = np.max(np.where((g0 < 0) & (g1 > 0), cut, 0.0), axis=1, initial=0.0)
            end = np.min(np.where((g0 > 0) & (g1 < 0), cut, 1.0), axis=1, initial=1.0)
            alive = (begin < end) & ~np.any((g0 < 0) & (g1 <= 0), axis=1) & ~np.any((g0 <= 0) & (g1 < 0), axis=1)
            a = x[t0] + p0[:, None] * (x[h0] - x[t0])
            b = x[t1] + p1[:, None] * (x[h1] - x[t1])
            ends = np.stack([a + begin[:, None] * (b - a), a + end[:, None] * (b - a)], axis=1)[alive]
            parts.append((ends, region[alive], np.tile([i, j], (int(alive.sum()), 1))))
    if not parts:
        return Segments(np.zeros((0, 2, 2)), np.zeros(0, dtype=np.int64), np.zeros((0, 2), dtype=np.int64), s)
    ends, regions, labels = (np.concatenate([p[q] for p in parts]) for q in range(3))
    return Segments(ends, regions, labels, s)


def class_polygons(s: PlanarSlice) -> dict[int, list[FloatArray]]:
    """Polygons in coordinates t on which each output is the largest: regions, and parts of regions that the boundary cuts."""
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
