"""Matrix completion by deep linear networks, and the free energy of the 2 x 2 example (Menon, sec. 14.1-14.2).

The example: ``E(W) = ((W_11 - 1)^2 + (W_22 - 1)^2) / 2``. On its zero set ``[[1, x], [y, 1]]`` the entropy is
unbounded, so the free energy has infimum minus infinity and the minimising set of Menon (6.9) is empty; local minima
and a confining energy are what there is to study.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..._typing import BoolArray, FloatArray, RngLike
from ..._values.checked import generator_of, reals_of, shown, whole
from ...budget import Budget, heed, within_budget
from ...errors import InputError, ShapeError
from ...words import one_line
from .._inputs import as_depth, as_finite, as_matrix, as_positive, unbatched
from ..space.entropies import entropy, entropy_gradient
from ..space.metrics import metric


@dataclass(frozen=True)
class MatrixCompletion:
    """Squared error on observed entries plus a confining term:
    ``E = (1/2) sum_observed (W - value)^2 + (c/2) ||W||^2``.

    Attributes
    ----------
    values : float64 (m, n)
        Zero where not observed.
    observed : bool (m, n)
    confinement : float
        c >= 0.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.dln import MatrixCompletion
    >>> E = MatrixCompletion.of([[1.0, np.nan], [np.nan, 1.0]])
    >>> E(np.zeros((2, 2))), E.gradient(np.zeros((2, 2))).tolist()
    (1.0, [[-1.0, 0.0], [0.0, -1.0]])
    """

    __repr__ = one_line

    values: FloatArray
    observed: BoolArray
    confinement: float = 0.0

    @classmethod
    def of(cls, matrix: npt.ArrayLike, *, confinement: float = 0.0) -> MatrixCompletion:
        """From a matrix whose unknown entries are NaN."""
        values = reals_of(matrix, "the matrix", finite=False)
        if values.ndim != 2 or values.size == 0:
            raise ShapeError(f"expected a matrix with NaN for unknown entries, found shape {values.shape}")
        if np.isinf(values).any():
            raise InputError("observed entries must be finite; unknown ones NaN")
        observed = ~np.isnan(values)
        c = as_positive(confinement, name="confinement", zero=True)
        return cls(np.where(observed, values, 0.0), observed, c)

    def __call__(self, W: npt.ArrayLike) -> float | FloatArray:
        """Energy, shape (...)."""
        w = self._check(W)
        error = np.where(self.observed, w - self.values, 0.0)
        return unbatched(0.5 * (error**2).sum(axis=(-2, -1)) + 0.5 * self.confinement * (w**2).sum(axis=(-2, -1)))

    def gradient(self, W: npt.ArrayLike) -> FloatArray:
        """Euclidean gradient E'(W), shape (..., m, n)."""
        w = self._check(W)
        return np.where(self.observed, w - self.values, 0.0) + self.confinement * w

    def _check(self, W: npt.ArrayLike) -> FloatArray:
        w = as_matrix(W)
        if w.shape[-2:] != self.values.shape:
            raise ShapeError(f"W has shape {w.shape}; expected (..., {self.values.shape[0]}, {self.values.shape[1]})")
        return w


def diagonal_example(*, confinement: float = 0.0) -> MatrixCompletion:
    """The example of Menon (14.1): W_11 = W_22 = 1 observed.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.dln import diagonal_example
    >>> problem = diagonal_example()
    >>> float(problem(np.eye(2))), float(problem(np.diag([2.0, 1.0])))
    (0.0, 0.5)
    """
    confinement = as_positive(confinement, name="confinement", zero=True)
    return MatrixCompletion.of([[1.0, np.nan], [np.nan, 1.0]], confinement=confinement)


def zero_energy_matrix(x: npt.ArrayLike, y: npt.ArrayLike) -> FloatArray:
    """``[[1, x], [y, 1]]``: the zero set of the example, shape (..., 2, 2); rank one where x y = 1.

    Examples
    --------
    >>> from polyfiber.dln import zero_energy_matrix
    >>> zero_energy_matrix(2.0, 0.5).tolist()
    [[1.0, 2.0], [0.5, 1.0]]
    """
    first, second = as_finite(x, name="x"), as_finite(y, name="y")
    try:
        a, b = np.broadcast_arrays(first, second)
    except ValueError:
        raise ShapeError(f"x and y have shapes {first.shape} and {second.shape} that do not fit") from None
    w = np.ones((*a.shape, 2, 2))
    w[..., 0, 1], w[..., 1, 0] = a, b
    return w


