"""Strata and trajectories of linear networks, with checks that notice a wrong number."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import polyfiber as pf

pytest.importorskip("pyarrow")

from polyfiber.datasets.tables import Item, table


def item_of(widths: tuple[int, ...], label: int | None = None, seed: int = 0) -> Item:
    rng = np.random.default_rng(seed)
    if label is None:
        weights: Any = [rng.standard_normal((m, n)) / np.sqrt(n) for n, m in zip(widths[:-1], widths[1:])]
    else:
        strata = pf.linear.stratify(widths, rank=None)
        weights = pf.linear.sample(strata[label], rng=rng)
    net = pf.ReLUNetwork(weights, [np.zeros(m) for m in widths[1:]])
    return Item(id=3, source="s", kind="linear", index=0, network=net, entropy=1, key=(0, 0), linear=True)


def rows_of(name: str, item: Item, **options: Any) -> list[dict[str, Any]]:
    kind = table(name)
    checked = kind.check_options(options, "")
    return [row for b in kind.rows([item], checked) for row in b.to_pylist()]


def complaints(name: str, item: Item, rows: list[dict[str, Any]], **options: Any) -> list[str]:
    kind = table(name)
    return list(kind.check(item, rows, kind.check_options(options, "")))


@pytest.mark.parametrize(("widths", "label"), [((2, 2, 2), None), ((3, 2, 3), 1), ((2, 3, 3, 2), 20), ((3, 3, 3), 5)])
def test_strata_pass_the_check(widths: tuple[int, ...], label: int | None) -> None:
    item = item_of(widths, label)
    rows = rows_of("strata", item)
    assert len(rows) == pf.linear.count_strata(widths, rank=rows[0]["rank"]) == rows[0]["strata"]
    assert sum(r["own"] for r in rows) == 1
    assert complaints("strata", item, rows) == []
    assert len(rows_of("strata", item, which="own")) == 1
    assert any(r["own"] for r in rows_of("strata", item, most=2))


@pytest.mark.parametrize("column", ["dimension", "rank", "own", "ranks", "above"])
def test_wrong_strata_are_noticed(column: str) -> None:
    item = item_of((3, 2, 3), 1)
    rows = rows_of("strata", item)
    change = {
        "dimension": lambda v: v + 1,
        "rank": lambda v: v + 1,
        "own": lambda v: not v,
        "ranks": lambda v: [max(0, v[0] - 1) if v[0] else 1, *v[1:]],
        "above": lambda v: [0, *v],
    }[column]
    assert complaints("strata", item, [rows[-1] | {column: change(rows[-1][column])}, *rows[:-1]])


@pytest.mark.parametrize("process", ["flow", "langevin"])
def test_trajectories(process: str) -> None:
    item = item_of((2, 2, 2, 2) if process == "langevin" else (3, 2, 4))
    rows = rows_of("trajectories", item, process=process, records=6)
    assert len(rows) == 7 * (4 if process == "langevin" else 1)
    assert rows == rows_of("trajectories", item, process=process, records=6)
    assert complaints("trajectories", item, rows[::3], process=process, records=6) == []
    wrong = rows[3] | {"product": [v + 0.1 for v in rows[3]["product"]]}
    assert complaints("trajectories", item, [wrong], process=process, records=6)
    if process == "flow":
        energies = [r["energy"] for r in rows]
        assert energies == sorted(energies, reverse=True)


def test_langevin_refuses_a_product_without_inverse() -> None:
    with pytest.raises(pf.errors.PolyfiberError):
        rows_of("trajectories", item_of((3, 2, 3)), process="langevin")
