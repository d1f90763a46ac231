"""What a network maps its regions to, what it maps into a polyhedron, and whether it maps two points to one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from ... import words
from ..._typing import Array, FloatArray, IntArray, ProgressLike
from ..._values.read_only import read_only
from ...budget import Budget, Monitor, did, heed, heed_memory
from ...domain import Polyhedron
from ...errors import BudgetExceededError, InputError, ShapeError, old_name
from ...network.model import ReLUNetwork
from ...network.piecewise import PiecewiseLinearNetwork, require_network
from ...network.relu_form import relu_form
from ...network.sparse import dense
from ...numerics import exact
from ...numerics.floats import directed, nearest
from ...numerics.lp import solve_lp_exact
from ...numerics.products import exact_product
from ...numerics.rounding import gamma
from ...verdict import Verdict
from ...words import count, one_line
from ..build import canonical_complex
from ..geometry import map_errors
from ..metric import exact_rays
from .build import STEP, refuse_without_walls
from .cells import Cells
from .gates import Gates, refuse_uncut
from .sets import PolyhedralSet

if TYPE_CHECKING:
    from ..complex import PolyhedralComplex


class Image:
    """The image of every region, as the hull of points plus the cone of directions.

    Points are worked out when asked for: those of all regions together are as many as regions have corners.

    Attributes
    ----------
    complex : PolyhedralComplex
    rank : (f_d,) int64
        Dimension of each image, certified; on a flat domain that of the image of the flat region.
    """

    __repr__ = one_line

    def __init__(self, cx: PolyhedralComplex, rank: IntArray) -> None:
        self.complex = cx
        self.rank = read_only(rank)

    def __len__(self) -> int:
        return self.complex.n_regions

    @property
    def points(self) -> Sequence[FloatArray]:
        """For each region (p, nL) float64: images of its vertices, up to rounding (see `exact`)."""
        return _Asked(self, lambda r: self._mapped(r)[0])

    @property
    def directions(self) -> Sequence[FloatArray]:
        """For each region (q, nL) float64: images of its rays under the linear part."""
        return _Asked(self, lambda r: self._mapped(r)[1])

    def exact(self, region: int) -> tuple[Array, Array]:
        """Rational images (p, nL) of the vertices of a region, and images (q, nL) of its rays, of any length."""
        region = self.complex._region_id(region)
        regions = _Regions(self.complex)
        (A, a), (vertices, rays) = regions.map_of(region), regions.corners(region)
        return vertices @ A.T + a, rays @ A.T

    def _mapped(self, region: int) -> tuple[FloatArray, FloatArray]:
        cx = self.complex
        (A,), (a,) = cx.affine_maps(region)
        vertices, rays = _corner_ids(cx, region)
        return cx.vertices[vertices] @ A.T + a, cx.rays[1][rays] @ A.T


class _Asked(Sequence[FloatArray]):
    """A value for each region, made anew when it is asked for."""

    def __init__(self, image: Image, make: Callable[[int], FloatArray]) -> None:
        self._image, self._make = image, make

    def __len__(self) -> int:
        return len(self._image)

    def __getitem__(self, region: Any) -> Any:
        if isinstance(region, slice):
            return [self._make(r) for r in range(*region.indices(len(self)))]
        if not isinstance(region, (int, np.integer)) or isinstance(region, bool):
            raise InputError(f"regions are named by their ids, found {region!r}")
        if not -len(self) <= region < len(self):
            raise IndexError(f"there are {words.count(len(self), 'region')}, and no region {region}")
        return self._make(int(region) % len(self))


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
    n_pairs : int
        Pairs of regions whose images were compared.
    """

    verdict: Verdict
    witness: tuple[tuple[Fraction, ...], tuple[Fraction, ...]] | None
    reason: str
    n_pairs: int

    pairs = old_name("n_pairs")

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


REGIONS = "regions with the dimension of their image"


def image(cx: PolyhedralComplex, *, budget: Budget | None = None) -> Image:
    """The polytopes that a network maps the regions of its complex to; see `PolyhedralComplex.image`.

    Raises
    ------
    BudgetExceededError
        ``partial`` is a `polyfiber.budget.SoFar` with the number of regions whose image has a dimension that is known;
        ``partial.found`` (k,) int64 are the dimensions of the first k, -1 where it is not known.
    """
    refuse_without_walls(cx)
    if cx._frame.form is not None:
        refuse_uncut(cx._frame, cx._frame.form.bases[-1])
    with Monitor(budget, None).watching():
        did(REGIONS, 0, cx.n_regions)
        return Image(cx, _ranks(cx))


