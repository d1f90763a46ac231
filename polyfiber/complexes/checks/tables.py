"""Counts and tables of faces made again from the vertices, in numpy, and compared with those that were given out.

Of a simple complex: at a vertex, every choice of some of its walls and of one side of each is a face. Those that go up
are the faces whose lowest vertex it is, so each face is there once; those at a vertex at infinity are the unbounded
ones.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._typing import BoolArray, IntArray, WordArray
from ...budget import heed
from ..lattice.check import facet_pairs
from ..skeleton.build import Skeleton
from ..skeleton.layout import packed, unpack

if TYPE_CHECKING:
    from ..complex import PolyhedralComplex
    from ..lattice.store import LatticeStore
    from ..skeleton.faces import FaceStore


def counted(skeleton: Skeleton, up: WordArray) -> tuple[int, ...]:
    """f-vector from the masks of upward edges: sum over vertices of the product over walls of 1 + (edges up) t."""
    n, nv = skeleton.frame.n, skeleton.nv
    finite = skeleton.state.at_inf[:nv] < 0
    sides = unpack(up[finite])[:, : 2 * n].astype(np.int64)
    number = sides[:, 0::2] + sides[:, 1::2]
    kinds, times = np.unique(
        np.stack([(number == 1).sum(axis=1), (number == 2).sum(axis=1)]), axis=1, return_counts=True
    )
    total = [0] * (n + 1)
    for (one, two), many in zip(kinds.T.tolist(), times.tolist()):
        for a in range(one + 1):
            for b in range(two + 1):
                total[a + b] += many * math.comb(one, a) * math.comb(two, b) * 2**b
    return tuple(total)


def planes_at(skeleton: Skeleton, vertices: IntArray) -> WordArray:
    """Bit planes (m, 2 W) of the vertices themselves."""
    st, n, W = skeleton.state, skeleton.frame.n, skeleton.frame.n_words
    positive = st.words[vertices]
    total = skeleton.frame.n_domain + skeleton.frame.n_neurons
    signed = np.zeros((1, 64 * W), dtype=np.bool_)
    signed[0, np.setdiff1d(np.arange(total), skeleton.frame.vanishing)] = True
    planes = np.concatenate([positive, ~positive & packed(signed, W)], axis=1)
    for s in range(n):
        ids = st.star[vertices, 2 * n + s].astype(np.int64)
        wall = np.flatnonzero(ids != skeleton.frame.net.inf)
        bit = ~(np.uint64(1) << (ids[wall] & 63).astype(np.uint64))
        for offset in (0, W):
            planes[wall, offset + (ids[wall] >> 6)] &= bit
    return planes


def faces_at(skeleton: Skeleton, vertices: IntArray, sides: BoolArray, dim: int) -> Iterator[WordArray]:
    """Bit planes of the faces made of ``dim`` walls of a vertex and a side of each, of those that ``sides`` (m, 2 n)
    allows.
    """
    st, n, W = skeleton.state, skeleton.frame.n, skeleton.frame.n_words
    planes = planes_at(skeleton, vertices)
    for walls in itertools.combinations(range(n), dim):
        for chosen in itertools.product((0, 1), repeat=dim):
            heed(f"the check of faces of dimension {dim}")
            rows = np.flatnonzero(sides[:, [2 * s + side for s, side in zip(walls, chosen)]].all(axis=1))
            found = planes[rows]
            for s, side in zip(walls, chosen):
                ids = st.star[vertices[rows], 2 * n + s].astype(np.int64)
                at = (ids >> 6) + (0 if side else W)
                found[np.arange(len(rows)), at] |= np.uint64(1) << (ids & 63).astype(np.uint64)
            yield found


def _sorted(rows: WordArray) -> WordArray:
    return rows[np.lexsort(rows.T[::-1])] if len(rows) else rows


def same_rows(a: WordArray, b: WordArray) -> bool:
    """Whether two tables have the same rows, each once, in any order."""
    if a.shape != b.shape:
        return False
    a, b = _sorted(a), _sorted(b)
    return bool((a == b).all()) and not (len(a) > 1 and (a[1:] == a[:-1]).all(axis=1).any())


def check_tables(store: FaceStore, up: WordArray, problems: list[str]) -> int:
    """Compare the tables that a simple complex has given out so far; returns the rows looked at."""
    skeleton, n = store.skeleton, store.n
    if n == 0:
        return 0
    finite = np.flatnonzero(skeleton.state.at_inf[: skeleton.nv] < 0)
    counts = counted(skeleton, up)
    if counts != store.counts:
        problems.append(f"the f-vector is {counts}, not {store.counts}")
    looked = 0
    for dim, table in sorted(store._planes.items()):
        looked += len(table)
        again = list(faces_at(skeleton, finite, unpack(up[finite])[:, : 2 * n], dim))
        if not same_rows(table, np.concatenate(again)):
            problems.append(f"the faces of dimension {dim} are not those at the vertices")
    for dim, (indptr, indices) in sorted(store._above.items()):
        looked += len(indices)
        if dim < n and not _covers_hold(store, dim, indptr, indices):
            problems.append(f"the covers of dimension {dim} are wrong")
    far = np.flatnonzero(skeleton.state.at_inf[: skeleton.nv] >= 0)
    allowed = _inner_sides(skeleton, far)
    for dim, flags in sorted(store._unbounded.items()):
        looked += len(flags)
        none = np.zeros((0, 2 * skeleton.frame.n_words), dtype=np.uint64)
        rows = list(faces_at(skeleton, far, allowed, dim - 1)) if dim else []
        if not same_rows(store.planes(dim)[flags], np.unique(np.concatenate([none, *rows]), axis=0)):
            problems.append(f"the unbounded faces of dimension {dim} are not those at infinity")
    return looked


def _inner_sides(skeleton: Skeleton, vertices: IntArray) -> BoolArray:
    """Which of the sides (m, 2 n) of the walls at vertices are not thrown away; none of infinity."""
    n = skeleton.frame.n
    ids = skeleton.state.star[vertices, 2 * n :].astype(np.int64)
    closed = skeleton.closed[ids].astype(np.int64)
    inside = (closed.repeat(2, axis=1) >> (np.arange(2 * n) % 2)) & 1 == 0
    return inside & (ids != skeleton.frame.net.inf).repeat(2, axis=1)


def _covers_hold(store: FaceStore, dim: int, indptr: Any, indices: Any) -> bool:
    """Each face has as many covers as its walls have sides inside, all different, each with one more sign."""
    lower, upper = store.planes(dim), store.planes(dim + 1)
    if len(indptr) != len(lower) + 1 or (len(indices) and not (indices.min() >= 0 and indices.max() < len(upper))):
        return False
    face = np.repeat(np.arange(len(lower)), np.diff(indptr))
    more = upper[indices] & ~lower[face]
    single = (more & (more - np.uint64(1))) == 0
    if (lower[face] & ~upper[indices]).any() or not single.all() or ((more != 0).sum(axis=1) != 1).any():
        return False
    pairs = np.stack([face, indices.astype(np.int64)], axis=1)
    if len(np.unique(pairs, axis=0)) != len(pairs):
        return False
    signs = store.to_signs(lower)
    closed = np.concatenate([store.closed[store.frame.n_domain : store.n_bits], store.closed[: store.frame.n_domain]])
    sides = ((signs == 0) * np.array([2, 1, 1, 0])[closed]).sum(axis=1)
    return bool((sides == np.diff(indptr)).all())


def check_edges_of(store: FaceStore, ends: IntArray, problems: list[str]) -> None:
    """Whether the ends of every edge are two different ones with no signs but those of the edge."""
    if not len(ends):
        return
    planes = store.planes(1)
    every = np.arange(store.skeleton.nv)
    own = planes_at(store.skeleton, every) if store.simple else store.lattice.tables[0].planes  # type: ignore[attr-defined]
    united = own[ends[:, 0]] | own[ends[:, 1]]
    if len(ends) != len(planes) or (united != planes).any() or (ends[:, 0] == ends[:, 1]).any():
        problems.append("the ends of an edge do not have its signs")


def check_lattice_tables(store: LatticeStore, problems: list[str]) -> int:
    """Compare the tables that a face lattice has given out so far with its facet lists; returns the rows looked at."""
    tables = store.lattice.tables
    finite = [~t.infinite[: t.count] for t in tables]
    counts = tuple(int(rows.sum()) for rows in finite)
    if counts != store.counts:
        problems.append(f"the f-vector is {counts}, not {store.counts}")
    looked = 0
    for dim, planes in sorted(store._planes.items()):
        looked += len(planes)
        if not same_rows(planes, tables[dim].planes[: tables[dim].count][finite[dim]]):
            problems.append(f"the faces of dimension {dim} are not those of the lattice")
    for dim in range(store.n):
        upper = tables[dim + 1]
        face, facet = facet_pairs(upper, np.arange(upper.count))
        inside = finite[dim + 1][face] & finite[dim][facet]
        pairs = np.stack([_new_ids(finite[dim])[facet[inside]], _new_ids(finite[dim + 1])[face[inside]]], axis=1)
        if dim in store._above:
            indptr, indices = store._above[dim]
            looked += len(indices)
            given = np.stack([np.repeat(np.arange(len(indptr) - 1), np.diff(indptr)), indices], axis=1)
            if not np.array_equal(np.unique(given, axis=0), np.unique(pairs, axis=0)) or len(given) != len(pairs):
                problems.append(f"the covers of dimension {dim} are wrong")
        if dim + 1 in store._unbounded:
            far = np.bincount(face, weights=~finite[dim][facet], minlength=upper.count) > 0
            looked += int(finite[dim + 1].sum())
            if not np.array_equal(store._unbounded[dim + 1], far[finite[dim + 1]]):
                problems.append(f"the unbounded faces of dimension {dim + 1} are wrong")
    return looked


def _new_ids(kept: BoolArray) -> IntArray:
    return np.cumsum(kept) - 1


# ---- columns ------------------------------------------------------------------------------------
def check_columns(cx: PolyhedralComplex, again: Skeleton, problems: list[str]) -> None:
    """Compare the edges that a complex has given out so far with those of the skeleton."""
    kept = cx._kept
    finite = np.flatnonzero(again.state.at_inf[: again.nv] < 0)
    if "_edges" in kept:
        check_edges_of(cx._store, kept["_edges"], problems)
    if "edges" in kept:
        index = np.full(again.nv, -1)
        index[finite] = np.arange(len(finite))
        if not np.array_equal(kept["edges"], index[cx._edges]):
            problems.append("the ends of edges are not those of the skeleton")
