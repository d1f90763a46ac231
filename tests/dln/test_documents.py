"""Every example of the docstrings and of docs/dln.md runs."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import polyfiber.dln

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "dln.md"
MODULES = sorted(m.name for m in pkgutil.iter_modules(polyfiber.dln.__path__))


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name: str) -> None:
    if name == "manifolds":
        pytest.importorskip("pymanopt")
    result = doctest.testmod(importlib.import_module(f"polyfiber.dln.{name}"))
    assert result.failed == 0


def test_every_exported_name_resolves_and_is_documented() -> None:
    for name in polyfiber.dln.__all__:
        value = getattr(polyfiber.dln, name)
        assert value.__doc__, name
        assert not hasattr(value, "__path__"), name
    assert set(polyfiber.dln.__all__) <= set(dir(polyfiber.dln))
    with pytest.raises(AttributeError, match="nothing"):
        polyfiber.dln.nothing  # noqa: B018


def test_document() -> None:
    text = DOCUMENT.read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    assert len(blocks) >= 5
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    globs: dict[str, object] = {}
    for i, block in enumerate(blocks):
        test = doctest.DocTestParser().get_doctest(block, globs, f"block {i + 1}", str(DOCUMENT), 0)
        runner.run(test, clear_globs=False)
        globs.update(test.globs)
    assert runner.summarize(verbose=False).failed == 0
    for image in re.findall(r"\]\((img/[^)]+)\)", text):
        assert (DOCUMENT.parent / image).exists(), image
