"""Fiber labels: rows do not depend on the grouping, and their check notices a wrong label."""

from __future__ import annotations

from typing import Any

import pytest

import polyfiber as pf

pytest.importorskip("pyarrow")

from polyfiber.datasets.tables import Item, table


def items_of(widths: list[tuple[int, ...]]) -> list[Item]:
    return [
        Item(id=i, source="s", kind="random", index=i, network=pf.ReLUNetwork.random(w, rng=i), entropy=1, key=(0, i))
        for i, w in enumerate(widths)
    ]


def rows_of(items: list[Item], **options: Any) -> list[dict[str, Any]]:
    kind = table("fibers")
    checked = kind.check_options(options, "")
    return [row for b in kind.rows(items, checked) for row in b.to_pylist()]


WIDTHS = [(4, 3, 3, 2), (3, 2, 1, 1), (2, 4, 1), (4, 3, 3, 2), (2, 3, 3, 1), (3, 3, 3, 3, 1)] * 4


def test_rows_come_in_order_and_alone_as_together() -> None:
    items = items_of(WIDTHS)
    rows = rows_of(items, limit=64)
    assert [r["network"] for r in rows] == list(range(len(items)))
    assert rows == [row for item in items for row in rows_of([item], limit=64)]
    assert {r["kind"] for r in rows} >= {"identifiable", "layerwise", "undecided"}


def test_the_check_passes_and_notices() -> None:
    kind = table("fibers")
    options = kind.check_options({"limit": 64}, "")
    items = items_of(WIDTHS[:6])
    rows = rows_of(items, limit=64)
    for item, row in zip(items, rows):
        assert list(kind.check(item, [row], options)) == []
        for name, value in (
            ("kind", "none"),
            ("dimension", 99),
            ("hidden_hyperplane", 7),
            ("roles", []),
            ("generic", ""),
        ):
            assert list(kind.check(item, [row | {name: value}], options))


def test_the_local_dimension_agrees_with_the_theorem() -> None:
    rows = rows_of(items_of([(3, 2, 2, 1)] * 8), local_dimension=True)
    decided = [r for r in rows if r["kind"] != "undecided"]
    assert decided
    assert all(r["dimension"] == r["local_dimension"] for r in decided)
