"""Classify the fiber of a network: which parameters compute the same function.

For two hidden layers with ``n0 >= n1 >= 2`` and generic parameters the answer is complete (The
Symmetries of Three-Layer ReLU Networks, Theorem 5 and §6); one hidden layer on R^n and ``n1 = 1``
are complete as well. For any other network the report says what was found and what stays open.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .. import words
from .._lazy import above
from .._once import cached_property
from .._typing import BoolArray, RngLike
from .._values.checked import generator_of, real, shown, whole
from ..budget import Budget
from ..complexes.build import canonical_complex, estimate_size
from ..complexes.complex import PolyhedralComplex
from ..domain import Polyhedron
from ..errors import GenericityError, IncompleteError, InputError, NumericalError, RankAmbiguityError
from ..network.exact_pieces import exact_pieces
from ..network.float_or_rational import all_in_range, far_apart, gauge_norms, levelled, row_norms
from ..network.model import ReLUNetwork
from ..network.moves import Rescale, random_trivial
from ..network.piecewise import PiecewiseLinearNetwork, require_chain
from ..numerics.floats import as_float, nearest
from ..numerics.rounding import UNIT
from ..verdict import Verdict
from .activity import NeuronFacts, facts_from_complex, facts_on, neuron_facts
from .components import ConstantPart, HidingPart, LayerPart, NetworkComponent, SinglePart
from .findings import Finding, find, image_duplicates, invisible_neurons, told
from .hiding import HidingReport, flip_sets, hiding_report
from .hyperplanes import LayerAnalysis, analyse_layer
from .image.answer import Beyond, beyond_theorem
from .image.local import Ground
from .layerwise import LayerwiseFiber
from .one_neuron import ScalarFunction, is_single_point, scalar_components, scalar_dimension, scalar_function
from .regime import Regime, check_regime
from .whole.assignments import shallow_fiber

EXACT_PARAMETERS = 1 << 17, 1500
"""Up to so many parameters, with one hidden layer and with more, rationals decide what floats cannot."""
FLAT_REGIONS = 4096
"""Up to so many regions are looked at in rationals for whether the function is constant."""


@dataclass(frozen=True)
class FiberReport:
    """What is known about the fiber of a network.

    Attributes
    ----------
    network : ReLUNetwork
    kind : str
        By theorems: 'identifiable', 'layerwise', 'hiding', 'constant'. By computation for this network, where no
        theorem applies: 'rigid' (near it only rescalings compute the same function), 'flexible' (others do). Else
        'undecided'.
    identifiable : bool or None
        Whether every parameter with the same function (generic ones, in the theorem's regime) is
        related by permutation and scaling. None: not decided.
    reason : str
        Which row, which column, or why not decided.
    hidden_hyperplane : int or None
    roles : tuple of str
        Of the last hidden layer: 'nonlinear', 'linear', 'dead' or 'cancelling'.
    complete : bool
        Whether `components` is proved to list the whole generic fiber.
    regime : Regime
        Hypotheses of the theorem, with margins and with what was assumed.
    facts : NeuronFacts
    findings : tuple of Finding
        Dead, constant, always-active, duplicate, opposite and unused neurons, hidden hyperplanes.
    notes : tuple of str

    Examples
    --------
    >>> import polyfiber as pf
    >>> report = pf.classify_fiber(pf.ReLUNetwork.random((4, 3, 3, 2), rng=0))
    >>> report
    FiberReport(4-3-3-2: identifiable, identifiable True, dimension 0)
    >>> print(report.sentence)  # doctest: +ELLIPSIS
    The weights are determined by the function, up to permuting neurons and positive rescaling; proved ...
    """

    network: ReLUNetwork
    kind: str
    identifiable: bool | None
    reason: str
    hidden_hyperplane: int | None
    roles: tuple[str, ...]
    complete: bool
    regime: Regime
    facts: NeuronFacts
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()
    layer: LayerwiseFiber | None = field(default=None, repr=False)
    hiding: HidingReport | None = field(default=None, repr=False)
    scalar: ScalarFunction | None = field(default=None, repr=False)
    beyond: Beyond | None = field(default=None, repr=False)
    domain: Polyhedron | None = field(default=None, repr=False)

    @property
    def grounds(self) -> tuple[Ground, ...]:
        """What is claimed, and whether it is a theorem, computed for this network, or evidence."""
        if self.beyond is not None:
            return self.beyond.grounds
        if self.kind == "undecided":
            return ()
        assumed = [Ground(text, "evidence") for text in (*self.regime.assumed, *self.notes)]
        return (Ground(f"{self.kind}: {self.reason}", "theorem"), *assumed)

    # ---- size -------------------------------------------------------------------------------
    @cached_property
    def dimension(self) -> int | None:
        """Dimension of the largest component modulo scaling; None when undecided.

        Where `complete` is False that of the largest one listed: the fiber has at least so many ('constant': just so
        many, since at most so many parameters can move). For 'rigid' and 'flexible' that of the fiber near this parameter; None where only bounds are known
        (``beyond.bounds``).
        """
        if self.kind == "undecided":
            return None
        if self.beyond is not None:
            return self.beyond.dimension if self.beyond.kind == self.kind else None
        if self.kind == "identifiable":
            return 0
        if self.scalar is not None:
            return scalar_dimension(self.scalar, self.network.architecture[2])
        if self.kind == "hiding":
            assert self.hiding is not None
            return 1 + len(self.hiding.dead) * (self.network.architecture[1] + self.network.architecture[3])
        if self.kind == "constant":
            return ConstantPart(self.network).dimension
        assert self.layer is not None
        return self.layer.dimension

    @property
    def raw_dimension(self) -> int | None:
        """Dimension in raw parameter space: one more for the scaling of every hidden neuron."""
        return None if self.dimension is None else self.dimension + self.network.n_hidden

    @cached_property
    def local_dimension(self) -> int:
        """Nullity of the stacked Jacobians at this parameter minus the scalings (needs the complex).

        On the domain that was asked about. See `polyfiber.local_fiber`. At a generic parameter it is the dimension of
        the fiber here, modulo scaling.
        """
        from .dimension import local_fiber

        there = None if self.domain is None else canonical_complex(self.network, self.domain)
        return local_fiber(self.network, regions=there).dimension

    # ---- its points -------------------------------------------------------------------------
    def components(self, *, budget: Budget | None = None) -> Iterator[NetworkComponent]:
        """Components of the generic fiber modulo permutation and scaling, lazily; the own one first.

        For 'rigid' and 'flexible' the own one only, with what is constructed of it.

        Raises
        ------
        NumericalError
            The fiber is not decided.
        """
        net = self.network
        if self.kind == "undecided":
            raise NumericalError(f"the fiber is not decided: {self.reason}")
        if self.beyond is not None:
            if self.beyond.part is None:
                raise NumericalError("no point of the fiber but this one was constructed; see beyond.local.directions")
            yield self.beyond.part
        elif self.kind == "identifiable":
            yield SinglePart(net)
        elif self.kind == "constant":
            yield ConstantPart(net)
        elif self.scalar is not None:
            yield from scalar_components(self.scalar, net.architecture[2])
        elif self.kind == "hiding":
            for flipped in flip_sets(net):
                yield HidingPart(net, flipped)
        else:
            assert self.layer is not None
            for component in self.layer.components(budget=budget):
                yield LayerPart(net, component)

    def sample(self, n: int = 1, *, rng: RngLike = None, trivial: bool = False) -> list[ReLUNetwork]:
        """Random networks on the fiber; every component can come up.

        Where the known part of the fiber is this network alone ('identifiable', 'rigid') they are this network: the very
        same weights, which ``report.sample()[0] == report.network`` tells.

        Parameters
        ----------
        n : int
        rng
            Anything `numpy.random.default_rng` takes.
        trivial : bool
            Whether to apply a random permutation and scaling too.

        Raises
        ------
        NumericalError
            The fiber is not decided, or its weights are free and no other point of it was constructed.
        """
        if n < 0:
            raise InputError(f"the number of networks must not be negative, found {n}")
        generator = generator_of(rng)
        result = []
        for _ in range(int(n)):
            net = self._draw(generator)
            result.append(random_trivial(net, rng=generator)(net) if trivial else net)
        return result

    def _draw(self, generator: np.random.Generator) -> ReLUNetwork:
        if self.kind == "undecided":
            raise NumericalError(f"the fiber is not decided, nothing can be drawn from it: {self.reason}")
        if (
            self.kind == "flexible"
            and self.beyond is not None
            and self.beyond.part is not None
            and self.beyond.part.is_point
        ):
            raise NumericalError("no point of the fiber but this one was constructed; see beyond.local.directions")
        if self.layer is not None and self.kind == "layerwise" and self.scalar is None:
            return LayerPart.network_of(self.network, self.layer.sample(rng=generator))
        if self.kind == "hiding" and self.hiding is not None and self.scalar is None:
            flipped: tuple[int, ...] = ()
            if len(self.hiding.live) == 1:
                others = [i for i in range(self.network.architecture[1]) if i != self.hidden_hyperplane]
                flipped = tuple(i for i in others if generator.random() < 0.5)
            return HidingPart(self.network, flipped).sample(rng=generator)
        parts = list(itertools.islice(self.components(), 256))
        return parts[int(generator.integers(len(parts)))].sample(rng=generator)

    def contains(self, other: ReLUNetwork, *, tolerance: float = 1e-9) -> bool:
        """Whether a network of the same architecture computes the same function.

        Decided where the classification is; elsewhere parameters that agree up to permutation and
        scaling are accepted and networks that differ at sample points are rejected.

        Raises
        ------
        NumericalError
            Neither: use `polyfiber.are_equivalent`.
        """
        if other.architecture != self.network.architecture:
            return False
        if other == self.network:
            return True
        distance = above("equivalence.forms.distance:function_distance")(self.network, other)
        if distance is not None:
            return distance <= (0.0 if self.network.is_exact and other.is_exact else tolerance)
        if self.beyond is not None or self.kind == "constant":
            answer = above("equivalence.decide:are_equivalent")(
                self.network, other, tolerance=tolerance, budget=Budget(seconds=20)
            )
            if answer.verdict is not Verdict.UNDECIDED:
                return bool(answer.verdict)
        raise NumericalError(
            "equality of these networks is not decided by normal forms (outside the theorems); use polyfiber.are_equivalent"
        )

    @property
    def sentence(self) -> str:
        """Whether the function determines the weights, up to what, how sure, and what to do next."""
        return told(self)

    def __repr__(self) -> str:
        widths = words.widths(self.network.architecture)
        return words.short(
            f"FiberReport({widths}: {self.kind}, identifiable {self.identifiable}, dimension {self.dimension})"
        )

    def plot(self, ax: Any = None, **options: Any) -> Any:
        """Draw a fiber of kind 'hiding' along its translation; see `polyfiber.plots.plot_translation`."""
        return above("plots.fibers:plot_translation")(self, ax=ax, **options)

    def _repr_html_(self) -> str:
        text: str = above("pages.notebook:html_of")(self)
        return text

    def __str__(self) -> str:
        lines = [self.sentence, f"  kind: {self.kind} ({self.reason})"]
        if self.dimension is not None:
            more = "" if self.complete else " of the components listed"
            lines.append(f"  dimension modulo scaling{more}: {self.dimension}")
        lines += [f"  {text}" for text in (*self.regime.violations, *self.regime.assumed, *self.notes)]
        return "\n".join(lines)


@np.errstate(under="ignore")
def classify_fiber(
    net: ReLUNetwork | PiecewiseLinearNetwork,
    *,
    limit: int = 2048,
    sign_error: float = 4 * UNIT,
    tolerance: float = 1e-9,
    complex: Any = None,
    domain: Polyhedron | None = None,
    max_faces: int = 500_000,
    max_parameters: int = 1500,
    budget: Budget | None = None,
) -> FiberReport:
    """Classify the fiber of a network.

    Parameters
    ----------
    net : ReLUNetwork
        Any architecture; complete answers for two hidden layers with ``n0 >= n1`` (generic), and for
        one hidden layer.
    limit : int
        How many masked products and minors to look at when checking genericity.
    sign_error : float
        Relative accuracy of the weights: signs of smaller entries are not decided (0 for rationals).
    tolerance : float
        Relative distance within which hyperplanes coincide and weights cancel.
    complex : PolyhedralComplex, optional
        The canonical complex: then the activity of neurons is exact instead of bounded, and bent
        hyperplanes of which nothing is visible are found. Where the theorems do not decide it is built here, for
        networks with up to about ``max_faces`` faces.
    domain : Box or Polyhedron, optional
        Bounded: the function matters on it only. Then neurons are judged there, by the complex on the domain or, where
        that is too large, by linear programs (`polyfiber.activation_bounds`); the theorems are about all of R^n and do
        not apply.
    max_faces : int
        0: never build a complex.
    max_parameters : int
        Where no theorem applies: up to so many the dimension near the parameter is computed. 0: nothing is looked for
        beyond the theorems.
    budget : Budget, optional
        Of complex and bounds. When it ends, cheaper bounds are used; `NeuronFacts.methods` says which.

    Returns
    -------
    FiberReport
        Where products of weights leave the range of floats, or a tolerance would compare weights of very different
        sizes, the numbers are taken as they are stored: the network of the report is rational, and what is drawn too.

    Raises
    ------
    InputError
        Not a network; a tolerance, limit or domain that makes no sense.

    Examples
    --------
    >>> import polyfiber as pf
    >>> report = pf.classify_fiber(pf.ReLUNetwork.random((4, 3, 3, 2), rng=0))
    >>> report.kind, report.identifiable, report.dimension
    ('identifiable', True, 0)
    """
    net = require_chain(net, "the fiber")
    tolerance = real(tolerance, "tolerance", least=0, most=1 - UNIT)
    sign_error = real(sign_error, "sign_error", least=0, most=1 - UNIT)
    limit, max_faces = whole(limit, "limit", least=1), whole(max_faces, "max_faces", least=0)
    max_parameters = whole(max_parameters, "max_parameters", least=0)
    settings: dict[str, Any] = {
        "limit": limit, "sign_error": sign_error, "tolerance": tolerance, "max_faces": max_faces,
        "max_parameters": max_parameters, "budget": budget,
    }  # fmt: skip
    if domain is not None or net.is_exact or len(net.weights) == 1:
        return _classify(net, complex, domain, **settings)
    why = "products of its weights leave the range of floats"
    if all_in_range(net):
        try:
            report = _classify(net, complex, domain, **settings)
            if report.kind in ("identifiable", "undecided", "rigid") or not far_apart(net):
                return report
            why = "its weights are too far apart in size for a relative tolerance"
        except RankAmbiguityError as error:
            why = str(error)
    shaky = len(net.weights) > 2 and _sign_is_open(net, sign_error)
    if net.n_parameters <= EXACT_PARAMETERS[len(net.weights) > 2] and not shaky:
        return _classify(net.exact(), complex, domain, **settings)
    return _classify(net, complex, domain, **settings, undecided=f"{why}; rational weights decide it")


def _classify(
    net: ReLUNetwork, complex: Any, domain: Polyhedron | None, *, limit: int, sign_error: float, tolerance: float,
    max_faces: int, max_parameters: int, budget: Budget | None, undecided: str = "",
) -> FiberReport:  # fmt: skip
    """The report in the arithmetic of the network; ``undecided``: why theorems are not asked."""
    regime = check_regime(net, limit=limit, sign_error=sign_error)
    facts, cx = _facts(net, regime, complex, domain, max_faces, budget)
    findings = _sure(find(net, facts, tolerance=tolerance), net, 0.0 if net.is_exact else sign_error)
    if cx is not None:
        findings += image_duplicates(net, cx, findings, tolerance=tolerance)
        findings += invisible_neurons(net, cx, findings)
    base: dict[str, Any] = {"network": net, "regime": regime, "facts": facts, "findings": findings, "domain": domain}
    report = _outside(base, (), (undecided,)) if undecided else _by_theorems(base, domain, tolerance, sign_error, cx)
    if report.kind != "undecided" or domain is not None or not max_parameters:
        return report
    if any(part.any() for part in _without_sign(net, 0.0 if net.is_exact else sign_error)):
        return replace(report, notes=(*report.notes, "nothing is computed: entries within the error of their sign"))
    return _beyond(report, beyond_theorem(net, complex=cx, max_parameters=max_parameters, budget=budget))


def _by_theorems(
    base: dict[str, Any], domain: Polyhedron | None, tolerance: float, sign_error: float, cx: Any
) -> FiberReport:
    net: ReLUNetwork = base["network"]
    regime, facts = base["regime"], base["facts"]
    depth = len(net.weights)
    if domain is not None:
        roles = (
            tuple({"dead": "dead", "active": "linear"}.get(s, "nonlinear") for s in facts.status[-1])
            if depth > 1
            else ()
        )
        return _outside(base, roles, ("the theorems are about all of R^n, not a bounded domain",))
    if depth == 1:
        return FiberReport(
            kind="identifiable", identifiable=True, reason="an affine map is its parameters", hidden_hyperplane=None,
            roles=(), complete=True, **base,
        )  # fmt: skip
    if depth == 2:
        return _one_hidden_layer(base, tolerance, sign_error)
    if depth == 3:
        gauged = _gauge(net)
        analysis = analyse_layer(
            gauged.weights[1], gauged.biases[1], gauged.weights[2], gauged.biases[2],
            tolerance=tolerance, sign_tolerance=sign_error,
        )  # fmt: skip
        if why := _constant_by(base, analysis, sign_error) or _flat(net, cx, sign_error):
            return _constant(base, analysis.roles, why, complete=regime.applies or net.architecture[1] == 1)
        if net.architecture[1] == 1 and (net.weights[0] != 0).any():
            return _one_scalar(base, analysis, tolerance)
        if regime.applies and not analysis.undecided:
            return _bottleneck(base, gauged, analysis)
        return _outside(base, analysis.roles, analysis.undecided)
    roles = tuple({"dead": "dead", "active": "linear"}.get(s, "nonlinear") for s in facts.status[-1])
    if why := _constant_by(base, None, sign_error) or _flat(net, cx, sign_error):
        return _constant(base, roles, why, complete=False)
    return _outside(base, roles, ())


def _constant_by(base: dict[str, Any], analysis: LayerAnalysis | None, sign_error: float) -> str:
    """Why the function of two hidden layers or more is constant, where that is seen; else nothing."""
    net, status = base["network"], base["facts"].status
    if analysis is not None and not analysis.undecided and all(role == "dead" for role in analysis.roles):
        return "every neuron of layer 2 is dead: layer 1 is free"
    shaky = _without_sign(net, 0.0 if net.is_exact else sign_error)
    for layer, (W, kinds, unsure) in enumerate(zip(net.weights[1:], status, shaky), 1):
        if not (W != 0).any() or (all(kind in ("dead", "constant") for kind in kinds) and not unsure.any()):
            return f"the function is constant: nothing that varies passes layer {layer}"
    if analysis is not None and not analysis.undecided:
        rep = analysis.representation
        if rep.n_hyperplanes == 0 and not (rep.slope != 0).any():
            return "the function is constant: the neurons of layer 2 cancel"
    return ""


def _flat(net: ReLUNetwork, cx: PolyhedralComplex | None, sign_error: float) -> str:
    """Why the function is constant, where the regions show it: every slope is zero, exactly; else nothing."""
    if cx is None or cx.n_regions > FLAT_REGIONS or cx.affine_maps().A.any():
        return ""
    if any(part.any() for part in _without_sign(net, 0.0 if net.is_exact else sign_error)):
        return ""
    exact, active = net.exact(), cx.signs(cx.dimension)[:, : net.n_hidden] > 0
    if any((exact_pieces(exact, row)[-1][:, :-1] != 0).any() for row in active):
        return ""
    return f"the function is constant: its slope is zero on {words.every(cx.n_regions, 'region')}"


def _beyond(report: FiberReport, found: Beyond) -> FiberReport:
    """The report where no theorem applies, with what was computed for this network."""
    kind, identifiable = found.kind, report.identifiable
    if kind == "rigid" and identifiable is False:  # what is free within the tolerance is not in exact numbers
        return replace(
            report, beyond=found, kind="flexible", notes=(*found.notes, f"within the tolerance; {found.reason}")
        )
    if kind == "undecided" and identifiable is False:
        kind = "flexible"
    if kind == "flexible":
        identifiable = False
    reason = f"{found.reason}; {report.reason}" if found.reason and kind != "undecided" else report.reason
    notes = found.notes
    roles = report.roles
    if found.local is not None and found.local.activity.complete and report.network.n_hidden:
        roles = found.local.activity.roles(len(report.network.weights) - 1)
    elif found.second is not None:
        both = zip(found.second.dead.tolist(), found.second.linear.tolist())
        roles = tuple("dead" if d else "linear" if l else "nonlinear" for d, l in both)
    report = replace(report, roles=roles)
    if kind == "undecided":
        notes = (*notes, *((found.reason,) if found.reason else ()), *report.notes)
    return replace(report, kind=kind, identifiable=identifiable, reason=reason, notes=notes, beyond=found)


def _sure(findings: tuple[Finding, ...], net: ReLUNetwork, sign_error: float) -> tuple[Finding, ...]:
    """The same findings, where one that hangs on an entry with no sign (within the error) frees nothing."""
    shaky = _without_sign(net, sign_error)
    result = []
    for f in findings:
        rows_used = [(f.layer, i) for i in f.neurons] if f.kind in ("dead", "linear") else []
        if f.kind == "hidden hyperplane":
            rows_used = [(f.layer + 1, j) for j in range(len(shaky[f.layer]))]
        if any(shaky[layer - 1][i] for layer, i in rows_used):
            f = replace(f, frees=False, text=f"{f.text} (if an entry within the error of its sign has it)")
        result.append(f)
    return tuple(result)


@np.errstate(under="ignore")
def _without_sign(net: ReLUNetwork, sign_error: float) -> list[BoolArray]:
    """Per hidden layer the neurons with a non-zero entry within the error of its sign."""
    shaky: list[BoolArray] = []
    for W, b in zip(net.weights[:-1], net.biases[:-1]):
        rows = np.abs(nearest(np.concatenate([W, b[:, None]], axis=1)))
        near = (rows > 0) & (rows <= sign_error * row_norms(rows)[:, None])
        shaky.append(np.atleast_1d(near.any(axis=1)))
    return shaky


def _sign_is_open(net: ReLUNetwork, sign_error: float) -> bool:
    """Whether an entry is within the error of its sign, beside its row with all neurons rescaled to size one."""
    near = levelled(net)
    pairs = zip((*net.weights, *net.biases), (*near.weights, *near.biases))
    if any(((given != 0) & (scaled == 0)).any() for given, scaled in pairs):
        return True
    return any(part.any() for part in _without_sign(near, sign_error))


def _facts(
    net: ReLUNetwork, regime: Regime, given: Any, domain: Polyhedron | None, max_faces: int, budget: Budget | None
) -> tuple[NeuronFacts, Any]:
    """Activity of the neurons, and the complex if it was used."""
    if given is not None:
        if not isinstance(given, PolyhedralComplex):
            raise InputError(f"complex must be a PolyhedralComplex, found {shown(given)}")
        if given.network != net or (given.domain is None) != (domain is None):
            raise InputError("complex= belongs to another network, or to another domain than domain=")
        return facts_from_complex(net, given, None if domain is None else facts_on(net, domain)), given
    deep = len(net.weights) > 2 and not regime.applies
    faces = estimate_size(net, domain)["faces"] if deep or domain is not None else 0
    why: tuple[str, ...] = ()
    if faces > max_faces:
        why = (f"the complex was not built: about {_short(faces)} faces expected, the limit is {max_faces}",)
    elif faces:
        try:
            cx = canonical_complex(net, domain, budget=budget)
            return facts_from_complex(net, cx, None if domain is None else facts_on(net, domain)), cx
        except (GenericityError, IncompleteError) as error:
            why = (f"the complex was not built: {error}",)
    facts = neuron_facts(net) if domain is None else facts_on(net, domain, method="lp", budget=budget)
    return replace(facts, fallback=(*why, *facts.fallback)), None


def _short(count: int) -> str:
    """A number of any size to two digits."""
    digits = len(str(count))
    return str(count) if digits < 5 else f"{str(count)[0]}.{str(count)[1]}e{digits - 1}"


def _gauge(net: ReLUNetwork) -> ReLUNetwork:
    """Unit rows in layer 1, so that layer 2 is analysed in the same coordinates along the fiber."""
    if net.is_exact:
        return net
    norms = gauge_norms(net.weights[0])
    return Rescale(1, tuple(1.0 / norms))(net)


def _layer_fiber(analysis: LayerAnalysis) -> LayerwiseFiber:
    decided = (np.abs(analysis.orientation) == 1).all()
    return LayerwiseFiber(
        analysis.representation,
        len(analysis.roles),
        own_orientation=analysis.orientation if decided else None,
        assume_generic=analysis.is_generic,
    )


def _one_hidden_layer(base: dict[str, Any], tolerance: float, sign_error: float) -> FiberReport:
    net: ReLUNetwork = base["network"]
    analysis = analyse_layer(
        net.weights[0], net.biases[0], net.weights[1], net.biases[1],
        domain="space", tolerance=tolerance, sign_tolerance=sign_error,
    )  # fmt: skip
    roles = analysis.roles
    if analysis.undecided:
        return _outside(base, roles, analysis.undecided)
    layer = _layer_fiber(analysis)
    common: dict[str, Any] = {"hidden_hyperplane": None, "roles": roles, "layer": layer, **base}
    N = layer.representation.n_hyperplanes
    flat = not any(v != 0 for v in layer.representation.slope.ravel())
    if N == 0 and flat:
        return _constant(base, roles, "the function is constant: every neuron is free", complete=False)
    if not layer.is_listable:
        return _outside(base, roles, (f"2^{N} orientations of the hyperplanes would have to be tried",))
    frees = [f for f in base["findings"] if f.frees] or ["cancelling"] * ("cancelling" in roles)
    if layer.n_spare == 0:
        first = list(itertools.islice(layer.components(), 2))
        single = len(first) == 1
        reason = "every hyperplane is visible, belongs to one neuron, and admits one orientation"
        if not single:
            reason = "some neurons can be flipped together without changing the function"
        return FiberReport(
            kind="identifiable" if single else "layerwise", identifiable=single, reason=reason, complete=True,
            notes=_assumed(layer), **common,
        )  # fmt: skip
    notes = ("spare neurons: components with one neuron per hyperplane are listed, degenerate ones are not",)
    if (np.abs(analysis.orientation) != 1).any() and not frees:
        return _by_whole_fiber(base, roles, "neurons bend at one hyperplane from both sides")
    reason = f"{layer.n_spare} of {words.count(layer.width, 'neuron')} {'is' if layer.n_spare == 1 else 'are'} not needed: {frees[0] if frees else 'rows coincide'}"
    if next(layer.components(), None) is None:
        return _by_whole_fiber(base, roles, "the function needs two neurons on some hyperplane")
    return FiberReport(kind="layerwise", identifiable=False, reason=reason, complete=False, notes=notes, **common)


def _by_whole_fiber(base: dict[str, Any], roles: tuple[str, ...], why: str) -> FiberReport:
    """A degenerate layer: what the whole fiber of the function says (floats as they are stored)."""
    report = _outside(base, roles, (why,))
    size = None if report.identifiable is False else shallow_fiber(report.network).size_told()
    return report if size is None else replace(report, identifiable=False, reason=f"{why}; {size}")


def _constant(base: dict[str, Any], roles: tuple[str, ...], reason: str, *, complete: bool) -> FiberReport:
    return FiberReport(
        kind="constant", identifiable=False, reason=reason, hidden_hyperplane=None, roles=roles, complete=complete,
        **base,
    )  # fmt: skip


def _bottleneck(base: dict[str, Any], gauged: ReLUNetwork, analysis: LayerAnalysis) -> FiberReport:
    net: ReLUNetwork = base["network"]
    roles = analysis.roles
    dead = [j for j, r in enumerate(roles) if r == "dead"]
    linear = [j for j, r in enumerate(roles) if r == "linear"]
    common: dict[str, Any] = {"roles": roles, **base}
    report = hiding_report(net)
    if report.hyperplane is not None:
        k = report.hyperplane
        flips = f", and 2^{net.architecture[1] - 1} flips" if len(report.live) == 1 else ""
        notes: tuple[str, ...] = ()
        if dead:
            notes = ("dead neurons beside hiding: other components are not excluded by proof",)
        return FiberReport(
            kind="hiding", identifiable=False, hidden_hyperplane=k, complete=not dead, hiding=report, notes=notes,
            reason=f"column {k} of W2 is positive and everything else in (W2 | b2) negative: "
            f"hyperplane {k} can be translated by up to {as_float(report.end):.6g}{flips}",
            **common,
        )  # fmt: skip
    layer = _layer_fiber(analysis)
    if not layer.is_listable and not dead and not linear:
        text = f"2^{layer.representation.n_hyperplanes} orientations of the hyperplanes would have to be tried"
        return _outside(base, roles, (text,))
    notes = _assumed(layer)
    if dead:
        notes = (*notes, "spare neurons: other components are not excluded by proof")
    if not dead and not linear:
        if next(itertools.islice(layer.components(), 1, None), None) is None:
            reason = "no row of (W2 | b2) has one sign and no column hides a hyperplane"
            return FiberReport(
                kind="identifiable", identifiable=True, reason=reason, hidden_hyperplane=None, complete=True,
                layer=layer, notes=_assumed(layer), **common,
            )  # fmt: skip
        reason = "some neurons of layer 2 can be flipped together without changing the function"
    elif dead:
        reason = f"row {dead[0]} of (W2 | b2) is all negative: neuron {dead[0]} of layer 2 is dead"
    else:
        reason = f"row {linear[0]} of (W2 | b2) is all positive: neuron {linear[0]} of layer 2 is linear"
    return FiberReport(
        kind="layerwise", identifiable=False, reason=reason, hidden_hyperplane=None, complete=not dead, notes=notes,
        layer=layer, **common,
    )  # fmt: skip


def _assumed(layer: LayerwiseFiber) -> tuple[str, ...]:
    text = layer.assumed
    return () if text is None else (text,)


def _one_scalar(base: dict[str, Any], analysis: LayerAnalysis, tolerance: float) -> FiberReport:
    net: ReLUNetwork = base["network"]
    function = scalar_function(net, tolerance=tolerance)
    common: dict[str, Any] = {"roles": analysis.roles, "scalar": function, **base}
    if function.undecided:
        return _outside(base, analysis.roles, function.undecided)
    if function.n_breaks == 0:
        return _outside(base, analysis.roles, ("the function is constant through cancellation",))
    width = net.architecture[2]
    generic = analysis.is_generic and not any(v == 0 for v in (*net.weights[1].ravel(), *net.biases[1]))
    hidden = 0 if all(r == "dead" or _starts_off(net, j) for j, r in enumerate(analysis.roles)) else None
    single = is_single_point(function, width)
    kind = "identifiable" if single else ("hiding" if hidden == 0 else "layerwise")
    reason = "a piecewise linear function of one variable; " + (
        "one way to cut it"
        if single
        else f"{words.count(function.n_breaks, 'breakpoint')}, {words.count(width, 'neuron')} in layer 2"
    )
    dead = any(r == "dead" for r in analysis.roles)
    return FiberReport(
        kind=kind, identifiable=single, reason=reason, hidden_hyperplane=hidden, complete=generic and not dead, **common
    )


def _starts_off(net: ReLUNetwork, j: int) -> bool:
    """Whether neuron j of layer 2 is off near 0 and on further out."""
    return bool(net.biases[1][j] <= 0 and net.weights[1][j, 0] > 0)


def _outside(base: dict[str, Any], roles: tuple[str, ...], undecided: tuple[str, ...]) -> FiberReport:
    findings: tuple[Finding, ...] = base["findings"]
    regime: Regime = base["regime"]
    freeing = next((f for f in findings if f.frees), None)
    hidden = next((f.neurons[0] for f in findings if f.kind == "hidden hyperplane" and f.layer == 1), None)
    why = "; ".join((*undecided, *regime.violations)) or "outside the theorems"
    return FiberReport(
        kind="undecided",
        identifiable=False if freeing is not None else None,
        reason=f"{freeing.text} (outside the theorem: {why})" if freeing else f"outside the theorem: {why}",
        hidden_hyperplane=hidden,
        roles=roles,
        complete=False,
        **base,
    )
