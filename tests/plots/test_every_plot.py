"""Every picture of the library: counted in its title, whole, in dark lines, with names in SVG; and results without one, with the reason."""

from __future__ import annotations

import importlib
import inspect
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.plots.style import contrast

mpl = pytest.importorskip("matplotlib")

WITHOUT = {
    "an answer in words, numbers or weights": {
        "Equivalence", "Verdict", "CanonicalForm", "FeatureRelations", "Location", "Gap", "Connection", "LearningCoefficient",
        "NearestPoint", "Sharpness", "CriticalType", "ConservedQuantities", "SubmersionReport", "RankEvent", "ConjugateTest",
        "FreeEnergyMinimum", "BalancedProjection", "FrechetMean", "MatrixCompletion", "FiberLabels", "LayerwiseFiber",
        "ActivationBounds", "Exploration", "Region", "AffineMap", "HyperplaneRepresentation", "Move", "Chord",
    },
    "an input": {"Box", "Polyhedron", "Budget", "Picture", "Block", "GateBlock", "NetworkBatch", "Case", "Spec", "Window"},
    "drawn by its complex": {"ReLUNetwork", "PiecewiseLinearNetwork"},
    "matrices: points of a space of many dimensions": {
        "Metric", "SingularFrame", "TangentFrame", "PolarCoordinates", "SVDCoordinates", "FiberVariety", "WeightSpace",
    },
    "a path of matrices: `plots.plot_effective_ranks` draws its ranks": {
        "ExplicitPath", "GradientFlow", "LangevinPaths", "NetworkInterpolation", "TrainingPath",
    },
    "drawn by `plots.plot_flow`": {"Barcode"},
    "files and tables": {
        "Dataset", "Report", "Item", "Networks", "Plan", "Ragged", "RunReport", "Table", "Validation",
    },
}  # fmt: skip
PACKAGES = (
    "polyfiber",
    "polyfiber.linear",
    "polyfiber.dln",
    "polyfiber.fibers",
    "polyfiber.datasets",
    "polyfiber.plots",
    "polyfiber.testing",
)


def test_a_result_draws_itself_or_there_is_a_reason() -> None:
    listed = {name for names in WITHOUT.values() for name in names}
    seen = set()
    for package in map(importlib.import_module, PACKAGES):
        for name in package.__all__:
            value = getattr(package, name)
            if inspect.isclass(value) and not issubclass(value, BaseException):
                seen.add(name)
                assert hasattr(value, "plot") != (name in listed), name
    assert listed <= seen


def pictures() -> dict[str, Callable[[], Any]]:
    box = pf.Box([-2, -2], [2, 2])
    names = ("a long name of a feature (cm)", "another long name of a feature (cm)")

    def cx(*widths: int) -> Any:
        net = pf.ReLUNetwork.random(widths, rng=3)
        return pf.canonical_complex(net, box if widths[0] == 2 else None)

    def watched() -> Any:
        look = pf.watch(pf.ReLUNetwork.random((2, 3, 1), rng=0))
        look(), look()
        return look.plot()

    strata = pf.linear.stratify((2, 3, 2), rank=1)
    digits = pf.read_network(Path(__file__).parents[2] / "data" / "digits_bottleneck.npz")
    return {
        "regions": lambda: cx(2, 8, 8, 3).plot(names=names),
        "classes": lambda: cx(2, 8, 8, 3).plot(color_by="class", names=names, points=[[0, 0], [1, 1]], labels=[0, 1]),
        "graph": lambda: cx(1, 8, 2).plot(),
        "plane": lambda: cx(4, 5, 2).plot(),
        "many walls": lambda: cx(2, 5, 5, 5, 5, 5, 5, 2).plot(),
        "boundary": lambda: cx(2, 8, 3).decision_boundary().plot(),
        "level": lambda: cx(2, 8, 1).level_set(0.1).plot(),
        "bends": lambda: cx(2, 6, 4, 1).breakpoint_complex().plot(),
        "neighbours": lambda: pf.plots.plot_dual_graph(cx(2, 6, 1)),
        "slice": lambda: pf.slice_through(pf.ReLUNetwork.random((9, 8, 3), rng=0), *np.eye(9)[:3]).plot(),
        "a flat slice": lambda: pf.slice_through(digits, *np.random.default_rng(0).integers(0, 17, (3, 64))).plot(),
        "a steep slice": lambda: pf.slice_through(digits, *np.random.default_rng(3).integers(0, 17, (3, 64))).plot(),
        "cut": lambda: pf.slice_complex(
            pf.ReLUNetwork.random((5, 8, 3), rng=0), np.zeros(5), np.eye(5)[:2], domain=box
        ).plot(),
        "strata": lambda: strata.plot(),
        "table": lambda: pf.plots.plot_table(strata),
        "flow": lambda: strata[3].plot(),
        "ranks": lambda: pf.plots.plot_effective_ranks([1, 2, 3], [[1.0, 2.0], [1.5, 2.5], [1.2, 2.2]]),
        "translation": lambda: pf.classify_fiber(pf.fibers.hiding_example((2, 2, 1, 1), hidden=0, rng=0)).plot(),
        "geodesic": lambda: pf.dln.geodesic(np.diag([2.0, 1.0]), np.diag([1.0, 3.0]), depth=2).plot(),
        "training": watched,
    }


@pytest.mark.parametrize("name", pictures())
def test_pictures_are_whole_and_say_what_they_count(name: str) -> None:
    import matplotlib.pyplot as plt

    ax = pictures()[name]()
    figure = ax.figure
    try:
        figure.set_dpi(100)
        figure.canvas.draw()  # once, as a file is written
        assert any(c.isdigit() for c in ax.get_title()), ax.get_title()
        drawn, (width, height) = figure.get_tightbbox(), figure.get_size_inches()  # of all texts, too
        assert drawn.x0 >= -0.01
        assert drawn.y0 >= -0.01
        assert drawn.x1 <= width + 0.01
        assert drawn.y1 <= height + 0.01
        for line in ax.lines:
            if line.get_visible() and line.get_linestyle() != "None":
                assert contrast(line.get_color(), ax.get_facecolor()) >= 3.0
        stream = io.StringIO()
        figure.savefig(stream, format="svg")
        if ax.get_legend():
            keys = [(h.get_color() if hasattr(h, "get_color") else h.get_facecolor(), type(h).__name__, h.get_linestyle(), h.get_linewidth())
                    for h in ax.get_legend().legend_handles]  # fmt: skip
            assert len(set(map(str, keys))) == len(keys), keys
        ids = [a.get_gid() for a in figure.findobj() if a.get_gid()]
        assert ids
        assert all(f'id="{gid}"' in stream.getvalue() for gid in ids)
    finally:
        plt.close(figure)
