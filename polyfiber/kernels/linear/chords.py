"""Aligning the gauge of one balanced network to another: block Procrustes steps in compiled code."""

from __future__ import annotations

import numpy as np

from ..jacobi import jacobi_svd, sign_of_determinant
from ..jit import kernel


@kernel
def align(l0, l1, ends, sign, h, limit, stop):
    """Maximise ``sum_{p=1}^N <L0 h_{p-1} L1, h_p>`` over orthogonal h_1, …, h_{N-1} of determinant ``sign``.

    One at a time; returns the sum, or comes back soon after ``stop[0]`` is set.

    l0, l1: (r,) diagonals; ends: (2, r, r), the fixed h_0 and h_N; h: (N - 1, r, r), start values, overwritten.
    """
    r = l0.shape[0]
    n = h.shape[0] + 1
    M = np.empty((r, r))
    left = np.empty((r, r))
    right = np.empty((r, r))
    values = np.empty(r)
    work = np.empty((r, r))
    last = -1e300
    for _ in range(limit):
        gain = 0.0
        for p in range(1, n):
            if stop[0]:
                return last
            for i in range(r):
                for j in range(r):
                    before = ends[0, i, j] if p == 1 else h[p - 2, i, j]
                    after = ends[1, i, j] if p == n - 1 else h[p, i, j]
                    M[i, j] = l0[i] * (before + after) * l1[j]
            jacobi_svd(M, left, values, right)
            least = 0
            for k in range(1, r):
                if values[k] < values[least]:
                    least = k
            flip = sign_of_determinant(left, M) * sign_of_determinant(right, work) * sign < 0.0
            if flip:  # the best one of the other determinant turns the weakest direction round
                for i in range(r):
                    left[i, least] = -left[i, least]
            for i in range(r):
                for j in range(r):
                    s = 0.0
                    for k in range(r):
                        s += left[i, k] * right[j, k]
                    h[p - 1, i, j] = s
        for p in range(1, n + 1):
            for i in range(r):
                for j in range(r):
                    before = ends[0, i, j] if p == 1 else h[p - 2, i, j]
                    after = ends[1, i, j] if p == n else h[p - 1, i, j]
                    gain += l0[i] * before * l1[j] * after
        if gain - last <= 1e-14 * abs(gain):
            break
        last = gain
    return gain
