"""Killed at any moment, on any scheduler: a rerun completes the dataset, and the bytes are the same."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from polyfiber.datasets import run
from polyfiber.datasets.execution import schedule
from polyfiber.errors import InputError

from ..storage.test_store import contents

pytest.importorskip("pyarrow")

ROOT = Path(__file__).resolve().parents[3]
SPEC = """
name = "slow"
seed = 11
partition = 2
[[networks]]
name = "r"
kind = "random"
architecture = [2, 12, 12, 1]
count = 12
[[networks]]
kind = "fiber"
of = "r"
per = 2
[tables.networks]
"""


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "COLUMNS": "200"}


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("spec") / "slow.toml"
    path.write_text(SPEC)
    return path


@pytest.fixture(scope="module")
def whole(spec: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What an undisturbed run makes in this process."""
    folder = tmp_path_factory.mktemp("whole") / "data"
    assert run(spec, folder, workers=0).complete
    return contents(folder)


def start(spec: Path, folder: Path, *more: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "polyfiber", "dataset", "run", str(spec), "-o", str(folder), "-q", *more]
    return subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def wait_for(condition: Any, process: subprocess.Popen[bytes], seconds: float = 100) -> None:
    limit = time.monotonic() + seconds
    while not condition() and process.poll() is None and time.monotonic() < limit:
        time.sleep(0.005)


def records(folder: Path) -> int:
    return len(list((folder / "records").glob("part-*.json")))


@pytest.mark.slow
@pytest.mark.parametrize("after", [0, 1, 9])
def test_killed_runs_are_completed(spec: Path, whole: dict[str, bytes], tmp_path: Path, after: int) -> None:
    folder = tmp_path / "data"
    process = start(spec, folder, "--workers", "1")
    wait_for(lambda: records(folder) >= after and (folder / ".partial").exists(), process)
    process.kill()  # SIGKILL: no handler runs
    process.communicate()
    for path in folder.glob("networks/*.parquet"):  # nothing truncated stands in a place
        assert path.read_bytes() == whole[str(path.relative_to(folder))]
    report = run(spec, folder, workers=0)
    assert report.complete
    assert contents(folder) == whole


def test_killed_between_two_renames(spec: Path, whole: dict[str, bytes], tmp_path: Path, monkeypatch: Any) -> None:
    """The table stands in its place, the record does not: the partition is done again, once."""
    from polyfiber.datasets.storage.places import LocalPlace

    calls = 0
    put = LocalPlace.put

    def failing(self: LocalPlace, name: str, path: Path, **how: Any) -> None:
        nonlocal calls
        calls += name.startswith("records/")
        if calls == 3:
            raise KeyboardInterrupt
        put(self, name, path, **how)

    monkeypatch.setattr(LocalPlace, "put", failing)
    with pytest.raises(KeyboardInterrupt):
        run(spec, tmp_path / "data", workers=0)
    monkeypatch.undo()
    assert records(tmp_path / "data") == 2
    assert len(list((tmp_path / "data" / "networks").glob("*.parquet"))) == 3
    report = run(spec, tmp_path / "data", workers=0)
    assert report.kept == 2
    assert contents(tmp_path / "data") == whole


def test_a_local_worker_that_dies_is_replaced(
    spec: Path, whole: dict[str, bytes], tmp_path: Path, monkeypatch: Any
) -> None:
    started: list[Any] = []
    worker = schedule._Worker

    class Doomed(worker):  # type: ignore[misc, valid-type]
        def give(self, index: int) -> None:
            super().give(index)
            started.append(index)
            if len(started) == 5:
                os.kill(self.process.pid, signal.SIGKILL)

    monkeypatch.setattr(schedule, "_Worker", Doomed)
    report = run(spec, tmp_path / "data", workers=1)
    assert report.complete
    assert contents(tmp_path / "data") == whole
    assert len(started) == len(set(started)) + 1


def test_a_partition_that_always_kills_is_given_up(spec: Path, tmp_path: Path, monkeypatch: Any) -> None:
    worker = schedule._Worker

    class Doomed(worker):  # type: ignore[misc, valid-type]
        def give(self, index: int) -> None:
            super().give(index)
            if index == 1:
                os.kill(self.process.pid, signal.SIGKILL)

    monkeypatch.setattr(schedule, "_Worker", Doomed)
    report = run(spec, tmp_path / "data", workers=1, partitions=[0, 1, 2])
    assert report.done == 2
    assert report.failures[0][0] == 1
    assert "died 3 times" in report.failures[0][1]


@pytest.mark.slow
def test_a_local_cluster_makes_the_same_bytes(spec: Path, whole: dict[str, bytes], tmp_path: Path, client: Any) -> None:
    report = run(spec, tmp_path / "data", client=client)
    assert report.complete
    assert contents(tmp_path / "data") == whole


def launch(place: Path, tool: str, *more: str) -> subprocess.Popen[bytes]:
    """A scheduler or a worker of a cluster whose scheduler writes its address into a folder."""
    file = ["--scheduler-file", str(place / "scheduler.json"), "--no-dashboard"]
    command = [sys.executable, "-m", f"distributed.cli.dask_{tool}", *file, *more]
    return subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=place)


