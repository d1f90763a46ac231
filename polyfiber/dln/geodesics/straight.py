"""Straight lines upstairs: when chords of the balanced manifold stay in it, and the shortest chord between fibres.

Lemma 2.2 of Chen (arXiv 2510.07324) and its companions. The shortest chord between the fibres over two matrices bounds
their distance from below, since the manifold has the metric of its embedding.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..._typing import FloatArray, RngLike
from ..._values.checked import whole
from ...budget import Budget, within_budget
from ...errors import InputError
from ...words import one_line
from .._inputs import LAYERS, as_depth, as_matrix, as_positive, as_stack, as_stack_like, transpose
from ..space.balanced import svd_coordinates
from ..space.submersion import lift
from ..spectral import singular_frame
from .guesses import gauge_starts, thin_chord
from .reduction import end_of


def chord_defects(start: npt.ArrayLike, end: npt.ArrayLike) -> FloatArray:
    """The matrices K_p of Lemma 2.2, p = 1..N-1: the chord between two balanced networks is balanced iff all are skew.

    ``K_p = Lambda_0 (R_{p+1} - R_{p-1}) Lambda_1 R_p^T`` with ``R_p = (Q_p^0)^T Q_p^1``, and on the chord
    ``G_p(t) = -t (1-t) Q_p^0 (K_p + K_p^T) Q_p^{0T}``.

    Parameters
    ----------
    start, end : array_like (N, d, d)
        Balanced networks of full rank.

    Returns
    -------
    float64 (N-1, d, d)

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.dln import chord_defects, lift
    >>> A, B = lift(np.diag([2.0, 1.0]), 3), lift(np.diag([3.0, 0.5]), 3)
    >>> K = chord_defects(A, B)
    >>> bool(np.allclose(K + K.transpose(0, 2, 1), 0))
    True
    """
    first, second = as_stack(start), as_stack(end)
    if first.shape != second.shape or first.ndim != 3:
        raise InputError(f"expected two networks (N, d, d) of one shape, found {first.shape} and {second.shape}")
    a, b = svd_coordinates(first), svd_coordinates(second)
    d = first.shape[-1]
    if a.rank < d or b.rank < d:
        raise InputError(f"both networks must have full rank {d}; found {a.rank} and {b.rank}")
    r = [p.T @ q for p, q in zip(a.frames, b.frames, strict=True)]
    n = first.shape[0]
    result = np.zeros((n - 1, d, d))
    for p in range(1, n):
        result[p - 1] = (a.values[:, None] * (r[p + 1] - r[p - 1]) * b.values) @ r[p].T
    return result


def chord_is_balanced(start: npt.ArrayLike, end: npt.ArrayLike, *, tolerance: float = 1e-9) -> bool:
    """Whether the straight line between two balanced networks stays balanced (K_p skew, relative to its size).

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber import dln
    >>> dln.chord_is_balanced([np.eye(2), np.eye(2)], [2 * np.eye(2), 2 * np.eye(2)])
    True
    """
    k = chord_defects(start, end)
    if not k.size:
        return True
    scale = max(float((as_stack(start) ** 2).sum()), float((as_stack(end) ** 2).sum()))
    return bool(np.abs(k + transpose(k)).max() <= tolerance * scale)


def line_is_balanced(weights: npt.ArrayLike, V: npt.ArrayLike, *, tolerance: float = 1e-9) -> bool:
    """Whether the straight line ``W + t V`` through a balanced network stays balanced for all t.

    True iff V is tangent and ``V_{p+1}^T V_{p+1} = V_p V_p^T`` for all p. For a horizontal V over the momentum
    ``P = U Z V^T`` this means: N = 2, Z normal; N >= 3, Z normal and commuting with the singular values. (The wider
    condition of Chen, Theorem 2.3, does not suffice for N >= 3.)

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber import dln
    >>> dln.line_is_balanced([np.eye(2), np.eye(2)], [np.eye(2), np.eye(2)])
    True
    """
    stack, tolerance = as_stack(weights), as_positive(tolerance, name="tolerance", zero=True)
    v = as_stack_like(V, stack)
    if stack.shape[-3] == 1:
        return True
    upper, lower = v[..., 1:, :, :], v[..., :-1, :, :]
    bend = transpose(upper) @ upper - lower @ transpose(lower)
    linear = transpose(stack[..., 1:, :, :]) @ upper - lower @ transpose(stack[..., :-1, :, :])
    linear = linear + transpose(linear)
    size = float((v**2).sum())
    mixed = (size * float((stack**2).sum())) ** 0.5
    return bool(np.abs(bend).max() <= tolerance * size and np.abs(linear).max() <= tolerance * mixed)


@dataclass(frozen=True)
class Chord:
    """The shortest straight line found between the fibres over two matrices.

    Attributes
    ----------
    start, end : float64 (N, d, d)
        Balanced networks over the two matrices, the gauge of ``end`` aligned to ``start``.
    length : float
        ``||end - start||_F``: at most the distance of the two matrices if it is the shortest of all chords.
    global_minimum : bool
        True where the alignment is known to be the best one (depth 1 and 2); otherwise the best of several starts.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber import dln
    >>> chord = dln.shortest_chord(np.eye(2), 4 * np.eye(2), 2)
    >>> round(chord.length, 9), chord.global_minimum
    (2.0, True)
    """

    __repr__ = one_line

    start: FloatArray
    end: FloatArray
    length: float
    global_minimum: bool


@within_budget
def shortest_chord(
    W0: npt.ArrayLike,
    W1: npt.ArrayLike,
    depth: int,
    *,
    starts: int = 6,
    rng: RngLike = 0,
    limit: int = 500,
    budget: Budget | None = None,
) -> Chord:
    """Align the gauge of a network over W1 to a network over W0 by block Procrustes steps from several starts.

    Parameters
    ----------
    W0, W1 : array_like (d, d)
    depth : int
    starts : int
        Identity-like start plus ``starts - 1`` random ones (each cheap).
    rng
        For the random starts.
    limit : int
        Rounds of steps from each start.
    budget : Budget, optional
        Seconds for all of them.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.dln import shortest_chord
    >>> round(shortest_chord(np.diag([4.0, 1.0]), np.diag([1.0, 1.0]), 2).length, 12) == round(2**0.5, 12)
    True
    """
    n, starts, limit = (
        int(as_depth(depth, most=LAYERS)),
        whole(starts, "starts", least=1),
        whole(limit, "limit", least=0, most=2**53),
    )
    first, second = as_matrix(W0, name="W0", square=True), as_matrix(W1, name="W1", square=True)
    if first.ndim != 2 or first.shape != second.shape:
        raise InputError(f"expected two matrices (d, d) of one size, found {first.shape} and {second.shape}")
    a = lift(first, n)
    if n == 1:
        return Chord(a, lift(second, n), float(np.linalg.norm(second - first)), True)
    ranks = [int(singular_frame(w).rank) for w in (first, second)]
    rank = max(*ranks, 1)
    depth_of = float(n)
    before, after = (end_of(w, rank, depth_of, first.shape) for w in (first, second))
    best: tuple[float, list[FloatArray]] | None = None
    for h in gauge_starts(before, after, n, 1 if n == 2 else max(1, starts), rng=rng):
        _, layers, length = thin_chord(before, after, n, h, limit=limit)
        if best is None or length < best[0]:
            best = (length, layers)
    assert best is not None
    # hidden widths r become d in the frame that `lift` uses over the first matrix
    frame = before.right[:, :rank]
    layers = [frame @ best[1][0], *(frame @ w @ frame.T for w in best[1][1:-1]), best[1][-1] @ frame.T]
    end = np.stack(layers)
    return Chord(a, end, float(np.linalg.norm(end - a)), n == 2)
