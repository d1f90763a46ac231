"""Independent check of a face lattice: signs of vertices, and how faces hang together.

Why this is enough: a face is given by vertices whose signs are right, so it lies in the closure
of the cell with its signs. Between a face and one two dimensions up there are exactly two, and
every facet that is not at infinity lies on a wall that its face does not; so a face is bounded by walls
only, and is all of that cell. Each facet inside the domain lies in two regions, so no way
from a region that avoids faces of dimension d - 2 ever leaves the regions: they fill the domain. No face is there
twice, so they do not cover it several times. In a flat domain the same holds in its flat: that the inequalities which
vanish on all faces vanish on the domain, and leave a flat of the dimension of the largest faces, is proved apart.
"""

from __future__ import annotations

import numpy as np

from ... import words
from ..._typing import IntArray, WordArray
from ...kernels.rows import RowTable
from ..checks.flats import implied_rank
from ..checks.skeleton import BATCH, filtered_signs
from ..skeleton.layout import unpack
from .build import FaceTable, LatticeSkeleton


def check_signs(lattice: LatticeSkeleton, problems: list[str]) -> tuple[int, int]:
    """Recompute every sign of every vertex, exactly where the filter cannot tell; (filtered, exact)."""
    frame, st, nv, n = lattice.frame, lattice.state, lattice.nv, lattice.frame.n
    net, integers = frame.net, lattice.integers
    planes = lattice.tables[0].planes
    W = frame.n_words
    wrong = filtered = exact = 0
    for begin in range(0, nv, BATCH):
        rows = slice(begin, min(nv, begin + BATCH))
        plus, minus = unpack(planes[rows, :W]), unpack(planes[rows, W:])
        if (unpack(st.words[rows]) != plus).any():
            problems.append("the gates of a vertex are not its positive signs")
        closed = lattice.closed[: frame.n_domain + frame.n_neurons]
        outside = np.where(closed == 1, minus[:, : len(closed)], plus[:, : len(closed)])
        if (outside & (closed != 0)).any():
            problems.append("a vertex lies outside the domain or the block")
        unsure = np.zeros(plus.shape, dtype=np.bool_)
        for low, high, positive, sure in filtered_signs(frame, st, rows):
            filtered += int(sure.sum())
            wrong += int((sure & ~np.where(positive, plus[:, low:high], minus[:, low:high])).sum())
            unsure[:, low:high] = ~sure
        for i in np.flatnonzero(unsure.any(axis=1)):
            v = begin + int(i)
            basis = st.star[v, 2 * n :].tolist()
            point, scale, direction = integers.point(basis, st.words[v])
            for layer in range(len(frame.network.hidden_widths) + 1):
                low, high = int(net.layers.first[layer]), int(net.layers.first[layer + 1])
                here = np.flatnonzero(unsure[i, low:high])
                if not len(here):
                    continue
                signs = integers.signs(layer, here.tolist(), st.words[v], point, scale, direction)
                for j, sign in zip(here.tolist(), signs):
                    exact += 1
                    wrong += sign != int(plus[i, low + j]) - int(minus[i, low + j])
    if wrong:
        problems.append(f"{words.count(wrong, 'sign of a vertex is', 'signs of vertices are')} wrong")
    return filtered, exact


def in_range(lattice: LatticeSkeleton, problems: list[str]) -> bool:
    """Whether the lists of facets point into their tables."""
    below = lattice.nv
    for table in lattice.tables:
        m = table.count
        start, length = table.start[:m], table.length[:m].astype(np.int64)
        whole = m <= len(table.planes) and bool((length >= 0).all() and (start >= 0).all())
        if not whole or (start + length).max(initial=0) > len(table.pool) or (table.dim == 0 and m != lattice.nv):
            problems.append(f"the columns of {table.dim}-faces do not fit together")
            return False
        ids = facet_pairs(table, np.arange(m))[1]
        if len(ids) and not (ids.min() >= 0 and ids.max() < below):
            problems.append(f"a {table.dim}-face has a facet that does not exist")
            return False
        below = m
    return True


