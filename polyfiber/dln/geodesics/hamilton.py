"""Geodesics of g^N on the matrices of one rank as a Hamiltonian system, the exponential map, conserved quantities.

``H(X, P) = (1/2) Tr(P^T A_X(P))`` gives ``dX/dt = A_X(P)`` and ``dP/dt = -(S_1 X + X S_2)`` with symmetric S_1, S_2
built from Loewner matrices (Chen, arXiv 2510.07324, Theorem 2.1, at full rank). No Christoffel symbols appear, and
every entry is a divided difference that stays finite where singular values meet. At rank r the same equations hold with
the powers of ``W W^T`` cut off at the r-th singular value: that function is smooth near the matrices of rank r, its
flow keeps them, and the part of P normal to them plays no role.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from ..._typing import FloatArray
from ..._values.checked import real
from ..._values.read_only import closed
from ...budget import until_late
from ...errors import InputError, NumericalError
from ...kernels.linear.geodesics import BOUNDARY, BROKEN, DONE, LIMIT, Problem, Tableau, field_of, flow
from ...numerics.rounding import UNIT
from ...words import one_line
from .._inputs import as_depth, as_finite, as_like, as_matrix, as_positive, as_stack, require_some, unbatched
from ..space.metrics import metric
from ..space.submersion import product, pull
from ..spectral import singular_frame
from .reduction import reduce


class BoundaryError(NumericalError):
    """A geodesic ran into a singular matrix, where the metric ends, before the time asked for.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber import dln
    >>> try:
    ...     dln.exponential(np.eye(2), -3 * np.eye(2), 2)
    ... except dln.BoundaryError as error:
    ...     print("singular")
    singular
    """


def hamiltonian(X: npt.ArrayLike, P: npt.ArrayLike, depth: float) -> float | FloatArray:
    """Energy ``H = (1/2) Tr(P^T A_X(P))``; the unit-time geodesic has length ``sqrt(2 H)``.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.dln import hamiltonian
    >>> hamiltonian(np.eye(2), np.eye(2), 3)
    3.0
    """
    g = metric(as_matrix(X, name="X"), depth)
    p = as_like(P, g.W, name="P")
    return unbatched(0.5 * (p * g.apply(p)).sum(axis=(-2, -1)))


def vector_field(
    X: FloatArray, P: FloatArray, depth: float, *, rank: int | None = None
) -> tuple[FloatArray, FloatArray]:
    """Right-hand side ``(dX/dt, dP/dt)`` of Hamilton's equations, shapes (..., d, d), at matrices of one rank."""
    d = X.shape[-1]
    flat_x = np.ascontiguousarray(X, dtype=np.float64).reshape(-1, d, d)
    flat_p = np.ascontiguousarray(P, dtype=np.float64).reshape(-1, d, d)
    dx, dp = np.empty_like(flat_x), np.empty_like(flat_p)
    field_of(_problem(np.zeros((d, d)), d if rank is None else rank, depth), flat_x, flat_p, dx, dp)
    return dx.reshape(X.shape), dp.reshape(X.shape)


_NODES = 0.5 + 0.5 * np.polynomial.legendre.leggauss(16)[0]
_WEIGHTS = 0.5 * np.polynomial.legendre.leggauss(16)[1]


def _problem(
    start: FloatArray, rank: int, depth: float, tolerance: float = 1e-10, floor: float = 0.0, limit: int = 0
) -> Problem:
    n = 0 if math.isinf(depth) else int(depth)
    if n >= 2**31:
        raise InputError(f"depth is {n}; geodesics are integrated up to depth 2^31, or at math.inf")
    return Problem(np.ascontiguousarray(start), rank, n, _NODES, _WEIGHTS, float(tolerance), float(floor), limit)


@cache
def _tableau() -> Tableau:
    from scipy.integrate import DOP853

    return Tableau(*(np.ascontiguousarray(x, dtype=np.float64) for x in (DOP853.A, DOP853.B, DOP853.E3, DOP853.E5)))


@dataclass(frozen=True)
class Bundle:
    """A geodesic and neighbours of it: ``D`` displacements from the start and ``P`` momenta, float64 (T, n, d, d)."""

    D: FloatArray
    P: FloatArray
    evaluations: int


