"""Imports go down, never up and never in circles; optional packages are imported where they are used."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

import networkx as nx
import pytest

ROOT = Path(__file__).parent.parent / "polyfiber"
pytestmark = pytest.mark.xdist_group("floors")  # one worker reads the files

# A module may import from its own floor's package and from lower floors only.
FLOORS: dict[str, int] = {
    "errors": 0,
    "words": 0,
    "columns": 1,
    "versions": 1,
    "_typing": 0,
    "_lazy": 0,
    "_once": 2,
    "_values": 1,
    "_version": 0,
    "verdict": 1,
    "budget": 2,
    "memory": 1,
    "settings": 1,
    "processes": 1,
    "kernels": 3,
    "numerics": 4,
    "network": 5,
    "domain": 6,
    "strata": 6,
    "invariants": 7,
    "bounds": 7,
    "complexes": 8,
    "linear": 8,
    "dln": 8,
    "fibers": 9,
    "equivalence": 10,
    "datasets": 11,
    "plots": 12,
    "testing": 12,
    "pages": 13,
    "cli": 14,
    "__init__": 15,
    "__main__": 15,
}
BASE = {"numpy", "scipy", "numba", "networkx", "cvxpy", "cdd", "onnx", "h5py", "safetensors"}
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
    "vnnlib",
}


def modules() -> list[Path]:
    return sorted(ROOT.rglob("*.py"))


def floor_of(dotted: str) -> tuple[str, int]:
    head = dotted.split(".")[0]
    assert head in FLOORS, f"{head!r} has no floor; add it to FLOORS in {__file__}"
    return head, FLOORS[head]


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@functools.cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@functools.cache
def nodes(path: Path) -> list[ast.AST]:
    return list(ast.walk(parsed(path)))


@functools.cache
def import_graph(*, hints: bool = False) -> nx.DiGraph:
    """Modules and what they import, wherever in the file it says so; with ``hints``, for annotations alone too.

    A name that a package resolves on first use is an import of the module that has it.
    """
    known = {name_of(path) for path in modules()}
    doors = {
        f"{name_of(path)}.{name}": ".".join([name_of(path), module.lstrip(".")])
        for path in modules()
        for name, module in tables_of_names(path).get("_EXPORTS", {}).items()
    }
    graph = nx.DiGraph()
    graph.add_nodes_from(known)
    for path in modules():
        own = name_of(path)
        package = own.split(".") if path.name == "__init__.py" and own != "__init__" else own.split(".")[:-1]
        typing_only = [n for n in nodes(path) if isinstance(n, ast.If) and "TYPE_CHECKING" in ast.unparse(n.test)]
        skipped = set() if hints else {id(inner) for branch in typing_only for inner in ast.walk(branch)}
        for node in nodes(path):
            if isinstance(node, ast.ImportFrom) and node.level and id(node) not in skipped:
                base = package[: len(package) - (node.level - 1)] + (node.module.split(".") if node.module else [])
                for alias in node.names:
                    whole = ".".join([*base, alias.name])
                    target = whole if whole in known else doors.get(whole, ".".join(base))
                    if target in known and target != own:
                        graph.add_edge(own, target)
    return graph


def calls_of_above(path: Path) -> list[tuple[ast.Call, bool]]:
    """Calls of `_lazy.above`, and whether each stands inside a function."""
    calls = [
        n for n in nodes(path) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name) and n.func.id == "above"
    ]
    if not calls:
        return []
    functions = [n for n in nodes(path) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)]
    inside = {id(inner) for function in functions for inner in ast.walk(function)}
    return [(call, id(call) in inside) for call in calls]


@functools.cache
def defined_in(path: Path) -> set[str]:
    return {n.name for n in parsed(path).body if isinstance(n, ast.FunctionDef | ast.ClassDef)}


@functools.cache
def imports(path: Path) -> list[tuple[str, bool]]:
    """(dotted name inside polyfiber or absolute name, at module level) of every import."""
    relative = path.relative_to(ROOT).with_suffix("")
    package = list(relative.parts[:-1])
    found: list[tuple[str, bool]] = []
    top = {id(node) for node in parsed(path).body}
    for node in nodes(path):
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


def test_the_table_of_floors_is_current() -> None:
    rows = re.findall(r"^\| (\d+) \| (`[^|]*`) \|", (ROOT.parent / "docs" / "design.md").read_text(), flags=re.M)
    told = {name: int(floor) for floor, names in rows for name in re.findall(r"`(\w+)`", names)}
    assert told == {name: floor for name, floor in FLOORS.items() if name not in ("__init__", "__main__")}


def test_no_circles() -> None:
    """Neither files nor imports inside functions go round in a circle: values below, builders above.

    Names for annotations alone (``if TYPE_CHECKING``) are not followed: nothing runs there.
    """
    graph = import_graph()
    circles = [sorted(c) for c in nx.strongly_connected_components(graph) if len(c) > 1]
    assert not circles, f"these import each other: {circles}; split the value from its builder, or see _lazy.above"


def test_names_that_a_package_resolves_are_imports_of_their_modules() -> None:
    graph = import_graph()
    assert graph.has_edge("fibers.linear_neurons", "linear.strata")  # it says ``from ..linear import stratify``
    assert graph.has_edge("cli.datasets", "datasets.plan")


def test_methods_reach_up_in_one_way() -> None:
    """``above("module:name")`` runs inside a function, and names a higher floor or what stands on the module that says it.

    Elsewhere a plain import does.
    """
    graph = import_graph(hints=True)
    told = 0
    for path in modules():
        own = name_of(path)
        for node, inside in calls_of_above(path) if own != "_lazy" else ():  # which passes names on
            assert inside, f"{own} calls above() at module level: that is an import upwards"
            module, _, attribute = ast.literal_eval(node.args[0]).partition(":")
            assert attribute in defined_in(ROOT / (module.replace(".", "/") + ".py")), f"{own}: no {module}:{attribute}"
            higher = floor_of(module)[1] > floor_of(own)[1]
            assert higher or nx.has_path(graph, module, own), f"{own}: {module} does not stand on it; import it"
            told += 1
    assert told


def tables_of_names(path: Path) -> dict[str, dict[str, str]]:
    """The dictionaries of names that a package resolves on first use."""
    found = {}
    for node in parsed(path).body:
        target = node.target if isinstance(node, ast.AnnAssign) else None
        if isinstance(target, ast.Name) and target.id in ("_EXPORTS", "_UPWARDS") and node.value is not None:
            found[target.id] = ast.literal_eval(node.value)
    return found


def test_names_that_resolve_on_first_use() -> None:
    """Those of a package lie below it; those of a higher floor stand in a table of their own, as ``above`` takes them."""
    told = 0
    for path in modules():
        tables, own = tables_of_names(path), name_of(path)
        for name, module in tables.get("_EXPORTS", {}).items():
            file = path.parent.joinpath(*module.split("."))
            assert file.with_suffix(".py").exists() or file.is_dir(), (
                f"{own}: {name} of {module}, which is not below it"
            )
        for name, place in tables.get("_UPWARDS", {}).items():
            module, _, attribute = place.partition(":")
            assert floor_of(module)[1] > floor_of(own)[1], f"{own}: {name} is no name of a higher floor"
            assert attribute in defined_in(ROOT / (module.replace(".", "/") + ".py")), f"{own}: no {place}"
            told += 1
    assert told


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_heavy_packages_are_imported_where_used(path: Path) -> None:
    for name, top in imports(path):
        package = name.removeprefix("abs:").split(".")[0]
        if name.startswith("abs:") and package in STANDARD_ONLY_AT_TOP:
            assert not top, f"{path.name} imports {package} at module level; import it inside the function"
        if name.startswith("abs:") and package == "numba":
            assert path.parent == ROOT / "kernels", f"{path.name} imports numba"
            assert path.name in ("jit.py", "lanes.py", "linking.py", "apart.py"), (
                f"{path.name} imports numba; only jit, lanes, linking and apart may"
            )
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


def test_relaxations_of_checks_are_asked_by_checks_alone() -> None:
    """One relaxation of boxes for answers; the second one is kept to check them, and takes nothing from the first."""
    graph, room = import_graph(), "equivalence.checks"
    checks = [f"{room}.{name}" for name in ("planes", "substitution", "duals", "leaves")]
    for check in checks:
        askers = set(graph.predecessors(check))
        assert askers
        assert all(asker.startswith(room) for asker in askers), f"{check} is asked by {sorted(askers)}"
    answers = {f"bounds.{name}" for name in ("relaxation", "multipliers", "programs", "signs", "settle", "split")}
    answers |= {f"kernels.bounds.{name}" for name in ("boxes", "planes", "zonotopes")}
    for check in checks:
        shared = answers & nx.descendants(graph, check)
        assert not shared, f"{check} rests on {sorted(shared)}"
