"""Lossless compression: the smallest network of the same depth that the theory of fibers reaches.

Dead and constant neurons go, duplicates merge, neurons that act linearly are re-factored at the
nonnegative rank of what they do together, and a layer that realises its hyperplanes with more neurons
than they need is realised again. Every step is a move that keeps the function on all of R^n.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any

import numpy as np

from .. import words
from .._lazy import above
from .._once import cached_property
from .._typing import Array, BoundMethod, FloatArray
from ..bounds.relaxation import bounding_box
from ..budget import Budget, Monitor
from ..domain import Box, Polyhedron
from ..errors import (
    BudgetExceededError,
    GenericityError,
    InputError,
    PolyfiberError,
    RankAmbiguityError,
    ShapeError,
    renamed,
)
from ..fibers.activity import NeuronFacts, facts_from_complex, facts_on, layer_bounds, neuron_facts
from ..fibers.findings import parallel_rows
from ..fibers.hyperplanes import analyse_layer
from ..fibers.layerwise import LayerComponent, LayerwiseFiber
from ..fibers.nonnegative_rank import nonnegative_column_rank
from ..network.float_or_rational import activation_scales, all_in_range, far_apart, row_norms, values_in_floats
from ..network.model import ReLUNetwork
from ..network.moves import (
    Composition,
    Join,
    Move,
    Neurons,
    Replace,
    compose,
    drop_neurons,
    merge_neurons,
    refactor_linear,
)
from ..network.piecewise import PiecewiseLinearNetwork, require_chain, require_network
from ..numerics.predicates import decide_rank
from ..verdict import Verdict
from .answer import Equivalence
from .bounds.near_equal import near_equal
from .checks.sample import Deviation, deviation
from .decide import are_equivalent
from .grounds import Bounded
from .minimize_gates import fewer_gates
from .reductions import (
    LowerBounds,
    affine_layer,
    affine_step,
    gauge_step,
    image_step,
    lower_bounds,
    neuron_map,
    relation_step,
)

SAMPLES = 2000
"""Inputs at which the effect of removing a neuron is measured."""
EXACT_PARAMETERS = 1500
"""Up to so many parameters rationals are minimized where products leave the range of floats, or weights are apart."""
APART = 36
"""Powers of two between weights that the tolerance compares."""
REMOVAL_SECONDS = 60.0
"""Time for all removals within epsilon, without a budget."""
ATTEMPT_SECONDS = 3.0
"""Time for the proof of one removal."""
PROGRAM_SECONDS = 60.0
"""Time for one round of linear programs without a budget."""
_FAITHFUL = 1e-11  # largest change of a layer, relative to its terms, that still counts as rounding


@dataclass(frozen=True)
class MinimizeResult:
    """A smaller network with the same function, and how it was reached.

    Attributes
    ----------
    network : ReLUNetwork or PiecewiseLinearNetwork
    original : ReLUNetwork or PiecewiseLinearNetwork
    moves : Composition
        Applied to the original they give `network` (approximate steps excepted).
    undecided : tuple of str
        Reductions that were not made because a decision was within the tolerances.
    source : 'bounds' or 'complex'
        What the activity of neurons was decided on, in the end.
    decided_by : tuple of str
        What decided the activity of the neurons that went or were re-factored: 'interval bounds', 'linear bounds',
        'LP bounds', 'complex'; also in the text of each move.
    proof : Equivalence or None
        With ``prove=True``: whether both networks compute the same function, decided anew by `are_equivalent`.
    kept : tuple of (m_l,) int64, or None
        Of a network of gates: the gates of each block that are left.
    box : (lower, upper) or None
        Where the function is kept: on this box, or on all of R^n.
    epsilon : float
        What was allowed on the box.
    bound : float
        Bound on the change of the function there: 0 but for ``epsilon > 0``, up to rounding.
    dropped : tuple of (layer, neuron)
        Neurons replaced by constants for ``epsilon > 0`` (indices of the original).
    depth : bool
        Whether layers were taken out that act affinely on their image.
    """

    network: Any
    original: Any
    moves: Composition
    undecided: tuple[str, ...]
    source: str
    box: tuple[FloatArray, FloatArray] | None = None
    epsilon: float = 0.0
    bound: float = 0.0
    dropped: tuple[tuple[int, int], ...] = ()
    decided_by: tuple[str, ...] = ()
    proof: Equivalence | None = None
    kept: tuple[Any, ...] | None = None
    depth: bool = False

    @property
    def layers(self) -> tuple[int, ...]:
        """Hidden layers of the original that are left, from 1."""
        left = list(range(1, len(self.original.hidden_widths) + 1))
        for move in self.moves.moves:
            if isinstance(move, Join):
                del left[move.layer - 1]
        return tuple(left)

    @property
    def steps(self) -> tuple[str, ...]:
        """The moves in words; neurons have the numbers of the original."""
        return self.moves.in_words(self.original.architecture, self.dropped)

    @property
    def domain(self) -> Box | None:
        """Where the function is kept; None for all of R^n."""
        return None if self.box is None else Box(*self.box)

    @cached_property
    def lower_bounds(self) -> LowerBounds:
        """What every network of this depth with the same function needs in each hidden layer, and why (of the original;
        not for ``epsilon > 0``).
        """
        return lower_bounds(self.original, self.box)

    @cached_property
    def neurons(self) -> tuple[tuple[int, ...], ...]:
        """For each hidden layer the neurons of the original that are left, -1 for new ones (empty for
        ``epsilon > 0``).
        """
        if self.kept is not None:
            return tuple(tuple(int(i) for i in own) for own in self.kept)
        return neuron_map(self.original, self.moves, self.network) if self.epsilon == 0 else ()

    @property
    def saved_neurons(self) -> int:
        """Hidden neurons saved."""
        return self.original.n_hidden - self.network.n_hidden

    @property
    def saved_parameters(self) -> int:
        """Weights and biases saved."""
        return self.original.n_parameters - self.network.n_parameters

    def prove(self, *, budget: Budget | None = None, tolerance: float = 1e-9) -> Equivalence:
        """Decide anew whether both networks compute the same function, without using how the moves were found.

        Rational networks exactly; floats within ``tolerance`` (see `are_equivalent`); a result for ``epsilon > 0``
        within that epsilon on its box. UNDECIDED, with the reason, when the budget ends or the complex of the
        networks is out of reach.
        """
        domain = None if self.box is None else Box(*self.box)
        if self.epsilon > 0:
            found = are_equivalent(self.original, self.network, domain, epsilon=self.epsilon, budget=budget)
            if found.verdict is Verdict.UNDECIDED and found.bound is not None and found.bound <= self.epsilon:
                ground = Bounded(found.bound, self.epsilon, found.method)  # a bound below epsilon is the proof
                return Equivalence.equal(
                    self.original,
                    self.network,
                    tolerance,
                    ground,
                    domain=domain,
                    epsilon=self.epsilon,
                    stats=found.stats,
                )
            return found
        if self.original.is_exact:
            tolerance = 0.0
        return are_equivalent(self.original, self.network, domain, tolerance=tolerance, budget=budget)

    def verify(self, **options: Any) -> Deviation:
        """Compare both networks at vertices, rays and region points of their complexes; see `deviation`.

        ``verdict`` of the answer is that of the proof, if there is one and `Equivalence.recheck` does not refute it.
        """
        found = deviation(self.original, self.network, domain=None if self.box is None else Box(*self.box), **options)
        if self.proof is None or self.proof.recheck().verdict is Verdict.NO:
            return found
        return replace(found, verdict=self.proof.verdict)

    @property
    def sentence(self) -> str:
        """What was saved, that the function is kept, how sure, and what to do next."""
        before, after = (words.widths(n.architecture) for n in (self.original, self.network))
        where = words.place(self.domain, self.original.architecture[0])
        if self.saved_neurons == 0 and self.saved_parameters == 0:
            open_ = ""
            if self.undecided:
                many = words.count(len(self.undecided), "reduction")
                open_ = f" {many} not decided (first: {words.short(self.undecided[0], 100)}): {words.way('more --seconds or another --tolerance', 'a larger budget= or another tolerance=')} may decide."
            return (
                f"Nothing saved: no neuron of {before} was found to be idle, a copy, or replaceable by fewer {where}.{open_} A smaller network that "
                "these moves do not reach is not excluded."
            )
        saved = f"{words.count(self.saved_neurons, 'neuron')} and {words.count(self.saved_parameters, 'parameter')}"
        rounding = "" if self.original.is_exact else ", up to rounding,"
        most = f"no output changed by more than {words.at_most(self.bound)}{rounding}"
        kept = "the same function" if self.epsilon == 0 else most
        text = f"Saved {saved}: {before} became {after}, {kept} {where}"
        if self.proof is None:
            return f"{text}; each move keeps it, up to rounding. A proof of the whole: {words.way('--prove', 'prove=True')}."
        anew = "proved anew by comparing the two networks"
        if self.epsilon > 0:  # what was asked of the proof is epsilon, not the sum of what the moves may change
            proved = min(self.epsilon, self.epsilon if self.proof.bound is None else self.proof.bound)
            anew = f"the bounds of the moves say so, and comparing the two networks anew proves at most {words.at_most(proved)}"
        return {
            "yes": f"{text}; {anew}.",
            "no": f"{text} was claimed, and REFUTED by comparing the two networks; please report this.",
            "undecided": f"{text}; each move keeps it, and the proof of the whole is not decided: {self.proof.reason}; {words.way('more --seconds', 'a larger budget=')} may decide it.",
        }[self.proof.verdict.value]

    def __str__(self) -> str:
        return self.sentence

    def _repr_html_(self) -> str:
        text: str = above("pages.notebook:html_of")(self)
        return text

    def __repr__(self) -> str:
        before, after = ("-".join(map(str, n.architecture)) for n in (self.original, self.network))
        return f"MinimizeResult({before} -> {after}, {words.count(len(self.moves), 'move')}, {words.count(self.saved_parameters, 'parameter')} saved)"


@np.errstate(under="ignore")
def minimize(
    net: ReLUNetwork | PiecewiseLinearNetwork,
    *,
    tolerance: float = 1e-13,
    use_complex: bool | None = None,
    epsilon: float = 0.0,
    domain: Polyhedron | None = None,
    lower: Any = None,
    upper: Any = None,
    prove: bool = False,
    depth: bool = False,
    budget: Budget | None = None,
) -> MinimizeResult:
    """Smallest network of the same depth that dropping, merging and re-factoring reach; with ``depth`` layers may go as
    well.

    Parameters
    ----------
    net : ReLUNetwork or PiecewiseLinearNetwork
        Of the latter, gates that are on one side of their walls on the domain become affine and are put into the maps
        behind them, and gates that nothing reads go; the result is exact (rationals where floats do not hold it).
        ``tolerance`` plays no part, and ``epsilon`` is for chains.
    tolerance : float
        Relative distance within which rows count as multiples, weights as cancelled, singular values
        as zero (nothing of the kind for rationals). The default is rounding: a larger one compresses
        more and changes the function by about as much.
    use_complex : bool, optional
        Decide activity from the canonical complex (exact) or from certified bounds (sound): intervals on R^n; on a box
        back-substituted linear bounds, then linear programs. Default: the complex for networks with up to about
        half a million faces.
    epsilon : float
        Also replace neurons by constants as long as the function changes by at most this on the box;
        the bound that is reached is reported.
    domain : Box, optional
        The function is kept there only, where more neurons are dead or always active. Needed for ``epsilon > 0``.
    lower, upper : (n0,) array_like, optional
        Old names of the bounds of ``domain``; they warn.
    prove : bool
        Also decide by `are_equivalent` whether the result computes the same function; see `MinimizeResult.prove`.
    depth : bool
        Also take out layers that act affinely on what reaches them.
    budget : Budget, optional
        For everything together; what is left of it goes to the proof, which is UNDECIDED when it ends.

    Returns
    -------
    MinimizeResult
        Where products of weights leave the range of floats, or weights are further apart than the tolerance compares,
        small networks are minimized as the rationals that they store (the result in floats where those hold it), and
        of large ones only neurons that are idle go.

    Raises
    ------
    InputError
        ``epsilon > 0`` without a box; a tolerance, epsilon or box that makes no sense.
    BudgetExceededError
        Time was up while reductions were made; ``partial`` is the network so far, with the same function.

    Examples
    --------
    >>> import numpy as np
    >>> import polyfiber as pf
    >>> W2 = np.array([[1.0, 2.0], [-1.0, -1.0], [2.0, 4.0]])
    >>> net = pf.ReLUNetwork([np.eye(2), W2, np.ones((1, 3))], [np.zeros(2), [-1.0, -1.0, -2.0], [0.0]])
    >>> found = pf.minimize(net)
    >>> found.network.architecture, len(found.moves)
    ((2, 2, 1, 1), 2)
    """
    net = require_network(net)
    if not (isinstance(tolerance, Real) and 0 <= tolerance < 1):
        raise InputError(f"tolerance must lie in [0, 1), found {tolerance!r}")
    if not (isinstance(epsilon, Real) and 0 <= epsilon < np.inf):
        raise InputError(f"epsilon must be finite and at least 0, found {epsilon!r}")
    tolerance, epsilon = float(tolerance), float(epsilon)
    box = _box(net, domain, lower, upper)
    monitor = Monitor(budget)
    if isinstance(net, PiecewiseLinearNetwork):
        return _of_gates(net, box, use_complex, epsilon, prove, monitor, depth)
    values_in_floats(net, "minimizing")
    given_exact = net.is_exact
    in_floats = net.is_exact or (all_in_range(net) and not far_apart(net, APART))
    if not in_floats and net.n_parameters <= EXACT_PARAMETERS:
        net = net.exact()
    approximate, bound = net, 0.0
    dropped: list[tuple[int, int]] = []
    if epsilon > 0:
        if box is None:
            raise InputError("epsilon > 0 needs domain=, a box: the change of the function is bounded on it")
        approximate, bound, dropped = _drop_small(net, epsilon, box, monitor)
    run = _Run(approximate, tolerance, monitor, box, depth)
    if not all_in_range(net) and not net.is_exact:
        run.drops_alone = True
        run.undecided.append(
            "products of weights leave the range of floats: neurons are dropped, no more; rational weights decide more"
        )
    run.to_fixed_point(run.facts_by_bounds)
    if use_complex is None:
        use_complex = _small(run.net, box)
    source = "bounds"
    if use_complex and run.with_complex():
        source = "complex"
    else:
        run.with_programs()
    result = MinimizeResult(
        run.net,
        net,
        compose(*run.moves),
        tuple(dict.fromkeys(run.undecided)),
        source,
        box,
        epsilon,
        bound,
        tuple(dropped),
        tuple(sorted(run.decided_by)),
        depth=depth,
    )
    if not given_exact and run.net.is_exact:
        result = replace(result, network=_in_floats(run.net))
    if run.moves and epsilon == 0:
        result = replace(result, network=_with_map(result.network, result.neurons, result.layers))
    return replace(result, proof=result.prove(budget=run.left())) if prove else result


def _of_gates(
    net: PiecewiseLinearNetwork, box: Any, use_complex: bool | None, epsilon: float, prove: bool, monitor: Monitor,
    depth: bool,
) -> MinimizeResult:  # fmt: skip
    if epsilon > 0:
        require_chain(net, "replacing neurons by constants within epsilon")
    if depth:
        require_chain(net, "taking layers out")
    found = fewer_gates(net, None if box is None else Box(*box), use_complex=use_complex, monitor=monitor)
    result = MinimizeResult(
        found.network, net, compose(), found.undecided, found.source, box, decided_by=found.decided_by, kept=found.kept
    )
    return replace(result, proof=result.prove(budget=monitor.rest())) if prove else result


def _in_floats(net: ReLUNetwork) -> ReLUNetwork:
    """A rational network in floats, where they hold it."""
    try:
        near = net.rounded()
    except PolyfiberError:
        return net
    return near if near == net else net


def _with_map(net: ReLUNetwork, neurons: tuple[tuple[int, ...], ...], layers: tuple[int, ...]) -> ReLUNetwork:
    """The network with a note of which neurons it kept."""
    text = "; ".join(f"layer {l}: {', '.join(map(str, row))}" for l, row in zip(layers, neurons))
    notes = (*net.source.get("notes", ()), f"minimized, neurons of the original (-1: new): {text}")
    return ReLUNetwork(net.weights, net.biases, source={**net.source, "notes": notes})


def _box(net: Any, domain: Polyhedron | None, lower: Any, upper: Any) -> tuple[FloatArray, FloatArray] | None:
    n0 = net.architecture[0]
    if lower is not None or upper is not None:
        if domain is not None:
            raise InputError("give the box as domain= alone; lower= and upper= are its old names")
        renamed("minimize(lower=, upper=)", "minimize(domain=pf.Box(lo, hi))")
    elif domain is None:
        return None
    elif not isinstance(domain, Box):
        raise InputError(f"minimize keeps the function on a Box, found {type(domain).__name__}")
    elif domain.dimension != n0:
        raise ShapeError(
            f"the domain has {words.count(domain.dimension, 'coordinate')}, the network {words.count(n0, 'input')}"
        )
    else:
        lower, upper = bounding_box(domain)
    try:
        low, high = (np.broadcast_to(np.asarray(v, dtype=np.float64), (n0,)).copy() for v in (lower, upper))
    except (TypeError, ValueError):
        raise InputError(f"a box needs lower= and upper=, numbers or {n0} of them each") from None
    if not (np.isfinite(low).all() and np.isfinite(high).all() and (low < high).all()):
        raise InputError("minimize needs a box with finite bounds, lower below upper in every coordinate")
    return low, high


def _small(net: ReLUNetwork, box: tuple[FloatArray, FloatArray] | None) -> bool:
    from ..complexes.build import estimate_size

    domain = None if box is None else Box(*box)
    return net.n_hidden > 0 and estimate_size(net, domain)["faces"] <= 500_000


class _Run:
    """One run of reductions: the network so far and the moves made."""

    def __init__(
        self, net: ReLUNetwork, tolerance: float, monitor: Monitor, box: tuple[FloatArray, FloatArray] | None,
        depth: bool = False,
    ) -> None:  # fmt: skip
        self.net = net
        self.box = box
        self.tolerance = 0.0 if net.is_exact else tolerance
        self.monitor = monitor
        self.depth = depth
        self.moves: list[Move] = []
        self.undecided: list[str] = []
        self.decided_by: set[str] = set()
        self.refused: set[int] = set()
        self.complex: Any = None
        self.drops_alone = False  # what is compared in floats says nothing

    def left(self) -> Budget:
        """What remains of the budget."""
        return self.monitor.rest()

    def to_fixed_point(self, facts_of: Callable[[ReLUNetwork], NeuronFacts]) -> None:
        more = True
        while more:
            self.monitor.check_time("minimizing", partial=self.net)
            try:
                with self.monitor.watching():
                    more = self._one_step(facts_of(self.net))
            except BudgetExceededError as error:
                error.partial = self.net
                raise

    def facts_by_bounds(self, net: ReLUNetwork, method: BoundMethod = "relaxation") -> NeuronFacts:
        return neuron_facts(net) if self.box is None else facts_on(net, Box(*self.box), method=method)

    def with_complex(self) -> bool:
        from ..complexes.build import canonical_complex

        domain = None if self.box is None else Box(*self.box)

        def facts(net: ReLUNetwork) -> NeuronFacts:
            self.complex = canonical_complex(net, domain, budget=self.left())
            return facts_from_complex(net, self.complex, self.facts_by_bounds(net))

        try:
            self.to_fixed_point(facts)
        except (GenericityError, BudgetExceededError) as error:
            self.undecided.append(f"activity by the complex: {error}")
            self.complex = None
            return False  # the result says that its facts come from bounds
        return True

    def with_programs(self) -> None:
        """Linear programs for what the cheaper bounds leave open; they need a box."""
        while self.box is not None:
            left = self.left()
            some = Budget(PROGRAM_SECONDS) if left.seconds is None else left
            facts = facts_on(self.net, Box(*self.box), method="lp", budget=some)
            self.undecided.extend(f"LP bounds: {text}" for text in facts.fallback)
            # a neuron that goes changes nothing on the box, so the facts of the other layers stay
            dropped = [self._drop(layer, facts) for layer in range(len(self.net.weights) - 1, 0, -1)]
            if not any(dropped) and not self._one_step(facts):
                return
            if facts.fallback:
                break
            self.to_fixed_point(self.facts_by_bounds)

    def _do(self, move: Move) -> bool:
        self.net = move.apply(self.net)
        self.moves.append(move)
        return True

    def _refuse(self, move: Replace, error: float) -> bool:
        self.undecided.append(f"layer {move.layer}, {move.why}: would change it by {error:.2g} of its size")
        return False

    def _one_step(self, facts: NeuronFacts) -> bool:
        """Make one reduction, if there is one."""
        if self.drops_alone:
            return any(self._drop(layer, facts) for layer in range(len(self.net.weights) - 1, 0, -1))
        for layer in range(len(self.net.weights) - 1, 0, -1):
            if self._drop(layer, facts) or self._merge(layer) or self._linear(layer, facts) or self._again(layer):
                return True
        layers = range(len(self.net.weights) - 1, 0, -1)
        if any(self._related(layer) or self._gauge(layer) for layer in layers):
            return True
        if self.complex is not None and any(self._on_image(layer) for layer in layers):
            return True
        return self.depth and any(self._joined(layer, facts) for layer in layers)

    def _gauge(self, layer: int) -> bool:
        move = gauge_step(self.net, layer, tolerance=self.tolerance)
        if move is None:
            return False
        try:
            return self._do(move) and (self._merge(layer) or True)
        except InputError as error:  # rounding took the shift beyond the half-line
            self.undecided.append(f"layer {layer}: {error}")
            return False

    def _on_image(self, layer: int) -> bool:
        """Express features by others on what the layers before reach (the complex is that of the network as it is)."""
        if layer == 1 and self.box is None:
            return False  # the image is everything
        with self.monitor.watching():
            move = image_step(self.net, layer, self.complex)
        if move is None:
            return False
        self.decided_by.add("complex")
        return self._do(move)

    def _joined(self, layer: int, facts: NeuronFacts) -> bool:
        active = facts.of(layer, "active")
        if layer == 1 and self.box is None:
            active = []
        try:
            move = affine_layer(self.net, layer, active, tolerance=self.tolerance)
        except (PolyfiberError, np.linalg.LinAlgError) as error:
            self.undecided.append(f"layer {layer}, joining it: {error}")
            return False
        if move is None:
            return False
        self.decided_by.update(facts.methods[layer - 1][i] for i in active)
        return self._do(move)

    def _related(self, layer: int) -> bool:
        """Express features by others; in layer 1, realise its hyperplanes and the affine rest anew."""
        if layer in self.refused:
            return False
        try:
            moves = [affine_step(self.net, tolerance=self.tolerance)] if layer == 1 and self.box is None else []
            moves.append(relation_step(self.net, layer, tolerance=self.tolerance))
        except (RankAmbiguityError, np.linalg.LinAlgError) as error:
            self.undecided.append(f"layer {layer}, relations of features: {error}")
            return False
        for move in moves:
            if move is not None:
                change = 0.0 if self.net.is_exact else _layer_error(self.net, move)
                if change <= _FAITHFUL:
                    return self._do(move)
                self._refuse(move, change)
                self.refused.add(layer)
        return False

    def _drop(self, layer: int, facts: NeuronFacts) -> bool:
        W, b, C = self.net.weights[layer - 1], self.net.biases[layer - 1], self.net.weights[layer]
        dead = facts.of(layer, "dead")
        constant = facts.of(layer, "constant")
        unused = [i for i in range(len(b)) if i not in dead and i not in constant and not (C[:, i] != 0).any()]
        gone = sorted([*dead, *constant, *unused])
        if not gone or (len(b) == 1 and not (C != 0).any() and not (W != 0).any()):
            return False
        # constant means that no input term can be other than zero: the activation is the bias's
        values = [b[i] if i in constant and b[i] > 0 else 0 * b[i] for i in gone]
        kinds = [name for name, group in (("dead", dead), ("constant", constant), ("unused", unused)) if group]
        by = sorted({facts.methods[layer - 1][i] for i in (*dead, *constant)})
        self.decided_by.update(by)
        why = f"drop {' and '.join(kinds)} neurons" + (f" (by {', '.join(by)})" if by else "")
        return self._do(drop_neurons(self.net, layer, gone, constants=values, why=why))

    def _merge(self, layer: int) -> bool:
        W, b = self.net.weights[layer - 1], self.net.biases[layer - 1]
        same, _ = parallel_rows(W, b, list(range(len(b))), self.tolerance)
        if not same:
            return False
        return self._do(merge_neurons(self.net, layer, same[0], why="merge neurons with one hyperplane"))

    def _linear(self, layer: int, facts: NeuronFacts) -> bool:
        """Re-factor the neurons that act linearly, at the rank of their product."""
        active = facts.of(layer, "active")
        if len(active) < 2 or (layer == 1 and self.box is None):
            return False
        old = Neurons.of(self.net, layer, active)
        product = old.outgoing @ old.weights
        rows: Array = np.ones(len(product), dtype=product.dtype)
        columns: Array = np.ones(product.shape[1], dtype=product.dtype)
        if product.dtype != object:  # ranks in a gauge that no scaling of neurons changes
            columns = activation_scales(self.net)[layer - 1]
            rows = row_norms(np.abs(old.outgoing) @ np.abs(old.weights * columns))
            rows = np.where(rows > 0, rows, 1.0)
            product = product * columns / rows[:, None]
            product = np.where(np.abs(product).max(initial=0.0) <= self.tolerance, 0.0, product)
        by = ", ".join(sorted({facts.methods[layer - 1][i] for i in active}))
        try:
            if self._linear_on_box(layer, active, product, rows, columns, facts, by):
                return True
            if layer == 1:
                return False
            factors = nonnegative_column_rank(product, tolerance=max(self.tolerance, 1e-15), gap=10.0)
            if factors.rank < len(active):
                right = factors.right / columns
                biases = np.full(factors.rank, 0 * product.ravel()[0], dtype=product.dtype)
                return self._refactor(
                    refactor_linear(
                        self.net,
                        layer,
                        active,
                        weights=right,
                        biases=biases,
                        outgoing=rows[:, None] * factors.left,
                        why=f"re-factor {len(active)} linear neurons at nonnegative rank {factors.rank} (by {by})",
                    ),
                    by,
                )
            return False
        except (RankAmbiguityError, InputError) as error:  # or the factors are not faithful
            self.undecided.append(f"linear neurons of layer {layer}: {error}")
            return False

    def _linear_on_box(
        self, layer: int, active: list[int], product: Array, rows: Array, columns: Array, facts: NeuronFacts, by: str
    ) -> bool:
        """Bounded inputs: any factors will do, with biases that keep them active."""
        if product.dtype == object:
            return False
        if layer == 1:
            assert self.box is not None
            low, high = self.box
        else:
            low, high = np.maximum(facts.lower[layer - 2], 0.0), np.maximum(facts.upper[layer - 2], 0.0)
        used = (product != 0).any(axis=0)
        r = decide_rank(product, tolerance=max(self.tolerance, 1e-15), gap=10.0).rank
        if r >= len(active) or r == 0 or not np.isfinite(high[used]).all():
            return False
        U, s, V = np.linalg.svd(product)
        right = np.where(used, V[:r], 0.0) / columns
        least, most = layer_bounds(right, np.zeros(r), low, np.where(used, high, 0.0))
        biases = np.maximum(-least, 0.0) + 0.01 * (most - least) + 1e-12
        return self._refactor(
            refactor_linear(
                self.net,
                layer,
                active,
                weights=right,
                biases=biases,
                outgoing=rows[:, None] * U[:, :r] * s[:r],
                why=f"re-factor {len(active)} linear neurons with bounded inputs at rank {r} (by {by})",
            ),
            by,
        )

    def _refactor(self, move: Replace, by: str) -> bool:
        """Accept new factors if every entry of the product stays, relative to the terms it is summed from."""
        if not self.net.is_exact:
            terms = np.abs(move.old.outgoing) @ np.abs(move.old.weights)
            change = np.abs(move.old.outgoing @ move.old.weights - move.new.outgoing @ move.new.weights)
            error = float((change / np.maximum(terms, 1e-300)).max(initial=0.0))
            if error > _FAITHFUL:
                return self._refuse(move, error)
        self.decided_by.update(by.split(", "))
        return self._do(move)

    def _again(self, layer: int) -> bool:
        """Realise a layer again when its hyperplanes need fewer neurons than it has."""
        W, b = self.net.weights[layer - 1], self.net.biases[layer - 1]
        C, a = self.net.weights[layer], self.net.biases[layer]
        domain: Any = "space" if layer == 1 else "orthant"
        columns: Array = (
            np.ones(W.shape[1], dtype=W.dtype) if self.net.is_exact else activation_scales(self.net)[layer - 1]
        )
        analysis = analyse_layer(W * columns, b, C, a, domain=domain, tolerance=self.tolerance)
        N, H = analysis.representation.n_hyperplanes, len(analysis.roles)
        if analysis.undecided:
            self.undecided.extend(f"layer {layer}: {text}" for text in analysis.undecided)
            return False
        if H == 1 or N >= H:
            return False
        fiber = LayerwiseFiber(analysis.representation, H, assume_generic=False)
        own = np.where(analysis.orientation == 0, 1, analysis.orientation)
        try:
            best = _cheapest(fiber, own, H)
        except RankAmbiguityError as error:
            self.undecided.append(f"layer {layer}: {error}")
            return False
        if best is None:
            return False
        component, linear = best
        point = component.point()
        width = N + linear
        keep = max(width, 1)
        old = Neurons.of(self.net, layer, range(H))
        with np.errstate(over="ignore"):
            rows = point.W[:keep] / columns
        if rows.dtype != object and not np.isfinite(rows).all():
            self.undecided.append(f"layer {layer}: the weights of fewer neurons would be beyond floats")
            return False
        new = Neurons(rows, point.b[:keep], point.C[:, :keep])
        if width == 0:  # an affine function of no neuron: one neuron without effect stays
            new = Neurons(0 * W[:1], 0 * b[:1], 0 * C[:, :1])
        move = Replace(
            layer,
            tuple(range(H)),
            old,
            tuple(range(keep)),
            new,
            point.a - a,
            why=f"realise {words.count(N, 'hyperplane')} with {keep} instead of {words.count(H, 'neuron')}",
        )
        change = 0.0 if self.net.is_exact else _layer_error(self.net, move)
        return self._refuse(move, change) if change > _FAITHFUL else self._do(move)


def _layer_error(before: ReLUNetwork, move: Replace) -> float:
    """Largest change of what a layer hands on, relative to the terms it had been summed from.

    At single inputs and random sets of them over many orders of magnitude: what is small beside the
    rest of a layer counts where the rest is off.
    """
    layer, after = move.layer, move.apply(before)
    rng = np.random.default_rng(0)
    n = before.architecture[layer - 1]
    mixed = rng.standard_normal((256, n)) * (rng.random((256, n)) < rng.random((256, 1)))
    directions = np.concatenate([np.eye(n), -np.eye(n), mixed])
    if layer > 1:
        directions = np.abs(directions)
    directions = directions * activation_scales(before)[layer - 1]
    with np.errstate(over="ignore", under="ignore"):
        y = np.concatenate([10.0**k * directions for k in (-8, -4, -2, -1, 0, 1, 2, 4, 8, 12)])
    values, sizes = [], []
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        for net in (before, after):
            W, b, C, a = net.weights[layer - 1], net.biases[layer - 1], net.weights[layer], net.biases[layer]
            z, terms = y @ W.T + b, np.abs(y) @ np.abs(W).T + np.abs(b)
            values.append(np.maximum(z, 0.0) @ C.T + a)
            # a neuron that is off adds nothing, however large its terms
            sizes.append(np.where(z > -_FAITHFUL * terms, terms, 0.0) @ np.abs(C).T + np.abs(a))
        error = np.abs(values[0] - values[1]) / np.maximum(sizes[0], 1e-300)
    finite = np.isfinite(values[0]).all(axis=1) & np.isfinite(sizes[0]).all(axis=1)
    return float(np.nan_to_num(error[finite], nan=np.inf).max(initial=0.0))


def _cheapest(fiber: LayerwiseFiber, own: Array, width: int) -> tuple[LayerComponent, int] | None:
    """A component with fewer neurons than ``width``: the own orientation, then (few hyperplanes) all."""
    N = fiber.representation.n_hyperplanes
    taus: Any = [own]
    if N <= 8:
        taus = itertools.chain([own], itertools.product((1, -1), repeat=N))
    best: tuple[LayerComponent, int] | None = None
    floor = 0
    for tau in taus:
        component = fiber.component(tau, 0)
        need = component.factorization.rank
        if fiber.representation.domain == "space" and need:
            continue
        if N + need < width and (best is None or need < best[1]):
            best = (fiber.component(tau, need), need)
        if best is not None and best[1] == floor:
            break
    return best


def _drop_small(
    net: ReLUNetwork, epsilon: float, box: tuple[FloatArray, FloatArray], monitor: Monitor
) -> tuple[ReLUNetwork, float, list[tuple[int, int]]]:
    """Replace neurons by constants, least effect first, as long as ``|f - g| <= epsilon`` on the box is proved for all
    together.

    The effect is measured at random inputs, where a removal that changes too much is refused at once; what is left is
    proved or refused by splitting boxes (`bounds.near_equal`): the longest beginning of the list first, then one neuron
    after the other.
    """
    domain, plain = Box(*box), net.rounded()
    X = np.random.default_rng(0).uniform(*box, (SAMPLES, len(box[0])))
    true, units = plain(X), [np.maximum(z, 0.0) for z in plain.preactivations(X)[:-1]]
    effects = []
    for layer, y in enumerate(units, start=1):
        low, high = y.min(axis=0), y.max(axis=0)
        size = np.abs(plain.weights[layer]).max(axis=0) * (high - low)
        effects += [(float(size[i]), layer, i, float(low[i] + high[i]) / 2) for i in range(len(low))]
    effects.sort()
    end = REMOVAL_SECONDS if monitor.left is None else 0.7 * monitor.left
    clock = Monitor(Budget(seconds=end))

    def without(chosen: list[int]) -> ReLUNetwork:
        """The neurons held at their constants, in place."""
        weights, biases = [W.copy() for W in plain.weights], [b.copy() for b in plain.biases]
        for k in chosen:
            _, layer, i, middle = effects[k]
            weights[layer - 1][i], biases[layer - 1][i] = 0.0, middle
        return ReLUNetwork(weights, biases)

    def near(chosen: list[int]) -> bool:
        g = without(chosen)
        per_layer = Counter(effects[k][1] for k in chosen)
        if any(per_layer[layer] >= len(y[0]) for layer, y in enumerate(units, start=1)):
            return False  # a layer keeps a neuron
        if not float(np.abs(g(X) - true).max()) <= epsilon or clock.late:
            return False
        seconds = min(ATTEMPT_SECONDS, clock.left or 0.0)
        return near_equal(net, g, domain, epsilon=epsilon, budget=Budget(seconds=seconds)).verdict is Verdict.YES

    low, high = 0, len(effects) + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if near(list(range(middle))) else (low, middle)
    chosen = list(range(low))
    for k in range(low, len(effects)):
        monitor.report("removing neurons", k, len(effects), removed=len(chosen))
        if clock.late:
            break
        if near([*chosen, k]):
            chosen.append(k)
    result = net
    for layer in range(1, len(plain.weights)):
        group = [effects[k] for k in chosen if effects[k][1] == layer]
        if group:
            indices, values = [i for _, _, i, _ in group], [v for *_, v in group]
            result = drop_neurons(result, layer, indices, constants=values, why="replace by constants")(result)
    if not chosen:
        return net, 0.0, []
    bound = near_equal(net, without(chosen), domain, epsilon=epsilon, budget=Budget(seconds=ATTEMPT_SECONDS)).bound
    return result, bound, [(effects[k][1], effects[k][2]) for k in chosen]
