"""Bounds of every neuron over a box or polyhedron, and the network without the neurons that are constant there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .._typing import BoolArray, FloatArray, IntArray, SignArray
from ..budget import Budget, Monitor
from ..errors import InputError, ShapeError, SolverError
from ..network.model import ReLUNetwork
from ..numerics.lp import interior_point
from .domain import Box, Polyhedron

U = 2.0**-53
METHODS = ("interval", "relaxation", "lp")


@dataclass(frozen=True)
class ActivationBounds:
    """Bounds of the pre-activation of every neuron on a domain; valid in spite of rounding.

    Attributes
    ----------
    network : ReLUNetwork
    domain : Polyhedron
    lower, upper : (N,) float64
        ``lower <= z_i(x) <= upper`` for every x of the domain.
    output_lower, output_upper : (nL,) float64
        The same for the outputs.
    exact : (N,) bool
        The bounds are the exact range up to rounding: no neuron below changes sign on the domain, so that the
        neuron is affine there.
    method : str
    """

    network: ReLUNetwork
    domain: Polyhedron
    lower: FloatArray
    upper: FloatArray
    output_lower: FloatArray
    output_upper: FloatArray
    exact: BoolArray
    method: str

    @property
    def signs(self) -> SignArray:
        """(N,) int8: -1 for z <= 0, 1 for z > 0 everywhere on the domain, 0 where neither was proved."""
        return np.where(self.lower > 0, 1, np.where(self.upper <= 0, -1, 0)).astype(np.int8)

    @property
    def constant(self) -> IntArray:
        """Neurons whose sign is proved constant."""
        return np.flatnonzero(self.signs != 0)

    @property
    def unstable(self) -> IntArray:
        """Neurons whose sign may change on the domain."""
        return np.flatnonzero(self.signs == 0)

    def attained(self, samples: int = 4096, *, rng: Any = 0) -> tuple[FloatArray, FloatArray]:
        """Smallest and largest values seen at random points of a box: the exact range lies in between."""
        if not isinstance(self.domain, Box):
            raise InputError("points are drawn from a Box only")
        lo, hi = self.domain.lo.astype(np.float64), self.domain.hi.astype(np.float64)
        X = np.random.default_rng(rng).uniform(lo, hi, (samples, len(lo)))
        z = np.concatenate(self.network.rounded().preactivations(X)[:-1], axis=1)
        return z.min(axis=0), z.max(axis=0)

    def __repr__(self) -> str:
        s = self.signs
        return (
            f"ActivationBounds({self.method}: {int((s > 0).sum())} always active, {int((s < 0).sum())} always "
            f"inactive, {int((s == 0).sum())} of {len(s)} undecided)"
        )


def activation_bounds(
    network: ReLUNetwork,
    domain: Polyhedron,
    *,
    method: str = "relaxation",
    budget: Budget | None = None,
) -> ActivationBounds:
    """Certified bounds of every neuron over a box or a bounded polyhedron.

    Parameters
    ----------
    network : ReLUNetwork
    domain : Box or Polyhedron
        Bounded. A polyhedron that is no Box enters through its bounding box and, for 'lp', as it is.
    method : 'interval', 'relaxation' or 'lp'
        Interval arithmetic; back-substitution of linear bounds of each ReLU (never worse); the linear program over
        the convex hulls of all ReLUs below a neuron, for the neurons that the relaxation leaves undecided.
    budget : Budget, optional
        'lp' keeps the bounds of the relaxation for what is left when time is up.

    Returns
    -------
    ActivationBounds

    Raises
    ------
    InputError
        A domain that is empty, flat or unbounded.

    Notes
    -----
    Every rounding is paid for: back-substitution charges the residual of each product to the interval bounds of the
    layer below, and a linear program is used only through its multipliers (Neumaier and Shcherbina, *Safe bounds in
    linear and mixed-integer programming*, 2004). Where all neurons below keep their signs the bounds are the exact
    range. In general the exact range is hard; `slice_complex` and `canonical_complex` give it where they fit.

    Examples
    --------
    >>> import polyfiber as pf
    >>> net = pf.ReLUNetwork.random((8, 16, 16, 2), rng=0)
    >>> b = pf.activation_bounds(net, pf.Box(-0.1, 0.1, dimension=8))
    >>> bool((b.lower <= b.upper).all()), len(b.constant) > 10
    (True, True)
    """
    if not isinstance(network, ReLUNetwork):
        raise InputError(f"expected a polyfiber.ReLUNetwork, found {type(network).__name__}")
    if not isinstance(domain, Polyhedron):
        raise InputError(f"domain must be a Box or a Polyhedron, found {type(domain).__name__}")
    if domain.dimension != network.architecture[0]:
        raise ShapeError(f"the domain has {domain.dimension} coordinates, the network {network.architecture[0]} inputs")
    if method not in METHODS:
        raise InputError(f"method must be one of {METHODS}, found {method!r}")
    monitor = Monitor(budget)
    box = bounding_box(domain)
    work = _Relaxation(network, *box)
    for layer in range(len(work.W)):
        work.interval(layer)
        if method != "interval":
            work.substitute(layer)
    if method == "lp":
        # once more with programs; tighter lines do not make every back-substituted bound tighter, so keep both
        first, work = work, _Relaxation(network, *box)
        for layer in range(len(work.W)):
            work.interval(layer)
            work.substitute(layer)
            work.meet(first, layer)
            work.programs(layer, domain, monitor)
    hidden = network.hidden_widths
    exact = []
    stable = True
    for layer in range(len(hidden)):
        tight = stable and (layer == 0 or method != "interval") and isinstance(domain, Box)
        exact.append(np.full(hidden[layer], tight))
        stable = stable and bool(((work.low[layer] > 0) | (work.high[layer] <= 0)).all())
    none = np.zeros(0)
    return ActivationBounds(
        network,
        domain,
        np.concatenate([*work.low[:-1], none]),
        np.concatenate([*work.high[:-1], none]),
        work.low[-1],
        work.high[-1],
        np.concatenate([*exact, none]).astype(np.bool_),
        method,
    )


def bounding_box(domain: Polyhedron) -> tuple[FloatArray, FloatArray]:
    """A box that certainly holds a polyhedron, nearly the smallest; the box itself for a `Box`."""
    if isinstance(domain, Box):
        lo, hi = domain.lo, domain.hi
        low, high = lo.astype(np.float64), hi.astype(np.float64)
        if lo.dtype == object or hi.dtype == object:
            low, high = np.nextafter(low, -np.inf), np.nextafter(high, np.inf)
        return low, high
    A, b = domain.A.astype(np.float64), domain.b.astype(np.float64)
    inside = interior_point(A, b)
    if inside is None or not inside[1] > 0:
        raise InputError("the domain is empty or flat; activation bounds need a domain with an interior")
    n = A.shape[1]
    from scipy.optimize import linprog

    low, high = np.zeros(n), np.zeros(n)
    multipliers = []
    for c in range(n):
        for sign, target in ((1.0, low), (-1.0, high)):
            cost = np.zeros(n)
            cost[c] = sign
            found = linprog(cost, A_ub=A, b_ub=b, bounds=(None, None), method="highs")
            if found.status == 3:
                raise InputError(f"the domain is unbounded in coordinate {c}; activation bounds need a bounded one")
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
            value = _safe(cost, A, b, y, big_low, big_high)
            if k == 0:
                low[c] = value
            else:
                high[c] = -value
    if not ((low > big_low) & (high < big_high)).all():
        raise SolverError("the bounding box could not be certified; please report this domain")
    return low, high


def _safe(cost: FloatArray, A: FloatArray, b: FloatArray, y: FloatArray, low: FloatArray, high: FloatArray) -> float:
    """Lower bound of cost @ x over A x <= b and the box, for any multipliers y >= 0, rounding included."""
    terms = (len(b) + len(cost) + 6) * U * 1.01
    reduced = cost + y @ A
    size = np.abs(cost) + y @ np.abs(A)
    corner = np.maximum(np.abs(low), np.abs(high))
    value = np.minimum(reduced * low, reduced * high).sum() - y @ b
    # given coefficients may themselves be rounded rationals: one more unit
    error = terms * ((np.abs(reduced) + 2 * size) @ corner + 2 * (y @ np.abs(b))) + 1e-300
    return float(value - error)


class _Relaxation:
    """Layer by layer bounds with the lines that replace each ReLU."""

    def __init__(self, network: ReLUNetwork, low: FloatArray, high: FloatArray) -> None:
        self.W = [np.asarray(w, dtype=np.float64) for w in network.weights]
        self.b = [np.asarray(b, dtype=np.float64) for b in network.biases]
        # rationals are rounded once: charge a unit for every entry
        self.extra = 2 if network.is_exact else 0
        self.box = low, high
        self.low: list[FloatArray] = []
        self.high: list[FloatArray] = []
        self.slope: list[FloatArray] = []
        self.shift: list[FloatArray] = []

    def _input(self, layer: int) -> tuple[FloatArray, FloatArray]:
        if layer == 0:
            return self.box
        return np.maximum(self.low[layer - 1], 0.0), np.maximum(self.high[layer - 1], 0.0)

    def interval(self, layer: int) -> None:
        """Interval bounds of a layer from those of the layer below."""
        w, b = self.W[layer], self.b[layer]
        low, high = self._input(layer)
        plus, minus = np.maximum(w, 0.0), np.minimum(w, 0.0)
        size = np.abs(w) @ np.maximum(np.abs(low), np.abs(high)) + np.abs(b)
        error = (w.shape[1] + 6 + self.extra) * U * 1.01 * 2 * size + 1e-300
        self.low.append(plus @ low + minus @ high + b - error)
        self.high.append(plus @ high + minus @ low + b + error)
        self._lines(layer)

    def _lines(self, layer: int) -> None:
        low, high = self.low[layer], self.high[layer]
        slope = np.where(low > 0, 1.0, 0.0)
        open_ = (low <= 0) & (high > 0)
        slope[open_] = (high[open_] / (high[open_] - low[open_])).clip(0.0, 1.0)
        # above max(0, z) at both ends of the interval, so above it in between
        need = np.maximum(-slope * low, high - slope * high)
        shift = np.where(open_, need + 4 * U * (np.abs(slope * low) + np.abs(high) + np.abs(slope * high)), 0.0)
        del self.slope[layer:], self.shift[layer:]
        self.slope.append(slope)
        self.shift.append(np.maximum(shift, 0.0))

    def substitute(self, layer: int) -> None:
        """Tighten a layer by carrying linear bounds down to the inputs."""
        if layer == 0:
            return
        for sign in (1.0, -1.0):
            bound = self._upper(layer, sign)
            if sign > 0:
                self.high[layer] = np.minimum(self.high[layer], bound)
            else:
                self.low[layer] = np.maximum(self.low[layer], -bound)
        self._lines(layer)

    def meet(self, other: _Relaxation, layer: int) -> None:
        """Take the better of two bounds of a layer."""
        self.low[layer] = np.maximum(self.low[layer], other.low[layer])
        self.high[layer] = np.minimum(self.high[layer], other.high[layer])
        self._lines(layer)

    def _upper(self, layer: int, sign: float) -> FloatArray:
        """Upper bounds of ``sign * z`` of a layer."""
        rows = sign * self.W[layer]
        constant = sign * self.b[layer]
        total = np.abs(constant)  # magnitudes that were added, for the rounding of the constant
        slack = np.zeros(len(rows))
        for q in range(layer - 1, -1, -1):
            low, high = self.low[q], self.high[q]
            # below a ReLU: z where it is mostly active, else 0
            lower_slope = np.where(low > 0, 1.0, np.where((high > 0) & (high > -low), 1.0, 0.0))
            plus, minus = np.maximum(rows, 0.0), np.minimum(rows, 0.0)
            add = plus @ self.shift[q]
            total += add
            constant = constant + add
            moved = plus * self.slope[q] + minus * lower_slope
            y_low, y_high = self._input(q)
            reach = np.maximum(np.abs(y_low), np.abs(y_high))
            w, b = self.W[q], self.b[q]
            size = np.abs(moved) @ np.abs(w)
            k = (w.shape[0] + 6 + self.extra) * U * 1.01
            # the computed coefficients are taken as the multipliers; what they miss is charged to the layer below
            slack += 2 * k * (size @ reach + np.abs(moved) @ np.abs(b)) + k * add
            total += np.abs(moved) @ np.abs(b)
            constant = constant + moved @ b
            rows = moved @ w
        low, high = self.box
        reach = np.maximum(np.abs(low), np.abs(high))
        value = np.maximum(rows, 0.0) @ high + np.minimum(rows, 0.0) @ low
        k = (len(low) + 4 * layer + 8) * U * 1.01
        result: FloatArray = value + constant + (slack + 2 * k * (np.abs(rows) @ reach + total)) * (1 + 1e-9) + 1e-300
        return result

    def programs(self, layer: int, domain: Polyhedron, monitor: Monitor) -> None:
        """Tighten undecided neurons of a layer by linear programs over the relaxed layers below."""
        undecided = np.flatnonzero((self.low[layer] <= 0) & (self.high[layer] > 0))
        if layer == len(self.W) - 1:
            undecided = np.arange(len(self.low[layer]))
        if not len(undecided) or (layer == 0 and isinstance(domain, Box)):
            return
        from scipy.optimize import linprog
        from scipy.sparse import csr_array

        A, b, low, high = self._system(layer, domain)
        sparse = csr_array(A)
        last = self.W[layer].shape[1]
        for i in undecided:
            for sign in (1.0, -1.0):
                limit = monitor.budget.seconds
                if limit is not None and monitor.elapsed > limit:
                    break
                cost = np.zeros(A.shape[1])
                cost[-last:] = sign * self.W[layer][i]
                found = linprog(cost, A_ub=sparse, b_ub=b, bounds=np.stack([low, high], axis=1), method="highs")
                if found.status != 0:
                    continue  # the bounds of the relaxation stay
                y = np.maximum(-found.ineqlin.marginals, 0.0)
                value = _safe(cost, A, b, y, low, high)
                bias = sign * self.b[layer][i]
                value = value + bias - 2 * U * (abs(value) + abs(bias)) * 2
                if sign > 0:
                    self.low[layer][i] = max(self.low[layer][i], value)
                else:
                    self.high[layer][i] = min(self.high[layer][i], -value)
        self._lines(layer)

    def _system(self, layer: int, domain: Polyhedron) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Rows ``A v <= b`` over v = (x, y_1, …, y_layer), y_q the outputs of ReLU layer q, and their box."""
        sizes = [len(self.box[0]), *(self.W[q].shape[0] for q in range(layer))]
        offset = np.concatenate([[0], np.cumsum(sizes)])
        n = int(offset[-1])
        blocks, values = [], []
        if not isinstance(domain, Box):
            block = np.zeros((domain.n_facets, n))
            block[:, : sizes[0]] = domain.A.astype(np.float64)
            blocks.append(block)
            values.append(domain.b.astype(np.float64))
        for q in range(layer):
            w, b = self.W[q], self.b[q]
            here = slice(int(offset[q]), int(offset[q + 1]))
            out = np.arange(sizes[q + 1])
            # y >= w v + b, except where the neuron is never active: the box says y = 0 there
            block = np.zeros((sizes[q + 1], n))
            block[:, here] = w
            block[out, int(offset[q + 1]) + out] = -1.0
            live = self.high[q] > 0
            blocks.append(block[live])
            values.append(-b[live])
            # y <= slope (w v + b) + shift: rounding of slope * w is absorbed by the right-hand side
            block = np.zeros((sizes[q + 1], n))
            block[:, here] = -self.slope[q][:, None] * w
            block[out, int(offset[q + 1]) + out] = 1.0
            y_low, y_high = self._input(q)
            reach = np.abs(w) @ np.maximum(np.abs(y_low), np.abs(y_high)) + np.abs(b)
            blocks.append(block[live])
            values.append((self.slope[q] * b + self.shift[q] + 4 * U * (reach + np.abs(self.shift[q])))[live])
        lows, highs = [self.box[0]], [self.box[1]]
        for q in range(layer):
            lows.append(np.maximum(self.low[q], 0.0))
            highs.append(np.maximum(self.high[q], 0.0))
        A = np.concatenate(blocks) if blocks else np.zeros((0, n))
        b = np.concatenate(values) if values else np.zeros(0)
        return A, b, np.concatenate(lows), np.concatenate(highs)


