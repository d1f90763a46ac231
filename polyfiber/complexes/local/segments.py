"""All regions along a segment or a path: every breakpoint, in certified order."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from ... import words
from ..._once import given_property
from ..._typing import FloatArray, SignArray
from ..._values.checked import points_of
from ..._values.read_only import closed
from ...budget import Budget, heed, within_budget
from ...errors import InputError, ShapeError
from ...kernels.complexes import segments as lines
from ...network.model import ReLUNetwork
from ...network.piecewise import PiecewiseLinearNetwork, require_network
from ...numerics.floats import nearest
from ...numerics.rounding import LEAST, UNIT, gamma
from .cell_arrays import CellFrame, as_point, cell_frame
from .gate_arrays import GateFrame, next_walls


@closed
@dataclass(frozen=True)
class SegmentRegions:
    """The pieces of a segment ``x0 + t (x1 - x0)``, 0 <= t <= 1, on which the network is affine.

    Attributes
    ----------
    network : ReLUNetwork or PiecewiseLinearNetwork
    x0, x1 : (n0,) float64
    t : (E,) float64
        Breakpoints in (0, 1), increasing.
    t_errors : (E,) float64
        Bounds of their errors.
    neurons : tuple of tuples of int
        Hidden neurons whose sign changes at each breakpoint.
    signs : (E + 1, N) int8
        Sign vector on each open piece; 0 where the piece runs inside a wall.
    exact_events : int
        Breakpoints (and the end) that were decided in rational arithmetic.
    """

    network: Any
    x0: FloatArray
    x1: FloatArray
    t: FloatArray
    t_errors: FloatArray
    neurons: tuple[tuple[int, ...], ...]
    signs: SignArray
    exact_events: int

    @property
    def n_regions(self) -> int:
        """Number of pieces."""
        return len(self.signs)

    @property
    def n_distinct(self) -> int:
        """Number of different sign vectors; a segment can come back to none, a cell being convex."""
        return len({row.tobytes() for row in self.signs})

    def points(self, t: Any) -> FloatArray:
        """Points (…, n0) at parameters (…)."""
        s = np.asarray(t, dtype=np.float64)[..., None]
        result: FloatArray = (1 - s) * self.x0 + s * self.x1
        return result

    @given_property
    def values(self) -> FloatArray:
        """(E + 2, nL) outputs at the start, the breakpoints and the end."""
        return nearest(self.network(self.points(np.r_[0.0, self.t, 1.0])))

    @given_property
    def slopes(self) -> FloatArray:
        """(E + 1, nL) derivative of the outputs in t on each piece."""
        frame = cell_frame(self.network)
        direction = self.x1 - self.x0
        if isinstance(frame, GateFrame) or frame.network.is_exact:
            return np.array([frame.affine_map(row)[0] @ direction for row in self.signs])
        first = frame.offsets
        slope = np.broadcast_to(frame.W[0] @ direction, (len(self.signs), frame.W[0].shape[0]))
        for layer in range(1, len(frame.W)):
            slope = (slope * (self.signs[:, first[layer - 1] : first[layer]] > 0)) @ frame.W[layer].T
        return slope

    @property
    def sentence(self) -> str:
        """What lies along the segment, and how sure."""
        return _told("segment", self.n_regions)

    def __str__(self) -> str:
        return self.sentence

    def __repr__(self) -> str:
        widths = "-".join(map(str, self.network.architecture))
        return f"SegmentRegions({widths}, {words.count(self.n_regions, 'piece')}, {words.count(self.exact_events, 'event')} decided exactly)"


@within_budget
@np.errstate(all="ignore")
def segment_regions(
    network: ReLUNetwork | PiecewiseLinearNetwork, x0: Any, x1: Any, *, budget: Budget | None = None
) -> SegmentRegions:
    """Every piece of a segment on which the network is affine, in certified order.

    Parameters
    ----------
    network : ReLUNetwork
        Of any size.
    x0, x1 : (n0,) float64
        Different end points.

    Returns
    -------
    SegmentRegions

    Raises
    ------
    InputError
        If the end points are equal.

    Notes
    -----
    Event by event: the next breakpoint is the smallest root among the neurons whose value changes sign before the
    end; it is taken when its error interval lies apart from all others. Ties, ends on walls and stretches inside a
    wall are decided in rational arithmetic, for the floats given. A breakpoint costs the forward pass of the layers
    above it.

    Examples
    --------
    >>> import polyfiber as pf
    >>> net = pf.ReLUNetwork([[[1.0], [1.0]], [[1.0, -2.0]]], [[0.0, -1.0], [0.0]])
    >>> s = pf.segment_regions(net, [-1.0], [3.0])
    >>> s.t.tolist(), s.neurons, s.slopes.ravel().tolist()
    ([0.25, 0.5], ((0,), (1,)), [0.0, 4.0, -4.0])
    """
    frame = cell_frame(network)
    start, end = as_point(frame, x0, "x0"), as_point(frame, x1, "x1")
    if (start == end).all():
        raise InputError("the end points of a segment must differ")
    N, hidden = frame.n_neurons, frame.hidden
    if N == 0:
        empty = np.zeros(0)
        return SegmentRegions(network, start, end, empty, empty, (), np.zeros((1, 0), dtype=np.int8), 0)
    origin = np.array([Fraction(p) for p in start], dtype=object)
    direction = np.array([Fraction(q) for q in end], dtype=object) - origin
    if isinstance(frame, GateFrame):
        return _through_gates(frame, start, end, origin, direction)
    z, err = frame.values(start[None, :])
    if (np.abs(z[0]) > err[0]).all():
        signs = np.sign(z[0]).astype(np.int8)
    else:
        signs = frame.exact_signs(start, direction)
    w1, b1 = frame.W[0], frame.b[0]
    D = end - start
    a, b, sa, sb, tiny, ea, eb = np.zeros((7, N))
    h1 = hidden[0]
    a[:h1], b[:h1] = w1 @ start + b1, w1 @ D
    sa[:h1], sb[:h1] = np.abs(w1) @ np.abs(start) + np.abs(b1), np.abs(w1) @ np.abs(D)
    small = np.full(h1, (2 * frame.n0 + 4) * LEAST)
    tiny[:h1] = small
    for layer in range(1, len(hidden)):
        small = np.abs(frame.W[layer]) @ small + (2 * hidden[layer - 1] + 4) * LEAST
        tiny[frame.offsets[layer] : frame.offsets[layer + 1]] = small
    terms = frame.n0 + 5.0 + np.concatenate([[0.0], np.cumsum(np.array(hidden[:-1]) + 4.0)])
    rounded = gamma(terms[0])
    ea[:h1], eb[:h1] = rounded * sa[:h1] + tiny[:h1], rounded * sb[:h1] + tiny[:h1]
    widths = frame.widths
    woff = np.concatenate([[0, 0], np.cumsum(widths[1:] * widths[:-1])]).astype(np.int64)
    layers = lines.Layers(widths, frame.transposed_weights, woff, frame.deep_biases, frame.offsets, terms)
    line = lines.Line(a, b, sa, sb, tiny, ea, eb)
    times, errors, which = np.zeros(256), np.zeros(256), np.zeros(256, dtype=np.int64)
    found_t: list[float] = []
    found_e: list[float] = []
    found_n: list[tuple[int, ...]] = []
    pieces = [signs.copy()]
    exact = 0
    now: Fraction | None = None
    while True:
        heed("the walls along a segment")
        before = signs.copy()
        events, reason = lines.advance(layers, signs, line, lines.Events(times, errors, which))
        for k in range(events):
            found_t.append(float(times[k]))
            found_e.append(float(errors[k]))
            found_n.append((int(which[k]),))
            before[which[k]] = -before[which[k]]
            pieces.append(before.copy())
        if reason == 0:
            break
        if reason == 2:
            continue
        exact += 1
        step = _next_exactly(frame, signs, origin, direction)
        if step is None:
            break
        now = step
        changed = frame.exact_signs(origin + now * direction, direction)
        different = np.flatnonzero(changed != signs)
        if len(different) == 0:
            raise InputError("a breakpoint changes nothing; please report this network")
        found_t.append(float(now))
        found_e.append(2 * UNIT)
        found_n.append(tuple(int(i) for i in different))
        signs = changed
        pieces.append(signs.copy())
    return SegmentRegions(
        network,
        start,
        end,
        np.array(found_t),
        np.array(found_e),
        tuple(found_n),
        np.array(pieces, dtype=np.int8),
        exact,
    )


def _through_gates(frame: GateFrame, start: FloatArray, end: FloatArray, origin: Any, direction: Any) -> SegmentRegions:
    """The same for a network of gates: one forward pass of the forms a breakpoint."""
    signs = frame.exact_signs(start, direction)
    t: list[float] = []
    errors: list[float] = []
    walls: list[tuple[int, ...]] = []
    pieces, exact = [signs.copy()], 0
    while True:
        heed("the walls along a segment")
        k, at, error = next_walls(frame, signs, (start, end))
        if k == -1:
            break
        if k >= 0 and (not t or at - error > t[-1] + errors[-1]):
            signs = signs.copy()
            signs[k] = -signs[k]
            changed = np.array([k])
        else:
            exact += 1
            step = _next_exactly(frame, signs, origin, direction)
            if step is None:
                break
            after = frame.exact_signs(origin + step * direction, direction)
            changed = np.flatnonzero(after != signs)
            if not len(changed):
                raise InputError("a breakpoint changes nothing; please report this network")
            at, error, signs = float(step), 2 * UNIT, after
        t.append(at)
        errors.append(error)
        walls.append(tuple(int(i) for i in changed))
        pieces.append(signs)
    found = np.array(pieces, dtype=np.int8)
    return SegmentRegions(frame.network, start, end, np.array(t), np.array(errors), tuple(walls), found, exact)


def _next_exactly(frame: CellFrame, signs: SignArray, origin: Any, direction: Any) -> Fraction | None:
    """The next breakpoint below 1 of the piece with these signs; None if there is none."""
    forms = frame.exact_forms(signs, np.arange(frame.n_neurons))
    value = forms[:, :-1] @ origin + forms[:, -1]
    slope = forms[:, :-1] @ direction
    best: Fraction | None = None
    for s, v, d in zip(signs, value, slope):
        if s * d < 0:
            t = -v / d
            if t < 1 and (best is None or t < best):
                best = t
    return best


@closed
@dataclass(frozen=True)
class PathRegions:
    """Regions along a polygonal path; made by `path_regions`.

    Attributes
    ----------
    segments : tuple of SegmentRegions
        One for each pair of consecutive points.
    """

    segments: tuple[SegmentRegions, ...]

    @property
    def n_regions(self) -> int:
        """Pieces along the path, those on both sides of a corner counted once when their signs agree."""
        total = sum(s.n_regions for s in self.segments)
        joined = sum(bool((p.signs[-1] == q.signs[0]).all()) for p, q in zip(self.segments[:-1], self.segments[1:]))
        return total - joined

    @property
    def signs(self) -> SignArray:
        """(n_regions, N) int8 sign vectors in the order of the path."""
        rows: list[SignArray] = []
        for s in self.segments:
            skip = bool(rows) and bool((rows[-1] == s.signs[0]).all())
            rows.extend(s.signs[1:] if skip else s.signs)
        return np.array(rows, dtype=np.int8)

    @property
    def sentence(self) -> str:
        """What lies along the path, and how sure."""
        return _told("path", sum(s.n_regions for s in self.segments))

    def __str__(self) -> str:
        return self.sentence


def _told(what: str, pieces: int) -> str:
    if pieces == 1:
        return f"The network is affine along the whole {what}: one piece, certified."
    return (
        f"The {what} crosses {words.count(pieces, 'piece')} on each of which the network is affine; where pieces meet, and which neuron changes sign "
        "there, is certified."
    )


@within_budget
def path_regions(
    network: ReLUNetwork | PiecewiseLinearNetwork, points: Any, *, budget: Budget | None = None
) -> PathRegions:
    """Every piece of a polygonal path on which the network is affine.

    Parameters
    ----------
    network : ReLUNetwork
    points : (m, n0) float64
        At least two corners, consecutive ones different.

    Examples
    --------
    >>> import polyfiber as pf
    >>> net = pf.ReLUNetwork.random((4, 8, 8, 1), rng=0)
    >>> p = pf.path_regions(net, [[0, 0, 0, 0], [1, 0, 0, 0], [1, 1, 0, 0]])
    >>> len(p.segments), p.n_regions == len(p.signs)
    (2, True)
    """
    network = require_network(network)
    corners = points_of(points, network.architecture[0])
    if corners.ndim != 2 or len(corners) < 2:
        raise ShapeError(f"a path needs at least two points, (m, n0); found shape {corners.shape}")
    return PathRegions(tuple(segment_regions(network, p, q) for p, q in zip(corners[:-1], corners[1:])))


__all__ = ["PathRegions", "SegmentRegions", "path_regions", "segment_regions"]
