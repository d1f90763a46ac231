"""Manifest, card and croissant are functions of plan, records and tables: here they are made again and compared."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..._version import __version__
from ...errors import PolyfiberError
from ..plan import Partition, Plan
from ..publishing.card import card
from ..publishing.croissant import croissant
from ..publishing.manifest import described
from ..storage.arrow import told
from ..storage.documents import json_bytes
from ..storage.store import Directory, record_name, table_name

ALWAYS = ("name", "licence", "seed", "fingerprint", "versions", "partitions", "counts", "tables")
"""Keys of the manifests of all releases."""


def documents(place: Directory, plan: Plan, manifest: Mapping[str, Any]) -> Iterator[str]:
    """What the documents of a dataset say otherwise than plan, records and tables.

    Those of this release are compared whole; those of others only in what words of ours do not change.
    """
    records = [place.json(record_name(p.index), "the record") for p in plan.partitions]
    try:
        with told(f"{place}/networks"):
            yield from _counts(place, plan, records)
            made = described(place, plan, records)
    except PolyfiberError as error:
        yield str(error)
        return
    whole = plan.versions.get("polyfiber") == __version__
    again = json.loads(json_bytes(made))
    found, expected = (dict(manifest), again) if whole else (_lasting(manifest), _lasting(again))
    for key in dict.fromkeys([*found, *(expected if whole else ALWAYS)]):
        if found.get(key) != expected.get(key):
            yield f"manifest.json: {key} is not what plan.json and the records give"
    if whole:
        for name, data in (
            ("README.md", card(plan, made).encode()),
            ("croissant.json", json_bytes(croissant(plan, made))),
        ):
            if place.read_sum(name) != hashlib.sha256(data).hexdigest():
                yield f"{name}: not what plan.json and the records give"


def _counts(place: Directory, plan: Plan, records: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Counts of the records that are not those of the rows."""
    for record in records:
        index = record["partition"]
        with place.parquet(table_name("networks", index)) as stream:
            rows = stream.read(columns=["failed", "skipped"]).to_pydict()
        for key, values in rows.items():
            count = sum(map(bool, values))
            if record[key] != count:
                yield f"{record_name(index)}: {key} is {record[key]}, {count} in the table networks"
        count, whole = _regions(place, plan.partition(index), plan.spec.tables, record["networks"] - record["failed"])
        if record["regions"] < count or (whole and record["regions"] > count):
            yield f"{record_name(index)}: regions is {record['regions']}, {count} in the tables"


def _regions(place: Directory, partition: Partition, tables: Iterable[str], networks: int) -> tuple[int, bool]:
    """Regions of a partition that the tables tell of, and whether these are all."""
    found: dict[Any, int] = {}
    for name in ("cells", "complexes"):
        if name not in tables or partition.blocks:
            continue
        columns = ["network"] if name == "cells" else ["network", "f_vector"]
        with place.parquet(table_name(name, partition.index)) as stream:
            for batch in stream.iter_batches(columns=columns):
                if name == "complexes":
                    found |= {network: f[-1] for network, f in zip(*(column.to_pylist() for column in batch.columns))}
                else:
                    for network, count in zip(*np.unique(batch.column(0).to_numpy(), return_counts=True)):
                        found[int(network)] = found.get(int(network), 0) + int(count)
    if partition.blocks:
        with place.parquet(table_name("blocks", partition.index)) as stream:
            rows = stream.read(columns=["f_vector"]).column(0).to_pylist()
        return sum(f[-1] for f in rows if f), True
    return sum(found.values()), len(found) == networks


def _lasting(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """A manifest without the texts on tables and columns, which a release may word anew."""
    tables = {name: {k: entry.get(k) for k in ("rows", "bytes", "files")} for name, entry in manifest["tables"].items()}
    return {**manifest, "tables": tables}
