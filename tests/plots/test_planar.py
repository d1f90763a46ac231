"""Pictures in the plane: what is drawn is what the complex says, and lines stand out from their ground."""

from __future__ import annotations

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.errors import InputError

mpl = pytest.importorskip("matplotlib.figure")


def axes():
    return mpl.Figure().add_subplot()


@pytest.fixture(scope="module")
def cx() -> pf.PolyhedralComplex:
    return pf.canonical_complex(pf.ReLUNetwork.random((2, 6, 5, 3), rng=0), pf.Box([-2, -2], [2, 2]))


def test_regions_are_their_polygons(cx: pf.PolyhedralComplex) -> None:
    from polyfiber.plots.planar import polygons

    area = 0.0
    for shape in polygons(cx):
        x, y = shape.T
        area += abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2
    assert area == pytest.approx(16.0)


@pytest.mark.parametrize("color_by", ["value", "slope", "class"])
def test_every_region_is_drawn_and_counted(cx: pf.PolyhedralComplex, color_by: str) -> None:
    ax = cx.plot(axes(), color_by=color_by)
    assert ax.get_title().startswith(f"{cx.n_regions} regions")
    assert ax.get_xlim() == (-2, 2)
    assert ax.get_legend() is not None


def test_the_boundary_is_exact(cx: pf.PolyhedralComplex) -> None:
    ax = cx.plot(axes(), color_by="class")
    boundary = next(c for c in ax.collections if c.get_gid() == "set")
    ends = np.concatenate(boundary.get_segments())
    values = np.sort(cx.network(ends), axis=1)
    assert np.allclose(values[:, -1], values[:, -2])


def test_lines_stand_out_from_every_ground() -> None:
    from polyfiber.plots import style

    grounds = [*style.CLASSES, *style.ground()(np.linspace(0, 1, 16))]
    for line in (*style.WALLS, style.BOUNDARY):
        assert min(style.contrast(line, g) for g in grounds) >= 3.0


def test_sets_and_breakpoints(cx: pf.PolyhedralComplex) -> None:
    from polyfiber.plots import plot_breakpoints

    curve = cx.level_set(0.2)
    assert f"{curve.f_vector[1]} edges" in curve.plot(axes()).get_title()
    whole = pf.canonical_complex(cx.network)
    assert whole.level_set(0.2).plot(axes()).get_title()
    assert plot_breakpoints(cx.breakpoint_complex(), ax=axes()).get_title().endswith("weights of output 0")


def test_the_title_counts_facets_of_walls() -> None:
    """Sides of the box are no walls."""
    for widths, outputs in (((2, 6, 4, 1), 1), ((2, 6, 4, 2), 2)):
        cx = pf.canonical_complex(pf.ReLUNetwork.random(widths, rng=3), pf.Box(-2, 2, dimension=2))
        bp = cx.breakpoint_complex()
        walls = int((cx.signs(1)[:, : cx.network.n_hidden] == 0).any(axis=1).sum())
        title = bp.plot(axes()).get_title()
        assert title.startswith(f"{len(bp.facets)} facets where ")
        assert f"bends, of {walls} in walls" in title
        assert walls < cx.f_vector[1]
        assert ("weights of output 0" in title) == (outputs > 1)


def test_what_cannot_be_drawn(cx: pf.PolyhedralComplex) -> None:
    from polyfiber.plots import plot_regions

    with pytest.raises(InputError, match="unbounded"):
        plot_regions(pf.canonical_complex(cx.network), ax=axes())
    with pytest.raises(InputError, match="color_by"):
        cx.plot(axes(), color_by="taste")
    with pytest.raises(InputError, match="output 3"):
        cx.plot(axes(), output=3)
    with pytest.raises(InputError, match="plane"):
        pf.canonical_complex(pf.ReLUNetwork.random((3, 4, 1), rng=0)).level_set().plot(axes())
