"""Checks, products and vectors of the weights of linear networks."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from polyfiber.errors import InputError, ShapeError
from polyfiber.linear import weights as module

RNG = np.random.default_rng(0)
LAYERS = [RNG.standard_normal((3, 2)), RNG.standard_normal((4, 3)), RNG.standard_normal((1, 4))]


def test_integers_are_exact_and_floats_are_not() -> None:
    layers, exact = module.check_weights([[[1, 2]], [[3]]])
    assert exact
    assert layers[0].tolist() == [[Fraction(1), Fraction(2)]]
    assert not module.check_weights([[[1, 2]], [[0.5]]])[1]
    assert module.check_weights([[[0.1]]], exact=True)[0][0][0, 0] == Fraction(0.1)
    assert module.check_weights([[[Fraction(1, 3)]]], exact=False)[0][0][0, 0] == 1 / 3
    given = np.ones((1, 1))
    assert module.float_weights([given])[0] is not given


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (np.ones((2, 2)), ShapeError, "list of matrices"),
        ("ab", InputError, "found a str"),
        ([], InputError, "at least one layer"),
        ([[1.0, 2.0]], ShapeError, "expected a matrix"),
        ([[[1.0], [1.0, 2.0]]], ShapeError, "not a rectangular array"),
        ([np.ones((2, 3)), np.ones((2, 3))], ShapeError, "W_2 expects 3 inputs but W_1 gives 2"),
        ([[["a"]]], InputError, "real numbers"),
        ([np.ones((1, 1)), [[np.inf]]], InputError, r"W_2 holds inf at \(0, 0\)"),
        ([np.ma.masked_equal([[1.0, 2.0]], 2.0)], InputError, "masked"),
    ],
)
def test_what_is_no_network(given: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        module.check_weights(given)


def test_products_and_transposes() -> None:
    np.testing.assert_allclose(module.product(LAYERS), LAYERS[2] @ LAYERS[1] @ LAYERS[0])
    turned = module.transpose(LAYERS)
    np.testing.assert_allclose(module.product(turned), module.product(LAYERS).T)
    assert module.widths_of(turned) == (1, 4, 3, 2)
    for given, again in zip(LAYERS, module.transpose(turned)):
        np.testing.assert_array_equal(given, again)


def test_vectors_of_weights() -> None:
    vector = module.flatten(LAYERS)
    for given, again in zip(LAYERS, module.unflatten(vector, (2, 3, 4, 1))):
        np.testing.assert_array_equal(given, again)
    assert module.inner(LAYERS, LAYERS) == pytest.approx(vector @ vector)
    assert module.norm(LAYERS) == pytest.approx(np.linalg.norm(vector))


@pytest.mark.parametrize("change", [-1, 1])
def test_vectors_of_another_length(change: int) -> None:
    with pytest.raises(ShapeError, match="have 22 weights"):
        module.unflatten(np.zeros(22 + change), (2, 3, 4, 1))


def test_directions_have_the_shapes_of_the_weights() -> None:
    assert len(module.check_step(LAYERS, (2, 3, 4, 1))) == 3
    with pytest.raises(ShapeError, match="the step has widths"):
        module.check_step(LAYERS, (2, 3, 4, 2))
