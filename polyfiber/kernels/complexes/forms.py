"""Affine forms of neurons on cells, their certified signs at vertices, and vertices from their forms.

A vertex is the set of its n zero facets ("slots") and the signs of all others. Ids of facets: domain facets, then
hidden neurons layer by layer, then infinity (``net.inf``).

Signs are certified: a floating value counts only when it is finite and exceeds its forward error bound; otherwise the
pair (vertex, neuron) is left to the exact predicate. The bounds are derived in docs/certification.md.
"""

from __future__ import annotations

from collections import namedtuple

import numpy as np

from ..jit import bare_kernel, inline_kernel, made_for, outlined_kernel, popcount, rare_kernel, trailing_zeros
from ..lanes import axpy, first_of, load4, load8, load_row8, magnitude, plus, store, times, total, where8, zero4, zero8
from ..rounding import LEAST, TINY, UNIT

# layer_of[k]: 0 domain facet, l >= 1 neuron of hidden layer l; first[l]: first id of layer l, first[-1] = number of
# facets; start: the facets of the cone that the walk begins with
Layers = namedtuple("Layers", "first layer_of start")
# rows: affine forms of domain facets and first-layer neurons, constant at n, one every stride (4 or a multiple of 8)
# weights: rows of layers >= 2 one after the other, row of id k at woff[k] columns: (n + 1, h) forms of a wide first
# layer as columns, whole lanes, and as many numbers more follow each row of weights; or (1, 0)
Affine = namedtuple("Affine", "rows weights woff biases columns")
# kappa, kappa0, sigma: |computed - exact| <= kappa.|x| + hom * kappa0 + (|form|_1 + sigma * unit) * error of x
Margins = namedtuple("Margins", "kappa kappa0 sigma drift inflate")
# wired: 1 where gates read more than the layer before; then rows holds a row on the input for every id, and the others
# the rest
Wiring = namedtuple("Wiring", "wired reads runs shallow plain lone")
Net = namedtuple("Net", "n stride shift inf layers affine margins wiring")


class WiredNet(Net):
    """The same where ``wired`` is 1: kernels for chains are compiled without what only such networks need."""

    __slots__ = ()


# star: (cap, 3 n) int32, 2 n half-edge ids (twins), then n facet ids; words: (cap, W) sign bits; x: (cap, n) point or
# direction; err: its error; slot: where the edge it was created on sits, -1 once solved directly; line_err: error of
# the point as a point of that edge's line (errors along the line do not matter there); at_inf: -1 or row of base; base:
# (cap_inf, n), base_err; up: (cap, U) masks of upward edges, bit 2 slot + side; height: (cap, 2) float32 bounds of the
# orienting function, infinite at infinity
State = namedtuple("State", "star words x err slot line_err at_inf base base_err up height")
# the orienting function, sum of alpha |z| over the starting facets z. columns: (n + 1, P) their forms as columns,
# constants last, zeros beyond n, P >= 8 whole lanes; alpha: (P,); bound: (1, P) sum of alpha times the forms' error
# constants, times what inflates them; slope: bound for each unit of error of the point
Lift = namedtuple("Lift", "columns alpha bound slope")
# scratch: (n, n), (n, n + 1) and (n, n) of a solve; a form and that of a solve, whole lanes; two rows of a layer; the
# right side of a solve
Work = namedtuple("Work", "A B R form form2 cur nxt rho")

ONE = np.uint64(1)
EIGHT = np.uint64(8)
SIXTEEN = np.uint64(16)
ZERO = np.uint64(0)
SIX = np.uint64(6)
LOW = np.uint64(63)
ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
SLOP = 1.0 + 1e-9
SINGLE, DOUBLE = ((float(np.finfo(kind).eps), float(np.finfo(kind).max)) for kind in (np.float32, np.float64))
UNDERFLOW = 2.0 * LEAST  # more than two products lose by underflow
INF = np.inf


