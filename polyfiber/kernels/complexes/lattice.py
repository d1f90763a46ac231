"""Face lattices of polyhedral complexes, cut by one bent hyperplane at a time; nothing has to be simple.

The complex is closed off by one more facet at infinity, so every cell is a polytope. A k-face is
the list of its facets (ids of (k-1)-faces; for an edge, of its two vertices) and two bit planes:
the facets positive, and those negative, somewhere on its closure. A face lies on both sides of a
wall exactly when both bits are set; with neither, the wall contains it. So the planes of a face
are the unions of the planes of its facets, and cutting needs only signs at vertices.

Rows of ``planes`` hold W positive words, then W negative ones. Lists of facets lie in ``pool`` at
``start``, ``length`` entries each; a list is replaced, never changed, when its face is cut.
"""

from __future__ import annotations

from collections import namedtuple

import numpy as np

from ..jit import bare_kernel, inline_kernel, kernel, trailing_zeros
from .forms import affine_form, form_value

# faces of one dimension: the first ``count`` rows, lists in the first ``fill`` entries of the pool
Faces = namedtuple("Faces", "planes start length pool basis infinite count fill")
# marks of the cut that is going on, one a face: the last facet that split it, its positive part, its wall; and the last
# turn in which it was seen
Marks = namedtuple("Marks", "stamp plus zero seen")

ONE = np.uint64(1)
ZERO = np.uint64(0)


@bare_kernel
def crossed(planes, count, i, out):
    """Faces with both signs of facet i in their closure; returns how many."""
    W = planes.shape[1] // 2
    w = i >> 6
    bit = ONE << np.uint64(i & 63)
    m = 0
    for f in range(count):
        if planes[f, w] & planes[f, W + w] & bit:
            out[m] = f
            m += 1
    return m


@bare_kernel
def unite(planes, count, start, length, pool, lower, w0, w1):
    """Planes of every face, words w0 to w1 of both signs, from those of its facets."""
    W = planes.shape[1] // 2
    for f in range(count):
        for w in range(w0, w1):
            p = ZERO
            q = ZERO
            for a in range(start[f], start[f] + length[f]):
                g = pool[a]
                p |= lower[g, w]
                q |= lower[g, W + w]
            planes[f, w] = p
            planes[f, W + w] = q


@bare_kernel
def list_sizes(ids, length):
    """Total length of the facet lists of some faces."""
    total = 0
    for j in range(ids.shape[0]):
        total += length[ids[j]]
    return total


