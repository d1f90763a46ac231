"""Bring one network nearest to another by moves that keep its function: what merging, averaging and comparing models
asks for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .._typing import FloatArray
from ..budget import Budget, Monitor
from ..errors import PolyfiberError, ShapeError
from ..network.float_or_rational import values_in_floats
from ..network.model import ReLUNetwork
from ..network.moves import Composition, Permute, Replace, Rescale, compose
from ..network.piecewise import require_chain
from ..words import one_line
from .moves_between import moves_between

ROUNDS = 50
"""Passes over the layers, at most; each lowers the distance or is the last."""
RESTARTS = 4
"""Orders of layers that are tried."""


@dataclass(frozen=True, eq=False)
class Alignment:
    """The second network, moved to be near the first.

    Attributes
    ----------
    network : ReLUNetwork
        Of the same function as the second (up to rounding), its neurons in the order and scale of the first.
    moves : Composition
        Applied to the second network they give it.
    distance : float
        ``|p - q| / |p|`` over all parameters, p those of the first network and q those of `network`.
    before : float
        The same before any move.
    layers : tuple of float
        The distance by affine layer, weights and biases together.
    stopped : str or None
        That time ended before the search did; None where it did not.
    """

    __repr__ = one_line

    network: ReLUNetwork
    moves: Composition = field(repr=False)
    distance: float
    before: float
    layers: tuple[float, ...]
    stopped: str | None = None


@np.errstate(under="ignore")
def align(a: ReLUNetwork, b: ReLUNetwork, *, budget: Budget | None = None) -> Alignment:
    """Moves that bring b nearest to a: permutations, positive scalings, and hidden gauges where both are one function.

    Parameters
    ----------
    a, b : ReLUNetwork
        Of one architecture; rationals are rounded.
    budget : Budget, optional

    Returns
    -------
    Alignment
        Never farther than before. The best of what was found, which is no proof that nothing is nearer: beyond two
        layers the problem is a quadratic assignment.

    Raises
    ------
    ShapeError
        Two architectures.

    Notes
    -----
    Each layer in turn gets the permutation and scalings that are best while the others stay: neuron i of a and j of b cost what is left of their rows and columns after
    the best scaling, an assignment problem. Scaling is what weight matching by permutations alone leaves out.

    Examples
    --------
    >>> import polyfiber as pf
    >>> from polyfiber.network.moves import random_trivial
    >>> a = pf.ReLUNetwork.random((4, 8, 8, 2), rng=0)
    >>> found = pf.align(a, random_trivial(a, rng=1)(a))
    >>> found.before > 1, found.distance < 1e-12
    (True, True)
    """
    a, b = require_chain(a, "alignment"), require_chain(b, "alignment")
    if a.architecture != b.architecture:
        raise ShapeError(
            f"networks of one architecture can be aligned, found {a.architecture} and {b.architecture}; minimize both first"
        )
    monitor = Monitor(budget)
    a, b = (values_in_floats(net, "aligning", squares=True) for net in (a, b))
    before = _distance(a, b)
    best, moves = b, compose()
    hidden = len(a.weights) - 1
    rng = np.random.default_rng(0)
    for attempt in range(RESTARTS if hidden > 1 else 1):
        if monitor.late:
            break
        order = list(range(1, hidden + 1)) if attempt == 0 else [int(v) for v in 1 + rng.permutation(hidden)]
        moved, made = _descend(a, b, order, monitor)
        if _distance(a, moved) < _distance(a, best):
            best, moves = moved, made
        if _distance(a, best) < 1e-9:
            break
    if _distance(a, best) > 1e-9 and not monitor.late:
        try:
            known = moves_between(b, a)  # one function: gauges and flips too
        except PolyfiberError:
            known = None
        if known is not None and not any(
            isinstance(move, Replace) for move in known.moves
        ):  # that would be another function
            moved = known(b)
            if moved.architecture == a.architecture:
                moved, more = _descend(a, moved, list(range(1, hidden + 1)), monitor)
                if _distance(a, moved) < _distance(a, best):
                    best, moves = moved, compose(*known.moves, *more.moves)
    stopped = None
    if monitor.late and _distance(a, best) > 1e-9:
        stopped = "time ended before every order of layers was tried, so a larger budget= may bring the networks nearer"
    layers = tuple(_layer(a, best, l) for l in range(hidden + 1))
    return Alignment(best, moves, _distance(a, best), before, layers, stopped)


def _flat(net: ReLUNetwork) -> FloatArray:
    return np.concatenate([part.ravel() for pair in zip(net.weights, net.biases) for part in pair])


def _distance(a: ReLUNetwork, b: ReLUNetwork) -> float:
    x, y = _flat(a), _flat(b)
    size = float(np.linalg.norm(x))
    return float(np.linalg.norm(x - y)) / size if size > 0 else float(np.linalg.norm(y) > 0)


def _layer(a: ReLUNetwork, b: ReLUNetwork, l: int) -> float:
    x, y = (np.concatenate([net.weights[l].ravel(), net.biases[l]]) for net in (a, b))
    size = float(np.linalg.norm(x))
    return float(np.linalg.norm(x - y)) / size if size > 0 else float(np.linalg.norm(y) > 0)


def _descend(a: ReLUNetwork, b: ReLUNetwork, order: list[int], monitor: Monitor) -> tuple[ReLUNetwork, Composition]:
    """Layer after layer the best permutation and scalings, until nothing gets nearer."""
    from scipy.optimize import linear_sum_assignment

    made: list[Any] = []
    current, last = b, _distance(a, b)
    # first by rows alone: in a first pass the columns are still in the order of the other network
    for l in sorted(order):
        cost, scales = _costs(a, current, l, columns=False)
        current = _move(current, l, linear_sum_assignment(cost)[1], scales, made)
    if order != sorted(order) or _distance(a, current) > last:
        current, made = (b, []) if _distance(a, current) > last else (current, made)
    last = _distance(a, current)
    for _ in range(ROUNDS):
        for l in order:
            if monitor.late:
                return current, compose(*made)
            cost, scales = _costs(a, current, l, columns=True)
            trial: list[Permute | Rescale] = []
            moved = _move(current, l, linear_sum_assignment(cost)[1], scales, trial)
            if _distance(a, moved) < _distance(a, current):
                current = moved
                made += trial
        now = _distance(a, current)
        if now >= last * (1 - 1e-12):
            break
        last = now
    return current, compose(*made)


def _move(
    net: ReLUNetwork, l: int, chosen: FloatArray, scales: FloatArray, made: list[Permute | Rescale]
) -> ReLUNetwork:
    permute = Permute(l, tuple(int(j) for j in chosen))
    rescale = Rescale(l, tuple(float(scales[i, j]) for i, j in enumerate(chosen)))
    made += [permute, rescale]
    return rescale(permute(net))


def _costs(a: ReLUNetwork, b: ReLUNetwork, l: int, *, columns: bool) -> tuple[FloatArray, FloatArray]:
    """What is left of neuron i of a and j of b after the best scaling s: ``|u - s v|^2 + |c - d / s|^2``, and s."""
    u, v = (np.concatenate([n.weights[l - 1], n.biases[l - 1][:, None]], axis=1) for n in (a, b))
    c, d = a.weights[l].T, b.weights[l].T
    uv, vv = u @ v.T, (v * v).sum(axis=1)[None, :]
    cd, dd = c @ d.T, (d * d).sum(axis=1)[None, :]
    uu = (u * u).sum(axis=1)[:, None]
    cc = (c * c).sum(axis=1)[:, None]
    with np.errstate(all="ignore"):
        rows = np.clip(np.sqrt(uu / vv), 1e-100, 1e100)
    s = np.where(np.isfinite(rows) & (uu > 0) & (vv > 0), rows, 1.0)
    if not columns:
        return uu - 2 * s * uv + s * s * vv, s
    with np.errstate(all="ignore"):
        for _ in range(30):  # Newton in log s, with halved curvature where the function is not convex
            slope = -2 * s * uv + 2 * s * s * vv + 2 * cd / s - 2 * dd / (s * s)
            curve = -2 * s * uv + 4 * s * s * vv - 2 * cd / s + 4 * dd / (s * s)
            step = np.clip(-slope / np.maximum(np.abs(curve), 1e-300), -1.0, 1.0)
            s = np.clip(s * np.exp(np.where(np.isfinite(step), step, 0.0)), 1e-100, 1e100)
    return uu - 2 * s * uv + s * s * vv + cc - 2 * cd / s + dd / (s * s), s
