"""The tolerance: how far apart two networks may be at an input and count as one function. YES and NO both go by this,
and by nothing else.

At an input x outputs may differ by the largest of

1. what parameters do that move by the tolerance, each relatively to itself, of either network, neurons that stay off adding nothing (`explains`), and some
   rounding and `SHARE` of the tolerance of all terms that are there, in the network where they are less (`rounding`);
2. eight times the tolerance times what the outputs reach (`reach`), at inputs no larger than ``1 + max |x_i|``: largest values that are seen at fixed inputs.

**A NO needs an exact gap above both. A YES needs a proof that every gap is within one of them**, so no pair can have a
YES by one way and a NO by another:

- parameters that are within the tolerance up to permutations and scalings (`parameters_within`) are the first, by
  definition;
- bounds that are affine in ``|x|`` (other forms, features, relations, splitting) have to be within the second at every
  radius (`admits`);
- cells measure terms that are there, input by input, within the last part of the first: a thousandth of the tolerance
  and some roundings;
- on bounded domains outputs reach their maximum there, and the second is that alone.

Whoever adds a way to a YES asks `admits`, or shows a bound below `rounding` at every input; whoever adds a way to a NO
asks `explains`. The unit of length is 1, as in offsets of forms, which count relative to ``max(1, |offset|)``.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np

from .._once import cached_property
from .._typing import Array, BoolArray, FloatArray
from .._values.checked import unmasked
from ..domain import Polyhedron
from ..kernels.fibers import spread as kernels
from ..network.model import ReLUNetwork
from ..numerics.exact import as_fractions
from ..numerics.rounding import UNIT
from .bounds.difference import box_around
from .forms.canonical import flat_parameters, generic_numbers
from .witness import FLOOR, candidates, present

SHARE = 1e-3
"""Of the tolerance: what a YES by cells asks for, relative to what the terms of an output add up to."""
DIRECTIONS = 16
"""Rays, and their negatives, along which outputs are looked at."""
TIMES = 8.0
"""Times the tolerance: gap relative to what outputs reach on R^n that is explained. Proofs bound rounding by sums of
magnitudes, which values are below.
"""
LEVELS = 41
"""Powers of two at which they are; farther out the last is continued."""
QUICK = 2
"""Rays that are enough for forms that are equal but for rounding."""


@lru_cache(maxsize=64)
def directions(n: int) -> FloatArray:
    """Fixed generic inputs (k, n) of size 1."""
    table = generic_numbers(DIRECTIONS, n)
    return np.asarray(table / np.abs(table).max(axis=1, keepdims=True))


def parameters_within(tolerance: float, depth: int) -> float:
    """How far parameters may be apart, each relatively, so that outputs are within the tolerance times the terms that
    are there, for each layer once.

    A quarter of `SHARE` more: it is explained as well, and parameters moved by the tolerance itself are apart by a few
    roundings more.
    """
    return min(tolerance * (1 + SHARE / (4 * depth)) / (1 + 2 * depth * tolerance), 0.5 / depth)


class Allowance:
    """What a tolerance explains for a pair, on all of R^n or on a domain.

    Parameters
    ----------
    a, b : ReLUNetwork
        Rationals are rounded.
    tolerance : float
    domain : Polyhedron, optional

    Examples
    --------
    >>> import numpy as np
    >>> import polyfiber as pf
    >>> from polyfiber.equivalence.allowance import Allowance
    >>> f = pf.ReLUNetwork([[[1.0], [1.0]], [[1.0, 1e9]]], [[0.0, -1000.0], [0.0]])     # relu(x) + 1e9 relu(x - 1000)
    >>> allowance = Allowance(f, f, 1e-9)
    >>> bool(allowance.explains(np.array([[1.0]])) < 1e-7), bool(allowance.explains(np.array([[2000.0]])) > 100)
    (True, True)
    """

    def __init__(self, a: ReLUNetwork, b: ReLUNetwork, tolerance: float, domain: Polyhedron | None = None) -> None:
        self.a, self.b, self.tolerance, self.domain = a.rounded(), b.rounded(), tolerance, domain
        self.box = None if domain is None else box_around(domain)

    # ---- what outputs reach ---------------------------------------------------------------------
    @cached_property
    def seen(self) -> FloatArray:
        """Largest |output| of either network at inputs of size up to 2^k: (LEVELS, nL); on a bounded domain of the
        first, in one row.
        """
        if self.box is not None:
            X = candidates(self.a, self.b, self.domain)
            return np.asarray(np.abs(self.a(X)).max(axis=0, initial=0.0)[None])
        rays = directions(self.a.architecture[0])
        X = 2.0 ** np.arange(LEVELS)[:, None, None] * np.concatenate([rays, -rays])
        with np.errstate(all="ignore"):
            values = np.maximum(np.abs(self.a(X)), np.abs(self.b(X)))
        values = np.where(np.isfinite(values), values, 0.0)
        if self.domain is not None:
            values = np.where(
                self.domain.contains(X.reshape(-1, X.shape[2])).reshape(X.shape[:2])[..., None], values, 0.0
            )
        return np.asarray(np.maximum.accumulate(values.max(axis=1), axis=0))

    def reach(self, X: FloatArray) -> FloatArray:
        """What outputs reach at inputs no larger than ``1 + max |x_i|``: (…, nL)."""
        if self.box is not None:
            return np.broadcast_to(self.seen[0], (*np.shape(X)[:-1], self.seen.shape[1]))
        radius = 1.0 + np.abs(X).max(axis=-1, initial=0.0)
        level = np.minimum(np.frexp(radius)[1] - 1, LEVELS - 1)
        beyond = np.maximum(radius / 2.0 ** (LEVELS - 1), 1.0)
        return np.asarray(self.seen[level] * beyond[..., None])

    def admits(self, constant: Any, slope: Any) -> bool:
        """Whether ``|f_o - g_o|(x) <= constant_o + slope_o max |x_i|`` proves a YES."""
        constant, slope = np.asarray(constant, dtype=np.float64), np.asarray(slope, dtype=np.float64)
        if self.box is not None:
            far = float(np.maximum(np.abs(self.box[0]), np.abs(self.box[1])).max(initial=0.0))
            return bool(((constant + slope * far) * (1 + 1e-12) <= self.tolerance * self.seen[0]).all())
        # a level holds from 2^k to 2^(k + 1), the last one to infinity, where both sides grow in proportion
        ends = 2.0 ** np.append(np.arange(1, LEVELS), LEVELS - 1)[:, None]
        return bool(((constant + slope * ends) * (1 + 1e-12) <= TIMES * self.tolerance * self.seen).all())

    def admits_forms(self, distance: float, given: tuple[FloatArray, Array] | None = None) -> bool:
        """Whether forms of so large a relative distance, rounding included, prove a YES.

        Parameters
        ----------
        given : (2, P) and (L + 1,) array, optional
            The parameters of both and their widths, for networks of one architecture: where these are as close, up to
            permutations and scalings, it does not matter what outputs reach.
        """
        if not 0 <= distance < 1:
            return False
        if given is None:
            flat, widths = flat_parameters(self.a)[None], np.array(self.a.architecture, dtype=np.int64)
        else:
            flat, widths = given
            near = parameters_within(self.tolerance, len(widths) - 1)
            if self.box is None and kernels.parameters_near(flat, widths, near):
                return True
            flat = flat[:1]
        with np.errstate(all="ignore"):
            if self.domain is None:
                found = np.empty(1)
                kernels.spreads(flat, widths, directions(int(widths[0]))[:QUICK], found)
                if distance * found[0] <= self.tolerance:
                    return True
            k = np.empty((1, int(widths[-1]), 2))
            kernels.sensitivities(flat, widths, k)
            return bool(np.isfinite(k).all()) and self.admits(distance * k[0, :, 0], distance * k[0, :, 1])

    # ---- what moved parameters do ---------------------------------------------------------------
    def rounding(self, X: FloatArray) -> FloatArray:
        """A thousandth of the tolerance of the terms that are there (…, nL), in the network where they are less, and
        some roundings where they are more: what cells take for nothing.

        Terms are counted from the centre of the domain, or from 0 and a unit around it, as cells do.
        """
        X = np.asarray(unmasked(X), dtype=np.float64)
        size = np.abs(X) + 1.0
        if self.box is not None:
            centre = 0.5 * self.box[0] + 0.5 * self.box[1]
            size = np.abs(X - centre) + np.abs(centre)
        depth = max(len(net.weights) for net in (self.a, self.b))
        one, other = (present(net, X, self.tolerance, size) for net in (self.a, self.b))
        roundings = 64 * (depth + 1) * UNIT * np.maximum(one, other)
        return np.asarray(SHARE * self.tolerance * np.minimum(one, other) + roundings)

    def explains(self, X: FloatArray) -> FloatArray:
        """Gap (…, nL) that is explained at inputs of R^n: a NO has to exceed it.

        The tolerance times what the terms that are there add up to (`witness.present`), for each layer once. Of both
        networks the one that explains more counts: a gap that moved parameters of one of them make is no proof, however
        little the other explains.
        """
        X = np.asarray(unmasked(X), dtype=np.float64)
        moved = [self.tolerance * len(net.weights) * present(net, X, self.tolerance) for net in (self.a, self.b)]
        return np.asarray(
            np.maximum(np.maximum(*moved) + self.rounding(X) + FLOOR, TIMES * self.tolerance * self.reach(X))
        )

    def explains_exactly(self, x: FloatArray) -> Array:
        """`explains` at one input (nL,), in rationals: for numbers whose products floats do not hold; above it, never
        below.
        """
        nets, point = [net.exact() for net in (self.a, self.b)], as_fractions(x)
        tolerance, top = Fraction(self.tolerance), max((abs(v) for v in point), default=Fraction(0))
        depth = max(len(net.weights) for net in nets)
        if self.box is None:
            level = min(int(np.frexp(float(1 + top))[1]), LEVELS)
            rays = [as_fractions(r) for r in directions(len(point))]
            ends = [s * Fraction(2) ** k * r for k in range(level) for r in rays for s in (1, -1)]
            if self.domain is not None:
                ends = [p for p in ends if bool(self.domain.contains(p.astype(np.float64)))]
            values = [np.abs(net(p)) for net in nets for p in ends]
            reached = np.maximum.reduce(values) if values else np.zeros(self.a.architecture[-1], dtype=object)
            size, times = np.array([abs(v) + 1 for v in point], dtype=object), int(TIMES)
        else:
            far = as_fractions(np.maximum(np.abs(self.box[0]), np.abs(self.box[1])))
            reached, size, times = _terms(nets[0], None, far, tolerance), 3 * far, 1
        most = np.maximum(*(_terms(net, point, size, tolerance) for net in nets))
        share = tolerance * (depth + Fraction(SHARE)) + 64 * (depth + 1) * Fraction(UNIT)
        return np.asarray(np.maximum(share * most, times * tolerance * reached))

    def exceeded(self, X: FloatArray) -> BoolArray:
        """Where the networks differ by more than is explained, in floats."""
        return np.asarray((np.abs(self.a(X) - self.b(X)) > self.explains(X)).any(axis=-1))

    def excess(self, X: FloatArray) -> FloatArray:
        """Largest gap of an output (…,) relative to what is explained there; what is not finite counts as 0."""
        found = (np.abs(self.a(X) - self.b(X)) / np.maximum(self.explains(X), 1e-300)).max(axis=-1)
        return np.where(np.isfinite(found), found, 0.0)


def _terms(net: ReLUNetwork, point: Array | None, size: Array, tolerance: Fraction) -> Array:
    """`witness.present` in rationals; without a point, of all neurons."""
    y = point
    for layer, (W, b) in enumerate(zip(net.weights, net.biases)):
        size = np.abs(W) @ size + np.abs(b)
        if y is None or layer == len(net.weights) - 1:
            continue
        z = W @ y + b
        size = np.array([0 * t if v < -2 * (layer + 1) * tolerance * t else t for v, t in zip(z, size)], dtype=object)
        y = np.array([max(v, 0 * v) for v in z], dtype=object)
    return size
