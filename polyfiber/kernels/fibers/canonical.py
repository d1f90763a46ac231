"""Canonical forms of many networks: gauge, symmetric last layer, comparison, values at points.

A network is one row of a flat array: ``W_1, b_1, …, W_L, b_L``, each in row-major order; ``widths`` is
``(n_0, …, n_L)``. A form is one row as well:

- for every hidden layer but the last its rows ``(w | b)`` with ``|w| = 1``, zero where the neuron is gone;
- for the last hidden layer hyperplanes ``(u | t)``, ``|u| = 1``, and their weights ``c``;
- the affine part ``A`` (m, n), ``a`` (m) of ``sum_i (c_i / 2) |u_i . y + t_i| + A y + a``.

With one live neuron in layer 2 that hides hyperplane k of layer 1 (``FLIPS``) the function is
``a + c relu(l(x) - sum_i alpha_i |z_i(x)|)``: row k holds ``l``, the others ``z_i`` up to sign, the first
hyperplane row ``alpha``, the first weight row ``c``.
"""

from __future__ import annotations

from collections import namedtuple

import numpy as np

from ..jit import bare_kernel, kernel
from ..rounding import UNIT

LAYERED = 0
HIDING = 2
FLIPS = 3
EPS = 2.0 * UNIT
# rows of hidden layers, offsets, and weights of outputs beyond these, or products of constants: squares or products may
# leave the range of floats, so that numbers that are there count as zero, or differences of infinities as none; then
# the noise is infinite
LARGEST = 1e100
SMALLEST = 1e-100
# of every network: forms (form_size,); kind LAYERED, HIDING or FLIPS; its hidden hyperplane or -1; count of visible
# hyperplanes of the last hidden layer; orient (n_last,) +1 where the neurons of a hyperplane are active on its positive
# side only; margin, the smallest relative quantity that a decision rested on; noise, the relative error that the form
# may carry, infinite where numbers leave the range in which it is bounded: such a form equals none
Forms = namedtuple("Forms", "forms kind hidden count orient margin noise")
# of `_match`: how the columns of the second form are permuted, which of its rows are free, which each row of the first
# gets
Matching = namedtuple("Matching", "previous free order")


@bare_kernel
def form_size(widths):
    """Length of a form."""
    layers = widths.shape[0] - 1
    total = 0
    for l in range(1, layers - 1):
        total += widths[l] * (widths[l - 1] + 1)
    last = widths[layers - 1] if layers > 1 else 0
    n = widths[layers - 2] if layers > 1 else widths[0]
    m = widths[layers]
    return total + last * (n + 1) + last * m + m * n + m


@bare_kernel
def _row_distance(a, i, b, j, n, sign):
    """Distance of rows ``(w | b)`` with unit ``w``: weights as they are, offsets relative to max(1, |b|)."""
    worst = abs(a[i + n] - sign * b[j + n]) / max(1.0, abs(a[i + n]), abs(b[j + n]))
    for c in range(n):
        d = abs(a[i + c] - sign * b[j + c])
        if d > worst:
            worst = d
    return worst


@bare_kernel
def _used_columns(p, live, starts, offsets, widths, l):
    """Mark neurons of hidden layer l dead whose outgoing weights into live neurons vanish."""
    n = widths[l]
    m = widths[l + 1]
    last = l + 1 == widths.shape[0] - 1
    for i in range(n):
        if live[starts[l] + i] == 0:
            continue
        used = False
        for r in range(m):
            if (last or live[starts[l + 1] + r]) and p[offsets[l + 1] + r * n + i] != 0.0:
                used = True
                break
        if not used:
            live[starts[l] + i] = 0


def room_for(rows, widths):
    """`Forms` of so many networks, to be filled."""
    last = int(widths[-2]) if len(widths) > 2 else 0
    return Forms(
        np.empty((rows, int(form_size(widths)))), np.empty(rows, dtype=np.int8), np.empty(rows, dtype=np.int16),
        np.empty(rows, dtype=np.int16), np.empty((rows, max(1, last)), dtype=np.int8), np.empty(rows), np.empty(rows),
    )  # fmt: skip


