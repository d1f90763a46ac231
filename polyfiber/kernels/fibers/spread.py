"""How far a network may be from another one with an equal form, beside what it reaches.

A form is equal to another one *relative to its blocks*: rows to their norms, weights of outputs to the largest of them.
What that says about values depends on how the blocks compare with the outputs: `sensitivities` bounds the one,
`spreads` the other as well.
"""

from __future__ import annotations

import numpy as np

from ..jit import bare_kernel, inline_kernel, kernel, outlined_kernel, rare_kernel
from ..rounding import UNIT

STEPS = 5
"""Powers of 8 at which `spreads` looks at outputs."""


@rare_kernel
def _sensitivity(p, widths, work, out):
    """Bounds (m, 2) over (1, |x|) of what a relative change of one unit of every block does to the outputs."""
    sizes, moved, scales = work  # (2, widest, 2), (2, widest, 2), (2, widest)
    layers = widths.shape[0] - 1
    for c in range(widths[0]):
        sizes[0, c, 0], sizes[0, c, 1] = 0.0, 1.0
        moved[0, c, 0], moved[0, c, 1] = 0.0, 0.0
        scales[0, c] = 1.0
    position = 0
    now = 0
    for l in range(1, layers):
        inner, rows = widths[l - 1], widths[l]
        bias = position + rows * inner
        after = 1 - now
        all0, all1 = 0.0, 0.0
        for c in range(inner):
            all0 += sizes[now, c, 0]
            all1 += sizes[now, c, 1]
        for i in range(rows):
            square = 0.0
            for c in range(inner):
                v = p[position + i * inner + c] * scales[now, c]
                square += v * v
            norm = np.sqrt(square)
            b = abs(p[bias + i])
            if norm == 0.0:  # a constant
                scales[after, i] = b if b > 0.0 else 1.0
                sizes[after, i, 0], sizes[after, i, 1] = 1.0, 0.0
                moved[after, i, 0], moved[after, i, 1] = 1.0, 0.0
                continue
            s0, s1, m0, m1 = b / norm, 0.0, all0 + max(1.0, b / norm), all1
            for c in range(inner):
                v = abs(p[position + i * inner + c]) * scales[now, c] / norm
                s0 += v * sizes[now, c, 0]
                s1 += v * sizes[now, c, 1]
                m0 += v * moved[now, c, 0]
                m1 += v * moved[now, c, 1]
            scales[after, i] = norm
            sizes[after, i, 0], sizes[after, i, 1] = s0, s1
            moved[after, i, 0], moved[after, i, 1] = m0, m1
        position = bias + rows
        now = after
    inner, rows = widths[layers - 1], widths[layers]
    all0, all1 = 1.0, 0.0
    for c in range(inner):
        all0 += sizes[now, c, 0]
        all1 += sizes[now, c, 1]
    for o in range(rows):
        b = abs(p[position + rows * inner + o])
        weight, k0, k1 = 0.0, 0.0, 0.0
        for c in range(inner):
            w = abs(p[position + o * inner + c]) * scales[now, c]
            weight += w
            k0 += w * (moved[now, c, 0] + sizes[now, c, 0])  # sizes: of |a|
            k1 += w * moved[now, c, 1]
        # jumps and the affine rest, which is compared relative to them; the gauge of hidden hyperplanes makes a row at
        # most twice as large
        out[o, 0] = 2.0 * (k0 + weight * all0 + b)
        out[o, 1] = 2.0 * (k1 + weight * all1)


@kernel
def sensitivities(flat, widths, out):
    """For every row of ``flat`` (B, P): bounds (B, m, 2), over (1, largest |x_i|), of how far outputs move per unit of
    the relative distance of forms.
    """
    widest = 1
    for l in range(widths.shape[0]):
        widest = max(widest, widths[l])
    work = (np.empty((2, widest, 2)), np.empty((2, widest, 2)), np.empty((2, widest)))
    for t in range(flat.shape[0]):
        _sensitivity(flat[t], widths, work, out[t])


@rare_kernel
def _values(p, widths, x, sign, biased, work):
    """Outputs at ``sign * x``, without biases where not ``biased``, and what biases add to them at most; which half of
    the work they are in.
    """
    y, bound = work
    layers = widths.shape[0] - 1
    for c in range(widths[0]):
        y[0, c] = sign * x[c]
        bound[0, c] = 0.0
    position = 0
    now = 0
    for l in range(1, layers + 1):
        inner, rows = widths[l - 1], widths[l]
        bias = position + rows * inner
        for i in range(rows):
            total = p[bias + i] if biased else 0.0
            lift = abs(p[bias + i])
            for c in range(inner):
                w = p[position + i * inner + c]
                total += w * y[now, c]
                lift += abs(w) * bound[now, c]
            y[1 - now, i] = max(total, 0.0) if l < layers else total
            bound[1 - now, i] = lift
        position = bias + rows
        now = 1 - now
    return now


