"""Which rows ``(w | b)`` are one hyperplane: in floats with a margin on either side, in rationals exactly.

This is the one hard decision behind relations of features: with it made, the rest is linear algebra.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..._typing import Array, FloatArray, IntArray, SignArray
from ...budget import heed
from ...errors import NumericalError

GAP = 1e3
"""Distances between the tolerance and so many times it are no clear decision."""
_PORTION = 1 << 20  # numbers compared at once


@dataclass(frozen=True)
class Groups:
    """Rows by hyperplane.

    Attributes
    ----------
    heads : (H, n + 1) array
        One row for each hyperplane, largest weight 1.
    head : (k,) int64
        Hyperplane of each row.
    side : (k,) int8
        +1 where the row is a positive multiple of its head, -1 where a negative one.
    scale : (k,) array
        ``row ~ side * scale * head``, positive.
    joined, apart : float
        Largest distance of a row from its head; smallest distance of rows on different hyperplanes.
    unclear : tuple of (row, row, distance)
        Pairs whose distance is neither within the tolerance nor clear of it.
    """

    heads: Array
    head: IntArray
    side: SignArray
    scale: Array
    joined: float
    apart: float
    unclear: tuple[tuple[int, int, float], ...] = ()

    def members(self) -> list[list[int]]:
        """Rows of each hyperplane, in order."""
        found: list[list[int]] = [[] for _ in self.heads]
        for i, h in enumerate(self.head.tolist()):
            found[h].append(i)
        return found


def group_rows(rows: Array, *, tolerance: float) -> Groups:
    """Join rows ``(w | b)``, none with ``w = 0``, that are one hyperplane within the tolerance.

    Parameters
    ----------
    rows : (k, n + 1) array, float64 or Fractions
        Rationals are compared exactly, whatever the tolerance.
    tolerance : float
        For weights relative to the largest of a row, for offsets relative to themselves where they exceed it.

    Raises
    ------
    NumericalError
        An offset that overflows when the weights are scaled to 1.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.fibers.relations.grouping import group_rows
    >>> found = group_rows(np.array([[1.0, 2.0, 1.0], [-0.5, -1.0, -0.5], [1.0, 2.0, 1.5]]), tolerance=1e-10)
    >>> found.head.tolist(), found.side.tolist(), found.scale.tolist()
    ([0, 0, 1], [1, -1, 1], [2.0, 1.0, 2.0])
    """
    scale = np.abs(rows[:, :-1]).max(axis=1) if len(rows) else rows[:, 0]
    with np.errstate(over="ignore"):
        unit = rows / scale[:, None]
    if rows.dtype == object:
        return _exact(unit, scale)
    if not np.isfinite(unit).all():
        raise NumericalError(
            "the offset of a row exceeds its weights by more than floats hold; rational networks have no such limit"
        )
    count = len(rows)
    head, side = np.full(count, -1, dtype=np.int64), np.ones(count, dtype=np.int8)
    firsts: list[int] = []
    joined, apart, unclear = 0.0, np.inf, []
    near = _near_pairs(unit)
    for i in range(count):
        best, where = np.inf, -1
        for j in near[i]:
            if j < i and head[j] >= 0 and firsts[head[j]] == j:
                far = _distance(unit[i], unit[j])
                if far < best:
                    best, where = far, j
                if tolerance < far <= GAP * tolerance:
                    unclear.append((j, i, far))
        if best <= tolerance:
            head[i], joined = head[where], max(joined, best)
            side[i] = 1 if float(unit[i, :-1] @ unit[where, :-1]) > 0 else -1
        else:
            head[i] = len(firsts)
            firsts.append(i)
            apart = min(apart, best)
    return Groups(unit[firsts], head, side, scale, joined, apart, tuple(unclear))


def _distance(a: FloatArray, b: FloatArray) -> float:
    reach = np.ones(len(a))
    reach[-1] = max(1.0, abs(a[-1]), abs(b[-1]))
    return float(min(np.abs((a - b) / reach).max(), np.abs((a + b) / reach).max()))


def _near_pairs(unit: FloatArray) -> list[list[int]]:
    """For each row the rows that are within 1e-3 of it or of its negative, found from products."""
    w, t = unit[:, :-1], unit[:, -1]
    length = np.sqrt((w * w).sum(axis=1))
    with np.errstate(over="ignore", invalid="ignore"):
        w, t = w / length[:, None], t / length
    near: list[list[int]] = []
    step = max(1, _PORTION // max(1, len(unit)))
    for start in range(0, len(unit), step):
        heed("looking for shared hyperplanes")
        cosine = w[start : start + step] @ w.T
        own, reach = t[start : start + step, None], 1.0 + np.maximum(np.abs(t[start : start + step, None]), np.abs(t))
        level = np.where(cosine > 0, own - t, own + t)
        with np.errstate(invalid="ignore"):
            close = (np.abs(cosine) > 1 - 1e-4) & ~(np.abs(level) > 1e-2 * reach)
        near += [np.flatnonzero(row).tolist() for row in close]
    return near


def _exact(unit: Array, scale: Array) -> Groups:
    seen: dict[tuple[object, ...], int] = {}
    firsts: list[int] = []
    head, side = np.zeros(len(unit), dtype=np.int64), np.ones(len(unit), dtype=np.int8)
    for i, row in enumerate(unit):
        heed("looking for shared hyperplanes")
        lead = next(v for v in row if v)
        place = seen.setdefault(tuple(row if lead > 0 else -row), len(firsts))
        if place == len(firsts):
            firsts.append(i)
        else:
            first = next(v for v in unit[firsts[place]] if v)
            side[i] = 1 if (lead > 0) == (first > 0) else -1
        head[i] = place
    return Groups(unit[firsts], head, side, scale, 0.0, 0.0 if len(firsts) < 2 else np.inf, ())