def carry(
    start: FloatArray,
    D: FloatArray,
    P: FloatArray,
    depth: float,
    times: FloatArray,
    *,
    rank: int,
    tolerance: float = 1e-11,
    floor: float = 1e-6,
    limit: int = 100_000,
) -> Bundle:
    """Integrate a bundle (n, d, d) of geodesics that starts at ``start + D`` with momenta P; the first one chooses
    steps.

    Displacements are integrated, not points: a geodesic of length 1e-14 is as accurate as one of length 1.

    Raises
    ------
    BoundaryError
        If the least singular value of the first member falls below ``floor`` times its initial value, or ``limit``
        evaluations are not enough (a path that swings through matrices of lower rank).
    """
    least = float(np.linalg.svd(start, compute_uv=False)[rank - 1])
    problem = _problem(start, rank, depth, max(tolerance, 2e-14), floor * least, limit)
    out_d, out_p = np.empty((2, times.size, *D.shape))
    arrays = (np.ascontiguousarray(times, dtype=np.float64), np.array(D, order="C"), np.array(P, order="C"))
    found: tuple[int, int, float, int] = BROKEN, 0, 0.0, 0

    def run(stop: npt.NDArray[np.int8]) -> None:
        nonlocal found
        copies = (arrays[0], arrays[1].copy(), arrays[2].copy())
        found = flow(problem, _tableau(), *copies, out_d, out_p, stop)

    with np.errstate(all="ignore"):
        until_late(run, "the integration of a geodesic", 10_000 * D.size * D.shape[-1])
    status, calls, reached, _ = found
    if status == BOUNDARY:
        raise BoundaryError(
            f"the geodesic comes to a singular matrix, of lower rank: its least singular value falls to {floor:.1g} of the "
            f"first one at time {reached:.6g}",
            time=float(reached),
            evaluations=int(calls),
        )
    if status == LIMIT:
        raise BoundaryError(
            f"the geodesic takes more than {limit} evaluations (time {reached:.6g} reached)",
            time=reached,
            evaluations=int(calls),
        )
    if status != DONE:
        raise BoundaryError(
            "the integration of the geodesic left the range of numbers", time=float(reached), evaluations=int(calls)
        )
    return Bundle(out_d, out_p, int(calls))


@closed
@dataclass(frozen=True)
class HamiltonianPath:
    """A solution of Hamilton's equations.

    Attributes
    ----------
    times : float64 (T,)
    X, P : float64 (T, ..., m, n)
    evaluations : int
        Calls of the right-hand side.
    """

    __repr__ = one_line

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
    rank: int | None = None,
    tolerance: float = 1e-11,
    floor: float = 1e-6,
    limit: int = 100_000,
) -> HamiltonianPath:
    """Integrate Hamilton's equations from time 0 through ``times`` (increasing), every matrix of a batch by itself.

    ``X``: (..., m, n), of one rank (default: full). Cost: about 100 evaluations for moderate lengths.

    Raises
    ------
    BoundaryError
        As :func:`carry`.
    """
    times = np.asarray(times, dtype=np.float64)
    r = min(X.shape[-2:]) if rank is None else rank
    out_x, out_p = np.empty((2, times.size, *X.shape))
    calls = 0
    for index in np.ndindex(X.shape[:-2]):
        x, p = X[index], P[index]
        velocity = metric(x, depth).apply(p)
        room = reduce(x, velocity, r, tight=math.isinf(depth))
        inner = room.covector_inside(p, depth)
        zero = np.zeros((1, room.size, room.size))
        found = carry(
            room.inside(x), zero, inner[None], depth, times, rank=r, tolerance=tolerance, floor=floor, limit=limit
        )
        calls += found.evaluations
        for t in range(times.size):
            out_x[(t, *index)] = _of_rank(x + room.outside(found.D[t, 0]), r)
            out_p[(t, *index)] = room.covector_outside(found.P[t, 0], depth)
    return HamiltonianPath(times, out_x, out_p, calls)


def _of_rank(W: FloatArray, rank: int) -> FloatArray:
    """The matrix without what errors of the integration add beyond its rank."""
    if rank == min(W.shape):
        return W
    u, s, vt = np.linalg.svd(W, full_matrices=False)
    if s[rank] <= 8.0 * UNIT * s[0]:
        return W
    return np.asarray((u[:, :rank] * s[:rank]) @ vt[:rank])


