"""Bounds of a network on boxes by linear relaxations, and branch and bound with them.

Each ReLU that may switch on a box is replaced by a line above and a line below; substituting backwards
gives an affine function above every output (Zhang, Weng, Chen, Hsieh and Daniel, *Efficient neural
network robustness certification with general activation functions*, 2018). On a box without
switching neurons the bound is exact, so splitting converges.
"""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._typing import FloatArray
from ..budget import Monitor
from ..errors import BudgetExceededError
from ..network.model import ReLUNetwork

_ROUNDING = 1e-13


@dataclass
class BoxBounds:
    """Upper bounds of the outputs on K boxes, with the affine functions behind them."""

    upper: FloatArray
    coefficients: FloatArray
    constants: FloatArray
    lower_z: list[FloatArray]
    upper_z: list[FloatArray]


def relaxed_upper(net: ReLUNetwork, lo: FloatArray, hi: FloatArray) -> BoxBounds:
    """Upper bounds (K, nL) of every output on boxes ``lo, hi`` of shape (K, n0)."""
    centre, radius = 0.5 * (lo + hi), 0.5 * (hi - lo)
    lower_z: list[FloatArray] = []
    upper_z: list[FloatArray] = []
    size = np.maximum(np.abs(lo), np.abs(hi))
    for layer, (W, b) in enumerate(zip(net.weights, net.biases)):
        size = size @ np.abs(W).T + np.abs(b)
        last = layer == len(net.weights) - 1
        rows = W if last else np.concatenate([W, -W])
        constants = b if last else np.concatenate([b, -b])
        coefficients, offsets = _substitute(net, layer, rows, constants, lower_z, upper_z, len(lo))
        top = np.einsum("kri,ki->kr", coefficients, centre) + np.einsum("kri,ki->kr", np.abs(coefficients), radius)
        top = top + offsets
        if last:
            return BoxBounds(top + _ROUNDING * size, coefficients, offsets, lower_z, upper_z)
        n = len(b)
        upper_z.append(top[:, :n] + _ROUNDING * size)
        lower_z.append(-top[:, n:] - _ROUNDING * size)
    raise AssertionError("a network has a layer")


def _substitute(
    net: ReLUNetwork, layer: int, rows: FloatArray, constants: FloatArray, lower: list[FloatArray],
    upper: list[FloatArray], K: int,
) -> tuple[FloatArray, FloatArray]:  # fmt: skip
    """Affine functions of the input above ``rows @ y + constants``, y the activations before ``layer``."""
    A = np.broadcast_to(rows, (K, *rows.shape))
    c = np.broadcast_to(constants, (K, len(constants))).copy()
    for l in range(layer - 1, -1, -1):
        low, high = lower[l], upper[l]
        on, off = low >= 0, high <= 0
        width = np.where(high > low, high - low, 1.0)
        slope = np.where(on, 1.0, np.where(off, 0.0, high / width))
        lift = np.where(on | off, 0.0, -low * high / width)
        below = np.where(on, 1.0, np.where(off, 0.0, (high > -low).astype(np.float64)))
        positive, negative = np.maximum(A, 0.0), np.minimum(A, 0.0)
        c += np.einsum("krj,kj->kr", positive, lift)
        A = positive * slope[:, None, :] + negative * below[:, None, :]
        c += A @ net.biases[l]
        A = A @ net.weights[l]
    return np.asarray(A), c


@dataclass
class BoundReport:
    """Result of branch and bound for ``max_o h_o`` on a box.

    Attributes
    ----------
    lower, upper : float
        Attained value and proved bound.
    where : (n0,) array
        Where the value is attained.
    proved : float
        Share of the volume on which the bound is settled.
    boxes : int
        Boxes looked at.
    """

    lower: float
    upper: float
    where: FloatArray
    proved: float
    boxes: int


