"""Cells as simplices, polygons and files: lengths, areas, volumes, and meshes of sets in the plane and in space."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ... import words
from ..._typing import Array, BoolArray, FloatArray, IntArray
from ...budget import Budget, Monitor, heed, heed_memory
from ...errors import InputError
from ...kernels.complexes import incidence
from ...network.names import local_path
from ...numerics import exact
from .normals import against, cross, unit_normals

if TYPE_CHECKING:
    from .sets import PolyhedralSet


def simplices(owner: PolyhedralSet, dim: int) -> tuple[IntArray, IntArray]:
    """Bounded cells cut into simplices without new vertices: every face from its first vertex.

    Two cells cut a face that they share in the same way.

    Returns
    -------
    cells : (m,) int64
        The cell that each simplex lies in.
    corners : (m, dim + 1) int64
        Vertices.
    """
    count = owner.f_vector[0]
    cells, corners = np.arange(count), np.arange(count)[:, None]
    lowest = np.arange(count)
    for k in range(1, dim + 1):
        heed("simplices")
        ptr, idx = owner.facets_of(k)
        keep = ~owner.is_unbounded(k)
        owners = np.repeat(np.arange(len(ptr) - 1), np.diff(ptr))
        apex = np.minimum.reduceat(lowest[idx], ptr[:-1]) if len(ptr) > 1 else lowest[:0]
        # the simplices of the facets that the apex does not lie on
        order = np.argsort(cells, kind="stable")
        start = np.searchsorted(cells[order], np.arange(len(lowest) + 1))
        wanted = np.flatnonzero(keep[owners] & (lowest[idx] != apex[owners]))
        lengths = (start[1:] - start[:-1])[idx[wanted]]
        ends = np.cumsum(lengths)
        heed_memory(8 * (k + 5) * int(lengths.sum()), f"{int(lengths.sum())} simplices")
        at = np.arange(int(lengths.sum())) - np.repeat(ends - lengths, lengths) + np.repeat(start[idx[wanted]], lengths)
        new = np.repeat(owners[wanted], lengths)
        corners = np.concatenate([apex[new][:, None], corners[order[at]]], axis=1)
        cells, lowest = new, apex
    return cells, corners


@np.errstate(all="ignore")
def sizes(owner: PolyhedralSet, dim: int) -> FloatArray:
    """Length, area or volume of each cell of a dimension; inf where it is unbounded."""
    unbounded = owner.is_unbounded(dim)
    if dim == 0:
        return np.ones(len(unbounded))
    cells, corners = simplices(owner, dim)
    total, step = np.zeros(len(unbounded)), 1 << 16
    for first in range(0, len(corners), step):
        heed("volumes")
        own = corners[first : first + step]
        spans = owner.vertices[own[:, 1:]] - owner.vertices[own[:, :1]]
        triangular = np.linalg.qr(spans.transpose(0, 2, 1), mode="r")
        volume = np.abs(np.prod(np.diagonal(triangular, axis1=1, axis2=2), axis=1))
        total += np.bincount(cells[first : first + step], weights=volume, minlength=len(unbounded))
    total /= float(np.prod(np.arange(1, dim + 1)))
    if owner.lineality_dimension:
        return np.full(len(unbounded), np.inf)
    return np.where(unbounded, np.inf, total)


@dataclass(frozen=True)
class Mesh:
    """A set in the plane or in space: points and polygons (or segments), with numbers for each.

    Attributes
    ----------
    points : (v, 2) or (v, 3) float64
    ptr : (m + 1,) int64
    indices : (ptr[-1],) int64
        Polygon i has the corners ``indices[ptr[i]:ptr[i + 1]]``, in order around it; segments have two.
    normals : (m, 3) float64 or None
        Unit normals of polygons in space: where the output grows, for level sets; to the class of the larger number,
        for decision boundaries; outwards, for solids; all to one side, on a flat domain.
    cell_data : dict
        Numbers for each polygon.
    border : (b,) int64
        Polygons that lie on the boundary of the domain; of a capped mesh, the caps.
    border_edges : (e, 2) int64
        Edges on the boundary of the domain, by certified signs; of curves in the plane, end points (twice the same).

    Notes
    -----
    Corners go round the normal counterclockwise. At a regular value every edge that is no border edge lies in exactly two
    polygons; in a capped mesh every edge does.
    """

    points: FloatArray
    ptr: IntArray
    indices: IntArray
    normals: FloatArray | None = None
    cell_data: dict[str, Array] = field(default_factory=dict)
    border: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    border_edges: IntArray = field(default_factory=lambda: np.zeros((0, 2), dtype=np.int64))

    @property
    def n_polygons(self) -> int:
        """Number of polygons or segments."""
        return len(self.ptr) - 1

    def polygon(self, i: int) -> IntArray:
        """Corners of one polygon."""
        return self.indices[self.ptr[i] : self.ptr[i + 1]]

    def triangles(self) -> tuple[IntArray, IntArray]:
        """Every polygon as a fan: corners (t, 3), and the polygon of each triangle."""
        many = np.diff(self.ptr) - 2
        owner = np.repeat(np.arange(self.n_polygons), np.maximum(many, 0))
        ends = np.cumsum(np.maximum(many, 0))
        step = np.arange(len(owner)) - np.repeat(ends - np.maximum(many, 0), np.maximum(many, 0))
        first = self.ptr[owner]
        return np.stack([self.indices[first], self.indices[first + step + 1], self.indices[first + step + 2]], 1), owner

    def edge_use(self) -> tuple[IntArray, IntArray]:
        """Edges (e, 2) of the polygons and how many polygons each lies in."""
        last = self.ptr[1:] - 1
        following = np.arange(len(self.indices)) + 1
        following[last] = self.ptr[:-1]
        pairs = np.sort(np.stack([self.indices, self.indices[following]], axis=1), axis=1)
        edges, uses = np.unique(pairs, axis=0, return_counts=True)
        return edges, uses

    def save(self, path: Any, *, budget: Budget | None = None) -> None:
        """Write ``.obj``, ``.ply`` (text) or ``.vtu`` (text, with cell data).

        Raises
        ------
        InputError
            Another suffix, or a place that cannot be written to.
        BudgetExceededError
            Before anything is written.
        """
        target = require_path(path)
        writers: dict[str, Callable[[Mesh], str]] = {".obj": _obj, ".ply": _ply, ".vtu": _vtu}
        if target.suffix.lower() not in writers:
            raise InputError(f"a mesh is written as .obj, .ply or .vtu, found {target.suffix or 'no suffix'!r}")
        with Monitor(budget, None).watching():
            heed_memory(300 * (len(self.points) + len(self.indices)), "the text of the mesh")
            text = writers[target.suffix.lower()](self)
        write_text(text, target)


def require_path(path: Any) -> Path:
    """The path that a file is named by."""
    return local_path(path)


def write_text(text: str, path: Any) -> None:
    """Write a text of ASCII letters to a file."""
    target = require_path(path)
    try:
        target.write_text(text, encoding="ascii")
    except (OSError, TypeError, ValueError) as error:
        raise InputError(f"cannot write {str(target)!r}: {getattr(error, 'strerror', None) or error}") from None


def mesh_of(owner: PolyhedralSet, cap: str | int | None = None) -> Mesh:
    """The cells of largest dimension as segments or polygons, or the surface of a solid; see `PolyhedralSet.mesh`."""
    if cap is not None:
        owner = _solid(owner, cap)
    n0, d = owner.complex.network.architecture[0], owner.dimension
    if n0 not in (2, 3) or owner.lineality_dimension:
        raise InputError(
            "meshes are of sets in the plane or in space that depend on all inputs; this one has "
            + (words.count(n0, "input") if n0 not in (2, 3) else "directions along which it is constant")
        )
    if d < 1:
        what = "empty" if d < 0 else f"of dimension {d}"
        raise InputError(f"a mesh has segments or polygons, but the set is {what}")
    if not owner.is_compact:
        raise InputError("the set is unbounded; take the complex on a box and mesh that")
    solid = d == n0
    k = d - solid
    chosen, turned = _surface(owner) if solid else (np.arange(owner.f_vector[d]), None)
    faces = owner.faces(k)[chosen]
    data: dict[str, Array] = {"face_dimension": faces[:, 0], "face": faces[:, 1]}
    if owner._classes is not None:
        classes = owner.classes(k)[chosen]
        data |= {f"class_{c}": classes[:, c].astype(np.int64) for c in range(classes.shape[1])}
    outer = [(owner.signs(q)[:, owner.complex.network.n_hidden :] == 0).any(axis=1) for q in (k - 1, k)]
    rim = np.flatnonzero(outer[0])
    if k == 1:
        ptr, indices = 2 * np.arange(len(chosen) + 1), _walks(owner)[chosen].ravel()
        border = np.stack([rim, rim], axis=1)
    else:
        ptr, indices = _polygons(owner, chosen)
        border = owner.edges[rim]
    if turned is not None:
        _reverse(ptr, indices, np.flatnonzero(turned))
    normals = unit_normals(owner, ptr, indices) if n0 == 3 and k == 2 else None
    if normals is not None and not solid and owner.kind != "breakpoints":
        wrong = np.flatnonzero(against(owner, normals))
        normals[wrong] *= -1
        _reverse(ptr, indices, wrong)
    used = np.unique(indices)
    number = np.full(len(owner.vertices), -1, dtype=np.int64)
    number[used] = np.arange(len(used))
    indices, border = number[indices], number[border]
    border = border[(border >= 0).all(axis=1)]
    points = owner.vertices[used]
    return Mesh(points, ptr, indices, normals, data, np.flatnonzero(outer[1][chosen]), border)


def _solid(owner: PolyhedralSet, cap: str | int) -> PolyhedralSet:
    """The side of a level set, or the class of a decision boundary, that a cap closes."""
    gates, cx = owner._cells.gates, owner.complex
    n0 = cx.network.architecture[0]
    if owner.kind == "classes" and owner.label is None:
        if isinstance(cap, str):
            raise InputError(f"cap of a decision boundary is the number of a class, found {cap!r}")
        region = cx.class_region(cap)
        if region.dimension < n0:
            raise InputError(f"class {cap} has no interior: there is nothing to cap")
        return region
    if owner.kind != "values" or owner.keep != (0,) or gates.count != 1:
        raise InputError(
            "caps close the level set of one output or a decision boundary; a set of full dimension needs none, its mesh "
            "is its surface"
        )
    if cap not in ("below", "above"):
        raise InputError(f"cap must be 'below' (where f is at most the value) or 'above', found {cap!r}")
    row, constant = gates.exact_gate(0)
    output = next(o for o, v in enumerate(row) if v)
    found = (cx.sublevel_set if cap == "below" else cx.superlevel_set)(-constant, output)
    if found.dimension < n0:
        raise InputError(f"the side {cap} has no interior: there is nothing to cap")
    return found


def _surface(owner: PolyhedralSet) -> tuple[IntArray, BoolArray]:
    """Facets of one cell of full dimension, and whether each is to be turned so that it faces outwards.

    Orientations of cells are carried through shared facets, where the incidence numbers must cancel; one facet and an
    inner point of its cell give the last sign, for each piece.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    d = owner.dimension
    ptr, idx = owner.facets_of(d)
    numbers = owner._incidence_numbers[d]
    cells = np.repeat(np.arange(len(ptr) - 1), np.diff(ptr))
    order = np.argsort(idx, kind="stable")
    many = np.bincount(idx, minlength=owner.f_vector[d - 1])
    start = np.concatenate([[0], np.cumsum(many)])
    two, one = np.flatnonzero(many == 2), np.flatnonzero(many == 1)
    a, b = order[start[two]], order[start[two] + 1]
    m = len(ptr) - 1
    opposite = numbers[a] == numbers[b]  # then one of the two cells is to be turned
    left = np.concatenate([cells[a], cells[a] + m])
    right = np.concatenate([cells[b] + m * opposite, cells[b] + m * ~opposite])
    graph = coo_array((np.ones(len(left), dtype=np.int8), (left, right)), shape=(2 * m, 2 * m))
    labels = connected_components(graph, directed=False)[1]
    turn = labels[:m] > labels[m:]
    last = order[start[one]]
    outward = np.where(turn[cells[last]], -numbers[last], numbers[last]).astype(np.int64)
    piece = np.minimum(labels[:m], labels[m:])[cells[last]]
    pieces, some = np.unique(piece, return_index=True)
    inwards = np.zeros(2 * m, dtype=np.bool_)
    inwards[pieces] = _cones(owner, one[some], cells[last[some]]) * outward[some] < 0
    return one, (outward < 0) ^ inwards[piece]