@pytest.mark.slow
def test_a_scheduler_that_is_lost(spec: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    address, folder = tmp_path / "scheduler.json", tmp_path / "data"
    children = [launch(tmp_path, "scheduler", "--port", "0", "--host", "127.0.0.1")]
    try:
        wait_for(address.exists, children[0])
        children.append(launch(tmp_path, "worker", "--nthreads", "1", "--no-nanny"))
        process = start(spec, folder, "--scheduler", json.loads(address.read_text())["address"])
        children.append(process)
        wait_for(lambda: records(folder) >= 4, process)
        assert process.poll() is None, "the run ended before the scheduler could be killed"
        children[0].kill()
        kept = records(folder)
        output, errors = process.communicate(timeout=150)
        said = (output or b"").decode() + errors.decode()
        assert process.returncode == 3, said
        assert said.count("no longer answers") == 1
        assert "partitions that are done are kept" in said
        assert "Traceback" not in said
        assert len(said.strip().splitlines()) < 12, said
    finally:
        for child in reversed(children):
            child.kill()
            child.communicate()
    assert kept <= records(folder) < len([name for name in whole if name.startswith("records/")])
    assert run(spec, folder, workers=0).kept >= kept
    assert contents(folder) == whole


@pytest.mark.slow
def test_a_cluster_of_processes_with_a_worker_killed(spec: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    address = tmp_path / "scheduler.json"
    folder = tmp_path / "data"
    children = [launch(tmp_path, "scheduler", "--port", "0", "--host", "127.0.0.1")]
    try:
        wait_for(address.exists, children[0])
        workers = [launch(tmp_path, "worker", "--nthreads", "1", "--no-nanny") for _ in range(2)]
        children += workers
        uri = json.loads(address.read_text())["address"]
        process = start(spec, folder, "--scheduler", uri)
        children.append(process)
        wait_for(lambda: records(folder) >= 4, process)
        assert process.poll() is None, "the run ended before a worker could be killed"
        workers[0].kill()
        output, errors = process.communicate(timeout=180)
        assert process.returncode == 0, (output + errors).decode()
    finally:
        for child in reversed(children):
            child.kill()
            child.communicate()
    assert contents(folder) == whole


def test_nobody_answers(tmp_path: Path, spec: Path) -> None:
    pytest.importorskip("distributed")
    with pytest.raises(InputError, match="no Dask scheduler answers at 'nowhere"):
        run(spec, tmp_path / "data", client="nowhere://x")


class Done:
    """A future that has ended."""

    def __init__(self, work: Any, dies: bool) -> None:
        self.status, self._work = "error" if dies else "finished", work

    def result(self) -> Any:
        return self._work()

    def exception(self) -> Exception:
        return RuntimeError("the worker died")

    def add_done_callback(self, callback: Any) -> None:
        callback(self)


class Again(Done):
    """A future whose worker dies with the result: it is lost, and done again."""

    def add_done_callback(self, callback: Any) -> None:
        self.status = "lost" if self.status == "finished" else "finished"
        callback(self)


class Forgetful:
    """A cluster whose workers die with every result, once."""

    def map(self, work: Any, *columns: Any, pure: bool) -> list[Again]:
        return [Again(lambda args=args: work(*args), dies=False) for args in zip(*columns)]

    def cancel(self, futures: Any) -> None:
        assert not futures


def test_a_result_that_is_lost_with_its_worker_is_waited_for(
    spec: Path, whole: dict[str, bytes], tmp_path: Path
) -> None:
    assert run(spec, tmp_path / "data", client=Forgetful()).complete
    assert contents(tmp_path / "data") == whole


class Client:
    """A cluster that loses every task that holds partition 7."""

    def __init__(self) -> None:
        self.groups: list[tuple[int, ...]] = []

    def map(self, work: Any, *columns: Any, pure: bool) -> list[Done]:
        self.groups += columns[2]
        return [Done(lambda args=args: work(*args), dies=7 in args[2]) for args in zip(*columns)]

    def cancel(self, futures: Any) -> None:
        assert not futures


def test_short_partitions_share_tasks_and_lost_tasks_are_done_one_by_one(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(schedule, "IN_FLIGHT", 8)
    monkeypatch.setattr(schedule, "AT_ONCE", 1)
    monkeypatch.setattr(schedule, "TASK", 100.0)
    spec = {
        "name": "m",
        "seed": 1,
        "partition": 1,
        "networks": [{"kind": "random", "architecture": [1, 1, 1], "count": 60}],
    }
    client = Client()
    report = run(spec, tmp_path / "data", client=client, partitions=range(60))
    assert report.done == 59
    assert [index for index, _ in report.failures] == [7]
    monkeypatch.setattr(schedule, "IN_FLIGHT", 2)
    client.groups.clear()
    report = run(spec, tmp_path / "data", client=client, redo=True)
    assert [index for index, _ in report.failures] == [7]
    assert max(map(len, client.groups)) > 4
    assert sum(len(g) for g in client.groups if len(g) > 1) < 60 < sum(map(len, client.groups))
