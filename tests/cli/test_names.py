"""One way to name things in JSON, by rule: every key of every schema in docs/schemas, and what commands print.

Keys are snake_case; a key has one type, but for those that CONTEXT names; neurons are objects of layer and neuron; yes and
no are true and false, or one of three where a question may stay open; infinities are two texts, nothing is null.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from .cases import SCHEMAS

SNAKE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
MATRIX = {"A"}
"""The matrix of ``A x <= b`` and of ``A x + a``: as papers and ``region.npz`` have it."""
CONTEXT = {
    "blocks": "how many, or the parts of which a plan, a slice consist",
    "bounded": "of one region, or by dimension how many; an estimate is no integer",
    "by": "of one finding, or by method how many",
    "bytes": "of one question, or by table",
    "components": "pieces of a set, or the components of a fiber in words",
    "constant": "a term of a map, or the neurons that are constant",
    "decisions": "by name, of a whole run or of one complex",
    "depth": "of a linear network in the metric, which may be infinite, or of a network",
    "dropped": "neurons, or a singular value",
    "edges": "how many, or those of a diagram",
    "everywhere": "whether critical everywhere, or the difference far out as a map",
    "exact": "whether, or how many signs",
    "f_vector": "an estimate is no integer",
    "from": "where a distance is from, or the layer where a bar begins",
    "kept": "partitions, or a singular value",
    "layers": "of bounds of neurons, or of lower bounds on widths",
    "lower": "ends of bounds, or of a cover",
    "network": "what a file holds, or the widths of one made from nothing",
    "networks": "how many, or which",
    "neurons": "how many, or which",
    "partitions": "how many, or which",
    "proof": "in words, or in numbers",
    "ranks": "of a stratum as a row, or one by one with the layers between",
    "regions": "how many; an estimate is no integer",
    "signs": "of one region, or how many",
    "strata": "how many, or which",
    "undecided": "how many, or which",
    "upper": "ends of bounds, or of a cover",
    "verified": "whether, or with how many signs and edges",
}
"""Keys that say two things, and which: the document, or the key above, says which of them it is."""


def _schemas() -> Iterator[tuple[str, Any]]:
    for file in sorted(SCHEMAS.glob("*.json")):
        if file.name != "meaning.json":
            yield file.stem, json.loads(file.read_text())


def _parts(schema: Any) -> Iterator[Any]:
    """A schema and all that is inside of it."""
    if isinstance(schema, dict):
        yield schema
        for value in schema.values():
            yield from _parts(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _parts(value)


def _keys() -> Iterator[tuple[str, str, Any]]:
    for name, document in _schemas():
        for part in _parts(document):
            for key, schema in part.get("properties", {}).items() if part.get("type") == "object" else ():
                yield name, key, schema


def _shape(schema: Any) -> frozenset[str]:
    """The type of a value, as far as a reader has to know it; null is left out."""
    if "anyOf" in schema:
        return frozenset().union(*map(_shape, schema["anyOf"]))
    if "enum" in schema:
        return frozenset({"number"} if set(schema["enum"]) == {"inf", "-inf"} else {"string"})
    kind = schema.get("type")
    if kind == "array":
        return frozenset("list of " + s for s in _shape(schema.get("items", {})))
    if kind == "object":
        return frozenset({"object of " + " ".join(sorted(schema.get("properties", {})))})
    return frozenset() if kind == "null" else frozenset({str(kind)})


def test_keys_are_snake_case() -> None:
    wrong = {(name, key) for name, key, _ in _keys() if not SNAKE.fullmatch(key) and key not in MATRIX}
    assert not wrong


def test_a_key_has_one_type() -> None:
    found: dict[str, dict[frozenset[str], str]] = {}
    for name, key, schema in _keys():
        found.setdefault(key, {}).setdefault(frozenset(s.replace("string", "number") for s in _shape(schema)), name)
    several = {key: shapes for key, shapes in found.items() if len(shapes) > 1}
    assert set(several) - MATRIX == set(CONTEXT), "CONTEXT has to name them all, and no others"


def test_neurons_are_objects_of_layer_and_neuron() -> None:
    for name, document in _schemas():
        for part in _parts(document):
            keys = set(part.get("properties", {})) if part.get("type") == "object" else set()
            if "neuron" in keys:
                assert "layer" in keys, name
                assert all(part["properties"][k].get("type") == "integer" for k in ("layer", "neuron")), name
    for name, key, schema in _keys():
        if key in ("neurons", "dropped", "dead", "constant", "unused", "duplicate_rows", "proportional_rows"):
            for shape in _shape(schema):
                assert not re.fullmatch("(list of )+(integer|number|string)", shape), f"{name}: {key} is a {shape}"


def test_yes_no_and_infinity_are_written_in_one_way() -> None:
    for name, document in _schemas():
        for part in _parts(document):
            choices = part.get("enum", ())
            texts = {str(c).lower() for c in choices}
            assert not texts & {"true", "false", "none", "nan", "infinity", "+inf", "infinite"}, (name, choices)
            if texts & {"yes", "no"}:
                assert tuple(choices) == ("yes", "no", "undecided"), (name, choices)
            if texts & {"inf", "-inf"}:
                assert list(choices) == ["inf", "-inf"], (name, choices)
