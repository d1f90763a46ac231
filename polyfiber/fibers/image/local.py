"""The fiber of any network near its parameter: its dimension from both sides, what moves, and on what each statement
rests.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ... import words
from ..._once import cached_property
from ..._typing import RngLike
from ..._values.read_only import closed
from ...budget import Budget, Monitor
from ...errors import BudgetExceededError, InputError
from ...network.model import ReLUNetwork
from ...numerics import exact
from ...words import one_line
from ..dimension import rank_over_regions, scaling_dimension
from .activity import Activity, activity_from_complex, idle_dimension, sampled_activity, scattered_points
from .directions import Directions, named_directions

Basis = Literal["theorem", "computed", "evidence"]


@dataclass(frozen=True)
class Ground:
    """A statement about a fiber and what it rests on.

    Attributes
    ----------
    statement : str
    basis : 'theorem', 'computed' or 'evidence'
        A theorem on all networks of a kind; a proof by computation for this network; or what was looked for and not
        found, what agrees, and what nobody has proved.
    """

    statement: str
    basis: Basis

    def __str__(self) -> str:
        return f"[{self.basis}] {self.statement}"


@closed
@dataclass(frozen=True)
class LocalStructure:
    """The fiber of a network near its parameter, modulo scaling.

    Attributes
    ----------
    network : ReLUNetwork
    activity : Activity
        The regions that were used.
    upper : int
        No more than so many dimensions: the rank of the Jacobians over the regions is at least the parameters minus
        this.
    lower : int
        No less than so many: weights and rows that have no effect move in half-lines, all at once.
    constant_rank : bool or None
        Whether the rank here is that of a random parameter with these regions, so that it is the same nearby.
    """

    __repr__ = one_line

    network: ReLUNetwork
    activity: Activity
    upper: int
    lower: int
    constant_rank: bool | None

    @property
    def dimension(self) -> int | None:
        """Dimension of the fiber near the parameter, modulo scaling; None where only bounds are known."""
        if self.lower == self.upper:
            return self.upper
        return self.upper if self.activity.complete and self.activity.generic and self.constant_rank else None

    @property
    def is_rigid(self) -> bool:
        """Whether nothing near but rescalings computes the same function."""
        return self.upper == 0

    @cached_property
    def directions(self) -> Directions | None:
        """Directions that keep the function to first order, by name; None unless all regions are known. Made when first
        asked for.
        """
        return named_directions(self.activity) if self.activity.complete else None

    @property
    def found(self) -> int | None:
        """How many directions have a name, modulo scaling."""
        return None if self.directions is None else self.directions.rank - scaling_dimension(self.network)

    @property
    def explained(self) -> bool | None:
        """Whether the named directions are all there are."""
        return None if self.directions is None else self.found == self.upper

    @cached_property
    def grounds(self) -> tuple[Ground, ...]:
        """What is claimed, and on what each claim rests."""
        regions = f"{words.every(len(self.activity.masks), 'region') if self.activity.complete else words.count(len(self.activity.masks), 'region')}"
        chance = "modulo 2^31 - 1"
        made: list[Ground] = []
        if self.is_rigid:
            text = f"near this parameter only its rescalings compute the same function (rank of the Jacobians over {regions})"
            return (
                Ground(text, "computed"),
                Ground("other parameters, far from this one, are not excluded", "evidence"),
            )
        text = f"near this parameter the fiber has at most {words.count(self.upper, 'dimension')} modulo scaling (rank over {regions})"
        made.append(Ground(text, "computed"))
        if self.lower:
            made.append(
                Ground(
                    f"at least {self.lower}: weights between neurons that are never active at once have no effect and move freely",
                    "computed",
                )
            )
        if self.dimension is not None and self.dimension != self.lower:
            text = "it is a manifold of exactly so many dimensions: the rank is the same nearby, and the complex is generic, far out too"
            made.append(Ground(f"{text} (ranks {chance})", "computed"))
        made.append(Ground("components that do not hold this parameter are not excluded", "evidence"))
        return tuple(made)

    def named(self) -> Ground:
        """What the directions by name add up to; asks for them."""
        if self.directions is None:
            return Ground("directions have no names: not all regions are known", "evidence")
        names = (
            ", ".join(f"{n} {kind}" for kind, n in self.directions.counts_by_kind().items() if kind != "scaling")
            or "scalings"
        )
        if self.explained:
            return Ground(f"every direction is a move of two consecutive layers: {names} (modulo 2^31 - 1)", "computed")
        return Ground(
            f"{words.count(self.found, 'direction')} {'is a move' if self.found == 1 else 'are moves'} of two consecutive layers ({names}), the others have no name",
            "evidence",
        )

    def __str__(self) -> str:
        size = (
            f"dimension {self.dimension}" if self.dimension is not None else f"dimension {self.lower} to {self.upper}"
        )
        return "\n".join([f"{self.network!r}: {size} modulo scaling", *(f"  {g}" for g in self.grounds)])


def local_structure(
    net: ReLUNetwork,
    *,
    complex: Any = None,
    activity: Activity | None = None,
    max_parameters: int = 1500,
    budget: Budget | None = None,
    rng: RngLike = 0,
) -> LocalStructure:
    """Dimension of the fiber near a parameter, from both sides, and the directions in it by name.

    Parameters
    ----------
    net : ReLUNetwork
        Any architecture; floats are taken as the rationals they store.
    complex : PolyhedralComplex, optional
        The canonical complex on all of R^n.
    activity : Activity, optional
        Regions that are known; by default those of ``complex``, or of about 4000 points that are clear of every wall.
    max_parameters : int
        Networks with more are refused: the elimination is cubic.
    budget : Budget, optional

    Raises
    ------
    BudgetExceededError
        Too many parameters, or time ends.

    Notes
    -----
    Upper bound: a parameter nearby has the same pattern at an inner point of each region, so it has the same affine piece there;
    the rank modulo a prime never exceeds the rank. Equality: where the rank is that of a random parameter with these patterns it is constant
    nearby, the parameters with the same pieces are a manifold, and along a curve in it the value at a point changes only when a wall passes,
    which it does continuously; this needs that the complex stays the same nearby, far out too.

    Examples
    --------
    Two inputs, three neurons, one: neuron 0 of layer 2 is dead.

    >>> import polyfiber as pf
    >>> from polyfiber.fibers.image.local import local_structure
    >>> W = [[[1.0, 0.5], [-0.5, 1.0], [0.25, -1.0]], [[-1.0, -2.0, -0.5], [1.0, 1.0, -1.0]], [[1.0, 1.0]]]
    >>> net = pf.ReLUNetwork(W, [[0.5, 0.25, 0.125], [-1.0, 0.25], [0.0]])
    >>> found = local_structure(net, complex=pf.canonical_complex(net))
    >>> found.dimension, found.lower, found.directions.counts_by_kind()
    (4, 4, {'scaling': 4, 'dead': 5})
    """
    if net.n_parameters > max_parameters:
        raise BudgetExceededError(
            f"{words.count(net.n_parameters, 'parameter')}, more than {max_parameters}", needed=net.n_parameters
        )
    if activity is not None and activity.network != net:
        raise InputError("the patterns belong to another network")
    monitor = Monitor(budget)
    if activity is None and complex is not None:
        activity = activity_from_complex(net, complex)
    if activity is None:
        activity = sampled_activity(net, scattered_points(net, 4000, rng=rng))
    theta = [(exact.residues(W), exact.residues(b)) for W, b in zip(net.weights, net.biases)]
    masks = np.ascontiguousarray(activity.masks).view(np.int8)
    scalings = scaling_dimension(net)
    with monitor.watching():
        rank, _ = rank_over_regions(
            net.architecture, masks, _flat(theta), upper=net.n_parameters - scalings, rng=rng, monitor=monitor
        )
        upper = net.n_parameters - rank - scalings
        if not activity.complete or upper == 0:
            return LocalStructure(net, activity, upper, 0, True if upper == 0 else None)
        lower = idle_dimension(net, activity.idle())
        generator = np.random.default_rng(7)
        other = [
            (generator.integers(1, exact.PRIME, W.shape), generator.integers(1, exact.PRIME, b.shape)) for W, b in theta
        ]
        elsewhere, _ = rank_over_regions(net.architecture, masks, _flat(other), rng=rng, monitor=monitor)
    return LocalStructure(net, activity, upper, lower, elsewhere <= rank)


def _flat(theta: Any) -> Any:
    return np.concatenate([p.ravel() for pair in theta for p in pair])
