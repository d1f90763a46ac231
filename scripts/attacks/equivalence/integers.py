"""Attack what verdicts charge for the roundings of copies that run in integers.

    python scripts/attacks/equivalence/integers.py [--seconds 60] [--seed 1] [--budget 0.2]

Small networks (random, pruned, of integers, of large and small layers), boxes around 0 and away from it, 3 to 8 bits, a
scale for a matrix or a row. The truth is evaluated by this script in rationals: weights of the copy, inputs and
activations rounded to their steps, ties to even. Inputs are looked for at random, at corners and by climbing from the
best. *Wrong*: a bound of `difference` below a gap that was found, YES for an epsilon below it, NO for an epsilon that
the integers keep at its input, the same for winners. Every pair is asked by each method.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

import polyfiber as pf
from polyfiber.equivalence.execution import executed_in_integers

METHODS = ("auto", "regions", "bound")
PARTS = (0.5, 0.8, 0.99, 1.5, 3.0)
KINDS = ("random", "pruned", "integers", "uneven")


def exact(net: pf.ReLUNetwork, x: Any) -> list[Fraction]:
    """Exact outputs, number by number."""
    return _layers(net, [Fraction(float(v)) for v in x], [])


def in_integers(copy: pf.ReLUNetwork, x: Any) -> list[Fraction]:
    """What the integers compute, exactly."""
    steps = [Fraction(float(s)) for s in copy.source["scales"]]
    zero, most = int(copy.source["zero"]), 2 ** int(copy.source["bits"]) - 1
    y = [(min(max(round(Fraction(float(v)) / steps[0]) + zero, 0), most) - zero) * steps[0] for v in x]
    return _layers(copy, y, [(step, most) for step in steps[1:]])


def _layers(net: pf.ReLUNetwork, y: list[Fraction], steps: list[tuple[Fraction, int]]) -> list[Fraction]:
    for l, (W, b) in enumerate(zip(net.weights, net.biases)):
        rows = zip(W.tolist(), b.tolist())
        z = [sum((Fraction(w) * v for w, v in zip(row, y)), Fraction(c)) for row, c in rows]
        if l == len(net.weights) - 1:
            return z
        y = [max(v, Fraction(0)) for v in z]
        if steps:
            y = [min(round(v / steps[l][0]), steps[l][1]) * steps[l][0] for v in y]
    raise AssertionError("a network has a layer")


def gaps(net: pf.ReLUNetwork, copy: pf.ReLUNetwork, X: Any) -> Any:
    """The same for many inputs in floats, to choose among them."""
    steps, most, zero = copy.source["scales"], 2 ** copy.source["bits"] - 1, copy.source["zero"]
    y = (np.clip(np.rint(X / steps[0]) + zero, 0, most) - zero) * steps[0]
    for l, (W, b) in enumerate(zip(copy.weights, copy.biases)):
        y = y @ W.T + b
        if l < len(copy.weights) - 1:
            y = np.clip(np.rint(np.maximum(y, 0) / steps[l + 1]), 0, most) * steps[l + 1]
    return np.abs(net(X) - y).max(axis=1)


def largest_gap(net: pf.ReLUNetwork, copy: pf.ReLUNetwork, box: pf.Box, rng: np.random.Generator) -> Fraction:
    """The largest gap that was found, exactly."""
    lo, hi = box.lo.astype(float), box.hi.astype(float)
    X = np.concatenate([rng.uniform(lo, hi, (4000, len(lo))), list(itertools.product(*zip(lo, hi)))])
    for size in (0.1, 0.03, 0.01, 0.003):
        best = X[np.argsort(gaps(net, copy, X))[-40:]]
        near = np.repeat(best, 50, axis=0) + size * (hi - lo) * rng.standard_normal((2000, len(lo)))
        X = np.concatenate([best, np.clip(near, lo, hi)])
    best = X[np.argsort(gaps(net, copy, X))[-3:]]
    return max(abs(a - b) for x in best for a, b in zip(exact(net, x), in_integers(copy, x)))


def pair(rng: np.random.Generator) -> tuple[str, pf.ReLUNetwork, pf.ReLUNetwork, pf.Box]:
    """A network, its copy, and where they are compared."""
    n, kind = int(rng.integers(1, 4)), str(rng.choice(KINDS))
    widths = (n, *rng.integers(2, 6, int(rng.integers(1, 3))).tolist(), int(rng.integers(1, 4)))
    net = pf.ReLUNetwork.random(widths, rng=rng)
    W, b = [w.copy() for w in net.weights], [c.copy() for c in net.biases]
    if kind == "pruned":
        W = [np.where(rng.random(w.shape) < 0.4, 0.0, w) for w in W]
    elif kind == "integers":
        W, b = [np.rint(2 * w) for w in W], [np.rint(2 * c) for c in b]
    elif kind == "uneven":
        W = [w * 10.0 ** rng.uniform(-3, 3) for w in W]
    middle, half = rng.choice([0.0, 0.0, 3.0, -20.0], n), 10.0 ** rng.uniform(-2, 1, n)
    box = pf.Box(middle - half, middle + half)
    net = pf.ReLUNetwork(W, b)
    copy = executed_in_integers(net, box, bits=int(rng.integers(3, 9)), per=("tensor", "channel")[int(rng.integers(2))])
    return kind, net, copy, box


def attack(rng: np.random.Generator, seconds: float, *, uncharged: bool = False) -> tuple[str, Counter[str], list[str]]:
    """One pair: its kind, the verdicts by what was asked, and what is wrong; uncharged: about rounded weights alone."""
    kind, net, copy, box = pair(rng)
    asked = pf.ReLUNetwork(copy.weights, copy.biases) if uncharged else copy
    gap, counts, wrong = largest_gap(net, copy, box, rng), Counter[str](), []
    budget = pf.Budget(seconds=seconds)
    for method in METHODS:
        found = pf.difference(net, asked, box, method=method, budget=budget)
        counts["bounds"] += 1
        if np.isfinite(found.upper) and Fraction(found.upper) < gap:
            wrong.append(f"{method}: bound {found.upper!r}, gap {float(gap)!r}")
        for part in rng.choice(PARTS, 2, replace=False).tolist():
            epsilon = float(part * gap)
            answer = pf.are_equivalent(net, asked, box, epsilon=epsilon, method=method, budget=budget)
            counts[f"{'below' if part < 1 else 'above'}: {answer.verdict.value}"] += 1
            if answer.verdict is pf.Verdict.YES and Fraction(epsilon) < gap:
                wrong.append(f"{method}: YES for {epsilon!r}, gap {float(gap)!r}")
            if answer.verdict is pf.Verdict.NO:
                x = answer.witness
                there = max(abs(a - c) for a, c in zip(exact(net, x), in_integers(copy, x)))
                if there <= Fraction(epsilon):
                    wrong.append(f"{method}: NO for {epsilon!r}, whose input has the gap {float(there)!r}")
    if net.architecture[-1] > 1:
        X = rng.uniform(box.lo.astype(float), box.hi.astype(float), (100, net.architecture[0]))
        chosen = [(exact(net, x), in_integers(copy, x)) for x in X]
        lead = max(abs(v) for both in chosen for side in both for v in side) / 10**8
        other = any(max(a) - a[c.index(max(c))] > lead and sorted(c)[-1] - sorted(c)[-2] > lead for a, c in chosen)
        for method in METHODS:
            same = pf.top1_agreement(net, asked, box, method=method, margin=1e-9, budget=budget)
            counts[f"winners: {same.verdict.value}"] += 1
            if same.verdict is pf.Verdict.YES and other:
                wrong.append(f"{method}: YES for winners that differ")
    return kind, counts, wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--budget", type=float, default=0.2, help="Seconds for each question.")
    options = parser.parse_args()
    total, bad, case, end = Counter[str](), 0, 0, time.monotonic() + options.seconds
    while time.monotonic() < end:
        kind, counts, wrong = attack(np.random.default_rng([options.seed, case]), options.budget)
        case += 1
        total += counts
        bad += len(wrong)
        for text in wrong:
            print(f"WRONG seed {options.seed} case {case - 1} ({kind}): {text}", flush=True)
    print(json.dumps({"pairs": case, "wrong": bad, **dict(sorted(total.items()))}))
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
