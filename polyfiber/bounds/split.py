"""Branch and bound over boxes for statements about two networks together: the driver of the compiled search."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from .. import words
from .._typing import Array, FloatArray, IntArray
from .._values.checked import generator_of
from ..budget import Budget, Monitor
from ..kernels.bounds import boxes as search_kernel
from ..kernels.bounds.boxes import Boxes, Points, Pool, Queue, Search, Values
from ..kernels.bounds.pair import N_CHARGES, Goal, Pair, Three
from ..kernels.bounds.planes import Asked, Functionals, Limits, Live, Planes
from ..kernels.bounds.zonotopes import After, Before, Forms, Kept, Middle, Now, Symbols
from ..numerics.rounding import UNIT
from .goals import Alternative, make_goal
from .pairing import Side, flat_pair
from .tree import Tree

BATCH = 64
"""Functionals that are substituted at once."""
SLICE = 0.05
"""Seconds between two looks at the clock, about."""
POOL_MEMORY = 1 << 30
"""Bytes of open boxes, without a budget, beyond which the newest box is taken first."""
SPEED = 4e9
"""Additions and multiplications a second, about."""
MOST = 4096
"""Boxes in one slice at most."""
STARTS = 64
ROUNDS = 60
HERD, HOPS, HOPPING, IDLE = 8, 4, 0.05, 300
"""Inputs that are kept to hop from, hops between two slices, the part of the time for them; hops without a gain before
others are begun with.
"""

NEGLIGIBLE = 2.0**-980
"""Largest violation below which nothing is looked for; more than what underflow may take from sums of usual sizes."""

CHARGES = np.full(N_CHARGES, UNIT)
"""Every charge in full."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a search over boxes came to.

    Attributes
    ----------
    status : 'proved', 'violated' or 'open'
    excess : float
        The goal is violated by at most so much anywhere: <= 0 where it is proved.
    best : float
        The largest violation that was met, in floating point; negative where none.
    point : (n0,) array or None
        Where.
    share : float
        Of the volume that is settled.
    boxes, substitutions, open : int
    stopped : str
        Why the search ended with boxes open.
    tree : Tree
    seconds : float
    """

    status: str
    excess: float
    best: float
    point: FloatArray | None
    share: float
    boxes: int
    substitutions: int
    open: int
    stopped: str
    tree: Tree
    seconds: float


class Opened(NamedTuple):
    """Open boxes: ends (k, n0), bounds of neurons (k, 6, N), proved groups (k, groups), bound, share and node (k,)."""

    lo: FloatArray
    hi: FloatArray
    bounds: FloatArray
    proved: Array
    bound: FloatArray
    share: FloatArray
    node: IntArray

    def of(self, rows: Any) -> Opened:
        """Some of them."""
        return Opened(*(part[rows] for part in self))


class BoxSearch:
    """A search for an input of a box that violates a goal, or for a proof that there is none.

    Parameters
    ----------
    sides : (Side, Side)
        From `pairing.paired`.
    groups : sequence of sequences of alternatives
        See `goals`.
    lo, hi : (n0,) arrays
        ``lo == hi`` in some coordinates is a flat box.
    rows : (A, b), optional
        Only the part where ``A x <= b`` counts.
    confirm : callable, optional
        Takes an input at which the goal seems violated; whether it is so exactly. Without it floating point is
        believed.
    follow : bool
        Find the largest violation instead: the limit rises with the best input, up to the relative ``gap``.
    alone : bool
        The second network is zero everywhere, in every neuron: the statement is about the first alone.
    """

    def __init__(
        self, sides: tuple[Side, Side], groups: Sequence[Sequence[Alternative]], lo: FloatArray, hi: FloatArray, *,
        rows: tuple[FloatArray, FloatArray] | None = None, confirm: Callable[[FloatArray], bool] | None = None,
        follow: bool = False, gap: float = 1e-6, alone: bool = False,
    ) -> None:  # fmt: skip
        self.pair: Pair = flat_pair(*sides)
        self.sides, self.rows, self.alone = sides, rows, alone
        self.lo, self.hi = (np.array(v, dtype=np.float64) for v in (lo, hi))
        self.groups = groups
        self.goal: Goal = make_goal(groups, rows, len(self.lo))
        self.confirm = confirm
        self.follow = follow
        widths = self.pair.layout.widths
        self.n_hidden = int(self.pair.layout.first[len(widths) - 2])
        self.forms, self.planes = _forms(widths, self.n_hidden), _planes(widths, self.n_hidden)
        self.state = _state(widths, self.n_hidden, len(self.goal.limit), self.lo, self.hi)
        self.pool = _pool(64, len(self.lo), self.n_hidden, len(groups), 1 << 12)
        self.seconds = 0.0
        self.herd: list[tuple[float, FloatArray]] = []
        self.chance, self.idle = generator_of(0), 0
        self.unit = CHARGES
        numbers = self.state.numbers
        numbers[search_kernel.GAP] = gap
        if follow:  # nothing below it is looked for: what underflow may take is charged, and never ends
            numbers[search_kernel.LEVEL] = NEGLIGIBLE
        numbers[search_kernel.KEEP] = np.inf if follow else 0.0
        self.state.counts[search_kernel.FOLLOW] = follow
        self._root()
        if alone:
            self.pool.boxes.bounds[0, 2:4] = 0.0

    def _root(self) -> None:
        pool, counts = self.pool, self.state.counts
        pool.boxes.lo[0], pool.boxes.hi[0] = self.lo, self.hi
        pool.boxes.bounds[0, 0::2], pool.boxes.bounds[0, 1::2] = -np.inf, np.inf
        pool.bound[0], pool.share[0], pool.queue.key[0] = np.inf, 1.0, np.inf
        pool.tree.split[0] = -1
        size = len(pool.bound)
        pool.queue.free[: size - 1] = np.arange(size - 1, 0, -1)
        counts[search_kernel.FREE], counts[search_kernel.HEAP], counts[search_kernel.NODES] = size - 1, 1, 1

    # ---- open boxes, to be searched elsewhere ----------------------------------------------------
    def opened(self) -> Opened:
        """The boxes that are open, the largest bound first."""
        pool = self.pool
        places = pool.queue.heap[: self.state.counts[search_kernel.HEAP]]
        places = places[np.argsort(-pool.bound[places], kind="stable")]
        kept = (part[places] for part in (*pool.boxes, pool.bound, pool.share, pool.node))
        return Opened(*kept)

    def begin_with(self, given: Opened) -> None:
        """Search these boxes, in the order of `opened`, instead of the whole one; node i of the tree is then box i."""
        n, counts = len(given.bound), self.state.counts
        size = max(64, 2 * n)
        self.pool = pool = _pool(size, len(self.lo), self.n_hidden, len(self.groups), 1 << 12 if n < 1 << 11 else 2 * n)
        for to, part in zip((*pool.boxes, pool.bound, pool.share), given):
            to[:n] = part
        pool.node[:n] = pool.queue.heap[:n] = np.arange(n)
        pool.queue.key[:n], pool.tree.split[:n] = given.bound, -1
        pool.queue.free[: size - n] = np.arange(size - 1, n - 1, -1)
        counts[search_kernel.FREE], counts[search_kernel.HEAP], counts[search_kernel.NODES] = size - n, n, n

    # ---- looking for a violation ----------------------------------------------------------------
    def attack(self, monitor: Monitor, points: FloatArray | None = None, *, rng: Any = 0) -> None:
        """Climb from random inputs of the box, and from the given ones, until time is up."""
        generator = generator_of(rng)
        n0 = len(self.lo)
        span = self.hi - self.lo
        X = self.lo + span * generator.random((STARTS, n0))
        X[1::4] = np.where(generator.random(X[1::4].shape) < 0.5, self.lo, self.hi)
        if points is not None and len(points):
            X = np.concatenate([np.asarray(points, dtype=np.float64).reshape(-1, n0), X])
        found = []
        for x in np.clip(X, self.lo, self.hi):
            value = search_kernel.climb(self.pair, self.goal, x, self.lo, self.hi, 0.25, ROUNDS, self.state)
            found.append((float(value), x))
            if monitor.late:
                break
        self.herd, self.idle = sorted(found, key=lambda pair: -pair[0])[:HERD], 0

    def hop(self, count: int) -> None:
        """Climb from the best inputs so far with some coordinates changed: to an end, anywhere, or to those of another.

        Where three hundred climbs from anywhere end at 0.97 of the largest violation, a thousand hops ended at it.
        """
        if not self.herd:
            return
        draw, n0 = self.chance, len(self.lo)
        if self.idle > IDLE:
            self.attack(Monitor(), rng=draw)
        for _ in range(count):
            at, other = draw.integers(len(self.herd), size=2)
            some = draw.random(n0) < 0.25
            some[draw.integers(n0)] = True
            how = draw.random()
            y = self.herd[other][1]
            if how < 0.6:
                part = draw.random(n0) if how < 0.3 else draw.integers(2, size=n0)
                y = self.lo * (1 - part) + self.hi * part
            x = np.clip(np.where(some, y, self.herd[at][1]), self.lo, self.hi)
            value = float(search_kernel.climb(self.pair, self.goal, x, self.lo, self.hi, 0.1, ROUNDS, self.state))
            self.idle += 1
            if value > self.herd[at][0]:
                self.herd[at], self.idle = (value, x), 0

    def _climb_on(self) -> None:
        """From the best point so far, in small steps: a search burrows to the level and stops just above it."""
        if np.isfinite(self.state.numbers[search_kernel.BEST]):
            for radius in (0.05, 1e-3):
                x = self.state.points.best.copy()
                search_kernel.climb(self.pair, self.goal, x, self.lo, self.hi, radius, ROUNDS, self.state)

    def violated(self) -> bool:
        """Whether the best point violates the goal exactly; if not it is not tried again."""
        numbers = self.state.numbers
        if self.follow or not numbers[search_kernel.BEST] > numbers[search_kernel.KEEP]:
            return False
        if self.confirm is None or self.confirm(self.state.points.best.copy()):
            return True
        numbers[search_kernel.KEEP] = numbers[search_kernel.BEST]
        return False

    # ---- the search -----------------------------------------------------------------------------
    def run(
        self, monitor: Monitor, *, seconds: float | None = None, phase: str = "boxes", attack: bool = True
    ) -> Outcome:
        """Search until it is settled, the budget is used up, or an interruption comes; may be called again to go on.

        Parameters
        ----------
        monitor : Monitor
        seconds : float, optional
            Limit for this call, where that of the monitor is later or there is none.
        """
        clock = Monitor(
            Budget(None if seconds is None or seconds == np.inf else max(0.0, seconds))
        )  # compiling does not count
        stopped, status = "", "open"
        steps, climbed, hopped = 1, -np.inf, 0.0
        try:
            left = monitor.left
            if left is not None and not self.state.counts[search_kernel.BOXES] and self.box_seconds > max(left, 1.0):
                stopped = f"one box would take about {self.box_seconds:.3g} s, more than is left"
                return self._outcome(status, stopped)
            if attack:
                self.attack(monitor)
            if self.violated():
                status = "violated"
            while status == "open":
                began = clock.elapsed
                boxes = int(self.state.counts[search_kernel.BOXES])
                if (
                    boxes and self.state.counts[search_kernel.HEAP] and (monitor.late or clock.late)
                ):  # the whole box is looked at in any case
                    stopped = f"the time is used up after {words.count(self.state.counts[search_kernel.BOXES], 'box', 'boxes')}"
                    break
                code = search_kernel.search(
                    self.pair, self.goal, self.pool, self.state, self.planes, self.forms, self.unit, steps
                )
                took = clock.elapsed - began
                rate = (self.state.counts[search_kernel.BOXES] - boxes) / max(took, 1e-6)
                steps = int(np.clip(rate * SLICE, 1, min(4 * steps, MOST)))
                if code == search_kernel.FOUND:
                    self._climb_on()
                    if self.violated():
                        status = "violated"
                elif code == search_kernel.FULL:
                    stopped = self._grow(monitor)
                    if stopped:
                        break
                elif code == search_kernel.STUCK:
                    self._set_aside()
                elif code == search_kernel.DONE:
                    status = "open" if self.aside else "proved"
                    stopped = "boxes as small as floats allow are left" if self.aside else ""
                    break
                else:
                    if hopped <= HOPPING * clock.elapsed:
                        began = clock.elapsed
                        self.hop(HOPS)
                        hopped += clock.elapsed - began
                    if self.state.numbers[search_kernel.BEST] > climbed:
                        self._climb_on()
                        climbed = float(self.state.numbers[search_kernel.BEST])
                        if self.violated():
                            status = "violated"
                self._tell(monitor, phase, clock.elapsed)
        except KeyboardInterrupt:
            stopped = "interrupted"
        self.seconds += clock.elapsed
        return self._outcome(status, stopped)

    @property
    def box_seconds(self) -> float:
        """About what one box takes at worst: forms with every neuron unstable, and as many substitutions as neurons."""
        widths = self.pair.layout.widths.astype(np.float64)
        products = widths[1:] * widths[:-1]
        rows = 1.0 + widths[0] + np.concatenate([[0.0], np.cumsum(widths[1:-1])])
        return float(6.0 * (rows * products + 2.0 * widths[1:] * np.cumsum(products)).sum()) / SPEED

    aside: tuple[tuple[float, float, int], ...] = ()
    """Boxes that cannot be halved: bound, share, node."""

    def _set_aside(self) -> None:
        place = int(self.state.counts[search_kernel.OPEN])
        counts, pool = self.state.counts, self.pool
        point = pool.boxes.lo[place].copy()
        settled = False
        if (pool.boxes.lo[place] == pool.boxes.hi[place]).all() and self.confirm is not None and not self.follow:
            settled = not self.confirm(point)  # one input: decided exactly
        if settled:
            pool.tree.split[pool.node[place]] = -2
            self.state.numbers[search_kernel.SHARE] += pool.share[place]
            self.state.numbers[search_kernel.CLOSED] = max(0.0, self.state.numbers[search_kernel.CLOSED])
        else:
            self.aside = (*self.aside, (float(pool.bound[place]), float(pool.share[place]), int(pool.node[place])))
        pool.queue.free[counts[search_kernel.FREE]] = place
        counts[search_kernel.FREE] += 1

    def _grow(self, monitor: Monitor) -> str:
        """More room; the newest box first once memory is short. Returns why that is not possible, or nothing."""
        counts, pool = self.state.counts, self.pool
        nodes = len(pool.tree.split)
        if counts[search_kernel.NODES] + 2 > nodes:
            longer = (np.concatenate([part, np.zeros_like(part)]) for part in pool.tree)
            pool = pool._replace(tree=search_kernel.Tree(*longer))
        if counts[search_kernel.FREE] == 0:
            size = len(pool.bound)
            each = 8 * (2 * len(self.lo) + 6 * self.n_hidden + 8)
            most = POOL_MEMORY if monitor.budget.memory is None else monitor.budget.memory // 2
            if 2 * size * each > most and not counts[search_kernel.DEEP]:
                counts[search_kernel.DEEP] = 1
                n = counts[search_kernel.HEAP]
                # from now on the newest first; of the open ones the smallest
                order = np.argsort(-pool.share[pool.queue.heap[:n]], kind="stable")
                pool.queue.heap[:n] = pool.queue.heap[:n][order[::-1]]
                pool.queue.key[:n] = np.arange(0, -n, -1) - 1.0
                most = 2 * most  # a little more for the way down
            if size * each > most:
                return f"{n_text(size)} open boxes take {size * each / 1e6:.4g} MB, all the memory that was allowed"
            more = min(size, max(64, int(most // each) - size)) if 2 * size * each > most else size

            def longer_by(old: Any) -> Any:
                return np.concatenate([old, np.zeros((more, *old.shape[1:]), dtype=old.dtype)])

            pool = Pool(
                boxes=Boxes(*map(longer_by, pool.boxes)), bound=longer_by(pool.bound), share=longer_by(pool.share),
                node=longer_by(pool.node), queue=Queue(*map(longer_by, pool.queue)), tree=pool.tree,
            )  # fmt: skip
            pool.queue.free[:more] = np.arange(size + more - 1, size - 1, -1)
            counts[search_kernel.FREE] = more
        self.pool = pool
        return ""

    # ---- telling --------------------------------------------------------------------------------
    @property
    def excess(self) -> float:
        """By how much the goal may be violated, as far as it is known."""
        numbers, counts, pool = self.state.numbers, self.state.counts, self.pool
        found = [float(numbers[search_kernel.CLOSED]), *(bound for bound, _, _ in self.aside)]
        n = int(counts[search_kernel.HEAP])
        if n:
            found.append(float(pool.bound[pool.queue.heap[:n]].max()))
        if np.isfinite(numbers[search_kernel.BEST]):
            found.append(float(numbers[search_kernel.BEST]))
        return max(found)

    def _tell(self, monitor: Monitor, phase: str, seconds: float) -> None:
        if monitor._call is not None:
            numbers, counts = self.state.numbers, self.state.counts
            boxes = int(counts[search_kernel.BOXES])
            monitor.report(
                phase, boxes, None, share=round(float(numbers[search_kernel.SHARE]), 6), bound=self.excess,
                best=float(numbers[search_kernel.BEST]), open=int(counts[search_kernel.HEAP]),
                rate=round(boxes / max(seconds, 1e-3)),
            )  # fmt: skip

    def _outcome(self, status: str, stopped: str) -> Outcome:
        numbers, counts = self.state.numbers, self.state.counts
        best = float(numbers[search_kernel.BEST])
        point = self.state.points.best.copy() if best > -np.inf else None  # infinite where values overflow
        share = float(numbers[search_kernel.SHARE])
        n = int(counts[search_kernel.NODES])
        tree = Tree(self.lo, self.hi, self.pool.tree.split[:n].copy(), self.pool.tree.child[:n].copy())
        return Outcome(
            status, self.excess, best, point, 1.0 if status == "proved" else min(share, 1.0 - 2.0**-40),
            int(counts[search_kernel.BOXES]), int(counts[search_kernel.BACKS]),
            int(counts[search_kernel.HEAP]) + len(self.aside), stopped, tree, self.seconds,
        )  # fmt: skip


def n_text(count: int) -> str:
    """A number with separators."""
    return f"{count:,}"


# ---- working arrays --------------------------------------------------------------------------------
def _forms(widths: Any, n_hidden: int) -> Forms:
    n0, layers = int(widths[0]), len(widths) - 1
    stride = -(-int(widths.max()) // 8) * 8
    rows = 1 + n0 + n_hidden

    def table(*shape: int) -> FloatArray:
        return np.zeros(shape)

    flat = rows * stride

    def ints(*shape: int) -> Any:
        return np.zeros(shape, dtype=np.int64)

    return Forms(
        np.array([stride, rows]),
        Middle(table(n0), table(n0)),
        Kept(table(layers * flat), table(layers, stride), ints(layers + 1, stride), ints(layers + 1, 3)),
        Before(table(flat), table(flat)),
        After(table(flat), table(flat), table(flat)),
        Three(*(table(stride * stride) for _ in range(3))),
        Now(ints(stride), np.arange(max(rows, stride)), table(19, stride)),
        Symbols(table(2, rows), ints(2, rows)),
    )


def _planes(widths: Any, n_hidden: int) -> Planes:
    n0, layers, m = int(widths[0]), len(widths) - 1, int(widths[-1])
    widest = int(widths.max())
    room = BATCH

    def ints(*shape: int) -> Any:
        return np.zeros(shape, dtype=np.int64)

    def table() -> FloatArray:
        return np.zeros((widest + 4) * room)

    return Planes(
        np.array([room]),
        Limits(np.zeros((2, n_hidden + m + n0)), np.zeros((2, n_hidden + m))),
        Live(ints(layers + 1, widest), ints(layers + 1), np.arange(widest + n0)),
        Functionals(*(table() for _ in range(4)), *(np.zeros(room) for _ in range(3))),
        Asked(ints(room), ints(room), np.zeros(room)),
        np.zeros((4, n0)),
        np.zeros(4),
    )


def _state(widths: Any, n_hidden: int, alternatives: int, lo: FloatArray, hi: FloatArray) -> Search:
    n0, m, widest = len(lo), int(widths[-1]), int(widths.max())
    numbers = np.zeros(8)
    numbers[search_kernel.BEST] = numbers[search_kernel.CLOSED] = -np.inf
    with np.errstate(over="ignore"):
        width = np.where(hi > lo, hi - lo, 1.0)
    pre, scratch = (2, n_hidden + m + 8), (2, widest)
    return Search(
        np.zeros((6, n_hidden)),
        Values(np.zeros(pre), np.zeros(pre), np.zeros(scratch), np.zeros(scratch), np.zeros(widest, dtype=np.int64)),
        Points(*(np.zeros(n0) for _ in range(4))),
        numbers,
        np.zeros(8, dtype=np.int64),
        width,
        np.zeros(alternatives),
    )


def _pool(places: int, n0: int, n_hidden: int, groups: int, nodes: int) -> Pool:
    def ints() -> Any:
        return np.zeros(places, dtype=np.int64)

    return Pool(
        Boxes(
            np.zeros((places, n0)), np.zeros((places, n0)), np.zeros((places, 6, n_hidden)),
            np.zeros((places, groups), dtype=np.uint8),
        ),
        np.zeros(places), np.zeros(places), ints(),
        Queue(ints(), np.zeros(places), ints()),
        search_kernel.Tree(np.zeros(nodes, dtype=np.int32), np.zeros(nodes, dtype=np.int32)),
    )  # fmt: skip
