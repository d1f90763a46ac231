"""The directory of a dataset: atomic files, tables in Parquet, records of finished partitions.

DIR/plan.json                        spec, seeds, partitions, versions
DIR/<table>/part-00000.parquet       rows of one partition
DIR/records/part-00000.json          rows, bytes and checksums; written last: the partition is done
DIR/manifest.json, SHA256SUMS, README.md    written by `finish`
DIR/sources/<sha256>.<suffix>        files of networks and data that the spec names
DIR/.partial/                        unfinished files; whatever lies there is of no account
DIR/.checked                         checksums that were read, by size and time of the files; of no account
DIR/runs.jsonl                       when and how it was run; no part of the data
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import FileFormatError, PolyfiberError
from .arrow import open_parquet, parquet, pyarrow
from .documents import LARGEST, json_bytes, parse_json
from .places import UNFINISHED, Facts, LocalPlace, Place, place_of

if TYPE_CHECKING:
    from ..plan import Partition

COMPRESSION = "zstd"
CHECKED = ".checked"
SUMS = "SHA256SUMS"
DOCUMENTS = ("README.md", "croissant.json", "manifest.json", "plan.json")
OWN = (SUMS, CHECKED, "runs.jsonl", ".lock")
"""What lies in a dataset and is no part of its data."""
_PART = re.compile(r"part-\d{5,}\.parquet")


def part_name(index: int, suffix: str = "parquet") -> str:
    """File name of a partition."""
    return f"part-{index:05d}.{suffix}"


class _Hashing(io.RawIOBase):
    """A file that is hashed while it is written."""

    def __init__(self, path: Path) -> None:
        self._stream = open(path, "xb")  # noqa: SIM115
        self.digest = hashlib.sha256()
        self.size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        view = memoryview(data)
        self._stream.write(view)
        self.digest.update(view)
        self.size += view.nbytes
        return view.nbytes

    def tell(self) -> int:
        return self.size

    def close(self) -> None:
        if not self._stream.closed:
            self._stream.flush()
            os.fsync(self._stream.fileno())
            self._stream.close()
        super().close()


@dataclass(frozen=True)
class Written:
    """A file that was written: rows, bytes, SHA-256."""

    rows: int
    bytes: int
    sha256: str

    def to_json(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {"rows": self.rows, "bytes": self.bytes, "sha256": self.sha256}


def _few_values(field: Any) -> list[str]:
    """Paths of the values of a column that repeat, texts and signs: a dictionary makes them a third of the size."""
    pa = pyarrow()
    if field.type in (pa.string(), pa.int8()):
        return [field.name]
    nested = pa.types.is_list(field.type) and field.type.value_type in (pa.string(), pa.int8())
    return [f"{field.name}.list.element"] if nested else []


class TableWriter:
    """One Parquet file, streamed: row groups of a fixed number of rows, whatever the batches were.

    Parameters
    ----------
    path : Path
        Temporary file.
    schema : pyarrow.Schema
    metadata : mapping of str to str
        Goes into the file's schema.
    row_group : int
        Rows of each row group but the last.
    most : int
        Bytes of rows, as Arrow holds them, after which a row group ends with the batch at hand.
    """

    def __init__(
        self, path: Path, schema: Any, *, metadata: Mapping[str, str], row_group: int, most: int = 1 << 62
    ) -> None:
        self.path = path
        self.schema = schema.with_metadata(dict(metadata))
        self.rows = 0
        self._row_group, self._most = row_group, most
        self._waiting: list[Any] = []
        self._n_waiting = self._n_bytes = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = _Hashing(path)
        few = [name for f in schema for name in _few_values(f)]
        self._writer = parquet().ParquetWriter(
            self._file,
            self.schema,
            compression=COMPRESSION,
            compression_level=1,
            use_dictionary=few,
            write_statistics=True,
            version="2.6",
        )

    def write(self, batch: Any) -> None:
        """Add rows."""
        if batch.num_rows == 0:
            return
        self.rows += batch.num_rows
        self._waiting.append(batch)
        self._n_waiting += batch.num_rows
        self._n_bytes += batch.nbytes
        if self._n_waiting >= self._row_group or self._n_bytes >= self._most:
            self._flush(whole=self._n_bytes >= self._most)

    def _flush(self, *, whole: bool) -> None:
        table = pyarrow().Table.from_batches(self._waiting).replace_schema_metadata(self.schema.metadata)
        self._waiting, at = [], 0
        while table.num_rows - at >= self._row_group or (whole and at < table.num_rows):
            piece = table.slice(at, self._row_group).combine_chunks()
            self._writer.write_table(piece, row_group_size=self._row_group)
            at += piece.num_rows
        rest = range(at, table.num_rows)
        # a copy: a slice would keep the whole
        self._waiting, self._n_waiting = table.take(list(rest)).to_batches() if rest else [], len(rest)
        self._n_bytes = sum(batch.nbytes for batch in self._waiting)

    def close(self) -> Written:
        """Write what waits, close and sync the file."""
        if self._n_waiting:
            self._flush(whole=True)
        self._writer.close()
        self._file.close()
        return Written(self.rows, self._file.size, self._file.digest.hexdigest())

    def abandon(self) -> None:
        """Close and delete the file."""
        self._waiting = []
        with contextlib.suppress(Exception):
            self._writer.close()
        with contextlib.suppress(Exception):
            self._file.close()
        self.path.unlink(missing_ok=True)


class Directory:
    """Files and states of a dataset, in a folder of this machine or in a bucket."""

    def __init__(self, where: str | Path | Place) -> None:
        self.place = place_of(where)
        self._sums: dict[str, tuple[Facts, str]] | None = None

    def __str__(self) -> str:
        return str(self.place)

    @property
    def path(self) -> Path | str:
        """The folder, or the address."""
        return self.place.path if isinstance(self.place, LocalPlace) else self.place.url

    @property
    def work(self) -> Path:
        """Where unfinished files lie, on this machine."""
        return self.place.scratch

    def has(self, name: str) -> bool:
        """Whether a file is there."""
        return self.place.facts(name) is not None

    def json(self, name: str, what: str) -> dict[str, Any]:
        """A JSON document, or one clear error."""
        where = f"{self.place}/{name}"
        if not self.has(name):
            raise FileFormatError(f"{where}: {what} is missing")
        return parse_json(self.place.read(name, most=LARGEST), where, what)

    def write_json(self, name: str, document: Mapping[str, Any]) -> None:
        """Write a JSON document."""
        self.place.write(name, json_bytes(document))

    def parquet(self, name: str, *, columns: Sequence[str] | None = None) -> Any:
        """A ``pyarrow.parquet.ParquetFile`` of which some columns will be read, or one clear error."""
        return open_parquet(self.place.open(name), f"{self.place}/{name}", columns=columns)

    # ---- checksums ----------------------------------------------------------------------------
    def sha256(self, name: str) -> str:
        """SHA-256 of a file: read once, then known by size and stamp."""
        facts = self.place.facts(name)
        if facts is None:
            raise FileFormatError(f"{self.place}/{name}: missing")
        known = self._known()
        if name not in known or known[name][0] != facts or not facts.stamp:
            known[name] = (facts, self.read_sum(name))
        return known[name][1]

    def read_sum(self, name: str) -> str:
        """SHA-256 of a file, read now whatever is known."""
        digest = hashlib.sha256()
        source = self.place.open(name)
        with open(source, "rb") if isinstance(source, str) else source as stream:
            while piece := stream.read(1 << 20):
                digest.update(piece)
        return digest.hexdigest()

    def _known(self) -> dict[str, tuple[Facts, str]]:
        if self._sums is None:
            self._sums = {}
            with contextlib.suppress(PolyfiberError, KeyError, TypeError, ValueError, AttributeError, OverflowError):
                for name, (size, stamp, digest) in self.json(CHECKED, "checksums")["files"].items():
                    self._sums[str(name)] = (Facts(int(size), str(stamp)), str(digest))
        return self._sums

    def remember(self) -> None:
        """Keep the checksums that were read, so that the next run need not read the files again."""
        files = {name: [f.size, f.stamp, digest] for name, (f, digest) in self._known().items()}
        self.write_json(CHECKED, {"files": files})

    def signed(self) -> dict[str, str]:
        """The checksums of ``SHA256SUMS`` by name; empty where there is none that can be read."""
        if not self.has(SUMS):
            return {}
        text = self.place.read(SUMS, most=LARGEST).decode("utf-8", "replace")
        return {line[66:]: line[:64] for line in text.splitlines()}

    def unsigned(self, tables: Iterable[str], partitions: int, versions: Any) -> list[str]:
        """Files of a finished dataset that ``SHA256SUMS`` does not list."""
        known, files = self.signed(), members(tables, partitions)
        later = ("croissant.json",) if is_old(versions) else ()
        return [name for name in files if name not in known and name not in later]

    # ---- partitions ---------------------------------------------------------------------------
    def record(
        self, partition: Partition, fingerprint: str, tables: Iterable[str], *, deep: bool = True
    ) -> dict[str, Any] | None:
        """The record of a partition that is done.

        None if it is not: no record, one that is broken or of another plan or partition, a file that is
        missing, has another size, or (``deep``) another checksum.
        """
        name = record_name(partition.index)
        if not self.has(name):
            return None
        try:
            raw = self.place.read(name, most=1 << 24)
            record = parse_json(raw, name, "the record")
        except FileFormatError:
            return None
        if raw != json_bytes(record) or not fits(record, partition, fingerprint, tables, old="check" not in record):
            return None
        if "check" not in record and self.signed().get(name) != hashlib.sha256(raw).hexdigest():
            return None
        for table, facts in record["tables"].items():
            file = table_name(table, partition.index)
            found = self.place.facts(file)
            if found is None or found.size != facts["bytes"] or (deep and self.sha256(file) != facts["sha256"]):
                return None
        if "check" not in record and not is_old(self._versions(table_name("networks", partition.index))):
            return None
        return record

    def _versions(self, name: str) -> Any:
        """The versions that a file of a table says it was made with; None where it cannot be read."""
        try:
            with self.parquet(name) as stream:
                return json.loads(stream.schema_arrow.metadata[b"polyfiber"])["versions"]
        except (PolyfiberError, KeyError, TypeError, ValueError):
            return None

    def strangers(self, tables: Iterable[str], partitions: int) -> list[str]:
        """Files in the folders of tables and records that no partition of the plan has, and parts of other tables."""
        tables, found = tuple(tables), []
        for folder in self.place.names():
            if folder not in (*tables, "records", "sources", UNFINISHED):
                with contextlib.suppress(PolyfiberError):  # a link, which nobody follows
                    found += [f"{folder}/{name}" for name in self.place.names(folder) if _PART.fullmatch(name)]
        for folder, suffix in [*((name, "parquet") for name in tables), ("records", "json")]:
            known = {part_name(i, suffix) for i in range(partitions)}
            found += [f"{folder}/{name}" for name in self.place.names(folder) if name not in known]
        return found

    def commit(self, index: int, temporary: Mapping[str, Path], record: Mapping[str, Any]) -> None:
        """Move the tables of a partition to their places, then write its record.

        The tables are synced. After a crash of the machine moves and records of the last seconds may be gone, or
        empty; `record` tells, and the partition is done again. `finish` settles them all.
        """
        for name, path in temporary.items():
            self.place.put(table_name(name, index), path, lasting=False)
        self.place.write(record_name(index), json_bytes(sealed(record)), lasting=False)

    def log(self, entry: Mapping[str, Any]) -> None:
        """One line of ``runs.jsonl``."""
        self.place.append("runs.jsonl", json.dumps(entry, sort_keys=True) + "\n")

    def sweep(self) -> None:
        """Delete unfinished files of runs that are over."""
        self.place.sweep()

    def lock(self, *, shared: bool = False) -> contextlib.AbstractContextManager[None]:
        """Keep a second run out; see `LocalPlace.lock`."""
        return self.place.lock(shared=shared)


def listed(sums: Mapping[str, str]) -> bytes:
    """``SHA256SUMS`` of checksums by name."""
    return "".join(f"{sums[name]}  {name}\n" for name in sorted(sums)).encode()


def table_name(table: str, index: int) -> str:
    """File of a table and a partition."""
    return f"{table}/{part_name(index)}"


def members(tables: Iterable[str], partitions: int) -> list[str]:
    """Files that `finish` lists, beside copies of inputs."""
    rest = range(partitions)
    return [*DOCUMENTS, *(table_name(t, i) for t in tables for i in rest), *map(record_name, rest)]


def record_name(index: int) -> str:
    """Record of a partition."""
    return f"records/{part_name(index, 'json')}"


def is_count(value: Any) -> bool:
    """A whole number from 0 to 2^63."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 63


