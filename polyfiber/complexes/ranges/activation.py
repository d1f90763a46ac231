"""Bounds of every neuron over a box, a bounded polyhedron or a region, with the points that attain what they can."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ... import words
from ..._typing import BoundMethod, FloatArray, IntArray
from ...bounds.relaxation import Relaxation, bounding_box
from ...budget import Budget, Monitor
from ...domain import Box, Polyhedron
from ...errors import BudgetExceededError, InputError, PolyfiberError, ShapeError
from ...network.model import ReLUNetwork
from ...network.piecewise import PiecewiseLinearNetwork, require_network
from ..local.region import Region
from .answer import ActivationBounds
from .exact_ranges import Points, by_branching, by_vertices
from .over_flat import OnFlat
from .over_region import bounds_on_region

METHODS = ("interval", "relaxation", "lp", "exact")
ENUMERABLE_INPUTS = 10
"""Inputs up to which 'exact' looks at vertices; a box alone has 2^n of them."""
SHARE = 0.75
"""Part of the time that 'exact' gives to vertices; branching has the rest."""
ENTRIES = 1 << 26
"""Entries of the matrix of a linear program beyond which it is left out (half a gigabyte)."""
SECONDS = 60.0
"""Time for 'exact' without a budget."""


def activation_bounds(
    network: ReLUNetwork | PiecewiseLinearNetwork,
    domain: Polyhedron | Region,
    *,
    method: BoundMethod = "relaxation",
    tolerance: float = 1e-9,
    budget: Budget | None = None,
) -> ActivationBounds:
    """Certified bounds of every neuron over a box or a bounded polyhedron, and values that are attained.

    Parameters
    ----------
    network : ReLUNetwork or PiecewiseLinearNetwork
        Bounds are those of ``z`` before each gate, whatever its slopes.
    domain : Box, Polyhedron or Region
        Bounded. A polyhedron in a flat (opposite inequalities, inequalities that meet in an edge) is treated in the
        flat's own coordinates, a box with ``lo = hi`` as it is. Over a `Region` of the network (see `polyfiber.region`)
        every neuron is affine, and the range is exact by two linear programs a neuron, whatever the method. A
        polyhedron that is no Box enters through its bounding box, and from 'lp' on as it is.
    method : 'interval', 'relaxation', 'lp' or 'exact'
        Interval arithmetic; back-substitution of linear bounds of each ReLU (never worse); the linear program over
        the convex hulls of all ReLUs below a neuron, for the neurons that the relaxation leaves undecided; the exact
        range of every neuron and output, from the vertices of the complex of the layers below where they can be
        enumerated within three quarters of the budget, else by branching on the signs of neurons below, signs first.
    tolerance : float
        Gap between bound and attained value, relative to the larger bound, at which a range counts as exact.
    budget : Budget, optional
        'lp' and 'exact' stop when time is up ('exact': after a minute without a budget). What was not reached is
        listed in ``fallback``, and ``methods`` says what each neuron has instead.

    Returns
    -------
    ActivationBounds

    Raises
    ------
    InputError
        A domain that is empty or unbounded.

    Notes
    -----
    Every rounding is paid for: back-substitution charges the residual of each product to the interval bounds of the
    layer below, and a linear program is used only through its multipliers (Neumaier and Shcherbina, *Safe bounds in
    linear and mixed-integer programming*, 2004, §3), an empty branch only with multipliers that prove it. Attained
    values are those of points that lie in the domain for certain, less their rounding error. The exact range is
    NP-hard in general; time grows with the number of neurons that change sign on the domain.

    Examples
    --------
    >>> import polyfiber as pf
    >>> net = pf.ReLUNetwork.random((3, 12, 12, 2), rng=0)
    >>> box = pf.Box(-0.5, 0.5, dimension=3)
    >>> b = pf.activation_bounds(net, box)
    >>> bool((b.lower <= b.attained_lower[:24]).all() and (b.attained_upper[:24] <= b.upper).all())
    True
    >>> e = pf.activation_bounds(net, box, method="exact")
    >>> e.complete, bool(e.is_exact.all()), e.verify()
    (True, True, True)
    """
    network = require_network(network)
    if isinstance(domain, Region):
        if domain.network != network:
            raise InputError("the region belongs to another network")
        return bounds_on_region(domain, tolerance=tolerance, budget=budget)
    if not isinstance(domain, Polyhedron):
        raise InputError(f"domain must be a Box, a Polyhedron or a Region, found {type(domain).__name__}")
    if domain.dimension != network.architecture[0]:
        raise ShapeError(
            f"the domain has {words.count(domain.dimension, 'coordinate')}, the network {words.count(network.architecture[0], 'input')}"
        )
    if method not in METHODS:
        raise InputError(f"method must be one of {METHODS}, found {method!r}")
    if not 0 <= tolerance < 1:
        raise InputError(f"tolerance must lie in [0, 1), found {tolerance}")
    on = OnFlat.of(network, domain)
    if on is None:
        return _Work(network, domain, method, tolerance, budget).result()
    found = _Work(on.network, on.domain, method, tolerance, budget).result()
    return replace(
        found, network=network, domain=domain, lower_at=on.lifted(found.lower_at), upper_at=on.lifted(found.upper_at)
    )


class _Work:
    """One computation of bounds: the relaxation so far, the points seen, and what decided each neuron."""

    def __init__(self, network: Any, domain: Polyhedron, method: str, tolerance: float, budget: Budget | None) -> None:
        self.network, self.domain, self.method, self.tolerance = network, domain, method, tolerance
        if method == "exact" and (budget is None or budget.seconds is None):
            budget = Budget(SECONDS, None if budget is None else budget.memory)
        self.monitor = Monitor(budget)
        self.box = bounding_box(domain)
        self.points = Points(network, domain, enough=lambda: self.monitor.late)
        self.offsets = np.concatenate([[0], np.cumsum([*network.hidden_widths, network.architecture[-1]])])
        self.methods = np.zeros(int(self.offsets[-1]), dtype=np.int64)
        self.fallback: list[str] = []
        self.stats: dict[str, Any] = {"programs": 0, "vertices": 0, "nodes": 0}

    def result(self) -> ActivationBounds:
        """Bounds by the method asked for."""
        work = self._first()
        if self.method == "lp":
            work = self._again(work, 0, self._programs)
        elif self.method == "exact":
            work = self._exactly(work)
        self.stats["seconds"] = self.monitor.elapsed
        none = np.zeros(0)
        return ActivationBounds(
            self.network,
            self.domain,
            np.concatenate([*work.low[:-1], none]),
            np.concatenate([*work.high[:-1], none]),
            work.low[-1],
            work.high[-1],
            self.points.least,
            self.points.greatest,
            self.points.least_at,
            self.points.greatest_at,
            tuple(METHODS[m] for m in self.methods),
            tuple(self.fallback),
            self.method,
            self.tolerance,
            np.concatenate([self._scale(work, layer) for layer in range(len(work.low))]),
            self.stats,
        )

    def _first(self) -> Relaxation:
        work = Relaxation(self.network, self.box)
        low, high = self.box
        for layer in range(work.depth):
            work.interval(layer)
            if self.method == "interval":
                continue
            before = work.low[layer].copy(), work.high[layer].copy()
            slopes = self._substituted(work, layer)
            if slopes is None:
                self._fell_back("time was up: the other layers by interval arithmetic")
                continue
            above, below = slopes
            self._credit(work, layer, before, 1)
            # where the linear bounds are largest is a good place to look
            self.points.add(np.where(above > 0, high, low))
            self.points.add(np.where(below > 0, low, high))
        if self.method == "interval":
            first = work.reads[0].get(0)
            for w in () if first is None else (first, -first):
                w = w if isinstance(w, np.ndarray) else w.toarray()
                self.points.add(np.where(w > 0, high, low))
        self.points.climb(low, high)
        return work

    def _substituted(self, work: Relaxation, layer: int) -> tuple[FloatArray, FloatArray] | None:
        """What `Relaxation.substitute` gives; None where the time was up before or on the way."""
        if self.monitor.late:
            return None
        try:
            with self.monitor.watching():
                return work.substitute(layer)
        except BudgetExceededError:
            if not self.monitor.late:
                raise  # of someone who is watching these bounds
            return None

    def _credit(self, work: Relaxation, layer: int, before: tuple[FloatArray, FloatArray], method: int) -> None:
        """Name the method for the neurons whose bounds it improved."""
        better = (work.low[layer] > before[0]) | (work.high[layer] < before[1])
        mine = self.methods[self.offsets[layer] : self.offsets[layer + 1]]
        mine[better] = np.maximum(mine[better], method)

    def _again(self, first: Relaxation, start: int, tighten: Any) -> Relaxation:
        """The layers from ``start`` on once more, each tightened before the next one is bounded."""
        work = Relaxation(self.network, self.box)
        for layer in range(work.depth):
            # tighter lines do not make every back-substituted bound tighter, so keep both
            work.interval(layer)
            self._substituted(work, layer)
            work.meet(layer, first.low[layer], first.high[layer])
            self._credit(work, layer, (first.low[layer], first.high[layer]), 1)
            if layer >= start:
                tighten(work, layer)
                work.lines(layer)
        return work

    def _left(self) -> float:
        limit = self.monitor.budget.seconds
        return np.inf if limit is None else limit - self.monitor.elapsed

    # ---- linear programs --------------------------------------------------------------------
    def _programs(self, work: Relaxation, layer: int) -> None:
        """Programs for the undecided neurons of a layer, and for the outputs."""
        last = layer == work.depth - 1
        wanted = np.arange(len(work.low[layer])) if last else work.undecided(layer)
        if not len(wanted) or (layer == 0 and isinstance(self.domain, Box)):
            return
        if work.entries(layer) > ENTRIES:
            self._fell_back(f"linear programs of layer {layer + 1} are too large: it keeps earlier bounds")
            return
        system = work.system(layer, self.domain)
        before = work.low[layer].copy(), work.high[layer].copy()
        failed = 0
        for count, i in enumerate(wanted):
            if self._left() <= 0:
                kind = "outputs" if last else f"neurons of layer {layer + 1}"
                self._fell_back(f"time was up: {len(wanted) - count} of {len(wanted)} {kind} keep earlier bounds")
                break
            for sign in (1.0, -1.0):
                self.stats["programs"] += 1
                bound, v, _ = work.program(system, layer, int(i), sign)
                if v is not None:
                    self.points.add(v[None, : len(self.box[0])])
                elif not np.isfinite(bound):
                    failed += 1
                if sign > 0:
                    work.high[layer][i] = min(work.high[layer][i], bound)
                else:
                    work.low[layer][i] = max(work.low[layer][i], -bound)
        if failed:
            self._fell_back(f"HiGHS had no answer to {failed} of {2 * len(wanted)} programs of layer {layer + 1}")
        self._credit(work, layer, before, 2)

    def _fell_back(self, text: str) -> None:
        if text not in self.fallback:
            self.fallback.append(text)

    # ---- exact ranges -----------------------------------------------------------------------
    def _exactly(self, work: Relaxation) -> Relaxation:
        depth, done = work.depth - 1, 0
        why = ""
        total = self.monitor.budget.seconds or SECONDS
        started, last = self.monitor.elapsed, 0.0
        if not (np.isfinite(work.low[-1]).all() and np.isfinite(work.high[-1]).all()):
            why = "bounds overflow"
        elif len(self.box[0]) > ENUMERABLE_INPUTS:
            why = "too many inputs"
        first = 1 if isinstance(self.domain, Box) else 0  # intervals are exact for the first layer over a box
        for k in range(first, depth + 1):
            spent = self.monitor.elapsed
            if why or self._left() <= 0 or spent - started + 4 * last > SHARE * total:
                break
            share = SHARE * total - (spent - started)
            part = Monitor(self.monitor.budget.part(share, self.monitor.memory_limit))
            try:
                self.stats["vertices"] = by_vertices(
                    work, self.points, self.domain, k, tolerance=self.tolerance, monitor=part
                )
            except BudgetExceededError as error:
                why = str(error)
                break
            except PolyfiberError as error:
                why = f"{type(error).__name__}: {error}"
                break
            done = k + 1
            last = self.monitor.elapsed - spent
            self.methods[: self.offsets[done]] = 3
            work = self._again(work, work.depth, None)
        self.stats["layers from vertices"] = done
        if done <= depth:
            work = self._again(work, done, self._branches)
        self._settle(work, done)
        return work

    def _settle(self, work: Relaxation, stop: int) -> None:
        """Report what rounding kept open: ranges that vertices decided, and signs next to 0."""
        open_ = sum(len(self._open(work, layer)) for layer in range(stop))
        if open_:
            self._fell_back(f"{open_} ranges are known only up to the rounding of a vertex")
        low, high = (np.concatenate([*part[:-1], np.zeros(0)]) for part in (work.low, work.high))
        N = len(low)
        close = (low < 0) & (high > 0) & ~((self.points.least[:N] < 0) & (self.points.greatest[:N] > 0))
        if close.any():
            self._fell_back(f"the signs of {words.count(int(close.sum()), 'neuron')} are not decided")

    def _open(self, work: Relaxation, layer: int) -> IntArray:
        """Neurons of a layer whose gap is above the tolerance, those with an undecided sign first."""
        part = slice(int(self.offsets[layer]), int(self.offsets[layer + 1]))
        low, high = work.low[layer], work.high[layer]
        with np.errstate(invalid="ignore"):
            gap = np.maximum(self.points.least[part] - low, high - self.points.greatest[part])
        found = np.flatnonzero(~(gap <= self.tolerance * self._scale(work, layer)))
        signs = ((low < 0) & (high > 0))[found]
        return found[np.argsort(~signs, kind="stable")]

    @np.errstate(under="ignore")
    def _scale(self, work: Relaxation, layer: int) -> FloatArray:
        """What gaps are relative to."""
        size = np.maximum(np.abs(work.low[layer]), np.abs(work.high[layer]))
        return np.maximum(size, 1e-3 * work.size[layer]) + 1e-290

    def _branches(self, work: Relaxation, layer: int) -> None:
        """Programs for the open signs of a layer, then branch and bound for every range that is open."""
        if self._left() > 0:
            self._programs(work, layer)
        wanted = self._open(work, layer)
        part = self.methods[self.offsets[layer] : self.offsets[layer + 1]]
        closed = np.setdiff1d(np.arange(len(part)), wanted)
        part[closed] = 3
        kind = "outputs" if layer == work.depth - 1 else f"neurons of layer {layer + 1}"
        rest = sum(len(self._open(work, q)) for q in range(layer, len(work.low))) or 1
        missed = 0
        if work.entries(layer) > ENTRIES:
            self._fell_back(f"{len(wanted)} of {len(part)} {kind} keep a gap: their linear programs are too large")
            return
        for count, i in enumerate(wanted):
            size = float(self._scale(work, layer)[i])
            good = True
            for sign in (1.0, -1.0):
                share = self._left() / max(1, rest - count)
                if share <= 0:
                    good = False
                    break
                search = by_branching(
                    work, self.points, self.domain, layer, int(i), sign, tolerance=self.tolerance * size, seconds=share
                )
                self.stats["nodes"] += search.nodes
                good &= search.closed
                if sign > 0:
                    work.high[layer][i] = min(work.high[layer][i], search.bound)
                else:
                    work.low[layer][i] = max(work.low[layer][i], -search.bound)
            if good:
                part[i] = 3
            else:
                missed += 1
        if missed:
            self._fell_back(f"{missed} of {len(part)} {kind} keep a gap: the budget ended before branching closed it")


__all__ = ["activation_bounds"]
