"""Walks over all regions of a restricted network: tables that grow, questions that are answered exactly.

The kernels go from region to region by floats whose errors are bounded. Where a sign is not certified they stop and
ask; the answer comes from a vertex that was met before, from pairs of floats with their own bound, or from integers.
Every region of the polygon is reached, since regions that share an edge are neighbours and the polygon without the
vertices hangs together; an edge with one region that is not on the border would show, and so would a count that breaks
Euler's relation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from ..._typing import Array, FloatArray, IntArray
from ...budget import Monitor
from ...errors import BudgetExceededError, NumericalError
from ...kernels.planar import forms, polygons
from ...kernels.planar import walk as kernels
from ...kernels.rows import insert_all, table_size
from ...numerics.rounding import UNIT
from .exact_forms import ExactForms
from .meetings import EXACT, Meetings
from .restrict import Columns, Restricted, along_segment

REFRESH_AFTER = 200
CELLS_A_TURN = 2000
SEED = 20240607
STEP = "regions of the slice"
MOST_IDS = 2**31 - 1
"""Ids of corners and half-edges are int32."""


@dataclass
class WalkStats:
    """How a walk went.

    Attributes
    ----------
    regions : int
    gates : int
        Gates that differ on the slice.
    merged, constant : int
        Gates of the network that are the same function there as another, and those that are constant.
    crossings : int
        Walls crossed, forth and back.
    doubled_signs : int
        Signs that floats left open and pairs of floats decided, or a vertex that was met before.
    exact_signs : int
        Signs that all of these left open and integers decided.
    exact_regions : int
        Regions with such a sign.
    seconds : float
    """

    regions: int = 0
    gates: int = 0
    merged: int = 0
    constant: int = 0
    crossings: int = 0
    doubled_signs: int = 0
    exact_signs: int = 0
    exact_regions: int = 0
    seconds: float = 0.0

    @property
    def exact_share(self) -> float:
        """Share of the regions for which a sign was decided in integers."""
        return self.exact_regions / max(1, self.regions)


@dataclass
class Tables:
    """What a walk leaves: faces of the subdivision.

    Attributes
    ----------
    points : (V, 3) float64
        Coordinates in the frame and a bound of their error.
    values : (V, m + 1) float64
        Outputs at the vertices, and a bound of the largest error.
    edges : (E, 2), edge_cells : (E, 2), edge_line : (E,) int32
        Ends, regions (-1 outside) and a line: a unit, or -1 - k for side k of the domain.
    further : list of (edge, unit)
        Units that vanish along an edge beside its line.
    ptr : (F + 1,), cell_corners, cell_edges
        Vertices and edges around each region.
    keys : (F, 2), prefix : (F, blocks) uint64
        Keys of the sign vectors, whole and of the first blocks.
    parent : (F,), change : (F, 2), moves : (k, 3)
        From which region each was entered, and which signs changed: (unit, before, behind).
    first : (n_gates,) int8
        Signs of the units on region 0.
    """

    points: FloatArray
    values: FloatArray
    edges: IntArray
    edge_cells: IntArray
    edge_line: IntArray
    further: IntArray
    ptr: IntArray
    cell_corners: IntArray
    cell_edges: IntArray
    keys: Array
    prefix: Array
    parent: IntArray
    change: IntArray
    moves: IntArray
    first: Array
    random: Array = field(repr=False, default_factory=lambda: np.zeros(0))


Shown = Callable[["Tables", "WalkStats"], Any] | None


class _Walk:
    def __init__(self, r: Restricted, monitor: Monitor, shown: Shown = None) -> None:
        self.r, self.monitor, self.shown = r, monitor, shown
        self.exact = ExactForms(r)
        c = Columns.of(r)
        n, m = len(r.units), r.n_gates
        self.net = forms.Net(c.starts, c.level, c.row_ptr, c.rows, c.row_weights, c.col_ptr, c.cols, c.col_weights)
        self.state = forms.State(
            c.base,
            np.zeros((4, n)),
            np.zeros((n, 4)),
            np.zeros(n, dtype=np.int8),
            c.slopes,
            np.zeros(n, dtype=np.uint8),
            np.zeros(n, dtype=np.int32),
            np.zeros(r.blocks + 1, dtype=np.int64),
        )
        corners = r.frame.corners
        self.places = np.zeros((len(corners), 4))
        self.places[:, :2] = [[float(v) for v in p] for p in corners]
        self.places[:, 2:] = 2 * UNIT
        self.sides = np.zeros((len(corners), 4))
        for k, line in enumerate(r.frame.sides):
            largest = max(abs(line[0]), abs(line[1]))
            self.sides[k, :3] = [float(v / largest) for v in line]
        self.sides[:, 3] = 16 * UNIT * 4
        self.domain = polygons.Domain(self.sides, self.places)
        lines = m + len(corners)
        random = np.random.default_rng(SEED).integers(0, 2**64, size=(lines, 3, 2), dtype=np.uint64)
        self.keys = kernels.Keys(
            random, np.zeros(2, dtype=np.uint64), np.zeros(r.blocks, dtype=np.uint64), c.level[:m].copy()
        )
        self.meetings = Meetings(r, c, self.exact)
        self.gamma = c.gamma
        room = lines + 64
        self.room = room
        extra = 8 * lines + 1024
        self.poly = polygons.Polygon(
            np.zeros((2, room, 4)),
            np.zeros((2, room), dtype=np.int32),
            np.zeros((2, room, 2), dtype=np.int64),
            np.zeros((2, room, 2), dtype=np.int64),
            np.zeros((extra, 2), dtype=np.int64),
            np.zeros(8, dtype=np.int64),
            np.zeros(room, dtype=np.int8),
            np.zeros(m, dtype=np.int64),
        )
        self.answers = polygons.Answers(
            np.zeros((256, 3), dtype=np.int64),
            np.zeros(256, dtype=np.int8),
            np.zeros(1, dtype=np.int64),
            np.zeros(4, dtype=np.int64),
            polygons.Border(
                np.zeros((len(corners), m), dtype=np.int8),
                np.zeros((len(corners), m), dtype=np.int8),
                np.full((len(corners), m), -1, dtype=np.int32),
                np.zeros((len(corners), m), dtype=np.int8),
                np.zeros((2, len(corners)), dtype=np.int8),
                np.zeros((2, len(corners)), dtype=np.int8),
            ),
            np.full(table_size(512), -1, dtype=np.int32),
            np.zeros((512, 3), dtype=np.int64),
            c.row_ptr,
            c.rows,
        )
        self._n_along = 0
        self.control = np.zeros(16, dtype=np.int64)
        self._tables(1024, m)
        self.stats = WalkStats(gates=m)
        self.stats.constant = int((r.gate_unit < 0).sum())
        self.stats.merged = len(r.gate_unit) - self.stats.constant - m
        self._asked = -1

    def _tables(self, cells: int, m: int) -> None:
        outputs = len(self.r.units) - m
        slots = 4 * cells + 4 * self.room

        def table(size: int) -> Array:
            return np.full(1 << int(2 * size - 1).bit_length(), -1, dtype=np.int32)

        self.corners = kernels.Corners(
            table(slots), np.zeros((slots, 2), dtype=np.uint64), np.zeros((slots, 3)), np.zeros((slots, outputs + 1))
        )
        self.edges = kernels.Edges(
            table(slots),
            np.zeros((slots, 2), dtype=np.uint64),
            np.zeros((slots, 6), dtype=np.int32),
            np.zeros(slots, dtype=np.int64),
            np.zeros(4 * slots, dtype=np.int32),
        )
        self.cells = kernels.Cells(
            np.zeros(cells + 1, dtype=np.int64),
            np.zeros(2 * slots, dtype=np.int32),
            np.zeros(2 * slots, dtype=np.int32),
            np.zeros((cells, 2), dtype=np.uint64),
            np.zeros((cells, self.r.blocks), dtype=np.uint64),
            np.zeros(cells, dtype=np.int32),
            np.zeros((cells, 2), dtype=np.int64),
            np.zeros((cells + 2 * self.room, 3), dtype=np.int32),
        )
        self.work = kernels.Work(
            np.zeros((cells, 2), dtype=np.int64),
            np.zeros(self.room, dtype=np.int32),
            np.zeros(max(m, 1), dtype=np.int8),
            np.zeros((max(m, 1), 2), dtype=np.int32),
            np.array([self.gamma, REFRESH_AFTER]),
            np.zeros(8, dtype=np.int64),
        )

    def bytes_held(self) -> int:
        """Bytes of all tables."""
        parts = (*self.corners, *self.edges, *self.cells, *self.work)
        return sum(a.nbytes for a in parts)

    # ---- the first region -------------------------------------------------------------------
    def start(self) -> None:
        """Signs at a point of the interior that lies on no wall."""
        rng = np.random.default_rng(SEED)
        corners = np.array([[float(v) for v in p] for p in self.r.frame.corners])
        for _ in range(50):
            weights = rng.dirichlet(np.ones(len(corners)))
            x, y = (float(v) for v in weights @ corners)
            if self._signs_at(x, y):
                break
        else:
            raise NumericalError("no point of the polygon was found that lies on no wall")
        self.exact.signs = np.zeros(0, dtype=np.int8)
        kernels.set_keys(self.keys, self.state.sign)
        self.first = self.state.sign[: self.r.n_gates].copy()

    def _signs_at(self, x: float, y: float) -> bool:
        begin, answer = 0, forms.NONE
        self.state.sign[:] = 0
        self.exact.kept = {}
        self.exact.signs = self.state.sign  # the same array: signs of units before the one asked about are known
        while True:
            u = int(forms.refresh(self.net, self.state, begin, self.gamma, x, y, True, answer))
            if u < 0:
                return True
            self.stats.exact_signs += 1
            answer = self.exact.at(u, Fraction(x), Fraction(y))
            if answer == 0 and not self.exact.vanishes(u):
                return False
            begin = u
            self.monitor.check_time("the first region of the slice")

    # ---- all regions ------------------------------------------------------------------------
    def run(self) -> Tables:
        """Walk to the end."""
        self.start()
        control, answer = self.control, forms.NONE
        control[kernels.QUOTA] = CELLS_A_TURN
        while True:
            why = int(
                kernels.walk(
                    self.net, self.state, self.keys, self.domain, self.poly, self.answers,
                    kernels.Faces(self.corners, self.edges, self.cells), self.work, control, answer,
                )
            )  # fmt: skip
            answer = forms.NONE
            if why == kernels.DONE:
                break
            if why == kernels.TURN:
                control[kernels.QUOTA] = CELLS_A_TURN
            elif why == kernels.GROW:
                self._grow()
            elif why == kernels.ASK_VERTEX:
                self._answer_vertex()
            elif why == kernels.ASK_SIDE:
                answer = self._answer_side()
            elif why == kernels.FULL:
                self._widen()
            else:
                raise NumericalError(
                    "the walk over the slice met a region that contradicts its neighbour; please report the network"
                )
            if why in (kernels.TURN, kernels.ASK_VERTEX, kernels.ASK_SIDE):
                cells = int(control[kernels.CELLS])
                self._keep(cells)
                self.monitor.check_time(f"the slice, after {cells:,} regions,")
                if why == kernels.TURN:
                    self.monitor.report("regions of the slice", cells)
        return self._finished()

    def _keep(self, cells: int) -> None:
        """Regions so far, for the error if the budget runs out."""
        shown = self.shown
        found = None if shown is None or not cells else lambda: shown(self._finished(copy=False), self.stats)
        self.monitor.did(STEP, cells, found=found)

    def _count(self) -> None:
        self.stats.exact_signs += 1
        cells = int(self.control[kernels.CELLS])
        if cells != self._asked:
            self._asked = cells
            self.stats.exact_regions += 1

    def _answer_vertex(self) -> None:
        i, j, g = (int(v) for v in self.answers.query[:3])
        if i < 0 and j < 0 and not self.answers.border.known[0, -1 - j]:
            self._look_at(-1 - j)
            return
        sign, how = self.meetings.sign(self.state.sign, i, j, g)
        if how == EXACT:
            self._count()
        else:
            self.stats.doubled_signs += 1
        if sign == 0 and how == EXACT:
            for side in {-1 - k for k in (i, j) if k < 0}:
                if not self.answers.border.known[1, side]:
                    self._look_along(side)
            for line in (i, j):
                self._keep_along(g, line)
        n = int(self.answers.count[0])
        if n >= len(self.answers.signs):
            keys, signs = (np.concatenate([a, np.zeros_like(a)]) for a in self.answers[:2])
            self.answers = polygons.Answers(keys, signs, *self.answers[2:])
        self.answers.keys[n] = i, j, g
        self.answers.signs[n] = sign
        self.answers.count[0] = n + 1

    def _keep_along(self, g: int, line: int) -> None:
        """Keep that a gate vanishes along a line whose form is the same everywhere, for regions where what it reads is
        as here.
        """
        if line >= 0 and len(self.r.units[line].reads):
            return
        if any(len(self.r.units[j].reads) for j in self.r.units[g].reads.tolist()):
            return  # the signs of what it reads do not fix its form: what that reads counts too
        code = int(polygons.reading(self.answers.row_ptr, self.answers.rows, self.state.sign, g))
        a, b, c = self.exact.form(g)
        p, q, s = self.exact.form(line)
        if code < 0 or a * q != b * p or a * s != c * p or b * s != c * q:
            return
        n, along = self._n_along, self.answers.along
        if n + 1 == len(along):  # the last row is what the kernel looks for
            along = np.concatenate([along, np.zeros_like(along)])
            table = np.full(table_size(len(along)), -1, dtype=np.int32)
            insert_all(table, along, 0, n)
            self.answers = self.answers._replace(table=table, along=along)
        along[n] = g, line, code
        self._n_along += 1 - int(insert_all(self.answers.table, along, n, n + 1)[0])

    def _look_at(self, corner: int) -> None:
        """Signs of all gates at a corner of the domain."""
        border = self.answers.border
        border.sign[corner] = self.meetings.signs_at(self.r.frame.corners[corner], self.monitor)
        border.known[0, corner] = 1

    def _look_along(self, side: int) -> None:
        """Which gates vanish along a whole side, which are equal there, and which constant."""
        corners, border = self.r.frame.corners, self.answers.border
        ends = corners[side], corners[(side + 1) % len(corners)]
        border.zero[side], border.like[side], border.fixed[side] = along_segment(self.r, *ends, self.monitor)
        border.known[1, side] = 1

    def _answer_side(self) -> int:
        at = self.work.at
        unit = int(at[forms.ASKED])
        # signs of earlier blocks are those behind the wall already; nothing else is asked about
        self.exact.kept = {}
        self.exact.signs = self.state.sign.copy()
        self._count()
        return self.exact.beyond(unit, int(at[forms.WALL]), int(at[forms.WALL_SIGN]))

    def _widen(self) -> None:
        room = 2 * self.poly.extra.shape[0]
        self._keep(int(self.control[kernels.CELLS]))
        self.monitor.check_memory(16 * room, "zeros at one region")
        if room > 1 << 24:
            raise NumericalError("more than 8 million gates vanish around one region")
        self.poly = self.poly._replace(extra=np.zeros((room, 2), dtype=np.int64))

    def _grow(self) -> None:
        """Twice the room for every table that is more than half full."""
        c = self.control
        counts = {"cells": c[kernels.CELLS], "corners": c[kernels.CORNERS], "edges": c[kernels.EDGES]}
        self._keep(int(c[kernels.CELLS]))
        self.monitor.check_memory(2 * self.bytes_held(), f"the slice, after {int(counts['cells']):,} regions,")
        if 2 * max(int(v) for v in (*counts.values(), c[kernels.POOL], c[kernels.PLACES])) > MOST_IDS:
            raise BudgetExceededError(
                f"a slice of {int(counts['cells']):,} regions and more, and its tables hold at most {MOST_IDS // 2:,} corners or edges",
                partial=None,
            )

        def wider(array: Array, used: int, extra: int = 0) -> Array:
            if 2 * (used + extra) < len(array):
                return array
            room = np.zeros((2 * len(array) + extra, *array.shape[1:]), dtype=array.dtype)
            room[: len(array)] = array
            return room

        def indexed(table: Array, keys: Array, used: int) -> tuple[Array, Array]:
            wide = wider(keys, used, self.room)
            if len(wide) * 2 > len(table):
                table = np.full(table_size(len(wide)), -1, dtype=np.int32)
                insert_all(table, wide, 0, used)
            return table, wide

        v, e, f = int(counts["corners"]), int(counts["edges"]), int(counts["cells"])
        table, keys = indexed(self.corners.table, self.corners.keys, v)
        self.corners = kernels.Corners(
            table, keys, *(wider(a, v, self.room) for a in (self.corners.point, self.corners.values))
        )
        table, keys = indexed(self.edges.table, self.edges.keys, e)
        faces, begin = (wider(a, e, self.room) for a in (self.edges.faces, self.edges.begin))
        room = self.poly.extra.shape[0] + 1
        pool = wider(self.edges.pool, int(c[kernels.POOL]), room)
        self.edges = kernels.Edges(table, keys, faces, begin, pool)
        places, moves = int(c[kernels.PLACES]), int(c[kernels.MOVES])
        keys, prefix, parent, change = (wider(a, f, 4) for a in self.cells[3:7])
        self.cells = kernels.Cells(
            wider(self.cells.ptr, f, 4),
            wider(self.cells.corners, places, self.room),
            wider(self.cells.edges, places, self.room),
            keys,
            prefix,
            parent,
            change,
            wider(self.cells.moves, moves, self.room),
        )
        self.work = self.work._replace(stack=wider(self.work.stack, f, 4))

    def _finished(self, *, copy: bool = True) -> Tables:
        """The regions that were built; without ``copy`` in the memory of the walk, which is at its end."""
        c = self.control
        cut = np.copy if copy else np.asarray
        v, e, f = (int(c[k]) for k in (kernels.CORNERS, kernels.EDGES, kernels.CELLS))
        places = int(c[kernels.PLACES])
        self.stats.regions = f
        self.stats.crossings = int(c[kernels.CROSSINGS])
        faces = self.edges.faces[:e]
        many = np.flatnonzero(faces[:, 5] > 0)
        further = [
            (k, int(self.edges.pool[self.edges.begin[k] + i])) for k in many.tolist() for i in range(int(faces[k, 5]))
        ]
        return Tables(
            cut(self.corners.point[:v]),
            cut(self.corners.values[:v]),
            cut(faces[:, :2]),
            cut(faces[:, 2:4]),
            cut(faces[:, 4]),
            np.array(further, dtype=np.int64).reshape(-1, 2),
            cut(self.cells.ptr[: f + 1]),
            cut(self.cells.corners[:places]),
            cut(self.cells.edges[:places]),
            cut(self.cells.keys[:f]),
            cut(self.cells.prefix[:f]),
            cut(self.cells.parent[:f]),
            cut(self.cells.change[:f]),
            cut(self.cells.moves[: int(c[kernels.MOVES])]),
            self.first,
            self.keys.random,
        )


def walk_regions(restricted: Restricted, monitor: Monitor, shown: Shown = None) -> tuple[Tables, WalkStats]:
    """All regions of a restricted network on its polygon; ``shown`` makes of tables and counts what an error holds."""
    walk = _Walk(restricted, monitor, shown)
    with monitor.keeping():
        tables = walk.run()
    walk.stats.seconds = monitor.elapsed
    return tables, walk.stats


__all__: list[Any] = ["STEP", "Tables", "WalkStats", "walk_regions"]
