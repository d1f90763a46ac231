"""Geometry of one cell from the weights and its sign vector alone: what the checks of tables compare with.

Nothing here uses the complex: forms by masked products, points by linear programs, vertices by cdd.
"""

from __future__ import annotations

import os
import sys
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ..._typing import FloatArray
from ...domain import Polyhedron
from ...network.model import ReLUNetwork
from ...network.piecewise import PiecewiseLinearNetwork

NEAR = 1e-6
"""Relative difference that rounding may cause in a re-derived number."""


Network: TypeAlias = ReLUNetwork | PiecewiseLinearNetwork


class Part(NamedTuple):
    """A block of gates, or the output: matrices by the block that is read (0 the input), offsets, slopes (m, 2) of
    gates.
    """

    reads: dict[int, FloatArray]
    bias: FloatArray
    slopes: FloatArray


def parts_of(network: Network) -> list[Part]:
    """The blocks of a network in floats, last the output (whose slopes are no slopes)."""
    net = network.rounded()
    if isinstance(net, ReLUNetwork):
        return [
            Part({l: w}, b, np.broadcast_to([0.0, 1.0], (len(b), 2)))
            for l, (w, b) in enumerate(zip(net.weights, net.biases))
        ]
    found = []
    for affine, slopes in [*((b.affine, b.slopes) for b in net.blocks), (net.output, np.ones((net.n_outputs, 2)))]:
        reads = {j: affine.dense(j, net.architecture[j]) for j in affine.weights}
        found.append(Part(reads, affine.bias, slopes))
    return found


def masked_forms(network: Network, signs: Any, *, absolute: bool = False) -> tuple[FloatArray, FloatArray]:
    """Forms (N, n0 + 1) of all gates and of the outputs (nL, n0 + 1) where gates have these signs.

    A gate without a sign takes its slope below the wall. ``absolute``: of the absolute values of all numbers.
    """
    n0 = network.architecture[0]
    behind = [np.concatenate([np.eye(n0), np.zeros((n0, 1))], axis=1)]
    forms, at = [], 0
    parts = parts_of(network)
    if absolute:
        parts = [Part({j: np.abs(w) for j, w in r.items()}, np.abs(b), np.abs(s)) for r, b, s in parts]
    for reads, bias, slopes in parts:
        z = np.zeros((len(bias), n0 + 1))
        for j, matrix in reads.items():
            z += matrix @ behind[j]
        z[:, -1] += bias
        forms.append(z)
        if len(forms) < len(parts):
            above = np.asarray(signs[at : at + len(bias)]) > 0
            behind.append(z * np.where(above, slopes[:, 1], slopes[:, 0])[:, None])
            at += len(bias)
    return np.concatenate([*forms[:-1], np.zeros((0, n0 + 1))]), forms[-1]


def halfspaces(network: Network, domain: Polyhedron | None, signs: Any) -> tuple[FloatArray, FloatArray]:
    """``A x <= b`` of the closed region with these signs: unit rows, one per column of ``signs``; zero rows for
    constants.

    A form that is smaller than 1e-9 of the terms it is summed from says nothing in floats: its row is zero too.
    """
    forms, _ = masked_forms(network, signs)
    N = network.n_hidden
    terms, _ = masked_forms(network, signs, absolute=True)
    forms = np.where((np.abs(forms[:, :-1]).max(axis=1) > 1e-9 * terms[:, :-1].max(axis=1))[:, None], forms, 0.0)
    rows = -forms * np.asarray(signs[:N], dtype=np.float64)[:, None]
    A, b = rows[:, :-1], -rows[:, -1]
    if domain is not None:
        A = np.concatenate([A, np.asarray(domain.A, dtype=np.float64)])
        b = np.concatenate([b, np.asarray(domain.b, dtype=np.float64)])
    size = np.linalg.norm(A, axis=1)
    size[size == 0] = 1.0
    return A / size[:, None], b / size


def _linprog(*arguments: Any, **more: Any) -> Any:
    """``scipy.optimize.linprog``; the solver prints some of its warnings past Python, and stdout belongs to the
    answer.
    """
    from scipy.optimize import linprog

    sys.stdout.flush()
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        return linprog(*arguments, **more)
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)


def inner_ball(A: FloatArray, b: FloatArray, *, most: float = 1.0) -> tuple[FloatArray, float] | None:
    """Centre and radius (at most ``most``) of a ball in ``A x <= b`` with unit rows; None where there is none."""
    n = A.shape[1]
    live = np.abs(A).max(axis=1) > 0
    rows = np.concatenate([A[live], np.ones((int(live.sum()), 1))], axis=1)
    found = _linprog(
        np.concatenate([np.zeros(n), [-1.0]]), A_ub=rows, b_ub=b[live], bounds=[(None, None)] * n + [(0.0, most)]
    )
    return (found.x[:n], float(found.x[n])) if found.status == 0 and found.x[n] > 0 else None