def _cones(owner: PolyhedralSet, facets: IntArray, cells: IntArray) -> IntArray:
    """Signs of the volumes of the cones over facets from inside of their cells, in rationals: cells may be thin."""
    if owner.dimension == 2:
        ptr, indices = 2 * np.arange(len(facets) + 1), _walks(owner)[facets].ravel()
    else:
        ptr, indices = _polygons(owner, facets)
    result = np.empty(len(facets), dtype=np.int64)
    for i, cell in enumerate(cells.tolist()):
        heed("which side of a solid is outside")
        ids = np.array([cell])
        for k in range(owner.dimension, 0, -1):
            below, idx = owner._below[k]
            ids = np.unique(np.concatenate([idx[below[c] : below[c + 1]] for c in ids.tolist()]))
        corners = {v: exact.as_fractions(owner.exact_vertex(v)) for v in ids.tolist()}
        inner = sum(corners.values()) / len(corners)
        around = [corners[v] - inner for v in indices[ptr[i] : ptr[i + 1]].tolist()]
        if owner.dimension == 2:
            (x, y), (u, v) = around
            volumes = [x * v - y * u]
        else:
            volumes = [around[0] @ cross(b, c) for b, c in zip(around[1:], around[2:])]
        volume = next(v for v in volumes if v != 0)  # corners on one line, if any are, tell nothing
        result[i] = (volume > 0) - (volume < 0)
    return result


