"""Exact equality of two networks over the regions of a canonical complex, in rational arithmetic."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np

from .._typing import Array, FloatArray, IntArray
from ..budget import Monitor
from ..complexes.complex import PolyhedralComplex
from ..errors import NumericalError
from ..network.model import ReLUNetwork
from ..numerics import exact
from ..verdict import Verdict
from .partial import BlockwiseReport, go_by_blocks
from .regions import incidence
from .stacked import difference_network
from .witness import make_witness


def exact_pieces(net: ReLUNetwork, active: Array) -> list[Array]:
    """Rational forms (n_l, n0 + 1) of every layer on one activation pattern (N,) of booleans."""
    n0 = net.architecture[0]
    current = exact.as_fractions(np.concatenate([np.eye(n0), np.zeros((n0, 1))], axis=1))
    forms, column = [], 0
    for layer, (W, b) in enumerate(zip(net.weights, net.biases)):
        form = W @ current
        form[:, -1] = form[:, -1] + b
        forms.append(form)
        if layer < len(net.weights) - 1:
            on = active[column : column + len(b)]
            column += len(b)
            current = form * np.array([Fraction(int(v)) for v in on], dtype=object)[:, None]
    return forms


def integer_layers(net: ReLUNetwork) -> tuple[list[Array], list[Array]]:
    """Weights and biases as integers: layer l multiplied by the denominators of layers 1 to l.

    Activation patterns stay, and the map on a pattern is a positive multiple of the true one.
    """
    weights, biases, carried = [], [], 1
    for W, b in zip(net.weights, net.biases):
        scale = math.lcm(*(v.denominator for v in W.ravel()), *((v * carried).denominator for v in b))
        weights.append(_integers(W * scale))
        biases.append(_integers(b * (scale * carried)))
        carried *= scale
    return weights, biases


def _integers(values: Array) -> Array:
    result = np.empty(values.shape, dtype=object)
    for index, value in np.ndenumerate(values):
        result[index] = int(value)
    return result


def integer_map(weights: list[Array], biases: list[Array], active: Array) -> Array:
    """The affine map (nL, n0 + 1) of `integer_layers` on one activation pattern (N,) of booleans."""
    form, column = np.concatenate([weights[0], biases[0][:, None]], axis=1), 0
    for W, b in zip(weights[1:], biases[1:]):
        on = np.flatnonzero(active[column : column + len(form)])
        column += len(form)
        if len(on):
            form = W[:, on] @ form[on]
        else:
            form = np.zeros((len(W), form.shape[1]), dtype=object)
        form[:, -1] += b
    return form


def exact_maps_agree(a: ReLUNetwork, b: ReLUNetwork, domain: Any, monitor: Monitor) -> BlockwiseReport:
    """Compare the rational maps of two networks on every region of both side by side, block by block.

    ``f - g`` is affine on every region of that complex, which is complete and certified also where walls
    coincide, so ``f = g`` exactly when the rational map of ``f - g`` vanishes on every region. The ``failure`` of the
    report is a point of a region on which it does not.
    """
    net = difference_network(a.exact(), b.exact())
    walls = net if a.is_exact or b.is_exact else difference_network(a, b)
    layers = integer_layers(net)

    def check(cx: PolyhedralComplex) -> tuple[bool, FloatArray | None]:
        signs = cx.signs(cx.dimension)
        for r in range(cx.n_regions):
            monitor.check_time("comparing exact maps")
            monitor.report("comparing exact maps", r, cx.n_regions)
            if integer_map(*layers, signs[r, : net.n_hidden] > 0).any():
                return False, cx.interior_points()[r]
        return True, None

    return go_by_blocks(walls, domain, check, monitor, whole=monitor.budget.seconds is None)


def exact_by_regions(pair: Any) -> Any:
    """Decide `are_equivalent` with tolerance 0 over the complex of both networks side by side."""
    found = exact_maps_agree(pair.a, pair.b, pair.domain, pair.monitor)
    if found.failure is not None:
        proof = make_witness(pair.a, pair.b, found.failure) or pair.any_witness(hint=found.failure)
        reason = f"the exact maps on a region differ, after {found.regions} on which they agree"
        return pair.no("regions", reason, proof, known_exact=Verdict.NO)
    facts = {"regions": found.regions, "blocks": len(found.blocks), "f_vector": list(found.f_vector)}
    if found.remaining:
        return pair.undecided(found.stopped, part=found.part(difference_network(pair.a, pair.b), pair.domain))
    return pair.yes(
        "regions", f"the exact difference vanishes on all {found.regions} regions of both side by side",
        bound=0.0, known_exact=Verdict.YES, certificate=facts,
    )  # fmt: skip


def settled_vertices(
    cx: Any, net: ReLUNetwork, domain: Any, chosen: IntArray, monitor: Monitor
) -> tuple[FloatArray, FloatArray]:
    """Chosen vertices of a complex, solved in rationals and rounded, and bounds of their errors.

    Walls that nearly coincide meet in vertices whose floating coordinates mean little.
    """
    exact_net = net.exact()
    corners = _ExactCorners(cx, domain)
    regions_of = corners.inside.T.tocsr()
    signs = cx.signs(cx.dimension)
    points = np.empty((len(chosen), net.architecture[0]))
    for i, v in enumerate(chosen):
        monitor.check_time("solving vertices exactly")
        region = int(regions_of[v].indices[0])
        pieces = exact_pieces(exact_net, signs[region, : exact_net.n_hidden] > 0)
        points[i] = corners.vertex(int(v), corners.table(pieces)).astype(np.float64)
    return points, 2.0**-52 * np.abs(points).max(axis=1, initial=0.0)


class _ExactCorners:
    """Exact vertices of regions, made when asked for."""

    def __init__(self, cx: Any, domain: Any) -> None:
        self.inside = incidence(cx)[0]
        self.zeros = cx.signs(0) == 0
        self.rows = None if domain is None else exact.as_fractions(domain.rows())

    def table(self, pieces: list[Array]) -> Array:
        """Rational forms of all columns of a sign vector."""
        forms = [row for part in pieces[:-1] for row in part]
        return np.array(forms if self.rows is None else [*forms, *self.rows], dtype=object)

    def vertex(self, v: int, table: Array) -> Array:
        rows = table[self.zeros[v]]
        x = exact.solve(rows[:, :-1], -rows[:, -1])
        if x is None:
            raise NumericalError(f"vertex {v} has no exact solution; please report this network")
        return x
