"""From nothing to the first answer: import, first small complex with a warm and with an empty cache.

    python scripts/bench/cold_start.py [--repeat 5] [--json FILE]

Every measurement is a fresh interpreter; median of wall-clock (and CPU) seconds. "Warm" means that compiled
kernels lie in numba's cache on disk; "empty" that everything is compiled first.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
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
