"""Nearest point and largest ball of a polyhedron in rational arithmetic: floats guess which inequalities matter,
rationals prove it.

A polyhedron is given by rows with the constant last: ``row . (x, 1) = 0`` for each of ``equal``, ``>= 0`` for each of
``at_least``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from .._typing import FloatArray
from ..budget import heed
from ..errors import NumericalError
from . import exact
from .floats import directed, root
from .lp import solve_lp, solve_lp_exact

Rows = Sequence[Sequence[Fraction]]


def _value(row: Sequence[Fraction], x: Sequence[Fraction]) -> Fraction:
    return sum((a * v for a, v in zip(row, x)), row[-1])


def _floats(row: Sequence[Fraction]) -> FloatArray:
    """A row over its largest entry, so that none overflows."""
    top = max((abs(v) for v in row[:-1]), default=Fraction(0)) or Fraction(1)
    scaled = [v / top for v in row]
    limit = Fraction(10) ** 300
    return np.array([float(max(-limit, min(limit, v))) for v in scaled])


# ---- nearest point ------------------------------------------------------------------------------
def nearest_point(equal: Rows, at_least: Rows, start: Sequence[Fraction]) -> tuple[Fraction, list[Fraction]]:
    """Squared distance of a point to a polyhedron that is not empty, and the nearest point, both exact.

    Least distance programming (Lawson and Hanson 1974) in floats guesses the active inequalities; the point and its
    multipliers are solved in rationals and checked: feasible, with multipliers of the right sign, they prove that no
    point is nearer.

    Raises
    ------
    NumericalError
        The inequalities exclude each other.

    Examples
    --------
    >>> from fractions import Fraction as F
    >>> nearest_point([], [[F(1), F(0), F(-2)]], [F(0), F(1)])
    (Fraction(4, 1), [Fraction(2, 1), Fraction(1, 1)])
    """
    active = _float_active(equal, at_least, start)
    found = _project_on([*equal, *(at_least[i] for i in active)], start)
    if found is not None and min(found[1][len(equal) :], default=0) >= 0:
        at = found[0]
        if all(_value(r, at) >= 0 for r in at_least):
            return _squared(at, start), at
    at = _dual_steps(equal, at_least, start)
    return _squared(at, start), at


def _squared(at: Sequence[Fraction], start: Sequence[Fraction]) -> Fraction:
    return sum(((a - b) ** 2 for a, b in zip(at, start)), Fraction(0))


def _dual_steps(equal: Rows, at_least: Rows, start: Sequence[Fraction]) -> list[Fraction]:
    """The nearest point by the dual method of Goldfarb and Idnani (1983), in rationals: it ends whatever the rows are.

    The point is the nearest one for the active rows, whose multipliers stay nonnegative; a violated row is added, and
    rows whose multipliers would become negative on the way are dropped.
    """
    projected = _project_on(equal, start)
    if projected is None:
        raise NumericalError(EXCLUDED)
    at, active = projected[0], []  # type: list[Fraction], list[int]
    u: list[Fraction] = []
    while True:
        worst, p = min(((_value(r, at), i) for i, r in enumerate(at_least)), default=(Fraction(0), -1))
        if worst >= 0:
            return at
        mine = Fraction(0)
        while True:
            heed("the nearest point")
            goal = list(at_least[p][:-1])
            rows = [r[:-1] for r in (*equal, *(at_least[i] for i in active))]
            weights = [Fraction(0)] * len(rows)
            if rows:
                A = np.array(rows, dtype=object)
                solved = exact.solve(A @ A.T, A @ np.array(goal, dtype=object))
                assert solved is not None
                weights = list(solved)
                goal = [g - c for g, c in zip(goal, A.T @ solved)]  # what of the row the active ones leave
            own = weights[len(equal) :]
            size = sum((g * g for g in goal), Fraction(0))
            drop = min(((m / w, j) for j, (m, w) in enumerate(zip(u, own)) if w > 0), default=None)
            full = -_value(at_least[p], at) / size if size else None
            if full is None and drop is None:
                raise NumericalError(EXCLUDED)
            whole = full is not None and (drop is None or full <= drop[0])
            step = full if whole else drop[0]  # type: ignore[index]
            assert step is not None
            u = [m - step * w for m, w in zip(u, own)]
            mine += step
            at = [x + step * g for x, g in zip(at, goal)]
            if whole:
                active.append(p)
                u.append(mine)
                break
            assert drop is not None
            del active[drop[1]], u[drop[1]]


EXCLUDED = "inequalities of a polyhedron exclude each other; please report it"


def _float_active(equal: Rows, at_least: Rows, start: Sequence[Fraction]) -> list[int]:
    """Inequalities that are active at the nearest point, as floats see it: nonnegative least squares."""
    from scipy.optimize import nnls

    rows, who = [], []
    for i, r in enumerate([*equal, *([-v for v in e] for e in equal), *at_least]):
        a = _floats([*r[:-1], _value(r, start)])
        size = float(np.linalg.norm(a[:-1]))
        if size > 0 and np.isfinite(a).all():
            rows.append(np.append(a[:-1], -a[-1]) / size)  # G y >= h with y = x - start
            who.append(i - 2 * len(equal))
    if not rows:
        return []
    table = np.array(rows).T
    target = np.zeros(len(table))
    target[-1] = 1.0
    try:
        weights, _ = nnls(table, target, maxiter=50 * table.shape[1])
    except RuntimeError:
        return []
    return [w for w, u in zip(who, weights) if w >= 0 and u > 1e-12]


def _project_on(rows: Rows, start: Sequence[Fraction]) -> tuple[list[Fraction], list[Fraction]] | None:
    """Nearest point of the flat where rows vanish, and their multipliers (independent rows only count); None where
    there is none.
    """
    if not rows:
        return list(start), []
    A = np.array([r[:-1] for r in rows], dtype=object)
    right = np.array([-_value(r, start) for r in rows], dtype=object)
    multipliers = exact.solve(A @ A.T, right)
    if multipliers is None:
        return None
    return [s + d for s, d in zip(start, A.T @ multipliers)], list(multipliers)


# ---- largest ball -------------------------------------------------------------------------------
@dataclass(frozen=True)
class LargestBall:
    """A ball in a polyhedron, and how much larger another can be.

    Attributes
    ----------
    center : tuple of Fraction
        In the polyhedron.
    radius : float
        The ball of this radius about ``center`` lies in the polyhedron (in its flat, where equations hold); inf where
        the polyhedron holds balls of every size.
    upper : float
        No ball in the polyhedron is larger.
    """

    center: tuple[Fraction, ...]
    radius: float
    upper: float


def largest_ball(equal: Rows, at_least: Rows, inside: Sequence[Fraction]) -> LargestBall:
    """A ball in a polyhedron that is as large as floats find it, with its radius and an upper bound proved in
    rationals.

    Parameters
    ----------
    equal, at_least : rows with the constant last
    inside : (n,) Fractions
        A point of the polyhedron; the centre where floats find no better one.

    Notes
    -----
    With ``sum_i l_i a_i = 0`` and ``l >= 0``, every ball has radius at most ``sum_i l_i b_i / sum_i l_i |a_i|``; the best ``l`` is found by an exact
    linear program over the rows next to the ball, then over all. If there is no such ``l``, a direction enters every half-space
    (Gordan's alternative), and balls of every size fit.

    Examples
    --------
    >>> from fractions import Fraction as F
    >>> square = [[F(1), F(0), F(0)], [F(-1), F(0), F(2)], [F(0), F(1), F(0)], [F(0), F(-1), F(2)]]
    >>> ball = largest_ball([], square, [F(1, 2), F(1, 3)])
    >>> ball.radius <= 1 <= ball.upper <= 1 + 1e-12, ball.radius > 1 - 1e-12
    (True, True)
    """
    along = _along(equal, at_least)
    rows = [r for r in along if any(r[:-1])]
    if not rows:
        return LargestBall(tuple(inside), math.inf, math.inf)
    norms = [sum((v * v for v in r[:-1]), Fraction(0)) for r in rows]
    below, above = [root(v) for v in norms], [root(v, up=True) for v in norms]
    center, radius = list(inside), _radius(rows, above, inside)
    found = _float_center(equal, rows, below, inside)
    if found is not None and _radius(rows, above, found) > radius:
        center, radius = found, _radius(rows, above, found)
    reach = [_value(r, center) / q for r, q in zip(rows, below)]
    near = sorted(range(len(rows)), key=reach.__getitem__)
    for count in sorted({min(len(rows), len(center) + 3), len(rows)}):
        upper = _upper([rows[i] for i in near[:count]], [below[i] for i in near[:count]])
        if upper is not None:
            return LargestBall(tuple(center), directed(max(radius, Fraction(0)), up=False), directed(upper, up=True))
    return LargestBall(tuple(center), math.inf, math.inf)


def _along(equal: Rows, at_least: Rows) -> list[list[Fraction]]:
    """Inequalities with normals in the directions of the flat; the same on the flat."""
    if not equal:
        return [list(r) for r in at_least]
    E = np.array(equal, dtype=object)
    independent = exact.rref(E)[0]
    E = np.array([r for r in independent if any(r[:-1])], dtype=object)
    if not len(E):
        return [list(r) for r in at_least]
    gram = E[:, :-1] @ E[:, :-1].T
    result = []
    for r in at_least:
        row = np.array(r, dtype=object)
        part = exact.solve(gram, E[:, :-1] @ row[:-1])
        assert part is not None  # the rows are independent
        result.append(list(row - part @ E))
    return result


def _radius(rows: Rows, above: Sequence[Fraction], x: Sequence[Fraction]) -> Fraction:
    return min(_value(r, x) / q for r, q in zip(rows, above))


def _float_center(
    equal: Rows, rows: Rows, norms: Sequence[Fraction], inside: Sequence[Fraction]
) -> list[Fraction] | None:
    """The centre that a linear program in floats finds, around a point and in its scale, as rationals on the flat."""
    table = np.array([[float(v / q) for v in r[:-1]] for r, q in zip(rows, norms)])
    slack = [_value(r, inside) / q for r, q in zip(rows, norms)]
    scale = max((s for s in slack if s > 0), default=Fraction(1))
    right = np.array([float(s / scale) for s in slack])
    if not np.isfinite(table).all():
        return None
    n = table.shape[1]
    found = solve_lp(
        np.r_[np.zeros(n), -1.0],
        A_ub=np.hstack([-table, np.ones((len(rows), 1))]),
        b_ub=right,
        bounds=[(None, None)] * n + [(0, 1e6)],
    )
    if found.x is None or not np.isfinite(found.x).all():
        return None
    x = [c + scale * Fraction(float(v)) for c, v in zip(inside, found.x[:-1])]
    projected = _project_on(equal, x)
    return None if projected is None else projected[0]


def _upper(rows: Rows, norms: Sequence[Fraction]) -> Fraction | None:
    """The least ``sum l b / sum l |a|`` over ``l >= 0`` with ``sum l a = 0``; None where there is no such l."""
    heed("the largest ball")
    n = len(rows[0]) - 1
    A = [[r[j] for r in rows] for j in range(n)] + [list(norms)]
    found = solve_lp_exact([r[-1] for r in rows], A, [Fraction(0)] * n + [Fraction(1)])
    return found.value if found.status == "optimal" else None
