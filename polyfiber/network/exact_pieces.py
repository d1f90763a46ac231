"""The affine pieces of a network in rational and in integer arithmetic."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from .._typing import Array
from ..budget import heed
from ..numerics import exact
from .model import ReLUNetwork

_PART = 1 << 17
"""Products of integers between two looks at the clock: a few hundredths of a second."""


def exact_pieces(net: ReLUNetwork, active: Array) -> list[Array]:
    """Rational forms (n_l, n0 + 1) of every layer on one activation pattern (N,) of booleans."""
    n0 = net.architecture[0]
    current = exact.as_fractions(np.concatenate([np.eye(n0), np.zeros((n0, 1))], axis=1))
    forms, column = [], 0
    for layer, (W, b) in enumerate(zip(net.weights, net.biases)):
        form = W @ current
        form[:, -1] = form[:, -1] + b
        forms.append(form)
        if layer < len(net.weights) - 1:
            on = active[column : column + len(b)]
            column += len(b)
            current = form * np.array([Fraction(int(v)) for v in on], dtype=object)[:, None]
    return forms


def integer_layers(net: ReLUNetwork) -> tuple[list[Array], list[Array]]:
    """Weights and biases as integers: layer l multiplied by the denominators of layers 1 to l.

    Activation patterns stay, and the map on a pattern is a positive multiple of the true one.
    """
    weights, biases, carried = [], [], 1
    for W, b in zip(net.weights, net.biases):
        heed("exact arithmetic")
        scale = math.lcm(*(v.denominator for v in W.ravel()), *((v * carried).denominator for v in b))
        weights.append(_integers(W, scale))
        biases.append(_integers(b, scale * carried))
        carried *= scale
    return weights, biases


def _integers(values: Array, scale: int) -> Array:
    result = np.empty(values.shape, dtype=object)
    for index, value in np.ndenumerate(values):
        if not any(index[1:]):
            heed("exact arithmetic")
        result[index] = int(value * scale)
    return result


def _in_parts(left: Array, right: Array) -> Array:
    """Product of integers, a few rows at a time, so that a budget is heard."""
    step = max(1, _PART // max(1, right.size))
    parts = []
    for i in range(0, len(left), step):
        heed("exact arithmetic")
        parts.append(left[i : i + step] @ right)
    return np.concatenate(parts) if parts else left @ right


def integer_map(weights: list[Array], biases: list[Array], active: Array) -> Array:
    """The affine map (nL, n0 + 1) of `integer_layers` on one activation pattern (N,) of booleans."""
    form, column = np.concatenate([weights[0], biases[0][:, None]], axis=1), 0
    for W, b in zip(weights[1:], biases[1:]):
        on = np.flatnonzero(active[column : column + len(form)])
        column += len(form)
        if len(on):
            form = _in_parts(W[:, on], form[on])
        else:
            form = np.zeros((len(W), form.shape[1]), dtype=object)
        form[:, -1] += b
    return form
