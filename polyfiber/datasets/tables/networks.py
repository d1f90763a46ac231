"""Table ``networks``: parameters, where each network comes from, and what was skipped."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ...network.model import ReLUNetwork
from ..storage.arrow import ragged
from ..storage.networks import parameters_of, wiring_of
from .base import OUT_OF_TIME, Column, Item, Options, Table, Unsure


def _activation(item: Item) -> str:
    if item.linear:
        return "linear"
    return "relu" if item.failed or isinstance(item.network, ReLUNetwork) else "gates"


def _rows(items: Sequence[Item], options: Options) -> Iterator[Any]:
    widths = [np.array([] if i.failed else i.network.architecture, dtype=np.int32) for i in items]
    parameters = [np.zeros(0) if i.failed else parameters_of(i.network) for i in items]
    yield TABLE.batch(
        options,
        {
            "network": np.array([i.id for i in items], dtype=np.int64),
            "source": [i.source for i in items],
            "kind": [i.kind for i in items],
            "index": np.array([i.index for i in items], dtype=np.int64),
            "origin": np.array([i.origin_id for i in items], dtype=np.int64),
            "activation": [_activation(i) for i in items],
            "architecture": ragged(widths, type="list<int32>"),
            "parameters": ragged(parameters, type="list<float64>"),
            "wiring": ["" if i.failed else wiring_of(i.network) for i in items],
            "provenance": [json.dumps(dict(i.provenance), sort_keys=True) for i in items],
            "failed": [i.failed for i in items],
            "skipped": [[s.table for s in i.skipped] for i in items],
            "reasons": [[s.reason for s in i.skipped] for i in items],
        },
    )


def _check(item: Item, rows: Sequence[Mapping[str, Any]], options: Options) -> Iterator[str]:
    """The item is the network as its source makes it anew; the row is what the file says."""
    for row in rows:
        if row["failed"] != item.failed and OUT_OF_TIME in (row["failed"], item.failed):
            yield Unsure("whether the network can be made in the time that the spec gives")
            continue
        for name, value in (
            ("source", item.source),
            ("kind", item.kind),
            ("index", item.index),
            ("failed", item.failed),
        ):
            if row[name] != value:
                yield f"{name} is {row[name]!r} in the file, {value!r} by the plan"
        if row["activation"] != _activation(item):
            yield f"activation {row['activation']!r} in the file, {_activation(item)!r} by its source"
        if row["provenance"] != json.dumps(dict(item.provenance), sort_keys=True):
            yield f"provenance {row['provenance']} in the file, {json.dumps(dict(item.provenance), sort_keys=True)} made anew"
        if len(row["skipped"]) != len(row["reasons"]):
            yield f"{len(row['skipped'])} tables were skipped, but {len(row['reasons'])} reasons are given"
        if item.failed:
            continue
        stored = np.asarray(row["parameters"], dtype=np.float64)
        made = parameters_of(item.network)
        if tuple(row["architecture"]) != item.network.architecture:
            yield f"architecture {tuple(row['architecture'])} in the file, {item.network.architecture} made anew"
        elif stored.shape != made.shape or not np.array_equal(stored, made):
            yield "the parameters in the file are not those that its source makes"
        if row.get("wiring", "") != wiring_of(item.network):
            yield "what reads what is another in the file than its source makes"
        if row["origin"] != item.origin_id:
            yield f"origin {row['origin']} in the file, {item.origin_id} made anew"


TABLE = Table(
    name="networks",
    doc="One row per network: its parameters, how it was made, and the tables that it is left out of.",
    columns=(
        Column("network", "int64", "Number of the network in the dataset.", "id"),
        Column("source", "string", "Name of the entry of the spec that made it."),
        Column("kind", "string", "Kind of that entry: random, graphs, trained, perturbed, fiber, files, linear."),
        Column("index", "int64", "Number of the network within that entry.", "id"),
        Column("origin", "int64", "The network that it was made from; -1 where there is none in this dataset.", "id"),
        Column(
            "activation",
            "string",
            "relu; linear: no maximum between the layers, biases zero; gates: of any slopes and wiring.",
        ),
        Column("architecture", "list<int32>", "Widths n0, …, nL; empty where failed.", "neurons"),
        Column(
            "parameters",
            "list<float64>",
            "W1 by rows, b1, W2 by rows, b2, …; the last layer is affine. Of gates: see `wiring`.",
        ),
        Column(
            "wiring",
            "string",
            "Of gates, as JSON: for each block and the output the values read (0 the input), with row pointers and columns "
            "where a matrix is sparse; numbers are matrices, offsets, slopes, block by block. Empty for chains.",
        ),
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
