"""Level sets, class regions, boundaries and breakpoints from the weights alone: what the check of the table
``topology`` compares with.

The conditions become neurons of one more layer, all faces of that network come from `faces` (linear programs and cdd,
nothing of the complex or of its topology), cells are united by their labels, and Betti numbers are ranks of dense
matrices. Where the rank over the rationals is asked for, incidence numbers come from bases of the cells.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from typing import Any

import numpy as np

from ..._typing import Array, FloatArray
from ...complexes.build import canonical_complex
from ...domain import Polyhedron
from ...network.model import ReLUNetwork
from ...network.piecewise import AffineMap, GateBlock, PiecewiseLinearNetwork, require_network
from .cell_geometry import Network, hull_volume, masked_forms
from .faces import Faces, Unclear, all_faces

MOST_CELLS = 3000
LARGER = 20_000
"""Faces up to which counts of larger sets are derived again in exact arithmetic."""


@dataclass(frozen=True)
class Found:
    """A set: labels, boundedness, facets and corners of its cells by dimension.

    Attributes
    ----------
    lineality : int
    bounded : list of (f_k,) bool
    below : list of (f_k, f_{k-1}) bool
        Which cells of one dimension less lie under each cell.
    corners : list of lists of (p, d) float64
        Vertices of every cell.
    """

    lineality: int
    bounded: list[Array]
    below: list[Array]
    corners: list[list[FloatArray]]

    def columns(self) -> dict[str, Any]:
        """The columns of the table that follow."""
        d = len(self.bounded) - 1
        compact = d < 0 or (not self.lineality and all(b.all() for b in self.bounded))
        pointed = not self.lineality or d < 0
        everything = [np.ones(len(b), dtype=bool) for b in self.bounded]
        open_ = _betti(self.below, everything, 2)
        euler = [sum((-1) ** k * int(m.sum()) for k, m in enumerate(mask)) for mask in (self.bounded, everything)]
        shift = (0,) * self.lineality if d >= 0 else ()
        return {
            "dimension": d,
            "lineality": self.lineality,
            "compact": compact,
            "f_vector": [len(b) for b in self.bounded],
            "bounded": [int(b.sum()) for b in self.bounded],
            "components": self._components(),
            "betti": list(_betti(self.below, self.bounded, 2)) if pointed else None,
            "betti_rational": list(_betti(self._oriented(), self.bounded, 0)) if pointed else None,
            "betti_locally_finite": [*shift, *open_],
            "euler": euler[0] if pointed else None,
            "euler_compact": euler[1] * (-1) ** self.lineality,
            "size": self._size() if compact and d >= 0 else None,
        }

    def _components(self) -> int:
        label = [np.full(len(b), -1) for b in self.bounded]
        count = 0
        for k, own in enumerate(label):
            for i in range(len(own)):
                if label[k][i] >= 0:
                    continue
                label[k][i] = count
                waiting = [(k, i)]
                while waiting:
                    q, c = waiting.pop()
                    beside = [(q - 1, int(j)) for j in np.flatnonzero(self.below[q][c])] if q else []
                    if q + 1 < len(label):
                        beside += [(q + 1, int(j)) for j in np.flatnonzero(self.below[q + 1][:, c])]
                    for p, j in beside:
                        if label[p][j] < 0:
                            label[p][j] = count
                            waiting.append((p, j))
                count += 1
        return count

    def _oriented(self) -> list[Array]:
        """Incidence numbers of the bounded cells: signs of determinants of (outward, basis of the facet) in the basis
        of the cell.
        """
        signed = [self.below[0]] if self.below else []
        for k in range(1, len(self.below)):
            out = np.zeros(self.below[k].shape, dtype=np.int64)
            for c, f in zip(*np.nonzero(self.below[k])):
                if not self.bounded[k][c]:
                    continue
                mine = _basis(self.corners[k][c], k)
                inner, face = self.corners[k][c].mean(axis=0), self.corners[k - 1][f]
                yours = np.concatenate([[face.mean(axis=0) - inner], _basis(face, k - 1)])
                value = float(np.linalg.det(yours @ mine.T)) if k else 1.0
                out[c, f] = 1 if value > 0 else -1
            signed.append(out)
        return signed

    def _size(self) -> float:
        d = len(self.bounded) - 1
        if d == 0:
            return float(len(self.bounded[0]))
        total = 0.0
        for points in self.corners[d]:
            total += hull_volume((points - points[0]) @ _basis(points, d).T)
        return total


def _basis(points: FloatArray, k: int) -> FloatArray:
    """An orthonormal basis (k, d) of the directions of a cell."""
    result: FloatArray = np.linalg.svd(points - points.mean(axis=0))[2][:k]
    return result


def _betti(below: list[Array], keep: list[Array], field: int) -> tuple[int, ...]:
    if not below:
        return (0,)
    ranks = [0] * (len(below) + 1)
    for k in range(1, len(below)):
        block = below[k][keep[k]][:, keep[k - 1]]
        ranks[k] = _rank(block, field)
    return tuple(int(m.sum()) - ranks[k] - ranks[k + 1] for k, m in enumerate(keep))


def _rank(block: Array, field: int) -> int:
    """Rank over two elements, or of integers modulo a large prime."""
    prime = 2 if field == 2 else (1 << 31) - 1
    rows = block.astype(np.int64) % prime
    rank = 0
    for c in range(rows.shape[1]):
        hit = np.flatnonzero(rows[rank:, c])
        if not len(hit):
            continue
        pivot = rank + int(hit[0])
        rows[[rank, pivot]] = rows[[pivot, rank]]
        rows[rank] = rows[rank] * pow(int(rows[rank, c]), -1, prime) % prime
        others = rank + 1 + np.flatnonzero(rows[rank + 1 :, c])
        rows[others] = (rows[others] - rows[others, c][:, None] * rows[rank][None]) % prime
        rank += 1
        if rank == len(rows):
            break
    return rank


# ---- the sets --------------------------------------------------------------------------------------
def derive(net: Network, domain: Polyhedron | None, kind: str, output: int, value: float | None) -> Found:
    """A set of the table.

    Raises
    ------
    Unclear
        Too large, or too close to a degenerate position for floats.
    """
    gated, label_of = _conditions(net, kind, output, value)
    faces = all_faces(gated, domain)
    if sum(map(len, faces.signs)) > MOST_CELLS:
        raise Unclear(f"more than {MOST_CELLS} pieces")
    if kind == "breakpoints":
        label_of = _bending(net, faces)
    n, q = net.n_hidden, gated.hidden_widths[-1]
    groups: dict[Any, list[tuple[int, int]]] = {}
    for k, rows in enumerate(faces.signs):
        for i, row in enumerate(rows):
            label = label_of(np.delete(row, np.s_[n : n + q]), row[n : n + q])
            if label is not None:
                groups.setdefault(label, []).append((k, i))
    return _united(faces, groups)


def _united(faces: Faces, groups: dict[Any, list[tuple[int, int]]]) -> Found:
    by: list[list[list[tuple[int, int]]]] = [[] for _ in range(faces.dimension + 1)]
    for pieces in groups.values():
        by[max(k for k, _ in pieces)].append(pieces)
    while by and not by[-1]:
        by.pop()
    bounded, below, corners = [], [], []
    for k, cells in enumerate(by):
        bounded.append(np.array([all(faces.bounded[q][i] for q, i in pieces) for pieces in cells], dtype=bool))
        table = np.zeros((len(cells), len(by[k - 1]) if k else 0), dtype=bool)
        points = []
        for c, pieces in enumerate(cells):
            above = np.array([faces.signs[q][i] for q, i in pieces])
            at = np.flatnonzero(_under(faces.signs[0], above))
            points.append(faces.points[at])
            if k:
                under = [_under(np.array([faces.signs[q][i] for q, i in facet]), above).any() for facet in by[k - 1]]
                table[c] = under
        below.append(table)
        corners.append(points)
    return Found(faces.lineality, bounded, below, corners)


def _under(small: Array, large: Array) -> Array:
    """Which rows of signs lie under one of some others."""
    lower, upper = small[:, None, :], large[None, :, :]
    result: Array = ((lower == 0) | (lower == upper)).all(axis=2).any(axis=1)
    return result


def _conditions(net: Network, kind: str, output: int, value: float | None) -> tuple[Network, Any]:
    """The network with conditions as neurons of one more layer, and the label of a piece by its signs (None: no
    part).
    """
    n_out = net.architecture[-1]
    single = n_out == 1
    pairs = list(combinations(range(max(2, n_out)), 2))
    if kind == "level":
        assert value is not None
        rows, shift = np.eye(n_out, dtype=int)[[output]], [-Fraction(value)]
    elif kind == "breakpoints":
        rows, shift = np.zeros((1, n_out), dtype=int), [Fraction(1)]
    else:
        rows = np.zeros((len(pairs), n_out), dtype=int)
        for r, (i, j) in enumerate(pairs):
            if single:
                rows[r, 0] = -1
            else:
                rows[r, i], rows[r, j] = 1, -1
        shift = [Fraction(0)] * len(pairs)
    exact = (PiecewiseLinearNetwork.from_chain(net) if isinstance(net, ReLUNetwork) else net).exact()

    def combined(columns: Any) -> Any:
        return np.array([[sum((int(a) * w for a, w in zip(row, c)), Fraction(0)) for c in columns.T] for row in rows])

    read = {j: exact.output.dense(j, exact.architecture[j]) for j in exact.output.weights}
    weights = {j: combined(matrix).reshape(len(rows), -1) for j, matrix in read.items()}
    last = GateBlock(weights, combined(exact.output.bias[:, None])[:, 0] + np.array(shift, dtype=object))
    ones = AffineMap({len(exact.blocks) + 1: np.ones((1, len(rows)))}, np.zeros(1))
    gated = require_network(PiecewiseLinearNetwork(exact.n_inputs, [*exact.blocks, last], ones))

    def level(rest: Array, gates: Array) -> Any:
        return rest.tobytes() if (gates == 0).all() else None

    def by_class(rest: Array, gates: Array) -> Any:
        best = np.ones(max(2, n_out), dtype=bool)
        for (i, j), g in zip(pairs, gates):
            best[i] &= g >= 0
            best[j] &= g <= 0
        wanted = best[output] if kind == "class" else best.sum() > 1
        return (rest.tobytes(), best.tobytes()) if wanted else None

    return gated, level if kind in ("level", "breakpoints") else by_class


def _bending(net: Network, faces: Faces) -> Any:
    """Labels of the faces under facets across which the linear part of the function jumps."""
    n, d = net.n_hidden, faces.dimension
    maps = [masked_forms(net, s[:n])[1][:, :-1] @ faces.section for s in faces.signs[-1]]
    size = max((float(np.abs(m).max(initial=0.0)) for m in maps), default=0.0)
    visible = []
    for facet in faces.signs[d - 1]:
        beside = np.flatnonzero(((facet == 0) | (facet == faces.signs[-1])).all(axis=1))
        if len(beside) != 2:
            continue
        jump = float(np.abs(maps[beside[0]] - maps[beside[1]]).max(initial=0.0))
        if 1e-13 * size < jump < 1e-8 * size:
            raise Unclear("a facet bends by no more than rounding")
        if jump > 1e-8 * size:
            visible.append(facet)
    known = set()
    if visible:
        for rows in faces.signs[:d]:
            for row in rows[_under(rows, np.array(visible))]:
                known.add(np.delete(row, np.s_[n : n + 1]).tobytes())
    return lambda rest, gates: rest.tobytes() if rest.tobytes() in known else None


def larger(net: Network, domain: Polyhedron | None, kind: str, output: int, value: float | None) -> list[int] | None:
    """Cells of each dimension from the complex in which the conditions are neurons, every decision exact; None where
    that is too much.
    """
    if kind == "breakpoints":
        return None
    gated, label_of = _conditions(net, kind, output, value)
    cx = canonical_complex(gated, domain, inflate=1e16)
    if sum(cx.f_vector) > LARGER:
        return None
    n, q = net.n_hidden, gated.hidden_widths[-1]
    top: dict[Any, int] = {}
    for k in range(cx.dimension + 1):
        for row in cx.signs(k):
            label = label_of(np.delete(row, np.s_[n : n + q]), row[n : n + q])
            if label is not None:
                top[label] = k
    return np.bincount(list(top.values())).tolist() if top else []
