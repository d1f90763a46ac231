"""Bounds of a network on boxes by linear relaxations, and branch and bound with them.

Each ReLU that may switch on a box is replaced by a line above and a line below; substituting backwards
gives an affine function above every output (Zhang, Weng, Chen, Hsieh and Daniel, *Efficient neural
network robustness certification with general activation functions*, 2018). On a box without
switching neurons the bound is exact, so splitting converges.
"""

from __future__ import annotations

import heapq
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._typing import BoolArray, FloatArray
from ..budget import Monitor
from ..errors import BudgetExceededError
from ..network.model import ReLUNetwork
from ..numerics.lp import native_silence
from ..numerics.rounding import TINY, UNIT, gamma, outward


@dataclass
class BoxBounds:
    """Upper bounds of the outputs on K boxes, with the affine functions behind them.

    Every bound holds for the real numbers that the stored floats are: what rounding may have taken away
    is in it. ``coefficients @ x + constants`` is above every output on its box; ``lower_z``, ``upper_z``
    enclose the values of the hidden neurons before the ReLU, layer by layer.
    """

    upper: FloatArray
    coefficients: FloatArray
    constants: FloatArray
    lower_z: list[FloatArray]
    upper_z: list[FloatArray]


def relaxed_upper(net: ReLUNetwork, lo: FloatArray, hi: FloatArray) -> BoxBounds:
    """Upper bounds (K, nL) of every output on boxes ``lo, hi`` of shape (K, n0).

    Notes
    -----
    Rounding is bounded step by step, as sums of magnitudes times ``gamma_k = k u / (1 - k u)`` (Higham,
    *Accuracy and Stability of Numerical Algorithms*, 2nd ed., Lemma 3.1 and §3.5, valid for any order of
    summation). Replacing ``A (W y + b)`` by the rounded ``A'y + c'`` costs at most
    ``gamma_k |A| (|W| |y| + |b|)``, and ``|y|`` is bounded on the box by the layers before; a rounded slope
    needs no care, since its line is lifted to lie above the ReLU at both ends of the interval.
    """
    lower_z: list[FloatArray] = []
    upper_z: list[FloatArray] = []
    sizes: list[FloatArray] = []
    tops: list[FloatArray] = [np.maximum(np.abs(lo), np.abs(hi))]
    for layer, (W, b) in enumerate(zip(net.weights, net.biases)):
        sizes.append(outward(tops[-1] @ np.abs(W).T + np.abs(b), W.shape[1] + 1))
        last = layer == len(net.weights) - 1
        rows = W if last else np.concatenate([W, -W])
        constants = b if last else np.concatenate([b, -b])
        A, c, lost = _substitute(net, layer, rows, constants, lower_z, upper_z, sizes, tops)
        edge = np.maximum(A * lo[:, None, :], A * hi[:, None, :])
        extent = np.abs(edge).sum(axis=2) + np.abs(c) + lost
        bound = edge.sum(axis=2) + c + (lost + gamma(A.shape[2] + 4) * extent) * (1 + 1e-6) + TINY
        if last:
            return BoxBounds(bound, A, c + lost * (1 + 1e-6) + 4 * UNIT * (np.abs(c) + lost), lower_z, upper_z)
        n = len(b)
        upper_z.append(bound[:, :n])
        lower_z.append(-bound[:, n:])
        tops.append(np.maximum(np.minimum(upper_z[-1], sizes[-1]), 0.0))
    raise AssertionError("a network has a layer")


