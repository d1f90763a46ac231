"""Largest dimension of the fiber of one hidden layer on R^n, without listing its types.

With s spare neurons, L hyperplanes seen from both sides whose normals are independent, G groups with both sides and r
the rank that these must supply, the largest piece has a dimension that only these numbers fix. Most are excluded by it;
what is left asks whether jumps of some hyperplanes add up to the linear part of the function.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from math import lcm
from typing import Any

import numpy as np

from ..._typing import Array
from ...budget import Monitor
from ...numerics import exact
from ..hyperplanes import HyperplaneRepresentation
from ..linear_neurons import two_layer_strata

DOING = "excluding larger pieces of a fiber"
STORED = 18
"""Items whose sums are stored; sums of the others are looked up in them."""


def largest_dimension(
    representation: HyperplaneRepresentation, width: int, known: tuple[int, int] | None, monitor: Monitor
) -> int:
    """Largest dimension of a piece modulo scaling; -1 when there is none.

    Parameters
    ----------
    representation : HyperplaneRepresentation
        Rational.
    width : int
    known : (int, int), optional
        Rank of the hyperplanes that a parameter has from both sides, and the rank that its groups supply.
    monitor : Monitor

    Raises
    ------
    BudgetExceededError
        Time ends before larger pieces are excluded.

    Examples
    --------
    ``|x|`` on the plane by two neurons and one that nothing reads:

    >>> import polyfiber as pf
    >>> from polyfiber.fibers.whole.assignments import shallow_fiber
    >>> net = pf.ReLUNetwork([[[1, 0], [-1, 0], [1, 2]], [[1, 1, 0]]], [[0, 0, 3], [0]])
    >>> shallow_fiber(net).largest_dimension()
    2
    """
    m, n = representation.slope.shape
    N = representation.n_hyperplanes
    spare = width - N
    best: dict[tuple[int, int], int] = {}
    for L in range(min(spare, exact.rank(representation.normals) if N else 0) + 1):
        for G in range((spare - L) // 2 + 1):
            for r in range(min(G, n - L, m) + 1):
                best[L, r] = max(best.get((L, r), -1), _size(n, m, spare, L, G, r))
    found = -1 if known is None else best[known]
    for (L, r), size in sorted(best.items(), key=lambda item: -item[1]):
        if size <= found:
            break
        if _exists(representation, L, r, monitor):
            return size
    return found


def _size(n: int, m: int, spare: int, L: int, G: int, r: int) -> int:
    """Dimension of a largest piece: neurons that are left over lie anywhere or are on what is there already."""
    size = m * spare + max(n - m, 0) * (spare - 2 * G - L) - m * L
    if G:
        inner = m * G if n == L else max(d for _, _, d in two_layer_strata(n - L, G, m, r))
        size += inner + G * (L - 2 * m)
    return size


def _exists(rep: HyperplaneRepresentation, L: int, r: int, monitor: Monitor) -> bool:
    """Whether L hyperplanes can be seen from both sides, and some of the others from the far side, so that rank r is
    left.
    """
    N = rep.n_hyperplanes
    for both in itertools.combinations(range(N), L):
        monitor.check_time(DOING)
        normals = rep.normals[list(both)]
        if L and exact.rank(normals) < L:
            continue
        beyond = exact.nullspace(normals) if L else exact.as_fractions(np.eye(rep.slope.shape[1], dtype=int))
        target = rep.slope @ beyond
        jumps = [rep.weights[j][:, None] * (rep.normals[j] @ beyond)[None, :] for j in range(N) if j not in both]
        if r == 0:
            if adds_up([j.ravel() for j in jumps], target.ravel(), monitor):
                return True
            continue
        for chosen in itertools.product((False, True), repeat=len(jumps)):
            monitor.check_time(DOING)
            left = target - sum((j for j, on in zip(jumps, chosen) if on), start=0 * target)
            if exact.rank(left) == r:
                return True
    return False


def adds_up(items: Sequence[Array], target: Array, monitor: Monitor) -> bool:
    """Whether some of the rational vectors add up to the target.

    Independent vectors by elimination; else the sums of up to 18 of them are stored, and those of the others looked up.

    Examples
    --------
    >>> from polyfiber.budget import Monitor
    >>> from polyfiber.numerics.exact import as_fractions
    >>> items = [as_fractions(v) for v in ([1, 2], [2, 0], [1, 1])]
    >>> adds_up(items, as_fractions([2, 3]), Monitor()), adds_up(items, as_fractions([3, 3]), Monitor())
    (True, False)
    """
    items = [v for v in items if (v != 0).any()]
    if not (target != 0).any():
        return True
    if not items:
        return False
    columns = np.array(items, dtype=object).T
    solved = exact.solve(columns, target[:, None])
    if solved is None:
        return False
    if exact.rank(columns) == len(items):
        return all(v in (0, 1) for v in solved.ravel())
    *numbers, goal = _as_integers([*items, target])
    stored = set(_sums(numbers[:STORED], monitor))
    return any(goal - value in stored for value in _sums(numbers[STORED:], monitor))


def _as_integers(vectors: Sequence[Array]) -> list[int]:
    """One integer for each vector, of which sums are equal just where those of vectors are."""
    scale = lcm(*(int(v.denominator) for vector in vectors for v in vector))
    whole: list[list[int]] = [[int(v * scale) for v in vector] for vector in vectors]
    radix = 2 * sum(abs(v) for vector in whole for v in vector) + 1
    result = []
    for vector in whole:
        value = 0
        for v in vector:
            value = value * radix + v
        result.append(value)
    return result


def _sums(numbers: Sequence[int], monitor: Monitor) -> Iterator[Any]:
    """All sums of some of the numbers, each from the one before it."""
    value, on = 0, [False] * len(numbers)
    yield value
    for k in range(1, 1 << len(numbers)):
        if k % 4096 == 0:
            monitor.check_time(DOING)
        flip = (k & -k).bit_length() - 1
        value += -numbers[flip] if on[flip] else numbers[flip]
        on[flip] = not on[flip]
        yield value