def _walks(owner: PolyhedralSet) -> IntArray:
    """(f_1, 2) ends of bounded edges, from the one of incidence number -1."""
    result: IntArray = owner.facets_of(1)[1].reshape(-1, 2)
    return result


def _polygons(owner: PolyhedralSet, chosen: IntArray) -> tuple[IntArray, IntArray]:
    """Corners of some bounded 2-cells, the way round that their incidence numbers say."""
    heed("polygons")
    ptr, edges = owner.facets_of(2)
    lengths = np.diff(ptr)[chosen]
    own = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    at = np.arange(int(own[-1])) - np.repeat(own[:-1], lengths) + np.repeat(ptr[chosen], lengths)
    indices = corners_around(own, edges[at], _walks(owner))
    along = owner._incidence_numbers[2][ptr[chosen]] > 0  # the walk begins with the first edge, from its first end
    first = _walks(owner)[edges[ptr[chosen]]]
    forward = indices[own[:-1] + 1] == first[:, 1]
    _reverse(own, indices, np.flatnonzero(along != forward))
    return own, indices


def _reverse(ptr: IntArray, indices: IntArray, which: IntArray) -> None:
    for c in which.tolist():
        heed("turning polygons")
        indices[ptr[c] : ptr[c + 1]] = indices[ptr[c] : ptr[c + 1]][::-1].copy()


