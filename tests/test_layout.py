"""Where things are: folders that can be held in mind, tests and modules that find each other by name, short lists of parameters."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE, TESTS = ROOT / "polyfiber", ROOT / "tests"
MOST_MODULES, MOST_TESTS = 16, 28
"""Modules of one folder; test files of one folder: its modules, its rooms, and a few truths."""

WHOLE = {
    ".": {
        "attributes", "docstrings", "documents", "floors", "layout", "kernels", "released_files", "signatures", "site",
        "values",
    },
    "bounds": {"rounding"},
    "datasets": {"hostile_inputs", "outside", "shipped"},
    "datasets/storage": {"remote"},
    "datasets/tables": {"falsified"},
    "dln": {"exports", "hostile"},
    "equivalence": {"flat_domains"},
    "equivalence/checks": {"claims"},
    "fibers": {"degenerate"},
    "pages": {"attacks", "browser"},
    "cli": {"counts", "every_option", "names", "schemas", "walkthroughs"},
    "network": {"data_files", "exporters", "hostile", "graphs"},
    "plots": {"every_plot"},
}  # fmt: skip
"""Tests that hold a whole package against a truth of its own, and are named after that truth.

Where a package has many of them, they are in its folder `truths` and need no line here.
"""

THROUGH = {
    "_typing": "tests/test_signatures.py",
    "_version": "tests/datasets/storage/test_store.py",
    "complexes/build": "tests/complexes/test_complex.py",
    "complexes/local/cell_arrays": "tests/complexes/local/test_region.py",
    "complexes/local/explore": "tests/complexes/test_genericity.py",
    "complexes/local/facets": "tests/complexes/local/test_region.py",
    "complexes/planar/exact_forms": "tests/complexes/planar/test_meetings.py",
    "complexes/planar/subdivision": "tests/complexes/planar/test_build.py",
    "complexes/planar/walk": "tests/complexes/planar/test_build.py",
    "complexes/ranges/answer": "tests/complexes/ranges/test_activation.py",
    "complexes/ranges/simplify": "tests/complexes/ranges/test_activation.py",
    "complexes/skeleton/arrays": "tests/complexes/test_geometry.py",
    "complexes/skeleton/build": "tests/complexes/test_complex.py",
    "complexes/skeleton/entering": "tests/complexes/truths/test_attacks.py",
    "complexes/skeleton/exact_signs": "tests/complexes/test_geometry.py",
    "complexes/skeleton/extremes": "tests/complexes/test_geometry.py",
    "complexes/skeleton/faces": "tests/complexes/truths/test_widths.py",
    "complexes/skeleton/integer_signs": "tests/complexes/test_lattice.py",
    "complexes/skeleton/layout": "tests/complexes/test_certificate.py",
    "complexes/skeleton/lifts": "tests/complexes/test_geometry.py",
    "complexes/skeleton/orientation": "tests/complexes/test_complex.py",
    "complexes/skeleton/slope_forms": "tests/complexes/test_geometry.py",
    "complexes/skeleton/wired_values": "tests/complexes/truths/test_piecewise.py",
    "complexes/skeleton/wires": "tests/complexes/truths/test_piecewise.py",
    "complexes/topology/cells": "tests/complexes/topology/test_sets.py",
    "complexes/topology/gates": "tests/complexes/topology/test_values.py",
    "complexes/topology/normals": "tests/complexes/topology/test_surfaces.py",
    "datasets/checks/cell_geometry": "tests/datasets/tables/test_cells.py",
    "datasets/checks/documents": "tests/datasets/tables/test_falsified.py",
    "datasets/checks/faces": "tests/datasets/tables/test_falsified.py",
    "datasets/checks/topology": "tests/datasets/tables/test_falsified.py",
    "datasets/checks/validation": "tests/datasets/tables/test_falsified.py",
    "datasets/checks/whole": "tests/datasets/tables/test_falsified.py",
    "datasets/pairs": "tests/datasets/tables/test_pairs.py",
    "datasets/runner": "tests/datasets/storage/test_store.py",
    "datasets/tables/base": "tests/datasets/tables/test_falsified.py",
    "datasets/tables/complexes": "tests/datasets/tables/test_falsified.py",
    "datasets/tables/facets": "tests/datasets/tables/test_falsified.py",
    "datasets/tables/networks": "tests/datasets/tables/test_falsified.py",
    "datasets/tables/topology": "tests/datasets/tables/test_falsified.py",
    "datasets/tables/trajectories": "tests/datasets/tables/test_falsified.py",
    "dln/dynamics/completion": "tests/dln/dynamics/test_flows.py",
    "dln/space/frames": "tests/dln/space/test_submersion.py",
    "dln/space/projection": "tests/dln/space/test_balanced.py",
    "equivalence/checks/near": "tests/equivalence/bounds/test_near_equal.py",
    "equivalence/checks/regions": "tests/equivalence/checks/test_claims.py",
    "equivalence/checks/sample": "tests/equivalence/test_minimize.py",
    "equivalence/collections/collection": "tests/equivalence/collections/test_classes.py",
    "equivalence/minimize_gates": "tests/equivalence/test_minimize.py",
    "equivalence/relations/claims": "tests/equivalence/checks/test_functions.py",
    "equivalence/relations/units": "tests/equivalence/relations/test_split.py",
    "fibers/findings": "tests/fibers/test_classify.py",
    "fibers/image/activity": "tests/fibers/image/test_local.py",
    "fibers/image/directions": "tests/fibers/image/test_local.py",
    "fibers/image/hull": "tests/fibers/image/test_answer.py",
    "fibers/image/relatives": "tests/fibers/image/test_answer.py",
    "kernels/bounds/boxes": "tests/bounds/test_rounding.py",
    "kernels/bounds/pair": "tests/bounds/test_rounding.py",
    "kernels/bounds/planes": "tests/bounds/test_rounding.py",
    "kernels/bounds/zonotopes": "tests/bounds/test_rounding.py",
    "kernels/complexes/affine_maps": "tests/complexes/test_geometry.py",
    "kernels/complexes/cell_facets": "tests/complexes/local/test_region.py",
    "kernels/complexes/faces": "tests/complexes/test_metric.py",
    "kernels/complexes/forms": "tests/complexes/test_complex.py",
    "kernels/complexes/gate_values": "tests/complexes/topology/test_values.py",
    "kernels/complexes/incidence": "tests/complexes/topology/test_homology.py",
    "kernels/complexes/lattice": "tests/complexes/test_lattice.py",
    "kernels/complexes/layer_filter": "tests/complexes/topology/test_values.py",
    "kernels/complexes/polytopes": "tests/complexes/test_polytopes.py",
    "kernels/complexes/segments": "tests/complexes/local/test_segments.py",
    "kernels/complexes/skeleton": "tests/complexes/test_complex.py",
    "kernels/equivalence/cover": "tests/equivalence/test_regions.py",
    "kernels/fibers/batches": "tests/equivalence/collections/test_classes.py",
    "kernels/fibers/canonical": "tests/equivalence/test_forms.py",
    "kernels/fibers/cones": "tests/fibers/test_nonnegative_rank.py",
    "kernels/fibers/jacobians": "tests/fibers/test_dimension.py",
    "kernels/fibers/labels": "tests/fibers/batch/test_labels.py",
    "kernels/fibers/regime": "tests/fibers/test_regime.py",
    "kernels/fibers/spread": "tests/equivalence/test_allowance.py",
    "kernels/linear/chords": "tests/dln/geodesics/test_search.py",
    "kernels/linear/geodesics": "tests/dln/test_geodesics.py",
    "kernels/linear/langevin": "tests/dln/dynamics/test_langevin.py",
    "kernels/linear/rank_strata": "tests/linear/test_strata.py",
    "kernels/planar/doubled": "tests/complexes/planar/test_meetings.py",
    "kernels/planar/forms": "tests/complexes/planar/test_build.py",
    "kernels/planar/polygons": "tests/complexes/planar/test_build.py",
    "kernels/planar/walk": "tests/complexes/planar/test_build.py",
    "network/readers/npz_piecewise": "tests/network/test_piecewise.py",
    "pages/pairs": "tests/pages/test_build.py",
}
"""Modules without a test of their own, and the test file that runs them.

