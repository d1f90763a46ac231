"""Small array helpers that treat float64 and rational (object) arrays alike."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from .._typing import Array, FloatArray
from ..numerics import exact


def is_rational(dtype: Any) -> bool:
    """Whether arrays of this dtype hold Fractions."""
    return bool(np.dtype(dtype).kind == "O")


def lengths(W: Array) -> Array:
    """Euclidean norms of rows (floats), largest absolute entries (rationals); never zero."""
    if W.dtype == object:
        return np.array([max((abs(v) for v in row), default=Fraction(0)) or Fraction(1) for row in W], dtype=object)
    norms = np.sqrt((W * W).sum(axis=1))
    result: Array = np.where(norms > 0, norms, 1.0)
    return result


def clean(matrix: FloatArray, scale: float) -> FloatArray:
    """Zero where everything is rounding of terms of size ``scale``."""
    return np.zeros_like(matrix) if largest(matrix) <= 1e-12 * scale else matrix


def largest(array: Array) -> float:
    return float(np.abs(array.astype(np.float64)).max()) if array.size else 0.0


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
