"""Two networks of one architecture as flat arrays, values of both at a point, and the roundings that are charged.

``f`` and ``g`` have pre-activations a and b; what is followed is a and the difference ``d = a - b``, with
``y = relu(a)`` and ``D = relu(a) - relu(b)``. One layer further ``a' = Wf y + bf`` and ``d' = Wg D + dW y + db`` with
``dW = Wf - Wg``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..jit import bare_kernel, outlined_kernel
from ..lanes import axpy, load8, plus, store, zero8

# ---- charges: each entry of ``unit`` is 2**-53, so that a test can leave one out -------------------------------------------
FORM_A, FORM_D, BIAS, DIFFERENCE, RELU, OFFSET, RADIUS, HALF, MUTUAL = 0, 1, 2, 3, 4, 5, 6, 7, 8
BACK, PLANE, CONSTANT, EVALUATE, GOAL, FOLD, TINY = 9, 10, 11, 12, 13, 14, 15
N_CHARGES = 16
MARGIN = 1.001
"""Every charge is born a thousandth too large: the sums that carry it on lose far less than that."""


class Layout(NamedTuple):
    """Where what belongs to a layer lies in flat arrays.

    Attributes
    ----------
    widths : int64 (L + 1,)
    first : int64 (L + 1,)
        Where the neurons of a layer begin in flat arrays of neurons; the outputs are the last ones.
    at : int64 (L + 1,)
        Where the matrix of a layer begins.
    folds : int8 (L,)
        Layers where the bounds in `Errors` are not all zero.
    zero : int64 (1,)
        A zero.
    """

    widths: Any
    first: Any
    at: Any
    folds: Any
    zero: Any


class Three(NamedTuple):
    """The same of f, of g, and of their difference."""

    f: Any
    g: Any
    d: Any


class Errors(NamedTuple):
    """Bounds of how far weights and biases of f and g are from the true ones."""

    wf: Any
    wg: Any
    bf: Any
    bg: Any


class Pair(NamedTuple):
    """Weights of both networks; matrices flat, layer by layer.

    Attributes
    ----------
    layout : Layout
    rows : Three of float64
        Rows of a layer one after the other, (n_l, n_{l-1}).
    columns : Three of float64
        The same, transposed.
    biases : Three of float64 (N + m,)
    errors : Errors of float64
        Laid out as ``rows.f`` and ``biases.f``.
    """

    layout: Any
    rows: Any
    columns: Any
    biases: Any
    errors: Any


class Goal(NamedTuple):
    """What is to be proved: in every group one of the alternatives ``c . (a, d) + constant <= limit``.

    Attributes
    ----------
    start : int64 (groups + 1,)
        Alternatives of a group.
    entry : int64 (alternatives + 1,)
        Entries of an alternative.
    column : int64 (entries,)
        Output of f, or m + output of d.
    value : float64 (entries,)
    constant, limit : float64 (alternatives,)
    rows : float64 (r, n0)
        Only the part of a box where ``rows x <= sides`` counts.
    sides : float64 (r,)
    """

    start: Any
    entry: Any
    column: Any
    value: Any
    constant: Any
    limit: Any
    rows: Any
    sides: Any


@outlined_kernel
def product(out, x, table, lines, live, order, shape):
    """``out[r, i] = sum_j x[lines[r], live[j]] table[order[j], i]``, all flat; sums of the same terms in the same order
    for every entry.

    Parameters
    ----------
    out, x, table : float64
        Readable, and ``out`` writeable, to the end of the last vector of eight columns.
    lines : int64 (rows,)
    live, order : int64 (count,)
    shape : (rows, count, columns, stride of out, of x, of table)
    """
    rows, count, columns, so, sx, st = shape
    r = 0
    while r < rows:
        r1 = min(r + 1, rows - 1)
        r2 = min(r + 2, rows - 1)
        r3 = min(r + 3, rows - 1)
        q0, q1, q2, q3 = lines[r] * sx, lines[r1] * sx, lines[r2] * sx, lines[r3] * sx
        for i in range(0, columns, 8):
            c0, c1, c2, c3 = zero8(), zero8(), zero8(), zero8()
            for j in range(count):
                column = live[j]
                t = load8(table, np.uint64(order[j] * st + i))
                c0 = axpy(c0, x[q0 + column], t)
                c1 = axpy(c1, x[q1 + column], t)
                c2 = axpy(c2, x[q2 + column], t)
                c3 = axpy(c3, x[q3 + column], t)
            store(out, np.uint64(i + r * so), c0)
            store(out, np.uint64(i + r1 * so), c1)
            store(out, np.uint64(i + r2 * so), c2)
            store(out, np.uint64(i + r3 * so), c3)
        r += 4


@outlined_kernel
def products(out, x, table, y, other, lines, live, order, shape):
    """As `product`, with ``sum_j x table + sum_j y other``."""
    rows, count, columns, so, sx, st = shape
    r = 0
    while r < rows:
        r1 = min(r + 1, rows - 1)
        q0, q1 = lines[r] * sx, lines[r1] * sx
        for i in range(0, columns, 8):
            c0, c1, e0, e1 = zero8(), zero8(), zero8(), zero8()
            for j in range(count):
                column, row = live[j], order[j] * st + i
                t, s = load8(table, np.uint64(row)), load8(other, np.uint64(row))
                c0 = axpy(c0, x[q0 + column], t)
                c1 = axpy(c1, x[q1 + column], t)
                e0 = axpy(e0, y[q0 + column], s)
                e1 = axpy(e1, y[q1 + column], s)
            store(out, np.uint64(i + r * so), plus(c0, e0))
            store(out, np.uint64(i + r1 * so), plus(c1, e1))
        r += 2


@outlined_kernel
def evaluate(pair, x, a, d, y, z, live):
    """Pre-activations of f and their differences at a point, in plain floating point.

    Parameters
    ----------
    x : float64 (n0,)
    a, d : float64 (N + m + 8,), overwritten
    y, z : float64 (widest,), scratch
    live : int64 (widest,), scratch
    """
    layers = pair.layout.widths.shape[0] - 1
    for l in range(layers):
        n, m = pair.layout.widths[l], pair.layout.widths[l + 1]
        o, s = pair.layout.at[l], pair.layout.first[l]
        if l == 0:
            for j in range(n):
                y[j], z[j] = x[j], 0.0
        else:
            p = pair.layout.first[l - 1]
            for j in range(n):
                up = a[p + j]
                other = up - d[p + j]
                up = up if up > 0.0 else 0.0
                other = other if other > 0.0 else 0.0
                y[j], z[j] = up, up - other
        count = 0
        for j in range(n):
            if y[j] != 0.0 or z[j] != 0.0:
                live[count] = j
                count += 1
        shape = (1, count, m, 0, 0, m)
        zero = pair.layout.zero
        product(a[s:], y, pair.columns.f[o:], zero, live, live, shape)
        products(d[s:], z, pair.columns.g[o:], y, pair.columns.d[o:], zero, live, live, shape)
        for i in range(m):
            a[s + i] += pair.biases.f[s + i]
            d[s + i] += pair.biases.d[s + i]


@bare_kernel
def alternative(goal, k, a, d, s, m):
    """Value of an alternative at outputs ``a[s:s + m]`` and ``d[s:s + m]``, less its limit."""
    value = goal.constant[k] - goal.limit[k]
    for t in range(goal.entry[k], goal.entry[k + 1]):
        c = goal.column[t]
        value += goal.value[t] * (a[s + c] if c < m else d[s + c - m])
    return value


@outlined_kernel
def violation(pair, goal, a, d):
    """By how much a point violates the worst group, and the alternative that is violated least there."""
    last = pair.layout.widths.shape[0] - 2
    s, m = pair.layout.first[last], pair.layout.widths[last + 1]
    worst, which = -np.inf, 0
    for group in range(goal.start.shape[0] - 1):
        least, best = np.inf, goal.start[group]
        for k in range(goal.start[group], goal.start[group + 1]):
            value = alternative(goal, k, a, d, s, m)
            if value < least:
                least, best = value, k
        if least > worst:
            worst, which = least, best
    return worst, which


@bare_kernel
def inside(goal, x):
    """Whether a point satisfies the rows beyond rounding, underflow aside; rationals look at what is kept."""
    for r in range(goal.sides.shape[0]):
        total, size = -goal.sides[r], abs(goal.sides[r])
        for j in range(x.shape[0]):
            term = goal.rows[r, j] * x[j]
            total += term
            size += abs(term)
        if not total <= -1e-15 * (x.shape[0] + 2) * size:
            return False
    return True


@outlined_kernel
def gradient(pair, goal, k, a, d, u, v, slope):
    """Gradient of an alternative on the affine piece that holds the point where a, d were worked out.

    Parameters
    ----------
    a, d : float64 (N + m,)
    u, v : float64 (2, widest), scratch
    slope : float64 (n0,), overwritten
    """
    last = pair.layout.widths.shape[0] - 2
    m = pair.layout.widths[last + 1]
    for o in range(m):
        u[0, o] = v[0, o] = 0.0
    for t in range(goal.entry[k], goal.entry[k + 1]):
        c = goal.column[t]
        if c < m:
            u[0, c] += goal.value[t]
        else:
            v[0, c - m] += goal.value[t]
    for l in range(last, -1, -1):
        n, m = pair.layout.widths[l], pair.layout.widths[l + 1]
        for j in range(n):
            u[1, j] = v[1, j] = 0.0
        for t in range(m):
            p, q, o = u[0, t], v[0, t], pair.layout.at[l] + t * n
            if p != 0.0 or q != 0.0:
                for j in range(n):
                    u[1, j] += p * pair.rows.f[o + j] + q * pair.rows.d[o + j]
                    v[1, j] += q * pair.rows.g[o + j]
        if l == 0:
            for j in range(n):
                slope[j] = u[1, j]
            return
        s = pair.layout.first[l - 1]
        for j in range(n):
            on = a[s + j] > 0.0
            other = a[s + j] - d[s + j] > 0.0
            c, e = u[1, j], v[1, j]
            u[0, j] = (c + e if on else 0.0) - (e if other else 0.0)
            v[0, j] = e if other else 0.0
