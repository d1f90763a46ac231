"""Table ``topology``: level sets, class regions, decision boundaries and breakpoint complexes by numbers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...complexes.complex import PolyhedralComplex
from ...complexes.topology.sets import PolyhedralSet
from ..checks.faces import Unclear
from ..checks.topology import Found, derive, larger
from ..fields import boolean, number, sequence
from .base import Beside, Column, Item, Option, Options, Table, Unsure

KINDS = ("level", "boundary", "class", "breakpoints")


def _sets(cx: PolyhedralComplex, options: Options) -> Iterator[tuple[str, int, float | None, PolyhedralSet]]:
    """(kind, output or class, value, set) of one network, in the order of the rows."""
    n_out = cx.network.architecture[-1]
    for value in options["levels"]:
        for output in range(n_out):
            yield "level", output, value, cx.level_set(value, output)
    if options["classes"]:
        yield "boundary", -1, None, cx.decision_boundary()
        for label in range(max(2, n_out)):
            yield "class", label, None, cx.class_region(label)
    if options["breakpoints"]:
        yield "breakpoints", -1, None, cx.breakpoint_complex().as_set()


def _rows(items: Sequence[Item], options: Options) -> Iterator[Any]:
    (item,) = items
    cx = item.complex
    item.check_memory(item.held + 4 * sum(cx.f_vector) * cx._store.bytes_per_face, "level sets")
    rows = [
        {"network": item.id, "set": kind, "output": output, "value": value, **_numbers(found, options["sizes"])}
        for kind, output, value, found in _sets(cx, options)
    ]
    if rows:
        yield TABLE.batch(options, {name: [row[name] for row in rows] for name in rows[0]})


def _numbers(found: PolyhedralSet, sizes: bool) -> dict[str, Any]:
    d, pointed = found.dimension, not found.lineality_dimension or found.dimension < 0
    columns: dict[str, Any] = {
        "dimension": d,
        "lineality": found.lineality_dimension,
        "compact": found.is_compact,
        "f_vector": list(found.f_vector),
        "bounded": [int((~found.is_unbounded(k)).sum()) for k in range(d + 1)],
        "components": found.connected_components()[0],
        "betti": list(found.betti_numbers()) if pointed else None,
        "betti_rational": list(found.betti_numbers(field=0)) if pointed else None,
        "betti_locally_finite": list(found.betti_numbers("borel-moore")),
        "euler": found.euler_characteristic() if pointed else None,
        "euler_compact": found.euler_characteristic("borel-moore"),
    }
    if sizes:
        columns["size"] = float(found.sizes().sum()) if found.is_compact and d >= 0 else None
    return columns


def _check(item: Item, rows: Sequence[Mapping[str, Any]], options: Options) -> Iterator[str]:
    """Pieces from the weights alone by linear programs and cdd, united by labels; dense ranks; hulls.

    Larger ones by counts of the complex in which the conditions are neurons, made anew in exact arithmetic.
    """
    for row in rows:
        where = f"{row['set']} {row['output']}"
        n_out = item.network.architecture[-1]
        if not _fits(row, n_out, options):
            yield f"{where}, value {row['value']}: no such row is made"
            continue
        try:
            found = derive(item.network, item.domain, row["set"], row["output"], row["value"])
        except Unclear as error:
            anew = larger(item.network, item.domain, row["set"], row["output"], row["value"])
            if anew is None:
                yield Unsure(f"{where}: {error}")
                continue
            if row["f_vector"] != anew:
                yield f"{where}: f-vector {row['f_vector']} in the file, {anew} with every decision in exact arithmetic"
            yield Unsure(f"homology and sizes: {error}")
            continue
        yield from (f"{where}: {text}" for text in _against(row, found))


def _fits(row: Mapping[str, Any], n_out: int, options: Options) -> bool:
    """Whether a row with this set, output and value is made with these options."""
    kind, output, value = row["set"], row["output"], row["value"]
    if kind == "level":
        return 0 <= output < n_out and value in options["levels"]
    known = {"boundary": (-1, 0), "breakpoints": (-1, 0), "class": (0, max(2, n_out))}
    return kind in known and value is None and known[kind][0] <= output < known[kind][1]


def _whole(item: Item, rows: Any, options: Options, beside: Beside) -> Iterator[str]:
    """Every set that the options ask for, each once."""
    n_out = item.network.architecture[-1]
    expected: list[tuple[str, int, float | None]] = [
        ("level", output, value) for value in options["levels"] for output in range(n_out)
    ]
    if options["classes"]:
        expected += [("boundary", -1, None), *(("class", label, None) for label in range(max(2, n_out)))]
    if options["breakpoints"]:
        expected.append(("breakpoints", -1, None))
    found = list(zip(*(rows.column(name).to_pylist() for name in ("set", "output", "value"))))
    if Counter(found) != Counter(expected):
        yield f"{len(found)} sets in the file; expected {len(expected)}: {sorted(map(str, expected))[:8]}"


def _against(row: Mapping[str, Any], found: Found) -> Iterator[str]:
    for name, value in found.columns().items():
        if name not in row:
            continue
        if name == "size":
            if value is None or row[name] is None:
                same = value is None and row[name] is None
            else:
                same = math.isclose(value, row[name], rel_tol=1e-6, abs_tol=1e-9)
        else:
            same = row[name] == value
        if not same:
            yield f"{name} is {row[name]!r} in the file, {value!r} from the weights alone"


TABLE = Table(
    name="topology",
    doc=(
        "One row per set of a network: where an output has a value, where the largest output is attained twice, where a class "
        "wins, where the function bends. Counts are of cells in the essential quotient; supports are explained in docs/topology.md."
    ),
    columns=(
        Column("network", "int64", "Number of the network in the dataset.", "id"),
        Column("set", "string", "level, boundary, class or breakpoints."),
        Column("output", "int32", "The output of a level, the class of a class region; -1 otherwise.", "id"),
        Column("value", "float64", "The value of a level; null otherwise.", "output", nullable=True),
        Column("dimension", "int16", "Largest dimension of a cell; -1 for the empty set."),
        Column("lineality", "int16", "Dimension of the directions along which everything is constant."),
        Column("compact", "bool", "Whether the set is bounded."),
        Column("f_vector", "list<int64>", "Cells of dimension 0, …; empty for the empty set.", "cells"),
        Column("bounded", "list<int64>", "Bounded cells of each dimension.", "cells"),
        Column("components", "int64", "Connected components."),
        Column(
            "betti", "list<int64>", "Betti numbers over GF(2) of the bounded cells; null with lineality.", nullable=True
        ),
        Column("betti_rational", "list<int64>", "The same over the rationals.", nullable=True),
        Column("betti_locally_finite", "list<int64>", "Borel–Moore Betti numbers over GF(2)."),
        Column("euler", "int64", "Euler characteristic of the bounded cells; null with lineality.", nullable=True),
        Column("euler_compact", "int64", "Euler characteristic with compact supports."),
        Column(
            "size",
            "float64",
            "Points, length, area or volume of the cells of largest dimension; null for unbounded and empty sets.",
            "input^dimension",
            True,
            "sizes",
        ),
    ),
    rows=_rows,
    check=_check,
    whole=_whole,
    identity=("set", "output", "value"),
    options=(
        Option(
            "levels",
            (0.0,),
            sequence(number(), least=0, most=64),
            "Values at which level sets are taken, of every output.",
        ),
        Option("classes", True, boolean, "The decision boundary and the region of every class."),
        Option("breakpoints", True, boolean, "The complex of the visible facets."),
        Option("sizes", True, boolean, "Lengths, areas and volumes."),
    ),
)
