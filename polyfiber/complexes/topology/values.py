"""Combinations of the outputs at the vertices of a complex: values with error bounds, and the signs that they prove."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..._typing import FloatArray, IntArray, SignArray
from ...budget import heed
from ...kernels.complexes import gate_values as gv
from ...kernels.complexes.layer_filter import Points
from ...kernels.rows import table_size
from ...numerics.floats import nearest
from ..lattice.build import LatticeSkeleton
from ..skeleton.arrays import Frame
from ..skeleton.build import Skeleton
from ..skeleton.layout import flat_star

UNKNOWN = gv.UNKNOWN
PORTION = 1 << 16
"""Vertices that are grouped by their signs behind the first layer at a time."""
WALKED = 5000.0
"""Weights that change for each vertex, beyond which a walk pays; measured (it takes about 0.1 us a vertex)."""


class VertexValues:
    """Gates, the last hidden layer of a frame's network, at the vertices of a skeleton of the network before it.

    Parameters
    ----------
    frame : Frame
        Of the network with the gates, a chain; ids of what comes before the gates are those of the skeleton.
    skeleton : Skeleton
    layer : int
        That of the gates.
    """

    def __init__(self, frame: Frame, skeleton: Skeleton, layer: int) -> None:
        net, hidden = frame.net, frame.network.hidden_widths[: layer - 1]
        self.skeleton, self.count = skeleton, frame.network.hidden_widths[layer - 1]
        L, n = len(hidden), frame.n
        lanes = np.array([0, *(_whole(h) for h in hidden)], dtype=np.int64)
        weights = [nearest(w) for w in frame.network.weights[1:layer]]
        # the error constants leave out what is off on the whole domain, and its value may be rounded to a positive one
        own = slice(int(net.layers.first[1]) - frame.n_domain, int(net.layers.first[2]) - frame.n_domain)
        weights[0] = np.where(frame.settled.signs[own] < 0, 0.0, weights[0])
        offset, parts = np.zeros(net.inf + 1, dtype=np.int64), [np.zeros(8)]
        fill = 8
        for q in range(2, L + 1):
            offset[net.layers.first[q] : net.layers.first[q + 1]] = fill + np.arange(hidden[q - 1]) * lanes[q - 1]
            parts.append(_padded(weights[q - 2], lanes[q - 1]).ravel())
            fill += len(parts[-1])
        given = _padded(frame.given(np.arange(net.layers.first[1], net.layers.first[2])).T[: n + 1], lanes[1])
        coef = np.zeros((self.count, L, int(lanes.max())))
        coef[:, L - 1, : hidden[-1]] = weights[L - 1]
        ids = slice(int(net.layers.first[layer]), int(net.layers.first[layer + 1]))
        self._chain = gv.Chain(
            net.layers.first[: L + 2].copy(),
            given.ravel(),
            np.concatenate(parts),
            offset,
            net.affine.biases.copy(),
            lanes,
        )
        self._asked = gv.Asked(
            nearest(frame.network.biases[layer - 1]),
            net.margins.kappa[ids, :n].copy(),
            net.margins.kappa0[ids].copy(),
            net.margins.sigma[ids].copy(),
            net.margins.drift[ids].copy(),
            np.array([net.margins.inflate * (1 + 1e-9), n + 4.0 + sum(h + 4.0 for h in hidden)]),
        )
        widest = int(lanes.max())
        self._carried = gv.Carried(
            coef.ravel(), np.zeros(self.count), np.zeros((1, skeleton.frame.n_words), dtype=np.uint64),
            np.zeros(widest, dtype=np.int64), np.zeros(widest), np.zeros(widest),
        )  # fmt: skip

    def signs(self) -> SignArray:
        """(nv, q) certified signs, `UNKNOWN` where rounding hides them."""
        nothing = np.zeros((0, self.count))
        return self._over(nothing, nothing)

    def bounded(self) -> tuple[FloatArray, FloatArray]:
        """(nv, q) values (slopes along rays) and bounds of their errors, infinite where a value is not finite."""
        value, bound = np.empty((2, self.skeleton.nv, self.count))
        self._over(value, bound)
        return value, bound

    def _over(self, value: FloatArray, bound: FloatArray) -> SignArray:
        st = self.skeleton.state
        signs = np.empty((self.skeleton.nv, self.count), dtype=np.int8)
        points, records = Points(st.x, st.err, st.at_inf, st.words), flat_star(st)
        for order in self._orders():
            heed("signs at the vertices")
            gv.gate_signs(order, points, *records, self._chain, self._asked, self._carried, signs, value, bound)
        return signs

    def _orders(self) -> Iterator[IntArray]:
        """All vertices, a portion at a time, those with equal signs behind the first layer one after the other.

        Where nearly every vertex has signs of its own, in the order of a walk along the edges, which takes longer to
        find.
        """
        first, nv, state = self._chain.first, self.skeleton.nv, self.skeleton.state
        if len(first) <= 3:
            for start in range(0, nv, PORTION):
                yield np.arange(start, min(nv, start + PORTION))
            return
        room = min(nv, PORTION)
        width = ((int(first[-1]) - 1) >> 6) - (int(first[2]) >> 6) + 1
        rooms: Any = (
            np.zeros((room + 1, width), dtype=np.uint64), np.empty(table_size(room + 1), dtype=np.int32),
            np.zeros(room + 2, dtype=np.int64), np.zeros(room, dtype=np.int32),
        )  # fmt: skip
        order = np.empty(room, dtype=np.int64)
        for start in range(0, nv, PORTION):
            stop = min(nv, start + PORTION)
            rooms[1].fill(-1)
            groups = gv.grouped(start, stop, state.words, first, rooms, order)
            if start == 0 and self._better_walked(groups / (stop - start)):
                order = np.empty(nv, dtype=np.int64)
                scratch = np.zeros(nv, dtype=np.bool_), np.empty(nv, dtype=np.int32)
                gv.walked(nv, self.skeleton.frame.n, self.skeleton.frame.net.shift, state.star, *scratch, order)
                yield from (order[a : a + PORTION] for a in range(0, nv, PORTION))
                return
            yield order[: stop - start]

    def _better_walked(self, share: float) -> bool:
        """Whether to walk, where this share of the vertices begins a group: half a layer changes then, one or two signs
        on a walk.
        """
        first = self._chain.first
        known = len(first) == 4 and not isinstance(self.skeleton, LatticeSkeleton)  # a lattice keeps no half-edges
        return known and share * int(first[2] - first[1]) * int(first[3] - first[2]) > WALKED


def _whole(width: int) -> int:
    """Up to whole lanes."""
    return (width + 7) // 8 * 8


def _padded(rows: FloatArray, width: int) -> FloatArray:
    wide = np.zeros((len(rows), int(width)))
    wide[:, : rows.shape[1]] = rows
    return wide
