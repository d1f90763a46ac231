"""Convex questions about one cell, written in cvxpy."""

from __future__ import annotations

import numpy as np

from ..._typing import FloatArray
from ...errors import ShapeError, SolverError


def chebyshev_center(A: FloatArray, b: FloatArray) -> tuple[FloatArray, float]:
    """Centre and radius of a largest ball in ``{x : A x <= b}``; radius inf if there is none largest."""
    import cvxpy as cp

    n = A.shape[1]
    if len(A) == 0:
        return np.zeros(n), np.inf
    norms = np.linalg.norm(A, axis=1)
    x, r = cp.Variable(n), cp.Variable()
    problem = cp.Problem(cp.Maximize(r), [A @ x + norms * r <= b])
    problem.solve(solver=cp.HIGHS)
    if problem.status in ("unbounded", "infeasible_or_unbounded"):
        feasible = cp.Problem(cp.Minimize(cp.sum_squares(x)), [A @ x + norms <= b])
        feasible.solve(solver=cp.CLARABEL)
        if feasible.status not in ("optimal", "optimal_inaccurate"):
            raise SolverError(f"no point of the cell was found: {feasible.status}", status=feasible.status)
        return np.asarray(x.value), np.inf
    if problem.status != "optimal":
        raise SolverError(f"the largest ball was not found: {problem.status}", status=problem.status)
    return np.asarray(x.value), float(r.value)


def nearest_point(A: FloatArray, b: FloatArray, x0: FloatArray) -> tuple[float, FloatArray]:
    """Distance of x0 to ``{x : A x <= b}`` and the nearest point."""
    import cvxpy as cp

    if x0.shape != (A.shape[1],):
        raise ShapeError(f"a point of shape {x0.shape} does not fit {A.shape[1]} inputs")
    if len(A) == 0 or bool((A @ x0 <= b).all()):
        return 0.0, x0.copy()
    x = cp.Variable(len(x0))
    problem = cp.Problem(cp.Minimize(cp.sum_squares(x - x0)), [A @ x <= b])
    problem.solve(solver=cp.CLARABEL)
    if problem.status not in ("optimal", "optimal_inaccurate"):
        raise SolverError(f"the nearest point was not found: {problem.status}", status=problem.status)
    point = np.asarray(x.value)
    return float(np.linalg.norm(point - x0)), point
