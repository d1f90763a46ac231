"""Equivalence by geometry: regions, exact maxima on boxes, bounds, top-1 agreement, constructed pairs."""

from __future__ import annotations

import importlib.util
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.budget import Monitor
from polyfiber.equivalence.bounds.difference_network import deepened, difference_network
from polyfiber.equivalence.collections.collection import unflatten
from polyfiber.equivalence.regions.exact import exact_by_regions
from polyfiber.network.moves import random_trivial
from polyfiber.verdict import Verdict

ROOT = Path(__file__).resolve().parents[2]


def pairs_module() -> Any:
    spec = importlib.util.spec_from_file_location("make_pairs", ROOT / "scripts" / "make_pairs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules["make_pairs"] = module
    spec.loader.exec_module(module)
    return module


make_pairs = pairs_module()


@pytest.mark.parametrize("kind", sorted(make_pairs.KINDS))
def test_constructed_pairs_are_decided_rightly(kind: str) -> None:
    for seed in range(5):
        pair = make_pairs.make(kind, seed, top=5)
        answer = pf.are_equivalent(pair.a, pair.b, pair.domain, tolerance=1e-11)
        assert answer.verdict is Verdict.of(pair.equal), (kind, seed, str(answer))
        assert answer.verify()
        if pair.exact is not None and pair.domain is None:
            assert answer.exact_verdict is Verdict.of(pair.exact)
        if answer.verdict is Verdict.NO:
            assert answer.witness is not None
            assert pair.domain is None or pair.domain.contains(answer.witness)


def test_the_stored_pairs_are_decided_rightly() -> None:
    index = json.loads((ROOT / "data" / "pairs" / "pairs.json").read_text())
    with np.load(ROOT / "data" / "pairs" / "pairs.npz") as data:
        for i, entry in enumerate(index):
            a, b = (unflatten(data[f"{i}{side}"], entry[side]) for side in "ab")
            box = None if entry["box"] is None else pf.Box(*entry["box"])
            assert pf.are_equivalent(a, b, box, tolerance=1e-11).verdict is Verdict.of(entry["equal"]), entry


@pytest.mark.parametrize("architecture", [(2, 5, 5, 1), (3, 4, 4, 2), (2, 4, 3, 3, 2), (3, 6, 2)], ids=str)
def test_regions_agree_with_forms(architecture: tuple[int, ...]) -> None:
    rng = np.random.default_rng(1)
    for _ in range(4):
        a = pf.ReLUNetwork.random(architecture, rng=rng)
        b = random_trivial(a, rng=rng)(a)
        answer = pf.are_equivalent(a, b, method="regions")
        assert answer.verdict is Verdict.YES
        assert answer.method == "regions"
        assert answer.certificate["not compared"] == 0
        near = pf.ReLUNetwork([*b.weights[:-1], b.weights[-1] * (1 + 1e-6)], b.biases)
        answer = pf.are_equivalent(a, near, method="regions")
        assert answer.verdict is Verdict.NO
        assert answer.verify()


def test_walls_that_only_one_of_them_has() -> None:
    """g has a neuron with an invisible wall on part of the plane: it bends there, the function does not."""
    a = pf.ReLUNetwork([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 1.0]], [[1.0]]], [[0.3, -0.2], [-0.5], [0.1]])
    # the same function with an extra layer-1 neuron that only a dead neuron of layer 2 would see
    b = pf.ReLUNetwork(
        [[[1.0, 0.0], [0.0, 1.0], [1.0, -1.0]], [[1.0, 1.0, 0.0], [-1.0, -0.5, -2.0]], [[1.0, 1.0]]],
        [[0.3, -0.2, 0.05], [-0.5, -0.1], [0.1]],
    )
    for first, second in ((a, b), (b, a)):
        answer = pf.are_equivalent(first, second, method="regions")
        assert answer.verdict is Verdict.YES, str(answer)


