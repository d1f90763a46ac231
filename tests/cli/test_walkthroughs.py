"""Newcomers of docs/walkthroughs.md: their steps hold, with the interpreter of the tests."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "walkthroughs.py"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["geometer", "engineer", "sweep"])
def test_a_newcomer_gets_what_was_promised(name: str) -> None:
    specification = importlib.util.spec_from_file_location("walkthroughs", SCRIPT)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules["walkthroughs"] = module  # dataclasses look their module up
    specification.loader.exec_module(module)
    assert module.walk(name, sys.executable, networks=20) == []