def is_file(facts: Any) -> bool:
    """Rows, bytes and checksum of a file, as records and manifests hold them."""
    return (
        isinstance(facts, dict)
        and is_count(facts.get("rows"))
        and is_count(facts.get("bytes"))
        and isinstance(facts.get("sha256"), str)
        and re.fullmatch("[0-9a-f]{64}", facts["sha256"]) is not None
    )


_KEYS = {
    "format_version", "fingerprint", "partition", "source", "first", "networks", "failed", "skipped", "regions", "tables", "check",
}  # fmt: skip


def sealed(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record with a checksum of its own, so that a count that was changed is noticed."""
    plain = {key: value for key, value in record.items() if key != "check"}
    return {**plain, "check": hashlib.sha256(json_bytes(plain)).hexdigest()}


def is_old(versions: Any) -> bool:
    """Whether these are versions of release 0.1, whose records have no checksum of their own."""
    return isinstance(versions, Mapping) and str(versions.get("polyfiber")).startswith("0.1.")


def fits(
    record: Mapping[str, Any], partition: Partition, fingerprint: str, tables: Iterable[str], *, old: bool = False
) -> bool:
    """Whether a record is that of a partition of a plan; only an ``old`` one may lack its own checksum."""
    own = (record.get("fingerprint"), record.get("partition"), record.get("source"), record.get("first"))
    files = record.get("tables")
    return (
        own == (fingerprint, partition.index, partition.source, partition.first)
        and set(record) <= _KEYS
        and (record == sealed(record) or (old and "check" not in record))
        and record.get("networks") == len(partition)
        and all(is_count(record.get(key)) for key in ("networks", "failed", "skipped", "regions"))
        and isinstance(files, dict)
        and set(files) == set(tables)
        and all(is_file(f) for f in files.values())
    )
