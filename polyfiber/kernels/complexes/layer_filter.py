"""First filter on entering a layer: signs of all its neurons at all vertices, in single or double precision."""

from __future__ import annotations

from collections import namedtuple

import numpy as np

from ..jit import bare_kernel, inline_kernel, kernel, popcount, trailing_zeros
from ..lanes import above8, axpy, load8, magnitude, scaled, store, zero8
from .forms import ONE, bit_of, range_mask

# vertices: point or direction, its error, -1 or where its base is, sign bits
Points = namedtuple("Points", "x err at_inf words")
# bounds of the values of a layer: kappa (n, h) transposed, kappa0, sigma as in `Net`; times a factor, and something
# more
Margin = namedtuple("Margin", "kappa kappa0 sigma factor extra")
# forms (h1, 3) of a first layer, whose ids start at ``first``; weights (h1, h) transposed and biases of the second one
Behind = namedtuple("Behind", "rows first weights bias")

ZERO = np.uint64(0)
HUGE = 1e300
EIGHT = np.uint64(8)
SIXTY_FOUR = np.uint64(64)


@inline_kernel
def rectify(z, r, h):
    """Clear what is negative in a row; NaN and -inf stay, since they must never look decided."""
    for a in range(h):
        z[r, a] = 0 if -np.inf < z[r, a] < 0 else z[r, a]


@bare_kernel
def first_values(x, at_inf, given, gated, out):
    """out[r, a] = first-layer value (slope along a ray) of neuron a, zero if gated and negative."""
    m, h = out.shape
    n = given.shape[0] - 1
    for r in range(m):
        hom = given.dtype.type(1.0 if at_inf[r] < 0 else 0.0)
        for a in range(h):
            out[r, a] = given[n, a] * hom
        for c in range(n):
            v = given.dtype.type(x[r, c])
            for a in range(h):
                out[r, a] += v * given[c, a]
        if gated:
            rectify(out, r, h)


@bare_kernel
def gate(z, bias, at_inf):
    """Add the bias (not along rays) and clear what is negative, in place."""
    m, h = z.shape
    for r in range(m):
        hom = bias.dtype.type(1.0 if at_inf[r] < 0 else 0.0)
        for a in range(h):
            z[r, a] += bias[a] * hom
        rectify(z, r, h)


@inline_kernel
def settle_row(v, value, bound, opposite, low, n_pending, pending, words, pairs, listed):
    """Set the sign bits of a row's values that exceed their bounds, and list the other pending ones.

    value, bound, opposite: whole lanes; what is not pending or does not exist has an infinite bound.
    Returns (decided, listed), listed also beyond the capacity of the pairs.
    """
    vs, ks = pairs
    h = pending.shape[0]
    sure = 0
    for a in range(0, h, 8):
        most = load8(bound, np.uint64(a))
        positive = above8(load8(value, np.uint64(a)), most)
        sure += popcount(positive | above8(load8(opposite, np.uint64(a)), most))
        if positive != ZERO:
            k = low + a
            words[v, k >> 6] |= positive << np.uint64(k & 63)
            if k & 63 > 56 and (k >> 6) + 1 < words.shape[1]:
                words[v, (k >> 6) + 1] |= positive >> np.uint64(64 - (k & 63))
    if sure != n_pending:
        for a in range(h):
            if pending[a] and not abs(value[a]) > bound[a]:
                if listed < vs.shape[0]:
                    vs[listed] = v
                    ks[listed] = low + a
                listed += 1
    return sure, listed


