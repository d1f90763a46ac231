"""Splits on the signs of neurons of both networks together: one linear program a node, its multipliers certified.

On a box whose neurons are bounded, ``(x, a, d, y, D)`` of all layers satisfy linear rows: the weights, and lines above
and below ``y = relu(a)``, ``relu(b) = y - D`` and D itself. The largest violation of a group of alternatives under them
is a linear program, and whatever multipliers a solver returns prove a bound (weak duality over the bounds of the
columns, as in `relaxation.safe_minimum`): its tolerances make bounds weaker, never wrong. Where a bound is too large, a
neuron of f or of g is taken as on, and as off. Input splits are hopeless beyond about ten inputs; here their number
does not matter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from .._typing import FloatArray
from ..budget import Monitor
from ..numerics.rounding import TINY, UNIT
from ..numerics.search import BestFirst
from .goals import Alternative
from .pairing import Side
from .tree import Growth, Tree

PENALTY = 1e3
"""Price of violating a taken sign: it keeps every program feasible, and the multipliers of empty nodes finite."""
CANDIDATES = 3
"""Neurons whose two halves are measured before one is split."""
FOLD, CHANGE, SIZES, LIFT, OFFSET, DUAL, UNDERFLOW = range(7)
CHARGES = np.ones(7)
"""Kinds of roundings: a test leaves one out."""
Domain = tuple[FloatArray, FloatArray]


class Term(NamedTuple):
    """A value as a combination of columns, with factors 1 and -1."""

    columns: list[int]
    factors: list[float]


class Sign(NamedTuple):
    """A neuron that may switch: its pre-activation, its activation, the row of the line above that, its name in trees."""

    before: Term
    after: Term
    chord: int
    name: int


NOTHING = Term([], [])


def _summed(*parts: tuple[Term, float]) -> Term:
    total: dict[int, float] = {}
    for term, factor in parts:
        for c, f in zip(*term):
            total[c] = total.get(c, 0.0) + factor * f
    kept = {c: f for c, f in total.items() if f}
    return Term(list(kept), list(kept.values()))


class Rows:
    """Linear rows in the making."""

    def __init__(self) -> None:
        self.row: list[int] = []
        self.column: list[int] = []
        self.value: list[float] = []
        self.side: list[float] = []

    def add(self, term: Term, side: float) -> int:
        """One more; its number."""
        k = len(self.side)
        self.row += [k] * len(term.columns)
        self.column += term.columns
        self.value += term.factors
        self.side.append(side)
        return k

    def matrix(self, n: int) -> Any:
        """As a sparse matrix with n columns."""
        from scipy.sparse import csr_array

        return csr_array((self.value, (self.row, self.column)), shape=(len(self.side), n))


def _lift(slope: float, low: float, high: float, unit: FloatArray) -> float:
    """How far above ``slope t`` relu(t) may be on [low, high], rounded up."""
    top = max(-slope * low, (1.0 - slope) * high) * (1 + 8 * UNIT * float(unit[LIFT]))
    return top + float(unit[UNDERFLOW]) * TINY


def _slope(low: float, high: float) -> float:
    return min(max(high / (high - low), 0.0), 1.0)


class Programs:
    """The rows of one box.

    Parameters
    ----------
    sides : (Side, Side)
    lo, hi : (n0,) arrays
    bounds : (6, N) array
        Lower and upper bounds of a, b, d of all hidden neurons on the box, finite.
    rows : (A, b), optional
        Only the part where ``A x <= b`` counts.
    unit : array, optional
        A test leaves out charges.
    """

    def __init__(
        self, sides: tuple[Side, Side], lo: FloatArray, hi: FloatArray, bounds: FloatArray, rows: Domain | None = None,
        unit: FloatArray = CHARGES,
    ) -> None:  # fmt: skip
        self.unit = unit
        self.low: list[float] = lo.tolist()
        self.high: list[float] = hi.tolist()
        self.below, self.equal, self.slack = Rows(), Rows(), list[float]()
        self.signs: list[Sign] = []
        self.outputs: list[tuple[int, int]] = []
        self.n_inputs, self.n_hidden = len(lo), bounds.shape[1]
        if rows is not None:
            for row, side in zip(*rows):
                keep = np.flatnonzero(row)
                self.below.add(Term(keep.tolist(), row[keep].tolist()), float(side))
        y, D = [Term([i], [1.0]) for i in range(len(lo))], [NOTHING] * len(lo)
        most = np.maximum(np.abs(lo), np.abs(hi)), np.zeros(len(lo))
        depth, at = len(sides[0].weights), 0
        for l in range(depth):
            n = len(sides[0].biases[l])
            one, two = self._losses(sides, l, most)
            box = bounds[:, at : at + n] if l < depth - 1 else self._outputs(sides, l, most, (one, two))
            y, D = self._layer(sides, l, box, (y, D), (one, two), self.n_inputs + at)
            at += n
            dead = (box[1] <= 0) & (box[3] <= 0)
            size = np.maximum(np.abs(box[4]), np.abs(box[5]))
            most = np.where(dead, 0.0, np.maximum(box[1], 0.0)), np.where(dead, 0.0, size)
        n_columns = len(self.low)
        self.A, self.b = self.below.matrix(n_columns), np.array(self.below.side)
        self.E, self.c, self.e = self.equal.matrix(n_columns), np.array(self.equal.side), np.array(self.slack)
        self.lo, self.hi = np.array(self.low), np.array(self.high)

    # ---- rows ------------------------------------------------------------------------------------
    def _column(self, low: float, high: float) -> int:
        self.low.append(low)
        self.high.append(max(low, high))
        return len(self.low) - 1

    def _losses(self, sides: Any, l: int, most: Domain) -> Domain:
        """How far rows of a and d may be from zero: what was folded, and rounded differences."""
        f, g = sides
        y, d = most
        one = f.weight_errors[l] @ y + f.bias_errors[l]
        change = np.abs(f.weights[l] - g.weights[l]) @ y + np.abs(f.biases[l] - g.biases[l])
        unit, tiny = self.unit, self.unit[UNDERFLOW] * TINY
        two = unit[FOLD] * (one + g.weight_errors[l] @ (y + d) + g.bias_errors[l]) + 2 * UNIT * unit[CHANGE] * change
        one = unit[FOLD] * one
        return one * (1 + 1e-9) + np.where(one > 0, tiny, 0.0), two * (1 + 1e-9) + tiny

    def _outputs(self, sides: Any, l: int, most: Domain, lost: Domain) -> FloatArray:
        f, g = sides
        y, d = most
        grow, tiny = 1 + (len(y) + 8) * 4 * UNIT * self.unit[SIZES], self.unit[UNDERFLOW] * TINY
        a = (np.abs(f.weights[l]) @ y + np.abs(f.biases[l]) + lost[0]) * grow + tiny
        change = np.abs(f.weights[l] - g.weights[l]) @ y + np.abs(f.biases[l] - g.biases[l])
        apart = (change + np.abs(g.weights[l]) @ d + lost[1]) * grow + tiny
        both = (a + apart) * grow
        return np.stack([-a, a, -both, both, -apart, apart])

    def _layer(
        self, sides: Any, l: int, box: FloatArray, values: tuple[list[Term], list[Term]], lost: Domain, name: int
    ) -> tuple[list[Term], list[Term]]:
        """Rows of one layer; its activations of f and their differences."""
        f, g = sides
        last = l == len(f.weights) - 1
        new: tuple[list[Term], list[Term]] = ([], [])
        for i in range(len(f.biases[l])):
            bounds = [float(v) for v in box[:, i]]
            if not last and bounds[1] <= 0.0 and bounds[3] <= 0.0:
                for part in new:
                    part.append(NOTHING)
                continue
            a, d = self._column(*bounds[:2]), self._column(*bounds[4:])
            v, w = f.weights[l][i], g.weights[l][i]
            live = np.flatnonzero((v != 0) | (w != 0)).tolist()
            terms = [(values[0][j], -float(v[j])) for j in live]
            self.equal.add(_summed((Term([a], [1.0]), 1.0), *terms), float(f.biases[l][i]))
            terms = [(_change(values[0][j], values[1][j], float(v[j]), float(w[j])), -1.0) for j in live]
            self.equal.add(_summed((Term([d], [1.0]), 1.0), *terms), float(f.biases[l][i] - g.biases[l][i]))
            self.slack += [float(lost[0][i]), float(lost[1][i])]
            b = Term([a, d], [1.0, -1.0])
            self.below.add(b, bounds[3])
            self.below.add(_summed((b, -1.0)), -bounds[2])
            if last:
                self.outputs.append((a, d))
            else:
                for part, term in zip(new, self._relu(a, d, bounds, name + i)):
                    part.append(term)
        return new

    def _relu(self, a: int, d: int, bounds: list[float], name: int) -> tuple[Term, Term]:
        """Lines around the activation of f and around the difference; both as combinations."""
        la, ua, lb, ub, ld, ud = bounds
        of_a, of_d = Term([a], [1.0]), Term([d], [1.0])
        b = _summed((of_a, 1.0), (of_d, -1.0))
        if la < 0.0 < ua:
            y = Term([self._column(0.0, ua)], [1.0])
            s = _slope(la, ua)
            self.below.add(_summed((of_a, 1.0), (y, -1.0)), 0.0)
            chord = self.below.add(_summed((y, 1.0), (of_a, -s)), _lift(s, la, ua, self.unit))
            self.signs.append(Sign(of_a, y, chord, name))
        else:
            y = of_a if la >= 0.0 else NOTHING
        if lb >= 0.0:
            return y, _summed((y, 1.0), (b, -1.0))
        if ub <= 0.0:
            return y, y
        low, high = min(ld, 0.0), max(ud, 0.0)
        if la >= 0.0:
            high = min(high, ua)
        elif ua <= 0.0:
            low, high = max(low, -ub), 0.0
        D = Term([self._column(low, high)], [1.0])
        if ld < 0.0 < ud:
            up, down = _slope(ld, ud), _slope(-ud, -ld)
            self.below.add(_summed((D, 1.0), (of_d, -up)), _lift(up, ld, ud, self.unit))
            self.below.add(_summed((D, -1.0), (of_d, down)), _lift(down, -ud, -ld, self.unit))
        elif ld >= 0.0:
            self.below.add(_summed((D, 1.0), (of_d, -1.0)), 0.0)
        else:
            self.below.add(_summed((D, -1.0), (of_d, 1.0)), 0.0)
        other = _summed((y, 1.0), (D, -1.0))
        s = _slope(lb, ub)
        # a coefficient 1 - s is rounded
        off = 2 * UNIT * float(self.unit[OFFSET]) * sum(max(abs(v), abs(w)) for v, w in ((la, ua), (ld, ud)))
        self.below.add(_summed((other, -1.0)), 0.0)
        self.below.add(_summed((b, 1.0), (other, -1.0)), 0.0)
        chord = self.below.add(_summed((other, 1.0), (b, -s)), _lift(s, lb, ub, self.unit) + off)
        self.signs.append(Sign(b, other, chord, name + self.n_hidden))
        return y, D

    # ---- programs --------------------------------------------------------------------------------
    def solved(
        self, cost: FloatArray, extra: Rows, taken: int, monitor: Monitor | None, far: float = 0.0
    ) -> tuple[float, FloatArray | None, FloatArray | None]:
        """Below ``cost . v`` under all rows and some more, the first ``taken`` of which the solver may violate for a
        price.

        A last variable that is no column lies between minus and plus ``far``.

        Returns
        -------
        bound, solution, multipliers
            Minus infinity and None where the solver has no answer.
        """
        from scipy.optimize import linprog
        from scipy.sparse import csr_array, vstack

        n = len(cost)
        wide = [csr_array((M.data, M.indices, M.indptr), shape=(M.shape[0], n)) for M in (self.A, self.E)]
        A = vstack([wide[0], extra.matrix(n)], format="csr")
        b, E = np.concatenate([self.b, extra.side]), wide[1]
        lo = np.concatenate([self.lo, np.full(n - len(self.lo), -far)])
        hi = np.concatenate([self.hi, np.full(n - len(self.hi), far)])
        price = np.zeros((A.shape[0], 1))
        price[len(self.b) : len(self.b) + taken] = -1.0
        left = None if monitor is None else monitor.left
        found = linprog(
            np.append(cost, PENALTY), A_ub=_beside(A, price), b_ub=b, A_eq=_beside(E, np.zeros((E.shape[0], 1))), b_eq=self.c,
            bounds=np.stack([np.append(lo, 0.0), np.append(hi, np.inf if taken else 0.0)], axis=1), method="highs",
            options={} if left is None else {"time_limit": max(left, 0.01)},
        )  # fmt: skip
        if found.status != 0:
            return -np.inf, None, None
        y, z = np.maximum(-found.ineqlin.marginals, 0.0), found.eqlin.marginals
        return self.certified(cost, (A, b, E), (lo, hi), y, z), found.x, y

    def certified(self, cost: FloatArray, rows: Any, ends: Domain, y: FloatArray, z: FloatArray) -> float:
        """Below ``cost . v`` on the rows: what multipliers prove, those of inequalities >= 0.

        It is ``(cost + y A - z E) . v - y b + z c - |z| e`` at least.
        """
        (A, b, E), (lo, hi), n = rows, ends, len(cost)
        with np.errstate(all="ignore"):
            reduced = cost + A.T @ y - E.T @ z
            size = np.abs(cost) + abs(A).T @ y + abs(E).T @ np.abs(z)
            corner = np.maximum(np.abs(lo), np.abs(hi))
            count = A.shape[0] + E.shape[0] + n + 16
            sizes = size @ corner + 2 * (y @ np.abs(b)) + 2 * (np.abs(z) @ np.abs(self.c))
            tiny = self.unit[UNDERFLOW] * TINY * (1.0 + corner.sum())
            lost = count * UNIT * self.unit[DUAL] * 1.01 * sizes + tiny
            value = (
                np.minimum(reduced * lo, reduced * hi).sum() - y @ b + z @ self.c - 1.01 * (np.abs(z) @ self.e) - lost
            )
        return float(value) if np.isfinite(value) else -np.inf

    def least(self, term: Term, monitor: Monitor) -> float:
        """Below a combination of columns."""
        cost = np.zeros(len(self.lo))
        cost[term.columns] = term.factors
        return self.solved(cost, Rows(), 0, monitor)[0]

    def bound(
        self, group: Sequence[Alternative], taken: dict[int, bool], monitor: Monitor | None = None
    ) -> tuple[float, FloatArray | None, FloatArray | None]:
        """Above the violation of a group where neurons have the taken signs; the solution, and multipliers of the
        rows.
        """
        m, t, extra = len(self.outputs), len(self.lo), Rows()
        for k, on in taken.items():
            before, after = self.signs[k][:2]
            extra.add(_summed((before, -1.0 if on else 1.0)), 0.0)
            extra.add(_summed((after, 1.0), (before, -1.0)) if on else after, 0.0)
        count = len(extra.side)
        far = 1.0
        for terms, constant, limit in group:
            columns = [self.outputs[c][0] if c < m else self.outputs[c - m][1] for c in terms]
            extra.add(Term([t, *columns], [1.0, *(-v for v in terms.values())]), constant - limit)
            sizes = [max(abs(self.low[c]), abs(self.high[c])) * abs(v) for c, v in zip(columns, terms.values())]
            far = max(far, (sum(sizes) + abs(constant) + abs(limit)) * 1.001)
        cost = np.zeros(t + 1)
        cost[t] = -1.0
        least, x, y = self.solved(cost, extra, count, monitor, far)
        return -least, x, y

    def scores(self, v: FloatArray, y: FloatArray, taken: dict[int, bool]) -> FloatArray:
        """How much the line above each neuron adds to the bound at a solution."""
        found = np.zeros(len(self.signs))
        for k, (before, after, chord, _) in enumerate(self.signs):
            if k not in taken:
                value, height = (float(np.dot(v[term.columns], term.factors)) for term in (before, after))
                found[k] = (height - max(value, 0.0)) * (y[chord] + 1e-9)
        return found


def _beside(M: Any, column: FloatArray) -> Any:
    from scipy.sparse import csr_array, hstack

    return hstack([M, csr_array(column)], format="csr")


def _change(y: Term, D: Term, v: float, w: float) -> Term:
    """``w D + (v - w) y``, where a column is in both ``v`` times it: so that nothing is rounded but ``v - w``."""
    of_y, of_D = dict(zip(*y)), dict(zip(*D))
    total = {}
    for c in of_y | of_D:
        p, q = of_D.get(c, 0.0), of_y.get(c, 0.0)
        total[c] = q * v if p == q else p * w if q == 0.0 else q * (v - w)
        if p not in (0.0, q) and q != 0.0:
            raise AssertionError("a value and a difference share a column with other signs")
    return Term(list(total), list(total.values()))


def tightened(
    sides: tuple[Side, Side], lo: FloatArray, hi: FloatArray, bounds: FloatArray, *, rows: Domain | None, monitor: Monitor
) -> FloatArray:  # fmt: skip
    """Bounds of a, b, d of the neurons that may switch, by programs of the layers before them."""
    box = bounds.copy()
    at = len(sides[0].biases[0])
    for l in range(1, len(sides[0].weights) - 1):
        cut = [
            Side(s.weights[: l + 1], s.biases[: l + 1], s.weight_errors[: l + 1], s.bias_errors[: l + 1]) for s in sides
        ]
        programs = Programs((cut[0], cut[1]), lo, hi, box, rows)
        for i, (a, d) in enumerate(programs.outputs):
            k = at + i
            opened = [box[kind, k] < 0 < box[kind + 1, k] for kind in (0, 2)]
            for kind, term in ((0, Term([a], [1.0])), (2, Term([a, d], [1.0, -1.0])), (4, Term([d], [1.0]))):
                if (any(opened) if kind == 4 else opened[kind // 2]) and not monitor.late:
                    box[kind, k] = max(box[kind, k], programs.least(term, monitor))
                    box[kind + 1, k] = min(box[kind + 1, k], -programs.least(_summed((term, -1.0)), monitor))
        at += len(sides[0].biases[l])
    return box


@dataclass
class SignSplit:
    """What splitting signs came to.

    Attributes
    ----------
    status : 'proved', 'violated' or 'open'
    bound : float
        Above the violation of all groups.
    programs : int
    tree : Tree or None
        Where it is proved: the splits.
    """

    status: str
    bound: float
    programs: int
    tree: Tree | None = None


def split_signs(
    programs: Programs, groups: Sequence[Sequence[Alternative]], monitor: Monitor, *, tried: Callable[[FloatArray], bool] | None = None
) -> SignSplit:  # fmt: skip
    """Branch on signs until every group is proved, an input violates one, or the time is used up.

    Parameters
    ----------
    tried : callable, optional
        Takes an input that a program suggests; whether it violates the goal.

    Examples
    --------
    >>> import numpy as np
    >>> import polyfiber as pf
    >>> from polyfiber.bounds.goals import near
    >>> from polyfiber.bounds.pairing import paired
    >>> from polyfiber.bounds.programs import Programs, split_signs
    >>> from polyfiber.budget import Monitor
    >>> f = pf.ReLUNetwork([[[1.0], [-1.0]], [[1.0, 1.0]]], [[0.0, 0.0], [0.0]])  # |x|
    >>> g = pf.ReLUNetwork([[[1.0]], [[0.0]]], [[0.0], [0.25]])
    >>> wide = np.array([[-1.0] * 2, [1.0] * 2] * 3)
    >>> p = Programs(paired(f, g), np.array([-1.0]), np.array([1.0]), wide)
    >>> [split_signs(p, near(np.array([e]), np.zeros(1)), Monitor()).status for e in (0.75001, 0.74)]
    ['proved', 'open']
    """
    worst, count = -np.inf, 0
    growth = Growth(programs.n_inputs, programs.n_hidden, len(groups))
    for group, place in zip(groups, growth.places):
        bound, v, y = programs.bound(group, {}, monitor)
        count += 1
        open_nodes = BestFirst[tuple[dict[int, bool], FloatArray | None, FloatArray | None, int]]()
        if bound > 0:
            open_nodes.push(bound, ({}, v, y, place))
        worst = max(worst, min(bound, 0.0))
        while open_nodes:
            bound, (taken, v, y, place) = open_nodes.pop()
            if v is not None and tried is not None and tried(v[: programs.n_inputs]):
                return SignSplit("violated", bound, count)
            halves = (
                None if v is None or y is None or monitor.late else _best_split(programs, group, (taken, v, y), monitor)
            )
            if halves is None:
                return SignSplit("open", max(bound, worst), count)
            k, both = halves
            child = growth.halved(place, programs.signs[k].name)
            for on, (value, w, u) in enumerate(both):
                count += 1
                if value > 0:
                    open_nodes.push(min(value, bound), ({**taken, k: bool(on)}, w, u, child + on))
    lo, hi = (part[: programs.n_inputs] for part in (programs.lo, programs.hi))
    return SignSplit("proved", min(worst, 0.0), count, growth.proved(lo, hi))


def _best_split(programs: Programs, group: Any, node: Any, monitor: Monitor) -> tuple[int, list[Any]] | None:
    """The neuron among a few candidates whose two halves, off and on, have the lowest bounds."""
    taken, v, y = node
    scores = programs.scores(v, y, taken)
    best: tuple[tuple[float, float], int, list[Any]] | None = None
    for k in np.argsort(-scores)[:CANDIDATES].tolist():
        if scores[k] <= 0 or (best is not None and monitor.late):
            break
        halves = [programs.bound(group, {**taken, k: on}, monitor) for on in (False, True)]
        values = [found[0] for found in halves]
        key = (max(values), sum(values))
        if best is None or key < best[0]:
            best = key, k, halves
        if max(values) <= 0:
            break
    return None if best is None else best[1:]


__all__ = ["Programs", "SignSplit", "split_signs", "tightened"]
