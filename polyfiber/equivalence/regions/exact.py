"""Exact equality of two networks over the regions of a canonical complex, in rational arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..._typing import Array, FloatArray, IntArray
from ...budget import Monitor
from ...complexes.blocks.block import Block
from ...complexes.complex import PolyhedralComplex
from ...errors import BudgetExceededError, NumericalError
from ...network.exact_pieces import exact_pieces, integer_layers, integer_map
from ...network.model import ReLUNetwork
from ...numerics import exact
from ...numerics.floats import nearest
from ...numerics.rounding import UNIT
from ...verdict import Verdict
from ..bounds.difference_network import difference_network
from ..grounds import ExactCells
from ..partial import BlockwiseReport, go_by_blocks
from ..witness import Witness, candidates, decisive_in
from .pieces import incidence


def exact_maps_agree(a: ReLUNetwork, b: ReLUNetwork, domain: Any, monitor: Monitor) -> BlockwiseReport:
    """Compare the rational maps of two networks on every region of both side by side, block by block.

    ``f - g`` is affine on every region of that complex, which is complete and certified also where walls
    coincide, so ``f = g`` exactly when the rational map of ``f - g`` vanishes on every region. The ``failure`` of the
    report is a point of a region on which it does not.
    """
    try:
        with monitor.watching():
            net = difference_network(a.exact(), b.exact())
            layers = integer_layers(net)
    except BudgetExceededError as error:
        return BlockwiseReport(remaining=[Block()], stopped=str(error))
    walls = net if a.is_exact or b.is_exact else difference_network(a, b)

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
        reason = f"the exact maps on a region differ, after {found.regions} on which they agree"
        proof = _witness_near(pair, found.failure)
        if proof is None:
            return pair.undecided(f"{reason}; no float input of it was found where the outputs differ")
        return pair.no("regions", reason, proof)
    if found.remaining:
        return pair.undecided(found.stopped, part=found.part(difference_network(pair.a, pair.b), pair.domain))
    return pair.yes(ExactCells(found.regions, len(found.blocks), len(found.remaining)), known_exact=Verdict.YES)


def _witness_near(pair: Any, point: FloatArray) -> Witness | None:
    """An input of the domain, at a point of a region or around it, where the exact outputs differ."""
    rng = np.random.default_rng(0)
    steps = 10.0 ** rng.uniform(-12, 0, (64, 1)) * (1e-6 + np.abs(point)) * rng.standard_normal((64, len(point)))
    X = np.concatenate([point[None], point + steps, candidates(pair.fa, pair.fb, pair.domain, n=64)[:256]])
    for x in X:
        if pair.monitor.late:
            break
        proof = decisive_in(pair.domain, pair.a, pair.b, x, 0.0)
        if proof is not None:
            return proof
    return None


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
        points[i] = nearest(corners.vertex(int(v), corners.table(pieces)))
    return points, 2 * UNIT * np.abs(points).max(axis=1, initial=0.0)


class _ExactCorners:
    """Exact vertices of regions, made when asked for."""

    def __init__(self, cx: Any, domain: Any) -> None:
        self.inside = incidence(cx)[0]
        self.zeros = cx.signs(0) == 0
        self.rows = None if domain is None else exact.as_fractions(domain.affine_forms())

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
