"""Functions over many items: in order, few in flight, whatever runs them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from polyfiber.equivalence.collections import parallel_map as module
from polyfiber.errors import InputError, MissingDependencyError


def square(x: int) -> int:
    return x * x


def counted(n: int, taken: list[int]) -> Iterator[int]:
    for k in range(n):
        taken.append(k)
        yield k


class Client:
    """What a Dask client does, in this process."""

    def __init__(self) -> None:
        self.most = 0

    def submit(self, function: Any, item: Any, pure: bool) -> Any:
        assert not pure
        return function(item)

    def gather(self, futures: list[Any]) -> list[Any]:
        self.most = max(self.most, len(futures))
        return futures


@pytest.mark.parametrize("workers", [1, 3])
def test_results_come_in_order_and_items_are_not_taken_ahead(workers: int) -> None:
    taken: list[int] = []
    with module.mapper(None, workers) as mapped:
        for k, found in enumerate(mapped(square, counted(50, taken))):
            assert found == k * k
            assert len(taken) <= k + 1 + 2 * workers
    assert len(taken) == 50


def test_executors_and_clients() -> None:
    taken: list[int] = []
    client = Client()
    with ThreadPoolExecutor(2) as pool:
        for scheduler in (pool, client):
            taken.clear()
            with module.mapper(scheduler, 1) as mapped:
                found = iter(mapped(square, counted(100, taken)))
                assert next(found) == 0
                assert len(taken) == module.WAVE
                assert list(found) == [k * k for k in range(1, 100)]
    assert client.most == module.WAVE


def test_who_stops_early_leaves_no_work_behind() -> None:
    running = threading.active_count()
    results = module.threads(square, iter(range(10**6)), 3)
    assert next(results) == 0
    results.close()  # type: ignore[attr-defined]
    assert threading.active_count() == running


def test_an_error_of_an_item_is_raised() -> None:
    def fails(x: int) -> int:
        if x == 3:
            raise ZeroDivisionError
        return x

    for workers in (1, 2):
        found: list[int] = []
        with pytest.raises(ZeroDivisionError):
            found.extend(module.threads(fails, range(9), workers))


@pytest.mark.parametrize("scheduler", [3, "nonsense"])
def test_other_schedulers(scheduler: Any) -> None:
    with pytest.raises((InputError, MissingDependencyError)):
        module.mapper(scheduler, 1)
