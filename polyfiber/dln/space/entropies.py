"""Boltzmann entropy of an end-to-end matrix: the volume of the balanced networks above it.

The networks over W form one orbit of ``O(d)^{N-1}``; ``S(W)`` is the logarithm of its volume
(Menon, arXiv 2411.09004, Theorem 10). The free energy is ``F = E - S / beta``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from ... import words
from ..._typing import FloatArray
from ..._values.checked import reals_of
from ...errors import InputError, ShapeError
from .._inputs import LAYERS, RANK_TOLERANCE, as_depth, as_matrix, as_positive, as_widths, require_callable, unbatched
from ..spectral import SingularFrame, log_ratio, operator_coefficients, repulsion, singular_frame
from .metrics import metric, require_full_rank


def log_orthogonal_volume(d: int) -> float:
    """Logarithm of the volume of O(d) in the metric of its embedding (Frobenius norm) in matrices.

    ``vol O(d) = 2^{d(d-1)/4} prod_{k=1}^d 2 pi^{k/2} / Gamma(k/2)``.

    Examples
    --------
    >>> import math
    >>> from polyfiber.dln import log_orthogonal_volume
    >>> round(math.exp(log_orthogonal_volume(2)) / (2 * math.pi), 12)   # two circles of radius sqrt(2)
    2.828427124746
    """
    size = int(as_depth(d, least=0, most=LAYERS, name="d"))
    spheres = sum(math.log(2.0) + 0.5 * k * math.log(math.pi) - math.lgamma(0.5 * k) for k in range(1, size + 1))
    return 0.25 * size * (size - 1) * math.log(2.0) + spheres


def entropy(
    W: npt.ArrayLike,
    depth: float,
    *,
    rank: int | None = None,
    widths: Sequence[int] | None = None,
    tolerance: float = RANK_TOLERANCE,
) -> float | FloatArray:
    """Entropy ``S(W) = log vol(O_W)`` of the balanced networks of depth N whose product is W.

    ``S = (N-1) log c_{d,r} + (1/2) sum log a_kl`` over pairs k < l with k <= r, where ``c_{d,r}`` is the volume of the
    orthonormal r-frames of R^d, ``vol O(d) / vol O(d-r)``.

    Parameters
    ----------
    W : array_like (..., d, d), or (..., d_N, d_0) with ``widths``
    depth : int >= 1 or math.inf
        For infinite depth: ``S_inf = (1/2) sum log((sigma_k^2 - sigma_l^2) / (2 log(sigma_k/sigma_l)))``, the limit of
        ``S_N - (N-1) log c_d - d(d-1)/4 log N`` (the factor 1/2 is missing in Menon (14.11)).
    rank : int, optional
        Entropy within the manifold of matrices of this rank (volume of the orbit of r-frames); W must have it.
        Default: full rank, continued to the boundary: finite at corank one, -inf at corank two or more.
    widths : sequence of depth + 1 integers, optional
        Widths ``d_0, ..., d_N`` of the layers, which need not be square. ``S = sum_p log c_{d_p,r} + (1/2) sum_{k<l<=r}
        log a_kl + (1/N) sum_p (d_p - r) sum_k log sigma_k`` over hidden layers p, where r is the rank, by default the
        least width.
    tolerance : float
        Singular values below ``tolerance * sigma_1`` count as zero.

    Returns
    -------
    float or float64 (...)

    Raises
    ------
    InputError
        Entries that are not finite; a depth below one; a rank that W does not have.
    ShapeError
        If W is not square.

    Notes
    -----
    Volumes are those of the embedding in weight space (Frobenius norm), c too: not those of a normalised Haar measure.
    ``a_kl`` is used as a sum of powers, which is smooth where singular values meet. For rank r < d or other widths: a
    direction out of an r-frame of a hidden layer moves the layers on both of its sides, with squared speed
    ``sigma_k^{2/N}``. Tested against Gram determinants and quadratures. Cost: one SVD per matrix.

    Examples
    --------
    >>> import math
    >>> import numpy as np
    >>> import polyfiber as pf
    >>> S = pf.dln.entropy(np.eye(2), 2)          # orbit of O(2) with speed sqrt(2) * sqrt(2)
    >>> round(math.exp(S), 6) == round(2 * 2 * math.pi * 2, 6)
    True
    """
    n, tolerance = as_depth(depth, infinite=True), as_positive(tolerance, name="tolerance", zero=True)
    if widths is not None:
        return _layered(as_matrix(W), n, rank, as_widths(widths), tolerance)
    matrix = as_matrix(W, square=True)
    d = matrix.shape[-1]
    frame = singular_frame(matrix, tolerance=tolerance)
    r = d
    if rank is not None:
        r = int(as_depth(rank, least=0, name="rank"))
        if (frame.rank != r).any():
            raise InputError(f"rank={r} was asked for but W has rank {frame.rank.tolist()}", rank=frame.rank)
        if math.isinf(n) and r < d:
            raise InputError("the entropy of infinite depth is defined at full rank only", rank=r)
    constant = 0.0
    if not math.isinf(n):
        constant = (n - 1) * (log_orthogonal_volume(d) - log_orthogonal_volume(d - r))
    k, l = np.triu_indices(d, 1)
    keep = k < r
    k, l = k[keep], l[keep]
    a = operator_coefficients(frame.values[..., k], frame.values[..., l], n)
    with np.errstate(divide="ignore"):
        return unbatched(constant + 0.5 * np.log(a).sum(axis=-1))


def _layered(
    W: FloatArray, depth: float, rank: int | None, widths: Sequence[int], tolerance: float
) -> float | FloatArray:
    """Entropy over W (..., d_N, d_0) of balanced networks with layers of these widths."""
    if math.isinf(depth):
        raise InputError("at infinite depth there are no layers that could have widths")
    d = tuple(int(as_depth(w, name="a width")) for w in widths)
    n = int(depth)
    if len(d) != n + 1 or W.shape[-2:] != (d[-1], d[0]):
        raise ShapeError(
            f"widths {d} make {words.count(len(d) - 1, 'layer')} and products of shape {(d[-1], d[0])}; the depth is {n} and W has "
            f"matrices of shape {W.shape[-2:]}",
            widths=d,
        )
    r = min(d) if rank is None else int(as_depth(rank, least=0, name="rank"))
    frame = singular_frame(W, tolerance=tolerance)
    if (frame.rank > r).any() or (rank is not None and (frame.rank != r).any()) or r > min(d):
        raise InputError(
            f"W has rank {frame.rank.tolist()}; balanced networks of widths {d} and rank {r} were asked for", rank=r
        )
    sigma = frame.values[..., :r]
    k, l = np.triu_indices(r, 1)
    free = sum(w - r for w in d[1:-1])
    constant = sum(log_orthogonal_volume(w) - log_orthogonal_volume(w - r) for w in d[1:-1])
    with np.errstate(divide="ignore"):
        pairs = 0.5 * np.log(operator_coefficients(sigma[..., k], sigma[..., l], depth)).sum(axis=-1)
        out = np.log(sigma).sum(axis=-1) * (free / n) if free else 0.0
    return unbatched(constant + pairs + out)


def entropy_gradient(W: npt.ArrayLike, depth: float) -> FloatArray:
    """Gradient of the entropy for the metric g^N: ``Q_N Sigma' Q_0^T``.

    Stable form of Menon (12.8): ``Sigma'_kk = a_kk / (2 sigma_k) sum_{l != k} K(log(sigma_k / sigma_l))`` with the
    smooth function :func:`polyfiber.dln.spectral.repulsion`; finite for coinciding singular values and in the
    limit of one vanishing singular value (where its own component is zero).

    Parameters
    ----------
    W : array_like (..., d, d)
    depth : int or math.inf

    Returns
    -------
    float64 (..., d, d)

    Raises
    ------
    InputError
        If W has corank two or more (the entropy is -inf there).

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.dln import entropy_gradient
    >>> np.round(entropy_gradient(np.eye(2), 2), 12).tolist()   # N/2 (1 - 1/N) on the diagonal
    [[0.5, 0.0], [0.0, 0.5]]
    """
    matrix = as_matrix(W, square=True)
    n = as_depth(depth, infinite=True)
    frame = singular_frame(matrix)
    d = matrix.shape[-1]
    if d > 1 and (frame.rank < d - 1).any():
        raise InputError(
            f"the entropy is -inf at W (rank {int(frame.rank.min())} of {d}); its gradient exists up to corank one",
            rank=frame.rank,
        )
    return frame.out(diagonal(entropy_forces(frame, n)))


def entropy_forces(frame: SingularFrame, depth: float) -> FloatArray:
    """Diagonal of Sigma' (Menon (12.8)), shape (..., d); for infinite depth the limit of Sigma'/N."""
    sigma = frame.values
    d = sigma.shape[-1]
    u = log_ratio(sigma[..., :, None], sigma[..., None, :])
    k = repulsion(u, depth)
    k[..., np.arange(d), np.arange(d)] = 0.0
    return _half_speed(sigma, depth) * np.where(sigma > 0, k.sum(axis=-1), 0.0)


def _half_speed(sigma: FloatArray, depth: float) -> FloatArray:
    """``a_kk / (2 sigma_k)`` = ``N sigma^{1 - 2/N} / 2``, zero where it is multiplied by zero anyway."""
    if math.isinf(depth):
        return 0.5 * sigma
    safe = np.where(sigma > 0, sigma, 1.0)
    return np.where(sigma > 0, 0.5 * depth * safe ** (1.0 - 2.0 / depth), 0.0)


def brownian_drift(frame: SingularFrame, depth: float) -> FloatArray:
    """Diagonal of Sigma'' (Menon (12.9)): ``(N-1) sigma_k^{1-2/N}``; for infinite depth the limit of Sigma''/N."""
    sigma = frame.values
    if math.isinf(depth):
        return sigma.copy()
    if depth == 1:
        return np.zeros_like(sigma)
    return (depth - 1.0) * sigma ** (1.0 - 2.0 / depth)


def diagonal(values: FloatArray) -> FloatArray:
    """Diagonal matrices (..., d, d) from their diagonals (..., d)."""
    return values[..., :, None] * np.eye(values.shape[-1])


def free_energy(
    W: npt.ArrayLike, depth: float, *, energy: Callable[[FloatArray], npt.ArrayLike], beta: float
) -> float | FloatArray:
    """Free energy ``F_beta(W) = E(W) - S(W) / beta`` (Menon (6.6)).

    Parameters
    ----------
    W : array_like (..., d, d)
    depth : int or math.inf
    energy : callable
        (..., d, d) -> (...).
    beta : float
        Inverse temperature, positive; ``math.inf`` gives the energy.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.dln import free_energy
    >>> free_energy(np.eye(2), 3, energy=lambda W: (W**2).sum((-2, -1)), beta=float("inf"))
    2.0
    """
    matrix = as_matrix(W, square=True)
    b = as_positive(beta, name="beta", infinite=True)
    require_callable(energy, "energy")
    value = reals_of(energy(matrix), "the energy", finite=False)
    if math.isinf(b):
        return unbatched(value)
    return unbatched(value - np.asarray(entropy(matrix, depth)) / b)


def free_energy_gradient(
    W: npt.ArrayLike, depth: float, *, energy_gradient: Callable[[FloatArray], npt.ArrayLike], beta: float
) -> FloatArray:
    """Riemannian gradient ``A(E'(W)) - (1/beta) Q_N Sigma' Q_0^T`` of the free energy (Menon (12.13)).

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.dln import free_energy_gradient
    >>> W = np.eye(2)
    >>> np.round(free_energy_gradient(W, 2, energy_gradient=lambda W: W, beta=1.0), 12).tolist()
    [[1.5, 0.0], [0.0, 1.5]]
    """
    matrix = as_matrix(W, square=True)
    b = as_positive(beta, name="beta", infinite=True)
    require_callable(energy_gradient, "energy_gradient")
    gradient = metric(matrix, depth).apply(reals_of(energy_gradient(matrix), "the energy gradient", finite=False))
    if math.isinf(b):
        return gradient
    return gradient - entropy_gradient(matrix, depth) / b


def log_volume_in_singular_values(W: npt.ArrayLike, depth: int) -> float | FloatArray:
    """Logarithm of the density of the volume of g^N in singular coordinates ``dSigma dQ_0 dQ_N``.

    ``sqrt(det g^N) dW = N^{-d/2} det(Sigma^2)^{(1-N)/(2N)} van(Sigma^{2/N}) dSigma dQ_0 dQ_N`` with
    ``van(x) = prod_{k<l} |x_k - x_l|`` and E_kl - E_lk orthonormal on so(d). (Menon (6.4) prints the exponent with
    the opposite sign and leaves the constant out.)

    Raises
    ------
    InputError
        If W is singular.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber import dln
    >>> round(np.exp(dln.log_volume_in_singular_values(np.diag([4.0, 1.0]), 2)).item(), 9)
    0.75
    """
    matrix = as_matrix(W, square=True)
    n = as_depth(depth)
    frame = singular_frame(matrix)
    require_full_rank(frame, name="W")
    sigma = frame.values
    d = sigma.shape[-1]
    k, l = np.triu_indices(d, 1)
    with np.errstate(divide="ignore"):
        vandermonde = np.log(sigma[..., k] ** (2.0 / n) - sigma[..., l] ** (2.0 / n)).sum(axis=-1)
    powers = (1.0 - n) / n * np.log(sigma).sum(axis=-1)
    return unbatched(-0.5 * d * math.log(n) + powers + vandermonde)
