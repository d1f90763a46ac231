"""Facets of one cell: by the certified kernel, and in rational arithmetic where floats cannot tell.

The algorithm is described in ``docs/large.md``.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from ..._typing import Array, FloatArray, IntArray, SignArray
from ...budget import did, heed, report, until_late
from ...errors import SolverError, UncertifiedSignError
from ...kernels.complexes import cell_facets as kf
from ...numerics.exact import as_fractions
from ...numerics.floats import nearest
from ...numerics.implied import implied
from ...numerics.lp import interior_point, solve_lp, solve_lp_exact
from ...numerics.products import values_at
from ...numerics.rounding import LEAST, UNIT
from .cell_arrays import CellFrame


@dataclass(frozen=True)
class Cell:
    """Facets of one cell, as the kernels leave them (coordinates of the `CellFrame`)."""

    signs: SignArray
    reference: FloatArray
    interior: FloatArray
    """Displacement of a certified interior point from the reference; nan in a cell too thin for floats."""
    facets: IntArray
    """Row ids: domain facets, then hidden neurons."""
    witnesses: FloatArray
    """Displacements of points beyond one facet alone; nan where the row was decided exactly."""
    groups: dict[int, tuple[int, ...]]
    """Rows that coincide with a facet, for the facets where there are any."""


def solve_cell(frame: CellFrame, signs: SignArray, reference: FloatArray, along: FloatArray) -> Cell:
    """Facets of the cell with these signs; ``along`` (n,) points into it from the reference, or is zero."""
    n = frame.n
    cell = frame.rows(signs, reference)
    m = len(cell.V)
    frame.stats.cells += 1
    rows: IntArray | None = None
    coordinates: IntArray | None = None
    h1 = frame.hidden[0] if frame.hidden else 0
    interior = np.zeros(n)
    free = np.zeros(0, dtype=np.int64)
    unit = 1.0
    if frame.by_layer:  # inactive first-layer neurons bound a coordinate that nothing else looks at
        active = signs[:h1] > 0
        free = np.flatnonzero(~active)
        coordinates = np.flatnonzero(active)
        rows = np.concatenate([coordinates, np.arange(h1, m)])
        rows = rows[signs[rows] != 0]
        unit = float(np.abs(reference).mean()) or 1.0
        interior[free] = np.where(reference[free] < -1e-3 * unit, 0.0, -0.5 * unit - reference[free])
    elif (signs == 0).any():  # vanishing neurons, sides of a flat domain
        rows = np.flatnonzero(signs != 0)
    if rows is not None:
        cell = kf.Rows(*(part[rows] for part in cell))
        if coordinates is not None:
            cell = cell._replace(G=np.ascontiguousarray(cell.G[:, coordinates]))
            along = along[coordinates]
    mm, k = cell.G.shape
    found = kf.Found(
        np.zeros(mm, dtype=np.int8), np.full((mm, k), np.nan), np.zeros(k), np.zeros(4, dtype=np.int64), np.zeros(1, dtype=np.int8),
    )  # fmt: skip
    status, witness, d0, counts, _ = found
    failed = 0
    if k and mm:
        along = np.ascontiguousarray(along)
        shots = 6 * k + 12
        failed = _decided(cell, np.zeros(k), along, found, shots, 8)
        if failed:
            failed = _recentre(cell, found, shots)
        if failed and not frame.by_layer and np.isfinite(reference).all():
            cell = _sharpened(frame, signs, np.arange(m) if rows is None else rows, reference)
            failed = _decided(cell, np.zeros(k), along, found, shots, 8) and _recentre(cell, found, shots)
        frame.stats.rays += int(counts[0])
        frame.stats.cone_tests += int(counts[1])
        frame.stats.bases += int(counts[2])
        frame.stats.reused += int(counts[3])
        if failed:
            status[:] = kf.UNSURE
            d0[:] = np.nan
    elif mm:
        status[:] = kf.REDUNDANT
        failed = 1
    groups: dict[int, tuple[int, ...]] = {}
    ids = np.arange(m) if rows is None else rows
    while True:
        heed("the facets of a region")
        unsure = np.flatnonzero(status == kf.UNSURE)
        if not len(unsure):
            break
        for lead, more in _decide_exactly(frame, signs, ids, status, unsure, witness, reference).items():
            groups[lead] = tuple(sorted({*groups.get(lead, ()), *more}))
        waiting = status == kf.WAITING
        if not waiting.any():
            break
        status[waiting] = kf.UNKNOWN
        if failed or _decided(cell, d0.copy(), np.zeros(k), found, 0, 0):
            status[waiting] = kf.UNSURE
    own = np.flatnonzero(status == kf.FACET)
    facets = own if rows is None else rows[own]
    points = witness[own]
    if coordinates is not None:
        interior[coordinates] = d0
        wide = np.tile(interior, (len(own) + len(free), 1))
        wide[: len(own), coordinates] = points
        at = np.arange(len(own), len(wide))
        wide[at, free] = 0.5 * unit - reference[free]
        facets, points = np.concatenate([facets, free]), wide
        order = np.argsort(facets, kind="stable")
        facets, points = facets[order], points[order]
    else:
        interior = d0
    return Cell(signs, reference, interior, facets, points, groups)


def _decided(cell: kf.Rows, start: FloatArray, along: FloatArray, found: kf.Found, shots: int, steps: int) -> int:
    """`kf.facets`, stopped once the time is used up."""
    failed = 1

    def run(stop: Any) -> None:
        nonlocal failed
        failed = int(kf.facets(cell, start, along, found._replace(stop=stop), shots, steps))

    m, n = cell.G.shape
    until_late(run, "the facets of a region", steps * m * n * n + m * m * n)
    return failed


@np.errstate(all="ignore")
def _sharpened(frame: CellFrame, signs: SignArray, ids: IntArray, reference: FloatArray) -> kf.Rows:
    """The same rows rounded from rationals: for cells that are thinner than sums in floats can tell."""
    forms = frame.exact_forms(signs, ids) * np.array([int(s) for s in signs[ids]], dtype=object)[:, None]
    G, V = nearest(forms[:, frame.columns]), nearest(values_at(forms, as_fractions(reference)))
    terms = G.shape[1] + 6
    E1 = terms * (UNIT * np.abs(G).max(axis=1, initial=0.0) + LEAST)
    E0 = terms * (UNIT * np.abs(V) + LEAST)
    E0[~np.isfinite(E0 + E1)] = np.inf
    return kf.Rows(np.ascontiguousarray(G), V, E1, E0)


@np.errstate(all="ignore")
def _recentre(cell: kf.Rows, found: kf.Found, shots: int) -> int:
    """Look for an interior point by linear programming and try again; nonzero if that fails."""
    G, V = cell.G, cell.V
    scale = np.linalg.norm(G, axis=1)
    scale[scale == 0] = 1.0
    unit = _local_unit(V / scale, G.shape[1])
    try:
        inner = interior_point(-G / scale[:, None], V / scale / unit)
    except SolverError:  # no answer is not "empty": the exact path decides
        return 1
    if inner is None or not inner[1] > 0:
        return 1
    return _decided(cell, unit * inner[0], np.zeros(G.shape[1]), found, shots, 8)


def _decide_exactly(
    frame: CellFrame,
    signs: SignArray,
    ids: IntArray,
    status: SignArray,
    unsure: IntArray,
    witness: FloatArray,
    reference: FloatArray,
) -> dict[int, tuple[int, ...]]:
    """Settle rows in rational arithmetic; rows that coincide with a facet, by facet."""
    pool = np.flatnonzero(status != kf.REDUNDANT)
    forms = frame.exact_forms(signs, ids[pool])
    forms = forms * np.array([int(s) for s in signs[ids[pool]]], dtype=object)[:, None]
    near = frame.to_inputs(np.zeros(frame.n0), reference, reference) if frame.by_layer else reference
    values = values_at(forms, as_fractions(np.where(np.isfinite(near), near, 0.0)))
    used = np.concatenate([forms[:, frame.columns], values[:, None]], axis=1)
    index = {int(r): i for i, r in enumerate(pool)}
    leaders: dict[tuple[Fraction, ...], int] = {}
    for e in np.flatnonzero(status == kf.FACET):
        if np.isnan(witness[e]).any():  # decided exactly before: others may coincide with it
            leaders[_direction(used[index[int(e)]])] = int(e)
    groups: dict[int, list[int]] = {}
    frame.stats.exact_rows += len(unsure)
    alive = set(index)
    for r in [*unsure, *np.flatnonzero(status == kf.WAITING)]:
        r = int(r)
        row = used[index[r]]
        key = _direction(row)
        if not key:  # constant: positive on the cell, so no wall
            alive.discard(r)
            status[r] = kf.REDUNDANT
            continue
        if key in leaders:
            groups.setdefault(leaders[key], [leaders[key]]).append(r)
            alive.discard(r)
            status[r] = kf.REDUNDANT
        else:
            leaders[key] = r
    nearest: dict[tuple[Fraction, ...], tuple[Fraction, int]] = {}
    for row_id in sorted(alive):  # of parallel walls on one side only the nearest matters
        key = _direction(used[index[row_id]])
        if key:
            mine = key[-1], row_id
            nearest[key[:-1]] = min(nearest.get(key[:-1], mine), mine)
    for r in [int(r) for r in unsure]:
        if r in alive and nearest[_direction(used[index[r]])[:-1]][1] != r:
            alive.discard(r)
            status[r] = kf.REDUNDANT
    for done, r in enumerate(unsure.tolist()):
        report("walls decided in rationals", done, len(unsure))
        did("walls of the region decided", len(status) - len(unsure) + done, len(status))
        if r not in alive:
            continue
        others = [index[e] for e in sorted(alive) if e != r]
        if others and implied(used[others], used[index[r]]):
            alive.discard(r)
            status[r] = kf.REDUNDANT
        else:
            status[r] = kf.FACET
    return {
        int(ids[lead]): tuple(sorted(int(ids[r]) for r in rows))
        for lead, rows in groups.items()
        if status[lead] == kf.FACET
    }


def flipped(frame: CellFrame, cell: Cell, i: int) -> SignArray | None:
    """Signs beyond the i-th facet of a cell; None beyond the domain."""
    row = int(cell.facets[i])
    if row < frame.n_domain:
        return None
    if not cell.groups and not ((cell.signs == 0) & ~frame.vanishing).any():
        signs = cell.signs.copy()
        signs[row] = -signs[row]
        return signs
    return _cross_exactly(frame, cell, i)


def _cross_exactly(frame: CellFrame, cell: Cell, i: int) -> SignArray:
    """Signs beyond a facet where several neurons may change: exact, at a point of the facet."""
    row = int(cell.facets[i])
    group = cell.groups.get(row, (row,))
    if len(group) == 1 and not ((cell.signs == 0) & ~frame.vanishing).any():
        signs = cell.signs.copy()
        signs[row] = -signs[row]
        return signs
    point, normal = exact_facet_point(frame, cell, row, group)
    return frame.exact_signs(point, normal)


@np.errstate(all="ignore")
def exact_facet_point(frame: CellFrame, cell: Cell, row: int, group: tuple[int, ...]) -> tuple[Array, Array]:
    """A rational point in the relative interior of a facet, and a direction out of the cell."""
    keep = [r for r in range(frame.n_domain + frame.n_neurons) if cell.signs[r] != 0 and r not in group]
    forms = frame.exact_forms(cell.signs, [row, *keep])
    oriented = forms * np.array([int(s) for s in cell.signs[[row, *keep]]], dtype=object)[:, None]
    wall, others = oriented[0], oriented[1:]
    others = others[np.array([any(v != 0 for v in f[:-1]) for f in others], dtype=bool)] if len(others) else others
    # maximise t: wall = 0, others >= t * size, t <= 1
    A = nearest(others)
    size = np.linalg.norm(A[:, :-1], axis=1, keepdims=True) if len(A) else np.zeros((0, 1))
    w = nearest(wall)
    found = None
    with contextlib.suppress(SolverError):  # no answer: the exact simplex below has one
        found = solve_lp(
            np.r_[np.zeros(frame.n0), -1.0],
            A_ub=np.hstack([-A[:, :-1], size]) if len(A) else None,
            b_ub=A[:, -1] if len(A) else None,
            A_eq=np.r_[w[:-1], 0.0][None, :],
            b_eq=[-w[-1]],
            bounds=[(None, None)] * frame.n0 + [(None, 1.0)],
        )
    normal = np.array([-v for v in wall[:-1]], dtype=object)
    if found is not None and found.x is not None:
        point = np.array([Fraction(v) for v in found.x[:-1]], dtype=object)
        # onto the wall exactly, along its normal
        point = point + normal * ((wall[:-1] @ point + wall[-1]) / (normal @ normal))
        if all(v > 0 for v in others[:, :-1] @ point + others[:, -1]):
            return point, normal
    # the other facets are enough: what they imply is positive inside this one
    near = frame.exact_forms(cell.signs, [r for r in cell.facets if r not in group])
    near = near * np.array([int(cell.signs[r]) for r in cell.facets if r not in group], dtype=object)[:, None]
    point = relative_interior(near, wall)
    if not all(v > 0 for v in others[:, :-1] @ point + others[:, -1]):
        raise UncertifiedSignError("a facet has no point inside it alone; please report this network")
    return point, normal


def relative_interior(others: Array, wall: Array | None = None) -> Array:
    """A rational point (n,) with the forms positive, and ``wall`` zero if given, by the exact simplex."""
    m, n = len(others), others.shape[1] - 1
    zero, one = Fraction(0), Fraction(1)
    rows, right = [], []
    if wall is not None:
        rows, right = [[*wall[:-1], *(-v for v in wall[:-1]), *[zero] * (m + 2)]], [-wall[-1]]
    for i, form in enumerate(others):
        size = max(abs(v) for v in form[:-1])
        slack = [zero] * m
        slack[i] = -one
        rows.append([*form[:-1], *(-v for v in form[:-1]), -size, zero, *slack])
        right.append(-form[-1])
    rows.append([*[zero] * (2 * n), one, one, *[zero] * m])
    right.append(one)
    cost = [zero] * (2 * n + m + 2)
    cost[2 * n] = -one
    found = solve_lp_exact(np.array(cost, dtype=object), np.array(rows, dtype=object), np.array(right, dtype=object))
    if found.x is None or not found.x[2 * n] > 0:
        raise UncertifiedSignError("a cell or facet has an empty interior; please report this network")
    point: Array = found.x[:n] - found.x[n : 2 * n]
    return point


def _local_unit(values: FloatArray, n: int) -> float:
    """A length of the size of a cell: a distance to one of the nearest walls."""
    nearest = np.sort(np.abs(values[np.isfinite(values)]))
    unit = float(nearest[min(2 * n, len(nearest) - 1)]) if len(nearest) else 1.0
    return unit if unit > 0 else 1.0


def _direction(row: Array) -> tuple[Fraction, ...]:
    """An affine form up to positive factors; empty for a constant."""
    lead = next((abs(v) for v in row[:-1] if v != 0), None)
    return () if lead is None else tuple(v / lead for v in row)


__all__ = ["Cell", "exact_facet_point", "flipped", "relative_interior", "solve_cell"]