@kernel
def canonical_forms(flat, widths, merge, slack, found, stop):
    """Canonical form of every row, into ``found`` (`Forms`, see there).

    Parameters
    ----------
    flat : (B, P) parameters
    widths : int64 (L + 1,)
    merge : float
        Relative distance within which hyperplanes are one and weights cancel.
    slack : float
        Relative size below which a positive bias of layer 2 still counts as hiding.
    stop : (1,)
        Once it is set, from another thread, what is found means nothing.
    """
    forms, kind, hidden, count, orient, margin, noise = found
    B = flat.shape[0]
    layers = widths.shape[0] - 1
    m = widths[layers]
    P = flat.shape[1]
    size = forms.shape[1]
    p = np.empty(P)
    offsets = np.zeros(layers + 2, dtype=np.int64)  # of W_l, l from 1
    biases = np.zeros(layers + 2, dtype=np.int64)
    starts = np.zeros(layers + 2, dtype=np.int64)
    place = np.zeros(layers + 2, dtype=np.int64)  # of prefix layers in a form
    position = 0
    hidden_total = 0
    where = 0
    for l in range(1, layers + 1):
        offsets[l] = position
        position += widths[l] * widths[l - 1]
        biases[l] = position
        position += widths[l]
        starts[l] = hidden_total
        if l < layers:
            hidden_total += widths[l]
        place[l] = where
        if l < layers - 1:
            where += widths[l] * (widths[l - 1] + 1)
    last = widths[layers - 1] if layers > 1 else 0
    n = widths[layers - 2] if layers > 1 else widths[0]
    at_h = where
    at_c = at_h + last * (n + 1)
    at_A = at_c + last * m
    at_a = at_A + m * n
    live = np.empty(max(1, hidden_total), dtype=np.int8)
    rough = np.empty(m * n + m)
    heavy = np.empty(max(1, widths[widths.shape[0] - 1]))
    for t in range(B):
        for x in range(P):
            p[x] = flat[t, x]
        for x in range(size):
            forms[t, x] = 0.0
        kind[t] = LAYERED
        hidden[t] = -1
        count[t] = 0
        least = np.inf
        error = 0.0
        for i in range(hidden_total):
            live[i] = 1
        for i in range(last):
            orient[t, i] = 0
        # ---- forward: constants, dead neurons, unit rows, equal rows ----
        for l in range(1, layers):
            inner = widths[l - 1]
            outer = widths[l + 1]
            for i in range(widths[l]):
                row = offsets[l] + i * inner
                b = p[biases[l] + i]
                square = 0.0
                top = -np.inf
                low = np.inf
                for c in range(inner):
                    if l > 1 and live[starts[l - 1] + c] == 0:
                        p[row + c] = 0.0
                    v = p[row + c]
                    square += v * v
                    top = max(top, v)
                    low = min(low, v)
                norm = np.sqrt(square)
                gone = False
                if norm == 0.0:
                    gone = True
                    if top > 0.0 or low < 0.0:
                        error = np.inf
                    if b > 0.0:
                        for r in range(outer):
                            v = p[offsets[l + 1] + r * widths[l] + i]
                            p[biases[l + 1] + r] += v * b
                            if v != 0.0 and not (SMALLEST * SMALLEST <= abs(v * b) <= LARGEST * LARGEST):
                                error = np.inf
                elif not (SMALLEST <= norm <= LARGEST and abs(b) <= LARGEST):
                    error = np.inf
                elif l > 1:
                    scale = np.sqrt(square + b * b)
                    if top <= 0.0 and b <= 0.0:
                        gone = True
                        least = min(least, max(-top, -b) / scale)
                    elif l < layers - 1:
                        least = min(least, max(top, b) / scale)
                if gone:
                    live[starts[l] + i] = 0
                    for r in range(outer):
                        p[offsets[l + 1] + r * widths[l] + i] = 0.0
                elif l < layers - 1:
                    for c in range(inner):
                        p[row + c] /= norm
                    p[biases[l] + i] /= norm
                    for r in range(outer):
                        p[offsets[l + 1] + r * widths[l] + i] *= norm
            if l < layers - 1:
                for i in range(widths[l]):
                    if live[starts[l] + i] == 0:
                        continue
                    if stop[0]:
                        return
                    for j in range(i + 1, widths[l]):
                        if live[starts[l] + j] == 0:
                            continue
                        x = offsets[l] + i * inner
                        y = offsets[l] + j * inner
                        d = abs(p[biases[l] + i] - p[biases[l] + j]) / max(1.0, abs(p[biases[l] + i]))
                        for c in range(inner):
                            e = abs(p[x + c] - p[y + c])
                            if e > d:
                                d = e
                                if d > merge and d >= least:  # neither equal nor the nearest: how far does not matter
                                    break
                        if d <= merge:
                            error = max(error, 0.125 * d)
                            live[starts[l] + j] = 0
                            for r in range(outer):
                                q = offsets[l + 1] + r * widths[l]
                                p[q + i] += p[q + j]
                                p[q + j] = 0.0
                        else:
                            least = min(least, d)
        for x in range(offsets[layers], biases[layers] + m):  # of the outputs
            if p[x] != 0.0 and not (SMALLEST * SMALLEST <= abs(p[x]) <= LARGEST * LARGEST):
                error = np.inf
        # ---- backward: neurons that nobody uses ----
        for l in range(layers - 1, 0, -1):
            _used_columns(p, live, starts, offsets, widths, l)
        # ---- hidden hyperplane ----
        k = -1
        if layers == 3:
            n1 = widths[1]
            n2 = widths[2]
            alive1 = 0
            for i in range(n1):
                alive1 += live[starts[1] + i]
            alive2 = 0
            one = -1
            for j in range(n2):
                if live[starts[2] + j]:
                    alive2 += 1
                    one = j
            if alive1 >= 2 and alive2 >= 1:
                best = 0.0
                for i in range(n1):
                    if live[starts[1] + i] and p[offsets[2] + one * n1 + i] > best:
                        best = p[offsets[2] + one * n1 + i]
                        k = i
                if k >= 0:
                    close = np.inf  # how far from hiding k, or how safely it is hidden
                    broken = 0.0
                    for j in range(n2):
                        if live[starts[2] + j] == 0:
                            continue
                        b = p[biases[2] + j]
                        square = 0.0
                        for i in range(n1):
                            v = p[offsets[2] + j * n1 + i]
                            square += v * v
                        scale = np.sqrt(square)
                        if b > slack * scale:
                            broken = max(broken, b / scale)
                        elif b > 0.0:
                            error = max(error, 0.125 * b / scale)
                        for i in range(n1):
                            if live[starts[1] + i]:
                                v = p[offsets[2] + j * n1 + i]
                                if i == k:
                                    close = min(close, v / scale)
                                    broken = max(broken, -v / scale)
                                    if v == 0.0:
                                        broken = max(broken, 1e-300)
                                else:
                                    broken = max(broken, v / scale)
                    if broken > 0.0:
                        k = -1
                        least = min(least, broken)
                    else:
                        least = min(least, close)
            if k >= 0 and alive2 > 1:
                kind[t] = HIDING
                hidden[t] = k
                end = np.inf
                for j in range(n2):
                    if live[starts[2] + j]:
                        v = p[offsets[2] + j * n1 + k]
                        end = min(end, max(0.0, -p[biases[2] + j]) / v)
                s = end - 1.0
                before = p[biases[1] + k]
                p[biases[1] + k] = before - s
                error = max(error, EPS * (abs(before) + abs(s)) / max(1.0, abs(before - s)))
                for j in range(n2):
                    if live[starts[2] + j]:
                        v = p[offsets[2] + j * n1 + k]
                        b = p[biases[2] + j]
                        p[biases[2] + j] = b + s * v
                        error = max(error, EPS * (abs(b) + abs(s * v)) / max(abs(v), abs(b + s * v)))
            elif k >= 0:
                kind[t] = FLIPS
                hidden[t] = k
                count[t] = 1
                n0 = widths[0]
                base = offsets[2] + one * n1
                at_k = place[1] + k * (n0 + 1)
                lift = p[base + k]
                big = abs(lift * p[biases[1] + k]) + abs(p[biases[2] + one])
                for c in range(n0):
                    forms[t, at_k + c] = lift * p[offsets[1] + k * n0 + c]
                forms[t, at_k + n0] = lift * p[biases[1] + k] + p[biases[2] + one]
                for i in range(n1):
                    if i == k or live[starts[1] + i] == 0:
                        continue
                    half = -0.5 * p[base + i]
                    spot = place[1] + i * (n0 + 1)
                    for c in range(n0):
                        v = p[offsets[1] + i * n0 + c]
                        forms[t, spot + c] = v
                        forms[t, at_k + c] -= half * v
                    forms[t, spot + n0] = p[biases[1] + i]
                    forms[t, at_k + n0] -= half * p[biases[1] + i]
                    forms[t, at_h + i] = half
                    big += abs(half * p[biases[1] + i])
                total = 0.0
                for c in range(n0):
                    total += forms[t, at_k + c] ** 2
                total = np.sqrt(total)
                for i in range(n1):
                    total += abs(forms[t, at_h + i])
                for c in range(n0 + 1):
                    forms[t, at_k + c] /= total
                error = max(error, EPS * big / max(total, abs(forms[t, at_k + n0] * total)))
                for i in range(n1):
                    forms[t, at_h + i] /= total
                for r in range(m):
                    forms[t, at_c + r] = total * p[offsets[3] + r * n2 + one]
                    forms[t, at_a + r] = p[biases[3] + r]
                margin[t] = least
                noise[t] = 8.0 * error
                continue
        # ---- prefix rows ----
        for l in range(1, layers - 1):
            inner = widths[l - 1]
            for i in range(widths[l]):
                if live[starts[l] + i]:
                    spot = place[l] + i * (inner + 1)
                    for c in range(inner):
                        forms[t, spot + c] = p[offsets[l] + i * inner + c]
                    forms[t, spot + inner] = p[biases[l] + i]
        # ---- last hidden layer, symmetric ----
        out = offsets[layers]
        for r in range(m):
            forms[t, at_a + r] = p[biases[layers] + r]
        if layers == 1:
            for r in range(m):
                for c in range(n):
                    forms[t, at_A + r * n + c] = p[out + r * n + c]
            margin[t] = least
            noise[t] = 8.0 * max(error, EPS)
            continue
        for x in range(m * n + m):
            rough[x] = 0.0
        for r in range(m):
            rough[m * n + r] = abs(p[biases[layers] + r])
        shown = 0
        for r in range(m):  # outputs may be of very different size
            heavy[r] = 0.0
        for i in range(last):
            if live[starts[layers - 1] + i] == 0:
                continue
            if stop[0]:
                return
            row = offsets[layers - 1] + i * n
            b = p[biases[layers - 1] + i]
            square = 0.0
            top = b
            low = b
            nearest = abs(b) if b != 0.0 else np.inf
            for c in range(n):
                v = p[row + c]
                square += v * v
                top = max(top, v)
                low = min(low, v)
                if v != 0.0:
                    nearest = min(nearest, abs(v))
            norm = np.sqrt(square)
            scale = np.sqrt(square + b * b)
            if layers > 2 and low >= 0.0:
                least = min(least, nearest / scale)
                for r in range(m):
                    w = p[out + r * last + i]
                    for c in range(n):
                        forms[t, at_A + r * n + c] += w * p[row + c]
                        rough[r * n + c] += abs(w * p[row + c])
                    forms[t, at_a + r] += w * b
                    rough[m * n + r] += abs(w * b)
                continue
            if layers > 2:
                least = min(least, min(top, -low) / scale)
            for c in range(n):
                p[row + c] /= norm
            offset = b / norm
            for r in range(m):
                w = 0.5 * norm * p[out + r * last + i]
                heavy[r] = max(heavy[r], abs(2.0 * w))
                for c in range(n):
                    forms[t, at_A + r * n + c] += w * p[row + c]
                    rough[r * n + c] += abs(w * p[row + c])
                forms[t, at_a + r] += w * offset
                rough[m * n + r] += abs(w * offset)
            found = -1
            for j in range(shown):
                spot = at_h + j * (n + 1)
                size0 = max(1.0, abs(offset), abs(forms[t, spot + n]))
                plus = abs(forms[t, spot + n] - offset) / size0
                minus = abs(forms[t, spot + n] + offset) / size0
                for c in range(n):
                    e = abs(forms[t, spot + c] - p[row + c])
                    if e > plus:
                        plus = e
                    e = abs(forms[t, spot + c] + p[row + c])
                    if e > minus:
                        minus = e
                    if plus > 1e-3 and minus > 1e-3:
                        break
                d = min(plus, minus)
                if d <= merge:
                    error = max(error, 0.125 * d)
                    found = j
                    if minus < plus:
                        orient[t, j] = 0
                    break
                least = min(least, d)
            if found < 0:
                found = shown
                shown += 1
                spot = at_h + found * (n + 1)
                for c in range(n):
                    forms[t, spot + c] = p[row + c]
                forms[t, spot + n] = offset
                orient[t, found] = 1
            for r in range(m):
                forms[t, at_c + found * m + r] += norm * p[out + r * last + i]
        kept = 0
        for j in range(shown):
            c0 = 0.0
            for r in range(m):
                if heavy[r] > 0.0:
                    c0 = max(c0, abs(forms[t, at_c + j * m + r]) / heavy[r])
            if c0 <= merge:
                error = max(error, 0.125 * c0)
                continue
            least = min(least, c0)
            if kept != j:
                for c in range(n + 1):
                    forms[t, at_h + kept * (n + 1) + c] = forms[t, at_h + j * (n + 1) + c]
                for r in range(m):
                    forms[t, at_c + kept * m + r] = forms[t, at_c + j * m + r]
                orient[t, kept] = orient[t, j]
            kept += 1
        for j in range(kept, shown):
            for c in range(n + 1):
                forms[t, at_h + j * (n + 1) + c] = 0.0
            for r in range(m):
                forms[t, at_c + j * m + r] = 0.0
            orient[t, j] = 0
        count[t] = kept
        # ---- what the affine part owes to rounding; entries that are nothing else are zero ----
        for r in range(m):
            biggest = heavy[r]
            for x in range(r * n, (r + 1) * n):
                biggest = max(biggest, abs(forms[t, at_A + x]))
            level = max(biggest, abs(forms[t, at_a + r]))
            for x in range(r * n, (r + 1) * n):
                if abs(forms[t, at_A + x]) <= 16.0 * EPS * rough[x]:
                    forms[t, at_A + x] = 0.0
                if biggest > 0.0:
                    error = max(error, EPS * rough[x] / biggest)
            if level > 0.0:
                error = max(error, EPS * rough[m * n + r] / level)
        # ---- prefix neurons that only cancelled neurons used ----
        for l in range(layers - 2, 0, -1):
            for i in range(widths[l]):
                if live[starts[l] + i] == 0:
                    continue
                used = False
                if l == layers - 2:
                    for j in range(kept):
                        if abs(forms[t, at_h + j * (n + 1) + i]) > 0.0:
                            used = True
                    for r in range(m):
                        if forms[t, at_A + r * n + i] != 0.0:
                            used = True
                else:
                    for r in range(widths[l + 1]):
                        if live[starts[l + 1] + r] and p[offsets[l + 1] + r * widths[l] + i] != 0.0:
                            used = True
                if not used:
                    live[starts[l] + i] = 0
                    spot = place[l] + i * (widths[l - 1] + 1)
                    for c in range(widths[l - 1] + 1):
                        forms[t, spot + c] = 0.0
        margin[t] = least
        noise[t] = 8.0 * max(error, EPS)


