"""How often do slices of convolutional networks leave the fast road? Shared weights and pooling make coincidences common.

    OMP_NUM_THREADS=1 python scripts/bench/slow_road.py [--slices 20] [--seconds 20] [--seed 0] [FILE …]

Planes through images: *random* directions through noise, *mixed* through three images of noise (the plane of their mixtures),
*pixels* along two pixels of a blank image, *patches* along two equal patches of one, where units with equal weights see equal
values. Each is walked (`method="walk"`) and, where the network has fewer than 2000 gates, built (`method="complex"`).
Printed: slices on which the walk asked rational arithmetic about more than 5 % of its regions or the complex was not built as
that of a generic network, and the share of regions, and of signs, that were decided exactly.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import polyfiber as pf
from polyfiber.complexes.local.slices import complex_slice
from polyfiber.errors import PolyfiberError

ROOT = Path(__file__).resolve().parents[2]
KINDS = ("random", "mixed", "pixels", "patches")
SHARE = 0.05
LARGE = 2000


def plane(kind: str, shape: tuple[int, ...], rng: np.random.Generator) -> tuple[Any, Any, pf.Box]:
    """Origin, two directions and the part of the plane that is looked at."""
    n = int(np.prod(shape))
    if kind == "random":
        return rng.random(n), rng.standard_normal((2, n)) / np.sqrt(n), pf.Box(-1, 1, dimension=2)
    if kind == "mixed":
        a, b, c = rng.random((3, n))
        return a, np.stack([b - a, c - a]), pf.Box(0, 1, dimension=2)
    if kind == "pixels" or len(shape) < 3:
        i, j = rng.choice(n, 2, replace=False)
        D = np.zeros((2, n))
        D[0, i], D[1, j] = 1.0, 1.0
        return np.zeros(n), D, pf.Box(-1, 1, dimension=2)
    channels, height, width = shape[-3:]
    D = np.zeros((2, channels, height, width))
    patch, (h, w) = rng.standard_normal((channels, 2, 2)), (height // 2, width // 2)
    y, x = int(rng.integers(0, max(1, h - 2))), int(rng.integers(0, max(1, w - 2)))
    D[0, :, y : y + 2, x : x + 2] = patch
    D[1, :, y + h : y + h + 2, x + w : x + w + 2] = patch
    return np.zeros(n), D.reshape(2, n), pf.Box(-1, 1, dimension=2)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--slices", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=20.0, help="for one slice")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    files = options.files or sorted((ROOT / "data").glob("digits_*.onnx"))
    print("| file | gates | slices | way | done | on the slow road | regions or signs decided exactly |")
    print("|---|--:|---|---|--:|--:|--:|")
    for file in files:
        net = pf.read_network(file)
        shape = net.input_shape
        for kind in KINDS:
            rng = np.random.default_rng(options.seed)
            found: dict[str, list[tuple[bool, int, int]]] = defaultdict(list)
            for _ in range(options.slices):
                origin, directions, box = plane(kind, shape, rng)
                budget = pf.Budget(seconds=options.seconds)
                try:
                    walked = pf.slice_complex(net, origin, directions, domain=box, method="walk", budget=budget)
                    s = walked.stats
                    found["walk"].append((s.exact_regions > SHARE * s.regions, s.exact_regions, s.regions))
                except PolyfiberError:
                    pass
                if net.n_hidden >= LARGE:
                    continue
                try:
                    cx = complex_slice(net, origin, directions, domain=box, budget=budget).complex
                    b = cx.certificate
                    found["complex"].append((not cx.is_simple, b.exact, b.exact + b.filtered + b.structural))
                except PolyfiberError:
                    pass
            for way, rows in found.items():
                slow, part, whole = (sum(r[k] for r in rows) for k in range(3))
                print(
                    f"| {file.name} | {net.n_hidden} | {kind} | {way} | {len(rows)} of {options.slices} | {slow} | "
                    f"{part} of {whole} ({100 * part / max(1, whole):.3g} %) |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