@inline_kernel
def exceeds(z, b):
    """Whether a value is certainly not zero: it is finite, and beyond its bound. Never for what is not a number."""
    return b < abs(z) < INF


@inline_kernel
def worst(a, b):
    """The larger of two bounds; infinite if one of them is not a number."""
    return a if b <= a else (b if a <= b else INF)


@inline_kernel
def bit_of(words, v, k):
    return (words[v, k >> 6] >> np.uint64(k & 63)) & ONE


@inline_kernel
def set_bit(words, v, k):
    words[v, k >> 6] |= ONE << np.uint64(k & 63)


@inline_kernel
def clear_bit(words, v, k):
    words[v, k >> 6] &= ~(ONE << np.uint64(k & 63))


@inline_kernel
def range_mask(word, low, high):
    """Bits of word number ``word`` that belong to ids low <= k < high."""
    mask = ALL
    start = word << 6
    if low > start:
        if low >= start + 64:
            return ZERO
        mask &= ALL << np.uint64(low - start)
    if high < start + 64:
        if high <= start:
            return ZERO
        mask &= ALL >> np.uint64(start + 64 - high)
    return mask


@inline_kernel
def affine_form(k, words, v, net, out, cur, nxt):
    """Form of facet k on the cell whose active neurons are the bits of row v: out[:n], constant out[n]."""
    n, stride, first, layer_of, rows = net.n, net.stride, net.layers.first, net.layers.layer_of, net.affine.rows
    weights, woff, biases = net.affine.weights, net.affine.woff, net.affine.biases
    layer = layer_of[k]
    if layer <= 1:  # domain facets and first-layer neurons are given forms, exact as they are
        start = k * stride
        for c in range(n + 1):
            out[c] = rows[start + c]
    elif net.wiring.wired != 0:
        wired_form(k, layer, words, v, net, cur, out)
    else:
        coef, offset, const = weights, woff[k], biases[k]
        if layer > 2:
            const = pull_back(k, layer, words, v, first, weights, woff, biases, cur, nxt)
            coef, offset = cur, 0
        if net.affine.columns.shape[1] > 0:
            combine_columns(coef, offset, words, v, first[1], first[2], net.affine.columns, n, out)
        else:
            combine_rows(coef, offset - first[1], words, v, first[1], first[2], rows, stride, n, out)
        out[n] += const


@outlined_kernel
def form_of(k, words, v, net, out, cur, nxt):
    """The same, not copied into its callers: for cases that are rarer."""
    affine_form(k, words, v, net, out, cur, nxt)


@outlined_kernel
def wired_coefficients(k, layer, until, words, v, net, weights, cur):
    """Coefficients of id k on the gates of blocks until <= q < layer, in cur by facet id: along all ways through active
    gates.

    Only those of active gates count; of the others cur holds what reads them. weights: those of the net, or their
    sizes.
    """
    first, reads, runs = net.layers.first, net.wiring.reads, net.wiring.runs
    for t in range(first[1], first[layer]):
        cur[t] = 0.0
    for e in range(reads[k], reads[k + 1]):
        low = runs[e, 0]
        at = runs[e, 2]
        for i in range(runs[e, 1] - low):
            cur[low + i] = weights[at + i]
    for q in range(layer - 1, until, -1):
        for wi in range(first[q] >> 6, ((first[q + 1] - 1) >> 6) + 1):
            m = words[v, wi] & range_mask(wi, first[q], first[q + 1])
            while m != ZERO:
                t = (wi << 6) + np.int64(trailing_zeros(m))
                m &= m - ONE
                r = cur[t]
                if r != 0.0:
                    for e in range(reads[t], reads[t + 1]):
                        low = runs[e, 0]
                        part = cur[low : runs[e, 1]]
                        row = weights[runs[e, 2] : runs[e, 2] + runs[e, 1] - low]
                        for i in range(part.shape[0]):
                            part[i] += r * row[i]


