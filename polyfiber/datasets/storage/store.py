"""The directory of a dataset: atomic files, tables in Parquet, records of finished partitions.

DIR/plan.json                        spec, seeds, partitions, versions
DIR/<table>/part-00000.parquet       rows of one partition
DIR/records/part-00000.json          rows, bytes and checksums; written last: the partition is done
DIR/manifest.json, SHA256SUMS, README.md    written by `finish`
DIR/.partial/                        unfinished files; whatever lies there is of no account
DIR/runs.jsonl                       when and how it was run; no part of the data
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import FileFormatError, InputError
from .arrow import parquet, pyarrow

COMPRESSION = "zstd"


def part_name(index: int, suffix: str = "parquet") -> str:
    """File name of a partition."""
    return f"part-{index:05d}.{suffix}"


def sync_directory(path: Path) -> None:
    """Make a rename in a directory survive a crash of the machine, where the system can."""
    with contextlib.suppress(OSError, AttributeError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_atomically(path: Path, data: bytes, *, work: Path | None = None) -> None:
    """Write a file so that it is there whole or not at all: temporary name, fsync, rename."""
    folder = path.parent if work is None else work
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{path.name}.{uuid.uuid4().hex}"
    try:
        with open(temporary, "xb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        path.parent.mkdir(parents=True, exist_ok=True)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def json_bytes(document: Mapping[str, Any]) -> bytes:
    """JSON with sorted keys and a last newline."""
    return (json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


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
    """

    def __init__(self, path: Path, schema: Any, *, metadata: Mapping[str, str], row_group: int) -> None:
        self.path = path
        self.schema = schema.with_metadata(dict(metadata))
        self.rows = 0
        self._row_group = row_group
        self._waiting: list[Any] = []
        self._n_waiting = 0
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
        if self._n_waiting >= self._row_group:
            self._flush(whole=False)

    def _flush(self, *, whole: bool) -> None:
        table = pyarrow().Table.from_batches(self._waiting).replace_schema_metadata(self.schema.metadata)
        at = 0
        while table.num_rows - at >= self._row_group or (whole and at < table.num_rows):
            piece = table.slice(at, self._row_group).combine_chunks()
            self._writer.write_table(piece, row_group_size=self._row_group)
            at += piece.num_rows
        rest = table.slice(at)
        self._waiting, self._n_waiting = rest.to_batches(), rest.num_rows

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
    """Paths and states of a dataset directory."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).resolve()

    @property
    def work(self) -> Path:
        """Where unfinished files lie."""
        return self.path / ".partial"

    def table_file(self, table: str, index: int) -> Path:
        """File of a table and a partition."""
        return self.path / table / part_name(index)

    def record_file(self, index: int) -> Path:
        """Record of a partition."""
        return self.path / "records" / part_name(index, "json")

    def record(self, index: int, fingerprint: str) -> dict[str, Any] | None:
        """The record of a partition that is done; None if it is not: no record of this plan, a file missing or short."""
        try:
            record = json.loads(self.record_file(index).read_text(encoding="utf-8"))
            whole = all(
                self.table_file(name, index).stat().st_size == facts["bytes"]
                for name, facts in record["tables"].items()
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        return record if whole and record.get("fingerprint") == fingerprint else None

    def commit(self, index: int, temporary: Mapping[str, Path], record: Mapping[str, Any]) -> None:
        """Move the tables of a partition to their places, then write its record."""
        for name, path in temporary.items():
            final = self.table_file(name, index)
            final.parent.mkdir(parents=True, exist_ok=True)
            os.replace(path, final)
            sync_directory(final.parent)
        write_atomically(self.record_file(index), json_bytes(record), work=self.work)

    def log(self, entry: Mapping[str, Any]) -> None:
        """One line of ``runs.jsonl``."""
        line = json.dumps(entry, sort_keys=True) + "\n"
        with open(self.path / "runs.jsonl", "a", encoding="utf-8") as stream:
            stream.write(line)

    def sweep(self) -> None:
        """Delete unfinished files of runs that are over."""
        if self.work.is_dir():
            for path in self.work.iterdir():
                path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # a worker of a run that was killed may still write there
                self.work.rmdir()

    def _lock_file(self) -> Any:
        try:
            return open(self.path / ".lock", "a")
        except OSError as error:
            raise InputError(f"{self.path}: cannot be written to: {error.strerror}") from None

    @contextlib.contextmanager
    def lock(self, *, shared: bool = False) -> Iterator[None]:
        """Keep a second run out, as long as this process lives; shared locks let each other in.

        The system drops the lock when the process ends, however it ends. Where it knows no such
        locks nothing is locked.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{self.path}: no directory, and it cannot be made: {error.strerror}") from None
        try:
            import fcntl
        except ImportError:
            yield
            return
        with self._lock_file() as stream:
            try:
                fcntl.flock(stream, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InputError(f"{self.path}: another run is at work in this directory") from None
            except OSError:  # a file system without locks
                pass
            yield


def read_json(path: Path, what: str) -> dict[str, Any]:
    """A JSON document, or one clear error."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise FileFormatError(f"{path}: {what} is missing") from None
    except ValueError as error:
        raise FileFormatError(f"{path}: {what} is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise FileFormatError(f"{path}: {what} is a {type(found).__name__}; expected an object")
    return found
