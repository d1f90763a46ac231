"""Closure and star over CSR arrays: walks, transposes, heights, induced covers.

A relation on ``0..n-1`` is a CSR pair ``(indptr, indices)``: the neighbours of ``i`` are
``indices[indptr[i]:indptr[i + 1]]``. ``indptr`` is int64, ``indices`` int32 or int64.
"""

import numpy as np

from .jit import kernel


@kernel
def listed(owners, members, count):
    """CSR pair from pairs (owner, member): the members of each owner, below ``count``, in the order in which they
    come.
    """
    out_ptr = np.zeros(count + 1, np.int64)
    for o in owners:
        out_ptr[o + 1] += 1
    for c in range(count):
        out_ptr[c + 1] += out_ptr[c]
    fill = out_ptr[:-1].copy()
    out = np.empty_like(members)
    for e in range(owners.shape[0]):
        out[fill[owners[e]]] = members[e]
        fill[owners[e]] += 1
    return out_ptr, out


@kernel
def transpose(indptr, indices, n_columns):
    """CSR pair of the opposite relation; each row comes out sorted.

    Parameters
    ----------
    indptr : int64 (n + 1,)
    indices : int32 or int64 (m,), values below ``n_columns``
    n_columns : int

    Returns
    -------
    int64 (n_columns + 1,), indices' dtype (m,)
        In O(n + n_columns + m).
    """
    n = indptr.shape[0] - 1
    out_ptr = np.zeros(n_columns + 1, np.int64)
    for e in range(indices.shape[0]):
        out_ptr[indices[e] + 1] += 1
    for c in range(n_columns):
        out_ptr[c + 1] += out_ptr[c]
    fill = out_ptr[:-1].copy()
    out = np.empty_like(indices)
    for i in range(n):
        for e in range(indptr[i], indptr[i + 1]):
            c = indices[e]
            out[fill[c]] = i
            fill[c] += 1
    return out_ptr, out


@kernel
def reach(indptr, indices, seeds):
    """Mask of everything that a walk from the seeds meets, the seeds among them.

    Returns bool (n,), in O(n + edges walked).
    """
    n = indptr.shape[0] - 1
    seen = np.zeros(n, np.bool_)
    stack = np.empty(n, np.int64)
    top = 0
    for k in range(seeds.shape[0]):
        s = seeds[k]
        if not seen[s]:
            seen[s] = True
            stack[top] = s
            top += 1
    while top > 0:
        top -= 1
        i = stack[top]
        for e in range(indptr[i], indptr[i + 1]):
            c = indices[e]
            if not seen[c]:
                seen[c] = True
                stack[top] = c
                top += 1
    return seen


@kernel
def heights(indptr, indices):
    """Length of the longest walk down from each element; neighbours have smaller ids.

    Returns int32 (n,), in O(n + m).
    """
    n = indptr.shape[0] - 1
    out = np.zeros(n, np.int32)
    for i in range(n):
        best = -1
        for e in range(indptr[i], indptr[i + 1]):
            h = out[indices[e]]
            if h > best:
                best = h
        out[i] = best + 1
    return out


@kernel
def rank_function(below_ptr, below, above_ptr, above):
    """Integer potential that rises by one along each cover, if there is one.

    Returns
    -------
    bool, int64 (n,)
        Whether it exists; the potential with minimum 0 on each connected part.
    """
    n = below_ptr.shape[0] - 1
    value = np.zeros(n, np.int64)
    seen = np.zeros(n, np.bool_)
    queue = np.empty(n, np.int64)
    for root in range(n):
        if seen[root]:
            continue
        head = 0
        tail = 1
        queue[0] = root
        seen[root] = True
        least = 0
        while head < tail:
            i = queue[head]
            head += 1
            if value[i] < least:
                least = value[i]
            for e in range(below_ptr[i], below_ptr[i + 1]):
                c = below[e]
                if not seen[c]:
                    seen[c] = True
                    value[c] = value[i] - 1
                    queue[tail] = c
                    tail += 1
                elif value[c] != value[i] - 1:
                    return False, value
            for e in range(above_ptr[i], above_ptr[i + 1]):
                c = above[e]
                if not seen[c]:
                    seen[c] = True
                    value[c] = value[i] + 1
                    queue[tail] = c
                    tail += 1
                elif value[c] != value[i] + 1:
                    return False, value
        for q in range(tail):
            value[queue[q]] -= least
    return True, value


@kernel
def first_kept_below(indptr, indices, keep, new_id):
    """Nearest kept elements under each kept element, walking through the others.

    Parameters
    ----------
    indptr, indices : CSR pair (n rows)
    keep : bool (n,)
    new_id : int64 (n,)
        Position of a kept element among the kept ones.

    Returns
    -------
    int64 (m + 1,), int64 (edges,), bool (m,)
        Candidates in new ids, and which rows were reached past a dropped element (only
        those may hold more than covers).
    """
    n = indptr.shape[0] - 1
    m = 0
    for i in range(n):
        if keep[i]:
            m += 1
    out_ptr = np.zeros(m + 1, np.int64)
    capacity = max(16, 2 * indices.shape[0])
    out = np.empty(capacity, np.int64)
    dirty = np.zeros(m, np.bool_)
    stamp = np.full(n, -1, np.int64)
    stack = np.empty(n, np.int64)
    used = 0
    row = 0
    for i in range(n):
        if not keep[i]:
            continue
        stack[0] = i
        top = 1
        while top > 0:
            top -= 1
            k = stack[top]
            for e in range(indptr[k], indptr[k + 1]):
                c = indices[e]
                if stamp[c] == i:
                    continue
                stamp[c] = i
                if keep[c]:
                    if used == capacity:
                        capacity *= 2
                        bigger = np.empty(capacity, np.int64)
                        for q in range(used):  # a slice would bring numba's messages about shapes
                            bigger[q] = out[q]
                        out = bigger
                    out[used] = new_id[c]
                    used += 1
                else:
                    dirty[row] = True
                    stack[top] = c
                    top += 1
        row += 1
        out_ptr[row] = used
    return out_ptr, out[:used].copy(), dirty


@kernel
def has_shortcut(indptr, indices):
    """First edge that another walk also realises, as ``(row, column)``, else ``(-1, -1)``.

    Neighbours have smaller ids than the row. Walks are cut below the smallest neighbour.
    """
    n = indptr.shape[0] - 1
    stamp = np.full(n, -1, np.int64)
    stack = np.empty(n, np.int64)
    for i in range(n):
        if indptr[i + 1] - indptr[i] < 2:
            continue
        least = i
        for e in range(indptr[i], indptr[i + 1]):
            if indices[e] < least:
                least = indices[e]
        top = 0
        for e in range(indptr[i], indptr[i + 1]):
            stack[top] = indices[e]
            top += 1
            while top > 0:
                top -= 1
                k = stack[top]
                for f in range(indptr[k], indptr[k + 1]):
                    c = indices[f]
                    if c >= least and stamp[c] != i:
                        stamp[c] = i
                        stack[top] = c
                        top += 1
        for e in range(indptr[i], indptr[i + 1]):
            if stamp[indices[e]] == i:
                return i, indices[e]
    return -1, -1