@bare_kernel
def _match(a, b, at, rows, inner, room, signed, scale, weights, limit):
    """Match rows ``(w | b)`` of two blocks of two forms greedily, blocks that begin at ``at``.

    ``room``: `Matching`. ``signed``: rows agree up to sign. ``weights`` > 0: that many weights per row at ``scale``
    have to agree too (already relative). Returns the worst distance; the search stops early once it exceeds ``limit``.
    """
    previous, free, order = room
    worst = 0.0
    for j in range(rows):
        free[j] = 1
    for i in range(rows):
        best = np.inf
        chosen = -1
        u = at + i * (inner + 1)
        for j in range(rows):
            if free[j] == 0:
                continue
            v = at + j * (inner + 1)
            for s in range(2 if signed else 1):
                sign = 1.0 - 2.0 * s
                d = abs(a[u + inner] - sign * b[v + inner])
                if d > 0.0:
                    d /= max(1.0, abs(a[u + inner]), abs(b[v + inner]))
                if d >= best:
                    continue
                for c in range(inner):
                    e = abs(a[u + c] - sign * b[v + previous[c]])
                    if e > d:
                        d = e
                        if d >= best:
                            break
                if d < best:
                    for r in range(weights):
                        e = abs(a[scale + i * weights + r] - b[scale + j * weights + r])
                        if e > d:
                            d = e
                if d < best:
                    best = d
                    chosen = j
            if best <= 0.0:
                break
        order[i] = chosen
        free[chosen] = 0
        if best > worst:
            worst = best
        if worst > limit:
            return worst
    return worst


