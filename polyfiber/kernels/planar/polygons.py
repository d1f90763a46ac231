"""The polygon of one region: a domain cut by every gate, with signs that are certified and zeros that are exact.

Lines are numbered: gates 0, 1, …; sides of the domain -1, -2, …. Vertex k of a polygon lies between its edges k - 1 and
k; edge k lies on ``line[k]``. Gates that vanish at a vertex or along an edge beyond the lines themselves are in a list
of extras (tag, gate): vertices and edges carry tags that no other has.
"""

from __future__ import annotations

from collections import namedtuple

import numpy as np

from ..jit import bare_kernel, inline_kernel, trailing_zeros
from ..lanes import above8, load_row8, magnitude, plus, scaled, signs8, times
from ..rounding import TINY, UNIT
from ..rows import hash_row, probe

UNSURE = -1
EMPTY = -2
FULL = -3
NONE = 9
PAD = 1e-15
LOST = 1e-316  # more than what underflows in three products
BLOCK = 64
ZERO, ONE, EIGHT_BITS = np.uint64(0), np.uint64(1), np.uint64(255)
# sides (S, 4): lines, nonnegative inside; corners (S, 4), corner k between sides k - 1 and k
Domain = namedtuple("Domain", "sides corners")
# two buffers of vertices: corner (2, cap, 4) x, y and bounds of their errors; line (2, cap); tags (2, cap, 2) of vertex
# and edge; meet (2, cap, 2) the two lines that define a vertex; extra (cap, 2); count (8,): vertices, buffer, next tag,
# extras, stamp; side (cap,) int8 scratch; done (gates,) stamps
Polygon = namedtuple("Polygon", "corner line tags meet extra count side done")
VERTICES, BUFFER, TAG, EXTRAS, STAMP = range(5)
# what holds on the border of the domain, row by corner or side: sign (S, gates) int8 at each corner; zero (S, gates)
# int8, whether a gate vanishes along a side; like (S, gates) int32, the gate that it equals there, or -1; fixed (S,
# gates) int8, its sign where it is constant and not zero; known (2, S) int8, whether corners and sides were looked at;
# fits (2, S) int8, whether this region is consistent with each: 1, -1, or 0 where nobody asked yet
Border = namedtuple("Border", "sign zero like fixed known fits")
# what was asked and answered on this region: keys (cap, 3), signs (cap,), count (1,), query (4,); along (cap, 3) int64
# with its table: gate, line, signs of what the gate reads, where the gate vanishes along the line
Answers = namedtuple("Answers", "keys signs count query border table along row_ptr rows")
MOST_READS = 24


@bare_kernel
def reading(row_ptr, rows, sign, g):
    """A number for the signs of what a gate reads; -1 where that is too much for one."""
    begin, end = row_ptr[g], row_ptr[g + 1]
    if end - begin > MOST_READS:
        return -1
    code = 0
    for k in range(begin, end):
        code = 3 * code + sign[rows[k]] + 1
    return code


@bare_kernel
def _is_along(answers, g, line, code):
    """Whether it is known that a gate vanishes along a line while what it reads has these signs; asks in the last
    row.
    """
    along = answers.along
    last = along.shape[0] - 1
    along[last, 0], along[last, 1], along[last, 2] = g, line, code
    return probe(answers.table, along, hash_row(along, last), along, last) >= 0


@inline_kernel
def _fits(border, side, k, sign, g):
    """Whether a gate's sign on the region is that at corner k, if it has one there; along side k, that of what it
    equals there.
    """
    if side == 0:
        return border.sign[k, g] == 0 or border.sign[k, g] == sign[g]
    other, fixed = border.like[k, g], border.fixed[k, g]
    return (other < 0 or sign[other] == sign[g]) and (fixed == 0 or fixed == sign[g])


