"""The work of one partition: the same bytes alone or among others, here or on another machine."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...budget import Budget, Monitor
from ...errors import InputError, MissingDependencyError, PolyfiberError
from ..networks import Networks, reason_of
from ..plan import Partition, Plan, versions
from ..spec import FORMAT_VERSION, SECONDS
from ..storage.networks import n_numbers
from ..storage.store import Directory, TableWriter
from ..tables import table
from ..tables.base import Item, Skip, Table
from .splitting import fill_split

CHUNK = 1024
"""Networks that are in memory at a time, fewer where their parameters are more than may wait (`Spec.waiting`)."""


class _WithdrawError(Exception):
    """An item failed in a table that already holds some of its rows: start the partition anew without it."""

    def __init__(self, network: int, name: str, reason: str) -> None:
        super().__init__(reason)
        self.place = (network, name)
        self.reason = reason


@dataclass
class Tally:
    """What a partition holds, for its record and for the live view."""

    networks: int = 0
    failed: int = 0
    regions: int = 0
    skipped: int = 0


def run_partition(plan: Plan, index: int, directory: str | Path | Directory) -> dict[str, Any]:
    """Do a partition and put it in its place.

    Parameters
    ----------
    plan : Plan
    index : int
    directory : path, address or Directory
        The dataset; must be the same directory on every worker.

    Returns
    -------
    dict
        The record: rows, bytes and SHA-256 of each table, networks, failed and skipped ones.

    Raises
    ------
    InputError
        The versions here are not those of the plan: the bytes would differ.
    """
    here = versions()
    if dict(here) != dict(plan.versions):
        odd = ", ".join(
            f"{k} {v} (planned with {plan.versions.get(k)})" for k, v in here.items() if plan.versions.get(k) != v
        )
        raise InputError(f"this worker has {odd}; the files would differ. Use one environment, or plan again")
    place = directory if isinstance(directory, Directory) else Directory(directory)
    partition = plan.partition(index)
    withdrawn: dict[tuple[int, str], str] = {}
    while True:
        writers = _open(plan, partition, place.work)
        try:
            fill = _fill_split if partition.blocks else _fill
            tally = fill(plan, partition, writers, withdrawn)
            written = {name: writer.close() for name, writer in writers.items()}
        except _WithdrawError as again:
            withdrawn[again.place] = again.reason
            for writer in writers.values():
                writer.abandon()
            continue
        except BaseException:
            for writer in writers.values():
                writer.abandon()
            raise
        record = {
            "format_version": FORMAT_VERSION,
            "fingerprint": plan.fingerprint,
            "partition": index,
            "source": partition.source,
            "first": partition.first,
            "networks": tally.networks,
            "failed": tally.failed,
            "skipped": tally.skipped,
            "regions": tally.regions,
            "tables": {name: facts.to_json() for name, facts in written.items()},
        }
        place.commit(index, {name: writer.path for name, writer in writers.items()}, record)
        return record


def facts_of(plan: Plan, partition: Partition, name: str) -> dict[str, Any]:
    """What the file of a table and a partition says of itself."""
    return {
        "format_version": FORMAT_VERSION,
        "dataset": plan.spec.name,
        "fingerprint": plan.fingerprint,
        "seed": plan.spec.seed,
        "partition": partition.index,
        "networks": [partition.first, partition.stop],
        "versions": dict(plan.versions),
        "table": name,
        "options": dict(plan.spec.tables[name]),
        "about": table(name).doc,
    }


def _open(plan: Plan, partition: Partition, work: Path) -> dict[str, TableWriter]:
    writers = {}
    for name, options in plan.spec.tables.items():
        writers[name] = TableWriter(
            work / f"{name}-{partition.index:05d}-{uuid.uuid4().hex}.parquet",
            table(name).schema(options),
            metadata={"polyfiber": json.dumps(facts_of(plan, partition, name), sort_keys=True)},
            row_group=plan.spec.row_group,
            most=plan.spec.waiting,
        )
    return writers


def _fill(
    plan: Plan, partition: Partition, writers: Mapping[str, TableWriter], withdrawn: Mapping[tuple[int, str], str]
) -> Tally:
    """Write the rows of all tables, a chunk of networks at a time."""
    tally = Tally()
    items = Networks(plan.spec).items(partition.first, partition.stop)
    asked = [(table(name), options) for name, options in plan.spec.tables.items() if name != "networks"]
    while chunk := _chunk(items, plan.spec.waiting):
        skips: dict[int, list[Skip]] = {item.id: [] for item in chunk}
        good = [item for item in chunk if not item.failed]
        for item in good:
            for found, options in asked:
                if found.group == 1 and found.accepts(item):
                    _emit(found, [item], options, writers[found.name], skips, withdrawn)
            tally.regions += item.release()
        for found, options in asked:
            if found.group > 1:
                wanted = [item for item in good if found.accepts(item)]
                for start in range(0, len(wanted), found.group):
                    _emit(found, wanted[start : start + found.group], options, writers[found.name], skips, withdrawn)
        noted = [replace(item, skipped=tuple(skips[item.id])) for item in chunk]
        _emit(table("networks"), noted, plan.spec.tables["networks"], writers["networks"], skips, withdrawn)
        tally.networks += len(chunk)
        tally.failed += len(chunk) - len(good)
        tally.skipped += sum(bool(s) for s in skips.values())
    return tally


def _chunk(items: Iterator[Item], most: int) -> list[Item]:
    """The next items, until they are `CHUNK` or their parameters take ``most`` bytes."""
    chunk: list[Item] = []
    size = 0
    while len(chunk) < CHUNK and size < most and (item := next(items, None)) is not None:
        chunk.append(item)
        size += 0 if item.failed else 8 * n_numbers(item.network)
    return chunk


def _fill_split(
    plan: Plan, partition: Partition, writers: Mapping[str, TableWriter], withdrawn: Mapping[tuple[int, str], str]
) -> Tally:
    """Write the rows of some blocks of one network; its row in table ``networks`` goes with the first of them."""
    item = Networks(plan.spec).item(partition.first)
    regions, skips = fill_split(item, partition.part, partition.blocks, plan.spec.tables, writers)
    if partition.part:
        return Tally(regions=regions)
    noted = replace(item, skipped=skips)
    _emit(table("networks"), [noted], plan.spec.tables["networks"], writers["networks"], {item.id: []}, withdrawn)
    return Tally(networks=1, regions=regions, skipped=int(bool(skips)))


def _emit(
    found: Table,
    items: Sequence[Item],
    options: Mapping[str, Any],
    writer: TableWriter,
    skips: Mapping[int, list[Skip]],
    withdrawn: Mapping[tuple[int, str], str],
) -> None:
    """Rows of some items into one table; items that fail are noted as skipped."""
    items = [item for item in items if not _skip(found, item, skips, withdrawn)]
    if not items:
        return
    started = False
    try:
        for batch in _batches(found, items, options):
            writer.write(batch)
            started = True
    except MissingDependencyError:
        raise
    except PolyfiberError as error:
        if len(items) > 1 and not started:
            for item in items:
                _emit(found, [item], options, writer, skips, withdrawn)
        elif started:
            raise _WithdrawError(
                items[0].id if len(items) == 1 else _culprit(found, items, options), found.name, reason_of(error)
            ) from None
        else:
            skips[items[0].id].append(Skip(found.name, reason_of(error)))


def _skip(found: Table, item: Item, skips: Mapping[int, list[Skip]], withdrawn: Mapping[tuple[int, str], str]) -> bool:
    reason = withdrawn.get((item.id, found.name))
    if reason is None:
        return False
    if all(s.table != found.name for s in skips[item.id]):
        skips[item.id].append(Skip(found.name, reason))
    return True


def _culprit(found: Table, items: Sequence[Item], options: Mapping[str, Any]) -> int:
    """The first of several items whose rows cannot be made alone."""
    for item in items:
        try:
            for _ in _batches(found, [item], options):
                pass
        except PolyfiberError:
            return item.id
    raise AssertionError(f"table {found.name}: a group of items fails although each of them does not")


def _batches(found: Table, items: Sequence[Item], options: Mapping[str, Any]) -> Iterator[Any]:
    schema = found.schema(options)
    # a network that was made has its row, which is where the tables that it is left out of are noted
    seconds = None if found.name == "networks" else sum(item.seconds or SECONDS for item in items)
    watched = Monitor(Budget(seconds=seconds))
    rows = found.rows(items, options)
    while True:
        with watched.watching():
            batch = next(rows, None)
        if batch is None:
            return
        watched.check_time(f"table {found.name}")
        if not batch.schema.equals(schema):
            raise AssertionError(f"table {found.name}: rows of schema {batch.schema}, expected {schema}")
        yield batch
