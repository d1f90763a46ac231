"""Check an answer about a pair of networks anew, by another way than the one it was found."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..budget import Monitor
from ..complexes.complex import canonical_complex, estimate_size
from ..complexes.domain import Polyhedron
from ..errors import GenericityError, PolyfiberError
from ..network.model import ReLUNetwork
from ..verdict import Verdict
from .evidence import Equivalence
from .regions import compare_over
from .witness import beyond_tolerance, candidates, exact_difference, rounding_bound

SMALL = 20_000
"""Expected vertices up to which an equality without known moves is checked over all regions."""


def recheck(answer: Equivalence, *, rng: Any = 0) -> bool:
    """Whether an answer holds, as `Equivalence.verify` describes."""
    if answer.verdict is Verdict.UNDECIDED:
        return True
    with np.errstate(over="ignore", invalid="ignore"):
        return _different(answer) if answer.verdict is Verdict.NO else _equal(answer, rng)


def _different(answer: Equivalence) -> bool:
    if answer.proof is None:
        return answer.exact_verdict is Verdict.NO
    if answer.domain is not None and not bool(answer.domain.contains(answer.proof.x)):
        return False
    gap = exact_difference(answer.a, answer.b, answer.proof.x)[2]
    return bool(gap > (0 if answer.epsilon is None else answer.epsilon))


def _equal(answer: Equivalence, rng: Any) -> bool:
    a, b = answer.a.rounded(), answer.b.rounded()
    X = candidates(a, b, answer.domain, n=512, rng=rng)
    if answer.tolerance == 0 and answer.epsilon is None:
        if any(exact_difference(answer.a, answer.b, x)[2] for x in X[:: max(1, len(X) // 32)]):
            return False
    elif answer.domain is None:
        if beyond_tolerance(a, b, X, max(answer.tolerance, 1e-12)).any():
            return False
    elif not _within(answer, a, b, X):
        return False
    if answer.method in ("canonical form", "parameters", "scalar function"):
        from .transport import _distance, moves_between

        moves = moves_between(a, b)
        if moves is not None:
            return _distance(moves(a), b) <= 1e-6
        return not _small(a, answer.domain) or _over_the_other(answer, a, b)
    if answer.method == "regions" or _small(a, answer.domain):
        return _over_the_other(answer, a, b)
    return True  # by bounds, beyond enumeration: the inputs are all there is


def _limit(answer: Equivalence, a: ReLUNetwork, X: Any) -> float:
    if answer.epsilon is not None:
        return answer.epsilon
    return max(answer.tolerance, 1e-12) * float(np.abs(a(X)).max(initial=0.0))


def _within(answer: Equivalence, a: ReLUNetwork, b: ReLUNetwork, X: Any) -> bool:
    """At these inputs, up to the rounding of both values; the scale may be larger elsewhere."""
    gap = np.abs(a(X) - b(X)).max(axis=1)
    noise = (rounding_bound(a, X) + rounding_bound(b, X)).max(axis=1)
    slack = 1.0 if answer.epsilon is not None else 4.0
    return bool((gap <= slack * _limit(answer, a, X) + noise).all())


def _small(net: ReLUNetwork, domain: Polyhedron | None) -> bool:
    try:
        return estimate_size(net, domain)["vertices"] <= SMALL
    except PolyfiberError:
        return False


def _over_the_other(answer: Equivalence, a: ReLUNetwork, b: ReLUNetwork) -> bool:
    """Compare over the regions of the network that was not used, its complex certified anew."""
    f, g = (b, a) if a.n_hidden >= b.n_hidden else (a, b)
    try:
        cx = canonical_complex(f, answer.domain)
        if not cx.certificate.verify().ok:
            return False
        bounded = answer.domain is not None and not len(cx.rays[1])
        tolerance = max(4 * answer.tolerance, 1e-9)
        report = compare_over(cx, f, g, tolerance=tolerance, monitor=Monitor(), first_difference=not bounded)
    except GenericityError:
        return True  # slivers of rounding size: the inputs are all there is
    if not bounded:
        return report.equal is not False
    v = cx.vertices
    noise = float((rounding_bound(a, v) + rounding_bound(b, v)).max(initial=0.0))
    limit = 4 * _limit(answer, a, v) if answer.epsilon is None else answer.epsilon * (1 + 1e-9)
    return report.maximum <= limit + 4 * noise
