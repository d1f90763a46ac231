"""Counts of strata and of points over finite fields against plain enumeration."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.errors import BudgetExceededError, InputError
from polyfiber.linear import count
from polyfiber.linear.ranks import multiplicities, tables
from tests.oracles.rank_lists import multiplicities as all_multiplicities


def many_widths() -> list[tuple[int, ...]]:
    rng = np.random.default_rng(0)
    return [tuple(rng.integers(0, 4, n).tolist()) for n in (2, 3, 3, 4, 4, 5) for _ in range(4)]


@pytest.mark.parametrize("widths", many_widths(), ids=str)
def test_every_way_counts_the_same(widths: tuple[int, ...]) -> None:
    for rank in (None, *range(min(widths) + 1)):
        expected = sum(1 for _ in all_multiplicities(widths, rank))
        assert count.count_strata(widths, rank) == expected
        left = widths if rank is None else tuple(w - rank for w in widths)
        monitor = pf.budget.Monitor()
        assert count._by_layers(left, rank is None, monitor) == expected
        if len(widths) > 2:
            assert count._sweep(left, rank is None, np.dtype(object))[0] == expected


def test_wide_layers_only_add_bars_of_length_zero() -> None:
    assert count._capped((2, 9, 3, 1)) == (2, 5, 3, 1)
    for widths in ((2, 5, 3), (2, 50, 3), (1, 7, 2, 2)):
        assert count.count_strata(widths) == sum(1 for _ in all_multiplicities(widths))


def over_two(widths: tuple[int, ...]) -> Counter[tuple[int, ...]]:
    """How many weights over the field of two elements have each rank list."""

    def rank(matrix: np.ndarray) -> int:
        rows, found = [int("".join(map(str, r)), 2) if len(r) else 0 for r in matrix], 0
        while rows:
            pivot = rows.pop()
            if pivot:
                found += 1
                rows = [min(r, r ^ pivot) if r & (pivot & -pivot) else r for r in rows]
        return found

    shapes = [(b, a) for a, b in zip(widths, widths[1:])]
    seen: Counter[tuple[int, ...]] = Counter()
    for bits in itertools.product((0, 1), repeat=sum(a * b for a, b in shapes)):
        layers, at = [], 0
        for b, a in shapes:
            layers.append(np.array(bits[at : at + a * b], dtype=int).reshape(b, a))
            at += a * b
        label = []
        for k in range(1, len(widths)):
            for i in range(k):
                product = layers[i]
                for W in layers[i + 1 : k]:
                    product = W @ product % 2
                label.append(rank(product))
        seen[tuple(label)] += 1
    return seen


@pytest.mark.parametrize("widths", [(1, 2, 1), (2, 2, 1), (1, 1, 1, 1), (2, 1, 2)], ids=str)
def test_points_over_two_elements_one_by_one(widths: tuple[int, ...]) -> None:
    seen = over_two(widths)
    for label, points in seen.items():
        omega = multiplicities(tables(widths, label))
        assert count.orbit_points(widths, omega, 2) == points
    assert len(seen) == count.count_strata(widths)


@pytest.mark.parametrize("q", [2, 3, 4, 5, 9])
def test_orbits_fill_the_space_and_have_one_polynomial(q: int) -> None:
    widths = (2, 3, 2)
    total = 0
    for stratum in pf.linear.stratify(widths):
        omega = multiplicities(tables(widths, stratum.label))
        points = count.orbit_points(widths, omega, q)
        assert points == sum(c * q**k for k, c in enumerate(count.orbit_class(widths, omega)))
        total += points
    assert total == q ** (2 * 3 + 3 * 2)


def test_fields_and_groups() -> None:
    assert [q for q in range(20) if count.is_prime_power(q)] == [2, 3, 4, 5, 7, 8, 9, 11, 13, 16, 17, 19]
    assert [count.gl_order(n, 2) for n in range(4)] == [1, 1, 6, 168]
    with pytest.raises(InputError, match="6 elements"):
        count.orbit_points((1, 1), [[1, 0], [0, 1]], 6)


def test_what_does_not_fit_is_said() -> None:
    with pytest.raises(BudgetExceededError):
        count.count_strata((60,) * 6, 0, budget=pf.Budget(memory=1 << 20))
    with pytest.raises(InputError, match="rank 3"):
        count.count_strata((2, 2, 2), 3)
