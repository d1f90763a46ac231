"""Attack the verdicts on pairs: equal ones by exact rewriting, near misses by exact change, truth in rationals.

    python scripts/attacks/equivalence/pairs.py --seconds 60 --seed 1 [--mode tolerance|exact|box|sizes] [--count 20000] [--json FILE] [--clock cpu]
    python scripts/attacks/equivalence/pairs.py --tables FILE [FILE ...] [--write docs/attacks.md]

Equal: two random rewritings of one network by up to six of 22 exact operators (`polyfiber.testing.rewritings`), rounded to floats, so that
they differ by the rounding of parameters alone. Near misses: one of them changed as well (`polyfiber.testing.near_misses`); the largest exact gap at the input that
the construction names and at many others, relative to what the function reaches in a ball of that size (or to what parameters that are moved do to it, relatively), is
the *residual*.

Wrong: NO for an equal pair, or for a residual below 1e-3 of the tolerance; YES for a residual above 1e3 of it; a witness without an exact gap, outside the domain, or (within a
tolerance) with a gap that the tolerance explains; an exception. Between is the grey zone. Only UNDECIDED outside it counts as undecided. Every pair is asked in a random order. Prints a
table and the wrong pairs' seeds; ends with 1 if there are any.

``--mode sizes`` asks about larger networks (`pair_tables.SIZES`): equal pairs and near misses of Gaussian, pruned and quantised weights, a network against
its own quantised copy, on R^n, on a box and exactly. ``--clock cpu`` lets the 10 seconds of a pair be CPU time, for machines that are shared. ``--tables`` writes the tables of the page from
the lines of earlier runs, and says which runs they were.
"""

from __future__ import annotations

import argparse
import functools
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
from polyfiber.testing.near_misses import FAMILIES, WEIGHTS, base_network, changed
from polyfiber.testing.rewritings import rewritten

TOLERANCE = 1e-9


def moved(net: pf.ReLUNetwork, x: np.ndarray) -> np.ndarray:
    """How far outputs move, relative to how far parameters do: each by the tolerance, up or down at random."""
    rng = np.random.default_rng(1)
    far = np.zeros(net.architecture[-1])
    for _ in range(8):
        W = [w * (1 + TOLERANCE * rng.choice([-1.0, 1.0], w.shape)) for w in net.weights]
        b = [v * (1 + TOLERANCE * rng.choice([-1.0, 1.0], v.shape)) for v in net.biases]
        far = np.maximum(far, np.abs(pf.ReLUNetwork(W, b)(x) - net(x)))
    return far / TOLERANCE


def residual_at(f: pf.ReLUNetwork, g: pf.ReLUNetwork, X: np.ndarray) -> float:
    """Gap at an input in rationals, relative to what f reaches in its ball, or to what moved parameters do if that is more."""
    a, b = f.rounded(), g.rounded()
    x = [Fraction(float(v)) for v in X]
    gap = np.abs((f.exact()(x) - g.exact()(x)).astype(np.float64))
    ball = (1.0 + np.abs(X).max()) * np.random.default_rng(0).uniform(-1, 1, (256, len(X)))
    reach = np.maximum(np.abs(a(ball)).max(axis=0), np.abs(a(X)))
    size = np.maximum.reduce([reach, moved(a, X), moved(b, X), np.full(len(gap), 1e-300)])
    return float(np.where(gap > 0, gap / size, 0.0).max())


def residual(f: pf.ReLUNetwork, g: pf.ReLUNetwork, X: np.ndarray) -> tuple[float, np.ndarray | None]:
    """Largest relative gap over inputs, and where."""
    rough = np.abs(f.rounded()(X) - g.rounded()(X)).max(axis=1) / (1.0 + np.abs(X).max(axis=1))
    found = [(residual_at(f, g, X[i]), i) for i in np.argsort(-rough)[:6]]
    best, where = max(found, default=(0.0, -1))
    return (best, X[where]) if best > 0 else (0.0, None)


def inputs(n: int, where: Any, rng: np.random.Generator, box: pf.Box | None) -> np.ndarray:
    """Inputs of many sizes, and around the one that a construction names."""
    X = rng.standard_normal((600, n)) * 10.0 ** rng.uniform(-1, 8 if box is None else 1, (600, 1))
    if where is not None:
        p = np.asarray(where).astype(np.float64)
        X = np.concatenate([p[None], p + 1e-3 * rng.standard_normal((8, n)), X])
    return X if box is None else np.concatenate([X[box.contains(X)], rng.uniform(box.lo, box.hi, (200, n))])


def judged(
    f: pf.ReLUNetwork, g: pf.ReLUNetwork, box: pf.Box | None, mode: str, kind: str, level: float, seconds: float
) -> dict[str, Any]:
    """What was answered about a pair of known residual, and whether that was wrong."""
    exact = mode == "exact"
    if not exact:
        f, g = f.rounded(), g.rounded()
    started = time.process_time()
    answer = pf.are_equivalent(f, g, box, tolerance=0.0 if exact else TOLERANCE, budget=pf.Budget(seconds=seconds))
    spent = time.process_time() - started
    said = answer.verdict.name
    equal = kind.startswith("equal")
    differ = not equal and (level > 0 if exact else level >= 1e3 * TOLERANCE)
    wrong = (said == "NO" and equal) or (said == "YES" and differ)
    if said == "NO" and not wrong:
        wrong = answer.witness is None or not justified(f, g, box, np.asarray(answer.witness), mode)
    return {
        "mode": mode, "kind": kind, "said": said, "wrong": bool(wrong), "grey": not equal and not differ,
        "method": answer.method, "reason": answer.reason, "level": level, "hidden": [f.n_hidden, g.n_hidden],
        "inputs": f.architecture[0], "seconds": spent,
    }  # fmt: skip


