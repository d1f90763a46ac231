"""What two networks are made of, as matrices that whoever has both networks can multiply out again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from ..._typing import Array
from ...domain import Polyhedron
from ...numerics.floats import directed


@dataclass(frozen=True, eq=False)
class Claims:
    """What two networks are said to be made of.

    Attributes
    ----------
    heads : sequence of (·,) arrays
        Form of each head over the inputs, 1 and the functions before it, as many as its length says.
    column : sequence of int
        Place of a head's ``relu`` among the functions, from 0 in the order in which they stand there; -1 where it is
        none.
    neurons : pair of sequences
        For each network and hidden layer ``(head, side, scale)``; head -1 is a constant, its value the scale.
    events : sequence
        ``(layer, head, rule, why)``, see `relations.joint.Event`.
    facts : sequence of (row, sign)
        ``sign * row . (x, 1) >= 0`` on the domain.
    units : sequence of `relations.joint.Unit`
        Taken as they are: whoever asks has to check their proofs.
    """

    heads: Sequence[Array] = field(repr=False)
    column: Sequence[int] = field(repr=False)
    neurons: tuple[Sequence[tuple[Array, Array, Array]], Sequence[tuple[Array, Array, Array]]] = field(repr=False)
    events: Sequence[Any] = field(repr=False)
    facts: Sequence[Any] = field(default=(), repr=False)
    units: Sequence[Any] = field(default=(), repr=False)

    @classmethod
    def of(cls, joint: Any) -> Claims:
        """Those of a `Joint`."""
        first = joint.n + 1
        column = [c - first if c >= 0 else -1 for c in joint.column]
        neurons = tuple([(x.head, x.side, x.scale) for x in side.neurons] for side in joint.sides)
        return cls(joint.heads, column, neurons, joint.events, joint.facts, joint.units)  # type: ignore[arg-type]

    @property
    def functions(self) -> int:
        """How many there are, beside inputs and 1."""
        return sum(c >= 0 for c in self.column)

    def matrices(self) -> list[Array]:
        """For each network and hidden layer the matrix of side and scale: neuron i is ``relu(side_i scale_i head_i)``,
        heads in columns.
        """
        tables = []
        for head, side, scale in (layer for net in self.neurons for layer in net):
            table: Array = np.zeros((len(head), len(self.heads)), dtype=object)
            for i, h in enumerate(head.tolist()):
                if h >= 0:
                    table[i, h] = int(side[i]) * scale[i]
            tables.append(table)
        return tables


def input_ranges(domain: Polyhedron | None, *, exact: bool) -> tuple[list[Any], list[Any]] | None:
    """Least and largest value of each input by inequalities on it alone, None where there is none; floats are rounded
    outwards.

    Examples
    --------
    >>> import polyfiber as pf
    >>> from polyfiber.equivalence.relations.claims import input_ranges
    >>> input_ranges(pf.Polyhedron([[-1.0, 0.0], [0.0, -2.0], [1.0, 1.0]], [0.0, -1.0, 9.0]), exact=False)
    ([0.0, 0.5], [None, None])
    """
    if domain is None:
        return None
    low: list[Any] = [None] * domain.dimension
    high: list[Any] = [None] * domain.dimension
    for row, top in zip(domain.A, domain.b):
        used = np.flatnonzero(row != 0)
        if len(used) != 1:
            continue
        i, end = int(used[0]), Fraction(top) / Fraction(row[used[0]])
        if row[i] > 0 and (high[i] is None or end < high[i]):
            high[i] = end
        elif row[i] < 0 and (low[i] is None or end > low[i]):
            low[i] = end
    if not exact:
        low = [None if v is None else directed(v, up=False) for v in low]
        high = [None if v is None else directed(v, up=True) for v in high]
    return low, high
