"""Attack verdicts on polyhedra, flats and rational boxes: equal there alone, differing there alone, exactly and within a tolerance.

    python scripts/attacks/complexes/domains.py [--seconds 60] [--seed 0]

Networks with small integers, and copies of them: by permutations and scalings, with multiples of an equation of the flat added to rows of the
first layer, with a unit that is zero on all of the domain, or with a parameter moved. Truth: the largest gap over the vertices of both networks
side by side, restricted by hand, in rationals. A NO has to name an input of the domain with a gap, and no second look may deny a right answer.
Exit code 1 if anything is wrong.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

import polyfiber as pf
from polyfiber.verdict import Verdict
from tests.oracles.flats import fractions, largest_gap, random_flat

TOLERANCE = 1e-9


def solid(rng: Any, n: int) -> tuple[pf.Polyhedron, Any]:
    """A polytope with small integers, or a rational box."""
    lift = np.concatenate([fractions(np.eye(n, dtype=int)), fractions(np.zeros((n, 1), dtype=int))], axis=1)
    if rng.random() < 0.3:
        low = fractions(rng.integers(-3, 1, n)) / 3
        return pf.Box(low, low + Fraction(int(rng.integers(1, 5)), 3)), lift
    rows = rng.integers(-3, 4, (int(rng.integers(1, 3)), n)).astype(float)
    rows[(rows == 0).all(axis=1)] = 1.0
    cube = np.concatenate([np.eye(n), -np.eye(n)])
    return pf.Polyhedron(
        np.concatenate([rows, cube]), np.concatenate([rng.integers(0, 4, len(rows)), np.full(2 * n, 2)])
    ), lift


def copy_of(rng: Any, f: pf.ReLUNetwork, domain: pf.Polyhedron, lift: Any) -> pf.ReLUNetwork:
    """The same on the domain, or nearly."""
    W, b = list(f.exact().weights), list(f.exact().biases)
    order = rng.permutation(len(b[0]))
    scale = fractions(rng.integers(1, 4, len(order)))
    W[0], b[0], W[1] = W[0][order] * scale[:, None], b[0][order] * scale, W[1][:, order] / scale
    hull = domain.affine_hull
    for c in [] if hull is None or rng.random() < 0.3 else hull.fixed.tolist():  # x_c minus what it is on the flat
        equation = fractions(np.zeros(len(lift) + 1, dtype=int))
        equation[c] = Fraction(1)
        equation[hull.free] -= hull.lift[c, :-1]
        equation[-1] = -hull.lift[c, -1]
        times = fractions(rng.integers(-2, 3, len(b[0])))
        W[0], b[0] = W[0] + times[:, None] * equation[:-1], b[0] + times * equation[-1]
    if rng.random() < 0.5:  # zero where an inequality of the domain holds
        i = int(rng.integers(len(domain.b)))
        row, side = fractions(domain.A)[i], fractions(domain.b)[i]
        W[0], b[0] = np.concatenate([W[0], row[None]]), np.append(b[0], -side)
        W[1] = np.concatenate([W[1], fractions(rng.integers(-2, 3, (len(W[1]), 1)))], axis=1)
    if rng.random() < 0.4:
        l = int(rng.integers(len(W)))
        W[l] = W[l].copy()
        W[l][0, 0] += Fraction(int(rng.integers(1, 3)), int(rng.choice([1, 2**20, 2**40, 3])))
    net = pf.ReLUNetwork(W, b)
    return net if rng.random() < 0.5 else net.rounded()


def case(seed: int) -> str:
    """'right', 'undecided' or what is wrong."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 4))
    domain, lift = (
        solid(rng, n) if rng.random() < 0.4 else random_flat(rng, n, int(rng.integers(n)), int(rng.choice([1, 2, 3])))
    )
    widths = (n, int(rng.integers(1, 4)), int(rng.integers(1, 3)), int(rng.integers(1, 3)))
    f = pf.ReLUNetwork(
        [rng.integers(-3, 4, (q, p)) for p, q in zip(widths, widths[1:])], [rng.integers(-2, 3, q) for q in widths[1:]]
    )
    g = copy_of(rng, f, domain, lift)
    try:
        gap = largest_gap(f, g, domain, lift)
    except pf.errors.InputError:
        return "empty"
    zero = pf.ReLUNetwork([0 * w for w in f.weights], [0 * c for c in f.biases])
    size = largest_gap(f, zero, domain, lift)
    outcome = "right"
    for tolerance in (0.0, TOLERANCE):
        ordered = (f, g) if rng.random() < 0.5 else (g, f)
        found = pf.are_equivalent(*ordered, domain, tolerance=tolerance, budget=pf.Budget(seconds=10))
        limit = Fraction(tolerance) * size
        if found.verdict is Verdict.UNDECIDED:
            outcome = "undecided"
            continue
        # a function that vanishes on the domain has its terms for a scale
        most = limit * Fraction(1001, 1000) if size or not tolerance else Fraction(1, 10**6)
        if found.verdict is Verdict.YES and gap > most:
            return f"WRONG: {found} with a gap of {float(gap)} within {tolerance}"
        if found.verdict is Verdict.NO:
            x = domain.exact_point(found.witness)
            if x is None or not gap > limit or not (abs(f.exact()(x) - g.exact()(x)) > limit).any():
                return f"WRONG: {found} with a largest gap of {float(gap)} within {tolerance}"
        if found.recheck(budget=pf.Budget(seconds=10)).verdict is Verdict.NO:
            return f"WRONG: the second look denies {found}"
        if tolerance and found.exact_verdict is (Verdict.NO if gap == 0 else Verdict.YES):
            return f"WRONG: exactly {found.exact_verdict}, with a largest gap of {float(gap)}"
    return outcome


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    counts: Counter[str] = Counter()
    end, seed = time.monotonic() + options.seconds, options.seed
    while time.monotonic() < end:
        try:
            outcome = case(seed)
        except Exception as error:  # an exception is a wrong answer here
            outcome = f"WRONG: {type(error).__name__}: {error}"
        if outcome.startswith("WRONG"):
            print(f"--seed {seed}: {outcome}", flush=True)
        counts[outcome.split(":")[0]] += 1
        seed += 1
    print(dict(counts), flush=True)
    return int(counts["WRONG"] > 0)


if __name__ == "__main__":
    sys.exit(main())
