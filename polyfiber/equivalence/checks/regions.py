"""Compare two networks over the certified regions of one of them: the second look at what was decided on cells.

The regions of f come from its canonical complex, with their vertices, rays and facets; f is affine on each. Where g
bends inside a region the region is cut, in plain numpy, along the walls of g. What g is off the affine pieces that
stand for it is measured at vertices and along rays. Nothing is shared with `regions.cover` but the mathematics: no
code, no order of cuts, no account of rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..._typing import BoolArray, FloatArray
from ...budget import Monitor
from ...complexes.complex import PolyhedralComplex
from ...network.model import ReLUNetwork
from ...numerics.rounding import UNIT, gamma
from ..regions.pieces import incidence

WALL = 1e-12
"""Values below it, relative to their terms, are on the wall."""
MOST = 512
"""Vertices and rays of a piece beyond which it is left open."""

MOST_CUTS = 300
"""Cuts on the way to a piece."""


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


class _Asked(NamedTuple):
    """Limits of the outputs at points, share of their terms (None: nothing for terms and rounding either), and layers
    of both.
    """

    limits: FloatArray
    share: float | None
    depth: int


def compare_over(
    cx: PolyhedralComplex, f: ReLUNetwork, g: ReLUNetwork, limits: FloatArray, share: float | None, monitor: Monitor
) -> SecondLook:
    """Compare g with f on every region of the complex of f.

    Parameters
    ----------
    limits : (nL,) array
        What ``|f - g|`` may be.
    share : float or None
        And so much of what the terms of an output add up to, in the network where they are less; neurons that are off
        on the piece add nothing. With some roundings of these terms, but for None.
    """
    look = SecondLook()
    asked = _Asked(limits, share, max(len(f.weights), len(g.weights)))
    inside, outward = incidence(cx)
    vertices, directions = cx.vertices, cx.rays[1]
    A, a = cx.affine_maps()
    on = cx.signs(cx.dimension) > 0
    ends = np.cumsum(f.hidden_widths)
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
        masks = [np.where(part, 1.0, -1.0) for part in np.split(on[r, : f.n_hidden], ends)[:-1]]
        _piece(G, tight, (f_map, f, masks), (g, [], 0), asked, look)
    return look


def _piece(
    G: FloatArray, tight: BoolArray, first: tuple[FloatArray, ReLUNetwork, list[FloatArray]],
    second: tuple[ReLUNetwork, list[FloatArray], int], asked: _Asked, look: SecondLook,
) -> None:  # fmt: skip
    """Compare on the hull of generators (k, n0 + 1), layer by layer of g, cutting where it bends.

    Parameters
    ----------
    first : (map, network, signs)
        Of f.
    second : (network, signs, cuts)
        Of g, as far as they are known, and how often it was cut.
    """
    g, signs, cuts = second
    if cuts > min(g.n_hidden + G.shape[1], MOST_CUTS):  # rounding keeps points off a wall that was cut
        look.open += 1
        return
    forms, values, terms = _walk(g, G, signs)
    while len(signs) < len(g.weights) - 1:
        z, close = values, WALL * terms
        crossing = np.flatnonzero((z > close).any(axis=0) & (z < -close).any(axis=0))
        if len(crossing):
            values = np.where(np.abs(z) <= close, 0.0, z)[:, crossing[0]]
            _both_sides(G, tight, values, first, (g, signs, cuts + 1), asked, look)
            return
        signs = [*signs, np.where(z.max(axis=0) >= -z.min(axis=0), 1.0, -1.0)]
        forms, values, terms = _walk(g, G, signs)
    f_map, f, masks = first
    x, point = np.abs(G[:, :-1]), G[:, -1:]
    own, other = _terms(f, x, point, masks), _terms(g, x, point, signs)
    counts = [16 + len(x.T) + sum(W.shape[1] + 3 for W in net.weights) for net in (f, g)]
    bound = np.abs(G @ (f_map - forms).T) + _slack(g, G, signs) + gamma(counts[0]) * own + gamma(counts[1]) * other
    # what is asked is concave where no coordinate changes its sign; one that does counts as 0
    low, high = G[:, :-1].min(axis=0), G[:, :-1].max(axis=0)
    astray = np.minimum(-low, high) > WALL * np.maximum(-low, high)
    size = np.where(astray, 0.0, G[:, :-1] * np.where(high >= -low, 1.0, -1.0))
    limit = asked.limits * point
    if asked.share is not None:
        least = np.minimum(_terms(f, size, point, masks), _terms(g, size, point, signs))
        size = size + point * (asked.share > 0)
        most = _terms(f, size, point, masks) + _terms(g, size, point, signs)
        limit = limit + asked.share * least + 32 * (asked.depth + 1) * UNIT * most
    ratio = np.where(bound > 0, bound / np.maximum(limit, 1e-300), 0.0)
    worst = float(np.where(np.isnan(ratio), np.inf, ratio).max())
    if worst > 1 and asked.share is not None and astray.any() and asked.share > 0:
        _both_sides(G, tight, G[:, int(np.argmax(astray))], first, (g, signs, cuts + 1), asked, look)
        return
    look.pieces += 1
    look.worst = max(look.worst, worst)


def _both_sides(
    G: FloatArray, tight: BoolArray, z: FloatArray, first: Any, second: Any, asked: _Asked, look: SecondLook
) -> None:
    """The parts on either side of a wall with values z at the generators."""
    for part, marks in _cut(G, tight, z):
        if len(part) > MOST:
            look.open += 1
        else:
            _piece(part, marks, first, second, asked, look)


def _terms(net: ReLUNetwork, size: FloatArray, point: FloatArray, signs: list[FloatArray]) -> FloatArray:
    """What terms add up to at inputs of a size (k, n0), without biases along rays; neurons that are off add nothing."""
    for layer, (W, b) in enumerate(zip(net.weights, net.biases)):
        size = size @ np.abs(W).T + np.abs(b) * point
        if layer < len(signs):
            size = size * (signs[layer] > 0)
    return size


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
    """Both sides of a wall with values z at the generators; ends of an edge share all but one of the constraints of a
    corner.
    """
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
