"""Points and rays that a complex has given out, in the inputs, against its vertices: each within the bound beside it.

Vertices are solved again in the quotient, and lifted to the inputs in the longest floats; what these do not tell is
decided in rationals. No coordinate may be no number, and no bound wider than what is given out beside floats: infinite
where a coordinate is, else a millionth of the point.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from ... import words
from ..._typing import Array, BoolArray, FloatArray, IntArray
from ...budget import heed
from ...numerics.floats import nearest
from ...numerics.products import exact_product
from ...numerics.rounding import LEAST
from ..skeleton.arrays import Frame
from ..skeleton.build import Skeleton
from ..skeleton.lifts import LONG as MANY
from ..skeleton.lifts import Lift, unit
from .points import BATCH, LONG, Forms, distance_bounds

if TYPE_CHECKING:
    from ..complex import PolyhedralComplex

OF_RAYS = 1e-9
"""Bound of the error of a unit direction."""
ROOM = 1e-6
"""Share of it that the check may add by itself."""
WIDE = 1e-6
"""Share of a point that its bound may be: what is wider is solved in rationals before it is given out."""
FAINT = 1.001e-300
"""And where that is less."""


class _Lifted:
    """The lift in the longest floats, with errors of its entries."""

    def __init__(self, frame: Frame) -> None:
        n0, d = frame.network.architecture[0], frame.n
        self.frame = frame
        if d == n0:
            self.linear, self.shift = np.eye(n0, dtype=np.longdouble), np.zeros(n0, dtype=np.longdouble)
            self.off = np.zeros((n0, d + 1))
            return
        if d * d * n0 > MANY and frame.hull is None and frame.rows.dtype != object:
            near = Lift.of(frame)
            entries = np.concatenate([near.linear, near.shift[:, None]], axis=1).astype(np.longdouble)
            self.off = np.concatenate([near.linear_errors, near.shift_errors[:, None]], axis=1)
        else:
            entries = _longest(frame.lift)
            self.off = LONG * np.abs(entries).astype(np.float64) + 16 * LEAST
        self.linear, self.shift = entries[:, :-1], entries[:, -1]

    def at(self, q: FloatArray, off: FloatArray, *, hom: float) -> tuple[Any, FloatArray]:
        """Where points (hom 1) or directions (hom 0) of the quotient go, and bounds (m, n0) for all within ``off`` (m,)
        of them.
        """
        size = np.abs(self.linear).astype(np.float64)
        with np.errstate(all="ignore"):
            found = q.astype(np.longdouble) @ self.linear.T + hom * self.shift
            wide = np.abs(q) @ size.T + hom * np.abs(self.shift).astype(np.float64)
            error = np.abs(q) @ self.off[:, :-1].T + hom * self.off[:, -1] + (q.shape[1] + 4) * LONG * wide + 16 * LEAST
            error += off[:, None] * (size + self.off[:, :-1]).sum(axis=1)
            return found, error * (1 + 1e-12)


def _longest(values: Array) -> Any:
    """Rationals in the longest floats, each as a sum of two."""
    high = nearest(values)
    kept = np.where(np.isfinite(high), high, 0.0)
    rest = np.array([v - Fraction(h) for v, h in zip(values.ravel(), kept.ravel().tolist())], dtype=object)
    low = nearest(rest.reshape(values.shape)) if values.size else kept
    return np.where(np.isfinite(high), kept.astype(np.longdouble) + low, np.nan)


def check_given(cx: PolyhedralComplex, again: Skeleton, problems: list[str]) -> tuple[int, int]:
    """Whether vertices and rays that were given out lie as near to the true ones as is said; (looked at, exactly)."""
    looked = exact = 0
    for what in (_check_vertices, _check_rays):
        more = what(cx, again, problems)
        looked, exact = looked + more[0], exact + more[1]
    return looked, exact


def _check_vertices(cx: PolyhedralComplex, again: Skeleton, problems: list[str]) -> tuple[int, int]:
    if "_points" not in cx._kept:
        return 0, 0
    given, claim = cx._kept["_points"]
    finite = np.flatnonzero(again.state.at_inf[: again.nv] < 0)
    if given.shape != (len(finite), cx.network.architecture[0]) or claim.shape != (len(finite),):
        problems.append("the vertices are not those of the skeleton")
        return 0, 0
    if np.isnan(given).any() or not (claim >= 0).all():
        problems.append("a coordinate of a vertex, or its bound, is no number")
        return len(given), 0
    wide = int(too_wide(given, claim, again.frame.net.margins.inflate).sum())
    if wide:
        problems.append(
            f"{words.count(wide, 'vertex was', 'vertices were')} given out with error bounds much wider than needed"
        )
    forms, lift = Forms(again.frame), _Lifted(again.frame)
    exact = wrong = 0
    for start in range(0, len(finite), BATCH):
        heed("the check of coordinates")
        part = slice(start, min(len(finite), start + BATCH))
        ends = finite[part]
        at, error = lift.at(again.state.x[ends], distance_bounds(again, forms, ends), hom=1.0)
        with np.errstate(all="ignore"):
            apart = np.abs(given[part] - at).astype(np.float64) * (1 + 1e-12)
            bound = (apart + error + LONG * np.abs(given[part])).max(axis=1, initial=0.0)
            open_ = np.flatnonzero(~(bound <= claim[part]) & (claim[part] < np.inf))
        for i in (start + open_).tolist():
            heed("the check of coordinates")
            exact += 1
            true = _exactly(again, int(finite[i]), hom=1)
            wrong += true is None or not _within(given[i], true, Fraction(float(claim[i])))
    if wrong:
        problems.append(
            f"{words.count(wrong, 'vertex was', 'vertices were')} given out with error bounds that do not hold"
        )
    return len(given), exact


def too_wide(points: FloatArray, claim: FloatArray, inflate: float) -> BoolArray:
    """Whether the bounds (m,) of points (m, n) tell less than solving a vertex always does, all bounds being
    ``inflate`` wider.
    """
    with np.errstate(all="ignore"):
        size = np.abs(points).max(axis=1, initial=0.0)
        wide: BoolArray = np.isfinite(size) & ~(claim <= max(1.0, inflate) * (WIDE * (1 + ROOM) * size + FAINT))
        return wide


def _check_rays(cx: PolyhedralComplex, again: Skeleton, problems: list[str]) -> tuple[int, int]:
    if "rays" not in cx._kept:
        return 0, 0
    ids, given = cx._kept["rays"]
    if not np.array_equal(ids, np.flatnonzero(cx.edges[:, 1] < 0)) or given.shape != (
        len(ids),
        cx.network.architecture[0],
    ):
        problems.append("the rays are not those of the skeleton")
        return 0, 0
    if not (np.abs(np.linalg.norm(given, axis=1) - 1) <= OF_RAYS).all():
        problems.append("a direction of a ray has not the length 1")
        return len(ids), 0
    ends = cx._edges[ids, 1]
    forms, lift = Forms(again.frame), _Lifted(again.frame)
    exact = wrong = 0
    for start in range(0, len(ids), BATCH):
        heed("the check of rays")
        part = slice(start, min(len(ids), start + BATCH))
        rows: IntArray = ends[part]
        long, error = lift.at(again.state.x[rows], distance_bounds(again, forms, rows), hom=0.0)
        with np.errstate(all="ignore"):
            size = np.abs(long).max(axis=1, initial=0.0)
            off = error.max(axis=1, initial=0.0) / size.astype(np.float64)
            at = (long / size[:, None]).astype(np.float64)
            length = np.linalg.norm(at, axis=1)
            bound = np.abs(given[part] - at / length[:, None]).max(axis=1) + 2 * np.sqrt(at.shape[1]) * off / length
            open_ = np.flatnonzero(~(bound + 1e-14 <= OF_RAYS))
        for i in (start + open_).tolist():
            heed("the check of rays")
            exact += 1
            true = _exactly(again, int(ends[i]), hom=0)
            wrong += true is None or not (np.abs(given[i] - unit(true)) <= OF_RAYS * (1 + ROOM)).all()
    if wrong:
        problems.append(f"{wrong} rays point elsewhere than those of the skeleton")
    return len(ids), exact


def _within(given: FloatArray, true: Array, claim: Fraction) -> bool:
    """Whether a point lies within a finite bound of rationals."""
    return bool(np.isfinite(given).all()) and all(abs(Fraction(x) - t) <= claim for x, t in zip(given.tolist(), true))


def _exactly(again: Skeleton, v: int, *, hom: int) -> Array | None:
    """Rational inputs of a vertex, or the direction of one at infinity; None where its walls do not meet in one
    point.
    """
    frame = again.frame
    try:
        point, direction = again._exact_point(v)
    except ArithmeticError:
        return None
    own = point if hom else direction
    if frame.n == frame.network.architecture[0]:
        return np.array(own, dtype=object)
    column = np.array([[*own, Fraction(hom)]], dtype=object).T
    found: Array = exact_product(frame.lift, column)[:, 0]
    return found