@inline_kernel
def no_form(k, layer, words, v, net, cur, out):
    """Of a chain no gate is wired."""


@made_for(WiredNet, otherwise=no_form)
@outlined_kernel
def wired_form(k, layer, words, v, net, cur, out):
    """Form of a gate or output that may read the input and all blocks before it: its row, and those of active gates."""
    n, rows, weights, first, reads, runs = (
        net.n,
        net.affine.rows,
        net.affine.weights,
        net.layers.first,
        net.wiring.reads,
        net.wiring.runs,
    )
    step = np.uint64(net.stride)
    at_k = np.uint64(k) * step
    if net.wiring.shallow[k] != 0:  # the forms of what it reads are given
        if n < 4:
            four = load4(rows, at_k)
            for e in range(reads[k], reads[k + 1]):
                four = run_of_rows4(four, (runs[e, 0], runs[e, 1], runs[e, 2]), words, v, weights, rows, step)
            store(out, ZERO, four)
        else:
            for block in range(ZERO, step, EIGHT):
                eight = load8(rows, at_k + block)
                for e in range(reads[k], reads[k + 1]):
                    run = runs[e, 0], runs[e, 1], runs[e, 2]
                    eight = run_of_rows8(eight, block, run, words, v, weights, rows, step)
                store(out, block, eight)
        return
    wired_coefficients(k, layer, 1, words, v, net, weights, cur)
    whole = first[1], first[layer], first[1]
    if n < 4:
        store(out, ZERO, run_of_rows4(load4(rows, at_k), whole, words, v, cur, rows, step))
    else:
        for block in range(ZERO, step, EIGHT):
            store(out, block, run_of_rows8(load8(rows, at_k + block), block, whole, words, v, cur, rows, step))


@inline_kernel
def run_of_rows4(four, run, words, v, coef, rows, step):
    """four + sum of coef[at + t - low] * row t over the active t in [low, high); run: low, high, at."""
    low, high, at = run
    shift = np.uint64(at - low)
    other = zero4()  # two sums: neither waits for the other
    for wi in range(low >> 6, ((high - 1) >> 6) + 1):
        m = words[v, wi] & range_mask(wi, low, high)
        start = np.uint64(wi << 6)
        while m != ZERO:
            t = start + trailing_zeros(m)
            m &= m - ONE
            four = axpy(four, coef[shift + t], load4(rows, t * step))
            if m == ZERO:
                break
            t = start + trailing_zeros(m)
            m &= m - ONE
            other = axpy(other, coef[shift + t], load4(rows, t * step))
    return axpy(other, 1.0, four)


@inline_kernel
def run_of_rows8(eight, block, run, words, v, coef, rows, step):
    """The same for eight columns from ``block`` on."""
    low, high, at = run
    shift = np.uint64(at - low)
    for wi in range(low >> 6, ((high - 1) >> 6) + 1):
        m = words[v, wi] & range_mask(wi, low, high)
        start = np.uint64(wi << 6)
        while m != ZERO:
            t = start + trailing_zeros(m)
            m &= m - ONE
            eight = axpy(eight, coef[shift + t], load8(rows, t * step + block))
    return eight


