"""Faces of a simple complex from its oriented skeleton: count, emit, look up.

Edges are oriented by a function that is bounded below on every face and constant on none; then
every face has exactly one lowest vertex, and a face is a choice, at its lowest vertex, of upward
edges. So faces are counted by a product over slots and written once each, without a table.

A face is two bit planes: row i of ``planes`` holds its W words of positive, then its W words of
negative facets; facets in neither are zero.
"""

from __future__ import annotations

import numpy as np

from ..jit import bare_kernel, inline_kernel, kernel, popcount, trailing_zeros
from ..lanes import either, load2, pair, store
from ..rows import ONE, ZERO, hash_row, mix, probe

TWO = np.uint64(2)
THREE = np.uint64(3)
SIX = np.uint64(6)
LOW = np.uint64(63)
PAIRS = np.uint64(0x5555555555555555)


@inline_kernel
def slots_of(edges, v):
    """Number of slots of a vertex with one edge of its mask, and with two."""
    a = 0
    b = 0
    for w in range(edges.shape[1]):
        m = edges[v, w]
        both = m & (m >> ONE) & PAIRS
        a += np.int64(popcount((m | (m >> ONE)) & PAIRS & ~both))
        b += np.int64(popcount(both))
    return a, b


@bare_kernel
def tally(nv, n, star, at_inf, edges, strict, counts):
    """counts[a, b, c] += 1 for a finite vertex with a slots of one edge of its mask, b of two, c strict of one.

    strict: facets whose zeros do not count; a vertex on one without an edge of the mask off it is left out.
    """
    some = False
    for k in range(strict.shape[0]):
        some |= strict[k]
    for v in range(nv):
        if at_inf[v] < 0:
            a, b = slots_of(edges, v)
            c = 0
            stuck = False
            if some:
                for q in range(n):
                    if strict[star[v, 2 * n + q]]:
                        h = 2 * q
                        stuck |= (edges[v, h >> 6] >> np.uint64(h & 63)) & THREE == ZERO
                        c += 1
            if not stuck:
                counts[a - c, b, c] += 1


@bare_kernel
def look_up(nv, at_inf, edges, table, out):
    """out[v] = table[a, b] at a finite vertex with a slots of one edge of its mask and b of two; 0 at infinity."""
    for v in range(nv):
        a, b = slots_of(edges, v)
        out[v] = table[a, b] if at_inf[v] < 0 else 0


@bare_kernel
def emit(nv, n, top, valid, st, up, step, fill, flat, scratch):
    """Write every face of dimension at most ``top`` once, dimensions side by side.

    The faces at a vertex come from it slot by slot: each that there is, again with one more facet freed.

    step: (n + 1,) 1 where a dimension is wanted, else 0; fill: (n + 1,) next free row of each dimension, advanced by
    the step, so that what is not wanted goes to one and the same row; flat: rows of 2 W words each; valid: (W,) bits
    of facets; scratch: (most faces at a vertex * 2 W,), (most faces at a vertex,).
    """
    star, words, at_inf = st.star, st.words, st.at_inf
    own, dims = scratch
    W = np.uint64(words.shape[1])
    row = W + W
    for v in range(np.uint64(nv)):
        if at_inf[v] >= 0:
            continue
        for w in range(W):
            own[w] = words[v, w]
            own[W + w] = ~words[v, w] & valid[w]
        for q in range(n):
            k = star[v, 2 * n + q]
            keep = ~(ONE << np.uint64(k & 63))
            w = np.uint64(k >> 6)
            own[w] &= keep
            own[W + w] &= keep
        for i in range(row):
            flat[fill[0] * row + i] = own[i]
        fill[0] += step[0]
        dims[0] = ZERO
        count = ONE
        for word in range(up.shape[1]):
            m = up[v, word]
            slot = np.uint64(word << 5)
            while m != ZERO:
                q = trailing_zeros(m) >> ONE
                k = np.uint64(star[v, np.uint64(2 * n) + slot + q])
                bit = ONE << (k & LOW)
                before = count
                while m != ZERO and trailing_zeros(m) >> ONE == q:
                    # the word that gets the bit: a positive one, or a negative one
                    at = (k >> SIX) + (ZERO if trailing_zeros(m) & ONE else W)
                    m &= m - ONE
                    for j in range(before):
                        d = dims[j] + ONE
                        if d > top:
                            continue
                        source = j * row
                        target = count * row
                        out = fill[d] * row
                        for i in range(ZERO, row, TWO):
                            one = pair(bit if at == i else ZERO, bit if at == i + ONE else ZERO)
                            both = either(load2(own, source + i), one)
                            store(own, target + i, both)
                            store(flat, out + i, both)
                        dims[count] = d
                        count += ONE
                        fill[d] += step[d]


