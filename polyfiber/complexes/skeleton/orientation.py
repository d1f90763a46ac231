"""Which way is up on every edge.

Edges are oriented by ``g(x) = sum over i in B of alpha_i |z_i(x)|``, B the n starting facets: affine and bounded below
on every face, constant on none for generic alpha. The kernels orient edges as they appear; what the bounds of heights
in single precision leave open is resolved here, exactly where it must be.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from ..._typing import FloatArray, IntArray, WordArray
from ...errors import GenericityError
from ...kernels.complexes import forms
from ...kernels.complexes import skeleton as kernels
from .arrays import Frame
from .layout import packed, set_bit

if TYPE_CHECKING:
    from .build import Skeleton

ALPHA_BITS = 30


@lru_cache(maxsize=64)
def _numerators(n: int) -> IntArray:
    """Fixed integers without special relations."""
    return np.random.default_rng(20240611).integers(1 << ALPHA_BITS, 2 << ALPHA_BITS, size=n)


@np.errstate(all="ignore")
def weights_of(frame: Frame) -> FloatArray:
    """Generic weights (n,) of the starting facets in the orienting function, which balance their sizes."""
    numerators = _numerators(frame.n)
    scale = np.abs(frame.given(list(frame.start))[:, : frame.n]).sum(axis=1)
    exponents = np.clip(np.round(np.log2(np.where(scale > 0, scale, 1.0))), -900, 900).astype(int)
    alpha: FloatArray = np.ldexp(numerators / float(1 << ALPHA_BITS), -exponents)
    return alpha


def lift_of(frame: Frame) -> forms.Lift:
    """The orienting function for the kernels."""
    net, n, start = frame.net, frame.n, list(frame.start)
    alpha, width = weights_of(frame), net.margins.kappa.shape[1]
    columns, weights = np.zeros((n + 1, width)), np.zeros(width)
    columns[:, :n] = frame.given(start).T
    weights[:n] = alpha
    with np.errstate(all="ignore"):
        bound = (alpha @ net.margins.kappa[start])[None, :] * (net.margins.inflate * (1 + 1e-9))
        slope = float(alpha @ net.margins.sigma[start]) * net.margins.inflate * (1 + 1e-9)
    return forms.Lift(columns, weights, bound, slope)


def every_edge(skeleton: Skeleton) -> IntArray:
    """Forget all orientations but those of rays, and list the other edges (half-edges, once each)."""
    st, nv, n, shift = skeleton.state, skeleton.nv, skeleton.frame.n, skeleton.frame.net.shift
    star = st.star[:nv, : 2 * n].astype(np.int64)
    ends, finite = star >> shift, st.at_inf[:nv] < 0
    rays = finite[:, None] & (star >= 0) & ~finite[ends]
    st.up[:nv] = packed(rays, st.up.shape[1])
    v, h = np.nonzero(finite[:, None] & (star >= 0) & finite[ends] & (ends > np.arange(nv)[:, None]))
    halves: IntArray = v << shift | h
    return halves


def resolve(skeleton: Skeleton, halves: IntArray) -> WordArray:
    """Orient the listed edges; returns the masks of upward edges of all vertices, (nv, U), bit 2 slot + side.

    First by the coordinates there are, in double precision, then by tighter ones, then by exact ones.
    """
    st, nv, net = skeleton.state, skeleton.nv, skeleton.frame.net
    unsure = halves[st.star[halves >> net.shift, halves & ((1 << net.shift) - 1)] >= 0]
    for tighter in (False, True):
        if not len(unsure):
            break
        v, h = unsure >> net.shift, unsure & ((1 << net.shift) - 1)
        ends = np.unique(np.concatenate([v, st.star[v, h] >> net.shift]))
        if tighter:
            skeleton.refine(ends)
        height = np.empty((nv, 2))
        forms.heights(ends, skeleton.frame.n, skeleton.lift, st.at_inf, st.x, st.err, height)
        unsure = unsure[: kernels.settle(unsure, net.shift, st.star, height, st.up)]
    _exactly(skeleton, unsure)
    up: WordArray = st.up[:nv]
    return up


def _exactly(skeleton: Skeleton, halves: IntArray) -> None:
    frame, st = skeleton.frame, skeleton.state
    net, n = frame.net, frame.n
    alpha = [Fraction(a) for a in weights_of(frame)]

    def height(v: int) -> Fraction:
        point, _ = skeleton.predicate.point(st.star[v, 2 * n :], st.words[v], ray=False)
        values = (skeleton.predicate.value(int(k), st.words[v], point) for k in frame.start)
        return sum((a * abs(z) for a, z in zip(alpha, values)), Fraction(0))

    for half in halves.tolist():
        v, h = half >> net.shift, half & ((1 << net.shift) - 1)
        t = int(st.star[v, h])
        w = t >> net.shift
        difference = height(w) - height(v)
        if difference == 0:
            raise GenericityError("the orienting function is constant on an edge; this has probability zero")
        low, bit = (v, h) if difference > 0 else (w, t & ((1 << net.shift) - 1))
        set_bit(st.up, low, bit)
        skeleton.stats.orientation_exact += 1
