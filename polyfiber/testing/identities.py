"""What must hold whatever the network is."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb
from typing import Any

from .._values.checked import array_of, points_of, shown, whole
from ..errors import ShapeError


def simple_arrangement_f_vector(m: int, d: int) -> tuple[int, ...]:
    """Faces of each dimension of m hyperplanes in general position in R^d.

    ``f_k = C(m, d-k) * sum_{i <= k} C(m-d+k, i)`` (Zaslavsky 1975, for simple arrangements). For m < d these
    are the counts of the essential quotient, of dimension m.

    Examples
    --------
    >>> from polyfiber.testing import simple_arrangement_f_vector
    >>> simple_arrangement_f_vector(4, 2)
    (6, 16, 11)
    """
    m = whole(m, "m", least=0)
    d = min(m, whole(d, "d", least=0))
    return tuple(comb(m, d - k) * sum(comb(m - d + k, i) for i in range(k + 1)) for k in range(d + 1))


def box_inequalities(lower: Sequence[Any], upper: Sequence[Any]) -> tuple[Any, Any]:
    """(A, b) of a box, ``-x_i <= -lower_i`` first, then ``x_i <= upper_i``.

    Examples
    --------
    >>> from polyfiber.testing import box_inequalities
    >>> box_inequalities([0], [2])
    (((-1,), (1,)), (0, 2))
    """
    n = array_of(lower, "lower").size
    if not n:
        raise ShapeError(f"a box has at least one coordinate, found {shown(lower)}")
    for given in (lower, upper):
        points_of(given, n, single=True, exact=True)
    below = tuple(tuple(-int(i == j) for j in range(n)) for i in range(n))
    above = tuple(tuple(int(i == j) for j in range(n)) for i in range(n))
    return below + above, (*(-v for v in lower), *upper)
