"""Build the skeleton of the canonical complex: cut by one neuron at a time, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import words
from ..._once import cached_property
from ..._typing import IdArray, IntArray, WordArray
from ...budget import Monitor, heed, no_memory
from ...domain import Box
from ...errors import BudgetExceededError, GenericityError, InputError, NumericalError
from ...kernels.complexes import forms
from ...kernels.complexes import skeleton as sk
from ...kernels.jit import interpreted
from ...numerics.floats import nearest
from ...numerics.rounding import UNIT
from .arrays import Frame, expected_vertices
from .entering import Entry, LayerValues
from .exact_signs import ExactPredicate
from .layout import (
    clear_bit,
    flat_star,
    grown,
    more_bases,
    moved_state,
    new_state,
    packed,
    row_units,
    set_bit,
    sign_row,
)
from .orientation import every_edge, lift_of, resolve

CHUNK = 64
LARGE = 1 << 16
"""Facets whose buckets are counted before they are made."""
SOLVED = 1 << 14  # vertices between two looks at the clock
LISTED = 1 << 15
"""Entries that lists begin with: room that is not used costs nothing, a kernel that stops to ask for more does."""
DEFAULT_ETOL = 1e-3
KEPT = ("star", "words", "x", "err", "slot", "line_err", "at_inf", "up")
KEPT_OF_RAYS = ("base", "base_err")
"""Columns of a finished skeleton: of its vertices, and of those at infinity."""
EXACT = -3
"""Mark in ``slot`` of vertices whose coordinates are exact ones, rounded; negative, so it is no slot."""

MOST_HALF_EDGES = 2**31 - 1
"""Ids are int32: the vertex, its slot and the side in one number."""


@dataclass
class BuildStats:
    """How the decisions of a build were made.

    Attributes
    ----------
    filtered, structural, exact : int
        Signs decided by the floating filter, by ranks, in rational arithmetic.
        Signs shared by both ends of an edge are inherited and not counted.
    solves : int
        Vertices whose n x n system was solved directly for a tighter error bound.
    exact_seconds : float
        Time spent in the exact predicate.
    seconds : float
        Wall-clock time of the build.
    """

    filtered: int = 0
    structural: int = 0
    exact: int = 0
    solves: int = 0
    exact_seconds: float = 0.0
    seconds: float = 0.0
    orientation_exact: int = 0


@dataclass(frozen=True)
class Unfinished:
    """What a build had done when its budget ran out.

    Attributes
    ----------
    layers : int
        Hidden layers that were cut completely.
    vertices, at_infinity : int
        Of the complex of the walls so far; ``at_infinity`` counts ends of rays.
    neurons : tuple of int
        Hidden neurons whose signs are known at every vertex: those of the layers so far, and of the one begun.
    stats : BuildStats
        How the decisions so far were made.
    seconds : float
    """

    layers: int
    vertices: int
    at_infinity: int
    neurons: tuple[int, ...]
    stats: BuildStats
    seconds: float

    @classmethod
    def of(cls, skeleton: Skeleton) -> Unfinished:
        """What a skeleton had come to."""
        frame = skeleton.frame
        neurons = (k - frame.n_domain for k in skeleton.entered if frame.n_domain <= k < frame.net.inf)
        far = int((skeleton.state.at_inf[: skeleton.nv] >= 0).sum())
        elapsed = skeleton.monitor.elapsed
        return cls(max(0, skeleton.layers - 1), skeleton.nv - far, far, tuple(sorted(neurons)), skeleton.stats, elapsed)


class Skeleton:
    """Vertices (with those at infinity) and half-edges of a canonical complex, growing.

    Use `build_skeleton`; the arrays are documented in `polyfiber.kernels.complexes.skeleton`.
    """

    advances = True
    """Whether facets are cut by the kernel `advance`."""

    def __init__(
        self,
        frame: Frame,
        monitor: Monitor,
        *,
        path: Sequence[tuple[int, int]] = (),
        room: int | None = None,
        etol: float = DEFAULT_ETOL,
    ) -> None:
        self.frame = frame
        self.room = room
        self.monitor = monitor
        self.etol = etol
        self.predicate = ExactPredicate(frame)
        self.stats = BuildStats()
        self.nv = 0
        self.n_inf = 0
        self.layers = 0
        n = frame.n
        # which side of a facet lies outside: 0 none, 1 the negative, 2 the positive, 3 both
        self.closed = np.zeros(frame.net.inf + 1, dtype=np.uint64)
        self.closed[: frame.n_domain] = 1
        self.closed[frame.vanishing] = 3
        self.closed[frame.net.inf] = 1
        for neuron, sign in path:
            self.closed[frame.n_domain + neuron] = 1 if sign > 0 else 2
        self.fixed = np.zeros(frame.net.inf + 1, dtype=np.int8)
        self.fixed[: frame.n_domain] = frame.constant
        self.fixed[frame.n_domain : frame.net.inf] = frame.settled.signs
        self.dead = np.zeros(0, dtype=np.bool_)
        self.state = new_state(frame, 64, 64)
        ids = frame.net.inf
        if ids > LARGE:
            monitor.check_memory(2 * ids * CHUNK * 4, f"buckets for {ids:,} facets")
        link = np.arange(1, 4 * ids + 513, dtype=np.int32)
        link[-1] = -1
        self.buckets = sk.Buckets(
            np.zeros((len(link), CHUNK), dtype=np.int32),
            link,
            np.full(ids + 1, -1, dtype=np.int32),
            np.zeros(ids + 1, dtype=np.int32),
            np.array([0, len(link)], dtype=np.int64),
        )
        self._edges = np.empty(LISTED, dtype=np.int32)
        self.pending = np.zeros((1, frame.n_words), dtype=np.uint64)
        self.entered = set(frame.start)
        width = frame.scratch + 1
        pad = max(8, frame.net.stride)
        self.values: LayerValues | None = None
        self._work = forms.Work(
            np.zeros((n, n)), np.zeros((n, n + 1)), np.zeros((n, n)),
            np.zeros(pad), np.zeros(pad), np.zeros(width), np.zeros(width), np.zeros(pad),
        )  # fmt: skip
        self._walks = sk.walk_scratch(n)
        self.lift = lift_of(frame) if n else None
        self._level: IdArray = np.empty(LISTED, dtype=np.int32)
        self._n_level = 0
        self._unsure: Any = (np.empty(LISTED, dtype=np.int64), np.empty(LISTED, dtype=np.int64))
        self._rays: Any = tuple(np.empty(LISTED, dtype=np.int32) for _ in range(3))

    # ---- copies -----------------------------------------------------------------------------
    def __getstate__(self) -> dict[str, Any]:
        """What a finished skeleton is: its columns, without room to grow, clock and scratch."""
        sizes = dict.fromkeys(KEPT, self.nv) | dict.fromkeys(KEPT_OF_RAYS, self.n_inf)
        names = ("frame", "room", "etol", "stats", "nv", "n_inf", "closed")
        return {name: getattr(self, name) for name in names} | {
            "columns": {name: np.array(getattr(self.state, name)[:size]) for name, size in sizes.items()},
            "level": self._level[: self._n_level].copy(),
        }

    def __setstate__(self, kept: dict[str, Any]) -> None:
        Skeleton.__init__(self, kept["frame"], Monitor(), room=kept["room"], etol=kept["etol"])
        self.fill(kept["columns"])
        self.closed, self.stats = kept["closed"].copy(), kept["stats"]
        self._level, self._n_level = kept["level"].astype(np.int32), len(kept["level"])
        self.finish()

    def fill(self, columns: Mapping[str, Any]) -> None:
        """Take vertices from columns; those that are missing hold anything."""
        nv, n_inf = len(columns["star"]), len(columns["base"])
        self.state = new_state(self.frame, nv, n_inf)
        for name, values in columns.items():
            getattr(self.state, name)[: len(values)] = values
        self.nv, self.n_inf = nv, n_inf

    # ---- memory -----------------------------------------------------------------------------
    @property
    def bytes_per_vertex(self) -> int:
        """Bytes that one vertex takes."""
        return 8 * row_units(self.frame)[-1]

    def reserve(self, nv: int, n_inf: int) -> None:
        """Grow the arrays to hold so many vertices, of which so many at infinity."""
        st = self.state
        cap, cap_inf = st.star.shape[0], st.base.shape[0]
        if nv > cap:
            if nv << self.frame.net.shift > MOST_HALF_EDGES:
                raise BudgetExceededError(
                    f"{nv} vertices of dimension {self.frame.n} need more than {MOST_HALF_EDGES} half-edge ids; "
                    "restrict the domain to a box",
                    partial=None,
                )
            self.check_room(nv)
            # untouched capacity costs nothing; moving the records does
            guess = min(2 * expected_vertices(self.frame), (1 << 30) // self.bytes_per_vertex)
            self.monitor.check_memory(nv * self.bytes_per_vertex, f"the skeleton ({nv} vertices so far)")
            limit = self.monitor.memory_limit
            if limit is not None:
                guess = min(guess, limit // (2 * self.bytes_per_vertex))
            cap = self.room or max(nv, guess if cap < guess else min(2 * cap, cap + (1 << 22)))
            cap = min(cap, MOST_HALF_EDGES >> self.frame.net.shift)  # so that what is within it is checked
            self.state = moved_state(self.frame, st, self.nv, cap)
        if n_inf > cap_inf or (nv > len(st.star) and cap_inf < cap // 8):
            self.state = more_bases(self.frame, self.state, max(n_inf, 2 * cap_inf, cap // 2))

    def check_room(self, nv: int) -> None:
        """Raise `BudgetExceededError` (with the attribute ``vertices``) if so many do not fit."""
        if self.room is not None and nv > self.room:
            raise BudgetExceededError(
                f"a block has more than {self.room} vertices, which is all that its memory holds; split it",
                partial=None,
                vertices=nv,
            )

    def reserve_pushes(self, pushes: int) -> None:
        """Make sure that so many edges can be put into buckets."""
        chunks, link, head, fill, free = self.buckets
        short = int(interpreted(sk.chunks_short)(pushes, self.buckets))
        if short <= 0:
            return
        old = len(link)
        new = max(2 * old, old + short)
        link = grown(link, new, -1)
        link[old : new - 1] = np.arange(old + 1, new)
        link[new - 1] = free[0]
        free[0] = old
        free[1] += new - old
        self.buckets = sk.Buckets(grown(chunks, new, 0), link, head, fill, free)

    # ---- start ------------------------------------------------------------------------------
    @property
    def is_block(self) -> bool:
        """Whether a side of a neuron's wall is thrown away: then this is a block of a complex, not a whole one."""
        return bool(self.closed[self.frame.n_domain : self.frame.net.inf].any())

    def is_outside(self, facet: int, side: int) -> bool:
        """Whether a side (0 negative, 1 positive) of a facet is thrown away."""
        return bool((int(self.closed[facet]) >> side) & 1)

    def start(self) -> None:
        """The cone of n independent facets: one vertex and its rays."""
        frame, n, net = self.frame, self.frame.n, self.frame.net
        assert not frame.bends, "where starting walls bend, others are added: lattice/everywhere.py"
        shift = net.shift
        zeros = np.array(frame.start, dtype=np.int32)
        sides = [(s, side) for s in range(n) for side in (0, 1) if not self.is_outside(int(zeros[s]), side)]
        index = {pair: 1 + i for i, pair in enumerate(sides)}
        self.reserve(1 + len(sides), len(sides))
        st = self.state
        self.nv, self.n_inf = 1 + len(sides), len(sides)
        st.words[: self.nv] = 0
        st.up[: self.nv] = 0
        st.star[: self.nv] = -1
        st.slot[: self.nv] = n  # not solved yet
        st.at_inf[0] = -1
        st.star[0, 2 * n :] = zeros
        matrix = frame.given(zeros)[:, :n]
        with np.errstate(all="ignore"):
            try:
                inverse = np.linalg.inv(matrix)
            except np.linalg.LinAlgError:
                inverse = np.eye(n)
            if not np.isfinite(inverse).all():
                inverse = np.eye(n)
            st.x[0] = -inverse @ frame.given(zeros)[:, n]
        self.refine([0])
        for (s, side), v in index.items():
            if self.monitor.late:
                self.monitor.check_time(f"the skeleton (ray {v} of {len(index)} of its first cone)")
            st.star[v, 2 * n :] = zeros
            st.star[v, 3 * n - n + s] = net.inf
            direction = inverse[:, s] * (1.0 if side else -1.0)
            st.x[v] = direction / max(np.abs(direction).max(), 1e-300)
            st.at_inf[v] = v - 1
            st.base[v - 1] = st.x[0]
            if side:
                set_bit(st.words, v, int(zeros[s]))
            st.star[0, 2 * s + side] = v << shift | (2 * s + 1)
            st.star[v, 2 * s + 1] = 0 << shift | (2 * s + side)
            set_bit(st.up, 0, 2 * s + side)
        self.refine(list(index.values()))  # at once: a call of the kernel costs a tenth of a millisecond
        self._lift_first()
        for k in zeros:  # the other vertices of the cone see these facets as decided
            clear_bit(self.pending, 0, int(k))

    def _lift_first(self) -> None:
        """Bounds of the heights of all vertices, in single precision, rounded outwards."""
        st, nv = self.state, self.nv
        wide = np.empty((nv, 2))
        forms.heights(np.arange(nv), self.frame.n, self.lift, st.at_inf, st.x, st.err, wide)
        with np.errstate(over="ignore"):
            single = wide.astype(np.float32)
        far = (st.at_inf[:nv] >= 0)[:, None]
        st.height[:nv] = np.where(far, single, np.nextafter(single, np.array([-np.inf, np.inf], dtype=np.float32)))

    def _on_listed(self, task: int, vertices: Any, facets: Any) -> tuple[Any, Any]:
        """Solve vertices, or find signs of pairs (`kernels.complexes.forms.on_listed`); returns signs and counts."""
        vs, ks = (np.ascontiguousarray(ids, dtype=np.int64) for ids in (vertices, facets))
        out, counts = np.zeros(len(ks), dtype=np.int8), np.zeros(3, dtype=np.int64)
        if self.advances and self.frame.n:
            cursor = np.zeros(sk.CURSOR, dtype=np.int64)
            cursor[sk.STAGE] = sk.LISTED + task
            self._advance(np.zeros(0, dtype=np.int64), cursor, sk.Unsure(vs, ks, out, counts))
        else:
            forms.on_listed(task, vs, ks, self.frame.net, self.state, out, counts, self._work)
        return out, counts

    def _advance(self, ids: IntArray, cursor: IntArray, unsure: Any) -> Any:
        cut = sk.Cut(
            self.closed, *flat_star(self.state), self.frame.net, self.state, self.lift, self.pending, self.etol
        )
        lists = sk.Lists(self._edges, self._level, *self._rays)
        return sk.advance(ids, cursor, self.dead, cut, self.buckets, self._walks, lists, unsure, self._work)

    def refine(self, vertices: Any) -> None:
        """Solve vertices directly, for the tightest error bounds that floats give."""
        for start in range(0, len(vertices), SOLVED):
            heed("solving vertices")
            self._on_listed(forms.SOLVE, vertices[start : start + SOLVED], ())

    def sharpen(self, vertices: Any, *, rtol: float = 1e-6) -> None:
        """Coordinates of the listed vertices with a relative error of at most rtol; exact ones where floats cannot."""

        def poor() -> Any:
            err = self.state.err[vertices]
            with np.errstate(invalid="ignore"):
                good = (err <= rtol * np.abs(self.state.x[vertices]).max(axis=1, initial=0.0)) & (err < np.inf)
            return vertices[~good]

        doubtful = poor()
        if len(doubtful):
            self.refine(doubtful)
            for v in poor().tolist():
                heed("exact arithmetic")
                if self.state.slot[v] != EXACT:
                    self._store_exact(v, *self._exact_point(v))

    def _exact_point(self, v: int) -> Any:
        st = self.state
        zeros = st.star[v, 2 * self.frame.n :]
        return self.predicate.point(zeros, st.words[v], ray=bool(st.at_inf[v] >= 0))

    # ---- one layer --------------------------------------------------------------------------
    def add_layer(self, layer: int) -> None:
        """Cut by every facet of a layer (0: the domain)."""
        net = self.frame.net
        low, high = int(net.layers.first[layer]), int(net.layers.first[layer + 1])
        self._settle(low, high)
        ids = [k for k in range(low, high) if k not in self.frame.start and not self.fixed[k] and self.closed[k] != 3]
        # what throws a side away first: less is left for the others to cut
        self._cut_by(layer, [k for k in ids if self.closed[k]])
        self.compact()
        self._cut_by(layer, [k for k in ids if not self.closed[k]])

    def _settle(self, low: int, high: int) -> None:
        """Give every vertex the signs of facets that are settled; new vertices inherit them."""
        fixed = low + np.flatnonzero(self.fixed[low:high])
        for k in fixed.tolist():
            if self.fixed[k] > 0:
                self.state.words[: self.nv, k >> 6] |= np.uint64(1) << np.uint64(k & 63)
        self.entered.update(fixed.tolist())

    def _cut_by(self, layer: int, ids: list[int]) -> None:
        """Cut by facets of a layer, in order."""
        if not ids:
            return
        net = self.frame.net
        self.pending[:] = 0
        for k in ids:
            set_bit(self.pending, 0, k)
        self.enter(layer)
        self.entered.update(ids)
        sizes = np.zeros(net.inf + 1, dtype=np.int64)
        sk.push_all(self.nv, net, self.state, self.pending, sizes, self.buckets, True)
        self.reserve_pushes(int(sizes.sum()))
        sk.push_all(self.nv, net, self.state, self.pending, sizes, self.buckets, False)
        self._cut(np.array(ids, dtype=np.int64))

    def _cut(self, ids: IntArray) -> None:
        """Cut by facets whose signs are known at every vertex and whose edges lie in their buckets."""
        frame, counts, no_signs = self.frame, np.zeros(3, dtype=np.int64), np.zeros(0, dtype=np.int8)
        cursor = np.zeros(sk.CURSOR, dtype=np.int64)
        cursor[sk.NV], cursor[sk.N_INF], cursor[sk.LEVEL] = self.nv, self.n_inf, self._n_level
        state = -1
        while state != sk.DONE:
            vs, ks = self._unsure
            state = self._advance(ids, cursor, sk.Unsure(vs, ks, no_signs, counts))
            self.nv, self.n_inf = int(cursor[sk.NV]), int(cursor[sk.N_INF])
            at = int(cursor[sk.AT])
            if cursor[sk.BROKEN]:
                raise NumericalError(
                    f"{cursor[sk.BROKEN]} polygons did not close while cutting by {frame.name(int(ids[at]))}: "
                    "the skeleton is inconsistent; please report this network"
                )
            if state == sk.ROOM:
                self._make_room(cursor)
            elif state == sk.MORE_UNSURE:
                self._unsure = tuple(np.empty(2 * int(cursor[sk.UNSURE]), dtype=np.int64) for _ in range(2))
            elif state == sk.DECIDE:
                m = int(cursor[sk.UNSURE])
                self._decide(vs[:m], ks[:m])
            elif state == sk.DROP:
                self._drop_outside(int(ids[at - 1]))
            done = int(ids[at]) if at < len(ids) else int(ids[-1]) + 1
            self.monitor.report("cutting", max(0, done - frame.n_domain), frame.n_neurons, vertices=self.nv)
            if self.monitor.late:  # the text costs more than the test
                self.monitor.check_time(
                    f"the skeleton ({self.nv} vertices, cutting by {frame.name(min(done, int(ids[-1])))})"
                )
        self._n_level = int(cursor[sk.LEVEL])
        self._count(counts)

    def _make_room(self, cursor: IntArray) -> None:
        """What `advance` asks for."""
        self.reserve(max(self.nv, int(cursor[sk.NEED_V])), max(self.n_inf, int(cursor[sk.NEED_INF])))
        self.reserve_pushes(int(cursor[sk.NEED_PUSHES]))
        if cursor[sk.NEED_EDGES] > len(self._edges):
            self._edges = np.empty(2 * int(cursor[sk.NEED_EDGES]), dtype=np.int32)
        if cursor[sk.NEED_RAYS] > len(self._rays[0]):
            self._rays = tuple(grown(part, 2 * int(cursor[sk.NEED_RAYS])) for part in self._rays)
        if cursor[sk.NEED_LEVEL] > len(self._level):
            self._level = grown(self._level, 2 * int(cursor[sk.NEED_LEVEL]))

    def enter(self, layer: int) -> None:
        """Signs of every pending neuron of a layer at every vertex (`entering`)."""
        Entry(self, layer).run()

    def second_filter(self, vs: Any, ks: Any) -> None:
        """Pairs that the first filter left: the form on the cell, a direct solve, exact arithmetic."""
        signs, counts = self._on_listed(forms.DECIDE, vs, ks)
        self._count(counts)
        if not signs.all():
            self._decide(vs[signs == 0], ks[signs == 0])

    def _count(self, counts: Any) -> None:
        self.stats.filtered += int(counts[0])
        self.stats.structural += int(counts[1])
        self.stats.solves += int(counts[2])

    # ---- exact decisions --------------------------------------------------------------------
    def _decide(self, vertices: Any, facets: Any) -> None:
        """Decide unsure signs exactly; refine the vertices on the way."""
        st, n = self.state, self.frame.n
        order = np.argsort(vertices, kind="stable")
        last, point, direction = -1, None, None
        for v, k in zip(vertices[order].tolist(), facets[order].tolist()):
            if v != last:
                last = v
                ray = st.at_inf[v] >= 0
                zeros = st.star[v, 2 * n :]
                try:
                    point, direction = self.predicate.point(zeros, st.words[v], ray=ray)
                except ArithmeticError:
                    names = ", ".join(self.frame.name(int(z)) for z in zeros)
                    raise GenericityError(
                        f"the network is not generic: the forms of {names} are linearly dependent where they meet; "
                        "move one bias a little",
                        facets=[int(z) for z in zeros],
                    ) from None
                self._store_exact(v, point, direction)
            assert point is not None
            sign = self.predicate.sign(k, st.words[v], point, direction)
            if sign == 0:
                self._refuse(v, k, point)
            (set_bit if sign > 0 else clear_bit)(st.words, v, k)
        self.stats.exact = self.predicate.calls
        self.stats.exact_seconds = self.predicate.seconds

    def _store_exact(self, v: int, point: Any, direction: Any) -> None:
        """Round exact coordinates; the error is then one rounding (times ``inflate``)."""
        st, inflate = self.state, self.frame.net.margins.inflate
        st.slot[v] = EXACT
        if direction is not None:
            largest = max(abs(c) for c in direction)
            direction = [c / largest for c in direction]
            st.x[v], st.err[v] = _rounded(direction, inflate)
            b = int(st.at_inf[v])
            st.base[b], st.base_err[b] = _rounded(point, inflate)
        else:
            st.x[v], st.err[v] = _rounded(point, inflate)

    def _refuse(self, v: int, k: int, point: Any) -> None:
        st, n, frame = self.state, self.frame.n, self.frame
        zeros = [int(z) for z in st.star[v, 2 * n :] if z != frame.net.inf]
        names = ", ".join(frame.name(z) for z in zeros)
        where = "along a ray on" if len(zeros) < n else "at the vertex of"
        full = np.zeros(frame.network.architecture[0])
        full[frame.columns] = nearest(np.array(point, dtype=object))
        cell = sign_row(frame, st.words[v], [*zeros, k])
        raise GenericityError(
            f"the network is not generic: {frame.name(k)} vanishes {where} {names}, near x = "
            f"{np.array2string(full, precision=6, threshold=8)}; a generic network has exactly "
            f"{n - len(zeros) + len(zeros)} walls through a vertex. Changing one of these biases by a little repairs it",
            facets=[*zeros, k],
            names=[frame.name(z) for z in (*zeros, k)],
            cell=cell,
            point=full,
        )

    # ---- domain -----------------------------------------------------------------------------
    def _drop_outside(self, k: int) -> None:
        """Throw away what lies outside a facet that has one side only."""
        st, n = self.state, self.frame.n
        out = 0 if self.closed[k] == 1 else 1
        dead = grown(self.dead, st.star.shape[0], False)
        bit = (st.words[: self.nv, k >> 6] >> np.uint64(k & 63)) & np.uint64(1)
        zero = (st.star[: self.nv, 2 * n :] == k).any(axis=1)
        dead[: self.nv] |= (bit == out) & ~zero
        self.dead = dead
        rows = np.flatnonzero(zero & ~dead[: self.nv])
        slots = np.argmax(st.star[rows, 2 * n :] == k, axis=1)
        st.star[rows, 2 * slots + out] = -1
        edges = 2 * slots + out
        st.up[rows, edges >> 6] &= ~(np.uint64(1) << (edges & 63).astype(np.uint64))
        if dead[: self.nv].all():
            raise InputError("the domain is empty: its inequalities exclude each other", empty=True)

    def compact(self) -> None:
        """Remove dead vertices and renumber; the buckets must be empty."""
        if not self.dead[: self.nv].any():
            self.dead = np.zeros(0, dtype=np.bool_)
            return
        st, n, shift = self.state, self.frame.n, self.frame.net.shift
        keep = np.flatnonzero(~self.dead[: self.nv])
        new = np.full(self.nv, -1, dtype=np.int64)
        new[keep] = np.arange(len(keep))
        star = st.star[keep].copy()
        twins = star[:, : 2 * n]
        mask = (1 << shift) - 1
        present = twins >= 0
        level = self._level[: self._n_level]
        level = level[(new[level >> shift] >= 0) & (st.star[level >> shift, level & mask] >= 0)]
        self._n_level = len(level)
        self._level[: len(level)] = new[level >> shift] << shift | level & mask
        target = new[np.where(present, twins, 0) >> shift]
        if (target[present] < 0).any():
            raise NumericalError("a kept edge ends at a dropped vertex: the skeleton is inconsistent")
        star[:, : 2 * n] = np.where(present, (target << shift) | (twins & mask), -1)
        at_inf = st.at_inf[keep].copy()
        rays = at_inf >= 0
        base, base_err = st.base[at_inf[rays]].copy(), st.base_err[at_inf[rays]].copy()
        at_inf[rays] = np.arange(int(rays.sum()))
        self.state = new_state(self.frame, len(keep), int(rays.sum()))
        self.state.star[: len(keep)] = star
        self.state.at_inf[: len(keep)] = at_inf
        for name in ("words", "x", "err", "slot", "line_err", "up", "height"):
            getattr(self.state, name)[: len(keep)] = getattr(st, name)[keep]
        self.state.base[: len(base)] = base
        self.state.base_err[: len(base)] = base_err
        self.nv, self.n_inf = len(keep), int(rays.sum())
        self.dead = np.zeros(0, dtype=np.bool_)

    def grow(self) -> None:
        """Do everything, from the start to the last layer.

        Raises
        ------
        InputError
            Nothing is left inside (its attribute ``empty`` is true).
        GenericityError
            Names the vertex and the neurons that meet there.
        BudgetExceededError
            Time or memory used up.
        """
        if self.frame.n == 0:
            return
        try:
            self.start()
            for layer in range(len(self.frame.network.hidden_widths) + 1):
                self.layers = layer
                self.add_layer(layer)
        except BudgetExceededError as error:
            if error.partial is None:
                error.partial = Unfinished.of(self)
            raise
        except MemoryError as error:
            raise no_memory(error, Unfinished.of(self)) from None
        self.stats.seconds = self.monitor.elapsed
        self.finish()

    @cached_property
    def signed(self) -> WordArray:
        """(W,) bits of the facets that have a sign: all but those that are zero on the whole domain."""
        bits = np.zeros((1, 64 * self.frame.n_words), dtype=np.bool_)
        bits[:, : self.frame.net.inf] = self.closed[: self.frame.net.inf] != 3
        return packed(bits, self.frame.n_words)[0]

    def planes_seen(self, *, step: int = 1) -> WordArray:
        """Bit planes (m, 2 W) of every ``step``-th vertex so far; only the facets in ``entered`` mean something."""
        st, n, W = self.state, self.frame.n, self.frame.n_words
        alive = np.ones(self.nv, dtype=np.bool_)
        alive[: len(self.dead)] = ~self.dead[: self.nv]
        rows = np.flatnonzero(alive)[::step]
        words, ids = st.words[rows], st.star[rows, 2 * n :].astype(np.int64)
        planes = np.concatenate([words, ~words & self.signed], axis=1)
        for s in range(n):
            rows = np.flatnonzero(ids[:, s] < 64 * W)
            bits = ~(np.uint64(1) << (ids[rows, s] & 63).astype(np.uint64))
            for offset in (0, W):
                planes[rows, offset + (ids[rows, s] >> 6)] &= bits
        result: WordArray = planes
        return result

    def orientation(self) -> WordArray:
        """Mask of upward edges of every vertex, bit 2 slot + side; edges to infinity go up, nothing goes up from
        there.
        """
        up = resolve(self, self._level[: self._n_level].astype(np.int64))
        self._n_level = 0  # not before: where a budget stops this, all edges are listed still
        return up

    def orient_anew(self) -> None:
        """Forget all orientations, as when the arrays were read from a file."""
        self._level = every_edge(self).astype(np.int32)
        self._n_level = len(self._level)

    def finish(self) -> None:
        """Forget the buckets, and what was kept for the next layer."""
        self.values = None
        self.buckets = sk.Buckets(*(part[:0].copy() for part in self.buckets))
        self._edges = self._edges[:0].copy()
        self._rays = tuple(part[:0].copy() for part in self._rays)


