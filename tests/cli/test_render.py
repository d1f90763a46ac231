"""Tables on a terminal, and what a silent command says of the time that it takes."""

from __future__ import annotations

import re
import threading
import time

import pytest

from .test_app import DATA, run
from .test_exits import ends


def test_tables_on_a_terminal_show_brackets_of_names(capsys, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    path = tmp_path / "[bold]a[" / "b].npz"
    path.parent.mkdir()
    path.write_bytes((DATA / "iris_petals.npz").read_bytes())
    monkeypatch.chdir(tmp_path)
    for command in ("info", "complex"):
        code, out, _ = run(capsys, command, "[bold]a[/b].npz")
        assert code == 0
        assert "[bold]a[/b].npz" in out


def test_a_silent_command_says_for_how_long_it_works(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from polyfiber.cli import render

    monkeypatch.setattr(render, "LOG_SECONDS", 0.0)
    for quiet in (False, True):
        with render.heartbeat("classify", quiet=quiet):
            time.sleep(1.5)
        lines = capsys.readouterr().err.splitlines()
        assert all(re.fullmatch(r"classify: \d+ s", line) for line in lines)
        assert bool(lines) != quiet


def test_the_line_of_a_silent_command_says_that_it_compiles_and_ends_before_a_fork(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Commands that may fork say how long they work too, until they fork: none was heard while the code was compiled."""
    from polyfiber import budget, processes
    from polyfiber.cli import render

    monkeypatch.setattr(render, "LOG_SECONDS", 0.0)
    before = len(processes.before_forking)
    with render.heartbeat("complex"):
        budget.compiling("grow")
        time.sleep(1.5)
        budget.compiled(1.5)
        names = [t.name for t in threading.enumerate()]
        assert "polyfiber-heartbeat" in names
        processes.fork_is_safe()
        assert "polyfiber-heartbeat" not in [t.name for t in threading.enumerate()]
    assert len(processes.before_forking) == before
    assert re.search(r"complex: \d+ s, compiling$", capsys.readouterr().err, re.MULTILINE)
    assert budget.compiled_now() is None


def test_progress_begins_at_nothing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from polyfiber.cli import render

    monkeypatch.setattr(render, "LOG_SECONDS", 0.0)
    assert render.progress_line(quiet=True) is None
    ends("complex", DATA / "wine_three.onnx", "--domain=0,20")
    begun = [int(found) for found in re.findall(r"^cutting (-?\d+)/32", capsys.readouterr().err, re.MULTILINE)]
    assert begun
    assert begun == sorted(begun)
    assert 0 <= begun[0] < 32
    assert begun[-1] == 32
