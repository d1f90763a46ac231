"""Margins of the genericity of two hidden layers: minors and masked products, for a stack of networks."""

from __future__ import annotations

import numpy as np

from .jit import kernel


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

    W1: (B, n1, n0), W2: (B, n2, n1), W3: (B, m, n2); masks1: (P, n1) and masks2: (P, n2) of 0.0 and 1.0;
    needed: (P,) which singular value must not vanish, counted from 1. Relative to the Frobenius
    norms of ``W3 D2`` and of ``D2 W2 D1``. Singular values by one-sided Jacobi rotations.
    """
    B, n1, n0 = W1.shape
    n2 = W2.shape[1]
    m = W3.shape[1]
    tall = m > n0
    r, c = (n0, m) if tall else (m, n0)
    left = np.empty(n1)
    row = np.empty(n0)
    squares = np.empty((n2, n1))
    columns = np.empty(n2)
    P = np.empty((r, c))
    values = np.empty(r)
    for t in range(B):
        for j in range(n2):
            columns[j] = 0.0
            for o in range(m):
                columns[j] += W3[t, o, j] * W3[t, o, j]
            for k in range(n1):
                squares[j, k] = W2[t, j, k] * W2[t, j, k]
        for p in range(masks1.shape[0]):
            # masks are numbers, not branches: random ones would be mispredicted half the time
            outer = 0.0
            inner = 0.0
            for j in range(n2):
                part = 0.0
                for k in range(n1):
                    part += masks1[p, k] * squares[j, k]
                inner += masks2[p, j] * part
                outer += masks2[p, j] * columns[j]
            for o in range(m):
                for k in range(n1):
                    left[k] = 0.0
                for j in range(n2):
                    f = masks2[p, j] * W3[t, o, j]
                    for k in range(n1):
                        left[k] += f * W2[t, j, k]
                for q in range(n0):
                    row[q] = 0.0
                for k in range(n1):
                    f = masks1[p, k] * left[k]
                    for q in range(n0):
                        row[q] += f * W1[t, k, q]
                if tall:
                    for q in range(n0):
                        P[q, o] = row[q]
                else:
                    for q in range(n0):
                        P[o, q] = row[q]
            for _ in range(30):
                turned = False
                for i in range(r):
                    for j in range(i + 1, r):
                        a = 0.0
                        b = 0.0
                        g = 0.0
                        for q in range(c):
                            a += P[i, q] * P[i, q]
                            b += P[j, q] * P[j, q]
                            g += P[i, q] * P[j, q]
                        if abs(g) <= 1e-15 * np.sqrt(a * b) or g == 0.0:
                            continue
                        turned = True
                        z = (b - a) / (2.0 * g)
                        h = (1.0 if z >= 0.0 else -1.0) / (abs(z) + np.sqrt(1.0 + z * z))
                        cosine = 1.0 / np.sqrt(1.0 + h * h)
                        sine = cosine * h
                        for q in range(c):
                            u = P[i, q]
                            v = P[j, q]
                            P[i, q] = cosine * u - sine * v
                            P[j, q] = sine * u + cosine * v
                if not turned:
                    break
            for i in range(r):
                square = 0.0
                for q in range(c):
                    square += P[i, q] * P[i, q]
                values[i] = np.sqrt(square)
            values.sort()
            size = np.sqrt(outer * inner)
            value = values[r - needed[p]] / (size if size > 0.0 else 1.0)
            if value < least[t]:
                least[t] = value
