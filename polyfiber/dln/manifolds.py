"""Manifolds of the deep linear network for ``pymanopt`` (optional: ``pip install 'polyfiber[manifolds]'``).

* :func:`observable_manifold`: invertible matrices with the metric g^N;
* :func:`balanced_manifold`: balanced networks (N, d, d) of full rank with the metric of weight space.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np

from .._typing import FloatArray, RngLike
from .._values.checked import generator_of
from ..errors import MissingDependencyError
from ._inputs import as_depth
from .geodesics.boundary import geodesic
from .geodesics.distances import logarithm
from .geodesics.hamilton import exponential
from .space.balanced import random_balanced
from .space.metrics import metric
from .space.submersion import (
    constraint_system,
    project_tangent,
    retract,
)


def observable_manifold(d: int, depth: float, *, rng: RngLike = None) -> Any:
    """Invertible d x d matrices with the metric g^N of depth N, as a ``pymanopt.manifolds.manifold.Manifold``.

    Parameters
    ----------
    d : int
    depth : int or math.inf
    rng
        For ``random_point`` and ``random_tangent_vector``.

    Returns
    -------
    pymanopt manifold
        Points and tangent vectors (d, d). ``retraction`` moves along the horizontal straight line upstairs (first
        order, always defined); ``exp``, ``log``, ``dist`` solve the geodesic equations; ``transport`` carries a vector
        over as it is (tangent spaces are all of R^{d x d}).

    Raises
    ------
    MissingDependencyError
        If pymanopt is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.dln import observable_manifold
    >>> M = observable_manifold(2, 3)
    >>> M.dim, round(float(M.dist(np.eye(2), 8 * np.eye(2))), 9) == round(6**0.5, 9)
    (4, True)
    """
    return _observable_class()(int(as_depth(d)), as_depth(depth, infinite=True), generator_of(rng))


def balanced_manifold(d: int, depth: int, *, rng: RngLike = None) -> Any:
    """Balanced networks of full rank as a ``pymanopt`` manifold; points are arrays (N, d, d).

    The metric is that of weight space, ``retraction`` the orthographic one (second order), ``transport`` the projection
    onto the new tangent space, and Hessians include the second fundamental form.

    Raises
    ------
    MissingDependencyError
        If pymanopt is not installed.

    Examples
    --------
    >>> from polyfiber.dln import balanced_manifold
    >>> balanced_manifold(3, 2, rng=0).dim
    12
    """
    return _balanced_class()(int(as_depth(d)), int(as_depth(depth)), generator_of(rng))


def _require() -> None:
    try:
        import pymanopt.manifolds  # noqa: F401
    except ImportError:
        raise MissingDependencyError(
            "pymanopt", extra="manifolds", purpose="using the manifolds from pymanopt"
        ) from None


@cache
def _observable_class() -> Any:
    _require()
    from pymanopt.manifolds.manifold import Manifold

    class Observable(Manifold):
        """Invertible matrices with the metric g^N."""

        def __init__(self, d: int, depth: float, generator: np.random.Generator) -> None:
            self._d, self._depth, self._generator = d, depth, generator
            super().__init__(f"Invertible {d}x{d} matrices with the deep linear network metric of depth {depth}", d * d)

        @property
        def typical_dist(self) -> float:
            return math.sqrt(self._d)

        def inner_product(self, point: FloatArray, tangent_vector_a: FloatArray, tangent_vector_b: FloatArray) -> float:
            return float(np.asarray(metric(point, self._depth).inner(tangent_vector_a, tangent_vector_b)))

        def norm(self, point: FloatArray, tangent_vector: FloatArray) -> float:
            return float(np.asarray(metric(point, self._depth).norm(tangent_vector)))

        def projection(self, point: FloatArray, vector: FloatArray) -> FloatArray:
            return np.asarray(vector)

        to_tangent_space = projection

        def embedding(self, point: FloatArray, tangent_vector: FloatArray) -> FloatArray:
            return tangent_vector

        def euclidean_to_riemannian_gradient(self, point: FloatArray, euclidean_gradient: FloatArray) -> FloatArray:
            return metric(point, self._depth).apply(euclidean_gradient)

        def euclidean_to_riemannian_hessian(
            self,
            point: FloatArray,
            euclidean_gradient: FloatArray,
            euclidean_hessian: FloatArray,
            tangent_vector: FloatArray,
        ) -> FloatArray:
            # <Hess f Z, Y> = D^2 f(Z, Y) + Df(Christoffel term), whose polarised form the acceleration gives
            g = metric(point, self._depth)
            basis = np.eye(self._d**2).reshape(-1, self._d, self._d)
            mixed = g.acceleration(tangent_vector + basis) - g.acceleration(tangent_vector - basis)
            bend = 0.25 * (mixed * euclidean_gradient).sum(axis=(1, 2)).reshape(self._d, self._d)
            return g.apply(euclidean_hessian + bend)

        def retraction(self, point: FloatArray, tangent_vector: FloatArray) -> FloatArray:
            # the horizontal straight line upstairs, multiplied out
            if math.isinf(self._depth):
                return point + tangent_vector
            from .space.submersion import horizontal_lift, lift, product

            up = lift(point, int(self._depth))
            return product(up + horizontal_lift(up, tangent_vector))

        def exp(self, point: FloatArray, tangent_vector: FloatArray) -> FloatArray:
            return exponential(point, tangent_vector, self._depth)

        def log(self, point_a: FloatArray, point_b: FloatArray) -> FloatArray:
            return logarithm(point_a, point_b, self._depth)

        def dist(self, point_a: FloatArray, point_b: FloatArray) -> float:
            return geodesic(point_a, point_b, self._depth).length

        def pair_mean(self, point_a: FloatArray, point_b: FloatArray) -> FloatArray:
            return geodesic(point_a, point_b, self._depth)(0.5)

        def transport(self, point_a: FloatArray, point_b: FloatArray, tangent_vector_a: FloatArray) -> FloatArray:
            return tangent_vector_a

        def random_point(self) -> FloatArray:
            return self._generator.standard_normal((self._d, self._d))

        def random_tangent_vector(self, point: FloatArray) -> FloatArray:
            vector = self._generator.standard_normal((self._d, self._d))
            return vector / self.norm(point, vector)

        def zero_vector(self, point: FloatArray) -> FloatArray:
            return np.zeros((self._d, self._d))

    return Observable


@cache
def _balanced_class() -> Any:
    _require()
    from pymanopt.manifolds.manifold import RiemannianSubmanifold

    class Balanced(RiemannianSubmanifold):
        """Balanced networks of full rank in weight space."""

        def __init__(self, d: int, depth: int, generator: np.random.Generator) -> None:
            self._d, self._depth, self._generator = d, depth, generator
            dimension = d * d + (depth - 1) * d * (d - 1) // 2
            super().__init__(f"Balanced deep linear networks of width {d} and depth {depth}", dimension)

        @property
        def typical_dist(self) -> float:
            return math.sqrt(self._depth * self._d)

        def inner_product(self, point: FloatArray, tangent_vector_a: FloatArray, tangent_vector_b: FloatArray) -> float:
            return float((tangent_vector_a * tangent_vector_b).sum())

        def norm(self, point: FloatArray, tangent_vector: FloatArray) -> float:
            return float(np.linalg.norm(tangent_vector))

        def projection(self, point: FloatArray, vector: FloatArray) -> FloatArray:
            return project_tangent(point, vector)

        to_tangent_space = projection

        def weingarten(self, point: FloatArray, tangent_vector: FloatArray, normal_vector: FloatArray) -> FloatArray:
            """Tangent part of minus the derivative of a normal field ``Dc^* s`` along the tangent vector."""
            if self._depth == 1:
                return np.zeros_like(point)
            system = constraint_system(point)
            x = system.multipliers((system.jacobian @ normal_vector.reshape(-1, 1))[:, 0])
            moved = constraint_system(np.asarray(tangent_vector))
            return -project_tangent(point, moved.normal(x))

        def retraction(self, point: FloatArray, tangent_vector: FloatArray) -> FloatArray:
            return retract(point, tangent_vector)

        def transport(self, point_a: FloatArray, point_b: FloatArray, tangent_vector_a: FloatArray) -> FloatArray:
            return project_tangent(point_b, tangent_vector_a)

        def random_point(self) -> FloatArray:
            return np.stack(random_balanced([self._d] * (self._depth + 1), rng=self._generator))

        def random_tangent_vector(self, point: FloatArray) -> FloatArray:
            vector = project_tangent(point, self._generator.standard_normal(point.shape))
            return vector / np.linalg.norm(vector)

        def zero_vector(self, point: FloatArray) -> FloatArray:
            return np.zeros((self._depth, self._d, self._d))

    return Balanced
