"""Areas, eccentricities and counts by block against other ways."""

from __future__ import annotations

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.complexes.planar.statistics import areas, regions_in_ball


@pytest.fixture(scope="module")
def made() -> tuple[pf.ReLUNetwork, pf.PlanarSlice]:
    net = pf.ReLUNetwork.random((6, 10, 9, 2), rng=1)
    D = np.random.default_rng(3).standard_normal((2, 6))
    return net, pf.slice_complex(net, np.zeros(6), D, domain=pf.Box(-1, 1, dimension=2), method="walk")


def test_counts_by_block_are_those_of_shorter_networks(made: tuple[pf.ReLUNetwork, pf.PlanarSlice]) -> None:
    net, s = made
    rows = s.statistics()
    assert [r.block for r in rows] == [1, 2]
    short = pf.ReLUNetwork([net.weights[0], np.ones((1, 10))], [net.biases[0], np.zeros(1)])
    first = pf.slice_complex(short, s.origin, s.directions, domain=pf.Box(-1, 1, dimension=2), method="walk")
    assert rows[0].regions == first.n_regions
    assert rows[1].regions == s.n_regions
    lone = first.statistics()[0]
    for key in ("area_mean", "area_median", "area_least", "area_largest", "eccentricity_mean"):
        assert getattr(rows[0], key) == pytest.approx(getattr(lone, key), rel=1e-6)


def test_areas_in_the_space_of_inputs(made: tuple[pf.ReLUNetwork, pf.PlanarSlice]) -> None:
    _, s = made
    gram = s.directions @ s.directions.T
    assert areas(s).sum() == pytest.approx(4 * np.sqrt(np.linalg.det(gram)))
    assert (areas(s) > 0).all()


def test_round_and_long_regions() -> None:
    net = pf.ReLUNetwork([np.array([[1.0, 0.0]]), np.ones((1, 1))], [np.array([0.5]), np.zeros(1)])
    s = pf.slice_complex(net, np.zeros(2), np.eye(2), domain=pf.Box(-1, 1, dimension=2), method="walk")
    (row,) = s.statistics()
    # rectangles of 0.5 x 2 and 1.5 x 2
    expected = np.mean([np.sqrt(1 - (0.5 / 2) ** 2), np.sqrt(1 - (1.5 / 2) ** 2)])
    assert row.eccentricity_mean == pytest.approx(expected)
    assert (row.area_least, row.area_largest) == pytest.approx((1.0, 3.0))


def test_regions_in_a_ball(made: tuple[pf.ReLUNetwork, pf.PlanarSlice]) -> None:
    _, s = made
    center = np.array([0.2, -0.1])
    rng = np.random.default_rng(0)
    t = rng.uniform(-1, 1, (20_000, 2))
    distance = np.linalg.norm((t - center) @ s.directions, axis=1)
    radius = 0.6
    sampled = set(s.locate(t[distance < radius]).tolist()) - {-1}
    found = set(regions_in_ball(s, center, radius).tolist())
    assert sampled <= found
    assert len(found) <= len(sampled) + 0.3 * len(found)
    assert s.statistics(center=center, radius=radius)[-1].in_ball == len(found)
    assert regions_in_ball(s, center, 0.0).tolist() == s.locate(center[None]).tolist()
    with pytest.raises(pf.errors.InputError, match="radius"):
        s.statistics(radius=-1.0)
    with pytest.raises(pf.errors.InputError, match="center"):
        s.statistics(center=[1.0], radius=1.0)
