"""Every exported name of `polyfiber.dln` resolves and is documented."""

from __future__ import annotations

import pytest

import polyfiber.dln


def test_every_exported_name_resolves_and_is_documented() -> None:
    for name in polyfiber.dln.__all__:
        value = getattr(polyfiber.dln, name)
        assert value.__doc__, name
        assert not hasattr(value, "__path__"), name
    assert set(polyfiber.dln.__all__) <= set(dir(polyfiber.dln))
    with pytest.raises(AttributeError, match="nothing"):
        polyfiber.dln.nothing  # noqa: B018
