"""What is shipped with the tables is current: the page of columns, the example specs, their cards."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from polyfiber.datasets import run, validate
from polyfiber.datasets.spec import Spec, read_spec
from polyfiber.datasets.tables import NAMES, table

ROOT = Path(__file__).resolve().parents[2]
SPECS = sorted((ROOT / "data" / "specs").glob("*.toml"))


def test_the_page_of_columns_is_current() -> None:
    done = subprocess.run([sys.executable, str(ROOT / "scripts" / "tables_doc.py"), "--check"], check=False)
    assert done.returncode == 0, "run python scripts/tables_doc.py"


def test_there_are_three_examples() -> None:
    assert [p.stem for p in SPECS] == ["pairs", "polytopes", "trained-fibers"]


@pytest.mark.parametrize("path", SPECS, ids=lambda p: p.stem)
def test_the_card_of_an_example_is_that_of_its_spec(path: Path) -> None:
    if path.stem == "trained-fibers":
        pytest.importorskip("sklearn")
    spec = read_spec(path)
    card = (ROOT / "docs" / "cards" / f"{path.stem}.md").read_text(encoding="utf-8")
    assert spec.title in card
    assert spec.fingerprint in card or str(spec.seed) in card
    for name, options in spec.tables.items():
        for column in table(name).columns_for(options):
            assert f"`{column.name}`" in card, f"{column.name} of {name} is not in the card: run the spec again"
            assert column.doc in card, f"{column.name} of {name} means something else now: run the spec again"


def test_every_table_says_what_it_holds() -> None:
    for name in NAMES:
        found = table(name)
        assert found.name == name
        assert found.doc.endswith(".")
        for column in found.columns:
            assert column.doc.endswith("."), (name, column.name)
        for option in found.options:
            assert (
                option.check(list(option.default) if isinstance(option.default, tuple) else option.default, "x")
                is not None
            )


@pytest.mark.slow
@pytest.mark.parametrize("path", SPECS, ids=lambda p: p.stem)
def test_a_small_one_of_its_kind_is_made_and_agrees(path: Path, tmp_path: Path) -> None:
    if path.stem == "trained-fibers":
        pytest.importorskip("sklearn")
    given = tomllib.loads(path.read_text(encoding="utf-8"))
    for entry in given["networks"]:
        entry["count"] = 1
    report = run(Spec.of(given, folder=path.parent), tmp_path / "data", workers=0)
    assert report.complete
    assert not report.failed
    assert not report.skipped
    found = validate(tmp_path / "data", rows=1, rng=0)
    assert not found.problems
