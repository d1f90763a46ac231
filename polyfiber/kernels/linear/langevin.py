"""Langevin steps for many small matrices at once: the two step rules.

Arrays in, arrays out. Everything is a polynomial in ``lambda = sigma^{1/N}``: with ``w_p = lambda_k^{2(N-p)}
lambda_l^{2(p-1)}`` the operator has eigenvalues ``a_kl = sum w_p`` and the entropic repulsion is ``d log a_kl / d log
sigma_k = (1/N) sum 2 (N-p) w_p / sum w_p``, without a single cancellation.
"""

from __future__ import annotations

from collections import namedtuple

import numpy as np

from ..jacobi import jacobi_svd, sign_of_determinant
from ..jit import kernel

EULER = 0
PRODUCT = 1

REFLECT = 0
REJECT = 1
STOP = 2


# of a step: depth, its length, 1 / beta, kappa, whether the entropic force acts, which scheme, the rule at det = 0
Equation = namedtuple("Equation", "depth dt inverse_beta kappa entropic scheme rule")
# float64 (n, d, d) matrices, noise and gradients; (n,) signs of the determinants to keep, bool alive, int64 how often
# the rule at det = 0 was applied
Paths = namedtuple("Paths", "W xi gradient signs alive crossings")
# workspace of size d or d x d
Work = namedtuple("Work", "left values right lam z a b")


@kernel
def _step(W, xi, gradient, equation, work, out):
    """One step of one matrix. ``W`` is read, ``out`` written."""
    depth, dt, inverse_beta, kappa, entropic, scheme, _ = equation
    left, values, right, lam, z, a, b = work
    d = W.shape[0]
    jacobi_svd(W, left, values, right)
    for k in range(d):
        lam[k] = values[k] ** (1.0 / depth) if depth > 1 else values[k]
    noise = np.sqrt(2.0 * kappa * inverse_beta * dt)
    # noise and gradient in the singular frame: b = U^T (noise xi) V, a = U^T E' V
    for k in range(d):
        for j in range(d):
            x = 0.0
            y = 0.0
            for i in range(d):
                x += left[i, k] * xi[i, j]
                y += left[i, k] * gradient[i, j]
            out[k, j] = x
            z[k, j] = y
    for k in range(d):
        for l in range(d):
            x = 0.0
            y = 0.0
            for j in range(d):
                x += out[k, j] * right[j, l]
                y += z[k, j] * right[j, l]
            b[k, l] = noise * x
            a[k, l] = -dt * y
    if scheme == 0:  # Euler-Maruyama in the matrix itself
        for k in range(d):
            force = 0.0
            for l in range(d):
                x2 = lam[k] * lam[k]
                y2 = lam[l] * lam[l]
                total = 0.0
                slope = 0.0
                for p in range(1, depth + 1):
                    w = x2 ** (depth - p) * y2 ** (p - 1)
                    total += w
                    slope += (depth - p) * w
                z[k, l] = np.sqrt(total) * b[k, l] + total * a[k, l]
                if l != k and total > 0.0:
                    force += 2.0 * slope / (depth * total)
            drift = 0.0
            if lam[k] > 0.0 and depth > 1:
                speed = lam[k] ** (depth - 2)
                if entropic:
                    drift += 0.5 * depth * speed * force
                drift += kappa * (depth - 1) * speed
            z[k, k] += dt * inverse_beta * drift
        for i in range(d):
            for l in range(d):
                x = 0.0
                for k in range(d):
                    x += left[i, k] * z[k, l]
                b[i, l] = x
        for i in range(d):
            for j in range(d):
                x = W[i, j]
                for l in range(d):
                    x += b[i, l] * right[j, l]
                out[i, j] = x
        return
    # product rule: out = U prod_{p=N}^{1} (Lambda + M_p) V^T, M_p the lifted increment; its Ito drift is exact
    for i in range(d):
        for k in range(d):
            out[i, k] = left[i, k]
    for p in range(depth, 0, -1):
        for k in range(d):
            for l in range(d):
                large = max(lam[k], lam[l])
                if large > 0.0:
                    rk = lam[k] / large
                    rl = lam[l] / large
                else:
                    rk = 1.0
                    rl = 1.0
                r2 = min(rk, rl) ** 2
                q = 0.0
                for _ in range(depth):
                    q = q * r2 + 1.0
                shape = rk ** (depth - p) * rl ** (p - 1)
                m = shape / np.sqrt(q) * b[k, l] + shape * large ** (depth - 1) * a[k, l]
                if l == k:
                    m += lam[k]
                    if entropic and depth > 1 and lam[k] > 0.0:
                        force = 0.0
                        for j in range(d):
                            if j != k and lam[j] > 0.0:
                                big = max(lam[k], lam[j])
                                x2 = (lam[k] / big) ** 2
                                y2 = (lam[j] / big) ** 2
                                total = 0.0
                                slope = 0.0
                                w = 1.0
                                if x2 <= y2:
                                    # w_p relative: y2 = 1, w_p = x2^(N-p)
                                    for e in range(depth):
                                        total += w
                                        slope += e * w
                                        w *= x2
                                else:
                                    for e in range(depth):
                                        total += w
                                        slope += (depth - 1 - e) * w
                                        w *= y2
                                force += slope / total
                            elif j != k:
                                force += depth - 1.0
                        m += dt * inverse_beta * force / (depth * lam[k])
                z[k, l] = m
        for i in range(d):
            for l in range(d):
                x = 0.0
                for k in range(d):
                    x += out[i, k] * z[k, l]
                left[i, l] = x
        for i in range(d):
            for l in range(d):
                out[i, l] = left[i, l]
    for i in range(d):
        for j in range(d):
            x = 0.0
            for l in range(d):
                x += out[i, l] * right[j, l]
            left[i, j] = x
    for i in range(d):
        for j in range(d):
            out[i, j] = left[i, j]


@kernel
def _advance(paths, first, last, equation):
    """Advance the matrices first..last-1 in place by one step and apply the rule at det = 0."""
    W, xi, gradient, signs, alive, crossings = paths
    rule = equation.rule
    d = W.shape[1]
    left = np.empty((d, d))
    right = np.empty((d, d))
    values = np.empty(d)
    lam = np.empty(d)
    z = np.empty((d, d))
    a = np.empty((d, d))
    b = np.empty((d, d))
    out = np.empty((d, d))
    work = Work(left, values, right, lam, z, a, b)
    for path in range(first, last):
        if not alive[path]:
            continue
        _step(W[path], xi[path], gradient[path], equation, work, out)
        good = True
        for i in range(d):
            for j in range(d):
                if not np.isfinite(out[i, j]):
                    good = False
        if good and sign_of_determinant(out, z) == signs[path]:
            for i in range(d):
                for j in range(d):
                    W[path, i, j] = out[i, j]
            continue
        crossings[path] += 1
        if not good or rule == 1:
            continue
        if rule == 2:
            alive[path] = False
            continue
        jacobi_svd(out, left, values, right)
        least = 0
        for k in range(1, d):
            if values[k] < values[least]:
                least = k
        if values[least] == 0.0:
            continue
        for i in range(d):
            for j in range(d):
                W[path, i, j] = out[i, j] - 2.0 * values[least] * left[i, least] * right[j, least]


@kernel
def langevin_step(paths, equation):
    """One Langevin step for a batch of matrices, in place."""
    _advance(paths, 0, paths.W.shape[0], equation)
