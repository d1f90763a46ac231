"""Orientation of cells from their incidences alone, and removal of pairs of cells that carry no homology."""

from __future__ import annotations

from collections import namedtuple

import numpy as np

from ..jit import inline_kernel, kernel, trailing_zeros
from ..rows import hash_row, probe


@kernel
def orient(ptr, idx, low_ptr, low_idx, low_sign, sign):
    """Incidence numbers of cells and their facets from those one dimension below: the boundary of a boundary is zero.

    Two facets of a cell that share a ridge must induce opposite orientations on it; signs spread from facet to facet.
    Returns the number of cells whose facets cannot be signed (0 for polyhedra).
    """
    ridges = 0
    for r in low_idx:
        ridges = max(ridges, r + 1)
    seen = np.full(ridges, -1, dtype=np.int64)  # local facet that a ridge was met in
    stamp = np.full(ridges, -1, dtype=np.int64)
    at = np.zeros(ridges, dtype=np.int64)
    most = 0
    for c in range(ptr.shape[0] - 1):
        most = max(most, ptr[c + 1] - ptr[c])
    parent = np.zeros(most, dtype=np.int64)
    parity = np.zeros(most, dtype=np.int8)
    wrong = 0
    for c in range(ptr.shape[0] - 1):
        m = ptr[c + 1] - ptr[c]
        for i in range(m):
            parent[i] = i
            parity[i] = 1
        bad = False
        for i in range(m):
            f = idx[ptr[c] + i]
            for e in range(low_ptr[f], low_ptr[f + 1]):
                r = low_idx[e]
                if stamp[r] != c:
                    stamp[r] = c
                    seen[r] = i
                    at[r] = e
                    continue
                # roots with signs relative to them
                a, sa = i, np.int8(1)
                while parent[a] != a:
                    sa = sa * parity[a]
                    a = parent[a]
                b, sb = seen[r], np.int8(1)
                while parent[b] != b:
                    sb = sb * parity[b]
                    b = parent[b]
                relation = -low_sign[e] * low_sign[at[r]] * sa * sb
                if a == b:
                    if relation != 1:
                        bad = True
                else:
                    parent[a] = b
                    parity[a] = relation
        for i in range(m):
            a, sa = i, np.int8(1)
            while parent[a] != a:
                sa = sa * parity[a]
                a = parent[a]
            sign[ptr[c] + i] = sa
        if bad:
            wrong += 1
    return wrong


@kernel
def remove_pairs(down_ptr, down, up_ptr, up, alive, queue):
    """Take away pairs (a, b) of which a is the only facet left of b, or b the only cell left above a.

    No other incidence changes by that, over any field, so the homology of what is left is the same. ``alive`` is
    updated; the queue has room for as many entries as cells and is first filled with all that are alive.
    """
    n = alive.shape[0]
    below = np.zeros(n, dtype=np.int64)
    above = np.zeros(n, dtype=np.int64)
    waiting = np.zeros(n, dtype=np.bool_)
    head, tail, size = 0, 0, 0
    for c in range(n):
        if alive[c]:
            for e in range(down_ptr[c], down_ptr[c + 1]):
                if alive[down[e]]:
                    below[c] += 1
                    above[down[e]] += 1
            queue[tail] = c
            tail += 1
            size += 1
            waiting[c] = True
    removed = 0
    while size > 0:
        c = queue[head]
        head = 0 if head + 1 == queue.shape[0] else head + 1
        size -= 1
        waiting[c] = False
        if not alive[c]:
            continue
        other = -1
        if below[c] == 1:
            for e in range(down_ptr[c], down_ptr[c + 1]):
                if alive[down[e]]:
                    other = down[e]
        elif above[c] == 1:
            for e in range(up_ptr[c], up_ptr[c + 1]):
                if alive[up[e]]:
                    other = up[e]
        if other < 0:
            continue
        removed += 1
        for side in range(2):
            x = c if side == 0 else other
            alive[x] = False
        for side in range(2):
            x = c if side == 0 else other
            for e in range(down_ptr[x], down_ptr[x + 1]):
                y = down[e]
                if alive[y]:
                    above[y] -= 1
                    if not waiting[y]:
                        tail = 0 if tail == queue.shape[0] else tail
                        queue[tail] = y
                        tail += 1
                        size += 1
                        waiting[y] = True
            for e in range(up_ptr[x], up_ptr[x + 1]):
                y = up[e]
                if alive[y]:
                    below[y] -= 1
                    if not waiting[y]:
                        tail = 0 if tail == queue.shape[0] else tail
                        queue[tail] = y
                        tail += 1
                        size += 1
                        waiting[y] = True
    return removed


