"""What may be asked of two networks on a box, as groups of linear statements about their outputs.

A goal holds at an input when in every group one of the alternatives ``c . (f, f - g) <= limit`` does. Being near is one
statement an output and sign; agreeing on the winner is, for every ordered pair of classes, that f does not prefer the
first, or g not the second.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .._typing import FloatArray
from ..kernels.bounds.pair import Goal

Alternative = tuple[dict[int, float], float, float]
"""Coefficients by column (output o of f is o, of f - g is m + o), a constant, and the limit."""


def make_goal(groups: Sequence[Sequence[Alternative]], rows: tuple[FloatArray, FloatArray] | None, n0: int) -> Goal:
    """A goal from its groups, on the part of a box where ``A x <= b`` for ``rows = (A, b)``."""
    start, entry = [0], [0]
    column: list[int] = []
    value: list[float] = []
    constant: list[float] = []
    limit: list[float] = []
    for group in groups:
        for coefficients, shift, most in group:
            column += coefficients.keys()
            value += coefficients.values()
            entry.append(len(column))
            constant.append(shift)
            limit.append(most)
        start.append(len(limit))
    A, b = (np.zeros((0, n0)), np.zeros(0)) if rows is None else rows
    return Goal(
        np.array(start, dtype=np.int64), np.array(entry, dtype=np.int64), np.array(column, dtype=np.int64),
        np.array(value), np.array(constant), np.array(limit),
        np.ascontiguousarray(A, dtype=np.float64), np.ascontiguousarray(b, dtype=np.float64),
    )  # fmt: skip


def near(epsilon: FloatArray, relative: FloatArray) -> list[list[Alternative]]:
    """``|f_o - g_o| <= epsilon_o + relative_o |f_o|`` for every output o.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.bounds.goals import near
    >>> near(np.array([0.5]), np.zeros(1))
    [[({1: 1.0}, 0.0, 0.5)], [({1: -1.0}, 0.0, 0.5)]]
    """
    m = len(epsilon)
    groups: list[list[Alternative]] = []
    for o in range(m):
        for sign in (1.0, -1.0):
            e, r = float(epsilon[o]), float(relative[o])
            if r == 0.0:
                groups.append([({m + o: sign}, 0.0, e)])
            else:
                groups.append([({m + o: sign, o: -r}, 0.0, e), ({m + o: sign, o: r}, 0.0, e)])
    return groups


def same_winner(m: int, delta: float, factors: FloatArray | None = None) -> list[list[Alternative]]:
    """No input where class i leads in f and class j in g, each ahead of all others by more than delta.

    Parameters
    ----------
    m : int
        Classes.
    delta : float
    factors : (m, m) array, optional
        Positive numbers t: for classes i, j ``(f_i - f_j) + t_ij (g_j - g_i) <= (1 + t_ij) delta`` excludes such an
        input as well, whatever t. It holds in one step where ``f_i - f_j`` is about ``t_ij (g_i - g_j)``, as for logits
        at two temperatures, and only on very small boxes for t = 1 then.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.bounds.goals import same_winner
    >>> [len(group) for group in same_winner(3, 0.0)]
    [5, 5, 5, 5, 5, 5]
    >>> len(same_winner(3, 0.0, np.full((3, 3), 0.5))[0])
    6
    """
    groups: list[list[Alternative]] = []
    for i in range(m):
        for j in range(m):
            if i == j:
                continue
            group: list[Alternative] = [({m + i: 1.0, m + j: -1.0}, 0.0, 2 * delta)]  # (f_i - f_j) + (g_j - g_i)
            group += [({i: 1.0, k: -1.0}, 0.0, delta) for k in range(m) if k != i]
            # g is f less the difference
            group += [({j: 1.0, k: -1.0, m + j: -1.0, m + k: 1.0}, 0.0, delta) for k in range(m) if k != j]
            if factors is not None and factors[i, j] != 1.0:
                t = float(
                    factors[i, j]
                )  # (1 - t) (f_i - f_j) + t (d_i - d_j); 1 - t is rounded, for which the limit is less
                terms = {i: 1.0 - t, j: t - 1.0, m + i: t, m + j: -t}
                group.append((terms, 0.0, (1.0 + t) * delta * (1 - 1e-12)))
            groups.append(group)
    return groups


def value(groups: Sequence[Sequence[Alternative]], f: Any, d: Any) -> Any:
    """By how much outputs violate the goal: the largest, over groups, of the least excess of an alternative; exact for
    rationals.
    """
    outputs = [*f, *d]
    return max(
        min(sum((c * outputs[k] for k, c in terms.items()), shift * 1) - most for terms, shift, most in group)
        for group in groups
    )


__all__ = ["Alternative", "make_goal", "near", "same_winner", "value"]
