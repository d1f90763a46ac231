"""Fibers of one hidden layer, on the orthant or on all of R^n.

Every parameter that realises a hyperplane representation is described by an orientation of the
hyperplanes and by the neurons that act linearly (The Symmetries of Three-Layer ReLU Networks, §4.2
and Appendix C).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from .. import words
from .._once import cached_property
from .._typing import Array, BoolArray, FloatArray, RngLike, SignArray
from .._values.checked import generator_of
from .._values.read_only import closed
from ..budget import Budget, Monitor
from ..errors import BudgetExceededError, InputError, RankAmbiguityError, ShapeError
from ..network.float_or_rational import (
    clean,
    draw,
    fractions,
    is_rational,
    largest,
    lengths,
    nonzero,
    ones,
    row_norms,
    zeros,
)
from ..numerics import exact, modular
from ..words import one_line
from .hyperplanes import Domain, HyperplaneRepresentation, analyse_layer
from .nonnegative_rank import NonnegativeRank, nonnegative_column_rank, nonnegative_column_ranks

_CHUNK = 1024
TRIED = 12  # up to 2^12 orientations are tried one by one rather than trusting the theorem


@closed
@dataclass(frozen=True)
class LayerParameters:
    """A point of a layerwise fiber: ``y -> C relu(W y + b) + a``."""

    __repr__ = one_line

    W: Array
    b: Array
    C: Array
    a: Array

    def __call__(self, Y: Any) -> Array:
        """Values at points."""
        z = np.asarray(Y) @ self.W.T + self.b
        result: Array = np.where(z > 0, z, 0 * z) @ self.C.T + self.a
        return result


@closed
@dataclass(frozen=True)
class LayerComponent:
    """One component of the fiber: an orientation, and how many neurons are linear and dead.

    Attributes
    ----------
    representation : HyperplaneRepresentation
    orientation : (N,) int8
        ``tau``: +1 where the neuron is active on the reference region.
    n_linear, n_dead : int
    slope : (m, n) array, constant : (m,) array
        ``Lambda_tau`` and ``lambda_tau``: what the linear neurons and the output bias must supply.
    """

    __repr__ = one_line

    representation: HyperplaneRepresentation
    orientation: SignArray
    n_linear: int
    n_dead: int
    slope: Array
    constant: Array
    _scale: float

    @cached_property
    def factorization(self) -> NonnegativeRank:
        """Nonnegative rank of ``Lambda_tau`` with its certificate."""
        matrix = self.slope
        if matrix.dtype != object:
            matrix = clean(matrix, self._scale)
        return nonnegative_column_rank(matrix)

    @property
    def n_neurons(self) -> int:
        """Width of the hidden layer."""
        return int(self.orientation.shape[0]) + self.n_linear + self.n_dead

    @cached_property
    def linear_strata(self) -> tuple[tuple[int, int, int], ...]:
        """(rank of C, rank of U, dimension) of the rank strata of ``C U = Lambda_tau`` that meet ``U >= 0``.

        The strata and their dimensions come from the two-layer linear fiber
        (`polyfiber.linear.stratify`). A stratum is available when some ``U >= 0`` with non-zero
        rows has its rank: rank of Lambda needs a pointed cone, more rank than that a positive row.
        """
        r = self.factorization.linear_rank
        pointed = self.factorization.pointed
        m, n = self.slope.shape
        if self.n_linear == 0:
            return ((0, 0, 0),) if r == 0 else ()
        from .linear_neurons import two_layer_strata

        return tuple(
            (rank_c, rank_u, dim)
            for rank_c, rank_u, dim in two_layer_strata(n, self.n_linear, m, r)
            if rank_u > r or (rank_u == r and pointed and r >= 1)
        )

    @property
    def is_empty(self) -> bool:
        """Whether no parameter has this orientation and these numbers of neurons."""
        return self.factorization.rank > self.n_linear

    @property
    def dimension(self) -> int:
        """Dimension modulo scaling; -1 when empty."""
        if self.is_empty:
            return -1
        m, n = self.slope.shape
        return max(d for _, _, d in self.linear_strata) + self.n_dead * _dead_dimension(self.representation, m, n)

    def point(self) -> LayerParameters:
        """A parameter of the component, from the factors of the certificate."""
        factors = self.factorization
        spare = self.n_linear - factors.rank
        if spare < 0:
            raise InputError(f"the component is empty: {self.n_linear} linear neurons, nonnegative rank {factors.rank}")
        m, n = self.slope.shape
        dtype = self.slope.dtype
        U = np.concatenate([factors.right.astype(dtype), ones((spare, n), dtype)], axis=0)
        C = np.concatenate([factors.left.astype(dtype), zeros((m, spare), dtype)], axis=1)
        zero = [i for i in range(U.shape[0]) if not nonzero(U[i])]
        U[zero] = ones((len(zero), n), dtype)
        C[:, zero] = zeros((m, len(zero)), dtype)
        beta = zeros(U.shape[0], dtype)
        dead = (-ones((self.n_dead, n), dtype), -ones(self.n_dead, dtype), zeros((m, self.n_dead), dtype))
        return self._assemble(U, C, beta, dead)

    def sample(self, *, rng: RngLike = None) -> LayerParameters:
        """A random parameter of the component; every direction of the component is explored."""
        generator = generator_of(rng)
        if self.is_empty:
            return self.point()  # raises with the reason
        m, n = self.slope.shape
        dtype = self.slope.dtype
        top = max(d for _, _, d in self.linear_strata)
        ranks = sorted({b for _, b, d in self.linear_strata if d == top})
        rank_u = ranks[int(generator.integers(len(ranks)))]
        U = _sample_rows(self, rank_u, generator)
        C = _sample_columns(U, self._target(), generator)
        beta = draw(generator, U.shape[0], dtype, positive=True)
        rows = -draw(generator, (self.n_dead, n), dtype, positive=True)
        offsets = -draw(generator, self.n_dead, dtype, positive=True)
        columns = draw(generator, (m, self.n_dead), dtype)
        if self.representation.domain == "space" and n >= m:
            rows, offsets = draw(generator, rows.shape, dtype), draw(generator, self.n_dead, dtype)
            columns = 0 * columns
        elif self.representation.domain == "space":
            rows = 0 * rows
        dead = (rows, offsets, columns)
        return self._assemble(U, C, beta, dead)

    def _target(self) -> Array:
        return self.slope if self.slope.dtype == object else clean(self.slope, self._scale)

    def _assemble(self, U: Array, C: Array, beta: Array, dead: tuple[Array, Array, Array]) -> LayerParameters:
        rep = self.representation
        tau = self.orientation.astype(rep.slope.dtype) if not rep.is_exact else fractions(self.orientation)
        return LayerParameters(
            np.concatenate([rep.normals * tau[:, None], U, dead[0]], axis=0),
            np.concatenate([rep.offsets * tau, beta, dead[1]]),
            np.concatenate([rep.weights.T, C, dead[2]], axis=1),
            self.constant - (C @ beta if len(beta) else 0 * self.constant),
        )

    def __str__(self) -> str:
        tau = "".join("+" if t > 0 else "-" for t in self.orientation)
        idle = "unused" if self.representation.domain == "space" else "dead"
        return f"orientation {tau or '()'}, {self.n_linear} linear, {self.n_dead} {idle}, dimension {self.dimension}"


@closed
@dataclass(frozen=True)
class LayerwiseFiber:
    """All parameters of one hidden layer that realise one function on the domain.

    Components are those of the generic fiber: every visible hyperplane realised by one neuron. The
    whole fiber also holds degenerations of them (one hyperplane realised by several neurons,
    Def. 22); `contains` tests the function, so it knows those too.

    Parameters
    ----------
    representation : HyperplaneRepresentation
    width : int
        Neurons of the hidden layer, at least the number of hyperplanes.
    own_orientation : (N,) int8, optional
        Orientation of a known generic parameter.
    assume_generic : bool
        Whether the emptiness theorem for generic parameters may be used (fewer than ``min(n, m)``
        linear neurons leave the own orientation only) where there are more than 2^12 orientations to
        try; up to there each is decided by its own rank.

    Examples
    --------
    >>> from polyfiber.fibers import LayerwiseFiber, analyse_layer
    >>> h = analyse_layer([[1.0]], [-1.0], [[2.0]], [0.0]).representation
    >>> sum(1 for _ in LayerwiseFiber(h, 1).components())
    1
    """

    __repr__ = one_line

    representation: HyperplaneRepresentation
    width: int
    own_orientation: SignArray | None = None
    assume_generic: bool = False

    def __post_init__(self) -> None:
        if self.width < self.representation.n_hyperplanes:
            raise ShapeError(
                f"{words.count(self.representation.n_hyperplanes, 'hyperplane needs', 'hyperplanes need')} as many neurons; the layer has {self.width}"
            )

    @property
    def n_spare(self) -> int:
        """Neurons that no visible hyperplane needs: linear or dead."""
        return self.width - self.representation.n_hyperplanes

    @cached_property
    def _scale(self) -> float:
        rep = self.representation
        if rep.is_exact:
            return 0.0  # nothing is rounded
        terms = np.abs(rep.weights.astype(np.float64)).T @ np.abs(rep.normals.astype(np.float64))
        return max(largest(terms), largest(rep.slope))

    def component(self, orientation: Any, n_linear: int) -> LayerComponent:
        """The component of an orientation with so many linear neurons, the other spare ones dead (it may be empty)."""
        rep = self.representation
        tau = np.asarray(orientation, dtype=np.int8)
        if tau.shape != (rep.n_hyperplanes,) or not (np.abs(tau) == 1).all():
            raise InputError(f"an orientation is {words.count(rep.n_hyperplanes, 'sign')} ±1; found {orientation!r}")
        if not 0 <= n_linear <= self.n_spare or (n_linear and rep.domain == "space"):
            raise InputError(f"{n_linear} linear neurons do not fit {self.n_spare} spare ones on the {rep.domain}")
        on = tau > 0
        slope = rep.slope - rep.weights[on].T @ rep.normals[on]
        constant = rep.constant - rep.weights[on].T @ rep.offsets[on]
        return LayerComponent(rep, tau, n_linear, self.n_spare - n_linear, slope, constant, self._scale)

    def _splits(self) -> list[int]:
        return [0] if self.representation.domain == "space" else list(range(self.n_spare, -1, -1))

    def always_non_empty(self, n_linear: int) -> bool:
        """Whether every orientation has a component with so many linear neurons: ``rk+ <= min(n, m + 1)``."""
        m, n = self.representation.slope.shape
        return self.representation.domain == "orthant" and n_linear >= min(n, m + 1)

    @property
    def is_listable(self) -> bool:
        """Whether the first components are found at once: few orientations, or emptiness decided by theory."""
        return self.representation.n_hyperplanes <= TRIED or all(
            self.always_non_empty(s) or self._only_own(s) for s in self._splits()
        )

    def components(self, *, budget: Budget | None = None) -> Iterator[LayerComponent]:
        """Non-empty components, lazily; those with the most linear neurons first, the own orientation first.

        Raises
        ------
        RankAmbiguityError
            The emptiness of a component is not decided at the tolerances.
        BudgetExceededError
            After ``budget.seconds``; what was found before has been yielded.
        """
        monitor = Monitor(budget)
        for n_linear in self._splits():
            own = self._own(n_linear)
            if own is not None:
                yield own
            if self._only_own(n_linear):
                continue
            for tau in self._orientations(n_linear, monitor):
                if own is None or not np.array_equal(tau, own.orientation):
                    yield self.component(tau, n_linear)

    def _only_own(self, n_linear: int) -> bool:
        """Whether no orientation but the own one can have a component with so many linear neurons."""
        rep = self.representation
        N = rep.n_hyperplanes
        if self.own_orientation is None:
            return False
        m, n = rep.slope.shape
        if N > TRIED and self.assume_generic and n_linear < min(m, n):
            return True
        # Lambda_tau - Lambda_own is a sum of ± c_i u_i^T over the flipped i: independent terms never add to 0
        if n_linear or N == 0 or m * n < N or self._own(0) is None:
            return False
        return self._independent

    @property
    def assumed(self) -> str | None:
        """What the list of components takes from genericity without a check, if anything."""
        N = self.representation.n_hyperplanes
        m, n = self.representation.slope.shape
        splits = [s for s in self._splits() if s < min(m, n) and not self.always_non_empty(s)]
        if N <= TRIED or not splits or not self.assume_generic or self.own_orientation is None:
            return None
        if splits == [0] and m * n >= N and self._independent:
            return None
        return f"no other orientation of the {words.count(N, 'hyperplane')} fits: the theorem for generic parameters, not 2^{N} checks"

    @cached_property
    def _independent(self) -> bool:
        """Whether the terms ``c_i u_i^T`` are certainly independent: rationals are, where they are modulo a prime."""
        rep = self.representation
        c, u = rep.weights, rep.normals
        if rep.is_exact:
            try:
                c, u = exact.residues(c), exact.residues(u)
            except InputError:  # a denominator that the prime divides
                return False
            terms = (c[:, :, None] * u[:, None, :] % exact.PRIME).reshape(len(c), -1)
            return modular.rank_of(modular.condensed(terms, np.random.default_rng(0))) == len(terms)
        terms = (c[:, :, None] * u[:, None, :]).reshape(len(c), -1)
        sizes = row_norms(terms)[:, None]
        if not (np.isfinite(terms).all() and (sizes > 0).all() and np.isfinite(sizes).all()):
            return False  # rows that floats do not hold are not shown to be independent
        return bool(np.linalg.svd(terms / sizes, compute_uv=False)[-1] > 1e-7)

    def _own(self, n_linear: int) -> LayerComponent | None:
        if self.own_orientation is None or not (np.abs(self.own_orientation) == 1).all():
            return None
        component = self.component(self.own_orientation, n_linear)
        return None if component.is_empty else component

    def _orientations(self, n_linear: int, monitor: Monitor) -> Iterator[SignArray]:
        N = self.representation.n_hyperplanes
        everything = self.always_non_empty(n_linear)
        signs = itertools.product((1, -1), repeat=N)
        while chunk := list(itertools.islice(signs, _CHUNK)):
            monitor.check_time("listing the components of a fiber")
            taus = np.array(chunk, dtype=np.int8).reshape(len(chunk), N)
            keep = np.ones(len(taus), dtype=bool) if everything else self._non_empty(taus, n_linear)
            yield from taus[keep]

    def _non_empty(self, taus: SignArray, n_linear: int) -> BoolArray:
        rep = self.representation
        if rep.is_exact and n_linear == 0:  # nothing supplies a slope
            return np.array([not (self.component(tau, 0).slope != 0).any() for tau in taus], dtype=bool)
        if rep.is_exact:
            return np.array([not self.component(tau, n_linear).is_empty for tau in taus], dtype=bool)
        found = nonnegative_column_ranks(self._slopes(taus), factors=False, scale=self._scale)
        surely_large = (found.status == -2) & (found.linear_rank > n_linear)
        surely_small = (found.status == -2) & (found.linear_rank < n_linear)
        open_ones = (found.status < 0) & ~surely_large & ~surely_small
        if open_ones.any():
            tau = taus[int(np.flatnonzero(open_ones)[0])]
            raise RankAmbiguityError(
                f"whether the component of orientation {tau.tolist()} is empty is not decided in floating point; "
                "pass rational parameters",
                orientation=tau,
            )
        return np.where(found.status > 0, found.rank <= n_linear, surely_small).astype(bool)

    def count_components(self, *, budget: Budget | None = None, limit: int = 1 << 20) -> int:
        """Number of non-empty components, in closed form where every orientation has one.

        Raises
        ------
        BudgetExceededError
            More than ``limit`` orientations would have to be tried one by one.
        """
        N = self.representation.n_hyperplanes
        monitor = Monitor(budget)
        total = 0
        for n_linear in self._splits():
            if self.always_non_empty(n_linear):
                total += 2**N
            elif self._only_own(n_linear):
                total += self._own(n_linear) is not None
            elif limit < 2**N:
                raise BudgetExceededError(
                    f"2**{N} orientations have to be tried, more than limit={limit}", partial=total, needed=2**N
                )
            else:
                total += sum(1 for _ in self._orientations(n_linear, monitor))
        return total

    @cached_property
    def dimension(self) -> int:
        """Largest dimension of a component, modulo scaling; -1 if the fiber is empty.

        A component's dimension depends on the rank of ``Lambda_tau`` and on whether its cone is pointed.
        Up to 2^12 orientations all are looked at; beyond, the own one and 4096 random ones.
        """
        N = self.representation.n_hyperplanes
        if 2**N <= 2**TRIED:
            taus = np.array(list(itertools.product((1, -1), repeat=N)), dtype=np.int8).reshape(2**N, N)
        else:
            taus = np.where(np.random.default_rng(0).random((4096, N)) < 0.5, 1, -1).astype(np.int8)
        best = -1
        for n_linear in self._splits():
            own = self._own(n_linear)
            if own is not None:
                best = max(best, own.dimension)
            if self._only_own(n_linear):
                continue
            for tau in self._one_of_each_kind(taus, n_linear):
                best = max(best, self.component(tau, n_linear).dimension)
        return best

    def _one_of_each_kind(self, taus: SignArray, n_linear: int) -> Iterator[SignArray]:
        keep = taus if self.always_non_empty(n_linear) else taus[self._non_empty(taus, n_linear)]
        if self.representation.is_exact:
            yield from keep
            return
        found = nonnegative_column_ranks(self._slopes(keep), factors=False, scale=self._scale)
        seen = set()
        for tau, kind in zip(keep, zip(found.linear_rank.tolist(), found.rank.tolist())):
            if kind not in seen:
                seen.add(kind)
                yield tau

    def _slopes(self, taus: SignArray) -> FloatArray:
        rep = self.representation
        return rep.slope - np.einsum("bi,im,in->bmn", (taus > 0).astype(np.float64), rep.weights, rep.normals)

    def sample(self, *, rng: RngLike = None) -> LayerParameters:
        """A random point; every component can come up."""
        generator = generator_of(rng)
        N = self.representation.n_hyperplanes
        splits = self._splits()
        for _ in range(200):
            n_linear = splits[int(generator.integers(len(splits)))]
            own = self._own(n_linear)
            if self._only_own(n_linear):
                if own is not None:
                    return own.sample(rng=generator)
                continue
            taus = np.where(generator.random((64, N)) < 0.5, 1, -1).astype(np.int8)
            if not self.always_non_empty(n_linear):
                taus = taus[self._non_empty(taus, n_linear)]
            if own is not None and (len(taus) == 0 or generator.random() < 1 / (1 + len(taus))):
                return own.sample(rng=generator)
            if len(taus):
                return self.component(taus[0], n_linear).sample(rng=generator)
        first = next(self.components(), None)
        if first is None:
            raise InputError("the fiber has no generic component: no orientation fits the width of the layer")
        return first.sample(rng=generator)

    def contains(self, parameters: LayerParameters, *, tolerance: float = 1e-9) -> bool:
        """Whether the parameters realise the same function on the domain, and have the same width."""
        if parameters.W.shape[0] != self.width or parameters.W.shape[1] != self.representation.slope.shape[1]:
            return False
        other = analyse_layer(
            parameters.W, parameters.b, parameters.C, parameters.a, domain=self.representation.domain
        ).representation
        if self.representation.is_exact and other.is_exact:
            tolerance = 0.0
        return self.representation.distance(other) <= tolerance


def layerwise_fiber(W: Any, b: Any, C: Any, a: Any, *, domain: Domain = "orthant", **options: Any) -> LayerwiseFiber:
    r"""The fiber of ``y -> C relu(W y + b) + a`` on the orthant or on all of R^n.

    Parameters
    ----------
    W : (H, n), b : (H,), C : (m, H), a : (m,) array_like
    domain : 'orthant' or 'space'
    **options
        Tolerances of `analyse_layer`.

    Examples
    --------
    >>> from polyfiber.fibers.layerwise import layerwise_fiber
    >>> fiber = layerwise_fiber([[1.0, -2.0], [1.0, 1.0]], [0.5, 1.0], [[1.0, 2.0]], [0.0])
    >>> print(*fiber.components(), sep="\n")
    orientation +, 1 linear, 0 dead, dimension 1
    orientation -, 1 linear, 0 dead, dimension 1
    """
    analysis = analyse_layer(W, b, C, a, domain=domain, **options)
    return LayerwiseFiber(
        analysis.representation,
        len(analysis.roles),
        own_orientation=analysis.orientation if (np.abs(analysis.orientation) == 1).all() else None,
        assume_generic=analysis.is_generic,
    )


def _sample_rows(component: LayerComponent, rank: int, generator: np.random.Generator) -> Array:
    """Random ``U >= 0`` (n_linear, n) of the given rank whose row space holds that of Lambda."""
    target = component._target()
    dtype = target.dtype
    n = target.shape[1]
    count = component.n_linear
    if count == 0:
        return zeros((0, n), dtype)
    r = component.factorization.linear_rank
    if rank == n:
        U = draw(generator, (count, n), dtype, positive=True)
        return _unit_rows(U)
    rows = _row_basis(target, r)
    if rank == r:
        basis, centre = rows, component.factorization.certificate.vector @ target
    else:
        centre = draw(generator, n, dtype, positive=True)
        extra = draw(generator, (rank - r - 1, n), dtype)
        basis = np.concatenate([rows, centre[None], extra], axis=0)
    result = []
    for _ in range(count):
        direction = draw(generator, basis.shape[0], dtype) @ basis
        # centre + s direction stays non-negative for s up to `reach`
        limits = [c / -d for c, d in zip(centre, direction) if d < 0 and c > 0]
        reach = min(limits) if limits else (Fraction(1) if is_rational(dtype) else 1.0)
        share = draw(generator, 1, dtype, uniform=True)[0]
        # short of the end: there a row could cancel down to its rounding
        row = centre + share * reach * 999 / 1000 * direction
        result.append(np.where(row > 0, row, 0 * row))
    return _unit_rows(np.array(result, dtype=dtype))


def _sample_columns(U: Array, target: Array, generator: np.random.Generator) -> Array:
    """Random ``C`` with ``C U = target``: a particular solution and a random left null part."""
    m = target.shape[0]
    if U.shape[0] == 0:
        return zeros((m, 0), target.dtype)
    if target.dtype == object:
        particular = exact.solve(U.T, target.T)
        if particular is None:
            raise AssertionError("the row space of U holds that of the target")
        null = exact.nullspace(U.T)
        return particular.T + draw(generator, (m, null.shape[1]), target.dtype) @ null.T
    pseudo = np.linalg.pinv(U, rcond=1e-12)  # rows that are equal up to rounding are one direction
    C = target @ pseudo
    size = max(largest(C), 1.0)
    free = size * generator.standard_normal(C.shape)
    C = C + free - (free @ U) @ pseudo
    return C + (target - C @ U) @ pseudo  # once more: U may be far from orthogonal


def _row_basis(matrix: Array, r: int) -> Array:
    if matrix.dtype == object:
        return exact.rref(matrix)[0]
    basis: Array = np.linalg.svd(matrix)[2][:r]
    return basis


def _unit_rows(U: Array) -> Array:
    return U / lengths(U)[:, None]


def _dead_dimension(representation: HyperplaneRepresentation, m: int, n: int) -> int:
    """What a neuron that the function does not need may vary, modulo scaling.

    Where inputs have all signs: its row if nothing reads it, or its outgoing weights if it has no row.
    """
    return max(m, n) if representation.domain == "space" else n + m
