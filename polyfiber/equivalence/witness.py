"""Inputs on which two networks differ: candidates, and what rounding or a tolerance can explain there."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from .._typing import Array, BoolArray, FloatArray
from .._values.checked import generator_of
from .._values.read_only import closed
from ..budget import heed
from ..network.float_or_rational import row_norms
from ..network.model import ReLUNetwork
from ..numerics.dyadic import exact_value
from ..numerics.exact import as_fractions
from ..numerics.floats import as_float, nearest
from ..numerics.rounding import LEAST, TINY, gamma

MAX_TARGETS = 4096
"""About how many corners of layer 2's walls are tried; wide networks have more."""


"""The smallest float above zero."""
FLOOR = 1e-290
"""Gaps that floats cannot tell from rounding of their smallest numbers."""
WORK = 1 << 32
"""Multiplications that evaluating special points may take; of more points a random part is tried."""
WIDEST_INVERSE = 1000
"""Width of layer 1 up to which preimages of corners are looked for."""


@closed
@dataclass(frozen=True, eq=False)
class Witness:
    """An input on which two networks differ.

    Attributes
    ----------
    x : (n0,) float64
    values : pair of (nL,) arrays
        Outputs of both networks.
    gap : float
        Largest absolute difference of an output.
    proof : 'rounding' or 'exact'
        The difference exceeds a bound of all rounding errors, or was computed in rationals.
    """

    x: FloatArray
    values: tuple[Array, Array]
    gap: float
    proof: str

    def verify(self, a: ReLUNetwork, b: ReLUNetwork) -> bool:
        """Evaluate both networks in rational arithmetic and compare."""
        return exact_difference(a, b, self.x)[2] > 0


def magnitude(net: ReLUNetwork, X: FloatArray) -> FloatArray:
    """Sum of the magnitudes of the terms of each output, (…, nL): rounding errors are relative to it."""
    y = np.abs(X)
    for W, b in zip(net.weights, net.biases):
        y = y @ np.abs(W).T + np.abs(b)
    return y


def rounding_bound(net: ReLUNetwork, X: FloatArray) -> FloatArray:
    """Bound (…, nL) of the rounding error of ``net(X)`` in float64."""
    terms = sum(W.shape[1] + 3 for W in net.weights)
    lost: FloatArray = np.full(net.architecture[0], LEAST)  # by underflow
    for W in net.weights:
        lost = np.abs(W) @ lost * (1 + gamma(terms)) + (2 * W.shape[1] + 4) * LEAST
    bound: FloatArray = gamma(terms) * magnitude(net, X) + lost + TINY
    return bound


def surely_different(a: ReLUNetwork, b: ReLUNetwork, X: FloatArray) -> BoolArray:
    """Where the difference of the outputs exceeds every rounding error."""
    gap = np.abs(a(X) - b(X))
    return np.asarray((gap > rounding_bound(a, X) + rounding_bound(b, X)).any(axis=-1))


def present(net: ReLUNetwork, X: FloatArray, tolerance: float, size: FloatArray | None = None) -> FloatArray:
    """As `magnitude`, of the terms that are there: neurons that stay off when every parameter moves by twice the
    tolerance add nothing.

    Inputs count as ``size``, by default as large as they are.
    """
    y, size = np.asarray(X, dtype=np.float64), np.abs(X) if size is None else size
    for layer, (W, b) in enumerate(zip(net.weights, net.biases)):
        z, size = y @ W.T + b, size @ np.abs(W).T + np.abs(b)
        if layer < len(net.weights) - 1:
            y, size = np.maximum(z, 0.0), np.where(z < -2.0 * (layer + 1) * tolerance * size, 0.0, size)
    return np.asarray(size)


