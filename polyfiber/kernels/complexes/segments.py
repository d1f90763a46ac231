"""Walls along a segment, one event after the other, as long as floats can order them."""

from __future__ import annotations

from collections import namedtuple

from ..jit import bare_kernel
from ..rounding import UNIT

# weights: each layer transposed (inputs, outputs), flat, layer l from woff[l]; offsets: first neuron of each layer;
# terms: roundings in a row
Layers = namedtuple("Layers", "widths weights woff biases offsets terms")
# of each neuron: value at t = 0 and slope, sizes for their error bounds, what underflow can add on any piece, the
# bounds
Line = namedtuple("Line", "a b sa sb tiny ea eb")
Events = namedtuple("Events", "times errors which")


@bare_kernel
def layer_values(l, layers, signs, line):
    """Values and slopes of hidden layer l (0-based, at least 1) on the current piece, with error bounds."""
    widths, weights, woff, biases, offsets, terms = layers
    a, b, sa, sb, tiny, ea, eb = line
    h = widths[l - 1]
    low = offsets[l - 1]
    high = offsets[l]
    gamma = terms[l] * UNIT / (1.0 - terms[l] * UNIT) * 1.01
    wide = widths[l]
    # one output to a loop, slices: so that the loops vectorise
    va, vb = a[high : high + wide], b[high : high + wide]
    za, zb = sa[high : high + wide], sb[high : high + wide]
    for i in range(wide):
        va[i] = 0.0
        vb[i] = 0.0
        za[i] = 0.0
        zb[i] = 0.0
    for p in range(h):
        q = low + p
        if signs[q] > 0:
            base = woff[l] + p * wide
            w = weights[base : base + wide]
            aq, bq, saq, sbq = a[q], b[q], sa[q], sb[q]
            for i in range(wide):
                va[i] += w[i] * aq
            for i in range(wide):
                vb[i] += w[i] * bq
            for i in range(wide):
                za[i] += abs(w[i]) * saq
            for i in range(wide):
                zb[i] += abs(w[i]) * sbq
    for i in range(wide):
        r = high + i
        c = biases[high - widths[0] + i]
        a[r] += c
        sa[r] += abs(c)
        ea[r] = gamma * sa[r] + tiny[r]
        eb[r] = gamma * sb[r] + (tiny[r] if sb[r] > 0.0 else 0.0)


@bare_kernel
def advance(layers, signs, line, found):
    """Follow the segment from the piece with the given signs; (events, reason).

    Of the line, the first layer is given, the others are computed. reason: 0 the end t = 1 was reached, 1 floats cannot
    tell what comes next, 2 no room for more events.
    """
    offsets = layers.offsets
    a, b, _, _, _, ea, eb = line
    times, errors, which = found
    L = layers.widths.shape[0]
    N = a.shape[0]
    start = 1
    events = 0
    while True:
        for l in range(start, L):
            layer_values(l, layers, signs, line)
        best = -1
        first = 2.0
        dfirst = 0.0
        for i in range(N):
            if signs[i] == 0:
                return events, 1
            end = a[i] + b[i]
            bound = (ea[i] + eb[i]) * 1.01 + 2 * UNIT * (abs(a[i]) + abs(b[i]))
            if signs[i] < 0:
                end = -end
            if end > bound:
                continue
            if not end < -bound or not abs(b[i]) > 2 * eb[i]:
                return events, 1
            t = -a[i] / b[i]
            if t < first:
                first = t
                dfirst = (ea[i] + abs(t) * eb[i]) / (abs(b[i]) - eb[i]) * 1.01 + 4 * UNIT
                best = i
        if best < 0:
            return events, 0
        for i in range(N):
            end = a[i] + b[i]
            if i != best and (end < 0.0 if signs[i] > 0 else end > 0.0):
                t = -a[i] / b[i]
                dt = (ea[i] + abs(t) * eb[i]) / (abs(b[i]) - eb[i]) * 1.01 + 4 * UNIT
                if not t - dt > first + dfirst:
                    return events, 1
        if events == times.shape[0]:
            return events, 2
        times[events] = first
        errors[events] = dfirst
        which[events] = best
        events += 1
        signs[best] = -signs[best]
        start = 1
        while start < L and offsets[start] <= best:
            start += 1
