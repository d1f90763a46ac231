"""First filter on entering a layer: signs of all its neurons at all vertices, in single or double precision."""

from __future__ import annotations

import numpy as np

from .jit import bare_kernel, inline_kernel, kernel

ONE = np.uint64(1)


@inline_kernel
def mask_row(z, r, h, words, low):
    """Clear the entries of a row whose sign bit, id low + column, is not set; a word of signs at a time."""
    for wi in range(low >> 6, ((low + h - 1) >> 6) + 1):
        word = words[r, wi]
        start = max(low, wi << 6)
        stop = min(low + h, (wi + 1) << 6)
        for k in range(start, stop):
            z[r, k - low] *= np.int32((word >> np.uint64(k & 63)) & ONE)


@bare_kernel
def first_values(x, at_inf, words, given, low, gated, out):
    """out[r, a] = first-layer value (slope along a ray) of neuron a, zero if gated and not active."""
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
            mask_row(out, r, h, words, low)


@bare_kernel
def gate(z, bias, at_inf, words, low):
    """Add the bias (not along rays) and clear what is not active, in place."""
    m, h = z.shape
    for r in range(m):
        hom = bias.dtype.type(1.0 if at_inf[r] < 0 else 0.0)
        for a in range(h):
            z[r, a] += bias[a] * hom
        mask_row(z, r, h, words, low)


@kernel
def decide(z, bias, x, err, at_inf, kappa, kappa0, sigma, factor, extra, low, pending, words, first, vs, ks):
    """Set the sign bits that exceed their bound; list the others (rows from ``first``).

    bias may be empty when it is in z already. kappa: (n, h) transposed; pending: (h,) bool.
    Returns (decided, listed), listed also beyond the capacity of vs.
    """
    m, h = z.shape
    n = x.shape[1]
    bound = np.zeros(h)
    value = np.zeros(h)
    decided = 0
    listed = 0
    n_pending = 0
    for a in range(h):
        n_pending += pending[a]
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
            bound[a] = bound[a] * factor + sigma[a] * e + extra
            value[a] = z[r, a]
        if len(bias):
            for a in range(h):
                value[a] += bias[a] * hom
        sure = 0
        for a in range(h):
            sure += (abs(value[a]) > bound[a]) & pending[a]
        decided += sure
        for wi in range(low >> 6, ((low + h - 1) >> 6) + 1):
            word = np.uint64(0)
            start = max(low, wi << 6)
            stop = min(low + h, (wi + 1) << 6)
            for k in range(start, stop):
                a = k - low
                word |= np.uint64((value[a] > bound[a]) & pending[a]) << np.uint64(k & 63)
            words[r, wi] |= word
        if sure == n_pending:
            continue
        for a in range(h):
            if pending[a] and not abs(value[a]) > bound[a]:
                if listed < vs.shape[0]:
                    vs[listed] = first + r
                    ks[listed] = low + a
                listed += 1
    return decided, listed
