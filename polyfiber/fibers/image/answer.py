"""The answer of the classifier where no theorem applies: what is proved for this network, and what was looked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import words
from ..._typing import BoolArray
from ...budget import Budget, Monitor
from ...errors import GenericityError, IncompleteError, InputError
from ...network.model import ReLUNetwork
from ...words import one_line
from .free import FreePart, free_dimension, idle_by_signs, idle_on_regions
from .hull import SecondLayer, second_layer
from .local import Ground, LocalStructure, local_structure


@dataclass(frozen=True)
class Beyond:
    """What is known where no theorem applies.

    Attributes
    ----------
    kind : 'rigid', 'flexible' or 'undecided'
        Nothing near but rescalings; other parameters near; neither is proved.
    reason : str
    local : LocalStructure or None
    second : SecondLayer or None
        Where the complex of the network is out of reach and that of layer 1 is not.
    part : FreePart or None
    grounds : tuple of Ground
    notes : tuple of str
    """

    __repr__ = one_line

    kind: str
    reason: str
    local: LocalStructure | None
    second: SecondLayer | None
    part: FreePart | None
    grounds: tuple[Ground, ...]
    notes: tuple[str, ...]

    @property
    def dimension(self) -> int | None:
        """Dimension near the parameter modulo scaling; None where only bounds are known."""
        low, high = self.bounds
        return low if low == high else None

    @property
    def bounds(self) -> tuple[int, int | None]:
        """Dimension near the parameter modulo scaling: at least, at most (None: not bounded)."""
        return _bounds(self.part.dimension if self.part is not None else 0, self.local)


def _bounds(low: int, local: LocalStructure | None) -> tuple[int, int | None]:
    if local is None:
        return low, None
    return (max(low, local.lower) if local.dimension is None else local.dimension), local.upper


def beyond_theorem(
    net: ReLUNetwork, *, complex: Any = None, max_parameters: int = 1500, budget: Budget | None = None
) -> Beyond:
    """Judge a network of any architecture on the images of its layers.

    Parameters
    ----------
    net : ReLUNetwork
    complex : PolyhedralComplex, optional
        The canonical complex on all of R^n. Without it the cells of layer 1 are built for networks with two hidden
        layers, and regions are sampled, which bounds the dimension from above.
    max_parameters : int
        Up to so many the dimension is computed.
    budget : Budget, optional

    Examples
    --------
    >>> import polyfiber as pf
    >>> from polyfiber.fibers.image.answer import beyond_theorem
    >>> net = pf.ReLUNetwork.random((2, 4, 3, 1), rng=1)
    >>> found = beyond_theorem(net, complex=pf.canonical_complex(net))
    >>> found.kind, found.dimension
    ('flexible', 5)
    """
    monitor = Monitor(budget)
    notes: list[str] = []
    local: LocalStructure | None = None
    second: SecondLayer | None = None
    idle: list[BoolArray] | None = None
    try:
        if complex is not None:
            idle = idle_on_regions(net, complex)
        elif len(net.weights) == 3:
            found = second_layer(net, budget=monitor.rest(0.5))
            if isinstance(found, str):
                notes.append(found)
            else:
                second, idle = found, _idle(net, found)
    except (IncompleteError, GenericityError, InputError) as error:
        notes.append(f"the image of the first layers was not looked at: {error}")
    try:
        local = local_structure(net, complex=complex, max_parameters=max_parameters, budget=monitor.rest())
    except (IncompleteError, InputError) as error:
        notes.append(f"the dimension was not computed: {error}")
    signs = idle_by_signs(net)
    idle = signs if idle is None else [f | g for f, g in zip(idle, signs)]
    part = FreePart(net, tuple(idle), 0)
    low = free_dimension(part)
    part = FreePart(net, tuple(idle), local.dimension if local is not None and local.dimension is not None else low)
    grounds = () if local is None else local.grounds
    if local is not None and local.is_rigid:
        reason = f"locally identifiable: {grounds[0].statement}"
        return Beyond("rigid", reason, local, second, part, grounds, tuple(notes))
    if second is not None and low and (local is None or not local.lower):
        text = f"at least {words.count(low, 'dimension')} modulo scaling: entries without effect and copies, from the {words.count(second.n_vertices, 'vertex', 'vertices')} and "
        grounds = (Ground(f"{text}{words.count(second.n_rays, 'unbounded edge')} of layer 1", "computed"), *grounds)
    least, most = _bounds(low, local)
    if low or least:
        size = f"at least {least}" if most is None else f"{least}" if least == most else f"{least} to {most}"
        reason = (
            f"other parameters near this one compute the same function: {words.count(size, 'dimension')} modulo scaling"
        )
        return Beyond("flexible", reason, local, second, part, grounds, tuple(notes))
    upper = (
        "" if local is None else f"at most {words.count(local.upper, 'dimension')} near this parameter modulo scaling"
    )
    return Beyond("undecided", upper, local, second, part, grounds, tuple(notes))


def _idle(net: ReLUNetwork, found: SecondLayer) -> list[BoolArray]:
    """Entries without effect from what layer 2 does on the image of layer 1."""
    n0, n1, n2, m = net.architecture
    rows = np.concatenate([found.apart, np.zeros((n2, 1), dtype=bool)], axis=1)
    rows[found.dead] = True
    last = np.zeros((m, n2 + 1), dtype=bool)
    last[:, :-1] = found.dead
    return [np.zeros((n1, n0 + 1), dtype=bool), rows, last]
