"""Boxes dealt out to processes: verdicts, trees and counts of one process; workers that are lost; time that ends."""

from __future__ import annotations

from concurrent.futures import BrokenExecutor
from typing import Any

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.bounds.tree import OPEN
from polyfiber.budget import Budget, Monitor
from polyfiber.equivalence.bounds import side_by_side
from polyfiber.equivalence.bounds.near_equal import Question, near_equal
from polyfiber.equivalence.bounds.side_by_side import settled_side_by_side
from polyfiber.errors import InputError

BOX = pf.Box(-1, 1, dimension=4)
FACTOR = {"yes": 1.00001, "no": 0.9999}


def pair() -> tuple[pf.ReLUNetwork, pf.ReLUNetwork, float]:
    """Two networks, and the largest gap found between them, which is the largest but for 1e-6."""
    draw = np.random.default_rng(4)
    f = pf.ReLUNetwork.random((4, 24, 24, 2), rng=draw)
    g = pf.ReLUNetwork([W + 1e-3 * draw.standard_normal(W.shape) for W in f.weights], f.biases)
    found = pf.difference(f, g, BOX, method="bound")
    assert found.upper <= found.maximum * (1 + 2e-6)
    return f, g, found.maximum


class Executor:
    """Runs tasks here; the ones it is told to lose end it."""

    def __init__(self, lost: set[int]) -> None:
        self.lost, self.count = lost, 0

    def map(self, function: Any, items: Any) -> Any:
        for item in items:
            self.count += 1
            if self.count in self.lost:
                raise BrokenExecutor("a worker was lost")
            yield function(item)


@pytest.fixture
def dealt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Boxes are dealt at once, in short rounds."""
    monkeypatch.setattr(side_by_side, "ALONE", 1e-3)
    monkeypatch.setattr(side_by_side, "ROUND", 0.01)
    monkeypatch.setattr(side_by_side, "SMALL", 2)


@pytest.mark.usefixtures("dealt")
@pytest.mark.parametrize("verdict", ["yes", "no"])
def test_two_processes_say_what_one_says(verdict: str) -> None:
    f, g, top = pair()
    answers = [near_equal(f, g, BOX, epsilon=FACTOR[verdict] * top, workers=w) for w in (1, 2)]
    assert [a.verdict.value for a in answers] == [verdict] * 2
    if verdict == "yes":
        assert answers[0].tree.n_leaves == answers[1].tree.n_leaves
        leaves = [sorted((lo.tolist(), hi.tolist()) for lo, hi, _ in a.tree.leaves()) for a in answers]
        assert leaves[0] == leaves[1]
        assert answers[1].proved == 1.0
        assert top <= answers[1].bound <= answers[1].epsilon[0]
    else:
        assert answers[1].gap is not None
        assert answers[1].gap > answers[1].epsilon[0]


@pytest.mark.usefixtures("dealt")
@pytest.mark.parametrize("lost", [{1}, {2, 9}, {3, 4, 5, 6}, set(range(1, 1000))], ids=["first", "two", "many", "all"])
def test_a_lost_worker_loses_nothing(lost: set[int]) -> None:
    f, g, top = pair()
    question = Question.of(f, g, BOX, 1.00001 * top)
    executor = Executor(lost)
    found = settled_side_by_side(question, Monitor(), 4, executor)
    assert executor.count >= min(lost)
    assert found.status == "proved"
    assert (found.tree.split != OPEN).all()
    volume = sum(float(np.prod(hi - lo)) for lo, hi, _ in found.tree.leaves())
    assert abs(volume - 16.0) < 1e-9
    assert found.boxes == len(found.tree.split)  # nothing is looked at twice: what was lost was not counted


@pytest.mark.usefixtures("dealt")
def test_where_the_time_ends_the_bound_holds_and_what_is_open_is_said() -> None:
    f, g, top = pair()
    question = Question.of(f, g, BOX, 1.00001 * top)
    found = settled_side_by_side(question, Monitor(Budget(seconds=0.15)), 4, Executor(set()))
    if found.status == "open":
        assert found.open == int((found.tree.split == OPEN).sum()) > 0
        assert found.excess + 1.00001 * top >= top * (1 - 1e-9)
        volume = sum(float(np.prod(hi - lo)) for lo, hi, mark in found.tree.leaves() if mark != OPEN) / 16
        assert abs(volume - found.share) < 1e-9


def test_fewer_workers_than_one_are_refused() -> None:
    f = pf.ReLUNetwork.random((2, 3, 1), rng=0)
    with pytest.raises(InputError, match="at least 1"):
        near_equal(f, f, pf.Box(-1, 1, dimension=2), epsilon=1.0, workers=0)
