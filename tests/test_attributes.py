"""One way to name what results hold, by rule: Python and JSON say the same in the same names.

A result is a class with a `sentence`. Names are snake_case, counts begin with ``n_``; a name has one kind of value in
all results, but for those that CONTEXT names; what JSON says too is of the same kind there; yes and no are ``bool`` or
a `Verdict`, infinities are floats. Properties and methods: `test_signatures`.
"""

from __future__ import annotations

import importlib
import inspect
import json
import math
import pkgutil
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.errors import old_name
from polyfiber.verdict import Verdict

from .test_words import CASES

SCHEMAS = Path(__file__).resolve().parents[1] / "docs" / "schemas"
SNAKE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
MATRIX = {"A"}
"""The matrix of ``A x <= b``."""
CONTEXT = {
    "b": "of `A x <= b`, or the second of two networks",
    "certificate": "of a complex or set; evidence of a verdict",
    "depth": "of a linear network, which may be infinite; of regions; of a network that may become shallower",
    "dim": "of a variety, or of each stratum",
    "domain": "a polyhedron, where only a box is allowed a box",
    "edges": "vertices of each; of records of counts (`Certificate`, `Verification`), how many",
    "epsilon": "of each output, or one",
    "gap": "of each neuron, of one rank, or between two networks",
    "hidden_hyperplane": "of one fiber, or of many",
    "identifiable": "of one fiber, or of many",
    "is_exact": "as a whole, or of each neuron",
    "kind": "of one fiber, or of many",
    "local_dimension": "of one fiber, or at each point",
    "margin": "of one, or of many",
    "moves": "between two networks, or of dimensions",
    "n_facets": "of one region, or of each",
    "network": "a chain, or what a slice of one is",
    "path": "of networks, or of a file",
    "proof": "a witness, or a whole answer",
    "roles": "of one fiber, or of many",
    "signs": "of regions or neurons; of records of counts, how many",
    "stats": "of each kind of work its own",
    "undecided": "which",
    "upper": "bounds of each, or of one",
    "values": "of both networks, or at corners",
    "vertices": "coordinates; of records of counts, how many",
    "witness": "a point, or two with one value",
}
"""Names whose kind of value depends on the result, and how."""
COMMANDS = {
    "bounds": "ActivationBounds",
    "classify": "FiberReport",
    "complex": "PolyhedralComplex",
    "dedupe": "EquivalenceClasses",
    "equiv": "Equivalence",
    "explore": "Exploration",
    "geodesic": "Geodesic",
    "levelset": "PolyhedralSet",
    "minimize": "MinimizeResult",
    "region": "Region",
    "segment": "SegmentRegions",
    "slice": "PlanarSlice",
    "strata": "RankStratification",
    "stratum": "Location",
}
"""Whose answer each command prints."""
RECORDS = ("Certificate", "Verification")
"""Records of counts alone, where every name is one."""
HOW_MANY = {
    "exact_events": "as JSON has it",
    "extra_parameters": "beyond those of the weights",
    "rounds": "of an algorithm, which keeps none",
    "saved_neurons": "which are gone; `dropped` names them",
    "saved_parameters": "which are gone",
}
"""Numbers of what is nowhere as a collection, and why."""
SPELLED = re.compile(
    r"(^|_)(num|nb|cnt|no_of|number_of|count_of|idx|vec|mat|dir|pos|val|vals|pts|verts|tol|eps|prob)(_|$)"
)
"""Short forms, and other ways to say ``n_``."""


@cache
def results() -> dict[str, type]:
    """Classes with a sentence, by name."""
    found: dict[str, type] = {}
    for module in pkgutil.walk_packages(pf.__path__, "polyfiber."):
        if module.name.startswith(("polyfiber.kernels", "polyfiber.cli")) or module.name.endswith("__main__"):
            continue
        for name, thing in vars(importlib.import_module(module.name)).items():
            own = inspect.isclass(thing) and thing.__module__ == module.name and name != "Sentence"
            if own and isinstance(inspect.getattr_static(thing, "sentence", None), property):
                found[name] = thing
    return found


def attributes(kind: type) -> Iterator[tuple[str, str]]:
    """Public fields and properties of a class, and what they are annotated with."""
    fields: dict[str, Any] = {}
    for base in reversed(kind.__mro__):
        fields.update(inspect.get_annotations(base))
    for name in sorted({*fields, *dir(kind)}):
        value = inspect.getattr_static(kind, name, None)
        if (
            name.startswith("_")
            or inspect.isfunction(value)
            or isinstance(value, classmethod | staticmethod | old_name)
        ):
            continue
        getter = next((g for n in ("fget", "func", "function") if (g := getattr(value, n, None))), None)
        of = fields.get(name) or (inspect.get_annotations(getter).get("return") if getter else None)
        yield name, str(of or "?")


def shape(annotation: str) -> str:
    """What a reader has to know of a type; None is left out."""
    kind = annotation.replace(" | None", "").strip()
    if kind in ("bool", "Verdict", "Verdict | bool", "bool | Verdict"):
        return "yes or no"
    if kind in ("int", "float", "str"):
        return kind
    if kind == "Fraction":
        return "float"
    if re.fullmatch(r"\w*Array|Array", kind):
        return "array"
    return re.split(r"\W", kind)[0] or "?"


