"""Everything that a public name returns pickles, copies, and goes to another process.

Result types are found from the annotations of public functions, methods and attributes; values of them from the examples
in the docstrings, and from a few more here. A new result type of which no example makes a value is a failure.
"""

from __future__ import annotations

import ast
import copy
import doctest
import functools
import importlib
import importlib.util
import inspect
import multiprocessing
import pickle
import re
import sys
from collections.abc import Iterable, Iterator
from enum import Enum
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import polyfiber as pf
from polyfiber import datasets, dln, fibers, invariants, linear, testing
from polyfiber.datasets.tables import NAMES
from polyfiber.datasets.tables import table as table_of
from polyfiber.datasets.tables.base import Skip
from polyfiber.equivalence.bounds.everywhere import Growth
from polyfiber.fibers.image.directions import Directions
from polyfiber.fibers.image.hull import SecondLayer
from polyfiber.network.piecewise import GateGroup

PACKAGES = (
    "polyfiber", "polyfiber.linear", "polyfiber.fibers", "polyfiber.dln", "polyfiber.datasets", "polyfiber.invariants",
    "polyfiber.pages", "polyfiber.plots", "polyfiber.testing",
)  # fmt: skip

NET = pf.ReLUNetwork.random((2, 5, 4, 1), rng=0)
LINES = [[1, 0], [0, 1], [1, 1], [1, -1]]  # through one point
CROSSING = pf.ReLUNetwork([LINES, [[1, 1, 1, 1]]], [[0] * 4, [0]])
BOX = pf.Box([-1, -1], [1, 1])


# ---- result types -------------------------------------------------------------------------------
@functools.cache
def words_of(name: str) -> dict[str, Any]:
    """What the words in annotations of a module mean: its globals, and what is imported for annotations alone."""
    module = importlib.import_module(name)
    package = name if hasattr(module, "__path__") else name.rpartition(".")[0]
    found = dict(vars(module))
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").startswith("polyfiber")):
            source = importlib.import_module(
                importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            )
            found |= {a.asname or a.name: getattr(source, a.name) for a in node.names if hasattr(source, a.name)}
    return found


def named(annotation: Any, module: str) -> Iterator[type]:
    """Classes of the package that an annotation in a module names."""
    if not isinstance(annotation, str):
        annotation = getattr(annotation, "__name__", "")
    for word in re.findall(r"[A-Za-z_]\w*", annotation):
        kind = words_of(module).get(word)
        if inspect.isclass(kind) and kind.__module__.startswith("polyfiber."):
            yield kind


def public_names() -> list[tuple[str, Any]]:
    return [
        (name, getattr(importlib.import_module(package), name))
        for package in PACKAGES
        for name in importlib.import_module(package).__all__
    ]


def result_types() -> set[type]:
    """Classes that public names return or have as attributes, and what these have, and so on; of protocols the classes."""
    seen: set[type] = set()
    todo: list[type] = []

    def add(found: Iterable[type]) -> None:
        new = set(found) - seen
        seen.update(new)
        todo.extend(new)

    def returned(thing: Any) -> Iterator[type]:
        if hasattr(thing, "__module__"):
            yield from named(getattr(thing, "__annotations__", {}).get("return", ""), thing.__module__)

    for _, thing in public_names():
        add([thing] if inspect.isclass(thing) else returned(thing) if inspect.isroutine(thing) else [])
    while todo:
        kind = todo.pop()
        for name, value in inspect.getmembers_static(kind):
            if not name.startswith("_"):
                add(
                    returned(
                        next(
                            (getattr(value, a) for a in ("fget", "func", "make", "__func__") if hasattr(value, a)),
                            value,
                        )
                    )
                )
        for base in kind.__mro__:
            for name, annotation in vars(base).get("__annotations__", {}).items():
                if not name.startswith("_") and base.__module__.startswith("polyfiber"):
                    add(named(annotation, base.__module__))
    return {c for c in seen if not issubclass(c, Warning) and not getattr(c, "_is_protocol", False)}


