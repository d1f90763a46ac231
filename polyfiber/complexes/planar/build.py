"""Slices of networks of any size by polygons of a plane and by segments."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from ... import words
from ..._typing import ProgressLike
from ..._values.read_only import read_only
from ...budget import Budget, Monitor
from ...domain import Box, Polyhedron
from ...errors import InputError, ShapeError
from ...network.model import ReLUNetwork
from ...network.piecewise import PiecewiseLinearNetwork
from ...numerics.exact import as_fractions, rank
from .restrict import Frame, Point, as_piecewise, restrict
from .subdivision import PlanarSlice, WalkedRegions
from .walk import STEP, Tables, WalkStats, walk_regions

MOST_CORNERS = 64


def planar_slice(
    network: ReLUNetwork | PiecewiseLinearNetwork,
    origin: Any,
    directions: Any,
    *,
    domain: Polyhedron | None = None,
    corners: Any = None,
    budget: Budget | None = None,
    progress: ProgressLike = None,
) -> PlanarSlice:
    """All regions of a network on a convex polygon of ``origin + t @ directions``, or on a segment.

    Parameters
    ----------
    network : ReLUNetwork or PiecewiseLinearNetwork
        Of any size: layers stay sparse, and a step from a region to the next costs what changes.
    origin : (n0,) array
    directions : (1 or 2, n0) array
        Linearly independent.
    domain : Box or Polyhedron
        Bounded, in coordinates t.
    corners : (k, 2) array, optional
        A polygon instead of a domain: the convex hull of these points.

    Returns
    -------
    PlanarSlice

    Raises
    ------
    InputError
        Dependent directions; no bounded domain with an interior.
    BudgetExceededError
        ``partial`` is a `polyfiber.budget.SoFar` with the number of regions that were found; ``partial.found`` are
        these regions, `WalkedRegions`, or None where there is none.
    """
    monitor = Monitor(budget, progress)
    net = as_piecewise(network)
    D, o = np.atleast_2d(np.asarray(directions)), np.asarray(origin)
    if o.shape != (net.n_inputs,) or D.shape[-1] != net.n_inputs or D.ndim != 2:
        raise ShapeError(
            f"origin {o.shape} and directions {D.shape} do not fit {words.count(net.n_inputs, 'input')}; "
            f"expected ({net.n_inputs},) and (k, {net.n_inputs})"
        )
    if len(D) not in (1, 2):
        raise InputError(f"a slice of this network is by a line or a plane: 1 or 2 directions, found {len(D)}")
    exact = as_fractions(D, where="directions")
    if rank(exact) < len(D):
        raise InputError(
            f"the directions are linearly dependent: {words.count(len(D), 'direction')} of rank {rank(exact)}"
        )
    frame = Frame.around(_corners(len(D), domain, corners))
    monitor.did(STEP, 0)
    with monitor.keeping():
        restricted = restrict(net, o, D, frame, monitor)
    given = as_fractions(o, where="the origin"), exact

    def sliced(tables: Tables, stats: WalkStats) -> PlanarSlice:
        ends = read_only((o.astype(np.float64), D.astype(np.float64)))
        return PlanarSlice(net, *ends, stats, restricted, read_only(tables), given)

    return sliced(*walk_regions(restricted, monitor, lambda tables, stats: WalkedRegions(sliced(tables, stats))))


def _corners(k: int, domain: Polyhedron | None, corners: Any) -> list[Point]:
    if (domain is None) == (corners is None):
        raise InputError(
            "a slice of a large network needs a bounded domain in its coordinates, such as pf.Box(-1, 1, dimension=2)"
        )
    one = Fraction(1)
    if corners is not None:
        given = as_fractions(corners, where="corners")
        if given.ndim != 2 or given.shape[1] != 2 or k != 2 or not 3 <= len(given) <= MOST_CORNERS:
            raise ShapeError(f"corners of shape {given.shape}; expected 3 to {MOST_CORNERS} points of a plane")
        return [(p[0], p[1]) for p in given.tolist()]
    assert domain is not None
    if domain.dimension != k:
        raise ShapeError(f"the domain has dimension {domain.dimension}; the slice has {k}")
    if k == 1:
        low, high = _interval(domain)
        return [(low, -one), (high, -one), (high, one), (low, one)]
    if isinstance(domain, Box):
        lo, hi = as_fractions(domain.lo).tolist(), as_fractions(domain.hi).tolist()
        return [(x, y) for x in (lo[0], hi[0]) for y in (lo[1], hi[1])]
    return _polygon(domain)


def _interval(domain: Polyhedron) -> tuple[Fraction, Fraction]:
    lows: list[Fraction] = []
    highs: list[Fraction] = []
    for a, b in zip(as_fractions(domain.A)[:, 0].tolist(), as_fractions(domain.b).tolist()):
        (highs if a > 0 else lows).append(b / a)
    if not lows or not highs or max(lows) >= min(highs):
        raise InputError("the domain on the line is unbounded or has no interior; expected an interval")
    return max(lows), min(highs)


def _polygon(domain: Polyhedron) -> list[Point]:
    """Corners of a bounded polygon given by inequalities, exactly: all meetings of two lines that satisfy the rest."""
    A, b = as_fractions(domain.A).tolist(), as_fractions(domain.b).tolist()
    if len(A) > MOST_CORNERS:
        raise InputError(
            f"a polygon of {words.count(len(A), 'inequality', 'inequalities')}; expected at most {MOST_CORNERS}"
        )
    if not _bounded(A):
        raise InputError("the domain is unbounded; a slice of a large network needs a bounded polygon")
    found = set()
    for i in range(len(A)):
        for j in range(i):
            det = A[i][0] * A[j][1] - A[i][1] * A[j][0]
            if det:
                x = (b[i] * A[j][1] - b[j] * A[i][1]) / det
                y = (A[i][0] * b[j] - A[j][0] * b[i]) / det
                if all(p * x + q * y <= c for (p, q), c in zip(A, b)):
                    found.add((x, y))
    if len(found) < 3:
        raise InputError("the domain has no interior, or is unbounded; expected a bounded polygon")
    return list(found)


def _bounded(A: list[list[Fraction]]) -> bool:
    """Whether no direction satisfies A d <= 0: candidates are those along the lines."""
    for p, q in A:
        for d in ((-q, p), (q, -p)):
            if all(r * d[0] + s * d[1] <= 0 for r, s in A):
                return False
    return True


def slice_through(
    network: ReLUNetwork | PiecewiseLinearNetwork,
    *points: Any,
    domain: Polyhedron | None = None,
    budget: Budget | None = None,
    progress: ProgressLike = None,
) -> PlanarSlice:
    """All regions of a network on the triangle of three inputs, or on the segment of two.

    Parameters
    ----------
    network : ReLUNetwork or PiecewiseLinearNetwork
    *points : two or three arrays of n0 numbers
        Inputs in any shape, such as images. Coordinates are ``t = (0, 0)``, ``(1, 0)`` and ``(0, 1)`` there.
    domain : Box or Polyhedron, optional
        Another part of the same plane (line), in those coordinates.
    budget : Budget, optional
    progress : None, bool or callable

    Returns
    -------
    PlanarSlice

    Raises
    ------
    InputError
        Points on one line; the differences of inputs are taken exactly.
    BudgetExceededError
        ``partial`` as in `planar_slice`.

    Notes
    -----
    The cost of a region is one pass over the gates for its polygon, and for each wall crossed the weights of what changes:
    about 50 microseconds for a convolutional network of 5,632 gates.

    Examples
    --------
    >>> import numpy as np, polyfiber as pf
    >>> net = pf.ReLUNetwork.random((64, 16, 16, 10), rng=0)
    >>> a, b, c = np.random.default_rng(0).integers(0, 17, (3, 8, 8))
    >>> s = pf.slice_through(net, a, b, c)
    >>> s.euler_characteristic, s.verify().ok
    (1, True)
    """
    if len(points) not in (2, 3):
        raise InputError(f"found {words.count(len(points), 'point')}; expected two (a segment) or three (a triangle)")
    net = as_piecewise(network)
    rows = []
    for k, p in enumerate(points):
        row = np.asarray(p).reshape(-1)
        if len(row) != net.n_inputs:
            raise ShapeError(
                f"point {k} has {words.count(len(row), 'number')}; the network has {words.count(net.n_inputs, 'input')}"
            )
        rows.append(as_fractions(row, where=f"point {k}"))
    origin = rows[0]
    directions = np.stack([row - origin for row in rows[1:]])
    limits = {"budget": budget, "progress": progress}
    if rank(directions) < len(directions):
        raise InputError("the points lie on one line, or two of them are equal; expected three that span a plane")
    if domain is not None:
        return planar_slice(net, origin, directions, domain=domain, **limits)  # type: ignore[arg-type]
    if len(directions) == 1:
        return planar_slice(net, origin, directions, domain=Box([0.0], [1.0]), **limits)  # type: ignore[arg-type]
    return planar_slice(net, origin, directions, corners=[[0, 0], [1, 0], [0, 1]], **limits)  # type: ignore[arg-type]


__all__ = ["planar_slice", "slice_through"]
