"""Surfaces in space, to be turned: with Plotly, an optional extra."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError, MissingDependencyError
from .style import SEQUENTIAL, require

if TYPE_CHECKING:
    from ..complexes.topology.sets import PolyhedralSet


def plot_solid(found: PolyhedralSet, *, edges: bool = True) -> Any:
    """A level set or decision boundary of three inputs as a Plotly figure.

    Parameters
    ----------
    found : PolyhedralSet
        Compact, of dimension 2, in space: take the complex on a box.
    edges : bool
        Also the edges of its polygons.

    Returns
    -------
    plotly.graph_objects.Figure

    Raises
    ------
    InputError
        Other dimensions, or an unbounded set.

    Examples
    --------
    >>> import polyfiber as pf
    >>> cx = pf.canonical_complex(pf.ReLUNetwork.random((3, 6, 1), rng=0), pf.Box([-2] * 3, [2] * 3))
    >>> figure = plot_solid(cx.level_set())
    >>> figure.layout.title.text
    'f_0 = 0: 4 polygons'
    """
    require(found, "a PolyhedralSet", "complex", "mesh")
    try:
        import plotly.graph_objects as go
    except ImportError:
        raise MissingDependencyError("plotly", extra="solid", purpose="drawing in space") from None
    if found.complex.network.architecture[0] != 3 or found.dimension != 2:
        raise InputError(f"a surface in space is drawn, found {found}")
    mesh = found.mesh()
    corners, owner = mesh.triangles()
    x, y, z = mesh.points.T
    parts: list[Any] = [
        go.Mesh3d(
            x=x, y=y, z=z, i=corners[:, 0], j=corners[:, 1], k=corners[:, 2], intensity=owner, intensitymode="cell",
            colorscale=SEQUENTIAL, showscale=False, flatshading=True, hoverinfo="skip", name="polygons",
        )
    ]  # fmt: skip
    if edges:
        lines, _ = mesh.edge_use()
        path = np.full((len(lines), 3, 3), np.nan)
        path[:, :2] = mesh.points[lines]
        a, b, c = path.reshape(-1, 3).T
        parts.append(
            go.Scatter3d(
                x=a, y=b, z=c, mode="lines", line={"color": "#000000", "width": 2}, hoverinfo="skip", name="edges"
            )
        )
    figure = go.Figure(parts)
    n = mesh.n_polygons
    figure.update_layout(
        title={"text": f"{found.description}: {n} polygon{'' if n == 1 else 's'}"},
        scene={"xaxis_title": "input 0", "yaxis_title": "input 1", "zaxis_title": "input 2", "aspectmode": "data"},
        showlegend=False,
        margin={"l": 0, "r": 0, "b": 0, "t": 40},
    )
    return figure
