"""The metric g^N on end-to-end matrices: the operator A_{N,W}, its inverse, root and volume.

``A_{N,W}(Z) = sum_{p=1}^N (W W^T)^{(N-p)/N} Z (W^T W)^{(p-1)/N}`` turns Euclidean gradients into the
velocities of the end-to-end matrix of a balanced network, and ``g^N(Z, Y) = Tr(Z^T A^{-1} Y)``.
Everything is diagonal in singular coordinates (Menon, arXiv 2411.09004, sec. 7.2).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..._typing import FloatArray, IntArray
from ...errors import InputError, old_name
from ...words import one_line
from .._inputs import RANK_TOLERANCE, as_depth, as_like, as_matrix, require_some, transpose, unbatched
from ..spectral import SingularFrame, operator_coefficients, power_difference, singular_frame


@dataclass(frozen=True)
class Metric:
    """The metric of depth N at a point W (or at a batch of points).

    For infinite depth: the limit of ``N g^N``, so that its operator is the limit of ``A / N``.

    At a matrix of rank r < min(m, n) this is the metric of the manifold of rank-r matrices: the operator
    vanishes on the normal space, spanned by ``u_k v_l^T`` with k, l > r, and ``solve`` accepts tangent
    vectors only. (For infinite depth the tangent space shrinks to k, l <= r: a vanishing singular value
    is infinitely far away.)

    Attributes
    ----------
    W : float64 (..., m, n)
    depth : int or inf
    frame : SingularFrame
        ``W = U diag(sigma) V^T``.
    coefficients : float64 (..., m, n)
        Eigenvalues ``a_kl`` of the operator on ``u_k v_l^T``.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber import dln
    >>> g = dln.metric(np.diag([8.0, 1.0]), 3)
    >>> int(g.rank), round(48 * g.norm(np.eye(2)) ** 2, 9)
    (2, 17.0)
    """

    __repr__ = one_line

    W: FloatArray
    depth: float
    frame: SingularFrame
    coefficients: FloatArray

    @property
    def rank(self) -> IntArray:
        """Rank of W at the tolerance of the decomposition."""
        return self.frame.rank

    @property
    def dimension(self) -> IntArray:
        """Dimension of the tangent space: number of positive eigenvalues."""
        return np.asarray((self.coefficients > 0).sum(axis=(-2, -1)), dtype=np.int64)

    def apply(self, Z: npt.ArrayLike) -> FloatArray:
        """``A_{N,W}(Z)``, shape (..., m, n)."""
        Z = as_like(Z, self.W, name="Z")
        return self.frame.out(self.coefficients * self.frame.into(Z))

    def root(self, Z: npt.ArrayLike) -> FloatArray:
        """``A^{1/2}(Z)``: maps white noise to Brownian increments of the metric."""
        Z = as_like(Z, self.W, name="Z")
        return self.frame.out(np.sqrt(self.coefficients) * self.frame.into(Z))

    def solve(self, Z: npt.ArrayLike, *, tolerance: float = 1e-9) -> FloatArray:
        """``A^{-1}(Z)`` for Z tangent at W.

        Parameters
        ----------
        Z : array_like (..., m, n)
        tolerance : float
            Largest normal component, relative to ``||Z||``, that is taken as round-off.

        Raises
        ------
        InputError
            If W is rank deficient and Z is not tangent to the matrices of that rank.
        """
        coordinates = self._tangent(as_like(Z, self.W, name="Z"), tolerance)
        return self.frame.out(coordinates * self._reciprocal())

    def inverse_root(self, Z: npt.ArrayLike, *, tolerance: float = 1e-9) -> FloatArray:
        """``A^{-1/2}(Z)`` for Z tangent at W; its Frobenius norm is the length of Z."""
        coordinates = self._tangent(as_like(Z, self.W, name="Z"), tolerance)
        return self.frame.out(coordinates * np.sqrt(self._reciprocal()))

    def inner(self, Z: npt.ArrayLike, Y: npt.ArrayLike, *, tolerance: float = 1e-9) -> float | FloatArray:
        """``g(Z, Y) = Tr(Z^T A^{-1} Y)``; a float, or shape (...)."""
        z = self._tangent(as_like(Z, self.W, name="Z"), tolerance)
        y = self._tangent(as_like(Y, self.W, name="Y"), tolerance)
        return unbatched((z * y * self._reciprocal()).sum(axis=(-2, -1)))

    def norm(self, Z: npt.ArrayLike, *, tolerance: float = 1e-9) -> float | FloatArray:
        """Length ``g(Z, Z)^{1/2}``."""
        z = self._tangent(as_like(Z, self.W, name="Z"), tolerance)
        return unbatched(np.sqrt((z * z * self._reciprocal()).sum(axis=(-2, -1))))

    def gradient(self, euclidean_gradient: npt.ArrayLike) -> FloatArray:
        """Riemannian gradient ``A(E'(W))`` of a function with Euclidean gradient E'(W) (Menon, Theorem 3)."""
        return self.apply(euclidean_gradient)

    def project(self, Z: npt.ArrayLike) -> FloatArray:
        """Frobenius projection onto the tangent space; the identity at full rank."""
        Z = as_like(Z, self.W, name="Z")
        return self.frame.out(np.where(self.coefficients > 0, self.frame.into(Z), 0.0))

    @property
    def log_volume_density(self) -> float | FloatArray:
        """``log sqrt(det g)`` against Lebesgue measure dW; +inf where the metric is singular."""
        with np.errstate(divide="ignore"):
            return unbatched(-0.5 * np.log(self.coefficients).sum(axis=(-2, -1)))

    def to_matrix(self) -> FloatArray:
        """The operator as a symmetric (m n, m n) matrix on row-major ``vec(Z)``; for small sizes and tests."""
        m, n = self.W.shape[-2:]
        basis = np.eye(m * n).reshape(m * n, m, n)
        images = (
            self.frame.left[..., None, :, :]
            @ (
                self.coefficients[..., None, :, :]
                * (transpose(self.frame.left)[..., None, :, :] @ basis @ self.frame.right[..., None, :, :])
            )
            @ transpose(self.frame.right)[..., None, :, :]
        )
        return images.reshape(*self.W.shape[:-2], m * n, m * n)

    matrix = old_name("to_matrix")

    def acceleration(self, velocity: npt.ArrayLike) -> FloatArray:
        """``X''`` of the geodesic through W with velocity X'; no Christoffel symbols are formed.

        Differentiates ``X' = A_X(P)`` along Hamilton's equations: ``X'' = (D A_X[X'])(P) + A_X(P')``.

        Raises
        ------
        InputError
            If W is not square of full rank.
        """
        velocity = as_like(velocity, self.W, name="velocity")
        require_full_rank(self.frame, name="W")
        sigma = self.frame.values
        pi = self.frame.into(self.solve(velocity))
        y = self.frame.into(velocity)
        s = sigma[..., :, None]
        d_left = y * sigma[..., None, :]
        d_left = d_left + transpose(d_left)
        d_right = s * y
        d_right = d_right + transpose(d_right)
        total = np.zeros_like(y)
        s1 = np.zeros_like(y)
        s2 = np.zeros_like(y)
        for alpha, delta, weight in exponents(self.depth):
            gamma = weight * power_difference(s, sigma[..., None, :], alpha)
            power = sigma ** (2.0 * delta)
            total += (gamma * d_left) @ pi * power[..., None, :] + power[..., :, None] * (pi @ (gamma * d_right))
            s1 += gamma * ((pi * power[..., None, :]) @ transpose(pi))
            s2 += gamma * ((transpose(pi) * power[..., None, :]) @ pi)
        return self.frame.out(total - self.coefficients * (s1 * sigma[..., None, :] + s * s2))

    def _tangent(self, Z: FloatArray, tolerance: float) -> FloatArray:
        coordinates = self.frame.into(Z)
        free = self.coefficients > 0
        if not free.all():
            normal = np.sqrt((np.where(free, 0.0, coordinates) ** 2).sum(axis=(-2, -1)))
            whole = np.sqrt((coordinates**2).sum(axis=(-2, -1)))
            if (normal > tolerance * whole).any():
                raise InputError(
                    f"the point has rank {int(np.min(self.rank))} and the vector leaves the matrices of that rank "
                    f"(normal part {float(np.max(normal)):.3g}); project it first with Metric.project",
                    rank=self.rank,
                )
            coordinates = np.where(free, coordinates, 0.0)
        return coordinates

    def _reciprocal(self) -> FloatArray:
        free = self.coefficients > 0
        return np.where(free, 1.0, 0.0) / np.where(free, self.coefficients, 1.0)


_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)


def exponents(depth: float) -> list[tuple[float, float, float]]:
    """Triples (alpha, delta, weight) with ``A(Z) = sum weight (WW^T)^alpha Z (W^TW)^delta``, the term alpha = 0 left
    out.

    Depth N: ``((N-q)/N, (q-1)/N, 1)``, q < N (the term q = N has alpha = 0, whose derivative vanishes).
    Infinite depth: ``((1-s), s, w)`` at 16 Gauss-Legendre nodes of [0, 1] (error below 1e-15 of the
    largest entry for condition numbers up to 1e8; the integrand is entire in s).
    """
    if math.isinf(depth):
        return [(0.5 - 0.5 * x, 0.5 + 0.5 * x, 0.5 * w) for x, w in zip(_NODES, _WEIGHTS, strict=True)]
    n = int(depth)
    return [((n - q) / n, (q - 1) / n, 1.0) for q in range(1, n)]


def require_full_rank(frame: SingularFrame, *, name: str) -> None:
    """InputError unless every matrix of the batch is square and of full rank."""
    m, n = frame.left.shape[-1], frame.right.shape[-1]
    if m != n or (frame.values[..., -1] <= 0).any():
        raise InputError(
            f"{name} must be square of full rank; found {m} x {n} of rank {int(np.min(frame.rank))}",
            rank=frame.rank,
        )


def metric(W: npt.ArrayLike, depth: float, *, tolerance: float = RANK_TOLERANCE) -> Metric:
    """The metric g^N of the deep linear network of depth N at W.

    Parameters
    ----------
    W : array_like (..., m, n)
        One or many end-to-end matrices.
    depth : int >= 1 or math.inf
        Number of layers; infinite depth is the limit of ``N g^N``.
    tolerance : float
        Singular values below ``tolerance * sigma_1`` count as zero.

    Returns
    -------
    Metric

    Raises
    ------
    InputError
        Entries that are not finite, or a depth below one.

    Notes
    -----
    Menon, *The geometry of the deep linear network* (arXiv 2411.09004), (4.14), Lemma 1, Theorem 3; the first
    term of (7.15) is ``Z_kk^2 / (N sigma_k^{2-2/N})`` (misprinted there). Cost: one SVD per matrix.

    Examples
    --------
    >>> import numpy as np
    >>> import polyfiber as pf
    >>> g = pf.dln.metric(np.diag([4.0, 1.0]), 2)
    >>> np.round(g.coefficients, 12).tolist()
    [[8.0, 5.0], [5.0, 2.0]]
    >>> round(g.norm(np.diag([4.0, 0.0])), 6)
    1.414214
    """
    matrix = as_matrix(W)
    n = as_depth(depth, infinite=True)
    frame = singular_frame(matrix, tolerance=tolerance)
    coefficients = operator_coefficients(frame.row_values[..., :, None], frame.column_values[..., None, :], n)
    return Metric(matrix, n, frame, coefficients)


def apply_operator(W: npt.ArrayLike, Z: npt.ArrayLike, depth: float) -> FloatArray:
    """``A_{N,W}(Z)`` in one call; see :func:`metric`.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.dln import apply_operator
    >>> apply_operator(np.eye(2), np.array([[1.0, 2.0], [3.0, 4.0]]), 3).tolist()
    [[3.0, 6.0], [9.0, 12.0]]
    """
    return metric(W, depth).apply(Z)


def bures_wasserstein_inner(P: npt.ArrayLike, Z: npt.ArrayLike, Y: npt.ArrayLike) -> float | FloatArray:
    """The Bures-Wasserstein inner product of symmetric Z, Y at a positive definite P: half of g^2.

    ``g^BW_P(Z, Y) = (1/2) Tr(L_P(Z) Y)`` with ``P L + L P = Z``; ``g^2 = 2 g^BW`` (the factor is missing in
    Menon, Remark 9).

    Raises
    ------
    InputError
        If P is not symmetric positive definite, or Z, Y are not symmetric.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.dln import bures_wasserstein_inner
    >>> bures_wasserstein_inner(np.eye(2), np.eye(2), np.eye(2))
    0.5
    """
    point = as_matrix(P, name="P", square=True)
    require_some(point, name="P")
    require_positive_definite(point, name="P")
    for name, value in (("Z", Z), ("Y", Y)):
        array = as_like(value, point, name=name)
        if np.abs(array - transpose(array)).max() > 1e-9 * max(1.0, float(np.abs(array).max())):
            raise InputError(f"{name} must be symmetric: it is a tangent vector of the positive definite matrices")
    return unbatched(0.5 * np.asarray(metric(point, 2).inner(Z, Y)))


def require_positive_definite(P: FloatArray, *, name: str) -> None:
    """InputError unless symmetric (1e-9 relative) with positive eigenvalues."""
    scale = max(float(np.abs(P).max()), np.finfo(float).tiny)
    if np.abs(P - transpose(P)).max() > 1e-9 * scale:
        raise InputError(f"{name} must be symmetric; found an asymmetry of {np.abs(P - transpose(P)).max():.3g}")
    least = float(np.linalg.eigvalsh(P)[..., 0].min())
    if least <= 0:
        raise InputError(f"{name} must be positive definite; found an eigenvalue {least:.3g}", eigenvalue=least)
