"""The search over boxes: take one, bound both networks on it, close it or halve it.

The search stops after a number of boxes, when a point violates the goal, or when there is no room; the driver looks at
the clock and calls again.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..jit import bare_kernel, outlined_kernel
from .pair import alternative, evaluate, gradient, inside, violation
from .planes import blend, carry, keep, losses, single, substitute, top, with_rows
from .zonotopes import attribution, bound_of_alternative, forward

DONE, MORE, FOUND, FULL, STUCK = 0, 1, 2, 3, 4
"""Why the search stopped: nothing open; boxes enough; a better point; no room; a box that cannot be halved."""
LEVEL, BEST, CLOSED, SHARE, GAP, KEEP = 0, 1, 2, 3, 4, 5
"""Entries of ``numbers``: what is added to limits, the largest violation met, the largest bound that was closed, the
share of the volume that is closed, the relative gap (when the level follows the best point), the violation above which
a point is worth a stop."""
HEAP, FREE, BOXES, NODES, FOLLOW, DEEP, BACKS, OPEN = 0, 1, 2, 3, 4, 5, 6, 7
"""Entries of ``counts``: length of the heap, of the list of free places, boxes looked at, nodes of the tree, whether
the level follows the best point, whether the newest box is taken first, substitutions, where a box that is stuck
lies."""


class Boxes(NamedTuple):
    """Boxes by their places: ends, float64 (places, n0); bounds of the neurons on them, (places, 6, N); groups that are
    proved, uint8 (places, groups).
    """

    lo: Any
    hi: Any
    bounds: Any
    proved: Any


class Queue(NamedTuple):
    """Places of open boxes as a heap, the next one first, and their keys; places that are free. int64 and float64
    (places,).
    """

    heap: Any
    key: Any
    free: Any


class Tree(NamedTuple):
    """The input that a node halves (-1 open, -2 proved, -3 outside the domain), and its lower child; the upper one
    follows. int32 (nodes,).
    """

    split: Any
    child: Any


class Pool(NamedTuple):
    """Open boxes.

    Attributes
    ----------
    boxes : Boxes
    bound, share : float64 (places,)
    node : int64 (places,)
    queue : Queue
    tree : Tree
    """

    boxes: Any
    bound: Any
    share: Any
    node: Any
    queue: Any
    tree: Any


class Values(NamedTuple):
    """Values at the middle and at a corner: float64 (2, N + m) a and d; scratch (2, widest) u and v, and int64
    (widest,).
    """

    a: Any
    d: Any
    u: Any
    v: Any
    list: Any


class Points(NamedTuple):
    """Points of the search, float64 (n0,): where it looks, another, scores of the inputs, the best point met."""

    point: Any
    other: Any
    score: Any
    best: Any


class Search(NamedTuple):
    """Scratch of a search, and its counters.

    Attributes
    ----------
    box : float64 (6, N)
    values : Values
    points : Points
    numbers : float64 (8,)
    counts : int64 (8,)
    width : float64 (n0,)
        Sides of the box that the search began with.
    reach : float64 (alternatives,)
        Bounds of alternatives on the current box; of groups at their first alternative.
    """

    box: Any
    values: Any
    points: Any
    numbers: Any
    counts: Any
    width: Any
    reach: Any


@bare_kernel
def push(pool, place, key, counts):
    """Put a place on the heap: the largest key first."""
    i = counts[HEAP]
    counts[HEAP] += 1
    while i > 0:
        parent = (i - 1) >> 1
        if pool.queue.key[parent] >= key:
            break
        pool.queue.heap[i], pool.queue.key[i] = pool.queue.heap[parent], pool.queue.key[parent]
        i = parent
    pool.queue.heap[i], pool.queue.key[i] = place, key


@bare_kernel
def pop(pool, counts):
    """Take the place with the largest key off the heap."""
    place = pool.queue.heap[0]
    counts[HEAP] -= 1
    n = counts[HEAP]
    last, key = pool.queue.heap[n], pool.queue.key[n]
    i = 0
    while True:
        child = 2 * i + 1
        if child >= n:
            break
        if child + 1 < n and pool.queue.key[child + 1] > pool.queue.key[child]:
            child += 1
        if key >= pool.queue.key[child]:
            break
        pool.queue.heap[i], pool.queue.key[i] = pool.queue.heap[child], pool.queue.key[child]
        i = child
    pool.queue.heap[i], pool.queue.key[i] = last, key
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


@outlined_kernel
def attempt(pair, goal, x, which, s):
    """Values of both networks at a point; keeps the point where it violates the goal most."""
    evaluate(pair, x, s.values.a[which], s.values.d[which], s.values.u[0], s.values.u[1], s.values.list)
    value, k = violation(pair, goal, s.values.a[which], s.values.d[which])
    if value > s.numbers[BEST] and inside(goal, x):
        s.numbers[BEST] = value
        for j in range(x.shape[0]):
            s.points.best[j] = x[j]
    return value, k


@outlined_kernel
def climb(pair, goal, x, lo, hi, radius, rounds, s):
    """Walk uphill from a point inside a box, in steps along the signs of the gradient; keeps the best point."""
    n0 = x.shape[0]
    value, k = attempt(pair, goal, x, 1, s)
    for _ in range(rounds):
        gradient(pair, goal, k, s.values.a[1], s.values.d[1], s.values.u, s.values.v, s.points.score)
        moved = False
        for j in range(n0):
            step = radius * s.width[j]
            t = x[j] + (step if s.points.score[j] > 0.0 else -step if s.points.score[j] < 0.0 else 0.0)
            s.points.other[j] = min(max(t, lo[j]), hi[j])
            moved = moved or s.points.other[j] != x[j]
        if not moved:
            return value
        new, which = attempt(pair, goal, s.points.other, 1, s)
        if new > value:
            value, k = new, which
            for j in range(n0):
                x[j] = s.points.other[j]
        else:
            radius *= 0.5
            evaluate(pair, x, s.values.a[1], s.values.d[1], s.values.u[0], s.values.u[1], s.values.list)
            if radius < 1e-13:
                return value
    return value


@bare_kernel
def start_functional(pair, goal, k, r, w):
    """Coefficients of an alternative at the outputs, as functional r."""
    K, m = w.room[0], pair.layout.widths[pair.layout.widths.shape[0] - 1]
    for o in range(m):
        w.rows.alpha[o * K + r] = w.rows.beta[o * K + r] = 0.0
    for t in range(goal.entry[k], goal.entry[k + 1]):
        c = goal.column[t]
        if c < m:
            w.rows.alpha[c * K + r] += goal.value[t]
        else:
            w.rows.beta[(c - m) * K + r] += goal.value[t]
    w.rows.constant[r] = goal.constant[k] - goal.limit[k]
    w.rows.size[r] = abs(goal.constant[k]) + abs(goal.limit[k])
    w.rows.error[r] = 0.0


@outlined_kernel
def finish(goal, r, slot, lo, hi, w, unit):
    """Bound by function r, which is kept."""
    keep(r, slot, lo.shape[0], w)
    if goal.sides.shape[0] > 0:
        with_rows(goal, lo, hi, slot, w, unit)
    return top(w.result[slot], w.value[2 * slot], w.value[2 * slot + 1], lo, hi, unit)


@outlined_kernel
def from_middle(pair, goal, lo, hi, s, w, unit):
    """Bounds of the open alternatives by substitution, with planes tightest at the middle; those hopelessly far above
    their limit are left out.
    """
    last = pair.layout.widths.shape[0] - 2
    first, m, level, K = pair.layout.first[last], pair.layout.widths[last + 1], s.numbers[LEVEL], w.room[0]
    total = goal.limit.shape[0]
    done = 0
    while done < total:
        count, k = 0, done
        while k < total and count < K:
            here = alternative(goal, k, s.values.a[0], s.values.d[0], first, m)
            far = 2.0 * max(abs(goal.limit[k] + level), abs(here))
            if level < s.reach[k] <= level + far:
                start_functional(pair, goal, k, count, w)
                w.asked.neuron[count] = k
                count += 1
            k += 1
        done = k
        if count == 0:
            continue
        carry(pair, last, count, w)
        substitute(pair, last, count, s.box, s.values.a[0], s.values.d[0], w, unit)
        s.counts[BACKS] += count
        for r in range(count):
            bound = finish(goal, r, 0, lo, hi, w, unit)
            if bound < s.reach[w.asked.neuron[r]]:
                s.reach[w.asked.neuron[r]] = bound


@outlined_kernel
def from_corner(pair, goal, k, lo, hi, s, w, unit):
    """Bound of an alternative by two substitutions, from the middle and from the corner that it suggests, and the best
    between.
    """
    last = pair.layout.widths.shape[0] - 2
    s.counts[BACKS] += 2
    for slot in range(2):
        start_functional(pair, goal, k, 0, w)
        carry(pair, last, 1, w)
        substitute(pair, last, 1, s.box, s.values.a[slot], s.values.d[slot], w, unit)
        bound = finish(goal, 0, slot, lo, hi, w, unit)
        if slot == 0:
            for j in range(lo.shape[0]):
                s.points.other[j] = hi[j] if w.result[0, j] > 0.0 else lo[j]
            attempt(pair, goal, s.points.other, 1, s)
    return min(bound, blend(lo, hi, w, unit))


@outlined_kernel
def refine(pair, goal, lo, hi, s, w, unit):
    """Bounds of unstable neurons of the layers after the first by substitution, on the side that their values in the
    middle suggest.
    """
    layers = pair.layout.widths.shape[0] - 1
    K = w.room[0]
    for l in range(1, layers - 1):
        done, end = 0, 2 * pair.layout.widths[l + 1]
        while done < end:
            count, at = 0, done
            while at < end and count < K:
                i, kind = at >> 1, 2 * (at & 1)
                n = pair.layout.first[l] + i
                if s.box[kind, n] < 0.0 < s.box[kind + 1, n]:
                    value = s.values.a[0, n] if kind == 0 else s.values.a[0, n] - s.values.d[0, n]
                    w.asked.neuron[count], w.asked.kind[count] = i, kind
                    w.asked.sign[count] = -1.0 if value > 0.0 else 1.0
                    count += 1
                at += 1
            done = at
            if count == 0:
                continue
            s.counts[BACKS] += count
            single(pair, l, count, w)
            substitute(pair, l, count, s.box, s.values.a[0], s.values.d[0], w, unit)
            for r in range(count):
                bound = finish(goal, r, 0, lo, hi, w, unit)
                n, kind = pair.layout.first[l] + w.asked.neuron[r], w.asked.kind[r]
                if w.asked.sign[r] > 0.0:
                    if bound < s.box[kind + 1, n]:
                        s.box[kind + 1, n] = bound
                elif -bound > s.box[kind, n]:
                    s.box[kind, n] = -bound


@outlined_kernel
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
        if pool.boxes.proved[place, group]:
            continue
        k = goal.start[group]
        for t in range(k + 1, goal.start[group + 1]):
            if s.reach[t] < s.reach[k]:
                k = t
        if s.reach[k] <= level:
            pool.boxes.proved[place, group] = 1
            s.numbers[CLOSED] = max(s.numbers[CLOSED], s.reach[k])
            for t in range(goal.start[group], goal.start[group + 1]):
                s.reach[t] = -np.inf
        elif which < 0 or s.reach[k] > worst:
            worst, which = s.reach[k], k
    return worst, which


@outlined_kernel
def look(pair, goal, pool, place, s, w, forms, unit):
    """Bound the goal on one box.

    Returns
    -------
    float, int
        By how much an open group may be violated at most, and the alternative to split for; -1 where every group is
        proved.
    """
    lo, hi, numbers = pool.boxes.lo[place], pool.boxes.hi[place], s.numbers
    forward(pair, lo, hi, s.box, forms, unit)
    for j in range(lo.shape[0]):
        s.points.point[j] = 0.5 * lo[j] + 0.5 * hi[j]
    attempt(pair, goal, s.points.point, 0, s)
    if s.counts[FOLLOW] and numbers[BEST] > 0.0:
        numbers[LEVEL] = max(numbers[LEVEL], numbers[BEST] * (1.0 + numbers[GAP]))
    for group in range(goal.start.shape[0] - 1):
        for k in range(goal.start[group], goal.start[group + 1]):
            s.reach[k] = -np.inf
            if not pool.boxes.proved[place, group]:
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
            goal,
            which,
            s.values.a[0],
            s.values.d[0],
            pair.layout.first[pair.layout.widths.shape[0] - 2],
            pair.layout.widths[pair.layout.widths.shape[0] - 1],
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


@outlined_kernel
def choose(pair, goal, k, lo, hi, share, s, forms):
    """The input to halve; -1 where none can be."""
    n0 = lo.shape[0]
    attribution(pair, goal, k, forms, s.points.score)
    best, chosen = 0.0, -1
    for j in range(n0):
        middle = 0.5 * lo[j] + 0.5 * hi[j]
        if lo[j] < middle < hi[j]:
            part = (hi[j] - lo[j]) / s.width[j]
            # a box that is very thin in one direction is halved in the others first
            value = s.points.score[j] if part > share else 1e-9 * s.points.score[j]
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
    n0, N = s.points.point.shape[0], s.box.shape[1]
    groups = goal.start.shape[0] - 1
    for _ in range(steps):
        if counts[HEAP] == 0:
            return DONE
        if counts[FREE] == 0 or counts[NODES] + 2 > pool.tree.split.shape[0]:
            return FULL
        place = pop(pool, counts)
        node = pool.node[place]
        counts[BOXES] += 1
        lo, hi = pool.boxes.lo[place], pool.boxes.hi[place]
        if pool.bound[place] <= numbers[LEVEL] or outside(goal, lo, hi):
            closed = pool.bound[place] <= numbers[LEVEL]
            if closed:
                numbers[CLOSED] = max(numbers[CLOSED], pool.bound[place])
            pool.tree.split[node] = -2 if closed else -3
            numbers[SHARE] += pool.share[place]
            pool.queue.free[counts[FREE]] = place
            counts[FREE] += 1
            continue
        for kind in range(6):
            for i in range(N):
                s.box[kind, i] = pool.boxes.bounds[place, kind, i]
        worst, k = look(pair, goal, pool, place, s, w, forms, unit)
        if k < 0:
            pool.tree.split[node] = -2
            numbers[SHARE] += pool.share[place]
            pool.queue.free[counts[FREE]] = place
            counts[FREE] += 1
        else:
            pool.bound[place] = min(pool.bound[place], worst)
            chosen = choose(pair, goal, k, lo, hi, 0.0, s, forms)
            if chosen < 0:
                counts[OPEN] = place
                return STUCK
            refine(pair, goal, lo, hi, s, w, unit)
            counts[FREE] -= 1
            other = pool.queue.free[counts[FREE]]
            for j in range(n0):
                pool.boxes.lo[other, j], pool.boxes.hi[other, j] = lo[j], hi[j]
            middle = 0.5 * lo[chosen] + 0.5 * hi[chosen]
            pool.boxes.hi[place, chosen] = middle
            pool.boxes.lo[other, chosen] = middle
            for kind in range(6):
                for i in range(N):
                    pool.boxes.bounds[place, kind, i] = s.box[kind, i]
                    pool.boxes.bounds[other, kind, i] = s.box[kind, i]
            for group in range(groups):
                pool.boxes.proved[other, group] = pool.boxes.proved[place, group]
            pool.bound[other] = pool.bound[place]
            pool.share[place] *= 0.5
            pool.share[other] = pool.share[place]
            child = counts[NODES]
            counts[NODES] += 2
            pool.tree.split[node], pool.tree.child[node] = chosen, child
            pool.tree.split[child] = pool.tree.split[child + 1] = -1
            pool.node[place], pool.node[other] = child, child + 1
            key = float(counts[BOXES]) if counts[DEEP] else pool.bound[place]
            push(pool, place, key, counts)
            push(pool, other, key, counts)
        if numbers[BEST] > numbers[KEEP]:
            return FOUND
    return MORE
