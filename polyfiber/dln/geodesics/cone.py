"""Matrices of different sizes: the space is a cone, so a geodesic to ``c W1`` is one to W1 seen under another radius.

``X -> k^N X`` stretches all lengths by k, and a geodesic that does not meet 0 lies in a flat sector spanned by its
ends. With ``Y`` the geodesic from W0 to ``k^{-N} W1``, that to W1 is ``X(t) = (1 - t + t k)^N Y(t k / (1 - t + t k))``.
A search between ends of one radius is spared paths that grow by orders of magnitude.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from ..._typing import FloatArray
from ..space.metrics import metric
from .hamilton import squared_radius
from .homotopy import Attempt
from .result import Geodesic, lower_bound

FAR = 1.5
"""Ratio of radii from which on the ends are brought to one radius."""


def stretch(W0: FloatArray, W1: FloatArray, depth: float) -> float | None:
    """Radius of W1 over that of W0, where they are far from equal; None elsewhere, and at infinite depth (no cone)."""
    if math.isinf(depth):
        return None
    k = math.sqrt(float(squared_radius(W1, int(depth))) / float(squared_radius(W0, int(depth))))
    return None if 1.0 / FAR < k < FAR else k


def stretched(core: Geodesic, end: FloatArray, k: float) -> Geodesic:
    """The geodesic to ``end`` from that to ``k^{-N} end``; of a curve that is none, an upper bound of the distance."""
    n = int(core.depth)
    first, last = (math.sqrt(float(squared_radius(W, n))) for W in (core.start, core.end))

    def seen(length: float) -> float:
        """Length of what is ``length`` long between the ends of one radius: the law of cosines."""
        return math.sqrt(max((k * last - first) ** 2 + k * (length**2 - (last - first) ** 2), 0.0))

    g0 = metric(core.start, n)
    outwards = n * core.start
    length = seen(core.length)
    bound = lower_bound(g0, metric(end, n), seen(core.chord) if core.chord_is_bound else 0.0)
    return replace(
        core,
        end=end,
        velocity=k * core.velocity + (k - 1.0) * outwards,
        momentum=k * core.momentum + (k - 1.0) * g0.solve(outwards, tolerance=1e-6),
        length=length,
        residual=core.residual * k * core.length / length,
        chord=seen(core.chord),
        lower_bound=length if core.shortest else bound,
        tried=tuple(Attempt(a.curve, seen(a.length), a.homotopy) for a in core.tried),
        _path=Stretched(core, k),
    )


def last_momentum(path: Geodesic) -> FloatArray:
    """Momentum (m, n) at the end of a geodesic that is solved."""
    if isinstance(path._path, Stretched):
        k, n = path._path.k, int(path.depth)
        outwards = metric(path.end, n).solve(n * path.end, tolerance=1e-6)
        return np.asarray(k ** (1 - n) * last_momentum(path._path.core) + (1.0 - 1.0 / k) * outwards)
    return path.flow(np.array([1.0])).P[-1]


@dataclass(frozen=True, eq=False)
class Stretched:
    """Points of a geodesic from those of ``core``."""

    core: Geodesic
    k: float

    def __call__(self, t: float) -> FloatArray:
        weight = 1.0 - t + t * self.k
        return np.asarray(weight ** int(self.core.depth) * self.core(t * self.k / weight))
