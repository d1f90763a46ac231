"""The network without the neurons that are constant on a domain, or affine: the same function there, exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ... import words
from ..._typing import BoundMethod, IntArray, SignArray
from ..._values.read_only import closed
from ...budget import Budget
from ...domain import Polyhedron
from ...errors import InputError
from ...network.fixed_gates import with_fixed_gates
from ...network.model import ReLUNetwork
from ...network.piecewise import PiecewiseLinearNetwork, require_network
from .activation import activation_bounds
from .answer import ActivationBounds


@closed
@dataclass(frozen=True)
class Simplified:
    """A network without the neurons that are constant on a domain; the same function there, exactly.

    Attributes
    ----------
    original : ReLUNetwork or PiecewiseLinearNetwork
    network : ReLUNetwork or PiecewiseLinearNetwork
    domain : Polyhedron
        Where the two networks agree.
    kept : tuple of (m_l,) int64
        Neurons kept, by hidden layer.
    inactive : (p,) int64
        Hidden neurons that were removed because they are never active on the domain.
    active : (q,) int64
        Hidden neurons that are always active. In a chain they are kept, though their walls do not meet the domain;
        gates of other networks are put into the maps behind them.
    """

    original: ReLUNetwork | PiecewiseLinearNetwork
    network: ReLUNetwork | PiecewiseLinearNetwork
    domain: Polyhedron
    kept: tuple[IntArray, ...]
    inactive: IntArray
    active: IntArray

    def expand(self, signs: SignArray) -> SignArray:
        """Sign vectors (m, N') or (m, N' + D) of the small network as those of the original; where removed, that of its
        side.
        """
        offsets = np.concatenate([[0], np.cumsum(self.original.hidden_widths)])
        columns = np.concatenate([k + o for k, o in zip(self.kept, offsets)]) if self.kept else np.zeros(0, int)
        small = len(columns)
        out = np.full((len(signs), int(offsets[-1]) + signs.shape[1] - small), -1, dtype=np.int8)
        if isinstance(self.original, PiecewiseLinearNetwork):
            out[:, self.active] = 1
        out[:, columns] = signs[:, :small]
        out[:, int(offsets[-1]) :] = signs[:, small:]
        return out

    def __repr__(self) -> str:
        before = "-".join(map(str, self.original.architecture))
        after = "-".join(map(str, self.network.architecture))
        return words.short(f"Simplified({before} -> {after}, {words.count(len(self.active), 'neuron')} always active)")


def simplify_on(
    network: ReLUNetwork | PiecewiseLinearNetwork,
    domain: Polyhedron,
    *,
    bounds: ActivationBounds | None = None,
    method: BoundMethod = "relaxation",
    budget: Budget | None = None,
) -> Simplified:
    """Remove the neurons that are inactive on a whole domain, before enumerating there.

    Parameters
    ----------
    network : ReLUNetwork or PiecewiseLinearNetwork
        Of the latter all gates go that are on one side of their walls, since a later block may read what they read.
    domain : Box or Polyhedron
    bounds : ActivationBounds, optional
        Bounds on this domain, if they were computed before.
    method, budget :
        Of `activation_bounds`.

    Returns
    -------
    Simplified
        Weights of a chain are copied, never computed with, so the function on the domain is exactly the same. A layer
        that dies out keeps one neuron. Gates are put into other maps in exact arithmetic: the network has rational
        parameters where floats cannot hold them.

    Examples
    --------
    >>> import polyfiber as pf
    >>> net = pf.ReLUNetwork.random((2, 12, 12, 1), rng=0)
    >>> box = pf.Box(-0.2, 0.2, dimension=2)
    >>> s = pf.simplify_on(net, box)
    >>> big, small = pf.canonical_complex(net, box), pf.canonical_complex(s.network, box)
    >>> big.f_vector == small.f_vector
    True
    """
    if bounds is None:
        bounds = activation_bounds(network, domain, method=method, budget=budget)
    network = require_network(network)
    if bounds.network != network or bounds.domain is not domain:
        raise InputError("the bounds belong to another network or domain")
    if isinstance(network, PiecewiseLinearNetwork):
        return _without_gates(network, domain, bounds.signs)
    offsets = np.concatenate([[0], np.cumsum(network.hidden_widths)])
    weights, biases = list(network.weights), list(network.biases)
    kept = []
    gone = []
    for layer, width in enumerate(network.hidden_widths):
        upper = bounds.upper[offsets[layer] : offsets[layer + 1]]
        keep = np.flatnonzero(upper > 0)
        if len(keep) == 0:
            # never active, whatever it is; the one with the most distance from its wall
            keep = np.array([int(np.argmin(upper))])
        kept.append(keep.astype(np.int64))
        gone.append(np.setdiff1d(np.arange(width), keep) + offsets[layer])
        weights[layer], biases[layer] = weights[layer][keep], biases[layer][keep]
        weights[layer + 1] = weights[layer + 1][:, keep]
    small = ReLUNetwork(weights, biases, source={**network.source, "simplified": True})
    removed = np.concatenate([*gone, np.zeros(0)]).astype(np.int64)
    return Simplified(network, small, domain, tuple(kept), removed, np.flatnonzero(bounds.lower > 0))


def _without_gates(network: PiecewiseLinearNetwork, domain: Polyhedron, signs: SignArray) -> Simplified:
    small = with_fixed_gates(network, signs)
    ends = np.cumsum(network.hidden_widths)
    parts = np.split(signs, ends[:-1]) if len(ends) else []
    kept = tuple(np.flatnonzero(part == 0) for part in parts)
    return Simplified(network, small, domain, kept, np.flatnonzero(signs < 0), np.flatnonzero(signs > 0))


__all__ = ["Simplified", "simplify_on"]
