"""Pictures of a complex of any number of inputs: graphs, windows of the plane, planes through more inputs, dual
graphs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from .. import words
from .._typing import FloatArray
from .._values.checked import array_of, points_of
from ..complexes.complex import PolyhedralComplex
from ..complexes.local.slices import Slice
from ..errors import InputError, ShapeError
from .planar import plot_regions
from .style import BOUNDARY, CLASSES, WALLS, axes, require
from .windows import Window, window_of


def plot_complex(
    cx: PolyhedralComplex,
    ax: Any = None,
    *,
    color_by: Literal["value", "slope", "class"] = "value",
    inputs: Sequence[int] = (0, 1),
    origin: Any = None,
    names: Sequence[str] | None = None,
    points: Any = None,
    labels: Any = None,
    **style: Any,
) -> Any:
    """Draw a complex: the graph of one input, the regions of two, a plane through more.

    Parameters
    ----------
    cx : PolyhedralComplex
        What is unbounded is drawn in a window around most of its vertices.
    ax : matplotlib Axes, optional
    color_by : 'value', 'slope' or 'class'
        As in `plot_regions`; of one input the graph of every output is drawn.
    inputs : two of int
        Which inputs vary, of three and more.
    origin : (n0,) array, optional
        Values of the others.
    names : sequence of str, optional
        Of the inputs.
    points : (p, n0) array, optional
        Data; those in the window are drawn, along the inputs that do not vary.
    labels : (p,) array of int, optional
        Classes of the data.
    **style
        ``output``, ``cmap``, ``walls``, ``legend``, ``class_names`` of `plot_regions`.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import polyfiber as pf
    >>> from matplotlib.figure import Figure
    >>> cx = pf.canonical_complex(pf.ReLUNetwork.random((3, 5, 2), rng=0))
    >>> plot_complex(cx, Figure().add_subplot(), inputs=(0, 2)).get_xlabel()
    'input 0'
    """
    require(cx, "a PolyhedralComplex", "dual_graph", "interior_points")
    data = _checked(points, labels, cx.network.architecture[0])
    window = window_of(cx, axes=inputs, origin=origin, names=names)
    if cx.network.architecture[0] == 1:
        if not isinstance(color_by, str) or color_by != "value" or style.keys() - {"legend"}:
            raise InputError("the graph of one input has no colours and walls; its option is legend")
        return _graph(window, axes(ax), **style)
    ax = plot_regions(window.complex, ax=ax, color_by=color_by, **style)
    ax.set_xlabel(window.labels[0])
    ax.set_ylabel(window.labels[1])
    if window.caption:
        ax.set_title(f"{ax.get_title()}\n{window.caption}")
    if data is not None:
        _scatter(ax, data[0] @ window.directions.T, data[1])
    return ax


def plot_dual_graph(cx: PolyhedralComplex, *, ax: Any = None) -> Any:
    """Draw the regions of a planar complex as dots in their middle, joined where they share an edge.

    Parameters
    ----------
    cx : PolyhedralComplex
        Two inputs; a window of it where it is unbounded.
    ax : matplotlib Axes, optional

    Returns
    -------
    Axes

    Examples
    --------
    >>> import polyfiber as pf
    >>> cx = pf.canonical_complex(pf.ReLUNetwork.random((2, 4, 1), rng=0), pf.Box(-1, 1, dimension=2))
    >>> ax = pf.plots.plot_dual_graph(cx)
    """
    from matplotlib.collections import LineCollection

    require(cx, "a PolyhedralComplex", "dual_graph", "interior_points")
    if cx.network.architecture[0] != 2:
        raise InputError(f"the graph is drawn in the plane of two inputs, found {cx}")
    shown = window_of(cx).complex
    graph = shown.dual_graph
    middle = shown.interior_points()
    rows = np.repeat(np.arange(shown.n_regions), np.diff(graph.indptr))
    once = rows < graph.indices
    ax = axes(ax)
    ends = np.stack([middle[rows[once]], middle[graph.indices[once]]], axis=1)
    ax.add_collection(LineCollection(list(ends), colors=WALLS[2], linewidths=0.8, gid="dual-edges"))
    ax.plot(middle[:, 0], middle[:, 1], ".", color=BOUNDARY, gid="dual-nodes")
    ax.set_xlabel("input 0")
    ax.set_ylabel("input 1")
    ax.set_title(f"{words.count(shown.n_regions, 'region')}, {words.count(int(once.sum()), 'pair')} of neighbours")
    return ax


def plot_slice(found: Slice, ax: Any = None, **options: Any) -> Any:
    """Draw a slice of one or two dimensions in its own coordinates; options as in `plot_complex`."""
    if len(found.directions) > 2:
        raise InputError(f"a slice of {words.count(len(found.directions), 'dimension')} is not drawn; take one or two")
    names = [f"t{k}" for k in range(len(found.directions))]
    ax = plot_complex(found.complex, ax, **{"names": names, **options})
    n0 = len(found.origin)
    ax.set_title(f"{ax.get_title()} in a slice of R^{n0}")
    return ax


def _checked(points: Any, labels: Any, n0: int) -> tuple[FloatArray, Any] | None:
    if points is None:
        return None
    x = points_of(points, n0)
    if x.ndim != 2 or x.shape[1] != n0 or not np.isfinite(x).all():
        raise ShapeError(f"points have shape {x.shape}; expected (p, {n0}), finite")
    y = np.zeros(len(x), dtype=int) if labels is None else array_of(labels, "labels")
    if y.shape != (len(x),) or y.dtype.kind not in "iub" or (len(y) and int(y.min()) < 0):
        raise ShapeError(f"labels are {len(x)} integers from 0, found {y.dtype} {y.shape}")
    return x, y.astype(int)


def _scatter(ax: Any, x: FloatArray, y: Any) -> None:
    (left, right), (low, high) = ax.get_xlim(), ax.get_ylim()
    inside = (x[:, 0] >= left) & (x[:, 0] <= right) & (x[:, 1] >= low) & (x[:, 1] <= high)
    for label in np.unique(y[inside]).tolist():
        mine = inside & (y == label)
        ax.plot(
            x[mine, 0], x[mine, 1], "o", markersize=4, color=CLASSES[label % len(CLASSES)], markeredgecolor=BOUNDARY,
            markeredgewidth=0.8, gid=f"points-{label}", label=f"data of class {label}",
        )  # fmt: skip


_DASHES = ("-", "--", "-.", ":")


def _graph(window: Window, ax: Any, *, legend: bool = True) -> Any:
    cx = window.complex
    x = np.sort(cx.vertices[:, 0])
    values = np.asarray(cx.network.rounded()(x[:, None]))
    for o in range(values.shape[1]):
        ax.plot(
            x, values[:, o], _DASHES[(o // len(WALLS)) % 4], marker=".", color=WALLS[o % len(WALLS)],
            gid=f"output-{o}", label=f"output {o}",
        )  # fmt: skip
    ax.set_xlim(x[0], x[-1])
    ax.set_xlabel(window.labels[0])
    ax.set_ylabel("output")
    ax.set_title(f"{cx.n_regions} region{'' if cx.n_regions == 1 else 's'} on [{x[0]:.4g}, {x[-1]:.4g}]")
    if legend and 1 < values.shape[1] <= 12:
        ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False, fontsize="small")
    return ax
