"""Whether two classifiers agree on the winner: by regions, by boxes, and against inputs."""

from __future__ import annotations

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.budget import Monitor
from polyfiber.equivalence.top1.boxes import settle_boxes
from polyfiber.equivalence.top1.decide import top1_agreement
from polyfiber.network.moves import random_trivial
from polyfiber.verdict import Verdict


def classifiers(widths: tuple[int, ...], size: float, seed: int) -> tuple[pf.ReLUNetwork, pf.ReLUNetwork]:
    a = pf.ReLUNetwork.random(widths, rng=seed)
    rng = np.random.default_rng(seed)
    return a, pf.ReLUNetwork([w + size * rng.standard_normal(w.shape) for w in a.weights], a.biases)


def test_top1_agreement() -> None:
    box = pf.Box(-1, 1, dimension=3)
    a = pf.ReLUNetwork.random((3, 3, 2, 2), rng=0)
    assert top1_agreement(a, random_trivial(a, rng=1)(a), box).verdict is Verdict.YES
    doubled = pf.ReLUNetwork([*a.weights[:-1], 2 * a.weights[-1]], [*a.biases[:-1], 2 * a.biases[-1]])
    answer = top1_agreement(a, doubled, box)
    assert answer.verdict is Verdict.YES
    assert answer.certificate["regions"] > 0
    wide = pf.ReLUNetwork.random((3, 8, 8, 4), rng=0)
    rng = np.random.default_rng(1)
    for layer in range(3):
        W = [w.copy() for w in wide.weights]
        W[layer] = W[layer] + 1e-5 * rng.standard_normal(W[layer].shape)
        other = pf.ReLUNetwork(W, wide.biases)
        answer = top1_agreement(wide, other, box, margin=1e-8)
        assert answer.verdict is Verdict.NO
        assert answer.verify()
        assert answer.witness is not None
        x = answer.witness
        assert box.contains(x)
        assert (int(np.argmax(wide(x))), int(np.argmax(other(x)))) == answer.winners
    with pytest.raises(ValueError, match="at least two"):
        top1_agreement(pf.ReLUNetwork.random((3, 2, 1)), pf.ReLUNetwork.random((3, 2, 1)), box)


def test_winners_by_boxes_and_by_regions_agree() -> None:
    box, triangle = pf.Box(-1, 1, dimension=2), pf.Polyhedron([[-1, 0], [0, -1], [1, 1]], [0, 0, 1])
    seen = set()
    for seed in range(6):
        a, b = classifiers((2, 5, 3), 1e-2, seed)
        lifted = [pf.ReLUNetwork(n.weights, [*n.biases[:-1], n.biases[-1] + [0.0, 0.0, 6.0]]) for n in (a, b)]
        for f, g in ((a, b), lifted):
            for domain in (box, triangle):
                one = top1_agreement(f, g, domain, method="regions")
                two = top1_agreement(f, g, domain, method="bound", budget=pf.Budget(seconds=3))
                assert Verdict.UNDECIDED in (one.verdict, two.verdict) or one.verdict is two.verdict
                assert one.verify()
                assert two.verify()
                assert 0 <= two.proved <= 1
                seen.add((one.verdict, two.verdict))
    assert {(Verdict.YES, Verdict.YES), (Verdict.NO, Verdict.NO)} <= seen


def test_winners_beyond_enumeration() -> None:
    a, b = classifiers((30, 40, 40, 3), 1e-4, 0)
    lifted = [pf.ReLUNetwork(n.weights, [*n.biases[:-1], n.biases[-1] + [0.0, 0.0, 50.0]]) for n in (a, b)]
    box = pf.Box(-0.1, 0.1, dimension=30)
    answer = top1_agreement(*lifted, box)
    assert (answer.verdict, answer.method, answer.proved) == (Verdict.YES, "branch and bound", 1.0)
    mean = top1_agreement(a, b, pf.Box(-0.001, 0.001, dimension=30), budget=pf.Budget(seconds=1))
    assert mean.verdict is not Verdict.UNDECIDED or 0 <= mean.proved < 1


def test_boxes_for_winners_against_inputs() -> None:
    """A disagreement that inputs show is never excluded; where the margin is beyond all of them it is."""
    for seed in range(6):
        a, b = classifiers((2, 6, 5, 4), 0.1, seed)
        X = np.random.default_rng(seed).uniform(-1, 1, (20000, 2))
        u, v = a(X), b(X)
        leads = [np.sort(w, axis=1)[:, -1] - np.sort(w, axis=1)[:, -2] for w in (u, v)]
        apart = np.where(u.argmax(axis=1) != v.argmax(axis=1), np.minimum(*leads), 0.0)
        ends = (-np.ones(2), np.ones(2))
        best = float(apart.max())
        for limit, right in ((1.2 * best + 1e-3, True), (0.8 * best, False)):
            if best == 0.0 and not right:
                continue
            found = settle_boxes(a, b, ends, limit, lambda x: x, monitor=Monitor(pf.Budget(seconds=10)), seconds=10)
            assert found.complete is right
            if not right:
                w = [net(found.found) for net in (a, b)]
                assert w[0].argmax() != w[1].argmax()


def test_winners_on_a_flat_domain() -> None:
    f = pf.ReLUNetwork([[[1.0, 0.0], [-1.0, 0.0]]], [[0.0, 0.0]])
    g = pf.ReLUNetwork([[[-1.0, 0.0], [1.0, 0.0]]], [[0.0, 0.0]])
    segment = pf.Polyhedron([[1, 0], [-1, 0], [0, 1], [0, -1]], [1, 1, 0, 0])
    answer = top1_agreement(f, g, segment)
    assert answer.verdict is Verdict.NO
    assert segment.contains(answer.witness)
    assert top1_agreement(f, f, segment).verdict is Verdict.YES
    assert pf.are_equivalent(f, g, segment).verdict is Verdict.NO
    # equal on the segment, different beside it
    h = pf.ReLUNetwork([[[1.0, 1.0], [-1.0, 0.0]]], [[0.0, 0.0]])
    assert pf.are_equivalent(f, h, segment).verdict is Verdict.YES
    assert pf.are_equivalent(f, h).verdict is Verdict.NO


def test_leads_within_the_margin_refute_nothing() -> None:
    """Two classes change places by leads of 2^-50 of the outputs: ties, and no other winners."""
    base = pf.ReLUNetwork.random((2, 5, 2), rng=1)
    w, c, u = base.weights[1][:1], base.biases[1][:1], 1 + 2.0**-50
    p = pf.ReLUNetwork([base.weights[0], np.r_[w, w * u]], [base.biases[0], np.r_[c, c * u]])
    q = pf.ReLUNetwork([base.weights[0], np.r_[w * u, w]], [base.biases[0], np.r_[c * u, c]])
    box = pf.Box(-1, 1, dimension=2)
    assert top1_agreement(p, q, box, margin=1e-3).verdict is pf.Verdict.YES
    found = top1_agreement(p, q, box, margin=0.0)
    assert found.verdict is pf.Verdict.NO
    assert found.recheck().verdict is pf.Verdict.YES
    other = top1_agreement(pf.ReLUNetwork.random((2, 5, 2), rng=3), pf.ReLUNetwork.random((2, 5, 2), rng=4), box)
    assert other.verdict is pf.Verdict.NO
    other = top1_agreement(other.a, other.b, box, margin=10.0)
    assert other.verdict is not pf.Verdict.NO
