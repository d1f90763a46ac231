"""Who does the partitions: this process, processes on this machine, or a Dask cluster.

Each scheduler is a generator of `Outcome`, in whatever order the partitions end. A worker that dies
costs its partition one attempt; after `ATTEMPTS` the partition is given up and the others go on.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
import logging
import multiprocessing.connection
import queue
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import IncompleteError, InputError, MissingDependencyError, PolyfiberError
from ...kernels.apart import compiled_apart
from ...processes import start, start_method
from ..networks import reason_of
from ..plan import Plan
from ..storage.store import Directory
from .work import run_partition

ATTEMPTS = 3

PATIENCE = 20.0
"""Seconds without an answer after which the Dask scheduler is asked whether it is there."""

IN_FLIGHT = 1024
"""Tasks that are with a Dask scheduler at a time."""

AT_ONCE = 256
"""Tasks that it is given in one message."""

TASK = 2.0
"""Seconds of a task of several partitions: a task costs scheduler and client more than a small partition costs."""


@dataclass(frozen=True)
class Outcome:
    """A partition that ended: its record, or why it failed."""

    partition: int
    record: dict[str, Any] | None
    error: str = ""


def serial(plan: Plan, partitions: Sequence[int], directory: Directory) -> Iterator[Outcome]:
    """One after the other, in this process: the reference."""
    for index in partitions:
        yield _attempt(plan, index, directory)


def _attempt(plan: Plan, index: int, directory: str | Path | Directory) -> Outcome:
    try:
        return Outcome(index, run_partition(plan, index, directory))
    except Exception as error:  # one partition must not end the others; the outcome says what happened
        return Outcome(index, None, reason_of(error))


# ---- processes on this machine ------------------------------------------------------------------
class _WithoutPandas:
    """A finder that finds no pandas: pyarrow imports it where it is, 50 MB of a worker that no table needs."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError("workers do without pandas", name=name)


def _serve(pipe: Any, address: str) -> None:
    sys.meta_path.insert(0, _WithoutPandas)
    directory = Directory(address)
    plan = Plan.read(directory)
    with compiled_apart(), contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while (index := pipe.recv()) is not None:
            pipe.send(_attempt(plan, index, directory))


class _Worker:
    """A process and the partition that it has in hand."""

    def __init__(self, address: str) -> None:
        self.process, self.pipe = start(_serve, address, method=start_method())
        self.partition = -1

    def give(self, index: int) -> None:
        self.partition = index
        with contextlib.suppress(OSError):  # a process that just died is noticed by its sentinel
            self.pipe.send(index)

    def take(self) -> Outcome | None:
        """What it answers; None if it has died."""
        try:
            answer: Outcome = self.pipe.recv()
            return answer
        except (EOFError, OSError):
            return None

    def stop(self, *, kill: bool = False) -> None:
        if kill:
            self.process.kill()
        else:
            with contextlib.suppress(OSError):
                self.pipe.send(None)
        self.process.join()
        self.pipe.close()


def processes(plan: Plan, partitions: Sequence[int], directory: Directory, *, workers: int) -> Iterator[Outcome]:
    """Processes on this machine with one thread each."""
    address = str(directory)
    waiting = deque(partitions)
    deaths: dict[int, int] = {}
    pool = [_Worker(address) for _ in range(min(workers, len(waiting)))]
    try:
        for worker in pool:
            worker.give(waiting.popleft())
        while pool:
            ready = multiprocessing.connection.wait([w.pipe for w in pool])
            for worker in [w for w in pool if w.pipe in ready]:
                outcome = worker.take()
                if outcome is None:
                    index = worker.partition
                    worker.stop(kill=True)
                    pool.remove(worker)
                    deaths[index] = deaths.get(index, 0) + 1
                    if deaths[index] < ATTEMPTS:
                        waiting.append(index)
                    else:
                        yield Outcome(
                            index,
                            None,
                            f"the worker died {ATTEMPTS} times at this partition (exit code {worker.process.exitcode})",
                        )
                    if waiting:
                        worker = _Worker(address)
                        pool.append(worker)
                        worker.give(waiting.popleft())
                    continue
                if waiting:
                    worker.give(waiting.popleft())
                else:
                    pool.remove(worker)
                    worker.stop()
                yield outcome
    finally:
        for worker in pool:
            worker.stop(kill=True)


# ---- Dask ---------------------------------------------------------------------------------------
def _dask_task(address: str, fingerprint: str, group: tuple[int, ...]) -> tuple[float, list[Outcome]]:
    """Do some partitions of the plan that lies in the dataset, and say in how many seconds; tasks carry their
    numbers.
    """
    with _one_at_a_time:
        start = time.monotonic()
        try:
            directory, plan = _planned(address, fingerprint)
        except PolyfiberError as error:
            return 0.0, [Outcome(index, None, reason_of(error)) for index in group]
        outcomes = [_attempt(plan, index, directory) for index in group]
        return time.monotonic() - start, outcomes


