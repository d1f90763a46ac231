"""Balanced varieties: the invariants G_p of any weights, charts of the varieties, and leaves of fixed rank.

Sign convention (Menon, arXiv 2411.09004, (4.2)): ``G_p = W_p W_p^T - W_{p+1}^T W_{p+1}``, p = 1..N-1. Every flow
``dW_p/dt = -(W_N..W_{p+1})^T E'(W) (W_{p-1}..W_1)^T`` conserves all of them; ``G = 0`` is the balanced variety.
Layers may be rectangular and come in batches; the first layer comes first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from ... import words
from ..._typing import FloatArray, RngLike
from ..._values.checked import generator_of, shown
from ...errors import InputError, ShapeError
from ...words import one_line
from .._inputs import (
    RANK_TOLERANCE,
    as_depth,
    as_finite,
    as_layers,
    as_matrices,
    as_matrix,
    as_positive,
    as_widths,
    transpose,
)


def invariants(weights: npt.ArrayLike) -> tuple[FloatArray, ...]:
    """Conserved quantities ``G_p = W_p W_p^T - W_{p+1}^T W_{p+1}``, p = 1..N-1, each (..., d_p, d_p).

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.dln import invariants
    >>> [G.tolist() for G in invariants([np.array([[2.0]]), np.array([[1.0], [1.0]])])]
    [[[2.0]]]
    """
    layers = as_layers(weights)
    return tuple(
        layers[p] @ transpose(layers[p]) - transpose(layers[p + 1]) @ layers[p + 1] for p in range(len(layers) - 1)
    )


def imbalance(weights: npt.ArrayLike) -> FloatArray:
    """Size of the invariants relative to the weights: ``max_p ||G_p||_F / max_p ||W_p||_F^2``, shape (...).

    Zero for balanced networks and for a network of zeros.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.dln import imbalance, lift
    >>> float(imbalance(lift(np.array([[1.0, 2.0], [3.0, 4.0]]), 4))) < 1e-14
    True
    """
    layers = as_layers(weights)
    batch = np.broadcast_shapes(*(layer.shape[:-2] for layer in layers))
    size = np.zeros(batch)
    for layer in layers:
        size = np.maximum(size, (layer**2).sum(axis=(-2, -1)))
    worst = np.zeros(batch)
    for g in invariants(layers):
        worst = np.maximum(worst, np.sqrt((g**2).sum(axis=(-2, -1))))
    return worst / np.where(size > 0, size, 1.0)


@dataclass(frozen=True)
class SVDCoordinates:
    """A balanced network of rank r as ``W_p = Q_p diag(values) Q_{p-1}^T``.

    Attributes
    ----------
    frames : tuple of float64 (d_p, r), p = 0..N
        Orthonormal columns.
    values : float64 (r,)
        ``lambda = sigma^{1/N}``, positive and decreasing.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber import dln
    >>> at = dln.svd_coordinates(dln.lift(np.diag([8.0, 1.0]), 3))
    >>> at.values, at.rank, len(at.frames)
    (array([2., 1.]), 2, 4)
    """

    __repr__ = one_line

    frames: tuple[FloatArray, ...]
    values: FloatArray

    @property
    def weights(self) -> tuple[FloatArray, ...]:
        """The layers W_1, ..., W_N."""
        q = self.frames
        return tuple((q[p] * self.values) @ q[p - 1].T for p in range(1, len(q)))

    @property
    def rank(self) -> int:
        """Rank of every layer and of the product."""
        return int(self.values.size)


def svd_coordinates(
    weights: npt.ArrayLike, *, tolerance: float = 1e-8, rank_tolerance: float = RANK_TOLERANCE
) -> SVDCoordinates:
    """Singular chart of one balanced network (Menon (5.15)-(5.20)); inverse of :func:`from_svd_coordinates`.

    Parameters
    ----------
    weights : sequence of N arrays (d_p, d_{p-1}), or array (N, d, d)
    tolerance : float
        Largest relative imbalance accepted.
    rank_tolerance : float
        Singular values of the first layer below this times the largest count as zero.

    Raises
    ------
    InputError
        If the network is not balanced.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.dln import lift, svd_coordinates
    >>> svd_coordinates(lift(np.diag([8.0, 1.0]), 3)).values.round(12).tolist()
    [2.0, 1.0]
    """
    layers = as_layers(weights)
    _one(layers)
    tolerance = as_positive(tolerance, name="tolerance", zero=True)
    rank_tolerance = as_positive(rank_tolerance, name="rank_tolerance", zero=True)
    off = float(imbalance(layers))
    if off > tolerance:
        raise InputError(
            f"the network is not balanced (relative imbalance {off:.3g} > {tolerance:.3g}); "
            "project it first with project_balanced",
            imbalance=off,
        )
    u, s, vt = np.linalg.svd(layers[0], full_matrices=False)
    r = int((s > rank_tolerance * s[0]).sum()) if s[0] > 0 else 0
    frames = [vt[:r].T, u[:, :r]]
    for layer in layers[1:]:
        if r == 0:
            frames.append(np.zeros((layer.shape[0], 0)))
            continue
        # columns in decreasing order: orthogonalising removes what round-off in a small column picked up of larger ones
        q, upper = np.linalg.qr(layer @ frames[-1])
        frames.append(q * np.where(np.diag(upper) < 0, -1.0, 1.0))
    return SVDCoordinates(tuple(frames), s[:r].copy())


def from_svd_coordinates(frames: Sequence[npt.ArrayLike], values: npt.ArrayLike) -> tuple[FloatArray, ...]:
    """Balanced network ``W_p = Q_p diag(values) Q_{p-1}^T`` from orthonormal frames Q_0..Q_N and values >= 0.

    Raises
    ------
    ShapeError
        If the frames do not all have r columns, r the number of values.
    InputError
        If a frame is not orthonormal (1e-8) or a value is negative.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.dln import from_svd_coordinates, imbalance
    >>> W = from_svd_coordinates([np.eye(3)[:, :1], np.eye(2)[:, :1], np.eye(4)[:, :1]], [2.0])
    >>> [w.shape for w in W], float(imbalance(W))
    ([(2, 3), (4, 2)], 0.0)
    """
    lam = as_finite(values, name="values")
    if lam.ndim != 1:
        raise ShapeError(f"values has shape {lam.shape}; expected (r,)", shape=lam.shape)
    if (lam < 0).any():
        raise InputError("values must be non-negative: signs belong into the frames")
    q = [as_matrix(frame, name=f"frame {p}") for p, frame in enumerate(frames)]
    if len(q) < 2:
        raise ShapeError(f"found {len(q)} frames; a network of depth N needs N + 1 >= 2", frames=len(q))
    for p, frame in enumerate(q):
        if frame.ndim != 2 or frame.shape[1] != lam.size:
            raise ShapeError(f"frame {p} has shape {frame.shape}; expected (d_{p}, {lam.size})", shape=frame.shape)
        if np.abs(frame.T @ frame - np.eye(lam.size)).max(initial=0.0) > 1e-8:
            raise InputError(f"the columns of frame {p} are not orthonormal")
    return SVDCoordinates(tuple(q), lam).weights


@dataclass(frozen=True)
class PolarCoordinates:
    """A network of given invariants from one end layer and polar factors.

    Attributes
    ----------
    end : float64
        ``W_1`` for ``side="right"``, ``W_N`` for ``side="left"``.
    factors : tuple of float64
        Right: ``Q_2, ..., Q_N`` with ``W_{p+1} = Q_{p+1} (W_p W_p^T - G_p)^{1/2}``.
        Left: ``U_{N-1}, ..., U_1`` with ``W_p = (W_{p+1}^T W_{p+1} + G_p)^{1/2} U_p^T``.
    invariants : tuple of float64 (d_p, d_p)
    side : "right" or "left"

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber import dln
    >>> at = dln.polar_coordinates(dln.lift(np.diag([4.0, 1.0]), 2))
    >>> at.side, at.end.round(12), len(at.factors)
    ('right', array([[2., 0.],
           [0., 1.]]), 1)
    """

    __repr__ = one_line

    end: FloatArray
    factors: tuple[FloatArray, ...]
    invariants: tuple[FloatArray, ...]
    side: Literal["right", "left"]

    @property
    def weights(self) -> tuple[FloatArray, ...]:
        """The layers W_1, ..., W_N."""
        return from_polar_coordinates(self.end, self.factors, invariants=self.invariants, side=self.side)


def polar_coordinates(weights: npt.ArrayLike, *, side: Literal["right", "left"] = "right") -> PolarCoordinates:
    """Polar chart of any network (Menon (5.6)-(5.12)); inverse of :func:`from_polar_coordinates`.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.dln import polar_coordinates
    >>> rng = np.random.default_rng(0)
    >>> W = [rng.standard_normal((3, 3)) for _ in range(3)]
    >>> back = polar_coordinates(W, side="left").weights
    >>> max(float(abs(a - b).max()) for a, b in zip(W, back)) < 1e-12
    True
    """
    layers = as_layers(weights)
    _one(layers)
    _side(side)
    if side == "right":
        factors = tuple(polar_factor(layer) for layer in layers[1:])
        return PolarCoordinates(layers[0], factors, invariants(layers), side)
    factors = tuple(polar_factor(layer).T for layer in layers[-2::-1])
    return PolarCoordinates(layers[-1], factors, invariants(layers), side)


def from_polar_coordinates(
    end: npt.ArrayLike,
    factors: Sequence[npt.ArrayLike],
    *,
    invariants: Sequence[npt.ArrayLike] | None = None,
    side: Literal["right", "left"] = "right",
    tolerance: float = 1e-8,
) -> tuple[FloatArray, ...]:
    """A network on the variety M_G from one end layer and polar factors.

    Parameters
    ----------
    end : array_like
        ``W_1`` (side "right") or ``W_N`` (side "left").
    factors : sequence of array_like
        Orthogonal for square layers (partial isometries in general), next to ``end`` first.
    invariants : sequence of array_like, optional
        ``G_1, ..., G_{N-1}``; zero by default.
    side : "right" or "left"
    tolerance : float
        Relative accuracy to which the invariants must be met.

    Raises
    ------
    InputError
        Where ``W_p W_p^T - G_p`` (right) or ``W_{p+1}^T W_{p+1} + G_p`` (left) is not positive semidefinite: no network
        with these invariants and this end exists. Also if a factor is not isometric where it has to be.

    Notes
    -----
    Right to left always works for ``G_p <= 0``, left to right for ``G_p >= 0``.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber import dln
    >>> W1, W2 = dln.from_polar_coordinates(np.diag([2.0, 1.0]), [np.array([[0.0, -1.0], [1.0, 0.0]])])
    >>> (W2 @ W1).round(12)
    array([[ 0., -1.],
           [ 4.,  0.]])
    """
    _side(side)
    layer, tolerance = as_matrix(end, name="end"), as_positive(tolerance, name="tolerance", zero=True)
    q = as_matrices(factors, "factor {}")
    count = len(q)
    if layer.ndim != 2 or any(factor.ndim != 2 for factor in q):
        raise ShapeError(f"one network at a time: end has shape {layer.shape}, factors {[f.shape for f in q]}")
    if invariants is None:
        g: list[FloatArray | None] = [None] * count
    else:
        g = [*as_matrices(invariants, "G_{}", square=True)]
        if len(g) != count:
            raise ShapeError(
                f"{count} factors need {count} invariants, found {len(g)}", factors=count, invariants=len(g)
            )
    layers = [layer]
    for i, factor in enumerate(q):
        p = i + 1 if side == "right" else count - i  # index of G_p
        gram = layer @ layer.T if side == "right" else layer.T @ layer
        target = g[p - 1]
        square = gram
        if target is not None:
            if target.shape != gram.shape:
                raise ShapeError(f"G_{p} has shape {target.shape}; expected {gram.shape}", shape=target.shape)
            square = gram - target if side == "right" else gram + target
        root = _root(square, p, side)
        if factor.shape[1] != root.shape[0]:
            raise ShapeError(
                f"factor {i + 1} has shape {factor.shape}; expected (?, {root.shape[0]})", shape=factor.shape
            )
        layer = factor @ root if side == "right" else root @ factor.T
        found = layer.T @ layer if side == "right" else layer @ layer.T
        if np.abs(found - square).max() > tolerance * max(float(np.abs(square).max()), np.finfo(float).tiny):
            raise InputError(f"factor {i + 1} is not isometric on the range it acts on")
        layers.append(layer)
    return tuple(layers if side == "right" else layers[::-1])


def _root(square: FloatArray, p: int, side: str) -> FloatArray:
    values, vectors = np.linalg.eigh(0.5 * (square + square.T))
    floor = -1e-10 * max(abs(values[0]), abs(values[-1]), np.finfo(float).tiny)
    if values[0] < floor:
        what = f"W_{p} W_{p}^T - G_{p}" if side == "right" else f"W_{p + 1}^T W_{p + 1} + G_{p}"
        raise InputError(
            f"{what} has the negative eigenvalue {values[0]:.3g}: no network with these invariants has this end layer",
            eigenvalue=float(values[0]),
            layer=p,
        )
    return (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T


def polar_factor(W: npt.ArrayLike) -> FloatArray:
    """Orthogonal (or partially isometric) factor ``U V^T`` of ``W = U Sigma V^T``, shape (..., m, n).

    Examples
    --------
    >>> from polyfiber.dln import polar_factor
    >>> polar_factor([[0.0, -2.0], [3.0, 0.0]]).round(12)
    array([[ 0., -1.],
           [ 1.,  0.]])
    """
    u, _, vt = np.linalg.svd(as_matrix(W), full_matrices=False)
    return u @ vt


def leaf_dimension(widths: Sequence[int], rank: int) -> int:
    """Dimension of the balanced networks of widths (d_0, ..., d_N) and rank r: ``r + sum_p (r d_p - r(r+1)/2)``.

    Examples
    --------
    >>> from polyfiber.dln import leaf_dimension
    >>> leaf_dimension((3, 3, 3), 3)     # d^2 + (N-1) d(d-1)/2
    12
    """
    sizes = as_widths(widths)
    r = int(as_depth(rank, least=0, name="rank"))
    if len(sizes) < 2:
        raise ShapeError(f"found {words.count(len(sizes), 'width')}; expected at least two", widths=len(sizes))
    if r > min(sizes):
        raise InputError(f"rank {r} is impossible with a width of {min(sizes)}", rank=r)
    return r + sum(r * w - r * (r + 1) // 2 for w in sizes)


def random_balanced(
    widths: Sequence[int], *, rank: int | None = None, scale: float = 1.0, rng: RngLike = None
) -> tuple[FloatArray, ...]:
    """A random balanced network: Haar frames and ``lambda`` the singular values of a Gaussian r x r matrix.

    Examples
    --------
    >>> from polyfiber.dln import imbalance, random_balanced
    >>> W = random_balanced((4, 3, 5), rank=2, rng=0)
    >>> [w.shape for w in W], float(imbalance(W)) < 1e-14
    ([(3, 4), (5, 3)], True)
    """
    generator = generator_of(rng)
    sizes = as_widths(widths)
    r = min(sizes) if rank is None else rank
    leaf_dimension(sizes, r)
    scale = as_positive(scale, name="scale", zero=True)
    values = np.asarray(np.linalg.svd(generator.standard_normal((r, r)), compute_uv=False), dtype=np.float64)
    values = values * (scale / math.sqrt(max(r, 1)))
    frames = []
    for w in sizes:
        q, upper = np.linalg.qr(generator.standard_normal((w, r)))
        frames.append(q * np.sign(np.diag(upper)))
    return SVDCoordinates(tuple(frames), values).weights


def _one(layers: tuple[FloatArray, ...]) -> None:
    for p, layer in enumerate(layers, start=1):
        if layer.ndim != 2:
            raise ShapeError(f"one network at a time: layer {p} has shape {layer.shape}", shape=layer.shape)


def _side(side: str) -> None:
    if not isinstance(side, str) or side not in ("right", "left"):
        raise InputError(f"side is {shown(side)}; expected 'right' (start at W_1) or 'left' (start at W_N)")
