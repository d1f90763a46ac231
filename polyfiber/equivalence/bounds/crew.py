"""Processes of this machine that share the boxes of a search: each keeps its own, and one that has none left is given
half of those of another.

Only boxes that change hands travel, with the bounds of their neurons; beside them the trees do, eight bytes a box. What
a worker had when it was lost is open again, as it was when the worker last told of it.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import signal
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from ..._typing import FloatArray, IntArray
from ..._values.checked import generator_of
from ...bounds.split import BoxSearch, Opened, Outcome
from ...budget import Monitor
from ...errors import PolyfiberWarning
from ...kernels.bounds.boxes import BACKS, BEST, BOXES, CLOSED, FREE, GAP, HEAP, LEVEL, SHARE
from ...processes import one_blas_thread, refuse_while_imported, start, start_method
from .shared_boxes import Maker, SharedBoxes, Task, joined, meet, worked

MOST = 512
"""Boxes that change hands at once."""
FEW = 4
"""Open boxes below which a worker is not asked for half of them."""
TICK = 0.2
"""Seconds between two reports of progress."""
SOON = 0.02
"""Seconds before somebody is asked for boxes again."""
COLUMNS = 4
"""Of the board, where each worker writes how far it came since its last report: boxes and share; the violation at its
best input, open boxes.
"""


class Report(NamedTuple):
    """What a worker did since its last report, what it has open, and the boxes that it gives away, if it was asked to,
    to go on with the rest.
    """

    found: Outcome
    share: float
    closed: float
    n_open: int
    bound: float
    aside: tuple[tuple[float, float, int], ...]
    gift: Opened | None


@dataclass
class Worker:
    """A process, and what is known of it."""

    place: int
    process: Any
    pipe: Any
    pause: Any
    grant: Opened
    """Boxes that it was given, with their names in the whole tree."""
    names: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    """Of the nodes of its tree."""
    n_open: int = 0
    bound: float = -np.inf
    begun: bool = False
    """Whether it knows what to search."""
    ready: bool = False
    busy: bool = False
    asked: bool = False


class Crew(SharedBoxes):
    """Processes that share the boxes of a search; see `SharedBoxes`. They live until it is closed."""

    def __init__(self, make: Maker, workers: int) -> None:
        refuse_while_imported()
        super().__init__(make)
        self.count, self.workers = workers, list[Worker]()
        self._inside: ExitStack | None = None
        self._stillborn: int | None = None
        """Exit code of a worker that ended at its start."""

    @property
    def n_open(self) -> int:
        """Boxes that are open, here and with workers."""
        return len(self.open.bound) + sum(w.n_open for w in self.workers)

    @property
    def highest(self) -> float:
        """The largest bound of an open box."""
        return max([super().highest, *(w.bound for w in self.workers if w.n_open)])

    # ---- life ----------------------------------------------------------------------------------------
    def _ready(self) -> bool:
        """Start the processes; whether all are there. Those that are not forked take a second, and are then told what to
        search: they may have ended before.
        """
        if self._inside is None:
            self._inside = ExitStack()
            self._inside.enter_context(one_blas_thread())
            method = start_method()
            context: Any = multiprocessing.get_context(method)
            self._stop, board = context.Event(), context.RawArray("d", COLUMNS * self.count)
            self._board = np.frombuffer(board).reshape(self.count, COLUMNS)
            for place in range(self.count):
                pause = context.Event()
                make = self.make if method == "fork" else None
                process, pipe = start(_live, self._stop, pause, board, place, make, method=method)
                self.workers.append(Worker(place, process, pipe, pause, self.open, begun=method == "fork"))
        self._heard(0.01)
        if self._stillborn is not None and not self.workers:
            warnings.warn(
                f"workers ended at their start (exit code {self._stillborn}), the search goes on in this process; a program that uses workers "
                "must start under if __name__ == '__main__':",
                PolyfiberWarning,
                stacklevel=2,
            )
            self._stillborn = None
        return all(w.ready for w in self.workers)

    def close(self) -> None:
        """End the processes."""
        for worker in self.workers:
            with suppress(OSError):
                worker.pipe.send(None)
            worker.process.join(1 if worker.ready and not worker.busy else 0)
            worker.process.kill()
            worker.process.join()
            worker.pipe.close()
        self.workers = []
        if self._inside is not None:
            self._inside.close()

    # ---- work ----------------------------------------------------------------------------------------
    def _worked(self, monitor: Monitor, seconds: float, phase: str) -> str:
        end = time.time() + seconds
        memory = monitor.budget.memory
        self._stop.clear()
        status = "open"
        try:
            status = self._go(monitor, end, None if memory is None else memory // (self.count + 1), phase)
        except KeyboardInterrupt:
            self.stopped = "interrupted"
        if status == "open":
            with suppress(KeyboardInterrupt):
                self._stop.set()
                while any(w.busy for w in self.workers):
                    if any(report.found.status == "violated" for report in self._heard(TICK)):
                        return "violated"
            for worker in [w for w in self.workers if w.busy]:
                self._lose(worker)
        return status

    def _go(self, monitor: Monitor, end: float, memory: int | None, phase: str) -> str:
        told = time.time()
        while True:
            if time.time() < end:
                with undisturbed():
                    self._deal(end, memory)
            if not any(w.busy for w in self.workers):
                if self.workers or not len(self.open.bound) or time.time() >= end:
                    return "open"
                boxes, self.open = self.open, self.open.of(slice(0))
                done = worked(self.make, self._task(boxes, end, memory), monitor._call)
                return "violated" if self._take(boxes, done) else "open"
            for report in self._heard(TICK if all(w.busy for w in self.workers) else SOON):
                if report.found.status == "violated":
                    return "violated"
            if self.stopped:
                return "open"
            if time.time() - told >= TICK:
                told = time.time()
                self._tell(monitor, phase)

    def _deal(self, end: float, memory: int | None) -> None:
        """Boxes for everybody who has none: those that are here, or half of somebody's."""
        idle = [w for w in self.workers if not w.busy]
        for worker in [w for w in idle if w.n_open]:
            idle.remove(worker)
            self._send(worker, self._task(None, end, memory))
        if idle and len(self.open.bound):
            dealt, self.open = (
                [self.open.of(slice(k, None, len(idle))) for k in range(len(idle))],
                self.open.of(slice(0)),
            )
            for worker, boxes in [*zip(idle, dealt)]:
                if len(boxes.bound):
                    idle.remove(worker)
                    worker.grant, worker.names = boxes, boxes.node
                    worker.n_open, worker.bound = len(boxes.bound), float(boxes.bound[0])
                    self._send(worker, self._task(boxes._replace(node=np.arange(len(boxes.bound))), end, memory))
        has = self._board[:, 3]
        rich = [w for w in self.workers if w.busy and not w.asked and has[w.place] >= FEW]
        wanted = max(0, len(idle) - sum(w.asked for w in self.workers))
        for worker in sorted(rich, key=lambda w: -float(has[w.place]))[:wanted]:
            worker.asked = True
            worker.pause.set()

    def _send(self, worker: Worker, task: Task) -> None:
        worker.busy, worker.asked = True, False
        worker.pause.clear()
        self._give(worker, task)

    def _give(self, worker: Worker, message: Any) -> None:
        try:
            worker.pipe.send(message)
        except OSError:
            self._lose(worker)

    def _heard(self, seconds: float) -> list[Report]:
        """Take in what workers tell within so many seconds."""
        reports = []
        for pipe in multiprocessing.connection.wait([w.pipe for w in self.workers], seconds):
            worker = next(w for w in self.workers if w.pipe is pipe)
            with undisturbed():
                try:
                    told = worker.pipe.recv()
                except (EOFError, OSError):
                    self._lose(worker)
                    continue
                if told is None:
                    worker.ready = worker.begun
                    if not worker.begun:
                        worker.begun = True
                        self._give(worker, self.make)
                    continue
                self._take_in(worker, told)
            reports.append(told)
        return reports

    def _take_in(self, worker: Worker, told: Report) -> None:
        assert self.forest is not None
        found = told.found
        worker.names = self.forest.grow(worker.names, found.tree)
        worker.busy, worker.asked = told.gift is not None, False
        worker.n_open, worker.bound = told.n_open, told.bound
        self._board[worker.place, :2] = 0.0
        self.boxes, self.backs = self.boxes + found.boxes, self.backs + found.substitutions
        self.share, self.closed = self.share + told.share, max(self.closed, told.closed)
        self.aside += [(bound, share, int(worker.names[node])) for bound, share, node in told.aside]
        if told.gift is not None:
            given = worker.names[told.gift.node]
            worker.grant = worker.grant.of(~np.isin(worker.grant.node, given))
            self.open = joined([self.open, told.gift._replace(node=given)])
        if found.stopped == "interrupted":  # it was asked to
            found = replace(found, stopped="the time")
        self._heed(found, told.n_open)

    def _lose(self, worker: Worker) -> None:
        """Open again what a worker had."""
        self.workers.remove(worker)
        worker.process.join(0 if worker.ready else 1)  # for its exit code
        worker.process.kill()
        worker.process.join()
        if not worker.ready:
            self._stillborn = worker.process.exitcode
        worker.pipe.close()
        self._board[worker.place] = 0.0, 0.0, -np.inf, 0.0
        if worker.busy or worker.n_open:
            assert self.forest is not None
            others = [self.open.node, *(w.grant.node for w in self.workers)]
            elsewhere = {*np.concatenate(others).tolist(), *(node for _, _, node in self.aside)}
            self.open = joined([self.open, self.forest.reopened(worker.grant, elsewhere)])

    def _tell(self, monitor: Monitor, phase: str) -> None:
        board = self._board
        boxes = self.boxes + int(board[:, 0].sum())
        best = max(self.best[0], float(board[:, 2].max()))
        monitor.report(
            phase, boxes, None, share=round(self.share + float(board[:, 1].sum()), 6), best=best,
            open=len(self.open.bound) + int(board[:, 3].sum()), bound=max(self.closed, best, self.highest),
            rate=round(boxes / max(monitor.elapsed, 1e-3)),
        )  # fmt: skip


