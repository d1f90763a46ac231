"""Cells of a complex, cut by gates: which faces are met, in what, and how the pieces hang together.

A gate is affine on a cell, so the cell is all on one side, or lies in the gate, or is cut in three: by signs at its
vertices and at the ends of its rays. All incidences of the pieces follow from those of the cells. With A cut and B a
facet of A:

- the piece ``A = 0`` has the facets ``B = 0`` of cut B, and the cells of two dimensions less in A that lie in the gate;
- the piece ``A > 0`` has the facets ``B > 0`` of cut B, the B on that side, and ``A = 0``.

A facet of a cut cell never lies in the gate: the gate would support the cell, not cut it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ..._typing import BoolArray, IntArray, SignArray, WordArray
from ..._values.checked import dimension_of
from ..._values.read_only import closed
from ...budget import did, heed, heed_memory
from ...kernels import reach
from ...kernels.complexes import gate_values as gv
from ...kernels.complexes import incidence
from ...words import one_line
from .gates import Gates, NewPoints

if TYPE_CHECKING:
    from ..complex import PolyhedralComplex

UNKNOWN = 2
"""The sign of a gate that was not asked on a cell."""


@closed
@dataclass(frozen=True)
class Csr:
    """Lists of row numbers, one after the other."""

    indptr: IntArray
    indices: IntArray

    @property
    def owners(self) -> IntArray:
        """The list that each index belongs to."""
        return np.repeat(np.arange(len(self.indptr) - 1), np.diff(self.indptr))

    @classmethod
    def of(cls, owners: IntArray, members: IntArray, count: int) -> Csr:
        """Lists from pairs (owner, member), sorted."""
        ptr, owners = reach.listed(members, owners, int(members.max(initial=-1)) + 1)
        return cls(*reach.listed(owners, np.repeat(np.arange(len(ptr) - 1), np.diff(ptr)), count))


@dataclass(frozen=True)
class Layer:
    """Cells of one dimension.

    Attributes
    ----------
    planes : (m, 2 W) uint64
        Signs of the face of the canonical complex that each cell lies in, as bit planes.
    gates : (m, q) int8
        Signs of the gates, `UNKNOWN` where they were not asked.
    below : Csr
        Facets of each cell: rows one dimension below. Empty for vertices.
    """

    planes: WordArray
    gates: SignArray
    below: Csr

    def __len__(self) -> int:
        return len(self.planes)


class Cells:
    """A closed or locally closed union of cells with their incidences.

    Attributes
    ----------
    gates : Gates
    layers : list of Layer
        Dimension 0 first.
    points : (m,) int64
        Point of each vertex, see `Gates`.
    ends : (m, 2) int64
        Points of each edge; one of them may be at infinity.
    """

    __repr__ = one_line

    def __init__(self, gates: Gates, layers: list[Layer], points: IntArray, ends: IntArray) -> None:
        self.gates = gates
        self.layers = layers
        self.points = points
        self.ends = ends

    @classmethod
    def of(cls, cx: PolyhedralComplex, gates: Gates) -> Cells:
        """All faces of a canonical complex."""
        layers = []
        store = cx._store
        for k in range(cx.dimension + 1):
            m = cx.f_vector[k]
            heed_memory(m * gates.count, f"the signs of {m} cells")
            below = Csr(np.zeros(m + 1, dtype=np.int64), np.zeros(0, dtype=np.int64))
            if k:
                heed("incidences")
                indptr, indices = reach.transpose(*store.covers_above(k - 1), m)
                below = Csr(np.asarray(indptr, dtype=np.int64), np.asarray(indices, dtype=np.int64))
            layers.append(Layer(store.planes(k), np.full((m, gates.count), UNKNOWN, dtype=np.int8), below))
        if cx.dimension == 0:
            return cls(gates, layers, np.zeros(1, dtype=np.int64), np.zeros((0, 2), dtype=np.int64))
        return cls(gates, layers, cx._finite.astype(np.int64), cx._edges.astype(np.int64))

    @property
    def dimension(self) -> int:
        """Largest dimension of a cell; -1 where there is none."""
        return max((k for k, layer in enumerate(self.layers) if len(layer)), default=-1)

    @property
    def counts(self) -> tuple[int, ...]:
        """Cells of each dimension, up to the largest."""
        return tuple(len(layer) for layer in self.layers[: self.dimension + 1])

    def subcomplex(self, kept: Sequence[BoolArray]) -> Cells:
        """Some of the cells; the facets of a cell that is kept are kept too."""
        number = [np.cumsum(mask) - 1 for mask in kept]
        layers = []
        for k, (layer, mask) in enumerate(zip(self.layers, kept)):
            own = mask[layer.below.owners]
            owners = number[k][layer.below.owners[own]]
            members = number[k - 1][layer.below.indices[own]]
            layers.append(Layer(layer.planes[mask], layer.gates[mask], Csr.of(owners, members, int(mask.sum()))))
        while len(layers) > 1 and not len(layers[-1]):
            layers.pop()
        ends = self.ends[kept[1]] if len(kept) > 1 else self.ends
        return Cells(self.gates, layers, self.points[kept[0]], ends)

    # ---- signs ------------------------------------------------------------------------------
    def _sides(self, gate: int) -> list[tuple[BoolArray, BoolArray]]:
        """For each dimension: whether a gate is somewhere negative, somewhere positive on each cell."""
        at = self.gates.signs[:, gate]
        own = at[self.points]
        found: list[tuple[BoolArray, BoolArray]] = [(own < 0, own > 0)]
        if len(self.layers) > 1:
            a, b = at[self.ends[:, 0]], at[self.ends[:, 1]]
            found.append(((a < 0) | (b < 0), (a > 0) | (b > 0)))
        for layer in self.layers[2:]:
            heed("the signs of cells")
            low, high = found[-1]
            ptr, idx = layer.below.indptr[:-1], layer.below.indices
            low, high = (np.logical_or.reduceat(side[idx], ptr) if len(layer) else side[:0] for side in (low, high))
            found.append((low, high))
        return found

    # ---- cutting ----------------------------------------------------------------------------
    def cut(self, gate: int, keep: tuple[int, ...], *, step: str = "") -> Cells:
        """The cells, cut by a gate; of the pieces those of the given signs.

        Parameters
        ----------
        gate : int
        keep : tuple of -1, 0, 1
            ``(0,)`` for the section, ``(-1, 0)`` for a closed side, ``(-1, 0, 1)`` for all pieces.
        step : str
            With the last cut of a set: what its cells are called in the error of a budget that runs out.
        """
        plan = _Plan(self, gate, keep)
        layers = []
        for k, count in enumerate(plan.counts):
            heed("cutting cells")
            heed_memory(count * (8 * self.layers[k].planes.shape[1] + self.gates.count + 32), f"{count} cells")
            planes = np.empty((count, self.layers[k].planes.shape[1]), dtype=np.uint64)
            gates = np.empty((count, self.gates.count), dtype=np.int8)
            for ids, layer, s in plan.groups(k):
                own = np.flatnonzero(ids >= 0)
                planes[ids[own]] = layer.planes[own]
                gates[ids[own]] = layer.gates[own]
                gates[ids[own], gate] = s[own]
            layers.append(Layer(planes, gates, plan.below(k)))
            if step:
                _keep(self.gates.complex, step, layers)
        points = np.empty(plan.counts[0], dtype=np.int64)
        kept = plan.whole[0] >= 0
        points[plan.whole[0][kept]] = self.points[kept]
        middle = np.full(len(self.ends), -1, dtype=np.int64)  # the new point of each cut edge
        if len(plan.counts) > 1:
            made = np.flatnonzero(plan.section[1] >= 0)
            middle[made] = self._meet(gate, 1, made) + np.arange(len(made))
            points[plan.section[1][made]] = middle[made]
        ends = self._ends(plan, layers, points, middle) if len(plan.counts) > 1 else np.zeros((0, 2), dtype=np.int64)
        while len(layers) > 1 and not len(layers[-1]):
            layers.pop()
        return Cells(self.gates, layers, points, ends)

    def _meet(self, gate: int, k: int, rows: IntArray) -> int:
        """Make the point in which a gate meets each of some edges, or the end of the ray in which it meets 2-faces."""
        layer = self.layers[k]
        return meet(self.gates, gate, layer.planes[rows], layer.gates[rows], far=k == 2)

    def _ends(self, plan: _Plan, layers: list[Layer], points: IntArray, middle: IntArray) -> IntArray:
        """Points at the ends of the new edges."""
        ends = np.full((plan.counts[1], 2), -1, dtype=np.int64)
        kept = np.flatnonzero(plan.whole[1] >= 0)
        ends[plan.whole[1][kept]] = self.ends[kept]
        at = self.gates.signs[:, plan.gate]
        for s in plan.sides:
            own = np.flatnonzero(plan.part[s][1] >= 0)
            side = self.ends[own][np.arange(len(own)), (at[self.ends[own, 1]] == s).astype(np.int64)]
            new = middle[own] if 0 in plan.keep else np.full(len(own), -1)
            ends[plan.part[s][1][own]] = np.stack([new, side], axis=1)
        if len(plan.section) > 2:
            cells = np.flatnonzero(plan.section[2] >= 0)
            rows = plan.section[2][cells]
            below = layers[1].below
            many = np.diff(below.indptr)[rows]
            first = points[below.indices[below.indptr[rows]]]
            ends[rows, 0] = first
            two = many == 2
            ends[rows[two], 1] = points[below.indices[below.indptr[rows[two]] + 1]]
            rays = np.flatnonzero(~two)
            if len(rays):
                ends[rows[rays], 1] = self._meet(plan.gate, 2, cells[rays]) + np.arange(len(rays))
        return ends


@closed
@dataclass(frozen=True, eq=False)
class SomeCells:
    """Cells that were made when a budget ran out: all of some dimensions, others are missing.

    ``partial.found`` of the `BudgetExceededError` of level sets, decision boundaries and the other sets of a complex.

    Attributes
    ----------
    counts : tuple of int
        Cells of dimension 0, 1, … that were made.
    """

    _complex: PolyhedralComplex = field(repr=False)
    _planes: tuple[WordArray, ...] = field(repr=False)
    _gates: tuple[SignArray, ...] = field(repr=False)

    @classmethod
    def of(cls, cx: PolyhedralComplex, layers: Sequence[Layer]) -> SomeCells:
        """The cells of some layers, the lowest first."""
        return cls(cx, tuple(layer.planes for layer in layers), tuple(layer.gates for layer in layers))

    @property
    def counts(self) -> tuple[int, ...]:
        """Cells of each dimension, from 0."""
        return tuple(len(planes) for planes in self._planes)

    def signs(self, dim: int) -> SignArray:
        """(m, N + D) int8 signs of the hidden neurons and domain facets on the cells of a dimension."""
        result: SignArray = self._complex._store.to_signs(self._planes[dimension_of(dim, len(self._planes) - 1)])
        return result

    def values(self, dim: int) -> SignArray:
        """(m, q) int8 signs of the functions that cut, ``f - value`` or ``f_i - f_j``; 2 where one was not asked."""
        return self._gates[dimension_of(dim, len(self._planes) - 1)]

    def __repr__(self) -> str:
        return f"SomeCells(counts {self.counts}, not all)"


def _keep(cx: PolyhedralComplex, step: str, layers: Sequence[Layer]) -> None:
    """Have the error of a budget that runs out hold these cells, the last that are made of a set."""
    mine = tuple(layers)
    did(step, sum(map(len, mine)), found=lambda: SomeCells.of(cx, mine))


def vanishing(gates: Gates, planes: WordArray, signs: SignArray) -> BoolArray:
    """(m, facets + gates) which facets and gates vanish on cells, and not on all of a flat domain."""
    store, d = gates.complex._store, gates.frame.n_domain
    own = store.to_signs(planes) == 0
    own[:, own.shape[1] - d + gates.frame.vanishing] = False  # they say nothing within a flat domain
    return np.concatenate([own[:, own.shape[1] - d :], own[:, : own.shape[1] - d], signs == 0], axis=1)


def meet(gates: Gates, gate: int, planes: WordArray, signs: SignArray, *, far: bool) -> int:
    """Make the points in which a gate meets edges, or (``far``) the ends of the rays in which it meets 2-faces.

    Parameters
    ----------
    planes : (m, 2 W) uint64
    signs : (m, q) int8
        The cells: their faces in the canonical complex, and the signs of the gates there.

    Returns
    -------
    int
        Id of the first point.
    """
    n = gates.n
    star = np.empty((len(planes), n), dtype=np.int64)
    words = gates.padded(planes)
    gone = vanishing(gates, planes, signs)
    gone[:, gates.id_of(gate)] = True
    size = n - far
    even = gone.sum(axis=1) == size
    star[even, :size] = np.nonzero(gone[even])[1].reshape(-1, size)
    for i in np.flatnonzero(~even):
        # the gate first: it is independent of what vanishes on the cell, which is not always so of the others
        candidates = [gates.id_of(gate), *(int(c) for c in np.flatnonzero(gone[i]) if c != gates.id_of(gate))]
        star[i, :size] = gates.basis(candidates, words[i], size)
    if far:
        star[:, n - 1] = gates.frame.net.inf
    guess = partial(gates.directions, star[:, : n - 1], words) if far else None
    zero = set(np.flatnonzero((signs == 0).all(axis=0)).tolist()) if len(planes) else set()
    return gates.add(NewPoints(gates.frame, star, words, np.full(len(planes), far), guess), tuple(zero | {gate}))


def section(cx: PolyhedralComplex, gates: Gates, *, step: str = "") -> Cells | None:
    """The section of a whole simple complex by gate 0, from the cut edges alone; None where the gate meets a vertex.

    Around a cut edge of a simple complex every zero facet may be freed to either side, and each face made so is cut
    too. So the faces that are cut are found upwards from the edges, and no other face is ever made.
    """
    at, store = gates.signs, cx._store
    if not (store.simple and cx.dimension >= 1) or not at[:, 0].all():
        return None
    halves = _crossed(cx, at[:, :1])
    if not len(halves):
        return None
    sk = cx._skeleton
    planes = np.empty((len(halves), 2 * cx._frame.n_words), dtype=np.uint64)
    star = np.empty((len(halves), gates.n), dtype=np.int64)
    words = np.empty((len(halves), gates.frame.n_words), dtype=np.uint64)
    gv.edge_planes(
        halves,
        gates.n,
        cx._frame.net.shift,
        sk.signed,
        gates.id_of(0),
        cx._frame.net.inf,
        sk.state,
        planes,
        star,
        words,
    )
    signs = np.zeros((len(halves), gates.count), dtype=np.int8)
    layers = [Layer(planes, signs, Csr(np.zeros(len(halves) + 1, dtype=np.int64), np.zeros(0, dtype=np.int64)))]
    if step:
        _keep(cx, step, layers)
    places = NewPoints(gates.frame, star, words, np.zeros(len(star), dtype=np.bool_))
    points = gates.add(places, (0,)) + np.arange(len(halves))
    new_ends = np.zeros((0, 2), dtype=np.int64)
    for k in range(1, cx.dimension):
        heed("cutting cells")
        room = len(planes) * 2 * (cx.dimension - k)
        heed_memory(room * (8 * planes.shape[1] + 48), f"cells above {len(planes)} others")
        upper = np.empty((room + 1, planes.shape[1]), dtype=np.uint64)
        above, below = np.empty(room, dtype=np.int64), np.empty(room, dtype=np.int64)
        table = np.full(1 << (2 * room + 1).bit_length(), -1, dtype=np.int32)
        count, pairs = incidence.cofaces(planes, store.n_bits, store.closed, upper, table, above, below)
        planes = upper[:count].copy()
        lists = Csr(*reach.listed(above[:pairs], below[:pairs], count))  # members come in order
        signs = np.zeros((count, gates.count), dtype=np.int8)
        layers.append(Layer(planes, signs, lists))
        if step:
            _keep(cx, step, layers)
        if k == 1:
            many = np.diff(lists.indptr)
            start = lists.indptr[:-1]
            new_ends = np.stack([points[lists.indices[start]], points[lists.indices[start + many - 1]]], axis=1)
            rays = np.flatnonzero(many == 1)
            if len(rays):
                tips = meet(gates, 0, planes[rays], np.full_like(signs[rays], UNKNOWN), far=True)
                new_ends[rays, 1] = tips + np.arange(len(rays))
    return Cells(gates, layers, points, new_ends)


def _crossed(cx: PolyhedralComplex, at: SignArray) -> IntArray:
    """Half-edges of a skeleton from vertices of sign -1 to vertices of sign 1."""
    sk = cx._skeleton
    halves = np.empty(max(1024, sk.nv), dtype=np.int64)  # seldom too little; asking twice takes as long again
    while True:
        count = gv.crossed_edges(sk.nv, cx.dimension, cx._frame.net.shift, sk.state.star, at, halves)
        if count <= len(halves):
            return halves[:count].copy()
        halves = np.empty(count, dtype=np.int64)


class _Plan:
    """What becomes of every cell when a gate cuts: row numbers of the pieces, -1 where there is none."""

    def __init__(self, cells: Cells, gate: int, keep: tuple[int, ...]) -> None:
        self.cells = cells
        self.gate = gate
        self.keep = keep
        self.sides = [s for s in (-1, 1) if s in keep]
        self.sign = [
            np.where(lo & hi, UNKNOWN, hi.astype(np.int8) - lo.astype(np.int8)).astype(np.int8)
            for lo, hi in cells._sides(gate)
        ]
        layers = cells.layers
        self.whole = [np.full(len(layer), -1, dtype=np.int64) for layer in layers]
        self.section = [np.full(len(layer), -1, dtype=np.int64) for layer in layers]
        self.part = {s: [np.full(len(layer), -1, dtype=np.int64) for layer in layers] for s in self.sides}
        self.counts: list[int] = []
        for k in range(len(layers)):
            kept = np.flatnonzero(np.isin(self.sign[k], keep))
            self.whole[k][kept] = np.arange(len(kept))
            m = len(kept)
            if 0 in keep and k + 1 < len(layers):
                m = self._number(self.section[k + 1], self.sign[k + 1] == UNKNOWN, m)
            for s in self.sides:
                m = self._number(self.part[s][k], self.sign[k] == UNKNOWN, m)
            self.counts.append(m)

    @staticmethod
    def _number(ids: IntArray, mask: BoolArray, start: int) -> int:
        count = int(mask.sum())
        ids[mask] = start + np.arange(count)
        return start + count

    def groups(self, k: int) -> list[tuple[IntArray, Layer, SignArray]]:
        """New cells of dimension k by where they come from: row numbers, cells, signs of the gate."""
        layers = self.cells.layers
        found = [(self.whole[k], layers[k], self.sign[k])]
        if k + 1 < len(layers):
            found.append((self.section[k + 1], layers[k + 1], np.zeros(len(layers[k + 1]), dtype=np.int8)))
        found += [(self.part[s][k], layers[k], np.full(len(layers[k]), s, dtype=np.int8)) for s in self.sides]
        return found

    def below(self, k: int) -> Csr:
        """Facets of the new cells of dimension k."""
        layers = self.cells.layers
        if k == 0:
            return Csr(np.zeros(self.counts[0] + 1, dtype=np.int64), np.zeros(0, dtype=np.int64))
        owners: list[IntArray] = []
        members: list[IntArray] = []

        def pair(a: IntArray, b: IntArray) -> None:
            both = (a >= 0) & (b >= 0)
            owners.append(a[both])
            members.append(b[both])

        below = layers[k].below
        upper, lower = below.owners, below.indices
        pair(self.whole[k][upper], self.whole[k - 1][lower])
        for s in self.sides:
            mine = self.part[s]
            pair(mine[k][upper], mine[k - 1][lower])
            # an uncut facet of a cut cell lies on one side of it, never in the gate
            pair(mine[k][upper], np.where(self.sign[k - 1][lower] == s, self.whole[k - 1][lower], -1))
            pair(mine[k], self.section[k])
        if k + 1 < len(layers):
            above = layers[k + 1].below
            cut = np.flatnonzero(self.section[k + 1][above.owners] >= 0)
            upper, lower = above.owners[cut], above.indices[cut]
            pair(self.section[k + 1][upper], self.section[k][lower])
            # cells of two dimensions less that lie in the gate: each is a facet of two facets
            at, ridge = _composed(upper, lower, below)
            inside = self.sign[k - 1][ridge] == 0
            twice = np.unique(np.stack([at[inside], ridge[inside]], axis=1), axis=0)
            pair(self.section[k + 1][twice[:, 0]], self.whole[k - 1][twice[:, 1]])
        return Csr.of(np.concatenate(owners), np.concatenate(members), self.counts[k])


def _composed(owners: IntArray, members: IntArray, below: Csr) -> tuple[IntArray, IntArray]:
    """Pairs (owner, x) for every x in the list of one of the owner's members."""
    lengths = np.diff(below.indptr)[members]
    ends = np.cumsum(lengths)
    at = np.arange(int(lengths.sum())) - np.repeat(ends - lengths, lengths) + np.repeat(below.indptr[members], lengths)
    return np.repeat(owners, lengths), below.indices[at]
