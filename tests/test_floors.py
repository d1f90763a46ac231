"""Imports go down, never up; optional packages are imported where they are used."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "polyfiber"

# A module may import from its own floor's package and from lower floors only.
FLOORS: dict[str, int] = {
    "errors": 0,
    "_typing": 0,
    "_lazy": 0,
    "_version": 0,
    "verdict": 1,
    "budget": 1,
    "settings": 1,
    "processes": 1,
    "kernels": 2,
    "numerics": 3,
    "network": 4,
    "domain": 5,
    "strata": 5,
    "bounds": 6,
    "complexes": 7,
    "linear": 7,
    "dln": 7,
    "fibers": 8,
    "equivalence": 9,
    "datasets": 10,
    "plots": 11,
    "testing": 11,
    "cli": 12,
    "__init__": 13,
    "__main__": 13,
}
BASE = {"numpy", "scipy", "numba", "networkx", "cvxpy", "cdd"}
STANDARD_ONLY_AT_TOP = {
    "cvxpy",
    "networkx",
    "cdd",
    "onnx",
    "h5py",
    "torch",
    "sklearn",
    "matplotlib",
    "flint",
    "safetensors",
    "highspy",
    "pyarrow",
    "dask",
    "distributed",
}


def modules() -> list[Path]:
    return sorted(ROOT.rglob("*.py"))


def floor_of(dotted: str) -> tuple[str, int]:
    head = dotted.split(".")[0]
    assert head in FLOORS, f"{head!r} has no floor; add it to FLOORS in {__file__}"
    return head, FLOORS[head]


def imports(path: Path) -> list[tuple[str, bool]]:
    """(dotted name inside polyfiber or absolute name, at module level) of every import."""
    relative = path.relative_to(ROOT).with_suffix("")
    package = list(relative.parts[:-1])
    found: list[tuple[str, bool]] = []
    tree = ast.parse(path.read_text())
    top = {id(node) for node in tree.body}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            if node.level:
                base = package[: len(package) - (node.level - 1)]
                if node.module:
                    found.append((".".join([*base, node.module]), id(node) in top))
                else:
                    found.extend((".".join([*base, a.name]), id(node) in top) for a in node.names)
            else:
                found.append(("abs:" + (node.module or ""), id(node) in top))
        elif isinstance(node, ast.Import):
            found.extend(("abs:" + a.name, id(node) in top) for a in node.names)
    return found


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_down(path: Path) -> None:
    relative = path.relative_to(ROOT).with_suffix("")
    own, own_floor = floor_of(".".join(relative.parts))
    for name, _ in imports(path):
        if name.startswith("abs:"):
            assert not name.startswith("abs:polyfiber"), f"{relative}: use relative imports"
            continue
        other, other_floor = floor_of(name)
        assert other == own or other_floor < own_floor, (
            f"{relative} (floor {own_floor}) imports {name} (floor {other_floor})"
        )


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_heavy_packages_are_imported_where_used(path: Path) -> None:
    for name, top in imports(path):
        package = name.removeprefix("abs:").split(".")[0]
        if name.startswith("abs:") and package in STANDARD_ONLY_AT_TOP:
            assert not top, f"{path.name} imports {package} at module level; import it inside the function"
        if name.startswith("abs:") and package == "numba":
            assert path.parent == ROOT / "kernels", f"{path.name} imports numba"
            assert path.name in ("jit.py", "lanes.py"), f"{path.name} imports numba; only jit.py and lanes.py may"
        if name.startswith("abs:") and package in {"typer", "rich"}:
            assert ROOT / "cli" in path.parents, f"{path.name} imports {package}; only the command line may"


def test_complexes_linear_and_dln_do_not_know_each_other() -> None:
    apart = {"complexes", "linear", "dln"}
    for path in modules():
        own = path.relative_to(ROOT).parts[0]
        if own in apart:
            for name, _ in imports(path):
                head = name.split(".")[0]
                assert head == own or head not in apart, f"{path} imports {name}"
