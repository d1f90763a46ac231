"""Networks with one neuron in layer 1: piecewise linear functions of one variable ``z = w . x``.

There the sign rules of the bottleneck theorem do not hold (rows ``(-, +)`` of layer 2 allow the
reflection ``z -> -z``; past the end of a translation a neuron turns linear), but the fiber is
complete all the same: the function is constant on one side at least, the first layer cuts it at or
before its first breakpoint, and layer 2 realises the rest on the half-line.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._typing import Array, RngLike
from .._values.checked import generator_of
from .._values.read_only import closed
from ..network.float_or_rational import is_rational, largest, lengths
from ..network.model import ReLUNetwork
from ..words import one_line
from .hyperplanes import HyperplaneRepresentation, analyse_layer
from .layerwise import LayerComponent, LayerwiseFiber


@closed
@dataclass(frozen=True)
class ScalarFunction:
    """``f(x) = h(w . x)`` with ``h`` continuous and piecewise linear.

    Attributes
    ----------
    direction : (n0,) array
        ``w``, of unit length (largest entry ±1 for rationals).
    breaks : (K,) array
        Breakpoints of h, ascending.
    jumps : (K, m) array
        Changes of slope there, none zero.
    first_slope, last_slope : (m,) arrays
        Slopes at minus and plus infinity.
    value : (m,) array
        h at the first breakpoint (anywhere, if there is none).
    undecided : tuple of str
        Decisions within the tolerances.
    """

    __repr__ = one_line

    direction: Array
    breaks: Array
    jumps: Array
    first_slope: Array
    last_slope: Array
    value: Array
    undecided: tuple[str, ...] = ()

    @property
    def n_breaks(self) -> int:
        """K."""
        return int(self.breaks.shape[0])

    def reversed(self) -> ScalarFunction:
        """The same function with ``-w`` for ``w``."""
        value = self.value
        slope = self.first_slope
        for i in range(1, self.n_breaks):
            slope = slope + self.jumps[i - 1]
            value = value + slope * (self.breaks[i] - self.breaks[i - 1])
        return ScalarFunction(
            -self.direction,
            -self.breaks[::-1],
            self.jumps[::-1],
            -self.last_slope,
            -self.first_slope,
            value,
            self.undecided,
        )

    def distance(self, other: ScalarFunction) -> float:
        """Largest relative difference of the data, over both directions.

        Slopes are relative to the largest jump, breakpoints to 1 and the largest of them, values to what
        the slopes make of that distance.
        """
        if self.n_breaks != other.n_breaks or self.direction.shape != other.direction.shape:
            return np.inf
        best = np.inf
        for candidate in (other, other.reversed()):
            slope = max(largest(self.jumps), largest(candidate.jumps))
            reach = max(1.0, largest(self.breaks), largest(candidate.breaks))
            level = max(largest(self.value), largest(candidate.value), slope * reach, 1e-300)
            pairs = [(self.value, candidate.value, level)]
            if self.n_breaks:
                pairs += [
                    (self.direction, candidate.direction, 1.0),
                    (self.breaks, candidate.breaks, reach),
                    (self.jumps, candidate.jumps, slope),
                    (self.first_slope, candidate.first_slope, slope),
                ]
            best = min(best, max(largest(a - b) / size for a, b, size in pairs))
        return best


def scalar_function(net: ReLUNetwork, *, tolerance: float = 1e-9) -> ScalarFunction:
    """Read the function of one variable off a network of widths ``(n0, 1, n2, m)``; w must not be zero."""
    w, b = net.weights[0], net.biases[0]
    norm = lengths(w)[0]
    analysis = analyse_layer(net.weights[1] * norm, net.biases[1], net.weights[2], net.biases[2], tolerance=tolerance)
    rep = analysis.representation
    shift = b[0] / norm
    slope = rep.slope[:, 0]
    terms = largest(rep.weights) + sum(largest(c) for c in (net.weights[1] * norm * net.weights[2].T).T)
    kink = bool(any(v != 0 for v in slope)) if net.is_exact else largest(slope) > tolerance * terms
    breaks = [] if not kink else [0 * shift]
    jumps = [] if not kink else [slope]
    places = rep.offsets / -rep.normals[:, 0]
    for i in sorted(range(len(places)), key=lambda i: places[i]):
        breaks.append(places[i])
        jumps.append(rep.weights[i] * abs(rep.normals[i, 0]))
    m = net.architecture[-1]
    dtype = w.dtype
    position = np.array(breaks, dtype=dtype) - shift
    change = np.array(jumps, dtype=dtype).reshape(len(jumps), m)
    # h is constant up to the first breakpoint, with the value at z = 0 there
    last = change.sum(axis=0) if len(jumps) else 0 * slope
    undecided = list(analysis.undecided)
    if not net.is_exact and len(jumps) and 0 < largest(last) <= 1e3 * tolerance * np.abs(change).sum():
        last = 0 * last
    return ScalarFunction(w[0] / norm, position, change, 0 * slope, last, rep.constant, tuple(undecided))


@dataclass(frozen=True)
class ScalarFamily:
    """One way of cutting the line: a direction, and whether the cut is the first breakpoint or before it.

    Attributes
    ----------
    function : ScalarFunction
        In the direction of the family: constant before its first breakpoint.
    width : int
        Neurons of layer 2.
    before : bool
        True: the first layer cuts anywhere before the first breakpoint (the hyperplane of layer 1
        is hidden, one dimension more); False: at it.
    """

    function: ScalarFunction
    width: int
    before: bool

    @property
    def n_hyperplanes(self) -> int:
        """Breakpoints that layer 2 has to make."""
        return self.function.n_breaks - (0 if self.before else 1)

    def fiber(self, distance: Any) -> LayerwiseFiber:
        """Fiber of layer 2 when the cut is ``distance`` before the first breakpoint (0 unless `before`)."""
        h = self.function
        start = 0 if self.before else 1
        offsets = h.breaks[start:] - h.breaks[0] + distance
        one = np.full((len(offsets), 1), -1, dtype=h.breaks.dtype) * _one(h.breaks.dtype)
        slope = (0 * h.jumps[0] if self.before else h.jumps[0])[:, None]
        rep = HyperplaneRepresentation(one, offsets, h.jumps[start:], slope, h.value, "orthant")
        return LayerwiseFiber(rep, self.width)

    def network(self, layer: Any, distance: Any) -> ReLUNetwork:
        """The network of a point of ``fiber(distance)``."""
        h = self.function
        cut = h.breaks[0] - distance
        return ReLUNetwork(
            [h.direction[None], layer.W, layer.C], [np.array([-cut], dtype=h.breaks.dtype), layer.b, layer.a]
        )


@dataclass(frozen=True)
class ScalarPart:
    """A component of the fiber of a network with ``n1 = 1``."""

    family: ScalarFamily
    layer: LayerComponent

    kind = "scalar"

    @property
    def dimension(self) -> int:
        """Dimension modulo scaling."""
        return self.layer.dimension + int(self.family.before)

    def _at(self, distance: Any) -> LayerComponent:
        return self.family.fiber(distance).component(self.layer.orientation, self.layer.n_linear)

    def point(self) -> ReLUNetwork:
        """A network of the component."""
        distance = _one(self.family.function.breaks.dtype) if self.family.before else 0
        return self.family.network(self._at(distance).point(), distance)

    def sample(self, *, rng: RngLike = None) -> ReLUNetwork:
        """A random network of the component."""
        generator = generator_of(rng)
        distance: Any = 0
        if self.family.before:
            distance = _one(self.family.function.breaks.dtype) * int(1 + 2048 * generator.exponential()) / 1024
        return self.family.network(self._at(distance).sample(rng=generator), distance)

    def __str__(self) -> str:
        where = "before" if self.family.before else "at"
        return f"first layer cuts {where} the first breakpoint; layer 2: {self.layer}"


def scalar_families(function: ScalarFunction, width: int) -> list[ScalarFamily]:
    """The families of a non-constant function; at most four."""
    found = []
    zero = [not any(v != 0 for v in s) for s in (function.first_slope, function.last_slope)]
    for direction, flat in ((function, zero[0]), (function.reversed(), zero[1])):
        if flat:
            for before in (False, True):
                family = ScalarFamily(direction, width, before)
                if family.n_hyperplanes <= width:
                    found.append(family)
    return found


def scalar_components(function: ScalarFunction, width: int) -> Iterator[ScalarPart]:
    """Every component, lazily."""
    for family in scalar_families(function, width):
        distance = _one(function.breaks.dtype) if family.before else 0
        for layer in family.fiber(distance).components():
            yield ScalarPart(family, layer)


def scalar_dimension(function: ScalarFunction, width: int) -> int:
    """Largest dimension of a component."""
    best = -1
    for family in scalar_families(function, width):
        distance = _one(function.breaks.dtype) if family.before else 0
        best = max(best, family.fiber(distance).dimension + int(family.before))
    return best


def is_single_point(function: ScalarFunction, width: int) -> bool:
    """Whether there is one component, of dimension 0."""
    first = list(itertools.islice(scalar_components(function, width), 2))
    return len(first) == 1 and first[0].dimension == 0


def _one(dtype: Any) -> Any:
    from fractions import Fraction

    return Fraction(1) if is_rational(dtype) else 1.0
