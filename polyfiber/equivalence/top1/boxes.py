"""Top-1 agreement beyond enumeration: boxes of both networks together, split until none can hold a disagreement.

A disagreement is an input where class i leads in f, and another class j in g, each ahead of all others by more than the
limit. On a box that is excluded for i and j by any one of: some class is never behind i by more in f; some class is
never behind j by more in g; or ``(f_i - f_j) - (g_i - g_j)``, a difference of differences that is small for near
networks wherever the classes tie, never exceeds twice the limit; or ``(f_i - f_j) - t (g_i - g_j)`` never ``1 + t``
times the limit, for any t > 0. The t at hand is the one that makes this small at inputs of the box: logits at another
temperature tie where the first do, and t = 1 would leave a neighbourhood of each tie open.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..._typing import FloatArray
from ...bounds.goals import same_winner
from ...bounds.pairing import paired
from ...bounds.split import BoxSearch
from ...budget import Monitor
from ...network.model import ReLUNetwork

INPUTS = 256
"""Inputs at which temperatures are compared."""
SMALL = 1e-6
"""Temperatures whose ratio is less, or more than one over it, are not tried."""


@dataclass
class SettledBoxes:
    """Boxes that are settled, and those that are open.

    Attributes
    ----------
    found : object or None
        What ``refute`` returned, where it did.
    share : float
        Of the volume that is settled.
    boxes, open : int
        Boxes looked at, and boxes that are left.
    complete : bool
    """

    found: Any = None
    share: float = 0.0
    boxes: int = 0
    open: int = 0
    complete: bool = False


def temperatures(a: ReLUNetwork, b: ReLUNetwork, box: tuple[FloatArray, FloatArray]) -> FloatArray:
    """For classes i, j the factor (m, m) by which ``g_i - g_j`` is nearest to ``f_i - f_j`` at inputs of the box; 1
    where none is positive.

    Examples
    --------
    >>> import numpy as np
    >>> import polyfiber as pf
    >>> from polyfiber.equivalence.top1.boxes import temperatures
    >>> a = pf.ReLUNetwork.random((2, 6, 2), rng=0)
    >>> b = pf.ReLUNetwork([a.weights[0], 4 * a.weights[1]], [a.biases[0], 4 * a.biases[1]])
    >>> temperatures(a, b, (-np.ones(2), np.ones(2)))[0, 1]
    np.float64(0.25)
    """
    lo, hi = box
    X = lo + (hi - lo) * np.random.default_rng(0).random((INPUTS, len(lo)))
    u, v = a(X), b(X)
    f, g = (w[:, :, None] - w[:, None, :] for w in (u, v))
    with np.errstate(all="ignore"):
        found = (f * g).sum(axis=0) / (g * g).sum(axis=0)
    return np.where(np.isfinite(found) & (found > SMALL) & (found < 1 / SMALL), found, 1.0)


def settle_boxes(
    a: ReLUNetwork, b: ReLUNetwork, box: tuple[FloatArray, FloatArray], limit: float,
    refute: Callable[[FloatArray], Any], *, monitor: Monitor, seconds: float,
    rows: tuple[FloatArray, FloatArray] | None = None,
) -> SettledBoxes:  # fmt: skip
    """Split boxes until all are settled, one input is a disagreement, or the time is up.

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

    Examples
    --------
    >>> import numpy as np
    >>> import polyfiber as pf
    >>> from polyfiber.budget import Monitor
    >>> from polyfiber.equivalence.top1.boxes import settle_boxes
    >>> a = pf.ReLUNetwork.random((2, 6, 5, 3), rng=0)
    >>> ends = (-np.ones(2), np.ones(2))
    >>> settle_boxes(a, a, ends, 1e-6, lambda x: None, monitor=Monitor(), seconds=30.0).complete
    True
    """
    result = SettledBoxes()

    def confirm(x: FloatArray) -> bool:
        result.found = refute(x)
        return result.found is not None

    goal = same_winner(a.architecture[-1], limit, temperatures(a, b, box))
    search = BoxSearch(paired(a, b), goal, *box, rows=rows, confirm=confirm)
    outcome = search.run(monitor, seconds=None if monitor.left is not None else seconds, phase="branch and bound")
    if outcome.status != "violated":
        result.found = None
    result.share, result.boxes, result.open = outcome.share, outcome.boxes, outcome.open
    result.complete = outcome.status == "proved"
    return result


__all__ = ["SettledBoxes", "settle_boxes", "temperatures"]
