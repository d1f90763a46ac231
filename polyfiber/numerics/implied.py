"""Whether the inequalities of a polyhedron imply one more: proposed by floats, decided in rational arithmetic.

A linear program in rationals over hundreds of rows in dozens of dimensions takes hours. Its answer takes moments to
check: a point where the one inequality fails and all others hold, or multipliers of a few of them that make it up
(Farkas). Floats propose both; where neither is right, the simplex method in rationals goes on from what they propose.
"""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction

import numpy as np
from scipy.linalg import qr
from scipy.optimize import nnls

from .._typing import Array, FloatArray, IntArray
from ..budget import heed
from ..errors import SolverError
from .exact import as_fractions, solve
from .floats import nearest
from .lp import solve_lp, solve_lp_exact
from .products import exact_product, values_at

FAR = 1e6
"""Times the scale that is looked at beyond which a wall is left out."""
GAP = 1e3
"""Quotient of two distances that follow each other from which on they count as two scales."""
CLOSE = 1e-9
"""Residual up to which multipliers are looked at."""
ROOM = 1e-6
"""Least multiplier of walls of length one where there is room for a correction."""
ZOOMS = 8
"""How often it is looked at again, closer."""
PIVOTS = 400
"""Steps of the simplex method in rationals from a corner that floats propose."""
FEW = 24
"""Inequalities up to which the program is solved in rationals at once."""


@np.errstate(all="ignore")
def implied(others: Array, row: Array) -> bool:
    """Whether ``row . (x, 1) >= 0`` wherever ``others . (x, 1) >= 0``.

    Parameters
    ----------
    others : (m, n + 1) object array of Fraction
        Slopes, and the constant last; they have a common solution. Floats look at them from the origin, which should
        be near.
    row : (n + 1,) object array of Fraction

    Returns
    -------
    bool
        Proved either way.

    Examples
    --------
    >>> from polyfiber.numerics.exact import as_fractions
    >>> x, y, both = as_fractions([[1, 0, 0], [0, 1, 0], [1, 1, 1]])
    >>> implied(as_fractions([x, y]), both), implied(as_fractions([both, x]), y)
    (True, False)
    """
    if not len(others):
        return bool(row[-1] >= 0) and not any(row[:-1])
    if len(others) > FEW:
        found = _proposed(others, row)
        if found is not None:
            return found
    heed("a linear program in rationals")
    program = solve_lp_exact(others[:, -1], others[:, :-1].T, row[:-1])
    return program.status == "unbounded" or (program.x is not None and program.value <= row[-1])


def _proposed(others: Array, row: Array) -> bool | None:
    """The answer where floats propose a proof of it, or steps from what they propose find one; None elsewhere."""
    forms = np.concatenate([others, row[None, :]])
    A, v = _unit_rows(forms)
    scales = _scales(v)
    # a wall too far at the scale that is looked at does not matter there, and is too large for a solver
    near = [np.flatnonzero(np.abs(v) < FAR * unit) for unit in scales]
    for unit, rows in zip(scales, near):
        rows = rows[rows < len(others)]
        if len(rows) and _made_up(A, v / unit, rows, others, row):
            return True
    for unit, rows in zip(scales, near):
        if len(others) in rows and _point_beyond(A, v / unit, rows[:-1], unit, others, row):
            return False
    return _zoomed(A, forms, max(scales))