@outlined_kernel
def pull_back(k, layer, words, v, first, weights, woff, biases, cur, nxt):
    """Coefficients of neuron k on the outputs of the first layer, in cur; returns the constant.

    Up to 32 columns stay in registers while the active rows are summed; up to 15 numbers behind a row are touched.
    """
    const = biases[k]
    row = woff[k]
    q = layer - 1
    for a in range(first[q + 1] - first[q]):
        cur[a] = weights[row + a]
    while q > 1:
        low = first[q]
        high = first[q + 1]
        width = first[q] - first[q - 1]
        last = ((high - 1) >> 6) + 1
        for wi in range(low >> 6, last):
            m = words[v, wi] & range_mask(wi, low, high)
            while m != ZERO:
                t = (wi << 6) + np.int64(trailing_zeros(m))
                m &= m - ONE
                const += cur[t - low] * biases[t]
        block = 0
        while block < width:
            at = np.uint64(block)
            four = width - block > 16
            a = zero8()
            b = zero8()
            c = zero8()
            d = zero8()
            for wi in range(low >> 6, last):
                m = words[v, wi] & range_mask(wi, low, high)
                while m != ZERO:
                    t = (wi << 6) + np.int64(trailing_zeros(m))
                    m &= m - ONE
                    r = cur[t - low]
                    part = np.uint64(woff[t]) + at
                    a = axpy(a, r, load8(weights, part))
                    b = axpy(b, r, load8(weights, part + EIGHT))
                    if four:
                        c = axpy(c, r, load8(weights, part + SIXTEEN))
                        d = axpy(d, r, load8(weights, part + SIXTEEN + EIGHT))
            store(nxt, at, a)
            store(nxt, at + EIGHT, b)
            if four:
                store(nxt, at + SIXTEEN, c)
                store(nxt, at + SIXTEEN + EIGHT, d)
            block += 32 if four else 16
        for b in range(width):
            cur[b] = nxt[b]
        q -= 1
    return const


@inline_kernel
def combine_rows(coef, offset, words, v, low, high, rows, stride, n, out):
    """out = sum of coef[offset + t] * row t over the active t in [low, high); a block of columns in registers."""
    step = np.uint64(stride)
    run = (low, high, offset + low)
    if n < 4:
        store(out, ZERO, run_of_rows4(zero4(), run, words, v, coef, rows, step))
    else:
        for block in range(ZERO, step, EIGHT):
            store(out, block, run_of_rows8(zero8(), block, run, words, v, coef, rows, step))


@outlined_kernel
def combine_columns(coef, offset, words, v, low, high, columns, n, out):
    """The same for a wide first layer: sum of coef[offset + i] * columns[:, i] over the active low + i < high; n < 4.

    Sixteen terms at a time, active or not: at some 500 neurons four times as fast as row by row.
    """
    base = np.uint64(offset)
    a = zero8()
    b = zero8()
    c = zero8()
    d = zero8()
    a2 = zero8()  # two sums each: neither waits for the other
    b2 = zero8()
    c2 = zero8()
    d2 = zero8()
    at = np.int64(0)
    for start in range(low, high, 64):
        wi = start >> 6
        shift = np.uint64(start & 63)
        m = words[v, wi] >> shift
        if shift != ZERO and (wi + 1) << 6 < high:
            m |= words[v, wi + 1] << (np.uint64(64) - shift)
        if high - start < 64:
            m &= (ONE << np.uint64(high - start)) - ONE
        for _ in range(0, min(high - start, 64), 16):
            f = where8(m, load8(coef, base + np.uint64(at)))
            f2 = where8(m >> EIGHT, load8(coef, base + np.uint64(at + 8)))
            m >>= SIXTEEN
            a = plus(a, times(f, load_row8(columns, 0, at)))
            a2 = plus(a2, times(f2, load_row8(columns, 0, at + 8)))
            b = plus(b, times(f, load_row8(columns, 1, at)))
            b2 = plus(b2, times(f2, load_row8(columns, 1, at + 8)))
            if n > 1:
                c = plus(c, times(f, load_row8(columns, 2, at)))
                c2 = plus(c2, times(f2, load_row8(columns, 2, at + 8)))
                if n > 2:
                    d = plus(d, times(f, load_row8(columns, 3, at)))
                    d2 = plus(d2, times(f2, load_row8(columns, 3, at + 8)))
            at += 16
    out[0] = total(plus(a, a2))
    out[1] = total(plus(b, b2))
    if n > 1:
        out[2] = total(plus(c, c2))
        if n > 2:
            out[3] = total(plus(d, d2))


