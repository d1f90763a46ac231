"""Attack datasets: mutated specs, plans, manifests, records, sums, lists of known checksums, logs, Parquet files; runs that are killed.

Usage: python scripts/attacks/datasets.py [--count 500] [--seed 0] [--kinds spec,plan,manifest,record,sums,checked,log,parquet] [--kills 30] [--dask]

Every mutant is handled in a process with 4 GB of address space and 20 s of processor time. It must end with success or with one of our
errors; a crash, a raw exception, a limit that is hit, a change outside of the dataset, or damaged rows that `validate` calls sound is
wrong. Killed runs are completed and must give the bytes of an undisturbed one.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from mutants import damage, damaged_text, isolated

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
            texts = kind != "parquet" and rng.random() < 0.7
            target.write_bytes(damaged_text(target.read_bytes(), rng) if texts else damage(target.read_bytes(), rng))
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


def kills(count: int, seed: int, dask: bool) -> list[str]:
    """Runs killed at random moments and completed: the same bytes each time."""
    rng = random.Random(seed)
    wrong = []
    with tempfile.TemporaryDirectory() as top:
        home = Path(top)
        spec = home / "k.toml"
        spec.write_text(
            SPEC.replace("count = 4", "count = 120").split('[[networks]]\nkind = "files"')[0]
            + "[tables.complexes]\n[tables.cells]\n"
        )
        command = [sys.executable, "-m", "polyfiber", "dataset", "run", str(spec), "-q", "-o"]
        cluster = None
        if dask:
            from distributed import LocalCluster

            cluster = LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0")
            command[-1:-1] = ["--scheduler", cluster.scheduler_address]
        else:
            command[-1:-1] = ["-w", "1"]
        start = time.monotonic()
        subprocess.run([*command, str(home / "whole")], check=True, stdout=subprocess.DEVNULL)
        whole, span = contents(home / "whole"), time.monotonic() - start
        for i in range(count):
            folder = home / f"d{i}"
            for _ in range(rng.choice([1, 2])):
                process = subprocess.Popen([*command, str(folder)], stdout=subprocess.DEVNULL, start_new_session=True)
                time.sleep(rng.uniform(0.3, 1.0) * span)
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            time.sleep(0.5)
            done = subprocess.run([*command, str(folder)], stdout=subprocess.DEVNULL)
            if done.returncode or contents(folder) != whole:
                wrong.append(f"kill {i}: exit code {done.returncode}, other bytes")
            shutil.rmtree(folder)
        if cluster is not None:
            cluster.close()
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", default=",".join(FILES))
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--dask", action="store_true")
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
    print("\n".join(wrong[:20]))
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
