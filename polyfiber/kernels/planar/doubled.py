"""Forms of gates on one region, and signs where lines meet, to twice the precision of floats.

A number is a pair (high, low) of floats whose sum it stands for. Sums and products of pairs are off by less than
``2^-100`` of their terms' sizes (Joldes, Muller, Popescu, *Tight and rigorous error bounds for basic building blocks of
double-word arithmetic*, Theorems 3.1 and 5.3 and Algorithm 12, ask for ``2^-103``); what underflows is paid for by
`TINY`. Overflow leaves infinities and NaN, and no comparison with those is certain.
"""

from __future__ import annotations

from collections import namedtuple

from ..jit import bare_kernel, inline_kernel
from ..rounding import TINY
from .forms import REACH, SLOP

SPLIT = 134217729.0
FINE = 2.0**-100
"""More than the relative error of one sum or product of pairs."""
UNSURE = -2
# row_ptr, rows as in `forms.Net`; weights (nnz, 2), base (n, 3, 2), slopes (gates, 2, 2) as pairs; error (n,) of the
# base; sides (S, 3, 2)
Pairs = namedtuple("Pairs", "row_ptr rows weights base error slopes sides")
# form (n, 3, 2) and bound (n,) of units with done[u] == stamp[0]; needed (n,) scratch
Forms = namedtuple("Forms", "form bound done needed stamp")


@inline_kernel
def _two_sum(a, b):
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


@inline_kernel
def _add(a, al, b, bl):
    s, e = _two_sum(a, b)
    t, f = _two_sum(al, bl)
    e += t
    h = s + e
    e -= h - s
    e += f
    s = h + e
    return s, e - (s - h)


@inline_kernel
def _times(a, al, b, bl):
    p = a * b
    u = SPLIT * a
    ah = u - (u - a)
    at = a - ah
    v = SPLIT * b
    bh = v - (v - b)
    bt = b - bh
    e = ((ah * bh - p) + ah * bt + at * bh) + at * bt
    e += a * bl + al * b
    s = p + e
    return s, e - (s - p)


@bare_kernel
def _size(form, u):
    return (abs(form[u, 0, 0]) + abs(form[u, 1, 0])) * REACH + abs(form[u, 2, 0])


@bare_kernel
def _settle(net, sign, kept, top):
    """Forms of the units up to ``top`` that are marked as needed."""
    form, bound, done, needed, stamp = kept
    for u in range(top, -1, -1):
        if needed[u] == stamp[1] and done[u] != stamp[0]:
            for k in range(net.row_ptr[u], net.row_ptr[u + 1]):
                if sign[net.rows[k]] != 0:
                    needed[net.rows[k]] = stamp[1]
    for u in range(top + 1):
        if needed[u] != stamp[1] or done[u] == stamp[0]:
            continue
        done[u] = stamp[0]
        for axis in range(3):
            form[u, axis, 0], form[u, axis, 1] = net.base[u, axis, 0], net.base[u, axis, 1]
        error, sizes, terms = net.error[u], _size(form, u), 8.0
        for k in range(net.row_ptr[u], net.row_ptr[u + 1]):
            j = net.rows[k]
            s = sign[j]
            if s == 0:
                continue
            side = 0 if s < 0 else 1
            slope, slope_low = net.slopes[j, side, 0], net.slopes[j, side, 1]
            if slope == 0.0:
                continue
            w, wl = _times(net.weights[k, 0], net.weights[k, 1], slope, slope_low)
            for axis in range(3):
                t, tl = _times(w, wl, form[j, axis, 0], form[j, axis, 1])
                form[u, axis, 0], form[u, axis, 1] = _add(form[u, axis, 0], form[u, axis, 1], t, tl)
            terms += 4.0
            size = _size(form, j)
            error += (abs(w) + TINY) * bound[j] + TINY * size
            sizes += abs(w) * size
        bound[u] = (error + (FINE * terms) * sizes) * SLOP + TINY


@bare_kernel
def _line(net, kept, i):
    """A line's three pairs, the sum of their sizes and the bound of each one's error."""
    if i >= 0:
        f, e = kept.form[i], kept.bound[i]
    else:
        f, e = net.sides[-1 - i], 0.0
    size = abs(f[0, 0]) + abs(f[1, 0]) + abs(f[2, 0])
    # numbers and no array: without reference counts an array that is given back would be freed too early
    return ((f[0, 0], f[0, 1]), (f[1, 0], f[1, 1]), (f[2, 0], f[2, 1])), size, e + FINE * size + TINY


@inline_kernel
def _minor(f0, f1, g0, g1):
    a, al = _times(f0[0], f0[1], g1[0], g1[1])
    b, bl = _times(f1[0], f1[1], g0[0], g0[1])
    return _add(a, al, -b, -bl)


