"""What is installed, told without importing it."""

from __future__ import annotations

import io
import platform
import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

import polyfiber as pf
from polyfiber import versions as module

PROJECT = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())["project"]


def test_versions_are_those_of_the_packages() -> None:
    found = module.versions()
    assert found["polyfiber"] == pf.__version__ == PROJECT["version"]
    assert found["python"] == platform.python_version()
    assert found["numpy"] == metadata.version("numpy")


def test_every_dependency_is_named() -> None:
    needed = {re.split(r"[<>=\[]", d)[0] for d in PROJECT["dependencies"]}
    assert needed <= set(module.NEEDED)
    extras = {re.split(r"[<>=\[]", d)[0] for name in ("exact", "torch", "plot", "topology", "manifolds", "frames")
              for d in PROJECT["optional-dependencies"][name]}  # fmt: skip
    assert extras <= set(module.EXTRAS)


def test_what_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EXTRAS", ("no-such-package-of-ours",))
    assert module.versions()["no-such-package-of-ours"] is None
    out = io.StringIO()
    module.show_versions(out)
    lines = out.getvalue().splitlines()
    assert lines[0] == f"polyfiber           {pf.__version__}"
    assert lines[-1].endswith("not installed")
