"""First filter on entering a layer: signs of all its neurons at all vertices, in single or double precision."""

from __future__ import annotations

from collections import namedtuple

import numpy as np

from ..jit import bare_kernel, inline_kernel, kernel, popcount, trailing_zeros
from ..lanes import above8, axpy, load8, store, zero8
from .forms import ONE, bit_of, range_mask

# vertices: point or direction, its error, -1 or where its base is, sign bits
Points = namedtuple("Points", "x err at_inf words")
# bounds of the values of a layer: kappa (n, h) transposed, kappa0, sigma as in `Net`; times a factor, and something more
Margin = namedtuple("Margin", "kappa kappa0 sigma factor extra")
# forms (h1, 3) of a first layer, whose ids start at ``first``; weights (h1, h) transposed and biases of the second one
Behind = namedtuple("Behind", "rows first weights bias")

ZERO = np.uint64(0)
EIGHT = np.uint64(8)


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
        positive = above8(value, bound, np.uint64(a))
        sure += popcount(positive | above8(opposite, bound, np.uint64(a)))
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
def differing(words, v, gates, low, high, changed):
    """List the facets low <= k < high whose bits in row v differ from the gates; returns how many."""
    m = 0
    for wi in range(low >> 6, ((high - 1) >> 6) + 1):
        diff = (words[v, wi] ^ gates[0, wi]) & range_mask(wi, low, high)
        while diff != ZERO:
            changed[m] = (wi << 6) + np.int64(trailing_zeros(diff))
            diff &= diff - ONE
            m += 1
    return m


@kernel
def decide_in_order(order, roundings, behind, points, margin, low, pending, pairs):
    """The same in the plane, for the second layer and all vertices: its forms are carried along from each to the next of ``order``.

    Where neighbours in the order differ in few signs of the first layer, this costs a few products a neuron, not one for each
    neuron of the first layer. behind: `Behind`; the second layer is filled up to whole lanes, with infinite kappa0 where nothing
    is pending. roundings: how many kappa allows for; forms are made anew before rounding has added up to many times that.
    """
    rows, first, weights, bias = behind
    x, err, at_inf, words = points
    kappa, kappa0, sigma, factor, _ = margin
    h1, h = weights.shape
    wide = np.uint64(h)
    flat = weights.ravel()
    near = kappa.ravel()
    form = np.zeros(3 * h)
    gates = np.zeros((1, words.shape[1]), dtype=np.uint64)
    bound = np.zeros(h)
    value = np.zeros(h)
    opposite = np.zeros(h)
    changed = np.empty(h1, dtype=np.int64)
    factors = np.empty((3, h1))
    decided = 0
    listed = 0
    n_pending = 0
    done = 4 * h1
    for a in range(h):
        n_pending += pending[a]
    for v in order:
        m = differing(words, v, gates, first, first + h1, changed)
        if done + m > 2 * h1:
            for a in range(h):
                form[a] = 0.0
                form[h + a] = 0.0
                form[2 * h + a] = bias[a]
            gates[0, :] = ZERO
            done = 0
            m = differing(words, v, gates, first, first + h1, changed)
        done += m
        for i in range(m):
            sign = 1.0 if bit_of(words, v, changed[i]) != ZERO else -1.0
            changed[i] -= first
            for c in range(3):
                factors[c, i] = sign * rows[changed[i], c]
        for w in range(words.shape[1]):
            gates[0, w] = words[v, w]
        hom = 1.0 if at_inf[v] < 0 else 0.0
        p = x[v, 0]
        q = x[v, 1]
        e = err[v]
        grown = factor * max(1.0, (2.0 * done + 10.0) / roundings)
        for block in range(ZERO, wide, EIGHT):
            f = load8(form, block)
            g = load8(form, wide + block)
            c = load8(form, wide + wide + block)
            for i in range(m):
                column = load8(flat, np.uint64(changed[i]) * wide + block)
                f = axpy(f, factors[0, i], column)
                g = axpy(g, factors[1, i], column)
                c = axpy(c, factors[2, i], column)
            store(form, block, f)
            store(form, wide + block, g)
            store(form, wide + wide + block, c)
            z = axpy(axpy(axpy(zero8(), hom, c), p, f), q, g)
            z = axpy(z, 1.0, axpy(z, -1.0, z))  # NaN unless it is finite
            store(value, block, z)
            store(opposite, block, axpy(zero8(), -1.0, z))
            b = axpy(axpy(zero8(), hom * grown, load8(kappa0, block)), abs(p) * grown, load8(near, block))
            b = axpy(axpy(b, abs(q) * grown, load8(near, wide + block)), e, load8(sigma, block))
            store(bound, block, b)
        sure, listed = settle_row(v, value, bound, opposite, low, n_pending, pending, words, pairs, listed)
        decided += sure
    return decided, listed
