"""The extreme points of the unit ball of a subspace, in the norms of 1 and infinity."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np

from .. import words
from .._typing import Array
from ..budget import heed
from ..errors import InputError
from .exact import inverse, nullspace, rref
from .products import exact_product

MOST = 1 << 15
"""Candidates that are looked at."""


def extreme_directions(basis: Array, ord: float) -> Array:
    """Extreme points of ``{d in the span : |d|_ord <= 1}``, one of each pair ±d.

    A convex function of the direction, such as ``|A d|``, is largest at one of them.

    Parameters
    ----------
    basis : (n, k) Fractions, independent columns
    ord : 1 or numpy.inf

    Returns
    -------
    (p, n) Fractions

    Raises
    ------
    InputError
        More than ``MOST`` candidates: ``C(n, k - 1)`` for the norm of 1, ``2^(k-1) C(n, k)`` for that of infinity.

    Notes
    -----
    In the norm of 1 they are the vectors of least support: those that vanish on k - 1 independent coordinates. In the
    norm of infinity k independent coordinates are ±1, and no other is larger.

    Examples
    --------
    >>> from polyfiber.numerics.exact import as_fractions
    >>> plane = as_fractions([[1, 0], [0, 1], [1, 1]])  # z = x + y
    >>> extreme_directions(plane, 1).astype(float).tolist()
    [[0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, -0.5, 0.0]]
    >>> extreme_directions(plane, np.inf).astype(float).tolist()
    [[1.0, -1.0, 0.0], [1.0, 0.0, 1.0], [0.0, 1.0, 1.0]]
    """
    n, k = basis.shape
    if not k:
        return np.full((0, n), Fraction(0), dtype=object)
    count = math.comb(n, k - 1) if ord == 1 else math.comb(n, k) << (k - 1)
    if count > MOST:
        raise InputError(
            f"the norm of {'1' if ord == 1 else 'infinity'} on a slanted flat of dimension {k} in {words.count(n, 'coordinate')} takes about "
            f"{words.about(count)} directions, more than {MOST}; that of 2 takes none",
            count=count,
        )
    found: dict[tuple[Fraction, ...], None] = {}
    for rows in itertools.combinations(range(n), k - 1 if ord == 1 else k):
        heed("extreme directions of a flat")
        part = basis[list(rows)]
        if ord == 1:
            kernel = nullspace(part) if k > 1 else np.array([[Fraction(1)]], dtype=object)
            if kernel.shape[1] > 1:
                continue
            candidates = exact_product(basis, kernel).T
            candidates = candidates / np.abs(candidates).sum()
        else:
            if len(rref(part)[1]) < k:
                continue
            signs = [[Fraction(1), *(Fraction(s) for s in rest)] for rest in itertools.product((1, -1), repeat=k - 1)]
            candidates = exact_product(np.array(signs, dtype=object), exact_product(basis, inverse(part)).T)
            candidates = candidates[(np.abs(candidates) <= 1).all(axis=1)]
        for d in candidates:
            lead = next(v for v in d if v)
            found[tuple(d if lead > 0 else -d)] = None
    return np.array([list(d) for d in found], dtype=object).reshape(-1, n)


__all__ = ["extreme_directions"]
