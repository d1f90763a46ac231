"""Strata, numbers and covers from bars against the definition: all rank tables, ordered entry by entry."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from polyfiber.datasets.checks.faces import Unclear
from polyfiber.datasets.checks.strata import all_labels, bars_of, covers, dimension_of
from polyfiber.linear.strata import stratify


@pytest.mark.parametrize(
    ("widths", "rank"), [((2, 2, 2), 0), ((2, 3, 2), 1), ((1, 3, 1), 0), ((2, 2, 2, 2), 1), ((2, 1, 2, 3), 0)]
)
def test_covers_are_those_of_the_order_of_ranks(widths: tuple[int, ...], rank: int) -> None:
    depth = len(widths) - 1
    places = [(k, i) for k in range(1, depth + 1) for i in range(k)]
    tables = product(*(range(min(widths[i : k + 1]) + 1) for k, i in places))
    possible = [t for t in tables if bars_of(t, widths) is not None and t[places.index((depth, 0))] == rank]
    assert sorted(all_labels(widths, rank)) == sorted(possible)
    for label in possible:
        larger = [t for t in possible if t != label and all(a <= b for a, b in zip(label, t))]
        least = {t for t in larger if not any(s != t and all(a <= b for a, b in zip(s, t)) for s in larger)}
        found = covers(label, widths)
        assert set(found.values()) == least
        for (i, k, s, t), upper in found.items():
            raised = {place for place, a, b in zip(places, label, upper) if a != b}
            assert raised == {(y, x) for x in range(i, s) for y in range(k + 1, t + 1)}


@pytest.mark.parametrize(("widths", "rank"), [((3, 3, 3, 2), 1), ((3, 4, 4, 3), 0), ((4, 4, 4), 2)])
def test_numbers_and_dimensions_are_those_of_the_library(widths: tuple[int, ...], rank: int) -> None:
    strata = stratify(widths, rank=rank)
    labels = all_labels(widths, rank)
    assert np.array_equal(labels, np.asarray(strata.ranks))
    assert [dimension_of(bars_of(label, widths) or {}, widths) for label in labels] == np.asarray(strata.dim).tolist()


def test_too_many_strata_are_unclear() -> None:
    with pytest.raises(Unclear, match="strata"):
        all_labels((9, 9, 9, 9, 9), 0)
