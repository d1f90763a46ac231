"""Folding: exact products, rounded once, with bounds that hold and are not idle."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from polyfiber.errors import InputError, ShapeError, UnsupportedLayerError
from polyfiber.network.folding import Chain, _inverse_sqrt
from polyfiber.network.wiring.exact_rows import ExactRows, integers


def exact(values: Any) -> np.ndarray:
    out = np.empty(np.shape(values), dtype=object)
    out.reshape(-1)[:] = [Fraction(v) for v in np.asarray(values).ravel().tolist()]
    return out


def test_rationals_hold_every_float() -> None:
    values = np.array([0.0, -0.0, 5e-324, 1.7976931348623157e308, -1 / 3, 2.0**-1074 * 3, 6.0, np.float32(0.1)])
    numerators, below = integers(values)
    assert [Fraction(n, below) for n in numerators] == [Fraction(float(v)) for v in values]
    rows = ExactRows.of(np.arange(len(values) + 1), np.arange(len(values)), values, None)
    back, errors, *_ = rows.rounded("here")
    np.testing.assert_array_equal(back, values)
    assert not errors.any()


@pytest.mark.parametrize("seed", range(12))
def test_fold_is_the_nearest_float_and_the_bound_holds(seed: int) -> None:
    """Against plain fractions: normalisation, dense, dense, diagonal in one layer."""
    rng = np.random.default_rng(seed)
    mean, deviation = rng.standard_normal(3), rng.uniform(0.1, 5, 3)
    W1, b1 = rng.standard_normal((4, 3)), rng.standard_normal(4) * 10.0 ** rng.integers(-8, 8)
    W2, b2 = rng.standard_normal((2, 4)), rng.standard_normal(2)
    if seed % 2:
        W1 = W1.astype(np.float32)
    scale, shift = rng.standard_normal(2), rng.standard_normal(2)
    chain = Chain(3)
    chain.diagonal(shift=-mean, name="centre")
    chain.diagonal(scale=np.array([1 / Fraction(d) for d in deviation], dtype=object), name="scale")
    chain.dense(W1, b1, name="first")
    chain.dense(W2, b2, name="second")
    chain.diagonal(scale=scale, shift=shift, name="rescale")
    net = chain.network({})
    (record,) = net.source["folding"]

    D = exact(1 / exact(deviation))
    W = exact(W2) @ (exact(W1) * D)
    b = exact(W2) @ (exact(W1) @ (-exact(mean) * D) + exact(b1)) + exact(b2)
    W, b = exact(scale)[:, None] * W, exact(scale) * b + exact(shift)
    for found, true, bound in [
        (net.weights[0], W, record["weight_bounds"]),
        (net.biases[0], b, record["bias_bounds"]),
    ]:
        for index, value in np.ndenumerate(found):
            distance = abs(Fraction(value.item()) - true[index])
            assert value == float(true[index])  # Fraction -> float rounds to nearest
            assert distance <= Fraction(bound[index].item())
            assert bound[index] <= math.ulp(value.item())
    assert record["operations"] == ("centre", "scale", "first", "second", "rescale")
    assert record["weight_error"] == record["weight_bounds"].max()
    assert not record["exact"]


@pytest.mark.parametrize("seed", range(6))
def test_batch_normalisation_bound_holds(seed: int) -> None:
    """Against 400-bit square roots: the true, irrational parameter is within the recorded bound."""
    rng = np.random.default_rng(seed)
    W1, b1 = rng.standard_normal((4, 2)), rng.standard_normal(4)
    mean, variance = rng.standard_normal(4), rng.uniform(1e-6, 30, 4)
    gamma, beta = rng.standard_normal(4), rng.standard_normal(4)
    W2 = rng.standard_normal((3, 4))
    chain = Chain(2)
    chain.dense(W1, b1, name="first")
    chain.normalisation(mean, variance, gamma, beta, epsilon=1e-5, name="norm")
    chain.dense(W2, None, name="second")
    net = chain.network({})
    (record,) = net.source["folding"]
    roots = []
    for v in variance:
        total = Fraction(v) + Fraction(1e-5)
        roots.append(Fraction(1 << 400, math.isqrt((total.numerator << 800) // total.denominator)))
    s = exact(gamma) * np.array(roots, dtype=object)
    W = exact(W2) @ (s[:, None] * exact(W1))
    b = exact(W2) @ (s * (exact(b1) - exact(mean)) + exact(beta))
    slack = Fraction(1, 1 << 300)
    for found, true, bound in [
        (net.weights[0], W, record["weight_bounds"]),
        (net.biases[0], b, record["bias_bounds"]),
    ]:
        for index, value in np.ndenumerate(found):
            assert abs(Fraction(value.item()) - true[index]) <= Fraction(bound[index].item()) + slack
            assert bound[index] <= 2 * math.ulp(value.item())


def test_bound_covers_the_square_root_when_the_product_cancels() -> None:
    """Two irrational terms that cancel: the value is 0 or tiny, and the bound must not be 0."""
    chain = Chain(1)
    chain.dense([[1.0], [1.0]], None, name="copy")
    chain.normalisation([0.0, 0.0], [2.0, 2.0], None, None, epsilon=0.0, name="norm")
    chain.dense([[1.0, -1.0]], None, name="difference")
    net = chain.network({})
    (record,) = net.source["folding"]
    assert net.weights[0].item() == 0.0
    assert 0.0 < record["weight_bounds"].item() < 1e-35


@pytest.mark.parametrize("value", [Fraction(2), Fraction(1, 3), Fraction(10**30 + 1, 7), Fraction(1, 10**60 + 9)])
def test_inverse_square_root_is_within_its_claim(value: Fraction) -> None:
    root, rounded = _inverse_sqrt(value)
    assert rounded
    # root <= 1/sqrt(value) <= root (1 + 2^-120), squared
    assert root * root * value <= 1 <= root * root * value * (1 + Fraction(1, 1 << 120)) ** 2


def test_perfect_squares_are_exact() -> None:
    assert _inverse_sqrt(Fraction(9, 4)) == (Fraction(2, 3), False)
    chain = Chain(2)
    chain.normalisation([1.0, 0.0], [4.0, 16.0], [2.0, 4.0], None, epsilon=0.0, name="norm")
    chain.dense([[1.0, 1.0]], [0.0], name="sum")
    net = chain.network({})
    assert net.weights[0].tolist() == [[1.0, 1.0]]
    assert net.biases[0].tolist() == [-1.0]
    assert net.source["folding"][0]["exact"]


def test_nothing_to_fold_leaves_no_record() -> None:
    chain = Chain(2)
    chain.diagonal(scale=np.ones(2), shift=np.zeros(2), name="idle")
    chain.dense(np.array([[1, 2]], dtype=np.float32), None, name="product")
    chain.diagonal(shift=np.array([3.0], dtype=np.float32), name="bias")
    net = chain.network({})
    assert net.source["folding"] == ()
    assert net.biases[0].tolist() == [3.0]
    assert net.source["dtype"] == "float32+float64"  # the idle step was float64


def test_edges_of_a_chain() -> None:
    chain = Chain(2)
    chain.relu("first")
    chain.relu("again")
    chain.dense([[1.0, -1.0]], None, name="d")
    chain.relu("last")
    net = chain.network({})
    assert net.architecture == (2, 2, 1, 1)
    assert net([[-1.0, -2.0], [3.0, 1.0], [1.0, 3.0]]).ravel().tolist() == [0.0, 2.0, 0.0]
    assert len(net.source["notes"]) == 3
    assert net.source["folding"] == ()


def test_refusals() -> None:
    with pytest.raises(ShapeError, match="at least one input"):
        Chain(0)
    chain = Chain(2)
    with pytest.raises(ShapeError, match="expects 3 inputs but the layer before gives 2"):
        chain.dense(np.ones((1, 3)), None, name="d")
    with pytest.raises(ShapeError, match="bias of shape"):
        chain.dense(np.ones((1, 2)), np.ones(2), name="d")
    with pytest.raises(InputError, match=r"nan at \(0, 1\)"):
        chain.dense([[1.0, np.nan]], None, name="d")
    with pytest.raises(InputError, match="variance"):
        chain.normalisation([0, 0], [1, -1], None, None, epsilon=0.5, name="norm")
    nothing = Chain(2).network({})
    assert nothing([3.0, -4.0]).tolist() == [3.0, -4.0]
    assert "the network is the identity" in " ".join(nothing.source["notes"])
    chain.dense([[1e308, 1e308]], None, name="d")
    chain.diagonal(scale=[100.0], name="s")
    with pytest.raises(InputError, match="beyond float64"):
        chain.network({})
    chain.finish("softmax")
    with pytest.raises(UnsupportedLayerError, match="after softmax"):
        chain.dense([[1.0]], None, name="late")
    with pytest.raises(UnsupportedLayerError, match="after the softmax"):
        chain.relu()


def test_a_fold_that_would_take_minutes_is_refused() -> None:
    chain = Chain(400)
    chain.dense(np.ones((400, 400)), None, name="a")
    chain.dense(np.ones((400, 400)), None, name="b")
    with pytest.raises(InputError, match="exact multiplications"):
        chain.network({})
    wide = Chain(9000)
    wide.diagonal(scale=np.full(9000, 2.0), name="s")
    wide.relu()
    wide.dense(np.ones((1, 9000)), None, name="d")
    with pytest.raises(InputError, match="written out"):
        wide.network({})


def test_steps_that_repeat_a_tensor_cannot_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polyfiber.network.wiring.slots.DENSE_LIMIT", 1000)
    monkeypatch.setattr("polyfiber.network.wiring.slots.NONZERO_LIMIT", 210)
    chain, square = Chain(10), np.ones((10, 10))
    for i in range(10):
        chain.dense(square, None, name=f"d{i}")
        chain.diagonal(scale=2 * square[0], name=f"s{i}")
    with pytest.raises(InputError, match="more than 1,000 numbers"):
        chain.dense(square, None, name="one more")
    with pytest.raises(InputError, match="more than 210 numbers"):
        chain.diagonal(scale=2 * square[0], name="one more")
