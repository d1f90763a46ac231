"""Sign labels against their definition, shares against enumeration of all sign patterns."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.errors import InputError
from polyfiber.fibers.batch.labels import KINDS, classify_batch
from polyfiber.fibers.hiding import admissible_shift, flip_sets, hiding_gauge, hiding_report
from polyfiber.fibers.parameter_share import identifiable_share, identifiable_share_bounds
from polyfiber.network import moves as mv
from polyfiber.network.moves import random_trivial


def kind_by_definition(W2: np.ndarray, b2: np.ndarray) -> tuple[str, int]:
    rows = np.c_[W2, b2]
    live = ~(rows < 0).all(axis=1)
    if not live.any():
        return "constant", -1
    for k in range(W2.shape[1]):
        others = np.delete(rows, k, axis=1)
        if (rows[live, k] > 0).all() and (others[live] < 0).all():
            return "hiding", k
    if not live.all() or (rows > 0).all(axis=1).any():
        return "layerwise", -1
    return "identifiable", -1


def sign_batch(n1: int, n2: int) -> pf.NetworkBatch:
    """Every sign pattern of (W2 | b2), with generic absolute values."""
    rng = np.random.default_rng(0)
    signs = np.array(list(itertools.product((-1.0, 1.0), repeat=(n1 + 1) * n2))).reshape(-1, n2, n1 + 1)
    values = signs * rng.uniform(0.5, 1.5, signs.shape)
    B = len(signs)
    return pf.NetworkBatch(
        [rng.standard_normal((B, n1, n1)), values[:, :, :n1], rng.standard_normal((B, 2, n2))],
        [rng.standard_normal((B, n1)), values[:, :, n1], np.zeros((B, 2))],
    )


@pytest.mark.parametrize(("n1", "n2"), [(2, 1), (2, 2), (3, 1), (3, 2), (2, 3), (4, 2), (3, 3)])
def test_labels_and_share_by_enumeration(n1: int, n2: int) -> None:
    batch = sign_batch(n1, n2)
    labels = classify_batch(batch)
    for t in range(0, len(batch), max(1, len(batch) // 700)):
        kind, k = kind_by_definition(batch.weights[1][t], batch.biases[1][t])
        assert (KINDS[labels.kind[t]], int(labels.hidden_hyperplane[t])) == (kind, k)
    share = Fraction(int(labels.identifiable.sum()), len(batch))
    assert share == identifiable_share((n1, n1, n2, 1)) == pf.identifiable_share((n1 + 2, n1, n2, 3))
    lower, upper = identifiable_share_bounds((n1, n1, n2, 1))
    assert lower <= share <= upper


def test_share_by_monte_carlo_on_gaussians() -> None:
    architecture = (6, 4, 3, 2)
    batch = pf.NetworkBatch.random(architecture, 200_000, rng=1)
    share = float(identifiable_share(architecture))
    measured = float(classify_batch(batch).identifiable.mean())
    assert abs(measured - share) < 5 * np.sqrt(share * (1 - share) / len(batch))


def test_labels_are_invariant_and_carry_margins() -> None:
    batch = pf.NetworkBatch.random((4, 3, 2, 2), 300, rng=2)
    labels = classify_batch(batch)
    moved = pf.NetworkBatch.stack([random_trivial(net, rng=i)(net) for i, net in enumerate(batch)])
    again = classify_batch(moved)
    assert (labels.kind == again.kind).all()
    assert (labels.n_dead == again.n_dead).all()
    assert (labels.n_linear == again.n_linear).all()
    np.testing.assert_allclose(labels.margin, again.margin, rtol=1e-9)
    assert set(labels.kind_names()) >= {"identifiable", "layerwise", "hiding"}
    assert sum(labels.counts_by_kind().values()) == 300


def test_labels_do_not_decide_zeros_and_noise() -> None:
    base = pf.NetworkBatch.random((3, 3, 2, 1), 1, rng=3)
    W1, W2, W3 = (w.copy() for w in base.weights)
    b = [v.copy() for v in base.biases]
    assert classify_batch(pf.NetworkBatch([W1, W2, W3], b)).decided.all()
    for index, value in ((1, 0.0), (1, 1e-18), (0, None), (2, 0.0)):
        weights = [W1.copy(), W2.copy(), W3.copy()]
        if value is None:
            weights[0][0, 1] = 0.0
        else:
            weights[index][0, 0, 0] = value
        labels = classify_batch(pf.NetworkBatch(weights, b))
        assert not labels.decided.any()
        assert labels.n_undecided[0] >= 1
        assert not labels.identifiable.any()
    assert not classify_batch(pf.NetworkBatch.random((2, 3, 2, 1), 5, rng=0)).decided.any()
    assert not classify_batch(pf.NetworkBatch.random((2, 1, 2, 1), 5, rng=0)).decided.any()


def test_gauge_is_the_same_along_the_fiber() -> None:
    rng = np.random.default_rng(4)
    for n2 in (1, 2):
        net = pf.ReLUNetwork.random((4, 3, n2, 2), rng=rng)
        W2 = -np.abs(net.weights[1])
        W2[:, 1] *= -1
        net = pf.ReLUNetwork(
            [net.weights[0], W2, net.weights[2]], [net.biases[0], -np.abs(net.biases[1]), net.biases[2]]
        )
        report = hiding_report(net)
        assert report.hyperplane == 1
        assert report.end == pytest.approx(admissible_shift(net))
        sets = list(flip_sets(net))
        assert len(sets) == (4 if n2 == 1 else 1)
        gauged, moves = hiding_gauge(net)
        assert moves(net) == gauged
        for I in sets:
            other = mv.Flip(1, I)(net) if I else net
            other = mv.Translate(1, rng.uniform(-3, 1) * admissible_shift(other))(other)
            again, _ = hiding_gauge(other)
            for x, y in zip((*gauged.weights, *gauged.biases), (*again.weights, *again.biases)):
                np.testing.assert_allclose(x, y, atol=1e-9)


def test_bad_input() -> None:
    with pytest.raises(InputError, match="bottleneck"):
        identifiable_share((2, 3, 1, 1))
    with pytest.raises(InputError, match="n1 >= 2"):
        identifiable_share((2, 1, 1, 1))
    with pytest.raises(InputError, match="architecture"):
        identifiable_share((2, 1, 1))
    with pytest.raises(InputError, match="NetworkBatch"):
        classify_batch([])  # type: ignore[arg-type]
    with pytest.raises(InputError, match="two hidden layers"):
        classify_batch(pf.NetworkBatch.random((2, 2, 1), 1, rng=0))
    with pytest.raises(InputError, match="hides no"):
        admissible_shift(pf.ReLUNetwork.random((3, 3, 3, 1), rng=0))
