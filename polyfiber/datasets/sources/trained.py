"""Networks trained on named data, or on a table of the user's own."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import InputError, MissingDependencyError
from ...network.readers.npz import read_arrays
from ...words import listed
from .. import fields
from ..tables.base import Option
from .base import ABSENT, BaseOf, Kind, Made, Source, parameters_of
from .inputs import Inputs, checksum
from .training import Task, make_task, score, train

NAMED = ("iris", "wine", "breast_cancer", "diabetes", "digits")
"""Data that ships inside scikit-learn; nothing is downloaded."""


@functools.lru_cache(maxsize=8)
def _task(data: str, columns: tuple[int, ...] | None, path: str, digest: str | None) -> Task:
    x, y = _named(data) if data in NAMED else _table(Path(path))
    if columns is not None and max(columns) >= x.shape[1]:
        raise InputError(f"{data} has {x.shape[1]} columns, 0 to {x.shape[1] - 1}; found column {max(columns)}")
    return make_task(x if columns is None else x[:, list(columns)], y)


def _named(data: str) -> tuple[Any, Any]:
    try:
        from sklearn import datasets
    except ImportError:
        raise MissingDependencyError("scikit-learn", extra="data", purpose=f"the data set {data!r}") from None
    bunch = getattr(datasets, f"load_{data}")()
    return bunch.data, bunch.target


def _table(path: Path) -> tuple[Any, Any]:
    """Arrays ``x`` (samples, columns) and ``y`` (samples,) or (samples, k) of an ``.npz`` file."""
    arrays = read_arrays(path)
    if not {"x", "y"} <= arrays.keys():
        raise InputError(f"{path}: expected an .npz file with arrays x and y, found {listed(sorted(arrays))}")
    x, y = arrays["x"], arrays["y"]
    if x.ndim != 2 or len(x) < 8 or len(y) != len(x) or x.dtype.kind not in "fiu" or y.dtype.kind not in "fiub":
        raise InputError(
            f"{path}: x {x.dtype}{x.shape}, y {y.dtype}{y.shape}; expected (samples, columns) and as many targets"
        )
    return x, y


def _resolve(values: dict[str, Any], inputs: Inputs, key: str) -> dict[str, Any]:
    digest = None
    if values["data"] not in NAMED:
        try:
            digest = checksum(inputs.local(values["data"], f"{key}data"))
        except InputError as error:
            named = ", ".join(NAMED)
            raise InputError(f"{error}; or one of {named}", **{**error.facts, "key": f"{key}data"}) from None
    values = {**values, "sha256": digest}
    task = _the_task(values, inputs)
    columns = values["columns"]
    if columns is not None and len(columns) != task.x.shape[1]:
        raise fields.wrong(f"{key}columns", list(columns), "columns that are not constant")
    return values


def _the_task(values: Mapping[str, Any], inputs: Inputs) -> Task:
    columns = None if values["columns"] is None else tuple(values["columns"])
    path = "" if values["data"] in NAMED else str(inputs.path(values["data"], values["sha256"]))
    return _task(values["data"], columns, path, values["sha256"])


def _trained(source: Source, index: int, rng: np.random.Generator, base_of: BaseOf) -> Made:
    v = source.values
    task = _the_task(v, source.inputs)
    hidden = tuple(v["hidden"][index % len(v["hidden"])])
    source.check_room(parameters_of((task.x.shape[1], *hidden, task.outputs)))
    net = train(task, hidden, rng, epochs=v["epochs"], rate=v["rate"], decay=v["decay"])
    name = "accuracy" if task.classes else "r2"
    return Made(net, {"data": v["data"], "epochs": v["epochs"], name: round(score(task, net), 6)})


def _hidden(value: Any, key: str) -> list[tuple[int, ...]]:
    if isinstance(value, list) and value and isinstance(value[0], list):
        return [tuple(a) for a in fields.sequence(fields.sequence(fields.width))(value, key)]
    return [tuple(fields.sequence(fields.width)(value, key))]


def _describe(v: Mapping[str, Any]) -> str:
    hidden = " and ".join("-".join(map(str, h)) for h in v["hidden"])
    which = f"`{v['data']}`" + ("" if v["columns"] is None else f" (columns {', '.join(map(str, v['columns']))})")
    return (
        f"{v['count']} networks with hidden widths {hidden} trained on {which}, inputs standardised, a quarter held out; "
        f"start N(0, 2 / fan-in) with zero biases, Adam at rate {v['rate']:g} for {v['epochs']} epochs in batches of 32, "
        f"weight decay {v['decay']:g}; softmax loss for classes, square loss for numbers."
    )


TRAINED = Kind(
    "trained",
    (
        Option("data", ABSENT, fields.text, f"one of {', '.join(NAMED)}, or an .npz file with arrays x and y"),
        Option("columns", None, fields.sequence(fields.integer(0)), "columns of the data to use; all by default"),
        Option("hidden", ABSENT, _hidden, "hidden widths [n1, …], or a list of them, taken in turn"),
        Option("count", ABSENT, fields.integer(1, fields.MOST), "a number of networks >= 1"),
        Option("epochs", 50, fields.integer(0, 100_000), "passes over the data"),
        Option("rate", 0.01, fields.number(above=0), "learning rate"),
        Option("decay", 0.0, fields.number(0), "weight decay"),
    ),
    _trained,
    _describe,
    resolve=_resolve,
    found={"sha256": fields.nullable(fields.sha256)},
    files=lambda v: [] if v["sha256"] is None else [(v["data"], v["sha256"])],
)
