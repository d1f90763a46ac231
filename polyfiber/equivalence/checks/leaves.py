"""Prove a statement about two networks again on the boxes that a search left: by another relaxation, in other code.

The search (`kernels.bounds`) follows zonotopes forward and tightens a few bounds by planes. Here nothing is taken over
from it but where boxes were halved: all bounds come from substituting planes backwards, layer by layer, in plain NumPy
with an account of rounding of its own. Boxes where that does not suffice are halved further. Boxes that the search
marked as proved by signs of neurons are the exception: the linear programs on signs (`bounds.programs`) that prove them
here may have been the search's own, begun from bounds of this relaxation instead. That the boxes cover the domain is
seen from the tree, whose nodes are halved in the middle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from ..._typing import BoolArray, FloatArray, IntArray
from ...bounds.goals import Alternative
from ...bounds.pairing import Side
from ...bounds.programs import Programs, split_signs, tightened
from ...bounds.tree import OUTSIDE, PROVED, SIGNS, Tree
from ...budget import Monitor
from ...numerics.rounding import TINY, UNIT

INHERIT = 3
"""Levels of the tree between boxes whose bounds of neurons the boxes inside begin with."""


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
    lose.
    """

    V: FloatArray
    W: FloatArray
    change: FloatArray
    b: FloatArray
    shift: FloatArray
    lost_a: FloatArray
    lost_d: FloatArray
    before: Ranges | None
    rows: IntArray


@dataclass
class LeafCheck:
    """What a second look came to.

    Attributes
    ----------
    complete : bool
        Every box is proved again.
    failed : str
        Why the evidence is no evidence, where it is not.
    share : float
        Of the volume.
    boxes, halved : int
        Boxes proved, and how many had to be halved further.
    seconds : float
    """

    complete: bool = False
    failed: str = ""
    share: float = 0.0
    boxes: int = 0
    halved: int = 0
    seconds: float = 0.0


