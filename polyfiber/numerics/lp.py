"""Linear programs: HiGHS through scipy, an exact simplex for rationals.

The exact solver is for certificates of small problems (tens of variables): two-phase primal
simplex in ``Fraction`` with Bland's rule, so it terminates and every answer is a proof.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from .._typing import Array, FloatArray
from ..budget import heed, time_left
from ..errors import SolverError
from .exact import as_fractions, nullspace


@dataclass(frozen=True)
class LpResult:
    """Answer of a linear program.

    Attributes
    ----------
    status : str
        'optimal', 'infeasible' or 'unbounded'.
    x : array or None
    value : float or Fraction or None
    prices : (rows of A_eq,) array or None
        What the value changes by with the right-hand side of each equation; of optima that floats found.
    """

    status: str
    x: Array | None
    value: Any
    prices: Array | None = None


def solve_lp(
    cost: Any,
    *,
    A_ub: Any = None,
    b_ub: Any = None,
    A_eq: Any = None,
    b_eq: Any = None,
    bounds: Any = (None, None),
) -> LpResult:
    """Minimise ``cost @ x`` with HiGHS; ``bounds`` as in ``scipy.optimize.linprog`` (default: free).

    Raises
    ------
    SolverError
        HiGHS gave neither an optimum nor a proof of infeasibility or unboundedness.
    BudgetExceededError
        The time of a monitor that is watching ended inside.
    """
    from scipy.optimize import linprog

    options = highs_options()
    for part in (cost, A_ub, b_ub, A_eq, b_eq):
        if part is not None and not np.isfinite(getattr(part, "data", part) if hasattr(part, "tocsr") else part).all():
            raise SolverError(
                "a linear program has numbers beyond floats; scale the network or the domain", solver="HiGHS"
            )
    result = linprog(cost, A_ub=A_ub, b_ub=b_ub, A_eq=A_eq, b_eq=b_eq, bounds=bounds, method="highs", options=options)
    if result.status == 1:
        heed("a linear program")
    if result.status == 0:
        prices = np.asarray(result.eqlin.marginals, dtype=np.float64)
        return LpResult("optimal", np.asarray(result.x, dtype=np.float64), float(result.fun), prices)
    if result.status in (2, 3):
        return LpResult("infeasible" if result.status == 2 else "unbounded", None, None)
    raise SolverError(
        f"HiGHS stopped without an answer: {result.message}",
        status=int(result.status),
        solver="HiGHS",
        size=(0 if A_ub is None else np.shape(A_ub)[0], np.shape(cost)[0]),
    )


def highs_options() -> dict[str, float]:
    """Options of HiGHS that end it when the time of a watching monitor does (it looks about every iteration)."""
    left = time_left()
    return {} if left is None else {"time_limit": max(0.01, left)}


@contextmanager
def native_silence() -> Iterator[None]:
    """Nothing that compiled code prints on standard output inside gets there.

    HiGHS has messages that no option turns off, and what a command prints is data. Acts on the whole process.
    """
    sys.stdout.flush()
    try:
        kept = os.dup(1)
    except OSError:  # closed: nothing can get there
        yield
        return
    sink = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(sink, 1)
        yield
    finally:
        with suppress(OSError, AttributeError, TypeError):  # not every system has its C library under this name
            ctypes.CDLL(None).fflush(None)
        os.dup2(kept, 1)
        os.close(kept)
        os.close(sink)


def solve_lp_exact(cost: Any, A_eq: Any, b_eq: Any) -> LpResult:
    """Minimise ``cost @ x`` over ``A_eq @ x = b_eq``, ``x >= 0`` in rational arithmetic.

    Parameters
    ----------
    cost : (n,), A_eq : (m, n), b_eq : (m,) array_like
        Floats are taken as the rationals they store.

    Returns
    -------
    LpResult
        ``x`` an object array of Fraction (a basic solution), ``value`` a Fraction.
    """
    A, b, c = as_fractions(A_eq), as_fractions(b_eq), as_fractions(cost)
    m, n = A.shape
    rows = []
    for i in range(m):
        flip = -1 if b[i] < 0 else 1
        rows.append([flip * v for v in A[i]] + [Fraction(int(i == k)) for k in range(m)] + [flip * b[i]])
    basis = list(range(n, n + m))
    phase_one = [Fraction(0)] * n + [Fraction(1)] * m
    if _simplex(rows, basis, phase_one, n + m) != "optimal":
        raise AssertionError("phase one is bounded below by zero")
    if sum((rows[i][-1] for i in range(m) if basis[i] >= n), Fraction(0)) != 0:
        return LpResult("infeasible", None, None)
    for i in range(m):  # drive artificial variables out where a pivot exists
        if basis[i] >= n:
            column = next((j for j in range(n) if rows[i][j]), None)
            if column is not None:
                _pivot(rows, basis, i, column)
    status = _simplex(rows, basis, list(c) + [Fraction(0)] * m, n)
    if status != "optimal":
        return LpResult(status, None, None)
    x = np.full(n, Fraction(0), dtype=object)
    for i, j in enumerate(basis):
        if j < n:
            x[j] = rows[i][-1]
    return LpResult("optimal", x, sum((c[j] * x[j] for j in range(n)), Fraction(0)))


def multipliers_without_slope(rows: list[list[Fraction]]) -> tuple[Fraction, ...] | None:
    """Multipliers that show that ``row . (x, 1) > 0`` has no common solution, or None, which shows nothing.

    Parameters
    ----------
    rows : list of lists of Fraction
        Slopes, and the constant last.

    Returns
    -------
    tuple of Fraction or None
        Not negative, their sum 1; the combination of the rows has no slope, and its constant is not positive.

    Notes
    -----
    HiGHS names the rows, and their multipliers are solved for in rationals; the simplex in rationals is asked only where that fails and
    the floats are within 1e-6 of a decision: a set so thin may count as one with interior.

    Examples
    --------
    >>> one = Fraction(1)
    >>> print(*multipliers_without_slope([[one, 0 * one], [-2 * one, 0 * one], [3 * one, one]]))      # x > 0, -2 x > 0
    2/3 1/3 0
    >>> multipliers_without_slope([[one, 0 * one], [-one, one]]) is None
    True
    """
    if not rows:
        return None
    scale = [max(map(abs, row)) or Fraction(1) for row in rows]
    unit = [[v / top for v in row] for row, top in zip(rows, scale)]
    table = np.array([[float(v) for v in row] for row in unit])
    close = True
    try:
        found = solve_lp(
            table[:, -1],
            A_eq=np.vstack([table[:, :-1].T, np.ones(len(rows))]),
            b_eq=np.append(np.zeros(table.shape[1] - 1), 1.0),
            bounds=(0, None),
        )
    except SolverError:
        found = None
    if found is not None:
        close = found.x is None or found.value < 1e-6
        if found.x is not None and close:
            shown = _rational_multipliers(unit, np.flatnonzero(found.x > 1e-9).tolist())
            if shown is not None:
                return _normed(shown, scale)
    if not close:
        return None
    slopes = [list(column) for column in zip(*(row[:-1] for row in unit))]
    ones = [Fraction(1)] * len(unit)
    exact = solve_lp_exact([row[-1] for row in unit], [*slopes, ones], [*[Fraction(0)] * len(slopes), Fraction(1)])
    if exact.status != "optimal" or exact.value > 0 or exact.x is None:
        return None
    return _normed(list(exact.x), scale)


def _normed(multipliers: list[Fraction], scale: list[Fraction]) -> tuple[Fraction, ...]:
    """For the rows as they were, with sum 1."""
    own = [m / top for m, top in zip(multipliers, scale)]
    total = sum(own, Fraction(0))
    return tuple(m / total for m in own)


def _rational_multipliers(unit: list[list[Fraction]], used: list[int]) -> list[Fraction] | None:
    """Multipliers of these rows with no slope, checked; None where they are not unique or do not do."""
    columns = [[unit[i][k] for i in used] for k in range(len(unit[0]) - 1)]
    null = nullspace(np.array([*columns], dtype=object).reshape(-1, len(used)))
    if null.shape[1] != 1:
        return None
    vector = null[:, 0] if sum(null[:, 0]) > 0 else -null[:, 0]
    if any(v < 0 for v in vector) or sum(v * unit[i][-1] for i, v in zip(used, vector)) > 0:
        return None
    found = [Fraction(0)] * len(unit)
    for i, v in zip(used, vector):
        found[i] = Fraction(v)
    return found


def _pivot(rows: list[list[Fraction]], basis: list[int], row: int, column: int) -> None:
    factor = rows[row][column]
    rows[row] = [v / factor for v in rows[row]]
    pivot = rows[row]
    for i in range(len(rows)):
        if i != row and rows[i][column]:
            heed("a linear program in rationals")
            scale = rows[i][column]
            rows[i] = [v - scale * p for v, p in zip(rows[i], pivot)]
    basis[row] = column


def _simplex(rows: list[list[Fraction]], basis: list[int], cost: list[Fraction], columns: int) -> str:
    while True:
        entering = None
        for j in range(columns):  # Bland: the first improving column
            if j in basis:
                continue
            heed("a linear program in rationals")
            reduced = cost[j] - sum((cost[basis[i]] * rows[i][j] for i in range(len(rows))), Fraction(0))
            if reduced < 0:
                entering = j
                break
        if entering is None:
            return "optimal"
        best: tuple[Fraction, int, int] | None = None
        for i, row in enumerate(rows):
            if row[entering] > 0:
                candidate = (row[-1] / row[entering], basis[i], i)
                if best is None or candidate < best:
                    best = candidate
        if best is None:
            return "unbounded"
        _pivot(rows, basis, best[2], entering)


def interior_point(A: FloatArray, b: FloatArray) -> tuple[FloatArray, float] | None:
    """Centre and radius of a largest ball in ``{x : A x <= b}`` (radius capped at 1), or None if empty.

    A radius of zero means that the set is flat.
    """
    norms = np.sqrt((A * A).sum(axis=1, keepdims=True))
    n = A.shape[1]
    result = solve_lp(
        np.r_[np.zeros(n), -1.0],
        A_ub=np.hstack([A, norms]),
        b_ub=b,
        bounds=[(None, None)] * n + [(0, 1)],
    )
    if result.x is None:
        return None
    return result.x[:n], float(result.x[n])
