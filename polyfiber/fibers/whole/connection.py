"""Are two parameters of one function joined inside its fiber? A path, the invariant that separates, or undecided.

Parameters count up to permuting neurons and positive rescaling. A path is checked exactly: the function is compared in
rationals at inputs for parameters along it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ... import words
from ..._lazy import above
from ..._values.checked import whole
from ...budget import Budget, Monitor
from ...errors import BudgetExceededError, InputError, NumericalError
from ...network.model import ReLUNetwork
from ...network.moves import Permute, Rescale
from ...network.piecewise import require_chain
from ...numerics.exact import as_fractions
from ...verdict import Verdict
from ..classify import classify_fiber
from .assignments import shallow_fiber
from .joining import Joined, in_the_order_of, joined

TOLERANCE = 1e-9
"""Distance of rows of float networks that count as one hyperplane."""


@dataclass(frozen=True)
class Connection:
    """Whether two parameters of one function lie in one connected component.

    Attributes
    ----------
    verdict : Verdict
    path : tuple of ReLUNetwork
        Rational parameters from the first to the second, up to permutation and scaling (floats: to a parameter that
        rounds to it), all of the same function, which is compared exactly at inputs. Between neighbours the weights go
        straight, those behind linear neurons as `fibers.whole.joining` says. Empty unless shown.
    invariant : str or None
        What separates them.
    reason : str
    """

    verdict: Verdict
    path: tuple[ReLUNetwork, ...]
    invariant: str | None
    reason: str

    @property
    def sentence(self) -> str:
        """Whether they are joined, why, and what would decide an open question."""
        return {
            "yes": f"Yes: a path inside the fiber joins the two parameters; {self.reason}.",
            "no": f"No: the two parameters lie in different components of the generic fiber; {self.reason}.",
            "undecided": (
                f"Not decided whether a path inside the fiber joins the two parameters: {self.reason}. Next: more steps= and a "
                "larger budget=, or parameters between them, asked pair by pair."
            ),
        }[self.verdict.value]

    def __str__(self) -> str:
        return self.sentence


def connection(a: ReLUNetwork, b: ReLUNetwork, *, steps: int = 4, budget: Budget | None = None) -> Connection:
    """Decide whether two parameters of one function are joined inside the fiber.

    Parameters
    ----------
    a, b : ReLUNetwork
        Of one architecture, computing one function.
    steps : int
        Pieces of a segment, at whose ends the function is compared.
    budget : Budget, optional
        Of the proof that the functions are equal and of the classification.

    Raises
    ------
    InputError
        Different architectures, or different functions.
    NumericalError
        Whether the functions are equal is not decided.

    Notes
    -----
    YES by a segment whose parameters all compute the function; for floats that are one parameter up to permuting and rescaling, within rounding; with two hidden layers by moves of linear and dead neurons of layer 2 and of a hidden
    hyperplane (`fibers.whole.joining`), for one hidden layer where the whole fiber has one component. NO where
    the generic fiber is known in full, both parameters are generic and an orientation differs (the theorem of layerwise fibers); NO is
    about the generic fiber, as its components are. Everything else is undecided.

    Examples
    --------
    A parameter is joined to itself; two that differ in entries without effect are joined by a segment.

    >>> import polyfiber as pf
    >>> from polyfiber.fibers.whole.connection import connection
    >>> net = pf.ReLUNetwork.random((3, 2, 3, 2), rng=5)
    >>> connection(net, net).verdict
    <Verdict.YES: 'yes'>
    """
    a, b = require_chain(a, "the fiber"), require_chain(b, "the fiber")
    if a.architecture != b.architecture:
        raise InputError(f"{a!r} and {b!r} have different architectures")
    steps = whole(steps, "steps", least=1)
    equal = above("equivalence.decide:are_equivalent")(a, b, budget=budget or Budget(seconds=60))
    if equal.verdict is Verdict.NO:
        raise InputError("the two networks compute different functions, so they lie in different fibers")
    if equal.verdict is Verdict.UNDECIDED:
        raise NumericalError("whether the two networks compute one function is not decided; pass a larger budget")
    monitor = Monitor(budget)
    first, second = a.exact(), b.exact()
    tolerance = 0.0 if a.is_exact and b.is_exact else TOLERANCE
    ordered = in_the_order_of(first, second, tolerance)[0](second)
    for other in (second, ordered):
        path = _segment(first, other, steps)
        if path and _on_every_segment(path, budget):
            return Connection(Verdict.YES, path, None, "the segment between them: the function is the same along it")
    moves = (
        None
        if a.is_exact or b.is_exact
        else above("equivalence.moves_between:moves_between")(a, b, tolerance=TOLERANCE)
    )
    if moves is not None and all(isinstance(move, (Permute, Rescale)) for move in moves.moves):
        near = f"to {above('equivalence.moves_between:parameter_distance')(moves(a), b):.1g} of the weights"
        text = f"the same parameter up to permuting and rescaling neurons, {near}"
        return Connection(Verdict.YES, (first,), None, text)
    if len(a.weights) == 2:
        try:
            low, high = shallow_fiber(a).n_components(budget=budget or Budget(seconds=60))
        except BudgetExceededError as error:
            return Connection(
                Verdict.UNDECIDED, (), None, f"the components of the whole fiber were not counted: {error}"
            )
        if high == 1:
            return Connection(Verdict.YES, (), None, "the whole fiber has one component (all types of parameters)")
        return Connection(Verdict.UNDECIDED, (), None, f"the whole fiber has {low} to {high} components")
    found = Joined(reason="no segment inside the fiber, and no invariant that separates")
    if len(a.weights) == 3:
        found = joined(first, second, tolerance=tolerance, steps=steps, monitor=monitor)
    if found.path and _same_function(first, found.path):
        text = "linear and dead neurons of layer 2 and hidden hyperplanes move along it, and the function stays"
        return Connection(Verdict.YES, found.path, None, text)
    reports = classify_fiber(a, budget=budget), classify_fiber(b, budget=budget)
    if found.separated is not None and all(r.complete and r.kind in ("layerwise", "hiding") for r in reports):
        reason = f"generic parameters differ in {found.separated}, which is constant on a component"
        return Connection(Verdict.NO, (), found.separated, reason)
    if all(r.identifiable for r in reports):
        return Connection(Verdict.YES, (), None, "identifiable: the same up to permutation and scaling")
    return Connection(Verdict.UNDECIDED, (), None, found.separated or found.reason)


def _segment(a: ReLUNetwork, b: ReLUNetwork, steps: int) -> tuple[ReLUNetwork, ...]:
    points = []
    for k in range(steps + 1):
        t = as_fractions(np.array([k]))[0] / steps
        mixed = [[(1 - t) * x + t * y for x, y in zip(p, q)] for p, q in ((a.weights, b.weights), (a.biases, b.biases))]
        points.append(ReLUNetwork(*mixed))
    return tuple(points) if _same_function(a, points) else ()


def _same_function(net: ReLUNetwork, points: Sequence[ReLUNetwork]) -> bool:
    """Whether parameters agree with a network at fixed rational inputs, exactly."""
    x = as_fractions(np.random.default_rng(0).integers(-64, 65, (24, net.architecture[0])) / 8)
    expected = net(x)
    return all(bool((p(x) == expected).all()) for p in points)


def _on_every_segment(path: tuple[ReLUNetwork, ...], budget: Budget | None) -> bool:
    """Whether the function is the same along a segment whose ends compute it.

    It is where only the last layer changes, in which the output is affine, and where only entries without effect do.
    """
    first, last = path[0], path[-1]
    changed = [
        l
        for l in range(len(first.weights))
        if (first.weights[l] != last.weights[l]).any() or (first.biases[l] != last.biases[l]).any()
    ]
    if all(l == len(first.weights) - 1 for l in changed):
        return True  # equal at both ends, affine between
    return _idle_change(first, last, changed, budget)


def _idle_change(a: ReLUNetwork, b: ReLUNetwork, changed: list[int], budget: Budget | None) -> bool:
    """Whether all that differs has no effect in either network: then it has none in between, where z is between the two
    z.
    """
    report = classify_fiber(a, budget=budget), classify_fiber(b, budget=budget)
    parts = [r.beyond.part if r.beyond is not None else None for r in report]
    if parts[0] is None or parts[1] is None:
        return False
    for l in changed:
        differs = np.concatenate([a.weights[l] != b.weights[l], (a.biases[l] != b.biases[l])[:, None]], axis=1)
        if (differs & ~(parts[0].idle[l] & parts[1].idle[l])).any():
            return False
    return True


def generic_component_count(widths: tuple[int, int, int, int], n_nonlinear: int, *, dead: bool = False) -> int | None:
    """Components of the generic fiber of a bottleneck that hides nothing and has no dead neuron, up to permutation.

    Parameters
    ----------
    widths : (n0, n1, n2, m)
    n_nonlinear : int
        N, of the ``n2`` neurons of layer 2; the other ``l = n2 - N`` are linear.
    dead : bool
        Also the components in which some of the l are dead instead, as `FiberReport.components` lists them.

    Returns
    -------
    int or None
        ``c(l) = 1`` for ``l < min(n1, m)``, ``2^N`` for ``l = n1 <= m`` and for ``l > min(n1, m)``; None for
        ``l = m < n1``, where it is the number of orientations whose cone is pointed, from 1 to 2^N: ask
        ``report.layer.count_components()``. With ``dead`` the sum of ``c(k)`` from ``k = min(l, n1, m)`` to l.

    Examples
    --------
    >>> generic_component_count((4, 2, 5, 2), 3), generic_component_count((4, 3, 5, 3), 4)
    (8, 1)
    >>> generic_component_count((3, 2, 4, 2), 1), generic_component_count((3, 2, 4, 2), 1, dead=True)
    (2, 4)
    """
    _, n1, n2, m = widths
    if not 0 <= n_nonlinear <= n2:
        raise InputError(f"between 0 and {words.count(n2, 'neuron')} can be nonlinear, found {n_nonlinear}")
    most = n2 - n_nonlinear
    least = min(most, n1, m) if dead else most
    if least <= m <= most and m < n1:
        return None
    return sum(1 if k < min(n1, m) else 2**n_nonlinear for k in range(least, most + 1))
