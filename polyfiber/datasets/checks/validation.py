"""Validate a dataset: checksums, schema, and a random sample of rows derived again, another way."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..._typing import FloatArray, ProgressLike, RngLike
from ..._values.checked import generator_of, whole
from ...budget import Monitor
from ...errors import InputError, PolyfiberError
from ...network.piecewise import require_chain
from ...words import one_line
from ..execution.work import run_partition
from ..networks import Networks, reason_of
from ..plan import Plan
from ..publishing.manifest import copies
from ..reader import Dataset, opened
from ..storage.arrow import told
from ..storage.documents import LARGEST
from ..storage.networks import parameters_of
from ..storage.places import UNFINISHED
from ..storage.store import OWN, SUMS, Directory, listed, members
from ..tables import table
from ..tables.base import OUT_OF_TIME, Item, Unsure
from . import draws
from .documents import documents
from .structure import structure

MOST_WHOLE = 20_000
"""Rows of a network up to which it is asked whether all are there."""


@dataclass(frozen=True)
class Validation:
    """What `validate` found.

    Attributes
    ----------
    directory : Path
    problems : tuple of str
        One sentence each; empty if the dataset is what it claims to be, as far as was looked.
    files : int
        Files whose checksum was compared.
    rows : mapping
        Rows of each table that were derived again.
    redone : tuple of int
        Partitions that were made again and compared byte for byte.
    undecided : mapping
        Of each table, the answers that the checks could not decide: no disagreement, no agreement either.
    reasons : tuple of str
        Why, each once.
    unknown : tuple of str
        Files anywhere in the folder that no run wrote and nothing reads, such as notes of a user. Where a reader
        of a table would take them for parts of it they are problems, and links are, wherever they lie.

    Examples
    --------
    >>> import tempfile
    >>> from polyfiber.datasets import run, validate
    >>> spec = {"name": "tiny", "seed": 1, "networks": [{"kind": "random", "architecture": [2, 4, 1], "count": 5}]}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     report = run(spec, folder, workers=0)
    ...     found = validate(folder)
    >>> found.ok, found.problems
    (True, ())
    """

    __repr__ = one_line

    directory: Path | str
    problems: tuple[str, ...]
    files: int
    rows: Mapping[str, int]
    redone: tuple[int, ...] = ()
    undecided: Mapping[str, int] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    stats: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether nothing disagrees."""
        return not self.problems


def validate(
    directory: str | Path, *, rows: int = 64, redo: int = 0, rng: RngLike = None, progress: ProgressLike = None
) -> Validation:
    """Check a finished dataset.

    Parameters
    ----------
    directory : path
    rows : int
        How many rows of each table to derive again, by means that do not share the code that wrote
        them (rationals, linear programs, evaluation); all rows if there are fewer.
    redo : int
        How many partitions to make again and compare byte for byte (needs the versions of the plan).
    rng
        Which rows and partitions; anything `numpy.random.default_rng` takes.
    progress : None, True or callable

    Returns
    -------
    Validation

    Raises
    ------
    FileFormatError, IncompleteError
        Not a dataset, or not finished.

    Examples
    --------
    >>> import tempfile
    >>> from polyfiber.datasets import run, validate
    >>> spec = {"name": "tiny", "seed": 1, "networks": [{"kind": "random", "architecture": [2, 4, 1], "count": 5}]}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     report = run(spec, folder + "/tiny", workers=0)
    ...     found = validate(folder + "/tiny", rng=0)
    >>> found.ok, found.rows["networks"]
    (True, 5)
    """
    rows, redo = whole(rows, "rows", least=0, most=1 << 40), whole(redo, "redo", least=0, most=1 << 40)
    data = opened(directory)
    place = data.place
    plan = Plan.read(place)
    monitor = Monitor(None, progress)
    generator = generator_of(rng)
    problems = list(_files(place, plan, data, monitor))
    n_files = len(place.signed())
    unknown = _unknown(place, plan, problems)
    if not problems:
        problems += structure(place, plan, data, monitor)
    if not problems:
        problems += documents(place, plan, data.manifest)
    checked: dict[str, int] = dict.fromkeys(plan.spec.tables, 0)
    redone: list[int] = []
    unsure: dict[str, int] = {}
    reasons: list[str] = []
    if not problems:  # a damaged file would only be reported again
        for name in plan.spec.tables:
            checked[name], found = _rows(name, plan, data, rows, generator, monitor)
            unsure[name] = sum(isinstance(text, Unsure) for text in found)
            reasons += [f"{name}: {text}" for text in found if isinstance(text, Unsure)]
            problems += [text for text in found if not isinstance(text, Unsure)]
        chosen = generator.permutation(len(plan.partitions))[:redo]
        redone = sorted(int(i) for i in chosen)
        problems += _redo(place, plan, redone, monitor)
    return Validation(
        place.path,
        tuple(problems),
        n_files,
        checked,
        tuple(redone),
        unsure,
        tuple(dict.fromkeys(reasons)),
        unknown,
        {"seconds": monitor.elapsed},
    )


