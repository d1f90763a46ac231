"""Compare two networks over the certified regions of one of them: the second look at what was decided on cells.

The regions of f come from its canonical complex, with their vertices, rays and facets; f is affine on each. Where g bends inside a region the
region is cut, in plain numpy, along the walls of g. What g is off the affine pieces that stand for it is measured at
vertices and along rays. Nothing is shared with `regions.cover` but the mathematics: no code, no order of cuts, no account of rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..._typing import BoolArray, FloatArray
from ...budget import Monitor
from ...complexes.complex import PolyhedralComplex
from ...network.model import ReLUNetwork
from ..regions.pieces import incidence
from ..witness import magnitude

WALL = 1e-12
"""Values below it, relative to their terms, are on the wall."""
MOST = 512
"""Vertices and rays of a piece beyond which it is left open."""


@dataclass
class SecondLook:
    """Pieces that were compared, those left open, and the largest bound of ``|f - g|`` relative to what is allowed."""

    pieces: int = 0
    open: int = 0
    worst: float = 0.0

    @property
    def confirms(self) -> bool:
        """Whether everything was compared and is within what is allowed."""
        return self.pieces > 0 and not self.open and self.worst <= 1.0


def compare_over(
    cx: PolyhedralComplex, f: ReLUNetwork, g: ReLUNetwork,
    allowed: Callable[[FloatArray, FloatArray], FloatArray], monitor: Monitor,
) -> SecondLook:  # fmt: skip
    """Compare g with f on every region of the complex of f.

    Parameters
    ----------
    allowed : callable
        Takes generators x (k, n0) and their kinds (k,), 1 for points and 0 for rays; gives what ``|f - g|`` may be (k, nL).
    """
    look = SecondLook()
    inside, outward = incidence(cx)
    vertices, directions = cx.vertices, cx.rays[1]
    A, a = cx.affine_maps()
    for r in range(cx.n_regions):
        monitor.check_time("comparing regions again")
        points, rays = vertices[inside[r].indices], directions[outward[r].indices]
        G = np.concatenate(
            [np.insert(points, points.shape[1], 1.0, axis=1), np.insert(rays, rays.shape[1], 0.0, axis=1)]
        )
        h = cx.h_representation(r)
        rows = np.concatenate([-h.A, h.b[:, None]], axis=1)
        tight = np.abs(G @ rows.T) <= 1e-9 * (np.abs(G) @ np.abs(rows).T)
        tight = np.concatenate([tight, G[:, -1:] == 0], axis=1)
        f_map = np.concatenate([A[r], a[r][:, None]], axis=1)
        _piece(G, tight, f_map, f, g, [], allowed, look)
    return look


def _piece(
    G: FloatArray, tight: BoolArray, f_map: FloatArray, f: ReLUNetwork, g: ReLUNetwork, signs: list[FloatArray],
    allowed: Callable[[FloatArray, FloatArray], FloatArray], look: SecondLook,
) -> None:  # fmt: skip
    """Compare on the hull of generators (k, n0 + 1), layer by layer of g, cutting where it bends."""
    forms, values, terms = _walk(g, G, signs)
    while len(signs) < len(g.weights) - 1:
        z, close = values, WALL * terms
        crossing = np.flatnonzero((z > close).any(axis=0) & (z < -close).any(axis=0))
        if len(crossing):
            for part, marks in _cut(G, tight, np.where(np.abs(z) <= close, 0.0, z)[:, crossing[0]]):
                if len(part) > MOST:
                    look.open += 1
                    continue
                _piece(part, marks, f_map, f, g, signs, allowed, look)
            return
        signs = [*signs, np.where(z.max(axis=0) >= -z.min(axis=0), 1.0, -1.0)]
        forms, values, terms = _walk(g, G, signs)
    gap = np.abs(G @ (f_map - forms).T)
    point = G[:, -1]
    x = G[:, :-1]
    noise = 2.0**-45 * (_terms(f, x, point) + _terms(g, x, point))
    bound = gap + _slack(g, G, signs) + noise
    limit = allowed(x, point) + 2.0 * noise
    look.pieces += 1
    ratio = np.where(bound > 0, bound / np.maximum(limit, 1e-300), 0.0)
    look.worst = max(look.worst, float(np.where(np.isnan(ratio), np.inf, ratio).max()))


def _terms(net: ReLUNetwork, x: FloatArray, point: FloatArray) -> FloatArray:
    """What terms add up to at points, and without biases along rays."""
    bare = ReLUNetwork(net.weights, [0 * c for c in net.biases])
    return np.where(point[:, None] > 0, magnitude(net, x), magnitude(bare, x))


def _walk(g: ReLUNetwork, G: FloatArray, signs: list[FloatArray]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Forms of the first layer without signs, its values at generators, and their terms."""
    n = G.shape[1] - 1
    form, size = np.eye(n, n + 1), np.abs(G[:, :-1])
    for layer in range(len(signs) + 1):
        W, b = g.weights[layer], g.biases[layer]
        form = W @ form
        form[:, -1] += b
        size = size @ np.abs(W).T + np.abs(b) * G[:, -1:]
        if layer < len(signs):
            form = form * (signs[layer] > 0)[:, None]
    return form, G @ form.T, size


def _slack(g: ReLUNetwork, G: FloatArray, signs: list[FloatArray]) -> FloatArray:
    """How far the outputs of g may be from the map of its signs at generators (k, nL)."""
    off: FloatArray = np.zeros((len(G), g.architecture[0]))
    for layer, sign in enumerate(signs):
        z = _walk(g, G, signs[:layer])[1]
        off = off @ np.abs(g.weights[layer]).T
        off = np.where(sign > 0, off + np.maximum(-z, 0.0), np.maximum(off + z, 0.0))
    return off @ np.abs(g.weights[-1]).T


def _cut(G: FloatArray, tight: BoolArray, z: FloatArray) -> list[tuple[FloatArray, BoolArray]]:
    """Both sides of a wall with values z at the generators; ends of an edge share all but one of the constraints of a corner."""
    need = G.shape[1] - 2
    high, low = np.flatnonzero(z > 0), np.flatnonzero(z < 0)
    on = np.flatnonzero(z == 0)
    common = tight[high][:, None] & tight[low][None]
    i, j = np.nonzero(common.sum(axis=2) >= need)
    p, q, t, u = G[high[i]], G[low[j]], z[high[i]], z[low[j]]
    both = (p[:, -1] > 0) & (q[:, -1] > 0)
    share = np.where(both, t / (t - u), 0.0)[:, None]
    fresh = np.where(both[:, None], p + share * (q - p), t[:, None] * q - u[:, None] * p)
    scale = np.where(fresh[:, -1] > 0, fresh[:, -1], np.abs(fresh).max(axis=1))
    fresh = fresh / np.where(scale > 0, scale, 1.0)[:, None]
    marks = np.insert(common[i, j], tight.shape[1], True, axis=1)
    wide = np.insert(tight, tight.shape[1], z == 0, axis=1)
    return [
        (np.concatenate([G[side], G[on], fresh]), np.concatenate([wide[side], wide[on], marks])) for side in (high, low)
    ]
