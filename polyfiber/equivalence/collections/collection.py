"""Collections of networks by index: stacked arrays, files read on demand, Parquet tables; bounded memory."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ... import words
from ..._lazy import above
from ..._typing import FloatArray, IntArray
from ..._values.checked import shown, whole
from ...budget import Monitor
from ...complexes.parquet_files import open_parquet, told
from ...errors import FileFormatError, InputError, MissingDependencyError, PolyfiberError
from ...network.model import NetworkBatch, ReLUNetwork
from ...network.names import local_path, printable
from ...network.piecewise import PiecewiseLinearNetwork, function_chain, require_chain
from ..forms.canonical import flat_parameters

BLOCK_BYTES = 1 << 21
"""Parameters that are handed on at a time."""

ROW_GROUP = 1 << 25
"""Bytes of parameters after which `write_parquet` ends a row group."""

SUFFIXES = (".onnx", ".npz", ".safetensors", ".pt", ".pth", ".h5", ".keras", ".nnet")

Block = tuple[IntArray, tuple[int, ...], FloatArray]
"""Ids, architecture, flat parameters."""


def rows_per_block(architecture: Sequence[int]) -> int:
    """Networks of one architecture in a block."""
    numbers = sum((a + 1) * b for a, b in zip(architecture[:-1], architecture[1:]))
    return max(16, min(1 << 13, BLOCK_BYTES // (8 * max(1, numbers))))


class Collection:
    """Networks by index, in blocks of one architecture; parameters are fetched when needed.

    Attributes
    ----------
    fetch_bytes : int
        How much to fetch at a time: more where each time costs a pass over files.
    unreadable : dict
        Items that could not be read, with the reason; filled while `blocks` runs.
    """

    fetch_bytes = BLOCK_BYTES

    def __init__(self) -> None:
        self.unreadable: dict[int, str] = {}

    def blocks(self) -> Iterator[Block]:
        """(ids, architecture, flat parameters) of blocks that cover everything once."""
        raise NotImplementedError

    def fetch(self, ids: IntArray) -> FloatArray:
        """Flat parameters (k, P) of networks of one architecture."""
        raise NotImplementedError

    def network(self, index: int) -> ReLUNetwork:
        """One network."""
        raise NotImplementedError

    def __len__(self) -> int:
        raise NotImplementedError


class BatchCollection(Collection):
    """Stacked arrays of one architecture."""

    def __init__(self, batch: NetworkBatch) -> None:
        super().__init__()
        self.batch = batch

    def blocks(self) -> Iterator[Block]:
        rows = rows_per_block(self.batch.architecture)
        for start in range(0, len(self), rows):
            ids = np.arange(start, min(len(self), start + rows))
            yield ids, self.batch.architecture, self._slice(slice(int(ids[0]), int(ids[-1]) + 1))

    def _slice(self, part: Any) -> FloatArray:
        pieces = [
            x[part].reshape(-1, int(np.prod(x.shape[1:])))
            for p in zip(self.batch.weights, self.batch.biases)
            for x in p
        ]
        return np.concatenate(pieces, axis=1)

    def fetch(self, ids: IntArray) -> FloatArray:
        return self._slice(ids)

    def network(self, index: int) -> ReLUNetwork:
        return self.batch[int(index)]

    def __len__(self) -> int:
        return len(self.batch)


class ListedCollection(Collection):
    """Networks, or paths read on demand: parameters stay on disk, one block at a time in memory.

    Networks of gates stand as the chains that compute the same functions.
    """

    fetch_bytes = 1 << 24

    def __init__(self, items: Sequence[Any], monitor: Monitor, *, skip: bool = False) -> None:
        super().__init__()
        self.items = items
        self.monitor = monitor
        self.skip = skip

    def network(self, index: int) -> ReLUNetwork:
        item = self.items[int(index)]
        if isinstance(item, ReLUNetwork | PiecewiseLinearNetwork):
            chain: ReLUNetwork = function_chain(item)
            return chain
        from ...network.readers import read_network

        read: ReLUNetwork = function_chain(read_network(item))
        return read

    def blocks(self) -> Iterator[Block]:
        waiting: dict[tuple[int, ...], list[tuple[int, FloatArray]]] = {}
        size = 0
        for i in range(len(self)):
            self.monitor.report("reading networks", i, len(self))
            self.monitor.check_time("reading networks")
            try:
                net = self.network(i)
            except (PolyfiberError, OSError) as error:
                if not self.skip:
                    raise
                self.unreadable[i] = str(error)
                continue
            row = flat_parameters(net)
            waiting.setdefault(net.architecture, []).append((i, row))
            size += row.nbytes
            if size > BLOCK_BYTES:
                yield from self._flush(waiting)
                size = 0
        yield from self._flush(waiting)

    @staticmethod
    def _flush(waiting: dict[Any, Any]) -> Iterator[Block]:
        for architecture, rows in waiting.items():
            yield np.array([i for i, _ in rows], dtype=np.int64), architecture, np.stack([r for _, r in rows])
        waiting.clear()

    def fetch(self, ids: IntArray) -> FloatArray:
        rows = []
        for i in ids:
            self.monitor.check_time("reading networks again")
            rows.append(flat_parameters(self.network(int(i))))
        return np.stack(rows)

    def __len__(self) -> int:
        return len(self.items)


class ParquetCollection(Collection):
    """Rows of Parquet files written by `write_parquet`: columns ``architecture`` and ``parameters``.

    Files are paths, or names with what pyarrow opens.
    """

    fetch_bytes = 1 << 25

    def __init__(self, files: Sequence[Path | tuple[str, Any]]) -> None:
        super().__init__()
        wanted = ["architecture", "parameters", "wiring"]
        pairs = [file if isinstance(file, tuple) else (str(file), str(file)) for file in files]
        self.names = [name for name, _ in pairs]
        self.files = [open_parquet(source, name, columns=wanted) for name, source in pairs]
        self.rows: list[tuple[int, int, int]] = []  # file, row group, first row
        total = 0
        for f, file in enumerate(self.files):
            if not {"architecture", "parameters"} <= set(file.schema_arrow.names):
                raise FileFormatError(
                    f"{self.names[f]} has columns {file.schema_arrow.names}; expected 'architecture' and 'parameters'"
                )
            _check_types(file.schema_arrow, self.names[f])
            for g in range(file.metadata.num_row_groups):
                self.rows.append((f, g, total))
                total += file.metadata.row_group(g).num_rows
        self.total = total
        self.starts = np.array([r[2] for r in self.rows], dtype=np.int64)
        self._cached: tuple[int, Any] = (-1, None)

    def _group(self, index: int) -> tuple[list[tuple[int, ...]], FloatArray, IntArray]:
        """Architectures, all parameters, and where those of each row begin, of one row group."""
        if self._cached[0] != index:
            f, g, _ = self.rows[index]
            with told(self.names[f]):
                columns = [c for c in ("architecture", "parameters", "wiring") if c in self.files[f].schema_arrow.names]
                table = self.files[f].read_row_group(g, columns=columns)
            if len(table) != self.files[f].metadata.row_group(g).num_rows:
                raise FileFormatError(f"row group {g} of {self.names[f]} has not the number of rows that it claims")
            if table["architecture"].null_count or table["parameters"].null_count:
                raise FileFormatError(f"row group {g} of {self.names[f]} holds nulls; every row needs its two lists")
            widths, ends = _lists(table["architecture"])
            if widths.dtype.kind not in "iu" or (len(widths) and (widths.min() < 1 or widths.max() >= 1 << 31)):
                raise FileFormatError(f"row group {g} of {self.names[f]} holds widths that are no whole numbers >= 1")
            rows = len(ends) - 1
            same = rows > 0 and len(widths) % rows == 0 and bool((np.diff(ends) == len(widths) // rows).all())
            if same and bool((widths.reshape(rows, -1) == widths[: ends[1]]).all()):
                architectures = [tuple(widths[: ends[1]].tolist())] * rows
            else:
                architectures = [tuple(widths[a:b].tolist()) for a, b in itertools.pairwise(ends.tolist())]
            if "wiring" in table.column_names:  # networks of gates are no rows of layers
                texts = table["wiring"].to_pylist()
                architectures = [() if text else widths for widths, text in zip(architectures, texts)]
            flat, starts = _lists(table["parameters"])
            for i in np.flatnonzero(np.diff(ends) < 2).tolist():
                if ends[i + 1] > ends[i] or starts[i + 1] > starts[i]:
                    raise FileFormatError(
                        f"row {self.rows[index][2] + i} of {self.names[f]} has widths {architectures[i]}; expected at least two"
                    )
            self._cached = (index, (architectures, flat.astype(np.float64, copy=False), starts))
        result: tuple[list[tuple[int, ...]], FloatArray, IntArray] = self._cached[1]
        return result

    def _members(self, group: int, members: IntArray, architecture: tuple[int, ...]) -> FloatArray:
        """Flat parameters of some rows of a group."""
        f, _, first = self.rows[group]
        _, flat, starts = self._group(group)
        size = sum((a + 1) * b for a, b in zip(architecture[:-1], architecture[1:]))
        lengths = starts[members + 1] - starts[members]
        wrong = np.flatnonzero(lengths != size)
        if len(wrong):
            raise FileFormatError(
                f"row {first + int(members[wrong[0]])} (in {self.names[f]}) holds {words.count(int(lengths[wrong[0]]), 'parameter')}; "
                f"widths {printable(str(architecture))} need {size}"
            )
        rows: FloatArray = flat[starts[members][:, None] + np.arange(size)]
        bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
        if len(bad):
            raise FileFormatError(
                f"row {first + int(members[bad[0]])} (in {self.names[f]}) holds parameters that are not finite"
            )
        return rows

    def blocks(self) -> Iterator[Block]:
        for index, (_, _, first) in enumerate(self.rows):
            groups: dict[tuple[int, ...], list[int]] = {}
            for i, widths in enumerate(self._group(index)[0]):
                if widths:
                    groups.setdefault(widths, []).append(i)
                else:  # a network of a dataset that could not be made, or one of gates
                    self.unreadable[first + i] = f"row {first + i} holds no ReLU chain"
            for architecture, rows in groups.items():
                members, step = np.array(rows, dtype=np.int64), rows_per_block(architecture)
                for start in range(0, len(members), step):
                    part = members[start : start + step]
                    yield first + part, architecture, self._members(index, part, architecture)

    def _place(self, index: int) -> tuple[int, int]:
        """Row group and row in it."""
        group = int(np.searchsorted(self.starts, index, side="right")) - 1
        return group, index - self.rows[group][2]

    def fetch(self, ids: IntArray) -> FloatArray:
        groups = np.searchsorted(self.starts, ids, side="right") - 1
        result: FloatArray | None = None
        for group in np.unique(groups):
            mine = np.flatnonzero(groups == group)
            local = ids[mine] - self.rows[group][2]
            rows = self._members(int(group), local, self._group(int(group))[0][int(local[0])])
            if result is None:
                result = np.empty((len(ids), rows.shape[1]))
            result[mine] = rows
        assert result is not None
        return result

    def network(self, index: int) -> ReLUNetwork:
        group, row = self._place(int(index))
        widths = self._group(group)[0][row]
        if not widths:
            raise FileFormatError(f"row {index} holds no network: its widths are empty")
        return unflatten(self._members(group, np.array([row]), widths)[0], widths)

    def __len__(self) -> int:
        return self.total


def _check_types(schema: Any, name: str) -> None:
    """Lists of whole numbers and lists of floats, and nothing nested deeper."""
    import pyarrow

    types = pyarrow.types
    for column, fits in (("architecture", types.is_integer), ("parameters", types.is_floating)):
        kind = schema.field(column).type
        listed = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
        if not listed or not fits(kind.value_type):
            expected = "whole numbers" if column == "architecture" else "floats"
            raise FileFormatError(f"{name}: column {column!r} holds {kind}; expected lists of {expected}")


def _lists(column: Any) -> tuple[Any, IntArray]:
    """All values of a list column, and where each row begins."""
    column = column.combine_chunks()
    lengths = column.value_lengths().to_numpy(zero_copy_only=False)
    return column.flatten().to_numpy(zero_copy_only=False), np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def _pyarrow(purpose: str) -> Any:
    try:
        import pyarrow.parquet  # type: ignore[import-untyped,unused-ignore]
    except ImportError:
        raise MissingDependencyError("pyarrow", extra="data", purpose=purpose) from None
    return pyarrow.parquet


def unflatten(flat: FloatArray, architecture: Sequence[int]) -> ReLUNetwork:
    """The network of a vector of parameters ``W_1, b_1, …, W_L, b_L``."""
    expected = sum((a + 1) * b for a, b in zip(architecture[:-1], architecture[1:]))
    if len(flat) != expected:
        raise InputError(
            f"{words.count(len(flat), 'parameter does', 'parameters do')} not fit widths {tuple(architecture)}, which need {expected}"
        )
    weights, biases, at = [], [], 0
    for a, b in zip(architecture[:-1], architecture[1:]):
        weights.append(flat[at : at + a * b].reshape(b, a))
        biases.append(flat[at + a * b : at + a * b + b])
        at += (a + 1) * b
    return ReLUNetwork(weights, biases)


def write_parquet(networks: Iterable[ReLUNetwork] | NetworkBatch, path: str | Path, *, rows: int = 8192) -> None:
    """Write networks as a Parquet table: list columns ``architecture`` (int32) and ``parameters`` (float64).

    Raises
    ------
    MissingDependencyError
        Without pyarrow.

    Examples
    --------
    >>> import os, tempfile
    >>> import polyfiber as pf
    >>> from polyfiber.fibers import write_parquet
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_parquet([pf.ReLUNetwork.random((2, 3, 1), rng=i) for i in range(3)], os.path.join(folder, "n.parquet"))
    ...     print(os.listdir(folder))
    ['n.parquet']
    """
    parquet, target = _pyarrow("writing a Parquet dataset"), local_path(path, "a collection")
    rows = whole(rows, "rows", least=1)
    if not isinstance(networks, NetworkBatch | Iterable) or isinstance(networks, type):
        raise InputError(f"expected networks or a NetworkBatch, found {shown(networks)}")
    if target.exists() and not target.is_file():
        raise InputError(f"{target} is there and is no file; choose another name")
    import pyarrow  # type: ignore[import-untyped,unused-ignore]

    schema = pyarrow.schema(
        [("architecture", pyarrow.list_(pyarrow.int32())), ("parameters", pyarrow.list_(pyarrow.float64()))]
    )
    with parquet.ParquetWriter(str(target), schema) as writer:
        block: list[ReLUNetwork] = []
        iterator, size = iter(networks), 0
        while True:
            net = next(iterator, None)
            if net is not None:
                block.append(require_chain(net, "a table of networks"))
                size += 8 * sum((a + 1) * b for a, b in itertools.pairwise(net.architecture))
            if block and (net is None or len(block) == rows or size > ROW_GROUP):
                data = {
                    "architecture": [list(n.architecture) for n in block],
                    "parameters": [flat_parameters(n) for n in block],
                }
                writer.write_table(pyarrow.table(data, schema=schema))
                block, size = [], 0
            if net is None:
                return


def collect(networks: Any, monitor: Monitor, *, skip: bool = False) -> Collection:
    """The collection of what `group_networks` takes."""
    if isinstance(networks, NetworkBatch):
        return BatchCollection(networks)
    if isinstance(networks, str) and "://" in networks:
        place = above("datasets.storage.places:place_of")(networks)
        tables = sorted(name for name in place.walk() if name.endswith(".parquet"))
        if not tables:
            raise InputError(f"{networks} holds no Parquet files; expected the table networks of a dataset")
        return ParquetCollection([(f"{place}/{name}", place.open(name)) for name in tables])
    if isinstance(networks, str | Path):
        path = local_path(networks, "a collection of networks")
        if path.is_dir():
            files = network_files(path)
            return (
                ParquetCollection(sorted(path.rglob("*.parquet")))
                if files is None
                else ListedCollection(files, monitor, skip=skip)
            )
        if path.suffix == ".parquet":
            return ParquetCollection([path])
        raise InputError(f"{path} is neither a directory nor a Parquet file; one network makes no collection")
    if isinstance(networks, Iterable):
        items = list(networks)
        for i, item in enumerate(items):
            if not isinstance(item, ReLUNetwork | PiecewiseLinearNetwork | str | Path | os.PathLike):
                raise InputError(f"item {i} is a {type(item).__name__}; expected networks or paths")
        return ListedCollection(items, monitor, skip=skip)
    raise InputError(f"expected a NetworkBatch, networks, paths or a directory, found {type(networks).__name__}")


def network_files(path: str | Path) -> list[Path] | None:
    """Network files under a directory, in order; None if it is, or holds, a Parquet dataset."""
    path = local_path(path, "a collection of networks")
    if path.suffix == ".parquet" and not path.is_dir():
        return None
    inside = sorted(path.rglob("*"))
    for f in inside:
        if f.is_symlink():
            raise InputError(
                f"{f} is a link; of a folder only what lies in it is read. Put the files themselves there, or list them"
            )
    files = [f for f in inside if f.is_file() and f.suffix.lower() in SUFFIXES]
    tables = sorted(path.rglob("*.parquet"))
    if tables and files:
        raise InputError(
            f"{path} holds {len(tables)} Parquet files and {len(files)} network files; name the Parquet files or a folder of one kind"
        )
    return None if tables else files


def network_at(path: str | Path, index: int) -> ReLUNetwork:
    """Network ``index`` of a directory or Parquet dataset."""
    return collect(path, Monitor()).network(index)
