"""What the picture of a page draws, as columns of numbers: regions, walls, classes, boundaries, surfaces.

The page works out affine maps from the weights and the pattern of a region, in doubles; shapes are single floats,
relative to the window.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from .._typing import Array, BoolArray, FloatArray, IntArray
from ..complexes.complex import PolyhedralComplex
from ..complexes.topology.sets import PolyhedralSet
from ..complexes.topology.surfaces import corners_around
from ..errors import InputError
from ..network.model import ReLUNetwork
from ..plots.windows import Window

MOST_REGIONS = 200_000
"""Regions that a page carries; of more, the middle of the window is shown, and the page says so."""

MOST_BYTES = 9_500_000
"""Characters of the numbers of a page, which then stays under 10 MB; of more, the middle of the window is shown."""

MOST_POINTS = 20_000
"""Data points that are drawn; of more, every second, third, …"""

MOST_WEIGHTS = 300_000
"""Parameters that a page carries; without them it shows patterns and areas, and no affine maps."""

MOST_COLOURED = 8
"""Outputs by which regions can be coloured."""

MOST_TRIANGLES = 40_000
"""Triangles and edges of a picture in space."""

UNDRAWN = 255
"""In the column of classes: a region through which the boundary runs; its parts follow one by one."""


@dataclass
class Columns:
    """Columns of numbers on their way into a page: packed, compressed, in text.

    Examples
    --------
    >>> c = Columns()
    >>> c.add("x", [1.0, 2.0], "f4")
    >>> c.layout
    [{'name': 'x', 'type': 'f4', 'offset': 0, 'length': 2}]
    """

    layout: list[dict[str, Any]] = field(default_factory=list)
    _parts: list[bytes] = field(default_factory=list)
    _at: int = 0

    def add(self, name: str, values: Any, kind: str) -> None:
        """Append a column of type u1, u2, u4, f4 or f8; each begins at a multiple of 8 bytes."""
        data = np.ascontiguousarray(np.asarray(values).ravel(), dtype=f"<{kind}")
        self.layout.append({"name": name, "type": kind, "offset": self._at, "length": int(data.size)})
        raw = data.tobytes()
        raw += bytes(-len(raw) % 8)
        self._parts.append(raw)
        self._at += len(raw)

    def clear(self) -> None:
        """Forget all of it."""
        self.layout.clear()
        self._parts.clear()
        self._at = 0

    def text(self) -> str:
        """All columns, deflated, in base64."""
        return base64.b64encode(zlib.compress(b"".join(self._parts), 6)).decode("ascii")


@dataclass(frozen=True)
class Group:
    """Hidden neurons whose walls are drawn and switched together."""

    name: str
    neurons: IntArray


def layers_of(net: ReLUNetwork) -> list[Group]:
    """One group a hidden layer."""
    first = np.concatenate([[0], np.cumsum(net.hidden_widths)]).astype(np.int64)
    return [Group(f"layer {k + 1}", np.arange(first[k], first[k + 1])) for k in range(len(first) - 1)]


def pair_groups(a: ReLUNetwork, b: ReLUNetwork, both: ReLUNetwork) -> list[Group]:
    """Of two networks side by side (`difference_network`): the layers of the first, then of the second."""
    first = np.concatenate([[0], np.cumsum(both.hidden_widths)]).astype(np.int64)
    groups = []
    for name, net, left in (("first", a, True), ("second", b, False)):
        for k, width in enumerate(net.hidden_widths):
            start = first[k] if left else first[k + 1] - width
            groups.append(Group(f"{name}, layer {k + 1}", np.arange(start, start + width)))
    return groups


def planar(
    window: Window,
    columns: Columns,
    *,
    groups: Sequence[Group] | None = None,
    classes: bool = True,
    boundary: PolyhedralSet | None = None,
    data: tuple[FloatArray, IntArray] | None = None,
) -> dict[str, Any]:
    """The regions, walls, classes and boundary of a plane window; what the page must know of the columns.

    Parameters
    ----------
    window : Window
        With two inputs.
    columns : Columns
        Gets the numbers.
    groups : sequence of Group, optional
        By default the hidden layers.
    classes : bool
        Whether outputs are classes: colour by the largest, and draw where it changes.
    boundary : PolyhedralSet, optional
        The decision boundary of the window's complex, if it is known.
    data : pair of arrays, optional
        Points (p, 2) in the plane and their labels (p,).
    """
    cx = window.complex
    low, high = cx.vertices.min(axis=0), cx.vertices.max(axis=0)
    span = high - low

    def relative(points: Array) -> FloatArray:
        result: FloatArray = (np.asarray(points, dtype=np.float64) - low) / span
        return result

    indptr, indices = cx.strata.covers_below
    f0, f1, f2 = cx.f_vector
    ptr = indptr[f0 + f1 : f0 + f1 + f2 + 1] - indptr[f0 + f1]
    corners = corners_around(ptr, indices[indptr[f0 + f1] :] - f0, cx.edges)
    columns.add("vertex", relative(cx.vertices), "f4")
    columns.add("corners", np.diff(ptr), "u4")
    columns.add("corner", corners, "u4")
    groups = layers_of(cx.network) if groups is None else list(groups)
    _walls(cx, groups, columns, (ptr, indices[indptr[f0 + f1] :] - f0))
    _patterns(cx, 2, columns)
    polygons = np.split(cx.vertices[corners], ptr[1:-1])
    areas = _areas(cx.vertices[corners], ptr)
    columns.add("area", areas, "f4" if areas.min() > 1e-30 and areas.max() < 1e38 else "f8")
    maps = cx.affine_maps()
    told: dict[str, Any] = {
        "kind": "plane",
        "low": low.tolist(),
        "high": high.tolist(),
        "labels": list(window.labels),
        "caption": window.caption,
        "regions": f2,
        "walls": f1,
        "groups": [g.name for g in groups],
        "widths": list(cx.network.architecture),
        "hidden": cx.network.n_hidden,
        "colours": _colours(cx, columns, ptr, corners, *maps),
        "classes": 0,
        "maps": _weights(cx.network, columns),
    }
    if classes:
        found = boundary or cx.decision_boundary()
        with np.errstate(over="ignore", invalid="ignore"):  # what floats do not decide, rationals do
            told |= _classes(cx, columns, relative, found, polygons, *maps)
    if data is not None and len(data[0]):
        step = -(-len(data[0]) // MOST_POINTS)
        columns.add("point", relative(data[0][::step]), "f4")
        columns.add("pointLabel", data[1][::step], "u1")
        told["points"] = (
            f"{len(data[0]):,} data points"
            if step == 1
            else f"{len(data[0][::step]):,} of {len(data[0]):,} data points"
        )
    return told


def line(window: Window, columns: Columns) -> dict[str, Any]:
    """The graph of a network of one input: where it breaks, and its values there."""
    cx = window.complex
    x = cx.vertices[:, 0]
    order, regions = _along(x, np.asarray(cx.edges))
    with np.errstate(over="ignore", invalid="ignore"):
        values = np.asarray(cx.network.rounded()(x[order][:, None]))
        if not x.max() - x.min() > 0:
            raise InputError("floats do not tell the ends of the window apart; a larger domain can be drawn")
        if not np.isfinite([values.max() - values.min(), x.max() - x.min()]).all():
            raise InputError("the outputs are beyond floating-point numbers; a smaller domain can be drawn")
    columns.add("x", x[order], "f8")
    columns.add("y", values, "f8")
    _patterns(cx, 1, columns, regions)
    return {
        "kind": "line",
        "low": [float(x.min()), float(values.min())],
        "high": [float(x.max()), float(values.max())],
        "labels": [window.labels[0], "outputs"],
        "caption": "",
        "regions": len(regions),
        "walls": len(x) - 2,
        "groups": [],
        "widths": list(cx.network.architecture),
        "hidden": cx.network.n_hidden,
        "colours": [],
        "classes": 0,
        "maps": _weights(cx.network, columns),
    }


def _along(x: FloatArray, edges: IntArray) -> tuple[IntArray, IntArray]:
    """Vertices and edges of a path from left to right; floats tell its two ends apart, and not all that is between."""
    met: list[list[int]] = [[] for _ in x]
    for e, ends in enumerate(edges.tolist()):
        for v in ends:
            met[v].append(e)
    first = min((v for v, some in enumerate(met) if len(some) == 1), key=x.__getitem__)
    vertices, walked = [first], list(met[first])
    while len(vertices) <= len(edges):
        v = int(edges[walked[-1]].sum()) - vertices[-1]
        vertices.append(v)
        walked += [e for e in met[v] if e != walked[-1]]
    return np.array(vertices), np.array(walked)


def space(found: PolyhedralSet, columns: Columns) -> dict[str, Any] | None:
    """A surface in space and the box around it, to be turned; None where there is nothing to draw or too much of it."""
    if found.dimension != 2:
        return None
    mesh = found.mesh()
    triangles, _ = mesh.triangles()
    if not 0 < len(triangles) <= MOST_TRIANGLES:
        return None
    inside = found.complex.vertices
    low, high = inside.min(axis=0), inside.max(axis=0)
    columns.add("solid", (mesh.points - low) / (high - low), "f4")
    columns.add("triangle", triangles, "u4")
    return {
        "what": found.description,
        "triangles": len(triangles),
        "polygons": mesh.n_polygons,
        "low": low.tolist(),
        "high": high.tolist(),
    }


def _walls(cx: PolyhedralComplex, groups: Sequence[Group], columns: Columns, rims: tuple[Array, Array]) -> None:
    """Every edge with the groups on whose walls it lies, as bits (the frame has none); of regions the last group on the
    rim.
    """
    zero = cx.signs(1)[:, : cx.network.n_hidden] == 0
    mask = np.zeros(len(zero), dtype=np.uint32)
    for k, group in enumerate(groups):
        mask |= zero[:, group.neurons].any(axis=1).astype(np.uint32) << np.uint32(min(k, 31))
    drawn = np.flatnonzero(mask)
    columns.add("edge", cx.edges[drawn], "u4")
    columns.add("edgeGroups", mask[drawn], "u4")
    ptr, edges = rims
    last = np.frexp(mask.astype(np.float64))[1]  # one more than the highest bit, 0 without one
    columns.add("rim", np.maximum.reduceat(last[edges], ptr[:-1]), "u1")


def _patterns(cx: PolyhedralComplex, dim: int, columns: Columns, order: Any = slice(None)) -> None:
    """Bits of the active neurons of each region, and of those that vanish on it where there are any."""
    signs = cx.signs(dim)[order, : cx.network.n_hidden]
    columns.add("active", np.packbits(signs > 0, axis=1, bitorder="little"), "u1")
    if (signs == 0).any():
        columns.add("vanishing", np.packbits(signs == 0, axis=1, bitorder="little"), "u1")


def _weights(net: Any, columns: Columns) -> bool:
    if not isinstance(net, ReLUNetwork) or net.n_parameters > MOST_WEIGHTS:
        return False  # the page multiplies layers of chains alone
    rounded = net.rounded()
    columns.add("weights", np.concatenate([w.ravel() for w in rounded.weights]), "f8")
    columns.add("biases", np.concatenate(rounded.biases), "f8")
    return True


def _areas(corners: FloatArray, ptr: Array) -> FloatArray:
    """Area of each polygon, from its first corner, in floats."""
    sizes = np.diff(ptr)
    x = corners - np.repeat(corners[ptr[:-1]], sizes, axis=0)
    following = np.arange(len(x)) + 1
    following[ptr[1:] - 1] = ptr[:-1]
    y = x[following]
    with np.errstate(over="ignore", invalid="ignore"):  # too large for a float: infinite
        result: FloatArray = np.abs(np.add.reduceat(x[:, 0] * y[:, 1] - x[:, 1] * y[:, 0], ptr[:-1])) / 2
    return np.where(np.isnan(result), np.inf, result)


def _colours(
    cx: PolyhedralComplex, columns: Columns, ptr: Array, corners: Array, A: FloatArray, a: FloatArray
) -> list[dict[str, Any]]:
    """For each output its value in the middle of every region and the norm of its gradient, in 256 steps."""
    counts = np.diff(ptr)
    middle = np.add.reduceat(cx.vertices[corners], ptr[:-1], axis=0) / counts[:, None]
    told = []
    outputs = range(min(cx.network.architecture[-1], MOST_COLOURED))
    for kind in ("gradient", "output"):
        for o in outputs:
            with np.errstate(over="ignore", invalid="ignore"):
                if kind == "gradient":
                    values, text = np.hypot.reduce(A[:, o], axis=1), f"gradient of output {o}"
                else:
                    values, text = (A[:, o] * middle).sum(axis=1) + a[:, o], f"output {o}"
                low, high = float(values.min()), float(values.max())
                if not np.isfinite(high - low):  # beyond floats: no colour shows it
                    continue
                steps = (values - low) / (high - low) * 255.0 if high > low else np.zeros_like(values)
            columns.add(f"{kind}{o}", np.clip(np.nan_to_num(steps), 0, 255), "u1")
            told.append({"column": f"{kind}{o}", "text": text, "low": low, "high": high})
    return told


def _classes(
    cx: PolyhedralComplex,
    columns: Columns,
    relative: Any,
    boundary: PolyhedralSet,
    polygons: list[FloatArray],
    A: FloatArray,
    a: FloatArray,
) -> dict[str, Any]:
    """Classes: one for each region that the boundary does not cross, the parts of the others, and the boundary itself.

    Which regions it crosses, and where, is certified; a crossed region is cut in floats.
    """
    crossed = np.zeros(cx.n_regions, dtype=bool)
    for dim in (1, 2)[: max(0, boundary.dimension)]:
        of = boundary.faces(dim)
        crossed[of[of[:, 0] == 2, 1]] = True
    if A.shape[1] == 1:  # class 1 where the output is positive
        A, a = np.concatenate([0 * A, A], axis=1), np.concatenate([0 * a, a], axis=1)
    owner = np.where(crossed, UNDRAWN, _largest(cx, polygons, A, a, ~crossed))
    parts, labels = [], []
    for r in np.flatnonzero(crossed).tolist():
        for c in range(min(A.shape[1], UNDRAWN)):
            shape = polygons[r]
            for k in range(A.shape[1]):
                if k != c and len(shape):
                    shape = _clipped(shape, A[r, c] - A[r, k], float(a[r, c] - a[r, k]))
            if len(shape) > 2:
                parts.append(shape)
                labels.append(c)
    columns.add("owner", owner, "u1")
    columns.add("part", relative(np.concatenate(parts)) if parts else [], "f4")
    columns.add("partSize", [len(p) for p in parts], "u4")
    columns.add("partClass", labels, "u1")
    seen = sorted({*np.unique(owner[~crossed]).tolist(), *labels})
    told: dict[str, Any] = {"classes": len(seen), "seen": seen, "boundary": 0, "ties": 0}
    if boundary.dimension >= 1:
        ends = boundary.edges
        lines: BoolArray = ends[:, 1] >= 0
        columns.add("boundary", relative(boundary.vertices[ends[lines]].reshape(-1, 2)), "f4")
        told["boundary"] = int(lines.sum())
    if boundary.dimension == 2:
        ptr, edges = boundary.facets_of(2)
        columns.add("tie", relative(boundary.vertices[corners_around(ptr, edges, boundary.edges)]), "f4")
        columns.add("tieSize", np.diff(ptr), "u4")
        told["ties"] = len(ptr) - 1
    return told


def _largest(
    cx: PolyhedralComplex, polygons: list[FloatArray], A: FloatArray, a: FloatArray, wanted: BoolArray
) -> IntArray:
    """The class with the largest output inside regions on which it does not change; in rationals where floats are
    near.
    """
    middle = np.stack([p.mean(axis=0) for p in polygons])
    y = np.einsum("rij,rj->ri", A, middle) + a
    result: IntArray = y.argmax(axis=1)
    two = np.partition(y, -2, axis=1)[:, -2:]
    size = (np.abs(A) * np.abs(middle)[:, None]).sum(axis=2).max(axis=1) + np.abs(a).max(axis=1)
    exact = cx.network.exact()
    for r in np.flatnonzero(wanted & ~(two[:, 1] - two[:, 0] > 1e-6 * size)).tolist():
        values = exact(np.array([Fraction(v) for v in middle[r].tolist()], dtype=object))
        listed = [Fraction(0), *values] if len(values) == 1 else list(values)
        result[r] = listed.index(max(listed))
    return result


def _clipped(shape: FloatArray, normal: FloatArray, offset: float) -> FloatArray:
    """The part of a convex polygon with ``normal @ x + offset >= 0``."""
    side = shape @ normal + offset
    if (side >= 0).all():
        return shape
    out = []
    for k in range(len(shape)):
        p, q, s, t = shape[k - 1], shape[k], side[k - 1], side[k]
        if (s >= 0) != (t >= 0):
            out.append(p + (q - p) * (s / (s - t)))
        if t >= 0:
            out.append(q)
    return np.array(out).reshape(-1, 2)
