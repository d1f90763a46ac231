"""Which neurons are active together: activation patterns of regions, all of them or some, each certain.

Everything a wide or deep network does is affine on a region; a layer sees the inputs that the layers before it make
there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import words
from ..._once import given_property
from ..._typing import BoolArray, FloatArray, IntArray, RngLike
from ..._values.checked import generator_of, unmasked
from ..._values.read_only import closed
from ...errors import InputError, ShapeError
from ...network.model import ReLUNetwork
from ...numerics import exact, modular
from ...numerics.floats import as_float, nearest
from ...numerics.rounding import TINY, UNIT
from ...words import one_line
from ..dimension import scaling_dimension


@closed
@dataclass(frozen=True)
class Activity:
    """Activation patterns of regions.

    Attributes
    ----------
    network : ReLUNetwork
    masks : (R, N) bool
        Distinct patterns, each of a region with interior.
    complete : bool
        Whether these are all regions.
    generic : bool
        Whether the complex is simple and stays so far out: then near this parameter the patterns stay the same.
    """

    __repr__ = one_line

    network: ReLUNetwork
    masks: BoolArray
    complete: bool
    generic: bool

    def __post_init__(self) -> None:
        if self.masks.ndim != 2 or self.masks.shape[1] != self.network.n_hidden or not len(self.masks):
            raise ShapeError(f"patterns of shape {self.masks.shape}; expected (R, {self.network.n_hidden}), R >= 1")

    def layer(self, l: int) -> BoolArray:
        """Columns of hidden layer l = 1, 2, …"""
        ends = np.concatenate([[0], np.cumsum(self.network.hidden_widths)])
        return self.masks[:, ends[l - 1] : ends[l]]

    def roles(self, l: int) -> tuple[str, ...]:
        """'dead', 'linear' or 'nonlinear' on the image of the layers before, for the neurons of hidden layer l.

        Where not all regions are known, what would need all of them is 'unseen' (never active so far) or 'nonlinear'.
        """
        on = self.layer(l)
        some, every = np.asarray(on.any(axis=0)).tolist(), np.asarray(on.all(axis=0)).tolist()
        known = "dead" if self.complete else "unseen"
        return tuple(
            known if not s else ("linear" if e and self.complete else "nonlinear") for s, e in zip(some, every)
        )

    @given_property
    def prefixes(self) -> list[tuple[BoolArray, IntArray]]:
        """For l = 0, 1, …: distinct patterns of the first l hidden layers, and which of them each region has."""
        result: list[tuple[BoolArray, IntArray]] = []
        ends = np.concatenate([[0], np.cumsum(self.network.hidden_widths)])
        for end in ends:
            if end == 0:
                result.append((np.zeros((1, 0), dtype=bool), np.zeros(len(self.masks), dtype=np.int64)))
                continue
            packed = np.packbits(self.masks[:, :end], axis=1)
            _, first, which = np.unique(packed, axis=0, return_index=True, return_inverse=True)
            result.append((self.masks[first, :end], which.reshape(-1).astype(np.int64)))
        return result

    def cells(self, l: int) -> BoolArray:
        """(n_l, U): on which patterns of the layers before each neuron of layer l is active somewhere; the output
        always.
        """
        patterns, which = self.prefixes[l - 1]
        if l == len(self.network.weights):
            return np.ones((self.network.architecture[-1], len(patterns)), dtype=bool)
        result = np.zeros((self.network.architecture[l], len(patterns)), dtype=bool)
        on = self.layer(l)
        for j in range(on.shape[1]):
            result[j, which[on[:, j]]] = True
        return result

    def idle(self) -> list[BoolArray]:
        """Per layer (n_l, n_{l-1} + 1): entries of (W | b) that have no effect, since neuron and feature are never
        active at once.

        The bias of a neuron is idle where the neuron is dead. Only where all regions are known; nothing is idle
        otherwise.
        """
        result = []
        for l in range(1, len(self.network.weights) + 1):
            n = self.network.architecture[l - 1]
            out = np.zeros((self.network.architecture[l], n + 1), dtype=bool)
            if self.complete:
                last = l == len(self.network.weights)
                own = np.ones((len(self.masks), len(out)), dtype=bool) if last else self.layer(l)
                if l > 1:  # inputs have both signs: lowering a weight of layer 1 lowers nothing
                    seen = self.layer(l - 1).astype(np.float32)
                    out[:, :-1] = own.T.astype(np.float32) @ seen == 0
                out[:, -1] = ~own.any(axis=0)
            result.append(out)
        return result


def idle_dimension(net: ReLUNetwork, idle: list[BoolArray]) -> int:
    """Dimensions modulo scaling in which idle entries move: they are free downwards, all at once."""
    kept_W = [np.where(free[:, :-1], 0 * W, W) for W, free in zip(net.weights, idle)]
    kept_b = [np.where(free[:, -1], 0 * b, b) for b, free in zip(net.biases, idle)]
    rest = scaling_dimension(ReLUNetwork(kept_W, kept_b))
    return sum(int(free.sum()) for free in idle) + rest - scaling_dimension(net)


def activity_from_complex(net: ReLUNetwork, complex: Any) -> Activity:
    """All regions of a canonical complex on all of R^n."""
    if complex.network != net or complex.domain is not None:
        raise InputError("the complex belongs to another network, or is not on all of R^n")
    signs = complex.signs(complex.dimension)[:, : net.n_hidden]
    clear = (signs != 0).all(axis=1)
    if not clear.any():
        raise InputError("on every region some neuron vanishes identically: no pattern is certain")
    generic = bool(clear.all() and complex.is_simple) and stays_far_out(net, complex)
    return Activity(net, np.unique(signs[clear] > 0, axis=0), bool(clear.all()), generic)


def sampled_activity(net: ReLUNetwork, points: FloatArray) -> Activity:
    """Regions that hold the given points in their interior for certain; points too near a wall are left out.

    Raises
    ------
    InputError
        No point is clear of every wall.
    """
    y = np.asarray(unmasked(points), dtype=np.float64)
    error = np.zeros_like(y)
    masks, sure = [], np.ones(len(y), dtype=bool)
    for W, b in zip(net.weights[:-1], net.biases[:-1]):
        V, c = W.astype(np.float64), b.astype(np.float64)
        size = np.abs(y) @ np.abs(V).T + np.abs(c)
        # one rounding of each parameter (rationals), of each product and of each sum
        error = error @ np.abs(V).T * (1 + 8 * UNIT) + (V.shape[1] + 8) * UNIT * size + TINY
        z = y @ V.T + c
        sure &= (np.isfinite(z) & np.isfinite(error) & (np.abs(z) > 2 * error)).all(axis=1)
        masks.append(z > 0)
        y = np.maximum(z, 0.0)
    if not sure.any():
        raise InputError(f"none of {words.count(len(y), 'point')} is clear of every wall")
    return Activity(net, np.unique(np.concatenate(masks, axis=1)[sure], axis=0), False, False)


def scattered_points(net: ReLUNetwork, count: int, *, rng: RngLike = 0) -> FloatArray:
    """Points at the scales of the network: Gaussian ones of many sizes, and others near walls of each layer's
    neurons.
    """
    generator = generator_of(rng)
    n0 = net.architecture[0]
    points = generator.standard_normal((count, n0)) * np.exp(generator.uniform(-3, 4, (count, 1)))
    walls = []
    for i in range(net.architecture[1] if len(net.weights) > 1 else 0):
        w, b = nearest(net.weights[0][i]), as_float(net.biases[0][i])
        power = int(np.frexp(np.abs(w).max(initial=0.0))[1])  # squares are taken
        w, b = np.ldexp(w, -power), float(np.clip(np.ldexp(b, -power), -1e300, 1e300))
        size = float(w @ w)
        if size > 0:
            near = points[generator.integers(0, count, max(8, count // (4 * net.architecture[1])))]
            off = near - ((near @ w + b) / size)[:, None] * w
            step = generator.standard_normal((len(off), 1)) * 1e-3 * w / np.sqrt(size)
            walls.append(off + step)
    return np.concatenate([points, *walls])


def stays_far_out(net: ReLUNetwork, complex: Any) -> bool:
    """Whether no neuron stands still along an unbounded edge that it need not: then the complex stays the same far out
    too.

    Slopes along the edges of zero are compared with those of a random parameter of the same patterns, modulo a prime: a
    slope that is zero here and not there vanishes by accident, as between parallel walls.
    """
    ids, _ = complex.rays
    n0, N = net.architecture[0], net.n_hidden
    if complex.lineality_dimension:
        return False
    if not len(ids):
        return True
    signs = complex.signs(1)[ids][:, :N]
    zero = signs == 0
    if (zero.sum(axis=1) != n0 - 1).any():
        return False
    generator = np.random.default_rng(0)
    own = [exact.residues(W) for W in net.weights[:-1]]
    other = [generator.integers(1, exact.PRIME, W.shape) for W in own]
    still = [_slopes(weights, signs > 0, zero) == 0 for weights in (own, other)]
    return not bool((still[0] & ~still[1]).any())


def _slopes(weights: list[IntArray], on: BoolArray, zero: BoolArray) -> IntArray:
    """(r, N): slope of every neuron along the edge on which the neurons ``zero`` vanish, up to a common factor."""
    r, n0 = len(on), weights[0].shape[1]
    rows, start = [], 0
    before = np.broadcast_to(np.eye(n0, dtype=np.int64), (r, n0, n0))
    for W in weights:
        grad = np.zeros((r, W.shape[0], n0), dtype=np.int64)
        for j in range(W.shape[1]):
            grad = (grad + W[None, :, j, None] * before[:, None, j, :]) % exact.PRIME
        rows.append(grad)
        before = np.where(on[:, start : start + W.shape[0], None], grad, 0)
        start += W.shape[0]
    every = np.concatenate(rows, axis=1)
    result = np.zeros(every.shape[:2], dtype=np.int64)
    for k in range(r):
        null = modular.left_null(every[k][zero[k]].T.reshape(n0, n0 - 1)) if n0 > 1 else np.ones((1, 1), dtype=np.int64)
        if len(null) == 1:
            result[k] = modular.product(every[k], null.T)[:, 0]
        else:  # walls that meet in more than a line: nothing is known
            result[k] = 0
    return result
