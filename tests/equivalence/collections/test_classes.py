"""Batches on real Dask clusters, with a worker killed on the way; collections larger than what is held in memory."""

from __future__ import annotations

import functools
import importlib.util
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import polyfiber as pf
from polyfiber.equivalence.collections import classes as batches
from polyfiber.equivalence.collections import collection
from polyfiber.equivalence.collections.classes import group_networks
from polyfiber.equivalence.collections.collection import write_parquet
from polyfiber.errors import FileFormatError, InputError, MissingDependencyError
from polyfiber.network.moves import random_trivial
from tests.equivalence.test_forms import equal_copy

ROOT = Path(__file__).resolve().parents[3]


def copies(count: int, widths: tuple[int, ...] = (3, 3, 2, 1)) -> tuple[pf.NetworkBatch, list[int]]:
    """``count`` functions, each twice, and the labels."""
    nets = [n for net in pf.NetworkBatch.random(widths, count, rng=0) for n in (net, random_trivial(net, rng=1)(net))]
    order = np.random.default_rng(2).permutation(2 * count)
    seen: dict[int, int] = {}
    return pf.NetworkBatch.stack([nets[i] for i in order]), [seen.setdefault(int(i) // 2, len(seen)) for i in order]


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many tasks from few networks."""
    monkeypatch.setattr(collection, "BLOCK_BYTES", 4096)
    monkeypatch.setattr(batches, "BLOCK_BYTES", 4096)
    monkeypatch.setattr(collection.Collection, "fetch_bytes", 8192)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """A scheduler and two workers, each a process of its own."""
    pytest.importorskip("distributed")
    file = tmp_path / "scheduler.json"
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": ROOT}
    host = ["--host", "127.0.0.1", "--no-dashboard"]
    scheduler = subprocess.Popen(
        [sys.executable, "-m", "dask", "scheduler", "--port", "0", "--scheduler-file", str(file), *host], **quiet
    )
    workers: list[subprocess.Popen[bytes]] = []
    try:
        limit = time.monotonic() + 60
        while not file.exists():
            assert scheduler.poll() is None
            assert time.monotonic() < limit
            time.sleep(0.05)
        for number in range(2):
            command = [sys.executable, "-m", "dask", "worker", "--scheduler-file", str(file), "--nthreads", "1"]
            place = ["--no-nanny", "--local-directory", str(tmp_path / str(number)), *host]
            workers.append(subprocess.Popen([*command, *place], **quiet))
        import json

        yield json.loads(file.read_text())["address"], workers
    finally:
        for process in [*workers, scheduler]:
            process.kill()
            process.wait()


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_a_local_cluster_of_processes(small_blocks: None) -> None:
    distributed = pytest.importorskip("distributed")
    batch, expected = copies(60)
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0") as cluster,
        distributed.Client(cluster) as client,
    ):
        found = group_networks(batch, scheduler=client)
        assert len(client.run(lambda: 1)) == 2
    assert found.labels.tolist() == expected
    assert found.stats["buckets"] == 60


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_a_worker_killed_on_the_way(cluster: Any, small_blocks: None) -> None:
    """Its tasks run again on the other worker, and nothing is lost."""
    from distributed import Client

    address, workers = cluster
    batch, expected = copies(400)

    with Client(address, timeout=60) as client:
        client.wait_for_workers(2, timeout=60)

        class Murderous:
            """The client, but its first worker dies while the second pass has its tasks out."""

            submitted = 0

            def submit(self, function: Any, *args: Any, **options: Any) -> Any:
                if function is batches._confirm_task:
                    self.submitted += 1
                    if self.submitted == 5:
                        workers[0].kill()
                return client.submit(function, *args, **options)

            def gather(self, futures: Any) -> Any:
                return client.gather(futures)

        murderous = Murderous()
        found = group_networks(batch, scheduler=murderous)
        assert murderous.submitted >= 8
        assert workers[0].wait(timeout=10) != 0
    assert found.labels.tolist() == expected
    # the address alone is enough, with the worker that is left
    assert pf.equivalence_classes(batch, scheduler=address).tolist() == expected


def test_addresses_that_nobody_answers() -> None:
    pytest.importorskip("distributed")
    with pytest.raises(InputError, match="scheduler"):
        pf.equivalence_classes(copies(2)[0], scheduler="nonsense://127.0.0.1:1")


@pytest.mark.filterwarnings("default")
def test_dask_without_a_cluster(small_blocks: None) -> None:
    pytest.importorskip("dask")
    batch, expected = copies(50)
    for name in ("threads", "synchronous"):
        assert pf.equivalence_classes(batch, scheduler=name).tolist() == expected


def test_small_blocks_change_nothing(small_blocks: None) -> None:
    """Buckets in many pieces, buckets larger than what is fetched at once, several architectures in one."""
    batch, expected = copies(150)
    assert pf.equivalence_classes(batch, workers=2).tolist() == expected
    net = pf.ReLUNetwork.random((3, 3, 2, 1), rng=5)
    wide = pf.ReLUNetwork(
        [net.weights[0], np.concatenate([net.weights[1], -np.ones((1, 3))]), np.ones((1, 3))],
        [net.biases[0], np.append(net.biases[1], -1.0), net.biases[2]],
    )
    wide = pf.ReLUNetwork([*wide.weights[:2], np.append(net.weights[2], [[1.0]], axis=1)], wide.biases)
    many = [random_trivial((wide, net)[i % 2], rng=i)((wide, net)[i % 2]) for i in range(300)]
    other = pf.ReLUNetwork([*net.weights[:2], net.weights[2] * (1 + 1e-7)], net.biases)
    many[100:100] = [other, random_trivial(other, rng=3)(other)]
    labels = pf.equivalence_classes(many)
    assert labels.tolist() == [0] * 100 + [1, 1] + [0] * 200


def test_a_parquet_dataset_in_row_groups(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    batch, expected = copies(100)
    mixed = [*batch, *(pf.ReLUNetwork.random((3, 2, 1), rng=i) for i in range(10))]
    (tmp_path / "set").mkdir()
    write_parquet(mixed[:77], tmp_path / "set" / "a.parquet", rows=10)
    write_parquet(mixed[77:], tmp_path / "set" / "b.parquet", rows=16)
    expected += list(range(100, 110))
    assert pf.equivalence_classes(tmp_path / "set").tolist() == expected
    assert collection.network_at(tmp_path / "set", 80) == mixed[80]
    table = parquet.read_table(tmp_path / "set" / "a.parquet")
    parquet.write_table(table.select(["architecture"]), tmp_path / "half.parquet")
    with pytest.raises(FileFormatError, match="parameters"):
        pf.equivalence_classes(tmp_path / "half.parquet")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(FileFormatError, match="broken"):
        pf.equivalence_classes(tmp_path / "broken.parquet")
    import pyarrow

    for parameters, message in (([1.0, 2.0], "parameters"), ([float("nan")] * 4, "finite"), (None, "null")):
        wrong = pyarrow.table(
            {
                "architecture": [[1, 1, 1]] * 2,
                "parameters": pyarrow.array([[0.5] * 4, parameters], pyarrow.list_(pyarrow.float64())),
            }
        )
        parquet.write_table(wrong, tmp_path / "wrong.parquet")
        with pytest.raises(FileFormatError, match=message):
            pf.equivalence_classes(tmp_path / "wrong.parquet")
    mixed[0].save(tmp_path / "set" / "one.npz")
    with pytest.raises(InputError, match="one kind"):
        pf.equivalence_classes(tmp_path / "set")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    batch, _ = copies(2)
    for i, net in enumerate(batch):
        net.save(tmp_path / f"{i}.npz")
    (tmp_path / "1a.npz").write_bytes(b"nothing")
    (tmp_path / "0a.onnx").write_text("not a network")
    with pytest.raises(FileFormatError):
        pf.equivalence_classes(tmp_path)
    found = group_networks(tmp_path, unreadable="skip")
    truth = pf.equivalence_classes(list(batch)).tolist()
    assert found.labels.tolist() == [truth[0], -1, truth[1], -1, truth[2], truth[3]]
    assert sorted(found.unreadable) == [1, 3]
    assert len(found.representatives) == 2
    with pytest.raises(InputError, match="unreadable"):
        group_networks(tmp_path, unreadable="ignore")


@pytest.mark.parametrize("kind", ["npz", "parquet", "folder"])
def test_links_in_a_folder_are_refused(tmp_path: Path, kind: str) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "set"
    outside.mkdir()
    folder.mkdir()
    batch, _ = copies(1)
    if kind == "parquet":
        pytest.importorskip("pyarrow")
        write_parquet(batch, outside / "a.parquet")
    else:
        batch[0].save(outside / "a.npz")
    batch[0].save(folder / "mine.npz")
    (folder / "b").symlink_to(outside) if kind == "folder" else (folder / f"b.{kind}").symlink_to(outside / f"a.{kind}")
    with pytest.raises(InputError, match="is a link"):
        pf.equivalence_classes(folder)


def test_the_table_of_networks_behind_an_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fsspec = pytest.importorskip("fsspec")
    pytest.importorskip("pyarrow")
    monkeypatch.chdir(tmp_path)
    batch, _ = copies(2)
    write_parquet(batch, tmp_path / "a.parquet")
    fsspec.filesystem("memory").put_file(str(tmp_path / "a.parquet"), "/classes/networks/part-00000.parquet")
    try:
        found = pf.equivalence_classes("memory://classes/networks")
        assert found.tolist() == pf.equivalence_classes(tmp_path / "a.parquet").tolist()
        with pytest.raises(InputError, match="holds no Parquet files"):
            pf.equivalence_classes("memory://nothing")
        with pytest.raises(InputError, match="no file system that is known"):
            pf.equivalence_classes("foo://classes/networks")
    finally:
        fsspec.filesystem("memory").rm("/classes", recursive=True)
    assert [p.name for p in tmp_path.iterdir()] == ["a.parquet"]


@pytest.mark.parametrize("mixed", [False, True])
def test_planted_classes_and_near_misses(mixed: bool) -> None:
    """A moment of scripts/attacks/equivalence/batches.py: nothing is merged wrongly, nothing split wrongly."""
    from scripts.attacks.equivalence.batches import batch, compare, residual_of

    nets, truth, places = batch(seed=3, size=24 if not mixed else 12, mixed=mixed)
    by_shape: dict[tuple[int, int], list[int]] = {}
    for i, net in enumerate(nets):
        by_shape.setdefault((net.architecture[0], net.architecture[-1]), []).append(i)
    for members in by_shape.values():
        found = group_networks([nets[i] for i in members], workers=1)
        some = [nets[i] for i in members]
        apart = functools.partial(residual_of, some, [places[truth[i]] for i in members])
        assert compare(found.labels, truth[members], set(found.undecided), apart)[:2] == (0, 0)
    assert compare(np.zeros(len(nets)), truth, set(), lambda i, j: 1.0)[0] > 0
    assert compare(np.zeros(len(nets)), truth, set(), lambda i, j: 1e-12)[0] == 0
    assert compare(np.arange(len(nets)), truth, set(), lambda i, j: 1.0)[1] > 0


def test_batches_find_all_copies_and_join_nothing_else(tmp_path) -> None:
    rng = np.random.default_rng(11)
    nets, truth = [], []
    for k in range(60):
        net = pf.ReLUNetwork.random(((4, 4, 3, 2), (4, 3, 1, 2), (4, 5, 2))[k % 3], rng=rng)
        for _ in range(int(rng.integers(1, 4))):
            nets.append(equal_copy(net, rng))
            truth.append(k)
    order = rng.permutation(len(nets))
    nets, truth = [nets[i] for i in order], [truth[i] for i in order]
    seen: dict[int, int] = {}
    expected = [seen.setdefault(t, len(seen)) for t in truth]
    found = group_networks(nets, workers=2)
    assert found.labels.tolist() == expected
    assert not found.undecided
    assert found.representatives.tolist() == [expected.index(c) for c in range(found.n_classes)]
    files = []
    for i, net in enumerate(nets[:30]):
        files.append(tmp_path / f"{i:03d}.npz")
        net.save(files[-1])
    assert pf.equivalence_classes(tmp_path).tolist() == expected[:30]
    assert pf.equivalence_classes(files).tolist() == expected[:30]
    pytest.importorskip("pyarrow")
    write_parquet(nets, tmp_path / "nets.parquet", rows=16)
    assert pf.equivalence_classes(tmp_path / "nets.parquet").tolist() == expected


def test_batches_of_one_architecture_and_executors() -> None:
    from concurrent.futures import ThreadPoolExecutor

    base = pf.NetworkBatch.random((4, 4, 3, 2), 50, rng=0)
    nets = [n for net in base for n in (net, random_trivial(net, rng=1)(net))]
    batch = pf.NetworkBatch.stack(nets)
    expected = np.repeat(np.arange(50), 2).tolist()
    assert pf.equivalence_classes(batch).tolist() == expected
    with ThreadPoolExecutor(2) as pool:
        assert pf.equivalence_classes(batch, scheduler=pool).tolist() == expected

    if importlib.util.find_spec("dask") is None:
        with pytest.raises(MissingDependencyError, match="dask"):
            pf.equivalence_classes(batch, scheduler="threads")
    else:
        assert pf.equivalence_classes(batch, scheduler="threads").tolist() == expected
    for wrong in (3, "nonsense"):
        with pytest.raises((InputError, MissingDependencyError)):
            pf.equivalence_classes(batch, scheduler=wrong)
    assert pf.equivalence_classes([]).tolist() == []
