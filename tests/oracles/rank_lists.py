"""Slow oracle for rank strata: multiplicities by plain recursion, ranks and dimensions by definition."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def intervals(n_layers: int) -> list[tuple[int, int]]:
    return [(i, k) for i in range(n_layers + 1) for k in range(i, n_layers + 1)]


def multiplicities(widths: Sequence[int], rank: int | None = None) -> Iterator[dict[tuple[int, int], int]]:
    """All multiplicities of intervals whose sums over every layer are the widths."""
    bars = intervals(len(widths) - 1)
    last = len(widths) - 1

    def go(at: int, left: tuple[int, ...], chosen: tuple[int, ...]) -> Iterator[dict[tuple[int, int], int]]:
        if at == len(bars):
            if not any(left):
                found = dict(zip(bars, chosen))
                if rank is None or found[0, last] == rank:
                    yield found
            return
        i, k = bars[at]
        for m in range(min(left[i : k + 1]) + 1):
            rest = tuple(v - m if i <= j <= k else v for j, v in enumerate(left))
            yield from go(at + 1, rest, (*chosen, m))

    yield from go(0, tuple(widths), ())


def ranks_of(omega: dict[tuple[int, int], int], n_layers: int) -> dict[tuple[int, int], int]:
    """rank of W_k ... W_{i+1} for all i <= k, keyed (i, k)."""
    return {(i, k): sum(m for (s, t), m in omega.items() if s <= i and k <= t) for i, k in intervals(n_layers)}


def ext(b: tuple[int, int], a: tuple[int, int]) -> bool:
    return b[0] < a[0] <= b[1] + 1 <= a[1]


def hom(b: tuple[int, int], a: tuple[int, int]) -> bool:
    return a[0] <= b[0] <= a[1] <= b[1]


def dimension(omega: dict[tuple[int, int], int], widths: Sequence[int], *, fiber: bool) -> int:
    """Dimension of the stratum: of the fiber over one W, or of the whole orbit."""
    end = sum(x * y for b, x in omega.items() for a, y in omega.items() if hom(b, a))
    orbit = sum(d * d for d in widths) - end
    rho = omega[0, len(widths) - 1]
    return orbit - rho * (widths[0] + widths[-1] - rho) if fiber else orbit
