"""The nearest network with given invariants, with a certificate that it is the nearest.

Minimise ``(1/2) ||B - W||^2`` subject to ``c_p(B) + G_p = 0``, ``c_p = B_{p+1}^T B_{p+1} - B_p B_p^T``. The
constraints are quadratic, so for fixed multipliers S_p the Lagrangian is a quadratic form whose stationary point
solves one Sylvester equation per layer, ``(I - 2 S_p) B_p + 2 B_p S_{p-1} = W_p``. Where that form is positive
definite, B(S) minimises the Lagrangian globally, hence a feasible B(S) is a global solution: the dual function is
concave and Newton's method finds its maximum. Where the dual has a gap, an alternating method gives a local solution
and says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..._typing import FloatArray
from ..._values.checked import whole
from ...errors import InputError, NumericalError, ShapeError
from ...words import one_line
from .._inputs import as_layers, as_matrices, as_positive
from .balanced import SVDCoordinates, _one, invariants, polar_factor
from .submersion import _symmetric_basis


@dataclass(frozen=True)
class BalancedProjection:
    """The nearest network with given invariants, and the evidence.

    Attributes
    ----------
    weights : tuple of float64 (d_p, d_{p-1})
    distance : float
        ``||W - B||_F`` over all layers.
    certified : bool
        True: the dual certificate holds and no other network of these invariants is closer. False: a local minimum.
    margin : float
        Smallest eigenvalue of the Lagrangian's quadratic form (1 at W itself); positive where certified.
    lower_bound : float
        A proven lower bound of the distance (equal to it up to round-off where certified).
    residual : float
        Largest ``||G_p(B) - G_p||_F / max_p ||W_p||^2``.
    iterations : int

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber import dln
    >>> found = dln.project_balanced([2.0 * np.eye(2), np.eye(2)])
    >>> found.certified, found.weights[0].round(9)
    (True, array([[1.5, 0. ],
           [0. , 1.5]]))
    """

    __repr__ = one_line

    weights: tuple[FloatArray, ...]
    distance: float
    certified: bool
    margin: float
    lower_bound: float
    residual: float
    iterations: int


def project_balanced(
    weights: npt.ArrayLike, *, target: Sequence[npt.ArrayLike] | None = None, tolerance: float = 1e-12, limit: int = 200
) -> BalancedProjection:
    """Nearest network with given invariants: the balanced variety by default.

    Parameters
    ----------
    weights : sequence of N arrays (d_p, d_{p-1}), or array (N, d, d)
        Rectangular layers are welcome.
    target : sequence of (d_p, d_p), optional
        Invariants ``G_1, ..., G_{N-1}`` to meet; zero by default.
    tolerance : float
        Residual of the invariants, relative to the squared size of the weights.
    limit : int
        Newton iterations.

    Returns
    -------
    BalancedProjection
        ``certified`` tells a proven global minimum from a local one.

    Raises
    ------
    NumericalError
        If the dual problem has a gap and ``target`` is not zero (no second method there), or nothing converges.

    Notes
    -----
    Cost per iteration: one dense system of order ``sum_p d_p (d_p + 1)/2``. The certificate is strong duality of
    this quadratically constrained problem; the method is this library's own.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.dln import project_balanced
    >>> p = project_balanced([np.array([[3.0]]), np.array([[1.0]])])
    >>> [round(float(w[0, 0]), 9) for w in p.weights], round(p.distance, 9), p.certified
    ([2.0, 2.0], 1.414213562, True)
    """
    layers = as_layers(weights)
    _one(layers)
    n, tolerance, limit = (
        len(layers),
        as_positive(tolerance, name="tolerance", zero=True),
        whole(limit, "limit", least=0),
    )
    g = [np.zeros((layers[p].shape[0],) * 2) for p in range(n - 1)]
    if target is not None:
        g = as_matrices(target, "target G_{}", square=True)
        if [m.shape for m in g] != [(layers[p].shape[0],) * 2 for p in range(n - 1)]:
            raise ShapeError(
                f"target shapes {[m.shape for m in g]} do not fit the hidden widths {[w.shape[0] for w in layers[:-1]]}"
            )
        if any(np.abs(m - m.T).max() > 1e-9 * max(1.0, float(np.abs(m).max())) for m in g):
            raise InputError("the invariants of a network are symmetric; a target is not")
    scale = max(float((w**2).sum()) for w in layers)
    if n == 1 or scale == 0.0:
        if n > 1 and any(m.any() for m in g):
            raise NumericalError(
                "cannot project the zero network onto a variety of non-zero invariants: no unique answer"
            )
        return BalancedProjection(layers, 0.0, True, 1.0, 0.0, 0.0, 0)
    dual = _Dual(layers, g)
    start = [np.zeros_like(m) for m in g]
    state, iterations = _maximise(dual, start, tolerance * scale, limit)
    if state.margin > 0 and state.residual <= tolerance * scale:
        return _answer(dual, state, scale, True, max(state.value, 0.0), iterations)
    bound = max(state.value, 0.0)
    if any(m.any() for m in g):
        raise NumericalError(
            "the dual problem has a gap (no certified nearest point), and there is no local method for non-zero "
            f"invariants; the distance is at least {np.sqrt(2.0 * bound):.6g}",
            lower_bound=float(np.sqrt(2.0 * bound)),
        )
    best = None
    for start_frames in _starts(layers, state.layers):
        local = _alternate(layers, start_frames, limit=20_000)
        candidate = _polish(dual, local, tolerance * scale)
        if best is None or candidate.distance2 < best.distance2:
            best = candidate
    assert best is not None
    if best.residual > max(tolerance, 1e-9) * scale:
        raise NumericalError(
            f"the projection did not converge: residual {best.residual / scale:.3g}", residual=best.residual
        )
    certified = best.margin > 0 and best.residual <= tolerance * scale
    return _answer(dual, best, scale, certified, bound, iterations)


def _answer(
    dual: _Dual, state: _State, scale: float, certified: bool, bound: float, iterations: int
) -> BalancedProjection:
    return BalancedProjection(
        tuple(state.layers),
        float(np.sqrt(state.distance2)),
        certified,
        float(state.margin),
        float(np.sqrt(2.0 * bound)),
        float(state.residual / scale),
        iterations,
    )


@dataclass
class _State:
    multipliers: list[FloatArray]
    layers: list[FloatArray]
    gaps: list[FloatArray]
    value: float
    margin: float
    residual: float
    distance2: float
    eigen: list[tuple[FloatArray, FloatArray]]


class _Dual:
    """The dual function of the projection problem, its gradient and Hessian."""

    def __init__(self, layers: tuple[FloatArray, ...], g: list[FloatArray]) -> None:
        self.w = layers
        self.g = g
        self.n = len(layers)

    def at(self, s: list[FloatArray]) -> _State:
        n = self.n
        eigen = [(np.zeros(self.w[0].shape[1]), np.eye(self.w[0].shape[1]))]
        for m in s:
            values, vectors = np.linalg.eigh(m)
            eigen.append((values, vectors))
        eigen.append((np.zeros(self.w[-1].shape[0]), np.eye(self.w[-1].shape[0])))
        margin = np.inf
        layers = []
        for p in range(n):
            (low, e), (high, f) = eigen[p], eigen[p + 1]
            bottom = 1.0 - 2.0 * high[:, None] + 2.0 * low[None, :]
            margin = min(margin, float(bottom.min()))
            bottom = np.where(np.abs(bottom) > 1e-300, bottom, 1e-300)
            layers.append(f @ ((f.T @ self.w[p] @ e) / bottom) @ e.T)
        return self.score(s, layers, margin, eigen)

    def score(
        self, s: list[FloatArray], layers: list[FloatArray], margin: float, eigen: list[tuple[FloatArray, FloatArray]]
    ) -> _State:
        found = invariants(layers)
        gaps = [self.g[p] - found[p] for p in range(self.n - 1)]
        distance2 = sum(float(((b - w) ** 2).sum()) for b, w in zip(layers, self.w, strict=True))
        value = 0.5 * distance2 + sum(float((m * gap).sum()) for m, gap in zip(s, gaps, strict=True))
        residual = max(float(np.linalg.norm(gap)) for gap in gaps)
        return _State(s, layers, gaps, value, margin, residual, distance2, eigen)

    def step(self, state: _State) -> list[FloatArray]:
        """Newton direction for the multipliers: solve ``(J^T H^{-1} J) dS = gap``."""
        sizes = [w.shape[0] for w in self.w[:-1]]
        columns: list[FloatArray] = []
        weighted: list[FloatArray] = []
        for p, d in enumerate(sizes):
            basis = _symmetric_basis(d)
            lower = -2.0 * basis @ state.layers[p]
            upper = 2.0 * state.layers[p + 1] @ basis
            for block, index in ((lower, p), (upper, p + 1)):
                (low, e), (high, f) = state.eigen[index], state.eigen[index + 1]
                bottom = 1.0 - 2.0 * high[:, None] + 2.0 * low[None, :]
                bottom = np.where(np.abs(bottom) > 1e-300, bottom, 1e-300)
                weighted.append(f @ ((f.T @ block @ e) / bottom) @ e.T)
                columns.append(block)
        counts = [d * (d + 1) // 2 for d in sizes]
        ends = np.concatenate([[0], np.cumsum(counts)])
        hessian = np.zeros((ends[-1], ends[-1]))
        for p in range(len(sizes)):
            mine = slice(ends[p], ends[p + 1])
            hessian[mine, mine] = np.tensordot(columns[2 * p], weighted[2 * p], ((1, 2), (1, 2)))
            hessian[mine, mine] += np.tensordot(columns[2 * p + 1], weighted[2 * p + 1], ((1, 2), (1, 2)))
            if p + 1 < len(sizes):
                other = slice(ends[p + 1], ends[p + 2])
                cross = np.tensordot(columns[2 * p + 1], weighted[2 * p + 2], ((1, 2), (1, 2)))
                hessian[mine, other] = cross
                hessian[other, mine] = cross.T
        right = np.concatenate(
            [np.einsum("bij,ij->b", _symmetric_basis(d), gap) for d, gap in zip(sizes, state.gaps, strict=True)]
        )
        values, vectors = np.linalg.eigh(0.5 * (hessian + hessian.T))
        keep = np.abs(values) > 1e-14 * np.abs(values).max(initial=0.0)
        x = vectors[:, keep] @ ((vectors[:, keep].T @ right) / values[keep])
        return [np.tensordot(x[ends[p] : ends[p + 1]], _symmetric_basis(d), (0, 0)) for p, d in enumerate(sizes)]


def _maximise(dual: _Dual, s: list[FloatArray], tolerance: float, limit: int) -> tuple[_State, int]:
    """Newton ascent on the concave dual, staying where the Lagrangian is positive definite."""
    state = dual.at(s)
    for iteration in range(limit):
        if state.residual <= tolerance or state.margin < 1e-10:
            return state, iteration
        direction = dual.step(state)
        slope = sum(float((d * gap).sum()) for d, gap in zip(direction, state.gaps, strict=True))
        length = 1.0
        while length > 1e-12:
            trial = dual.at([m + length * d for m, d in zip(state.multipliers, direction, strict=True)])
            gain = trial.value - state.value
            enough = gain >= 1e-4 * length * slope or trial.residual < 0.5 * state.residual
            if trial.margin > 0.1 * state.margin and enough:
                break
            length *= 0.5
        else:
            return state, iteration
        state = trial
    return state, limit


def _starts(layers: tuple[FloatArray, ...], near: list[FloatArray]) -> list[SVDCoordinates]:
    """Singular charts to start the alternating method from: one from each layer's own singular vectors."""
    r = min(min(w.shape) for w in layers)
    starts = []
    for source in (near, list(layers)):
        for centre in range(len(layers)):
            u, s, vt = np.linalg.svd(source[centre], full_matrices=False)
            frames: list[FloatArray] = [np.empty(0)] * (len(layers) + 1)
            frames[centre], frames[centre + 1] = vt[:r].T, u[:, :r]
            for p in range(centre + 1, len(layers)):
                frames[p + 1] = polar_factor(source[p] @ frames[p])
            for p in range(centre - 1, -1, -1):
                frames[p] = polar_factor(source[p].T @ frames[p + 1])
            starts.append(SVDCoordinates(tuple(frames), s[:r]))
    return starts


