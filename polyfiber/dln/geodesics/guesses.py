"""Curves of one rank between two matrices, to start a boundary value problem from; different ones may wind differently.

* ``straight``: the segment between the matrices, where they are close to each other against their distance to lower
  rank.
* ``chord``: image of a straight line between balanced networks over the ends, from several alignments of their gauges.
* ``frames``: singular vectors turn at constant speed, for the cheapest choices of their signs; the radius of the metric
  cone follows the straight line in the plane that the two radii and the angle between them span.
* ``polar``: the polar factor turns, the stretch is interpolated (full rank).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..._typing import FloatArray, RngLike
from ..._values.checked import generator_of
from ...budget import heed, until_late
from ...kernels.linear.chords import align
from ..space.balanced import polar_factor
from ..spectral import operator_coefficients
from .reduction import End

DEEP = 8
"""Depth of the chords that start infinitely deep problems."""

_COMPILED = 24
"""Greatest size of gauges that compiled code aligns."""


@dataclass(frozen=True)
class Guess:
    """A curve of matrices (s, s) of one rank on [0, 1], its velocity at 0, and about its length."""

    name: str
    at: Callable[[float], FloatArray]
    velocity: FloatArray
    length: float


def guesses(start: End, finish: End, difference: FloatArray, depth: float, *, chords: int = 4) -> list[Guess]:
    """Guesses for a pair inside a reduction, the shortest first; ``difference`` is ``finish.W - start.W`` unrounded."""
    found: list[Guess] = []
    near = start.vector(difference)
    if float(np.linalg.norm(near)) < 0.3 * min(start.reach(depth), finish.reach(depth), 1e300):
        found.append(
            Guess("straight", lambda t: start.W + t * difference, start.tangent(near), float(np.linalg.norm(near)))
        )
        if found[0].length < 1e-6 * start.reach(depth):
            return found
    found += aligned_chords(start, finish, depth, starts=chords)
    found += turning_frames(start, finish, depth)
    if start.shape == (start.rank, start.rank):
        found.append(_polar_turn(start, finish, depth))
    return sorted(found, key=lambda g: g.length)


def thin_chord(
    start: End, finish: End, n: int, h: FloatArray, *, limit: int = 500
) -> tuple[list[FloatArray], list[FloatArray], float]:
    """Networks with hidden widths r over both ends, the second turned by the best gauge found from h (n - 1, r, r).

    Determinants of square layers keep their signs along a path of rank r, so all gauges have one determinant, that of
    h[0].
    """
    r = start.rank
    l0, l1 = (e.values[:r] ** (1.0 / n) for e in (start, finish))
    u0, v0, u1, v1 = start.left[:, :r], start.right[:, :r], finish.left[:, :r], finish.right[:, :r]
    ends = np.ascontiguousarray(np.stack([v0.T @ v1, u0.T @ u1]))
    h = np.ascontiguousarray(h)
    if n > 1:
        sign, rounds = float(np.sign(np.linalg.det(h[0]))), max(5, min(limit, 10 * limit // n))
        if r > _COMPILED:
            _align_large(l0, l1, ends, sign, h, rounds)
        else:
            until_late(
                lambda stop: align(l0, l1, ends, sign, h, rounds, stop), "aligning chords", 50 * rounds * n * r**3
            )
    first = [np.diag(l0) @ v0.T, *[np.diag(l0)] * (n - 2), u0 * l0] if n > 1 else [(u0 * l0) @ v0.T]
    second = (
        [h[0] @ np.diag(l1) @ v1.T, *((h[p] * l1) @ h[p - 1].T for p in range(1, n - 1)), (u1 * l1) @ h[-1].T]
        if n > 1
        else [(u1 * l1) @ v1.T]
    )
    return first, second, math.sqrt(sum(float(((a - b) ** 2).sum()) for a, b in zip(first, second, strict=True)))


def _align_large(l0: FloatArray, l1: FloatArray, ends: FloatArray, sign: float, h: FloatArray, rounds: int) -> None:
    """What the kernel `align` does, with singular value decompositions of the library: faster for large matrices."""
    last, weight = -math.inf, l0[:, None] * l1
    for _ in range(rounds):
        for p in range(len(h)):
            heed("aligning chords")
            before, after = h[p - 1] if p else ends[0], h[p + 1] if p + 1 < len(h) else ends[1]
            u, _, vt = np.linalg.svd(weight * (before + after))
            if np.linalg.det(u) * np.linalg.det(vt) * sign < 0:
                u[:, -1] *= -1.0
            h[p] = u @ vt
        around = np.concatenate([ends[:1], h, ends[1:]])
        gain = float((weight * around[:-1] * around[1:]).sum())
        if gain - last <= 1e-14 * abs(gain):
            return
        last = gain


def gauge_starts(start: End, finish: End, n: int, count: int, *, rng: RngLike = 0) -> Iterator[FloatArray]:
    """Gauges (n - 1, r, r) to align from: from one end's frame to the other's at constant speed, then random ones.

    Where a layer at an end is square its determinant settles that of all gauges; else both signs have their turn.
    """
    r = start.rank
    before = polar_factor(start.right[:, :r].T @ finish.right[:, :r])
    after = polar_factor(start.left[:, :r].T @ finish.left[:, :r])
    rows, columns = start.shape
    signs = [float(np.sign(np.linalg.det(g))) for g, k in ((after, rows), (before, columns)) if k == r]
    generator = generator_of(rng)

    def with_sign(g: FloatArray, sign: float) -> FloatArray:
        """The gauge, its last direction turned round where the determinant has the other sign."""
        g = np.array(g)
        g[..., :, -1] *= np.where(np.linalg.det(g) * sign < 0, -1.0, 1.0)[..., None]
        return g

    for i in range(count):
        for sign in signs[:1] or (1.0, -1.0):
            first, last = with_sign(before, sign), with_sign(after, sign)
            if i == 0:
                turned = turn_by(rotation_logarithm(first.T @ last))
                yield np.stack([first @ turned(p / n) for p in range(1, n)])
            elif i == 1:
                yield np.stack([last] * (n - 1))
            else:
                yield with_sign(np.linalg.qr(generator.standard_normal((n - 1, r, r)))[0], sign)


def aligned_chords(start: End, finish: End, depth: float, *, starts: int) -> list[Guess]:
    """The distinct chords found from several gauges."""
    n = DEEP if math.isinf(depth) else int(depth)
    out: list[Guess] = []
    for h in gauge_starts(start, finish, n, 1 if n <= 2 else starts):
        a, b, length = thin_chord(start, finish, n, h)
        below = [np.eye(start.W.shape[0])]
        for w in a:
            below.append(w @ below[-1])
        above, velocity = np.eye(start.W.shape[0]), np.zeros_like(start.W)
        for p in range(n - 1, -1, -1):
            velocity = velocity + above @ (b[p] - a[p]) @ below[p]
            above = above @ a[p]
        if any(np.linalg.norm(velocity - g.velocity) < 1e-6 * np.linalg.norm(velocity) for g in out):
            continue

        def at(t: float, a: list[FloatArray] = a, b: list[FloatArray] = b) -> FloatArray:
            x = (1.0 - t) * a[0] + t * b[0]
            for p in range(1, len(a)):
                x = ((1.0 - t) * a[p] + t * b[p]) @ x
            return x

        scale = math.sqrt(DEEP) if math.isinf(depth) else 1.0
        out.append(Guess("chord", at, velocity, scale * length))
    return out


def turning_frames(start: End, finish: End, depth: float, *, keep: int = 3) -> list[Guess]:
    """Curves along which singular vectors turn at constant speed, for the ``keep`` cheapest signs of the vectors."""
    return [_turning(start, finish, depth, *turn) for turn in _turns(start, finish, depth)[:keep]]


def longer_turns(start: End, finish: End, depth: float, *, most: int = 12) -> Iterator[Guess]:
    """Turns that `guesses` does not try: dearer signs, and one plane of a frame or polar factor the long way round."""
    turns = _turns(start, finish, depth)
    weights = _turn_weights(start, finish, depth)
    others = turns[3:most]
    for _, omega, eta in turns[:2]:
        for left, right in ((_long_way(omega), eta), (omega, _long_way(eta))):
            others.append((_turn_cost(weights, left, right), left, right))
    if start.shape == (start.rank, start.rank):
        yield _polar_turn(start, finish, depth, far=True)
    for turn in sorted(others, key=lambda turn: turn[0]):
        yield _turning(start, finish, depth, *turn)


def _turn_weights(start: End, finish: End, depth: float) -> tuple[FloatArray, FloatArray]:
    """Inverse coefficients of the metric half way, off the diagonal, and the singular values there."""
    n = DEEP if math.isinf(depth) else int(depth)
    l0, l1 = (e.values ** (1.0 / n) for e in (start, finish))
    middle = (0.5 * (l0 + l1)) ** n
    a = operator_coefficients(middle[:, None], middle, n)
    off = np.arange(len(middle))[:, None] != np.arange(len(middle))
    with np.errstate(divide="ignore"):
        return np.where(start.mask & off, 1.0 / a, 0.0), middle


def _turn_cost(weights: tuple[FloatArray, FloatArray], omega: FloatArray, eta: FloatArray) -> float:
    """Squared speed of the turn half way: of ``omega Sigma - Sigma eta`` without its diagonal."""
    weight, middle = weights
    z = omega * middle - middle[:, None] * eta
    return float((weight * z * z).sum())


def _turns(start: End, finish: End, depth: float) -> list[tuple[float, FloatArray, FloatArray]]:
    """Logarithms of the turns of both singular frames for different signs of the vectors, the cheapest first."""
    r, s = start.rank, len(start.values)
    weights = _turn_weights(start, finish, depth)
    options: list[tuple[float, FloatArray, FloatArray]] = []
    patterns = itertools.product((1.0, -1.0), repeat=r) if r <= 6 else _few_signs(r)
    for signs in patterns:
        heed("turning frames")
        logs = []
        for e0, e1, k in ((start.left, finish.left, start.shape[0]), (start.right, finish.right, start.shape[1])):
            turn = e0[:k, :k].T @ e1[:k, :k]
            turn[:, :r] *= signs
            if r < k:  # the rest of the frame may turn freely: as little as possible
                turn[:, r:] = turn[:, r:] @ polar_factor(turn[r:, r:]).T
                turn[:, -1] *= np.sign(np.linalg.det(turn))
            elif np.linalg.det(turn) < 0:
                break
            log = np.zeros((s, s))
            log[:k, :k] = rotation_logarithm(turn)
            logs.append(log)
        if len(logs) < 2:
            continue
        omega, eta = logs
        options.append((_turn_cost(weights, omega, eta), omega, eta))
    options.sort(key=lambda option: option[0])
    return options


def _long_way(log: FloatArray) -> FloatArray:
    """The logarithm with its largest angle theta replaced by theta - 2 pi; a full turn of the last two axes for
    zero.
    """
    values, vectors = np.linalg.eigh(1j * log)
    w = vectors[:, -1]
    plane = 2.0 * np.imag(np.outer(w, w.conj()))
    if values[-1] < 1e-9 * (1.0 + abs(values[0])):
        plane = np.zeros_like(log)
        if len(log) > 1:
            plane[0, 1], plane[1, 0] = -1.0, 1.0
    elif float(np.vdot(plane, log)) < 0:
        plane = -plane
    return np.asarray(log - 2.0 * math.pi * plane)


@dataclass(frozen=True, eq=False)
class Turning:
    """The curve whose frames turn by two logarithms; ``square`` is the squared speed of the turn half way."""

    start: End
    finish: End
    depth: float
    square: float
    omega: FloatArray
    eta: FloatArray

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process works the turns out again, as functions do not travel."""
        return Turning, (self.start, self.finish, self.depth, self.square, self.omega, self.eta)

    @cached_property
    def _parts(self) -> tuple[float, tuple[float, float], FloatArray, FloatArray, float]:
        """Depth, radii and unit vectors of the N-th roots of the singular values at both ends, and the angle
        between.
        """
        n = DEEP if math.isinf(self.depth) else int(self.depth)
        l0, l1 = (e.values ** (1.0 / n) for e in (self.start, self.finish))
        radii = math.sqrt(n * float((l0**2).sum())), math.sqrt(n * float((l1**2).sum()))
        unit0, unit1 = l0 / radii[0], l1 / radii[1]
        centre = math.sqrt(n) * float(np.linalg.norm(0.5 * (unit0 + unit1)))
        turn = self.square / (0.25 * sum(radii) ** 2) + n * float(((unit1 - unit0) ** 2).sum())
        return n, radii, unit0, unit1, min(math.sqrt(turn) / max(centre, 0.1), 3.1)

    @cached_property
    def _turns(self) -> tuple[Callable[[float], FloatArray], Callable[[float], FloatArray]]:
        return turn_by(self.omega), turn_by(self.eta)

    @property
    def guessed(self) -> float:
        """About the length, at finite depth."""
        _, (first, last), _, _, angle = self._parts
        return math.sqrt(max(first**2 + last**2 - 2.0 * first * last * math.cos(angle), 0.0))

    def _at(self, t: float) -> tuple[float, FloatArray]:
        """How much of the turn is done, and the N-th roots of the singular values."""
        n, radii, unit0, unit1, angle = self._parts
        x = (1.0 - t) * radii[0] + t * radii[1] * math.cos(angle)
        y = t * radii[1] * math.sin(angle)
        turned = math.atan2(y, x) / angle if angle > 1e-9 else t
        unit = (1.0 - turned) * unit0 + turned * unit1
        return turned, unit * (math.hypot(x, y) / (math.sqrt(n) * float(np.linalg.norm(unit))))

    def __call__(self, t: float) -> FloatArray:
        turned, roots = self._at(t)
        left, right = self._turns
        return np.asarray(
            (self.start.left @ left(turned) * roots ** self._parts[0]) @ (self.start.right @ right(turned)).T
        )

    def measured(self) -> tuple[FloatArray, float]:
        """Velocity at the start, and the length in the metric (Simpson's rule, velocities in the turning frames)."""
        n, h, pieces = self._parts[0], 1e-5, 96
        squares, velocity = np.empty(pieces + 1), np.empty_like(self.omega)
        for i, t in enumerate(np.linspace(0.0, 1.0, pieces + 1)):
            low, high = max(0.0, t - h), min(1.0, t + h)
            (before, first), (after, last) = self._at(low), self._at(high)
            roots = self._at(t)[1]
            values = roots**n
            z = (after - before) / (high - low) * (self.omega * values - values[:, None] * self.eta)
            z[np.diag_indices(len(values))] = n * roots ** (n - 1) * (last - first) / (high - low)
            a = operator_coefficients(values[:, None], values, self.depth)
            squares[i] = float((z**2 / np.where(a > 0, a, math.inf)).sum())
            if i == 0:
                velocity = self.start.left @ z @ self.start.right.T
        weights = np.where(np.arange(pieces + 1) % 2, 4.0, 2.0)
        weights[[0, -1]] = 1.0
        return velocity, float((weights * np.sqrt(squares)).sum()) / (3.0 * pieces)


