"""Cones spanned by the columns of small matrices: pointed or not, with the point that shows it.

The deciding quantity is the point of least norm in the convex hull of the unit columns (Wolfe,
Finding the nearest point in a polytope, 1976): its norm is the largest margin
``max_{|y| <= 1} min_j y . p_j``, and its convex weights are the Farkas relation when it is zero.
"""

from __future__ import annotations

from collections import namedtuple

import numpy as np

from ..jacobi import orthogonalise
from ..jit import bare_kernel, kernel


@kernel
def pivoted_basis(M, scale, tolerance, gap, Q, Z, stop):
    """Orthonormal basis ``Q[:, :r]`` of the column space and ``Z[:r] = Q^T M``.

    Gram-Schmidt with column pivoting, twice per column. Returns (r, kept, dropped): the smallest pivot that was kept
    and the largest that was dropped, relative to the first pivot or ``scale``, whichever is larger; r < 0 when a pivot
    lies between ``tolerance / gap`` and ``tolerance * gap``, or once stop[0] is set.
    """
    m, n = M.shape
    R = M.copy()
    norms = np.zeros(n)
    for j in range(n):
        for i in range(m):
            norms[j] += R[i, j] * R[i, j]
    first = 0.0
    kept = 1.0
    dropped = 0.0
    r = 0
    size = min(m, n)
    while r < size:
        if stop[0]:
            return -1, kept, dropped
        best = 0
        for j in range(1, n):
            if norms[j] > norms[best]:
                best = j
        pivot = np.sqrt(norms[best])
        if r == 0:
            first = max(pivot, scale)
            if pivot == 0.0:
                return 0, 1.0, 0.0
        relative = pivot / first
        if relative < tolerance * gap:
            if relative > tolerance / gap:
                return -1, relative, relative
            dropped = relative
            break
        kept = relative
        for i in range(m):
            Q[i, r] = R[i, best] / pivot
        for _ in range(2):  # orthogonalise again against the earlier ones
            for k in range(r):
                s = 0.0
                for i in range(m):
                    s += Q[i, k] * Q[i, r]
                for i in range(m):
                    Q[i, r] -= s * Q[i, k]
        s = 0.0
        for i in range(m):
            s += Q[i, r] * Q[i, r]
        s = np.sqrt(s)
        for i in range(m):
            Q[i, r] /= s
        for j in range(n):
            t = 0.0
            for i in range(m):
                t += Q[i, r] * R[i, j]
            norms[j] = 0.0
            for i in range(m):
                R[i, j] -= t * Q[i, r]
                norms[j] += R[i, j] * R[i, j]
        r += 1
    for k in range(r):
        for j in range(n):
            t = 0.0
            for i in range(m):
                t += Q[i, k] * M[i, j]
            Z[k, j] = t
    return r, kept, dropped


@bare_kernel
def _affine_minimiser(P, corral, k, r, G, weights):
    """Weights of the least-norm point of the affine hull of ``k`` columns; False if degenerate."""
    for a in range(k):
        for b in range(a, k):
            s = 1.0
            for i in range(r):
                s += P[i, corral[a]] * P[i, corral[b]]
            G[a, b] = s
            G[b, a] = s
        weights[a] = 1.0
    for a in range(k):  # Gaussian elimination with pivoting on the (positive definite) Gram matrix
        best = a
        for b in range(a + 1, k):
            if abs(G[b, a]) > abs(G[best, a]):
                best = b
        if abs(G[best, a]) < 1e-14:
            return False
        if best != a:
            for c in range(k):
                t = G[a, c]
                G[a, c] = G[best, c]
                G[best, c] = t
            t = weights[a]
            weights[a] = weights[best]
            weights[best] = t
        for b in range(a + 1, k):
            f = G[b, a] / G[a, a]
            if f != 0.0:
                for c in range(a, k):
                    G[b, c] -= f * G[a, c]
                weights[b] -= f * weights[a]
    for a in range(k - 1, -1, -1):
        for c in range(a + 1, k):
            weights[a] -= G[a, c] * weights[c]
        weights[a] /= G[a, a]
    total = 0.0
    for a in range(k):
        total += weights[a]
    if abs(total) < 1e-300:
        return False
    for a in range(k):
        weights[a] /= total
    return True


