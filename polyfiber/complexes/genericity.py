"""How far a network is from trouble: supertransversality, masked products, honesty, cancellations, as margins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import words
from .._typing import FloatArray, SignArray
from .._values.checked import generator_of, real
from ..budget import Budget, Monitor
from ..domain import Polyhedron
from ..errors import BudgetExceededError, GenericityError, InputError, old_name
from ..kernels.complexes import affine_maps as maps
from ..network.model import ReLUNetwork
from ..network.piecewise import PiecewiseLinearNetwork, require_network
from ..network.relu_form import relu_form
from ..numerics import exact
from ..numerics.products import exact_product
from ..verdict import Verdict
from ..words import one_line
from .build import canonical_complex, estimate_size
from .complex import PolyhedralComplex
from .geometry import full_net
from .local.cell_arrays import cell_frame
from .local.explore import explore


@dataclass(frozen=True)
class BreakingFace:
    """A face that lies on more walls than its codimension.

    Attributes
    ----------
    dimension : int
        In the essential quotient.
    neurons : tuple of (layer, position)
        Hidden neurons that vanish there.
    point : (n0,) float64 or None
        A vertex, where the face is one.
    """

    dimension: int
    neurons: tuple[tuple[int, int], ...]
    point: FloatArray | None


@dataclass(frozen=True)
class ProductRank:
    """The masked product with the smallest margin: ``W_last D ... D W_first``, layers counted from 1.

    Attributes
    ----------
    first, last : int
    masks : tuple of tuples of int
        Active neurons of the layers ``first .. last - 1``.
    expected, rank : int
        Largest rank that the sizes allow, and the rank found.
    singular_value : float
        The ``expected``-th singular value relative to the largest.
    """

    first: int
    last: int
    masks: tuple[tuple[int, ...], ...]
    expected: int
    rank: int
    singular_value: float


@dataclass(frozen=True)
class Genericity:
    """Where a network stands; margins say how far it is from the nearest failure that was looked for.

    Attributes
    ----------
    supertransversal : Verdict
        Every k-face lies on exactly d - k walls. UNDECIDED where the complex was not enumerated.
    breaking : tuple of BreakingFace
        Faces that break it (at most ``limit`` of them).
    n_breaking : int
        How many were found; at least this many where the enumeration refused.
    reason : str
        In words: how the verdict was reached.
    full_rank_products : Verdict
        All masked products of masks that occur in the regions looked at have the largest rank their sizes allow. Masks
        that no region has are not part of it. UNDECIDED, with no product looked at, where the network is no chain.
    worst_product : ProductRank or None
        The one with the smallest relative singular value: the margin.
    n_products : int
        Masked products looked at.
    vertex_margin : float or None
        Smallest distance of a vertex to a wall that it does not lie on, measured along the gradient there.
    honest : Verdict
        Every ridge on walls of two layers bends (Definition 14 of the paper).
    n_unbent_ridges : int
    cancellation_free : Verdict
        Every facet with an active path to the outputs has a non-zero weight (Definition 15).
    n_cancelling_facets : int
    weight_margin : float or None
        Smallest weight of such a facet relative to the sum over its paths of absolute values.
    n_regions : int
        Regions looked at.
    enumerated : bool
        Whether these were all regions.
    """

    __repr__ = one_line

    supertransversal: Verdict
    breaking: tuple[BreakingFace, ...]
    n_breaking: int
    reason: str
    full_rank_products: Verdict
    worst_product: ProductRank | None
    n_products: int
    vertex_margin: float | None
    honest: Verdict
    n_unbent_ridges: int
    cancellation_free: Verdict
    n_cancelling_facets: int
    weight_margin: float | None
    n_regions: int
    enumerated: bool

    products = old_name("n_products")
    unbent_ridges = old_name("n_unbent_ridges")
    cancelling_facets = old_name("n_cancelling_facets")
    regions = old_name("n_regions")

    @property
    def sentence(self) -> str:
        """Whether the walls are in general position, and what would decide it."""
        return {
            "yes": "The walls are in general position: each face lies on exactly as many walls as its codimension, proved.",
            "no": f"The walls are not in general position: {words.count(self.n_breaking, 'face')} lie on more walls than their codimension.",
            "undecided": (
                f"Not decided whether the walls are in general position: {self.reason}. A larger max_vertices= or budget= decides it."
            ),
        }[self.supertransversal.value]

    def __str__(self) -> str:
        lines = [
            self.sentence,
            f"supertransversal: {self.supertransversal.value} ({self.reason})",
            f"masked products of full rank: {self.full_rank_products.value} "
            f"({words.count(self.n_products, 'product')} from {words.count(self.n_regions, 'region')})"
            if self.n_products
            else "masked products: do not apply, layers of a chain are what is multiplied",
        ]
        if self.worst_product is not None:
            p = self.worst_product
            lines.append(f"  smallest: layers {p.first}..{p.last}, relative singular value {p.singular_value:.3g}")
        if self.vertex_margin is not None:
            lines.append(f"smallest distance of a vertex to another wall: {self.vertex_margin:.3g}")
        lines.append(
            f"honest: {self.honest.value} ({words.count(self.n_unbent_ridges, 'ridge')} of two layers without a bend)"
        )
        lines.append(
            f"cancellation-free: {self.cancellation_free.value} ({words.count(self.n_cancelling_facets, 'facet')} with weight zero)"
        )
        if self.weight_margin is not None:
            lines.append(f"  smallest relative weight: {self.weight_margin:.3g}")
        return "\n".join(lines)


@np.errstate(all="ignore")
def genericity(
    network: ReLUNetwork | PiecewiseLinearNetwork,
    domain: Polyhedron | None = None,
    *,
    max_vertices: int = 1_000_000,
    max_regions: int = 500,
    limit: int = 20,
    tolerance: float = 1e-10,
    complex: PolyhedralComplex | None = None,
    budget: Budget | None = None,
    rng: Any = 0,
) -> Genericity:
    """Is a network generic, and with which margins?

    Parameters
    ----------
    network : ReLUNetwork or PiecewiseLinearNetwork
        Masked products are products of layers of a chain: on other networks they do not apply, and none is looked at.
    domain : Box or Polyhedron, optional
        Judge only what happens there.
    max_vertices : int
        The complex is enumerated when its expected number of vertices is at most this; otherwise the regions
        around random points are explored, and what needs all faces stays undecided.
    max_regions : int
        Regions whose masks are looked at (all, if there are fewer).
    limit : int
        Breaking faces that are listed.
    tolerance : float
        Relative singular values below this are decided in rational arithmetic.
    complex : PolyhedralComplex, optional
        That of the network on the domain, if it is there already; then it is not built again.
    budget : Budget, optional
        For the enumeration; beyond it the answer is as for a large network, from what a tenth of the seconds shows of
        it.
    rng :
        Where to look in a large network.

    Returns
    -------
    Genericity

    Notes
    -----
    Supertransversal: Definition 8, honest: 14, cancellation-free: 15 of the paper that `polyfiber.fibers` follows.
    Decisions about faces are exact; margins are floats.

    Examples
    --------
    >>> import polyfiber as pf
    >>> g = pf.genericity(pf.ReLUNetwork.random((2, 6, 6, 1), rng=0))
    >>> g.supertransversal, g.honest, g.cancellation_free
    (<Verdict.YES: 'yes'>, <Verdict.YES: 'yes'>, <Verdict.YES: 'yes'>)
    """
    network = require_network(network)
    real(max_vertices, "max_vertices", least=0)
    monitor = Monitor(budget)
    frame = cell_frame(network, domain)  # refuses what is no domain
    expected = estimate_size(network, domain)["vertices"]
    cx: PolyhedralComplex | None = None
    verdict, n_breaking = Verdict.UNDECIDED, 0
    breaking: list[BreakingFace] = []
    if complex is None and expected > max_vertices:
        reason = f"about {words.about(expected)} vertices expected, more than max_vertices={max_vertices}"
    else:
        try:
            cx = canonical_complex(network, domain, budget=budget) if complex is None else complex
            n_breaking, breaking = _breaking_faces(cx, limit)
            verdict = Verdict.of(n_breaking == 0)
            reason = f"{words.every(sum(cx.f_vector), 'face')} looked at"
        except GenericityError as error:
            verdict, n_breaking, reason = Verdict.NO, 1, str(error)
        except BudgetExceededError as error:
            reason = str(error)
    if cx is not None:
        signs = _some_regions(cx, max_regions)
        total, enumerated = cx.n_regions, len(signs) == cx.n_regions
    else:
        left = monitor.left
        least = None if left is None else monitor.budget.part(max(left, 0.1 * (monitor.budget.seconds or 0.0)))
        signs = _sampled_regions(network, domain, max_regions, rng, least)
        total, enumerated = len(signs), False
    worst, products, deficient, ranks = None, 0, 0, Verdict.UNDECIDED
    if isinstance(network, ReLUNetwork):
        worst, products, deficient = _masked_products(network, signs[:, : frame.n_neurons], tolerance)
        ranks = Verdict.NO if deficient else (Verdict.YES if enumerated else Verdict.UNDECIDED)
    margin = None
    honest, unbent, clean, cancelling, weight = Verdict.UNDECIDED, 0, Verdict.UNDECIDED, 0, None
    if cx is not None and cx.dimension and verdict is Verdict.YES and frame.n_neurons:
        margin = _vertex_margin(cx)
        cancelling, weight = _cancellations(cx)
        clean = Verdict.of(cancelling == 0)
        unbent = _unbent_ridges(cx)
        honest = Verdict.of(unbent == 0)
    return Genericity(
        verdict, tuple(breaking), n_breaking, reason, ranks, worst, products, margin, honest, unbent, clean,
        cancelling, weight, min(total, len(signs)), enumerated,
    )  # fmt: skip


def _breaking_faces(cx: PolyhedralComplex, limit: int) -> tuple[int, list[BreakingFace]]:
    N = cx.network.n_hidden
    count = 0
    found: list[BreakingFace] = []
    for k in range(cx.dimension + 1):
        done = 0
        for rows in cx.iter_signs(k):
            bad = np.flatnonzero((rows == 0).sum(axis=1) != cx.dimension - k)
            count += len(bad)
            for i in bad[: max(0, limit - len(found))]:
                names = tuple(cx.network.neuron(int(c)) for c in np.flatnonzero(rows[i, :N] == 0))
                found.append(BreakingFace(k, names, cx.vertices[done + i] if k == 0 else None))
            done += len(rows)
    return count, found


def _some_regions(cx: PolyhedralComplex, most: int) -> SignArray:
    signs = cx.signs(cx.dimension)
    if len(signs) <= most:
        return signs
    return signs[np.linspace(0, len(signs) - 1, most).astype(np.int64)]


def _sampled_regions(network: Any, domain: Polyhedron | None, most: int, rng: Any, budget: Budget | None) -> SignArray:
    from ..numerics.lp import interior_point

    generator = generator_of(rng)
    n0 = network.architecture[0]
    if domain is None:
        starts = generator.standard_normal((4, n0))
    else:
        found = interior_point(*domain.in_floats())
        if found is None:
            raise InputError("the domain is empty")
        starts = found[0] + 0.5 * found[1] * generator.uniform(-1, 1, (4, n0)) / np.sqrt(n0)
    return explore(network, starts, domain=domain, max_regions=max(1, most // 8), budget=budget).signs[:most]


def _masked_products(network: ReLUNetwork, signs: SignArray, tolerance: float) -> tuple[ProductRank | None, int, int]:
    """Worst product over the masks of regions, how many were looked at, how many are deficient."""
    weights = network.rounded().weights
    offsets = np.concatenate([[0], np.cumsum(network.hidden_widths, dtype=np.int64)])
    L = len(weights)
    worst: ProductRank | None = None
    seen: set[tuple[int, int, bytes]] = set()
    deficient = 0
    for row in signs:
        masks = [np.flatnonzero(row[offsets[q] : offsets[q + 1]] > 0) for q in range(L - 1)]
        for first in range(L):
            product = weights[first]
            width = product.shape[1]
            expected = min(product.shape)
            for last in range(first, L):
                if last > first:
                    active = masks[last - 1]
                    with np.errstate(over="ignore", invalid="ignore"):
                        product = weights[last][:, active] @ product[active]
                    expected = min(expected, len(active), weights[last].shape[0])
                key = (first, last, row[offsets[first] : offsets[last]].tobytes())
                if key in seen or expected == 0:
                    continue
                seen.add(key)
                ratio = 0.0  # what is not finite is decided exactly
                if np.isfinite(product).all():
                    values = np.linalg.svd(product, compute_uv=False)
                    ratio = float(values[expected - 1] / values[0]) if values[0] > 0 else 0.0
                rank = expected
                if ratio < tolerance:
                    rank = _exact_rank(network, masks, first, last)
                    deficient += rank < expected
                if worst is None or ratio < worst.singular_value or (rank < expected and worst.rank == worst.expected):
                    named = tuple(tuple(int(i) for i in masks[q]) for q in range(first, last))
                    worst = ProductRank(first + 1, last + 1, named, expected, rank, ratio)
        assert width == product.shape[1]
    return worst, len(seen), deficient


def _exact_rank(network: ReLUNetwork, masks: list[Any], first: int, last: int) -> int:
    net = network.exact()
    product = net.weights[first]
    for q in range(first + 1, last + 1):
        product = exact_product(net.weights[q][:, masks[q - 1]], product[masks[q - 1]])
    return exact.rank(product)


def _vertex_margin(cx: PolyhedralComplex, chunk: int = 512) -> float:
    """Smallest ``|z_i(v)| / |gradient of z_i at v|`` over vertices and the neurons not zero there."""
    form, best = relu_form(cx.network).floats, np.inf
    net = cx.network.rounded() if isinstance(cx.network, ReLUNetwork) else cx.network
    signs = cx.signs(0)[:, : net.n_hidden]
    offsets = np.concatenate([[0], np.cumsum(net.hidden_widths, dtype=np.int64)])
    for start in range(0, len(signs), chunk):
        rows = signs[start : start + chunk]
        X = cx.vertices[start : start + chunk]
        gradients: list[FloatArray] = []
        z = np.concatenate([np.asarray(v, dtype=np.float64) for v in net.preactivations(X)[:-1]], axis=1)
        for layer in range(len(net.hidden_widths)):
            part = slice(int(offsets[layer]), int(offsets[layer + 1]))
            gradient = np.broadcast_to(form.bases[layer][:, :-1], (len(rows), part.stop - part.start, X.shape[1]))
            for j, matrix in form.reads[layer].items():
                # one of the cells around the vertex: the one where its zero neurons are inactive
                on = rows[:, offsets[j - 1] : offsets[j]] > 0
                weights = matrix if isinstance(matrix, np.ndarray) else matrix.toarray()
                gradient = gradient + weights @ (gradients[j - 1] * on[:, :, None])
            gradients.append(gradient)
            norms = np.linalg.norm(gradient, axis=2)
            away = (rows[:, part] != 0) & (norms > 0)
            if away.any():
                best = min(best, float((np.abs(z[:, part])[away] / norms[away]).min()))
    return best


def _cancellations(cx: PolyhedralComplex) -> tuple[int, float | None]:
    """Facets with active paths but weight zero, and the smallest relative weight of the others."""
    bp = cx.breakpoint_complex()
    weight = np.linalg.norm(bp.weights, axis=1)
    gone = len(bp.invisible)
    cancelling = 0
    frame, store = cx._frame, cx._store
    d, N = frame.n_domain, frame.n_neurons
    n_out = frame.network.architecture[-1]
    net, width = full_net(frame), frame.scratch

    gather = maps.output_columns if frame.form is None else maps.wired_columns

    def paths(facets: Any) -> tuple[FloatArray, FloatArray]:
        planes = store.planes(cx.dimension - 1)[facets]
        zero = store.to_signs(planes)[:, :N] == 0
        neurons = zero.argmax(axis=1).astype(np.int64) + d
        C, M = np.zeros((len(facets), n_out)), np.zeros((len(facets), n_out))
        gather(planes, neurons, net, frame.n_blocks, n_out, width, C, M)
        return C, M

    if gone:
        _, M = paths(bp.invisible)
        cancelling = int((M.max(axis=1) > 0).sum())
    if not len(weight):
        return cancelling, None
    C, M = paths(bp.facets)
    unit = M.max(axis=1, keepdims=True)  # squares of what is near the ends of floats are none
    ratio = np.linalg.norm(C / unit, axis=1) / np.linalg.norm(M / unit, axis=1)
    ratio = ratio[np.isfinite(ratio)]
    return cancelling, float(ratio.min()) if len(ratio) else None


def _unbent_ridges(cx: PolyhedralComplex) -> int:
    if cx.dimension < 2:
        return 0
    ridges = cx.breakpoint_complex().ridges
    layers = np.array([cx.network.neuron(i)[0] for i in range(cx.network.n_hidden)])
    if not len(ridges.neurons):
        return 0
    a, b = layers[ridges.neurons[:, 0]], layers[ridges.neurons[:, 1]]
    return int(((a != b) & ~ridges.bending).sum())


__all__ = ["BreakingFace", "Genericity", "ProductRank", "genericity"]
