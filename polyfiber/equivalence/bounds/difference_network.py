"""The difference of two networks as one network, side by side."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import words
from ..._typing import Array
from ...errors import InputError, ShapeError
from ...network.float_or_rational import within_floats
from ...network.model import ReLUNetwork
from ...numerics.exact import as_fractions
from ...numerics.products import exact_product
from ...numerics.rounding import TINY, UNIT


def check_pair(a: Any, b: Any) -> None:
    """Raise an `InputError` unless both are networks within the range of floats, with as many inputs and outputs."""
    for net in (a, b):
        if not isinstance(net, ReLUNetwork):
            raise InputError(
                f"expected two ReLUNetworks, found {type(net).__name__}; see polyfiber.read_network, from_torch"
            )
        within_floats(net)
    check_same_ends(a, b)


def check_same_ends(a: ReLUNetwork, b: ReLUNetwork) -> None:
    """Raise `ShapeError` unless inputs and outputs are as many."""
    one, other = a.architecture, b.architecture
    for end, what in ((0, "inputs"), (-1, "outputs")):
        if one[end] != other[end]:
            raise ShapeError(
                f"the networks have {one[end]} and {other[end]} {what} ({words.widths(one)} and "
                f"{words.widths(other)}); only functions between the same spaces can be compared"
            )


def deepened(net: ReLUNetwork, depth: int) -> ReLUNetwork:
    """The same function with ``depth`` layers: activations pass through ``relu(y + 1) - 1``.

    The one keeps the passing neurons strictly positive, so that they add no walls. Needs a hidden layer.
    """
    W, b = list(net.weights), list(net.biases)
    zero, one = (W[0].flat[0] * 0, W[0].flat[0] * 0 + 1)
    while len(W) < depth:
        n = W[-1].shape[1]
        identity = np.full((n, n), zero, dtype=W[0].dtype)
        np.fill_diagonal(identity, one)
        last, bias = W.pop(), b.pop()
        W += [identity, last]
        b += [np.full(n, one, dtype=W[0].dtype), bias - last.sum(axis=1)]
    return ReLUNetwork(W, b)


def difference_network(a: ReLUNetwork, b: ReLUNetwork) -> ReLUNetwork:
    """``a - b`` as one network: hidden layers side by side.

    Affine maps beside networks are written with one pair of neurons per output.

    Examples
    --------
    >>> import polyfiber as pf
    >>> from polyfiber.equivalence.bounds.difference_network import difference_network
    >>> a, b = pf.ReLUNetwork.random((2, 3, 1), rng=0), pf.ReLUNetwork.random((2, 4, 4, 1), rng=1)
    >>> difference_network(a, b).architecture
    (2, 7, 7, 1)
    """
    check_same_ends(a, b)
    if len(a.weights) == len(b.weights) == 1:
        a, b = (a.exact(), b.exact()) if a.is_exact != b.is_exact else (a, b)
        return ReLUNetwork([a.weights[0] - b.weights[0]], [a.biases[0] - b.biases[0]])
    both = side_by_side(a, b)
    m = a.architecture[-1]
    W, c = both.weights[-1], both.biases[-1]
    return ReLUNetwork([*both.weights[:-1], W[:m] - W[m:]], [*both.biases[:-1], c[:m] - c[m:]])


def side_by_side(a: ReLUNetwork, b: ReLUNetwork) -> ReLUNetwork:
    """Both functions as one network, the outputs of a first.

    Every weight is one of the given numbers or zero; so is every bias, except the last ones where depths differ.
    """
    if a.is_exact != b.is_exact:
        a, b = a.exact(), b.exact()
    a, b = (_with_hidden_layer(net) for net in (a, b))
    depth = max(len(a.weights), len(b.weights))
    a, b = deepened(a, depth), deepened(b, depth)
    W: list[Any] = [np.concatenate([a.weights[0], b.weights[0]])]
    c: list[Any] = [np.concatenate([a.biases[0], b.biases[0]])]
    for x, y, p, q in zip(a.weights[1:], b.weights[1:], a.biases[1:], b.biases[1:]):
        W.append(_diagonal(x, y))
        c.append(np.concatenate([p, q]))
    return ReLUNetwork(W, c)


def both_signs(a: ReLUNetwork, b: ReLUNetwork) -> ReLUNetwork:
    """``(a - b, b - a)`` as one network: its largest output is the largest ``|a - b|``."""
    net = difference_network(a, b)
    W, c = list(net.weights), list(net.biases)
    W[-1], c[-1] = np.concatenate([W[-1], -W[-1]]), np.concatenate([c[-1], -c[-1]])
    return ReLUNetwork(W, c)


def stacking_error(a: ReLUNetwork, b: ReLUNetwork) -> float:
    """Bound of ``|difference_network(a, b) - (a - b)|``: the last biases are differences and sums of floats.

    Everything else in the stacked network is a copy of the given numbers.
    """
    size = [0.0, 0.0]
    for net, k in ((a, 0), (b, 1)):
        W, c = net.weights[-1].astype(np.float64), net.biases[-1].astype(np.float64)
        size[k] = float((np.abs(W).sum(axis=1) + np.abs(c)).max())
    layers = max(len(a.weights), len(b.weights))
    width = max(a.architecture[-2], b.architecture[-2], 2 * a.architecture[-1])
    factor = 1.0 if len(a.weights) == len(b.weights) else float(width) * (layers + 1)
    return 4.0 * (factor + 1.0) * UNIT * sum(size) + TINY


def _with_hidden_layer(net: ReLUNetwork) -> ReLUNetwork:
    if len(net.weights) > 1:
        return net
    W, b = net.weights[0], net.biases[0]
    m = len(b)
    eye = np.full((m, m), W.flat[0] * 0, dtype=W.dtype)
    np.fill_diagonal(eye, W.flat[0] * 0 + 1)
    return ReLUNetwork(
        [np.concatenate([W, -W]), np.concatenate([eye, -eye], axis=1)], [np.concatenate([0 * b, 0 * b]), b]
    )


def _diagonal(x: Array, y: Array) -> Array:
    result = np.full((x.shape[0] + y.shape[0], x.shape[1] + y.shape[1]), x.flat[0] * 0, dtype=x.dtype)
    result[: x.shape[0], : x.shape[1]] = x
    result[x.shape[0] :, x.shape[1] :] = y
    return result


def on_flat(net: ReLUNetwork, lift: Array) -> ReLUNetwork:
    """The network on the flat ``x = lift @ (t, 1)``, (n0, k + 1) Fractions, as a function of t: rational, nothing is
    rounded.

    Examples
    --------
    >>> import numpy as np
    >>> import polyfiber as pf
    >>> from fractions import Fraction
    >>> half = on_flat(pf.ReLUNetwork([[[2.0, 0.0]], [[1.0]]], [[0.0], [0.0]]), np.array([[Fraction(1, 3), 0], [0, 1]], dtype=object))
    >>> half.weights[0].tolist(), half.biases[0].tolist()
    ([[Fraction(2, 3)]], [Fraction(0, 1)])
    """
    exact = net.exact()
    first = exact_product(exact.weights[0], as_fractions(lift))
    return ReLUNetwork([first[:, :-1], *exact.weights[1:]], [first[:, -1] + exact.biases[0], *exact.biases[1:]])
