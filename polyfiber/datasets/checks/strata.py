"""All rank strata of a fiber, their covers and numbers, from multiplicities of bars alone.

Nothing here uses `polyfiber.linear`: bars are distributed over the layers by recursion, and covers are the smallest of
the rank tables that moving two bars leads to. That every cover is such a move is the theorem of Abeasis, Del Fra and
Bongartz.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import TypeAlias

from .faces import Unclear

MOST_STRATA = 20_000
"""Strata up to which all are listed."""

Label: TypeAlias = tuple[int, ...]
"""Ranks of ``W_k … W_{i+1}`` for (k, i) = (1, 0), (2, 0), (2, 1), (3, 0), …"""
Bars: TypeAlias = dict[tuple[int, int], int]


def _places(depth: int) -> list[tuple[int, int]]:
    return [(k, i) for k in range(1, depth + 1) for i in range(k)]


def label_of(bars: Bars, depth: int) -> Label:
    """Ranks: so many bars live from layer i to layer k."""
    return tuple(sum(n for (a, b), n in bars.items() if a <= i and b >= k) for k, i in _places(depth))


def bars_of(label: Sequence[int], widths: Sequence[int]) -> Bars | None:
    """How many bars are born at i and end at k; None where no weights have these ranks."""
    depth = len(widths) - 1
    rank = dict(zip(_places(depth), label)) | {(j, j): w for j, w in enumerate(widths)}

    def r(k: int, i: int) -> int:
        return rank[k, i] if 0 <= i <= k <= depth else 0

    found = {
        (i, k): r(k, i) - r(k + 1, i) - r(k, i - 1) + r(k + 1, i - 1) for k in range(depth + 1) for i in range(k + 1)
    }
    return None if min(found.values()) < 0 else {bar: n for bar, n in found.items() if n}


def dimension_of(bars: Bars, widths: Sequence[int]) -> int:
    """Parameters, less the extensions between bars, less the dimension of the matrices of the product's rank."""
    rank = bars.get((0, len(widths) - 1), 0)
    pairs = sum(m * n for (i, k), m in bars.items() for (s, t), n in bars.items() if i < s <= k + 1 <= t)
    return sum(a * b for a, b in zip(widths[:-1], widths[1:])) - pairs - rank * (widths[0] + widths[-1] - rank)


def all_labels(widths: Sequence[int], rank: int) -> list[Label]:
    """Every stratum over products of this rank: ascending by dimension, then by ranks.

    Raises
    ------
    Unclear
        More than `MOST_STRATA`.
    """
    depth = len(widths) - 1
    found: list[Bars] = []

    def begin(layer: int, ended: Bars, alive: list[int]) -> None:
        """``alive[i]``: bars that were born at layer i and reach this one."""
        if len(found) > MOST_STRATA:
            raise Unclear(f"more than {MOST_STRATA} strata")
        born = widths[layer] - sum(alive)
        if born < 0:
            return
        here = [*alive, born]
        if layer == depth:
            if here[0] == rank:
                found.append({**ended, **{(i, depth): n for i, n in enumerate(here) if n}})
            return
        for kept in product(*(range(n + 1) for n in here)):
            if kept[0] >= rank and sum(kept) <= widths[layer + 1]:
                ends = {(i, layer): n - m for i, (n, m) in enumerate(zip(here, kept)) if n > m}
                begin(layer + 1, {**ended, **ends}, list(kept))

    begin(0, {}, [])
    return [label for _, label in sorted((dimension_of(bars, widths), label_of(bars, depth)) for bars in found)]


def covers(label: Sequence[int], widths: Sequence[int]) -> dict[tuple[int, int, int, int], Label]:
    """Moves i, k, s, t to the strata that cover this one, with the same rank of the product; empty where it has no
    weights.
    """
    depth = len(widths) - 1
    bars = bars_of(label, widths) or {}
    moves: dict[tuple[int, int, int, int], Label] = {}
    for (i, k), (s, t) in product(bars, bars):
        if i < s <= k + 1 <= t and not (i == 0 and t == depth):  # else the product gains a rank
            raised = {(y, x) for x in range(i, s) for y in range(k + 1, t + 1)}
            moves[i, k, s, t] = tuple(r + (place in raised) for r, place in zip(label, _places(depth)))
    return {m: upper for m, upper in moves.items() if not any(_below(v, upper) for v in moves.values())}


def _below(a: Label, b: Label) -> bool:
    return a != b and all(x <= y for x, y in zip(a, b))


def in_fours(moves: Sequence[int]) -> Iterator[tuple[int, int, int, int]]:
    """Moves as a row of the table has them, one after another."""
    padded = [*moves, *[-1] * (-len(moves) % 4)]
    return zip(*(padded[j::4] for j in range(4)))


__all__ = ["MOST_STRATA", "all_labels", "bars_of", "covers", "dimension_of", "in_fours", "label_of"]
