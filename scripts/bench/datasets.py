"""How fast are datasets made, and in how much memory: ``python scripts/bench/datasets.py``.

One row a question: labels and pairs of 100 000 networks, tables of regions with and without vertices and
volumes, and (with ``--huge``) ten million regions of one complex. Each is one run on one worker and one on two;
time is that of the whole run (processes, checksums and card included), after one partition that fills the cache of compiled kernels.
Memory is the largest resident set of a worker. Prints one table; ``--json FILE`` writes it with machine and versions.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))
os.environ["PYTHONPATH"] = str(ROOT)

from polyfiber.datasets import run  # noqa: E402
from polyfiber.datasets.plan import versions  # noqa: E402

PLAIN = {"affine": True, "inequalities": False, "vertices": False, "volumes": False}


def cells(count: int, options: dict[str, bool]) -> dict[str, Any]:
    """Regions of random networks 3-32-32-1, about 40 000 each."""
    entry = {"kind": "random", "architecture": [3, 32, 32, 1], "count": count}
    return {
        "name": "cells",
        "seed": 1,
        "partition": max(1, count // 16),
        "networks": [entry],
        "tables": {"cells": options},
    }


def questions(scale: float, huge: bool) -> dict[str, tuple[dict[str, Any], str]]:
    """Spec and the table whose rows count, by question."""
    labels = {
        "name": "labels", "seed": 1, "partition": 5000, "tables": {"fibers": {}, "pairs": {}},
        "networks": [{"kind": "random", "architecture": [8, 8, 6, 2], "count": int(100_000 * scale)}],
    }  # fmt: skip
    found = {
        "labels and pairs of (8, 8, 6, 2)": (labels, "networks"),
        "regions: signs, bounded, maps": (cells(max(4, int(96 * scale)), PLAIN), "cells"),
        "regions: also vertices and volumes": (
            cells(max(4, int(48 * scale)), {**PLAIN, "vertices": True, "volumes": True}), "cells"
        ),
    }  # fmt: skip
    if huge:
        entry = {"kind": "random", "architecture": [3, 200, 200, 1], "count": 1, "split": True}
        spec = {"name": "huge", "seed": 1, "memory": "500MB", "networks": [entry], "tables": {"cells": PLAIN}}
        found["ten million regions of one complex"] = (spec, "cells")
    return found


def measure(spec: dict[str, Any], table: str, workers: int) -> dict[str, float]:
    """One run, in a process of its own so that its memory is its own."""
    context = multiprocessing.get_context("spawn")
    mine, other = context.Pipe()
    process = context.Process(target=_run, args=(spec, table, workers, other))
    process.start()
    answer: dict[str, float] = mine.recv()
    process.join()
    return answer


def _run(spec: dict[str, Any], table: str, workers: int, pipe: Any) -> None:
    import resource

    with tempfile.TemporaryDirectory() as folder:
        run(spec, f"{folder}/warm", workers=1, partitions=[0])
        start = time.perf_counter()
        report = run(spec, f"{folder}/data", workers=workers)
        seconds = time.perf_counter() - start
    assert report.complete, report.failures
    most = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_CHILDREN, resource.RUSAGE_SELF))
    pipe.send(
        {
            "rows": report.rows[table],
            "seconds": seconds,
            "megabytes": most / 1e3,
            "written": sum(report.bytes.values()) / 1e6,
        }
    )


def main() -> None:
    """Run the questions and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", type=float, default=1.0, help="smaller for a quick look")
    parser.add_argument("--huge", action="store_true", help="also ten million regions of one complex")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    lines, results = [], []
    for name, (spec, table) in questions(options.scale, options.huge).items():
        one, two = (measure(spec, table, workers) for workers in (1, 2))
        results.append({"question": name, "one worker": one, "two workers": two})
        lines.append(
            f"{name:38s} {one['rows']:>12,} {one['seconds']:8.1f} {two['seconds']:8.1f} {two['rows'] / two['seconds']:>11,.0f} "
            f"{one['seconds'] / two['seconds']:6.2f} {two['megabytes']:8.0f} {two['written']:9.0f}"
        )
    print(
        f"{'':38s} {'rows':>12s} {'1 worker':>8s} {'2':>8s} {'rows/s (2)':>11s} {'ratio':>6s} {'MB RSS':>8s} {'MB out':>9s}"
    )
    print("\n".join(lines))
    if options.json:
        facts = {"machine": platform.platform(), "cores": os.cpu_count(), "versions": versions(), "results": results}
        options.json.write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
