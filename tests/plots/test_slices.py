"""Pictures of slices."""

from __future__ import annotations

import numpy as np
import pytest

import polyfiber as pf


@pytest.mark.parametrize("color_by", ["class", "value", "slope", "area"])
def test_what_is_drawn(color_by: str) -> None:
    figure = pytest.importorskip("matplotlib.figure").Figure()
    net = pf.ReLUNetwork.random((5, 8, 8, 3), rng=0)
    s = pf.slice_through(net, [0] * 5, [2, 0, 0, 0, 0], [0, 2, 0, 0, 0])
    ax = s.plot(ax=figure.add_subplot(), color_by=color_by)
    named = {c.get_gid(): c for c in ax.collections if c.get_gid()}
    walls = sum(len(named[f"walls-block-{b}"].get_segments()) for b in (1, 2) if f"walls-block-{b}" in named)
    assert walls == int((~s.border).sum())
    low, high = ax.get_xlim()
    assert (low, high) == pytest.approx((0.0, 2.0))
    if color_by == "class":
        drawn = sum(len(c.get_paths()) for c in ax.collections if not c.get_gid())
        assert drawn >= s.n_regions
        assert len(named["decision-boundary"].get_segments()) == len(s.decision_boundary())


def test_slopes_are_gradients() -> None:
    from polyfiber.plots.slices import _numbers

    net = pf.ReLUNetwork.random((5, 8, 8, 3), rng=1)
    s = pf.slice_through(net, [0] * 5, [1, 1, 0, 0, 0], [0, 1, 1, 0, 0])
    A, _, _ = s.affine_maps(np.arange(s.n_regions))
    gram = np.linalg.inv(s.directions @ s.directions.T)
    expected = np.sqrt(np.einsum("ri,ij,rj->r", A[:, 0], gram, A[:, 0]))
    np.testing.assert_allclose(_numbers(s, "slope", 0)[0], expected, rtol=1e-4, atol=1e-6)


def test_lines_are_not_drawn() -> None:
    s = pf.slice_through(pf.ReLUNetwork.random((3, 4, 2), rng=0), [0] * 3, [1] * 3)
    with pytest.raises(pf.errors.InputError, match="plane"):
        s.plot()