def _live(pipe: Any, stop: Any, pause: Any, board: Any, place: int, make: Maker | None) -> None:
    """Life of a worker: what to search, if it is not known yet, and tasks until None."""
    try:
        if make is None:
            pipe.send(None)
            make = pipe.recv()
            if make is None:
                return
        search = make()
        member = _Member(search, stop, pause, np.frombuffer(board).reshape(-1, COLUMNS), place)
        pipe.send(None)
        while (task := pipe.recv()) is not None:
            member.begin(task)
            while True:
                report = member.report(search.run(Monitor(task.budget, member.listen), attack=False))
                pipe.send(report)
                if report.gift is None:
                    break
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass


class _Member:
    """A search of which a worker tells, in a process of its own."""

    def __init__(self, search: BoxSearch, stop: Any, pause: Any, board: FloatArray, place: int) -> None:
        self.search, self.stop, self.pause, self.board, self.place = search, stop, pause, board, place
        self.told = np.zeros(3)
        """Boxes, share and substitutions that were reported."""

    def begin(self, task: Task) -> None:
        """Take on the boxes of a task."""
        search = self.search
        if task.boxes is not None:
            search.begin_with(task.boxes)
            search.herd, search.chance = search.herd or list(task.herd), generator_of(task.chance)
        meet(search, *task.best)
        self.write()

    def listen(self, _: Any) -> None:
        """Between two slices."""
        self.write()
        if self.stop.is_set() or self.pause.is_set():
            raise KeyboardInterrupt

    def write(self) -> None:
        """How far it is on the board; and hear how far others are."""
        search, board = self.search, self.board
        numbers, counts = search.state.numbers, search.state.counts
        board[self.place] = (
            counts[BOXES] - self.told[0], numbers[SHARE] - self.told[1], numbers[BEST], counts[HEAP]
        )  # fmt: skip
        if search.follow and (best := float(board[:, 2].max())) > max(0.0, numbers[BEST]):
            numbers[LEVEL] = max(numbers[LEVEL], best * (1.0 + numbers[GAP]))

    def report(self, found: Outcome) -> Report:
        """What became of it so far."""
        search, told = self.search, self.told
        gift = None
        if found.stopped == "interrupted" and self.pause.is_set() and not self.stop.is_set():
            self.pause.clear()
            gift = taken(search, MOST)
        numbers, counts = search.state.numbers, search.state.counts
        self.told = np.array([counts[BOXES], numbers[SHARE], counts[BACKS]])
        heap = search.pool.queue.heap[: counts[HEAP]]
        aside, search.aside = search.aside, ()
        found = replace(found, boxes=int(counts[BOXES] - told[0]), substitutions=int(counts[BACKS] - told[2]))
        return Report(
            found, float(numbers[SHARE] - told[1]), float(numbers[CLOSED]), len(heap),
            float(search.pool.bound[heap].max(initial=-np.inf)), aside, gift,
        )  # fmt: skip


