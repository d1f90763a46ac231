"""Jacobians of the affine pieces of a network, modulo the prime 2^31 - 1.

On a region with activation pattern D the network is ``x -> A x + a``, and every entry of (A | a) is a
polynomial in the parameters. The kernels evaluate its derivatives in a prime field: exact, and a
rank found there never exceeds the rank over the rationals.
"""

from __future__ import annotations

import numpy as np

from ..jit import bare_kernel, inlined, kernel

PRIME = 2147483647


@inlined
def _reduce(x):
    """``x mod 2^31 - 1`` for ``0 <= x < 2^62``, possibly not the smallest residue; below 2^31."""
    x = (x & 2147483647) + (x >> 31)
    x = (x & 2147483647) + (x >> 31)
    return 0 if x == 2147483647 else x


@kernel
def directional(masks, widths, offsets, theta, direction, out):
    """Derivative of (A | a) along ``direction``, for every region.

    Parameters
    ----------
    masks : (R, N) int8
        1 where the neuron is active.
    widths : (L + 1,) int64
    offsets : (L,) int64
        Start of (W_l, b_l) in the parameter vector: W row by row, then b.
    theta, direction : (P,) int64 residues
    out : (R,) int8
        1 where the derivative is not zero.
    """
    R = masks.shape[0]
    L = widths.shape[0] - 1
    n0 = widths[0]
    c = n0 + 1
    top = 0
    for l in range(L + 1):
        top = max(top, widths[l])
    A = np.zeros((top, c), dtype=np.int64)
    dA = np.zeros((top, c), dtype=np.int64)
    B = np.zeros((top, c), dtype=np.int64)
    dB = np.zeros((top, c), dtype=np.int64)
    for t in range(R):
        for i in range(n0):
            for k in range(c):
                A[i, k] = 1 if i == k else 0
                dA[i, k] = 0
        start = 0
        for l in range(L):
            n_in = widths[l]
            n_out = widths[l + 1]
            base = offsets[l]
            bias = base + n_in * n_out
            for i in range(n_out):
                if l < L - 1 and masks[t, start + i] == 0:
                    for k in range(c):
                        B[i, k] = 0
                        dB[i, k] = 0
                    continue
                for k in range(c):
                    B[i, k] = 0
                    dB[i, k] = 0
                for j in range(n_in):
                    if l > 0 and masks[t, start - n_in + j] == 0:
                        continue
                    w = theta[base + i * n_in + j]
                    dw = direction[base + i * n_in + j]
                    for k in range(c):
                        B[i, k] = _reduce(B[i, k] + w * A[j, k])
                        dB[i, k] = _reduce(_reduce(dB[i, k] + w * dA[j, k]) + dw * A[j, k])
                B[i, n0] = _reduce(B[i, n0] + theta[bias + i])
                dB[i, n0] = _reduce(dB[i, n0] + direction[bias + i])
            for i in range(n_out):
                for k in range(c):
                    A[i, k] = B[i, k]
                    dA[i, k] = dB[i, k]
            start += n_out
        out[t] = 0
        for i in range(widths[L]):
            for k in range(c):
                if dA[i, k] != 0:
                    out[t] = 1