# ---- values -------------------------------------------------------------------------------------
def complexes(folder: Path) -> Any:
    found = []
    for net, domain in ((NET, None), (NET, BOX), (CROSSING, None), (NET.exact(), None)):
        cx = pf.canonical_complex(net, domain)
        bp = cx.breakpoint_complex()
        check = cx.certificate.verify(everything=True)
        found += [cx, cx.strata, cx.certificate, check, cx.stats, cx.lipschitz(), cx.dual_graph, bp, bp.ridges]
        walls = cx.decision_boundary()
        found += [
            cx.critical_points(),
            *([cx.persistence()] if domain else []),
            cx.image(),
            walls.nearest_point([0.1, 0.2]),
        ]
        found += [walls, walls.certificate, walls.certificate.verify(), cx.strata.validate()]
        found += [cx.polytopes, cx.polytopes.inequalities(), cx.h_representation(0), cx.v_representation(0)]
    return found


def blocks(folder: Path) -> Any:
    pf.write_cells(NET, folder / "cells", file_format="npz")
    store = pf.read_cells(folder / "cells")
    parts = [*pf.iter_blocks(NET), *pf.iter_cells(NET, unbounded=True, maps=True, vertices=True)]
    return [*parts, pf.count_blocks(NET), pf.plan_blocks(NET), pf.pilot_estimate(NET), store, store.total()]


def regions(folder: Path) -> Any:
    region = pf.region(NET, [0.1, 0.2], domain=BOX)
    bounds = pf.activation_bounds(NET, BOX)
    found = [
        region,
        region.inscribed_ball,
        region.verify(),
        pf.activation_bounds(NET, BOX, method="exact"),
        pf.explore(NET, [0.1, 0.2]),
        bounds,
    ]
    found += [pf.segment_regions(NET, [0, 0], [1, 1]), pf.path_regions(NET, [[0, 0], [1, 1], [2, 0]])]
    found += [pf.slice_complex(NET, [0, 0], [[1, 0], [0, 1]]), pf.simplify_on(NET, BOX)]
    found += [pf.slice_through(NET, [0, 0], [1, 0], [0, 1])]
    return [*found, pf.genericity(NET), pf.genericity(CROSSING), pf.feasibility(NET)]


def equivalences(folder: Path) -> Any:
    other = pf.ReLUNetwork.random((2, 5, 4, 1), rng=1)
    same = pf.are_equivalent(NET, NET)
    found = [same, pf.are_equivalent(NET, other), pf.are_equivalent(NET, other, BOX), pf.difference(NET, other, BOX)]
    found += [pf.minimize(NET).lower_bounds]
    found += [same.recheck(), pf.canonical_form(NET), pf.equivalence_classes([NET, other, NET])]
    return [
        *found,
        pf.top1_agreement(*(pf.ReLUNetwork.random((2, 4, 3), rng=i) for i in (0, 1)), BOX),
        pf.minimize(NET),
    ]


def of_fibers(folder: Path) -> Any:
    bottleneck = pf.ReLUNetwork.random((3, 2, 1), rng=0)
    narrow = pf.ReLUNetwork.random((2, 3, 2, 3, 1), rng=0)
    reports = [pf.classify_fiber(net) for net in (NET, CROSSING, bottleneck, narrow)]
    return [*reports, pf.local_fiber(NET), pf.Verdict.YES]


def more_of_fibers(folder: Path) -> Any:
    hiding = fibers.hiding_example(rng=0)
    W, C = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]), np.ones((1, 3))
    layer = fibers.layerwise_fiber(W, np.array([0.1, 0.2, 0.3]), C, np.zeros(1))
    analysis = fibers.analyse_layer(W, np.array([0.1, 0.2, 0.3]), C, np.zeros(1))
    scalar = pf.classify_fiber(
        pf.ReLUNetwork([[[1.0, 1.0]], [[2.0], [1.0]], [[1.0, 1.0]]], [[0.0], [-0.5, 0.25], [0.0]])
    )
    found = [
        layer,
        list(layer.components()),
        layer.sample(rng=0),
        analysis,
        scalar,
        fibers.hiding_report(hiding),
        pf.classify_fiber(hiding),
    ]
    found += [
        fibers.hidden_facets(pf.canonical_complex(NET)),
        fibers.classify_batch(pf.NetworkBatch.random((4, 3, 2, 2), 3, rng=0)),
    ]
    found += [fibers.nonnegative_column_ranks(np.ones((2, 2, 3))), pf.group_networks([NET, NET])]
    found += [fibers.deviation(NET, NET), fibers.gradient_flow(NET, [[0.1, 0.2]], [[1.0]], time=0.01, steps=2)]
    return found


