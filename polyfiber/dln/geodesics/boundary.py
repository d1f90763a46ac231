"""Geodesics between two matrices of one rank: closed forms where they hold, else a search by shooting and continuation.

A geodesic found here solves the boundary value problem; it is a *local* minimum of length at best, and the test for
conjugate points says whether it is one. Evidence for more is attached: the shortest chord between the fibres, a lower
bound that is proven, the homotopy classes tried, and whether a closed form is known to be shortest.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt

from ..._typing import FloatArray
from ..._values.checked import flag, whole
from ...budget import Budget, within_budget
from ...errors import BudgetExceededError, InputError, ShapeError
from ...numerics.rounding import UNIT
from .._inputs import RANK_TOLERANCE, as_depth, as_matrix, as_positive
from ..space.metrics import Metric, metric
from .cone import stretch, stretched
from .explicit import ExplicitPath, explicit_path, residual, straight
from .rank_one import rank_one_path
from .reduction import reduce
from .result import Embedded, Geodesic, closed_geodesic
from .search import Search

DEEPEST = 1000
"""Greatest finite depth at which is searched: curves between networks take time and memory in proportion."""


@within_budget
def geodesic(
    W0: npt.ArrayLike,
    W1: npt.ArrayLike,
    depth: float,
    *,
    tolerance: float = 1e-9,
    explicit: bool = True,
    starts: int = 2,
    guess: npt.ArrayLike | None = None,
    check: bool = True,
    budget: Budget | None = None,
) -> Geodesic:
    """Geodesic of the deep linear network of depth N between two matrices of one rank.

    Parameters
    ----------
    W0, W1 : array_like (m, n)
        Of one rank r >= 1, where singular values count from 1e-12 of the largest on; square ones of full rank with
        determinants of equal sign (GL_d has two components).
    depth : int >= 1 or math.inf
        At most 1000, or infinite, where no closed form holds.
        At depth 1 the space is that of all matrices with the Euclidean metric. At infinite depth the column and the row
        space cannot move: those of both matrices must be equal.
    tolerance : float
        Size of the miss at W1, relative to the length, at which the iteration stops.
    explicit : bool
        Use closed forms where they hold.
    starts : int
        How many different starting curves to solve from; the shortest solution is returned.
    guess : array_like (m, n), optional
        Initial momentum to start from (for instance from a neighbouring problem); where it leads to a solution, no
        other curve is tried.
    check : bool
        Test for conjugate points.
    budget : Budget, optional
        Seconds for the whole search; looked at within each integration.

    Returns
    -------
    Geodesic

    Raises
    ------
    InputError
        Matrices of different ranks or in different components, entries that are not finite, depth below one. Singular
        values between rounding (8 max(m, n) units) and 1e-12 of the largest, of which it is not clear whether they
        count; matrices that differ in nothing else than values below rounding.
    SolverError
        If no starting curve leads to a solution within the tolerance.
    BudgetExceededError
        With the best geodesic so far, or None, as ``partial``.

    Notes
    -----
    Displacements from W0 are integrated, and the difference of the matrices is what they are compared with, so that the
    distance of matrices that differ in their last digits is right to the last digits of the difference.

    Near lower rank the boundary value problem may be beyond floating-point numbers. Where the singular values of both
    ends have a gap below the k-th, the geodesic of rank k, carrying the small ones along, is both a starting curve and
    a candidate: if nothing shorter is found, the result is that curve (``solved`` False, ``minimum`` undecided). So is
    a curve of turning frames that is shorter than every geodesic found.

    Ends of different radii (by a factor 1.5) are brought to one radius: the space is a cone (`geodesics.cone`).

    Matrices of rank r are first cut to min(m, 2r) x min(n, 2r). Starting curves, the shortest first: images of chords
    between balanced networks, singular vectors that turn at constant speed with the cheapest signs, the polar factor
    that turns. From each: damped Newton shooting; if it fails, continuation of the end point along the curve. Then one
    curve of each homotopy class that has no geodesic yet (of infinitely many, two further ones): ``classes_tried``.
    Cost: about 0.3 s at d = 8. Chen (arXiv 2510.07324), Theorem 2.1, extended to every rank (``docs/dln.md``); the
    condition of its Theorem 2.3 is not sufficient for N >= 3 and is not used.

    Examples
    --------
    >>> import numpy as np
    >>> import polyfiber as pf
    >>> g = pf.dln.geodesic(np.diag([4.0, 1.0]), np.diag([1.0, 1.0]), 2)
    >>> round(g.length, 12) == round(2**0.5, 12), g.shortest
    (True, True)
    >>> bool(np.allclose(g(0.5), np.diag([2.25, 1.0])))
    True
    >>> A = np.array([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0]])
    >>> g = pf.dln.geodesic(A, A[:, [0, 2, 1]], 3)          # a 2 x 3 matrix of rank 2 turns into another
    >>> g.rank, g.method, g.residual < 1e-9, g.minimum.verdict.value
    (2, 'shooting', True, 'yes')
    """
    n = as_depth(depth, infinite=True)
    goal, starts = as_positive(tolerance, name="tolerance"), whole(starts, "starts", least=1)
    explicit, check = flag(explicit, "explicit"), flag(check, "check")
    if goal > 1e-2:
        raise InputError(f"tolerance is {goal:g}: what misses its end by so much is no answer; expected 0.01 at most")
    a = as_matrix(W0, name="W0")
    b = as_matrix(W1, name="W1")
    if a.ndim != 2 or a.shape != b.shape:
        raise ShapeError(
            f"expected two matrices (m, n) of one size, found {a.shape} and {b.shape}", shapes=(a.shape, b.shape)
        )
    first = None
    if guess is not None:
        first = as_matrix(guess, name="guess", vector=True)
        if first.shape != a.shape:
            raise ShapeError(f"guess has shape {first.shape}; expected {a.shape}", shape=first.shape)
    g0, g1 = metric(a, n), metric(b, n)
    if n == 1:
        path = explicit_path(a, b, 1)
        assert path is not None
        return closed_geodesic(a, b, n, path, 0.0, int(g0.rank), path.length, True)
    rank = common_rank(g0, g1)
    if np.array_equal(a, b):
        still = ExplicitPath(partial(straight, a, np.zeros_like(a)), np.zeros_like(a), 0.0, "constant", True)
        return closed_geodesic(a, b, n, still, 0.0, rank, math.nan if math.isinf(n) else 0.0, not math.isinf(n))
    if math.isinf(n) and rank < max(a.shape):
        return _infinitely_deep(a, b, rank, tolerance=goal, starts=starts, check=check)
    closed = _closed_form(a, b, n, rank, goal) if explicit else None
    if closed is not None and closed[0].length == 0.0:
        raise InputError(
            "the matrices differ in nothing but singular values that count as zero: below rounding of the largest entries "
            f"(8 max(m, n) units). As matrices of rank {rank} they are one; what lies between them is not decided"
        )
    if closed is not None and closed[0].shortest:  # its lift is then the shortest chord
        chord = closed[0].length if not math.isinf(n) else math.nan
        return closed_geodesic(a, b, n, *closed, rank, chord, not math.isinf(n))
    k = stretch(a, b, n) if first is None else None
    if k is not None and (near := k**-n * b).any():
        # entries that leave the range are refused by the inner call, as they would be here
        try:
            core = geodesic(a, near, n, tolerance=goal, explicit=explicit, starts=starts, check=check)
        except BudgetExceededError as error:
            error.partial = None if error.partial is None else stretched(error.partial, b, k)
            raise
        return stretched(core, b, k)
    if not math.isinf(n) and n > DEEPEST:
        raise InputError(
            f"depth is {n}, and geodesics without a closed form are searched up to depth {DEEPEST}; use math.inf: its "
            "metric is N times that of depth N, up to 1/N"
        )
    search = Search(a, b, n, rank, goal, starts=starts, check=check)
    try:
        found = search.run(first, closed=closed is not None)
    except BudgetExceededError as error:
        if closed is not None and error.partial is None:
            error.partial = closed_geodesic(a, b, n, *closed, rank, math.nan, False)
        raise
    if closed is not None:
        direct = closed_geodesic(a, b, n, *closed, rank, search.chord, n == 2)
        if found is None or direct.length <= found.length:
            return search.support(direct)
    if found is None:
        raise search.failure()
    return found


def _closed_form(
    a: FloatArray, b: FloatArray, depth: float, rank: int, goal: float
) -> tuple[ExplicitPath, float] | None:
    """A closed form that joins the matrices within the tolerance, and its residual."""
    if rank == 1 and not math.isinf(depth):
        path = rank_one_path(a, b, depth)
        return None if path is None else (path, 0.0)
    if rank < max(a.shape):
        return None
    path = explicit_path(a, b, depth)
    if path is None:
        return None
    miss = residual(path, a, b, depth)
    return (path, miss) if miss <= goal else None


def _infinitely_deep(a: FloatArray, b: FloatArray, rank: int, **options: object) -> Geodesic:
    """At infinite depth spaces cannot turn: matrices of rank r with equal spaces are r x r matrices."""
    room = reduce(a, b - a, rank, tight=True)
    inner = [room.left.T @ w @ room.right for w in (a, b)]
    off = float(np.linalg.norm(b - room.left @ inner[1] @ room.right.T)) / float(np.linalg.norm(b))
    if off > 1e-9:
        raise InputError(
            f"at infinite depth the column and row spaces of a matrix of rank {rank} cannot move, and those of W0 and W1 "
            f"differ (by {off:.3g}): their distance is infinite"
        )
    core = geodesic(inner[0], inner[1], math.inf, **options)  # type: ignore[arg-type]

    def out(M: FloatArray) -> FloatArray:
        return np.asarray(room.left @ M @ room.right.T)

    return replace(
        core, start=a, end=b, velocity=out(core.velocity), momentum=out(core.momentum), rank=rank,
        _path=Embedded(core, room.left, room.right),
    )  # fmt: skip


def _require_clear_rank(name: str, g: Metric) -> None:
    """InputError for singular values below the cut-off of the metric that are no rounding of the entries."""
    values = np.linalg.svd(g.W, compute_uv=False)
    noise = 16.0 * max(g.W.shape) * UNIT
    parts = values / values[0] if values[0] > 0 else values
    unclear = parts[(parts > noise) & (parts <= RANK_TOLERANCE)]
    if unclear.size:
        raise InputError(
            f"the {name} matrix has a singular value of {unclear[0]:.3g} times the largest: that is neither zero up to "
            f"rounding (below {noise:.2g}) nor above the cut-off {RANK_TOLERANCE:.0e}, where its rank is clear. Set it to "
            "zero, or make it larger",
            value=float(unclear[0]),
        )


def common_rank(g0: Metric, g1: Metric) -> int:
    """The rank of both matrices, or InputError: different ranks, the zero matrix, different components of GL_d."""
    for name, g in (("first", g0), ("second", g1)):
        _require_clear_rank(name, g)
    r0, r1 = int(g0.rank), int(g1.rank)
    if r0 != r1:
        raise InputError(
            f"the matrices have ranks {r0} and {r1}, not one rank: they lie on different strata, and no geodesic of a "
            "stratum joins them (at depth 1, where ranks play no role, one does)",
            ranks=(r0, r1),
        )
    if r0 == 0 or g0.W.shape[0] != g0.W.shape[1] or r0 < g0.W.shape[0]:
        return r0
    signs = np.linalg.slogdet(g0.W)[0], np.linalg.slogdet(g1.W)[0]
    if signs[0] != signs[1]:
        raise InputError(
            f"the determinants have different signs ({signs[0]:+.0f}, {signs[1]:+.0f}): the matrices lie in different "
            "components of GL_d and no geodesic joins them; reflect one of them (multiply by diag(-1, 1, ..., 1))",
            signs=signs,
        )
    return r0
