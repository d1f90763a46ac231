"""Dimensions of the fibers of trained networks with two to five hidden layers: ``python scripts/training/deep.py [--seconds 20]``

Trained on tables that ship with scikit-learn (seeds fixed). Prints what `classify_fiber` proves of each: the kind, the dimension near the
parameter modulo scaling (exact, or from and to), and what moves.
"""

from __future__ import annotations

import argparse
import warnings

import numpy as np

import polyfiber as pf

SIZES = (("iris, petals", (2, 3), 6), ("iris", (0, 1, 2, 3), 5))


def trained(columns: tuple[int, ...], width: int, hidden: int) -> tuple[pf.ReLUNetwork, float]:
    from sklearn.datasets import load_iris
    from sklearn.neural_network import MLPClassifier

    X, y = load_iris(return_X_y=True)
    X = X[:, columns]
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    warnings.simplefilter("ignore")  # it need not converge
    fitted = MLPClassifier(hidden_layer_sizes=(width,) * hidden, max_iter=600, alpha=1e-3, random_state=1).fit(X, y)
    return pf.ReLUNetwork([np.asarray(W).T for W in fitted.coefs_], fitted.intercepts_), float(fitted.score(X, y))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0, help="for each network")
    options = parser.parse_args()
    print("| trained on | widths | depth | score | kind | dimension, modulo scaling | what moves |")
    print("|---|---|---|---|---|---|---|")
    for name, columns, width in SIZES:
        for hidden in (2, 3, 4, 5):
            net, score = trained(columns, width, hidden)
            report = pf.classify_fiber(net, budget=pf.Budget(seconds=options.seconds))
            local = None if report.beyond is None else report.beyond.local
            moves = {} if local is None or local.directions is None else local.directions.counts_by_kind()
            text = ", ".join(f"{v} {k}" for k, v in moves.items() if k != "scaling") or "-"
            if local is not None:
                exactly = local.dimension
                size = f"{local.lower} to {local.upper}" if exactly is None else str(exactly)
            else:
                size = str(report.dimension)
            widths = "-".join(map(str, net.architecture))
            print(f"| {name} | {widths} | {hidden + 1} | {score:.3f} | {report.kind} | {size} | {text} |", flush=True)


if __name__ == "__main__":
    main()
