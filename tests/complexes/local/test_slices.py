"""Slices agree with the full complex and with exact evaluation."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.complexes.local.slices import restricted_network
from polyfiber.errors import InputError, ShapeError

NETS = [(2, 8, 8, 1), (3, 6, 6, 2), (4, 5, 3, 4, 1), (5, 3, 6, 1)]


@pytest.mark.parametrize("shape", NETS, ids=str)
def test_slice_regions_are_regions_of_the_complex(shape: tuple[int, ...]) -> None:
    net = pf.ReLUNetwork.random(shape, rng=3)
    rng = np.random.default_rng(3)
    cx = pf.canonical_complex(net)
    known = {r.tobytes() for r in cx.signs(cx.dimension)}
    for k in range(1, min(3, shape[0] - 1) + 1):
        origin, directions = rng.standard_normal(shape[0]), rng.standard_normal((k, shape[0]))
        s = pf.slice_complex(net, origin, directions, domain=pf.Box(-3, 3, dimension=k))
        d = s.complex.dimension
        found = {r.tobytes() for r in s.complex.signs(d)[:, : net.n_hidden]}
        assert found <= known
        # every region that random points of the slice meet is there
        t = rng.uniform(-3, 3, (2000, k))
        z = np.concatenate(net.preactivations(s.points(t))[:-1], axis=1)
        assert {r.tobytes() for r in np.sign(z).astype(np.int8)} <= found
        assert s.complex.euler_characteristic == 1


def test_slice_through_all_inputs_is_the_complex() -> None:
    net = pf.ReLUNetwork.random((3, 5, 5, 1), rng=0)
    s = pf.slice_complex(net, np.zeros(3), np.eye(3))
    assert s.is_exact
    assert s.rounding == 0
    assert s.f_vector == pf.canonical_complex(net).f_vector
    assert np.allclose(s.vertices, s.complex.vertices)


def test_rounding_of_a_restriction_is_bounded() -> None:
    net = pf.ReLUNetwork.random((6, 5, 4, 1), rng=0)
    rng = np.random.default_rng(1)
    origin, directions = rng.standard_normal(6), rng.standard_normal((2, 6))
    rounded, exact, error = restricted_network(net, origin, directions, arithmetic="rounded")
    kept, is_exact, none = restricted_network(net, origin, directions, arithmetic="exact")
    assert not exact
    assert 0 < error < 1e-14
    assert is_exact
    assert none == 0
    difference = kept.weights[0] - rounded.exact().weights[0]
    assert max(abs(v) for v in difference.ravel()) <= Fraction(error)
    box = pf.Box(-1, 1, dimension=2)
    a = pf.slice_complex(net, origin, directions, domain=box, arithmetic="rounded")
    b = pf.slice_complex(net, origin, directions, domain=box)
    assert b.is_exact
    assert a.f_vector == b.f_vector


ROWS = [[1, 1], [3, 3], [7, 7], [1, -1]]  # three walls are one
COINCIDE = pf.ReLUNetwork([ROWS, [[1] * 4]], [[0] * 4, [0]])


@pytest.mark.parametrize("directions", [[[0.1, 0], [0, 0.3]], [[5e-324, 0], [0, 5e-324]], [[1e-310, 0], [0, 1e300]]])
def test_walls_that_coincide_on_the_slice_stay_one(directions: list[list[float]]) -> None:
    """Rounded products of the rows with the directions are no multiples of each other: 8 regions instead of 4."""
    s = pf.slice_complex(COINCIDE, [0, 0], directions)
    assert s.is_exact
    assert s.f_vector == (1, 4, 4)
    assert s.complex.certificate.verify().verdict is pf.Verdict.YES


def test_ways_to_slice_agree_where_walls_coincide() -> None:
    box, D = pf.Box(-1, 1, dimension=2), [[0.1, 0], [0, 0.3]]
    walked = pf.slice_complex(COINCIDE, [0, 0], D, domain=box, method="walk")
    built = pf.slice_complex(COINCIDE, [0, 0], D, domain=box, method="complex")
    gates = pf.slice_complex(pf.PiecewiseLinearNetwork.from_chain(COINCIDE), [0, 0], D, domain=box, method="complex")
    assert gates.is_exact
    assert gates.f_vector == built.f_vector == walked.f_vector == (9, 12, 4)


def test_slices_refuse_what_spans_nothing() -> None:
    net = pf.ReLUNetwork.random((3, 4, 1), rng=0)
    with pytest.raises(InputError, match="dependent"):
        pf.slice_complex(net, np.zeros(3), [[1, 2, 3], [2, 4, 6]])
    with pytest.raises(ShapeError):
        pf.slice_complex(net, np.zeros(2), [[1, 2, 3]])
    with pytest.raises(InputError, match="arithmetic"):
        pf.slice_complex(net, np.zeros(3), [[1, 2, 3]], arithmetic="fast")


def test_a_domain_of_another_dimension_is_told_from_the_slice() -> None:
    net = pf.ReLUNetwork.random((3, 4, 1), rng=0)
    with pytest.raises(pf.errors.ShapeError, match="2 coordinates and the slice 1 direction;"):
        pf.slice_complex(net, [0, 0, 0], [[1, 0, 0]], domain=pf.Box([-1, -1], [1, 1]))
