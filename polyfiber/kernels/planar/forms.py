"""Forms of all gates on one region of the plane, and what of them changes when a wall is crossed.

A form is (a, b, c, e): the function ``a x + b y + c`` in floats, within e of the true one wherever
``|x|, |y| <= REACH``; ``e`` pays for evaluating it there, too. A gate whose sign is 0 vanishes on the whole region, and
its form is exactly zero.
"""

from __future__ import annotations

from collections import namedtuple

from ..jit import bare_kernel, inline_kernel
from ..rounding import TINY, UNIT

REACH = 1.0625
SLOP = 1.0 + 1e-9
UNSURE = -1
NONE = 9
TOUCHED = 1
CANDIDATE = 2
# what a crossing keeps between two calls: block, place in it, gate asked about, gate of the wall, its sign before,
# number of changed signs, first block, whether signs are given
LEVEL, PLACE, ASKED, WALL, WALL_SIGN, CHANGED, FORCED = range(7)
# starts (levels + 1,): first unit of each block, outputs last; level (n,); rows and columns of all weights in CSR and
# CSC
Net = namedtuple("Net", "starts level row_ptr rows row_weights col_ptr cols col_weights")
# base, change (n, 4); form (4, n); sign (n,) int8; slopes (gates, 2); flags (n,) uint8; touched (n,) and counts
# (levels,): lists by block
State = namedtuple("State", "base form change sign slopes flags touched counts")


@inline_kernel
def _size(a, b, c):
    return (abs(a) + abs(b)) * REACH + abs(c)


@bare_kernel
def refresh(net, state, begin, gamma, x, y, decide, answer):
    """All forms from unit ``begin`` on, from the signs; with ``decide``, signs of gates are those at the point (x, y).

    Returns -1, or the gate whose sign there is unsure; called again with the answer, it goes on.
    """
    starts, level, row_ptr, rows, row_weights, col_ptr, cols, col_weights = net
    base, form, change, sign, slopes, flags, touched, counts = state
    gates = slopes.shape[0]
    for u in range(begin, base.shape[0]):
        if u < gates and not decide and sign[u] == 0:
            form[0, u] = form[1, u] = form[2, u] = form[3, u] = 0.0
            continue
        a, b, c, e = base[u, 0], base[u, 1], base[u, 2], base[u, 3]
        sizes = _size(a, b, c)
        read = 0.0
        for k in range(row_ptr[u], row_ptr[u + 1]):
            j = rows[k]
            if sign[j] == 0:
                continue
            slope = slopes[j, 0 if sign[j] < 0 else 1]
            if slope == 0.0:
                continue
            w = row_weights[k] * slope
            a += w * form[0, j]
            b += w * form[1, j]
            c += w * form[2, j]
            e += abs(w) * form[3, j]
            size = _size(form[0, j], form[1, j], form[2, j])
            sizes += abs(w) * size
            read += size + form[3, j]
        e = (e + gamma * sizes) * SLOP + 8.0 * UNIT * _size(a, b, c) + TINY * read
        form[0, u], form[1, u], form[2, u], form[3, u] = a, b, c, e
        if decide and u < gates:
            value = a * x + b * y + c
            if value > e:
                sign[u] = 1
            elif value < -e:
                sign[u] = -1
            elif u == begin and answer != NONE:
                sign[u] = answer
                if answer == 0:
                    form[0, u] = form[1, u] = form[2, u] = form[3, u] = 0.0
            else:
                return u
    return -1