@kernel
def new_vertices(i, ids, first_v, n_inf, edges, net, st, zeros, vertex_planes, pairs):
    """A vertex of facet i on each listed edge: zero facets, known signs, first coordinates.

    Lists the signs that the ends of the edge do not give in ``pairs``: vertices, facets.
    Returns (how many, also beyond the capacity; vertices at infinity).
    """
    us, ks = pairs
    planes, start, pool, basis = edges.planes, edges.start, edges.pool, edges.basis
    width = 1
    for q in range(1, net.layers.first.shape[0] - 1):
        width = max(width, net.layers.first[q + 1] - net.layers.first[q])
    if net.wiring.wired != 0:
        width = net.inf
    n, stride = net.n, net.stride
    star, words, x, err, slot, line_err = st.star, st.words, st.x, st.err, st.slot, st.line_err
    at_inf, base, base_err = st.at_inf, st.base, st.base_err
    W = words.shape[1]
    form = np.zeros(stride + 8)
    cur = np.zeros(width + 16)  # `pull_back` touches whole lanes
    nxt = np.zeros(width + 16)
    listed = 0
    for j in range(ids.shape[0]):
        e = ids[j]
        v = first_v + j
        u = pool[start[e]]
        w = pool[start[e] + 1]
        for s in range(n):
            star[v, 2 * s] = -1
            star[v, 2 * s + 1] = -1
        for s in range(n - 1):
            star[v, 2 * n + s] = basis[e, s]
        star[v, 3 * n - 1] = i
        for q in range(W):
            both = planes[e, q] & planes[e, W + q]
            p = planes[e, q] & ~both
            words[v, q] = p
            vertex_planes[v, q] = p
            vertex_planes[v, W + q] = planes[e, W + q] & ~both
            zeros[v, q] = ZERO
            while both != ZERO:
                k = (q << 6) + np.int64(trailing_zeros(both))
                both &= both - ONE
                if k != i:
                    if listed < us.shape[0]:
                        us[listed] = v
                        ks[listed] = k
                    listed += 1
        zeros[v, i >> 6] |= ONE << np.uint64(i & 63)
        slot[v] = 0
        line_err[v] = 0.0
        err[v] = np.inf
        at_inf[v] = -1
        affine_form(i, words, v, net, form, cur, nxt)
        far_u = at_inf[u] >= 0
        far_w = at_inf[w] >= 0
        if far_u and far_w:
            at_inf[v] = n_inf
            for c in range(n):
                base[n_inf, c] = base[at_inf[u], c]
            base_err[n_inf] = np.inf
            n_inf += 1
            a = abs(form_value(form, x, u, 0.0, n))
            b = abs(form_value(form, x, w, 0.0, n))
            size = 0.0
            for c in range(n):
                x[v, c] = b * x[u, c] + a * x[w, c]
                size = max(size, abs(x[v, c]))
            for c in range(n):
                x[v, c] = x[v, c] / size if size > 0.0 else x[u, c]
        elif far_u or far_w:
            near = w if far_u else u
            far = u if far_u else w
            a = abs(form_value(form, x, near, 1.0, n))
            b = abs(form_value(form, x, far, 0.0, n))
            t = a / b if b > 0.0 else 1.0
            for c in range(n):
                x[v, c] = x[near, c] + t * x[far, c]
        else:
            a = abs(form_value(form, x, u, 1.0, n))
            b = abs(form_value(form, x, w, 1.0, n))
            t = a / (a + b) if a + b > 0.0 else 0.5
            for c in range(n):
                x[v, c] = x[u, c] + t * (x[w, c] - x[u, c])
    return listed, n_inf


@bare_kernel
def record_signs(us, ks, words, zeros, vertex_planes):
    """Enter decided signs of pairs (vertex, facet) into the planes of vertices."""
    W = words.shape[1]
    for j in range(us.shape[0]):
        v = us[j]
        w = ks[j] >> 6
        bit = ONE << np.uint64(ks[j] & 63)
        if words[v, w] & bit:
            vertex_planes[v, w] |= bit
        elif not zeros[v, w] & bit:
            vertex_planes[v, W + w] |= bit


@inline_kernel
def unite_one(planes, f, lower, pool, low, high):
    for w in range(planes.shape[1]):
        p = ZERO
        for a in range(low, high):
            p |= lower[pool[a], w]
        planes[f, w] = p


@bare_kernel
def cut_edges(i, ids, first_v, edges, marks, vertex_planes):
    """Split the listed edges at their new vertices; the negative part keeps the id. Returns the fill of the pool."""
    planes, start, length, pool, basis, infinite, count, fill = edges
    stamp, plus, zero = marks.stamp, marks.plus, marks.zero
    wi = i >> 6
    bit = ONE << np.uint64(i & 63)
    for j in range(ids.shape[0]):
        e = ids[j]
        v = first_v + j
        u = pool[start[e]]
        w = pool[start[e] + 1]
        if vertex_planes[u, wi] & bit:
            u, w = w, u
        new = count + j
        start[e] = fill
        pool[fill] = u
        pool[fill + 1] = v
        start[new] = fill + 2
        length[new] = 2
        pool[fill + 2] = v
        pool[fill + 3] = w
        fill += 4
        unite_one(planes, e, vertex_planes, pool, start[e], start[e] + 2)
        unite_one(planes, new, vertex_planes, pool, start[new], start[new] + 2)
        for s in range(basis.shape[1]):
            basis[new, s] = basis[e, s]
        infinite[new] = infinite[e]
        stamp[e] = i
        plus[e] = new
        zero[e] = v
    return fill