def _ranks(cx: PolyhedralComplex) -> IntArray:
    """Dimension of the image of every region.

    Singular values beyond all rounding bound it from below; the dimensions of region and output, and how many neurons
    are on in each layer of a chain, from above. Where the two differ, rationals decide.
    """
    frame, count = cx._frame, cx.n_regions
    n0, n_out = cx.network.architecture[0], cx.network.architecture[-1]
    hull = frame.hull
    along = exact.as_fractions(np.eye(n0) if hull is None else hull.lift[:, :-1])
    lift = nearest(along)
    maps, low, high = _Maps(cx), np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
    step = max(1, (1 << 22) // max(1, n0 * n_out))
    room = min(step, count) * (48 * n0 * n_out + (frame.n_neurons + frame.n_domain) * (frame.form is None))
    heed_memory(24 * count + room, f"the ranks of {count} images")
    planes = cx._store.planes(cx.dimension)
    for start in range(0, count, step):
        heed("images of regions")
        ids = np.arange(start, min(count, start + step))
        A, _ = cx.affine_maps(ids)
        off = map_errors(frame, A)
        with np.errstate(over="ignore", invalid="ignore"):
            B = A @ lift
            unit = (n0 + 8) * gamma(8)
            # sums of sizes instead of lengths, whose squares may underflow
            error = (off @ np.abs(lift)).sum() + unit * (np.abs(A) @ np.abs(lift)).sum(axis=(1, 2)) + 1e-300
            sound = np.isfinite(B).all(axis=(1, 2)) & np.isfinite(error)
            size = np.linalg.svd(np.where(sound[:, None, None], B, 0.0), compute_uv=False)
            error = error + size.max(axis=1, initial=0.0) * sum(B.shape[1:]) ** 2 * gamma(8)
        done = int(ids[-1]) + 1
        low[ids] = np.where(sound, (size > error[:, None]).sum(axis=1), 0)
        high[ids] = min(B.shape[1:])
        if frame.form is None:
            on = cx._store.to_signs(planes[ids])[:, : frame.n_neurons] > 0
            for a, b in zip(maps.starts, maps.starts[1:]):
                high[ids] = np.minimum(high[ids], on[:, a:b].sum(axis=1))
        did(REGIONS, int((low == high)[:done].sum()), count, found=np.where(low == high, low, -1)[:done])
    for r in np.flatnonzero(low < high).tolist():
        heed("images of regions")
        low[r] = high[r] = exact.rank(exact_product(maps.of(r)[0], along))
        did(REGIONS, int((low == high).sum()), count, found=lambda: np.where(low == high, low, -1))
    return low


def preimage(cx: PolyhedralComplex, target: Polyhedron, *, budget: Budget | None = None) -> PolyhedralSet:
    """The inputs that a network maps into a polyhedron of outputs; see `PolyhedralComplex.preimage`."""
    refuse_without_walls(cx)
    n_out = cx.network.architecture[-1]
    if not isinstance(target, Polyhedron):
        raise InputError(f"the target is a Box or a Polyhedron of outputs, found {type(target).__name__}")
    if target.dimension != n_out:
        raise ShapeError(
            f"the target has {words.count(target.dimension, 'coordinate')} but the network has {words.count(n_out, 'output')}"
        )
    rows = exact.as_fractions(target.affine_forms())  # row . y + constant >= 0
    with Monitor(budget, None).watching():
        did(STEP, 0)
        gates = Gates(cx, rows[:, :-1], rows[:, -1])
        cells = Cells.of(cx, gates)
        for g in range(gates.count):
            cells = cells.cut(g, (0, 1), step=STEP if g == gates.count - 1 else "")
    return PolyhedralSet(
        cells, f"preimage of {words.count(target.n_facets, 'inequality', 'inequalities')}", keep=(0, 1)
    )


def _corner_ids(cx: PolyhedralComplex, region: int) -> tuple[IntArray, IntArray]:
    """Vertices and rays of a region: rows of ``cx.vertices`` and of ``cx.rays[1]``."""
    (at, vertices), (begin, rays) = cx.polytopes.vertices, cx.polytopes.rays
    return (
        vertices[at[region] : at[region + 1]].astype(np.int64),
        rays[begin[region] : begin[region + 1]].astype(np.int64),
    )


class _Maps:
    """Rational affine maps of regions."""

    def __init__(self, cx: PolyhedralComplex) -> None:
        self.cx = cx
        self.form = relu_form(cx.network)
        self.starts = np.concatenate([[0], np.cumsum(self.form.widths)]).astype(np.int64)

    def of(self, region: int) -> tuple[Array, Array]:
        """Linear part (nL, n0) and constants (nL,)."""
        store = self.cx._store
        signs = store.to_signs(store.planes(self.cx.dimension)[region : region + 1])[0]
        levels: list[Array] = []
        for base, reads in zip(self.form.bases, self.form.reads):
            level = exact.as_fractions(base)
            for j, matrix in reads.items():
                on = np.flatnonzero(signs[self.starts[j - 1] : self.starts[j]] > 0)
                level = level + exact_product(exact.as_fractions(dense(matrix)[:, on]), levels[j - 1][on])
            levels.append(level)
        return levels[-1][:, :-1], levels[-1][:, -1]


class _Regions:
    """Regions with rational corners, directions and maps; vertices and rays are worked out once."""

    def __init__(self, cx: PolyhedralComplex) -> None:
        self.cx = cx
        self.n0 = cx.network.architecture[0]
        self.network = cx.network.exact()
        self.map_of = _Maps(cx).of
        self._vertices: dict[int, Array] = {}
        self._rays: dict[int, Array] = {}

    def corners(self, region: int) -> tuple[Array, Array]:
        """Rational vertices (p, n0) and directions (q, n0) of a region."""
        own, out = (ids.tolist() for ids in _corner_ids(self.cx, region))
        for v in own:
            if v not in self._vertices:
                self._vertices[v] = self.cx.exact_vertices(np.array([v]))[0]
        for r in out:
            if r not in self._rays:
                self._rays[r] = exact_rays(self.cx, np.array([r]))[1][0]
        return _table([self._vertices[v] for v in own], self.n0), _table([self._rays[r] for r in out], self.n0)


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

    A region whose linear part has a kernel gives two inputs at once. Otherwise one ReLU layer (before an injective
    linear map) is injective. Of other networks every two regions are compared: the polyhedron of pairs ``(x, x')`` with
    one output is given by their corners, and rational linear programs find out whether ``x = x'`` on all of it. Images
    whose bounding boxes are apart need none; where there are as many outputs as inputs, neighbours need only the signs
    of two determinants.

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
    Source: the criterion for a ReLU layer is that of Puthawala et al., "Globally injective ReLU networks" (2022); the comparison
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
        with monitor.watching():
            return _decide(cx, monitor) if network.n_hidden else _affine(cx)
    except BudgetExceededError as error:
        return Injectivity(Verdict.UNDECIDED, None, f"the budget ended: {error}", 0)


def _affine(cx: PolyhedralComplex) -> Injectivity:
    """An affine map is injective on a set with an interior exactly where its matrix has full column rank."""
    n0 = cx.network.architecture[0]
    A = exact.as_fractions(relu_form(cx.network).bases[-1][:, :-1])
    rank = exact.rank(A)
    if rank == n0:
        return Injectivity(Verdict.YES, None, f"an affine map of rank {rank} on {count(n0, 'input')}", 0)
    if cx.dimension + cx.lineality_dimension < n0:
        raise InputError("the domain is flat; restrict the network to it first, for instance with slice_complex")
    text = f"an affine map of rank {rank} on {count(n0, 'input')} has a kernel"
    return Injectivity(Verdict.NO, _along_kernel(cx, cx.network.exact(), _inner_point(cx), A), text, 0)


def _inner_point(cx: PolyhedralComplex) -> Array:
    """A rational point inside of the domain; the origin where there is none."""
    if cx.domain is None:
        return np.full(cx.network.architecture[0], Fraction(0), dtype=object)
    found: Array = cx.interior_points(cx.dimension, exact=True)[0]
    return found


def _decide(cx: PolyhedralComplex, monitor: Monitor) -> Injectivity:
    n0, n_out = cx.network.architecture[0], cx.network.architecture[-1]
    if cx.dimension + cx.lineality_dimension < n0:
        raise InputError("the domain is flat; restrict the network to it first, for instance with slice_complex")
    if cx.lineality_dimension:
        bases = [exact.as_fractions(b[:, :-1]) for b in relu_form(cx.network).bases]
        if cx.domain is not None:
            bases.append(exact.as_fractions(cx.domain.affine_forms()[:, :-1]))
        kernel = exact.nullspace(np.concatenate(bases))
        if kernel.shape[1]:
            x = _inner_point(cx)
            text = "what reads the input has a kernel"
            return Injectivity(Verdict.NO, (tuple(x), tuple(x + kernel[:, 0])), text, 0)
        text = "the outputs read directions of the input that no wall cuts; on a Box it can be decided"
        return Injectivity(Verdict.UNDECIDED, None, text, 0)
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
    if _is_layer(cx):
        text = "a ReLU layer whose active rows span the inputs on every region is injective, and what follows it is"
        return Injectivity(Verdict.YES, None, text, 0)
    near = _facet_neighbours(cx)
    low, high = _bounds(regions, maps)
    compared, left = 0, 0
    for r in range(cx.n_regions):
        apart = ((low > high[r]) | (high < low[r])).any(axis=1)
        for s in (r + 1 + np.flatnonzero(~apart[r + 1 :])).tolist():
            if monitor.late:
                left = cx.n_regions - r
                text = f"the time ended with the pairs of {words.count(left, 'region')} left; nothing that was compared is folded"
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


def _is_layer(cx: PolyhedralComplex) -> bool:
    """Whether a network is one ReLU layer and an injective map of those neurons that are on somewhere.

    Where such a layer takes one value at two points, every neuron is off on all of the segment between them, or on at
    both ends with one value, so constant on the segment: then the rows that are on near its middle do not span. So
    regions need no comparison (Puthawala et al.).
    """
    network = cx.network
    if cx._frame.form is not None or len(network.weights) != 2:
        return False
    on = (cx.signs(cx.dimension)[:, : network.n_hidden] > 0).any(axis=0)
    return exact.rank(exact.as_fractions(network.weights[1])[:, on]) == on.sum()


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
    return _along_kernel(regions.cx, regions.network, x, A)


def _along_kernel(
    cx: PolyhedralComplex, network: Any, x: Array, A: Array
) -> tuple[tuple[Fraction, ...], tuple[Fraction, ...]]:
    """A point inside of a region of this linear part, and one along its kernel with the same output."""
    k = exact.nullspace(A)[:, 0]
    value = network(x[None])[0]
    step = Fraction(1)
    domain = cx.domain
    inside = None if domain is None else exact.as_fractions(domain.affine_forms())
    while True:  # ends: x lies inside of the region, and so does y for small steps
        heed("two inputs with one output")
        y = x + step * k
        allowed = inside is None or (inside[:, :-1] @ y + inside[:, -1] >= 0).all()
        if allowed and (network(y[None])[0] == value).all():
            return tuple(x), tuple(y)
        step /= 2


def _facet_neighbours(cx: PolyhedralComplex) -> set[tuple[int, int]]:
    graph = cx.dual_graph
    source = np.repeat(np.arange(cx.n_regions), np.diff(graph.indptr))
    return {(int(a), int(b)) for a, b in zip(source, graph.indices) if a < b}


def _bounds(regions: _Regions, maps: list[tuple[Array, Array]]) -> tuple[FloatArray, FloatArray]:
    """Bounding boxes (regions, nL) of the images from rational corners, rounded outwards; infinite where a ray leads
    out.
    """
    low, high = (np.empty((len(maps), len(maps[0][1]))) for _ in range(2))
    for r, (A, a) in enumerate(maps):
        heed("images of regions")
        vertices, rays = regions.corners(r)
        points, out = vertices @ A.T + a, rays @ A.T
        for o in range(points.shape[1]):
            low[r, o] = -np.inf if (out[:, o] < 0).any() else directed(min(points[:, o]), up=False)
            high[r, o] = np.inf if (out[:, o] > 0).any() else directed(max(points[:, o]), up=True)
    return low, high


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
