"""Are two networks the same function? Any architecture, any depth, with evidence.

Accept when canonical forms agree; reject by a witness; otherwise cut the domain into cells on which both are affine and
bound ``|f - g|`` on each (`regions.cover`); beyond the reach of cells, branch and bound on boxes. What may make a
verdict is written in `grounds`. Beyond the bottleneck the problem is coNP-hard, so a budget may end it with *undecided*
and what was proved.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from numbers import Real
from typing import Any, Literal

import numpy as np

from .. import words
from .._once import cached_property
from .._typing import FloatArray, ProgressLike
from ..bounds.relaxation import box_is_known, chart_of
from ..budget import Budget, Monitor, heed, unwatched
from ..domain import Box, Polyhedron
from ..errors import BudgetExceededError, InputError, ShapeError
from ..network.float_or_rational import products_in_range
from ..network.model import ReLUNetwork
from ..network.piecewise import function_chain
from ..numerics.exact import as_fractions
from ..numerics.floats import as_float, directed, nearest
from ..numerics.hulls import AffineHull
from ..verdict import Verdict
from .allowance import SHARE, Allowance
from .answer import Difference, Equivalence, exact_verdict
from .bounds.difference import (
    ENUMERATION_SHARE,
    MAX_VERTICES,
    box_around,
    expected_vertices,
    maximum_difference,
)
from .bounds.difference_network import check_pair, on_flat
from .bounds.everywhere import bound_on_box, growth_bound, highest_on
from .bounds.near_equal import NEAR_SECONDS, NearEqual, Question, folding_on
from .bounds.near_equal import allowance as near_allowance
from .bounds.side_by_side import check_workers, settled
from .forms.canonical import CanonicalForm, compare_raw, flat_parameters, form_of, raw_forms, rough_form
from .forms.exact import exact_normal_form
from .forms.shared_features import shared_features
from .grounds import (
    Bounded,
    ComparedCells,
    EqualForms,
    ExactCells,
    Ground,
    ProvedBoxes,
    SameFunctions,
    SameParameters,
    SplitCells,
)
from .partial import ProvedPart, agreeing_cells
from .regions.cover import Covered, CoverSearch, essential_inputs
from .relations.prove import by_relations
from .relations.split import by_splitting
from .witness import (
    Witness,
    candidates,
    decisive_in,
    exact_difference,
    exact_output,
    surely_different,
)

BLURS = 1.0
"""How many times what 32 roundings of parameters and coordinates do to the values of a point a difference may be
without being one.
"""
MAX_BLOCKWISE = 10**11
"""Largest expected complex that is begun, block by block or cell by cell, within a time budget."""
FEW = 50_000
"""Expected vertices up to which cells are compared where splitting boxes does not decide an epsilon."""
PILOT = 1.0
"""Seconds for the expected number of vertices, where it takes longer there are more."""
SPLIT_SHARE = 0.25
"""Of the time, for cells along the difference before all cells of both."""
FEW_CELLS = 32
"""Cells along the difference before exact normal forms of large networks."""
SLOW = 1000
"""Parameters beyond which exact normal forms take longer than shared functions."""
EXACT_INPUTS = 24
"""Inputs that are tried in rationals where floats do not hold the products of parameters."""
MOST_EXACT = 4000
"""Parameters of a pair up to which they are."""
LARGE = 1_000_000
"""Parameters beyond which a few inputs are tried before anything else."""


def _check(a: Any, b: Any, domain: Any, tolerance: float, epsilon: Any, relative: Any) -> None:
    check_pair(a, b)
    if domain is not None and not isinstance(domain, Polyhedron):
        raise InputError(f"domain must be None, a Box or a Polyhedron, found {type(domain).__name__}")
    if domain is not None and domain.dimension != a.architecture[0]:
        raise ShapeError(
            f"the domain has {words.count(domain.dimension, 'coordinate')} but the networks {words.count(a.architecture[0], 'input')}"
        )
    if not (isinstance(tolerance, Real) and 0 <= tolerance < 1):
        raise InputError(f"tolerance must lie in [0, 1), found {tolerance!r}; 0 asks for exact equality")
    if epsilon is not None and domain is None:
        raise InputError("epsilon bounds |f - g| on a bounded domain; pass a Box or a bounded Polyhedron")
    if epsilon is None and not (isinstance(relative, Real) and relative == 0):
        raise InputError(
            "relative stands beside epsilon; pass both, epsilon=0.0 where only the relative part is wanted"
        )
    if epsilon is not None:
        m = b.architecture[-1]
        near_allowance(epsilon, m, "epsilon"), near_allowance(relative, m, "relative")


# more than ten parameters: public: a question, how near, by which way, and within what
def are_equivalent(
    a: Any,
    b: Any,
    domain: Polyhedron | None = None,
    *,
    tolerance: float = 1e-9,
    epsilon: Any = None,
    relative: Any = 0.0,
    budget: Budget | None = None,
    method: Literal["auto", "forms", "regions", "bound"] = "auto",
    progress: ProgressLike = None,
    workers: int = 1,
    scheduler: Any = None,
) -> Equivalence:
    """Decide whether two networks compute the same function.

    Parameters
    ----------
    a, b : ReLUNetwork or PiecewiseLinearNetwork
        With the same number of inputs and outputs; widths and depths may differ. Networks of gates are compared as the
        chains that emulate them (`to_chain`): the same functions exactly. The answer is about these chains.
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
    workers : int
        With epsilon: processes of this machine that share the boxes.
    scheduler : optional
        With epsilon: instead of processes a Dask client, the address of a Dask scheduler, or an executor; ``workers``
        are then the parts of a round.

    Returns
    -------
    Equivalence

    Raises
    ------
    ShapeError
        Different numbers of inputs or outputs.
    InputError
        Options that do not go together.

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
    a, b = function_chain(a), function_chain(b)
    _check(a, b, domain, tolerance, epsilon, relative)
    tolerance = float(tolerance)
    if method not in ("auto", "forms", "regions", "bound"):
        raise InputError(f"method {method!r} is unknown; expected 'auto', 'forms', 'regions' or 'bound'")
    near = epsilon is not None and bool(np.any(epsilon) or np.any(relative)) and method in ("auto", "bound")
    check_workers(workers, scheduler, None if near else "with an epsilon > 0 and the methods 'auto' and 'bound'")
    if method == "forms" and epsilon is not None and bool(np.any(epsilon) or np.any(relative)):
        raise InputError("method 'forms' knows no epsilon; leave the method out, or ask for 'bound' or 'regions'")
    monitor = Monitor(budget, progress)
    pair = _Pair(a, b, domain, tolerance, epsilon, monitor, method)
    if a == b and (epsilon is None or a is b or not (a.source.get("folding") or b.source.get("folding"))):
        return pair.yes(
            SameParameters(), known_exact=Verdict.YES
        )  # near or not, what files say may differ where readers rounded
    # values beyond the range of floats decide nothing
    with np.errstate(over="ignore", invalid="ignore"):
        try:
            with monitor.watching():
                _ = domain is not None and domain.affine_hull  # says so where the domain is empty
                if epsilon is not None:
                    return _near(pair, relative, workers, scheduler)
                if tolerance == 0:
                    return _exactly(pair)
                return _everywhere(pair) if domain is None else _on_domain(pair)
        except BudgetExceededError as error:
            if near and isinstance(domain, Box):
                with unwatched():
                    return _one_box(pair, Question.of(a, b, domain, epsilon, relative), str(error))
            return pair.undecided(str(error))


