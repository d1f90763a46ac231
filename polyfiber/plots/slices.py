"""Pictures of slices of large networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from .._typing import FloatArray
from ..complexes.planar.levels import class_polygons
from ..complexes.planar.statistics import areas, isometry
from ..errors import InputError
from .style import BOUNDARY, CLASSES, WALLS, axes, ground

if TYPE_CHECKING:
    from ..complexes.planar.subdivision import PlanarSlice

FEW_WALLS = 200_000
"""More edges than that are drawn as points of the image even in vector formats."""


def plot_slice(
    s: PlanarSlice,
    *,
    ax: Any = None,
    color_by: Literal["class", "value", "slope", "area"] = "class",
    output: int = 0,
    walls: bool = True,
    legend: bool = True,
    class_names: Sequence[str] | None = None,
) -> Any:
    """Draw a slice by a plane as it lies in the space of inputs: regions, walls by block, the decision boundary.

    Parameters
    ----------
    s : PlanarSlice
    ax : matplotlib Axes, optional
    color_by : 'class', 'value', 'slope' or 'area'
        The largest output, along its true boundary; an output; the norm of its gradient in the plane; areas
        (logarithms).
    output : int
        Which output, for 'value' and 'slope'.
    walls, legend : bool
    class_names : sequence of str, optional

    Returns
    -------
    Axes

    Examples
    --------
    >>> import polyfiber as pf
    >>> from matplotlib.figure import Figure
    >>> s = pf.slice_through(pf.ReLUNetwork.random((9, 8, 8, 3), rng=0), [0] * 9, [1] * 9, [1, -1] * 4 + [1])
    >>> ax = plot_slice(s, ax=Figure().add_subplot())
    >>> ax.get_title().startswith(f"{s.n_regions} regions")
    True
    """
    if s.dimension != 2:
        raise InputError("a picture needs a slice by a plane; this one is along a line")
    if color_by not in ("class", "value", "slope", "area"):
        raise InputError(f"color_by must be 'class', 'value', 'slope' or 'area', found {color_by!r}")
    outputs = s.values.shape[1]
    if not 0 <= output < outputs:
        raise InputError(f"output {output} does not exist; the network has outputs 0 to {outputs - 1}")
    from matplotlib.collections import LineCollection, PolyCollection
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    mine, ax = ax is None, axes(ax)
    flat = isometry(s)
    x = s.coordinates @ flat.T
    ptr, corners = s.polygon_corners
    handles: list[Any] = []
    title = f"{s.n_regions} region{'' if s.n_regions == 1 else 's'}"
    if color_by == "class":
        parts = class_polygons(s)
        for c, shapes in parts.items():
            colour = CLASSES[c % len(CLASSES)]
            drawn = PolyCollection([p @ flat.T for p in shapes], facecolors=colour, edgecolors=colour, linewidths=0.2)
            drawn.set_rasterized(len(shapes) > FEW_WALLS)
            ax.add_collection(drawn)
            handles.append(Patch(color=colour, label=class_names[c] if class_names else f"class {c}"))
        title += f", {len(parts)} class{'' if len(parts) == 1 else 'es'}"
    else:
        shapes = np.split(x[corners], ptr[1:-1])
        shown, label = _numbers(s, color_by, output)
        drawn = PolyCollection(shapes, array=shown, cmap=ground(), linewidths=0.2)
        drawn.set_edgecolor("face")
        drawn.set_rasterized(len(shapes) > FEW_WALLS)
        ax.add_collection(drawn)
        if legend:
            ax.figure.colorbar(drawn, ax=ax, label=label, shrink=0.85)
    if walls:
        blocks = s.edge_blocks
        lines = x[s.edges]
        for block in range(1, int(blocks.max(initial=0)) + 1):
            those = blocks == block
            if those.any():
                style: dict[str, Any] = {
                    "color": WALLS[(block - 1) % len(WALLS)],
                    "linewidth": max(0.15, (0.9 - 0.15 * block) * min(1.0, 60 / np.sqrt(len(lines)))),
                }
                drawn_walls = LineCollection(list(lines[those]), **style, gid=f"walls-block-{block}")
                drawn_walls.set_rasterized(len(lines) > FEW_WALLS)
                ax.add_collection(drawn_walls)
                handles.append(Line2D([], [], label=f"walls of block {block}", color=style["color"]))
    if color_by == "class" and outputs > 1:
        boundary = s.decision_boundary()
        if len(boundary):
            ax.add_collection(
                LineCollection(list(boundary.ends @ flat.T), colors=BOUNDARY, linewidths=1.8, gid="decision-boundary")
            )
            handles.append(Line2D([], [], color=BOUNDARY, linewidth=1.8, label="decision boundary"))
    low, high = x.min(axis=0), x.max(axis=0)
    ax.set_xlim(low[0], high[0])
    ax.set_ylim(low[1], high[1])
    ax.set_aspect("equal")
    ax.set_title(title)
    ax.set_xlabel("distance along the first direction")
    ax.set_ylabel("distance across it")
    if legend and handles:
        ax.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False, fontsize="small")
    if mine:  # equal scales and a constrained layout settle in the second drawing
        ax.figure.draw_without_rendering()
    return ax


def _numbers(s: PlanarSlice, color_by: str, output: int) -> tuple[FloatArray, str]:
    """A number for each region, and what it is."""
    ptr, corners = s.polygon_corners
    if color_by == "area":
        return np.log10(np.maximum(areas(s), 1e-300)), "area, power of ten"
    values = s.values[:, output]
    if color_by == "value":
        return np.add.reduceat(values[corners], ptr[:-1]) / np.diff(ptr), f"output {output}, mean of the corners"
    x = s.coordinates @ isometry(s).T
    owner = np.repeat(np.arange(s.n_regions), np.diff(ptr))
    start = x[corners[ptr[:-1]]], values[corners[ptr[:-1]]]
    dx, dv = x[corners] - start[0][owner], values[corners] - start[1][owner]
    # least squares over the corners of each region
    xx, xy, yy, xv, yv = (
        np.bincount(owner, p, s.n_regions)
        for p in (dx[:, 0] ** 2, dx[:, 0] * dx[:, 1], dx[:, 1] ** 2, dx[:, 0] * dv, dx[:, 1] * dv)
    )
    det = np.where(xx * yy - xy**2 != 0, xx * yy - xy**2, 1.0)
    slope = np.hypot(yy * xv - xy * yv, xx * yv - xy * xv) / np.abs(det)
    return slope, f"norm of the gradient of output {output} in the plane"


__all__ = ["plot_slice"]
