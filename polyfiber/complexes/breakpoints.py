"""The breakpoint complex: the facets where the function bends, with their weights.

The weight of a facet F between regions P and Q is ``c(F) = (A_P - A_Q) n``, n the unit normal
from Q into P; a facet is visible when its weight is not zero. Weights balance around every
ridge and determine the function up to one affine map.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from .._typing import BoolArray, FloatArray, IntArray
from ..budget import Budget
from ..errors import NumericalError
from ..kernels import maps
from ..network.model import ReLUNetwork
from .domain import Polyhedron
from .geometry import full_net

if TYPE_CHECKING:
    from .complex import PolyhedralComplex


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
    """

    ids: IntArray
    neurons: IntArray
    bending: BoolArray
    residual: FloatArray
    scale: FloatArray


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
        self.facets = facets
        self.neurons = neurons
        self.weights = weights
        self._forms = forms
        self._all_weights = all_weights
        self._walls = walls
        self.exact_decisions = exact
        for array in (facets, neurons, weights):
            array.setflags(write=False)

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
        walls = wall_of(cx, d - 1)
        net = full_net(frame)
        width = max([1, *frame.network.hidden_widths])
        forms = np.zeros((len(planes), n0 + 1))
        maps.facet_forms(planes, walls, net, width, forms)
        columns = np.zeros((len(planes), n_out))
        sizes = np.zeros((len(planes), n_out))
        inside = walls >= frame.n_domain
        values, magnitudes = np.zeros((int(inside.sum()), n_out)), np.zeros((int(inside.sum()), n_out))
        n_layers = len(frame.network.hidden_widths)
        own = np.ascontiguousarray(planes[inside])
        maps.output_columns(own, walls[inside], net, n_layers, n_out, width, values, magnitudes)
        columns[inside], sizes[inside] = values, magnitudes
        terms = sum(w + 4 for w in frame.network.architecture)
        bound = terms * 2.0**-53 * 1.01 * sizes + 1e-300 * (sizes > 0)
        columns, exact = _decide_zeros(cx, planes, walls, columns, bound)
        weights = columns * np.linalg.norm(forms[:, :-1], axis=1)[:, None]
        visible = np.flatnonzero((weights != 0).any(axis=1))
        neurons = walls[visible] - frame.n_domain
        return cls(cx, visible, neurons, weights[visible], forms, weights, walls, exact)

    @property
    def normals(self) -> FloatArray:
        """(m, n0) unit normals of the visible facets, towards the positive side of their neuron."""
        g = self._forms[self.facets, :-1]
        result: FloatArray = g / np.linalg.norm(g, axis=1, keepdims=True)
        return result

    @property
    def invisible(self) -> IntArray:
        """Facets of hidden neurons where the function does not bend."""
        hidden = self._walls >= self.complex._frame.n_domain
        return np.flatnonzero(hidden & (self._all_weights == 0).all(axis=1))

    def __repr__(self) -> str:
        return (
            f"BreakpointComplex({len(self.facets)} visible facets, {len(self.invisible)} invisible, "
            f"weights in R^{self.weights.shape[1]})"
        )

    # ---- checks -----------------------------------------------------------------------------
    def weights_by_jumps(self) -> FloatArray:
        """The weights of all visible facets computed independently, from the jump of the gradient."""
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
        return result

    @cached_property
    def ridges(self) -> Ridges:
        """Interior ridges with their balancing residuals."""
        cx = self.complex
        d, frame = cx.dimension, cx._frame
        n_out = self.weights.shape[1]
        none = np.zeros(0, dtype=np.int64)
        if d < 2:
            return Ridges(none, np.zeros((0, 2), np.int64), np.zeros(0, np.bool_), np.zeros(0), np.zeros(0))
        indptr, indices = cx._store.covers_above(d - 2)
        zeros = _zeros_of(cx, d - 2)
        interior = np.flatnonzero((zeros >= frame.n_domain).all(axis=1))
        pairs = zeros[interior]
        # each of the four facets at a ridge frees one of the two zero neurons: the form of that one on the facet
        net = full_net(frame)
        width = max([1, *frame.network.hidden_widths])
        facets = np.stack([indices[indptr[interior] + i] for i in range(4)], axis=1).astype(np.int64)
        own = self._walls[facets]
        other = np.where(own == pairs[:, :1], pairs[:, 1:], pairs[:, :1])
        planes = cx._store.planes(d - 1)
        flat = facets.ravel()
        g = np.zeros((len(flat), self._forms.shape[1]))
        maps.facet_forms(np.ascontiguousarray(planes[flat]), other.ravel(), net, width, g)
        g = g[:, :-1]
        plus = (planes[flat, other.ravel() >> 6] >> (other.ravel() & 63).astype(np.uint64)) & np.uint64(1)
        unit = self._forms[flat, :-1]
        unit = unit / np.linalg.norm(unit, axis=1, keepdims=True)
        into = g - (g * unit).sum(axis=1, keepdims=True) * unit
        into *= np.where(plus > 0, 1.0, -1.0)[:, None] / np.linalg.norm(into, axis=1, keepdims=True)
        c = self._all_weights[flat]
        total = np.einsum("ri,rj->rij", c, into).reshape(len(interior), 4, n_out, -1).sum(axis=1)
        residual = np.abs(total).max(axis=(1, 2), initial=0.0)
        scale = np.linalg.norm(c, axis=1).reshape(len(interior), 4).sum(axis=1)
        layers = frame.net.layer_of[pairs]
        bending = np.zeros(len(interior), dtype=np.bool_)
        deep = np.flatnonzero(layers[:, 0] != layers[:, 1])
        if len(deep):
            normals = unit.reshape(len(interior), 4, -1)[deep]
            mine = own[deep] == pairs[deep, 1:]
            # the two facets of the deeper wall: the ridge bends it unless their normals agree
            order = np.argsort(~mine, axis=1, kind="stable")[:, :2]
            two = np.take_along_axis(normals, order[:, :, None], axis=1)
            bending[deep] = np.abs(np.abs((two[:, 0] * two[:, 1]).sum(axis=1)) - 1.0) > 1e-12
        return Ridges(interior, pairs - frame.n_domain, bending, residual, scale)

    def balance(self) -> float:
        """Largest balancing residual over the interior ridges, relative to the weights there."""
        r = self.ridges
        live = r.scale > 0
        return float((r.residual[live] / r.scale[live]).max(initial=0.0))

    def reconstruct(self, region: int = 0) -> tuple[FloatArray, FloatArray]:
        """The function from its weights and one affine piece: the theorem, as a computation.

        Parameters
        ----------
        region : int
            The region whose affine map is given.

        Returns
        -------
        A : (f_d, nL, n0), a : (f_d, nL)
            Affine maps of all regions, by crossing facets breadth first from ``region``.
        """
        cx = self.complex
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
                form = self._forms[f] / np.linalg.norm(self._forms[f, :-1])
                side = signs[s, self._walls[f] - cx._frame.n_domain]
                A[s] = A[r] + side * np.outer(self._all_weights[f], form[:-1])
                a[s] = a[r] + side * self._all_weights[f] * form[-1]
        if not done.all():
            raise NumericalError("the dual graph is not connected; please report this network")
        return A, a