def _substitute(
    net: ReLUNetwork, layer: int, rows: FloatArray, constants: FloatArray, lower: list[FloatArray],
    upper: list[FloatArray], sizes: list[FloatArray], tops: list[FloatArray],
) -> tuple[FloatArray, FloatArray, FloatArray]:  # fmt: skip
    """Affine functions of the input above ``rows @ y + constants``, y the activations before ``layer``.

    Returns
    -------
    A, c, lost : (K, r, n0), (K, r), (K, r)
        ``A x + c + lost`` is above; ``lost`` bounds what all the rounding before took away.
    """
    K = len(sizes[0])
    A = np.broadcast_to(rows, (K, *rows.shape))
    c = np.broadcast_to(constants, (K, len(constants))).copy()
    lost = np.zeros(c.shape)
    for l in range(layer - 1, -1, -1):
        low, high = lower[l], upper[l]
        on, off = low >= 0, high <= 0
        width = np.where(high > low, high - low, 1.0)
        slope = np.where(on, 1.0, np.where(off, 0.0, np.minimum(high / width, 1.0)))
        lift = np.maximum(-slope * low, high - slope * high) * (1 + 8 * UNIT) + 4 * UNIT * high + TINY
        lift = np.where(on | off, 0.0, lift)
        below = np.where(on, 1.0, np.where(off, 0.0, (high > -low).astype(np.float64)))
        positive, negative = np.maximum(A, 0.0), np.minimum(A, 0.0)
        c += np.einsum("krj,kj->kr", positive, lift)
        # products with slopes and lifts, then with weights and biases: all are sums of terms below |A| * size
        size = np.maximum(sizes[l], np.maximum(np.abs(low), np.abs(high)))
        terms = A.shape[2] + net.weights[l].shape[1] + 8
        lost += gamma(terms) * (4 * np.einsum("krj,kj->kr", np.abs(A), size) + np.abs(c)) * (1 + 1e-6)
        lost += TINY * (1 + size.sum(axis=1, keepdims=True) + tops[l].sum(axis=1, keepdims=True))
        A = positive * slope[:, None, :] + negative * below[:, None, :]
        c += A @ net.biases[l]
        lost += 4 * UNIT * np.abs(c)
        A = A @ net.weights[l]
    return np.asarray(A), c, lost


@dataclass
class BoundReport:
    """Result of branch and bound for ``max_o h_o`` on a box.

    Attributes
    ----------
    lower, upper : float
        Attained value and proved bound.
    where : (n0,) array or None
        Where the value is attained; None where no point inside was met.
    proved : float
        Share of the volume on which the bound is settled.
    boxes : int
        Boxes looked at.
    """

    lower: float
    upper: float
    where: FloatArray | None
    proved: float
    boxes: int


def branch_and_bound(
    net: ReLUNetwork, lo: FloatArray, hi: FloatArray, *, monitor: Monitor, threshold: float | None = None,
    gap: float = 1e-6, seconds: float = 30.0, rows: tuple[FloatArray, FloatArray] | None = None,
    points: FloatArray | None = None,
) -> BoundReport:  # fmt: skip
    """Maximise the largest output of a network over a box, or over the part of it where ``A x <= b``.

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
    rows : (A, b), optional
        Boxes on which one of these inequalities fails throughout are dropped.
    points : (k, n0) array, optional
        Inputs of the box to begin with.
    """
    search = _Search(net, rows)
    if points is not None and len(points):
        search.attempt(points)
    limit = monitor.budget.seconds if monitor.budget.seconds is not None else monitor.elapsed + seconds
    floor = -np.inf if threshold is None else threshold
    search.look(lo[None].astype(np.float64), hi[None].astype(np.float64))
    while search.heap:
        top = -search.heap[0][0]
        target = max(search.best + gap * max(abs(search.best), 1e-12), floor)
        if top <= target or (threshold is not None and search.best > threshold) or monitor.elapsed > limit:
            break
        monitor.report("branch and bound", search.boxes, None, lower=round(search.best, 9), upper=round(top, 9))
        if not search.split(target):
            break
    upper = max(search.best, -search.heap[0][0]) if search.heap else max(search.best, search.closed)
    target = max(search.best, floor)
    span = np.where(hi > lo, hi - lo, 1.0)
    # a side without extent counts as 1, so that flat boxes have a volume too
    open_boxes = [box for box in search.heap if -box[0] > target * (1 + gap) + 1e-300]
    sides = [np.where(hi > lo, (upper_end - lower_end) / span, 1.0) for _, _, lower_end, upper_end, _ in open_boxes]
    rest = float(np.prod(sides, axis=1).sum()) if sides else 0.0
    return BoundReport(search.best, upper, search.where, float(np.clip(1.0 - rest, 0.0, 1.0)), search.boxes)


