"""Attack equality over shared functions: equal pairs by exact operators, near misses that break one relation, truth in rationals.

    python scripts/attacks/fibers/relations.py --seconds 60 --seed 1 [--part small|large|layers] [--count 1000] [--json FILE]

small: two random rewritings of one network by up to six of 22 exact operators (`polyfiber.testing.rewritings`), half of them changed as well, pruned, integer and quantised weights.
`by_relations` is asked in rationals and in floats. Wrong: equal, where the outputs differ at an input (in rationals: at all; in floats: by more than its bound, or beyond the grey zone); matrices
that do not prove it when they are multiplied out in rationals (`checks.functions`), or prove a bound that does not hold.
large: 6-64-64-4, 16-64-64-10, 5-50-50-50-5 rewritten by relations; one weight or bias of a relation moved by 1e-7 to 1e-1 of itself in half of them. `are_equivalent` may say YES for equal
pairs alone, and NO for others alone, with an input where the exact outputs differ.
layers: `feature_relations` of random layers with planted relations, some broken: number of relations against the rank of the features at rational points, and `verify()`.

Prints a table and the wrong cases' seeds; ends with 1 if there are any.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from fractions import Fraction
from typing import Any

import numpy as np

import polyfiber as pf
from polyfiber.equivalence.checks.functions import proved_bound
from polyfiber.equivalence.relations.prove import by_relations
from polyfiber.numerics import exact
from polyfiber.numerics.floats import upward
from polyfiber.testing.near_misses import FAMILIES, WEIGHTS, base_network, changed
from polyfiber.testing.rewritings import OPERATORS, rewritten

TOLERANCE = 1e-9
LARGE = ((6, 64, 64, 4), (16, 64, 64, 10), (5, 50, 50, 50, 5))
RELATIONS = (
    "permute",
    "rescale",
    "split",
    "cancelling group",
    "triple flip",
    "feature relation",
    "mirror",
    "maximum",
    "pair between",
)


def gaps(f: pf.ReLUNetwork, g: pf.ReLUNetwork, X: np.ndarray) -> np.ndarray:
    """Largest exact gap at each input, as floats."""
    found = []
    for x in X:
        p = [Fraction(float(v)) for v in x]
        found.append(max(abs(float(v)) for v in f.exact()(p) - g.exact()(p)))
    return np.array(found)


def inputs(n: int, where: Any, rng: np.random.Generator, k: int) -> np.ndarray:
    """Inputs of many sizes, and around the one that a construction names."""
    X = rng.standard_normal((k, n)) * 10.0 ** rng.uniform(-2, 6, (k, 1))
    if where is None:
        return X
    p = np.asarray(where).astype(np.float64)
    return np.concatenate([p[None], p + 1e-3 * rng.standard_normal((3, n)), X])


def small(seed: int) -> dict[str, Any]:
    """One small pair through both arithmetics."""
    rng = np.random.default_rng(seed)
    base = base_network(FAMILIES[int(rng.integers(len(FAMILIES)))], WEIGHTS[int(rng.integers(len(WEIGHTS)))], rng)
    f, _ = rewritten(base, rng, steps=int(rng.integers(0, 5)), hidden=28)
    g, used = rewritten(base, rng, steps=int(rng.integers(1, 6)), hidden=28)
    kind, where = "equal", None
    if rng.random() < 0.5:
        miss = changed(g if rng.random() < 0.5 else base, rng)
        kind, where, g = miss.kind, miss.where, miss.network
        g, more = rewritten(g, rng, steps=int(rng.integers(0, 3)), hidden=40)
        used = (*used, *more)
    if rng.random() < 0.5:
        f, g = g, f
    X = inputs(f.architecture[0], where, rng, 12)
    said = []
    wrong = False
    shown = by_relations(f, g, tolerance=0)
    if shown is not None:
        said.append("exact YES")
        wrong |= bool((gaps(f, g, X) > 0).any())
        wrong |= bool((proved_bound(f, g, shown.claims) != 0).any())
    a, b = f.rounded(), g.rounded()
    found = by_relations(a, b, tolerance=TOLERANCE)
    if found is not None:
        said.append("float YES")
        gap = gaps(a, b, X)
        wrong |= bool((gap > found.growth(X) * (1 + 1e-12)).any())
        proved = upward(proved_bound(a, b, found.claims))
        wrong |= bool((proved > found.bound * (1 + 1e-9)).any())
        wrong |= bool((gap > (np.abs(X) @ proved[:, :-1].T + proved[:, -1]).max(axis=1) * (1 + 1e-12)).any())
        reach = np.abs(a(rng.uniform(-1, 1, (256, X.shape[1])) * (1 + np.abs(X).max()))).max()
        wrong |= bool(kind != "equal" and (gap[:1] > 1e3 * TOLERANCE * max(float(reach), 1e-300)).any())
    return {
        "seed": seed,
        "kind": "equal" if kind == "equal" else "changed",
        "said": ", ".join(said) or "nothing",
        "wrong": wrong,
        "used": used,
    }


def large(seed: int) -> dict[str, Any]:
    """One pair of wide or deep networks through `are_equivalent`."""
    rng = np.random.default_rng(seed)
    f = pf.ReLUNetwork.random(LARGE[seed % len(LARGE)], rng=rng).exact()
    g, used = f, []
    for _ in range(int(rng.integers(1, 4))):
        name = RELATIONS[int(rng.integers(len(RELATIONS)))]
        after = OPERATORS[name](g, rng)
        if after is not None:
            g, used = after, [*used, name]
    kind = "equal"
    if rng.random() < 0.5:  # one number of the last neuron of a layer, which an operator put there, or of another one
        kind = "broken"
        l = int(rng.integers(len(g.weights) - 1))
        W, b = [w.copy() for w in g.weights], [c.copy() for c in g.biases]
        i = len(b[l]) - 1 if rng.random() < 0.7 else int(rng.integers(len(b[l])))
        factor = 1 + Fraction(10.0 ** rng.uniform(-7, -1))
        choice = int(rng.integers(3))
        if choice == 0 and b[l][i] != 0:
            b[l][i] *= factor
        elif choice == 1:
            W[l][i, int(np.argmax(np.abs(W[l][i])))] *= factor
        else:
            W[l + 1][:, i] = W[l + 1][:, i] * factor
        g = pf.ReLUNetwork(W, b)
    exactly = rng.random() < 0.2
    a, c = (f, g) if exactly else (f.rounded(), g.rounded())
    if rng.random() < 0.5:
        a, c = c, a
    started = time.process_time()
    answer = pf.are_equivalent(
        a, c, tolerance=0.0 if exactly else TOLERANCE, budget=pf.Budget(seconds=5 if not exactly else 15)
    )
    spent = time.process_time() - started
    said = answer.verdict.name
    wrong = said == "NO" and (kind == "equal" or not (gaps(a, c, answer.witness[None]) > 0).all())
    if said == "YES" and kind == "broken":  # within the tolerance a change may hide beside large terms
        X = inputs(a.architecture[0], None, rng, 40)
        gap, reach = gaps(a, c, X[:4] if exactly else X), np.abs(a.rounded()(X)).max()
        wrong = bool((gap > 0).any()) if exactly else bool(gap.max() > 1e3 * TOLERANCE * reach)
    return {
        "seed": seed, "kind": kind, "said": f"{'exact ' if exactly else ''}{said}", "wrong": bool(wrong), "method": answer.method, "used": used, "seconds": spent,
        "architecture": "-".join(map(str, f.architecture)),
    }  # fmt: skip


def layers(seed: int) -> dict[str, Any]:
    """One layer of small integer rows with planted relations, in floats and in rationals."""
    rng = np.random.default_rng(seed)
    n, k = int(rng.integers(1, 5)), int(rng.integers(1, 9))
    rows = rng.integers(-3, 4, (k, n + 1)) * rng.integers(0, 2, (k, n + 1))
    for _ in range(int(rng.integers(0, 5))):
        new = rows[rng.integers(len(rows), size=1)] * int(rng.choice([-2, -1, 1, 3]))
        if rng.random() < 0.4:
            new = new + rows[rng.integers(len(rows), size=1)]
        if rng.random() < 0.2:
            new = new + rng.integers(0, 2, new.shape)
        rows = np.concatenate([rows, new])
    domain: Any = "space" if rng.random() < 0.5 else "orthant"
    # sixtieths, so that there are points between any two walls of small integers; near 0 and on faces of the orthant as well
    Y = np.concatenate([rng.integers(-s, s + 1, (500, n)) for s in (9, 60, 240, 1800)])
    Y = np.concatenate([Y, Y * rng.integers(0, 2, Y.shape)])
    Y = np.abs(Y) if domain == "orthant" else Y
    z = Y @ rows[:, :-1].T + 60 * rows[:, -1]
    F = np.concatenate([np.full((len(Y), 1), 60), np.maximum(z, 0)], axis=1)
    truth = exact.rank(F) - 1
    net = pf.ReLUNetwork([rows[:, :-1].astype(float), np.ones((1, len(rows)))], [rows[:, -1].astype(float), [0.0]])
    wrong = False
    for each in (net, net.exact()):
        found = pf.feature_relations(each, 1, domain=domain)
        wrong |= len(found.basis) != truth or not found.verify() or bool(found.undecided)
    return {"seed": seed, "kind": domain, "said": f"{len(rows) - truth} relations", "wrong": wrong}


def main() -> None:
    """Run the attack and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--count", type=int, default=10**9)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--part", choices=("small", "large", "layers"), default="small")
    parser.add_argument("--json", default=None, help="append every case as a line")
    options = parser.parse_args()
    attack = {"small": small, "large": large, "layers": layers}[options.part]
    until, table, seconds = time.monotonic() + options.seconds, Counter[tuple[str, str]](), []
    number = wrong = 0
    while number < options.count and time.monotonic() < until:
        seed = options.seed * 10**7 + number
        number += 1
        try:
            found = attack(seed)
        except Exception as error:  # an exception is a wrong answer here
            found = {"seed": seed, "kind": "error", "said": f"{type(error).__name__}: {error}"[:200], "wrong": True}
        if options.json is not None:
            with open(options.json, "a", encoding="utf-8") as out:
                print(json.dumps(found), file=out)
        wrong += bool(found["wrong"])
        seconds.append(found.get("seconds", 0.0))
        table[found["kind"], found["said"]] += 1
        if found["wrong"]:
            print("WRONG", json.dumps(found), flush=True)
    for (kind, said), count in sorted(table.items()):
        print(f"{kind:10} {said:24} {count}")
    more = f", median {np.median(seconds):.3g} s, longest {max(seconds):.3g} s of CPU time" if max(seconds) else ""
    print(f"{options.part}: {number} cases, {wrong} wrong{more}")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
