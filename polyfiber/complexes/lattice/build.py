"""Canonical complexes of networks that are not generic: the face lattice, cut directly.

Nothing is perturbed. The lattice of all faces, closed off by one facet at infinity, is cut by one
neuron after another. All that a cut needs are the signs of the neuron at vertices, each -, 0 or +
and certified: an exact zero means that the wall passes through the vertex. A face that no sign
change crosses stays as it is, whatever vanishes on it. See docs/degenerate.md.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from ... import words
from ..._typing import Array, BoolArray, IdArray, IntArray, WordArray
from ...budget import Monitor, heed
from ...errors import BudgetExceededError, InputError, NumericalError
from ...kernels.complexes import forms
from ...kernels.complexes import lattice as lk
from ...network.sparse import dense
from ...numerics.exact import as_fractions
from ...numerics.floats import nearest
from ..skeleton.arrays import Frame
from ..skeleton.build import Skeleton
from ..skeleton.integer_signs import IntegerForms
from ..skeleton.layout import clear_bit, more_bases, moved_state, new_state, set_bit

MARKS = lk.Marks._fields
KEPT = ("planes", "start", "length", "basis", "infinite", "pool")
"""Columns of a table of faces: marks of the cut that is going on, and what stays."""


MOST_FIRST = 1 << 23
"""Faces that a lattice may begin with: all of a cone of n walls, 3^n where none is a side of the domain."""

MOST_FACES = 2**31 - 1
"""Of one dimension: their ids are int32."""


class FaceTable:
    """Faces of one dimension: facet lists, planes, a basis of zero facets, marks of the last cut."""

    def __init__(self, dim: int, n: int, n_words: int) -> None:
        self.dim = dim
        self.count = 0
        self.planes: WordArray = np.zeros((16, 2 * n_words), dtype=np.uint64)
        self.start: IntArray = np.zeros(16, dtype=np.int64)
        self.length: IdArray = np.zeros(16, dtype=np.int32)
        self.pool: IdArray = np.zeros(64, dtype=np.int32)
        self.fill = 0
        self.basis: IdArray = np.zeros((16, n - dim), dtype=np.int32)
        self.infinite: BoolArray = np.zeros(16, dtype=np.bool_)
        self.stamp: IdArray = np.full(16, -1, dtype=np.int32)
        self.plus: IdArray = np.zeros(16, dtype=np.int32)
        self.zero: IdArray = np.zeros(16, dtype=np.int32)
        self.seen: IntArray = np.zeros(16, dtype=np.int64)

    @property
    def faces(self) -> Any:
        """The columns that stay, as kernels take them."""
        return lk.Faces(
            self.planes, self.start, self.length, self.pool, self.basis, self.infinite, self.count, self.fill
        )

    @property
    def marks(self) -> Any:
        """The marks of the cut that is going on, as kernels take them."""
        return lk.Marks(self.stamp, self.plus, self.zero, self.seen)

    def __getstate__(self) -> dict[str, Any]:
        """Without room to grow and without the marks of the last cut."""
        return {
            name: value[: self.fill if name == "pool" else self.count].copy() if name in KEPT else value
            for name, value in vars(self).items()
            if name not in MARKS
        }

    def __setstate__(self, kept: dict[str, Any]) -> None:
        vars(self).update(kept)
        for name in MARKS:
            setattr(self, name, np.full(self.count, -1 if name == "stamp" else 0, dtype=np.int32))
        self.seen = self.seen.astype(np.int64)

    def reserve(self, count: int) -> None:
        """Room for so many faces."""
        cap = len(self.start)
        if count <= cap:
            return
        if count > MOST_FACES:
            raise BudgetExceededError(
                f"{words.count(count, 'face')} of dimension {self.dim}, and a lattice holds at most {MOST_FACES}; restrict the domain to a box",
                partial=None,
            )
        cap = min(MOST_FACES, max(count, cap + cap // 2))
        for name in ("planes", "start", "length", "basis", "infinite", "stamp", "plus", "zero", "seen"):
            old = getattr(self, name)
            new = np.zeros((cap, *old.shape[1:]), dtype=old.dtype)
            new[: self.count] = old[: self.count]
            setattr(self, name, new)
        self.stamp[self.count :] = -1

    def reserve_pool(self, more: int) -> None:
        """Room for so many list entries; lists that faces left behind are dropped first."""
        if self.fill + more <= len(self.pool):
            return
        live = int(self.length[: self.count].sum())
        pool = np.empty(2 * (live + more) + 64, dtype=np.int32)
        start = np.zeros_like(self.start)
        self.fill = int(lk.packed_lists(self.count, self.start, self.length, self.pool, start, pool))
        self.start, self.pool = start, pool

    @property
    def nbytes(self) -> int:
        """Bytes of one face with a list of average length."""
        return int(self.planes.itemsize * self.planes.shape[1] + 4 * self.basis.shape[1] + 33 + 24)


class LatticeSkeleton(Skeleton):
    """Vertices with exact signs in {-, 0, +}, and the faces above them, growing.

    The vertices live in the state of a `Skeleton`; its half-edges are not used. ``zeros`` holds
    the facets that vanish at a vertex, beyond those in its basis too. ``words`` holds the
    positive ones, so that ``words`` gates what lies behind.
    """

    copies: dict[int, tuple[int, int]]
    advances = False

    def __init__(
        self,
        frame: Frame,
        monitor: Monitor,
        *,
        path: Sequence[tuple[int, int]] = (),
        room: int | None = None,
    ) -> None:
        super().__init__(frame, monitor, path=path, room=room)
        n, W = frame.n, frame.n_words
        self._begin(np.zeros((64, W), dtype=np.uint64), [FaceTable(k, n, W) for k in range(n + 1)])

    # ---- copies -----------------------------------------------------------------------------
    def __getstate__(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in ("tables", "copies", "exact_zeros")}
        return super().__getstate__() | own

    def __setstate__(self, kept: dict[str, Any]) -> None:
        super().__setstate__(kept)
        self._begin(np.zeros((self.nv, self.frame.n_words), dtype=np.uint64), kept["tables"])
        self.copies, self.exact_zeros = kept["copies"], kept["exact_zeros"]

    def _begin(self, zeros: WordArray, tables: list[FaceTable]) -> None:
        self.integers = IntegerForms(self.frame)
        self.zeros, self.tables, self.turn = zeros, tables, 1
        self.copies = {}
        self.exact_zeros = 0

    # ---- memory -----------------------------------------------------------------------------
    def reserve(self, nv: int, n_inf: int) -> None:
        """Grow the arrays of vertices."""
        st = self.state
        cap = st.star.shape[0]
        if nv > cap:
            self.check_room(nv)
            cap = max(nv, 2 * cap)
            self.state = moved_state(self.frame, st, self.nv, cap)
        if len(self.zeros) < cap:
            zeros = np.zeros((cap, self.frame.n_words), dtype=np.uint64)
            zeros[: self.nv] = self.zeros[: self.nv]
            self.zeros = zeros
        cap_inf = st.base.shape[0]
        if n_inf > cap_inf:
            self.state = more_bases(self.frame, self.state, max(n_inf, 2 * cap_inf))

    def check_memory(self) -> None:
        """Against the budget: what the faces take now, and half as much again."""
        needed = sum(t.nbytes * t.count + 4 * len(t.pool) for t in self.tables) + self.nv * self.bytes_per_vertex
        self.monitor.check_memory(needed * 3 // 2, f"the face lattice ({sum(t.count for t in self.tables)} faces)")

    # ---- start ------------------------------------------------------------------------------
    def start(self) -> None:
        """All faces of the fan of n independent facets, and their faces at infinity."""
        super().start()
        frame, n, inf = self.frame, self.frame.n, self.frame.net.inf
        zeros = list(frame.start)
        sides = [tuple(s for s in (-1, 0, 1) if s == 0 or not self.is_outside(z, 0 if s < 0 else 1)) for z in zeros]
        first = math.prod(map(len, sides))
        if first > MOST_FIRST:
            raise BudgetExceededError(
                f"the network is not generic, and the lattice of all faces in {words.count(n, 'dimension')} begins with {words.about(first)} of them, "
                f"more than {MOST_FIRST}; restrict it to a slice, or move its biases a little",
                partial=None,
            )
        ids: dict[tuple[tuple[int, ...], bool], int] = {}
        members: list[list[tuple[tuple[int, ...], bool]]] = [[] for _ in range(n + 1)]
        for signs in itertools.product(*sides):
            k = sum(map(bool, signs))
            members[k].append((signs, False))
            if k:
                members[k - 1].append((signs, True))
        # vertices in the order of Skeleton.start: the apex, then slot by slot, negative side first
        members[0].sort(key=lambda m: (m[1], *self._slot_and_side(m[0])))
        self.reserve(self.nv, self.n_inf)
        self.zeros[: self.nv] = 0
        for d, table in enumerate(self.tables):
            table.reserve(len(members[d]))
            table.reserve_pool(len(members[d]) * (n + 1))
            table.count = len(members[d])
            for f, (signs, far) in enumerate(members[d]):
                ids[signs, far] = f
                table.infinite[f] = far
                table.basis[f] = [z for z, s in zip(zeros, signs) if s == 0] + ([inf] if far else [])
                table.start[f] = table.fill
                below: list[int] = []
                if d:
                    for c in range(n):
                        if signs[c]:
                            smaller = (*signs[:c], 0, *signs[c + 1 :])
                            if not far or any(smaller):
                                below.append(ids[smaller, far])
                    if not far:
                        below.append(ids[signs, True])
                table.pool[table.fill : table.fill + len(below)] = below
                table.fill += len(below)
                table.length[f] = len(below)
                for z, s in zip(zeros, signs):
                    if s:
                        table.planes[f, (z >> 6) + (0 if s > 0 else frame.n_words)] |= np.uint64(1) << np.uint64(z & 63)
                    elif d == 0:
                        set_bit(self.zeros, f, z)

    @staticmethod
    def _slot_and_side(signs: tuple[int, ...]) -> tuple[int, int]:
        at = next((c for c, s in enumerate(signs) if s), -1)
        return at, signs[at] if at >= 0 else 0

    # ---- one layer --------------------------------------------------------------------------
    def add_layer(self, layer: int) -> None:
        """Cut by every facet of a layer (0: the domain)."""
        net = self.frame.net
        low, high = int(net.layers.first[layer]), int(net.layers.first[layer + 1])
        if low == high:
            return
        fixed = low + np.flatnonzero(self.fixed[low:high])
        copies = {int(k): (-1, int(self.fixed[k])) for k in fixed}  # first: others may be copies of theirs
        copies |= {k: model for k, model in self._find_copies(layer).items() if k not in copies}
        ids = [k for k in range(low, high) if k not in self.frame.start and k not in copies]
        ids.sort(key=lambda k: not self.closed[k])  # what throws a side away first
        self.pending[:] = 0
        for k in ids:
            set_bit(self.pending, 0, k)
        self.reserve(self.nv, self.n_inf)
        self.enter(layer)
        self.entered.update(ids)
        self._planes_of_vertices(ids)
        for table, lower in zip(self.tables[1:], self.tables[:-1]):
            lk.unite(
                table.planes, table.count, table.start, table.length, table.pool, lower.planes,
                low >> 6, ((high - 1) >> 6) + 1,
            )  # fmt: skip
        for k in ids:
            self.cut(k)
            if self.closed[k]:
                self._drop_outside(k)
            self.monitor.report("cutting", max(0, k - self.frame.n_domain + 1), self.frame.n_neurons, vertices=self.nv)
            self.monitor.check_time(f"the face lattice ({self.frame.name(k)} cut)")
        for k, (model, sign) in copies.items():
            self._copy(k, model, sign)
            if layer and self.closed[k]:
                self._drop_outside(k)
        self.entered.update(copies)

    def _planes_of_vertices(self, ids: list[int]) -> None:
        mask = np.zeros(self.frame.n_words, dtype=np.uint64)
        for k in ids:
            mask[k >> 6] |= np.uint64(1) << np.uint64(k & 63)
        W, nv = self.frame.n_words, self.nv
        words, zeros, table = self.state.words[:nv], self.zeros[:nv], self.tables[0]
        table.planes[:nv, :W] |= words & mask
        table.planes[:nv, W:] |= ~words & ~zeros & mask

    def _find_copies(self, layer: int) -> dict[int, tuple[int, int]]:
        """Facets of a layer that are another one times a number, or a constant: {id: (model, sign)}; model -1
        constant.
        """
        frame = self.frame
        low = int(frame.net.layers.first[layer])
        if layer == 0:
            whole = frame.chart[: frame.n_domain]
        else:
            whole = frame.chart[frame.n_domain :] if layer == 1 else _whole_rows(frame, layer)
        copies: dict[int, tuple[int, int]] = {}
        flat = (whole[:, :-1] == 0).all(axis=1)
        for i in np.flatnonzero(flat).tolist():
            value = whole[i, -1]
            copies[low + i] = (-1, int(value > 0) - int(value < 0))
        for group in proportional_rows(whole, np.flatnonzero(~flat)):
            ids = sorted(
                group, key=lambda item: (low + item[0] not in frame.start, not self.closed[low + item[0]], item[0])
            )
            model, sign = ids[0]
            for i, s in ids[1:]:
                if low + i not in frame.start and (layer or s == sign):  # opposite inequalities do cut
                    copies[low + i] = (low + model, s * sign)
        return copies

    def _copy(self, k: int, model: int, sign: int) -> None:
        """Give every face the sign of a facet that repeats another, or is constant."""
        W = self.frame.n_words
        bit = np.uint64(1) << np.uint64(k & 63)
        w = k >> 6
        nv = self.nv
        for table in self.tables:
            rows = table.planes[: table.count]
            if model < 0:
                if sign:
                    rows[:, w + (0 if sign > 0 else W)] |= bit
                continue
            for source in (0, W):
                has = (rows[:, (model >> 6) + source] >> np.uint64(model & 63)) & np.uint64(1)
                rows[:, w + (source if sign > 0 else W - source)] |= has << np.uint64(k & 63)
        planes = self.tables[0].planes[:nv]
        self.state.words[:nv, w] = (self.state.words[:nv, w] & ~bit) | (planes[:, w] & bit)
        self.zeros[:nv, w] |= ~planes[:, w] & ~planes[:, W + w] & bit
        self.copies[k] = (model, sign)

    # ---- signs ------------------------------------------------------------------------------
    def _decide(self, vertices: Any, facets: Any) -> None:
        """Decide unsure signs exactly; zeros are recorded, and vertices refined on the way."""
        if not len(vertices):
            return
        started = time.perf_counter()
        st, n, net = self.state, self.frame.n, self.frame.net
        order = np.lexsort((facets, vertices))
        vertices, facets = vertices[order], facets[order]
        layers = net.layers.layer_of[facets]
        ends = [*(np.flatnonzero((np.diff(vertices) != 0) | (np.diff(layers) != 0)) + 1).tolist(), len(vertices)]
        begin = 0
        for end in ends:
            v, layer = int(vertices[begin]), int(layers[begin])
            ids = facets[begin:end].tolist()
            begin = end
            self.monitor.check_time("exact arithmetic")
            heed("exact arithmetic")  # of who asks a finished complex
            words = st.words[v]
            point, scale, direction = self.integers.point(st.star[v, 2 * n :].tolist(), words)
            self._store_exact(v, *_fractions(point, scale, direction))
            low = int(net.layers.first[layer])
            for k, sign in zip(ids, self.integers.signs(layer, [k - low for k in ids], words, point, scale, direction)):
                if sign > 0:
                    set_bit(st.words, v, k)
                elif sign == 0:
                    set_bit(self.zeros, v, k)
                    self.exact_zeros += 1
        self.stats.exact += len(vertices)
        self.stats.exact_seconds += time.perf_counter() - started

    def _exact_point(self, v: int) -> Any:
        return _fractions(*self.integers.point(self.state.star[v, 2 * self.frame.n :].tolist(), self.state.words[v]))

    # ---- one cut ----------------------------------------------------------------------------
    def cut(self, k: int) -> None:
        """Cut by one facet whose signs are known at every vertex."""
        clear_bit(self.pending, 0, k)
        cut: list[IdArray] = []
        for table in self.tables[1:]:
            out = np.empty(table.count, dtype=np.int32)
            cut.append(out[: lk.crossed(table.planes, table.count, k, out)].copy())
        if not any(len(ids) for ids in cut):
            return
        self._cut_edges(k, cut[0])
        for table, lower, floor, ids in zip(self.tables[2:], self.tables[1:], self.tables, cut[1:]):
            m = len(ids)
            if not m:
                continue
            total = int(lk.list_sizes(ids, table.length))
            table.reserve(table.count + m)
            lower.reserve(lower.count + m)
            table.reserve_pool(2 * total + 2 * m)
            lower.reserve_pool(total)
            table.fill, lower.fill, broken = lk.cut_faces(
                k, ids, table.faces, table.marks, lower.faces, lower.marks, floor.planes, floor.seen, self.turn
            )
            if broken:
                raise NumericalError(
                    f"{words.count(broken, 'face')} of dimension {table.dim} fell apart while cutting by {self.frame.name(k)}; "
                    "please report this network"
                )
            self.turn += m
            table.count += m
            lower.count += m
        self.check_memory()

    def _cut_edges(self, k: int, ids: IdArray) -> None:
        m = len(ids)
        if not m:
            return
        edges, vertices, net = self.tables[1], self.tables[0], self.frame.net
        self.reserve(self.nv + m, self.n_inf + m)
        vertices.reserve(self.nv + m)
        edges.reserve(edges.count + m)
        edges.reserve_pool(4 * m)
        st, nv = self.state, self.nv
        while True:
            us, ks = self._unsure
            pairs, n_inf = lk.new_vertices(
                k, ids, nv, self.n_inf, edges.faces, net, st, self.zeros, vertices.planes, (us, ks)
            )
            if pairs <= len(us):
                break
            self._unsure = (np.zeros(2 * pairs, dtype=np.int64), np.zeros(2 * pairs, dtype=np.int64))
        self.nv, self.n_inf = nv + m, int(n_inf)
        vertices.count = self.nv
        vertices.infinite[nv : self.nv] = st.at_inf[nv : self.nv] >= 0
        vertices.length[nv : self.nv] = 0
        self.refine(np.arange(nv, self.nv, dtype=np.int64))
        self.stats.solves += m
        us, ks = us[:pairs], ks[:pairs]
        if pairs:
            signs, counts = self._on_listed(forms.DECIDE, us, ks)
            self._count(counts)
            self._decide(us[signs == 0], ks[signs == 0])
            lk.record_signs(us, ks, st.words, self.zeros, vertices.planes)
        edges.fill = lk.cut_edges(k, ids, nv, edges.faces, edges.marks, vertices.planes)
        edges.count += m

    def planes_seen(self, *, step: int = 1) -> WordArray:
        """Bit planes of vertices so far, see `Skeleton.planes_seen`."""
        table = self.tables[0]
        return table.planes[: table.count : step]

    # ---- domain -----------------------------------------------------------------------------
    def _drop_outside(self, k: int) -> None:
        """Throw away the faces outside a facet that has one side only, and renumber."""
        out = self.frame.n_words if self.closed[k] == 1 else 0
        new_below = np.zeros(0, dtype=np.int64)
        dropped = False
        for table in self.tables:
            outside = (table.planes[: table.count, out + (k >> 6)] >> np.uint64(k & 63)) & np.uint64(1)
            rows = np.flatnonzero(outside == 0)
            if table.dim == 0 and not len(rows):
                raise InputError("the domain is empty: its inequalities exclude each other", empty=True)
            dropped |= len(rows) < table.count
            new_id = np.full(table.count, -1, dtype=np.int64)
            new_id[rows] = np.arange(len(rows))
            if dropped:
                self._keep(table, rows, new_below)
            new_below = new_id

    def _keep(self, table: FaceTable, rows: IntArray, new_below: IntArray) -> None:
        if table.dim:
            pool = np.empty(max(1, int(table.length[rows].sum())), dtype=np.int32)
            start, length = np.zeros(len(table.start), dtype=np.int64), np.zeros(len(table.start), dtype=np.int32)
            table.fill = int(lk.kept_lists(rows, table.start, table.length, table.pool, new_below, start, length, pool))
            table.pool, table.start, table.length = pool, start, length
        else:
            self._keep_vertices(rows)
        m = len(rows)
        for name in ("planes", "basis", "infinite"):
            column = getattr(table, name)
            column[:m] = column[rows]
            column[m:] = 0
        table.stamp[:] = -1
        table.seen[:] = 0
        table.count = m

    def _keep_vertices(self, rows: IntArray) -> None:
        st = self.state
        at_inf = st.at_inf[rows].copy()
        far = at_inf >= 0
        base, base_err = st.base[at_inf[far]].copy(), st.base_err[at_inf[far]].copy()
        at_inf[far] = np.arange(int(far.sum()))
        self.state = new_state(self.frame, len(rows), len(base))
        for name in ("star", "words", "x", "err", "slot", "line_err"):
            getattr(self.state, name)[: len(rows)] = getattr(st, name)[rows]
        self.state.at_inf[: len(rows)] = at_inf
        self.state.base[: len(base)] = base
        self.state.base_err[: len(base)] = base_err
        self.zeros = self.zeros[rows].copy()
        self.nv, self.n_inf = len(rows), len(base)


def _fractions(point: list[int], scale: int, direction: list[int] | None) -> Any:
    return [Fraction(x, scale) for x in point], None if direction is None else [Fraction(d) for d in direction]


def _whole_rows(frame: Frame, layer: int) -> Array:
    """All that the neurons of a layer behind the first read, the constant last."""
    if frame.form is None:
        w, b = frame.network.weights[layer - 1], frame.network.biases[layer - 1]
        return np.concatenate([w, b[:, None]], axis=1)
    parts = [dense(m) for m in frame.form.reads[layer - 1].values()] + [frame.deep_chart[layer - 2]]
    if any(part.dtype == object for part in parts):
        parts = [as_fractions(part) for part in parts]
    return np.concatenate(parts, axis=1)


def proportional_rows(rows: Array, chosen: IntArray) -> list[list[tuple[int, int]]]:
    """Groups of at least two non-zero rows that are exact multiples of each other: [(row, sign), …].

    Signs are relative to the first entry that is not zero. Candidates are found in floats by
    rounding-safe sorting, then compared exactly.
    """
    if len(chosen) < 2:
        return []
    keys: dict[tuple[Any, ...], list[tuple[int, int]]] = {}
    pattern: dict[bytes, list[int]] = {}
    for i in chosen.tolist():
        pattern.setdefault((rows[i] != 0).tobytes(), []).append(i)
    for same in pattern.values():
        if len(same) < 2:
            continue
        for i in _near_others(rows, same):
            row = [Fraction(x) for x in rows[i]]
            lead = next(x for x in row if x)
            keys.setdefault(tuple(x / lead for x in row), []).append((i, 1 if lead > 0 else -1))
    return [group for group in keys.values() if len(group) > 1]


def _near_others(rows: Array, same: list[int]) -> list[int]:
    """Those of the rows whose direction is within 1e-9 of another's, in one projection."""
    if rows.dtype == object:
        return same
    part = nearest(rows[same])
    with np.errstate(all="ignore"):
        part = part / np.abs(part).max(axis=1, keepdims=True)
        lead = part[np.arange(len(part)), np.argmax(part != 0, axis=1)]
        part = part * np.sign(lead)[:, None]
        position = part @ np.random.default_rng(7).uniform(1.0, 2.0, part.shape[1])
    if not np.isfinite(position).all():
        return same
    order = np.argsort(position)
    near = np.diff(position[order]) < 1e-9 * part.shape[1]
    keep = np.zeros(len(same), dtype=np.bool_)
    keep[order[1:]] |= near
    keep[order[:-1]] |= near
    return [i for i, k in zip(same, keep) if k]


def build_lattice(frame: Frame, monitor: Monitor) -> LatticeSkeleton:
    """Certified face lattice of the canonical complex of any network.

    Raises
    ------
    InputError
        The domain is empty.
    BudgetExceededError
        Time or memory used up.
    """
    lattice = LatticeSkeleton(frame, monitor)
    lattice.grow()
    return lattice
