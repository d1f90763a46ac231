"""Blocks: what do bounded memory, two workers, writing and estimates cost and give?

    python scripts/bench/blocks.py [--part count,workers,write,estimate] [--network 3-128-128] [--repeat 3] [--json FILE]

  count      face_counts of a network: the whole skeleton at once beside blocks in less and less memory; CPU s, and peak
             memory over the interpreter (imports, compiled code and a small network first)
  workers    counting and writing in this process and in two worker processes, their start included: wall s, which says
             something on two idle cores only, and CPU s of the process that had most to do
  write      write_cells of the regions in each format; cells a CPU second, bytes a cell, and reading them again
  estimate   pilot_estimate of the benchmark networks beside the truth, with standard errors and in units of them

Every measurement runs in an interpreter of its own, with one thread for numerical libraries; medians over --repeat.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
ONE_CORE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
ESTIMATES = 10
ESTIMATED = ["2-64-64", "2-256-256", "2-64-64-64", "3-32-32", "3-64-64", "3-128-128", "4-24-24", "5-16-16", "6-12-12"]


def network(name: str) -> Any:
    import polyfiber as pf

    return pf.ReLUNetwork.random((*map(int, name.split("-")), 1), rng=0)


def warm(name: str) -> None:
    """Compile what is used, on a small network of the same dimension."""
    import polyfiber as pf

    small = pf.ReLUNetwork.random((int(name.split("-")[0]), 8, 8, 1), rng=0)
    pf.face_counts(small)
    pf.count_blocks(small, fingerprints=[0])


def resident() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def count(name: str, memory: str) -> dict[str, Any]:
    import polyfiber as pf
    from polyfiber.complexes.skeleton.arrays import make_frame
    from polyfiber.complexes.skeleton.build import build_skeleton
    from polyfiber.complexes.skeleton.faces import FaceStore

    warm(name)
    net = network(name)
    before, started = resident(), time.process_time()
    if memory == "whole":
        f = FaceStore(build_skeleton(make_frame(net, None), pf.budget.Monitor())).counts
        blocks = 1
    else:
        total = pf.count_blocks(net, budget=pf.Budget(memory=memory))
        f, blocks = total.f_vector, len(total.blocks)
    seconds = time.process_time() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6 - before
    return {"f_vector": f, "blocks": blocks, "seconds": seconds, "peak_mb": peak}


class Timed:
    """A job, with the process that did it and the CPU time that this process had used in the end."""

    def __init__(self, job: Any) -> None:
        self.job = job

    def __call__(self, part: Any) -> tuple[int, float]:
        self.job(part)
        return os.getpid(), time.process_time()


def workers(name: str, how_many: str, what: str) -> dict[str, Any]:
    import polyfiber as pf
    from polyfiber.complexes.blocks.contents import BlockCount
    from polyfiber.complexes.blocks.run import run_blocks
    from polyfiber.complexes.blocks.write import WriteJob

    warm(name)
    net = network(name)
    number = int(how_many)
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / "cells").mkdir()
        options = {"unbounded": False, "maps": False, "vertices": False}
        write = WriteJob(str(Path(place) / "cells"), (net.architecture[0],), "npz", options, False)
        job = Timed(BlockCount.of if what == "count" else write)
        before = time.process_time()
        started = time.perf_counter()
        blocks = pf.plan_blocks(net, at_least=1 if number == 1 else 8 * number).blocks  # as `count_blocks` does
        cpu = dict(run_blocks(net, None, blocks, job, room=10**7, workers=number))
        ended = time.perf_counter()
    cpu[os.getpid()] -= before
    return {"wall": ended - started, "cpu": max(cpu.values())}


def write(name: str, file_format: str) -> dict[str, Any]:
    import polyfiber as pf

    warm(name)
    net = network(name)
    with tempfile.TemporaryDirectory() as place:
        pf.write_cells(pf.ReLUNetwork.random((2, 6, 1), rng=0), Path(place) / "warm", file_format=file_format)
        target = Path(place) / "cells"
        started = time.process_time()
        total = pf.write_cells(net, target, file_format=file_format, unbounded=False)
        seconds = time.process_time() - started
        size = sum(p.stat().st_size for p in target.rglob("*") if p.is_file())
        started = time.process_time()
        read = sum(len(cells) for cells in pf.read_cells(target).cells(net.architecture[0]))
        reading = time.process_time() - started
    assert read == total.f_vector[-1]
    return {"cells": read, "seconds": seconds, "bytes": size, "reading": reading}


def estimate(name: str) -> dict[str, Any]:
    import polyfiber as pf

    warm(name)
    net = network(name)
    started = time.process_time()
    total = pf.count_blocks(net)
    seconds = time.process_time() - started
    rows = []
    for rng in range(ESTIMATES):
        started = time.process_time()
        e = pf.pilot_estimate(net, vertices=max(500, min(1 << 14, total.f_vector[0] // 128)), rng=rng)
        spent = time.process_time() - started
        rows.append([e.f_vector[-1], e.f_errors[-1], e.seconds, e.seconds_error, spent])
    return {"regions": total.f_vector[-1], "seconds": seconds, "estimates": rows}


def run(part: str, *arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, __file__, "--child", part, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **ONE_CORE},
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{part} {arguments} failed:\n{done.stderr}")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def median(part: str, repeat: int, *arguments: str) -> dict[str, Any]:
    """Median of every number over some runs."""
    runs = [run(part, *arguments) for _ in range(repeat)]
    return {k: statistics.median(r[k] for r in runs) if isinstance(v, float) else v for k, v in runs[0].items()}


def table(header: list[str], rows: list[list[Any]]) -> None:
    print("| " + " | ".join(header) + " |")
    print("|" + "---|" * len(header))
    for row in rows:
        print("| " + " | ".join(f"{c:.4g}" if isinstance(c, float) else str(c) for c in row) + " |")
    print()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", default="count,workers,write,estimate")
    parser.add_argument("--network", default="3-128-128")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        part, *rest = args.child
        print(json.dumps({"count": count, "workers": workers, "write": write, "estimate": estimate}[part](*rest)))
        return
    parts = args.part.split(",")
    found: dict[str, Any] = {"machine": platform.platform(), "network": args.network}
    if "count" in parts:
        rows = []
        for memory in ("whole", "300MB", "100MB", "60MB"):
            r = found[f"count {memory}"] = median("count", args.repeat, args.network, memory)
            rows.append([memory, r["blocks"], r["f_vector"][0], r["f_vector"][-1], r["seconds"], r["peak_mb"]])
        table(["memory", "blocks", "vertices", "regions", "CPU s", "peak MB over the interpreter"], rows)
    if "workers" in parts:
        rows = []
        for what in ("count", "write"):
            one, two = (median("workers", args.repeat, args.network, str(k), what) for k in (1, 2))
            found[f"workers {what}"] = [one, two]
            rows.append(
                [
                    what,
                    one["wall"],
                    two["wall"],
                    one["wall"] / two["wall"],
                    one["cpu"],
                    two["cpu"],
                    one["cpu"] / two["cpu"],
                ]
            )
        table(["", "wall s, one", "two", "ratio", "CPU s of one", "of the busier of two", "ratio"], rows)
    if "write" in parts:
        rows = []
        for file_format in ("npz", "parquet", "zarr"):
            r = found[f"write {file_format}"] = median("write", args.repeat, args.network, file_format)
            cells = r["cells"]
            rows.append([file_format, cells, cells / r["seconds"], r["bytes"] / cells, cells / r["reading"]])
        table(["format", "cells", "cells/s written, enumeration included", "bytes/cell", "cells/s read"], rows)
    if "estimate" in parts:
        rows = []
        for name in ESTIMATED:
            r = found[f"estimate {name}"] = run("estimate", name)
            errors = [row[0] / r["regions"] - 1 for row in r["estimates"]]
            scores = [abs(row[0] - r["regions"]) / row[1] if row[1] else 0.0 for row in r["estimates"]]
            first = r["estimates"][0]
            rows.append(
                [
                    name, r["regions"], f"{first[0]:.4g} ± {first[1]:.2g}",
                    f"{100 * statistics.median(map(abs, errors)):.1f} %", f"{100 * max(map(abs, errors)):.1f} %",
                    max(scores), sum(score < 2 for score in scores), r["seconds"], f"{first[2]:.2g} ± {first[3]:.1g}", first[4],
                ]
            )  # fmt: skip
        table(
            [
                "network", "regions", "estimate", f"median error of {ESTIMATES}", "largest", "largest, in standard errors",
                "of them below 2",
                "CPU s by blocks", "estimate", "CPU s of an estimate",
            ],
            rows,
        )  # fmt: skip
    if args.json:
        args.json.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
