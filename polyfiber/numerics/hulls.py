"""The affine hull of a polyhedron, exactly: which inequalities hold with equality throughout, and coordinates of what
is left.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from scipy.linalg import qr

from .._once import cached_property
from .._typing import Array, BoolArray, IntArray
from ..errors import InputError, SolverError
from ..words import one_line
from .exact import as_fractions, inverse, nullspace, rref
from .floats import nearest
from .lp import interior_point, solve_lp_exact
from .products import exact_product
from .rounding import UNIT


@dataclass(frozen=True, eq=False)
class AffineHull:
    """A flat: the points whose other coordinates are given affine functions of the free ones.

    Attributes
    ----------
    equal : (e,) ids of the inequalities that hold with equality on all of the polyhedron
    free : (k,) coordinates that parametrise the flat
    lift : (n, k + 1) Fractions
        ``x = lift @ (free coordinates, 1)``; rows of the free coordinates are unit vectors.
    """

    __repr__ = one_line

    equal: IntArray
    free: IntArray
    lift: Array

    @property
    def dimension(self) -> int:
        """Dimension k of the flat."""
        return len(self.free)

    @cached_property
    def fixed(self) -> IntArray:
        """The coordinates that are functions of the free ones."""
        return np.setdiff1d(np.arange(len(self.lift)), self.free)

    @cached_property
    def is_straight(self) -> bool:
        """Whether the flat is parallel to coordinate axes: the fixed coordinates are constants."""
        return bool((self.lift[self.fixed, :-1] == 0).all())

    @cached_property
    def steady(self) -> AffineHull:
        """The same flat in coordinates that no other one is a large multiple of: what is rounded in them stays small.

        Examples
        --------
        >>> steep = flat_of(np.array([0]), np.array([[1.0, -1e10, 0.0]]))  # x = 1e10 y
        >>> steep.free.tolist(), steep.steady.free.tolist()
        ([1], [0])
        """
        slopes = self.lift[:, :-1]
        floats = nearest(slopes)
        if not np.isfinite(floats).all() or not self.dimension or np.abs(floats).max() <= 1.0:
            return self
        _, _, order = qr(floats.T, mode="economic", pivoting=True)
        free = np.sort(order[: self.dimension])
        if _rank_below(slopes[free]):
            return self
        slopes = exact_product(slopes, inverse(slopes[free]))
        constant = self.lift[:, -1] - exact_product(slopes, self.lift[free, -1:])[:, 0]
        return AffineHull(self.equal, free, np.concatenate([slopes, constant[:, None]], axis=1))

    def lifted(self, points: Array) -> Array:
        """Points (m, n) of the flat, Fractions, from their free coordinates (m, k)."""
        values = np.concatenate([as_fractions(points), np.full((len(points), 1), Fraction(1), dtype=object)], axis=1)
        return exact_product(values, self.lift.T)

    @cached_property
    def _tangent(self) -> Array:
        """(k, n) Fractions that take a gradient to coordinates of its tangential part: ``(L^T L)^-1 L^T``."""
        L = self.lift[:, :-1]
        return exact_product(inverse(exact_product(L.T, L)), L.T) if self.dimension else L.T

    def in_chart(self, rows: Array) -> Array:
        """Affine forms (m, n + 1), constant last, as forms of the free coordinates alone; zero at the fixed ones."""
        fixed = self.fixed
        moved = np.flatnonzero((rows[:, fixed] != 0).any(axis=1))
        columns = np.flatnonzero((self.lift[fixed] != 0).any(axis=0))
        targets = np.append(self.free, len(self.lift))[columns]
        part = as_fractions(rows[moved][:, targets])
        part = part + exact_product(as_fractions(rows[moved][:, fixed]), self.lift[fixed][:, columns])
        part = simplest(part)
        out = as_fractions(rows) if part.dtype == object else rows.copy()
        out[:, fixed] = Fraction(0) if out.dtype == object else 0.0
        out[np.ix_(moved, targets)] = part
        return out

    def tangential(self, rows: Array) -> Array:
        """The forms (m, n + 1) with the same values on the flat whose gradients are tangent to it."""
        if self.is_straight:
            return self.in_chart(rows)
        chart = as_fractions(self.in_chart(rows))
        out = np.full(chart.shape, Fraction(0), dtype=object)
        out[:, :-1] = exact_product(chart[:, self.free], self._tangent)
        out[:, -1] = chart[:, -1] - exact_product(out[:, :-1], self.lift[:, -1:])[:, 0]
        return simplest(out)

    @property
    def equations(self) -> list[list[Fraction]]:
        """Rows, constant last, whose common zeros are the flat."""
        rows = np.full((len(self.fixed), len(self.lift) + 1), Fraction(0), dtype=object)
        rows[:, [*self.free, -1]] = -self.lift[self.fixed]
        rows[np.arange(len(rows)), self.fixed] = Fraction(1)
        return [list(row) for row in rows]

    def lines(self, chart: Array) -> Array:
        """(n, s) Fractions: a basis of the directions of the flat that no form of a chart (m, n + 1) changes along."""
        rows = as_fractions(chart[:, self.free])
        kernel = nullspace(rows) if len(rows) else as_fractions(np.eye(self.dimension))
        return exact_product(self.lift[:, :-1], kernel)

    def contains(self, x: Array) -> bool:
        """Whether an exact point (n,) lies on the flat."""
        free = np.array([*x[self.free], Fraction(1)], dtype=object)
        return bool((exact_product(self.lift, free[:, None])[:, 0] == x).all())


def _rank_below(rows: Array) -> bool:
    """Whether a square matrix of Fractions is singular."""
    return len(rref(rows)[1]) < len(rows)


def simplest(values: Array) -> Array:
    """The same numbers as float64 where that is exact for all of them."""
    floats = nearest(values)
    same = np.isfinite(floats).all() and all(Fraction(f) == v for f, v in zip(floats.ravel().tolist(), values.ravel()))
    return floats if same else values


def flat_of(equal: IntArray, forms: Array) -> AffineHull:
    """The flat on which some forms (e, n + 1) vanish."""
    reduced, pivots = rref(as_fractions(forms))
    n = forms.shape[1] - 1
    if n in pivots:
        raise InputError("the domain is empty: its inequalities exclude each other", empty=True)
    free = np.setdiff1d(np.arange(n), pivots)
    lift = np.full((n, len(free) + 1), Fraction(0), dtype=object)
    for j, c in enumerate(free.tolist()):
        lift[c, j] = Fraction(1)
    for i, c in enumerate(pivots):
        lift[c, :-1] = [-v for v in reduced[i, free]]
        lift[c, -1] = -reduced[i, n]
    return AffineHull(equal, free, lift)


def affine_hull(forms: Array) -> AffineHull | None:
    """The affine hull of ``{x : forms @ (x, 1) >= 0}``; None if it is the whole space.

    Parameters
    ----------
    forms : (m, n + 1) array, float64 or Fractions

    Raises
    ------
    InputError
        The set is empty (its attribute ``empty`` is true).

    Notes
    -----
    An interior point that satisfies every inequality beyond rounding settles most cases. Opposite inequalities are
    equations. What these leave open is asked of rational linear programs, which look for non-negative combinations of
    the inequalities that vanish: what takes part holds with equality.

    Examples
    --------
    >>> hull = affine_hull(np.array([[1.0, 0, 0], [0, 1.0, 0], [-1.0, -1.0, 0]]))  # x, y >= 0 and x + y <= 0
    >>> hull.equal.tolist(), hull.dimension
    ([0, 1, 2], 0)
    """
    if _has_interior(forms):
        return None
    equal = _opposite(forms)
    if len(equal):
        hull = flat_of(equal, forms[equal])
        rest = np.setdiff1d(np.arange(len(forms)), equal)
        chart = hull.in_chart(forms[rest])
        constant = (chart[:, :-1] == 0).all(axis=1)
        if (chart[constant, -1] < 0).any():
            raise InputError("the domain is empty: its inequalities exclude each other", empty=True)
        equal = np.concatenate([equal, rest[constant & (chart[:, -1] == 0)]])
        inner = affine_hull(chart[~constant][:, [*hull.free, -1]]) if not constant.all() else None
        if inner is not None:
            equal = np.concatenate([equal, rest[~constant][inner.equal]])
        equal = np.sort(equal)
        return flat_of(equal, forms[equal])
    equal = _implicit_equations(as_fractions(forms))
    return flat_of(equal, forms[equal]) if len(equal) else None


def _opposite(forms: Array) -> IntArray:
    """Inequalities whose opposite is there too, up to a positive factor."""
    floats = nearest(forms)
    with np.errstate(all="ignore"):
        scaled = floats / np.abs(floats[:, :-1]).max(axis=1, keepdims=True)
        place = np.abs(scaled @ np.random.default_rng(11).uniform(1.0, 2.0, floats.shape[1]))
    order = np.argsort(place)
    with np.errstate(invalid="ignore", over="ignore"):
        near = ~(np.diff(place[order]) > 1e-6 * (1.0 + place[order[1:]]))  # what is not a number is near
    candidates = np.unique(np.concatenate([order[:-1][near], order[1:][near]]))
    sides: dict[tuple[Fraction, ...], dict[bool, list[int]]] = {}
    for i in candidates.tolist():
        row = [Fraction(v) for v in forms[i]]
        lead = next(v for v in row if v)
        sides.setdefault(tuple(v / lead for v in row), {}).setdefault(lead > 0, []).append(i)
    return np.array(
        sorted(i for group in sides.values() if len(group) == 2 for ids in group.values() for i in ids), int
    )


def _has_interior(forms: Array) -> bool:
    """Whether a point is found that satisfies all inequalities strictly, rounding included."""
    floats = nearest(forms)
    if not np.isfinite(floats).all():
        return False
    A, b = -floats[:, :-1], floats[:, -1]
    if (b > 0).all():
        return True
    with np.errstate(all="ignore"):
        size = np.abs(A).max(axis=1)
        if not ((size > 1e-100) & (size < 1e100) & (np.abs(b) < 1e100 * size)).all():
            return False
        A, b = A / size[:, None], b / size
    try:
        found = interior_point(A, b)
    except SolverError:
        return False
    if found is None:
        return False
    with np.errstate(all="ignore"):
        slack = b - A @ found[0]
        bound = (A.shape[1] + 6) * 4 * UNIT * (np.abs(A) @ np.abs(found[0]) + np.abs(b))
        return bool((slack > bound).all())


def _implicit_equations(forms: Array) -> IntArray:
    m, n = forms.shape[0], forms.shape[1] - 1
    open_: BoolArray = np.ones(m, dtype=np.bool_)
    while open_.any():
        weights = np.array([[Fraction(int(v)) for v in open_]], dtype=object)
        found = solve_lp_exact(forms[:, n], np.concatenate([forms[:, :n].T, weights]), [0] * n + [1])
        if found.status == "infeasible":
            break
        if found.status == "unbounded" or found.value < 0:
            raise InputError("the domain is empty: its inequalities exclude each other", empty=True)
        if found.value > 0:
            break
        assert found.x is not None
        open_ &= np.array([v == 0 for v in found.x])
    return np.flatnonzero(~open_)


__all__ = ["AffineHull", "affine_hull", "flat_of", "simplest"]
