"""Values of combinations of the outputs at vertices, with error bounds: the coefficients on the first layer are carried
along.
"""

from __future__ import annotations

from collections import namedtuple

import numpy as np

from ..jit import bare_kernel, inline_kernel, outlined_kernel, prefetch, trailing_zeros
from ..lanes import axpy, load8, magnitude, plus, store, times, total, zero8
from ..rounding import TINY
from ..rows import hash_row, probe
from .forms import EIGHT, ONE, SIXTEEN, SLOP, ZERO, bit_of, range_mask
from .layer_filter import differing

# a network whose rows are whole lanes. first: first id of each layer, as in `Net`; given: forms (n + 1, h1) of the
# first layer, constants last; weights: rows of layers >= 2, that of id k at offset[k]; bias: by id; lanes: (L + 1,)
# width of each layer
Chain = namedtuple("Chain", "first given weights offset bias lanes")
# what is asked. shift: (q,) constants; kappa (q, n), kappa0, sigma, drift (q,) as in `Net`; extra: what inflates them,
# and how many roundings they allow for
Asked = namedtuple("Asked", "shift kappa kappa0 sigma drift extra")
# coef: flat, (q, L, widest) coefficients on the neurons of each layer; const: (q,); on: (1, W) bits that they belong
# to; changed: ids that changed and by how much; u: the first layer
Carried = namedtuple("Carried", "coef const on changed step u")

UNKNOWN = 2


