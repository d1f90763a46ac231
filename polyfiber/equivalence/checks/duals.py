"""Linear programs of checks: both networks on a box as affine forms in few columns, bounds certified by weak duality.

Columns are the inputs and, of neurons that may switch, relu(a) and ``D = relu(a) - relu(b)``, all scaled into [-1, 1];
every other value is a form in these, with one number for all that its roundings may lose. Whatever a solver returns,
multipliers >= 0 prove a bound, in a sum whose roundings are charged. Written apart from `bounds.programs` (columns and
equations for every value) and `bounds.multipliers` (substitution); answers never ask this module.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..._typing import FloatArray, IntArray
from ...budget import Monitor
from ...numerics.rounding import TINY, UNIT
from .substitution import Pair, Ranges, chord

HALF, ROWS_OF_DOMAIN, SUMS, CHANGE, FOLD, COMBINED, LINE, GOAL, DUAL, UNDERFLOW = range(10)
CHARGES = np.ones(10)
"""Kinds of roundings: a test leaves one out."""
PRICE = 1e4
"""Of violating the rows by one, where the objective is scaled to one: it keeps every program feasible."""

Box = tuple[FloatArray, FloatArray]


class Sign(NamedTuple):
    """A sign that is taken: of a (0) or b (1) of a neuron of a hidden layer, on or off."""

    layer: int
    neuron: int
    which: int
    on: bool


class Forms(NamedTuple):
    """Affine forms (n, 1 + columns), the constant first; how far they may be off, and how large they may be: (n,)."""

    M: FloatArray
    off: FloatArray

    @property
    def size(self) -> FloatArray:
        """Sums of magnitudes."""
        return np.asarray(np.abs(self.M).sum(axis=1))

    def of(self, rows: IntArray) -> Forms:
        """Some of them."""
        return Forms(self.M[rows], self.off[rows])


class Found(NamedTuple):
    """A certified bound, the solution that the solver returned, and its multipliers."""

    bound: float
    point: FloatArray | None
    multipliers: FloatArray


class Program:
    """The rows of a box on which signs are taken.

    Parameters
    ----------
    pair : Pair
    box : lo, hi
    layers : list of Ranges
        Bounds of the neurons of the first hidden layers; the forms of the layer that follows are the outputs.
    signs : sequence of Sign
    domain : (A, b), optional
        Only the part where ``A x <= b`` counts.
    unit : array, optional
        A test leaves out charges.

    Examples
    --------
    >>> import numpy as np
    >>> import polyfiber as pf
    >>> from polyfiber.bounds.goals import near
    >>> from polyfiber.bounds.pairing import paired
    >>> from polyfiber.equivalence.checks.duals import Program
    >>> from polyfiber.equivalence.checks.substitution import Pair
    >>> f = pf.ReLUNetwork([[[1.0], [-1.0]], [[1.0, 1.0]]], [[0.0, 0.0], [0.0]])  # |x|
    >>> g = pf.ReLUNetwork([[[1.0]], [[0.0]]], [[0.0], [0.25]])
    >>> pair = Pair(paired(f, g), near(np.array([0.0]), np.zeros(1)))
    >>> box = np.array([-1.0]), np.array([1.0])
    >>> program = Program(pair, box, pair.look(*box, [])[2])
    >>> round(program.violation(pair, 0).bound, 6)
    0.75
    """

    def __init__(
        self, pair: Pair, box: Box, layers: Sequence[Ranges], signs: Sequence[Sign] = (), domain: Box | None = None,
        unit: FloatArray = CHARGES,
    ) -> None:  # fmt: skip
        self.unit, self.pair = unit, pair
        lo, hi = box
        n0 = len(lo)
        opened = [((r.la < 0) & (r.ua > 0), (r.lb < 0) & (r.ub > 0), np.flatnonzero(r.live)) for r in layers]
        self.n_columns = n0 + sum(int(a[live].sum() + b[live].sum()) for a, b, live in opened)
        self.low, self.high = (np.full(self.n_columns, end) for end in (-1.0, 1.0))
        self.used = n0
        self.rows: list[FloatArray] = []
        self.sides: list[FloatArray] = []
        self.chords: list[tuple[Sign, int, FloatArray, FloatArray]] = []
        self.count = 0
        middle = 0.5 * lo + 0.5 * hi
        half = np.maximum(hi - middle, middle - lo) * (1 + 4 * UNIT * unit[HALF])
        X = np.zeros((n0, 1 + self.n_columns))
        X[:, 0], X[np.arange(n0), 1 + np.arange(n0)] = middle, half
        if domain is not None:
            A, b = domain
            lost = (n0 + 6) * UNIT * unit[ROWS_OF_DOMAIN] * 1.01 * (np.abs(A) @ (np.abs(middle) + half) + np.abs(b))
            self._add(Forms(A @ X, lost + unit[UNDERFLOW] * TINY), b)
        y, D = Forms(X, np.zeros(n0)), Forms(np.zeros_like(X), np.zeros(n0))
        live = np.arange(n0)
        for l, r in enumerate(layers):
            keep = opened[l][2]
            self._take([sign for sign in signs if sign.layer == l], live, (y, D))
            y, D = self._rectified(l, keep, r.of(keep), self._affine(l, keep, live, (y, D)))
            live = keep
        self.last, self.live, self.before = len(layers), live, (y, D)
        self.G = np.concatenate(self.rows) if self.rows else np.zeros((0, 1 + self.n_columns))
        self.h = np.concatenate(self.sides) if self.sides else np.zeros(0)

    # ---- forms -----------------------------------------------------------------------------------
    def _affine(self, l: int, rows: IntArray, live: IntArray, values: tuple[Forms, Forms]) -> tuple[Forms, Forms]:
        """Forms of a and d of some neurons of a layer."""
        y, D = values
        unit = self.unit
        V, W, change = (M[np.ix_(rows, live)] for M in self.pair.W[l][:3])
        b, shift = (v[rows] for v in self.pair.W[l][3:])
        A, B = V @ y.M, W @ D.M + change @ y.M
        A[:, 0] += b
        B[:, 0] += shift
        size_y, size_D = y.size, D.size
        terms = (2 * len(live) + 8) * UNIT * unit[SUMS] * 1.01
        moved = np.abs(change) @ size_y + np.abs(shift)
        one = np.abs(V) @ y.off + terms * (np.abs(V) @ size_y + np.abs(b))
        two = np.abs(W) @ D.off + np.abs(change) @ y.off + terms * (np.abs(W) @ size_D + moved)
        two = two + 2 * UNIT * unit[CHANGE] * (moved + np.abs(change) @ y.off)
        if self.pair.folded[l]:
            f, g = self.pair.f, self.pair.g
            F, G = (s.weight_errors[l][np.ix_(rows, live)] for s in (f, g))
            e, k = (s.bias_errors[l][rows] for s in (f, g))
            most, apart = size_y + y.off, size_D + D.off
            one = one + unit[FOLD] * (F @ most + e) * 1.01
            two = two + unit[FOLD] * ((F + G) @ most + G @ apart + e + k) * 1.01
        grow, tiny = 1 + (4 * len(live) + 8) * UNIT, unit[UNDERFLOW] * TINY
        return Forms(A, one * grow + tiny), Forms(B, two * grow + tiny)

    def _combined(self, *parts: tuple[Forms, FloatArray | float]) -> Forms:
        """Sums of forms with factors."""
        M = sum((np.multiply(form.M, np.reshape(s, (-1, 1))) for form, s in parts), np.zeros(parts[0][0].M.shape))
        off = sum((form.off * np.abs(s) for form, s in parts), np.zeros(len(M)))
        size = sum((form.size * np.abs(s) for form, s in parts), np.zeros(len(M)))
        charge = (len(parts) + 2) * UNIT * self.unit[COMBINED] * 1.01 * size
        return Forms(np.asarray(M), (off + charge) * (1 + 8 * UNIT) + self.unit[UNDERFLOW] * TINY)

    def _add(self, form: Forms, most: FloatArray | float = 0.0) -> IntArray:
        """Rows that say that forms are at most so much; their numbers."""
        side = most - form.M[:, 0] + form.off
        charge = 4 * UNIT * self.unit[LINE] * (np.abs(most) + np.abs(form.M[:, 0]) + form.off)
        first = self.count
        self.count += len(form.M)
        self.rows.append(form.M)
        self.sides.append(side + charge)
        return np.arange(first, self.count)

    def _columns(self, low: FloatArray, high: FloatArray) -> FloatArray:
        """New columns between these bounds, as rows of forms."""
        n = len(low)
        at = self.used + np.arange(n)
        self.used += n
        # a power of two above them: nothing is rounded but what underflows
        scale = np.ldexp(1.0, np.frexp(np.maximum(np.maximum(np.abs(low), np.abs(high)), 1e-200))[1])
        self.low[at] = np.where(low < 0, np.nextafter(low / scale, -np.inf), 0.0)
        self.high[at] = np.where(high > 0, np.nextafter(high / scale, np.inf), 0.0)
        M = np.zeros((n, 1 + self.n_columns))
        M[np.arange(n), 1 + at] = scale
        return M

    def _take(self, signs: list[Sign], live: IntArray, values: tuple[Forms, Forms]) -> None:
        """Rows of the signs of one layer, also of neurons that are off in both networks."""
        if signs:
            a, d = self._affine(signs[0].layer, np.array([sign.neuron for sign in signs]), live, values)
            which, on = (np.array([getattr(sign, name) for sign in signs], dtype=float) for name in ("which", "on"))
            self._add(self._combined((a, 1.0 - 2.0 * on), (d, -which * (1.0 - 2.0 * on))))

    def _rectified(self, l: int, keep: IntArray, r: Ranges, pre: tuple[Forms, Forms]) -> tuple[Forms, Forms]:
        """Forms of relu(a) and D behind a layer, with the rows of its neurons that may switch."""
        a, d = pre
        none = np.zeros(len(keep))
        a_open, b_open = (r.la < 0) & (r.ua > 0), (r.lb < 0) & (r.ub > 0)
        a_on, b_on = ~a_open & (r.la >= 0), ~b_open & (r.lb >= 0)
        b = self._combined((a, 1.0), (d, -1.0))
        y = Forms(np.where(a_on[:, None], a.M, 0.0), np.where(a_on, a.off, 0.0))
        some = np.flatnonzero(a_open)
        if len(some):
            y.M[some] = self._columns(none[some], r.ua[some])
            s, top = chord(r.la[some], r.ua[some], self.pair.unit)
            of_a, of_y = a.of(some), y.of(some)
            self._add(self._combined((of_a, 1.0), (of_y, -1.0)))
            at = self._add(self._combined((of_y, 1.0), (of_a, -s)), top)
            self.chords += [
                (Sign(l, int(keep[i]), 0, True), int(k), a.M[i], y.M[i]) for i, k in zip(some.tolist(), at.tolist())
            ]
        apart = self._combined((y, 1.0), (b, -1.0))
        both = a_on & b_on
        M = np.where(both[:, None], d.M, np.where(b_on[:, None], apart.M, y.M))
        D = Forms(M, np.where(both, d.off, np.where(b_on, apart.off, y.off)))
        some = np.flatnonzero(b_open)
        if len(some):
            low, high = np.minimum(r.ld[some], 0.0), np.maximum(r.ud[some], 0.0)
            D.M[some], D.off[some] = self._columns(low, high), 0.0
            of_b, of_d, of_D = b.of(some), d.of(some), D.of(some)
            other = self._combined((y.of(some), 1.0), (of_D, -1.0))
            self._add(self._combined((other, -1.0)))
            self._add(self._combined((of_b, 1.0), (other, -1.0)))
            s, top = chord(r.lb[some], r.ub[some], self.pair.unit)
            at = self._add(self._combined((other, 1.0), (of_b, -s)), top)
            self.chords += [
                (Sign(l, int(keep[i]), 1, True), int(k), b.M[i], other.M[j])
                for j, (i, k) in enumerate(zip(some.tolist(), at.tolist()))
            ]
            s, top = chord(r.ld[some], r.ud[some], self.pair.unit)
            self._add(self._combined((of_D, 1.0), (of_d, -s)), top)
            s, top = chord(-r.ud[some], -r.ld[some], self.pair.unit)
            self._add(self._combined((of_D, -1.0), (of_d, s)), top)
        return y, D

    # ---- bounds ----------------------------------------------------------------------------------
    def violation(self, pair: Pair, group: int, monitor: Monitor | None = None) -> Found:
        """By how much a group of alternatives is violated: a positive combination of its excesses, so that only the
        sign of the bound means something where there are several.
        """
        rows = np.flatnonzero(pair.group == group)
        a, d = self._affine(self.last, np.arange(pair.of_a.shape[1]), self.live, self.before)
        goal = self._goal((a, d), (pair.of_a[rows], pair.of_d[rows]), pair.shift[rows], pair.size[rows])
        found = self.highest(goal, monitor)
        if found.bound > 0 and found.point is not None and found.point[-1] > 0:  # it may be empty
            empty = self.highest(Forms(np.zeros((1, 1 + self.n_columns)), np.zeros(1)), monitor)
            if empty.bound < 0:
                return found._replace(bound=-np.inf)
        return found

    def neurons(self, rows: IntArray) -> tuple[Forms, Forms, Forms]:
        """Forms of a, b, d of some neurons of the layer that follows those whose bounds are known."""
        a, d = self._affine(self.last, rows, self.live, self.before)
        return a, self._combined((a, 1.0), (d, -1.0)), d

    def _goal(
        self, outputs: tuple[Forms, Forms], factors: tuple[FloatArray, FloatArray], shift: FloatArray, size: FloatArray
    ) -> Forms:  # fmt: skip
        (a, d), (P, Q) = outputs, factors
        M = P @ a.M + Q @ d.M
        M[:, 0] += shift
        sizes = np.abs(P) @ a.size + np.abs(Q) @ d.size + size
        charge = (2 * P.shape[1] + 8) * UNIT * self.unit[GOAL] * 1.01 * sizes
        off = (np.abs(P) @ a.off + np.abs(Q) @ d.off) * (1 + (2 * P.shape[1] + 8) * UNIT)
        return Forms(M, off + charge + self.unit[UNDERFLOW] * TINY)

    def highest(self, goal: Forms, monitor: Monitor | None = None) -> Found:
        """Above the least of some forms, all over their number of positive parts: a certified bound of one of their
        means.
        """
        from scipy.optimize import linprog

        k, n = len(goal.M), self.n_columns
        scale = float(np.abs(goal.M[:, 1:]).max(initial=0.0)) or 1.0
        several = k > 1  # a column for the least of them
        A = np.zeros((len(self.G) + (k if several else 0), n + 1 + several))
        b = np.empty(len(A))
        A[: len(self.G), :n], A[: len(self.G), n], b[: len(self.G)] = self.G[:, 1:], -1.0, self.h
        cost = np.zeros(n + 1 + several)
        cost[n] = PRICE if goal.M.any() else 1.0
        bounds = np.stack([np.append(self.low, 0.0), np.append(self.high, np.inf)], axis=1)
        if several:
            A[len(self.G) :, :n], A[len(self.G) :, -1] = -goal.M[:, 1:] / scale, 1.0
            b[len(self.G) :] = goal.M[:, 0] / scale
            cost[-1], bounds = -1.0, np.concatenate([bounds, [[-np.inf, np.inf]]])
        else:
            cost[:n] = -goal.M[0, 1:] / scale
        if monitor is not None and monitor.late:
            return Found(np.inf, None, np.zeros(len(self.G)))
        left = None if monitor is None else monitor.left
        found = linprog(
            cost, A_ub=A, b_ub=b, bounds=bounds, method="highs", options={} if left is None else {"time_limit": max(left, 0.01)}
        )  # fmt: skip
        if found.status != 0:
            return Found(np.inf, None, np.zeros(len(self.G)))
        y = np.maximum(-found.ineqlin.marginals, 0.0)
        part = y[len(self.G) :] if several else np.ones(1)
        y = y[: len(self.G)] * scale
        if not part.any():
            part = np.ones(k)
        return Found(self.certified(goal, part, y), found.x[: n + 1], y)

    def certified(self, goal: Forms, part: FloatArray, y: FloatArray) -> float:
        """Above ``part @ goal`` wherever the rows hold: what multipliers ``y >= 0`` of the rows prove."""
        c, G = part @ goal.M, self.G[:, 1:]
        with np.errstate(all="ignore"):
            reduced = c[1:] - y @ G
            ends = np.maximum(reduced * self.low, reduced * self.high).sum()
            size = (part @ np.abs(goal.M)).sum() + (y @ np.abs(G)).sum() + y @ np.abs(self.h)
            count = len(part) + len(y) + len(reduced) + 16
            lost = count * UNIT * self.unit[DUAL] * 1.01 * size + self.unit[UNDERFLOW] * TINY
            value = c[0] + y @ self.h + ends + (part @ goal.off) * (1 + count * UNIT) + lost
        return float(value) if np.isfinite(value) else np.inf

    def splits(self, found: Found) -> list[tuple[float, Sign]]:
        """Signs that may be taken, with what the lines of their neurons add at a solution, the most first."""
        if found.point is None:
            return []
        v = np.concatenate([[1.0], found.point[: self.n_columns]])
        scores = [
            (float((after @ v - max(before @ v, 0.0)) * (found.multipliers[k] + 1e-9)), sign)
            for sign, k, before, after in self.chords
        ]
        return sorted((pair for pair in scores if pair[0] > 0), key=lambda pair: -pair[0])


__all__ = ["Forms", "Found", "Program", "Sign"]
