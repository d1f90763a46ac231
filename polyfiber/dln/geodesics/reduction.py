"""Matrices of any shape and rank as square ones that hold the whole geodesic, and their singular coordinates.

Reflections of the directions that neither end point uses are isometries, so the matrices whose columns and rows lie in
the spans of both ends are totally geodesic. Two m x n matrices of rank r fit into min(m, 2r) x min(n, 2r), and rows or
columns of zeros make that square.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from ..._typing import BoolArray, FloatArray
from ...budget import heed
from ..spectral import operator_coefficients


@dataclass(frozen=True)
class Reduction:
    """Orthonormal columns ``left`` (m, m'), ``right`` (n, n') and the size s >= m', n' of the square matrices."""

    left: FloatArray
    right: FloatArray
    size: int
    scale: float

    def inside(self, M: FloatArray) -> FloatArray:
        """Square matrices (..., s, s) of matrices (..., m, n), divided by the scale."""
        core = self.left.T @ (M / self.scale) @ self.right
        out = np.zeros((*core.shape[:-2], self.size, self.size))
        out[..., : core.shape[-2], : core.shape[-1]] = core
        return out

    def outside(self, M: FloatArray) -> FloatArray:
        """The inverse of :meth:`inside` on its image."""
        core = M[..., : self.left.shape[1], : self.right.shape[1]]
        return np.asarray(self.scale * (self.left @ core @ self.right.T))

    def covector_outside(self, P: FloatArray, depth: float) -> FloatArray:
        """Momenta: they scale with ``scale^{2/N - 1}``."""
        return self.outside(P) * self.scale ** (2.0 / depth - 2.0)

    def covector_inside(self, P: FloatArray, depth: float) -> FloatArray:
        """The inverse of :meth:`covector_outside`."""
        return self.inside(P) * self.scale ** (2.0 - 2.0 / depth)

    def length_outside(self, length: float, depth: float) -> float:
        """``d(cX, cY) = c^{1/N} d(X, Y)``."""
        return length * self.scale ** (1.0 / depth)


def reduce(W: FloatArray, Z: FloatArray, rank: int, *, tight: bool = False) -> Reduction:
    """A reduction that holds W (rank r) and W + Z; ``tight``: the spaces of W alone."""
    m, n = W.shape
    scale = float(np.linalg.norm(W, 2))
    size = float(np.abs(Z).max())
    other = Z / size if size else Z
    if tight:
        u, _, vt = np.linalg.svd(W)
        return Reduction(u[:, :rank], vt[:rank].T, rank, scale)
    left = np.eye(m) if m <= 2 * rank else np.linalg.svd(np.hstack([W / scale, other]))[0][:, : 2 * rank]
    right = np.eye(n) if n <= 2 * rank else np.linalg.svd(np.vstack([W / scale, other]))[2][: 2 * rank].T
    return Reduction(left, right, max(left.shape[1], right.shape[1]), scale)


@dataclass(frozen=True)
class End:
    """Singular coordinates at an end point inside a reduction.

    Attributes
    ----------
    W : float64 (s, s)
    left, values, right : float64 (s, s), (s,), (s, s)
        Singular value decomposition, values beyond the rank zero; padded directions come last.
    rank : int
    mask : bool (s, s)
        Coordinates of the tangent space.
    root : float64 (s, s)
        ``sqrt(a)`` on the mask, 1 elsewhere.
    """

    W: FloatArray
    left: FloatArray
    values: FloatArray
    right: FloatArray
    rank: int
    mask: BoolArray
    root: FloatArray

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns that are not padding."""
        return int(self.mask.any(axis=1).sum()), int(self.mask.any(axis=0).sum())

    @property
    def dimension(self) -> int:
        """Of the tangent space."""
        return int(self.mask.sum())

    def vector(self, Z: FloatArray) -> FloatArray:
        """Metric coordinates (..., D) of tangent vectors: Euclidean length is length in the metric."""
        return np.asarray(((self.left.T @ Z @ self.right) / self.root)[..., self.mask])

    def position(self, E: FloatArray, depth: float) -> FloatArray:
        """Coordinates (..., D) of the points ``W + E``; to first order those of the vector E.

        Near lower rank a point is not described by E alone: turning a large singular direction by e moves the entry of
        a small one by e^2. Gaussian elimination in the singular frame, largest values first, takes that out, and pivots
        count by their N-th roots. Where a pivot is not positive, its entry of E counts as it is.
        """
        y = self.left.T @ E @ self.right
        out = y.copy()
        values = self.values
        for k in range(self.rank):
            ratio = y[..., k, k] / values[k]
            pivot = values[k] + y[..., k, k]
            fine = ratio > -0.999
            with np.errstate(invalid="ignore", divide="ignore"):
                root = np.log1p(np.where(fine, ratio, 0.0))
                diagonal = values[k] * (root if math.isinf(depth) else depth * np.expm1(root / depth))
            out[..., k, k] = np.where(fine, diagonal, y[..., k, k])
            scale = np.where(fine, values[k] / np.where(fine, pivot, 1.0), 1.0)[..., None]
            below, beside = y[..., k + 1 :, k], y[..., k, k + 1 :]
            out[..., k + 1 :, k], out[..., k, k + 1 :] = scale * below, scale * beside
            update = (scale * below)[..., :, None] * beside[..., None, :] / values[k]
            y[..., k + 1 :, k + 1 :] -= np.where(fine[..., None, None], update, 0.0)
        return np.asarray((out / self.root)[..., self.mask])

    def covector(self, P: FloatArray) -> FloatArray:
        """Metric coordinates (..., D) of momenta."""
        return np.asarray(((self.left.T @ P @ self.right) * self.root)[..., self.mask])

    def tangent(self, z: FloatArray) -> FloatArray:
        """Tangent vectors (..., s, s) from coordinates."""
        return np.asarray(self.left @ (self._spread(z) * self.root) @ self.right.T)

    def momentum(self, z: FloatArray) -> FloatArray:
        """Momenta (..., s, s) from coordinates."""
        return np.asarray(self.left @ (self._spread(z) / self.root) @ self.right.T)

    def _spread(self, z: FloatArray) -> FloatArray:
        out = np.zeros((*z.shape[:-1], *self.mask.shape))
        out[..., self.mask] = z
        return out

    def reach(self, depth: float) -> float:
        """Distance to lower rank: ``sqrt(N) sigma_r^{1/N}``; infinite at infinite depth."""
        return math.inf if math.isinf(depth) else float(math.sqrt(depth) * self.values[self.rank - 1] ** (1.0 / depth))


