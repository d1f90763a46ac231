"""Attack on critical points and counts of linear networks.

Types of critical strata come from ranks; here they are compared with the eigenvalues of Hessians and with gradients at
random points. Counts of strata layer by layer are compared with the table over widths.

    python scripts/attacks/linear_critical.py --seed 0
"""

from __future__ import annotations

import argparse
import itertools

import numpy as np

import polyfiber as pf
from polyfiber.budget import Monitor
from polyfiber.linear.count import _by_layers, _capped, _sweep

WIDTHS = [(2, 2, 2), (3, 2, 3), (2, 3, 2), (2, 2, 2, 2), (3, 2, 2, 3), (3, 1, 3), (2, 1, 2, 2), (3, 2, 3, 2), (2,) * 5]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    checked = wrong = gradients = 0
    for d in WIDTHS:
        Y = rng.standard_normal((d[-1], d[0]))
        u, s, vt = np.linalg.svd(Y)
        for rho in range(min(d) + 1):
            for stratum in pf.linear.stratify(d, rank=rho):
                for selection in itertools.combinations(range(min(Y.shape)), rho):
                    kept = list(selection)
                    found = pf.linear.critical_type(stratum, Y, selection=selection, rng=rng)
                    W = (u[:, kept] * s[kept]) @ vt[kept]
                    layers = [np.asarray(w, float) for w in pf.linear.sample(stratum, product=W, rng=rng)]
                    above, below = [np.eye(d[-1])], [np.eye(d[0])]
                    for top, bottom in zip(reversed(layers), layers, strict=True):
                        above.append(above[-1] @ top)
                        below.append(bottom @ below[-1])
                    n = len(layers)
                    size = max(np.abs(above[n - j].T @ (W - Y) @ below[j - 1].T).max() for j in range(1, n + 1))
                    gradients += 1
                    wrong += (size < 1e-9) != (found.critical is pf.Verdict.YES)
                    if found.critical is pf.Verdict.YES:
                        checked += 1
                        wrong += (found.index > 0) != (found.kind == "strict saddle")
    print(f"{gradients} strata with a selection: gradient vanishes iff critical; {checked} types; {wrong} wrong")
    counts = off = 0
    for last in (2, 3, 4):
        for widths in itertools.product(range(4), repeat=last + 1):
            for rank in (None, *range(min(widths) + 1)):
                m = _capped(tuple(w - (rank or 0) for w in widths))
                table = int(_sweep(m, rank is None, np.dtype(np.int64))[0])
                counts += 1
                off += _by_layers(m, rank is None, Monitor()) != table
    print(f"{counts} counts of strata, both ways; {off} wrong")


if __name__ == "__main__":
    main()
