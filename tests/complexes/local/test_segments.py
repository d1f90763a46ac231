"""Segments agree with slices, with exact evaluation and with each other."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings

import polyfiber as pf
from polyfiber.errors import InputError, ShapeError
from polyfiber.testing.strategies import integer_networks

NETS = [(2, 8, 8, 1), (3, 6, 6, 2), (4, 5, 3, 4, 1), (5, 3, 6, 1)]


@pytest.mark.parametrize("shape", NETS, ids=str)
def test_segment_agrees_with_the_one_dimensional_slice(shape: tuple[int, ...]) -> None:
    for seed in range(4):
        net = pf.ReLUNetwork.random(shape, rng=seed)
        x0, x1 = np.random.default_rng(seed).standard_normal((2, shape[0])) * 3
        s = pf.segment_regions(net, x0, x1)
        cut = pf.slice_complex(net, x0, [x1 - x0], domain=pf.Box(0, 1, dimension=1))
        assert s.n_regions == cut.n_regions == s.n_distinct
        d = cut.complex.dimension
        assert {r.tobytes() for r in s.signs} == {r.tobytes() for r in cut.complex.signs(d)[:, : net.n_hidden]}
        assert np.allclose(np.sort(cut.complex.vertices[:, 0]), np.r_[0, s.t, 1], atol=1e-9)
        assert np.allclose(np.diff(s.values, axis=0), s.slopes * np.diff(np.r_[0, s.t, 1])[:, None], atol=1e-9)
        back = pf.segment_regions(net, x1, x0)
        assert (back.signs[::-1] == s.signs).all()


@settings(max_examples=40, deadline=None)
@given(integer_networks(max_inputs=3, max_width=4, max_depth=3))
def test_segments_of_integer_networks_are_exact(net: pf.ReLUNetwork) -> None:
    n0 = net.architecture[0]
    x0, x1 = np.arange(n0) - 2.0, 2.0 - np.arange(n0) * 0.5
    s = pf.segment_regions(net, x0, x1)
    assert (np.diff(s.t) > 0).all()
    ends = [Fraction(0), *map(Fraction, s.t), Fraction(1)]
    exact = net.exact()
    for p, q, row in zip(ends[:-1], ends[1:], s.signs):
        t = (p + q) / 2
        x = np.array([Fraction(a) + t * (Fraction(b) - Fraction(a)) for a, b in zip(x0, x1)], dtype=object)
        z = np.concatenate(exact.preactivations(x)[:-1])
        assert [(v > 0) - (v < 0) for v in z] == row.tolist()
    for before, after, who in zip(s.signs[:-1], s.signs[1:], s.neurons):
        assert np.flatnonzero(before != after).tolist() == list(who)


def test_segment_through_a_vertex_of_many_walls() -> None:
    rows = [[1, 0], [0, 1], [1, 1], [1, -1]]
    net = pf.ReLUNetwork([rows, [[1.0] * 4]], [[0.0] * 4, [0.0]])
    s = pf.segment_regions(net, [-1.0, -2.0], [1.0, 2.0])
    assert s.t.tolist() == [0.5]
    assert s.neurons == ((0, 1, 2, 3),)
    along = pf.segment_regions(net, [0.0, -1.0], [0.0, 1.0])
    assert along.signs[:, 0].tolist() == [0, 0]
    assert along.exact_events > 0


def test_paths() -> None:
    net = pf.ReLUNetwork.random((3, 8, 8, 1), rng=1)
    corners = np.random.default_rng(1).standard_normal((4, 3)) * 2
    path = pf.path_regions(net, corners)
    assert path.n_regions == len(path.signs)
    assert (np.diff(path.signs, axis=0) != 0).any(axis=1).all()
    assert path.n_regions == sum(s.n_regions for s in path.segments) - 2
    with pytest.raises(ShapeError):
        pf.path_regions(net, corners[:1])
    with pytest.raises(InputError, match="differ"):
        pf.segment_regions(net, corners[0], corners[0])


def test_explore_follows_a_segment() -> None:
    """The regions of a segment are among those explored to exhaustion."""
    net = pf.ReLUNetwork.random((2, 7, 7, 1), rng=4)
    found = pf.explore(net, [0.0, 0.0])
    s = pf.segment_regions(net, [-5.0, 2.0], [6.0, -1.0])
    assert {r.tobytes() for r in s.signs} <= {r.tobytes() for r in found.signs}
