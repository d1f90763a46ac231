"""The exact range of neurons over a bounded domain: from the vertices of a complex, or by branching on ReLUs.

A neuron of layer l + 1 is affine on the cells of the complex of the layers 1 … l, so its extremes are attained at
vertices of that complex. Where the complex is too large, branch and bound fixes the signs of neurons one by one;
with all of them fixed the linear program is exact. Both give certified bounds and the points that attain them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from ..._typing import Array, BoolArray, FloatArray
from ..._values.checked import unmasked
from ...bounds.relaxation import Relaxation, System, Wiring, safe_minimum, values_with_errors
from ...budget import Budget, Monitor
from ...domain import Box, Polyhedron
from ...network.model import ReLUNetwork
from ...network.piecewise import PiecewiseLinearNetwork
from ...network.relu_form import relu_form
from ...network.sparse import dense
from ...numerics.exact import as_fractions
from ...numerics.floats import directed
from ...numerics.lp import interior_point, solve_lp_exact
from ...numerics.products import exact_product
from ...numerics.rounding import UNIT
from ...numerics.search import BestFirst
from ..build import canonical_complex
from ..complex import PolyhedralComplex

SHARPENED = 4096
"""Vertices that are solved again, at most, to close the gap that their rounding leaves."""
EXACT_ROWS = 64
EXACT_INPUTS = 12
"""Size up to which a leaf that floats leave open is solved in rational arithmetic."""


class Inside:
    """Whether a point of floats or Fractions lies in a domain, in rational arithmetic."""

    def __init__(self, domain: Polyhedron) -> None:
        self.domain = domain
        self._rows: list[list[Fraction]] | None = None

    def __call__(self, x: Array) -> bool:
        exact = [Fraction(v) for v in x.tolist()]
        if isinstance(self.domain, Box):
            bounds = zip(self.domain.lo.tolist(), exact, self.domain.hi.tolist())
            return all(Fraction(a) <= v <= Fraction(b) for a, v, b in bounds)
        if self._rows is None:
            self._rows = [[Fraction(v) for v in row] for row in self.domain.affine_forms()]
        return all(sum((a * v for a, v in zip(row, exact)), row[-1]) >= 0 for row in self._rows)


PIECE = 256
"""Points that are looked at together."""


class Points:
    """Points of a bounded domain and the extremes of all neurons and outputs that were seen at them.

    Attributes
    ----------
    least, greatest : (N + nL,) float64
        The minimum over the domain is certainly at most ``least``, the maximum at least ``greatest``.
    least_at, greatest_at : (N + nL, n0) float64
        Where; inside the domain for certain.
    """

    def __init__(
        self,
        network: ReLUNetwork | PiecewiseLinearNetwork,
        domain: Polyhedron,
        *,
        enough: Callable[[], bool] = lambda: False,
    ) -> None:
        self.network, self.domain, self._holds = network, domain, Inside(domain)
        self.wiring = Wiring.of(network)
        self.enough = enough  # points are looked at until it says so
        n0, size = network.architecture[0], network.n_hidden + network.architecture[-1]
        self.least, self.greatest = np.full(size, np.inf), np.full(size, -np.inf)
        self.least_at, self.greatest_at = np.full((size, n0), np.nan), np.full((size, n0), np.nan)
        if isinstance(domain, Box):
            lo, hi = domain.lo.astype(np.float64), domain.hi.astype(np.float64)
            self._low, self._high = lo, hi
            if domain.b.dtype == object:  # floats inside rational bounds
                self._low = np.where([Fraction(a) < b for a, b in zip(lo, domain.lo)], np.nextafter(lo, np.inf), lo)
                self._high = np.where([Fraction(a) > b for a, b in zip(hi, domain.hi)], np.nextafter(hi, -np.inf), hi)
            self.centre = np.clip(0.5 * self._low + 0.5 * self._high, self._low, self._high)
        else:
            found = interior_point(*domain.in_floats())
            assert found is not None  # the caller has its bounding box
            self.centre = found[0]
        self.add(self.centre[None, :])

    def inside(self, X: FloatArray) -> FloatArray:
        """Points moved into the domain: clipped to a box, pulled towards the centre of a polyhedron."""
        X = X[np.isfinite(X).all(axis=1)]
        if isinstance(self.domain, Box):
            if (self._low > self._high).any():  # rational bounds with no float in between
                return X[:0]
            return np.clip(X, self._low, self._high)
        A, b = self.domain.in_floats()
        slack, step = b - A @ self.centre, (X - self.centre) @ A.T
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.where(step > 0, slack / step, np.inf).min(axis=1, initial=np.inf)
        share = np.minimum(share, 1.0)
        good = np.zeros(len(X), dtype=np.bool_)
        result = X.copy()
        for shrink in (0.0, 1e-15, 1e-13, 1e-10, 1e-6):
            todo = ~good
            if not todo.any():
                break
            t = (share[todo] * (1 - shrink))[:, None]
            moved = np.where(t < 1, self.centre + t * (X[todo] - self.centre), X[todo])
            result[todo] = moved
            error = (A.shape[1] + 6) * UNIT * (np.abs(moved) @ np.abs(A).T + np.abs(b))
            good[todo] = (moved @ A.T + error <= b).all(axis=1)
            if shrink == 0.0 and self.domain.A.dtype != object:  # exactly on a facet counts too
                for k in np.flatnonzero(todo & ~good)[:256]:
                    good[k] = self._holds(result[k])
        return result[good]

    def add(self, X: FloatArray) -> None:
        """Look at points; those outside the domain are moved into it first."""
        X = np.asarray(unmasked(X), dtype=np.float64)
        for start in range(0, len(X), PIECE):
            if len(X) > 1 and self.enough():
                break
            part = self.inside(X[start : start + PIECE])
            if not len(part):
                continue
            z, err = values_with_errors(self.wiring, part)
            with np.errstate(invalid="ignore", over="ignore"):
                above, below = z - err, z + err
            for values, best, at, sign in (
                (above, self.greatest, self.greatest_at, 1.0),
                (below, self.least, self.least_at, -1.0),
            ):
                pick = np.argmax(np.where(np.isnan(values), -np.inf, sign * values), axis=0)
                new = values[pick, np.arange(values.shape[1])]
                better = sign * new > sign * best
                best[better] = new[better]
                at[better] = part[pick[better]]

    def climb(self, low: FloatArray, high: FloatArray, rounds: int = 3) -> None:
        """From the best points so far, jump to the corner of a box that the gradient points at."""
        for _ in range(rounds):
            if self.enough():
                break
            before = self.greatest.copy(), self.least.copy()
            for at, sign in ((self.greatest_at, 1.0), (self.least_at, -1.0)):
                if self.enough():
                    return
                slope = sign * gradients(self.network, np.where(np.isnan(at), self.centre, at))
                self.add(np.where(slope > 0, high, np.where(slope < 0, low, at)))
            if not ((self.greatest > before[0]) | (self.least < before[1])).any():
                break


def gradients(network: ReLUNetwork | PiecewiseLinearNetwork, X: FloatArray) -> FloatArray:
    """(N + nL, n0) gradient of each neuron and output, the j-th one at the j-th point."""
    wiring, out, first = Wiring.of(network), [], 0
    with np.errstate(all="ignore"):
        z: list[FloatArray] = []
        values = [X]
        for layer in range(wiring.depth):
            z.append(np.broadcast_to(wiring.value(layer, values), (len(X), len(wiring.b[layer]))))
            values.append(np.maximum(z[-1], 0.0))
        for layer, b in enumerate(wiring.b):
            mine = slice(first, first + len(b))
            waiting = {j: w if isinstance(w, np.ndarray) else w.toarray() for j, w in wiring.reads[layer].items()}
            for q in range(layer - 1, -1, -1):
                if q + 1 in waiting:
                    moved = waiting.pop(q + 1) * (z[q][mine] > 0)
                    for j, w in wiring.reads[q].items():
                        down = moved @ w
                        waiting[j] = waiting[j] + down if j in waiting else down
            out.append(waiting.get(0, np.zeros((len(b), X.shape[1]))))
            first += len(b)
    return np.concatenate(out)


# ---- vertices ---------------------------------------------------------------------------------


def by_vertices(
    work: Relaxation, points: Points, domain: Polyhedron, depth: int, *, tolerance: float, monitor: Monitor
) -> int:
    """Exact ranges of layers 1 … ``depth + 1`` from the complex of the first ``depth`` hidden layers.

    Tightens ``work`` in place. Returns the number of vertices.

    Raises
    ------
    BudgetExceededError
    """
    prefix, small, keep = _prefix(work, depth)
    budget = monitor.budget.part(monitor.left, monitor.memory_limit)
    cx = canonical_complex(small, domain, budget=budget)
    V, errors = cx.vertices.copy(), cx.vertex_errors.copy()
    gains: list[FloatArray] = [
        np.ones(prefix.architecture[0])
    ]  # how much values can change when each input does by one
    wiring = Wiring.of(prefix)
    for reads, b in zip(wiring.reads, wiring.b):
        gains.append(sum((abs(w) @ gains[j] for j, w in reads.items()), np.zeros(len(b))) * (1 + 1e-12))
    every = np.concatenate(gains[1:])

    def values(rows: Array | slice) -> tuple[FloatArray, FloatArray]:
        z, err = values_with_errors(Wiring.of(prefix), V[rows])
        with np.errstate(over="ignore", invalid="ignore"):
            err = err + errors[rows, None] * every
        return np.where(np.isfinite(err), z - err, -np.inf), np.where(np.isfinite(err), z + err, np.inf)

    parts = [slice(k, k + 4096) for k in range(0, len(V), 4096)]
    for final in (False, True):
        low, high = np.full(len(every), np.inf), np.full(len(every), -np.inf)
        for rows in parts:
            monitor.check_time("ranges from vertices")
            below, above = values(rows)
            low, high = np.minimum(low, below.min(axis=0)), np.maximum(high, above.max(axis=0))
            points.add(V[rows])
        size = tolerance * np.maximum(np.abs(low), np.abs(high)) + 1e-290
        least, greatest = points.least[: len(every)] - size, points.greatest[: len(every)] + size
        if final or ((low >= least) & (high <= greatest)).all():
            break
        # vertices near the extremes whose coordinates are poor: once more, in rational arithmetic where it takes that
        poor = [
            k.start + np.flatnonzero(((lo < least) | (hi > greatest)).any(axis=1))
            for k in parts
            for lo, hi in [values(k)]
        ]
        chosen = np.concatenate(poor)[:SHARPENED]
        if not cx.dimension:  # one point, as near as floats come
            continue
        V[chosen], errors[chosen] = cx.sharpened(chosen)
    _signs_decide(cx, prefix.hidden_widths, keep, low, high)
    first = 0
    for q, width in enumerate((*prefix.hidden_widths, prefix.architecture[-1])):
        work.meet(q, low[first : first + width], high[first : first + width])
        first += width
    return len(V)


def _prefix(work: Relaxation, depth: int) -> tuple[Any, Any, list[Array]]:
    """The network up to layer ``depth + 1``, the same without neurons that are never active, and what that one has
    kept.
    """
    network = work.network
    if isinstance(network, PiecewiseLinearNetwork):
        last = network.output if depth == len(network.blocks) else network.blocks[depth].affine
        prefix = PiecewiseLinearNetwork(network.n_inputs, network.blocks[:depth], last)
        return prefix, prefix, [np.arange(m) for m in prefix.hidden_widths]
    chain = ReLUNetwork(network.weights[: depth + 1], network.biases[: depth + 1])
    keep = [np.flatnonzero(work.high[q] > 0) for q in range(depth)]
    keep = [k if len(k) else np.array([0]) for k in keep]
    weights, biases = list(chain.weights), list(chain.biases)
    for q, k in enumerate(keep):
        weights[q], biases[q], weights[q + 1] = weights[q][k], biases[q][k], weights[q + 1][:, k]
    return chain, ReLUNetwork(weights, biases), keep


def _signs_decide(
    cx: PolyhedralComplex, widths: tuple[int, ...], keep: list[Array], low: FloatArray, high: FloatArray
) -> None:
    """Signs at vertices are exact: a neuron that is nowhere positive has a maximum of at most 0."""
    offsets = np.concatenate([[0], np.cumsum(widths)])
    columns = np.concatenate([np.zeros(0, dtype=np.int64), *(k + o for k, o in zip(keep, offsets))])
    plus, minus = np.zeros(len(columns), dtype=np.bool_), np.zeros(len(columns), dtype=np.bool_)
    for signs in cx.iter_signs(0):
        plus |= (signs[:, : len(columns)] > 0).any(axis=0)
        minus |= (signs[:, : len(columns)] < 0).any(axis=0)
    high[columns[~plus]] = np.minimum(high[columns[~plus]], 0.0)
    low[columns[~minus]] = np.maximum(low[columns[~minus]], 0.0)


# ---- branch and bound -------------------------------------------------------------------------


@dataclass
class Search:
    """What branching on one extreme of one neuron came to.

    Attributes
    ----------
    bound : float
        Certified upper bound of ``sign * z``.
    closed : bool
        Whether the gap to the value attained is within the tolerance.
    nodes : int
    """

    bound: float
    closed: bool
    nodes: int


def by_branching(
    work: Relaxation, points: Points, domain: Polyhedron, layer: int, i: int, sign: float, *,
    tolerance: float, seconds: float,
) -> Search:  # fmt: skip
    """Close the gap of ``max sign * z_i`` by fixing signs of neurons below it, best bound first.

    Parameters
    ----------
    tolerance : float
        Absolute gap at which the maximum counts as found.
    seconds : float
        The search stops with what it has after so many seconds.
    """
    column = sum(work.network.hidden_widths[:layer]) + i
    clock = Monitor(Budget(seconds))
    start = float(work.high[layer][i] if sign > 0 else -work.low[layer][i])

    def attained() -> float:
        return float(points.greatest[column] if sign > 0 else -points.least[column])

    through = {j: np.abs(work.wiring.row(layer, i, j)) for j in work.reads[layer]}
    influence: list[FloatArray] = []
    for q in range(layer - 1, -1, -1):
        mine = through.get(q + 1, np.zeros(len(work.b[q])))
        influence.insert(0, mine)
        for j, w in work.reads[q].items():
            through[j] = through.get(j, 0.0) + mine @ abs(w)
    nodes_open: BestFirst[dict[tuple[int, int], int]] = BestFirst()
    nodes_open.push(start, {})
    stuck, nodes = -np.inf, 0  # bound of leaves that could not be closed
    while nodes_open.bound > attained() + tolerance:
        if clock.elapsed > seconds:
            break
        bound, fixed = nodes_open.pop()
        nodes += 1
        system = work.system(layer, domain, fixed)
        top, v, empty = work.program(system, layer, i, sign)
        if empty and certainly_empty(system):
            continue
        top = min(top, bound)
        branch = None
        if v is not None:
            points.add(v[None, : work.box[0].size])
            if top <= attained() + tolerance:
                stuck = max(stuck, top) if top > attained() else stuck
                continue
            branch = _worst(work, v, fixed, influence)
        branch = branch or _any_open(work, layer, fixed)
        if branch is None:
            stuck = max(stuck, min(top, _leaf(work, domain, layer, i, sign, fixed)))
            continue
        for s in (1, -1):
            nodes_open.push(top, {**fixed, branch: s})
    found = max(stuck, nodes_open.bound)
    found = min(start, max(found, attained()))
    return Search(found, found <= attained() + tolerance, nodes)


def certainly_empty(system: System) -> bool:
    """Whether ``A v <= b`` has no solution in the box, proved by multipliers with rounding."""
    from scipy.optimize import linprog
    from scipy.sparse import csr_array

    m, n = system.A.shape
    A = np.concatenate([system.A, -np.ones((m, 1))], axis=1)
    cost = np.r_[np.zeros(n), 1.0]
    size = float(np.abs(system.b).max(initial=0.0) + (np.abs(system.A) @ np.abs(system.high)).max(initial=0.0)) + 1.0
    low, high = np.r_[system.low, 0.0], np.r_[system.high, size]
    found = linprog(cost, A_ub=csr_array(A), b_ub=system.b, bounds=np.stack([low, high], axis=1), method="highs")
    if found.status != 0:
        return False
    y = np.maximum(-found.ineqlin.marginals, 0.0)
    return safe_minimum(cost, A, system.b, y, low, high) > 0


def _worst(
    work: Relaxation, v: FloatArray, fixed: dict[tuple[int, int], int], influence: list[FloatArray]
) -> tuple[int, int] | None:
    """The open neuron whose relaxation is furthest from a ReLU at a solution, weighted by what it can do."""
    best, where = 1e-12, None
    start = work.box[0].size
    values = [v[:start]]
    for q, weight in enumerate(influence):
        z = work.wiring.value(q, values)
        y = v[start : start + len(z)]
        values.append(y)
        start += len(z)
        miss = np.abs(y - np.maximum(z, 0.0)) * weight
        open_ = (work.low[q] < 0) & (work.high[q] > 0)
        open_[[i for (p, i) in fixed if p == q]] = False
        miss[~open_] = 0.0
        scale = max(1e-300, float(np.abs(work.high[q]).max(initial=0.0)))
        j = int(np.argmax(miss)) if len(miss) else 0
        if len(miss) and miss[j] > best * scale:
            best, where = miss[j] / scale, (q, j)
    return where


def _any_open(work: Relaxation, layer: int, fixed: dict[tuple[int, int], int]) -> tuple[int, int] | None:
    """Any neuron below a layer whose sign is still open."""
    for q in range(layer):
        for i in np.flatnonzero((work.low[q] < 0) & (work.high[q] > 0)):
            if (q, int(i)) not in fixed:
                return q, int(i)
    return None


def _leaf(
    work: Relaxation, domain: Polyhedron, layer: int, i: int, sign: float, fixed: dict[tuple[int, int], int]
) -> float:
    """The maximum on a leaf in rational arithmetic, rounded up; infinite where the leaf is too large for that.

    All neurons below have fixed signs, so that everything is affine in the inputs.
    """
    n0 = work.network.architecture[0]
    on: list[BoolArray] = []
    rows = [[Fraction(v) for v in row] for row in domain.affine_forms()]
    if n0 > EXACT_INPUTS or len(rows) + len(fixed) > EXACT_ROWS:
        return np.inf
    form = relu_form(work.network)
    levels: list[Array] = []
    for q in range(layer + 1):
        level = as_fractions(form.bases[q]).copy()
        for j, matrix in form.reads[q].items():
            active = np.flatnonzero(on[j - 1])
            level = level + exact_product(as_fractions(dense(matrix)[:, active]), levels[j - 1][active])
        levels.append(level)
        if q < layer:
            on.append(work.low[q] >= 0)
            for (p, k), s in fixed.items():
                if p == q:
                    on[q][k] = s > 0
                    rows.append([s * value for value in level[k]])
    target = [int(sign) * value for value in level[i]]
    G = np.array(rows, dtype=object)
    # max t x over G x + g >= 0 equals min g y over y >= 0, G^T y = -t
    dual = solve_lp_exact(G[:, -1], G[:, :-1].T, np.array([-v for v in target[:-1]], dtype=object))
    if dual.status == "unbounded":
        return -np.inf
    if dual.x is None:
        return np.inf
    return directed(dual.value + target[-1], up=True)


__all__ = ["Points", "Search", "by_branching", "by_vertices", "certainly_empty", "gradients"]