def _rounded(values: Any, inflate: float) -> tuple[Any, float]:
    """Floats nearest to exact coordinates, and a bound of the error; both infinite beyond the range of floats."""
    floats = nearest(np.array(values, dtype=object))
    return floats, (float(np.abs(floats).max(initial=0.0)) * (2 * UNIT) + 1e-300) * inflate


HOPELESS = 50


def refuse_the_hopeless(frame: Frame, monitor: Monitor, bytes_per_vertex: int) -> None:
    """Refuse at once what is expected to need 50 times the memory there is on all of Rⁿ; on a box, what its own corners
    exceed.
    """
    limit = monitor.memory_limit
    if limit is None:
        return
    if frame.domain is None:
        vertices, most = expected_vertices(frame), HOPELESS * limit
        what, advice = (
            "the complex is expected to have about",
            "restrict the domain to a box, or ask about single regions or slices",
        )
    elif isinstance(frame.domain, Box):
        vertices, most = 2**frame.n, limit
        what, advice = (
            "the corners of the box alone are",
            "fix some inputs (lo = hi), or ask about single regions or slices",
        )
    else:
        return
    if vertices * bytes_per_vertex > most:
        needed = vertices * bytes_per_vertex
        raise BudgetExceededError(
            f"{what} {words.about(vertices)} vertices, {words.size(needed)}, "
            f"against a limit of {words.size(limit)}; {advice}",
            partial=None,
            needed=needed,
            memory=limit,
            machine=limit != monitor.budget.memory,
        )


def build_skeleton(frame: Frame, monitor: Monitor, *, etol: float = DEFAULT_ETOL) -> Skeleton:
    """Certified skeleton of the canonical complex of a generic network.

    Raises
    ------
    GenericityError
        Names the vertex and the neurons that meet there.
    BudgetExceededError
        Time or memory used up.
    """
    skeleton = Skeleton(frame, monitor, etol=etol)
    skeleton.grow()
    return skeleton
