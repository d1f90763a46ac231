"""Where things are: folders that can be held in mind, tests found by the name of their module."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE, TESTS = ROOT / "polyfiber", ROOT / "tests"
MOST_MODULES = 16
"""Modules of one folder."""

WHOLE = {
    ".": {"docstrings", "documents", "floors", "layout", "kernels", "released_files", "values"},
    "bounds": {"rounding"},
    "complexes": {
        "against_exact", "against_lp", "cdd", "degenerate_domains", "exact_points", "golden", "hard_inputs", "identities",
        "limits", "oracles",
    },
    "complexes/topology": {"critical", "distance", "images"},
    "datasets": {"outside", "shipped"},
    "dln": {"exports", "hostile"},
    "equivalence": {"near_equal"},
    "fibers": {"degenerate"},
    "network": {"data_files", "exporters", "hostile", "graphs"},
}  # fmt: skip
"""Tests that hold a whole package against a truth of its own, and are named after that truth."""


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
