"""Second looks at answers, proofs by shared features, what is proved when time ends, agreement of classifiers on boxes."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.budget import Monitor
from polyfiber.complexes.ranges.activation import bounding_box
from polyfiber.datasets import pairs
from polyfiber.equivalence.bounds.everywhere import bound_on_box, growth_bound
from polyfiber.equivalence.checks.bounds import bound_holds
from polyfiber.equivalence.checks.recheck import _Work
from polyfiber.equivalence.forms.shared_features import shared_features
from polyfiber.equivalence.top1.boxes import settle_boxes
from polyfiber.equivalence.top1.decide import top1_agreement
from polyfiber.equivalence.witness import candidates
from polyfiber.errors import IncompleteError
from polyfiber.network.moves import Rescale, Translate, compose, random_trivial
from polyfiber.numerics.lp import native_silence
from polyfiber.verdict import Verdict

SYMMETRIES = [kind for kind in pairs.KINDS if kind.startswith("equal") and kind != "equal: on a box only"]
DIFFERENT = [kind for kind in pairs.KINDS if not kind.startswith("equal") and kind != "off by 1e-9"]


@pytest.mark.parametrize("kind", SYMMETRIES)
def test_shared_features_prove_every_known_symmetry(kind: str) -> None:
    for seed in range(4):
        pair = pairs.make(kind, seed, top=32 if seed % 2 else 8)
        found = shared_features(pair.a, pair.b, tolerance=1e-10)
        assert found is not None, (kind, seed)
        assert found < 1e-11


@pytest.mark.parametrize("kind", DIFFERENT)
def test_shared_features_prove_nothing_about_different_networks(kind: str) -> None:
    for seed in range(4):
        pair = pairs.make(kind, seed, top=32 if seed % 2 else 8)
        assert shared_features(pair.a, pair.b, tolerance=1e-10) is None, (kind, seed)


def test_shared_features_in_rationals() -> None:
    a = pf.ReLUNetwork.random((3, 5, 4, 4, 2), rng=0)
    powers = compose(*(Rescale(k, tuple(2.0**j for j in range(w))) for k, w in enumerate((5, 4, 4), start=1)))
    assert shared_features(a, powers(a), tolerance=0.0) == 0.0
    assert shared_features(a, random_trivial(a, rng=1)(a), tolerance=0.0) is None  # rounded once
    assert shared_features(a.exact(), random_trivial(a.exact(), rng=1)(a.exact()), tolerance=0.0) == 0.0


def test_numbers_beyond_floats_prove_nothing() -> None:
    a = pf.ReLUNetwork.random((2, 3, 3, 1), rng=0)
    huge = pf.ReLUNetwork([w * 1e200 for w in a.weights], a.biases)
    other = pf.ReLUNetwork([*huge.weights[:-1], -huge.weights[-1]], a.biases)
    with np.errstate(all="ignore"):
        assert shared_features(huge, other, tolerance=1e-9) is None


def hidden_in_layer(layer: int, widths: tuple[int, ...], seed: int) -> tuple[pf.ReLUNetwork, pf.ReLUNetwork]:
    """A network whose layer ``layer + 1`` hides a hyperplane of ``layer``, and a translated copy."""
    rng = np.random.default_rng(seed)
    W = [rng.standard_normal((q, p)) for p, q in zip(widths[:-1], widths[1:])]
    b = [rng.standard_normal(q) for q in widths[1:]]
    W[layer] = -np.abs(W[layer]) - 0.05
    W[layer][:, 1] *= -1
    b[layer] = -np.abs(b[layer]) - 0.05
    net = pf.ReLUNetwork(W, b)
    moved = Translate(1, -1.5, layer)(net)
    return net, random_trivial(moved, rng=seed)(moved)


@pytest.mark.parametrize("layer", [1, 2])
def test_translations_in_deep_networks_are_found(layer: int) -> None:
    a, b = hidden_in_layer(layer, (5, 7, 6, 5, 2), seed=layer)
    answer = pf.are_equivalent(a, b)
    assert (answer.verdict, answer.method) == (Verdict.YES, "shared features")
    assert answer.moves is not None
    assert any(isinstance(move, Translate) for move in answer.moves.moves)
    assert np.allclose(answer.moves(a)(np.ones((1, 5))), b(np.ones((1, 5))), rtol=1e-12)
    found = answer.recheck()
    assert found.verdict is Verdict.YES
    assert "moves" in found.reason


@pytest.mark.parametrize("kind", list(pairs.KINDS))
def test_every_kind_of_answer_is_checked_again_within_seconds(kind: str) -> None:
    for seed in range(2):
        pair = pairs.make(kind, seed, top=32 if seed % 2 else 8)
        answer = pf.are_equivalent(pair.a, pair.b, pair.domain, budget=pf.Budget(seconds=20))
        found = answer.recheck(budget=pf.Budget(seconds=120))
        assert found.verdict is Verdict.YES, (kind, seed, str(found))
        assert found.checks
        assert answer.verify(budget=pf.Budget(seconds=120)) is True


def test_what_was_not_verified_is_said() -> None:
    a = pf.ReLUNetwork.random((2, 5, 4, 2), rng=0)
    wide = pf.ReLUNetwork(
        [np.concatenate([a.weights[0], [[1.0, 1.0]]]), np.concatenate([a.weights[1], np.ones((4, 1))], axis=1), a.weights[2]],
        [np.append(a.biases[0], -2.5), *a.biases[1:]],
    )  # fmt: skip
    box = pf.Box(-1, 1, dimension=2)
    answer = pf.are_equivalent(a, wide, box)
    assert answer.verdict is Verdict.YES
    with pytest.raises(IncompleteError, match="not verified") as caught:
        answer.verify(budget=pf.Budget(seconds=0))
    assert caught.value.partial.verdict is Verdict.UNDECIDED
    assert answer.verify()


def test_a_difference_below_the_tolerance_is_no_difference() -> None:
    a = pf.ReLUNetwork.random((3, 4, 3, 2), rng=0)
    b = random_trivial(a, rng=1)(a)
    x = np.full(3, 0.7)
    proof = pf.are_equivalent(a, b, tolerance=0).proof
    assert proof is not None
    claim = pf.Equivalence(a, b, Verdict.NO, "witness", "", 1e-9, proof=proof)
    assert not claim.verify()
    assert np.allclose(a(x), b(x))


def test_growth_bounds_hold_and_follow_the_weights() -> None:
    rng = np.random.default_rng(0)
    for widths in ((2, 4, 1), (3, 8, 8, 2), (4, 6, 6, 6, 3)):
        a = pf.ReLUNetwork.random(widths, rng=0)
        near = pf.ReLUNetwork([w + 1e-7 * rng.standard_normal(w.shape) for w in a.weights], a.biases)
        others = {
            "copy": (random_trivial(a, rng=1)(a), 1e-9), "near": (random_trivial(near, rng=2)(near), 1e-2),
            "other": (pf.ReLUNetwork.random(widths, rng=3), 1e9), "wider": (pf.ReLUNetwork.random((widths[0], 9, widths[-1]), rng=4), 1e9),
        }  # fmt: skip
        X = rng.standard_normal((4000, widths[0])) * 10.0 ** rng.uniform(-3, 6, (4000, 1))
        for name, (b, top) in others.items():
            gap = np.abs(a(X) - b(X)).max(axis=1)
            for bound in (growth_bound(a, b), growth_bound(a, b, quick=True), growth_bound(a.exact(), b)):
                assert (gap <= bound(X) * (1 + 1e-9) + 1e-12 * np.abs(a(X)).max(axis=1)).all(), (widths, name)
                assert bound.constant + bound.slope < top, (widths, name, bound)


def test_weights_bound_the_difference_on_a_box() -> None:
    rng = np.random.default_rng(1)
    box = pf.Box(-1, 1, dimension=3)
    for seed in range(4):
        a = pf.ReLUNetwork.random((3, 6, 6, 2), rng=seed)
        b = pf.ReLUNetwork([w + 1e-5 * rng.standard_normal(w.shape) for w in a.weights], a.biases)
        b = random_trivial(b, rng=seed)(b)
        true = pf.difference(a, b, box).maximum
        bound = bound_on_box(a, b, *bounding_box(box))
        assert true <= bound < 100 * true


def test_bounds_are_proved_again_by_another_relaxation() -> None:
    box, triangle = pf.Box(-1, 1, dimension=2), pf.Polyhedron([[-1, 0], [0, -1], [1, 1]], [0, 0, 1])
    for seed in range(3):
        a, b = (pf.ReLUNetwork.random((2, 5, 4, 2), rng=2 * seed + k) for k in (0, 1))
        for domain in (box, triangle):
            true = pf.difference(a, b, domain).maximum
            ends = bounding_box(domain)
            good = bound_holds(a, b, domain, ends, 1.01 * true, monitor=Monitor(pf.Budget(seconds=120)))
            assert good.complete
            assert good.share == pytest.approx(1.0)
            bad = bound_holds(a, b, domain, ends, 0.99 * true, monitor=Monitor(pf.Budget(seconds=0.3)))
            assert not bad.complete
            assert bad.share < 1


def test_answers_by_bounds_are_proved_again() -> None:
    a = pf.ReLUNetwork.random((3, 8, 8, 2), rng=0)
    rng = np.random.default_rng(0)
    b = pf.ReLUNetwork([w + 1e-2 * rng.standard_normal(w.shape) for w in a.weights], a.biases)
    box = pf.Box(-0.5, 0.5, dimension=3)
    true = pf.difference(a, b, box).maximum
    answer = pf.are_equivalent(a, b, box, epsilon=2.5 * true, method="bound", budget=pf.Budget(seconds=30))
    assert (answer.verdict, answer.method) == (Verdict.YES, "branch and bound")
    work = _Work(answer, Monitor(pf.Budget(seconds=30)), 0)
    found = work._by_boxes()
    assert found is not None
    assert "another relaxation" in found.reason
    wrong = pf.Equivalence(a, b, Verdict.YES, "branch and bound", "", 1e-9, domain=box, epsilon=0.999 * true)
    assert not wrong.verify()


class TestWhatIsProvedWhenTimeEnds:
    a = pf.ReLUNetwork.random((4, 20, 20, 2), rng=0)
    b = random_trivial(a, rng=1)(a)

    def stop_after(self, blocks: int, monkeypatch: Any) -> None:
        """Let time end after so many blocks."""
        import polyfiber.equivalence.partial as partial

        original, done = partial.run_blocks, []

        def some(*args: Any, **kwargs: Any) -> Any:
            for part in original(*args, **kwargs):
                if len(done) == blocks:
                    raise pf.errors.BudgetExceededError("the enumeration stopped")
                done.append(part)
                yield part

        monkeypatch.setattr(partial, "run_blocks", some)

    def test_blocks(self, monkeypatch: Any) -> None:
        """Exact answers go block by block."""
        from polyfiber.equivalence.decide import _Pair
        from polyfiber.equivalence.regions.exact import exact_by_regions

        powers = Rescale(1, tuple(2.0 ** (j % 3) for j in range(20)))(self.a)
        self.stop_after(2, monkeypatch)
        monitor = Monitor(pf.Budget(seconds=600))
        answer = exact_by_regions(_Pair(self.a, powers, None, 0.0, None, monitor, "regions"))
        assert answer.verdict is Verdict.UNDECIDED
        part = answer.part
        assert part is not None
        assert (len(part.blocks), part.estimated) == (2, True)
        assert 0 < answer.proved < 1
        assert part.regions > 10
        X = np.random.default_rng(0).standard_normal((200, 4)) * 3
        done, left = part.proved_polyhedra(), part.remaining_polyhedra()
        held = sum(p.contains(X).astype(int) for p in (*done, *left) if p is not None)
        assert (held == 1).all()  # together they are everything
        assert answer.growth is not None
        assert (np.abs(self.a(X) - powers(X)).max(axis=1) <= answer.growth(X)).all()
        assert answer.recheck().checks
        assert answer.verify()

    def test_cells(self) -> None:
        a = pf.ReLUNetwork.random((30, 40, 40, 2), rng=0)
        b = random_trivial(a, rng=1)(a)
        answer = pf.are_equivalent(a, b, method="regions")
        assert answer.verdict is Verdict.UNDECIDED
        assert answer.part is not None
        assert answer.part.cells.shape[1] == 160
        assert len(answer.part.cells) > 20
        X = candidates(a, b, None, n=64, rng=3)[:64]
        held = np.zeros(len(X), dtype=int)
        for k in range(len(answer.part.cells)):
            A, c = answer.part.cell(k, a, b)
            held += (c + 1e-9 >= X @ A.T).all(axis=1)
        assert (held == 1).all()  # each of the inputs that were tried lies in the cell found there
        assert "cells" in str(answer.part)

    def test_a_wrong_bound_is_refuted(self) -> None:
        other = pf.ReLUNetwork.random((4, 20, 20, 2), rng=5)
        box = pf.Box(-1, 1, dimension=4)
        claim = pf.Equivalence(self.a, other, Verdict.UNDECIDED, "none", "", 1e-9, domain=box, bound=1e-3)
        assert not claim.verify()

    def test_exactly(self, monkeypatch: Any) -> None:
        a, b = hidden_in_layer(1, (3, 5, 4, 4, 2), seed=0)
        answer = pf.are_equivalent(a.exact(), b.exact(), tolerance=0, budget=pf.Budget(seconds=0.0))
        assert answer.verdict in (Verdict.UNDECIDED, Verdict.NO)
        assert answer.verdict is Verdict.NO or answer.growth is not None


def classifiers(widths: tuple[int, ...], size: float, seed: int) -> tuple[pf.ReLUNetwork, pf.ReLUNetwork]:
    a = pf.ReLUNetwork.random(widths, rng=seed)
    rng = np.random.default_rng(seed)
    return a, pf.ReLUNetwork([w + size * rng.standard_normal(w.shape) for w in a.weights], a.biases)


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


def test_compiled_code_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    with native_silence():
        os.write(1, b"noise")
    print("data")
    assert capfd.readouterr().out == "data\n"
    pair = pairs.make("equal: powers of two", 2, top=4)  # HiGHS prints on this one, whatever its options say
    box = pf.Box(-3, 3, dimension=pair.a.architecture[0])
    pf.difference(pair.a, pair.b, box, method="milp", budget=pf.Budget(seconds=5))
    assert capfd.readouterr().out == ""