@bare_kernel
def decide(z, bias, points, margin, low, pending, room, pairs):
    """Set the sign bits that exceed their bound; list the others in ``pairs``: rows, facets.

    bias may be empty when it is in z already. pending: (h,) bool. room: (4, h) filled up to whole lanes.
    Returns (decided, listed), listed also beyond the capacity of the pairs.
    """
    x, err, at_inf, words = points
    kappa, kappa0, sigma, factor, extra = margin
    m, h = z.shape
    n = x.shape[1]
    bound, value, opposite, never = room[0], room[1], room[2], room[3]
    for a in range(bound.shape[0]):
        bound[a] = np.inf
        value[a] = 0.0
        opposite[a] = 0.0
    decided = 0
    listed = 0
    n_pending = 0
    for a in range(h):
        n_pending += pending[a]
        never[a] = 0.0 if pending[a] else np.inf
    for r in range(m):
        hom = 1.0 if at_inf[r] < 0 else 0.0
        for a in range(h):
            bound[a] = kappa0[a] * hom
        for c in range(n):
            v = abs(x[r, c])
            for a in range(h):
                bound[a] += v * kappa[c, a]
        e = err[r]
        for a in range(h):
            bound[a] = bound[a] * factor + sigma[a] * e + extra + never[a]
            value[a] = z[r, a]
        if bias.shape[0] > 0:
            for a in range(h):
                value[a] += bias[a] * hom
        for a in range(h):
            value[a] += value[a] - value[a]  # NaN unless it is finite
            opposite[a] = -value[a]
        sure, listed = settle_row(r, value, bound, opposite, low, n_pending, pending, words, pairs, listed)
        decided += sure
    return decided, listed


@inline_kernel
def differing(words, v, gates, low, high, changed, at):
    """List the facets low <= k < high whose bits in row v differ from the gates, from ``at`` on; returns where they
    end.
    """
    for wi in range(low >> 6, ((high - 1) >> 6) + 1):
        diff = (words[v, wi] ^ gates[0, wi]) & range_mask(wi, low, high)
        while diff != ZERO:
            changed[at] = (wi << 6) + np.int64(trailing_zeros(diff))
            diff &= diff - ONE
            at += 1
    return at


RENEWED = 16
"""Changes of gates, in widths of their layer, after which carried forms are made anew: bounds grow along with
roundings.
"""
ROWS = 2048
"""Vertices whose forms are carried along together, 64 neurons after the other: what one pass touches stays in the
cache.
"""
# of each row of a portion: where its changed gates end; p, q, error of the point, what `most` is multiplied by; whether
# forms are made anew; the changed gates, and their rows with the sign of the change
Steps = namedtuple("Steps", "ends place fresh changed slopes")


@bare_kernel
def gather(order, at, roundings, behind, points, factor, largest, gates, done, steps):
    """Rows of the next portion: points, and by which gates of the first layer each differs from the one before.

    largest: no value is larger at a point of size one.

    Returns (where in the order the portion ends, changes since forms were last made anew).
    """
    rows, first, weights, _ = behind
    x, err, at_inf, words = points
    ends, place, fresh, changed, slopes = steps
    h1 = weights.shape[0]
    r = 0
    end = 0
    while at < order.shape[0] and r < ROWS and end + h1 <= changed.shape[0]:
        v = order[at]
        begin = end
        end = differing(words, v, gates, first, first + h1, changed, begin)
        fresh[r] = done + end - begin > RENEWED * h1
        if fresh[r]:
            gates[0, :] = ZERO
            done = 0
            end = differing(words, v, gates, first, first + h1, changed, begin)
        done += end - begin
        for i in range(begin, end):
            sign = 1.0 if bit_of(words, v, changed[i]) != ZERO else -1.0
            changed[i] -= first
            for c in range(3):
                slopes[c, i] = sign * rows[changed[i], c]
        for w in range(words.shape[1]):
            gates[0, w] = words[v, w]
        ends[r] = end
        place[0, r] = x[v, 0]
        place[1, r] = x[v, 1]
        place[2, r] = err[v]
        reach = (1.0 if at_inf[v] < 0 else 0.0) + abs(x[v, 0]) + abs(x[v, 1])
        # where a value might not be finite, none is decided
        place[3, r] = factor * max(1.0, (2.0 * done + 10.0) / roundings) * reach if reach * largest < HUGE else np.inf
        at += 1
        r += 1
    return at, done


@inline_kernel
def reach_of(behind):
    """Bound of all values, and of what they are summed up from, for each unit of 1 + |x|."""
    rows, _, weights, bias = behind
    size = 0.0
    for a in range(rows.shape[0]):
        size = max(size, abs(rows[a, 0]) + abs(rows[a, 1]) + abs(rows[a, 2]))
    heavy = 0.0
    for a in range(weights.shape[0]):
        top = 0.0
        for b in range(weights.shape[1]):
            top = max(top, abs(weights[a, b]))
        heavy += top
    extra = 0.0
    for b in range(bias.shape[0]):
        extra = max(extra, abs(bias[b]))
    return 2.0 * size * heavy + 2.0 * extra


