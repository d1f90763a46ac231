"""Do two classifiers choose the same class everywhere on a domain? A counterexample or a proof."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np

from ..._typing import FloatArray, IntArray, ProgressLike
from ...budget import Budget, Monitor, heed
from ...complexes.build import canonical_complex
from ...complexes.complex import PolyhedralComplex
from ...domain import Box, Polyhedron
from ...errors import BudgetExceededError, GenericityError, IncompleteError, InputError, PolyfiberError
from ...network.model import ReLUNetwork
from ...numerics.lp import solve_lp
from ...verdict import Verdict
from ..answer import Recheck
from ..bounds.difference import ENUMERATION_SHARE, MAX_VERTICES, box_around, expected_vertices
from ..bounds.difference_network import check_same_ends, difference_network
from ..forms.canonical import canonical_form
from ..forms.shared_features import shared_features
from ..regions.compare import affine_pieces, bends_inside, incidence, output_maps, shrunk_region
from ..witness import Witness, candidates, exact_output, rounding_bound
from .boxes import settle_boxes

SECONDS = 30.0
"""Time for boxes without a budget."""


@dataclass(frozen=True, eq=False)
class Agreement:
    """Whether the largest output is the same everywhere on a domain.

    Attributes
    ----------
    verdict : Verdict
        YES: no input of the domain has different strict winners by more than ``margin``.
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

    def __bool__(self) -> bool:
        return bool(self.verdict)

    @property
    def witness(self) -> FloatArray | None:
        """Input where the winners differ, or None."""
        return None if self.proof is None else self.proof.x

    def recheck(self, *, rng: Any = 0, budget: Budget | None = None) -> Recheck:
        """Check the answer anew, and say what was checked.

        NO: both networks are evaluated at the witness in rational arithmetic. YES: fresh inputs have no different winners
        beyond the margin, and either the networks share their features (`shared_features`) or the question is answered again by
        the other of the two ways, regions and boxes. UNDECIDED claims nothing.

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
            return Recheck(verdict, tuple(checks), reason, monitor.elapsed)

        if self.verdict is Verdict.NO:
            good = self.proof is not None and _strict_winners(self.a, self.b, self.proof.x) == self.winners
            return result(Verdict.of(good), "the winners at the witness, in rational arithmetic")
        if self.verdict is Verdict.UNDECIDED:
            return result(Verdict.YES, "nothing is claimed")
        assert self.domain is not None
        a, b = self.a.rounded(), self.b.rounded()
        X = candidates(a, b, self.domain, n=2048, rng=rng)
        if len(X) and _disagree(a, b, X, self.margin):
            return result(Verdict.NO, "the winners differ at an input")
        checks.append(f"the winners at {len(X)} inputs")
        if shared_features(self.a, self.b, tolerance=1e-9) is not None:
            return result(Verdict.YES, "the networks are equal functions by the features that they share")
        way = "regions" if self.method == "branch and bound" else "bound"
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


def _strict_winners(a: ReLUNetwork, b: ReLUNetwork, x: FloatArray) -> tuple[int, int] | None:
    """Different unique winners in rational arithmetic, or None."""
    found = []
    for net in (a, b):
        values = list(exact_output(net, x))
        top = max(values)
        if values.count(top) != 1:
            return None
        found.append(values.index(top))
    return (found[0], found[1]) if found[0] != found[1] else None


def top1_agreement(
    a: ReLUNetwork,
    b: ReLUNetwork,
    domain: Polyhedron,
    *,
    margin: float = 1e-9,
    budget: Budget | None = None,
    method: str = "auto",
    progress: ProgressLike = None,
) -> Agreement:
    """Decide whether two classifiers agree on the class of every input of a bounded domain.

    Both networks are affine on every region of the two side by side. A region whose vertices all have
    the same strict winner in both is settled; on the others a linear program per pair of classes
    looks for an input where they win with a margin. Beyond enumeration boxes are settled by linear relaxations (`settle_boxes`).

    Parameters
    ----------
    a, b : ReLUNetwork
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
    check_same_ends(a, b)
    if a.architecture[-1] < 2:
        raise InputError(f"the networks have {a.architecture[-1]} output; a classifier needs at least two")
    if not isinstance(domain, Polyhedron) or domain.dimension != a.architecture[0]:
        raise InputError(f"the domain must be a Box or Polyhedron with {a.architecture[0]} coordinates")
    if method not in ("auto", "regions", "bound"):
        raise InputError(f"method {method!r} is unknown; expected 'auto', 'regions' or 'bound'")
    monitor = Monitor(budget, progress)
    question = _Question(a, b, domain, margin, monitor)
    try:
        with monitor.watching():
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
        if isinstance(self.domain, Box):
            x = np.clip(x, self.domain.lo.astype(np.float64), self.domain.hi.astype(np.float64))
        elif not bool(self.domain.contains(x)):
            return None
        heed("exact arithmetic")
        winners = _strict_winners(self.a, self.b, x)
        if winners is None:
            return None
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
        if canonical_form(self.fa).matches(canonical_form(self.fb), tolerance=min(self.margin, 1e-9)):
            return self.answer(Verdict.YES, "canonical form", "the networks are equal functions", proved=1.0)
        return None

    def settle(self, method: str) -> Agreement:
        """By regions where these can be enumerated, by boxes elsewhere."""
        box = box_around(self.domain)
        feasible = self.monitor.budget.memory is not None or (expected_vertices(self.fa, self.domain) <= MAX_VERTICES)
        found: Agreement | None = None
        if method != "bound" and feasible:
            only = method == "regions" or box is None
            part = Monitor(self.monitor.rest(1.0 if only else ENUMERATION_SHARE), self.monitor._call)
            try:
                with part.watching():
                    return self._by_regions(part)
            except BudgetExceededError as error:
                done = error.partial if isinstance(error.partial, float) else 0.0
                found = self.answer(Verdict.UNDECIDED, "none", str(error), proved=done)
            except PolyfiberError as error:
                found = self.answer(Verdict.UNDECIDED, "none", f"{type(error).__name__}: {error}")
        if method == "regions" or box is None:
            beyond = "the complexes are beyond enumeration"
            return self.answer(Verdict.UNDECIDED, "none", beyond) if found is None else found
        boxes = self._by_boxes(box)
        if found is not None and boxes.verdict is Verdict.UNDECIDED and boxes.proved < found.proved:
            return found
        return boxes

    def _by_boxes(self, box: tuple[FloatArray, FloatArray]) -> Agreement:
        rows = None
        if not isinstance(self.domain, Box):
            rows = (self.domain.A.astype(np.float64), self.domain.b.astype(np.float64))
        if not self.size:
            middle = 0.5 * (box[0] + box[1])
            self.size = float(max(np.abs(net(middle)).max() for net in (self.fa, self.fb)))
        limit = self.margin * self.size
        found = settle_boxes(
            self.fa, self.fb, box, limit, lambda x: self.refuted(x, "branch and bound"),
            monitor=self.monitor, seconds=SECONDS, rows=rows,
        )  # fmt: skip
        if found.found is not None:
            return cast(Agreement, found.found)
        facts = {"boxes": found.boxes}
        if found.complete:
            reason = f"on each of {found.boxes} boxes one class wins in both, up to {limit:.3g}"
            return self.answer(Verdict.YES, "branch and bound", reason, proved=1.0, certificate=facts)
        reason = f"beyond enumeration, and {len(found.heap)} of {found.boxes} boxes are open"
        return self.answer(Verdict.UNDECIDED, "none", reason, proved=min(found.share, 1 - 1e-12), certificate=facts)

    def _by_regions(self, monitor: Monitor) -> Agreement:
        fa, fb, domain = self.fa, self.fb, self.domain
        try:
            pieces = [
                canonical_complex(difference_network(fa, fb), domain, budget=monitor.rest(), progress=monitor._call)
            ]
            bent: IntArray = np.zeros(0, dtype=np.int64)
        except GenericityError:  # walls of the two coincide: the regions of one, cut by the other where it bends
            cx = canonical_complex(fa, domain, budget=monitor.rest(), progress=monitor._call)
            forms, signs = affine_pieces(fb, cx.interior_points())
            bends, _ = bends_inside(forms, signs, *incidence(cx), cx.vertices, cx.rays[1], 1e-10, fb, cx.vertex_errors)
            bent = np.flatnonzero(bends)
            inner = [shrunk_region(cx, int(r), fb, 1e-10, monitor) for r in bent]
            pieces = [cx, *(p for p in inner if p is not None)]
        limit = self.margin * max(float(np.abs(net(pieces[0].vertices)).max()) for net in (fa, fb))
        settled = programs = 0
        for number, cx in enumerate(pieces):
            outcome = _by_regions(cx, fa, fb, limit, monitor, self.refuted, bent if number == 0 else bent[:0])
            if isinstance(outcome, Agreement):
                return outcome
            settled, programs = settled + outcome[0], programs + outcome[1]
        total = sum(cx.n_regions for cx in pieces) - len(bent)
        facts = {"regions": total, "settled at vertices": settled, "linear programs": programs}
        reason = f"no region of {total} has an input with different winners beyond {limit:.3g}"
        return self.answer(Verdict.YES, "regions", reason, proved=1.0, certificate=facts)