@inline_kernel
def form_value(form, x, v, hom, n):
    """Form at row v of x; hom is 1 for a point, 0 for a direction."""
    s = 0.0
    for block in range(0, n + 1, 8):
        point = first_of(load_row8(x, v, block), n - block, hom)
        s += total(times(point, load8(form, np.uint64(block))))
    return s


@inline_kernel
def form_size(form, n):
    """Sum of the absolute values of a form's linear coefficients."""
    s = 0.0
    for block in range(0, n, 8):
        s += total(magnitude(first_of(load8(form, np.uint64(block)), n - block, 0.0)))
    return s


@inline_kernel
def value_bound(k, kappa, drift, inflate, size, x, v, error, hom, n):
    """Bound of |form_value - exact value at the exact point|; size: `form_size`."""
    s = 0.0
    for block in range(0, n + 1, 8):
        point = first_of(load_row8(x, v, block), n - block, hom)
        s += total(times(magnitude(point), load_row8(kappa, k, block)))
    return (s + (size + drift[k]) * error) * inflate + TINY


@inline_kernel
def no_slopes_vanish(v, k, net, st, cur):
    """Of a chain no gate is wired."""
    return False


@made_for(WiredNet, otherwise=no_slopes_vanish)
@rare_kernel
def wired_slopes_vanish(v, k, net, st, cur):
    """The same where gates read more than the layer before: by stages between blocks that all ways lead through.

    Behind a lone block, forms span at most as many dimensions as it has active gates, so the blocks from there to the
    next lone one count together as a layer does in a chain. And nothing is left of a slope where no active gate that is
    reached reads the input.
    """
    n, inf, first, layer_of, weights = net.n, net.inf, net.layers.first, net.layers.layer_of, net.affine.weights
    reads, runs, plain, lone, star, words = (
        net.wiring.reads,
        net.wiring.runs,
        net.wiring.plain,
        net.wiring.lone,
        st.star,
        st.words,
    )
    layer = layer_of[k]
    rank = n
    zeros = 0
    deeper = 0
    for s in range(n):
        z = star[v, 2 * n + s]
        if z != inf and layer_of[z] > layer:
            deeper += 1
    begin = 0
    for q in range(1, first.shape[0] - 1):
        if lone[q] == 0 and q < first.shape[0] - 2:
            continue
        zeros = 0  # of blocks begin <= p <= q, which read what the lone block before them passes on
        for s in range(n):
            z = star[v, 2 * n + s]
            if z != inf and begin <= layer_of[z] <= q:
                zeros += 1
        active = 0
        for wi in range(first[q] >> 6, ((first[q + 1] - 1) >> 6) + 1):
            active += np.int64(popcount(words[v, wi] & range_mask(wi, first[q], first[q + 1])))
        if layer <= q:
            if rank <= zeros or (lone[layer] != 0 and layer == q and deeper >= active and bit_of(words, v, k) != ZERO):
                return True
            break
        rank = min(rank - zeros, active)
        begin = q + 1
    for t in range(first[1], first[layer]):
        cur[t] = 0.0
    if plain[k] == 0:
        return False
    for e in range(reads[k], reads[k + 1]):
        for i in range(runs[e, 1] - runs[e, 0]):
            if weights[runs[e, 2] + i] != 0.0:
                cur[runs[e, 0] + i] = 1.0
    for t in range(first[layer] - 1, first[1] - 1, -1):
        if cur[t] != 0.0 and bit_of(words, v, t) != ZERO:
            if plain[t] == 0:
                return False
            for e in range(reads[t], reads[t + 1]):
                for i in range(runs[e, 1] - runs[e, 0]):
                    if weights[runs[e, 2] + i] != 0.0:
                        cur[runs[e, 0] + i] = 1.0
    return True


