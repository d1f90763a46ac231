"""The files are read by others without our code, and by our code as networks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.datasets import load, run

pytest.importorskip("pyarrow")

SPEC: dict[str, Any] = {
    "name": "outside",
    "seed": 3,
    "partition": 3,
    "networks": [
        {"name": "r", "kind": "random", "architecture": [[2, 4, 1], [3, 5, 4, 2]], "count": 5},
        {"kind": "fiber", "of": "r", "moves": "trivial"},
    ],
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("outside") / "data"
    run(SPEC, folder, workers=0)
    return folder


def test_pandas(made: Path) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.read_parquet(made / "networks")
    assert len(frame) == 10
    assert frame["architecture"][1].tolist() == [3, 5, 4, 2]


def test_polars(made: Path) -> None:
    polars = pytest.importorskip("polars")
    frame = polars.scan_parquet(made / "networks" / "*.parquet").filter(polars.col("kind") == "fiber").collect()
    assert frame["origin"].to_list() == [0, 1, 2, 3, 4]


def test_hugging_face(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    rows = datasets.load_dataset(str(made), "networks", cache_dir=str(tmp_path))["train"]  # by the card's header
    assert len(rows) == 10
    files = str(made / "networks" / "*.parquet")
    rows = datasets.load_dataset("parquet", data_files=files, split="train", cache_dir=str(tmp_path))
    assert rows[4]["architecture"] == [2, 4, 1]


def test_croissant(made: Path) -> None:
    """Files are looked for beside the document: a set that is contained in single files has none of its own."""
    document = json.loads((made / "croissant.json").read_text())
    sets = [entry for entry in document["distribution"] if entry["@type"] == "cr:FileSet"]
    assert [entry["includes"] for entry in sets] == ["networks/*.parquet"]
    assert "containedIn" not in sets[0]
    mlcroissant = pytest.importorskip("mlcroissant")
    rows = list(mlcroissant.Dataset(jsonld=str(made / "croissant.json")).records("networks"))
    assert [row["networks/network"] for row in rows] == list(range(10))


def test_our_own_readers(made: Path) -> None:
    labels = pf.equivalence_classes(made / "networks")
    assert labels.tolist() == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4]
    column = load(made)["networks"].to_numpy(["parameters"])["parameters"]
    assert [len(row) for row in column][:2] == [17, 54]
    assert column[-1].shape == column[9].shape
    assert np.diff(column.offsets).tolist() == [len(row) for row in column]
