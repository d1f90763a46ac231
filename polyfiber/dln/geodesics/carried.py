"""Ways between nearly singular matrices: along a geodesic of lower rank, which carries the small singular values with
it.

Let both ends be near matrices of rank k. The geodesic ``Y(t)`` between those turns the column and the row space; frames
``C(t), D(t)`` of their complements are moved in parallel, and ``X(t) = Y(t) + C(t) M(t) D(t)^T`` with small matrices M
joins the ends themselves. It is no geodesic, but its length is an upper bound, and as small values go to 0 it tends to
that of Y: where the boundary value problem is beyond floating-point numbers nothing shorter may be found.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..._typing import FloatArray
from ...budget import heed
from ..spectral import operator_coefficients
from .guesses import turning_frames
from .hamilton import integrate
from .rank_one import rank_one_path
from .reduction import end_of, reduce

GAP = 0.1
"""A singular value at most this times the one before it, at both ends, is carried."""
_PIECES = 96
"""Even: Simpson's rule."""


def kept_ranks(a: FloatArray, b: FloatArray, rank: int) -> list[int]:
    """Numbers of singular values that stand out at both ends, below the rank; the widest gaps first, three at most."""
    heed("looking for gaps between singular values")
    values = [np.linalg.svd(w, compute_uv=False)[:rank] for w in (a, b)]
    gaps = np.maximum(*(v[1:] / v[:-1] for v in values))
    order = [int(k) for k in np.argsort(gaps) if gaps[k] <= GAP]
    return [k + 1 for k in order[:3]]


def cut(W: FloatArray, kept: int) -> FloatArray:
    """The nearest matrix of rank ``kept``."""
    u, values, vt = np.linalg.svd(W)
    return np.asarray((u[:, :kept] * values[:kept]) @ vt[:kept])


@dataclass(frozen=True, eq=False)
class Carried:
    """The curve from ``start`` to ``end`` (m, n) of one rank along the geodesic of rank ``kept`` with a given momentum.

    Attributes
    ----------
    core, momentum : float64 (m, n)
        Where the geodesic of rank ``kept`` starts, and its momentum there.
    residual : float
        Its relative miss at the end.
    """

    start: FloatArray
    end: FloatArray
    depth: float
    rank: int
    kept: int
    core: FloatArray
    momentum: FloatArray
    residual: float = 0.0

    def __call__(self, t: float) -> FloatArray:
        """The point at a time in [0, 1]."""
        times = np.unique(np.append(np.linspace(0.0, 1.0, _PIECES + 1), t))
        y, _, left, right = self._frames(times)
        i = int(np.searchsorted(times, t))
        return np.asarray(y[i] + left[i] @ self._small(left, right)(t) @ right[i].T)

    def measured(self) -> tuple[FloatArray, float]:
        """Velocity at the start, and the length."""
        times = np.linspace(0.0, 1.0, _PIECES + 1)
        y, speed, left, right = self._frames(times)
        small = self._small(left, right)
        k, h = self.kept, 1e-5
        speeds, velocity = np.empty(times.size), np.empty_like(self.start)
        for i, t in enumerate(times):
            u, s, vt = np.linalg.svd(y[i])
            u, s, v = u[:, :k], s[:k], vt[:k].T
            low, high = max(0.0, t - h), min(1.0, t + h)
            m, dm = small(t), (small(high) - small(low)) / (high - low)
            alpha = (left[i].T @ speed[i] @ v) / s
            beta = (right[i].T @ speed[i].T @ u) / s
            um, mu, vm = np.linalg.svd(m)
            mu = np.where(np.arange(len(mu)) < self.rank - k, mu, 0.0)
            rows, columns = (np.append(mu, np.zeros(size - len(mu))) for size in m.shape)
            square = 0.0
            for block, x, z in (
                (u.T @ speed[i] @ v, s, s),
                (um.T @ (alpha * s - m @ beta), rows, s),
                ((s[:, None] * beta.T - alpha.T @ m) @ vm.T, s, columns),
                (um.T @ dm @ vm.T, rows, columns),
            ):
                a = operator_coefficients(x[:, None], z, self.depth)
                square += float((block**2 / np.where(a > 0, a, math.inf)).sum())
            speeds[i] = math.sqrt(square)
            if i == 0:
                turning = -u @ alpha.T @ m @ right[i].T - left[i] @ m @ beta @ v.T
                velocity = speed[i] + turning + left[i] @ dm @ right[i].T
        weights = np.where(np.arange(times.size) % 2, 4.0, 2.0)
        weights[[0, -1]] = 1.0
        return velocity, float((weights * speeds).sum()) / (3.0 * _PIECES)

    def _frames(self, times: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Points and velocities of the geodesic of lower rank, frames of the complements of its two spaces."""
        k, (m, n) = self.kept, self.start.shape
        flow = integrate(self.core, self.momentum, self.depth, times[1:], rank=k, tolerance=1e-12, floor=1e-9)
        y = np.concatenate([self.core[None], flow.X])
        p = np.concatenate([self.momentum[None], flow.P])
        u, s, vt = np.linalg.svd(y)
        s[:, k:] = 0.0
        rows, columns = (np.concatenate([s, np.zeros((len(s), size - s.shape[1]))], axis=1) for size in (m, n))
        a = operator_coefficients(rows[:, :, None], columns[:, None, :], self.depth)
        speed = u @ (a * (u.transpose(0, 2, 1) @ p @ vt.transpose(0, 2, 1))) @ vt
        left, right = _moved(u, k), _moved(vt.transpose(0, 2, 1), k)
        return y, speed, left, right

    def _small(self, left: FloatArray, right: FloatArray) -> Callable[[float], FloatArray]:
        """The curve of the small matrices in the frames (T, m, m - k), (T, n, n - k)."""
        k, r = self.kept, self.rank
        rank, parts = r - k, []
        for w, c, d in ((self.start, left[0], right[0]), (self.end, left[-1], right[-1])):
            u, s, vt = np.linalg.svd(w)
            parts.append(((c.T @ u[:, k:r]) * s[k:r]) @ (vt[k:r] @ d))
        first, last = parts
        if rank == 1:
            path = rank_one_path(first, last, self.depth)
            if path is None:
                raise ArithmeticError("small parts of opposite signs")
            return path.at
        room = reduce(first, last - first, rank)
        shape = room.left.shape[1], room.right.shape[1]
        begin, finish = (end_of(room.inside(w), rank, self.depth, shape) for w in parts)
        turns = turning_frames(begin, finish, self.depth, keep=1)
        if not turns:
            raise ArithmeticError("small parts that no turn of frames joins")
        return lambda t: room.outside(turns[0].at(t))


def _moved(frames: FloatArray, kept: int) -> FloatArray:
    """The complement of the first ``kept`` columns, (T, m, m - kept), turned no more than that needs."""
    out = np.empty((*frames.shape[:2], frames.shape[2] - kept))
    out[0] = frames[0, :, kept:]
    for i in range(1, len(frames)):
        space = frames[i, :, kept:]
        u, _, vt = np.linalg.svd(space.T @ out[i - 1])
        out[i] = space @ (u @ vt)
    return out
