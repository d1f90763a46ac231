"""Claims that are wrong are not confirmed, and right ones are not refuted."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.budget import Budget, Monitor
from polyfiber.equivalence.witness import decisive
from polyfiber.verdict import Verdict

Net = pf.ReLUNetwork


def one_unit(width: int = 1) -> pf.ReLUNetwork:
    """``relu(x_1)``."""
    return Net([np.eye(1, width), [[1.0]]], [[0.0], [0.0]])


@pytest.mark.parametrize("domain", [pf.Box([0], [1]), pf.Polyhedron([[1.0], [-1.0]], [1.0, 0.0]), None])
@pytest.mark.parametrize(("steep", "slope", "shift"), [(1e9, 1.0001, 0.0), (1e12, 1.0, 0.5)])
def test_units_that_are_off_explain_nothing(
    domain: pf.Polyhedron | None, steep: float, slope: float, shift: float
) -> None:
    f, g = (
        Net([[[1.0], [1.0]], [[k, steep]]], [[0.0, -1000.0], [s]]) for k, s in ((1.0, 0.0), (slope, shift))
    )  # fmt: skip
    right = pf.are_equivalent(f, g, domain)
    assert right.verdict is Verdict.NO
    assert right.verify()
    for method in ("canonical form", "regions", "shared features", "relations"):
        wrong = dataclasses.replace(right, verdict=Verdict.YES, proof=None, method=method, certificate={}, bound=0.0)
        assert wrong.recheck(budget=Budget(seconds=5)).verdict is Verdict.NO


def test_no_way_confirms_by_units_that_are_off() -> None:
    """The proofs by themselves, where no input shows the difference."""
    from polyfiber.equivalence.checks.recheck import _Work

    f, g = (Net([[[1.0], [1.0]], [[k, 1e9]]], [[0.0, -1000.0], [0.0]]) for k in (1.0, 1.0001))
    for domain in (pf.Box([0], [1]), None):
        claim = pf.Equivalence(f, g, Verdict.YES, "canonical form", "", 1e-9, domain=domain, bound=0.0)
        work = _Work(claim, Monitor(Budget(seconds=5)), 0)
        for attempt in work._proofs():
            found = attempt()
            assert found is None, (attempt, found)
    h = Net(f.weights, [f.biases[0], f.biases[1] + 1e-11])
    work = _Work(pf.Equivalence(f, h, Verdict.YES, "none", "", 1e-9), Monitor(Budget(seconds=5)), 0)
    assert work._over_regions() is None or pf.are_equivalent(f, h).verdict is not Verdict.NO


def test_a_sampled_maximum_makes_no_difference() -> None:
    """A pyramid that inputs miss: 1e-9 of its height explains the shift."""
    n, eye = 3, np.eye(3)
    W = [
        np.concatenate([eye, -eye]),
        np.concatenate([-1e4 * np.ones((1, 6)), np.concatenate([np.ones((1, n)), -np.ones((1, n))], 1) / 3]),
        np.array([[1e6, 1.0]]),
    ]
    b = [np.append(-0.3 * np.ones(n), 0.3 * np.ones(n)), np.array([1.0, 2.0])]
    f, g = (Net(W, [*b, np.array([shift])]) for shift in (0.0, 1e-4))
    proof = decisive(f, g, np.array([0.9, 0.5, 0.1]), 0.0)
    claim = pf.Equivalence(f, g, Verdict.NO, "witness", "", 1e-9, domain=pf.Box(-1, 1, dimension=3), proof=proof)
    assert claim.recheck().verdict is Verdict.UNDECIDED
    far = decisive(f, Net(W, [*b, np.array([100.0])]), np.array([0.9, 0.5, 0.1]), 0.0)
    assert dataclasses.replace(claim, b=Net(W, [*b, np.array([100.0])]), proof=far).verify()


def test_inputs_that_rounding_put_outside_refute_nothing() -> None:
    f = Net([[[1.0, 4.0], [1.0, 0.0]], [[1.0, 1.0]]], [[3.0, 0.0], [0.0]])
    rows = np.array([[1.0, 4.0], [1, 0], [-1, 0], [0, 1], [0, -1]])
    answer = pf.are_equivalent(f, one_unit(2), pf.Polyhedron(rows, np.array([-3.0, 9, 9, 9, 9])), tolerance=0)
    assert answer.recheck(budget=Budget(seconds=20)).verdict is answer.verdict is Verdict.YES
    wide = dataclasses.replace(answer, domain=pf.Polyhedron(rows, np.array([3.0, 9, 9, 9, 9])))
    assert wide.recheck(budget=Budget(seconds=20)).verdict is Verdict.NO


def test_maps_that_differ_off_a_flat_refute_nothing() -> None:
    f = Net([[[1.0, 2.0]]], [[0.0]])
    g = Net([[[1.0, 0], [0, 1.0], [-1, 0], [0, -1]], [[1.0, 2.0, -1, -2]]], [[0.0, 0, 0, 0], [0.0]])
    other = Net([[[5.0, 2.0]]], [[0.0]])
    flat = pf.Box([0, -1], [0, 1])
    for net in (g, other):
        claim = pf.Equivalence(f, net, Verdict.YES, "splitting", "", 0.0, domain=flat)
        assert claim.recheck(budget=Budget(seconds=20)).verdict is not Verdict.NO


def test_unbounded_domains() -> None:
    cone = pf.Polyhedron(-np.eye(2), np.zeros(2))
    f, g = Net([np.eye(2), [[1.0, 1.0]]], [[0.0, 0.0], [0.0]]), Net([[[1.0, 1.0]]], [[0.0]])
    assert pf.are_equivalent(f, g, cone).recheck().verdict is not Verdict.NO
    wrong = pf.Equivalence(f, Net([[[1.0, 2.0]]], [[0.0]]), Verdict.YES, "regions", "", 1e-9, domain=cone)
    assert wrong.recheck().verdict is Verdict.NO


def test_epsilon_for_each_output() -> None:
    a = Net.random((2, 5, 2), rng=1)
    b = Net(a.weights, [a.biases[0], a.biases[1] + np.array([0.5, 0.0])])
    box = pf.Box(-1, 1, dimension=2)
    for epsilon in ([0.1, 1.0], np.array([0.1, 1.0])):
        proof = decisive(a, b, np.zeros(2), 0.0)
        claim = pf.Equivalence(a, b, Verdict.NO, "regions", "", 1e-9, domain=box, epsilon=epsilon, proof=proof)
        assert claim.verify()
        assert dataclasses.replace(claim, epsilon=[1.0, 1e-6]).recheck().verdict is Verdict.NO
        wrong = dataclasses.replace(claim, verdict=Verdict.YES, proof=None)
        assert wrong.recheck(budget=Budget(seconds=5)).verdict is Verdict.NO
        assert dataclasses.replace(wrong, epsilon=[1.0, 1e-6]).verify(budget=Budget(seconds=20))


def test_products_beyond_floats() -> None:
    f, g = (Net([[[1e200]], [[k]]], [[0.0], [0.0]]) for k in (1e200, 2e200))
    answer = pf.are_equivalent(f, g, pf.Box([-1], [-0.5]), tolerance=0)
    assert answer.recheck(budget=Budget(seconds=20)).verdict is answer.verdict is Verdict.YES
    assert dataclasses.replace(answer, domain=None).recheck().verdict is Verdict.NO
    same = Net([[[2e200]], [[0.5e200]]], [[0.0], [0.0]])
    assert pf.are_equivalent(f, Net([[[2.0**700]], [[2.0**650]]], f.biases), tolerance=0).verify()
    assert pf.are_equivalent(f, same, tolerance=0).verify()


def test_a_large_bias_hides_no_slope() -> None:
    """By moves, weights count relative to weights."""
    f, g = (Net([[[s]], [[-3.0]]], [[0.0], [1000.0]]) for s in (-1.0, -1.0 - 5.7e-9))
    assert pf.are_equivalent(f, g).verdict is Verdict.NO
    for method in ("canonical form", "shared features", "regions"):
        claim = pf.Equivalence(f, g, Verdict.YES, method, "", 1e-9, certificate={})
        assert claim.recheck(budget=Budget(seconds=5)).verdict is not Verdict.YES


def test_pieces_that_are_cut_too_often_stay_open(monkeypatch: pytest.MonkeyPatch) -> None:
    from polyfiber.complexes.build import canonical_complex
    from polyfiber.equivalence.checks import regions

    f, box = Net.random((2, 4, 1), rng=0), pf.Box(-1, 1, dimension=2)
    g = Net(
        [np.concatenate([f.weights[0], [[1.0, 1.0]]]), np.append(f.weights[1], 1e-12)[None]],
        [np.append(f.biases[0], 0.3), f.biases[1]],
    )
    cx = canonical_complex(f, box)
    for most, confirms in ((300, True), (0, False)):
        monkeypatch.setattr(regions, "MOST_CUTS", most)
        assert regions.compare_over(cx, f, g, np.array([1e-9]), 0.0, Monitor()).confirms is confirms
