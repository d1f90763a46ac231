"""What a value gives out cannot be used to change it: arrays are read-only, or copies.

Every public attribute and every method that asks for nothing but an id is called on a value of each result type; all arrays
in the answer are written to where numpy lets one, and the answer is asked for again.
"""

from __future__ import annotations

import copy
import dataclasses
import inspect
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import scipy.sparse

import polyfiber as pf
from tests.test_values import MORE, one_of_each, our_own

SIDE_EFFECTS = {
    "plot", "save", "load", "verify", "random", "write", "show", "close", "recheck", "run", "export", "sample", "validate",
}  # fmt: skip
"""Methods that do more than answer."""


INNER = {"Cells"}
"""Classes that no public name gives out; the word in annotations means another."""


def arrays_in(value: Any, depth: int = 0) -> Iterator[np.ndarray]:
    """All arrays in a value."""
    if isinstance(value, np.ndarray):
        yield value
    elif scipy.sparse.issparse(value):
        yield from (getattr(value, a) for a in ("data", "indices", "indptr", "row", "col") if hasattr(value, a))
    elif depth > 4 or isinstance(value, type):
        return
    elif isinstance(value, dict):
        for part in value.values():
            yield from arrays_in(part, depth + 1)
    elif isinstance(value, list | tuple):
        for part in value[:20]:
            yield from arrays_in(part, depth + 1)
    elif dataclasses.is_dataclass(value):
        for field in (f for f in dataclasses.fields(value) if not f.name.startswith("_")):
            yield from arrays_in(getattr(value, field.name, None), depth + 1)


def answers(value: Any) -> Iterator[tuple[str, Any]]:
    """Names of what a value answers, and functions that ask for it."""
    kind = type(value)
    for name in dir(kind):
        if name.startswith("_") or name in SIDE_EFFECTS:
            continue
        static = inspect.getattr_static(kind, name)
        if inspect.isfunction(static):
            given = list(inspect.signature(static).parameters.values())[1:]
            needed = [
                p for p in given if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
            ]
            if any(p.kind is p.KEYWORD_ONLY and p.default is p.empty for p in given) or len(needed) > 1:
                continue
            ids = [0] * len(needed)
            yield name, lambda name=name, ids=ids: getattr(value, name)(*ids)
        elif not isinstance(static, classmethod | staticmethod):
            yield name, lambda name=name: getattr(value, name)
    for name in getattr(value, "__dict__", {}):
        if not name.startswith("_"):
            yield name, lambda name=name: getattr(value, name)


def spoil(array: np.ndarray) -> bool:
    """Write to an array where numpy lets one; whether it did."""
    if not array.size:
        return False
    if not array.flags.writeable:
        try:
            array.setflags(write=True)
        except ValueError:
            return False
    at = np.unravel_index(array.size - 1, array.shape)
    if array.dtype.kind in "biufO":
        array[at] = not array[at] if array.dtype.kind == "b" else 77 if array[at] != 77 else 78
        return True
    return False


def changeable(value: Any) -> list[str]:
    """Names of answers that another asker can change."""
    found = []
    for name, ask in answers(value):
        try:
            first = ask()
            kept = [copy.deepcopy(a) for a in arrays_in(first)]
        except Exception:  # a method that wants something else than an id, or does not apply
            continue
        written = [spoil(a) for a in arrays_in(first)]
        if not any(written):
            continue
        again = list(arrays_in(ask()))
        same = len(again) == len(kept) and all(
            np.array_equal(a, b, equal_nan=a.dtype.kind in "fc" and b.dtype.kind in "fc") for a, b in zip(kept, again)
        )
        if not same:
            found.append(name)
    return found


@pytest.mark.parametrize("make", MORE, ids=lambda make: make.__name__)
def test_answers_cannot_be_written_through(make: Any, tmp_path: Any) -> None:
    wrong = {}
    for kind, value in one_of_each(our_own([make(tmp_path)])).items():
        names = changeable(value) if kind.__name__ not in INNER else []
        if names:
            wrong[kind.__name__] = names
    assert not wrong, "\n".join(f"{kind}: {', '.join(names)}" for kind, names in wrong.items())


def test_a_certificate_stays_that_of_what_was_built() -> None:
    """Once, ``facets_of(0) += 1`` made other answers wrong, and verify said YES."""
    cx = pf.canonical_complex(pf.ReLUNetwork.random((2, 5, 4, 1), rng=0), pf.Box([-1, -1], [1, 1]))
    radius = cx.largest_ball(0).radius
    with pytest.raises(ValueError, match="read-only"):
        cx.facets_of(0)[:] += 1
    with pytest.raises(ValueError, match="WRITEABLE"):
        cx.vertices.setflags(write=True)
    with pytest.raises(ValueError, match="WRITEABLE"):
        cx.network.weights[0].setflags(write=True)
    assert cx.largest_ball(0).radius == radius
