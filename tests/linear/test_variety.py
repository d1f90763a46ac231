"""Components and smoothness of fibers against the differential of the product map at random points."""

from __future__ import annotations

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.errors import InputError
from polyfiber.linear.sampling import sample
from polyfiber.linear.variety import fiber_variety
from tests.oracles.linear_geometry import differential

CASES = [((2, 2, 2), 1), ((2, 2, 2), 0), ((2, 3, 2), 2), ((1, 2, 1, 2), 0), ((2, 1, 1, 2), 1)]


@pytest.mark.parametrize(("widths", "rank"), CASES, ids=str)
def test_smooth_where_the_differential_has_full_rank(widths: tuple[int, ...], rank: int) -> None:
    """At a smooth point the kernel of the differential has the dimension of the fiber there."""
    variety = fiber_variety(widths, rank=rank)
    rng = np.random.default_rng(1)
    for stratum in variety.stratification:
        D = differential(sample(stratum, rng=rng, spread=0.3))
        kernel = D.shape[1] - np.linalg.matrix_rank(D, tol=1e-9)
        assert variety.smooth[stratum.id] == (kernel == variety.local_dimension[stratum.id])
        assert kernel >= variety.local_dimension[stratum.id]


@pytest.mark.parametrize(("widths", "rank"), CASES, ids=str)
def test_components_are_the_maximal_rank_lists(widths: tuple[int, ...], rank: int) -> None:
    variety = fiber_variety(widths, rank=rank)
    labels = [np.array(s.label) for s in variety.stratification]
    top = [i for i, a in enumerate(labels) if not any((b >= a).all() and (b != a).any() for b in labels)]
    assert sorted(variety.components.tolist()) == top
    for i, a in enumerate(labels):
        inside = [bool((labels[c] >= a).all()) for c in variety.components]
        assert variety.membership[i].tolist() == inside
        assert variety.crossing[i] == (sum(inside) > 1)
    assert not (variety.doubtful & (variety.crossing | variety.smooth)).any()
    assert (variety.singular_dim == -1) == variety.is_smooth


def test_the_two_lines_of_a_product_of_numbers() -> None:
    """a b = 0: two lines that meet in one point; a b = 1: smooth."""
    cross = fiber_variety((1, 1, 1), rank=0)
    assert (len(cross.components), cross.dim, cross.singular_dim) == (2, 1, 0)
    assert cross.is_equidimensional
    assert cross.crossing.sum() == 1
    curve = fiber_variety((1, 1, 1), rank=1)
    assert curve.is_smooth
    assert repr(curve).endswith("1 component of dimension 1; smooth)")


def test_a_fiber_needs_its_rank() -> None:
    strata = pf.linear.stratify((2, 2, 2), rank=1)
    assert fiber_variety(strata, rank=1).dim == 4
    for wrong in (0, None):
        with pytest.raises(InputError, match="rank"):
            fiber_variety(strata, rank=wrong)  # type: ignore[arg-type]