@rare_kernel
def slopes_vanish(v, k, net, st, cur):
    """Whether the slope of facet k along ray v is identically zero, by ranks alone.

    The zero facets of v are independent. Up to layer q the forms span at most ``rank`` dimensions
    beyond the zeros of the layers before; when the zeros of k's own layer exhaust them, every
    slope of the layer vanishes. And when the zeros of deeper layers, which only see the active
    neurons of k's layer, are as many as these, the slope of every active one vanishes.
    """
    n, inf, first, layer_of, star, words = net.n, net.inf, net.layers.first, net.layers.layer_of, st.star, st.words
    layer = layer_of[k]
    if layer == 0:
        return False
    if net.wiring.wired != 0:
        return wired_slopes_vanish(v, k, net, st, cur)
    rank = n
    deeper = 0
    for s in range(n):
        z = star[v, 2 * n + s]
        if z != inf and layer_of[z] > layer:
            deeper += 1
    for q in range(1, layer + 1):
        zeros = 0
        for s in range(n):
            z = star[v, 2 * n + s]
            if z != inf and (layer_of[z] == q or (q == 1 and layer_of[z] == 0)):
                zeros += 1
        active = 0
        low = first[q]
        high = first[q + 1]
        for wi in range(low >> 6, ((high - 1) >> 6) + 1):
            active += np.int64(popcount(words[v, wi] & range_mask(wi, low, high)))
        if q == layer:
            return rank <= zeros or (deeper >= active and bit_of(words, v, k) != ZERO)
        rank = min(rank - zeros, active)
    return False


@inline_kernel
def is_constant(k, layer, form, n):
    """Whether a given (not computed) form has no linear part."""
    if layer > 1:
        return False
    for c in range(n):
        if form[c] != 0.0:
            return False
    return True


@rare_kernel
def invert(A, R, n):
    """Gauss-Jordan with partial pivoting; A is overwritten. False if a pivot is zero or not finite."""
    for i in range(n):
        for j in range(n):
            R[i, j] = 0.0
        R[i, i] = 1.0
    for c in range(n):
        piv = c
        best = abs(A[c, c])
        for r in range(c + 1, n):
            if abs(A[r, c]) > best:
                best = abs(A[r, c])
                piv = r
        if not (best > 0.0 and best < np.inf):
            return False
        if piv != c:
            for j in range(n):
                A[c, j], A[piv, j] = A[piv, j], A[c, j]
                R[c, j], R[piv, j] = R[piv, j], R[c, j]
        d = 1.0 / A[c, c]
        for j in range(n):
            A[c, j] *= d
            R[c, j] *= d
        for r in range(n):
            if r != c:
                f = A[r, c]
                if f != 0.0:
                    for j in range(n):
                        A[r, j] -= f * A[c, j]
                        R[r, j] -= f * R[c, j]
    return True


