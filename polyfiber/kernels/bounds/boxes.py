"""The search over boxes: take one, bound both networks on it, close it or halve it.

The search stops after a number of boxes, when a point violates the goal, or when there is no room; the driver looks at the clock and calls again.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..jit import bare_kernel
from .pair import alternative, evaluate, gradient, inside, violation
from .planes import blend, carry, keep, losses, single, substitute, top, with_rows
from .zonotopes import attribution, bound_of_alternative, forward

DONE, MORE, FOUND, FULL, STUCK = 0, 1, 2, 3, 4
"""Why the search stopped: nothing open; boxes enough; a better point; no room; a box that cannot be halved."""
LEVEL, BEST, CLOSED, SHARE, GAP, KEEP = 0, 1, 2, 3, 4, 5
"""Entries of ``numbers``: what is added to limits, the largest violation met, the largest bound that was closed, the share of the volume that is
closed, the relative gap (when the level follows the best point), the violation above which a point is worth a stop."""
HEAP, FREE, BOXES, NODES, FOLLOW, DEEP, BACKS, OPEN = 0, 1, 2, 3, 4, 5, 6, 7
"""Entries of ``counts``: length of the heap, of the list of free places, boxes looked at, nodes of the tree, whether the level follows the
best point, whether the newest box is taken first, substitutions, where a box that is stuck lies."""


class Pool(NamedTuple):
    """Open boxes.

    Attributes
    ----------
    lo, hi : float64 (places, n0)
    bounds : float64 (places, 6, N)
    proved : uint8 (places, groups)
    bound, share : float64 (places,)
    node : int64 (places,)
    heap : int64 (places,)
        Places of open boxes, the next one first.
    key : float64 (places,)
    free : int64 (places,)
    split, child : int32 (nodes,)
        The tree: the input that a node halves (-1 open, -2 proved, -3 outside the domain), and its lower child; the upper one follows.
    """

    lo: Any
    hi: Any
    bounds: Any
    proved: Any
    bound: Any
    share: Any
    node: Any
    heap: Any
    key: Any
    free: Any
    split: Any
    child: Any


class Search(NamedTuple):
    """Scratch of a search: values at the middle and at a corner, and its counters.

    Attributes
    ----------
    box : float64 (6, N)
    a, d : float64 (2, N + m)
    u, v : float64 (2, widest)
    point, other, score, best : float64 (n0,)
    numbers : float64 (8,)
    counts : int64 (8,)
    width : float64 (n0,)
        Sides of the box that the search began with.
    reach : float64 (alternatives,)
        Bounds of alternatives on the current box; of groups at their first alternative.
    list : int64 (widest,)
    """

    box: Any
    a: Any
    d: Any
    u: Any
    v: Any
    point: Any
    other: Any
    score: Any
    best: Any
    numbers: Any
    counts: Any
    width: Any
    reach: Any
    list: Any


@bare_kernel
def push(pool, place, key, counts):
    """Put a place on the heap: the largest key first."""
    i = counts[HEAP]
    counts[HEAP] += 1
    while i > 0:
        parent = (i - 1) >> 1
        if pool.key[parent] >= key:
            break
        pool.heap[i], pool.key[i] = pool.heap[parent], pool.key[parent]
        i = parent
    pool.heap[i], pool.key[i] = place, key


@bare_kernel
def pop(pool, counts):
    """Take the place with the largest key off the heap."""
    place = pool.heap[0]
    counts[HEAP] -= 1
    n = counts[HEAP]
    last, key = pool.heap[n], pool.key[n]
    i = 0
    while True:
        child = 2 * i + 1
        if child >= n:
            break
        if child + 1 < n and pool.key[child + 1] > pool.key[child]:
            child += 1
        if key >= pool.key[child]:
            break
        pool.heap[i], pool.key[i] = pool.heap[child], pool.key[child]
        i = child
    pool.heap[i], pool.key[i] = last, key
    return place


@bare_kernel
def outside(goal, lo, hi):
    """Whether one of the rows fails on the whole box, rounding included."""
    for r in range(goal.sides.shape[0]):
        least, size = 0.0, abs(goal.sides[r])
        for j in range(lo.shape[0]):
            term = goal.rows[r, j] * (lo[j] if goal.rows[r, j] > 0.0 else hi[j])
            least += term
            size += abs(term)
        if least - goal.sides[r] > 1e-15 * (lo.shape[0] + 2) * size + 1e-300:
            return True
    return False


@bare_kernel
def attempt(pair, goal, x, which, s):
    """Values of both networks at a point; keeps the point where it violates the goal most."""
    evaluate(pair, x, s.a[which], s.d[which], s.u[0], s.u[1], s.list)
    value, k = violation(pair, goal, s.a[which], s.d[which])
    if value > s.numbers[BEST] and inside(goal, x):
        s.numbers[BEST] = value
        for j in range(x.shape[0]):
            s.best[j] = x[j]
    return value, k


@bare_kernel
def climb(pair, goal, x, lo, hi, radius, rounds, s):
    """Walk uphill from a point inside a box, in steps along the signs of the gradient; keeps the best point."""
    n0 = x.shape[0]
    value, k = attempt(pair, goal, x, 1, s)
    for _ in range(rounds):
        gradient(pair, goal, k, s.a[1], s.d[1], s.u, s.v, s.score)
        moved = False
        for j in range(n0):
            step = radius * s.width[j]
            t = x[j] + (step if s.score[j] > 0.0 else -step if s.score[j] < 0.0 else 0.0)
            s.other[j] = min(max(t, lo[j]), hi[j])
            moved = moved or s.other[j] != x[j]
        if not moved:
            return value
        new, which = attempt(pair, goal, s.other, 1, s)
        if new > value:
            value, k = new, which
            for j in range(n0):
                x[j] = s.other[j]
        else:
            radius *= 0.5
            evaluate(pair, x, s.a[1], s.d[1], s.u[0], s.u[1], s.list)
            if radius < 1e-13:
                return value
    return value


@bare_kernel
def start_functional(pair, goal, k, r, w):
    """Coefficients of an alternative at the outputs, as functional r."""
    K, m = w.room[0], pair.widths[pair.widths.shape[0] - 1]
    for o in range(m):
        w.alpha[o * K + r] = w.beta[o * K + r] = 0.0
    for t in range(goal.entry[k], goal.entry[k + 1]):
        c = goal.column[t]
        if c < m:
            w.alpha[c * K + r] += goal.value[t]
        else:
            w.beta[(c - m) * K + r] += goal.value[t]
    w.constant[r] = goal.constant[k] - goal.limit[k]
    w.size[r] = abs(goal.constant[k]) + abs(goal.limit[k])
    w.error[r] = 0.0


@bare_kernel
def finish(goal, r, slot, lo, hi, w, unit):
    """Bound by function r, which is kept."""
    keep(r, slot, lo.shape[0], w)
    if goal.sides.shape[0] > 0:
        with_rows(goal, lo, hi, slot, w, unit)
    return top(w.result[slot], w.value[2 * slot], w.value[2 * slot + 1], lo, hi, unit)


@bare_kernel
def from_middle(pair, goal, lo, hi, s, w, unit):
    """Bounds of the open alternatives by substitution, with planes tightest at the middle; those hopelessly far above their limit are left out."""
    last = pair.widths.shape[0] - 2
    first, m, level, K = pair.first[last], pair.widths[last + 1], s.numbers[LEVEL], w.room[0]
    total = goal.limit.shape[0]
    done = 0
    while done < total:
        count, k = 0, done
        while k < total and count < K:
            here = alternative(goal, k, s.a[0], s.d[0], first, m)
            far = 2.0 * max(abs(goal.limit[k] + level), abs(here))
            if level < s.reach[k] <= level + far:
                start_functional(pair, goal, k, count, w)
                w.neuron[count] = k
                count += 1
            k += 1
        done = k
        if count == 0:
            continue
        carry(pair, last, count, w)
        substitute(pair, last, count, s.box, s.a[0], s.d[0], w, unit)
        s.counts[BACKS] += count
        for r in range(count):
            bound = finish(goal, r, 0, lo, hi, w, unit)
            if bound < s.reach[w.neuron[r]]:
                s.reach[w.neuron[r]] = bound


@bare_kernel
def from_corner(pair, goal, k, lo, hi, s, w, unit):
    """Bound of an alternative by two substitutions, from the middle and from the corner that it suggests, and the best between."""
    last = pair.widths.shape[0] - 2
    s.counts[BACKS] += 2
    for slot in range(2):
        start_functional(pair, goal, k, 0, w)
        carry(pair, last, 1, w)
        substitute(pair, last, 1, s.box, s.a[slot], s.d[slot], w, unit)
        bound = finish(goal, 0, slot, lo, hi, w, unit)
        if slot == 0:
            for j in range(lo.shape[0]):
                s.other[j] = hi[j] if w.result[0, j] > 0.0 else lo[j]
            attempt(pair, goal, s.other, 1, s)
    return min(bound, blend(lo, hi, w, unit))


@bare_kernel
def refine(pair, goal, lo, hi, s, w, unit):
    """Bounds of unstable neurons of the layers after the first by substitution, on the side that their values in the middle suggest."""
    layers = pair.widths.shape[0] - 1
    K = w.room[0]
    for l in range(1, layers - 1):
        done, end = 0, 2 * pair.widths[l + 1]
        while done < end:
            count, at = 0, done
            while at < end and count < K:
                i, kind = at >> 1, 2 * (at & 1)
                n = pair.first[l] + i
                if s.box[kind, n] < 0.0 < s.box[kind + 1, n]:
                    value = s.a[0, n] if kind == 0 else s.a[0, n] - s.d[0, n]
                    w.neuron[count], w.kind[count] = i, kind
                    w.sign[count] = -1.0 if value > 0.0 else 1.0
                    count += 1
                at += 1
            done = at
            if count == 0:
                continue
            s.counts[BACKS] += count
            single(pair, l, count, w)
            substitute(pair, l, count, s.box, s.a[0], s.d[0], w, unit)
            for r in range(count):
                bound = finish(goal, r, 0, lo, hi, w, unit)
                n, kind = pair.first[l] + w.neuron[r], w.kind[r]
                if w.sign[r] > 0.0:
                    if bound < s.box[kind + 1, n]:
                        s.box[kind + 1, n] = bound
                elif -bound > s.box[kind, n]:
                    s.box[kind, n] = -bound


@bare_kernel
def settle(goal, pool, place, s):
    """Mark the groups that are proved.

    Returns
    -------
    float, int
        The largest bound of an open group, and its lowest alternative; -1 where none is open.
    """
    level = s.numbers[LEVEL]
    worst, which = -np.inf, -1
    for group in range(goal.start.shape[0] - 1):
        if pool.proved[place, group]:
            continue
        k = goal.start[group]
        for t in range(k + 1, goal.start[group + 1]):
            if s.reach[t] < s.reach[k]:
                k = t
        if s.reach[k] <= level:
            pool.proved[place, group] = 1
            s.numbers[CLOSED] = max(s.numbers[CLOSED], s.reach[k])
            for t in range(goal.start[group], goal.start[group + 1]):
                s.reach[t] = -np.inf
        elif which < 0 or s.reach[k] > worst:
            worst, which = s.reach[k], k
    return worst, which


@bare_kernel
def look(pair, goal, pool, place, s, w, forms, unit):
    """Bound the goal on one box.

    Returns
    -------
    float, int
        By how much an open group may be violated at most, and the alternative to split for; -1 where every group is proved.
    """
    lo, hi, numbers = pool.lo[place], pool.hi[place], s.numbers
    forward(pair, lo, hi, s.box, forms, unit)
    for j in range(lo.shape[0]):
        s.point[j] = 0.5 * lo[j] + 0.5 * hi[j]
    attempt(pair, goal, s.point, 0, s)
    if s.counts[FOLLOW] and numbers[BEST] > 0.0:
        numbers[LEVEL] = max(numbers[LEVEL], numbers[BEST] * (1.0 + numbers[GAP]))
    for group in range(goal.start.shape[0] - 1):
        for k in range(goal.start[group], goal.start[group + 1]):
            s.reach[k] = -np.inf
            if not pool.proved[place, group]:
                bound = bound_of_alternative(pair, goal, k, forms, unit)
                s.reach[k] = bound if bound < np.inf else np.inf  # also where it is not a number
    worst, which = settle(goal, pool, place, s)
    if which < 0:
        return worst, which
    losses(pair, lo, hi, s.box, w, unit)
    from_middle(pair, goal, lo, hi, s, w, unit)
    worst, which = settle(goal, pool, place, s)
    while which >= 0:
        here = alternative(
            goal, which, s.a[0], s.d[0], pair.first[pair.widths.shape[0] - 2], pair.widths[pair.widths.shape[0] - 1]
        )
        if not worst <= numbers[LEVEL] + 2.0 * max(abs(goal.limit[which] + numbers[LEVEL]), abs(here)):
            break
        bound = from_corner(pair, goal, which, lo, hi, s, w, unit)
        if bound < s.reach[which]:
            s.reach[which] = bound
        other = which
        worst, which = settle(goal, pool, place, s)
        if which >= 0 and s.reach[other] > numbers[LEVEL]:
            break
    return worst, which


@bare_kernel
def choose(pair, goal, k, lo, hi, share, s, forms):
    """The input to halve; -1 where none can be."""
    n0 = lo.shape[0]
    attribution(pair, goal, k, forms, s.score)
    best, chosen = 0.0, -1
    for j in range(n0):
        middle = 0.5 * lo[j] + 0.5 * hi[j]
        if lo[j] < middle < hi[j]:
            part = (hi[j] - lo[j]) / s.width[j]
            # a box that is very thin in one direction is halved in the others first
            value = s.score[j] if part > share else 1e-9 * s.score[j]
            if value > best or chosen < 0:
                best, chosen = value, j
    if not best > 0.0:
        wide = 0.0
        for j in range(n0):
            middle = 0.5 * lo[j] + 0.5 * hi[j]
            if lo[j] < middle < hi[j] and (hi[j] - lo[j]) / s.width[j] > wide:
                wide, chosen = (hi[j] - lo[j]) / s.width[j], j
    return chosen


@bare_kernel
def search(pair, goal, pool, s, w, forms, unit, steps):
    """Look at up to ``steps`` boxes; says why it stopped."""
    numbers, counts = s.numbers, s.counts
    n0, N = s.point.shape[0], s.box.shape[1]
    groups = goal.start.shape[0] - 1
    for _ in range(steps):
        if counts[HEAP] == 0:
            return DONE
        if counts[FREE] == 0 or counts[NODES] + 2 > pool.split.shape[0]:
            return FULL
        place = pop(pool, counts)
        node = pool.node[place]
        counts[BOXES] += 1
        lo, hi = pool.lo[place], pool.hi[place]
        if pool.bound[place] <= numbers[LEVEL] or outside(goal, lo, hi):
            closed = pool.bound[place] <= numbers[LEVEL]
            if closed:
                numbers[CLOSED] = max(numbers[CLOSED], pool.bound[place])
            pool.split[node] = -2 if closed else -3
            numbers[SHARE] += pool.share[place]
            pool.free[counts[FREE]] = place
            counts[FREE] += 1
            continue
        for kind in range(6):
            for i in range(N):
                s.box[kind, i] = pool.bounds[place, kind, i]
        worst, k = look(pair, goal, pool, place, s, w, forms, unit)
        if k < 0:
            pool.split[node] = -2
            numbers[SHARE] += pool.share[place]
            pool.free[counts[FREE]] = place
            counts[FREE] += 1
        else:
            pool.bound[place] = min(pool.bound[place], worst)
            chosen = choose(pair, goal, k, lo, hi, 0.0, s, forms)
            if chosen < 0:
                counts[OPEN] = place
                return STUCK
            refine(pair, goal, lo, hi, s, w, unit)
            counts[FREE] -= 1
            other = pool.free[counts[FREE]]
            for j in range(n0):
                pool.lo[other, j], pool.hi[other, j] = lo[j], hi[j]
            middle = 0.5 * lo[chosen] + 0.5 * hi[chosen]
            pool.hi[place, chosen] = middle
            pool.lo[other, chosen] = middle
            for kind in range(6):
                for i in range(N):
                    pool.bounds[place, kind, i] = s.box[kind, i]
                    pool.bounds[other, kind, i] = s.box[kind, i]
            for group in range(groups):
                pool.proved[other, group] = pool.proved[place, group]
            pool.bound[other] = pool.bound[place]
            pool.share[place] *= 0.5
            pool.share[other] = pool.share[place]
            child = counts[NODES]
            counts[NODES] += 2
            pool.split[node], pool.child[node] = chosen, child
            pool.split[child] = pool.split[child + 1] = -1
            pool.node[place], pool.node[other] = child, child + 1
            key = float(counts[BOXES]) if counts[DEEP] else pool.bound[place]
            push(pool, place, key, counts)
            push(pool, other, key, counts)
        if numbers[BEST] > numbers[KEEP]:
            return FOUND
    return MORE
