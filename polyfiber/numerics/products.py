"""Products of matrices of rationals, as products of integers over common denominators."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from .._typing import Array, FloatArray


def over_common(values: Array) -> tuple[Array, int]:
    """Integers (dtype object) and one positive denominator of an array of Fractions."""
    flat = values.ravel().tolist()
    denominator = math.lcm(*{f.denominator for f in flat}) if flat else 1
    integers = np.empty(len(flat), dtype=object)
    integers[:] = [f.numerator * (denominator // f.denominator) for f in flat]
    return integers.reshape(values.shape), denominator


def exact_product(left: Array, right: Array) -> Array:
    """Product of two matrices of Fractions.

    Examples
    --------
    >>> from polyfiber.numerics.exact import as_fractions
    >>> exact_product(as_fractions([[0.5, 1]]), as_fractions([[2], [0.25]]))
    array([[Fraction(5, 4)]], dtype=object)
    """
    if 0 in left.shape or 0 in right.shape:
        return np.full((left.shape[0], right.shape[1]), Fraction(0), dtype=object)
    a, below_a = over_common(left)
    b, below_b = over_common(right)
    product = np.asarray(a @ b, dtype=object)
    denominator = below_a * below_b
    out = np.empty(product.shape, dtype=object)
    for index, value in np.ndenumerate(product):
        out[index] = Fraction(int(value), denominator)
    return out


def nearest(values: Array) -> FloatArray:
    """float64 copy of numbers. Rationals keep their sign: beyond the range they are infinite, and below it not 0.

    Examples
    --------
    >>> from fractions import Fraction
    >>> nearest(np.array([Fraction(1, 3), Fraction(-(10**400)), Fraction(1, 10**400)]))
    array([3.33333333e-001,            -inf, 4.94065646e-324])
    """
    if values.dtype != object:
        return values.astype(np.float64)
    return np.array([_nearest(v) for v in values.ravel()], dtype=np.float64).reshape(values.shape)


def _nearest(value: Fraction) -> float:
    try:
        return float(value) or ((value > 0) * 5e-324 - (value < 0) * 5e-324)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def magnitudes_of(values: Array) -> FloatArray:
    """Absolute values as floats, to bound relative errors: infinite at rationals that are rounded below the normal floats.

    Examples
    --------
    >>> from fractions import Fraction
    >>> magnitudes_of(np.array([Fraction(-1, 3), Fraction(1, 10**400)]))
    array([0.33333333,        inf])
    """
    sizes = np.abs(nearest(values))
    for index in np.argwhere((sizes > 0) & (sizes < 2.0**-1022)) if values.dtype == object else ():
        if Fraction(sizes[tuple(index)]) != abs(values[tuple(index)]):
            sizes[tuple(index)] = np.inf
    return sizes


def nearest_floats(values: Array) -> tuple[FloatArray, float]:
    """Nearest float64 of each Fraction, and an upper bound on the largest distance (0 only where all are exact).

    Raises
    ------
    OverflowError
        A number beyond float64.
    """
    floats = np.array([float(v) for v in values.ravel()]).reshape(values.shape)
    worst = max((abs(v - Fraction(f)) for v, f in zip(values.ravel(), floats.ravel().tolist())), default=Fraction(0))
    return floats, math.nextafter(float(worst), math.inf) if worst else 0.0


__all__ = ["exact_product", "magnitudes_of", "nearest", "nearest_floats", "over_common"]
