"""Attack the complexes of networks of gates with slopes and skips: everything against exact brute force.

    python scripts/attacks/complexes/piecewise.py [--seconds 240] [--count N] [--seed 0]

The truth is `tests/oracles/graph_faces.py`: forms carried forward number by number with the slope that the sign of each gate
picks, cones cut in Python integers; no floating point, no LP, no code of the library. Graphs have 1 to 3 inputs, 1 to 3 blocks
and up to 9 gates: ReLU, LeakyReLU, absolute values, decreasing and steep gates, mixed; chains, residual sums, dense, parallel
and random connections; Gaussian and integer weights, shared ones, sparse ones, no biases, repeated rows; all of Rⁿ and boxes.

One in three has large weights that cancel: a gate that is flat on one side, behind a row some 2^50 times as large, and an
offset that a skip takes back; one in five is in rationals with thirds.

Asked of each: all faces of all dimensions by their signs, the affine map of every region, the Lipschitz constant, the maps of
single regions, the weight of every facet and which facets have none, balancing, points located, the certificate of
everything; and on small ones the chain emulation region by region. Exit code 1 if something was wrong.
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

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

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
    if seed % 3 == 2:
        net, weights = cancelling(net, rng), f"{weights} that cancel"
    if seed % 5 == 4:
        net, weights = thirds(net), f"{weights} with thirds"
    return net, box, f"seed {seed}: {kind}, {wiring}, {weights}, {net.architecture}, {'box' if box else 'R^n'}"


def cancelling(net: pf.PiecewiseLinearNetwork, rng: np.random.Generator) -> pf.PiecewiseLinearNetwork:
    """The same wiring with gates that are flat on one side behind large rows, so that sums of large numbers are 0 there."""
    blocks = []
    for block in net.blocks:
        weights, bias, slopes = dict(block.weights), block.bias.copy(), block.slopes.copy()
        factor = np.where(rng.random(block.width) < 0.6, 2.0 ** rng.integers(20, 60, block.width), 1.0)
        flat = rng.integers(0, 2, block.width)
        for i in np.flatnonzero(factor != 1):
            slopes[i] = [(0.0, 1.0), (1.0, 0.0)][flat[i]]
        whole = {j: m if isinstance(m, np.ndarray) else m.toarray() for j, m in weights.items()}
        blocks.append(pf.GateBlock({j: m * factor[:, None] for j, m in whole.items()}, bias * factor, slopes=slopes))
    return pf.PiecewiseLinearNetwork(net.n_inputs, blocks, net.output)


def thirds(net: pf.PiecewiseLinearNetwork) -> pf.PiecewiseLinearNetwork:
    """All matrices and offsets times a third, in rationals: each is rounded when it becomes a float."""

    def third(affine: pf.AffineMap) -> tuple[dict[int, Any], Any]:
        whole = {j: m if isinstance(m, np.ndarray) else m.toarray() for j, m in affine.weights.items()}
        return {j: m * Fraction(1, 3) for j, m in whole.items()}, affine.bias * Fraction(1, 3)

    exact = net.exact()
    blocks = [pf.GateBlock(*third(b.affine), slopes=b.slopes) for b in exact.blocks]
    return pf.PiecewiseLinearNetwork(net.n_inputs, blocks, pf.AffineMap(*third(exact.output)))


def near(A: Any, a: Any, outputs: Any) -> bool:
    """Whether a map is that of exact forms, against the largest coefficient of each output."""
    right = np.array(outputs, dtype=float)
    size = np.abs(right[:, :-1]).max(axis=1)
    off = np.abs(np.c_[A, a] - right)
    return bool(
        (off[:, :-1] <= 2e-8 * size[:, None]).all()
        and (off[:, -1] <= 2e-8 * np.maximum(size, np.abs(right[:, -1]))).all()
    )


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
        if not near(A, a, truth.faces[tuple(row)].outputs):
            found.append("an affine map")
    slopes = [np.array(p.outputs, dtype=float)[:, :-1] for p in truth.regions()]
    right = max(float(np.linalg.norm(A, 2)) for A in slopes)
    if not np.isclose(cx.lipschitz().value, right, rtol=1e-7, atol=0):
        found.append(f"Lipschitz constant {cx.lipschitz().value}, right {right}")
    found += single(net, box, truth, rng)
    if net.n_inputs < 3 and net.n_hidden < 6:
        found += emulated(net, box, truth)
    if top:
        bp = cx.breakpoint_complex()
        have = {tuple(row): w for row, w in zip(cx.signs(top - 1)[bp.facets].tolist(), bp.weights)}
        want = {signs: w for signs, w in truth.weights().items() if max(map(abs, w)) > 1e-12}
        if have.keys() != want.keys() or not all(np.allclose(have[s], want[s], rtol=1e-8, atol=1e-9) for s in want):
            found.append("weights of facets")
        if not bp.balancing_residual() < 1e-8:
            found.append("balancing")
    found += located(net, box, cx, rng)
    check = cx.certificate.verify(everything=True)
    return found if check.ok else [*found, f"verify: {check.problems or check.unfinished}"]


def single(net: pf.PiecewiseLinearNetwork, box: pf.Box | None, truth: Graph, rng: np.random.Generator) -> list[str]:
    """Maps and walls of single regions, at points inside them."""
    found = []
    regions = truth.regions()
    for i in rng.permutation(len(regions))[:3]:
        part = regions[i]
        here = pf.region(net, np.array(part.point, dtype=object), domain=box)
        if part.dim < net.n_inputs or tuple(here.signs.tolist()) != part.signs:
            continue  # of a region without an inside the point chooses another one
        if not near(*here.affine_map, part.outputs):
            found.append("the affine map of a region")
        for column, normal, offset in zip(here.facets, here.A, here.b):
            if column < truth.n_gates:
                sign = -part.signs[column]
                if not near([normal], [-offset], [[sign * v for v in part.gates[column]]]):
                    found.append("a wall of a region")
    return found


def emulated(net: pf.PiecewiseLinearNetwork, box: pf.Box | None, truth: Graph) -> list[str]:
    """The ReLU chain of the same function: each of its regions lies in one of the graph's, with its map; and all are met."""
    cx = pf.canonical_complex(net.to_chain(), box)
    exact, met = net.exact(), set()
    for x, A, a in zip(cx.interior_points(cx.dimension, exact=True), *cx.affine_maps()):
        z = [v for block in exact.preactivations(x)[:-1] for v in block]
        signs = tuple((v > 0) - (v < 0) for v in z)
        inside = [p for p in truth.regions() if p.signs[: len(signs)] == signs]
        if len(inside) != 1:
            return ["a region of the chain in none of the graph's"]
        if not near(A, a, inside[0].outputs):
            return ["an affine map of the chain"]
        met.add(signs)
    return [] if len(met) == len(truth.regions()) else ["regions that the chain does not meet"]


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
