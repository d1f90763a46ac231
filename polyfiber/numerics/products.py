"""Products of matrices of rationals, as products of integers over common denominators."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from .._typing import Array


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


def values_at(forms: Array, x: Array) -> Array:
    """Values (m,) of affine forms (m, n + 1), constant last, at a point (n,); all Fractions.

    Examples
    --------
    >>> from polyfiber.numerics.exact import as_fractions
    >>> print(*values_at(as_fractions([[0.5, 1, 3], [1, 0, 0]]), as_fractions([1, 2])))
    11/2 1
    """
    column = np.array([[*x.tolist(), Fraction(1)]], dtype=object).T
    result: Array = exact_product(forms, column)[:, 0]
    return result


__all__ = ["exact_product", "over_common", "values_at"]
