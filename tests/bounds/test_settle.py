"""Boxes, then signs: questions with many inputs, evidence that is proved again, and counterexamples that programs suggest."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.bounds import settle as module
from polyfiber.budget import Monitor
from polyfiber.equivalence.bounds.near_equal import Question, near_equal
from polyfiber.equivalence.copies import quantised


def pair(n: int) -> tuple[Any, Any, Any]:
    f = pf.ReLUNetwork.random((n, 16, 10, 2), rng=3)
    return f, quantised(f, bits=6), pf.Box(np.full(n, -0.04), np.full(n, 0.04))


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST", 0.02)


@pytest.mark.usefixtures("eager")
def test_many_inputs() -> None:
    f, g, box = pair(24)
    X = np.random.default_rng(0).choice([-0.04, 0.04], (50_000, 24))
    seen = float(np.abs(f(X) - g(X)).max())
    found = near_equal(f, g, box, epsilon=2.0 * seen, budget=pf.Budget(seconds=20))
    assert found.verdict is pf.Verdict.YES
    assert seen <= found.bound <= 2.0 * seen * (1 + 1e-12)
    if found.tree.neurons:
        answer = pf.are_equivalent(f, g, box, epsilon=2.0 * seen, budget=pf.Budget(seconds=20))
        assert answer.verify(budget=pf.Budget(seconds=20))
    no = near_equal(f, g, box, epsilon=0.9 * seen, budget=pf.Budget(seconds=10))
    assert no.verdict is pf.Verdict.NO


@pytest.mark.usefixtures("eager")
def test_undecided_keeps_a_bound_that_holds() -> None:
    f, g, box = pair(24)
    X = np.random.default_rng(0).choice([-0.04, 0.04], (20_000, 24))
    seen = float(np.abs(f(X) - g(X)).max())
    found = near_equal(f, g, box, epsilon=1.01 * seen, budget=pf.Budget(seconds=0.5))
    assert found.bound >= seen


@pytest.mark.usefixtures("eager")
def test_programs_follow_where_steps_settle_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STEPS_PART", 0.0)
    monkeypatch.setattr(module.SignSearch, "run", lambda *_: module.SignSplit("open", 0.5, 7))
    f, g, box = pair(24)
    X = np.random.default_rng(0).choice([-0.04, 0.04], (20_000, 24))
    seen = float(np.abs(f(X) - g(X)).max())
    search = Question.of(f, g, box, 2.0 * seen).search()
    found = module.by_signs(search, Monitor(), 20.0)
    assert found is not None
    assert (found.status, found.tree is None, found.bound <= 0) == ("proved", False, True)
    monkeypatch.setattr(module, "SWITCHES", -1)
    left = module.by_signs(search, Monitor(), 20.0)
    assert left is not None
    assert (left.status, left.bound) == ("open", 0.5)
