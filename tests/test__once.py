"""Columns that are made once, by one thread, and locks that copies and pickles do not mind."""

from __future__ import annotations

import copy
import pickle
import threading
import time
from typing import Any

import numpy as np
import pytest

from polyfiber._once import Lock, cached_property, given, given_property, once


class Columns:
    """Counts how often each of its columns is made."""

    def __init__(self) -> None:
        self._lock, self._kept, self.made = Lock(), dict[str, Any](), 0

    @once
    def table(self) -> np.ndarray:
        """A table."""
        self.made += 1
        time.sleep(0.01)
        return np.arange(3.0)

    @given
    def shown(self) -> np.ndarray:
        """A table that is given out."""
        return np.arange(3.0)

    @once
    def broken(self) -> int:
        """Fails the first time."""
        self.made += 1
        if self.made == 1:
            raise ValueError("not yet")
        return self.made


class Value:
    """With plain attributes."""

    radius = 2.0

    @cached_property
    def area(self) -> float:
        """An area."""
        return 3.0 * self.radius**2

    @given_property
    def corners(self) -> np.ndarray:
        """Given out."""
        return np.zeros(2)


def test_many_threads_make_it_once() -> None:
    columns, found = Columns(), list[Any]()
    threads = [threading.Thread(target=lambda: found.append(columns.table)) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert columns.made == 1
    assert all(f is found[0] for f in found)


def test_what_fails_is_made_again_and_the_lock_is_free() -> None:
    columns = Columns()
    with pytest.raises(ValueError, match="not yet"):
        columns.broken  # noqa: B018
    assert columns.broken == 2
    assert columns.broken == 2


def test_given_columns_are_read_only_and_others_are_not() -> None:
    columns, value = Columns(), Value()
    columns.table[0] = 7.0
    for array in (columns.shown, value.corners):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1.0
    assert columns.shown is columns.shown
    assert Columns.table.__doc__ == "A table."
    assert Columns.shown.__doc__ == "A table that is given out."


def test_a_lock_may_be_taken_again_and_its_copies_are_free() -> None:
    lock = Lock()
    with lock, lock:
        for other in (copy.copy(lock), copy.deepcopy(lock), pickle.loads(pickle.dumps(lock))):
            assert other is not lock
            free = list[bool]()

            def take(other: Lock = other, free: list[bool] = free) -> None:
                with other:
                    free.append(True)

            thread = threading.Thread(target=take)
            thread.start()
            thread.join(5)
            assert free == [True]


def test_the_state_of_a_value_is_taken_in_one_step() -> None:
    value = Value()
    assert value.__getstate__() == {}
    assert value.area == 12.0
    state = value.__getstate__()
    assert state == {"area": 12.0}
    assert state is not vars(value)
    again = copy.copy(value)
    assert vars(again) == {"area": 12.0}
