"""Bound ``|f - g|`` on cells that cover a domain: every cell is compared, however thin, flat or far out it is.

The domain is cut by the walls of both networks, neuron by neuron, into cells given by points and rays
(`kernels.equivalence.cover`). On a cell each network is affine up to a slack that is measured at the generators, so
``|f - g|`` plus slack plus rounding is a convex function, and what holds at all points and along all rays holds on the
cell. No complex, inner point or facet is needed, and no region is passed over: a cell that could not be finished or
compared is counted, and then nothing is proved.

On all of R^n the limit grows with the distance: ``tolerance * scale(x)`` with ``scale(x) = c + sum_j k_j |x_j - z_j|``.
The domain is first cut into the orthants around the centre z, on which that scale is affine.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from ..._typing import Array, FloatArray
from ...bounds.enclosing import enclosing_box
from ...bounds.relaxation import chart_of
from ...budget import Monitor, heed
from ...domain import Box, Polyhedron
from ...errors import BudgetExceededError, PolyfiberError
from ...kernels.equivalence import cover as kernels
from ...network.model import ReLUNetwork
from ...numerics.exact import as_fractions
from ...numerics.floats import nearest
from ...numerics.products import exact_product
from ...numerics.rounding import NOISE
from ..forms.canonical import generic_numbers

GENERATORS = 1 << 11
"""Points and rays that a cell may have."""
MEMORY = 1 << 27
"""Bytes for cells that wait; at most 2 ** 14 more than the corners of a box need."""
WIDEST = 8
"""Inputs up to which a domain is cut into cells."""
ROUND = 1 << 12
"""Finished cells after which the clock is read, at most."""
QUICK = 0.05
"""Seconds between two looks at the clock: fewer cells where it takes four times as long, more where it takes less."""


def sizes_of(
    net: ReLUNetwork, centre: FloatArray, bounds: tuple[FloatArray, FloatArray] | None = None
) -> list[FloatArray]:
    """Per layer (n_l, n0 + 1): the terms of a value at x add up to at most ``k |x - centre| + c``, c last; on a box
    ``k = 0``.
    """
    n = net.architecture[0]
    found = []
    if bounds is not None:
        far = np.maximum(np.abs(bounds[0]), np.abs(bounds[1]))
        for W, b in zip(net.weights, net.biases):
            far = (np.abs(W) @ far + np.abs(b)) * (1 + 1e-12)
            found.append(np.insert(np.zeros((len(far), n)), n, far, axis=1))
        return found
    current: FloatArray = np.concatenate([np.eye(n), np.abs(centre)[:, None]], axis=1)
    for W, b in zip(net.weights, net.biases):
        current = np.abs(W) @ current
        current[:, -1] += np.abs(b)
        current *= 1 + 1e-12
        found.append(current)
    return found


def _with_ties(net: ReLUNetwork, sizes: list[FloatArray]) -> tuple[ReLUNetwork, list[FloatArray]]:
    """Outputs ``f_i - f_0`` through a hidden layer of ``relu(f_i - f_j)`` for all i, j, whose walls are the ties; and
    their sizes.
    """
    W, b, own = net.weights[-1], net.biases[-1], sizes[-1]
    m = len(b)
    i, j = np.array([(p, q) for p in range(m) for q in range(m) if p != q]).T
    last = np.zeros((m, len(i)))
    for k, (p, q) in enumerate(zip(i, j)):
        last[p, k] += float(q == 0)
        last[q, k] -= float(p == 0)
    rows = (own[i] + own[j]) * (1 + 1e-12)
    ties = ReLUNetwork([*net.weights[:-1], W[i] - W[j], last], [*net.biases[:-1], b[i] - b[j], np.zeros(m)])
    return ties, [*sizes[:-1], rows, 2 * (own + own[0])]


def box_around(domain: Polyhedron | None) -> tuple[FloatArray, FloatArray] | None:
    """A box that certainly holds the domain; None where there is none."""
    try:
        return None if domain is None else enclosing_box(domain)
    except PolyfiberError as error:
        if isinstance(error, BudgetExceededError) or getattr(error, "empty", False):
            raise
        return None


def essential_inputs(f: ReLUNetwork, g: ReLUNetwork) -> tuple[ReLUNetwork, ReLUNetwork, FloatArray | None]:
    """Both networks on the directions that either of them reads, and an orthonormal basis (n0, r) of these; None: on
    all.

    What is left out is below 64 roundings of a row.
    """
    rows = np.concatenate([f.weights[0], g.weights[0]])
    tops = np.abs(rows).max(axis=1)
    rows = rows[tops > 0] / tops[tops > 0, None]
    n0 = f.architecture[0]
    basis = np.eye(n0)[:, :1]
    if len(rows):
        if n0 > WIDEST and min(rows.shape) > 2 * WIDEST:
            return f, g, None
        _, values, directions = np.linalg.svd(rows, full_matrices=False)
        rank = int((values > 2.0**-46 * values[0]).sum())
        basis = directions[:rank].T
        if rank == n0 or not bool((np.abs(rows - (rows @ basis) @ basis.T).max(axis=1) <= 2.0**-46).all()):
            return f, g, None
    elif n0 == 1:
        return f, g, None
    short = [ReLUNetwork([net.weights[0] @ basis, *net.weights[1:]], net.biases) for net in (f, g)]
    return short[0], short[1], basis


@dataclass
class Covered:
    """What the cells say.

    Attributes
    ----------
    cells, above, lost, waiting : int
        Finished cells; those on which the bound exceeds the limit; those given up (numbers or counts out of range);
        roots and cells not begun.
    share : float
        Of the domain that is proved, as halves of halves: each cut counts its two parts alike.
    ratio : float
        Largest bound relative to its limit.
    gap, upper, size, ceiling : (m,) arrays
        For each output the largest ``|f - g|`` at a point of a cell, a bound of it on all finished cells (infinite
        where it grows along a ray), the largest ``|f|`` seen and its bound.
    where : (m, n) array
        Where ``gap`` was found.
    suspects : list of (generator, base)
        Generators ``(x, 1)`` or ``(r, 0)`` at which the limit is exceeded most, and a point of their cells.
    """

    cells: int = 0
    above: int = 0
    lost: int = 0
    waiting: int = 0
    share: float = 0.0
    ratio: float = 0.0
    gap: FloatArray = field(default_factory=lambda: np.zeros(0))
    upper: FloatArray = field(default_factory=lambda: np.zeros(0))
    size: FloatArray = field(default_factory=lambda: np.zeros(0))
    ceiling: FloatArray = field(default_factory=lambda: np.zeros(0))
    where: FloatArray = field(default_factory=lambda: np.zeros((0, 0)))
    suspects: list[tuple[FloatArray, FloatArray]] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether every cell was finished."""
        return self.cells > 0 and not self.waiting and not self.lost

    @property
    def proves(self) -> bool:
        """Whether the bound is within the limit on the whole domain."""
        return self.complete and not self.above and self.ratio <= 1.0


