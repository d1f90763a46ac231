"""Shares of identifiable parameters by going over all sign patterns."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest

from polyfiber.errors import InputError
from polyfiber.fibers.parameter_share import identifiable_share, identifiable_share_bounds


def by_patterns(n1: int, n2: int) -> Fraction:
    """No row of signs of (W2 | b2) is constant, and no column alone is positive in every row."""
    good = 0
    for flat in itertools.product((-1, 1), repeat=n2 * (n1 + 1)):
        rows = np.array(flat).reshape(n2, n1 + 1)
        constant = bool((np.abs(rows.sum(axis=1)) == n1 + 1).any())
        hidden = any((rows[:, k] > 0).all() and (np.delete(rows, k, axis=1) < 0).all() for k in range(n1))
        good += not constant and not hidden
    return Fraction(good, 2 ** (n2 * (n1 + 1)))


@pytest.mark.parametrize(("n1", "n2"), [(2, 1), (2, 2), (2, 3), (3, 1), (3, 2), (4, 2)])
def test_share_is_that_of_all_patterns(n1: int, n2: int) -> None:
    share = identifiable_share((n1 + 1, n1, n2, 2))
    assert share == by_patterns(n1, n2)
    low, high = identifiable_share_bounds((n1, n1, n2, 1))
    assert low <= share <= high


def test_shares_tend_to_one_with_the_width() -> None:
    shares = [identifiable_share((n, n, 3, 1)) for n in range(2, 30)]
    assert shares == sorted(shares)
    assert 1 - shares[-1] < Fraction(1, 10**7)


@pytest.mark.parametrize("wrong", [(2, 3, 1, 1), (4, 1, 1, 1), (3, 2, 1), (3, 2, 0, 1), (3, 2.5, 1, 1), "abcd", 3])
def test_what_is_no_bottleneck(wrong: object) -> None:
    with pytest.raises(InputError):
        identifiable_share(wrong)  # type: ignore[arg-type]
