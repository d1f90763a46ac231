"""What a table is, and what its rows are made of.

A table module ``polyfiber/datasets/tables/<name>.py`` exposes ``TABLE = Table(...)``: columns with
units, options with checks, a function from items to record batches, and an independent check of
single rows. It needs pyarrow only when rows are made, never when it is imported.

Rules for ``rows``: the same items and options give the same rows in the same order, on any machine
with the same versions (no clock, no thread count, randomness only from `Item.rng`); work that may be
refused for memory is refused before the first batch is yielded; batches are of bounded size
(about `BATCH_ROWS` rows), so that a large complex streams. Any `PolyfiberError` makes the item
*skipped* in this table, with the message as the reason; its other tables are not affected.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ... import words
from ..._once import cached_property
from ...budget import Budget
from ...errors import BudgetExceededError, InputError, PolyfiberError
from ...memory import give_back
from ...network.model import ReLUNetwork
from ...network.piecewise import PiecewiseLinearNetwork, require_chain
from ...words import one_line
from ..fields import Check, unknown
from ..storage.arrow import arrow_type, check_type, column_of, pyarrow

if TYPE_CHECKING:
    from ...complexes.complex import PolyhedralComplex
    from ...domain import Polyhedron

BATCH_ROWS = 16384
"""Rows that a table should yield at a time; a guide, the bytes of the files do not depend on it."""

SLACK = 2
"""Memory of a process by that of the arrays it keeps: 1.7 was measured on tables of cells of 3-40-40-1."""

LARGE = 10_000
"""Faces of a complex whose memory is handed back to the system when it is dropped."""

OUT_OF_TIME = "BudgetExceededError: needs more time than the spec allows for one network (key seconds)"
"""The reason of all that took too long, whatever the clock said."""

Options: TypeAlias = Mapping[str, Any]
"""Checked options of a table: every option is present, defaults filled in."""


@dataclass(frozen=True)
class Column:
    """A column: name, type, unit and meaning.

    Parameters
    ----------
    name : str
    type : str
        ``bool``, ``int8`` … ``float64``, ``string``, or ``list<…>`` of one, nested as needed.
    doc : str
        What a value means, in one line; goes to the field metadata and to the dataset card.
    unit : str
        ``"1"`` for pure numbers, ``"input"`` for input units, ``"output/input"``, ``"id"``, ``"sign"``, …
    nullable : bool
        Whether null occurs, and ``doc`` then says when.
    option : str, optional
        The column exists only where this option of the table is true (not empty).
    """

    name: str
    type: str
    doc: str
    unit: str = "1"
    nullable: bool = False
    option: str | None = None

    def __post_init__(self) -> None:
        check_type(self.type)

    def __repr__(self) -> str:
        return f"Column({self.name!r}, {self.type!r}, unit={self.unit!r})"


@dataclass(frozen=True)
class Option:
    """An option of a table: name, default, check (see `polyfiber.datasets.fields`) and meaning."""

    name: str
    default: Any
    check: Check
    doc: str

    def __repr__(self) -> str:
        return f"Option({self.name!r}, {repr(self.default)[:80]})"


@dataclass(frozen=True)
class Skip:
    """A table that an item is left out of, and why."""

    table: str
    reason: str


@dataclass(frozen=True)
class Item:
    """One network of a dataset, with all that its rows may depend on.

    Attributes
    ----------
    id : int
        Number of the network in the dataset: the column ``network`` of every table.
    source, kind : str
        Name and kind of the entry ``[[networks]]`` that made it.
    index : int
        Its number within that entry.
    network : ReLUNetwork or PiecewiseLinearNetwork
        The network. Where ``linear`` is true there is no maximum between the layers, the biases
        are zero, and ``weights`` is all that counts.
    entropy, key : int, tuple of int
        Its seed sequence: ``SeedSequence(entropy, spawn_key=key)``. Use `rng`.
    provenance : mapping
        How it was made, as JSON can hold it.
    origin : ReLUNetwork, optional
        The network that it was made from (perturbed, on one fiber).
    origin_id : int
        Id of that network, -1 where there is none in this dataset.
    linear : bool
    domain : Polyhedron, optional
        Where its complex is taken; all of Rⁿ by default.
    memory : int, optional
        Bytes that a worker may use for it.
    seconds : float, optional
        Seconds that a table may spend on it.
    skipped : tuple of Skip
        Known only to the table ``networks``, which is written last.
    failed : str
        Why the network could not be made. Such an item has no network, and only the table
        ``networks`` sees it.

    Examples
    --------
    >>> import polyfiber as pf
    >>> from polyfiber.datasets import Item
    >>> item = Item(0, "mine", "random", 0, pf.ReLUNetwork.random((2, 3, 1), rng=0), 1, (0,))
    >>> item.network.architecture, item.linear
    ((2, 3, 1), False)
    """

    __repr__ = one_line

    id: int
    source: str
    kind: str
    index: int
    network: ReLUNetwork | PiecewiseLinearNetwork
    entropy: int
    key: tuple[int, ...]
    provenance: Mapping[str, Any] = field(default_factory=dict)
    origin: ReLUNetwork | None = None
    origin_id: int = -1
    linear: bool = False
    domain: Polyhedron | None = None
    memory: int | None = None
    seconds: float | None = None
    skipped: tuple[Skip, ...] = ()
    failed: str = ""

    def chain(self, table: str) -> ReLUNetwork:
        """The network, for a table that knows ReLU chains only; others are left out of it, with this reason."""
        return require_chain(self.network, f"table {table}")

    def rng(self, name: str) -> np.random.Generator:
        """The generator of this item for one purpose, say the name of a table; always the same stream."""
        sequence = np.random.SeedSequence(self.entropy, spawn_key=(*self.key, zlib.crc32(name.encode())))
        return np.random.Generator(np.random.PCG64(sequence))

    @property
    def budget(self) -> Budget:
        """What a table may spend on it as a `Budget`."""
        return Budget(seconds=self.seconds, memory=self.memory)

    def check_memory(self, needed: int, what: str) -> None:
        """Raise `BudgetExceededError` (so the item is skipped, with this reason) if ``needed`` bytes are too many.

        ``needed`` are the arrays that stay; what is made on the way and what the allocator keeps is as much again.
        """
        needed = SLACK * needed
        if self.memory is not None and needed > self.memory:
            raise BudgetExceededError(
                f"{what} needs about {needed / 1e6:.4g} MB; a worker has {self.memory / 1e6:.4g} MB",
                needed=needed,
                memory=self.memory,
            )

    @cached_property
    def _complex(self) -> PolyhedralComplex | PolyfiberError:
        from ...complexes.build import canonical_complex

        try:
            if self.linear:
                raise InputError("a linear network has no regions; its complex is one cell")
            memory = None if self.memory is None else self.memory // SLACK
            return canonical_complex(self.network, self.domain, budget=Budget(seconds=self.seconds, memory=memory))
        except PolyfiberError as error:
            error.__traceback__ = None  # would keep the arrays of the failed build
            return error

    @property
    def complex(self) -> PolyhedralComplex:
        """Its canonical complex, built once and shared by all tables of the item.

        Raises
        ------
        BudgetExceededError
            It needs more memory than a worker has.
        """
        found = self._complex
        if isinstance(found, PolyfiberError):
            raise found
        return found

    @property
    def held(self) -> int:
        """Bytes that its complex takes before any table of faces."""
        skeleton = self.complex._skeleton
        return int(skeleton.nv * skeleton.bytes_per_vertex)

    def release(self) -> int:
        """Drop the complex; returns its number of regions, 0 if no table asked for it."""
        built = self.__dict__.pop("_complex", None)
        if built is None or isinstance(built, PolyfiberError):
            return 0
        regions, large = int(built.n_regions), sum(built.f_vector) > LARGE
        del built
        if large:
            pyarrow().default_memory_pool().release_unused()
            give_back()
        return regions


Rows: TypeAlias = Callable[[Sequence[Item], Options], Iterator[Any]]
"""``rows(items, options)`` yields ``pyarrow.RecordBatch`` (see `Table.batch`)."""

BlockRows: TypeAlias = Callable[["Item", "PolyhedralComplex", Options, int], Iterator[Any]]
"""``blocks(item, part, options, first)``: rows of the regions of a block, numbered from ``first``."""


class Unsure(str):
    """What a check could not decide, and why: no disagreement, but no agreement either."""

    __slots__ = ()


RowCheck: TypeAlias = Callable[[Item, Sequence[Mapping[str, Any]], Options], Iterator[str]]
"""``check(item, rows, options)`` yields one sentence per disagreement, and `Unsure` where it cannot tell.