def candidates(a: ReLUNetwork, b: ReLUNetwork, domain: Any = None, *, n: int = 256, rng: Any = 0) -> FloatArray:
    """Inputs worth trying: random ones of several sizes, points on walls, corners of layer 2's walls."""
    generator = generator_of(rng)
    n0 = a.architecture[0]
    if domain is not None and hasattr(domain, "lo"):
        lo, hi = domain.lo.astype(np.float64), domain.hi.astype(np.float64)
        points = lo + (hi - lo) * generator.random((n, n0))
        corners = np.where(generator.random((n // 4, n0)) < 0.5, lo, hi)
        special = np.clip(_special(a, b, generator), lo, hi)
        return np.concatenate([points, corners, special])
    scale = 10.0 ** generator.uniform(-2, 2, (n, 1))
    points = np.concatenate([scale * generator.standard_normal((n, n0)), _special(a, b, generator)])
    return points if domain is None else points[domain.contains(points)]


def _special(a: ReLUNetwork, b: ReLUNetwork, generator: np.random.Generator) -> FloatArray:
    with np.errstate(all="ignore"):  # walls beyond the range of floats give no points
        found = [part for net in (a, b) if len(net.weights) > 1 for part in _near_walls(net, generator)]
    points = np.concatenate(found) if found else np.zeros((0, a.architecture[0]))
    points = points[np.isfinite(points).all(axis=1)]
    most = max(256, WORK // (a.n_parameters + b.n_parameters))
    return points if len(points) <= most else points[np.sort(generator.permutation(len(points))[:most])]


def _near_walls(net: ReLUNetwork, generator: np.random.Generator) -> list[FloatArray]:
    """Points on the walls of the first layer and on either side, and on those of the second."""
    W, c = net.weights[0], net.biases[0]
    norms = row_norms(W)
    live = norms > 0
    W, c, norms = W[live], c[live], norms[live]
    x = generator.standard_normal((len(W), W.shape[1]))
    unit, offset = W / norms[:, None], np.clip(c / norms, -1e150, 1e150)
    foot = x - ((unit * x).sum(axis=1) + offset)[:, None] * unit
    step = unit / np.clip(norms, 1e-150, 1e150)[:, None]
    found = [foot, foot + 1e-3 * step, foot - 1e-3 * step]
    if len(net.weights) >= 3 and 0 < len(W) <= min(W.shape[1], WIDEST_INVERSE):
        found.append(_lifted(net, W, c, live, generator))
    return found


def _lifted(net: ReLUNetwork, W: FloatArray, c: FloatArray, live: BoolArray, generator: Any) -> FloatArray:
    """Inputs whose first layer lands where the walls of layer 2 meet the axes of the orthant, and just beyond."""
    W2, b2 = net.weights[1][:, live], net.biases[1]
    n1 = len(W)
    with np.errstate(divide="ignore", invalid="ignore"):
        cut = np.where(W2 != 0, -b2[:, None] / W2, 0.0)
    cut = np.where(np.isfinite(cut) & (cut > 0), cut, 0.0)
    targets = [np.zeros(n1), -np.ones(n1)]
    for j in generator.permutation(len(W2))[: 1 + MAX_TARGETS // (4 * n1 + 4)]:
        for i in generator.permutation(n1)[:MAX_TARGETS]:
            if cut[j, i] > 0:
                for factor in (0.5, 1.0, 1.5):
                    target = -np.ones(n1)
                    target[i] = factor * cut[j, i]
                    targets.append(target)
        targets.append(np.where(cut[j] > 0, cut[j] / n1, 0.5 * generator.random(n1)))
        reach = 1.0 + abs(b2[j]) / max(float(np.abs(W2[j]).max()), 1e-300)
        for factor in (0.5, 2.0, 10.0):  # where this neuron is as active as it gets
            targets.append(np.where(W2[j] > 0, factor * reach * (0.5 + generator.random(n1)), -1.0))
    inverse = np.linalg.pinv(W)
    return (np.array(targets) - c) @ inverse.T


def exact_difference(a: ReLUNetwork, b: ReLUNetwork, x: FloatArray) -> tuple[Array, Array, Fraction]:
    """Both outputs at one point in rational arithmetic, and the largest absolute difference."""
    heed("exact arithmetic")
    u, v = exact_output(a, x), exact_output(b, x)
    return u, v, max((abs(p - q) for p, q in zip(u, v)), default=Fraction(0))


def exact_output(net: ReLUNetwork, x: FloatArray) -> Array:
    """Output (nL,) at one input in rational arithmetic."""
    x = np.asarray(x)
    if not net.is_exact and x.dtype != object:
        return exact_value(net.weights, net.biases, x)
    return net.exact()(as_fractions(x))


def decisive(a: ReLUNetwork, b: ReLUNetwork, x: FloatArray, allowed: float | FloatArray) -> Witness | None:
    """Witness at one input where the gap of some output certainly exceeds ``allowed`` (nL,), or None.

    Where floats cannot tell, both outputs are computed in rationals.
    """
    x = np.asarray(x, dtype=np.float64)
    if not np.isfinite(x).all():
        return None
    fa, fb = a.rounded(), b.rounded()
    allowed = np.broadcast_to(np.asarray(allowed, dtype=np.float64), (a.architecture[-1],))
    if not (a.is_exact or b.is_exact):
        u, v = fa(x), fb(x)
        gap, noise = np.abs(u - v), rounding_bound(fa, x) + rounding_bound(fb, x)
        if bool((gap * (1 - 1e-15) - noise > allowed).any()):
            return Witness(x, (u, v), float(gap.max()), "rounding")
        if bool((gap * (1 + 1e-15) + noise <= allowed).all()):
            return None
    p, q, _ = exact_difference(a, b, x)
    gaps = [abs(s - t) for s, t in zip(p, q)]
    if not any(gap > limit for gap, limit in zip(gaps, allowed) if limit < np.inf):
        return None
    return Witness(x, (p, q), as_float(max(gaps)), "exact")


def decisive_in(
    domain: Any, a: ReLUNetwork, b: ReLUNetwork, x: FloatArray, allowed: float | FloatArray
) -> Witness | None:
    """The same at the point of a domain that ``x`` stands for, certainly inside; in rationals where that is no
    float.
    """
    x = np.asarray(x, dtype=np.float64)
    if domain is None or not np.isfinite(x).all():
        return decisive(a, b, x, allowed)
    heed("exact arithmetic")
    point = domain.exact_point(x)
    if point is None:
        return None
    near = nearest(point)
    point = domain.exact_point(
        near
    )  # what the floats of the witness stand for: an end 2/3 of a box may have become another point
    if point is None:
        return None
    if all(Fraction(v) == w for v, w in zip(near.tolist(), point)):
        return decisive(a, b, near, allowed)
    p, q, _ = exact_difference(a, b, point)
    gaps = [abs(s - t) for s, t in zip(p, q)]
    limits = np.broadcast_to(np.asarray(allowed, dtype=np.float64), (len(gaps),)).tolist()
    if not any(gap > limit for gap, limit in zip(gaps, limits) if limit < np.inf):
        return None
    return Witness(near, (p, q), as_float(max(gaps)), "exact")