_one_at_a_time = threading.Lock()
"""A worker with several threads does one partition at a time: its memory is that of one."""


@functools.lru_cache(maxsize=1)
def _planned(address: str, fingerprint: str) -> tuple[Directory, Plan]:
    """The plan, read once per worker process."""
    directory = Directory(address)
    if not directory.has("plan.json"):
        raise InputError(f"{address} is not there for this worker: the workers must share this directory")
    plan = Plan.read(directory)
    if plan.fingerprint != fingerprint:
        raise InputError(f"{address} holds another plan for this worker: the workers must share this directory")
    return directory, plan


def connect(address: str) -> Any:
    """A ``dask.distributed.Client`` of a running scheduler.

    Raises
    ------
    MissingDependencyError
        Without dask.
    InputError
        Nobody answers at the address.
    """
    try:
        from distributed import Client
    except ImportError:
        raise MissingDependencyError("dask[distributed]", extra="data", purpose="running on a Dask cluster") from None
    try:
        return Client(address, timeout=30)
    except (OSError, TimeoutError, ValueError) as error:
        raise InputError(f"no Dask scheduler answers at {address!r}: {error}") from None


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the log of Dask, which tells pages about a scheduler that is gone; it comes as one error of ours."""
    known = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] in ("distributed", "tornado")]
    loggers = [logging.getLogger(name) for name in (*known, "asyncio")]
    levels = [(logger, logger.level) for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in levels:
            logger.setLevel(level)


def cluster(plan: Plan, partitions: Sequence[int], directory: Directory, *, client: Any) -> Iterator[Outcome]:
    """Workers of a Dask cluster; Dask gives the task of a worker that died to another one.

    A task is one partition; several where they are short and many wait. One that failed is done again, one by one.

    Raises
    ------
    InputError
        A worker reports a partition that is not in this directory: they do not share it.
    IncompleteError
        The scheduler is gone; the partitions that are done are kept.
    """
    waiting, alone = deque(partitions), deque[int]()
    flying: dict[Any, tuple[int, ...]] = {}
    ended: queue.SimpleQueue[Any] = queue.SimpleQueue()
    address, pace = str(directory), TASK  # seconds of a partition, as the last ones were
    try:
        while waiting or alone or flying:
            try:  # what a partition raised is told as its outcome; whatever is raised here is the cluster's
                while (waiting or alone) and len(flying) <= IN_FLIGHT - AT_ONCE:
                    groups: list[tuple[int, ...]] = [(alone.popleft(),) for _ in range(min(AT_ONCE, len(alone)))]
                    while waiting and len(groups) < AT_ONCE:
                        size = max(1, min(int(TASK / pace), len(waiting) // IN_FLIGHT))
                        groups.append(tuple(waiting.popleft() for _ in range(size)))
                    common = [address] * len(groups), [plan.fingerprint] * len(groups)
                    for group, future in zip(groups, client.map(_dask_task, *common, groups, pure=False)):
                        flying[future] = group
                        future.add_done_callback(ended.put)  # each is looked at once, whatever their number
                try:
                    future = ended.get(timeout=PATIENCE)
                except queue.Empty:
                    client.run_on_scheduler(_here)  # raises where nobody answers
                    continue
                if future.status in (
                    "lost",
                    "pending",
                ):  # with the worker that held it; the scheduler has it done again
                    future.add_done_callback(ended.put)
                    continue
                group, outcomes = flying.pop(future), []
                if future.status == "finished":
                    seconds, outcomes = future.result()
                    pace += (max(1e-3, seconds / len(group)) - pace) / 8
                elif future.status != "error":
                    raise _lost(client, None)
                elif len(group) > 1:
                    alone += group
                else:
                    outcomes = [Outcome(group[0], None, reason_of(future.exception()))]
            except (OSError, RuntimeError, ValueError, concurrent.futures.CancelledError) as error:
                raise _lost(client, error) from None
            yield from outcomes
    finally:
        with contextlib.suppress(Exception):  # a scheduler that is gone has nothing to cancel
            client.cancel(list(flying))


def _here() -> bool:
    return True


def _lost(client: Any, error: BaseException | None) -> IncompleteError:
    address = getattr(getattr(client, "scheduler", None), "address", None) or "the given address"
    why = "" if error is None else f" ({type(error).__name__})"
    return IncompleteError(
        f"the Dask scheduler at {address} no longer answers{why}; partitions that are done are kept. Start it again and run again"
    )