def test_degenerate_networks_equal_their_copies() -> None:
    """Concurrent, coinciding and nearly coinciding walls: slivers of rounding size make no difference."""
    from polyfiber.testing import degenerate_corpus

    decided = 0
    for number, case in enumerate(degenerate_corpus()):
        net = case.network.rounded()
        if number % 3 or net.n_hidden > 16:
            continue
        copy = random_trivial(net, rng=number)(net)
        assert pf.are_equivalent(net, copy).verdict is Verdict.YES, case
        by_regions = pf.are_equivalent(net, copy, method="regions").verdict
        assert by_regions is not Verdict.NO, case
        decided += by_regions is Verdict.YES
        assert pf.are_equivalent(net, pf.canonical_form(net).to_network()).verdict is Verdict.YES, case
    assert decided >= 20


def test_difference_network_is_the_difference() -> None:
    rng = np.random.default_rng(2)
    for left, right in (((3, 4, 2), (3, 5, 4, 2)), ((3, 2), (3, 4, 2)), ((3, 2), (3, 2)), ((3, 4, 3, 2), (3, 2, 2))):
        a, b = pf.ReLUNetwork.random(left, rng=rng), pf.ReLUNetwork.random(right, rng=rng)
        X = rng.standard_normal((40, 3))
        np.testing.assert_allclose(difference_network(a, b)(X), a(X) - b(X), atol=1e-12)
    net = pf.ReLUNetwork.random((2, 3, 1), rng=0)
    X = rng.standard_normal((20, 2))
    np.testing.assert_allclose(deepened(net, 4)(X), net(X), atol=1e-12)


def test_maxima_on_boxes_agree_between_methods() -> None:
    rng = np.random.default_rng(3)
    box = pf.Box([-1.0, -0.5], [1.0, 2.0])
    for _ in range(4):
        a, b = pf.ReLUNetwork.random((2, 4, 3, 2), rng=rng), pf.ReLUNetwork.random((2, 5, 2), rng=rng)
        exact = pf.difference(a, b, box)
        assert exact.complete
        assert exact.upper - exact.maximum < 1e-9
        milp = pf.difference(a, b, box, method="milp")
        bound = pf.difference(a, b, box, method="bound", budget=pf.Budget(seconds=20))
        assert milp.maximum == pytest.approx(exact.maximum, rel=1e-5)
        assert bound.maximum == pytest.approx(exact.maximum, rel=1e-5)
        X = box.lo + (box.hi - box.lo) * rng.random((4000, 2))
        gap = np.abs(a(X) - b(X)).max(axis=1)
        assert gap.max() <= exact.upper
        assert exact.region_maxima is not None
        assert exact.region_maxima.max() == pytest.approx(exact.maximum)
        inside = exact.disagreement(0.5 * exact.maximum)
        assert len(inside)
        assert box.contains(inside).all()
        answer = pf.are_equivalent(a, b, box, epsilon=exact.maximum * 1.001)
        assert answer.verdict is Verdict.YES
        assert pf.are_equivalent(a, b, box, epsilon=exact.maximum * 0.999).verdict is Verdict.NO


def test_differences_without_a_box() -> None:
    a = pf.ReLUNetwork.random((2, 4, 1), rng=0)
    shifted = pf.ReLUNetwork(a.weights, [a.biases[0], a.biases[1] + 0.25])
    assert pf.difference(a, shifted).maximum == pytest.approx(0.25)
    assert pf.difference(a, pf.ReLUNetwork.random((2, 4, 1), rng=1)).maximum == np.inf


def test_budgets_end_in_undecided_with_what_was_proved() -> None:
    a = pf.ReLUNetwork.random((6, 20, 20, 2), rng=0)
    W = [w.copy() for w in a.weights]
    W[1] = W[1] * (1 + 1e-3 * np.random.default_rng(0).standard_normal(W[1].shape))
    b = pf.ReLUNetwork(W, a.biases)
    box = pf.Box(-1, 1, dimension=6)
    answer = pf.are_equivalent(a, b, box, epsilon=0.05, method="bound", budget=pf.Budget(seconds=0.3))
    if answer.verdict is Verdict.UNDECIDED:
        assert 0 <= answer.proved < 1
        assert answer.bound is not None
        assert answer.bound >= 0.05
        with pytest.raises(ArithmeticError):
            bool(answer)
    assert answer.verify()
    big = pf.ReLUNetwork.random((20, 60, 60, 60, 2), rng=0)
    odd = pf.ReLUNetwork([*big.weights[:-1], big.weights[-1] * (1 + 1e-8)], big.biases)
    assert pf.are_equivalent(big, odd, tolerance=1e-7).verdict is Verdict.YES
    assert pf.are_equivalent(big, odd, method="regions").verdict is not Verdict.YES


