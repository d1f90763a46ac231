"""Attack equality by cells that are cut along the difference: networks that differ by units which are dead or linear on the image alone.

    python scripts/attacks/equivalence/splitting.py --seconds 60 --seed 1 [--part small|planted] [--count 1000] [--json FILE]

small: two random rewritings of one small network by exact operators (`polyfiber.testing.rewritings`), half of them changed; `by_splitting` in rationals, where it is complete. Wrong: equal, where
exact outputs differ at an input, or the cells do not prove it again (`checks.cells`); a difference, where the networks are equal by construction, or at an input where exact outputs agree.
planted: networks up to 10 inputs and 64 neurons a layer with one to three units of layer 2 that need their image: relu(-z) and relu(z) for z = sum relu(u_i) - relu(sum u_i) >= 0 over two to four new hyperplanes;
half of them moved by 1e-6 to 1 in bias or weight. `are_equivalent`, 10 s each, in floats and exactly: YES for equal pairs alone, NO for others alone, with an input where exact outputs differ.

Prints a table and the wrong cases' seeds; ends with 1 if there are any.
"""

from __future__ import annotations

import argparse
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
from polyfiber.equivalence.checks.cells import bound_on_cells
from polyfiber.equivalence.relations.split import by_splitting
from polyfiber.testing.near_misses import FAMILIES, WEIGHTS, base_network, changed
from polyfiber.testing.rewritings import rewritten
from scripts.attacks.fibers.relations import gaps, inputs

TOLERANCE = 1e-9
SIZES = ((2, 6, 6, 2), (3, 16, 16, 1), (4, 32, 32, 3), (6, 64, 64, 4), (10, 64, 64, 2), (3, 12, 12, 12, 2))


def small(seed: int) -> dict[str, Any]:
    """One small pair in rationals."""
    rng = np.random.default_rng(seed)
    base = base_network(FAMILIES[int(rng.integers(len(FAMILIES)))], WEIGHTS[int(rng.integers(len(WEIGHTS)))], rng)
    f, _ = rewritten(base, rng, steps=int(rng.integers(0, 5)), hidden=24)
    g, used = rewritten(base, rng, steps=int(rng.integers(1, 6)), hidden=24)
    kind, where = "equal", None
    if rng.random() < 0.5:
        miss = changed(g, rng)
        kind, where, g = miss.kind, miss.where, miss.network
    found = by_splitting(f, g, tolerance=0, most=100)
    if found is None:
        return {"seed": seed, "kind": kind, "said": "too large", "wrong": False}
    X = inputs(f.architecture[0], where, rng, 12)
    said, wrong = "undecided", False
    if found.equal:
        said, wrong = "YES", bool((gaps(f, g, X) > 0).any() or (bound_on_cells(f, g, found) != 0).any())
    elif len(found.where):
        said, wrong = "NO", kind == "equal" or not bool((gaps(f, g, found.where[:1]) > 0).all())
    return {"seed": seed, "kind": "equal" if kind == "equal" else "changed", "said": said, "wrong": wrong, "used": used}


