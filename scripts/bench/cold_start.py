"""From nothing to the first answer: import, first small complex with a warm and with an empty cache.

    python scripts/bench/cold_start.py [--repeat 5] [--json FILE]
    python scripts/bench/cold_start.py --commands [NAME ...]

Every measurement is a fresh interpreter; median of wall-clock (and CPU) seconds. "Warm" means that compiled
kernels lie in numba's cache on disk; "empty" that everything is compiled first. With ``--commands``: what each command's
page of the documentation types (``docs/site/commands.toml``), each with an empty cache of its own, in CPU seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = {
    "python alone": "pass",
    "import polyfiber": "import polyfiber",
    "ReLUNetwork.random": "import polyfiber as pf; pf.ReLUNetwork.random((2, 8, 8, 1), rng=0)",
    "first complex 2-8-8": (
        "import polyfiber as pf; cx = pf.canonical_complex(pf.ReLUNetwork.random((2, 8, 8, 1), rng=0)); cx.f_vector"
    ),
    "first complex 3-8-8, all faces": (
        "import polyfiber as pf; cx = pf.canonical_complex(pf.ReLUNetwork.random((3, 8, 8, 1), rng=0)); cx.materialize()"
    ),
    "first face_counts 3-8-8": "import polyfiber as pf; pf.face_counts(pf.ReLUNetwork.random((3, 8, 8, 1), rng=0))",
    "polyfiber --help": "import sys; sys.argv = ['polyfiber', '--help']; import runpy; runpy.run_module('polyfiber', run_name='__main__')",
}


def cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def seconds(program: str, cache: str) -> tuple[float, float]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NUMBA_CACHE_DIR": cache}
    start, before = time.perf_counter(), cpu()
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False, cwd=ROOT
    )
    elapsed = time.perf_counter() - start, cpu() - before
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit {done.returncode}")
    return elapsed


def cold_command(page: dict[str, Any]) -> tuple[float, float, bool]:
    """CPU seconds of a command's page with an empty cache, with a full one, and whether *compiling* was said."""
    with tempfile.TemporaryDirectory() as name:
        folder, found, said = Path(name), [], False
        (folder / "data").symlink_to(ROOT / "data")
        (folder / "sweep").mkdir()
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
        subprocess.run([sys.executable, "-c", page.get("make", "")], env=environment, cwd=folder, check=True)
        environment["NUMBA_CACHE_DIR"] = str(folder / "cache")
        for _ in ("empty", "full"):
            before = cpu()
            for i, line in enumerate(page["run"]):
                argv = [sys.executable, "-m", "polyfiber", *shlex.split(line)[1:]]
                done = subprocess.run(argv, env=environment, cwd=folder, capture_output=True, text=True, check=False)
                if done.returncode not in page.get("codes", [0]):
                    raise RuntimeError(f"line {i + 1}: exit {done.returncode}: {done.stderr.strip()[-200:]}")
                said = said or "compiling, once" in done.stderr
            found.append(cpu() - before)
    return found[0], found[1], said


def commands(names: list[str]) -> None:
    """A table of `cold_command`, one row a command."""
    pages = tomllib.loads((ROOT / "docs" / "site" / "commands.toml").read_text())
    print("| command | empty cache, CPU s | full cache, CPU s | says that it compiles |\n|---|--:|--:|---|")
    for name in names or pages:
        page = dict(pages[name])
        while "after" in page:  # what comes before is part of it
            before = pages[page.pop("after")]
            page = {**before, "run": [*before["run"], *page["run"]]}
        try:
            empty, full, said = cold_command(page)
        except RuntimeError as error:
            print(f"| {name} | {error} | | |", flush=True)
            continue
        print(f"| {name} | {empty:.1f} | {full:.1f} | {'yes' if said else 'no'} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--commands", nargs="*", metavar="NAME", help="measure the pages of commands")
    options = parser.parse_args()
    if options.commands is not None:
        commands(options.commands)
        return
    rows: dict[str, Any] = {}
    for name, program in PROGRAMS.items():
        with tempfile.TemporaryDirectory() as cache:
            try:
                empty = seconds(program, cache)
                warm = [seconds(program, cache) for _ in range(options.repeat)]
            except RuntimeError as error:
                rows[name] = {"error": str(error)}
                continue
        rows[name] = {
            "empty": empty[0],
            "empty_cpu": empty[1],
            "warm": statistics.median(w for w, _ in warm),
            "warm_cpu": statistics.median(c for _, c in warm),
        }
    base = rows["python alone"]["warm"]
    print(
        "| program | warm cache, s | over python alone, s | CPU s | empty cache, s | CPU s |\n|---|--:|--:|--:|--:|--:|"
    )
    for name, row in rows.items():
        if "error" in row:
            print(f"| {name} | {row['error']} | | | | |")
        else:
            print(
                f"| {name} | {row['warm']:.2f} | {row['warm'] - base:.2f} | {row['warm_cpu']:.2f} "
                f"| {row['empty']:.2f} | {row['empty_cpu']:.2f} |"
            )
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
