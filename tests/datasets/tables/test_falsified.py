"""Every column of every table, falsified in turn and in many ways, is noticed by the check of its table, but for those that the table lists."""

from __future__ import annotations

from collections.abc import Callable, Container
from pathlib import Path
from typing import Any

import pytest

from polyfiber.datasets import Networks, Spec, load, run, validate
from polyfiber.datasets.tables import NAMES, table
from polyfiber.datasets.tables.base import Unsure

pytest.importorskip("pyarrow")

SPECS: dict[str, dict[str, Any]] = {
    "relu": {
        "name": "relu", "seed": 5,
        "networks": [
            {"name": "a", "kind": "random", "architecture": [[2, 3, 1], [3, 3, 2, 2]], "count": 4},
            {"name": "b", "kind": "perturbed", "of": "a", "noise": 1e-2},
        ],
        "tables": {"complexes": {}, "cells": {}, "facets": {}, "topology": {}, "fibers": {"local_dimension": True}, "pairs": {}},
    },
    "sets": {
        "name": "sets", "seed": 7, "tables": {"topology": {"levels": [0.0, 0.5]}},
        "networks": [{"kind": "random", "architecture": [[2, 3, 1], [2, 2, 2], [1, 3, 2]], "count": 6, "domain": [-2.0, 2.0]}],
    },
    "blocks": {
        "name": "blocks", "seed": 5, "tables": {"cells": {}},
        "networks": [{"kind": "random", "architecture": [2, 6, 4, 1], "count": 1, "split": 4}],
    },
    "linear": {
        "name": "linear", "seed": 5, "tables": {"strata": {}, "critical": {}, "trajectories": {"records": 3}, "geodesics": {}},
        "networks": [{"kind": "linear", "architecture": [2, 2, 2], "count": 3}],
    },
    "langevin": {
        "name": "langevin", "seed": 5, "tables": {"trajectories": {"process": "langevin", "records": 2, "paths": 2}},
        "networks": [{"kind": "linear", "architecture": [2, 2, 2], "count": 3, "law": "normal"}],
    },
}  # fmt: skip
CASES = [
    (which, name, column.name)
    for which, spec in SPECS.items()
    for name in NAMES
    if name in spec["tables"] or (name == "networks" and which == "relu") or (name == "blocks" == which)
    for column in table(name).columns
    if not (which == "blocks" and name == "cells")
]


MOST, TRIED = 40, 3
"""Rows of a network, and networks, that are looked at."""
CHEAP = ("complexes", "strata", "critical", "trajectories", "geodesics")
"""Tables whose columns are falsified in many ways here."""


@pytest.fixture(scope="module", params=list(SPECS))
def made(request: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    folder = tmp_path_factory.mktemp(request.param) / "data"
    assert run(SPECS[request.param], folder, workers=0).complete
    return request.param, folder


def alone(name: str, columns: Any) -> None:
    """No other table is there."""


def falsified(value: Any) -> Any:
    """Another value of the same type."""
    if value is None:
        return 1
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, float):
        return 1.5 * value + 0.1
    if isinstance(value, str):
        return {"yes": "no", "no": "yes", "equal": "different", "different": "equal"}.get(value, value + "x")
    return [falsified(value[0]), *value[1:]] if value else [1]


def everywhere(value: Any) -> Any:
    """Every entry changed."""
    return [everywhere(v) for v in value] if isinstance(value, list) and value else falsified(value)


def nothing(value: Any) -> Any:
    """Zero, no, empty."""
    return [] if isinstance(value, list) else type(value)() if value is not None else None


def scaled(value: Any) -> Any:
    if isinstance(value, list):
        return [scaled(v) for v in value]
    return value * 2 if isinstance(value, int | float) and not isinstance(value, bool) else value


def large(value: Any) -> Any:
    if isinstance(value, list):
        return [large(v) for v in value]
    return 10**9 if type(value) is int else 1e9 if isinstance(value, float) else value


