"""Smaller copies of a network as deployment makes them: half precision, eight-bit weights, pruned weights, fewer units.

Each is a network of its own whose stored weights are exactly what the copy computes with, so that questions about the
pair (`are_equivalent(…, epsilon=…)`, `difference`) are about the copy as it would run in exact arithmetic on its
rounded weights.
"""

from __future__ import annotations

import numpy as np

from .._typing import FloatArray, ScalePer
from .._values.checked import unmasked
from ..errors import InputError
from ..network.model import ReLUNetwork


def half_precision(net: ReLUNetwork) -> ReLUNetwork:
    """Every parameter rounded to float16.

    Raises
    ------
    InputError
        A parameter beyond 65504, which float16 cannot hold.

    Examples
    --------
    >>> import polyfiber as pf
    >>> from polyfiber.equivalence.copies import half_precision
    >>> half_precision(pf.ReLUNetwork([[[0.1]]], [[1.0]])).weights[0].item()
    0.0999755859375
    """
    net = net.rounded()
    largest = max(float(np.abs(p).max()) for p in (*net.weights, *net.biases))
    if largest > 65504:
        raise InputError(f"a parameter is {largest:.6g} in size; float16 holds numbers up to 65504")
    return ReLUNetwork(
        [W.astype(np.float16).astype(np.float64) for W in net.weights],
        [b.astype(np.float16).astype(np.float64) for b in net.biases],
        source={**net.source, "copy": "float16"},
    )


def quantised(net: ReLUNetwork, *, bits: int = 8, per: ScalePer = "tensor") -> ReLUNetwork:
    """Weights rounded to integers of so many bits times a scale, symmetric about zero; biases stay.

    Parameters
    ----------
    net : ReLUNetwork
    bits : int
        From 2 to 16.
    per : {'tensor', 'channel'}
        One scale for a matrix, or one for each of its rows.

    Examples
    --------
    >>> import polyfiber as pf
    >>> from polyfiber.equivalence.copies import quantised
    >>> quantised(pf.ReLUNetwork([[[1.27, 0.304]]], [[0.0]])).weights[0].round(12).tolist()
    [[1.27, 0.3]]
    """
    if not 2 <= bits <= 16 or per not in ("tensor", "channel"):
        raise InputError(f"expected 2 to 16 bits, per 'tensor' or 'channel'; found {bits} bits, per {per!r}")
    net = net.rounded()
    most = 2 ** (bits - 1) - 1

    def rounded(W: FloatArray) -> FloatArray:
        top = np.abs(W).max(axis=1, keepdims=True) if per == "channel" else np.full((1, 1), np.abs(W).max())
        scale = np.where(top > 0, top / most, 1.0)
        return np.asarray(np.rint(W / scale) * scale)

    return ReLUNetwork(
        [rounded(W) for W in net.weights], net.biases, source={**net.source, "copy": f"int{bits} per {per}"}
    )


def pruned(net: ReLUNetwork, share: float) -> ReLUNetwork:
    """The smallest weights of every matrix set to zero: this share of them.

    Examples
    --------
    >>> import polyfiber as pf
    >>> from polyfiber.equivalence.copies import pruned
    >>> pruned(pf.ReLUNetwork([[[3.0, -1.0, 2.0, 0.5]]], [[0.0]]), 0.5).weights[0].tolist()
    [[3.0, 0.0, 2.0, 0.0]]
    """
    if not 0 <= share <= 1:
        raise InputError(f"a share lies between 0 and 1, found {share!r}")
    weights = []
    for W in net.rounded().weights:
        V = W.copy()
        gone = np.argsort(np.abs(W), axis=None, kind="stable")[: round(share * W.size)]
        V.ravel()[gone] = 0.0
        weights.append(V)
    return ReLUNetwork(weights, net.rounded().biases, source={**net.source, "copy": f"{100 * share:g} % pruned"})


def with_fewer_units(net: ReLUNetwork, share: float, X: FloatArray) -> ReLUNetwork:
    """The hidden units that move the next layer least on some inputs removed, this share of every layer; their mean
    goes to the biases.

    Parameters
    ----------
    net : ReLUNetwork
    share : float
    X : (k, n0) array
        Inputs by which units are judged.

    Examples
    --------
    >>> import numpy as np
    >>> import polyfiber as pf
    >>> from polyfiber.equivalence.copies import with_fewer_units
    >>> net = pf.ReLUNetwork.random((2, 8, 8, 1), rng=0)
    >>> with_fewer_units(net, 0.25, np.random.default_rng(0).uniform(-1, 1, (100, 2))).architecture
    (2, 6, 6, 1)
    """
    if not 0 <= share < 1:
        raise InputError(f"a share lies between 0 and 1, found {share!r}")
    net = net.rounded()
    weights, biases = [W.copy() for W in net.weights], [b.copy() for b in net.biases]
    y = np.asarray(unmasked(X), dtype=np.float64)
    for l in range(len(weights) - 1):
        y = np.maximum(y @ weights[l].T + biases[l], 0.0)
        n = len(biases[l])
        matter = y.std(axis=0) * np.abs(weights[l + 1]).sum(axis=0)
        kept = np.sort(np.argsort(-matter, kind="stable")[: max(1, n - int(share * n))])
        gone = np.setdiff1d(np.arange(n), kept)
        biases[l + 1] = biases[l + 1] + weights[l + 1][:, gone] @ y.mean(axis=0)[gone]
        weights[l], biases[l], weights[l + 1] = weights[l][kept], biases[l][kept], weights[l + 1][:, kept]
        y = y[:, kept]
    return ReLUNetwork(weights, biases, source={**net.source, "copy": f"{100 * share:g} % of the units removed"})


__all__ = ["half_precision", "pruned", "quantised", "with_fewer_units"]
