"""Attack datasets: mutated specs, plans, manifests, records, sums, Parquet files; runs that are killed.

Usage: python scripts/attacks/datasets.py [--count 500] [--seed 0] [--kinds spec,plan,manifest,record,sums,parquet] [--kills 30] [--dask]

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
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

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
    "parquet": "n.parquet", "spec": "s.toml",
}  # fmt: skip
WORDS = [
    b"-1",
    b"0",
    b"9" * 5000,
    b"1e999",
    b"null",
    b"true",
    b'"../../x"',
    b"/etc/passwd",
    b"[" * 5000,
    b"{}",
    b"[]",
    b'""',
    b"\x00",
    b"\xff",
    b"NaN",
    b"1.5",
]


def mutant(data: bytes, rng: random.Random) -> bytes:
    """A few bytes, words or lines changed, doubled, cut or moved."""
    found = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        at = rng.randrange(max(1, len(found)))
        act = rng.randrange(7)
        if act == 0 and found:
            found[at] = rng.randrange(256)
        elif act == 1:
            del found[at : at + rng.choice([1, 4, 64, len(found)])]
        elif act == 2:
            found[at:at] = found[at : at + rng.choice([1, 8, 200])]
        elif act == 3:
            found[at:at] = rng.choice(WORDS)
        else:  # a whole value of a text
            ends = [i for i in range(at, min(len(found), at + 200)) if found[i : i + 1] in (b",", b"\n", b"]")]
            start = max(found.rfind(c, 0, at) for c in (b":", b"=", b",", b"["))
            if ends and start >= 0:
                found[start + 1 : ends[0]] = rng.choice(WORDS)
    return bytes(found)


def handle(kind: str, folder: Path) -> str:
    """In a process of its own: use the mutant in every way; the outcome in a word."""
    import polyfiber as pf
    from polyfiber.datasets import finish, load, make_plan, read_spec, run, validate
    from polyfiber.errors import PolyfiberError

    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
    used = int(time.process_time())
    resource.setrlimit(resource.RLIMIT_CPU, (used + 20, used + 20))
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


def mutants(kind: str, count: int, seed: int) -> tuple[collections.Counter[str], list[str]]:
    rng = random.Random(f"{kind} {seed}")
    outcomes: collections.Counter[str] = collections.Counter()
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as top:
        home = Path(top) / "home"
        outside = Path(top) / "thesis.tex"
        outside.write_text("ten years")
        code = "import sys; sys.path.insert(0, sys.argv[1]); import datasets, pathlib; datasets.prepare(pathlib.Path(sys.argv[2]))"
        subprocess.run(
            [sys.executable, "-c", code, str(Path(__file__).parent), str(home)], check=True
        )  # threads do not survive a fork

        import polyfiber.datasets.checks.validation
        import polyfiber.datasets.runner  # noqa: F401

        for i in range(count):
            folder = Path(top) / "mutant"
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(home, folder)
            target = folder / FILES[kind]
            target.write_bytes(mutant(target.read_bytes(), rng))
            read, write = os.pipe()
            child = os.fork()
            if child == 0:
                os.close(read)
                os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
                try:
                    os.write(write, handle(kind, folder).encode())
                finally:
                    os._exit(0)
            os.close(write)
            with os.fdopen(read, "rb") as stream:
                said = stream.read().decode()
            _, status = os.waitpid(child, 0)
            if status or not said or "RAW" in said or "LONG" in said or outside.read_text() != "ten years":
                wrong.append(f"{kind} mutant {i}: status {status}, {said}")
                shutil.copy(target, Path(tempfile.gettempdir()) / f"wrong-{kind}-{i}")
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
        command = [sys.executable, "-m", "polyfiber", "dataset", "run", str(spec), "-q", "-w", "1", "-o"]
        cluster = None
        if dask:
            from distributed import LocalCluster

            cluster = LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0")
            command[-1:-1] = ["--scheduler", cluster.scheduler_address]
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
        outcomes, bad = mutants(kind, given.count, given.seed)
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
