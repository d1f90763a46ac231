"""Means of matrices of low rank: midpoints, a spherical triangle, and derivatives of sums of squared distances."""

from __future__ import annotations

import math

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.errors import InputError, ShapeError

RNG = np.random.default_rng(3)


def test_three_axes_have_their_mean_on_the_diagonal() -> None:
    # 1 x n matrices at depth N: a cone over a sphere of radius 1/sqrt(N); the axes are apart by 90 degrees
    depth = 3
    mean = pf.dln.frechet_mean(np.eye(3)[:, None, :], depth)
    direction = mean.mean[0] / np.linalg.norm(mean.mean)
    assert np.allclose(direction, 1 / math.sqrt(3), atol=1e-7)
    angle = math.acos(1 / math.sqrt(3)) / math.sqrt(depth)  # each axis from the diagonal
    radius = math.cos(angle)  # least sum of squares over the radius in the plane of the cone
    assert np.linalg.norm(mean.mean) == pytest.approx(radius**depth, rel=1e-7)


def test_a_mean_of_rank_two_is_stationary_by_differences() -> None:
    base = RNG.standard_normal((4, 2)) @ RNG.standard_normal((2, 3))
    points = [
        (np.eye(4) + 0.3 * RNG.standard_normal((4, 4))) @ base @ (np.eye(3) + 0.3 * RNG.standard_normal((3, 3)))
        for _ in range(3)
    ]
    mean = pf.dln.frechet_mean(points, 3)
    values = np.linalg.svd(mean.mean, compute_uv=False)
    assert values[2] < 1e-10 * values[0]

    def spread(left: np.ndarray, right: np.ndarray) -> float:
        moved = (np.eye(4) + left) @ mean.mean @ (np.eye(3) + right)  # keeps the rank
        return float(np.mean([pf.dln.distance(moved, p, 3) ** 2 for p in points]))

    for _ in range(2):
        left, right = RNG.standard_normal((4, 4)), RNG.standard_normal((3, 3))
        h = 1e-3
        ahead, back = spread(h * left, h * right), spread(-h * left, -h * right)
        assert abs(ahead - back) / (2 * h) < 1e-4
        assert ahead + back > 2 * mean.variance - 1e-9


def test_ranks_and_shapes_are_said() -> None:
    with pytest.raises(InputError, match="ranks 2 and 1"):
        pf.dln.frechet_mean([np.eye(2), np.diag([1.0, 0.0])], 3)
    with pytest.raises(ShapeError, match="start"):
        pf.dln.frechet_mean([np.eye(2)], 3, start=np.ones((2, 3)))
