"""Nonnegative column rank: the least inner dimension of ``M = C U`` with ``U >= 0`` and ``C`` free.

``rk <= rk+ <= rk + 1``, and ``rk+ = rk`` exactly when the non-zero columns of M lie in a pointed
cone: some ``y`` has ``y . M_j > 0`` for all of them. The answer carries that ``y``, or the
non-negative relation between columns that forbids it (The Symmetries of Three-Layer ReLU Networks,
Appendix C.4; Gordan's alternative).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

import numpy as np

from .. import words
from .._typing import Array, FloatArray, IntArray, SignArray
from .._values.checked import array_of, flag, real, reals_of, shown
from .._values.read_only import closed
from ..budget import Budget, until_late, within_budget
from ..errors import InputError, RankAmbiguityError, ShapeError, SolverError
from ..kernels.fibers.cones import Ranks, nonnegative_factors
from ..network.float_or_rational import row_norms
from ..numerics import exact
from ..numerics.floats import nearest
from ..numerics.lp import solve_lp, solve_lp_exact
from ..words import one_line

Method = Literal["auto", "lp", "cvxpy", "exact"]


@closed
@dataclass(frozen=True)
class PointednessCertificate:
    """Why the cone of the columns is pointed, or why it is not.

    Attributes
    ----------
    pointed : bool
    vector : (m,) or (n,) array
        Pointed: ``y`` with ``y . M_j > 0`` for every non-zero column. Not pointed: weights
        ``lam >= 0``, not all zero, on non-zero columns, with ``M lam = 0``.
    margin : float
        Pointed: least ``y . M_j / (|y| |M_j|)``. Not pointed: how far the columns may move,
        relative to their lengths, before the relation breaks; 0 when only exactness decides.
    exact : bool
        Whether it was found in rational arithmetic.
    """

    pointed: bool
    vector: Array
    margin: float
    exact: bool

    def verify(self, matrix: Any, *, tolerance: float = 1e-9) -> bool:
        """Check the certificate against the matrix, independently of how it was found."""
        M = np.asarray(matrix)
        if self.exact:
            M = exact.as_fractions(M)
            tolerance = 0
        norms = np.abs(M).sum(axis=0)
        top = norms.max() if norms.size else 0
        live = norms > tolerance * top
        if self.pointed:
            return bool((self.vector @ M[:, live] > 0).all())
        weights = self.vector
        used = (weights > 0) & live
        residual, size = np.abs(M @ weights), np.abs(M) @ weights
        return bool((weights >= 0).all() and used.any() and (residual <= tolerance * size).all())


@closed
@dataclass(frozen=True)
class NonnegativeRank:
    """Nonnegative column rank with a factorization and a certificate.

    Attributes
    ----------
    rank : int
        ``rk+``, the inner dimension of the factors.
    linear_rank : int
    left : (m, rank) array
    right : (rank, n) array, non-negative
    certificate : PointednessCertificate
    """

    rank: int
    linear_rank: int
    left: Array
    right: Array
    certificate: PointednessCertificate

    @property
    def sentence(self) -> str:
        """The rank, and what it rests on."""
        cone = "the columns lie in a pointed cone" if self.pointed else "the columns do not lie in a pointed cone"
        return f"{words.count(self.rank, 'non-negative combination')} suffice for all columns (linear rank {self.linear_rank}): {cone}, certified."

    def __str__(self) -> str:
        return self.sentence

    def __repr__(self) -> str:
        return f"NonnegativeRank({self.rank}, linear rank {self.linear_rank}, {'pointed' if self.pointed else 'not pointed'})"

    @property
    def pointed(self) -> bool:
        """Whether the non-zero columns lie in a pointed cone."""
        return self.certificate.pointed


@closed
@dataclass(frozen=True)
class NonnegativeRanks:
    """Answers for a stack of matrices.

    Attributes
    ----------
    rank, linear_rank : (B,) int64
        -1 where undecided.
    status : (B,) int8
        1 pointed, 2 not pointed, -1 rank without a gap, -2 pointedness within the tolerance.
    margin : (B,) float64
    left : (B, m, s + 1), right : (B, s + 1, n) float64
        Factors, zero padded, ``s = min(m, n)``.
    vector : (B, max(m, n)) float64
        Dual vectors or relations (of the unit columns), zero padded.
    """

    __repr__ = one_line

    rank: IntArray
    linear_rank: IntArray
    status: SignArray
    margin: FloatArray
    left: FloatArray
    right: FloatArray
    vector: FloatArray


def nonnegative_column_ranks(
    matrices: Any,
    *,
    tolerance: float = 1e-10,
    gap: float = 1e3,
    margin: float = 1e-9,
    factors: bool = True,
    scale: Any = 0.0,
) -> NonnegativeRanks:
    """Nonnegative column ranks of a stack, compiled; undecided ones are marked, not raised.

    Parameters
    ----------
    matrices : (B, m, n) array_like of float64
    tolerance, gap : float
        A rank is decided when no pivot lies within a factor ``gap`` of ``tolerance`` (relative).
    margin : float
        Least certificate margin that decides pointedness.
    factors : bool
        Whether to compute the factors.
    scale : float or (B,) array_like
        Size of the terms that each matrix was summed from: what is small beside it is rounding.

    Returns
    -------
    NonnegativeRanks

    Notes
    -----
    A few microseconds a matrix at 6 x 8.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.fibers.nonnegative_rank import nonnegative_column_ranks
    >>> nonnegative_column_ranks(np.array([[[1.0, -1.0]], [[1.0, 2.0]]])).rank.tolist()
    [2, 1]
    """
    M, factors = np.ascontiguousarray(reals_of(matrices, "matrices")), flag(factors, "factors")
    if M.ndim != 3 or 0 in M.shape[1:]:
        raise ShapeError(f"expected a stack (B, m, n) of non-empty matrices, found shape {M.shape}")
    tolerance, gap, margin = _limits(tolerance, gap, margin)
    if not M.flags.writeable:
        M = M.copy()
    B, m, n = M.shape
    s = min(m, n)
    rank = np.empty((B, 2), dtype=np.int64)
    status, least = np.empty(B, dtype=np.int8), np.empty(B)
    left, right = np.zeros((B, m, s + 1)), np.zeros((B, s + 1, n))
    vector = np.zeros((B, max(m, n)))
    terms = reals_of(scale, "scale")
    if terms.shape not in ((), (B,)):
        raise ShapeError(f"scale is a number, or one for each of {B} matrices; found shape {terms.shape}")
    top = np.abs(M).max(axis=(1, 2))
    power = np.frexp(np.where(np.isfinite(top), top, 1.0))[1]  # squares are taken: entries of size one, exactly
    M, sizes = np.ldexp(M, -power[:, None, None]), np.ldexp(np.broadcast_to(terms, (B,)), -power)
    ranks = Ranks(rank, status, least, left, right, vector)
    until_late(
        lambda stop: nonnegative_factors(M, sizes, tolerance, gap, margin, factors, ranks, stop),
        "nonnegative column ranks",
        B * m * n * s,
    )
    undecided = status < 0
    rank[undecided, 1] = -1
    left = np.ldexp(left, power[:, None, None])
    return NonnegativeRanks(rank[:, 1].copy(), rank[:, 0].copy(), status, least, left, right, vector)


@within_budget
def nonnegative_column_rank(
    M: Any,
    *,
    method: Method = "auto",
    tolerance: float = 1e-10,
    gap: float = 1e3,
    margin: float = 1e-9,
    budget: Budget | None = None,
) -> NonnegativeRank:
    """Nonnegative column rank of one matrix, with factors and a certificate.

    Parameters
    ----------
    M : (m, n) array_like
        float64, or rationals (dtype object): then everything is exact.
    method : {'auto', 'lp', 'cvxpy', 'exact'}
        'auto': the compiled least-norm-point method, exact arithmetic on the stored numbers when a
        relation is degenerate; 'lp': HiGHS; 'cvxpy': the same program written in cvxpy; 'exact':
        rational simplex, floats taken as the rationals they store.
    tolerance, gap, margin : float
        As in `nonnegative_column_ranks`; unused when exact.

    Returns
    -------
    NonnegativeRank

    Raises
    ------
    RankAmbiguityError
        The rank or the pointedness is not decided at the tolerances.
    InputError, ShapeError
        Non-finite entries, or not a non-empty matrix.

    Examples
    --------
    >>> import polyfiber as pf
    >>> found = pf.nonnegative_column_rank([[1.0, -1.0, 0.5]])
    >>> found.rank, found.linear_rank, found.pointed
    (2, 1, False)
    """
    array = array_of(M, "M")
    if array.ndim != 2 or 0 in array.shape:
        raise ShapeError(f"expected a non-empty matrix, found shape {array.shape}")
    if not isinstance(method, str) or method not in ("auto", "lp", "cvxpy", "exact"):
        raise InputError(f"method {shown(method)} is unknown; expected 'auto', 'lp', 'cvxpy' or 'exact'")
    tolerance, gap, margin = _limits(tolerance, gap, margin)
    if array.dtype == object or method == "exact":
        return _exact_rank(exact.as_fractions(array, where="the matrix"))
    array = np.asarray(array, dtype=np.float64)
    if not np.isfinite(array).all():
        raise InputError("the matrix holds non-finite numbers; expected finite ones")
    if method in ("lp", "cvxpy"):
        return _lp_rank(array, method, tolerance, gap, margin)
    found = nonnegative_column_ranks(array[None], tolerance=tolerance, gap=gap, margin=margin)
    status = int(found.status[0])
    if status < 0:
        return _degenerate(array, status, int(found.linear_rank[0]), tolerance)
    r = int(found.rank[0])
    pointed = status == 1
    witness = found.vector[0, : array.shape[0]].copy() if pointed else _relation(array, found.vector[0])
    certificate = PointednessCertificate(pointed, witness, float(found.margin[0]), False)
    return NonnegativeRank(
        r, int(found.linear_rank[0]), found.left[0, :, :r].copy(), found.right[0, :r].copy(), certificate
    )


def _limits(tolerance: float, gap: float, margin: float) -> tuple[float, float, float]:
    return (
        real(tolerance, "tolerance", least=0, most=1),
        real(gap, "gap", least=1),
        real(margin, "margin", least=0, most=1),
    )


def _relation(M: FloatArray, weights: FloatArray) -> FloatArray:
    """Weights of the columns from weights of the unit columns, adding to 1."""
    norms = row_norms(M.T)
    result = weights[: M.shape[1]] / np.where(norms > 0, norms, 1.0)
    total = result.sum()
    scaled: FloatArray = result / total if total > 0 else result
    return scaled


def _degenerate(array: FloatArray, status: int, linear_rank: int, tolerance: float) -> NonnegativeRank:
    if status == -2 and exact.rank(array) == linear_rank:
        found = _exact_rank(exact.as_fractions(array))
        certificate = PointednessCertificate(found.pointed, found.certificate.vector, 0.0, True)
        return NonnegativeRank(
            found.rank,
            found.linear_rank,
            found.left.astype(np.float64),
            found.right.astype(np.float64),
            certificate,
        )
    what = "rank" if status == -1 else "pointedness of the cone of its columns"
    raise RankAmbiguityError(
        f"the {what} of a {array.shape[0]}x{array.shape[1]} matrix is not decided at tolerance {tolerance:g}; "
        "another tolerance may decide it, rational weights do",
        tolerance=tolerance,
        singular_values=np.linalg.svd(array, compute_uv=False),
    )


def _lp_rank(M: FloatArray, method: str, tolerance: float, gap: float, margin: float) -> NonnegativeRank:
    """The same decision by a linear program in the coordinates of the column space."""
    from ..numerics.predicates import decide_rank

    r = decide_rank(M, tolerance=tolerance, gap=gap).rank
    m, n = M.shape
    if r == 0:
        return _empty(m, n, False)
    basis = np.linalg.svd(M)[0][:, :r]
    Z = basis.T @ M
    norms = np.sqrt((Z * Z).sum(axis=0))
    live = norms > tolerance * norms.max()
    P = Z[:, live] / norms[live]
    solver = _margin_cvxpy if method == "cvxpy" else _margin_lp
    y, weights, value = solver(P)
    if value > margin:
        y = y / np.linalg.norm(y)
        least = float((y @ P).min())
        rho = 0.9 * least
        signs = np.where(y >= 0, 1.0, -1.0)
        Y = np.tile(y, (r, 1)) + rho * np.diag(signs)
        right = np.zeros((r, n))
        right[:, live] = np.maximum(Y @ Z[:, live], 0.0)
        certificate = PointednessCertificate(True, basis @ y, least, False)
        return NonnegativeRank(r, r, basis @ np.linalg.inv(Y), right, certificate)
    full = np.zeros(n)
    full[live] = weights
    Z[:, ~live] = 0.0
    nu = np.maximum(-Z.min(axis=0), 0.0)
    left = np.hstack([basis, -basis.sum(axis=1, keepdims=True)])
    certificate = PointednessCertificate(False, _relation(M, full), 0.0, False)
    return NonnegativeRank(r + 1, r, left, np.vstack([Z + nu, nu]), certificate)


def _margin_lp(P: FloatArray) -> tuple[FloatArray, FloatArray, float]:
    r, n = P.shape
    primal = solve_lp(
        np.r_[np.zeros(r), -1.0],
        A_ub=np.hstack([-P.T, np.ones((n, 1))]),
        b_ub=np.zeros(n),
        bounds=[(-1, 1)] * r + [(None, None)],
    )
    if primal.x is None:
        raise SolverError("the margin program has an optimum, but HiGHS reports none", status=primal.status)
    if -primal.value > 0:
        return primal.x[:r], np.zeros(n), -primal.value
    relation = solve_lp(
        np.zeros(n), A_eq=np.vstack([P, np.ones((1, n))]), b_eq=np.r_[np.zeros(r), 1.0], bounds=(0, None)
    )
    if relation.x is None:
        raise RankAmbiguityError("neither a dual vector nor a relation of the columns was found by HiGHS")
    return primal.x[:r], relation.x, -primal.value


def _margin_cvxpy(P: FloatArray) -> tuple[FloatArray, FloatArray, float]:
    import cvxpy as cp

    r = P.shape[0]
    y, t = cp.Variable(r), cp.Variable()
    positive = P.T @ y >= t
    problem = cp.Problem(cp.Maximize(t), [positive, y <= 1, y >= -1])
    problem.solve(solver=cp.HIGHS)
    if problem.status != cp.OPTIMAL or y.value is None or positive.dual_value is None:
        raise SolverError(f"cvxpy stopped with status {problem.status!r}", status=problem.status, solver="HIGHS")
    weights = np.maximum(np.asarray(positive.dual_value, dtype=np.float64), 0.0)
    total = weights.sum()
    return np.asarray(y.value), weights / total if total > 0 else weights, float(problem.value)


def _empty(m: int, n: int, is_exact: bool) -> NonnegativeRank:
    dtype = object if is_exact else np.float64
    vector = np.array([Fraction(0)] * m, dtype=object) if is_exact else np.zeros(m)
    certificate = PointednessCertificate(True, vector, 1.0, is_exact)
    return NonnegativeRank(0, 0, np.empty((m, 0), dtype=dtype), np.empty((0, n), dtype=dtype), certificate)


def _exact_rank(M: Array) -> NonnegativeRank:
    m, n = M.shape
    _, pivots = exact.rref(M)
    r = len(pivots)
    if r == 0:
        return _empty(m, n, True)
    basis = M[:, list(pivots)]
    Z = exact.solve(basis, M)
    assert Z is not None
    live = np.array([any(v != 0 for v in Z[:, j]) for j in range(n)])
    P = Z[:, live]
    k = P.shape[1]
    ones = np.full((1, k), Fraction(1), dtype=object)
    zeros = np.full(r, Fraction(0), dtype=object)
    relation = solve_lp_exact([0] * k, np.vstack([P, ones]), np.r_[zeros, Fraction(1)])
    if relation.x is None:
        # y+ - y- with P^T y - slack = 1
        identity = np.full((k, k), Fraction(0), dtype=object)
        np.fill_diagonal(identity, Fraction(-1))
        dual = solve_lp_exact([1] * (2 * r) + [0] * k, np.hstack([P.T, -P.T, identity]), [1] * k)
        assert dual.x is not None, "Gordan's alternative"
        y = dual.x[:r] - dual.x[r : 2 * r]
        largest = max((abs(v) for v in P.ravel()), default=Fraction(1))
        rho = Fraction(1, 2) * min(y @ P) / largest
        Y = np.tile(y, (r, 1))
        for i in range(r):
            Y[i, i] += rho if y[i] >= 0 else -rho
        row = exact.solve(basis.T, y)  # y in the ambient space: row @ basis = y
        assert row is not None
        certificate = PointednessCertificate(True, row, _cosine(row, M[:, live]), True)
        return NonnegativeRank(r, r, basis @ exact.inverse(Y), Y @ Z, certificate)
    weights = np.full(n, Fraction(0), dtype=object)
    weights[live] = relation.x
    nu = np.array([max(Fraction(0), -min(Z[:, j])) for j in range(n)], dtype=object)
    left = np.hstack([basis, -basis.sum(axis=1)[:, None]])
    certificate = PointednessCertificate(False, weights, 0.0, True)
    return NonnegativeRank(r + 1, r, left, np.vstack([Z + nu, nu]), certificate)


def _cosine(y: Array, columns: Array) -> float:
    a, b = nearest(y / np.abs(y).max()), nearest(columns / np.abs(columns).max(axis=0))  # squares leave the floats
    return float((a @ b / (np.linalg.norm(a) * np.linalg.norm(b, axis=0))).min())
