"""What a geodesic is as a result: the curve and the evidence for it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ..._lazy import above
from ..._typing import FloatArray
from ..._values.read_only import closed
from ...errors import InputError, SolverError
from .._inputs import as_finite
from ..space.metrics import Metric, metric
from ..space.submersion import lift
from .conjugate import ConjugateTest
from .explicit import ExplicitPath
from .hamilton import HamiltonianPath, integrate, lift_path
from .homotopy import Attempt, Homotopy, class_count


@closed
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
        An upper bound of the distance, and no more than that where ``solved`` is False.
    method : str
        Name of the closed form, "shooting", "continuation", or "along rank k" and "turning frames" (not ``solved``).
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
    tried : tuple of Attempt
        ``(curve, length, homotopy)``: kind of each starting curve that was solved from, the length found, NaN where
        none was, and the homotopy class of what was found.
    homotopy : tuple of int or None
        Class of this path among the paths of the rank between its ends (`geodesics.homotopy`); None where nothing was
        searched, or where the path turns too fast to be followed.
    classes : float
        Number of classes: 1, 2, 4 or infinity. A geodesic says nothing about classes that ``tried`` does not list.
    stats : dict
        ``integrations``, ``jacobians``, ``continuation_steps``, ``guesses``.
    solved : bool
        False: a curve that joins the ends and is shorter than every geodesic found (``method``: "along rank k", near
        matrices of lower rank, or "turning frames"). Its length is an upper bound of the distance; no equation is
        solved by it, so it has no lift, logarithm or gradient.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber import dln
    >>> path = dln.geodesic(np.eye(2), 4 * np.eye(2), 2)
    >>> round(path.length, 9), path.shortest
    (2.0, True)
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
    tried: tuple[Attempt, ...] = ()
    homotopy: Homotopy | None = None
    classes: float = math.nan
    stats: dict[str, int] = field(default_factory=dict)
    solved: bool = True
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
            ends = {0.0: self.start, 1.0: self.end}
            points = [ends[s].copy() if s in ends else self._path(s) for s in np.atleast_1d(times).tolist()]
            return points[0] if times.ndim == 0 else np.stack(points) if points else np.zeros((0, *self.start.shape))
        order = np.unique(np.atleast_1d(times))
        result = self.flow(order).X[np.searchsorted(order, np.atleast_1d(times))]
        return np.asarray(result[0] if times.ndim == 0 else result)

    def flow(self, times: FloatArray) -> HamiltonianPath:
        """Points and momenta (T, m, n) at increasing times, integrated from the start."""
        least = [np.linalg.svd(W, compute_uv=False)[self.rank - 1] for W in (self.start, self.end)]
        floor = min(1e-6, 1e-3 * float(least[1] / least[0]))
        return integrate(self.start, self.momentum, self.depth, times, rank=self.rank, tolerance=1e-12, floor=floor)

    def lift(self, t: npt.ArrayLike, *, start: npt.ArrayLike | None = None) -> FloatArray:
        """Horizontal lift to balanced networks at increasing times, (T, N, d, d), from a network over the start."""
        if math.isinf(self.depth):
            raise InputError("at infinite depth there is no space of networks to lift to")
        self.require_solved("lift")
        first = lift(self.start, int(self.depth)) if start is None else start
        return lift_path(self.start, self.momentum, t, start=first)

    def require_solved(self, what: str) -> None:
        """`SolverError` where this is a curve along lower rank and no geodesic."""
        if not self.solved:
            raise SolverError(
                f"the shortest way found, of length {self.length:.9g}, is no geodesic but a curve ({self.method}), as happens "
                f"between matrices that are nearly of lower rank: it has no {what}. Set their small singular values to zero, "
                "or go through an intermediate matrix",
                status="failed",
            )

    @property
    def classes_tried(self) -> dict[Homotopy, float]:
        """Homotopy classes in which geodesics were found, and the least length in each."""
        found: dict[Homotopy, float] = {}
        for attempt in self.tried:
            if attempt.homotopy is not None and not math.isnan(attempt.length):
                found[attempt.homotopy] = min(attempt.length, found.get(attempt.homotopy, math.inf))
        return found

    @property
    def sentence(self) -> str:
        """How long, whether shortest, and what that rests on."""
        size = "x".join(map(str, self.start.shape))
        text = f"The end-to-end matrices ({size}, rank {self.rank}) are {self.length:.9g} apart along this geodesic of depth {self.depth}"
        if self.depth == 1:
            return (
                f"The end-to-end matrices ({size}) are {self.length:.9g} apart: at depth 1 the space is that of all matrices, "
                "whatever their ranks, with the Euclidean metric, and the segment is shortest."
            )
        if self.shortest:
            return f"{text}; it is shortest: no path of this rank is shorter."
        bound = f"no path is shorter than {self.lower_bound:.6g}"
        if not self.solved:
            return (
                f"The end-to-end matrices ({size}, rank {self.rank}) are at most {self.length:.9g} apart: so long is a curve "
                f"of depth {self.depth} ({self.method}) that is no geodesic. No geodesic that was found is shorter, and "
                f"{bound}. What is shortest is not decided."
            )
        if self.minimum is None:
            return f"{text}; {bound}. Whether it is shortest is not decided: more starts, or check=True, say more."
        local = {
            "yes": "it is a local minimum of length", "no": "it is no local minimum of length",
            "undecided": "whether it is a local minimum of length is not decided, as "
            + (
                "its end is conjugate to its start, or too nearly so for floats"
                if self.minimum.index >= 0
                else "the test has no short enough pieces, or too many rows (without a budget it may have three times as many)"
            ),
        }[self.minimum.verdict.value]  # fmt: skip
        return (
            f"{text}; {local}, and {bound}. Whether it is shortest is not decided: more starts may find a shorter one."
        )

    def __str__(self) -> str:
        return self.sentence

    def __repr__(self) -> str:
        state = "" if self.minimum is None else f", local minimum {self.minimum.verdict.value}"
        shape, most = "x".join(map(str, self.start.shape)), "" if self.solved else "at most "
        return (
            f"Geodesic({shape}, rank {self.rank}, depth {self.depth}: length {most}{self.length:.9g} by {self.method}, "
            f"residual {self.residual:.1g}, chord {self.chord:.9g}{state})"
        )


def closed_geodesic(
    a: FloatArray, b: FloatArray, depth: float, path: ExplicitPath, miss: float, rank: int, chord: float, bound: bool
) -> Geodesic:
    """A closed form as a result; ``bound``: the chord is a proven bound."""
    g0 = metric(a, depth)
    momentum = path.velocity if depth == 1 else g0.solve(path.velocity, tolerance=1e-6)
    proven = path.shortest or bool(bound and path.length <= chord * (1.0 + 1e-12))
    floor = path.length if proven else lower_bound(g0, metric(b, depth), chord if bound else 0.0)
    return Geodesic(
        a, b, depth, path.velocity, momentum, path.length, path.name, miss, chord, bound, proven, rank, floor,
        classes=1 if depth == 1 or rank == 0 else class_count(a.shape[0], a.shape[1], rank),
        _path=path.at,
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Embedded:
    """Points of a curve of smaller matrices, as m x n matrices of the same rank."""

    core: Callable[[float], FloatArray]
    left: FloatArray
    right: FloatArray

    def __call__(self, t: float) -> FloatArray:
        core = self.core(t)[: self.left.shape[1], : self.right.shape[1]]
        return np.asarray(self.left @ core @ self.right.T)


def lower_bound(g0: Metric, g1: Metric, chord: float) -> float:
    """``sqrt(N) |sigma_0^{1/N} - sigma_1^{1/N}|``, von Neumann's trace inequality on every layer of a chord, or
    ``chord``.

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
