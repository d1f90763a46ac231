"""Ranges over single regions, where walls have very different sizes; others are in `test_activation`."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.complexes.ranges.over_region import _box_in_rationals, _range_in_rationals
from scripts.attacks.complexes.gates import attack


@pytest.mark.parametrize("seed", [2015, 2042])
def test_rows_of_very_different_sizes_do_not_stop_the_programs(seed: int) -> None:
    """Rows 2^50 times as large as others, against corners in rationals: HiGHS found no box around regions of these two."""
    tried, wrong = attack(seed=seed, count=1, seconds=math.inf, parts=("ranges",))
    assert tried["ranges"] == 1
    assert wrong == []


def test_a_region_thinner_than_floats_tell() -> None:
    """Against corners in rationals; floats find no box around it, so its programs are solved in rationals."""
    tried, wrong = attack(seed=12053, count=1, seconds=math.inf, parts=("ranges",))
    assert tried["ranges"] == 1
    assert wrong == []


def test_programs_in_rationals_end_at_corners() -> None:
    """A triangle of height 2^-60, flatter than any ball of floats beside its corners."""
    thin = Fraction(1, 2**60)
    A = np.array([[Fraction(v) for v in row] for row in ([0, -1], [-1, 1], [1, 1])], dtype=object)
    triangle = pf.Polyhedron(
        A, np.array([Fraction(0), thin - 1, thin + 1], dtype=object)
    )  # corners 1 - thin, 1 + thin, (1, thin)
    third = np.array([Fraction(1, 3), Fraction(1), Fraction(0)], dtype=object)
    low, high = _range_in_rationals(third, triangle)
    right = [x / 3 + y for x, y in ((1 - thin, 0), (1 + thin, 0), (Fraction(1), thin))]
    assert Fraction(low) <= min(right)
    assert Fraction(high) >= max(right)
    assert Fraction(np.nextafter(low, 1)) > min(right)
    assert Fraction(np.nextafter(high, 0)) < max(right)
    low_box, high_box = _box_in_rationals(triangle)
    assert low_box.tolist() == [np.nextafter(1.0, 0), 0.0]
    assert high_box.tolist() == [np.nextafter(1.0, 2), float(thin)]
