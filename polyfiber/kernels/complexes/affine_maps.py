"""Affine forms of facets and outputs on many cells."""

from __future__ import annotations

import numpy as np

from ..jit import bare_kernel, kernel
from .forms import ONE, affine_form, wired_coefficients


@bare_kernel
def forms(words, ids, net, room, A, a):
    """Forms of facet or output ids (m,) on cells (r, ...) given by their positive bits: A (r, m, n), a (r, m).

    room: (3, w) for a form in whole lanes (``stride + 8``) and two rows of a layer.
    """
    n = net.n
    words = words[:, :]  # of any strides, as those of a state: one version of the forms for both
    out, cur, nxt = room[0], room[1], room[2]
    for r in range(words.shape[0]):
        for i in range(ids.shape[0]):
            affine_form(ids[i], words, r, net, out, cur, nxt)
            for c in range(n):
                A[r, i, c] = out[c]
            a[r, i] = out[n]


@kernel
def output_columns(words, neurons, net, n_layers, n_out, width, C, M):
    """Column of each facet's neuron in the outputs, along the active paths of the facet's cell.

    words: (m, W) positive bits of facets; neurons: (m,) facet ids of hidden neurons;
    C: (m, n_out) values, M: (m, n_out) the same sums with absolute values.
    """
    inf, first, layer_of, weights, woff = (
        net.inf,
        net.layers.first,
        net.layers.layer_of,
        net.affine.weights,
        net.affine.woff,
    )
    value = np.zeros(width + 1)
    size = np.zeros(width + 1)
    value2 = np.zeros(width + 1)
    size2 = np.zeros(width + 1)
    for r in range(words.shape[0]):
        k = neurons[r]
        layer = layer_of[k]
        a = k - first[layer]
        only = True  # the first step starts from the neuron alone
        for q in range(layer + 1, n_layers + 1):
            low = first[q]
            below = first[q] - first[q - 1]
            for t in range(low, first[q + 1]):
                v = 0.0
                s = 0.0
                if (words[r, t >> 6] >> np.uint64(t & 63)) & np.uint64(1):
                    if only:
                        v = weights[woff[t] + a]
                        s = abs(v)
                    else:
                        for b in range(below):
                            v += weights[woff[t] + b] * value[b]
                            s += abs(weights[woff[t] + b]) * size[b]
                value2[t - low] = v
                size2[t - low] = s
            for b in range(first[q + 1] - low):
                value[b] = value2[b]
                size[b] = size2[b]
            only = False
        below = first[n_layers + 1] - first[n_layers]
        for o in range(n_out):
            t = inf + 1 + o
            v = 0.0
            s = 0.0
            if only:
                v = weights[woff[t] + a]
                s = abs(v)
            else:
                for b in range(below):
                    v += weights[woff[t] + b] * value[b]
                    s += abs(weights[woff[t] + b]) * size[b]
            C[r, o] = v
            M[r, o] = s


@kernel
def wired_columns(words, neurons, net, n_layers, n_out, width, C, M):
    """The same where gates read more than the layer before: pulled back from the outputs to the gate."""
    layer_of, weights = net.layers.layer_of, net.affine.weights
    value = np.zeros(width + 1)
    size = np.zeros(width + 1)
    magnitudes = np.abs(weights)
    on = np.zeros((1, words.shape[1]), dtype=np.uint64)
    for r in range(words.shape[0]):
        k = neurons[r]
        for w in range(words.shape[1]):
            on[0, w] = words[r, w]
        on[0, k >> 6] &= ~(ONE << np.uint64(k & 63))
        for o in range(n_out):
            t = net.inf + 1 + o
            wired_coefficients(t, n_layers + 1, layer_of[k], on, 0, net, weights, value)
            wired_coefficients(t, n_layers + 1, layer_of[k], on, 0, net, magnitudes, size)
            C[r, o] = value[k]
            M[r, o] = size[k]


@kernel
def facet_forms(words, neurons, net, width, G):
    """Form of each facet's own facet id on its cell: G (m, n + 1), constant last."""
    n, stride = net.n, net.stride
    words = words[:, :]  # of any strides, as those of a state: one version of the forms for both
    out = np.zeros(stride + 8)
    cur = np.zeros(width + 1)
    nxt = np.zeros(width + 1)
    for r in range(words.shape[0]):
        affine_form(neurons[r], words, r, net, out, cur, nxt)
        for c in range(n + 1):
            G[r, c] = out[c]