@bare_kernel
def _sign(net, kept, i, j, g):
    """Sign of gate g where lines i and j meet, from forms that are settled."""
    f, fs, fe = _line(net, kept, i)
    h, hs, he = _line(net, kept, j)
    p, ps, pe = _line(net, kept, g)
    below, below_low = _minor(f[0], f[1], h[0], h[1])
    fs, hs, ps = fs + 3.0 * fe, hs + 3.0 * he, ps + 3.0 * pe
    # each product of entries is below the product of the sums, and moves by an entry's error times the others
    loose = (3.0 * (fe * hs + he * fs) + 8.0 * FINE * fs * hs) * SLOP + TINY
    if not abs(below) > loose:
        return UNSURE
    a, al = _minor(f[1], f[2], h[1], h[2])
    a, al = _times(a, al, p[0][0], p[0][1])
    b, bl = _minor(f[2], f[0], h[2], h[0])
    b, bl = _times(b, bl, p[1][0], p[1][1])
    c, cl = _times(below, below_low, p[2][0], p[2][1])
    a, al = _add(a, al, b, bl)
    value, _ = _add(a, al, c, cl)
    loose = (3.0 * (fe * hs * ps + he * fs * ps + pe * fs * hs) + 64.0 * FINE * fs * hs * ps) * SLOP + TINY * (1.0 + ps)
    if not abs(value) > loose:
        return UNSURE
    return 1 if (value > 0.0) == (below > 0.0) else -1


@bare_kernel
def sign_at_meeting(net, sign, kept, i, j, g):
    """Sign of gate g where lines i and j (gates, or -1 - side) meet on the region with these signs; UNSURE where bounds
    do not decide.

    Forms are kept from question to question: `Forms.stamp`'s first number goes up where the signs change.
    """
    kept.stamp[1] += 1
    top = max(g, i, j)
    for line in (i, j, g):
        if line >= 0:
            kept.needed[line] = kept.stamp[1]
    _settle(net, sign, kept, top)
    return _sign(net, kept, i, j, g)


@bare_kernel
def signs_at_meeting(net, sign, kept, i, j, found):
    """Signs of all gates where lines i and j meet, as `sign_at_meeting` knows them; gates that vanish on the region are
    0.
    """
    kept.stamp[1] += 1
    kept.needed[: found.shape[0]] = kept.stamp[1]
    _settle(net, sign, kept, found.shape[0] - 1)
    for g in range(found.shape[0]):
        found[g] = _sign(net, kept, i, j, g) if sign[g] != 0 else 0


@bare_kernel
def signs_at(net, at, value, bound, sign, begin, answer):
    """Signs of gates from ``begin`` on at a point, one after another; -1, or the gate whose sign is unsure: call again
    with it.

    at (2, 2): x and y as pairs; value (gates, 2), bound (gates,): of each gate; an answer of 0 makes its value exactly
    zero.
    """
    for u in range(begin, sign.shape[0]):
        base = net.base[u]
        z, low = _times(base[0, 0], base[0, 1], at[0, 0], at[0, 1])
        t, tl = _times(base[1, 0], base[1, 1], at[1, 0], at[1, 1])
        z, low = _add(z, low, t, tl)
        z, low = _add(z, low, base[2, 0], base[2, 1])
        error, sizes, terms = net.error[u], abs(base[0, 0]) * abs(at[0, 0]) + abs(base[1, 0]) * abs(at[1, 0]), 16.0
        sizes += abs(base[2, 0])
        for k in range(net.row_ptr[u], net.row_ptr[u + 1]):
            j = net.rows[k]
            if sign[j] == 0:
                continue
            side = 0 if sign[j] < 0 else 1
            slope, slope_low = net.slopes[j, side, 0], net.slopes[j, side, 1]
            if slope == 0.0:
                continue
            w, wl = _times(net.weights[k, 0], net.weights[k, 1], slope, slope_low)
            t, tl = _times(w, wl, value[j, 0], value[j, 1])
            z, low = _add(z, low, t, tl)
            terms += 4.0
            size = abs(value[j, 0])
            error += (abs(w) + TINY) * bound[j] + TINY * size
            sizes += abs(w) * size
        value[u, 0], value[u, 1] = z, low
        bound[u] = (error + (FINE * terms) * sizes) * SLOP + TINY
        if abs(z) > bound[u]:
            sign[u] = 1 if z > 0.0 else -1
        elif u == begin and answer != UNSURE:
            sign[u] = answer
            if answer == 0:
                value[u, 0] = value[u, 1] = bound[u] = 0.0
        else:
            return u
    return -1
