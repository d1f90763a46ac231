"""Affine forms of facets and outputs on many cells."""

from __future__ import annotations

import numpy as np

from .jit import kernel
from .skeleton import affine_form


@kernel
def forms(words, ids, net, width, A, a):
    """Forms of facet or output ids (m,) on cells (r, ...) given by their positive bits: A (r, m, n), a (r, m)."""
    n, stride, shift, inf, first, layer_of, rows, weights, woff, biases, kappa, kappa0, sigma, drift, inflate, width = (
        net
    )
    out = np.zeros(stride + 8)
    cur = np.zeros(width + 1)
    nxt = np.zeros(width + 1)
    for r in range(words.shape[0]):
        for i in range(ids.shape[0]):
            affine_form(ids[i], words, r, n, stride, first, layer_of, rows, weights, woff, biases, out, cur, nxt)
            for c in range(n):
                A[r, i, c] = out[c]
            a[r, i] = out[n]
