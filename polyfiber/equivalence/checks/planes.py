"""Bounds of one network on boxes for checks alone: lines around ReLUs, substituted backwards, written apart from
`bounds.relaxation`.

Answers never ask this module, and it takes nothing from the code that they ask, so that a mistake there is seen here.
Each ReLU that may switch on a box is replaced by a line above and a line below; substituting backwards gives an affine
function above every output (Zhang, Weng, Chen, Hsieh and Daniel, *Efficient neural network robustness certification
with general activation functions*, 2018). On a box without switching neurons the bound is exact, so splitting
converges.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..._typing import BoolArray, FloatArray
from ...network.model import ReLUNetwork
from ...numerics.rounding import TINY, UNIT, gamma, outward

ENDS, INTERVAL, LIFT, SUMS, CONSTANT, UNDERFLOW = range(6)
CHARGES = np.ones(6)
"""Kinds of roundings: a test leaves one out. (That sums of magnitudes are rounded outward is tested where it is done.)"""


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


def relaxed_upper(net: ReLUNetwork, lo: FloatArray, hi: FloatArray, unit: FloatArray = CHARGES) -> BoxBounds:
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
    least, most = lo, hi  # of what a layer reads
    for layer, (W, b) in enumerate(zip(net.weights, net.biases)):
        sizes.append(outward(tops[-1] @ np.abs(W).T + np.abs(b), W.shape[1] + 1))
        last = layer == len(net.weights) - 1
        rows = W if last else np.concatenate([W, -W])
        constants = b if last else np.concatenate([b, -b])
        A, c, lost = _substitute(net, (layer, rows, constants), (lower_z, upper_z), sizes, tops, unit)
        edge = np.maximum(A * lo[:, None, :], A * hi[:, None, :])
        extent = np.abs(edge).sum(axis=2) + np.abs(c) + lost
        bound = edge.sum(axis=2) + c + (lost + unit[ENDS] * gamma(A.shape[2] + 4) * extent) * (1 + 1e-6)
        bound += unit[UNDERFLOW] * TINY * (1 + tops[0].sum(axis=1, keepdims=True))
        if last:
            return BoxBounds(
                bound, A, c + lost * (1 + 1e-6) + 4 * UNIT * unit[CONSTANT] * (np.abs(c) + lost), lower_z, upper_z
            )
        n = len(b)
        plus, minus = np.maximum(W, 0.0).T, np.minimum(W, 0.0).T
        error = unit[INTERVAL] * gamma(2 * W.shape[1] + 4) * sizes[-1] + unit[UNDERFLOW] * TINY
        upper_z.append(np.minimum(bound[:, :n], most @ plus + least @ minus + b + error))
        lower_z.append(np.maximum(-bound[:, n:], least @ plus + most @ minus + b - error))
        tops.append(np.maximum(np.minimum(upper_z[-1], sizes[-1]), 0.0))
        least, most = np.maximum(lower_z[-1], 0.0), tops[-1]
    raise AssertionError("a network has a layer")


def _substitute(
    net: ReLUNetwork, asked: tuple[int, FloatArray, FloatArray], ends: tuple[list[FloatArray], list[FloatArray]],
    sizes: list[FloatArray], tops: list[FloatArray], unit: FloatArray,
) -> tuple[FloatArray, FloatArray, FloatArray]:  # fmt: skip
    """Affine functions of the input above ``rows @ y + constants``, y the activations before a layer; the three are
    asked.

    Returns
    -------
    A, c, lost : (K, r, n0), (K, r), (K, r)
        ``A x + c + lost`` is above; ``lost`` bounds what all the rounding before took away.
    """
    (layer, rows, constants), (lower, upper), K = asked, ends, len(sizes[0])
    A = np.broadcast_to(rows, (K, *rows.shape))
    c = np.broadcast_to(constants, (K, len(constants))).copy()
    lost = np.zeros(c.shape)
    for l in range(layer - 1, -1, -1):
        low, high = lower[l], upper[l]
        slope, lift, below = _lines(low, high, unit)
        positive, negative = np.maximum(A, 0.0), np.minimum(A, 0.0)
        c += np.einsum("krj,kj->kr", positive, lift)
        # products with slopes and lifts, then with weights and biases: all are sums of terms below |A| * size
        size = np.maximum(sizes[l], np.maximum(np.abs(low), np.abs(high)))
        terms = A.shape[2] + net.weights[l].shape[1] + 8
        lost += unit[SUMS] * gamma(terms) * (4 * np.einsum("krj,kj->kr", np.abs(A), size) + np.abs(c)) * (1 + 1e-6)
        lost += unit[UNDERFLOW] * TINY * (1 + size.sum(axis=1, keepdims=True) + tops[l].sum(axis=1, keepdims=True))
        A = positive * slope[:, None, :] + negative * below[:, None, :]
        c += A @ net.biases[l]
        lost += 4 * UNIT * unit[CONSTANT] * np.abs(c)
        A = A @ net.weights[l]
    return np.asarray(A), c, lost


def _lines(low: FloatArray, high: FloatArray, unit: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Slopes and lifts of lines above relu on [low, high], and slopes of lines below."""
    on, off = low >= 0, high <= 0
    width = np.where(high > low, high - low, 1.0)
    slope = np.where(on, 1.0, np.where(off, 0.0, np.minimum(high / width, 1.0)))
    lift = np.maximum(-slope * low, high - slope * high)
    lift = lift * (1 + 8 * UNIT * unit[LIFT]) + 4 * UNIT * unit[LIFT] * high + unit[UNDERFLOW] * TINY
    below = np.where(on, 1.0, np.where(off, 0.0, (high > -low).astype(np.float64)))
    return slope, np.where(on | off, 0.0, lift), below


def possible_boxes(rows: tuple[FloatArray, FloatArray] | None, los: FloatArray, his: FloatArray) -> BoolArray:
    """Boxes (K,) that may hold a point with ``A x <= b``, rounding included."""
    if rows is None:
        return np.ones(len(los), dtype=bool)
    A, b = rows
    least = np.minimum(A * los[:, None], A * his[:, None]).sum(axis=2)
    slack = 1e-12 * (np.maximum(np.abs(los), np.abs(his)) @ np.abs(A).T + np.abs(b)) + TINY
    return np.asarray((least <= b + slack).all(axis=1))


def highest(net: ReLUNetwork, lo: FloatArray, hi: FloatArray) -> FloatArray:
    """Upper bound of each ``|f_o|`` on a box: (nL,)."""
    W, c = net.weights[-1], net.biases[-1]
    both = ReLUNetwork([*net.weights[:-1], np.concatenate([W, -W])], [*net.biases[:-1], np.concatenate([c, -c])])
    return np.asarray(np.maximum(relaxed_upper(both, lo[None], hi[None]).upper[0].reshape(2, -1).max(axis=0), 0.0))