@kernel
def cofaces(planes, n_bits, closed, upper, table, above, below):
    """Faces one dimension above some faces of a simple complex, each once: free a zero facet, to either open side.

    ``upper`` and the pairs (above, below) of rows have room for every choice; ``table`` is open addressing, -1 free,
    with a power of two entries, more than twice as many as there are faces. Returns (faces, pairs).
    """
    W = planes.shape[1] // 2
    one = np.uint64(1)
    count = 0
    pairs = 0
    for i in range(planes.shape[0]):
        for w in range(W):
            zero = ~(planes[i, w] | planes[i, W + w])
            if (w + 1) << 6 > n_bits:
                zero &= (one << np.uint64(n_bits - (w << 6))) - one if n_bits > (w << 6) else np.uint64(0)
            while zero != np.uint64(0):
                t = np.int64(trailing_zeros(zero))
                bit = one << np.uint64(t)
                zero &= zero - one
                c = closed[(w << 6) + t]
                for side in range(c & 1, 2 - (c >> 1)):
                    for x in range(2 * W):
                        upper[count, x] = planes[i, x]
                    upper[count, w if side == 1 else W + w] |= bit
                    row = probe(table, upper, hash_row(upper, count), upper, count)
                    if row < 0:
                        table[-1 - row] = count
                        row = count
                        count += 1
                    above[pairs] = row
                    below[pairs] = i
                    pairs += 1
    return count, pairs


MOST = 1 << 30
"""Entries of reduced columns beyond which integers are given up: products and their sums stay within 64 bits."""


@inline_kernel
def common(a, b):
    """Greatest common divisor."""
    a, b = abs(a), abs(b)
    while b != 0:
        a, b = b, a % b
    return a


# a boundary map, cells in the order in which they enter: rows[ptr[c]:ptr[c + 1]] are the places of the facets of cell
# c, entries their incidence numbers (int8), sequence[j] is the cell of place j
Boundary = namedtuple("Boundary", "ptr rows entries sequence")
# columns reduced so far. pairs: of each place (see `reduce_columns`); owner: place of the column whose lowest entry
# this is; start, length: of its column in pool (places) and factors (entries); value, stamp: of places, scratch
Reduced = namedtuple("Reduced", "pairs owner start length pool factors value stamp")
NEXT, USED, SCALED, NEEDED, TOO_LARGE = 0, 1, 2, 3, 4
"""Entries of ``at`` in `reduce_columns`: next place, entries of the pool in use, stamps given, room that is missing,
overflow.
"""


