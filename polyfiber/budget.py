"""Budgets and progress of long work."""

from __future__ import annotations

import functools
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from numbers import Real
from typing import TYPE_CHECKING, Any, TypeVar

from .errors import BudgetExceededError, InputError
from .memory import available_memory, parse_bytes

if TYPE_CHECKING:
    from ._typing import ProgressLike  # imports numpy, which --help does without

F = TypeVar("F", bound=Callable[..., Any])
log = logging.getLogger("polyfiber")
log.addHandler(logging.NullHandler())  # silent until somebody asks


@dataclass(frozen=True)
class Budget:
    """Limits on time and memory, accepted as ``budget=`` by whatever can be long.

    Parameters
    ----------
    seconds : float, optional
        Wall-clock seconds; the work stops at the next safe point after them. Compiling kernels (on the first run, and
        after an update) is not counted: an answer does not depend on whether the code was there.
    memory : int or str, optional
        Bytes that the result and its working arrays may take, or a text such as ``"2GiB"``.

    Examples
    --------
    >>> import polyfiber as pf
    >>> pf.Budget(seconds=10, memory="1GiB").memory
    1073741824
    """

    seconds: float | None = None
    memory: int | None = None

    def __init__(self, seconds: float | None = None, memory: int | float | str | None = None) -> None:
        if seconds is not None and not (isinstance(seconds, Real) and seconds >= 0):
            raise InputError(f"a budget of {seconds!r} seconds makes no sense; expected a number >= 0")
        object.__setattr__(self, "seconds", None if seconds is None else float(min(seconds, 1e300)))
        object.__setattr__(self, "memory", None if memory is None else parse_bytes(memory))

    @property
    def asked(self) -> float | None:
        """Seconds of the budget that was given: of the whole, where this one is the `part` of a step."""
        whole: float | None = self.__dict__.get("_asked", self.seconds)
        return whole

    def part(self, seconds: float | None, memory: int | None = None) -> Budget:
        """Limits of a step of the work: so many seconds; messages name what was given for all of it.

        >>> Budget(10).part(2).seconds, Budget(10).part(2).asked
        (2.0, 10.0)
        """
        step = Budget(None if seconds is None else max(0.0, seconds), self.memory if memory is None else memory)
        if seconds is not None and self.asked is not None:
            object.__setattr__(step, "_asked", self.asked)
        return step


@dataclass
class Progress:
    """One progress report: phase, how many of how many, and further facts."""

    phase: str
    done: int
    total: int | None = None
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SoFar:
    """What was done when a budget ran out: ``partial`` of the `BudgetExceededError` of level sets, decision boundaries,
    critical points, persistence, images, cells that are given out, and slices by walking; counts of steps alone where
    nothing that was made can be used without the rest, as of regions, volumes and points inside.

    Attributes
    ----------
    step : str
        What ``done`` counts, such as ``"regions of the slice"``.
    done : int
        How many there were.
    total : int or None
        How many there would have been, where that is known.
    found : object
        What was found; all in it is right, and more may be missing. Each function says what it is; None where counts
        are all.
    """

    step: str
    done: int
    total: int | None = None
    found: Any = field(default=None, repr=False)

    def __str__(self) -> str:
        return f"{self.done:,}{'' if self.total is None else f' of {self.total:,}'} {self.step}"


def _used(elapsed: float, budget: Budget) -> str:
    """What a step used of its time; the budget is named as it was given."""
    limit, asked = budget.seconds or 0.0, budget.asked or 0.0
    if not limit:
        return f"nothing was left of a budget of {asked:.3g} s" if asked else "nothing of the budget was left"
    if limit >= 0.9 * asked:  # the whole, or what was left at once
        return f"{elapsed:.3g} s used of a budget of {asked:.3g} s"
    return f"{elapsed:.3g} s used, its share of a budget of {asked:.3g} s"