@rare_kernel
def solve(v, net, st, work):
    """Solve the n zero forms of v directly; sets x, err (and base, base_err) with certified bounds."""
    A, B, R, _, form, cur, nxt, rho = work
    n, stride, inf, rows, kappa, kappa0 = (
        net.n,
        net.stride,
        net.inf,
        net.affine.rows,
        net.margins.kappa,
        net.margins.kappa0,
    )
    drift, inflate, start = net.margins.drift, net.margins.inflate, net.layers.start
    star, words, x, err, slot, at_inf = st.star, st.words, st.x, st.err, st.slot, st.at_inf
    base, base_err = st.base, st.base_err
    is_inf = at_inf[v] >= 0
    slot[v] = -1
    gauge = -1
    for s in range(n):
        k = np.int64(star[v, 2 * n + s])
        if k == inf:
            gauge = s
            norm = 0.0
            for c in range(n):
                norm += x[v, c] * x[v, c]
            for c in range(n):
                A[s, c] = x[v, c] / norm
                B[s, c] = A[s, c]
            B[s, n] = 0.0
        else:
            form_of(k, words, v, net, form, cur, nxt)
            for c in range(n):
                A[s, c] = form[c]
                B[s, c] = form[c]
            B[s, n] = form[n]
    if not invert(A, R, n):
        err[v] = INF
        if is_inf:
            base_err[at_inf[v]] = INF
        return
    theta = 0.0
    for c in range(n):
        for j in range(n):
            rho[j] = 0.0
        rho[c] = -1.0
        t = 0.0
        for k in range(n):
            r = R[c, k]
            for j in range(n):
                rho[j] += r * B[k, j]
            if k != gauge:
                t += abs(r) * drift[star[v, 2 * n + k]]
            else:
                g = 0.0
                for j in range(n):
                    g += abs(B[k, j])
                t += abs(r) * g * (2 * n + 4) * UNIT
        for j in range(n):
            t += abs(rho[j])
        theta = worst(theta, t)
    theta *= SLOP * inflate
    ok = theta < 0.5
    # the point (finite) or a base point of the ray's line (infinite)
    if is_inf:
        for c in range(n):
            form[c] = base[at_inf[v], c]
    else:
        for c in range(n):
            form[c] = x[v, c]
    for c in range(n):
        if not abs(form[c]) < INF:
            form[c] = 0.0
    for step in range(2):
        for s in range(n):
            r = B[s, n]
            for c in range(n):
                r += B[s, c] * form[c]
            rho[s] = 0.0 if s == gauge else r
        if step == 0:
            for c in range(n):
                d = 0.0
                for s in range(n):
                    d += R[c, s] * rho[s]
                form[c] -= d
    for s in range(n):
        if s == gauge:
            rho[s] = 0.0
        else:
            k = np.int64(star[v, 2 * n + s])
            b = kappa0[k]
            for c in range(n):
                b += kappa[k, c] * abs(form[c])
            rho[s] = abs(rho[s]) + b * inflate
    e = 0.0
    for c in range(n):
        t = 0.0
        for s in range(n):
            t += abs(R[c, s]) * rho[s]
        e = worst(e, t)
    e = e / (1.0 - theta) * SLOP + TINY if ok else INF
    if not is_inf:
        for c in range(n):
            x[v, c] = form[c]
        err[v] = e
        return
    b = at_inf[v]
    for c in range(n):
        base[b, c] = form[c]
    base_err[b] = e
    # direction: forms vanish, gauge is 1
    for c in range(n):
        form[c] = R[c, gauge]
    for step in range(2):
        for s in range(n):
            r = -1.0 if s == gauge else 0.0
            for c in range(n):
                r += B[s, c] * form[c]
            rho[s] = r
        if step == 0:
            for c in range(n):
                d = 0.0
                for s in range(n):
                    d += R[c, s] * rho[s]
                form[c] -= d
    for s in range(n):
        t = 0.0
        if s == gauge:
            for c in range(n):
                t += abs(B[s, c]) * abs(form[c])
            t = (t + 1.0) * (2 * n + 4) * UNIT
        else:
            k = star[v, 2 * n + s]
            for c in range(n):
                t += kappa[k, c] * abs(form[c])
        rho[s] = abs(rho[s]) + t * inflate + UNDERFLOW * n
    e = 0.0
    for c in range(n):
        t = 0.0
        for s in range(n):
            t += abs(R[c, s]) * rho[s]
        e = worst(e, t)
    e = e / (1.0 - theta) * SLOP + TINY if ok else INF
    # the solve fixes the line, the signs of the starting facets its orientation
    if e < INF:
        oriented = False
        for i in range(start.shape[0]):
            k = start[i]
            slope = 0.0
            bound = 0.0
            norm = 0.0
            for c in range(n):
                g = rows[k * stride + c]
                slope += g * form[c]
                bound += kappa[k, c] * abs(form[c])
                norm += abs(g)
            if exceeds(slope, (bound + (norm + drift[k]) * e) * inflate + TINY):
                oriented = True
                if (slope > 0.0) != (bit_of(words, v, k) != ZERO):
                    for c in range(n):
                        form[c] = -form[c]
                break
        if not oriented:
            e = INF
    for c in range(n):
        x[v, c] = form[c]
    err[v] = e


