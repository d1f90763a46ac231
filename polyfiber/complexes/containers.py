"""Arrays in files: ``.npz`` and Zarr, read at a cost in proportion to the size of the file.

Sizes that a file claims are compared with its own before anything is taken: contents may unpack to `FLOOR` bytes and
`RATIO` times the size of what is on the disk, and no more. No link inside a folder is followed. Nothing is unpickled.
"""

from __future__ import annotations

import json
import math
import os
import re
import stat
import zipfile
from collections.abc import Container, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .. import words
from .._typing import Array
from ..budget import Monitor
from ..errors import FileFormatError, MissingDependencyError
from ..network.readers.npz import array_names, parse_npy

FLOOR = 64 << 20
RATIO = 200
CHUNK = 1 << 16
"""Rows of a chunk in Zarr."""
CHUNKS = 1 << 16
"""Chunks of a Zarr array that need not be there: what is zero everywhere is not written."""
DEEPEST = 32
"""Levels that a JSON text may nest."""
JSON_SIZE = 1 << 20
"""Bytes of the JSON text that describes a Zarr array."""


def largest(size: int) -> int:
    """Bytes that the contents of a file or folder of ``size`` bytes may take."""
    return FLOOR + RATIO * size


def parse_json(text: str) -> Any:
    """The data of a JSON text.

    Raises
    ------
    FileFormatError
        No JSON, or nested deeper than `DEEPEST` levels.
    """
    depth = most = 0
    inside = escaped = False
    for c in text:
        if inside:
            inside, escaped = c != '"' or escaped, c == "\\" and not escaped
        elif c == '"':
            inside = True
        elif c in "[{":
            depth += 1
            most = max(most, depth)
        elif c in "]}":
            depth -= 1
    if most > DEEPEST:
        raise FileFormatError(f"a JSON text that nests {most} levels; the limit is {DEEPEST}")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FileFormatError(f"no JSON text: {str(error)[:200]}") from None


def regular(path: Path) -> int:
    """Size of a regular file that is no link.

    Raises
    ------
    FileFormatError
        Something else, or nothing.
    """
    try:
        info = path.lstat()
    except OSError as error:
        raise FileFormatError(f"cannot open {path.name}: {error.strerror or error}") from None
    if not stat.S_ISREG(info.st_mode):
        kind = "a link" if stat.S_ISLNK(info.st_mode) else "no regular file"
        raise FileFormatError(f"{path.name} is {kind}; expected a file")
    return info.st_size


# ---- npz ----------------------------------------------------------------------------------------
def read_npz(path: Path) -> dict[str, Array]:
    """All arrays of an ``.npz`` file, read-only.

    Raises
    ------
    FileFormatError
        Damaged, a pickle, or sizes that are not there or out of proportion.
    """
    size = path.stat().st_size
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        if len({entry.filename for entry in entries}) < len(entries):
            raise FileFormatError("two entries of the same name")
        _proportionate(sum(entry.file_size for entry in entries), size)
        names = array_names(entry.filename for entry in entries)
        return {name: _entry(archive, archive.getinfo(entry)) for name, entry in names.items()}


def _entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Array:
    with archive.open(entry) as stream:
        data = stream.read(entry.file_size + 1)
    if len(data) != entry.file_size:
        raise FileFormatError(f"{entry.filename} has not the {entry.file_size} bytes that it claims")
    return parse_npy(data, entry.filename)


def _proportionate(claimed: int, size: int) -> None:
    if claimed > largest(size):
        raise FileFormatError(
            f"{size:,} bytes claim to unpack to {claimed:,}; the limit for this size is {largest(size):,}",
            claimed=claimed,
        )
    Monitor().check_memory(2 * claimed, "reading")


def write_npz(path: Path, store: dict[str, Array]) -> None:
    """Write arrays, compressed where `read_npz` will take them so."""
    with path.open("wb") as stream:
        np.savez_compressed(stream, **store)  # type: ignore[arg-type]
    if sum(a.nbytes + 128 for a in store.values()) > largest(path.stat().st_size):
        with path.open("wb") as stream:
            np.savez(stream, **store)  # type: ignore[arg-type]