def _zoomed(A: FloatArray, forms: Array, unit: float) -> bool | None:
    """The same by looking for the least value of the last form, ever closer to where floats find it.

    Each time the point is added up in rationals, and its distances beyond walls, worked out exactly, are the next
    scale: what floats could not tell at the one before (iterative refinement of linear programs).
    """
    others, row = forms[:-1], forms[-1]
    lengths = np.linalg.norm(nearest(forms[:, :-1]), axis=1)
    lengths[lengths == 0] = 1.0
    x, v, multipliers = np.full(A.shape[1], Fraction(0), dtype=object), nearest(forms[:, -1]) / lengths, None
    for _ in range(ZOOMS):
        rows = np.flatnonzero(v[:-1] < FAR * unit)
        used = np.append(rows, len(others))
        floor = abs(v[-1]) / unit + 1  # how far down it is looked, so that there is a least value
        try:
            found = solve_lp(np.append(v[rows] / unit, floor), A_eq=A[used].T, b_eq=A[-1], bounds=(0, None))
        except SolverError:
            break
        if found.x is None or found.prices is None:
            break
        if _make_up(rows, found.x[:-1], others, row):
            return True
        multipliers = np.zeros(len(others))
        multipliers[rows] = found.x[:-1]
        x = x - Fraction(unit) * as_fractions(found.prices)
        at = values_at(forms, x)
        if at[-1] < 0 and (at[:-1] >= 0).all():
            return False
        if at[-1] > 0 and _made_up_with_room(A, nearest(at) / lengths, lengths, others, row):
            return True
        v = nearest(at) / lengths
        beyond = -float(v[:-1].min())
        if not np.isfinite(beyond):
            break
        unit = beyond if beyond > 0 else unit / FAR
        moved = np.concatenate([forms[:, :-1], at[:, None]], axis=1)
        rows = np.flatnonzero(v[:-1] < FAR * unit)
        if abs(v[-1]) < FAR * unit and _point_beyond(A, v / unit, rows, unit, moved[:-1], moved[-1]):
            return False
    if multipliers is None:
        return _pivoted(A, np.zeros(0, dtype=np.int64), others, row)
    tight = np.flatnonzero(v[:-1] < 1e3 * unit)
    return _pivoted(A, tight[np.argsort(-multipliers[tight], kind="stable")], others, row)


def _made_up(A: FloatArray, v: FloatArray, rows: IntArray, others: Array, row: Array) -> bool:
    """Whether floats find multipliers that are not negative by which some inequalities make this one up, or more."""
    n = A.shape[1]
    columns, wanted = A[rows].T, A[-1]
    if abs(v[-1]) < FAR:
        columns = np.vstack([np.hstack([columns, np.zeros((n, 1))]), np.append(v[rows], 1.0)])
        wanted = np.append(wanted, v[-1])
    with suppress(RuntimeError, ValueError):  # too many steps; numbers beyond floats
        found, residual = nnls(columns, wanted)
        return bool(residual <= CLOSE) and _make_up(rows, found[: len(rows)], others, row)
    return False


def _made_up_with_room(A: FloatArray, v: FloatArray, lengths: FloatArray, others: Array, row: Array) -> bool:
    """Whether multipliers above zero, on walls near to a point, make the inequality up after a correction in rationals.

    Where the inequality is far from failing, and floats cannot tell which of many walls carry it: all may.
    """
    n = A.shape[1]
    close = np.flatnonzero(v[:-1] <= 1e-3 * v[-1])
    if len(close) < n:
        return False
    with suppress(SolverError):
        found = solve_lp(np.maximum(v[close], 0.0) / v[-1], A_eq=A[close].T, b_eq=A[-1], bounds=(ROOM, None))
        if found.x is None:
            return False
        multipliers = as_fractions(found.x / lengths[close] * lengths[-1])
        missing = row[:-1] - exact_product(multipliers[None, :], others[close, :-1])[0]
        carriers = qr(A[close].T, mode="r", pivoting=True)[1][:n]
        correction = solve(others[close[carriers], :-1].T, missing)
        if correction is not None:
            multipliers[carriers] += correction
            return bool(all(x >= 0 for x in multipliers) and multipliers @ others[close, -1] <= row[-1])
    return False


def _make_up(rows: IntArray, multipliers: FloatArray, others: Array, row: Array) -> bool:
    """Whether inequalities with positive multipliers do so, the multipliers solved for in rationals."""
    tried = 0
    for least in (1e-9, 1e-12, 0.0):
        used = rows[multipliers > least]
        if tried < len(used) <= len(row) - 1:
            tried = len(used)
            exact = solve(others[used, :-1].T, row[:-1])
            if exact is not None and all(x >= 0 for x in exact) and exact @ others[used, -1] <= row[-1]:
                return True
    return False