def with_units(net: pf.ReLUNetwork, rng: np.random.Generator, miss: Fraction | None) -> tuple[pf.ReLUNetwork, Any]:
    """The network with units that change nothing, but for ``miss``; and an input where the miss shows."""
    W, b = [np.array(w, dtype=object) for w in net.weights], [np.array(c, dtype=object) for c in net.biases]
    n, m = W[0].shape[1], int(rng.integers(2, 5))
    while True:
        U = np.array([[Fraction(int(v), 8) for v in row] for row in rng.integers(-24, 25, (m, n))], dtype=object)
        x = np.linalg.lstsq(U.astype(float), np.ones(m), rcond=None)[0]
        if m <= n and (U.astype(float) @ x > 0.5).all():
            break
        m = max(2, min(m, n))
    t = np.array([Fraction(int(v), 4) for v in rng.integers(-4, 5, m)], dtype=object)
    old = len(b[0])
    W[0], b[0] = np.vstack([W[0], U, U.sum(axis=0)]), np.append(np.append(b[0], t), t.sum())
    pad = np.zeros((len(W[1]), m + 1), dtype=object)
    W[1] = np.hstack([W[1], pad])
    z = np.zeros(W[1].shape[1], dtype=object)
    z[old : old + m], z[-1] = 1, -1
    rows, c = [-z, z], [Fraction(0), Fraction(0)]
    if miss is not None:
        if rng.random() < 0.5:
            c[0] += miss
        else:
            rows[0] = rows[0].copy()
            rows[0][-1] *= 1 + miss
    keep = np.zeros((m + 1, W[1].shape[1]), dtype=object)  # what z is made of, as it is
    keep[np.arange(m + 1), old + np.arange(m + 1)] = 1
    out = np.zeros((len(W[2]), m + 3), dtype=object)
    out[:, 0] = [Fraction(int(v), 4) for v in rng.choice([-3, -2, 2, 3, 5], len(W[2]))]
    out[:, 1] = [Fraction(int(v), 4) for v in rng.choice([-3, -2, 2, 3, 5], len(W[2]))]
    out[:, 2:-1], out[:, -1] = -out[:, 1:2], out[:, 1]
    W[1], b[1] = np.vstack([W[1], *rows, keep]), np.append(b[1], [*c, *[Fraction(0)] * (m + 1)])
    W[2] = np.hstack([W[2], out])
    far = 1 + 4 * float(np.abs(t.astype(float)).max())
    return pf.ReLUNetwork(W, b), x * far


def planted(seed: int) -> dict[str, Any]:
    """One pair that differs by such units, through `are_equivalent`."""
    rng = np.random.default_rng(seed)
    size = SIZES[seed % len(SIZES)]
    f = pf.ReLUNetwork.random(size, rng=rng).exact()
    kind = "moved" if rng.random() < 0.5 else "equal"
    g, where = f, None
    for i in range(int(rng.integers(1, 4))):
        miss = Fraction(10.0 ** rng.uniform(-6, 0)) if kind == "moved" and i == 0 else None
        g, x = with_units(g, rng, miss)
        where = x if miss is not None else where
    exactly = rng.random() < 0.3
    a, c = (f, g) if exactly else (f.rounded(), g.rounded())
    if rng.random() < 0.5:
        a, c = c, a
    started = time.process_time()
    answer = pf.are_equivalent(a, c, tolerance=0.0 if exactly else TOLERANCE, budget=pf.Budget(seconds=10))
    spent = time.process_time() - started
    said = answer.verdict.name
    wrong = said == "NO" and (kind == "equal" or not bool((gaps(a, c, answer.witness[None]) > 0).all()))
    wrong |= said == "YES" and kind == "moved" and bool((gaps(a, c, inputs(size[0], where, rng, 8)) > 1e-8).any())
    return {
        "seed": seed, "kind": f"{'-'.join(map(str, size))} {kind}{' exactly' if exactly else ''}",
        "said": f"{said} by {answer.method}", "wrong": wrong, "seconds": spent,
    }  # fmt: skip


PARTS = {"small": small, "planted": planted}


def attack(part: str, seed: int, *, count: int, seconds: float = float("inf")) -> list[dict[str, Any]]:
    """Cases ``seed * 1_000_000 + k`` until the count or the time is reached."""
    started, found = time.monotonic(), []
    for k in range(count):
        if time.monotonic() - started > seconds:
            break
        found.append(PARTS[part](seed * 1_000_000 + k))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", choices=[*PARTS], help="both by default")
    parser.add_argument("--count", type=int, default=10**9)
    parser.add_argument("--seconds", type=float, default=60.0, help="for each part")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json")
    options = parser.parse_args()
    everything: dict[str, Any] = {}
    wrong = 0
    for part in [options.part] if options.part else PARTS:
        cases = attack(part, options.seed, count=options.count, seconds=options.seconds)
        bad = [c["seed"] for c in cases if c["wrong"]]
        wrong += len(bad)
        print(f"{part}: {len(cases)} pairs, {len(bad)} wrong {bad or ''}")
        for (kind, said), number in sorted(Counter((c["kind"], c["said"]) for c in cases).items()):
            times = [c["seconds"] for c in cases if "seconds" in c and (c["kind"], c["said"]) == (kind, said)]
            print(f"  {kind:32} {said:24} {number:6}" + (f"  at most {max(times):.1f} s" if times else ""))
        everything[part] = cases
    if options.json:
        Path(options.json).write_text(json.dumps(everything, default=str))
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