@bare_kernel
def edge_ends(nv, n, shift, star, at_inf, up, ends):
    """(lower, upper) skeleton vertices of every edge, in the order of `emit`."""
    m = 0
    for v in range(nv):
        if at_inf[v] >= 0:
            continue
        for q in range(n):
            for s in range(2):
                h = 2 * q + s
                if (up[v, h >> 6] >> np.uint64(h & 63)) & ONE:
                    ends[m, 0] = v
                    ends[m, 1] = star[v, h] >> shift
                    m += 1
    return m


# ---- looking faces up -------------------------------------------------------------------------
@bare_kernel
def fingerprint(planes, low, high):
    """Order-independent sums of face hashes, one plain and one of squares."""
    a = ZERO
    b = ZERO
    for i in range(low, high):
        h = hash_row(planes, i)
        a += mix(h, 0)
        b += mix(h, 1)
    return a, b


@kernel
def covers_above(planes, upper, n_bits, closed, table, indptr, indices):
    """For each face: the faces one dimension up (rows of ``upper``), by freeing one zero facet.

    Returns how many lookups failed.
    """
    W = planes.shape[1] // 2
    keys = np.zeros((1, 2 * W), dtype=np.uint64)
    key = keys[0]
    m = 0
    missing = 0
    indptr[0] = 0
    for i in range(planes.shape[0]):
        h = ZERO
        for w in range(2 * W):
            key[w] = planes[i, w]
            h += mix(key[w], w)
        for w in range(W):
            zero = ~(key[w] | key[W + w])
            if (w + 1) << 6 > n_bits:
                zero &= (ONE << np.uint64(n_bits - (w << 6))) - ONE if n_bits > (w << 6) else ZERO
            while zero != ZERO:
                t = np.int64(trailing_zeros(zero))
                b = ONE << np.uint64(t)
                zero &= zero - ONE
                c = closed[(w << 6) + t]
                for s in range(c & 1, 2 - (c >> 1)):
                    c = w if s == 1 else W + w
                    old = key[c]
                    key[c] = old | b
                    j = probe(table, upper, h - mix(old, c) + mix(key[c], c), keys, 0)
                    key[c] = old
                    if j < 0:
                        missing += 1
                    else:
                        indices[m] = j
                        m += 1
        indptr[i + 1] = m
    return missing


@kernel
def mark_unbounded(nv, net, valid, st, dim, planes, table, closed, flags):
    """flags[i] = True for faces of a dimension whose closure reaches infinity.

    Runs over the vertices at infinity and the faces of their stars; valid: (W,) bits of facets. Returns failed lookups.
    """
    n, inf = net.n, net.inf
    star, words, at_inf = st.star, st.words, st.at_inf
    W = words.shape[1]
    keys = np.zeros((1, 2 * W), dtype=np.uint64)
    key = keys[0]
    choice = np.zeros(n, dtype=np.int64)
    missing = 0
    for v in range(nv):
        if at_inf[v] < 0:
            continue
        for w in range(W):
            key[w] = words[v, w]
            key[W + w] = ~words[v, w] & valid[w]
        for q in range(n):
            k = star[v, 2 * n + q]
            choice[q] = 0
            if k != inf:
                b = ONE << np.uint64(k & 63)
                key[k >> 6] &= ~b
                key[W + (k >> 6)] &= ~b
        free = 0
        while True:
            if free + 1 == dim:
                h = ZERO
                for w in range(2 * W):
                    h += mix(key[w], w)
                j = probe(table, planes, h, keys, 0)
                if j < 0:
                    missing += 1
                else:
                    flags[j] = True
            q = 0
            while q < n:
                k = star[v, 2 * n + q]
                if k == inf:
                    q += 1
                    continue
                b = ONE << np.uint64(k & 63)
                w = k >> 6
                if choice[q] == 0:
                    if free + 1 >= dim:  # more would be too many
                        q += 1
                        continue
                    free += 1
                    if closed[k] != 2:
                        choice[q] = 1
                        key[w] |= b
                    else:
                        choice[q] = 2
                        key[W + w] |= b
                    break
                if choice[q] == 1 and closed[k] == 0:
                    choice[q] = 2
                    key[w] &= ~b
                    key[W + w] |= b
                    break
                choice[q] = 0
                key[w] &= ~b
                key[W + w] &= ~b
                free -= 1
                q += 1
            if q == n:
                break
    return missing


@bare_kernel
def in_closure(planes, face, vertex_planes, out):
    """out[i] = whether the cell of row i of vertex_planes lies in the closure of a face (one row of planes)."""
    W = planes.shape[1]
    for i in range(vertex_planes.shape[0]):
        ok = True
        for w in range(W):
            if vertex_planes[i, w] & ~planes[face, w]:
                ok = False
                break
        out[i] = ok
