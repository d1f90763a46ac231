"""Activity of every neuron on the inputs that actually reach it, and what it was decided on.

Three ways to know it: the regions of the canonical complex, which is exact; certified bounds over a bounded domain
(`polyfiber.activation_bounds`); intervals propagated over all of R^n. Bounds are sound but may miss some, and the
facts say for each neuron which it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from .._typing import BoolArray, BoundMethod, FloatArray
from .._values.read_only import closed
from ..bounds.relaxation import bounding_box
from ..budget import Budget
from ..complexes.ranges.activation import activation_bounds
from ..domain import Polyhedron
from ..network.model import ReLUNetwork
from ..numerics.rounding import LEAST, TINY, UNIT
from ..words import one_line

Source = Literal["bounds", "complex"]
_NAMES = {"interval": "interval bounds", "relaxation": "linear bounds", "lp": "LP bounds", "exact": "exact range"}


@closed
@dataclass(frozen=True)
class NeuronFacts:
    """Activity of every hidden neuron on the image of the layers before it.

    Attributes
    ----------
    status : tuple of tuples of str
        Per hidden layer and neuron: 'dead' (never positive), 'active' (never negative), 'constant'
        (one value everywhere) or 'bent'.
    lower, upper : tuple of arrays
        Bounds of the preactivations (infinite where unbounded).
    source : 'bounds' or 'complex'
        What the facts rest on. From bounds, 'bent' means: not shown to be anything else.
    methods : tuple of tuples of str
        What decided each neuron: 'complex', 'exact range', 'LP bounds', 'linear bounds' or 'interval bounds'.
    fallback : tuple of str
        What was asked for and not reached, and why: the complex, or what time did not allow.
    """

    __repr__ = one_line

    status: tuple[tuple[str, ...], ...]
    lower: tuple[FloatArray, ...]
    upper: tuple[FloatArray, ...]
    source: Source
    methods: tuple[tuple[str, ...], ...]
    fallback: tuple[str, ...] = ()

    def of(self, layer: int, *kinds: str) -> list[int]:
        """Neurons of a hidden layer with one of these statuses."""
        return [i for i, s in enumerate(self.status[layer - 1]) if s in kinds]


def neuron_facts(net: ReLUNetwork, domain: Polyhedron | None = None) -> NeuronFacts:
    """Facts from interval bounds, on all of R^n or on a bounded domain.

    Parameters
    ----------
    net : ReLUNetwork
    domain : Box or bounded Polyhedron, optional
        Of the last its box counts. All of R^n by default.

    Notes
    -----
    The bounds of each layer treat its inputs as independent in their ranges; they are widened by
    the rounding error of their own sums, so that 'dead' and 'active' are certain.
    """
    n0 = net.architecture[0]
    low, high = (np.full(n0, -np.inf), np.full(n0, np.inf)) if domain is None else bounding_box(domain)
    status, lows, highs = [], [], []
    near = net.rounded()
    for W, b, w, c in zip(net.weights[:-1], net.biases[:-1], near.weights, near.biases):
        still = ~((W != 0) & ((low != 0) | (high != 0))).any(axis=1)
        z_low, z_high = layer_bounds(w, c, low, high)
        status.append(
            tuple(
                ("constant" if b[i] > 0 else "dead") if still[i] else _kind(z_low[i], z_high[i]) for i in range(len(b))
            )
        )
        lows.append(z_low)
        highs.append(z_high)
        dead, constant = (np.array([k == kind for k in status[-1]]) for kind in ("dead", "constant"))
        low, high = np.where(dead, 0.0, np.maximum(z_low, 0.0)), np.where(dead, 0.0, np.maximum(z_high, 0.0))
        high = np.where(constant, np.maximum(high, LEAST), high)  # a positive rational below all floats
    methods = tuple(("interval bounds",) * len(kinds) for kinds in status)
    return NeuronFacts(tuple(status), tuple(lows), tuple(highs), "bounds", methods)


def _kind(low: float, high: float) -> str:
    return "dead" if high <= 0 else ("active" if low >= 0 else "bent")


def facts_on(
    net: ReLUNetwork, domain: Polyhedron, *, method: BoundMethod = "relaxation", budget: Budget | None = None
) -> NeuronFacts:
    """Facts on a bounded domain from certified bounds; see `polyfiber.activation_bounds` for the methods.

    Examples
    --------
    >>> import polyfiber as pf
    >>> from polyfiber.fibers.activity import facts_on
    >>> net = pf.ReLUNetwork([[[1.0], [1.0]], [[1.0, 1.0]]], [[2.0, 0.0], [0.0]])
    >>> facts_on(net, pf.Box(-1, 1, dimension=1)).status
    (('active', 'bent'),)
    """
    plain = neuron_facts(net, domain)
    bounds = activation_bounds(net, domain, method=method, budget=budget)
    status, methods, lows, highs, start = [], [], [], [], 0
    for layer, width in enumerate(net.hidden_widths):
        part = slice(start, start + width)
        low = np.maximum(plain.lower[layer], bounds.lower[part])
        high = np.minimum(plain.upper[layer], bounds.upper[part])
        kinds, by = list(plain.status[layer]), ["interval bounds"] * width
        for i in range(width):
            if kinds[i] == "bent":
                kinds[i], by[i] = _kind(low[i], high[i]), _NAMES[bounds.methods[start + i]]
        status.append(tuple(kinds))
        methods.append(tuple(by))
        lows.append(low)
        highs.append(high)
        start += width
    return NeuronFacts(tuple(status), tuple(lows), tuple(highs), "bounds", tuple(methods), bounds.fallback)


def facts_from_complex(net: ReLUNetwork, complex: Any, bounds: NeuronFacts | None = None) -> NeuronFacts:
    """Exact activity of every neuron: its signs over all regions of the canonical complex.

    The bounds stay those of the propagation (``bounds``, by default on all of R^n).
    """
    never_on, never_off = _never(net, complex)
    bounds = neuron_facts(net) if bounds is None else bounds
    status, start = [], 0
    for layer, width in enumerate(net.hidden_widths):
        kinds = []
        for i in range(width):
            if bounds.status[layer][i] == "constant":
                kinds.append("constant")
            elif never_on[start + i]:
                kinds.append("dead")
            else:
                kinds.append("active" if never_off[start + i] else "bent")
        status.append(tuple(kinds))
        start += width
    methods = tuple(("complex",) * width for width in net.hidden_widths)
    return NeuronFacts(tuple(status), bounds.lower, bounds.upper, "complex", methods)


def _never(net: ReLUNetwork, complex: Any) -> tuple[BoolArray, BoolArray]:
    on, off = np.zeros(net.n_hidden, dtype=np.bool_), np.zeros(net.n_hidden, dtype=np.bool_)
    for signs in complex.iter_signs(complex.dimension):
        on |= (signs[:, : net.n_hidden] > 0).any(axis=0)
        off |= (signs[:, : net.n_hidden] < 0).any(axis=0)
    return ~on, ~off


@np.errstate(all="ignore")
def layer_bounds(W: FloatArray, b: FloatArray, low: FloatArray, high: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Sound bounds of ``W y + b`` for ``low <= y <= high`` (infinite entries allowed; entries may be rounded once).

    What overflows on the way is bounded by infinity; no product that is not 0 becomes 0.
    """
    at_low, at_high = (np.where(W == 0, 0.0, W * y) for y in (low, high))
    for found, y in ((at_low, low), (at_high, high)):
        lost = (found == 0) & (W != 0) & (y != 0)
        found[lost] = np.broadcast_to(np.sign(W) * np.sign(y), W.shape)[lost] * TINY
    least, most = np.minimum(at_low, at_high), np.maximum(at_low, at_high)
    results = []
    for terms, sign in ((least, -1.0), (most, 1.0)):
        moving = (terms != 0).any(axis=1)
        size = np.abs(terms).sum(axis=1) + np.abs(b)
        error = np.where(moving, (W.shape[1] + 4) * (UNIT * size + TINY), 0.0)
        total = terms.sum(axis=1) + b + sign * error
        results.append(np.where(np.isfinite(total), total, sign * np.inf))
    return results[0], results[1]
