"""Neurons that may be dead or linear on a whole domain, and each of them as a network of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..._typing import IntArray
from ...domain import Polyhedron
from ...network.model import ReLUNetwork
from ..witness import candidates
from .joint import Joint, Unit

POINTS = 256
"""Inputs at which signs are looked at."""
FAINT = 1e-9
"""Of the largest value of a neuron: what counts as zero where signs are looked at."""


def suspected(
    joint: Joint, nets: tuple[ReLUNetwork, ReLUNetwork], domain: Polyhedron | None
) -> list[tuple[int, int, int, int]]:
    """Neurons behind layer 1 that the difference of the outputs names, or what it names is made of, and that seem to
    have one sign.

    Returns
    -------
    list of (network, layer, neuron, sign)
        One neuron for each function. A guess from values at some inputs; nothing rests on it.
    """
    todo, seen = joint.differing(), set[int]()
    while todo:
        h = todo.pop()
        if h not in seen:
            seen.add(h)
            todo += joint.made_of(h)
    named = {h for h in seen if joint.layer[h] > 0 and joint.kind[h] == 0}
    if not named:
        return []
    rounded = [net.rounded() for net in nets]
    X = candidates(rounded[0], rounded[1], domain, n=POINTS)
    if domain is not None:
        X = X[domain.contains(X)]
    if not len(X):
        return []
    with np.errstate(all="ignore"):
        values = [net.preactivations(X) for net in rounded]
    found = []
    for k, side in enumerate(joint.sides):
        for l, layer in enumerate(side.neurons):
            for j, h in enumerate(layer.head.tolist()):
                root = joint.root(h) if h >= 0 else h
                if root not in named:
                    continue
                z = values[k][l][:, j]
                noise = FAINT * float(np.abs(z).max())
                if np.isfinite(noise) and (z.min() >= -noise or z.max() <= noise):
                    found.append((k, l, j, 1 if z.max() > noise else -1))
                    named.discard(root)
    return found


def alone(net: ReLUNetwork, layer: int, neuron: int, sign: int) -> tuple[ReLUNetwork, list[IntArray]]:
    """``relu(sign z)`` of one neuron as a network of the neurons that it reads, and which of each layer these are.

    Examples
    --------
    >>> import polyfiber as pf
    >>> net = pf.ReLUNetwork([[[1.0], [2.0], [-1.0]], [[1.0, 0, 1], [0, 1, 0]], [[1.0, 1]]], [[0, 0, 0], [0, -1], [0]])
    >>> part, kept = alone(net, 1, 0, 1)
    >>> part.architecture, [k.tolist() for k in kept]
    ((1, 2, 1, 1), [[0, 2], [0]])
    """
    kept = [np.array([neuron])]
    for l in range(layer, 0, -1):
        reads = np.flatnonzero((net.weights[l][kept[0]] != 0).any(axis=0))
        kept.insert(0, reads if len(reads) else np.array([0]))
    before: Sequence[IntArray] = [np.arange(net.architecture[0]), *kept]
    weights = [net.weights[l][np.ix_(kept[l], before[l])] for l in range(layer + 1)]
    biases = [net.biases[l][kept[l]] for l in range(layer + 1)]
    weights[-1], biases[-1] = sign * weights[-1], sign * biases[-1]
    one = 0 * weights[-1][:1, :1] + 1
    return ReLUNetwork([*weights, one], [*biases, 0 * biases[-1]]), kept


def translated(units: Sequence[Unit], network: int, kept: list[IntArray]) -> tuple[Unit, ...]:
    """What is known of neurons of one network, for the part of it that was kept (as the first network of a pair)."""
    found = []
    for unit in units:
        if unit.network == network and unit.layer < len(kept) - 1:
            at = np.flatnonzero(kept[unit.layer] == unit.neuron)
            if len(at):
                found.append(replace(unit, network=0, neuron=int(at[0])))
    return tuple(found)
