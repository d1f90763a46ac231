"""How many rank strata there are, without enumerating them; points over finite fields."""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import Any

import numpy as np

from .. import words
from .._typing import Array
from ..budget import Budget, Monitor
from ..errors import InputError
from .ranks import check_rank, check_widths

_DEFAULT_MEMORY = 2 << 30


def count_strata(widths: Any, rank: int | None = None, *, budget: Budget | None = None) -> int:
    """Exact number of rank strata of the fiber over a matrix of the given rank.

    Parameters
    ----------
    widths : (d_0, …, d_L)
    rank : int, optional
        Rank of the product. None counts the strata of the whole parameter space, all ranks.
    budget : Budget, optional
        Seconds, and memory of the table; 2 GiB by default.

    Returns
    -------
    int
        Any size.

    Raises
    ------
    InputError
        Widths that are no widths, or a rank above the least width.
    BudgetExceededError
        The table would not fit.

    Notes
    -----
    The strata are the ways to write ``(d_0, …, d_L)`` as a sum of intervals with ``[0, L]`` used
    ``rank`` times: a coefficient of ``prod over I != [0, L] of 1 / (1 - x^I)`` (the Kostant
    partition function of type A without its highest root). The table has
    ``prod_{j >= 1} (d_j - rank + 1)`` entries and is swept once per interval, so the cost is
    about ``L^2 / 2`` times its size; two layers have a closed form. A layer wider than its two
    neighbours together only adds bars of length zero and is cut down first.

    Deep networks go layer by layer instead: how the bars alive at a layer can go on depends only on
    how many were born together, a partition of the width. That is linear in depth for fixed widths;
    whichever is cheaper is taken.

    Examples
    --------
    >>> import polyfiber as pf
    >>> pf.linear.count_strata((4, 6, 5), rank=1), pf.linear.count_strata((2, 2, 2))
    (17, 10)
    >>> pf.linear.count_strata((2,) * 40, rank=0)
    4364512004302539107987
    """
    d = check_widths(widths)
    rho = check_rank(d, rank)
    monitor = Monitor(Budget(memory=_DEFAULT_MEMORY) if budget is None else budget)
    shifted = d if rho is None else tuple(w - rho for w in d)
    if len(d) == 2:
        return min(shifted) + 1 if rho is None else 1
    if len(d) == 3 and rho is not None:
        left, middle, right = shifted
        low, high = sorted((min(left, middle), min(right, middle)))
        # pairs a <= low, b <= high with a + b <= middle
        full = max(0, min(low, middle - high) + 1)
        rest = low + 1 - full
        return full * (high + 1) + sum(middle - a + 1 for a in range(full, full + rest))
    shifted = _capped(shifted)
    if shifted[0] < shifted[-1]:
        shifted = shifted[::-1]  # transposition keeps the count; the first axis is the one not stored
    size = int(np.prod([m + 1 for m in shifted[1:]], dtype=object))
    if _layer_cost(shifted) < size * len(shifted):
        return _by_layers(shifted, rho is None, monitor)
    monitor.check_memory(24 * size, f"counting the strata of widths {words.widths(d)}")
    _, peak = _sweep(shifted, rho is None, np.dtype(np.float64))
    if peak < 2.0**62:
        return int(_sweep(shifted, rho is None, np.dtype(np.int64))[0])
    monitor.check_memory(80 * size, f"counting the strata of widths {words.widths(d)} with long integers")
    return int(_sweep(shifted, rho is None, np.dtype(object))[0])


def _layer_cost(m: tuple[int, ...]) -> int:
    """Steps of `_by_layers`, about: over partitions of each width, the product of (part + 1)."""
    widest = max(m)
    coefficients = [1] + [0] * widest
    for part in range(1, widest + 1):
        for total in range(part, widest + 1):
            coefficients[total] += (part + 1) * coefficients[total - part]
    return sum(coefficients[v] for v in m)


def _by_layers(m: tuple[int, ...], top: bool, monitor: Monitor) -> int:
    """The count, layer by layer; without ``top`` no bar runs from the first layer to the last."""

    @cache
    def survivors(parts: tuple[int, ...]) -> dict[tuple[int, ...], int]:
        """How many ways leave these parts of groups that can shrink each by itself; groups are told apart."""
        if not parts:
            return {(): 1}
        out: Counter[tuple[int, ...]] = Counter()
        for rest, ways in survivors(parts[1:]).items():
            for left in range(parts[0] + 1):
                out[tuple(sorted((*rest, left), reverse=True)) if left else rest] += ways
        return out

    # alive: (bars born at layer 0 that must not reach the end, sizes of the other groups) -> ways
    alive: dict[tuple[int, tuple[int, ...]], int] = {(0, (m[0],) if m[0] else ()) if top else (m[0], ()): 1}
    for j, width in enumerate(m[1:], 1):
        after: Counter[tuple[int, tuple[int, ...]]] = Counter()
        for (first, parts), ways in alive.items():
            monitor.check_time("counting strata")
            for rest, more in survivors(parts).items():
                room = width - sum(rest)
                for kept in range(min(first, room) + 1 if j < len(m) - 1 else min(1, room + 1)):
                    born = room - kept
                    key = (kept, tuple(sorted((*rest, born), reverse=True)) if born else rest)
                    after[key] += ways * more
        alive = dict(after)
    return sum(alive.values())


