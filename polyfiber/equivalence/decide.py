"""Are two networks the same function? Any architecture, any depth, with evidence.

Accept when canonical forms agree; reject by a witness; otherwise decide by geometry: over the
regions of a canonical complex, on bounded domains by the exact maximum of ``|f - g|``, and beyond the
reach of enumeration by branch and bound. Beyond the bottleneck the problem is coNP-hard, so a budget
may end it with *undecided* and what was proved.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from .._typing import FloatArray, ProgressLike
from ..budget import Budget, Monitor
from ..complexes.build import canonical_complex
from ..complexes.complex import PolyhedralComplex
from ..domain import Polyhedron
from ..errors import BudgetExceededError, GenericityError, IncompleteError, InputError, PolyfiberError, ShapeError
from ..network.model import ReLUNetwork
from ..verdict import Verdict
from .answer import Difference, Equivalence, exact_verdict
from .bounds.difference import MAX_VERTICES, box_around, expected_vertices, maximum_difference
from .bounds.difference_network import check_same_ends
from .bounds.everywhere import bound_on_box, growth_bound
from .bounds.near_equal import NEAR_SECONDS, Question
from .forms.canonical import CanonicalForm, canonical_form, compare_raw, flat_parameters, form_of, raw_forms
from .forms.shared_features import shared_features
from .partial import ProvedPart, agreeing_cells, go_by_blocks
from .regions.compare import RegionReport, compare_over, output_maps
from .witness import Witness, as_float, beyond_tolerance, candidates, exact_output, make_witness, surely_different

MAX_BLOCKWISE = 10**11
"""Largest expected complex that is begun, block by block, within a time budget."""
LARGE = 1_000_000
"""Parameters beyond which a few inputs are tried before anything else."""
ONE_PIECE = 50_000
"""Expected vertices beyond which a complex is gone through by blocks when the time is limited."""


def _check(a: Any, b: Any, domain: Any, tolerance: float, epsilon: Any) -> None:
    for net in (a, b):
        if not isinstance(net, ReLUNetwork):
            raise InputError(
                f"expected two ReLUNetworks, found {type(net).__name__}; see polyfiber.read_network, from_torch"
            )
    check_same_ends(a, b)
    if domain is not None and not isinstance(domain, Polyhedron):
        raise InputError(f"domain must be None, a Box or a Polyhedron, found {type(domain).__name__}")
    if domain is not None and domain.dimension != a.architecture[0]:
        raise ShapeError(f"the domain has {domain.dimension} coordinates but the networks {a.architecture[0]} inputs")
    if not 0 <= tolerance < 1:
        raise InputError(f"tolerance must lie in [0, 1), found {tolerance}; 0 asks for exact equality")
    if epsilon is not None and domain is None:
        raise InputError("epsilon bounds |f - g| on a bounded domain; pass a Box or a bounded Polyhedron")


def are_equivalent(
    a: ReLUNetwork,
    b: ReLUNetwork,
    domain: Polyhedron | None = None,
    *,
    tolerance: float = 1e-9,
    epsilon: Any = None,
    relative: Any = 0.0,
    budget: Budget | None = None,
    method: str = "auto",
    progress: ProgressLike = None,
) -> Equivalence:
    """Decide whether two networks compute the same function.

    Parameters
    ----------
    a, b : ReLUNetwork
        With the same number of inputs and outputs; widths and depths may differ.
    domain : Box or Polyhedron, optional
        All of R^n by default.
    tolerance : float
        Relative. On R^n: walls, weights and affine pieces agree, each block of coefficients within
        the tolerance of its size. On a bounded domain: ``max |f - g|`` is at most the tolerance times
        the largest ``|f|`` there. 0: exact equality of the stored numbers as rationals.
    epsilon : float or (nL,) array, optional
        Ask instead whether ``|f_o - g_o| <= epsilon_o + relative_o |f_o|`` for every output on the (bounded) domain.
    relative : float or (nL,) array
        Beside epsilon.
    budget : Budget, optional
    method : {'auto', 'forms', 'regions', 'bound'}
        'forms' stops after canonical forms and witnesses; 'regions' goes straight to geometry;
        'bound' to branch and bound on the box.
    progress : bool or callable, optional

    Returns
    -------
    Equivalence

    Raises
    ------
    ShapeError
        Different numbers of inputs or outputs.

    Notes
    -----
    Canonical forms: The Symmetries of Three-Layer ReLU Networks, Theorem 5 and §6. About 0.1 ms where they
    decide; by regions about 0.1 ms a region.

    Examples
    --------
    >>> import polyfiber as pf
    >>> from polyfiber.network.moves import random_trivial
    >>> a = pf.ReLUNetwork.random((4, 4, 3, 2), rng=0)
    >>> eq = pf.are_equivalent(a, random_trivial(a, rng=1)(a))
    >>> eq.verdict, eq.method, eq.exact_verdict
    (<Verdict.YES: 'yes'>, 'canonical form', <Verdict.NO: 'no'>)
    """
    _check(a, b, domain, tolerance, epsilon)
    if method not in ("auto", "forms", "regions", "bound"):
        raise InputError(f"method {method!r} is unknown; expected 'auto', 'forms', 'regions' or 'bound'")
    monitor = Monitor(budget, progress)
    pair = _Pair(a, b, domain, tolerance, epsilon, monitor, method)
    if a == b:
        return pair.yes("parameters", "identical parameters", bound=0.0, known_exact=Verdict.YES)
    if epsilon is not None and method in ("auto", "bound"):
        return _near(pair, relative)
    # values beyond the range of floats decide nothing
    with monitor.watching(), np.errstate(over="ignore", invalid="ignore"):
        try:
            if domain is not None:
                return _on_domain(pair)
            return _exactly(pair) if tolerance == 0 else _everywhere(pair)
        except BudgetExceededError as error:
            return pair.undecided(str(error))


class _Pair:
    """A question with its inputs; makes the answers."""

    def __init__(
        self, a: ReLUNetwork, b: ReLUNetwork, domain: Polyhedron | None, tolerance: float,
        epsilon: float | None, monitor: Monitor, method: str,
    ) -> None:  # fmt: skip
        self.a, self.b, self.domain, self.tolerance, self.epsilon = a, b, domain, tolerance, epsilon
        self.monitor, self.method = monitor, method
        self.fa, self.fb = a.rounded(), b.rounded()

    def _answer(self, verdict: Verdict, method: str, reason: str, **more: Any) -> Equivalence:
        return Equivalence(
            self.a, self.b, verdict, method, reason, self.tolerance, domain=self.domain, epsilon=self.epsilon,
            stats={"seconds": self.monitor.elapsed}, **more,
        )  # fmt: skip

    def yes(self, method: str, reason: str, **more: Any) -> Equivalence:
        return self._answer(Verdict.YES, method, reason, proved=1.0, **more)

    def no(self, method: str, reason: str, proof: Witness | None, **more: Any) -> Equivalence:
        if proof is not None:
            more = {"bound": proof.gap, "known_exact": Verdict.NO, **more}
        return self._answer(Verdict.NO, method, reason, proof=proof, **more)

    def undecided(self, reason: str, *, part: ProvedPart | None = None, **more: Any) -> Equivalence:
        """The answer with the part that was proved, and a bound on the rest, as good as a moment allows."""
        part = ProvedPart(domain=self.domain, share=more.pop("proved", 0.0)) if part is None else part
        if self.tolerance > 0 and self.epsilon is None and not part.blocks:
            X = candidates(self.fa, self.fb, self.domain, n=64, rng=3)
            part = replace(part, cells=agreeing_cells(self.fa, self.fb, X, tolerance=self.tolerance))
        growth = growth_bound(self.a, self.b, quick=self.monitor.late)
        part = replace(part, growth=growth)
        box = box_around(self.domain)
        if box is not None:
            far = float(growth(np.maximum(np.abs(box[0]), np.abs(box[1]))))
            bounds = [more.get("bound"), far, bound_on_box(self.fa, self.fb, *box)]
            more["bound"] = min(float(v) for v in bounds if v is not None)
        more["certificate"] = {**more.get("certificate", {}), **part.summary}
        return self._answer(Verdict.UNDECIDED, "none", reason, part=part, proved=part.share, **more)

    def any_witness(self, n: int = 512, hint: FloatArray | None = None) -> Witness | None:
        """The best proof of a difference at candidate inputs."""
        X = candidates(self.fa, self.fb, self.domain, n=n, rng=1)
        if hint is not None:
            near = hint + 1e-3 * np.random.default_rng(2).standard_normal((32, len(hint))) * (1e-6 + np.abs(hint))
            X = np.concatenate([hint[None], near if self.domain is None else near[self.domain.contains(near)], X])
        sure = surely_different(self.fa, self.fb, X)
        gap = np.where(sure, np.abs(self.fa(X) - self.fb(X)).max(axis=1), -1.0)
        if hint is not None and sure[0]:
            return make_witness(self.a, self.b, X[0])
        if sure.any():
            return make_witness(self.a, self.b, X[int(np.argmax(gap))])
        if hint is not None:
            return make_witness(self.a, self.b, hint)
        return self.any_witness(16 * n) if n < 10_000 else None


def _forms(pair: _Pair) -> tuple[float, float, CanonicalForm | None, CanonicalForm | None]:
    """Distance of the canonical forms and what rounding allows; the forms themselves when they differ."""
    a, b = pair.fa, pair.fb
    if a.architecture == b.architecture:
        raw = raw_forms(np.stack([flat_parameters(a), flat_parameters(b)]), a.architecture)
        allowed = pair.tolerance + float(raw.noise.sum())
        distance = float(compare_raw(raw, [0], [1], limit=max(1e-3, 2 * allowed))[0][0])
        if distance <= allowed:
            return distance, allowed, None, None
        x, y = form_of(raw, 0), form_of(raw, 1)
    else:
        x, y = canonical_form(a), canonical_form(b)
        allowed = pair.tolerance + x.noise + y.noise
        distance = np.inf
    return min(distance, x.distance(y)), allowed, x, y


def _everywhere(pair: _Pair) -> Equivalence:
    if pair.fa.n_parameters > LARGE and pair.method == "auto":  # a form takes seconds
        found = _by_witness(pair, np.random.default_rng(5).standard_normal((16, pair.fa.architecture[0])))
        if found is not None:
            return found
    distance, allowed = np.inf, 0.0
    x: CanonicalForm | None = None
    y: CanonicalForm | None = None
    if pair.method != "regions":
        distance, allowed, x, y = _forms(pair)
        if distance <= allowed:
            return pair.yes(
                "canonical form", f"canonical forms agree to {distance:.2g}", bound=distance,
                certificate={"form distance": distance, "allowed": allowed},
            )  # fmt: skip
        if len(pair.fa.weights) > 3 or (x is not None and x.decides == "sufficient"):
            shared = shared_features(pair.fa, pair.fb, tolerance=max(allowed, 1e-13))
            if shared is not None:
                return pair.yes(
                    "shared features", f"the features that both networks share agree to {shared:.2g}, layer by layer",
                    bound=shared, certificate={"distance": shared, "allowed": allowed},
                )  # fmt: skip
    found = _by_witness(pair, candidates(pair.fa, pair.fb))
    if found is not None:
        return found
    if x is not None and y is not None:
        answer = _by_forms(pair, distance, x, y)
        if answer is not None:
            return answer
    if pair.method == "forms":
        return pair.undecided(f"canonical forms differ by {distance:.2g}, which decides nothing here")
    return _by_regions(pair, x, y)


def _by_witness(pair: _Pair, X: FloatArray) -> Equivalence | None:
    beyond = beyond_tolerance(pair.fa, pair.fb, X, pair.tolerance)
    if not beyond.any():
        return None
    size = np.where(beyond, np.abs(pair.fa(X) - pair.fb(X)).max(axis=1) / (1 + np.abs(X).max(axis=1)), -1.0)
    proof = make_witness(pair.a, pair.b, X[int(np.argmax(size))])
    reason = "the outputs differ at an input by more than the tolerance explains"
    return None if proof is None else pair.no("witness", reason, proof)


def _by_forms(pair: _Pair, distance: float, x: CanonicalForm, y: CanonicalForm) -> Equivalence | None:
    """Different forms of functions that have only one form; None where that is not known."""
    if min(x.margin, y.margin) <= 4 * pair.tolerance:
        return None
    reason = f"canonical forms differ by {distance:.2g}, and equal functions have equal forms here"
    if x.decides == y.decides == "always":
        return pair.no("canonical form", reason, pair.any_witness())
    if "constant" in (x.kind, y.kind) or "sufficient" in (x.decides, y.decides):
        return _scalar(pair)
    if pair.method != "forms" and _feasible(pair, limit=20_000):
        proof = pair.any_witness()
        return None if proof is None or not _generic(pair)[0] else pair.no("canonical form", reason, proof)
    possible, certain = _generic(pair)
    if possible:
        proof = pair.any_witness()
        if proof is not None or certain:
            return pair.no("canonical form", reason, proof)
    return None


def _generic(pair: _Pair) -> tuple[bool, bool]:
    """Whether both networks may be, and whether they surely are, in the regime of the theorem.

    Small minors of wide matrices do not speak against it: relative determinants shrink exponentially
    with the size.
    """
    from ..fibers.regime import check_regime

    regimes = [check_regime(net, limit=256) for net in (pair.a, pair.b)]
    possible = all(
        r.generic is not Verdict.NO
        or (r.bottleneck and r.position_margin > 0 and all("general position" in v for v in r.violations))
        for r in regimes
    )
    return possible, all(r.generic is Verdict.YES for r in regimes)


def _scalar(pair: _Pair) -> Equivalence | None:
    """Two hidden layers with one neuron in the first: functions of one variable."""
    if not all(len(n.weights) == 3 and n.architecture[1] == 1 for n in (pair.fa, pair.fb)):
        return None
    from .forms.distance import function_distance

    distance = function_distance(pair.fa, pair.fb)
    if distance is None:
        return None
    if distance <= pair.tolerance + 1e-12:
        return pair.yes("scalar function", f"functions of one variable agree to {distance:.2g}", bound=distance)
    proof = pair.any_witness()
    return None if proof is None else pair.no("scalar function", "functions of one variable differ", proof)


def _vertices(pair: _Pair) -> int:
    """Vertices expected in the smaller of the complexes."""
    return min(expected_vertices(net, pair.domain) for net in (pair.fa, pair.fb))


def _feasible(pair: _Pair, limit: int = MAX_VERTICES) -> bool:
    return _vertices(pair) <= limit


def _by_regions(pair: _Pair, x: CanonicalForm | None, y: CanonicalForm | None) -> Equivalence:
    size = _vertices(pair)
    too_large = size > MAX_VERTICES and pair.monitor.budget.memory is None
    if too_large or (size > ONE_PIECE and pair.monitor.left is not None):
        return _by_blocks(pair, size)
    attempts = [(pair.fa, pair.fb), (pair.fb, pair.fa)]
    if x is None or y is None:
        x, y = canonical_form(pair.fa), canonical_form(pair.fb)
    try:
        tidy = (x.to_network(), y.to_network())
        attempts += [tidy, (tidy[1], tidy[0])]
    except PolyfiberError:
        pass
    reason, part = "not decided", None
    if pair.fa.n_hidden < pair.fb.n_hidden:
        attempts[0], attempts[1] = attempts[1], attempts[0]
    for f, g in attempts:
        report = RegionReport()
        try:
            cx = canonical_complex(f, pair.domain, budget=pair.monitor.rest(), progress=pair.monitor._call)
            report = compare_over(cx, f, g, tolerance=pair.tolerance, monitor=pair.monitor)
        except BudgetExceededError as error:
            if isinstance(error.partial, RegionReport):
                part = _part_of(error.partial, f)
            return pair.undecided(str(error), part=part)
        except (GenericityError, IncompleteError, PolyfiberError) as error:
            reason = f"{type(error).__name__}: {error}"
            continue
        facts = {
            "regions": report.n_regions, "contained": report.contained, "split": report.split,
            "f_vector": list(cx.f_vector), "largest relative difference": report.largest,
        }  # fmt: skip
        if report.equal is False:
            proof = pair.any_witness(hint=report.witness)
            return pair.no("regions", report.reason, proof, certificate=facts)
        if report.equal:
            reason = f"the affine pieces agree on all {report.n_regions} regions"
            return pair.yes("regions", reason, bound=report.largest, certificate=facts)
        reason, part = report.reason, _part_of(report, f)
    return pair.undecided(reason, part=part)


def _part_of(report: RegionReport, f: ReLUNetwork) -> ProvedPart:
    done = report.contained + max(0, report.split - report.open)
    return ProvedPart(f, None, done, min(done / report.n_regions, 1.0 - 1e-9) if report.n_regions else 0.0)


def _by_blocks(pair: _Pair, size: int) -> Equivalence:
    """The regions of the smaller network block by block, in bounded memory, as far as the time goes."""
    if size > MAX_BLOCKWISE or pair.monitor.left is None:
        advice = "pass a box" if size > MAX_BLOCKWISE else "pass a box, or a budget to see how far it gets"
        return pair.undecided(f"about {size:.2g} vertices are beyond enumeration; {advice}")
    f, g = (pair.fa, pair.fb) if pair.fa.n_hidden >= pair.fb.n_hidden else (pair.fb, pair.fa)
    if expected_vertices(f, pair.domain) > 2 * size:
        f, g = g, f
    X = candidates(f, g, pair.domain, n=256, rng=4)
    scale = float(np.abs(output_maps(f, X[:256])[:, :, :-1]).max())
    total = RegionReport()

    def check(cx: PolyhedralComplex) -> tuple[bool, RegionReport | None]:
        report = compare_over(cx, f, g, tolerance=pair.tolerance, monitor=pair.monitor, scale=scale)
        total.largest = max(total.largest, report.largest)
        return report.equal is True, report if report.equal is False else None

    found = go_by_blocks(f, pair.domain, check, pair.monitor)
    facts: dict[str, Any] = {
        "regions": found.regions, "blocks": len(found.blocks), "f_vector": list(found.f_vector),
        "largest relative difference": total.largest,
    }  # fmt: skip
    if found.failure is not None:
        proof = pair.any_witness(hint=found.failure.witness)
        return pair.no("regions", found.failure.reason, proof, certificate=facts)
    if not found.remaining:
        reason = f"the affine pieces agree on all {found.regions} regions, block by block"
        return pair.yes("regions", reason, bound=total.largest, certificate=facts)
    stopped = found.stopped or f"{len(found.remaining)} blocks hold regions that were not decided"
    return pair.undecided(stopped, part=found.part(f, pair.domain), certificate=facts)


def _exactly(pair: _Pair) -> Equivalence:
    verdict, proof = exact_verdict(pair.a, pair.b, pair.domain)
    if verdict is Verdict.YES:
        return pair.yes("canonical form", "exact normal forms are equal", bound=0.0, known_exact=verdict)
    if verdict is Verdict.NO:
        return pair.no("witness", "the exact outputs differ at an input", proof)
    from .regions.exact import exact_by_regions

    if pair.method == "forms":
        return pair.undecided("exact normal forms differ, and no input was found where the functions do")
    size = _vertices(pair)
    if size > (200_000 if pair.monitor.left is None else MAX_BLOCKWISE):
        return pair.undecided(f"exact normal forms differ, and about {size:.2g} vertices are beyond enumeration")
    return exact_by_regions(pair)


def _on_domain(pair: _Pair) -> Equivalence:
    if pair.epsilon is None and pair.method == "auto":
        if pair.tolerance == 0:
            verdict, proof = exact_verdict(pair.a, pair.b, pair.domain)
            if verdict is Verdict.YES:
                return pair.yes("canonical form", "exact normal forms are equal", bound=0.0, known_exact=verdict)
            if verdict is Verdict.NO:
                return pair.no("witness", "the exact outputs differ at an input", proof)
            if _feasible(pair, 200_000):
                from .regions.exact import exact_by_regions

                return exact_by_regions(pair)
        else:
            distance, allowed, _, _ = _forms(pair)
            if distance <= allowed:
                return pair.yes("canonical form", f"canonical forms agree to {distance:.2g}", bound=distance)
    X = candidates(pair.fa, pair.fb, pair.domain)
    values = pair.fa(X)
    scale = float(max(np.abs(values).max(initial=0.0), 1e-300))
    limit = pair.epsilon if pair.epsilon is not None else pair.tolerance * scale
    gap = np.abs(values - pair.fb(X)).max(axis=1) if len(X) else np.zeros(0)
    if pair.epsilon is not None and len(gap) and gap.max() > limit:
        proof = make_witness(pair.a, pair.b, X[int(np.argmax(gap))])
        if proof is not None and proof.gap > limit:
            return pair.no("witness", f"|f - g| exceeds {limit:.3g} at an input", proof)
    box = box_around(pair.domain)
    if box is not None and pair.method == "auto" and limit > 0:
        by_weights = bound_on_box(pair.fa, pair.fb, *box)
        if by_weights <= limit:
            return pair.yes(
                "weights", f"the weights are so close that |f - g| is at most {by_weights:.6g}", bound=by_weights
            )
    found = maximum_difference(
        pair.fa, pair.fb, pair.domain, monitor=pair.monitor, threshold=limit, method=pair.method,
        enumerable=_feasible(pair),
    )  # fmt: skip
    facts = {"maximum": found.maximum, "upper bound": found.upper, "regions": found.n_regions, "method": found.method}
    scale = max(scale, found.stats.get("largest output", 0.0))
    limit = pair.epsilon if pair.epsilon is not None else pair.tolerance * scale
    slack = 1e-12 * scale if pair.tolerance > 0 or pair.epsilon is not None else 0.0
    if found.upper <= limit + slack and (pair.tolerance > 0 or pair.epsilon is not None):
        return pair.yes(found.method, f"|f - g| is at most {found.upper:.6g}", bound=found.upper, certificate=facts)
    proof = None if found.where is None else make_witness(pair.a, pair.b, found.where)
    if found.maximum > limit + (found.upper - found.maximum if found.complete else 0.0) and proof is not None:
        return pair.no(found.method, f"|f - g| reaches {found.maximum:.6g}", proof, certificate=facts)
    if proof is not None and pair.tolerance == 0 and pair.epsilon is None:
        return pair.no(found.method, f"|f - g| reaches {found.maximum:.6g}", proof, certificate=facts)
    return pair.undecided(
        f"|f - g| lies between {found.maximum:.6g} and {found.upper:.6g}, the limit is {limit:.6g}",
        bound=found.upper, proved=found.proved, certificate=facts,
    )  # fmt: skip


def _near(pair: _Pair, relative: Any) -> Equivalence:
    """Is |f - g| within an allowance? By splitting boxes; allowances of zero ask for equality."""
    assert pair.domain is not None
    question = Question.of(pair.a, pair.b, pair.domain, pair.epsilon, relative)
    if not question.epsilon.any() and not question.relative.any():
        return are_equivalent(
            pair.a, pair.b, pair.domain, tolerance=0.0, budget=pair.monitor.rest(), progress=pair.monitor._call
        )
    found = question.answer(
        question.search().run(pair.monitor, seconds=NEAR_SECONDS if pair.monitor.left is None else None)
    )
    proof = None
    if found.point is not None and found.verdict is Verdict.NO:
        x = found.point
        proof = Witness(x, (exact_output(pair.a, x), exact_output(pair.b, x)), as_float(found.gap), "exact")
    known = Verdict.NO if found.gap is not None and found.gap > 0 else None
    return Equivalence(
        pair.a, pair.b, found.verdict, "branch and bound", found.reason, pair.tolerance, domain=pair.domain,
        epsilon=pair.epsilon, bound=found.bound if proof is None else proof.gap, proof=proof, proved=found.proved,
        certificate=found.summary, stats={"seconds": pair.monitor.elapsed}, known_exact=known, near=found,
    )  # fmt: skip


def difference(
    a: ReLUNetwork,
    b: ReLUNetwork,
    domain: Polyhedron | None = None,
    *,
    budget: Budget | None = None,
    method: str = "auto",
    progress: ProgressLike = None,
) -> Difference:
    """Where two networks differ and by how much: for fine-tuned, pruned or quantised pairs.

    On a bounded domain ``max |f - g|`` is attained at a vertex of the complex of both networks clipped to
    the domain, so enumeration gives it exactly (up to rounding, which is bounded). Beyond the reach of
    enumeration branch and bound on a box gives two bounds.

    Parameters
    ----------
    a, b : ReLUNetwork
    domain : Box or Polyhedron, optional
        On R^n the maximum is infinite unless the slopes agree far out.
    budget : Budget, optional
    method : {'auto', 'regions', 'bound', 'milp'}
        'milp': a mixed-integer program solved by HiGHS (boxes only).

    Returns
    -------
    Difference

    Examples
    --------
    >>> import polyfiber as pf
    >>> a = pf.ReLUNetwork.random((2, 4, 1), rng=0)
    >>> b = pf.ReLUNetwork(a.weights, [a.biases[0], a.biases[1] + 0.25])
    >>> found = pf.difference(a, b, pf.Box(-1, 1, dimension=2))
    >>> round(found.maximum, 12), found.complete
    (0.25, True)
    """
    _check(a, b, domain, 1e-9, None)
    if method not in ("auto", "regions", "bound", "milp"):
        raise InputError(f"method {method!r} is unknown; expected 'auto', 'regions', 'bound' or 'milp'")
    monitor = Monitor(budget, progress)
    pair = _Pair(a, b, domain, 1e-9, None, monitor, method)
    enumerable = method in ("auto", "regions") and _feasible(pair)
    return maximum_difference(
        pair.fa, pair.fb, domain, monitor=monitor, threshold=None, method=method, enumerable=enumerable
    )
