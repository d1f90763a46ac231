"""What is known of the range of every neuron and output on a domain, and how to check it."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from ... import words
from ..._typing import Array, BoolArray, FloatArray, IntArray, SignArray
from ..._values.read_only import closed
from ...domain import Polyhedron
from ...errors import InputError, old_name
from ...network.model import ReLUNetwork
from ...network.piecewise import PiecewiseLinearNetwork
from .exact_ranges import Inside
from .over_flat import exact_point


@closed
@dataclass(frozen=True)
class ActivationBounds:
    """Bounds of the pre-activation of every neuron on a domain; valid in spite of rounding.

    The true minimum of neuron j lies in ``[lower[j], attained_lower[j]]``, its maximum in
    ``[attained_upper[j], upper[j]]``.

    Attributes
    ----------
    network : ReLUNetwork or PiecewiseLinearNetwork
    domain : Polyhedron
    lower, upper : (N,) float64
        ``lower <= z_i(x) <= upper`` for every x of the domain.
    output_lower, output_upper : (nL,) float64
        The same for the outputs.
    attained_lower, attained_upper : (N + nL,) float64
        Values that the neurons, then the outputs, reach at ``lower_at`` and ``upper_at``, rounded towards the inside.
    lower_at, upper_at : (N + nL, n0) float64
        Points of the domain. Where that is a polyhedron in a flat, the floats next to them: the free coordinates of
        ``domain.affine_hull.steady`` are exact, the others functions of these.
    methods : tuple of str
        What the bounds of each neuron and output rest on: 'interval', 'relaxation', 'lp' or 'exact'.
    fallback : tuple of str
        What was asked for and not reached, and why; empty when everything was.
    method : str
        What was asked for; 'region' over a region.
    tolerance : float
        Relative gap at which a range counts as exact.
    scale : (N + nL,) float64
        What the tolerance is relative to: the larger bound, or a thousandth of the terms it is summed from.
    stats : mapping
        Linear programs, vertices, nodes, seconds.

    Examples
    --------
    >>> import polyfiber as pf
    >>> bounds = pf.activation_bounds(pf.ReLUNetwork.random((2, 3, 1), rng=0), pf.Box(-1, 1, dimension=2))
    >>> len(bounds.lower), bounds.complete
    (3, True)
    """

    network: ReLUNetwork | PiecewiseLinearNetwork
    domain: Polyhedron
    lower: FloatArray
    upper: FloatArray
    output_lower: FloatArray
    output_upper: FloatArray
    attained_lower: FloatArray
    attained_upper: FloatArray
    lower_at: FloatArray
    upper_at: FloatArray
    methods: tuple[str, ...]
    fallback: tuple[str, ...]
    method: str
    tolerance: float
    scale: FloatArray
    stats: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def signs(self) -> SignArray:
        """(N,) int8: -1 for z <= 0, 1 for z >= 0 everywhere on the domain, 0 where neither was proved."""
        return np.where(self.upper <= 0, -1, np.where(self.lower >= 0, 1, 0)).astype(np.int8)

    @property
    def constant(self) -> IntArray:
        """Neurons whose sign is proved constant."""
        return np.flatnonzero(self.signs != 0)

    @property
    def unstable(self) -> IntArray:
        """Neurons that were seen with both signs: no bound can make them constant."""
        N = len(self.lower)
        return np.flatnonzero((self.attained_lower[:N] < 0) & (self.attained_upper[:N] > 0))

    @property
    def undecided(self) -> IntArray:
        """Neurons with neither a constant sign proved nor both signs seen."""
        return np.setdiff1d(np.flatnonzero(self.signs == 0), self.unstable)

    @property
    def gap(self) -> FloatArray:
        """(N + nL,) how much further than attained the bounds reach, the worse of both ends."""
        low, high = np.r_[self.lower, self.output_lower], np.r_[self.upper, self.output_upper]
        with np.errstate(invalid="ignore"):
            gap = np.maximum(self.attained_lower - low, high - self.attained_upper)
        return np.where(np.isnan(gap), np.inf, gap)

    @property
    def is_exact(self) -> BoolArray:
        """(N,) whether the range is exact: its gap is at most the tolerance times the scale."""
        result: BoolArray = (self.gap <= self.tolerance * self.scale)[: len(self.lower)]
        return result

    exact = old_name("is_exact")

    @property
    def complete(self) -> bool:
        """Whether everything that was asked for was reached; with 'exact', every range is."""
        return not self.fallback

    def value(self, column: int, *, greatest: bool = True) -> Fraction:
        """The value of a neuron (or output, columns N, N + 1, …) at the point that attains it, as a rational."""
        x = (self.upper_at if greatest else self.lower_at)[column]
        if np.isnan(x).any():
            raise InputError(f"no point is known for column {column}: its values overflow")
        values = np.concatenate(self.network.exact().preactivations(exact_point(self.domain, x)))
        result: Fraction = values[column]
        return result

    def verify(self) -> bool:
        """Check in rational arithmetic that every attaining point lies in the domain, with a value as stated.

        One exact evaluation of the network for each of up to 2 (N + nL) points.
        """
        exact, inside = self.network.exact(), Inside(self.domain)
        low, high = np.r_[self.lower, self.output_lower], np.r_[self.upper, self.output_upper]
        cache: dict[bytes, Array | None] = {}
        for points, sign, least in ((self.upper_at, 1, self.attained_upper), (self.lower_at, -1, self.attained_lower)):
            for j, x in enumerate(points):
                if np.isnan(x).any():
                    continue
                key = x.tobytes()
                if key not in cache:
                    p = exact_point(self.domain, x)
                    cache[key] = np.concatenate(exact.preactivations(p)) if inside(p) else None
                values = cache[key]
                if values is None:
                    return False
                bounds = all(
                    not np.isfinite(e) or s * (Fraction(float(e)) - values[j]) >= 0
                    for e, s in ((high[j], 1), (low[j], -1))
                )
                if not bounds or sign * (values[j] - Fraction(float(least[j]))) < 0:
                    return False
        return True

    @property
    def sentence(self) -> str:
        """What is constant on the domain, how sure, and what would decide the rest."""
        s, N = self.signs, len(self.lower)
        one_region = self.method == "region"
        where = "on this region" if one_region else words.place(self.domain, self.network.architecture[0])
        on, off, both = int((s > 0).sum()), int((s < 0).sum()), len(self.unstable)
        text = (
            f"Of {words.count(N, 'hidden neuron')} {on} {'is' if on == 1 else 'are'} always active and {off} never {where}, proved; "
            f"{both} take{'s' if both == 1 else ''} both signs"
        )
        left = len(self.undecided)
        if not left:
            return f"{text}."
        sharper = (
            words.way("more --seconds", "a larger budget=")
            if self.fallback
            else {"lp": "method exact"}.get(self.method, "method lp or exact")
        )
        return f"{text}; {left} not decided: {sharper} would decide more."

    def __str__(self) -> str:
        return self.sentence

    def __repr__(self) -> str:
        s = self.signs
        text = (
            f"ActivationBounds({self.method}: {int((s > 0).sum())} always active, {int((s < 0).sum())} always "
            f"inactive, {len(self.unstable)} unstable, {len(self.undecided)} of {len(s)} undecided"
        )
        return words.short(text + (f"; {'; '.join(self.fallback)})" if self.fallback else ")"))
