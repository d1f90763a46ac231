"""A search over boxes whose open boxes are worked on elsewhere: what all ways to deal them out have in common.

Verdicts are those of one process: which boxes have to be looked at for a YES does not depend on their order.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from ... import words
from ..._typing import FloatArray, IntArray
from ..._values.checked import generator_of
from ...bounds.split import BoxSearch, Opened, Outcome
from ...bounds.tree import OPEN, Tree
from ...budget import Budget, Monitor
from ...kernels.bounds import boxes as search_kernel

ALONE = 0.1
"""Seconds in one process before boxes are dealt, and between two looks whether others are ready."""

Maker = Callable[[], BoxSearch]
"""Makes the search, here and in other processes."""


class Task(NamedTuple):
    """Boxes for a worker (None: go on with its own), inputs to hop from, where its chance begins, the best input, until
    when by the clock, and bytes for open boxes.
    """

    boxes: Opened | None
    herd: list[tuple[float, FloatArray]]
    chance: int
    best: tuple[float, FloatArray]
    end: float
    memory: int | None

    @property
    def budget(self) -> Budget:
        """What is left."""
        return Budget(None if np.isinf(self.end) else max(0.0, self.end - time.time()), self.memory)


class Done(NamedTuple):
    """What a worker made of its boxes."""

    outcome: Outcome
    left: Opened
    aside: tuple[tuple[float, float, int], ...]
    closed: float
    share: float


class Forest:
    """The tree of all boxes, grown by what workers return."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree

    def grow(self, names: IntArray, part: Tree) -> IntArray:
        """Put the tree of a worker below its boxes: ``names`` are those that its first nodes have here; the names of
        all its nodes.
        """
        more, size = len(part.split) - len(names), len(self.tree.split)
        names = np.concatenate([names, np.arange(size, size + more)])
        split = np.concatenate([self.tree.split, np.full(more, OPEN, dtype=self.tree.split.dtype)])
        child = np.concatenate([self.tree.child, np.zeros(more, dtype=self.tree.child.dtype)])
        known = np.flatnonzero(part.split != OPEN)  # what it left open another may have halved
        split[names[known]] = part.split[known]
        halved = np.flatnonzero(part.split >= 0)
        child[names[halved]] = names[part.child[halved]]
        self.tree = Tree(self.tree.lo, self.tree.hi, split, child)
        return names

    def reopened(self, given: Opened, elsewhere: set[int]) -> Opened:
        """What is open below boxes, but for what lies below the nodes that are with others; bounds are those of the
        boxes.
        """
        found: list[tuple[int, int, float, FloatArray, FloatArray]] = []
        for row in range(len(given.bound)):
            stack = [(int(given.node[row]), given.lo[row], given.hi[row], float(given.share[row]))]
            while stack:
                node, lo, hi, share = stack.pop()
                k = int(self.tree.split[node])
                if node in elsewhere or k < OPEN:
                    continue
                if k == OPEN:
                    found.append((row, node, share, lo, hi))
                    continue
                below, above = hi.copy(), lo.copy()
                below[k] = above[k] = 0.5 * lo[k] + 0.5 * hi[k]
                child = int(self.tree.child[node])
                stack += [(child, lo, below, 0.5 * share), (child + 1, above, hi, 0.5 * share)]
        kept = given.of(np.array([row for row, *_ in found], dtype=np.int64))
        lo, hi = (np.array([every[side] for every in found]).reshape(kept.lo.shape) for side in (3, 4))
        nodes, shares = np.array([every[1] for every in found], dtype=np.int64), np.array([every[2] for every in found])
        return kept._replace(lo=lo, hi=hi, share=shares, node=nodes)