@dataclass(frozen=True)
class Simplified:
    """A network without the neurons that are constant on a domain; the same function there, exactly.

    Attributes
    ----------
    network : ReLUNetwork
    domain : Polyhedron
        Where the two networks agree.
    kept : tuple of (m_l,) int64
        Neurons kept, by hidden layer.
    inactive : (p,) int64
        Hidden neurons that were removed because they are never active on the domain.
    active : (q,) int64
        Hidden neurons that are always active: kept, but their walls do not meet the domain.
    """

    original: ReLUNetwork
    network: ReLUNetwork
    domain: Polyhedron
    kept: tuple[IntArray, ...]
    inactive: IntArray
    active: IntArray

    def expand(self, signs: SignArray) -> SignArray:
        """Sign vectors (m, N') or (m, N' + D) of the small network as those of the original (-1 where removed)."""
        offsets = np.concatenate([[0], np.cumsum(self.original.hidden_widths)])
        columns = np.concatenate([k + o for k, o in zip(self.kept, offsets)]) if self.kept else np.zeros(0, int)
        small = len(columns)
        out = np.full((len(signs), int(offsets[-1]) + signs.shape[1] - small), -1, dtype=np.int8)
        out[:, columns] = signs[:, :small]
        out[:, int(offsets[-1]) :] = signs[:, small:]
        return out

    def __repr__(self) -> str:
        before = "-".join(map(str, self.original.architecture))
        after = "-".join(map(str, self.network.architecture))
        return f"Simplified({before} -> {after}, {len(self.active)} neurons always active)"


