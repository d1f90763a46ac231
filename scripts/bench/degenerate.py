"""The degenerate corpus: who counts right, who refuses, who is silently wrong.

    python scripts/bench/degenerate.py [--cases NAME,NAME] [--peer-seconds 20] [--json FILE]

Truth is exact rational brute force (tests/oracles/exact_faces.py): of regions on all of R^n for us and relucent,
of regions (nnenum) or of vertices and edges (edge subdivision) in the box of radius 10. Peers are found as in
complex.py. A peer's answer is `right`, `wrong: COUNT`, or `failed: …` (an error, which is honest, or a time-out).
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(Path(__file__).parent))

from complex import PEERS, RADIUS, child, find_peer  # noqa: E402

import polyfiber as pf  # noqa: E402
from polyfiber.testing import Case, degenerate_corpus  # noqa: E402
from tests.oracles.exact_faces import box, exact_complex  # noqa: E402


def ours(case: Case, truth: tuple[int, ...]) -> str:
    try:
        found = tuple(pf.canonical_complex(case.network).f_vector)
    except pf.errors.GenericityError:
        return "refused"
    return "right" if found == truth else f"wrong: {found}"


def theirs(peer: str, where: tuple[str, str], case: Case, truth: Any, boxed: Any, seconds: float) -> str:
    net = case.network.rounded()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "network.npz"
        arrays = {f"W{i}": w for i, w in enumerate(net.weights)} | {f"b{i}": b for i, b in enumerate(net.biases)}
        np.savez(file, **arrays)
        script = str(Path(__file__).with_name("peer.py"))
        found = child(
            [script, peer, str(file), str(RADIUS), str(seconds), "20000"],
            python=where[0], path=where[1], limit=seconds + 10,
        )  # fmt: skip
    if isinstance(found, str):
        return f"failed: {found[:60]}"
    if found["capped"]:
        return "failed: over the limit"
    if peer == "edge":
        count: Any = (found["vertices"], found["edges"])
        expected: Any = tuple(boxed[:2])
    else:
        count = found["regions"]
        expected = truth[-1] if peer == "relucent" else boxed[-1]
    return "right" if count == expected else f"wrong: {count} (true {expected})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", default="")
    parser.add_argument("--peer-seconds", type=float, default=20.0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    chosen = set(filter(None, options.cases.split(",")))
    peers = {peer: find_peer(peer) for peer in PEERS}
    rows: dict[str, dict[str, str]] = {}
    print("| network | regions | polyfiber | " + " | ".join(PEERS) + " |\n|---|--:|---|" + "---|" * len(PEERS))
    for case in degenerate_corpus():
        if case.domain is not None or (chosen and case.name not in chosen):
            continue
        net = case.network
        truth = exact_complex(net.weights, net.biases).f_vector
        n = net.architecture[0]
        radius = int(RADIUS)
        boxed = exact_complex(net.weights, net.biases, domain=box([-radius] * n, [radius] * n)).f_vector
        row = {"regions": str(truth[-1]), "polyfiber": ours(case, truth)}
        for peer, where in peers.items():
            if isinstance(where, str):
                row[peer] = "skipped"
            elif net.is_exact:
                row[peer] = "no rationals"
            else:
                row[peer] = theirs(peer, where, case, truth, boxed, options.peer_seconds)
        rows[case.name] = row
        print(f"| {case.name} | " + " | ".join(row.values()) + " |", flush=True)
    for who in ("polyfiber", *PEERS):
        print(f"{who}: {dict(Counter(row[who].split(':')[0] for row in rows.values()))}")
    for _peer, where in peers.items():
        if isinstance(where, str):
            print(where)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
