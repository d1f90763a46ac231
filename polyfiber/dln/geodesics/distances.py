"""Distances, their derivatives, logarithms, and interpolation of networks: what a geodesic between two matrices
gives.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..._typing import FloatArray
from ...budget import Budget, within_budget
from ...errors import InputError, PolyfiberWarning, ShapeError
from ...words import one_line
from .._inputs import as_finite, as_matrix, as_stack
from ..space.balanced import imbalance
from ..space.metrics import metric
from ..space.submersion import product
from .boundary import geodesic
from .cone import last_momentum
from .result import Geodesic


@within_budget
def distance(
    W0: npt.ArrayLike,
    W1: npt.ArrayLike,
    depth: float,
    *,
    tolerance: float = 1e-9,
    starts: int = 2,
    budget: Budget | None = None,
) -> float | FloatArray:
    """Length of the geodesic found between matrices of one rank; see :func:`geodesic` for its evidence.

    An upper bound of the distance in their stratum by construction; whether a shorter way exists is not decided, but
    where ``geodesic(...).shortest`` is True. Between nearly singular matrices it is the length of a curve along lower
    rank where no geodesic that was found is shorter (``geodesic(...).solved`` is False then, and a `PolyfiberWarning`
    says so). For depth 2 on positive matrices it is ``sqrt(2)`` times the Bures-Wasserstein distance.

    Parameters
    ----------
    W0, W1 : array_like (..., m, n)
        Batches broadcast; each pair is a boundary value problem of its own. Singular values count from 1e-12 of the
        largest on; smaller ones that are no rounding of the entries are refused.
    depth, tolerance, starts
        As in :func:`geodesic`.
    budget : Budget, optional
        Seconds for all of it; looked at within each integration.

    Returns
    -------
    float or float64 (...)

    Raises
    ------
    InputError, SolverError, BudgetExceededError
        As :func:`geodesic`.

    Examples
    --------
    >>> import polyfiber as pf
    >>> round(pf.dln.distance([[1.0]], [[8.0]], 3), 12) == round(3**0.5, 12)     # sqrt(3) (8^(1/3) - 1)
    True
    """
    a = as_matrix(W0, name="W0")
    b = as_matrix(W1, name="W1")
    if a.ndim == b.ndim == 2:
        return _length(geodesic(a, b, depth, tolerance=tolerance, starts=starts, check=False))
    if a.shape[-2:] != b.shape[-2:]:
        raise ShapeError(f"expected matrices of one size, found {a.shape} and {b.shape}", shapes=(a.shape, b.shape))
    try:
        a, b = np.broadcast_arrays(a, b)
    except ValueError:
        raise ShapeError(f"the batches {a.shape[:-2]} and {b.shape[:-2]} do not broadcast") from None
    result = np.empty(a.shape[:-2])
    for index in np.ndindex(result.shape):
        path = geodesic(a[index], b[index], depth, tolerance=tolerance, starts=starts, check=False)
        result[index] = _length(path, f"pair {', '.join(map(str, index))}: ")
    return result


def _length(path: Geodesic, which: str = "") -> float:
    """The length; said to be an upper bound only, where no geodesic attains it."""
    if not path.solved:
        warnings.warn(f"{which}{path.sentence}", PolyfiberWarning, stacklevel=4)
    return path.length


@within_budget
def distance_gradient(
    W0: npt.ArrayLike, W1: npt.ArrayLike, depth: float, *, tolerance: float = 1e-9, budget: Budget | None = None
) -> tuple[FloatArray, FloatArray]:
    """Euclidean gradients of the distance with respect to W0 and W1: ``-P(0) / length`` and ``P(1) / length``.

    Parameters
    ----------
    W0, W1 : array_like (m, n)
    depth, tolerance
        As in :func:`geodesic`.
    budget : Budget, optional
        Seconds for all of it; looked at within each integration.

    Returns
    -------
    float64 (m, n), float64 (m, n)
        ``d(W0 + e Z, W1) = d(W0, W1) + e <first, Z> + O(e^2)`` for Z tangent to the matrices of the rank, and alike for
        W1. At rank below min(m, n) the part normal to the stratum is zero. Riemannian gradients are ``A`` of them and
        have length one.

    Raises
    ------
    InputError
        Equal matrices: the distance is not differentiable there. Otherwise as :func:`geodesic`.

    Notes
    -----
    First variation of the length; right for the geodesic that was found (``starts=2``). Not differentiable where the
    shortest geodesic is not unique.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.dln import distance_gradient
    >>> first, second = distance_gradient([[1.0]], [[8.0]], 3)       # d = sqrt(3) (w1^(1/3) - w0^(1/3))
    >>> round(float(first[0, 0]) * 3**0.5, 6), round(float(second[0, 0]) * 3**0.5, 6)
    (-1.0, 0.25)
    """
    path = geodesic(W0, W1, depth, tolerance=tolerance, check=False)
    if path.length == 0.0:
        raise InputError(
            "the matrices are equal, and the distance to a matrix is not differentiable at the matrix itself"
        )
    path.require_solved("gradient")
    if path.depth == 1:
        unit = (path.end - path.start) / path.length
        return -unit, unit
    ends = metric(path.start, path.depth), metric(path.end, path.depth)
    slopes = (-path.momentum / path.length, last_momentum(path) / path.length)
    first, second = (g.project(v) for g, v in zip(ends, slopes, strict=True))
    return first, second


@within_budget
def logarithm(
    W0: npt.ArrayLike, W1: npt.ArrayLike, depth: float, *, tolerance: float = 1e-9, budget: Budget | None = None
) -> FloatArray:
    """Initial velocity at W0 of the geodesic found to W1; inverse of :func:`polyfiber.dln.exponential`.

    ``budget``: seconds for the search.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber import dln
    >>> V = dln.logarithm(np.eye(2), 4 * np.eye(2), 2)
    >>> V.round(9).tolist()
    [[2.0, 0.0], [0.0, 2.0]]
    """
    path = geodesic(W0, W1, depth, tolerance=tolerance, check=False)
    path.require_solved("logarithm")
    return path.velocity


@dataclass(frozen=True)
class NetworkInterpolation:
    """Networks along a geodesic between two linear networks.

    Attributes
    ----------
    weights : float64 (T, N, d, d)
        Balanced networks over the geodesic: its horizontal lift from the start.
    products : float64 (T, d, d)
        End-to-end matrices.
    geodesic : Geodesic
    gauge_gap : float
        Frobenius distance of the last network to the given end network, both over the same matrix: the gauge
        difference that no path of shortest length removes.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber import dln
    >>> found = dln.interpolate_networks([np.eye(2), np.eye(2)], [2 * np.eye(2), 2 * np.eye(2)], t=[0.0, 0.5, 1.0])
    >>> found.products[:, 0, 0].round(6).tolist()
    [1.0, 2.25, 4.0]
    """

    __repr__ = one_line

    weights: FloatArray
    products: FloatArray
    geodesic: Geodesic
    gauge_gap: float


@within_budget
def interpolate_networks(
    start: npt.ArrayLike,
    end: npt.ArrayLike,
    *,
    t: npt.ArrayLike = (0.0, 0.25, 0.5, 0.75, 1.0),
    tolerance: float = 1e-9,
    budget: Budget | None = None,
) -> NetworkInterpolation:
    """Interpolate two balanced linear networks along the geodesic of their end-to-end matrices.

    Parameters
    ----------
    start, end : array_like (N, d, d)
        Balanced networks (project others with :func:`polyfiber.dln.project_balanced` first).
    t : array_like (T,)
        Increasing times in [0, 1].
    budget : Budget, optional
        Seconds for the search of the geodesic.

    Raises
    ------
    InputError
        If a network is not balanced, or the end-to-end matrices cannot be joined (see :func:`geodesic`).

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.dln import interpolate_networks, lift
    >>> path = interpolate_networks(lift(np.eye(2), 3), lift(8 * np.eye(2), 3), t=[0.0, 1.0])
    >>> bool(np.allclose(path.weights[1], 2 * np.eye(2)))
    True
    """
    first, last = as_stack(start), as_stack(end)
    if first.ndim != 3 or first.shape != last.shape:
        raise ShapeError(f"expected two networks (N, d, d) of one shape, found {first.shape} and {last.shape}")
    for name, stack in (("start", first), ("end", last)):
        off = float(imbalance(stack))
        if off > 1e-8:
            raise InputError(f"the network `{name}` is not balanced (relative imbalance {off:.3g}); project it first")
    times = as_finite(t, name="t")
    if times.ndim != 1 or times.size == 0 or (np.diff(times) <= 0).any() or times[0] < 0 or times[-1] > 1:
        raise InputError("t must be an increasing list of numbers in [0, 1]")
    path = geodesic(product(first), product(last), first.shape[0], tolerance=tolerance, check=False)
    if path.length == 0.0:
        weights = np.broadcast_to(first, (times.size, *first.shape)).copy()
    else:
        grid = times if times[-1] == 1.0 else np.append(times, 1.0)
        weights = path.lift(grid, start=first)
    final = weights[-1]
    weights = weights[: times.size]
    return NetworkInterpolation(weights, product(weights), path, float(np.linalg.norm(final - last)))
