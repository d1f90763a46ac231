"""Pairs: known by construction, decided anew by the check, and a wrong relation is noticed."""

from __future__ import annotations

from typing import Any

import pytest

import polyfiber as pf

pytest.importorskip("pyarrow")

from polyfiber.datasets.pairs import KINDS, OF_NETWORK, make_from, starts_from
from polyfiber.datasets.tables import Item, table


def item_of(i: int, widths: tuple[int, ...]) -> Item:
    net = pf.ReLUNetwork.random(widths, rng=100 + i)
    return Item(id=i, source="s", kind="random", index=i, network=net, entropy=1, key=(0, i))


def rows_of(items: list[Item], **options: Any) -> list[dict[str, Any]]:
    kind = table("pairs")
    checked = kind.check_options(options, "")
    return [row for b in kind.rows(items, checked) for row in b.to_pylist()]


def test_pairs_of_every_kind_pass_the_check() -> None:
    kind = table("pairs")
    options = {"kinds": list(KINDS), "per_network": len(KINDS), "top": 4}
    items = [item_of(i, (4, 3, 3, 2)) for i in range(2)]
    rows = rows_of(items, **options)
    assert rows == [row for item in items for row in rows_of([item], **options)]
    assert len({r["made"] for r in rows}) >= len(KINDS) - 3
    assert {r["difficulty"] for r in rows} == {"easy", "medium", "hard"}
    for row in rows:
        if row["made"] != "corner of volume 1e-14":  # branch and bound on seven inputs takes a while
            assert list(kind.check(items[row["network"]], [row], options)) == []


def test_a_wrong_relation_is_noticed() -> None:
    kind, item = table("pairs"), item_of(0, (4, 3, 3, 2))
    options = {"kinds": ["equal: permute and rescale", "off by 1e-4"], "per_network": 2, "top": 6}
    for row in rows_of([item], **options):
        other = {"equal": "different", "different": "equal"}[row["relation"]]
        assert list(kind.check(item, [row | {"relation": other}], options))
        assert list(kind.check(item, [row | {"a_parameters": [2 * v for v in row["a_parameters"]]}], options))


def test_small_differences_of_near_misses_are_not_taken_for_rounding() -> None:
    """Down to the rounding of the values themselves: 1e-9 of difference may not be called zero, nor twice as much."""
    kind, item, told = table("pairs"), item_of(0, (4, 3, 3, 2)), 0
    kinds = [k for k in KINDS if k.startswith("off by")]
    options = {"kinds": kinds, "per_network": len(kinds), "top": 6}
    for row in rows_of([item], **options):
        assert list(kind.check(item, [row], options)) == []
        for lie in (0.0, 2 * row["difference"], row["difference"] + 1e-11):
            if abs(lie - row["difference"]) > 1e-12:
                told += 1
                assert list(kind.check(item, [row | {"difference": lie}], options)), (row["made"], lie)
    assert told >= 9


def test_kinds_that_do_not_fit_are_left_out() -> None:
    wide = item_of(0, (2, 5, 3, 1))
    made = {r["made"] for r in rows_of([wide], per_network=len(OF_NETWORK))}
    assert made == {"equal: permute and rescale", "equal: powers of two"}
    assert not starts_from("equal: spare neurons", wide.network)
    with pytest.raises(pf.errors.InputError, match="cannot be made from"):
        make_from("off by 1e-3", wide.network, rng=0)
