"""Singular frames and divided differences of powers, finite where singular values meet or vanish.

All spectral quantities of the deep linear network are divided differences: quotients
``(f(x) - f(y)) / (g(x) - g(y))`` with f, g powers of singular values. They are written here through
``expm1`` of the log-ratio, with series where the quotient would lose its digits, so that nothing
downstream ever divides zero by zero.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .._typing import FloatArray, IntArray
from ..words import one_line
from ._inputs import RANK_TOLERANCE, as_matrix, as_positive, transpose


@dataclass(frozen=True)
class SingularFrame:
    """A full singular value decomposition ``W = U diag(sigma) V^T`` with round-off values set to zero.

    Attributes
    ----------
    left : float64 (..., m, m)
        U; columns are left singular vectors.
    values : float64 (..., min(m, n))
        Singular values, decreasing; those below ``tolerance * values[0]`` are exactly zero.
    right : float64 (..., n, n)
        V; columns are right singular vectors.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.dln import singular_frame
    >>> frame = singular_frame(np.diag([3.0, 1.0]))
    >>> frame.values, int(frame.rank)
    (array([3., 1.]), 2)
    """

    __repr__ = one_line

    left: FloatArray
    values: FloatArray
    right: FloatArray

    @property
    def rank(self) -> IntArray:
        """Number of singular values that are not zero, shape (...)."""
        return np.asarray((self.values > 0).sum(axis=-1), dtype=np.int64)

    @property
    def row_values(self) -> FloatArray:
        """Singular values padded with zeros to m."""
        return _pad(self.values, self.left.shape[-1])

    @property
    def column_values(self) -> FloatArray:
        """Singular values padded with zeros to n."""
        return _pad(self.values, self.right.shape[-1])

    def into(self, Z: FloatArray) -> FloatArray:
        """Coordinates ``U^T Z V`` of matrices in this frame."""
        return transpose(self.left) @ Z @ self.right

    def out(self, Z: FloatArray) -> FloatArray:
        """The matrix ``U Z V^T`` with given coordinates."""
        return self.left @ Z @ transpose(self.right)


def singular_frame(W: npt.ArrayLike, *, tolerance: float = RANK_TOLERANCE) -> SingularFrame:
    """Full SVD of a matrix or a batch, singular values at round-off level set to zero.

    Parameters
    ----------
    W : array_like (..., m, n)
    tolerance : float
        Relative threshold below which a singular value is taken as an exact zero.

    Raises
    ------
    InputError
        If W is not finite. ShapeError if it is not a matrix.

    Notes
    -----
    Cost: one full SVD per matrix.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.dln import singular_frame
    >>> int(singular_frame(np.array([[1.0, 1.0], [1.0, 1.0 + 1e-16]])).rank)
    1
    """
    matrix = as_matrix(W)
    threshold = as_positive(tolerance, name="tolerance", zero=True)
    left, values, right = np.linalg.svd(matrix, full_matrices=True)
    values = np.where(values > threshold * values[..., :1], values, 0.0)
    return SingularFrame(left, values, transpose(right))


def _pad(values: FloatArray, size: int) -> FloatArray:
    missing = size - values.shape[-1]
    if missing == 0:
        return values
    return np.concatenate([values, np.zeros((*values.shape[:-1], missing))], axis=-1)


def log_ratio(x: FloatArray, y: FloatArray) -> FloatArray:
    """``log(x / y)`` for non-negative x, y: exact at x = y (also 0/0), -inf at x = 0, +inf at y = 0.

    For x, y within a factor two the difference x - y is exact and ``log1p`` keeps all digits.
    """
    x, y = np.broadcast_arrays(np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        small = np.minimum(x, y)
        large = np.maximum(x, y)
        near = np.log1p(-(large - small) / large)
        far = np.log(small) - np.log(large)
        value = np.where(small > 0.5 * large, near, far)
    value = np.where(x == y, 0.0, value)
    return np.where(x < y, value, -value)


def expm1_quotient(a: float, b: float, u: FloatArray) -> FloatArray:
    """``expm1(a u) / expm1(b u)`` for u <= 0 and a, b >= 0 not both zero; a/b at u = 0, limits at -inf."""
    u = np.asarray(u, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        top = np.expm1(a * u) if a > 0 else np.zeros_like(u)
        bottom = np.expm1(b * u) if b > 0 else u
        value = top / bottom
    limit = a / b if b > 0 else a
    return np.where(u == 0.0, limit, value)


def operator_coefficients(x: FloatArray, y: FloatArray, depth: float) -> FloatArray:
    """Eigenvalues ``a_kl`` of the operator A_{N,W} on ``u_k v_l^T``.

    ``a = sum_p x^{2(N-p)/N} y^{2(p-1)/N} = (x^2 - y^2) / (x^{2/N} - y^{2/N})``; for infinite depth the limit
    ``a/N -> (x^2 - y^2) / (2 log(x/y))``. With the convention 0^0 = 1.

    Parameters
    ----------
    x, y : float64, broadcastable
        Non-negative singular values.
    depth : int or inf

    Notes
    -----
    Menon (arXiv 2411.09004), Lemma 1 and (7.13); limit (14.8).
    """
    x, y = np.broadcast_arrays(np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64))
    large = np.maximum(x, y)
    u = -np.abs(log_ratio(x, y))
    if math.isinf(depth):
        return 0.5 * large**2 * expm1_quotient(2.0, 0.0, u)
    return large ** (2.0 - 2.0 / depth) * expm1_quotient(2.0, 2.0 / depth, u)


def power_difference(x: FloatArray, y: FloatArray, alpha: float) -> FloatArray:
    """Loewner quotient ``(x^{2 alpha} - y^{2 alpha}) / (x^2 - y^2)``, ``alpha x^{2 alpha - 2}`` at x = y.

    For 0 <= alpha <= 1 and positive values; the first divided difference of t -> t^alpha at x^2, y^2
    (the derivative of a matrix power in an eigenbasis, Daletskii-Krein).
    """
    x, y = np.broadcast_arrays(np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64))
    if alpha == 0:
        return np.zeros_like(x)
    large = np.maximum(x, y)
    u = -2.0 * np.abs(log_ratio(x, y))
    return large ** (2.0 * alpha - 2.0) * expm1_quotient(alpha, 1.0, u)


def repulsion(u: FloatArray, depth: float) -> FloatArray:
    """The function K with ``d log a / d log x = K(log(x/y))``: how entropy pushes one singular value from another.

    ``K(u) = 2/(1 - e^{-2u}) - (2/N)/(1 - e^{-2u/N})``; ``K(0) = 1 - 1/N``, ``K(-inf) = 0``, ``K(inf) = 2 - 2/N``;
    infinite depth: ``2/(1 - e^{-2u}) - 1/u``. Series for |u| < 0.1, where the two terms cancel.
    """
    u = np.asarray(u, dtype=np.float64)
    r = 0.0 if math.isinf(depth) else 1.0 / depth
    near = np.abs(u) < 0.1
    v = np.where(near, u, 0.0)
    v2 = v * v
    # even Bernoulli numbers B_2j / (2j)! times 2^{2j} (1 - r^{2j})
    tail = v2 * ((1.0 - r**8) / 4725.0 - v2 * (2.0 * (1.0 - r**10) / 93555.0))
    inner = v2 * ((1.0 - r**4) / 45.0 - v2 * (2.0 * (1.0 - r**6) / 945.0 - tail))
    series = (1.0 - r) + v * ((1.0 - r**2) / 3.0 - inner)
    w = np.where(near, 1.0, u)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        if r == 0.0:
            value = -2.0 / np.expm1(-2.0 * w) - 1.0 / w
        else:
            value = -2.0 / np.expm1(-2.0 * w) + 2.0 * r / np.expm1(-2.0 * r * w)
    return np.where(near, series, value)
