"""What a verdict may rest on. A YES is made from one of these and a NO from a `Witness`; there is no other way to make
one.

The rules, for whoever changes this next:

1. A YES rests on the whole domain. Each ground below refuses to exist where something was left out, or where its bound exceeds what was asked.
2. A NO carries an input whose gap, computed exactly or beyond all rounding, exceeds what the tolerance explains there (`witness.decisive`). What the
   tolerance explains is defined once, in `allowance`: a YES shows that no gap exceeds it, so none of both can hold
   beside the other.
3. Different forms prove no NO: equal functions can have different forms. Equal forms prove a YES.
4. Everything else is UNDECIDED, with what was proved.

Grey zone: on cells a YES asks for a thousandth of the tolerance, relative to what the terms of an output add up to
(beside rounding, in the same measure); a NO asks for more than the tolerance explains. What lies between may end as
UNDECIDED.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Any, Protocol

from .. import words
from ..errors import NumericalError


class Ground(Protocol):
    """What a YES rests on."""

    @property
    def method(self) -> str:
        """By which way."""
        ...

    @property
    def bound(self) -> float:
        """What was measured."""
        ...

    @property
    def reason(self) -> str:
        """In words."""
        ...

    @property
    def certificate(self) -> dict[str, Any]:
        """Summary of what was checked."""
        ...


def _ask(holds: bool, what: Any) -> None:
    if not holds:
        raise NumericalError(f"{what!r} proves no equality; please report this")


@dataclass(frozen=True)
class SameParameters:
    """The stored numbers are the same."""

    method: str = "parameters"
    bound: float = 0.0
    reason: str = "identical parameters"

    @property
    def certificate(self) -> dict[str, Any]:
        """Nothing was checked but the numbers themselves."""
        return {}


@dataclass(frozen=True)
class EqualForms:
    """Forms that are equal functions where they are equal: to ``distance``, with ``allowed`` of it."""

    distance: float
    allowed: float
    method: str = "canonical form"
    text: str = "canonical forms agree"

    def __post_init__(self) -> None:
        _ask(0.0 <= self.distance <= self.allowed < 1.0, self)

    @property
    def bound(self) -> float:
        """Relative distance of the forms."""
        return self.distance

    @property
    def reason(self) -> str:
        """In words."""
        return f"{self.text} to {self.distance:.2g}" if self.distance else self.text

    @property
    def certificate(self) -> dict[str, Any]:
        """The distance and what was allowed."""
        return {"form distance": self.distance, "allowed": self.allowed}


@dataclass(frozen=True)
class SameFunctions:
    """Both networks written over one list of functions, with outputs that agree; what was left out is bounded by
    ``constant + slope |x|``.
    """

    functions: int
    distance: float
    allowed: float
    constant: float
    slope: float
    method: str = "relations"

    def __post_init__(self) -> None:
        _ask(
            0.0 <= self.distance <= self.allowed < 1.0 and 0.0 <= self.constant < inf and 0.0 <= self.slope < inf, self
        )

    @property
    def bound(self) -> float:
        """Relative distance of what counts as one."""
        return self.distance

    @property
    def reason(self) -> str:
        """In words."""
        how = f"to {self.distance:.2g}" if self.allowed else "exactly"
        return f"written over {words.count(self.functions, 'function')} that both share, layer by layer, the outputs agree {how}"

    @property
    def certificate(self) -> dict[str, Any]:
        """The distance, what was allowed, and the bound of the difference at every input."""
        return {
            "functions": self.functions, "distance": self.distance, "allowed": self.allowed,
            "everywhere": {"constant": self.constant, "slope": self.slope},
        }  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class SplitCells(SameFunctions):
    """The same on each of some cells that were cut along the difference and cover the domain; ``waiting`` and
    ``suspects`` are left.
    """

    cells: int
    waiting: int
    suspects: int
    empty: int
    units: int = 0
    method: str = "splitting"

    def __post_init__(self) -> None:
        super().__post_init__()
        _ask(self.cells > 0 and self.waiting == self.suspects == 0, self)

    @property
    def reason(self) -> str:
        """In words."""
        how = f"to {self.distance:.2g}" if self.allowed else "exactly"
        first = (
            f"with {words.count(self.units, 'neuron')} shown to be dead or linear, each by itself, "
            if self.units
            else ""
        )
        return (
            f"{first}on {words.every(self.cells, 'cell', each='each of')}, cut only along what differs, both are equal over shared functions, "
            f"{how}"
        )

    @property
    def certificate(self) -> dict[str, Any]:
        """That of shared functions, and counts of cells."""
        return {"cells": self.cells, "without interior": self.empty, "units": self.units, **super().certificate}


@dataclass(frozen=True)
class ComparedCells:
    """Cells that cover the domain, each with a bound within its limit; ``ratio`` is the largest bound relative to its
    limit.
    """

    cells: int
    waiting: int
    lost: int
    above: int
    ratio: float
    bound: float
    method: str = "regions"

    def __post_init__(self) -> None:
        _ask(self.cells > 0 and self.waiting == self.lost == self.above == 0 and self.ratio <= 1.0, self)

    @property
    def reason(self) -> str:
        """In words."""
        return f"the affine pieces agree on {words.every(self.cells, 'cell')} of both networks"

    @property
    def certificate(self) -> dict[str, Any]:
        """Counts of cells."""
        return {"regions": self.cells, "not compared": 0, "bound relative to the limit": self.ratio}


@dataclass(frozen=True)
class ExactCells:
    """Regions of both networks side by side on which the rational difference vanishes; ``remaining`` blocks are
    left.
    """

    regions: int
    blocks: int
    remaining: int
    method: str = "regions"
    bound: float = 0.0

    def __post_init__(self) -> None:
        _ask(self.regions > 0 and self.remaining == 0, self)

    @property
    def reason(self) -> str:
        """In words."""
        return f"the exact difference vanishes on {words.every(self.regions, 'region')} of both side by side"

    @property
    def certificate(self) -> dict[str, Any]:
        """Counts of regions."""
        return {"regions": self.regions, "blocks": self.blocks}


@dataclass(frozen=True)
class Bounded:
    """A proved bound of ``|f - g|`` on a bounded domain that is within the limit."""

    upper: float
    limit: float
    method: str
    facts: Any = None
    text: str = "|f - g| is at most"

    def __post_init__(self) -> None:
        _ask(0.0 <= self.upper <= self.limit < inf, self)

    @property
    def bound(self) -> float:
        """The bound."""
        return self.upper

    @property
    def reason(self) -> str:
        """In words."""
        return f"{self.text} {self.upper:.6g}"

    @property
    def certificate(self) -> dict[str, Any]:
        """What the bound rests on."""
        return {"upper bound": self.upper, "limit": self.limit, **(self.facts or {})}


@dataclass(frozen=True)
class ProvedBoxes:
    """Boxes that cover the domain, on each of which the difference is within its allowance; ``open`` are left."""

    boxes: int
    open: int
    bound: float
    reason: str
    facts: dict[str, Any]
    method: str = "branch and bound"

    def __post_init__(self) -> None:
        _ask(self.boxes > 0 and self.open == 0, self)

    @property
    def certificate(self) -> dict[str, Any]:
        """What the search counted."""
        return self.facts
