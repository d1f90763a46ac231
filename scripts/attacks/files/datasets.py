"""Attack datasets: mutated specs, plans, manifests, records, sums, lists of known checksums, logs, Parquet files; runs that are killed.

Usage: python scripts/attacks/files/datasets.py [--count 500] [--seed 0] [--kinds spec,plan,manifest,record,sums,checked,log,parquet] [--kills 30] [--dask]
       [--partitions 100000] [--networks 1000]

Every mutant is handled in a process with 4 GB of address space and 20 s of processor time. It must end with success or with one of our
errors; a crash, a raw exception, a limit that is hit, a change outside of the dataset, or damaged rows that `validate` calls sound is
wrong. Killed runs are completed and must give the bytes of an undisturbed one. ``--partitions``: so many partitions of one network each
through a Dask scheduler in a process of its own, which is asked every second whether it still answers. ``--networks``: so many networks in
one worker with a budget of 100 MB, whose memory and that of what compiles kernels for it is read every tenth of a second
(``NUMBA_CACHE_DIR`` of an empty folder: none are compiled yet).
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from mutants import damage, damaged_text, isolated

sys.path.insert(0, str(Path(__file__).parents[3]))

from tests.oracles.footers import lying

SPEC = """name = "m"
seed = 3
partition = 2
[[networks]]
name = "a"
kind = "random"
architecture = [2, 3, 1]
count = 4
[[networks]]
kind = "perturbed"
of = "a"
noise = [1e-2]
[[networks]]
kind = "files"
paths = ["*.parquet"]
[tables.complexes]
[tables.fibers]
"""
FILES = {
    "plan": "d/plan.json", "manifest": "d/manifest.json", "record": "d/records/part-00001.json", "sums": "d/SHA256SUMS",
    "parquet": "n.parquet", "spec": "s.toml", "checked": "d/.checked", "log": "d/runs.jsonl",
}  # fmt: skip


def handle(kind: str, folder: Path) -> str:
    """In a process of its own: use the mutant in every way; the outcome in a word."""
    import polyfiber as pf
    from polyfiber.datasets import finish, load, make_plan, read_spec, run, validate
    from polyfiber.errors import PolyfiberError

    words = []
    acts = {
        "spec": [lambda: make_plan(read_spec(folder / "s.toml"))],
        "parquet": [
            lambda: pf.equivalence_classes(folder / "n.parquet"),
            lambda: make_plan(read_spec(folder / "s.toml")),
        ],
    }.get(
        kind,
        [
            lambda: validate(folder / "d", rows=2, rng=0),
            lambda: {name: view.to_numpy() for name, view in load(folder / "d").items()},
            lambda: finish(folder / "d"),
            lambda: run(folder / "s.toml", folder / "d", workers=0),
        ],
    )
    for act in acts:
        try:
            found = act()
            words.append("found" if getattr(found, "problems", None) else "sound")
        except PolyfiberError as error:
            words.append("refused" if len(str(error)) < 3000 else "LONG")
        except Exception as error:
            words.append(f"RAW {type(error).__name__}: {error}"[:200])
    return " ".join(words)


def attack(kind: str, count: int, seed: int) -> tuple[collections.Counter[str], list[str]]:
    """Outcomes, and what was wrong. Compiled code is read once, before the children are made."""
    outcomes: collections.Counter[str] = collections.Counter()
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as top:
        home = Path(top) / "home"
        outside = Path(top) / "thesis.tex"
        outside.write_text("ten years")
        prepare(home)
        shutil.copytree(home, Path(top) / "warm")
        handle(kind, Path(top) / "warm")
        truth = contents(home / "d")
        for i in range(count):
            folder = Path(top) / "mutant"
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(home, folder)
            target = folder / FILES[kind]
            rng = np.random.default_rng([seed, i, list(FILES).index(kind)])
            changes = damaged_text if kind != "parquet" else lying
            data = target.read_bytes()
            target.write_bytes((changes if rng.random() < 0.7 else damage)(data, rng))
            copy = target.read_bytes()
            answer = isolated(lambda folder=folder: {"kind": handle(kind, folder)})  # type: ignore[misc]
            said = answer["kind"]
            bad = "RAW" in said or "LONG" in said or "WRONG" in said or outside.read_text() != "ten years"
            if (
                kind in ("record", "sums", "checked", "log")
                and said.endswith("sound")
                and contents(folder / "d") != truth
            ):
                bad, said = True, said + ", and run leaves other bytes"
            if bad:
                wrong.append(f"{kind} mutant {i}: {said}")
                (Path(tempfile.gettempdir()) / f"wrong-{kind}-{i}").write_bytes(copy)
            outcomes[said if len(said) < 60 else "RAW"] += 1
    return outcomes, wrong


def prepare(home: Path) -> None:
    import polyfiber as pf
    from polyfiber.datasets import run
    from polyfiber.equivalence.collections.collection import write_parquet

    home.mkdir()
    write_parquet([pf.ReLUNetwork.random((2, 3, 1), rng=i) for i in range(4)], home / "n.parquet")
    (home / "s.toml").write_text(SPEC)
    run(home / "s.toml", home / "d", workers=0)


def contents(folder: Path) -> dict[str, bytes]:
    apart = {"runs.jsonl", ".lock", ".checked"}
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.name not in apart
    }


def begun(spec: Path, folder: Path, address: str | None) -> int:
    """A run in a fork, which leads a group of processes: what it needs is loaded already."""
    from polyfiber.datasets import run

    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        os.setsid()
        code = 1
        with contextlib.suppress(BaseException):
            code = 0 if run(spec, folder, workers=1, client=address).complete else 3
        os._exit(code)
    return child


def kills(count: int, seed: int, dask: bool) -> list[str]:
    """Runs killed at random moments, so many times in all, and completed: the same bytes each time."""
    from polyfiber.datasets import run

    rng = random.Random(seed)
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as top, contextlib.ExitStack() as stack:
        home = Path(top)
        address = stack.enter_context(dask_cluster(home, 1))[0] if dask else None
        spec, killed, made = home / "k.toml", 0, 0
        own = SPEC.replace("count = 4", "count = 16").split('[[networks]]\nkind = "files"')[0]
        spec.write_text(own + "[tables.complexes]\n[tables.cells]\n")
        run(spec, home / "warm", workers=0)
        whole = contents(home / "warm")
        os.waitpid(begun(spec, home / "first", address), 0)  # where kernels are loaded in the worker
        start = time.monotonic()
        os.waitpid(begun(spec, home / "second", address), 0)
        span = time.monotonic() - start
        if contents(home / "first") != whole or contents(home / "second") != whole:
            wrong.append("whole runs: other bytes")
        while killed < count:
            folder, made = home / f"d{made}", made + 1
            for _ in range(rng.choice([1, 2, 3])):
                child = begun(spec, folder, address)
                time.sleep(rng.uniform(0.0, 1.0) * span)
                if os.waitpid(child, os.WNOHANG)[0]:
                    break  # it had ended
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child, signal.SIGKILL)
                os.waitpid(child, 0)
                killed += 1
            _, status = os.waitpid(begun(spec, folder, address), 0)
            if status or contents(folder) != whole:
                wrong.append(f"data set {made}: status {status}, other bytes")
            shutil.rmtree(folder)
            print(f"  {killed} kills of {made} data sets, {len(wrong)} wrong, {span:.1f} s a run", flush=True)
    return wrong


@contextlib.contextmanager
def dask_cluster(folder: Path, workers: int) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Address and process of a scheduler, with workers of one thread in processes of their own."""
    known, log = folder / "scheduler.json", open(folder / "dask.log", "wb")  # noqa: SIM115
    common = ["--scheduler-file", str(known), "--no-dashboard"]
    told: dict[str, Any] = {"stdout": log, "stderr": log, "cwd": folder}
    names = ("dask_scheduler", *["dask_worker"] * workers)
    started = [
        subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.{name}", *common]
            + (["--port", "0"] if "scheduler" in name else ["--nthreads", "1", "--no-nanny"]),
            **told,
        )
        for name in names
    ]
    try:
        while not known.exists() or not known.read_text().rstrip().endswith("}"):
            time.sleep(0.1)
        yield json.loads(known.read_text())["address"], started[0]
    finally:
        for process in started:
            process.kill()
            process.wait()
        log.close()