class Monitor:
    """Clock, budget and progress callback of one piece of long work.

    Parameters
    ----------
    budget : Budget, optional
    progress : None, bool or callable
        None or False: silent. True: lines to the logger ``polyfiber``, at most one a second.
        A callable receives a `Progress`.
    """

    def __init__(self, budget: Budget | None = None, progress: ProgressLike = None) -> None:
        if budget is not None and not isinstance(budget, Budget):
            raise InputError(f"budget must be a polyfiber.Budget, found {type(budget).__name__}")
        self.budget = budget or Budget()
        self.started = time.monotonic()
        self._compiled = _compilation.seconds
        self._last = -1e9
        self._did: tuple[str, int, int | None, Any] | None = None
        self._step, self._looks = "", 0
        self._call: Callable[[Any], None] | None
        if progress is None or progress is False:
            self._call = None
        elif progress is True:
            self._call = self._log
        elif callable(progress):
            self._call = progress
        else:
            raise InputError(f"progress must be None, True or a callable, found {type(progress).__name__}")

    @property
    def elapsed(self) -> float:
        """Seconds since the start, without those in which kernels were compiled."""
        return max(0.0, time.monotonic() - self.started - (_compilation.seconds - self._compiled))

    def report(self, phase: str, done: int, total: int | None = None, **facts: Any) -> None:
        """Tell the callback where the work stands."""
        if self._call is not None:
            self._call(Progress(phase, done, total, facts))

    def did(self, step: str, done: int, total: int | None = None, found: Any = None) -> None:
        """Keep what was done, for the error if the budget runs out later.

        Parameters
        ----------
        step, done, total
            As in `SoFar`.
        found
            What was found, or a function without arguments that puts it together when there is an error.
        """
        self._did = step, done, total, found

    @property
    def so_far(self) -> SoFar | None:
        """What was kept last."""
        if self._did is None:
            return None
        step, done, total, found = self._did
        with unwatched():
            try:
                return SoFar(step, done, total, found() if callable(found) else found)
            except MemoryError:
                return SoFar(step, done, total)

    @contextmanager
    def keeping(self) -> Iterator[Monitor]:
        """A budget that runs out within this block, and an allocation that is refused, hand over what was done."""
        try:
            yield self
        except BudgetExceededError as error:
            if error.partial is None:
                error.partial = self.so_far
            raise
        except MemoryError as error:
            raise no_memory(error, self.so_far) from None

    @property
    def late(self) -> bool:
        """Whether the time is used up."""
        return self.budget.seconds is not None and self.elapsed > self.budget.seconds

    def check_time(self, what: str, partial: Any = None) -> None:
        """Raise `BudgetExceededError` with ``partial`` once the time is used up."""
        limit = self.budget.seconds
        if limit is not None and self.elapsed > limit:
            raise BudgetExceededError(
                f"{what} stopped: {_used(self.elapsed, self.budget)}",
                partial=partial,
                elapsed=self.elapsed,
                seconds=self.budget.asked,
            )

    @property
    def left(self) -> float | None:
        """Seconds that are left; None without a limit."""
        limit = self.budget.seconds
        return None if limit is None else max(0.0, limit - self.elapsed)

    def rest(self, share: float = 1.0) -> Budget:
        """What is left, or a share of it, as the budget of one step of the work."""
        left = self.left
        return self.budget.part(None if left is None else share * left)

    @contextmanager
    def watching(self) -> Iterator[Monitor]:
        """Within this block, `heed` in whatever is called stops the work when the time is used up.

        For tables that are worked out when first asked for: the complex does not know who is asking.
        """
        import numpy as np  # --help does without

        token = _watching.set((*_watching.get(), self))
        try:
            with (
                self.keeping(),
                np.errstate(under="ignore"),
            ):  # bounds allow for it, whatever the caller has numpy raise
                yield self
        finally:
            _watching.reset(token)

    @property
    def memory_limit(self) -> int | None:
        """Bytes of the budget, nine tenths of what this process can still have (see `polyfiber.memory`), or the less of
        both.
        """
        free, asked = available_memory(), self.budget.memory
        least = None if free is None else free * 9 // 10
        return least if asked is None else asked if least is None else min(asked, least)

    def check_memory(self, needed: int, what: str, partial: Any = None) -> None:
        """Raise `BudgetExceededError` if ``needed`` bytes are more than `memory_limit`."""
        limit = self.memory_limit
        if limit is not None and needed > limit:
            source = "the budget" if limit == self.budget.memory else "what this process can still have"
            raise BudgetExceededError(
                f"{what} needs about {needed / 1e6:.4g} MB, more than {source}, {limit / 1e6:.4g} MB",
                partial=partial,
                needed=needed,
                memory=limit,
                machine=limit != self.budget.memory,
            )

    def _log(self, event: Progress) -> None:
        now = time.monotonic()
        if now - self._last < 1.0 and event.done != event.total:
            return
        self._last = now
        of = "" if event.total is None else f"/{event.total}"
        more = "".join(f", {k} {v}" for k, v in event.facts.items())
        log.info("%s %s%s%s (%.1f s)", event.phase, event.done, of, more, self.elapsed)


