"""Sparse rational maps against dense matrices of Fractions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyfiber.errors import InputError
from polyfiber.network.wiring.exact_rows import ExactRows, Products, entries_of, integers, rows_of, upper


def random_rows(rng: np.random.Generator, m: int, n: int, *, exact: bool) -> tuple[ExactRows, np.ndarray, np.ndarray]:
    """A sparse map, its matrix (m, n) and its offset (m,) in Fractions."""
    mask = rng.random((m, n)) < 0.6
    values = rng.integers(-9, 10, (m, n))
    dense = np.array([[Fraction(int(v), int(rng.integers(1, 7)) if exact else 8) if k else Fraction(0) for v, k in zip(r, q)]
                      for r, q in zip(values, mask)], dtype=object)  # fmt: skip
    offset = np.array([Fraction(int(v), 3 if exact else 4) for v in rng.integers(-9, 10, m)], dtype=object)
    indptr = np.concatenate([[0], np.cumsum(mask.sum(axis=1))]).astype(np.int64)
    data = dense[mask]
    given_data, given_offset = (data, offset) if exact else (data.astype(float), offset.astype(float))
    return ExactRows.of(indptr, np.nonzero(mask)[1], given_data, given_offset), dense, offset


def matrix_of(rows: ExactRows, n: int) -> tuple[np.ndarray, np.ndarray]:
    dense = np.full((len(rows.below), n), Fraction(0), dtype=object)
    for r, c, v in zip(rows_of(rows.indptr), rows.columns.tolist(), rows.numerators):
        dense[r, c] += Fraction(int(v), int(rows.below[r]) * rows.scale.get(c, 1))
    return dense, np.array(
        [Fraction(int(a), int(b)) for a, b in zip(rows.offset_above, rows.offset_below)], dtype=object
    )


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=5))
def test_integers_over_one_denominator(values: list[float]) -> None:
    above, below = integers(np.array(values))
    assert [Fraction(int(a), below) for a in above] == [Fraction(v) for v in values]


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_products_selections_and_stacks(seed: int, exact: bool) -> None:
    rng = np.random.default_rng(seed)
    outer, A, a = random_rows(rng, 4, 3, exact=exact)
    inner, B, b = random_rows(rng, 3, 5, exact=not exact)
    found, offset = matrix_of(outer.after(inner, outer.columns, Products()), 5)
    assert (found == A @ B).all()
    assert (offset == A @ b + a).all()
    which = np.array([2, 0, 2])
    chosen, shift = matrix_of(outer.take(which), 3)
    assert (chosen == A[which]).all()
    assert (shift == a[which]).all()
    both, _ = matrix_of(ExactRows.stacked([outer, ExactRows.units(np.arange(3))]), 3)
    assert (both == np.concatenate([A, np.eye(3, dtype=int).astype(object)])).all()
    assert (matrix_of(outer.absolute(), 3)[0] == np.abs(A)).all()


def test_denominators_of_columns_where_a_map_is_diagonal() -> None:
    rows = ExactRows.of(
        np.arange(4), np.array([2, 0, 1]), np.array([Fraction(1, 3), Fraction(2, 5), Fraction(7)]), None
    )
    moved = rows.by_columns()
    assert moved.scale == {2: 3, 0: 5}
    assert (matrix_of(moved, 3)[0] == matrix_of(rows, 3)[0]).all()
    assert (matrix_of(moved.rescaled({0: 10, 2: 9}), 3)[0] == matrix_of(rows, 3)[0]).all()


@pytest.mark.parametrize("exact", [True, False])
def test_each_number_is_rounded_once_and_the_distance_bounded(exact: bool) -> None:
    rows, A, a = random_rows(np.random.default_rng(7), 4, 3, exact=exact)
    values, bounds, shifts, off = rows.rounded("here")
    true = [A[r, c] for r, c in zip(rows_of(rows.indptr), rows.columns)]
    for found, bound, expected in zip([*values, *shifts], [*bounds, *off], [*true, *a]):
        assert found == float(expected)
        assert abs(Fraction(float(found)) - expected) <= Fraction(float(bound))
        assert (bound == 0) == (Fraction(float(found)) == expected)
    huge = ExactRows.of(np.array([0, 1]), np.array([0]), np.array([Fraction(10) ** 400], dtype=object), None)
    with pytest.raises(InputError, match="here: folding gives a number beyond"):
        huge.rounded("here")


def test_bounds_are_rounded_up_and_work_is_counted() -> None:
    assert upper(0, 3) == 0.0
    assert Fraction(upper(1, 3)) > Fraction(1, 3)
    assert upper(10**400, 1) == np.inf
    budget = Products(limit=10)
    budget.spend(10, np.array([1], dtype=object), np.array([1], dtype=object))
    with pytest.raises(InputError, match="11 exact multiplications"):
        budget.spend(1, np.array([1], dtype=object), np.array([1], dtype=object))


def test_entries_of_chosen_rows() -> None:
    indptr = np.array([0, 2, 2, 5])
    begins, places = entries_of(indptr, np.array([2, 0, 1]))
    assert begins.tolist() == [0, 3, 5, 5]
    assert places.tolist() == [2, 3, 4, 0, 1]
    assert rows_of(indptr).tolist() == [0, 0, 2, 2, 2]
