"""What a network that is not generic costs: the face lattice beside the engine for generic networks.

    python scripts/bench/lattice.py [--large] [--json FILE]

Each row is a random network made degenerate in one way. `engine` is the generic network of the same widths with all
faces written; `lattice` is the degenerate one. CPU seconds, warm, median of three.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import polyfiber as pf


def one_duplicate(net: pf.ReLUNetwork) -> pf.ReLUNetwork:
    weights, biases = [w.copy() for w in net.weights], [b.copy() for b in net.biases]
    weights[0][1], biases[0][1] = -2 * weights[0][0], -2 * biases[0][0]
    return pf.ReLUNetwork(weights, biases)


def one_triple_point(net: pf.ReLUNetwork) -> pf.ReLUNetwork:
    """n + 1 walls of the first layer through 0."""
    biases = [b.copy() for b in net.biases]
    biases[0][: net.architecture[0] + 1] = 0
    return pf.ReLUNetwork(net.weights, biases)


def rounded(step: float) -> Callable[[pf.ReLUNetwork], pf.ReLUNetwork]:
    def change(net: pf.ReLUNetwork) -> pf.ReLUNetwork:
        return pf.ReLUNetwork(
            [np.round(w / step) * step for w in net.weights], [np.round(b / step) * step for b in net.biases]
        )

    return change


KINDS = {
    "one duplicate": one_duplicate,
    "n + 1 walls in a point": one_triple_point,
    "rounded to 1/8": rounded(0.125),
    "rounded to 1/2": rounded(0.5),
}


def seconds(call: Callable[[], Any]) -> float:
    times = []
    for _ in range(3):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    widths = [(2, 64, 64, 1), (3, 32, 32, 1), (4, 16, 16, 1), (2, 64, 64, 64, 1)]
    if options.large:
        widths += [(3, 64, 64, 1), (2, 256, 256, 1), (5, 16, 16, 1)]
    rows = []
    print("| network | how | faces | engine s | lattice s | µs/face | times | exact signs | of them zero |")
    print("|---|---|--:|--:|--:|--:|--:|--:|--:|")
    for architecture in widths:
        net = pf.ReLUNetwork.random(architecture, rng=0)
        engine = pf.canonical_complex(net).materialize()
        base = seconds(lambda net=net: pf.canonical_complex(net).materialize()) / sum(engine.f_vector)  # type: ignore[misc]
        for how, change in KINDS.items():
            bad = change(net)
            cx = pf.canonical_complex(bad)
            if cx.is_simple:
                continue
            faces = sum(cx.f_vector)
            took = seconds(lambda bad=bad: pf.canonical_complex(bad).materialize())  # type: ignore[misc]
            row = {
                "network": "-".join(map(str, architecture[:-1])), "how": how, "faces": faces, "engine": base * faces,
                "lattice": took, "us": took / faces * 1e6, "times": took / faces / base,
                "exact": cx.certificate.exact, "zeros": cx.certificate.zeros,
            }  # fmt: skip
            rows.append(row)
            print(
                f"| {row['network']} | {how} | {faces} | {row['engine']:.3f} | {took:.3f} | {row['us']:.2f} | "
                f"{row['times']:.1f} | {row['exact']} | {row['zeros']} |",
                flush=True,
            )
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
