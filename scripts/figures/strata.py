"""Figures 1-4 of Shewchuk and Bhattacharya (arXiv 2404.14855), computed, and a basis flow diagram.

    python scripts/figures/strata.py [--out docs/img] [--format png]

Writes strata_1.png … strata_4.png (the strata of the four fibers) and strata_flow.png, and prints the tables.
Needs the extra 'plot'.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import polyfiber as pf

CASES = [((1, 1, 1, 1), 1), ((2, 1, 1), 0), ((1, 1, 1, 1), 0), ((4, 6, 5), 1)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("docs/img"))
    parser.add_argument("--format", default="png")
    options = parser.parse_args()
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from polyfiber.plots.strata import plot_dag, plot_flow, plot_table

    options.out.mkdir(parents=True, exist_ok=True)
    for n, (widths, rank) in enumerate(CASES, 1):
        st = pf.linear.stratify(widths, rank=rank)
        print(f"figure {n}: {pf.linear.fiber_variety(st, rank=rank)}")
        for s in st:
            parts = pf.linear.connected_parts(widths, s)
            print(f"  ranks {s.layer_ranks}: dim {s.dim}, dof {s.dof}, rdof {s.rdof}, {parts} connected part(s)")
        ax = plot_table(st) if st.n_layers == 2 else plot_dag(st)
        ax.figure.savefig(options.out / f"strata_{n}.{options.format}", dpi=120)
        plt.close(ax.figure)
    # a network with bars of every sort: births, deaths, and three that go through
    ax = plot_flow(pf.linear.sample_barcode([4, 3, 5, 2, 3, 4], widths=(5, 6, 7, 4), rng=0))
    ax.figure.savefig(options.out / f"strata_flow.{options.format}", dpi=120)
    print(f"wrote 5 pictures to {options.out}")


if __name__ == "__main__":
    main()
