"""One grammar of arguments: `domain` everywhere, choices as literals, old names that warn."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.errors import InputError, PolyfiberDeprecationWarning, old_name

PACKAGES = (
    "polyfiber", "polyfiber.linear", "polyfiber.fibers", "polyfiber.dln", "polyfiber.datasets", "polyfiber.plots",
)  # fmt: skip
OPEN = {
    "color", "where",  # a colour of matplotlib; a name for messages
}  # fmt: skip
"""Arguments with a default that are free text."""


def functions() -> Iterator[tuple[str, Any]]:
    """Public functions and methods of public classes, with their names."""
    seen: set[int] = set()
    for package in PACKAGES:
        module = importlib.import_module(package)
        for name in module.__all__:
            thing = getattr(module, name)
            if id(thing) in seen or not callable(thing) or (inspect.isclass(thing) and issubclass(thing, Exception)):
                continue
            seen.add(id(thing))
            if inspect.isclass(thing):
                for method, value in vars(thing).items():
                    plain = value.__func__ if isinstance(value, classmethod | staticmethod) else value
                    if inspect.isfunction(plain) and not method.startswith("_"):
                        yield f"{name}.{method}", plain
            else:
                yield name, thing


def parameters() -> Iterator[tuple[str, inspect.Parameter]]:
    for name, function in functions():
        for parameter in inspect.signature(function).parameters.values():
            yield f"{name}({parameter.name}=)", parameter


def test_choices_are_literals() -> None:
    loose = [
        name
        for name, p in parameters()
        if isinstance(p.default, str) and "Literal" not in str(p.annotation) and p.name not in OPEN
        if str(p.annotation) in ("str", "str | None")
    ]
    assert not loose, loose


def everywhere() -> Iterator[tuple[str, Any]]:
    """Functions and methods of every module above the kernels, public or not, with their names."""
    for found in pkgutil.walk_packages(pf.__path__, "polyfiber."):
        if found.name.startswith(("polyfiber.kernels", "polyfiber.cli")) or found.name.endswith("__main__"):
            continue
        for name, thing in vars(importlib.import_module(found.name)).items():
            if getattr(thing, "__module__", None) != found.name:
                continue
            for below, value in vars(thing).items() if inspect.isclass(thing) else [(name, thing)]:
                plain = value.__func__ if isinstance(value, classmethod | staticmethod) else value
                if inspect.isfunction(plain):
                    yield f"{found.name}.{name}.{below}" if inspect.isclass(thing) else f"{found.name}.{name}", plain


CHOICE = re.compile(r"^ *(\w+(?:, \w+)*) : \{?['\"]\w", re.MULTILINE)
"""A parameter whose documented type is a list of words."""


def test_documented_choices_are_literals_in_every_module() -> None:
    loose, seen = [], 0
    for name, function in everywhere():
        known = inspect.signature(function).parameters
        for line in CHOICE.findall(function.__doc__ or ""):
            for parameter in line.split(", "):
                seen += 1
                if parameter in known and str(known[parameter].annotation) in ("str", "str | None", "Any"):
                    loose.append(f"{name}({parameter}=)")
    assert seen > 30
    assert not loose, loose


def test_a_set_of_inputs_is_called_domain() -> None:
    other = {"box", "bounds", "lower", "upper", "within", "bounding_box", "polyhedron"}
    kept = {
        "minimize(lower=)", "minimize(upper=)",  # old names, which warn
        "simplify_on(bounds=)",  # ranges of neurons
        "plan_blocks(within=)",  # blocks
        "moves_between(lower=)", "moves_between(upper=)",  # strata
    }  # fmt: skip
    assert {name for name, p in parameters() if p.name in other} <= kept


def _old_names() -> dict[str, tuple[Any, Any]]:
    from polyfiber.complexes.topology.exchange import network_text
    from polyfiber.equivalence.bounds.near_equal import balls
    from polyfiber.fibers import deviation

    net, box = pf.ReLUNetwork.random((2, 3, 1), rng=0), pf.Box(0, 1, dimension=2)
    return {
        "deviation": (
            lambda: deviation(net, net, box=(box.lo, box.hi)).points,
            lambda: deviation(net, net, domain=box).points,
        ),
        "balls": (
            lambda: repr(balls(np.zeros((1, 2)), 0.5, lower=0.0, upper=1.0)),
            lambda: repr(balls(np.zeros((1, 2)), 0.5, domain=box)),
        ),
        "network_text": (
            lambda: network_text(net, box=box, form="lp"),
            lambda: network_text(net, domain=box, form="lp"),
        ),
    }


@pytest.mark.parametrize("name", ["deviation", "balls", "network_text"])
def test_old_names_work_and_warn(name: str) -> None:
    old, new = _old_names()[name]
    with pytest.warns(PolyfiberDeprecationWarning, match="domain="):
        found = old()
    assert found == new()


def test_both_names_at_once_are_refused() -> None:
    net, box = pf.ReLUNetwork.random((2, 3, 1), rng=0), pf.Box(0, 1, dimension=2)
    with pytest.raises(InputError, match="old name"):
        pf.fibers.deviation(net, net, box=(box.lo, box.hi), domain=box)
    with pytest.raises(InputError, match="Box"):
        pf.fibers.deviation(net, net, domain="all")
    for old in (box, 3, "all"):  # what the old name never took
        with pytest.warns(PolyfiberDeprecationWarning), contextlib.suppress(InputError):
            assert pf.fibers.deviation(net, net, box=old).relative == 0


def _public_classes() -> list[type]:
    """Classes that have public names, and those of what public functions and methods give."""
    from polyfiber.columns import Columns
    from polyfiber.complexes.blocks.read import CellStore
    from polyfiber.complexes.certificate import Certificate
    from polyfiber.complexes.local.slices import Slice
    from polyfiber.complexes.topology.critical import CriticalPoints
    from polyfiber.complexes.topology.sets import PolyhedralSet
    from polyfiber.equivalence.collections.classes import EquivalenceClasses
    from polyfiber.equivalence.queries.prove import Proof
    from polyfiber.fibers.batch.classify_many import FiberTable
    from polyfiber.fibers.findings import Finding
    from polyfiber.fibers.image.directions import Directions
    from polyfiber.numerics.smith import Homology
    from polyfiber.strata import Stratification

    found = [getattr(importlib.import_module(p), n) for p in PACKAGES for n in importlib.import_module(p).__all__]
    given = (
        CellStore, Certificate, Columns, CriticalPoints, Directions, EquivalenceClasses, FiberTable, Finding, Homology,
        PolyhedralSet, Proof, Slice, Stratification,
    )  # fmt: skip
    return sorted({c for c in (*found, *given) if inspect.isclass(c)}, key=lambda c: c.__qualname__)


def test_a_name_is_a_property_everywhere_or_a_method_everywhere() -> None:
    kinds: dict[str, dict[bool, set[str]]] = {}
    for kind in _public_classes():
        fields = {name for base in kind.__mro__ for name in inspect.get_annotations(base)}
        for name in fields | set(dir(kind)):
            value = inspect.getattr_static(kind, name, None)
            if name.startswith("_") or isinstance(value, old_name | classmethod | staticmethod):
                continue
            if inspect.isfunction(value) and len(inspect.signature(value).parameters) > 1:
                continue  # what takes arguments is seen to be a method
            kinds.setdefault(name, {}).setdefault(inspect.isfunction(value), set()).add(kind.__name__)
    assert {"f_vector", "to_pandas", "counts", "affine_forms"} <= set(kinds)
    kept = {
        "keys", "values", "items",  # what mappings have in Python
        "check",  # of a table: a function, called as the method is
        "exact",  # of a certificate: a count, by the side of `filtered` and `structural`
    }  # fmt: skip
    assert {name: found for name, found in kinds.items() if len(found) > 1 and name not in kept} == {}
    assert kinds["exact"][False] == {"Certificate"}


def _renamed() -> list[tuple[Any, str]]:
    """Objects with a name of the last release."""
    net = pf.ReLUNetwork.random((2, 3, 1), rng=0)
    cx, box = pf.canonical_complex(net), pf.Box(0, 1, dimension=2)
    strata = pf.linear.stratify((1, 1, 1), rank=0)
    labels = pf.fibers.classify_batch(pf.NetworkBatch.random((4, 4, 3, 1), 5, rng=0))
    located = pf.linear.locate([np.eye(2), np.eye(2)])
    return [
        (box, "rows"), (strata, "edges"), (strata, "classes"), (strata.strata, "counts"), (labels, "counts"),
        (labels, "names"), (located, "exact"), (pf.dln.metric(np.eye(2), 2), "matrix"),
        (cx.breakpoint_complex(), "components"), (cx.breakpoint_complex(), "balance"), (cx.level_set(0.0), "components"),
    ]  # fmt: skip


def test_old_names_of_attributes_work_and_warn() -> None:
    for thing, old in _renamed():
        new = inspect.getattr_static(type(thing), old).new
        with pytest.warns(PolyfiberDeprecationWarning, match=new) as heard:
            found = getattr(thing, old)
        assert heard[0].filename == __file__
        there = getattr(thing, new)
        assert repr(found()) == repr(there()) if callable(there) and old != "edges" else found == there
