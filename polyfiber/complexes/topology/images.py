"""What a network maps its regions to, what it maps into a polyhedron, and whether it maps two points to one."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._typing import Array, FloatArray, IntArray, ProgressLike
from ...budget import Budget, Monitor, heed
from ...domain import Polyhedron
from ...errors import BudgetExceededError, InputError, ShapeError
from ...network.model import ReLUNetwork
from ...network.piecewise import PiecewiseLinearNetwork, require_network
from ...network.relu_form import relu_form
from ...network.sparse import dense
from ...numerics import exact
from ...numerics.lp import solve_lp_exact
from ...numerics.products import exact_product
from ...verdict import Verdict
from ...words import one_line
from ..build import canonical_complex
from .build import refuse_without_walls
from .cells import Cells
from .gates import Gates
from .sets import PolyhedralSet

if TYPE_CHECKING:
    from ..complex import PolyhedralComplex


@dataclass(frozen=True)
class Image:
    """The image of every region, as the hull of points plus the cone of directions.

    Attributes
    ----------
    points : list of (p, nL) float64
        Images of the vertices of each region.
    directions : list of (q, nL) float64
        Images of its rays under the linear part.
    rank : (f_d,) int64
        Dimension of each image.
    """

    __repr__ = one_line

    points: list[FloatArray]
    directions: list[FloatArray]
    rank: IntArray


@dataclass(frozen=True)
class Injectivity:
    """Whether different inputs always give different outputs.

    Attributes
    ----------
    verdict : Verdict
    witness : pair of tuples of Fraction, or None
        Two inputs with one output, exactly.
    reason : str
        In words: what decided it, or what was left.
    pairs : int
        Pairs of regions whose images were compared.
    """

    verdict: Verdict
    witness: tuple[tuple[Fraction, ...], tuple[Fraction, ...]] | None
    reason: str
    pairs: int

    @property
    def sentence(self) -> str:
        """Whether inputs can be told apart by outputs, how sure, and what would decide it."""
        if self.verdict is Verdict.YES:
            return f"Yes: different inputs always give different outputs, proved; {self.reason}."
        if self.verdict is Verdict.NO:
            return f"No: two different inputs give the same output, exactly; {self.reason}."
        return f"Not decided: {self.reason}; a larger budget compares more pairs of regions."

    def __str__(self) -> str:
        return self.sentence

    def __bool__(self) -> bool:
        return bool(self.verdict)


def image(cx: PolyhedralComplex) -> Image:
    """The polytopes that a network maps the regions of its complex to; see `PolyhedralComplex.image`."""
    refuse_without_walls(cx)
    A, a = cx.affine_maps()
    points, directions, rank = [], [], np.zeros(cx.n_regions, dtype=np.int64)
    polytopes, rays = cx.polytopes, cx.rays[1]
    for r in range(cx.n_regions):
        heed("images of regions")
        own = polytopes.vertices[1][polytopes.vertices[0][r] : polytopes.vertices[0][r + 1]]
        out = polytopes.rays[1][polytopes.rays[0][r] : polytopes.rays[0][r + 1]]
        points.append(cx.vertices[own] @ A[r].T + a[r])
        directions.append(rays[out] @ A[r].T)
        rank[r] = np.linalg.matrix_rank(A[r])
    return Image(points, directions, rank)


def preimage(cx: PolyhedralComplex, target: Polyhedron, *, budget: Budget | None = None) -> PolyhedralSet:
    """The inputs that a network maps into a polyhedron of outputs; see `PolyhedralComplex.preimage`."""
    refuse_without_walls(cx)
    n_out = cx.network.architecture[-1]
    if not isinstance(target, Polyhedron):
        raise InputError(f"the target is a Box or a Polyhedron of outputs, found {type(target).__name__}")
    if target.dimension != n_out:
        raise ShapeError(f"the target has {target.dimension} coordinates but the network has {n_out} outputs")
    rows = exact.as_fractions(target.rows())  # row . y + constant >= 0
    with Monitor(budget, None).watching():
        gates = Gates(cx, rows[:, :-1], rows[:, -1])
        cells = Cells.of(cx, gates)
        for g in range(gates.count):
            cells = cells.cut(g, (0, 1))
    return PolyhedralSet(cells, f"preimage of {target.n_facets} inequalities", keep=(0, 1))


class _Regions:
    """Regions with rational corners, directions and maps."""

    def __init__(self, cx: PolyhedralComplex) -> None:
        self.cx = cx
        n0 = cx.network.architecture[0]
        zero = np.zeros((0, cx.network.architecture[-1]))
        rows = np.full((1, cx.network.architecture[-1]), Fraction(0))
        self.gates = Gates(cx, rows, np.array([Fraction(1)], dtype=object))
        self.vertices = [self._exact(int(p))[0] for p in cx._finite]
        ids = cx.rays[0]
        tips = cx._edges[ids, 1] if len(ids) else zero
        self.rays = [self._exact(int(t))[1] or [] for t in tips]
        self.network = cx.network.exact()
        self.form = relu_form(cx.network)
        self.starts = np.concatenate([[0], np.cumsum(self.form.widths)]).astype(np.int64)
        self.n0 = n0

    def _exact(self, vertex: int) -> Any:
        heed("exact vertices")
        return self.gates.exact(vertex)

    def map_of(self, region: int) -> tuple[Array, Array]:
        """Rational affine map on a region."""
        signs = self.cx.signs(self.cx.dimension)[region]
        levels: list[Array] = []
        for base, reads in zip(self.form.bases, self.form.reads):
            level = exact.as_fractions(base)
            for j, matrix in reads.items():
                on = np.flatnonzero(signs[self.starts[j - 1] : self.starts[j]] > 0)
                level = level + exact_product(exact.as_fractions(dense(matrix)[:, on]), levels[j - 1][on])
            levels.append(level)
        return levels[-1][:, :-1], levels[-1][:, -1]

    def corners(self, region: int) -> tuple[Array, Array]:
        """Rational vertices (p, n0) and directions (q, n0) of a region."""
        p = self.cx.polytopes
        own = p.vertices[1][p.vertices[0][region] : p.vertices[0][region + 1]]
        out = p.rays[1][p.rays[0][region] : p.rays[0][region + 1]]
        return _table([self.vertices[v] for v in own], self.n0), _table([self.rays[r] for r in out], self.n0)


def _table(rows: list[Any], width: int) -> Array:
    result = np.full((len(rows), width), Fraction(0), dtype=object)
    for i, row in enumerate(rows):
        result[i] = row
    return result


def is_injective(
    network: ReLUNetwork | PiecewiseLinearNetwork,
    domain: Polyhedron | None = None,
    *,
    budget: Budget | None = None,
    progress: ProgressLike = None,
) -> Injectivity:
    """Whether a network maps different inputs to different outputs, with two inputs or a proof.

    A region whose linear part has a kernel gives two inputs at once. Otherwise every two regions are compared: the
    polyhedron of pairs ``(x, x')`` with one output is given by their corners, and rational linear programs find out
    whether ``x = x'`` on all of it. Images whose bounding boxes are apart need none; where there are as many outputs as
    inputs, neighbours need only the signs of two determinants.

    Parameters
    ----------
    network : ReLUNetwork or PiecewiseLinearNetwork
    domain : Box or Polyhedron, optional
    budget : Budget, optional
        UNDECIDED with what was left when the time ends.
    progress : None, True or callback

    Returns
    -------
    Injectivity

    Notes
    -----
    Cost: one rational linear program for each coordinate and each pair that is left; meant for up to some hundred regions.
    Source: a ReLU layer by itself is treated by Puthawala et al., "Globally injective ReLU networks" (2022); the comparison
    of regions holds for any network.

    Examples
    --------
    >>> import polyfiber as pf
    >>> double = pf.ReLUNetwork([[[1], [-1]], [[2, -1]]], [[0, 0], [0]])  # x -> 2x for x > 0, x for x < 0
    >>> pf.is_injective(double).verdict.name
    'YES'
    >>> fold = pf.is_injective(pf.ReLUNetwork([[[1], [-1]], [[1, 1]]], [[0, 0], [0]]))  # |x|
    >>> fold.verdict.name, [float(x[0]) for x in fold.witness]
    ('NO', [-0.5, 0.5])
    """
    network = require_network(network)
    monitor = Monitor(budget, progress)
    try:
        cx = canonical_complex(network, domain, budget=budget, progress=progress)
        refuse_without_walls(cx)
        with monitor.watching():
            return _decide(cx, monitor)
    except BudgetExceededError as error:
        return Injectivity(Verdict.UNDECIDED, None, f"the budget ended: {error}", 0)


def _decide(cx: PolyhedralComplex, monitor: Monitor) -> Injectivity:
    n0, n_out = cx.network.architecture[0], cx.network.architecture[-1]
    origin = tuple([Fraction(0)] * n0)
    if cx.dimension + cx.lineality_dimension < n0:
        raise InputError("the domain is flat; restrict the network to it first, for instance with slice_complex")
    if cx.lineality_dimension:
        form = relu_form(cx.network)
        kernel = exact.nullspace(
            exact.as_fractions(np.concatenate([exact.as_fractions(b[:, :-1]) for b in form.bases]))
        )
        if cx.domain is None and kernel.shape[1]:
            other = tuple(Fraction(v) for v in kernel[:, 0])
            return Injectivity(Verdict.NO, (origin, other), "what reads the input has a kernel", 0)
        if cx.domain is None:
            text = "the outputs read directions of the input that no wall cuts; on a Box it can be decided"
            return Injectivity(Verdict.UNDECIDED, None, text, 0)
        raise InputError("the network is constant along some inputs on an unbounded domain; reduce the inputs first")
    regions = _Regions(cx)
    maps, dets = [], []
    for r in range(cx.n_regions):
        monitor.check_time("ranks of regions")
        A, a = regions.map_of(r)
        maps.append((A, a))
        if exact.rank(A) < n0:
            return Injectivity(
                Verdict.NO, _inside_kernel(regions, r, A), f"the linear part of region {r} has a kernel", 0
            )
        dets.append(_determinant_sign(A) if n0 == n_out else 0)
    near = _facet_neighbours(cx)
    low, high = _bounds(regions, maps)
    compared, left = 0, 0
    for r in range(cx.n_regions):
        apart = ((low > high[r]) | (high < low[r])).any(axis=1)
        for s in (r + 1 + np.flatnonzero(~apart[r + 1 :])).tolist():
            if monitor.late:
                left = cx.n_regions - r
                text = f"the time ended with the pairs of {left} regions left; nothing that was compared is folded"
                return Injectivity(Verdict.UNDECIDED, None, text, compared)
            if n0 == n_out and (r, s) in near and dets[r] == dets[s]:
                continue
            compared += 1
            pair = _meet(regions, maps, r, s)
            if pair is not None:
                return Injectivity(Verdict.NO, pair, f"regions {r} and {s} have images that overlap", compared)
    return Injectivity(
        Verdict.YES,
        None,
        "every region is mapped one to one, and no two images share more than the regions do",
        compared,
    )


def _determinant_sign(A: Array) -> int:
    rows = [list(r) for r in A]
    sign = 1
    for c in range(len(rows)):
        pivot = next((i for i in range(c, len(rows)) if rows[i][c] != 0), None)
        if pivot is None:
            return 0
        if pivot != c:
            rows[c], rows[pivot] = rows[pivot], rows[c]
            sign = -sign
        sign = sign if rows[c][c] > 0 else -sign
        for i in range(c + 1, len(rows)):
            factor = rows[i][c] / rows[c][c]
            rows[i] = [x - factor * y for x, y in zip(rows[i], rows[c])]
    return sign


def _inside_kernel(regions: _Regions, r: int, A: Array) -> tuple[tuple[Fraction, ...], tuple[Fraction, ...]]:
    """Two points inside a region that differ by a vector of the kernel."""
    vertices, rays = regions.corners(r)
    x = vertices.sum(axis=0) / len(vertices) + (rays.sum(axis=0) if len(rays) else 0)
    k = exact.nullspace(A)[:, 0]
    value = regions.network(x[None])[0]
    step = Fraction(1)
    domain = regions.cx.domain
    inside = None if domain is None else exact.as_fractions(domain.rows())
    while True:  # ends: x lies inside of the region, and so does y for small steps
        heed("two inputs with one output")
        y = x + step * k
        allowed = inside is None or (inside[:, :-1] @ y + inside[:, -1] >= 0).all()
        if allowed and (regions.network(y[None])[0] == value).all():
            return tuple(x), tuple(y)
        step /= 2


def _facet_neighbours(cx: PolyhedralComplex) -> set[tuple[int, int]]:
    graph = cx.dual_graph
    source = np.repeat(np.arange(cx.n_regions), np.diff(graph.indptr))
    return {(int(a), int(b)) for a, b in zip(source, graph.indices) if a < b}


def _bounds(regions: _Regions, maps: list[tuple[Array, Array]]) -> tuple[FloatArray, FloatArray]:
    """Bounding boxes (regions, nL) of the images from rational corners, rounded outwards; infinite where a ray leads out."""
    low, high = (np.empty((len(maps), len(maps[0][1]))) for _ in range(2))
    for r, (A, a) in enumerate(maps):
        heed("images of regions")
        vertices, rays = regions.corners(r)
        points, out = vertices @ A.T + a, rays @ A.T
        for o in range(points.shape[1]):
            low[r, o] = -np.inf if (out[:, o] < 0).any() else _rounded(min(points[:, o]), -np.inf)
            high[r, o] = np.inf if (out[:, o] > 0).any() else _rounded(max(points[:, o]), np.inf)
    return low, high


def _rounded(value: Fraction, towards: float) -> float:
    """A float on that side of a rational."""
    try:
        return float(np.nextafter(float(value), towards))
    except OverflowError:
        return towards if (value > 0) == (towards > 0) else -float(np.sign(towards)) * float(np.finfo(np.float64).max)


def _meet(
    regions: _Regions, maps: list[tuple[Array, Array]], r: int, s: int
) -> tuple[tuple[Fraction, ...], tuple[Fraction, ...]] | None:
    """Different points of two regions with one image, or None: rational linear programs over their corners."""
    (A, a), (B, b) = maps[r], maps[s]
    (V, R), (W, S) = regions.corners(r), regions.corners(s)
    columns = [*(V @ A.T + a), *(R @ A.T), *(-(W @ B.T + b)), *(-(S @ B.T))]
    first, second = len(V) + len(R), len(W) + len(S)
    equal = np.array(columns, dtype=object).T
    ones = np.full((2, first + second), Fraction(0), dtype=object)
    ones[0, : len(V)] = Fraction(1)
    ones[1, first : first + len(W)] = Fraction(1)
    system = np.concatenate([equal, ones])
    right = np.array([*[Fraction(0)] * len(equal), Fraction(1), Fraction(1)], dtype=object)
    X = np.concatenate([V, R]).T  # x = X @ weights
    Y = np.concatenate([W, S]).T
    for i in range(regions.n0):
        for sign in (1, -1):
            cost = np.concatenate([-sign * X[i], sign * Y[i]])  # minimise -(x - x')_i
            found = solve_lp_exact(cost, system, right)
            if found.status == "infeasible":
                return None
            if found.status == "unbounded":
                # any pair will do whose difference is not zero: one where it is at most 1, else every pair is one
                wider = np.concatenate([system, np.full((len(system), 1), Fraction(0))], axis=1)
                stop = np.concatenate([-cost, [Fraction(1)]])[None]
                right_too = np.concatenate([right, [Fraction(1)]])
                found = solve_lp_exact(np.concatenate([cost, [Fraction(0)]]), np.concatenate([wider, stop]), right_too)
                if found.x is None:
                    found = solve_lp_exact(0 * cost, system, right)
            assert found.x is not None
            x, y = X @ found.x[:first], Y @ found.x[first : first + second]
            if x[i] != y[i]:
                return tuple(x), tuple(y)
    return None