class _Pair:
    """A question with its inputs; makes the answers."""

    def __init__(
        self, a: ReLUNetwork, b: ReLUNetwork, domain: Polyhedron | None, tolerance: float,
        epsilon: Any, monitor: Monitor, method: str,
    ) -> None:  # fmt: skip
        self.a, self.b, self.domain, self.tolerance, self.epsilon = a, b, domain, tolerance, epsilon
        self.monitor, self.method = monitor, method
        self.fa, self.fb = a.rounded(), b.rounded()

    @cached_property
    def allowance(self) -> Allowance:
        """What the tolerance explains."""
        return Allowance(self.fa, self.fb, self.tolerance, self.domain)

    def _facts(self) -> dict[str, Any]:
        return {"domain": self.domain, "epsilon": self.epsilon, "stats": {"seconds": self.monitor.elapsed}}

    def yes(self, ground: Ground, **more: Any) -> Equivalence:
        return Equivalence.equal(self.a, self.b, self.tolerance, ground, **self._facts(), **more)

    def no(self, method: str, reason: str, proof: Witness, **more: Any) -> Equivalence:
        return Equivalence.different(self.a, self.b, self.tolerance, proof, method, reason, **self._facts(), **more)

    def undecided(self, reason: str, *, part: ProvedPart | None = None, **more: Any) -> Equivalence:
        """The answer with the part that was proved, and a bound on the rest, as good as a moment allows."""
        part = ProvedPart(domain=self.domain, share=more.pop("proved", 0.0)) if part is None else part
        if self.tolerance > 0 and self.epsilon is None and not part.blocks:
            X = candidates(self.fa, self.fb, self.domain, n=64, rng=3)
            part = replace(part, cells=agreeing_cells(self.fa, self.fb, X, tolerance=self.tolerance))
        growth = growth_bound(self.a, self.b, quick=self.monitor.late)
        part = replace(part, growth=growth)
        quick = self.domain is not None and self.monitor.late and not box_is_known(self.domain)
        box = None if quick else box_around(self.domain)
        if box is not None:
            far = float(growth(np.maximum(np.abs(box[0]), np.abs(box[1]))))
            bounds = [more.get("bound"), far, bound_on_box(self.fa, self.fb, *box)]
            more["bound"] = min(float(v) for v in bounds if v is not None)
        more["certificate"] = {**more.get("certificate", {}), **part.summary}
        return Equivalence(
            self.a, self.b, Verdict.UNDECIDED, "none", reason, self.tolerance, part=part, proved=part.share,
            **self._facts(), **more,
        )  # fmt: skip

    def witness_among(self, X: FloatArray) -> Witness | None:
        """The clearest of the inputs at which the gap exceeds what the tolerance explains (on all of R^n)."""
        X = X[np.isfinite(X).all(axis=1)]
        X = X if self.domain is None else X[self.domain.contains(X)]
        if not len(X):
            return None
        beyond = self.allowance.excess(X)
        for i in np.argsort(-beyond)[:2]:
            if beyond[i] > 0.999:
                x = X[i]
                proof = decisive_in(self.domain, self.a, self.b, x, self.allowance.explains(x))
                if proof is not None:
                    return proof
        return None