def _lead(values: FloatArray) -> FloatArray:
    top = np.sort(values, axis=1)
    result: FloatArray = top[:, -1] - top[:, -2]
    return result


def _by_regions(
    cx: PolyhedralComplex, a: ReLUNetwork, b: ReLUNetwork, limit: float, monitor: Monitor, refuted: Any, skip: IntArray
) -> Agreement | tuple[int, int]:
    """A refutation, or how many regions were settled at vertices and by how many programs the others."""
    if len(cx.rays[1]):
        raise InputError("the domain is not bounded; top-1 agreement needs a bounded one")
    inside, _ = incidence(cx)
    v = cx.vertices
    u, w = a(v), b(v)
    first, second = _possible(u, inside, limit), _possible(w, inside, limit)
    same = (first == second) & (first >= 0)
    same[skip] = True
    points = cx.interior_points()
    unsettled = np.flatnonzero(~same)
    maps = [output_maps(net, points[unsettled]) for net in (a, b)]
    programs = 0
    for count, r in enumerate(unsettled):
        monitor.check_time("comparing winners", partial=float(1 - (len(unsettled) - count) / cx.n_regions))
        monitor.report("comparing winners", count, len(unsettled))
        corners = inside[r].indices
        h = cx.h_representation(int(r))
        for i in _candidates(u[corners], limit):
            for j in _candidates(w[corners], limit):
                if i == j:
                    continue
                programs += 1
                x = _separate(maps[0][count], maps[1][count], i, j, h.A, h.b, limit)
                found = None if x is None else refuted(x, "regions")
                if found is not None:
                    return found
    return int(same.sum()) - len(skip), programs


