"""Datasets that are read: columns, rows of one network, and what is not finished or not one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from polyfiber.datasets import Networks, Spec, load, run
from polyfiber.datasets.reader import Dataset, Ragged, to_numpy
from polyfiber.errors import FileFormatError, IncompleteError, InputError

pa = pytest.importorskip("pyarrow")

SPEC: dict[str, Any] = {
    "name": "tiny", "seed": 1, "partition": 2,
    "networks": [{"kind": "random", "architecture": [2, 4, 1], "count": 5}],
}  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("data") / "tiny"
    assert run(SPEC, folder, workers=0).complete
    return load(folder)


def test_lists_of_different_lengths() -> None:
    column = Ragged(np.arange(6), np.array([0, 2, 2, 6]))
    assert [row.tolist() for row in column] == [[0, 1], [], [2, 3, 4, 5]]
    assert column[-1].tolist() == [2, 3, 4, 5]
    for wrong in (3, -4):
        with pytest.raises(IndexError, match="of 3"):
            column[wrong]
    with pytest.raises(InputError, match="between 0 and 4 entries"):
        column.stacked()
    nested = Ragged(Ragged(np.arange(6), np.array([0, 3, 6])), np.array([0, 2]))
    assert [row.tolist() for row in nested[0]] == [[0, 1, 2], [3, 4, 5]]
    assert nested.stacked().tolist() == [[[0, 1, 2], [3, 4, 5]]]
    assert Ragged(np.zeros(0), np.array([0])).stacked().shape == (0, 0)


def test_arrow_columns_of_several_chunks() -> None:
    chunked = pa.chunked_array([pa.array([[1], [2, 3]]), pa.array([None, [4]], type=pa.list_(pa.int64()))])
    found = to_numpy(chunked)
    assert found.values.tolist() == [1, 2, 3, 4]
    assert found.offsets.tolist() == [0, 1, 3, 3, 4]
    assert found.valid.tolist() == [True, True, False, True]
    assert to_numpy(chunked.slice(1, 1))[0].tolist() == [2, 3]
    assert np.isnan(to_numpy(pa.array([1.0, None]))).tolist() == [False, True]
    assert to_numpy(pa.chunked_array([], type=pa.int64())).tolist() == []


def test_networks_are_those_of_the_spec(data: Dataset) -> None:
    nets = Networks(Spec.of(SPEC))
    assert list(data) == ["networks"]
    assert len(data["networks"]) == 5
    for k in range(5):
        assert data.network(k) == nets.item(k).network
    for wrong in (5, -1):
        with pytest.raises(InputError, match="does not exist; there are 5"):
            data.network(wrong)
    with pytest.raises(InputError, match="has no table 'cells'"):
        data["cells"]


def test_columns_batches_and_rows_of_one_network(data: Dataset) -> None:
    view = data["networks"]
    assert view.to_numpy(["network"])["network"].tolist() == [0, 1, 2, 3, 4]
    assert view.to_arrow(["network"], network=3).to_pylist() == [{"network": 3}]
    assert view.to_arrow(["source"], network=3).column_names == ["source"]
    assert sum(batch.num_rows for batch in view.batches(["network"], rows=1)) == 5
    assert view.to_numpy(["architecture"])["architecture"].stacked().tolist() == [[2, 4, 1]] * 5
    with pytest.raises(InputError, match="has no column 'colour'"):
        view.to_arrow(["colour"])
    assert repr(view) == "TableView(networks, 5 rows in 3 files)"


def test_a_file_that_changed_is_not_read(tmp_path: Path) -> None:
    run(SPEC, tmp_path / "d", workers=0)
    found = load(tmp_path / "d")
    path = tmp_path / "d" / found["networks"].files[1]
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(FileFormatError, match="is damaged: its checksum"):
        found.network(2)
    assert found.network(0) is not None


def test_what_is_not_finished_or_no_dataset(tmp_path: Path) -> None:
    run(SPEC, tmp_path / "half", workers=0, finish=False)
    with pytest.raises(IncompleteError, match="not finished"):
        load(tmp_path / "half")
    with pytest.raises(FileFormatError, match="not the directory of a dataset"):
        load(tmp_path)
