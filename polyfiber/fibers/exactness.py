"""Exact equality of two networks over the regions of a canonical complex, in rational arithmetic."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from .._typing import Array, FloatArray
from ..complexes.complex import canonical_complex
from ..errors import BudgetExceededError, PolyfiberError
from ..network.model import ReLUNetwork
from ..numerics import exact
from .regions import affine_pieces, incidence
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


def _direction(row: Array) -> tuple[Any, ...] | None:
    """The form up to positive scale, as a key; None for a zero form."""
    lead = next((abs(v) for v in row if v), None)
    return None if lead is None else tuple(v / lead for v in row)


def exact_by_regions(pair: Any) -> Any:
    """Decide `are_equivalent` with tolerance 0: exact affine maps on every region, exact containment.

    On each region P of f the exact map of f is compared with that of g on g's pattern s at an inner point;
    s holds on all of P when each of its inequalities is a multiple of one of f, or holds at the
    exact vertices and along the exact rays of P.
    """
    f, g = (pair.a, pair.b) if pair.a.n_hidden >= pair.b.n_hidden else (pair.b, pair.a)
    fz, gz = f.exact(), g.exact()
    try:
        cx = canonical_complex(f, pair.domain, budget=pair.monitor.budget)
        signs = cx.signs(cx.dimension)
        points = cx.interior_points()
        _, pattern = affine_pieces(g.rounded(), points)
        corners = _ExactCorners(cx, fz, pair.domain)
        done = 0
        for r in range(cx.n_regions):
            pair.monitor.check_time("comparing exact maps", partial=done)
            pair.monitor.report("comparing exact maps", r, cx.n_regions)
            mine = exact_pieces(fz, signs[r, : fz.n_hidden] > 0)
            theirs = exact_pieces(gz, pattern[r] > 0)
            if (mine[-1] != theirs[-1]).any():
                proof = make_witness(pair.a, pair.b, points[r])
                if proof is None:
                    proof = pair.any_witness(hint=points[r])
                if proof is not None:
                    return pair.no("regions", f"the exact maps on region {r} differ", proof)
                return pair.undecided(f"the exact maps on region {r} differ at an uncertain inner point")
            known = {_direction(s * row) for s, row in zip(signs[r], [row for part in mine[:-1] for row in part])}
            for s, row in zip(pattern[r], [row for part in theirs[:-1] for row in part]):
                key = _direction(row * (1 if s > 0 else -1))
                if key is None or key in known:
                    continue
                if not corners.non_negative(r, row * (1 if s > 0 else -1), mine):
                    return pair.undecided(
                        f"a wall of one network crosses region {r} of the other without a difference there",
                        proved=done / cx.n_regions,
                    )
            done += 1
    except BudgetExceededError as error:
        return pair.undecided(str(error))
    except PolyfiberError as error:
        return pair.undecided(f"{type(error).__name__}: {error}")
    return pair.yes(
        "regions", f"exact affine maps agree on all {cx.n_regions} regions", bound=0.0,
        certificate={"regions": cx.n_regions, "f_vector": list(cx.f_vector)},
    )  # fmt: skip


def settled_vertices(
    cx: Any, net: ReLUNetwork, domain: Any, *, largest: float = 1e-10
) -> tuple[FloatArray, FloatArray]:
    """Vertices of a complex and bounds of their errors; those with poor bounds are solved in rationals.

    Walls that nearly coincide meet in vertices whose floating coordinates mean little.
    """
    vertices, errors = cx.vertices.copy(), cx.vertex_errors.copy()
    poor = np.flatnonzero(~(errors <= largest * (1.0 + np.abs(vertices).max(axis=1, initial=0.0))))
    if len(poor) == 0:
        return vertices, errors
    exact_net = net.exact()
    corners = _ExactCorners(cx, exact_net, domain)
    regions_of = corners.inside.T.tocsr()
    signs = cx.signs(cx.dimension)
    for v in poor:
        region = int(regions_of[v].indices[0])
        pieces = exact_pieces(exact_net, signs[region, : exact_net.n_hidden] > 0)
        x = corners._vertex(int(v), corners.table(pieces))[0]
        vertices[v] = x.astype(np.float64)
        errors[v] = 2.0**-52 * float(np.abs(vertices[v]).max())
    return vertices, errors


class _ExactCorners:
    """Exact vertices and rays of regions, made when asked for."""

    def __init__(self, cx: Any, net: ReLUNetwork, domain: Any) -> None:
        self.cx, self.net = cx, net
        self.inside, self.outward = incidence(cx)
        self.zeros = cx.signs(0) == 0
        self.edge_zeros = cx.signs(1) == 0 if cx.dimension else np.zeros((0, 0), dtype=bool)
        self.rows = None if domain is None else exact.as_fractions(domain.rows())
        self.found: dict[tuple[str, int], list[Array]] = {}

    def table(self, pieces: list[Array]) -> Array:
        """Rational forms of all columns of a sign vector."""
        forms = [row for part in pieces[:-1] for row in part]
        return np.array(forms if self.rows is None else [*forms, *self.rows], dtype=object)

    def non_negative(self, region: int, form: Array, pieces: list[Array]) -> bool:
        table = self.table(pieces)
        for v in self.inside[region].indices:
            for x in self._vertex(int(v), table):
                if form[:-1] @ x + form[-1] < 0:
                    return False
        for e in self.outward[region].indices:
            for x in self._ray(int(e), table):
                if form[:-1] @ x < 0:
                    return False
        return True

    def _vertex(self, v: int, table: Array) -> list[Array]:
        key = ("vertex", v)
        if key not in self.found:
            rows = table[self.zeros[v]]
            x = exact.solve(rows[:, :-1], -rows[:, -1]) if len(rows) else None
            if x is None:
                raise PolyfiberError(f"vertex {v} has no exact solution; please report this network")
            self.found[key] = [x]
        return self.found[key]

    def _ray(self, e: int, table: Array) -> list[Array]:
        key = ("ray", e)
        if key not in self.found:
            ids, directions = self.cx.rays
            rows = table[self.edge_zeros[ids[e]]][:, :-1]
            basis = exact.nullspace(rows) if len(rows) else exact.as_fractions(np.eye(table.shape[1] - 1))
            along = basis[:, 0] if basis.shape[1] else basis.ravel()
            side: FloatArray = along.astype(np.float64) @ directions[e]
            self.found[key] = [along if side > 0 else -along]
        return self.found[key]
