"""Geodesics of the deep linear network in closed form, where there is one.

Each function returns None where its hypothesis does not hold (to a stated tolerance).

* :func:`aligned`: both matrices have the same singular vectors, any depth.
* :func:`depth_two`: N = 2 with a normal velocity; contains the Bures-Wasserstein geodesics.
* :func:`from_conformal`: the first matrix is a multiple of an orthogonal one, and the second is normal relative to it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from ..._typing import Array, FloatArray
from ...errors import InputError, ShapeError
from ...numerics.rounding import UNIT
from ...words import one_line
from .._inputs import as_depth, as_matrix
from ..space.balanced import polar_factor
from ..space.metrics import metric


@dataclass(frozen=True)
class ExplicitPath:
    """A closed-form geodesic: ``at(t)`` is the point, ``velocity`` that at t = 0, ``shortest`` whether known minimal.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.dln import explicit_path
    >>> path = explicit_path(np.eye(2), 4 * np.eye(2), 2)
    >>> path.at(0.5).round(9).tolist(), path.shortest
    ([[2.25, 0.0], [0.0, 2.25]], True)
    """

    __repr__ = one_line

    at: Callable[[float], FloatArray]
    velocity: FloatArray
    length: float
    name: str
    shortest: bool


def aligned(W0: FloatArray, W1: FloatArray, depth: float, *, tolerance: float = 1e-10) -> ExplicitPath | None:
    """``X(t) = U ((1-t) Sigma_0^{1/N} + t Sigma_1^{1/N})^N V^T`` for matrices with common singular vectors.

    Length squared ``N sum (sigma_0^{1/N} - sigma_1^{1/N})^2``; infinite depth: ``U Sigma_0^{1-t} Sigma_1^t V^T`` and
    ``sum log(sigma_1/sigma_0)^2``. Shortest if both spectra are paired in the same order (von Neumann's trace
    inequality applied to the chord); otherwise a shorter path may exist.
    """
    frames = _common_frames(W0, W1, tolerance)
    if frames is None:
        return None
    left, s0, s1, right = frames
    same_order = bool(((s0[:, None] - s0) * (s1[:, None] - s1) >= -1e-14 * s0.max() * s1.max()).all())
    # singular values differ by the diagonal of W1 - W0, which is exact for matrices that are close to each other
    growth = np.log1p(np.clip(((left.T @ (W1 - W0) @ right).diagonal()) / s0, -0.5, None))
    growth = np.where(s1 < 0.5 * s0, np.log(s1 / s0), growth)
    if math.isinf(depth):
        at = partial(_exponential_stretch, left, s0, growth, right)
        speed = s0 * growth
        length = float(np.linalg.norm(growth))
    else:
        l0, l1 = s0 ** (1.0 / depth), s1 ** (1.0 / depth)
        at = partial(_stretch, left, l0, l1, right, depth)
        gaps = l0 * np.expm1(growth / depth)
        speed = depth * l0 ** (depth - 1.0) * gaps
        length = float(math.sqrt(depth) * np.linalg.norm(gaps))
    return ExplicitPath(at, (left * speed) @ right.T, length, "common singular vectors", same_order)


def _exponential_stretch(left: FloatArray, s0: FloatArray, rate: FloatArray, right: FloatArray, t: float) -> FloatArray:
    return np.asarray((left * (s0 * np.exp(rate * t))) @ right.T)


def _stretch(left: FloatArray, l0: FloatArray, l1: FloatArray, right: FloatArray, depth: float, t: float) -> FloatArray:
    return np.asarray((left * ((1.0 - t) * l0 + t * l1) ** depth) @ right.T)


def _common_frames(
    W0: FloatArray, W1: FloatArray, tolerance: float
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray] | None:
    """(U, s0, s1, V) with ``W_i = U diag(s_i) V^T``, s_i > 0, or None: same polar factor and commuting stretches."""
    turn = polar_factor(W0)
    a, b = turn.T @ W0, turn.T @ W1
    size_a, size_b = float(np.linalg.norm(a)), float(np.linalg.norm(b))
    if np.abs(b - b.T).max() > tolerance * size_b:
        return None
    if np.abs(a @ b - b @ a).max() > tolerance * size_a * size_b:
        return None
    a, b = 0.5 * (a + a.T), 0.5 * (b + b.T)
    # an irrational mixture separates the joint eigenspaces of a generic commuting pair
    for mix in (0.7548776662466927, -0.5698402909980532, 3.3166247903554):
        vectors = np.linalg.eigh(a / size_a + mix * b / size_b)[1]
        da, db = vectors.T @ a @ vectors, vectors.T @ b @ vectors
        off = max(
            float(np.abs(da - np.diag(np.diag(da))).max()) / size_a,
            float(np.abs(db - np.diag(np.diag(db))).max()) / size_b,
        )
        if off <= 100.0 * tolerance:
            s0, s1 = np.diag(da).copy(), np.diag(db).copy()
            if (s0 <= 0).any() or (s1 <= 0).any():
                return None
            return turn @ vectors, s0, s1, vectors
    return None


def depth_two(W0: FloatArray, W1: FloatArray, *, tolerance: float = 1e-9) -> ExplicitPath | None:
    """Depth 2: ``X(t) = U (I + tZ) Sigma_0 (I + tZ) V^T`` where ``Z = T - I`` is normal, ``T Sigma_0 T = U^T W1 V``.

    For equal polar factors T is the matrix geometric mean ``A^{-1} # B`` and this is the Bures-Wasserstein geodesic, of
    length ``sqrt(2)`` times the Bures-Wasserstein distance, and shortest.
    """
    from scipy.linalg import sqrtm

    u, sigma, vt = np.linalg.svd(W0)
    target = u.T @ W1 @ vt.T
    root = np.sqrt(sigma)
    inner = root[:, None] * target * root
    values = np.linalg.eigvals(inner)
    if ((np.abs(values.imag) <= 1e-12 * np.abs(values)) & (values.real <= 0)).any():
        return None
    t = sqrtm(inner)
    if np.iscomplexobj(t):
        if np.abs(t.imag).max() > 1e-10 * np.abs(t.real).max():
            return None
        t = t.real
    t = t / root[:, None] / root
    z = t - np.eye(len(sigma))
    size = float(np.linalg.norm(z))
    if size > 0 and np.abs(z @ z.T - z.T @ z).max() > tolerance * size**2:
        return None
    if np.abs((t * sigma) @ t - target).max() > 1e-9 * np.abs(target).max():
        return None
    speeds = np.linalg.eigvals(t)
    if ((np.abs(speeds.imag) <= 1e-12 * np.abs(speeds)) & (speeds.real <= 0)).any():
        return None  # (1 - t) I + t T becomes singular on the way

    at = partial(_twice_moved, u, sigma, vt, z)
    velocity = np.asarray(u @ (z * sigma + sigma[:, None] * z) @ vt)
    length = float(np.asarray(metric(W0, 2).norm(velocity)))
    symmetric = bool(np.abs(t - t.T).max() <= 1e-9 * max(float(np.abs(t).max()), 1e-300))
    positive = symmetric and bool(np.linalg.eigvalsh(0.5 * (t + t.T))[0] > 0)
    return ExplicitPath(at, velocity, length, "depth two, normal velocity", positive)


def _twice_moved(u: FloatArray, sigma: FloatArray, vt: FloatArray, z: FloatArray, t: float) -> FloatArray:
    move = np.eye(len(sigma)) + t * z
    return np.asarray(u @ (move * sigma) @ move @ vt)


def from_conformal(W0: FloatArray, W1: FloatArray, depth: float, *, tolerance: float = 1e-10) -> ExplicitPath | None:
    """``X(t) = c U (I + tY)^N V^T`` from ``W0 = c U V^T``, where ``(I + Y)^N = U^T W1 V / c`` is normal.

    Contains the rotations ``d(cI, cR_phi)^2 = 4 N c^{2/N} (1 - cos(phi/N))``, |phi| < pi, for d = 2. Infinite depth:
    ``c U exp(tL) V^T``. Known shortest only in the sense of a small rotation; not claimed here.
    """
    u, sigma, vt = np.linalg.svd(W0)
    c = float(sigma.mean())
    if sigma[0] - sigma[-1] > tolerance * sigma[0]:
        return None
    m = u.T @ W1 @ vt.T / c
    size = float(np.linalg.norm(m))
    if np.abs(m @ m.T - m.T @ m).max() > tolerance * size**2:
        return None
    from scipy.linalg import schur

    t, q = schur(m, output="complex")  # normal: t is diagonal
    values = np.diag(t)
    if ((np.abs(values.imag) <= 1e-9 * np.abs(values)) & (values.real <= 0)).any():
        return None
    logs = np.log(values)
    y = np.exp(logs / depth) - 1.0 if not math.isinf(depth) else logs

    at = partial(_spiral, c * u, q, y, vt, depth)
    factor = 1.0 if math.isinf(depth) else depth
    velocity = np.asarray(c * factor * (u @ ((q * y) @ q.conj().T).real @ vt))
    length = float(np.asarray(metric(W0, depth).norm(velocity)))
    return ExplicitPath(at, velocity, length, "from a multiple of an orthogonal matrix", False)


def _spiral(cu: FloatArray, q: Array, y: Array, vt: FloatArray, depth: float, t: float) -> FloatArray:
    power = np.exp(t * y) if math.isinf(depth) else (1.0 + t * y) ** int(depth)
    return np.asarray(cu @ ((q * power) @ q.conj().T).real @ vt)


def straight(start: FloatArray, change: FloatArray, t: float) -> FloatArray:
    """The point of a straight line at a time."""
    return np.asarray(start + t * change)


def explicit_path(W0: FloatArray, W1: FloatArray, depth: float) -> ExplicitPath | None:
    """The first closed form that applies, or None; square matrices of full rank.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.dln import explicit_path
    >>> round(explicit_path(np.eye(2), 4 * np.eye(2), 2).length, 9)
    2.0
    """
    depth = as_depth(depth, infinite=True)
    W0, W1 = (as_matrix(W, name=name, square=depth > 1) for W, name in ((W0, "W0"), (W1, "W1")))
    if W0.ndim != 2 or W0.shape != W1.shape:
        raise ShapeError(f"expected two matrices of one size, found {W0.shape} and {W1.shape}")
    if depth > 1 and not all(np.linalg.svd(W, compute_uv=False)[-1] > 0 for W in (W0, W1)):
        raise InputError("closed forms are for two invertible matrices")
    if depth == 1:
        difference = W1 - W0
        length = float(np.linalg.norm(difference))
        return ExplicitPath(partial(straight, W0, difference), difference, length, "Euclidean", True)
    found = aligned(W0, W1, depth)
    if found is None and depth == 2:
        found = depth_two(W0, W1)
    if found is None:
        found = from_conformal(W0, W1, depth)
    return found


def residual(path: ExplicitPath, W0: FloatArray, W1: FloatArray, depth: float) -> float:
    """What a closed form leaves of the way to W1, relative to its length, measured by the metric at W1.

    Hypotheses of closed forms hold to tolerances relative to the matrices, not to their distance. For matrices that are
    very close to each other the rounding of ``at(1)`` counts too, and a closed form is then not taken.
    """
    if path.length == 0.0:
        return 0.0 if np.array_equal(W0, W1) else math.inf
    if depth == 1:
        return 0.0
    end = metric(W1, depth)
    miss = end.project(W1 - path.at(1.0))
    slack = 8.0 * UNIT * float(np.asarray(end.norm(end.project(np.abs(W1)))))
    return float(np.asarray(end.norm(miss)) + slack) / path.length