WAYS: dict[str, Callable[[list[Any]], list[Any]]] = {
    "first entry of every row": lambda values: [falsified(v) for v in values],
    "every entry": lambda values: [everywhere(v) for v in values],
    "zero": lambda values: [nothing(v) for v in values],
    "twice": lambda values: [scaled(v) for v in values],
    "huge": lambda values: [large(v) for v in values],
    "the first row's": lambda values: [values[0]] * len(values),
    "moved by a row": lambda values: values[1:] + values[:1],
    "backwards": lambda values: [v[::-1] if isinstance(v, list) else v for v in values],
    "cut": lambda values: [v[:-1] if isinstance(v, list) else v for v in values],
    "doubled": lambda values: [v + v if isinstance(v, list) else v for v in values],
    "of one row": lambda values: [falsified(values[0]), *values[1:]],
}
"""What a column may be replaced by; where that changes nothing there is no lie."""


def noticed(found: Any, item: Any, rows: list[Any], options: Any, schema: Any, beside: Any) -> bool:
    """Whether the check of rows, or that of all rows of the network, complains."""
    import pyarrow as pa

    try:
        if found.whole is not None:
            fields = [schema.field(name) for name in found.identity]
            identity = pa.Table.from_pylist([{f.name: row[f.name] for f in fields} for row in rows], pa.schema(fields))
            if any(not isinstance(t, Unsure) for t in found.whole(item, identity, options, beside)):
                return True
        return any(not isinstance(t, Unsure) for t in found.check(item, rows, options))
    except Exception:  # validate says: cannot be derived again
        return True


def lies_told(which: str, folder: Path, tables: Container[str]) -> tuple[int, list[str]]:
    """Lies of `WAYS` in every column, and those that are noticed in none of the networks that they change."""
    data, spec = load(folder), Spec.of(SPECS[which])
    missed: list[str] = []
    told = 0
    for name in dict.fromkeys(n for case, n, _ in CASES if case == which and n in tables):
        found, options = table(name), spec.tables[name]
        schema = found.schema(options)
        everything: list[tuple[Any, list[Any], Any]] = []
        for number in range(spec.count):
            rows, item = data[name].to_arrow(network=number).to_pylist()[:MOST], Networks(spec).item(number)

            def beside(other: str, columns: Any, number: int = number) -> Any:
                return data[other].to_arrow(list(columns), network=number) if other in data else None

            if rows:
                everything.append((item, rows, beside))
                short = len(rows) == MOST  # then rows are missing, and only the check of rows is asked
                honest = list(found.check(item, rows, options)) + (
                    []
                    if short or found.whole is None
                    else list(_whole(found, item, data[name], number, options, beside))
                )
                assert not [t for t in honest if not isinstance(t, Unsure)], honest
        for column in schema.names:
            if column == "network" or column in found.provenance:
                continue
            for way, lie in WAYS.items():
                lies = [
                    (item, [{**r, column: v} for r, v in zip(rows, lie([r[column] for r in rows]))], rows, beside)
                    for item, rows, beside in everything
                    if column not in ("skipped", "reasons") or rows[0]["skipped"]
                ]
                lies = [entry for entry in lies if repr(entry[1]) != repr(entry[2])][:TRIED]
                if lies and not any(noticed(found, item, bad, options, schema, b) for item, bad, _, b in lies):
                    missed.append(f"{name}.{column}: {way}")
                told += bool(lies)
    return told, missed


@pytest.mark.parametrize("name", CHEAP)
def test_every_column_in_many_ways(made: tuple[str, Path], name: str) -> None:
    """All tables: ``scripts/attacks/files/columns.py``."""
    which, folder = made
    if name not in SPECS[which]["tables"]:
        pytest.skip("not in this dataset")
    told, missed = lies_told(which, folder, (name,))
    assert told > 20
    assert not missed


def _whole(found: Any, item: Any, view: Any, number: int, options: Any, beside: Any) -> Any:
    return found.whole(item, view.to_arrow(list(found.identity), network=number), options, beside)


def asked_whole(found: Any, item: Any, rows: list[Any], column: str, options: Any, beside: Any) -> bool:
    """Whether the check of all rows complains of one value that is changed, and of none otherwise."""
    import pyarrow as pa

    fields = [found.schema(options).field(name) for name in found.identity]
    told = []
    for values in (rows, [{**rows[0], column: falsified(rows[0][column])}, *rows[1:]]):
        identity = pa.Table.from_pylist([{f.name: row[f.name] for f in fields} for row in values], pa.schema(fields))
        told.append([t for t in found.whole(item, identity, options, beside) if not isinstance(t, Unsure)])
    assert not told[0], told[0]
    return bool(told[1])


