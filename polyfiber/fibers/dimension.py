"""Functional dimension and local fiber dimension of any network, from the regions of its complex.

On a region the network is affine with coefficients polynomial in the parameters. The rank of their
stacked Jacobians over *all* regions is the functional dimension; the parameters minus that rank is
the dimension of the fiber through a generic parameter. Random inputs miss small regions and give
wrong nullities, so the regions come from the canonical complex.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import words
from .._typing import Array, IntArray, RngLike, SignArray
from .._values.checked import array_of, flag, generator_of
from ..budget import Budget, Monitor
from ..errors import InputError, ShapeError, old_name
from ..kernels.fibers.jacobians import PRIME, directional, insert_regions, null_vector
from ..network.model import ReLUNetwork
from ..network.piecewise import PiecewiseLinearNetwork, require_network
from ..numerics import exact
from .gates.jacobians import WiredParameters


@dataclass(frozen=True)
class LocalFiber:
    """Dimensions of the fiber near a parameter, with evidence.

    Attributes
    ----------
    functional_dimension : int
        Rank of the stacked Jacobians, computed modulo 2^31 - 1: a certified lower bound of the rational
        rank for the given patterns; equal to it unless the prime divides every maximal minor.
    n_parameters : int
    upper_bound : int
        ``n_parameters`` minus the directions that provably change nothing: scalings, dead neurons.
    exact_rank : int or None
        The rank over the rationals, where it was computed (`exact=True`).
    scaling_dimension : int
        Independent scalings; the number of hidden neurons unless some are cut off from input, bias and output.
    n_regions : int
    n_ambiguous : int
        Regions on which some neuron vanishes identically: there the function is not differentiable
        in the parameters, and the inactive side was taken.
    rounds : int
        Null vectors that were tried against all regions.
    """

    functional_dimension: int
    n_parameters: int
    upper_bound: int
    exact_rank: int | None
    scaling_dimension: int
    n_regions: int
    n_ambiguous: int
    rounds: int

    ambiguous = old_name("n_ambiguous")

    @property
    def sentence(self) -> str:
        """In how many directions the weights can move, and how sure."""
        sure = "exact" if self.proven else "exact but for a chance of one in two billion"
        if self.dimension == 0:
            return f"Near these weights only rescaling neurons keeps the function, to first order ({sure}): they are locally determined."
        return (
            f"Near these weights {words.count(self.dimension, 'direction')} beyond rescaling {'keeps' if self.dimension == 1 else 'keep'} the "
            f"function to first order ({sure})."
        )

    def __str__(self) -> str:
        return self.sentence

    @property
    def raw_dimension(self) -> int:
        """Dimension of the fiber in raw parameter space."""
        return self.n_parameters - self.functional_dimension

    @property
    def dimension(self) -> int:
        """Dimension modulo scaling."""
        return self.raw_dimension - self.scaling_dimension

    @property
    def proven(self) -> bool:
        """Whether lower and upper bound meet, so that nothing rests on the prime."""
        return self.functional_dimension == self.upper_bound or self.exact_rank == self.functional_dimension


def functional_dimension(
    net: ReLUNetwork | PiecewiseLinearNetwork,
    *,
    regions: Any = None,
    shared: bool = False,
    budget: Budget | None = None,
    rng: RngLike = 0,
) -> int:
    """Rank of the Jacobians of the affine pieces, stacked over all regions; see `local_fiber`.

    Parameters
    ----------
    net : ReLUNetwork or PiecewiseLinearNetwork
    regions, shared, budget, rng
        See `local_fiber`. A convolution has its kernel as parameters with ``shared=True``, and one for each entry of
        its matrix without.

    Examples
    --------
    >>> import polyfiber as pf
    >>> pf.functional_dimension(pf.ReLUNetwork.random((2, 3, 1), rng=0))
    10
    """
    return local_fiber(net, regions=regions, shared=shared, budget=budget, rng=rng).functional_dimension


def local_fiber(
    net: ReLUNetwork | PiecewiseLinearNetwork,
    *,
    regions: Any = None,
    shared: bool = False,
    budget: Budget | None = None,
    rng: RngLike = 0,
    exact_rank: bool = False,
) -> LocalFiber:
    """Functional dimension and local fiber dimension, with evidence.

    Parameters
    ----------
    net : ReLUNetwork or PiecewiseLinearNetwork
        Floats are taken as the rationals they store. Parameters of the latter are the stored entries of its matrices
        and its offsets; slopes stay what they are.
    regions : (R, N) int8 array or complex, optional
        Sign vectors of the regions (columns beyond the N hidden neurons are ignored), or the canonical
        complex if it is already there; computed by default.
    shared : bool
        Count a number that stands several times in one matrix, or in one list of offsets, as one parameter, and zeros
        as none: the parameters of convolutions in a file, where nothing was folded into them and they are not equal by
        chance. By default every entry is a parameter.
    budget : Budget, optional
    rng
        For the random null vectors; the result does not depend on it but for a chance below 1e-8.
    exact_rank : bool
        Also eliminate over the rationals (small networks).

    Returns
    -------
    LocalFiber

    Notes
    -----
    Cost: the complex, plus a few passes of one directional derivative per region, plus an elimination
    with as many rows as the rank. (4, 16, 16, 1): see ``scripts/bench/fibers.py``.

    Examples
    --------
    >>> import polyfiber as pf
    >>> found = pf.local_fiber(pf.ReLUNetwork.random((2, 3, 1), rng=0))
    >>> found.n_parameters, found.raw_dimension, found.dimension
    (13, 3, 0)
    """
    net, shared, exact_rank = require_network(net), flag(shared, "shared"), flag(exact_rank, "exact_rank")
    monitor = Monitor(budget)
    signs = _region_signs(net, regions, budget)
    masks = np.ascontiguousarray(signs > 0).view(np.int8)
    ambiguous = int((signs == 0).any(axis=1).sum())
    if shared and isinstance(net, ReLUNetwork):
        net = PiecewiseLinearNetwork.from_chain(net)
    if isinstance(net, PiecewiseLinearNetwork):
        wired = WiredParameters(net, shared=shared)
        upper = wired.free - wired.certain_freedom(masks)
        rank, rounds = wired.rank(masks, upper=upper, rng=rng, monitor=monitor)
        rational = wired.exact_rank(masks) if exact_rank else None
        return LocalFiber(rank, wired.free, upper, rational, wired.scaling_dimension(), len(masks), ambiguous, rounds)
    theta = np.concatenate([exact.residues(p).ravel() for pair in zip(net.weights, net.biases) for p in pair])
    P = len(theta)
    upper = P - _certain_freedom(net, masks)
    rank, rounds = rank_over_regions(net.architecture, masks, theta, upper=upper, rng=rng, monitor=monitor)
    rational = None
    if exact_rank:
        rational = exact.rank(np.concatenate([_exact_rows(net, mask) for mask in np.unique(masks, axis=0)]))
    return LocalFiber(rank, P, upper, rational, scaling_dimension(net), len(masks), ambiguous, rounds)


def rank_over_regions(
    architecture: tuple[int, ...],
    masks: SignArray,
    theta: IntArray,
    *,
    upper: int | None = None,
    rng: RngLike = 0,
    monitor: Monitor | None = None,
) -> tuple[int, int]:
    """Rank modulo 2^31 - 1 of the stacked Jacobians, and how many null vectors were tried against all regions.

    Parameters
    ----------
    architecture : (n0, …, nL)
    masks : (R, N) int8
        1 where a neuron is active.
    theta : (P,) residues of the parameters, W_1 row by row, b_1, W_2, …
    upper : int, optional
        A rank that is never exceeded: the search ends there.
    """
    monitor = monitor or Monitor()
    widths = np.array(architecture, dtype=np.int64)
    sizes = (widths[:-1] + 1) * widths[1:]
    offsets = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
    P = len(theta)
    limit = P if upper is None else upper
    generator = generator_of(rng)
    basis, pivots, rank = np.zeros((P, P), dtype=np.int64), np.zeros(P, dtype=np.int64), 0
    direction, active = np.empty(P, dtype=np.int64), np.empty(len(masks), dtype=np.int8)
    rounds = 0
    rows_per_region = int(widths[-1] * (widths[0] + 1))
    while rank < limit:
        monitor.check_time("the functional dimension", partial=rank)
        null_vector(basis, pivots, rank, generator.integers(0, PRIME, P), direction)
        directional(masks, widths, offsets, theta, direction, active)
        rounds += 1
        candidates = np.flatnonzero(active)
        if len(candidates) == 0:
            break
        wanted = max(8, 2 * (P - rank) // rows_per_region)
        chosen = generator.permutation(candidates)[:wanted]
        rank = insert_regions(masks, chosen, widths, offsets, theta, basis, pivots, rank)
    return rank, rounds


def _region_signs(net: ReLUNetwork | PiecewiseLinearNetwork, regions: Any, budget: Budget | None) -> SignArray:
    N = net.n_hidden
    if regions is None:
        from ..complexes.build import canonical_complex

        regions = canonical_complex(net, budget=budget)
    if not isinstance(regions, type) and hasattr(regions, "signs"):
        signs = regions.signs(regions.dimension)
    else:
        signs = array_of(regions, "regions")
    if signs.ndim != 2 or signs.shape[1] < N or len(signs) == 0:
        raise ShapeError(f"regions of shape {signs.shape}; expected (R, {N}) signs, R >= 1")
    if not np.isin(signs, (-1, 0, 1)).all():
        raise InputError("region signs must be -1, 0 or 1")
    result: SignArray = signs[:, :N].astype(np.int8)
    return result


def scaling_dimension(net: ReLUNetwork) -> int:
    """Dimension of the orbit of the positive scalings: hidden neurons that some scaling moves.

    A set of neurons connected by non-zero weights, with no bias, no input and no output among them, is
    rescaled together without any parameter changing.
    """
    labels: dict[tuple[int, int], tuple[int, int]] = {}

    def root(x: tuple[int, int]) -> tuple[int, int]:
        while labels.setdefault(x, x) != x:
            x = labels[x]
        return x

    fixed = (-1, 0)
    last = len(net.weights) - 1
    for l, (W, b) in enumerate(zip(net.weights, net.biases)):
        for i in range(W.shape[0]):
            node = fixed if l == last else (l, i)
            if l < last and b[i] != 0:
                labels[root(node)] = root(fixed)
            for j in np.flatnonzero(W[i] != 0):
                other = fixed if l == 0 else (l - 1, int(j))
                labels[root(other)] = root(node)
    hidden = [(l, i) for l in range(last) for i in range(net.weights[l].shape[0])]
    loose = {root(x) for x in hidden} - {root(fixed)}
    return len(hidden) - len(loose)


def _certain_freedom(net: ReLUNetwork, masks: SignArray) -> int:
    """Dimension of directions that certainly keep the function to first order.

    Every parameter of a neuron that is off on all regions, and the scalings of the rest.
    """
    off: Array = np.asarray(~masks.any(axis=0))
    weights, biases = [w.copy() for w in net.weights], [b.copy() for b in net.biases]
    free, start = [np.zeros(w.shape, dtype=bool) for w in weights], 0
    count = 0
    for l, width in enumerate(net.hidden_widths):
        dead = off[start : start + width]
        start += width
        free[l][dead] = True
        free[l + 1][:, dead] = True
        biases[l][dead] *= 0
        count += int(dead.sum())
    for l, mask in enumerate(free):
        weights[l][mask] *= 0
        count += int(mask.sum())
    return count + scaling_dimension(ReLUNetwork(weights, biases))


def _exact_rows(net: ReLUNetwork, mask: Array) -> Array:
    """Jacobian of (A | a) on one region over the rationals; (nL (n0 + 1), P)."""
    exact_net = net.exact()
    widths = net.architecture
    L, n0, m = len(widths) - 1, widths[0], widths[-1]
    prefix = [
        np.concatenate([exact.as_fractions(np.eye(n0, dtype=int)), exact.as_fractions(np.zeros((n0, 1)))], axis=1)
    ]
    start, masks = 0, []
    for l in range(L - 1):
        D = exact.as_fractions(mask[start : start + widths[l + 1]].astype(int))
        masks.append(D)
        value = exact_net.weights[l] @ prefix[-1]
        value[:, n0] = value[:, n0] + exact_net.biases[l]
        prefix.append(value * D[:, None])
        start += widths[l + 1]
    suffix = [exact.as_fractions(np.eye(m, dtype=int))]
    for l in range(L - 1, 0, -1):
        suffix.insert(0, (suffix[0] @ exact_net.weights[l]) * masks[l - 1][None, :])
    blocks = []
    for l in range(L):
        weight_part = np.einsum("oi,jk->okij", suffix[l], prefix[l], optimize=False)
        unit = exact.as_fractions(np.zeros((m, n0 + 1, widths[l + 1])))
        unit[:, n0, :] = suffix[l]
        blocks += [weight_part.reshape(m * (n0 + 1), -1), unit.reshape(m * (n0 + 1), -1)]
    return np.concatenate(blocks, axis=1)
