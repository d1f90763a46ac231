"""Buckets, and datasets that move: the same bytes in memory, in S3, and anywhere else on the disk."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.datasets import load, read_spec, run, validate
from polyfiber.errors import FileFormatError

pytest.importorskip("pyarrow")
fsspec = pytest.importorskip("fsspec")

TEXT = """name = "moves"
seed = 3
partition = 2
[[networks]]
name = "own"
kind = "files"
paths = ["nets/*.npz"]
licence = "CC-BY-4.0"
[[networks]]
kind = "perturbed"
of = "own"
noise = 0.01
[tables.complexes]
"""


def contents(folder: Path) -> dict[str, bytes]:
    apart = {"runs.jsonl", ".lock", ".checked"}
    return {
        str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.name not in apart
    }


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    (tmp_path / "spec" / "nets").mkdir(parents=True)
    for i in range(3):
        pf.ReLUNetwork.random((2, 3, 1), rng=i).save(tmp_path / "spec" / "nets" / f"{i}.npz")
    (tmp_path / "spec" / "s.toml").write_text(TEXT)
    return tmp_path / "spec" / "s.toml"


def test_a_dataset_needs_nothing_else(spec: Path, tmp_path: Path) -> None:
    run(spec, tmp_path / "one", workers=0)
    shutil.copytree(spec.parent, tmp_path / "elsewhere")
    run(tmp_path / "elsewhere" / "s.toml", tmp_path / "deep" / "two", workers=1)
    whole = contents(tmp_path / "one")
    assert contents(tmp_path / "deep" / "two") == whole
    assert not any(str(tmp_path).encode() in data for data in whole.values())
    shutil.rmtree(spec.parent)
    shutil.move(tmp_path / "one", tmp_path / "moved")
    found = validate(tmp_path / "moved", redo=3, rng=0)
    assert found.ok, found.problems


def test_words_of_the_card_follow_the_spec(spec: Path, tmp_path: Path) -> None:
    run(spec, tmp_path / "d", workers=0)
    spec.write_text('title = "Better"\nlicence = "mit"\nauthors = ["A. Author"]\n' + TEXT)
    report = run(spec, tmp_path / "d", workers=0)
    assert report.done == 0
    manifest = load(tmp_path / "d").manifest
    assert (manifest["title"], manifest["licence"], manifest["authors"]) == ("Better", "MIT", ["A. Author"])
    assert "A. Author" in (tmp_path / "d" / "README.md").read_text()
    spec.write_text('licence = "banana"\n' + TEXT)
    with pytest.raises(pf.errors.InputError, match="licence: found 'banana'"):
        read_spec(spec)


def test_same_size_damage_is_noticed_and_repaired(spec: Path, tmp_path: Path) -> None:
    run(spec, tmp_path / "d", workers=0)
    whole = contents(tmp_path / "d")
    path = tmp_path / "d" / "networks" / "part-00001.parquet"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(pf.errors.FileFormatError, match="is damaged"):
        load(tmp_path / "d")["networks"].to_numpy()
    with pytest.raises(pf.errors.IncompleteError, match=r"damaged \(1\)"):
        pf_finish(tmp_path / "d")
    assert run(spec, tmp_path / "d", workers=0).done == 1
    assert contents(tmp_path / "d") == whole
    swapped = [tmp_path / "d" / "networks" / f"part-0000{i}.parquet" for i in (0, 1)]
    a, b = (p.read_bytes() for p in swapped)
    swapped[0].write_bytes(b)
    swapped[1].write_bytes(a)
    assert run(spec, tmp_path / "d", workers=0).done == 2
    assert contents(tmp_path / "d") == whole


def pf_finish(folder: Path) -> Any:
    from polyfiber.datasets import finish

    return finish(folder)


def roundtrip(address: str, spec: Path, tmp_path: Path) -> None:
    run(spec, tmp_path / "local", workers=0)
    files = fsspec.open(address + "/x").fs
    files.makedirs(address, exist_ok=True)
    files.put(str(spec.parent / "nets"), address + "/spec/", recursive=True)
    files.put(str(spec), address + "/spec/s.toml")
    report = run(address + "/spec/s.toml", address + "/d", workers=0)
    assert report.complete
    assert run(address + "/spec/s.toml", address + "/d", workers=0).kept == report.partitions
    files.get(address + "/d", str(tmp_path / "back"), recursive=True)
    assert contents(tmp_path / "back") == contents(tmp_path / "local")
    assert validate(address + "/d", rng=0, redo=1).ok
    assert validate(tmp_path / "back", rng=0).ok
    there = load(address + "/d")["networks"].to_numpy(["parameters"])["parameters"]
    here = load(tmp_path / "local")["networks"].to_numpy(["parameters"])["parameters"]
    assert np.array_equal(there.values, here.values)


def test_a_spec_at_the_root_of_an_address() -> None:
    with pytest.raises(FileFormatError, match=r"^memory://nowhere.toml: cannot be read: No such file"):
        read_spec("memory://nowhere.toml")


def test_memory(spec: Path, tmp_path: Path) -> None:
    roundtrip("memory://bucket", spec, tmp_path)


def test_s3(spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bucket of moto on the loopback."""
    server = pytest.importorskip("moto.server")
    pytest.importorskip("s3fs")
    running = server.ThreadedMotoServer(port=0)
    running.start()
    try:
        host, port = running.get_host_and_port()
        for key, value in {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "a",
            "AWS_SECRET_ACCESS_KEY": "b",
            "AWS_DEFAULT_REGION": "us-east-1",
        }.items():
            monkeypatch.setenv(key, value)
        roundtrip("s3://bucket", spec, tmp_path)
    finally:
        running.stop()
        assert os.environ
