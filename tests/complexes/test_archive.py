"""Complexes on disk."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.complexes.archive import verify_archive
from polyfiber.errors import FileFormatError, InputError


@pytest.mark.parametrize("suffix", ["npz", "zarr"])
@pytest.mark.parametrize("box", [None, 1.0])
@pytest.mark.parametrize("exact", [False, True])
def test_round_trip(tmp_path: Path, box: float | None, exact: bool, suffix: str) -> None:
    if suffix == "zarr":
        pytest.importorskip("zarr")
    net = pf.ReLUNetwork.random((3, 5, 4, 2), rng=2)
    domain = None if box is None else pf.Box(-box, box, dimension=3)
    cx = pf.canonical_complex(net.exact() if exact else net, domain)
    path = tmp_path / f"complex.{suffix}"
    cx.save(path)
    cx.save(path)  # replaces
    back = pf.PolyhedralComplex.load(path)
    assert back.network == cx.network
    assert back.f_vector == cx.f_vector
    assert [back.fingerprint(d) for d in range(4)] == [cx.fingerprint(d) for d in range(4)]
    assert np.array_equal(back.vertices, cx.vertices)
    assert back.certificate.verify().ok
    assert list(tmp_path.iterdir()) == [path]


def test_degenerate_networks_round_trip_through_zarr(tmp_path: Path) -> None:
    pytest.importorskip("zarr")
    cx = pf.canonical_complex(pf.ReLUNetwork([[[1, 0], [0, 1], [1, 1]], [[1, 1, 1]]], [[0, 0, 0], [0]]))
    cx.save(tmp_path / "c.zarr")
    back = pf.PolyhedralComplex.load(tmp_path / "c.zarr")
    assert (back.f_vector, back.is_simple) == (cx.f_vector, False)
    assert back.certificate.verify().ok
    (tmp_path / "c.zarr" / "words" / "zarr.json").write_text("{")
    with pytest.raises(FileFormatError, match="archive"):
        pf.PolyhedralComplex.load(tmp_path / "c.zarr")


def test_places_that_cannot_be_written_to(tmp_path: Path) -> None:
    cx = pf.canonical_complex(pf.ReLUNetwork.random((2, 3, 1), rng=2))
    with pytest.raises(InputError, match="ends in"):
        cx.save(tmp_path / "c.h5")
    with pytest.raises(InputError, match="cannot write"):
        cx.save(tmp_path / "absent" / "c.npz")
    assert not list(tmp_path.iterdir())
    for name in ("data.npz", "data.zarr"):
        if name.endswith("zarr"):
            pytest.importorskip("zarr")
        (tmp_path / name).mkdir()
        (tmp_path / name / "zarr.json").write_text("{}")
        with pytest.raises(InputError, match="is a directory that is not"):
            cx.save(tmp_path / name)
        assert (tmp_path / name / "zarr.json").exists()  # what others keep there is not replaced


@pytest.mark.parametrize("kind", ["header", "copy", "more", "loose", "inside", "damaged", "nested"])
def test_a_zarr_group_of_others_is_not_replaced(tmp_path: Path, kind: str) -> None:
    """One with an array named as ours; one of ours to which something was added."""
    zarr = pytest.importorskip("zarr")
    cx = pf.canonical_complex(pf.ReLUNetwork.random((2, 3, 1), rng=2))
    path = tmp_path / "mine.zarr"
    if kind in ("header", "copy"):
        group = zarr.open_group(path, mode="w", zarr_format=3)
        group.create_array("header", shape=(3,), dtype="f8")[:] = 1
        group.create_array("years_of_data", shape=(3,), dtype="f8")[:] = 7
        if kind == "copy":  # with the header of an archive
            cx.save(tmp_path / "ours.zarr")
            shutil.rmtree(path / "header")
            shutil.copytree(tmp_path / "ours.zarr" / "header", path / "header")
    else:
        cx.save(path)
        if kind == "more":
            zarr.open_group(path, mode="a").create_array("years_of_data", shape=(3,), dtype="f8")[:] = 7
        elif kind == "nested":
            zarr.open_group(path, mode="a").create_group("more").create_array("years", shape=(3,), dtype="f8")[:] = 7
        elif kind == "damaged":
            (path / "words" / "zarr.json").write_text("{}")
        else:
            (path / ("notes.txt" if kind == "loose" else "words/c/notes.txt")).write_text("ten years")
    before = {p: p.read_bytes() for p in path.rglob("*") if p.is_file()}
    with pytest.raises(InputError, match="is a directory that is not"):
        cx.save(path)
    assert {p: p.read_bytes() for p in path.rglob("*") if p.is_file()} == before
    assert sorted(p.name for p in tmp_path.iterdir()) == (
        ["mine.zarr", "ours.zarr"] if kind == "copy" else ["mine.zarr"]
    )


@pytest.mark.parametrize("address", ["memory://a/c.zarr", "foo://b/c.npz", Path("s3://b/c.npz")])
def test_addresses_are_no_archives(tmp_path: Path, address: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    cx = pf.canonical_complex(pf.ReLUNetwork.random((2, 3, 1), rng=2))
    for attempt in (cx.save, pf.PolyhedralComplex.load):
        with pytest.raises(InputError, match="addresses are for datasets"):
            attempt(address)
    assert not list(tmp_path.iterdir())


def test_damaged_archives_are_refused(tmp_path: Path) -> None:
    cx = pf.canonical_complex(pf.ReLUNetwork.random((2, 5, 4, 1), rng=2))
    path = tmp_path / "complex.npz"
    cx.save(path)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for size in (0, 10, len(whole) // 2, len(whole) - 5):
        path.write_bytes(whole[:size])
        with pytest.raises(FileFormatError):
            pf.PolyhedralComplex.load(path)
    for _ in range(60):
        broken = bytearray(whole)
        for at in rng.integers(0, len(whole), 3):
            broken[at] ^= int(rng.integers(1, 256))
        path.write_bytes(bytes(broken))
        with contextlib.suppress(pf.errors.PolyfiberError):
            pf.PolyhedralComplex.load(path)
    with pytest.raises(FileFormatError, match="no file"):
        pf.PolyhedralComplex.load(tmp_path / "absent.npz")
    with pytest.raises(FileFormatError, match="is a directory"):
        pf.PolyhedralComplex.load(tmp_path)
    path.write_bytes(b"\x80\x04 neither a pickle nor anything else")
    with pytest.raises(FileFormatError, match="is no archive") as caught:
        pf.PolyhedralComplex.load(path)
    assert "pickle" not in str(caught.value)  # numpy advises to load such files unsafely


def test_newer_versions_and_rewired_edges_are_refused(tmp_path: Path) -> None:
    cx = pf.canonical_complex(pf.ReLUNetwork.random((2, 5, 4, 1), rng=2))
    path = tmp_path / "complex.npz"
    cx.save(path)
    with np.load(path) as store:
        arrays = dict(store)
    header = json.loads(str(arrays["header"]))
    np.savez(path, **{**arrays, "header": np.array(json.dumps({**header, "format_version": 99}))})
    with pytest.raises(FileFormatError, match="version 99"):
        pf.PolyhedralComplex.load(path)
    star = arrays["star"].copy()
    star[0, 0] = star[1, 0]
    np.savez(path, **{**arrays, "star": star})
    with pytest.raises(FileFormatError, match="damaged"):
        pf.PolyhedralComplex.load(path)


def test_single_changes_are_noticed_or_harmless(tmp_path: Path) -> None:
    """A short run of scripts/attacks/complexes/archives.py: one entry changed, every digest made again."""
    attack = _attack()
    for k, kind in enumerate(attack.KINDS):
        if kind == "cells":
            pytest.importorskip("zarr")
        rng = np.random.default_rng([99, k])
        for turn in range(2):
            folder = tmp_path / f"{kind}{turn}"
            folder.mkdir()
            found = (
                attack.right_cells(rng, folder, 12)
                if kind == "cells"
                else attack.right_archive(rng, kind, folder, 12, digests=False)
            )
            assert not [miss for miss in found if miss]


def _attack() -> Any:
    path = Path(__file__).parents[2] / "scripts" / "attacks" / "complexes" / "archives.py"
    spec = importlib.util.spec_from_file_location("attack_archives", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_verify_archive_says_whose_complex_it_is(tmp_path: Path) -> None:
    net = pf.ReLUNetwork.random((2, 5, 1), rng=0)
    path = tmp_path / "c.npz"
    pf.canonical_complex(net).save(path)
    assert verify_archive(path, network=net, domain=None).ok
    other = pf.ReLUNetwork.random((2, 5, 1), rng=1)
    assert verify_archive(path, network=other).problems == ("it is the complex of another network",)
    assert verify_archive(path, domain=pf.Box([0, 0], [1, 1])).problems == ("it is the complex on another domain",)
    assert verify_archive(path, budget=pf.Budget(seconds=0)).verdict is pf.Verdict.UNDECIDED


def test_walls_that_were_merged_are_kept(tmp_path: Path) -> None:
    net = pf.ReLUNetwork([[[1.0, 0.0], [3.0, 1e-13], [0.0, 1.0]], [[1.0, 1.0, 1.0]]], [[0.1, 0.3, 0.0], [0.0]])
    cx = pf.canonical_complex(net, merge_tolerance=1e-9)
    cx.save(tmp_path / "c.npz")
    back = pf.PolyhedralComplex.load(tmp_path / "c.npz")
    assert back.merged == cx.merged != ()
    assert back.certificate.zeros == cx.certificate.zeros


def test_a_point_on_no_wall_is_no_lattice(tmp_path: Path) -> None:
    """A header that says so would change `is_simple` and nothing that is recomputed; a point on a wall is one."""
    net = pf.ReLUNetwork([[[1.0], [2.0]], [[1.0, 1.0]]], [[-0.5, -1.0], [0.0]])
    for x, simple in ((0.25, True), (0.5, False)):
        cx = pf.canonical_complex(net, pf.Box([x], [x]))
        assert cx.is_simple is simple
        cx.save(tmp_path / "point.npz")
        assert pf.PolyhedralComplex.load(tmp_path / "point.npz").is_simple is simple
    cx = pf.canonical_complex(net, pf.Box([0.25], [0.25]))
    cx.save(tmp_path / "point.npz")
    with np.load(tmp_path / "point.npz") as file:
        store = {name: file[name] for name in file.files}
    store["header"] = np.array(json.dumps({**json.loads(str(store["header"])), "lattice": True}))
    _attack().signed_again(store)
    np.savez(tmp_path / "point.npz", **store)
    with pytest.raises(FileFormatError, match="on no wall"):
        pf.PolyhedralComplex.load(tmp_path / "point.npz")


def test_archives_of_fractions_of_too_many_digits(tmp_path: Path) -> None:
    path = tmp_path / "c.npz"
    pf.canonical_complex(pf.ReLUNetwork([[[0.5]], [[1]]], [[0], [0]]).exact()).save(path)
    with np.load(path) as file:
        store = {name: file[name] for name in file.files}
    store["weight_0"] = np.full((64, 1), "7" * 99_999 + "/" + "3" * 99_999)
    np.savez_compressed(path, **store)
    with pytest.raises(FileFormatError, match="so many digits"):
        pf.PolyhedralComplex.load(path)