def _turning(start: End, finish: End, depth: float, square: float, omega: FloatArray, eta: FloatArray) -> Guess:
    """A turn of frames to start from."""
    curve = Turning(start, finish, depth, square, omega, eta)
    step = 1e-6
    scale = math.sqrt(DEEP) if math.isinf(depth) else 1.0
    return Guess("frames", curve, (curve(step) - start.W) / step, scale * curve.guessed)


def _few_signs(r: int) -> Iterator[tuple[float, ...]]:
    """Sign patterns with at most two changes from all + or all -."""
    for base in (1.0, -1.0):
        for k in range(3):
            for flips in itertools.combinations(range(r), k):
                yield tuple(-base if i in flips else base for i in range(r))


def _polar_turn(start: End, finish: End, depth: float, *, far: bool = False) -> Guess:
    """``X(t) = O exp(t log R) ((1-t) A + t B)``: rotate the polar factor, interpolate the stretch; never singular."""
    turn, a = start.left @ start.right.T, (start.right * start.values) @ start.right.T
    turn1, b = finish.left @ finish.right.T, (finish.right * finish.values) @ finish.right.T
    rotation = rotation_logarithm(turn.T @ turn1)
    rotation = _long_way(rotation) if far else rotation
    turned = turn_by(rotation)

    def at(t: float) -> FloatArray:
        return np.asarray(turn @ turned(t) @ ((1.0 - t) * a + t * b))

    velocity = turn @ (rotation @ a + b - a)
    return Guess("polar", at, velocity, 1.2 * float(np.linalg.norm(start.vector(velocity))))


def turn_by(log: FloatArray) -> Callable[[float], FloatArray]:
    """``t -> expm(t log)`` for a skew matrix, from its eigenvectors: curves are asked for many times."""
    values, vectors = np.linalg.eigh(1j * log)
    adjoint = vectors.conj().T
    return lambda t: np.ascontiguousarray(((vectors * np.exp(-1j * t * values)) @ adjoint).real)


def rotation_logarithm(R: FloatArray) -> FloatArray:
    """A real skew L with ``expm(L) = R`` for a rotation R, eigenvalues -1 paired to half turns."""
    from scipy.linalg import schur

    t, q = schur(R, output="real")
    d = len(R)
    result = np.zeros((d, d))
    flips = []
    i = 0
    while i < d:
        if i + 1 < d and abs(t[i + 1, i]) > 1e-12:
            angle = math.atan2(t[i + 1, i], t[i, i])
            result[i + 1, i], result[i, i + 1] = angle, -angle
            i += 2
            continue
        if t[i, i] < 0:
            flips.append(i)
        i += 1
    for j, k in zip(flips[::2], flips[1::2], strict=False):
        result[k, j], result[j, k] = math.pi, -math.pi
    return np.asarray(q @ result @ q.T)