@kernel
def least_norm_point(P, r, live, n_live, x, weights, stop):
    """Point ``x`` of least norm in the convex hull of the unit columns ``P[:r, live[:n_live]]``.

    ``weights`` (n,) receives its convex weights. Returns (size of the support, converged).
    """
    n = P.shape[1]
    corral = np.empty(r + 2, dtype=np.int64)
    lam = np.zeros(r + 2)
    mu = np.zeros(r + 2)
    G = np.empty((r + 2, r + 2))
    corral[0] = live[0]
    lam[0] = 1.0
    k = 1
    for i in range(r):
        x[i] = P[i, live[0]]
    converged = False
    for _ in range(50 * (n_live + r + 2)):
        if stop[0]:
            break
        norm2 = 0.0
        for i in range(r):
            norm2 += x[i] * x[i]
        best = -1
        value = norm2 - 1e-15
        for q in range(n_live):
            j = live[q]
            s = 0.0
            for i in range(r):
                s += x[i] * P[i, j]
            if s < value:
                value = s
                best = j
        if norm2 < 1e-26 or best < 0 or value > norm2 - 1e-13 * max(norm2, 1e-4):
            converged = True
            break
        seen = False
        for a in range(k):
            if corral[a] == best:
                seen = True
        if seen or k == r + 2:
            converged = True
            break
        corral[k] = best
        lam[k] = 0.0
        k += 1
        for _inner in range(r + 3):
            if not _affine_minimiser(P, corral, k, r, G, mu):
                # degenerate corral: drop the last point and stop there
                k -= 1
                converged = True
                break
            positive = True
            for a in range(k):
                if mu[a] <= 1e-14:
                    positive = False
            if positive:
                for a in range(k):
                    lam[a] = mu[a]
                break
            theta = 1.0
            for a in range(k):
                if mu[a] <= 1e-14 and lam[a] - mu[a] > 0.0:
                    theta = min(theta, lam[a] / (lam[a] - mu[a]))
            for a in range(k):
                lam[a] = (1.0 - theta) * lam[a] + theta * mu[a]
            write = 0
            for a in range(k):
                if lam[a] > 1e-14:
                    lam[write] = lam[a]
                    corral[write] = corral[a]
                    write += 1
            if write == k:  # rounding kept every point: drop the smallest
                small = 0
                for a in range(1, k):
                    if lam[a] < lam[small]:
                        small = a
                for a in range(small, k - 1):
                    lam[a] = lam[a + 1]
                    corral[a] = corral[a + 1]
                write = k - 1
            k = write
            total = 0.0
            for a in range(k):
                total += lam[a]
            for a in range(k):
                lam[a] /= total
        for i in range(r):
            x[i] = 0.0
            for a in range(k):
                x[i] += lam[a] * P[i, corral[a]]
        if converged:
            break
    for j in range(n):
        weights[j] = 0.0
    for a in range(k):
        weights[corral[a]] = lam[a]
    return k, converged


# of every matrix: rank (2,) linear and nonnegative column rank; status 1 pointed, 2 not pointed, -1 rank undecided, -2
# pointedness undecided; margin, least ``y . p_j`` of the dual vector, or depth of the relation; left (m, s + 1), right
# (s + 1, n), s = min(m, n), the factors, zero padded; vector (max(m, n),), dual vector in R^m (pointed) or convex
# weights. left, right and vector come as zeros
Ranks = namedtuple("Ranks", "rank status margin left right vector")


