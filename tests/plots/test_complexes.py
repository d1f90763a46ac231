"""Pictures of complexes of any number of inputs: what is drawn is counted, and comes from the network."""

from __future__ import annotations

import io

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.errors import InputError

mpl = pytest.importorskip("matplotlib.figure")


def axes():
    return mpl.Figure().add_subplot()


def test_a_graph_is_the_function() -> None:
    cx = pf.canonical_complex(pf.ReLUNetwork.random((1, 6, 5, 2), rng=0))
    ax = cx.plot(axes())
    for o, curve in enumerate(ax.lines):
        x, y = curve.get_data()
        assert np.allclose(cx.network(x[:, None])[:, o], y)
        middle = (x[1:] + x[:-1]) / 2
        assert np.allclose(cx.network(middle[:, None])[:, o], (y[1:] + y[:-1]) / 2)
    assert ax.get_title().startswith(f"{cx.n_regions} regions")
    with pytest.raises(InputError, match="graph"):
        cx.plot(axes(), color_by="class")


@pytest.mark.parametrize("n0", [2, 3, 5])
def test_what_is_unbounded_is_drawn_in_a_window(n0: int) -> None:
    net = pf.ReLUNetwork.random((n0, 6, 3), rng=1)
    names = [f"x{k}" for k in range(n0)]
    ax = pf.canonical_complex(net).plot(axes(), color_by="class", names=names, **({"inputs": (0, 2)} if n0 > 2 else {}))
    assert "regions" in ax.get_title()
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x0", "x2" if n0 > 2 else "x1")
    assert ("where" in ax.get_title()) == (n0 > 2)


def test_data_inside_the_window_is_drawn() -> None:
    cx = pf.canonical_complex(pf.ReLUNetwork.random((2, 4, 2), rng=0), pf.Box([-1, -1], [1, 1]))
    ax = cx.plot(axes(), points=[[0, 0], [0.5, 0.5], [9, 9]], labels=[0, 1, 1])
    drawn = [line for line in ax.lines if (line.get_gid() or "").startswith("points")]
    assert [len(line.get_xdata()) for line in drawn] == [1, 1]
    with pytest.raises(InputError, match="labels"):
        cx.plot(axes(), points=[[0, 0]], labels=[0.5])
    with pytest.raises(InputError, match="points"):
        cx.plot(axes(), points=[[0, 0, 0]])


def test_the_graph_of_neighbours() -> None:
    from polyfiber.plots import plot_dual_graph

    cx = pf.canonical_complex(pf.ReLUNetwork.random((2, 5, 4, 1), rng=0), pf.Box([-2, -2], [2, 2]))
    ax = plot_dual_graph(cx, ax=axes())
    edges = cx.dual_graph.to_networkx().number_of_edges()
    assert ax.get_title() == f"{cx.n_regions} regions, {edges} pairs of neighbours"


def test_slices_and_vectors() -> None:
    net = pf.ReLUNetwork.random((4, 6, 2), rng=0)
    cut = pf.slice_complex(net, np.zeros(4), np.eye(4)[:2], domain=pf.Box([-1, -1], [1, 1]))
    ax = cut.plot(axes())
    assert f"{cut.n_regions} region" in ax.get_title()
    assert "R^4" in ax.get_title()
    stream = io.StringIO()
    ax.figure.savefig(stream, format="svg")
    assert 'id="walls-layer-1"' in stream.getvalue()
    with pytest.raises(InputError, match="one or two"):
        pf.slice_complex(net, np.zeros(4), np.eye(4)[:3]).plot(axes())


def test_breakpoints_draw_themselves() -> None:
    cx = pf.canonical_complex(pf.ReLUNetwork.random((2, 5, 1), rng=0), pf.Box([-2, -2], [2, 2]))
    bp = cx.breakpoint_complex()
    assert bp.plot(axes()).get_title().startswith(f"{len(bp.facets)} facets")