@kernel
def compare_forms(found, left, right, widths, limit, distance, orders):
    """Distance of the forms ``left[q]`` and ``right[q]``; a lower bound above ``limit`` where they differ.

    Parameters
    ----------
    found : `Forms`
    left, right : (Q,) int64
    distance : (Q,) out
    orders : (Q, hidden neurons) int32 out
        Which neuron of the right form each neuron of the left one was matched with.
    """
    forms, kind, count = found.forms, found.kind, found.count
    layers = widths.shape[0] - 1
    m = widths[layers]
    last = widths[layers - 1] if layers > 1 else 0
    n = widths[layers - 2] if layers > 1 else widths[0]
    widest = 1
    for l in range(layers):
        widest = max(widest, widths[l])
    free = np.empty(widest, dtype=np.int8)
    previous = np.empty(widest, dtype=np.int64)
    order = np.empty(widest, dtype=np.int64)
    room = Matching(previous, free, order)
    at_h = 0
    for l in range(1, layers - 1):
        at_h += widths[l] * (widths[l - 1] + 1)
    at_c = at_h + last * (n + 1)
    at_A = at_c + last * m
    at_a = at_A + m * n
    for q in range(left.shape[0]):
        a = forms[left[q]]
        b = forms[right[q]]
        if kind[left[q]] != kind[right[q]] or count[left[q]] != count[right[q]]:
            distance[q] = np.inf
            continue
        for c in range(widths[0]):
            previous[c] = c
        worst = 0.0
        if kind[left[q]] == FLIPS:
            n1 = widths[1]
            # one weight per row: alpha, zero for the row of l
            worst = _match(a, b, 0, n1, widths[0], room, True, at_h, 1, limit)
            if worst <= limit:
                for i in range(n1):
                    orders[q, i] = order[i]
                    # l itself is not up to sign: its row carries alpha = 0 and a non-zero normal
                    if a[at_h + i] == 0.0:
                        e = _row_distance(a, i * (widths[0] + 1), b, order[i] * (widths[0] + 1), widths[0], 1.0)
                        worst = max(worst, e)
                for r in range(m):  # each output by its own size
                    top = max(1e-300, abs(a[at_c + r]), abs(b[at_c + r]))
                    worst = max(worst, abs(a[at_c + r] - b[at_c + r]) / top)
                    top = max(top, abs(a[at_a + r]), abs(b[at_a + r]))
                    worst = max(worst, abs(a[at_a + r] - b[at_a + r]) / top)
            distance[q] = worst
            continue
        spot = 0
        start = 0
        for l in range(1, layers - 1):
            inner = widths[l - 1]
            d = _match(a, b, spot, widths[l], inner, room, False, 0, 0, limit)
            worst = max(worst, d)
            if worst > limit:
                break
            for i in range(widths[l]):
                previous[i] = order[i]
                orders[q, start + i] = order[i]
            spot += widths[l] * (inner + 1)
            start += widths[l]
        if worst <= limit and layers > 1:
            rows = count[left[q]]
            d = _match(a, b, at_h, rows, n, room, True, 0, 0, limit)
            worst = max(worst, d)
            for i in range(last):
                orders[q, start + i] = order[i] if i < rows else -1
        if worst <= limit:
            rows = count[left[q]]
            for r in range(m):  # each output by its own size
                top = 1e-300
                for i in range(rows):
                    top = max(top, abs(a[at_c + i * m + r]), abs(b[at_c + i * m + r]))
                for c in range(r * n, (r + 1) * n):
                    top = max(top, abs(a[at_A + c]), abs(b[at_A + c]))
                for i in range(rows):
                    worst = max(worst, abs(a[at_c + i * m + r] - b[at_c + order[i] * m + r]) / top)
                for c in range(n):
                    worst = max(worst, abs(a[at_A + r * n + c] - b[at_A + r * n + previous[c]]) / top)
                level = max(top, abs(a[at_a + r]), abs(b[at_a + r]))
                worst = max(worst, abs(a[at_a + r] - b[at_a + r]) / level)
        distance[q] = worst


