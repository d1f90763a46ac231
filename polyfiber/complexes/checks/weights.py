"""Weights of breakpoint facets against the jump of the gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...budget import heed
from ...numerics.products import nearest
from ...numerics.rounding import UNIT

if TYPE_CHECKING:
    from ..complex import PolyhedralComplex

BATCH = 1 << 12


def check_weights(cx: PolyhedralComplex, problems: list[str]) -> int:
    """Whether ``A_P - A_Q`` is the weight times the normal, for every facet between two regions; returns their number.

    The maps are made by gating weight matrices with the signs of the regions, in numpy; what rounding may change is
    bounded by the magnitudes along all paths.
    """
    d = cx.dimension
    if d == 0 or not cx.n_regions:
        return 0
    bp = cx.breakpoint_complex()
    indptr, indices = cx._store.covers_above(d - 1)
    two = np.flatnonzero(np.diff(indptr) == 2)
    signs = cx.signs(d)
    walls = bp._walls[two] - cx._frame.n_domain
    wrong = 0
    with np.errstate(all="ignore"):
        wired = cx._frame.form is not None
        weights: Any = _blocks(cx) if wired else [nearest(w) for w in cx.network.weights]
        if (
            cx._frame.hull is not None and cx._frame.n_neurons and not wired
        ):  # on a flat domain only gradients along it count
            weights[0] = nearest(cx._frame.rows[cx._frame.n_domain :, :-1])
        linear = _block_parts if wired else _linear_parts
        size, terms = _sizes(weights) if wired else _chain_sizes(weights)
        slack = 2.02 * terms * UNIT * size + 1e-300
        for start in range(0, len(two), BATCH):
            heed("the check of breakpoint weights")
            part = slice(start, start + BATCH)
            facets = two[part]
            first, second = indices[indptr[facets]], indices[indptr[facets] + 1]
            jump = linear(weights, signs[first]) - linear(weights, signs[second])
            jump *= np.where(signs[first, walls[part]] > 0, 1.0, -1.0)[:, None, None]
            form = bp._forms[facets, :-1]
            largest = np.abs(form).max(axis=1, keepdims=True)
            normal = form / largest
            normal /= np.linalg.norm(normal, axis=1, keepdims=True)
            said = bp._all_weights[facets][:, :, None] * normal[:, None, :]
            wrong += int((np.abs(jump - said) > slack + 1e-12 * np.abs(said)).any(axis=(1, 2)).sum())
    if wrong:
        problems.append(f"{wrong} weights of facets are not the jumps of the gradient there")
    visible = np.flatnonzero((bp._all_weights != 0).any(axis=1))
    if not (
        np.array_equal(visible, bp.facets) and np.array_equal(bp.weights, bp._all_weights[visible], equal_nan=True)
    ):
        problems.append("the visible facets are not those with a weight")
    return len(two)


def _chain_sizes(weights: list[np.ndarray]) -> tuple[np.ndarray, float]:
    size, terms = np.eye(weights[0].shape[1]), 4.0
    for w in weights:
        size, terms = np.abs(w) @ size, terms + w.shape[1] + 4
    return size, terms


def _blocks(cx: PolyhedralComplex) -> list[tuple[np.ndarray, dict[int, Any]]]:
    """Linear part on the input, and matrices on blocks, of each block and the output."""
    frame = cx._frame
    assert frame.form is not None
    rows = [nearest(part)[:, :-1] for part in (frame.rows[frame.n_domain :], *frame.deep)]
    return list(zip(rows, frame.form.floats.reads))


def _sizes(blocks: list[tuple[np.ndarray, dict[int, Any]]]) -> tuple[np.ndarray, float]:
    sizes: list[np.ndarray] = []
    terms = 4.0
    for base, reads in blocks:
        sizes.append(sum((abs(m) @ sizes[j - 1] for j, m in reads.items()), np.abs(base)))
        terms += base.shape[1] + 4 + sum(m.shape[1] for m in reads.values())
    return sizes[-1], terms


def _block_parts(blocks: list[tuple[np.ndarray, dict[int, Any]]], signs: np.ndarray) -> np.ndarray:
    """The same for a network of gates: linear parts behind the gates of each block, from the first on."""
    behind: list[np.ndarray] = []
    total, column = np.zeros(0), 0
    for base, reads in blocks:
        total = np.broadcast_to(base, (len(signs), *base.shape))
        for j, matrix in reads.items():
            dense = matrix if isinstance(matrix, np.ndarray) else matrix.toarray()
            total = total + dense @ behind[j - 1]
        on = signs[:, column : column + len(base)] > 0
        behind.append(total * on[:, :, None] if on.shape[1] == len(base) else total)
        column += len(base)
    return total


def _linear_parts(weights: list[np.ndarray], signs: np.ndarray) -> np.ndarray:
    """Linear parts (m, nL, n0) on regions given by their signs (m, N + D)."""
    total = np.broadcast_to(weights[0], (len(signs), *weights[0].shape))
    column = 0
    for w in weights[1:]:
        width = w.shape[1]
        total = w @ (total * (signs[:, column : column + width] > 0)[:, :, None])
        column += width
    return total