class SharedBoxes:
    """A search that begins here and whose open boxes are then dealt out; `run` stands for `BoxSearch.run`.

    Parameters
    ----------
    make : callable
        Makes the search; travels to workers.
    """

    def __init__(self, make: Maker) -> None:
        self.make, self.search = make, make()
        self.forest: Forest | None = None
        self.open = self.search.opened().of(slice(0))
        self.share, self.closed, self.seconds = 0.0, -np.inf, 0.0
        self.boxes = self.backs = 0
        self.aside: list[tuple[float, float, int]] = []
        self.stopped = ""
        self.chance = 1

    def run(
        self, monitor: Monitor, *, seconds: float | None = None, phase: str = "boxes", attack: bool = True
    ) -> Outcome:
        """As `BoxSearch.run`; may be called again to go on."""
        started = monitor.elapsed
        end = np.inf if seconds is None else started + seconds
        if monitor.left is not None:
            end = min(end, started + monitor.left)
        if self.forest is None:
            first = self._begin(monitor, end, phase, attack)
            if first is not None:
                return first
        status, self.stopped = "open", ""
        if self.search.violated():
            status = "violated"
        elif self.n_open:
            status = self._worked(monitor, end - monitor.elapsed, phase)
        self.seconds += monitor.elapsed - started
        return self._outcome(status)

    def _begin(self, monitor: Monitor, end: float, phase: str, attack: bool) -> Outcome | None:
        """Alone, until others are ready; the outcome where that is all."""
        ready = False
        while True:
            left = end - monitor.elapsed
            first = self.search.run(monitor, seconds=max(0.0, min(ALONE, left)), phase=phase, attack=attack)
            if first.status != "open" or not first.stopped.startswith("the time") or left <= ALONE:
                return first
            if ready:
                break
            try:
                ready, attack = self._ready(), False
            except KeyboardInterrupt:
                return replace(first, stopped="interrupted")
        self.forest, self.open, self.seconds = Forest(first.tree), self.search.opened(), 0.0
        self.share, self.boxes, self.backs = first.share, first.boxes, first.substitutions
        self.aside = list(self.search.aside)
        self.closed = float(self.search.state.numbers[search_kernel.CLOSED])
        return None

    def _ready(self) -> bool:
        """Whether others can be given boxes."""
        return True

    def _worked(self, monitor: Monitor, seconds: float, phase: str) -> str:
        """Work on the open boxes: 'open', or 'violated' where `search` has met an input that is."""
        raise NotImplementedError

    def close(self) -> None:
        """End what was begun for it."""

    # ---- what is known -----------------------------------------------------------------------------
    @property
    def n_open(self) -> int:
        """Boxes that are open, here and elsewhere."""
        return len(self.open.bound)

    @property
    def highest(self) -> float:
        """The largest bound of an open box."""
        return float(self.open.bound.max(initial=-np.inf))

    @property
    def best(self) -> tuple[float, FloatArray]:
        """The largest violation that was met, and where."""
        return float(self.search.state.numbers[search_kernel.BEST]), self.search.state.points.best.copy()

    def _task(self, boxes: Opened | None, end: float, memory: int | None) -> Task:
        self.chance += 1
        return Task(boxes, self.search.herd, self.chance, self.best, end, memory)

    def _violated(self, best: float, point: FloatArray | None) -> None:
        """Believe a worker that met a violation, and have the search know it."""
        assert point is not None
        self.search.state.numbers[search_kernel.BEST] = best
        self.search.state.points.best[:] = point
        if self.search.confirm is not None:  # which may keep it
            self.search.confirm(point.copy())

    def _take(self, boxes: Opened, done: Done) -> bool:
        """Take in what became of boxes; whether a violation was met."""
        assert self.forest is not None
        found = done.outcome
        names = self.forest.grow(boxes.node, found.tree)
        self.open = joined([self.open, done.left._replace(node=names[done.left.node])])
        self.aside += [(bound, share, int(names[node])) for bound, share, node in done.aside]
        self.closed, self.share = max(self.closed, done.closed), self.share + done.share
        self.boxes, self.backs = self.boxes + found.boxes, self.backs + found.substitutions
        self._heed(found, len(done.left.bound))
        return found.status == "violated"

    def _heed(self, found: Outcome, n_open: int) -> None:
        """What a worker met, and why it stopped with boxes open, if not for the time."""
        if found.status == "violated":
            self._violated(found.best, found.point)
            return
        meet(self.search, found.best, found.point)
        if n_open and not found.stopped.startswith("the time"):
            self.stopped = found.stopped

    def _tell(self, monitor: Monitor, phase: str) -> None:
        monitor.report(
            phase, self.boxes, None, share=round(self.share, 6), best=self.best[0], open=self.n_open,
            bound=max(self.closed, self.best[0], self.highest), rate=round(self.boxes / max(monitor.elapsed, 1e-3)),
        )  # fmt: skip

    def _outcome(self, status: str) -> Outcome:
        assert self.forest is not None
        if status == "open" and not (self.forest.tree.split == OPEN).any():
            status = "proved"
        stopped = self.stopped if status == "open" else ""
        if status == "open" and not stopped:
            stopped = "boxes as small as floats allow are left"
            if self.n_open:
                stopped = f"the time is used up after {words.count(self.boxes, 'box', 'boxes')}"
        best, point = self.best
        bounds = [self.closed, best, self.highest, *(bound for bound, _, _ in self.aside)]
        share = 1.0 if status == "proved" else min(self.share, 1.0 - 2.0**-40)
        return Outcome(
            status, max(bounds), best, point if best > -np.inf else None, share, self.boxes, self.backs,
            self.n_open + len(self.aside), stopped, self.forest.tree, self.seconds,
        )  # fmt: skip


def meet(search: BoxSearch, best: float, point: FloatArray | None) -> None:
    """Have a search know an input that was met elsewhere."""
    if point is not None and best > search.state.numbers[search_kernel.BEST]:
        search.state.numbers[search_kernel.BEST] = best
        search.state.points.best[:] = point


def joined(parts: list[Opened]) -> Opened:
    """Open boxes of several together, the largest bound first."""
    every = Opened(*(np.concatenate(columns) for columns in zip(*parts)))
    return every.of(np.argsort(-every.bound, kind="stable"))


def worked(make: Maker, task: Task, listen: Any = None) -> Done:
    """Boxes of a task, until they are settled or its time is up."""
    assert task.boxes is not None
    search = make()
    search.begin_with(task.boxes)
    search.herd, search.chance = list(task.herd), generator_of(task.chance)
    meet(search, *task.best)
    found = search.run(Monitor(task.budget, listen), attack=False)
    closed, share = (float(search.state.numbers[k]) for k in (search_kernel.CLOSED, search_kernel.SHARE))
    return Done(found, search.opened(), search.aside, closed, share)


__all__ = ["Done", "Forest", "Maker", "SharedBoxes", "Task", "joined", "meet", "worked"]