@kernel
def spreads(flat, widths, points, out):
    """For every row of ``flat`` (B, P) a number (B,): networks whose forms are ``d`` apart differ at most by so many
    times ``d`` of what one of them reaches.

    Parameters
    ----------
    points : (K, n0)
        Of size 1: f is evaluated there and at their negatives, and without biases, which says how it grows.

    Notes
    -----
    With ``|f - g|(x) <= d (k0 + k1 |x|)`` and R(r) the largest ``|f_o|`` that is seen at points of size at most r among ``2^k p``: ``|f - g|(x) <= d * spread * R(1 + |x|)``.
    Along a ray ``|f(r p)| >= r |f'(p)| - c`` with f' the network without biases and c what these add; ``2^k`` is at least half of a radius.
    """
    widest = 1
    for l in range(widths.shape[0]):
        widest = max(widest, widths[l])
    m = widths[widths.shape[0] - 1]
    work = (np.empty((2, widest, 2)), np.empty((2, widest, 2)), np.empty((2, widest)))
    pair = (np.empty((2, widest)), np.empty((2, widest)))
    k = np.empty((m, 2))
    seen, lift = np.empty((STEPS + 1, m)), np.empty(m)
    for t in range(flat.shape[0]):
        p = flat[t]
        _sensitivity(p, widths, work, k)
        seen[:] = 0.0
        for q in range(points.shape[0]):
            for s in range(STEPS + 1):
                for half in range(2):
                    size = 8.0**s if s < STEPS else 1.0
                    now = _values(p, widths, points[q], size if half else -size, s < STEPS, pair)
                    for o in range(m):
                        seen[s, o] = max(seen[s, o], abs(pair[0][now, o]))
                        lift[o] = pair[1][now, o]
        worst = 0.0
        for o in range(m):
            if k[o, 0] == 0.0 and k[o, 1] == 0.0:
                continue
            top = 0.0
            for s in range(STEPS):  # from 8^s to 8^(s + 1)
                top = max(top, seen[s, o])
                found = (k[o, 0] + k[o, 1] * 8.0 ** (s + 1)) / top
                if not found <= worst:
                    worst = found
            # and beyond, where at least a fourth of the growth is left
            end = 8.0**STEPS
            far = seen[STEPS, o]
            found = 4.0 * (k[o, 0] / end + k[o, 1]) / far
            if k[o, 1] > 0.0 and not 4.0 * lift[o] <= far * end:
                found = np.inf
            if k[o, 1] == 0.0:
                found = k[o, 0] / top
            if not found <= worst:
                worst = found
        out[t] = worst * 1.001 if worst == worst else np.inf


@bare_kernel
def _largest(p, at, inner, scales):
    """Which entry of a row is the largest; -1 where all are zero."""
    top, k = 0.0, -1
    for c in range(inner):
        v = abs(p[at + c]) * scales[c]
        if v > top:
            top, k = v, c
    return k


@inline_kernel
def _is_near(u, v, limit):
    """Whether two numbers are as near as that, relatively; never where products may have left the range of floats."""
    size = max(abs(u), abs(v))
    return (u == v) | ((abs(u - v) <= limit * size) & (size > 1e-200) & (size < 1e200))


@bare_kernel
def _scale(p, q, at, to, k, inner, bias, order, scales, limit):
    """The positive scale that makes a row of q that of p, if every entry is near then; 0 if there is none.

    k: the largest entry of the row of p, which says what the scale is.
    """
    if k < 0:  # constants; those that are not positive are zero, whatever they are
        for c in range(inner):
            if q[to + c] != 0.0:
                return 0.0
        if bias[0] > 0.0 and bias[1] > 0.0:
            return bias[1] / bias[0]
        return 1.0 if bias[0] <= 0.0 and bias[1] <= 0.0 else 0.0
    mine, other = p[at + k] * scales[k], q[to + order[k]]
    if not mine * other > 0.0:
        return 0.0
    u, v = bias[0] * other, bias[1] * mine  # most rows are told apart by their biases, without a division
    if abs(u - v) > 2.0 * limit * max(abs(u), abs(v)):
        return 0.0
    ratio = other / mine
    if not 1e-200 < ratio < 1e200:
        return 0.0
    near = _is_near(ratio * bias[0], bias[1], limit)
    for c in range(inner):  # no way out in between: nearly all that come here are near to the end
        near &= _is_near(ratio * (p[at + c] * scales[c]), q[to + order[c]], limit)
    return ratio if near else 0.0


@outlined_kernel
def are_near(p, q, widths, limit, work):
    """Whether two rows of parameters agree within a limit, relatively and each by itself, after a permutation and
    positive scaling of hidden neurons.

    What rounding may do is taken from the limit. ``work`` has room for two rows of indices and of scales, of the widest
    layer.
    """
    orders, scales, free = work  # (2, widest) int64, (2, widest), (widest,) int8
    layers = widths.shape[0] - 1
    limit -= 8.0 * layers * UNIT
    if limit < 0.0 and layers > 1:
        return False
    for c in range(widths[0]):
        orders[0, c] = c
        scales[0, c] = 1.0
    position = 0
    now = 0
    for l in range(1, layers):
        inner, rows = widths[l - 1], widths[l]
        bias = position + rows * inner
        for i in range(rows):
            free[i] = 1
        for i in range(rows):
            found = -1
            k = _largest(p, position + i * inner, inner, scales[now])
            for j in range(rows):
                if free[j]:
                    ratio = _scale(
                        p, q, position + i * inner, position + j * inner, k, inner, (p[bias + i], q[bias + j]),
                        orders[now], scales[now], limit,
                    )  # fmt: skip
                    if ratio > 0.0:
                        found = j
                        orders[1 - now, i] = j
                        scales[1 - now, i] = 1.0 / ratio
                        break
            if found < 0:
                return False
            free[found] = 0
        position = bias + rows
        now = 1 - now
    inner, rows = widths[layers - 1], widths[layers]
    near = True
    for o in range(rows):
        near &= _is_near(p[position + rows * inner + o], q[position + rows * inner + o], limit)
        for c in range(inner):
            at = position + o * inner
            near &= _is_near(p[at + c] * scales[now, c], q[at + orders[now, c]], limit)
    return near


@kernel
def parameters_near(flat, widths, limit):
    """`are_near` of the first two rows of ``flat``."""
    widest = 1
    for l in range(widths.shape[0]):
        widest = max(widest, widths[l])
    work = (np.empty((2, widest), np.int64), np.empty((2, widest)), np.empty(widest, np.int8))
    return are_near(flat[0], flat[1], widths, limit, work)
