"""Specs and Parquet files that lie: one clear error, and a run that ends."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import polyfiber as pf
from polyfiber.datasets import load, make_plan, read_spec, run, validate
from polyfiber.datasets.storage.arrow import open_parquet
from polyfiber.equivalence.collections.collection import write_parquet
from polyfiber.errors import FileFormatError, InputError

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

CASES = Path(__file__).resolve().parents[2] / ".." / "shared" / "cases" / "hostile"
REFUSED = sorted(CASES.glob("spec_*.toml"))
RUNS = {"spec_dom_tiny", "spec_linear_big", "spec_scale_dom", "spec_split_big"}


@pytest.mark.parametrize("path", REFUSED, ids=lambda p: p.stem)
def test_specs_of_the_collection(path: Path, tmp_path: Path) -> None:
    if path.stem in RUNS:
        assert make_plan(read_spec(path)).partitions
        return
    with pytest.raises(InputError) as found:
        read_spec(path)
    assert len(str(found.value)) < 1000


LISTS = pa.list_(pa.int64())
FLOATS = pa.list_(pa.float64())


@pytest.mark.parametrize(
    ("architecture", "parameters", "kinds", "match"),
    [
        ([[2, 1]], [[1.0, 2.0]], (LISTS, FLOATS), "holds 2 parameters"),
        ([[-2, -1]], [[1.0]], (LISTS, FLOATS), "no whole numbers >= 1"),
        ([[2, 0, 1]], [[1.0]], (LISTS, FLOATS), "no whole numbers >= 1"),
        ([[3]], [[]], (LISTS, FLOATS), "expected at least two"),
        ([[1 << 40, 1]], [[1.0]], (LISTS, FLOATS), "no whole numbers >= 1"),
        ([[1, 1], None], [[1.0, 1.0], [1.0, 1.0]], (LISTS, FLOATS), "holds nulls"),
        ([[1, None]], [[1.0, 1.0]], (LISTS, FLOATS), "no whole numbers >= 1"),
        ([[1, 1]], [[1.0, None]], (LISTS, FLOATS), "not finite"),
        ([[1.0, 1.0]], [[1.0, 1.0]], (FLOATS, FLOATS), "expected lists of whole numbers"),
        ([[1, 1]], [["a"]], (LISTS, pa.list_(pa.string())), "expected lists of floats"),
        ([[[1, 1]]], [[1.0]], (pa.list_(LISTS), FLOATS), "expected lists of whole numbers"),
        ([1], [[1.0]], (pa.int64(), FLOATS), "expected lists of whole numbers"),
    ],
)
def test_parquet_tables_that_are_no_networks(tmp_path: Path, architecture, parameters, kinds, match) -> None:  # type: ignore[no-untyped-def]
    columns = [pa.array(architecture, type=kinds[0]), pa.array(parameters, type=kinds[1])]
    pq.write_table(pa.table(dict(zip(("architecture", "parameters"), columns))), tmp_path / "a.parquet")
    with pytest.raises(FileFormatError, match=match):
        pf.equivalence_classes(tmp_path / "a.parquet")
    (tmp_path / "s.toml").write_text('name="x"\nseed=1\n[[networks]]\nkind="files"\npaths=["a.parquet"]\n')
    with pytest.raises(FileFormatError, match=match):
        read_spec(tmp_path / "s.toml")


def test_a_small_file_with_a_huge_column(tmp_path: Path) -> None:
    """Two hundred million equal numbers fit into a few kilobytes."""
    path = tmp_path / "bomb.parquet"
    column = pa.DictionaryArray.from_arrays(pa.array([0] * 1000, pa.int8()), pa.array([1.5]))
    flat = pa.chunked_array([column] * 60_000).cast(pa.float64()).combine_chunks()
    lists = pa.ListArray.from_arrays(pa.array([0, len(flat)], pa.int32()), flat)
    pq.write_table(pa.table({"architecture": pa.array([[2, 1]], LISTS), "parameters": lists}), path, compression="zstd")
    assert path.stat().st_size < 100_000
    with pytest.raises(FileFormatError, match="would take"):
        pf.equivalence_classes(path)


@pytest.mark.parametrize("column", ["wiring", "failed", "reasons"])
def test_a_small_file_with_one_long_text_in_every_row(tmp_path: Path, column: str) -> None:
    """A megabyte, two thousand times, fits into a kilobyte: what counts is what the rows hold."""
    path, rows = tmp_path / "bomb.parquet", 2000
    text = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array(["x" * (1 << 20)]))
    if column == "reasons":
        text = pa.ListArray.from_arrays(pa.array(range(rows + 1), pa.int32()), text)
    columns = {"architecture": pa.array([[1, 1]] * rows, LISTS), "parameters": pa.array([[1.0, 0.0]] * rows, FLOATS)}
    pq.write_table(pa.table({**columns, column: text}), path, compression="zstd", store_schema=False)
    assert path.stat().st_size < 4000
    with pytest.raises(FileFormatError, match="would take 2"):
        open_parquet(str(path), path)
    if column == "wiring":
        with pytest.raises(FileFormatError, match="would take"):
            pf.equivalence_classes(path)
        (tmp_path / "s.toml").write_text('name="x"\nseed=1\n[[networks]]\nkind="files"\npaths=["bomb.parquet"]\n')
        with pytest.raises(FileFormatError, match="would take"):
            read_spec(tmp_path / "s.toml")
    honest = pa.table({**columns, column: pa.array(["a sentence of some length"] * rows)})
    pq.write_table(honest, path, compression="zstd")
    assert open_parquet(str(path), path).metadata.num_rows == rows


def test_a_dataset_with_networks_that_could_not_be_made(tmp_path: Path) -> None:
    spec = {
        "name": "fail", "seed": 3,
        "networks": [
            {"name": "b", "kind": "random", "architecture": [3, 5, 4, 3, 2], "count": 3},
            {"name": "f", "kind": "fiber", "of": "b"},
        ],
    }  # fmt: skip
    report = run(spec, tmp_path / "d", workers=0)
    assert report.failed == 3
    labels = pf.equivalence_classes(tmp_path / "d" / "networks")
    assert labels.tolist() == [0, 1, 2, -1, -1, -1]
    with pytest.raises(InputError, match="could not be made"):
        load(tmp_path / "d").network(4)


def test_networks_that_a_worker_cannot_hold(tmp_path: Path) -> None:
    wide = [{"kind": "random", "architecture": [2, 2000, 700, 1], "count": 2}, {"kind": "linear", "architecture": [9] * 7, "count": 1},
            {"kind": "trained", "data": "iris", "hidden": [3000, 1000], "count": 1}, {"kind": "graphs", "architecture": [2, 2000, 700, 1], "count": 1},
            {"kind": "random", "architecture": [2, 300, 300, 1], "count": 40}]  # fmt: skip
    pytest.importorskip("sklearn")
    spec = {"name": "wide", "seed": 3, "memory": "64MB", "networks": wide}
    report = run(spec, tmp_path / "d", workers=0)
    assert (report.complete, report.failed) == (True, 5)
    rows = load(tmp_path / "d")["networks"].to_arrow(["failed"]).to_pylist()
    assert all("needs about" in row["failed"] for row in rows[:5])
    file = load(tmp_path / "d")["networks"].open("networks/part-00004.parquet")
    assert file.metadata.num_row_groups > 1  # 29 MB in rows of 0.7 MB
    assert validate(tmp_path / "d", rows=10, rng=0).ok


def test_a_network_that_takes_too_long_is_skipped(tmp_path: Path) -> None:
    entry = {"kind": "random", "architecture": [4, 24, 24, 1], "count": 2}
    spec = {"name": "slow", "seed": 3, "seconds": 1e-3, "networks": [entry], "tables": {"complexes": {}}}
    report = run(spec, tmp_path / "d", workers=0)
    assert report.skipped == 2
    reasons = load(tmp_path / "d")["networks"].to_arrow(["reasons"]).to_pylist()
    assert all("needs more time than the spec allows" in r["reasons"][0] for r in reasons)


def test_a_collection_is_not_written_into_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("", "pipe"):
        with pytest.raises(InputError, match="is no file"):
            write_parquet([pf.ReLUNetwork.random((2, 3, 1), rng=0)], tmp_path / name)
