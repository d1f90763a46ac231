"""Riemannian Langevin equations of the deep linear network, upstairs and downstairs, many paths at once.

Downstairs (Menon, arXiv 2411.09004, (12.12)): ``dW = -grad F_beta dt + dX`` with X Brownian motion of g^N at inverse
temperature beta/kappa, in Ito form

    dW = [-A(E'(W)) + (1/beta) U (Sigma' + kappa Sigma'') V^T] dt + sqrt(2 kappa / beta) A^{1/2}(dB).

Upstairs: tangential noise of the balanced manifold, the horizontal part multiplied by sqrt(kappa); generator ``(1/beta)
(tr_V Hess + kappa tr_H Hess) - grad L``. (Menon, sec. 12.1 (3), says that Brownian motion upstairs projects to Brownian
motion downstairs; it projects to the generator ``(1/beta)(Laplacian + grad S)``, as in (12.4).)
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from ... import words
from ..._typing import BoolArray, BoundaryRule, FloatArray, IntArray, RngLike
from ..._values.checked import flag, generator_of, real, reals_of, shown, whole
from ...budget import Budget, heed, heed_memory, within_budget
from ...errors import BudgetExceededError, InputError, NumericalError, ShapeError
from ...memory import available_memory
from .._inputs import as_depth, as_finite, as_matrix, as_positive, as_stack, require_callable, require_some
from ..space.metrics import metric
from ..space.submersion import constraint_system, product, pull, push, try_retract
from ..spectral import singular_frame

Gradient = Callable[[FloatArray], npt.ArrayLike]

RULES = {"reflect": 0, "reject": 1, "stop": 2}
SCHEMES = {"euler": 0, "product": 1}


@dataclass(frozen=True)
class LangevinPaths:
    """Many paths of a Langevin equation.

    Attributes
    ----------
    final : float64 (n, d, d), or (n, N, d, d) upstairs
        Where the paths are at the end.
    times : float64 (T,)
    snapshots : float64 (T, n, ...)
        At the recorded times, the start included; T = 0 where nothing was recorded.
    crossings : int64 (n,)
        How often the rule at det = 0 was applied to each path (upstairs: rejected steps).
    alive : bool (n,)
        False for paths that the rule "stop" ended.
    stats : dict
        ``steps``, ``dt``, and what else the run counted.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.dln import brownian_motion
    >>> found = brownian_motion(np.eye(2), 3, time=0.01, steps=4, paths=3, rng=1)
    >>> found.final.shape, bool(found.alive.all())
    ((3, 2, 2), True)
    """

    final: FloatArray
    times: FloatArray
    snapshots: FloatArray
    crossings: IntArray
    alive: BoolArray
    stats: dict[str, float] = field(default_factory=dict)

    def __repr__(self) -> str:
        return (
            f"LangevinPaths({words.count(len(self.final), 'path')}, {self.stats.get('steps', 0):.0f} steps of "
            f"{self.stats.get('dt', 0):.3g}, {int(self.crossings.sum())} crossings, {int((~self.alive).sum())} stopped)"
        )


def _pieces(paths: int, parallel: bool) -> list[slice]:
    """The paths in as many pieces as there are cores."""
    cuts = np.linspace(0, paths, 1 + (min(paths, os.cpu_count() or 1) if parallel else 1)).astype(int).tolist()
    return [slice(low, high) for low, high in zip(cuts[:-1], cuts[1:])]


# more than ten parameters: public: an equation, a scheme, a start, and what to keep
@within_budget
def sample_langevin(
    W: npt.ArrayLike,
    depth: int,
    *,
    energy_gradient: Gradient | None = None,
    beta: float = 1.0,
    kappa: float = 1.0,
    time: float,
    steps: int,
    paths: int | None = None,
    rng: RngLike = None,
    noise: npt.ArrayLike | None = None,
    entropic: bool = True,
    rule: BoundaryRule = "reflect",
    scheme: Literal["product", "euler"] = "product",
    record: int = 0,
    parallel: bool = False,
    budget: Budget | None = None,
) -> LangevinPaths:
    """Sample the Riemannian Langevin equation of the end-to-end matrix.

    Parameters
    ----------
    W : array_like (d, d) or (n, d, d)
        Start, invertible; one matrix is repeated ``paths`` times.
    depth : int
    energy_gradient : callable, optional
        E': (n, d, d) -> (n, d, d). None: no energy.
    beta : float
        Inverse temperature.
    kappa : float
        Strength of the noise of the observable relative to that of the gauge; 0 gives the deterministic (quasistatic)
        gradient flow of the free energy.
    time, steps
        Final time and number of equal steps.
    rng : whatever numpy.random.default_rng takes
        One stream for all paths; the same numbers with or without ``parallel``.
    noise : array_like (steps, n, d, d), optional
        Standard normal increments to use instead of drawing them (coupled runs).
    entropic : bool
        False leaves the entropy out: with no energy and kappa = 1 this is Brownian motion of g^N.
    rule : "reflect", "reject" or "stop"
        What happens when a step changes the sign of the determinant. "reflect": the smallest singular value of the new
        matrix changes sign (the reflecting boundary condition: no probability flows through det = 0). "reject": the
        step is not taken. "stop": the path ends where it was.
    scheme : "product" or "euler"
        "product": one step of the lifted noise along the horizontal straight line upstairs, multiplied out,
        ``U prod_p (Lambda + M_p) V^T``; its Ito drift is exactly Sigma'' and near det = 0 the step is a step of
        ``sigma^{1/N}``. "euler": Euler-Maruyama in the matrix. Both are of weak order 1 away from det = 0.
    record : int
        Number of snapshots after the start, equally spaced (must divide ``steps``); 0 records nothing.
    parallel : bool
        Advance the paths in as many threads as there are cores; the same numbers.
    budget : Budget, optional
        Of all steps; ``partial`` of the error counts them.

    Returns
    -------
    LangevinPaths

    Raises
    ------
    InputError
        Singular start, negative kappa, unknown rule or scheme, or a gradient of wrong shape.
    NumericalError
        If the energy's gradient is not finite on the paths.

    Notes
    -----
    The stationary law with the reflecting rule has the density ``exp(-(beta E - S)/kappa) sqrt(det g)`` against dW.
    det = 0 is reached with positive probability (near it the smallest ``sigma^{1/N}`` is a one-dimensional Brownian
    motion), so a rule is part of the model. Cost: about one microsecond per path and step at d = 3. Menon, Theorem 18
    and (12.12)-(12.13); the noise of the printed (12.10) lacks the conjugation ``Q_N (.) Q_0^T``.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.dln import sample_langevin
    >>> run = sample_langevin(np.eye(2), 2, energy_gradient=lambda W: W, time=0.1, steps=10, paths=5, rng=0)
    >>> run.final.shape
    (5, 2, 2)
    """
    from ...kernels.linear.langevin import Equation, Paths, langevin_step

    n, entropic, parallel = int(as_depth(depth, most=10**9)), flag(entropic, "entropic"), flag(parallel, "parallel")
    if energy_gradient is not None:
        require_callable(energy_gradient, "energy_gradient")
    b = as_positive(beta, name="beta")
    k = as_positive(kappa, name="kappa", zero=True)
    horizon = as_positive(time, name="time")
    count = _count(steps, "steps")
    for name, value, table in (("rule", rule, RULES), ("scheme", scheme, SCHEMES)):
        if not isinstance(value, str) or value not in table:
            raise InputError(f"{name} is {shown(value)}; expected one of {', '.join(table)}")
    start = as_matrix(W, square=True)
    if start.ndim == 2:
        paths = _count(1 if paths is None else paths, "paths")
        _room_for(paths, start.size)
        start = np.broadcast_to(start, (paths, *start.shape))
    elif start.ndim != 3 or (paths is not None and paths != len(start)):
        raise ShapeError(f"W has shape {start.shape}; expected (d, d) with paths=n, or (n, d, d)", shape=start.shape)
    require_some(start, name="W")
    current = np.array(start, dtype=np.float64, order="C")
    frame = singular_frame(current)
    if (frame.values[:, -1] <= 0).any():
        raise InputError("the start must be invertible: the metric is not defined at det = 0", rank=frame.rank)
    signs = np.linalg.slogdet(current)[0]
    alive = np.ones(len(current), dtype=bool)
    crossings = np.zeros(len(current), dtype=np.int64)
    generator = generator_of(rng)
    given = None
    if noise is not None:
        given = as_finite(noise, name="noise")
        if given.shape != (count, *current.shape):
            raise ShapeError(f"noise has shape {given.shape}; expected {(count, *current.shape)}", shape=given.shape)
    every, snapshots, times = _recording(record, count, horizon, current)
    dt = horizon / count
    pieces = _pieces(len(current), parallel)
    equation = Equation(n, dt, 1.0 / b, k, bool(entropic), SCHEMES[scheme], RULES[rule])
    zero = np.zeros_like(current)
    with ThreadPoolExecutor(len(pieces)) as pool:
        for i in range(count):
            heed("the Langevin equation")
            gradient = zero if energy_gradient is None else _gradient(energy_gradient, current)
            xi = generator.standard_normal(current.shape) if given is None else np.ascontiguousarray(given[i])
            batch = (current, xi, gradient, signs, alive, crossings)
            if len(pieces) == 1:
                langevin_step(Paths(*batch), equation)
            else:  # compiled code that lets others run; what a path does depends on no other
                running = [pool.submit(langevin_step, Paths(*(a[piece] for a in batch)), equation) for piece in pieces]
                for done in running:
                    done.result()
            if every and (i + 1) % every == 0:
                snapshots[(i + 1) // every] = current
    return LangevinPaths(current, times, snapshots, crossings, alive, {"steps": count, "dt": dt})


@within_budget
def brownian_motion(
    W: npt.ArrayLike,
    depth: int,
    *,
    beta: float = 1.0,
    time: float,
    steps: int,
    paths: int | None = None,
    rng: RngLike = None,
    rule: BoundaryRule = "reflect",
    record: int = 0,
    budget: Budget | None = None,
) -> LangevinPaths:
    """Brownian motion of (GL_d, g^N): generator ``(1/beta)`` times the Laplace-Beltrami operator (Menon, Theorem 18).

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.dln import brownian_motion
    >>> brownian_motion(np.eye(2), 3, time=0.01, steps=4, paths=3, rng=1, record=2).times.tolist()
    [0.0, 0.005, 0.01]
    """
    return sample_langevin(
        W,
        depth,
        beta=beta,
        kappa=1.0,
        time=time,
        steps=steps,
        paths=paths,
        rng=rng,
        entropic=False,
        rule=rule,
        record=record,
    )


# more than ten parameters: public: an equation, a start, and what to keep
@within_budget
def sample_langevin_upstairs(
    weights: npt.ArrayLike,
    *,
    energy_gradient: Gradient | None = None,
    beta: float = 1.0,
    kappa: float = 1.0,
    time: float,
    steps: int,
    paths: int | None = None,
    rng: RngLike = None,
    rule: Literal["reject", "stop"] = "reject",
    record: int = 0,
    budget: Budget | None = None,
) -> LangevinPaths:
    """Sample the Riemannian Langevin equation of balanced networks (Menon (12.11)).

    Each step moves along ``sqrt(2 dt/beta) (P_V + sqrt(kappa) P_H) xi - dt d phi^* E'`` and returns to the balanced
    manifold by the orthographic retraction; a second-order retraction makes this the Ito equation of the Levi-Civita
    connection. (A Stratonovich scheme with the projected noise converges to another equation unless kappa = 1.)

    Parameters
    ----------
    weights : array_like (N, d, d) or (n, N, d, d)
        Balanced networks of full rank; one network is repeated ``paths`` times.
    energy_gradient : callable, optional
        E' of the end-to-end matrix: (n, d, d) -> (n, d, d).
    rule : "reject" or "stop"
        For steps whose retraction does not converge or that change the sign of the determinant: stay, or end the path.
    beta, kappa, time, steps, paths, rng, record, budget
        As in :func:`sample_langevin`. kappa = 0: the network moves at random along its fibre, the observable is
        deterministic in the limit dt -> 0 (fluctuations of order sqrt(dt)).

    Returns
    -------
    LangevinPaths
        ``final`` has shape (n, N, d, d); ``crossings`` counts rejected steps.

    Raises
    ------
    InputError
        If the start is not balanced or not of full rank, or an argument is out of range.

    Notes
    -----
    Weak order 1. Cost per path and step: a linear system of order ``(N-1) d (d+1)/2``.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.dln import imbalance, lift, sample_langevin_upstairs
    >>> run = sample_langevin_upstairs(lift(np.eye(2), 3), time=0.01, steps=5, paths=4, rng=0)
    >>> run.final.shape, bool(imbalance(run.final).max() < 1e-10)
    ((4, 3, 2, 2), True)
    """
    from ..space.balanced import imbalance

    b = as_positive(beta, name="beta")
    k = as_positive(kappa, name="kappa", zero=True)
    horizon = as_positive(time, name="time")
    count = _count(steps, "steps")
    if not isinstance(rule, str) or rule not in ("reject", "stop"):
        raise InputError(f"rule is {shown(rule)}; expected 'reject' or 'stop'")
    start = as_stack(weights)
    if start.ndim == 3:
        paths = _count(1 if paths is None else paths, "paths")
        _room_for(paths, start.size)
        start = np.broadcast_to(start, (paths, *start.shape))
    elif start.ndim != 4 or (paths is not None and paths != len(start)):
        raise ShapeError(f"weights has shape {start.shape}; expected (N, d, d) with paths=n, or (n, N, d, d)")
    require_some(start, name="weights")
    if float(imbalance(start).max()) > 1e-8:
        raise InputError("the start is not balanced; project it first with project_balanced")
    current = np.array(start, dtype=np.float64)
    n = current.shape[1]
    signs = np.linalg.slogdet(product(current))[0]
    if (singular_frame(product(current)).values[:, -1] <= 0).any():
        raise InputError("the start must have full rank")
    generator = generator_of(rng)
    alive = np.ones(len(current), dtype=bool)
    crossings = np.zeros(len(current), dtype=np.int64)
    every, snapshots, times = _recording(record, count, horizon, current)
    dt = horizon / count
    noise = math.sqrt(2.0 * dt / b)
    for i in range(count):
        heed("the Langevin equation")
        W = product(current)
        v = noise * generator.standard_normal(current.shape)
        system = None
        if n > 1:
            system = constraint_system(current)
            v = v - system.project_normal(v)
            if k != 1.0:
                horizontal = pull(current, metric(W, n).solve(push(current, v), tolerance=np.inf))
                v = v + (math.sqrt(k) - 1.0) * horizontal
        else:
            v = math.sqrt(k) * v
        if energy_gradient is not None:
            v = v - dt * pull(current, _gradient(energy_gradient, W))
        result = try_retract(current, v, system=system)
        good = result.converged & (np.linalg.slogdet(product(result.weights))[0] == signs)
        crossings += alive & ~good
        if rule == "stop":
            alive &= good
        move = good & alive
        current[move] = result.weights[move]
        if every and (i + 1) % every == 0:
            snapshots[(i + 1) // every] = current
    return LangevinPaths(current, times, snapshots, crossings, alive, {"steps": count, "dt": dt})


def expected_squared_radius(start: float, depth: int, d: int, *, beta: float, kappa: float, time: float) -> float:
    """``E rho^2(t)`` without energy, before det = 0 is met: ``rho_0^2 + (2t/beta)((N-1)d(d-1)/2 + kappa d^2)``.

    rho is the Frobenius norm of the network. An exact moment: a check of any sampler.

    Examples
    --------
    >>> from polyfiber.dln import expected_squared_radius
    >>> expected_squared_radius(1.0, 2, 2, beta=4.0, kappa=1.0, time=1.0)
    3.5
    """
    n, d, start = as_depth(depth), whole(d, "d", least=1, most=2**53), real(start, "start", least=0)
    beta, kappa = as_positive(beta, name="beta"), as_positive(kappa, name="kappa", zero=True)
    time = as_positive(time, name="time", zero=True)
    return start + 2.0 * time / beta * ((n - 1) * d * (d - 1) / 2 + kappa * d * d)


def _count(value: int, name: str) -> int:
    return whole(value, name, least=1, most=2**53)


def _room_for(paths: int, size: int) -> None:
    heed_memory(8 * paths * size, "the paths")
    free = available_memory()
    if free is not None and 8 * paths * size > free:
        raise BudgetExceededError(
            f"{words.count(paths, 'path does', 'paths do')} not fit into {free / 1e9:.3g} GB of memory", partial=None
        )


def _recording(record: int, steps: int, horizon: float, current: FloatArray) -> tuple[int, FloatArray, FloatArray]:
    record = whole(record, "record", least=0)
    if record == 0:
        return 0, np.zeros((0, *current.shape)), np.zeros(0)
    if steps % record:
        raise InputError(f"record={record} must divide steps={steps}")
    _room_for(record + 1, current.size)
    snapshots = np.empty((record + 1, *current.shape))
    snapshots[0] = current
    return steps // record, snapshots, np.linspace(0.0, horizon, record + 1)


def _gradient(function: Gradient, W: FloatArray) -> FloatArray:
    value = reals_of(function(W), "the energy gradient", finite=False)
    if value.shape != W.shape:
        raise InputError(f"the energy gradient has shape {value.shape}; expected {W.shape}: it must accept a batch")
    if not np.isfinite(value).all():
        raise NumericalError("the energy gradient is not finite on a path: take smaller steps or a milder energy")
    return np.ascontiguousarray(value)
