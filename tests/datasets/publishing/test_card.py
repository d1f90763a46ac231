"""The card: its header is YAML that hubs read, and words of the spec stay words."""

from __future__ import annotations

from typing import Any

import pytest

from polyfiber.datasets import Spec, make_plan
from polyfiber.datasets.publishing.card import HUB, card
from polyfiber.datasets.publishing.manifest import describe
from polyfiber.datasets.storage.store import table_name

RECORD = {"networks": 5, "failed": 1, "skipped": 2, "regions": 0,
          "tables": {"networks": {"rows": 5, "bytes": 1234567, "sha256": "0" * 64}}}  # fmt: skip


def made(**more: Any) -> str:
    spec = {
        "name": "tiny",
        "seed": 1,
        "networks": [{"name": "r", "kind": "random", "architecture": [2, 4, 1], "count": 5}],
        **more,
    }
    plan = make_plan(Spec.of(spec))
    manifest = describe(plan, [{"partition": p.index, **RECORD} for p in plan.partitions])
    manifest["counts"]["left_out"] = {"cells": {"networks": 2, "first_reason": "too large"}}
    manifest["split"] = []
    return card(plan, manifest)


def header(text: str) -> list[str]:
    assert text.startswith("---\n")
    return text[4 : text.index("\n---\n", 4)].splitlines()


@pytest.mark.parametrize(
    ("licence", "lines"),
    [
        ("CC0-1.0", ["license: cc0-1.0"]),
        ("MIT OR Apache-2.0", ["license: other", 'license_name: "MIT OR Apache-2.0"']),
        ("LicenseRef-mine", ["license: other", 'license_name: "LicenseRef-mine"']),
    ],
)
def test_licences_as_hubs_name_them(licence: str, lines: list[str]) -> None:
    found = header(made(licence=licence))
    assert found[: len(lines)] == lines
    assert all(name == name.lower() for name in HUB)


def test_titles_are_quoted_and_files_are_named() -> None:
    found = header(made(title='A "title": [x]'))
    assert 'pretty_name: "A \\"title\\": [x]"' in found
    assert "- config_name: networks" in found
    assert "  data_files: networks/*.parquet" in found


def test_splits_name_their_files() -> None:
    more = [{"name": "a", "kind": "random", "architecture": [2, 3, 1], "count": 5},
            {"name": "b", "kind": "random", "architecture": [2, 2, 1], "count": 5}]  # fmt: skip
    text = made(networks=more, splits={"train": ["a"], "test": ["b"]})
    found = header(text)
    at = found.index("  - split: test")
    assert found[at + 1 : at + 3] == ["    path:", f"    - {table_name('networks', 1)}"]
    assert "## Splits" in text
    assert "- `train`: entries `a`" in text


def test_counts_and_what_was_left_out() -> None:
    text = made()
    assert "| `networks` | 5 | 1,234,567 | 1 |" in text
    assert "5 networks; 1 of them could not be made" in text
    assert "Table `cells` leaves out 2, for instance: too large" in text
    assert '"seed": 1' in text


def test_a_citation_cannot_end_its_block() -> None:
    text = made(citation="@misc{a,\n```\nb}")
    assert "````\n@misc{a,\n```\nb}\n````" in text
    assert "## Limitations\n\nNone known." in made(limitations="None known.")
