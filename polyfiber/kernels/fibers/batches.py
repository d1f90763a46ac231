"""Buckets of close keys by sort and sweep, confirmation inside buckets, numbering of classes."""

from __future__ import annotations

import numpy as np

from ...budget import until_late
from ..jit import bare_kernel
from .canonical import canonical_forms, compare_forms, room_for
from .spread import are_near, spreads


@bare_kernel
def _sweep(left, right, order, bounds, starts):
    """Split the runs ``bounds`` of ``order`` where intervals (sorted by left end in each run) leave a gap."""
    count = 0
    for b in range(bounds.shape[0] - 1):
        reach = -np.inf
        for x in range(bounds[b], bounds[b + 1]):
            i = order[x]
            if x == bounds[b] or left[i] > reach:
                starts[count] = x
                count += 1
                reach = right[i]
            elif right[i] > reach:
                reach = right[i]
    starts[count] = order.shape[0]
    return count


def buckets(keys, radius, group):
    """Sets of rows whose intervals ``keys ± radius`` chain together on every column.

    Parameters
    ----------
    keys, radius : (n, K) float64
    group : (n,) int64
        Rows of different groups are never together.

    Returns
    -------
    order : (n,) int64, bounds : (buckets + 1,) int64
        Bucket b holds rows ``order[bounds[b] : bounds[b + 1]]``.
    """
    n = len(keys)
    order = np.argsort(group, kind="stable")
    cuts = np.flatnonzero(np.diff(group[order])) + 1
    bounds = np.concatenate([[0], cuts, [n]]).astype(np.int64) if n else np.zeros(1, dtype=np.int64)
    starts = np.empty(n + 1, dtype=np.int64)
    for k in range(keys.shape[1]):
        with np.errstate(invalid="ignore"):  # values beyond the range of floats: sorted last, never apart
            left, right = keys[:, k] - radius[:, k], keys[:, k] + radius[:, k]
        run = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))
        if k == 0:
            order = order[np.lexsort((left[order], run))]
        else:  # only rows that still share a bucket need sorting
            shared = np.flatnonzero(np.repeat(np.diff(bounds) > 1, np.diff(bounds)))
            if len(shared) == 0:
                break
            inner = np.lexsort((left[order[shared]], run[shared]))
            order[shared] = order[shared][inner]
        count = _sweep(left, right, order, bounds, starts)
        bounds = starts[: count + 1].copy()
    return order, bounds


@bare_kernel
def close(keys, radius, i, j):
    """Whether two rows' intervals overlap on every column."""
    for k in range(keys.shape[1]):
        if abs(keys[i, k] - keys[j, k]) > radius[i, k] + radius[j, k]:
            return False
    return True


@bare_kernel
def _confirm(found, widths, bounds, tolerance, keys, radius, head, heads, room, listed):
    """Join each row to the first class of its bucket with a matching form; list pairs that are open."""
    noise = found.noise
    pair, distance, orders, scale = room
    # parameters; what distances of forms say about values (`spreads`), -1 where it was not asked; how near parameters
    # have to be
    flat, points, spread, near, work = scale
    open_left, open_right = listed
    n_open = 0
    left = pair[:1]
    right = pair[1:]
    for b in range(bounds.shape[0] - 1):
        n_heads = 0
        for i in range(bounds[b], bounds[b + 1]):
            head[i] = i
            mark = n_open
            for h in range(n_heads):
                j = heads[h]
                if not close(keys, radius, i, j):
                    continue
                left[0] = j
                right[0] = i
                if are_near(flat[j], flat[i], widths, near, work):
                    head[i] = j
                    n_open = mark
                    break
                allowed = tolerance + noise[i] + noise[j]
                compare_forms(found, left, right, widths, allowed, distance, orders)
                close_by = distance[0] <= allowed < 1.0
                if close_by:
                    if spread[j] < 0.0:
                        spreads(flat[j : j + 1], widths, points, spread[j : j + 1])
                    close_by = (distance[0] + noise[i] + noise[j]) * spread[j] <= tolerance
                if close_by:
                    head[i] = j
                    n_open = mark
                    break
                if n_open == open_left.shape[0]:
                    return -1
                open_left[n_open] = i
                open_right[n_open] = j
                n_open += 1
            if head[i] == i:
                heads[n_heads] = i
                n_heads += 1
    return n_open


def confirm(flat, widths, bounds, merge, slack, tolerance, keys, radius, close_by):
    """Classes inside buckets by canonical forms.

    Parameters
    ----------
    flat : (B, P), rows in bucket order; bounds : (buckets + 1,) int64
    keys, radius : (B, K)
    close_by : (points (k, n0), float)
        Where `spreads` looks at outputs, and how far parameters may be apart, each by itself.

    Returns
    -------
    head : (B,) int64
        First row of the same bucket with an equal form.
    open_left, open_right : int64
        Heads whose keys are close and whose forms differ, or say too little about values: not decided here.
    """
    B = len(flat)
    forms = room_for(B, widths)
    flat = np.require(flat, dtype=np.float64, requirements=["C", "W"])
    operations = B * int((widths[1:] ** 2 * widths[:-1]).sum())
    until_late(lambda stop: canonical_forms(flat, widths, merge, slack, forms, stop), "canonical forms", operations)
    head, heads = np.empty(B, np.int64), np.empty(B, np.int64)
    pair, distance = np.empty(2, np.int64), np.empty(1)
    orders = np.empty((1, max(1, int(widths[1:-1].sum()))), np.int32)
    points, near = close_by
    widest = int(widths.max())
    work = np.empty((2, widest), np.int64), np.empty((2, widest)), np.empty(widest, np.int8)
    scale = flat, points, np.full(B, -1.0), near, work
    room = pair, distance, orders, scale
    capacity = 4 * B + 16
    while True:
        left, right = np.empty(capacity, np.int64), np.empty(capacity, np.int64)
        found = _confirm(forms, widths, bounds, tolerance, keys, radius, head, heads, room, (left, right))
        if found >= 0:
            return head, left[:found], right[:found]
        capacity *= 4


@bare_kernel
def _number(parent, labels, first):
    count = 0
    for i in range(parent.shape[0]):
        root = parent[i]
        while parent[root] != root:
            root = parent[root]
        parent[i] = root
        if root == i:
            labels[i] = count
            first[count] = i
            count += 1
        else:
            labels[i] = labels[root]
    return count


def number_classes(parent):
    """Labels in order of first occurrence, and the first row of each class; ``parent[i] <= i``."""
    n = len(parent)
    labels, first = np.empty(n, np.int64), np.empty(n, np.int64)
    count = _number(parent, labels, first)
    return labels, first[:count].copy()
