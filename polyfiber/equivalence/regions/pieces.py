"""Affine maps of a network on the activation patterns at points, and which vertices and rays the regions of a complex
have.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..._typing import FloatArray
from ...budget import heed
from ...complexes.complex import PolyhedralComplex
from ...network.model import ReLUNetwork

PORTION = 1 << 22
"""Numbers in the largest working array."""


def affine_pieces(net: ReLUNetwork, points: FloatArray) -> tuple[list[FloatArray], FloatArray]:
    """Forms of all hidden neurons and of the outputs on the pattern at each point.

    Returns
    -------
    forms : list of (k, n_l, n0 + 1) arrays
        Per layer, constant last; the last entry is the affine map of the network.
    signs : (k, N) array of ±1
    """
    k, n0 = points.shape
    forms: list[FloatArray] = []
    signs = []
    current = np.zeros((k, n0, n0 + 1))
    current[:, np.arange(n0), np.arange(n0)] = 1.0
    for layer, (W, b) in enumerate(zip(net.weights, net.biases)):
        form = np.matmul(W[None], current)
        form[:, :, -1] += b
        forms.append(form)
        if layer < len(net.weights) - 1:
            z = np.einsum("kij,kj->ki", form[:, :, :-1], points) + form[:, :, -1]
            on = z > 0
            signs.append(np.where(on, 1.0, -1.0))
            current = form * on[:, :, None]
    return forms, (np.concatenate(signs, axis=1) if signs else np.zeros((k, 0)))


def output_maps(net: ReLUNetwork, points: FloatArray) -> FloatArray:
    """Affine maps (k, nL, n0 + 1) of a network at points."""
    n0 = net.architecture[0]
    maps = np.empty((len(points), net.architecture[-1], n0 + 1))
    portion = max(16, PORTION // (max(net.architecture) * (n0 + 1)))
    for start in range(0, len(points), portion):
        heed("comparing regions")
        part = slice(start, start + portion)
        maps[part] = affine_pieces(net, points[part])[0][-1]
    return maps


def incidence(cx: PolyhedralComplex) -> tuple[Any, Any]:
    """Sparse (regions, vertices) and (regions, rays) incidence of a complex, as CSR matrices."""
    from scipy import sparse

    d = cx.dimension
    strata = cx.strata
    ptr, idx = (np.asarray(v) for v in strata.covers_above)
    offsets = np.concatenate([[0], np.cumsum(cx.f_vector)])

    def step(k: int) -> Any:
        rows = slice(offsets[k], offsets[k + 1] + 1)
        local = ptr[rows]
        columns = idx[local[0] : local[-1]] - offsets[k + 1]
        data = np.ones(len(columns), dtype=np.int8)
        return sparse.csr_matrix((data, columns, local - local[0]), shape=(cx.f_vector[k], cx.f_vector[k + 1]))

    def flat(matrix: Any) -> Any:
        matrix.data[:] = 1
        return matrix

    above = sparse.identity(cx.f_vector[d], dtype=np.int8, format="csr")
    for k in range(d - 1, 0, -1):
        above = flat(step(k) @ above)
    ids, _ = cx.rays
    rays = above[ids].T.tocsr() if d else sparse.csr_matrix((cx.f_vector[0], 0), dtype=np.int8)
    vertices = flat(step(0) @ above).T.tocsr() if d else sparse.identity(1, dtype=np.int8, format="csr")
    return vertices, rays