@bare_kernel
def _holds(answers, side, k, sign, g):
    """Whether what is known of gate g at corner k, or along side k, holds of its form on this region.

    Its form is fixed by the signs of what it reads, and what that reads. Where they fit, values at the corner are the
    function's, and rows along the side cancel as they were proved to, by induction over the blocks. Where they do not,
    the region lies elsewhere, and its forms may have other values on the border.
    """
    border, row_ptr, rows = answers.border, answers.row_ptr, answers.rows
    for q in range(row_ptr[g], row_ptr[g + 1]):
        j = rows[q]
        if row_ptr[j] < row_ptr[j + 1]:
            break
        if not _fits(border, side, k, sign, j):
            return False
    else:
        return True
    if border.fits[side, k] == 0:
        border.fits[side, k] = 1
        for h in range(border.sign.shape[1]):
            if not _fits(border, side, k, sign, h):
                border.fits[side, k] = -1
                break
    return border.fits[side, k] > 0


@bare_kernel
def _vanishes_along(answers, line, g, sign):
    k, border = -1 - line, answers.border
    return line < 0 and border.known[1, k] != 0 and border.zero[k, g] != 0 and _holds(answers, 1, k, sign, g)


@bare_kernel
def _answered(answers, i, j, g, sign):
    border = answers.border
    if i < 0 and j < 0 and border.known[0, -1 - j] != 0 and _holds(answers, 0, -1 - j, sign, g):
        return border.sign[-1 - j, g]
    if _vanishes_along(answers, i, g, sign) or _vanishes_along(answers, j, g, sign):
        return 0
    code = reading(answers.row_ptr, answers.rows, sign, g)
    if code >= 0:
        if _is_along(answers, g, i, code) or _is_along(answers, g, j, code):
            return 0
    keys = answers.keys
    for k in range(answers.count[0]):
        if keys[k, 2] == g and keys[k, 0] == i and keys[k, 1] == j:
            return answers.signs[k]
    return NONE


@inline_kernel
def _line(form, sides, i):
    if i >= 0:
        return form[0, i], form[1, i], form[2, i], form[3, i]
    return sides[-1 - i, 0], sides[-1 - i, 1], sides[-1 - i, 2], sides[-1 - i, 3]


@bare_kernel
def _meeting(form, sides, poly, k, k1, g, at, value, value1):
    """The vertex of edge k with gate g, between vertices k and k1 where the gate has these values."""
    corner, old = poly.corner, poly.count[BUFFER]
    new = 1 - old
    i = poly.line[old, k]
    a, b, c, e = _line(form, sides, i)
    ga, gb, gc, ge = _line(form, sides, g)
    step = value - value1
    t = value / step if step != 0.0 else 0.5
    if (
        not 0.0 <= t <= 1.0
    ):  # signs are exact, the values may be equal floats: anywhere on the edge, with bounds that say so
        t = 0.5
    x0, y0, x1, y1 = corner[old, k, 0], corner[old, k, 1], corner[old, k1, 0], corner[old, k1, 1]
    det = a * gb - ga * b
    x, y = (b * gc - gb * c) / det, (c * ga - gc * a) / det
    if not (min(x0, x1) - 1e-9 <= x <= max(x0, x1) + 1e-9 and min(y0, y1) - 1e-9 <= y <= max(y0, y1) + 1e-9):
        x, y = x0 + t * (x1 - x0), y0 + t * (y1 - y0)
    r = abs(a * x + b * y + c) + e
    gr = abs(ga * x + gb * y + gc) + ge
    size, gsize = abs(a) + abs(b), abs(ga) + abs(gb)
    least = abs(det) - (e * gsize + ge * size + e * ge) - 4.0 * UNIT * size * gsize - TINY
    # within the edge, whatever the lines are
    dx = max(abs(x - x0) + corner[old, k, 2], abs(x - x1) + corner[old, k1, 2])
    dy = max(abs(y - y0) + corner[old, k, 3], abs(y - y1) + corner[old, k1, 3])
    if least > 0.0:
        dx = min(dx, (r * (abs(gb) + ge) + gr * (abs(b) + e) + LOST) / least * (1.0 + 1e-9))
        dy = min(dy, (r * (abs(ga) + ge) + gr * (abs(a) + e) + LOST) / least * (1.0 + 1e-9))
    corner[new, at, 0], corner[new, at, 1] = x, y
    corner[new, at, 2], corner[new, at, 3] = dx + PAD * UNIT, dy + PAD * UNIT
    poly.meet[new, at, 0], poly.meet[new, at, 1] = i, g
    poly.tags[new, at, 0] = poly.count[TAG]
    poly.count[TAG] += 1


