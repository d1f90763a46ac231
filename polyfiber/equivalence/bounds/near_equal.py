"""Is ``|f - g| <= epsilon`` on a bounded domain? By splitting boxes, with differential bounds of both networks
together.

YES is a proof about real numbers: every rounding is charged, and so is what the readers rounded when they folded
layers. NO is an input of the domain where the gap, computed in rationals, exceeds epsilon. Otherwise it is said how far
the search came. The bounds: `kernels.bounds`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np

from ... import words
from ..._typing import Array, FloatArray, ProgressLike
from ..._values.checked import unmasked
from ..._values.read_only import closed
from ...bounds.enclosing import enclosing_box
from ...bounds.goals import Alternative, near
from ...bounds.pairing import Side, paired_sides
from ...bounds.relaxation import chart_of
from ...bounds.split import NEGLIGIBLE, BoxSearch, Outcome
from ...bounds.tree import Tree
from ...budget import Budget, Monitor, heed, unwatched
from ...domain import Box, Polyhedron
from ...errors import InputError, NumericalError, ShapeError, old_name, renamed
from ...network.model import ReLUNetwork
from ...numerics.floats import as_float, nearest
from ...numerics.hulls import AffineHull
from ...numerics.rounding import TINY, UNIT
from ...verdict import Verdict
from ..witness import exact_output
from .difference_network import check_same_ends
from .side_by_side import settled, shared

NEAR_SECONDS = 60.0
"""Time for boxes without a budget, where other ways may follow."""
GAP = 1e-6
"""Relative gap at which the largest difference counts as found."""


@closed
@dataclass(frozen=True, eq=False)
class NearEqual:
    """Whether two networks differ by at most epsilon on a domain, and what that rests on.

    Attributes
    ----------
    verdict : Verdict
    epsilon, relative : (m,) arrays
        Asked for: ``|f_o - g_o| <= epsilon_o + relative_o |f_o|``.
    reason : str
    bound : float
        Proved: ``|f_o - g_o|`` exceeds the allowance of its output by at most ``bound - max(epsilon)``; with one
        epsilon for all outputs and no relative part this is a bound of ``|f - g|``.
    point : (n0,) array or None
        The input with the largest excess that was met; for NO the counterexample.
    gap : Fraction or None
        Largest ``|f_o - g_o|`` there, exactly.
    excess : Fraction or None
        By how much the allowance is exceeded there, exactly; positive for NO.
    proved : float
        Share of the volume on which the answer is YES.
    n_boxes, n_open, n_substitutions : int
    tree : Tree
        Where boxes were halved: the evidence for YES, see `verify`.
    seconds : float
    """

    a: ReLUNetwork = field(repr=False)
    b: ReLUNetwork = field(repr=False)
    domain: Polyhedron = field(repr=False)
    epsilon: FloatArray
    relative: FloatArray
    verdict: Verdict
    reason: str
    bound: float
    point: FloatArray | None
    gap: Fraction | None
    excess: Fraction | None
    proved: float
    n_boxes: int
    n_open: int
    n_substitutions: int
    tree: Tree = field(repr=False)
    seconds: float

    boxes = old_name("n_boxes")
    open = old_name("n_open")
    substitutions = old_name("n_substitutions")

    def __bool__(self) -> bool:
        return bool(self.verdict)

    @property
    def summary(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "boxes": self.n_boxes, "open": self.n_open, "substitutions": self.n_substitutions, "share": self.proved,
            "upper bound": self.bound, "attained": None if self.gap is None else as_float(self.gap),
            "attained at": None if self.point is None else self.point.tolist(), "leaves": self.tree.n_leaves,
        }  # fmt: skip

    @property
    def sentence(self) -> str:
        """Whether they are near, how sure, and what would decide an open question."""
        within = "differ by at most epsilon on the domain"
        return {
            "yes": f"Yes: the networks {within}, proved; {self.reason}.",
            "no": f"No: at an input they differ by more, computed exactly; {self.reason}.",
            "undecided": f"Not decided whether the networks {within}: {self.reason}; a larger budget may decide it.",
        }[self.verdict.value]

    def __str__(self) -> str:
        return self.sentence

    def __repr__(self) -> str:
        return words.short(
            f"NearEqual({self.verdict.value}, bound {self.bound:.6g}, {words.count(self.n_boxes, 'box', 'boxes')}: {self.reason})"
        )


def near_equal(
    a: ReLUNetwork, b: ReLUNetwork, domain: Polyhedron, *, epsilon: Any, relative: Any = 0.0,
    budget: Budget | None = None, progress: ProgressLike = None, workers: int = 1, scheduler: Any = None,
) -> NearEqual:  # fmt: skip
    """Decide ``|f_o - g_o| <= epsilon_o + relative_o |f_o|`` for every output on a bounded domain.

    Parameters
    ----------
    a, b : ReLUNetwork
        f and g, with the same number of inputs and outputs.
    domain : Box or Polyhedron
        Bounded.
    epsilon, relative : float or (m,) array
        For all outputs, or one for each.
    budget : Budget, optional
        Without one the search goes on until it is settled.
    progress : bool or callable, optional
    workers : int
        Processes that share the boxes; signs are split in one.
    scheduler : optional
        Instead of processes a Dask client, the address of a Dask scheduler, or an executor.

    Returns
    -------
    NearEqual

    Raises
    ------
    InputError
        A negative or infinite epsilon, or a domain without bounds.
    ShapeError
        Numbers of inputs, outputs or epsilons that do not fit.

    Notes
    -----
    About 0.1 ms a box for six layers of fifty neurons; the number of boxes is exponential in the inputs that matter.

    Examples
    --------
    >>> import polyfiber as pf
    >>> from polyfiber.equivalence.bounds.near_equal import near_equal
    >>> a = pf.ReLUNetwork.random((3, 8, 8, 2), rng=0)
    >>> b = pf.ReLUNetwork([W.astype("float16") for W in a.weights], a.biases)
    >>> box = pf.Box(-1, 1, dimension=3)
    >>> near_equal(a, b, box, epsilon=0.01).verdict, near_equal(a, b, box, epsilon=1e-4).verdict
    (<Verdict.YES: 'yes'>, <Verdict.NO: 'no'>)
    """
    question = Question.of(a, b, domain, epsilon, relative)
    monitor = Monitor(budget, progress)
    return question.answer(settled(question.search, monitor, workers=workers, scheduler=scheduler))


def near_equal_on(
    a: ReLUNetwork, b: ReLUNetwork, domains: Iterable[Polyhedron], *, epsilon: Any, relative: Any = 0.0,
    seconds: float = 60.0, budget: Budget | None = None, progress: ProgressLike = None,
) -> list[NearEqual]:  # fmt: skip
    """`near_equal` on one domain after the other; a row of `NearEqual.summary` each makes a table.

    Parameters
    ----------
    domains : iterable of Box or Polyhedron
        Such as `balls` around data.
    seconds : float
        For each domain at most.
    budget : Budget, optional
        For all together; domains that were not begun are looked at for one box.

    Examples
    --------
    >>> import numpy as np
    >>> import polyfiber as pf
    >>> from polyfiber.equivalence.bounds.near_equal import balls, near_equal_on
    >>> a = pf.ReLUNetwork.random((4, 8, 8, 2), rng=0)
    >>> b = pf.ReLUNetwork([W.astype("float16") for W in a.weights], a.biases)
    >>> found = near_equal_on(a, b, balls(np.zeros((3, 4)), 0.1), epsilon=0.01)
    >>> [answer.verdict.value for answer in found]
    ['yes', 'yes', 'yes']
    """
    monitor = Monitor(budget, progress)
    found: list[NearEqual] = []
    for number, domain in enumerate(domains):
        monitor.report("domains", number, None, settled=sum(r.verdict is not Verdict.UNDECIDED for r in found))
        left = seconds if monitor.left is None else min(seconds, monitor.left)
        own = monitor.budget.part(left)
        found.append(near_equal(a, b, domain, epsilon=epsilon, relative=relative, budget=own))
    return found


def balls(X: Any, radius: float, *, domain: Box | None = None, lower: Any = -np.inf, upper: Any = np.inf) -> list[Box]:
    """Boxes of a radius around points (k, n0), cut at the box of all inputs. lower, upper: its old names, which warn.

    Examples
    --------
    >>> import polyfiber as pf
    >>> from polyfiber.equivalence.bounds.near_equal import balls
    >>> box, = balls([[0.05, 0.5]], 0.1, domain=pf.Box(0, 1, dimension=2))
    >>> box.lo.tolist()
    [0.0, 0.4]
    """
    points = np.atleast_2d(np.asarray(unmasked(X), dtype=np.float64))
    if not 0 < radius < np.inf:
        raise InputError(f"a radius is a positive number, found {radius!r}")
    if domain is not None:
        if not isinstance(domain, Box) or domain.dimension != points.shape[1]:
            raise InputError(f"expected a Box of {words.count(points.shape[1], 'coordinate')}, found {domain!r}")
        lower, upper = (np.asarray(side, dtype=np.float64) for side in (domain.lo, domain.hi))
        outside = np.flatnonzero(((points + radius < lower) | (points - radius > upper)).any(axis=1))
        if len(outside):
            raise InputError(f"the ball of radius {radius:g} around point {outside[0]} does not meet the domain")
    elif np.any(np.asarray(lower) > -np.inf) or np.any(np.asarray(upper) < np.inf):
        renamed("balls(lower=, upper=)", "balls(domain=pf.Box(lo, hi))")
    ends = [np.clip(points - radius, lower, upper), np.clip(points + radius, lower, upper)]
    return [Box(lo, hi) for lo, hi in zip(*ends)]


@dataclass(frozen=True, eq=False)
class Question:
    """Two networks, a bounded domain, and how far apart they may be there."""

    a: ReLUNetwork
    b: ReLUNetwork
    domain: Polyhedron
    epsilon: FloatArray
    relative: FloatArray
    groups: Sequence[Sequence[Alternative]]
    sides: tuple[Side, Side]
    box: tuple[FloatArray, FloatArray]
    rows: tuple[FloatArray, FloatArray] | None
    flat: AffineHull | None = None
    """Where floats need not lie in the domain: the flat whose free coordinates are searched, sides and box in these."""

    @classmethod
    def of(cls, a: ReLUNetwork, b: ReLUNetwork, domain: Polyhedron, epsilon: Any, relative: Any = 0.0) -> Question:
        """Check the inputs and put the networks side by side."""
        m = a.architecture[-1]
        most, share = allowance(epsilon, m, "epsilon"), allowance(relative, m, "relative")
        check_same_ends(a, b)
        if domain.dimension != a.architecture[0]:
            raise ShapeError(
                f"the domain has {words.count(domain.dimension, 'coordinate')} but the networks {words.count(a.architecture[0], 'input')}"
            )
        flat, one, other, seen = _flat_of(domain), Side.of(a), Side.of(b), domain
        if flat is not None:
            seen, lift = _in_chart(domain, flat)
            one, other = one.on_flat(lift), other.on_flat(lift)
        box, rows = box_and_rows(seen)
        return cls(a, b, domain, most, share, near(most, share), paired_sides(one, other), box, rows, flat)

    def search(self, *, follow: bool = False) -> BoxSearch:
        """A search for an input where the networks are too far apart, or where they are farthest apart."""
        lo, hi = self.box
        return BoxSearch(self.sides, self.groups, lo, hi, rows=self.rows, confirm=self.refuted, follow=follow, gap=GAP)

    def exactly(self, x: Array) -> tuple[Fraction, Fraction]:
        """Excess over the allowance, and largest gap, at one input in rationals."""
        u, v = exact_output(self.a, x), exact_output(self.b, x)
        d = [Fraction(p) - Fraction(q) for p, q in zip(u, v)]
        excess = max(
            abs(gap) - Fraction(float(e)) - Fraction(float(r)) * abs(Fraction(p))
            for gap, p, e, r in zip(d, u, self.epsilon, self.relative)
        )
        return excess, max(map(abs, d))

    def seen_at(self, x: FloatArray) -> FloatArray:
        """Inputs (…, n0) in the coordinates that are searched."""
        return x if self.flat is None else x[..., self.flat.free] if self.flat.dimension else 0.0 * x[..., :1]

    def input_at(self, t: FloatArray) -> Array | None:
        """The input (n0,) at searched coordinates, in Fractions where these are those of a flat; None outside the
        domain, exactly.
        """
        if isinstance(self.domain, Box) and self.flat is None:
            ends = zip(self.domain.lo.tolist(), np.asarray(t, dtype=np.float64).tolist(), self.domain.hi.tolist())
            return t if all(Fraction(low) <= v <= Fraction(high) for low, v, high in ends) else None
        x = t if self.flat is None else self.flat.lifted(t[None, : self.flat.dimension])[0]
        X = [Fraction(v) for v in x.tolist()]
        for row, side in zip(self.domain.A.tolist(), self.domain.b.tolist()):
            heed("exact arithmetic")
            if sum((Fraction(c) * v for c, v in zip(row, X) if c), Fraction(0)) > Fraction(side):
                return None
        return x

    def refuted(self, t: FloatArray) -> bool:
        """Whether the networks, and what their files say, are too far apart at an input of the domain."""
        with unwatched():  # one input takes a moment; the search looks at the clock
            x = self.input_at(t)
            if x is None:
                return False
            excess, _ = self.exactly(x)
        return excess > 0 and excess > Fraction(sum(folding_effect(Side.of(net), x) for net in (self.a, self.b)))

    def answer(self, found: Outcome) -> NearEqual:
        """The answer that an outcome is."""
        point, excess, gap = None, None, None
        with unwatched():
            x = None if found.point is None else self.input_at(found.point)
            if x is not None:
                excess, gap = self.exactly(x)
                point = nearest(x)
        top = float(self.epsilon.max())
        with np.errstate(over="ignore"):
            bound = float(np.nextafter(top + max(found.excess, -top), np.inf))
        verdict = {"proved": Verdict.YES, "violated": Verdict.NO, "open": Verdict.UNDECIDED}[found.status]
        asked = describe(self.epsilon, self.relative)
        seen = f"; {as_float(gap):.6g} is attained" if gap is not None else ""
        if verdict is Verdict.YES:
            reason = f"{asked} on {words.every(found.boxes, 'box', 'boxes', each='all of')}{seen}"
        elif verdict is Verdict.NO:
            if not (excess is not None and excess > 0):
                raise NumericalError("a counterexample does not exceed the allowance; please report this")
            reason = f"|f - g| is {as_float(gap):.9g} at an input, {as_float(excess):.3g} more than {asked} allows"
        else:
            excess_text = f"|f - g| is at most {bound:.6g}" if np.isfinite(bound) else "no bound of |f - g| is finite"
            if self.relative.any() or (self.epsilon != top).any():
                excess_text = f"{asked} fails by at most {found.excess:.6g}"
            reason = (
                f"{found.stopped}: {excess_text}{seen}; {100 * found.share:.4g} % of the volume is proved, "
                f"{words.count(found.open, 'box is', 'boxes are')} open after {words.count(found.boxes, 'box', 'boxes')}"
            )
        return NearEqual(
            self.a, self.b, self.domain, self.epsilon, self.relative, verdict, reason, bound, point, gap, excess,
            found.share, found.boxes, found.open, found.substitutions, found.tree, found.seconds,
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Bracket:
    """The largest ``|f - g|`` on a domain, between what was attained and what was proved."""

    attained: float
    upper: float
    point: FloatArray | None
    found: Outcome

    @property
    def complete(self) -> bool:
        """Whether both ends agree up to the relative gap of the search."""
        return self.upper <= self.attained * (1 + 2 * GAP) + 2 * NEGLIGIBLE


def largest_difference(
    a: ReLUNetwork, b: ReLUNetwork, domain: Polyhedron, *, monitor: Monitor, points: FloatArray | None = None,
    seconds: float | None = None, workers: int = 1, scheduler: Any = None,
) -> Bracket:  # fmt: skip
    """Bracket the largest ``|f_o - g_o|`` over a bounded domain and all outputs, tighter until the budget ends.

    Parameters
    ----------
    points : (k, n0) array, optional
        Inputs to begin with.
    seconds : float, optional
        Limit when the budget names none.
    workers, scheduler : optional
        As in `near_equal`.

    Examples
    --------
    >>> import polyfiber as pf
    >>> from polyfiber.budget import Monitor
    >>> from polyfiber.equivalence.bounds.near_equal import largest_difference
    >>> a = pf.ReLUNetwork.random((2, 4, 1), rng=0)
    >>> b = pf.ReLUNetwork(a.weights, [a.biases[0], a.biases[1] + 0.25])
    >>> found = largest_difference(a, b, pf.Box(-1, 1, dimension=2), monitor=Monitor())
    >>> found.complete, round(found.attained, 9)
    (True, 0.25)
    """
    question = Question.of(a, b, domain, 0.0)
    with shared(partial(question.search, follow=True), workers, scheduler) as (search, run):
        search.attack(monitor, None if points is None else question.seen_at(points))
        found = run(monitor, phase="largest difference", attack=False, seconds=seconds)
    x, point, attained = None if found.point is None else question.input_at(found.point), None, 0.0
    if x is not None:
        point, attained = nearest(x), as_float(question.exactly(x)[1])
    return Bracket(attained, max(float(np.nextafter(found.excess, np.inf)), attained), point, found)


def _flat_of(domain: Polyhedron) -> AffineHull | None:
    """The flat that a domain lies in, where its inputs need not be floats."""
    hull = domain.affine_hull
    if hull is None or (isinstance(domain, Box) and not _is_exact(domain.lo, domain.hi)):
        return None
    return hull.steady


def _in_chart(domain: Polyhedron, flat: AffineHull) -> tuple[Polyhedron, Array]:
    """A domain in the free coordinates of its flat, and the flat as a function of these; a single point has one
    coordinate, 0.
    """
    if flat.dimension:
        return Polyhedron(*chart_of(domain, flat)), flat.lift
    return Box([0.0], [0.0]), np.concatenate([0 * flat.lift, flat.lift], axis=1)


def _is_exact(*parts: Array) -> bool:
    return any(part.dtype == object for part in parts)


def box_and_rows(domain: Polyhedron) -> tuple[tuple[FloatArray, FloatArray], tuple[FloatArray, FloatArray] | None]:
    """A box that holds a bounded domain, and the inequalities that cut the domain out of it.

    Raises
    ------
    InputError
        The domain is unbounded or empty, or its numbers are beyond floats.
    """
    box = enclosing_box(domain)
    if not all(bool(np.isfinite(end).all()) for end in box):
        raise InputError("the domain reaches beyond the range of floats; pass a smaller one")
    if isinstance(domain, Box):
        return box, None
    A, b = domain.in_floats()
    if _is_exact(domain.A, domain.b):
        # rounded rows, loosened by what rounding may have cut off
        reach = np.maximum(np.abs(box[0]), np.abs(box[1]))
        b = b + 2 * UNIT * (np.abs(A) @ reach + np.abs(b)) * 1.001 + TINY
    return box, (A, b)


def allowance(values: Any, m: int, name: str) -> FloatArray:
    """One number >= 0 for every output.

    Raises
    ------
    InputError
        A number that is negative, infinite or none.
    ShapeError
        As many numbers as neither one nor the outputs.
    """
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{name} must be a number >= 0, or one for each output, found {values!r}") from None
    if array.ndim > 1 or array.size not in (1, m):
        raise ShapeError(
            f"{name} has shape {array.shape}; expected one number, or one for each of {words.count(m, 'output')}"
        )
    if np.asarray(values).dtype == bool or not (np.isfinite(array).all() and (array >= 0).all()):
        raise InputError(f"{name} must be a finite number >= 0, found {values!r}: it bounds |f - g|")
    return np.array(np.broadcast_to(array.reshape(-1), m))


def describe(epsilon: FloatArray, relative: FloatArray) -> str:
    """The question in words."""
    same = bool((epsilon == epsilon[0]).all() and (relative == relative[0]).all())
    if not same:
        return "|f - g| within the allowance of every output"
    if not relative[0]:
        return f"|f - g| <= {epsilon[0]:.6g}"
    return f"|f - g| <= {epsilon[0]:.6g} + {relative[0]:.6g} |f|" if epsilon[0] else f"|f - g| <= {relative[0]:.6g} |f|"


def folding_effect(side: Side, x: Array) -> float:
    """By how much what a file says may differ from the network that was read, at one input; in floats, rounded up."""
    if not any(bool(E.any()) for E in (*side.weight_errors, *side.bias_errors)):
        return 0.0
    y, moved = np.abs(np.asarray(x, dtype=np.float64)), np.zeros(len(x))
    for W, b, E, e in zip(side.weights, side.biases, side.weight_errors, side.bias_errors):
        moved = (np.abs(W) + E) @ moved + E @ y + e
        y = np.abs(W) @ y + np.abs(b)
    return float(moved.max()) * (1 + 1e-6) + TINY


def folding_on(nets: Iterable[ReLUNetwork], box: tuple[FloatArray, FloatArray]) -> float:
    """By how much what files, or integers, say may differ from networks that were read, anywhere on a box; of all
    together.
    """
    corner = np.maximum(np.abs(box[0]), np.abs(box[1]))
    with np.errstate(over="ignore", invalid="ignore"):
        return sum(folding_effect(Side.of(net), corner) for net in nets)


__all__ = [
    "Bracket",
    "NearEqual",
    "Question",
    "balls",
    "folding_effect",
    "folding_on",
    "largest_difference",
    "near_equal",
    "near_equal_on",
]
