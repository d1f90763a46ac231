"""Columns on their way to pandas, Arrow and xarray: the real packages, or what is missing."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.columns import Columns
from polyfiber.errors import InputError, MissingDependencyError, ShapeError

NET = pf.ReLUNetwork.random((2, 4, 3, 2), rng=0)


def tables() -> list[Columns]:
    cx = pf.canonical_complex(NET)
    batch = pf.NetworkBatch.random((4, 4, 3, 1), 4, rng=0)
    groups = pf.group_networks([NET, NET, pf.ReLUNetwork.random((2, 4, 3, 2), rng=1)])
    return [
        *(cx.table(rows) for rows in ("regions", "facets", "vertices")),
        pf.fibers.classify_batch(batch).table(),
        groups.table(),
    ]


def same(values: Any, found: Any) -> bool:
    """Equal entries; what is not a number equals itself."""
    values, found = np.asarray(values), np.asarray(found)
    if values.dtype.kind == "f":
        return np.array_equal(values, found.astype(np.float64), equal_nan=True)
    return values.tolist() == found.tolist()


def test_pandas() -> None:
    pytest.importorskip("pandas")
    for table in tables():
        frame = table.to_pandas()
        assert len(frame) == table.n_rows
        assert frame.index.name == table.row
        for name, values in table.items():
            parts = [name] if values.ndim == 1 else [c for c in frame.columns if c.startswith(f"{name}[")]
            assert same(values.reshape(table.n_rows, -1), frame[parts].to_numpy())


def test_arrow() -> None:
    pytest.importorskip("pyarrow")
    for table in tables():
        arrow = table.to_arrow()
        assert arrow.num_rows == table.n_rows
        assert arrow.column_names == list(table)
        for name, values in table.items():
            assert same(values, arrow[name].to_pylist())
            meaning = arrow.schema.field(name).metadata
            assert (meaning or {}).get(b"meaning", b"").decode() == table.meaning.get(name, "")


def test_xarray() -> None:
    pytest.importorskip("xarray")
    for table in tables():
        dataset = table.to_xarray()
        assert dict(dataset.sizes)[table.row] == table.n_rows
        assert set(dataset.variables) == set(table)  # a column of the rows' name is their coordinate
        for name, values in table.items():
            assert same(values, dataset[name].values)
            assert dataset[name].dims[0] == table.row
            assert dataset[name].attrs.get("meaning", "") == table.meaning.get(name, "")


def test_no_rows_and_no_numbers() -> None:
    empty = Columns("cell", {"a": np.zeros(0), "b": np.zeros((0, 2))})
    if pytest.importorskip("pyarrow"):
        assert empty.to_arrow().num_rows == 0
        with pytest.raises(InputError, match="size 0"):
            Columns("cell", {"a": np.zeros((3, 0))}).to_arrow()
    with pytest.raises(ShapeError, match="different lengths"):
        Columns("cell", {"a": np.zeros(2), "b": np.zeros(3)})
    with pytest.raises(KeyError, match="there is no column 'c'"):
        empty["c"]


@pytest.mark.parametrize(
    ("package", "method"), [("pandas", "to_pandas"), ("pyarrow", "to_arrow"), ("xarray", "to_xarray")]
)
def test_a_package_that_is_missing_is_named(package: str, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependencyError, match=package):
        getattr(Columns("cell", {"a": np.zeros(2)}), method)()
