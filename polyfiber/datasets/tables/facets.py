"""Table ``facets``: where the function bends and by how much (the breakpoint complex), and where it could but does
not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..checks import cell_geometry, whole
from ..checks.faces import Unclear
from ..fields import boolean
from ..storage.arrow import pyarrow
from .base import BATCH_ROWS, Beside, Column, Item, Option, Options, Table, Unsure


def _rows(items: Sequence[Item], options: Options) -> Iterator[Any]:
    (item,) = items
    cx = item.complex
    # 110 bytes a face: points, forms and incidences (measured on 3-24-24-1)
    item.check_memory(item.held + sum(cx.f_vector) * (cx._store.bytes_per_face + 110), "the table of facets")
    if cx.dimension == 0:
        return
    bends = cx.breakpoint_complex()
    d = cx.dimension
    ids = np.sort(np.concatenate([bends.facets, bends.invisible])) if options["invisible"] else bends.facets
    points = cx.interior_points(d - 1)
    sizes = np.where(cx.is_unbounded(d - 1), np.inf, 1.0)
    if options["sizes"] and not cx.lineality_dimension:
        sizes = cx.polytopes.sizes(d - 1)
    layers = np.repeat(np.arange(len(item.network.hidden_widths)), item.network.hidden_widths)
    first = np.concatenate([[0], np.cumsum(item.network.hidden_widths)])
    for start in range(0, len(ids), BATCH_ROWS):
        part = ids[start : start + BATCH_ROWS]
        neurons, weights, forms, above = bends.columns_of(part)
        columns: dict[str, Any] = {
            "network": np.full(len(part), item.id),
            "facet": part,
            "layer": (layers[neurons] + 1).astype(np.int16),
            "neuron": (neurons - first[layers[neurons]]).astype(np.int32),
            "visible": (weights != 0).any(axis=1),
            "weight": weights,
            "normal": forms[:, :-1],
            "offset": -forms[:, -1],
            "point": points[part],
            "positive": above[:, 0],
            "negative": above[:, 1],
            "bounded": np.isfinite(sizes[part]) & (cx.lineality_dimension == 0),
        }
        if options["sizes"]:
            lost = ~np.isfinite(sizes[part]) | (cx.lineality_dimension > 0)
            columns["size"] = pyarrow().array(sizes[part], mask=lost)
        yield TABLE.batch(options, columns)


def _check(item: Item, rows: Sequence[Mapping[str, Any]], options: Options) -> Iterator[str]:
    """The jump of the gradient across the facet, from activations on both sides of a point of it.

    Facets that are thinner than rounding, or share their place with another wall, are not judged.
    """
    net = item.network.rounded()
    ends = np.concatenate([[0], np.cumsum(net.hidden_widths)])
    for row in rows:
        normal, point = np.array(row["normal"]), np.array(row["point"])
        where = f"facet {row['facet']}"
        if not len(normal) == len(point) == net.architecture[0] or len(row["weight"]) != net.architecture[-1]:
            yield f"{where}: {len(normal)}, {len(point)} and {len(row['weight'])} entries of normal, point and weight"
            continue
        size = 1.0 + float(np.abs(point).max())
        if not abs(normal @ point - row["offset"]) <= cell_geometry.NEAR * size:
            yield f"{where}: its point is off its hyperplane by {abs(normal @ point - row['offset']):.3g}"
        sides = _sides(net, point, normal, 1e-9 * size)
        if sides is None:
            yield Unsure("thinner than rounding: nothing can be said from points")
            continue
        plus, minus = sides
        own = int(ends[row["layer"] - 1]) + row["neuron"]
        changed = np.flatnonzero(plus != minus)
        if len(changed) > 1 and own in changed:
            yield Unsure("several walls within a step: which of them bend cannot be told from points")
            continue
        gradient = cell_geometry.masked_forms(net, plus)[0][own, :-1]
        terms = cell_geometry.masked_forms(net, plus, absolute=True)[0][own, :-1]
        length = float(np.linalg.norm(gradient))
        clear = length > cell_geometry.NEAR * float(np.linalg.norm(terms))  # else rounding may have turned it
        if not (plus[own] > 0 > minus[own]):
            yield f"{where}: neuron {row['neuron']} of layer {row['layer']} does not change its sign there"
        elif clear and not np.abs(gradient / length - normal).max() <= cell_geometry.NEAR:
            yield f"{where}: its normal is not the direction in which its neuron grows"
        jump = (cell_geometry.masked_forms(net, plus)[1] - cell_geometry.masked_forms(net, minus)[1])[:, :-1]
        weight = np.array(row["weight"])
        scale = 1.0 + float(np.abs(jump).max())
        if not np.abs(jump - np.outer(weight, normal)).max() <= cell_geometry.NEAR * scale:
            yield f"{where}: weight {weight.tolist()}, but the gradient jumps by {(jump @ normal).tolist()}"
        yield from (f"{where}: {text}" for text in _polytope(item, row, plus, own, options))
        if row["visible"] != bool((weight != 0).any()):
            yield f"{where}: visible is {row['visible']} with weight {weight.tolist()}"


def _whole(item: Item, rows: Any, options: Options, beside: Beside) -> Iterator[str]:
    """As many facets of each neuron as there are, where none lies on two walls; and none twice."""
    places = [tuple(place) for place in zip(*(rows.column(name).to_pylist() for name in ("layer", "neuron", "facet")))]
    if len({facet for *_, facet in places}) < len(places):
        yield "facets with the same number"
    yield from _regions_beside(item, rows, places, options, beside)
    if not options["invisible"]:
        yield Unsure("whether facets are missing: only the visible ones are in the table")
        return
    try:  # of n regions, at most 2 n facets in the plane; more in more dimensions
        regions, facets = whole.all_signs(
            item.network, item.domain, 1 + len(places) // max(1, item.network.architecture[0])
        )
    except Unclear as error:
        yield Unsure(f"whether facets are missing: {error}")
        return
    hidden = item.network.n_hidden
    inner = ~(facets[:, hidden:] == 0).any(axis=1)  # on a side of the domain there is one region, and nothing bends
    zero = facets[inner, :hidden] == 0
    if (regions[:, :hidden] == 0).any() or (zero.sum(axis=1) > 1).any():
        yield Unsure("whether facets are missing: some lie on several walls")
        return
    ends = np.concatenate([[0], np.cumsum(item.network.hidden_widths)])
    found = np.bincount([int(ends[layer - 1]) + neuron for layer, neuron, _ in places], minlength=hidden)
    expected = zero.sum(axis=0)
    if len(found) > hidden or (found != expected).any():
        yield f"{found.sum()} facets of hidden neurons in the file; expected {expected.sum()}, so many of each: {expected.tolist()}"


def _regions_beside(
    item: Item, rows: Any, places: Sequence[tuple[int, int, int]], options: Options, beside: Beside
) -> Iterator[str]:
    """The regions on both sides: their signs are those a step away from the facet; the cells' own, where these are in
    the dataset.

    Where they are not, a number has to stand for the same signs everywhere, and the numbers are 0, 1, … without a gap.
    """
    cells = beside("cells", ["cell", "signs"])
    hidden = item.network.n_hidden
    known: dict[int, Any] = {}
    if cells is not None:
        for cell, signs in zip(cells.column("cell").to_pylist(), cells.column("signs").to_pylist()):
            known[cell] = np.array(signs[:hidden])
    net, ends, terms = item.network.rounded(), np.concatenate([[0], np.cumsum(item.network.hidden_widths)]), {}
    numbers, unclear = [rows.column(name).to_pylist() for name in ("positive", "negative")], False
    points = zip(rows.column("point").to_pylist(), rows.column("normal").to_pylist())
    for i, ((layer, neuron, facet), (point, normal)) in enumerate(zip(places, points)):
        x, direction = np.array(point), np.array(normal)
        step = 1e-9 * (1.0 + float(np.abs(x).max(initial=0.0)))
        sides = _sides(net, x, direction, step) if len(x) == len(direction) == net.architecture[0] else None
        if sides is None or np.flatnonzero(sides[0] != sides[1]).tolist() != [int(ends[layer - 1]) + neuron]:
            unclear = True
            continue
        for signs, number, t, side in zip(
            sides, (numbers[0][i], numbers[1][i]), (step, -step), ("positive", "negative")
        ):
            if (key := signs.tobytes()) not in terms:
                terms[key] = (
                    cell_geometry.masked_forms(net, signs),
                    cell_geometry.masked_forms(net, signs, absolute=True),
                )
            (forms, _), (sizes, _) = terms[key]
            at = np.append(x + t * direction, 1.0)
            clear = np.where(np.abs(forms @ at) > 1e-13 * (sizes @ np.abs(at)), signs, 0)
            if cells is not None and number not in known:
                yield f"facet {facet}: {side} is {number}, which is no cell of the table cells"
                continue
            other = known.setdefault(number, clear)
            if (clear * other < 0).any():
                yield f"facet {facet}: {side} is region {number}, whose signs are others than those on that side of it"
            elif cells is None:
                known[number] = np.where(other == 0, clear, other)
    if unclear:
        yield Unsure("which regions some facets lie between: walls closer together than floats can tell")
    elif cells is None and options["invisible"] and places:
        whole_signs = [v.tobytes() for v in known.values() if v.all()]
        if len(set(whole_signs)) < len(whole_signs):
            yield "regions beside facets with two numbers for one region"
        if set(known) != set(range(len(known))):
            yield f"regions beside facets are numbered {sorted(known)[:8]}…; expected 0 to {len(known) - 1}"


def _polytope(item: Item, row: Mapping[str, Any], signs: Any, own: int, options: Options) -> Iterator[str]:
    """Boundedness and size of the facet: cdd on the inequalities of a region beside it, in the plane of the facet."""
    domain = 0 if item.domain is None else len(item.domain.b)
    A, b = cell_geometry.halfspaces(item.network, item.domain, np.concatenate([signs, np.ones(domain)]))
    A, b = np.delete(A, own, axis=0), np.delete(b, own)
    normal, point = np.array(row["normal"]), np.array(row["point"])
    plane = np.linalg.svd(normal[None, :])[2][1:].T
    if not plane.shape[1]:
        bounded, size = True, 1.0
    else:
        A, b = A @ plane, b - A @ point
        if np.linalg.matrix_rank(A, tol=1e-9) < plane.shape[1]:
            bounded, size = False, None
        else:
            vertices, rays = cell_geometry.generators(A, b)
            bounded = not len(rays)
            size = cell_geometry.hull_volume(vertices) if bounded and len(vertices) > plane.shape[1] else None
    if row["bounded"] != bounded:
        yield f"bounded is {row['bounded']}; cdd finds it {'bounded' if bounded else 'unbounded'}"
    elif options["sizes"] and (row["size"] is None) == bounded:
        yield f"bounded is {row['bounded']}, the size {row['size']}"
    elif options["sizes"] and bounded and size is not None and not abs(size - row["size"]) <= 1e-5 * size:
        yield f"size {row['size']:.9g} in the file, {size:.9g} of the hull"


def _sides(net: Any, point: Any, normal: Any, step: float) -> tuple[Any, Any] | None:
    """Sign vectors a step to both sides, if a step ten times as long finds the same ones."""
    depth = len(net.hidden_widths)
    found = []
    for t in (step, -step, 10 * step, -10 * step):
        z = net.preactivations(point + t * normal)[:depth]
        found.append(np.sign(np.concatenate([np.ravel(v) for v in z])))
    plus, minus, far_plus, far_minus = found
    if not (np.array_equal(plus, far_plus) and np.array_equal(minus, far_minus)):
        return None
    return plus, minus


TABLE = Table(
    name="facets",
    doc=(
        "One row per facet of a hidden neuron: a piece of its bent hyperplane between two regions. Visible facets make "
        "the breakpoint complex. Across a facet the linear part of the network jumps by weight * normal^T."
    ),
    columns=(
        Column("network", "int64", "Number of the network in the dataset.", "id"),
        Column("facet", "int64", "Number of the facet within the network.", "id"),
        Column("layer", "int16", "Hidden layer of its neuron, from 1."),
        Column("neuron", "int32", "Position of its neuron in the layer, from 0.", "id"),
        Column("visible", "bool", "Whether the function bends there: the weight is not zero."),
        Column("weight", "list<float64>", "Weight c(F): the jump of the gradient of each output.", "output/input"),
        Column("normal", "list<float64>", "Unit normal, towards the positive side of the neuron."),
        Column("offset", "float64", "The facet lies in normal . x = offset.", "input"),
        Column("point", "list<float64>", "A point in the relative interior.", "input"),
        Column("positive", "int64", "Region (column `cell` of the table cells) on the positive side.", "id"),
        Column("negative", "int64", "Region on the negative side.", "id"),
        Column("bounded", "bool", "Whether the facet is bounded."),
        Column("size", "float64", "Volume of the facet; null where unbounded.", "input^(n0-1)", True, "sizes"),
    ),
    rows=_rows,
    check=_check,
    whole=_whole,
    identity=("layer", "neuron", "facet", "positive", "negative", "point", "normal"),
    provenance=("facet",),
    options=(
        Option("invisible", True, boolean, "Facets of weight zero too."),
        Option("sizes", True, boolean, "Volumes of the bounded facets."),
    ),
)
