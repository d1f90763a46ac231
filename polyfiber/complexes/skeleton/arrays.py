"""From a network and a domain to the arrays that the skeleton kernels work on.

A frame fixes the coordinates of the essential quotient (n linearly independent columns of the
stacked first-layer and domain matrix), numbers the facets (domain, hidden neurons layer by
layer, infinity), and carries the error constants of every affine form. The constants are
derived in docs/certification.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from ..._once import cached_property
from ..._typing import Array, FloatArray, IntArray, SignArray
from ..._values.checked import real
from ...bounds.fixed_signs import Settled, settle
from ...domain import Box, Polyhedron
from ...errors import InputError, ShapeError
from ...kernels.complexes.forms import Affine, Layers, Margins, Net, WiredNet, Wiring
from ...network.model import ReLUNetwork
from ...network.piecewise import PiecewiseLinearNetwork, require_network
from ...network.relu_form import ReluForm, relu_form
from ...numerics.exact import as_fractions, nullspace, rank, solve
from ...numerics.floats import magnitudes_of, nearest
from ...numerics.hulls import AffineHull
from ...numerics.independent import independent_columns, independent_in_order
from ...numerics.products import exact_product
from ...numerics.rounding import LEAST, gamma
from .extremes import Losses, are_extreme, losses_of
from .slope_forms import SlopeForms, facet_errors, output_errors
from .wires import magnitudes, roundings, runs_of

LANES = 16
"""Terms of a form that are summed at a time: rows of coefficients are followed by so many numbers."""
NARROW = 64
"""First layers below this width have their forms summed row by row."""


@dataclass(frozen=True)
class Frame:
    """Coordinates, numbering and error constants of one network on one domain."""

    network: Any
    """A `ReLUNetwork`, or a `PiecewiseLinearNetwork`."""
    domain: Polyhedron | None
    columns: IntArray
    """Input coordinates that parametrise the essential quotient; the others are set to 0."""
    start: tuple[int, ...]
    """n facet ids with independent forms, domain facets first."""
    net: Any
    """The `Net` of the kernels."""
    rows: Array
    """(D + h1, n0 + 1) given forms, all inputs; float64 or Fractions. On a flat domain the forms with tangential
    gradients.
    """
    chart: Array
    """The same forms in the coordinates that parametrise the domain's flat, zero at the others; `rows` where there is
    none.
    """
    hull: AffineHull | None
    """The flat that the domain lies in, or None."""
    settled: Settled
    """Neurons that keep one sign on the domain; no wall of theirs is looked for."""
    form: ReluForm | None = None
    """A `PiecewiseLinearNetwork` as ReLU gates that read all before them; None for a ReLU chain."""
    deep: tuple[Array, ...] = ()
    """With a form: what the blocks from the second on, and the output, read of the input, (m_l, n0 + 1), like
    `rows`.
    """
    deep_chart: tuple[Array, ...] = ()
    """The same like `chart`."""

    @property
    def n(self) -> int:
        """Dimension of the essential quotient."""
        return len(self.columns)

    @property
    def n_domain(self) -> int:
        """Number D of domain facets."""
        return 0 if self.domain is None else self.domain.n_facets

    @property
    def n_neurons(self) -> int:
        """Number N of hidden neurons."""
        return self.network.n_hidden

    @property
    def n_blocks(self) -> int:
        """Number L of hidden layers, or of blocks of gates."""
        return len(self.network.hidden_widths)

    @property
    def scratch(self) -> int:
        """Length of the rows of numbers that kernels pull forms back in."""
        widest = int(self.net.inf) + 1 if self.form is not None else max([1, *self.network.hidden_widths])
        return widest + LANES

    @property
    def n_words(self) -> int:
        """64-bit words per sign vector."""
        return max(1, (self.n_domain + self.n_neurons + 63) // 64)

    @property
    def lineality(self) -> int:
        """Dimension of the directions, in the domain's flat, that no wall cuts."""
        return (self.network.architecture[0] if self.hull is None else self.hull.dimension) - self.n

    @cached_property
    def constant(self) -> SignArray:
        """(D,) int8: sign of the domain facets that are constant on the domain's flat; 0 also where its sign
        changes.
        """
        signs = np.zeros(self.n_domain, dtype=np.int8)
        if self.hull is not None:
            part = self.chart[: self.n_domain]
            flat = (part[:, :-1] == 0).all(axis=1)
            signs[flat] = [int(v > 0) - int(v < 0) for v in part[flat, -1]]
        return signs

    @cached_property
    def vanishing(self) -> IntArray:
        """Domain facets that are zero on all of the domain."""
        return np.zeros(0, dtype=np.int64) if self.hull is None else self.hull.equal

    @cached_property
    def extreme(self) -> bool:
        """Whether products of weights may leave the range of floats."""
        return are_extreme(self)

    @cached_property
    def losses(self) -> Losses:
        """What underflow may take from forms, where the network is `extreme`."""
        return losses_of(self)

    @cached_property
    def slope_forms(self) -> SlopeForms:
        """The network as it is defined, for forms on cells where the kernels' are not good enough."""
        return SlopeForms(self.network, self.hull)

    @cached_property
    def output_errors(self) -> FloatArray:
        """(nL, n0 + 1) bounds of the errors of the kernels' forms of outputs."""
        return output_errors(self)

    @cached_property
    def facet_errors(self) -> FloatArray:
        """(D + N, n0 + 1) bounds of the errors of the kernels' forms of facets."""
        return facet_errors(self)

    @cached_property
    def reach(self) -> float:
        """Largest coordinate of inputs in a box; infinite elsewhere."""
        return (
            float(np.abs(nearest(np.concatenate([self.domain.lo, self.domain.hi]))).max())
            if isinstance(self.domain, Box)
            else math.inf
        )

    @cached_property
    def open(self) -> IntArray:
        """Domain facets, and the neurons whose sign is not settled: the facets that may have faces."""
        neurons = self.n_domain + np.flatnonzero(self.settled.signs == 0)
        sides = np.setdiff1d(np.flatnonzero(self.constant == 0), self.vanishing)
        return np.concatenate([sides, neurons])

    def lifted(self, points: Array) -> Array:
        """Inputs (m, n0) as Fractions with the coordinates in `columns` given: the points of least norm there."""
        if self.n == points.shape[1]:
            return points
        one = np.full((len(points), 1), Fraction(1), dtype=object)
        return exact_product(np.concatenate([points[:, self.columns], one], axis=1), self.lift.T)

    @cached_property
    def lift(self) -> Array:
        """(n0, d + 1) Fractions: the point of least norm with the coordinates q in `columns` is ``lift @ (q, 1)``."""
        n0, hull = self.network.architecture[0], self.hull
        found = np.full((n0, self.n + 1), Fraction(0), dtype=object)
        if hull is None:  # A^T (A A^T)^-1 A_q, A the linear parts of the starting facets
            if self.n:
                rows = as_fractions(self.rows_of(self.start)[:, :-1])
                own = solve(exact_product(rows, rows.T), rows[:, self.columns])
                assert own is not None
                found[:, :-1] = exact_product(rows.T, own)
            return found
        found[:, :-1] = hull.lift[:, np.searchsorted(hull.free, self.columns)]
        found[:, -1] = hull.lift[:, -1]
        if not self.lineality:
            return found
        lines = self.lines
        shift = solve(exact_product(lines.T, lines), exact_product(lines.T, found))
        assert shift is not None
        return found - exact_product(lines, shift)

    @cached_property
    def equations(self) -> list[list[Fraction]]:
        """Rows, constant last, whose common zeros are the flat that the domain lies in; none where there is no such
        flat.
        """
        return [] if self.hull is None else self.hull.equations

    @cached_property
    def lines(self) -> Array:
        """(n0, s) Fractions: a basis of the directions, in the domain's flat, that no wall cuts."""
        n0, hull = self.network.architecture[0], self.hull
        free = np.arange(n0) if hull is None else hull.free
        rows = as_fractions(self.chart_of(self.start)[:, free]).reshape(self.n, len(free))
        lines = nullspace(rows) if self.n else as_fractions(np.eye(len(free)))
        return lines if hull is None else exact_product(hull.lift[:, :-1], lines)

    @property
    def bends(self) -> bool:
        """Whether a starting facet bends: then flat walls leave directions uncut, and cells of theirs have no
        vertices.
        """
        return any(k >= len(self.chart) for k in self.start)

    def chart_of(self, facets: Sequence[int]) -> Array:
        """Rows of `chart`, of gates behind the first block those of `deep_chart`, (m, n0 + 1)."""
        return _picked((self.chart, *self.deep_chart), facets)

    def rows_of(self, facets: Sequence[int]) -> Array:
        """The same of `rows`."""
        return _picked((self.rows, *self.deep), facets)

    def given(self, facets: Any) -> FloatArray:
        """Forms of domain facets or first-layer neurons in quotient coordinates, (…, n + 1)."""
        table: FloatArray = self.net.affine.rows.reshape(-1, self.net.stride)[:, : self.n + 1]
        return table[facets]

    def name(self, facet: int) -> str:
        """A facet id for people."""
        if facet < self.n_domain:
            return f"domain facet {facet}"
        if facet < self.n_domain + self.n_neurons:
            layer, position = self.network.neuron(facet - self.n_domain)
            if self.form is not None:
                return f"gate {self.network.gate_name(facet - self.n_domain)}"
            return f"neuron {position} of layer {layer}"
        return "infinity"


