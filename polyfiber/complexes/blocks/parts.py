"""Part files: the cells of one dimension of one block, as npz, Parquet or Zarr.

A part appears under its name only when it is whole and on the disk.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..._typing import Array
from ...errors import FileFormatError, InputError, MissingDependencyError
from ...network.names import printable
from ..containers import only_zarr, open_zarr, read_npz, regular, require_zarr
from ..parquet_files import open_parquet
from .contents import Cells

Columns = dict[str, Any]
"""Name to array (m, …), or to (indptr (m + 1,), values (total, …)) for rows of unequal length."""
ROWS = 1 << 16
FORMATS = ("npz", "parquet", "zarr")
DAMAGE = (
    OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, EOFError, OverflowError, MemoryError,
    NotImplementedError, RuntimeError, ZeroDivisionError, SyntaxError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What reading a damaged file can raise in numpy, zipfile, json, pyarrow and zarr."""


def columns_of(cells: Cells) -> Columns:
    """Columns of some cells; their names are those of the attributes."""
    found: Columns = {"plus": cells.plus, "minus": cells.minus}
    for name in ("unbounded", "A", "a", "vertices", "rays"):
        if getattr(cells, name) is not None:
            found[name] = getattr(cells, name)
    return found


def suffix(format: str) -> str:
    """Ending of a part's name."""
    if format not in FORMATS:
        raise InputError(f"cells are written as npz, parquet or zarr, found {format!r}")
    return "." + format


def require(format: str) -> None:
    """Raise `MissingDependencyError` where the package behind a format is not installed."""
    suffix(format)
    if format == "parquet":
        _pyarrow()
    elif format == "zarr":
        require_zarr()


@contextmanager
def appearing(path: Path, *, ours: Callable[[Path], bool] = lambda path: False) -> Iterator[Path]:
    """A name to write to, in a new folder beside ``path``; at the end it is flushed and takes the place of ``path``.

    A file that is there is replaced, a folder only where it is one of ``ours``; after an error nothing is left behind.
    Nobody can guess the new folder's name and put a link there.
    """
    folder = Path(tempfile.mkdtemp(prefix=".", suffix=".part", dir=path.parent))
    temporary = folder / path.name
    try:
        yield temporary
        _flush(temporary)
        if path.is_dir() and not path.is_symlink():
            if not ours(path):
                raise InputError(f"{path} is a directory that was not written by this; it is left alone")
            os.rename(path, folder / "old")
        os.replace(temporary, path)
        _flush_directory(path.parent)
    finally:
        remove(folder)


def write_part(path: Path, pieces: Iterable[Columns], *, format: str) -> tuple[int, str]:
    """Write the pieces of one part; returns its bytes and its checksum."""
    with appearing(path, ours=is_part) as temporary:
        _WRITERS[format](temporary, pieces)
        return _size(temporary), checksum(temporary)


def checksum(path: Path) -> str:
    """SHA-256 of a file; of a folder, that of the names and the sums of its files."""
    digest = hashlib.sha256()
    if path.is_dir():
        for file in sorted(p for p in path.rglob("*") if not p.is_dir()):
            digest.update(f"{file.relative_to(path).as_posix()} {checksum(file)}\n".encode())
        return digest.hexdigest()
    regular(path)
    with path.open("rb") as stream:
        while piece := stream.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def read_part(path: Path, *, format: str) -> Iterable[Columns]:
    """The pieces of a part.

    Raises
    ------
    FileFormatError
        The file is missing or damaged.
    """
    try:
        yield from _READERS[format](path)
    except MissingDependencyError:
        raise
    except (FileFormatError, *DAMAGE) as error:
        text = printable(str(error), 1200)
        raise FileFormatError(f"{path} is not a readable part of a stream of cells: {text}") from None


_PART = re.compile(r"\d+-[0-9a-f]{16}\.(npz|parquet|zarr)")
_UNFINISHED = re.compile(r"\.[a-z0-9_]{8}\.part")
_COLUMNS = {
    name + end for name in ("plus", "minus", "unbounded", "A", "a", "vertices", "rays") for end in ("", "_indptr")
}


