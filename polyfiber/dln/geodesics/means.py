"""Fréchet means of matrices in the metric of the deep linear network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..._typing import FloatArray
from ..._values.checked import whole
from ..._values.read_only import closed
from ...budget import Budget, within_budget
from ...errors import InputError, ShapeError, SolverError
from ...words import one_line
from .._inputs import as_depth, as_finite, as_matrices, as_matrix, as_positive
from ..space.metrics import metric
from .boundary import common_rank, geodesic
from .hamilton import BoundaryError, exponential
from .result import Geodesic


@closed
@dataclass(frozen=True)
class FrechetMean:
    """A stationary point of the weighted sum of squared distances.

    Attributes
    ----------
    mean : float64 (m, n)
    variance : float
        ``sum_i w_i d(mean, W_i)^2``.
    gradient_norm : float
        Metric length of ``sum_i w_i log_mean(W_i)``; zero at a stationary point.
    iterations : int
    distances : float64 (k,)
    geodesics : tuple of Geodesic
        From the mean to every matrix.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber import dln
    >>> found = dln.frechet_mean([np.eye(2), 9 * np.eye(2)], 2)
    >>> found.mean.round(6).tolist()
    [[4.0, 0.0], [0.0, 4.0]]
    """

    __repr__ = one_line

    mean: FloatArray
    variance: float
    gradient_norm: float
    iterations: int
    distances: FloatArray
    geodesics: tuple[Geodesic, ...]


@within_budget
def frechet_mean(
    matrices: Sequence[npt.ArrayLike] | npt.ArrayLike,
    depth: float,
    *,
    weights: npt.ArrayLike | None = None,
    start: npt.ArrayLike | None = None,
    tolerance: float = 1e-8,
    limit: int = 100,
    budget: Budget | None = None,
) -> FrechetMean:
    """Fréchet mean of m x n matrices of one rank in the metric g^N of their stratum, by Riemannian gradient descent.

    Iterates ``X <- exp_X(step * sum_i w_i log_X(W_i))``, each logarithm started from the one before; where the
    iteration ends they are searched anew, and it goes on from shorter ones.

    Parameters
    ----------
    matrices : sequence of (m, n), or array (k, m, n)
        Of one rank r >= 1; square ones of full rank with determinants of one sign.
    depth : int or math.inf
    weights : array_like (k,), optional
        Non-negative with a positive sum; equal by default.
    start : array_like (m, n), optional
        First iterate; the matrix of least sum of squared Frobenius distances to the others by default.
    tolerance : float
        Metric length of the gradient, relative to the spread, at which to stop.
    limit : int
        Iterations.
    budget : Budget, optional
        Seconds for all of it; looked at within each integration.

    Returns
    -------
    FrechetMean

    Raises
    ------
    InputError
        Ranks that differ or determinants of mixed signs.
    SolverError
        If a logarithm fails or the limit is reached.

    Notes
    -----
    The result is a stationary point in the stratum: the mean has the rank of the matrices. Uniqueness holds for matrices
    that are close enough together (the metric has curvature of both signs); the function does not decide that. Cost: k
    geodesics per iteration.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.dln import frechet_mean
    >>> m = frechet_mean([np.diag([1.0, 1.0]), np.diag([9.0, 4.0])], 2)    # mean of square roots, squared
    >>> bool(np.allclose(m.mean, np.diag([4.0, 2.25])))
    True
    >>> turned = frechet_mean([[[1.0, 0.0, 0.0]], [[0.0, 1.0, 0.0]]], 2)     # 1 x 3, of rank one: half way round
    >>> bool(np.isclose(turned.mean[0, 0], turned.mean[0, 1])), bool(abs(turned.mean[0, 2]) < 1e-9)
    (True, True)
    """
    n, limit = as_depth(depth, infinite=True), whole(limit, "limit", least=0)
    points = as_matrices(matrices, "matrix {}")
    if not points:
        raise InputError("the mean of no matrices is not defined")
    if any(m.shape != points[0].shape or m.ndim != 2 for m in points):
        raise ShapeError(f"expected matrices (m, n) of one size, found {[m.shape for m in points]}")
    w = np.full(len(points), 1.0) if weights is None else as_finite(weights, name="weights")
    if w.shape != (len(points),) or (w < 0).any() or w.sum() <= 0:
        raise InputError(f"weights must be {len(points)} non-negative numbers with a positive sum, found {w!r}")
    w = w / w.sum()
    goal = as_positive(tolerance, name="tolerance")
    frames = [metric(m, n) for m in points]
    if n > 1:
        for other in frames[1:]:
            common_rank(frames[0], other)
    if start is None:
        spread = [sum(wi * float(((m - p) ** 2).sum()) for wi, p in zip(w, points, strict=True)) for m in points]
        current = points[int(np.argmin(spread))].copy()
    else:
        current = as_matrix(start, name="start")
        if current.shape != points[0].shape:
            raise ShapeError(f"start has shape {current.shape}; expected {points[0].shape}", shape=current.shape)
        common_rank(metric(current, n), frames[0])
    accuracy = min(1e-9, 0.1 * goal)
    rays = _rays(current, points, n, accuracy, None)
    step = 1.0
    for iteration in range(limit + 1):
        here = metric(current, n)
        gradient = here.project(np.asarray(sum(wi * g.velocity for wi, g in zip(w, rays, strict=True))))
        variance = float(sum(wi * g.length**2 for wi, g in zip(w, rays, strict=True)))
        size = float(np.asarray(here.norm(gradient)))
        if size <= goal * max(math.sqrt(variance), 1e-300) or variance == 0.0:
            # geodesics that followed the mean need not be the shortest ones from where it is
            fresh = _rays(current, points, n, accuracy, None) if iteration else rays
            if any(f.length < r.length * (1.0 - 1e-6) for f, r in zip(fresh, rays, strict=True)):
                rays = [min(pair, key=lambda g: g.length) for pair in zip(fresh, rays, strict=True)]
                continue
            lengths = np.array([g.length for g in rays])
            return FrechetMean(current, variance, size, iteration, lengths, tuple(rays))
        while True:
            try:
                trial = exponential(current, step * gradient, n)
                new = _rays(trial, points, n, accuracy, rays)
                value = float(sum(wi * g.length**2 for wi, g in zip(w, new, strict=True)))
                if value <= variance - 0.5 * step * size**2 + 4.0 * accuracy * variance:  # lengths are that accurate
                    break
            except (BoundaryError, SolverError):
                pass
            step *= 0.5
            if step < 1e-6:
                raise SolverError(
                    f"the mean stalled after {iteration} iterations at gradient {size:.3g}",
                    status="stalled",
                    gradient=size,
                )
        current, rays = trial, new
        step = min(1.0, 2.0 * step)
    raise SolverError(
        f"the mean did not converge in {limit} iterations (gradient {size:.3g})", status="limit", gradient=size
    )


def _rays(
    centre: FloatArray, points: list[FloatArray], depth: float, accuracy: float, before: list[Geodesic] | None
) -> list[Geodesic]:
    result = []
    for i, p in enumerate(points):
        guess = before[i].momentum if before is not None else None
        ray = geodesic(centre, p, depth, tolerance=accuracy, guess=guess, check=False)
        ray.require_solved("logarithm")
        result.append(ray)
    return result
