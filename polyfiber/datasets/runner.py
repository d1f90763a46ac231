"""Run a plan: do what is not done yet, in one process, several, or on a cluster."""

from __future__ import annotations

import datetime
import platform
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .._typing import ProgressLike
from .._values.checked import flag, shown, whole
from ..budget import Monitor
from ..errors import InputError
from ..words import one_line
from .execution import schedule
from .plan import Plan, make_plan
from .publishing.manifest import refuse_strangers, sign
from .sources import KINDS
from .sources.inputs import COPIES, copy_name
from .spec import Spec, read_spec
from .storage.arrow import pyarrow
from .storage.places import UNFINISHED
from .storage.store import Directory


@dataclass(frozen=True)
class RunReport:
    """What a run did.

    Attributes
    ----------
    directory : Path, or the address of a bucket
    partitions : int
        All of them.
    done : int
        Done by this run.
    kept : int
        Found done.
    failures : tuple of (partition, reason)
        Partitions that are not done; run again to try them again.
    networks, failed, skipped : int
        Of all partitions that are done: networks; those that could not be made; those that some
        table leaves out.
    rows, bytes : mapping
        Of each table, over all partitions that are done.
    seconds : float

    Examples
    --------
    >>> import tempfile
    >>> from polyfiber.datasets import run
    >>> spec = {"name": "tiny", "seed": 1, "networks": [{"kind": "random", "architecture": [2, 4, 1], "count": 5}]}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     report = run(spec, folder, workers=0)
    >>> report.networks, report.failures
    (5, ())
    """

    __repr__ = one_line

    directory: Path | str
    partitions: int
    done: int
    kept: int
    failures: tuple[tuple[int, str], ...]
    networks: int
    failed: int
    skipped: int
    rows: Mapping[str, int]
    bytes: Mapping[str, int]
    stats: Mapping[str, Any] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether every partition is done."""
        return self.done + self.kept == self.partitions


def prepare(spec: Spec | str | Path | Mapping[str, Any], directory: str | Path | Directory) -> Plan:
    """The plan of a directory: made and written if the directory is new, read if it is there.

    Files that the spec names are copied in first, so that the dataset needs nothing else afterwards.
    Words for the card (title, licence, …) are taken from the spec that is given now.

    Raises
    ------
    InputError
        The directory holds another dataset.
    """
    spec = _checked(spec)
    place = directory if isinstance(directory, Directory) else Directory(directory)
    if place.has("plan.json"):
        old = Plan.read(place)
        if old.fingerprint != spec.fingerprint:
            raise InputError(f"{place} holds a dataset of another spec ({old.spec.name}); choose another directory")
        _copy_inputs(spec, place)
        plan = Plan(Spec.of(spec.given, planned=spec.resolved(), dataset=place.place), old.partitions, old.versions)
        if plan.to_json() != old.to_json():
            place.write_json("plan.json", plan.to_json())
        return plan
    if any(name not in (".lock", UNFINISHED, COPIES) for name in place.place.names()):
        raise InputError(f"{place} holds files but no plan.json; choose a new or an empty directory")
    plan = make_plan(spec)
    _copy_inputs(spec, place)
    place.write_json("plan.json", plan.to_json())
    return Plan.read(place)


def _copy_inputs(spec: Spec, place: Directory) -> None:
    """Put the files that networks are made from beside the data."""
    for source in spec.sources:
        for name, digest in KINDS[source.kind].files(source.values):
            copy = copy_name(name, digest)
            if not place.has(copy) or place.sha256(copy) != digest:
                place.place.copy_in(copy, source.inputs.path(name, digest))


def _checked(spec: Spec | str | Path | Mapping[str, Any]) -> Spec:
    if isinstance(spec, Spec):
        return spec
    return read_spec(spec) if isinstance(spec, str | Path) else Spec.of(spec)


def run(
    spec: Spec | str | Path | Mapping[str, Any],
    directory: str | Path,
    *,
    workers: int = 1,
    client: Any = None,
    partitions: Sequence[int] | None = None,
    redo: bool = False,
    finish: bool = True,
    progress: ProgressLike = None,
) -> RunReport:
    """Make a dataset, or complete one that was interrupted.

    Parameters
    ----------
    spec : Spec, path of a TOML file, or mapping
    directory : path or address
        A folder, or ``s3://…``, ``gs://…``, ``memory://…`` and what else fsspec knows. On a cluster: one
        that all workers and this process share.
    workers : int
        Processes on this machine, one thread each; 0 works in this process. Ignored with ``client``.
    client : dask.distributed.Client or str, optional
        A client, or the address of a scheduler.
    partitions : sequence of int, optional
        Do only these; all by default.
    redo : bool
        Do partitions again that are done. The bytes will be the same.
    finish : bool
        Write manifest, checksums and card when all is done (and ``partitions`` is not given).
    progress : None, True or callable
        Receives networks done (partitions, where complexes are split), with ``partitions``, ``regions``,
        ``rows``, ``skipped`` and ``failures`` as facts.

    Returns
    -------
    RunReport

    Raises
    ------
    InputError
        The directory holds another dataset, or another run is at work in it.
    MissingDependencyError
        Without pyarrow; without dask where a cluster is asked for.

    Notes
    -----
    Files are written under a temporary name, synced and renamed, the record of a partition last:
    killed at any moment, the next run does the partitions without a record and no others. The bytes
    of a partition follow from the spec, its seed and the versions in ``plan.json`` alone.

    Examples
    --------
    >>> import tempfile
    >>> from polyfiber.datasets import run
    >>> spec = {"name": "tiny", "seed": 1, "networks": [{"kind": "random", "architecture": [2, 4, 1], "count": 5}]}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     report = run(spec, folder + "/tiny", workers=0)
    >>> report.complete, report.rows["networks"]
    (True, 5)
    """
    pyarrow()
    workers, redo, finish = whole(workers, "workers", least=0), flag(redo, "redo"), flag(finish, "finish")
    if isinstance(client, str):
        client = schedule.connect(client)
        with schedule.quiet():
            try:
                return run(
                    spec, directory, workers=workers, client=client, partitions=partitions, redo=redo, finish=finish,
                    progress=progress,
                )  # fmt: skip
            finally:
                client.close(timeout=5)
    spec = _checked(spec)  # before anything is written
    place = Directory(directory)
    monitor = Monitor(None, progress)
    started = datetime.datetime.now(datetime.UTC)
    with place.lock(shared=partitions is not None):
        plan = prepare(spec, place)
        wanted = _wanted(plan, partitions)
        if partitions is None:
            place.sweep()
        refuse_strangers(place, plan)
        records = {p.index: place.record(p, plan.fingerprint, plan.spec.tables) for p in plan.partitions}
        todo = [i for i in wanted if redo or records[i] is None]
        tally = _Tally(plan, {i: r for i, r in records.items() if r is not None and i not in set(todo)}, monitor)
        for outcome in _outcomes(plan, todo, place, workers, client):
            tally.add(outcome, place)
        report = tally.report(place.path, len(todo))
        place.log(_entry(report, started, client, workers))
        if finish and report.complete and partitions is None:
            sign(place)
            place.sweep()  # what workers that died have left
        elif todo != list(range(len(plan.partitions))):
            place.remember()
    return report


def _wanted(plan: Plan, partitions: Sequence[int] | None) -> list[int]:
    if partitions is None:
        return list(range(len(plan.partitions)))
    if not isinstance(partitions, Iterable) or isinstance(partitions, str | bytes | Mapping):
        raise InputError(f"partitions are named by a list of their numbers, found {shown(partitions)}")
    for index in partitions:
        if not 0 <= whole(index, "a partition") < len(plan.partitions):
            raise InputError(f"partition {index} does not exist; the plan has {len(plan.partitions)}, from 0")
    return sorted(set(partitions))


def _outcomes(
    plan: Plan, todo: Sequence[int], place: Directory, workers: int, client: Any
) -> Iterator[schedule.Outcome]:
    if client is not None:
        return schedule.cluster(plan, todo, place, client=client)
    if workers == 0 or not todo or not place.place.shared:
        return schedule.serial(plan, todo, place)
    return schedule.processes(plan, todo, place, workers=workers)


class _Tally:
    """Sums over the partitions that are done, kept as they end, and progress."""

    def __init__(self, plan: Plan, kept: dict[int, dict[str, Any]], monitor: Monitor) -> None:
        self.plan, self.monitor = plan, monitor
        self.n_kept = len(kept)
        self.n_done = 0
        self.failures: list[tuple[int, str]] = []
        self.counts = dict.fromkeys(("networks", "failed", "skipped", "regions"), 0)
        self.rows, self.bytes = dict.fromkeys(plan.spec.tables, 0), dict.fromkeys(plan.spec.tables, 0)
        self.split = any(p.blocks for p in plan.partitions)
        for record in kept.values():
            self._count(record)
        self._tell()

    def add(self, outcome: schedule.Outcome, place: Directory) -> None:
        """Note a partition that ended."""
        if outcome.record is None:
            self.failures.append((outcome.partition, outcome.error))
        elif not self._is_there(outcome.partition, place):
            raise InputError(
                f"partition {outcome.partition} was done, but its files are not in {place}: "
                "the workers must share this directory"
            )
        else:
            self._count(outcome.record)
        self._tell()

    def _is_there(self, index: int, place: Directory) -> bool:
        spec = self.plan.spec
        return place.record(self.plan.partition(index), spec.fingerprint, spec.tables, deep=False) is not None

    def _count(self, record: Mapping[str, Any]) -> None:
        self.n_done += 1
        for key in self.counts:
            self.counts[key] += int(record[key])
        for name in self.plan.spec.tables:
            self.rows[name] += int(record["tables"][name]["rows"])
            self.bytes[name] += int(record["tables"][name]["bytes"])

    def _tell(self) -> None:
        done, whole = self.n_done, len(self.plan.partitions)
        facts = {"partitions": done}
        if self.split:
            phase, facts = "partitions", {"networks": self.counts["networks"]}
        else:
            phase, done, whole = "networks", self.counts["networks"], self.plan.spec.count
        self.monitor.report(
            phase,
            done,
            whole,
            **facts,
            regions=self.counts["regions"],
            rows=sum(self.rows.values()),
            skipped=self.counts["skipped"],
            failures=len(self.failures),
        )

    def report(self, directory: Path | str, asked: int) -> RunReport:
        return RunReport(
            directory,
            len(self.plan.partitions),
            asked - len(self.failures),
            self.n_kept,
            tuple(sorted(self.failures)),
            self.counts["networks"],
            self.counts["failed"],
            self.counts["skipped"],
            self.rows,
            self.bytes,
            {"seconds": self.monitor.elapsed, "regions": self.counts["regions"]},
        )


def _entry(report: RunReport, started: datetime.datetime, client: Any, workers: int) -> dict[str, Any]:
    """Provenance of a run, apart from the data: when, where, how long."""
    return {
        "started": started.isoformat(timespec="seconds"),
        "seconds": round(report.stats["seconds"], 3),
        "command": sys.argv,
        "machine": platform.platform(),
        "python": platform.python_version(),
        "workers": "dask" if client is not None else workers,
        "done": report.done,
        "kept": report.kept,
        "failures": [list(f) for f in report.failures],
        "unix": round(time.time(), 3),
    }
