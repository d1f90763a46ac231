"""The search over boxes in several processes, or on a cluster: rounds in which every worker gets a part of the open
boxes.

After a round what is left is dealt anew, so that no worker waits long for another, a counterexample ends the search
within a round, and the boxes of a lost worker are merely still open. Verdicts are those of one process: which boxes
have to be looked at for a YES does not depend on their order.
"""

from __future__ import annotations

import multiprocessing
import time
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from contextlib import ExitStack
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ..._typing import FloatArray, IntArray
from ..._values.checked import generator_of
from ...bounds.settle import FEW, settle
from ...bounds.split import BoxSearch, Opened, Outcome
from ...bounds.tree import OPEN, Tree
from ...budget import Budget, Monitor
from ...errors import InputError
from ...kernels.bounds import boxes as search_kernel
from ...processes import one_blas_thread, start_method
from ..collections.parallel_map import mapper
from .near_equal import Question

ALONE = 0.3
"""Seconds in one process before boxes are dealt."""
ROUND, LONGEST = 1.0, 60.0
"""Seconds of the first round of a scheduler, twice as many in each that follows; of the longest, and of those of
processes.
"""
SMALL = 16
"""Open boxes below which one process finishes."""
PARTS = 16
"""Parts for a scheduler whose workers are not counted."""
LOSSES = 3
"""Rounds with a lost worker, after which this process works alone."""


class Task(NamedTuple):
    """Boxes for a worker, inputs to hop from, where its chance begins, and until when by the clock."""

    boxes: Opened
    herd: list[tuple[float, FloatArray]]
    chance: int
    end: float


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

    def grow(self, roots: IntArray, part: Tree) -> IntArray:
        """Put the tree of a worker below its boxes; the new name of each of its nodes."""
        n, size = len(roots), len(self.tree.split)
        names = np.concatenate([roots, np.arange(size, size + len(part.split) - n)])
        split = np.concatenate([self.tree.split, part.split[n:]])
        child = np.concatenate([self.tree.child, np.zeros(len(part.split) - n, dtype=self.tree.child.dtype)])
        split[roots] = part.split[:n]
        halved = np.flatnonzero(part.split >= 0)
        child[names[halved]] = names[part.child[halved]]
        self.tree = Tree(self.tree.lo, self.tree.hi, split, child)
        return names


def settled_side_by_side(question: Question, monitor: Monitor, workers: int = 1, scheduler: Any = None) -> Outcome:
    """The search over boxes of a question, in processes of this machine or by a scheduler (`parallel_map.mapper`).

    From six inputs on, where signs may be split, one process works as ever.

    Parameters
    ----------
    workers : int
        Processes, or parts for a scheduler (16 for 1).

    Raises
    ------
    InputError
        Fewer workers than one.

    Notes
    -----
    A round of processes ends when one of them has no box left or meets a violation; those of a scheduler, which hear
    nothing of each other, end by the clock.

    Examples
    --------
    >>> import polyfiber as pf
    >>> from polyfiber.budget import Monitor
    >>> from polyfiber.equivalence.bounds.near_equal import Question
    >>> from polyfiber.equivalence.bounds.side_by_side import settled_side_by_side
    >>> a = pf.ReLUNetwork.random((2, 6, 5, 1), rng=0)
    >>> b = pf.ReLUNetwork([W * 1.001 for W in a.weights], a.biases)
    >>> settled_side_by_side(Question.of(a, b, pf.Box(-1, 1, dimension=2), 0.01), Monitor(), workers=2).status
    'proved'
    """
    if workers < 1:
        raise InputError(f"workers must be at least 1, found {workers}")
    search = question.search()
    if len(search.lo) >= FEW or (workers == 1 and scheduler is None):
        return settle(search, monitor)
    first = search.run(monitor, seconds=ALONE)
    if first.status != "open" or not first.stopped.startswith("the time") or monitor.late:
        return first
    return _Rounds(question, search, first, monitor).run(workers, scheduler)


