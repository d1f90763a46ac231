"""Floats for rationals: the nearest one, or one next to it on a given side.

A rational may lie beyond the floats, or between zero and the least of them. Here is the one place that says what
becomes of it: the nearest float keeps the sign (infinite above, the least positive float below), a float on one side of
a number is a bound of it wherever the number lies.
"""

from __future__ import annotations

import math
import sys
from fractions import Fraction
from typing import Any

import numpy as np

from .._typing import Array, FloatArray
from .rounding import LEAST

LARGEST = sys.float_info.max


def as_float(value: Any) -> float:
    """The nearest float of a number: infinite beyond the floats, and not zero where the number is not.

    Examples
    --------
    >>> as_float(Fraction(1, 3)), as_float(Fraction(-(10**400))), as_float(Fraction(1, 10**400))
    (0.3333333333333333, -inf, 5e-324)
    """
    try:
        return float(value) or (LEAST if value > 0 else -LEAST if value < 0 else 0.0)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def root(value: Fraction, *, up: bool = False, bits: int = 80) -> Fraction:
    """A rational below the square root of a rational, or above it, within a share ``2**(1 - bits)`` of it; zero below
    zero.

    Examples
    --------
    >>> root(Fraction(9, 4)), root(Fraction(2)) ** 2 < 2 < root(Fraction(2), up=True) ** 2
    (Fraction(3, 2), True)
    """
    if value <= 0:
        return Fraction(0)
    shift = max(0, bits - (value.numerator.bit_length() - value.denominator.bit_length()) // 2)
    scaled = value * (1 << (2 * shift))
    below = math.isqrt(scaled.numerator // scaled.denominator)
    return Fraction(below + 1 if up else below, 1 << shift)


def directed(value: Fraction, *, up: bool) -> float:
    """A float on one side of a number, the number itself where it is a float; infinite beyond the largest float.

    Examples
    --------
    >>> directed(Fraction(1, 3), up=False) < Fraction(1, 3) < directed(Fraction(1, 3), up=True)
    True
    >>> directed(Fraction(10**400), up=False)
    1.7976931348623157e+308
    """
    near = as_float(value)
    if math.isinf(near):
        return near if (near > 0) == up else math.copysign(LARGEST, near)
    if Fraction(near) == value or (Fraction(near) > value) == up:
        return near
    return math.nextafter(near, math.inf if up else -math.inf)


def upward(values: Array) -> FloatArray:
    """Floats of an array of rationals that are no smaller (infinite beyond the floats).

    Examples
    --------
    >>> upward(np.array([Fraction(1, 4), Fraction(10**400)], dtype=object))
    array([0.25,  inf])
    """
    found = np.empty(values.shape)
    for place, v in np.ndenumerate(values):
        found[place] = directed(v, up=True)
    return found


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
    return np.array([as_float(v) for v in values.ravel()], dtype=np.float64).reshape(values.shape)


def magnitudes_of(values: Array) -> FloatArray:
    """Absolute values as floats, to bound relative errors: infinite at rationals that are rounded below the normal
    floats.

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


__all__ = ["as_float", "directed", "magnitudes_of", "nearest", "nearest_floats", "upward"]