@bare_kernel
def cut_faces(i, ids, faces, marks, low, low_marks, floor_planes, seen, turn):
    """Split the listed k-faces, k >= 2, whose facets are already split; new walls are (k-1)-faces.

    ``floor_planes``: of the (k-2)-faces; ``seen``: their marks, ``turn`` larger than any of them.
    Returns (fill of both pools, number of faces whose wall has too few facets).
    """
    planes, start, length, pool, basis, infinite, count, fill = faces
    low_planes, low_start, low_length, low_pool, low_basis, low_infinite, low_count, low_fill = low
    stamp, plus, zero = marks.stamp, marks.plus, marks.zero
    low_stamp, low_plus, low_zero = low_marks.stamp, low_marks.plus, low_marks.zero
    W = planes.shape[1] // 2
    wi = i >> 6
    bit = ONE << np.uint64(i & 63)
    broken = 0
    for j in range(ids.shape[0]):
        f = ids[j]
        new = count + j
        wall = low_count + j
        mark = turn + j
        s0 = start[f]
        s1 = s0 + length[f]
        # the wall
        low_start[wall] = low_fill
        at = low_fill
        upper = 0
        for a in range(s0, s1):
            g = pool[a]
            if low_stamp[g] == i:
                low_pool[at] = low_zero[g]
                at += 1
                upper += 1
            else:
                if low_planes[g, wi] & bit:
                    upper += 1
                for b in range(low_start[g], low_start[g] + low_length[g]):
                    h = low_pool[b]
                    if not (floor_planes[h, wi] | floor_planes[h, W + wi]) & bit and seen[h] != mark:
                        seen[h] = mark
                        low_pool[at] = h
                        at += 1
        low_length[wall] = at - low_fill
        unite_one(low_planes, wall, floor_planes, low_pool, low_fill, at)
        low_fill = at
        for s in range(basis.shape[1]):
            low_basis[wall, s] = basis[f, s]
            basis[new, s] = basis[f, s]
        low_basis[wall, basis.shape[1]] = i
        low_infinite[wall] = infinite[f]
        infinite[new] = infinite[f]
        # the positive part, then the negative one
        start[new] = fill
        for a in range(s0, s1):
            g = pool[a]
            if low_stamp[g] == i:
                pool[fill] = low_plus[g]
                fill += 1
            elif low_planes[g, wi] & bit:
                pool[fill] = g
                fill += 1
        pool[fill] = wall
        fill += 1
        length[new] = fill - start[new]
        start[f] = fill
        for a in range(s0, s1):
            g = pool[a]
            if low_stamp[g] == i or low_planes[g, W + wi] & bit:
                pool[fill] = g
                fill += 1
        pool[fill] = wall
        fill += 1
        length[f] = fill - start[f]
        unite_one(planes, new, low_planes, pool, start[new], start[new] + length[new])
        unite_one(planes, f, low_planes, pool, start[f], start[f] + length[f])
        stamp[f] = i
        plus[f] = new
        zero[f] = wall
        if low_length[wall] < 2 or length[new] < 3 or length[f] < 3 or upper == 0:
            broken += 1
    return fill, low_fill, broken


@bare_kernel
def packed_lists(count, start, length, pool, new_start, new_pool):
    """Copy facet lists one after the other; returns the fill."""
    fill = 0
    for f in range(count):
        new_start[f] = fill
        for a in range(start[f], start[f] + length[f]):
            new_pool[fill] = pool[a]
            fill += 1
    return fill


@bare_kernel
def kept_lists(rows, start, length, pool, new_id, new_start, new_length, new_pool):
    """Facet lists of the rows, in new ids, without those whose new id is -1; returns the fill."""
    fill = 0
    for j in range(rows.shape[0]):
        f = rows[j]
        new_start[j] = fill
        for a in range(start[f], start[f] + length[f]):
            g = new_id[pool[a]]
            if g >= 0:
                new_pool[fill] = g
                fill += 1
        new_length[j] = fill - new_start[j]
    return fill