def test_names_are_snake_case_and_spelled_out() -> None:
    assert len(results()) > 30
    wrong = {
        (of, name)
        for of, kind in results().items()
        for name, _ in attributes(kind)
        if name not in MATRIX and (not SNAKE.fullmatch(name) or SPELLED.search(name))
    }
    assert not wrong


def test_counts_are_integers_and_begin_with_n() -> None:
    for of, kind in results().items():
        for name, given in attributes(kind):
            if name.startswith("n_"):
                assert shape(given) in ("int", "array", "?"), f"{of}.{name}: {given}"
            assert not name.endswith(("_count", "_number")), f"{of}.{name}"
            plural = name.endswith("s") and not name.startswith("n_") and shape(given) == "int"
            assert not plural or of in RECORDS or name in HOW_MANY, f"{of}.{name} sounds like a collection"
    assert set(RECORDS) <= set(results())


def test_yes_and_no_have_names_that_ask() -> None:
    for of, kind in results().items():
        for name, given in attributes(kind):
            if name.startswith(("is_", "has_")):
                assert shape(given) in ("yes or no", "array"), f"{of}.{name}: {given}"


def test_a_name_has_one_kind_of_value() -> None:
    found: dict[str, dict[str, str]] = {}
    for of, kind in results().items():
        for name, given in attributes(kind):
            if shape(given) not in ("?", "Any"):
                found.setdefault(name, {}).setdefault(shape(given), of)
    several = {name: kinds for name, kinds in found.items() if len(kinds) > 1}
    assert {name: kinds for name, kinds in several.items() if name not in CONTEXT} == {}
    assert set(CONTEXT) == set(several), "CONTEXT has to name them all, and no others"


def _types(schema: Any) -> set[str]:
    if "anyOf" in schema:
        return set().union(*map(_types, schema["anyOf"]))
    if "enum" in schema:
        return {"boolean" if "yes" in schema["enum"] else "number" if "inf" in schema["enum"] else "string"}
    kind = schema.get("type")
    return set() if kind == "null" else {"number" if kind == "integer" else str(kind)}


@pytest.mark.parametrize("command", COMMANDS)
def test_json_says_it_in_the_same_name_and_kind(command: str) -> None:
    document = json.loads((SCHEMAS / f"{command}.json").read_text())
    parts = [document, *document.get("anyOf", ()), *document.get("oneOf", ())]
    keys = {key: part for d in parts for key, part in d.get("properties", {}).items()}
    python = dict(attributes(results()[COMMANDS[command]]))
    assert keys
    allowed = {"yes or no": {"boolean"}, "int": {"number"}, "float": {"number", "string"}, "str": {"string"}}
    for key, schema in keys.items():
        if key in python and key not in CONTEXT:
            there, here = _types(schema), allowed.get(shape(python[key]))
            assert here is None or not there or there & here, f"{command}: {key} is {there}, {python[key]} in Python"
        number = _types(schema) == {"number"}
        other = {f"n_{key}", key.removeprefix("n_")} - {key} if number else set()
        assert key in python or key in CONTEXT or not other & set(python), (
            f"{command}: {key}, {other & set(python)} in Python"
        )


MADE = {
    "complex": lambda: pf.canonical_complex(pf.ReLUNetwork.random((2, 4, 1), rng=0)),
    "verified": lambda: pf.canonical_complex(pf.ReLUNetwork.random((2, 4, 1), rng=0)).certificate.verify(),
    "region": lambda: pf.region(pf.ReLUNetwork.random((2, 4, 1), rng=0), [0.3, 0.1]),
    "bounds": lambda: pf.activation_bounds(pf.ReLUNetwork.random((2, 4, 1), rng=0), pf.Box(-1, 1, dimension=2)),
    "lipschitz": lambda: pf.canonical_complex(pf.ReLUNetwork.random((2, 4, 1), rng=0)).lipschitz(),
    "stratum": lambda: pf.linear.locate([np.diag([2.0, 0.0]), np.eye(2)]),
    "strata": lambda: pf.linear.stratify((2, 2, 2), rank=1),
    "fiber": lambda: pf.classify_fiber(pf.ReLUNetwork.random((4, 3, 3, 2), rng=0)),
    "far apart": lambda: pf.dln.geodesic(np.diag([2.0, 1.0]), np.diag([3.0, 1.0]), math.inf),
} | {name: make for name, (make, _) in CASES.items()}


@pytest.mark.parametrize("name", MADE)
def test_values_are_plain(name: str) -> None:
    """Yes and no are of Python, numbers too, and no text stands for what has a type."""
    result = MADE[name]()
    for attribute, _ in attributes(type(result)):
        value = inspect.getattr_static(result, attribute, None)
        value = getattr(result, attribute, None) if attribute in getattr(result, "__dict__", {}) else value
        if isinstance(value, property) or value is None:
            continue
        assert not isinstance(value, np.bool_ | np.integer), f"{attribute} is {type(value).__name__}"
        if isinstance(value, str) and not isinstance(value, Verdict):
            assert value.lower() not in ("true", "false", "nan", "inf", "-inf", "infinity"), attribute
