"""Hamilton's equations of the metric g^N for a bundle of neighbouring geodesics, integrated in compiled code.

With ``xi = sigma^{2/N}`` and f(x) = x^N everything is a divided difference of f at the xi: the operator has the
eigenvalues ``a_ij = f[xi_i, xi_j] = h_{N-1}(xi_i, xi_j)``, and its derivative needs only ``f[xi_i, xi_j, xi_k] =
h_{N-2}(xi_i, xi_j, xi_k)`` (complete homogeneous polynomials: sums of positive terms, no cancellation), in log N steps.
At infinite depth f is the exponential function of ``2 log sigma``, by quadrature.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..jacobi import orthogonalise, unit_rows
from ..jit import kernel

DONE = 0
BOUNDARY = 1
LIMIT = 2
BROKEN = 3
STOPPED = 4


class Problem(NamedTuple):
    """What a flow depends on beside its initial data.

    start: (d, d) the point X_0; rank: its rank; depth: N, 0 for infinity; nodes, weights: quadrature on [0, 1] for
    infinite depth; tolerance: relative error of a step, measured by the metric; floor: where the least singular value
    has come too near to 0; limit: evaluations.
    """

    start: npt.NDArray[np.float64]
    rank: int
    depth: int
    nodes: npt.NDArray[np.float64]
    weights: npt.NDArray[np.float64]
    tolerance: float
    floor: float
    limit: int


class Tableau(NamedTuple):
    """A Runge-Kutta method of order 8 with two error estimates: A (s, s), B (s,), E3, E5 (s + 1,)."""

    A: npt.NDArray[np.float64]
    B: npt.NDArray[np.float64]
    E3: npt.NDArray[np.float64]
    E5: npt.NDArray[np.float64]


@kernel
def _decompose(X, rank, left, values, right):
    """Singular vectors as ROWS of left and right, values decreasing, those beyond the rank zero; right is the guess."""
    d = X.shape[0]
    size = 0.0
    for k in range(d):
        for i in range(d):
            s = 0.0
            for j in range(d):
                s += X[i, j] * right[k, j]
            left[k, i] = s
            size = max(size, abs(s))
    orthogonalise(left, right, values, 1e-14 * size if rank < d else 0.0)
    for k in range(d - 1):
        best = k
        for l in range(k + 1, d):
            if values[l] > values[best]:
                best = l
        if best != k:
            values[k], values[best] = values[best], values[k]
            for i in range(d):
                left[k, i], left[best, i] = left[best, i], left[k, i]
                right[k, i], right[best, i] = right[best, i], right[k, i]
    for k in range(rank, d):
        values[k] = 0.0
    unit_rows(left, values)


@kernel
def _coefficients(values, rank, problem, xi, f, a, T):
    """Eigenvalues a (d, d) of the operator and T[i, j, k] = f[xi_i, xi_j, xi_k] / f[xi_i, xi_j]."""
    d = values.shape[0]
    n = problem.depth
    if n == 0:
        for i in range(d):
            for j in range(d):
                x = max(values[i], values[j])
                y = min(values[i], values[j])
                u = np.log(y) - np.log(x) if y < 0.5 * x else np.log1p((y - x) / x)
                a[i, j] = x * x if u == 0.0 else 0.5 * x * x * np.expm1(2.0 * u) / u
                for k in range(d):
                    T[i, j, k] = 0.0
                for q in range(problem.nodes.shape[0]):
                    s = problem.nodes[q]
                    g = s if u == 0.0 else np.expm1(2.0 * s * u) / np.expm1(2.0 * u)
                    g *= problem.weights[q] * x ** (2.0 * s - 2.0)
                    for k in range(d):
                        T[i, j, k] += g * values[k] ** (2.0 - 2.0 * s)
        return
    # x^N and its divided differences by squaring and multiplying with x: Leibniz' rule has positive terms alone
    for i in range(d):
        xi[i] = values[i] ** (2.0 / n)
        f[i] = xi[i]
        for j in range(d):
            a[i, j] = 1.0
            for k in range(d):
                T[i, j, k] = 0.0
    top = 0
    while (n >> top) > 1:
        top += 1
    for bit in range(top - 1, -1, -1):
        for i in range(d):
            for j in range(i, d):
                for k in range(d):
                    T[i, j, k] = (f[i] + f[k]) * T[i, j, k] + a[i, j] * a[j, k]
        for i in range(d):
            for j in range(d):
                a[i, j] *= f[i] + f[j]
        for i in range(d):
            f[i] *= f[i]
        if (n >> bit) & 1:
            for i in range(d):
                for j in range(i, d):
                    for k in range(d):
                        T[i, j, k] = a[i, j] + T[i, j, k] * xi[k]
            for i in range(d):
                for j in range(i, d):
                    a[i, j] = f[i] + a[i, j] * xi[j]
                    a[j, i] = a[i, j]
            for i in range(d):
                f[i] *= xi[i]
    for i in range(d):
        for j in range(i, d):
            if i >= rank and n > 1:
                a[i, j] = 0.0
            for k in range(d):
                T[i, j, k] = T[i, j, k] / a[i, j] if i < rank and n > 1 else 0.0
                T[j, i, k] = T[i, j, k]
            a[j, i] = a[i, j]


@kernel
def _field(pi, values, a, T, dx, dp):
    """Velocity and force in the singular frame: dx = a pi, dp = -(S1 Sigma + Sigma S2)."""
    d = values.shape[0]
    for i in range(d):
        for j in range(d):
            dx[i, j] = a[i, j] * pi[i, j]
            dp[i, j] = 0.0
    for i in range(d):
        for j in range(i, d):
            s1 = 0.0
            s2 = 0.0
            for k in range(d):
                s1 += T[i, j, k] * pi[i, k] * pi[j, k]
                s2 += T[i, j, k] * pi[k, i] * pi[k, j]
            dp[i, j] -= s1 * values[j] + values[i] * s2
            if i != j:
                dp[j, i] -= s1 * values[i] + values[j] * s2


@kernel
def _into(left, right, M, work, out):
    """out = left M right^T, singular vectors being rows."""
    d = M.shape[0]
    for k in range(d):
        for j in range(d):
            s = 0.0
            for i in range(d):
                s += left[k, i] * M[i, j]
            work[k, j] = s
    for k in range(d):
        for l in range(d):
            s = 0.0
            for j in range(d):
                s += work[k, j] * right[l, j]
            out[k, l] = s


@kernel
def _out_of(left, right, M, work, out):
    """out = left^T M right, singular vectors being rows."""
    d = M.shape[0]
    for k in range(d):
        for j in range(d):
            s = 0.0
            for l in range(d):
                s += M[k, l] * right[l, j]
            work[k, j] = s
    for i in range(d):
        for j in range(d):
            s = 0.0
            for k in range(d):
                s += left[k, i] * work[k, j]
            out[i, j] = s


@kernel
def _derivative(problem, D, P, fresh, frames, sizes, work, cube, dD, dP):
    """Right-hand side for a bundle; ``frames[0], frames[1]`` and ``sizes[0], a`` of the first member stay for the
    caller.
    """
    n, d, _ = D.shape
    left, right, X, pi, dx, dp, spare, a = work
    values, xi, f = sizes
    for b in range(n):
        for i in range(d):
            for j in range(d):
                X[i, j] = problem.start[i, j] + D[b, i, j]
        if b == 0:
            if fresh:
                for i in range(d):
                    for j in range(d):
                        frames[1, i, j] = 1.0 if i == j else 0.0
        for i in range(d):
            for j in range(d):
                right[i, j] = frames[1, i, j]
        _decompose(X, problem.rank, left, values, right)
        _coefficients(values, problem.rank, problem, xi, f, a, cube)
        if b == 0:
            for i in range(d):
                frames[2, 0, i] = values[i]
                for j in range(d):
                    frames[0, i, j] = left[i, j]
                    frames[1, i, j] = right[i, j]
                    frames[3, i, j] = a[i, j]
        _into(left, right, P[b], spare, pi)
        _field(pi, values, a, cube, dx, dp)
        _out_of(left, right, dx, spare, dD[b])
        _out_of(left, right, dp, spare, dP[b])


@kernel
def _size_in_metric(frames, rank, eD, eP, spare, pi):
    """Length of an error (eD, eP) measured by the metric at the frame: sum of eD^2 / a + a eP^2."""
    d = eD.shape[0]
    total = 0.0
    _into(frames[0], frames[1], eD, spare, pi)
    for i in range(d):
        for j in range(d):
            if i < rank or j < rank:
                total += pi[i, j] * pi[i, j] / frames[3, i, j]
    _into(frames[0], frames[1], eP, spare, pi)
    for i in range(d):
        for j in range(d):
            if i < rank or j < rank:
                total += pi[i, j] * pi[i, j] * frames[3, i, j]
    return total


@kernel
def flow(problem, tableau, times, D, P, outD, outP, stop):
    """Integrate a bundle of geodesics from time 0 through ``times`` (increasing).

    D, P: (n, d, d), displacements from ``problem.start`` and momenta, overwritten; outD, outP: (T, n, d, d). The first
    member chooses the steps for all, so that differences between members are smooth functions. Returns
    (status, evaluations, time reached, index of the next output); STOPPED soon after ``stop[0]`` is set.
    """
    n, d, _ = D.shape
    stages = tableau.B.shape[0]
    rank = problem.rank
    KD = np.zeros((stages + 1, n, d, d))
    KP = np.zeros((stages + 1, n, d, d))
    Y = np.empty((n, d, d))
    Z = np.empty((n, d, d))
    frames = np.empty((4, d, d))
    room = np.empty((8, d, d))
    work = (room[0], room[1], room[2], room[3], room[4], room[5], room[6], room[7])
    sizes = (np.empty(d), np.empty(d), np.empty(d))
    cube = np.empty((d, d, d))
    e3 = np.empty((2, d, d))
    e5 = np.empty((2, d, d))
    _derivative(problem, D, P, True, frames, sizes, work, cube, KD[0], KP[0])
    calls = 1
    # the length of the path sets the scale of errors
    speed = np.sqrt(_size_in_metric(frames, rank, KD[0, 0], np.zeros((d, d)), room[6], room[3]))
    last = times[times.shape[0] - 1]
    t = 0.0
    at = 0
    while at < times.shape[0] and times[at] <= 0.0:
        outD[at] = D
        outP[at] = P
        at += 1
    scale = problem.tolerance * max(speed * last, 1e-300)
    step = 0.1 * last
    rejected = False
    while at < times.shape[0]:
        remaining = times[at] - t
        h = step
        landing = h >= remaining * (1.0 - 1e-12)
        if landing:
            h = remaining
        elif h > 0.5 * remaining:
            h = 0.5 * remaining
        for s in range(1, stages):
            if stop[0]:
                return STOPPED, calls, t, at
            for b in range(n):
                for i in range(d):
                    for j in range(d):
                        x = 0.0
                        y = 0.0
                        for r in range(s):
                            x += tableau.A[s, r] * KD[r, b, i, j]
                            y += tableau.A[s, r] * KP[r, b, i, j]
                        Y[b, i, j] = D[b, i, j] + h * x
                        Z[b, i, j] = P[b, i, j] + h * y
            _derivative(problem, Y, Z, False, frames, sizes, work, cube, KD[s], KP[s])
        for b in range(n):
            for i in range(d):
                for j in range(d):
                    x = 0.0
                    y = 0.0
                    for r in range(stages):
                        x += tableau.B[r] * KD[r, b, i, j]
                        y += tableau.B[r] * KP[r, b, i, j]
                    Y[b, i, j] = D[b, i, j] + h * x
                    Z[b, i, j] = P[b, i, j] + h * y
        _derivative(problem, Y, Z, True, frames, sizes, work, cube, KD[stages], KP[stages])
        calls += stages
        for i in range(d):
            for j in range(d):
                e3[0, i, j] = 0.0
                e3[1, i, j] = 0.0
                e5[0, i, j] = 0.0
                e5[1, i, j] = 0.0
                for r in range(stages + 1):
                    e3[0, i, j] += tableau.E3[r] * KD[r, 0, i, j]
                    e3[1, i, j] += tableau.E3[r] * KP[r, 0, i, j]
                    e5[0, i, j] += tableau.E5[r] * KD[r, 0, i, j]
                    e5[1, i, j] += tableau.E5[r] * KP[r, 0, i, j]
        fifth = _size_in_metric(frames, rank, e5[0], e5[1], room[6], room[3]) / (scale * scale)
        third = _size_in_metric(frames, rank, e3[0], e3[1], room[6], room[3]) / (scale * scale)
        error = 0.0 if fifth == 0.0 else h * fifth / np.sqrt(fifth + 0.01 * third)
        if error < 1.0:  # False for NaN
            t = times[at] if landing else t + h
            for b in range(n):
                for i in range(d):
                    for j in range(d):
                        D[b, i, j] = Y[b, i, j]
                        P[b, i, j] = Z[b, i, j]
                        KD[0, b, i, j] = KD[stages, b, i, j]
                        KP[0, b, i, j] = KP[stages, b, i, j]
            if landing:
                outD[at] = D
                outP[at] = P
                at += 1
            if frames[2, 0, rank - 1] < problem.floor:
                return BOUNDARY, calls, t, at
            factor = 10.0 if error == 0.0 else min(10.0, 0.9 * error ** (-0.125))
            if rejected:
                factor = min(1.0, factor)
            step = max(h * factor, step if landing else 0.0)
            rejected = False
        else:
            step = h * (max(0.2, 0.9 * error ** (-0.125)) if error < 1e300 else 0.2)
            rejected = True
            for i in range(d):  # singular vectors to start from, which may be NaN
                for j in range(d):
                    frames[1, i, j] = 1.0 if i == j else 0.0
            if step < 1e-14 * last:
                return BOUNDARY, calls, t, at
        if calls > problem.limit:
            return LIMIT, calls, t, at
    for i in range(d):
        for j in range(d):
            if not np.isfinite(D[0, i, j]) or not np.isfinite(P[0, i, j]):
                return BROKEN, calls, t, at
    return DONE, calls, t, at


@kernel
def field_of(problem, D, P, dD, dP):
    """Right-hand side of Hamilton's equations at a bundle of points ``problem.start + D``, momenta P: (n, d, d)."""
    d = D.shape[1]
    frames = np.empty((4, d, d))
    room = np.empty((8, d, d))
    work = (room[0], room[1], room[2], room[3], room[4], room[5], room[6], room[7])
    sizes = (np.empty(d), np.empty(d), np.empty(d))
    cube = np.empty((d, d, d))
    _derivative(problem, D, P, True, frames, sizes, work, cube, dD, dP)
