"""The breakpoint complex: the facets where the function bends, with their weights.

The weight of a facet F between regions P and Q is ``c(F) = (A_P - A_Q) n``, n the unit normal
from Q into P; a facet is visible when its weight is not zero. Weights balance around every
ridge and determine the function up to one affine map.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from ... import words
from ..._lazy import above
from ..._once import cached_property
from ..._typing import BoolArray, FloatArray, IntArray
from ..._values.checked import id_within
from ..._values.read_only import read_only
from ...budget import Budget, Monitor, heed
from ...domain import Polyhedron
from ...errors import BudgetExceededError, NumericalError, old_name
from ...kernels.complexes import affine_maps as maps
from ...network.model import ReLUNetwork
from ...network.piecewise import PiecewiseLinearNetwork
from ...numerics.floats import as_float, nearest, root
from ...numerics.rounding import TINY, UNIT, gamma
from ..build import canonical_complex
from ..checks.weights import jump_along
from ..geometry import facet_forms_of, full_net, unit_forms, ways_net
from ..skeleton.exact_signs import ExactPredicate
from ..skeleton.slope_forms import SHARP as CLOSE
from ..skeleton.wired_values import ExactGates
from ..skeleton.wires import roundings
from .ridges import (
    LARGE,
    ROOT_BITS,
    SHARP,
    SMALL,
    Ridges,
    form_slack,
    full_predicate,
    ridges_of,
    row_norms,
    unit_rows,
    zero_facets,
)

if TYPE_CHECKING:
    from ..complex import PolyhedralComplex
    from ..topology.sets import PolyhedralSet, Support


class BreakpointComplex:
    """Visible facets of a canonical complex and their vector weights; made by `breakpoint_complex`.

    Attributes
    ----------
    complex : PolyhedralComplex
        The canonical complex that the ids refer to.
    facets : (m,) int64
        Visible facets: rows of ``complex.signs(d - 1)``.
    weights : (m, nL) float64
        ``c(F)``, by the product formula along active paths.
    normals : (m, n0) float64
        Unit normals, from the negative to the positive side of the facet's neuron.
    neurons : (m,) int64
        Hidden neuron of each facet.
    invisible : (p,) int64
        Facets of hidden neurons with zero weight.

    Examples
    --------
    >>> import polyfiber as pf
    >>> pf.breakpoint_complex(pf.ReLUNetwork.random((2, 3, 1), rng=0))
    BreakpointComplex(9 visible facets, 0 invisible, weights in R^1)
    """

    def __init__(
        self,
        complex: PolyhedralComplex,
        facets: IntArray,
        neurons: IntArray,
        weights: FloatArray,
        forms: FloatArray,
        all_weights: FloatArray,
        walls: IntArray,
        exact: int,
    ) -> None:
        self.complex = complex
        self.facets: IntArray = read_only(facets)
        self.neurons: IntArray = read_only(neurons)
        self.weights: FloatArray = read_only(weights)
        self._forms = forms
        self._all_weights = all_weights
        self._walls = walls
        self.exact_decisions = exact

    @classmethod
    def of(cls, cx: PolyhedralComplex) -> BreakpointComplex:
        """Breakpoint complex of a canonical complex."""
        n0, n_out = cx.network.architecture[0], cx.network.architecture[-1]
        frame, d = cx._frame, cx.dimension
        empty = np.zeros(0, dtype=np.int64)
        if d == 0:
            none = np.zeros((0, n_out))
            return cls(cx, empty, empty, none, np.zeros((0, n0 + 1)), none, empty, 0)
        planes = cx._store.planes(d - 1)
        walls = zero_facets(cx, d - 1)[:, 0]
        net = full_net(frame)
        width = frame.scratch
        forms = facet_forms_of(frame, planes, walls)
        columns = np.zeros((len(planes), n_out))
        sizes = np.zeros((len(planes), n_out))
        inside = walls >= frame.n_domain
        values, magnitudes = np.zeros((int(inside.sum()), n_out)), np.zeros((int(inside.sum()), n_out))
        n_layers = frame.n_blocks
        own = np.ascontiguousarray(planes[inside])
        gather = maps.output_columns if frame.form is None else maps.wired_columns
        gather(own, walls[inside], net, n_layers, n_out, width, values, magnitudes)
        columns[inside], sizes[inside] = values, magnitudes
        terms = sum(w + 4 for w in frame.network.architecture)
        if frame.form is not None:
            terms = roundings(frame.form, frame.n)[-1]
        bound = gamma(terms) * sizes + TINY * (sizes > 0)
        spoilt, exact = np.zeros(0, dtype=np.int64), 0
        if frame.extreme:
            ways = np.zeros_like(values)
            gather(own, walls[inside], ways_net(frame), n_layers, n_out, width, ways, magnitudes)
            columns[inside] = np.where(ways != 0, values, 0.0)
            doubtful = np.zeros(len(planes), dtype=np.bool_)
            doubtful[inside] = _doubtful(frame, walls[inside], values, bound[inside], ways).any(axis=1)
            doubtful |= ~(form_slack(cx)[walls] <= SHARP * row_norms(forms[:, :-1]))
            with np.errstate(over="ignore", invalid="ignore"):
                size = np.abs(columns) * row_norms(forms[:, :-1])[:, None]
            doubtful |= ((columns != 0) & ~((size > SMALL) & (size < LARGE))).any(axis=1)
            spoilt = np.flatnonzero(doubtful & inside)
            exact = len(spoilt)
        else:
            columns, exact = _decide_zeros(cx, planes, walls, columns, bound)
            _sharpen(cx, planes, walls, forms)
        with np.errstate(over="ignore", invalid="ignore"):  # 0 however long the form is
            weights = np.where(columns == 0, 0.0, columns * row_norms(forms[:, :-1])[:, None])
        cls(cx, empty, empty, weights[:0], forms, weights, walls, exact)._sharpen_weights(spoilt)
        visible = np.flatnonzero((weights != 0).any(axis=1))
        neurons = walls[visible] - frame.n_domain
        return cls(cx, visible, neurons, weights[visible], forms, weights, walls, exact)

    @property
    def normals(self) -> FloatArray:
        """(m, n0) unit normals of the visible facets, towards the positive side of their neuron."""
        return unit_rows(self._forms[self.facets, :-1])

    @property
    def invisible(self) -> IntArray:
        """Facets of hidden neurons where the function does not bend."""
        hidden = self._walls >= self.complex._frame.n_domain
        return np.flatnonzero(hidden & (self._all_weights == 0).all(axis=1))

    def columns_of(self, facets: IntArray) -> tuple[IntArray, FloatArray, FloatArray, IntArray]:
        """Columns of facets of hidden neurons, visible or not.

        Returns
        -------
        neurons : (m,) int64
        weights : (m, nL) float64
        forms : (m, n0 + 1) float64
            ``normal . x + constant``, the normal of length 1 and towards the positive side.
        sides : (m, 2) int64
            Regions on the positive and on the negative side.
        """
        cx = self.complex
        forms = unit_forms(self._forms[facets])
        neurons = self._walls[facets] - cx._frame.n_domain
        none = facets, facets  # of a point there are no covers
        indptr, indices = cx._store.covers_above(cx.dimension - 1) if len(facets) else none
        sides = np.stack([indices[indptr[facets]], indices[indptr[facets] + 1]], axis=1).astype(np.int64)
        words = cx._store.planes(cx.dimension)[sides[:, 0], self._walls[facets] >> 6]
        swap = (words >> (self._walls[facets] & 63).astype(np.uint64)) & np.uint64(1) == 0
        sides[swap] = sides[swap][:, ::-1]
        return neurons, self._all_weights[facets], forms, sides

    # ---- topology ---------------------------------------------------------------------------
    @cached_property
    def _set(self) -> PolyhedralSet:
        found: PolyhedralSet = above("complexes.topology.build:breakpoint_set")(self)
        return found

    def as_set(self) -> PolyhedralSet:
        """The closed visible facets with all their faces: vertices, incidences, homology, meshes, a certificate.

        Its ``certificate.verify()`` decides for every facet from exact values of the function whether it bends there.

        Examples
        --------
        >>> import polyfiber as pf
        >>> tent = pf.ReLUNetwork([[[1, 0], [-1, 0], [0, 1], [0, -1]], [[1, 1, 1, 1]]], [[0] * 4, [0]])
        >>> cross = pf.breakpoint_complex(tent).as_set()  # |x| + |y| bends on the axes
        >>> cross.f_vector, cross.betti_numbers(), cross.betti_numbers("borel-moore")
        ((1, 4), (1, 0), (0, 3))
        """
        return self._set

    def betti_numbers(self, support: Support = "bounded", field: int = 2) -> tuple[int, ...]:
        """Betti numbers of the closed visible facets; arguments as in `PolyhedralSet.betti_numbers`."""
        return self._set.betti_numbers(support, field)

    def euler_characteristic(self, support: Support = "bounded") -> int:
        """Euler characteristic of the closed visible facets; as `PolyhedralSet.euler_characteristic`."""
        return self._set.euler_characteristic(support)

    def connected_components(self) -> tuple[int, list[IntArray]]:
        """Connected components of the closed visible facets: how many, and for each dimension that of every cell."""
        return self._set.connected_components()

    components = old_name("connected_components")

    def plot(self, ax: Any = None, **options: Any) -> Any:
        """Draw where the function bends in the plane; options as in `polyfiber.plots.plot_breakpoints`."""
        return above("plots.planar:plot_breakpoints")(self, ax=ax, **options)

    @property
    def sentence(self) -> str:
        """Where the function bends, and how sure."""
        n, hidden = len(self.facets), len(self.invisible)
        where = words.place(self.complex.domain, self.complex.network.architecture[0])
        rest = f"; across {words.count(hidden, 'facet')} of walls it does not" if hidden else ""
        return f"The function bends across {words.count(n, 'facet')} {where}{rest}; none is missing."

    def __str__(self) -> str:
        return self.sentence

    def __repr__(self) -> str:
        return (
            f"BreakpointComplex({len(self.facets)} visible facets, {len(self.invisible)} invisible, "
            f"weights in R^{self.weights.shape[1]})"
        )

    # ---- checks -----------------------------------------------------------------------------
    @np.errstate(all="ignore")
    def weights_by_jumps(self) -> FloatArray:
        """The weights of all visible facets computed independently, from the jump of the gradient; in rationals where a
        gradient or a product is beyond floats, and infinite only where the weight itself is."""
        cx = self.complex
        if not len(self.facets):
            return self.weights.copy()
        A, _ = cx.affine_maps()
        indptr, indices = cx._store.covers_above(cx.dimension - 1)
        signs = cx.signs(cx.dimension)
        first = indices[indptr[self.facets]].astype(np.int64)
        second = indices[indptr[self.facets] + 1].astype(np.int64)
        positive = signs[first, self.neurons] > 0
        jump = np.where(positive[:, None, None], 1.0, -1.0) * (A[first] - A[second])
        result: FloatArray = np.einsum("mij,mj->mi", jump, self.normals)
        for i in np.flatnonzero(~np.isfinite(result).all(axis=1)).tolist():
            heed("the jumps of the gradient")
            sides = signs[[first[i], second[i]]][:: 1 if positive[i] else -1]
            result[i] = jump_along(cx._frame, sides, self._forms[self.facets[i], :-1])
        return result

    @cached_property
    def ridges(self) -> Ridges:
        """Interior ridges with their balancing residuals."""
        return ridges_of(self)

    def _sharpen_weights(self, facets: IntArray) -> None:
        """Exact forms and weights of facets, rounded, in place; forms beyond floats are scaled, which keeps their
        direction.
        """
        if not len(facets):
            return
        predicate = full_predicate(self.complex)
        for f in facets.tolist():
            form, column = self._exact_weight(f, predicate)
            length = root(sum((x * x for x in form[:-1]), Fraction(0)), bits=ROOT_BITS)
            self._all_weights[f] = nearest(np.array([w * length for w in column], dtype=object))
            top = max(map(abs, form[:-1]))
            scale = 1 if SMALL < top < LARGE else 1 / top
            self._forms[f] = [as_float(x * scale) for x in form]

    def _exact_weight(self, facet: int, predicate: ExactPredicate) -> tuple[list[Fraction], list[Fraction]]:
        """(form, w) with the weight of a facet w |its linear part|: its neuron's form, and column in the outputs."""
        cx = self.complex
        words = cx._store.planes(cx.dimension - 1)[facet]
        wall = int(self._walls[facet])
        return predicate.form(wall, words), exact_column(self._exact_network, cx._frame, words, wall)

    @cached_property
    def _exact_network(self) -> Any:
        frame = self.complex._frame
        return self.complex.network.exact() if frame.form is None else ExactGates(frame)

    @np.errstate(under="ignore")
    def balancing_residual(self) -> float:
        """Largest balancing residual over the interior ridges, relative to the weights there."""
        r = self.ridges
        live = r.scale > 0
        return float((r.residual[live] / r.scale[live]).max(initial=0.0))

    balance = old_name("balancing_residual")

    @np.errstate(all="ignore")
    def reconstruct(self, region: int = 0) -> tuple[FloatArray, FloatArray]:
        """The function from its weights and one affine piece: the theorem, as a computation.

        Parameters
        ----------
        region : int
            The region whose affine map is given.

        Returns
        -------
        A : (f_d, nL, n0), a : (f_d, nL)
            Affine maps of all regions, by crossing facets breadth first from ``region``; infinite or nan where these,
            or weights on the way, are beyond floats.
        """
        cx = self.complex
        region = id_within(region, cx.n_regions, "region")
        A = np.zeros((cx.n_regions, self.weights.shape[1], cx.network.architecture[0]))
        a = np.zeros((cx.n_regions, self.weights.shape[1]))
        A[[region]], a[[region]] = cx.affine_maps([region])
        graph = cx.dual_graph
        signs = cx.signs(cx.dimension)
        done = np.zeros(cx.n_regions, dtype=np.bool_)
        done[region] = True
        queue = [region]
        for r in queue:
            for at in range(graph.indptr[r], graph.indptr[r + 1]):
                s, f = int(graph.indices[at]), int(graph.facet[at])
                if done[s]:
                    continue
                done[s] = True
                queue.append(s)
                form = self._forms[f] / row_norms(self._forms[f, :-1])
                side = signs[s, self._walls[f] - cx._frame.n_domain]
                A[s] = A[r] + side * np.outer(self._all_weights[f], form[:-1])
                a[s] = a[r] + side * self._all_weights[f] * form[-1]
        if not done.all():
            raise NumericalError("the dual graph is not connected; please report this network")
        return A, a


