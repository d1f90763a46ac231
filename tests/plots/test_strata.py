"""Pictures of strata: what is drawn, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.errors import InputError

mpl = pytest.importorskip("matplotlib.figure")


def axes():
    return mpl.Figure().add_subplot()


def test_dag_has_a_node_per_stratum_and_a_line_per_cover() -> None:
    from polyfiber.plots.strata import plot_dag

    st = pf.linear.stratify((2, 2, 2, 2), rank=1)
    ax = axes()
    assert plot_dag(st, ax=ax) is ax
    assert len(ax.texts) == len(st)
    assert len(ax.lines) == st.strata.n_covers
    assert len({tuple(t.get_position()) for t in ax.texts}) == len(st)
    dots = axes()
    plot_dag(st, ax=dots, labels=False)
    assert len(dots.lines) == st.strata.n_covers + len(st)
    plot_dag(pf.linear.stratify((2, 2), rank=1), ax=axes())
    with pytest.raises(InputError, match="no readable picture"):
        plot_dag(st, ax=axes(), limit=3)


def test_table_reads_like_figure_4() -> None:
    from polyfiber.plots.strata import plot_table

    ax = axes()
    plot_table(pf.linear.stratify((4, 6, 5), rank=1), ax=ax)
    cells = {t.get_position(): t.get_text() for t in ax.texts if t.get_text()}
    assert len(cells) == 17
    assert cells[4, 3] == "35, 35, 0"
    with pytest.raises(InputError, match="two layers"):
        plot_table(pf.linear.stratify((2, 2, 2, 2), rank=1), ax=axes())


def test_flow_diagram_has_a_box_per_interval_and_layer() -> None:
    from polyfiber.plots.strata import plot_flow

    st = pf.linear.stratify((3, 4, 3, 2), rank=1)
    for s in (st[0], st[len(st) - 1]):
        ax = axes()
        plot_flow(s, ax=ax)
        numbers = [int(t.get_text()) for t in ax.texts if t.get_text().isdigit()]
        assert sum(numbers) == sum(s.widths)
        other = axes()
        plot_flow(pf.linear.sample_barcode(s, rng=0), ax=other)
        assert [t.get_text() for t in other.texts] == [t.get_text() for t in ax.texts]


def test_effective_ranks() -> None:
    from polyfiber.plots.strata import plot_effective_ranks

    ax = axes()
    plot_effective_ranks([0, 1, 2], np.array([[1, 0], [1, 1], [2, 1]]), names=["W1", "W2"], ax=ax)
    assert len(ax.lines) == 2
    with pytest.raises(InputError, match="expected"):
        plot_effective_ranks([0, 1], np.zeros((3, 2)), ax=axes())


def test_pictures_say_what_their_colours_mean_and_fit() -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from polyfiber.plots import style
    from polyfiber.plots.strata import plot_dag, plot_flow, plot_table

    assert min(style.contrast(c, "#ffffff") for c in style.LINES) >= 4.5
    one = pf.linear.stratify((1, 1, 1, 1), rank=1)
    for draw, of in (
        (plot_dag, one), (plot_dag, pf.linear.stratify((2, 2, 2, 2), rank=1)),
        (plot_table, pf.linear.stratify((2, 1, 1), rank=0)), (plot_flow, one[0]),
    ):  # fmt: skip
        ax = draw(of)
        figure = ax.figure
        figure.canvas.draw()
        page = figure.bbox
        assert ax.get_legend() is not None
        for part in (ax.title, ax.get_legend()):
            seen = part.get_window_extent()
            assert seen.x0 >= page.x0 - 1
            assert seen.x1 <= page.x1 + 1
            assert seen.y0 >= page.y0 - 1
            assert seen.y1 <= page.y1 + 1
        plt.close(figure)
    assert "1 stratum" in plot_dag(one, ax=axes()).get_title()
