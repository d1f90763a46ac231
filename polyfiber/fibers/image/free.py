"""What moves for certain around a parameter: entries without effect, rows that nothing reads, copies."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from ... import words
from ..._once import given_property
from ..._typing import Array, BoolArray, IntArray, RngLike
from ..._values.checked import generator_of
from ..._values.read_only import closed
from ...network.float_or_rational import draw
from ...network.model import ReLUNetwork
from ...numerics import exact, modular
from .activity import Activity, idle_dimension

MOST_PARAMETERS = 5000
"""Of a network in which the directions of copies are counted."""


@closed
@dataclass(frozen=True)
class FreePart:
    """The part of a fiber around its own parameter in which entries without effect, unread rows and copies move.

    Attributes
    ----------
    network : ReLUNetwork
    idle : tuple of (n_l, n_{l-1} + 1) bool
        Entries of (W | b) of each layer: a weight whose feature is never active where its neuron is, a bias of a dead
        neuron.
    dimension : int
        Modulo scaling, of the fiber here where it is known, else of what `sample` explores.
    """

    network: ReLUNetwork
    idle: tuple[BoolArray, ...] = field(repr=False)
    dimension: int
    kind = "own"

    @given_property
    def unread(self) -> list[BoolArray]:
        """Per hidden layer: neurons that may be active and that no weight reads, so that their row is free."""
        pairs = zip(self.network.weights[1:], self.idle)
        return [np.logical_and(~np.asarray((C != 0).any(axis=0)), ~own[:, -1]) for C, own in pairs]

    @given_property
    def lowered(self) -> list[BoolArray]:
        """Idle entries that are moved: not those that read a row which is free itself."""
        free = [np.zeros(self.network.architecture[0], dtype=bool), *self.unread]
        return [idle & ~np.append(rows, False)[None, :] for idle, rows in zip(self.idle, free)]

    @given_property
    def copies(self) -> list[list[list[int]]]:
        """Per hidden layer: neurons that are positive multiples of each other, in rationals.

        The number behind the last neuron is the bias of the next layer: neurons without input weights are multiples of
        it.
        """
        result = []
        for l, (W, b) in enumerate(zip(self.network.weights[:-1], self.network.biases[:-1])):
            rows = np.concatenate([W, b[:, None]], axis=1)
            unit = np.zeros((1, rows.shape[1]), dtype=rows.dtype)
            unit[0, -1] = 1
            rows = np.concatenate([rows, unit])
            near: dict[bytes, list[int]] = {}
            for i, row in enumerate(rows):
                pivot = _pivot(row)
                if pivot and (i == len(b) or not self.unread[l][i]):
                    near.setdefault((np.round((row / abs(pivot)).astype(np.float64), 6) + 0.0).tobytes(), []).append(i)
            groups: dict[tuple[Any, ...], list[int]] = {}
            for i in (i for members in near.values() if len(members) > 1 for i in members):
                size = abs(Fraction(_pivot(rows[i])))
                groups.setdefault(tuple(Fraction(v) / size for v in rows[i].tolist()), []).append(i)
            result.append([g for g in groups.values() if len(g) > 1])
        return result

    @property
    def is_point(self) -> bool:
        """Whether nothing moves, so that every sample is the network itself."""
        return not any(f.any() for f in (*self.lowered, *self.unread)) and not any(self.copies)

    def point(self) -> ReLUNetwork:
        """The network itself."""
        return self.network

    def sample(self, *, rng: RngLike = None) -> ReLUNetwork:
        """The network with idle entries lowered by random amounts, those that read dead neurons and unread rows moved
        by any, and work shared anew among copies (floats: up to rounding): the function stays.
        """
        generator = generator_of(rng)
        parts = []
        for l, (W, b) in enumerate(zip(self.network.weights, self.network.biases)):
            free = self.lowered[l]
            rows = np.concatenate([W, b[:, None]], axis=1)
            rows = np.where(free, rows - draw(generator, free.shape, W.dtype, positive=True), rows)
            dead = np.append(self.idle[l - 1][:, -1] if l else np.zeros(W.shape[1], bool), False)
            rows = np.where(free & dead[None, :], rows + draw(generator, free.shape, W.dtype), rows)
            if l < len(self.unread):
                rows = np.where(self.unread[l][:, None], rows + draw(generator, free.shape, W.dtype), rows)
            parts.append(rows)
        for l, groups in enumerate(self.copies):
            for group in groups:
                size = self._sizes(l, group)
                for i, s in zip(group[1:], size[1:]):
                    v = draw(generator, len(parts[l + 1]), parts[l + 1].dtype)
                    parts[l + 1][:, i] = parts[l + 1][:, i] + v * size[0] / s
                    parts[l + 1][:, group[0]] = parts[l + 1][:, group[0]] - v
        return ReLUNetwork([rows[:, :-1] for rows in parts], [rows[:, -1] for rows in parts])

    def _sizes(self, l: int, group: list[int]) -> list[Any]:
        rows = np.concatenate([self.network.weights[l], self.network.biases[l][:, None]], axis=1)
        return [abs(_pivot(rows[i])) if i < len(rows) else 1 for i in group]

    @property
    def told(self) -> str:
        """The entries by name, a few of them."""
        found = [
            f"the bias of {words.neuron(l + 1, i)}"
            if k == free.shape[1] - 1
            else f"the weight from neuron {k} of layer {l} to {'output ' + str(i) if l + 1 == len(self.idle) else words.neuron(l + 1, i)}"
            for l, free in enumerate(self.idle)
            for i, k in np.argwhere(free).tolist()
        ]
        if not found:
            return ""
        they = "has no effect, since its two ends" if len(found) == 1 else "have no effect, since their ends"
        return f"{words.listed(found, 2)} {they} are never active at once"

    def __str__(self) -> str:
        idle = sum(int(f.sum()) for f in self.idle)
        return f"own component: dimension {self.dimension}, {words.count(idle, 'entry', 'entries')} without effect"


def _pivot(row: Array) -> Any:
    """The first entry that is not zero, or zero."""
    return next((v for v in row.tolist() if v), 0)


def idle_by_signs(net: ReLUNetwork) -> list[BoolArray]:
    """Entries without effect because signs alone make a neuron dead."""
    result = [np.zeros((len(b), W.shape[1] + 1), dtype=bool) for W, b in zip(net.weights, net.biases)]
    for l, (W, b) in enumerate(zip(net.weights[:-1], net.biases[:-1])):
        dead = (b <= 0) & ((W == 0) if l == 0 else (W <= 0)).all(axis=1)
        result[l][dead, -1] = True
        result[l][dead, :-1] = l > 0
        result[l + 1][:, :-1] |= dead[None, :]
    return result


def idle_on_regions(net: ReLUNetwork, complex: Any) -> list[BoolArray]:
    """Entries without effect from all regions; a neuron that vanishes identically on one is not active there."""
    signs = complex.signs(complex.dimension)[:, : net.n_hidden]
    return Activity(net, np.unique(signs > 0, axis=0), True, False).idle()


def free_dimension(part: FreePart) -> int:
    """Dimensions modulo scaling of what `FreePart.sample` explores, at least.

    The rank of the directions and of the scalings at the parameter, modulo a prime (never too large), minus the rank of
    the scalings.
    """
    net = part.network
    free = [f.copy() for f in part.lowered]
    for l, rows in enumerate(part.unread):
        free[l][rows] = True
    if net.n_parameters > MOST_PARAMETERS or not any(part.copies):
        return idle_dimension(net, free)
    offsets = np.concatenate([[0], np.cumsum([f.size for f in free])])
    theta = [exact.residues(np.concatenate([W, b[:, None]], axis=1)) for W, b in zip(net.weights, net.biases)]
    vectors: list[IntArray] = []

    def add(entries: list[tuple[int, Any, Any]]) -> None:
        out = np.zeros(int(offsets[-1]), dtype=np.int64)
        for l, at, values in entries:
            view = out[offsets[l] : offsets[l + 1]].reshape(free[l].shape)
            view[at] = values % exact.PRIME
        vectors.append(out)

    for l in range(len(theta) - 1):
        for k in range(len(theta[l])):
            add([(l, k, theta[l][k]), (l + 1, (slice(None), k), -theta[l + 1][:, k])])
    scalings = len(vectors)
    for l, groups in enumerate(part.copies):
        for group in groups:
            size = exact.residues(np.array([Fraction(s) for s in part._sizes(l, group)], dtype=object))
            for k in range(1, len(group)):
                for r in range(len(theta[l + 1])):
                    add([(l + 1, (r, group[k]), size[0]), (l + 1, (r, group[0]), -size[k])])
    every = np.array(vectors).reshape(len(vectors), int(offsets[-1]))
    kept = every[:, ~np.concatenate([f.ravel() for f in free])]
    total = sum(int(f.sum()) for f in free) + (modular.rank_of(kept) if kept.shape[1] else 0)
    return total - modular.rank_of(every[:scalings])
