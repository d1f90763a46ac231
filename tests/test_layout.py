"""Where things are: folders that can be held in mind, tests found by the name of their module, short lists of parameters."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE, TESTS = ROOT / "polyfiber", ROOT / "tests"
MOST_MODULES = 16
"""Modules of one folder."""

WHOLE = {
    ".": {
        "docstrings", "documents", "floors", "layout", "kernels", "released_files", "signatures", "site",
        "values",
    },
    "bounds": {"rounding"},
    "complexes": {
        "against_exact", "attacks", "against_lp", "cdd", "flat_cells", "golden", "hard_inputs", "identities",
        "limits", "oracles", "piecewise", "widths",
    },
    "complexes/topology": {"against_oracle", "bad_input", "invariance", "limits", "slices"},
    "datasets": {"hostile_inputs", "outside", "shipped"},
    "datasets/storage": {"remote"},
    "datasets/tables": {"falsified"},
    "dln": {"exports", "hostile"},
    "equivalence": {"flat_domains"},
    "equivalence/checks": {"claims"},
    "fibers": {"degenerate"},
    "pages": {"attacks", "browser"},
    "cli": {"every_option", "schemas"},
    "network": {"data_files", "exporters", "hostile", "graphs"},
}  # fmt: skip
"""Tests that hold a whole package against a truth of its own, and are named after that truth."""


MOST_PARAMETERS = 10
LONG = {
    "complexes/blocks/write.py: write_cells": "public: what to write, where, how, and within what",
    "complexes/blocks/run.py: iter_cells": "public: the same without a file",
    "dln/dynamics/langevin.py: sample_langevin": "public: an equation, a scheme, a start, and what to keep",
    "dln/dynamics/langevin.py: sample_langevin_upstairs": "public: an equation, a start, and what to keep",
    "cli/equivalence.py: equiv": "a command: the options of one question, each on its own",
}
"""Functions with more parameters than that, and why. At most five."""


def modules() -> list[Path]:
    return sorted(p for p in PACKAGE.rglob("*.py") if "__pycache__" not in p.parts)


def test_folders_can_be_held_in_mind() -> None:
    for folder in {p.parent for p in modules()}:
        inside = [p.name for p in folder.glob("*.py") if not p.name.startswith("__")]
        assert len(inside) <= MOST_MODULES, f"{folder.relative_to(ROOT)} holds {len(inside)} modules: find its rooms"


@pytest.mark.parametrize("path", sorted(TESTS.rglob("test_*.py")), ids=lambda p: str(p.relative_to(TESTS)))
def test_a_test_is_found_by_the_name_of_its_module(path: Path) -> None:
    folder, name = path.parent.relative_to(TESTS), path.stem.removeprefix("test_")
    place = PACKAGE / folder / name
    known = place.is_dir() or place.with_suffix(".py").exists() or name in WHOLE.get(folder.as_posix(), set())
    assert known, f"{path.relative_to(ROOT)} is named after no module or package of polyfiber/{folder}; see WHOLE"


def parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    a = node.args
    names = [x.arg for x in (*a.posonlyargs, *a.args, *a.kwonlyargs, *(y for y in (a.vararg, a.kwarg) if y))]
    return len(names) - (names[:1] in (["self"], ["cls"]))


def test_lists_of_parameters_are_short() -> None:
    found = {
        f"{path.relative_to(PACKAGE).as_posix()}: {node.name}"
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and parameters(node) > MOST_PARAMETERS
    }
    assert found == set(LONG), "hand over what means something together as one value"
    assert len(LONG) <= 5
