"""An explicit orthonormal frame of the balanced manifold (Menon, Theorem 14, with its sign corrected)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..._typing import FloatArray, IntArray
from ...errors import InputError
from ...words import one_line
from .._inputs import LAYERS, as_depth, as_finite, as_stack, transpose
from .balanced import svd_coordinates


@dataclass(frozen=True)
class TangentFrame:
    """Orthonormal basis of the tangent space of the balanced manifold at a network of full rank.

    Attributes
    ----------
    diagonal : float64 (d, N, d, d)
        ``l^k``: moves one singular value.
    horizontal : float64 (d(d-1), N, d, d)
        ``u^{kl,0}`` then ``u^{kl,N}`` for every pair k < l: moves the singular vectors of the product.
    vertical : float64 ((N-1) d(d-1)/2, N, d, d)
        ``u^{kl,p}``, 1 <= p <= N-1: tangent to the orbit of the gauge group, in the kernel of ``d phi``.
    pairs : int64 (d(d-1)/2, 2)
        The pairs (k, l), k < l, counted from zero.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber import dln
    >>> frame = dln.tangent_frame(dln.lift(np.diag([4.0, 1.0]), 3))
    >>> len(frame.diagonal), len(frame.horizontal), len(frame.vertical)
    (2, 2, 2)
    """

    __repr__ = one_line

    diagonal: FloatArray
    horizontal: FloatArray
    vertical: FloatArray
    pairs: IntArray

    @property
    def all(self) -> FloatArray:
        """All basis vectors, (d^2 + (N-1) d(d-1)/2, N, d, d): horizontal space first, then vertical."""
        return np.concatenate([self.diagonal, self.horizontal, self.vertical])


def tangent_frame(weights: npt.ArrayLike) -> TangentFrame:
    """Orthonormal basis of ``T_W M`` from the singular vectors of the layers.

    With ``W_s = Q_s Lambda Q_{s-1}^T`` and ``q_{s,k}`` the k-th column of Q_s::

        l^k_s       = N^{-1/2} q_{s,k} q_{s-1,k}^T
        u^{kl,p}_s  = a^{kl} q_{s,k} q_{s-1,l}^T - a^{lk} q_{s,l} q_{s-1,k}^T          (1 <= p <= N-1)
        u^{kl,0}_s  = c lambda_k^{s-1} lambda_l^{N-s} q_{s,l} q_{s-1,k}^T,   u^{kl,N} by exchanging k and l

    The minus sign is a correction: with the plus printed in Menon (8.21) the vectors are not tangent.

    Parameters
    ----------
    weights : array_like (N, d, d)
        A balanced network of full rank.

    Returns
    -------
    TangentFrame

    Raises
    ------
    InputError
        If the network is not balanced or not of full rank.

    Notes
    -----
    Valid for coinciding singular values too: any choice of singular vectors gives a basis. Cost O(N^2 d^4) memory.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.dln import lift, tangent_frame
    >>> frame = tangent_frame(lift(np.array([[2.0, 1.0], [0.0, 1.0]]), 3))
    >>> basis = frame.all.reshape(6, -1)
    >>> bool(np.allclose(basis @ basis.T, np.eye(6)))
    True
    """
    stack = as_stack(weights)
    if stack.ndim != 3:
        raise InputError(f"one network at a time: expected (N, d, d), found {stack.shape}", shape=stack.shape)
    n, d = stack.shape[0], stack.shape[-1]
    chart = svd_coordinates(stack)
    if chart.values.size != d:
        raise InputError(
            f"the network has rank {chart.values.size} of {d}; the frame is for full rank", rank=chart.values.size
        )
    q = np.stack(chart.frames)
    lam = chart.values
    outer = np.einsum("sik,sjl->sklij", q[1:], q[:-1])  # (N, d, d, d, d): q_{s,k} q_{s-1,l}^T
    s = np.arange(1, n + 1)
    every = np.arange(d)
    diagonal = np.moveaxis(outer[:, every, every], 0, 1) / math.sqrt(n)
    k, l = np.triu_indices(d, 1)
    pairs = np.stack([k, l], axis=1)

    def horizontal(x: IntArray, y: IntArray) -> FloatArray:
        big = np.maximum(lam[x], lam[y])
        c = (lam[x] / big)[:, None] ** (s - 1) * (lam[y] / big)[:, None] ** (n - s)
        c /= np.linalg.norm(c, axis=1, keepdims=True)
        return np.einsum("bs,sbij->bsij", c, outer[:, y, x])

    vertical = []
    for p in range(1, n):
        angle = p * math.pi / n
        # lambda_k^2 + lambda_l^2 - 2 lambda_k lambda_l cos = (lambda_k - lambda_l)^2 + 4 lambda_k lambda_l
        # sin^2(angle/2)
        size = np.sqrt(n * ((lam[k] - lam[l]) ** 2 + 4.0 * lam[k] * lam[l] * math.sin(0.5 * angle) ** 2))
        low, high = np.sin((s - 1) * angle), np.sin(s * angle)
        akl = (lam[k][:, None] * low - lam[l][:, None] * high) / size[:, None]
        alk = (lam[l][:, None] * low - lam[k][:, None] * high) / size[:, None]
        vertical.append(
            np.einsum("bs,sbij->bsij", akl, outer[:, k, l]) - np.einsum("bs,sbij->bsij", alk, outer[:, l, k])
        )
    return TangentFrame(
        diagonal=diagonal,
        horizontal=np.concatenate([horizontal(k, l), horizontal(l, k)]),
        vertical=np.concatenate(vertical) if vertical else np.zeros((0, n, d, d)),
        pairs=pairs,
    )


def gauge_gram(x: float, y: float, depth: int) -> FloatArray:
    """Gram matrix of the N + 1 rotations of one pair (k, l) in the singular chart (Menon (8.10)), order N + 1.

    Rotating Q_s by ``E_kl - E_lk`` moves W_s and W_{s+1}; with x = lambda_k, y = lambda_l the inner products are
    tridiagonal: ``x^2 + y^2`` at both ends, ``2 (x^2 + y^2)`` inside, ``-2 x y`` beside the diagonal. The interior
    determinant is ``(x^{2N} - y^{2N}) / (x^2 - y^2)``, the factor ``a_kl`` of the orbit volume, after each generator
    is divided by its length sqrt(2) in so(d).

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.dln import gauge_gram
    >>> gram = gauge_gram(2.0, 1.0, 3) / 2
    >>> round(float(np.linalg.det(gram[1:-1, 1:-1])), 9), (2**6 - 1) / (2**2 - 1)
    (21.0, 21.0)
    """
    n = int(as_depth(depth, most=LAYERS // 100))
    values = as_finite([x, y], name="singular values")
    square = float((values**2).sum())
    gram = np.diag([square, *[2.0 * square] * (n - 1), square])
    off = -2.0 * float(values.prod())
    gram[np.arange(n), np.arange(1, n + 1)] = off
    gram[np.arange(1, n + 1), np.arange(n)] = off
    return gram


def gauge_vectors(weights: npt.ArrayLike) -> FloatArray:
    """Velocities of the gauge action, one for every layer p = 1..N-1 and pair k < l: shape ((N-1) d(d-1)/2, N, d, d).

    Rotating Q_p by the unit generator ``(E_kl - E_lk)/sqrt(2)`` of so(d) (in the singular basis). Their Gram
    determinant to the power 1/2 is the density of the orbit volume: ``prod_{k<l} a_kl^{1/2}``.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber import dln
    >>> W = dln.lift(np.diag([4.0, 1.0]), 3)
    >>> turns = dln.gauge_vectors(W)
    >>> turns.shape, bool(np.allclose([dln.push(W, v) for v in turns], 0))
    ((2, 3, 2, 2), True)
    """
    stack = as_stack(weights)
    if stack.ndim != 3:
        raise InputError(f"one network at a time: expected (N, d, d), found {stack.shape}", shape=stack.shape)
    n, d = stack.shape[0], stack.shape[-1]
    chart = svd_coordinates(stack)
    q = chart.frames
    if chart.values.size != d:
        raise InputError(f"the network has rank {chart.values.size} of {d}; the gauge acts freely at full rank only")
    k, l = np.triu_indices(d, 1)
    result = np.zeros((n - 1, k.size, n, d, d))
    for p in range(1, n):
        theta = np.zeros((k.size, d, d))
        theta[np.arange(k.size), k, l] = math.sqrt(0.5)
        theta[np.arange(k.size), l, k] = -math.sqrt(0.5)
        turn = q[p] @ theta @ transpose(q[p])
        result[p - 1, :, p - 1] = turn @ stack[p - 1]
        result[p - 1, :, p] = -stack[p] @ turn
    return result.reshape(-1, n, d, d)
