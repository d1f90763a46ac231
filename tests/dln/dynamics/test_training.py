"""Trained paths: conserved quantities, lengths, geodesics between the ends."""

from __future__ import annotations

import numpy as np
import pytest

from polyfiber.dln import gradient_flow, lift, training_path
from polyfiber.errors import InputError, ShapeError


def test_a_balanced_flow_conserves_and_is_longer_than_the_geodesic() -> None:
    rng = np.random.default_rng(1)
    Y = rng.standard_normal((2, 2))
    t = np.linspace(0.0, 4.0, 201)
    flow = gradient_flow(lift(np.eye(2), 3), lambda W: W - Y, t)
    path = training_path([[w[i] for w in flow.weights] for i in range(t.size)], times=t)
    assert path.drift.max() < 1e-8
    assert path.imbalance.max() < 1e-8
    assert path.geodesic is not None or np.linalg.det(flow.products[-1]) < 0
    if path.geodesic is not None:
        assert path.excess > 1 - 1e-4
        assert path.deviation >= 0
    assert path.energy >= path.length**2 / 4.0 - 1e-9  # Cauchy-Schwarz over the time of 4
    assert path.ranks.shape == (t.size, 4, 4)
    assert (path.ranks[:, 3, 0] == 2).all()


def test_paths_between_different_ranks_have_no_geodesic() -> None:
    path = training_path([[np.diag([1.0, 0.0]), np.eye(2)], [np.eye(2), np.eye(2)]])
    assert path.geodesic is None
    assert np.isnan(path.excess)
    assert "ranks 1 and 2" in path.no_geodesic
    assert path.no_geodesic in path.sentence
    assert path.ranks[:, 2, 0].tolist() == [1, 2]


def test_a_path_that_comes_back_is_compared_with_nothing() -> None:
    one, other = [np.eye(2), np.eye(2)], [2.0 * np.eye(2), np.eye(2)]
    path = training_path([one, other, one])
    assert np.isnan([path.deviation, path.excess]).all()
    assert path.no_geodesic == "the first and the last product are one matrix"
    assert path.length > 0.0
    assert "times as long as the geodesic" in training_path([one, other]).sentence


def test_bad_paths_are_refused() -> None:
    one = [np.eye(2), np.eye(2)]
    with pytest.raises(InputError, match="two"):
        training_path([one])
    with pytest.raises(ShapeError):
        training_path([one, [np.eye(3), np.eye(3)]])
    with pytest.raises(InputError, match="must increase"):
        training_path([one, one], times=[1.0, 0.0])
    with pytest.raises(InputError):
        training_path([one, [np.full((2, 2), np.nan), np.eye(2)]])