@kernel
def jacobian_rows(mask, widths, offsets, theta, rows):
    """Jacobian of (A | a) on one region: ``rows`` (nL * (n0 + 1), P), entry (o, k) in row ``o (n0 + 1) + k``."""
    L = widths.shape[0] - 1
    n0 = widths[0]
    m = widths[L]
    c = n0 + 1
    top = 0
    total = 0
    for l in range(L + 1):
        top = max(top, widths[l])
        total += widths[l]
    prefix = np.zeros((L + 1, top, c), dtype=np.int64)
    suffix = np.zeros((L + 1, m, top), dtype=np.int64)
    for i in range(n0):
        prefix[0, i, i] = 1
    start = 0
    for l in range(L - 1):
        n_in = widths[l]
        base = offsets[l]
        bias = base + n_in * widths[l + 1]
        for i in range(widths[l + 1]):
            if mask[start + i] == 0:
                continue
            for j in range(n_in):
                w = theta[base + i * n_in + j]
                for k in range(c):
                    prefix[l + 1, i, k] = _reduce(prefix[l + 1, i, k] + w * prefix[l, j, k])
            prefix[l + 1, i, n0] = _reduce(prefix[l + 1, i, n0] + theta[bias + i])
        start += widths[l + 1]
    for o in range(m):
        suffix[L, o, o] = 1
    end = total - n0 - m
    for l in range(L - 1, 0, -1):  # suffix[l]: derivative of the output by the activations of layer l
        n_in = widths[l]
        base = offsets[l]
        for o in range(m):
            for j in range(n_in):
                if mask[end - n_in + j] == 0:
                    continue
                s = 0
                for i in range(widths[l + 1]):
                    s = _reduce(s + suffix[l + 1, o, i] * theta[base + i * n_in + j])
                suffix[l, o, j] = s
        end -= n_in
    rows[:, :] = 0
    for l in range(L):
        n_in = widths[l]
        base = offsets[l]
        bias = base + n_in * widths[l + 1]
        for o in range(m):
            for i in range(widths[l + 1]):
                s = suffix[l + 1, o, i]
                if s == 0:
                    continue
                for j in range(n_in):
                    for k in range(c):
                        rows[o * c + k, base + i * n_in + j] = _reduce(s * prefix[l, j, k])
                rows[o * c + n0, bias + i] = s


@bare_kernel
def insert_row(basis, pivots, rank, row):
    """Reduce a row by the reduced echelon basis and insert what remains; the new rank."""
    P = row.shape[0]
    for r in range(rank):
        f = row[pivots[r]]
        if f != 0:
            g = 2147483647 - f
            for k in range(P):
                row[k] = _reduce(row[k] + g * basis[r, k])
    pivot = -1
    for k in range(P):
        if row[k] != 0:
            pivot = k
            break
    if pivot < 0:
        return rank
    # inverse by Fermat
    inverse = 1
    power = row[pivot]
    e = 2147483645
    while e > 0:
        if e & 1:
            inverse = _reduce(inverse * power)
        power = _reduce(power * power)
        e >>= 1
    for k in range(P):
        row[k] = _reduce(row[k] * inverse)
    for r in range(rank):
        f = basis[r, pivot]
        if f != 0:
            g = 2147483647 - f
            for k in range(P):
                basis[r, k] = _reduce(basis[r, k] + g * row[k])
    for k in range(P):
        basis[rank, k] = row[k]
    pivots[rank] = pivot
    return rank + 1


@kernel
def insert_regions(masks, chosen, widths, offsets, theta, basis, pivots, rank):
    """Insert the Jacobian rows of the chosen regions; the new rank."""
    P = theta.shape[0]
    size = widths[widths.shape[0] - 1] * (widths[0] + 1)
    rows = np.zeros((size, P), dtype=np.int64)
    for q in range(chosen.shape[0]):
        jacobian_rows(masks[chosen[q]], widths, offsets, theta, rows)
        for i in range(size):
            rank = insert_row(basis, pivots, rank, rows[i])
    return rank


@bare_kernel
def insert_rows(rows, basis, pivots, rank):
    """Insert rows (m, P) of residues, which are used up; the new rank."""
    for i in range(rows.shape[0]):
        rank = insert_row(basis, pivots, rank, rows[i])
    return rank


@bare_kernel
def null_vector(basis, pivots, rank, free, out):
    """Complete random free coordinates to a vector that every row of the basis annihilates."""
    P = out.shape[0]
    for k in range(P):
        out[k] = free[k]
    for r in range(rank):
        out[pivots[r]] = 0
    for r in range(rank):
        s = 0
        for k in range(P):
            if basis[r, k] != 0 and k != pivots[r]:
                # other pivot columns are zero in a reduced basis
                s = _reduce(s + basis[r, k] * out[k])
        out[pivots[r]] = 0 if s == 0 else 2147483647 - s