def corners_around(ptr: IntArray, edges: IntArray, ends: IntArray) -> IntArray:
    """Corners of bounded 2-cells in order: (ptr[-1],) vertices, from the edges of each cell and their ends (…, 2)."""
    indices = np.empty(int(ptr[-1]), dtype=np.int64)
    whole = [np.require(x, np.int64, ["C", "W"]) for x in (ptr, edges, ends)]
    incidence.walks_around(whole[0], whole[1], whole[2], indices)
    return indices


# ---- files --------------------------------------------------------------------------------------
def _in_space(points: FloatArray) -> FloatArray:
    return np.concatenate([points, np.zeros((len(points), 3 - points.shape[1]))], axis=1)


def _obj(mesh: Mesh) -> str:
    lines = [f"v {x!r} {y!r} {z!r}" for x, y, z in _in_space(mesh.points).tolist()]
    for i in range(mesh.n_polygons):
        heed("writing polygons")
        corners = " ".join(str(v + 1) for v in mesh.polygon(i).tolist())
        lines.append(("l " if len(mesh.polygon(i)) == 2 else "f ") + corners)
    return "\n".join(lines) + "\n"


def _ply(mesh: Mesh) -> str:
    lines = ["ply", "format ascii 1.0", f"element vertex {len(mesh.points)}"]
    lines += [f"property double {c}" for c in "xyz"]
    segments = bool(mesh.n_polygons) and bool((np.diff(mesh.ptr) == 2).all())
    if segments:
        lines += [f"element edge {mesh.n_polygons}", "property int vertex1", "property int vertex2"]
    else:
        lines += [f"element face {mesh.n_polygons}", "property list uchar int vertex_indices"]
    lines.append("end_header")
    lines += [f"{x!r} {y!r} {z!r}" for x, y, z in _in_space(mesh.points).tolist()]
    for i in range(mesh.n_polygons):
        heed("writing polygons")
        corners = " ".join(map(str, mesh.polygon(i).tolist()))
        lines.append(corners if segments else f"{len(mesh.polygon(i))} {corners}")
    return "\n".join(lines) + "\n"