def _pivoted(A: FloatArray, corner: IntArray, others: Array, row: Array) -> bool | None:
    """The dual simplex method in rationals from what floats call a corner; None after many steps.

    A cube so large that it cuts nothing off, ``-M <= x_i <= M``, makes every start a corner: rows ``m + i`` and
    ``m + n + i`` are its sides, whose constants are one in a column of their own, the coefficients of M.
    """
    m, n = len(others), len(row) - 1
    sides = as_fractions(np.vstack([np.eye(n), -np.eye(n)]))
    slopes = np.concatenate([others[:, :-1], sides])
    constants = np.full((m + 2 * n, 2), Fraction(0), dtype=object)
    constants[m:, 0], constants[:m, 1] = Fraction(1), others[:, -1]
    norms = np.append(np.linalg.norm(nearest(others[:, :-1]), axis=1), np.ones(2 * n))
    basis = _start(A, corner, slopes, row, m)
    for step in range(PIVOTS):
        heed("a linear program in rationals")
        multipliers = solve(slopes[basis].T, row[:-1])
        corners = solve(slopes[basis], -constants[basis])
        if multipliers is None or corners is None or any(x < 0 for x in multipliers):
            return None
        at = exact_product(row[None, :-1], corners)[0]
        if (at[0], at[1] + row[-1]) >= (0, 0):
            return True
        values = exact_product(slopes, corners) + constants
        below = np.flatnonzero((values[:, 0] < 0) | ((values[:, 0] == 0) & (values[:, 1] < 0)))
        if not len(below):
            return False
        large = values[below, 0] < 0
        depth = nearest(np.where(large, values[below, 0], values[below, 1])) / norms[below]
        first = below[np.argmin(np.where(large == large.any(), depth, np.inf))]
        entering = int(below[0] if step >= PIVOTS // 2 else first)
        weights = solve(slopes[basis].T, slopes[entering])
        ratios = (
            []
            if weights is None
            else [(x / w, int(b), i) for i, (x, w, b) in enumerate(zip(multipliers, weights, basis)) if w > 0]
        )
        if not ratios:
            return None
        basis[min(ratios)[2]] = entering
    return None


def _start(A: FloatArray, corner: IntArray, slopes: Array, row: Array, m: int) -> IntArray:
    """A basis of rows, the first first, and sides of the cube, with multipliers that are not negative."""
    n = A.shape[1]
    left = A[corner].T.copy()
    independent: list[int] = []
    for i in range(len(corner)):
        if len(independent) < n and (length := np.linalg.norm(left[:, i])) > 1e-9:
            independent.append(int(corner[i]))
            left -= np.outer(left[:, i], left[:, i] @ left) / length**2
    corner = np.array(independent, dtype=np.int64)
    while True:
        across = np.eye(n)
        if len(corner):
            q = np.linalg.qr(A[corner].T)[0]
            across -= q @ q.T
        more = qr(across, mode="r", pivoting=True)[1][: n - len(corner)]
        basis = np.concatenate([corner, m + more]).astype(np.int64)
        multipliers = solve(slopes[basis].T, row[:-1])
        if multipliers is None:  # rows that floats took for independent
            corner = corner[:-1]
            continue
        negative = np.array([x < 0 for x in multipliers])
        if not negative[: len(corner)].any():
            basis[negative] += n
            return basis
        corner = corner[~negative[: len(corner)]]


def _point_beyond(A: FloatArray, v: FloatArray, rows: IntArray, unit: float, others: Array, row: Array) -> bool:
    """Whether floats find a point, as far from all walls as can be, where this inequality fails and the others hold."""
    n = A.shape[1]
    outside = np.vstack([-A[rows], A[-1:]])
    with suppress(SolverError):
        found = solve_lp(
            np.append(np.zeros(n), -1.0),
            A_ub=np.hstack([outside, np.ones((len(outside), 1))]),
            b_ub=np.append(v[rows], -v[-1]),
            bounds=[(None, None)] * n + [(None, 1.0)],
        )
        if found.x is not None and found.x[-1] > 0:
            exact = [Fraction(unit) * Fraction(c) for c in found.x[:-1]]
            point = np.array([*exact, Fraction(1)], dtype=object)[:, None]
            return bool(exact_product(row[None, :], point)[0, 0] < 0 and (exact_product(others, point) >= 0).all())
    return False


def _unit_rows(rows: Array) -> tuple[FloatArray, FloatArray]:
    """Slopes of length one, and constants to match."""
    floats = nearest(rows)
    norms = np.linalg.norm(floats[:, :-1], axis=1)
    norms[norms == 0] = 1.0
    return floats[:, :-1] / norms[:, None], floats[:, -1] / norms


def _scales(values: FloatArray) -> list[float]:
    """Lengths to look at the polyhedron from: the largest of each group of distances, where groups are far apart."""
    near = np.sort(np.abs(values[np.isfinite(values) & (values != 0)]))
    ends = np.flatnonzero(near[1:] > GAP * near[:-1])
    return [float(near[min(e, len(near) - 1)]) for e in [*ends, len(near) - 1]] if len(near) else [1.0]


__all__ = ["implied"]