@dataclass(frozen=True)
class FreeEnergyMinimum:
    """A local minimum of the free energy.

    Attributes
    ----------
    W : float64 (d, d)
    value : float
    gradient_norm : float
        Of the Euclidean gradient.
    curvature : float
        Smallest eigenvalue of the Euclidean Hessian (finite differences): positive for a strict minimum, about zero on
        a valley of minima.
    boundary : bool
        The minimum lies on det = 0 (to 1e-6 of sigma_1), where the free energy is continuous at corank one but not
        smooth: ``gradient_norm`` then need not vanish.

    Examples
    --------
    >>> from polyfiber.dln import diagonal_example, free_energy_minima
    >>> found = free_energy_minima(diagonal_example(confinement=1.0), 2, beta=4.0, starts=2)
    >>> found[0].gradient_norm < 1e-6
    True
    """

    __repr__ = one_line

    W: FloatArray
    value: float
    gradient_norm: float
    curvature: float
    boundary: bool


@within_budget
def free_energy_minima(
    energy: MatrixCompletion,
    depth: float,
    *,
    beta: float,
    starts: int = 40,
    scale: float = 2.0,
    rng: RngLike = 0,
    budget: Budget | None = None,
) -> list[FreeEnergyMinimum]:
    """Local minima of ``F_beta = E - S/beta`` found from random starts, best first.

    Parameters
    ----------
    energy : MatrixCompletion
        Square. With confinement 0 the free energy may be unbounded below; runs that leave the ball of radius 1e3 are
        dropped (and an empty list is an answer).
    depth : int or math.inf
    beta : float
    starts, scale, rng
        Number, size and seed of the Gaussian starting matrices; both signs of the determinant are tried.
    budget : Budget, optional
        Seconds for all of them; looked at in each step.

    Returns
    -------
    list of FreeEnergyMinimum
        Minima whose values and singular values coincide to 1e-5 are listed once.

    Notes
    -----
    A search, not a proof: minima can be missed.

    Examples
    --------
    >>> from polyfiber.dln import diagonal_example, free_energy_minima
    >>> len(free_energy_minima(diagonal_example(), 2, beta=1.0, starts=6))      # unbounded below: no minimum
    0
    """
    from scipy.optimize import minimize

    n, starts = as_depth(depth, infinite=True), whole(starts, "starts", least=1)
    scale = as_positive(scale, name="scale")
    if not isinstance(energy, MatrixCompletion):
        raise InputError(f"energy must be a MatrixCompletion, found {shown(energy)}")
    b = as_positive(beta, name="beta")
    shape = energy.values.shape
    if shape[0] != shape[1]:
        raise ShapeError(f"the entropy needs square matrices, the energy is for {shape}", shape=shape)
    d = shape[0]
    generator = generator_of(rng)

    def value(x: FloatArray) -> float:
        heed("the search for minima")
        w = x.reshape(shape)
        return float(np.asarray(energy(w))) - float(np.asarray(entropy(w, n))) / b

    def slope(x: FloatArray) -> FloatArray:
        w = x.reshape(shape)
        g = metric(w, n, tolerance=0.0)
        inverse = np.where(g.coefficients > 0, 1.0, 0.0) / np.where(g.coefficients > 0, g.coefficients, 1.0)
        gradient_s = g.frame.out(g.frame.into(entropy_gradient(w, n)) * inverse)
        return np.asarray(energy.gradient(w) - gradient_s / b).ravel()

    found: list[FreeEnergyMinimum] = []
    for i in range(starts):
        x0 = scale * generator.standard_normal((d, d))
        if (np.linalg.det(x0) < 0) != bool(i % 2):
            x0[0] *= -1
        try:
            with np.errstate(all="ignore"):
                result = minimize(value, x0.ravel(), jac=slope, method="BFGS", options={"gtol": 1e-9, "maxiter": 2000})
        except InputError:  # a matrix of corank two or overflow on the way
            continue
        w = result.x.reshape(shape)
        if not math.isfinite(result.fun) or np.abs(w).max() > 1e3:
            continue
        s = np.linalg.svd(w, compute_uv=False)
        boundary = bool(s[-1] <= 1e-6 * s[0])
        gradient = float(np.linalg.norm(slope(result.x)))
        if gradient > 1e-5 and not boundary:
            continue
        duplicate = any(
            abs(m.value - result.fun) < 1e-5 and np.abs(np.linalg.svd(m.W, compute_uv=False) - s).max() < 1e-4
            for m in found
        )
        if duplicate:
            continue
        curvature = float("nan") if boundary else _least_curvature(slope, result.x)
        if not boundary and curvature < -1e-5:
            continue
        found.append(FreeEnergyMinimum(w, float(result.fun), gradient, curvature, boundary))
    return sorted(found, key=lambda m: m.value)


def _least_curvature(slope: object, x: FloatArray) -> float:
    h = 1e-5
    gradient = slope  # a callable FloatArray -> FloatArray
    columns = [(gradient(x + h * e) - gradient(x - h * e)) / (2.0 * h) for e in np.eye(x.size)]  # type: ignore[operator]
    hessian = np.stack(columns)
    return float(np.linalg.eigvalsh(0.5 * (hessian + hessian.T))[0])
