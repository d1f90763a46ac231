"""Certified exploration: regions around a point, to a budget or to the end."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from ... import words
from ..._typing import BoolArray, FloatArray, IntArray, ProgressLike, SignArray
from ..._values.checked import array_of
from ..._values.read_only import closed
from ...budget import Budget, Monitor
from ...domain import Polyhedron
from ...errors import BudgetExceededError, InputError
from ...network.model import ReLUNetwork
from ...network.piecewise import PiecewiseLinearNetwork
from ...numerics.search import BestFirst
from .cell_arrays import CellStats, as_exact_point, cell_frame
from .facets import flipped, solve_cell
from .region import _difference


@closed
@dataclass(frozen=True)
class Exploration:
    """Regions found by walking through facets.

    Attributes
    ----------
    signs : (R, N + D) int8
        Sign vectors of all regions seen; neurons layer by layer, then domain facets.
    points : (R, n0) float64
        A point inside each closed region (beside it, if it is too thin for floats), a point near the facet through
        which an open one was seen.
    closed : (R,) bool
        Regions whose facets were all decided, so that all their neighbours are listed. The others are known
        to exist, with this sign vector.
    n_facets : (R,) int64
        Number of facets of closed regions, -1 for the others.
    depth : (R,) int64
        Walls crossed on the way from the nearest start.
    edges : (E, 2) int64
        Pairs of regions that share a facet.
    walls : (E,) int64
        The column (smallest, if several coincide) that each pair crosses.
    complete : bool
        No region was left open: these are all regions of the domain that can be reached, and regions of a
        complex are connected through facets.
    stats : CellStats
    seconds : float

    Examples
    --------
    >>> import polyfiber as pf
    >>> walk = pf.explore(pf.ReLUNetwork.random((2, 3, 1), rng=0), [[0.0, 0.0]])
    >>> print(walk.sentence)
    All 7 regions of the domain were found, with all their facets, each certified.
    """

    signs: SignArray
    points: FloatArray
    closed: BoolArray
    n_facets: IntArray
    depth: IntArray
    edges: IntArray
    walls: IntArray
    complete: bool
    stats: CellStats
    seconds: float

    @property
    def n_regions(self) -> int:
        """Regions seen."""
        return len(self.signs)

    @property
    def sentence(self) -> str:
        """What was found, how sure, and what would find more."""
        closed = int(self.closed.sum())
        if self.complete:
            return (
                f"All {words.count(closed, 'region')} of the domain were found, with all their facets, each certified."
            )
        found = words.count(closed, "region")
        return (
            f"{found[0].upper()}{found[1:]} found with all facets, each certified, and {len(self.closed) - closed} more seen beyond "
            "them; this is not all: a larger number of regions or more seconds go on."
        )

    def __str__(self) -> str:
        return self.sentence

    def __repr__(self) -> str:
        end = "complete" if self.complete else f"{int((~self.closed).sum())} open"
        return f"Exploration({words.count(self.n_regions, 'region')}, {end}, {words.count(len(self.edges), 'facet')} between them)"


@np.errstate(under="ignore")
def explore(
    network: ReLUNetwork | PiecewiseLinearNetwork,
    x: Any,
    *,
    domain: Polyhedron | None = None,
    budget: Budget | None = None,
    max_regions: int | None = None,
    order: Literal["breadth", "nearest"] = "breadth",
    progress: ProgressLike = None,
) -> Exploration:
    """Explore the regions around one or more points.

    Parameters
    ----------
    network : ReLUNetwork or PiecewiseLinearNetwork
    x : (n0,) or (m, n0) float64, or Fractions
        Where to start.
    domain : Box or Polyhedron, optional
        Where to stay.
    budget : Budget, optional
        When it is used up, what was found is returned with ``complete=False``.
    max_regions : int, optional
        Number of regions to close.
    order : 'breadth' or 'nearest'
        By the number of walls crossed, or by distance from the start (in the coordinates used for the cells).
    progress : bool or callable, optional

    Returns
    -------
    Exploration

    Notes
    -----
    Every region listed exists: it was reached through a certified facet. Where ``closed`` holds, its facets and
    neighbours are certified too. About 1 ms a region for 300 neurons in 5 inputs.

    Examples
    --------
    >>> import polyfiber as pf
    >>> net = pf.ReLUNetwork.random((2, 6, 6, 1), rng=0)
    >>> e = pf.explore(net, [0.0, 0.0])
    >>> e.complete, e.n_regions == pf.canonical_complex(net).n_regions
    (True, True)
    """
    frame = cell_frame(network, domain)
    if order not in ("breadth", "nearest"):
        raise InputError(f"order must be 'breadth' or 'nearest', found {order!r}")
    if max_regions is not None and max_regions < 0:
        raise InputError(f"max_regions must not be negative, found {max_regions}")
    given = [as_exact_point(frame, start) for start in (x if array_of(x, "x").ndim == 2 else [x])]
    starts = [point for point, _ in given]
    monitor = Monitor(budget, progress)
    before = replace(frame.stats)
    seen: dict[bytes, int] = {}
    rows: list[SignArray] = []
    where: list[FloatArray] = []
    directions: list[FloatArray | None] = []
    depth: list[int] = []
    n_facets: list[int] = []
    edges: list[tuple[int, int, int]] = []
    queue: deque[int] = deque()
    near: BestFirst[int] = BestFirst()
    origin = frame.reference(starts[0])
    per_region = frame.n_domain + frame.n_neurons + 16 * len(origin) + 400

    def add(signs: SignArray, reference: FloatArray, along: FloatArray, level: int) -> tuple[int, bool]:
        key = signs.tobytes()
        known = seen.get(key)
        if known is not None:
            return known, False
        r = len(rows)
        seen[key] = r
        rows.append(signs)
        where.append(reference)
        directions.append(along)
        depth.append(level)
        n_facets.append(-1)
        if order == "breadth":
            queue.append(r)
        else:
            near.push(-float(np.linalg.norm(reference - origin)), r)
        return r, True

    for point, exact in given:
        signs, direction = frame.sign_rows(point, exact)
        along = (frame.W[0] @ direction if frame.by_layer else direction[frame.columns]) + 0.0
        add(signs, frame.reference(point), along, 0)

    done = 0
    limit, memory = monitor.budget.seconds, monitor.budget.memory
    while queue or near:
        if max_regions is not None and done >= max_regions:
            break
        if limit is not None and monitor.elapsed > limit:
            break
        if memory is not None and len(rows) * per_region + 40 * len(edges) > memory:
            break
        r = queue.popleft() if queue else near.pop()[1]
        inward = directions[r]
        assert inward is not None
        try:
            with monitor.watching():
                cell = solve_cell(frame, rows[r], where[r], inward)
        except BudgetExceededError:
            if limit is None or monitor.elapsed <= limit:
                raise  # somebody else's budget
            queue.appendleft(r)
            break
        G, V, _, _ = frame.rows(rows[r], where[r])
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            wall = G[cell.facets]
            inner = V[cell.facets] + wall @ cell.interior
            outer = V[cell.facets] + (wall * cell.witnesses).sum(axis=1)
            out = cell.witnesses - cell.interior
            hits = frame.moved(cell.reference, cell.interior + (inner / (inner - outer))[:, None] * out)
        found = 0
        for i, row in enumerate(cell.facets):
            signs_ = flipped(frame, cell, i)
            if signs_ is None:
                continue
            found += 1
            if not (np.isfinite(hits[i]).all() and np.isfinite(out[i]).all()):
                if signs_.tobytes() in seen:
                    other, new = seen[signs_.tobytes()], False
                else:
                    from .region import crossing

                    other, new = add(signs_, *crossing(frame, cell, i), depth[r] + 1)
            else:
                other, new = add(signs_, hits[i], out[i], depth[r] + 1)
            if new or n_facets[other] < 0:
                edges.append((r, other, int(row)))
        n_facets[r] = len(cell.facets)
        if not np.isnan(cell.interior).any():
            where[r] = frame.moved(cell.reference, cell.interior)
        directions[r] = None
        done += 1
        if done % 256 == 0:
            monitor.report("exploring", done, max_regions, regions=len(rows))
    d, N = frame.n_domain, frame.n_neurons
    table = np.array(rows, dtype=np.int8).reshape(len(rows), d + N)
    pairs = np.array(edges, dtype=np.int64).reshape(-1, 3)
    crossed = pairs[:, 2]
    counted = np.array(n_facets, dtype=np.int64)
    return Exploration(
        signs=np.concatenate([table[:, d:], table[:, :d]], axis=1),
        points=frame.to_inputs(starts[0], np.array(where), origin),
        closed=counted >= 0,
        n_facets=counted,
        depth=np.array(depth, dtype=np.int64),
        edges=pairs[:, :2],
        walls=np.where(crossed >= d, crossed - d, crossed + N),
        complete=not queue and not near,
        stats=_difference(frame.stats, before),
        seconds=monitor.elapsed,
    )


__all__ = ["Exploration", "explore"]
