"""Tables of complexes, cells and facets: their rows, and checks that notice a wrong number."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.testing.corpus import degenerate_corpus

pytest.importorskip("pyarrow")

from polyfiber.datasets.tables import Item, table
from polyfiber.datasets.tables.base import Unsure

CASES = [
    ((2, 6, 4, 1), None),
    ((3, 6, 5, 2), None),
    ((3, 5, 4, 1), pf.Box(-1.0, 2.0, dimension=3)),
    ((1, 5, 3, 1), None),
    ((4, 3, 3, 2), None),  # lineality
]


def item_of(network: pf.ReLUNetwork, **more: Any) -> Item:
    values: dict[str, Any] = {"id": 7, "source": "s", "kind": "random", "index": 0, "entropy": 1, "key": (0, 0)}
    return Item(network=network, **(values | more))


def rows_of(name: str, item: Item, **options: Any) -> list[dict[str, Any]]:
    kind = table(name)
    checked = kind.check_options(options, "")
    batches = list(kind.rows([item], checked))
    assert all(b.schema.equals(kind.schema(checked), check_metadata=True) for b in batches)
    return [row for b in batches for row in b.to_pylist()]


def complaints(name: str, item: Item, rows: list[dict[str, Any]], **options: Any) -> list[str]:
    kind = table(name)
    return [text for text in kind.check(item, rows, kind.check_options(options, "")) if not isinstance(text, Unsure)]


@pytest.mark.parametrize(("widths", "domain"), CASES)
@pytest.mark.parametrize("name", ["complexes", "cells", "facets"])
def test_rows_pass_their_own_check(name: str, widths: tuple[int, ...], domain: pf.Box | None) -> None:
    item = item_of(pf.ReLUNetwork.random(widths, rng=2), domain=domain)
    rows = rows_of(name, item)
    cx = item.complex
    expected = {"complexes": 1, "cells": cx.n_regions}
    assert len(rows) == expected.get(name, len(rows)) > 0
    assert complaints(name, item, rows[:: max(1, len(rows) // 10)]) == []


def test_degenerate_networks_have_rows_too() -> None:
    # networks within rounding of degenerate ones have cells that no check in floats can judge
    far = [c for c in degenerate_corpus() if not c.name.startswith(("near-pairs", "subnormal"))]
    cases = [c for c in far if c.network.architecture[0] in (2, 3)][::12]
    assert len(cases) >= 4
    for case in cases:
        item = item_of(case.network)
        for name in ("complexes", "cells", "facets"):
            rows = rows_of(name, item)
            assert complaints(name, item, rows[:: max(1, len(rows) // 5)]) == []


@pytest.mark.parametrize(
    ("name", "column", "change"),
    [
        ("complexes", "f_vector", lambda v: [v[0], v[1] + 1, *v[2:]]),
        ("complexes", "bounded", lambda v: [v[0], v[1] + 10**6, *v[2:]]),
        ("cells", "signs", lambda v: [-v[0], *v[1:]]),
        ("cells", "bounded", lambda v: not v),
        ("cells", "A", lambda v: [v[0] + 0.1, *v[1:]]),
        ("cells", "a", lambda v: [v[0] + 0.1]),
        ("cells", "walls", lambda v: [v[1], v[0], *v[2:]]),
        ("cells", "offsets", lambda v: [v[0] + 0.1, *v[1:]]),
        ("cells", "vertices", lambda v: [v[0] + 0.1, *v[1:]]),
        ("cells", "volume", lambda v: 1.01 * v if v else 1.0),
        ("facets", "weight", lambda v: [1.1 * v[0] + 0.1]),
        ("facets", "neuron", lambda v: v + 1 if v == 0 else v - 1),
        ("facets", "offset", lambda v: v + 0.1),
        ("facets", "visible", lambda v: not v),
    ],
)
def test_checks_notice(name: str, column: str, change: Any) -> None:
    item = item_of(pf.ReLUNetwork.random((2, 6, 4, 1), rng=2))
    rows = rows_of(name, item)
    wrong = [r | {column: change(r[column])} for r in rows[: 1 if name == "complexes" else 6]]
    assert len(complaints(name, item, wrong)) >= len(wrong) // 2


def test_parallel_unbounded_edges_repeat_their_direction() -> None:
    """Each as often as edges run along it: rays dropped, doubled, or counted along another direction are noticed."""
    item = item_of(pf.ReLUNetwork.random((3, 6, 5, 2), rng=2))
    rows = [r for r in rows_of("cells", item) if len(r["rays"]) >= 9]
    several = [
        r for r in rows if len({tuple(np.round(v, 6)) for v in np.reshape(r["rays"], (-1, 3))}) < len(r["rays"]) // 3
    ]
    assert len(several) >= 10
    assert complaints("cells", item, several) == []
    told = 0
    for row in several[:12]:
        rays = row["rays"]
        lies = [rays[3:], rays + rays[:3], rays + rays]
        if np.abs(np.subtract(rays[:3], rays[-3:])).max() > 1e-6:
            lies.append(rays[3:] + rays[-3:])
        for lie in lies:
            assert complaints("cells", item, [row | {"rays": lie}]), (row["cell"], lie)
            told += 1
    assert told >= 36


def test_a_missing_and_a_spare_inequality_are_noticed() -> None:
    item = item_of(pf.ReLUNetwork.random((2, 6, 4, 1), rng=2))
    row = next(r for r in rows_of("cells", item) if len(r["walls"]) >= 4)
    less = row | {"walls": row["walls"][1:], "normals": row["normals"][2:], "offsets": row["offsets"][1:]}
    assert any("missing" in text for text in complaints("cells", item, [less]))
    from polyfiber.datasets.checks import cell_geometry

    A, b = cell_geometry.halfspaces(item.network, None, row["signs"])
    k = next(i for i in range(len(b)) if i not in row["walls"])
    more = row | {
        "walls": [*row["walls"], k],
        "normals": [*row["normals"], *A[k]],
        "offsets": [*row["offsets"], b[k]],
    }
    assert any("cuts nothing" in text for text in complaints("cells", item, [more]))


def test_options_choose_the_columns() -> None:
    item = item_of(pf.ReLUNetwork.random((3, 4, 1), rng=0))
    options = {"inequalities": False, "vertices": False, "volumes": False}
    rows = rows_of("cells", item, **options)
    assert set(rows[0]) == {"network", "cell", "dimension", "bounded", "signs", "A", "a"}
    assert complaints("cells", item, rows, **options) == []
    assert "size" not in rows_of("facets", item, sizes=False)[0]
    seen = rows_of("facets", item, invisible=False)
    assert all(r["visible"] for r in seen)


def test_cells_are_those_of_the_complex() -> None:
    item = item_of(pf.ReLUNetwork.random((3, 6, 4, 2), rng=5))
    rows, cx = rows_of("cells", item), item.complex
    assert np.array_equal([r["signs"] for r in rows], cx.signs(3))
    volumes = np.array([np.inf if r["volume"] is None else r["volume"] for r in rows])
    assert np.array_equal(volumes, cx.volumes())
    facets = rows_of("facets", item)
    signs = cx.signs(3)
    for f in facets:
        k = sum(cx.network.hidden_widths[: f["layer"] - 1]) + f["neuron"]
        assert signs[f["positive"], k] == 1
        assert signs[f["negative"], k] == -1


def test_a_complex_beyond_the_memory_is_refused() -> None:
    item = item_of(pf.ReLUNetwork.random((3, 12, 12, 1), rng=0), memory=200_000)
    with pytest.raises(pf.errors.BudgetExceededError):
        rows_of("cells", item)


def test_blocks_hold_the_cells_of_the_whole() -> None:
    from polyfiber.complexes.blocks.block import Block
    from polyfiber.complexes.blocks.contents import run_block

    item = item_of(pf.ReLUNetwork.random((3, 6, 5, 1), rng=3))
    kind = table("cells")
    options = kind.check_options({}, "")
    assert kind.blocks is not None
    found: list[dict[str, Any]] = []
    for block in Block().split(2):
        part = run_block(item.network, block)
        assert part.complex is not None
        for batch in kind.blocks(item, part.complex, options, len(found)):
            found += batch.to_pylist()
    assert [r["cell"] for r in found] == list(range(len(found)))
    assert complaints("cells", item, found[::20]) == []
    whole = {tuple(r["signs"]): r for r in rows_of("cells", item)}
    assert len(whole) == len(found)
    for row in found:
        other = whole[tuple(row["signs"])]
        assert row["bounded"] == other["bounded"]
        assert sorted(row["walls"]) == sorted(other["walls"])
        if row["bounded"]:
            assert np.isclose(row["volume"], other["volume"], rtol=1e-9)
        assert len(row["vertices"]) == len(other["vertices"])
