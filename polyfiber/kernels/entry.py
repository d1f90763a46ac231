"""First filter on entering a layer: signs of all its neurons at all vertices, in single or double precision."""

from __future__ import annotations

import numpy as np

from .jit import kernel

ONE = np.uint64(1)


@kernel
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
            for a in range(h):
                k = low + a
                if (words[r, k >> 6] >> np.uint64(k & 63)) & ONE == np.uint64(0):
                    out[r, a] = 0.0


@kernel
def gate(z, bias, at_inf, words, low):
    """Add the bias (not along rays) and clear what is not active, in place."""
    m, h = z.shape
    for r in range(m):
        hom = bias.dtype.type(1.0 if at_inf[r] < 0 else 0.0)
        for a in range(h):
            k = low + a
            if (words[r, k >> 6] >> np.uint64(k & 63)) & ONE:
                z[r, a] += bias[a] * hom
            else:
                z[r, a] = 0.0


@kernel
def decide(z, bias, x, err, at_inf, kappa, kappa0, sigma, factor, extra, low, pending, words, first, vs, ks):
    """Set the sign bits that exceed their bound; list the others (rows from ``first``).

    bias may be empty when it is in z already. kappa: (n, h) transposed. Returns (decided, listed), listed also
    beyond the capacity of vs.
    """
    m, h = z.shape
    n = x.shape[1]
    bound = np.zeros(h)
    decided = 0
    listed = 0
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
        for a in range(h):
            k = low + a
            bit = ONE << np.uint64(k & 63)
            if pending[0, k >> 6] & bit == np.uint64(0):
                continue
            v = np.float64(z[r, a])
            if len(bias):
                v += np.float64(bias[a]) * hom
            if v > bound[a]:
                words[r, k >> 6] |= bit
                decided += 1
            elif -v > bound[a]:
                decided += 1
            else:
                if listed < vs.shape[0]:
                    vs[listed] = first + r
                    ks[listed] = k
                listed += 1
    return decided, listed