def _vtu(mesh: Mesh) -> str:
    def array(name: str, kind: str, values: Any, components: int = 1) -> str:
        heed("writing polygons")
        text = " ".join(map(repr if kind == "Float64" else str, np.asarray(values).ravel().tolist()))
        many = f' NumberOfComponents="{components}"' if components > 1 else ""
        return f'<DataArray type="{kind}" Name="{name}"{many} format="ascii">{text}</DataArray>'

    many = np.diff(mesh.ptr)
    kinds = np.where(many == 2, 3, 7)  # VTK_LINE, VTK_POLYGON
    data = [
        array(name, "Float64" if np.asarray(v).dtype.kind == "f" else "Int64", v) for name, v in mesh.cell_data.items()
    ]
    if mesh.normals is not None:
        data.append(array("normal", "Float64", mesh.normals, 3))
    return "\n".join(
        [
            '<?xml version="1.0"?>',
            '<VTKFile type="UnstructuredGrid" version="0.1" byte_order="LittleEndian">',
            f'<UnstructuredGrid><Piece NumberOfPoints="{len(mesh.points)}" NumberOfCells="{mesh.n_polygons}">',
            f"<Points>{array('points', 'Float64', _in_space(mesh.points), 3)}</Points>",
            f"<Cells>{array('connectivity', 'Int64', mesh.indices)}",
            f"{array('offsets', 'Int64', mesh.ptr[1:])}",
            f"{array('types', 'UInt8', kinds)}</Cells>",
            f"<CellData>{''.join(data)}</CellData>",
            "</Piece></UnstructuredGrid></VTKFile>",
            "",
        ]
    )
