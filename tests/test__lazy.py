"""Names that resolve on first use, and functions of a floor above."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

import polyfiber as pf
from polyfiber._lazy import above, resolver


def package(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    made = ModuleType("made_up")
    made.__path__ = []
    inner = ModuleType("made_up.inner")
    inner.value = object()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "made_up", made)
    monkeypatch.setitem(sys.modules, "made_up.inner", inner)
    return made


def test_names_resolve_once_and_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    made = package(monkeypatch)
    get, names = resolver("made_up", {"value": "inner"}, ("inner",))
    assert "value" not in vars(made)
    assert get("value") is sys.modules["made_up.inner"].value
    assert vars(made)["value"] is get("value")
    assert get("inner") is sys.modules["made_up.inner"]
    with pytest.raises(AttributeError, match="module 'made_up' has no attribute 'other'"):
        get("other")
    made.helper = 1  # type: ignore[attr-defined]
    made.__all__ = ["value"]  # type: ignore[attr-defined]
    assert names() == ["__all__", "__doc__", "inner", "value"]


def test_every_public_name_resolves() -> None:
    for name in dir(pf):
        assert getattr(pf, name) is not None or name == "__doc__"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        pf.nothing  # noqa: B018


def test_the_way_up() -> None:
    assert above("numerics.exact:rank")([[1, 2], [2, 4]]) == 1
    with pytest.raises(ModuleNotFoundError):
        above("numerics.nothing:rank")
    with pytest.raises(AttributeError):
        above("numerics.exact:nothing")
