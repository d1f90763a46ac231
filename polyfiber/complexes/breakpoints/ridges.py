"""Ridges: where walls cross, and the weights around them balance.

Around a ridge R four facets meet, and ``sum over F of c(F) n_{F/R}^T = 0`` with n_{F/R} the unit normal of R in F.
Where walls are nearly parallel, or coefficients cancel, floats cannot tell that normal; the sum is then done in
rational arithmetic, with square roots to 200 bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from ..._typing import BoolArray, FloatArray, IntArray
from ..._values.read_only import closed
from ...errors import NumericalError
from ...kernels.complexes import affine_maps as maps
from ...network.relu_form import relu_form
from ...numerics.floats import LARGEST, as_float, magnitudes_of, nearest, root
from ...numerics.rounding import UNIT
from ...words import one_line
from ..geometry import full_net, predicate_of, sizes_of
from ..skeleton.exact_signs import ExactPredicate
from ..skeleton.wires import roundings

if TYPE_CHECKING:
    from ..complex import PolyhedralComplex
    from .simple import BreakpointComplex

STEEP = 1e-3
"""Walls that cross at an angle with a smaller sine are taken for nearly parallel."""
SHARP = 1e-12
"""Relative error above which a form is computed exactly."""
ROOT_BITS = 202
SMALL, LARGE = 1e-290, 1e300
"""Beyond them even exact numbers, rounded, may lose their digits."""


@closed
@dataclass(frozen=True)
class Ridges:
    """Ridges (faces of dimension d - 2) in the interior of the domain.

    Attributes
    ----------
    ids : (r,) int64
        Faces of dimension d - 2 of the canonical complex.
    neurons : (r, 2) int64
        Hidden neurons whose walls cross there, the shallower first.
    bending : (r,) bool
        Whether a wall bends there: the two neurons lie in different layers and the shallower
        one is felt by the deeper one.
    residual : (r,) float64
        Largest entry of ``sum over facets F at the ridge of c(F) n_{F/R}^T``; zero up to rounding.
    scale : (r,) float64
        Sum of the norms of the weights at the ridge, the yardstick for ``residual``.
    exact : int
        Ridges whose sum was done in rational arithmetic.
    """

    __repr__ = one_line

    ids: IntArray
    neurons: IntArray
    bending: BoolArray
    residual: FloatArray
    scale: FloatArray
    exact: int = 0


@np.errstate(all="ignore")
def row_norms(rows: FloatArray) -> FloatArray:
    """Euclidean norms of rows, also where squares overflow or underflow."""
    largest = np.abs(rows).max(axis=-1, initial=0.0)
    safe = np.where(largest > 0, largest, 1.0)[..., None]
    result: FloatArray = largest * np.linalg.norm(rows / safe, axis=-1)
    return result


@np.errstate(all="ignore")
def unit_rows(rows: FloatArray) -> FloatArray:
    """Rows divided by their norms; zero rows stay zero."""
    largest = np.abs(rows).max(axis=-1, initial=0.0)
    scaled = rows / np.where(largest > 0, largest, 1.0)[..., None]
    norms = np.linalg.norm(scaled, axis=-1, keepdims=True)
    result: FloatArray = scaled / np.where(norms > 0, norms, 1.0)
    return result


def form_slack(cx: PolyhedralComplex) -> FloatArray:
    """Bound, for each facet id, of what rounding changes in the 1-norm of a wall's linear part."""
    network, frame = cx.network, cx._frame
    slack = np.zeros(frame.net.inf)
    if frame.extreme:
        form, losses = relu_form(network), frame.losses
        count = roundings(form, form.n_inputs)
        given = np.asarray(np.isfinite(magnitudes_of(frame.rows[:, :-1])).all(axis=1))
        slack[: len(given)] = np.where(given, 0.0, np.inf)
        for l in range(2, len(form.widths) + 1):
            sizes = count[l - 1] * (2 * UNIT) * losses.levels[l - 1][:, :-1].sum(axis=1)
            slack[frame.net.layers.first[l] : frame.net.layers.first[l + 1]] = sizes + losses.forms[l - 1][:-1].sum()
        return np.where(np.isnan(slack), np.inf, slack)
    if frame.form is not None:
        for l, (level, terms) in enumerate(sizes_of(frame)[1:-1], start=2):
            slack[frame.net.layers.first[l] : frame.net.layers.first[l + 1]] = terms * (2 * UNIT) * level.sum(axis=1)
        return np.where(np.isnan(slack), np.inf, slack)
    terms = network.architecture[0] + 4.0
    with np.errstate(over="ignore", invalid="ignore"):
        size = np.abs(nearest(network.weights[0])).sum(axis=1)
        for layer, w in enumerate(network.weights[1:-1], start=2):
            terms += w.shape[1] + 4.0
            size = np.abs(nearest(w)) @ size
            slack[frame.net.layers.first[layer] : frame.net.layers.first[layer + 1]] = terms * (2 * UNIT) * size
    return np.where(np.isnan(slack), np.inf, slack)