def test_every_column(made: tuple[str, Path]) -> None:
    which, folder = made
    data, spec = load(folder), Spec.of(SPECS[which])
    missed: list[str] = []
    looked: set[tuple[str, int]] = set()
    for case, name, column in CASES:
        if case != which or column == "network":  # whose rows lie where is checked for all rows, by structure
            continue
        found, options = table(name), spec.tables[name]
        if column in found.provenance or column not in data[name].columns:
            continue
        noticed = None
        for number in range(spec.count):
            rows = data[name].to_arrow(network=number).to_pylist()
            if not rows or (column in ("skipped", "reasons") and not rows[0]["skipped"]):
                continue
            item = Networks(spec).item(number)
            if (name, number) not in looked:
                honest = [t for t in found.check(item, rows[:12], options) if not isinstance(t, Unsure)]
                assert not honest, honest
                looked.add((name, number))
            lies = [{**row, column: falsified(row[column])} for row in rows[:12]]
            try:
                noticed = any(not isinstance(t, Unsure) for t in found.check(item, lies, options))
            except Exception:  # validate says: cannot be derived again
                noticed = True
            if not noticed and column in found.identity:  # asked of all rows of the network

                def beside(other: str, columns: Any, number: int = number) -> Any:
                    return data[other].to_arrow(list(columns), network=number) if other in data else None

                noticed = asked_whole(found, item, rows, column, options, beside)
            if noticed:
                break
        if noticed is False:
            missed.append(f"{name}.{column}")
    assert not missed


NAN = float("nan")
LIES = [
    ("relu", "cells", "a", lambda v: [v[0], *v]),
    ("relu", "cells", "A", lambda v: [1.0024 * x for x in v]),
    ("relu", "cells", "A", lambda v: [x + 1e-7 for x in v]),
    ("relu", "cells", "A", lambda v: [NAN for _ in v]),
    ("relu", "cells", "volume", lambda v: None if v is None else NAN),
    ("relu", "cells", "walls", lambda v: [w - 1000 for w in v]),
    ("relu", "cells", "offsets", lambda v: v[:1] if len(v) > 1 else [*v, *v]),
    ("relu", "facets", "offset", lambda v: NAN),
    ("relu", "facets", "weight", lambda v: [*v, v[0]]),
    ("relu", "facets", "weight", lambda v: [NAN for _ in v]),
    ("relu", "facets", "size", lambda v: None if v is None else NAN),
    ("relu", "pairs", "difference", lambda v: NAN),
    ("relu", "pairs", "seen", lambda v: NAN),
    ("relu", "pairs", "seen", lambda v: v + 0.001),
    ("relu", "pairs", "change", lambda v: NAN),
    ("relu", "pairs", "box", lambda v: [] if v is None else None),
    ("linear", "trajectories", "weights", lambda v: [*v, 0.0]),
    ("linear", "trajectories", "singular_values", lambda v: [*v, v[-1]]),
]  # fmt: skip


def test_lies_that_slip_through_loose_comparisons(made: tuple[str, Path]) -> None:
    """NaN, which is not larger than any bound; lists of other lengths, which numpy repeats; changes below a step of a count."""
    which, folder = made
    data, spec = load(folder), Spec.of(SPECS[which])
    missed: list[str] = []
    if which == "relu":  # a facet that does not bend has no weight to tell a turned normal by
        for row in data["facets"].to_arrow().to_pylist():
            turned = [row["normal"][0] + 0.05, *row["normal"][1:]]
            lie = {**row, "normal": turned, "offset": sum(a * b for a, b in zip(turned, row["point"]))}
            if not list(table("facets").check(Networks(spec).item(row["network"]), [lie], spec.tables["facets"])):
                missed.append(f"facets.normal: {row['normal']} -> {turned}")
    for case, name, column, lie in LIES:
        if case != which:
            continue
        told = 0
        for number in range(spec.count):
            rows, item = data[name].to_arrow(network=number).to_pylist(), Networks(spec).item(number)
            for row in rows[:6]:
                value = lie(row[column])
                if value == row[column]:
                    continue
                found = list(table(name).check(item, [{**row, column: value}], spec.tables[name]))
                told += any(not isinstance(t, Unsure) for t in found)
                if not found:
                    missed.append(f"{name}.{column} of network {number}: {row[column]} -> {value}")
        assert told, (name, column)
    assert not missed