The item's network comes from the file; the rows are Python values. What it finds must come another
way than ``rows`` took: rationals, linear programs, evaluation at points, …
"""


Beside: TypeAlias = Callable[[str, Sequence[str]], Any]
"""``beside(name, columns)``: rows of an item in another table, a ``pyarrow.Table``; None where it has none."""

WholeCheck: TypeAlias = Callable[[Item, Any, Options, Beside], Iterator[str]]
"""``whole(item, rows, options, beside)``: the same of all rows of an item, a ``pyarrow.Table`` of the columns
`Table.identity`.
"""


def each_once(found: Sequence[Any], expected: Sequence[Any], what: str) -> Iterator[str]:
    """Rows that are there twice, that are missing, and that should not be there, by what tells them apart."""
    seen, wanted = set(found), set(expected)
    if len(seen) < len(found):
        yield f"{len(found) - len(seen)} {what} are there twice"
    if wanted - seen:
        yield f"{len(wanted - seen)} of {len(wanted)} {what} are missing, as {min(wanted - seen, key=str)}"
    if seen - wanted:
        yield f"{len(seen - wanted)} {what} should not be there, as {min(seen - wanted, key=str)}"


def single(item: Item, rows: Any, options: Options, beside: Beside) -> Iterator[str]:
    """One row a network."""
    if rows.num_rows != 1:
        yield f"{rows.num_rows} rows; expected one"


@dataclass(frozen=True)
class Table:
    """A table of a dataset.

    Parameters
    ----------
    name : str
    doc : str
        One or two sentences: what a row is.
    columns : tuple of Column
        The first is ``network`` (int64), the id of the item that the row belongs to.
    rows : callable
        ``rows(items, options)`` yields record batches. Called with ``group`` items at most, in order;
        rows are in the order of the items, and of the numbers that they have (leading columns of unit ``id``).
    check : callable
        ``check(item, rows, options)``, see `RowCheck`.
    options : tuple of Option
    group : int
        How many items one call of ``rows`` gets. 1: ``(item,) = items``. Larger for tables that work
        on batches; rows must not depend on the grouping, and a group that raises is retried one by one.
    linear : bool, optional
        True: only linear networks have rows here; False: only ReLU networks; None: both. Others are
        left out silently.
    blocks : callable, optional
        Rows of a block of a complex that is split over workers, see `BlockRows`. Without it such
        networks are skipped in this table.
    whole : callable, optional
        ``whole(item, rows, options, beside)``: whether all rows of a network are there, see `WholeCheck`.
    identity : tuple of str
        Columns that it is asked with.
    provenance : tuple of str
        Columns that say where a row comes from or number it, and that the check does not derive again.

    Examples
    --------
    >>> from polyfiber.datasets.tables import table
    >>> table("networks").columns[0].name
    'network'
    """

    name: str
    doc: str
    columns: tuple[Column, ...]
    rows: Rows
    check: RowCheck
    options: tuple[Option, ...] = ()
    group: int = 1
    linear: bool | None = False
    blocks: BlockRows | None = None
    whole: WholeCheck | None = None
    identity: tuple[str, ...] = ()
    provenance: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Table({self.name!r}, {words.count(len(self.columns), 'column')}, {words.count(len(self.options), 'option')})"

    def __post_init__(self) -> None:
        first = self.columns[0]
        if (first.name, first.type) != ("network", "int64"):
            raise InputError(f"table {self.name}: the first column must be 'network' of int64, found {first}")
        known = {o.name for o in self.options}
        for column in self.columns:
            if column.option is not None and column.option not in known:
                raise InputError(f"table {self.name}: column {column.name} depends on no option {column.option!r}")

    def accepts(self, item: Item) -> bool:
        """Whether an item can have rows here."""
        return self.linear is None or self.linear == item.linear

    def check_options(self, given: Mapping[str, Any], where: str) -> dict[str, Any]:
        """Every option with its checked value; ``where`` is the prefix of keys in errors."""
        unknown(list(given), [o.name for o in self.options], where)
        return {o.name: o.check(given[o.name], where + o.name) if o.name in given else o.default for o in self.options}

    def columns_for(self, options: Options) -> tuple[Column, ...]:
        """The columns that exist with these options."""
        return tuple(c for c in self.columns if c.option is None or options[c.option])

    def schema(self, options: Options) -> Any:
        """``pyarrow.Schema``; ``unit`` and ``description`` stand in the metadata of each field."""
        pa = pyarrow()
        return pa.schema(
            [
                pa.field(
                    c.name, arrow_type(c.type), nullable=c.nullable, metadata={"unit": c.unit, "description": c.doc}
                )
                for c in self.columns_for(options)
            ]
        )

    def batch(self, options: Options, columns: Mapping[str, Any]) -> Any:
        """``pyarrow.RecordBatch`` from one entry per column: numpy array, Arrow array or sequence.

        An array with more than one axis fills a list column row by row; ragged lists are made by
        `polyfiber.datasets.storage.arrow.lists`. Entries for columns that do not exist are an error.
        """
        pa = pyarrow()
        wanted = self.columns_for(options)
        if set(columns) != {c.name for c in wanted}:
            odd = sorted(set(columns) ^ {c.name for c in wanted})
            raise InputError(f"table {self.name}: columns {odd} are missing or not in the schema")
        return pa.RecordBatch.from_arrays(
            [column_of(columns[c.name], c.type) for c in wanted], schema=self.schema(options)
        )
