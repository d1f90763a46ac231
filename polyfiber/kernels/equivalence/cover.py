"""Cover a polyhedron by cells on which two networks are affine up to a slack that is measured.

A cell is a set of generators ``h = (x, 1)`` (points) and ``(r, 0)`` (rays): the convex hull of the points plus the cone
of the rays. It is cut by the wall of one neuron of either network at a time. Every generator is on one side: what is on
the wall up to rounding counts as above it, as if the wall were moved a little, so cells stay simple polyhedra (n
constraints at each generator), ends of an edge have n - 1 constraints in common, and no edge is missed, whatever signs
rounding gave. A new generator lies on the segment of two old ones, so both parts together cover the cell. A wrong sign
costs no region: how far a neuron is on the wrong side is measured at the generators of the finished cell and carried to
the outputs.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..jit import bare_kernel, inline_kernel, popcount
from ..rounding import UNIT

BLUR = 2.0**-48
"""Relative change of parameters and coordinates that rounding explains: generators gather a rounding or two with each
cut.
"""
SMALLEST = 1e-280
"""Limits below it are not met: underflow is not accounted for."""


class Layers(NamedTuple):
    """Where the layers of two networks lie; index 0 is f, 1 is g.

    ``depth`` (2,); ``widths`` (2, L + 1); ``begin`` (2, L): where the weights of a layer begin; ``first`` (2, L): its
    first row in ``biases`` and ``sizes``; ``own`` (2, L): its first hidden neuron among those of both. ``order``
    (steps, 2): network and layer, in the order in which walls are cut.
    """

    depth: Any
    widths: Any
    begin: Any
    first: Any
    own: Any
    order: Any


class PackedPair(NamedTuple):
    """Two networks as flat arrays.

    ``sizes`` (rows, n + 1): the terms of a row at ``h`` add up to at most
    ``sum_j sizes[j] |h_j - centre_j h_n| + sizes[n] h_n``; ``inputs`` (n, n + 1) bounds the coordinates of ``h`` alike.
    """

    layers: Any
    weights: Any
    biases: Any
    sizes: Any
    inputs: Any
    centre: Any


class Cells(NamedTuple):
    """Cells that wait: generators (D, K, n + 1), tight constraints (D, K, words) as bits, and where to go on."""

    generators: Any
    tight: Any
    count: Any
    step: Any
    neuron: Any
    pattern: Any
    share: Any


class Affine(NamedTuple):
    """Forms of the hidden neurons of both networks on a cell, and what the terms of each add up to: (N, n + 1)."""

    forms: Any
    terms: Any


class Steps(NamedTuple):
    """Values, slack, rounding and blur of a layer, (4, 2, widest), and of the next one, (3, widest)."""

    walk: Any
    next: Any


class Rounding(NamedTuple):
    """What rounding may change in a layer, (widest,), and in the outputs of both networks, (2, widest)."""

    moved: Any
    carried: Any


class Bench(NamedTuple):
    """Working arrays of one run."""

    forms: Any
    terms: Any
    neurons: Any
    steps: Any
    rounding: Any
    spare: Any
    values: Any
    bits: Any


class Tally(NamedTuple):
    """What was found: ``counts`` = (finished cells, cells above the limit, cells given up), ``share`` (1,) that is
    finished.

    ``top`` (m, 4): largest ``|f - g|`` at a point, its bound on the cells, largest ``|f|`` seen, its bound; ``where``
    (m, n) of the first. ``worst`` (k,), ``at`` (k, n + 1), ``base`` (k, n): the generators that exceed the limit most,
    and a point of their cells. ``ratio`` (1,): largest bound relative to the limit.
    """

    counts: Any
    share: Any
    top: Any
    where: Any
    worst: Any
    at: Any
    base: Any
    ratio: Any


@inline_kernel
def _value(form, h, n):
    total = form[n] * h[n]
    for j in range(n):
        total += form[j] * h[j]
    return total


@inline_kernel
def _size(row, h, centre, n):
    total = row[n] * h[n]
    for j in range(n):
        total += row[j] * abs(h[j] - centre[j] * h[n])
    return total


@bare_kernel
def layer_forms(pair, pattern, net, layer, forms, spare, n):
    """Replace the forms of the neurons of ``layer - 1`` of a network by those of ``layer``."""
    width, before = pair.layers.widths[net, layer + 1], pair.layers.widths[net, layer]
    w, b = pair.layers.begin[net, layer], pair.layers.first[net, layer]
    for i in range(width):
        for j in range(n):
            spare[i, j] = 0.0
        spare[i, n] = pair.biases[b + i]
        at = w + i * before
        if layer == 0:
            for j in range(n):
                spare[i, j] = pair.weights[at + j]
        else:
            own = pair.layers.own[net, layer - 1]
            for p in range(before):
                factor = pair.weights[at + p]
                if factor != 0.0 and pattern[own + p] > 0:
                    for j in range(n + 1):
                        spare[i, j] += factor * forms[net, p, j]
    for i in range(width):
        for j in range(n + 1):
            forms[net, i, j] = spare[i, j]


@bare_kernel
def _between(p, q, zp, zq, h, n):
    """The generator between two on which the wall value vanishes; False beyond the range of floats."""
    if p[n] > 0.0 and q[n] > 0.0:
        t = zp / (zp - zq)
        for j in range(n):
            h[j] = p[j] + t * (q[j] - p[j]) if t <= 0.5 else q[j] + (1.0 - t) * (p[j] - q[j])
        h[n] = 1.0
    elif p[n] > 0.0:
        for j in range(n):
            h[j] = p[j] - (zp / zq) * q[j]
        h[n] = 1.0
    elif q[n] > 0.0:
        if zp == 0.0:  # along the wall: the ray itself is on it
            for j in range(n):
                h[j] = p[j]
            h[n] = 0.0
            return True
        for j in range(n):
            h[j] = q[j] - (zq / zp) * p[j]
        h[n] = 1.0
    else:
        top = 0.0
        t = zp / (zp - zq)
        for j in range(n):
            h[j] = p[j] + t * (q[j] - p[j])
            top = max(top, abs(h[j]))
        if top == 0.0:
            return False
        for j in range(n):
            h[j] = h[j] / top
        h[n] = 0.0
    for j in range(n):
        if not abs(h[j]) < 1e150:
            return False
    return True


@inline_kernel
def _copy(G, T, k, H, U, at, n, words):
    for j in range(n + 1):
        H[at, j] = G[k, j]
    for w in range(words):
        U[at, w] = T[k, w]


@bare_kernel
def cut(cells, slot, other, values, bit, need, work):
    """Cut the cell in ``slot``: what is below stays there, what is not goes to the slot ``other``.

    Generators with the same ``need`` constraints in common are the ends of an edge. False where a cell has too many
    generators, or numbers are too large.
    """
    G, T, count = cells.generators[slot], cells.tight[slot], cells.count[slot]
    H, U = cells.generators[other], cells.tight[other]
    n, words, room = G.shape[1] - 1, T.shape[1], len(G)
    word, mark = bit >> 6, np.uint64(1) << np.uint64(bit & 63)
    on = 0
    for p in range(count):
        if values[p] < 0.0:
            continue
        for q in range(count):
            if values[q] >= 0.0:
                continue
            common = 0
            for w in range(words):
                work.bits[w] = T[p, w] & T[q, w]
                common += popcount(work.bits[w])
            if common < need:
                continue
            if on == room or not _between(G[p], G[q], values[p], values[q], H[on], n):
                return False
            for w in range(words):
                U[on, w] = work.bits[w]
            U[on, word] |= mark
            on += 1
    kept, total = 0, on
    for k in range(count):
        if values[k] >= 0.0:
            if total == room:
                return False
            _copy(G, T, k, H, U, total, n, words)
            total += 1
        else:
            _copy(G, T, k, G, T, kept, n, words)
            kept += 1
    if kept + on > room:
        return False
    for k in range(on):
        _copy(H, U, k, G, T, kept + k, n, words)
    cells.count[slot], cells.count[other] = kept + on, total
    return True


@bare_kernel
def _carry(pair, pattern, net, bench, h, noise, n):
    """How far the outputs of a network may be from the affine map of a pattern at one generator: ``carried[net]``.

    A neuron that is on with a value below 0 by v, rounding included, adds v to what reaches it from the layers before,
    since relu is a contraction; one that is off passes on no more than its value plus that.
    """
    moved, carried = bench.rounding.moved, bench.rounding.carried
    for layer in range(pair.layers.depth[net]):
        width, before = pair.layers.widths[net, layer + 1], pair.layers.widths[net, layer]
        w = pair.layers.begin[net, layer]
        for i in range(width):
            carried[net, i] = 0.0
        if layer > 0:
            for p in range(before):
                if moved[p] > 0.0:
                    for i in range(width):
                        carried[net, i] += abs(pair.weights[w + i * before + p]) * moved[p]
        if layer < pair.layers.depth[net] - 1:
            own = pair.layers.own[net, layer]
            for i in range(width):
                z = _value(bench.neurons.forms[own + i], h, n)
                error = noise * _size(bench.neurons.terms[own + i], h, pair.centre, n)
                if pattern[own + i] > 0:
                    moved[i] = carried[net, i] + max(error - z, 0.0)
                else:
                    moved[i] = max(carried[net, i] + error + z, 0.0)


@bare_kernel
def _walk(pair, pattern, net, bench, h, n):
    """Outputs of a network at a generator on a pattern, layer by layer: ``bench.steps.walk`` (values, slack, rounding,
    blur), each (2, m).

    Like `_carry`, but every value brings its own rounding along, in proportion to the terms that are there and not to
    those that could be: neurons that are off add nothing. Slower, and much tighter where large terms are off. The blur
    is what parameters and coordinates moved by `BLUR` do, to first order: the networks at hand are rounded, and
    generators are points of rounded walls.
    """
    value, moved, rough, blur = (
        bench.steps.walk[0, net],
        bench.steps.walk[1, net],
        bench.steps.walk[2, net],
        bench.steps.walk[3, net],
    )
    size, z, terms = bench.spare[:, 0], bench.values, bench.rounding.moved
    for j in range(n):
        size[j] = _size(pair.inputs[j], h, pair.centre, n)
        value[j], moved[j], rough[j], blur[j] = h[j], 0.0, 0.0, BLUR * size[j]
    for layer in range(pair.layers.depth[net]):
        width, before = pair.layers.widths[net, layer + 1], pair.layers.widths[net, layer]
        w, row, own = pair.layers.begin[net, layer], pair.layers.first[net, layer], pair.layers.own[net, layer]
        last = layer == pair.layers.depth[net] - 1
        for i in range(width):
            z[i], terms[i], off, error, vague, count = 0.0, 0.0, 0.0, 0.0, 0.0, 3
            for p in range(before):
                factor = pair.weights[w + i * before + p]
                if factor != 0.0 and (size[p] > 0.0 or moved[p] > 0.0 or blur[p] > 0.0):
                    z[i] += factor * value[p]
                    terms[i] += abs(factor) * size[p]
                    off += abs(factor) * moved[p]
                    error += abs(factor) * rough[p]
                    vague += abs(factor) * blur[p]
                    count += 1
            z[i] += pair.biases[row + i] * h[n]
            terms[i] += abs(pair.biases[row + i]) * h[n]
            error = (error + count * UNIT * terms[i]) * (1 + 1e-9)
            bench.steps.next[0, i], bench.steps.next[1, i], bench.steps.next[2, i] = off, error, vague + BLUR * terms[i]
        for i in range(width):
            off, error, vague = bench.steps.next[0, i], bench.steps.next[1, i], bench.steps.next[2, i]
            on = last or pattern[own + i] > 0
            value[i], size[i], rough[i] = (z[i], abs(z[i]), error) if on else (0.0, 0.0, 0.0)
            blur[i] = vague if on or z[i] > -2.0 * vague else 0.0
            moved[i] = (off if last else (off + max(error - z[i], 0.0) if on else max(off + error + z[i], 0.0))) * (
                1 + 1e-9
            )


@bare_kernel
def _note(tally, worst, G, count, at, n):
    """Keep a generator that exceeds its limit, in place of the one that exceeds it least, and the middle of its
    cell.
    """
    last = 0
    for s in range(len(tally.worst)):
        if tally.worst[s] < tally.worst[last]:
            last = s
    if not worst > tally.worst[last]:
        return
    tally.worst[last] = worst
    points = 0
    for k in range(count):
        points += int(G[k, n] > 0.0)
    for j in range(n + 1):
        tally.at[last, j] = G[at, j]
    for j in range(n):
        tally.base[last, j] = 0.0
        for k in range(count):
            if G[k, n] > 0.0:
                tally.base[last, j] += G[k, j] / points


@bare_kernel
def layer_terms(pair, pattern, net, layer, terms, spare, n):
    """As `layer_forms`, for what the terms that are there add up to, in the manner of ``sizes``; neurons that are off
    add nothing.
    """
    width, before = pair.layers.widths[net, layer + 1], pair.layers.widths[net, layer]
    w, b = pair.layers.begin[net, layer], pair.layers.first[net, layer]
    for i in range(width):
        for j in range(n):
            spare[i, j] = 0.0
        spare[i, n] = abs(pair.biases[b + i])
        for p in range(before):
            factor = abs(pair.weights[w + i * before + p])
            if factor != 0.0 and (layer == 0 or pattern[pair.layers.own[net, layer - 1] + p] > 0):
                row = pair.inputs[p] if layer == 0 else terms[net, p]
                for j in range(n + 1):
                    spare[i, j] += factor * row[j]
    for i in range(width):
        for j in range(n + 1):
            terms[net, i, j] = spare[i, j] * (1 + 1e-12)


@bare_kernel
def _all_forms(pair, pattern, bench, n):
    """Forms and terms of all hidden neurons and of the outputs on a pattern."""
    for net in range(2):
        for layer in range(pair.layers.depth[net]):
            layer_forms(pair, pattern, net, layer, bench.forms, bench.spare, n)
            layer_terms(pair, pattern, net, layer, bench.terms, bench.spare, n)
            if layer < pair.layers.depth[net] - 1:
                for i in range(pair.layers.widths[net, layer + 1]):
                    for j in range(n + 1):
                        bench.neurons.forms[pair.layers.own[net, layer] + i, j] = bench.forms[net, i, j]
                        bench.neurons.terms[pair.layers.own[net, layer] + i, j] = bench.terms[net, i, j]


@bare_kernel
def _finish_classes(pair, cells, slot, bench, limits, tally, noise):
    """Whether on a finished cell one class wins in both networks, up to a lead of ``limits[0]``."""
    G, count, pattern = cells.generators[slot], cells.count[slot], cells.pattern[slot]
    n, classes = G.shape[1] - 1, pair.layers.widths[0, pair.layers.depth[0]]
    _all_forms(pair, pattern, bench, n)
    best = np.inf
    for c in range(classes):
        lead = 0.0  # of another class over c, at most
        for k in range(count):
            for net in range(2):
                _carry(pair, pattern, net, bench, G[k], noise, n)
                mine = _value(bench.forms[net, c], G[k], n)
                size = bench.rounding.carried[net, c] + noise * _size(bench.terms[net, c], G[k], pair.centre, n)
                for o in range(classes):
                    if o != c:
                        other = noise * _size(bench.terms[net, o], G[k], pair.centre, n)
                        slack = size + bench.rounding.carried[net, o] + other
                        ahead = _value(bench.forms[net, o], G[k], n) - mine + 2.0 * slack
                        lead = max(lead, ahead if ahead < np.inf else np.inf)
        best = min(best, lead)
    tally.ratio[0] = max(tally.ratio[0], best / max(limits[0], SMALLEST))
    if best <= limits[0]:
        return True
    _note(tally, best, G, count, 0, n)
    return False


@bare_kernel
def _finish(pair, cells, slot, bench, limits, tally, noise, share, blurs):
    """Compare both networks on a finished cell; whether the bound is within the limit at all generators.

    The limit is ``limits[o]`` at points, plus a share of what the terms that are there add up to, in the network where
    they are less, plus so many times the blur (`_walk`).
    """
    G, count, pattern = cells.generators[slot], cells.count[slot], cells.pattern[slot]
    n = G.shape[1] - 1
    _all_forms(pair, pattern, bench, n)
    worst, at = -1.0, -1
    for k in range(count):
        h = G[k]
        walked = False
        for net in range(2):
            _carry(pair, pattern, net, bench, h, noise, n)
        for o in range(pair.layers.widths[0, pair.layers.depth[0]]):
            if not walked:
                u, v = _value(bench.forms[0, o], h, n), _value(bench.forms[1, o], h, n)
                own, its = _size(bench.terms[0, o], h, pair.centre, n), _size(bench.terms[1, o], h, pair.centre, n)
                one, other = bench.rounding.carried[0, o] + noise * own, bench.rounding.carried[1, o] + noise * its
                explained = 0.0
                bound = (abs(u - v) + one + other) * (1 + 1e-9)
                limit = limits[o] * h[n] + share * min(own, its)
            if limits[o] < np.inf and not (walked or bound <= limit):
                for net in range(2):  # a closer look, at all outputs from here on
                    _walk(pair, pattern, net, bench, h, n)
                walked = True
            if walked:
                u, v = bench.steps.walk[0, 0, o], bench.steps.walk[0, 1, o]
                one = bench.steps.walk[1, 0, o] + bench.steps.walk[2, 0, o]
                other = bench.steps.walk[1, 1, o] + bench.steps.walk[2, 1, o]
                explained = blurs * (bench.steps.walk[3, 0, o] + bench.steps.walk[3, 1, o])
                bound = (abs(u - v) + one + other) * (1 + 1e-9)
                own, its = _size(bench.terms[0, o], h, pair.centre, n), _size(bench.terms[1, o], h, pair.centre, n)
                limit = limits[o] * h[n] + share * min(own, its)
            gap = abs(u - v)
            if not bound < np.inf:
                gap, bound = 0.0, np.inf
            if h[n] > 0.0:
                if gap > tally.top[o, 0]:
                    tally.top[o, 0] = gap
                    for j in range(n):
                        tally.where[o, j] = h[j]
                tally.top[o, 1] = max(tally.top[o, 1], bound)
                tally.top[o, 2] = max(tally.top[o, 2], abs(u) - one)
                tally.top[o, 3] = max(tally.top[o, 3], abs(u) + one)
            elif not gap <= one + other:
                tally.top[o, 1] = np.inf
            if limits[o] == np.inf or bound == 0.0:  # nothing is asked, or there is nothing
                continue
            allowed = limit + explained
            if not allowed < np.inf:  # beyond floats
                bound, allowed = np.inf, 1.0
            tally.ratio[0] = max(tally.ratio[0], bound / max(allowed, SMALLEST))
            if not (bound <= allowed and allowed >= SMALLEST) and gap / max(allowed, SMALLEST) > worst:
                worst, at = gap / max(allowed, SMALLEST), k
    if at >= 0:
        _note(tally, worst, G, count, at, n)
    return at < 0


@bare_kernel
def go_on(pair, cells, waiting, bench, limits, tally, options, need, marks):
    """Work on waiting cells, the last first, until a number of them is finished or too many exceed the limit.

    Parameters
    ----------
    options : (7,) float64
        Share of the size of a value below which it is on the wall; rounding relative to the sizes; finished cells, and
        cells above the limit, after which to stop; 1 to compare the largest outputs instead of all; the share of the
        terms, and how many times the blur, that a difference may be.
    need : int
        Constraints that the ends of an edge have in common.
    marks : int
        Bits of constraints that cells begin with.

    Returns
    -------
    int
        Cells that wait.
    """
    n = cells.generators.shape[2] - 1
    near, noise = options[0], options[1]
    until, failures = tally.counts[0] + options[2], tally.counts[1] + options[3]
    while waiting > 0 and tally.counts[0] < until and tally.counts[1] < failures:
        slot = waiting - 1
        step, start, lost = cells.step[slot], cells.neuron[slot], False
        for s in range(step):
            layer_forms(
                pair, cells.pattern[slot], pair.layers.order[s, 0], pair.layers.order[s, 1], bench.forms, bench.spare, n
            )
        while step < len(pair.layers.order) and not lost:
            net, layer = pair.layers.order[step, 0], pair.layers.order[step, 1]
            layer_forms(pair, cells.pattern[slot], net, layer, bench.forms, bench.spare, n)
            own, row = pair.layers.own[net, layer], pair.layers.first[net, layer]
            for i in range(start, pair.layers.widths[net, layer + 1]):
                G = cells.generators[slot]
                above, below, high, low = False, False, 0.0, 0.0
                for k in range(cells.count[slot]):
                    z = _value(bench.forms[net, i], G[k], n)
                    close = near * _size(pair.sizes[row + i], G[k], pair.centre, n)
                    bench.values[k] = z if abs(z) > close else 0.0
                    above |= z > close
                    below |= z < -close
                    high, low = max(high, z), min(low, z)
                if above and below:
                    if not cut(cells, slot, waiting, bench.values, marks + own + i, need, bench):
                        lost = True
                        break
                    for j in range(cells.pattern.shape[1]):
                        cells.pattern[waiting, j] = cells.pattern[slot, j]
                    cells.pattern[slot, own + i] = -1
                    cells.step[slot], cells.neuron[slot] = step, i + 1
                    cells.share[slot] *= 0.5
                    cells.share[waiting] = cells.share[slot]
                    slot = waiting
                    waiting += 1
                    cells.pattern[slot, own + i] = 1
                else:
                    cells.pattern[slot, own + i] = 1 if above or (not below and high >= -low) else -1
            start = 0
            step += 1
        waiting = slot
        tally.counts[0] += 1
        if lost:
            tally.counts[2] += 1
            continue
        if options[4] > 0.0:
            good = _finish_classes(pair, cells, slot, bench, limits, tally, noise)
        else:
            good = _finish(pair, cells, slot, bench, limits, tally, noise, options[5], options[6])
        tally.share[0] += cells.share[slot] if good else 0.0
        tally.counts[1] += 0 if good else 1
    return waiting
