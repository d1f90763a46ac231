"""Geodesics of (GL_d, g^N) as a Hamiltonian system, the exponential map and its conserved quantities.

``H(X, P) = (1/2) Tr(P^T A_X(P))`` gives ``dX/dt = A_X(P)`` and ``dP/dt = -(S_1 X + X S_2)`` with symmetric S_1, S_2
built from Loewner matrices (Chen, arXiv 2510.07324, Theorem 2.1). No Christoffel symbols appear, and every entry is a
divided difference that stays finite where singular values meet.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..._typing import FloatArray
from ...errors import InputError, NumericalError
from .._inputs import as_depth, as_finite, as_like, as_matrix, as_positive, as_stack, require_some, unbatched
from ..space.metrics import exponents, metric, require_full_rank
from ..space.submersion import product, pull
from ..spectral import expm1_quotient, log_ratio, singular_frame


class BoundaryError(NumericalError):
    """A geodesic ran into a singular matrix, where the metric ends, before the time asked for."""


def hamiltonian(X: npt.ArrayLike, P: npt.ArrayLike, depth: float) -> float | FloatArray:
    """Energy ``H = (1/2) Tr(P^T A_X(P))``; the unit-time geodesic has length ``sqrt(2 H)``.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.dln import hamiltonian
    >>> hamiltonian(np.eye(2), np.eye(2), 3)
    3.0
    """
    g = metric(as_matrix(X, name="X", square=True), depth)
    p = as_like(P, g.W, name="P")
    return unbatched(0.5 * (p * g.apply(p)).sum(axis=(-2, -1)))


def vector_field(X: FloatArray, P: FloatArray, depth: float) -> tuple[FloatArray, FloatArray]:
    """Right-hand side ``(dX/dt, dP/dt)`` of Hamilton's equations for matrices of full rank, shapes (..., d, d)."""
    left, sigma, right_t = np.linalg.svd(X)
    left_t = np.swapaxes(left, -1, -2)
    pi = left_t @ P @ np.swapaxes(right_t, -1, -2)
    x, y = sigma[..., :, None], sigma[..., None, :]
    large = np.maximum(x, y)
    u = -2.0 * np.abs(log_ratio(x, y))
    if math.isinf(depth):
        a = large**2 * expm1_quotient(1.0, 0.0, u)
    else:
        a = large ** (2.0 - 2.0 / depth) * expm1_quotient(1.0, 1.0 / depth, u)
    s1, s2 = _stresses(sigma, pi, large, u, depth)
    dp = -(s1 * y + x * s2)
    return left @ (a * pi) @ right_t, left @ dp @ right_t


def _stresses(
    sigma: FloatArray, pi: FloatArray, large: FloatArray, u: FloatArray, depth: float
) -> tuple[FloatArray, FloatArray]:
    alpha, delta, weight = _exponent_arrays(depth)
    shape = (-1, *[1] * u.ndim)
    al = alpha.reshape(shape)
    with np.errstate(invalid="ignore", divide="ignore"):
        gamma = np.expm1(al * u) / np.expm1(u)
    gamma = np.where(u == 0.0, al, gamma) * large ** (2.0 * al - 2.0) * weight.reshape(shape)
    power = sigma ** (2.0 * delta.reshape(shape[:-1]))
    pi_t = np.swapaxes(pi, -1, -2)
    s1 = (gamma * ((pi * power[..., None, :]) @ pi_t)).sum(axis=0)
    s2 = (gamma * ((pi_t * power[..., None, :]) @ pi)).sum(axis=0)
    return s1, s2


_CACHE: dict[float, tuple[FloatArray, FloatArray, FloatArray]] = {}


