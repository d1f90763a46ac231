"""Layer by layer bounds of neurons by relaxing each ReLU to two lines; every rounding is paid for."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from .. import words
from .._typing import Array, FloatArray, IntArray
from ..budget import heed
from ..domain import Box, Polyhedron
from ..errors import InputError, SolverError
from ..network.model import ReLUNetwork
from ..network.piecewise import PiecewiseLinearNetwork
from ..network.relu_form import relu_form
from ..numerics.exact import as_fractions
from ..numerics.floats import directed, nearest, upward
from ..numerics.hulls import AffineHull
from ..numerics.lp import highs_options, interior_point
from ..numerics.rounding import LEAST, TINY, UNIT, gamma


def safe_minimum(
    cost: FloatArray, A: FloatArray, b: FloatArray, y: FloatArray, low: FloatArray, high: FloatArray
) -> float:
    """Lower bound of ``cost @ x`` over ``A x <= b`` and a box, for any multipliers ``y >= 0``.

    Whatever the multipliers, ``cost @ x >= (cost + y A) @ x - y b``, and the box bounds the first term; a solver's
    tolerance makes the bound weaker, never wrong. All roundings are subtracted, and one unit of each entry of A and
    b, which may be rounded rationals. Neumaier and Shcherbina, *Safe bounds in linear and mixed-integer programming*
    (2004), §3.
    """
    terms = gamma(len(b) + len(cost) + 6)
    with np.errstate(all="ignore"):
        reduced = cost + y @ A
        size = np.abs(cost) + y @ np.abs(A)
        corner = np.maximum(np.abs(low), np.abs(high))
        value = np.minimum(reduced * low, reduced * high).sum() - y @ b
        error = terms * ((np.abs(reduced) + 2 * size) @ corner + 2 * (y @ np.abs(b))) + TINY
        result = float(value - error)
    return result if np.isfinite(result) else -np.inf


def bounding_box(domain: Polyhedron) -> tuple[FloatArray, FloatArray]:
    """A box that certainly holds a polyhedron, nearly the smallest; the box itself for a `Box`.

    A polyhedron in a flat is bounded in coordinates of the flat, in which it has an interior.

    Raises
    ------
    InputError
        The polyhedron is empty or unbounded.
    SolverError
        HiGHS gave no answer, or its multipliers prove nothing.
    """
    if isinstance(domain, Box):
        lo, hi = domain.lo, domain.hi
        low = -upward(-lo) if lo.dtype == object else lo.astype(np.float64)
        high = upward(hi) if hi.dtype == object else hi.astype(np.float64)
        if not np.isfinite([low, high]).all():
            raise InputError(
                f"the box reaches beyond floating-point numbers: from {words.number(lo.min())} to {words.number(hi.max())}"
            )
        return low, high
    found = _boxes.get(domain)
    if found is None:
        if domain.affine_hull is not None:
            found = _flat_bounding_box(domain, domain.affine_hull.steady)
        else:
            found = _solid_bounding_box(*domain.in_floats(), np.arange(domain.dimension))
        _boxes[domain] = found
    return found[0].copy(), found[1].copy()


_boxes: WeakKeyDictionary[Polyhedron, tuple[FloatArray, FloatArray]] = WeakKeyDictionary()
"""Boxes around polyhedra that live: many steps of one answer ask for the same one."""


def box_is_known(domain: Polyhedron) -> bool:
    """Whether `bounding_box` costs nothing."""
    return isinstance(domain, Box) or domain in _boxes


def _solid_bounding_box(A: FloatArray, b: FloatArray, names: IntArray) -> tuple[FloatArray, FloatArray]:
    """That of ``A x <= b`` with an interior; messages call the coordinates by their names."""
    if not len(A):
        raise InputError(f"the domain is unbounded in coordinate {names[0]}; activation bounds need a bounded one")
    # rows near 1, by powers of two: solvers compare rows by their sizes
    scale = np.ldexp(1.0, -np.frexp(np.abs(A).max(axis=1, initial=0.0))[1])
    same = ((A * scale[:, None] / scale[:, None] == A).all(axis=1)) & (b * scale / scale == b)
    scale = np.where(same, scale, 1.0)
    A, b = A * scale[:, None], b * scale
    inside = interior_point(A, b)
    if inside is None or not inside[1] > 0:
        raise InputError("the domain is empty, or its interior is beyond rounding; give a flat one by exact equations")
    n = A.shape[1]
    from scipy.optimize import linprog

    low, high = np.zeros(n), np.zeros(n)
    multipliers = []
    for c in range(n):
        for sign, target in ((1.0, low), (-1.0, high)):
            heed("a box around the domain")
            cost = np.zeros(n)
            cost[c] = sign
            found = linprog(cost, A_ub=A, b_ub=b, bounds=(None, None), method="highs")
            if found.status == 3:
                raise InputError(
                    f"the domain is unbounded in coordinate {names[c]}; activation bounds need a bounded one"
                )
            if found.status != 0:
                raise SolverError(f"HiGHS stopped without an answer: {found.message}", status=int(found.status))
            target[c] = sign * found.fun
            multipliers.append((cost, np.maximum(-found.ineqlin.marginals, 0.0)))
    # a convex set that meets a larger box, but no face of that box, lies inside it
    size = (high - low).max()
    big_low, big_high = low - size, high + size
    if not ((inside[0] > big_low) & (inside[0] < big_high)).all():
        raise SolverError("the bounding box misses the interior point; please report this domain")
    for c in range(n):
        for k in range(2):
            cost, y = multipliers[2 * c + k]
            value = safe_minimum(cost, A, b, y, big_low, big_high)
            if k == 0:
                low[c] = value
            else:
                high[c] = -value
    if not ((low > big_low) & (high < big_high)).all():
        raise SolverError("the bounding box could not be certified; please report this domain")
    return low, high


def _flat_bounding_box(domain: Polyhedron, hull: AffineHull) -> tuple[FloatArray, FloatArray]:
    """That of a polyhedron in a flat: programs in free coordinates, and the fixed ones as functions of these."""
    from scipy.optimize import linprog

    A, b = Polyhedron(*chart_of(domain, hull)).in_floats() if hull.dimension else chart_of(domain, hull)
    low, high = np.zeros(domain.dimension), np.zeros(domain.dimension)
    if hull.dimension:
        low[hull.free], high[hull.free] = _solid_bounding_box(A, b, hull.free)
    ends = as_fractions(low[hull.free]), as_fractions(high[hull.free])
    for c in hull.fixed.tolist():
        heed("a box around the domain")
        slope, constant = hull.lift[c, :-1], hull.lift[c, -1]
        for sign, target in ((1, low), (-1, high)):
            row = sign * slope
            least = sum((r * (x if r > 0 else y) for r, x, y in zip(row, *ends)), sign * constant)
            target[c] = sign * directed(least, up=False)
            if (row != 0).sum() > 1:
                cost = nearest(row)
                found = linprog(cost, A_ub=A, b_ub=b, bounds=(None, None), method="highs")
                if found.status == 0:
                    y = np.maximum(-found.ineqlin.marginals, 0.0)
                    value = safe_minimum(cost, A, b, y, low[hull.free], high[hull.free])
                    if np.isfinite(value):
                        near = sign * directed(Fraction(value) + sign * constant, up=False)
                        target[c] = max(target[c], near) if sign > 0 else min(target[c], near)
    return low, high


def chart_of(domain: Polyhedron, hull: AffineHull) -> tuple[Array, Array]:
    """A polyhedron in a flat as inequalities ``A t <= b`` on the free coordinates, those that vary on it."""
    chart = hull.in_chart(domain.affine_forms())
    sides = chart[(chart[:, :-1] != 0).any(axis=1)][:, [*hull.free, -1]]
    return -sides[:, :-1], sides[:, -1]


@dataclass
class System:
    """Rows ``A v <= b`` over ``v = (x, y_1, …, y_layer)`` within a box; y_q are the outputs of ReLU layer q."""

    A: FloatArray
    b: FloatArray
    low: FloatArray
    high: FloatArray


@dataclass(frozen=True)
class Wiring:
    """What every layer of ReLUs, and last the output, reads, in float64.

    Attributes
    ----------
    reads : list of dict
        For each layer: by block (0 the input, j >= 1 the outputs of ReLU layer j) the matrix on it, dense or scipy's.
    b : list of arrays
        Offsets.
    rounded : bool
        Whether the numbers are rationals that floats do not hold.
    """

    reads: list[dict[int, Any]]
    b: list[FloatArray]
    rounded: bool

    @classmethod
    def of(cls, network: ReLUNetwork | PiecewiseLinearNetwork) -> Wiring:
        """That of a chain as it stands, of other networks of the ReLU gates that they are made of."""
        if isinstance(network, ReLUNetwork):
            near = network.rounded()
            weights = list(near.weights)
            return cls(
                [{l: w} for l, w in enumerate(weights)],
                list(near.biases),
                network.is_exact,
            )
        form = relu_form(network)
        floats = form.floats
        first = [{0: base[:, :-1]} if base[:, :-1].any() else {} for base in floats.bases]
        reads = [{**own, **others} for own, others in zip(first, floats.reads)]
        return cls(reads, [base[:, -1] for base in floats.bases], not form.is_float)

    @property
    def depth(self) -> int:
        """Layers, the output among them."""
        return len(self.b)

    def value(self, layer: int, blocks: list[FloatArray]) -> FloatArray:
        """Values ``z`` (…, m) of a layer where the input and the ReLU layers before it have the values (…, n_j)."""
        return sum((y @ w.T for w, y in ((w, blocks[j]) for j, w in self.reads[layer].items())), self.b[layer])

    def row(self, layer: int, i: int, j: int) -> FloatArray:
        """What neuron i of a layer reads of block j, which it reads, (n_j,)."""
        w = self.reads[layer][j]
        return w[i] if isinstance(w, np.ndarray) else w[[i]].toarray()[0]


def _parts(w: Any) -> tuple[Any, Any]:
    """The positive and the negative part of a matrix."""
    return (np.maximum(w, 0.0), np.minimum(w, 0.0)) if isinstance(w, np.ndarray) else (w.maximum(0.0), w.minimum(0.0))


def _dense(w: Any) -> FloatArray:
    return np.asarray(w if isinstance(w, np.ndarray) else w.toarray(), dtype=np.float64)


TOGETHER = 1 << 24
"""Entries of the rows that are carried down together."""


@dataclass
class Relaxation:
    """Bounds of the pre-activations of a network on a box, and the lines that replace its ReLUs.

    Parameters
    ----------
    network : ReLUNetwork or PiecewiseLinearNetwork
        The latter by the ReLU gates that it is made of, see `polyfiber.network.relu_form`; what a layer reads further
        back is carried down there.
    box : (low, high)
        Finite, each (n0,).
    """

    network: ReLUNetwork | PiecewiseLinearNetwork
    box: tuple[FloatArray, FloatArray]
    low: list[FloatArray] = field(default_factory=list)
    high: list[FloatArray] = field(default_factory=list)
    slope: list[FloatArray] = field(default_factory=list)
    shift: list[FloatArray] = field(default_factory=list)
    size: list[FloatArray] = field(default_factory=list)
    """Largest sum of magnitudes of the terms of each neuron."""

    def __post_init__(self) -> None:
        self.wiring = Wiring.of(self.network)
        self.reads, self.b, self.depth = self.wiring.reads, self.wiring.b, self.wiring.depth
        # rationals are rounded once: charge a unit for every entry
        self.extra = 2 if self.wiring.rounded else 0

    def reach(self, block: int) -> tuple[FloatArray, FloatArray]:
        """Bounds of the values of a block: the input (0), or the outputs of a ReLU layer."""
        if block == 0:
            return self.box
        return np.maximum(self.low[block - 1], 0.0), np.maximum(self.high[block - 1], 0.0)

    # ---- intervals --------------------------------------------------------------------------
    def interval(self, layer: int) -> None:
        """Interval bounds of a layer from those of the blocks that it reads."""
        b = self.b[layer]
        size, least, most, terms = np.zeros(len(b)), np.zeros(len(b)), np.zeros(len(b)), 6 + self.extra
        with np.errstate(all="ignore"):
            for j, w in self.reads[layer].items():
                low, high = self.reach(j)
                plus, minus = _parts(w)
                size = size + abs(w) @ np.maximum(np.abs(low), np.abs(high))
                least, most = least + (plus @ low + minus @ high), most + (plus @ high + minus @ low)
                terms += w.shape[1]
            size = size + np.abs(b)
            error = gamma(terms) * 2 * size + TINY
            below, above = least + b - error, most + b + error
        del self.low[layer:], self.high[layer:], self.size[layer:]
        self.size.append(np.nan_to_num(size))
        self.low.append(np.where(np.isnan(below), -np.inf, below))
        self.high.append(np.where(np.isnan(above), np.inf, above))
        self.lines(layer)

    def lines(self, layer: int) -> None:
        """The line above each ReLU of a layer: ``slope z + shift``."""
        low, high = self.low[layer], self.high[layer]
        slope = np.where(low > 0, 1.0, 0.0)
        open_ = (low <= 0) & (high > 0)
        with np.errstate(all="ignore"):
            slope[open_] = np.nan_to_num(high[open_] / (high[open_] - low[open_])).clip(0.0, 1.0)
            # above max(0, z) at both ends of the interval, so above it in between
            need = np.maximum(-slope * low, high - slope * high)
            need = need + 4 * UNIT * (np.abs(slope * low) + np.abs(high) + np.abs(slope * high))
        shift = np.where(open_, np.where(np.isnan(need), np.inf, need), 0.0)
        del self.slope[layer:], self.shift[layer:]
        self.slope.append(slope)
        self.shift.append(np.maximum(shift, 0.0))

    def meet(self, layer: int, low: FloatArray, high: FloatArray) -> None:
        """Take the better of two bounds of a layer."""
        self.low[layer] = np.maximum(self.low[layer], low)
        self.high[layer] = np.minimum(self.high[layer], high)
        self.lines(layer)

    # ---- back-substitution ------------------------------------------------------------------
    def substitute(self, layer: int) -> tuple[FloatArray, FloatArray]:
        """Tighten a layer by carrying linear bounds down to the inputs; slopes (m, n0) above and below it.

        Hears the monitors that are watching; the layer then keeps the bounds that it had.
        """
        above, top = self._upper(layer, 1.0)
        below, bottom = self._upper(layer, -1.0)
        if layer:
            self.meet(layer, -bottom, top)
        return above, -below

    def _upper(self, layer: int, sign: float) -> tuple[FloatArray, FloatArray]:
        """Slopes and maxima on the box of affine functions above ``sign * z`` of a layer."""
        m = len(self.b[layer])
        widest = max(len(self.box[0]), *(len(b) for b in self.b[: layer + 1]))
        step = max(1, TOGETHER // widest)
        found = [self._upper_part(layer, sign, slice(k, k + step)) for k in range(0, m, step)]
        return found[0] if len(found) == 1 else tuple(np.concatenate(f) for f in zip(*found))  # type: ignore[return-value]

    def _upper_part(self, layer: int, sign: float, part: slice) -> tuple[FloatArray, FloatArray]:
        waiting = {j: sign * _dense(w[part]) for j, w in self.reads[layer].items()}
        constant = sign * self.b[layer][part]
        total = np.abs(constant)  # magnitudes that were added, for the rounding of the constant
        slack = np.zeros(len(constant))
        with np.errstate(all="ignore"):
            for q in range(layer - 1, -1, -1):
                rows = waiting.pop(q + 1, None)
                if rows is None:
                    continue
                low, high = self.low[q], self.high[q]
                # below a ReLU: z where it is mostly active, else 0
                lower_slope = np.where(low > 0, 1.0, np.where((high > 0) & (high > -low), 1.0, 0.0))
                plus, minus = np.maximum(rows, 0.0), np.minimum(rows, 0.0)
                add = plus @ self.shift[q]
                total += add
                constant = constant + add
                moved = plus * self.slope[q] + minus * lower_slope
                b = self.b[q]
                k = gamma(len(b) + 6 + self.extra)
                # the computed coefficients are taken as the multipliers; what they miss is charged to the block read
                slack += 2 * k * (np.abs(moved) @ np.abs(b)) + k * add
                for j, w in self.reads[q].items():
                    heed("bounds carried back")
                    reach = np.maximum(*map(np.abs, self.reach(j)))
                    slack += 2 * k * ((np.abs(moved) @ abs(w)) @ reach)
                    down = moved @ w
                    if j in waiting:  # read by another way too: one more addition
                        down = waiting[j] + down
                        slack += 2 * UNIT * (np.abs(down) @ reach)
                    waiting[j] = down
                total += np.abs(moved) @ np.abs(b)
                constant = constant + moved @ b
            low, high = self.box
            rows = waiting.get(0, np.zeros((len(constant), len(low))))
            reach = np.maximum(np.abs(low), np.abs(high))
            value = np.maximum(rows, 0.0) @ high + np.minimum(rows, 0.0) @ low
            k = gamma(len(low) + 4 * layer + 8)
            result = value + constant + (slack + 2 * k * (np.abs(rows) @ reach + total)) * (1 + 1e-9) + TINY
        return np.nan_to_num(rows), np.where(np.isnan(result), np.inf, result)

    # ---- linear programs --------------------------------------------------------------------
    def entries(self, layer: int) -> int:
        """Entries of the matrix of a `system`."""
        sizes = [len(b) for b in self.b[:layer]]
        return 2 * sum(sizes) * (len(self.box[0]) + sum(sizes))

    def system(self, layer: int, domain: Polyhedron, fixed: dict[tuple[int, int], int] | None = None) -> System:
        """The relaxation of everything below a layer as inequalities; ``fixed`` neurons (q, i) keep a sign."""
        sizes = [len(self.box[0]), *(len(self.b[q]) for q in range(layer))]
        offset = np.concatenate([[0], np.cumsum(sizes)])
        n = int(offset[-1])
        blocks, values, lows, highs = [], [], [self.box[0]], [self.box[1]]
        if not isinstance(domain, Box):
            block = np.zeros((domain.n_facets, n))
            block[:, : sizes[0]], sides = domain.in_floats()
            blocks.append(block)
            values.append(sides)
        for q in range(layer):
            b = self.b[q]
            slope, shift = self.slope[q].copy(), self.shift[q].copy()
            y_low, y_high = np.maximum(self.low[q], 0.0), np.maximum(self.high[q], 0.0)
            on = [i for (p, i), s in (fixed or {}).items() if p == q and s > 0]
            off = [i for (p, i), s in (fixed or {}).items() if p == q and s < 0]
            slope[on], shift[on] = 1.0, 0.0
            y_high[off] = 0.0
            out = np.arange(sizes[q + 1])
            above = np.zeros((sizes[q + 1], n))
            reach = np.abs(b)
            with np.errstate(all="ignore"):
                for j, w in self.reads[q].items():
                    above[:, offset[j] : offset[j + 1]] = _dense(w)
                    reach = reach + abs(w) @ np.maximum(*map(np.abs, self.reach(j)))
            below = -slope[:, None] * above
            if off:  # w v + b <= 0
                blocks.append(above[off])
                values.append(-b[off])
            # y >= w v + b, except where the neuron is never active: the box says y = 0 there
            above[out, int(offset[q + 1]) + out] = -1.0
            live = y_high > 0
            blocks.append(above[live])
            values.append(-b[live])
            # y <= slope (w v + b) + shift: rounding of slope * w is absorbed by the right-hand side
            below[out, int(offset[q + 1]) + out] = 1.0
            with np.errstate(all="ignore"):
                right = slope * b + shift + 4 * UNIT * (reach + np.abs(shift))
            blocks.append(below[live])
            values.append(np.where(np.isnan(right), np.inf, right)[live])
            lows.append(y_low)
            highs.append(y_high)
        return System(
            np.concatenate(blocks) if blocks else np.zeros((0, n)),
            np.concatenate(values) if values else np.zeros(0),
            np.concatenate(lows),
            np.concatenate(highs),
        )

    def program(self, system: System, layer: int, i: int, sign: float) -> tuple[float, FloatArray | None, bool]:
        """Certified upper bound of ``sign * z_i`` over a system, where HiGHS has its optimum, and whether it is empty.

        The bound is infinite where HiGHS gave no multipliers; emptiness is its word, confirmed by nothing.
        """
        from scipy.optimize import linprog
        from scipy.sparse import csr_array

        cost = np.zeros(len(system.low))
        offset = np.concatenate([[0, len(self.box[0])], len(self.box[0]) + np.cumsum([len(b) for b in self.b[:layer]])])
        for j in self.reads[layer]:
            cost[int(offset[j]) : int(offset[j + 1])] = -sign * self.wiring.row(layer, i, j)
        if not (np.isfinite(system.high).all() and np.isfinite(system.b).all()):
            return np.inf, None, False
        found = linprog(
            cost,
            A_ub=csr_array(system.A),
            b_ub=system.b,
            bounds=np.stack([system.low, system.high], axis=1),
            method="highs",
            options=highs_options(),
        )
        if found.status != 0:
            return np.inf, None, found.status == 2
        y = np.maximum(-found.ineqlin.marginals, 0.0)
        value = -safe_minimum(cost, system.A, system.b, y, system.low, system.high)
        bias = sign * float(self.b[layer][i])
        return value + bias + 4 * UNIT * (abs(value) + abs(bias)), np.asarray(found.x), False

    def undecided(self, layer: int) -> IntArray:
        """Neurons of a layer whose sign the bounds leave open."""
        return np.flatnonzero((self.low[layer] <= 0) & (self.high[layer] > 0))


def relaxed(
    network: ReLUNetwork | PiecewiseLinearNetwork, box: tuple[FloatArray, FloatArray], *, lines: bool = True
) -> Relaxation:
    """Bounds of every layer, outputs last, by intervals and (``lines``) back-substitution."""
    work = Relaxation(network, box)
    for layer in range(work.depth):
        work.interval(layer)
        if lines:
            work.substitute(layer)
    return work


def values_with_errors(wiring: Wiring, X: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Values (m, N + nL) of all neurons and outputs at float points, and bounds of their errors."""
    out, err = [], []
    values: list[FloatArray] = [X]
    off: list[FloatArray] = [np.zeros_like(X)]  # how far values may be from the exact ones
    with np.errstate(all="ignore"):
        for reads, b in zip(wiring.reads, wiring.b):
            z, carried, size, small = np.zeros(()), np.zeros((len(X), len(b))), np.zeros((len(X), len(b))), 4.0
            terms = 6 + 2 * wiring.rounded + len(reads)
            for j, w in reads.items():
                z = z + values[j] @ w.T
                carried = carried + off[j] @ abs(w).T
                size = size + np.abs(values[j]) @ abs(w).T
                terms, small = terms + w.shape[1], small + 2 * w.shape[1]
                if wiring.rounded:  # an entry below the range is off by more than its share
                    carried = carried + (np.abs(values[j]) + off[j]).sum(axis=1, keepdims=True) * LEAST
            z = z + b
            error = (carried + gamma(terms) * (size + carried + np.abs(b))) * (1 + 1e-9) + small * LEAST
            z = np.broadcast_to(z, error.shape)
            out.append(z)
            err.append(error)
            values.append(np.maximum(z, 0.0))
            off.append(np.where(z + error <= 0, 0.0, error))
    found, errors = np.concatenate(out, axis=1), np.concatenate(err, axis=1)
    errors[~(np.isfinite(found) & np.isfinite(errors))] = np.inf
    return found, errors


__all__ = [
    "Relaxation",
    "System",
    "Wiring",
    "bounding_box",
    "box_is_known",
    "chart_of",
    "relaxed",
    "safe_minimum",
    "values_with_errors",
]
