"""Planes above and below relu(a) and D = relu(a) - relu(b), and substitution of them from a layer back to the input.

A functional ``alpha . a + beta . d + constant`` of one layer becomes one of the layer before, every neuron replaced by
the plane that is tightest at a reference point, until an affine function of the input is left that is above it on the
whole box.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..jit import bare_kernel, outlined_kernel
from ..rounding import TINY as SMALLEST
from .pair import BACK, CONSTANT, DIFFERENCE, EVALUATE, FOLD, MARGIN, PLANE, TINY, product, products
from .zonotopes import clamp, lift


class Limits(NamedTuple):
    """What holds on the box.

    Attributes
    ----------
    most : float64 (2, N + m + n0,)
        Bounds of relu(a) and of |D|; of the inputs at the end.
    lost : float64 (2, N + m)
        What a unit of a, and of d, may lose to rounding in one substitution.
    """

    most: Any
    lost: Any


class Live(NamedTuple):
    """Neurons that can be positive on the box.

    Attributes
    ----------
    lists : int64 (L + 1, widest)
        Those of every layer; inputs first.
    many : int64 (L + 1,)
    order : int64 (widest + n0,)
        0, 1, 2, …
    """

    lists: Any
    many: Any
    order: Any


class Functionals(NamedTuple):
    """Functionals of one layer: coefficients of a and d, of the activations before it, float64 (widest * K,), and what
    belongs to each, (K,).
    """

    alpha: Any
    beta: Any
    over: Any
    under: Any
    constant: Any
    size: Any
    error: Any


class Asked(NamedTuple):
    """Whose bounds the functionals are: int64 (K,) neurons and kinds (0 of a, 2 of b), and signs, float64 (K,)."""

    neuron: Any
    kind: Any
    sign: Any


class Planes(NamedTuple):
    """Working arrays of the substitution of up to K functionals at once; coefficient t of functional r lies at
    ``t K + r``.

    Attributes
    ----------
    room : int64 (1,)
        K, a multiple of 8.
    limits : Limits
    live : Live
    rows : Functionals
    asked : Asked
    result : float64 (4, n0)
        Coefficients of two functions of the input, their mixture, and scratch.
    value : float64 (4,)
        Constant and error of the two.
    """

    room: Any
    limits: Any
    live: Any
    rows: Any
    asked: Any
    result: Any
    value: Any


@outlined_kernel
def losses(pair, lo, hi, box, w, unit):
    """Bounds of activations and of what each neuron may lose, for one box."""
    layers = pair.layout.widths.shape[0] - 1
    n0 = pair.layout.widths[0]
    N = pair.layout.first[layers - 1]
    total = N + pair.layout.widths[layers]
    for j in range(n0):
        w.limits.most[0, total + j] = max(abs(lo[j]), abs(hi[j]))
        w.limits.most[1, total + j] = 0.0
        w.live.lists[0, j] = j
    w.live.many[0] = n0
    one, two = w.limits.lost[0], w.limits.lost[1]
    tiny = SMALLEST if unit[TINY] > 0.0 else 0.0
    for l in range(layers):
        n, m, o = pair.layout.widths[l], pair.layout.widths[l + 1], pair.layout.at[l]
        s, p = pair.layout.first[l], (total if l == 0 else pair.layout.first[l - 1])
        gamma = MARGIN * (2 * (n + m) + 8) * unit[BACK]
        u = MARGIN * unit[DIFFERENCE]
        for i in range(m):
            one[s + i] = gamma * abs(pair.biases.f[s + i]) + tiny
            two[s + i] = (gamma + u) * abs(pair.biases.d[s + i]) + tiny
        for j in range(n):
            y, d = gamma * w.limits.most[0, p + j], gamma * w.limits.most[1, p + j]
            if y == 0.0 and d == 0.0:
                continue
            z, q = y + u * w.limits.most[0, p + j], o + j * m
            for i in range(m):
                one[s + i] += abs(pair.columns.f[q + i]) * y
                two[s + i] += abs(pair.columns.g[q + i]) * d + abs(pair.columns.d[q + i]) * z
        if pair.layout.folds[l] and unit[FOLD] > 0.0:
            for i in range(m):
                q = o + i * n
                one[s + i] += MARGIN * pair.errors.bf[s + i]
                two[s + i] += MARGIN * (pair.errors.bf[s + i] + pair.errors.bg[s + i])
                for j in range(n):
                    y, d = w.limits.most[0, p + j], w.limits.most[1, p + j]
                    one[s + i] += MARGIN * pair.errors.wf[q + j] * y
                    two[s + i] += MARGIN * (
                        (pair.errors.wf[q + j] + pair.errors.wg[q + j]) * y + pair.errors.wg[q + j] * d
                    )
        many = 0
        for i in range(m):
            k = s + i
            if l == layers - 1 or box[1, k] > 0.0 or box[3, k] > 0.0:
                w.live.lists[l + 1, many] = i
                many += 1
            if l < layers - 1:
                dead = box[1, k] <= 0.0 and box[3, k] <= 0.0
                w.limits.most[0, k] = 0.0 if dead else max(box[1, k], 0.0)
                w.limits.most[1, k] = 0.0 if dead else max(abs(box[4, k]), abs(box[5, k]))
        w.live.many[l + 1] = many


@outlined_kernel
def single(pair, layer, count, w):
    """Functionals ``sign a_i`` (kind 0) or ``sign b_i`` (kind 2) of a layer, carried to the activations before it."""
    m, o, s = pair.layout.widths[layer + 1], pair.layout.at[layer], pair.layout.first[layer]
    K = w.room[0]
    for r in range(count):
        i, sign = w.asked.neuron[r], w.asked.sign[r]
        beta = 0.0 if w.asked.kind[r] == 0 else -sign
        w.rows.error[r] = w.limits.lost[0, s + i] + abs(beta) * w.limits.lost[1, s + i]
        w.rows.constant[r] = sign * pair.biases.f[s + i] + beta * pair.biases.d[s + i]
        w.rows.size[r] = abs(pair.biases.f[s + i]) + abs(beta * pair.biases.d[s + i])
        for jj in range(w.live.many[layer]):
            q = o + w.live.lists[layer, jj] * m + i
            w.rows.over[jj * K + r] = sign * pair.columns.f[q] + beta * pair.columns.d[q]
            w.rows.under[jj * K + r] = beta * pair.columns.g[q]


@outlined_kernel
def carry(pair, l, count, w):
    """Carry functionals of the pre-activations of a layer to the activations before it."""
    m, o, s = pair.layout.widths[l + 1], pair.layout.at[l], pair.layout.first[l]
    K, many = w.room[0], w.live.many[l + 1]
    live = w.live.lists[l + 1]
    for tt in range(many):
        t, q = s + live[tt], tt * K
        one, two, bias, change = w.limits.lost[0, t], w.limits.lost[1, t], pair.biases.f[t], pair.biases.d[t]
        for r in range(count):
            p, b = w.rows.alpha[q + r], w.rows.beta[q + r]
            w.rows.error[r] += abs(p) * one + abs(b) * two
            w.rows.constant[r] += p * bias + b * change
            w.rows.size[r] += abs(p * bias) + abs(b * change)
    shape = (w.live.many[l], many, count, K, m, K)
    products(
        w.rows.over,
        pair.columns.f[o:],
        w.rows.alpha,
        pair.columns.d[o:],
        w.rows.beta,
        w.live.lists[l],
        live,
        w.live.order,
        shape,
    )
    product(w.rows.under, pair.columns.g[o:], w.rows.beta, w.live.lists[l], live, w.live.order, shape)


@outlined_kernel
def relax(pair, l, count, box, ra, rd, w, unit):
    """Replace ``c relu(a) + e D`` of every live neuron of a layer by a plane above it, the tightest at the reference
    (ra, rd).

    D is bounded as it is, or as relu(a) - relu(b) with each bounded alone; whichever is lower at the reference.
    """
    K, s = w.room[0], pair.layout.first[l]
    charge = 2.0 * MARGIN * unit[PLANE]
    for jj in range(w.live.many[l + 1]):
        i, o = s + w.live.lists[l + 1, jj], jj * K
        la, ua, lb, ub, ld, ud = box[0, i], box[1, i], box[2, i], box[3, i], box[4, i], box[5, i]
        a, d = ra[i], rd[i]
        span = charge * (4.0 * max(abs(la), abs(ua)) + max(abs(lb), abs(ub)) + max(abs(ld), abs(ud)))
        lam, above, other, beyond = 0.0, 0.0, 0.0, 0.0
        if la >= 0.0:
            lam = 1.0
        elif ua > 0.0:
            lam = clamp(ua / (ua - la))
            above = lift(lam, la, ua, unit)
        if lb >= 0.0:
            other = 1.0
        elif ub > 0.0:
            other = clamp(ub / (ub - lb))
            beyond = lift(other, lb, ub, unit)
        a_open, b_open = la < 0.0 < ua, lb < 0.0 < ub
        if not (a_open or b_open):
            for r in range(count):
                c, e = w.rows.over[o + r], w.rows.under[o + r]
                t = e * other
                w.rows.alpha[o + r], w.rows.beta[o + r] = (c + e) * lam - t, t
                w.rows.error[r] += (abs(c) + abs(e)) * span
            continue
        low_a = lam if not a_open else (1.0 if a > 0.0 else 0.0)  # lines below
        low_b = other if not b_open else (1.0 if a - d > 0.0 else 0.0)
        # D <= pu a + qu d + ku, and D >= pl a + ql d - kl
        pu = qu = ku = pl = ql = kl = 0.0
        if a_open:
            if ld >= 0.0:
                qu = 1.0
            elif ud > 0.0:
                qu = clamp(ud / (ud - ld))
                ku = lift(qu, ld, ud, unit)
        elif la >= 0.0:  # min(a, d)
            pu, qu = (1.0, 0.0) if a < d else (0.0, 1.0)
        elif a - d > 0.0:  # min(0, d - a)
            pu, qu = -1.0, 1.0
        if b_open:
            if ud <= 0.0:
                ql = 1.0
            elif ld < 0.0:
                ql = clamp(ld / (ld - ud))
                kl = lift(ql, -ud, -ld, unit)
        elif lb >= 0.0:  # max(d - a, d)
            pl, ql = (-1.0, 1.0) if a < 0.0 else (0.0, 1.0)
        elif a > 0.0:  # max(0, a)
            pl = 1.0
        for r in range(count):
            c, e = w.rows.over[o + r], w.rows.under[o + r]
            both = c + e
            t = e * (other if e < 0.0 else low_b)
            p = both * (lam if both > 0.0 else low_a) - t
            k = (both * above if both > 0.0 else 0.0) + (-e * beyond if e < 0.0 else 0.0)
            if e > 0.0:
                p2, q2, k2 = e * pu, e * qu, e * ku
            else:
                p2, q2, k2 = e * pl, e * ql, -e * kl
            p2 += c * (lam if c > 0.0 else low_a)
            k2 += c * above if c > 0.0 else 0.0
            together = p2 * a + q2 * d + k2 < p * a + t * d + k
            w.rows.alpha[o + r] = p2 if together else p
            w.rows.beta[o + r] = q2 if together else t
            k = k2 if together else k
            w.rows.constant[r] += k
            w.rows.size[r] += k
            w.rows.error[r] += (abs(c) + abs(e)) * span + charge * k


@outlined_kernel
def substitute(pair, layer, count, box, ra, rd, w, unit):
    """Affine functions of the input above functionals of the activations before a layer, on the box.

    Parameters
    ----------
    layer, count : int
        The functionals lie in ``w.rows.over``, ``w.rows.under`` with what they have in ``w.rows.constant``,
        ``w.rows.size``, ``w.rows.error``.
    box : float64 (6, N)
    ra, rd : float64 (N + m,)
        Values of a and d at the reference.

    Notes
    -----
    Coefficient j of function r is left in ``w.rows.over[j K + r]``; the function plus ``w.rows.error[r]`` is above.
    """
    tiny = SMALLEST if unit[TINY] > 0.0 else 0.0
    terms = 8 + 4 * pair.layout.widths[layer + 1]
    # a coefficient that underflows is off by less than TINY, and stands before values as large as this
    reach = layer + 2.0
    for l in range(layer - 1, -1, -1):
        relax(pair, l, count, box, ra, rd, w, unit)
        carry(pair, l, count, w)
        terms += 4 * pair.layout.widths[l + 1] + 4
        for jj in range(w.live.many[l + 1]):
            i = pair.layout.first[l] + w.live.lists[l + 1, jj]
            for kind in range(6):
                reach += abs(box[kind, i])
    inputs = w.limits.most.shape[1] - pair.layout.widths[0]
    for j in range(pair.layout.widths[0]):
        reach += w.limits.most[0, inputs + j]
    for r in range(count):
        w.rows.error[r] += MARGIN * terms * unit[CONSTANT] * w.rows.size[r] + 2.0 * reach * tiny


@bare_kernel
def keep(r, slot, n0, w):
    """Copy function r to ``w.result[slot]``."""
    for j in range(n0):
        w.result[slot, j] = w.rows.over[j * w.room[0] + r]
    w.value[2 * slot], w.value[2 * slot + 1] = w.rows.constant[r], w.rows.error[r]


@outlined_kernel
def top(slope, constant, error, lo, hi, unit):
    """Above ``slope . x + constant + error`` on a box."""
    total, size = constant, abs(constant) + error
    for j in range(lo.shape[0]):
        term = slope[j] * (hi[j] if slope[j] > 0.0 else lo[j])
        total += term
        size += abs(term)
    tiny = SMALLEST if unit[TINY] > 0.0 else 0.0
    return total + error + MARGIN * (lo.shape[0] + 4) * unit[EVALUATE] * size + tiny


@bare_kernel
def peak(slope, constant, lo, hi):
    """Largest value of ``slope . x + constant`` on a box, in plain floating point."""
    total = constant
    for j in range(lo.shape[0]):
        total += slope[j] * (hi[j] if slope[j] > 0.0 else lo[j])
    return total


@outlined_kernel
def with_rows(goal, lo, hi, slot, w, unit):
    """Take multiples of the rows of the domain off a function where that lowers it: on ``rows x <= sides`` it is still
    above.

    Each row is tried with the multiples at which a coefficient vanishes.
    """
    slope, trial = w.result[slot], w.result[3]
    n0 = lo.shape[0]
    for r in range(goal.sides.shape[0]):
        best, chosen = peak(slope, w.value[2 * slot], lo, hi), 0.0
        for k in range(n0):
            if goal.rows[r, k] != 0.0:
                t = slope[k] / goal.rows[r, k]
                if t > 0.0:
                    for j in range(n0):
                        trial[j] = slope[j] - t * goal.rows[r, j]
                    value = peak(trial, w.value[2 * slot] + t * goal.sides[r], lo, hi)
                    if value < best:
                        best, chosen = value, t
        if chosen > 0.0:
            size, reach = abs(w.value[2 * slot]) + 2.0 * abs(chosen * goal.sides[r]), 1.0
            for j in range(n0):
                part = chosen * goal.rows[r, j]
                far = max(abs(lo[j]), abs(hi[j]))
                size += 2.0 * (abs(slope[j]) + abs(part)) * far
                reach += far
                slope[j] -= part
            w.value[2 * slot] += chosen * goal.sides[r]
            w.value[2 * slot + 1] += MARGIN * 2.0 * unit[EVALUATE] * size + (
                reach * SMALLEST if unit[TINY] > 0.0 else 0.0
            )


@outlined_kernel
def blend(lo, hi, w, unit):
    """Above the lower of the two functions: of ``t U + (1 - t) V`` the best t, tried where a coefficient vanishes."""
    U, V, mixed = w.result[0], w.result[1], w.result[2]
    n0 = lo.shape[0]
    best, chosen = np.inf, 1.0
    for k in range(n0 + 2):
        if k < n0:
            if U[k] * V[k] >= 0.0:
                continue
            t = clamp(V[k] / (V[k] - U[k]))
        else:
            t = float(k - n0)
        for j in range(n0):
            mixed[j] = t * U[j] + (1.0 - t) * V[j]
        value = peak(mixed, t * (w.value[0] + w.value[1]) + (1.0 - t) * (w.value[2] + w.value[3]), lo, hi)
        if value < best:
            best, chosen = value, t
    t = chosen
    constant = t * w.value[0] + (1.0 - t) * w.value[2]
    error = max(w.value[1], w.value[3])
    size, reach = abs(w.value[0]) + abs(w.value[2]), 1.0
    for j in range(n0):
        mixed[j] = t * U[j] + (1.0 - t) * V[j]
        far = max(abs(lo[j]), abs(hi[j]))
        size += (abs(U[j]) + abs(V[j])) * far
        reach += far
    error += MARGIN * 4.0 * unit[EVALUATE] * size + (reach * SMALLEST if unit[TINY] > 0.0 else 0.0)
    return top(mixed, constant, error, lo, hi, unit)
