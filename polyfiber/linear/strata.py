"""All rank strata of the fiber of matrix multiplication, and how they adjoin.

Sources: J. R. Shewchuk and S. Bhattacharya, "The geometry of the set of equivalent linear
neural networks" (arXiv 2404.14855), and their SoCG 2026 paper (LIPIcs 367:91), which states the
closure order by moves of bars; S. Abeasis and A. Del Fra (1985) and K. Bongartz (1996) for the
closure order of representations of the linear quiver.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import words
from .._lazy import above
from .._once import cached_property
from .._typing import Array, IntArray, ProgressLike
from .._values.checked import array_of, flag, whole
from .._values.read_only import closed, read_only
from ..budget import Budget, Monitor
from ..errors import InputError, old_name
from ..invariants import ClassPolynomial
from ..kernels.linear.rank_strata import cover_moves, fill
from ..strata import Csr, RankOrder, Stratification
from . import ranks as rk
from .count import count_strata, orbit_class, orbit_points

_CHUNK = 1 << 16
_DEFAULT_MEMORY = 4 << 30


@dataclass(frozen=True, order=True)
class Move:
    """A rank-1 move between the bars ``b = [i, k]`` and ``a = [s, t]``, upwards.

    ``[i, k], [s, t] -> [i, t], [s, k]``: a swap when the bars overlap (s <= k), a connection
    when they are adjacent (s = k + 1, and ``[s, k]`` is empty). It adds one to ``r[y, x]`` for
    i <= x < s and k < y <= t, and is realised by one rank-one change of ``W_{k+1}``.

    Examples
    --------
    >>> from polyfiber.linear import Move
    >>> Move(0, 0, 1, 2).kind
    'connect'
    """

    i: int
    k: int
    s: int
    t: int

    def __post_init__(self) -> None:
        if not 0 <= self.i < self.s <= self.k + 1 <= self.t:
            raise InputError(
                f"[{self.i}, {self.k}] and [{self.s}, {self.t}] allow no move; expected i < s <= k + 1 <= t"
            )

    @property
    def kind(self) -> str:
        """'swap' or 'connect'."""
        return "connect" if self.s == self.k + 1 else "swap"

    @property
    def layer(self) -> int:
        """Index of the one matrix that changes, k + 1."""
        return self.k + 1

    def __str__(self) -> str:
        new = f"[{self.i},{self.t}]" + ("" if self.s == self.k + 1 else f" [{self.s},{self.k}]")
        return f"[{self.i},{self.k}] [{self.s},{self.t}] -> {new}"

    def apply(self, table: Any) -> IntArray:
        """Rank table after the move; int64 (L + 1, L + 1)."""
        out = np.array(table, np.int64)
        out[self.k + 1 : self.t + 1, self.i : self.s] += 1
        return out


@closed
@dataclass(frozen=True)
class Stratum:
    """One rank stratum: all weights with these ranks, or its part inside one fiber, over one product.

    Attributes
    ----------
    id : int
        Position in the stratification, or -1 when it was named without one.
    widths : tuple of int
    ranks : int64 (L + 1, L + 1), read-only
        ``r[k, i]`` for k >= i.
    dim, dof, rdof : int
        Dimension, `dim_in_fiber` where the rank of the product was asked for (`locate` does), else
        `dim_in_weights`; nullity of the differential of the product, or the number of parameters;
        their difference, the number of independent directions that leave the stratum upwards.
    codim : int
        Number of parameters minus ``dim``.

    Examples
    --------
    >>> from polyfiber.linear import stratify
    >>> s = stratify((2, 2, 2), rank=1)[-1]
    >>> s.rank, s.dim, s.dof, s.rdof
    (1, 4, 4, 0)
    >>> s.dim_in_weights, s.dim_in_fiber  # of all weights with these ranks; of those over one product
    (7, 4)
    """

    id: int
    widths: tuple[int, ...]
    ranks: IntArray = field(repr=False)
    dim: int
    dof: int
    rdof: int
    codim: int

    @property
    def label(self) -> tuple[int, ...]:
        """The rank label: r[1, 0], r[2, 0], r[2, 1], r[3, 0], …"""
        return tuple(int(v) for v in rk.labels_of(self.ranks))

    @property
    def rank(self) -> int:
        """Rank of the product."""
        return int(self.ranks[-1, 0])

    @property
    def dim_in_weights(self) -> int:
        """Dimension of the stratum among all weights (and biases): of all weights with these ranks, over any product."""
        return self.dim + self.codim - int(rk.excess(self.ranks))

    @property
    def dim_in_fiber(self) -> int:
        """Dimension of the part of the stratum inside one fiber: of the weights with these ranks over one product.

        With biases, over one product and one constant.
        """
        biased = self.dim + self.codim > n_parameters(self.widths)
        functions = self.rank * (self.widths[0] + self.widths[-1] - self.rank) + biased * self.widths[-1]
        return self.dim_in_weights - functions

    @property
    def layer_ranks(self) -> tuple[int, ...]:
        """Ranks of W_1, …, W_L."""
        return tuple(int(self.ranks[j, j - 1]) for j in range(1, len(self.widths)))

    @property
    def bars(self) -> dict[tuple[int, int], int]:
        """Multiplicity of each interval ``(i, k)`` that occurs."""
        omega = rk.multiplicities(self.ranks)
        last = len(self.widths) - 1
        return {(i, k): int(omega[k, i]) for i in range(last + 1) for k in range(i, last + 1) if omega[k, i]}

    def plot(self, ax: Any = None, **options: Any) -> Any:
        """Draw which subspaces flow where; see `polyfiber.plots.plot_flow`."""
        return above("plots.strata:plot_flow")(self, ax=ax, **options)


@closed
@dataclass(frozen=True, eq=False)
class RankStratification:
    """The rank strata of given widths, sorted by dimension.

    Attributes
    ----------
    widths : tuple of int
    rank : int or None
        Rank of the product W; None for all of parameter space (every orbit).
    bias : bool
        Whether every layer carries a bias.
    strata : Stratification
        The shared structure: rank labels, dimensions, closure order, covers.
    stats : mapping
        Number of strata and bytes of the labels.

    Examples
    --------
    >>> from polyfiber.linear import stratify
    >>> st = stratify((2, 2, 2), rank=1)
    >>> len(st), st[0].dim, st.maximal()
    (3, 3, array([1, 2]))
    """

    widths: tuple[int, ...]
    rank: int | None
    bias: bool
    strata: Stratification
    stats: Mapping[str, Any]

    def __len__(self) -> int:
        return self.strata.n

    def __reduce__(self) -> Any:
        return _again, (self.widths, self.rank, self.bias)

    def plot(self, ax: Any = None, **options: Any) -> Any:
        """Draw the strata and their covers; options as in `polyfiber.plots.plot_dag`."""
        return above("plots.strata:plot_dag")(self, ax=ax, **options)

    def _repr_html_(self) -> str:
        text: str = above("pages.notebook:html_of")(self)
        return text

    @property
    def sentence(self) -> str:
        """Into how many strata the parameters fall; exact."""
        of = "" if self.rank is None else f" over one product of rank {self.rank}"
        n, top = len(self), len(self.maximal())
        pieces = (
            "1 rank stratum, a smooth piece on which all ranks of consecutive products are constant"
            if n == 1
            else f"{n} rank strata, smooth pieces on each of which all ranks of consecutive products are constant; "
            f"{top} of them {'is' if top == 1 else 'are'} maximal"
        )
        widths = ",".join(map(str, self.widths))
        return f"The parameters of the linear networks of widths {widths}{of} fall into {pieces}. Exact."

    def __str__(self) -> str:
        return self.sentence

    def __repr__(self) -> str:
        over = "all ranks" if self.rank is None else f"rank {self.rank}"
        more = ", with biases" if self.bias else ""
        return (
            f"RankStratification(widths {self.widths}, {over}{more}: {words.count(len(self), 'stratum', 'strata')} in dimension "
            f"{self.strata.ambient_dim}, complete)"
        )

    @property
    def n_layers(self) -> int:
        """Number of matrices."""
        return len(self.widths) - 1

    @property
    def ranks(self) -> Array:
        """Rank labels, int16 (n, L (L + 1) / 2); columns as in `columns`; read-only."""
        return self.strata.labels

    @property
    def columns(self) -> tuple[tuple[int, int], ...]:
        """Pairs ``(k, i)`` of the columns of `ranks`: r[k, i] = rank of W_k … W_{i+1}."""
        return rk.columns(self.n_layers)

    @property
    def dim(self) -> Array:
        """Dimension of each stratum, ascending: inside one fiber where `rank` is given, else among all weights."""
        return self.strata.dim

    @property
    def extra_parameters(self) -> int:
        """Free biases: sum of the hidden widths with ``bias``, else 0."""
        return sum(self.widths[1:-1]) if self.bias else 0

    @cached_property
    def dof(self) -> IntArray:
        """Nullity of the differential of the product on each stratum; int64 (n,).

        The dimension of the space of directions in which the product does not change to first
        order. Without a fixed rank nothing is held fixed, and dof is the number of parameters.
        """
        if self.rank is None:
            out = np.full(len(self), self.strata.ambient_dim, np.int64)
        else:
            r = self.ranks.astype(np.int64)
            last = self.n_layers

            def rank(k: int, i: int) -> Any:
                return self.widths[k] if k == i else r[:, rk.column(k, i)]

            out = np.full(len(self), n_parameters(self.widths) + self.extra_parameters, np.int64)
            for j in range(1, last + 1):
                out -= rank(last, j) * rank(j - 1, 0)
            for j in range(1, last):
                out += rank(last, j) * rank(j, 0)
        return read_only(out)

    @property
    def rdof(self) -> IntArray:
        """dof - dim: independent directions that leave the stratum upwards; int64 (n,)."""
        return self.dof - self.dim.astype(np.int64)

    @property
    def codim(self) -> IntArray:
        """Codimension in parameter space; int64 (n,)."""
        return self.strata.ambient_dim - self.dim.astype(np.int64)

    def tables(self, ids: Any = slice(None)) -> IntArray:
        """Full rank tables, int64 (…, L + 1, L + 1), of the given strata (all by default)."""
        return rk.tables(self.widths, self.ranks[ids])

    def multiplicities(self, ids: Any = slice(None)) -> IntArray:
        """Interval multiplicities ``omega[k, i]``, int64 (…, L + 1, L + 1)."""
        return rk.multiplicities(self.tables(ids))

    def __getitem__(self, i: int) -> Stratum:
        i = operator.index(i)
        if not -len(self) <= i < len(self):
            raise IndexError(f"stratum {i} of {len(self)}")
        i %= len(self)
        table = self.tables(i)
        table.setflags(write=False)
        return Stratum(
            i,
            self.widths,
            table,
            int(self.dim[i]),
            int(self.dof[i]),
            int(self.rdof[i]),
            int(self.codim[i]),
        )

    def __iter__(self) -> Iterator[Stratum]:
        return (self[i] for i in range(len(self)))

    def find(self, ranks: Any) -> int:
        """Id of the stratum with these ranks (a label or a full table); -1 if there is none."""
        array = array_of(ranks, "the ranks")
        if array.ndim == 2 and array.shape == (self.n_layers + 1,) * 2:
            if tuple(np.diagonal(array)) != self.widths:
                return -1
            array = np.array([array[k, i] for k, i in self.columns], np.int64)
        result: int = self.strata.find(array)
        return result

    # covers with their moves ------------------------------------------------------------------

    @cached_property
    def _edges(self) -> tuple[Csr, Array]:
        return build_covers(self.widths, self.rank is not None, self.strata)

    @property
    def moves(self) -> Array:
        """Move of each cover, int16 (covers, 4): ``i, k, s, t``, in the order of ``covers_above``."""
        return read_only(self._edges[1])

    def covers(self) -> Iterator[tuple[int, int, Move]]:
        """All covers as ``(lower id, upper id, Move)``."""
        ptr, above = self.strata.covers_above
        for lower in range(len(self)):
            for e in range(ptr[lower], ptr[lower + 1]):
                yield lower, int(above[e]), Move(*(int(v) for v in self.moves[e]))

    edges = old_name("covers")

    def maximal(self) -> IntArray:
        """Strata without any upward move: their closures are the irreducible components.

        These are the strata with rdof = 0; no covers are built.
        """
        return np.flatnonzero(self.rdof == 0)

    def to_networkx(self) -> Any:
        """Covers as a directed graph, with dim, dof, rdof and label on nodes, moves on edges."""
        graph = self.strata.to_networkx()
        dof, rdof = self.dof.tolist(), self.rdof.tolist()
        for i in graph.nodes:
            graph.nodes[i]["dof"] = dof[i]
            graph.nodes[i]["rdof"] = rdof[i]
        for lower, upper, move in self.covers():
            graph.edges[lower, upper].update(move=(move.i, move.k, move.s, move.t), kind=move.kind, layer=move.layer)
        return graph

    def points_over(self, q: int) -> list[int]:
        """Exact number of weight vectors over the field with q elements in each orbit.

        For every W of the rank together; with ``rank=None`` they add up to q^parameters.
        """
        if self.bias:
            raise InputError("points over finite fields are counted without biases; stratify with bias=False")
        return [orbit_points(self.widths, m, q) for m in self.multiplicities()]

    def class_polynomials(self) -> list[ClassPolynomial]:
        """Class of each stratum: the polynomial in q that counts its points over the field with q elements.

        Its value at -1 is the Euler characteristic with compact support of the real stratum, at 1 that of the complex
        one (`polyfiber.invariants`). For a fixed rank the class over one W; biases are affine factors.

        Examples
        --------
        The two axes of ``w_2 w_1 = 0``: a point and two punctured lines.

        >>> import polyfiber as pf
        >>> print(*pf.linear.stratify((1, 1, 1), rank=0).class_polynomials(), sep=", ")
        1, q - 1, q - 1
        """
        found = [orbit_class(self.widths, m) for m in self.multiplicities()]
        if self.rank is not None:
            ends = (self.widths[0], self.widths[-1])
            whole = orbit_class(ends, [[ends[0] - self.rank, 0], [self.rank, ends[1] - self.rank]])
            found = [_divided(c, whole) for c in found]
        return [ClassPolynomial((0,) * self.extra_parameters + c) for c in found]

    classes = old_name("class_polynomials")


def _divided(number: tuple[int, ...], by: tuple[int, ...]) -> tuple[int, ...]:
    """Quotient of polynomials, lowest power first; the divisor is monic and divides."""
    left, n = list(number), len(by) - 1
    for k in range(len(left) - 1, n - 1, -1):
        for i in range(n):
            left[k - n + i] -= left[k] * by[i]
    assert not any(left[:n]), "matrices of one rank have fibers of one size"
    return tuple(left[n:])


def n_parameters(widths: Sequence[int]) -> int:
    """Number of weights, ``sum d_j d_{j-1}``."""
    return sum(a * b for a, b in zip(widths, widths[1:]))


def stratum_of(widths: Sequence[int], table: Any, *, rank: int | None, id: int = -1) -> Stratum:
    """One stratum from its rank table, without enumerating the others.

    Parameters
    ----------
    widths, table
        The table must be admissible.
    rank : int or None
        Rank of the product held fixed, or None for the orbit in all of parameter space.
    """
    table = np.array(table, np.int64)
    table.setflags(write=False)
    total = n_parameters(widths)
    codim = int(rk.excess(table))
    dof = total
    if rank is not None:
        codim += rank * (widths[0] + widths[-1] - rank)
        dof -= int(rk.differential_rank(table))
    return Stratum(id, tuple(widths), table, total - codim, dof, dof - total + codim, codim)


def enumerate_strata(widths: Any, rank: int | None = None, *, chunk: int = _CHUNK) -> Iterator[tuple[Array, IntArray]]:
    """Rank labels in chunks, lazily, without dead ends.

    Parameters
    ----------
    widths : (d_0, …, d_L)
    rank : int, optional
        Rank of the product; None for all.
    chunk : int
        Rows per chunk; memory and the work before the first answer are proportional to it.

    Yields
    ------
    labels : int16 (m, L (L + 1) / 2)
        Lexicographic in the born counts, not sorted by dimension.
    codim : int64 (m,)
        Codimension of the orbit in parameter space, dim Ext^1.

    Examples
    --------
    >>> from polyfiber.linear.strata import enumerate_strata
    >>> labels, codim = next(enumerate_strata((8,) * 9, rank=1, chunk=3))
    >>> labels.shape, int(codim.max())
    ((3, 36), 392)
    """
    d = rk.check_widths(widths)
    rho = rk.check_rank(d, rank)
    chunk = whole(chunk, "chunk", least=1, most=1 << 31)
    last = len(d) - 1
    wide = np.array(d, np.int64)
    state = np.zeros((last + 1, last + 1), np.int64)
    started = False
    while True:
        labels = np.empty((chunk, last * (last + 1) // 2), np.int16)
        codim = np.empty(chunk, np.int64)
        done = fill(wide, rho or 0, rho is not None, state, started, labels, codim)
        started = True
        if done:
            yield labels[:done], codim[:done]
        if done < chunk:
            return


def stratify(
    widths: Any,
    *,
    rank: int | None = None,
    bias: bool = False,
    budget: Budget | None = None,
    progress: ProgressLike = None,
) -> RankStratification:
    """All rank strata of the fiber over a matrix of the given rank.

    Parameters
    ----------
    widths : (d_0, …, d_L)
        At least two widths; zeros are allowed.
    rank : int, optional
        Rank of W. The strata, their dimensions and their order depend on W through its rank
        only. None stratifies all of parameter space (every product at once).
    bias : bool
        Layers ``x -> W_j x + b_j``. The fiber is then the linear fiber times the free hidden
        biases (b_L is determined by the others), so every dimension grows by the sum of the
        hidden widths and nothing else changes. Needs a rank.
    budget : Budget, optional
        4 GiB of memory by default.
    progress : None, True or callable

    Returns
    -------
    RankStratification

    Raises
    ------
    InputError
        Widths that are no widths; a rank that no product has.
    BudgetExceededError
        Too many strata for the memory; `count_strata` counts them without a list,
        `enumerate_strata` gives them in chunks.

    Notes
    -----
    dim S = D - E - rank (d_0 + d_L - rank) with D the number of parameters and E = dim Ext^1.
    Cost: O(L^2) per stratum, sorted by dimension with a radix sort. Covers are built on first
    use, O(L^4) per stratum at worst.

    Examples
    --------
    >>> import polyfiber as pf
    >>> st = pf.linear.stratify((4, 6, 5), rank=1)
    >>> st
    RankStratification(widths (4, 6, 5), rank 1: 17 strata in dimension 54, complete)
    >>> st.maximal().tolist(), st.dim[st.maximal()].tolist()
    ([14, 15, 16], [34, 34, 35])
    >>> print(next(st.covers())[2])
    [0,0] [1,1] -> [0,1]
    """
    d = rk.check_widths(widths)
    rho = rk.check_rank(d, rank)
    bias = flag(bias, "bias")
    if bias and rho is None:
        raise InputError("bias=True needs the rank of the product; without it there is no fiber to describe")
    monitor = Monitor(Budget(memory=_DEFAULT_MEMORY) if budget is None else budget, progress)
    last = len(d) - 1
    width = last * (last + 1) // 2
    n = count_strata(d, rho, budget=budget)
    monitor.check_memory(n * (4 * width + 34), f"a list of {n} strata of widths {words.widths(d)}")
    labels = np.empty((n, width), np.int16)
    codim = np.empty(n, np.int64)
    wide = np.array(d, np.int64)
    state = np.zeros((last + 1, last + 1), np.int64)
    done = 0
    while done < n:
        stop = min(n, done + (1 << 20))
        wrote = fill(wide, rho or 0, rho is not None, state, done > 0, labels[done:stop], codim[done:stop])
        assert wrote == stop - done, "the enumeration and the count disagree"
        done = stop
        monitor.report("enumerate", done, n)
        monitor.check_time(f"listing {n} strata")
    total = n_parameters(d)
    if rho is not None:
        codim += rho * (d[0] + d[-1] - rho)
    dim = total - codim
    low = int(dim.min())
    key = dim - low
    order = np.argsort(key.astype(np.uint16) if int(key.max()) < 2**16 else key, kind="stable")
    labels, dim = labels[order], dim[order]
    free = sum(d[1:-1]) if bias else 0
    biases = sum(d[1:]) if bias else 0
    dim += free

    result: RankStratification
    strata = Stratification(
        labels,
        dim,
        order=RankOrder(),
        ambient_dim=total + biases,
        covers_above=lambda: result._edges[0],
        covers_below=lambda: _transposed(result._edges[0]),
    )
    result = RankStratification(d, rho, bool(bias), strata, {"strata": n, "bytes": labels.nbytes})
    return result


def _again(widths: tuple[int, ...], rank: int | None, bias: bool) -> RankStratification:
    """Rebuild a pickled stratification: faster than storing it."""
    return stratify(widths, rank=rank, bias=bias, budget=Budget())


def _transposed(pair: Csr) -> Csr:
    from ..kernels.reach import transpose

    out: Csr = transpose(pair[0], pair[1], len(pair[0]) - 1)
    return out


def build_covers(widths: Sequence[int], fixed: bool, strata: Stratification) -> tuple[Csr, Array]:
    """Covers of the closure order from the bars: CSR pair of the covers above, and the moves.

    Returns
    -------
    (int64 (n + 1,), int32 (covers,)), int16 (covers, 4)
    """
    wide = np.array(widths, np.int64)
    labels = np.ascontiguousarray(strata._labels)
    n, c = labels.shape
    counts = np.empty(n, np.int64)
    nothing = np.empty((0, c), np.int16), np.empty((0, 4), np.int16)
    cover_moves(wide, fixed, labels, 0, n, counts, *nothing, False)
    ptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    total = int(ptr[-1])
    above = np.empty(total, np.int32 if n < 2**31 else np.int64)
    moves = np.empty((total, 4), np.int16)
    start = 0
    while start < n:
        stop = max(start + 1, int(np.searchsorted(ptr, ptr[start] + (1 << 20), side="right")) - 1)
        size = int(ptr[stop] - ptr[start])
        targets = np.empty((size, c), np.int16)
        own = moves[ptr[start] : ptr[stop]]
        cover_moves(wide, fixed, labels, start, stop, counts[start:stop], targets, own, True)
        found = strata.find(targets)
        assert size == 0 or int(found.min()) >= 0, "a move leads to ranks that were not enumerated"
        above[ptr[start] : ptr[stop]] = found
        start = stop
    return (ptr, above), moves