def _sharpen(cx: PolyhedralComplex, planes: Any, walls: IntArray, forms: FloatArray) -> None:
    """Forms whose coefficients cancel are computed exactly and rounded, in place."""
    blurred = np.flatnonzero(~(form_slack(cx)[walls] <= SHARP * row_norms(forms[:, :-1])))
    if len(blurred):
        predicate = full_predicate(cx)
        for r in blurred.tolist():
            forms[r] = [as_float(x) for x in predicate.form(int(walls[r]), planes[r])]


def _doubtful(frame: Any, walls: IntArray, values: FloatArray, bound: FloatArray, ways: FloatArray) -> BoolArray:
    """Columns of an extreme network that rounding, underflow or overflow may have spoilt; those without a way are
    zero.
    """
    loss = frame.losses.columns[walls - frame.n_domain]
    size = np.abs(values)
    return (ways != 0) & ~((size * CLOSE > bound) & (size * UNIT > loss) & np.isfinite(values))


def _decide_zeros(
    cx: PolyhedralComplex, planes: Any, walls: IntArray, columns: FloatArray, bound: FloatArray
) -> tuple[FloatArray, int]:
    """Weights within their error bound, or that cancel, are worked out in rationals. Sums over no path are zero as they
    are.
    """
    size = np.abs(columns)
    sharp = CLOSE * size.max(axis=1, initial=0.0, keepdims=True) >= bound
    doubtful = np.argwhere(~(sharp & (size > bound)) & (bound > 0))
    if not len(doubtful):
        return columns, 0
    columns = columns.copy()
    frame = cx._frame
    known: dict[int, list[Fraction]] = {}
    exact = cx.network.exact() if frame.form is None else ExactGates(frame)
    for r, o in doubtful:
        if walls[r] < frame.n_domain:
            continue
        if int(r) not in known:
            known = {int(r): exact_column(exact, frame, planes[r], int(walls[r]))}
        columns[r, o] = nearest(np.array([known[int(r)][int(o)]], dtype=object))[0]
    return columns, len(doubtful)


