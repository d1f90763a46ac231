"""Networks of nine families with awkward weights, and changes of a network that are known to change the function.

Truth is evaluated in rationals at an input that the construction names; see `rewritings` for the other half, what is
known to be equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from .._typing import Array
from ..network.model import ReLUNetwork

FAMILIES = (
    "one layer, wide", "one layer, narrow", "bottleneck", "wide", "one input", "one neuron", "depth 3", "depth 4", "depth 5",
)  # fmt: skip
"""Architectures: one hidden layer wide and narrow, n0 >= n1, n1 > n0, n0 = 1, n1 = 1, three to five hidden layers."""
WEIGHTS = ("gaussian", "pruned", "integer", "quantised", "no biases", "hiding")


def base_architecture(family: str, rng: np.random.Generator) -> tuple[int, ...]:
    """Widths of a family, up to 4 inputs and about 16 hidden neurons."""
    n0, m = int(rng.integers(1, 5)), int(rng.integers(1, 4))

    def width(low: int, high: int) -> int:
        return int(rng.integers(low, high + 1))

    if family == "one layer, wide":
        return n0, width(6, 16), m
    if family == "one layer, narrow":
        return n0, width(1, 3), m
    if family == "bottleneck":
        n0 = max(2, n0)
        return n0, width(2, n0), width(1, 6), m
    if family == "wide":
        return n0, n0 + width(1, 6), width(1, 6), m
    if family == "one input":
        return 1, width(2, 6), width(1, 6), m
    if family == "one neuron":
        return n0, 1, width(1, 6), m
    depth = int(family.split()[1])
    return (n0, *(width(1, 5) for _ in range(depth)), m)


def base_network(family: str, weights: str, rng: np.random.Generator) -> ReLUNetwork:
    """A network with rational parameters, every one a float64."""
    widths = base_architecture(family, rng)
    W = [rng.standard_normal((b, a)) for a, b in zip(widths[:-1], widths[1:])]
    c = [rng.standard_normal(b) for b in widths[1:]]
    if weights == "pruned":
        keep = 1 - rng.uniform(0.1, 0.6)
        W = [w * (rng.random(w.shape) < keep) for w in W]
        if len(W) > 2 and rng.random() < 0.5:
            layer = int(rng.integers(len(W) - 1))
            row = int(rng.integers(len(c[layer])))
            W[layer][row], c[layer][row] = 0.0, 0.0 if rng.random() < 0.5 else c[layer][row]
    elif weights == "integer":
        W, c = [np.round(1.3 * w) for w in W], [np.round(1.3 * v) for v in c]
    elif weights == "quantised":
        step = float(rng.choice([4, 8, 10]))
        W, c = [np.round(w * step) / step for w in W], [np.round(v * step) / step for v in c]
    elif weights == "no biases":
        c = [0 * v for v in c]
    elif weights == "hiding" and len(W) == 3:
        W[1], c[1] = -np.abs(W[1]), -np.abs(c[1])
        W[1][:, 0] *= -1
    return ReLUNetwork([w + 0.0 for w in W], [v + 0.0 for v in c]).exact()


@dataclass(frozen=True)
class NearMiss:
    """A changed network, the kind of change, and an input where it shows (None: not known)."""

    network: ReLUNetwork
    kind: str
    where: Array | None


def _zeros(*shape: int) -> Array:
    return np.full(shape, Fraction(0), dtype=object)


def _eye(n: int) -> Array:
    table = _zeros(n, n)
    np.fill_diagonal(table, Fraction(1))
    return table


def _beside(
    net: ReLUNetwork, rows: Array, biases: Array, then: list[tuple[Array, Array]], column: Array
) -> ReLUNetwork:
    """Add to the outputs ``column * chain(x)`` where a chain of layers runs beside the network, made as deep as it
    is.
    """
    W, b = [w.copy() for w in net.weights], [v.copy() for v in net.biases]
    chain = [(rows, biases), *then]
    while (
        len(W) < len(chain) + 1
    ):  # identity layers behind the last hidden one, or x = relu(x) - relu(-x) where there is none
        if len(W) == 1:
            n = W[0].shape[1]
            W, b = [np.concatenate([_eye(n), -_eye(n)]), np.concatenate([W[0], -W[0]], axis=1)], [_zeros(2 * n), b[0]]
        else:
            m = W[-1].shape[1]
            W.insert(len(W) - 1, _eye(m))
            b.insert(len(b) - 1, _zeros(m))
    while len(chain) < len(W) - 1:
        chain.append((_eye(len(chain[-1][1])), _zeros(len(chain[-1][1]))))
    for l, (V, c) in enumerate(chain):
        if l == 0:
            W[0] = np.concatenate([W[0], V])
        else:
            own, other = W[l].shape, V.shape
            table = _zeros(own[0] + other[0], own[1] + other[1])
            table[: own[0], : own[1]], table[own[0] :, own[1] :] = W[l], V
            W[l] = table
        b[l] = np.concatenate([b[l], c])
    W[-1] = np.concatenate([W[-1], column.reshape(-1, 1)], axis=1)
    return ReLUNetwork(W, b)


def _output(m: int, rng: np.random.Generator, size: Fraction) -> Array:
    column = _zeros(m)
    column[int(rng.integers(m))] = size
    return column


def pyramid(net: ReLUNetwork, rng: np.random.Generator) -> NearMiss:
    """relu(h - |x - p|_1) added to one output, of height 1 or slope 1: h from 1 to 2**-20 at distance from 1 to
    2**23.
    """
    n = net.architecture[0]
    half = Fraction(1, 2 ** int(rng.integers(0, 21)))
    far = 2 ** int(rng.choice([0, 0, 0, 3, 6, 10, 16, 20, 23]))
    p = np.array([Fraction(int(v), 16) * far for v in rng.integers(-16, 17, n)], dtype=object)
    height = Fraction(1) if rng.random() < 0.5 else half
    rows = np.concatenate([_eye(n), -_eye(n)])
    top = (np.full((1, 2 * n), Fraction(-1), dtype=object), np.array([half], dtype=object))
    column = _output(net.architecture[-1], rng, height / half)
    return NearMiss(_beside(net, rows, np.concatenate([-p, p]), [top], column), "pyramid", p)


def late_slope(net: ReLUNetwork, rng: np.random.Generator) -> NearMiss:
    """relu(u . x - t) added to one output, t from 1 to 2**23: the slopes differ, but only beyond."""
    n = net.architecture[0]
    u = np.array([Fraction(int(v), 4) for v in rng.integers(-4, 5, n)], dtype=object)
    u[int(rng.integers(n))] = Fraction(1)
    t = Fraction(2) ** int(rng.integers(0, 24))
    slope = Fraction(1) / 2 ** int(rng.integers(0, 5))
    x = u * (4 * t / (u @ u))
    net = _beside(net, u[None], np.array([-t], dtype=object), [], _output(net.architecture[-1], rng, slope))
    return NearMiss(net, "late slope", x)


def one_parameter(net: ReLUNetwork, rng: np.random.Generator) -> NearMiss:
    """One weight or bias changed by a share of 1 to 2**-20 of the largest of its layer."""
    W, b = [w.copy() for w in net.weights], [v.copy() for v in net.biases]
    l = int(rng.integers(len(W)))
    table = W[l] if rng.random() < 0.7 else b[l]
    size = max(abs(v) for v in W[l].ravel()) or Fraction(1)
    place = tuple(int(rng.integers(s)) for s in table.shape)
    table[place] = table[place] + size * Fraction(int(rng.choice([-1, 1])), 2 ** int(rng.integers(0, 21)))
    return NearMiss(ReLUNetwork(W, b), "one parameter", None)


def constant_shift(net: ReLUNetwork, rng: np.random.Generator) -> NearMiss:
    """One output raised by 1 to 2**-20."""
    b = [v.copy() for v in net.biases]
    b[-1] = b[-1] + _output(len(b[-1]), rng, Fraction(1, 2 ** int(rng.integers(0, 21))))
    return NearMiss(ReLUNetwork(net.weights, b), "constant", _zeros(net.architecture[0]))


def small_output(net: ReLUNetwork, rng: np.random.Generator) -> NearMiss | None:
    """Half of one output whose weights are small beside the others."""
    m = net.architecture[-1]
    if m < 2:
        return None
    W, b = [w.copy() for w in net.weights], [v.copy() for v in net.biases]
    o = int(rng.integers(m))
    W[-1][o], b[-1][o] = W[-1][o] / 2, b[-1][o] / 2
    return NearMiss(ReLUNetwork(W, b), "small output", None)


CHANGES = (pyramid, pyramid, late_slope, one_parameter, constant_shift, small_output)


def changed(net: ReLUNetwork, rng: np.random.Generator) -> NearMiss:
    """A network that differs from this one, by one of `CHANGES`.

    Examples
    --------
    >>> import numpy as np
    >>> import polyfiber as pf
    >>> from polyfiber.testing.near_misses import pyramid
    >>> net = pf.ReLUNetwork.random((2, 3, 1), rng=0).exact()
    >>> miss = pyramid(net, np.random.default_rng(0))
    >>> bool((net(miss.where) != miss.network(miss.where)).any())
    True
    """
    while True:
        found = CHANGES[int(rng.integers(len(CHANGES)))](net, rng)
        if found is not None:
            return found
