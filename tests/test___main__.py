"""The command is the one of `cli.app`, and Ctrl-C while it is imported ends quietly."""

from __future__ import annotations

import builtins
from typing import Any

import pytest

from polyfiber import __main__ as module


def test_the_command_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    called = list[bool]()
    monkeypatch.setattr("polyfiber.cli.app.main", lambda: called.append(True))
    module.main()
    assert called == [True]


def test_ctrl_c_while_importing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    real = builtins.__import__

    def interrupted(name: str, *args: Any, **options: Any) -> Any:
        if name == "cli.app":
            raise KeyboardInterrupt
        return real(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", interrupted)
    with pytest.raises(SystemExit) as stop:
        module.main()
    assert stop.value.code == 130
    assert capsys.readouterr().err == "polyfiber: interrupted\n"