def exponential(
    W: npt.ArrayLike, velocity: npt.ArrayLike, depth: float, *, t: npt.ArrayLike = 1.0, tolerance: float = 1e-11
) -> FloatArray:
    """Point(s) at time t of the geodesic through W with the given velocity.

    Parameters
    ----------
    W : array_like (..., m, n)
        Of one rank r >= 1; the geodesic is that of the matrices of rank r.
    velocity : array_like (..., m, n)
        Tangent to the matrices of rank r (``Metric.project`` makes it so).
    depth : int >= 1 or math.inf
        At depth 1 the space is that of all matrices with the Euclidean metric, and geodesics are straight lines.
    t : float or array_like (T,)
        Non-negative times; one number gives (..., m, n), an array (T, ..., m, n).
    tolerance : float
        Relative error per step of the Runge-Kutta method of order 8.

    Raises
    ------
    BoundaryError
        If the geodesic reaches a matrix of lower rank before t (its least singular value falls to 1e-8 of that of W):
        the space is not complete.
    InputError
        A velocity that leaves the matrices of that rank; the zero matrix, a point by itself; ranks that differ.

    Notes
    -----
    Cost: about 100 singular value decompositions of size min(m, n, 2r) for moderate lengths, compiled.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.dln import exponential
    >>> X = exponential(np.eye(2), np.eye(2), 2)      # radial: X(t) = (1 + t/2)^2 I
    >>> bool(np.allclose(X, 2.25 * np.eye(2)))
    True
    >>> exponential([[1.0, 0.0]], [[1.0, 0.0]], 2).round(9).tolist()
    [[2.25, 0.0]]
    """
    n = as_depth(depth, infinite=True)
    matrix = as_matrix(W)
    v = as_like(velocity, matrix, name="velocity")
    matrix = np.broadcast_to(matrix, np.broadcast_shapes(matrix.shape, v.shape))
    times = np.atleast_1d(as_finite(t, name="t"))
    if times.ndim != 1 or (times < 0).any():
        raise InputError("t must be a non-negative number or a list of them (for t < 0 reverse the velocity)")
    require_some(matrix, name="W")
    accuracy = as_positive(tolerance, name="tolerance")
    if n == 1:
        straight = matrix + times.reshape(-1, *[1] * matrix.ndim) * v
        return np.asarray(straight[0] if np.ndim(t) == 0 else straight)
    ranks = np.unique(singular_frame(matrix).rank)
    if ranks.size > 1 or ranks[0] == 0:
        raise InputError(
            f"W has ranks {ranks.tolist()}; expected one rank of at least 1 (the zero matrix is a point by itself)",
            rank=ranks,
        )
    momentum = metric(matrix, n).solve(np.broadcast_to(v, matrix.shape))
    order = np.unique(times)
    path = integrate(
        np.ascontiguousarray(matrix), momentum, n, order, rank=int(ranks[0]), tolerance=accuracy, floor=1e-8
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
    left, right : float64 (m, m), (n, n)
        ``P X^T - X P^T`` and ``X^T P - P^T X``: momenta of the isometries ``X -> R X T^T``.
    radial : float
        ``Tr(X^T P)``, not conserved: it grows at the constant rate ``2 H / N`` (see :func:`cone_law`), and is
        conserved at infinite depth.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber import dln
    >>> at = dln.conserved(np.eye(2), [[0.0, 1.0], [0.0, 0.0]], 2)
    >>> at.left.tolist()
    [[0.0, 1.0], [-1.0, 0.0]]
    """

    __repr__ = one_line

    energy: float
    left: FloatArray
    right: FloatArray
    radial: float


def conserved(X: npt.ArrayLike, P: npt.ArrayLike, depth: float) -> ConservedQuantities:
    """Energy and the momenta of the isometry group at (X, P); one point.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber import dln
    >>> at = dln.conserved(np.eye(2), np.diag([1.0, 2.0]), 2)
    >>> at.radial, bool((at.left == 0).all())
    (3.0, True)
    """
    x = as_matrix(X, name="X")
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
    """``rho^2`` at time t of the geodesic from (X, P): ``rho_0^2 + 2 N t Tr(X^T P) + 2 H t^2``; no integration.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber import dln
    >>> round(dln.cone_law(np.eye(2), 0.5 * np.eye(2), 2, 1.0), 9)
    9.0
    """
    n, t = as_depth(depth), real(t, "t")
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

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber import dln
    >>> X, P = np.diag([4.0, 1.0]), 0.1 * np.eye(2)
    >>> path = dln.lift_path(X, P, [0.0, 0.1], start=dln.lift(X, 2))
    >>> path.shape, float(np.abs(dln.imbalance(path[-1])).max()) < 1e-8
    ((2, 2, 2, 2), True)
    """
    from scipy.integrate import solve_ivp

    stack = as_stack(start)
    n, d = stack.shape[-3], stack.shape[-1]
    x = as_matrix(X, name="X", square=True)
    p = as_like(P, x, name="P")
    if np.abs(product(stack) - x).max() > 1e-8 * max(float(np.abs(x).max()), 1e-300):
        raise InputError("the network `start` does not multiply to X")
    grid = as_finite(times, name="times")
    if grid.ndim != 1 or not len(grid) or grid[0] < 0 or (np.diff(grid) <= 0).any():
        raise InputError("times must be a list of non-negative numbers in increasing order")
    size = n * d * d
    rank = int(singular_frame(x).rank)

    def right(t: float, y: FloatArray) -> FloatArray:
        w = y[:size].reshape(n, d, d)
        momentum = y[size:].reshape(d, d)
        _, dp = vector_field(product(w), momentum, n, rank=rank)
        return np.concatenate([pull(w, momentum).ravel(), dp.ravel()])

    y0 = np.concatenate([stack.ravel(), p.ravel()])
    solution = solve_ivp(right, (0.0, float(grid[-1])), y0, method="DOP853", t_eval=grid, rtol=1e-11, atol=1e-13)
    if solution.status != 0:
        raise BoundaryError(f"the lift stopped: {solution.message}", time=None)
    return np.asarray(solution.y.T[:, :size].reshape(-1, n, d, d))
