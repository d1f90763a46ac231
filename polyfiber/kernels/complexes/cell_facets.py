"""Rows of a cell with error bounds, and which of them are facets.

The cell is ``{d : V + G d >= 0}`` in displacements d from a reference point. Exact rows differ from the
stored ones by at most ``E1`` in each coefficient and ``E0`` in the value at d = 0. Three certificates are made,
all against those bounds:

- an interior point: every row positive there;
- a facet: a point where one row is negative and every other row positive;
- a redundant row: a nonnegative combination of facets, its multipliers enclosed by a verified inverse.

Facets are found by rays from the analytic centre, the rest by cone membership (Clarkson 1994, output-sensitive
redundancy; Lawson and Hanson 1974, nonnegative least squares): a row outside the cone of the known facets gives
a direction in which a new facet is hit first.
"""

from __future__ import annotations

from collections import namedtuple

import numpy as np

from ..jit import bare_kernel, kernel
from ..rounding import LEAST, UNIT

UNKNOWN, FACET, REDUNDANT, UNSURE, WAITING = 0, 1, 2, 3, 4


# hidden layers behind the first: widths of all, weights and biases flat
Layers = namedtuple("Layers", "widths weights biases")
# rows of a cell, nonnegative on it: G (m, n) coefficients and V (m,) values at the reference; (m,) bounds of the error,
# for each unit of displacement and alone
Rows = namedtuple("Rows", "G V E1 E0")
# what `facets` finds: see there; stop: (1,) int8, set by another thread once the time is up
Found = namedtuple("Found", "status witness d0 counts stop")
# of `nnls`: generators in use and their multipliers, target minus the combination; factors, and what is at work; stop
# as in `Found`
Work = namedtuple("Work", "passive lam residual Q R y z blocked stop")


@kernel
def cell_rows(full, first, x, terms0, given, deep, n_domain, signs, out):
    """Rows of a cell, oriented to be nonnegative on it, and their error bounds.

    full: (D + h1, n0 + 1) given forms; first: (D + h1, n) their coefficients in the coordinates used;
    x: (n0,) reference; terms0: roundings of a given form (0: the given forms are exact at x);
    given: relative error of the given coefficients (0 for floats).
    deep: `Layers`; signs: (N,) int8, 0 for a neuron that is zero on the cell. out: `Rows`, domain facets first.
    """
    widths, weights, biases = deep
    G, V, E1, E0 = out
    m1, n = first.shape
    n0 = x.shape[0]
    size1 = np.zeros(G.shape[0])
    size0 = np.zeros(G.shape[0])
    tiny = np.zeros(G.shape[0])
    for i in range(m1):
        v = full[i, n0]
        s = abs(v)
        for c in range(n0):
            v += full[i, c] * x[c]
            s += abs(full[i, c] * x[c])
        big = 0.0
        for c in range(n):
            G[i, c] = first[i, c]
            big = max(big, abs(first[i, c]))
        V[i] = v
        size1[i] = big
        size0[i] = s
        gamma = terms0 * UNIT * 1.01
        E1[i] = given * big
        E0[i] = gamma * s
        if terms0 > 0:
            tiny[i] = (2 * n0 + 4) * LEAST
            E0[i] += tiny[i]
    low = n_domain
    terms = terms0
    woff = 0
    boff = 0
    for layer in range(1, widths.shape[0]):
        h = widths[layer - 1]
        high = low + h
        wide = widths[layer]
        terms += h + 4.0
        gamma = terms * UNIT / (1.0 - terms * UNIT) * 1.01
        for i in range(wide):
            r = high + i
            for c in range(n):
                G[r, c] = 0.0
            v = 0.0
            s1 = 0.0
            s0 = 0.0
            small = (2 * h + 4) * LEAST
            for p in range(h):
                if signs[low - n_domain + p] > 0:
                    w = weights[woff + i * h + p]
                    q = low + p
                    if w != 0.0:
                        for c in range(n):
                            G[r, c] += w * G[q, c]
                        v += w * V[q]
                        s1 += abs(w) * size1[q]
                        s0 += abs(w) * size0[q]
                        small += abs(w) * tiny[q]
            b = biases[boff + i]
            V[r] = v + b
            size1[r] = s1
            size0[r] = s0 + abs(b)
            tiny[r] = small
            E1[r] = gamma * s1 + (small if s1 > 0.0 else 0.0)
            E0[r] = gamma * size0[r] + small
        woff += wide * h
        boff += wide
        low = high
    for r in range(n_domain, G.shape[0]):
        if signs[r - n_domain] < 0:
            for c in range(n):
                G[r, c] = -G[r, c]
            V[r] = -V[r]
        # what a dot product with a displacement rounds, too
        E1[r] += (n + 4) * UNIT * size1[r] * 1.01
        E0[r] += 2 * UNIT * size0[r]
    for r in range(n_domain):
        E1[r] += (n + 4) * UNIT * size1[r] * 1.01
        E0[r] += 2 * UNIT * size0[r]


