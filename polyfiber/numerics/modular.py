"""Linear algebra modulo the prime 2^31 - 1, for matrices of a few hundred rows.

A rank found here never exceeds the rank over the rationals, and equals it but for a chance near the number of decisions
over the prime where entries are in general position.
"""

from __future__ import annotations

import numpy as np

from .._typing import IntArray
from ..budget import heed
from .exact import PRIME

BLOCK = 64
"""Rows that are taken from the others at once."""


def product(left: IntArray, right: IntArray) -> IntArray:
    """Matrix product of residues; sums of up to 2^20 terms.

    Halves of 16 bits are multiplied in float64, whose sums stay below 2^53: exact, and as fast as BLAS.

    Examples
    --------
    >>> import numpy as np
    >>> product(np.array([[2147483646, 5]]), np.array([[2], [7]])).tolist()
    [[33]]
    """
    a1, a0 = (left >> 16).astype(np.float64), (left & 0xFFFF).astype(np.float64)
    b1, b0 = (right >> 16).astype(np.float64), (right & 0xFFFF).astype(np.float64)
    high = (a1 @ b1).astype(np.int64) % PRIME
    middle = (a1 @ b0 + a0 @ b1).astype(np.int64) % PRIME
    low = (a0 @ b0).astype(np.int64) % PRIME
    result: IntArray = (((high << 16) % PRIME + middle << 16) % PRIME + low) % PRIME
    return result


def echelon(matrix: IntArray) -> tuple[IntArray, list[int]]:
    """Reduced row echelon form without its zero rows, and the pivot columns.

    Examples
    --------
    >>> import numpy as np
    >>> echelon(np.array([[2, 4], [1, 2]]))
    (array([[1, 2]]), [0])
    """
    rows = np.array(matrix, dtype=np.int64) % PRIME
    pivots: list[int] = []
    for column in range(rows.shape[1]):
        rank = len(pivots)
        if rank == len(rows):
            break
        hit = np.flatnonzero(rows[rank:, column])
        if not len(hit):
            continue
        heed("linear algebra modulo a prime")
        at = rank + int(hit[0])
        rows[[rank, at]] = rows[[at, rank]]
        rows[rank] = rows[rank] * pow(int(rows[rank, column]), -1, PRIME) % PRIME
        others = np.flatnonzero(rows[:, column])
        others = others[others != rank]
        rows[others] = (rows[others] - rows[others, column, None] * rows[rank]) % PRIME
        pivots.append(column)
    return rows[: len(pivots)], pivots


def rank_of(matrix: IntArray) -> int:
    """Rank; blocks of rows are taken from the others by products, which is fast.

    Examples
    --------
    >>> import numpy as np
    >>> rank_of(np.array([[2, 4], [1, 2]]))
    1
    """
    rest = np.array(matrix, dtype=np.int64) % PRIME
    rank = 0
    while rest.size:
        rows, pivots = echelon(rest[:BLOCK])
        rank += len(pivots)
        others = np.ones(rest.shape[1], dtype=np.bool_)
        others[pivots] = False
        rest = rest[BLOCK:]
        rest = (rest[:, others] - product(rest[:, pivots], rows[:, others])) % PRIME
    return rank


def left_null(matrix: IntArray) -> IntArray:
    """Basis (k, n) of the row vectors that a matrix (n, c) maps to zero.

    Examples
    --------
    >>> import numpy as np
    >>> left_null(np.array([[1], [2]])).tolist()
    [[2147483645, 1]]
    """
    n = matrix.shape[0]
    rows, pivots = echelon(matrix.T)
    free = [k for k in range(n) if k not in set(pivots)]
    basis = np.zeros((len(free), n), dtype=np.int64)
    for i, k in enumerate(free):
        basis[i, k] = 1
        basis[i, pivots] = -rows[:, k] % PRIME
    return basis


def condensed(matrix: IntArray, generator: np.random.Generator) -> IntArray:
    """Random combinations of the columns that span what all of them do, but for a chance below 1e-8."""
    n, c = matrix.shape
    if c <= n + 4:
        return matrix
    result = np.zeros((n, n + 4), dtype=np.int64)
    for start in range(0, c, 1 << 15):
        part = matrix[:, start : start + (1 << 15)]
        result = (result + product(part, generator.integers(0, PRIME, (part.shape[1], n + 4)))) % PRIME
    return result
