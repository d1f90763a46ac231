"""The files of a finished dataset against its plan: schema, texts, rows, their order, and what records say of them."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ..._version import __version__
from ...budget import Monitor
from ...errors import PolyfiberError
from ..execution.work import facts_of
from ..plan import Partition, Plan
from ..reader import Dataset
from ..storage.arrow import told
from ..storage.store import Directory, fits, is_old, record_name
from ..tables import table

ENCODED = 64
"""How many times smaller than in memory the rows of a group may be as Parquet encodes them."""

ADDED = ("wiring",)
"""Columns that datasets of release 0.1 lack: their networks are chains."""


def structure(place: Directory, plan: Plan, data: Dataset, monitor: Monitor) -> Iterator[str]:
    """What disagrees between manifest, plan, records, and schema, texts, row groups and order of the rows of every
    file.
    """
    if data.manifest["fingerprint"] != plan.fingerprint:
        yield "manifest.json and plan.json are of different specs"
    if set(data) != set(plan.spec.tables):
        yield f"manifest.json lists the tables {sorted(data)}, the plan {sorted(plan.spec.tables)}"
        return
    for name in plan.spec.tables:
        files = data.manifest["tables"][name]["files"]
        if len(files) != len(plan.partitions):
            yield f"table {name}: {len(files)} files for {len(plan.partitions)} partitions"
            continue
        for partition, file in zip(plan.partitions, files):
            yield from _file(place, file, name, partition, plan)
        monitor.report("schema", len(files), len(files), table=name)
    records = [place.json(record_name(p.index), "the record") for p in plan.partitions]
    for partition, record in zip(plan.partitions, records):
        if not fits(record, partition, plan.fingerprint, plan.spec.tables, old=is_old(plan.versions)):
            yield f"{record_name(partition.index)}: not the record of this partition"
            return
        for name in plan.spec.tables:
            file = data.manifest["tables"][name]["files"][partition.index]
            if record["tables"][name] != {key: file[key] for key in ("rows", "bytes", "sha256")}:
                yield f"{file['path']}: the manifest and {record_name(partition.index)} disagree"
    total = sum(len(p) for p in plan.partitions)
    if sum(r["networks"] for r in records) != total or len(data["networks"]) != total:
        yield f"{len(data['networks'])} rows in table networks; the plan has {total} networks"


def _file(place: Directory, file: Mapping[str, Any], name: str, partition: Partition, plan: Plan) -> Iterator[str]:
    path, found = file["path"], table(name)
    schema = found.schema(plan.spec.tables[name])
    try:
        stream = place.parquet(path)
    except PolyfiberError as error:
        yield str(error)
        return
    with stream:
        here = stream.schema_arrow
        lacking = [i for i, column in enumerate(schema.names) if column in ADDED and column not in here.names]
        for i in reversed(lacking):
            schema = schema.remove(i)
        if not here.remove_metadata().equals(schema.remove_metadata()):
            yield f"{path}: the schema is not that of its table"
            return
        yield from (f"{path}: {text}" for text in _texts(here, schema, facts_of(plan, partition, name), plan))
        meta = stream.metadata
        if meta.num_rows != file["rows"]:
            yield f"{path}: {meta.num_rows} rows, the manifest says {file['rows']}"
        groups = [meta.row_group(i) for i in range(meta.num_row_groups)]
        rows, least = plan.spec.row_group, plan.spec.waiting // ENCODED
        if any(g.num_rows > rows or (g.num_rows < rows and g.total_byte_size < least) for g in groups[:-1]):
            yield f"{path}: a row group that has not {rows} rows, and is not full by its bytes either"
        try:
            with told(f"{place}/{path}"):
                yield from (f"{path}: {text}" for text in _order(stream, name, partition))
        except PolyfiberError as error:  # pages that the checksum covers and nobody can decode
            yield str(error)


def _texts(here: Any, schema: Any, facts: Mapping[str, Any], plan: Plan) -> Iterator[str]:
    """What a file says of itself: where it comes from, and of this release what its table and its columns mean."""
    own, whole = here.metadata or {}, plan.versions.get("polyfiber") == __version__
    try:
        said = json.loads(own.get(b"polyfiber", b""))
    except (ValueError, RecursionError):
        said = None
    expected = json.loads(json.dumps(facts))
    for about in () if whole or not isinstance(said, dict) else (said, expected):
        about.pop("about", None)
    if said != expected or set(own) != {b"polyfiber"}:
        yield "what it says of itself is not what the plan gives"
    for mine, given in zip(here, schema) if whole else ():
        if {k: v for k, v in (mine.metadata or {}).items() if k != b"PARQUET:field_id"} != given.metadata:
            yield f"unit or description of column {mine.name!r} are not those of the table"


def _is_number(column: Any) -> bool:
    return column.unit == "id" and column.type.startswith("int")


def _order(stream: Any, name: str, partition: Partition) -> Iterator[str]:
    """Rows stand in the order of their networks and numbers, none twice; table ``networks`` has one for each."""
    found = table(name)
    numbers = [c.name for c in itertools.takewhile(_is_number, found.columns)]
    once = len(numbers) > 1 or name == "networks" or found.identity == ("network",)
    last: Any = None
    least, most, count = partition.stop, partition.first - 1, 0
    for batch in stream.iter_batches(columns=numbers):
        rows = np.column_stack([column.to_numpy(zero_copy_only=False).astype(np.int64) for column in batch.columns])
        if not len(rows):
            continue
        least, most, count = min(least, int(rows[:, 0].min())), max(most, int(rows[:, 0].max())), count + len(rows)
        before = rows if last is None else np.concatenate([last, rows])
        steps = np.diff(before, axis=0)
        first = np.argmax(steps != 0, axis=1) if len(steps) else np.zeros(0, dtype=int)
        rise = steps[np.arange(len(steps)), first]
        if np.any(rise <= 0 if once else rise < 0):
            yield f"rows are not in the order of {' and '.join(numbers)}" + (", each once" if once else "")
            return
        last = rows[-1:]
    if count and not partition.first <= least <= most < partition.stop:
        yield f"rows of networks {least} to {most}; expected {partition.first} to {partition.stop - 1}"
    elif name == "networks" and not partition.part and count != len(partition):
        yield f"{count} rows of networks; expected {len(partition)}"