@bare_kernel
def _slacks(G, V, d, out):
    """Values of all rows at d; the one-norm of d."""
    m, n = G.shape
    for i in range(m):
        v = V[i]
        for c in range(n):
            v += G[i, c] * d[c]
        out[i] = v
    total = 0.0
    for c in range(n):
        total += abs(d[c])
    return total * (1 + 1e-12)


@bare_kernel
def _cholesky(H, n):
    """Lower factor in place; the smallest pivot (not positive: failed)."""
    least = 1e308
    for j in range(n):
        s = H[j, j]
        for k in range(j):
            s -= H[j, k] * H[j, k]
        least = min(least, s)
        if not s > 0.0:
            return s
        root = np.sqrt(s)
        H[j, j] = root
        for i in range(j + 1, n):
            t = H[i, j]
            for k in range(j):
                t -= H[i, k] * H[j, k]
            H[i, j] = t / root
    return least


@kernel
def center(cell, d, s, H, steps, stop):
    """Move d, strictly inside, towards the analytic centre; H ends as a Cholesky factor of the Hessian there.

    Returns False when d is not certainly inside.
    """
    G, V, E1, E0 = cell
    m, n = G.shape
    grad = np.zeros(n)
    step = np.zeros(n)
    trial = np.zeros(n)
    s2 = np.zeros(m)
    length = _slacks(G, V, d, s)
    for i in range(m):
        if not s[i] > E0[i] + E1[i] * length:
            return False
    # a pull to the start at the scale of the walls around: an unbounded cell has no centre, and far out digits are lost
    first = d.copy()
    size = np.zeros(m)
    for i in range(m):
        t = 0.0
        for c in range(n):
            t += G[i, c] * G[i, c]
        size[i] = s[i] / np.sqrt(t) if t > 0.0 else 1e300
    size.sort()
    middle = size[min(m // 2, m - 1)]
    pull = 1.0 / (middle * middle) if 1e-100 < middle < 1e100 else 1e-12
    for it in range(steps + 1):
        for a in range(n):
            grad[a] = 0.0
            for b in range(a + 1):
                H[a, b] = 0.0
        for i in range(m):
            if stop[0] != 0:
                return False
            w = 1.0 / s[i]
            for a in range(n):
                ga = G[i, a] * w
                if ga != 0.0:
                    grad[a] += ga
                    for b in range(a + 1):
                        H[a, b] += ga * G[i, b] * w
        trace = 0.0
        for a in range(n):
            trace = max(trace, H[a, a])
        for a in range(n):
            H[a, a] += pull
            grad[a] -= pull * (d[a] - first[a])
        if not _cholesky(H, n) > 0.0:
            for a in range(n):
                for b in range(n):
                    H[a, b] = 0.0
                H[a, a] = np.sqrt(trace) + 1e-150
        if it == steps:
            break
        # step = H^-1 grad
        for a in range(n):
            t = grad[a]
            for b in range(a):
                t -= H[a, b] * step[b]
            step[a] = t / H[a, a]
        decrement = 0.0
        for a in range(n):
            decrement += step[a] * step[a]
        decrement = np.sqrt(decrement)
        if decrement < 0.3:
            break
        for a in range(n - 1, -1, -1):
            t = step[a]
            for b in range(a + 1, n):
                t -= H[b, a] * step[b]
            step[a] = t / H[a, a]
        # the damped step at least, half way to the wall when far from the centre
        far = 1e3
        for i in range(m):
            t = 0.0
            for c in range(n):
                t += G[i, c] * step[c]
            if t < 0.0:
                far = min(far, -s[i] / t)
        alpha = min(0.9 * far, max(1.0 / (1.0 + decrement), 0.5 * far if decrement > 1.0 else min(1.0, 0.7 * far)))
        for c in range(n):
            trial[c] = d[c] + alpha * step[c]
        length = _slacks(G, V, trial, s2)
        ok = True
        for i in range(m):
            if not s2[i] > 4 * (E0[i] + E1[i] * length):
                ok = False
                break
        if not ok:
            break
        for c in range(n):
            d[c] = trial[c]
        for i in range(m):
            s[i] = s2[i]
    return True


@bare_kernel
def _shoot(Q, status, u, n):
    """Row hit first along u from the origin, its rate and the rate of the next; -1 if none is hit."""
    best, rate, second = -1, 0.0, 0.0
    for k in range(Q.shape[0]):
        if status[k] == 2:
            continue
        t = 0.0
        for c in range(n):
            t -= Q[k, c] * u[c]
        if t > rate:
            second = rate
            rate = t
            best = k
        elif t > second:
            second = t
    return best, rate, second


@bare_kernel
def _witness(cell, d0, T, u, rate, second, j, w, values):
    """Write a point beyond row j alone along u; whether it is certain."""
    G, V, E1, E0 = cell
    m, n = G.shape
    t = 2.0 / (rate + second)
    for a in range(n):
        v = 0.0
        for c in range(a, n):
            v += T[a, c] * u[c]
        w[a] = d0[a] + t * v
    length = _slacks(G, V, w, values)
    for i in range(m):
        bound = E0[i] + E1[i] * length
        if i == j:
            if not values[i] < -bound:
                return False
        elif not values[i] > bound:
            return False
    return True


@bare_kernel
def _solve_passive(Q, R, y, count, z):
    """Back substitution with the triangular factor."""
    for a in range(count - 1, -1, -1):
        t = y[a]
        for b in range(a + 1, count):
            t -= R[a, b] * z[b]
        z[a] = t / R[a, a]


@bare_kernel
def _append(rows, k, e, target, Q, R, y, count):
    """Add generator e to the orthonormal basis; False if it is dependent."""
    norm0 = 0.0
    for c in range(k):
        Q[count, c] = rows[e, c]
        norm0 += rows[e, c] * rows[e, c]
    for b in range(count):
        R[b, count] = 0.0
    for _again in range(2):
        for b in range(count):
            t = 0.0
            for c in range(k):
                t += Q[b, c] * Q[count, c]
            R[b, count] += t
            for c in range(k):
                Q[count, c] -= t * Q[b, c]
    norm = 0.0
    for c in range(k):
        norm += Q[count, c] * Q[count, c]
    if not norm > 1e-24 * norm0:
        return False
    norm = np.sqrt(norm)
    R[count, count] = norm
    t = 0.0
    for c in range(k):
        Q[count, c] /= norm
        t += Q[count, c] * target[c]
    y[count] = t
    return True


@kernel
def nnls_work(k, m, stop):
    """Room for `nnls` with targets of length k and m generators."""
    return Work(
        np.zeros(k + 1, dtype=np.int64), np.zeros(k + 1), np.zeros(k), np.zeros((k + 1, k)), np.zeros((k + 1, k + 1)),
        np.zeros(k + 1), np.zeros(k + 1), np.zeros(m + 2, dtype=np.int64), stop,
    )  # fmt: skip


@bare_kernel
def nnls(rows, pool, npool, target, k, work):
    """Nonnegative least squares: target by rows[pool[:npool]]; (number of passive generators, residual norm).

    work: `Work`, which holds what is found too.
    """
    passive, lam, residual, Q, R, y, z, blocked, stop = work
    count = 0
    for c in range(k):
        residual[c] = target[c]
    scale = 0.0
    for c in range(k):
        scale += target[c] * target[c]
    scale = np.sqrt(scale)
    for e in range(npool):
        blocked[e] = 0
    for _it in range(6 * k + 20):
        if stop[0] != 0:
            break
        best, most = -1, 1e-13 * scale
        for e in range(npool):
            if blocked[e] != 0:
                continue
            t = 0.0
            for c in range(k):
                t += rows[pool[e], c] * residual[c]
            if t > most:
                most = t
                best = e
        if best < 0 or count == k:
            break
        if not _append(rows, k, pool[best], target, Q, R, y, count):
            blocked[best] = 2
            continue
        blocked[best] = 1
        passive[count] = best
        lam[count] = 0.0
        count += 1
        while count > 0:
            _solve_passive(Q, R, y, count, z)
            worst, alpha = -1, 2.0
            for a in range(count):
                if z[a] <= 0.0:
                    t = lam[a] / (lam[a] - z[a]) if lam[a] > z[a] else 0.0
                    if t < alpha:
                        alpha = t
                        worst = a
            if worst < 0:
                break
            # step to the boundary, drop what reaches zero, factor again
            keep = 0
            for a in range(count):
                value = lam[a] + alpha * (z[a] - lam[a])
                if a == worst or value <= 1e-15 * scale:
                    blocked[passive[a]] = 0
                else:
                    passive[keep] = passive[a]
                    lam[keep] = value
                    keep += 1
            count = keep
            fresh = 0
            for a in range(count):
                if _append(rows, k, pool[passive[a]], target, Q, R, y, fresh):
                    passive[fresh] = passive[a]
                    lam[fresh] = lam[a]
                    fresh += 1
                else:
                    blocked[passive[a]] = 2
            count = fresh
        for a in range(count):
            lam[a] = z[a]
        # the projection's remainder, straight from the orthonormal basis
        for c in range(k):
            residual[c] = target[c]
        for a in range(count):
            t = 0.0
            for c in range(k):
                t += Q[a, c] * residual[c]
            for c in range(k):
                residual[c] -= t * Q[a, c]
        norm = 0.0
        for c in range(k):
            norm += residual[c] * residual[c]
        if norm <= 1e-26 * scale * scale:
            break
    norm = 0.0
    for c in range(k):
        norm += residual[c] * residual[c]
    for a in range(count):
        passive[a] = pool[passive[a]]
    return count, np.sqrt(norm)


@bare_kernel
def enclose(rows, er, support, k, Q, R, inverse):
    """Inverse of the matrix with the rows of the support as columns: (theta, its row-sum norm).

    theta bounds the norm of identity minus inverse times the exact matrix; at 1/2 or more: useless.
    Q, R: factors of that matrix (rows of Q orthonormal).
    """
    for c in range(k):
        for a in range(k - 1, -1, -1):
            t = Q[a, c]
            for b in range(a + 1, k):
                t -= R[a, b] * inverse[b, c]
            inverse[a, c] = t / R[a, a]
    theta = 0.0
    norm = 0.0
    for a in range(k):
        total = 0.0
        size = 0.0
        for c in range(k):
            size += abs(inverse[a, c])
        for b in range(k):
            t = -1.0 if a == b else 0.0
            s = 1.0 if a == b else 0.0
            for c in range(k):
                p = inverse[a, c] * rows[support[b], c]
                t += p
                s += abs(p)
            total += abs(t) + (k + 2) * UNIT * s * 1.01 + size * er[support[b]]
        theta = max(theta, total)
        norm = max(norm, size)
    return theta * (1 + 1e-9), norm * (1 + 1e-9)


@bare_kernel
def inside(inverse, theta, norm, target, error, k, lam):
    """Whether the target certainly is a positive combination of the generators behind an inverse."""
    least = 1e308
    most = 0.0
    for a in range(k):
        t = 0.0
        for c in range(k):
            t += inverse[a, c] * target[c]
        lam[a] = t
        least = min(least, t)
        most = max(most, abs(t))
        if t < 0.0:
            return False
    bound = (norm * (error + (k + 2) * UNIT * 1.01) + theta * most) / (1.0 - theta) * (1 + 1e-9)
    return least > bound


@kernel
def facets(cell, start, along, found, shots, steps):
    """Decide every row of a cell (`Rows`): status (m,) FACET, REDUNDANT, UNSURE, or WAITING for an unsure row.

    Rows whose status is FACET or REDUNDANT already are taken as such.
    start: (n,) displacement to start from; along: (n,) direction into the cell, zero if start is inside.
    found: `Found`, witness: (m, n) points beyond facets; d0: (n,) an interior point.
    counts: rays shot, cone tests, bases enclosed, rows settled by an earlier basis.
    Returns 0, or 1 when no certain interior point was found; early when ``stop`` is set: rows are undecided then.
    """
    G, V, E1, E0 = cell
    status, witness, d0, counts, stop = found
    m, n = G.shape
    k = n + 1
    s = np.zeros(m)
    values = np.zeros(m)
    H = np.zeros((n, n))
    moving = False
    for c in range(n):
        d0[c] = start[c]
        if along[c] != 0.0:
            moving = True
    if moving:
        far = 1.0
        _slacks(G, V, d0, s)
        for i in range(m):
            t = 0.0
            for c in range(n):
                t += G[i, c] * along[c]
            if t < 0.0:
                far = min(far, max(s[i], 0.0) / -t)
        for c in range(n):
            d0[c] += 0.5 * far * along[c]
    if not center(cell, d0, s, H, steps, stop):
        return 1
    # whitened coordinates: d = d0 + T w, rows (q, 1) after division by the slack
    T = np.zeros((n, n))
    for c in range(n):  # T = L^-T, upper triangular
        if stop[0] != 0:
            return 1
        for a in range(n - 1, -1, -1):
            t = 1.0 if a == c else 0.0
            for b in range(a + 1, n):
                t -= H[b, a] * T[b, c]
            T[a, c] = t / H[a, a] if a <= c else 0.0
    column = 0.0
    for c in range(n):
        t = 0.0
        for a in range(c + 1):
            t += abs(T[a, c])
        column = max(column, t)
    length = 0.0
    for c in range(n):
        length += abs(d0[c])
    rows = np.zeros((m + 1, k))
    er = np.zeros(m + 1)
    size = np.zeros(m)
    for i in range(m):
        if stop[0] != 0:
            return 1
        total = 0.0
        for c in range(n):
            t = 0.0
            for a in range(c + 1):
                t += G[i, a] * T[a, c]
            t /= s[i]
            rows[i, c] = t
            total += t * t
        rows[i, n] = 1.0
        er[i] = (E1[i] * column + E0[i] + E1[i] * length) / s[i] * 1.01 + 4 * UNIT
        size[i] = total
        if total == 0.0 and status[i] == 0:
            big = 0.0
            for c in range(n):
                big = max(big, abs(G[i, c]))
            status[i] = 2 if E1[i] == 0.0 and big == 0.0 else 3
    rows[m, n] = 1.0
    order = np.argsort(-size)
    u = np.zeros(n)
    pool = np.zeros(m + 1, dtype=np.int64)
    sure = np.ones(m + 1, dtype=np.bool_)
    pool[0] = m
    npool = 1
    for i in range(m):
        if status[i] == 1:
            pool[npool] = i
            npool += 1
        elif status[i] == 3:
            pool[npool] = i
            sure[i] = False
            npool += 1
    w = np.zeros(n)
    for a in range(min(m, shots)):
        i = order[a]
        if stop[0] != 0:
            return 1
        if status[i] != 0:
            continue
        for c in range(n):
            u[c] = -rows[i, c]
        j, rate, second = _shoot(rows[:m], status, u, n)
        counts[0] += 1
        if j >= 0 and status[j] == 0:
            if _witness(cell, d0, T, u, rate, second, j, w, values):
                status[j] = 1
                pool[npool] = j
                npool += 1
                for c in range(n):
                    witness[j, c] = w[c]
    work = nnls_work(k, m, stop)
    passive, lam, residual, Q, R = work[:5]
    n_bases = max(4, min(64, 200000 // (k * k)))
    inverses = np.zeros((n_bases, k, k))
    thetas = np.zeros(n_bases)
    norms = np.zeros(n_bases)
    recent = np.zeros(n_bases, dtype=np.int64)
    held = 0
    for a in range(m):
        i = order[a]
        while status[i] == 0:
            if stop[0] != 0:
                return 1
            done = False
            for b in range(held):
                slot = recent[b]
                if inside(inverses[slot], thetas[slot], norms[slot], rows[i], er[i], k, lam):
                    status[i] = 2
                    counts[3] += 1
                    for t in range(b, 0, -1):
                        recent[t] = recent[t - 1]
                    recent[0] = slot
                    done = True
                    break
            if done:
                break
            counts[1] += 1
            count, norm = nnls(rows, pool, npool, rows[i], k, work)
            if norm > 1e-10:
                for c in range(n):
                    u[c] = -residual[c]
                j, rate, second = _shoot(rows[:m], status, u, n)
                counts[0] += 1
                if j < 0 or status[j] != 0:
                    status[i] = 3
                    pool[npool] = i
                    sure[i] = False
                    npool += 1
                    break
                if _witness(cell, d0, T, u, rate, second, j, w, values):
                    status[j] = 1
                    for c in range(n):
                        witness[j, c] = w[c]
                else:
                    status[j] = 3
                    sure[j] = False
                pool[npool] = j
                npool += 1
                continue
            status[i] = 3
            if count == k:
                certain = True
                for b in range(k):
                    certain = certain and sure[passive[b]]
                if not certain:
                    status[i] = 4
                    break
                counts[2] += 1
                slot = held if held < n_bases else recent[n_bases - 1]
                theta, size_ = enclose(rows, er, passive, k, Q, R, inverses[slot])
                good = theta < 0.5
                if good and inside(inverses[slot], theta, size_, rows[i], er[i], k, lam):
                    status[i] = 2
                thetas[slot] = theta if good else 0.75
                norms[slot] = size_ if good else 1e300
                if held < n_bases:
                    held += 1
                for t in range(held - 1, 0, -1):
                    recent[t] = recent[t - 1]
                recent[0] = slot
            if status[i] == 3:
                pool[npool] = i
                sure[i] = False
                npool += 1
    return 0
