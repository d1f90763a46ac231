"""Curves along lower rank: between nearly singular ends nothing longer may be returned."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from polyfiber import dln
from polyfiber.dln.geodesics.carried import Carried, cut, kept_ranks
from polyfiber.dln.geodesics.rank_one import rank_one_path
from polyfiber.errors import PolyfiberWarning, SolverError
from polyfiber.verdict import Verdict

ENDS = 3.0 * np.diag([1.0, 1e-9]), np.diag([1e-9, 1.0])


def rank_one_curve(a: np.ndarray, b: np.ndarray, depth: int) -> Carried:
    first, last = cut(a, 1), cut(b, 1)
    path = rank_one_path(first, last, depth)
    assert path is not None
    momentum = dln.metric(first, depth).solve(path.velocity, tolerance=1e-6)
    return Carried(a, b, depth, int(np.linalg.matrix_rank(a)), 1, first, momentum)


@pytest.mark.parametrize("depth", [2, 6])
def test_lengths_against_differences_in_the_metric(depth: int) -> None:
    rng = np.random.default_rng(depth)
    p, q, s, t = (np.linalg.qr(rng.standard_normal((3, 3)))[0] for _ in range(4))
    a, b = (p * [1.0, 1e-4, 3e-5]) @ q, (s * [2.0, 1e-4, 1e-4]) @ t
    b[0] *= np.sign(np.linalg.det(a) * np.linalg.det(b))
    for pair in ((a, b), (np.diag([1.0, 1e-4]), np.diag([1e-4, 1.0])), (a[:2], b[:2])):
        curve, h = rank_one_curve(*pair, depth), 1e-4
        _, length = curve.measured()
        middles = (np.arange(40) + 0.5) / 40
        speeds = [dln.metric(curve(t), depth).norm((curve(t + h) - curve(t - h)) / (2 * h)) for t in middles]
        assert float(np.mean(speeds)) == pytest.approx(length, rel=1e-3)


@pytest.mark.parametrize(("depth", "small", "most"), [(3, 1e-8, 2.0722809), (10, 1e-9, 2.15798)])
def test_nearly_singular_ends_turn_along_rank_one(depth: int, small: float, most: float) -> None:
    a, b = np.diag([1.0, small]), np.diag([small, 1.0])
    path = dln.geodesic(a, b, depth)
    assert path.lower_bound < path.length <= most
    if not path.solved:
        assert path.minimum is not None
        assert path.minimum.verdict is Verdict.UNDECIDED
        assert not path.shortest
        assert "What is shortest is not decided" in path.sentence


@pytest.fixture(scope="module")
def along_rank_one() -> dln.Geodesic:
    return dln.geodesic(*ENDS, 10)


def test_the_curve_joins_the_ends_and_is_as_long_as_it_says(along_rank_one: dln.Geodesic) -> None:
    (a, b), path = ENDS, along_rank_one
    assert (path.method, path.solved) == ("along rank 1", False)
    assert np.array_equal(path([0.0, 1.0]), [a, b])
    assert np.abs(path(1.0 - 1e-9) - b).max() < 1e-7
    assert np.abs((path(1e-6) - a) / 1e-6 - path.velocity).max() < 1e-4
    assert np.array_equal(pickle.loads(pickle.dumps(path))(0.5), path(0.5))
    for ask in (
        lambda: path.lift([0.0, 1.0]),
        lambda: dln.logarithm(a, b, 10),
        lambda: dln.distance_gradient(a, b, 10),
    ):
        with pytest.raises(SolverError, match="nearly of lower rank"):
            ask()


def test_a_small_value_is_carried_along_rank_two() -> None:
    rng = np.random.default_rng(1)
    p, q, s, t = (np.linalg.qr(rng.standard_normal((3, 3)))[0] for _ in range(4))
    a = (p * [1.0, 0.5, 1e-7]) @ q
    b = (s * [2.0, 0.7, 1e-7]) @ t
    b[0] *= np.sign(np.linalg.det(a) * np.linalg.det(b))
    assert kept_ranks(a, b, 3)[0] == 2
    path = dln.geodesic(a, b, 4, starts=1, check=False)
    below = dln.geodesic(cut(a, 2), cut(b, 2), 4, starts=1, check=False)
    assert path.length <= below.length + 4.0 * (1e-7) ** 0.25 * np.pi
    assert np.abs(path(1.0) - b).max() < 1e-8


def test_ends_of_full_size_have_nothing_to_carry() -> None:
    assert kept_ranks(np.diag([1.0, 0.5]), np.diag([1e-8, 1.0]), 2) == []
    path = dln.geodesic(np.diag([1.0, 0.5]), np.diag([0.5, 1.0]), 3)
    assert path.solved
    assert all(a.curve != "carried" for a in path.tried)


def test_distances_that_are_upper_bounds_alone_say_so(along_rank_one: dln.Geodesic) -> None:
    (a, b), path = ENDS, along_rank_one
    assert not path.solved
    assert "at most" in repr(path)
    with pytest.warns(PolyfiberWarning, match="at most"):
        assert dln.distance(a, b, 10) == path.length
    with pytest.warns(PolyfiberWarning, match="pair 1: .* at most"):
        dln.distance([a, a], [2.0 * a, b], 10)
