"""Distances to cells, balls in them and points inside, in rational arithmetic."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from .._typing import Array, BoolArray, FloatArray, IntArray
from .._values.checked import points_of
from ..budget import heed
from ..kernels.complexes import faces as fk
from ..numerics.floats import directed, nearest, root
from ..numerics.lp import interior_point
from ..numerics.polyhedra import LargestBall, largest_ball, nearest_point
from .breakpoints.ridges import full_predicate
from .geometry import locate_signs

if TYPE_CHECKING:
    from .complex import PolyhedralComplex

Rows = list[list[Fraction]]


def exact_rays(cx: PolyhedralComplex, rows: IntArray | None = None) -> tuple[IntArray, Array]:
    """Edges that go to infinity (all of ``cx.rays`` by default, or these rows), and their exact directions (r, n0) of
    Fractions, in the coordinates of `exact_vertices`."""
    if cx.dimension == 0:
        return np.zeros(0, dtype=np.int64), np.full((0, cx.network.architecture[0]), Fraction(0), dtype=object)
    ids = np.flatnonzero(cx.edges[:, 1] < 0)
    ids = ids if rows is None else ids[rows]
    return ids, exact_directions(cx, cx._edges[ids, 1])


def exact_directions(cx: PolyhedralComplex, ends: IntArray) -> Array:
    """Exact directions (m, n0), Fractions, of skeleton vertices at infinity."""
    n0 = cx.network.architecture[0]
    full = np.full((len(ends), n0), Fraction(0), dtype=object)
    for i, end in enumerate(ends.tolist()):
        heed("exact directions")
        with cx._lock:
            full[i, cx._frame.columns] = list(cx._skeleton._exact_point(int(end))[1])
    zero = np.full((1, n0), Fraction(0), dtype=object)
    found: Array = cx._frame.lifted(full) - cx._frame.lifted(zero)
    return found


CHECKED = 1 << 14
"""Points whose signs are looked at together."""
FAR = Fraction(10) ** 300
"""Size from which the middle of a region may be beyond floats where the region is not."""


def certain_interior_points(cx: PolyhedralComplex, dim: int) -> FloatArray:
    """(f_dim, n0) floats with the signs of their faces, as far as these are not zero; nan where none was found."""
    n0 = cx.network.architecture[0]
    with np.errstate(all="ignore"):
        total, number, push = _vertex_sums(cx, dim)
        length = np.linalg.norm(push, axis=1, keepdims=True)
        found: FloatArray = total / number[:, None] + push / np.where(length > 0, length, 1.0)
    for face in np.flatnonzero(~_have_signs(cx, dim, found)).tolist():
        heed("points inside of faces")
        found[face] = np.nan
        for candidate in _candidates(cx, dim, face):
            if np.isfinite(candidate).all() and _have_signs(cx, dim, candidate.reshape(1, n0), face).all():
                found[face] = candidate
                break
    return found


def _vertex_sums(cx: PolyhedralComplex, dim: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Sums over the closure of each face: vertices, their number, ray directions."""
    n0 = cx.network.architecture[0]
    total, number, push = cx.vertices, np.ones(cx.f_vector[0]), np.zeros((cx.f_vector[0], n0))
    for d in range(dim):
        heed("adding up vertices")
        indptr, indices = cx._store.covers_above(d)
        source = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
        count = cx.f_vector[d + 1]
        above = np.zeros((count, n0)), np.zeros(count), np.zeros((count, n0))
        if d == 0:
            ids, directions = cx.rays
            above[2][ids] = directions
        for sums, values in zip(above, (total, number, push)):
            np.add.at(sums, indices, values[source])
        total, number, push = above
    return total, number, push


def _next_to_the_origin(cx: PolyhedralComplex, region: int, middle: Any) -> Iterator[FloatArray]:
    """Where the middle is beyond floats: the middles of the region within boxes of several sizes around the origin."""
    equal, at_least = system(cx, region)
    if max(map(abs, middle)) < FAR or equal:
        return
    n = len(middle)
    sides = np.concatenate([np.eye(n), -np.eye(n)])
    for power in (0, 1000, -40, 40, 500, -500, -1000):
        reach, rows = Fraction(2) ** power, []
        for *row, constant in at_least:
            size = max(map(abs, row))  # in units of the box; a constant beyond it says all or nothing
            rows.append(
                [*(v / size for v in row), min(max(constant / (size * reach), Fraction(-2 * n)), Fraction(2 * n))]
            )
        given = nearest(np.array(rows, dtype=object))
        found = interior_point(np.concatenate([-given[:, :-1], sides]), np.concatenate([given[:, -1], np.ones(2 * n)]))
        if found is not None and found[1] > 0:
            yield found[0] * float(reach)


def _have_signs(cx: PolyhedralComplex, dim: int, points: FloatArray, face: int | None = None) -> BoolArray:
    """Whether points certainly have the signs of their faces (of one face) that are not zero."""
    store = cx._store
    planes = store.planes(dim) if face is None else store.planes(dim)[face : face + 1]
    good = np.zeros(len(points), dtype=np.bool_)
    for start in range(0, len(points), CHECKED):
        heed("the signs of points inside of faces")
        rows = start + np.flatnonzero(np.isfinite(points[start : start + CHECKED]).all(axis=1))
        signs = store.to_signs(planes[rows])
        there = locate_signs(cx._frame, points[rows], cx._skeleton.predicate, signs != 0)
        good[rows] = ((there == signs) | (signs == 0)).all(axis=1)
    return good


