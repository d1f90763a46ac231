"""Check an answer about a pair of networks anew, by other ways than the one it was found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..._typing import FloatArray
from ...bounds.relaxation import bounding_box, relaxed
from ...budget import Budget, Monitor
from ...complexes.build import canonical_complex
from ...errors import BudgetExceededError, PolyfiberError
from ...network.model import ReLUNetwork
from ...network.moves import Replace
from ...numerics.products import nearest
from ...verdict import Verdict
from ..allowance import Allowance
from ..answer import Equivalence, Recheck
from ..bounds.difference import MAX_VERTICES, expected_vertices
from ..bounds.everywhere import bound_on_box
from ..forms.canonical import flat_parameters
from ..forms.shared_features import shared_features
from ..moves_between import parameter_distance, unit_distance
from ..regions.cover import CoverSearch, essential_inputs
from ..relations.prove import by_relations
from ..relations.split import by_splitting
from ..witness import candidates, exact_difference, magnitude, rounding_bound
from .bounds import bound_holds
from .near import recheck_near
from .regions import compare_over

SECONDS = 60.0
"""Time for a recheck without a budget."""
MAX_FACES = 20_000_000
"""Expected faces up to which the complex of the other network is tried."""


def recheck(answer: Equivalence, *, rng: Any = 0, budget: Budget | None = None) -> Recheck:
    """Whether an answer holds, as `Equivalence.recheck` describes."""
    if budget is None:
        budget = Budget(seconds=SECONDS)
    if answer.near is not None:
        return recheck_near(answer.near, monitor=Monitor(budget), rng=rng)[0]
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
        self.checks: list[str] = []
        self.missing: list[str] = []

    def result(self, verdict: Verdict, reason: str) -> Recheck:
        return Recheck(verdict, tuple(self.checks), reason, self.monitor.elapsed, self.answer.method)

    @property
    def exactly(self) -> bool:
        """Whether the claim is about the stored numbers as rationals."""
        return self.answer.tolerance == 0 and self.answer.epsilon is None

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
        if not gap > (0 if answer.epsilon is None else answer.epsilon):
            return self.result(Verdict.NO, f"the outputs differ by {float(gap):.3g} at the witness")
        self.checks.append("the outputs at the witness, in rational arithmetic")
        if self.exactly or answer.epsilon is not None:
            return self.result(Verdict.YES, "the networks differ")
        if answer.domain is None:
            allowed = Allowance(self.a, self.b, answer.tolerance).explains(proof.x)
        else:  # less than any |f_o| that is reached would be asked for
            X = candidates(self.a, self.b, answer.domain, n=512, rng=self.rng)
            reached = np.abs(self.a(np.concatenate([X, proof.x[None]]))).max(axis=0)
            allowed = answer.tolerance * reached
        if not np.isfinite(allowed).all():  # products beyond floats
            allowed = Allowance(self.a, self.b, answer.tolerance, answer.domain).explains_exactly(point)
        if not any(abs(p - q) > limit for p, q, limit in zip(u, v, allowed)):
            if self._features() is not None:
                return self.result(Verdict.NO, "they differ, but not by more than the tolerance explains")
            return self.result(Verdict.UNDECIDED, "they differ at the witness, by what the tolerance could explain")
        self.checks.append("the gap there exceeds what the tolerance explains")
        return self.result(Verdict.YES, "the networks differ")

    # ---- undecided --------------------------------------------------------------------------
    def open_question(self) -> Recheck:
        answer = self.answer
        X = candidates(self.a, self.b, answer.domain, n=512, rng=self.rng)
        gap = np.abs(self.a(X) - self.b(X)).max(axis=1, initial=0.0)
        noise = (rounding_bound(self.a, X) + rounding_bound(self.b, X)).max(axis=1, initial=0.0)
        for bound, what in ((answer.bound, "the bound"), (answer.growth, "the bound of the growth")):
            if bound is None:
                continue
            top = bound(X) if callable(bound) else float(bound)
            if (gap > top + noise).any():
                return self.result(Verdict.NO, f"{what} does not hold at an input")
            self.checks.append(f"{what} at {len(X)} inputs")
        return self.result(Verdict.YES, "nothing else is claimed")

    # ---- equal ------------------------------------------------------------------------------
    def equal(self) -> Recheck:
        X = candidates(self.a, self.b, self.answer.domain, n=512, rng=self.rng)
        if not self._agree_at(X):
            return self.result(Verdict.NO, "the outputs differ at an input")
        self.checks.append(f"values at {len(X)} inputs" if not self.exactly else "exact values at inputs")
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

    def _agree_at(self, X: FloatArray) -> bool:
        answer = self.answer
        if self.exactly:
            return not any(exact_difference(answer.a, answer.b, x)[2] for x in X[:: max(1, len(X) // 32)])
        if answer.domain is None:
            return not Allowance(self.a, self.b, max(answer.tolerance, 1e-12)).exceeded(X).any()
        gap, noise = np.abs(self.a(X) - self.b(X)), rounding_bound(self.a, X) + rounding_bound(self.b, X)
        return bool((gap <= self._limits(X) + 64 * noise).all())

    def _limits(self, X: FloatArray) -> FloatArray:
        """What was asked of each output on a domain: epsilon, or the tolerance times the largest |f_o|, at least a thousandth of its terms."""
        answer = self.answer
        if answer.epsilon is not None:
            return np.full(self.a.architecture[-1], answer.epsilon)
        lo, hi = bounding_box(answer.domain) if answer.domain is not None else (X.min(axis=0), X.max(axis=0))
        far = np.maximum(np.abs(lo), np.abs(hi)).astype(np.float64)
        terms = np.minimum(magnitude(self.a, far), magnitude(self.b, far))
        reached = np.abs(self.a(X)).max(axis=0, initial=0.0)
        return np.asarray(max(answer.tolerance, 1e-12) * np.maximum(4 * reached, 1e-3 * terms))

    def _limit(self, X: FloatArray) -> float:
        return float(self._limits(X).min())

    def _proofs(self) -> Iterator[Callable[[], Recheck | None]]:
        """Ways to prove it again, the cheapest first."""
        yield self._by_parameters
        if self.answer.epsilon is None:
            yield self._by_moves
            if self.answer.method != "shared features":  # that would be the same way again
                yield self._by_features
            yield self._by_relations
            if self.answer.method not in ("relations", "splitting"):
                yield self._by_splitting
        if self.exactly:
            yield self._by_exact_maps
            return
        if self.answer.domain is not None:
            yield self._by_weights
        if self.answer.method != "regions":  # that would be the same way again
            yield self._by_cells
        yield self._over_regions
        if self.answer.domain is not None:
            yield self._by_boxes

    def _by_parameters(self) -> Recheck | None:
        same = self.answer.a == self.answer.b
        return self.result(Verdict.YES, "the parameters are identical") if same else None

    def _by_moves(self) -> Recheck | None:
        """Moves that keep every function (each checks its own condition when it is applied) and give the second network."""
        if self.exactly or self.answer.moves is None:
            return None
        moved = self.answer.moves(self.a)
        if parameter_distance(moved, self.b) > 1e-6:
            return self.result(Verdict.NO, "the moves do not give the second network")
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
        """Whether forms so close, or parameters of the first network after moves, prove equality within the tolerance."""
        given = None
        if moved is not None:
            given = np.stack([flat_parameters(net) for net in (moved, self.b)]), np.array(moved.architecture)
        tolerance = max(4 * self.answer.tolerance, 1e-12)
        return Allowance(self.a, self.b, tolerance, self.answer.domain).admits_forms(distance + 2.0**-50, given)

    def _by_features(self) -> Recheck | None:
        distance = self._features()
        if distance is None or not (self.exactly or self._admits(distance)):
            self.missing.append("the networks do not share their features layer by layer")
            return None
        how = "exactly" if self.exactly else f"to {distance:.2g}"
        return self.result(Verdict.YES, f"the features that both networks share agree {how}, layer by layer")

    def _by_relations(self) -> Recheck | None:
        """Over shared functions, the networks in the other order: for answers that were found so too, the same code on other numbers."""
        answer = self.answer
        if answer.method == "relations":
            return None
        found = by_relations(answer.b, answer.a, tolerance=0.0 if self.exactly else max(answer.tolerance, 1e-12))
        if found is None or (answer.domain is not None and not found.exact):
            self.missing.append("the networks are not equal over shared functions")
            return None
        return self.result(
            Verdict.YES, f"over {found.functions} functions that both share the outputs agree, to {found.distance:.2g}"
        )

    def _by_splitting(self) -> Recheck | None:
        """On cells that are cut along the difference, the networks in the other order: for answers that were found by all cells."""
        answer = self.answer
        tolerance = 0.0 if self.exactly else max(answer.tolerance, 1e-12)
        part = Monitor(self.monitor.rest(0.3))
        found = by_splitting(answer.b, answer.a, tolerance=tolerance, domain=answer.domain, monitor=part)
        if found is None or not found.equal or (answer.domain is not None and not found.exact):
            self.missing.append("cells along the difference do not prove it")
            return None
        return self.result(
            Verdict.YES, f"on {found.cells} cells cut along the difference both are equal over shared functions"
        )

    def _by_weights(self) -> Recheck | None:
        domain = self.answer.domain
        assert domain is not None
        X = candidates(self.a, self.b, domain, n=512, rng=self.rng)
        lo, hi = bounding_box(domain)
        # the other way round than they were found, and with the intervals of other code
        uppers = [] if len(self.b.weights) == 1 else relaxed(self.b, (lo, hi)).high[:-1]
        bound = bound_on_box(self.b, self.a, lo, hi, uppers=uppers)
        if bound > self._limit(X):
            self.missing.append(f"the weights bound |f - g| by {bound:.6g}")
            return None
        return self.result(Verdict.YES, f"|f - g| is at most {bound:.6g} by the differences of the weights")

    def _by_exact_maps(self) -> Recheck | None:
        from ..regions.exact import exact_maps_agree

        found = exact_maps_agree(self.answer.b, self.answer.a, self.answer.domain, self.monitor)
        if found.failure is not None:
            return self.result(Verdict.NO, "the exact maps differ on a region")
        if found.remaining:
            self.missing.append(found.stopped)
            return None
        reason = f"the exact maps agree on {found.regions} regions of both networks side by side, enumerated again"
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
        share, limits = max(answer.tolerance, 1e-12), np.zeros(f.architecture[-1])
        if answer.domain is not None:
            share, limits = 0.0, self._limits(candidates(self.a, self.b, answer.domain, n=512, rng=self.rng))
        blurs = 0.0 if answer.epsilon is not None else 1.0
        found = search.run(limits, Monitor(self.monitor.rest(0.6)), share=share, blurs=blurs)
        if found.proves:
            return self.result(Verdict.YES, f"{found.cells} cells of both networks confirm it")
        if answer.domain is not None and answer.epsilon is not None and found.gap.max() > answer.epsilon:
            where = found.where[int(np.argmax(found.gap))]
            point = answer.domain.exact_point(where)
            if point is not None and exact_difference(answer.a, answer.b, point)[2] > answer.epsilon:
                return self.result(Verdict.NO, f"|f - g| reaches {found.gap.max():.6g}")
        self.missing.append(f"{found.above + found.lost + found.waiting} cells do not confirm it")
        return None

    def _over_regions(self) -> Recheck | None:
        """The regions of one network, its complex certified anew, cut where the other bends; no step is shared with `regions.cover`."""
        answer = self.answer
        f, g, _ = essential_inputs(self.a, self.b) if answer.domain is None else (self.a, self.b, None)
        f, g = (f, g) if f.n_hidden >= g.n_hidden else (g, f)
        part = Monitor(self.monitor.rest(0.7))
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
                    look = compare_over(cx, first, second, self._allowed(), part)
            except BudgetExceededError as error:
                self.missing.append(str(error))
                return None
            if look.confirms:
                reason = f"{look.pieces} pieces of {cx.n_regions} regions of a network confirm it, its complex certified anew"
                return self.result(Verdict.YES, reason)
            self.missing.append(
                f"{look.open} pieces stay open, and bounds are at most {look.worst:.3g} of what is allowed"
            )
        return None

    def _allowed(self) -> Callable[[FloatArray, FloatArray], FloatArray]:
        """What ``|f - g|`` may be at points and along rays: the tolerance of what terms add up to, or the limit on the domain."""
        answer = self.answer
        if answer.domain is not None:
            limits = self._limits(candidates(self.a, self.b, answer.domain, n=512, rng=self.rng))
            return lambda x, point: np.where(point[:, None] > 0, limits, 0.0)
        short = essential_inputs(self.a, self.b)[:2]
        bare = [ReLUNetwork(net.weights, [0 * c for c in net.biases]) for net in short]
        tolerance = max(answer.tolerance, 1e-12)

        def allowed(x: FloatArray, point: FloatArray) -> FloatArray:
            here, far = (np.minimum(*(magnitude(net, x) for net in kind)) for kind in (short, bare))
            return np.asarray(tolerance * np.where(point[:, None] > 0, here, far))

        return allowed

    def _by_boxes(self) -> Recheck | None:
        answer, domain = self.answer, self.answer.domain
        assert domain is not None
        X = candidates(self.a, self.b, domain, n=512, rng=self.rng)
        limit = self._limit(X)
        if answer.epsilon is None and answer.bound is not None and answer.bound <= 4 * limit:
            limit = max(limit, answer.bound)  # the largest output was seen better there
        found = bound_holds(self.a, self.b, domain, bounding_box(domain), limit, monitor=self.monitor)
        what = f"{found.boxes} boxes and {found.programs} linear programs"
        if found.complete:
            return self.result(Verdict.YES, f"|f - g| is at most {limit:.6g} by another relaxation: {what}")
        self.checks.append(f"the bound on {100 * found.share:.3g} % of the volume by another relaxation: {what}")
        return None
