"""Entropy as depth grows (Menon, sec. 14.3): S_N minus its constants tends to S_inf with error O(1/N).

python scripts/figures/dln_entropy.py [--out docs/img/dln_entropy.png]
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import matplotlib  # noqa: E402
import numpy as np  # noqa: E402

from polyfiber.dln import entropy, log_orthogonal_volume  # noqa: E402

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

from polyfiber.plots.style import LINES  # noqa: E402

plt.rcParams["axes.prop_cycle"] = plt.cycler(color=LINES)


def centred(W: np.ndarray, depth: int) -> np.ndarray:
    d = W.shape[-1]
    constant = (depth - 1) * log_orthogonal_volume(d) + 0.25 * d * (d - 1) * math.log(depth)
    return np.asarray(entropy(W, depth)) - constant


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "img" / "dln_entropy.png")
    options = parser.parse_args()
    ratio = np.geomspace(1e-4, 1.0, 200)
    W = np.zeros((200, 2, 2))
    W[:, 0, 0], W[:, 1, 1] = 1.0, ratio
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.5, 3.1), constrained_layout=True)
    for depth in (2, 4, 8, 16, 64):
        left.semilogx(ratio, centred(W, depth), label=f"N = {depth}")
    left.semilogx(ratio, np.asarray(entropy(W, math.inf)), "k--", label="limit")
    left.set(xlabel=r"$\sigma_2/\sigma_1$", ylabel=r"$S_N$ - constants", title="d = 2")
    left.legend(fontsize=7)
    depths = np.unique(np.geomspace(2, 2000, 25).astype(int))
    rng = np.random.default_rng(0)
    print("    d   N=10     N=100    N=1000")
    for d in (2, 3, 5):
        G = rng.standard_normal((d, d))
        limit = float(np.asarray(entropy(G, math.inf)))
        right.loglog(depths, [abs(float(centred(G, int(n))) - limit) for n in depths], ".-", label=f"d = {d}")
        print(f"{d:5d}  " + "  ".join(f"{abs(float(centred(G, n)) - limit):.1e}" for n in (10, 100, 1000)))
    right.loglog(depths, 1.0 / depths, "k:", label="1/N")
    right.set(xlabel="N", title="distance to the limit")
    right.legend(fontsize=7)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.out, dpi=90)


if __name__ == "__main__":
    main()
