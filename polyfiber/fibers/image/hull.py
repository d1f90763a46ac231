"""The image of the first layer, and what neurons of the second do on it, at any width.

The image is a union of polyhedra, one for each cell of the arrangement of layer 1. A linear program over a cell has its
optimum at a vertex or none along an unbounded edge, so the vertices and unbounded edges of the arrangement decide all
of them at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ... import words
from ..._typing import BoolArray, FloatArray, SignArray
from ..._values.read_only import closed
from ...budget import Budget, heed
from ...complexes.build import canonical_complex, estimate_size
from ...errors import GenericityError, IncompleteError
from ...network.model import ReLUNetwork
from ...numerics.rounding import UNIT

_ROWS = 1 << 15


@closed
@dataclass(frozen=True)
class SecondLayer:
    """What the neurons of layer 2 do on the image of layer 1.

    Attributes
    ----------
    dead, linear : (n2,) bool
        For certain never positive, never negative, and not both.
    apart : (n2, n1) bool
        For certain the neuron of layer 2 is never active where the feature of layer 1 is: its weight there has no
        effect.
    n_vertices, n_rays : int
        What was looked at.
    """

    dead: BoolArray
    linear: BoolArray
    apart: BoolArray
    n_vertices: int
    n_rays: int


def second_layer(net: ReLUNetwork, *, max_faces: int = 20_000_000, budget: Budget | None = None) -> SecondLayer | str:
    """Decide what can be decided about layer 2 from the cells of layer 1; a text says why nothing is.

    Values at vertices and slopes along unbounded edges carry bounds of their errors; what lies within them is not
    claimed.

    Examples
    --------
    Neuron 0 of layer 2 has weights of both signs, and is dead since the first feature never exceeds half of the second.

    >>> import polyfiber as pf
    >>> from polyfiber.fibers.image.hull import second_layer
    >>> net = pf.ReLUNetwork([[[1.0], [2.0]], [[1.0, -1.0], [1.0, 1.0]], [[1.0, 1.0]]], [[0.0, 1.0], [-0.5, -0.5], [0.0]])
    >>> found = second_layer(net)
    >>> found.dead.tolist(), found.linear.tolist()
    ([True, False], [False, False])
    """
    n0, n1 = net.architecture[:2]
    first = ReLUNetwork([net.weights[0], np.ones((1, n1))], [net.biases[0], [0.0]]) if not net.is_exact else None
    first = first or ReLUNetwork([net.weights[0], 0 * net.weights[0][:1, :1].repeat(n1, axis=1)], [net.biases[0], [0]])
    if (faces := estimate_size(first)["faces"]) > max_faces:
        return f"layer 1 has about {words.count(faces, 'face')}, more than {max_faces}"
    try:
        cx = canonical_complex(first, budget=budget)
    except (GenericityError, IncompleteError) as error:
        return f"the cells of layer 1 were not built: {error}"
    if cx.lineality_dimension:
        return "layer 1 leaves directions of the inputs without a wall"
    W1, b1 = net.weights[0].astype(np.float64), net.biases[0].astype(np.float64)
    W2, b2 = net.weights[1].astype(np.float64), net.biases[1].astype(np.float64)
    n2 = len(b2)
    never_on, never_off, apart = np.ones(n2, bool), np.ones(n2, bool), np.ones((n2, n1), bool)
    signs = cx.signs(0)[:, :n1]
    errors = cx.vertex_errors
    for start in range(0, len(signs), _ROWS):
        heed("vertices of layer 1")
        part = slice(start, start + _ROWS)
        x, e, s = cx.vertices[part], errors[part], signs[part]
        near = np.abs(x) @ np.abs(W1).T + np.abs(b1)
        err = e[:, None] * np.abs(W1).sum(axis=1) + (n0 + 8) * UNIT * near
        y = np.where(s > 0, x @ W1.T + b1, 0.0)
        _judge(y, np.where(s > 0, err, 0.0), s, (W2, b2), (never_on, never_off, apart))
    ids, directions = cx.rays
    edge_signs = cx.signs(1)[ids][:, :n1]
    for start in range(0, len(ids), _ROWS):
        heed("unbounded edges of layer 1")
        part = slice(start, start + _ROWS)
        d, s = directions[part], edge_signs[part]
        e = _direction_errors(W1, d, s)
        err = e[:, None] * np.linalg.norm(W1, axis=1) + (n0 + 8) * UNIT * (np.abs(d) @ np.abs(W1).T)
        y = np.where(s > 0, d @ W1.T, 0.0)
        _judge(y, np.where(s > 0, err, 0.0), s, (W2, 0 * b2), (never_on, never_off, apart))
    both = never_on & never_off
    return SecondLayer(never_on & ~both, never_off & ~both, apart, len(signs), len(ids))


def _judge(
    y: FloatArray,
    err: FloatArray,
    signs: SignArray,
    layer: tuple[FloatArray, FloatArray],
    found: tuple[BoolArray, ...],
) -> None:
    """Take back what values of layer 2 at some points, or slopes along some edges, contradict or leave open."""
    W, b = layer
    never_on, never_off, apart = found
    z = y @ W.T + b
    with np.errstate(invalid="ignore", over="ignore"):
        bound = err @ np.abs(W).T + (W.shape[1] + 8) * UNIT * (np.abs(y) @ np.abs(W).T + np.abs(b))
        still = (bound == 0) & (z == 0)  # nothing that is active is read
        not_positive, not_negative = still | (z + bound <= 0), still | (z - bound >= 0)
    never_on &= not_positive.all(axis=0)
    never_off &= not_negative.all(axis=0)
    apart &= (~not_positive).astype(np.float32).T @ (signs >= 0).astype(np.float32) == 0


def _direction_errors(W: FloatArray, d: FloatArray, signs: SignArray) -> FloatArray:
    """How far each unit direction can be from the line on which the neurons of sign 0 vanish."""
    n0 = W.shape[1]
    if n0 == 1:
        return np.zeros(len(d))
    norms = np.linalg.norm(W, axis=1)
    unit = W / np.where(norms > 0, norms, 1.0)[:, None]
    zero = signs == 0
    result = np.full(len(d), np.inf)
    exact = np.flatnonzero(zero.sum(axis=1) == n0 - 1)
    if len(exact):
        rows = unit[np.nonzero(zero[exact])[1].reshape(len(exact), n0 - 1)]
        least = np.linalg.svd(rows, compute_uv=False)[:, -1] - 32 * n0 * UNIT
        residual = np.linalg.norm(np.einsum("rij,rj->ri", rows, d[exact]), axis=1) + 8 * n0 * n0 * UNIT
        result[exact] = np.where(least > 0, 2 * residual / np.where(least > 0, least, 1.0), np.inf)
    return result