def _picked(parts: Sequence[Array], facets: Sequence[int]) -> Array:
    """Rows by their number in all parts together; Fractions if one of them has such."""
    ends = np.cumsum([len(part) for part in parts])
    at = [int(np.searchsorted(ends, k, side="right")) for k in facets]
    rows = [parts[p][k - int(ends[p])] for p, k in zip(at, facets)]
    if any(row.dtype == object for row in rows):
        rows = [as_fractions(row) for row in rows]
    return np.array(rows).reshape(len(rows), parts[0].shape[1])


def expected_vertices(frame: Frame) -> int:
    """Estimate of the vertices: C(m, n), what the m open facets have if they are hyperplanes in general position.

    Random networks at initialisation come within a factor of two of it on all of Rⁿ; on a small domain it is far too
    large.
    """
    return math.comb(len(frame.open), frame.n)


def half_edge_shift(n: int) -> int:
    """Bits that a half-edge id leaves to slot and side."""
    return max(1, (2 * n - 1).bit_length())


@np.errstate(under="ignore")
def make_frame(
    network: ReLUNetwork | PiecewiseLinearNetwork,
    domain: Polyhedron | None,
    *,
    inflate: float = 1.0,
    basis: tuple[IntArray, IntArray] | None = None,
    flat: bool = True,
) -> Frame:
    """Frame of a network on a domain (None: all of Rⁿ).

    Parameters
    ----------
    inflate : float
        Factor on every error bound; above 1 it sends more decisions to the exact path (for tests).
    basis : (columns, start), optional
        Coordinates and starting facets of an earlier frame, instead of choosing them.
    flat : bool
        Whether a domain without an interior is treated in its own dimension; archives of version 0.1 did not.
    """
    if not isinstance(network, ReLUNetwork | PiecewiseLinearNetwork):
        require_network(network)  # raises
    n0 = network.architecture[0]
    if domain is not None and not isinstance(domain, Polyhedron):
        raise InputError(f"domain must be None, a Box or a Polyhedron, found {type(domain).__name__}")
    if domain is not None and domain.dimension != n0:
        raise ShapeError(f"the domain has {domain.dimension} coordinates but the network has {n0} inputs")
    inflate = real(inflate, "inflate", least=1)
    form = relu_form(network) if isinstance(network, PiecewiseLinearNetwork) else None
    rows = given_rows(network, domain)
    hull = domain.affine_hull if domain is not None and flat else None
    chart = rows if hull is None else hull.in_chart(rows)
    rows = rows if hull is None else hull.tangential(rows)
    if basis is None:
        columns, start = independent_columns(chart[:, :-1], n_first=0 if domain is None else domain.n_facets)
    else:
        columns, start = (np.asarray(b, dtype=np.int64) for b in basis)
    deep = () if form is None else form.bases[1:]
    deep_chart = deep if hull is None else tuple(hull.in_chart(b) for b in deep)
    if basis is None and len(deep) > 1 and len(columns) < (n0 if hull is None else hull.dimension):
        columns, start = _with_bent(chart, deep_chart[:-1], columns, start)
    n_facets = network.n_hidden + (0 if domain is None else domain.n_facets)
    settled = settle(network, domain, expected=math.comb(n_facets, len(columns)))
    first = tuple(int(i) for i in start)
    if isinstance(network, ReLUNetwork) or form is None:
        assert isinstance(network, ReLUNetwork)
        net = _kernel_net(network, domain, chart, columns, start, inflate, settled)
        return Frame(network, domain, columns, first, net, rows, chart, hull, settled)
    if hull is not None:
        deep = tuple(hull.tangential(b) for b in deep)
    net = _wired_net(
        form, 0 if domain is None else domain.n_facets, (chart, *deep_chart), columns, start, inflate, settled
    )
    return Frame(network, domain, columns, first, net, rows, chart, hull, settled, form, deep, deep_chart)


