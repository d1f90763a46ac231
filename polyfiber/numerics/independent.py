"""Independent rows and columns of a matrix, certified: in floats where they suffice, exactly where not."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import scipy.linalg

from .._typing import Array, IntArray
from ..budget import heed
from .floats import nearest
from .rounding import UNIT

NEAR = 1 << 10
"""A pivot may be smaller than the largest entry by this factor."""


LARGE = 256
"""Rows and columns from which on LU is tried first, which takes a tenth of the time of a pivoted QR."""


def certainly_invertible(matrix: Array) -> bool:
    """Whether a float matrix is invertible for sure: an approximate inverse with residual below 1/2."""
    n = matrix.shape[0]
    if n == 0:
        return True
    try:
        inverse = np.linalg.inv(matrix)
    except np.linalg.LinAlgError:
        return False
    with np.errstate(all="ignore"):
        residual = np.abs(inverse @ matrix - np.eye(n)) + (n + 2) * UNIT * (np.abs(inverse) @ np.abs(matrix))
        return bool(residual.sum(axis=1).max() < 0.5)


def _by_lu(matrix: Array) -> IntArray | None:
    """Rows of a large tall matrix whose rank is that of its columns, by pivots; None where they are too small to
    tell.
    """
    m, n = matrix.shape
    if not LARGE <= n <= m:
        return None
    factors, swaps, _ = scipy.linalg.lapack.dgetrf(matrix)
    diagonal = np.abs(np.diag(factors))
    if not diagonal.min() > 1e-9 * diagonal.max():
        return None
    order: IntArray = np.arange(m)
    for i, j in enumerate(swaps.tolist()):
        order[[i, j]] = order[[j, i]]
    return order[:n]


@np.errstate(under="ignore")
def _pivot_rows(matrix: Array, n_first: int) -> IntArray:
    """Row order by pivoted QR, the first ``n_first`` rows before the others."""
    m, n = matrix.shape
    scale = np.abs(matrix).max(axis=1)
    scaled = matrix / np.where(scale > 0, scale, 1.0)[:, None]
    rows = _by_lu(scaled[: n_first or m])
    if rows is not None:
        return rows
    if m < n and n_first == 0 and _by_lu(scaled.T) is not None:
        return np.arange(m)
    if n_first == 0:
        return scipy.linalg.qr(scaled.T, mode="r", pivoting=True)[1][: min(m, n)]
    head = scipy.linalg.qr(scaled[:n_first].T, mode="economic", pivoting=True)
    diagonal = np.abs(np.diag(head[1]))
    rank = int((diagonal > 1e-9 * max(1e-300, diagonal.max(initial=0.0))).sum())
    chosen = head[2][:rank]
    if rank < n and m > n_first:
        q = head[0][:, :rank]
        rest = scaled[n_first:] - (scaled[n_first:] @ q) @ q.T
        order = scipy.linalg.qr(rest.T, mode="r", pivoting=True)[1]
        chosen = np.concatenate([chosen, n_first + order[: n - rank]])
    return chosen


def independent_columns(matrix: Array, *, n_first: int = 0) -> tuple[IntArray, IntArray]:
    """Columns and rows of a non-singular submatrix of the exact rank of the matrix.

    Parameters
    ----------
    matrix : (m, n) array, float64 or Fractions
    n_first : int
        Rows that are preferred: as many of the first ``n_first`` rows as their rank allows.

    Returns
    -------
    columns, rows : int arrays of one length r, the exact rank
        ``matrix[rows][:, columns]`` is invertible.

    Notes
    -----
    Decided in floating point when an approximate inverse certifies full rank, exactly otherwise.
    """
    m, n = matrix.shape
    if m == 0 or n == 0:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    floats = nearest(matrix)
    if np.isfinite(floats).all():
        heed("finding independent rows")
        rows = _pivot_rows(floats, n_first)
        heed("finding independent rows")
        columns = np.arange(n)
        if len(rows) < n:
            chosen = _by_lu(floats[rows].T)
            if chosen is None:
                chosen = scipy.linalg.qr(floats[rows], mode="r", pivoting=True)[1][: len(rows)]
            columns = np.sort(chosen)
            heed("finding independent rows")
        full = len(rows) == min(m, n)
        if full and matrix.dtype != object and certainly_invertible(floats[rows][:, columns]):
            return columns.astype(np.int64), rows.astype(np.int64)
        candidates = [*rows.tolist(), *(i for i in range(m) if i not in set(rows.tolist()))]
        order = [int(c) for c in columns] + [c for c in range(n) if c not in set(columns.tolist())]
    else:
        candidates, order = list(range(m)), list(range(n))
    return _independent_exact(matrix, candidates, order)


def independent_in_order(matrix: Array, candidates: list[int]) -> tuple[IntArray, IntArray]:
    """`independent_columns` where the first rows that are independent of those before them are taken, exactly."""
    return _independent_exact(matrix, candidates, list(range(matrix.shape[1])))


def _independent_exact(matrix: Array, candidates: list[int], order: list[int]) -> tuple[IntArray, IntArray]:
    """Greedy exact elimination: rows in the order of ``candidates``, columns by ``order``."""
    reduced: list[tuple[int, list[Fraction]]] = []
    rows: list[int] = []
    for i in candidates:
        row = [Fraction(matrix[i, c]) for c in order]
        for pivot, other in reduced:
            factor = row[pivot]
            if factor != 0:
                heed("exact arithmetic")
                row = [a - factor * b for a, b in zip(row, other)]
        largest = max(map(abs, row), default=Fraction(0))
        if largest == 0:
            continue
        # not a coordinate that others are large multiples of: what is rounded in it would grow
        pivot = next(c for c, value in enumerate(row) if abs(value) * NEAR >= largest)
        scale = 1 / row[pivot]
        reduced.append((pivot, [value * scale for value in row]))
        rows.append(i)
        if len(rows) == len(order):
            break
    columns = sorted(order[pivot] for pivot, _ in reduced)
    return np.array(columns, dtype=np.int64), np.array(rows, dtype=np.int64)
