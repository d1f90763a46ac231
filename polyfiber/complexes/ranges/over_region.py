"""The range of every neuron over one region, where each is affine: two linear programs a neuron, exact."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..._typing import FloatArray
from ...bounds.relaxation import bounding_box, safe_minimum
from ...budget import Budget, Monitor
from ...domain import Polyhedron
from ...errors import InputError
from ...numerics.exact import as_fractions
from ...numerics.products import nearest
from ...numerics.rounding import UNIT
from ...verdict import Verdict
from ..local.region import Region
from .answer import ActivationBounds
from .exact_ranges import Points
from .over_flat import OnFlat


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
    box = bounding_box(where)
    points = Points(inner, where)
    rows = nearest(forms)
    low, high = np.full(len(rows), -np.inf), np.full(len(rows), np.inf)
    methods, done = ["interval"] * len(rows), 0
    for j, row in enumerate(rows):
        if monitor.budget.seconds is not None and monitor.elapsed > monitor.budget.seconds:
            break
        low[j], first = _least(row, A, b, box, points)
        high[j], second = _least(-row, A, b, box, points)
        high[j] = -high[j]
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
        fallback.append(f"HiGHS had no answer for {failed} neurons or outputs")
    size = np.maximum(np.abs(low), np.abs(high))
    magnitude = np.abs(rows[:, :-1]) @ np.maximum(np.abs(box[0]), np.abs(box[1])) + np.abs(rows[:, -1])
    scale = np.where(np.isfinite(size), np.maximum(size, 1e-3 * magnitude), magnitude) + 1e-290
    least_at, greatest_at = (at if on is None else on.lifted(at) for at in (points.least_at, points.greatest_at))
    return ActivationBounds(
        network, domain, low[:N], high[:N], low[N:], high[N:], points.least, points.greatest, least_at,
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


__all__ = ["bounds_on_region"]
