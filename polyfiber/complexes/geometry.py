"""Forms, affine maps, norms and point location on the cells of a complex."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from .._typing import Array, BoolArray, FloatArray, IntArray, SignArray, WordArray
from ..budget import heed
from ..kernels.complexes import affine_maps as maps
from ..network.model import ReLUNetwork
from ..numerics.exact import as_fractions
from ..numerics.floats import magnitudes_of, nearest
from ..numerics.rounding import LEAST, UNIT, gamma
from .skeleton.arrays import Frame, as_columns, given_rows
from .skeleton.exact_signs import ExactPredicate
from .skeleton.layout import unpack
from .skeleton.slope_forms import SHARP, levels_of, unsure
from .skeleton.wires import roundings

PIECE = 1 << 27
"""Multiplications between two looks at the clock, about."""


def full_net(frame: Frame) -> Any:
    """The kernels' network in all n0 input coordinates instead of those of the quotient."""
    n0 = frame.network.architecture[0]
    if frame.n == n0:
        return frame.net
    stride = 4 if n0 < 4 else (n0 + 8) // 8 * 8
    rows = np.zeros((max(1, len(frame.net.layers.layer_of) if frame.form is not None else frame.rows.shape[0]), stride))
    rows[: frame.rows.shape[0], : n0 + 1] = nearest(frame.rows)
    if frame.deep:
        at = frame.rows.shape[0]
        for part in frame.deep:
            at = len(rows) - len(part) if part is frame.deep[-1] else at  # the outputs come last, behind infinity
            rows[at : at + len(part), : n0 + 1] = nearest(part)
            at += len(part)
    first = frame.net.layers.first
    wide = frame.form is None and len(first) > 2
    columns = as_columns(rows[first[1] : first[2] if wide else first[1], : n0 + 1])
    return frame.net._replace(n=n0, stride=stride, affine=frame.net.affine._replace(rows=rows.ravel(), columns=columns))


def predicate_of(frame: Frame) -> ExactPredicate:
    """Exact forms in all input coordinates instead of those of the quotient."""
    every = np.arange(frame.network.architecture[0])
    return ExactPredicate(replace(frame, columns=every, net=full_net(frame), chart=frame.rows, deep_chart=frame.deep))


def ways_net(frame: Frame) -> Any:
    """The kernels' network with ones for all numbers but zeros: its forms count ways."""
    net = full_net(frame)
    names = ("rows", "weights", "biases", "columns")
    ones = {name: (getattr(net.affine, name) != 0).astype(np.float64) for name in names}
    return net._replace(affine=net.affine._replace(**ones))


def form_room(frame: Frame) -> FloatArray:
    """Room for a form and two rows of a layer, see `kernels.complexes.affine_maps.forms`."""
    return np.empty((3, max(full_net(frame).stride + 8, frame.scratch + 1)))