def end_of(W: FloatArray, rank: int, depth: float, shape: tuple[int, int]) -> End:
    """Singular coordinates at a square matrix whose rows and columns beyond ``shape`` are zero."""
    heed("singular coordinates of an end")
    s = W.shape[-1]
    m, n = shape
    left, right = np.eye(s), np.eye(s)
    u, values, vt = np.linalg.svd(W[:m, :n])
    left[:m, :m], right[:n, :n] = u, vt.T
    sigma = np.zeros(s)
    sigma[:rank] = values[:rank]
    k, l = np.arange(s)[:, None], np.arange(s)
    mask = (k < m) & (l < n) & ((k < rank) | (l < rank))
    with np.errstate(divide="ignore"):
        a = operator_coefficients(sigma[:, None], sigma, depth)
    return End(W, left, sigma, right, rank, mask, np.where(mask, np.sqrt(a), 1.0))


def raised(end: End, least: float, depth: float) -> End:
    """The same singular vectors with singular values of at least ``least`` (in the rank)."""
    sigma = end.values.copy()
    sigma[: end.rank] = np.maximum(sigma[: end.rank], least)
    with np.errstate(divide="ignore"):
        a = operator_coefficients(sigma[:, None], sigma, depth)
    W = (end.left * sigma) @ end.right.T
    return replace(end, W=W, values=sigma, root=np.where(end.mask, np.sqrt(a), 1.0))
