"""Pictures of complexes and of sets in the plane."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from .. import words
from .._typing import FloatArray
from .._values.checked import flag, shown, whole
from ..complexes.topology.surfaces import corners_around
from ..errors import InputError
from .style import BOUNDARY, CLASSES, WALLS, axes, ground, require

if TYPE_CHECKING:
    from ..complexes.breakpoints.simple import BreakpointComplex
    from ..complexes.complex import PolyhedralComplex
    from ..complexes.topology.sets import PolyhedralSet


def _output_of(cx: PolyhedralComplex, output: Any) -> int:
    found, n_out = whole(output, "output"), cx.network.architecture[-1]
    if not 0 <= found < n_out:
        raise InputError(f"output {shown(found)} does not exist; the network has outputs 0 to {n_out - 1}")
    return found


def _require_planar(cx: PolyhedralComplex) -> None:
    require(cx, "a PolyhedralComplex", "network", "is_unbounded")
    if cx.network.architecture[0] != 2 or cx.dimension != 2:
        raise InputError(f"polygons need a complex in the plane, found {cx}")
    if cx.is_unbounded(2).any():
        raise InputError("a region is unbounded; compute the complex on a Box to draw it")


def polygons(cx: PolyhedralComplex) -> list[FloatArray]:
    """Corner points of every region of a bounded planar complex, in cyclic order.

    Returns one (m, 2) array per region.
    """
    _require_planar(cx)
    indptr, indices = cx.strata.covers_below
    f0, f1, _ = cx.f_vector
    start = f0 + f1
    ptr = indptr[start : start + cx.n_regions + 1] - indptr[start]
    corners = corners_around(ptr, indices[indptr[start] :] - f0, cx.edges)
    return [cx.vertices[part] for part in np.split(corners, ptr[1:-1])]


def plot_regions(
    cx: PolyhedralComplex,
    *,
    ax: Any = None,
    color_by: Literal["value", "slope", "class"] = "value",
    output: int = 0,
    cmap: str | None = None,
    walls: bool = True,
    legend: bool = True,
    class_names: Sequence[str] | None = None,
) -> Any:
    """Draw the regions of a bounded planar complex, with the walls of each layer.

    Parameters
    ----------
    cx : PolyhedralComplex
        Two inputs, on a `Box` or a bounded `Polyhedron`.
    ax : matplotlib Axes, optional
    color_by : 'value', 'slope' or 'class'
        The output (exact on the picture: it is shaded by its values at the corners), the norm of its gradient, or the
        class with the largest output, along its true boundary.
    output : int
        Which output, for 'value' and 'slope'.
    cmap : str, optional
        Name of a matplotlib colour map; by default a light one, from which the walls stand out.
    walls, legend : bool
    class_names : sequence of str, optional

    Returns
    -------
    Axes

    Examples
    --------
    >>> import polyfiber as pf
    >>> from matplotlib.figure import Figure
    >>> cx = pf.canonical_complex(pf.ReLUNetwork.random((2, 6, 3), rng=0), pf.Box([-2, -2], [2, 2]))
    >>> ax = plot_regions(cx, ax=Figure().add_subplot(), color_by="class")
    >>> ax.get_title()
    '16 regions, 2 classes'
    """
    if not isinstance(color_by, str) or color_by not in ("value", "slope", "class"):
        raise InputError(f"color_by must be 'value', 'slope' or 'class', found {color_by!r}")
    _require_planar(cx)
    output = _output_of(cx, output)
    walls, legend = flag(walls, "walls"), flag(legend, "legend")
    ax = axes(ax)
    title = f"{cx.n_regions} region{'' if cx.n_regions == 1 else 's'}"
    handles = []
    if color_by == "class":
        handles = _draw_classes(cx, ax, class_names)
        title += f", {len(handles)} class{'' if len(handles) == 1 else 'es'}"
    else:
        shown = _draw_numbers(cx, ax, color_by, output, ground(cmap))
        if legend:
            what = f"output {output}" if color_by == "value" else f"norm of the gradient of output {output}"
            ax.figure.colorbar(shown, ax=ax, label=what, shrink=0.85)
    if walls:
        handles += _draw_walls(cx, ax)
    if color_by == "class":
        handles += plot_set(cx.decision_boundary(), ax=ax, frame=False)._polyfiber_handles
    _frame(cx, ax)
    ax.set_title(title)
    if legend and handles:
        ax.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False, fontsize="small")
    return ax


def _draw_numbers(cx: PolyhedralComplex, ax: Any, color_by: str, output: int, cmap: Any) -> Any:
    from matplotlib.collections import PolyCollection

    shapes = polygons(cx)
    A, a = cx.affine_maps()
    if color_by == "slope":
        patches = PolyCollection(shapes, array=np.linalg.norm(A[:, output], axis=1), cmap=cmap, linewidths=0.2)
        patches.set_edgecolor("face")  # no hair lines between neighbours
        ax.add_collection(patches)
        return patches
    corners, triangles, values, start = [], [], [], 0
    for r, shape in enumerate(shapes):
        m = len(shape)
        corners.append(shape)
        values.append(shape @ A[r, output] + a[r, output])
        triangles.append(start + np.stack([np.zeros(m - 2, int), np.arange(1, m - 1), np.arange(2, m)], axis=1))
        start += m
    x = np.concatenate(corners)
    return ax.tripcolor(
        x[:, 0], x[:, 1], np.concatenate(triangles), np.concatenate(values), shading="gouraud", cmap=cmap
    )


def _draw_classes(cx: PolyhedralComplex, ax: Any, names: Sequence[str] | None) -> list[Any]:
    from matplotlib.collections import PolyCollection
    from matplotlib.patches import Patch

    handles = []
    for c in range(max(2, cx.network.architecture[-1])):
        region = cx.class_region(c)
        if region.dimension < 2:
            continue
        ptr, edges = region.facets_of(2)
        shapes = np.split(region.vertices[corners_around(ptr, edges, region.edges)], ptr[1:-1])
        colour = CLASSES[c % len(CLASSES)]
        ax.add_collection(PolyCollection(shapes, facecolors=colour, edgecolors=colour, linewidths=0.2))
        handles.append(Patch(color=colour, label=names[c] if names else f"class {c}"))
    return handles


def _draw_walls(cx: PolyhedralComplex, ax: Any) -> list[Any]:
    from matplotlib.collections import LineCollection
    from matplotlib.lines import Line2D

    handles = []
    signs = cx.signs(1)[:, : cx.network.n_hidden]
    first = np.concatenate([[0], np.cumsum(cx.network.hidden_widths)])
    ends = cx.vertices[cx.edges]
    for layer in range(len(cx.network.hidden_widths)):
        mine = (signs[:, first[layer] : first[layer + 1]] == 0).any(axis=1)
        if mine.any():
            style: dict[str, Any] = {"color": WALLS[layer % len(WALLS)], "linewidth": max(0.4, 1.0 - 0.25 * layer)}
            ax.add_collection(LineCollection(ends[mine], **style, gid=f"walls-layer-{layer + 1}"))
            handles.append(Line2D([], [], label=f"walls of layer {layer + 1}", **style))
    return handles


def plot_set(
    found: PolyhedralSet, *, ax: Any = None, color: str = BOUNDARY, label: str | None = None, frame: bool = True
) -> Any:
    """Draw a level set, a decision boundary or a class region in the plane, exactly.

    Parameters
    ----------
    found : PolyhedralSet
        Two inputs. Rays are drawn to the edge of the picture.
    ax : matplotlib Axes, optional
    color : str
    label : str, optional
        For the legend; by default what the set is.
    frame : bool
        Fit the axes to the set and give it a title.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import polyfiber as pf
    >>> cx = pf.canonical_complex(pf.ReLUNetwork.random((2, 4, 1), rng=0), pf.Box(-1, 1, dimension=2))
    >>> ax = pf.plots.plot_set(cx.level_set(0))
    """
    from matplotlib.collections import LineCollection, PolyCollection
    from matplotlib.lines import Line2D

    require(found, "a PolyhedralSet", "complex", "lineality_dimension", "connected_components")
    frame, label = flag(frame, "frame"), None if label is None else str(label)
    if found.complex.network.architecture[0] != 2 or found.lineality_dimension:
        raise InputError("only sets in the plane that depend on both inputs can be drawn; take a slice of this one")
    ax = axes(ax)
    handles: list[Any] = []
    text = label or found.description
    if found.dimension >= 2:
        bounded = ~found.is_unbounded(2)
        ptr, edges = found.facets_of(2)
        own = np.concatenate([[0], np.cumsum(np.diff(ptr)[bounded])])
        corners = corners_around(own, edges[np.repeat(bounded, np.diff(ptr))], found.edges)
        shapes = np.split(found.vertices[corners], own[1:-1]) if bounded.any() else []
        ax.add_collection(PolyCollection(shapes, facecolors=CLASSES[0], edgecolors="none"))
    if found.dimension >= 1:
        ends, x = found.edges, found.vertices
        reach = 10.0 * max(1.0, float(np.abs(x).max(initial=0.0)))
        lines = [x[pair] for pair in ends[ends[:, 1] >= 0]]
        ids, directions = found.rays
        lines += [np.stack([x[ends[i, 0]], x[ends[i, 0]] + reach * d]) for i, d in zip(ids, directions)]
        if found.dimension == 1:
            ax.add_collection(LineCollection(lines, colors=color, linewidths=2.0, gid="set"))
            handles.append(Line2D([], [], color=color, linewidth=2.0, label=text))
    elif found.dimension == 0:
        ax.plot(found.vertices[:, 0], found.vertices[:, 1], ".", color=color, label=text)
    ax._polyfiber_handles = handles
    if frame:
        if found.complex.domain is not None and not found.complex.is_unbounded(2).any():
            _frame(found.complex, ax)
        elif len(found.vertices):
            low, high = found.vertices.min(axis=0), found.vertices.max(axis=0)
            pad = 0.15 * np.maximum(high - low, 1e-9) + 1e-9
            ax.set_xlim(low[0] - pad[0], high[0] + pad[0])
            ax.set_ylim(low[1] - pad[1], high[1] + pad[1])
        counts = ", ".join(f"{c} {name}" for c, name in zip(found.f_vector, ("vertices", "edges", "polygons")))
        ax.set_title(f"{text}: {counts or 'empty'}")
    return ax


def plot_breakpoints(bp: BreakpointComplex, *, ax: Any = None, output: int = 0) -> Any:
    """Draw where the function bends in the plane: width by weight, red where it is concave.

    Parameters
    ----------
    bp : BreakpointComplex
        Of a bounded planar complex.
    ax : matplotlib Axes, optional
    output : int

    Returns
    -------
    Axes

    Examples
    --------
    >>> import polyfiber as pf
    >>> cx = pf.canonical_complex(pf.ReLUNetwork.random((2, 4, 1), rng=0), pf.Box(-1, 1, dimension=2))
    >>> ax = pf.plots.plot_breakpoints(cx.breakpoint_complex())
    """
    from matplotlib.collections import LineCollection
    from matplotlib.lines import Line2D

    require(bp, "a BreakpointComplex", "complex", "weights", "facets")
    cx = bp.complex
    _require_planar(cx)
    output = _output_of(cx, output)
    ax = axes(ax)
    weights = bp.weights[:, output]
    largest = float(np.abs(weights).max(initial=0.0)) or 1.0
    ends = cx.vertices[cx.edges[bp.facets]]
    for sign, colour, name in ((1, "#00248f", "bends up"), (-1, "#b2182b", "bends down")):
        mine = sign * weights > 0
        widths = 0.4 + 3.6 * np.abs(weights[mine]) / largest
        ax.add_collection(
            LineCollection(list(ends[mine]), colors=colour, linewidths=widths.tolist(), gid=name.replace(" ", "-"))
        )
        ax.plot([], [], color=colour, label=f"{name}: {words.count(int(mine.sum()), 'facet')}")
    ax.legend(
        handles=[h for h in ax.lines if isinstance(h, Line2D)],
        loc="upper left",
        bbox_to_anchor=(1.01, 1.0),
        frameon=False,
    )
    _frame(cx, ax)
    bent, some = words.count(len(bp.facets), "facet"), "" if bp.weights.shape[1] == 1 else "some output "
    title = f"{bent} where {some or 'the output '}bends, of {len(bp.facets) + len(bp.invisible)} in walls"
    ax.set_title(f"{title}; weights of output {output}" if some else title)
    return ax


def _frame(cx: PolyhedralComplex, ax: Any) -> None:
    low, high = cx.vertices.min(axis=0), cx.vertices.max(axis=0)
    ax.set_xlim(low[0], high[0])
    ax.set_ylim(low[1], high[1])
    ax.set_xlabel("input 0")
    ax.set_ylabel("input 1")
