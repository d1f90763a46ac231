"""Compare two networks over the regions of a canonical complex.

The regions of f cover its domain and f is affine on each. On a region P let s be the pattern of g at
an inner point. If every wall inequality of s holds at the vertices and along the rays of P, then g is
affine on P with the map of s, and f and g agree on P exactly when the two maps agree. Where g bends
inside P, the complex of g on P decides. Walls that coincide up to rounding cost nothing, unlike
in the complex of both networks side by side.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..._typing import BoolArray, FloatArray, IntArray
from ...budget import Monitor, heed
from ...complexes.build import canonical_complex
from ...complexes.complex import PolyhedralComplex
from ...domain import Polyhedron
from ...errors import BudgetExceededError, GenericityError, InputError, PolyfiberError
from ...network.model import ReLUNetwork
from .deviation import carried, collar, lipschitz_bound

_CHUNK = 4096
PORTION = 1 << 22
"""Numbers in the largest working array."""
_NOISE = 2.0**-46


@dataclass
class RegionReport:
    """What the regions said.

    Attributes
    ----------
    equal : bool or None
        None: some regions are open.
    n_regions, contained, split : int
        Regions of f; those on which g is affine; those cut further by g.
    open : int
        Regions that were not decided.
    largest : float
        Largest relative difference of affine maps that was accepted.
    maximum : float
        Largest ``|f - g|`` seen at a vertex; exact up to rounding where all regions are bounded and done.
    where : (n0,) array or None
        Where it is attained.
    witness : (n0,) array or None
        A point of a region on which the pieces differ.
    reason : str
    upper, slack : float
        On bounded regions: the largest difference of the affine maps compared, errors of vertices included, and how
        far g may be from the maps that stood for it (see `slack`); with the rounding of values they bound ``|f - g|``.
    """

    equal: bool | None = True
    n_regions: int = 0
    contained: int = 0
    split: int = 0
    open: int = 0
    largest: float = 0.0
    maximum: float = 0.0
    where: FloatArray | None = None
    witness: FloatArray | None = None
    reason: str = ""
    upper: float = 0.0
    slack: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)


def affine_pieces(net: ReLUNetwork, points: FloatArray) -> tuple[list[FloatArray], FloatArray]:
    """Forms of all hidden neurons and of the outputs on the pattern at each point.

    Returns
    -------
    forms : list of (k, n_l, n0 + 1) arrays
        Per layer, constant last; the last entry is the affine map of the network.
    signs : (k, N) array of ±1
    """
    k, n0 = points.shape
    forms: list[FloatArray] = []
    signs = []
    current = np.zeros((k, n0, n0 + 1))
    current[:, np.arange(n0), np.arange(n0)] = 1.0
    for layer, (W, b) in enumerate(zip(net.weights, net.biases)):
        form = np.matmul(W[None], current)
        form[:, :, -1] += b
        forms.append(form)
        if layer < len(net.weights) - 1:
            z = np.einsum("kij,kj->ki", form[:, :, :-1], points) + form[:, :, -1]
            on = z > 0
            signs.append(np.where(on, 1.0, -1.0))
            current = form * on[:, :, None]
    return forms, (np.concatenate(signs, axis=1) if signs else np.zeros((k, 0)))


def output_maps(net: ReLUNetwork, points: FloatArray) -> FloatArray:
    """Affine maps (k, nL, n0 + 1) of a network at points."""
    n0 = net.architecture[0]
    maps = np.empty((len(points), net.architecture[-1], n0 + 1))
    portion = max(16, PORTION // (max(net.architecture) * (n0 + 1)))
    for start in range(0, len(points), portion):
        heed("comparing regions")
        part = slice(start, start + portion)
        maps[part] = affine_pieces(net, points[part])[0][-1]
    return maps


def incidence(cx: PolyhedralComplex) -> tuple[Any, Any]:
    """Sparse (regions, vertices) and (regions, rays) incidence of a complex, as CSR matrices."""
    from scipy import sparse

    d = cx.dimension
    strata = cx.strata
    ptr, idx = (np.asarray(v) for v in strata.covers_above)
    offsets = np.concatenate([[0], np.cumsum(cx.f_vector)])

    def step(k: int) -> Any:
        rows = slice(offsets[k], offsets[k + 1] + 1)
        local = ptr[rows]
        columns = idx[local[0] : local[-1]] - offsets[k + 1]
        data = np.ones(len(columns), dtype=np.int8)
        return sparse.csr_matrix((data, columns, local - local[0]), shape=(cx.f_vector[k], cx.f_vector[k + 1]))

    def flat(matrix: Any) -> Any:
        matrix.data[:] = 1
        return matrix

    above = sparse.identity(cx.f_vector[d], dtype=np.int8, format="csr")
    for k in range(d - 1, 0, -1):
        above = flat(step(k) @ above)
    ids, _ = cx.rays
    rays = above[ids].T.tocsr() if d else sparse.csr_matrix((cx.f_vector[0], 0), dtype=np.int8)
    vertices = flat(step(0) @ above).T.tocsr() if d else sparse.identity(1, dtype=np.int8, format="csr")
    return vertices, rays


def compare_over(
    cx: PolyhedralComplex, f: ReLUNetwork, g: ReLUNetwork, *, tolerance: float, monitor: Monitor,
    first_difference: bool = True, scale: float | None = None,
) -> RegionReport:  # fmt: skip
    """Compare g with f over the complex of f.

    Parameters
    ----------
    cx : PolyhedralComplex
        Of f.
    tolerance : float
        Relative: walls, affine maps (to the largest slope of f), values at a vertex.
    first_difference : bool
        Stop at the first difference (equivalence); else go on for the maximum of ``|f - g|``.
    """
    report = RegionReport(n_regions=cx.n_regions)
    try:
        return _compare(cx, f, g, tolerance, monitor, first_difference, scale, report)
    except BudgetExceededError as error:
        error.partial = report
        raise


def _compare(
    cx: PolyhedralComplex, f: ReLUNetwork, g: ReLUNetwork, tolerance: float, monitor: Monitor,
    first_difference: bool, scale: float | None, report: RegionReport,
) -> RegionReport:  # fmt: skip
    vertices, directions = cx.vertices, cx.rays[1]
    inside, outward = incidence(cx)
    points = cx.interior_points()
    A, a = cx.affine_maps()
    slope = float(np.abs(A).max()) if scale is None else scale
    top = float(np.abs(vertices).max(initial=0.0))
    if cx.n_regions > 1 and not ((slope == 0 or 1e-200 < slope < 1e200) and top < 1e150):
        report.equal, report.open = None, cx.n_regions
        report.reason = f"slopes of size {slope:.3g} and vertices of size {top:.3g} are beyond what floats can compare"
        return report
    fv, gv = f(vertices), g(vertices)
    gap = np.abs(fv - gv).max(axis=1)
    if len(gap):
        report.maximum, report.where = float(gap.max()), vertices[int(np.argmax(gap))]
    failing: list[int] = []
    step = max(16, min(_CHUNK, PORTION // max(1, max(g.architecture) * (g.architecture[0] + 1))))
    thin = _move_off_walls(
        points, near_walls(g, points, tolerance), g, vertices, directions, inside, outward, tolerance
    )
    report.facts["thin"] = int(thin.sum())
    for start in range(0, cx.n_regions, step):
        monitor.check_time("comparing regions")
        monitor.report("comparing regions", start, cx.n_regions)
        ids = np.arange(start, min(cx.n_regions, start + step))
        bad, broken = _compare_chunk(
            A[ids],
            a[ids],
            g,
            points[ids],
            vertices,
            directions,
            inside[ids],
            outward[ids],
            tolerance,
            slope,
            report,
            thin[ids],
            cx.vertex_errors,
        )
        if bad is not None and first_difference:
            report.equal, report.witness = False, points[ids[bad]]
            report.reason = f"the affine maps on region {int(ids[bad])} of {cx.n_regions} differ"
            return report
        if bad is not None:
            report.equal = False
        report.contained += len(ids) - len(broken)
        failing += [int(ids[i]) for i in broken]
    for region in failing:
        monitor.check_time("splitting regions")
        _split(cx, region, f, g, tolerance, slope, report, monitor, vertices[inside[region].indices])
        if report.equal is False and first_difference:
            return report
    if report.open and report.equal:
        report.equal = None
        report.reason = f"{report.open} of {cx.n_regions} regions were not decided"
    return report


def _move_off_walls(
    points: FloatArray, ambiguous: BoolArray, g: ReLUNetwork, vertices: FloatArray, directions: FloatArray,
    inside: Any, outward: Any, tolerance: float,
) -> BoolArray:  # fmt: skip
    """Replace inner points that lie on walls of g by others of their regions; mark regions where all do.

    Such a region is thinner than the tolerance: it lies between two walls that are one within it.
    """
    thin = np.zeros(len(points), dtype=bool)
    generator = np.random.default_rng(0)
    for r in np.flatnonzero(ambiguous):
        heed("looking for inner points")
        corners, far = vertices[inside[r].indices], directions[outward[r].indices]
        weights = generator.dirichlet(np.ones(len(corners)), 24)
        trial = weights @ corners
        if len(far):
            push = generator.exponential(1.0, (24, len(far))) * 10.0 ** generator.uniform(-1, 2, (24, 1))
            trial = trial + push @ far
        free = np.flatnonzero(~near_walls(g, trial, tolerance))
        if len(free):
            points[r] = trial[free[0]]
        else:
            thin[r] = True
    return thin


def rounding_sizes(net: ReLUNetwork, signs: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Sizes (k, N) of the slopes and constants of hidden forms before cancellation: their rounding is relative to it."""
    slopes, constants = [], []
    column = 0
    S: FloatArray = np.ones((len(signs), net.architecture[0]))
    T: FloatArray = np.zeros((len(signs), net.architecture[0]))
    for layer, (W, b) in enumerate(zip(net.weights[:-1], net.biases[:-1])):
        size = np.abs(W)
        S = np.broadcast_to(size.max(axis=1), (len(signs), len(b))) if layer == 0 else S @ size.T
        T = T @ size.T + np.abs(b)
        slopes.append(S)
        constants.append(T)
        on = signs[:, column : column + len(b)] > 0
        column += len(b)
        S, T = S * on, T * on
    if not slopes:
        return np.zeros((len(signs), 0)), np.zeros((len(signs), 0))
    return np.concatenate(slopes, axis=1), np.concatenate(constants, axis=1)


