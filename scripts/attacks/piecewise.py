"""Attack the complexes of networks of gates with slopes and skips: everything against exact brute force.

    python scripts/attacks/piecewise.py [--seconds 240] [--count N] [--seed 0]

The truth is `tests/oracles/graph_faces.py`: forms carried forward number by number with the slope that the sign of each gate
picks, cones cut in Python integers; no floating point, no LP, no code of the library. Graphs have 1 to 3 inputs, 1 to 3 blocks
and up to 9 gates: ReLU, LeakyReLU, absolute values, decreasing and steep gates, mixed; chains, residual sums, dense, parallel
and random connections; Gaussian and integer weights, shared ones, sparse ones, no biases, repeated rows; all of Rⁿ and boxes.

Asked of each: all faces of all dimensions by their signs, the affine map of every region, the weight of every facet and which
facets have none, balancing, points located, the certificate of everything. Exit code 1 if something was wrong.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import polyfiber as pf
from polyfiber.testing.graphs import KINDS, WEIGHTS, WIRINGS, random_graph
from tests.oracles.graph_faces import Graph, graph_complex

MOST_GATES = {1: 9, 2: 7, 3: 6}


def draw(seed: int) -> tuple[pf.PiecewiseLinearNetwork, pf.Box | None, str]:
    """A graph, a box or None, and what it is."""
    rng = np.random.default_rng(seed)
    n, L = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    widths = [1] * L
    for _ in range(int(rng.integers(L, MOST_GATES[n] + 1)) - L):
        widths[int(rng.integers(0, L))] += 1
    kind = str(rng.choice([*KINDS, *["mixed"] * 5]))
    wiring, weights = str(rng.choice(WIRINGS)), str(rng.choice(WEIGHTS))
    outputs = int(rng.integers(1, 3))
    net = random_graph(rng, n, tuple(widths), kind=kind, wiring=wiring, weights=weights, outputs=outputs)
    box = pf.Box(-rng.integers(1, 4, n) / 1.0, rng.integers(1, 4, n) / 2.0) if rng.random() < 0.5 else None
    return net, box, f"seed {seed}: {kind}, {wiring}, {weights}, {net.architecture}, {'box' if box else 'R^n'}"


def faults(net: pf.PiecewiseLinearNetwork, box: pf.Box | None, truth: Graph, rng: np.random.Generator) -> list[str]:
    """What is wrong with the complex of a graph."""
    cx = pf.canonical_complex(net, box)
    if cx.f_vector != truth.f_vector:
        return [f"f-vector {cx.f_vector}, right {truth.f_vector}"]
    found = []
    top = cx.dimension
    for k in range(top + 1):
        if {tuple(row) for row in cx.signs(k).tolist()} != {f.signs for f in truth.of_dim(k)}:
            found.append(f"faces of dimension {k}")
    if found:
        return found
    for row, A, a in zip(cx.signs(top).tolist(), *cx.affine_maps()):
        if not np.allclose(np.c_[A, a], np.array(truth.faces[tuple(row)].outputs, dtype=float), rtol=1e-9, atol=1e-9):
            found.append("an affine map")
    if top:
        bp = cx.breakpoint_complex()
        have = {tuple(row): w for row, w in zip(cx.signs(top - 1)[bp.facets].tolist(), bp.weights)}
        want = {signs: w for signs, w in truth.weights().items() if max(map(abs, w)) > 1e-12}
        if have.keys() != want.keys() or not all(np.allclose(have[s], want[s], rtol=1e-8, atol=1e-9) for s in want):
            found.append("weights of facets")
        if not bp.balance() < 1e-8:
            found.append("balancing")
    found += located(net, box, cx, rng)
    check = cx.certificate.verify(everything=True)
    return found if check.ok else [*found, f"verify: {check.problems or check.unfinished}"]


def located(net: pf.PiecewiseLinearNetwork, box: pf.Box | None, cx: Any, rng: np.random.Generator) -> list[str]:
    """Points, in rationals, against the signs of the regions that they are said to lie in."""
    X = rng.standard_normal((10, net.n_inputs)) * 2
    X = X if box is None else np.clip(X, box.lo, box.hi)
    exact, signs = net.exact(), cx.signs(cx.dimension)
    for x, region in zip(X, cx.locate(X)):
        point = np.array([Fraction(float(c)) for c in x], dtype=object)
        z = [v for block in exact.preactivations(point)[:-1] for v in block]
        here = np.array([(v > 0) - (v < 0) for v in z])
        if not ((here == 0) | (here == signs[region][: len(here)])).all():
            return ["a point in another region"]
    return []


def attack(*, seed: int, count: int, seconds: float) -> tuple[Counter[str], list[str]]:
    """(how many of each kind, what was wrong)."""
    tried: Counter[str] = Counter()
    wrong: list[str] = []
    end = time.monotonic() + seconds
    for i in range(count):
        if time.monotonic() > end:
            break
        net, box, what = draw(seed + i)
        truth = graph_complex(net, domain=None if box is None else (box.A, box.b))
        found = faults(net, box, truth, np.random.default_rng(seed + i))
        tried["graphs"] += 1
        tried["faces"] += sum(truth.f_vector)
        wrong += [f"{what}: {fault}" for fault in found]
    return tried, wrong


def main(attack: Any, doc: str | None, **choices: tuple[str, ...]) -> int:
    """Run an attack from the command line; ``choices``: options that name some of several things, and all of these."""
    parser = argparse.ArgumentParser(description=(doc or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=240.0)
    parser.add_argument("--count", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    for name, every in choices.items():
        parser.add_argument(f"--{name}", default=",".join(every))
    given = parser.parse_args()
    some = {name: tuple(getattr(given, name).split(",")) for name in choices}
    tried, wrong = attack(
        seed=given.seed, count=given.count or 10**9, seconds=math.inf if given.count else given.seconds, **some
    )
    for line in wrong:
        print("WRONG", line)
    print(", ".join(f"{name}: {number}" for name, number in tried.items()), f"wrong: {len(wrong)}", sep=", ")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(attack, __doc__))
