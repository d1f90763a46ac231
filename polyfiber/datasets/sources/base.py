"""What an entry ``[[networks]]`` of a spec is, and how its networks are made, each from its own seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from ...domain import Box, Polyhedron
from ...errors import BudgetExceededError, InputError
from ...network.model import ReLUNetwork
from ...network.piecewise import PiecewiseLinearNetwork
from ...words import one_line
from ..fields import Check
from ..tables.base import Option
from .inputs import Inputs

ABSENT: Any = object()
"""Default of an option that must be given."""

COPIES = 8
"""Copies of the parameters of a network while it is trained, or made and written."""


def parameters_of(widths: Sequence[int]) -> int:
    """How many weights and biases a chain of these widths has."""
    return sum((a + 1) * b for a, b in zip(widths[:-1], widths[1:]))


@dataclass(frozen=True)
class Source:
    """One checked entry ``[[networks]]``.

    Attributes
    ----------
    name, kind : str
    position : int
        Which entry of the spec: the first word of the seed key of its networks.
    first, count : int
        Id of its first network, and how many there are.
    values : mapping
        Options of the kind, checked, defaults filled in.
    domain : tuple of two lists, or None
        Bounds of the box on which complexes are taken; None for all of Rⁿ.
    inputs : Inputs
        Where the files are that it names.
    base : Source, optional
        The entry that its networks are derived from.
    split : int
        0: complexes are made whole. Otherwise each is enumerated in at least so many blocks, one a partition.
    memory : int
        Bytes that a worker may use for a network.
    """

    __repr__ = one_line

    name: str
    kind: str
    position: int
    first: int
    count: int
    values: Mapping[str, Any]
    domain: tuple[list[float] | float, list[float] | float] | None
    inputs: Inputs
    base: Source | None = None
    split: int = 0
    memory: int = 1 << 30

    def check_room(self, parameters: int) -> None:
        """Raise `BudgetExceededError` where so many parameters, `COPIES` times, are more than a worker has."""
        needed = 8 * COPIES * parameters
        if needed > self.memory:
            raise BudgetExceededError(
                f"a network of {parameters} parameters needs about {needed / 1e6:.4g} MB; a worker has {self.memory / 1e6:.4g} MB",
                needed=needed,
                memory=self.memory,
            )

    def box(self, dimension: int) -> Polyhedron | None:
        """The domain for networks of so many inputs."""
        return None if self.domain is None else Box(self.domain[0], self.domain[1], dimension=dimension)

    def generator(self, entropy: int, index: int) -> np.random.Generator:
        """Random numbers of one network, whatever the partition or the worker."""
        sequence = np.random.SeedSequence(entropy, spawn_key=(self.position, index))
        return np.random.Generator(np.random.PCG64(sequence))


@dataclass(frozen=True)
class Made:
    """A network as its source made it."""

    network: ReLUNetwork | PiecewiseLinearNetwork
    provenance: Mapping[str, Any] = field(default_factory=dict)
    origin: ReLUNetwork | None = None
    origin_index: int = -1
    linear: bool = False


BaseOf: TypeAlias = Callable[[int], ReLUNetwork]
"""Network of the base entry by its index there."""


@dataclass(frozen=True)
class Kind:
    """A kind of entry.

    Parameters
    ----------
    name : str
    options : tuple of Option
        Keys of the entry besides ``name``, ``kind`` and ``domain``. Default `ABSENT`: required.
    make : callable
        ``make(source, index, rng, base_of)`` returns `Made`.
    describe : callable
        ``describe(values)``: sentences for the dataset card that state the distribution.
    count : callable
        ``count(values, base)``: how many networks; ``base`` is the entry that ``of`` names.
    resolve : callable, optional
        ``resolve(values, inputs, key)``: what the outside world adds, say the files that a pattern
        matches and their checksums; done once, when the spec is read.
    found : mapping of str to Check
        The values that ``resolve`` adds; a plan holds them, and they are checked when it is read.
    files : callable
        ``files(values)``: name and checksum of every file that the networks are made from.
    derived : bool
        Whether it has the key ``of``.
    """

    name: str
    options: tuple[Option, ...]
    make: Callable[[Source, int, np.random.Generator, BaseOf], Made]
    describe: Callable[[Mapping[str, Any]], str]
    count: Callable[[Mapping[str, Any], Source | None], int] = lambda values, base: int(values["count"])
    resolve: Callable[[dict[str, Any], Inputs, str], dict[str, Any]] | None = None
    found: Mapping[str, Check] = field(default_factory=dict)
    files: Callable[[Mapping[str, Any]], list[tuple[str, str]]] = lambda values: []
    derived: bool = False

    def check(self, given: Mapping[str, Any], where: str) -> dict[str, Any]:
        """Checked options of an entry; ``where`` is the prefix of keys in errors."""
        values: dict[str, Any] = {}
        for option in self.options:
            if option.name in given:
                values[option.name] = option.check(given[option.name], where + option.name)
            elif option.default is ABSENT:
                raise InputError(f"{where}{option.name}: missing; expected {option.doc}", key=where + option.name)
            else:
                values[option.name] = option.default
        return values
