"""A box around a bounded domain, by propagation where no linear program has an answer."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from .._typing import FloatArray
from ..budget import heed
from ..domain import Polyhedron
from ..errors import InputError, SolverError
from ..numerics.floats import directed
from .relaxation import bounding_box

ROUNDS = 8
MOST = 200_000
"""Entries of the inequalities that are propagated."""


def enclosing_box(domain: Polyhedron) -> tuple[FloatArray, FloatArray]:
    """A box that certainly holds a bounded domain.

    Where linear programs give none (numbers of very different sizes), inequalities are propagated from coordinate to
    coordinate in rationals.

    Raises
    ------
    InputError
        The domain is empty or unbounded, or neither way finds bounds.

    Examples
    --------
    >>> import polyfiber as pf
    >>> from polyfiber.bounds.enclosing import enclosing_box
    >>> segment = pf.Polyhedron([[1, 1], [-1, -1], [-1, 0], [0, -1]], [1, -1, 0, 0])
    >>> lo, hi = enclosing_box(segment)
    >>> bool((lo <= 0).all()), hi.round(9).tolist()
    (True, [1.0, 1.0])
    """
    try:
        return bounding_box(domain)
    except SolverError:
        return propagated(domain)


def propagated(domain: Polyhedron) -> tuple[FloatArray, FloatArray]:
    """Ends of every coordinate by what each inequality says when the others are at their ends; rounded outward."""
    if domain.A.size > MOST:
        raise InputError(
            f"no linear program bounds the domain, and it has {domain.A.size} coefficients; at most {MOST} are propagated"
        )
    rows = [
        ({i: Fraction(c) for i, c in enumerate(row) if c}, Fraction(side))
        for row, side in zip(domain.A.tolist(), domain.b.tolist())
    ]
    ends: list[list[Fraction | None]] = [[None, None] for _ in range(domain.dimension)]
    for _ in range(ROUNDS):
        moved = False
        for row, side in rows:
            heed("a box around the domain")
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
                    if value.denominator.bit_length() > 256 and math.isfinite(near := directed(value, up=bool(k))):
                        value = Fraction(near)
                    ends[i][k], moved = value, True
        if not moved:
            break
    free = [i for i, (a, b) in enumerate(ends) if a is None or b is None]
    if free:
        raise InputError(
            f"no linear program bounds the domain, and no bounds of coordinate {free[0]} follow from single inequalities; add some that do"
        )
    low = np.array([directed(a, up=False) for a, _ in ends if a is not None])
    high = np.array([directed(b, up=True) for _, b in ends if b is not None])
    return low, high


__all__ = ["enclosing_box", "propagated"]
