"""The networks of a spec, by number: each is made from its own seed, alone or in any order."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any, cast

from ..budget import Budget, Monitor
from ..errors import BudgetExceededError, MissingDependencyError, PolyfiberError
from ..network.model import ReLUNetwork
from ..network.piecewise import require_chain
from ..words import one_line
from .sources import KINDS, Made, Source
from .sources.inputs import ChangedError
from .spec import Spec
from .storage.networks import n_numbers
from .tables.base import OUT_OF_TIME, Item

BASES = 4
"""Networks that others are made from, kept while these are made in order."""


class Networks:
    """The networks of a spec.

    Examples
    --------
    >>> from polyfiber.datasets import Networks, Spec
    >>> entry = {"kind": "random", "architecture": [2, 4, 1], "count": 5}
    >>> nets = Networks(Spec.of({"name": "tiny", "seed": 1, "networks": [entry]}))
    >>> nets.item(3).network.architecture, nets.item(3).network == nets.item(3).network
    ((2, 4, 1), True)
    """

    __repr__ = one_line

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self._base = functools.lru_cache(maxsize=BASES)(self._network)

    def __reduce__(self) -> tuple[Any, ...]:
        return Networks, (self.spec,)

    def _network(self, position: int, index: int) -> ReLUNetwork:
        return require_chain(self._make(self.spec.sources[position], index).network, "making networks from others")

    def _make(self, source: Source, index: int) -> Made:
        def base_of(i: int) -> ReLUNetwork:
            assert source.base is not None
            return self._base(source.base.position, i)

        rng = source.generator(self.spec.seed, index)
        return KINDS[source.kind].make(source, index, rng, base_of)

    def item(self, network: int) -> Item:
        """A network with its seed and provenance.

        A network that cannot be made (training left the finite numbers, a fiber is not decided) gives
        an item whose ``failed`` says why; a missing package is an error.
        """
        source = self.spec.source_of(network)
        index = network - source.first
        common: dict[str, Any] = {
            "id": network,
            "source": source.name,
            "kind": source.kind,
            "index": index,
            "entropy": self.spec.seed,
            "key": (source.position, index),
            "memory": self.spec.memory,
            "seconds": self.spec.seconds,
        }
        try:
            with Monitor(Budget(seconds=self.spec.seconds)).watching():
                made = self._make(source, index)
            source.check_room(n_numbers(made.network))
            domain = source.box(made.network.architecture[0])
        except (MissingDependencyError, ChangedError):
            raise
        except PolyfiberError as error:
            return Item(network=cast(ReLUNetwork, None), failed=reason_of(error), **common)
        return Item(
            network=made.network,
            provenance=made.provenance,
            origin=made.origin,
            origin_id=-1 if source.base is None or made.origin_index < 0 else source.base.first + made.origin_index,
            linear=made.linear,
            domain=domain,
            **common,
        )

    def items(self, first: int, stop: int) -> Iterator[Item]:
        """Items of a range of networks."""
        return (self.item(i) for i in range(first, stop))


def reason_of(error: BaseException) -> str:
    """One line for the column ``reasons``; the same on every machine, so no time that was measured."""
    if isinstance(error, BudgetExceededError) and error.facts.get("seconds") is not None:
        return OUT_OF_TIME
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
