"""Vertices computed again: coordinates within their bounds, and which end of an edge is higher.

Forms are products of gated weight matrices here, in numpy, with bounds from the magnitudes along the active paths; the
kernels add up rows and use bounds from all paths. What neither tells is decided in rationals.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from ... import words
from ..._typing import BoolArray, FloatArray, IntArray
from ...budget import heed
from ...numerics.floats import nearest
from ...numerics.rounding import LEAST, UNIT, gamma
from ..skeleton.arrays import Frame
from ..skeleton.build import Skeleton
from ..skeleton.layout import unpack
from ..skeleton.orientation import weights_of
from ..skeleton.wired_values import gated_forms
from ..skeleton.wires import magnitudes, roundings

BATCH = 1024
LONG = float(np.finfo(np.longdouble).eps)
"""Rounding of the longest floats: as that of ordinary ones, where the machine has no others."""


class Forms:
    """Affine forms of facets on cells, as matrix products over the active neurons.

    Parameters
    ----------
    frame : Frame
    """

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        wired = frame.form is not None
        with np.errstate(over="ignore"):
            self.weights = [] if wired else [nearest(w) for w in frame.network.weights]
            self.biases = [] if wired else [nearest(b) for b in frame.network.biases]
            parts = (frame.chart, *frame.deep_chart[:-1])
            self.rows = np.concatenate([nearest(part[:, [*frame.columns, -1]]) for part in parts])
        first, net = frame.net.layers.first, frame.net
        self.layer = np.zeros(net.inf, dtype=np.int64)
        for layer in range(1, frame.n_blocks + 1):
            self.layer[first[layer] : first[layer + 1]] = layer
        rounded = 0.0 if frame.chart.dtype != object else UNIT
        self.slack, self.floor = [rounded, rounded], [LEAST, LEAST]
        if frame.form is not None:
            own = [self.rows[first[l] : first[l + 1]] for l in range(1, frame.n_blocks + 1)]
            off = [np.zeros(len(part), dtype=np.bool_) for part in own]
            with np.errstate(over="ignore", invalid="ignore"):
                sizes = magnitudes(
                    frame.form, [*own, nearest(frame.deep_chart[-1][:, [*frame.columns, -1]])], off, frame.n
                )
            for (_, small, lost), count in list(zip(sizes, roundings(frame.form, frame.n)))[1:-1]:
                self.slack.append(gamma(count))
                self.floor.append(float(small.max(initial=0.0) + lost.max(initial=0.0)))
        terms, tiny = 4.0, LEAST
        for w in self.weights[1:]:
            terms += w.shape[1] + 4.0
            tiny = float(np.abs(w).sum(axis=1).max(initial=0.0)) * tiny + (2 * w.shape[1] + 4) * LEAST
            self.slack.append(gamma(terms))
            self.floor.append(tiny)

    def __call__(self, facets: IntArray, active: BoolArray) -> tuple[FloatArray, FloatArray]:
        """Forms (p, n + 1), constant last, of facets (p,) on cells given by active facets (p, 64 W); and their errors.

        The errors (p, n + 1) are of each coefficient; given forms of floats have none.
        """
        n, first = self.frame.n, self.frame.net.layers.first
        forms, errors = np.empty((len(facets), n + 1)), np.empty((len(facets), n + 1))
        layers = self.layer[facets]
        for layer in np.unique(layers).tolist():
            mine = layers == layer
            if layer <= 1:
                forms[mine] = self.rows[facets[mine]]
                size = np.abs(forms[mine])
            elif self.frame.form is not None:
                forms[mine], size = gated_forms(self.frame, layer, facets[mine] - first[layer], active[mine], self.rows)
            else:
                here = facets[mine] - first[layer]
                row, constant = self.weights[layer - 1][here], self.biases[layer - 1][here]
                size, shift = np.abs(row), np.abs(constant)
                on = active[mine]
                for q in range(layer - 1, 0, -1):
                    gate = on[:, first[q] : first[q + 1]]
                    row, size = row * gate, size * gate
                    if q > 1:
                        b = self.biases[q - 1]
                        constant, shift = constant + row @ b, shift + size @ np.abs(b)
                        w = self.weights[q - 1]
                        row, size = row @ w, size @ np.abs(w)
                given = self.rows[first[1] : first[2]]
                row, size = row @ given, size @ np.abs(given)
                row[:, n] += constant
                size[:, n] += shift
                forms[mine] = row
            errors[mine] = self.slack[layer] * size + self.floor[layer]
        return forms, errors

    def idle(self, facets: IntArray, active: BoolArray) -> FloatArray:
        """Signs (p,) of facets that read active neurons nowhere, which are those of their biases; 0 for others."""
        signs, first = np.zeros(len(facets)), self.frame.net.layers.first
        if self.frame.form is not None:
            return signs
        for layer in np.unique(self.layer[facets]).tolist():
            if layer > 1:
                mine = np.flatnonzero(self.layer[facets] == layer)
                mine = mine[~active[mine, first[layer - 1] : first[layer]].any(axis=1)]
                signs[mine] = np.sign(self.frame.network.biases[layer - 1][facets[mine] - first[layer]]).astype(
                    np.float64
                )
        return signs


def signs_of_forms(skeleton: Skeleton, forms: Forms, vertices: IntArray, facets: IntArray) -> IntArray:
    """Signs (p,) of facets at vertices by the form on the cell of each, 0 where it cannot tell.

    The form is written as a combination of those that vanish at the vertex, so that what the coordinates lack counts by
    their residuals; the rest of it counts by the distance of the vertex.
    """
    st, n = skeleton.state, skeleton.frame.n
    signs = np.zeros(len(vertices), dtype=np.int64)
    for start in range(0, len(vertices), BATCH):
        heed("the check of the certificate")
        v, k = vertices[start : start + BATCH], facets[start : start + BATCH]
        x = st.x[v]
        with np.errstate(all="ignore"):
            star = _star(skeleton, forms, v)
            form, error = forms(k, unpack(st.words[v]))
            far = st.at_inf[v] >= 0
            form[far, n] = error[far, n] = 0.0  # of a direction only slopes count
            slope = form[:, :n]
            terms = slope.astype(np.longdouble) * x
            size = (np.abs(slope) * np.abs(x)).sum(axis=1) + np.abs(form[:, n])
            y = (slope[:, None, :] @ star.inverse)[:, 0]
            rest = np.abs(slope - (y[:, None, :] @ star.rows)[:, 0])
            rest += (np.abs(y)[:, None, :] @ (star.off + (n + 2) * UNIT * np.abs(star.rows)))[:, 0] + error[:, :n]
            value = terms.sum(axis=1) + form[:, n] - (y * star.residual).sum(axis=1)
            bound = (error[:, :n] * np.abs(x)).sum(axis=1) + error[:, n] + (np.abs(y) * star.lost).sum(axis=1)
            bound += rest.sum(axis=1) * star.distance + (2 * n + 6) * LONG * (
                size + np.abs(y * star.residual).sum(axis=1)
            )
            bound = bound.astype(np.float64) * (1 + 1e-9) + (2 * n + 6) * LEAST
            sure = np.isfinite(bound) & np.isfinite(value) & (np.abs(value) > bound)
            idle = forms.idle(k, unpack(st.words[v]))
            value, sure = np.where(idle != 0, idle, value), sure | (idle != 0)
        signs[start : start + BATCH] = np.where(sure, np.where(value > 0, 1, -1), 0)
    return signs


def check_points(skeleton: Skeleton, problems: list[str]) -> tuple[int, int]:
    """Whether every vertex lies within its error bound of its coordinates; (how many were looked at, exactly).

    A vertex at infinity claims that a positive multiple of its direction is that near.
    """
    frame, st, nv = skeleton.frame, skeleton.state, skeleton.nv
    forms = Forms(frame)
    exact = wrong = 0
    for start in range(0, nv, BATCH):
        heed("the check of coordinates")
        rows = np.arange(start, min(nv, start + BATCH))
        bound = distance_bounds(skeleton, forms, rows)
        # of a direction a multiple is claimed to be that near, and the multiple taken here need not be the nearest
        claim = st.err[rows] * np.where(st.at_inf[rows] >= 0, frame.n + 1, 1)
        with np.errstate(invalid="ignore"):
            told = bound <= claim
        for v in rows[~told & ~(st.err[rows] == np.inf)].tolist():
            heed("the check of coordinates")
            exact += 1
            wrong += not _lies_near(skeleton, v)
    if wrong:
        problems.append(
            f"{words.count(wrong, 'vertex lies', 'vertices lie')} farther from their coordinates than their error bounds say"
        )
    return nv, exact


class _Star(NamedTuple):
    """Forms (m, n, n) whose zeros meet in vertices, errors of them, approximate inverses; residuals at the coordinates
    in the longest floats, (m, n), and what they may be off; bounds (m,) of the distance of the vertices, inf or nan
    where floats cannot tell.
    """

    rows: FloatArray
    off: FloatArray
    inverse: FloatArray
    residual: Any
    lost: FloatArray
    distance: FloatArray


def distance_bounds(skeleton: Skeleton, forms: Forms, rows: IntArray) -> FloatArray:
    """Bounds (m,) of the distance, maximum norm, of vertices from their coordinates; inf or nan where floats cannot
    tell.
    """
    return _star(skeleton, forms, rows).distance


def _star(skeleton: Skeleton, forms: Forms, rows: IntArray) -> _Star:
    frame, st, n = skeleton.frame, skeleton.state, skeleton.frame.n
    ids = st.star[rows, 2 * n :].astype(np.int64)
    far = ids == frame.net.inf
    x = st.x[rows]
    active = unpack(st.words[rows]).repeat(n, axis=0)
    with np.errstate(all="ignore"):
        form, error = forms(np.where(far, 0, ids).ravel(), active)
        form, error = form.reshape(-1, n, n + 1), error.reshape(-1, n, n + 1)
        form[far.any(axis=1), :, n] = 0.0  # of a direction only slopes count
        error[far.any(axis=1), :, n] = 0.0
        i, s = np.nonzero(far)
        gauge = x[i] / (x[i] ** 2).sum(axis=1, keepdims=True)  # a row that is 1 on the direction
        form[i, s, :n], form[i, s, n], error[i, s] = gauge, -1.0, 0.0
        error[i, s, :n] = (n + 4) * UNIT * np.abs(gauge)
        A, size = form[:, :, :n], np.abs(form[:, :, :n])
        R = _inverses(A)
        scale = np.abs(R)
        theta = np.abs(R @ A - np.eye(n)) + scale @ (error[:, :, :n] + (n + 2) * UNIT * size)
        theta = theta.sum(axis=2).max(axis=1) * (1 + 1e-9)
        # in the longest floats there are: what is left is small beside the terms that it is the sum of
        terms = (form[:, :, :n].astype(np.longdouble) * x[:, None, :]).sum(axis=2) + form[:, :, n]
        sizes = (size @ np.abs(x)[:, :, None])[:, :, 0] + np.abs(form[:, :, n])
        lost = (n + 4) * LONG * sizes + (n + 4) * LEAST
        lost += (error[:, :, :n] @ np.abs(x)[:, :, None])[:, :, 0] + error[:, :, n]
        residual = np.abs(terms).astype(np.float64) * (1 + 4 * UNIT) + lost
        bound = (scale @ residual[:, :, None])[:, :, 0].max(axis=1) / (1 - theta) * (1 + 1e-9) + 1e-300
        return _Star(A, error[:, :, :n], R, terms, lost, np.where(theta < 0.5, bound, np.inf))


def _inverses(matrices: FloatArray) -> FloatArray:
    """Inverses of matrices (m, n, n); nan where there is none."""
    try:
        inverses: FloatArray = np.linalg.inv(matrices).astype(np.float64, copy=False)
        return inverses
    except np.linalg.LinAlgError:
        if len(matrices) == 1:
            return np.full_like(matrices, np.nan)
        half = len(matrices) // 2
        return np.concatenate([_inverses(matrices[:half]), _inverses(matrices[half:])])


def _lies_near(skeleton: Skeleton, v: int) -> bool:
    """The claim of one vertex in rationals."""
    st = skeleton.state
    x, err = [Fraction(c) for c in st.x[v].tolist()], Fraction(float(st.err[v]))
    try:
        point, direction = skeleton._exact_point(v)
    except ArithmeticError:
        return False
    if direction is not None:
        along = sum((a * b for a, b in zip(x, direction)), Fraction(0))
        if along <= 0:
            return False
        factor = sum((a * a for a in x), Fraction(0)) / along
        point = [factor * d for d in direction]
        err *= len(x) + 1  # the multiple that is nearest may be another one
    return max(abs(a - b) for a, b in zip(point, x)) <= err


def check_heights(skeleton: Skeleton, up: Any, problems: list[str]) -> tuple[int, int]:
    """Whether every edge goes up where the masks say; (edges looked at, exactly).

    The coordinates of the skeleton must be certified.
    """
    frame, st, nv, n = skeleton.frame, skeleton.state, skeleton.nv, skeleton.frame.n
    shift = frame.net.shift
    start = list(frame.start)
    alpha = weights_of(frame)
    rows = nearest(frame.chart[start][:, [*frame.columns, -1]])
    with np.errstate(all="ignore"):
        x, error = st.x[:nv], st.err[:nv, None]
        value = np.abs(x @ rows[:, :n].T + rows[:, n])
        size = np.abs(rows)
        slack = (n + 6) * UNIT * (np.abs(x) @ size[:, :n].T + size[:, n]) + error * size[:, :n].sum(axis=1)
        slack = slack * (1 + 1e-9) + (2 * n + 8) * LEAST
        height, bound = value @ alpha, slack @ alpha + (n + 4) * UNIT * (value @ alpha)
        bound = bound * (1 + 1e-9) + 1e-300
    twins = st.star[:nv, : 2 * n].astype(np.int64)
    v, h = np.nonzero(twins >= 0)
    w, g = twins[v, h] >> shift, twins[v, h] & ((1 << shift) - 1)
    upward = unpack(up)
    claims, back = upward[v, h], upward[w, g]
    if (claims == back).any():
        problems.append("an edge goes up at both of its ends, or at none")
    far = st.at_inf[:nv] >= 0
    if (claims & far[v]).any():
        problems.append("an edge goes up from infinity")
    keep = claims & ~far[v] & ~far[w]
    v, w = v[keep], w[keep]
    with np.errstate(all="ignore"):
        rise, doubt = height[w] - height[v], height[w] * 0 + bound[w] + bound[v] + UNIT * np.abs(height[w] - height[v])
        sure, wrong = rise > doubt, int((rise < -doubt).sum())
        open_ = np.flatnonzero(~sure & ~(rise < -doubt))
    known: dict[int, Fraction | None] = {}
    for i in open_.tolist():
        heed("the check of heights")
        low, high = (_exact_height(skeleton, int(p), alpha, known) for p in (v[i], w[i]))
        wrong += low is None or high is None or not low < high
    if wrong:
        problems.append(f"{words.count(wrong, 'edge goes', 'edges go')} down where they should go up")
    return len(v), len(open_)


def _exact_height(skeleton: Skeleton, v: int, alpha: FloatArray, known: dict[int, Fraction | None]) -> Fraction | None:
    if v not in known:
        try:
            point, _ = skeleton._exact_point(v)
        except ArithmeticError:
            known[v] = None
            return None
        total = Fraction(0)
        columns = [*skeleton.frame.columns, -1]
        for a, k in zip(alpha.tolist(), skeleton.frame.start):
            *row, constant = skeleton.frame.chart[k][columns]
            total += Fraction(a) * abs(sum((Fraction(c) * p for c, p in zip(row, point)), Fraction(constant)))
        known[v] = total
    return known[v]