def needed(A: FloatArray, b: FloatArray, row: int) -> float:
    """How far (at most 1) a point of the other inequalities can violate one of them; unit rows."""
    others = np.arange(len(b)) != row
    bound = np.concatenate([A[others], A[row : row + 1]])
    limit = np.concatenate([b[others], [b[row] + 1.0]])
    found = _linprog(-A[row], A_ub=bound, b_ub=limit, bounds=[(None, None)] * A.shape[1])
    return float(-found.fun - b[row]) if found.status == 0 else np.inf


def generators(A: FloatArray, b: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Vertices and unit rays of a pointed polyhedron ``A x <= b``, by cdd."""
    import cdd

    rows = np.concatenate([b[:, None], -A], axis=1)
    matrix = cdd.matrix_from_array(rows.tolist(), rep_type=cdd.RepType.INEQUALITY)
    found = cdd.copy_generators(cdd.polyhedron_from_matrix(matrix))
    points = np.array(found.array, dtype=np.float64).reshape(-1, rows.shape[1])
    is_vertex = points[:, 0] == 1
    rays, vertices = points[~is_vertex, 1:], points[is_vertex, 1:]
    if not len(vertices):  # cdd leaves the apex of a cone at the origin out
        vertices = np.zeros((1, A.shape[1]))
    return vertices, rays / np.linalg.norm(rays, axis=1, keepdims=True)


def extreme(A: FloatArray, b: FloatArray, points: FloatArray, *, tight: int) -> bool:
    """Whether points satisfy ``A x <= b`` (unit rows) and lie on at least ``tight`` walls each, up to rounding."""
    slack = b - points @ A.T
    near = NEAR * (1.0 + np.abs(points).max(axis=1, initial=0.0))[:, None]
    return bool((slack >= -near).all() and ((slack <= near).sum(axis=1) >= tight).all())


def covered(points: FloatArray, by: FloatArray, *, tolerance: float = NEAR) -> bool:
    """Whether each of the points has one of the others nearby."""
    if not len(points) or not len(by):
        return len(points) == 0
    gap = np.abs(points[:, None, :] - by[None, :, :]).max(axis=2).min(axis=1)
    return bool((gap < tolerance * (1.0 + np.abs(points).max(axis=1))).all())


def as_many(points: FloatArray, others: FloatArray) -> bool:
    """Whether no point is there twice: none exactly, and where the others lie apart there are as many."""
    if len(np.unique(points, axis=0)) < len(points):
        return False
    gaps = np.abs(others[:, None, :] - others[None, :, :]).max(axis=2, initial=0.0) + np.diag(
        np.full(len(others), np.inf)
    )
    apart = len(others) < 2 or gaps.min() > 10 * NEAR * (1.0 + np.abs(others).max())
    return len(points) == len(others) or not apart


def unbounded_edges(A: FloatArray, b: FloatArray, vertices: FloatArray, rays: FloatArray) -> list[int] | None:
    """How many unbounded edges of a pointed polyhedron run in the direction of each of its rays; None where floats do
    not tell.

    From a vertex an edge runs along a ray where the walls through both leave one direction: parallel edges share their
    ray.
    """
    n = A.shape[1]
    size = 1.0 + np.abs(vertices).max(axis=1, initial=0.0)[:, None]
    at_vertex, along = np.abs(b - vertices @ A.T) / size, np.abs(rays @ A.T)
    if any(((gap > 0.03 * NEAR) & (gap < 10 * NEAR)).any() for gap in (at_vertex, along)):
        return None
    counts = []
    for ray in along < NEAR:
        through = [A[wall & ray] for wall in at_vertex < NEAR]
        counts.append(sum(int(len(w) and np.linalg.matrix_rank(w, tol=NEAR)) == n - 1 for w in through))
    return counts


def hull_volume(points: FloatArray) -> float:
    """Volume of a full-dimensional hull; long thin ones are made round before they are measured."""
    from scipy.spatial import ConvexHull

    if points.shape[1] == 1:
        return float(np.ptp(points))
    centred = points - points.mean(axis=0)
    triangle = np.linalg.qr(centred)[1]
    return float(ConvexHull(np.linalg.solve(triangle.T, centred.T).T).volume * abs(np.linalg.det(triangle)))