@kernel
def nonnegative_factors(M, scale, tolerance, gap, margin_tolerance, want_factors, found, stop):
    """Nonnegative column rank of every matrix of a stack, into ``found`` (`Ranks`, see there).

    Parameters
    ----------
    M : (B, m, n)
    scale : (B,)
        Size of the terms that M was summed from; 0 for a matrix that is exact as given.
    stop : (1,)
        Once it is set, from another thread, what is found means nothing.
    """
    rank, status, margin, left, right, vector = found
    B, m, n = M.shape
    s = min(m, n)
    Q = np.zeros((m, s))
    Z = np.zeros((s, n))
    P = np.zeros((s, n))
    live = np.zeros(n, dtype=np.int64)
    x = np.zeros(s + 1)
    weights = np.zeros(n)
    Yinv = np.zeros((s, s))
    lengths = np.zeros(s)
    for t in range(B):
        r, _kept, _dropped = pivoted_basis(M[t], scale[t], tolerance, gap, Q, Z, stop)
        margin[t] = 0.0
        if r < 0:
            rank[t, 0] = -1
            rank[t, 1] = -1
            status[t] = -1
            continue
        rank[t, 0] = r
        rank[t, 1] = r
        status[t] = 1
        if r == 0:
            margin[t] = 1.0
            continue
        largest = scale[t]
        for j in range(n):
            c = 0.0
            for i in range(r):
                c += Z[i, j] * Z[i, j]
            P[0, j] = np.sqrt(c)
            largest = max(largest, P[0, j])
        n_live = np.int64(0)  # one type from the start: what it is handed to is compiled once
        for j in range(n):
            norm = P[0, j]
            if norm > tolerance * largest:
                if norm < tolerance * gap * largest:
                    status[t] = -2
                for i in range(r):
                    P[i, j] = Z[i, j] / norm
                live[n_live] = j
                n_live += 1
            else:
                for i in range(r):
                    P[i, j] = 0.0
                    Z[i, j] = 0.0
        if status[t] == -2:
            continue
        support, converged = least_norm_point(P, r, live, n_live, x, weights, stop)
        norm = 0.0
        for i in range(r):
            norm += x[i] * x[i]
        norm = np.sqrt(norm)
        least = 1.0
        if norm > 0.0:
            for q in range(n_live):
                d = 0.0
                for i in range(r):
                    d += x[i] * P[i, live[q]]
                least = min(least, d / norm)
        if norm > 0.0 and least > margin_tolerance:
            margin[t] = least
            for i in range(m):
                for k in range(r):
                    vector[t, i] += Q[i, k] * x[k] / norm
            if want_factors:
                # rows y + rho s_i e_i of Y lie in the dual cone; the inverse by Sherman-Morrison
                rho = 0.9 * least
                total = 0.0
                for i in range(r):
                    x[i] /= norm
                    total += abs(x[i]) / rho
                for i in range(r):
                    si = 1.0 if x[i] >= 0.0 else -1.0
                    for k in range(r):
                        Yinv[i, k] = -si * x[k] * (1.0 if x[k] >= 0.0 else -1.0) / (rho * rho * (1.0 + total))
                    Yinv[i, i] += si / rho
                for i in range(m):
                    for k in range(r):
                        c = 0.0
                        for a in range(r):
                            c += Q[i, a] * Yinv[a, k]
                        left[t, i, k] = c
                for q in range(n_live):
                    j = live[q]
                    base = 0.0
                    for i in range(r):
                        base += x[i] * Z[i, j]
                    for i in range(r):
                        si = 1.0 if x[i] >= 0.0 else -1.0
                        right[t, i, j] = max(base + rho * si * Z[i, j], 0.0)
            continue
        # not pointed: the relation must span, and its weights must be bounded away from zero
        smallest = 1.0
        for q in range(n_live):
            j = live[q]
            vector[t, j] = weights[j]
            if weights[j] > 0.0:
                smallest = min(smallest, weights[j])
        depth = 0.0
        if converged and support == r + 1 and norm < 1e-10:
            V = np.zeros((r, support))
            a = 0
            for q in range(n_live):
                j = live[q]
                if weights[j] > 0.0:
                    for i in range(r):
                        V[i, a] = P[i, j]
                    a += 1
            orthogonalise(V, np.empty((r, 0)), lengths, 0.0)
            least = lengths[0]
            for i in range(1, r):
                least = min(least, lengths[i])
            depth = smallest * least
        if depth <= margin_tolerance:
            status[t] = -2
            continue
        status[t] = 2
        margin[t] = depth
        rank[t, 1] = r + 1
        if want_factors:
            for i in range(m):
                c = 0.0
                for k in range(r):
                    left[t, i, k] = Q[i, k]
                    c -= Q[i, k]
                left[t, i, r] = c
            for j in range(n):
                nu = 0.0
                for i in range(r):
                    nu = max(nu, -Z[i, j])
                for i in range(r):
                    right[t, i, j] = Z[i, j] + nu
                right[t, r, j] = nu