@bare_kernel
def _note(poly, tag, g):
    """State that a gate vanishes where the tag is; False where the list is full."""
    n = poly.count[EXTRAS]
    if n >= poly.extra.shape[0]:
        return False
    poly.extra[n, 0], poly.extra[n, 1] = tag, g
    poly.count[EXTRAS] = n + 1
    return True


@bare_kernel
def _hand_on(poly, edge_tag, line, vertex_tag):
    """The gates of an edge that goes vanish at a vertex that stays."""
    good = _note(poly, vertex_tag, line)
    for i in range(poly.count[EXTRAS]):
        if poly.extra[i, 0] == edge_tag:
            good = _note(poly, vertex_tag, poly.extra[i, 1]) and good
    return good


@inline_kernel
def _keep(poly, old, k, new, at):
    for q in range(4):
        poly.corner[new, at, q] = poly.corner[old, k, q]
    poly.meet[new, at, 0], poly.meet[new, at, 1] = poly.meet[old, k, 0], poly.meet[old, k, 1]
    poly.tags[new, at, 0] = poly.tags[old, k, 0]


@bare_kernel
def clip(g, form, sign, sides, poly, answers):
    """Cut the polygon by gate g: 1 where it cut, 0 where not, UNSURE with the query, EMPTY, FULL."""
    corner, line, tags, meet, extra, count, side, done = poly
    a, b, c, e, s = form[0, g], form[1, g], form[2, g], form[3, g], sign[g]
    n, old = count[VERTICES], count[BUFFER]
    above = below = zeros = 0
    for k in range(n):
        value = s * (a * corner[old, k, 0] + b * corner[old, k, 1] + c)
        bound = (e + (abs(a) + e) * corner[old, k, 2] + (abs(b) + e) * corner[old, k, 3]) * (1.0 + 1e-9)
        if value > bound:
            side[k] = 1
            above += 1
        elif value < -bound:
            side[k] = -1
            below += 1
        else:
            known = _answered(answers, meet[old, k, 0], meet[old, k, 1], g, sign)
            if known == NONE:
                answers.query[0], answers.query[1] = meet[old, k, 0], meet[old, k, 1]
                answers.query[2] = g
                return UNSURE
            side[k] = known * s
            above += side[k] > 0
            below += side[k] < 0
            zeros += side[k] == 0
    if above == 0:
        return EMPTY
    if below == 0:
        if zeros:
            for k in range(n):
                if side[k] == 0:
                    k1 = k + 1 if k + 1 < n else 0
                    before = side[k - 1 if k else n - 1]
                    if side[k1] == 0:
                        if not _note(poly, tags[old, k, 1], g):
                            return FULL
                    elif before != 0 and not _note(poly, tags[old, k, 0], g):
                        return FULL
        return 0
    if n + 2 > line.shape[1]:
        return FULL
    new = 1 - old
    m = 0
    good = True
    for k in range(n):
        k1 = k + 1 if k + 1 < n else 0
        if side[k] >= 0:
            _keep(poly, old, k, new, m)
            if side[k1] >= 0 or side[k] > 0:
                line[new, m], tags[new, m, 1] = line[old, k], tags[old, k, 1]
                m += 1
                if side[k1] < 0:
                    v0 = s * (a * corner[old, k, 0] + b * corner[old, k, 1] + c)
                    v1 = s * (a * corner[old, k1, 0] + b * corner[old, k1, 1] + c)
                    _meeting(form, sides, poly, k, k1, g, m, v0, v1)
                    line[new, m], tags[new, m, 1] = g, count[TAG]
                    count[TAG] += 1
                    m += 1
            else:
                line[new, m], tags[new, m, 1] = g, count[TAG]
                count[TAG] += 1
                m += 1
                good = _hand_on(poly, tags[old, k, 1], line[old, k], tags[old, k, 0]) and good
        elif side[k1] > 0:
            v0 = s * (a * corner[old, k, 0] + b * corner[old, k, 1] + c)
            v1 = s * (a * corner[old, k1, 0] + b * corner[old, k1, 1] + c)
            _meeting(form, sides, poly, k, k1, g, m, v0, v1)
            line[new, m], tags[new, m, 1] = line[old, k], tags[old, k, 1]
            m += 1
        elif side[k1] == 0:
            good = _hand_on(poly, tags[old, k, 1], line[old, k], tags[old, k1, 0]) and good
    count[VERTICES], count[BUFFER] = m, new
    if not good:
        return FULL
    return 1