@outlined_kernel
def sign_at(v, k, net, st, form, cur, nxt):
    """Certified sign of facet k at vertex v, or 0 when the filter cannot tell."""
    n, layer_of, kappa, drift, inflate = (
        net.n,
        net.layers.layer_of,
        net.margins.kappa,
        net.margins.drift,
        net.margins.inflate,
    )
    words, x, err, at_inf, base, base_err = st.words, st.x, st.err, st.at_inf, st.base, st.base_err
    form_of(k, words, v, net, form, cur, nxt)
    size = form_size(form, n)
    hom = 1.0 if at_inf[v] < 0 else 0.0
    z = form_value(form, x, v, hom, n)
    b = value_bound(k, kappa, drift, inflate, size, x, v, err[v], hom, n)
    if at_inf[v] >= 0:
        if not exceeds(z, b) and (is_constant(k, layer_of[k], form, n) or slopes_vanish(v, k, net, st, cur)):
            i = at_inf[v]
            z = form_value(form, base, i, 1.0, n)
            b = value_bound(k, kappa, drift, inflate, size, base, i, base_err[i], 1.0, n)
            if exceeds(z, b):
                return 2 if z > 0 else -2
            return 0
    if exceeds(z, b):
        return 1 if z > 0 else -1
    return 0


# what `on_listed` does
SOLVE, DECIDE = range(2)


@outlined_kernel
def on_listed(task, vs, ks, net, st, out, counts, work):
    """Solve listed vertices, or find signs of listed pairs (vertex, facet): one kernel, since all need the same two
    large parts.

    SOLVE    solve the vertices directly, unless they are already
    DECIDE   second filter: the form on the cell, then a direct solve; keeps the signs, also in ``out`` (int8), which is 0
             where the exact predicate has to decide. counts: signs by value, by rank, and solves
    """
    form, cur, nxt = work.form, work.cur, work.nxt
    for e in range(vs.shape[0]):
        v = vs[e]
        if task == SOLVE:
            if st.slot[v] >= 0:
                solve(v, net, st, work)
            continue
        k = ks[e]
        s = sign_at(v, k, net, st, form, cur, nxt)
        if s == 0 and st.slot[v] >= 0:
            solve(v, net, st, work)
            counts[2] += 1
            s = sign_at(v, k, net, st, form, cur, nxt)
        if s != 0:
            counts[0 if abs(s) == 1 else 1] += 1
            if s > 0:
                set_bit(st.words, v, k)
        out[e] = s


@inline_kernel
def set_height(v, n, lift, x, err, height):
    """Lower and upper bound of the orienting function at a point, rounded outwards."""
    columns, alpha, bound, slope = lift
    kind = height.dtype.type
    value = 0.0
    error = err * slope
    for block in range(0, columns.shape[1], 8):
        z = load_row8(columns, n, block)
        for c in range(n):
            z = axpy(z, x[v, c], load_row8(columns, c, block))
        value += total(times(magnitude(z), load8(alpha, np.uint64(block))))
        point = first_of(load_row8(x, v, block), n - block, 1.0)
        error += total(times(magnitude(point), load_row8(bound, 0, block)))
    unit, most = SINGLE if height.itemsize == 4 else DOUBLE
    error = (error + (n + 4) * 2 * UNIT * value) * SLOP + value * (4.0 * unit) + 1e-37
    if error < most and value < most - error:
        height[v, 0] = kind(max(value - error, 0.0))
        height[v, 1] = kind(value + error)
    else:
        height[v, 0] = kind(0.0)
        height[v, 1] = kind(most)


@bare_kernel
def heights(vs, n, lift, at_inf, x, err, height):
    """Bounds of the orienting function at the listed vertices, in the precision of ``height`` (nv, 2)."""
    for v in vs:
        if at_inf[v] >= 0:
            height[v, 0] = np.inf
            height[v, 1] = np.inf
        else:
            set_height(v, n, lift, x, err[v], height)
