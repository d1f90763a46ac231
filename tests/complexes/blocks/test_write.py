"""Cells on disk: whatever ends a run, a resumed one has every cell once."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.complexes.blocks import parts
from polyfiber.complexes.blocks.read import domain_data, domain_of
from polyfiber.complexes.blocks.verify import verify_cells
from polyfiber.errors import BudgetExceededError, FileFormatError, InputError, MissingDependencyError
from polyfiber.verdict import Verdict

SMALL = pf.Budget(memory="43MB")
"""Room for a few thousand vertices: many blocks."""
SQUARE = pf.Box([-1.0, -1.0], [1.0, 1.0])
ROOT = Path(__file__).parents[3]


def network() -> pf.ReLUNetwork:
    return pf.ReLUNetwork.random((3, 36, 36, 1), rng=4)


@pytest.fixture(scope="module")
def whole() -> pf.PolyhedralComplex:
    return pf.canonical_complex(network())


def signed_again(place: Path) -> None:
    """The journal with the checksums of the parts as they are now."""
    journal = place / "blocks.jsonl"
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    for entry in (entry for line in lines for entry in line["files"].values()):
        entry["sha256"] = parts.checksum(place / "cells" / entry["name"])
    journal.write_text("".join(json.dumps(line) + "\n" for line in lines))


def agrees(place: Path, cx: pf.PolyhedralComplex, dims: tuple[int, ...] = (3,)) -> None:
    """Every cell once: fingerprints of what is in the files."""
    store = pf.read_cells(place)
    total = store.total()
    assert total.complete
    assert store.manifest["complete"]
    assert total.f_vector == cx.f_vector == tuple(store.manifest["f_vector"])
    assert total.fingerprints == {d: cx.fingerprint(d) for d in dims}
    assert store.check() == []
    for d in dims:
        rows = np.concatenate([cells.signs for cells in store.cells(d)])
        assert len(np.unique(rows, axis=0)) == cx.f_vector[d]


@pytest.mark.parametrize("file_format", parts.FORMATS)
def test_what_is_written_is_read(tmp_path: Path, file_format: str) -> None:
    package = {"npz": "numpy", "parquet": "pyarrow", "zarr": "zarr"}[file_format]
    pytest.importorskip(package)
    net = pf.ReLUNetwork.random((2, 9, 8, 3), rng=0)
    box = pf.Box([-1, -2], [1, 1.5])
    cx = pf.canonical_complex(net, box)
    total = pf.write_cells(
        net, tmp_path, box, dims=[0, 1, 2], file_format=file_format, maps=True, vertices=True, verify=True
    )
    assert total.verified
    agrees(tmp_path, cx, (0, 1, 2))
    store = pf.read_cells(tmp_path)
    assert store.network == net
    index = {row.tobytes(): r for r, row in enumerate(cx.signs(2))}
    A, a = cx.affine_maps()
    for cells in store.cells(2):
        rows = [index[row.tobytes()] for row in cells.signs]
        assert cells.A is not None
        assert cells.vertices is not None
        assert cells.unbounded is not None
        assert np.allclose(cells.A, A[rows])
        assert np.allclose(cells.a, a[rows])
        assert not cells.unbounded.any()
        indptr, points = cells.vertices
        for i, r in enumerate(rows):
            mine, truth = points[indptr[i] : indptr[i + 1]], cx.v_representation(r).vertices
            assert np.allclose(mine[np.lexsort(mine.T)], truth[np.lexsort(truth.T)])


def test_exact_networks_and_domains_survive(tmp_path: Path) -> None:
    third = Fraction(1, 3)
    net = pf.ReLUNetwork(
        [
            np.array([[third, third * 2], [Fraction(1), Fraction(-1)]], dtype=object),
            np.array([[third, 1]], dtype=object),
        ],
        [np.array([third, Fraction(0)], dtype=object), np.array([third], dtype=object)],
    )
    box = pf.Box(np.array([-third, -third], dtype=object), np.array([third, third], dtype=object))
    pf.write_cells(net, tmp_path, box, file_format="npz", dims=[0, 1, 2])
    agrees(tmp_path, pf.canonical_complex(net, box), (0, 1, 2))
    store = pf.read_cells(tmp_path)
    assert store.network == net
    again = domain_of(store.manifest["domain"])
    assert isinstance(again, pf.Box)
    assert again.lo.tolist() == box.lo.tolist()
    triangle = pf.Polyhedron([[-1, 0], [0, -1], [1, 0.1]], [0, 0, 1])
    copy = domain_of(json.loads(json.dumps(domain_data(triangle))))
    assert copy is not None
    assert copy.A.tolist() == triangle.A.tolist()


def test_resume_after_a_budget(tmp_path: Path, whole: pf.PolyhedralComplex) -> None:
    net = network()
    place = tmp_path / "cells"
    with pytest.raises(BudgetExceededError) as stopped:
        pf.write_cells(net, place, file_format="npz", budget=pf.Budget(seconds=0, memory=SMALL.memory))
    assert not stopped.value.partial.complete
    rounds = 0

    def stop(event: Any) -> None:
        if event.done == 3:
            raise KeyboardInterrupt

    while True:
        rounds += 1
        try:
            pf.write_cells(net, place, file_format="npz", resume=True, budget=SMALL, progress=stop)
            break
        except KeyboardInterrupt as interrupt:
            partial = interrupt.partial  # type: ignore[attr-defined]
            assert not partial.complete or rounds > 1  # the last event of the last round may be the one that stops it
            assert len(partial.blocks) >= 3 * rounds
            assert pf.read_cells(place).check() == []
    assert rounds > 2
    agrees(place, whole)


SCRIPT = """
import sys
import polyfiber as pf
if __name__ == "__main__":
    net = pf.ReLUNetwork.random((3, 36, 36, 1), rng=4)
    pf.write_cells(net, sys.argv[1], file_format="npz", workers=int(sys.argv[2]), resume=True, budget=pf.Budget(memory=int(sys.argv[3])))
