"""Bounds that hold as rational numbers, and budgets that are kept."""

from __future__ import annotations

import time
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.budget import Monitor, heed, heed_memory
from polyfiber.equivalence.bounds.difference import _by_bounds, _by_cells
from polyfiber.equivalence.bounds.difference_network import difference_network, stacking_error
from polyfiber.errors import BudgetExceededError
from polyfiber.network.moves import random_trivial
from polyfiber.numerics.exact import as_fractions
from polyfiber.verdict import Verdict


def test_stacking_error_bounds_what_stacking_changes() -> None:
    rng = np.random.default_rng(3)
    for left, right in (((2, 3, 2), (2, 4, 3, 2)), ((2, 3, 2), (2, 3, 2)), ((2, 2), (2, 3, 3, 2))):
        a, b = pf.ReLUNetwork.random(left, rng=rng), pf.ReLUNetwork.random(right, rng=rng)
        b = pf.ReLUNetwork([w * 1e5 for w in b.weights], [c / 3 for c in b.biases])
        stacked = difference_network(a, b).exact()
        for x in as_fractions(rng.standard_normal((5, 2))):
            gap = stacked(x) - (a.exact()(x) - b.exact()(x))
            assert max(abs(v) for v in gap) <= Fraction(stacking_error(a, b))


def test_nearly_equal_networks_are_compared_by_the_regions_of_one() -> None:
    """Walls that coincide up to rounding are the worst input of a complex of both side by side."""
    a = pf.ReLUNetwork.random((2, 4, 4, 2), rng=3)
    box = pf.Box(-1, 1, dimension=2)
    copy = random_trivial(a, rng=1)(a)
    found = pf.difference(a, copy, box)
    assert found.complete
    assert found.maximum <= 1e-13
    assert found.upper <= 1e-9
    lengths = [np.linalg.norm(a(x) - copy(x)) for x in np.random.default_rng(0).uniform(-1, 1, (500, 2))]
    assert max(lengths) <= found.upper
    for size in (1e-11, 1e-7, 1e-3):
        other = pf.ReLUNetwork([*copy.weights[:-1], copy.weights[-1] * (1 + size)], copy.biases)
        by_regions, side_by_side = _by_cells(a, other, box, Monitor()), pf.difference(a, other, box)
        assert by_regions.maximum == pytest.approx(side_by_side.maximum, rel=1e-4)
        assert by_regions.upper >= side_by_side.maximum * (1 - 1e-9)


def test_budgets_reach_the_work_they_do_not_know() -> None:
    monitor = Monitor(pf.Budget(seconds=0.0, memory=1000))
    heed("nothing watches")
    heed_memory(10**9, "nothing watches")
    with monitor.watching(), Monitor().watching():
        time.sleep(0.001)
        with pytest.raises(BudgetExceededError, match="exact arithmetic"):
            heed("exact arithmetic")
        with pytest.raises(BudgetExceededError):
            heed_memory(2000, "a table")
    heed("nothing watches any more")
    assert Monitor(pf.Budget(seconds=10)).rest(0.5).seconds == pytest.approx(5.0, abs=0.1)
    assert Monitor().rest().seconds is None


class Clock:
    """Time that passes by itself: each look at it costs a tick. Budgets are then exhausted at every possible place."""

    def __init__(self, monkeypatch: Any, tick: float) -> None:
        self.now, self.tick = 0.0, tick
        monkeypatch.setattr("polyfiber.budget.time.monotonic", self)

    def __call__(self) -> float:
        self.now += self.tick
        return self.now


