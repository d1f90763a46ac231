"""Croissant: files with their checksums, fields with their types, addresses of licences."""

from __future__ import annotations

from typing import Any

import pytest

from polyfiber.datasets import Spec, make_plan
from polyfiber.datasets.publishing import croissant as module
from polyfiber.datasets.publishing.manifest import describe

SPEC: dict[str, Any] = {
    "name": "tiny", "seed": 1, "partition": 3, "authors": ["Ada", "Emmy"], "version": "v1.2",
    "networks": [{"kind": "random", "architecture": [2, 4, 1], "count": 5}],
}  # fmt: skip


def made() -> dict[str, Any]:
    plan = make_plan(Spec.of(SPEC))
    records = [
        {"partition": p.index, "networks": len(p), "failed": 0, "skipped": 0, "regions": 0,
         "tables": {"networks": {"rows": len(p), "bytes": 100 + p.index, "sha256": f"{p.index:064x}"}}}
        for p in plan.partitions
    ]  # fmt: skip
    return module.croissant(plan, describe(plan, records))


def test_every_file_has_its_checksum_and_every_set_is_found() -> None:
    document = made()
    objects = [d for d in document["distribution"] if d["@type"] == "cr:FileObject"]
    assert [(o["contentSize"], o["sha256"]) for o in objects] == [("100 B", f"{0:064x}"), ("101 B", f"{1:064x}")]
    (files,) = [d for d in document["distribution"] if d["@type"] == "cr:FileSet"]
    assert "containedIn" not in files
    (records,) = document["recordSet"]
    for field in records["field"]:
        assert field["source"]["fileSet"]["@id"] == files["@id"]
        assert field["@id"] == f"networks/{field['source']['extract']['column']}"
    ids = [d["@id"] for d in (*document["distribution"], *records["field"])]
    assert len(ids) == len(set(ids))


def test_types_of_columns() -> None:
    fields = {f["source"]["extract"]["column"]: f for f in made()["recordSet"][0]["field"]}
    assert fields["network"]["dataType"] == "sc:Integer"
    assert "repeated" not in fields["network"]
    assert fields["parameters"]["dataType"] == "sc:Float"
    assert fields["parameters"]["repeated"] is True
    assert fields["source"]["dataType"] == "sc:Text"


def test_who_and_which_version() -> None:
    document = made()
    assert [c["name"] for c in document["creator"]] == ["Ada", "Emmy"]
    assert document["version"] == "1.2.0"
    assert document["citeAs"].endswith("made by polyfiber from seed 1.")


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("1", "1.0.0"),
        ("v2.3", "2.3.0"),
        ("1.2.3", "1.2.3"),
        ("1.2.3.4", "1.2.3.4"),
        ("2026-03", "2026-03"),
        ("1.0-rc", "1.0-rc"),
    ],
)
def test_three_numbers_where_they_are_numbers(given: str, found: str) -> None:
    assert module._version(given) == found


def test_addresses_of_single_licences() -> None:
    assert module.licence_url("CC0-1.0") == "https://spdx.org/licenses/CC0-1.0"
    for whole in ("MIT OR Apache-2.0", "LicenseRef-mine", "GPL-3.0+"):
        assert module.licence_url(whole) == whole
