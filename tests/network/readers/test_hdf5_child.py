"""The program that reads HDF5 files, called as a function: what it answers, and what it refuses."""

from __future__ import annotations

import io
from typing import Any

import h5py
import numpy as np
import pytest

from polyfiber.network.readers import hdf5_child as module


def written(fill: Any) -> bytes:
    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        fill(file)
    return out.getvalue()


def test_entries_and_their_numbers() -> None:
    def fill(file: Any) -> None:
        file.attrs["model_config"] = "text"
        file.attrs["keras_version"] = b"2.9"
        file.attrs["other"] = "x"
        file["a/b"] = np.array([[1.0, 2.0]], dtype=">f4")
        file["c"] = np.arange(3)
        file["d"] = h5py.SoftLink("/c")

    answer, arrays = module.read(written(fill), 10**6)
    assert answer["attributes"] == {"model_config": "text", "keras_version": "2.9"}
    assert {k: v["kind"] for k, v in answer["entries"].items()} == {
        "a": "group",
        "a/b": "floats",
        "c": "other",
        "d": "link",
    }
    assert answer["entries"]["a/b"] == {"kind": "floats", "dtype": "float32", "shape": (1, 2), "bytes": 8}
    assert [a.tolist() for a in arrays] == [[[1.0, 2.0]]]
    assert arrays[0].tobytes() == np.array([1.0, 2.0], dtype="<f4").tobytes()


def test_claims_are_added_up() -> None:
    def fill(file: Any) -> None:
        file["a"], file["b"] = np.zeros(10), np.zeros(10)

    data = written(fill)
    assert len(module.read(data, 160)[1]) == 2
    with pytest.raises(module.Refused, match="'b' claims shape"):
        module.read(data, 159)


@pytest.mark.parametrize("what", ["never written", "elsewhere", "deep"])
def test_what_is_refused(what: str, tmp_path: Any) -> None:
    def fill(file: Any) -> None:
        if what == "never written":
            file.create_dataset("a", (5,), dtype="f4")
        elif what == "elsewhere":
            file.create_dataset("a", (5,), dtype="f4", external=[(str(tmp_path / "raw"), 0, 20)])
        else:
            group = file
            for _ in range(module.MOST_DEPTH + 2):
                group = group.create_group("g")

    expected = {"never written": "never written", "elsewhere": "in another file", "deep": "nested deeper"}[what]
    with pytest.raises(module.Refused, match=expected):
        module.read(written(fill), 10**6)
