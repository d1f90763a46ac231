"""Complexes where flat walls leave directions uncut: walls that no gate reads are added, and taken away again.

The engine starts from walls that do not bend, in as many directions as there are walls at all. A tree of maxima need
not have them: ``max(max(a, b), c)`` in the plane has one flat wall, ``a = b``, and nothing has a corner until a bent
wall is cut. Hyperplanes in the missing directions mend that. They cut faces into pieces with the same signs of gates,
and since a face is the set of inputs with its signs, pieces with equal signs are one face again; every face has a
corner in the end, because the form of a gate is its own row on the input plus multiples of the forms before it, so that
in every cell the forms span what the rows span.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..._typing import Array, BoolArray, IdArray, IntArray
from ...budget import Monitor
from ...errors import NumericalError
from ...network.piecewise import AffineMap, GateBlock, GateGroup, PiecewiseLinearNetwork
from ...network.sparse import SparseMatrix, dense
from ...numerics.exact import as_fractions
from ...numerics.hulls import simplest
from ..skeleton.arrays import Frame, make_frame
from ..skeleton.faces import planes_of
from ..skeleton.layout import packed, unpack
from .build import FaceTable, LatticeSkeleton, build_lattice
from .check import facet_pairs

TRIES = 4
"""Places where auxiliary walls are tried, should a face of the network lie in one."""


@dataclass(frozen=True)
class Walled:
    """A network with auxiliary walls.

    Attributes
    ----------
    frame, wider : Frame
        Without these walls and with them.
    walls : (k,) int64
        The auxiliary walls as columns of the wider network's sign vectors.
    """

    frame: Frame
    wider: Frame
    walls: IntArray

    def into(self, column: int) -> int:
        """A column of the sign vectors, in those of the wider network."""
        return column if column < self.walls[0] else column + len(self.walls)

    def back(self, column: int) -> int:
        """The column without the walls."""
        return column if column < self.walls[0] else column - len(self.walls)

    def without_walls(self, cut: LatticeSkeleton) -> LatticeSkeleton | None:
        """A lattice of the wider network, or of a block of it, without the walls; None where a face lies in one of
        them.
        """
        return _without(cut, self.frame, self.frame.n_domain + self.walls)


def walled(frame: Frame, *, inflate: float = 1.0) -> Iterator[Walled]:
    """The network with auxiliary walls in the directions that flat walls leave uncut, at one place after the other.

    Raises
    ------
    NumericalError
        When all were tried.
    """
    bent = [k for k in frame.start if k >= len(frame.chart)]
    rows = as_fractions(frame.rows_of(bent)[:, :-1])
    walls = frame.network.hidden_widths[0] + np.arange(len(rows))
    for turn in range(TRIES):
        yield Walled(frame, make_frame(_with_walls(frame.network, rows, turn), frame.domain, inflate=inflate), walls)
    raise NumericalError("faces of the network lie in every auxiliary wall that was tried; please report this network")


def build_everywhere(frame: Frame, monitor: Monitor, *, inflate: float = 1.0) -> LatticeSkeleton:
    """Certified face lattice of a network whose flat walls do not cut every direction that others cut.

    Raises
    ------
    NumericalError
        Faces of the network lie in the auxiliary walls wherever these were tried.
    BudgetExceededError
        Time or memory used up.

    Notes
    -----
    k walls, where k directions are missing, multiply what is enumerated by 2^k at most. No face is missed: one that lies in an
    auxiliary wall has signs that no face outside has; that is looked for, and other walls are tried then.
    """
    for choice in walled(frame, inflate=inflate):
        made = choice.without_walls(build_lattice(choice.wider, monitor))
        if made is not None:
            return made
    raise AssertionError("walled ends with an error")


def _with_walls(net: PiecewiseLinearNetwork, rows: Array, turn: int) -> PiecewiseLinearNetwork:
    """The network with gates on rows (k, n0) of the input added to block 1, read by nothing; ``turn`` says where."""
    k, m = len(rows), net.hidden_widths[0]
    shift = as_fractions(np.random.default_rng(1905 + turn).uniform(-1, 1, k))
    first = net.blocks[0]
    weight = np.concatenate([as_fractions(first.affine.dense(0, net.n_inputs)), rows])
    bias = np.concatenate([as_fractions(first.bias), shift])
    slopes = np.concatenate([as_fractions(first.slopes), as_fractions(np.array([[0.0, 1.0]] * k))])
    groups = [*first.groups, GateGroup("auxiliary", "auxiliary wall", (k,), np.arange(k))] if first.groups else ()
    blocks = [GateBlock({0: simplest(weight)}, simplest(bias), slopes=simplest(slopes), groups=groups)]
    blocks += [
        GateBlock(_wider(b.affine, m, k).weights, b.bias, slopes=b.slopes, groups=b.groups) for b in net.blocks[1:]
    ]
    return PiecewiseLinearNetwork(net.n_inputs, blocks, _wider(net.output, m, k), source=net.source)


def _wider(affine: AffineMap, m: int, k: int) -> AffineMap:
    """A map that reads block 1 of m + k gates instead of m."""
    weights = dict(affine.weights)
    if 1 in weights:
        old = SparseMatrix.of(weights[1])
        weights[1] = SparseMatrix(old.indptr, old.indices, old.data, (old.shape[0], m + k))
        if not isinstance(affine.weights[1], SparseMatrix):
            weights[1] = dense(weights[1])
    return AffineMap(weights, affine.bias)


def _without(cut: LatticeSkeleton, frame: Frame, auxiliary: IntArray) -> LatticeSkeleton | None:
    """The lattice without its auxiliary walls, in the frame of the network; None where a face lies in one of them."""
    ids = np.delete(np.arange(cut.frame.net.inf + 1), auxiliary)
    new_id = np.full(cut.frame.net.inf + 1, -1, dtype=np.int32)
    new_id[ids] = np.arange(len(ids), dtype=np.int32)
    frame = make_frame(
        frame.network, frame.domain, inflate=frame.net.margins.inflate, basis=(cut.frame.columns, np.array(frame.start))
    )
    tables: list[FaceTable] = []
    seen: set[bytes] = set()
    hidden: list[bytes] = []
    below = np.zeros(0, dtype=np.int64)
    kept_vertices = np.zeros(0, dtype=np.int64)
    for old in cut.tables:
        outside, signs = _signs(cut, old, auxiliary, ids[:-1])
        planes = planes_of(signs, 0, frame.n_words)
        key = np.concatenate([planes, old.infinite[: old.count, None].astype(np.uint64)], axis=1)
        rows = np.flatnonzero(outside)
        _, first, inverse = np.unique(key[rows], axis=0, return_index=True, return_inverse=True)
        order = np.argsort(first, kind="stable")  # faces in the order of their first pieces
        rank = np.empty(len(order), dtype=np.int64)
        rank[order] = np.arange(len(order))
        face = np.full(old.count, -1, dtype=np.int64)
        face[rows] = rank[inverse.ravel()]
        chosen = rows[first[order]]
        tables.append(_table(old, frame, planes[chosen], chosen, new_id, face, below))
        finite = ~old.infinite[: old.count]
        seen.update(p.tobytes() for p in planes[outside & finite])
        hidden += [p.tobytes() for p in planes[~outside & finite]]
        below = face
        if old.dim == 0:
            kept_vertices = chosen
    if not seen.issuperset(hidden):
        return None
    return _skeleton(cut, frame, tables, kept_vertices, new_id)


def _signs(cut: LatticeSkeleton, table: FaceTable, auxiliary: IntArray, ids: IntArray) -> tuple[BoolArray, Array]:
    """Which faces lie in no auxiliary wall, and the signs of the facets that stay, (count, kept)."""
    W, planes = cut.frame.n_words, table.planes[: table.count]
    signs = unpack(planes[:, :W]).view(np.int8) - unpack(planes[:, W:]).view(np.int8)
    return np.asarray((signs[:, auxiliary] != 0).all(axis=1)), signs[:, ids]


def _table(
    old: FaceTable, frame: Frame, planes: Array, chosen: IntArray, new_id: IdArray, face: IntArray, below: IntArray
) -> FaceTable:
    """The faces of one dimension; ``face`` and ``below``: the new number of each old face of it and of one dimension
    less.
    """
    table = FaceTable(old.dim, frame.n, frame.n_words)
    m = len(chosen)
    table.reserve(m)
    table.count = m
    table.planes[:m], table.infinite[:m] = planes, old.infinite[chosen]
    table.basis[:m] = new_id[old.basis[chosen]]
    if old.dim:
        above, ids = facet_pairs(old, np.arange(old.count))
        above, ids = face[above], below[ids]
        pairs = np.unique(np.stack([above, ids], axis=1)[(above >= 0) & (ids >= 0)], axis=0)
        table.pool, table.fill = pairs[:, 1].astype(np.int32), len(pairs)
        table.length[:m] = np.bincount(pairs[:, 0], minlength=m)
        table.start[:m] = np.cumsum(table.length[:m]) - table.length[:m]
    return table


def _skeleton(
    cut: LatticeSkeleton, frame: Frame, tables: list[FaceTable], vertices: IntArray, new_id: IdArray
) -> LatticeSkeleton:
    kept = cut.__getstate__()
    columns: dict[str, Any] = {name: values[vertices] for name, values in kept["columns"].items() if name[:4] != "base"}
    far = columns["at_inf"] >= 0
    for name in ("base", "base_err"):
        columns[name] = kept["columns"][name][columns["at_inf"][far]]
    columns["at_inf"][far] = np.arange(int(far.sum()))
    star = columns["star"][:, 2 * frame.n :]
    columns["star"][:, 2 * frame.n :] = new_id[star]
    columns["words"] = tables[0].planes[: tables[0].count, : frame.n_words].copy()
    closed = np.array(cut.closed)[new_id >= 0]
    made: LatticeSkeleton = object.__new__(LatticeSkeleton)
    made.__setstate__(
        {
            **kept,
            "frame": frame,
            "columns": columns,
            "tables": tables,
            "copies": {},
            "closed": closed,
            "nv": len(vertices),
        }
    )
    signed = tables[0].planes[: made.nv, : frame.n_words] | tables[0].planes[: made.nv, frame.n_words :]
    made.zeros = packed(~unpack(signed)[:, : frame.net.inf], frame.n_words)
    return made


__all__ = ["Walled", "build_everywhere", "walled"]
