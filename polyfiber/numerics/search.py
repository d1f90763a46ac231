"""Best-first search: what is open, the best bound first. The one queue of it outside compiled code."""

from __future__ import annotations

import heapq
import itertools
from typing import Generic, TypeVar

Item = TypeVar("Item")


class BestFirst(Generic[Item]):
    """Open nodes of a search for a maximum; those with equal bounds in the order they came.

    Examples
    --------
    >>> open_nodes = BestFirst[str]()
    >>> for bound, name in ((0.5, "b"), (2.0, "a"), (0.5, "c")):
    ...     open_nodes.push(bound, name)
    >>> open_nodes.bound, open_nodes.pop(), open_nodes.pop(), len(open_nodes)
    (2.0, (2.0, 'a'), (0.5, 'b'), 1)
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Item]] = []
        self._numbers = itertools.count()

    def __len__(self) -> int:
        return len(self._heap)

    @property
    def bound(self) -> float:
        """The largest bound that is open; minus infinity where nothing is."""
        return -self._heap[0][0] if self._heap else float("-inf")

    def push(self, bound: float, item: Item) -> None:
        """Open a node."""
        heapq.heappush(self._heap, (-bound, next(self._numbers), item))

    def pop(self) -> tuple[float, Item]:
        """Bound and node of the best one, which is closed."""
        bound, _, item = heapq.heappop(self._heap)
        return -bound, item


__all__ = ["BestFirst"]