def of_linear(folder: Path) -> Any:
    strata = linear.stratify((2, 2, 2))
    weights = [np.diag([1.0, 1e-9]), np.eye(2)]
    found = [strata, strata[0], linear.locate(weights), strata.class_polynomials()]
    W = [np.diag([2.0, 1.0]), np.eye(2)]
    return [
        *found,
        linear.connect(W, W),
        linear.along(W, W),
        linear.nearest(W, linear.stratify((2, 2, 2), rank=2)[0], starts=1),
    ]


def of_deep_networks(folder: Path) -> Any:
    A, B = np.array([[2.0, 1.0], [0.0, 1.0]]), np.array([[1.5, 0.3], [0.2, 1.2]])
    found = [dln.geodesic(A, B, 3), dln.geodesic(A, B, 3, explicit=False), dln.geodesic(A, A, 3), dln.geodesic(A, B, 1)]
    found += [dln.geodesic(np.outer([1.0, 2.0], [1.0, 0.0]), np.outer([1.0, 1.0], [1.0, 1.0]), 4)]
    return [*found, dln.frechet_mean([A, B], 3)]


def of_datasets(folder: Path) -> Any:
    spec = {"name": "t", "seed": 1, "networks": [{"kind": "random", "architecture": [2, 3, 1], "count": 4}]}
    report = datasets.run(spec, folder / "t", workers=0)
    return [report, datasets.validate(folder / "t", rng=0), datasets.make_plan(datasets.Spec.of(spec))]


def others(folder: Path) -> Any:
    moved = pf.ReLUNetwork([w * (1 + 1e-3) for w in NET.weights], NET.biases)
    found = [
        pf.are_equivalent(NET, moved, BOX, epsilon=0.5),
        pf.are_equivalent(NET, moved, budget=pf.Budget(seconds=0)),
    ]
    found += [
        Directions(np.ones((1, 2), dtype=np.int64), (("scaling", 1, 0),)),
        invariants.order_homology(linear.stratify((2, 2, 2)).strata),
    ]
    found += [linear.moves_between((2, 2, 2), (0, 0, 0), (2, 2, 2)), next(iter(testing.degenerate_corpus()))]
    found += [SecondLayer(*np.ones((2, 1), dtype=bool), np.ones((1, 2), dtype=bool), 3, 1), Growth(1.0, 2.0)]
    found += [GateGroup("relu", "Relu", (2,), np.arange(2)), Skip("complexes", "too large"), *map(table_of, NAMES)]
    found.append(
        dln.geodesic(np.array([[2.0, 1.0], [0.0, 1.0]]), np.eye(2), 3, explicit=False).flow(np.linspace(0, 1, 3))
    )
    try:
        dln.exponential(np.eye(2), -3 * np.eye(2), 2)
    except dln.BoundaryError as error:
        found.append(error)
    return found