_EXACT_FORMS = "exact normal forms are equal"
_PAIR = np.zeros(1, dtype=np.int64), np.ones(1, dtype=np.int64)


def _by_forms(pair: _Pair) -> tuple[Equivalence | None, float, float, CanonicalForm | None]:
    """YES where forms are so close, and outputs so large, that no input can speak against it; distance, what rounding
    adds to it, a form where they differ.
    """
    a, b = pair.fa, pair.fb
    x, raw = None, None
    if a.architecture == b.architecture:
        flat = flat_parameters(a, b).reshape(2, -1)
        raw = raw_forms(flat, a.architecture)
        noise = float(raw.noise.sum())
        allowed = pair.tolerance + noise
        distance = float(compare_raw(raw, *_PAIR, limit=max(1e-3, 2 * allowed))[0][0])
        if not distance <= allowed:
            x = form_of(raw, 0)
            distance = min(distance, x.distance(form_of(raw, 1)))
    else:
        x, y = rough_form(a), rough_form(b)
        distance, noise = x.distance(y), x.noise + y.noise
    allowed = pair.tolerance + noise
    if distance <= allowed < 1 and pair.allowance.admits_forms(
        distance + noise, None if raw is None else (flat, raw.widths)
    ):
        return pair.yes(EqualForms(distance, allowed)), distance, noise, x
    return None, distance, noise, x


def _everywhere(pair: _Pair) -> Equivalence:
    if pair.fa.n_parameters > LARGE and pair.method == "auto":  # a form takes seconds
        proof = pair.witness_among(np.random.default_rng(5).standard_normal((16, pair.fa.architecture[0])))
        if proof is not None:
            return pair.no("witness", _DIFFER, proof)
    distance = np.inf
    if pair.method != "regions":
        answer, distance, noise, x = _by_forms(pair)
        if answer is not None:
            return answer
        if len(pair.fa.weights) > 3 or (x is not None and x.decides == "sufficient"):
            allowed = max(pair.tolerance + noise, 1e-13)
            shared = shared_features(pair.fa, pair.fb, tolerance=allowed) if allowed < 1 else None
            if shared is not None and pair.allowance.admits_forms(shared + noise):
                text = "the features that both networks share agree, layer by layer,"
                return pair.yes(EqualForms(shared, allowed, "shared features", text))
    X = candidates(pair.fa, pair.fb)
    proof = pair.witness_among(X)
    if proof is not None:
        return pair.no("witness", _DIFFER, proof)
    tried = pair.method != "auto"
    if pair.method != "regions":
        if pair.fa.n_parameters <= SLOW and exact_normal_form(pair.a) == exact_normal_form(pair.b):
            return pair.yes(EqualForms(0.0, 0.0, text=_EXACT_FORMS), known_exact=Verdict.YES)
        related = _by_relations(pair)
        if related is not None:
            return related
        size = _vertices(pair)
        if not tried and size > FEW:
            tried = True
            split = _by_splitting(pair, SPLIT_SHARE if size <= MAX_VERTICES else 1 - SPLIT_SHARE)
            if split is not None:
                return split
    if pair.method == "forms":
        return pair.undecided(f"canonical forms differ by {distance:.2g}, which decides nothing here")
    if not products_in_range(pair.fa, pair.fb):
        return _beyond_floats(pair, X)
    answer = _by_cells(pair)
    if answer.verdict is Verdict.UNDECIDED and not tried and not pair.monitor.late:
        answer = _by_splitting(pair) or answer
    if answer.verdict is Verdict.UNDECIDED:
        proof = pair.witness_among(climbed(pair, X))
        if proof is not None:
            return pair.no("witness", _DIFFER, proof)
    return answer


