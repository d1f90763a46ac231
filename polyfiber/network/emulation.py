"""A ReLU chain that computes what a piecewise-linear network computes.

Every layer of the chain holds nonnegative units: ``relu(z)`` and, where a gate needs it, ``relu(-z)`` of the block
whose turn it is, and copies of units of earlier blocks that a later block still reads (``relu(u) = u``). A decoder says
how the values of a block are combined from units: ``y = s⁺ relu(z) - s⁻ relu(-z)``.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from .._typing import Array, IntArray
from ..errors import InputError
from .model import ReLUNetwork
from .piecewise import AffineMap, PiecewiseLinearNetwork

CHAIN_LIMIT = 1 << 24
"""Weights that a chain may have, zeros included: they are rationals while it is made."""


@dataclass
class _Decoder:
    """Value ``i`` of a block is ``sum of factors`` times the units whose owner is i, which stand at ``first`` and
    on.
    """

    owners: IntArray
    factors: Array
    first: int

    def through(self, matrix: Array, total: int) -> Array:
        """``matrix @ values`` as a matrix on all units of a layer."""
        result = np.zeros((len(matrix), total), dtype=object)
        result[:, self.first : self.first + len(self.owners)] = matrix[:, self.owners] * self.factors
        return result


def chain_of(net: PiecewiseLinearNetwork) -> ReLUNetwork:
    """See `PiecewiseLinearNetwork.to_chain`."""
    if net.is_chain:
        return net.as_chain()
    maps = [*(b.affine for b in net.blocks), net.output]
    last_read = {j: max((l for l, a in enumerate(maps) if j in a.weights), default=-1) for j in range(len(maps))}
    widths = [net.n_inputs, *net.hidden_widths]
    weights: list[Array] = []
    biases: list[Array] = []
    _require_size(net, maps, last_read)
    # the input is not made of nonnegative units: before the first layer its decoder is the identity
    live = {0: _Decoder(np.arange(net.n_inputs), _rational(np.ones(net.n_inputs)), 0)}
    total = net.n_inputs
    for l, affine in enumerate(maps):
        z = _assembled(affine, live, widths, total)
        if l == len(net.blocks):
            weights.append(z)
            biases.append(affine.bias)
            break
        slopes = net.blocks[l].slopes
        below, above = np.flatnonzero(slopes[:, 0] != 0), np.flatnonzero(slopes[:, 1] != 0)
        owners = np.concatenate([above, below])
        factors = _rational(np.concatenate([slopes[above, 1], -slopes[below, 0]]))
        rows = [np.concatenate([z[above], -z[below]])]
        offsets = [np.concatenate([affine.bias[above], -affine.bias[below]])]
        next_live = {l + 1: _Decoder(owners, factors, 0)}
        size = len(owners)
        for j, decoder in live.items():
            if last_read[j] <= l:
                continue
            identity = np.zeros((len(decoder.owners), total), dtype=object)
            identity[np.arange(len(decoder.owners)), decoder.first + np.arange(len(decoder.owners))] = 1
            signs = [1, -1] if l == 0 else [1]
            rows += [identity * sign for sign in signs]
            offsets.append(np.zeros(len(identity) * len(signs), dtype=object))
            factors = np.concatenate([decoder.factors * sign for sign in signs])
            next_live[j] = _Decoder(np.tile(decoder.owners, len(signs)), factors, size)
            size += len(identity) * len(signs)
        weights.append(np.concatenate(rows))
        biases.append(np.concatenate(offsets))
        live, total = next_live, size
    source = {**net.source, "emulated": True}
    exact = ReLUNetwork([_rational(w) for w in weights], [_rational(b) for b in biases], source=source)
    if net.is_exact:
        return exact
    rounded = exact.rounded()
    return rounded if rounded.exact() == exact else exact


def _require_size(net: PiecewiseLinearNetwork, maps: list[AffineMap], last_read: dict[int, int]) -> None:
    """Refuse a chain with too many weights, by counting its units, before anything is written out."""
    carried = {0: net.n_inputs}
    total, room = net.n_inputs, 0
    for l, affine in enumerate(maps):
        rows = affine.n_rows
        if l < len(net.blocks):
            units = int(np.count_nonzero(net.blocks[l].slopes))
            carried = {j: k * (2 if l == 0 else 1) for j, k in carried.items() if last_read[j] > l} | {l + 1: units}
            rows = sum(carried.values())
        room, total = room + max(rows, affine.n_rows) * total, rows
        if room > CHAIN_LIMIT:
            raise InputError(
                f"a ReLU chain of the same function, which is asked for, would hold more than {CHAIN_LIMIT:,} weights; "
                "slices, regions and bounds take the network as it is"
            )


def _rational(values: Array) -> Array:
    result = np.empty(values.shape, dtype=object)
    zero = Fraction(0)
    result.reshape(-1)[:] = [Fraction(v) if v else zero for v in values.ravel().tolist()]
    return result


def _assembled(affine: AffineMap, live: dict[int, _Decoder], widths: list[int], total: int) -> Array:
    result = np.zeros((affine.n_rows, total), dtype=object)
    for j in affine.weights:
        result = result + live[j].through(_rational(affine.dense(j, widths[j])), total)
    return result
