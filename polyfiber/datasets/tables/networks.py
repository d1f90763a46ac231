"""Table ``networks``: parameters, where each network comes from, and what was skipped."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ...errors import ShapeError
from ...network.model import ReLUNetwork
from ..arrow import lists
from .base import Column, Item, Options, Table


def flatten(network: ReLUNetwork) -> np.ndarray:
    """All parameters in one float64 vector: W1 by rows, b1, W2 by rows, b2, …"""
    net = network.rounded()
    return np.concatenate([part.ravel() for both in zip(net.weights, net.biases) for part in both])


def unflatten(architecture: Sequence[int], parameters: Any) -> ReLUNetwork:
    """The network of a row.

    Examples
    --------
    >>> from polyfiber import ReLUNetwork
    >>> net = ReLUNetwork.random((2, 3, 1), rng=0)
    >>> unflatten(net.architecture, flatten(net)) == net
    True
    """
    flat = np.asarray(parameters, dtype=np.float64)
    expected = sum(m * (n + 1) for n, m in zip(architecture[:-1], architecture[1:]))
    if flat.shape != (expected,):
        raise ShapeError(
            f"{flat.size} parameters do not fit the architecture {tuple(architecture)}, which has {expected}"
        )
    weights, biases, at = [], [], 0
    for n, m in zip(architecture[:-1], architecture[1:]):
        weights.append(flat[at : at + m * n].reshape(m, n))
        biases.append(flat[at + m * n : at + m * (n + 1)])
        at += m * (n + 1)
    return ReLUNetwork(weights, biases)


def _rows(items: Sequence[Item], options: Options) -> Iterator[Any]:
    sizes = np.array([0] + [i.network.n_parameters for i in items])
    depths = np.array([0] + [len(i.network.architecture) for i in items])
    yield TABLE.batch(
        options,
        {
            "network": np.array([i.id for i in items], dtype=np.int64),
            "source": [i.source for i in items],
            "kind": [i.kind for i in items],
            "index": np.array([i.index for i in items], dtype=np.int64),
            "origin": np.array([i.origin_id for i in items], dtype=np.int64),
            "activation": ["linear" if i.linear else "relu" for i in items],
            "architecture": lists(
                np.concatenate([i.network.architecture for i in items]).astype(np.int32),
                np.cumsum(depths),
                type="list<int32>",
            ),
            "parameters": lists(
                np.concatenate([flatten(i.network) for i in items]), np.cumsum(sizes), type="list<float64>"
            ),
            "provenance": [json.dumps(dict(i.provenance), sort_keys=True) for i in items],
            "skipped": [[s.table for s in i.skipped] for i in items],
            "reasons": [[s.reason for s in i.skipped] for i in items],
        },
    )


def _check(item: Item, rows: Sequence[Mapping[str, Any]], options: Options) -> Iterator[str]:
    """The item is the network as its source makes it anew; the row is what the file says."""
    for row in rows:
        stored = np.asarray(row["parameters"], dtype=np.float64)
        made = flatten(item.network)
        if tuple(row["architecture"]) != item.network.architecture:
            yield f"architecture {tuple(row['architecture'])} in the file, {item.network.architecture} made anew"
        elif stored.shape != made.shape or not np.array_equal(stored, made):
            yield "the parameters in the file are not those that its source makes"
        if row["origin"] != item.origin_id:
            yield f"origin {row['origin']} in the file, {item.origin_id} made anew"
        if len(row["skipped"]) != len(row["reasons"]):
            yield f"{len(row['skipped'])} tables were skipped, but {len(row['reasons'])} reasons are given"


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
        Column("architecture", "list<int32>", "Widths n0, …, nL.", "neurons"),
        Column("parameters", "list<float64>", "W1 by rows, b1, W2 by rows, b2, …; the last layer is affine."),
        Column("provenance", "string", "How it was made, as JSON."),
        Column("skipped", "list<string>", "Tables that this network is left out of."),
        Column("reasons", "list<string>", "Why, for each of them."),
    ),
    rows=_rows,
    check=_check,
    group=256,
    linear=None,
)
