"""Small array helpers that treat float64 and rational (object) arrays alike."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from .._typing import Array, FloatArray
from ..errors import InputError
from ..numerics import exact
from ..numerics.floats import nearest
from .model import ReLUNetwork

RANGE = 400.0
"""Powers of two that products may reach; floats end at 1023, and squares are taken."""


APART = 20
"""Powers of two between weights that a relative tolerance compares."""
TINIEST = 2.0**-1022
"""Smallest number that is rounded relatively."""


def is_rational(dtype: Any) -> bool:
    """Whether arrays of this dtype hold Fractions."""
    return bool(np.dtype(dtype).kind == "O")


@np.errstate(all="ignore")
def row_norms(W: FloatArray) -> FloatArray:
    """Euclidean norms along the last axis; no overflow or underflow of squares, zero rows give 0."""
    top = np.abs(W).max(axis=-1, initial=0.0)
    scale = np.ldexp(1.0, np.frexp(np.where(top > 0, top, 1.0))[1])
    unit = W / scale[..., None]
    result: FloatArray = scale * np.sqrt((unit * unit).sum(axis=-1))
    return result


def within_floats(net: ReLUNetwork) -> ReLUNetwork:
    """As `ReLUNetwork.rounded`, with one clear error.

    Raises
    ------
    InputError
        A parameter is beyond the range of floats, or too small to be rounded relatively.
    """
    rounded = net.rounded()
    if net.is_exact:
        for given, near in zip((*net.weights, *net.biases), (*rounded.weights, *rounded.biases)):
            small = np.abs(near) < TINIEST
            if small.any() and any(v != float(w) for v, w in zip(given[small].tolist(), near[small].tolist())):
                raise InputError(
                    "a parameter is below the range of floats, 2.2e-308; rescale the networks, both by the same factor"
                )
    return rounded


def values_in_floats(net: ReLUNetwork, what: str, *, squares: bool = False) -> ReLUNetwork:
    """As `within_floats`, where values at inputs of size 1 (and squares of them and of parameters) stay within floats
    as well.

    Raises
    ------
    InputError
        A parameter, or the sum of the terms of an output, is beyond the range of floats.
    """
    rounded = within_floats(net)
    y = np.ones(net.architecture[0])
    with np.errstate(all="ignore"):
        for W, b in zip(rounded.weights, rounded.biases):
            y = np.abs(W) @ y + np.abs(b)
            sizes = (y, (W * W).sum(), (y * y).sum()) if squares else (y,)
            if not all(np.isfinite(size).all() for size in sizes):
                raise InputError(
                    f"{what}: parameters whose products leave the range of floats; rescale neurons and outputs"
                )
    return rounded


def products_in_range(*nets: ReLUNetwork) -> bool:
    """Whether products of a parameter of each layer, sums and squares of them included, surely stay within the range of
    floats.

    Where they do not, numbers that are there may count as zero, and infinite ones as equal.

    Examples
    --------
    >>> import polyfiber as pf
    >>> from polyfiber.network.float_or_rational import products_in_range
    >>> net = pf.ReLUNetwork([[[1e-200]], [[1.0]]], [[0], [0]])
    >>> products_in_range(net), products_in_range(pf.ReLUNetwork.random((2, 9, 9, 1), rng=0))
    (False, True)
    """
    for net in nets:
        low = high = 0.0
        for W, b in zip(net.weights, net.biases):
            tops = np.maximum(np.abs(W).max(axis=1), np.abs(b)).astype(np.float64)
            tops = tops[tops > 0]
            if len(tops):
                low += min(0.0, float(np.log2(tops.min())))
                high += max(0.0, float(np.log2(tops.max())))
        if not (low > -RANGE and high < RANGE):
            return False
    return True


@np.errstate(all="ignore")
def levelled(net: ReLUNetwork) -> ReLUNetwork:
    """In floats, with neurons and outputs rescaled by powers of two so that the largest weight of each row is of size
    one; what is 2^1022 times smaller is lost, biases above 2^1000 are that.
    """
    weights, biases = [], []
    before: Any = 0
    for W, b in zip(net.weights, net.biases):
        parts, powers = np.frexp(nearest(W))
        powers = powers + before
        before = np.where(parts != 0, powers, -5000).max(axis=1)
        before = np.where(before > -5000, before, 0)
        weights.append(np.ldexp(parts, powers - before[:, None]))
        biases.append(np.clip(np.ldexp(nearest(b), -before), -(2.0**1000), 2.0**1000))
    return ReLUNetwork(weights, biases)


def all_in_range(net: ReLUNetwork) -> bool:
    """As `products_in_range`, of the weights by themselves as well: a bias may hide a row that is tiny or huge."""
    bare = ReLUNetwork(net.weights, [0 * b for b in net.biases])
    return products_in_range(net) and products_in_range(bare)


def far_apart(net: ReLUNetwork, bits: int = APART) -> bool:
    """Whether weights of one neuron, or what the neurons of a layer add to the next, differ by a factor of ``2^bits``.

    There what is small beside the largest is not zero for it, and a tolerance relative to the largest says little.
    """
    for W, b, C in zip(net.weights, net.biases, net.weights[1:]):
        rows = np.frexp(np.concatenate([W, b[:, None]], axis=1).astype(np.float64))
        there = rows[0] != 0
        high = np.where(there, rows[1], -5000).max(axis=1)
        if ((high[:, None] - rows[1] > bits) & there).any():
            return True
        after = np.frexp(C.astype(np.float64))
        read = (after[0] != 0) & (high > -5000)
        sizes = (after[1] + high)[read]
        if sizes.size and sizes.max() - sizes.min() > bits:
            return True
    return False


def gauge_norms(W: FloatArray) -> FloatArray:
    """Row norms to divide by; 1 where a row is zero or too extreme for a division by its norm."""
    norms = row_norms(W)
    result: FloatArray = np.where((norms > 2.0**-400) & (norms < 2.0**400), norms, 1.0)
    return result


def activation_scales(net: ReLUNetwork) -> list[FloatArray]:
    """Sizes of the activations of every layer per unit of the inputs: (n_l,) for l = 0, …, L - 1.

    Row norms in the gauge of the layers before; under the positive scalings they change as the activations
    do, so what is compared after multiplying columns by them does not depend on the scaling.
    """
    scales = [np.ones(net.architecture[0])]
    for W, b in zip(net.weights[:-1], net.biases[:-1]):
        with np.errstate(over="ignore", under="ignore"):
            size = row_norms(W.astype(np.float64) * scales[-1])
            size = np.where(size > 0, size, np.abs(b.astype(np.float64)))
        scales.append(np.where((size > 0) & np.isfinite(size), size, 1.0))
    return scales


def lengths(W: Array) -> Array:
    """Euclidean norms of rows (floats), largest absolute entries (rationals); never zero."""
    if W.dtype == object:
        return np.array([max((abs(v) for v in row), default=Fraction(0)) or Fraction(1) for row in W], dtype=object)
    return gauge_norms(W)


def clean(matrix: FloatArray, scale: float) -> FloatArray:
    """Zero where everything is rounding of terms of size ``scale``."""
    return np.zeros_like(matrix) if largest(matrix) <= 1e-12 * scale else matrix


def largest(array: Array) -> float:
    return float(np.abs(nearest(array)).max()) if array.size else 0.0


def ratio(part: Array, whole: Array) -> float:
    """The largest entry of one array over that of another: 0 for zero alone, also where rationals leave the floats."""
    if part.dtype != object:
        size = largest(whole)
        return largest(part) / size if size > 0 else 0.0
    most, all_of_it = (max((abs(v) for v in a.ravel()), default=Fraction(0)) for a in (part, whole))
    return max(float(Fraction(most) / all_of_it), 5e-324) if most and all_of_it else 0.0


def nonzero(row: Array) -> bool:
    return any(v != 0 for v in row)


def fractions(values: Any) -> Array:
    return exact.as_fractions(values)


def zeros(shape: Any, dtype: Any) -> Array:
    return np.full(shape, Fraction(0), dtype=object) if is_rational(dtype) else np.zeros(shape)


def ones(shape: Any, dtype: Any) -> Array:
    return np.full(shape, Fraction(1), dtype=object) if is_rational(dtype) else np.ones(shape)


def draw(
    generator: np.random.Generator, shape: Any, dtype: Any, *, positive: bool = False, uniform: bool = False
) -> Array:
    """Normal, exponential (positive) or uniform numbers; rationals with denominator 1024."""
    if uniform:
        values = generator.uniform(0.0, 1.0, shape)
    elif positive:
        values = generator.exponential(1.0, shape) + 1e-3
    else:
        values = generator.standard_normal(shape)
    if is_rational(dtype):
        result = np.empty(values.shape, dtype=object)
        for index, value in np.ndenumerate(values):
            result[index] = Fraction(int(value * 1024) or 1, 1024)
        return result
    return values