def validate_row(directory: str | Path, table_name: str, row: int) -> Validation:
    """Derive one row of a table again, as `validate` does; files and the other rows are not looked at.

    Parameters
    ----------
    directory : path
    table_name : str
    row : int
        Number of the row in the table, from 0.

    Returns
    -------
    Validation

    Raises
    ------
    FileFormatError, IncompleteError
        Not a dataset, or not finished.
    InputError
        No such table, or no such row.

    Examples
    --------
    >>> import tempfile
    >>> from polyfiber.datasets import run, validate_row
    >>> spec = {"name": "tiny", "seed": 1, "networks": [{"kind": "random", "architecture": [2, 4, 1], "count": 5}]}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     report = run(spec, folder + "/tiny", workers=0)
    ...     found = validate_row(folder + "/tiny", "networks", 3)
    >>> found.ok, dict(found.rows)
    (True, {'networks': 1})
    """
    data = opened(directory)
    plan = Plan.read(data.place)
    row = whole(row, "a row")
    if not isinstance(table_name, str) or table_name not in plan.spec.tables:
        raise InputError(f"there is no table {table_name!r}; found {', '.join(plan.spec.tables)}")
    total = len(data[table_name])
    if not 0 <= row < total:
        raise InputError(f"row {row} of {table_name!r} does not exist; the table has rows 0 to {total - 1}")
    monitor = Monitor(None)
    found = _chosen_rows(table_name, plan, data, np.array([row]), monitor)
    unsure = tuple(text for text in found if isinstance(text, Unsure))
    problems = tuple(text for text in found if not isinstance(text, Unsure))
    seconds = {"seconds": monitor.elapsed}
    return Validation(
        data.place.path, problems, 0, {table_name: 1}, (), {table_name: len(unsure)}, tuple(unsure), stats=seconds
    )


def _files(place: Directory, plan: Plan, data: Dataset, monitor: Monitor) -> Iterator[str]:
    """Checksums; files that are missing or that nobody knows."""
    known = place.signed()
    if not known:
        yield f"{SUMS} is missing or empty"
    elif place.place.read(SUMS, most=LARGEST) != listed(known):
        yield f"{SUMS}: not one line for each file in the order of names, as 'sha256sum -c' reads it"
    lacking = place.unsigned(plan.spec.tables, len(plan.partitions), plan.versions)
    for name in [*lacking, *(name for name in copies(plan) if name not in known)]:
        yield f"{name}: not in {SUMS}"
    whole = {*members(plan.spec.tables, len(plan.partitions)), *copies(plan)}
    for name in known:
        if name not in whole:
            yield f"{name}: in {SUMS}, not part of the dataset"
    for i, (name, digest) in enumerate(known.items()):
        try:
            found = place.read_sum(name) if place.has(name) else None
        except PolyfiberError as error:  # a name that leads elsewhere, a link
            yield str(error)
            continue
        if found is None:
            yield f"{name}: missing"
        elif found != digest:
            yield f"{name}: the checksum is not the one in {SUMS}"
        monitor.report("checksums", i + 1, len(known))
    here = [f"{folder}/{file}" for folder in (*data, "records") for file in place.place.names(folder)]
    strangers = [name for name in here if name not in known] + place.strangers(data, len(data.partitions))
    for name in dict.fromkeys(strangers):
        yield f"{name}: not part of the dataset"
    with contextlib.suppress(InputError):  # too many entries to look at, which `unknown` says
        yield from (f"{name}: a link, which tools that publish folders follow" for name in place.place.links())


def _unknown(place: Directory, plan: Plan, told: Sequence[str]) -> tuple[str, ...]:
    """Everything in the folder that is no part of the dataset and is not named as a problem already."""
    ours = {*members(plan.spec.tables, len(plan.partitions)), *copies(plan), *OWN}
    named = {text.partition(":")[0] for text in told}
    everything = place.place.walk(everything=True)
    try:
        found = [n for n in everything if n not in ours and not n.startswith(UNFINISHED + "/")]
    except InputError as error:  # too many to look at
        return (str(error),)
    return tuple(sorted(n for n in found if n not in named))


def _rows(
    name: str, plan: Plan, data: Dataset, count: int, generator: np.random.Generator, monitor: Monitor
) -> tuple[int, list[str]]:
    """Draw rows of a table and derive them again."""
    total = len(data[name])
    chosen = np.sort(generator.choice(total, size=min(count, total), replace=False)) if total else np.zeros(0, int)
    return len(chosen), _chosen_rows(name, plan, data, chosen, monitor)


