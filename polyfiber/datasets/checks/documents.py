"""Manifest, card and croissant are functions of plan, records and tables: here they are made again and compared."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..._version import __version__
from ...errors import PolyfiberError
from ..plan import Plan
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
            yield from _counts(place, records)
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


def _counts(place: Directory, records: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Counts of the records that are not those of the rows."""
    for record in records:
        index = record["partition"]
        with place.parquet(table_name("networks", index)) as stream:
            rows = stream.read(columns=["failed", "skipped"]).to_pydict()
        for key, values in rows.items():
            count = sum(map(bool, values))
            if record[key] != count:
                yield f"{record_name(index)}: {key} is {record[key]}, {count} in the table networks"


def _lasting(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """A manifest without the texts on tables and columns, which a release may word anew."""
    tables = {name: {k: entry.get(k) for k in ("rows", "bytes", "files")} for name, entry in manifest["tables"].items()}
    return {**manifest, "tables": tables}
