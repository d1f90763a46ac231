"""Limits of time that a cold cache and a loaded machine do not break.

A test may use as much processor time as `timeout` of pyproject.toml says. Compiling kernels does not count (a cold cache compiles a
minute's worth here and there), nor does waiting for other programs of a loaded machine. What waits for ever is ended by the clock.
"""

from __future__ import annotations

import multiprocessing
import signal
import sys
import threading
import zlib
from collections.abc import Iterator
from types import FrameType
from typing import Any

import numpy as np
import pytest
from numba.core import event

from polyfiber import processes

WAITING = 12
"""How many times the limit a test may take by the clock."""
FIRST = ("test_values.py", "test_every_option.py", "test_documents.py", "test_floors.py")
"""Files with long tests, which begin first: at the end one worker would wait for the other."""
HAS_TIMERS = hasattr(signal, "setitimer")


class _NotCompiling(event.Listener):
    """Stops the timer of processor time while numba compiles."""

    def __init__(self) -> None:
        self.depth = 0
        self.left = 0.0

    def on_start(self, event: Any) -> None:
        if threading.current_thread() is threading.main_thread():
            if self.depth == 0:
                self.left = signal.setitimer(signal.ITIMER_PROF, 0)[0]
            self.depth += 1

    def on_end(self, event: Any) -> None:
        if threading.current_thread() is threading.main_thread() and self.depth:
            self.depth -= 1
            if self.depth == 0 and self.left > 0:
                signal.setitimer(signal.ITIMER_PROF, self.left)


if HAS_TIMERS:
    event.register("numba:compile", _NotCompiling())


@pytest.hookimpl(optionalhook=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> bool | None:
    """Timers of pytest-timeout, replaced where the system has timers of processor time."""
    if not HAS_TIMERS or threading.current_thread() is not threading.main_thread() or not settings.timeout:
        return None

    def end(number: int, frame: FrameType | None) -> None:
        what = "processor time" if number == signal.SIGPROF else "time"
        limit = settings.timeout * (1 if number == signal.SIGPROF else WAITING)
        pytest.fail(f"more than {limit:g} s of {what}; compiling kernels does not count")

    signal.signal(signal.SIGPROF, end)
    signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_PROF, settings.timeout)
    signal.setitimer(signal.ITIMER_REAL, WAITING * settings.timeout)
    return True


@pytest.hookimpl(optionalhook=True)
def pytest_timeout_cancel_timer(item: pytest.Item) -> bool | None:
    """Stop both timers."""
    if not HAS_TIMERS or threading.current_thread() is not threading.main_thread():
        return None
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.setitimer(signal.ITIMER_REAL, 0)
    return True


@pytest.fixture(autouse=True)
def close_figures() -> Iterator[None]:
    """Pictures that a test leaves open are not counted against the next one."""
    yield
    drawn = sys.modules.get("matplotlib.pyplot")
    if drawn is not None:
        drawn.close("all")


@pytest.fixture(autouse=True)
def same_draws_in_any_order(request: pytest.FixtureRequest) -> None:
    """A module's `RNG` begins anew in each test, by its name: workers and `-k` do not change what is drawn."""
    if isinstance(getattr(request.module, "RNG", None), np.random.Generator):
        request.module.RNG = np.random.default_rng(zlib.crc32(request.node.name.encode()))


@pytest.fixture
def forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes are forked where the system can: beside the threads of a worker of pytest-xdist they would be spawned, for seconds each.

    What is spawned is asked for by name, in tests of its own.
    """
    if "fork" in multiprocessing.get_all_start_methods() and sys.platform != "darwin":
        monkeypatch.setattr(processes, "fork_is_safe", lambda: True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that share a fixture of their module go to one worker, where it is made once; what is long or indivisible begins first.

    Without this, `pytest -n 2` makes networks, datasets and pages of a module in both workers. The order is that of the queue, as
    `--no-loadscope-reorder` of pyproject.toml says: pytest-xdist alone would begin with the groups of most tests, not the longest.
    """
    together = set()
    for item in items:
        definitions = getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {})
        if any(found[-1].scope == "module" for found in definitions.values()):
            item.add_marker(pytest.mark.xdist_group(item.module.__name__))  # type: ignore[attr-defined]
            together.add(item.path)

    def late(item: pytest.Item) -> int:
        long = item.path.name in FIRST or item.get_closest_marker("slow")
        return 0 if item.path in together else 1 if long else 2

    items.sort(key=late)