@pytest.mark.parametrize("tick", [0.5, 0.02, 0.004, 0.001])
def test_whenever_time_ends_there_is_an_answer(tick: float, monkeypatch: Any) -> None:
    a = pf.ReLUNetwork.random((2, 5, 4, 2), rng=0)
    b = pf.ReLUNetwork([*a.weights[:-1], a.weights[-1] * (1 + 1e-3)], a.biases)
    copy = random_trivial(a, rng=1)(a)
    box = pf.Box(-1, 1, dimension=2)
    triangle = pf.Polyhedron([[-1, 0], [0, -1], [1, 1]], [0, 0, 1])
    true = pf.difference(a, b, box).maximum
    Clock(monkeypatch, tick)
    budget = pf.Budget(seconds=1.0)
    for domain in (box, triangle):
        found = pf.difference(a, b, domain, budget=budget)
        assert found.maximum <= true + 1e-9
        assert domain is triangle or found.upper >= true - 1e-12
        assert 0 <= found.proved <= 1
        assert np.isfinite(found.upper)
    for question in ({"epsilon": 2 * true}, {"tolerance": 1e-9}, {"tolerance": 0.0}):
        answer = pf.are_equivalent(a, b, box, budget=budget, **question)
        assert answer.verdict in (
            (Verdict.YES, Verdict.UNDECIDED) if "epsilon" in question else (Verdict.NO, Verdict.UNDECIDED)
        )
        assert answer.verdict is not Verdict.UNDECIDED or answer.bound is None or answer.bound >= true - 1e-12
    answer = pf.are_equivalent(a, copy, method="regions", budget=budget)
    assert answer.verdict in (Verdict.YES, Verdict.UNDECIDED)
    assert 0 <= answer.proved <= 1
    if answer.verdict is Verdict.UNDECIDED:
        assert answer.part is not None
        assert answer.growth is not None
        assert answer.proved == answer.part.share < 1
    found_top = pf.fibers.top1_agreement(a, copy, box, budget=budget)
    assert found_top.verdict is not Verdict.NO


def test_memory_budgets_end_in_bounds() -> None:
    a = pf.ReLUNetwork.random((4, 12, 12, 2), rng=0)
    b = pf.ReLUNetwork([w * 1.001 for w in a.weights], a.biases)
    box = pf.Box(-1, 1, dimension=4)
    found = pf.difference(a, b, box, budget=pf.Budget(seconds=1, memory="1MB"))
    assert found.method == "branch and bound"
    assert found.maximum <= found.upper < np.inf
    answer = pf.are_equivalent(a, random_trivial(a, rng=1)(a), method="regions", budget=pf.Budget(memory="1MB"))
    assert answer.verdict is Verdict.UNDECIDED
    assert "memory" in answer.reason or "MB" in answer.reason


def test_bounds_on_a_polyhedron() -> None:
    a = pf.ReLUNetwork.random((2, 4, 3, 1), rng=2)
    b = pf.ReLUNetwork.random((2, 4, 3, 1), rng=3)
    triangle = pf.Polyhedron([[-1, 0], [0, -1], [1, 1]], [0, 0, 1])
    exact = pf.difference(a, b, triangle)
    found = _by_bounds(a, b, triangle, Monitor(pf.Budget(seconds=1)), None, (np.zeros(2), np.ones(2)))
    assert found.upper >= exact.maximum - 1e-12
    assert found.maximum <= exact.maximum + 1e-12
    assert found.where is not None
    assert triangle.contains(found.where)


def test_verify_refuses_answers_that_are_wrong() -> None:
    """Whatever the method says it did."""
    a = pf.ReLUNetwork.random((2, 5, 4, 2), rng=0)
    b = pf.ReLUNetwork([*a.weights[:-1], a.weights[-1] * (1 + 1e-4)], a.biases)
    wide = pf.ReLUNetwork(
        [np.concatenate([a.weights[0], [[1.0, 1.0]]]), np.concatenate([a.weights[1], np.full((4, 1), 1e-4)], axis=1), a.weights[2]],
        [np.append(a.biases[0], 0.0), *a.biases[1:]],
    )  # fmt: skip
    copy = random_trivial(a, rng=1)(a)
    box = pf.Box(-1, 1, dimension=2)
    size = pf.difference(a, b, box).maximum
    for method in ("canonical form", "parameters", "regions", "branch and bound"):
        for other, right in ((b, False), (wide, False), (copy, True)):
            for domain in (None, box):
                claim = pf.Equivalence(a, other, Verdict.YES, method, "", 1e-9, domain=domain)
                assert claim.verify() is right, (method, other, domain)
            claim = pf.Equivalence(a, other, Verdict.YES, method, "", 0.0, domain=box)
            assert not claim.verify()  # not even the copy is equal exactly
        assert pf.Equivalence(a, b, Verdict.YES, method, "", 1e-9, domain=box, epsilon=2 * size).verify()
        assert not pf.Equivalence(a, b, Verdict.YES, method, "", 1e-9, domain=box, epsilon=0.9 * size).verify()
    true = pf.are_equivalent(a, b, box)
    assert true.verdict is Verdict.NO
    assert true.verify()
    assert not pf.Equivalence(a, b, Verdict.NO, "witness", "", 1e-9, box, epsilon=2 * size, proof=true.proof).verify()
    assert not pf.Equivalence(a, a, Verdict.NO, "witness", "", 1e-9, box, proof=true.proof).verify()
    shifted = pf.Box(5, 6, dimension=2)
    assert not pf.Equivalence(a, b, Verdict.NO, "witness", "", 1e-9, shifted, proof=true.proof).verify()