def count_tasks(dask_scheduler: Any = None) -> int:
    """On a scheduler: the tasks that it knows."""
    return len(dask_scheduler.tasks)


def many_partitions(count: int, seed: int, workers: int = 2) -> list[str]:
    """All of so many partitions through a scheduler, which must go on answering."""
    import psutil  # type: ignore[import-untyped]
    from distributed import Client

    from polyfiber.datasets import run

    entry = {"name": "a", "kind": "random", "architecture": [1, 1, 1], "count": count}
    spec = {"name": "m", "seed": seed, "partition": 1, "networks": [entry]}
    waits: list[float] = []
    with tempfile.TemporaryDirectory() as top, dask_cluster(Path(top), workers) as (address, process):
        scheduler, over = psutil.Process(process.pid), threading.Event()

        def ask() -> None:
            with Client(address) as client:
                while not over.wait(1.0):
                    start = time.monotonic()
                    client.run_on_scheduler(lambda: None)
                    waits.append(time.monotonic() - start)
                    if len(waits) % 300 == 0:
                        done, known = len(os.listdir(Path(top) / "d/records")), client.run_on_scheduler(count_tasks)
                        print(f"  {done} done, {known} tasks, {scheduler.memory_info().rss >> 20} MB", flush=True)

        asking = threading.Thread(target=ask)
        asking.start()
        start, own = time.monotonic(), time.process_time()
        try:
            report = run(spec, Path(top) / "d", client=address)
        finally:
            over.set()
            asking.join()
        used, memory = sum(scheduler.cpu_times()[:2]), scheduler.memory_info().rss
        print(
            f"{count} partitions: {time.monotonic() - start:.0f} s; scheduler {used:.0f} s of CPU, {memory >> 20} MB, answers asked for "
            f"{len(waits)} times within {max(waits, default=0):.2f} s; client {time.process_time() - own:.0f} s of CPU, with finish",
            flush=True,
        )
        return [] if report.complete and report.rows["networks"] == count else [f"{report.failures[:3]}"]


