"""The free energy landscape of 2 x 2 completion (Menon, sec. 14.2): no minimiser without confinement, a transition with.

    python scripts/figures/dln_free_energy.py [--out docs/img/dln_free_energy.png]

Left: -S on the zero-energy set [[1, x], [y, 1]]: it falls without bound. Middle: F along the multiples of rotations
[[1, -t], [t, 1]]. Right: with confinement (c/2)||W||^2 the minimiser is [[1, -t], [t, 1]] with 1 + t^2 = (1 - 1/N) / (2
beta c) below the critical beta = (1 - 1/N) / (2c), and a multiple of the identity above; points are found by search.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import matplotlib  # noqa: E402
import numpy as np  # noqa: E402

from polyfiber.dln import diagonal_example, entropy, free_energy_minima, zero_energy_matrix  # noqa: E402

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

from polyfiber.plots.style import LINES, ground  # noqa: E402

plt.rcParams["axes.prop_cycle"] = plt.cycler(color=LINES)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "img" / "dln_free_energy.png")
    options = parser.parse_args()
    figure, axes = plt.subplots(1, 3, figsize=(11.5, 3.3), constrained_layout=True)
    figure.get_layout_engine().set(wspace=0.08)
    grid = np.linspace(-4, 4, 161)
    x, y = np.meshgrid(grid, grid)
    image = axes[0].contourf(x, y, -np.asarray(entropy(zero_energy_matrix(x, y), 3)), levels=16, cmap=ground())
    axes[0].contour(x, y, x * y, levels=[1.0], colors="k", linewidths=1.5)
    axes[0].set(title="$-S$ on $E=0$, N = 3 (line: rank one)", xlabel="$W_{12}$", ylabel="$W_{21}$", aspect="equal")
    figure.colorbar(image, ax=axes[0])
    t = np.linspace(0, 12, 200)
    for depth in (1, 2, 3, 10):
        s = np.asarray(entropy(zero_energy_matrix(-t, t), depth))
        axes[1].plot(t, -(s - s[0]), label=f"N = {depth}")
    axes[1].set(title="$F$ along $[[1,-t],[t,1]]$, $\\beta=1$", xlabel="t", ylabel="$F(t)-F(0)$")
    axes[1].legend(fontsize=8)
    c = 0.05
    betas = np.array([0.5, 1, 2, 3, 4, 5, 6, 8, 10, 14])
    print("depth   beta   found t^2   predicted t^2")
    for depth, color in zip((2, 3, 10), LINES):
        fine = np.linspace(0.4, 14, 400)
        axes[2].plot(fine, np.maximum((1 - 1 / depth) / (2 * fine * c) - 1, 0), color=color, label=f"N = {depth}")
        for beta in betas:
            best = free_energy_minima(diagonal_example(confinement=c), depth, beta=float(beta), starts=8)[0]
            found = -best.W[0, 1] * best.W[1, 0]
            predicted = max((1 - 1 / depth) / (2 * beta * c) - 1, 0.0)
            print(f"{depth:5d}  {beta:5.1f}  {found:10.6f}  {predicted:10.6f}")
            axes[2].plot(beta, found, "o", ms=4, color=color)
    axes[2].plot([], [], "k-", label="by calculus")
    axes[2].plot([], [], "ko", ms=4, label="by search")
    axes[2].set(title="minimiser, c = 0.05", xlabel=r"$\beta$", ylabel="$t^2$", ylim=(-0.3, 9))
    axes[2].legend(fontsize=8)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.out, dpi=90)


if __name__ == "__main__":
    main()
