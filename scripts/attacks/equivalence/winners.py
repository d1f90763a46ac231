"""Attack the verdicts on winners: a network against itself at another temperature, with or without one logit moved.

    python scripts/attacks/equivalence/winners.py [--count 200] [--seed 1] [--seconds 5]

Logits times a factor, shifted alike and rewritten by permutations and scalings, choose the same classes: never NO. Half of the pairs have one logit moved by 1e-6 to 1e-1 of the largest. Inputs are looked for
where the winners differ by more than the margin: at random, and on segments between inputs of different classes, by bisection to where the first network ties, and a step to either side.
Both networks are evaluated there in rationals, by this script. *Wrong*: YES where such an input was found, NO for equal winners, or a NO whose input has no different strict winners. Every pair is asked
by boxes and by cells.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

import polyfiber as pf
from polyfiber.network.moves import random_trivial

MARGIN = 1e-9
SHAPES = ((2, 6, 3), (2, 8, 6, 3), (3, 8, 6, 4), (4, 10, 8, 3), (5, 12, 12, 2), (3, 6, 5, 4, 3))


def outputs(net: pf.ReLUNetwork, x: np.ndarray) -> list[Fraction]:
    """Exact outputs, layer by layer."""
    y = [Fraction(float(v)) for v in x]
    for l, (W, b) in enumerate(zip(net.weights, net.biases)):
        z = [
            sum((Fraction(float(w)) * v for w, v in zip(row, y)), Fraction(float(c)))
            for row, c in zip(W.tolist(), b.tolist())
        ]
        y = z if l == len(net.weights) - 1 else [max(v, Fraction(0)) for v in z]
    return y


def winner(values: list[Fraction]) -> tuple[int, Fraction]:
    """The largest output and its lead."""
    order = sorted(range(len(values)), key=lambda i: values[i])
    return order[-1], values[order[-1]] - values[order[-2]]


def disagreement(f: pf.ReLUNetwork, g: pf.ReLUNetwork, rng: np.random.Generator) -> float:
    """Largest lead by which both choose different classes at an input that was found, relative to the largest output."""
    n = f.architecture[0]
    X = rng.uniform(-1, 1, (400, n))
    ties = []
    classes = f(X).argmax(axis=1)
    for i, j in rng.integers(0, len(X), (60, 2)):
        a, b = X[i], X[j]
        if classes[i] == classes[j]:
            continue
        for _ in range(60):
            middle = 0.5 * (a + b)
            same = f(middle[None]).argmax() == f(a[None]).argmax()
            a, b = (middle, b) if same else (a, middle)
        step = X[j] - X[i]
        ties += [np.clip(a + t * step, -1, 1) for k in range(-12, 0) for t in (10.0**k, -(10.0**k))]
    points = np.concatenate([X, np.array(ties).reshape(-1, n)])
    u, v = f(points), g(points)
    size = max(float(np.abs(u).max()), float(np.abs(v).max()))
    leads = np.minimum(*(np.sort(w, axis=1)[:, -1] - np.sort(w, axis=1)[:, -2] for w in (u, v)))
    differ = np.flatnonzero(u.argmax(axis=1) != v.argmax(axis=1))
    best = 0.0
    for i in differ[np.argsort(-leads[differ])][:3]:
        (p, one), (q, other) = winner(outputs(f, points[i])), winner(outputs(g, points[i]))
        if p != q:
            best = max(best, float(min(one, other)) / size)
    return best


def one(seed: int, seconds: float) -> list[dict[str, Any]]:
    """One pair, asked by boxes and by cells."""
    rng = np.random.default_rng(seed)
    f = pf.ReLUNetwork.random(SHAPES[int(rng.integers(len(SHAPES)))], rng=seed)
    factor, shift = 10.0 ** rng.uniform(-2, 2), float(rng.standard_normal())
    equal = rng.random() < 0.5
    bias = f.biases[-1] * factor + shift
    if not equal:
        X = rng.uniform(-1, 1, (64, f.architecture[0]))
        bias[int(rng.integers(len(bias)))] += factor * 10.0 ** rng.uniform(-6, -1) * float(np.abs(f(X)).max())
    g = pf.ReLUNetwork([*f.weights[:-1], f.weights[-1] * factor], [*f.biases[:-1], bias])
    g = random_trivial(g, rng=seed)(g)
    if rng.random() < 0.5:
        f, g = g, f
    apart = disagreement(f, g, rng)
    found = []
    for method in ("bound", "regions"):
        box = pf.Box(-1, 1, dimension=f.architecture[0])
        answer = pf.top1_agreement(f, g, box, margin=MARGIN, method=method, budget=pf.Budget(seconds=seconds))
        said = answer.verdict.name
        wrong = (said == "YES" and apart > 4 * MARGIN) or (said == "NO" and equal)
        if said == "NO" and not wrong:
            x = np.asarray(answer.witness)
            (p, lead), (q, other) = winner(outputs(f, x)), winner(outputs(g, x))
            wrong = p == q or not lead or not other or bool((np.abs(x) > 1).any())
        found.append({"seed": seed, "equal": equal, "apart": apart, "method": method, "said": said, "wrong": bool(wrong),
                      "open": 1 - answer.proved, "reason": answer.reason})  # fmt: skip
    return found


def main() -> None:
    """Run the attack and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=5.0)
    options = parser.parse_args()
    table: Counter[Any] = Counter()
    wrong = 0
    for k in range(options.count):
        for found in one(options.seed * 10**6 + k, options.seconds):
            table[found["method"], "same winners" if found["equal"] else "logit moved", found["said"]] += 1
            wrong += found["wrong"]
            if found["wrong"]:
                print("WRONG", json.dumps(found), flush=True)
    for key, number in sorted(table.items()):
        print(*key, number, sep="  ")
    print(f"{options.count} pairs, by boxes and by cells: {wrong} wrong")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
