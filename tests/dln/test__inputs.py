"""What the functions of deep linear networks ask of their arguments."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from polyfiber.dln import _inputs as module
from polyfiber.errors import InputError, ShapeError


@pytest.mark.parametrize("wrong", [[1.0], [[]], [[np.nan]], [["a"]], [[1e76]], [[1e-76]], [[1j]], np.zeros((0, 2))])
def test_what_is_no_matrix(wrong: Any) -> None:
    with pytest.raises((InputError, ShapeError)):
        module.as_matrix(wrong)


def test_matrices_and_batches() -> None:
    assert module.as_matrix([[1, 2]]).dtype == np.float64
    assert module.as_matrix(np.zeros((5, 2, 3))).shape == (5, 2, 3)
    assert module.as_matrix([[1e-76]], vector=True).shape == (1, 1)
    with pytest.raises(ShapeError, match="square matrices"):
        module.as_matrix([[1.0, 2.0]], square=True)


def test_tangents_broadcast_against_points() -> None:
    point = np.ones((4, 2, 3))
    assert module.as_like(np.ones((2, 3)), point, name="X").shape == (2, 3)
    assert module.as_like(np.ones((5, 1, 2, 3)), point, name="X").shape == (5, 1, 2, 3)
    with pytest.raises(ShapeError, match="matrices of shape"):
        module.as_like(np.ones((3, 2)), point, name="X")
    with pytest.raises(ShapeError, match="does not broadcast"):
        module.as_like(np.ones((3, 2, 3)), point, name="X")


@pytest.mark.parametrize("depth", [1, 2, np.int64(3), 10**9])
def test_depths(depth: Any) -> None:
    assert module.as_depth(depth) == depth
    assert module.as_depth(math.inf, infinite=True) == math.inf


@pytest.mark.parametrize("depth", [0, -1, 1.5, True, "2", None, math.inf, math.nan, Fraction(2), 10**400])
def test_other_depths(depth: Any) -> None:
    with pytest.raises(InputError, match="depth"):
        module.as_depth(depth)


def test_positive_numbers() -> None:
    assert module.as_positive(Fraction(1, 2), name="beta") == 0.5
    assert module.as_positive(0, name="beta", zero=True) == 0.0
    assert module.as_positive(math.inf, name="beta", infinite=True) == math.inf
    for wrong in (0, -1.0, math.nan, math.inf, "x", None):
        with pytest.raises(InputError, match="beta is"):
            module.as_positive(wrong, name="beta")


def test_layers_chain() -> None:
    layers = module.as_layers([np.ones((3, 2)), np.ones((1, 3))])
    assert [w.shape for w in layers] == [(3, 2), (1, 3)]
    assert len(module.as_layers(np.ones((4, 2, 2)))) == 4
    for wrong in ([np.ones((3, 2)), np.ones((1, 2))], [], np.ones((2, 2)), 3):
        with pytest.raises((InputError, ShapeError)):
            module.as_layers(wrong)
