"""Entering a layer: signs of all its neurons at all vertices, by a first filter over whole arrays.

Single precision where the magnitudes allow it, double precision where that decides little, forms carried along walls
where a planar network is wide. What the filter leaves goes on to the form on the cell, a direct solve and exact
arithmetic (`Skeleton.second_filter`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._typing import FloatArray, IntArray
from ...kernels.complexes import layer_filter as entry
from ...numerics.floats import nearest
from .arrays import Frame
from .layout import unpack
from .wired_values import gated_values

if TYPE_CHECKING:
    from .build import Skeleton

FEW_UNSURE = 3
"""Signs of a vertex that may stay unsure before it is solved for a tighter bound."""
FEW_SIGNS = 1 << 17
"""Signs up to which a layer is entered in double precision at once: kernels in single precision would be compiled for
little.
"""
CARRIED = 96
"""First layers of planar networks from this width on have the forms of the second carried along from vertex to
vertex.
"""
PORTION = 1 << 14
"""Vertices that are asked at once while forms are carried along: those of the first are made anew in each portion."""
ALONE = 1 << 18
"""Multiplications that libraries of linear algebra do in one thread."""


KEPT_VALUES = 1 << 23
"""Numbers that are kept from one layer for the next, 64 MiB."""


@dataclass
class LayerValues:
    """What a layer passes on at the vertices that there were when it was entered, in double precision.

    This depends on the points alone, so for a point that is still the same it need not be summed up again from the
    inputs: that grew with the square of the depth. Points that were not asked are NaN, and equal none.
    """

    layer: int
    points: FloatArray
    values: FloatArray

    @classmethod
    def room(cls, layer: int, nv: int, n: int, width: int) -> LayerValues:
        """Room for so many vertices."""
        return cls(layer, np.full((n + 1, nv), np.nan), np.empty((nv, width)))

    def keep(self, rows: Any, x: Any, at_inf: Any, z: Any, bias: Any) -> None:
        """What is passed on at rows (a slice, or ids) with values z, without biases."""
        z = z.copy()
        entry.gate(z, bias, at_inf)
        self.points[:-1, rows], self.points[-1, rows], self.values[rows] = x.T, at_inf < 0, z

    def same(self, rows: slice, x: Any, at_inf: Any) -> Any:
        """Which of these rows are points that were asked."""
        points = self.points[:, rows]
        same = points[-1] == (at_inf < 0)
        for mine, asked in zip(points, x.T):
            same &= mine == asked
        return same


class Entry:
    """One layer that is entered: its pending neurons, and what bounds their values."""

    def __init__(self, skeleton: Skeleton, layer: int) -> None:
        net, frame = skeleton.frame.net, skeleton.frame
        self.skeleton, self.layer = skeleton, layer
        self.low, self.high = int(net.layers.first[layer]), int(net.layers.first[layer + 1])
        self.wired = frame.form is not None
        self.given = frame.given(
            np.arange(self.low, self.high) if layer <= 1 else np.arange(net.layers.first[1], net.layers.first[2])
        )
        self.weights = [] if self.wired else [heard(frame, q).T for q in range(1, layer)]
        self.biases = [] if self.wired else [nearest(b) for b in frame.network.biases[1:layer]]
        self.kappa = np.ascontiguousarray(net.margins.kappa[self.low : self.high].T)
        self.kappa0 = net.margins.kappa0[self.low : self.high].copy()
        self.sigma = net.margins.sigma[self.low : self.high] * net.margins.inflate
        self.certain = net.margins.inflate * (1 + 1e-9)
        self.pending = np.ascontiguousarray(unpack(skeleton.pending)[0, self.low : self.high])
        self._pairs = [np.empty(4096, dtype=np.int64) for _ in range(2)]
        self._lanes = np.empty((4, (self.high - self.low + 7) // 8 * 8))
        self._arrays: dict[bool, Any] = {}
        known = skeleton.values
        self._known = known if known and known.layer == layer - 1 and not self.wired else None
        self._kept: LayerValues | None = None

    def run(self) -> None:
        """Find every sign."""
        skeleton, width = self.skeleton, self.high - self.low
        if self.layer == 2 and skeleton.frame.n == 2 and len(self.given) >= CARRIED and not self.wired:
            self._carried()
        else:
            if 2 <= self.layer < skeleton.frame.n_blocks and not self.wired and skeleton.nv * width <= KEPT_VALUES:
                self._kept = LayerValues.room(self.layer, skeleton.nv, skeleton.frame.n, width)
            self._in_batches()
        skeleton.values = self._kept

    def _listed(self, kernel: Any, *args: Any) -> tuple[int, Any, Any]:
        """What a kernel decides, and the pairs it leaves, in lists that are as long as it takes."""
        while True:
            decided, found = kernel(*args, tuple(self._pairs))
            if found <= len(self._pairs[0]):
                return int(decided), self._pairs[0][:found], self._pairs[1][:found]
            self._pairs = [np.empty(2 * found, dtype=np.int64) for _ in range(2)]

    def _settled(self, decided: int, vs: Any, ks: Any) -> None:
        """Count what was decided, and hand on what was not."""
        skeleton = self.skeleton
        skeleton.stats.filtered += decided
        if skeleton.monitor.late:
            skeleton.monitor.check_time(f"the skeleton ({skeleton.nv} vertices, entering layer {self.layer})")
        if len(vs):
            skeleton.second_filter(vs, ks)

    def _carried(self) -> None:
        """The second layer in the plane, from vertex to vertex along the walls of the first."""
        net, st, count = self.skeleton.frame.net, self.skeleton.state, self.high - self.low
        width = (count + 7) // 8 * 8  # whole lanes; what is not pending never exceeds its bound
        wide = [np.zeros((len(a), width)) for a in (self.weights[0], self.kappa)] + [np.zeros(width) for _ in range(3)]
        around = np.where(self.pending, self.kappa0, np.inf)
        for target, source in zip(wide, (self.weights[0], self.kappa, self.biases[0], self.sigma, around)):
            target[..., :count] = source
        columns, near, shift, spread, around = wide
        around[count:] = np.inf
        behind = entry.Behind(self.given, int(net.layers.first[1]), columns, shift)
        points, margin = (
            entry.Points(st.x, st.err, st.at_inf, st.words),
            entry.Margin(near, around, spread, self.certain, 0.0),
        )
        mask = np.append(self.pending, np.zeros(width - count, dtype=np.bool_))
        order, roundings = along_walls(self.skeleton), float(len(self.given) + 10)
        for start in range(0, len(order), PORTION):  # so that little is done again when the lists are too short
            part = order[start : start + PORTION]
            self._settled(*self._listed(entry.decide_in_order, part, roundings, behind, points, margin, self.low, mask))

    def _in_batches(self) -> None:
        """Any layer, some vertices at a time."""
        skeleton, st, nv = self.skeleton, self.skeleton.state, self.skeleton.nv
        wanted = int(self.pending.sum())
        single = nv * wanted > FEW_SIGNS and fits_single(skeleton, self.layer)
        batch = max(64, (1 << 17) // max(64, *skeleton.frame.network.hidden_widths, self.high - self.low))
        start, old = 0, min(nv, len(self._known.values)) if self._known else 0
        while start < nv:
            rows = slice(start, min(nv if start >= old else old, start + batch))
            vs, ks = self._filtered(rows, single)
            if single and 32 * len(vs) > (rows.stop - start) * wanted:  # deep down its bounds decide little
                single = False
                continue
            if not single and len(vs) > FEW_UNSURE:  # a poor point leaves all its signs open: solve it once
                poor = start + np.flatnonzero(np.bincount(vs - start) > FEW_UNSURE)
                poor = poor[st.slot[poor] >= 0]
                if len(poor):
                    skeleton.refine(poor)
                    skeleton.stats.solves += len(poor)
                    others = ~np.isin(vs, poor)
                    again = self._filtered(poor, False)
                    vs, ks = (np.concatenate([part[others], more]) for part, more in zip((vs, ks), again))
            self._settled((rows.stop - start) * wanted - len(vs), vs, ks)
            start = rows.stop

    def _filtered(self, rows: Any, single: bool) -> tuple[Any, Any]:
        """The pairs of these vertices (a slice, or ids) that the filter leaves."""
        ids = np.arange(rows.start, rows.stop) if isinstance(rows, slice) else rows
        if len(ids) == 1:  # one row alone counts as contiguous, and every kernel would be compiled for it once more
            vs, ks = self._filtered(np.repeat(ids, 2), single)
            return vs[: len(vs) // 2], ks[: len(ks) // 2]
        st, inflate = self.skeleton.state, self.skeleton.frame.net.margins.inflate
        x, err, at_inf, words = (column_of(a, rows) for a in (st.x, st.err, st.at_inf, st.words))
        with np.errstate(all="ignore"):
            if self.wired:
                z = gated_values(self.skeleton.frame, self.layer, x, (at_inf < 0).astype(np.float64)[:, None], words)
                last = np.zeros(0)
            else:
                z, last = self._values(rows, x, at_inf, single)
        # two roundings more per product, in a precision 2^29 times coarser; and what underflow may add
        factor, extra = (2.0**30 * inflate, 1e-27) if single else (self.certain, 0.0)
        margin, points = (
            entry.Margin(self.kappa, self.kappa0, self.sigma, factor, extra),
            entry.Points(x, err, at_inf, words),
        )
        _, vs, ks = self._listed(entry.decide, z, last, points, margin, self.low, self.pending, self._lanes)
        st.words[rows] = words
        return ids[vs], ks.copy()

    def _values(self, rows: Any, x: Any, at_inf: Any, single: bool) -> tuple[Any, Any]:
        """Values of a chain's layer in one of the two precisions, and the biases still to be added: the first layer has
        none.
        """
        dtype = np.float32 if single else np.float64
        if single not in self._arrays:
            self._arrays[single] = (
                [np.ascontiguousarray(w, dtype=dtype) for w in (self.given.T, *self.weights)],
                [b.astype(dtype) for b in self.biases],
            )
        (first, *deep), shifts = self._arrays[single]
        if self._known and not single and isinstance(rows, slice) and rows.stop <= len(self._known.values):
            z = product(self._known.values[rows], deep[-1])
            new = ~self._known.same(rows, x, at_inf)
            if new.any():
                z[new] = self._from_inputs(x[new], at_inf[new], first, deep, shifts)
        else:
            z = self._from_inputs(x, at_inf, first, deep, shifts)
        if self._kept and not single:
            self._kept.keep(rows, x, at_inf, z, shifts[-1])
        return z, shifts[-1] if self.layer > 1 else np.zeros(0, dtype=dtype)

    def _from_inputs(self, x: Any, at_inf: Any, first: Any, deep: Any, shifts: Any) -> Any:
        """Values of the layer without its biases, through all layers before it."""
        z = np.empty((len(x), len(self.given)), dtype=first.dtype)
        entry.first_values(x, at_inf, first, self.layer > 1, z)
        for q, w in enumerate(deep, start=2):
            z = product(z, w)
            if q < self.layer:
                entry.gate(z, shifts[q - 2], at_inf)
        return z


def column_of(column: Any, rows: Any) -> Any:
    """Rows of a column of the state, two or more, never contiguous: as in `layout.FEWEST`."""
    some = column[rows]
    if isinstance(rows, slice):
        return some
    apart = np.empty((len(some), some[0].size + 1), dtype=some.dtype)
    apart[:, :-1] = some.reshape(len(some), -1)
    return apart[:, :-1] if some.ndim == 2 else apart[:, 0]


def heard(frame: Frame, q: int) -> FloatArray:
    """(h_{q+1}, h_q) weights that read layer q, zero for neurons that are off on the whole domain.

    The error constants leave those out, and a value near zero of one of them may be rounded to a positive one.
    """
    net, first = frame.net, frame.n_domain
    signs = frame.settled.signs[net.layers.first[q] - first : net.layers.first[q + 1] - first]
    return np.where(signs < 0, 0.0, nearest(frame.network.weights[q]))


def along_walls(skeleton: Skeleton) -> IntArray:
    """Vertices in the plane, wall by wall and along each: neighbours differ in few signs of the first layer.

    Walls follow each other by their direction, every other one backwards: where one ends the next begins.
    """
    st, nv, net = skeleton.state, skeleton.nv, skeleton.frame.net
    forms = np.zeros((net.inf + 1, 3))
    ids = np.flatnonzero(net.layers.layer_of[: net.inf] <= 1)
    forms[ids] = skeleton.frame.given(ids)
    with np.errstate(all="ignore"):
        forms[ids] *= np.where(forms[ids, 1:2] < 0, -1.0, 1.0)
        rank = np.full(net.inf + 1, net.inf)  # infinity comes last
        rank[ids[np.argsort(np.arctan2(forms[ids, 1], forms[ids, 0]), kind="stable")]] = np.arange(len(ids))
        ends = st.star[:nv, 4:6]
        first = rank[ends[:, 0]] <= rank[ends[:, 1]]
        wall = np.where(first, ends[:, 0], ends[:, 1])
        place = st.x[:nv, 0] * forms[wall, 1] - st.x[:nv, 1] * forms[wall, 0]
        place = np.where(st.at_inf[:nv] >= 0, np.sign(place) * np.inf, place)
        order: IntArray = np.lexsort((np.where(rank[wall] & 1, -place, place), rank[wall]))
    return order


def fits_single(skeleton: Skeleton, layer: int) -> bool:
    """Whether a layer's evaluation stays far from the ends of single precision's range.

    What rounding to subnormals and underflow may add, 2^-150 for each weight and product, is then
    at most 2^-150 times 2^40 times the number of terms: below the ``extra`` of the caller.
    """
    frame = skeleton.frame
    if layer <= 1 or frame.net.margins.inflate != 1.0 or frame.form is not None:
        return False
    parts = [np.abs(skeleton.state.x[: skeleton.nv]).max(initial=0.0)]
    for w, b in zip(frame.network.weights[:layer], frame.network.biases[:layer]):
        parts += [np.abs(nearest(w)).sum(axis=1).max(), np.abs(nearest(b)).max()]
    with np.errstate(all="ignore"):
        size = np.prod(np.maximum(parts, 1.0))
    return bool(size < 2.0**40) and sum(frame.network.architecture) < 2**13


def product(z: Any, w: Any) -> Any:
    """z w, in portions of rows that are not shared out among threads: on busy cores these wait for each other."""
    rows = max(64, ALONE // max(1, w.size))
    if len(z) <= rows:
        return z @ w
    out = np.empty((len(z), w.shape[1]), dtype=z.dtype)
    for start in range(0, len(z), rows):
        np.matmul(z[start : start + rows], w, out=out[start : start + rows])
    return out


def first_filter(frame: Frame, weights: list[Any], layer: int, st: Any, rows: slice) -> tuple[Any, Any]:
    """Values (slopes along rays) of a layer's neurons at vertices, with a-priori error bounds, in numpy: for checks.

    Gated by the stored signs, so a zero neuron contributes exactly nothing.
    """
    net, n = frame.net, frame.n
    first = net.layers.first
    x = st.x[rows]
    finite = (st.at_inf[rows] < 0).astype(np.float64)[:, None]
    low, high = int(first[layer]), int(first[layer + 1])
    with np.errstate(over="ignore", invalid="ignore"):
        given = frame.given(np.arange(low, high) if layer <= 1 else np.arange(first[1], first[2]))
        z = x @ given[:, :n].T + finite * given[:, n]
        if layer > 1 and frame.form is not None:
            z = gated_values(frame, layer, x, finite, st.words[rows])
        elif layer > 1:
            active = unpack(st.words[rows])
            for q, w in enumerate(weights, start=1):
                z *= active[:, first[q] : first[q + 1]]
                z = z @ w.T + finite * net.affine.biases[first[q + 1] : first[q + 2]]
        bound = np.abs(x) @ net.margins.kappa[low:high, :n].T
        bound += finite * net.margins.kappa0[low:high]
        bound += st.err[rows][:, None] * net.margins.sigma[low:high]
        bound *= net.margins.inflate * (1 + 1e-9)
        bound[~np.isfinite(z)] = np.inf
    return z, bound
