"""HDF5 files of every layout, links, claims that are not there, and a library that loops or crashes."""

from __future__ import annotations

import json
from itertools import cycle, product
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import polyfiber as pf
from polyfiber.errors import FileFormatError

from .test_keras import B1, K1, K2, PLAIN, PLAIN_WEIGHTS, write_h5


def test_links_and_outside_data_are_refused(tmp_path: Path) -> None:
    write_h5(tmp_path / "other.h5", None, PLAIN_WEIGHTS)
    for kind in ("external link", "soft link", "external data", "virtual"):
        path = tmp_path / "net.h5"
        write_h5(path, PLAIN, {"two": PLAIN_WEIGHTS["two"], "one": {"bias": B1}})
        with h5py.File(path, "a") as file:
            group = file["model_weights/one/one"]
            if kind == "external link":
                group["kernel:0"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "model_weights/one/one/kernel:0")
            elif kind == "soft link":
                group["kernel:0"] = h5py.SoftLink("/model_weights/two/two/kernel:0")
            elif kind == "external data":
                raw = str(tmp_path / "raw.bin")
                group.create_dataset("kernel:0", K1.shape, dtype="f4", external=[(raw, 0, h5py.h5f.UNLIMITED)])
            else:
                layout = h5py.VirtualLayout(shape=K1.shape, dtype="f4")
                layout[...] = h5py.VirtualSource(str(tmp_path / "other.h5"), "model_weights/one/one/kernel:0", K1.shape)
                group.create_virtual_dataset("kernel:0", layout)
        with pytest.raises(FileFormatError, match="refused"):
            pf.read_network(path)


def test_claims_that_the_file_does_not_hold(tmp_path: Path) -> None:
    for options in ({}, {"chunks": (1000, 5)}):
        write_h5(tmp_path / "net.h5", PLAIN, {"two": PLAIN_WEIGHTS["two"], "one": {"bias": B1}})
        with h5py.File(tmp_path / "net.h5", "a") as file:
            file["model_weights/one/one"].create_dataset("kernel:0", (10**9, 5), dtype="f4", **options)
        with pytest.raises(FileFormatError, match="more than a file of this size may hold"):
            pf.read_network(tmp_path / "net.h5")


LAYOUTS = product(["earliest", "v108", "v110", "latest"], [False, True])


@pytest.mark.parametrize(
    ("libver", "encoded", "dtype"),
    [(*layout, dtype) for layout, dtype in zip(LAYOUTS, cycle(["<f4", ">f4", "<f8", ">f8", "<f2", ">f2"]))],
)
def test_layouts_of_the_hdf5_library(tmp_path: Path, libver: str, encoded: bool, dtype: str) -> None:
    """Old and new headers and groups, fixed and variable strings, both byte orders, many members."""
    config: Any = json.dumps(PLAIN)
    with h5py.File(tmp_path / "net.h5", "w", libver=libver) as file:
        file.attrs["backend"] = "tensorflow"
        file.attrs["model_config"] = config.encode() if encoded else config
        for i in range(40 if libver == "earliest" else 3):  # several nodes in the tree of the group
            file[f"model_weights/other_{i}/x"] = np.zeros(3)
        for name, arrays in PLAIN_WEIGHTS.items():
            for key, value in arrays.items():
                file[f"model_weights/{name}/{name}/{key}:0"] = value.astype(dtype)
    net = pf.read_network(tmp_path / "net.h5")
    np.testing.assert_array_equal(net.weights[1], K2.T.astype(dtype).astype(np.float64))
    assert net.source["dtype"] == np.dtype(dtype).name


def test_dense_groups_and_compressed_datasets_are_read(tmp_path: Path) -> None:
    write_h5(tmp_path / "net.h5", PLAIN, {"two": PLAIN_WEIGHTS["two"], "one": {"bias": B1}})
    with h5py.File(tmp_path / "net.h5", "a") as file:
        file["model_weights/one/one"].create_dataset("kernel:0", data=K1, compression="gzip", chunks=(1, 2))
    np.testing.assert_array_equal(pf.read_network(tmp_path / "net.h5").weights[0], K1.T.astype(float))
    with h5py.File(tmp_path / "net.h5", "w") as file:  # 80 MB of zeros in some kilobytes
        file.attrs["model_config"] = json.dumps(PLAIN)
        file.create_dataset("model_weights/one/one/kernel:0", data=np.zeros((10**7, 1)), compression="gzip")
    with pytest.raises(FileFormatError, match="more than a file of this size"):
        pf.read_network(tmp_path / "net.h5")


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("while True: pass", "did not finish|gave up"),
        ("import os; os.abort()", "gave up"),
        ("print('noise')", "gave up"),
        ("x = bytearray(1 << 40)", "gave up"),
        ("raise SystemExit(3)", "gave up"),
    ],
)
def test_a_library_that_loops_or_crashes_takes_nobody_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, message: str
) -> None:
    write_h5(tmp_path / "net.h5", PLAIN, PLAIN_WEIGHTS)
    (tmp_path / "child.py").write_text(program)
    monkeypatch.setattr("polyfiber.network.readers.hdf5.CHILD", tmp_path / "child.py")
    monkeypatch.setattr("polyfiber.network.readers.hdf5.SECONDS", 1)
    with pytest.raises(FileFormatError, match=message):
        pf.read_network(tmp_path / "net.h5")


def test_cycles_of_groups_end(tmp_path: Path) -> None:
    write_h5(tmp_path / "net.h5", PLAIN, PLAIN_WEIGHTS)
    with h5py.File(tmp_path / "net.h5", "a") as file:
        file["model_weights/one/one/loop"] = file["model_weights"]  # a hard link
    with pytest.raises(FileFormatError, match="nested deeper"):
        pf.read_network(tmp_path / "net.h5")
