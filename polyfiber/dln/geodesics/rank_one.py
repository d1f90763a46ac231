"""Matrices of rank one: a cone over a product of spheres, whose geodesics are known in closed form.

On ``W = sigma u v^T`` with ``lambda = sigma^{1/N}`` the metric is ``N dlambda^2 + lambda^2 (|du|^2 + |dv|^2)``: a cone
of radius ``sqrt(N) lambda`` over ``S^{m-1} x S^{n-1}`` modulo ``(u, v) -> (-u, -v)``, its link scaled by ``1/sqrt(N)``.
"""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from ..._typing import FloatArray
from .explicit import ExplicitPath


def rank_one_path(W0: FloatArray, W1: FloatArray, depth: float) -> ExplicitPath | None:
    """The shortest path between matrices of rank one, N >= 2; None where there is none (1 x 1 of opposite signs).

    Length squared ``N (l_0^2 + l_1^2 - 2 l_0 l_1 cos delta)``, where ``delta^2 N`` is the least of ``theta_u^2 +
    theta_v^2`` over both signs of (u, v). delta is below pi for N >= 2, so no way through 0 is shorter: the distance in
    the closure is the same.
    """
    n = int(depth)
    u0, v0, s0 = _factors(W0)
    u1, v1, s1 = _factors(W1)
    Z = W1 - W0  # exact for matrices that are close to each other, and W0 has no part across u0 and v0
    best: tuple[float, float, float, FloatArray, FloatArray] | None = None
    for u, v in ((u1, v1), (-u1, -v1)):
        across_u, across_v = Z @ v / s1, Z.T @ u / s1
        across_u, across_v = across_u - u0 * (u0 @ across_u), across_v - v0 * (v0 @ across_v)
        theta_u = math.atan2(float(np.linalg.norm(across_u)), float(u0 @ u))
        theta_v = math.atan2(float(np.linalg.norm(across_v)), float(v0 @ v))
        if (len(u0) == 1 and u0 @ u < 0) or (len(v0) == 1 and v0 @ v < 0):
            continue  # a sphere of two points
        delta = math.hypot(theta_u, theta_v) / math.sqrt(n)
        if best is None or delta < best[0]:
            best = (delta, theta_u, theta_v, _direction(u0, across_u), _direction(v0, across_v))
    if best is None:
        return None
    delta, theta_u, theta_v, du, dv = best
    l0 = s0 ** (1.0 / n)
    # s1^2 - s0^2 = <Z, W0 + W1>
    growth = float((Z * (W0 + W1)).sum()) / (s0 * s0)
    l1 = l0 * math.exp(0.5 * math.log1p(growth) / n) if growth > -1.0 else s1 ** (1.0 / n)
    gap = l0 * math.expm1(0.5 * math.log1p(growth) / n) if growth > -0.5 else l1 - l0
    length = math.sqrt(n * (gap * gap + 4.0 * l0 * l1 * math.sin(0.5 * delta) ** 2))

    at = partial(_turned, (u0, du), (v0, dv), (theta_u, theta_v, delta), (l0, l1), n)
    # at t = 0: lambda' = l1 cos delta - l0, angle' = (l1 / l0) sin delta of delta
    rise = gap - 2.0 * l1 * math.sin(0.5 * delta) ** 2
    rate = (l1 / l0) * (math.sin(delta) / delta if delta > 0.0 else 1.0)
    velocity = n * l0 ** (n - 1) * rise * np.outer(u0, v0)
    velocity = velocity + s0 * rate * (theta_u * np.outer(du, v0) + theta_v * np.outer(u0, dv))
    return ExplicitPath(at, np.asarray(velocity), length, "rank one", True)


def _factors(W: FloatArray) -> tuple[FloatArray, FloatArray, float]:
    u, s, vt = np.linalg.svd(W, full_matrices=False)
    return u[:, 0], vt[0], float(s[0])


def _direction(x: FloatArray, across: FloatArray) -> FloatArray:
    """Unit vector along ``across``; any one orthogonal to x where that vanishes (0 on a sphere of two points)."""
    size = float(np.linalg.norm(across))
    if size > 0.0:
        return across / size
    if len(x) == 1:
        return np.zeros(1)
    axis = np.zeros_like(x)
    axis[int(np.argmin(np.abs(x)))] = 1.0
    axis -= x * (x @ axis)
    return np.asarray(axis / np.linalg.norm(axis))


def _turned(
    left: tuple[FloatArray, FloatArray],
    right: tuple[FloatArray, FloatArray],
    angles: tuple[float, float, float],
    roots: tuple[float, float],
    n: float,
    t: float,
) -> FloatArray:
    """Along a segment in polar coordinates: the Nth root of the singular value, and the angle in both planes."""
    (u0, du), (v0, dv), (theta_u, theta_v, delta), (l0, l1) = left, right, angles, roots
    x = (1.0 - t) * l0 + t * l1 * math.cos(delta)
    y = t * l1 * math.sin(delta)
    part = math.atan2(y, x) / delta if delta > 0.0 else t
    u = math.cos(part * theta_u) * u0 + math.sin(part * theta_u) * du
    v = math.cos(part * theta_v) * v0 + math.sin(part * theta_v) * dv
    return np.asarray(math.hypot(x, y) ** n * np.outer(u, v))