def branch_and_bound(
    net: ReLUNetwork, lo: FloatArray, hi: FloatArray, *, monitor: Monitor, threshold: float | None = None,
    gap: float = 1e-6, seconds: float = 30.0, batch: int = 64,
) -> BoundReport:  # fmt: skip
    """Maximise the largest output of a network over a box.

    Parameters
    ----------
    net : ReLUNetwork
    lo, hi : (n0,) arrays
    threshold : float, optional
        Stop as soon as the maximum is known to exceed it or not to.
    gap : float
        Relative gap at which the maximum counts as found.
    seconds : float
        Limit when the budget names none.
    """
    best, where = -np.inf, lo
    counter = itertools.count()
    limit = monitor.budget.seconds if monitor.budget.seconds is not None else seconds
    span = np.where(hi > lo, hi - lo, 1.0)
    heap: list[tuple[float, int, FloatArray, FloatArray, FloatArray]] = []

    def look(los: FloatArray, his: FloatArray) -> None:
        nonlocal best, where
        bounds = relaxed_upper(net, los, his)
        output = np.argmax(bounds.upper, axis=1)
        lines = bounds.coefficients[np.arange(len(los)), output]
        corners = np.where(lines > 0, his, los)
        for X in (corners, 0.5 * (los + his)):
            values = net(X).max(axis=1)
            i = int(np.argmax(values))
            if values[i] > best:
                best, where = float(values[i]), X[i]
        for i, top in enumerate(bounds.upper.max(axis=1)):
            heapq.heappush(heap, (-float(top), next(counter), los[i], his[i], lines[i]))

    look(lo[None].astype(np.float64), hi[None].astype(np.float64))
    boxes, closed = 1, 0.0
    while heap:
        top = -heap[0][0]
        target = max(best + gap * max(abs(best), 1e-12), threshold if threshold is not None else -np.inf)
        if top <= target or (threshold is not None and best > threshold):
            break
        if monitor.elapsed > limit:
            break
        monitor.report("branch and bound", boxes, None, lower=round(best, 9), upper=round(top, 9))
        los, his = [], []
        for _ in range(min(batch, len(heap))):
            bound, _, a, b, line = heapq.heappop(heap)
            if -bound <= target:
                closed += float(np.prod((b - a) / span))
                continue
            score = (np.abs(line) + 1e-3 * np.abs(line).max() + 1e-12) * (b - a)
            d = int(np.argmax(score))
            middle = 0.5 * (a[d] + b[d])
            if not a[d] < middle < b[d]:
                heapq.heappush(heap, (bound, next(counter), a, b, line))
                return BoundReport(best, -bound, where, closed, boxes)
            left, right = b.copy(), a.copy()
            left[d], right[d] = middle, middle
            los += [a, right]
            his += [left, b]
        if los:
            look(np.array(los), np.array(his))
            boxes += len(los)
    target = max(best, threshold if threshold is not None else best)
    upper = max(best, -heap[0][0]) if heap else best
    if threshold is not None and upper <= threshold:
        upper = max(upper, best)
    rest = sum(float(np.prod((b - a) / span)) for t, _, a, b, _ in heap if -t > target * (1 + gap) + 1e-300)
    return BoundReport(best, upper, where, float(np.clip(1.0 - rest, 0.0, 1.0)), boxes)


def milp_maximum(
    net: ReLUNetwork, lo: FloatArray, hi: FloatArray, *, output: int, seconds: float | None = None
) -> tuple[float, float, FloatArray | None, str]:
    """Largest value of one output on a box by a mixed-integer program (big-M, HiGHS).

    Returns
    -------
    value, bound, x, status
        Value at the best input found, the solver's bound, the input, 'optimal' or the solver's message.
    """
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import lil_matrix

    bounds = relaxed_upper(net, lo[None], hi[None])
    hidden = net.hidden_widths
    n0, N = net.architecture[0], sum(hidden)
    size = n0 + 2 * N  # inputs, activations, switches
    rows: Any = lil_matrix((4 * N, size))
    low, high = np.full(4 * N, -np.inf), np.full(4 * N, np.inf)
    lower, upper = np.zeros(size), np.ones(size)
    lower[:n0], upper[:n0] = lo, hi
    integral = np.zeros(size)
    previous, base, r = np.arange(n0), n0, 0
    for l, width in enumerate(hidden):
        for i in range(width):
            w, b = net.weights[l][i], net.biases[l][i]
            least, most = float(bounds.lower_z[l][0, i]), float(bounds.upper_z[l][0, i])
            y, s = base + i, base + i + N
            lower[y], upper[y] = max(0.0, least), max(0.0, most)
            if most <= 0:
                upper[y] = 0.0
                continue
            # y >= z; y <= z - least (1 - s); y <= most s
            rows[r, previous], rows[r, y] = -w, 1.0
            low[r] = b
            if least >= 0:
                high[r] = b
                r += 1
                continue
            integral[s] = 1
            rows[r + 1, previous], rows[r + 1, y], rows[r + 1, s] = -w, 1.0, -least
            high[r + 1] = b - least
            rows[r + 2, y], rows[r + 2, s] = 1.0, -most
            high[r + 2] = 0.0
            r += 3
        previous = np.arange(base, base + width)
        base += width
    cost = np.zeros(size)
    cost[previous] = -net.weights[-1][output]
    options = {} if seconds is None else {"time_limit": max(0.01, seconds)}
    result = milp(
        cost, constraints=LinearConstraint(rows[:r].tocsr(), low[:r], high[:r]), integrality=integral,
        bounds=Bounds(lower, upper), options=options,
    )  # fmt: skip
    offset = float(net.biases[-1][output])
    bound = float(-result.mip_dual_bound + offset) if result.mip_dual_bound is not None else float("inf")
    if result.x is None:
        return -np.inf, bound, None, str(result.message)
    x = np.clip(result.x[:n0], lo, hi)
    return float(net(x)[output]), bound, x, "optimal" if result.status == 0 else str(result.message)


def needs_box(domain: Any) -> tuple[FloatArray, FloatArray]:
    """Bounds of a box domain.

    Raises
    ------
    BudgetExceededError
        Any other domain: only enumeration handles those, and it was out of reach.
    """
    if domain is None or not hasattr(domain, "lo"):
        raise BudgetExceededError("beyond enumeration only boxes can be bounded; pass a Box as the domain")
    return domain.lo.astype(np.float64), domain.hi.astype(np.float64)