@inline_kernel
def sift_up(heap, i):
    """Move an entry of a heap, largest first, to its place."""
    while i > 0 and heap[(i - 1) // 2] < heap[i]:
        heap[i], heap[(i - 1) // 2] = heap[(i - 1) // 2], heap[i]
        i = (i - 1) // 2


@kernel
def reduce_columns(boundary, reduced, at, modulus, work):
    """Pairs of births and deaths, by reduction of columns from the left: over two elements, or over the integers.

    ``pairs[j]`` becomes the place where what was born at place j dies, -1 if never, -2 if nothing is born there.
    modulus: 2; or 0 for integers, columns of which stand for their multiples: the pairs are those over the rationals.
    It stops after about ``work`` entries were added, or before a column that the pool has no room for, or where an
    integer became larger than `MOST`; ``at`` says where and why.
    """
    ptr, rows, entries, sequence = boundary
    pairs, owner, start, length, pool, factors, value, stamp = reduced
    n = sequence.shape[0]
    used, scaled, done = at[USED], at[SCALED], 0
    heap = np.empty(1024, dtype=np.int64)
    for j in range(at[NEXT], n):
        at[NEXT] = j
        if done > work:
            break
        c = sequence[j]
        if heap.shape[0] < ptr[c + 1] - ptr[c]:
            heap = np.empty(2 * (ptr[c + 1] - ptr[c]), dtype=np.int64)
        h = 0  # size of the heap of places, largest first
        for e in range(ptr[c], ptr[c + 1]):
            value[rows[e]] = entries[e]
            heap[h] = rows[e]
            sift_up(heap, h)
            h += 1
        low = -1
        while h > 0:
            top = heap[0]
            if value[top] == 0:
                h -= 1
                heap[0] = heap[h]
                i = 0
                while 2 * i + 1 < h:
                    b = 2 * i + 1
                    if b + 1 < h and heap[b + 1] > heap[b]:
                        b += 1
                    if heap[b] <= heap[i]:
                        break
                    heap[i], heap[b] = heap[b], heap[i]
                    i = b
                continue
            if owner[top] < 0:
                low = top
                break
            k = owner[top]
            pivot = factors[start[k] + length[k] - 1]
            divisor = common(pivot, value[top])
            factor = -value[top] // divisor * (1 if pivot > 0 else -1)
            if abs(pivot) != divisor:  # a multiple of the column, so that no fraction is needed
                scaled += 1
                for x in range(h):  # places may occur twice
                    r = heap[x]
                    if stamp[r] != scaled:
                        stamp[r] = scaled
                        value[r] *= abs(pivot) // divisor
                        if abs(value[r]) > MOST:
                            at[TOO_LARGE] = 1
                            return
            done += length[k]
            for e in range(start[k], start[k] + length[k]):
                r = pool[e]
                before = value[r]
                value[r] = before + factor * factors[e]
                if modulus == 2:
                    value[r] &= 1
                elif abs(value[r]) > MOST:
                    at[TOO_LARGE] = 1
                    return
                if before == 0 and value[r] != 0:
                    if h == heap.shape[0]:
                        grown = np.empty(2 * h, dtype=np.int64)
                        for x in range(h):  # a slice would bring numba's messages about shapes
                            grown[x] = heap[x]
                        heap = grown
                    heap[h] = r
                    sift_up(heap, h)
                    h += 1
        if low >= 0 and used + h + 1 > pool.shape[0]:
            for x in range(h):
                value[heap[x]] = 0
            at[NEEDED] = h + 1
            break
        if low >= 0:
            if abs(value[low]) != 1:
                divisor = np.int64(0)
                for x in range(h):
                    divisor = common(divisor, value[heap[x]])
                scaled += 1
                for x in range(h):
                    r = heap[x]
                    if stamp[r] != scaled:
                        stamp[r] = scaled
                        value[r] //= divisor
            owner[low] = j
            pairs[low] = j
            pairs[j] = -2
            start[j] = used
            for x in range(h):
                r = heap[x]
                if value[r] != 0 and r != low:
                    pool[used] = r
                    factors[used] = value[r]
                    value[r] = 0  # once each
                    used += 1
            pool[used] = low
            factors[used] = value[low]
            value[low] = 0
            used += 1
            length[j] = used - start[j]
        else:
            for x in range(h):
                value[heap[x]] = 0
        at[NEXT] = j + 1
    at[USED], at[SCALED] = used, scaled


@kernel
def walks_around(ptr, edges, ends, indices):
    """Corners of polygons in order, from the edges of each and their ends: first the first edge, from its first end."""
    most = 0
    for e in edges:
        most = max(most, ends[e, 0] + 1, ends[e, 1] + 1)
    beside = np.empty((most, 2), dtype=np.int64)
    for c in range(ptr.shape[0] - 1):
        for e in range(ptr[c], ptr[c + 1]):
            for side in range(2):
                beside[ends[edges[e], side], :] = -1
        for e in range(ptr[c], ptr[c + 1]):
            for side in range(2):
                v, w = ends[edges[e], side], ends[edges[e], 1 - side]
                beside[v, 0 if beside[v, 0] < 0 else 1] = w
        previous, current = np.int64(-1), ends[edges[ptr[c]], 0]
        for e in range(ptr[c], ptr[c + 1]):
            indices[e] = current
            following = beside[current, 1] if beside[current, 0] == previous else beside[current, 0]
            previous, current = current, following