def full_predicate(cx: PolyhedralComplex) -> ExactPredicate:
    """Exact forms in all input coordinates instead of those of the quotient."""
    return predicate_of(cx._frame)


def zero_facets(cx: PolyhedralComplex, dim: int) -> IntArray:
    """(f_dim, d - dim) zero facet ids of each face, ascending (so shallower layers first)."""
    signs = cx.signs(dim)
    d, N = cx._frame.n_domain, cx._frame.n_neurons
    zero = signs == 0
    zero[:, N + cx._frame.vanishing] = False
    columns = np.nonzero(zero)[1]
    per = cx.dimension - dim
    if len(columns) != per * len(signs):
        raise NumericalError("a face does not have as many zeros as a generic one; please report this network")
    ids = np.where(columns < N, columns + d, columns - N).reshape(len(signs), per)
    return np.sort(ids, axis=1)


def ridges_of(bp: BreakpointComplex) -> Ridges:
    """Interior ridges of a generic network: four facets of two walls meet at each."""
    cx = bp.complex
    d, frame = cx.dimension, cx._frame
    none = np.zeros(0, dtype=np.int64)
    if d < 2:
        return Ridges(none, np.zeros((0, 2), np.int64), np.zeros(0, np.bool_), np.zeros(0), np.zeros(0))
    indptr, indices = cx._store.covers_above(d - 2)
    zeros = zero_facets(cx, d - 2)
    interior = np.flatnonzero((zeros >= frame.n_domain).all(axis=1))
    pairs = zeros[interior]
    facets = np.stack([indices[indptr[interior] + i] for i in range(4)], axis=1).astype(np.int64)
    own = bp._walls[facets]
    freed = np.where(own == pairs[:, :1], pairs[:, 1:], pairs[:, :1])
    rows = np.repeat(np.arange(len(interior)), 4)
    residual, scale, exact = balance(bp, rows, facets.ravel(), freed.ravel(), len(interior))
    return Ridges(interior, pairs - frame.n_domain, _bending(bp, pairs, facets, own), residual, scale, exact)


