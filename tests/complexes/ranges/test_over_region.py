"""Ranges over single regions, where walls have very different sizes; others are in `test_activation`."""

from __future__ import annotations

import math

import pytest

from scripts.attacks.gates import attack


@pytest.mark.parametrize("seed", [2015, 2042])
def test_rows_of_very_different_sizes_do_not_stop_the_programs(seed: int) -> None:
    """Rows 2^50 times as large as others, against corners in rationals: HiGHS found no box around regions of these two."""
    tried, wrong = attack(seed=seed, count=1, seconds=math.inf, parts=("ranges",))
    assert tried["ranges"] == 1
    assert wrong == []
