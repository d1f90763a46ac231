"""Read a dataset lazily: to numpy, to Arrow, or network by network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import words
from .._lazy import above
from .._once import cached_property
from .._typing import Array, IntArray
from ..errors import FileFormatError, IncompleteError, InputError
from ..network.model import ReLUNetwork
from ..network.piecewise import PiecewiseLinearNetwork
from . import fields
from .spec import FORMAT_VERSION
from .storage.arrow import compute, pyarrow, told
from .storage.networks import network_of
from .storage.store import DOCUMENTS, SUMS, Directory, is_count, is_file, record_name, table_name


@dataclass(frozen=True)
class Ragged:
    """A list column: row i holds ``values[offsets[i]:offsets[i + 1]]``.

    Attributes
    ----------
    values : (m,) array, or Ragged for lists of lists
    offsets : (rows + 1,) int64
    valid : (rows,) bool or None
        False where the entry is null; None where nothing is.

    Examples
    --------
    >>> import numpy as np
    >>> column = Ragged(np.array([1, 2, 3]), np.array([0, 2, 3]))
    >>> len(column), column[0].tolist()
    (2, [1, 2])
    """

    values: Any
    offsets: IntArray
    valid: Array | None = None

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> Any:
        if not -len(self) <= row < len(self):
            raise IndexError(f"row {row} of {len(self)}")
        row %= len(self)
        start, stop = int(self.offsets[row]), int(self.offsets[row + 1])
        if isinstance(self.values, Ragged):
            inner = self.values
            return [inner[i] for i in range(start, stop)]
        return self.values[start:stop]

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def stacked(self) -> Array:
        """All rows as one array, where they have one length.

        Raises
        ------
        InputError
            Rows of different lengths.
        """
        lengths = np.diff(self.offsets)
        if len(lengths) and (lengths != lengths[0]).any():
            raise InputError(f"rows have between {lengths.min()} and {lengths.max()} entries; expected one length")
        inner = self.values.stacked() if isinstance(self.values, Ragged) else self.values
        width = int(lengths[0]) if len(lengths) else 0
        result: Array = inner.reshape(len(lengths), width, *inner.shape[1:])
        return result


def to_numpy(column: Any) -> Any:
    """Numpy array or `Ragged` of an Arrow column; texts become object arrays, nulls of numbers NaN."""
    pa = pyarrow()
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
        if isinstance(column, pa.ChunkedArray):
            column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], type=column.type)
    if pa.types.is_list(column.type):
        offsets = column.offsets.to_numpy().astype(np.int64)
        values = column.values.slice(int(offsets[0]), int(offsets[-1] - offsets[0]))
        valid = column.is_valid().to_numpy(zero_copy_only=False) if column.null_count else None
        return Ragged(to_numpy(values), offsets - offsets[0], valid)
    return column.to_numpy(zero_copy_only=False)


class TableView:
    """One table of a dataset; nothing is read before it is asked for."""

    def __init__(self, name: str, place: Directory, files: Sequence[Mapping[str, Any]], firsts: Sequence[int]) -> None:
        self.name = name
        self.files = tuple(str(f["path"]) for f in files)
        self._place = place
        self._rows = tuple(int(f["rows"]) for f in files)
        self._sums = {str(f["path"]): f["sha256"] for f in files}
        self._firsts = tuple(firsts)

    def open(self, file: str) -> Any:
        """A ``ParquetFile`` of one of `files`, after its checksum: computed when it is first read, and when it changes.

        Raises
        ------
        FileFormatError
            The file is gone, damaged, or not the one of the manifest.
        """
        if self._place.sha256(file) != self._sums[file]:
            raise FileFormatError(
                f"{self._place}/{file} is damaged: its checksum is not that of the manifest; run the dataset again"
            )
        return self._place.parquet(file)

    def _read(self, file: str, columns: Sequence[str] | None, network: int | None) -> Any:
        """Rows of a file, a row group at a time, of one network if asked."""
        pa = pyarrow()
        with self.open(file) as stream, told(f"{self._place}/{file}"):
            pieces = []
            for group in range(stream.metadata.num_row_groups):
                bounds = stream.metadata.row_group(group).column(0).statistics
                if network is not None and bounds is not None and not bounds.min <= network <= bounds.max:
                    continue
                wanted = columns if network is None or columns is None else [*dict.fromkeys(["network", *columns])]
                piece = stream.read_row_group(group, columns=wanted)
                if network is not None:
                    piece = piece.filter(compute().equal(piece.column("network"), network))
                pieces.append(piece if columns is None else piece.select(columns))
            empty = stream.schema_arrow.empty_table()
            return pa.concat_tables(pieces) if pieces else (empty if columns is None else empty.select(columns))

    def __len__(self) -> int:
        return sum(self._rows)

    def __repr__(self) -> str:
        return f"TableView({self.name}, {words.count(len(self), 'row')} in {words.count(len(self.files), 'file')})"

    @cached_property
    def schema(self) -> Any:
        """``pyarrow.Schema``, with unit and description in the metadata of each field."""
        with self.open(self.files[0]) as stream:
            return stream.schema_arrow

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return list(self.schema.names)

    def _check(self, columns: Sequence[str] | None) -> list[str] | None:
        for name in columns or ():
            if name not in self.columns:
                raise InputError(f"table {self.name} has no column {name!r}; it has {', '.join(self.columns)}")
        return None if columns is None else list(columns)

    def batches(self, columns: Sequence[str] | None = None, *, rows: int = 65536) -> Iterator[Any]:
        """Record batches of at most ``rows`` rows, file by file; memory stays that of a row group."""
        wanted = self._check(columns)
        for path in self.files:
            with self.open(path) as stream, told(f"{self._place}/{path}"):
                yield from stream.iter_batches(batch_size=rows, columns=wanted)

    def to_arrow(self, columns: Sequence[str] | None = None, *, network: int | None = None) -> Any:
        """``pyarrow.Table`` of some columns; of one network if asked, reading only its files."""
        wanted = self._check(columns)
        files: Sequence[str] = self.files
        if network is not None:
            at = max(0, int(np.searchsorted(self._firsts, network, side="right")) - 1)
            files = self.files[int(np.searchsorted(self._firsts, self._firsts[at])) : at + 1]
        with told(f"{self._place}/{self.name}", "its files do not fit together"):
            return pyarrow().concat_tables([self._read(f, wanted, network) for f in files])

    def to_numpy(self, columns: Sequence[str] | None = None, *, network: int | None = None) -> dict[str, Any]:
        """Columns as numpy arrays; list columns as `Ragged`."""
        found = self.to_arrow(columns, network=network)
        return {name: to_numpy(found.column(name)) for name in found.column_names}


class Dataset(Mapping[str, TableView]):
    """A finished dataset: its tables by name.

    Examples
    --------
    >>> import tempfile
    >>> from polyfiber.datasets import load, run
    >>> spec = {"name": "tiny", "seed": 1, "networks": [{"kind": "random", "architecture": [2, 4, 1], "count": 5}]}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     report = run(spec, folder, workers=0)
    ...     network = load(folder).network(3)
    >>> network.architecture
    (2, 4, 1)
    """

    def __init__(self, place: Directory, manifest: Mapping[str, Any], firsts: Sequence[int]) -> None:
        self.place = place
        self.directory = place.path
        self.manifest = manifest
        self.partitions = tuple(firsts)
        self._tables = {
            name: TableView(name, place, entry["files"], firsts) for name, entry in manifest["tables"].items()
        }

    def __getitem__(self, name: str) -> TableView:
        if name not in self._tables:
            raise InputError(f"{self.directory} has no table {name!r}; it has {', '.join(self._tables)}")
        return self._tables[name]

    def __contains__(self, name: object) -> bool:
        return name in self._tables

    def __iter__(self) -> Iterator[str]:
        return iter(self._tables)

    def __len__(self) -> int:
        return len(self._tables)

    def _repr_html_(self) -> str:
        text: str = above("pages.notebook:html_of")(self)
        return text

    def __repr__(self) -> str:
        tables = ", ".join(f"{name} {len(view)}" for name, view in self._tables.items())
        return f"Dataset({self.manifest['name']}: {tables})"

    def network(self, number: int) -> ReLUNetwork | PiecewiseLinearNetwork:
        """A network: a `ReLUNetwork` (of a linear network: its weights, with zero biases), or one of gates."""
        view = self["networks"]
        columns = [c for c in ("network", "architecture", "parameters", "wiring") if c in view.columns]
        row = view.to_arrow(columns, network=number).to_pylist()
        if not row:
            raise InputError(f"network {number} does not exist; there are {len(self['networks'])}")
        if not row[0]["architecture"]:
            raise InputError(f"network {number} could not be made; see its column 'failed'")
        return network_of(row[0])


def load(directory: str | Path) -> Dataset:
    """Open a finished dataset.

    Parameters
    ----------
    directory : path or address

    Returns
    -------
    Dataset
        A mapping from names of tables to `TableView`.

    Raises
    ------
    IncompleteError
        The dataset was not finished.
    FileFormatError
        Not a dataset, one of a newer format, or a manifest, plan, record or list of checksums that is gone or damaged.

    Examples
    --------
    >>> import tempfile
    >>> from polyfiber.datasets import load, run
    >>> spec = {"name": "tiny", "seed": 1, "networks": [{"kind": "random", "architecture": [2, 4, 1], "count": 5}]}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     report = run(spec, folder + "/tiny", workers=0)
    ...     data = load(folder + "/tiny")
    ...     data["networks"].to_numpy(["architecture"])["architecture"].stacked()[0].tolist()
    [2, 4, 1]
    """
    data = opened(directory)
    signed, count = data.place.signed(), len(data.partitions)
    lacking = data.place.unsigned(data, count, data.manifest.get("versions"))
    lacking += [name for name in DOCUMENTS if name in signed and not data.place.has(name)]
    if lacking:
        what = f"{lacking[0]} is missing, or not in {SUMS}" if signed else f"{SUMS} is missing or empty"
        raise FileFormatError(f"{data.place}: {what}; run the dataset again")
    for name in ("manifest.json", "plan.json", *map(record_name, range(count))):
        if data.place.sha256(name) != signed[name]:
            raise FileFormatError(f"{data.place}/{name} is damaged: its checksum is not that of {SUMS}; run again")
    strangers = data.place.strangers(data, len(data.partitions))
    if strangers:
        raise FileFormatError(f"{data.place}: {', '.join(strangers[:5])}: not part of the dataset; move it elsewhere")
    return data


def opened(directory: str | Path) -> Dataset:
    """What `load` returns, whatever other files lie there."""
    place = Directory(directory)
    if not place.has("manifest.json"):
        if place.has("plan.json"):
            raise IncompleteError(f"{place}: the dataset is not finished; run it again, or finish it")
        raise FileFormatError(f"{place}: no manifest.json; not the directory of a dataset")
    manifest = place.json("manifest.json", "the manifest")
    if manifest.get("format") != "polyfiber dataset":
        raise FileFormatError(f"{place}/manifest.json: not the manifest of a dataset")
    version = manifest.get("format_version")
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise FileFormatError(f"{place.path}: format version {version}; this release reads up to {FORMAT_VERSION}")
    document = place.json("plan.json", "the plan")
    try:
        firsts = [p["networks"][0] for p in document["partitions"]]
        if not all(map(is_count, firsts)) or firsts != sorted(firsts) or not isinstance(manifest["name"], str):
            raise FileFormatError(f"{place}: plan.json is not that of a dataset")
        if not isinstance(manifest["fingerprint"], str):
            raise FileFormatError(f"{place}/manifest.json: its fingerprint is damaged")
        for name, entry in manifest["tables"].items():
            fields.identifier(name, "tables")
            for i, file in enumerate(entry["files"]):
                if not is_file(file) or file["path"] != table_name(name, i):
                    raise FileFormatError(
                        f"{place}/manifest.json: entry {i} of the files of {name} is not that of a dataset"
                    )
            if len(entry["files"]) != len(firsts):
                raise FileFormatError(
                    f"{place}/manifest.json: {words.count(len(entry['files']), 'file')} of {name} for {words.count(len(firsts), 'partition')}"
                )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FileFormatError(f"{place}: manifest.json or plan.json is not that of a dataset: {error}") from None
    return Dataset(place, manifest, firsts)


__all__ = ["Dataset", "Ragged", "TableView", "load", "to_numpy"]
