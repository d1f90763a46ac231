"""First filter on entering a layer: signs of all its neurons at all vertices, in single or double precision."""

from __future__ import annotations

import numpy as np

from ..jit import bare_kernel, inline_kernel, kernel, popcount
from ..lanes import above8

ZERO = np.uint64(0)


@inline_kernel
def rectify(z, r, h):
    """Clear what is negative in a row; NaN stays, since it must never look decided."""
    for a in range(h):
        z[r, a] = 0 if z[r, a] < 0 else z[r, a]


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


@kernel
def decide(z, bias, x, err, at_inf, kappa, kappa0, sigma, factor, extra, low, pending, words, first, vs, ks):
    """Set the sign bits that exceed their bound; list the others (rows from ``first``).

    bias may be empty when it is in z already. kappa: (n, h) transposed; pending: (h,) bool.
    Returns (decided, listed), listed also beyond the capacity of vs.
    """
    m, h = z.shape
    n = x.shape[1]
    # whole lanes; what is not pending or does not exist never exceeds its bound
    bound = np.full((h + 7) // 8 * 8, np.inf)
    value = np.zeros(len(bound))
    opposite = np.zeros(len(bound))
    never = np.zeros(h)
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
        if len(bias):
            for a in range(h):
                value[a] += bias[a] * hom
        for a in range(h):
            opposite[a] = -value[a]
        sure = 0
        for a in range(0, h, 8):
            positive = above8(value, bound, np.uint64(a))
            sure += popcount(positive | above8(opposite, bound, np.uint64(a)))
            if positive != ZERO:
                k = low + a
                words[r, k >> 6] |= positive << np.uint64(k & 63)
                if k & 63 > 56 and (k >> 6) + 1 < words.shape[1]:
                    words[r, (k >> 6) + 1] |= positive >> np.uint64(64 - (k & 63))
        decided += sure
        if sure == n_pending:
            continue
        for a in range(h):
            if pending[a] and not abs(value[a]) > bound[a]:
                if listed < vs.shape[0]:
                    vs[listed] = first + r
                    ks[listed] = low + a
                listed += 1
    return decided, listed