def _chosen_rows(name: str, plan: Plan, data: Dataset, chosen: Any, monitor: Monitor) -> list[str]:
    """Derive rows of a table, by their numbers, again."""
    found, options = table(name), plan.spec.tables[name]
    networks = Networks(plan.spec)
    problems: list[str] = []
    view = data[name]
    by_network: dict[int, list[dict[str, Any]]] = {}
    try:
        for row in _read_rows(view, chosen):
            by_network.setdefault(row["network"], []).append(row)
    except PolyfiberError as error:  # pages that the checksum covers and nobody can decode
        return [str(error)]
    for i, (number, group) in enumerate(by_network.items()):
        item = networks.item(number)
        if name != "networks" and not item.failed:
            item = _stored(item, data)
        try:
            complaints = [
                text if isinstance(text, Unsure) else f"{name}, network {number}: {text}"
                for text in found.check(item, group, options)
            ]
        except Exception as error:  # rows that are no such rows may raise anything
            complaints = [f"{name}, network {number}: cannot be derived again: {reason_of(error)}"]
        if name == "networks" and not item.failed:
            complaints += [
                text if isinstance(text, Unsure) else f"networks, network {number}: {text}"
                for row in group
                for text in (*_skips(item, row, plan, data), *_draws(row, plan, data))
            ]
        problems += complaints
        item.release()
        unsure = sum(isinstance(text, Unsure) for text in problems)
        monitor.report(
            "rows", i + 1, len(by_network), table=name, disagreements=len(problems) - unsure, undecided=unsure
        )
    return problems


def _draws(row: Mapping[str, Any], plan: Plan, data: Dataset) -> Iterator[str]:
    """The parameters against the rule that the documentation gives."""

    def base(number: int) -> tuple[FloatArray, Any]:
        net = require_chain(data.network(number), "a network that others are made from")
        return parameters_of(net), net.architecture

    return draws.differences(plan.spec, row["network"], np.array(row["parameters"]), base)


def _skips(item: Item, row: Mapping[str, Any], plan: Plan, data: Dataset) -> Iterator[str]:
    """Tables that a network is left out of have no rows of it, and refuse it again, with the same words; the others
    have all.
    """
    skipped = dict(zip(row["skipped"], row["reasons"]))
    for name in skipped:
        if name not in plan.spec.tables or name == "networks":
            yield f"left out of {name!r}, which is no table that leaves networks out"
    for name, options in plan.spec.tables.items():
        found = table(name)
        if name in ("networks", "blocks") or not found.accepts(item):
            continue
        count = data[name].to_arrow(["network"], network=item.id).num_rows
        if name not in skipped and found.whole is not None:
            if count > MOST_WHOLE:
                yield Unsure(f"whether {name} are missing: more than {MOST_WHOLE} rows of a network")
            else:
                rows = data[name].to_arrow(list(found.identity), network=item.id)

                def beside(other: str, columns: Sequence[str]) -> Any:
                    there = other in plan.spec.tables and other not in skipped
                    return data[other].to_arrow(list(columns), network=item.id) if there else None

                yield from (
                    text if isinstance(text, Unsure) else f"{name}: {text}"
                    for text in found.whole(item, rows, options, beside)
                )
        if name not in skipped:
            if count == 0 and name in (
                "complexes",
                "cells",
                "fibers",
                "strata",
                "critical",
                "trajectories",
                "geodesics",
            ):
                yield f"no rows in {name}, and no reason for it"
            continue
        if count:
            yield f"left out of {name}, which has {count} rows of it"
        if plan.spec.source_of(item.id).split:
            continue  # left out for being enumerated in blocks
        if skipped[name] == OUT_OF_TIME:  # another machine, or another hour, may have the time
            yield Unsure(f"whether {name} has to be left out for time")
            continue
        try:
            for _ in found.rows([item], options):
                pass
            yield f"left out of {name}, which takes it when it is tried again"
        except PolyfiberError as error:
            if reason_of(error) == OUT_OF_TIME:
                yield Unsure(f"whether {name} has to be left out: the time ended before its reason")
            elif reason_of(error) != skipped[name]:
                yield f"left out of {name} for {skipped[name]!r}; tried again: {reason_of(error)!r}"


def _stored(item: Item, data: Dataset) -> Item:
    """The item with its network, and that of its origin, as the files have them."""
    origin = item.origin
    if origin is not None and item.origin_id >= 0:
        origin = require_chain(data.network(item.origin_id), "the origin of a network")
    return replace(item, network=data.network(item.id), origin=origin)


def _read_rows(view: Any, chosen: Any) -> Iterator[dict[str, Any]]:
    """Rows by their number in the table, reading one row group at a time."""
    start = 0
    wanted: Sequence[int] = chosen.tolist()
    at = 0
    for path in view.files:
        with view.open(path) as stream, told(path):
            for group in range(stream.metadata.num_row_groups):
                size = stream.metadata.row_group(group).num_rows
                mine = []
                while at < len(wanted) and wanted[at] < start + size:
                    mine.append(wanted[at] - start)
                    at += 1
                if mine:
                    yield from stream.read_row_group(group).take(mine).to_pylist()
                start += size


def _redo(place: Directory, plan: Plan, chosen: Sequence[int], monitor: Monitor) -> Iterator[str]:
    for i, index in enumerate(chosen):
        kept = place.record(plan.partition(index), plan.fingerprint, plan.spec.tables)
        with tempfile.TemporaryDirectory() as folder:
            made = run_partition(plan, index, folder)
        for name, facts in made["tables"].items():
            if kept is None or kept["tables"].get(name) != facts:
                yield f"{name}, partition {index}: made again, it is not the same file"
        monitor.report("partitions made again", i + 1, len(chosen))
