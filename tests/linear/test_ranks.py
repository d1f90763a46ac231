"""Rank lists and multiplicities: inverse to each other, admissible ones are the realised ones."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyfiber.errors import InputError, ShapeError
from polyfiber.linear import ranks as rk
from tests.oracles.rank_lists import ext, multiplicities, ranks_of

small_widths = st.lists(st.integers(0, 3), min_size=2, max_size=4).map(tuple)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 4).flatmap(lambda n: st.lists(st.integers(0, 5), min_size=(n + 1) ** 2, max_size=(n + 1) ** 2)))
def test_ranks_and_multiplicities_are_inverse(entries: list[int]) -> None:
    n = int(len(entries) ** 0.5)
    omega = np.tril(np.array(entries).reshape(n, n))
    assert np.array_equal(rk.multiplicities(rk.rank_table(omega)), omega)
    last = n - 1
    slow = ranks_of({(i, k): int(omega[k, i]) for i in range(n) for k in range(i, n)}, last)
    assert all(rk.rank_table(omega)[k, i] == r for (i, k), r in slow.items())


@settings(deadline=None, max_examples=25)
@given(small_widths)
def test_admissible_labels_are_those_of_multiplicities(widths: tuple[int, ...]) -> None:
    last = len(widths) - 1
    top = [min(widths[i : k + 1]) for k, i in rk.columns(last)]
    if np.prod([t + 1 for t in top]) > 3000:
        return
    realised = {
        tuple(r[i, k] for k, i in rk.columns(last)) for r in (ranks_of(m, last) for m in multiplicities(widths))
    }
    every = np.array(list(itertools.product(*(range(t + 1) for t in top))))
    admissible = {tuple(v) for v in every[rk.is_admissible(widths, every)].tolist()}
    assert admissible == realised


@settings(deadline=None, max_examples=25)
@given(small_widths)
def test_excess_is_the_sum_over_pairs_with_an_extension(widths: tuple[int, ...]) -> None:
    last = len(widths) - 1
    for omega in itertools.islice(multiplicities(widths), 200):
        label = [ranks_of(omega, last)[i, k] for k, i in rk.columns(last)]
        slow = sum(x * y for b, x in omega.items() for a, y in omega.items() if ext(b, a))
        assert int(rk.excess(rk.tables(widths, label))) == slow


def test_transposed_labels_twice_give_the_label() -> None:
    label = np.arange(10)
    assert rk.transpose_label(rk.transpose_label(label)).tolist() == label.tolist()
    assert rk.transpose_label([1, 0, 2]).tolist() == [2, 0, 1]


@pytest.mark.parametrize("bad", [(), (3,), "46", (2, -1), (2, 2.5), (2, True), (2, 10**6), 5, (2, "3"), None])
def test_bad_widths_are_refused(bad: object) -> None:
    with pytest.raises(InputError):
        rk.check_widths(bad)


@pytest.mark.parametrize("rank", [-1, 3, 1.0, True, "1"])
def test_bad_ranks_are_refused(rank: object) -> None:
    with pytest.raises(InputError):
        rk.check_rank((2, 5, 3), rank)


def test_labels_of_the_wrong_length_are_refused() -> None:
    with pytest.raises(ShapeError, match="3 entries"):
        rk.tables((2, 2, 2), [1, 2])
    with pytest.raises(ShapeError, match="1, 3, 6"):
        rk.transpose_label([1, 2])