def _exponent_arrays(depth: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    if depth not in _CACHE:
        table = np.array(exponents(depth), dtype=np.float64).reshape(-1, 3)
        _CACHE[depth] = (table[:, 0], table[:, 1], table[:, 2])
    return _CACHE[depth]


@dataclass(frozen=True)
class HamiltonianPath:
    """A solution of Hamilton's equations.

    Attributes
    ----------
    times : float64 (T,)
    X, P : float64 (T, ..., d, d)
    evaluations : int
        Calls of the right-hand side.
    """

    times: FloatArray
    X: FloatArray
    P: FloatArray
    evaluations: int


def integrate(
    X: FloatArray,
    P: FloatArray,
    depth: float,
    times: FloatArray,
    *,
    tolerance: float = 1e-11,
    floor: float = 1e-6,
    limit: int = 100_000,
) -> HamiltonianPath:
    """Integrate Hamilton's equations from time 0 through ``times`` (increasing); a batch moves with shared steps.

    Raises
    ------
    BoundaryError
        If a smallest singular value falls below ``floor`` times its initial value, or ``limit`` evaluations of the
        right-hand side are not enough (a path that swings through nearly singular matrices).
    """
    from scipy.integrate import solve_ivp

    shape = X.shape
    size = X.size
    least = floor * np.linalg.svd(X, compute_uv=False)[..., -1]

    calls = 0

    def right(t: float, y: FloatArray) -> FloatArray:
        nonlocal calls
        calls += 1
        if calls > limit:
            raise BoundaryError(f"the geodesic takes more than {limit} evaluations (time {t:.6g} reached)", time=t)
        x = y[:size].reshape(shape)
        dx, dp = vector_field(x, y[size:].reshape(shape), depth)
        return np.concatenate([dx.ravel(), dp.ravel()])

    def near_boundary(t: float, y: FloatArray) -> float:
        values = np.linalg.svd(y[:size].reshape(shape), compute_uv=False)[..., -1]
        return float(np.min(values - least))

    near_boundary.terminal = True  # type: ignore[attr-defined]
    y0 = np.concatenate([X.ravel(), P.ravel()])
    times = np.asarray(times, dtype=np.float64)
    if times[-1] == 0.0:
        return HamiltonianPath(
            times, np.broadcast_to(X, (times.size, *shape)), np.broadcast_to(P, (times.size, *shape)), 0
        )
    scale = np.concatenate(
        [
            np.full(size, tolerance * max(float(np.abs(X).max()), 1e-300)),
            np.full(size, tolerance * max(float(np.abs(P).max()), 1e-300)),
        ]
    )
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        try:
            solution = solve_ivp(
                right,
                (0.0, float(times[-1])),
                y0,
                method="DOP853",
                t_eval=times,
                rtol=max(tolerance, 3e-14),
                atol=scale,
                events=near_boundary,
            )
        except np.linalg.LinAlgError:
            raise BoundaryError("the geodesic left the invertible matrices", time=None) from None
    if solution.status == 1:
        raise BoundaryError(
            f"the geodesic comes within {floor:.1g} of a singular matrix at time {solution.t_events[0][0]:.6g}",
            time=float(solution.t_events[0][0]),
        )
    if solution.status != 0 or not np.isfinite(solution.y).all():
        raise BoundaryError(f"the integration of the geodesic stopped: {solution.message}", time=None)
    y = solution.y.T
    return HamiltonianPath(times, y[:, :size].reshape(-1, *shape), y[:, size:].reshape(-1, *shape), int(solution.nfev))


def exponential(
    W: npt.ArrayLike, velocity: npt.ArrayLike, depth: float, *, t: npt.ArrayLike = 1.0, tolerance: float = 1e-11
) -> FloatArray:
    """Point(s) at time t of the geodesic through W with the given velocity.

    Parameters
    ----------
    W : array_like (..., d, d)
        Of full rank.
    velocity : array_like (..., d, d)
    depth : int >= 1 or math.inf
    t : float or array_like (T,)
        Non-negative times; one number gives (..., d, d), an array (T, ..., d, d).
    tolerance : float
        Relative error per step of the Runge-Kutta method of order 8.

    Raises
    ------
    BoundaryError
        If the geodesic reaches a singular matrix before t: (GL_d, g^N) is not complete.

    Notes
    -----
    Cost: about 15 steps of 12 SVDs for moderate lengths.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.dln import exponential
    >>> X = exponential(np.eye(2), np.eye(2), 2)      # radial: X(t) = (1 + t/2)^2 I
    >>> bool(np.allclose(X, 2.25 * np.eye(2)))
    True
    """
    n = as_depth(depth, infinite=True)
    matrix = as_matrix(W, square=True)
    v = as_like(velocity, matrix, name="velocity")
    matrix = np.broadcast_to(matrix, np.broadcast_shapes(matrix.shape, v.shape))
    times = np.atleast_1d(as_finite(t, name="t"))
    if times.ndim != 1 or (times < 0).any():
        raise InputError("t must be a non-negative number or a list of them (for t < 0 reverse the velocity)")
    require_some(matrix, name="W")
    require_full_rank(singular_frame(matrix), name="W")
    g = metric(matrix, n)
    momentum = g.solve(np.broadcast_to(v, matrix.shape))
    order = np.unique(times)
    path = integrate(
        np.ascontiguousarray(matrix), momentum, n, order, tolerance=as_positive(tolerance, name="tolerance")
    )
    result = path.X[np.searchsorted(order, times)]
    return np.asarray(result[0] if np.ndim(t) == 0 else result)


@dataclass(frozen=True)
class ConservedQuantities:
    """First integrals of the geodesic flow at a point of phase space.

    Attributes
    ----------
    energy : float
        H.
    left, right : float64 (d, d)
        ``P X^T - X P^T`` and ``X^T P - P^T X``: momenta of the isometries ``X -> R X T^T``.
    radial : float
        ``Tr(X^T P)``, not conserved: it grows at the constant rate ``2 H / N`` (see :func:`cone_law`), and is
        conserved at infinite depth.
    """

    energy: float
    left: FloatArray
    right: FloatArray
    radial: float


def conserved(X: npt.ArrayLike, P: npt.ArrayLike, depth: float) -> ConservedQuantities:
    """Energy and the momenta of the isometry group at (X, P); one point."""
    x = as_matrix(X, name="X", square=True)
    p = as_like(P, x, name="P")
    if x.ndim != 2 or p.ndim != 2:
        raise InputError("one point of phase space at a time")
    return ConservedQuantities(
        float(np.asarray(hamiltonian(x, p, depth))), p @ x.T - x @ p.T, x.T @ p - p.T @ x, float((x * p).sum())
    )


def squared_radius(W: npt.ArrayLike, depth: int) -> float | FloatArray:
    """``rho^2 = N sum sigma_k^{2/N}``: the squared norm of every balanced network over W.

    (GL_d, g^N) is a metric cone with this radius.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.dln import squared_radius
    >>> squared_radius(np.diag([4.0, 1.0]), 2)
    10.0
    """
    n = as_depth(depth)
    values = singular_frame(as_matrix(W)).values
    return unbatched(n * (values ** (2.0 / n)).sum(axis=-1))


def cone_law(X: npt.ArrayLike, P: npt.ArrayLike, depth: int, t: float) -> float:
    """``rho^2`` at time t of the geodesic from (X, P): ``rho_0^2 + 2 N t Tr(X^T P) + 2 H t^2``; no integration."""
    n = as_depth(depth)
    first = conserved(X, P, n)
    return float(np.asarray(squared_radius(X, int(n)))) + 2.0 * n * t * first.radial + 2.0 * first.energy * t * t


def lift_path(X: npt.ArrayLike, P: npt.ArrayLike, times: npt.ArrayLike, *, start: npt.ArrayLike) -> FloatArray:
    """Horizontal lift to balanced networks of the geodesic from (X, P): ``dW_p/dt = (d phi^* P)_p``.

    Parameters
    ----------
    X, P : array_like (d, d)
        Initial point and momentum downstairs.
    times : array_like (T,)
        Increasing, from 0 on.
    start : array_like (N, d, d)
        A balanced network over X.

    Returns
    -------
    float64 (T, N, d, d)
    """
    from scipy.integrate import solve_ivp

    stack = as_stack(start)
    n, d = stack.shape[-3], stack.shape[-1]
    x = as_matrix(X, name="X", square=True)
    p = as_like(P, x, name="P")
    if np.abs(product(stack) - x).max() > 1e-8 * max(float(np.abs(x).max()), 1e-300):
        raise InputError("the network `start` does not multiply to X")
    grid = as_finite(times, name="times")
    size = n * d * d

    def right(t: float, y: FloatArray) -> FloatArray:
        w = y[:size].reshape(n, d, d)
        momentum = y[size:].reshape(d, d)
        _, dp = vector_field(product(w), momentum, n)
        return np.concatenate([pull(w, momentum).ravel(), dp.ravel()])

    y0 = np.concatenate([stack.ravel(), p.ravel()])
    solution = solve_ivp(right, (0.0, float(grid[-1])), y0, method="DOP853", t_eval=grid, rtol=1e-11, atol=1e-13)
    if solution.status != 0:
        raise BoundaryError(f"the lift stopped: {solution.message}", time=None)
    return np.asarray(solution.y.T[:, :size].reshape(-1, n, d, d))
