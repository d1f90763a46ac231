"""Attack answers about near-equal networks: bounds below sampled or exact values, verdicts beside exact maxima, rounding.

    python scripts/attacks/equivalence/near_equal.py [--seconds 60] [--seed 0]
        [--kinds maxima,flats,sampled,points,leaves,queries,signs,sizes,choices,halves,duals,trees,crews]

maxima: the exact maximum of |f - g| by enumeration in rationals-backed code of its own kind (`difference(method="regions")`), and epsilon = maximum (1 ± 1e-6):
YES above, NO below. flats: the same on slanted flats, points, and rational domains. sampled: brackets of pairs with different shapes, pruned, rounded, equal rows, zero biases, against a million inputs. points: points and boxes
one step wide with adversarial weights against rationals. leaves: bounds of the second look against rationals. queries: random queries about one and two networks
against one linear program for each activation pattern. signs: linear programs on points and boxes one step wide against rationals. sizes: splits
on signs with epsilon = maximum (1 ± 1e-5). choices: bounds by random slopes and multipliers, and taken signs, on
points and boxes one step wide against rationals. halves: what splits on signs by multipliers prove, against 20,000 inputs each.
duals: linear programs of the second look, solved and by random multipliers, with taken signs and inequalities, against rationals. trees: trees of splits
on signs prove epsilon = maximum (1 + 1e-4) again; damaged in six ways none proves maximum (1 - 1e-6), the maximum from vertices in rationals. crews: processes
that share boxes, killed and interrupted at random: the boxes of one process, once each. Exit code 1 if anything is wrong.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

import polyfiber as pf
from polyfiber.bounds.goals import near
from polyfiber.bounds.tree import OPEN
from polyfiber.budget import Monitor
from polyfiber.equivalence.bounds import crew, shared_boxes
from polyfiber.equivalence.bounds.crew import Crew
from polyfiber.equivalence.bounds.near_equal import Question, largest_difference
from polyfiber.equivalence.copies import half_precision, pruned, quantised
from polyfiber.verdict import Verdict
from tests.bounds import test_multipliers, test_programs, test_signs
from tests.bounds.test_rounding import CHARGES, adversarial, backward, forward, search_on
from tests.equivalence.checks import test_duals, test_leaves, test_substitution
from tests.equivalence.queries.test_prove import judged
from tests.oracles.flats import largest_gap, random_flat
from tests.oracles.rationals import outputs


def network(rng: Any, widths: tuple[int, ...]) -> pf.ReLUNetwork:
    """Random, with pruned rows, equal rows, zero biases or weights on a grid."""
    net = pf.ReLUNetwork.random(widths, rng=rng)
    W, b = [w.copy() for w in net.weights], [c.copy() for c in net.biases]
    kind = rng.integers(6)
    if kind == 0:
        W[0][0] = 0.0
    elif kind == 1 and len(W[0]) > 1:
        W[0][1], b[0][1] = W[0][0], b[0][0]
    elif kind == 2:
        b = [0 * c for c in b]
    elif kind == 3:
        W, b = [np.round(4 * w) / 4 for w in W], [np.round(4 * c) / 4 for c in b]
    elif kind == 4:
        b[0][:] = -10.0
    return pf.ReLUNetwork(W, b)


def partner(rng: Any, f: pf.ReLUNetwork) -> pf.ReLUNetwork:
    """A copy with noise, rounded, pruned or permuted, or another network of another shape."""
    kind = rng.integers(6)
    if kind == 0:
        size = 10.0 ** rng.uniform(-9, -1)
        return pf.ReLUNetwork([W + size * rng.standard_normal(W.shape) for W in f.weights], f.biases)
    if kind == 1:
        return half_precision(f)
    if kind == 2:
        return quantised(f, per=str(rng.choice(["tensor", "channel"])))
    if kind == 3:
        return pruned(f, 0.3)
    if kind == 4 and len(f.weights) > 1:
        order = rng.permutation(len(f.biases[0]))
        W = [f.weights[0][order], f.weights[1][:, order] * 1.01, *f.weights[2:]]
        return pf.ReLUNetwork(W, [f.biases[0][order], *f.biases[1:]])
    hidden = tuple(int(rng.integers(1, 6)) for _ in range(int(rng.integers(0, 4))))
    return network(rng, (f.architecture[0], *hidden, f.architecture[-1]))


def maxima(rng: Any) -> str:
    f = network(rng, (2, int(rng.integers(2, 6)), int(rng.integers(2, 5)), int(rng.integers(1, 3))))
    g = partner(rng, f)
    box = pf.Box(-1 - rng.random(2), 1 + rng.random(2))
    exact = pf.difference(f, g, box, method="regions")
    if not exact.complete or exact.maximum < 1e-12:
        return "skipped"
    if exact.upper - exact.maximum > 1e-7 * exact.maximum:
        return "skipped"
    for factor, right in ((1 + 1e-6, Verdict.YES), (1 - 1e-6, Verdict.NO)):
        answer = pf.are_equivalent(
            f, g, box, epsilon=exact.maximum * factor, method="bound", budget=pf.Budget(seconds=30)
        )
        if answer.verdict is not right:
            wrong = answer.verdict is not Verdict.UNDECIDED
            return f"{'WRONG' if wrong else 'undecided'}: {answer} at {factor} of {exact.maximum!r}"
    return "right"


def flats(rng: Any) -> str:
    n = int(rng.integers(1, 5))
    k = int(rng.integers(0, min(n, 3)))
    f = network(rng, (n, int(rng.integers(2, 6)), int(rng.integers(2, 5)), int(rng.integers(1, 3))))
    g = partner(rng, f)
    if len(g.weights) != len(f.weights):
        return "skipped"
    domain, lift = random_flat(rng, n, k, int(rng.choice([1, 4, 8, 3, 10])))
    most = largest_gap(f, g, domain, lift)
    if most < 1e-12:
        return "skipped"
    for factor, right in ((1 + 1e-6, Verdict.YES), (1 - 1e-6, Verdict.NO)):
        epsilon = float(most) * factor
        answer = pf.are_equivalent(f, g, domain, epsilon=epsilon, method="bound", budget=pf.Budget(seconds=30))
        if answer.verdict is not right:
            wrong = answer.verdict is not Verdict.UNDECIDED
            return f"{'WRONG' if wrong else 'undecided'}: {answer} at {factor} of {float(most)!r}"
        if right is Verdict.NO:
            x = domain.exact_point(answer.witness)
            if x is None or max(abs(f.exact()(x) - g.exact()(x))) <= Fraction(epsilon):
                return f"WRONG: {answer.witness} is no witness"
        if answer.recheck(budget=pf.Budget(seconds=20)).verdict is Verdict.NO:
            return "WRONG: the second look does not confirm it"
    return "right"


def sampled(rng: Any) -> str:
    n = int(rng.integers(1, 5))
    f = network(rng, (n, *(int(rng.integers(2, 12)) for _ in range(int(rng.integers(1, 4)))), int(rng.integers(1, 4))))
    g = partner(rng, f)
    box = pf.Box(-rng.random(n) - 0.01, rng.random(n) + 0.01)
    found = largest_difference(f, g, box, monitor=Monitor(pf.Budget(seconds=0.5)))
    best = 0.0
    for _ in range(20):
        X = rng.uniform(box.lo, box.hi, (50_000, n))
        best = max(best, float(np.abs(f(X) - g(X)).max()))
    return "right" if best <= found.upper * (1 + 1e-12) + 1e-13 else f"WRONG: {best!r} > {found.upper!r}"


def points(rng: Any) -> str:
    widths = (int(rng.integers(1, 4)), *(int(rng.integers(1, 6)) for _ in range(int(rng.integers(0, 4)))), 2)
    f, g = adversarial(rng, widths)
    x = rng.standard_normal(widths[0])
    hi = x if rng.random() < 0.5 else np.nextafter(x, np.inf)
    s = search_on(f, g, x, hi, near(np.zeros(2), np.zeros(2)), CHARGES)
    corners = [np.where([(k >> j) & 1 for j in range(len(x))], hi, x) for k in range(1 << len(x))]
    values = [(outputs(f, c), outputs(g, c)) for c in corners]
    true = [max(sign * (u[o] - v[o]) for u, v in values) for o in range(2) for sign in (1, -1)]
    for bounds in (forward(s), backward(s)):
        if not all(Fraction(bound) >= value for bound, value in zip(bounds, true)):
            return f"WRONG: {bounds} below {[float(v) for v in true]}"
    return "right"


def crews(rng: Any) -> str:
    n = int(rng.integers(2, 5))
    f = network(rng, (n, int(rng.integers(6, 20)), int(rng.integers(6, 20)), int(rng.integers(1, 3))))
    g = pf.ReLUNetwork([W + 1e-3 * rng.standard_normal(W.shape) for W in f.weights], f.biases)
    top = largest_difference(f, g, pf.Box(-1, 1, dimension=n), monitor=Monitor(pf.Budget(seconds=2)))
    if not top.complete or top.attained < 1e-9:
        return "skipped"
    question = Question.of(f, g, pf.Box(-1, 1, dimension=n), top.attained * (1 + 1e-5))
    alone = question.search().run(Monitor(pf.Budget(seconds=20)))
    if alone.status != "proved" or alone.boxes < 200:
        return "skipped"
    boxes = Crew(question.search, int(rng.integers(2, 5)))
    kills, stops = rng.choice([0.0, 0.05, 0.2]), rng.choice([0.0, 0.1])

    def disturb(_: Any) -> None:
        busy = [w.process.pid for w in boxes.workers if w.busy]
        if busy and rng.random() < kills:
            os.kill(int(rng.choice(busy)), signal.SIGKILL)
        if rng.random() < stops:
            raise KeyboardInterrupt

    with mock.patch.multiple(crew, TICK=0.003, SOON=0.003, FEW=2), mock.patch.object(shared_boxes, "ALONE", 1e-3):
        try:
            for again in range(30):
                found = boxes.run(Monitor(None, disturb if again < 10 else None), attack=not again)
                parts = [float(np.prod((hi - lo) / 2)) for lo, hi, mark in found.tree.leaves() if mark != OPEN]
                if abs(sum(parts) - found.share) > 1e-9:
                    return f"WRONG: {sum(parts)} of the volume is called {found.share}"
                if found.status != "open":
                    break
                if found.open != int((found.tree.split == OPEN).sum()):
                    return f"WRONG: {found.open} boxes are called open"
        finally:
            boxes.close()
    if found.status != "proved" or found.boxes != len(found.tree.split) or found.boxes < alone.boxes:
        return f"WRONG: {found.status} on {found.boxes} boxes, {alone.boxes} alone"
    return "right"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--kinds", default="maxima,flats,sampled,points,leaves,queries,signs,sizes,choices,halves,duals,trees,crews"
    )
    options = parser.parse_args()
    kinds = {
        "maxima": maxima,
        "flats": flats,
        "sampled": sampled,
        "points": points,
        "leaves": test_substitution.below_rationals,
        "queries": judged,
        "signs": test_programs.below_rationals,
        "sizes": test_programs.beside_maximum,
        "choices": test_multipliers.below_rationals,
        "halves": test_signs.beside_samples,
        "duals": test_duals.below_rationals,
        "trees": test_leaves.attacked,
        "crews": crews,
    }
    bad = 0
    for kind in options.kinds.split(","):
        counts: Counter[str] = Counter()
        end, seed = time.monotonic() + options.seconds / len(options.kinds.split(",")), options.seed
        while time.monotonic() < end:
            try:
                outcome = kinds[kind](np.random.default_rng(seed))
            except Exception as error:  # an exception is a wrong answer here
                outcome = f"WRONG: {type(error).__name__}: {error}"
            if not outcome.startswith(("right", "skipped")):
                print(f"{kind} --seed {seed}: {outcome}", flush=True)
            bad += outcome.startswith("WRONG")
            counts[outcome.split(":")[0]] += 1
            seed += 1
        print(f"{kind}: {dict(counts)}", flush=True)
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
