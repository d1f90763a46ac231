"""Boxes in several processes, or on a cluster: which way they are dealt, and the rounds of a scheduler.

In a round every worker of a scheduler gets a part of the open boxes; what is left is dealt anew, so that no worker waits
long for another, and the boxes of a lost one are merely still open.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from functools import partial
from numbers import Integral
from typing import Any

from ...bounds.settle import settle
from ...bounds.split import BoxSearch, Outcome
from ...budget import Monitor
from ...errors import InputError
from ..collections.parallel_map import mapper
from .crew import Crew
from .shared_boxes import Maker, SharedBoxes, joined, worked

ROUND, LONGEST = 1.0, 60.0
"""Seconds of the first round, twice as many in each that follows; of the longest."""
SMALL = 16
"""Open boxes below which this process works on them."""
PARTS = 16
"""Parts for a scheduler whose workers are not counted."""
LOSSES = 3
"""Rounds with a lost worker, after which this process works alone."""


def settled(
    make: Maker, monitor: Monitor, *, workers: int = 1, scheduler: Any = None, seconds: float | None = None
) -> Outcome:
    """`settle`, its boxes in processes of this machine or by a scheduler; signs are split in this process.

    Parameters
    ----------
    make : callable
        Makes the search, here and elsewhere: it is pickled.
    workers : int
        Processes, or parts for a scheduler (16 for 1).
    scheduler : optional
        See `parallel_map.mapper`.
    seconds : float, optional
        Limit for this call.

    Raises
    ------
    InputError
        Fewer workers than one.

    Examples
    --------
    >>> import polyfiber as pf
    >>> from polyfiber.budget import Monitor
    >>> from polyfiber.equivalence.bounds.near_equal import Question
    >>> from polyfiber.equivalence.bounds.side_by_side import settled
    >>> a = pf.ReLUNetwork.random((2, 6, 5, 1), rng=0)
    >>> b = pf.ReLUNetwork([W * 1.001 for W in a.weights], a.biases)
    >>> settled(Question.of(a, b, pf.Box(-1, 1, dimension=2), 0.01).search, Monitor(), workers=2).status
    'proved'
    """
    with shared(make, workers, scheduler) as (search, run):
        return settle(search, monitor, seconds=seconds, run=run)


def check_workers(workers: int, scheduler: Any, only: str | None = None) -> None:
    """Refuse fewer workers than one; and any, where they are of use ``only`` elsewhere."""
    if not isinstance(workers, Integral) or workers < 1:
        raise InputError(f"workers must be at least 1, found {workers!r}")
    if only is not None and (workers > 1 or scheduler is not None):
        raise InputError(f"workers and scheduler share boxes, which there are only {only}")


@contextmanager
def shared(make: Maker, workers: int = 1, scheduler: Any = None) -> Iterator[tuple[BoxSearch, Any]]:
    """A search, and what stands for its `run`: with its boxes in processes, by a scheduler, or here."""
    check_workers(workers, scheduler)
    if workers == 1 and scheduler is None:
        search = make()
        yield search, search.run
        return
    boxes = Crew(make, workers) if scheduler is None else Rounds(make, PARTS if workers == 1 else workers, scheduler)
    try:
        yield boxes.search, boxes.run
    finally:
        boxes.close()


class Rounds(SharedBoxes):
    """Rounds of a scheduler, whose workers hear nothing of each other: they end by the clock."""

    def __init__(self, make: Maker, parts: int, scheduler: Any) -> None:
        super().__init__(make)
        self.parts, self.scheduler, self.length = parts, scheduler, ROUND

    def _worked(self, monitor: Monitor, seconds: float, phase: str) -> str:
        end = time.time() + seconds
        losses, violated = 0, False
        try:
            with mapper(self.scheduler, self.parts) as run:
                while self.n_open and time.time() < end and not violated and not self.stopped:
                    alone = losses >= LOSSES or self.n_open < SMALL
                    try:
                        length = ROUND if alone else self.length
                        violated = self._round(
                            monitor, 1 if alone else self.parts, min(end, time.time() + length), map if alone else run
                        )
                        self.length = min(2 * self.length, LONGEST)
                    except BrokenExecutor:  # its boxes are open still
                        losses += 1
                    self._tell(monitor, phase)
        except KeyboardInterrupt:
            self.stopped = "interrupted"
        return "violated" if violated else "open"

    def _round(self, monitor: Monitor, parts: int, end: float, run: Any) -> bool:
        """Deal out what is open, and take in what was made of it; whether a worker met a violation."""
        dealt, self.open = [self.open.of(slice(k, None, parts)) for k in range(parts)], self.open.of(slice(0))
        dealt = [boxes for boxes in dealt if len(boxes.bound)]
        memory = monitor.budget.memory
        tasks = [self._task(boxes, end, None if memory is None else memory // len(dealt)) for boxes in dealt]
        taken, violated = 0, False
        try:
            for boxes, done in zip(dealt, run(partial(worked, self.make), tasks)):
                violated = self._take(boxes, done) or violated
                taken += 1
        finally:  # what was not returned is open
            self.open = joined([self.open, *dealt[taken:]])
        return violated


__all__ = ["check_workers", "settled", "shared"]
