"""Do two classifiers choose the same class everywhere on a domain? A counterexample or a proof."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from numbers import Real
from typing import Any, Literal, cast

import numpy as np

from ... import words
from ..._once import cached_property
from ..._typing import Array, FloatArray, ProgressLike
from ...bounds.pairing import Side
from ...budget import Budget, Monitor, heed
from ...domain import Box, Polyhedron
from ...errors import BudgetExceededError, IncompleteError, InputError, PolyfiberError
from ...network.float_or_rational import products_in_range
from ...network.model import ReLUNetwork
from ...network.piecewise import function_chain
from ...numerics.floats import nearest
from ...verdict import Verdict
from ..allowance import Allowance
from ..answer import Recheck
from ..bounds.difference import ENUMERATION_SHARE, MAX_VERTICES, box_around, expected_vertices
from ..bounds.difference_network import check_pair
from ..bounds.everywhere import highest_on
from ..bounds.near_equal import folding_effect, folding_on
from ..forms.canonical import rough_form
from ..forms.shared_features import shared_features
from ..regions.cover import CoverSearch
from ..witness import Witness, candidates, exact_output, rounding_bound
from .boxes import settle_boxes

SECONDS = 30.0
"""Time for boxes without a budget."""
SUSPECTS = 64
"""Cells without a common winner that are looked at before the question is given to boxes."""


@dataclass(frozen=True, eq=False)
class Agreement:
    """Whether the largest output is the same everywhere on a domain.

    Attributes
    ----------
    verdict : Verdict
        YES: no input of the domain has different strict winners by more than ``margin``. NO: at an input both lead by
        more.
    proof : Witness or None
        An input with different winners; checked in rational arithmetic.
    winners : pair of int, or None
        Classes chosen there.
    proved : float
        Share of the regions, or of the volume, that is settled.
    method : str
        'witness', 'canonical form', 'regions', 'branch and bound' or 'none'.
    reason : str
    domain : Polyhedron
    """

    a: ReLUNetwork = field(repr=False)
    b: ReLUNetwork = field(repr=False)
    verdict: Verdict
    method: str
    reason: str
    margin: float
    proof: Witness | None = None
    winners: tuple[int, int] | None = None
    proved: float = 0.0
    domain: Polyhedron | None = field(default=None, repr=False)
    certificate: dict[str, Any] = field(default_factory=dict, repr=False)
    stats: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def sentence(self) -> str:
        """Whether both networks choose the same class, how sure, and what would decide an open question."""
        where = words.place(self.domain, self.a.architecture[0])
        if self.verdict is Verdict.YES:
            return f"Yes: the largest output is the same {where}, but for ties within {self.margin:g}. Proved: {self.reason}."
        if self.verdict is Verdict.NO and self.winners is not None:
            return f"No: at an input the first network chooses output {self.winners[0]} and the second {self.winners[1]}, computed exactly."
        return (
            f"Not decided whether the largest output is the same {where}: {self.reason}. {100 * self.proved:.3g} % is settled; a larger "
            "budget (more seconds) goes on."
        )

    def __str__(self) -> str:
        return self.sentence

    def __repr__(self) -> str:
        return words.short(f"Agreement({self.verdict.value}, {self.method}: {self.reason})")

    def __bool__(self) -> bool:
        return bool(self.verdict)

    @property
    def witness(self) -> FloatArray | None:
        """Input where the winners differ, or None."""
        return None if self.proof is None else self.proof.x

    def recheck(self, *, rng: Any = 0, budget: Budget | None = None) -> Recheck:
        """Check the answer anew, and say what was checked.

        NO: both networks are evaluated at the witness in rational arithmetic. YES: fresh inputs have no different
        winners beyond the margin, and either the networks share their features (`shared_features`) or the question is
        answered again by the other of the two ways, regions and boxes. UNDECIDED claims nothing.

        Parameters
        ----------
        rng : optional
            Of the fresh inputs.
        budget : Budget, optional
            60 seconds by default.
        """
        monitor = Monitor(Budget(seconds=60.0) if budget is None else budget)
        checks: list[str] = []

        def result(verdict: Verdict, reason: str) -> Recheck:
            return Recheck(verdict, tuple(checks), reason, monitor.elapsed, self.method)

        if self.verdict is Verdict.NO:
            x = None if self.proof is None else self.proof.x
            point = None if x is None or self.domain is None else self.domain.exact_point(x)
            inside = point is not None and x is not None and np.array_equal(nearest(point), x)
            found = None if point is None or not inside else _strict_winners(self.a, self.b, point)
            if found is None or found[0] != self.winners:
                return result(Verdict.NO, "the winners at the witness, in rational arithmetic")
            if not _counts(found[1], self.margin, self.a, self.b, self.domain):
                return result(Verdict.UNDECIDED, "the winners differ, by a lead that may count as a tie")
            return result(Verdict.YES, "the winners at the witness and their leads, in rational arithmetic")
        if self.verdict is Verdict.UNDECIDED:
            return result(Verdict.YES, "nothing is claimed")
        assert self.domain is not None
        a, b = self.a.rounded(), self.b.rounded()
        X = candidates(a, b, self.domain, n=2048, rng=rng)
        if len(X) and _disagree(a, b, X, self.margin):
            return result(Verdict.NO, "the winners differ at an input")
        checks.append(f"the winners at {words.count(len(X), 'input')}")
        shared = shared_features(self.a, self.b, tolerance=1e-9)
        if shared is not None and _equal_outputs(a, b, self.domain, self.margin).admits_forms(shared + 1e-14):
            return result(Verdict.YES, "the networks are equal functions by the features that they share")
        way: Literal["regions", "bound"] = "regions" if self.method == "branch and bound" else "bound"
        again = top1_agreement(self.a, self.b, self.domain, margin=4 * self.margin, budget=monitor.rest(), method=way)
        reason = f"{again.reason}; settled again: {100 * again.proved:.3g} %"
        return result(again.verdict, reason)

    def verify(self, *, rng: Any = 0, budget: Budget | None = None) -> bool:
        """Whether `recheck` confirms the answer (True) or refutes it (False).

        Raises
        ------
        IncompleteError
            Neither within the budget, 60 seconds by default; ``partial`` is the `Recheck`.
        """
        found = self.recheck(rng=rng, budget=budget)
        if found.verdict is Verdict.UNDECIDED:
            raise IncompleteError(f"not verified: {found.reason}", partial=found)
        return bool(found.verdict)


def _disagree(a: ReLUNetwork, b: ReLUNetwork, X: FloatArray, margin: float) -> bool:
    """Whether some inputs have different winners beyond the margin and all rounding."""
    u, v = a(X), b(X)
    limit = margin * float(max(np.abs(u).max(), np.abs(v).max()))
    noise = (rounding_bound(a, X) + rounding_bound(b, X)).max(axis=1)
    lead = np.minimum(_lead(u), _lead(v))
    return bool(((u.argmax(axis=1) != v.argmax(axis=1)) & (lead > 4 * limit + 4 * noise)).any())


def _equal_outputs(a: ReLUNetwork, b: ReLUNetwork, domain: Polyhedron, margin: float) -> Allowance:
    """What forms have to be within, so that no output moves by a fourth of the margin: relative to what it reaches on
    the domain.
    """
    return Allowance(a, b, min(0.25 * margin, 1e-9), domain)


def _strict_winners(a: ReLUNetwork, b: ReLUNetwork, x: Array) -> tuple[tuple[int, int], Fraction] | None:
    """Different unique winners in rational arithmetic, and the smaller of their leads, less what files, or integers, say
    beside the networks that were read; or None.
    """
    found, leads = [], []
    for net in (a, b):
        values = [Fraction(v) for v in exact_output(net, x)]
        second, top = sorted(values)[-2:]
        lead = top - second - 2 * Fraction(folding_effect(Side.of(net), x))
        if lead <= 0:
            return None
        found.append(values.index(top))
        leads.append(lead)
    return ((found[0], found[1]), min(leads)) if found[0] != found[1] else None


def _counts(lead: Fraction, margin: float, a: ReLUNetwork, b: ReLUNetwork, domain: Polyhedron | None) -> bool:
    """Whether a lead surely exceeds the margin of the largest output: outputs are at most what boxes say."""
    box = None if domain is None or not margin else box_around(domain)
    if box is None:
        return not margin
    with np.errstate(all="ignore"):
        largest = max(float(highest_on(net.rounded(), box).max()) for net in (a, b)) * (1 + 1e-12)
    return bool(np.isfinite(largest)) and lead > Fraction(margin) * Fraction(largest)


def top1_agreement(
    a: Any,
    b: Any,
    domain: Polyhedron,
    *,
    margin: float = 1e-9,
    budget: Budget | None = None,
    method: Literal["auto", "regions", "bound"] = "auto",
    progress: ProgressLike = None,
) -> Agreement:
    """Decide whether two classifiers agree on the class of every input of a bounded domain.

    The domain, which may be flat, is cut into cells on which both networks are affine and no two outputs change places
    (`CoverSearch`). A cell is settled where one class wins in both, up to the margin; on others the middle is a
    counterexample. Beyond enumeration boxes are settled by linear relaxations (`settle_boxes`).

    Parameters
    ----------
    a, b : ReLUNetwork or PiecewiseLinearNetwork
        With at least two outputs.
    domain : Box or Polyhedron
        Bounded.
    margin : float
        Relative to the largest output: smaller leads count as ties.
    budget : Budget, optional
        Where enumeration does not end in 0.7 of the time, boxes have the rest; without a budget they have 30 seconds.
    method : {'auto', 'regions', 'bound'}
        'regions' and 'bound' leave out witnesses, forms and the other way.
    progress : optional

    Examples
    --------
    >>> import polyfiber as pf
    >>> from polyfiber.equivalence.top1.decide import top1_agreement
    >>> from polyfiber.network.moves import random_trivial
    >>> a = pf.ReLUNetwork.random((2, 4, 3), rng=0)
    >>> box = pf.Box(-1, 1, dimension=2)
    >>> top1_agreement(a, random_trivial(a, rng=1)(a), box).verdict
    <Verdict.YES: 'yes'>
    """
    a, b = function_chain(a), function_chain(b)
    check_pair(a, b)
    if not (isinstance(margin, Real) and 0 <= margin < np.inf):
        raise InputError(f"margin must be a finite number >= 0, found {margin!r}: leads up to it count as ties")
    if a.architecture[-1] < 2:
        raise InputError(f"the networks have {a.architecture[-1]} output; a classifier needs at least two")
    if not isinstance(domain, Polyhedron) or domain.dimension != a.architecture[0]:
        raise InputError(f"the domain must be a Box or Polyhedron with {words.count(a.architecture[0], 'coordinate')}")
    if method not in ("auto", "regions", "bound"):
        raise InputError(f"method {method!r} is unknown; expected 'auto', 'regions' or 'bound'")
    monitor = Monitor(budget, progress)
    question = _Question(a, b, domain, float(margin), monitor)
    try:
        with monitor.watching(), np.errstate(over="ignore", invalid="ignore"):
            if method == "auto":
                found = question.at_once()
                if found is not None:
                    return found
            return question.settle(method)
    except BudgetExceededError as error:
        return question.answer(Verdict.UNDECIDED, "none", str(error))


class _Question:
    """One question with its inputs; makes the answers."""

    def __init__(self, a: ReLUNetwork, b: ReLUNetwork, domain: Polyhedron, margin: float, monitor: Monitor) -> None:
        self.a, self.b, self.domain, self.margin, self.monitor = a, b, domain, margin, monitor
        self.fa, self.fb = a.rounded(), b.rounded()
        self.size = 0.0
        """Largest output that was seen."""

    def answer(self, verdict: Verdict, method: str, reason: str, **more: Any) -> Agreement:
        stats = {"seconds": self.monitor.elapsed}
        return Agreement(self.a, self.b, verdict, method, reason, self.margin, domain=self.domain, stats=stats, **more)

    def refuted(self, x: FloatArray, method: str) -> Agreement | None:
        heed("exact arithmetic")
        point = self.domain.exact_point(x) if np.isfinite(x).all() else None
        point = None if point is None else self.domain.exact_point(nearest(point))  # what the witness stands for
        differ = None if point is None else _strict_winners(self.a, self.b, point)
        if point is None or differ is None or not _counts(differ[1], self.margin, self.a, self.b, self.domain):
            return None
        x, winners = nearest(point), differ[0]
        u, v = self.fa(x), self.fb(x)
        proof = Witness(x, (u, v), float(np.abs(u - v).max()), "exact")
        text = f"one chooses class {winners[0]}, the other class {winners[1]}"
        return self.answer(Verdict.NO, method, text, proof=proof, winners=winners)

    def at_once(self) -> Agreement | None:
        """By inputs where the winners differ, or by equal functions."""
        X = candidates(self.fa, self.fb, self.domain, n=2048)
        if len(X):
            u, v = self.fa(X), self.fb(X)
            self.size = float(max(np.abs(u).max(), np.abs(v).max()))
            differ = np.flatnonzero(u.argmax(axis=1) != v.argmax(axis=1))
            lead = np.minimum(_lead(u), _lead(v))
            for i in differ[np.argsort(-lead[differ])][:8]:
                found = self.refuted(X[i], "witness")
                if found is not None:
                    return found
        if self.moves:
            return None
        x, y = rough_form(self.fa), rough_form(self.fb)
        close = _equal_outputs(self.fa, self.fb, self.domain, self.margin)
        if self.a == self.b or close.admits_forms(x.distance(y) + x.noise + y.noise):
            return self.answer(Verdict.YES, "canonical form", "the networks are equal functions", proved=1.0)
        return None

    @cached_property
    def moves(self) -> bool:
        """Whether files, or integers, say more than rounding beside the networks that were read; boxes charge it."""
        box = box_around(self.domain)
        moved = 0.0 if box is None else folding_on((self.a, self.b), box)
        return moved != 0.0 and not moved <= 1e-9 * self.size

    def settle(self, method: str) -> Agreement:
        """By regions where these can be enumerated, by boxes elsewhere."""
        box = box_around(self.domain)
        if box is None:
            raise InputError("the domain is not bounded; top-1 agreement needs a bounded one")
        if not self.size:
            self.size = self._size_inside(box)
        feasible = self.monitor.budget.memory is not None or (expected_vertices(self.fa, self.domain) <= MAX_VERTICES)
        found: Agreement | None = None
        if method != "bound" and feasible:
            part = Monitor(self.monitor.rest(1.0 if method == "regions" else ENUMERATION_SHARE), self.monitor._call)
            try:
                with part.watching():
                    found = self._by_regions(part)
                if found is not None and found.verdict is not Verdict.UNDECIDED:
                    return found
            except BudgetExceededError as error:
                done = error.partial if isinstance(error.partial, float) else 0.0
                found = self.answer(Verdict.UNDECIDED, "none", str(error), proved=done)
            except PolyfiberError as error:
                found = self.answer(Verdict.UNDECIDED, "none", f"{type(error).__name__}: {error}")
        if method == "regions":
            beyond = "the complexes are beyond enumeration"
            return self.answer(Verdict.UNDECIDED, "none", beyond) if found is None else found
        boxes = self._by_boxes(box)
        if found is not None and boxes.verdict is Verdict.UNDECIDED and boxes.proved < found.proved:
            return found
        return boxes

    def _size_inside(self, box: tuple[FloatArray, FloatArray]) -> float:
        """Largest output at inputs of the domain; at the middle of the box around it where none is met."""
        X = candidates(self.fa, self.fb, self.domain, n=256)
        X = X if len(X) else (0.5 * box[0] + 0.5 * box[1])[None]
        return float(max(np.abs(net(X)).max() for net in (self.fa, self.fb)))

    def _by_boxes(self, box: tuple[FloatArray, FloatArray]) -> Agreement:
        rows = None
        if not isinstance(self.domain, Box):
            rows = self.domain.in_floats()
        limit = self.margin * self.size
        found = settle_boxes(
            self.fa, self.fb, box, limit, lambda x: self.refuted(x, "branch and bound"),
            monitor=self.monitor, seconds=SECONDS, rows=rows,
        )  # fmt: skip
        if found.found is not None:
            return cast(Agreement, found.found)
        facts = {"boxes": found.boxes}
        if found.complete:
            reason = f"on {words.every(found.boxes, 'box', 'boxes', each='each of')} one class wins in both, up to {limit:.3g}"
            return self.answer(Verdict.YES, "branch and bound", reason, proved=1.0, certificate=facts)
        reason = f"beyond enumeration, and {found.open} of {words.count(found.boxes, 'box', 'boxes')} {'is' if found.open == 1 else 'are'} open"
        return self.answer(Verdict.UNDECIDED, "none", reason, proved=min(found.share, 1 - 1e-12), certificate=facts)

    def _by_regions(self, monitor: Monitor) -> Agreement | None:
        """Cells of both networks, cut where outputs tie as well; None where cells cannot be made."""
        if self.moves or not products_in_range(self.fa, self.fb):
            return None
        try:
            search = CoverSearch(self.fa, self.fb, self.domain, classes=True)
        except ValueError:
            return None
        monitor.check_memory(search.memory, "comparing cells")
        limit = self.margin * self.size
        rows = np.full(self.fa.architecture[-1], limit)
        found = search.run(rows, monitor)
        if found.suspects:  # every cell has one winner in each network: where they differ the middle shows it
            again = search.run(rows, monitor, stop=SUSPECTS)
            for _, middle in [*found.suspects, *again.suspects]:
                refuted = self.refuted(middle, "regions")
                if refuted is not None:
                    return refuted
            found = again
        facts = {"regions": found.cells, "not compared": found.waiting + found.lost}
        if found.proves:
            reason = f"no cell of {found.cells} has an input with different winners beyond {limit:.3g}"
            return self.answer(Verdict.YES, "regions", reason, proved=1.0, certificate=facts)
        if found.waiting and monitor.late:
            raise BudgetExceededError("comparing cells stopped when the time ended", partial=min(found.share, 1 - 1e-9))
        reason = f"{words.count(found.above, 'cell is', 'cells are')} within rounding of a tie, {found.lost} beyond what floats hold"
        return self.answer(Verdict.UNDECIDED, "none", reason, proved=min(found.share, 1 - 1e-9), certificate=facts)


def _lead(values: FloatArray) -> FloatArray:
    top = np.sort(values, axis=1)
    result: FloatArray = top[:, -1] - top[:, -2]
    return result
