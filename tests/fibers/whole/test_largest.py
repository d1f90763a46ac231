"""Sums of rational vectors, against all of them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from polyfiber.budget import Budget, Monitor
from polyfiber.errors import BudgetExceededError
from polyfiber.fibers.whole import largest
from polyfiber.fibers.whole.largest import adds_up
from polyfiber.numerics.exact import as_fractions


def test_sums_against_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(largest, "STORED", 3)  # both halves are used
    rng = np.random.default_rng(0)
    answers = {True: 0, False: 0}
    for _ in range(200):
        n, d = int(rng.integers(0, 7)), int(rng.integers(1, 4))
        items = [as_fractions(v) / 3 for v in rng.integers(-3, 4, (n, d))]
        target = as_fractions(rng.integers(-4, 5, d)) / 3
        if rng.random() < 0.5:
            target = sum((v for v in items if rng.random() < 0.5), start=0 * target)
        sums = [
            sum((v for v, on in zip(items, chosen) if on), start=0 * target)
            for chosen in itertools.product((False, True), repeat=n)
        ]
        truth = any(not (s != target).any() for s in sums)
        assert adds_up(items, target, Monitor()) is truth
        answers[truth] += 1
    assert min(answers.values()) > 40


def test_time_ends_the_search() -> None:
    items = [as_fractions([int(v)]) for v in np.random.default_rng(0).integers(1, 2**40, 60)]
    with pytest.raises(BudgetExceededError):
        adds_up(items, as_fractions([1]) / 2 * 0 + 1, Monitor(Budget(seconds=0.2)))
