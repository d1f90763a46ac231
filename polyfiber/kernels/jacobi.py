"""Small matrices: singular values and vectors by one-sided Jacobi rotations, accurate for the small ones; determinants'
signs.
"""

from __future__ import annotations

import numpy as np

from .jit import kernel


@kernel
def orthogonalise(rows, companions, lengths, negligible):
    """Rotate the rows of a matrix (r, c) until they are orthogonal; their lengths (r,) are then its singular values.

    The same rotations turn the rows of ``companions`` (r, w); w may be 0. Rows no longer than ``negligible`` are left
    alone: rounding puts back what a rotation takes out of them, and the sweeps would not end.
    """
    r, c = rows.shape
    w = companions.shape[1]
    least = negligible * negligible
    for _ in range(40):
        turned = False
        for i in range(r):
            for j in range(i + 1, r):
                a = 0.0
                b = 0.0
                g = 0.0
                for q in range(c):
                    a += rows[i, q] * rows[i, q]
                    b += rows[j, q] * rows[j, q]
                    g += rows[i, q] * rows[j, q]
                if min(a, b) <= least and least > 0.0:
                    continue
                if g == 0.0 or abs(g) <= 1e-15 * np.sqrt(a * b):
                    continue
                turned = True
                z = (b - a) / (2.0 * g)
                if abs(z) > 1e150:
                    h = 0.5 / z
                else:
                    h = (1.0 if z >= 0.0 else -1.0) / (abs(z) + np.sqrt(1.0 + z * z))
                cosine = 1.0 / np.sqrt(1.0 + h * h)
                sine = cosine * h
                for q in range(c):
                    u = rows[i, q]
                    v = rows[j, q]
                    rows[i, q] = cosine * u - sine * v
                    rows[j, q] = sine * u + cosine * v
                for q in range(w):
                    u = companions[i, q]
                    v = companions[j, q]
                    companions[i, q] = cosine * u - sine * v
                    companions[j, q] = sine * u + cosine * v
        if not turned:
            break
    for i in range(r):
        square = 0.0
        for q in range(c):
            square += rows[i, q] * rows[i, q]
        lengths[i] = np.sqrt(square)


@kernel
def unit_rows(rows, lengths):
    """Divide the rows (d, d) by their lengths; rows that vanish beside the largest are replaced by a completion."""
    d = rows.shape[0]
    top = 0.0
    for k in range(d):
        top = max(top, lengths[k])
    for k in range(d):
        if lengths[k] > 1e-150 * top and lengths[k] > 0.0:
            for i in range(d):
                rows[k, i] /= lengths[k]
        else:
            lengths[k] = 0.0
            for i in range(d):
                rows[k, i] = 0.0
    for k in range(d):
        if lengths[k] == 0.0:
            complete(rows, k)


@kernel
def complete(rows, k):
    """Fill row k with a unit vector orthogonal to the other rows (zero rows are ignored)."""
    d = rows.shape[0]
    best = -1.0
    pick = 0
    for axis in range(d):
        # squared distance of e_axis to the span of the other rows
        rest = 1.0
        for j in range(d):
            if j != k:
                rest -= rows[j, axis] * rows[j, axis]
        if rest > best:
            best = rest
            pick = axis
    for i in range(d):
        rows[k, i] = 0.0
    rows[k, pick] = 1.0
    for _ in range(2):
        for j in range(d):
            if j != k:
                dot = 0.0
                for i in range(d):
                    dot += rows[j, i] * rows[k, i]
                for i in range(d):
                    rows[k, i] -= dot * rows[j, i]
    total = 0.0
    for i in range(d):
        total += rows[k, i] * rows[k, i]
    total = np.sqrt(total)
    for i in range(d):
        rows[k, i] /= total


@kernel
def jacobi_svd(matrix, left, values, right):
    """One-sided Jacobi SVD of one square matrix: ``matrix = left @ diag(values) @ right.T``, values not sorted.

    ``left``, ``values``, ``right`` are overwritten. Columns of ``left`` at zero values are completed to a basis.
    """
    d = matrix.shape[0]
    size = 0.0
    for i in range(d):
        for j in range(d):
            size = max(size, abs(matrix[i, j]))
    if size == 0.0:
        size = 1.0
    for i in range(d):
        for j in range(d):
            left[j, i] = matrix[i, j] / size
            right[i, j] = 1.0 if i == j else 0.0
    orthogonalise(left, right, values, 0.0)
    unit_rows(left, values)
    for i in range(d):
        values[i] *= size
        for j in range(i):
            left[i, j], left[j, i] = left[j, i], left[i, j]
            right[i, j], right[j, i] = right[j, i], right[i, j]


@kernel
def sign_of_determinant(matrix, work):
    """Sign of the determinant by elimination with partial pivoting; ``work`` is overwritten."""
    d = matrix.shape[0]
    for i in range(d):
        for j in range(d):
            work[i, j] = matrix[i, j]
    sign = 1.0
    for k in range(d):
        pivot = k
        for i in range(k + 1, d):
            if abs(work[i, k]) > abs(work[pivot, k]):
                pivot = i
        if work[pivot, k] == 0.0:
            return 0.0
        if pivot != k:
            sign = -sign
            for j in range(d):
                x = work[k, j]
                work[k, j] = work[pivot, j]
                work[pivot, j] = x
        if work[k, k] < 0.0:
            sign = -sign
        for i in range(k + 1, d):
            factor = work[i, k] / work[k, k]
            for j in range(k + 1, d):
                work[i, j] -= factor * work[k, j]
    return sign