def _candidates(cx: PolyhedralComplex, dim: int, face: int) -> Iterator[FloatArray]:
    """Floats that may lie inside of a face: near its exact middle, farther out along its rays, the centre of a ball."""
    store = cx._store
    mine = np.empty(cx.f_vector[0], dtype=np.bool_)
    fk.in_closure(store.planes(dim), face, store.planes(0), mine)
    corners = cx.exact_vertices(np.flatnonzero(mine))
    middle = corners.sum(axis=0) / Fraction(len(corners))
    rays = np.zeros(0, dtype=np.int64)
    if dim:
        ids, _ = cx.rays
        mine = np.empty(len(ids), dtype=np.bool_)
        fk.in_closure(store.planes(dim), face, np.ascontiguousarray(store.planes(1)[ids]), mine)
        rays = np.flatnonzero(mine)
    if not len(rays):
        yield nearest(middle)
        if dim == cx.dimension:
            yield nearest(np.array(region_ball(cx, face).center, dtype=object))
            yield from _next_to_the_origin(cx, face, middle)
        return
    along = exact_rays(cx, rays)[1]
    yield nearest(middle + along.sum(axis=0))
    if dim == cx.dimension:
        yield from _next_to_the_origin(cx, face, middle + along.sum(axis=0))
    push = (along / np.abs(along).max(axis=1)[:, None]).sum(axis=0)
    push = push / max(abs(push)) if any(push) else push
    size = max(abs(middle))
    for far in (Fraction(1), size / 2, size, size * 2**20, size / 2**20, size / 2**40):
        yield nearest(middle + far * push)


def exact_interior_points(cx: PolyhedralComplex, dim: int) -> Array:
    """(f_dim, n0) Fractions: the mean of the vertices of each face plus the sum of its rays, certainly in its relative
    interior.
    """
    n0 = cx.network.architecture[0]
    total = cx.exact_vertices()
    number = np.ones(len(total), dtype=object)
    push: Any = np.full((len(total), n0), Fraction(0), dtype=object)
    for d in range(dim):
        heed("adding up vertices")
        indptr, indices = cx._store.covers_above(d)
        source = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
        above = [np.full((cx.f_vector[d + 1], n0), Fraction(0), dtype=object) for _ in range(2)]
        count = np.zeros(cx.f_vector[d + 1], dtype=object)
        if d == 0:
            ids, directions = exact_rays(cx)
            above[1][ids] = directions
        np.add.at(above[0], indices, total[source])
        np.add.at(above[1], indices, push[source])
        np.add.at(count, indices, number[source])
        total, push, number = above[0], above[1], count
    result: Array = total * np.array([Fraction(1, int(k)) for k in number], dtype=object)[:, None] + push
    return result


def system(cx: PolyhedralComplex, region: int) -> tuple[Rows, Rows]:
    """Exact equations of a region (of a flat domain) and its irredundant inequalities, constants last."""
    store, frame = cx._store, cx._frame
    planes = store.planes(cx.dimension)[region]
    own = store.to_signs(planes[None])[0]
    predicate = full_predicate(cx)

    def form(column: int) -> list[Fraction]:
        return predicate.form(column + frame.n_domain if column < frame.n_neurons else column - frame.n_neurons, planes)

    at_least = []
    for c in cx.h_representation(region).facets.tolist():
        at_least.append(form(c) if own[c] > 0 else [-v for v in form(c)])
    return frame.equations, at_least


def region_distance(cx: PolyhedralComplex, x: Any, region: int) -> tuple[float, FloatArray]:
    """Distance of a point to a closed region, rounded once, and the nearest point."""
    given = points_of(x, cx.network.architecture[0], single=True, exact=True)
    start = [Fraction(v) for v in given.tolist()]
    squared, at = nearest_point(*system(cx, region), start)
    if squared == 0:
        return 0.0, nearest(given)
    return float(nearest(np.array([root(squared)], dtype=object))[0]), nearest(np.array(at, dtype=object))


def region_ball(cx: PolyhedralComplex, region: int) -> LargestBall:
    """A ball in a region that is as large as floats find it, with what is proved of its radius."""
    equal, at_least = system(cx, region)
    corner = cx.exact_vertices(cx.v_representation(region).vertex_ids[: cx.dimension + 1])
    inside = [sum(column, Fraction(0)) / len(corner) for column in corner.T]
    return largest_ball(equal, at_least, inside)


def rounded_ball(ball: LargestBall) -> tuple[FloatArray, float]:
    """A float next to the centre, and a radius that holds about it."""
    center = nearest(np.array(ball.center, dtype=object))
    if not np.isfinite(center).all() or math.isinf(ball.radius):
        return center, ball.radius
    moved = sum(((Fraction(float(c)) - v) ** 2 for c, v in zip(center, ball.center)), Fraction(0))
    return center, max(0.0, directed(Fraction(ball.radius) - root(moved, up=True), up=False))
