"""The level set of a slice is the slice of the level set; slices of large networks have level sets and decision boundaries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import polyfiber as pf

DATA = Path(__file__).parents[4] / "data"


def cut_by_plane(mesh: Any, origin: Any, normal: Any) -> tuple[int, float]:
    """Number and total length of the segments in which a plane in general position meets polygons."""
    side = (mesh.points - origin) @ normal
    count, length = 0, 0.0
    for i in range(mesh.n_polygons):
        corners = mesh.polygon(i)
        ends = []
        for a, b in zip(corners, np.roll(corners, -1)):
            if side[a] * side[b] < 0:
                ends.append(mesh.points[a] + side[a] / (side[a] - side[b]) * (mesh.points[b] - mesh.points[a]))
        if ends:
            assert len(ends) == 2
            count, length = count + 1, length + float(np.linalg.norm(ends[0] - ends[1]))
    return count, length


@pytest.mark.parametrize("seed", range(3))
def test_slicing_and_taking_a_level_set_commute(seed: int) -> None:
    net = pf.ReLUNetwork.random((3, 6, 5, 1), rng=seed)
    value = float(np.median(net(np.random.default_rng(0).uniform(-1, 1, (400, 3)))))
    origin, frame = np.array([0.1, -0.2, 0.3]), np.linalg.qr(np.random.default_rng(seed).standard_normal((3, 3)))[0]
    box = pf.Box([-0.5, -0.5], [0.5, 0.5])
    sliced = pf.slice_complex(net, origin, frame[:2], domain=box).complex.level_set(value)
    sides = np.concatenate([frame[:2], -frame[:2]])
    slab = pf.Polyhedron(
        np.concatenate([sides, frame[2:], -frame[2:]]),
        np.concatenate([0.5 + sides @ origin, [1 + frame[2] @ origin, 1 - frame[2] @ origin]]),
    )
    surface = pf.canonical_complex(net, slab).level_set(value)
    assert sliced.dimension == 1
    count, length = cut_by_plane(surface.mesh(), origin, frame[2])
    assert count == sliced.f_vector[1]
    assert length == pytest.approx(float(sliced.sizes().sum()), rel=1e-6)


@pytest.mark.parametrize("name", ["digits_bottleneck", "digits_cnn"])
def test_slices_of_large_networks(name: str) -> None:
    net: Any = pf.read_network(DATA / f"{name}.onnx")
    n0 = net.architecture[0] if hasattr(net, "architecture") else net.n_inputs
    points = np.random.default_rng(1).uniform(0, 1, (3, n0))
    found = pf.slice_through(net, *points)
    middle = float(np.median(found.values[:, 0]))
    level = found.level_set(middle)
    assert len(level) > 0
    assert np.allclose(net(level.inputs.reshape(-1, n0))[:, 0], middle, atol=1e-6)
    border = found.decision_boundary()
    values = np.sort(net(border.inputs.reshape(-1, n0)), axis=1)
    assert np.allclose(values[:, -1], values[:, -2], atol=1e-6)


def test_walking_and_enumerating_give_one_level_set() -> None:
    net = pf.ReLUNetwork.random((20, 12, 8, 1), rng=3)
    points = np.random.default_rng(2).standard_normal((3, 20))
    walked = pf.slice_through(net, *points)
    triangle = pf.Polyhedron([[-1.0, 0.0], [0.0, -1.0], [1.0, 1.0]], [0.0, 0.0, 1.0])
    whole = pf.slice_complex(net, points[0], points[1:] - points[0], domain=triangle, method="complex")
    middle = float(np.median(walked.values[:, 0]))
    one, two = walked.level_set(middle), whole.complex.level_set(middle)
    assert len(one) == two.f_vector[1]
    assert float(np.linalg.norm(one.ends[:, 0] - one.ends[:, 1], axis=1).sum()) == pytest.approx(
        float(two.sizes().sum()), rel=1e-6
    )
