"""Products of rationals, one number at a time."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from polyfiber.numerics.products import exact_product, over_common

NUMBERS = st.lists(st.fractions(), min_size=1, max_size=6)


def column(values: list[Fraction]) -> np.ndarray:
    out = np.empty(len(values), dtype=object)
    out[:] = values
    return out


@settings(max_examples=25, deadline=None)
@given(NUMBERS)
def test_common_denominators_are_the_least(values: list[Fraction]) -> None:
    integers, below = over_common(column(values))
    assert [Fraction(int(v), below) for v in integers] == values
    assert math.gcd(below, *(int(v) for v in integers)) == 1
    assert over_common(np.zeros((0, 2), dtype=object))[1] == 1


def test_products_entry_by_entry() -> None:
    rng = np.random.default_rng(0)
    for m, n, k in ((1, 1, 1), (3, 2, 4), (2, 5, 1)):
        a, b = (
            column([Fraction(int(p), int(q)) for p, q in zip(rng.integers(-9, 9, s), rng.integers(1, 9, s))])
            for s in (m * n, n * k)
        )
        a, b = a.reshape(m, n), b.reshape(n, k)
        found = exact_product(a, b)
        for i in range(m):
            for j in range(k):
                assert found[i, j] == sum(a[i, t] * b[t, j] for t in range(n))
    assert exact_product(np.zeros((2, 0), dtype=object), np.zeros((0, 3), dtype=object)).tolist() == [[0] * 3] * 2
