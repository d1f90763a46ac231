"""Rank strata in bulk: enumeration with dimensions, and the covers of the closure order.

A label is the row of ranks ``r[k, i]``, k > i, ordered by k and then i; ``r[j, j]`` is the
width of layer j. Born counts ``v[k, s] = r[k, s] - r[k, s-1]`` (bars born at s alive at k) fall
with k, so the enumeration is an odometer without dead ends.
"""

import numpy as np

from ..jit import bare_kernel, kernel


@bare_kernel
def fill(widths, low, fixed, state, started, labels, excess):
    """Next labels in lexicographic order of the born counts.

    Parameters
    ----------
    widths : int64 (L + 1,)
    low : int
        Least rank of the product; the rank itself where ``fixed``.
    fixed : bool
    state : int64 (L + 1, L + 1)
        Rank table where the last call stopped; overwritten.
    started : bool
        Whether ``state`` holds the last label given.
    labels : int16 (m, L (L + 1) / 2), overwritten
    excess : int64 (m,), overwritten
        dim Ext^1 of each, the codimension of its orbit.

    Returns
    -------
    int
        How many rows were written; fewer than m means that there are no more.
    """
    last = widths.shape[0] - 1
    r = state
    if not started:
        for k in range(last + 1):
            for i in range(k):
                r[k, i] = low
            r[k, k] = widths[k]
    m = labels.shape[0]
    fresh = not started
    for row in range(m):
        if not fresh:
            moved = False
            for k in range(last, 0, -1):
                for s in range(k - 1, -1, -1):
                    if s == 0 and k == last and fixed:
                        continue
                    before = r[k, s - 1] if s > 0 else 0
                    above = r[k - 1, s - 1] if s > 0 else 0
                    top = min(widths[k], before + r[k - 1, s] - above)
                    if r[k, s] < top:
                        value = r[k, s] + 1
                        for i in range(s, k):
                            r[k, i] = value
                        for j in range(k + 1, last + 1):
                            for i in range(j):
                                r[j, i] = low
                        moved = True
                        break
                if moved:
                    break
            if not moved:
                return row
        fresh = False
        c = 0
        for k in range(1, last + 1):
            for i in range(k):
                labels[row, c] = r[k, i]
                c += 1
        e = 0
        for t in range(1, last + 1):
            for s in range(1, t + 1):
                omega = r[t, s] - r[t, s - 1]
                if t < last:
                    omega -= r[t + 1, s] - r[t + 1, s - 1]
                e += omega * (widths[s - 1] - r[t, s - 1])
        excess[row] = e
    return m


@bare_kernel
def table_and_bars(widths, label, omega):
    """Write the multiplicities ``omega[t, s]`` of one label into int64 (L + 1, L + 1)."""
    last = widths.shape[0] - 1
    for t in range(last + 1):
        for s in range(t + 1):
            value = 0
            for dt in range(2):
                for ds in range(2):
                    k = t + dt
                    i = s - ds
                    if k > last or i < 0:
                        continue
                    rank = widths[k] if k == i else np.int64(label[k * (k - 1) // 2 + i])
                    value += rank if dt == ds else -rank
            omega[t, s] = value


@kernel
def cover_moves(widths, fixed, labels, start, stop, counts, targets, moves, write):
    """Moves that are covers: of each label in ``start..stop``, count or write them.

    The move of a bar pair ``b = [i, k]``, ``a = [s, t]``, i < s <= k + 1 <= t, raises
    ``r[y, x]`` by one for i <= x < s, k < y <= t. It is a cover iff no bar lies in the
    closed rectangle i <= x <= s, k <= y <= t elsewhere than at the corners.

    Parameters
    ----------
    fixed : bool
        Leave out the moves that raise the rank of the product.
    labels : int16 (n, c)
    counts : int64 (stop - start,), overwritten
    targets : int16 (covers, c or more), overwritten where ``write``
    moves : int16 (covers, 4), overwritten where ``write``
        ``i, k, s, t``.
    """
    last = widths.shape[0] - 1
    c = labels.shape[1]
    omega = np.zeros((last + 1, last + 1), np.int64)
    out = 0
    for row in range(start, stop):
        table_and_bars(widths, labels[row], omega)
        found = 0
        for k in range(last):
            for i in range(k + 1):
                if omega[k, i] == 0:
                    continue
                for s in range(i + 1, k + 2):
                    for t in range(max(k + 1, s), last + 1):
                        if omega[t, s] == 0 or (fixed and i == 0 and t == last):
                            continue
                        clear = True
                        for x in range(i, s + 1):
                            for y in range(max(k, x), t + 1):
                                if x in (i, s) and y in (k, t):
                                    continue
                                if omega[y, x] != 0:
                                    clear = False
                                    break
                            if not clear:
                                break
                        if not clear:
                            continue
                        if write:
                            for q in range(c):
                                targets[out, q] = labels[row, q]
                            for y in range(k + 1, t + 1):
                                for x in range(i, s):
                                    targets[out, y * (y - 1) // 2 + x] += 1
                            moves[out, 0] = i
                            moves[out, 1] = k
                            moves[out, 2] = s
                            moves[out, 3] = t
                        found += 1
                        out += 1
        counts[row - start] = found
