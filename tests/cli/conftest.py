"""Commands of these tests say nothing of how long they work: on a loaded machine a second takes many."""

from __future__ import annotations

import pytest

from polyfiber.cli import render


@pytest.fixture(autouse=True)
def no_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    """No line *command: 5 s* in what is compared; tests of that line set the time themselves."""
    monkeypatch.setattr(render, "LOG_SECONDS", 1e6)
