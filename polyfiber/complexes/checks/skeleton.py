"""A skeleton checked again: signs of vertices, edges and their ends, and that it hangs together.

The skeleton is a set of vertices with certified signs, closed under taking neighbours along edges. Closed cells are
pointed and the 1-skeleton of the complex is connected, so such a set is all of it, if no vertex is there twice. Every
sign is recomputed directly (nothing is inherited from edges, as it is in the build).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.sparse
import scipy.sparse.csgraph

from ... import words
from ...budget import heed
from ...kernels.complexes.skeleton import PORTION
from ...kernels.rows import RowTable
from ...numerics.floats import nearest
from ..skeleton.arrays import Frame
from ..skeleton.build import Skeleton
from ..skeleton.entering import first_filter
from ..skeleton.layout import unpack
from .points import Forms, signs_of_forms

BATCH = 4096
"""Vertices that are looked at together."""


def solve_anew(skeleton: Skeleton) -> None:
    """Coordinates and error bounds of a fresh direct solve of every vertex; what was there is a first guess."""
    st, nv, n_inf = skeleton.state, skeleton.nv, skeleton.n_inf
    st.err[:nv], st.slot[:nv], st.base_err[:n_inf] = np.inf, 0, np.inf
    for start in range(0, nv, PORTION):
        heed("the check of the certificate")
        skeleton.refine(np.arange(start, min(nv, start + PORTION), dtype=np.int64))


def in_range(skeleton: Skeleton, problems: list[str], *, edges: bool) -> bool:
    """Whether all that points somewhere points into its table; nothing else may be looked at where it does not."""
    st, nv, n_inf, n, net = skeleton.state, skeleton.nv, skeleton.n_inf, skeleton.frame.n, skeleton.frame.net
    ids, twins = st.star[:nv, 2 * n :].astype(np.int64), st.star[:nv, : 2 * n].astype(np.int64)
    far = st.at_inf[:nv]
    rows = np.sort(ids, axis=1)
    if ((ids < 0) | (ids > net.inf)).any() or (rows[:, 1:] == rows[:, :-1]).any():
        problems.append("the walls of a vertex do not exist, or are not different ones")
    elif ((ids == net.inf).any(axis=1) != (far >= 0)).any() or (far < -1).any():
        problems.append("vertices at infinity are inconsistent")
    elif not np.array_equal(np.sort(far[far >= 0]), np.arange(n_inf)):
        problems.append("base points of rays are inconsistent")
    elif edges and (twins.min(initial=-1) < -1 or (twins >> net.shift).max(initial=0) >= nv):
        problems.append("an edge leads to a vertex that does not exist")
    else:
        return True
    return False


def check_distinct(skeleton: Skeleton, problems: list[str]) -> None:
    """No vertex twice: a skeleton that covers the true one several times would pass all else."""
    st, nv, n = skeleton.state, skeleton.nv, skeleton.frame.n
    ids = np.zeros((nv, n + n % 2), dtype=np.int32)
    ids[:, :n] = np.sort(st.star[:nv, 2 * n :], axis=1)
    _, twice = RowTable.of(np.concatenate([st.words[:nv], ids.view(np.uint64)], axis=1))
    if twice >= 0:
        problems.append("a vertex is there twice")


def _zero_bits(frame: Frame, star: Any) -> Any:
    """(m, 64 W) bool of the zero facets of skeleton vertices."""
    n = frame.n
    zeros = np.zeros((len(star), 64 * frame.n_words + 1), dtype=np.bool_)
    ids = star[:, 2 * n :].astype(np.int64)
    ids = np.where(ids == frame.net.inf, 64 * frame.n_words, ids)
    np.put_along_axis(zeros, ids, True, axis=1)
    zeros[:, frame.vanishing] = True
    return zeros[:, :-1]


def filtered_signs(frame: Frame, st: Any, rows: slice) -> Iterator[tuple[int, int, Any, Any]]:
    """For each layer with facets low..high - 1: (low, high, positive, sure), two (rows, high - low) bool arrays."""
    weights = [] if frame.form is not None else [nearest(w) for w in frame.network.weights[1:]]
    for layer in range(len(frame.network.hidden_widths) + 1):
        low, high = int(frame.net.layers.first[layer]), int(frame.net.layers.first[layer + 1])
        if low < high:
            z, bound = first_filter(frame, weights[: max(0, layer - 1)], layer, st, rows)
            with np.errstate(invalid="ignore"):
                yield low, high, z > 0, np.abs(z) > bound


def check_signs(skeleton: Skeleton, problems: list[str]) -> tuple[int, int]:
    frame, nv = skeleton.frame, skeleton.nv
    filtered = exact = wrong = 0
    at, there = -1, None
    forms = Forms(frame)
    for start in range(0, nv, BATCH):
        heed("the check of the certificate")
        rows = slice(start, min(nv, start + BATCH))
        st = skeleton.state
        bits = unpack(st.words[rows])
        zero = _zero_bits(frame, st.star[rows])
        if (bits & zero).any():
            problems.append("a zero facet carries a sign bit")
        closed = skeleton.closed[: frame.n_domain + frame.n_neurons]
        inside, lying = bits[:, : len(closed)], zero[:, : len(closed)]
        if ((inside == (closed == 2)) & (closed != 0) & ~lying).any():
            problems.append("a vertex lies outside the domain or the block")
        for low, high, positive, sure in filtered_signs(frame, st, rows):
            free = ~zero[:, low:high]
            filtered += int((sure & free).sum())
            wrong += int((sure & free & (positive != bits[:, low:high])).sum())
            i, j = np.nonzero(~sure & free)
            vs, ks = i + start, j + low
            judged = signs_of_forms(skeleton, forms, vs, ks)
            told = judged != 0
            filtered += int(told.sum())
            wrong += int((told & ((judged > 0) != bits[i, ks])).sum())
            for (v, k), bit in zip(np.stack([vs[~told], ks[~told]], axis=1).tolist(), bits[i, ks][~told]):
                heed("the check of the certificate")
                exact += 1
                if v != at:
                    at, there = v, exact_point(skeleton, v)
                wrong += there is None or skeleton.predicate.sign(k, st.words[v], *there) != (1 if bit else -1)
    if wrong:
        problems.append(f"{words.count(wrong, 'sign of a vertex is', 'signs of vertices are')} wrong")
    return filtered, exact


def exact_point(skeleton: Skeleton, v: int) -> Any:
    """Exact coordinates of a vertex, or None where its facets do not meet in one point."""
    st, n = skeleton.state, skeleton.frame.n
    try:
        return skeleton.predicate.point(st.star[v, 2 * n :], st.words[v], ray=bool(st.at_inf[v] >= 0))
    except ArithmeticError:
        return None


def check_edges(skeleton: Skeleton, problems: list[str]) -> int:
    frame, n, shift = skeleton.frame, skeleton.frame.n, skeleton.frame.net.shift
    st, nv = skeleton.state, skeleton.nv
    star = st.star[:nv]
    mask = (1 << shift) - 1
    twins = star[:, : 2 * n].astype(np.int64)
    ids = star[:, 2 * n :].astype(np.int64)
    side = np.arange(2 * n) % 2
    needed = (skeleton.closed[ids].astype(np.int64).repeat(2, axis=1) >> side) & 1 == 0
    # the end of a ray has one edge, the ray
    needed &= (st.at_inf[:nv] < 0)[:, None] | (ids == frame.net.inf).repeat(2, axis=1)
    if (twins[~needed] >= 0).any():
        problems.append("an edge leads out of the domain")
    if (twins[needed] < 0).any():
        problems.append(f"{int((twins[needed] < 0).sum())} edge ends are open: the skeleton is not closed")
        return 0
    v, h = np.nonzero(needed)
    t = twins[v, h]
    w, g = t >> shift, t & mask
    if (w >= nv).any() or (g >= 2 * n).any() or (twins[w, g] != (v << shift | h)).any():
        problems.append("an edge does not lead back")
        return len(v) // 2
    once = (v < w) | ((v == w) & (h < g))
    v, h, w, g = v[once], h[once], w[once], g[once]
    if (v == w).any():
        problems.append("an edge is a loop")
    for start in range(0, len(v), 1 << 14):
        heed("the check of the certificate")
        part = slice(start, start + (1 << 14))
        vv, hh, ww, gg = v[part], h[part], w[part], g[part]
        a, b = ids[vv].copy(), ids[ww].copy()
        ka, kb = a[np.arange(len(vv)), hh >> 1], b[np.arange(len(ww)), gg >> 1]
        a[np.arange(len(vv)), hh >> 1] = -1
        b[np.arange(len(ww)), gg >> 1] = -1
        if (np.sort(a, axis=1) != np.sort(b, axis=1)).any():
            problems.append("the ends of an edge lie on different walls")
            break
        # beyond the shared zeros, the ends differ only at their own zero facet, whose side is the edge's
        bits_v, bits_w = unpack(st.words[vv]), unpack(st.words[ww])
        bits_v = np.concatenate([bits_v, np.zeros((len(vv), 1), dtype=np.bool_)], axis=1)
        bits_w = np.concatenate([bits_w, np.zeros((len(ww), 1), dtype=np.bool_)], axis=1)
        last = bits_v.shape[1] - 1
        ca, cb = np.where(ka == frame.net.inf, last, ka), np.where(kb == frame.net.inf, last, kb)
        r = np.arange(len(vv))
        bits_v[r, ca] = (hh & 1).astype(bool)
        bits_w[r, cb] = (gg & 1).astype(bool)
        bits_v[:, last] = bits_w[:, last] = False
        if (bits_v != bits_w).any():
            problems.append("the ends of an edge have different signs")
            break
    graph = scipy.sparse.coo_matrix((np.ones(len(v), dtype=np.int8), (v, w)), shape=(nv, nv))
    parts = scipy.sparse.csgraph.connected_components(graph, directed=False)[0]
    if parts != 1:
        problems.append(f"the skeleton falls into {parts} parts")
    return len(v)
