"""The fiber as an algebraic variety: irreducible components and singular locus."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import words
from .._once import cached_property
from .._typing import BoolArray, IntArray
from ..budget import Budget
from ..errors import InputError
from .strata import RankStratification, stratify


@dataclass(frozen=True, eq=False)
class FiberVariety:
    """Components and singularities of ``{(W_1, …, W_L) : W_L … W_1 = W}``.

    Attributes
    ----------
    stratification : RankStratification
        Of a fixed rank.

    Notes
    -----
    Proved (in docs/linear.md):

    - the closures of the maximal strata are the irreducible components (over the complex
      numbers, where strata are connected); they are the strata with rdof = 0;
    - the scheme ``W_L … W_1 = W`` is smooth at a point iff dof equals the largest dimension of
      a component through it, and there the variety is smooth too;
    - a point on two components is a singular point of the variety.

    Only the scheme is known to be singular at points of `doubtful`: on one component, with dof
    above its dimension. They are singular points of the variety if the equations generate a
    radical ideal there, which was not proved here.

    Examples
    --------
    >>> from polyfiber.linear import fiber_variety, stratify
    >>> variety = fiber_variety(stratify((2, 2, 2), rank=1), rank=1)
    >>> variety
    FiberVariety(widths (2, 2, 2), rank 1: 2 components of dimension 4; singular locus of dimension 3)
    """

    stratification: RankStratification

    @cached_property
    def components(self) -> IntArray:
        """Ids of the maximal strata, one for each irreducible component."""
        return self.stratification.maximal()

    @cached_property
    def membership(self) -> BoolArray:
        """Which components each stratum lies in: bool (strata, components)."""
        st = self.stratification.strata
        out = np.empty((st.n, len(self.components)), bool)
        for c, top in enumerate(self.components):
            out[:, c] = st.leq(np.arange(st.n), np.int64(top))
        return out

    @cached_property
    def local_dimension(self) -> IntArray:
        """Dimension of the fiber at each stratum: the largest of its components; int64 (n,)."""
        dims = self.stratification.dim[self.components].astype(np.int64)
        out: IntArray = np.where(self.membership, dims[None, :], -1).max(axis=1)
        return out

    @cached_property
    def smooth(self) -> BoolArray:
        """Strata where the fiber is smooth (as a scheme, hence as a variety); bool (n,)."""
        result: BoolArray = self.stratification.dof == self.local_dimension
        return result

    @cached_property
    def crossing(self) -> BoolArray:
        """Strata that lie on several components; singular. bool (n,)."""
        result: BoolArray = self.membership.sum(axis=1) > 1
        return result

    @cached_property
    def doubtful(self) -> BoolArray:
        """Strata on one component where the scheme is singular; bool (n,)."""
        result: BoolArray = ~self.smooth & ~self.crossing
        return result

    @property
    def dim(self) -> int:
        """Dimension of the fiber."""
        return int(self.stratification.dim.max())

    @property
    def is_equidimensional(self) -> bool:
        """Whether all components have the same dimension."""
        return len(np.unique(self.stratification.dim[self.components])) == 1

    @property
    def is_smooth(self) -> bool:
        """Whether the fiber is smooth everywhere."""
        return bool(self.smooth.all())

    @property
    def singular_dim(self) -> int:
        """Dimension of the singular locus of the scheme; -1 when it is empty."""
        dims = self.stratification.dim[~self.smooth]
        return int(dims.max()) if dims.size else -1

    @property
    def sentence(self) -> str:
        """Of how many components the fiber is, how large, and whether it is smooth; exact."""
        dims = [str(d) for d in sorted({int(d) for d in self.stratification.dim[self.components]})]
        where = "smooth" if self.is_smooth else f"singular along strata of dimension {self.singular_dim} and less"
        n = words.count(len(self.components), "component")
        return f"The fiber over a matrix of rank {self.stratification.rank} has {n} of dimension {words.listed(dims)}; it is {where}."

    def __str__(self) -> str:
        return self.sentence

    def __repr__(self) -> str:
        dims = sorted({int(d) for d in self.stratification.dim[self.components]})
        n = len(self.components)
        where = "smooth" if self.is_smooth else f"singular locus of dimension {self.singular_dim}"
        return (
            f"FiberVariety(widths {self.stratification.widths}, rank {self.stratification.rank}: {n} "
            f"component{'s' if n > 1 else ''} of dimension {', '.join(map(str, dims))}; {where})"
        )


def fiber_variety(widths: Any, *, rank: int, budget: Budget | None = None) -> FiberVariety:
    """Irreducible components and singular locus of the fiber over a matrix of the given rank.

    Parameters
    ----------
    widths : (d_0, …, d_L), or a RankStratification of a fixed rank
    rank : int
        Rank of W.
    budget : Budget, optional

    Raises
    ------
    InputError, BudgetExceededError
        As `stratify`.

    Examples
    --------
    >>> import polyfiber as pf
    >>> pf.linear.fiber_variety((4, 6, 5), rank=1)
    FiberVariety(widths (4, 6, 5), rank 1: 3 components of dimension 34, 35; singular locus of dimension 33)
    >>> pf.linear.fiber_variety((1, 1, 1, 1), rank=1).is_smooth
    True
    """
    if rank is None:
        raise InputError("a fiber needs the rank of W; found rank=None")
    st = widths if isinstance(widths, RankStratification) else stratify(widths, rank=rank, budget=budget)
    if st.rank is None or st.rank != rank:
        raise InputError(f"expected a stratification over rank {rank}, found one over {st.rank}")
    return FiberVariety(st)
