"""The manifest: sums of its records, checksums of every file, and nothing finished that is not."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from polyfiber.datasets import finish, run
from polyfiber.datasets.plan import Plan
from polyfiber.datasets.publishing.manifest import copies, describe
from polyfiber.errors import FileFormatError, IncompleteError, InputError

pytest.importorskip("pyarrow")

SPEC: dict[str, Any] = {
    "name": "tiny", "seed": 1, "partition": 2, "networks": [{"kind": "random", "architecture": [2, 4, 1], "count": 5}],
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    run(SPEC, tmp_path / "data", workers=0, finish=False)
    return tmp_path / "data"


def test_the_manifest_sums_its_records(folder: Path) -> None:
    done = finish(folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest == done.manifest
    assert (manifest["counts"]["networks"], manifest["partitions"], manifest["seed"]) == (5, 3, 1)
    entry = manifest["tables"]["networks"]
    assert entry["rows"] == 5 == sum(f["rows"] for f in entry["files"])
    assert entry["bytes"] == sum((folder / f["path"]).stat().st_size for f in entry["files"])
    assert manifest["counts"]["left_out"] == {}


def test_every_file_has_its_checksum(folder: Path) -> None:
    done = finish(folder)
    lines = [line.split("  ") for line in (folder / "SHA256SUMS").read_text().splitlines()]
    assert done.files == len(lines)
    for digest, name in lines:
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    named = {name for _, name in lines}
    kept = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert kept - named <= {"SHA256SUMS", "runs.jsonl", ".lock", ".checked"}
    assert copies(Plan.read(folder)) == ()


def test_partitions_that_are_missing_or_damaged_are_named(folder: Path) -> None:
    files = sorted((folder / "networks").glob("*.parquet"))
    files[0].write_bytes(files[0].read_bytes()[:-1] + b"x")
    files[2].unlink()
    with pytest.raises(IncompleteError, match=r"2 of 3 partitions are not done, or damaged \(0, 2\)") as error:
        finish(folder)
    assert error.value.partial == [0, 2]
    assert not (folder / "manifest.json").exists()


def test_files_of_others_are_neither_taken_nor_deleted(folder: Path, tmp_path: Path) -> None:
    (folder / "networks" / "mine.parquet").write_bytes(b"mine")
    with pytest.raises(InputError, match=r"mine\.parquet: not part of the dataset"):
        finish(folder)
    assert (folder / "networks" / "mine.parquet").read_bytes() == b"mine"
    with pytest.raises(FileFormatError, match="not the directory of a dataset"):
        finish(tmp_path / "nothing")


def test_columns_are_described(folder: Path) -> None:
    plan = Plan.read(folder)
    record = {"partition": 0, "networks": 2, "failed": 0, "skipped": 0, "regions": 0,
              "tables": {"networks": {"rows": 2, "bytes": 7, "sha256": "0" * 64}}}  # fmt: skip
    columns = describe(plan, [record])["tables"]["networks"]["columns"]
    assert columns[0]["name"] == "network"
    assert all(c["description"] and c["type"] for c in columns)
