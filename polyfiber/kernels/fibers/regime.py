"""Margins of the genericity of two hidden layers: minors and masked products, for a stack of networks."""

from __future__ import annotations

import numpy as np

from ..jacobi import orthogonalise
from ..jit import bare_kernel, kernel


@kernel
def least_minors(rows, sizes, chosen_rows, chosen_columns, least):
    """Least relative minor of each matrix: least (B,), lowered.

    rows: (B, h, w), of norm about 1; sizes: (P,); chosen_rows, chosen_columns: (P, k) entries of each minor,
    the first ``sizes[p]`` count. A minor is divided by the norms of its rows.
    """
    k = chosen_rows.shape[1]
    block = np.empty((k, k))
    for t in range(rows.shape[0]):
        for p in range(sizes.shape[0]):
            s = sizes[p]
            scale = 1.0
            for i in range(s):
                square = 0.0
                for j in range(s):
                    v = rows[t, chosen_rows[p, i], chosen_columns[p, j]]
                    block[i, j] = v
                    square += v * v
                scale *= np.sqrt(square)
            det = 1.0
            for c in range(s):
                pivot = c
                for i in range(c + 1, s):
                    if abs(block[i, c]) > abs(block[pivot, c]):
                        pivot = i
                if block[pivot, c] == 0.0:
                    det = 0.0
                    break
                if pivot != c:
                    for j in range(c, s):
                        block[c, j], block[pivot, j] = block[pivot, j], block[c, j]
                det *= block[c, c]
                for i in range(c + 1, s):
                    f = block[i, c] / block[c, c]
                    for j in range(c + 1, s):
                        block[i, j] -= f * block[c, j]
            value = abs(det) / scale if scale > 0.0 else abs(det)
            if value < least[t]:
                least[t] = value


@kernel
def least_products(W1, W2, W3, masks1, masks2, needed, least):
    """Least relative singular value that must not vanish of ``W3 D2 W2 D1 W1``: least (B,), lowered.

    W1: (B, n1, n0), W2: (B, n2, n1), W3: (B, m, n2); masks1: (n1, P) and masks2: (n2, P) of 0.0 and 1.0;
    needed: (P,) which singular value must not vanish, counted from 1. Relative to the Frobenius
    norms of ``W3 D2`` and of ``D2 W2 D1``. Products of many masks at once; singular values by one-sided
    Jacobi rotations.
    """
    B, n1, n0 = W1.shape
    n2 = W2.shape[1]
    m = W3.shape[1]
    tall = m > n0 and m != 2
    r, c = (n0, m) if tall else (m, n0)
    room = 256
    left = np.empty((n1, room))
    products = np.empty((m, n0, room))
    on1 = np.zeros((n1, room))
    on2 = np.zeros((n2, room))
    part = np.empty(room)
    outer = np.empty(room)
    inner = np.empty(room)
    P = np.empty((r, c))
    lengths = np.empty((2, room))
    values = np.empty(r)
    alone = np.empty((r, 0))
    for start in range(0, needed.shape[0], room):
        count = min(room, needed.shape[0] - start)
        # masks are numbers, not branches: random ones would be mispredicted half the time
        for k in range(n1):
            for p in range(count):
                on1[k, p] = masks1[k, start + p]
        for j in range(n2):
            for p in range(count):
                on2[j, p] = masks2[j, start + p]
        for t in range(B):
            for p in range(room):
                outer[p] = 0.0
                inner[p] = 0.0
            for j in range(n2):
                column = 0.0
                for o in range(m):
                    column += W3[t, o, j] * W3[t, o, j]
                for p in range(room):
                    part[p] = 0.0
                for k in range(n1):
                    square = W2[t, j, k] * W2[t, j, k]
                    for p in range(room):
                        part[p] += on1[k, p] * square
                for p in range(room):
                    inner[p] += on2[j, p] * part[p]
                    outer[p] += on2[j, p] * column
            for o in range(m):
                for k in range(n1):
                    for p in range(room):
                        left[k, p] = 0.0
                    for j in range(n2):
                        f = W3[t, o, j] * W2[t, j, k]
                        for p in range(room):
                            left[k, p] += on2[j, p] * f
                    for p in range(room):
                        left[k, p] *= on1[k, p]
                for q in range(n0):
                    for p in range(room):
                        products[o, q, p] = 0.0
                    for k in range(n1):
                        f = W1[t, k, q]
                        for p in range(room):
                            products[o, q, p] += left[k, p] * f
            if m == 2:
                lengths_of_two(products, lengths)
            for p in range(count):
                if m == 2:
                    value = (
                        max(lengths[0, p], lengths[1, p])
                        if needed[start + p] == 1
                        else min(lengths[0, p], lengths[1, p])
                    )
                else:
                    for o in range(m):
                        for q in range(n0):
                            if tall:
                                P[q, o] = products[o, q, p]
                            else:
                                P[o, q] = products[o, q, p]
                    orthogonalise(P, alone, values, 0.0)
                    value = largest(values, needed[start + p])
                size = np.sqrt(outer[p] * inner[p])
                value /= size if size > 0.0 else 1.0
                if value < least[t]:
                    least[t] = value


@bare_kernel
def largest(values, rank):
    """The ``rank``-th largest of values >= 0; those up to it are overwritten."""
    found = 0.0
    for _ in range(rank):
        at = 0
        for i in range(1, values.shape[0]):
            if values[i] > values[at]:
                at = i
        found = values[at]
        values[at] = -1.0
    return found


@kernel
def lengths_of_two(products, lengths):
    """Singular values (2, count) of pairs of rows products[0, :, p], products[1, :, p]: one rotation makes two rows
    orthogonal.
    """
    _, n, count = products.shape
    a = np.zeros(count)
    b = np.zeros(count)
    g = np.zeros(count)
    for q in range(n):
        for p in range(count):
            a[p] += products[0, q, p] * products[0, q, p]
            b[p] += products[1, q, p] * products[1, q, p]
            g[p] += products[0, q, p] * products[1, q, p]
    for p in range(count):
        z = (b[p] - a[p]) / (2.0 * (g[p] if g[p] != 0.0 else 1.0))
        h = (1.0 if z >= 0.0 else -1.0) / (abs(z) + np.sqrt(1.0 + z * z))
        h = h if g[p] != 0.0 else 0.0
        a[p] = 1.0 / np.sqrt(1.0 + h * h)  # cosine
        b[p] = a[p] * h  # sine
    for p in range(count):
        lengths[0, p] = 0.0
        lengths[1, p] = 0.0
    for q in range(n):
        for p in range(count):
            u = a[p] * products[0, q, p] - b[p] * products[1, q, p]
            v = b[p] * products[0, q, p] + a[p] * products[1, q, p]
            lengths[0, p] += u * u
            lengths[1, p] += v * v
    for p in range(count):
        lengths[0, p] = np.sqrt(lengths[0, p])
        lengths[1, p] = np.sqrt(lengths[1, p])
