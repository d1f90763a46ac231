"""Ends whose large singular directions change places: no answer may be longer than a curve that can be written down."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from polyfiber import dln
from polyfiber.dln.geodesics.guesses import Turning
from polyfiber.dln.geodesics.search import Search

CASES = [
    (10, 1e-10, 1 / 90, 2.648575), (10, 1e-4, 1 / 50, 2.052769), (3, 1e-8, 1 / 50, 2.087453), (7, 1e-4, 1 / 50, 2.151442),
]  # fmt: skip


@pytest.mark.parametrize(("depth", "small", "other", "explicit"), CASES)
def test_no_answer_is_longer_than_a_quarter_turn(depth: int, small: float, other: float, explicit: float) -> None:
    """The last number is the length, by quadrature, of the curve whose singular vectors turn by right angles."""
    path = dln.geodesic(np.diag([1.0, small]), np.diag([other, 1.0]), depth)
    assert path.lower_bound < path.length < explicit
    assert not path.solved or path.residual < 1e-9


@pytest.mark.parametrize("depth", [2, 5])
def test_turning_frames_have_the_length_of_their_points(depth: int) -> None:
    rng = np.random.default_rng(depth)
    for shape, rank in (((3, 3), 3), ((3, 4), 2)):
        a, b = (rng.standard_normal((shape[0], rank)) @ rng.standard_normal((rank, shape[1])) for _ in range(2))
        if rank == min(shape):
            b[0] *= np.sign(np.linalg.det(a) * np.linalg.det(b))
        search = Search(a, b, depth, rank, 1e-9, check=False)
        search.run(None, closed=False)
        found = search.joined
        assert found is not None
        assert isinstance(found.curve, Turning)
        h = 1e-5
        times = (np.arange(60) + 0.5) / 60
        speeds = [
            dln.metric(found.curve(t), depth).norm((found.curve(t + h) - found.curve(t - h)) / (2 * h)) for t in times
        ]
        assert float(np.mean(speeds)) == pytest.approx(found.length, rel=1e-3)
        assert np.abs((found.curve(h) - found.curve(0.0)) / h - found.velocity).max() < 1e-3
        answer = search._joined_answer(found)
        assert np.array_equal(answer([0.0, 1.0]), [a, b])
        assert np.abs(answer(1.0 - 1e-9) - b).max() < 1e-7
        assert np.array_equal(pickle.loads(pickle.dumps(answer))(0.5), answer(0.5))