class CoverSearch:
    """Cells of a pair on a domain; `run` works on them until done, until time is up, or until one exceeds the limit.

    Parameters
    ----------
    f, g : ReLUNetwork
        In float64, with the same inputs and outputs.
    domain : Polyhedron, optional
        All of R^n by default.
    classes : bool
        Compare the class that wins instead of all outputs: cells are cut by the walls on which two outputs tie as well,
        and a cell is good if one class wins on it in both networks, up to the limit.

    Raises
    ------
    ValueError
        More than `WIDEST` inputs.

    Examples
    --------
    >>> import numpy as np
    >>> import polyfiber as pf
    >>> from polyfiber.budget import Monitor
    >>> from polyfiber.equivalence.regions.cover import CoverSearch
    >>> a = pf.ReLUNetwork.random((2, 4, 1), rng=0)
    >>> b = pf.ReLUNetwork(a.weights, [a.biases[0], a.biases[1] + 0.25])
    >>> search = CoverSearch(a, b, pf.Box(-1, 1, dimension=2))
    >>> found = search.run(np.array([0.3]), Monitor())
    >>> found.proves, float(round(found.gap[0], 12)), bool(found.upper[0] < 0.2500001)
    (True, 0.25, True)
    """

    def __init__(
        self,
        f: ReLUNetwork,
        g: ReLUNetwork,
        domain: Polyhedron | None = None,
        *,
        classes: bool = False,
    ) -> None:
        self.f, self.g, self.domain = f, g, domain
        n = f.architecture[0]
        if n > WIDEST:
            raise ValueError(f"{n} inputs are more than the {WIDEST} for which cells are made")
        self.centre = 0.5 * generic_numbers(n)
        self.bounded = box_around(domain)
        self.hull = (
            None
            if domain is None or isinstance(domain, Box) or domain.affine_hull is None
            else domain.affine_hull.steady
        )
        if isinstance(domain, Box) and self.bounded is not None:
            self.centre = 0.5 * self.bounded[0] + 0.5 * self.bounded[1]
        self.sizes = [sizes_of(net, self.centre, self.bounded) for net in (f, g)]
        self.classes = classes
        if classes:
            pairs = [_with_ties(net, sizes) for net, sizes in zip((f, g), self.sizes)]
            (f, g), self.sizes = [p[0] for p in pairs], [p[1] for p in pairs]
            self.f, self.g = f, g
        self.pair, hidden, widest = _pack(f, g, self.sizes, self._inputs(), self.centre)
        self.marks = n + 1 if domain is None else (2 * n if isinstance(domain, Box) else n + 1 + domain.n_facets)
        # forms are composed of products; each layer adds its own roundings, the value at a generator n + 1 more
        terms = max(sum(W.shape[1] + 3 for W in net.weights) for net in (f, g))
        self.noise = (terms + n + 16) * kernels.UNIT * (1 + 1e-9)
        words = (self.marks + hidden + 63) // 64
        slots = hidden + 2
        each = 8 * (n + 1 + words)
        room = max(4 << n, min(GENERATORS, MEMORY // (slots * each)))
        self.memory = slots * room * each
        self.cells = kernels.Cells(
            np.empty((slots, room, n + 1)), np.zeros((slots, room, words), dtype=np.uint64),
            np.zeros(slots, dtype=np.int64), np.zeros(slots, dtype=np.int64), np.zeros(slots, dtype=np.int64),
            np.zeros((slots, max(1, hidden)), dtype=np.int8), np.zeros(slots),
        )  # fmt: skip
        neurons = max(1, hidden)
        self.bench = kernels.Bench(
            np.zeros((2, widest, n + 1)),
            np.zeros((2, widest, n + 1)),
            kernels.Affine(np.zeros((neurons, n + 1)), np.zeros((neurons, n + 1))),
            kernels.Steps(np.zeros((4, 2, widest)), np.zeros((3, widest))),
            kernels.Rounding(np.zeros(widest), np.zeros((2, widest))),
            np.zeros((widest, n + 1)),
            np.zeros(max(room, widest)),
            np.zeros(words, dtype=np.uint64),
        )

    def _inputs(self) -> FloatArray:
        """Bounds (n, n + 1) of the coordinates, in the manner of `sizes_of`."""
        n = len(self.centre)
        if self.bounded is not None:
            return np.insert(np.zeros((n, n)), n, np.maximum(np.abs(self.bounded[0]), np.abs(self.bounded[1])), axis=1)
        return np.concatenate([np.eye(n), np.abs(self.centre)[:, None]], axis=1)

    def largest(self) -> FloatArray:
        """On a bounded domain: what the terms of an output (m,) add up to at most, in the network where they are
        less.
        """
        return np.asarray(np.minimum(self.sizes[0][-1], self.sizes[1][-1])[:, -1])

    def run(
        self,
        limits: FloatArray,
        monitor: Monitor,
        *,
        share: float = 0.0,
        blurs: float = 0.0,
        stop: int | None = 1,
        most: int | None = None,
    ) -> Covered:
        """Go through all cells.

        Parameters
        ----------
        limits : (m,) array
            ``|f_o - g_o| <= limits[o]`` is asked for, beside what follows. Infinity asks nothing.
        share : float
            And so much of what the terms of output o add up to, on the way to the point, in the network where they are
            less; neurons that are off add nothing.
        blurs : float
            And so many times what parameters and coordinates moved by `kernels.BLUR` do to the values at hand.
        stop : int, optional
            Cells above the limit after which to stop; None: none.
        most : int, optional
            Finished cells after which to stop.
        """
        n, m = self.f.architecture[0], self.f.architecture[-1]
        tally = kernels.Tally(
            np.zeros(3, dtype=np.int64), np.zeros(1), np.zeros((m, 4)), np.zeros((m, n)),
            np.full(16, -1.0), np.zeros((16, n + 1)), np.zeros((16, n)), np.zeros(1),
        )  # fmt: skip
        limits = np.ascontiguousarray(limits, dtype=np.float64)
        number, waiting, size = self.n_roots, 0, ROUND >> 6
        for index in range(number):
            waiting = 1
            if monitor.late:
                waiting += number - 1 - index
                break
            try:
                root = self.root(index)
            except OverflowError:  # one root has too many vertices, or numbers beyond floats
                tally.counts[2] += 1
                waiting = 0
                continue
            if root is None:
                tally.share[0] += 1.0 / number
                waiting = 0
                continue
            need = self._place(root, 1.0 / number)
            while waiting and not (stop is not None and tally.counts[1] >= stop):
                if monitor.late or (most is not None and tally.counts[0] >= most):
                    break
                failures = np.inf if stop is None else float(stop - tally.counts[1])
                options = np.array([NOISE, self.noise, size, failures, float(self.classes), share, blurs])
                began = monitor.elapsed
                waiting = kernels.go_on(
                    self.pair, self.cells, waiting, self.bench, limits, tally, options, need, self.marks
                )
                took = monitor.elapsed - began
                size = min(2 * size, ROUND) if took < QUICK else max(1, size // 2) if took > 4 * QUICK else size
                monitor.report("comparing cells", int(tally.counts[0]), None, share=round(float(tally.share[0]), 4))
            if waiting:
                waiting += number - 1 - index
                break
        cells, above, lost = (int(v) for v in tally.counts)
        order = np.argsort(-tally.worst)
        suspects = [(tally.at[s].copy(), tally.base[s].copy()) for s in order if tally.worst[s] >= 0]
        return Covered(
            cells, above, lost, waiting, min(1.0, float(tally.share[0])), float(tally.ratio[0]), tally.top[:, 0].copy(),
            tally.top[:, 1].copy(), tally.top[:, 2].copy(), tally.top[:, 3].copy(), tally.where, suspects,
        )  # fmt: skip

    def _place(self, root: tuple[FloatArray, Array, int], share: float) -> int:
        """Put a root in the first slot; how many constraints the ends of its edges share."""
        generators, tight, need = root
        k = len(generators)
        self.cells.generators[0, :k] = generators
        self.cells.tight[0, :k] = 0
        self.cells.tight[0, :k, : tight.shape[1]] = tight
        self.cells.count[0], self.cells.step[0], self.cells.neuron[0], self.cells.share[0] = k, 0, 0, share
        return need

    @property
    def n_roots(self) -> int:
        """Cells to begin with: the box, or the orthants around the centre."""
        return (
            1 if isinstance(self.domain, Box) else 1 << (len(self.centre) if self.hull is None else self.hull.dimension)
        )

    def root(self, index: int) -> tuple[FloatArray, Array, int] | None:
        """A cell to begin with: generators, tight constraints, and how many of these the ends of an edge share; None if
        it is empty.

        Raises
        ------
        OverflowError
            It has too many vertices, or numbers beyond floats.
        """
        n, words = self.f.architecture[0], self.cells.tight.shape[2]
        if isinstance(self.domain, Box):
            lo, hi = (v.astype(np.float64) for v in (self.domain.lo, self.domain.hi))
            wide = np.flatnonzero(lo < hi)
            corners = (np.arange(1 << len(wide))[:, None] >> np.arange(len(wide))[::-1]) & 1
            points = np.repeat(lo[None], len(corners), axis=0)
            points[:, wide] = np.where(corners == 1, hi[wide], lo[wide])
            bits = _bits(2 * np.arange(len(wide))[None] + corners, words)
            return np.insert(points, n, 1.0, axis=1), bits, max(0, len(wide) - 1)
        # on a flat: orthants of its own coordinates
        k = n if self.hull is None else self.hull.dimension
        centre = self.centre if self.hull is None else self.centre[self.hull.free]
        signs = 1.0 - 2.0 * ((index >> np.arange(k)) & 1)
        points = np.concatenate([np.append(centre, 1.0)[None], np.insert(np.diag(signs), k, 0.0, axis=1)])
        on = [list(range(k)), *([j for j in range(k) if j != i] + [k] for i in range(k))]
        bits = _bits(on, words)
        if self.domain is not None:
            clipped = self._clipped(points, bits)
            if clipped is None:
                return None
            points, bits, need = clipped
            return self._lifted(points), bits, need
        return points, bits, k - 1

    def _lifted(self, points: FloatArray) -> FloatArray:
        """Generators of the flat in all coordinates, rounded once."""
        if self.hull is None:
            return points
        values = as_fractions(points)
        return nearest(np.concatenate([exact_product(values, self.hull.lift.T), values[:, -1:]], axis=1))

    def _clipped(self, points: FloatArray, bits: Array) -> tuple[FloatArray, Array, int] | None:
        """The part of a root inside the polyhedron, at most a rounding larger."""
        assert self.domain is not None
        k = points.shape[1] - 1
        inner = self.domain
        if self.hull is not None and k:
            inner = Polyhedron(*chart_of(self.domain, self.hull))
        sides = inner.affine_forms() if k else np.zeros((0, 1))
        A, b = inner.in_floats()
        rows = np.concatenate([-A, b[:, None]], axis=1) if k else np.zeros((0, 1))
        kept = np.zeros((2, self.cells.generators.shape[1], k + 1))
        cells = self.cells._replace(generators=kept)
        cells.count[0] = len(points)
        kept[0, : len(points)], cells.tight[0, : len(points)] = points, bits
        for r, row in enumerate(rows):
            heed("clipping the domain")
            m = int(cells.count[0])
            h = kept[0, :m]
            values = h @ row
            near = NOISE * (np.abs(h) @ np.abs(row))
            mark = k + 1 + r
            if (values > near).any() and (values < -near).any():
                self.bench.values[:m] = np.where(np.abs(values) > near, values, 0.0)
                if not kernels.cut(cells, 0, 1, self.bench.values, mark, k - 1, self.bench):
                    raise OverflowError("too many vertices, or numbers beyond floats")
                m = int(cells.count[1])
                kept[0, :m], cells.tight[0, :m], cells.count[0] = kept[1, :m], cells.tight[1, :m], m
                continue
            inside = np.flatnonzero(values >= -near)
            tight = cells.tight[0, inside].copy()
            if not (values > near).any():  # what is left lies on the wall
                tight[:, mark >> 6] |= np.uint64(1) << np.uint64(mark & 63)
            kept[0, : len(inside)], cells.tight[0, : len(inside)], cells.count[0] = h[inside], tight, len(inside)
            if not (kept[0, : len(inside), -1] > 0).any():
                return None
        m = int(cells.count[0])
        found, tight = kept[0, :m].copy(), cells.tight[0, :m].copy()
        if not (found[:, -1] > 0).any():
            return None
        common = np.bitwise_and.reduce(tight, axis=0)
        on_all = [r for r in range(k + 1 + len(rows)) if int(common[r >> 6]) >> (r & 63) & 1]
        count = len({_direction(sides[r - k - 1]) for r in on_all if r > k}) + sum(r < k for r in on_all)
        return found, tight & ~common, max(0, k - 1 - count)


def _direction(row: Array) -> tuple[Fraction, ...]:
    """A wall without its side, in rationals."""
    values = [Fraction(v) for v in row[:-1]]
    lead = next(v for v in values if v)
    return tuple(v / lead for v in values)


def _bits(sets: Any, words: int) -> Array:
    table = np.zeros((len(sets), words), dtype=np.uint64)
    for i, members in enumerate(sets):
        for j in members:
            table[i, int(j) >> 6] |= np.uint64(1) << np.uint64(int(j) & 63)
    return table


def _pack(
    f: ReLUNetwork, g: ReLUNetwork, sizes: list[list[FloatArray]], inputs: FloatArray, centre: FloatArray
) -> tuple[kernels.PackedPair, int, int]:
    """Arrays for the kernel, hidden neurons of both, and the widest layer."""
    nets = (f, g)
    most = max(len(net.weights) for net in nets)
    widths = np.zeros((2, most + 1), dtype=np.int64)
    begin, first, own = (np.zeros((2, most), dtype=np.int64) for _ in range(3))
    weights, biases, rows = [], [], []
    w = b = hidden = 0
    for k, net in enumerate(nets):
        widths[k, : len(net.architecture)] = net.architecture
        for l, (W, c) in enumerate(zip(net.weights, net.biases)):
            begin[k, l], first[k, l], own[k, l] = w, b, hidden
            w, b = w + W.size, b + len(c)
            weights.append(W.ravel())
            biases.append(c)
            rows.append(sizes[k][l])
            hidden += len(c) if l < len(net.weights) - 1 else 0
    order = [(k, l) for l in range(most - 1) for k, net in enumerate(nets) if l < len(net.weights) - 1]
    depth = np.array([len(net.weights) for net in nets], dtype=np.int64)
    pair = kernels.PackedPair(
        kernels.Layers(depth, widths, begin, first, own, np.array(order, dtype=np.int64).reshape(-1, 2)),
        np.concatenate(weights),
        np.concatenate(biases),
        np.concatenate(rows),
        inputs,
        np.ascontiguousarray(centre, dtype=np.float64),
    )
    return pair, hidden, int(max(max(net.architecture) for net in nets))
