"""Components of the fiber of a network, as values that give points on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from .._typing import RngLike
from .._values.checked import generator_of
from ..network.float_or_rational import draw, gauge_norms, is_rational, lengths, zeros
from ..network.model import ReLUNetwork
from ..network.moves import Flip, Translate
from ..numerics.floats import nearest_floats
from .hiding import admissible_shift, hiding_report
from .layerwise import LayerComponent, LayerParameters


class NetworkComponent(Protocol):
    """A component: its kind, its dimension modulo scaling, and points on it."""

    @property
    def kind(self) -> str:
        """'identifiable', 'layerwise', 'hiding', 'constant' or 'scalar'."""

    @property
    def dimension(self) -> int:
        """Dimension modulo scaling."""

    def point(self) -> ReLUNetwork:
        """A network of the component."""

    def sample(self, *, rng: RngLike = None) -> ReLUNetwork:
        """A random network of the component."""


@dataclass(frozen=True)
class SinglePart:
    """One parameter, up to permutation and scaling."""

    network: ReLUNetwork
    kind = "identifiable"
    dimension = 0

    def point(self) -> ReLUNetwork:
        """The network itself."""
        return self.network

    def sample(self, *, rng: RngLike = None) -> ReLUNetwork:
        """The network itself."""
        return self.network

    def __str__(self) -> str:
        return "one parameter up to permutation and scaling"


@dataclass(frozen=True)
class LayerPart:
    """First layers fixed; the last hidden layer runs through a component of its layerwise fiber."""

    network: ReLUNetwork
    layer: LayerComponent
    kind = "layerwise"

    @property
    def dimension(self) -> int:
        """Dimension modulo scaling."""
        return self.layer.dimension

    @staticmethod
    def network_of(net: ReLUNetwork, layer: LayerParameters) -> ReLUNetwork:
        """The network with its last hidden layer replaced; layer 1 in the gauge of unit rows for floats."""
        if len(net.weights) == 2:
            return ReLUNetwork([layer.W, layer.C], [layer.b, layer.a])
        W, b = net.weights[0], net.biases[0]
        if not net.is_exact:
            norms = gauge_norms(W)
            W, b = W / norms[:, None], b / norms
        return ReLUNetwork([W, layer.W, layer.C], [b, layer.b, layer.a])

    def point(self) -> ReLUNetwork:
        """The network with the component's constructed factors."""
        return self.network_of(self.network, self.layer.point())

    def sample(self, *, rng: RngLike = None) -> ReLUNetwork:
        """A random network of the component."""
        return self.network_of(self.network, self.layer.sample(rng=rng))

    def __str__(self) -> str:
        return f"layer 1 fixed; layer 2: {self.layer}"


@dataclass(frozen=True)
class HidingPart:
    """A half-line of translations of the hidden hyperplane, after flipping the set ``flipped``.

    With dead neurons in layer 2, also their freedom.
    """

    network: ReLUNetwork
    flipped: tuple[int, ...]
    kind = "hiding"

    @property
    def dimension(self) -> int:
        """1, and n1 + nL for each dead neuron."""
        _, n1, _, m = self.network.architecture
        return 1 + len(hiding_report(self.network).dead) * (n1 + m)

    def _flipped(self) -> ReLUNetwork:
        if not self.flipped:
            return self.network
        k = hiding_report(self.network).hyperplane
        assert k is not None
        return Flip(k, self.flipped)(self.network)

    def _translated(self, share: Any) -> ReLUNetwork:
        net = self._flipped()
        report = hiding_report(net)
        assert report.hyperplane is not None
        return Translate(report.hyperplane, report.end * share)(net) if share else net

    def point(self) -> ReLUNetwork:
        """The flipped network; the own component gives the network itself."""
        return self._flipped()

    def end_point(self) -> ReLUNetwork:
        """The end of the half-line: the last translation that still hides."""
        net = self._flipped()
        report = hiding_report(net)
        assert report.hyperplane is not None
        return Translate(report.hyperplane, admissible_shift(net))(net)

    def sample(self, *, rng: RngLike = None) -> ReLUNetwork:
        """A random point of the half-line, with random dead neurons."""
        generator = generator_of(rng)
        net = self._flipped()
        report = hiding_report(net)
        assert report.hyperplane is not None
        dtype = net.weights[0].dtype
        # up to the end: in units of the end's own size or of the row, whichever is larger
        unit = max(abs(report.end), lengths(net.weights[0][report.hyperplane][None])[0])
        shift = report.end - unit * draw(generator, 1, dtype, positive=True)[0]
        net = Translate(report.hyperplane, shift)(net)
        if not report.dead:
            return net
        weights, biases = [w.copy() for w in net.weights], [b.copy() for b in net.biases]
        dead = list(report.dead)
        weights[1][dead] = -draw(generator, (len(dead), weights[1].shape[1]), dtype, positive=True)
        biases[1][dead] = -draw(generator, len(dead), dtype, positive=True)
        weights[2][:, dead] = draw(generator, (weights[2].shape[0], len(dead)), dtype)
        return ReLUNetwork(weights, biases)

    def __str__(self) -> str:
        flips = f"hyperplanes {self.flipped} flipped, " if self.flipped else ""
        return f"{flips}hidden hyperplane on a half-line, dimension {self.dimension}"


@dataclass(frozen=True)
class ConstantPart:
    """The parameters of one constant function: its largest family, and the network itself.

    The constant is the last bias less what neurons add, so at most everything but the last bias is free. It is with two
    hidden layers or more, where the last hidden layer is dead. A single hidden layer has inputs of all signs: there a
    neuron is free in its row where nothing reads it, or in its outgoing weights where it has no row. Neurons that bend
    and cancel have no more: a group of g of them on one hyperplane has n + (g - 1) m, at most g max(n, m).
    """

    network: ReLUNetwork
    kind = "constant"

    @property
    def dimension(self) -> int:
        """Of the largest family: max(n0, m) for each neuron of a single hidden layer, else all but the last bias."""
        net = self.network
        if len(net.weights) == 2:
            return net.n_hidden * max(net.architecture[0], net.architecture[-1])
        return net.n_parameters - net.architecture[-1] - net.n_hidden

    def point(self) -> ReLUNetwork:
        """The network itself."""
        return self.network

    def sample(self, *, rng: RngLike = None) -> ReLUNetwork:
        """A random network of the largest family, with the same constant value."""
        generator = generator_of(rng)
        widths = self.network.architecture
        dtype = self.network.weights[0].dtype
        weights = [draw(generator, (after, before), dtype) for before, after in zip(widths, widths[1:])]
        biases = [draw(generator, after, dtype) for after in widths[1:-1]]
        if len(weights) > 2:  # dead: the layer before it is never negative
            weights[-2] = -draw(generator, weights[-2].shape, dtype, positive=True)
            biases[-1] = -draw(generator, widths[-2], dtype, positive=True)
        elif widths[-1] > widths[0]:
            weights[0] = 0 * weights[0]
            biases[0] = -draw(generator, widths[1], dtype, positive=True)
        else:
            weights[1] = 0 * weights[1]
        value = self.network.exact()(zeros(widths[0], np.dtype(object)))
        value = value if is_rational(dtype) else nearest_floats(value)[0]
        return ReLUNetwork(weights, [*biases, value])

    def __str__(self) -> str:
        deep = len(self.network.weights) > 2
        free = "all but the last bias is free" if deep else "every neuron is free in its row, or behind it"
        return f"constant function: {free}, dimension {self.dimension}"
