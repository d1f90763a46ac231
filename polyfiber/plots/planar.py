"""Pictures of two-dimensional complexes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._typing import FloatArray
from ..errors import InputError, MissingDependencyError

if TYPE_CHECKING:
    from ..complexes.complex import PolyhedralComplex


def _axes(ax: Any) -> Any:
    if ax is not None:
        return ax
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        raise MissingDependencyError("matplotlib", extra="plot", purpose="drawing") from None
    return plt.subplots(figsize=(7, 7), layout="constrained")[1]


def polygons(cx: PolyhedralComplex) -> list[FloatArray]:
    """Corner points of every region of a bounded planar complex, in cyclic order.

    Returns one (m, 2) array per region.
    """
    if cx.network.architecture[0] != 2 or cx.dimension != 2:
        raise InputError(f"polygons need a complex in the plane, found {cx}")
    indptr, indices = cx.strata.covers_below
    f0, f1, _ = cx.f_vector
    points, edges = cx.vertices, cx.edges
    result = []
    for r in range(f0 + f1, f0 + f1 + cx.n_regions):
        mine = edges[indices[indptr[r] : indptr[r + 1]] - f0]
        if (mine < 0).any():
            raise InputError("a region is unbounded; compute the complex on a Box to draw it")
        corners = points[np.unique(mine)]
        angle = np.arctan2(*(corners - corners.mean(axis=0)).T[::-1])
        result.append(corners[np.argsort(angle)])
    return result


def plot_regions(
    cx: PolyhedralComplex, *, ax: Any = None, color_by: str = "value", output: int = 0, cmap: str = "viridis"
) -> Any:
    """Draw the regions of a bounded planar complex, with the walls of each layer.

    Parameters
    ----------
    cx : PolyhedralComplex
        Two inputs, on a `Box` or a bounded `Polyhedron`.
    ax : matplotlib Axes, optional
    color_by : 'value', 'slope' or 'class'
        Colour of a region: output at its centre, norm of its gradient, or the largest output there.
    output : int
        Which output, for 'value' and 'slope'.
    cmap : str
        Name of a matplotlib colour map.

    Returns
    -------
    Axes
    """
    ax = _axes(ax)
    from matplotlib.collections import LineCollection, PolyCollection

    shapes = polygons(cx)
    A, a = cx.affine_maps()
    centres = np.array([p.mean(axis=0) for p in shapes])
    if color_by == "value":
        values = np.einsum("rj,rj->r", A[:, output], centres) + a[:, output]
    elif color_by == "slope":
        values = np.linalg.norm(A[:, output], axis=1)
    elif color_by == "class":
        values = np.argmax(np.einsum("rij,rj->ri", A, centres) + a, axis=1).astype(np.float64)
    else:
        raise InputError(f"color_by must be 'value', 'slope' or 'class', found {color_by!r}")
    patches = PolyCollection(shapes, array=values, cmap=cmap, linewidths=0)
    ax.add_collection(patches)
    layers = len(cx.network.hidden_widths)
    signs = cx.signs(1)[:, : cx.network.n_hidden]
    first = np.concatenate([[0], np.cumsum(cx.network.hidden_widths)])
    ends = cx.vertices[cx.edges]
    for layer in range(layers):
        mine = (signs[:, first[layer] : first[layer + 1]] == 0).any(axis=1)
        shade = 0.95 - 0.75 * (layer / max(1, layers - 1)) if layers > 1 else 0.95
        width = 1.1 - 0.5 * layer / max(1, layers)
        ax.add_collection(LineCollection(ends[mine], colors=[(shade, shade, shade)], linewidths=width))
    low, high = cx.vertices.min(axis=0), cx.vertices.max(axis=0)
    ax.set_xlim(low[0], high[0])
    ax.set_ylim(low[1], high[1])
    return ax
