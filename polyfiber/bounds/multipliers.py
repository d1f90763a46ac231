"""Bounds of two networks together by lines with free slopes and by multipliers of taken signs, many rows at once.

A functional of the pre-activations of a layer is carried back to the input. On the way every ``relu(a)``, ``relu(b)``
and ``D = relu(a) - relu(b)`` becomes a line above it, and five numbers a neuron may be chosen: the slopes of the lines
below relu(a) and relu(b), the part of D that goes by these lines (the rest by the line above max(d, 0) or below
min(d, 0)), and multipliers >= 0 of taken signs of a and b. Whatever they are, the result is a bound (Xu et al., 2021;
Wang et al., 2021: alpha, beta-CROWN). So they are improved in plain floating point, by the gradient, and the bound is
worked out once with all roundings charged.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .._typing import Array, BoolArray, FloatArray, IntArray
from ..numerics.rounding import TINY, UNIT
from .pairing import Side

SLOPE_A, SLOPE_B, PART, SIGN_A, SIGN_B = range(5)
"""What may be chosen for a neuron."""
RATE, DECAY, KEEP, KEEP_SQUARE = 0.3, 0.95, 0.9, 0.99
"""Of the gradient steps: their size, what is left of it after one, and the means of gradients."""
LOOKS = (6, 14, 24)
"""Steps after which rows that are proved are left out."""
SAFE = 1e-10
"""A row this far below zero (times its size) is taken as proved by the steps; the charged bound decides."""

SUMS, FOLD, SPLIT, PLANE, LIFT, CONSTANT, ENDS, CHANGE, MUTUAL, UNDERFLOW = range(10)
CHARGES = np.ones(10)
"""Kinds of roundings: a test leaves one out."""


class Losses(NamedTuple):
    """What a unit of a and of d may lose in each layer, and how large values are; of live neurons.

    Attributes
    ----------
    a, d : one array for each layer
    size_a, size_d, y, D : (n,) arrays
        Bounds of magnitudes of a, d, relu(a) and the difference, hidden layers one after the other.
    inputs : (n0,) array
    reads : one number for each layer
        Sum of the magnitudes that it reads.
    """

    a: list[FloatArray]
    d: list[FloatArray]
    size_a: FloatArray
    size_d: FloatArray
    y: FloatArray
    D: FloatArray
    inputs: FloatArray
    reads: list[float]


class Rows(NamedTuple):
    """Functionals ``P a + Q d + constant`` of a layer: (R, n), (R, n), (R,)."""

    layer: int
    P: FloatArray
    Q: FloatArray
    constant: FloatArray


class Step(NamedTuple):
    """One hidden layer of a substitution."""

    S: FloatArray
    together: FloatArray
    apart: FloatArray
    E: FloatArray
    slope_a: FloatArray
    slope_b: FloatArray
    slope_d: FloatArray
    lift_a: FloatArray
    lift_b: FloatArray
    lift_d: FloatArray


class Lines(NamedTuple):
    """Slopes, lifts (R, n) of the lines above relu(a), relu(b), relu(d), relu(-d), and which neurons may switch."""

    a: tuple[FloatArray, FloatArray]
    b: tuple[FloatArray, FloatArray]
    up: tuple[FloatArray, FloatArray]
    down: tuple[FloatArray, FloatArray]
    open_a: BoolArray
    open_b: BoolArray

    def of(self, rows: Array) -> Lines:
        """Those of some rows."""
        a, b, up, down = ((slope[rows], height[rows]) for slope, height in self[:4])
        return Lines(a, b, up, down, self.open_a[rows], self.open_b[rows])


class Found(NamedTuple):
    """What was lowered, for R rows.

    Attributes
    ----------
    bound : (R,) array
        Every rounding is charged.
    free : (5, R, n) array
        What was chosen.
    corner : (R, n0) array
        Where the affine functions above the rows are largest; after steps the mean of these, which comes near to a
        solution of the linear program that the steps solve from the other side.
    gain : (2, R, n) array
        What the lines of a and of b add there; -1 where a neuron does not switch.
    slope : (R, n0) array
    """

    bound: FloatArray
    free: FloatArray
    corner: FloatArray
    gain: FloatArray
    slope: FloatArray


def lift(slope: FloatArray, low: FloatArray, high: FloatArray, unit: FloatArray) -> FloatArray:
    """How far above ``slope t`` relu(t) may be, rounded up."""
    top = np.maximum(-slope * low, (1.0 - slope) * high) * (1 + 8 * UNIT * unit[LIFT]) + TINY * unit[UNDERFLOW]
    return np.where((low >= 0) | (high <= 0), 0.0, top)


def _line(low: FloatArray, high: FloatArray, unit: FloatArray) -> tuple[FloatArray, FloatArray]:
    with np.errstate(all="ignore"):
        slope = np.clip(high / (high - low), 0.0, 1.0)
    slope = np.where(low >= 0, 1.0, np.where(high <= 0, 0.0, np.where(np.isnan(slope), 1.0, slope)))
    return slope, lift(slope, low, high, unit)


def met(box: FloatArray, unit: FloatArray = CHARGES) -> BoolArray:
    """Use that ``d = a - b`` on bounds (R, 6, n), in place; which rows hold no input any more."""
    u, tiny = 2 * UNIT * unit[MUTUAL], TINY * unit[UNDERFLOW]
    for _ in range(2):
        for to in (4, 0, 2):
            la, ua, lb, ub, ld, ud = (box[:, k] for k in range(6))
            least, most = {4: (la - ub, ua - lb), 0: (lb + ld, ub + ud), 2: (la - ud, ua - ld)}[to]
            np.maximum(box[:, to], least - u * np.abs(least) - tiny, out=box[:, to])
            np.minimum(box[:, to + 1], most + u * np.abs(most) + tiny, out=box[:, to + 1])
    return np.asarray((box[:, 0::2] > box[:, 1::2]).any(axis=(1, 2)))


class Layers:
    """The live neurons of two networks on a box, as matrices.

    Parameters
    ----------
    sides : (Side, Side)
    lo, hi : (n0,) arrays
    box : (6, N) array
        Bounds of a, b, d of all hidden neurons on the box, finite.
    unit : array, optional
        A test leaves out charges.
    """

    def __init__(
        self, sides: tuple[Side, Side], lo: FloatArray, hi: FloatArray, box: FloatArray, unit: FloatArray = CHARGES
    ) -> None:
        f, g = self.sides = sides
        self.unit, self.lo, self.hi = unit, lo, hi
        depth = len(f.weights)
        widths = [len(b) for b in f.biases]
        begin = np.concatenate([[0], np.cumsum(widths[:-1])]).astype(int)
        keep = [
            np.flatnonzero((part[1] > 0) | (part[3] > 0)) for part in np.split(box, begin[1:-1], axis=1)[: depth - 1]
        ]
        self.begin = begin
        self.alive = [np.arange(len(lo)), *keep, np.arange(widths[-1])]
        self.live: IntArray = np.concatenate([start + k for start, k in zip(begin, keep)] or [np.zeros(0, int)])
        self.first = np.concatenate([[0], np.cumsum([len(k) for k in keep])]).astype(int)
        self.n, self.depth = len(self.live), depth

        def cut(parts: Sequence[FloatArray]) -> list[FloatArray]:
            return [np.ascontiguousarray(M[np.ix_(self.alive[l + 1], self.alive[l])]) for l, M in enumerate(parts)]

        def short(parts: Sequence[FloatArray]) -> list[FloatArray]:
            return [v[self.alive[l + 1]] for l, v in enumerate(parts)]

        self.V, self.W = cut(f.weights), cut(g.weights)
        self.change = [v - w for v, w in zip(self.V, self.W)]
        self.b, self.shift = short(f.biases), [v - w for v, w in zip(short(f.biases), short(g.biases))]
        self.folds = (cut(f.weight_errors), cut(g.weight_errors), short(f.bias_errors), short(g.bias_errors))
        self.losses = self._losses(box[:, self.live])

    def _losses(self, box: FloatArray) -> Losses:
        unit = self.unit
        inputs = np.maximum(np.abs(self.lo), np.abs(self.hi))
        sizes = [np.maximum(np.abs(box[k]), np.abs(box[k + 1])) for k in (0, 4)]
        most = np.maximum(box[1], 0.0), sizes[1]
        a, d, reads, y, D = [], [], [], inputs, np.zeros(len(inputs))
        for l in range(self.depth):
            V, W, change = (np.abs(part[l]) for part in (self.V, self.W, self.change))
            terms = (2 * sum(V.shape) + 16) * UNIT * unit[SUMS]
            moved = change @ y + np.abs(self.shift[l])
            one = terms * (V @ y + np.abs(self.b[l]))
            two = terms * (W @ D + moved) + 2 * UNIT * unit[CHANGE] * moved
            F, G, f, g = (part[l] for part in self.folds)
            one = one + unit[FOLD] * (F @ y + f)
            two = two + unit[FOLD] * ((F + G) @ y + G @ D + f + g)
            reads.append(float(y.sum() + D.sum()))
            a.append(one * 1.01)
            d.append(two * 1.01)
            if l < self.depth - 1:
                y, D = (part[self.first[l] : self.first[l + 1]] for part in most)
        return Losses(a, d, sizes[0], sizes[1], most[0], most[1], inputs, reads)

    def lines(self, box: FloatArray) -> Lines:
        """Lines on bounds (R, 6, n) of live neurons."""
        la, ua, lb, ub, ld, ud = (box[:, k] for k in range(6))
        unit = self.unit
        return Lines(
            _line(la, ua, unit), _line(lb, ub, unit), _line(ld, ud, unit), _line(-ud, -ld, unit),
            (la < 0) & (ua > 0), (lb < 0) & (ub > 0),
        )  # fmt: skip

    def start(self, lines: Lines) -> FloatArray:
        """Choices (5, R, n) to begin with."""
        free = np.zeros((5, *lines.open_a.shape))
        free[SLOPE_A], free[SLOPE_B] = lines.a[0] > 0.5, lines.b[0] > 0.5
        free[PART] = np.where(lines.open_a & lines.open_b, 0.0, np.where(lines.open_a | lines.open_b, 0.5, 1.0))
        return free

    # ---- one substitution ------------------------------------------------------------------------
    def back(
        self, rows: Rows, lines: Lines, free: FloatArray, taken: FloatArray | None, charged: bool = False
    ) -> tuple[FloatArray, FloatArray, list[Step], FloatArray]:
        """Slopes (R, n0) and constants (R,) of affine functions above rows; the steps, and coefficients of a (R, n).

        With ``charged`` the constants hold every rounding.
        """
        P, Q, constant = rows.P, rows.Q, rows.constant
        lost = np.zeros(len(P))
        size = np.abs(constant)
        steps: list[Step] = []
        weight = np.zeros((len(P), self.first[rows.layer]))
        count = 8
        for l in range(rows.layer, -1, -1):
            constant = constant + P @ self.b[l] + Q @ self.shift[l]
            C = P @ self.V[l] + Q @ self.change[l]
            if charged:
                p, q = np.abs(P), np.abs(Q)
                size = size + p @ np.abs(self.b[l]) + q @ np.abs(self.shift[l])
                lost = lost + (p @ self.losses.a[l] + q @ self.losses.d[l]) * 1.01
                lost = lost + TINY * self.unit[UNDERFLOW] * (1.0 + self.losses.reads[l])  # coefficients times values
                count += 2 * len(self.b[l]) + 4
            if l == 0:
                break
            E = Q @ self.W[l]
            part = slice(self.first[l - 1], self.first[l])
            step = _step(C, E, lines, free, part)
            more = (step.S * step.lift_a - step.apart * step.lift_b + step.together * step.lift_d).sum(axis=1)
            by_b = step.apart * step.slope_b
            P, Q = step.S * step.slope_a - by_b, by_b + step.together * step.slope_d
            weight[:, part] = P
            if taken is not None:
                held = free[SIGN_B, :, part] * taken[1][:, part]
                P, Q = P + free[SIGN_A, :, part] * taken[0][:, part] + held, Q - held
            if charged:
                lost = lost + self._lost(C, E, free, part) + 4 * UNIT * self.unit[PLANE] * more
                size = size + more
                count += 2 * self.V[l].shape[1] + 8
            constant = constant + more
            steps.append(step)
        if charged:
            unit = self.unit
            lost = lost + count * UNIT * unit[CONSTANT] * 1.01 * (size + lost)
            reach = np.abs(C) @ self.losses.inputs + np.abs(constant)
            constant = constant + lost + (len(self.lo) + 16) * UNIT * unit[ENDS] * 1.01 * (reach + lost)
            constant = constant + TINY * unit[UNDERFLOW] * (1.0 + self.losses.reads[0])
        return C, constant, steps[::-1], weight

    def _lost(self, C: FloatArray, E: FloatArray, free: FloatArray, part: slice) -> FloatArray:
        """What the coefficients of the lines lose: of the parts of D, and of the sums for a and d."""
        losses, unit = self.losses, self.unit
        c, e = np.abs(C), np.abs(E)
        split = (c + 2 * e) @ losses.y[part] + (2 * e) @ losses.D[part]
        held = free[SIGN_A, :, part] + free[SIGN_B, :, part]
        size = c + 3 * e + 2 * held
        tiny = TINY * unit[UNDERFLOW] * (1.0 + losses.size_a[part].sum() + losses.size_d[part].sum())
        plane = size @ losses.size_a[part] + size @ losses.size_d[part]
        return np.asarray(1.01 * UNIT * (4 * unit[SPLIT] * split + 6 * unit[PLANE] * plane) + tiny)

    # ---- improving -------------------------------------------------------------------------------
    def _values(
        self, corner: FloatArray, steps: list[Step], free: FloatArray, last: int
    ) -> tuple[FloatArray, FloatArray, list[tuple[FloatArray, FloatArray, FloatArray]]]:
        """Values of a and d (R, n) that the lines give at corners, and of the lines themselves, layer by layer."""
        A, D = (np.zeros((len(corner), self.first[last])) for _ in range(2))
        a, d = corner @ self.V[0].T + self.b[0], corner @ self.change[0].T + self.shift[0]
        lines = []
        for l, step in enumerate(steps):
            part = slice(self.first[l], self.first[l + 1])
            A[:, part], D[:, part] = a, d
            y, z = step.slope_a * a + step.lift_a, step.slope_b * (a - d) + step.lift_b
            t = step.slope_d * d + step.lift_d
            lines.append((y, z, t))
            if l + 1 < last:
                share = free[PART, :, part]
                both = share * (y - z) + (1 - share) * t
                d = both @ self.W[l + 1].T + y @ self.change[l + 1].T + self.shift[l + 1]
                a = y @ self.V[l + 1].T + self.b[l + 1]
        return A, D, lines

    def _slopes(
        self, values: tuple[FloatArray, FloatArray, list[tuple[FloatArray, FloatArray, FloatArray]]], steps: list[Step],
        lines: Lines, taken: FloatArray | None,
    ) -> FloatArray:  # fmt: skip
        """How the bound changes with every choice: (5, R, n)."""
        A, D, chords = values
        found = np.zeros((5, *A.shape))
        for l, step in enumerate(steps):
            part = slice(self.first[l], self.first[l + 1])
            y, z, t = chords[l]
            a, b = A[:, part], A[:, part] - D[:, part]
            found[SLOPE_A, :, part] = np.where((step.S < 0) & lines.open_a[:, part], step.S * a, 0.0)
            found[SLOPE_B, :, part] = np.where((step.apart > 0) & lines.open_b[:, part], -step.apart * b, 0.0)
            found[PART, :, part] = step.E * (y - z - t)
            if taken is not None:
                found[SIGN_A, :, part], found[SIGN_B, :, part] = taken[0][:, part] * a, taken[1][:, part] * b
        return found

    def _gains(
        self, values: tuple[FloatArray, FloatArray, list[tuple[FloatArray, FloatArray, FloatArray]]], steps: list[Step],
        lines: Lines,
    ) -> FloatArray:  # fmt: skip
        """How much the lines of each neuron that may switch add at the corners: (2, R, n)."""
        A, D, chords = values
        found = np.full((2, *A.shape), -1.0)
        for l, step in enumerate(steps):
            part = slice(self.first[l], self.first[l + 1])
            y, z, t = chords[l]
            a, b = np.maximum(A[:, part], 0.0), np.maximum(A[:, part] - D[:, part], 0.0)
            mixed = step.together * (t - (a - b))
            found[0, :, part] = np.where(lines.open_a[:, part], np.maximum(step.S * (y - a) + mixed, 0.0), -1.0)
            found[1, :, part] = np.where(lines.open_b[:, part], np.maximum(-step.apart * (z - b) + mixed, 0.0), -1.0)
        return found

    def lowered(
        self, rows: Rows, ends: tuple[FloatArray, FloatArray], box: FloatArray, free: FloatArray | None,
        taken: FloatArray | None, steps: int, *, early: bool = True,
    ) -> Found:  # fmt: skip
        """Improve the choices for rows by so many steps, and bound the rows.

        Parameters
        ----------
        rows : Rows
        ends : (R, n0) arrays
            The box of each row.
        box : (R, 6, n) array
            Bounds of the live neurons of the layers before, for each row.
        free : (5, R, n) array, optional
            To begin with.
        taken : (2, R, n) array, optional
            Signs of a and b that hold: 1, -1, or 0 for none.
        steps : int
        early : bool
            Rows that are proved are left as they are.

        Examples
        --------
        >>> import numpy as np
        >>> import polyfiber as pf
        >>> from polyfiber.bounds.multipliers import Layers, Rows
        >>> from polyfiber.bounds.pairing import paired
        >>> f = pf.ReLUNetwork([[[1.0], [-1.0]], [[1.0, 1.0]]], [[0.0, 0.0], [0.0]])  # |x|
        >>> g = pf.ReLUNetwork([[[1.0]], [[0.0]]], [[0.0], [0.25]])
        >>> lo, hi, box = np.array([-1.0]), np.array([1.0]), np.array([[-1.0] * 2, [1.0] * 2] * 3)
        >>> layers = Layers(paired(f, g), lo, hi, box)
        >>> row = Rows(1, np.zeros((1, 1)), np.ones((1, 1)), np.zeros(1))
        >>> round(float(layers.lowered(row, (lo[None], hi[None]), box[None], None, None, 20).bound[0]), 9)
        0.75
        """
        n = self.first[rows.layer]
        box = box[:, :, :n]
        lines = self.lines(box)
        free = self.start(lines) if free is None else free[:, :, :n].copy()
        point = None
        if steps:
            free, point = self._improved(rows, ends, lines, free, taken, steps if early else -steps)
        C, constant, done, _ = self.back(rows, lines, free, taken, charged=True)
        lo, hi = ends
        with np.errstate(all="ignore"):
            bound = np.maximum(C * lo, C * hi).sum(axis=1) + constant
        bound = np.where(np.isnan(bound), np.inf, bound)
        corner = np.where(C > 0, hi, lo)
        values = self._values(corner, done, free, rows.layer)
        return Found(bound, free, corner if point is None else point, self._gains(values, done, lines), C)

    def _improved(
        self, rows: Rows, ends: tuple[FloatArray, FloatArray], lines: Lines, free: FloatArray,
        taken: FloatArray | None, steps: int,
    ) -> tuple[FloatArray, FloatArray]:  # fmt: skip
        """The best choices that so many steps down the gradient met, in plain floating point; and means of corners.

        Negative steps go on where a row is proved.
        """
        lo, hi = ends
        best, chosen = np.full(len(lo), np.inf), free.copy()
        names = np.arange(len(lo))
        point = 0.5 * lo + 0.5 * hi
        means, squares = np.zeros_like(free), np.zeros_like(free)
        rate = RATE
        enough = -SAFE * (1 + np.abs(rows.constant)) if steps > 0 else np.full(len(lo), -np.inf)
        for k in range(1, abs(steps) + 1):
            C, constant, done, weight = self.back(rows, lines, free, taken)
            value = constant + np.maximum(C * lo, C * hi).sum(axis=1)
            better = value < best[names]
            best[names[better]] = value[better]
            chosen[:, names[better]] = free[:, better]
            if k in LOOKS:
                open_ = best[names] > enough[names]
                if not open_.any():
                    break
                if not open_.all():
                    names, lo, hi, C = names[open_], lo[open_], hi[open_], C[open_]
                    rows = Rows(rows.layer, rows.P[open_], rows.Q[open_], rows.constant[open_])
                    lines, free, weight = lines.of(open_), free[:, open_], weight[open_]
                    means, squares = means[:, open_], squares[:, open_]
                    taken = None if taken is None else taken[:, open_]
                    done = [Step(*(part[open_] for part in step)) for step in done]
            corner = np.where(C > 0, hi, lo)
            point[names] += (1 - KEEP) * (corner - point[names])
            values = self._values(corner, done, free, rows.layer)
            slope = self._slopes(values, done, lines, taken)
            means *= KEEP
            means += (1 - KEEP) * slope
            squares *= KEEP_SQUARE
            squares += (1 - KEEP_SQUARE) * slope * slope
            move = rate * (means / (1 - KEEP**k)) / (np.sqrt(squares / (1 - KEEP_SQUARE**k)) + 1e-300)
            rate *= DECAY
            np.clip(free[:SIGN_A] - move[:SIGN_A], 0.0, 1.0, out=free[:SIGN_A])
            if taken is not None:
                for l in range(rows.layer):
                    part = slice(self.first[l], self.first[l + 1])
                    size = 0.5 * np.abs(weight[:, part]).mean(axis=1, keepdims=True) if part.stop > part.start else 0.0
                    held = free[SIGN_A:, :, part]
                    np.maximum(held - size * move[SIGN_A:, :, part], 0.0, out=held)
        return chosen, point


def _step(C: FloatArray, E: FloatArray, lines: Lines, free: FloatArray, part: slice) -> Step:
    """Lines above ``C relu(a) + E D`` of one layer, as ``S relu(a) - apart relu(b) + together D``."""
    apart = free[PART, :, part] * E
    together, S = E - apart, C + apart
    above_a, above_b, above_d = S > 0, apart < 0, together > 0
    slope, height = (v[:, part] for v in lines.a)
    slope_a = np.where(above_a | ~lines.open_a[:, part], slope, free[SLOPE_A, :, part])
    lift_a = np.where(above_a, height, 0.0)
    slope, height = (v[:, part] for v in lines.b)
    slope_b = np.where(above_b | ~lines.open_b[:, part], slope, free[SLOPE_B, :, part])
    lift_b = np.where(above_b, height, 0.0)
    up, down = lines.up, lines.down
    slope_d = np.where(above_d, up[0][:, part], down[0][:, part])
    lift_d = np.where(above_d, up[1][:, part], -down[1][:, part])
    return Step(S, together, apart, E, slope_a, slope_b, slope_d, lift_a, lift_b, lift_d)


def tightened(layers: Layers, box: FloatArray, steps: int) -> FloatArray:
    """Bounds (6, N) of the neurons that may switch on the box of the layers, each by its own choices.

    Parameters
    ----------
    layers : Layers
    box : (6, N) array
        Bounds of all hidden neurons.
    steps : int
    """
    box = box.copy()
    for l in range(1, layers.depth - 1):
        part = layers.live[layers.first[l] : layers.first[l + 1]]
        bounds = box[:, part]
        opened = ((bounds[0] < 0) & (bounds[1] > 0)) | ((bounds[2] < 0) & (bounds[3] > 0))
        chosen = np.flatnonzero(opened)
        m = len(chosen)
        if m == 0:
            continue
        eye = np.zeros((m, len(part)))
        eye[np.arange(m), chosen] = 1.0
        none = np.zeros_like(eye)
        P = np.concatenate([eye, -eye, eye, -eye, none, none])
        Q = np.concatenate([none, none, -eye, eye, eye, -eye])
        R = len(P)
        many = np.broadcast_to(box[None, :, layers.live], (R, 6, layers.n))
        ends = (np.broadcast_to(layers.lo, (R, len(layers.lo))), np.broadcast_to(layers.hi, (R, len(layers.hi))))
        rows = Rows(l, P, Q, np.zeros(R))
        tops = layers.lowered(rows, ends, many, None, None, steps, early=False).bound.reshape(6, m)
        where = part[chosen]
        for k in range(3):
            box[2 * k + 1, where] = np.minimum(box[2 * k + 1, where], tops[2 * k])
            box[2 * k, where] = np.maximum(box[2 * k, where], -tops[2 * k + 1])
        met(box[None])
    return box


__all__ = ["Found", "Layers", "Rows", "met", "tightened"]
