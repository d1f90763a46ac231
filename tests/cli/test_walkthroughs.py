"""Newcomers of docs/walkthroughs.md: their steps hold, with the interpreter of the tests."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import sys
from pathlib import Path
from typing import Any

import pytest

from .cases import in_words

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "walkthroughs.py"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["geometer", "engineer", "sweep"])
def test_a_newcomer_gets_what_was_promised(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each walk's first step in a process of its own; the others here, where the imports are made."""
    specification = importlib.util.spec_from_file_location("walkthroughs", SCRIPT)
    assert specification is not None
    assert specification.loader is not None
    module: Any = importlib.util.module_from_spec(specification)
    sys.modules["walkthroughs"] = module  # dataclasses look their module up
    specification.loader.exec_module(module)
    steps = {"apart": 0, "here": 0}

    class Here(module.Desk):
        def run(self, argv: list[str], codes: tuple[int, ...] = (0,)) -> str:
            if not steps["apart"]:
                steps["apart"] += 1
                return str(super().run(argv, codes))
            steps["here"] += 1
            monkeypatch.chdir(self.folder)
            if argv[1] == "-c":
                out = io.StringIO()
                with contextlib.redirect_stdout(out):
                    exec(compile(argv[2], "program", "exec"), {"__name__": "__main__"})
                return out.getvalue()
            code, said, errors = in_words(argv[3:])
            self.holds(code in codes, f"{module.shown(argv)}: exit {code}: {errors.strip()[-300:]}")
            self.holds("Traceback" not in said + errors, f"{module.shown(argv)}: a raw trace")
            return said

    monkeypatch.chdir(SCRIPT.parent)  # undone when the folder is gone
    assert module.walk(name, sys.executable, networks=10, kind=Here) == []
    assert steps["here"] > 4