def exact_column(exact: Any, frame: Any, words: Any, wall: int) -> list[Fraction]:
    """Exact column of a hidden neuron in the outputs, along the active paths of a cell; exact: network, or
    `ExactGates`.
    """
    if isinstance(exact, ExactGates):
        on = int.from_bytes(words[: frame.n_words].astype("<u8").tobytes(), "little") | 1 << wall
        outputs = frame.net.inf + 1 + np.arange(frame.network.architecture[-1])
        return [exact.coefficients(int(o), on, above=wall).get(wall, Fraction(0)) for o in outputs]
    layer, position = frame.network.neuron(wall - frame.n_domain)
    value = [row[position] for row in exact.weights[layer]]
    first = frame.net.layers.first
    for q in range(layer + 1, len(exact.weights)):
        low = int(first[q])
        active = [i for i in range(len(value)) if (int(words[(low + i) >> 6]) >> ((low + i) & 63)) & 1]
        value = [sum((row[i] * value[i] for i in active), Fraction(0)) for row in exact.weights[q]]
    return value


def breakpoint_complex(
    network: ReLUNetwork | PiecewiseLinearNetwork, domain: Polyhedron | None = None, *, budget: Budget | None = None
) -> BreakpointComplex:
    """Breakpoint complex of a network: visible facets of its canonical complex, with weights.

    Source: the weight function and its balancing are Propositions 8 to 17 of the paper on fibers
    of ReLU networks that ``docs/fibers.md`` names.

    Parameters
    ----------
    network : ReLUNetwork or PiecewiseLinearNetwork
    domain : Box or Polyhedron, optional
    budget : Budget, optional

    Examples
    --------
    >>> import polyfiber as pf
    >>> bp = pf.breakpoint_complex(pf.ReLUNetwork.random((2, 5, 4, 1), rng=0))
    >>> bp.weights.shape[1], bp.balancing_residual() < 1e-9
    (1, True)
    """
    monitor = Monitor(budget)
    cx = canonical_complex(network, domain, budget=budget)
    try:
        with monitor.watching():
            return cx.breakpoint_complex()
    except BudgetExceededError as error:
        error.partial = cx
        raise
