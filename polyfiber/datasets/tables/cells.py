"""Table ``cells``: regions as polytopes, with the affine map on each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ...complexes.complex import PolyhedralComplex
from ..checks import cell_geometry, whole
from ..checks.faces import Unclear
from ..fields import boolean
from ..storage.arrow import lists, pyarrow
from .base import BATCH_ROWS, Beside, Column, Item, Option, Options, Table, Unsure

SMALL = 1e-5
"""Radius of the inscribed ball, relative to the size of its centre, below which only the existence of a point is
checked.
"""

EXACT = 1e-9
"""Difference that rounding may cause in an entry of a map, relative to the terms it is summed from."""


def _rows(items: Sequence[Item], options: Options) -> Iterator[Any]:
    (item,) = items
    cx = item.complex
    d = cx.dimension
    deep = options["vertices"] or options["volumes"]
    faces = sum(cx.f_vector) if deep else sum(cx.f_vector[max(0, d - 1) :])
    tables = faces * (cx._store.bytes_per_face + 8) + cx.n_regions * _bytes(cx, options)
    rows = 3 * min(cx.n_regions, BATCH_ROWS) * _row(cx, options)  # a batch is put together from its columns
    item.check_memory(item.held + tables + rows, "the table of cells")
    yield from region_batches(item.id, cx, options)


def _bytes(cx: PolyhedralComplex, options: Options) -> int:
    """Bytes of incidences per region: facets, vertices and rays of a simple complex, on the average."""
    n = cx.dimension
    per = 4 * 2 * (n + 1)
    return per * (1 + (2**n if options["vertices"] else 0)) + (8 * n * (n + 1) if options["volumes"] else 0)


def _row(cx: PolyhedralComplex, options: Options) -> int:
    """Bytes of a row, on the average."""
    n, n0, regions = cx.dimension, cx.network.architecture[0], max(1, cx.n_regions)
    walls = 2 * cx.f_vector[-2] // regions if n else 0
    points = 8 * n0 * ((cx.f_vector[0] << n) // regions)
    affine = 8 * (n0 + 1) * cx.network.architecture[-1]
    return (
        cx.network.n_hidden
        + cx._frame.n_domain
        + 32
        + (affine if options["affine"] else 0)
        + (walls * (12 + 8 * n0) if options["inequalities"] else 0)
        + (points if options["vertices"] else 0)
    )


def region_batches(network: int, cx: PolyhedralComplex, options: Options, *, first: int = 0) -> Iterator[Any]:
    """Record batches of all regions of a complex, or of a block of one; ``first`` is the number of its first cell."""
    unbounded = cx.is_unbounded(cx.dimension)
    if cx.lineality_dimension:
        unbounded = np.ones(cx.n_regions, dtype=np.bool_)
    owned = cx._store.is_owned(cx.dimension)
    for start in range(0, cx.n_regions, BATCH_ROWS):
        stop = min(start + BATCH_ROWS, cx.n_regions)
        batch = _batch(network, cx, unbounded, options, start, stop, first)
        if not owned[start:stop].all():  # a region where a neuron of the block's path vanishes lies in one block only
            batch = batch.filter(pyarrow().array(owned[start:stop]))
            number = np.arange(first + start, first + start + len(batch))
            batch = batch.set_column(1, batch.schema.field(1), pyarrow().array(number))
            first -= stop - start - len(batch)
        yield batch


def _of_block(item: Item, cx: PolyhedralComplex, options: Options, first: int) -> Iterator[Any]:
    yield from region_batches(item.id, cx, options, first=first)


def _batch(
    network: int, cx: PolyhedralComplex, unbounded: Any, options: Options, start: int, stop: int, first: int
) -> Any:
    rows = np.arange(start, stop)
    store, part = cx._store, slice(start, stop)
    columns: dict[str, Any] = {
        "network": np.full(len(rows), network),
        "cell": rows + first,
        "dimension": np.full(len(rows), cx.network.architecture[0], dtype=np.int16),
        "bounded": ~unbounded[part],
        "signs": store.to_signs(store.planes(cx.dimension)[part]),
    }
    if options["affine"]:
        A, a = cx.affine_maps(rows)
        columns |= {"A": A.reshape(len(rows), -1), "a": a}
    if options["inequalities"]:
        h = cx.polytopes.inequalities(start, stop)
        columns["walls"] = lists(h.columns.astype(np.int32), h.indptr, type="list<int32>")
        columns["normals"] = lists(h.A, h.indptr * h.A.shape[1], type="list<float64>")
        columns["offsets"] = lists(h.b, h.indptr, type="list<float64>")
    if options["vertices"]:
        columns["vertices"] = _points(*cx.polytopes.vertices, cx.vertices, start, stop)
        columns["rays"] = _points(*cx.polytopes.rays, cx.rays[1], start, stop)
    if options["volumes"]:
        volumes = cx.volumes()[part]
        columns["volume"] = _nullable(volumes)
    return TABLE.batch(options, columns)


def _points(indptr: Any, indices: Any, points: Any, start: int, stop: int) -> Any:
    ends = indptr[start : stop + 1]
    return lists(points[indices[ends[0] : ends[-1]]], (ends - ends[0]) * points.shape[1], type="list<float64>")


def _nullable(values: Any) -> Any:
    return pyarrow().array(values, mask=~np.isfinite(values))


def _check(item: Item, rows: Sequence[Mapping[str, Any]], options: Options) -> Iterator[str]:
    """Forms by masked products, points by linear programs, vertices by cdd, volumes of hulls."""
    for row in rows:
        A, b = cell_geometry.halfspaces(item.network, item.domain, row["signs"])
        where = f"cell {row['cell']}"
        ball = cell_geometry.inner_ball(A, b)
        if ball is None:
            if cell_geometry.inner_ball(A, b + cell_geometry.NEAR * (1 + np.abs(b))) is None:
                yield f"{where}: no point has these signs, nor nearly"
            else:
                yield Unsure("thinner cells than floats can tell from none")
            continue
        if ball[1] <= SMALL * (1.0 + np.abs(ball[0]).max()):
            yield Unsure("thinner cells than floats can tell from none")
            continue
        for text in _disagreements(item, row, A, b, *ball, options):
            yield text if isinstance(text, Unsure) else f"{where}: {text}"


def _whole(item: Item, rows: Any, options: Options, beside: Beside) -> Iterator[str]:
    """All regions, each once."""
    signs = rows.column("signs").to_pylist()
    try:
        expected, _ = whole.all_signs(item.network, item.domain, len(signs))
    except Unclear as error:
        yield Unsure(f"whether cells are missing: {error}")
        return
    width = expected.shape[1]
    if any(len(row) != width for row in signs):
        yield f"signs of cells that are not of {width} neurons and inequalities"
        return
    yield from whole.disagreements(np.array(signs, dtype=np.int8).reshape(-1, width), expected, "cells")


def _disagreements(
    item: Item, row: Mapping[str, Any], A: Any, b: Any, x: Any, radius: float, options: Options
) -> Iterator[str]:
    n0 = item.network.architecture[0]
    depth = len(item.network.hidden_widths)
    z = np.concatenate([np.zeros(0), *(np.ravel(v) for v in item.network.rounded().preactivations(x)[:depth])])
    if not np.array_equal(np.sign(z), row["signs"][: len(z)]):
        yield f"the signs are others at {x.tolist()}, a point inside"
    if options["affine"]:
        yield from _map(item, row)
    if options["affine"] and len(row["a"]) == item.network.architecture[-1]:
        map_, constant = np.reshape(row["A"], (-1, n0)), np.array(row["a"])
        points = x + 0.5 * radius * np.concatenate([np.zeros((1, n0)), np.eye(n0) / np.sqrt(n0)])
        values = item.network.rounded()(points)
        size = 1.0 + np.abs(values).max() + np.abs(map_).max() * np.abs(points).max()
        if not np.abs(points @ map_.T + constant - values).max() <= cell_geometry.NEAR * size:
            yield "the affine map and the network differ inside"
    if options["inequalities"]:
        yield from _inequalities(row, A, b, n0)
    if row["dimension"] != n0:
        yield f"dimension {row['dimension']}; a region has {n0}"
    if np.linalg.matrix_rank(A, tol=1e-9) < n0:
        if row["bounded"] or (options["volumes"] and row["volume"] is not None):
            yield "bounded, but no wall cuts some direction"
        return
    vertices, rays = cell_geometry.generators(A, b)
    if options["vertices"]:
        points, directions = np.reshape(row["vertices"], (-1, n0)), np.reshape(row["rays"], (-1, n0))
        if not (cell_geometry.covered(vertices, points) and cell_geometry.extreme(A, b, points, tight=n0)):
            yield f"{len(points)} vertices in the file; cdd finds others ({len(vertices)})"
        if not (cell_geometry.covered(rays, directions) and cell_geometry.extreme(A, 0 * b, directions, tight=n0 - 1)):
            yield f"{len(directions)} rays in the file; cdd finds others ({len(rays)})"
        if not cell_geometry.as_many(points, vertices):
            yield f"{len(points)} vertices in the file, some of them twice; cdd finds {len(vertices)}"
        edges = cell_geometry.unbounded_edges(A, b, vertices, rays)
        if edges is None:
            yield Unsure("how many unbounded edges share a direction")
        elif sum(edges) != len(directions) or not cell_geometry.covered(directions, np.repeat(rays, edges, axis=0)):
            yield f"{len(directions)} rays in the file; expected one for each of {sum(edges)} unbounded edges"
        else:
            yield from _shares(directions, rays, edges)
    if row["bounded"] != (len(rays) == 0):
        yield f"bounded is {row['bounded']}; cdd finds {len(rays)} rays"
    if options["volumes"] and (row["volume"] is None) == row["bounded"]:
        yield f"bounded is {row['bounded']}, the volume {row['volume']}"
    elif options["volumes"] and row["bounded"]:
        volume = cell_geometry.hull_volume(vertices)
        if not abs(volume - row["volume"]) <= 1e-5 * volume:
            yield f"volume {row['volume']:.9g} in the file, {volume:.9g} of the hull"


def _shares(directions: Any, rays: Any, edges: Sequence[int]) -> Iterator[str]:
    """Each direction as often as edges run along it."""
    if not len(rays):
        return
    nearest = np.abs(directions[:, None, :] - rays[None, :, :]).max(axis=2).argmin(axis=1)
    if np.bincount(nearest, minlength=len(rays)).tolist() != list(edges):
        yield f"rays in the file are of other edges; expected {list(edges)} along the directions that cdd finds"


def _map(item: Item, row: Mapping[str, Any]) -> Iterator[str]:
    """The map of the products of masked weights, compared entry by entry: also where the cell is small and values tell
    little.
    """
    signs = row["signs"]
    expected = cell_geometry.masked_forms(item.network, signs)[1]
    terms = cell_geometry.masked_forms(item.network, signs, absolute=True)[1]
    if not np.isfinite(terms).all():
        yield Unsure("affine maps whose terms are beyond floats")
        return
    if len(row["A"]) != expected[:, :-1].size or len(row["a"]) != len(expected):
        yield f"{len(row['A'])} and {len(row['a'])} entries of the affine map; expected {expected[:, :-1].size} and {len(expected)}"
        return
    found = np.column_stack([np.reshape(row["A"], (len(expected), -1)), row["a"]])
    if not (np.abs(found - expected) <= EXACT * terms + 1e-300).all():
        yield "the affine map is not that of its signs"


def _inequalities(row: Mapping[str, Any], A: Any, b: Any, n0: int) -> Iterator[str]:
    walls = np.array(row["walls"], dtype=np.int64)
    normals, offsets = np.reshape(row["normals"], (-1, n0)), np.array(row["offsets"])
    if len(set(walls.tolist())) < len(walls) or not len(walls) == len(normals) == len(offsets) or (walls < 0).any():
        yield f"{len(walls)} walls, {len(normals)} normals, {len(offsets)} offsets; expected one of each, and each wall once"
        return
    if not np.abs(A[walls] - normals).max(initial=0.0) <= cell_geometry.NEAR or not np.allclose(
        b[walls], offsets, rtol=1e-6
    ):
        yield "an inequality is not that of its neuron on this cell"
        return
    for i in range(len(walls)):
        if cell_geometry.needed(normals, offsets, i) < -1e-9 * (1 + abs(offsets[i])):
            yield f"inequality {i} (column {walls[i]}) cuts nothing"
    others = np.setdiff1d(np.flatnonzero(np.abs(A).max(axis=1) > 0), walls)
    for k in others.tolist():
        rows, bounds = np.concatenate([normals, A[k : k + 1]]), np.append(offsets, b[k])
        if cell_geometry.needed(rows, bounds, len(walls)) > cell_geometry.NEAR * (1 + abs(b[k])):
            yield f"an inequality of column {k} is missing"


TABLE = Table(
    name="cells",
    doc=(
        "One row per region of a canonical complex. Points and forms are flat lists, one point after another; their "
        "length is a multiple of the number n0 of inputs. Where the complex has lineality, vertices and rays are those "
        "of the section of least norm."
    ),
    columns=(
        Column("network", "int64", "Number of the network in the dataset.", "id"),
        Column("cell", "int64", "Number of the region within the network.", "id"),
        Column("dimension", "int16", "Dimension of the region in the inputs."),
        Column("bounded", "bool", "Whether the region is bounded."),
        Column(
            "signs", "list<int8>", "Signs of the hidden neurons, layer by layer, then of the domain facets.", "sign"
        ),
        Column(
            "A", "list<float64>", "Linear part of the network on the region, by rows.", "output/input", option="affine"
        ),
        Column("a", "list<float64>", "Constant of the network on the region.", "output", option="affine"),
        Column(
            "walls", "list<int32>", "Entry of `signs` that each inequality belongs to.", "id", option="inequalities"
        ),
        Column(
            "normals",
            "list<float64>",
            "Irredundant inequalities normal . x <= offset: outer normals of length 1, one after another.",
            option="inequalities",
        ),
        Column("offsets", "list<float64>", "Right-hand sides of the inequalities.", "input", option="inequalities"),
        Column("vertices", "list<float64>", "Vertices, one after another.", "input", option="vertices"),
        Column(
            "rays",
            "list<float64>",
            "Directions of length 1, one for each unbounded edge: parallel edges repeat theirs.",
            option="vertices",
        ),
        Column("volume", "float64", "Volume; null where unbounded.", "input^n0", nullable=True, option="volumes"),
    ),
    rows=_rows,
    check=_check,
    whole=_whole,
    identity=("signs",),
    provenance=("cell",),
    blocks=_of_block,
    options=(
        Option("affine", True, boolean, "The affine map on each region."),
        Option("inequalities", True, boolean, "Irredundant inequalities of each region."),
        Option("vertices", True, boolean, "Vertices and rays of each region."),
        Option("volumes", True, boolean, "Volumes of the bounded regions."),
    ),
)
