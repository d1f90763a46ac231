"""From nothing to the first answer: import, first small complex with a warm and with an empty cache.

    python scripts/bench/cold_start.py [--repeat 5] [--json FILE]
    python scripts/bench/cold_start.py --commands [NAME ...]

Every measurement is a fresh interpreter; median of wall-clock (and CPU) seconds. "Warm" means that compiled
kernels lie in numba's cache on disk; "empty" that everything is compiled first. With ``--commands``: what each command's
page of the documentation types (``docs/site/commands.toml``), each with an empty cache of its own, in CPU seconds, and
when its first line comes (Linux).
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
from typing import Any, NamedTuple

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


class Run(NamedTuple):
    """One run of a command: CPU seconds, seconds to the first line of either stream, that line, all that was said."""

    cpu: float
    first: float
    line: str
    said: str


def watched(argv: list[str], environment: dict[str, str], folder: Path, codes: list[int]) -> Run:
    """Run a command and note when its first line comes: CPU seconds, those of the interpreter's start included."""
    before = cpu()
    with tempfile.TemporaryFile("w+") as out:
        process = subprocess.Popen(argv, env=environment, cwd=folder, stdout=out, stderr=subprocess.PIPE)
        assert process.stderr is not None
        head = process.stderr.readline()  # logs, not a terminal: every line of progress is a line
        first = since(process.pid) if head else 0.0
        tail = process.stderr.read().decode()
        code = process.wait()
        process.stderr.close()
        spent = cpu() - before
        out.seek(0)
        answer = out.readline()
    said = head.decode() + tail
    if code not in codes:
        raise RuntimeError(f"exit {code}: {said.strip()[-200:]}")
    return Run(spent, first or spent, head.decode() or answer, said)


def since(pid: int) -> float:
    """CPU seconds of a process that runs."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except FileNotFoundError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cold_command(page: dict[str, Any]) -> list[list[Run]]:
    """The runs of a command's page with an empty cache, and with the full one that they left."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "data").symlink_to(ROOT / "data")
        (folder / "sweep").mkdir()
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
        subprocess.run([sys.executable, "-c", page.get("make", "")], env=environment, cwd=folder, check=True)
        environment["NUMBA_CACHE_DIR"] = str(folder / "cache")
        lines = [[sys.executable, "-m", "polyfiber", *shlex.split(line)[1:]] for line in page["run"]]
        return [[watched(argv, environment, folder, page.get("codes", [0])) for argv in lines] for _ in range(2)]


def commands(names: list[str]) -> None:
    """A table of `cold_command`, one row a command."""
    pages = tomllib.loads((ROOT / "docs" / "site" / "commands.toml").read_text())
    print(
        "| command | empty cache, CPU s | full cache, CPU s | first line after, CPU s | what it says |\n|---|--:|--:|--:|---|"
    )
    for name in names or pages:
        page = dict(pages[name])
        while "after" in page:  # what comes before is part of it
            before = pages[page.pop("after")]
            page = {**before, "run": [*before["run"], *page["run"]]}
        try:
            empty, full = cold_command(page)
        except RuntimeError as error:
            print(f"| {name} | {error} | | | |", flush=True)
            continue
        heard = [run for run, line in zip(empty, page["run"]) if "--quiet" not in line]
        last = max(heard, key=lambda run: run.cpu)
        spent = [sum(run.cpu for run in runs) for runs in (empty, full)]
        print(f"| {name} | {spent[0]:.1f} | {spent[1]:.1f} | {last.first:.1f} | {last.line.strip()[:60]} |", flush=True)


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