def justified(f: pf.ReLUNetwork, g: pf.ReLUNetwork, box: pf.Box | None, x: np.ndarray, mode: str) -> bool:
    """Whether an input proves a NO: in the domain, with an exact gap, which no tolerance explains."""
    point = [Fraction(float(v)) for v in x]
    gap = [abs(v) for v in f.exact()(point) - g.exact()(point)]
    if not any(gap) or (box is not None and not bool(box.contains(x))):
        return False
    if mode == "tolerance":
        return residual_at(f, g, x) >= 1e-3 * TOLERANCE
    if mode == "box":  # what outputs reach, at inputs of the box
        assert box is not None
        X = np.random.default_rng(2).uniform(box.lo.astype(float), box.hi.astype(float), (512, len(x)))
        return any(float(v) > TOLERANCE * (1 - 1e-9) * size for v, size in zip(gap, np.abs(f(X)).max(axis=0)))
    return True


def one(seed: int, mode: str, steps: int, seconds: float = 10.0) -> dict[str, Any]:
    """One pair: what it is, what was answered, and whether that was wrong."""
    rng = np.random.default_rng(seed)
    family, weights = FAMILIES[int(rng.integers(len(FAMILIES)))], WEIGHTS[int(rng.integers(len(WEIGHTS)))]
    base = base_network(family, weights, rng)
    f, _ = rewritten(base, rng, steps=int(rng.integers(0, steps + 1)), hidden=28)
    g, used = rewritten(base, rng, steps=int(rng.integers(1, steps + 1)), hidden=28)
    kind, where = "equal", None
    if rng.random() < 0.5:
        miss = changed(g if rng.random() < 0.5 else base, rng)
        kind, where = miss.kind, miss.where
        g, more = rewritten(miss.network, rng, steps=int(rng.integers(0, 3)), hidden=40)
        used = (*used, *more)
    if rng.random() < 0.15:  # outputs of very different size
        s = np.array([Fraction(2) ** int(v) for v in rng.choice([-30, 0, 0, 20], f.architecture[-1])], dtype=object)
        f, g = (
            pf.ReLUNetwork([*n.weights[:-1], n.weights[-1] * s[:, None]], [*n.biases[:-1], n.biases[-1] * s])
            for n in (f, g)
        )
    if rng.random() < 0.5:
        f, g = g, f
    n = f.architecture[0]
    box = None
    if mode == "box":
        middle = rng.uniform(-2, 2, n)
        box = pf.Box(middle - rng.uniform(0.1, 4, n), middle + rng.uniform(0.1, 4, n))
        if where is not None and rng.random() < 0.7:
            p = np.asarray(where).astype(np.float64)
            box = pf.Box(p - rng.uniform(0.1, 4, n), p + rng.uniform(0.1, 4, n))
    level, _ = (0.0, None) if kind == "equal" else residual(f, g, inputs(n, where, rng, box))
    found = judged(f, g, box, mode, kind, level, seconds)
    return {"seed": seed, "family": family, "weights": weights, "used": used, **found}


def main() -> None:
    """Run the attack and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--count", type=int, default=10**9)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first pair of the seed")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--mode", choices=("tolerance", "exact", "box", "sizes"), default="tolerance")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="what seconds are")
    parser.add_argument("--json", default=None, help="append every pair as a line")
    parser.add_argument("--tables", nargs="+", default=None, help="files of --json: print their tables and end")
    parser.add_argument("--write", default=None, help="with --tables: put them between the marks of this page")
    options = parser.parse_args()
    if options.tables is not None:
        from scripts.attacks.equivalence.pair_tables import tables

        tables(options.tables, options.write)
        return
    if options.clock == "cpu":
        time.monotonic = time.process_time  # every clock of the library
    if options.mode == "sizes":
        from scripts.attacks.equivalence.pair_tables import sized as attack
    else:
        attack = functools.partial(one, mode=options.mode, steps=options.steps)
    until, table, seconds = time.monotonic() + options.seconds, Counter(), []
    out = None if options.json is None else open(options.json, "a", encoding="utf-8")  # noqa: SIM115
    number, wrong = options.first, 0
    while number < options.first + options.count and time.monotonic() < until:
        seed = options.seed * 10**7 + number
        number += 1
        try:
            found = attack(seed)
        except Exception as error:  # an exception is a wrong answer here
            found = {
                "seed": seed,
                "mode": options.mode,
                "kind": "error",
                "said": type(error).__name__,
                "wrong": True,
                "grey": False,
                "reason": str(error),
                "seconds": 0.0,
            }
        if out is not None:
            print(json.dumps(found), file=out, flush=True)
        wrong += found["wrong"]
        seconds.append(found["seconds"])
        table[found["kind"], "grey" if found["grey"] else "clear", found["said"]] += 1
        if found["wrong"]:
            print("WRONG", json.dumps(found), flush=True)
    for key in sorted({k[:2] for k in table}):
        row = {said: n for (kind, zone, said), n in sorted(table.items()) if (kind, zone) == key}
        print(f"{key[0]:16} {key[1]:6}", row)
    clear = sum(n for k, n in table.items() if k[1] == "clear")
    left = sum(n for k, n in table.items() if k[1] == "clear" and k[2] == "UNDECIDED")
    print(f"{options.mode}: {number - options.first} pairs, {wrong} wrong, {left} of {clear} outside the grey zone undecided, "
          f"median {1e3 * np.median(seconds):.3g} ms, longest {max(seconds):.3g} s of CPU time")  # fmt: skip
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
