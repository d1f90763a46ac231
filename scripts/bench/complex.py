"""The canonical complex of the benchmark networks: ours beside relucent, nnenum and edge subdivision.

    python scripts/bench/complex.py [--networks 2-64-64,3-32-32] [--repeat 5] [--peer-seconds 30] [--json FILE]

Every number is CPU time of one process on one core, without imports and compilation (each process first runs
a small network of the same dimension). Ours is certified. Columns:

  skeleton    canonical_complex: every vertex, edge and ray, every sign certified as it is decided
  faces       every face of every dimension written with packed signs, on top of the skeleton
  count       face_counts, from the network to the f-vector without making the faces (skeleton included)
  verify      certificate.verify(): every vertex, sign and edge checked anew, independently of the build
  peak        memory over the interpreter with all faces written

Peers are run on the same networks where they can be found, each in its own interpreter:

  relucent    pip install relucent                       POLYFIBER_BENCH_RELUCENT=…/bin/python
  nnenum      a checkout of stanleybak/nnenum            POLYFIBER_BENCH_NNENUM=…/bin/python:…/nnenum/src
  edge        a checkout of relu_edge_subdivision        POLYFIBER_BENCH_EDGE=…/bin/python:…/relu_edge_subdivision

Without the variable, this interpreter is tried. relucent walks regions of R^n (capped at a number of regions, cost
per region reported); nnenum and edge subdivision see a box of radius 10 only, so that their counts differ from
ours (the box adds corners and edges of its own to the counts of edge subdivision) and costs are compared per
region, ours with every lower face written too, and per vertex. "(part)" means stopped by the limit. None of the
three certifies its signs.
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

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
NETWORKS = [
    "2-64-64",
    "2-256-256",
    "2-64-64-64",
    "3-32-32",
    "3-64-64",
    "3-24-24-24",
    "4-16-16",
    "4-24-24",
    "5-16-16",
    "6-12-12",
]
RADIUS = 10.0
sys.path.insert(0, str(ROOT))
PEERS = {"relucent": "POLYFIBER_BENCH_RELUCENT", "nnenum": "POLYFIBER_BENCH_NNENUM", "edge": "POLYFIBER_BENCH_EDGE"}
ONE_CORE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}


def network(name: str) -> Any:
    import polyfiber as pf

    return pf.ReLUNetwork.random((*map(int, name.split("-")), 1), rng=0)


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def clock() -> float:
    return time.process_time()


# ---- in a process of its own -----------------------------------------------------------------------


def measure(name: str, repeat: int, verify: bool) -> dict[str, Any]:
    import polyfiber as pf

    small = pf.ReLUNetwork.random((int(name.split("-")[0]), 6, 5, 1), rng=1)
    warm = pf.canonical_complex(small)
    warm.materialize()
    pf.face_counts(small)
    net = network(name)
    times: dict[str, list[float]] = {"skeleton": [], "faces": [], "count": [], "verify": []}
    for _ in range(repeat):
        t0 = clock()
        cx = pf.canonical_complex(net)
        t1 = clock()
        cx.materialize()
        t2 = clock()
        counted = pf.face_counts(net)
        t3 = clock()
        if verify:
            verified = cx.certificate.verify()
            if not verified.ok:
                raise AssertionError(f"{name}: {verified.problems}")
        t4 = clock()
        if tuple(counted) != tuple(cx.f_vector):
            raise AssertionError(f"{name}: counted {counted}, written {cx.f_vector}")
        for key, value in (("skeleton", t1 - t0), ("faces", t2 - t1), ("count", t3 - t2), ("verify", t4 - t3)):
            times[key].append(value)
        del cx
    return {"f_vector": list(map(int, counted)), **{k: statistics.median(v) for k, v in times.items()}, "runs": times}


def peak(name: str) -> dict[str, Any]:
    """Peak resident memory of one build with everything written, over the warmed-up interpreter."""
    import polyfiber as pf

    small = pf.ReLUNetwork.random((int(name.split("-")[0]), 6, 5, 1), rng=1)
    pf.canonical_complex(small).materialize()
    net = network(name)
    before = resident_mb()
    cx = pf.canonical_complex(net)
    skeleton = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    cx.materialize()
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"peak_mb": after - before, "peak_skeleton_mb": skeleton - before, "interpreter_mb": before}


# ---- driver -------------------------------------------------------------------------------------------


def child(arguments: list[str], *, python: str = sys.executable, path: str = str(ROOT), limit: float = 3600) -> Any:
    """Run a script in a process of its own and read the JSON on its last line; a string says why not."""
    environment = {**os.environ, **ONE_CORE, "PYTHONPATH": path}
    try:
        done = subprocess.run(
            [python, *arguments], env=environment, capture_output=True, text=True, timeout=limit, check=False
        )
    except subprocess.TimeoutExpired:
        return f"over {limit:.0f} s"
    except OSError as error:
        return str(error)
    if done.returncode:
        tail = done.stderr.strip().splitlines() or [f"exit {done.returncode}"]
        return tail[-1][:160]
    return json.loads(done.stdout.strip().splitlines()[-1])


def find_peer(name: str) -> tuple[str, str] | str:
    """(interpreter, extra path) of a peer, or why it is skipped."""
    setting = os.environ.get(PEERS[name], sys.executable)
    python, _, path = setting.partition(":")
    module = {"relucent": "relucent", "nnenum": "nnenum.enumerate", "edge": "edge_subdivision"}[name]
    try:
        probe = subprocess.run(
            [python, "-c", f"import {module}"],
            env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False,
        )  # fmt: skip
    except OSError as error:
        return f"skipped: {PEERS[name]} names no interpreter: {error}"
    return (python, path) if probe.returncode == 0 else f"skipped: {module} cannot be imported (set {PEERS[name]})"


def run_peer(peer: str, where: tuple[str, str], name: str, seconds: float, most: int) -> Any:
    net = network(name)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "network.npz"
        arrays = {f"W{i}": w for i, w in enumerate(net.weights)} | {f"b{i}": b for i, b in enumerate(net.biases)}
        np.savez(file, **arrays)
        script = str(Path(__file__).with_name("peer.py"))
        return child(
            [script, peer, str(file), str(RADIUS), str(seconds), str(most)],
            python=where[0], path=where[1], limit=10 * seconds + 120,
        )  # fmt: skip


def ours_table(rows: dict[str, Any]) -> str:
    lines = [
        "| network | vertices | regions | all faces | skeleton s | us/vertex | + faces s | ns/face | count s | ns/face | verify s | peak MB |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for name, row in rows.items():
        f = row["f_vector"]
        v, total = f[0], sum(f)
        lines.append(
            f"| {name} | {v} | {f[-1]} | {total} | {row['skeleton']:.4f} | {1e6 * row['skeleton'] / v:.2f} "
            f"| {row['faces']:.4f} | {1e9 * row['faces'] / total:.1f} | {row['count']:.4f} "
            f"| {1e9 * row['count'] / total:.1f} | {format(row['verify'], '.3f') if row['verify'] > 1e-4 else '-'} | {row['peak_mb']:.0f} |"
        )
    return "\n".join(lines)


def peer_table(rows: dict[str, Any], peers: dict[str, Any]) -> str:
    lines = [
        "| network | ours, us/region | relucent, us/region | ratio | nnenum, us/region | ratio | ours, us/vertex | edge subdivision, us/vertex | ratio |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for name, row in rows.items():
        f = row["f_vector"]
        region = 1e6 * (row["skeleton"] + row["faces"]) / f[-1]  # with every face of every dimension written
        vertex = 1e6 * row["skeleton"] / f[0]
        cells = [name, f"{region:.2f}"]
        for peer in ("relucent", "nnenum", "edge"):
            found = peers.get(peer, {}).get(name, "-")
            own = vertex if peer == "edge" else region
            if peer == "edge":
                cells.append(f"{vertex:.2f}")
            if isinstance(found, dict) and found.get("regions", found.get("vertices", 0)):
                n = found["vertices"] if peer == "edge" else found["regions"]
                cost = 1e6 * found["seconds"] / n
                cells += [f"{cost:.3g}{' (part)' if found['capped'] else ''}", f"{cost / own:.3g}x"]
            else:
                cells += [str(found), ""]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--peer-seconds", type=float, default=20.0)
    parser.add_argument("--peers", default=",".join(PEERS), help="which of relucent,nnenum,edge; empty for none")
    parser.add_argument("--peer-regions", type=int, default=1000, help="relucent stops after so many regions")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--verify", action="store_true", help="check every certificate anew, and time it")
    parser.add_argument("--worker", choices=["measure", "peak"])
    options = parser.parse_args()
    names = options.networks.split(",")
    if options.worker:
        result = measure(names[0], options.repeat, options.verify) if options.worker == "measure" else peak(names[0])
        print(json.dumps(result))
        return
    rows: dict[str, Any] = {}
    for name in names:
        timing = child(
            [
                __file__,
                "--worker",
                "measure",
                "--networks",
                name,
                "--repeat",
                str(options.repeat),
                *(["--verify"] if options.verify else []),
            ]
        )
        memory = child([__file__, "--worker", "peak", "--networks", name])
        if isinstance(timing, str) or isinstance(memory, str):
            sys.exit(f"{name}: {timing} {memory}")
        rows[name] = {**timing, **memory}
        print(f"{name}: done", file=sys.stderr)
    peers: dict[str, Any] = {}
    notes = []
    for peer in filter(None, options.peers.split(",")):
        where = find_peer(peer)
        if isinstance(where, str):
            notes.append(f"{peer}: {where}")
            continue
        peers[peer] = {}
        for name in names:
            peers[peer][name] = run_peer(peer, where, name, options.peer_seconds, options.peer_regions)
            print(f"{peer} {name}: {peers[peer][name]}", file=sys.stderr)
    print(
        f"Python {platform.python_version()}, numpy {np.__version__}, {platform.machine()}, one core, CPU seconds, median of {options.repeat}\n"
    )
    print(ours_table(rows))
    print()
    if peers:
        print(peer_table(rows, peers))
    print("\n".join(["", *notes]))
    if options.json:
        options.json.write_text(json.dumps({"ours": rows, "peers": peers, "notes": notes}, indent=1) + "\n")


if __name__ == "__main__":
    main()
