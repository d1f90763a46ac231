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


def test_the_mean_is_that_of_distances_not_of_what_followed_it() -> None:
    """Geodesics that follow the iteration end in another class here: sum of squares 3.429 with them."""
    matrices = [
        [[4.451429338738536, -8.019861717841524], [-8.136575195794661, 3.514769955784129]],
        [[-9.020494465500223, 3.097738437945181], [3.3281758871877285, 0.5456278252950081]],
        [[-2.9053812530464187, 6.89808319127292], [9.857161459701832, -2.1222971854064925]],
        [[-7.640834493500548, 16.710194185758688], [-0.6368841829726508, 16.634340282167724]],
    ]
    weights = [0.08833066003651348, 0.2811714223762942, 0.5612636766186497, 0.06923424096854253]
    found = pf.dln.frechet_mean(matrices, 3, weights=weights)
    assert found.variance == pytest.approx(2.72932, abs=1e-4)
    assert found.distances == pytest.approx([pf.dln.distance(found.mean, W, 3) for W in matrices], rel=1e-7)