@bare_kernel
def _frame(poly):
    """Middle and half widths of a box around the polygon."""
    corner, cur = poly.corner, poly.count[BUFFER]
    x0 = y0 = 1e300
    x1 = y1 = -1e300
    for k in range(poly.count[VERTICES]):
        x, y, dx, dy = corner[cur, k, 0], corner[cur, k, 1], corner[cur, k, 2], corner[cur, k, 3]
        x0, x1 = min(x0, x - dx), max(x1, x + dx)
        y0, y1 = min(y0, y - dy), max(y1, y + dy)
    return 0.5 * (x0 + x1), 0.5 * (y0 + y1), 0.5 * (x1 - x0) + PAD, 0.5 * (y1 - y0) + PAD


@inline_kernel
def _near(form, sign, begin, end, cx, cy, rx, ry):
    """Which gates begin <= g < end, 64 at most, may vanish in a box, as bits."""
    bits = ZERO
    whole = begin + (end - begin) // 8 * 8
    for g in range(begin, whole, 8):
        a, b = load_row8(form, 0, g), load_row8(form, 1, g)
        value = plus(plus(scaled(cx, a), scaled(cy, b)), load_row8(form, 2, g))
        bound = plus(plus(scaled(rx, magnitude(a)), scaled(ry, magnitude(b))), load_row8(form, 3, g))
        far = above8(times(signs8(sign, np.uint64(g)), value), bound)
        bits |= (far ^ EIGHT_BITS) << np.uint64(g - begin)
    for g in range(whole, end):
        value = sign[g] * (form[0, g] * cx + form[1, g] * cy + form[2, g])
        if not value > abs(form[0, g]) * rx + abs(form[1, g]) * ry + form[3, g]:
            bits |= ONE << np.uint64(g - begin)
    return bits


@bare_kernel
def build(form, sign, domain, poly, answers, hints, n_hints):
    """The polygon of the region with these forms and signs; 0, UNSURE with the query, EMPTY, FULL.

    hints: gates that are tried first.
    """
    sides, corners = domain
    corner, line, tags, meet, extra, count, side, done = poly
    gates = done.shape[0]
    n = sides.shape[0]
    count[VERTICES], count[BUFFER], count[TAG], count[EXTRAS] = n, 0, 2 * n, 0
    count[STAMP] += 1
    stamp = count[STAMP]
    for k in range(n):
        for q in range(4):
            corner[0, k, q] = corners[k, q]
        line[0, k] = -1 - k
        tags[0, k, 0], tags[0, k, 1] = 2 * k, 2 * k + 1
        meet[0, k, 0], meet[0, k, 1] = -1 - (k - 1 if k else n - 1), -1 - k
    for h in range(n_hints):
        g = hints[h]
        if g >= 0 and sign[g] != 0 and done[g] != stamp:
            done[g] = stamp
            r = clip(g, form, sign, sides, poly, answers)
            if r < 0:
                return r
    cx, cy, rx, ry = _frame(poly)
    for begin in range(0, gates, BLOCK):
        bits = _near(form, sign, begin, min(begin + BLOCK, gates), cx, cy, rx, ry)
        while bits != ZERO:
            g = begin + np.int64(trailing_zeros(bits))
            bits &= bits - ONE
            s = sign[g]
            if s == 0 or done[g] == stamp:
                continue
            a, b = form[0, g], form[1, g]
            if s * (a * cx + b * cy + form[2, g]) > abs(a) * rx + abs(b) * ry + form[3, g]:  # the box is smaller by now
                continue
            r = clip(g, form, sign, sides, poly, answers)
            if r < 0:
                return r
            if r > 0:
                cx, cy, rx, ry = _frame(poly)
    return 0
