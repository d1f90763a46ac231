"""Normals of polygons in space: their directions, and which of the two sides they point to.

Directions come from the corners where their rounding cannot turn them, else from corners in rationals. Sides come from
the affine pieces of the network: in floats where these are sure, else in rationals.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from ..._typing import Array, BoolArray, FloatArray, IntArray
from ...budget import heed
from ...numerics import exact
from ...numerics.floats import nearest
from ...numerics.rounding import gamma
from ..breakpoints.ridges import full_predicate
from ..geometry import sizes_of

if TYPE_CHECKING:
    from ..complex import PolyhedralComplex
    from .sets import PolyhedralSet

TURNED = 1e-8
"""Angles by which rounded corners may turn a normal."""


def unit_normals(owner: PolyhedralSet, ptr: IntArray, indices: IntArray) -> FloatArray:
    """(m, 3) unit normals of polygons of a set, the way round that their corners go; `indices` are its vertices."""
    if len(ptr) < 2:
        return np.zeros((0, 3))
    x, sizes = owner.vertices, np.diff(ptr)
    following = np.arange(len(indices)) + 1
    following[ptr[1:] - 1] = ptr[:-1]
    with np.errstate(over="ignore", invalid="ignore"):
        centred = x[indices] - np.repeat(x[indices[ptr[:-1]]], sizes, axis=0)
        total = np.add.reduceat(np.cross(centred, centred[following]), ptr[:-1])  # Newell
        length = np.linalg.norm(total, axis=1)
        error = 8 * owner.vertex_errors + gamma(8) * np.abs(x).max(axis=1)
        reach = np.maximum.reduceat(np.abs(centred).max(axis=1), ptr[:-1])
        sure = TURNED * length > 8 * sizes * np.maximum.reduceat(error[indices], ptr[:-1]) * reach
    result = np.zeros((len(sizes), 3))
    result[sure] = total[sure] / length[sure, None]
    corners: dict[int, Array] = {}
    for p in np.flatnonzero(~sure).tolist():
        heed("normals of thin polygons")
        around = indices[ptr[p] : ptr[p + 1]].tolist()
        for v in around:
            if v not in corners:
                corners[v] = exact.as_fractions(owner.exact_vertex(v))
        result[p] = _exact_normal([corners[v] for v in around])
    return result


def _exact_normal(corners: list[Array]) -> FloatArray:
    """Of a convex polygon: three corners in order that lie on no line tell it."""
    first, *rest = corners
    for one, two in zip(rest, rest[1:]):
        normal = cross(one - first, two - first)
        largest = max(abs(normal))
        if largest:
            near = (normal / largest).astype(np.float64)
            unit: FloatArray = near / np.linalg.norm(near)
            return unit
    return np.zeros(3)


def cross(a: Array, b: Array) -> Array:
    """The vector product of two rows of three rationals."""
    return np.array([a[i - 2] * b[i - 1] - a[i - 1] * b[i - 2] for i in range(3)], dtype=object)


def against(owner: PolyhedralSet, normals: FloatArray) -> BoolArray:
    """Which normals of the polygons of a surface run against what they should follow.

    That is the gradient of the output of a level set; on a decision boundary the gradient of ``f_j - f_i``, i < j; on a
    flat domain one normal of the flat.
    """
    cx = owner.complex
    if cx.dimension == 2:
        wrong: BoolArray = normals @ normals[0] * normals[0, np.abs(normals[0]).argmax()] < 0
        return wrong
    sign = np.zeros(len(normals), dtype=np.int8)
    slopes = _Slopes(cx)
    for combinations in _followed(owner):
        for regions in _sides(owner):
            rest = np.flatnonzero((sign == 0) & (regions >= 0))
            if len(rest):
                sign[rest] = slopes.signs(regions[rest], combinations[rest], normals[rest])
    return sign < 0


def _followed(owner: PolyhedralSet) -> Iterator[FloatArray]:
    """(m, outputs) combinations of the outputs to follow; the later ones where the earlier are constant."""
    m, n_out = owner.f_vector[2], owner.complex.network.architecture[-1]
    if owner._classes is None:
        for g in range(owner._cells.gates.count):
            yield np.tile(owner._cells.gates.combination(g), (m, 1))
    elif n_out == 1:
        yield np.ones((m, 1))
    else:
        tied = owner._classes[2]
        rows, first = np.arange(m), tied.argmax(axis=1)
        for j in range(1, n_out):
            mine = rows[tied[:, j] & (first != j)]
            found = np.zeros((m, n_out))
            found[mine, j], found[mine, first[mine]] = 1.0, -1.0
            yield found


def _sides(owner: PolyhedralSet) -> Iterator[IntArray]:
    """A region that each polygon lies in or next to; then the other one, -1 where there is none."""
    faces, inner = owner.faces(2), owner.complex.dimension
    for side in (0, 1):
        found = np.where(faces[:, 0] == inner, faces[:, 1] if side == 0 else -1, -1)
        walls = np.flatnonzero(faces[:, 0] == 2)
        if len(walls):
            ptr, above = owner.complex._store.covers_above(2)
            at = ptr[faces[walls, 1]] + side
            there = at < ptr[faces[walls, 1] + 1]
            found[walls[there]] = above[at[there]]
        yield found


class _Slopes:
    """Signs of the slopes of combinations of the outputs along normals."""

    def __init__(self, cx: PolyhedralComplex) -> None:
        self.cx, net = cx, cx.network
        self.planes = cx._store.planes(cx.dimension)
        self._predicate = full_predicate(cx)
        with np.errstate(over="ignore", invalid="ignore"):
            if cx._frame.form is not None:
                size = sizes_of(cx._frame)[-1][0]
            else:
                size = np.abs(nearest(cx._frame.network.weights[0]))
                for w in cx._frame.network.weights[1:]:
                    size = np.abs(nearest(w)) @ size
            self.noise = 2.0**-48 * (16 + sum(net.architecture)) * size[-net.architecture[-1] :]

    def signs(self, regions: IntArray, combinations: FloatArray, normals: FloatArray) -> IntArray:
        """(m,) signs, 0 where a combination is constant on its region."""
        own, at = np.unique(regions, return_inverse=True)
        A = self.cx.affine_maps(own)[0][at.reshape(-1)]
        with np.errstate(over="ignore", invalid="ignore"):
            slope = np.einsum("mi,mij->mj", combinations, A)
            along = np.einsum("mj,mj->m", slope, normals)
            error = np.abs(combinations) @ self.noise.sum(axis=1) + 4 * TURNED * np.abs(slope).sum(axis=1)
            sure = np.abs(along) > error
        result = np.where(sure, np.sign(along), 0).astype(np.int64)
        first = int(self._predicate.frame.net.inf) + 1
        for p in np.flatnonzero(~sure & combinations.any(axis=1)).tolist():
            heed("slopes of pieces")
            total = Fraction(0)
            for o in np.flatnonzero(combinations[p]).tolist():
                form = self._predicate.form(first + o, self.planes[regions[p]])
                total += Fraction(float(combinations[p, o])) * sum(
                    (a * Fraction(v) for a, v in zip(form, normals[p].tolist())), Fraction(0)
                )
            result[p] = (total > 0) - (total < 0)
        return result
