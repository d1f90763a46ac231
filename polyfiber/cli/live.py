"""The live view of long work: bars with rate and remaining time on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from .render import on_terminal

LINE_SECONDS = 5.0


@contextmanager
def live(*, quiet: bool = False) -> Iterator[Callable[[Any], None] | None]:
    """A progress callback for the time of a ``with`` block."""
    if quiet:
        yield None
    elif on_terminal():
        with _bars() as show:
            yield show
    else:
        yield _lines()


def _rate(done: float, seconds: float) -> str:
    return f"{done / seconds:,.1f}/s" if seconds > 0 else "–/s"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _remaining(done: int, total: int | None, made: int, seconds: float) -> str:
    """Time that is left at the rate of this run (what was done before it does not count)."""
    if total is None or made <= 0:
        return "?"
    return _clock((total - done) * seconds / made)


def _facts(event: Any) -> str:
    return "  ".join(f"{k} {v:,}" if isinstance(v, int) else f"{k} {v}" for k, v in event.facts.items())


def _lines() -> Callable[[Any], None]:
    """A line every few seconds, and one at the end of each phase."""
    started: dict[str, tuple[float, int]] = {}
    last = [time.monotonic()]

    def show(event: Any) -> None:
        now = time.monotonic()
        begin, before = started.setdefault(event.phase, (now, event.done))
        final = event.total is not None and event.done >= event.total
        if now - last[0] < LINE_SECONDS and not final:
            return
        last[0] = now
        made = event.done - before
        of = "" if event.total is None else f"/{event.total}"
        left = "" if final else f"  remaining {_remaining(event.done, event.total, made, now - begin)}"
        print(f"{event.phase} {event.done}{of}  {_rate(made, now - begin)}{left}  {_facts(event)}", file=sys.stderr)

    return show


@contextmanager
def _bars() -> Iterator[Callable[[Any], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Any) -> Text:
            made = task.completed - task.fields["before"]
            seconds = task.elapsed or 0.0
            left = _remaining(int(task.completed), task.total, int(made), seconds)
            return Text(f"{_rate(made, seconds)}  {_clock(seconds)} < {left}")

    columns = (
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"), Rate(),
        TextColumn("{task.fields[facts]}"),
    )  # fmt: skip
    tasks: dict[str, Any] = {}
    bars = Progress(*columns, console=Console(stderr=True))

    def show(event: Any) -> None:
        bars.start()  # with a thread: not before the first report, so that workers can be forked until then
        if event.phase not in tasks:
            tasks[event.phase] = bars.add_task(event.phase, total=event.total, before=event.done, facts="")
        facts = _facts(event)
        if event.facts.get("failures"):
            facts = f"[red]{facts}[/red]"
        bars.update(tasks[event.phase], completed=event.done, total=event.total, facts=facts)

    try:
        yield show
    finally:
        bars.stop()
