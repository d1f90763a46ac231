"""Pictures of fibers and geodesics."""

from __future__ import annotations

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.errors import InputError
from polyfiber.plots import plot_translation

mpl = pytest.importorskip("matplotlib.figure")


def axes():
    return mpl.Figure().add_subplot()


def test_a_hidden_hyperplane_moves() -> None:
    from polyfiber.fibers.examples import hiding_example

    report = pf.classify_fiber(hiding_example((2, 2, 1, 2), rng=0))
    assert report.kind == "hiding"
    ax = plot_translation(report, ax=axes())
    assert ax.get_title().startswith("4 networks, one function")
    moved = [c for c in ax.collections if (c.get_gid() or "").startswith("shift")]
    places = [np.concatenate(c.get_segments()).mean(axis=0) for c in moved if len(c.get_segments())]
    assert len({tuple(p.round(6)) for p in places}) == len(places) > 1
    with pytest.raises(InputError, match="hidden"):
        plot_translation(pf.classify_fiber(pf.ReLUNetwork.random((2, 2, 2), rng=0)), ax=axes())


@pytest.mark.parametrize("seed", range(8))
def test_every_place_of_the_hyperplane_is_seen(seed: int) -> None:
    report = pf.classify_fiber(pf.fibers.hiding_example((2, 2, 1, 1), hidden=0, rng=seed))
    ax = plot_translation(report, ax=axes())
    shifts = [c for c in ax.collections if (c.get_gid() or "").startswith("shift")]
    size = np.hypot(np.ptp(ax.get_xlim()), np.ptp(ax.get_ylim()))
    lengths = [sum(float(np.linalg.norm(np.diff(s, axis=0))) for s in c.get_segments()) for c in shifts]
    assert len(lengths) == 4
    assert min(lengths) > 0.05 * size


def test_a_geodesic_is_its_singular_values() -> None:
    path = pf.dln.geodesic(np.diag([1.0, 2.0]), np.diag([3.0, 1.0]), 2)
    ax = path.plot(axes())
    t, y = ax.lines[0].get_data()
    assert y[0] == pytest.approx(2.0)
    assert np.linalg.svd(path(t[30]), compute_uv=False)[0] == pytest.approx(y[30])
    assert "2 singular values" in ax.get_title()


def test_strata_draw_themselves() -> None:
    st = pf.linear.stratify((2, 2, 2), rank=1)
    assert f"{len(st)} strata" in st.plot(axes()).get_title()
    assert st[0].plot(axes()).get_title()