def is_part(path: Path) -> bool:
    """Whether this can be nothing but a part: named as one, and where it is a folder with the arrays of one alone."""
    if _PART.fullmatch(path.name) is None or path.is_symlink():
        return False
    return only_zarr(path, _COLUMNS) if path.suffix == ".zarr" else path.is_file()


def is_unfinished(path: Path) -> bool:
    """Whether this can be nothing but a folder of `appearing` with what a killed run left of one part."""
    if _UNFINISHED.fullmatch(path.name) is None or path.is_symlink() or not path.is_dir():
        return False
    return all(map(_is_rest, path.iterdir()))


def _is_rest(path: Path) -> bool:
    """Whether this is a part, whole or half written, or the folder that one was to replace."""
    if path.is_symlink() or not (_PART.fullmatch(path.name) or (path.name == "old" and path.is_dir())):
        return False
    return path.is_file() or only_zarr(path, _COLUMNS, unfinished=True)


def remove(path: Path) -> None:
    """Delete a part or what is left of one; of a link, the link."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _size(path: Path) -> int:
    """Bytes of a file, or of all files of a folder."""
    return sum(f.stat().st_size for f in (path.rglob("*") if path.is_dir() else [path]) if f.is_file())


def _flush(path: Path) -> None:
    """Bring a file, or all files of a folder, to the disk."""
    for file in path.rglob("*") if path.is_dir() else [path]:
        if file.is_file():
            with file.open("rb") as stream:
                os.fsync(stream.fileno())


def _flush_directory(path: Path) -> None:
    """Bring the names in a folder to the disk, where the system can."""
    if os.name == "posix":
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_text(path: Path, text: str) -> None:
    """Write a small file so that it is there whole or not at all."""
    with appearing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


# ---- npz ----------------------------------------------------------------------------------------
def _write_npz(path: Path, pieces: Iterable[Columns]) -> None:
    store: dict[str, Array] = {}
    whole = list(pieces)
    for name in whole[0] if whole else ():
        parts = [piece[name] for piece in whole]
        if isinstance(parts[0], tuple):
            lengths = np.concatenate([np.diff(indptr) for indptr, _ in parts])
            store[name + "_indptr"] = np.concatenate([[0], np.cumsum(lengths)])
            store[name] = np.concatenate([values for _, values in parts])
        else:
            store[name] = np.concatenate(parts)
    with path.open("wb") as stream:
        np.savez(stream, **store)  # type: ignore[arg-type]


def _read_npz(path: Path) -> Iterable[Columns]:
    regular(path)
    yield from _pieces(read_npz(path))


def _pieces(whole: dict[str, Array]) -> Iterable[Columns]:
    """Cut whole columns in pieces of rows."""
    names = [name for name in whole if not name.endswith("_indptr")]
    rows = len(whole["plus"]) if "plus" in whole else 0
    for name in names:
        indptr = whole.get(name + "_indptr")
        if indptr is None:
            fits = whole[name].ndim >= 1 and len(whole[name]) == rows
        else:
            ends = indptr.shape == (rows + 1,) and indptr.dtype.kind in "iu" and indptr[0] == 0
            fits = bool(ends and (np.diff(indptr) >= 0).all() and indptr[-1] == len(whole[name]))
        if not fits:
            raise FileFormatError(f"the column {name} does not have {rows} rows")
    for start in range(0, len(whole["plus"]) if "plus" in whole else 0, ROWS):
        piece: Columns = {}
        for name in names:
            if name + "_indptr" in whole:
                indptr = whole[name + "_indptr"][start : start + ROWS + 1]
                piece[name] = (indptr - indptr[0], whole[name][indptr[0] : indptr[-1]])
            else:
                piece[name] = whole[name][start : start + ROWS]
        yield piece


# ---- Parquet ------------------------------------------------------------------------------------
def _pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MissingDependencyError("pyarrow", extra="data", purpose="cells as Parquet") from None
    return pyarrow


def _write_parquet(path: Path, pieces: Iterable[Columns]) -> None:
    pyarrow = _pyarrow()
    writer = None
    try:
        for piece in pieces:
            table = pyarrow.table({name: _to_arrow(pyarrow, values) for name, values in piece.items()})
            if writer is None:
                bits = [name for name in ("plus", "minus", "unbounded") if name in piece]
                writer = pyarrow.parquet.ParquetWriter(path, table.schema, compression="zstd", use_dictionary=bits[2:])
            writer.write_table(table)
    finally:
        if writer is not None:
            writer.close()
    if writer is None:
        empty = pyarrow.table(
            {"plus": pyarrow.array([], pyarrow.binary(1)), "minus": pyarrow.array([], pyarrow.binary(1))}
        )
        pyarrow.parquet.write_table(empty, path)


def _to_arrow(pyarrow: Any, values: Any) -> Any:
    """Bytes as fixed binary, matrices as lists of fixed size, unequal rows as lists of them."""
    if isinstance(values, tuple):
        indptr, inner = values
        return pyarrow.ListArray.from_arrays(pyarrow.array(indptr, pyarrow.int32()), _to_arrow(pyarrow, inner))
    if values.ndim == 1:
        return pyarrow.array(values)
    width = int(np.prod(values.shape[1:]))
    flat = np.ascontiguousarray(values).reshape(len(values), width)
    if flat.dtype == np.uint8:
        return pyarrow.FixedSizeBinaryArray.from_buffers(
            pyarrow.binary(width), len(flat), [None, pyarrow.py_buffer(flat)]
        )
    return pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(flat.ravel()), width)


def _read_parquet(path: Path) -> Iterable[Columns]:
    pyarrow = _pyarrow()
    regular(path)
    with open_parquet(str(path), path.name) as file:
        if any(file.schema.column(j).physical_type == "BYTE_ARRAY" for j in range(len(file.schema))):
            raise FileFormatError("a column of texts")
        for batch in file.iter_batches(ROWS):
            if len(batch):
                yield {name: _from_arrow(pyarrow, batch.column(name)) for name in batch.schema.names}


def _from_arrow(pyarrow: Any, column: Any) -> Any:
    kind = column.type
    if column.null_count:
        raise FileFormatError("values are missing")
    if pyarrow.types.is_fixed_size_binary(kind):
        width = kind.byte_width
        data = np.frombuffer(column.buffers()[1], dtype=np.uint8, count=(len(column) + column.offset) * width)
        return data.reshape(-1, width)[column.offset :]
    if pyarrow.types.is_list(kind):
        indptr = np.asarray(column.offsets, dtype=np.int64)
        return indptr - indptr[0], _from_arrow(pyarrow, column.flatten())
    if pyarrow.types.is_fixed_size_list(kind):
        return _from_arrow(pyarrow, column.flatten()).reshape(len(column), kind.list_size)
    return column.to_numpy(zero_copy_only=False)


# ---- Zarr ---------------------------------------------------------------------------------------
def _write_zarr(path: Path, pieces: Iterable[Columns]) -> None:
    group = require_zarr().open_group(str(path), mode="w", zarr_format=3)
    for piece in pieces:
        for name, values in piece.items():
            if isinstance(values, tuple):
                indptr, inner = values
                if name in group:
                    _append(group, name + "_indptr", indptr[1:] + int(group[name + "_indptr"][-1]))
                else:
                    _append(group, name + "_indptr", indptr)
                _append(group, name, inner)
            else:
                _append(group, name, values)


def _append(group: Any, name: str, values: Array) -> None:
    if name in group:
        group[name].append(values)
        return
    array = group.create_array(
        name, shape=values.shape, chunks=(ROWS, *(max(1, s) for s in values.shape[1:])), dtype=values.dtype
    )
    array[:] = values


def _read_zarr(path: Path) -> Iterable[Columns]:
    if path.is_symlink() or not path.is_dir():
        raise FileFormatError(f"{path.name} is no folder")
    group = open_zarr(path)
    yield from _pieces({name: group[name][:] for name in group.array_keys()})


_WRITERS: dict[str, Callable[[Path, Iterable[Columns]], None]] = {
    "npz": _write_npz,
    "parquet": _write_parquet,
    "zarr": _write_zarr,
}
_READERS: dict[str, Callable[[Path], Iterable[Columns]]] = {
    "npz": _read_npz,
    "parquet": _read_parquet,
    "zarr": _read_zarr,
}
