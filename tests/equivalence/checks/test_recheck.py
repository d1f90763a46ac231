"""Second looks at answers, proofs by shared features, and what is proved when time ends."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.budget import Monitor
from polyfiber.datasets import pairs
from polyfiber.equivalence.forms.shared_features import shared_features
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


def test_compiled_code_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    with native_silence():
        os.write(1, b"noise")
    print("data")
    assert capfd.readouterr().out == "data\n"
    pair = pairs.make("equal: powers of two", 2, top=4)  # HiGHS prints on this one, whatever its options say
    box = pf.Box(-3, 3, dimension=pair.a.architecture[0])
    pf.difference(pair.a, pair.b, box, method="milp", budget=pf.Budget(seconds=5))
    assert capfd.readouterr().out == ""