def check_faces(lattice: LatticeSkeleton, problems: list[str]) -> int:
    """Check how the faces hang together, without coordinates; returns the incidences looked at."""
    frame, W = lattice.frame, lattice.frame.n_words
    incidences = 0
    top = max((t.dim for t in lattice.tables if not t.infinite[: t.count].all()), default=0)
    of_top = lattice.tables[top]
    whole = np.bitwise_or.reduce(of_top.planes[: of_top.count][~of_top.infinite[: of_top.count]], axis=0, initial=0)
    signed = [k for k in range(frame.n_domain + frame.n_neurons) if _bit(whole[:W] | whole[W:], k)]
    boundary = [k for k in np.flatnonzero(lattice.closed[: frame.n_domain + frame.n_neurons]).tolist() if k in signed]
    flat = [k for k in range(frame.n_domain) if k not in signed]
    for table in lattice.tables:
        infinite = table.infinite[: table.count, None].astype(np.uint64)
        if RowTable.of(np.concatenate([table.planes[: table.count], infinite], axis=1))[1] >= 0:
            problems.append(f"a {table.dim}-face is there twice")
    for table, lower in zip(lattice.tables[1:], lattice.tables[:-1]):
        m = table.count
        face, ids = facet_pairs(table, np.arange(m))
        length = table.length[:m].astype(np.int64)
        incidences += len(ids)
        united = np.zeros((m, 2 * W), dtype=np.uint64)
        np.bitwise_or.at(united, face, lower.planes[ids])
        if (united != table.planes[:m]).any():
            problems.append(f"signs of {table.dim}-faces are not those of their facets")
        if (length <= table.dim).any():
            problems.append(f"a {table.dim}-face has fewer facets than a simplex")
        if (table.planes[:m, :W] & table.planes[:m, W:]).any():
            problems.append(f"a {table.dim}-face has both signs of a wall")
        finite = ~lower.infinite[ids]
        if (lower.planes[ids[finite]] == table.planes[face[finite]]).all(axis=1).any():
            problems.append(f"a facet of a {table.dim}-face lies on no wall")
        if (table.infinite[face] & finite).any():
            problems.append(f"a {table.dim}-face at infinity has a facet that is not")
        if table.dim >= 2:
            at, ridges = facet_pairs(lower, ids)
            _, number = np.unique(face[at] << 32 | ridges, return_counts=True)
            if (number != 2).any():
                problems.append(f"between a {table.dim - 2}-face and a {table.dim}-face there are not exactly two")
        if table.dim == top:
            far = table.infinite[:m]
            sides = np.bincount(ids[~far[face]], minlength=lower.count)
            inner = ~lower.infinite[: lower.count]
            support = lower.planes[: lower.count, :W] | lower.planes[: lower.count, W:]
            for k in boundary:
                inner &= (support[:, k >> 6] >> np.uint64(k & 63)) & np.uint64(1) == 1
            if (sides[inner] != 2).any():
                problems.append("a facet inside the domain does not lie in two regions")
    if top < frame.n and not lattice.is_block and implied_rank(frame, flat) != frame.n - top:
        problems.append(f"the faces, of dimension {top} at most, are not proved to fill the domain")
    if top == 0 and int((~lattice.tables[0].infinite[: lattice.nv]).sum()) != 1:
        problems.append("a complex without edges has one vertex")
    return incidences


def _bit(words: WordArray, k: int) -> bool:
    return bool((int(words[k >> 6]) >> (k & 63)) & 1)


def facet_pairs(table: FaceTable, rows: IntArray) -> tuple[IntArray, IntArray]:
    """(position in rows, facet) for every facet of the listed faces."""
    length = table.length[rows].astype(np.int64)
    ends = np.cumsum(length)
    at = np.arange(int(length.sum())) - np.repeat(ends - length, length) + np.repeat(table.start[rows], length)
    return np.repeat(np.arange(len(rows)), length), table.pool[at].astype(np.int64)
