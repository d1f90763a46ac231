"""Exact linear algebra over the rationals.

Matrices are object arrays of ``Fraction``. With python-flint installed the elimination runs in
FLINT; without it in Python integers, fraction free (Bareiss 1968). Both give the same numbers.
"""

from __future__ import annotations

import functools
import math
from fractions import Fraction
from typing import Any

import numpy as np

from .._typing import Array
from .._values.checked import unmasked
from ..budget import heed
from ..errors import InputError, ShapeError

HEARD = 4096
"""Numbers that are turned into fractions between two looks at the time: what is small is not stopped."""
PRIME = 2**31 - 1
"""Default prime of the modular routines; 2 is invertible modulo it, so every float has a residue."""


@functools.cache
def _flint() -> Any:
    try:
        import flint
    except ImportError:
        return None
    return flint


def has_flint() -> bool:
    """Whether python-flint does the eliminations."""
    return _flint() is not None


def as_fractions(values: Any, *, where: str = "the array") -> Array:
    """Object array of ``Fraction`` with the exact values of the input.

    Parameters
    ----------
    values : array_like of finite real numbers, ``Fraction`` or ``flint.fmpq``
    where : str
        Name of the array in error messages.

    Raises
    ------
    InputError
        Non-finite entries or entries that are not numbers.

    Examples
    --------
    >>> from polyfiber.numerics.exact import as_fractions
    >>> as_fractions([0.5, 3])
    array([Fraction(1, 2), Fraction(3, 1)], dtype=object)
    """
    array = np.asarray(unmasked(values))
    result = np.empty(array.shape, dtype=object)
    for count, (index, value) in enumerate(np.ndenumerate(array), 1):
        if not count % HEARD:
            heed("exact arithmetic")
        if isinstance(value, Fraction):
            result[index] = value
        elif hasattr(value, "p") and hasattr(value, "q"):
            result[index] = Fraction(int(value.p), int(value.q))
        else:
            try:
                plain = value.item() if isinstance(value, np.generic) else value
                wide = isinstance(plain, np.floating)  # longdouble
                result[index] = Fraction(*plain.as_integer_ratio()) if wide else Fraction(plain)
            except (TypeError, ValueError, OverflowError):
                raise InputError(f"{where} holds {value!r} at {index}; expected finite real numbers") from None
    return result


def _matrix(values: Any) -> Array:
    array = np.asarray(values)
    if array.ndim != 2:
        raise ShapeError(f"expected a matrix, found shape {array.shape}")
    return as_fractions(array, where="the matrix")


def _to_flint(matrix: Array) -> Any:
    flint = _flint()
    entries = [flint.fmpq(v.numerator, v.denominator) for v in matrix.ravel()]
    return flint.fmpq_mat(*matrix.shape, entries)


def _from_flint(matrix: Any) -> Array:
    result = np.empty((matrix.nrows(), matrix.ncols()), dtype=object)
    for i in range(matrix.nrows()):
        for j in range(matrix.ncols()):
            value = matrix[i, j]
            result[i, j] = Fraction(int(value.p), int(value.q))
    return result


