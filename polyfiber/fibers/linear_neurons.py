"""The bridge to linear networks: linear neurons of a component are a two-layer linear fiber."""

from __future__ import annotations

import functools

from ..errors import InputError


@functools.lru_cache(maxsize=4096)
def two_layer_strata(n: int, hidden: int, m: int, rank: int) -> tuple[tuple[int, int, int], ...]:
    """Rank strata of ``{(C, U): C U = Lambda}`` for ``rank Lambda = rank``.

    Parameters
    ----------
    n, hidden, m : int
        ``U`` is (hidden, n), ``C`` is (m, hidden).
    rank : int

    Returns
    -------
    tuple of (rank of C, rank of U, dimension)

    Examples
    --------
    >>> from polyfiber.fibers.linear_neurons import two_layer_strata
    >>> two_layer_strata(3, 2, 2, 2)
    ((2, 2, 4),)
    """
    from ..linear import stratify

    if rank > min(n, hidden, m):
        raise InputError(f"no {m}x{hidden} times {hidden}x{n} matrices have a product of rank {rank}")
    strata = stratify((n, hidden, m), rank=rank)
    of_u, of_c = strata.columns.index((1, 0)), strata.columns.index((2, 1))
    return tuple((int(r[of_c]), int(r[of_u]), int(d)) for r, d in zip(strata.ranks, strata.dim))