def taken(search: BoxSearch, most: int) -> Opened:
    """Take every other open box out of a search, at most so many, those that would be next first."""
    pool, counts = search.pool, search.state.counts
    n, free = int(counts[HEAP]), int(counts[FREE])
    order = np.argsort(-pool.queue.key[:n], kind="stable")
    places, keys = pool.queue.heap[:n][order], pool.queue.key[:n][order]
    out = np.zeros(n, dtype=bool)
    out[1 : 2 * most : 2] = True
    given = places[out]
    found = Opened(*(part[given] for part in (*pool.boxes, pool.bound, pool.share, pool.node)))
    kept = n - len(given)
    pool.queue.heap[:kept], pool.queue.key[:kept] = places[~out], keys[~out]
    pool.queue.free[free : free + len(given)] = given
    counts[HEAP], counts[FREE] = kept, free + len(given)
    return found


@contextmanager
def undisturbed() -> Iterator[None]:
    """An interruption is heard at the end only: half a message cannot be read on."""
    mask = getattr(signal, "pthread_sigmask", None)  # not on Windows
    before = mask(signal.SIG_BLOCK, {signal.SIGINT}) if mask else None
    try:
        yield
    finally:
        if mask:
            mask(signal.SIG_SETMASK, before)


__all__ = ["Crew"]
