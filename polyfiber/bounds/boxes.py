"""Bounds of one network on boxes by linear relaxations, written apart from `relaxation` and from the kernels.

Each ReLU that may switch on a box is replaced by a line above and a line below; substituting backwards
gives an affine function above every output (Zhang, Weng, Chen, Hsieh and Daniel, *Efficient neural
network robustness certification with general activation functions*, 2018). On a box without
switching neurons the bound is exact, so splitting converges.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._typing import BoolArray, FloatArray
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


def possible_boxes(rows: tuple[FloatArray, FloatArray] | None, los: FloatArray, his: FloatArray) -> BoolArray:
    """Boxes (K,) that may hold a point with ``A x <= b``, rounding included."""
    if rows is None:
        return np.ones(len(los), dtype=bool)
    A, b = rows
    least = np.minimum(A * los[:, None], A * his[:, None]).sum(axis=2)
    slack = 1e-12 * (np.maximum(np.abs(los), np.abs(his)) @ np.abs(A).T + np.abs(b)) + TINY
    return np.asarray((least <= b + slack).all(axis=1))


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
    bound = float(bounds.upper[0, output])  # the solver names none where no sign is open
    if result.mip_dual_bound is not None:
        bound = min(bound, float(-result.mip_dual_bound + offset))
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