def documented(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the examples of public names leave in variables or print."""
    found: list[Any] = []
    show = sys.__displayhook__

    def keep(value: Any) -> None:
        found.append(value)
        show(value)

    monkeypatch.setattr(sys, "__displayhook__", keep)
    runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS)
    finder, done = doctest.DocTestFinder(exclude_empty=True), set()
    for name, thing in public_names():
        if id(thing) in done or not hasattr(thing, "__doc__") or name.startswith("__"):
            continue
        done.add(id(thing))
        for test in finder.find(thing, name, module=sys.modules[thing.__module__]):
            runner.run(test, out=lambda _text: None, clear_globs=False)  # whether they hold is for others to test
            found += [v for k, v in test.globs.items() if vars(sys.modules[thing.__module__]).get(k) is not v]
    return found


def types_of(value: Any, seen: dict[int, Any]) -> None:
    """Put a value and all that it holds into ``seen``, by identity."""
    if id(value) in seen or isinstance(value, str | bytes | int | float | np.ndarray | type | type(sys)):
        return
    seen[id(value)] = value
    if isinstance(value, dict):
        parts: Any = value.values()
    elif isinstance(value, list | tuple | set | frozenset):
        parts = value
    elif type(value).__module__.startswith("polyfiber"):
        slots = [s for c in type(value).__mro__ for s in vars(c).get("__slots__", ())]
        parts = [*getattr(value, "__dict__", {}).values(), *(getattr(value, s) for s in slots if hasattr(value, s))]
    else:
        return
    for part in parts:
        types_of(part, seen)


def our_own(values: Any) -> list[Any]:
    seen: dict[int, Any] = {}
    types_of(values, seen)
    return [v for v in seen.values() if type(v).__module__.startswith("polyfiber")]


def facts(value: Any) -> Any:
    """Something to compare a value with its copy by."""
    if isinstance(value, pf.ReLUNetwork | pf.NetworkBatch):
        return [a.tolist() for a in (*value.weights, *value.biases)], [a.flags.writeable for a in value.weights]
    if isinstance(value, pf.PolyhedralComplex):
        return value.f_vector, value.vertices.tolist(), [value.fingerprint(d) for d in range(value.dimension + 1)]
    fields = [n for n in getattr(type(value), "__dataclass_fields__", ()) if not n.startswith("_")]
    text = re.sub(r"0x[0-9a-f]+", "", repr(value)) if "object at" not in repr(value) else ""
    return type(value), text, [(n, in_full(getattr(value, n))) for n in fields]


def in_full(value: Any) -> Any:
    """A field with all its numbers; of other objects the type."""
    if isinstance(value, np.ndarray):
        return repr(value.tolist()) if value.dtype != object else [in_full(v) for v in value.ravel()]
    if isinstance(value, tuple | list):
        return [in_full(v) for v in value]
    known = value is None or isinstance(value, bool | int | float | complex | str | Fraction | Enum)
    return repr(value) if known else type(value).__name__


MORE = (
    complexes, blocks, regions, equivalences, of_fibers, more_of_fibers, of_linear, of_deep_networks, of_datasets, others,
)  # fmt: skip


@pytest.fixture(scope="module")
def values(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Any]]:
    with pytest.MonkeyPatch.context() as patch:
        yield our_own([documented(patch), *(make(tmp_path_factory.mktemp("values")) for make in MORE)])


def test_every_result_type_has_an_example(values: list[Any]) -> None:
    kinds = {type(v) for v in values}
    missing = [f"{c.__module__}.{c.__name__}" for c in result_types() if not any(issubclass(k, c) for k in kinds)]
    assert not missing, f"no example here or in a docstring makes a value of {sorted(missing)}"


def one_of_each(values: list[Any]) -> dict[type, Any]:
    kinds = tuple(result_types())
    return {type(v): v for v in values if isinstance(v, kinds)}


def test_values_pickle_and_copy(values: list[Any]) -> None:
    wrong = {}
    for kind, value in one_of_each(values).items():
        try:
            for again in (pickle.loads(pickle.dumps(value)), copy.deepcopy(value), copy.copy(value)):
                assert facts(again) == facts(value)
        except Exception as error:
            wrong[kind.__name__] = f"{type(error).__name__}: {error}"[:200]
    assert not wrong, "\n".join(f"{k}: {v}" for k, v in wrong.items())


def test_values_reach_other_processes(values: list[Any]) -> None:
    first = one_of_each(values)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(facts, list(first.values())) == [facts(v) for v in first.values()]


def test_values_travel_through_dask(values: list[Any]) -> None:
    """To a worker of a real cluster and back: what arrives there, and what returns, is the value that was sent."""
    distributed = pytest.importorskip("distributed")
    first = one_of_each(values)
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, processes=True, dashboard_address=":0", worker_dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        sent = client.map(there_and_back, list(first.values()), pure=False)
        for (kind, value), (seen, again) in zip(first.items(), client.gather(sent)):
            assert seen == facts(value), kind
            assert facts(again) == facts(value), kind


def there_and_back(value: Any) -> tuple[Any, Any]:
    return facts(value), value


def test_each_shows_itself_in_one_short_line(values: list[Any]) -> None:
    """At most 200 characters, so that it can be pasted into an issue; the words are in ``str`` and in attributes."""
    kinds = tuple(result_types())
    wrong: dict[str, str] = {}
    for value in values:
        if isinstance(value, kinds):
            text = repr(value)
            if len(text) > 200 or "\n" in text or " object at 0x" in text:
                wrong.setdefault(type(value).__name__, f"{len(text)}: {text[:90]!r}")
    assert not wrong, "\n".join(f"{k} {v}" for k, v in sorted(wrong.items()))