def balance(
    bp: BreakpointComplex, rows: IntArray, facets: IntArray, freed: IntArray, n_ridges: int
) -> tuple[FloatArray, FloatArray, int]:
    """What is left of the sum around each ridge, its scale, and how many were done in rational arithmetic.

    Parameters
    ----------
    rows : (m,) int64
        Ridge of each pair of a ridge and a facet at it.
    facets : (m,) int64
    freed : (m,) int64
        A neuron (facet id) that is zero on the ridge and not on the facet. Its form on the facet, less the part along
        the facet's normal, points across the ridge.
    n_ridges : int
    """
    cx, frame = bp.complex, bp.complex._frame
    planes = np.ascontiguousarray(cx._store.planes(cx.dimension - 1)[facets])
    g = np.zeros((len(facets), bp._forms.shape[1]))
    maps.facet_forms(planes, freed, full_net(frame), frame.scratch, g)
    plus = (planes[np.arange(len(freed)), freed >> 6] >> (freed & 63).astype(np.uint64)) & np.uint64(1)
    side = np.where(plus > 0, 1, -1)
    c, u = bp._all_weights[facets], bp._forms[facets, :-1]
    residual, scale = np.zeros(n_ridges), np.zeros(n_ridges)
    with np.errstate(all="ignore"):
        unit, direction, size = unit_rows(u), unit_rows(g[:, :-1]), row_norms(g[:, :-1])
        into = direction - (direction * unit).sum(axis=1, keepdims=True) * unit
        sine = np.linalg.norm(into, axis=1)
        total = np.zeros((n_ridges, c.shape[1], u.shape[1]))
        np.add.at(total, rows, np.einsum("ri,rj->rij", c, unit_rows(into) * side[:, None]))
        residual[:] = np.abs(total).max(axis=(1, 2), initial=0.0)
        np.add.at(scale, rows, row_norms(c))
        # rounded to subnormals or to the largest float, even exact coefficients lose their direction
        largest = np.abs(u).max(axis=1, initial=0.0)
        good = (sine > STEEP) & (form_slack(cx)[freed] <= SHARP * sine * size) & (largest > SMALL) & (largest < LARGE)
        good &= ((c == 0) | ((np.abs(c) > SMALL) & (np.abs(c) < LARGE))).all(axis=1)
        doubtful = ~(np.isfinite(residual) & np.isfinite(scale))
        doubtful[rows[~good]] = True
    _balance_exactly(bp, np.flatnonzero(doubtful[rows]), rows, facets, freed, side, residual, scale)
    return residual, scale, int(doubtful.sum())


def _balance_exactly(
    bp: BreakpointComplex,
    pairs: IntArray,
    rows: IntArray,
    facets: IntArray,
    freed: IntArray,
    side: IntArray,
    residual: FloatArray,
    scale: FloatArray,
) -> None:
    """Residual and scale of the ridges of the listed pairs in rational arithmetic, in place."""
    if not len(pairs):
        return
    predicate = full_predicate(bp.complex)
    planes = bp.complex._store.planes(bp.complex.dimension - 1)
    totals: dict[int, list[list[Fraction]]] = {}
    sizes: dict[int, Fraction] = {}
    for at in pairs.tolist():
        r, facet = int(rows[at]), int(facets[at])
        form, column = bp._exact_weight(facet, predicate)
        u = form[:-1]
        g = predicate.form(int(freed[at]), planes[facet])[:-1]
        uu, gu = _dot(u, u), _dot(g, u)
        into = [a - gu / uu * b for a, b in zip(g, u)]
        factor = root(uu / _dot(into, into), bits=ROOT_BITS) * int(side[at])
        term = [[w * factor * x for x in into] for w in column]
        old = totals.get(r)
        totals[r] = term if old is None else [[a + b for a, b in zip(x, y)] for x, y in zip(old, term)]
        sizes[r] = sizes.get(r, Fraction(0)) + root(_dot(column, column) * uu, bits=ROOT_BITS)
    for r, total in totals.items():
        left = max(abs(x) for row in total for x in row)
        clear = left * (1 << (ROOT_BITS - 16)) > sizes[r]  # less is what the roots are off
        residual[r] = min(as_float(left), LARGEST) if clear else 0.0
        scale[r] = min(as_float(sizes[r]), LARGEST)


def _bending(bp: BreakpointComplex, pairs: IntArray, facets: IntArray, own: IntArray) -> BoolArray:
    """Whether the deeper wall bends at each ridge: its normals on the two sides of the shallower one differ."""
    layers = bp.complex._frame.net.layers.layer_of[pairs]
    bending = np.zeros(len(pairs), dtype=np.bool_)
    deep = np.flatnonzero(layers[:, 0] != layers[:, 1])
    if len(deep):
        normals = unit_rows(bp._forms[facets[deep], :-1])
        mine = own[deep] == pairs[deep, 1:]
        order = np.argsort(~mine, axis=1, kind="stable")[:, :2]
        two = np.take_along_axis(normals, order[:, :, None], axis=1)
        bending[deep] = np.abs(np.abs((two[:, 0] * two[:, 1]).sum(axis=1)) - 1.0) > 1e-12
    return bending


def _dot(a: list[Fraction], b: list[Fraction]) -> Fraction:
    return sum((x * y for x, y in zip(a, b)), Fraction(0))
