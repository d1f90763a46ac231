"""Parquet files of others: what they may cost is bounded by their size, whatever is wrong is one clear error."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from typing import Any

from ...errors import FileFormatError, MissingDependencyError, PolyfiberError

SLACK = 1 << 28
"""Bytes that any row group may take once it is decoded."""

GROWTH = 64
"""How much larger than its file a row group may be once it is decoded, beyond `SLACK`."""


def open_parquet(source: Any, where: object, *, columns: Sequence[str] | None = None) -> Any:
    """A ``pyarrow.parquet.ParquetFile`` whose row groups stay within ``SLACK + GROWTH * file size`` bytes each.

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
        Not Parquet, a damaged footer, or a row group that would decode to more (a bomb).
    MissingDependencyError
        Without pyarrow.
    """
    try:
        import pyarrow.parquet as pq  # type: ignore[import-untyped,unused-ignore]
    except ImportError:
        raise MissingDependencyError("pyarrow", extra="data", purpose="reading a Parquet file") from None
    with told(where, "not a Parquet file that can be read"):
        file = pq.ParquetFile(source)
        meta = file.metadata
        size = source.seek(0, 2) if hasattr(source, "seek") else os.stat(source).st_size
        for i in range(meta.num_row_groups):
            group = meta.row_group(i)
            chunks = [(group.column(j), file.schema.column(j)) for j in range(group.num_columns)]
            chunks = [c for c in chunks if columns is None or c[0].path_in_schema.partition(".")[0] in columns]
            needed = sum(max(c.total_uncompressed_size, max(8, kind.length) * c.num_values) for c, kind in chunks)
            texts = [c for c, kind in chunks if kind.physical_type == "BYTE_ARRAY"]
            most = needed + sum(
                c.total_uncompressed_size * c.num_values for c in texts
            )  # each value as long as all of them
            if needed <= SLACK + GROWTH * size < most:
                needed += sum(_text_size(pq, source, i, c.path_in_schema) for c in texts)
            if needed > SLACK + GROWTH * size or any(c.num_values < 0 for c, _ in chunks):
                raise FileFormatError(
                    f"{where}: row group {i} would take {needed / 1e6:.4g} MB of memory, the file has {size / 1e6:.4g} MB; "
                    "write it with smaller row groups"
                )
    return file


def _text_size(pq: Any, source: Any, group: int, path: str) -> int:
    """Bytes of the texts of a row group, each counted as often as it stands there; they are read as numbers of a dictionary."""
    import pyarrow as pa  # type: ignore[import-untyped,unused-ignore]
    import pyarrow.compute as pc  # type: ignore[import-untyped,unused-ignore]

    total = 0
    file = pq.ParquetFile(source, read_dictionary=[path])
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
