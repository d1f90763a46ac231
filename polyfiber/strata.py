"""The shared structure: a finite partition of a space into strata, ordered by closure.

A polyhedral complex is one (cells of input space), and so are the rank strata of the fiber
of a product of matrices (orbits in parameter space). What both have is here and nothing else:
labels, dimensions, an order that is a rule on labels, and the covers of that order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, cast

import numpy as np

from . import words
from ._once import cached_property
from ._typing import Array, BoolArray, IntArray, RngLike
from ._values.checked import generator_of
from ._values.read_only import read_only
from .errors import InputError, ShapeError, old_name
from .kernels import reach
from .kernels.rows import RowTable, pack_rows, words_per_row
from .words import one_line

Csr: TypeAlias = "tuple[Array, Array]"
_BLOCK = 1 << 23  # label entries compared at a time


class Order(Protocol):
    """A closure order as a rule on labels: ``order(lower, upper)`` on arrays of rows."""

    def __call__(self, lower: Array, upper: Array) -> BoolArray:
        """Whether each row of ``lower`` (..., k) is at most the row of ``upper`` (..., k)."""


@dataclass(frozen=True)
class SignOrder:
    """Faces of a polyhedral complex: each sign of the lower cell is 0 or equals the upper's.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.strata import SignOrder
    >>> SignOrder()(np.int8([[0, 1], [-1, 1]]), np.int8([1, 1])).tolist()
    [True, False]
    """

    def __call__(self, lower: Array, upper: Array) -> BoolArray:
        """Compare sign rows (..., k), broadcasting."""
        lower, upper = np.asarray(lower), np.asarray(upper)
        result: BoolArray = ((lower == 0) | (lower == upper)).all(axis=-1)
        return result


@dataclass(frozen=True)
class RankOrder:
    """Rank strata: every rank of the lower stratum is at most the upper's.

    Examples
    --------
    >>> import numpy as np
    >>> from polyfiber.strata import RankOrder
    >>> bool(RankOrder()(np.int16([1, 0]), np.int16([1, 2])))
    True
    """

    def __call__(self, lower: Array, upper: Array) -> BoolArray:
        """Compare rank rows (..., k), broadcasting."""
        result: BoolArray = np.all(np.asarray(lower) <= np.asarray(upper), axis=-1)
        return result


class LabelSource(Protocol):
    """Labels that are produced on demand, a few rows at a time."""

    @property
    def shape(self) -> tuple[int, int]:
        """Number of strata and columns."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Integer type of the rows that `rows` gives."""

    def rows(self, ids: Array) -> Array:
        """Label rows (q, k) of int64 ids (q,)."""


@dataclass(frozen=True)
class Validation:
    """What `Stratification.validate` looked at and what it found.

    Attributes
    ----------
    ok : bool
    problems : tuple of str
        One sentence per broken rule, empty when all hold.
    strata, covers, compared : int
        How many strata and covers were checked, and how many strata were compared by the
        rule with every other one.
    """

    __repr__ = one_line

    ok: bool
    problems: tuple[str, ...]
    strata: int
    covers: int
    compared: int


