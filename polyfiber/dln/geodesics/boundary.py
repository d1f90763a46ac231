"""Geodesics between two matrices of one rank: closed forms where they hold, else shooting and continuation.

A geodesic found here solves the boundary value problem; it is a *local* minimum of length at best, and the test for
conjugate points says whether it is one. Evidence for more is attached: the shortest chord between the fibres, a lower
bound that is proven, the other solutions found, and whether a closed form is known to be shortest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..._lazy import above
from ..._typing import FloatArray
from ...budget import Budget, Monitor
from ...errors import InputError, NumericalError, ShapeError, SolverError
from ...verdict import Verdict
from ...words import one_line
from .._inputs import as_depth, as_finite, as_matrix, as_positive, as_stack
from ..space.balanced import imbalance
from ..space.metrics import Metric, metric
from ..space.submersion import lift, product
from .conjugate import ConjugateTest, conjugate_test
from .explicit import ExplicitPath, explicit_path, residual
from .guesses import Guess, aligned_chords, guesses
from .hamilton import BoundaryError, carry, integrate
from .rank_one import rank_one_path
from .reduction import end_of, reduce
from .shooting import Shooter

_SUSPICIOUS = 1.25
"""A geodesic this much longer than the shortest chord is probably not the shortest; among solved pairs most are within 1.1."""


@dataclass(frozen=True)
class Geodesic:
    """A geodesic of the matrices of one rank from ``start`` to ``end`` in unit time, with the evidence for it.

    Attributes
    ----------
    start, end : float64 (m, n)
    depth : int or inf
    velocity : float64 (m, n)
        At the start: the logarithm of ``end`` at ``start``.
    momentum : float64 (m, n)
        ``A^{-1}`` of the velocity; the Euclidean gradient of half the squared distance is minus this.
    length : float
    method : str
        Name of the closed form, "shooting" or "continuation".
    residual : float
        Metric size of the miss at the end, divided by the length; for a closed form too.
    chord : float
        Length of the shortest straight line found between the fibres; a lower bound of the distance where it is the
        shortest of all (``chord_is_bound``). NaN for infinite depth, where there is no space upstairs.
    chord_is_bound : bool
    shortest : bool
        True only where a theorem says so (a closed form marked shortest, or length equal to a proven chord bound).
    rank : int
        Of all matrices on the way. Distances are those of the stratum of this rank; see ``docs/dln.md`` for when its
        closure can be shorter.
    lower_bound : float
        Proven, up to rounding: no path is shorter, ``sqrt(N) |sigma_0^{1/N} - sigma_1^{1/N}|`` or a proven chord.
    minimum : ConjugateTest or None
        Whether it is a local minimum of length; None where not asked for or the path is constant.
    tried : tuple of (str, float)
        Kind of each starting curve that was solved and the length found from it, NaN where none was.
    stats : dict
        ``integrations``, ``jacobians``, ``continuation_steps``, ``guesses``.
    """

    start: FloatArray
    end: FloatArray
    depth: float
    velocity: FloatArray
    momentum: FloatArray
    length: float
    method: str
    residual: float
    chord: float
    chord_is_bound: bool
    shortest: bool
    rank: int = 0
    lower_bound: float = 0.0
    minimum: ConjugateTest | None = None
    tried: tuple[tuple[str, float], ...] = ()
    stats: dict[str, int] = field(default_factory=dict)
    _path: Callable[[float], FloatArray] | None = field(default=None, repr=False, compare=False)

    def plot(self, ax: Any = None, **options: Any) -> Any:
        """Draw the singular values on the way; options as in `polyfiber.plots.plot_geodesic`."""
        return above("plots.fibers:plot_geodesic")(self, ax=ax, **options)

    def __call__(self, t: npt.ArrayLike) -> FloatArray:
        """Points at times in [0, 1]: (m, n) for a number, (T, m, n) for an array.

        Closed forms are evaluated, others integrated (one integration for all times).
        """
        times = as_finite(t, name="t")
        if times.ndim > 1 or (times < 0).any() or (times > 1).any():
            raise InputError("t must be a number or a list of numbers in [0, 1]; use exponential beyond the end point")
        if self._path is not None:
            points = [self._path(float(s)) for s in np.atleast_1d(times)]
            return points[0] if times.ndim == 0 else np.stack(points) if points else np.zeros((0, *self.start.shape))
        order = np.unique(np.atleast_1d(times))
        path = integrate(self.start, self.momentum, self.depth, order, rank=self.rank, tolerance=1e-12)
        result = path.X[np.searchsorted(order, np.atleast_1d(times))]
        return np.asarray(result[0] if times.ndim == 0 else result)

    def lift(self, t: npt.ArrayLike, *, start: npt.ArrayLike | None = None) -> FloatArray:
        """Horizontal lift to balanced networks at increasing times, (T, N, d, d), from a network over the start."""
        from .hamilton import lift_path

        if math.isinf(self.depth):
            raise InputError("at infinite depth there is no space of networks to lift to")
        first = lift(self.start, int(self.depth)) if start is None else start
        return lift_path(self.start, self.momentum, t, start=first)

    @property
    def sentence(self) -> str:
        """How long, whether shortest, and what that rests on."""
        size = "x".join(map(str, self.start.shape))
        text = f"The end-to-end matrices ({size}, rank {self.rank}) are {self.length:.9g} apart along this geodesic of depth {self.depth}"
        if self.shortest:
            return f"{text}; it is shortest: no path of this rank is shorter."
        bound = f"no path is shorter than {self.lower_bound:.6g}"
        if self.minimum is None:
            return f"{text}; {bound}. Whether it is shortest is not decided: more starts, or check=True, say more."
        local = {
            "yes": "it is a local minimum of length", "no": "it is no local minimum of length",
            "undecided": "whether it is a local minimum of length is not decided",
        }[self.minimum.verdict.value]  # fmt: skip
        return (
            f"{text}; {local}, and {bound}. Whether it is shortest is not decided: more starts may find a shorter one."
        )

    def __str__(self) -> str:
        return self.sentence

    def __repr__(self) -> str:
        state = "" if self.minimum is None else f", local minimum {self.minimum.verdict.value}"
        shape = "x".join(map(str, self.start.shape))
        return (
            f"Geodesic({shape}, rank {self.rank}, depth {self.depth}: length {self.length:.9g} by {self.method}, "
            f"residual {self.residual:.1g}, chord {self.chord:.9g}{state})"
        )


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
        Of one rank r >= 1; square ones of full rank with determinants of equal sign (GL_d has two components).
    depth : int >= 1 or math.inf
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
        Seconds for the whole search.

    Returns
    -------
    Geodesic

    Raises
    ------
    InputError
        Matrices of different ranks or in different components, entries that are not finite, depth below one.
    SolverError
        If no starting curve leads to a solution within the tolerance.
    BudgetExceededError
        With the best geodesic so far, or None, as ``partial``.

    Notes
    -----
    Displacements from W0 are integrated, and the difference of the matrices is what they are compared with, so that the
    distance of matrices that differ in their last digits is right to the last digits of the difference.

    Matrices of rank r are first cut to min(m, 2r) x min(n, 2r). Starting curves, the shortest first: images of chords
    between balanced networks, singular vectors that turn at constant speed with the cheapest signs, the polar factor
    that turns. From each: damped Newton shooting; if it fails, continuation of the end point along the curve. Cost:
    about 0.1 s at d = 8. Chen (arXiv 2510.07324), Theorem 2.1, extended to every rank (``docs/dln.md``); the condition
    of its Theorem 2.3 is not sufficient for N >= 3 and is not used.

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
    goal = as_positive(tolerance, name="tolerance")
    a = as_matrix(W0, name="W0")
    b = as_matrix(W1, name="W1")
    if a.ndim != 2 or a.shape != b.shape:
        raise ShapeError(
            f"expected two matrices (m, n) of one size, found {a.shape} and {b.shape}", shapes=(a.shape, b.shape)
        )
    if isinstance(starts, bool) or int(starts) != starts or starts < 1:
        raise InputError(f"starts is {starts!r}; expected an integer >= 1")
    first = None
    if guess is not None:
        first = as_matrix(guess, name="guess", vector=True)
        if first.shape != a.shape:
            raise ShapeError(f"guess has shape {first.shape}; expected {a.shape}", shape=first.shape)
    g0, g1 = metric(a, n), metric(b, n)
    if n == 1:
        path = explicit_path(a, b, 1)
        assert path is not None
        return _closed(a, b, n, path, 0.0, int(g0.rank), path.length, True)
    rank = common_rank(g0, g1)
    if np.array_equal(a, b):
        still = ExplicitPath(lambda t: a.copy(), np.zeros_like(a), 0.0, "constant", True)
        return _closed(a, b, n, still, 0.0, rank, math.nan if math.isinf(n) else 0.0, not math.isinf(n))
    if math.isinf(n) and rank < max(a.shape):
        return _infinitely_deep(a, b, rank, tolerance=goal, starts=starts, check=check, budget=budget)
    monitor = Monitor(budget)
    closed = _closed_form(a, b, n, rank, goal) if explicit else None
    if closed is not None and closed[0].shortest:  # its lift is then the shortest chord
        chord = closed[0].length if not math.isinf(n) else math.nan
        return _closed(a, b, n, *closed, rank, chord, not math.isinf(n))
    room = reduce(a, b - a, rank)
    shape = room.left.shape[1], room.right.shape[1]
    first_end, last_end = (end_of(room.inside(w), rank, n, shape) for w in (a, b))
    difference = room.inside(b - a)
    solver = Shooter(first_end, last_end, difference, n, goal, shape, monitor)
    best: tuple[FloatArray, float, str] | None = None
    tried: list[tuple[str, float]] = []
    chord = math.nan
    if first is not None:
        z = first_end.covector(room.covector_inside(first, n))
        found = solver.shoot(z, last_end, difference)
        if found is not None:
            best = (*found, "shooting")
            tried.append(("guess", room.length_outside(float(np.linalg.norm(found[0])), n)))

    def minimal(z: FloatArray) -> bool:
        return not check or conjugate_test(first_end, z, n, shape).verdict is not Verdict.NO

    if best is None:
        curves = guesses(first_end, last_end, difference, n)
        chord = _chord_of(curves, solver, room.length_outside)

        def scaled(length: float) -> float:
            return room.length_outside(length, n)

        best = _solve_from(solver, curves, starts, tried, scaled, minimal)
        suspicious = best is None or scaled(float(np.linalg.norm(best[0]))) > _SUSPICIOUS * chord
        if suspicious and closed is None:  # what cannot be seen from one end may be seen from the other
            back = Shooter(last_end, first_end, -difference, n, goal, shape, monitor)
            curves = guesses(last_end, first_end, -difference, n)
            found_back = _solve_from(back, curves, 1, tried, scaled, lambda z: True)
            turned = None if found_back is None else _turned_round(solver, back, found_back[0])
            if turned is not None and (best is None or np.linalg.norm(turned[0]) < np.linalg.norm(best[0])):
                best = turned
    direct = None if closed is None else _closed(a, b, n, *closed, rank, chord, n == 2)
    if best is None or (direct is not None and direct.length <= room.length_outside(float(np.linalg.norm(best[0])), n)):
        if direct is None:
            raise SolverError(
                f"no geodesic found between the matrices at depth {n}: shooting and continuation from "
                f"{len(tried)} curves failed ({solver.stats['integrations']} integrations); least singular values "
                f"{g0.frame.values[rank - 1]:.3g} and {g1.frame.values[rank - 1]:.3g}. Try an intermediate matrix",
                status="failed",
                stats=dict(solver.stats),
            )
        test = conjugate_test(first_end, first_end.covector(room.covector_inside(direct.momentum, n)), n, shape)
        return replace(direct, minimum=test if check else None, tried=tuple(tried), stats=dict(solver.stats))
    z, miss, method = best
    momentum = room.covector_outside(first_end.momentum(z), n)
    length = room.length_outside(float(np.linalg.norm(z)), n)
    slack = 1e-14 * room.length_outside(first_end.reach(n) + last_end.reach(n), n) if not math.isinf(n) else 0.0
    return Geodesic(
        a, b, n, room.outside(first_end.tangent(z)), momentum, length, method, miss, chord, n == 2,
        bool(n == 2 and slack < 1e-9 * length and length <= chord * (1.0 + 1e-9)), rank,
        lower_bound(g0, g1, chord if n == 2 else 0.0),
        conjugate_test(first_end, z, n, shape) if check else None, tuple(tried), dict(solver.stats),
    )  # fmt: skip


def _turned_round(solver: Shooter, back: Shooter, z: FloatArray) -> tuple[FloatArray, float, str] | None:
    """The geodesic of the reverse problem with initial coordinates z, run backwards and polished."""
    P = back.start.momentum(z)[None]
    once = np.array([1.0])
    try:
        flown = carry(back.start.W, np.zeros_like(P), P, solver.depth, once, rank=back.start.rank, floor=1e-9)
    except BoundaryError:
        return None
    solver.work[0] = 0.0
    found = solver.shoot(solver.start.covector(-flown.P[0, 0]), solver.finish, solver.difference)
    return None if found is None else (*found, "continuation")


def _solve_from(
    solver: Shooter,
    curves: list[Guess],
    starts: int,
    tried: list[tuple[str, float]],
    scaled: Callable[[float], float],
    minimal: Callable[[FloatArray], bool],
) -> tuple[FloatArray, float, str] | None:
    """The shortest solution from the first ``starts`` curves that lead to one, and from more if it is not minimal."""
    best: tuple[FloatArray, float, str] | None = None

    def solutions() -> Iterator[tuple[str, FloatArray, float, str]]:
        # ends near lower rank hide what lies on the other side: come from above first
        for name, z, miss in solver.from_above():
            yield f"{name} from above", z, miss, "continuation"
        for curve in curves:
            if best is not None and len(tried) >= starts + 3:
                return
            found = solver.solve(curve, patient=best is None)
            if found is None:
                tried.append((curve.name, math.nan))
            else:
                yield curve.name, *found

    for solved, (name, z, miss, method) in enumerate(solutions(), 1):
        tried.append((name, scaled(float(np.linalg.norm(z)))))
        if best is None or np.linalg.norm(z) < np.linalg.norm(best[0]) * (1.0 - 1e-9):
            best = (z, miss, method)
        if solved >= starts and minimal(best[0]):
            break
    return best


def _chord_of(curves: list[Guess], solver: Shooter, scaled: Callable[[float, float], float]) -> float:
    """Length of the shortest chord among the curves; NaN at infinite depth."""
    if math.isinf(solver.depth):
        return math.nan
    lengths = [c.length for c in curves if c.name == "chord"]
    if not lengths:  # very close ends: one alignment
        lengths = [c.length for c in aligned_chords(solver.start, solver.finish, solver.depth, starts=1)]
    return scaled(min(lengths), solver.depth)


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


def _closed(
    a: FloatArray, b: FloatArray, depth: float, path: ExplicitPath, miss: float, rank: int, chord: float, bound: bool
) -> Geodesic:
    g0 = metric(a, depth)
    momentum = path.velocity if depth == 1 else g0.solve(path.velocity, tolerance=1e-6)
    proven = path.shortest or bool(bound and path.length <= chord * (1.0 + 1e-12))
    floor = path.length if proven else lower_bound(g0, metric(b, depth), chord if bound else 0.0)
    return Geodesic(
        a, b, depth, path.velocity, momentum, path.length, path.name, miss, chord, bound, proven, rank, floor,
        _path=_ClosedForm(a, b, depth, rank, path.at),
    )  # fmt: skip


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
        _path=_Embedded(core, room.left, room.right),
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _ClosedForm:
    """Points of a closed form; another process works the form out again from the ends, as functions do not travel."""

    start: FloatArray
    end: FloatArray
    depth: float
    rank: int
    at: Callable[[float], FloatArray]

    def __call__(self, t: float) -> FloatArray:
        return self.at(t)

    def __reduce__(self) -> tuple[Any, ...]:
        return _closed_form_of, (self.start, self.end, self.depth, self.rank)


def _closed_form_of(start: FloatArray, end: FloatArray, depth: float, rank: int) -> _ClosedForm:
    if np.array_equal(start, end):
        return _ClosedForm(start, end, depth, rank, lambda t: start.copy())
    path = rank_one_path(start, end, depth) if rank == 1 and 1 < depth < math.inf else explicit_path(start, end, depth)
    if path is None:
        raise NumericalError(f"the closed form between matrices of rank {rank} was not found again; please report this")
    return _ClosedForm(start, end, depth, rank, path.at)


@dataclass(frozen=True, eq=False)
class _Embedded:
    """Points of a geodesic of r x r matrices, as m x n matrices of rank r."""

    core: Geodesic
    left: FloatArray
    right: FloatArray

    def __call__(self, t: float) -> FloatArray:
        return np.asarray(self.left @ self.core(t) @ self.right.T)


def lower_bound(g0: Metric, g1: Metric, chord: float) -> float:
    """``sqrt(N) |sigma_0^{1/N} - sigma_1^{1/N}|``, von Neumann's trace inequality on every layer of a chord, or ``chord``.

    For infinite depth the limit ``|log sigma_0 - log sigma_1|``. Lowered by what rounding can do.
    """
    s0, s1 = g0.frame.values, g1.frame.values
    r = int(g0.rank)
    if math.isinf(g0.depth):
        gaps = np.log(s0[:r] / s1[:r])
        slack = 1e-14 * r
    else:
        l0, l1 = s0 ** (1.0 / g0.depth), s1 ** (1.0 / g0.depth)
        gaps = math.sqrt(g0.depth) * (l0 - l1)
        # a singular value is known to 1e-15 of the largest
        below = 1e-15 * max(s0[0], s1[0]) / min(s0[r - 1], s1[r - 1])
        slack = 1e-14 * float(np.linalg.norm(l0) + np.linalg.norm(l1)) * math.sqrt(g0.depth) + below * float(l0[r - 1])
    return max(0.0, max(float(np.linalg.norm(gaps)), chord) - slack)


def distance(
    W0: npt.ArrayLike, W1: npt.ArrayLike, depth: float, *, tolerance: float = 1e-9, starts: int = 2
) -> float | FloatArray:
    """Length of the geodesic found between matrices of one rank; see :func:`geodesic` for its evidence.

    An upper bound of the distance in their stratum by construction. For depth 2 on positive matrices it is ``sqrt(2)``
    times the Bures-Wasserstein distance.

    Parameters
    ----------
    W0, W1 : array_like (..., m, n)
        Batches broadcast; each pair is a boundary value problem of its own.
    depth, tolerance, starts
        As in :func:`geodesic`.

    Returns
    -------
    float or float64 (...)

    Raises
    ------
    InputError, SolverError
        As :func:`geodesic`.

    Examples
    --------
    >>> import polyfiber as pf
    >>> round(pf.dln.distance([[1.0]], [[8.0]], 3), 12) == round(3**0.5, 12)     # sqrt(3) (8^(1/3) - 1)
    True
    """
    a = as_matrix(W0, name="W0")
    b = as_matrix(W1, name="W1")
    if a.ndim == b.ndim == 2:
        return geodesic(a, b, depth, tolerance=tolerance, starts=starts, check=False).length
    if a.shape[-2:] != b.shape[-2:]:
        raise ShapeError(f"expected matrices of one size, found {a.shape} and {b.shape}", shapes=(a.shape, b.shape))
    try:
        a, b = np.broadcast_arrays(a, b)
    except ValueError:
        raise ShapeError(f"the batches {a.shape[:-2]} and {b.shape[:-2]} do not broadcast") from None
    result = np.empty(a.shape[:-2])
    for index in np.ndindex(result.shape):
        result[index] = geodesic(a[index], b[index], depth, tolerance=tolerance, starts=starts, check=False).length
    return result


def distance_gradient(
    W0: npt.ArrayLike, W1: npt.ArrayLike, depth: float, *, tolerance: float = 1e-9
) -> tuple[FloatArray, FloatArray]:
    """Euclidean gradients of the distance with respect to W0 and W1: ``-P(0) / length`` and ``P(1) / length``.

    Parameters
    ----------
    W0, W1 : array_like (m, n)
    depth, tolerance
        As in :func:`geodesic`.

    Returns
    -------
    float64 (m, n), float64 (m, n)
        ``d(W0 + e Z, W1) = d(W0, W1) + e <first, Z> + O(e^2)`` for Z tangent to the matrices of the rank, and alike for
        W1. At rank below min(m, n) the part normal to the stratum is zero. Riemannian gradients are ``A`` of them and
        have length one.

    Raises
    ------
    InputError
        Equal matrices: the distance is not differentiable there. Otherwise as :func:`geodesic`.

    Notes
    -----
    First variation of the length; right for the geodesic that was found (``starts=2``). Not differentiable where the
    shortest geodesic is not unique.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.dln import distance_gradient
    >>> first, second = distance_gradient([[1.0]], [[8.0]], 3)       # d = sqrt(3) (w1^(1/3) - w0^(1/3))
    >>> round(float(first[0, 0]) * 3**0.5, 6), round(float(second[0, 0]) * 3**0.5, 6)
    (-1.0, 0.25)
    """
    path = geodesic(W0, W1, depth, tolerance=tolerance, check=False)
    if path.length == 0.0:
        raise InputError(
            "the matrices are equal, and the distance to a matrix is not differentiable at the matrix itself"
        )
    if path.depth == 1:
        unit = (path.end - path.start) / path.length
        return -unit, unit
    flow = integrate(path.start, path.momentum, path.depth, np.array([1.0]), rank=path.rank, tolerance=1e-12)
    ends = metric(path.start, path.depth), metric(path.end, path.depth)
    slopes = (-path.momentum / path.length, flow.P[-1] / path.length)
    first, second = (g.project(v) for g, v in zip(ends, slopes, strict=True))
    return first, second


def logarithm(W0: npt.ArrayLike, W1: npt.ArrayLike, depth: float, *, tolerance: float = 1e-9) -> FloatArray:
    """Initial velocity at W0 of the geodesic found to W1; inverse of :func:`polyfiber.dln.exponential`."""
    return geodesic(W0, W1, depth, tolerance=tolerance, check=False).velocity


@dataclass(frozen=True)
class NetworkInterpolation:
    """Networks along a geodesic between two linear networks.

    Attributes
    ----------
    weights : float64 (T, N, d, d)
        Balanced networks over the geodesic: its horizontal lift from the start.
    products : float64 (T, d, d)
        End-to-end matrices.
    geodesic : Geodesic
    gauge_gap : float
        Frobenius distance of the last network to the given end network, both over the same matrix: the gauge
        difference that no path of shortest length removes.
    """

    __repr__ = one_line

    weights: FloatArray
    products: FloatArray
    geodesic: Geodesic
    gauge_gap: float


def interpolate_networks(
    start: npt.ArrayLike, end: npt.ArrayLike, *, t: npt.ArrayLike = (0.0, 0.25, 0.5, 0.75, 1.0), tolerance: float = 1e-9
) -> NetworkInterpolation:
    """Interpolate two balanced linear networks along the geodesic of their end-to-end matrices.

    Parameters
    ----------
    start, end : array_like (N, d, d)
        Balanced networks (project others with :func:`polyfiber.dln.project_balanced` first).
    t : array_like (T,)
        Increasing times in [0, 1].

    Raises
    ------
    InputError
        If a network is not balanced, or the end-to-end matrices cannot be joined (see :func:`geodesic`).

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.dln import interpolate_networks, lift
    >>> path = interpolate_networks(lift(np.eye(2), 3), lift(8 * np.eye(2), 3), t=[0.0, 1.0])
    >>> bool(np.allclose(path.weights[1], 2 * np.eye(2)))
    True
    """
    first, last = as_stack(start), as_stack(end)
    if first.ndim != 3 or first.shape != last.shape:
        raise ShapeError(f"expected two networks (N, d, d) of one shape, found {first.shape} and {last.shape}")
    for name, stack in (("start", first), ("end", last)):
        off = float(imbalance(stack))
        if off > 1e-8:
            raise InputError(f"the network `{name}` is not balanced (relative imbalance {off:.3g}); project it first")
    times = as_finite(t, name="t")
    if times.ndim != 1 or times.size == 0 or (np.diff(times) <= 0).any() or times[0] < 0 or times[-1] > 1:
        raise InputError("t must be an increasing list of numbers in [0, 1]")
    path = geodesic(product(first), product(last), first.shape[0], tolerance=tolerance, check=False)
    if path.length == 0.0:
        weights = np.broadcast_to(first, (times.size, *first.shape)).copy()
    else:
        grid = times if times[-1] == 1.0 else np.append(times, 1.0)
        weights = path.lift(grid, start=first)
    final = weights[-1]
    weights = weights[: times.size]
    return NetworkInterpolation(weights, product(weights), path, float(np.linalg.norm(final - last)))


def common_rank(g0: Metric, g1: Metric) -> int:
    """The rank of both matrices, or InputError: different ranks, the zero matrix, different components of GL_d."""
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
