"""Files that claim more than they hold are refused before memory is taken."""

from __future__ import annotations

import json
import resource
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.complexes import containers
from polyfiber.complexes.archive import verify_archive
from polyfiber.errors import FileFormatError

HOSTILE = Path(__file__).parents[3] / "shared" / "cases" / "hostile"
NET = pf.ReLUNetwork.random((2, 5, 3, 1), rng=1)


def zarr_archive(folder: Path) -> Path:
    pytest.importorskip("zarr")
    pf.canonical_complex(NET).save(folder / "c.zarr")
    return folder / "c.zarr"


def refused(path: Path, match: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(FileFormatError, match=match):
        pf.PolyhedralComplex.load(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # kilobytes
    assert verify_archive(path).verdict is pf.Verdict.NO


@pytest.mark.skipif(not HOSTILE.exists(), reason="the hostile files are not here")
def test_hostile_archives() -> None:
    names = [p.name for p in HOSTILE.iterdir() if p.name.startswith(("arch_", "zarr_"))]
    assert names
    for name in names:
        if name.startswith("zarr_"):
            pytest.importorskip("zarr")
        refused(HOSTILE / name, "not a readable archive")


def test_an_npz_bomb(tmp_path: Path) -> None:
    with (
        zipfile.ZipFile(tmp_path / "c.npz", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("star.npy", "w") as out,
    ):
        for _ in range(300):
            out.write(bytes(1 << 20))
    refused(tmp_path / "c.npz", "claim to unpack")


def test_two_entries_of_a_name(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "c.npz", "w") as archive:
        archive.writestr("a.npy", b"x")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a.npy", b"y")
    refused(tmp_path / "c.npz", "same name")


def change(path: Path, **facts: Any) -> None:
    data = json.loads(path.read_text())
    path.write_text(json.dumps(data | facts))


@pytest.mark.parametrize(
    ("name", "facts", "match"),
    [
        ("star", {"shape": [1 << 40, 6]}, "out of proportion"),
        ("x", {"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [1, 1 << 40]}}}, "out of proportion"),
        ("x", {"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [0, 2]}}}, "expected numbers"),
        ("x", {"shape": [-1, 2]}, "expected numbers"),
        ("x", {"data_type": "object"}, "expected numbers"),
        ("x", {"codecs": [{"name": "bytes"}, {"name": "gzip"}]}, "encoded by"),
        ("x", {"zarr_format": 2}, "format 3"),
        ("", {"consolidated_metadata": {"metadata": {}}}, "no plain"),
    ],
)
def test_zarr_arrays_that_claim_too_much(tmp_path: Path, name: str, facts: dict[str, Any], match: str) -> None:
    path = zarr_archive(tmp_path)
    change(path / name / "zarr.json", **facts)
    refused(path, match)


def test_a_chunk_that_unpacks_to_more(tmp_path: Path) -> None:
    path = zarr_archive(tmp_path)
    from numcodecs.zstd import Zstd

    (path / "x" / "c" / "0" / "0").write_bytes(Zstd().encode(bytes(1 << 28)))
    refused(path, "unpacks to")


def test_links_are_refused(tmp_path: Path) -> None:
    path = zarr_archive(tmp_path)
    outside = tmp_path / "outside"
    outside.write_bytes((path / "x" / "c" / "0" / "0").read_bytes())
    (path / "x" / "c" / "0" / "0").unlink()
    (path / "x" / "c" / "0" / "0").symlink_to(outside)
    refused(path, "link")
    assert outside.exists()


def test_what_compresses_well_is_written_so_that_it_can_be_read(tmp_path: Path) -> None:
    store = {"zeros": np.zeros(30_000_000), "few": np.arange(3)}
    containers.write_npz(tmp_path / "a.npz", store)
    back = containers.read_npz(tmp_path / "a.npz")
    assert np.array_equal(back["few"], store["few"])
    assert len(back["zeros"]) == len(store["zeros"])


def test_json_that_nests_deeply() -> None:
    with pytest.raises(FileFormatError, match="nests"):
        containers.parse_json("[" * 100_000)
    assert containers.parse_json(json.dumps({"a": '["' * 50})) == {"a": '["' * 50}
    with pytest.raises(FileFormatError, match="no JSON"):
        containers.parse_json("{")