# ---- Zarr ---------------------------------------------------------------------------------------
def require_zarr() -> Any:
    """The package zarr, or `MissingDependencyError`."""
    try:
        import zarr
    except ImportError:
        raise MissingDependencyError("zarr", extra="zarr", purpose="the format Zarr") from None
    return zarr


def open_zarr(path: Path) -> Any:
    """A Zarr group, to read, once all that its arrays claim has been looked at.

    Raises
    ------
    FileFormatError
        Links, arrays out of proportion to what is on the disk, codecs other than those that this library writes.
    MissingDependencyError
    """
    zarr = require_zarr()
    sizes = dict(_files(path))
    root = _described(path / "zarr.json", sizes)
    if root.get("node_type") != "group" or root.get("consolidated_metadata"):
        raise FileFormatError("no plain Zarr group (format 3)")
    total, claimed = sum(sizes.values()), 0
    for name in sorted({file.relative_to(path).parts[0] for file in sizes} - {"zarr.json"}):
        claimed += _array_bytes(path / name, sizes, largest(total))
        _proportionate(claimed, total)
    return zarr.open_group(str(path), mode="r")


def read_zarr(path: Path) -> dict[str, Array]:
    """All arrays of a Zarr group; those with an attribute ``texts`` hold lines of text, and give an array of that
    shape.

    Raises
    ------
    FileFormatError, MissingDependencyError
        As `open_zarr`.
    """
    group = open_zarr(path)
    store: dict[str, Array] = {}
    for name, array in group.arrays():
        store[name] = np.asarray(array[...])
        if "texts" in array.attrs:
            lines = store[name].tobytes().decode().split("\n") if store[name].size else []
            width = max(map(len, lines), default=1)
            _proportionate(4 * width * len(lines), largest(sum(size for _, size in _files(path))) // RATIO)
            store[name] = np.array(lines, dtype=np.str_).reshape(tuple(array.attrs["texts"]))
    return store


def _files(folder: Path) -> Iterator[tuple[Path, int]]:
    """Every file below a folder, with its size; links and other things that are no files are refused."""
    stack = [folder]
    while stack:
        with os.scandir(stack.pop()) as inside:
            entries = list(inside)
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                stack.append(Path(entry.path))
            elif entry.is_file(follow_symlinks=False):
                yield Path(entry.path), entry.stat(follow_symlinks=False).st_size
            else:
                raise FileFormatError(
                    f"{Path(entry.path).relative_to(folder)} is a link or no file; expected files alone"
                )


def _described(path: Path, sizes: dict[Path, int]) -> dict[str, Any]:
    if sizes.get(path, JSON_SIZE + 1) > JSON_SIZE:
        raise FileFormatError(f"{path.parent.name} has no zarr.json, or one of more than {JSON_SIZE:,} bytes")
    data = parse_json(path.read_text(encoding="utf-8"))
    if not isinstance(data, dict) or data.get("zarr_format") != 3:
        raise FileFormatError(f"{path.parent.name} is not of Zarr format 3")
    return data


def _array_bytes(folder: Path, sizes: dict[Path, int], most: int) -> int:
    """Bytes that an array takes, after all that it claims has been looked at."""
    data = _described(folder / "zarr.json", sizes)
    shape, grid, kind = data.get("shape", 0), data.get("chunk_grid"), data.get("data_type")
    if data.get("node_type") != "array" or not isinstance(grid, dict) or grid.get("name") != "regular":
        raise FileFormatError(f"{folder.name} is no array in regular chunks")
    chunk: Any = (grid.get("configuration") or {}).get("chunk_shape")
    if not (_is_shape(shape) and _is_shape(chunk) and len(shape) == len(chunk) and 0 not in chunk and kind in KINDS):
        raise FileFormatError(
            f"{folder.name} is an array of {str(kind)[:40]} of shape {str(shape)[:80]}; expected numbers"
        )
    item = np.dtype(str(kind)).itemsize
    codecs = [c.get("name") if isinstance(c, dict) else None for c in data.get("codecs") or [None]]
    if codecs not in (["bytes"], ["bytes", "zstd"]) or data.get("storage_transformers"):
        raise FileFormatError(f"{folder.name} is encoded by {codecs}; expected bytes, or bytes and zstd")
    count, room = math.prod(-(-s // c) for s, c in zip(shape, chunk)), item * math.prod(chunk)
    files = [file for file in sizes if folder in file.parents and file.name != "zarr.json"]
    if count > CHUNKS + len(files) or max(item * math.prod(shape), room) > most:
        raise FileFormatError(
            f"{folder.name} claims the shape {tuple(shape)} in {count:,} chunks of {room:,} bytes, out of proportion to "
            f"its {words.count(len(files), 'file')}"
        )
    for file in files:
        unpacked = _frame_size(file) if "zstd" in codecs else sizes[file]
        if unpacked != room:
            raise FileFormatError(f"a chunk of {folder.name} unpacks to {unpacked} bytes, not {room}")
    return max(item * math.prod(shape), room if shape and math.prod(shape) else 0)


def _is_shape(value: Any) -> bool:
    return isinstance(value, list) and len(value) <= 8 and all(type(k) is int and k >= 0 for k in value)


KINDS = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64",
)  # fmt: skip


def _frame_size(path: Path) -> int | None:
    """Bytes that the only frame of a zstd file unpacks to, by its header (RFC 8878, 3.1.1.1); None where it does not
    tell.
    """
    with path.open("rb") as stream:
        head = stream.read(18)
    if len(head) < 6 or head[:4] != b"\x28\xb5\x2f\xfd":
        return None
    flag, single, dictionary = head[4] >> 6, (head[4] >> 5) & 1, (0, 1, 2, 4)[head[4] & 3]
    at = 5 + (0 if single else 1) + dictionary
    width = (1 if single else 0, 2, 4, 8)[flag]
    if not width or len(head) < at + width:
        return None
    value = int.from_bytes(head[at : at + width], "little")
    return value + 256 if flag == 1 else value


_ZARR_FILES = re.compile(r"zarr\.json|([A-Za-z0-9_]+)/(zarr\.json|c|c/\d+(/\d+)*)")
_BEGUN = re.compile(r"(?:zarr|([A-Za-z0-9_]+)/(?:zarr|c(?:/\d+)+))\.[0-9a-f]{32}\.partial")


def only_zarr(path: Path, names: Container[str], *, unfinished: bool = False) -> bool:
    """Whether a folder is a Zarr group of arrays of these names, and holds nothing else: no other file, no link.

    ``unfinished``: files that Zarr had begun to write may be there too, or none yet.
    """
    try:
        names_of = [file.relative_to(path).as_posix() for file, _ in _files(path)]
    except (OSError, FileFormatError):
        return False
    found = [_ZARR_FILES.fullmatch(name) or (_BEGUN.fullmatch(name) if unfinished else None) for name in names_of]
    return (unfinished or bool(found)) and all(m is not None and (m[1] is None or m[1] in names) for m in found)


def write_zarr(path: Path, store: dict[str, Array]) -> None:
    """An array each; texts, for which Zarr has no settled type, as bytes of lines with their shape as an attribute."""
    zarr = require_zarr()
    for compressors in ("auto", None):
        group = zarr.open_group(str(path), mode="w", zarr_format=3)
        for name, values in store.items():
            texts = values.dtype.kind == "U"
            data = np.frombuffer("\n".join(values.ravel().tolist()).encode(), dtype=np.uint8) if texts else values
            chunks = tuple(max(1, min(s, CHUNK)) for s in data.shape)
            array = group.create_array(
                name, shape=data.shape, chunks=chunks, dtype=data.dtype, compressors=compressors,
                config={"write_empty_chunks": compressors is None},
            )  # fmt: skip
            array[...] = data
            if texts:
                array.attrs["texts"] = list(values.shape)
        size = sum(size for _, size in _files(path))
        if sum(a.nbytes for a in store.values()) <= largest(size):
            return
