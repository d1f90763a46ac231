"""Check an answer about a pair of networks anew, by other ways than the one it was found.

What is shared are the two networks, and searches that `decide` has too (cells, relations): the way that found the
answer is not taken again, or the networks change places in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ... import words
from ..._once import cached_property
from ..._typing import Array, FloatArray
from ...bounds.relaxation import bounding_box
from ...budget import Budget, Monitor
from ...complexes.build import canonical_complex
from ...domain import Box
from ...errors import BudgetExceededError, PolyfiberError
from ...network.model import ReLUNetwork
from ...network.moves import Replace
from ...numerics.floats import as_float, nearest, upward
from ...numerics.rounding import gamma
from ...verdict import Verdict
from ..allowance import SHARE, Allowance
from ..answer import Equivalence, Recheck
from ..bounds.difference import MAX_VERTICES, expected_vertices
from ..bounds.everywhere import bound_on_box
from ..forms.canonical import flat_parameters
from ..forms.shared_features import shared_features
from ..moves_between import parameter_distance, unit_distance
from ..regions.cover import CoverSearch, essential_inputs
from ..relations.claims import input_ranges
from ..relations.prove import SharedFunctions, admitted, by_relations
from ..relations.split import Splitting, by_splitting
from ..witness import candidates, decisive_in, exact_difference, exact_output, rounding_bound
from .bounds import bound_holds
from .cells import bound_on_cells
from .functions import Unproved, proved_bound
from .near import recheck_near
from .planes import highest, relaxed_upper
from .regions import compare_over

SECONDS = 60.0
"""Time for a recheck without a budget."""
MAX_FACES = 20_000_000
"""Expected faces up to which the complex of the other network is tried."""


def recheck(
    answer: Equivalence, *, rng: Any = 0, budget: Budget | None = None, workers: int = 1, scheduler: Any = None
) -> Recheck:
    """Whether an answer holds, as `Equivalence.recheck` describes."""
    if budget is None:
        budget = Budget(seconds=SECONDS)
    if answer.near is not None:
        monitor = Monitor(budget)
        return recheck_near(answer.near, monitor=monitor, rng=rng, workers=workers, scheduler=scheduler)[0]
    work = _Work(answer, Monitor(budget), rng)
    try:
        with work.monitor.watching(), np.errstate(over="ignore", invalid="ignore"):
            if answer.verdict is Verdict.UNDECIDED:
                return work.open_question()
            return work.different() if answer.verdict is Verdict.NO else work.equal()
    except BudgetExceededError as error:
        return work.result(Verdict.UNDECIDED, str(error))


class _Work:
    """One recheck: the answer, the clock, and what held so far."""

    def __init__(self, answer: Equivalence, monitor: Monitor, rng: Any) -> None:
        self.answer, self.monitor, self.rng = answer, monitor, rng
        self.a, self.b = answer.a.rounded(), answer.b.rounded()
        self.allowance = Allowance(self.a, self.b, answer.tolerance, answer.domain)
        self.box = self.allowance.box
        self.epsilon: FloatArray | None = None
        if answer.epsilon is not None:
            self.epsilon = np.array(np.broadcast_to(answer.epsilon, self.a.architecture[-1]), dtype=np.float64)
        self.checks: list[str] = []
        self.missing: list[str] = []

    def result(self, verdict: Verdict, reason: str) -> Recheck:
        return Recheck(verdict, tuple(self.checks), reason, self.monitor.elapsed, self.answer.method)

    @property
    def exactly(self) -> bool:
        """Whether the claim is about the stored numbers as rationals."""
        return self.answer.tolerance == 0 and self.epsilon is None

    @cached_property
    def points(self) -> FloatArray:
        """Fresh inputs of the domain, up to rounding."""
        return candidates(self.a, self.b, self.answer.domain, n=512, rng=self.rng)

    @cached_property
    def limits(self) -> FloatArray:
        """What was asked of each output on a bounded domain, or less: epsilon, or the tolerance times the largest |f_o|
        that is attained for certain.
        """
        domain, X = self.answer.domain, self.points
        if self.epsilon is not None:
            return self.epsilon
        values = np.abs(self.a(X)) - rounding_bound(self.a, X)
        if isinstance(domain, Box) and domain.lo.dtype != object and domain.hi.dtype != object:
            return np.asarray(self.answer.tolerance * values.max(axis=0, initial=0.0))
        reached = np.zeros(values.shape[1])
        assert domain is not None
        for o in range(values.shape[1]):  # inputs that rounding put outside attain nothing
            inside = (domain.exact_point(x) for x in X[np.argsort(-values[:, o])[:16]])
            point = next((x for x in inside if x is not None), None)
            if point is not None:
                reached[o] = as_float(abs(exact_output(self.a, point)[o])) * (1 - 1e-15)
        return np.asarray(self.answer.tolerance * reached)

    @cached_property
    def highest(self) -> FloatArray:
        """Above every |f_o| on a bounded domain."""
        assert self.box is not None
        return highest(self.a, *self.box)

    def explained(self, x: FloatArray) -> FloatArray:
        """A gap of each output (nL,) at an input that is above whatever counts as none: epsilon, or what the tolerance
        explains there.
        """
        if self.epsilon is not None:
            return self.epsilon
        if self.box is None:
            return self.allowance.explains(x)
        return np.asarray(self.answer.tolerance * self.highest * (1 + 1e-12) + self.allowance.rounding(x))

    # ---- different --------------------------------------------------------------------------
    def different(self) -> Recheck:
        """Both networks at the witness in rationals, and whether the tolerance explains the gap."""
        answer, proof = self.answer, self.answer.proof
        if proof is None:
            verdict = answer.exact_verdict if self.exactly else Verdict.UNDECIDED
            return self.result(verdict, "no witness is known")
        point = proof.x if answer.domain is None else answer.domain.exact_point(proof.x)
        if point is None or not np.array_equal(nearest(point), proof.x):
            return self.result(Verdict.NO, "the witness is not in the domain")
        u, v, gap = exact_difference(answer.a, answer.b, point)
        gaps = [abs(p - q) for p, q in zip(u, v)]
        asked = [0.0] * len(gaps) if self.epsilon is None else self.epsilon.tolist()
        if not any(d > limit for d, limit in zip(gaps, asked)):
            return self.result(Verdict.NO, f"the outputs differ by {as_float(gap):.3g} at the witness")
        self.checks.append("the outputs at the witness, in rational arithmetic")
        if self.exactly or self.epsilon is not None:
            return self.result(Verdict.YES, "the networks differ")
        allowed: Any = self.explained(proof.x)
        if not np.isfinite(allowed).all():  # products beyond floats
            allowed = self.allowance.explains_exactly(point)
        if not any(d > limit for d, limit in zip(gaps, allowed.tolist())):
            distance = self._features()
            if distance is not None and self._admits(distance):
                return self.result(Verdict.NO, "they differ, but not by more than the tolerance explains")
            return self.result(
                Verdict.UNDECIDED,
                "they differ at the witness, by what the tolerance could explain; tolerance=0 asks for exact equality",
            )
        self.checks.append("the gap there exceeds what the tolerance explains")
        return self.result(Verdict.YES, "the networks differ")

    # ---- undecided --------------------------------------------------------------------------
    def open_question(self) -> Recheck:
        answer = self.answer
        X = self.points
        gap = np.abs(self.a(X) - self.b(X)).max(axis=1, initial=0.0)
        for bound, what in ((answer.bound, "the bound"), (answer.growth, "the bound of the growth")):
            if bound is None:
                continue
            top = bound(X) if callable(bound) else float(bound)
            worst = np.argsort(top - gap)[:1]
            tops = np.broadcast_to(top, gap.shape)
            if any(decisive_in(answer.domain, self.a, self.b, X[i], tops[i] * (1 + 1e-12)) for i in worst):
                return self.result(Verdict.NO, f"{what} does not hold at an input")
            self.checks.append(f"{what} at {words.count(len(X), 'input')}")
        return self.result(Verdict.YES, "nothing else is claimed")

    # ---- equal ------------------------------------------------------------------------------
    def equal(self) -> Recheck:
        X = self.points
        if self._differ_at(X):
            return self.result(Verdict.NO, "the outputs differ at an input")
        self.checks.append(
            f"values at {words.count(len(X), 'input')}" if not self.exactly else "exact values at inputs"
        )
        for attempt in self._proofs():
            try:
                found = attempt()
            except BudgetExceededError:
                raise
            except PolyfiberError as error:
                self.missing.append(f"{type(error).__name__}: {error}")
                continue
            if found is not None:
                return found
        text = "no proof was completed again"
        return self.result(Verdict.UNDECIDED, "; ".join([text, *self.missing]))

    def _differ_at(self, X: FloatArray) -> bool:
        """Whether the claim fails at an input, certainly inside the domain, beyond all that could be explained."""
        answer, m = self.answer, self.a.architecture[-1]
        if self.exactly:
            chosen = X[:: max(1, len(X) // 32)]
            return any(decisive_in(answer.domain, answer.a, answer.b, x, np.zeros(m)) for x in chosen)
        if not len(X):
            return False
        with np.errstate(invalid="ignore"):
            over = np.nan_to_num((np.abs(self.a(X) - self.b(X)) - self.explained(X)).max(axis=1), nan=-np.inf)
        x = X[int(np.argmax(over))]
        if not over.max() > 0:
            return False
        return decisive_in(answer.domain, answer.a, answer.b, x, self.explained(x)) is not None

    def _proofs(self) -> Iterator[Callable[[], Recheck | None]]:
        """Ways to prove it again, the cheapest first."""
        yield self._by_parameters
        if self.epsilon is None:
            yield self._by_moves
            if self.answer.method != "shared features":  # that would be the same way again
                yield self._by_features
            if self.answer.method != "splitting":
                yield self._by_relations
            if self.answer.method != "relations":
                yield self._by_splitting
        if self.exactly:
            yield self._by_exact_maps
            return
        if self.box is not None:
            yield self._by_weights
        if self.answer.method != "regions":  # that would be the same way again
            yield self._by_cells
        yield self._over_regions
        if self.box is not None:
            yield self._by_boxes

    def _by_parameters(self) -> Recheck | None:
        same = self.answer.a == self.answer.b
        return self.result(Verdict.YES, "the parameters are identical") if same else None

    def _by_moves(self) -> Recheck | None:
        """Moves that keep every function (each checks its own condition when it is applied) and give the second
        network.
        """
        if self.exactly or self.answer.moves is None:
            return None
        moved = self.answer.moves(self.a)
        if parameter_distance(moved, self.b) > 1e-6:
            self.missing.append("the moves do not give the second network")
            return None
        self.checks.append("the moves, applied to the first network, give the second")
        if any(isinstance(move, Replace) for move in self.answer.moves.moves):
            return None  # this one only says what was exchanged
        if not self._admits(unit_distance(moved, self.b), moved):
            return None
        return self.result(Verdict.YES, "moves that keep every function turn the first network into the second one")

    def _features(self) -> float | None:
        answer = self.answer
        if self.exactly:
            return shared_features(answer.a, answer.b, tolerance=0.0)
        noise = float(answer.certificate.get("allowed", 0.0)) if isinstance(answer.certificate, dict) else 0.0
        return shared_features(answer.a, answer.b, tolerance=max(answer.tolerance, noise, 1e-13))

    def _admits(self, distance: float, moved: ReLUNetwork | None = None) -> bool:
        """Whether forms so close, or parameters of the first network after moves, prove equality within the
        tolerance.
        """
        given = None
        if moved is not None:
            given = np.stack([flat_parameters(net) for net in (moved, self.b)]), np.array(moved.architecture)
        return self.allowance.admits_forms(distance + gamma(8), given)

    def _by_features(self) -> Recheck | None:
        distance = self._features()
        if distance is None or not (self.exactly or self._admits(distance)):
            self.missing.append("the networks do not share their features layer by layer")
            return None
        how = "exactly" if self.exactly else f"to {distance:.2g}"
        return self.result(Verdict.YES, f"the features that both networks share agree {how}, layer by layer")

    def _by_relations(self) -> Recheck | None:
        """Over shared functions: the matrices (of the answer, or found now), multiplied out in rationals by code of its
        own.
        """
        answer = self.answer
        shown = answer.functions if isinstance(answer.functions, SharedFunctions) else None
        if shown is None:
            shown = by_relations(answer.a, answer.b, tolerance=answer.tolerance, domain=answer.domain)
        if shown is None:
            self.missing.append("the networks are not equal over shared functions")
            return None
        a, b = (answer.a, answer.b) if shown.exact else (self.a, self.b)
        try:
            bound = proved_bound(a, b, shown.claims, box=input_ranges(answer.domain, exact=True))
        except Unproved as error:
            self.missing.append(f"the matrices over shared functions do not hold: {error}")
            return None
        return self._over_functions(bound, f"{words.count(shown.claims.functions, 'function')} that both share")

    def _by_splitting(self) -> Recheck | None:
        """On cells that are cut along the difference: that they cover the domain, and on each the same as above."""
        answer = self.answer
        shown = answer.functions if isinstance(answer.functions, Splitting) else None
        if shown is None:
            part = Monitor(self.monitor.rest(0.3))
            shown = by_splitting(answer.a, answer.b, tolerance=answer.tolerance, domain=answer.domain, monitor=part)
        if shown is None or not shown.equal:
            self.missing.append("cells along the difference do not prove it")
            return None
        a, b = (answer.a, answer.b) if shown.exact else (self.a, self.b)
        try:
            bound = bound_on_cells(a, b, shown, domain=answer.domain)
        except Unproved as error:
            self.missing.append(f"cells along the difference do not hold: {error}")
            return None
        return self._over_functions(
            bound, f"shared functions on {words.count(shown.cells, 'cell')} that cover the domain"
        )

    def _over_functions(self, bound: Array, what: str) -> Recheck | None:
        if not (bound != 0).any():
            return self.result(Verdict.YES, f"over {what}, multiplied out in rationals, both are the same")
        if self.exactly or not admitted(upward(bound), self.allowance):
            self.missing.append(f"over {what} the outputs are not so close")
            return None
        return self.result(Verdict.YES, f"over {what}, multiplied out in rationals, both agree within the tolerance")

    def _by_weights(self) -> Recheck | None:
        assert self.answer.domain is not None
        lo, hi = bounding_box(self.answer.domain)
        # the other way round than they were found, and with the ranges of other code
        uppers = [z[0] for z in relaxed_upper(self.b, lo[None], hi[None]).upper_z]
        bound = bound_on_box(self.b, self.a, lo, hi, uppers=uppers)
        if not bound <= self.limits.min():
            self.missing.append(f"the weights bound |f - g| by {bound:.6g}")
            return None
        return self.result(Verdict.YES, f"|f - g| is at most {bound:.6g} by the differences of the weights")

    def _by_exact_maps(self) -> Recheck | None:
        from ..regions.exact import exact_maps_agree

        found = exact_maps_agree(self.answer.b, self.answer.a, self.answer.domain, self.monitor)
        if found.failure is not None:
            near = found.failure + 1e-9 * (self.points[:31] - found.failure)
            if self._differ_at(np.concatenate([found.failure[None], near])):
                return self.result(Verdict.NO, "the exact maps differ on a region")
            self.missing.append("exact maps differ on a region, which a flat domain does not show")
            return None
        if found.remaining:
            self.missing.append(found.stopped)
            return None
        reason = f"the exact maps agree on {words.count(found.regions, 'region')} of both networks side by side, enumerated again"
        return self.result(Verdict.YES, reason)

    def _by_cells(self) -> Recheck | None:
        """Cells of both networks (`regions.cover`), for answers that were found another way."""
        answer = self.answer
        f, g, _ = essential_inputs(self.a, self.b) if answer.domain is None else (self.a, self.b, None)
        if min(expected_vertices(net, answer.domain) for net in (f, g)) > MAX_VERTICES:
            self.missing.append("the cells of both networks are beyond enumeration")
            return None
        try:
            search = CoverSearch(f, g, answer.domain)
        except ValueError as error:
            self.missing.append(str(error))
            return None
        limits = np.zeros(f.architecture[-1]) if self.box is None else self.limits
        share, blurs = (SHARE * answer.tolerance, 1.0) if self.epsilon is None else (0.0, 0.0)
        found = search.run(limits, Monitor(self.monitor.rest(0.6)), share=share, blurs=blurs)
        if found.proves:
            return self.result(
                Verdict.YES,
                f"{words.count(found.cells, 'cell of both networks confirms', 'cells of both networks confirm')} it",
            )
        if self.epsilon is not None and any(
            decisive_in(answer.domain, answer.a, answer.b, x, self.epsilon) for x in found.where
        ):
            return self.result(Verdict.NO, f"|f - g| reaches {found.gap.max():.6g}")
        self.missing.append(
            f"{words.count(found.above + found.lost + found.waiting, 'cell does', 'cells do')} not confirm it"
        )
        return None

    def _over_regions(self) -> Recheck | None:
        """The regions of one network, its complex certified anew, cut where the other bends; no step is shared with
        `regions.cover`.
        """
        answer = self.answer
        f, g, _ = essential_inputs(self.a, self.b) if answer.domain is None else (self.a, self.b, None)
        f, g = (f, g) if f.n_hidden >= g.n_hidden else (g, f)
        part = Monitor(self.monitor.rest(0.7))
        limits = np.zeros(f.architecture[-1]) if self.box is None else self.limits
        share = None if self.epsilon is not None else 0.0 if self.box is not None else answer.tolerance
        for first, second in ((f, g), (g, f)):
            if expected_vertices(first, answer.domain) << min(first.architecture[:2]) > MAX_FACES:
                self.missing.append("the complex of a network is beyond enumeration")
                continue
            try:
                with part.watching():
                    cx = canonical_complex(first, answer.domain, budget=part.rest())
                    if cx.lineality_dimension or not cx.certificate.verify().ok:
                        self.missing.append("a network has no corner, or its complex no valid certificate")
                        continue
                    look = compare_over(cx, first, second, limits, share, part)
            except BudgetExceededError as error:
                self.missing.append(str(error))
                return None
            if look.confirms:
                reason = f"confirmed on {words.count(look.pieces, 'piece')} of {words.count(cx.n_regions, 'region')} of a network, its complex certified anew"
                return self.result(Verdict.YES, reason)
            self.missing.append(
                f"{words.count(look.open, 'piece stays', 'pieces stay')} open, and bounds are at most {look.worst:.3g} of what is allowed"
            )
        return None

    def _by_boxes(self) -> Recheck | None:
        domain = self.answer.domain
        assert domain is not None
        limit = float(self.limits.min())
        found = bound_holds(self.a, self.b, domain, bounding_box(domain), limit, monitor=self.monitor)
        what = f"{words.count(found.boxes, 'box', 'boxes')} and {words.count(found.programs, 'linear program')}"
        if found.complete:
            return self.result(Verdict.YES, f"|f - g| is at most {limit:.6g} by another relaxation: {what}")
        self.checks.append(f"the bound on {100 * found.share:.3g} % of the volume by another relaxation: {what}")
        return None