def no_memory(error: MemoryError, partial: Any = None) -> BudgetExceededError:
    """The error of the library for an allocation that the system refused."""
    words = str(error) or "an allocation was refused"
    free = available_memory()
    rest = "" if free is None else f", {free / 1e6:.4g} MB are left"
    return BudgetExceededError(
        f"memory is used up: {words}{rest}; restrict the domain", partial=partial, needed=None, memory=free
    )


def within_budget(call: F) -> F:
    """Decorator of what takes ``budget=`` and only passes it on: each inner step hears it (`heed`), and memory that is
    refused is a `BudgetExceededError`. Where nothing was kept, its ``partial`` counts the steps of what was going
    on."""

    @functools.wraps(call)
    def heard(*args: Any, budget: Budget | None = None, **options: Any) -> Any:
        monitor = Monitor(budget)
        try:
            with monitor.watching():
                return call(*args, **options)
        except BudgetExceededError as error:
            if error.partial is None and monitor._step and not _watching.get():
                error.partial = SoFar(f"steps of {monitor._step}", monitor._looks - 1)
            raise

    return heard  # type: ignore[return-value]


_watching: ContextVar[tuple[Monitor, ...]] = ContextVar("polyfiber_watching", default=())


@contextmanager
def unwatched() -> Iterator[None]:
    """Within this block nobody's time stops what is called: the time is up, and this is the short end of the work."""
    token = _watching.set(())
    try:
        yield
    finally:
        _watching.reset(token)


def heed(what: str) -> None:
    """Raise `BudgetExceededError` if the time of a monitor that is `watching` is used up.

    Called in slow inner steps (exact arithmetic, tables of faces); costs less than a microsecond.
    """
    for monitor in _watching.get():
        monitor._looks = monitor._looks + 1 if monitor._step == what else 1
        monitor._step = what
        monitor.check_time(what)


def did(step: str, done: int, total: int | None = None, found: Any = None) -> None:
    """Keep what was done for the error of the innermost monitor that is `watching`; see `Monitor.did`."""
    for monitor in _watching.get()[-1:]:
        monitor.did(step, done, total, found)


def report(phase: str, done: int, total: int | None = None, **facts: Any) -> None:
    """Tell whoever watches the progress of the work where it stands, and stop it once the time is used up; see
    `Monitor.report`.
    """
    heed(phase)
    for monitor in _watching.get():
        monitor.report(phase, done, total, **facts)


class _Compilation:
    """Seconds that this process has spent compiling kernels; one compilation runs at a time (numba's lock)."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.name: str | None = None


_compilation = _Compilation()
_listeners: list[Callable[[str], None]] = []


def on_compiling(call: Callable[[str], None]) -> None:
    """Have a function called with a kernel's name when it begins to be compiled: on the first run, and after an
    update.
    """
    _listeners.append(call)


def compiling(name: str) -> None:
    """Tell listeners, and whoever watches the progress of the work, that a kernel is being compiled."""
    log.info("compiling %s, once", name)
    _compilation.name = name
    for call in _listeners:
        call(name)
    for monitor in _watching.get():
        monitor.report("compiling kernels, once", 0)


def compiled(seconds: float) -> None:
    """Take the time of a compilation out of what budgets count."""
    _compilation.seconds += seconds
    _compilation.name = None


def compiled_now() -> str | None:
    """Name of the kernel that is being compiled, if one is."""
    return _compilation.name


def time_left() -> float | None:
    """Least seconds left to the monitors that are `watching`; None where there is no limit."""
    return min((left for monitor in _watching.get() if (left := monitor.left) is not None), default=None)


LONG = 1 << 22
"""Operations from which on a kernel is stopped by a thread: starting one costs as much as some ten thousand."""


def until_late(call: Callable[[Any], Any], what: str, operations: int) -> None:
    """Call with an array of one number that another thread sets once the time of a monitor that is `watching` is used
    up.

    For kernels that run long without coming back: they look at it and return. Then `BudgetExceededError` is raised.
    """
    import numpy as np  # --help does without

    while True:
        stop = np.zeros(1, dtype=np.int8)
        left = time_left()
        if left is None or operations < LONG:
            call(stop)
            return
        timer = threading.Timer(left, stop.__setitem__, (0, 1))
        timer.daemon = True
        timer.start()
        try:
            call(stop)
        finally:
            timer.cancel()
        if not stop[0]:
            return
        heed(what)  # if it was compiling that took the time, once more


def heed_memory(needed: int, what: str) -> None:
    """Raise `BudgetExceededError` if an allocation is beyond the memory of a monitor that is `watching`."""
    for monitor in _watching.get():
        monitor.check_memory(needed, what)
