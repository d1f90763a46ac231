"""Run one function over many items: threads, an executor, or Dask; results in order, few items in flight."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from ...errors import InputError, MissingDependencyError

Mapper = Callable[[Any, Iterable[Any]], Iterable[Any]]

WAVE = 32
"""Items that a scheduler holds at a time."""


def mapper(scheduler: Any, workers: int) -> AbstractContextManager[Mapper]:
    """How tasks are run, as a context manager that closes what it opened.

    Parameters
    ----------
    scheduler : None, str, or object
        None: threads. A Dask client, the address of a Dask scheduler (``tcp://host:port``), the name of a
        Dask scheduler ('threads', 'processes', 'synchronous'), or an executor with ``map``.
    workers : int
        Threads, without a scheduler.

    Raises
    ------
    InputError, MissingDependencyError
    """
    if scheduler is None:
        return nullcontext(lambda function, items: threads(function, items, workers))
    if isinstance(scheduler, str):
        return _Connected(scheduler) if "://" in scheduler else nullcontext(_named(scheduler))
    if hasattr(scheduler, "gather") and hasattr(scheduler, "submit"):
        return nullcontext(_on_client(scheduler))
    if hasattr(scheduler, "map"):
        return nullcontext(_in_waves(lambda f, part: list(scheduler.map(f, part))))
    raise InputError(
        f"scheduler is a {type(scheduler).__name__}; expected a Dask client, the address or name of a Dask scheduler, "
        "or an executor with map"
    )


def _named(name: str) -> Mapper:
    try:
        import dask
    except ImportError:
        raise MissingDependencyError("dask", extra="data", purpose=f"the scheduler {name!r}") from None
    if name not in ("threads", "processes", "synchronous", "sync", "single-threaded"):
        raise InputError(
            f"scheduler {name!r} is unknown; expected 'threads', 'processes', 'synchronous', or an address like tcp://host:port"
        )
    return _in_waves(lambda f, part: dask.compute(*[dask.delayed(f)(item) for item in part], scheduler=name))


def _on_client(client: Any) -> Mapper:
    # one submission for each item: the scheduler keeps the item, so that a task of a lost worker runs again elsewhere
    return _in_waves(lambda f, part: client.gather([client.submit(f, item, pure=False) for item in part]))


class _Connected(AbstractContextManager[Mapper]):
    """A client of the scheduler at an address, closed at the end."""

    def __init__(self, address: str) -> None:
        try:
            from distributed import Client
        except ImportError:
            raise MissingDependencyError("distributed", extra="data", purpose=f"the scheduler at {address}") from None
        try:
            self.client = Client(address, timeout=10)
        except (OSError, ValueError) as error:
            raise InputError(f"no Dask scheduler answers at {address}: {error}") from None

    def __enter__(self) -> Mapper:
        return _on_client(self.client)

    def __exit__(self, *_: object) -> None:
        self.client.close()


def _in_waves(run: Callable[[Any, list[Any]], Iterable[Any]], size: int = WAVE) -> Mapper:
    """Hand over a few items at a time, so that a scheduler never holds the whole collection."""

    def mapped(function: Any, items: Iterable[Any]) -> Iterator[Any]:
        iterator = iter(items)
        while part := list(itertools.islice(iterator, size)):
            yield from run(function, part)

    return mapped


def threads(function: Any, items: Iterable[Any], workers: int) -> Iterator[Any]:
    """Results in order with at most ``2 * workers`` items in flight, so that items do not pile up."""
    if workers == 1:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(workers) as pool:
        waiting: list[Any] = []
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) >= 2 * workers:
                    yield waiting.pop(0).result()
            while waiting:
                yield waiting.pop(0).result()
        finally:
            for future in waiting:
                future.cancel()
