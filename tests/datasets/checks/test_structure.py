"""What files say of themselves, the order of their rows and the counts of records, falsified behind checksums that agree."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from polyfiber.datasets import finish, run, validate
from polyfiber.datasets.storage.documents import json_bytes
from polyfiber.datasets.storage.store import sealed

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

SPEC: dict[str, Any] = {
    "name": "small",
    "seed": 5,
    "partition": 2,
    "networks": [{"name": "r", "kind": "random", "architecture": [2, 4, 1], "count": 4}],
    "tables": {"complexes": {}, "cells": {}},
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "data"
    run(SPEC, folder, workers=0)
    assert validate(folder, rng=0).ok
    return folder


@pytest.fixture
def copied(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "data")
    return tmp_path / "data"


def signed_again(folder: Path) -> tuple[str, ...]:
    """Records, manifest and sums as they are for the files that lie there; what `validate` says then."""
    (folder / ".checked").unlink(missing_ok=True)
    for path in sorted((folder / "records").glob("*.json")):
        record = json.loads(path.read_text())
        for name, facts in record["tables"].items():
            data = (folder / name / path.with_suffix(".parquet").name).read_bytes()
            facts.update(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
        path.write_bytes(json_bytes(sealed(record)))
    finish(folder)
    return validate(folder, rows=5, rng=0).problems


def other_texts(table: Any) -> Any:
    fields = [f.with_metadata({b"unit": b"", b"description": b"Anything."}) for f in table.schema]
    return table.cast(pa.schema(fields, metadata=table.schema.metadata))


def other_facts(**changes: Any) -> Callable[[Any], Any]:
    def change(table: Any) -> Any:
        own = json.loads(table.schema.metadata[b"polyfiber"])
        return table.replace_schema_metadata({b"polyfiber": json.dumps({**own, **changes}).encode()})

    return change


def more_facts(table: Any) -> Any:
    return table.replace_schema_metadata({**table.schema.metadata, b"pandas": b"{}"})


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("cells", other_texts, "unit or description of column 'network'"),
        ("cells", other_facts(about="Anything."), "what it says of itself"),
        ("cells", other_facts(seed=6), "what it says of itself"),
        ("networks", other_facts(options={"more": 1}), "what it says of itself"),
        ("complexes", more_facts, "what it says of itself"),
        ("cells", lambda t: t.take(list(range(t.num_rows))[::-1]), "not in the order of network and cell"),
        ("cells", lambda t: t.take([0, 2, 1, *range(3, t.num_rows)]), "not in the order of network and cell"),
        ("cells", lambda t: t.take([0, 0, *range(2, t.num_rows)]), "not in the order of network and cell, each once"),
        ("networks", lambda t: t.take([1, 0]), "not in the order of network"),
        ("networks", lambda t: t.take([0, 0]), "not in the order of network, each once"),
        ("complexes", lambda t: t.take([1, 1]), "not in the order of network, each once"),
    ],
)
def test_a_file_says_what_it_is_and_stands_in_order(
    copied: Path, name: str, change: Callable[[Any], Any], said: str
) -> None:
    path = copied / name / "part-00000.parquet"
    pq.write_table(change(pq.read_table(path)), path)
    problems = signed_again(copied)
    assert any(f"{name}/part-00000.parquet: " in p and said in p for p in problems), problems


@pytest.mark.parametrize("change", [-1, 1])
def test_regions_of_a_record_are_those_of_the_tables(copied: Path, change: int) -> None:
    path = copied / "records" / "part-00001.json"
    record = json.loads(path.read_text())
    record["regions"] += change
    path.write_bytes(json_bytes(record))
    assert any("records/part-00001.json: regions is" in p for p in signed_again(copied))


def test_regions_are_not_asked_for_where_no_table_tells(tmp_path: Path) -> None:
    """Facets alone, linear networks, a network that could not be made."""
    entries = [*SPEC["networks"], {"kind": "linear", "architecture": [2, 2], "count": 2}]
    for tables in ({"facets": {}}, {"complexes": {}, "strata": {}}, {"cells": {}, "facets": {}}):
        run({**SPEC, "networks": entries, "tables": tables}, tmp_path / "-".join(tables), workers=0)
        assert validate(tmp_path / "-".join(tables), rng=0).problems == ()


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text + text.splitlines(keepends=True)[0],
        lambda text: "0" * 64 + text.splitlines(keepends=True)[0][64:] + text,
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("  ", " *"),
        lambda text: "".join(sorted(text.splitlines(keepends=True))),
    ],
)
def test_the_list_of_checksums_is_one_line_a_file(copied: Path, change: Callable[[str], str]) -> None:
    """Programs that read it take the first of two lines, or the last, or a carriage return into the name."""
    text = (copied / "SHA256SUMS").read_text()
    (copied / "SHA256SUMS").write_text(change(text), newline="")
    assert any("SHA256SUMS: not one line for each file" in p for p in validate(copied, rows=0).problems)
