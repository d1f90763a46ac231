"""Strata of two linear layers against ranks and dimensions by hand."""

from __future__ import annotations

import pytest

from polyfiber.errors import InputError
from polyfiber.fibers.linear_neurons import two_layer_strata


@pytest.mark.parametrize(("n", "hidden", "m"), [(3, 2, 2), (2, 3, 2), (2, 2, 2), (1, 4, 3)])
def test_ranks_and_dimensions(n: int, hidden: int, m: int) -> None:
    """Pairs with ranks c, u and a product of rank r: the image of U meets the kernel of C in dimension u - r."""
    for rank in range(min(n, hidden, m) + 1):
        found = {(c, u): d for c, u, d in two_layer_strata(n, hidden, m, rank)}
        for c in range(min(m, hidden) + 1):
            for u in range(min(n, hidden) + 1):
                meet, kernel = u - rank, hidden - c
                exists = rank <= min(c, u) and meet <= kernel
                assert ((c, u) in found) == exists
                if exists:  # C; a subspace in that position; U onto it; less the products of this rank
                    position = meet * (kernel - meet) + rank * (hidden - u)
                    whole = c * (m + hidden - c) + position + u * n
                    assert found[c, u] == whole - rank * (m + n - rank)


def test_a_full_rank_product_fixes_all_but_a_change_of_basis() -> None:
    assert two_layer_strata(2, 2, 2, 2) == ((2, 2, 4),)
    with pytest.raises(InputError, match="have a product of rank 3"):
        two_layer_strata(3, 2, 3, 3)
