"""How far apart two networks can be anywhere: bounds of ``|f - g|`` that hold on all of R^n, or on a box.

Two networks of one architecture are compared layer by layer: with ``y`` the activations of f and ``d`` the bound of how
far those of g are from them, the next layer has ``d' = |W_g| d + |W_f - W_g| |y| + |b_f - b_g|``, since relu is a
contraction. So nearly equal weights give a bound in proportion to what was changed, where bounds of both outputs give
nothing. Networks of other shapes are bounded through their homogeneous parts, the networks without biases, which differ
from them by a constant at most.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..._typing import FloatArray
from ...bounds.relaxation import relaxed
from ...errors import PolyfiberError
from ...network.float_or_rational import row_norms
from ...network.model import ReLUNetwork
from ...network.moves import Permute, Rescale, compose
from ...numerics.rounding import UNIT, outward
from .difference_network import both_signs, stacking_error

MAX_WIDTH = 1024
"""Widest layer that is matched, and whose relaxation is worked out."""


@dataclass(frozen=True)
class Growth:
    """``max_o |f_o(x) - g_o(x)| <= constant + slope * max_i |x_i|`` for every input x.

    Attributes
    ----------
    constant, slope : float

    Examples
    --------
    >>> import polyfiber as pf
    >>> from polyfiber.equivalence.bounds.everywhere import growth_bound
    >>> a = pf.ReLUNetwork.random((2, 4, 1), rng=0)
    >>> b = pf.ReLUNetwork(a.weights, [a.biases[0], a.biases[1] + 0.25])
    >>> bound = growth_bound(a, b)
    >>> round(bound.constant, 6), bound.slope < 1e-12
    (0.25, True)
    """

    constant: float
    slope: float

    def __call__(self, X: FloatArray) -> FloatArray:
        """The bound at points (…, n0)."""
        return np.asarray(self.constant + self.slope * np.abs(np.asarray(X)).max(axis=-1))

    def __str__(self) -> str:
        return f"|f - g| <= {self.constant:.6g} + {self.slope:.6g} |x|"


def growth_bound(a: ReLUNetwork, b: ReLUNetwork, *, quick: bool = False) -> Growth:
    """A bound of ``|f - g|`` on all of R^n: the best at ``|x| = 1`` of those that are at hand.

    Parameters
    ----------
    a, b : ReLUNetwork
        With the same number of inputs and outputs; rationals are rounded, and the rounding is in the bound.
    quick : bool
        Leave out the relaxation of the homogeneous parts.

    Notes
    -----
    Rounding is bounded as in `bounds.relaxation`. The networks are compared as given, and with the neurons of b put in the
    order and scale of those of a.
    """
    rounding = UNIT if a.is_exact or b.is_exact else 0.0
    a, b = a.rounded(), b.rounded()
    sizes = _by_sizes(a, b)
    found = [Growth(sizes.constant * (1 + 1e-9), sizes.slope * (1 + 1e-9)) if rounding else sizes]
    if a.architecture == b.architecture:
        found.append(_layer_by_layer(a, b, rounding))
        other = aligned(a, b)
        if other is not None:
            found.append(_layer_by_layer(a, other, rounding + 8 * UNIT))
    best = min(found, key=_at_one)
    if not quick and not rounding and max(a.architecture + b.architecture) <= MAX_WIDTH:
        found.append(_homogeneous(a, b))
        best = min(best, found[-1], key=_at_one)
    return best


def _at_one(bound: Growth) -> float:
    value = bound.constant + bound.slope
    return value if np.isfinite(value) else np.inf


def _above(values: FloatArray, terms: int) -> FloatArray:
    """Above the exact values of one step: a column of terms with four operations on each."""
    return outward(values, 4 * (terms + 4))


def _magnitudes(net: ReLUNetwork) -> list[FloatArray]:
    """Bounds (n_l, 2) of ``|y_l|`` for every layer, constant and factor of ``|x|``; last that of the outputs."""
    sizes = [np.stack([np.zeros(net.architecture[0]), np.ones(net.architecture[0])], axis=1)]
    for W, b in zip(net.weights, net.biases):
        size = np.abs(W) @ sizes[-1]
        size[:, 0] += np.abs(b)
        sizes.append(_above(size, W.shape[1]))
    return sizes


def _by_sizes(a: ReLUNetwork, b: ReLUNetwork) -> Growth:
    top = sum(_magnitudes(net)[-1].max(axis=0) for net in (a, b))
    return Growth(*(float(v) for v in top))


def _layer_by_layer(a: ReLUNetwork, b: ReLUNetwork, error: float) -> Growth:
    """The recursion above with ``|y|`` bounded by a multiple of ``|x|``; weights of b are off by ``error``,
    relatively.
    """
    sizes = _magnitudes(a)
    apart = np.zeros((a.architecture[0], 2))
    for l, (V, W, u, v) in enumerate(zip(a.weights, b.weights, a.biases, b.biases)):
        apart = _step(V, W, error, apart, sizes[l])
        apart[:, 0] += np.abs(u - v) + 2 * error * np.abs(v)
        apart = _above(apart, W.shape[1])
    return Growth(*(float(top) for top in apart.max(axis=0)))


def _step(V: FloatArray, W: FloatArray, error: float, apart: FloatArray, sizes: FloatArray) -> FloatArray:
    changed = np.abs(V - W) * (1 + 4 * UNIT) + 2 * error * np.abs(W)
    return np.asarray(np.abs(W) @ apart * (1 + 2 * error) + changed @ sizes)


def _homogeneous(a: ReLUNetwork, b: ReLUNetwork) -> Growth:
    """Through the networks without biases: relu is a contraction, so these differ by a constant at most."""
    bare = [ReLUNetwork(net.weights, [0 * c for c in net.biases]) for net in (a, b)]
    constant = 0.0
    for net in (a, b):
        moved: FloatArray = np.zeros(net.architecture[0])
        for W, c in zip(net.weights, net.biases):
            moved = _above(np.abs(W) @ moved + np.abs(c), W.shape[1])
        constant += float(moved.max())
    one = np.ones(a.architecture[0])
    slope = max(0.0, float(relaxed(both_signs(*bare), (-one, one)).high[-1].max())) + stacking_error(*bare)
    return Growth(constant * (1 + 1e-12), slope if np.isfinite(slope) else np.inf)


def bound_on_box(
    a: ReLUNetwork, b: ReLUNetwork, lo: FloatArray, hi: FloatArray, *, uppers: list[FloatArray] | None = None
) -> float:  # fmt: skip
    """Bound of ``|f - g|`` on a box, layer by layer with the activations of a bounded.

    Infinite for networks of different architectures.

    Parameters
    ----------
    uppers : list of (n_l,) arrays, optional
        Bounds of the hidden neurons of a before the ReLU; by default those of `bounds.relaxation`.
    """
    if a.architecture != b.architecture:
        return float("inf")
    if uppers is None:
        uppers = relaxed(a, (lo, hi)).high[:-1]
    tops = [np.maximum(np.abs(lo), np.abs(hi)), *(np.maximum(z, 0.0) for z in uppers)]
    best = np.inf
    other = aligned(a, b)
    for net, error in ((b, 0.0), (other, 8 * UNIT)):
        if net is None:
            continue
        apart: FloatArray = np.zeros(a.architecture[0])
        for l, (V, W, u, v) in enumerate(zip(a.weights, net.weights, a.biases, net.biases)):
            apart = _step(V, W, error, apart, tops[l]) + np.abs(u - v) * (1 + 4 * UNIT) + 2 * error * np.abs(v)
            apart = _above(apart, W.shape[1])
            if l < len(uppers):  # off in both networks
                apart = np.where(uppers[l] + apart <= 0, 0.0, apart)
        value = float(apart.max())
        best = min(best, value) if np.isfinite(value) else best
    return best


def highest_on(net: ReLUNetwork, box: tuple[FloatArray, FloatArray]) -> FloatArray:
    """Upper bound of each ``|f_o|`` on a box: (nL,)."""
    lines = relaxed(net, box)
    return np.asarray(np.maximum(np.maximum(lines.high[-1], -lines.low[-1]), 0.0))


def aligned(a: ReLUNetwork, b: ReLUNetwork) -> ReLUNetwork | None:
    """The network b with the neurons of each hidden layer in the order and scale of those of a, up to rounding.

    Every parameter is rounded at most twice. None where that is not possible.
    """
    from scipy.optimize import linear_sum_assignment

    if a.architecture != b.architecture or max(a.hidden_widths, default=1) > MAX_WIDTH:
        return None
    current = b
    try:
        for layer in range(1, len(a.weights)):
            units, sizes = [], []
            for net in (a, current):
                rows = np.concatenate([net.weights[layer - 1], net.biases[layer - 1][:, None]], axis=1)
                norms = row_norms(rows)
                sizes.append(np.where(norms > 0, norms, 1.0))
                units.append(rows / sizes[-1][:, None])
            likeness = units[0] @ units[1].T
            if not np.isfinite(likeness).all():
                return None
            rows, columns = linear_sum_assignment(-likeness)
            order = columns[np.argsort(rows)]
            factors = sizes[0] / sizes[1][order]
            current = compose(Permute(layer, tuple(order.tolist())), Rescale(layer, tuple(factors.tolist())))(current)
    except PolyfiberError:  # factors beyond the range of floats
        return None
    return current
