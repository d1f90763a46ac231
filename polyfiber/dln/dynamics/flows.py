"""Gradient flow of deep linear networks, in the weights and in the end-to-end matrix.

Upstairs ``dW_p/dt = -(W_N..W_{p+1})^T E'(W) (W_{p-1}..W_1)^T``; it conserves every G_p and the rank, and on the
balanced manifold the product follows ``dW/dt = -A_{N,W}(E'(W))`` (Menon, arXiv 2411.09004, Theorems 1-3).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from ... import words
from ..._typing import FloatArray, FlowMethod
from ..._values.checked import reals_of, shown
from ...budget import Budget, Monitor
from ...errors import InputError, NumericalError, ShapeError
from ...words import one_line
from .._inputs import as_depth, as_finite, as_layers, as_matrix, as_positive, require_callable
from ..space.balanced import _one, invariants
from ..space.metrics import metric
from ..spectral import SingularFrame, singular_frame

Gradient = Callable[[FloatArray], npt.ArrayLike]


@dataclass(frozen=True)
class RankEvent:
    """A singular value of the product crosses the threshold of numerical rank.

    Examples
    --------
    >>> from polyfiber.dln import RankEvent
    >>> RankEvent(time=1.5, index=1, falling=False)
    RankEvent(time=1.5, index=1, falling=False)
    """

    time: float
    index: int
    falling: bool


@dataclass(frozen=True)
class GradientFlow:
    """A trajectory of gradient flow.

    Attributes
    ----------
    times : float64 (T,)
    products : float64 (T, d_N, d_0)
        End-to-end matrices.
    weights : tuple of float64 (T, d_p, d_{p-1})
        Layers; empty for a flow of the end-to-end matrix alone.
    drift : float
        Largest ``||G_p(t) - G_p(0)||_F / max_p ||W_p(0)||_F^2``: zero for the exact flow. NaN downstairs at full rank.
    rank_events : tuple of RankEvent
        Where ``sigma_k / sigma_1`` of the product crosses ``rank_threshold``; index k counts from zero. The exact flow
        keeps the rank at all finite times: an event is an approach to lower rank.
    evaluations : int
    steps_halved : int
        For the conserving method: how often a step was halved because its equations did not converge.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber import dln
    >>> flow = dln.gradient_flow(dln.lift(np.eye(2), 2), lambda W: W - np.diag([2.0, 1.0]), [0.0, 10.0])
    >>> flow.products[-1].round(3).tolist(), flow.drift < 1e-6
    ([[2.0, 0.0], [0.0, 1.0]], True)
    """

    __repr__ = one_line

    times: FloatArray
    products: FloatArray
    weights: tuple[FloatArray, ...]
    drift: float
    rank_events: tuple[RankEvent, ...]
    evaluations: int
    steps_halved: int = 0


def gradient_flow(
    weights: npt.ArrayLike,
    energy_gradient: Gradient,
    times: npt.ArrayLike,
    *,
    method: FlowMethod = "DOP853",
    rtol: float = 1e-9,
    atol: float = 1e-11,
    rank_threshold: float = 1e-3,
    budget: Budget | None = None,
) -> GradientFlow:
    """Gradient flow of ``E(W_N ... W_1)`` in the weights.

    Parameters
    ----------
    weights : sequence of N arrays (d_p, d_{p-1}), or array (N, d, d)
        Any layers, balanced or not.
    energy_gradient : callable
        E': (d_N, d_0) -> (d_N, d_0).
    times : array_like (T,)
        Increasing, first one the start.
    method : str
        A method of ``scipy.integrate.solve_ivp``, or "gauss": the two-stage Gauss-Legendre method, which conserves the
        (quadratic) invariants to the accuracy of its equations whatever the step; its steps are the given times.
    rtol, atol : float
    rank_threshold : float
        For the events.
    budget : Budget, optional
        Seconds.

    Returns
    -------
    GradientFlow

    Raises
    ------
    NumericalError
        If the integrator stops (stiff or exploding problems: try "Radau"), or the energy gradient is not finite.
    BudgetExceededError

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.dln import gradient_flow
    >>> flow = gradient_flow([[[1.0]], [[1.0]]], lambda W: W - 4.0, np.linspace(0, 5, 3))
    >>> bool(abs(flow.products[-1, 0, 0] - 4) < 1e-6), flow.drift < 1e-9
    (True, True)
    """
    layers = as_layers(weights)
    _one(layers)
    require_callable(energy_gradient, "energy_gradient")
    _require_method(method)
    grid = _grid(times)
    shapes = [w.shape for w in layers]
    ends = np.cumsum([0, *[w.size for w in layers]])

    def split(y: FloatArray) -> list[FloatArray]:
        return [y[..., a:b].reshape(*y.shape[:-1], *s) for a, b, s in zip(ends, ends[1:], shapes)]

    monitor = Monitor(budget)

    def right(t: float, y: FloatArray) -> FloatArray:
        monitor.check_time(f"the gradient flow at time {t:.6g}")
        ws = split(y)
        below = [np.eye(shapes[0][1])]
        for w in ws:
            below.append(w @ below[-1])
        carried = _gradient(energy_gradient, below[-1])
        out: list[FloatArray] = []
        for p in range(len(ws) - 1, -1, -1):
            out.append(-carried @ below[p].T)
            carried = ws[p].T @ carried
        return np.concatenate([v.ravel() for v in out[::-1]])

    def observe(y: FloatArray) -> FloatArray:
        ws = split(y)
        total = ws[0]
        for w in ws[1:]:
            total = w @ total
        return total

    y0 = np.concatenate([w.ravel() for w in layers])
    halved = 0
    if method == "gauss":
        states, evaluations, halved = _gauss(right, y0, grid)
        events = _events_on_grid(grid, observe(states), rank_threshold)
    else:
        states, evaluations, events = _solve(right, y0, grid, method, rtol, atol, observe, rank_threshold)
    path = tuple(split(states))
    scale = max(float((w**2).sum()) for w in layers) or 1.0
    drift = 0.0
    for g in invariants(path):
        drift = max(drift, float(np.sqrt(((g - g[0]) ** 2).sum(axis=(-2, -1))).max()) / scale)
    return GradientFlow(grid, observe(states), path, drift, events, evaluations, halved)


def observable_flow(
    W: npt.ArrayLike,
    energy_gradient: Gradient,
    times: npt.ArrayLike,
    depth: float,
    *,
    method: FlowMethod = "DOP853",
    rtol: float = 1e-9,
    atol: float = 1e-11,
    rank_threshold: float = 1e-3,
    budget: Budget | None = None,
) -> GradientFlow:
    """Gradient flow ``dW/dt = -A_{N,W}(E'(W))`` of the end-to-end matrix of a balanced network (Menon (4.11)).

    Parameters
    ----------
    W : array_like (m, n)
    energy_gradient : callable
        E': (m, n) -> (m, n).
    times : array_like (T,)
    depth : int or math.inf
        For infinite depth the flow of the limit metric (time divided by N).
    budget : Budget, optional
        Seconds.

    Returns
    -------
    GradientFlow

    Notes
    -----
    For N >= 2 the rank r of W is kept (Menon, Theorem 3). Where it is below min(m, n) the flow is that of a balanced
    network with hidden widths r, whose products cannot have a higher rank: a flow of W itself would leave the rank
    like ``exp(2 |E'| t)`` times rounding at N = 2. At N = 1 nothing keeps the rank.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.dln import observable_flow
    >>> flow = observable_flow(np.eye(2), lambda W: W - np.diag([3.0, 2.0]), [0.0, 20.0], 2)
    >>> bool(np.allclose(flow.products[-1], np.diag([3.0, 2.0])))
    True
    """
    start = as_matrix(W)
    if start.ndim != 2:
        raise ShapeError(f"one matrix at a time: W has shape {start.shape}", shape=start.shape)
    n = as_depth(depth, infinite=True)
    require_callable(energy_gradient, "energy_gradient")
    _require_method(method)
    grid = _grid(times)
    shape = start.shape
    frame = singular_frame(start)
    rank = int(frame.rank)
    if rank < min(shape) and n > 1:
        return _low_rank_flow(
            frame, rank, energy_gradient, grid, n,
            method=method, rtol=rtol, atol=atol, rank_threshold=rank_threshold, budget=budget,
        )  # fmt: skip
    monitor = Monitor(budget)

    def right(t: float, y: FloatArray) -> FloatArray:
        monitor.check_time(f"the gradient flow at time {t:.6g}")
        w = y.reshape(shape)
        if not np.isfinite(w).all():
            return np.full(w.size, np.nan)
        return -metric(w, n, tolerance=0.0).apply(_gradient(energy_gradient, w)).ravel()

    def observe(y: FloatArray) -> FloatArray:
        return y.reshape(*y.shape[:-1], *shape)

    states, evaluations, events = _solve(right, start.ravel(), grid, method, rtol, atol, observe, rank_threshold)
    return GradientFlow(grid, observe(states), (), float("nan"), events, evaluations)


def _low_rank_flow(
    frame: SingularFrame, rank: int, energy_gradient: Gradient, grid: FloatArray, depth: float, **options: Any
) -> GradientFlow:
    """The flow of the end-to-end matrix within the matrices of its rank."""
    left, values, right = frame.left[:, :rank], frame.values[:rank], frame.right[:, :rank]
    if rank == 0:
        still = np.zeros((grid.size, frame.left.shape[0], frame.right.shape[0]))
        return GradientFlow(grid, still, (), 0.0, (), 0)
    if math.isinf(depth):  # the spaces cannot turn: a flow of r x r matrices

        def inner(core: FloatArray) -> FloatArray:
            return np.asarray(left.T @ _gradient(energy_gradient, left @ core @ right.T) @ right)

        flow = observable_flow(np.diag(values), inner, grid, depth, **options)
        return replace(flow, products=left @ flow.products @ right.T)
    n = int(depth)
    strength = values ** (1.0 / n)
    middle = [np.diag(strength)] * (n - 2)
    flow = gradient_flow([strength[:, None] * right.T, *middle, left * strength], energy_gradient, grid, **options)
    return replace(flow, weights=())


def _require_method(method: Any) -> None:
    if not isinstance(method, str) or method not in get_args(FlowMethod):
        raise InputError(f"method {shown(method)} is unknown; expected one of {', '.join(get_args(FlowMethod))}")


def _solve(
    right: Callable[[float, FloatArray], FloatArray],
    y0: FloatArray,
    grid: FloatArray,
    method: str,
    rtol: float,
    atol: float,
    observe: Callable[[FloatArray], FloatArray],
    threshold: float,
) -> tuple[FloatArray, int, tuple[RankEvent, ...]]:
    from scipy.integrate import solve_ivp

    limit = as_positive(threshold, name="rank_threshold")
    shape = observe(y0).shape
    count = min(shape)

    def monitor(k: int) -> Callable[[float, FloatArray], float]:
        def crossing(t: float, y: FloatArray) -> float:
            s = np.linalg.svd(observe(y), compute_uv=False)
            return float(s[k] / s[0] - limit) if s[0] > 0 else -limit

        return crossing

    try:
        solution = solve_ivp(
            right,
            (float(grid[0]), float(grid[-1])),
            y0,
            method=method,
            t_eval=grid,
            rtol=as_positive(rtol, name="rtol"),
            atol=as_positive(atol, name="atol", zero=True),
            events=[monitor(k) for k in range(1, count)] or None,
        )
    except ValueError as error:
        if "method" in str(error):
            raise InputError(
                f"method is {method!r}; expected one of solve_ivp's methods, or 'gauss' upstairs"
            ) from None
        raise
    if solution.status < 0 or not np.isfinite(solution.y).all():
        raise NumericalError(f"the integration stopped: {solution.message}; a stiff method such as 'Radau' may help")
    events = []
    for k, (ts, ys) in enumerate(zip(solution.t_events or [], solution.y_events or []), start=1):
        for t, y in zip(ts, ys):
            falling = monitor(k)(t, y + 1e-6 * right(t, y)) < monitor(k)(t, y)
            events.append(RankEvent(float(t), k, bool(falling)))
    return solution.y.T, int(solution.nfev), tuple(sorted(events, key=lambda e: e.time))


def _events_on_grid(grid: FloatArray, products: FloatArray, threshold: float) -> tuple[RankEvent, ...]:
    s = np.linalg.svd(products, compute_uv=False)
    ratio = s / np.where(s[:, :1] > 0, s[:, :1], 1.0) - threshold
    events = []
    for k in range(1, s.shape[1]):
        for i in np.nonzero(np.sign(ratio[1:, k]) != np.sign(ratio[:-1, k]))[0]:
            events.append(RankEvent(float(grid[i + 1]), k, bool(ratio[i + 1, k] < 0)))
    return tuple(sorted(events, key=lambda e: e.time))


_SQRT3 = 3.0**0.5
_A = np.array([[0.25, 0.25 - _SQRT3 / 6.0], [0.25 + _SQRT3 / 6.0, 0.25]])
_C = np.array([0.5 - _SQRT3 / 6.0, 0.5 + _SQRT3 / 6.0])


def _gauss(
    right: Callable[[float, FloatArray], FloatArray], y0: FloatArray, grid: FloatArray
) -> tuple[FloatArray, int, int]:
    """Two-stage Gauss-Legendre method (order 4) by fixed-point iteration, halving steps that do not contract."""
    states = [y0]
    evaluations = halved = 0
    y = y0
    for t0, t1 in zip(grid, grid[1:]):
        pieces = 1
        while True:
            with np.errstate(over="ignore", invalid="ignore"):  # a diverging iteration is seen, its step halved
                trial, calls, good = _gauss_steps(right, y, float(t0), float(t1), pieces)
            evaluations += calls
            if good:
                break
            pieces *= 2
            halved += 1
            if pieces > 4096:
                raise NumericalError(
                    "the Gauss-Legendre equations do not converge: the flow is too stiff for this method"
                )
        y = trial
        states.append(y)
    return np.stack(states), evaluations, halved


def _gauss_steps(
    right: Callable[[float, FloatArray], FloatArray], y: FloatArray, t0: float, t1: float, pieces: int
) -> tuple[FloatArray, int, bool]:
    h = (t1 - t0) / pieces
    calls = 0
    for i in range(pieces):
        t = t0 + i * h
        k = np.stack([right(t, y)] * 2)
        calls += 1
        last = np.inf
        for iteration in range(60):
            new = np.stack([right(t + c * h, y + h * (a @ k)) for a, c in zip(_A, _C)])
            calls += 2
            change = float(np.abs(new - k).max())
            # what matters is the change of the state, h k, against the state
            size = max(float(np.abs(new).max()), float(np.abs(y).max()) / h, 1e-300)
            k = new
            if not change < 1e100:
                return y, calls, False
            if change <= 2e-16 * size or (change <= 1e-14 * size and change >= last):
                break
            if iteration > 3 and change >= last:
                return y, calls, False
            last = change
        else:
            return y, calls, False
        y = y + 0.5 * h * (k[0] + k[1])
    return y, calls, True


def _grid(times: npt.ArrayLike) -> FloatArray:
    grid = as_finite(times, name="times")
    if grid.ndim != 1 or grid.size < 2 or (np.diff(grid) <= 0).any():
        raise InputError("times must be an increasing list of at least two numbers, the first one the start")
    return grid


def _gradient(function: Gradient, W: FloatArray) -> FloatArray:
    """E'(W). A trial step that overflowed gives NaN, so that the step is rejected; a NaN at a finite matrix is
    refused.
    """
    if not np.isfinite(W).all():
        return np.full(W.shape, np.nan)
    value = reals_of(function(W), "the energy gradient", finite=False)
    if value.shape != W.shape:
        raise InputError(f"the energy gradient has shape {value.shape}; expected {W.shape}")
    if not np.isfinite(value).all():
        raise NumericalError(
            f"the energy gradient holds {words.count(int(value.size - np.isfinite(value).sum()), 'entry that is', 'entries that are')} NaN or infinite, at "
            f"a matrix with entries up to {float(np.abs(W).max()):.3g}; a flow needs a finite one"
        )
    return value