class _Rounds:
    """Rounds of a search whose open boxes are dealt out."""

    def __init__(self, question: Question, search: BoxSearch, first: Outcome, monitor: Monitor) -> None:
        self.question, self.monitor = question, monitor
        self.open = search.opened()
        self.forest, self.herd = Forest(first.tree), search.herd
        self.best, self.point, self.share = first.best, first.point, first.share
        self.boxes, self.backs, self.aside = first.boxes, first.substitutions, list(search.aside)
        self.closed = float(search.state.numbers[search_kernel.CLOSED])
        self.seconds, self.chance = first.seconds, 1
        self.ended: Any = None

    def run(self, workers: int, scheduler: Any) -> Outcome:
        """Until everything is settled, or the time is used up."""
        started, losses, status = self.monitor.elapsed, 0, "open"
        length = LONGEST if scheduler is None else ROUND
        parts = PARTS if scheduler is not None and workers == 1 else workers
        stopped = ""
        with ExitStack() as opened:
            opened.enter_context(one_blas_thread())
            run = None
            try:
                while status == "open" and len(self.open.bound) and not self.monitor.late:
                    alone = losses >= LOSSES or len(self.open.bound) < SMALL
                    if run is None and not alone:
                        run = opened.enter_context(mapper(scheduler or self._processes(opened, parts), parts))
                    try:
                        if alone or run is None:
                            status = self._round(1, ROUND, map)
                        else:
                            status = self._round(parts, length, run)
                    except BrokenExecutor:  # its boxes are open still
                        losses, run = losses + 1, None
                    length = min(2 * length, LONGEST)
            except KeyboardInterrupt:
                stopped = "interrupted"
        if status == "open" and not (self.forest.tree.split == OPEN).any():
            status = "proved"
        if status == "open" and not stopped:
            stopped = "boxes as small as floats allow are left"
            if len(self.open.bound):
                stopped = f"the time is used up after {self.boxes} boxes"
        bounds = [self.closed, self.best, *self.open.bound.tolist(), *(bound for bound, _, _ in self.aside)]
        share = 1.0 if status == "proved" else min(self.share, 1.0 - 2.0**-40)
        return Outcome(
            status, max(bounds), self.best, self.point, share, self.boxes, self.backs,
            len(self.open.bound) + len(self.aside), stopped, self.forest.tree,
            self.seconds + self.monitor.elapsed - started,
        )  # fmt: skip

    def _round(self, parts: int, length: float, run: Any) -> str:
        """Deal out what is open, and take in what was made of it; 'violated' where a worker met a violation."""
        left = self.monitor.left
        end = time.time() + (length if left is None else min(length, left))
        dealt, self.open = [self.open.of(slice(k, None, parts)) for k in range(parts)], self.open.of(slice(0))
        dealt = [boxes for boxes in dealt if len(boxes.bound)]
        tasks = [Task(boxes, self.herd, self.chance + k, end) for k, boxes in enumerate(dealt)]
        self.chance += parts
        if self.ended is not None:
            self.ended.clear()
        taken, status = 0, "open"
        try:
            for boxes, done in zip(dealt, run(partial(_worked, self.question), tasks)):
                self._take(boxes, done)
                taken += 1
                if done.outcome.status == "violated":
                    status = "violated"
        finally:  # what was not returned is open
            self.open = Opened(*(np.concatenate(kept) for kept in zip(self.open, *dealt[taken:])))
        order = np.argsort(-self.open.bound, kind="stable")
        self.open = self.open.of(order)
        self.monitor.report(
            "boxes", self.boxes, None, share=round(self.share, 6), best=self.best, open=len(self.open.bound),
            bound=max([self.closed, self.best, *self.open.bound[:1].tolist()]),
        )  # fmt: skip
        return status

    def _processes(self, opened: ExitStack, workers: int) -> ProcessPoolExecutor:
        """Processes of this machine, until what is opened is closed."""
        context = multiprocessing.get_context(start_method())
        self.ended = context.Event()
        return opened.enter_context(ProcessPoolExecutor(workers, context, initializer=_hear, initargs=(self.ended,)))

    def _take(self, boxes: Opened, done: Done) -> None:
        found = done.outcome
        names = self.forest.grow(boxes.node, found.tree)
        more = done.left._replace(node=names[done.left.node])
        self.open = Opened(*(np.concatenate(both) for both in zip(self.open, more)))
        self.aside += [(bound, share, int(names[node])) for bound, share, node in done.aside]
        self.closed = max(self.closed, done.closed)
        self.boxes, self.backs = self.boxes + found.boxes, self.backs + found.substitutions
        self.share += done.share
        if found.point is not None and (found.best > self.best or found.status == "violated"):
            self.best, self.point = found.best, found.point


_ended: Any = None
"""In a process that works for this one: set once the round is over."""


def _hear(event: Any) -> None:
    global _ended
    _ended = event


def _listen(_: Any) -> None:
    if _ended is not None and _ended.is_set():
        raise KeyboardInterrupt


def _worked(question: Question, task: Task) -> Done:
    """One part of a round."""
    search = question.search()
    search.begin_with(task.boxes)
    search.herd, search.chance = list(task.herd), generator_of(task.chance)
    budget = Budget(seconds=max(0.0, task.end - time.time()))
    found = search.run(Monitor(budget, _listen), attack=False)
    if _ended is not None:
        _ended.set()
    closed, share = (float(search.state.numbers[k]) for k in (search_kernel.CLOSED, search_kernel.SHARE))
    return Done(found, search.opened(), search.aside, closed, share)


__all__ = ["settled_side_by_side"]
