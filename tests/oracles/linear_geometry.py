"""Slow oracles for linear networks: everything dense, straight from the definitions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def unit_weights(widths: Sequence[int]) -> list[list[np.ndarray]]:
    """All weight vectors with a single 1, in row-major order, first layer first."""
    out = []
    for n, (a, b) in enumerate(zip(widths, widths[1:])):
        for r in range(b):
            for c in range(a):
                e = [np.zeros((q, p)) for p, q in zip(widths, widths[1:])]
                e[n][r, c] = 1.0
                out.append(e)
    return out


def flat(layers: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([w.ravel() for w in layers])


def chain(layers: Sequence[np.ndarray], k: int, i: int) -> np.ndarray:
    """W_k … W_{i+1}."""
    widths = (layers[0].shape[1], *(w.shape[0] for w in layers))
    out = np.eye(widths[i])
    for j in range(i, k):
        out = layers[j] @ out
    return out


def action_matrix(layers: Sequence[np.ndarray], *, keep_product: bool) -> np.ndarray:
    """Columns: velocities X_j W_j - W_j X_{j-1} of a basis of generators (those that keep W)."""
    widths = (layers[0].shape[1], *(w.shape[0] for w in layers))
    last = len(layers)
    product = chain(layers, last, 0)
    columns, conditions = [], []
    for n, d in enumerate(widths):
        for r in range(d):
            for c in range(d):
                x = [np.zeros((m, m)) for m in widths]
                x[n][r, c] = 1.0
                columns.append(flat([x[j] @ layers[j - 1] - layers[j - 1] @ x[j - 1] for j in range(1, last + 1)]))
                conditions.append((x[-1] @ product - product @ x[0]).ravel())
    out = np.array(columns).T
    if keep_product:
        c = np.array(conditions).T
        if c.size:
            _, s, right = np.linalg.svd(c)
            rank = int((s > 1e-9 * max(1.0, s.max(initial=0.0))).sum())
            out = out @ right[rank:].T
    return out


def differential(layers: Sequence[np.ndarray]) -> np.ndarray:
    """Matrix of the differential of the product map, by the product rule on unit weights."""
    widths = (layers[0].shape[1], *(w.shape[0] for w in layers))
    last = len(layers)
    return np.array(
        [
            sum(chain(layers, last, j) @ e[j - 1] @ chain(layers, j - 1, 0) for j in range(1, last + 1)).ravel()
            for e in unit_weights(widths)
        ]
    ).T


def column_basis(matrix: np.ndarray, tolerance: float = 1e-9) -> np.ndarray:
    """Orthonormal basis of the column space."""
    if 0 in matrix.shape:
        return np.zeros((matrix.shape[0], 0))
    u, s, _ = np.linalg.svd(matrix, full_matrices=False)
    return u[:, s > tolerance * max(1.0, s.max(initial=0.0))]


def null_basis(matrix: np.ndarray, tolerance: float = 1e-9) -> np.ndarray:
    """Orthonormal basis of the null space."""
    if matrix.shape[1] == 0 or matrix.shape[0] == 0:
        return np.eye(matrix.shape[1])
    _, s, right = np.linalg.svd(matrix)
    return right[int((s > tolerance * max(1.0, s.max(initial=0.0))).sum()) :].T


def meet(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Orthonormal basis of the intersection of two column spaces with orthonormal bases."""
    n = a.shape[0]
    off = np.vstack([np.eye(n) - a @ a.T, np.eye(n) - b @ b.T])
    return null_basis(off)


def flow_A(layers: Sequence[np.ndarray], k: int, j: int, i: int) -> np.ndarray:
    """null(W_{k+1~j}) ∩ col(W_{j~i}), with W_{L+1} the map to zero."""
    d = layers[0].shape[1] if j == 0 else layers[j - 1].shape[0]
    null = np.eye(d) if k == len(layers) else null_basis(chain(layers, k + 1, j))
    return meet(null, column_basis(chain(layers, j, i)))


def flow_B(layers: Sequence[np.ndarray], k: int, j: int, i: int) -> np.ndarray:
    """row(W_{k~j}) ∩ null(W_{j~i-1}^T), with W_0 the map from zero."""
    d = layers[0].shape[1] if j == 0 else layers[j - 1].shape[0]
    null = np.eye(d) if i == 0 else null_basis(chain(layers, j, i - 1).T)
    return meet(column_basis(chain(layers, k, j).T), null)
