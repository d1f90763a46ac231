"""Table ``networks``: parameters, where each network comes from, and what was skipped."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ...equivalence.forms.canonical import flat_parameters
from ..storage.arrow import ragged
from .base import Column, Item, Options, Table


def _rows(items: Sequence[Item], options: Options) -> Iterator[Any]:
    widths = [np.array([] if i.failed else i.network.architecture, dtype=np.int32) for i in items]
    parameters = [np.zeros(0) if i.failed else flat_parameters(i.network) for i in items]
    yield TABLE.batch(
        options,
        {
            "network": np.array([i.id for i in items], dtype=np.int64),
            "source": [i.source for i in items],
            "kind": [i.kind for i in items],
            "index": np.array([i.index for i in items], dtype=np.int64),
            "origin": np.array([i.origin_id for i in items], dtype=np.int64),
            "activation": ["linear" if i.linear else "relu" for i in items],
            "architecture": ragged(widths, type="list<int32>"),
            "parameters": ragged(parameters, type="list<float64>"),
            "provenance": [json.dumps(dict(i.provenance), sort_keys=True) for i in items],
            "failed": [i.failed for i in items],
            "skipped": [[s.table for s in i.skipped] for i in items],
            "reasons": [[s.reason for s in i.skipped] for i in items],
        },
    )


def _check(item: Item, rows: Sequence[Mapping[str, Any]], options: Options) -> Iterator[str]:
    """The item is the network as its source makes it anew; the row is what the file says."""
    for row in rows:
        for name, value in (
            ("source", item.source),
            ("kind", item.kind),
            ("index", item.index),
            ("failed", item.failed),
        ):
            if row[name] != value:
                yield f"{name} is {row[name]!r} in the file, {value!r} by the plan"
        if row["activation"] != ("linear" if item.linear else "relu"):
            yield f"activation {row['activation']!r} in the file, {'linear' if item.linear else 'relu'!r} by its source"
        if row["provenance"] != json.dumps(dict(item.provenance), sort_keys=True):
            yield f"provenance {row['provenance']} in the file, {json.dumps(dict(item.provenance), sort_keys=True)} made anew"
        if len(row["skipped"]) != len(row["reasons"]):
            yield f"{len(row['skipped'])} tables were skipped, but {len(row['reasons'])} reasons are given"
        if item.failed:
            continue
        stored = np.asarray(row["parameters"], dtype=np.float64)
        made = flat_parameters(item.network)
        if tuple(row["architecture"]) != item.network.architecture:
            yield f"architecture {tuple(row['architecture'])} in the file, {item.network.architecture} made anew"
        elif stored.shape != made.shape or not np.array_equal(stored, made):
            yield "the parameters in the file are not those that its source makes"
        if row["origin"] != item.origin_id:
            yield f"origin {row['origin']} in the file, {item.origin_id} made anew"


TABLE = Table(
    name="networks",
    doc="One row per network: its parameters, how it was made, and the tables that it is left out of.",
    columns=(
        Column("network", "int64", "Number of the network in the dataset.", "id"),
        Column("source", "string", "Name of the entry of the spec that made it."),
        Column("kind", "string", "Kind of that entry: random, trained, perturbed, fiber, files, linear."),
        Column("index", "int64", "Number of the network within that entry.", "id"),
        Column("origin", "int64", "The network that it was made from; -1 where there is none in this dataset.", "id"),
        Column("activation", "string", "relu, or linear: no maximum between the layers, biases zero."),
        Column("architecture", "list<int32>", "Widths n0, …, nL; empty where failed.", "neurons"),
        Column("parameters", "list<float64>", "W1 by rows, b1, W2 by rows, b2, …; the last layer is affine."),
        Column("provenance", "string", "How it was made, as JSON."),
        Column("failed", "string", "Why the network could not be made; empty for every network that could."),
        Column("skipped", "list<string>", "Tables that this network is left out of."),
        Column("reasons", "list<string>", "Why, for each of them."),
    ),
    rows=_rows,
    check=_check,
    provenance=("source", "index", "provenance"),
    group=256,
    linear=None,
)
