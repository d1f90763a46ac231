"""Hidden hyperplanes: when layer 2 hides one of layer 1, and the moves that this allows.

Neuron j of layer 2 hides hyperplane k when its weight there is positive, every other weight negative
and its bias not positive (The Symmetries of Three-Layer ReLU Networks, Def. 3). A hidden hyperplane
can be translated along a closed half-line, and with one live neuron the others can be flipped.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._typing import Array
from ..errors import InputError
from ..network.float_or_rational import row_norms
from ..network.model import ReLUNetwork
from ..network.moves import Composition, Flip, Move, Translate, compose, hides
from ..network.piecewise import require_chain


@dataclass(frozen=True)
class HidingReport:
    """Which hyperplane of layer 1 is hidden, and by whom.

    Attributes
    ----------
    hyperplane : int or None
        At most one can be hidden.
    live : tuple of int
        Neurons of layer 2 that are not dead on the orthant and have a non-zero output column.
    dead : tuple of int
        The others.
    end : float or Fraction or None
        Largest admissible shift; every shift up to it (and any negative one) keeps the function.
    """

    hyperplane: int | None
    live: tuple[int, ...]
    dead: tuple[int, ...]
    end: Any


def live_neurons(net: ReLUNetwork) -> tuple[int, ...]:
    """Neurons of layer 2 with a positive entry in ``(W2 | b2)`` and a non-zero output column."""
    W, b, C = net.weights[1], net.biases[1], net.weights[2]
    positive = (W > 0).any(axis=1) | (b > 0)
    used = (C != 0).any(axis=0)
    return tuple(int(j) for j in np.flatnonzero(positive & used))


def hiding_report(net: ReLUNetwork) -> HidingReport:
    """Detect the hidden hyperplane of a network with two hidden layers.

    Raises
    ------
    InputError
        Not two hidden layers.

    Examples
    --------
    >>> import polyfiber as pf
    >>> from polyfiber.fibers.hiding import hiding_report
    >>> W = [[1.0, 0.0], [0.0, 1.0]]
    >>> net = pf.ReLUNetwork([W, [[2.0, -1.0]], [[1.0]]], [[0.0, 0.0], [-3.0], [0.0]])
    >>> report = hiding_report(net)
    >>> report.hyperplane, report.end
    (0, 1.5)
    """
    net = require_chain(net, "hiding")
    if len(net.weights) != 3:
        raise InputError(f"hiding is about networks with two hidden layers; found {net!r}")
    W, b = net.weights[1], net.biases[1]
    live = live_neurons(net)
    dead = tuple(j for j in range(W.shape[0]) if j not in live)
    index = list(live)
    if not live or W.shape[1] < 2:
        return HidingReport(None, live, dead, None)
    for k in range(W.shape[1]):
        if hides(W[index], b[index], k).all():
            end = min(-b[index] / W[index, k])
            return HidingReport(k, live, dead, end if net.is_exact else float(end))
    return HidingReport(None, live, dead, None)


def admissible_shift(net: ReLUNetwork) -> Any:
    """End of the half-line of translations: ``min_j -b2[j] / W2[j, k]`` over the live neurons.

    Raises
    ------
    InputError
        No hyperplane is hidden.
    """
    report = hiding_report(net)
    if report.hyperplane is None:
        raise InputError(f"{net!r} hides no hyperplane")
    return report.end


def flip_sets(net: ReLUNetwork) -> Iterator[tuple[int, ...]]:
    """Sets ``I`` of the flip group: all subsets without the hidden index for one live neuron, else the empty one."""
    report = hiding_report(net)
    yield ()
    if report.hyperplane is None or len(report.live) != 1:
        return
    others = [i for i in range(net.architecture[1]) if i != report.hyperplane]
    for size in range(1, len(others) + 1):
        yield from itertools.combinations(others, size)


def hiding_gauge(net: ReLUNetwork, *, direction: Array | None = None) -> tuple[ReLUNetwork, Composition]:
    """Bring a hiding network to the canonical point of its half-lines; others come back unchanged.

    With one live neuron the rows ``i`` of layer 1 with ``direction . w_i < 0`` are flipped; then the
    hidden hyperplane is translated to ``min_j -b2[j] / W2[j, k] = |w_k|``, which is the gauge 1
    for a row of unit norm (spec: canonical form, step 3).

    Parameters
    ----------
    net : ReLUNetwork
    direction : (n0,) array, optional
        A fixed generic vector; the default is the same for every network with these inputs.

    Returns
    -------
    gauged : ReLUNetwork
    moves : Composition
        From ``net`` to ``gauged``.
    """
    report = hiding_report(net)
    k = report.hyperplane
    if k is None:
        return net, compose()
    moves: list[Move] = []
    current = net
    if len(report.live) == 1:
        v = generic_direction(net.architecture[0]) if direction is None else np.asarray(direction)
        side = net.weights[0].astype(np.float64) @ v
        flipped = tuple(i for i in range(len(side)) if i != k and side[i] < 0)
        if flipped:
            moves.append(Flip(k, flipped))
            current = moves[-1].apply(current)
    end = admissible_shift(current)
    row = current.weights[0][k]
    size = max(abs(v) for v in row) if net.is_exact else float(row_norms(row))
    if end != size:
        moves.append(Translate(k, end - size))
        current = moves[-1].apply(current)
    return current, compose(*moves)


def generic_direction(n: int) -> Array:
    """A fixed vector without special relations: square roots of distinct primes, scattered by sign."""
    primes: list[int] = []
    candidate = 2
    while len(primes) < n:
        if all(candidate % p for p in primes):
            primes.append(candidate)
        candidate += 1
    return np.sqrt(np.array(primes, dtype=np.float64)) % 1.0 - 0.4371