def _capped(m: tuple[int, ...]) -> tuple[int, ...]:
    """Cut every width to the sum of its neighbours' widths, until nothing changes."""
    while True:
        padded = (0, *m, 0)
        cut = tuple(min(v, a + b) for a, v, b in zip(padded, m, padded[2:]))
        if cut == m:
            return m
        m = cut


def _sweep(m: tuple[int, ...], top: bool, dtype: np.dtype[Any]) -> tuple[Any, float]:
    """(count, largest entry met): fill the layers from the left, one interval at a time."""
    last = len(m) - 1
    table: Array = np.ones(tuple(v + 1 for v in m[1:]), bool)
    for j in range(1, last + 1):  # bars born at layer 0: falling profiles
        shape = [1] * last
        shape[j - 1] = m[j] + 1
        own = np.arange(m[j] + 1).reshape(shape)
        if j == 1:
            table &= own <= m[0]
        else:
            shape[j - 1], shape[j - 2] = 1, m[j - 1] + 1
            table &= own <= np.arange(m[j - 1] + 1).reshape(shape)
        if j == last and not top:
            table &= own == 0
    table = table.astype(dtype)
    peak = 1.0
    for s in range(1, last + 1):
        for k in range(s, last + 1):
            inner = k - s
            to: tuple[Any, ...] = (slice(1, None),) * inner
            fro: tuple[Any, ...] = (slice(None, -1),) * inner
            for v in range(1, m[s] + 1):
                index: Any = (v, *to)
                before: Any = (v - 1, *fro)
                table[index] += table[before]
        if dtype.kind == "f":
            peak = max(peak, float(table.max()))
        table = table[m[s]]
    return (table if np.ndim(table) == 0 else table[()]), peak


def gl_order(n: int, q: int) -> int:
    """Number of invertible n x n matrices over the field with q elements."""
    order = 1
    for i in range(n):
        order *= q**n - q**i
    return order


def is_prime_power(q: int) -> bool:
    """Whether a field with q elements exists."""
    if q < 2:
        return False
    p = next((p for p in range(2, int(q**0.5) + 1) if q % p == 0), q)
    while q % p == 0:
        q //= p
    return q == 1


def orbit_points(widths: tuple[int, ...], omega: Any, q: int) -> int:
    """Number of weight vectors over F_q with the given multiplicities.

    ``prod |GL(d_j)| / |Aut|`` with ``|Aut| = q^(dim End - sum omega^2) prod |GL(omega_b)|``: the
    stabiliser is its unipotent radical times the general linear groups of equal bars.

    Raises
    ------
    InputError
        If q is not a prime power.
    """
    if not is_prime_power(q):
        raise InputError(f"there is no field with {q} elements; expected a prime power")
    bars = [(s, t, int(omega[t][s])) for t in range(len(widths)) for s in range(t + 1) if omega[t][s]]
    hom = sum(x * y for i, k, x in bars for s, t, y in bars if s <= i <= t <= k)
    squares = sum(x * x for _, _, x in bars)
    stabiliser = q ** (hom - squares)
    for _, _, x in bars:
        stabiliser *= gl_order(x, q)
    group = 1
    for w in widths:
        group *= gl_order(w, q)
    points, left = divmod(group, stabiliser)
    assert left == 0, "the order of a stabiliser divides the order of the group"
    return points


def orbit_class(widths: tuple[int, ...], omega: Any) -> tuple[int, ...]:
    """Coefficients in q, lowest first, of `orbit_points`: they hold for every prime power at once.

    ``GL(n)`` has ``q^(n(n-1)/2) prod_{i<=n} (q^i - 1)`` elements, so all factors but a power of q are of the form
    ``q^i - 1``.

    Examples
    --------
    Non-zero numbers, q - 1 of them:

    >>> orbit_class((1, 1), [[0, 0], [1, 0]])
    (-1, 1)
    """
    bars = [(s, t, int(omega[t][s])) for t in range(len(widths)) for s in range(t + 1) if omega[t][s]]
    hom = sum(x * y for i, k, x in bars for s, t, y in bars if s <= i <= t <= k)
    power = sum(w * (w - 1) // 2 for w in widths) - hom + sum(x * x - x * (x - 1) // 2 for _, _, x in bars)
    factors = Counter(i for w in widths for i in range(1, w + 1))
    factors.subtract(i for _, _, x in bars for i in range(1, x + 1))
    made = [1]
    for i, times in factors.items():
        for _ in range(times):
            made = [a - b for a, b in zip([0] * i + made, made + [0] * i)]
    for i, times in factors.items():
        for _ in range(-times):  # from the top: q^i - 1 is monic
            quotient = [0] * (len(made) - i)
            for k in range(len(quotient) - 1, -1, -1):
                quotient[k] = made[k + i] + (quotient[k + i] if k + i < len(quotient) else 0)
            made = quotient
    return (0,) * power + tuple(made)
