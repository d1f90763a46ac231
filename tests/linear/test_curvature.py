"""Curvature of the square loss against differences, and sharpness against every other point of the fiber."""

from __future__ import annotations

import numpy as np
import pytest

from polyfiber.errors import InputError, ShapeError
from polyfiber.linear.curvature import flattest, hessian, sharpness
from polyfiber.linear.weights import flatten, product, unflatten

RNG = np.random.default_rng(0)


def loss(vector: np.ndarray, widths: tuple[int, ...], target: np.ndarray, x: np.ndarray) -> float:
    return 0.5 * float(((product(unflatten(vector, widths)) @ x - target) ** 2).sum())


@pytest.mark.parametrize("widths", [(2, 2), (2, 3, 1), (1, 2, 2, 2)], ids=str)
def test_hessian_by_second_differences(widths: tuple[int, ...]) -> None:
    layers = [RNG.standard_normal((b, a)) for a, b in zip(widths, widths[1:])]
    target = RNG.standard_normal((widths[-1], widths[0]))
    H, at, h = hessian(layers, target), flatten(layers), 1e-4
    eye = np.eye(widths[0])
    step = h * np.eye(len(at))
    for i in range(len(at)):
        for j in range(i + 1):
            value = sum(
                s * t * loss(at + s * step[i] + t * step[j], widths, target, eye) for s in (1, -1) for t in (1, -1)
            ) / (4 * h * h)  # fmt: skip
            assert H[i, j] == pytest.approx(value, abs=2e-5)
            assert H[i, j] == H[j, i]


def test_hessian_of_numbers() -> None:
    """(1/2) (c b a - y)^2: b^2 c^2 on the diagonal, c (2 a b c - y) beside it."""
    a, b, c, y = 2.0, 3.0, 5.0, 7.0
    found = hessian([[[a]], [[b]], [[c]]], [[y]])
    assert found[0, 0] == (b * c) ** 2
    assert found[0, 1] == c * (2 * a * b * c - y)
    with pytest.raises(ShapeError, match="target has shape"):
        hessian([[[a]]], [[y, y]])
    with pytest.raises(InputError, match="range of floats"):
        hessian([[[1e200]], [[1e200]]], [[0.0]])


@pytest.mark.parametrize("widths", [(2, 2), (2, 2, 2), (2, 3, 2), (2, 2, 2, 2)], ids=str)
def test_sharpness_is_the_largest_eigenvalue_and_no_fiber_is_flatter(widths: tuple[int, ...]) -> None:
    layers = [RNG.standard_normal((b, a)) for a, b in zip(widths, widths[1:])]
    W = product(layers)
    found = sharpness(layers)
    assert found.value == pytest.approx(np.linalg.eigvalsh(hessian(layers, W))[-1])
    flat = sharpness(flattest(W, widths))
    np.testing.assert_allclose(product(flattest(W, widths)), W, atol=1e-10)
    assert flat.value == pytest.approx(found.least)
    assert found.least <= found.value * (1 + 1e-12)
    assert found.value - found.least <= found.gap
    for _ in range(5):  # others on the fiber
        others = [V.copy() for V in layers]
        for j in range(len(others) - 1):
            g = np.eye(widths[j + 1]) + 0.2 * RNG.standard_normal((widths[j + 1],) * 2)
            others[j], others[j + 1] = g @ others[j], others[j + 1] @ np.linalg.inv(g)
        assert sharpness(others).value >= found.least * (1 - 1e-12)


def test_data_turn_the_loss() -> None:
    layers = [RNG.standard_normal((2, 2)), RNG.standard_normal((1, 2))]
    x = RNG.standard_normal((2, 5))
    found = sharpness(layers, data=x)
    widths, at, h = (2, 2, 1), flatten(layers), 1e-4
    target = product(layers) @ x
    for _ in range(5):  # curvature along any direction is below, up to the error of the difference
        d = RNG.standard_normal(len(at))
        d /= np.linalg.norm(d)
        bent = (loss(at + h * d, widths, target, x) + loss(at - h * d, widths, target, x)) / h**2
        assert bent <= found.value + 1e-5
    best = flattest(product(layers), widths, data=x)
    np.testing.assert_allclose(product(best) @ x, target, atol=1e-8)
    flat = sharpness(best, data=x)
    assert found.least - 1e-9 <= flat.value <= found.value + 1e-9


def test_what_cannot_be() -> None:
    with pytest.raises(InputError, match="only allow 1"):
        flattest(np.eye(2), (2, 1, 2))
    with pytest.raises(ShapeError, match="expected 2 rows"):
        sharpness([np.eye(2)], data=np.ones((3, 1)))
    with pytest.raises(InputError, match="no weights"):
        sharpness([np.zeros((0, 2)), np.zeros((1, 0))])
    assert sharpness([np.zeros((1, 1)), np.zeros((1, 1))]).value == 0.0
