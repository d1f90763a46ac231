"""Evidence for the rank stratification, exhaustively over small widths.

    python scripts/verify_strata.py [--top 3] [--layers 4] [--curves 3] [--seed 0]

For every list of widths <= TOP with up to LAYERS layers, and every rank of the product:

  dim     at a random point of every stratum over a random W: dimension by the formula against the rank of the
          infinitesimal action of the group that keeps W (dense, singular values)
  dof     the same point: against the nullity of the differential of the product, by the product rule
  points  orbit sizes over F_2 and F_3 add up to q^(number of weights)
  covers  covers by moves against the transitive reduction of the entrywise order
  curves  (up to CURVES layers) for every pair r <= r': exact rational weights of ranks r and, at two distances
          that shrink with the step, of ranks r'; same product

Exits with 1 at the first disagreement and prints it. Slow oracles are those of tests/oracles.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from fractions import Fraction
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import polyfiber as pf
from polyfiber.linear.bars import make_barcode
from polyfiber.strata import covers_by_rule
from tests.oracles.linear_geometry import action_matrix, differential


def rank_of(matrix: np.ndarray) -> tuple[int, float]:
    """Numerical rank and the gap that it rests on."""
    if 0 in matrix.shape:
        return 0, np.inf
    s = np.linalg.svd(matrix, compute_uv=False)
    threshold = 1e-8 * max(1.0, s[0])
    r = int((s > threshold).sum())
    return r, float((s[r - 1] if r else np.inf) / (s[r] if r < len(s) and s[r] > 0 else 1e-300))


def unimodular(n: int, rng: np.random.Generator) -> np.ndarray:
    lower = np.tril(rng.integers(-1, 2, (n, n)), -1) + np.eye(n, dtype=int)
    upper = np.triu(rng.integers(-1, 2, (n, n)), 1) + np.eye(n, dtype=int)
    out = np.empty((n, n), object)
    out[...] = [[Fraction(int(v)) for v in row] for row in lower @ upper]
    return out


def exact_product(layers: list[np.ndarray]) -> np.ndarray:
    out = layers[0]
    for w in layers[1:]:
        out = w @ out
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--top", type=int, default=3)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--curves", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    done = {"cases": 0, "strata": 0, "covers": 0, "curves": 0, "fields": 0}
    worst = np.inf
    start = time.monotonic()

    def fail(what: str) -> None:
        print(f"DISAGREEMENT: {what}")
        raise SystemExit(1)

    for layers in range(1, options.layers + 1):
        for d in itertools.product(range(1, options.top + 1), repeat=layers + 1):
            every = pf.linear.stratify(d)
            for q in (2, 3):
                if sum(every.points_over(q)) != q ** sum(a * b for a, b in zip(d, d[1:])):
                    fail(f"orbits of {d} over F_{q}")
                done["fields"] += 1
            for rank in range(min(d) + 1):
                st = pf.linear.stratify(d, rank=rank)
                done["cases"] += 1
                ptr, below = covers_by_rule(st.strata)
                ours = {(a, b) for a, b, _ in st.covers()}
                if ours != {(int(i), j) for j in range(len(st)) for i in below[ptr[j] : ptr[j + 1]]}:
                    fail(f"covers of {d}, rank {rank}")
                done["covers"] += len(ours)
                for s in st:
                    w = rng.standard_normal((d[-1], rank)) @ rng.standard_normal((rank, d[0]))
                    at = pf.linear.sample(s, product=w, rng=rng, spread=0.5)
                    found, gap = rank_of(action_matrix(at, keep_product=True))
                    worst = min(worst, gap)
                    if found != s.dim:
                        fail(f"dim of {s} is {found} by the action")
                    found, gap = rank_of(differential(at))
                    worst = min(worst, gap)
                    if sum(a * b for a, b in zip(d, d[1:])) - found != s.dof:
                        fail(f"dof of {s}")
                    done["strata"] += 1
                    if layers > options.curves:
                        continue
                    base = make_barcode(d, s.ranks, [unimodular(n, rng) for n in d], None)
                    here = base.reconstruct()
                    for j in st.strata.star(s.id):
                        off = []
                        for size in (Fraction(1, 10), Fraction(1, 10**6)):
                            there = pf.linear.raise_to(base, st[int(j)], size=size)
                            if pf.linear.locate(there).stratum.label != st[int(j)].label:
                                fail(f"curve from {s} to {st[int(j)]}: ranks")
                            if (exact_product(there) != exact_product(here)).any():
                                fail(f"curve from {s} to {st[int(j)]}: product")
                            off.append(max(abs(x - y).max() for x, y in zip(there, here)))
                        if off[1] > off[0] * Fraction(1, 10**4):
                            fail(f"curve from {s} to {st[int(j)]}: it does not shrink, {[float(v) for v in off]}")
                        done["curves"] += 1
        print(f"up to {layers} layers: {done}, {time.monotonic() - start:.0f} s", flush=True)
    print(f"all agree; the least ratio of singular values at a rank decision was {worst:.2g}")


if __name__ == "__main__":
    main()