@kernel
def key_values(flat, widths, points, mix, keys, sizes):
    """Generic combinations ``mix[p] . f(points[p])`` of the outputs, and sums of their terms' magnitudes at inputs of
    size ``1 + max |points[p]|``.

    Parameters
    ----------
    flat : (B, P); points : (K, n0); mix : (K, m)
    keys, sizes : (B, K) out
    """
    layers = widths.shape[0] - 1
    widest = 1
    for l in range(layers + 1):
        widest = max(widest, widths[l])
    y = np.empty(widest)
    z = np.empty(widest)
    s = np.empty(widest)
    r = np.empty(widest)
    for t in range(flat.shape[0]):
        for k in range(points.shape[0]):
            top = 1.0
            for c in range(widths[0]):
                y[c] = points[k, c]
                top = max(top, 1.0 + abs(points[k, c]))
            for c in range(widths[0]):
                s[c] = top
            position = 0
            for l in range(1, layers + 1):
                inner = widths[l - 1]
                rows = widths[l]
                bias = position + rows * inner
                for i in range(rows):
                    total = flat[t, bias + i]
                    size = abs(total)
                    for c in range(inner):
                        w = flat[t, position + i * inner + c]
                        total += w * y[c]
                        size += abs(w) * s[c]
                    if l < layers and total < 0.0:
                        total = 0.0
                    z[i] = total
                    r[i] = size
                position = bias + rows
                for i in range(rows):
                    y[i] = z[i]
                    s[i] = r[i]
            total = 0.0
            size = 0.0
            for o in range(widths[layers]):
                total += mix[k, o] * y[o]
                size += abs(mix[k, o]) * s[o]
            keys[t, k] = total
            sizes[t, k] = size
