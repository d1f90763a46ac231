"""A box around a bounded domain, also one that lies in a slanted flat, where no linear program has an interior point."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from .._typing import FloatArray
from ..domain import Box, Polyhedron
from ..errors import InputError
from .relaxation import bounding_box, safe_minimum

ROUNDS = 8
MOST = 200_000
"""Entries of the inequalities that are propagated."""


def enclosing_box(domain: Polyhedron) -> tuple[FloatArray, FloatArray]:
    """A box that certainly holds a bounded domain.

    Where the domain lies in a flat that is not parallel to the axes, inequalities are propagated from coordinate to coordinate in rationals, and
    the box is made smaller by linear programs whose multipliers are certified.

    Raises
    ------
    InputError
        The domain is empty or unbounded, or flat with bounds that propagation does not find.

    Examples
    --------
    >>> import polyfiber as pf
    >>> from polyfiber.bounds.enclosing import enclosing_box
    >>> segment = pf.Polyhedron([[1, 1], [-1, -1], [-1, 0], [0, -1]], [1, -1, 0, 0])
    >>> lo, hi = enclosing_box(segment)
    >>> bool((lo <= 0).all()), hi.round(9).tolist()
    (True, [1.0, 1.0])
    """
    if isinstance(domain, Box) or domain.affine_hull is None or domain.affine_hull.is_straight:
        return bounding_box(domain)
    low, high = propagated(domain)
    A, b = domain.A.astype(np.float64), domain.b.astype(np.float64)
    from scipy.optimize import linprog

    for c in range(A.shape[1]):
        for sign in (1.0, -1.0):
            cost = np.zeros(A.shape[1])
            cost[c] = sign
            found = linprog(cost, A_ub=A, b_ub=b, bounds=list(zip(low, high)), method="highs")
            if found.status == 0:
                value = safe_minimum(cost, A, b, np.maximum(-found.ineqlin.marginals, 0.0), low, high)
                if sign > 0:
                    low[c] = max(low[c], value)
                else:
                    high[c] = min(high[c], -value)
    return low, high


def propagated(domain: Polyhedron) -> tuple[FloatArray, FloatArray]:
    """Ends of every coordinate by what each inequality says when the others are at their ends; rounded outward."""
    if domain.A.size > MOST:
        raise InputError(f"the domain is flat and has {domain.A.size} coefficients; at most {MOST} are propagated")
    rows = [
        ({i: Fraction(c) for i, c in enumerate(row) if c}, Fraction(side))
        for row, side in zip(domain.A.tolist(), domain.b.tolist())
    ]
    ends: list[list[Fraction | None]] = [[None, None] for _ in range(domain.dimension)]
    for _ in range(ROUNDS):
        moved = False
        for row, side in rows:
            least = {i: ends[i][0] if c > 0 else ends[i][1] for i, c in row.items()}
            unknown = [i for i, v in least.items() if v is None]
            if len(unknown) > 1:
                continue
            total = sum((row[i] * v for i, v in least.items() if v is not None), Fraction(0))
            for i in unknown or row:
                part = least[i]
                rest = side - (total if part is None else total - row[i] * part)
                k, value = int(row[i] > 0), rest / row[i]
                old = ends[i][k]
                if old is None or (value < old if k else value > old):
                    # digits would double in every round
                    near = Fraction(float(np.nextafter(float(value), np.inf if k else -np.inf)))
                    value = near if value.denominator.bit_length() > 256 else value
                    ends[i][k], moved = value, True
        if not moved:
            break
    free = [i for i, (a, b) in enumerate(ends) if a is None or b is None]
    if free:
        raise InputError(
            f"the domain is flat, and no bounds of coordinate {free[0]} follow from single inequalities; add some that do"
        )
    low = np.array([np.nextafter(float(a), -np.inf) for a, _ in ends if a is not None])
    high = np.array([np.nextafter(float(b), np.inf) for _, b in ends if b is not None])
    return low, high


__all__ = ["enclosing_box", "propagated"]
