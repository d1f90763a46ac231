"""Parquet files of others: what they may cost is bounded by their size, whatever is wrong is one clear error.

A footer says how many values a column has and where its pages lie, pages say how large they are. Neither is believed:
the headers of all pages are read, and what they claim is compared with the size of the file before a value is decoded.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from .. import words
from ..errors import FileFormatError, MissingDependencyError, PolyfiberError

SLACK = 1 << 27
"""Bytes that any row group may take once it is decoded, and an eighth of what all of them may."""

GROWTH = 64
"""How much larger than its file a row group may be once it is decoded, beyond `SLACK`."""

WHOLE = 256
"""How much larger than its file all row groups together may be, beyond eight times `SLACK`."""

FOOTER = 1 << 20
"""Bytes of a footer that is always read; more may be a quarter of the file. In memory it becomes up to 500 times as
large.
"""

WINDOW = 1 << 12
"""Bytes that are read at a time for headers of pages, and up to `HEADER` where one is longer."""
HEADER = 1 << 24

PAGES = 1 << 10
"""Pages that a column may have, and one for each 64 of its bytes more."""

DELTA_BYTE_ARRAY = 7
"""The encoding in which each text is the beginning of the one before, and an end: nothing bounds their length but
reading them.
"""


def open_parquet(source: Any, where: object, *, columns: Sequence[str] | None = None) -> Any:
    """A ``pyarrow.parquet.ParquetFile`` that may be read: its row groups stay within limits in proportion to its size.

    A row group decodes to at most ``SLACK + GROWTH * size`` bytes, all of them to ``8 * SLACK + WHOLE * size``, a
    footer has at most ``FOOTER + size / 4`` bytes.

    Parameters
    ----------
    source : str or binary file
    where : object
        How errors call it.
    columns : sequence of str, optional
        The columns that will be read; all by default.

    Raises
    ------
    FileFormatError
        Not Parquet, a damaged footer, a footer that its pages contradict, or more than that (a bomb).
    MissingDependencyError
        Without pyarrow.
    """
    try:
        import pyarrow.parquet as pq  # type: ignore[import-untyped,unused-ignore]
    except ImportError:
        raise MissingDependencyError("pyarrow", extra="data", purpose="reading a Parquet file") from None
    with told(where, "not a Parquet file that can be read"), _stream(source) as stream:
        size = stream.seek(0, os.SEEK_END)
        footer = _footer(stream, size, where)
        limits = {"thrift_container_size_limit": max(1, min(len(footer), 1_000_000))}
        file = pq.ParquetFile(source, **limits)
        _check_histograms(footer, file, where)
        _check(pq, source, stream, size, file, where, columns, limits)
    return file


@contextlib.contextmanager
def _stream(source: Any) -> Iterator[Any]:
    """The bytes of a source; what the caller opened stays open."""
    if hasattr(source, "seek"):
        yield source
        source.seek(0)
    else:
        with open(source, "rb", buffering=0) as stream:
            yield stream


def _footer(stream: Any, size: int, where: object) -> bytes:
    """The footer; nothing where there is none."""
    stream.seek(max(0, size - 8))
    end = stream.read(8)
    length = int.from_bytes(end[:4], "little")
    if end[4:] != b"PAR1" or length > size - 8:
        return b""
    if length > FOOTER + size // 4:
        raise FileFormatError(
            f"{where}: a footer of {length / 1e6:.4g} MB in {size / 1e6:.4g} MB; write the file with larger row groups"
        )
    stream.seek(size - 8 - length)
    return bytes(stream.read(length))


def _check_histograms(footer: bytes, file: Any, where: object) -> None:
    """Refuse histograms of levels of another length than a column has levels: at these pyarrow ends the process."""
    try:
        groups = _header(footer, 0)[0].get(4) or []
        for group in groups:
            for j, column in enumerate(group.get(1) or []):
                kind, found = file.schema.column(j), (column.get(3) or {}).get(16) or {}
                for key, levels in ((2, kind.max_repetition_level), (3, kind.max_definition_level)):
                    if found.get(key) and len(found[key]) != levels + 1:
                        raise FileFormatError(f"{where}: damaged: {len(found[key])} sizes for {levels + 1} levels")
    except (AttributeError, TypeError):
        raise FileFormatError(f"{where}: damaged: a footer of other fields") from None


@dataclass
class _Chunk:
    """A column of a row group, as its pages are."""

    path: str
    start: int
    length: int
    texts: bool
    width: int
    values: int
    unpacked: int = 0
    counted: int = 0
    delta: bool = False

    @property
    def needed(self) -> int:
        """Bytes that it takes once it is decoded, texts apart."""
        return max(self.unpacked, self.width * max(self.values, self.counted))


def _check(
    pq: Any, source: Any, stream: Any, size: int, file: Any, where: object, columns: Any, limits: dict[str, int]
) -> None:
    """Refuse a file whose footer lies, or which would take more than it may."""
    meta, most, total, places = file.metadata, SLACK + GROWTH * size, 0, []
    if meta.num_rows != sum(meta.row_group(i).num_rows for i in range(meta.num_row_groups)):
        raise FileFormatError(
            f"{where}: the row groups do not have the {words.count(meta.num_rows, 'row')} that the footer claims"
        )
    for i in range(meta.num_row_groups):
        chunks = list(_chunks(file, meta.row_group(i), size, columns, f"{where}: row group {i}"))
        for chunk in chunks:
            _walk(stream, chunk, f"{where}: row group {i}, {chunk.path}")
            if not 0 <= meta.row_group(i).num_rows <= chunk.counted:
                raise FileFormatError(
                    f"{where}: row group {i} claims {words.count(meta.row_group(i).num_rows, 'row')}, its pages hold {words.count(chunk.counted, 'value')}"
                )
        places += [(c.start, c.start + c.length) for c in chunks if c.length]
        needed, texts = sum(c.needed for c in chunks), [c for c in chunks if c.texts]
        if needed <= most < needed + sum(c.unpacked * c.counted for c in texts):  # each as long as all of them
            needed += sum(_text_size(pq, source, i, c.path, limits) for c in texts if not c.delta)
            needed += sum(c.unpacked * c.counted for c in texts if c.delta)
        total += needed
        if needed > most or total > 8 * SLACK + WHOLE * size:
            what, remedy = (f"row group {i}", "row groups") if needed > most else ("all row groups together", "files")
            raise FileFormatError(
                f"{where}: {what} would take {max(needed, total) / 1e6:.4g} MB of memory, the file has {size / 1e6:.4g} MB; "
                f"write smaller {remedy}"
            )
    places.sort()
    if any(stop > start for (_, stop), (start, _) in pairwise(places)):
        raise FileFormatError(f"{where}: damaged: columns overlap in the file")


def _chunks(file: Any, group: Any, size: int, columns: Any, where: str) -> Iterator[_Chunk]:
    """The columns of a row group that will be read, where pyarrow looks for their pages."""
    for j in range(group.num_columns):
        about, kind = group.column(j), file.schema.column(j)
        if columns is not None and kind.path.partition(".")[0] not in columns:
            continue
        first, start, length = about.dictionary_page_offset, about.data_page_offset, about.total_compressed_size
        start = first if first is not None and 0 < first < start else start
        if start < 0 or length < 0 or start + length > size or about.num_values < 0:
            raise FileFormatError(f"{where}: damaged: pages outside of the file, or a negative count")
        if about.num_values == 0 == group.num_rows:
            start = length = 0  # nothing is read; pyarrow writes a dictionary and no data page, at 0
        texts = kind.physical_type == "BYTE_ARRAY"
        yield _Chunk(kind.path, start, length, texts, max(8, kind.length), about.num_values)


def _text_size(pq: Any, source: Any, group: int, path: str, limits: dict[str, int]) -> int:
    """Bytes of the texts of a row group, each counted as often as it stands there; they are read as numbers of a
    dictionary.
    """
    import pyarrow as pa  # type: ignore[import-untyped,unused-ignore]
    import pyarrow.compute as pc  # type: ignore[import-untyped,unused-ignore]

    total = 0
    file = pq.ParquetFile(source, read_dictionary=[path], **limits)
    for batch in file.iter_batches(batch_size=1 << 16, row_groups=[group], columns=[path]):
        for column in batch.columns:
            while pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
                column = column.flatten()
            if pa.types.is_dictionary(column.type):
                sizes, places = pc.binary_length(column.dictionary), column.indices.drop_null()
                total += pc.sum(sizes.take(places)).as_py() or 0
            else:
                total += column.nbytes
    return total


# ---- headers of pages ---------------------------------------------------------------------------
def _walk(stream: Any, chunk: _Chunk, where: str) -> None:
    """Add up what the headers of the pages of a column claim, from the first byte of the column to its last."""
    at, stop, base, window, pages = chunk.start, chunk.start + chunk.length, -1, b"", 0
    while at < stop:
        reach, pages = WINDOW, pages + 1
        while True:
            try:
                header, end = _header(window, at - base if base >= 0 else len(window))
                break
            except IndexError:
                if base == at and (len(window) == stop - at or reach > HEADER):
                    raise FileFormatError(f"{where}: damaged: the header of a page does not end") from None
                reach *= 16 if base == at else 1
                stream.seek(at)
                base, window = at, stream.read(min(reach, stop - at))
        kind, unpacked, packed = (header.get(key) for key in (1, 2, 3))
        if not all(isinstance(k, int) and k >= 0 for k in (kind, unpacked, packed)):
            raise FileFormatError(f"{where}: damaged: a page without its sizes")
        chunk.unpacked += unpacked  # type: ignore[operator]
        for key, encoding in ((5, 2), (8, 4)):  # data pages of both versions
            page = header.get(key)
            if page is not None:
                count = page.get(1) if isinstance(page, dict) else None
                if not isinstance(count, int) or count < 0:
                    raise FileFormatError(f"{where}: damaged: a page without its number of values")
                chunk.counted += count
                chunk.delta |= page.get(encoding) == DELTA_BYTE_ARRAY
        at = base + end + packed  # type: ignore[operator]
    if at > stop or pages > PAGES + chunk.length // 64:
        what = "a page is longer than its column" if at > stop else f"{pages} pages in {chunk.length} bytes"
        raise FileFormatError(f"{where}: damaged: {what}")


def _header(data: bytes, at: int, depth: int = 0) -> tuple[dict[int, Any], int]:
    """The fields of a structure in Thrift's compact protocol: whole numbers, structures, lists of them; of the rest,
    None.

    IndexError where the bytes end before it.
    """
    fields: dict[int, Any] = {}
    last = 0
    if depth > 16:
        raise FileFormatError("structures nested too deeply")
    while head := data[at]:
        at += 1
        if head >> 4:
            last += head >> 4
        else:
            value, at = _number(data, at)
            last = (value >> 1) ^ -(value & 1)
        if last in fields:
            raise FileFormatError(f"field {last} stands there twice")
        fields[last], at = _value(data, at, head & 15, depth)
    return fields, at + 1


def _number(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
        if shift > 63:
            raise FileFormatError("a number of more than 64 bits")


def _value(data: bytes, at: int, kind: int, depth: int) -> tuple[Any, int]:
    if kind in (1, 2):  # true, false
        return None, at
    if kind in (3, 7):  # a byte, a double
        return None, _within(data, at + (1 if kind == 3 else 8))
    if kind in (4, 5, 6):
        value, at = _number(data, at)
        return (value >> 1) ^ -(value & 1), at
    if kind == 8:
        value, at = _number(data, at)
        return None, _within(data, at + value)
    if kind in (9, 10):
        head, at = data[at], at + 1
        count = head >> 4
        if count == 15:
            count, at = _number(data, at)
        if head & 15 <= 3:  # truths and bytes
            return None, _within(data, at + count)
        values = []
        for _ in range(count):
            value, at = _value(data, at, head & 15, depth + 1)
            values.append(value)
        return values, at
    if kind == 12:
        return _header(data, at, depth + 1)
    raise FileFormatError(f"a value of type {kind}")


def _within(data: bytes, at: int) -> int:
    if at > len(data):
        raise IndexError(at)
    return at


@contextlib.contextmanager
def told(where: object, what: str = "cannot be read") -> Iterator[None]:
    """Whatever pyarrow raises at a damaged file, as one clear error."""
    try:
        yield
    except PolyfiberError:
        raise
    except Exception as error:  # pyarrow raises many kinds
        text = "it does not fit into memory" if isinstance(error, MemoryError) else " ".join(str(error).split())[:300]
        raise FileFormatError(f"{where}: {what}: {text}") from None