def wall_of(cx: PolyhedralComplex, dim: int) -> IntArray:
    """Facet id of the single zero of each face of dimension d - 1."""
    return _zeros_of(cx, dim)[:, 0]


def _zeros_of(cx: PolyhedralComplex, dim: int) -> IntArray:
    """(f_dim, d - dim) zero facet ids of each face, ascending (so shallower layers first)."""
    signs = cx.signs(dim)
    d, N = cx._frame.n_domain, cx._frame.n_neurons
    columns = np.nonzero(signs == 0)[1]
    per = cx.dimension - dim
    if len(columns) != per * len(signs):
        raise NumericalError("a face does not have as many zeros as a generic one; please report this network")
    ids = np.where(columns < N, columns + d, columns - N).reshape(len(signs), per)
    return np.sort(ids, axis=1)


def _decide_zeros(
    cx: PolyhedralComplex, planes: Any, walls: IntArray, columns: FloatArray, bound: FloatArray
) -> tuple[FloatArray, int]:
    """Weights within their error bound: set to zero if exactly zero. Sums over no path are zero as they are."""
    doubtful = np.argwhere((np.abs(columns) <= bound) & (bound > 0))
    if not len(doubtful):
        return columns, 0
    columns = columns.copy()
    exact = cx.network.exact()
    frame = cx._frame
    for r, o in doubtful:
        if walls[r] < frame.n_domain:
            continue
        columns[r, o] = float(exact_column(exact, frame, planes[r], int(walls[r]))[int(o)])
    return columns, len(doubtful)


def exact_column(exact: ReLUNetwork, frame: Any, words: Any, wall: int) -> list[Fraction]:
    """Exact column of a hidden neuron in the outputs, along the active paths of a cell."""
    layer, position = frame.network.neuron(wall - frame.n_domain)
    value = [row[position] for row in exact.weights[layer]]
    first = frame.net.first
    for q in range(layer + 1, len(exact.weights)):
        low = int(first[q])
        active = [i for i in range(len(value)) if (int(words[(low + i) >> 6]) >> ((low + i) & 63)) & 1]
        value = [sum((row[i] * value[i] for i in active), Fraction(0)) for row in exact.weights[q]]
    return value


def breakpoint_complex(
    network: ReLUNetwork, domain: Polyhedron | None = None, *, budget: Budget | None = None
) -> BreakpointComplex:
    """Breakpoint complex of a network: visible facets of its canonical complex, with weights.

    Source: the weight function and its balancing are Propositions 8 to 17 of the paper on fibers
    of ReLU networks that ``docs/fibers.md`` names.

    Parameters
    ----------
    network : ReLUNetwork
    domain : Box or Polyhedron, optional
    budget : Budget, optional

    Examples
    --------
    >>> import polyfiber as pf
    >>> bp = pf.breakpoint_complex(pf.ReLUNetwork.random((2, 5, 4, 1), rng=0))
    >>> bp.weights.shape[1], bp.balance() < 1e-9
    (1, True)
    """
    from .complex import canonical_complex

    return canonical_complex(network, domain, budget=budget).breakpoint_complex()
