"""Who does the partitions: this process, processes on this machine, or a Dask cluster.

Each scheduler is a generator of `Outcome`, in whatever order the partitions end. A worker that dies
costs its partition one attempt; after `ATTEMPTS` the partition is given up and the others go on.
"""

from __future__ import annotations

import contextlib
import functools
import json
import multiprocessing.connection
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import InputError, MissingDependencyError
from ...processes import start, start_method
from ..networks import reason_of
from ..plan import Plan
from ..spec import Spec
from .work import run_partition

ATTEMPTS = 3

IN_FLIGHT = 1024
"""Partitions that are with a Dask scheduler at a time."""


@dataclass(frozen=True)
class Outcome:
    """A partition that ended: its record, or why it failed."""

    partition: int
    record: dict[str, Any] | None
    error: str = ""


def serial(plan: Plan, partitions: Sequence[int], directory: Path) -> Iterator[Outcome]:
    """One after the other, in this process: the reference."""
    for index in partitions:
        yield _attempt(plan, index, directory)


def _attempt(plan: Plan, index: int, directory: Path) -> Outcome:
    try:
        return Outcome(index, run_partition(plan, index, directory))
    except Exception as error:  # one partition must not end the others; the outcome says what happened
        return Outcome(index, None, reason_of(error))


# ---- processes on this machine ------------------------------------------------------------------
def _serve(pipe: Any, document: dict[str, Any], directory: Path) -> None:
    plan = Plan.from_json(document)
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while (index := pipe.recv()) is not None:
            pipe.send(_attempt(plan, index, directory))


class _Worker:
    """A process and the partition that it has in hand."""

    def __init__(self, document: dict[str, Any], directory: Path) -> None:
        self.process, self.pipe = start(_serve, document, directory, method=start_method())
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


def processes(plan: Plan, partitions: Sequence[int], directory: Path, *, workers: int) -> Iterator[Outcome]:
    """Processes on this machine with one thread each."""
    document = plan.to_json()
    waiting = deque(partitions)
    deaths: dict[int, int] = {}
    pool = [_Worker(document, directory) for _ in range(min(workers, len(waiting)))]
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
                        worker = _Worker(document, directory)
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
def _dask_task(document: dict[str, Any], directory: str) -> Outcome:
    """Do the one partition of a document."""
    with _one_at_a_time:
        return _attempt(
            Plan.from_json(document, spec=_spec_of(document)), document["partitions"][0]["index"], Path(directory)
        )


_one_at_a_time = threading.Lock()
"""A worker with several threads does one partition at a time: its memory is that of one."""


@functools.lru_cache(maxsize=1)
def _checked(given: str, folder: str) -> Spec:
    return Spec.of(json.loads(given), folder=folder)


def _spec_of(document: dict[str, Any]) -> Spec:
    """The spec, checked once per worker process."""
    return _checked(json.dumps(document["spec"], sort_keys=True), document["folder"])


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


def cluster(plan: Plan, partitions: Sequence[int], directory: Path, *, client: Any) -> Iterator[Outcome]:
    """Workers of a Dask cluster; Dask gives the partition of a worker that died to another one.

    Raises
    ------
    InputError
        A worker reports a partition that is not in this directory: they do not share it.
    """
    from distributed import as_completed

    document = plan.to_json()
    partition_of = {p["index"]: p for p in document.pop("partitions")}
    waiting = deque(partitions)
    names: dict[str, int] = {}

    def submit() -> Any:
        index = waiting.popleft()
        future = client.submit(
            _dask_task, {**document, "partitions": [partition_of[index]]}, str(directory), pure=False
        )
        names[future.key] = index
        return future

    flying = {future.key: future for future in (submit() for _ in range(min(IN_FLIGHT, len(waiting))))}
    ended = as_completed(list(flying.values()))
    try:
        for future in ended:
            del flying[future.key]
            if future.status == "finished":
                yield future.result()
            else:
                error = future.exception() if future.status == "error" else None
                yield Outcome(names[future.key], None, future.status if error is None else reason_of(error))
            if waiting:
                following = submit()
                flying[following.key] = following
                ended.add(following)
    finally:
        client.cancel(list(flying.values()))