@pytest.mark.parametrize("name", ["cells", "facets"])
def test_rows_that_are_missing_or_there_twice(
    made: tuple[str, Path], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where every checksum and count agrees with what is left."""
    import pyarrow as pa

    which, folder = made
    if which != "relu":
        pytest.skip("one dataset will do")
    data, spec = load(folder), Spec.of(SPECS[which])
    found, options = table(name), spec.tables[name]
    for number in range(spec.count):
        rows, item = data[name].to_arrow(list(found.identity), network=number), Networks(spec).item(number)
        honest = [str(t) for t in found.whole(item, rows, options, alone) if not isinstance(t, Unsure)]
        assert not honest, honest
        ways = (
            rows.slice(1),
            pa.concat_tables([rows.slice(1), rows.slice(1, 1)]),
            pa.concat_tables([rows, rows.slice(0, 1)]),
        )
        other = ways[number % 3]  # each on several networks
        assert [t for t in found.whole(item, other, options, alone) if not isinstance(t, Unsure)], number
    reader, fewer = type(data[name]), []

    def without_the_last(self: Any, columns: Any = None, *, network: int | None = None) -> Any:
        rows = whole(self, columns, network=network)
        if self.name == name and network is not None and len(rows) > 1:
            fewer.append(network)
            return rows.slice(0, len(rows) - 1)
        return rows

    whole = reader.to_arrow
    monkeypatch.setattr(reader, "to_arrow", without_the_last)
    report = validate(folder, rows=1, redo=0, rng=0)
    assert fewer
    assert any(f"{name}" in text for text in report.problems), report.problems


@pytest.mark.parametrize("cells", [True, False], ids=["beside cells", "alone"])
@pytest.mark.parametrize("box", [False, True], ids=["all of R^n", "box"])
def test_the_regions_on_both_sides_of_each_facet(cells: bool, box: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each number changed in turn; regions swapped and renumbered."""
    import pyarrow as pa

    import polyfiber as pf
    from polyfiber.datasets.checks import whole as whole_check
    from polyfiber.datasets.checks.faces import Unclear
    from polyfiber.datasets.tables import Item

    net = pf.ReLUNetwork.random((2, 4, 2, 1), rng=4)
    item = Item(0, "s", "random", 0, net, 1, (0, 0), domain=pf.Box(-2.0, 2.0, dimension=2) if box else None)

    def unclear(*_: Any) -> Any:
        raise Unclear("facets that are missing are asked for elsewhere, and slowly")

    monkeypatch.setattr(whole_check, "all_signs", unclear)

    def rows_of(name: str) -> Any:
        found = table(name)
        return pa.Table.from_batches(list(found.rows([item], found.check_options({}, ""))))

    facets, made = table("facets"), rows_of("cells")
    options = facets.check_options({}, "")
    whole = rows_of("facets").select(list(facets.identity))

    def told(rows: list[dict[str, Any]]) -> list[str]:
        changed = pa.Table.from_pylist(rows, whole.schema)
        beside = (lambda other, columns: made.select(list(columns)) if other == "cells" else None) if cells else alone
        assert facets.whole is not None
        return [t for t in facets.whole(item, changed, options, beside) if not isinstance(t, Unsure)]

    rows = whole.to_pylist()
    assert told(rows) == []
    for i, row in list(enumerate(rows))[::4]:
        for column, other in (("positive", "negative"), ("negative", "positive")):
            for value in (row[column] + 1, row[other], 10**6, -1):
                assert told([*rows[:i], {**row, column: value}, *rows[i + 1 :]]), (i, column, value)
    assert told([{**r, "positive": r["negative"], "negative": r["positive"]} for r in rows])
    assert told([{**r, "positive": 2 * r["positive"], "negative": 2 * r["negative"]} for r in rows])


def test_only_numbers_and_origins_are_taken_on_trust() -> None:
    for name in NAMES:
        assert set(table(name).provenance) <= {
            "source",
            "index",
            "provenance",
            "pair",
            "cell",
            "facet",
            "block",
        }
