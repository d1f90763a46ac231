"""Geodesics between two matrices: closed forms where they hold, else shooting with continuation, else collocation.

A geodesic found here is a solution of the boundary value problem; it is a *local* minimum of length at best. Evidence
for more is attached: the chord bound (:mod:`polyfiber.dln.geodesics.straight`) and whether a closed form is known to be shortest.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ..._typing import FloatArray
from ...errors import InputError, ShapeError, SolverError
from .._inputs import as_depth, as_finite, as_matrix, as_positive
from ..space.metrics import Metric, metric, require_full_rank
from ..space.submersion import lift, product, pull, push
from .explicit import ExplicitPath, explicit_path
from .hamilton import BoundaryError, integrate, vector_field
from .straight import shortest_chord


@dataclass(frozen=True)
class Geodesic:
    """A geodesic of (GL_d, g^N) from ``start`` to ``end`` in unit time, with the evidence for it.

    Attributes
    ----------
    start, end : float64 (d, d)
    depth : int or inf
    velocity : float64 (d, d)
        At the start: the logarithm of ``end`` at ``start``.
    momentum : float64 (d, d)
        ``A^{-1}`` of the velocity; the Euclidean gradient of half the squared distance is minus this.
    length : float
    method : str
        Name of the closed form, "shooting", "continuation" or "collocation".
    residual : float
        Metric size of the miss at the end, divided by the length; zero for a closed form.
    chord : float
        Length of the shortest straight line found between the fibres; a lower bound of the distance where it is the
        shortest of all (``chord_is_bound``). NaN for infinite depth, where there is no space upstairs.
    chord_is_bound : bool
    shortest : bool
        True only where a theorem says so (a closed form marked shortest, or length equal to a proven chord bound).
    stats : dict
        ``integrations``, ``jacobians``, ``continuation_steps``.
    """

    start: FloatArray
    end: FloatArray
    depth: float
    velocity: FloatArray
    momentum: FloatArray
    length: float
    method: str
    residual: float
    chord: float
    chord_is_bound: bool
    shortest: bool
    stats: dict[str, int] = field(default_factory=dict)
    _path: Callable[[float], FloatArray] | None = field(default=None, repr=False, compare=False)

    def __call__(self, t: npt.ArrayLike) -> FloatArray:
        """Points at times in [0, 1]: (d, d) for a number, (T, d, d) for an array.

        Closed forms are evaluated, others integrated (one integration for all times).
        """
        times = as_finite(t, name="t")
        if times.ndim > 1 or (times < 0).any() or (times > 1).any():
            raise InputError("t must be a number or a list of numbers in [0, 1]; use exponential beyond the end point")
        if self._path is not None:
            points = [self._path(float(s)) for s in np.atleast_1d(times)]
            return points[0] if times.ndim == 0 else np.stack(points) if points else np.zeros((0, *self.start.shape))
        order = np.unique(np.atleast_1d(times))
        path = integrate(self.start, self.momentum, self.depth, order, tolerance=1e-12)
        result = path.X[np.searchsorted(order, np.atleast_1d(times))]
        return np.asarray(result[0] if times.ndim == 0 else result)

    def lift(self, t: npt.ArrayLike, *, start: npt.ArrayLike | None = None) -> FloatArray:
        """Horizontal lift to balanced networks at increasing times, (T, N, d, d), from a network over the start."""
        from .hamilton import lift_path

        if math.isinf(self.depth):
            raise InputError("at infinite depth there is no space of networks to lift to")
        first = lift(self.start, int(self.depth)) if start is None else start
        return lift_path(self.start, self.momentum, t, start=first)


def geodesic(
    W0: npt.ArrayLike,
    W1: npt.ArrayLike,
    depth: float,
    *,
    tolerance: float = 1e-9,
    explicit: bool = True,
    starts: int = 1,
    guess: npt.ArrayLike | None = None,
) -> Geodesic:
    """Geodesic of the deep linear network of depth N between two invertible matrices.

    Parameters
    ----------
    W0, W1 : array_like (d, d)
        Of full rank, with determinants of equal sign (GL_d has two components).
    depth : int >= 1 or math.inf
    tolerance : float
        Size of the miss at W1, relative to the length, at which the iteration stops.
    explicit : bool
        Use closed forms where they hold.
    starts : int
        Number of chords between the fibres to start from; the shortest solution is returned.
    guess : array_like (d, d), optional
        Initial momentum to start from (for instance from a neighbouring problem); where it leads to a solution, no
        chord is computed.

    Returns
    -------
    Geodesic

    Raises
    ------
    InputError
        Singular end points, determinants of different sign, entries that are not finite, depth below one.
    SolverError
        If neither shooting, continuation nor collocation reaches the tolerance. This can happen when every short path
        passes close to a singular matrix: the space is not complete, and a minimal path need not exist.

    Notes
    -----
    Order of methods: closed form; damped quasi-Newton shooting from the chord velocity, with an exact Jacobian when
    progress stalls; continuation of the end point along the image of the chord; collocation
    (``scipy.integrate.solve_bvp``). Cost for d = 10, N = 4: about a second. Chen (arXiv 2510.07324), Theorem 2.1; the
    condition of its Theorem 2.3 is not sufficient for N >= 3 and is not used.

    Examples
    --------
    >>> import numpy as np
    >>> import polyfiber as pf
    >>> g = pf.dln.geodesic(np.diag([4.0, 1.0]), np.diag([1.0, 1.0]), 2)
    >>> round(g.length, 12) == round(2**0.5, 12), g.shortest
    (True, True)
    >>> bool(np.allclose(g(0.5), np.diag([2.25, 1.0])))
    True
    """
    n = as_depth(depth, infinite=True)
    goal = as_positive(tolerance, name="tolerance")
    a = as_matrix(W0, name="W0", square=True)
    b = as_matrix(W1, name="W1", square=True)
    if a.ndim != 2 or a.shape != b.shape:
        raise ShapeError(
            f"expected two matrices (d, d) of one size, found {a.shape} and {b.shape}", shapes=(a.shape, b.shape)
        )
    if isinstance(starts, bool) or int(starts) != starts or starts < 1:
        raise InputError(f"starts is {starts!r}; expected an integer >= 1")
    g0, g1 = metric(a, n), metric(b, n)
    if n > 1:
        _check_connected(g0, g1)
    closed = explicit_path(a, b, n) if explicit or n == 1 else None
    if np.array_equal(a, b):
        closed = ExplicitPath(lambda t: a.copy(), np.zeros_like(a), 0.0, "constant", True)
    direct: Geodesic | None = None
    if closed is not None:
        momentum = g0.solve(closed.velocity)
        if closed.shortest:  # then its lift is the shortest chord (a theorem for each of the forms so marked)
            length = closed.length
            finite = not math.isinf(n)
            return Geodesic(
                a, b, n, closed.velocity, momentum, length, closed.name, 0.0,
                length if finite else math.nan, finite, True, {}, closed.at,
            )  # fmt: skip
    solver = _Solver(g0, g1, n, goal)
    chord, bound = math.nan, False
    best: tuple[FloatArray, float, float, str] | None = None
    if guess is not None:
        first = as_matrix(guess, name="guess")
        if first.shape != a.shape:
            raise ShapeError(f"guess has shape {first.shape}; expected {a.shape}", shape=first.shape)
        found = solver.shoot(solver.coordinates(first), g1)
        if found is not None:
            best = (solver.momentum(found[0]), float(np.linalg.norm(found[0])), found[1], "shooting")
    if best is None:
        chord, bound, velocities = _chords(a, b, n, int(starts))
        if closed is not None:
            proven = bound and closed.length <= chord * (1.0 + 1e-12)
            direct = Geodesic(
                a, b, n, closed.velocity, momentum, closed.length, closed.name, 0.0, chord, bound, proven, {}, closed.at
            )
            if closed.length <= chord * (1.0 + 1e-9):
                return direct
        for velocity in velocities:
            candidate = solver.solve(g0.solve(velocity))
            if candidate is not None and (best is None or candidate[1] < best[1] * (1.0 - 1e-9)):
                best = candidate
    if best is None and direct is None:
        raise SolverError(
            f"no geodesic found between the matrices at depth {n}: shooting, continuation and collocation all failed "
            f"({solver.stats['integrations']} integrations); smallest singular values "
            f"{g0.frame.values[-1]:.3g} and {g1.frame.values[-1]:.3g}. Try an intermediate matrix, or more starts",
            status="failed",
            stats=dict(solver.stats),
        )
    if best is None or (direct is not None and direct.length <= best[1] * (1.0 + 1e-9)):
        assert direct is not None
        return direct
    momentum, length, residual, method = best
    return Geodesic(
        a,
        b,
        n,
        g0.apply(momentum),
        momentum,
        length,
        method,
        residual,
        chord,
        bound,
        bool(bound and length <= chord * (1.0 + 1e-9)),
        dict(solver.stats),
    )


def distance(
    W0: npt.ArrayLike, W1: npt.ArrayLike, depth: float, *, tolerance: float = 1e-9, starts: int = 1
) -> float | FloatArray:
    """Length of the geodesic found between invertible matrices; see :func:`geodesic` for its evidence.

    An upper bound of the distance of (GL_d, g^N) by construction. For depth 2 on positive matrices it is ``sqrt(2)``
    times the Bures-Wasserstein distance.

    Parameters
    ----------
    W0, W1 : array_like (..., d, d)
        Batches broadcast; each pair is a boundary value problem of its own.
    depth, tolerance, starts
        As in :func:`geodesic`.

    Returns
    -------
    float or float64 (...)

    Raises
    ------
    InputError, SolverError
        As :func:`geodesic`.

    Examples
    --------
    >>> import polyfiber as pf
    >>> round(pf.dln.distance([[1.0]], [[8.0]], 3), 12) == round(3**0.5, 12)     # sqrt(3) (8^(1/3) - 1)
    True
    """
    a = as_matrix(W0, name="W0", square=True)
    b = as_matrix(W1, name="W1", square=True)
    if a.ndim == b.ndim == 2:
        return geodesic(a, b, depth, tolerance=tolerance, starts=starts).length
    if a.shape[-2:] != b.shape[-2:]:
        raise ShapeError(f"expected matrices of one size, found {a.shape} and {b.shape}", shapes=(a.shape, b.shape))
    try:
        a, b = np.broadcast_arrays(a, b)
    except ValueError:
        raise ShapeError(f"the batches {a.shape[:-2]} and {b.shape[:-2]} do not broadcast") from None
    result = np.empty(a.shape[:-2])
    for index in np.ndindex(result.shape):
        result[index] = geodesic(a[index], b[index], depth, tolerance=tolerance, starts=starts).length
    return result


def logarithm(W0: npt.ArrayLike, W1: npt.ArrayLike, depth: float, *, tolerance: float = 1e-9) -> FloatArray:
    """Initial velocity at W0 of the geodesic found to W1; inverse of :func:`polyfiber.dln.exponential`."""
    return geodesic(W0, W1, depth, tolerance=tolerance).velocity


@dataclass(frozen=True)
class NetworkInterpolation:
    """Networks along a geodesic between two linear networks.

    Attributes
    ----------
    weights : float64 (T, N, d, d)
        Balanced networks over the geodesic: its horizontal lift from the start.
    products : float64 (T, d, d)
        End-to-end matrices.
    geodesic : Geodesic
    gauge_gap : float
        Frobenius distance of the last network to the given end network, both over the same matrix: the gauge
        difference that no path of shortest length removes.
    """

    weights: FloatArray
    products: FloatArray
    geodesic: Geodesic
    gauge_gap: float


def interpolate_networks(
    start: npt.ArrayLike, end: npt.ArrayLike, *, t: npt.ArrayLike = (0.0, 0.25, 0.5, 0.75, 1.0), tolerance: float = 1e-9
) -> NetworkInterpolation:
    """Interpolate two balanced linear networks along the geodesic of their end-to-end matrices.

    Parameters
    ----------
    start, end : array_like (N, d, d)
        Balanced networks (project others with :func:`polyfiber.dln.project_balanced` first).
    t : array_like (T,)
        Increasing times in [0, 1].

    Raises
    ------
    InputError
        If a network is not balanced, or the end-to-end matrices cannot be joined (see :func:`geodesic`).

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.dln import interpolate_networks, lift
    >>> path = interpolate_networks(lift(np.eye(2), 3), lift(8 * np.eye(2), 3), t=[0.0, 1.0])
    >>> bool(np.allclose(path.weights[1], 2 * np.eye(2)))
    True
    """
    from .._inputs import as_stack
    from ..space.balanced import imbalance

    first, last = as_stack(start), as_stack(end)
    if first.ndim != 3 or first.shape != last.shape:
        raise ShapeError(f"expected two networks (N, d, d) of one shape, found {first.shape} and {last.shape}")
    for name, stack in (("start", first), ("end", last)):
        off = float(imbalance(stack))
        if off > 1e-8:
            raise InputError(f"the network `{name}` is not balanced (relative imbalance {off:.3g}); project it first")
    times = as_finite(t, name="t")
    if times.ndim != 1 or times.size == 0 or (np.diff(times) <= 0).any() or times[0] < 0 or times[-1] > 1:
        raise InputError("t must be an increasing list of numbers in [0, 1]")
    path = geodesic(product(first), product(last), first.shape[0], tolerance=tolerance)
    if path.length == 0.0:
        weights = np.broadcast_to(first, (times.size, *first.shape)).copy()
    else:
        grid = times if times[-1] == 1.0 else np.append(times, 1.0)
        weights = path.lift(grid, start=first)
    final = weights[-1]
    weights = weights[: times.size]
    return NetworkInterpolation(weights, product(weights), path, float(np.linalg.norm(final - last)))


def _check_connected(g0: Metric, g1: Metric) -> None:
    require_full_rank(g0.frame, name="W0")
    require_full_rank(g1.frame, name="W1")
    signs = np.linalg.slogdet(g0.W)[0], np.linalg.slogdet(g1.W)[0]
    if signs[0] != signs[1]:
        raise InputError(
            f"the determinants have different signs ({signs[0]:+.0f}, {signs[1]:+.0f}): the matrices lie in different "
            "components of GL_d and no geodesic joins them; reflect one of them (multiply by diag(-1, 1, ..., 1))",
            signs=signs,
        )


def _chords(a: FloatArray, b: FloatArray, n: float, starts: int) -> tuple[float, bool, list[FloatArray]]:
    """Length of the best chord, whether it is a proven bound, and the velocities ``d phi`` of the chords."""
    if math.isinf(n):
        chord_depth, scale = 8, 8.0  # a deep finite chord is a good first guess; no bound
    else:
        chord_depth, scale = int(n), 1.0
    best = shortest_chord(a, b, chord_depth, starts=6 if scale == 1.0 else 1)
    chords = [best]
    for seed in range(1, starts):
        chords.append(shortest_chord(a, b, chord_depth, starts=2, rng=seed))
    velocities = [push(c.start, c.end - c.start) for c in chords]
    distinct: list[FloatArray] = []
    for v in velocities:
        if all(np.linalg.norm(v - w) > 1e-6 * np.linalg.norm(w) for w in distinct):
            distinct.append(v)
    if scale != 1.0:
        return math.nan, False, distinct
    return best.length, best.global_minimum, distinct


class _Solver:
    """The boundary value problem ``X(1; W0, P) = W1`` in metric coordinates at both ends."""

    def __init__(self, g0: Metric, g1: Metric, depth: float, tolerance: float) -> None:
        self.g0, self.g1, self.depth, self.tolerance = g0, g1, depth, tolerance
        self.accuracy = min(1e-10, 0.03 * tolerance)
        self.d = g0.W.shape[-1]
        self.stats: dict[str, int] = {"integrations": 0, "jacobians": 0, "continuation_steps": 0}

    # coordinates: z = A_0^{1/2} P in the frame of W0 (Euclidean length = length of the geodesic)
    def momentum(self, z: FloatArray) -> FloatArray:
        d = self.d
        coordinates = z.reshape(*z.shape[:-1], d, d) / np.sqrt(self.g0.coefficients)
        return np.asarray(self.g0.frame.out(coordinates))

    def coordinates(self, momentum: FloatArray) -> FloatArray:
        return np.asarray(np.sqrt(self.g0.coefficients) * self.g0.frame.into(momentum)).ravel()

    def end(self, z: FloatArray) -> FloatArray:
        self.stats["integrations"] += 1
        p = self.momentum(z)
        x = np.broadcast_to(self.g0.W, p.shape)
        path = integrate(np.ascontiguousarray(x), p, self.depth, np.array([1.0]), tolerance=self.accuracy, limit=2500)
        return path.X[-1]

    def miss(self, x: FloatArray, target: Metric) -> FloatArray:
        r = target.frame.into(target.W - x) / np.sqrt(target.coefficients)
        return r.reshape(*x.shape[:-2], -1)

    def jacobian(self, z: FloatArray, target: Metric) -> FloatArray:
        """Derivative of the end point (in coordinates of the target) by central differences, one batched integration."""
        self.stats["jacobians"] += 1
        h = 1e-5 * max(float(np.linalg.norm(z)), 1e-3)
        steps = h * np.eye(z.size)
        ends = self.end(np.concatenate([z + steps, z - steps]))
        m = -self.miss(ends, target)
        return np.asarray((m[: z.size] - m[z.size :]).T / (2.0 * h))

    def cheap_jacobian(self, z: FloatArray, target: Metric) -> FloatArray:
        """Derivative of the end of the straight horizontal line upstairs: exact for short geodesics."""
        depth = 8 if math.isinf(self.depth) else int(self.depth)
        w = lift(self.g0.W, depth)
        p = self.momentum(z)
        scale = 1.0 / depth if math.isinf(self.depth) else 1.0
        moved = w + scale * pull(w, p)
        basis = self.momentum(np.eye(z.size))
        directions = scale * pull(w[None], basis)
        images = push(moved[None], directions)
        coordinates = target.frame.into(images) / np.sqrt(target.coefficients)
        return np.asarray(coordinates.reshape(z.size, -1).T)

    def solve(self, momentum: FloatArray) -> tuple[FloatArray, float, float, str] | None:
        z = self.coordinates(momentum)
        found = self.shoot(z, self.g1)
        method = "shooting"
        if found is None:
            found = self.continuation(z)
            method = "continuation"
        if found is None:
            for guess in self.other_guesses(z):
                found = self.shoot(guess, self.g1)
                method = "shooting"
                if found is not None:
                    break
        if found is None:
            found = self.collocation(z)
            method = "collocation"
        if found is None:
            return None
        z, residual = found
        return self.momentum(z), float(np.linalg.norm(z)), residual, method

    def shoot(self, z: FloatArray, target: Metric, *, goal: float | None = None) -> tuple[FloatArray, float] | None:
        """Damped Broyden iteration; the Jacobian is recomputed by differences when a step fails to help."""
        goal = self.tolerance if goal is None else goal
        try:
            r = self.miss(self.end(z), target)
        except BoundaryError:
            return None
        size = float(np.linalg.norm(r))
        j = self.cheap_jacobian(z, target)
        fresh, fails = False, 0
        for _ in range(60):
            scale = max(float(np.linalg.norm(z)), 1e-12)
            if size <= goal * scale:
                return z, size / scale
            try:
                dz = np.linalg.solve(j, r)
            except np.linalg.LinAlgError:
                dz = np.full_like(r, np.nan)
            step, accepted = 1.0, False
            reach = 0.5 * scale + 2.0 * size
            if not np.isfinite(dz).all():
                dz = np.zeros_like(r)
            if np.linalg.norm(dz) > reach:
                dz *= reach / np.linalg.norm(dz)
            while step > (1e-3 if fresh else 0.2):
                try:
                    trial = self.miss(self.end(z + step * dz), target)
                except BoundaryError:
                    step *= 0.4
                    continue
                trial_size = float(np.linalg.norm(trial))
                if trial_size < (1.0 - 0.3 * step) * size:
                    accepted = True
                    break
                step *= 0.4
            if not accepted:
                if fresh:
                    fails += 1
                    return (z, size / scale) if size <= 10.0 * goal * scale else None
                try:
                    j = self.jacobian(z, target)
                except BoundaryError:
                    return None
                fresh = True
                continue
            s = step * dz
            y = r - trial  # change of the end point along s
            j = j + np.outer(y - j @ s, s) / float(s @ s)
            z, r, size, fresh = z + s, trial, trial_size, False
        return None

    def continuation(self, z: FloatArray) -> tuple[FloatArray, float] | None:
        """Move the end point from W0 to W1 along a curve of invertible matrices, solving on the way."""
        curve = self._curve()
        s, ds = 0.0, 0.25
        current = np.zeros_like(z)
        while s < 1.0:
            nxt = min(1.0, s + ds)
            target = metric(curve(nxt), self.depth) if nxt < 1.0 else self.g1
            guess = current * (nxt / s) if s > 0 else nxt * z
            found = self.shoot(guess, target, goal=self.tolerance if nxt == 1.0 else 1e-4)
            self.stats["continuation_steps"] += 1
            if found is None:
                ds *= 0.5
                if ds < 1e-3:
                    return None
                continue
            current, residual = found
            s = nxt
            ds *= 1.5
        return current, residual

    def _curve(self) -> Callable[[float], FloatArray]:
        """A curve of invertible matrices from W0 to W1: the image of a chord, or polar interpolation."""
        depth = 8 if math.isinf(self.depth) else int(self.depth)
        chord = shortest_chord(self.g0.W, self.g1.W, depth)
        grid = np.linspace(0.0, 1.0, 41)
        images = product(chord.start + grid[:, None, None, None] * (chord.end - chord.start))
        signs = np.linalg.slogdet(images)[0]
        if (signs == signs[0]).all():
            return lambda t: product(chord.start + t * (chord.end - chord.start))
        return self._polar_curve()

    def _polar_curve(self) -> Callable[[float], FloatArray]:
        """``X(t) = O exp(t log R) ((1-t) A + t B)``: rotate the polar factor, interpolate the stretch; never singular."""
        from scipy.linalg import expm

        u, s0, vt = np.linalg.svd(self.g0.W)
        turn, a = u @ vt, (vt.T * s0) @ vt
        p, s1, qt = np.linalg.svd(self.g1.W)
        turn1, b = p @ qt, (qt.T * s1) @ qt
        rotation = _rotation_logarithm(turn.T @ turn1)
        return lambda t: np.asarray(turn @ expm(t * rotation) @ ((1.0 - t) * a + t * b))

    def other_guesses(self, z: FloatArray) -> list[FloatArray]:
        """Further starting points: the velocity of the polar curve, and perturbations that break symmetries."""
        curve = self._polar_curve()
        h = 1e-6
        guesses = [self.coordinates(self.g0.solve((curve(h) - curve(0.0)) / h))]
        generator = np.random.default_rng(0)
        for base in (z, guesses[0]):
            noise = generator.standard_normal(z.size)
            guesses.append(base + 0.3 * np.linalg.norm(base) * noise / np.linalg.norm(noise))
        return guesses

    def collocation(self, z: FloatArray) -> tuple[FloatArray, float] | None:
        """scipy's solve_bvp on (X, P), started on the continuation curve, polished by shooting."""
        from scipy.integrate import solve_bvp

        curve = self._curve()
        d, n = self.d, self.d**2
        times = np.linspace(0.0, 1.0, 21)
        x = np.stack([curve(float(t)) for t in times])
        velocity = np.gradient(x, times, axis=0)
        p = np.asarray(metric(x, self.depth).solve(velocity))
        w0, w1 = self.g0.W.ravel(), self.g1.W.ravel()

        def right(t: FloatArray, y: FloatArray) -> FloatArray:
            m = y.T
            dx, dp = vector_field(m[:, :n].reshape(-1, d, d), m[:, n:].reshape(-1, d, d), self.depth)
            return np.concatenate([dx.reshape(-1, n), dp.reshape(-1, n)], axis=1).T

        def ends(left: FloatArray, final: FloatArray) -> FloatArray:
            return np.concatenate([left[:n] - w0, final[:n] - w1])

        y0 = np.concatenate([x.reshape(-1, n), p.reshape(-1, n)], axis=1).T
        try:
            with np.errstate(all="ignore"):
                solution: Any = solve_bvp(right, ends, times, y0, tol=1e-6, max_nodes=4000)
        except (np.linalg.LinAlgError, ValueError, FloatingPointError):
            return None
        if solution.status != 0 or not np.isfinite(solution.y).all():
            return None
        return self.shoot(self.coordinates(solution.y[n:, 0].reshape(d, d)), self.g1)


def _rotation_logarithm(R: FloatArray) -> FloatArray:
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