class Stratification:
    """Finite partition of a space into strata whose closures are unions of strata.

    Parameters
    ----------
    labels : (n, k) integer array, callable, or LabelSource
        One row per stratum. A callable without arguments gives the whole array on first use;
        an object with ``shape``, ``dtype`` and ``rows(ids)`` gives rows and is never asked for
        the whole unless `labels` is read. int8 labels hold signs -1, 0, 1.
    dim : (n,) integer array
        Dimension of each stratum, in ascending order: a dimension is a slice of ids.
    covers_below : CSR pair or callable, optional
        ``(indptr, indices)``: the strata just below each stratum. A callable builds the pair on
        first use. Without it, covers come from the order by transitive reduction (quadratic).
    covers_above : CSR pair or callable, optional
        The opposite relation; by default the transpose.
    order : Order
        ``order(lower, upper)`` on label rows: `SignOrder`, `RankOrder`, or any function alike.
    ambient_dim : int
        Dimension of the space that the strata live in.
    complete : bool
        Whether every stratum of the partitioned space is here.

    Raises
    ------
    ShapeError
        Columns of different lengths.
    InputError
        Dimensions not ascending, negative or above ``ambient_dim``; labels not integers.

    Notes
    -----
    A stratum's id is its position. The order is asked of labels, so `leq` and `interval` work
    where covers were never built. Nothing here is graded, oriented or measured: see
    `heights`, and the modules that hold such a structure.

    Examples
    --------
    Two lines that cross in the plane: a vertex, four rays, four regions.

    >>> import itertools, numpy as np
    >>> from polyfiber.strata import SignOrder, Stratification
    >>> signs = np.array(sorted(itertools.product([-1, 0, 1], repeat=2), key=np.count_nonzero), np.int8)
    >>> st = Stratification(signs, np.count_nonzero(signs, axis=1), order=SignOrder(), ambient_dim=2)
    >>> st
    Stratification(9 strata in dimension 2: 1 + 4 + 4, order SignOrder, complete)
    >>> st.find([0, 1]), st.below(st.find([1, 1])).tolist(), st.leq(0, 8)
    (3, [3, 4], True)
    """

    def __init__(
        self,
        labels: Array | Callable[[], Array] | LabelSource,
        dim: Any,
        covers_below: Csr | Callable[[], Csr] | None = None,
        *,
        order: Order,
        ambient_dim: int,
        complete: bool = True,
        covers_above: Csr | Callable[[], Csr] | None = None,
    ) -> None:
        d = np.asarray(dim)
        if d.ndim != 1 or d.dtype.kind not in "iu":
            raise ShapeError(f"dim must be a vector of integers, found shape {d.shape} of dtype {d.dtype}")
        if d.size and bool((d[1:] < d[:-1]).any()):
            at = int(np.argmax(d[1:] < d[:-1]))
            raise InputError(
                f"strata must be sorted by dimension, but dim[{at}] = {d[at]} is followed by {d[at + 1]}; "
                "reorder the rows, for instance with numpy.argsort(dim, kind='stable')"
            )
        if d.size and not 0 <= int(d[0]) <= int(d[-1]) <= ambient_dim:
            raise InputError(f"dimensions {d[0]}..{d[-1]} do not lie in 0..{ambient_dim} (ambient_dim)")
        self._dim = d
        self.order = order
        self.ambient_dim = int(ambient_dim)
        self.complete = bool(complete)
        self._source: LabelSource | None = None
        self._make_labels: Callable[[], Array] | None = None
        self._labels: Array | None = None
        if hasattr(labels, "rows") and hasattr(labels, "shape"):
            source = cast(LabelSource, labels)
            if tuple(source.shape)[:1] != (len(d),):
                raise ShapeError(
                    f"labels have {words.count(source.shape[0], 'row')} but dim has {words.count(len(d), 'entry', 'entries')}"
                )
            self._source = source
        elif callable(labels):
            self._make_labels = labels
        else:
            self._labels = self._checked_labels(labels)
        self._given_below = covers_below
        self._given_above = covers_above

    def __getstate__(self) -> dict[str, Any]:
        """What is made on first use may hang on anything; a copy holds what it makes."""
        kept = {name: value for name, value in vars(self).items() if name not in ("_above", "_below")}
        if callable(self._given_above):
            kept["_given_above"] = self._above
        if callable(self._given_below):
            kept["_given_below"] = self._below
        if self._make_labels is not None:
            kept["_labels"], kept["_make_labels"] = self.labels, None
        return kept

    def _checked_labels(self, labels: Any) -> Array:
        array = np.asarray(labels)
        if array.ndim != 2 or array.shape[0] != len(self._dim):
            raise ShapeError(f"labels have shape {array.shape}; expected ({len(self._dim)}, columns), a row per dim")
        if array.dtype.kind not in "iu":
            raise InputError(f"labels have dtype {array.dtype}; expected integers (decide before entering)")
        return array

    # columns ------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._dim)

    @property
    def n(self) -> int:
        """Number of strata."""
        return len(self._dim)

    @property
    def dim(self) -> Array:
        """Dimension of each stratum, ascending; read-only."""
        return read_only(self._dim)

    @property
    def labels(self) -> Array:
        """All labels (n, k), read-only; a lazy source is asked for everything."""
        if self._labels is None:
            made = self._make_labels() if self._make_labels is not None else self.label_rows(np.arange(self.n))
            self._labels = self._checked_labels(made)
        return read_only(self._labels)

    def label_rows(self, ids: Any) -> Array:
        """Labels of some strata, (q, k) for ids (q,) and (k,) for one id.

        A chunked source is asked for these rows only.
        """
        index = self._ids(ids)
        if self._labels is None and self._source is not None:
            rows = np.asarray(self._source.rows(index.reshape(-1)))
            return rows.reshape(*index.shape, self._source.shape[1])
        result: Array = self.labels[index]
        return result

    @cached_property
    def _below(self) -> Csr:
        given = self._given_below() if callable(self._given_below) else self._given_below
        if given is None and self._given_above is not None:
            pair: Csr = reach.transpose(*self._above, self.n)
            return pair
        if given is None:
            return covers_by_rule(self)
        return self._checked_csr(given, "covers_below")

    @cached_property
    def _above(self) -> Csr:
        given = self._given_above() if callable(self._given_above) else self._given_above
        if given is None:
            pair: Csr = reach.transpose(*self._below, self.n)
            return pair
        return self._checked_csr(given, "covers_above")

    def _checked_csr(self, pair: Csr, name: str) -> Csr:
        ptr = np.ascontiguousarray(pair[0], dtype=np.int64)
        wide = np.asarray(pair[1])
        if ptr.shape != (self.n + 1,) or wide.ndim != 1 or ptr[0] != 0 or ptr[-1] != len(wide):
            raise ShapeError(
                f"{name} is not a CSR pair for {self.n} strata: indptr {ptr.shape}, indices {wide.shape}, "
                f"indptr[-1] = {ptr[-1] if ptr.size else 'missing'}"
            )
        if bool((ptr[1:] < ptr[:-1]).any()):
            raise InputError(f"{name}: indptr must not decrease")
        if wide.size and not 0 <= int(wide.min()) <= int(wide.max()) < self.n:
            raise InputError(f"{name} names strata {wide.min()}..{wide.max()}; there are {self.n}")
        kind = np.int32 if self.n < 2**31 else np.int64
        indices = np.array(wide, dtype=kind) if not wide.flags.writeable else np.ascontiguousarray(wide, dtype=kind)
        if not ptr.flags.writeable:
            ptr = ptr.copy()
        return ptr, indices

    @property
    def covers_below(self) -> Csr:
        """CSR pair ``(indptr, indices)`` of the strata just below each; built on first use."""
        return read_only(self._below)

    @property
    def covers_above(self) -> Csr:
        """CSR pair ``(indptr, indices)`` of the strata just above each; built on first use."""
        return read_only(self._above)

    @property
    def n_covers(self) -> int:
        """Number of covering pairs."""
        return len(self._below[1])

    # ids and labels ------------------------------------------------------------------------------

    def _ids(self, ids: Any) -> IntArray:
        index = np.asarray(ids)
        if index.dtype == bool:
            if index.shape != (self.n,):
                raise ShapeError(f"a mask of strata must have shape ({self.n},), found {index.shape}")
            index = np.flatnonzero(index)
        if index.size == 0:
            index = index.astype(np.int64)
        if index.dtype.kind not in "iu":
            raise InputError(f"ids of strata must be integers, found dtype {index.dtype}")
        index = index.astype(np.int64)
        if index.size and not 0 <= int(index.min()) <= int(index.max()) < self.n:
            raise InputError(f"ids must lie in 0..{self.n - 1}, found {index.min()}..{index.max()}")
        return index

    @cached_property
    def _table(self) -> RowTable:
        if self._labels is None and self._source is not None:
            step = max(1, _BLOCK // max(1, self._source.shape[1]))
            words = np.empty((self.n, words_per_row(self._source.shape[1], np.dtype(self._source.dtype))), np.uint64)
            for start in range(0, self.n, step):
                ids = np.arange(start, min(self.n, start + step))
                words[ids] = self._pack(np.asarray(self._source.rows(ids)))
        else:
            words = self._pack(self.labels)
        table, duplicate = RowTable.of(words)
        if duplicate >= 0:
            raise InputError(f"labels must be unique, but stratum {duplicate} repeats an earlier row")
        return table

    @staticmethod
    def _pack(rows: Array) -> Array:
        try:
            return pack_rows(rows)
        except ValueError as error:
            raise InputError(f"cannot look labels up: {error}; use a wider integer type") from None

    @cached_property
    def _label_form(self) -> tuple[int, np.dtype[Any]]:
        if self._labels is None and self._source is not None:
            return int(self._source.shape[1]), np.dtype(self._source.dtype)
        return self.labels.shape[1], self.labels.dtype

    def find(self, label: Any) -> Any:
        """Id of the stratum with this label, -1 if there is none.

        Parameters
        ----------
        label : (k,) or (q, k) integers

        Returns
        -------
        int, or int64 (q,)
            In O(k) each, after one table of all labels.
        """
        k, kind = self._label_form
        array = np.asarray(label)
        if array.ndim not in (1, 2) or array.shape[-1] != k:
            raise ShapeError(f"a label has {words.count(k, 'entry', 'entries')}; found shape {array.shape}")
        if array.size and array.dtype.kind not in "iu":
            raise InputError(f"labels are integers; found dtype {array.dtype}")
        rows = array.reshape(1 if array.ndim == 1 else len(array), k)
        info = np.iinfo(kind)
        low, high = (-1, 1) if kind == np.int8 else (info.min, info.max)
        fits = ((rows >= low) & (rows <= high)).all(axis=1)
        out = np.full(len(rows), -1, np.int64)
        out[fits] = self._table.find(self._pack(rows[fits].astype(kind)))
        return int(out[0]) if array.ndim == 1 else out

    # order ----------------------------------------------------------------------------------------

    def leq(self, i: Any, j: Any) -> Any:
        """Whether stratum i lies in the closure of stratum j, by the rule; broadcasts.

        Returns bool for two ids, a bool array for arrays of ids. Needs no covers.
        """
        a, b = self._ids(i), self._ids(j)
        if a.ndim == 0 and b.ndim == 0:
            return bool(self.order(self.label_rows(a), self.label_rows(b)))
        a, b = np.broadcast_arrays(a, b)
        flat_a, flat_b = a.reshape(-1), b.reshape(-1)
        out = np.empty(flat_a.shape, bool)
        step = max(1, _BLOCK // max(1, self._label_form[0]))
        for s in range(0, len(flat_a), step):
            part = slice(s, s + step)
            out[part] = self.order(self.label_rows(flat_a[part]), self.label_rows(flat_b[part]))
        return out.reshape(a.shape)

    def lower_set(self, j: int) -> IntArray:
        """Ids of all i <= j, by the rule alone: O(n k), without covers."""
        stop = int(np.searchsorted(self._dim, self._dim[self._one(j)], side="right"))
        ids = np.arange(stop)
        result: IntArray = ids[self.leq(ids, np.int64(j))]
        return result

    def upper_set(self, i: int) -> IntArray:
        """Ids of all j >= i, by the rule alone: O(n k), without covers."""
        start = int(np.searchsorted(self._dim, self._dim[self._one(i)], side="left"))
        ids = np.arange(start, self.n)
        result: IntArray = ids[self.leq(np.int64(i), ids)]
        return result

    def interval(self, i: int, j: int) -> IntArray:
        """Ids k with i <= k <= j, ascending; empty unless i <= j. Needs no covers."""
        if not self.leq(self._one(i), self._one(j)):
            return np.empty(0, np.int64)
        start = int(np.searchsorted(self._dim, self._dim[i], side="left"))
        stop = int(np.searchsorted(self._dim, self._dim[j], side="right"))
        ids = np.arange(start, stop)
        ids = ids[self.leq(np.int64(i), ids)]
        result: IntArray = ids[self.leq(ids, np.int64(j))]
        return result

    def _one(self, i: int) -> int:
        index = self._ids(i)
        if index.ndim:
            raise ShapeError(f"expected one id, found an array of shape {index.shape}")
        return int(index)

    def below(self, i: int) -> IntArray:
        """Strata that i covers: in its closure, with nothing between; ascending int64 ids."""
        ptr, indices = self._below
        i = self._one(i)
        return np.sort(indices[ptr[i] : ptr[i + 1]]).astype(np.int64)

    def above(self, i: int) -> IntArray:
        """Strata that cover i; ascending int64 ids."""
        ptr, indices = self._above
        i = self._one(i)
        return np.sort(indices[ptr[i] : ptr[i + 1]]).astype(np.int64)

    def closure(self, ids: Any) -> IntArray:
        """Everything at or below the given strata: the closure of their union; ascending ids.

        A walk over covers, O(result + covers walked).
        """
        seeds = np.atleast_1d(self._ids(ids))
        return np.flatnonzero(reach.reach(*self._below, seeds))

    def star(self, ids: Any) -> IntArray:
        """Everything at or above the given strata: the least open union holding them."""
        seeds = np.atleast_1d(self._ids(ids))
        return np.flatnonzero(reach.reach(*self._above, seeds))

    def boundary(self, ids: Any) -> IntArray:
        """The frontier: strata in the closure of the given ones and not among them."""
        seeds = np.atleast_1d(self._ids(ids))
        return np.setdiff1d(self.closure(seeds), seeds)

    # dimensions and ends ---------------------------------------------------------------------------

    def of_dim(self, d: int) -> slice:
        """Slice of the ids of dimension d; empty if there is none."""
        return slice(int(np.searchsorted(self._dim, d, side="left")), int(np.searchsorted(self._dim, d, side="right")))

    def counts_by_dimension(self) -> dict[int, int]:
        """Number of strata of each dimension that occurs."""
        values, counts = np.unique(self._dim, return_counts=True)
        return {int(v): int(c) for v, c in zip(values, counts)}

    counts = old_name("counts_by_dimension")

    def maximal(self) -> IntArray:
        """Strata in no other stratum's closure; ascending ids."""
        return np.flatnonzero(np.diff(self._above[0]) == 0)

    def minimal(self) -> IntArray:
        """Strata that are closed: nothing else in their closure; ascending ids."""
        return np.flatnonzero(np.diff(self._below[0]) == 0)

    def heights(self) -> Array:
        """Length of the longest chain below each stratum; int32 (n,)."""
        result: Array = reach.heights(*self._below)
        return result

    @cached_property
    def is_graded(self) -> bool:
        """Whether some function on the strata rises by exactly one along every cover."""
        exists, _ = reach.rank_function(*self._below, *self._above)
        return bool(exists)

    # parts and checks --------------------------------------------------------------------------------

    def restrict(self, ids: Any) -> tuple[Stratification, IntArray]:
        """The given strata with the induced order.

        Returns
        -------
        Stratification, int64 (m,)
            The part, and the id in ``self`` of each of its strata (ascending). Its covers are
            those of the induced order: two kept strata with only dropped ones between them
            become neighbours.
        """
        kept = np.unique(np.atleast_1d(self._ids(ids)))

        def covers() -> Csr:
            keep = np.zeros(self.n, bool)
            keep[kept] = True
            new_id = np.full(self.n, -1, np.int64)
            new_id[kept] = np.arange(len(kept))
            ptr, cand, dirty = reach.first_kept_below(*self._below, keep, new_id)
            good = np.ones(len(cand), bool)
            for row in np.flatnonzero(dirty):
                own = cand[ptr[row] : ptr[row + 1]]
                under = self.leq(kept[own][:, None], kept[own][None, :])
                np.fill_diagonal(under, False)
                good[ptr[row] : ptr[row + 1]] = ~under.any(axis=1)
            rows = np.repeat(np.arange(len(kept)), np.diff(ptr))[good]
            counts = np.bincount(rows, minlength=len(kept))
            return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), cand[good]

        labels = _Part(self, kept) if self._labels is None else self._labels[kept]
        part = Stratification(
            labels,
            self._dim[kept],
            covers,
            order=self.order,
            ambient_dim=self.ambient_dim,
            complete=self.complete,
        )
        return part, kept

    def validate(self, *, compared: int | None = None, rng: RngLike = 0) -> Validation:
        """Check the promises of the structure.

        Unique labels; covers strictly raise ``dim``, satisfy the rule, agree in both
        directions and have no other walk between their ends; and for up to ``compared``
        strata (all of them, or a random choice) the walk over covers finds exactly the
        strata that the rule puts below.

        Parameters
        ----------
        compared : int, optional
            How many strata are compared with every other by the rule, O(n k) each. By default
            2000, fewer when that would look at more than 2e9 label entries, at least 10.
        rng : what numpy.random.default_rng takes
            Chooses them when there are more.

        Returns
        -------
        Validation
        """
        problems: list[str] = []
        try:
            self._table  # noqa: B018
        except InputError as error:
            problems.append(str(error))
        ptr, low = self._below
        high = np.repeat(np.arange(self.n), np.diff(ptr))
        raising = self._dim[low] < self._dim[high]
        if not raising.all():
            e = int(np.argmin(raising))
            problems.append(
                f"the cover {low[e]} < {high[e]} does not raise the dimension ({self._dim[low[e]]}, {self._dim[high[e]]})"
            )
        holds = self.leq(low, high) if len(low) else np.ones(0, bool)
        if not holds.all():
            e = int(np.argmin(holds))
            problems.append(f"the cover {low[e]} < {high[e]} breaks the rule of the order")
        t_ptr, t_idx = reach.transpose(*self._above, self.n)
        own = np.lexsort((low, high))
        if not (np.array_equal(t_ptr, ptr) and np.array_equal(t_idx, low[own])):
            problems.append("covers_above is not the opposite of covers_below")
        if raising.all():
            i, j = reach.has_shortcut(ptr, low)
            if i >= 0:
                problems.append(f"{j} < {i} is listed as a cover, but something lies between")
        chosen = np.arange(self.n)
        if compared is None:
            compared = max(10, min(2000, 2 * 10**9 // max(1, self.n * self._label_form[0])))
        if self.n > compared:
            chosen = np.sort(generator_of(rng).choice(self.n, compared, replace=False))
        for j in chosen:
            walked = self.closure(j)
            ruled = np.flatnonzero(self.leq(np.arange(self.n), np.int64(j)))
            if not np.array_equal(walked, ruled):
                odd = np.setxor1d(walked, ruled)
                problems.append(f"walk and rule disagree below stratum {j}, for instance on {odd[0]}")
                break
        return Validation(not problems, tuple(problems), self.n, len(low), len(chosen))

    def to_networkx(self, *, labels: bool = True) -> Any:
        """Directed graph of the covers, lower to upper, with ``dim`` and ``label`` on nodes."""
        import networkx as nx

        graph = nx.DiGraph(ambient_dim=self.ambient_dim, complete=self.complete)
        rows = self.labels if labels else None
        for i, d in enumerate(self._dim.tolist()):
            facts = {"dim": d} if rows is None else {"dim": d, "label": tuple(rows[i].tolist())}
            graph.add_node(i, **facts)
        ptr, low = self._below
        high = np.repeat(np.arange(self.n), np.diff(ptr))
        graph.add_edges_from(zip(low.tolist(), high.tolist()))
        return graph

    @property
    def sentence(self) -> str:
        """How many strata there are of each dimension, and whether these are all."""
        noun, counts = ("stratum" if self.n == 1 else "strata"), self.counts_by_dimension()
        parts = ", ".join(f"{n} of dimension {d}" for d, n in counts.items())
        whole = "none is missing" if self.complete else "this is a part of them"
        return f"{self.n} {noun} ({parts}); {whole}." if counts else "No strata."

    def __str__(self) -> str:
        return self.sentence

    def __repr__(self) -> str:
        counts = " + ".join(str(c) for c in self.counts_by_dimension().values())
        rule = getattr(self.order, "__name__", type(self.order).__name__)
        state = "complete" if self.complete else "incomplete"
        noun = "stratum" if self.n == 1 else "strata"
        return f"Stratification({self.n} {noun} in dimension {self.ambient_dim}: {counts or 0}, order {rule}, {state})"


class _Part:
    """Labels of a restriction, fetched from the whole on demand."""

    def __init__(self, whole: Stratification, kept: IntArray) -> None:
        self._whole = whole
        self._kept = kept
        k, self.dtype = whole._label_form
        self.shape = (len(kept), k)

    def rows(self, ids: Array) -> Array:
        return self._whole.label_rows(self._kept[ids])


def covers_by_rule(strata: Stratification) -> Csr:
    """Covers by transitive reduction of the rule; for any order, O(n^2 k + comparable^2 / n).

    Each stratum's strict lower set is taken from the rule, highest dimension first; a member
    is a cover unless it lies in the lower set of a member already accepted.

    Returns
    -------
    int64 (n + 1,), int32 (covers,)
    """
    n = strata.n
    lower: list[IntArray] = []
    rows: list[IntArray] = []
    mark = np.zeros(n, bool)
    dims = strata.dim
    for j in range(n):
        under = strata.lower_set(j)
        under = under[under != j]
        if under.size and int(dims[under].max()) >= int(dims[j]):
            worst = int(under[np.argmax(dims[under])])
            raise InputError(
                f"the order puts stratum {worst} (dimension {dims[worst]}) below {j} (dimension {dims[j]}); "
                "a stratum in the closure of another must have smaller dimension"
            )
        lower.append(under)
        mark[under] = True
        covers = []
        for i in under[::-1]:
            if mark[i]:
                covers.append(int(i))
                mark[lower[i]] = False
        mark[under] = False
        rows.append(np.array(covers[::-1], np.int64))
    ptr = np.concatenate([[0], np.cumsum([len(r) for r in rows])]).astype(np.int64)
    flat = np.concatenate(rows) if rows else np.empty(0, np.int64)
    return ptr, flat.astype(np.int32)
