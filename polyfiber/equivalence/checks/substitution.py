"""Bounds of two networks together on a box for checks alone: planes, substituted backwards layer by layer.

Plain NumPy with an account of rounding of its own; written apart from `kernels.bounds` and `bounds.multipliers`, from
which answers have their bounds, so that a mistake there is seen here. Answers never ask this module.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..._typing import BoolArray, FloatArray, IntArray
from ...bounds.goals import Alternative
from ...bounds.pairing import Side
from ...numerics.rounding import TINY, UNIT

SUMS, CHANGE, FOLD, MUTUAL, LIFT, PLANE, TOPS, CONSTANT, ENDS, MEAN, UNDERFLOW = range(11)
CHARGES = np.ones(11)
"""Kinds of roundings: a test leaves one out."""


class Ranges(NamedTuple):
    """Bounds of the neurons of a layer, and both values in the middle of the box."""

    la: FloatArray
    ua: FloatArray
    lb: FloatArray
    ub: FloatArray
    ld: FloatArray
    ud: FloatArray
    a: FloatArray
    d: FloatArray

    @property
    def live(self) -> BoolArray:
        """Neurons that are not off in both networks."""
        return (self.ua > 0) | (self.ub > 0)

    @property
    def open(self) -> BoolArray:
        """Neurons that may switch in one of them."""
        return ((self.la < 0) & (self.ua > 0)) | ((self.lb < 0) & (self.ub > 0))

    def of(self, chosen: IntArray) -> Ranges:
        """Those of some neurons."""
        return Ranges(*(part[chosen] for part in self))


class Step(NamedTuple):
    """One layer between live neurons: matrices of f, g, f - g, biases of f and f - g, what a unit of a and of d may
    lose, and the sum of the sizes of what the layer reads.
    """

    V: FloatArray
    W: FloatArray
    change: FloatArray
    b: FloatArray
    shift: FloatArray
    lost_a: FloatArray
    lost_d: FloatArray
    reads: float
    before: Ranges | None
    rows: IntArray


class Pair:
    """Two networks, bounded on one box after the other.

    Parameters
    ----------
    sides : (Side, Side)
    groups : sequence of sequences of alternatives
    unit : array, optional
        A test leaves out charges.
    """

    def __init__(
        self, sides: tuple[Side, Side], groups: Sequence[Sequence[Alternative]], unit: FloatArray = CHARGES
    ) -> None:
        self.unit = unit
        self.f, self.g = sides
        self.depth = len(self.f.weights)
        self.W = [
            (V, W, V - W, b, b - c) for V, W, b, c in zip(self.f.weights, self.g.weights, self.f.biases, self.g.biases)
        ]
        m = len(self.f.biases[-1])
        flat = [(k, alternative) for k, group in enumerate(groups) for alternative in group]
        self.group = np.array([k for k, _ in flat])
        self.of_a, self.of_d = np.zeros((len(flat), m)), np.zeros((len(flat), m))
        for r, (_, (terms, _, _)) in enumerate(flat):
            for c, value in terms.items():
                if c < m:
                    self.of_a[r, c] = value
                else:
                    self.of_d[r, c - m] = value
        self.shift = np.array([shift - limit for _, (_, shift, limit) in flat])
        self.size = np.array([abs(shift) + abs(limit) for _, (_, shift, limit) in flat])
        self.n_groups = len(groups)
        errors = (self.f.weight_errors, self.g.weight_errors, self.f.bias_errors, self.g.bias_errors)
        self.folded = [any(bool(part[l].any()) for part in errors) for l in range(self.depth)]

    @np.errstate(all="ignore")
    def look(
        self, lo: FloatArray, hi: FloatArray, known: list[Ranges]
    ) -> tuple[FloatArray, FloatArray, list[Ranges]]:  # fmt: skip
        """Bounds of all alternatives less their limits on a box, slopes of the functions that gave them, bounds of the
        neurons.
        """
        middle = 0.5 * lo + 0.5 * hi
        y, z = middle, np.zeros_like(middle)
        found: list[Ranges] = []
        steps: list[Step] = []
        most = (np.maximum(np.abs(lo), np.abs(hi)), np.zeros_like(lo))
        live = np.arange(len(lo))
        for l, (V, W, change, b, shift) in enumerate(self.W):
            a, d = V @ y + b, W @ z + change @ y + shift
            before = found[-1].of(live) if l else None
            if l == self.depth - 1:
                steps.append(self._step(l, np.arange(len(b)), live, most, before))
                asked = self.of_a, self.of_d, self.shift, self.size
                tops, slopes, constants = _above(steps, asked, lo, hi, self.unit)
                worst = int(np.argmax(tops))
                if tops[worst] > 0:  # planes that are tightest at the corner that the first suggest, and means of both
                    steps = self._at(np.where(slopes[worst] > 0, hi, lo), steps)
                    others = _above(steps, asked, lo, hi, self.unit)
                    for t in (0.25, 0.5, 0.75, 1.0):
                        mean = (1 - t) * slopes + t * others[1]
                        size = np.abs(slopes) + np.abs(others[1]), np.abs(constants) + np.abs(others[2])
                        both = (1 - t) * constants + t * others[2]
                        tops = np.fmin(tops, _ends(mean, both, lo, hi, self.unit, size))
                return tops, slopes, found
            every = np.full(len(b), np.inf)
            old = known[l] if known else Ranges(-every, every, -every, every, -every, every, a, d)
            chosen = np.flatnonzero(old.open)
            step = self._step(l, chosen, live, most, before)
            found.append(_tightened(old._replace(a=a, d=d), chosen, [*steps, step], (lo, hi), self.unit))
            new = found[-1]
            live_now = np.flatnonzero(new.live)
            steps.append(self._step(l, live_now, live, most, before))
            live = live_now
            most = (
                np.maximum(new.ua[live], 0.0),
                np.maximum(np.abs(new.ld[live]), np.abs(new.ud[live])),
            )
            y, other = np.maximum(a, 0.0), np.maximum(a - d, 0.0)
            z = y - other
        raise AssertionError("a network has a layer")

    def _at(self, x: FloatArray, steps: list[Step]) -> list[Step]:
        """The same layers with values at another input."""
        y, z = x, np.zeros_like(x)
        moved = [steps[0]]
        for l, step in enumerate(steps[:-1]):
            V, W, change, b, shift = self.W[l]
            a, d = V @ y + b, W @ z + change @ y + shift
            y, other = np.maximum(a, 0.0), np.maximum(a - d, 0.0)
            z = y - other
            after = steps[l + 1]
            assert after.before is not None
            moved.append(after._replace(before=after.before._replace(a=a[step.rows], d=d[step.rows])))
        return moved

    def _step(
        self, l: int, rows: IntArray, live: IntArray, most: tuple[FloatArray, FloatArray], before: Ranges | None
    ) -> Step:  # fmt: skip
        """A layer between live neurons, with what a unit of its values may lose to rounding and folding."""
        V, W, change = (M[np.ix_(rows, live)] for M in self.W[l][:3])
        b, shift = (v[rows] for v in self.W[l][3:])
        y, d = most
        unit, terms = self.unit, 2 * sum(self.W[l][0].shape) + 8
        moved = np.abs(change) @ y + np.abs(shift)
        one = terms * UNIT * unit[SUMS] * (np.abs(V) @ y + np.abs(b))
        two = terms * UNIT * unit[SUMS] * (np.abs(W) @ d + moved) + 2 * UNIT * unit[CHANGE] * moved
        if self.folded[l]:
            F, G = (s.weight_errors[l][np.ix_(rows, live)] for s in (self.f, self.g))
            f, g = (s.bias_errors[l][rows] for s in (self.f, self.g))
            one = one + unit[FOLD] * (F @ y + f)
            two = two + unit[FOLD] * ((F + G) @ y + G @ d + f + g)
        return Step(V, W, change, b, shift, one, two, float(y.sum() + d.sum()), before, rows)


def _tightened(
    old: Ranges, chosen: IntArray, steps: list[Step], box: tuple[FloatArray, FloatArray], unit: FloatArray
) -> Ranges:
    """Bounds of the chosen neurons of a layer, the last of the steps, met with older ones."""
    n = len(chosen)
    la, ua, lb, ub, ld, ud = (part.copy() for part in old[:6])
    if n:
        eye, none = np.eye(n), np.zeros((n, n))
        of_a = np.concatenate([eye, -eye, eye, -eye, none, none])
        of_d = np.concatenate([none, none, -eye, eye, eye, -eye])
        tops = _above(steps, (of_a, of_d, np.zeros(6 * n), np.zeros(6 * n)), *box, unit)[0].reshape(6, n)
        tops = np.where(np.isnan(tops), np.inf, tops)
        for k, high in enumerate((ua, ub, ud)):
            high[chosen] = np.minimum(high[chosen], tops[2 * k])
        for k, low in enumerate((la, lb, ld)):
            low[chosen] = np.maximum(low[chosen], -tops[2 * k + 1])
    return met(old._replace(la=la, ua=ua, lb=lb, ub=ub, ld=ld, ud=ud), unit)


@np.errstate(all="ignore")
def met(r: Ranges, unit: FloatArray = CHARGES) -> Ranges:
    """Use that ``d = a - b``."""
    la, ua, lb, ub, ld, ud = r[:6]

    def down(v: FloatArray) -> FloatArray:
        return np.where(np.isnan(v), -np.inf, v - unit[MUTUAL] * (UNIT * np.abs(v) + TINY) * 1.01)

    def up(v: FloatArray) -> FloatArray:
        return -down(-v)

    ld, ud = np.maximum(ld, down(la - ub)), np.minimum(ud, up(ua - lb))
    la, ua = np.maximum(la, down(lb + ld)), np.minimum(ua, up(ub + ud))
    lb, ub = np.maximum(lb, down(la - ud)), np.minimum(ub, up(ua - ld))
    return r._replace(la=la, ua=ua, lb=lb, ub=ub, ld=ld, ud=ud)


def _above(
    steps: list[Step], functionals: tuple[FloatArray, FloatArray, FloatArray, FloatArray], lo: FloatArray,
    hi: FloatArray, unit: FloatArray,
) -> tuple[FloatArray, FloatArray, FloatArray]:  # fmt: skip
    """Bounds of ``P a + Q d + constant`` of the last layer on a box, and the affine functions of the input that gave
    them.

    Parameters
    ----------
    functionals : P, Q, constants, sums of their magnitudes
    """
    P, Q, constant, size = functionals
    lost, count = np.zeros(len(P)), 8
    for step in reversed(steps):
        count += 2 * (len(step.b) + step.V.shape[1]) + 8
        lost = lost + (np.abs(P) @ step.lost_a + np.abs(Q) @ step.lost_d) * 1.01
        lost = lost + unit[UNDERFLOW] * TINY * (1.0 + step.reads)
        constant = constant + P @ step.b + Q @ step.shift
        size = size + np.abs(P) @ np.abs(step.b) + np.abs(Q) @ np.abs(step.shift)
        C, E = P @ step.V + Q @ step.change, Q @ step.W
        if step.before is None:
            break
        P, Q, more, charge = _planes(C, E, step.before, unit)
        constant, size = constant + more, size + more
        lost = lost + charge * 1.01
    # C are the slopes now
    constant = constant + lost + (count + 8) * UNIT * unit[CONSTANT] * 1.01 * (size + np.abs(constant) + lost)
    return _ends(C, constant, lo, hi, unit), C, constant


def _ends(
    slopes: FloatArray, constants: FloatArray, lo: FloatArray, hi: FloatArray, unit: FloatArray,
    means_of: tuple[FloatArray, FloatArray] | None = None,
) -> FloatArray:  # fmt: skip
    """Above affine functions on a box: of these slopes and constants, which may be rounded means of numbers of this
    size.
    """
    ends, most = np.maximum(slopes * lo, slopes * hi), np.maximum(np.abs(lo), np.abs(hi))
    reach = np.abs(slopes) @ most + np.abs(constants)
    lost = (len(lo) + 4) * UNIT * unit[ENDS] * 1.01 * reach + unit[UNDERFLOW] * TINY * (1.0 + most.sum())
    if means_of is not None:
        lost = lost + 4 * UNIT * unit[MEAN] * 1.01 * (means_of[0] @ most + means_of[1])
    return np.asarray(ends.sum(axis=1) + constants + lost)


def _planes(
    C: FloatArray, E: FloatArray, r: Ranges, unit: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Planes above ``C relu(a) + E D``: coefficients of a and d, constants, and what rounding may cost.

    Of the two planes of each entry, through D itself or through relu(a) - relu(b), the lower one in the middle.
    """
    chord_a, top_a = chord(r.la, r.ua, unit)
    chord_b, top_b = chord(r.lb, r.ub, unit)
    floor_a = np.where((r.la < 0) & (r.ua > 0), (r.a > 0).astype(float), chord_a)
    floor_b = np.where((r.lb < 0) & (r.ub > 0), (r.a - r.d > 0).astype(float), chord_b)
    # apart: (C + E) relu(a) - E relu(b)
    S = C + E
    s_a = np.where(S > 0, S * chord_a, S * floor_a)
    s_b = np.where(E < 0, E * chord_b, E * floor_b)
    P, Q = s_a - s_b, s_b
    K = np.maximum(S, 0.0) * top_a + np.maximum(-E, 0.0) * top_b
    # together: D below max(d, 0) where a may switch, else below both lines of -relu(b); and above min(d, 0), mirrored
    over, over_top = chord(r.ld, r.ud, unit)
    under, under_top = chord(-r.ud, -r.ld, unit)
    a_on, b_on = r.la >= 0, r.lb >= 0
    a_off, b_off = r.ua <= 0, r.ub <= 0
    b = r.a - r.d
    up_a = np.where(a_on, (r.a < r.d).astype(float), np.where(a_off, -(b > 0).astype(float), 0.0))
    up_d = np.where(a_on, (r.a >= r.d).astype(float), np.where(a_off, (b > 0).astype(float), over))
    up_k = np.where(a_on | a_off, 0.0, over_top)
    low_a = np.where(b_on, -(r.a < 0).astype(float), np.where(b_off, (r.a > 0).astype(float), 0.0))
    low_d = np.where(b_on, 1.0, np.where(b_off, 0.0, under))
    low_k = np.where(b_on | b_off, 0.0, under_top)
    positive = E > 0
    P2 = np.where(C > 0, C * chord_a, C * floor_a) + E * np.where(positive, up_a, low_a)
    Q2 = E * np.where(positive, up_d, low_d)
    K2 = np.maximum(C, 0.0) * top_a + np.abs(E) * np.where(positive, up_k, low_k)
    better = P2 * r.a + Q2 * r.d + K2 < P * r.a + Q * r.d + K
    reach = 4 * np.maximum(np.abs(r.la), np.abs(r.ua)) + np.maximum(np.abs(r.lb), np.abs(r.ub))
    reach = np.where((r.ua > 0) | (r.ub > 0), reach + np.maximum(np.abs(r.ld), np.abs(r.ud)), 0.0)
    P, Q, K = np.where(better, P2, P), np.where(better, Q2, Q), np.where(better, K2, K)
    more = K.sum(axis=1)
    charge = 4 * UNIT * unit[PLANE] * ((np.abs(C) + np.abs(E)) @ reach) + unit[UNDERFLOW] * TINY * (1.0 + reach.sum())
    return P, Q, more, charge + (K.shape[1] + 8) * UNIT * unit[TOPS] * more


@np.errstate(all="ignore")
def chord(low: FloatArray, high: FloatArray, unit: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Slope of the line above relu on [low, high], and how far above ``slope t`` it lies, rounded up."""
    slope = np.where(low >= 0, 1.0, np.where(high <= 0, 0.0, np.clip(high / (high - low), 0.0, 1.0)))
    slope = np.where(np.isnan(slope), 1.0, slope)
    top = np.maximum(-slope * low, (1.0 - slope) * high) * (1 + 8 * UNIT * unit[LIFT]) + unit[UNDERFLOW] * TINY
    return slope, np.where((low >= 0) | (high <= 0), 0.0, top)


__all__ = ["Pair", "Ranges", "Step", "chord", "met"]