def possible_boxes(rows: tuple[FloatArray, FloatArray] | None, los: FloatArray, his: FloatArray) -> BoolArray:
    """Boxes (K,) that may hold a point with ``A x <= b``, rounding included."""
    if rows is None:
        return np.ones(len(los), dtype=bool)
    A, b = rows
    least = np.minimum(A * los[:, None], A * his[:, None]).sum(axis=2)
    slack = 1e-12 * (np.maximum(np.abs(los), np.abs(his)) @ np.abs(A).T + np.abs(b)) + TINY
    return np.asarray((least <= b + slack).all(axis=1))


_OpenBox = tuple[float, int, FloatArray, FloatArray, FloatArray]
"""Minus the bound, a number of its own, lower and upper ends, slopes of the bounding function."""


class _Search:
    """Boxes still open, the best input so far, and the largest bound among the boxes that were given up."""

    def __init__(self, net: ReLUNetwork, rows: tuple[FloatArray, FloatArray] | None) -> None:
        self.net, self.rows = net, rows
        self.best, self.closed = -np.inf, -np.inf
        self.where: FloatArray | None = None
        self.heap: list[_OpenBox] = []
        self.boxes = 0
        widest = max(net.architecture)
        self.batch = int(np.clip((1 << 17) // (widest * widest), 1, 512))

    def _inside(self, X: FloatArray) -> Any:
        if self.rows is None:
            return np.ones(len(X), dtype=bool)
        A, b = self.rows
        return (b - 1e-12 * (np.abs(X) @ np.abs(A).T + np.abs(b)) >= X @ A.T).all(axis=1)

    def attempt(self, X: FloatArray) -> None:
        """Keep the best of some inputs."""
        values = np.where(self._inside(X), self.net(X).max(axis=1), -np.inf)
        i = int(np.argmax(values))
        if values[i] > self.best:
            self.best, self.where = float(values[i]), X[i]

    def look(self, los: FloatArray, his: FloatArray) -> None:
        """Bound the network on some boxes and try their middles and most promising corners."""
        keep = possible_boxes(self.rows, los, his)
        self.boxes += len(los)
        los, his = los[keep], his[keep]
        if not len(los):
            return
        bounds = relaxed_upper(self.net, los, his)
        tops = np.where(np.isnan(bounds.upper), np.inf, bounds.upper)
        output = np.argmax(tops, axis=1)
        lines = np.nan_to_num(bounds.coefficients[np.arange(len(los)), output])
        corners = np.where(lines > 0, his, los)
        for X in (corners, 0.5 * los + 0.5 * his):
            self.attempt(X)
        for i, top in enumerate(tops.max(axis=1)):
            heapq.heappush(self.heap, (-float(top), self.boxes - len(los) + i, los[i], his[i], lines[i]))

    def split(self, target: float) -> bool:
        """Halve the boxes with the largest bounds; False where one is too small to be halved."""
        chosen = [heapq.heappop(self.heap) for _ in range(min(self.batch, len(self.heap)))]
        self.closed = max([self.closed, *(-box[0] for box in chosen if -box[0] <= target)])
        chosen = [box for box in chosen if -box[0] > target]
        if not chosen:
            return True
        los, his, lines = (np.array([box[k] for box in chosen]) for k in (2, 3, 4))
        size = np.abs(lines)
        score = (size + 1e-3 * size.max(axis=1, keepdims=True) + 1e-12) * (his - los)
        rows, d = np.arange(len(chosen)), np.argmax(score, axis=1)
        middle = 0.5 * los[rows, d] + 0.5 * his[rows, d]
        fine = (los[rows, d] < middle) & (middle < his[rows, d])
        for i in np.flatnonzero(~fine):
            heapq.heappush(self.heap, chosen[i])
        if fine.any():
            left, right = his.copy(), los.copy()
            left[rows, d], right[rows, d] = middle, middle
            self.look(np.concatenate([los[fine], right[fine]]), np.concatenate([left[fine], his[fine]]))
        return bool(fine.all())


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

    started = time.monotonic()
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
    options = {} if seconds is None else {"time_limit": max(0.01, seconds - (time.monotonic() - started))}
    with native_silence():
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