def _alternate(layers: tuple[FloatArray, ...], chart: SVDCoordinates, *, limit: int) -> SVDCoordinates:
    """Block-coordinate descent of ``sum ||W_p - Q_p Lambda Q_{p-1}^T||^2`` over the frames and Lambda."""
    q, lam = list(chart.frames), chart.values
    last = np.inf
    for iteration in range(limit):
        for p in range(len(q)):
            goal = np.zeros_like(q[p])
            if p > 0:
                goal = goal + (layers[p - 1] @ q[p - 1]) * lam
            if p < len(layers):
                goal = goal + (layers[p].T @ q[p + 1]) * lam
            q[p] = polar_factor(goal)
        overlaps = np.stack([np.einsum("ik,ij,jk->k", q[p + 1], w, q[p]) for p, w in enumerate(layers)])
        lam = np.maximum(overlaps.mean(axis=0), 0.0)
        if iteration % 20 == 0:
            value = sum(float(((w - b) ** 2).sum()) for w, b in zip(layers, SVDCoordinates(tuple(q), lam).weights))
            if last - value <= 1e-15 * max(value, 1e-300):
                break
            last = value
    return SVDCoordinates(tuple(q), lam)


def _polish(dual: _Dual, chart: SVDCoordinates, tolerance: float) -> _State:
    """Newton on the stationarity conditions from a local solution; falls back to the solution itself."""
    layers = list(chart.weights)
    fallback_s = [np.zeros_like(m) for m in dual.g]
    start = dual.score(fallback_s, layers, -np.inf, [])
    sizes = [w.shape[0] for w in dual.w[:-1]]
    rows = []
    for p, d in enumerate(sizes):
        basis = _symmetric_basis(d)
        blocks = [np.zeros((len(basis), *w.shape)) for w in layers]
        blocks[p] = -2.0 * basis @ layers[p]
        blocks[p + 1] = 2.0 * layers[p + 1] @ basis
        rows.append(np.concatenate([b.reshape(len(basis), -1) for b in blocks], axis=1))
    jacobian = np.concatenate(rows)
    right = np.concatenate([(w - b).ravel() for w, b in zip(dual.w, layers, strict=True)])
    x = np.linalg.lstsq(jacobian.T, right, rcond=1e-12)[0]
    ends = np.cumsum([0, *[d * (d + 1) // 2 for d in sizes]])
    s = [np.tensordot(x[ends[p] : ends[p + 1]], _symmetric_basis(d), (0, 0)) for p, d in enumerate(sizes)]
    state = dual.at(s)
    for _ in range(30):
        if state.residual <= tolerance:
            break
        trial = dual.at([m + dm for m, dm in zip(state.multipliers, dual.step(state), strict=True)])
        if not trial.residual < state.residual:
            break
        state = trial
    close = state.residual <= tolerance and state.distance2 <= start.distance2 * (1 + 1e-6) + 1e-300
    return state if close else start
