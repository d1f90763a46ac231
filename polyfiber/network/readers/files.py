"""Bytes of a file that may be hostile: sizes are checked before anything is allocated."""

from __future__ import annotations

import io
import math
import stat
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ..._typing import Array
from ...errors import FileFormatError, MissingDependencyError, MissingFileError, PolyfiberError
from ..names import printable

MAX_FILE = 1 << 30
"""Largest file that is read, in bytes."""

INFLATE_FLOOR = 64 << 20
INFLATE_RATIO = 50
"""Compressed contents may unpack to INFLATE_FLOOR + INFLATE_RATIO * (file size) bytes in all."""


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Put the name of a file before what is said of it; a damaged file may trip anything: one clear error, never a
    trace.
    """
    try:
        yield
    except MissingDependencyError:
        raise
    except PolyfiberError as error:
        named = str(path) if isinstance(error, MissingFileError) else path.name or str(path)
        raise type(error)(f"{printable(named)}: {printable(str(error), 1200)}", **error.facts) from None
    except Exception as error:
        raise FileFormatError(
            f"{printable(path.name or str(path))}: cannot be read, probably damaged ({type(error).__name__}: {printable(str(error))})"
        ) from error


def read_bytes(path: Path) -> bytes:
    """The contents of a regular file, or one clear error."""
    try:
        info = path.stat()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        if isinstance(error, FileNotFoundError):
            raise MissingFileError(f"cannot open the file: {reason}", path=path) from None
        raise FileFormatError(f"cannot open the file: {reason}") from None
    if stat.S_ISDIR(info.st_mode):
        raise FileFormatError(
            "this is a directory; expected a file. A TensorFlow SavedModel or an unpacked checkpoint "
            "must be exported as ONNX, .keras or .h5 first"
        )
    if not stat.S_ISREG(info.st_mode):
        raise FileFormatError("this is not a regular file")
    if info.st_size == 0:
        raise FileFormatError("the file is empty")
    if info.st_size > MAX_FILE:
        raise FileFormatError(f"the file has {info.st_size:,} bytes; the limit is {MAX_FILE:,}", size=info.st_size)
    try:
        return path.read_bytes()
    except OSError as error:
        raise FileFormatError(f"cannot read the file: {error.strerror or error}") from None


def inflated_limit(size: int) -> int:
    """How many bytes the contents of a compressed file of ``size`` bytes may take."""
    return INFLATE_FLOOR + INFLATE_RATIO * size


class Zip:
    """A zip archive in memory whose entries are read only up to their declared, limited size."""

    def __init__(self, data: bytes) -> None:
        try:
            self._archive = zipfile.ZipFile(io.BytesIO(data))
            self._entries = {info.filename: info for info in self._archive.infolist()}
        except Exception as error:
            raise FileFormatError(f"a damaged zip archive: {str(error)[:200]}") from None
        if len(self._entries) != len(self._archive.infolist()):
            raise FileFormatError("the archive holds two entries of the same name")
        total = sum(info.file_size for info in self._entries.values())
        if total > inflated_limit(len(data)):
            raise FileFormatError(
                f"the archive has {len(data):,} bytes and claims to unpack to {total:,}; "
                f"the limit for its size is {inflated_limit(len(data)):,}",
                claimed=total,
            )

    @property
    def names(self) -> list[str]:
        return list(self._entries)

    def size(self, name: str) -> int:
        """Declared size of an entry in bytes."""
        if name not in self._entries:
            raise FileFormatError(f"the archive has no entry {name!r}")
        return self._entries[name].file_size

    def read(self, name: str) -> bytes:
        """One entry; never more than its declared size."""
        size = self.size(name)
        try:
            with self._archive.open(self._entries[name]) as stream:
                data = stream.read(size + 1)
        except Exception as error:
            raise FileFormatError(f"the archive's entry {name!r} cannot be unpacked: {str(error)[:200]}") from None
        if len(data) != size:
            raise FileFormatError(f"the archive's entry {name!r} has {len(data)} bytes; it declares {size}")
        return data


def count(shape: Sequence[int], what: str) -> int:
    """Number of elements of a declared shape, checked to be one (numbers >= 0, few axes)."""
    if len(shape) > 16:
        raise FileFormatError(f"{what} declares {len(shape)} axes; the limit is 16")
    if any(n < 0 for n in shape):
        raise FileFormatError(f"{what} declares the shape {tuple(shape)}; sizes cannot be negative")
    if 0 in shape and math.prod(max(n, 1) for n in shape) >= 1 << 48:
        raise FileFormatError(f"{what} declares the shape {tuple(shape)}, more than any file holds")
    return math.prod(shape)


def array_from(data: bytes | memoryview, dtype: str, shape: Sequence[int], what: str) -> Array:
    """Raw little-endian numbers as an array, after comparing the declared size with what is there."""
    item = 2 if dtype == "bfloat16" else np.dtype(dtype).itemsize
    expected = count(shape, what) * item
    if expected != len(data):
        raise FileFormatError(
            f"{what} declares shape {tuple(shape)} of {dtype}, which takes {expected:,} bytes; {len(data):,} are there",
            expected=expected,
            found=len(data),
        )
    if dtype == "bfloat16":
        return widen_bfloat16(np.frombuffer(data, dtype="<u2")).reshape(shape)
    return np.frombuffer(data, dtype=np.dtype(dtype).newbyteorder("<")).reshape(shape)


def widen_bfloat16(bits: Array) -> Array:
    """bfloat16 bit patterns as float32, exactly."""
    return np.asarray(bits.astype(np.uint32) << np.uint32(16)).view(np.float32)
