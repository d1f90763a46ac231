"""Low-rank attraction in 2 x 2 completion (Menon, sec. 14.1): where gradient flow ends, by depth and sign of det.

    python scripts/figures/dln_completion.py [--paths 80] [--time 1000] [--out docs/img/dln_completion.png]

Prints the median of sigma_2 / sigma_1 at the end, and draws the limits [[1, x], [y, 1]] in the plane (x, y) with the
curve x y = 1 of rank-one solutions. Random starts N(0, 0.3^2), balanced; one seed, an illustration and not a theorem.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import matplotlib  # noqa: E402
import numpy as np  # noqa: E402
from scipy.integrate import solve_ivp  # noqa: E402

from polyfiber.dln import diagonal_example, metric  # noqa: E402

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

from polyfiber.plots.style import LINES  # noqa: E402

plt.rcParams["axes.prop_cycle"] = plt.cycler(color=LINES)

DEPTHS = (1, 2, 3, 5)


def limits(start: np.ndarray, depth: int, time: float) -> np.ndarray:
    """All flows at once: dW/dt = -A(E'(W))."""
    energy = diagonal_example()

    def right(_: float, y: np.ndarray) -> np.ndarray:
        w = y.reshape(start.shape)
        return -metric(w, depth, tolerance=0.0).apply(energy.gradient(w)).ravel()

    solution = solve_ivp(right, (0.0, time), start.ravel(), method="LSODA", rtol=1e-7, atol=1e-10)
    return solution.y[:, -1].reshape(start.shape)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--paths", type=int, default=80)
    parser.add_argument("--time", type=float, default=1000.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "img" / "dln_completion.png")
    options = parser.parse_args()
    start = 0.3 * np.random.default_rng(options.seed).standard_normal((options.paths, 2, 2))
    negative = np.linalg.det(start) < 0
    figure, axes = plt.subplots(1, len(DEPTHS), figsize=(10, 2.7), sharex=True, sharey=True, constrained_layout=True)
    curve = np.linspace(0.2, 5, 200)
    print("depth  energy(max)  median s2/s1: det<0   det>0")
    for ax, depth in zip(axes, DEPTHS):
        end = limits(start, depth, options.time)
        s = np.linalg.svd(end, compute_uv=False)
        ratio = s[:, 1] / s[:, 0]
        energy = np.asarray(diagonal_example()(end))
        print(
            f"{depth:5d}  {energy.max():11.2e}  {np.median(ratio[negative]):19.4f}  {np.median(ratio[~negative]):6.3f}"
        )
        ax.plot(curve, 1 / curve, "k-", lw=0.8, label="rank one")
        ax.plot(-curve, -1 / curve, "k-", lw=0.8)
        for mask, color, label in ((negative, LINES[1], "det < 0"), (~negative, LINES[0], "det > 0")):
            ax.plot(end[mask, 0, 1], end[mask, 1, 0], ".", ms=4, color=color, label=label)
        ax.set(title=f"N = {depth}", xlim=(-2.5, 2.5), ylim=(-2.5, 2.5), xlabel="$W_{12}$", aspect="equal")
    axes[0].set_ylabel("$W_{21}$")
    axes[0].legend(fontsize=7, loc="upper left")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.out, dpi=90)


if __name__ == "__main__":
    main()
