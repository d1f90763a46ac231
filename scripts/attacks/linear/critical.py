"""Attack on critical points and counts of linear networks.

Types of critical strata come from ranks; here they are compared with the eigenvalues of Hessians and with gradients at
random points, and where only special points are critical, at such a point. Targets are Gaussian, of lower rank, and with
equal singular values. Counts of strata layer by layer are compared with the table over widths.

    python scripts/attacks/linear/critical.py --seed 0
"""

from __future__ import annotations

import argparse
import collections
import itertools

import numpy as np

import polyfiber as pf
from polyfiber.budget import Monitor
from polyfiber.linear.count import _by_layers, _capped, _sweep

WIDTHS = [(2, 2, 2), (3, 2, 3), (2, 3, 2), (2, 2, 2, 2), (3, 2, 2, 3), (3, 1, 3), (2, 1, 2, 2), (3, 2, 3, 2), (2,) * 5]

TARGETS = {
    "Gaussian": lambda s: s,
    "lower rank": lambda s: np.where(np.arange(len(s)) == len(s) - 1, 0.0, s),
    "equal singular values": lambda s: np.ones_like(s),
}


def gradient_size(layers: list[np.ndarray], Y: np.ndarray) -> float:
    """Largest entry of the gradient of the square loss."""
    above, below = [np.eye(Y.shape[0])], [np.eye(Y.shape[1])]
    for top, bottom in zip(reversed(layers), layers, strict=True):
        above.append(above[-1] @ top)
        below.append(bottom @ below[-1])
    n = len(layers)
    return float(max(np.abs(above[n - j].T @ (below[-1] - Y) @ below[j - 1].T).max() for j in range(1, n + 1)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    checked = wrong = gradients = 0
    tally: collections.Counter[str] = collections.Counter()
    for d, (name, change) in itertools.product(WIDTHS, TARGETS.items()):
        u, s, vt = np.linalg.svd(rng.standard_normal((d[-1], d[0])), full_matrices=False)
        s = change(s)
        Y = (u * s) @ vt
        own = int((s > 0).sum())
        for rho in range(min(*d, own) + 1):
            for stratum in pf.linear.stratify(d, rank=rho):
                for selection in itertools.combinations(range(own), rho):
                    kept = list(selection)
                    found = pf.linear.critical_type(stratum, Y, selection=selection, rng=rng)
                    W = (u[:, kept] * s[kept]) @ vt[kept]
                    random = [np.asarray(w, float) for w in pf.linear.sample(stratum, product=W, rng=rng)]
                    gradients += 1
                    tally[f"{name}: " + ("all" if found.everywhere else "some" if found.point else "none")] += 1
                    wrong += (gradient_size(random, Y) < 1e-9) != found.everywhere
                    if found.point is not None:
                        checked += 1
                        wrong += gradient_size(list(found.point), Y) > 1e-9
                        wrong += (found.index > 0) != (found.kind == "strict saddle")
                        H = pf.linear.hessian(found.point, Y)
                        values = np.linalg.eigvalsh(H)
                        size = max([1.0, *(float(np.linalg.norm(w)) for w in found.point)]) ** (len(d) - 2)
                        zero = 1e-9 * size
                        wrong += (found.index, found.nullity) != (
                            (values < -zero).sum(),
                            (np.abs(values) <= zero).sum(),
                        )
                        if found.descent is not None:
                            x = np.concatenate([w.ravel() for w in found.descent])
                            wrong += not x @ H @ x < -1e-9
    print(f"{gradients} strata with a selection: gradient vanishes iff critical; {checked} types; {wrong} wrong")
    print(dict(tally))
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