def _by_relations(pair: _Pair, tolerance: float | None = None) -> Equivalence | None:
    """YES where both are equal over the functions that they share; on a box, where the bound of what is left out is
    within its limit.
    """
    found = by_relations(
        pair.a, pair.b, tolerance=pair.tolerance if tolerance is None else tolerance, domain=pair.domain
    )
    if found is None:
        return None
    ground = SameFunctions(found.functions, found.distance, found.allowed, found.growth.constant, found.growth.slope)
    return pair.yes(ground, functions=found, **({"known_exact": Verdict.YES} if found.exact else {}))


def _beyond_floats(pair: _Pair, X: FloatArray) -> Equivalence:
    """Where products leave the range of floats: NO by an input at which both, and what the tolerance explains, are
    worked out in rationals.
    """
    X = X[np.isfinite(X).all(axis=1)]
    for x in (
        X[:: max(1, len(X) // EXACT_INPUTS)] if pair.fa.n_parameters + pair.fb.n_parameters <= MOST_EXACT else X[:0]
    ):
        heed("exact arithmetic")
        point = x if pair.domain is None else pair.domain.exact_point(x)
        if point is None:
            continue
        near = nearest(as_fractions(point))
        point = near if pair.domain is None else pair.domain.exact_point(near)  # what the witness stands for
        if point is None:
            continue
        u, v, gap = exact_difference(pair.a, pair.b, point)
        if gap and any(abs(p - q) > limit for p, q, limit in zip(u, v, pair.allowance.explains_exactly(point))):
            return pair.no("witness", _DIFFER, Witness(near, (u, v), as_float(gap), "exact"))
    return pair.undecided(_BEYOND)


def _by_splitting(pair: _Pair, share: float = 1.0, most: int | None = None) -> Equivalence | None:
    """YES or NO by cells that are cut along the difference; None where they do not decide."""
    if pair.tolerance > 0 and not products_in_range(pair.fa, pair.fb):
        return None
    part = Monitor(pair.monitor.rest(share), pair.monitor._call)
    found = by_splitting(pair.a, pair.b, tolerance=pair.tolerance, domain=pair.domain, monitor=part, most=most)
    if found is None:
        return None
    box = box_around(pair.domain)
    if found.equal:
        ground = SplitCells(
            found.functions, found.distance, found.allowed, found.growth.constant, found.growth.slope, cells=found.cells,
            waiting=found.waiting, suspects=len(found.where), empty=found.empty,
            units=len(found.units),
        )  # fmt: skip
        return pair.yes(ground, functions=found, **({"known_exact": Verdict.YES} if found.exact else {}))
    if pair.tolerance == 0:
        proofs = (decisive_in(pair.domain, pair.a, pair.b, x, 0.0) for x in found.where)
        proof = next((p for p in proofs if p is not None), None)
    elif box is None and len(found.where):
        proof = pair.witness_among(np.concatenate([found.where * 2.0**k for k in (0, 2, 5, 10, 20)]))
    else:
        return None
    facts = {"cells": found.cells, "without interior": found.empty, "not decided": found.waiting}
    return None if proof is None else pair.no("splitting", _SPLIT, proof, certificate=facts)


_SPLIT = "the difference is affine and not zero on a cell that was cut along it"
_BEYOND = (
    "products of parameters leave the range of floats; rescale neurons and outputs, of both networks alike, or ask with "
    "tolerance=0"
)
_DIFFER = "the outputs differ at an input by more than the tolerance explains"


def climbed(pair: _Pair, X: FloatArray, rounds: int = 24) -> FloatArray:
    """Inputs moved, a random step at a time, to where the gap stands out most against what is explained."""
    rng = np.random.default_rng(7)
    if pair.monitor.late or pair.fa.n_parameters + pair.fb.n_parameters > LARGE:
        return X[:0]
    best = pair.allowance.excess(X)
    chosen = np.argsort(-best)[:16]
    X, best = X[chosen], best[chosen]
    for _ in range(rounds):
        step = X * (1 + 10.0 ** rng.uniform(-3, 1, (16, 1)))[: len(X)] * rng.choice([1.0, 0.3], (len(X), 1))
        moved = X + 10.0 ** rng.uniform(-4, 0, (len(X), 1)) * (1e-3 + np.abs(X)) * rng.standard_normal(X.shape)
        for trial in (step, moved):
            found = pair.allowance.excess(trial)
            better = found > best
            X, best = np.where(better[:, None], trial, X), np.where(better, found, best)
    return X


def _vertices(pair: _Pair) -> int:
    """Vertices expected in the smaller of the complexes."""
    return min(expected_vertices(net, pair.domain) for net in (pair.fa, pair.fb))


def _search(pair: _Pair, f: ReLUNetwork, g: ReLUNetwork) -> CoverSearch | str:
    """The cells of a pair, or why they are not begun."""
    size = _vertices(pair)
    if size > (MAX_VERTICES if pair.monitor.left is None else MAX_BLOCKWISE):
        advice = "pass a box" if size > MAX_BLOCKWISE else "pass a box, or a budget to see how far it gets"
        return f"about {size:.2g} vertices are beyond enumeration; {advice}"
    try:
        search = CoverSearch(f, g, pair.domain)
    except ValueError as error:
        return str(error)
    pair.monitor.check_memory(search.memory, "comparing cells")
    return search


def _by_cells(pair: _Pair) -> Equivalence:
    """Cells of both networks on all of R^n, each compared with the tolerance."""
    f, g, basis = essential_inputs(pair.fa, pair.fb) if pair.domain is None else (pair.fa, pair.fb, None)
    search = _search(pair, f, g)
    if isinstance(search, str):
        return pair.undecided(search)
    limits, share = np.zeros(f.architecture[-1]), SHARE * pair.tolerance
    # the first suspect is looked at at once; where it is in the grey zone, the rest may show more
    for stop in (1, None):
        found = search.run(limits, pair.monitor, share=share, blurs=BLURS, stop=stop)
        if not found.suspects:
            break
        X = suspected_inputs(found)
        proof = pair.witness_among(X if basis is None else X @ basis.T)
        if proof is not None:
            facts = {"regions": found.cells, "bound relative to the limit": found.ratio}
            return pair.no(
                "regions",
                f"the affine pieces differ on {words.every(found.cells, 'cell', each='one of')}",
                proof,
                certificate=facts,
            )
    if found.proves:
        bound = found.ratio * share
        return pair.yes(ComparedCells(found.cells, found.waiting, found.lost, found.above, found.ratio, bound))
    return pair.undecided(_open(found), part=_part_of(pair, found))


def _open(found: Covered) -> str:
    texts = [
        f"{number} {what}"
        for number, what in (
            (found.above, "cells lie between what proves a YES and what proves a NO"),
            (found.lost, "cells are beyond what floats and memory hold"),
            (found.waiting, "cells were not begun when the time ended"),
        )
        if number
    ]
    return f"after {words.count(found.cells, 'cell')}: {'; '.join(texts)}"


def _part_of(pair: _Pair, found: Covered) -> ProvedPart:
    done = found.cells - found.above - found.lost
    return ProvedPart(pair.fa, pair.domain, done, min(found.share, 1.0 - 1e-9), True)


def suspected_inputs(found: Covered) -> FloatArray:
    """Inputs near the generators at which a limit is exceeded: a point and towards the middle of its cell, and far
    along a ray.
    """
    X = []
    for generator, base in found.suspects:
        h = generator[:-1]
        if generator[-1] > 0:
            X += [h + t * (base - h) for t in (0.0, 1e-9, 1e-6, 1e-3, 0.1, 0.5)]
        else:
            X += [base + 2.0**k * h for k in (0, 3, 7, 11, 17, 23, 30, 40, 60, 100)]
    return np.array(X).reshape(-1, found.where.shape[1])


def _exactly(pair: _Pair) -> Equivalence:
    early = pair.fa.n_parameters > SLOW and pair.method != "regions"
    if early and not surely_different(pair.fa, pair.fb, candidates(pair.fa, pair.fb, pair.domain, n=16)).any():
        related = _by_relations(pair) or (
            _by_splitting(pair, SPLIT_SHARE, FEW_CELLS) if pair.method == "auto" else None
        )
        if related is not None:
            return related
    verdict, proof = exact_verdict(pair.a, pair.b, pair.domain)
    if verdict is Verdict.YES:
        return pair.yes(EqualForms(0.0, 0.0, text=_EXACT_FORMS), known_exact=verdict)
    if verdict is Verdict.NO and proof is not None:
        return pair.no("witness", "the exact outputs differ at an input", proof)
    from .regions.exact import exact_by_regions

    if pair.domain is not None and pair.domain.affine_hull is not None and pair.method != "forms":
        return _exactly_on_flat(pair, pair.domain.affine_hull.steady)
    if not early and pair.method != "regions":
        related = _by_relations(pair)
        if related is not None:
            return related
    size = _vertices(pair)
    if pair.method == "auto":
        split = _by_splitting(pair, SPLIT_SHARE if size <= FEW else 1 - SPLIT_SHARE)
        if split is not None:
            return split
    if pair.method == "forms":
        return pair.undecided("exact normal forms differ, and no input was found where the functions do")
    if size > (200_000 if pair.monitor.left is None else MAX_BLOCKWISE):
        return pair.undecided(f"exact normal forms differ, and about {size:.2g} vertices are beyond enumeration")
    return exact_by_regions(pair)


def _exactly_on_flat(pair: _Pair, flat: AffineHull) -> Equivalence:
    """Both networks as functions of the flat's free coordinates, where the domain has an interior; at its point, if it
    is one.
    """
    assert pair.domain is not None
    if not flat.dimension:
        proof = decisive_in(pair.domain, pair.a, pair.b, nearest(flat.lift[:, -1]), 0.0)
        if proof is not None:
            return pair.no("witness", "the exact outputs differ at the only input", proof)
        return pair.yes(ExactCells(1, 1, 0), known_exact=Verdict.YES)
    one, other = (on_flat(net, flat.lift) for net in (pair.a, pair.b))
    chart = Polyhedron(*chart_of(pair.domain, flat))
    method: Any = pair.method
    try:
        found = are_equivalent(
            one, other, chart, tolerance=0.0, budget=pair.monitor.rest(), method=method, progress=pair.monitor._call
        )
    except InputError as error:
        return pair.undecided(f"in coordinates of the flat {error}")
    if found.verdict is Verdict.YES:
        return replace(found, a=pair.a, b=pair.b, **pair._facts())
    t = None if found.witness is None else chart.exact_point(found.witness)
    if t is not None:
        x = flat.lifted(t[None])[0]
        proof = decisive_in(pair.domain, pair.a, pair.b, nearest(x), 0.0)
        if proof is not None:
            return pair.no("witness", "the exact outputs differ at an input", proof)
    return pair.undecided(found.reason)


# ---- on a domain -------------------------------------------------------------------------------------------------------


def _on_domain(pair: _Pair) -> Equivalence:
    if box_around(pair.domain) is None:
        return _everywhere(pair)
    if pair.method in ("auto", "forms"):
        answer, distance, *_ = _by_forms(pair)
        if answer is not None:
            return answer
        related = _by_relations(pair)
        if related is None and pair.method == "auto" and _vertices(pair) > FEW:
            related = _by_splitting(pair, SPLIT_SHARE)
        if related is not None:
            return related
    X, gaps, reached = _sampled(pair)
    if not (products_in_range(pair.fa, pair.fb) and np.isfinite(reached).all()):
        return _beyond_floats(pair, X)
    if pair.method == "forms":
        limit = _limit_of_no(pair)
        for i in np.argsort(-gaps.max(axis=1))[:2]:
            proof = _inside(pair, X[i], limit + pair.allowance.rounding(X[i]))
            if proof is not None:
                return pair.no("witness", f"|f - g| is {proof.gap:.6g} at an input", proof)
        return pair.undecided(f"canonical forms differ by {distance:.2g}, which decides nothing here")
    if pair.method in ("auto", "regions"):
        part = Monitor(pair.monitor.rest(ENUMERATION_SHARE), pair.monitor._call)
        found = _cells_on_domain(pair, part)
        if found is not None:
            return found
    return _by_bounds(pair)


def _sampled(pair: _Pair) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Inputs of the domain, gaps (k, nL) there, and the largest |f_o| among them."""
    X = candidates(pair.fa, pair.fb, pair.domain)
    values = pair.fa(X)
    gaps = np.abs(values - pair.fb(X))
    return X, gaps, np.abs(values).max(axis=0, initial=0.0)


def _cells_on_domain(pair: _Pair, monitor: Monitor) -> Equivalence | None:
    """Cells of both networks on the domain; None where they do not decide."""
    X, gaps, reached = _sampled(pair)
    if not (products_in_range(pair.fa, pair.fb) and np.isfinite(reached).all()):
        return None  # what underflows or overflows is not paid for
    asked, moved, beyond = None, 0.0, np.zeros(0)
    if pair.epsilon is not None:  # less what files, or integers, say beside the networks that were read
        box = box_around(pair.domain)
        moved = np.inf if box is None else folding_on((pair.a, pair.b), box)
        epsilon = np.array(np.broadcast_to(pair.epsilon, pair.fa.architecture[-1]), float)
        asked, beyond = epsilon - moved * (1 + 1e-15), epsilon + moved * (1 + 1e-15)
        if not (asked >= 0).all():
            return None
    if asked is not None and len(X):
        best = int(np.argmax((gaps - beyond).max(axis=1)))
        proof = _inside(pair, X[best], beyond) if (gaps[best] > beyond).any() else None
        if proof is not None:
            return pair.no("witness", "|f - g| exceeds epsilon at an input", proof)
    try:
        search = _search(pair, pair.fa, pair.fb)
    except BudgetExceededError:
        return None
    if isinstance(search, str):
        return None

    def limit(size: FloatArray) -> FloatArray:
        """What is asked of each output: epsilon, or the tolerance times the largest |f_o|."""
        return pair.tolerance * size if asked is None else asked

    # a function that vanishes on the domain has its terms for a scale, those that are there
    share, blurs = (SHARE * pair.tolerance, BLURS) if asked is None else (0.0, 0.0)
    for stop in (1, None):
        limits = limit(reached)
        found = search.run(limits, monitor, share=share, blurs=blurs, stop=stop)
        if found.proves:
            bound = float(found.upper.max()) + moved
            most = max(bound, float(limits.max()))  # beside rounding, which counts by itself
            return pair.yes(Bounded(bound, most, "regions", _domain_facts(found)))
        reached = np.maximum(reached, found.size)
        # until the cells are complete, f is at most what boxes say
        assert search.bounded is not None
        top = found.ceiling if found.complete else np.minimum(search.largest(), highest_on(pair.fa, search.bounded))
        ceiling = limit(top)
        for x in [*suspected_inputs(found), *found.where]:
            proof = _inside(pair, x, beyond if asked is not None else ceiling + pair.allowance.rounding(x))
            if proof is not None:
                facts = _domain_facts(found)
                return pair.no("regions", f"|f - g| reaches {proof.gap:.6g}", proof, certificate=facts)
        if stop is None and found.complete and bool((limit(reached) > limits).any()):
            limits = limit(reached)
            found = search.run(limits, monitor, share=share, blurs=blurs, stop=None)
            if found.proves:
                bound = float(found.upper.max()) + moved
                return pair.yes(Bounded(bound, max(bound, float(limits.max())), "regions", _domain_facts(found)))
    if not found.complete:
        return None
    upper = float(found.upper.max()) + moved
    return pair.undecided(
        f"|f - g| lies between {found.gap.max():.6g} and {upper:.6g}, too near to the limit {limits.max():.6g}",
        bound=upper, certificate=_domain_facts(found),
    )  # fmt: skip


def _domain_facts(found: Covered) -> dict[str, Any]:
    return {
        "maximum": float(found.gap.max()), "upper bound": float(found.upper.max()), "regions": found.cells,
        "not compared": found.waiting + found.lost,
    }  # fmt: skip


def _inside(pair: _Pair, x: FloatArray, limit: float | FloatArray) -> Witness | None:
    """A witness beyond the limit at an input, moved into the domain by what rounding took it out
    (`Polyhedron.exact_point`).
    """
    return decisive_in(pair.domain, pair.a, pair.b, x, limit)


def _limit_of_no(pair: _Pair) -> FloatArray:
    """What the gap of an output has to exceed for a NO: f is at most what boxes say."""
    box = box_around(pair.domain)
    assert box is not None
    return np.asarray(pair.tolerance * highest_on(pair.fa, box))


def _by_bounds(pair: _Pair) -> Equivalence:
    """Bounds of ``|f - g|`` by weights and by branch and bound, against the tolerance times the largest |f_o| that was
    seen.
    """
    _, _, reached = _sampled(pair)
    limit = float((pair.tolerance * reached).min(initial=np.inf))  # one for all outputs: that of the smallest
    limit = limit if np.isfinite(limit) else 0.0
    box = box_around(pair.domain)
    if box is not None and pair.method == "auto" and limit > 0:
        by_weights = bound_on_box(pair.fa, pair.fb, *box)
        if by_weights <= limit:
            text = "the weights are so close that |f - g| is at most"
            return pair.yes(Bounded(by_weights, limit, "weights", text=text))
    found = maximum_difference(
        pair.fa, pair.fb, pair.domain, monitor=pair.monitor, threshold=limit, method="bound", enumerable=False
    )  # fmt: skip
    facts = {"maximum": found.maximum, "regions": found.n_regions, "method": found.method}
    if found.upper <= limit:
        return pair.yes(Bounded(found.upper, limit, found.method, facts))
    if found.where is not None:
        proof = _inside(pair, found.where, _limit_of_no(pair) + pair.allowance.rounding(found.where))
        if proof is not None:
            return pair.no(found.method, f"|f - g| reaches {found.maximum:.6g}", proof, certificate=facts)
    return pair.undecided(
        f"|f - g| lies between {found.maximum:.6g} and {found.upper:.6g}, the limit is {limit:.6g}",
        bound=found.upper, proved=found.proved, certificate=facts,
    )  # fmt: skip


def _near(pair: _Pair, relative: Any, workers: int, scheduler: Any) -> Equivalence:
    """Is |f - g| within an allowance? By splitting boxes; allowances of zero ask for equality."""
    assert pair.domain is not None
    question = Question.of(pair.a, pair.b, pair.domain, pair.epsilon, relative)
    if not question.epsilon.any() and not question.relative.any():
        return are_equivalent(
            pair.a, pair.b, pair.domain, tolerance=0.0, budget=pair.monitor.rest(), progress=pair.monitor._call
        )
    if pair.method == "regions" and not question.relative.any():
        by_cells = _cells_on_domain(pair, pair.monitor)
        if by_cells is not None:
            return by_cells
    left, cells = pair.monitor.left, False
    slanted = (
        not isinstance(pair.domain, Box) and (hull := pair.domain.affine_hull) is not None and not hull.is_straight
    )
    try:
        if (
            pair.method == "auto"
            and not question.relative.any()
            and not slanted
            and question.search().box_seconds < 1.0
        ):
            with Monitor(Budget(PILOT if left is None else min(PILOT, 0.1 * left))).watching():
                cells = _vertices(pair) <= FEW  # another way is at hand: an epsilon within rounding of the maximum
    except BudgetExceededError:
        pass  # many
    except KeyboardInterrupt:
        return _one_box(pair, question, "interrupted")
    seconds = NEAR_SECONDS if left is None else 0.5 * left if cells else left
    found = question.answer(
        settled(question.search, pair.monitor, seconds=seconds, workers=workers, scheduler=scheduler)
    )
    if found.verdict is Verdict.UNDECIDED and cells and not pair.monitor.late:
        other = _cells_on_domain(pair, Monitor(pair.monitor.rest(), pair.monitor._call))
        if other is not None and other.verdict is not Verdict.UNDECIDED:
            return other
    return _of_boxes(pair, question, found)


def _one_box(pair: _Pair, question: Question, stopped: str) -> Equivalence:
    """What one box shows in any case, unless it would take more than a second."""
    found = question.search().run(Monitor(Budget(0.0)), attack=False)
    return _of_boxes(pair, question, question.answer(replace(found, stopped=stopped)))


def _of_boxes(pair: _Pair, question: Question, found: NearEqual) -> Equivalence:
    """The answer that a search over boxes gives."""
    known: dict[str, Any] = {"known_exact": Verdict.NO} if found.gap is not None and found.gap > 0 else {}
    if found.verdict is Verdict.YES:
        return pair.yes(
            ProvedBoxes(found.n_boxes, found.n_open, found.bound, found.reason, found.summary), near=found, **known
        )
    if found.verdict is Verdict.NO and found.point is not None:
        x = question.input_at(question.seen_at(found.point))
        assert x is not None
        proof = Witness(found.point, (exact_output(pair.a, x), exact_output(pair.b, x)), as_float(found.gap), "exact")
        return pair.no(
            "branch and bound", found.reason, proof, near=found, proved=found.proved, certificate=found.summary
        )
    return Equivalence(
        pair.a, pair.b, Verdict.UNDECIDED, "branch and bound", found.reason, pair.tolerance, bound=found.bound,
        proved=found.proved, certificate=found.summary, near=found, **pair._facts(), **known,
    )  # fmt: skip


def difference(
    a: Any,
    b: Any,
    domain: Polyhedron | None = None,
    *,
    budget: Budget | None = None,
    method: Literal["auto", "regions", "bound", "milp"] = "auto",
    progress: ProgressLike = None,
    workers: int = 1,
    scheduler: Any = None,
) -> Difference:
    """Where two networks differ and by how much: for fine-tuned, pruned or quantised pairs.

    On a bounded domain ``max |f - g|`` is attained at a vertex of the complex of both networks clipped to
    the domain, so enumeration gives it exactly (up to rounding, which is bounded). Beyond the reach of
    enumeration branch and bound on a box gives two bounds.

    Parameters
    ----------
    a, b : ReLUNetwork or PiecewiseLinearNetwork
        The latter as the chains that emulate them.
    domain : Box or Polyhedron, optional
        On R^n the maximum is infinite unless the slopes agree far out.
    budget : Budget, optional
    method : {'auto', 'regions', 'bound', 'milp'}
        'milp': a mixed-integer program solved by HiGHS (boxes only).
    workers, scheduler : optional
        With 'bound': who shares the boxes, as in `are_equivalent`.

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
    a, b = function_chain(a), function_chain(b)
    _check(a, b, domain, 1e-9, None, 0.0)
    if method not in ("auto", "regions", "bound", "milp"):
        raise InputError(f"method {method!r} is unknown; expected 'auto', 'regions', 'bound' or 'milp'")
    check_workers(workers, scheduler, None if method == "bound" else "with method='bound'")
    monitor = Monitor(budget, progress)
    pair = _Pair(a, b, domain, 1e-9, None, monitor, method)
    with np.errstate(over="ignore", invalid="ignore"):  # values beyond floats decide nothing
        enumerable = False
        with suppress(BudgetExceededError), monitor.watching():  # the time is up before that is known: not by regions
            enumerable = method in ("auto", "regions") and _vertices(pair) <= MAX_VERTICES
        found = maximum_difference(
            pair.fa, pair.fb, domain, monitor=monitor, threshold=None, method=method, enumerable=enumerable,
            crew=(workers, scheduler),
        )  # fmt: skip
        return _as_attained(pair, found)


def _as_attained(pair: _Pair, found: Difference) -> Difference:
    """The same with the exact gap at its input for the maximum: beside large outputs floats tell another one."""
    if found.where is None or not np.isfinite(found.maximum) or not np.isfinite(found.where).all():
        return found
    u, v, gap = exact_difference(pair.fa, pair.fb, found.where)
    gaps = [abs(p - q) for p, q in zip(u, v)]
    values = tuple(np.array([as_float(w) for w in side]) for side in (u, v))
    return replace(
        found, maximum=min(directed(gap, up=False), found.upper), output=gaps.index(gap), values=(values[0], values[1])
    )