def affine_maps_of(frame: Frame, planes: WordArray) -> tuple[FloatArray, FloatArray]:
    """Affine maps (m, nL, n0), (m, nL) on regions given as bit planes; within `SHARP` of each output's largest
    entry.
    """
    net = full_net(frame)
    n0, n_out = frame.network.architecture[0], frame.network.architecture[-1]
    A = np.empty((len(planes), n_out, n0))
    a = np.empty((len(planes), n_out))
    if frame.n_neurons == 0 and frame.form is None:
        A[:] = nearest(frame.network.weights[0])
        a[:] = nearest(frame.network.biases[0])
        return A, a
    ids = net.inf + 1 + np.arange(n_out)
    predicate = predicate_of(frame)
    widths = frame.network.architecture
    work = n_out * (sum(p * q for p, q in zip(widths[1:-1], widths[2:])) + n0 * widths[1])
    if frame.form is not None:
        work = n_out * (len(net.affine.weights) + n0 * sum(widths))
    step, room = max(64, PIECE // work), form_room(frame)
    for start in range(0, len(planes), step):
        heed("the affine maps")
        part = slice(start, start + step)
        maps.forms(planes[part], ids, net, room, A[part], a[part])
        if frame.extreme:
            _settle_maps(frame, predicate, planes[part], ids, A[part], a[part])
        _settle_sums(frame, predicate, planes[part], ids, A[part], a[part])
    return A, a


def _settle_sums(
    frame: Frame, predicate: ExactPredicate, planes: WordArray, ids: IntArray, A: FloatArray, a: FloatArray
) -> None:
    """Forms of outputs whose sums cancel are added up from slopes, or worked out in rationals and rounded, in place."""
    reach, errors = frame.reach, frame.output_errors
    with np.errstate(all="ignore"):  # linear parts that are large enough for both bounds: most are
        need = np.maximum(errors[:, :-1].max(axis=1, initial=0.0), errors[:, -1] / min(reach, 1.0)) / SHARP
        size = np.maximum(A.max(axis=2), -A.min(axis=2))
        small = np.flatnonzero(~((size >= need) & (size < np.inf) & np.isfinite(a)).all(axis=1))
    doubtful = small[unsure(np.concatenate([A[small], a[small, :, None]], axis=2), errors, reach).any(axis=1)]
    if not len(doubtful):
        return
    slope_forms = frame.slope_forms
    step = max(1, (1 << 22) // ((sum(frame.network.architecture) + 1) * (A.shape[2] + 1)))
    for start in range(0, len(doubtful), step):
        heed("the affine maps")
        rows = doubtful[start : start + step]
        on = unpack(planes[rows])[:, frame.n_domain : frame.n_domain + frame.n_neurons]
        signs = on.astype(np.int8) * 2 - 1  # where a gate is zero on the region, one slope is as good as the other
        forms, error = slope_forms.floats(signs)
        A[rows], a[rows] = forms[..., :-1], forms[..., -1]
        for r, o in np.argwhere(unsure(forms, error, reach)).tolist():
            form = nearest(np.array(predicate.form(int(ids[o]), planes[rows[r]]), dtype=object))
            A[rows[r], o], a[rows[r], o] = form[:-1], form[-1]


def _settle_maps(
    frame: Frame, predicate: ExactPredicate, planes: WordArray, ids: IntArray, A: FloatArray, a: FloatArray
) -> None:
    """Entries that underflow or overflow may have spoilt are worked out in rationals and rounded, in place."""
    loss = frame.losses.forms[-1]

    def spoilt(values: FloatArray, loss: FloatArray) -> BoolArray:
        return ~((np.abs(values) * UNIT > loss) & np.isfinite(values))

    rows = np.flatnonzero(spoilt(A, loss[:-1]).any(axis=(1, 2)) | spoilt(a, loss[-1]).any(axis=1))
    if not len(rows):
        return
    ways, begun = np.zeros((len(rows), *A.shape[1:])), np.zeros((len(rows), a.shape[1]))
    maps.forms(np.ascontiguousarray(planes[rows]), ids, ways_net(frame), form_room(frame), ways, begun)
    doubtful = (spoilt(A[rows], loss[:-1]) & (ways != 0)).any(axis=2) | (spoilt(a[rows], loss[-1]) & (begun != 0))
    # sums over no way at all are zero, and were so unless an infinite factor met a zero
    A[rows] = np.where(ways != 0, A[rows], 0.0)
    a[rows] = np.where(begun != 0, a[rows], 0.0)
    for r, o in np.argwhere(doubtful).tolist():
        form = nearest(np.array(predicate.form(int(ids[o]), planes[rows[r]]), dtype=object))
        A[rows[r], o], a[rows[r], o] = form[:-1], form[-1]


def sizes_of(frame: Frame) -> list[tuple[FloatArray, float]]:
    """Of the blocks of a network with a form, and the output: sizes (m, n0) of linear parts along all ways, and
    roundings.
    """
    return [(level[:, :-1], terms) for level, terms in levels_of(frame)]


def map_errors(frame: Frame, A: FloatArray | None = None) -> FloatArray:
    """Bounds (nL, n0) of the errors of the entries of every affine map's linear part, see docs/certification.md.

    A: (m, nL, n0) maps that were given out; their errors are below `SHARP` of the largest entry of an output, whatever
    cancels.
    """
    bound = frame.output_errors[:, :-1]
    if A is None:
        return bound
    return np.minimum(bound, SHARP * np.abs(A).max(axis=(0, 2), initial=0.0)[:, None] + 16 * LEAST)


def forms_of(frame: Frame, cell: WordArray, columns: IntArray) -> FloatArray:
    """Forms (m, n0 + 1), constant last, of sign-vector columns on one cell (a row of bit planes)."""
    d, N = frame.n_domain, frame.n_neurons
    ids = np.where(columns < N, columns + d, columns - N).astype(np.int64)
    return facet_forms_of(frame, np.repeat(cell[None, :], len(ids), axis=0), ids)


def facet_forms_of(frame: Frame, planes: WordArray, facets: IntArray) -> FloatArray:
    """Forms (m, n0 + 1), constant last, of facets on one cell each, given as bit planes; what cancels is worked out in
    rationals.
    """
    forms = np.zeros((len(facets), frame.network.architecture[0] + 1))
    if not len(facets):
        return forms
    maps.facet_forms(np.ascontiguousarray(planes), facets, full_net(frame), frame.scratch, forms)
    doubtful = np.flatnonzero(unsure(forms, frame.facet_errors[facets], frame.reach))
    predicate = predicate_of(frame) if len(doubtful) else None
    for r in doubtful.tolist():
        assert predicate is not None
        forms[r] = nearest(np.array(predicate.form(int(facets[r]), planes[r]), dtype=object))
    return forms


def unit_forms(forms: FloatArray) -> FloatArray:
    """Forms (m, n + 1) divided by the length of their linear part; safe for very large and very small ones."""
    scaled = forms / np.abs(forms[:, :-1]).max(axis=1, initial=0.0, keepdims=True)
    result: FloatArray = scaled / np.sqrt(np.einsum("ij,ij->i", scaled[:, :-1], scaled[:, :-1]))[:, None]
    return result


def unit_rows(rows: Array) -> FloatArray:
    """Rows over their largest entries, as floats; for numbers of any size."""
    exact = np.array([[Fraction(x) for x in row] for row in rows], dtype=object).reshape(rows.shape)
    return nearest(np.array([row / max(map(abs, row)) for row in exact], dtype=object).reshape(rows.shape))


def norms_of(A: FloatArray, ord: float) -> FloatArray:
    """Operator norms (m,) of matrices (m, p, q)."""
    if ord == 2:
        with np.errstate(all="ignore"):
            size = np.abs(A).max(axis=(1, 2), initial=0.0)
            usable = np.isfinite(size) & (size > 0)
            scaled = np.where(usable[:, None, None], A / size[:, None, None], 0.0)
            plain = min(A.shape[1:]) == 1
            norms = np.sqrt((scaled**2).sum(axis=(1, 2))) if plain else np.linalg.norm(scaled, 2, axis=(1, 2))
            result: FloatArray = np.where(usable, norms * size, np.where(size == 0, 0.0, np.inf))
        return result
    with np.errstate(over="ignore", invalid="ignore"):
        total: FloatArray = np.abs(A).sum(axis=1 if ord == 1 else 2).max(axis=1)
    return np.where(np.isnan(total), np.inf, total)


def norms_along(A: FloatArray, ord: float, directions: FloatArray) -> FloatArray:
    """Largest ``|A d|`` (m,) of matrices (m, p, q) over directions (s, q), in the norm of 1 or infinity."""
    with np.errstate(over="ignore", invalid="ignore"):
        moved = np.abs(A @ directions.T)
        total: FloatArray = (moved.sum(axis=1) if ord == 1 else moved.max(axis=1)).max(axis=1, initial=0.0)
    return np.where(np.isnan(total), np.inf, total)


def lineality_basis(frame: Frame) -> FloatArray:
    """Orthonormal basis (n0 - d, n0) of the kernel of all given forms."""
    n0 = frame.network.architecture[0]
    if not frame.lineality:
        return np.zeros((0, n0))
    if frame.hull is None:
        if frame.n == 0:
            return np.eye(n0)
        _, _, vt = np.linalg.svd(unit_rows(frame.rows_of(frame.start)[:, :-1]), full_matrices=True)
        result: FloatArray = vt[frame.n :]
        return result
    return np.ascontiguousarray(np.linalg.qr(unit_rows(frame.lines.T).T)[0].T)


def locate_signs(
    frame: Frame, points: FloatArray, predicate: ExactPredicate, asked: BoolArray | None = None
) -> SignArray:
    """Certified sign vectors (m, N + D) of points; what the filter leaves is decided exactly.

    Where ``asked`` (m, N + D) is False a sign may be 0 without being it: nobody looks.
    """
    net, n0 = frame.net, frame.network.architecture[0]
    d, N = frame.n_domain, frame.n_neurons
    m = len(points)
    signs = np.zeros((m, N + d), dtype=np.int8)
    given = given_rows(frame.network, frame.domain)
    rows = nearest(given)
    terms = (n0 + 4) * UNIT * 1.01
    unsure = np.zeros((m, N + d), dtype=np.bool_)
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is unsure
        z = points @ rows[:, :-1].T + rows[:, -1]
        wide = magnitudes_of(given)
        size = np.abs(points) @ wide[:, :-1].T + wide[:, -1]
        tiny = np.full(rows.shape[0], (2 * n0 + 4) * LEAST)
        bound = (terms * size + tiny) * net.margins.inflate
        _put(signs, unsure, z[:, :d], bound[:, :d], N)
        if frame.form is not None:
            _wired_signs(frame, points, signs, unsure)
        z, size, tiny = z[:, d:], size[:, d:], tiny[d:]
        relative, column = terms, 0
        for layer, width in enumerate(() if frame.form is not None else frame.network.hidden_widths):
            if layer:
                w = nearest(frame.network.weights[layer])
                b = nearest(frame.network.biases[layer])
                wide = magnitudes_of(frame.network.weights[layer])
                y = np.maximum(z, 0.0)
                # the magnitude of what a ReLU may pass, rounding included
                z = y @ w.T + b
                size = size @ wide.T + magnitudes_of(frame.network.biases[layer])
                relative += (w.shape[1] + 4) * UNIT * 1.01
                tiny = wide @ tiny + (2 * w.shape[1] + 4) * LEAST
            bound = (relative * size + tiny) * net.margins.inflate
            _put(signs, unsure, z, bound, column)
            column += width
    doubtful = np.flatnonzero((unsure if asked is None else unsure & asked).any(axis=1))
    if len(doubtful) and frame.form is not None:
        whole = frame.network.exact()
        for i in doubtful:
            x = as_fractions(points[i])
            values = [v for z in whole.preactivations(x)[:-1] for v in z]
            values += [sum((Fraction(a) * c for a, c in zip(row[:-1], x)), Fraction(row[-1])) for row in given[:d]]
            signs[i] = [(v > 0) - (v < 0) for v in values]
            predicate.calls += 1
    elif len(doubtful):
        exact = frame.network.exact()
        for i in doubtful:
            signs[i] = _exact_signs(exact, given[:d], points[i])
            predicate.calls += 1
    return signs


def _wired_signs(frame: Frame, points: FloatArray, signs: SignArray, unsure: Any) -> None:
    """The same for the gates of a network with a form: values pushed forward, with sizes along all ways."""
    form, n0, column = frame.form, points.shape[1], 0
    assert form is not None
    terms = roundings(form, n0)
    behind: list[tuple[FloatArray, FloatArray]] = []
    small: list[FloatArray] = []
    sizes = form.sizes
    for l, (base, reads) in enumerate(zip(form.floats.bases[:-1], form.floats.reads)):
        wide = sizes.bases[l]
        z, size = points @ base[:, :-1].T + base[:, -1], np.abs(points) @ wide[:, :-1].T + wide[:, -1]
        tiny = np.full(len(base), (2 * n0 + 4) * LEAST)
        for j, matrix in reads.items():
            z = z + behind[j - 1][0] @ matrix.T
            # the magnitude of what a gate may pass, rounding included
            size = size + behind[j - 1][1] @ sizes.reads[l][j].T
            tiny = tiny + sizes.reads[l][j] @ small[j - 1] + (2 * matrix.shape[1] + 4) * LEAST
        _put(signs, unsure, z, (gamma(terms[l]) * size + tiny) * frame.net.margins.inflate, column)
        behind.append((np.where(z > 0, z, 0 * z), size))
        small.append(tiny)
        column += len(base)


def _put(signs: SignArray, unsure: Any, z: FloatArray, bound: FloatArray, column: int) -> None:
    part = slice(column, column + z.shape[1])
    sure = (np.abs(z) > bound) & np.isfinite(z)
    signs[:, part] = np.where(sure, np.sign(z), 0).astype(np.int8)
    unsure[:, part] = ~sure


def _exact_signs(net: ReLUNetwork, sides: Array, point: FloatArray) -> SignArray:
    x = [Fraction(float(c)) for c in point]
    signs: list[int] = []
    y = x
    for w, b in zip(net.weights[:-1], net.biases[:-1]):
        z = [sum((a * c for a, c in zip(row, y) if c), Fraction(0)) + bias for row, bias in zip(w, b)]
        signs += [(v > 0) - (v < 0) for v in z]
        y = [max(v, Fraction(0)) for v in z]
    for row in sides:
        value = sum((Fraction(a) * c for a, c in zip(row[:-1], x)), Fraction(row[-1]))
        signs.append((value > 0) - (value < 0))
    return np.array(signs, dtype=np.int8)