For compiled kernels, whose meaning is the module that calls them, and for parts of one mechanism that make no sense
alone. Whatever has a meaning of its own has a test of its own name.
"""

MOST_PARAMETERS = 10
"""More are for at most six functions, with a comment above each that says why."""
REASON = "# more than ten parameters: "


def modules() -> list[Path]:
    return sorted(p for p in PACKAGE.rglob("*.py") if "__pycache__" not in p.parts)


def written_tests() -> list[Path]:
    return sorted(TESTS.rglob("test_*.py"))


def rooms() -> list[Path]:
    """Packages below the top one, whose rooms `docs/design.md` draws."""
    return sorted(path.parent for path in PACKAGE.rglob("__init__.py") if path.parent != PACKAGE)


def test_folders_can_be_held_in_mind() -> None:
    for folder in {p.parent for p in modules()}:
        inside = [p.name for p in folder.glob("*.py") if not p.name.startswith("__")]
        assert len(inside) <= MOST_MODULES, f"{folder.relative_to(ROOT)} holds {len(inside)} modules: find its rooms"
    for folder in {p.parent for p in written_tests()}:
        inside = [p.name for p in folder.glob("test_*.py")]
        assert len(inside) <= MOST_TESTS, f"{folder.relative_to(ROOT)} holds {len(inside)} test files: find its rooms"


@pytest.mark.parametrize("room", rooms(), ids=lambda room: room.relative_to(PACKAGE).as_posix())
def test_a_room_says_what_its_modules_are(room: Path) -> None:
    told = ast.get_docstring(ast.parse((room / "__init__.py").read_text())) or ""
    names = [path.stem for path in room.glob("*.py") if path.stem not in ("__init__", "__main__")]
    names += [path.parent.name for path in room.glob("*/__init__.py")]
    missing = [name for name in names if not re.search(rf"`{name}`", told)]
    assert not missing, f"the first lines of {room.name} do not say what these are: {sorted(missing)}"


@pytest.mark.parametrize("path", written_tests(), ids=lambda p: str(p.relative_to(TESTS)))
def test_a_test_is_found_by_the_name_of_its_module(path: Path) -> None:
    folder, name = path.parent.relative_to(TESTS), path.stem.removeprefix("test_")
    if folder.name == "truths":
        assert (PACKAGE / folder.parent).is_dir(), f"polyfiber/{folder.parent} is no package"
        return
    place = PACKAGE / folder / name
    known = place.is_dir() or place.with_suffix(".py").exists() or name in WHOLE.get(folder.as_posix(), set())
    assert known, f"{path.relative_to(ROOT)} is named after no module or package of polyfiber/{folder}; see WHOLE"


def test_a_module_finds_its_test() -> None:
    """Its own file, or that of its room, or a line of THROUGH; no line says what the names say already."""
    named = {p.with_name(p.stem.removeprefix("test_")).relative_to(TESTS) for p in written_tests()}
    places = [p.relative_to(PACKAGE).with_suffix("") for p in modules() if p.stem != "__init__"]
    alone = {m.as_posix() for m in places if m not in named and m.parent not in named}
    assert alone - set(THROUGH) == set(), "write its test, or name the one that runs it in THROUGH"
    assert set(THROUGH) - alone == set(), "a module with its own test, or none at all, needs no line"
    lost = {test for test in THROUGH.values() if not (ROOT / test).is_file()}
    assert lost == set(), "no such test file"


def parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    a = node.args
    names = [x.arg for x in (*a.posonlyargs, *a.args, *a.kwonlyargs, *(y for y in (a.vararg, a.kwarg) if y))]
    return len(names) - (names[:1] in (["self"], ["cls"]))


def test_lists_of_parameters_are_short() -> None:
    long = [
        (path, node)
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and parameters(node) > MOST_PARAMETERS
    ]
    assert len(long) <= 6, "hand over what means something together as one value"
    for path, node in long:
        first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
        above = path.read_text().splitlines()[first - 2]
        assert above.startswith(REASON), f"{path.name}: a comment above {node.name} says why it has so many parameters"


MOST_FIELDS = 9
WIDE = {"kernels/complexes/forms.py: State": "the columns of one record: all that is known of a vertex"}
"""Tuples of kernels with more fields than that, and why."""


def fields_of_tuples(path: Path) -> dict[str, int]:
    """Fields of every named tuple that a module defines, either way of writing it."""
    found = {}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ClassDef) and any(ast.unparse(base) == "NamedTuple" for base in node.bases):
            found[node.name] = sum(isinstance(line, ast.AnnAssign) for line in node.body)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "namedtuple":
            name, names = (ast.literal_eval(argument) for argument in node.args)
            found[name] = len(names.split())
    return found


def test_tuples_of_kernels_mean_something_together() -> None:
    found = {
        f"{path.relative_to(PACKAGE).as_posix()}: {name}": count
        for path in modules()
        if "kernels" in path.parts
        for name, count in fields_of_tuples(path).items()
    }
    assert len(found) > 50
    assert {name for name, count in found.items() if count > MOST_FIELDS} == set(WIDE)