def memory_of_workers(count: int, seed: int) -> list[str]:
    """Networks of many sizes, some too large, with 100 MB for each: what the only worker holds stays below 350 MB."""
    import psutil

    wide = [[2, 30, 30, 1], [3, 16, 16, 1], [2, 60, 1], [3, 24, 24, 1], [2, 20, 20, 1], [3, 40, 40, 1], [3, 12, 12, 1],
            [3, 30, 30, 1], [2, 60, 1]]  # fmt: skip
    entries = "".join(
        f'[[networks]]\nkind = "random"\narchitecture = {wide}\ncount = {count // 2}\nlaw = "{law}"\n{rest}'
        for law, rest in (("normal", ""), ("integer", "domain = [-2.0, 2.0]\n"))
    )
    tables = "[tables.complexes]\n[tables.cells]\nvolumes = true\nvertices = true\n[tables.facets]\n"
    spec = f'name = "m"\nseed = {seed}\nrow_group = 256\nmemory = "100MB"\npartition = 1\n{entries}{tables}'
    with tempfile.TemporaryDirectory() as top:
        (Path(top) / "s.toml").write_text(spec)
        command = [
            sys.executable,
            "-m",
            "polyfiber",
            "dataset",
            "run",
            f"{top}/s.toml",
            "-q",
            "-w",
            "1",
            "-o",
            f"{top}/d",
        ]
        process = psutil.Popen(command, stdout=subprocess.DEVNULL)
        most: dict[int, int] = collections.defaultdict(int)
        told = time.monotonic()
        while process.poll() is None:
            time.sleep(0.1)
            with contextlib.suppress(psutil.Error):
                for child in process.children(recursive=True):
                    most[child.pid] = max(most[child.pid], child.memory_info().rss)
            if time.monotonic() - told > 60:
                told = time.monotonic()
                print(
                    f"  {len(list(Path(top).glob('d/records/*')))} done, at most {max(most.values(), default=0) >> 20} MB",
                    flush=True,
                )
        peak = max(most.values(), default=0)
        done = len(list(Path(top).glob("d/records/*")))
        print(
            f"{done} networks, {len(most)} processes: at most {peak / 1e6:.0f} MB with a budget of 100 MB", flush=True
        )
    return [] if peak <= 350e6 and not process.returncode and done == count else [f"{peak / 1e6:.0f} MB, {done} done"]


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", default=",".join(FILES))
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--dask", action="store_true")
    parser.add_argument("--partitions", type=int, default=0)
    parser.add_argument("--networks", type=int, default=0)
    given = parser.parse_args()
    wrong: list[str] = []
    for kind in given.kinds.split(",") if given.kinds else []:
        start = time.process_time()
        outcomes, bad = attack(kind, given.count, given.seed)
        wrong += bad
        print(
            kind,
            given.count,
            "mutants,",
            len(bad),
            "wrong:",
            json.dumps(outcomes.most_common(8)),
            f"{time.process_time() - start:.0f} s",
            flush=True,
        )
    if given.kills:
        bad = kills(given.kills, given.seed, given.dask)
        wrong += bad
        print(given.kills, "kills", "with Dask," if given.dask else "without Dask,", len(bad), "wrong", flush=True)
    for number, act in ((given.partitions, many_partitions), (given.networks, memory_of_workers)):
        wrong += act(number, given.seed) if number else []
    print("\n".join(wrong[:20]))
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
