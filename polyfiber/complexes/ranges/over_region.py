"""The range of every neuron over one region, where each is affine: two linear programs a neuron, exact."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from ... import words
from ..._typing import Array, FloatArray
from ...bounds.relaxation import bounding_box, safe_minimum
from ...budget import Budget, Monitor, heed
from ...domain import Polyhedron
from ...errors import InputError, SolverError
from ...numerics.exact import as_fractions
from ...numerics.floats import directed, nearest
from ...numerics.lp import solve_lp_exact
from ...numerics.rounding import UNIT
from ...verdict import Verdict
from ..local.region import Region
from .answer import ActivationBounds
from .exact_ranges import Points
from .over_flat import OnFlat

RATIONAL = 1 << 13
"""Numbers in the table of a linear program up to which it is solved in rationals where floats do not."""


def bounds_on_region(region: Region, *, tolerance: float, budget: Budget | None) -> ActivationBounds:
    """Certified range of every neuron and output over a bounded region; see `polyfiber.activation_bounds`.

    Raises
    ------
    InputError
        The region is unbounded.
    """
    if region.bounded is not Verdict.YES:
        raise InputError("the region is unbounded; ask for the region within a Box (region(…, domain=box))")
    network, monitor = region.network, Monitor(budget)
    domain, forms = region.exact_polyhedron()
    flat = region._frame.hull
    if flat is not None:  # the facets are forms on the flat; the equations that say so
        chart = np.concatenate([as_fractions(np.eye(len(flat.lift)))[flat.fixed], -flat.lift[flat.fixed, -1:]], axis=1)
        chart[:, flat.free] -= flat.lift[flat.fixed, :-1]
        domain = Polyhedron(
            np.concatenate([domain.A, chart[:, :-1], -chart[:, :-1]]),
            np.concatenate([domain.b, -chart[:, -1], chart[:, -1]]),
        )
    on = OnFlat.of(network, domain)
    where, inner = (domain, network) if on is None else (on.domain, on.network)
    if on is not None:
        forms = on.restricted(forms)
    A, b = nearest(where.A), nearest(where.b)
    rows = nearest(forms)
    low, high = np.full(len(rows), -np.inf), np.full(len(rows), np.inf)
    methods, done = ["interval"] * len(rows), 0
    points: Points | None = None
    small = len(where.A) * (len(where.A) + 2 * where.dimension) <= RATIONAL
    try:
        box = bounding_box(where)
        points = Points(inner, where)
    except (InputError, SolverError):  # thinner than floats tell: a region has an interior
        if not small:
            raise
        box = _box_in_rationals(where)
    for j, row in enumerate(rows):
        if monitor.late:
            break
        if points is None:
            low[j], high[j] = _range_in_rationals(forms[j], where)
            first = second = True
        else:
            low[j], first = _least(row, A, b, box, points)
            high[j], second = _least(-row, A, b, box, points)
            high[j] = -high[j]
            if small and not (first and second):
                low[j], high[j] = _range_in_rationals(forms[j], where)
                first = second = True
        methods[j] = "exact" if first and second else "interval"
        done += 1
    N = network.n_hidden
    signs = region.signs[:N]  # exact: the range ends at 0 where a wall does
    low[:N] = np.where(signs >= 0, np.maximum(low[:N], 0.0), low[:N])
    high[:N] = np.where(signs <= 0, np.minimum(high[:N], 0.0), high[:N])
    fallback = []
    if done < len(rows):
        fallback.append(f"time was up: {len(rows) - done} of {len(rows)} neurons and outputs have their sign alone")
    failed = methods[:done].count("interval")
    if failed:
        fallback.append(f"HiGHS had no answer for {words.count(failed, 'neuron or output', 'neurons or outputs')}")
    size = np.maximum(np.abs(low), np.abs(high))
    magnitude = np.abs(rows[:, :-1]) @ np.maximum(np.abs(box[0]), np.abs(box[1])) + np.abs(rows[:, -1])
    scale = np.where(np.isfinite(size), np.maximum(size, 1e-3 * magnitude), magnitude) + 1e-290
    if points is None:  # no point of it is surely a float
        least, greatest = np.full(len(rows), np.inf), np.full(len(rows), -np.inf)
        least_at, greatest_at = (np.full((len(rows), network.architecture[0]), np.nan) for _ in range(2))
    else:
        least, greatest = points.least, points.greatest
        least_at, greatest_at = (at if on is None else on.lifted(at) for at in (points.least_at, points.greatest_at))
    return ActivationBounds(
        network, domain, low[:N], high[:N], low[N:], high[N:], least, greatest, least_at,
        greatest_at, tuple(methods), tuple(fallback), "region", tolerance, scale,
        {"programs": 2 * done, "seconds": monitor.elapsed},
    )  # fmt: skip


def _least(
    row: FloatArray, A: FloatArray, b: FloatArray, box: tuple[FloatArray, FloatArray], points: Points
) -> tuple[float, bool]:
    """Certified lower bound of an affine form over ``A x <= b``; whether the program was solved."""
    from scipy.optimize import linprog

    if not np.isfinite(row).all():
        return -np.inf, False
    found: Any = linprog(row[:-1], A_ub=A, b_ub=b, bounds=(None, None), method="highs")
    if found.status != 0:
        return -np.inf, False
    points.add(found.x[None, :])
    value = safe_minimum(row[:-1], A, b, np.maximum(-found.ineqlin.marginals, 0.0), *box)
    return value + row[-1] - 4 * UNIT * (abs(value) + abs(row[-1])), True


def _range_in_rationals(form: Array, where: Polyhedron) -> tuple[float, float]:
    """Least and largest value of an affine form (n + 1) of Fractions, rounded outwards; linear programs in
    rationals.
    """
    A, b = as_fractions(where.A), as_fractions(where.b)
    zero = np.full(len(A), Fraction(0), dtype=object)
    slack = np.array([[Fraction(int(i == j)) for j in range(len(A))] for i in range(len(A))], dtype=object)
    ends = []
    for sign in (1, -1):
        cost = sign * form[:-1]
        heed("ranges over a region in rationals")
        found = solve_lp_exact(np.concatenate([cost, -cost, zero]), np.concatenate([A, -A, slack], axis=1), b)
        assert found.value is not None  # a bounded region that is not empty
        ends.append(directed(sign * found.value + form[-1], up=sign < 0))
    return ends[0], ends[1]


def _box_in_rationals(where: Polyhedron) -> tuple[FloatArray, FloatArray]:
    """The smallest box around a polyhedron, its ends rounded outwards."""
    axes = as_fractions(np.eye(where.dimension, where.dimension + 1))
    ends = np.array([_range_in_rationals(axis, where) for axis in axes])
    return ends[:, 0], ends[:, 1]


__all__ = ["bounds_on_region"]