def _integer_rows(matrix: Array) -> list[list[int]]:
    rows = []
    for row in matrix:
        common = math.lcm(*(v.denominator for v in row)) if len(row) else 1
        ints = [v.numerator * (common // v.denominator) for v in row]
        divisor = math.gcd(*ints) if ints else 1
        rows.append([v // divisor for v in ints] if divisor > 1 else ints)
    return rows


def _bareiss(rows: list[list[int]], columns: int) -> tuple[list[int], int]:
    """Row echelon form in place, fraction free; (pivot columns, sign of the row exchanges)."""
    pivots: list[int] = []
    sign, previous, top = 1, 1, 0
    for column in range(columns):
        best = next((i for i in range(top, len(rows)) if rows[i][column]), None)
        if best is None:
            continue
        if best != top:
            rows[top], rows[best] = rows[best], rows[top]
            sign = -sign
        pivot_row, pivot = rows[top], rows[top][column]
        for i in range(top + 1, len(rows)):
            row, factor = rows[i], rows[i][column]
            rows[i] = [(pivot * row[j] - factor * pivot_row[j]) // previous for j in range(len(row))]
        previous = pivot
        pivots.append(column)
        top += 1
        if top == len(rows):
            break
    return pivots, sign


def rref(matrix: Any) -> tuple[Array, tuple[int, ...]]:
    """Reduced row echelon form over the rationals.

    Returns
    -------
    reduced : (rank, n) object array of Fraction
        The non-zero rows.
    pivots : tuple of int
        Pivot columns.

    Examples
    --------
    >>> from polyfiber.numerics.exact import rref
    >>> rref([[2, 4], [1, 2]])
    (array([[Fraction(1, 1), Fraction(2, 1)]], dtype=object), (0,))
    """
    array = _matrix(matrix)
    if 0 in array.shape:
        return np.empty((0, array.shape[1]), dtype=object), ()
    if has_flint():
        reduced, size = _to_flint(array).rref()
        result = _from_flint(reduced)[: int(size)]
        return result, tuple(next(j for j, v in enumerate(row) if v) for row in result)
    rows = _integer_rows(array)
    pivots, _ = _bareiss(rows, array.shape[1])
    result = as_fractions(np.array([[Fraction(v) for v in row] for row in rows[: len(pivots)]], dtype=object))
    result = result.reshape(len(pivots), array.shape[1])
    for top in reversed(range(len(pivots))):
        result[top] = result[top] / result[top, pivots[top]]
        for i in range(top):
            if result[i, pivots[top]]:
                result[i] = result[i] - result[i, pivots[top]] * result[top]
    return result, tuple(pivots)


def rank(matrix: Any) -> int:
    """Rank over the rationals.

    Examples
    --------
    >>> from polyfiber.numerics.exact import rank
    >>> rank([[0.1, 0.2], [0.2, 0.4]])
    1
    """
    array = _matrix(matrix)
    if 0 in array.shape:
        return 0
    if has_flint():
        return int(_to_flint(array).rref()[1])
    return len(_bareiss(_integer_rows(array), array.shape[1])[0])


def nullspace(matrix: Any) -> Array:
    """Basis of the null space as columns: (n, n - rank) object array of Fraction."""
    array = _matrix(matrix)
    reduced, pivots = rref(array)
    n = array.shape[1]
    free = [j for j in range(n) if j not in pivots]
    basis = np.full((n, len(free)), Fraction(0), dtype=object)
    for k, j in enumerate(free):
        basis[j, k] = Fraction(1)
        for i, pivot in enumerate(pivots):
            basis[pivot, k] = -reduced[i, j]
    return basis


def solve(matrix: Any, right: Any) -> Array | None:
    """One exact solution of ``matrix @ x = right``, or None if there is none.

    Parameters
    ----------
    matrix : (m, n) array_like
    right : (m,) or (m, k) array_like

    Returns
    -------
    (n,) or (n, k) object array of Fraction, or None
        Free variables are zero.
    """
    array = _matrix(matrix)
    values = as_fractions(right, where="the right-hand side")
    columns = values.reshape(values.shape[0], -1)
    if columns.shape[0] != array.shape[0]:
        raise ShapeError(f"a matrix of shape {array.shape} does not fit a right-hand side of shape {values.shape}")
    n = array.shape[1]
    reduced, pivots = rref(np.concatenate([array, columns], axis=1))
    if any(p >= n for p in pivots):
        return None
    result = np.full((n, columns.shape[1]), Fraction(0), dtype=object)
    for i, pivot in enumerate(pivots):
        result[pivot] = reduced[i, n:]
    return result.reshape((n, *values.shape[1:]))


def inverse(matrix: Any) -> Array:
    """Exact inverse.

    Raises
    ------
    InputError
        The matrix is singular; the message says by how much.
    """
    array = _matrix(matrix)
    n = array.shape[0]
    if array.shape != (n, n):
        raise ShapeError(f"only square matrices have inverses; found shape {array.shape}")
    identity = np.full((n, n), Fraction(0), dtype=object)
    for i in range(n):
        identity[i, i] = Fraction(1)
    result = solve(array, identity)
    if result is None:
        raise InputError(f"the {n}x{n} matrix is singular: its rank is {rank(array)}")
    return result


def determinant(matrix: Any) -> Fraction:
    """Exact determinant.

    Examples
    --------
    >>> from polyfiber.numerics.exact import determinant
    >>> determinant([[1, 2], [3, 4]])
    Fraction(-2, 1)
    """
    array = _matrix(matrix)
    n = array.shape[0]
    if array.shape != (n, n):
        raise ShapeError(f"only square matrices have determinants; found shape {array.shape}")
    if n == 0:
        return Fraction(1)
    if has_flint():
        value = _to_flint(array).det()
        return Fraction(int(value.p), int(value.q))
    scale = Fraction(1)
    rows = []
    for row in array:
        common = math.lcm(*(v.denominator for v in row))
        scale /= common
        rows.append([v.numerator * (common // v.denominator) for v in row])
    pivots, sign = _bareiss(rows, n)
    return scale * sign * rows[-1][-1] if len(pivots) == n else Fraction(0)


def residues(values: Any, prime: int = PRIME) -> Array:
    """Residues of rationals modulo a prime: int64 array of the same shape.

    A float is the dyadic rational that it stores. The map is a ring homomorphism wherever the
    denominators are prime to ``prime``, so a rank modulo ``prime`` never exceeds the true rank.

    Raises
    ------
    InputError
        A denominator divisible by ``prime``.
    """
    array = np.asarray(values)
    if array.dtype != object:
        return _float_residues(np.asarray(array, dtype=np.float64), prime)
    result = np.empty(array.shape, dtype=np.int64)
    for index, value in np.ndenumerate(as_fractions(array)):
        if value.denominator % prime == 0:
            raise InputError(f"{value} has no residue modulo {prime}; choose another prime")
        result[index] = value.numerator * pow(value.denominator, -1, prime) % prime
    return result


def _float_residues(array: Array, prime: int) -> Array:
    if not np.isfinite(array).all():
        raise InputError("residues of non-finite numbers are not defined")
    mantissa, exponent = np.frexp(array)
    integers = np.ldexp(mantissa, 53).astype(np.int64) % prime
    lowest, highest = (int(exponent.min()) - 53, int(exponent.max()) - 53) if array.size else (0, 0)
    powers = np.array([pow(2, e, prime) for e in range(lowest, highest + 1)], dtype=np.int64)
    factor = powers[exponent - 53 - lowest] if array.size else powers
    return (integers.astype(np.uint64) * factor.astype(np.uint64) % np.uint64(prime)).astype(np.int64)