def simplify_on(
    network: ReLUNetwork,
    domain: Polyhedron,
    *,
    bounds: ActivationBounds | None = None,
    method: str = "relaxation",
    budget: Budget | None = None,
) -> Simplified:
    """Remove the neurons that are inactive on a whole domain, before enumerating there.

    Parameters
    ----------
    network : ReLUNetwork
    domain : Box or Polyhedron
    bounds : ActivationBounds, optional
        Bounds on this domain, if they were computed before.
    method, budget :
        Of `activation_bounds`.

    Returns
    -------
    Simplified
        Weights are copied, never computed with, so the function on the domain is exactly the same. A layer that
        dies out keeps one neuron.

    Examples
    --------
    >>> import polyfiber as pf
    >>> net = pf.ReLUNetwork.random((2, 12, 12, 1), rng=0)
    >>> box = pf.Box(-0.2, 0.2, dimension=2)
    >>> s = pf.simplify_on(net, box)
    >>> big, small = pf.canonical_complex(net, box), pf.canonical_complex(s.network, box)
    >>> big.f_vector == small.f_vector
    True
    """
    if bounds is None:
        bounds = activation_bounds(network, domain, method=method, budget=budget)
    elif bounds.network != network or bounds.domain is not domain:
        raise InputError("the bounds belong to another network or domain")
    offsets = np.concatenate([[0], np.cumsum(network.hidden_widths)])
    weights, biases = list(network.weights), list(network.biases)
    kept = []
    gone = []
    for layer, width in enumerate(network.hidden_widths):
        upper = bounds.upper[offsets[layer] : offsets[layer + 1]]
        keep = np.flatnonzero(upper > 0)
        if len(keep) == 0:
            # never active, whatever it is; the one with the most distance from its wall
            keep = np.array([int(np.argmin(upper))])
        kept.append(keep.astype(np.int64))
        gone.append(np.setdiff1d(np.arange(width), keep) + offsets[layer])
        weights[layer], biases[layer] = weights[layer][keep], biases[layer][keep]
        weights[layer + 1] = weights[layer + 1][:, keep]
    small = ReLUNetwork(weights, biases, source={**network.source, "simplified": True})
    removed = np.concatenate([*gone, np.zeros(0)]).astype(np.int64)
    return Simplified(network, small, domain, tuple(kept), removed, np.flatnonzero(bounds.lower > 0))


__all__ = ["ActivationBounds", "Simplified", "activation_bounds", "bounding_box", "simplify_on"]
