"""A network of gates on a polygon of a plane: exact restrictions, constants folded, equal gates merged.

Coordinates x, y of the polygon are scaled and moved so that it lies in ``[-1, 1]²``; the restriction to them is exact,
since floats are rationals. On images much is the same: gates that see the same background are one function, and those
that compare two equal windows are zero. They are found by their exact rows, from block to block, before anything is
walked.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from ... import words
from ..._typing import Array, FloatArray, IntArray
from ...budget import Monitor
from ...errors import InputError, ShapeError
from ...network.model import ReLUNetwork
from ...network.piecewise import AffineMap, PiecewiseLinearNetwork
from ...network.sparse import SparseMatrix
from ...numerics.exact import as_fractions
from ...numerics.floats import as_float, nearest
from ...numerics.rounding import TINY, UNIT, gamma

REACH = 1.0625
LARGEST = 2.0**400
"""Largest magnitude of a restricted parameter in floats: products of a few of them stay finite."""

Point = tuple[Fraction, Fraction]
Triple = tuple[Fraction, Fraction, Fraction]


@dataclass(frozen=True)
class Frame:
    """Where the polygon lies: ``t = middle + scale * (x, y)``, and its corners in (x, y), counterclockwise."""

    middle: tuple[Fraction, Fraction]
    scale: tuple[Fraction, Fraction]
    corners: tuple[Point, ...]

    @classmethod
    def around(cls, corners: Sequence[Point]) -> Frame:
        """The frame of a convex polygon given by corners in t, in any order.

        Raises
        ------
        InputError
            A polygon without interior.
        """
        hull = _convex_hull(corners)
        if len(hull) < 3:
            raise InputError("the polygon of the slice has no interior; expected three points that are not on a line")
        middle, scale = [], []
        for axis in range(2):
            low, high = min(p[axis] for p in hull), max(p[axis] for p in hull)
            middle.append(Fraction(float((low + high) / 2)))
            reach = max(high - middle[axis], middle[axis] - low)
            scale.append(Fraction(2) ** _ceil_log2(reach))
        inner = tuple(((p[0] - middle[0]) / scale[0], (p[1] - middle[1]) / scale[1]) for p in hull)
        return cls((middle[0], middle[1]), (scale[0], scale[1]), inner)

    @property
    def sides(self) -> list[Triple]:
        """Lines (a, b, c), nonnegative inside; side k from corner k to the next."""
        lines = []
        for p, q in zip(self.corners, (*self.corners[1:], self.corners[0])):
            a, b = -(q[1] - p[1]), q[0] - p[0]
            lines.append((a, b, -(a * p[0] + b * p[1])))
        return lines

    def outer(self, xy: FloatArray) -> FloatArray:
        """Coordinates t of points (…, 2) of the frame."""
        scale, middle = np.array([float(s) for s in self.scale]), np.array([float(m) for m in self.middle])
        return np.asarray(middle + xy * scale)


def _ceil_log2(value: Fraction) -> int:
    """Least k with 2^k >= value."""
    k = value.numerator.bit_length() - value.denominator.bit_length()
    while Fraction(2) ** k < value:
        k += 1
    while Fraction(2) ** (k - 1) >= value:
        k -= 1
    return k


def _convex_hull(points: Sequence[Point]) -> list[Point]:
    """Corners of the convex hull, counterclockwise, exactly."""
    ordered = sorted(set(points))
    if len(ordered) < 3:
        return ordered

    def half(sequence: Sequence[Point]) -> list[Point]:
        chain: list[Point] = []
        for p in sequence:
            while len(chain) > 1:
                (x0, y0), (x1, y1) = chain[-2], chain[-1]
                if (x1 - x0) * (p[1] - y0) - (y1 - y0) * (p[0] - x0) > 0:
                    break
                chain.pop()
            chain.append(p)
        return chain

    return half(ordered)[:-1] + half(ordered[::-1])[:-1]


@dataclass(frozen=True)
class Unit:
    """A gate or an output on the slice: an exact form ``base`` plus ``weights`` times units before it."""

    block: int
    base: Triple
    reads: IntArray
    weights: Array  # float64, or Fractions
    slopes: tuple[Any, Any]


@dataclass(frozen=True)
class Restricted:
    """Gates that differ on the slice, and which of the network's gates they are.

    Attributes
    ----------
    units : list of Unit
        Gates by block, then the outputs.
    n_gates : int
    gate_unit : (N,) int64
        Of each gate of the network: its unit, or -1 where it is constant on the slice.
    gate_sign : (N,) int8
        Signs of the constant ones.
    turned : mapping of int to three int8
        Gates whose signs are not those of their units: their signs where the unit is below, on and above its wall.
    blocks : int
        Number of blocks of the network.
    frame : Frame
    """

    units: list[Unit]
    n_gates: int
    gate_unit: IntArray
    gate_sign: Array
    turned: Mapping[int, tuple[int, int, int]]
    blocks: int
    frame: Frame

    def signs(self, unit_signs: Array) -> Array:
        """Signs of all gates of the network, (…, N), from those of the units, (…, n_gates)."""
        full = np.broadcast_to(self.gate_sign, (*unit_signs.shape[:-1], len(self.gate_unit))).copy()
        known = self.gate_unit >= 0
        full[..., known] = unit_signs[..., self.gate_unit[known]]
        for gate, turn in self.turned.items():
            full[..., gate] = np.array(turn, dtype=np.int8)[full[..., gate] + 1]
        return full


def as_piecewise(network: Any) -> PiecewiseLinearNetwork:
    """The network as one of gates."""
    if isinstance(network, PiecewiseLinearNetwork):
        return network
    if isinstance(network, ReLUNetwork):
        return PiecewiseLinearNetwork.from_chain(network)
    raise InputError(f"expected a polyfiber.ReLUNetwork or PiecewiseLinearNetwork, found {type(network).__name__}")


def restrict(
    network: PiecewiseLinearNetwork, origin: Any, directions: Any, frame: Frame, monitor: Monitor | None = None
) -> Restricted:
    """The network on ``origin + directions.T @ t``, in the coordinates of the frame.

    Parameters
    ----------
    network : PiecewiseLinearNetwork
    origin : (n0,) array
    directions : (k, n0) array
        One or two of them.
    frame : Frame

    Raises
    ------
    ShapeError, InputError
        Arrays that do not fit; parameters beyond floats.
    """
    o, D = as_fractions(origin, where="the origin"), as_fractions(directions, where="directions")
    n0 = network.n_inputs
    if o.shape != (n0,) or D.ndim != 2 or D.shape[1] != n0 or not 1 <= len(D) <= 2:
        raise ShapeError(
            f"origin {o.shape} and directions {D.shape} do not fit {words.count(n0, 'input')}; expected ({n0},) and (1 or 2, {n0})"
        )
    zero = np.full(n0, Fraction(0), dtype=object)
    rows = [D[0], D[1] if len(D) == 2 else zero]
    columns = np.stack(
        [rows[0] * frame.scale[0], rows[1] * frame.scale[1], o + rows[0] * frame.middle[0] + rows[1] * frame.middle[1]],
        axis=1,
    )
    return _Numbering(network, columns, frame, monitor or Monitor()).restricted()


class _Ray(NamedTuple):
    """A gate that reads the input alone: its form, and what multiple of it is behind the gate below and above its
    wall.
    """

    line: Triple
    behind: tuple[Fraction, Fraction]


class _Read(NamedTuple):
    """A gate as it is read: ``factor`` times its unit plus ``shift`` times the line of that unit."""

    factor: Fraction
    shift: Fraction


class _Numbering:
    """Gives gates that follow from each other one number, block by block.

    Equal gates are one unit. So are gates that bend on one line of the slice and nowhere else: their own row is a
    multiple of that line, and they read such gates only. With shared weights there are many: units that see one pixel
    of a blank image. On each side they are a multiple of the line, so that one of them says the signs of all, and what
    reads them reads it.
    """

    def __init__(self, network: PiecewiseLinearNetwork, columns: Array, frame: Frame, monitor: Monitor) -> None:
        self.network, self.columns, self.frame, self.monitor = network, columns, frame, monitor
        self.below = math.lcm(*{f.denominator for f in columns.ravel().tolist()})
        self.integers = np.empty(columns.shape, dtype=object)
        self.integers.reshape(-1)[:] = [f.numerator * (self.below // f.denominator) for f in columns.ravel().tolist()]
        self.starts = np.cumsum([0, *network.hidden_widths])
        self.unit = np.full(network.n_hidden, -1, dtype=np.int64)
        self.sign = np.zeros(network.n_hidden, dtype=np.int8)
        self.value: list[Fraction | None] = [None] * network.n_hidden  # behind a constant gate
        self.constant = np.zeros(network.n_hidden, dtype=bool)
        self.units: list[Unit] = []
        self.rays: dict[int, _Ray] = {}  # by unit
        self.lines: dict[tuple[str, ...], int] = {}  # the unit that stands for a line, by what is near it
        self.reads: dict[int, _Read] = {}  # by gate, where it is not its unit
        self.turned: dict[int, tuple[int, int, int]] = {}

    def restricted(self) -> Restricted:
        net = self.network
        for block, gates in enumerate(net.blocks):
            self._block(block, gates.affine, gates.slopes)
        n_gates = len(self.units)
        self._block(len(net.blocks), net.output, None)
        return Restricted(self.units, n_gates, self.unit, self.sign, self.turned, len(net.blocks), self.frame)

    def _bases(self, affine: AffineMap) -> list[Triple]:
        """Exact forms of what a map reads from the input, and its offsets."""
        m = affine.n_rows
        sums = np.full((m, 3), 0, dtype=object)
        below = 1
        if 0 in affine.weights:
            matrix = SparseMatrix.of(affine.weights[0])
            above, below = _integers(matrix.data)
            lengths = np.diff(matrix.indptr)
            some = np.flatnonzero(lengths)
            if len(some):
                # rows of many entries at a time
                at = 0
                while at < len(some):
                    end = at + max(1, int(np.searchsorted(matrix.indptr[some[at:]], matrix.indptr[some[at]] + 65536)))
                    part = some[at:end]
                    first, last = int(matrix.indptr[part[0]]), int(matrix.indptr[part[-1] + 1])
                    terms = above[first:last, None] * self.integers[matrix.indices[first:last]]
                    sums[part] = np.add.reduceat(terms, matrix.indptr[part] - first, axis=0)
                    at = end
                    self.monitor.check_time("restricting the network")
            below *= self.below
        offsets = as_fractions(affine.bias) if affine.bias.dtype != object else affine.bias
        return [
            (Fraction(r[0], below), Fraction(r[1], below), Fraction(r[2], below) + b)
            for r, b in zip(sums.tolist(), offsets.tolist())
        ]

    def _rows(self, affine: AffineMap) -> tuple[IntArray, IntArray, Array]:
        """(indptr, gates, weights) of what a map reads from gates, gates ascending."""
        m = affine.n_rows
        rows, gates, data = [], [], []
        for j, given in affine.weights.items():
            if j:
                matrix = SparseMatrix.of(given)
                rows.append(np.repeat(np.arange(m), np.diff(matrix.indptr)))
                gates.append(matrix.indices + self.starts[j - 1])
                data.append(matrix.data)
        if not rows:
            return np.zeros(m + 1, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0)
        row, gate, weight = np.concatenate(rows), np.concatenate(gates), np.concatenate(data)
        order = np.lexsort((gate, row))
        return np.concatenate([[0], np.cumsum(np.bincount(row, minlength=m))]), gate[order], weight[order]

    def _block(self, block: int, affine: AffineMap, slopes: Array | None) -> None:
        bases = self._bases(affine)
        indptr, gates, weights = self._rows(affine)
        known: dict[Any, int] = {}
        first = int(self.starts[block]) if slopes is not None else 0
        for i, base in enumerate(bases):
            if not i & 255:
                self.monitor.check_time("restricting the network")
            here = slice(indptr[i], indptr[i + 1])
            row, data = gates[here], weights[here]
            still = self.constant[row]
            if still.any():
                extra = Fraction(0)
                for g, w in zip(row[still].tolist(), data[still].tolist()):
                    value = self.value[g]
                    if value:
                        extra += Fraction(w) * value
                base = (base[0], base[1], base[2] + extra)
                row, data = row[~still], data[~still]
            if self.reads:
                base, row, data = self._by_units(base, row, data)
            reads, data = _merged(self.unit[row], data)
            if slopes is None:
                self.units.append(Unit(block, base, reads, data, (1.0, 1.0)))
                continue
            pair = (slopes[i, 0], slopes[i, 1])
            if not len(reads) and not base[0] and not base[1]:
                z = base[2]
                self.constant[first + i], self.sign[first + i] = True, (z > 0) - (z < 0)
                self.value[first + i] = z * Fraction(pair[1] if z > 0 else pair[0])
                continue
            if self._follows(first + i, base, reads, data, pair):
                continue
            key = (base, reads.tobytes(), tuple(data.tolist()) if data.dtype == object else data.tobytes(), pair)
            if key not in known:
                known[key] = len(self.units)
                self.units.append(Unit(block, base, reads, data, pair))
                self._stands(known[key], base, reads, pair)
            self.unit[first + i] = known[key]

    def _by_units(self, base: Triple, row: IntArray, data: Array) -> tuple[Triple, IntArray, Array]:
        """What a gate reads, in terms of the units of the gates that it reads."""
        found = [self.reads.get(g) for g in row.tolist()]
        if not any(found):
            return base, row, data
        a, b, c = base
        weights = np.empty(len(row), dtype=object)
        for k, (w, g, read) in enumerate(zip(data.tolist(), row.tolist(), found)):
            weights[k] = Fraction(w)
            if read is not None:
                line, shift = self.rays[int(self.unit[g])].line, weights[k] * read.shift
                weights[k] *= read.factor
                a, b, c = a + shift * line[0], b + shift * line[1], c + shift * line[2]
        kept = np.flatnonzero(np.asarray(weights != 0, dtype=bool))
        return (a, b, c), row[kept], weights[kept]

    def _follows(self, gate: int, base: Triple, reads: IntArray, data: Array, pair: tuple[Any, Any]) -> bool:
        """Whether a gate is a multiple of a line on each side of it, of which another gate stands for all."""
        first = int(reads[0]) if len(reads) else -1
        if first >= 0 and first not in self.rays:
            return False
        unit = first if first >= 0 else self.lines.get(_near(base))
        if unit is None or any(j != unit for j in reads.tolist()):
            return False
        factor = _multiple(base, self.rays[unit].line)
        if factor is None:
            return False
        weight, its = sum((Fraction(w) for w in data.tolist()), Fraction(0)), self.rays[unit].behind
        low, high = (factor + weight * behind for behind in its)
        if not low and not high:
            self.constant[gate], self.value[gate] = True, Fraction(0)
            return True
        turn = ((low < 0) - (low > 0), 0, (high > 0) - (high < 0))
        if turn != (-1, 0, 1):
            self.turned[gate] = turn
        mine = _behind(low, high, pair)
        scale = (mine[1] - mine[0]) / (its[1] - its[0])
        read = _Read(scale, mine[0] - scale * its[0])
        if read != (1, 0):
            self.reads[gate] = read
        self.unit[gate] = unit
        return True

    def _stands(self, unit: int, base: Triple, reads: IntArray, pair: tuple[Any, Any]) -> None:
        """Let a gate that reads the input alone stand for its line."""
        if not len(reads):
            one = Fraction(1)
            self.rays[unit] = _Ray(base, _behind(one, one, pair))
            self.lines.setdefault(_near(base), unit)


def _near(base: Triple) -> tuple[str, ...]:
    """The same for forms that are multiples of each other (but for one in millions), seldom for others."""
    a, b, c = (as_float(v) for v in base)
    lead = np.float64(a or b)
    with np.errstate(all="ignore"):
        return tuple(f"{v / lead + 0.0:.9e}" for v in (b, c))


def _multiple(base: Triple, line: Triple) -> Fraction | None:
    """The number that a form is of a line; None if it is none."""
    factor = base[0] / line[0] if line[0] else base[1] / line[1]
    same = base[0] == factor * line[0] and base[1] == factor * line[1] and base[2] == factor * line[2]
    return factor if same else None


def _behind(low: Fraction, high: Fraction, pair: tuple[Any, Any]) -> tuple[Fraction, Fraction]:
    """Behind a gate with these slopes: multiples of a line where it is negative, and where it is positive."""
    below, above = Fraction(pair[0]), Fraction(pair[1])
    return low * (above if low < 0 else below), high * (above if high > 0 else below)


def along_segment(r: Restricted, start: Point, end: Point, monitor: Monitor) -> tuple[Array, Array, Array]:
    """What exact rows prove of the gates along a segment, without knowing signs.

    Returns
    -------
    zero : (n_gates,) bool
        Gates that vanish.
    like : (n_gates,) int32
        An earlier gate that is the same function there, -1 where there is none.
    fixed : (n_gates,) int8
        Signs of gates that are constant and not zero.
    """
    step = (end[0] - start[0], end[1] - start[1])
    n = r.n_gates
    same = np.arange(n)
    constant = np.zeros(n, dtype=bool)
    value: list[Fraction] = [Fraction(0)] * n
    zero, fixed = np.zeros(n, dtype=bool), np.zeros(n, dtype=np.int8)
    known: dict[Any, int] = {}
    for k, u in enumerate(r.units[:n]):
        if not k & 255:
            monitor.check_time("looking along the sides of the slice")
        a, b, c = u.base
        slope, offset = a * step[0] + b * step[1], a * start[0] + b * start[1] + c
        still = constant[u.reads]
        reads, data = u.reads, u.weights
        if still.any():
            for g, w in zip(reads[still].tolist(), data[still].tolist()):
                if value[g]:
                    offset += Fraction(w) * value[g]
            reads, data = reads[~still], data[~still]
        reads, data = _merged(same[reads], data)
        if not len(reads) and not slope:
            constant[k], zero[k], fixed[k] = True, offset == 0, (offset > 0) - (offset < 0)
            value[k] = offset * Fraction(u.slopes[1] if offset > 0 else u.slopes[0])
            continue
        key = (
            slope,
            offset,
            reads.tobytes(),
            tuple(data.tolist()) if data.dtype == object else data.tobytes(),
            u.slopes,
        )
        same[k] = known.setdefault(key, k)
    return zero, np.where(same == np.arange(n), -1, same).astype(np.int32), fixed


def _merged(units: IntArray, data: Array) -> tuple[IntArray, Array]:
    """Units ascending, each once, with the exact sums of their weights; zeros dropped."""
    order = np.argsort(units, kind="stable")
    units, data = units[order], data[order]
    if len(units) < 2 or not np.any(units[1:] == units[:-1]):
        return units, data
    totals: dict[int, Fraction] = {}
    for u, w in zip(units.tolist(), data.tolist()):
        totals[u] = totals.get(u, Fraction(0)) + Fraction(w)
    kept = {u: w for u, w in totals.items() if w}
    values = np.empty(len(kept), dtype=object)
    values[:] = list(kept.values())
    rounded = values.astype(np.float64)
    same = all(Fraction(f) == v for f, v in zip(rounded.tolist(), values.tolist()))
    return np.array(list(kept), dtype=np.int64), rounded if same else values


def _integers(data: Array) -> tuple[Array, int]:
    """Numbers as integers over one denominator."""
    flat = [Fraction(v) for v in data.tolist()]
    below = math.lcm(*{f.denominator for f in flat}) if flat else 1
    above = np.empty(len(flat), dtype=object)
    above[:] = [f.numerator * (below // f.denominator) for f in flat]
    return above, below


@dataclass(frozen=True)
class Columns:
    """A `Restricted` network as flat arrays of floats for the kernels."""

    starts: IntArray
    level: IntArray
    row_ptr: IntArray
    rows: Array
    row_weights: FloatArray
    col_ptr: IntArray
    cols: Array
    col_weights: FloatArray
    base: FloatArray
    slopes: FloatArray
    gamma: float

    @classmethod
    def of(cls, r: Restricted) -> Columns:
        """Numbers rounded to nearest, with what that takes away in the last column of ``base``."""
        n = len(r.units)
        level = np.array([u.block for u in r.units], dtype=np.int64)
        starts = np.searchsorted(level, np.arange(r.blocks + 2))
        lengths = np.array([len(u.reads) for u in r.units], dtype=np.int64)
        row_ptr = np.concatenate([[0], np.cumsum(lengths)])
        rows: Array = np.concatenate([*(u.reads for u in r.units), np.zeros(0, dtype=np.int64)]).astype(np.int32)
        weights = np.concatenate([*(nearest(u.weights) for u in r.units), np.zeros(0)])
        base = np.zeros((n, 4))
        base[:, :3] = [[as_float(v) for v in u.base] for u in r.units]
        slopes = np.array([[as_float(s) for s in u.slopes] for u in r.units[: r.n_gates]]).reshape(-1, 2)
        for what, values in (("weight", weights), ("restricted parameter", base), ("slope", slopes)):
            if not np.all(np.abs(values) < LARGEST):
                raise InputError(
                    f"a {what} of the network on the slice is beyond 2^400; scale the inputs or the network"
                )
        with np.errstate(under="ignore"):
            sizes = (np.abs(base[:, 0]) + np.abs(base[:, 1])) * REACH + np.abs(base[:, 2])
            base[:, 3] = sizes * UNIT * 1.01 + TINY
        owners = np.repeat(np.arange(n), lengths)
        order = np.lexsort((owners, rows))
        col_ptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=n))]).astype(np.int64)
        return cls(
            starts.astype(np.int64),
            level,
            row_ptr,
            rows,
            weights,
            col_ptr,
            owners[order].astype(np.int32),
            weights[order],
            base,
            slopes,
            float(gamma(int(lengths.max(initial=0)) + 12)),
        )