@inline_kernel
def pull_back(words, v, chain, asked, carried):
    """Coefficients of all that is asked on the first layer at the bits of row v, from nothing."""
    first, weights, offset, bias, lanes = chain.first, chain.weights, chain.offset, chain.bias, chain.lanes
    coef, const = carried.coef, carried.const
    L = lanes.shape[0] - 1
    width = np.uint64(coef.shape[0] // (const.shape[0] * L))
    for i in range(const.shape[0]):
        shift = asked.shift[i]
        for q in range(L, 1, -1):
            source = np.uint64(i * L + q - 1) * width
            target = np.uint64(i * L + q - 2) * width
            low, high = first[q], first[q + 1]
            for block in range(ZERO, np.uint64(lanes[q - 1]), EIGHT):
                eight = zero8()
                for wi in range(low >> 6, ((high - 1) >> 6) + 1):
                    m = words[v, wi] & range_mask(wi, low, high)
                    while m != ZERO:
                        t = (wi << 6) + np.int64(trailing_zeros(m))
                        m &= m - ONE
                        factor = coef[source + np.uint64(t - low)]
                        eight = axpy(eight, factor, load8(weights, np.uint64(offset[t]) + block))
                        if block == ZERO:
                            shift += factor * bias[t]
                store(coef, target + block, eight)
        const[i] = shift


@inline_kernel
def carry(m, chain, carried):
    """Change the coefficients on the first layer by those of m neurons of the second."""
    first, weights, offset, bias, lanes = chain.first, chain.weights, chain.offset, chain.bias, chain.lanes
    coef, const, changed, step = carried.coef, carried.const, carried.changed, carried.step
    L = lanes.shape[0] - 1
    width = np.uint64(coef.shape[0] // (const.shape[0] * L))
    for i in range(const.shape[0]):
        for e in range(m):
            t = changed[e]
            sign = 1.0 if bit_of(carried.on, 0, t) != ZERO else -1.0
            step[e] = sign * coef[np.uint64(i * L + 1) * width + np.uint64(t - first[2])]
            const[i] += step[e] * bias[t]
        start = np.uint64(i * L) * width
        for block in range(ZERO, np.uint64(lanes[1]), EIGHT):
            eight = load8(coef, start + block)
            for e in range(m):
                eight = axpy(eight, step[e], load8(weights, np.uint64(offset[changed[e]]) + block))
            store(coef, start + block, eight)


@outlined_kernel
def on_cell(v, at, words, x, near, const, hom, error, chain, coef):
    """Value and error bound by the form on the cell of row v: near and the form's size for each unit of error of the
    point.
    """
    first, given, lanes = chain.first, chain.given, chain.lanes
    n = x.shape[1]
    h1 = lanes[1]
    size = 0.0
    value = const
    for c in range(n + 1):
        s = 0.0
        for wi in range(first[1] >> 6, ((first[2] - 1) >> 6) + 1):
            m = words[v, wi] & range_mask(wi, first[1], first[2])
            while m != ZERO:
                t = (wi << 6) + np.int64(trailing_zeros(m)) - first[1]
                m &= m - ONE
                s += coef[at + np.uint64(t)] * given[c * h1 + t]
        if c < n:
            size += abs(s)
            value += s * x[v, c]
        else:
            value += hom * s
    return value, near + size * error


@bare_kernel
def grouped(start, stop, words, first, rooms, order):
    """Vertices start <= v < stop in ``order``, those with equal signs behind the first layer side by side.

    rooms: keys (m, W), -1 in a table for them, as in `rows`; number and first place of each group (m + 1,), group of
    each vertex. Returns the number of groups.
    """
    keys, table, place, group = rooms
    low, high = first[2], first[first.shape[0] - 1]
    base = low >> 6
    count = 0
    for v in range(start, stop):
        for w in range(keys.shape[1]):
            keys[count, w] = words[v, base + w] & range_mask(base + w, low, high)
        row = probe(table, keys, hash_row(keys, count), keys, count)
        if row < 0:
            table[-1 - row] = count
            row = count
            count += 1
            place[row + 1] = 0
        place[row + 1] += 1
        group[v - start] = row
    place[0] = 0
    for g in range(count):
        place[g + 1] += place[g]
    for v in range(stop - 1, start - 1, -1):  # from the back: place is where a group ends, then where it begins
        g = group[v - start] + 1
        place[g] -= 1
        order[place[g]] = v
    return count


@bare_kernel
def walked(nv, n, shift, star, seen, stack, order):
    """All vertices of a skeleton in the order of a walk along its edges, on which few signs change from one to the
    next.

    seen: (nv,) false; stack: (nv,) int32.
    """
    count = 0
    for s in range(nv):
        if seen[s]:
            continue
        seen[s] = True
        stack[0] = s
        top = 1
        while top > 0:
            top -= 1
            v = stack[top]
            order[count] = v
            count += 1
            for h in range(2 * n):
                t = star[v, h]
                if t >= 0 and not seen[t >> shift]:
                    seen[t >> shift] = True
                    stack[top] = t >> shift
                    top += 1


@bare_kernel
def gate_signs(order, points, flat, row, chain, asked, carried, signs, value, bound):
    """Signs of combinations of the outputs (slopes along rays) at vertices, `UNKNOWN` where rounding hides them.

    Where a vertex differs from the one before in signs of the second layer alone, the coefficients are changed by the
    rows of those neurons, and made anew before the roundings add up to more than a few times what `kappa` allows for.
    points: as in `layer_filter`; flat, row: their records, see `skeleton`. signs: (nv, q) int8. value, bound: (nv, q)
    too, or no rows where nobody wants them.
    """
    x, err, at_inf, words = points
    first, given, lanes = chain.first, chain.given, chain.lanes
    kappa, kappa0, sigma, drift, inflate = asked.kappa, asked.kappa0, asked.sigma, asked.drift, asked.extra[0]
    coef, const, on, changed, u = carried.coef, carried.const, carried.on, carried.changed, carried.u
    n = x.shape[1]
    L = lanes.shape[0] - 1
    width = np.uint64(coef.shape[0] // (const.shape[0] * L))
    h1 = np.uint64(lanes[1])
    limit = 2 * lanes[2] if L > 1 else np.int64(0)
    done = np.int64(0)
    for e in range(order.shape[0]):
        v = order[e]
        if e + 8 < order.shape[0]:  # records lie at random places: ask for them ahead of time
            at = np.uint64(order[e + 8]) * row
            prefetch(flat, at)
            prefetch(flat, at + SIXTEEN)
        if L == 1:
            if e == 0:
                for i in range(const.shape[0]):
                    const[i] = asked.shift[i]
        else:
            anew = e == 0
            if not anew and L > 2:
                for wi in range(first[3] >> 6, ((first[L + 1] - 1) >> 6) + 1):
                    if (words[v, wi] ^ on[0, wi]) & range_mask(wi, first[3], first[L + 1]) != ZERO:
                        anew = True
            m = np.int64(0)
            if not anew:
                m = differing(words, v, on, first[2], first[3], changed, np.int64(0))
                anew = done + m > limit
            if anew or m > 0:
                for wi in range(words.shape[1]):
                    on[0, wi] = words[v, wi]
                if anew:
                    pull_back(words, v, chain, asked, carried)
                    done = 0
                else:
                    carry(m, chain, carried)
                    done += m
        hom = 1.0 if at_inf[v] < 0 else 0.0
        for block in range(ZERO, h1, EIGHT):
            z = axpy(zero8(), hom, load8(given, np.uint64(n) * h1 + block))
            for c in range(n):
                z = axpy(z, x[v, c], load8(given, np.uint64(c) * h1 + block))
            store(u, block, axpy(zero8(), 0.5, plus(z, magnitude(z))))  # what is negative is cleared, exactly
        grown = inflate * (1.0 + (2.0 * done + 10.0) / asked.extra[1])
        for i in range(const.shape[0]):
            at = np.uint64(i * L) * width
            eight = zero8()
            for block in range(ZERO, h1, EIGHT):
                eight = plus(eight, times(load8(u, block), load8(coef, at + block)))
            z = total(eight) + hom * const[i]
            b = hom * kappa0[i]
            for c in range(n):
                b += abs(x[v, c]) * kappa[i, c]
            near = b * grown
            b = near + sigma[i] * err[v] * inflate
            if not abs(z) < np.inf:
                b = np.inf
            elif (
                not abs(z) > b and err[v] < np.inf
            ):  # the form on the cell knows better what an error of the point is worth
                error = err[v] * inflate * SLOP
                near = near + drift[i] * grown * error + TINY
                z, b = on_cell(v, at, words, x, near, hom * const[i], hom, error, chain, coef)
                if not abs(z) < np.inf:
                    b = np.inf
            signs[v, i] = UNKNOWN
            if abs(z) > b:
                signs[v, i] = 1 if z > 0.0 else -1
            if value.shape[0] > 0:
                value[v, i] = z
                bound[v, i] = b


@bare_kernel
def crossed_edges(nv, n, shift, star, signs, halves):
    """Half-edges that lead from a vertex where a sign is -1 to one where it is 1; returns how many, also beyond the
    room.
    """
    count = 0
    for v in range(nv):
        if signs[v, 0] < 0:
            for h in range(2 * n):
                t = star[v, h]
                if t >= 0 and signs[t >> shift, 0] > 0:
                    if count < halves.shape[0]:
                        halves[count] = (v << shift) | h
                    count += 1
    return count


@bare_kernel
def edge_planes(halves, n, shift, signed, gate, inf, state, planes, star, words):
    """Of half-edges in a simple skeleton: their bit planes (m, 2 W), and what vanishes where a gate cuts them.

    star (m, n): the facets of the edge and the gate. words (m, W') the positive facets, with room for gates. signed:
    (W,) bits of the facets that have a sign.
    """
    W = signed.shape[0]
    for e in range(halves.shape[0]):
        v = halves[e] >> shift
        p = (halves[e] & ((1 << shift) - 1)) >> 1
        for w in range(W):
            planes[e, w] = state.words[v, w] & signed[w]
            planes[e, W + w] = ~state.words[v, w] & signed[w]
        for s in range(n):
            k = state.star[v, 2 * n + s]
            star[e, s] = gate if s == p else k
            if k != inf:
                bit = ONE << np.uint64(k & 63)
                planes[e, k >> 6] &= ~bit
                planes[e, W + (k >> 6)] &= ~bit
                if s == p:
                    planes[e, (k >> 6) + (0 if halves[e] & 1 else W)] |= bit
        for w in range(words.shape[1]):
            words[e, w] = planes[e, w] if w < W else ZERO