def test_exact_regions() -> None:
    class Pair:
        def __init__(self, a: pf.ReLUNetwork, b: pf.ReLUNetwork, domain: Any = None) -> None:
            from polyfiber.equivalence.decide import _Pair

            self.pair = _Pair(a, b, domain, 0.0, None, Monitor(), "auto")

    a = pf.ReLUNetwork.random((2, 4, 3, 1), rng=0).exact()
    same = random_trivial(a, rng=1)(a)
    found = exact_by_regions(Pair(a, same).pair)
    assert found.verdict is Verdict.YES
    box = pf.Box(-1, 1, dimension=2)
    assert exact_by_regions(Pair(a, same, box).pair).verdict is Verdict.YES
    W = [w.copy() for w in same.weights]
    W[2][0, 0] += type(W[2][0, 0])(1, 2**60)
    assert exact_by_regions(Pair(a, pf.ReLUNetwork(W, same.biases)).pair).verdict is Verdict.NO
    # one more neuron, dead through its signs: its wall is invisible, exact forms and regions agree
    wide = pf.ReLUNetwork(
        [
            a.weights[0],
            np.concatenate([a.weights[1], -abs(a.weights[1][:1])]),
            np.concatenate([a.weights[2], a.weights[2][:, :1]], axis=1),
        ],
        [a.biases[0], np.concatenate([a.biases[1], [-abs(a.biases[1][0])]]), a.biases[2]],
    )
    assert exact_by_regions(Pair(a, wide).pair).verdict is Verdict.YES
    # equal for a reason that normal forms do not know: W1 without full rank, the sum of two neurons is linear
    twice = [[1, 0], [-1, 0], [0, 1]]
    f = pf.ReLUNetwork([twice, [[1, -1, 1]]], [[0, 0, 1], [0]]).exact()
    g = pf.ReLUNetwork([[[2, 0], [-2, 0], [0, 1]], [[1, -1, 1]]], [[0, 0, 1], [0]]).exact()
    h = pf.ReLUNetwork([g.weights[0], g.weights[1] / 2 + np.array([[0, 0, type(W[2][0, 0])(1, 2)]])], g.biases)
    assert exact_by_regions(Pair(f, h).pair).verdict is Verdict.YES
    assert exact_by_regions(Pair(f, g).pair).verdict is Verdict.NO


def test_a_pyramid_does_not_excuse_itself_by_its_own_terms() -> None:
    """Height 1, width 2e-6, at distance 2.6e6: its terms add up to 1e12, the outputs of the other network to 1/4."""
    p, q = 2.0**21 + 2.0**19, 2.0**-20
    f = pf.ReLUNetwork([[[1.0], [-1.0]], [[0.0, 0.0]], [[0.0]]], [[0.0, 0.0], [0.0], [0.25]])
    g = pf.ReLUNetwork([[[1.0], [-1.0]], [[-1.0, -1.0]], [[1 / q]]], [[p, -p], [q], [0.25]])
    box = pf.Box([-p - 1], [-p + 1])
    for pair in ((f, g), (g, f)):
        assert pf.are_equivalent(*pair, box).verdict is pf.Verdict.NO
        assert pf.are_equivalent(*pair).verdict is not pf.Verdict.YES


@pytest.mark.parametrize("widths", [(256, 96, 10), (64, 160, 160, 10)])
def test_exact_regions_keep_a_budget_inside_each_step(widths: tuple[int, ...]) -> None:
    from polyfiber.equivalence.decide import _Pair

    a = pf.ReLUNetwork.random(widths, rng=0)
    b = random_trivial(a, rng=1)(a)
    begun = time.process_time()
    found = exact_by_regions(_Pair(a, b, None, 0.0, None, Monitor(pf.Budget(seconds=1)), "regions"))
    assert found.verdict is Verdict.UNDECIDED
    assert "of a budget" in found.reason
    assert time.process_time() - begun < 4