def test_numbers_beyond_all_floats() -> None:
    a = pf.ReLUNetwork.random((3, 4, 3, 2), rng=0)
    for size in (1e38, 1e150):  # slopes of 1e114, and beyond all floats
        huge = pf.ReLUNetwork([w * size for w in a.weights], a.biases)
        copy = random_trivial(huge, rng=1)(huge)
        answer = pf.are_equivalent(huge, copy)
        assert answer.verdict is (Verdict.YES if size == 1e38 else Verdict.UNDECIDED)
        assert answer.exact_verdict is Verdict.NO
        assert answer.verify()
        assert pf.are_equivalent(a, huge).verdict is Verdict.NO  # by an input in rationals
        assert pf.are_equivalent(a, huge, tolerance=0.0).verdict is Verdict.NO
    huge = pf.ReLUNetwork([w * 1e38 for w in a.weights], a.biases)
    assert pf.equivalence_classes([huge, a, random_trivial(huge, rng=1)(huge), a]).tolist() == [0, 1, 0, 1]


def test_wide_networks_take_little_memory() -> None:
    """Pairs of rows and corners of walls are not listed all at once."""
    import tracemalloc

    a = pf.ReLUNetwork.random((100, 150, 150, 5), rng=0)
    copy = random_trivial(a, rng=1)(a)
    tracemalloc.start()
    answer = pf.are_equivalent(a, copy)
    assert answer.moves is not None
    assert pf.are_equivalent(a, pf.ReLUNetwork.random((100, 150, 150, 5), rng=1)).verdict is Verdict.NO
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1e8


def test_the_maximum_is_attained_beside_large_outputs() -> None:
    """Floats are 2 apart at 1e16; the gap is 1/4 everywhere."""
    a = pf.ReLUNetwork([[[1.0]], [[1.0]]], [[0.0], [1e16]])
    b = pf.ReLUNetwork([[[1.0]], [[1.0]]], [[0.25], [1e16]])
    for method in ("regions", "bound"):
        found = pf.difference(a, b, pf.Box([0.0], [1.0]), method=method)
        assert found.maximum == 0.25
        assert found.upper >= 0.25
    assert "at least 0.25" in pf.difference(a, b, pf.Box([0.0], [1.0]), method="regions").sentence


def test_an_evaluation_that_overflows_is_no_infinite_difference() -> None:
    line = pf.ReLUNetwork([[[1.0]], [[1.0]]], [[0.0], [0.0]])
    steep = pf.ReLUNetwork([[[1e200]], [[1e-200]]], [[0.0], [0.0]])
    found = pf.difference(steep, line, pf.Box([0], [1e150]))
    assert 0 < found.maximum <= found.upper < 1e135
    assert found.complete
    beyond = pf.ReLUNetwork([[[1e308, 1e308]], [[1.0]]], [[0.0], [0.0]])
    found = pf.difference(beyond, pf.ReLUNetwork([[[1.0, 1.0]], [[1.0]]], [[0.0], [0.0]]), pf.Box([-1, -1], [1, 1]))
    assert not found.complete
    assert "no bound" in found.sentence


def test_differences_that_underflow_are_not_zero() -> None:
    one, two = (pf.ReLUNetwork([[[w]], [[1e-200]], [[1e300]]], [[0.0], [0.0], [0.0]]) for w in (1e-200, 2e-200))
    found = pf.difference(one, two, pf.Box([0], [1]))
    assert found.maximum <= 1e-100 <= found.upper
