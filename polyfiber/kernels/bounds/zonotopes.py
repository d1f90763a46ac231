"""Zonotopes of a and d = a - b over a box: forward bounds of both networks together.

A form is an affine function of symbols in [-1, 1]: a constant, one symbol an input, one for each unstable neuron of f
(shared by a and d), and rows ``g`` of symbols that only d has. What rounding and folding may have changed is one number
for each neuron and form.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..jit import bare_kernel, outlined_kernel
from ..rounding import TINY as SMALLEST
from .pair import (
    BIAS,
    DIFFERENCE,
    FOLD,
    FORM_A,
    FORM_D,
    GOAL,
    HALF,
    MARGIN,
    MUTUAL,
    OFFSET,
    RADIUS,
    RELU,
    TINY,
    product,
    products,
)


class Middle(NamedTuple):
    """The box: its middle and half its sides, float64 (n0,)."""

    middle: Any
    half: Any


class Kept(NamedTuple):
    """What is kept of every layer.

    Attributes
    ----------
    pre : float64 (L * R * stride,)
        Forms of a.
    extent : float64 (L, stride)
        Radii of them.
    lists : int64 (L + 1, stride)
        Columns of the forms of a layer: neurons of it.
    counts : int64 (L + 1, 3)
        Columns, rows of symbols of f, rows ``g`` when a layer was reached.
    """

    pre: Any
    extent: Any
    lists: Any
    counts: Any


class Before(NamedTuple):
    """Forms of d before the ReLU of the current layer, and their rows ``g``: float64 (R * stride,)."""

    d: Any
    g: Any


class After(NamedTuple):
    """Forms of relu(a) and of D after it, and their rows ``g``: float64 (R * stride,)."""

    y: Any
    d: Any
    g: Any


class Now(NamedTuple):
    """The current layer: int64 (stride,) columns that are live, and 0, 1, 2, …; float64 (19, stride) numbers of its
    neurons.
    """

    live: Any
    order: Any
    vectors: Any


class Symbols(NamedTuple):
    """Symbols of both kinds, (2, R): their weights, and layer * stride + column of the neuron that made them."""

    weight: Any
    owner: Any


class Forms(NamedTuple):
    """Working arrays of one search; R rows of ``stride`` columns, a whole number of vectors.

    Attributes
    ----------
    sizes : int64 (2,)
        stride, R.
    box : Middle
    kept : Kept
    before : Before
    after : After
    tables : Three of float64 (stride * stride,)
        The parts of Wf, Wg, dW between live neurons, transposed.
    now : Now
    symbols : Symbols
    """

    sizes: Any
    box: Any
    kept: Any
    before: Any
    after: Any
    tables: Any
    now: Any
    symbols: Any


EA, ED, SY, SD, RA, RD, RB, CA, CD, LAM, MU, P, Q, SHIFT, OWN, SHARED, VA, VD, VY = range(19)
"""Rows of ``vectors``."""


@bare_kernel
def clamp(value):
    """Into [0, 1]; not a number becomes 1."""
    if value < 0.0:
        return 0.0
    return value if value <= 1.0 else 1.0


@bare_kernel
def lift(slope, low, high, unit):
    """How far above ``slope t`` relu(t) may be on [low, high], rounded up; the slope lies in [0, 1]."""
    top = max(-slope * low, (1.0 - slope) * high)
    return top * (1.0 + 4.0 * unit[OFFSET]) + (SMALLEST if unit[TINY] > 0.0 else 0.0)


@bare_kernel
def begin(lo, hi, w, unit):
    """Forms of the inputs."""
    stride, n0 = w.sizes[0], lo.shape[0]
    for r in range(n0 + 1):
        for i in range(stride):
            w.after.y[r * stride + i] = 0.0
            w.after.d[r * stride + i] = 0.0
    v = w.now.vectors
    for k in range(n0):
        middle = 0.5 * lo[k] + 0.5 * hi[k]
        half = max(hi[k] - middle, middle - lo[k])
        half = half * (1.0 + 2.0 * unit[HALF])
        w.box.middle[k], w.box.half[k] = middle, half
        w.after.y[k] = middle
        w.after.y[(k + 1) * stride + k] = half
        v[EA, k] = v[ED, k] = v[SD, k] = 0.0
        v[SY, k] = abs(middle) + half
        w.now.live[k] = w.kept.lists[0, k] = k
    w.kept.counts[0, 0], w.kept.counts[0, 1], w.kept.counts[0, 2] = n0, n0 + 1, 0


@outlined_kernel
def affine(pair, l, count, rows, extra, w, unit):
    """Forms of the pre-activations of layer l from those of the live neurons before it, and what rounding may cost."""
    stride, R = w.sizes[0], w.sizes[1]
    m = pair.layout.widths[l + 1]
    s, o = pair.layout.first[l], pair.layout.at[l]
    columns = w.kept.counts[l + 1, 0]
    v, names = w.now.vectors, w.kept.lists[l + 1]
    before = w.kept.lists[l]
    tf, tg, td = w.tables.f, w.tables.g, w.tables.d
    tiny = SMALLEST if unit[TINY] > 0.0 else 0.0
    for i in range(columns):
        bias = pair.biases.f[s + names[i]]
        change = pair.biases.d[s + names[i]]
        v[VA, i] = MARGIN * unit[BIAS] * abs(bias) + tiny
        v[VD, i] = MARGIN * (unit[BIAS] + unit[DIFFERENCE]) * abs(change) + tiny
    ga = MARGIN * (count + 3) * unit[FORM_A]
    gd = MARGIN * (2 * count + 4) * unit[FORM_D]
    for j in range(count):
        c = w.now.live[j]
        q = o + before[c] * m
        ea = v[EA, c] + ga * v[SY, c]
        ey = v[EA, c] + gd * v[SY, c] + MARGIN * unit[DIFFERENCE] * (v[SY, c] + v[EA, c])
        ed = v[ED, c] + gd * v[SD, c]
        for i in range(columns):
            name = names[i]
            f, g, d = pair.columns.f[q + name], pair.columns.g[q + name], pair.columns.d[q + name]
            tf[j * stride + i], tg[j * stride + i], td[j * stride + i] = f, g, d
            v[VA, i] += abs(f) * ea
            v[VD, i] += abs(g) * ed + abs(d) * ey
    if pair.layout.folds[l] and unit[FOLD] > 0.0:
        n = pair.layout.widths[l]
        for i in range(columns):
            name = names[i]
            v[VA, i] += MARGIN * pair.errors.bf[s + name]
            v[VD, i] += MARGIN * (pair.errors.bf[s + name] + pair.errors.bg[s + name])
            for j in range(count):
                c = w.now.live[j]
                q = o + name * n + before[c]
                v[VA, i] += MARGIN * pair.errors.wf[q] * (v[SY, c] + v[EA, c])
                both = (pair.errors.wf[q] + pair.errors.wg[q]) * (v[SY, c] + v[EA, c]) + pair.errors.wg[q] * (
                    v[SD, c] + v[ED, c]
                )
                v[VD, i] += MARGIN * both
    start = l * R * stride
    shape = (rows, count, columns, stride, stride, stride)
    product(w.kept.pre[start:], w.after.y, tf, w.now.order, w.now.live, w.now.order, shape)
    products(w.before.d, w.after.d, tg, w.after.y, td, w.now.order, w.now.live, w.now.order, shape)
    product(
        w.before.g, w.after.g, tg, w.now.order, w.now.live, w.now.order, (extra, count, columns, stride, stride, stride)
    )
    for i in range(columns):
        w.kept.pre[start + i] += pair.biases.f[s + names[i]]
        w.before.d[i] += pair.biases.d[s + names[i]]
        v[EA, i], v[ED, i] = v[VA, i], v[VD, i]
        v[RA, i] = v[RD, i] = v[RB, i] = 0.0
        v[CA, i], v[CD, i] = w.kept.pre[start + i], w.before.d[i]
    for r in range(1, rows):
        q = r * stride
        for i in range(columns):
            a, d = w.kept.pre[start + q + i], w.before.d[q + i]
            v[RA, i] += abs(a)
            v[RD, i] += abs(d)
            v[RB, i] += abs(a - d)
    for r in range(extra):
        q = r * stride
        for i in range(columns):
            size = abs(w.before.g[q + i])
            v[RD, i] += size
            v[RB, i] += size


@bare_kernel
def tighten(box, kind, i, low, high):
    """Meet the bounds ``box[kind, i]``, ``box[kind + 1, i]`` with others; not a number changes nothing."""
    if low > box[kind, i]:
        box[kind, i] = low
    if high < box[kind + 1, i]:
        box[kind + 1, i] = high


@bare_kernel
def meet(box, i, unit):
    """Use that ``d = a - b`` on the six bounds of a neuron."""
    for _ in range(2):
        for which in range(3):
            if which == 0:
                low, high = box[0, i] - box[3, i], box[1, i] - box[2, i]
            elif which == 1:
                low, high = box[2, i] + box[4, i], box[3, i] + box[5, i]
            else:
                low, high = box[0, i] - box[5, i], box[1, i] - box[4, i]
            low -= 2.0 * unit[MUTUAL] * abs(low) + SMALLEST
            high += 2.0 * unit[MUTUAL] * abs(high) + SMALLEST
            tighten(box, 4 if which == 0 else 0 if which == 1 else 2, i, low, high)


@outlined_kernel
def neurons(pair, l, rows, extra, box, w, unit):
    """Bounds of the neurons of a hidden layer, and what the ReLU makes of the forms: coefficients in ``vectors``.

    Returns
    -------
    int, int, int
        Live neurons, and the rows of both kinds with the new symbols.
    """
    stride = w.sizes[0]
    s = pair.layout.first[l]
    v, names = w.now.vectors, w.kept.lists[l + 1]
    gamma = MARGIN * (rows + extra + 5) * unit[RADIUS]
    tiny = SMALLEST if unit[TINY] > 0.0 else 0.0
    u = MARGIN * unit[RELU]
    count, top, more = 0, rows, extra
    for i in range(w.kept.counts[l + 1, 0]):
        n = s + names[i]
        ca, cd = v[CA, i], v[CD, i]
        ta, td, tb = v[RA, i] + v[EA, i], v[RD, i] + v[ED, i], v[RB, i] + v[EA, i] + v[ED, i]
        sa, sd = abs(ca) + ta, abs(cd) + td
        ta += gamma * sa + tiny
        td += gamma * sd + tiny
        tb += gamma * (sa + sd) + tiny
        tighten(box, 0, n, ca - ta, ca + ta)
        tighten(box, 2, n, (ca - cd) - tb, (ca - cd) + tb)
        tighten(box, 4, n, cd - td, cd + td)
        meet(box, n, unit)
        la, ua, lb, ub, ld, ud = box[0, n], box[1, n], box[2, n], box[3, n], box[4, n], box[5, n]
        w.kept.extent[l, i] = v[RA, i]
        lam = mu = p = q = shift = own = shared = 0.0
        mb = 0.0
        if la >= 0.0:
            lam = 1.0
        elif ua > 0.0:
            lam = clamp(ua / (ua - la))
            mu = 0.5 * lift(lam, la, ua, unit)
        other = 0.0
        if lb >= 0.0:
            other = 1.0
        elif ub > 0.0:
            other = clamp(ub / (ub - lb))
            mb = 0.5 * lift(other, lb, ub, unit)
        if mu > 0.0 and mb > 0.0 and not 4.0 * mb < max(ud, -ld):  # D = t d with t in [0, 1]
            q, own = 0.5, 0.5 * max(ud, -ld)
        else:  # relu(a) - relu(b), each by its line
            p, q, shift, own, shared = lam - other, other, mu - mb, mb, mu
        v[LAM, i], v[MU, i], v[P, i], v[Q, i] = lam, mu, p, q
        v[SHIFT, i], v[OWN, i], v[SHARED, i] = shift, own, shared
        ea, ed = v[EA, i], v[ED, i]
        v[EA, i] = lam * ea + 3.0 * u * (lam * sa + mu) + tiny
        v[ED, i] = abs(p) * ea + q * ed + 4.0 * u * (abs(p) * sa + q * sd + abs(shift) + shared) + tiny
        v[SY, i] = lam * sa + 2.0 * mu
        v[SD, i] = abs(p) * sa + q * sd + abs(shift) + shared + own
        if ua > 0.0 or ub > 0.0:
            w.now.live[count] = i
            count += 1
            if mu > 0.0:
                w.symbols.owner[0, top] = l * stride + i
                top += 1
            if own > 0.0:
                w.symbols.owner[1, more] = l * stride + i
                more += 1
    return count, top, more


@outlined_kernel
def rectify(l, rows, extra, top, more, w):
    """Forms of relu(a) and of D, with the new symbols."""
    stride, R = w.sizes[0], w.sizes[1]
    v = w.now.vectors
    columns = w.kept.counts[l + 1, 0]
    start = l * R * stride
    for r in range(rows):
        k = r * stride
        for i in range(columns):
            a = w.kept.pre[start + k + i]
            w.after.y[k + i] = v[LAM, i] * a
            w.after.d[k + i] = v[P, i] * a + v[Q, i] * w.before.d[k + i]
    for i in range(columns):
        w.after.y[i] += v[MU, i]
        w.after.d[i] += v[SHIFT, i]
    for r in range(extra):
        k = r * stride
        for i in range(columns):
            w.after.g[k + i] = v[Q, i] * w.before.g[k + i]
    for r in range(rows, top):
        k = r * stride
        for i in range(columns):
            w.after.y[k + i] = 0.0
            w.after.d[k + i] = 0.0
        i = w.symbols.owner[0, r] - l * stride
        w.after.y[k + i] = v[MU, i]
        w.after.d[k + i] = v[SHARED, i]
    for r in range(extra, more):
        k = r * stride
        for i in range(columns):
            w.after.g[k + i] = 0.0
        i = w.symbols.owner[1, r] - l * stride
        w.after.g[k + i] = v[OWN, i]


@outlined_kernel
def forward(pair, lo, hi, box, w, unit):
    """Bounds of all hidden neurons on a box, met with those in ``box``, and the forms of the outputs.

    Parameters
    ----------
    lo, hi : float64 (n0,)
    box : float64 (6, N), overwritten
        Bounds of a, b, d: lower and upper of each.
    unit : float64 (N_CHARGES,)

    Notes
    -----
    The forms of the outputs are left in ``w.kept.pre``, ``w.before.d``, ``w.before.g`` and their errors in ``w.now.vectors``.
    """
    layers = pair.layout.widths.shape[0] - 1
    begin(lo, hi, w, unit)
    count, rows, extra = w.kept.counts[0, 0], w.kept.counts[0, 1], 0
    for l in range(layers):
        columns = 0
        for i in range(pair.layout.widths[l + 1]):
            n = pair.layout.first[l] + i
            if l == layers - 1 or box[1, n] > 0.0 or box[3, n] > 0.0:
                w.kept.lists[l + 1, columns] = i
                columns += 1
        w.kept.counts[l + 1, 0], w.kept.counts[l + 1, 1], w.kept.counts[l + 1, 2] = columns, rows, extra
        affine(pair, l, count, rows, extra, w, unit)
        if l < layers - 1:
            count, top, more = neurons(pair, l, rows, extra, box, w, unit)
            rectify(l, rows, extra, top, more, w)
            rows, extra = top, more


@outlined_kernel
def bound_of_alternative(pair, goal, k, w, unit):
    """Above an alternative less its limit, by the forms of the outputs."""
    layers = pair.layout.widths.shape[0] - 1
    stride, R, m = w.sizes[0], w.sizes[1], pair.layout.widths[layers]
    rows, extra = w.kept.counts[layers, 1], w.kept.counts[layers, 2]
    start = (layers - 1) * R * stride
    v = w.now.vectors
    begin_, end = goal.entry[k], goal.entry[k + 1]
    shift = goal.constant[k] - goal.limit[k]
    middle, radius = shift, 0.0
    error, size = 0.0, abs(goal.constant[k]) + abs(goal.limit[k])
    for t in range(begin_, end):
        c, value = goal.column[t], goal.value[t]
        if c < m:
            middle += value * v[CA, c]
            error += abs(value) * v[EA, c]
            size += abs(value) * (abs(v[CA, c]) + v[RA, c])
        else:
            middle += value * v[CD, c - m]
            error += abs(value) * v[ED, c - m]
            size += abs(value) * (abs(v[CD, c - m]) + v[RD, c - m])
    for r in range(1, rows):
        total = 0.0
        for t in range(begin_, end):
            c = goal.column[t]
            total += goal.value[t] * (w.kept.pre[start + r * stride + c] if c < m else w.before.d[r * stride + c - m])
        radius += abs(total)
    for r in range(extra):
        total = 0.0
        for t in range(begin_, end):
            c = goal.column[t]
            if c >= m:
                total += goal.value[t] * w.before.g[r * stride + c - m]
        radius += abs(total)
    error += MARGIN * (end - begin_ + 3) * unit[GOAL] * size
    error += MARGIN * (rows + extra + 6) * unit[RADIUS] * (size + error)
    return middle + radius + error + (SMALLEST if unit[TINY] > 0.0 else 0.0)


@outlined_kernel
def attribution(pair, goal, k, w, score):
    """How much of the radius of an alternative comes from each input, through the symbols of neurons too.

    A symbol passes what it has to inputs and to earlier symbols, in proportion to what they have in the radius of its
    neuron's a.

    Parameters
    ----------
    score : float64 (n0,), overwritten
    """
    layers = pair.layout.widths.shape[0] - 1
    stride, R, m = w.sizes[0], w.sizes[1], pair.layout.widths[layers]
    rows, extra = w.kept.counts[layers, 1], w.kept.counts[layers, 2]
    start = (layers - 1) * R * stride
    n0 = score.shape[0]
    for r in range(1, rows):
        total = 0.0
        for t in range(goal.entry[k], goal.entry[k + 1]):
            c = goal.column[t]
            total += goal.value[t] * (w.kept.pre[start + r * stride + c] if c < m else w.before.d[r * stride + c - m])
        w.symbols.weight[0, r] = abs(total)
    for r in range(extra):
        total = 0.0
        for t in range(goal.entry[k], goal.entry[k + 1]):
            c = goal.column[t]
            if c >= m:
                total += goal.value[t] * w.before.g[r * stride + c - m]
        w.symbols.weight[1, r] = abs(total)
    f, e = rows - 1, extra - 1
    while f > n0 or e >= 0:
        # the later neuron first
        if f > n0 and (e < 0 or w.symbols.owner[0, f] >= w.symbols.owner[1, e]):
            amount, owner = w.symbols.weight[0, f], w.symbols.owner[0, f]
            f -= 1
        else:
            amount, owner = w.symbols.weight[1, e], w.symbols.owner[1, e]
            e -= 1
        l, i = owner // stride, owner % stride
        radius = w.kept.extent[l, i]
        if amount > 0.0 and radius > 0.0:
            base = l * R * stride + i
            share = amount / radius
            for r in range(1, w.kept.counts[l + 1, 1]):
                w.symbols.weight[0, r] += share * abs(w.kept.pre[base + r * stride])
    for j in range(n0):
        score[j] = w.symbols.weight[0, 1 + j]
