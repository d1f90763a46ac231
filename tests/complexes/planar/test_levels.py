"""Level sets and decision boundaries of slices against values at many points."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import polyfiber as pf

DATA = Path(__file__).resolve().parents[3] / "data"


@pytest.fixture(scope="module")
def petals() -> pf.PlanarSlice:
    net = pf.read_network(DATA / "iris_petals_leaky.onnx")
    return pf.slice_complex(net, [0.0, 0.0], np.eye(2), domain=pf.Box([0, 0], [8, 4]), method="walk")


def test_boundary_points_tie(petals: pf.PlanarSlice) -> None:
    found = petals.decision_boundary()
    assert len(found)
    middles = found.ends.mean(axis=1)
    values = petals.network(petals.points(middles))
    first, second = (np.take_along_axis(values, found.labels[:, [k]], 1)[:, 0] for k in range(2))
    np.testing.assert_allclose(first, second, atol=1e-8)
    assert (values.max(axis=1) - first < 1e-8).all()


def test_classes_change_only_at_the_boundary(petals: pf.PlanarSlice) -> None:
    """On lines across the picture, the class changes as often as the boundary is crossed."""
    found = petals.decision_boundary()
    for y in np.linspace(0.111, 3.9, 23):
        x = np.linspace(0, 8, 4001)
        classes = petals.network(np.stack([x, np.full_like(x, y)], axis=1)).argmax(axis=1)
        low, high = found.ends[:, :, 1].min(axis=1), found.ends[:, :, 1].max(axis=1)
        assert int((low < y).astype(int) @ (high >= y).astype(int)) == int((np.diff(classes) != 0).sum())


def test_level_set_against_values(petals: pf.PlanarSlice) -> None:
    value = float(np.median(petals.values[:, 1]))
    found = petals.level_set(value, output=1)
    assert len(found)
    np.testing.assert_allclose(petals.network(found.inputs.reshape(-1, 2))[:, 1], value, atol=1e-8)
    assert found.length > 0
    assert len(petals.level_set(1e6, output=1)) == 0


def test_signs_at_vertices_are_exact() -> None:
    """``|x| + |y| - 1`` on a box: the level 0 runs through vertices, which floats alone might not see."""
    W = np.array([[1.0, 0.0], [0.0, 1.0]])
    net = pf.PiecewiseLinearNetwork(
        2, [pf.GateBlock({0: W}, np.zeros(2), slopes=(-1.0, 1.0))], pf.AffineMap({1: np.ones((1, 2))}, [-1.0])
    )
    s = pf.slice_complex(net, np.zeros(2), np.eye(2), domain=pf.Box(-1, 1, dimension=2), method="walk")
    assert s.f_vector == (9, 12, 4)
    signs = s.output_signs([1.0])
    at = {tuple(np.round(p, 6)): int(v) for p, v in zip(s.coordinates, signs)}
    assert at[(0.0, 0.0)] == -1
    assert [at[p] for p in ((1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (0.0, -1.0))] == [0, 0, 0, 0]
    assert at[(1.0, 1.0)] == 1
    level = s.level_set(0.0)
    assert len(level) == 4
    assert level.length == pytest.approx(4 * np.sqrt(2))
    assert s.decision_boundary().length == pytest.approx(level.length)


def leaning(slopes: tuple[float, float], *outputs: float) -> pf.PlanarSlice:
    """Multiples of one gate in x on the triangle whose third corner is above the middle of the others."""
    block = pf.GateBlock({0: [[1.0, 0.0]]}, [0.0], slopes=slopes)
    net = pf.PiecewiseLinearNetwork(2, [block], pf.AffineMap({1: np.array(outputs)[:, None]}, np.zeros(len(outputs))))
    return pf.slice_through(net, [-1, -1], [1, -1], [-1, 1])


@pytest.mark.parametrize("factor", [1.0, -1.0])
def test_an_edge_of_two_regions_counts_once(factor: float) -> None:
    """``|x|`` touches 0 along the wall, from above or from below; so do two classes that tie there and nowhere else."""
    assert leaning((-1.0, 1.0), factor).level_set(0.0).length == pytest.approx(1.0)
    assert leaning((-1.0, 1.0), factor, 0.0).decision_boundary().length == pytest.approx(1.0)


def test_equal_outputs_are_one_class() -> None:
    found = leaning((0.5, 1.0), 1.0, 0.0, 1.0).decision_boundary()
    assert (found.length, found.labels.tolist()) == (pytest.approx(1.0), [[0, 1]])


def test_border_of_a_flat_part_is_its_level() -> None:
    """ReLU is 0 on a whole region: its level 0 is the wall, and no edge of the domain."""
    assert leaning((0.0, 1.0), 1.0).level_set(0.0).length == pytest.approx(1.0)


def test_ties_that_floats_lose() -> None:
    """Classes 1e57 + x and 1e57 tie at x = 0 although their floats tie everywhere; a third one is larger for x > y."""
    block = pf.GateBlock({0: [[1.0, 0.0], [0.0, 1.0]]}, [0.0, 0.0], slopes=(-1.0, 1.0))
    W, big = [[1.0, 0.0], [0.0, 0.0], [0.0, 1.0]], 1e57
    net = pf.PiecewiseLinearNetwork(2, [block], pf.AffineMap({1: W}, [big, big, big]))
    found = pf.slice_complex(net, np.zeros(2), np.eye(2), domain=pf.Box(-1, 1, dimension=2), method="walk")
    assert found.decision_boundary().length == pytest.approx(
        2 * 2 * np.sqrt(2.0)
    )  # |x| = |y|; where both are 0 all tie in one point


def test_bad_input(petals: pf.PlanarSlice) -> None:
    with pytest.raises(pf.errors.InputError, match="output 3"):
        petals.level_set(output=3)
    with pytest.raises(pf.errors.InputError, match="finite"):
        petals.level_set(float("nan"))
