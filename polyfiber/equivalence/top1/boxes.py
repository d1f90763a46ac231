"""Top-1 agreement beyond enumeration: branch and bound over boxes.

On a box let i be the class that both networks choose in the middle. Where linear relaxations show ``f_j <= f_i`` and ``g_j <= g_i``
for all j, up to the margin, no input of the box has different winners beyond the margin. Other boxes are halved.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..._typing import FloatArray
from ...bounds.boxes import possible_boxes, relaxed_upper
from ...budget import Monitor
from ...network.model import ReLUNetwork
from ...numerics.rounding import UNIT
from ...numerics.search import BestFirst
from ..bounds.difference_network import side_by_side

Ends = tuple[FloatArray, FloatArray]
"""Minus the share of the volume, a number of its own, lower and upper ends."""


@dataclass
class BoxSearch:
    """Boxes that are settled, and those that are open.

    Attributes
    ----------
    found : object or None
        What ``refute`` returned, where it did.
    share : float
        Of the volume that is settled.
    boxes : int
        Boxes looked at.
    complete : bool
    """

    found: Any = None
    share: float = 0.0
    boxes: int = 0
    complete: bool = False
    open: BestFirst[Ends] = field(default_factory=BestFirst, repr=False)


def settle_boxes(
    a: ReLUNetwork, b: ReLUNetwork, box: tuple[FloatArray, FloatArray], limit: float,
    refute: Callable[[FloatArray], Any], *, monitor: Monitor, seconds: float,
    rows: tuple[FloatArray, FloatArray] | None = None,
) -> BoxSearch:  # fmt: skip
    """Settle the boxes of a box, the largest first, until all are, one is refuted, or the time is up.

    Parameters
    ----------
    limit : float
        Leads up to it count as ties.
    refute : callable
        Takes an input at which the floating winners differ; anything but None ends the search.
    seconds : float
        Limit when the budget names none.
    rows : (A, b), optional
        Only the part where ``A x <= b`` counts.
    """
    nets: dict[int, ReLUNetwork] = {}
    search = BoxSearch()
    until = monitor.budget.seconds if monitor.budget.seconds is not None else monitor.elapsed + seconds
    batch = int(np.clip((1 << 16) // max(a.architecture + b.architecture) ** 2, 1, 256))
    search.open.push(1.0, (box[0].astype(np.float64), box[1].astype(np.float64)))
    while search.open and monitor.elapsed <= until:
        monitor.report("branch and bound", search.boxes, None, share=round(search.share, 6))
        taken = [search.open.pop() for _ in range(min(batch, len(search.open)))]
        parts = np.array([part for part, _ in taken])
        los, his = (np.array([ends[side] for _, ends in taken]) for side in (0, 1))
        search.boxes += len(taken)
        middles = 0.5 * los + 0.5 * his
        u, v = a(middles).argmax(axis=1), b(middles).argmax(axis=1)
        for k in np.flatnonzero(u != v):
            search.found = refute(middles[k])
            if search.found is not None:
                return search
        settled = ~possible_boxes(rows, los, his)
        lines = np.zeros(los.shape)
        for i in np.unique(u[~settled]).tolist():
            mine = np.flatnonzero((u == i) & ~settled)
            if i not in nets:
                nets[i] = leads_of(a, b, i)
            bounds = relaxed_upper(nets[i], los[mine], his[mine])
            top = np.where(np.isnan(bounds.upper), np.inf, bounds.upper)
            top = top + 4 * UNIT * _size(nets[i], bounds.upper_z)  # the last weights are rounded differences
            settled[mine] = (top <= limit).all(axis=1)
            worst = top.argmax(axis=1)
            lines[mine] = np.nan_to_num(bounds.coefficients[np.arange(len(mine)), worst])
        search.share += float(parts[settled].sum())
        if not _halve(search, np.flatnonzero(~settled), parts, los, his, lines):
            return search
    search.complete = not search.open
    return search


def _halve(
    search: BoxSearch, chosen: Any, parts: FloatArray, los: FloatArray, his: FloatArray, lines: FloatArray
) -> bool:
    """Put both halves of some boxes back; False where one is as small as floats allow."""
    for k in chosen:
        width = his[k] - los[k]
        size = np.abs(lines[k])
        d = int(np.argmax((size + 1e-3 * size.max() + 1e-12) * width))
        middle = 0.5 * los[k, d] + 0.5 * his[k, d]
        if not los[k, d] < middle < his[k, d]:
            search.open.push(float(parts[k]), (los[k], his[k]))
            return False
        left, right = his[k].copy(), los[k].copy()
        left[d] = right[d] = middle
        for ends in ((los[k], left), (right, his[k])):
            search.open.push(float(parts[k]) / 2, ends)
    return True


def _size(net: ReLUNetwork, uppers: list[FloatArray]) -> FloatArray:
    """Magnitudes (K, nL) of the terms of the outputs on boxes."""
    top = np.maximum(uppers[-1], 0.0)
    return np.asarray(top @ np.abs(net.weights[-1]).T + np.abs(net.biases[-1]))


def leads_of(a: ReLUNetwork, b: ReLUNetwork, i: int) -> ReLUNetwork:
    """``f_j - f_i`` and ``g_j - g_i`` for all j but i, as one network.

    Examples
    --------
    >>> import polyfiber as pf
    >>> from polyfiber.equivalence.top1.boxes import leads_of
    >>> a, b = (pf.ReLUNetwork.random((2, 4, 3), rng=k) for k in (0, 1))
    >>> values = leads_of(a, b, 1)([0.5, 0.25])
    >>> f = a([0.5, 0.25])
    >>> [bool(abs(values[k] - (f[j] - f[1])) < 1e-12) for k, j in enumerate((0, 2))]
    [True, True]
    """
    both = side_by_side(a, b)
    m = a.architecture[-1]
    W, c = both.weights[-1], both.biases[-1]
    others = np.delete(np.arange(m), i)
    rows = [W[others + shift] - W[i + shift] for shift in (0, m)]
    ends = [c[others + shift] - c[i + shift] for shift in (0, m)]
    return ReLUNetwork([*both.weights[:-1], np.concatenate(rows)], [*both.biases[:-1], np.concatenate(ends)])
