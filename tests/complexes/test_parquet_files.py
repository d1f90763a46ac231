"""Footers and page headers that lie: one clear error before a value is decoded."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.complexes import parquet_files
from polyfiber.complexes.parquet_files import open_parquet
from polyfiber.errors import FileFormatError

from ..oracles import footers
from ..oracles.footers import BINARY, I32, I64, LIST, STRUCT, Claim

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

Fields = list[tuple[int, int, Any]]


def table(rows: int = 40) -> Any:
    return pa.table({
        "architecture": pa.array([[1, 1]] * rows, pa.list_(pa.int64())),
        "parameters": pa.array([[float(i), 0.5] for i in range(rows)], pa.list_(pa.float64())),
        "text": pa.array([f"number {i}" for i in range(rows)]),
    })  # fmt: skip


def written(found: Any, **how: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(found, out, **{"compression": "zstd", "row_group_size": 16, **how})
    return out.getvalue()


def put(fields: Fields, number: int, value: Any) -> None:
    """Give a field another value."""
    at = next(i for i, f in enumerate(fields) if f[0] == number)
    fields[at] = (number, fields[at][1], value)


def chunks(footer: Fields, group: int = 0) -> list[Fields]:
    """What the footer says of the columns of a row group."""
    columns = footers.field(footers.field(footer, 4)[1][group], 1)[1]
    return [footers.field(column, 3) for column in columns]


def test_tables_without_rows_are_read() -> None:
    """pyarrow gives their columns a dictionary and no data page, at 0."""
    found = open_parquet(io.BytesIO(written(table(0))), "empty")
    assert found.read().num_rows == 0


@pytest.mark.parametrize(
    "how",
    [
        {}, {"data_page_version": "2.0"}, {"use_dictionary": False}, {"data_page_size": 1, "write_batch_size": 1}, {"compression": "none"},
        {"row_group_size": 1}, {"compression": "snappy", "write_statistics": False}, {"write_page_index": True}, {"write_page_checksum": True},
    ],
)  # fmt: skip
def test_honest_files(how: dict[str, Any], tmp_path: Path) -> None:
    data = written(table(), **how)
    (tmp_path / "a.parquet").write_bytes(data)
    assert footers.with_footer(*footers.footer_of(data))[-4:] == b"PAR1"
    for source in (str(tmp_path / "a.parquet"), io.BytesIO(data)):
        assert open_parquet(source, "a").read().equals(table())
    assert len(pf.equivalence_classes(tmp_path / "a.parquet")) == 40


def lie_in_footer(change: Callable[[Fields], None]) -> bytes:
    body, footer = footers.footer_of(written(table()))
    change(footer)
    return footers.with_footer(body, footer)


def repeat_a_group(footer: Fields) -> None:
    groups = footers.field(footer, 4)[1]
    groups.extend(groups[:1] * 5)
    put(footer, 3, 120)


def everywhere(footer: Fields, column: int, values: dict[int, int]) -> None:
    for key, value in values.items():
        put(chunks(footer)[column], key, value)


def rows_of_a_group(value: int) -> Callable[[Fields], None]:
    def change(footer: Fields) -> None:
        put(footers.field(footer, 4)[1][0], 3, value)
        put(footer, 3, value + 24)

    return change


LIES: dict[str, Callable[[Fields], None]] = {
    "rows of the file": lambda f: put(f, 3, 10**12),
    "rows of a group": rows_of_a_group(10**12),
    "one row more": rows_of_a_group(1000),
    "negative rows": rows_of_a_group(-5),
    "values": lambda f: put(chunks(f)[1], 5, 10**12),
    "negative values": lambda f: put(chunks(f)[1], 5, -1),
    "offset": lambda f: everywhere(f, 1, {9: 10**9, 11: 10**9}),
    "negative offset": lambda f: put(chunks(f)[1], 9, -7),
    "offset of a dictionary": lambda f: put(chunks(f)[1], 11, 1),
    "size": lambda f: put(chunks(f)[1], 7, 10**9),
    "size that is negative": lambda f: put(chunks(f)[1], 7, -1),
    "size that cuts a page": lambda f: put(chunks(f)[1], 7, 20),
    "overlap": lambda f: everywhere(f, 1, {k: footers.field(chunks(f)[0], k) for k in (7, 9, 11)}),
    "groups without end": lambda f: footers.field(f, 4)[1].insert(0, Claim(2**31 - 1)),
    "a million groups": lambda f: footers.field(f, 4)[1].insert(0, Claim(999_999)),
    "a million columns": lambda f: footers.field(footers.field(f, 4)[1][0], 1)[1].insert(0, Claim(999_999)),
    "the same group often": repeat_a_group,
}  # fmt: skip


@pytest.mark.parametrize("name", LIES)
def test_footers_that_lie(name: str, tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(lie_in_footer(LIES[name]))
    with pytest.raises(FileFormatError) as found:
        open_parquet(str(path), path).read()
    assert len(str(found.value)) < 700
    with pytest.raises(FileFormatError):
        pf.equivalence_classes(path)


def test_what_a_list_claims_takes_no_memory(monkeypatch: Any) -> None:
    """A few hundred bytes that claim a million columns were 680 MB in pyarrow."""
    asked: list[int] = []
    real = pq.ParquetFile

    def watched(*a: Any, **k: Any) -> Any:
        asked.append(k["thrift_container_size_limit"])
        return real(*a, **k)

    monkeypatch.setattr(pq, "ParquetFile", watched)
    data = lie_in_footer(LIES["a million columns"])
    with pytest.raises(FileFormatError):
        open_parquet(io.BytesIO(data), "a")
    assert asked == [int.from_bytes(data[-8:-4], "little")]
    with pytest.raises(FileFormatError, match="larger row groups"):
        open_parquet(io.BytesIO(b"PAR1" + b"\0" * (2 << 20) + (2 << 20).to_bytes(4, "little") + b"PAR1"), "a")


def with_page(number: int, change: Callable[[Fields], None], **how: Any) -> bytes:
    """The header of the first page of a column changed, everything behind it moved, the footer made to fit."""
    body, footer = footers.footer_of(written(table(), **how))
    about = chunks(footer)[number]
    start = footers.field(about, 11) or footers.field(about, 9)
    header, end = footers.parse(body, start)
    change(header)
    new = footers.emit(header)
    moved = len(new) - (end - start)
    for group in footers.field(footer, 4)[1]:
        for column in footers.field(group, 1)[1]:
            facts = footers.field(column, 3)
            for key in (9, 11):
                if (footers.field(facts, key) or 0) > start:
                    put(facts, key, footers.field(facts, key) + moved)
    put(about, 7, footers.field(about, 7) + moved)
    return footers.with_footer(body[:start] + new + body[end:], footer)


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize(
    ("what", "match"),
    [("unpacked", "would take"), ("values", "would take"), ("negative", "damaged"), ("packed", "damaged"), ("twice", "twice")],
)  # fmt: skip
def test_pages_that_lie(version: str, what: str, match: str) -> None:
    key = 5 if version == "1.0" else 8
    change: dict[str, Callable[[Fields], None]] = {
        "unpacked": lambda h: put(h, 2, 2**31 - 1),
        "values": lambda h: put(footers.field(h, key), 1, 2**31 - 1),
        "negative": lambda h: put(h, 2, -1),
        "packed": lambda h: put(h, 3, 2**30),
        "twice": lambda h: h.append((2, I32, 5)),
    }
    data = with_page(1, change[what], use_dictionary=False, data_page_version=version)
    with pytest.raises(FileFormatError, match=match):
        open_parquet(io.BytesIO(data), "a")
    assert open_parquet(io.BytesIO(data), "a", columns=["architecture"]) is not None


def test_a_footer_that_hides_a_bomb() -> None:
    """A quarter of a megabyte unpacks to 400 MB, the footer speaks of ten bytes and one value."""
    flat = pa.array(np.zeros(50_000_000))
    data = written(pa.table({"x": flat}), use_dictionary=False, data_page_size=1 << 30, row_group_size=1 << 30,
                   write_batch_size=1 << 30)  # fmt: skip
    body, footer = footers.footer_of(data)
    for key, value in ((5, 1), (6, 10)):
        put(chunks(footer)[0], key, value)
    put(footers.field(footer, 4)[1][0], 3, 1)
    put(footer, 3, 1)
    lying = footers.with_footer(body, footer)
    assert len(lying) < 300_000
    with pytest.raises(FileFormatError, match="would take 400"):
        open_parquet(io.BytesIO(lying), "a")


def test_many_groups_that_are_small_each(monkeypatch: Any) -> None:
    """Each row group stays within the limit, all of them together do not."""
    monkeypatch.setattr(parquet_files, "SLACK", 1 << 20)
    column = pa.array(np.zeros(100_000))
    out = io.BytesIO()
    with pq.ParquetWriter(out, pa.schema([("x", pa.float64())]), compression="zstd") as writer:
        for _ in range(40):
            writer.write_table(pa.table({"x": column}))
    with pytest.raises(FileFormatError, match="all row groups together"):
        open_parquet(io.BytesIO(out.getvalue()), "a")


def test_histograms_of_other_lengths_end_no_process() -> None:
    """pyarrow 26 ends the process where a column has more sizes of levels than levels."""
    body, footer = footers.footer_of(written(table()))
    sizes = footers.field(chunks(footer)[0], 16)
    if sizes is None:
        pytest.skip("this pyarrow writes none")
    footers.field(sizes, 3)[1].append(3)
    with pytest.raises(FileFormatError, match="5 sizes for 4 levels"):
        open_parquet(io.BytesIO(footers.with_footer(body, footer)), "a")


def test_lists_in_a_header_without_end() -> None:
    """Ten bytes that claim 2^62 truths, each of which takes no byte."""
    for inner in (1, 3):
        head = bytes([0x19, 0xF0 | inner]) + b"\xff" * 8 + b"\x3f\0"
        with pytest.raises(IndexError):
            parquet_files._header(head, 0)
    deep = bytes([0x1C]) * 200 + b"\0" * 201
    with pytest.raises(FileFormatError, match="nested"):
        parquet_files._header(deep, 0)
    nested = [(1, LIST, (STRUCT, [[(1, I64, 7), (2, BINARY, b"abc")]])), (300, I32, -4)]
    assert parquet_files._header(footers.emit(nested), 0)[0] == {1: [{1: 7, 2: None}], 300: -4}