def prove_leaves(
    sides: tuple[Side, Side], groups: Sequence[Sequence[Alternative]], tree: Tree,
    rows: tuple[FloatArray, FloatArray] | None, *, monitor: Monitor, part: tuple[int, int] = (0, 1),
) -> LeafCheck:  # fmt: skip
    """Prove the groups on every leaf of a tree again, until done or the time of the monitor is used up.

    Parameters
    ----------
    sides : (Side, Side)
        From `pairing.paired`.
    groups : sequence of sequences of alternatives
    tree : Tree
    rows : (A, b), optional
        Leaves that are marked as outside must violate one of ``A x <= b`` everywhere.
    part : (i, k)
        Only the i-th of k equal parts of the leaves in their order, from 0.

    Examples
    --------
    >>> import polyfiber as pf
    >>> from polyfiber.budget import Monitor
    >>> from polyfiber.equivalence.bounds.near_equal import Question
    >>> from polyfiber.equivalence.checks.leaves import prove_leaves
    >>> a = pf.ReLUNetwork.random((2, 6, 5, 1), rng=0)
    >>> b = pf.ReLUNetwork([W * 1.001 for W in a.weights], a.biases)
    >>> q = Question.of(a, b, pf.Box(-1, 1, dimension=2), 0.01)
    >>> found = q.search().run(Monitor())
    >>> prove_leaves(q.sides, q.groups, found.tree, None, monitor=Monitor()).complete
    True
    """
    checker = _Checker(sides, groups)
    result = LeafCheck()
    started = monitor.elapsed
    index, count = 0, _leaf_counts(tree)
    begin, end = (int(count[0]) * i // part[1] for i in (part[0], part[0] + 1))
    span = np.where(tree.hi > tree.lo, tree.hi - tree.lo, 1.0)
    stack: list[tuple[int, int, FloatArray, FloatArray, list[Ranges]]] = [(0, 0, tree.lo.copy(), tree.hi.copy(), [])]
    while stack and not result.failed:
        if monitor.late:
            return _ended(result, monitor, started)
        node, depth, lo, hi, known = stack.pop()
        k = int(tree.split[node])
        if index + count[node] <= begin or index >= end:
            index += int(count[node])
            continue
        if k >= 0:
            if depth % INHERIT == 0:
                known = checker.look(lo, hi, known)[2]
            middle = 0.5 * lo[k] + 0.5 * hi[k]
            left, right = hi.copy(), lo.copy()
            left[k] = right[k] = middle
            child = int(tree.child[node])
            stack += [(child + 1, depth + 1, right, hi, known), (child, depth + 1, lo, left, known)]
            continue
        index += 1
        if k == OUTSIDE:
            if rows is None or not _surely_outside(rows, lo, hi):
                result.failed = "a box that is said to lie outside the domain does not"
        elif k == SIGNS:
            if not _by_signs(checker, sides, groups, (lo, hi), rows, monitor):
                if monitor.late:
                    return _ended(result, monitor, started)
                result.failed = "a box that is said to be proved by signs of neurons is not"
        elif k != PROVED:
            result.failed = "the tree has boxes that are open"
        elif not checker.settle(lo, hi, known, result, monitor):
            if monitor.late:
                return _ended(result, monitor, started)
            result.failed = "a box as small as floats allow is not proved"
        result.boxes += 1
        result.share += float(np.prod(np.where(tree.hi > tree.lo, (hi - lo) / span, 1.0)))
        monitor.report("boxes again", result.boxes, tree.n_leaves, share=round(result.share, 6), halved=result.halved)
    result.complete = not result.failed
    return _ended(result, monitor, started)


def _leaf_counts(tree: Tree) -> IntArray:
    """Leaves below every node; children follow their nodes."""
    count = (tree.split < 0).astype(np.int64)
    for node in np.flatnonzero(tree.split >= 0)[::-1].tolist():
        child = int(tree.child[node])
        count[node] = count[child] + count[child + 1]
    return count


def _ended(result: LeafCheck, monitor: Monitor, started: float) -> LeafCheck:
    result.share = min(result.share, 1.0)
    result.seconds = monitor.elapsed - started
    return result


def _by_signs(
    checker: _Checker, sides: tuple[Side, Side], groups: Sequence[Sequence[Alternative]], box: tuple[FloatArray, FloatArray],
    rows: tuple[FloatArray, FloatArray] | None, monitor: Monitor,
) -> bool:  # fmt: skip
    """Whether linear programs on signs of neurons prove a box, beginning with the bounds of this relaxation."""
    layers = checker.look(*box, [])[2]
    bounds = np.stack(
        [np.concatenate([getattr(r, name) for r in layers]) for name in ("la", "ua", "lb", "ub", "ld", "ud")]
    )
    if not np.isfinite(bounds).all():
        return False
    bounds = tightened(sides, *box, bounds, rows=rows, monitor=monitor)
    return split_signs(Programs(sides, *box, bounds, rows), groups, monitor).status == "proved"


def _surely_outside(rows: tuple[FloatArray, FloatArray], lo: FloatArray, hi: FloatArray) -> bool:
    """Whether an inequality fails on a whole box, in rationals."""
    for row, side in zip(rows[0].tolist(), rows[1].tolist()):
        least = sum(
            (
                min(Fraction(c) * Fraction(x), Fraction(c) * Fraction(y))
                for c, x, y in zip(row, lo.tolist(), hi.tolist())
            ),
            Fraction(0),
        )
        if least > Fraction(side):
            return True
    return False


class _Checker:
    """Bounds of the statement on one box after the other."""

    def __init__(self, sides: tuple[Side, Side], groups: Sequence[Sequence[Alternative]]) -> None:
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

    def settle(
        self, lo: FloatArray, hi: FloatArray, known: list[Ranges], result: LeafCheck, monitor: Monitor
    ) -> bool:  # fmt: skip
        """Prove a box, halving it as often as needed; ``known`` holds bounds of a larger box, or nothing."""
        work = [(lo, hi, known)]
        while work:
            lo, hi, known = work.pop()
            tops, slopes, known = self.look(lo, hi, known)
            least = np.full(self.n_groups, np.inf)
            np.minimum.at(least, self.group, np.where(np.isnan(tops), np.inf, tops))
            if (least <= 0).all():
                continue
            if monitor.late:
                return False
            own = np.flatnonzero(self.group == int(np.argmax(least)))
            r = own[np.argmin(np.where(np.isnan(tops[own]), np.inf, tops[own]))]
            reach = np.abs(np.nan_to_num(slopes[r])) * (hi - lo) + 1e-9 * (hi - lo)
            middle = 0.5 * lo + 0.5 * hi
            reach[~((lo < middle) & (middle < hi))] = -1.0
            k = int(np.argmax(reach))
            if reach[k] < 0:
                return False
            result.halved += 1
            left, right = hi.copy(), lo.copy()
            left[k] = right[k] = middle[k]
            work += [(right, hi, known), (lo, left, known)]
        return True

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
                tops, slopes, constants = _above(steps, (self.of_a, self.of_d, self.shift, self.size), lo, hi)
                worst = int(np.argmax(tops))
                if tops[worst] > 0:  # planes that are tightest at the corner that the first suggest, and means of both
                    steps = self._at(np.where(slopes[worst] > 0, hi, lo), steps)
                    others = _above(steps, (self.of_a, self.of_d, self.shift, self.size), lo, hi)
                    for t in (0.25, 0.5, 0.75, 1.0):
                        mean = (1 - t) * slopes + t * others[1]
                        size = np.abs(slopes) + np.abs(others[1]), np.abs(constants) + np.abs(others[2])
                        both = (1 - t) * constants + t * others[2]
                        tops = np.fmin(tops, _ends(mean, both, lo, hi, size))
                return tops, slopes, found
            every = np.full(len(b), np.inf)
            old = known[l] if known else Ranges(-every, every, -every, every, -every, every, a, d)
            chosen = np.flatnonzero(old.open)
            step = self._step(l, chosen, live, most, before)
            found.append(_tightened(old._replace(a=a, d=d), chosen, [*steps, step], lo, hi))
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
        terms = 2 * sum(self.W[l][0].shape) + 8
        moved = np.abs(change) @ y + np.abs(shift)
        one = terms * UNIT * (np.abs(V) @ y + np.abs(b))
        two = terms * UNIT * (np.abs(W) @ d + moved) + 2 * UNIT * moved
        if self.folded[l]:
            F, G = (s.weight_errors[l][np.ix_(rows, live)] for s in (self.f, self.g))
            f, g = (s.bias_errors[l][rows] for s in (self.f, self.g))
            one = one + F @ y + f
            two = two + (F + G) @ y + G @ d + f + g
        return Step(V, W, change, b, shift, one, two, before, rows)


def _tightened(old: Ranges, chosen: IntArray, steps: list[Step], lo: FloatArray, hi: FloatArray) -> Ranges:
    """Bounds of the chosen neurons of a layer, the last of the steps, met with older ones."""
    n = len(chosen)
    la, ua, lb, ub, ld, ud = (part.copy() for part in old[:6])
    if n:
        eye, none = np.eye(n), np.zeros((n, n))
        of_a = np.concatenate([eye, -eye, eye, -eye, none, none])
        of_d = np.concatenate([none, none, -eye, eye, eye, -eye])
        tops = _above(steps, (of_a, of_d, np.zeros(6 * n), np.zeros(6 * n)), lo, hi)[0].reshape(6, n)
        tops = np.where(np.isnan(tops), np.inf, tops)
        for k, high in enumerate((ua, ub, ud)):
            high[chosen] = np.minimum(high[chosen], tops[2 * k])
        for k, low in enumerate((la, lb, ld)):
            low[chosen] = np.maximum(low[chosen], -tops[2 * k + 1])
        ld, ud = np.maximum(ld, np.nextafter(la - ub, -np.inf)), np.minimum(ud, np.nextafter(ua - lb, np.inf))
    return old._replace(la=la, ua=ua, lb=lb, ub=ub, ld=ld, ud=ud)


def _above(
    steps: list[Step], functionals: tuple[FloatArray, FloatArray, FloatArray, FloatArray], lo: FloatArray, hi: FloatArray
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
        lost = lost + (np.abs(P) @ step.lost_a + np.abs(Q) @ step.lost_d) * 1.01 + TINY
        constant = constant + P @ step.b + Q @ step.shift
        size = size + np.abs(P) @ np.abs(step.b) + np.abs(Q) @ np.abs(step.shift)
        C, E = P @ step.V + Q @ step.change, Q @ step.W
        if step.before is None:
            break
        P, Q, more, charge = _planes(C, E, step.before)
        constant, size = constant + more, size + more
        lost = lost + (charge + 4 * UNIT * more) * 1.01
    # C are the slopes now
    constant = constant + lost + (count + 8) * UNIT * 1.01 * (size + np.abs(constant) + lost) + TINY
    return _ends(C, constant, lo, hi, (np.abs(C), np.abs(constant))), C, constant


def _ends(
    slopes: FloatArray, constants: FloatArray, lo: FloatArray, hi: FloatArray, size: tuple[FloatArray, FloatArray]
) -> FloatArray:  # fmt: skip
    """Above affine functions on a box: of these slopes and constants, which may be rounded means of numbers of this
    size.
    """
    ends = np.maximum(slopes * lo, slopes * hi)
    reach = size[0] @ np.maximum(np.abs(lo), np.abs(hi)) + size[1]
    return np.asarray(ends.sum(axis=1) + constants + (len(lo) + 16) * UNIT * 1.01 * reach + TINY)


def _planes(C: FloatArray, E: FloatArray, r: Ranges) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Planes above ``C relu(a) + E D``: coefficients of a and d, constants, and what rounding may cost.

    Of the two planes of each entry, through D itself or through relu(a) - relu(b), the lower one in the middle.
    """
    chord_a, top_a = _chord(r.la, r.ua)
    chord_b, top_b = _chord(r.lb, r.ub)
    floor_a = np.where((r.la < 0) & (r.ua > 0), (r.a > 0).astype(float), chord_a)
    floor_b = np.where((r.lb < 0) & (r.ub > 0), (r.a - r.d > 0).astype(float), chord_b)
    # apart: (C + E) relu(a) - E relu(b)
    S = C + E
    s_a = np.where(S > 0, S * chord_a, S * floor_a)
    s_b = np.where(E < 0, E * chord_b, E * floor_b)
    P, Q = s_a - s_b, s_b
    K = np.maximum(S, 0.0) * top_a + np.maximum(-E, 0.0) * top_b
    # together: D below max(d, 0) where a may switch, else below both lines of -relu(b); and above min(d, 0), mirrored
    over, over_top = _chord(r.ld, r.ud)
    under, under_top = _chord(-r.ud, -r.ld)
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
    return P, Q, K.sum(axis=1), 4 * UNIT * ((np.abs(C) + np.abs(E)) @ reach) + K.shape[1] * UNIT * K.sum(axis=1) + TINY


def _chord(low: FloatArray, high: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Slope of the line above relu on [low, high], and how far above ``slope t`` it lies, rounded up."""
    slope = np.where(low >= 0, 1.0, np.where(high <= 0, 0.0, np.clip(high / (high - low), 0.0, 1.0)))
    slope = np.where(np.isnan(slope), 1.0, slope)
    top = np.maximum(-slope * low, (1.0 - slope) * high) * (1 + 8 * UNIT) + TINY
    return slope, np.where((low >= 0) | (high <= 0), 0.0, top)


__all__ = ["LeafCheck", "prove_leaves"]
