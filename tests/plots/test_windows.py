"""Windows: what of a complex a picture shows."""

from __future__ import annotations

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.errors import InputError, ShapeError
from polyfiber.plots.windows import around, plane_window, window_of


def test_a_bounded_complex_is_its_own_window() -> None:
    cx = pf.canonical_complex(pf.ReLUNetwork.random((2, 4, 1), rng=0), pf.Box([-1, -1], [1, 1]))
    assert window_of(cx).complex is cx


@pytest.mark.parametrize("n0", [1, 2, 3, 4])
def test_windows_are_bounded_and_of_the_network(n0: int) -> None:
    net = pf.ReLUNetwork.random((n0, 5, 2), rng=n0)
    shown = window_of(pf.canonical_complex(net))
    d = min(n0, 2)
    assert shown.complex.dimension == d
    assert not shown.complex.is_unbounded(d).any()
    t = shown.complex.interior_points()
    assert np.allclose(shown.complex.network(t), net(shown.origin + t @ shown.directions))


def test_flat_and_wrong() -> None:
    net = pf.ReLUNetwork.random((2, 4, 1), rng=0)
    with pytest.raises(InputError, match="flat"):
        window_of(pf.canonical_complex(net, pf.Box([0, 0], [1, 0])))
    deep = pf.ReLUNetwork.random((3, 4, 1), rng=0)
    for axes in ((0, 0), (0, 3), (0,), "ab"):
        with pytest.raises(InputError, match="axes"):
            plane_window(deep, axes=axes)
    with pytest.raises(ShapeError, match="origin"):
        plane_window(deep, origin=[0, 0])
    with pytest.raises(InputError, match="names"):
        plane_window(deep, names=["a"])


def test_boxes_around_points() -> None:
    assert around(np.zeros((0, 2))).lo.tolist() == [-1, -1]
    assert around(np.array([[np.inf, 0.0], [1.0, 2.0]])).lo.tolist() == [0, 1]
