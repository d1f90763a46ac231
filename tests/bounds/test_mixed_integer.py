"""Maxima by mixed-integer programs are those at the vertices of the complex."""

from __future__ import annotations

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.bounds.mixed_integer import milp_maximum
from polyfiber.errors import InputError


@pytest.mark.parametrize("widths", [(2, 6, 1), (2, 5, 4, 2), (3, 4, 3, 1)])
def test_maxima_are_those_of_the_complex(widths: tuple[int, ...]) -> None:
    for seed in range(3):
        net = pf.ReLUNetwork.random(widths, rng=seed)
        box = pf.Box(-1, 1, dimension=widths[0])
        values = net(pf.canonical_complex(net, box).vertices)
        for output in range(widths[-1]):
            value, bound, x, status = milp_maximum(net, box.lo, box.hi, output=output)
            assert status == "optimal"
            assert x is not None
            assert value == pytest.approx(values[:, output].max(), rel=1e-5, abs=1e-6)
            assert bound >= values[:, output].max() - 1e-6
            assert net(x)[output] == value
            assert ((box.lo <= x) & (x <= box.hi)).all()


def test_dead_and_constant_neurons_have_no_switch() -> None:
    net = pf.ReLUNetwork([[[1.0, 0.0], [0.0, 0.0], [0.0, 1.0]], [[1.0, 1.0, -1.0]]], [[-9.0, 2.0, 9.0], [0.5]])
    value, bound, x, status = milp_maximum(net, np.full(2, -1.0), np.ones(2), output=0)
    assert status == "optimal"
    assert x is not None
    assert value == pytest.approx(0.0 + 2.0 - 8.0 + 0.5)
    assert bound == pytest.approx(value)


def test_no_time_leaves_the_bound_of_the_relaxation() -> None:
    net = pf.ReLUNetwork.random((6, 40, 40, 1), rng=0)
    value, bound, _, status = milp_maximum(net, np.full(6, -1.0), np.ones(6), output=0, seconds=0.0)
    X = np.random.default_rng(0).uniform(-1, 1, (2000, 6))
    assert status != "optimal"
    assert value <= bound
    assert net(X).max() <= bound


def test_other_domains_than_boxes_are_refused() -> None:
    f, g = (pf.ReLUNetwork.random((2, 4, 1), rng=k) for k in range(2))
    triangle = pf.Polyhedron([[-1, 0], [0, -1], [1, 1]], [0, 0, 1])
    with pytest.raises(InputError, match="needs a Box"):
        pf.difference(f, g, triangle, method="milp")
    with pytest.raises(InputError, match="needs a Box"):
        pf.difference(f, g, method="milp")