def near_walls(net: ReLUNetwork, points: FloatArray, tolerance: float) -> BoolArray:
    """Points within the tolerance, or within rounding, of a wall of their own pattern."""
    near = np.zeros(len(points), dtype=bool)
    portion = max(16, PORTION // max(1, net.n_hidden * (net.architecture[0] + 1)))
    for start in range(0, len(points), portion):
        heed("comparing regions")
        part = slice(start, start + portion)
        near[part] = _near_walls(net, points[part], tolerance)
    return near


def _near_walls(net: ReLUNetwork, points: FloatArray, tolerance: float) -> BoolArray:
    forms, signs = affine_pieces(net, points)
    if not signs.shape[1]:
        return np.zeros(len(points), dtype=bool)
    H = np.concatenate(forms[:-1], axis=1)
    z = np.abs(np.einsum("kij,kj->ki", H[:, :, :-1], points) + H[:, :, -1])
    S, T = rounding_sizes(net, signs)
    reach = np.maximum(1.0, np.abs(points).max(axis=1))[:, None]
    allowed = 4 * (tolerance + 1e-12) * (np.abs(H[:, :, :-1]).max(axis=2) * reach + np.abs(H[:, :, -1]))
    return np.asarray((z <= allowed + _NOISE * (S * reach + T)).any(axis=1))


def bends_inside(
    forms: list[FloatArray], signs: FloatArray, inside: Any, outward: Any, vertices: FloatArray,
    directions: FloatArray, tolerance: float, net: ReLUNetwork, errors: FloatArray,
) -> tuple[BoolArray, FloatArray]:  # fmt: skip
    """Regions in which some wall inequality of the pattern at the inner point fails at a vertex or along a ray.

    Returns
    -------
    broken : (k,) bool
        Where one fails by more than the tolerance and rounding.
    violations : (k, N)
        By how much each fails at a vertex, at most, rounding included.
    """
    k = len(signs)
    broken = np.zeros(k, dtype=bool)
    violations = np.zeros(signs.shape)
    if signs.shape[1]:
        H = np.concatenate(forms[:-1], axis=1) * signs[:, :, None]
        norms = np.abs(H[:, :, :-1]).max(axis=2)
        S, T = rounding_sizes(net, signs)
        for matrix, targets, constant in ((inside, vertices, 1.0), (outward, directions, 0.0)):
            rows = np.repeat(np.arange(k), np.diff(matrix.indptr))
            portion = max(64, PORTION // max(1, H[0].size))
            for begin in range(0, len(rows), portion):
                heed("comparing regions")
                part = slice(begin, begin + portion)
                r, v = rows[part], targets[matrix.indices[part]]
                z = np.einsum("qij,qj->qi", H[r][:, :, :-1], v) + constant * H[r][:, :, -1]
                reach = np.maximum(constant, np.abs(v).max(axis=1))[:, None]
                allowed = (tolerance + 1e-12) * (norms[r] * reach + constant * np.abs(H[r][:, :, -1])) * 4.0
                noise = _NOISE * (S[r] * reach + constant * T[r])
                if constant:  # the exact vertex lies this near
                    noise += np.abs(H[r][:, :, :-1]).sum(axis=2) * errors[matrix.indices[part], None]
                broken[r[(z < -allowed - noise).any(axis=1)]] = True
                if constant:
                    np.maximum.at(violations, r, np.where(z < noise, noise - z, 0.0))
    return broken, violations


def _compare_chunk(
    A: FloatArray, a: FloatArray, g: ReLUNetwork, points: FloatArray, vertices: FloatArray, directions: FloatArray,
    inside: Any, outward: Any, tolerance: float, slope: float, report: RegionReport, thin: BoolArray,
    errors: FloatArray,
) -> tuple[int | None, IntArray]:  # fmt: skip
    """A region whose map differs at its inner point (or None), and the regions in which g bends."""
    forms, signs = affine_pieces(g, points)
    k = len(points)
    broken, violations = bends_inside(forms, signs, inside, outward, vertices, directions, tolerance, g, errors)
    broken &= ~thin
    report.slack = max(report.slack, carried(g, violations[~broken]))
    M = forms[-1]
    report.upper = max(
        report.upper, _largest_gap(M - np.concatenate([A, a[:, :, None]], axis=2), inside, vertices, errors, ~broken)
    )
    difference = np.abs(A - M[:, :, :-1]).max(axis=(1, 2))
    relative = difference / slope if slope > 0 else difference
    anchor = inside.indices[inside.indptr[:-1]] if len(vertices) else np.zeros(k, dtype=np.int64)
    base = vertices[anchor] if len(vertices) else points
    mine = np.einsum("kij,kj->ki", A, base) + a
    theirs = np.einsum("kij,kj->ki", M[:, :, :-1], base) + M[:, :, -1]
    size = np.abs(mine).max(axis=1) + slope * np.maximum(1.0, np.abs(base).max(axis=1))
    offset = np.abs(mine - theirs).max(axis=1) / np.where(size > 0, size, 1.0)
    worst = np.maximum(relative, offset)
    differs = (worst > 4.0 * tolerance + 1e-13) & ~broken & ~thin
    ok = ~differs & ~broken & ~thin
    if ok.any():
        report.largest = max(report.largest, float(worst[ok].max()))
    bad = int(np.flatnonzero(differs)[np.argmax(worst[differs])]) if differs.any() else None
    return bad, np.flatnonzero(broken)


def _largest_gap(D: FloatArray, inside: Any, vertices: FloatArray, errors: FloatArray, chosen: BoolArray) -> float:
    """Bound of affine maps (k, nL, n0 + 1) on the vertices of the chosen regions, whose coordinates have errors."""
    worst = 0.0
    rows = np.repeat(np.arange(len(D)), np.diff(inside.indptr))
    portion = max(64, PORTION // max(1, D[0].size))
    for begin in range(0, len(rows), portion):
        part = slice(begin, begin + portion)
        r, v = rows[part], inside.indices[part]
        gap = np.abs(np.einsum("qij,qj->qi", D[r][:, :, :-1], vertices[v]) + D[r][:, :, -1])
        gap += np.abs(D[r][:, :, :-1]).sum(axis=2) * errors[v, None]
        worst = max(worst, float(gap[chosen[r]].max(initial=0.0)))
    return worst


def shrunk_region(
    cx: PolyhedralComplex, region: int, g: ReLUNetwork, tolerance: float, monitor: Monitor
) -> PolyhedralComplex | None:
    """The complex of g on a region whose facets are moved in by the tolerance; None if nothing is left.

    Raises
    ------
    GenericityError
        After three different insets.
    """
    h = cx.h_representation(region)
    norms = np.abs(h.A).sum(axis=1) + np.abs(h.b)
    for attempt in range(3):
        inset = (tolerance + 1e-11) * (4.0 + 3.1 * attempt) * (1.0 + 0.1 * np.arange(len(norms)))
        try:
            return canonical_complex(g, Polyhedron(h.A, h.b - inset * norms), budget=monitor.rest())
        except GenericityError:
            if attempt == 2:
                raise
        except InputError as error:
            if "empty" in str(error):
                return None
            raise
    return None


def _split(
    cx: PolyhedralComplex, region: int, f: ReLUNetwork, g: ReLUNetwork, tolerance: float, slope: float,
    report: RegionReport, monitor: Monitor, corners: FloatArray,
) -> None:  # fmt: skip
    """Decide one region by the complex of g on it, its facets moved in by the tolerance."""
    report.split += 1
    try:
        inner = shrunk_region(cx, region, g, tolerance, monitor)
    except BudgetExceededError:
        raise
    except PolyfiberError:
        report.open += 1
        return
    h = cx.h_representation(region)
    # the largest of the insets that `shrunk_region` tries
    inset = (tolerance + 1e-11) * 10.2 * (1.0 + 0.1 * len(h.b)) * (np.abs(h.A).sum(axis=1) + np.abs(h.b))
    if len(corners):
        away = collar(h.A, h.b, inset, corners)
        report.slack = max(report.slack, (lipschitz_bound(f) + lipschitz_bound(g)) * away)
        report.upper = max(report.upper, float(np.abs(f(corners) - g(corners)).max()))
    if inner is None:
        report.contained += 1
        return
    points = inner.interior_points()
    A = cx.affine_maps([region])[0]
    B = inner.affine_maps()[0]
    relative = np.abs(B - A).max(axis=(1, 2)) / (slope if slope > 0 else 1.0)
    values = np.abs(f(points) - g(points)).max(axis=1)
    size = np.abs(f(points)).max(axis=1) + slope * np.maximum(1.0, np.abs(points).max(axis=1))
    worst = np.maximum(relative, values / np.where(size > 0, size, 1.0))
    v = inner.vertices
    if len(v):
        gap = np.abs(f(v) - g(v)).max(axis=1)
        i = int(np.argmax(gap))
        off = (lipschitz_bound(f) + lipschitz_bound(g)) * inner.vertex_errors
        report.upper = max(report.upper, float((gap + off).max()))
        if gap[i] > report.maximum:
            report.maximum, report.where = float(gap[i]), v[i]
    worst = np.where(near_walls(g, points, tolerance), 0.0, worst)  # slivers between walls that are one
    if (worst > 4.0 * tolerance + 1e-13).any():
        i = int(np.argmax(worst))
        report.equal = False
        if report.witness is None:
            report.witness = points[i]
            report.reason = f"g bends inside region {region} of {cx.n_regions}, where f is affine"
    else:
        report.largest = max(report.largest, float(worst.max()))