"""


@pytest.mark.parametrize(("workers", "after"), [(1, 1), (1, 4), (2, 3)])
@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_resume_after_kill_9(tmp_path: Path, whole: pf.PolyhedralComplex, workers: int, after: int) -> None:
    place, script = tmp_path / "cells", tmp_path / "run.py"
    script.write_text(SCRIPT)
    memory = workers * 43_000_000
    process = subprocess.Popen(
        [sys.executable, str(script), str(place), str(workers), str(memory)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )
    journal = place / "blocks.jsonl"
    until = time.monotonic() + 100
    while process.poll() is None and time.monotonic() < until:
        if journal.exists() and journal.read_bytes().count(b"\n") >= after:
            break
        time.sleep(0.002)
    process.kill()
    process.wait()
    before = len(pf.read_cells(place).block_counts())
    assert before >= after
    partial = pf.read_cells(place).total()
    if workers == 1:
        assert not partial.complete
        assert pf.read_cells(place).total().f_vector[3] < whole.f_vector[3]
    for _ in range(200):  # workers of a killed run end by themselves
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            break
        time.sleep(0.1)
    else:
        pytest.fail("workers outlive a killed run")
    pf.write_cells(network(), place, file_format="npz", resume=True)
    agrees(place, whole)


def test_a_torn_line_and_stray_parts_are_forgotten(tmp_path: Path, whole: pf.PolyhedralComplex) -> None:
    net = network()
    pf.write_cells(net, tmp_path, file_format="npz", budget=SMALL)
    journal = tmp_path / "blocks.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    assert len(lines) > 4
    journal.write_bytes(b"".join(lines[:3]) + lines[3][:40])
    (tmp_path / "cells" / ".abcd_123.part").mkdir()
    (tmp_path / "cells" / ".abcd_123.part" / "3-0000000000000000.npz").write_bytes(b"half")
    (tmp_path / "cells" / "3-0000000000000000.npz").write_bytes(b"whole, but of no block")
    with pytest.raises(FileFormatError, match="of a complete store, its blocks are 3"):
        pf.read_cells(tmp_path).block_counts()
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps({**manifest, "complete": False}))  # as in a run that was killed
    assert len(pf.read_cells(tmp_path).block_counts()) == 3
    assert pf.read_cells(tmp_path).check() == []
    pf.write_cells(net, tmp_path, file_format="npz", resume=True, budget=SMALL)
    agrees(tmp_path, whole)
    (tmp_path / "cells" / "3-0000000000000000.npz").write_bytes(b"whole, but of no block")
    assert "not in the journal" in pf.read_cells(tmp_path).check()[0]
    journal.write_bytes(b"".join(lines[:2]))  # a journal that was damaged later is repaired
    pf.write_cells(net, tmp_path, file_format="npz", resume=True, budget=SMALL)
    agrees(tmp_path, whole)
    # a line that is whole but wrong is damage, not an unfinished run
    journal.write_bytes(lines[0][:40] + b"\n" + lines[1])
    with pytest.raises(FileFormatError, match="line 1"):
        pf.read_cells(tmp_path).block_counts()


def test_two_workers_write_the_same(tmp_path: Path, whole: pf.PolyhedralComplex) -> None:
    total = pf.write_cells(network(), tmp_path, file_format="npz", workers=2)
    assert len(total.blocks) > 4
    agrees(tmp_path, whole)


def test_damage_is_found(tmp_path: Path) -> None:
    pf.write_cells(network(), tmp_path, file_format="npz", budget=SMALL)
    part = next((tmp_path / "cells").iterdir())
    data = part.read_bytes()
    part.write_bytes(data[: len(data) // 2])
    assert any(part.name in problem for problem in pf.read_cells(tmp_path).check())
    part.unlink()
    with pytest.raises(FileFormatError, match=r"npz"):
        list(pf.read_cells(tmp_path).cells(3))
    with pytest.raises(InputError, match="cells of dimension 3, not 1"):
        next(pf.read_cells(tmp_path).cells(1))


@pytest.mark.parametrize("file_format", ["npz", "parquet", "zarr"])
def test_columns_of_other_types_and_shapes_are_refused(tmp_path: Path, file_format: Any) -> None:
    pytest.importorskip({"npz": "numpy", "parquet": "pyarrow", "zarr": "zarr"}[file_format])
    net = pf.ReLUNetwork.random((2, 4, 1), rng=3)
    pf.write_cells(net, tmp_path, file_format=file_format, maps=True, vertices=True)
    (part,) = sorted((tmp_path / "cells").iterdir())
    (whole,) = parts.read_part(part, format=file_format)
    indptr, points = whole["vertices"]
    changes: list[dict[str, Any]] = [
        {"plus": whole["plus"].astype(np.int64)}, {"minus": whole["plus"] | 1, "plus": whole["plus"] | 1},
        {"plus": np.hstack([whole["plus"]] * 2)}, {"a": whole["a"].astype(np.float32)}, {"A": whole["A"][..., :1]},
        {"unbounded": whole["unbounded"].astype(np.int8)}, {"vertices": (indptr, points[:, :1])}, {"rays": whole["a"]},
        {"other": whole["a"]}, {"a": None},
    ]  # fmt: skip
    for change in changes:
        piece = {name: values for name, values in {**whole, **change}.items() if values is not None}
        parts.remove(part)
        parts.write_part(part, [piece], format=file_format)
        with pytest.raises(FileFormatError, match="another checksum"):
            list(pf.read_cells(tmp_path).cells(2))
        signed_again(tmp_path)
        with pytest.raises(FileFormatError, match=r"column|positive and negative"):
            list(pf.read_cells(tmp_path).cells(2))


@pytest.mark.parametrize("file_format", ["npz", "parquet", "zarr"])
def test_numbers_that_no_fingerprint_covers_have_a_checksum(tmp_path: Path, file_format: Any) -> None:
    """Fingerprints are of signs; another map or vertex of the same type and shape changes the file alone."""
    pytest.importorskip({"npz": "numpy", "parquet": "pyarrow", "zarr": "zarr"}[file_format])
    pf.write_cells(pf.ReLUNetwork.random((2, 4, 1), rng=3), tmp_path, file_format=file_format, maps=True, vertices=True)
    (part,) = (tmp_path / "cells").iterdir()
    (whole,) = parts.read_part(part, format=file_format)
    indptr, points = whole["vertices"]
    for change in ({"A": whole["A"] * 2}, {"unbounded": ~whole["unbounded"]}, {"vertices": (indptr, points + 1)}):
        parts.remove(part)
        parts.write_part(part, [{**whole, **change}], format=file_format)
        (problem,) = pf.read_cells(tmp_path).check()
        assert part.name in problem
        assert "another checksum" in problem
    parts.remove(part)
    parts.write_part(part, [whole], format=file_format)
    journal = (tmp_path / "blocks.jsonl").read_text()
    (tmp_path / "blocks.jsonl").write_text(re.sub(r'"sha256":"[0-9a-f]{64}"', f'"sha256":"{64 * "0"}"', journal))
    assert "another checksum" in pf.read_cells(tmp_path).check()[0]
    assert "the checksum of the journal" in verify_cells(tmp_path).problems[0]


def test_missing_values_are_refused_in_one_line(tmp_path: Path) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    pf.write_cells(pf.ReLUNetwork.random((2, 4, 1), rng=3), tmp_path)
    (part,) = (tmp_path / "cells").iterdir()
    table = pq.read_table(part)
    values = [None, *table.column("plus").to_pylist()[1:]]
    pq.write_table(table.set_column(0, "plus", pa.array(values, table.schema.field("plus").type)), part)
    signed_again(tmp_path)
    with pytest.raises(FileFormatError, match="values are missing"):
        list(pf.read_cells(tmp_path).cells(2))
    data = bytearray(part.read_bytes())
    data[4:60] = b"\xff" * 56
    part.write_bytes(data)
    signed_again(tmp_path)
    with pytest.raises(FileFormatError) as caught:
        list(pf.read_cells(tmp_path).cells(2))
    assert str(caught.value).isprintable()


def test_directories_that_do_not_fit(tmp_path: Path) -> None:
    net = pf.ReLUNetwork.random((2, 6, 1), rng=0)
    place = tmp_path / "cells"
    pf.write_cells(net, place, file_format="npz")
    with pytest.raises(InputError, match="resume"):
        pf.write_cells(net, place, file_format="npz")
    with pytest.raises(InputError, match="another network"):
        pf.write_cells(pf.ReLUNetwork.random((2, 6, 1), rng=1), place, file_format="npz", resume=True)
    with pytest.raises(InputError, match="another dims"):
        pf.write_cells(net, place, file_format="npz", dims=[1], resume=True)
    assert pf.write_cells(net, place, file_format="npz", resume=True).complete
    other = tmp_path / "other"
    other.mkdir()
    (other / "file").write_text("mine")
    with pytest.raises(InputError, match="not empty"):
        pf.write_cells(net, other, file_format="npz")
    with pytest.raises(InputError, match="is a file"):
        pf.write_cells(net, other / "file", file_format="npz")
    with pytest.raises(InputError, match="npz, parquet or zarr"):
        pf.write_cells(net, place, file_format="csv")
    with pytest.raises(InputError, match="dims"):
        pf.write_cells(net, place, file_format="npz", dims=[3])
    with pytest.raises(FileFormatError, match=r"manifest\.json"):
        pf.read_cells(other)
    manifest = json.loads((place / "manifest.json").read_text())
    for change, message in (
        ({"format_version": 99}, "upgrade"),
        ({"format_version": 0}, "format version 0"),
        ({"format": "else"}, "expected"),
        ({"complete": None}, "whether the store is complete"),
    ):
        (place / "manifest.json").write_text(json.dumps({**manifest, **change}))
        with pytest.raises(FileFormatError, match=message):
            pf.read_cells(place)
    (place / "manifest.json").write_text("{")
    with pytest.raises(FileFormatError, match="cannot be read"):
        pf.read_cells(place)


@pytest.mark.parametrize("file_format", ["npz", "parquet", "zarr"])
def test_what_others_keep_there_is_left_alone(tmp_path: Path, file_format: Any) -> None:
    """Whatever has no manifest, and whatever lies among the parts and is none."""
    net = pf.ReLUNetwork.random((2, 6, 1), rng=0)
    for name in (
        "cells/results.csv",
        "cells/experiment1/a/b.csv",
        "network.npz",
        ".lock",
        "cells/2-0123456789abcdef.npz",
    ):
        place = tmp_path / name.replace("/", "-")
        file = place / name
        file.parent.mkdir(parents=True)
        file.write_text("ten years")
        for resume in (False, True):
            with pytest.raises(InputError, match="is not empty and holds no cells"):
                pf.write_cells(net, place, file_format=file_format, resume=resume)
        assert file.read_text() == "ten years"
        assert [p for p in place.rglob("*") if p.is_file()] == [file]
    place = tmp_path / "killed"  # what a run leaves that is killed before its manifest
    (place / "cells").mkdir(parents=True)
    net.save(place / "network.npz")
    assert pf.write_cells(net, place, file_format=file_format, resume=True).complete
    mine = [
        "results.csv",
        ".abcd_123.part/thesis.tex",
        "2-0123456789abcdef.zarr/thesis.tex",
        "deep/2-0123456789abcdef.npz",
    ]
    for name in mine:
        (place / "cells" / name).parent.mkdir(exist_ok=True)
        (place / "cells" / name).write_text("ten years")
    manifest = json.loads((place / "manifest.json").read_text())
    (place / "manifest.json").write_text(json.dumps({**manifest, "complete": False}))
    (place / "blocks.jsonl").write_text("")
    assert pf.write_cells(net, place, file_format=file_format, resume=True).complete
    assert all((place / "cells" / name).read_text() == "ten years" for name in mine)
    assert "are not in the journal" in pf.read_cells(place).check()[0]


def test_a_folder_under_the_name_of_a_part_is_left_alone(tmp_path: Path) -> None:
    net = pf.ReLUNetwork.random((2, 6, 1), rng=0)
    pf.write_cells(net, tmp_path, file_format="npz")
    (part,) = (tmp_path / "cells").iterdir()
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps({**manifest, "complete": False}))
    (tmp_path / "blocks.jsonl").write_text("")
    part.unlink()
    part.mkdir()
    (part / "thesis.tex").write_text("ten years")
    with pytest.raises(InputError, match="left alone"):
        pf.write_cells(net, tmp_path, file_format="npz", resume=True)
    assert (part / "thesis.tex").read_text() == "ten years"


@pytest.mark.parametrize("address", ["foo://b/x", "memory://x/y", "s3://bucket/x", Path("s3://bucket/x")])
def test_addresses_are_no_folders(tmp_path: Path, address: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    net = pf.ReLUNetwork.random((2, 3, 1), rng=0)
    for attempt in (lambda: pf.write_cells(net, address, file_format="npz"), lambda: pf.read_cells(address)):
        with pytest.raises(InputError, match="addresses are for datasets"):
            attempt()
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="flock")
def test_one_writer_at_a_time(tmp_path: Path) -> None:
    import fcntl

    net = pf.ReLUNetwork.random((2, 6, 1), rng=0)
    pf.write_cells(net, tmp_path, file_format="npz")
    with (tmp_path / "blocks.jsonl").open("ab") as journal:
        fcntl.flock(journal, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="another process"):
            pf.write_cells(net, tmp_path, file_format="npz", resume=True)


@pytest.mark.parametrize(("file_format", "package"), [("parquet", "pyarrow"), ("zarr", "zarr")])
def test_a_missing_package_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file_format: str, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependencyError, match=package):
        pf.write_cells(pf.ReLUNetwork.random((2, 6, 1), rng=0), tmp_path, file_format=file_format)
    assert not list(tmp_path.iterdir())


def test_a_worker_that_is_killed_is_named(tmp_path: Path) -> None:
    from polyfiber.complexes.blocks.block import Block
    from polyfiber.complexes.blocks.workers import Setup, WorkerPool
    from polyfiber.errors import PolyfiberError

    setup = Setup.of(pf.ReLUNetwork.random((4, 40, 40, 1), rng=0), None, len, room=10**7, on_degenerate="resolve")
    with WorkerPool(setup, 1) as pool:
        while not pool._ready[0]:
            assert pool.wait(60) == []
        pool.give(0, Block(((3, 1),)), None)
        os.kill(pool._processes[0].pid, signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
        with pytest.raises(PolyfiberError, match=r"\(3, 1\)"):
            pool.wait(30)


def test_stores_of_vertices_without_rays_are_verified(tmp_path: Path) -> None:
    net = pf.ReLUNetwork.random((2, 4, 2, 1), rng=0)
    pf.write_cells(net, tmp_path / "s", pf.Box([-1, -1], [1, 1]), file_format="npz", vertices=True, maps=True)
    assert verify_cells(tmp_path / "s").problems == ()


def test_moved_numbers_of_a_store_are_noticed(tmp_path: Path) -> None:
    """Slopes and vertices moved by 1e-12 lie beyond their error bounds."""
    net, place = pf.ReLUNetwork.random((2, 4, 2, 1), rng=0), tmp_path / "s"
    pf.write_cells(net, place, pf.Box([-1, -1], [1, 1]), file_format="npz", vertices=True, maps=True)
    path = next(
        p for p in sorted(place.rglob("*.npz")) if any("A" in piece for piece in parts.read_part(p, format="npz"))
    )
    (piece,) = parts.read_part(path, format="npz")
    indptr, points = piece["vertices"]
    for moved in ({"A": piece["A"] * (1 + 1e-12)}, {"vertices": (indptr, points * (1 + 1e-12))}):
        parts.write_part(path, [{**piece, **moved}], format="npz")
        assert verify_cells(place).problems
    parts.write_part(path, [piece], format="npz")
    assert verify_cells(place)


def test_a_link_of_a_temporary_name_is_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("mine")
    net = pf.ReLUNetwork.random((2, 4, 1), rng=0)
    (tmp_path / "s").mkdir()
    for name in ("manifest.json", "network.npz", "complex.npz"):
        for suffix in ("", ".partial"):
            (tmp_path / "s" / f".{name}.{os.getpid()}{suffix}").symlink_to(outside)
    pf.canonical_complex(net).save(tmp_path / "s" / "complex.npz")
    net.save(tmp_path / "s" / "network.npz")
    parts.write_text(tmp_path / "s" / "manifest.json", "{}")
    assert outside.read_text() == "mine"
    assert not list((tmp_path / "s").rglob("*.part"))


def test_lines_without_parts_and_manifests_of_other_networks(tmp_path: Path) -> None:
    net = pf.ReLUNetwork.random((2, 6, 1), rng=0)
    pf.write_cells(net, tmp_path, file_format="npz", dims=[1, 2])
    journal, path = tmp_path / "blocks.jsonl", tmp_path / "manifest.json"
    (line,) = journal.read_text().splitlines()
    data, manifest = json.loads(line), json.loads(path.read_text())
    for files in ({}, {"1": data["files"]["1"]}, {**data["files"], "2": {**data["files"]["2"], "rows": 0}}):
        journal.write_text(json.dumps({**data, "files": files}) + "\n")
        with pytest.raises(FileFormatError, match="its parts have"):
            list(pf.read_cells(tmp_path).cells(2))
    journal.write_text(line + "\n")
    for change, message in (
        ({"architecture": [2, 5, 1]}, "is not the network of the manifest"),
        ({"decisions": {**manifest["decisions"], "exact": 1}}, "its decisions are"),
    ):
        path.write_text(json.dumps({**manifest, **change}))
        with pytest.raises(FileFormatError, match=message):
            pf.read_cells(tmp_path).check()
    journal.write_text("")
    for change in ({"dimension": 1 << 24}, {"columns": 7}, {"dims": [1, 9]}):
        path.write_text(json.dumps({**manifest, "complete": False, **change}))
        with pytest.raises(FileFormatError, match="its network has dimension 2 and 6 columns"):
            pf.read_cells(tmp_path).total()
    for name in ("network", "domain"):
        path.write_text(json.dumps({key: value for key, value in manifest.items() if key != name}))
        with pytest.raises(FileFormatError, match="names no network or no domain"):
            pf.read_cells(tmp_path)


@pytest.mark.parametrize("file_format", ["npz", "parquet", "zarr"])
@pytest.mark.parametrize("way", ["gone", "changed", "other", "link"])
def test_parts_that_are_damaged_are_made_again(tmp_path: Path, file_format: str, way: str) -> None:
    if file_format != "npz":
        pytest.importorskip({"parquet": "pyarrow", "zarr": "zarr"}[file_format])
    net, store = pf.ReLUNetwork.random((2, 9, 9, 1), rng=3), tmp_path / "s"
    pf.write_cells(net, store, SQUARE, file_format=file_format, vertices=True)  # type: ignore[arg-type]
    journal = (store / "blocks.jsonl").read_bytes()
    whole = [cells.vertices for cells in pf.read_cells(store).cells(2)]
    part = sorted((store / "cells").iterdir())[0]
    file = max((p for p in part.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size) if part.is_dir() else part
    if way == "gone":
        shutil.rmtree(part) if part.is_dir() else part.unlink()
    elif way == "changed":
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 1
        file.write_bytes(data)
    elif way == "other":
        file.write_bytes(b"another file")
    else:
        part.rename(tmp_path / part.name)
        part.symlink_to(tmp_path / part.name)
        with pytest.raises(FileFormatError, match="is a link"):
            pf.write_cells(net, store, SQUARE, file_format=file_format, vertices=True, resume=True)  # type: ignore[arg-type]
        assert (tmp_path / part.name).exists()
        return
    pf.write_cells(net, store, SQUARE, file_format=file_format, vertices=True, resume=True)  # type: ignore[arg-type]
    assert pf.read_cells(store).check() == []
    assert verify_cells(store).verdict is Verdict.YES
    for a, b in zip(whole, (cells.vertices for cells in pf.read_cells(store).cells(2))):
        assert np.array_equal(a[1], b[1])
    assert len((store / "blocks.jsonl").read_bytes().splitlines()) == len(journal.splitlines())


def test_stores_whose_journal_has_no_checksums(tmp_path: Path) -> None:
    """As version 0.1 wrote them: a part is read, and its signs compared."""
    net, store = pf.ReLUNetwork.random((2, 9, 9, 1), rng=3), tmp_path / "s"
    pf.write_cells(net, store, SQUARE, file_format="npz")
    journal = store / "blocks.jsonl"
    journal.write_text(re.sub(r',"sha256":"[0-9a-f]{64}"', "", journal.read_text()))
    old, part = journal.read_bytes(), next((store / "cells").iterdir())
    pf.write_cells(net, store, SQUARE, file_format="npz", resume=True)
    assert journal.read_bytes() == old
    part.write_bytes(part.read_bytes()[:-40])
    pf.write_cells(net, store, SQUARE, file_format="npz", resume=True)
    assert pf.read_cells(store).check() == []
    assert b"sha256" in journal.read_bytes()


def test_a_folder_of_parts_that_is_a_link(tmp_path: Path) -> None:
    net, store = pf.ReLUNetwork.random((2, 5, 1), rng=3), tmp_path / "s"
    pf.write_cells(net, store, SQUARE, file_format="npz")
    (store / "cells").rename(tmp_path / "elsewhere")
    (store / "cells").symlink_to(tmp_path / "elsewhere")
    found = verify_cells(store)
    assert found.verdict is Verdict.NO
    assert "is a link" in found.problems[0]
    with pytest.raises(FileFormatError, match="is a link"):
        pf.read_cells(store).check()
    with pytest.raises(FileFormatError, match="is a link"):
        pf.write_cells(net, store, SQUARE, file_format="npz", resume=True)
    assert len(list((tmp_path / "elsewhere").iterdir())) == 1
