"""Progress in plain lines: rates and remaining time of this run, one line at the end of a phase."""

from __future__ import annotations

from typing import Any

import pytest

from polyfiber.budget import Progress
from polyfiber.cli import live as module


def event(phase: str, done: int, total: int | None, **facts: Any) -> Any:
    return Progress(phase, done, total, facts)


@pytest.mark.parametrize(
    ("done", "total", "made", "seconds", "text"),
    [
        (5, 10, 5, 10.0, "0:10"),
        (5, 10, 1, 60.0, "5:00"),
        (1, 3601, 1, 1.0, "1:00:00"),
        (0, 10, 0, 3.0, "?"),
        (5, None, 5, 3.0, "?"),
    ],
)
def test_remaining_time(done: int, total: int | None, made: int, seconds: float, text: str) -> None:
    assert module._remaining(done, total, made, seconds) == text


def test_rates() -> None:
    assert module._rate(12345, 2.0) == "6,172.5/s"
    assert module._rate(5, 0.0) == "–/s"


def test_a_line_at_the_end_of_each_phase_and_every_few_seconds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr("sys.stderr.isatty", lambda: False)
    with module.live() as show:
        assert show is not None
        show(event("cutting", 2, 10))  # too early
        clock[0] += 4.0
        show(event("cutting", 4, 10))
        assert capsys.readouterr().err == ""
        clock[0] += 2.0
        show(event("cutting", 5, 10, found=12345))
        clock[0] += 1.0
        show(event("cutting", 10, 10))
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["cutting 5/10  0.5/s  remaining 0:10  found 12,345", "cutting 10/10  1.1/s  "]


def test_quiet_says_nothing() -> None:
    with module.live(quiet=True) as show:
        assert show is None
