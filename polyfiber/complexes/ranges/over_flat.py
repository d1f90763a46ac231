"""A network and a polyhedron in a flat, in the flat's own coordinates: where bounds are computed, and how points get
back.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from ..._typing import Array, FloatArray
from ...bounds.relaxation import chart_of
from ...domain import Box, Polyhedron
from ...network.model import ReLUNetwork
from ...network.piecewise import PiecewiseLinearNetwork
from ...numerics.exact import as_fractions
from ...numerics.floats import nearest
from ...numerics.hulls import AffineHull, simplest
from ...numerics.products import exact_product
from ..local.slices import restricted_network


@dataclass(frozen=True)
class OnFlat:
    """The restriction of a network to the flat that a polyhedron lies in.

    Attributes
    ----------
    network : ReLUNetwork or PiecewiseLinearNetwork
        The same function of the free coordinates, exactly (in rationals where floats do not hold it). Of one coordinate
        that changes nothing where the flat is a point.
    domain : Polyhedron
        With an interior, in these coordinates.
    hull : AffineHull
        The coordinates.
    """

    network: ReLUNetwork | PiecewiseLinearNetwork
    domain: Polyhedron
    hull: AffineHull

    @classmethod
    def of(cls, network: ReLUNetwork | PiecewiseLinearNetwork, domain: Polyhedron) -> OnFlat | None:
        """None where the polyhedron has an interior, or is a box, whose sides may be flat as they are.

        Examples
        --------
        >>> import polyfiber as pf
        >>> from polyfiber.complexes.ranges.over_flat import OnFlat
        >>> diagonal = pf.Polyhedron([[1, -1], [-1, 1], [1, 0], [-1, 0]], [0, 0, 1, 1])
        >>> on = OnFlat.of(pf.ReLUNetwork([[[1.0, 2.0]], [[1.0]]], [[0.5], [0.0]]), diagonal)
        >>> on.network.weights[0].tolist(), on.lifted([[0.25]]).tolist()
        ([[3.0]], [[0.25, 0.25]])
        """
        if isinstance(domain, Box) or domain.affine_hull is None:
            return None
        hull = domain.affine_hull.steady
        lift = hull.lift
        if not hull.dimension:
            lift = np.concatenate([np.full((len(lift), 1), Fraction(0), dtype=object), lift], axis=1)
        inner = Polyhedron(*chart_of(domain, hull)) if hull.dimension else Box([0.0], [0.0])
        if isinstance(network, PiecewiseLinearNetwork):
            return cls(restricted_network(network, lift[:, -1], lift[:, :-1].T)[0], inner, hull)
        W = exact_product(as_fractions(network.weights[0]), lift)
        W[:, -1] += as_fractions(network.biases[0])
        first, bias = simplest(W[:, :-1]), simplest(W[:, -1])
        weights, biases = list(network.weights), list(network.biases)
        if first.dtype == object or bias.dtype == object:
            first, bias = W[:, :-1], W[:, -1]
            weights, biases = [as_fractions(w) for w in weights], [as_fractions(b) for b in biases]
        restricted = ReLUNetwork([first, *weights[1:]], [bias, *biases[1:]])
        return cls(restricted, inner, hull)

    def restricted(self, forms: Array) -> Array:
        """Affine forms (m, n + 1), constant last, as forms (m, k + 1) of the coordinates."""
        chart = as_fractions(self.hull.in_chart(forms))
        if not self.hull.dimension:
            return np.concatenate([np.full((len(chart), 1), Fraction(0), dtype=object), chart[:, -1:]], axis=1)
        return chart[:, [*self.hull.free, -1]]

    def lifted(self, points: FloatArray) -> FloatArray:
        """(m, n) the nearest floats to points of the flat, from coordinates (m, k); the free ones stay as they are."""
        points = np.asarray(points, dtype=np.float64)
        out = np.full((len(points), len(self.hull.lift)), np.nan)
        good = np.isfinite(points).all(axis=1)
        out[good] = nearest(self.hull.lifted(points[good, : self.hull.dimension]))
        return out


def exact_point(domain: Polyhedron, x: FloatArray) -> Array:
    """The point (n,) of the domain's flat, in Fractions, whose free coordinates a float point has."""
    if isinstance(domain, Box) or domain.affine_hull is None:
        return as_fractions(x)
    hull = domain.affine_hull.steady
    point: Array = hull.lifted(x[None, hull.free])[0]
    return point


__all__ = ["OnFlat", "exact_point"]
