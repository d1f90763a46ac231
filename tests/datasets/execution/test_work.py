"""Networks that a table refuses are noted with the reason, and nothing of them stays in that table."""

from __future__ import annotations

import importlib.machinery
import sys
import types
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import polyfiber.datasets.tables as tables
from polyfiber.datasets import fields, load, run, validate
from polyfiber.datasets.tables.base import Column, Item, Option, Options, Table
from polyfiber.errors import BudgetExceededError, InputError, MissingDependencyError

pytest.importorskip("pyarrow")


def refuse(item: Item, options: Options) -> None:
    if item.id in options["refused"]:
        raise BudgetExceededError("needs a lake,\nhas a pond")


def rows(items: Sequence[Item], options: Options) -> Iterator[Any]:
    """Three batches, of items in order; refuses before the first or the third one."""
    for step, share in enumerate(np.array_split(np.arange(len(items)), 3)):
        if step == options["step"]:
            for item in items:
                refuse(item, options)
        ids = np.repeat(np.array([items[i].id for i in share], dtype=np.int64), 6)
        values = np.repeat(np.array([items[i].rng("fake").random() for i in share], dtype=np.float64), 6) + step
        yield TABLE.batch(options, {"network": ids, "value": values})


def check(item: Item, found: Sequence[Mapping[str, Any]], options: Options) -> Iterator[str]:
    value = item.rng("fake").random()
    for row in found:
        if abs((row["value"] - value) % 1) > 1e-9 and abs((row["value"] - value) % 1 - 1) > 1e-9:
            yield f"value {row['value']}"


TABLE = Table(
    "fake",
    "A row is a number.",
    (Column("network", "int64", "the network", "id"), Column("value", "float64", "a number")),
    rows,
    check,
    (
        Option("refused", [], fields.sequence(fields.integer(0), least=0), "networks to refuse"),
        Option("step", 0, fields.integer(0), "when"),
    ),
)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, request: Any) -> Table:
    group = getattr(request, "param", 1)
    found = Table(TABLE.name, TABLE.doc, TABLE.columns, TABLE.rows, TABLE.check, TABLE.options, group)
    module = types.ModuleType("polyfiber.datasets.tables.fake")
    module.__spec__ = importlib.machinery.ModuleSpec(module.__name__, None)
    module.TABLE = found  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(tables, "NAMES", (*tables.NAMES, "fake"))
    return found


def spec(**options: Any) -> dict[str, Any]:
    entry = {"kind": "random", "architecture": [2, 3, 1], "count": 10}
    return {"name": "x", "seed": 1, "partition": 5, "networks": [entry], "tables": {"fake": options}}


@pytest.mark.parametrize("fake", [1, 4], indirect=True)
@pytest.mark.parametrize("step", [0, 2])
def test_refused_networks_are_noted(fake: Table, step: int, tmp_path: Path) -> None:
    report = run(spec(refused=[2, 3, 7], step=step), tmp_path / "d", workers=0)
    assert report.complete
    assert report.skipped == 3
    data = load(tmp_path / "d")
    noted = data["networks"].to_arrow(["network", "skipped", "reasons"]).to_pylist()
    for row in noted:
        refused = row["network"] in (2, 3, 7)
        assert row["skipped"] == (["fake"] if refused else [])
        assert row["reasons"] == (["BudgetExceededError: needs a lake, has a pond"] if refused else [])
    values = data["fake"].to_numpy()
    assert sorted(set(values["network"])) == [0, 1, 4, 5, 6, 8, 9]
    assert len(values["value"]) == 7 * 6
    assert data.manifest["counts"]["left_out"]["fake"]["networks"] == 3
    card = (tmp_path / "d" / "README.md").read_text()
    assert "`fake` leaves out 3, for instance: BudgetExceededError: needs a lake, has a pond" in card
    assert validate(tmp_path / "d").ok


def test_options_are_checked(fake: Table, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"tables\.fake\.refused\[1\]: found -1; expected a whole number >= 0"):
        run(spec(refused=[0, -1]), tmp_path / "d")
    with pytest.raises(InputError, match=r"tables\.fake\.steps: unknown key; expected one of the keys refused, step"):
        run(spec(steps=1), tmp_path / "d")


def test_other_errors_end_the_partition_only(fake: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(items: Sequence[Item], options: Options) -> Iterator[Any]:
        if items[0].id == 6:
            raise ZeroDivisionError("a bug")
        yield from rows(items, options)

    module = sys.modules["polyfiber.datasets.tables.fake"]
    monkeypatch.setattr(module, "TABLE", Table("fake", "x", TABLE.columns, broken, check, TABLE.options))
    report = run(spec(), tmp_path / "d", workers=0)
    assert not report.complete
    assert report.failures == ((1, "ZeroDivisionError: a bug"),)
    assert not list((tmp_path / "d" / ".partial").glob("*"))
    monkeypatch.undo()


def test_a_missing_package_is_not_a_reason_to_skip(
    fake: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(items: Sequence[Item], options: Options) -> Iterator[Any]:
        raise MissingDependencyError("nothing", extra="data", purpose="this table")
        yield

    module = sys.modules["polyfiber.datasets.tables.fake"]
    monkeypatch.setattr(module, "TABLE", Table("fake", "x", TABLE.columns, broken, check, TABLE.options))
    report = run(spec(), tmp_path / "d", workers=0)
    assert [f[0] for f in report.failures] == [0, 1]
    assert "pip install 'polyfiber[data]'" in report.failures[0][1]


def test_validate_reports_what_the_check_finds(fake: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(spec(), tmp_path / "d", workers=0)

    def shifted(item: Item, found: Sequence[Mapping[str, Any]], options: Options) -> Iterator[str]:
        return check(item, [{**row, "value": row["value"] + 0.25} for row in found], options)

    module = sys.modules["polyfiber.datasets.tables.fake"]
    monkeypatch.setattr(module, "TABLE", Table("fake", TABLE.doc, TABLE.columns, rows, shifted, TABLE.options))
    found = validate(tmp_path / "d", rows=7)
    assert len(found.problems) == 7
    assert found.problems[0].startswith("fake, network ")