def _with_bent(flat: Array, deep: tuple[Array, ...], columns: IntArray, start: IntArray) -> tuple[IntArray, IntArray]:
    """Coordinates and starting facets where gates behind the first block cut directions that no flat wall cuts.

    Taken in the order of blocks, their forms are independent in every cell: each is its own row plus multiples of forms
    before.
    """
    every = np.concatenate([flat, *deep])[:, :-1]
    if rank(every) == len(columns):
        return columns, start
    return independent_in_order(every, [*start.tolist(), *range(len(flat), len(every))])


def given_rows(network: Any, domain: Polyhedron | None) -> Array:
    """(D + h1, n0 + 1) forms of the domain's facets and the first layer's neurons, constant last."""
    n0 = network.architecture[0]
    parts = []
    if domain is not None:
        parts.append(domain.affine_forms())
    if network.n_hidden:
        parts.append(relu_form(network).bases[0])
    if not parts:
        return np.zeros((0, n0 + 1))
    return np.concatenate(parts, axis=0)


def _float(values: Array) -> FloatArray:
    """float64 copy; rationals are rounded (the bounds allow for it), to infinity beyond the range of floats."""
    return np.ascontiguousarray(nearest(values))


def _kernel_net(
    network: ReLUNetwork,
    domain: Polyhedron | None,
    rows: Array,
    columns: IntArray,
    start: IntArray,
    inflate: float,
    settled: Settled,
) -> Any:
    n = len(columns)
    n_domain = 0 if domain is None else domain.n_facets
    hidden = network.hidden_widths
    n_layers = len(hidden)
    n_out = network.architecture[-1]
    inf = n_domain + network.n_hidden
    n_ids = inf + 1 + n_out
    first = np.zeros(n_layers + 2, dtype=np.int64)
    first[1] = n_domain
    first[2:] = n_domain + np.cumsum(hidden)
    if n_layers == 0:
        first = np.array([0, n_domain], dtype=np.int64)
    layer_of = np.full(n_ids, -1, dtype=np.int64)
    layer_of[:n_domain] = 0
    for l in range(n_layers):
        layer_of[first[l + 1] : first[l + 2]] = l + 1
    layer_of[inf + 1 :] = n_layers + 1

    stride = 4 if n < 4 else (n + 8) // 8 * 8
    quotient = np.zeros((max(1, rows.shape[0]), stride))
    if rows.shape[0]:
        quotient[:, :n] = _float(rows[:, columns])
        quotient[:, n] = _float(rows[:, -1])
    woff = np.zeros(n_ids, dtype=np.int64)
    biases = np.zeros(n_ids)
    weights: list[FloatArray] = []
    offset = 0
    for l in range(1, n_layers + 1):
        w = _float(network.weights[l])
        ids = np.arange(first[l + 1], first[l + 2]) if l < n_layers else inf + 1 + np.arange(n_out)
        woff[ids] = offset + np.arange(len(ids)) * w.shape[1]
        biases[ids] = _float(network.biases[l])
        weights.append(w.ravel())
        offset += w.size
    if n_layers:
        biases[first[1] : first[2]] = _float(network.biases[0])

    kappa = np.zeros((n_ids, (n + 8) // 8 * 8))  # whole lanes
    kappa0 = np.zeros(n_ids)
    sigma = np.zeros(n_ids)
    drift = np.zeros(n_ids)
    with np.errstate(over="ignore", invalid="ignore"):
        magnitude = magnitudes_of(rows[:, [*columns, rows.shape[1] - 1]])
        terms = n + 4.0
        # what products lose by underflow: tiny if layers are multiplied from the first one up, lost from the last one
        # down
        tiny = np.full(rows.shape[0], (2 * n + 4) * LEAST)
        lost = np.zeros(n + 1)
        _store(slice(0, rows.shape[0]), magnitude, tiny, lost, terms, kappa, kappa0, sigma, drift)
        level = magnitude[first[1] : first[2]] if n_layers else magnitude[:0]
        tiny = tiny[n_domain:]
        widest = max([n + 1, *hidden])
        for l in range(1, n_layers + 1):
            w = magnitudes_of(network.weights[l])
            # what is off on the whole domain adds nothing to any sum, and no error
            w[:, settled.signs[first[l] - n_domain : first[l + 1] - n_domain] < 0] = 0.0
            b = magnitudes_of(network.biases[l])
            lost = lost + (2 * widest + 4) * LEAST * level.sum(axis=0)
            level = w @ level
            level[:, n] += b
            terms += w.shape[1] + 4.0
            tiny = w @ tiny + (2 * w.shape[1] + 4) * LEAST
            part = slice(first[l + 1], first[l + 2]) if l < n_layers else slice(inf + 1, n_ids)
            _store(part, level, tiny, lost, terms, kappa, kappa0, sigma, drift)
        for array in (kappa, kappa0, sigma, drift):
            array[np.isnan(array)] = np.inf
    none = np.zeros(1, dtype=np.int64)
    return Net(
        n=n,
        stride=stride,
        shift=half_edge_shift(n),
        inf=inf,
        layers=Layers(
            first, layer_of, np.array(start, dtype=np.int64, order="C")
        ),  # a copy: a read-only one is another type
        affine=Affine(
            rows=quotient.ravel(),
            weights=np.concatenate([*weights, np.zeros(LANES)]),  # so many are read at a time
            woff=woff,
            biases=biases,
            columns=as_columns(quotient[first[1] : first[2] if n_layers else first[1], : n + 1]),
        ),
        margins=Margins(kappa, kappa0, sigma, drift, float(inflate)),
        wiring=Wiring(0, none, np.zeros((1, 3), dtype=np.int64), none, none, none),
    )


def as_columns(rows: FloatArray) -> FloatArray:
    """Forms of the first layer, one column a neuron, with zeros up to whole lanes; none where rows are summed as
    quickly.
    """
    if len(rows) < NARROW or rows.shape[1] > 4:
        return np.zeros((1, 0))
    return np.ascontiguousarray(np.pad(rows, ((0, -len(rows) % LANES), (0, 0))).T)


def _wired_net(
    form: ReluForm,
    n_domain: int,
    charts: tuple[Array, ...],
    columns: IntArray,
    start: IntArray,
    inflate: float,
    settled: Settled,
) -> Any:
    """Arrays of a network with a form; ``charts``: given forms, then the rows of the blocks from the second on and the
    output.
    """
    n, widths, L = len(columns), form.widths, len(form.widths)
    N, n_out = sum(widths), len(form.bases[-1])
    inf = n_domain + N
    n_ids = inf + 1 + n_out
    first = np.array([0, n_domain, *(n_domain + np.cumsum(widths))], dtype=np.int64)
    layer_of = np.full(n_ids, -1, dtype=np.int64)
    layer_of[:inf] = np.repeat(np.arange(L + 1), np.diff(first))
    layer_of[inf + 1 :] = L + 1
    stride = 4 if n < 4 else (n + 8) // 8 * 8
    rows = np.zeros((n_ids, stride))
    picked = [_float(part[:, [*columns, part.shape[1] - 1]]) for part in charts]
    ids = [np.arange(first[2] if L else n_domain), *(np.arange(first[l], first[l + 1]) for l in range(2, L + 1))]
    for which, part in zip([*ids, np.arange(inf + 1, n_ids)], picked):
        rows[which, : n + 1] = part
    table = runs_of(form, first, n_ids, inf)
    kappa = np.zeros((n_ids, (n + 8) // 8 * 8))
    kappa0, sigma, drift = np.zeros(n_ids), np.zeros(n_ids), np.zeros(n_ids)
    with np.errstate(over="ignore", invalid="ignore"):
        columns_of = (kappa, kappa0, sigma, drift)
        _store(
            slice(0, n_domain), magnitudes_of(charts[0][:n_domain][:, [*columns, charts[0].shape[1] - 1]]), np.full(n_domain, (2 * n + 4) * LEAST), np.zeros(n + 1),
            n + 4.0, *columns_of,
        )  # fmt: skip
        own = [magnitudes_of(part[:, [*columns, part.shape[1] - 1]]) for part in (charts[0][n_domain:], *charts[1:])]
        off = [settled.signs[first[l] - n_domain : first[l + 1] - n_domain] < 0 for l in range(1, L + 1)]
        sizes = magnitudes(form, own, off, n)
        for l, ((level, tiny, lost), terms) in enumerate(zip(sizes, roundings(form, n)), start=1):
            ids_of = slice(first[l], first[l + 1]) if l <= L else slice(inf + 1, n_ids)
            _store(ids_of, level, tiny, lost, terms, *columns_of)
        for array in columns_of:
            array[np.isnan(array)] = np.inf
    same = start[start < first[2]]  # what orients rays: forms that are the same everywhere
    return WiredNet(
        n=n,
        stride=stride,
        shift=half_edge_shift(n),
        inf=inf,
        layers=Layers(first, layer_of, np.array(same, dtype=np.int64, order="C")),
        affine=Affine(rows.ravel(), table.weights, np.zeros(n_ids, dtype=np.int64), np.zeros(n_ids), np.zeros((1, 0))),
        margins=Margins(kappa, kappa0, sigma, drift, float(inflate)),
        wiring=Wiring(1, table.reads, table.runs, table.shallow, table.plain, table.lone),
    )


def _store(
    ids: slice,
    level: FloatArray,
    tiny: FloatArray,
    lost: FloatArray,
    terms: float,
    kappa: FloatArray,
    kappa0: FloatArray,
    sigma: FloatArray,
    drift: FloatArray,
) -> None:
    """Error constants of neurons with coefficient magnitudes ``level`` after ``terms`` roundings."""
    relative = gamma(terms)
    n = level.shape[1] - 1
    # the last factor pays for rays too, where kappa0 does not count: the largest entry of a direction is above 1 / (4
    # sqrt(n))
    under = (tiny[:, None] + lost) * (4 * n + 4)
    kappa[ids, : n + 1] = relative * level + under
    kappa0[ids] = kappa[ids, n]
    sigma[ids] = level[:, :-1].sum(axis=1) * (1 + 1e-9) + under.sum(axis=1)
    drift[ids] = relative * sigma[ids] + under.sum(axis=1)


def exact_rows(frame: Frame) -> list[list[Fraction]]:
    """Given forms as Fractions over the quotient coordinates, constant last; with a form, of all gates and then the
    outputs.
    """
    parts = (frame.chart, *frame.deep_chart)
    picked = [part[:, [*frame.columns, part.shape[1] - 1]] for part in parts]
    return [[Fraction(value) for value in row] for part in picked for row in part]