@kernel
def decide_in_order(order, roundings, behind, points, margin, low, pending, pairs):
    """The same in the plane, for the second layer and all vertices: its forms are carried along from each to the next
    of ``order``.

    Where neighbours in the order differ in few signs of the first layer, this costs a few products a neuron, not one
    for each neuron of the first layer. behind: `Behind`; the second layer is filled up to whole lanes, with infinite
    kappa0 where nothing is pending. roundings: how many kappa allows for; forms are made anew before rounding has added
    up to many times that.
    """
    _, _, weights, bias = behind
    words, at_inf = points.words, points.at_inf
    vs, ks = pairs
    h1, h = weights.shape
    wide = np.uint64(h)
    flat = weights.ravel()
    drift = margin.sigma
    most = np.maximum(margin.kappa0, np.maximum(margin.kappa[0], margin.kappa[1]))
    room = max(4 * ROWS, 2 * h1)
    largest = reach_of(behind)
    steps = Steps(
        np.empty(ROWS, dtype=np.int64), np.empty((4, ROWS)), np.empty(ROWS, dtype=np.bool_),
        np.empty(room, dtype=np.int64), np.empty((3, room)),
    )  # fmt: skip
    ends, place, fresh, changed, slopes = steps
    form = np.zeros((h + 63) // 64 * 192)
    near_by = np.empty(ROWS, dtype=np.bool_)
    sure, positive = np.empty(ROWS, dtype=np.uint64), np.empty(ROWS, dtype=np.uint64)
    gates = np.zeros((1, words.shape[1]), dtype=np.uint64)
    wanted = np.zeros((h + 63) // 64, dtype=np.uint64)
    for a in range(h):
        if pending[a]:
            wanted[a >> 6] |= ONE << np.uint64(a & 63)
    decided = 0
    listed = 0
    at = 0
    done = 2 * RENEWED * h1
    while at < order.shape[0]:
        start = at
        at, done = gather(order, start, roundings, behind, points, margin.factor, largest, gates, done, steps)
        for r in range(at - start):
            near_by[r] = at_inf[order[start + r]] < 0
        for group in range(wanted.shape[0]):
            begin = np.uint64(64 * group)
            stop = min(begin + SIXTY_FOUR, wide)
            own = begin + begin + begin
            sure[: at - start] = ZERO
            positive[: at - start] = ZERO
            for block in range(begin, stop, EIGHT):  # eight forms stay in registers while the vertices go by
                mine = own + block - begin
                f, g, c = load8(form, mine), load8(form, mine + SIXTY_FOUR), load8(form, mine + SIXTY_FOUR + SIXTY_FOUR)
                first, bound_of, slack = load8(bias, block), load8(most, block), load8(drift, block)
                done_steps = 0
                for r in range(at - start):
                    if fresh[r]:
                        f, g, c = zero8(), zero8(), first
                    for i in range(done_steps, ends[r]):
                        column = load8(flat, np.uint64(changed[i]) * wide + block)
                        f = axpy(f, slopes[0, i], column)
                        g = axpy(g, slopes[1, i], column)
                        c = axpy(c, slopes[2, i], column)
                    done_steps = ends[r]
                    z = axpy(axpy(c if near_by[r] else zero8(), place[0, r], f), place[1, r], g)
                    bound = axpy(scaled(place[3, r], bound_of), place[2, r], slack)
                    sure[r] |= above8(magnitude(z), bound) << (block - begin)
                    positive[r] |= above8(z, bound) << (block - begin)
                store(form, mine, f)
                store(form, mine + SIXTY_FOUR, g)
                store(form, mine + SIXTY_FOUR + SIXTY_FOUR, c)
            k = low + 64 * group
            word, shift = k >> 6, np.uint64(k & 63)
            for r in range(at - start):
                v = order[start + r]
                if positive[r] != ZERO:
                    words[v, word] |= positive[r] << shift
                    if shift != ZERO and word + 1 < words.shape[1]:
                        words[v, word + 1] |= positive[r] >> (SIXTY_FOUR - shift)
                decided += popcount(sure[r])
                unsure = wanted[group] & ~sure[r]
                while unsure != ZERO:
                    if listed < vs.shape[0]:
                        vs[listed] = v
                        ks[listed] = k + np.int64(trailing_zeros(unsure))
                    unsure &= unsure - ONE
                    listed += 1
    return decided, listed
