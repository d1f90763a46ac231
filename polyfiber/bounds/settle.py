"""Boxes first, then signs of neurons, by what was measured: how a statement about two networks on a box is settled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from .._typing import FloatArray
from ..budget import Monitor
from ..kernels.bounds import boxes as search_kernel
from .programs import Programs, SignSplit, split_signs, tightened
from .signs import SignSearch
from .split import HOPS, BoxSearch, Outcome

FIRST = 2.0
"""Seconds for boxes before signs are considered."""
FEW = 6
"""Inputs below which boxes alone are split."""
LARGEST = 4000
"""Hidden neurons up to which programs are written."""
SLOW = 0.5
"""Seconds for one box beyond which signs are not tried."""
MANY, SHARE = 3000, 0.1
"""Hops after the first boxes, and the part of the time that is left for them at most."""
PART = 0.6
"""Of the time that is left, for signs."""
SWITCHES, STEPS_PART = 80, 0.15
"""Neurons of both networks that may switch up to which programs are solved where the steps of multipliers settle nothing
in this part of the time for signs.
"""


def settle(
    search: BoxSearch, monitor: Monitor, *, seconds: float | None = None, attack: bool = True,
    run: Callable[..., Outcome] | None = None,
) -> Outcome:  # fmt: skip
    """`BoxSearch.run`, and where boxes settle too little of the volume for the time, splits on signs of neurons on the
    whole box.

    Parameters
    ----------
    search : BoxSearch
    monitor : Monitor
    seconds : float, optional
        Limit for this call.
    run : callable, optional
        Stands for ``search.run``, where boxes are worked on elsewhere.

    Examples
    --------
    >>> import numpy as np
    >>> import polyfiber as pf
    >>> from polyfiber.bounds.goals import near
    >>> from polyfiber.bounds.pairing import paired
    >>> from polyfiber.bounds.settle import settle
    >>> from polyfiber.bounds.split import BoxSearch
    >>> from polyfiber.budget import Monitor
    >>> f = pf.ReLUNetwork.random((2, 6, 1), rng=0)
    >>> g = pf.ReLUNetwork([W * 1.001 for W in f.weights], f.biases)
    >>> settle(BoxSearch(paired(f, g), near(np.array([0.01]), np.zeros(1)), -np.ones(2), np.ones(2)), Monitor()).status
    'proved'
    """
    run, clock = run or search.run, Monitor()  # compiling does not count

    def left() -> float:
        own = np.inf if seconds is None else seconds - clock.elapsed
        rest = np.inf if monitor.left is None else monitor.left
        return float(min(own, rest))

    if (
        len(search.lo) < FEW
        or search.n_hidden > LARGEST
        or search.follow
        or not np.isfinite(search.hi - search.lo).all()
    ):
        return run(monitor, seconds=seconds, attack=attack)
    found = run(monitor, seconds=min(FIRST, 0.2 * left()), attack=attack)
    spent = clock.elapsed
    if found.status != "open" or found.stopped == "interrupted" or left() <= 0:
        return found
    if not found.boxes or search.box_seconds > SLOW:  # another look at the whole box would not end in time
        return found if not found.boxes else run(monitor, seconds=left() if seconds is not None else None, attack=False)
    try:
        if hopped(search, SHARE * left()):
            return run(monitor, seconds=seconds, attack=False)
    except KeyboardInterrupt:
        return replace(found, stopped="interrupted")
    if found.share > 0 and spent * (1 - found.share) / found.share < 0.5 * left():
        found = run(monitor, seconds=0.5 * left() if np.isfinite(left()) else 30 * FIRST, attack=False)
        if found.status != "open" or found.stopped == "interrupted" or left() <= 0:
            return found
    try:
        signs = by_signs(search, monitor, PART * left() if np.isfinite(left()) else 60.0)
    except KeyboardInterrupt:
        return replace(found, stopped="interrupted")
    search.seconds += clock.elapsed - spent
    if signs is not None and signs.tree is not None:
        return replace(
            found, status="proved", excess=max(signs.bound, found.best), share=1.0, open=0, stopped="", tree=signs.tree,
            substitutions=found.substitutions + signs.programs, seconds=search.seconds,
        )  # fmt: skip
    more = run(monitor, seconds=None if seconds is None else max(left(), 0.0), attack=False)
    if signs is not None and more.status == "open" and signs.bound < more.excess:
        more = replace(more, excess=max(signs.bound, more.best))
    return more


def hopped(search: BoxSearch, seconds: float) -> bool:
    """Whether many hops find a violation, in so many seconds."""
    clock = Monitor()
    for _ in range(0, MANY, HOPS):
        if not search.herd or clock.elapsed > seconds or search.violated():
            break
        search.hop(HOPS)
    return search.violated()


def by_signs(search: BoxSearch, monitor: Monitor, seconds: float) -> SignSplit | None:
    """Split signs on the whole box: by multipliers, or by programs where groups have alternatives or there are rows.

    Where few neurons may switch, programs follow multipliers: a bound that is within a percent of its limit takes steps
    a very long time. None where its neurons have no finite bounds.
    """

    def part_of(seconds: float) -> Monitor:
        rest = monitor.rest()
        own = seconds if rest.seconds is None else min(seconds, rest.seconds)
        return Monitor(replace(rest, seconds=own), monitor._call)

    clock, least = Monitor(), np.inf
    box = root_bounds(search)
    if not np.isfinite(box).all():
        return None

    def tried(x: FloatArray) -> bool:
        at = np.clip(x, search.lo, search.hi)
        search_kernel.climb(search.pair, search.goal, at, search.lo, search.hi, 0.01, 20, search.state)
        search.hop(1)
        return search.violated()

    rows = search.rows
    if rows is None and all(len(group) == 1 for group in search.groups):
        few = int(((box[:4:2] < 0) & (box[1:4:2] > 0)).sum()) <= SWITCHES
        found = SignSearch(search, box).run(part_of(STEPS_PART * seconds if few else seconds), tried)
        if found.status != "open" or not few:
            return found
        least = found.bound
    part = part_of(seconds - clock.elapsed)
    box = tightened(search.sides, search.lo, search.hi, box, rows=rows, monitor=part)
    found = split_signs(Programs(search.sides, search.lo, search.hi, box, rows), search.groups, part, tried=tried)
    return replace(found, bound=min(found.bound, least)) if found.status == "open" else found


def root_bounds(search: BoxSearch) -> FloatArray:
    """Bounds (6, N) of all neurons on the whole box."""
    probe = BoxSearch(
        search.sides, search.groups, search.lo, search.hi, rows=search.rows, alone=search.alone, follow=False
    )
    search_kernel.search(probe.pair, probe.goal, probe.pool, probe.state, probe.planes, probe.forms, probe.unit, 1)
    return probe.state.box.copy()


__all__ = ["by_signs", "root_bounds", "settle"]
