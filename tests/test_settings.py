"""Settings as the environment states them."""

from __future__ import annotations

import dataclasses

import pytest

from polyfiber.settings import Settings, settings


@pytest.mark.parametrize(
    ("value", "kept"),
    [(None, True), ("1", True), ("yes", True), ("", True), ("0", False), ("no", False), ("off", False)],
)
def test_the_cache_of_kernels(monkeypatch: pytest.MonkeyPatch, value: str | None, kept: bool) -> None:
    monkeypatch.delenv("POLYFIBER_NUMBA_CACHE", raising=False)
    if value is not None:
        monkeypatch.setenv("POLYFIBER_NUMBA_CACHE", value)
    assert Settings.from_environment().numba_cache is kept


def test_settings_are_values() -> None:
    assert Settings() == Settings(numba_cache=True)
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.numba_cache = False  # type: ignore[misc]