@bare_kernel
def cross(net, state, at, target, moved, gamma, answer):
    """Update forms and signs behind a wall whose gates are in the lists, flagged as candidates.

    at: see above; target (gates,) int8: the signs to take where FORCED; moved (gates, 2) int32: gates whose signs
    changed, and the signs before. Returns 0, or UNSURE with the gate in ``at[ASKED]``: is it on the far side of the
    wall of sign +, - or 0? Called again with the answer, it goes on where it was.
    """
    starts, level, row_ptr, rows, row_weights, col_ptr, cols, col_weights = net
    base, form, change, sign, slopes, flags, touched, counts = state
    gates = slopes.shape[0]
    wall = at[WALL]
    first = at[PLACE]
    for l in range(at[LEVEL], counts.shape[0]):
        k = first
        first = 0
        while k < counts[l]:
            u = touched[starts[l] + k]
            da, db, dc, de = change[u, 0], change[u, 1], change[u, 2], change[u, 3]
            oa, ob, oc, oe = form[0, u], form[1, u], form[2, u], form[3, u]
            same = da == 0.0 and db == 0.0 and dc == 0.0 and de == 0.0
            na, nb, nc, ne = oa + da, ob + db, oc + dc, oe
            if not same:
                ne = (oe + de) * SLOP + 9.0 * UNIT * _size(na, nb, nc)
            if u >= gates:
                form[0, u], form[1, u], form[2, u], form[3, u] = na, nb, nc, ne
                change[u, 0] = change[u, 1] = change[u, 2] = change[u, 3] = 0.0
                flags[u] = 0
                k += 1
                continue
            old = sign[u]
            new = old
            if at[FORCED] != 0:
                if flags[u] & CANDIDATE:
                    new = target[u]
            elif same:
                if flags[u] & CANDIDATE:
                    new = -old
            elif flags[u] & CANDIDATE or old == 0:
                # the form vanishes along the wall: it is a multiple of the wall's
                axis = 0 if abs(form[0, wall]) >= abs(form[1, wall]) else 1
                mine = na if axis == 0 else nb
                its = form[axis, wall]
                if abs(mine) > ne and abs(its) > form[3, wall]:
                    new = -at[WALL_SIGN] if (mine > 0.0) == (its > 0.0) else at[WALL_SIGN]
                elif answer != NONE:
                    new = answer
                    answer = NONE
                else:
                    at[LEVEL], at[PLACE], at[ASKED] = l, k, u
                    return UNSURE
            low = 0.0 if old == 0 else slopes[u, 0 if old < 0 else 1]
            high = 0.0 if new == 0 else slopes[u, 0 if new < 0 else 1]
            if new == 0:
                na = nb = nc = ne = 0.0
                ya, yb, yc, ye = -low * oa, -low * ob, -low * oc, abs(low) * oe
            elif old == 0:
                ya, yb, yc, ye = high * na, high * nb, high * nc, abs(high) * ne
            else:
                step = high - low
                ya, yb, yc = high * da + step * oa, high * db + step * ob, high * dc + step * oc
                ye = abs(high) * de + abs(step) * oe
                if step != 0.0:
                    ye += gamma * (abs(high) * _size(da, db, dc) + (abs(high) + abs(low)) * _size(oa, ob, oc))
            ye = ye * SLOP + gamma * _size(ya, yb, yc)
            if high != low or (high != 0.0 and not same):
                ye += TINY  # what underflows
            if ye != 0.0 or ya != 0.0 or yb != 0.0 or yc != 0.0:
                for q in range(col_ptr[u], col_ptr[u + 1]):
                    v = cols[q]
                    w = col_weights[q]
                    if not flags[v] & TOUCHED:
                        flags[v] |= TOUCHED
                        lv = level[v]
                        touched[starts[lv] + counts[lv]] = v
                        counts[lv] += 1
                    change[v, 0] += w * ya
                    change[v, 1] += w * yb
                    change[v, 2] += w * yc
                    change[v, 3] += abs(w) * ye + TINY  # never zero: the form of v is another one behind the wall
            form[0, u], form[1, u], form[2, u], form[3, u] = na, nb, nc, ne
            change[u, 0] = change[u, 1] = change[u, 2] = change[u, 3] = 0.0
            flags[u] = 0
            if new != old:
                sign[u] = new
                moved[at[CHANGED], 0] = u
                moved[at[CHANGED], 1] = old
                at[CHANGED] += 1
            k += 1
        counts[l] = 0
    return 0


@bare_kernel
def begin_crossing(net, state, at, gates, count, wall, forced):
    """Put the gates that vanish along a wall on the lists."""
    at[CHANGED] = 0
    at[FORCED] = forced
    at[WALL] = wall
    at[WALL_SIGN] = state.sign[wall] if wall >= 0 else 0
    at[PLACE] = 0
    lowest = state.counts.shape[0]
    for i in range(count):
        u = gates[i]
        l = net.level[u]
        state.flags[u] = TOUCHED | CANDIDATE
        state.touched[net.starts[l] + state.counts[l]] = u
        state.counts[l] += 1
        lowest = min(lowest, l)
    at[LEVEL] = lowest
