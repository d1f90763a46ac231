"""The largest difference of two networks on a domain: by enumeration, branch and bound, or MILP."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from ..._typing import FloatArray
from ...bounds.mixed_integer import milp_maximum
from ...bounds.relaxation import bounding_box
from ...budget import Monitor, heed
from ...complexes.build import canonical_complex, estimate_size
from ...complexes.complex import PolyhedralComplex
from ...domain import Box, Polyhedron
from ...errors import BudgetExceededError, GenericityError, InputError, PolyfiberError
from ...network.float_or_rational import products_in_range
from ...network.model import ReLUNetwork
from ...numerics.floats import as_float, nearest
from ...numerics.rounding import UNIT
from ...verdict import Verdict
from ..answer import Difference
from ..forms.canonical import rough_form
from ..regions.cover import CoverSearch, box_around
from ..regions.exact import settled_vertices
from ..regions.pieces import incidence, output_maps
from ..witness import candidates, exact_difference, rounding_bound
from .difference_network import both_signs, difference_network
from .everywhere import bound_on_box
from .near_equal import Question, folding_on, largest_difference

MAX_INCIDENCES = 4_000_000
"""Vertices of regions up to which the maximum on every single region is worked out too."""


MAX_VERTICES = 3_000_000
"""Largest expected complex that is enumerated without an explicit memory budget."""

ENUMERATION_SHARE = 0.7
"""Part of a time budget after which enumeration on a bounded domain leaves the rest to bounds."""


SECONDS = 30.0
"""Time for boxes without a budget."""
WIDE = 512
"""Inputs and neurons of layer 1 beyond which no complex is begun."""
LARGEST = float(np.finfo(np.float64).max)
"""What is attained beyond floats is at least that."""
BEYOND = 10**30
"""What numbers of vertices above it are taken for: floats hold it."""
HIGH_DIMENSION = 24
"""Rank of the first layer beyond which a complex is not estimated but for the number of its walls."""
BOXES = "branch and bound"
"""Name of the way that charges in its boxes what files, or integers, say beside the networks that were read."""


def expected_vertices(net: ReLUNetwork, domain: Polyhedron | None) -> int:
    """Vertices expected in the complex of a network; 10**30 where there is no estimate.

    In high dimension, where making the frame of an estimate takes as long as other answers, the rank of the first layer
    tells that there are too many.
    """
    heed("what to expect of the regions")
    walls = net.n_hidden
    if min(net.weights[0].shape) > WIDE and len(net.weights) > 1:
        return BEYOND
    if min(net.weights[0].shape) > HIGH_DIMENSION and len(net.weights) > 1:
        rank = int(np.linalg.matrix_rank(net.weights[0].astype(np.float64)))
        least = math.comb(walls, rank) if walls > rank else 1
        if rank > HIGH_DIMENSION and least > 10**12:
            return min(least, BEYOND)
    try:
        return min(int(estimate_size(net, domain)["vertices"]), BEYOND)
    except PolyfiberError:
        return BEYOND


def maximum_difference(
    a: ReLUNetwork, b: ReLUNetwork, domain: Polyhedron | None, *, monitor: Monitor, threshold: float | None,
    method: str, enumerable: bool, crew: tuple[int, Any] = (1, None),
) -> Difference:  # fmt: skip
    """`polyfiber.difference` on float networks; stops early at a threshold where the method can.

    Raises
    ------
    BudgetExceededError
        Enumeration ran out of time or memory, and there is no bounded domain to fall back to.
    """
    box = box_around(domain)
    found = _found(
        a, b, domain, box, monitor=monitor, threshold=threshold, method=method, enumerable=enumerable, crew=crew
    )
    if box is None and np.isinf(found.maximum):  # it grows
        return found
    if box is not None:
        found = _finite(found, a, b)
    with np.errstate(over="ignore"):
        upper = found.upper if products_in_range(a, b) else found.upper + underflow(a, box) + underflow(b, box)
    maximum, complete = min(found.maximum, LARGEST), found.complete and bool(np.isfinite(upper))
    moved = folding_on((a, b), box) if box is not None and found.method != BOXES else 0.0
    if moved > 0:
        upper, complete = upper + moved, complete and bool(moved <= 1e-9 * maximum)
        if method == "auto" and moved > 1e-3 * maximum and box is not None and domain is not None and not monitor.late:
            other = _by_bounds(a, b, domain, monitor, threshold, box, crew)  # charged neuron by neuron there
            upper = min(upper, max(other.upper, maximum))
    return replace(found, maximum=maximum, upper=upper, complete=complete)


@np.errstate(under="ignore")
def underflow(net: ReLUNetwork, box: tuple[FloatArray, FloatArray] | None) -> float:
    """What products below the smallest float may add up to in an output on a box, in whatever order parameters are
    multiplied.
    """
    if box is None:
        return np.inf
    far = max(1.0, float(np.abs(box).max(initial=0.0)))
    power = float(np.log2(far)) + float(np.log2(net.n_parameters + 1)) - 1064
    for W, b in zip(net.weights, net.biases):
        power += float(np.log2(max(1.0, float((np.abs(W).sum(axis=1) + np.abs(b)).max()))))
    return float(np.exp2(power))


def _found(
    a: ReLUNetwork, b: ReLUNetwork, domain: Polyhedron | None, box: tuple[FloatArray, FloatArray] | None, *,
    monitor: Monitor, threshold: float | None, method: str, enumerable: bool, crew: tuple[int, Any],
) -> Difference:  # fmt: skip
    if method == "milp":
        return _by_milp(a, b, domain, monitor)
    if method != "bound" and (enumerable or box is None):
        part = Monitor(monitor.rest(1.0 if box is None else ENUMERATION_SHARE), monitor._call)
        try:
            with part.watching():
                return _by_enumeration(a, b, domain, part)
        except (GenericityError, BudgetExceededError):
            if box is None:
                raise
    if box is None:
        raise InputError("bounds need a bounded domain; pass a Box or a bounded Polyhedron")
    assert domain is not None
    return _by_bounds(a, b, domain, monitor, threshold, box, crew)


def _by_enumeration(a: ReLUNetwork, b: ReLUNetwork, domain: Polyhedron | None, monitor: Monitor) -> Difference:
    if _nearly_equal(a, b):  # their walls coincide up to rounding: side by side is the worst input there is
        found = _by_cells(a, b, domain, monitor)
        if found.complete:
            return found
    try:
        return _by_complex(a, b, domain, monitor)
    except GenericityError:
        return _by_cells(a, b, domain, monitor)


def _nearly_equal(a: ReLUNetwork, b: ReLUNetwork) -> bool:
    return rough_form(a).distance(rough_form(b)) <= 1e-10


def _by_complex(a: ReLUNetwork, b: ReLUNetwork, domain: Polyhedron | None, monitor: Monitor) -> Difference:
    """Vertices of both networks side by side: ``f - g`` is affine on every region."""
    stacked = difference_network(a, b)
    cx = canonical_complex(stacked, domain, budget=monitor.rest(), progress=monitor._call)
    v, errors = cx.vertices.copy(), cx.vertex_errors.copy()
    far = np.flatnonzero(~np.isfinite(v).all(axis=1))  # vertices beyond floats: an input beside them, and their own gap
    v[far], errors[far] = np.clip(v[far], -LARGEST, LARGEST), 0.0
    heed("bounding slopes")
    lipschitz = _slope(cx, domain)
    heed("comparing values")
    gap = np.abs(a(v) - b(v)).max(axis=1)
    # only vertices that could be the maximum have to be known better
    sure = gap[errors <= 1e-12 * (1.0 + np.abs(v).max(axis=1))]
    target = float(sure.max()) * (1 + 1e-9) if len(sure) else 0.0
    poor = np.flatnonzero(~(gap + lipschitz * errors <= target) & ~(errors <= 1e-12))
    if len(poor) and not cx.lineality_dimension:
        v[poor], errors[poor] = settled_vertices(cx, stacked, domain, poor, monitor)
    if isinstance(domain, Box):
        v = np.clip(v, nearest(domain.lo), nearest(domain.hi))
    heed("comparing values")
    with np.errstate(over="ignore", invalid="ignore"):
        fa, fb = a(v), b(v)
        gaps = np.abs(fa - fb)
        gap, rounding = gaps.max(axis=1), (rounding_bound(a, v) + rounding_bound(b, v)).max(axis=1)
    for r in np.union1d(np.flatnonzero(~np.isfinite(gap)), far).tolist():  # an evaluation that overflows says nothing
        fa[r], fb[r], gap[r] = _exactly(a, b, v[r])
        gaps[r], rounding[r] = np.abs(fa[r] - fb[r]), 4 * UNIT * gap[r] if gap[r] < LARGEST else np.inf
    reached = gap.copy()
    for r, x in zip(far.tolist(), cx.exact_vertices(far) if len(far) else ()):
        reached[r] = max(gap[r], as_float(exact_difference(a, b, x)[2]) * (1 + 4 * UNIT))
        if domain is not None:  # the input beside it may lie outside
            gap[r] = 0.0
    i = int(np.argmax(gap))
    where = None if domain is not None and i in far else v[i]
    with np.errstate(over="ignore", invalid="ignore"):
        error = (float((reached + np.where(errors > 0, lipschitz * errors, 0.0)).max()) - float(gap[i])) * (
            1 + 1e-9
        ) + float(rounding.max())
        maximum, upper = float(gap[i]), float(gap[i]) + error
    if np.isnan(upper):  # values beyond floats: nothing bounds it
        upper = np.inf
    settled = bool(np.isfinite(upper))
    maxima: FloatArray | None = None
    directions = np.zeros((0, 0)) if isinstance(domain, Box) else cx.rays[1]
    if len(directions) or cx.f_vector[0] << cx.dimension <= MAX_INCIDENCES:
        monitor.check_time("comparing regions")
        inside, outward = incidence(cx)
        maxima = np.maximum.reduceat(reached[inside.indices], inside.indptr[:-1])
        if len(directions):
            maxima = _grow(cx, (a, b), maxima, directions, outward)
            if np.isinf(maxima).any():
                maximum = upper = np.inf
                settled = True
            elif np.isnan(maxima).any():  # whether it grows there is not known
                upper, settled = np.inf, False
    return Difference(
        maximum, upper, where, int(np.argmax(gaps[i])), None if where is None else (fa[i], fb[i]), settled, 1.0, "regions", cx.n_regions,
        maxima, None if maxima is None else cx.interior_points(), {"seconds": monitor.elapsed, "largest output": float(np.abs(fa).max())},
    )  # fmt: skip


def _slope(cx: PolyhedralComplex, domain: Polyhedron | None) -> float:
    """A bound of slopes next to the vertices. Off a flat domain, where rounded vertices lie, that of all space."""
    if domain is None or domain.affine_hull is None:
        found = cx.lipschitz(np.inf)
        return found.value + found.error
    size: FloatArray = np.ones(domain.dimension)
    for w in cx.network.weights:
        size = np.abs(w) @ size * (1 + 1e-12)
    return float(size.max())


def _grow(
    cx: PolyhedralComplex,
    nets: tuple[ReLUNetwork, ReLUNetwork],
    maxima: FloatArray,
    directions: FloatArray,
    outward: Any,
) -> FloatArray:
    """Infinity on regions with a ray along which the difference grows; no number where overflow hides whether it
    does.
    """
    A, _ = cx.affine_maps()
    points = cx.interior_points()
    with np.errstate(over="ignore", invalid="ignore"):
        slope = max(float(np.abs(output_maps(net, points)).max()) for net in nets)
        rows = np.repeat(np.arange(cx.n_regions), np.diff(outward.indptr))
        growth = np.abs(np.einsum("qij,qj->qi", A[rows], directions[outward.indices])).max(axis=1)
    result = maxima.copy()
    unsure = ~np.isfinite(growth) | (not np.isfinite(slope))
    result[rows[unsure]] = np.nan
    result[rows[~unsure & (growth > 1e-11 * slope)]] = np.inf
    return result


def _exactly(a: ReLUNetwork, b: ReLUNetwork, x: FloatArray) -> tuple[FloatArray, FloatArray, float]:
    """Both outputs at an input, and the largest difference, worked out in rationals; at most the largest float."""
    u, v, gap = exact_difference(a, b, x)
    return (
        np.clip(nearest(u), -LARGEST, LARGEST), np.clip(nearest(v), -LARGEST, LARGEST), min(as_float(gap), LARGEST),
    )  # fmt: skip


def _finite(found: Difference, a: ReLUNetwork, b: ReLUNetwork) -> Difference:
    """An answer on a bounded domain, where differences are finite: what overflow spoilt is evaluated exactly."""
    values = () if found.values is None else found.values
    if np.isfinite(found.maximum) and all(np.isfinite(v).all() for v in values):
        return found
    if found.where is None:
        return replace(found, maximum=0.0, upper=np.inf)
    u, v, gap = _exactly(a, b, found.where)
    upper = found.upper if gap <= found.upper else np.inf
    return replace(found, maximum=gap, upper=upper, values=(u, v), output=int(np.argmax(np.abs(u - v))))


def _by_cells(a: ReLUNetwork, b: ReLUNetwork, domain: Polyhedron | None, monitor: Monitor) -> Difference:
    """Where walls of the two coincide up to rounding: over cells of both (`regions.cover`)."""
    try:
        search = CoverSearch(a, b, domain)
    except ValueError as error:
        raise GenericityError(str(error)) from None
    monitor.check_memory(search.memory, "comparing cells")
    found = search.run(np.full(a.architecture[-1], np.inf), monitor)
    o = int(np.argmax(found.gap))
    where = found.where[o]
    if isinstance(domain, Box):
        where = np.clip(where, domain.lo.astype(np.float64), domain.hi.astype(np.float64))
    u, v = a(where), b(where)
    maximum, upper = float(np.abs(u - v).max()), float(found.upper.max()) if found.complete else np.inf
    if found.complete and np.isinf(upper) and search.bounded is None:
        maximum = np.inf
    largest = float(found.size.max())
    close = bool(np.isinf(maximum)) or upper - maximum <= 1e-6 * maximum + 1e-9 * largest
    return Difference(
        maximum, max(upper, maximum), where, o, (u, v), found.complete and close, found.share, "regions", found.cells,
        stats={"seconds": monitor.elapsed, "largest output": largest},
    )  # fmt: skip


def _by_bounds(
    a: ReLUNetwork, b: ReLUNetwork, domain: Polyhedron, monitor: Monitor, threshold: float | None,
    box: tuple[FloatArray, FloatArray], crew: tuple[int, Any] = (1, None),
) -> Difference:  # fmt: skip
    """Both bounds by splitting boxes; with a threshold it stops as soon as that is known to hold or not to."""
    seconds = SECONDS if monitor.left is None else None
    X = candidates(a, b, domain, n=64)
    if threshold is not None and threshold > 0:
        question = Question.of(a, b, domain, threshold)
        search = question.search()
        search.attack(monitor, X)
        near = question.answer(search.run(monitor, seconds=seconds, attack=False))
        attained, where, share = as_float(near.gap or 0), near.point, near.proved
        upper = threshold if near.verdict is Verdict.YES else near.bound
        boxes = near.n_boxes
    else:
        workers, scheduler = crew
        found = largest_difference(
            a, b, domain, monitor=monitor, points=X, seconds=seconds, workers=workers, scheduler=scheduler
        )
        attained, where, upper, share, boxes = (
            found.attained,
            found.point,
            found.upper,
            found.found.share,
            found.found.boxes,
        )
    if not np.isfinite(upper):  # not even one box was looked at
        upper = bound_on_box(a, b, *box) + folding_on((a, b), box)
    upper = max(upper, attained)
    values, output = None, 0
    if where is not None:
        values = (a(where), b(where))
        output = int(np.argmax(np.abs(values[0] - values[1])))
    settled = where is not None and upper <= attained * (1 + 1e-5) + 1e-15
    return Difference(
        attained, upper, where, output, values, settled, share, BOXES,
        stats={"seconds": monitor.elapsed, "boxes": boxes},
    )  # fmt: skip


def _by_milp(a: ReLUNetwork, b: ReLUNetwork, domain: Polyhedron | None, monitor: Monitor) -> Difference:
    if not isinstance(domain, Box):
        raise InputError("method='milp' needs a Box as the domain; other bounded domains are bounded by method='bound'")
    lo, hi = bounding_box(domain)
    net = both_signs(a, b)
    best, upper, where, complete = -np.inf, -np.inf, lo, True
    for output in range(net.architecture[-1]):
        left = None if monitor.budget.seconds is None else monitor.budget.seconds - monitor.elapsed
        if left is not None and left <= 0:
            complete, upper = False, np.inf
            break
        value, bound, x, status = milp_maximum(net, lo, hi, output=output, seconds=left)
        complete &= status == "optimal"
        upper = max(upper, bound, value)
        if x is not None and value > best:
            best, where = value, x
    values = (a(where), b(where))
    gap = np.abs(values[0] - values[1])
    if not products_in_range(a, b):  # a solver's bound means nothing there
        complete, upper = False, np.inf
    return Difference(
        float(gap.max()), max(float(gap.max()), upper), where, int(np.argmax(gap)), values, complete,
        1.0 if complete else 0.0, "milp", stats={"seconds": monitor.elapsed},
    )  # fmt: skip