def _possible(values: FloatArray, inside: Any, limit: float) -> IntArray:
    """The class that wins at every vertex of a region, or -1: then it wins on the whole region."""
    winner = values.argmax(axis=1)
    code = np.where(_lead(values) > limit, winner, -1)
    low = np.minimum.reduceat(code[inside.indices], inside.indptr[:-1])
    high = np.maximum.reduceat(code[inside.indices], inside.indptr[:-1])
    return np.where(low == high, low, -1)


def _candidates(values: FloatArray, limit: float) -> list[int]:
    """Classes that no single other class beats at every corner."""
    m = values.shape[1]
    return [
        i for i in range(m) if not any(k != i and bool((values[:, k] - values[:, i] > limit).all()) for k in range(m))
    ]


def _separate(
    A: FloatArray, B: FloatArray, i: int, j: int, G: FloatArray, h: FloatArray, limit: float
) -> FloatArray | None:
    """An input of ``{G x <= h}`` where class i leads in A and class j in B by more than ``limit``."""
    n = A.shape[1] - 1
    rows, right = [np.concatenate([G, np.zeros((len(G), 1))], axis=1)], [h]
    for M, c in ((A, i), (B, j)):
        others = np.delete(np.arange(len(M)), c)
        D = M[others] - M[c]
        rows.append(np.concatenate([D[:, :-1], np.ones((len(D), 1))], axis=1))
        right.append(-D[:, -1])
    cost = np.zeros(n + 1)
    cost[-1] = -1.0
    top = float(np.abs(A).max() + np.abs(B).max() + 1.0) * (1.0 + float(np.abs(h).max()))
    found = solve_lp(
        cost, A_ub=np.concatenate(rows), b_ub=np.concatenate(right), bounds=[(None, None)] * n + [(None, top)]
    )
    if found.x is None or found.x[-1] <= limit:
        return None
    return np.asarray(found.x[:n])
