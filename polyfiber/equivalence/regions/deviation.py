"""How far a network may be from the affine pieces that it is compared by.

Let s be a pattern of g and M its affine map. Where a wall inequality of s fails by at most v_i for
neuron i, replacing the ReLU of that neuron by the line of s costs at most v_i there, and relu is a contraction, so
``|g - M| <= |W_L| (v_{L-1} + |W_{L-1}| (v_{L-2} + ...))``. Both sides are convex or affine on a region, so it is
enough to know the violations at its vertices.
"""

from __future__ import annotations

import numpy as np

from ..._typing import FloatArray
from ...network.model import ReLUNetwork


def carried(net: ReLUNetwork, violations: FloatArray) -> float:
    """Largest change of an output when hidden values (k, N), layer by layer, are off by at most these amounts."""
    if not len(violations):
        return 0.0
    moved: FloatArray = np.zeros((len(violations), net.architecture[0]))
    column = 0
    for W in net.weights[:-1]:
        own = violations[:, column : column + len(W)]
        column += len(W)
        moved = moved @ np.abs(W).T + own
    return float((moved @ np.abs(net.weights[-1]).T).max()) * (1 + 1e-9)


def lipschitz_bound(net: ReLUNetwork) -> float:
    """Product of the largest absolute row sums: bounds ``|f(x) - f(y)|_oo / |x - y|_oo``."""
    return float(np.prod([np.abs(W).sum(axis=1).max() for W in net.weights])) * (1 + 1e-9)


def collar(A: FloatArray, b: FloatArray, inset: FloatArray, corners: FloatArray) -> float:
    """How far a point of ``{A x <= b}`` may be from ``{A x <= b - inset}``, in the maximum norm.

    Shrinking towards the middle c of the corners by the share ``t = max_i inset_i / (b - A c)_i`` lands inside.
    Infinite where the middle does not have that much room.
    """
    c = corners.mean(axis=0)
    room = b - A @ c
    if not (room > inset).all():
        return float("inf")
    return float((inset / room).max() * np.abs(corners - c).max()) * (1 + 1e-9)
