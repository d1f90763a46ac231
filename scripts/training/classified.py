"""Train small networks on tables that ship with scikit-learn and classify their fibers.

Prints the table of docs/fibers.md: kind, identifiability, dimension by the theorem, local dimension
from the complex, and what `minimize` saves exactly and at a stated epsilon. Seeds are fixed.

    python scripts/training/classified.py [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import warnings
from typing import Any

import numpy as np
from sklearn import datasets
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor

import polyfiber as pf
from polyfiber.errors import PolyfiberError

# name, data set, hidden widths, L2 penalty, seed; the number of inputs may be cut to the first few columns
RUNS = [
    ("iris, bottleneck", "iris", (4, 3), 1e-3, 0, None),
    ("iris, narrow", "iris", (2, 2), 1e-3, 3, None),
    ("iris, strong penalty", "iris", (4, 4), 3.0, 1, None),
    ("iris, wide", "iris", (12, 12), 1e-3, 0, None),
    ("wine, bottleneck", "wine", (6, 4), 1e-2, 0, None),
    ("wine, strong penalty", "wine", (8, 6), 10.0, 0, None),
    ("breast cancer, one gate", "breast_cancer", (3, 1), 1e-2, 2, None),
    ("breast cancer, bottleneck", "breast_cancer", (8, 5), 1e-2, 0, None),
    ("diabetes, one gate", "diabetes", (3, 1), 1e-2, 5, None),
    ("diabetes, narrow", "diabetes", (2, 2), 1e-2, 4, None),
    ("diabetes, three inputs, wide", "diabetes", (16, 16), 1e-2, 0, 3),
    ("digits, bottleneck", "digits", (16, 10), 1e-2, 0, None),
    ("diabetes, one hidden layer", "diabetes", (12,), 1e-2, 0, None),
]
EPSILON = 1e-2


def load(name: str, columns: int | None) -> tuple[np.ndarray, np.ndarray]:
    data = getattr(datasets, f"load_{name}")()
    X = data.data[:, :columns]
    spread = X.std(axis=0)
    X = (X - X.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    y = data.target
    return X, (y - y.mean()) / y.std() if name == "diabetes" else y


def train(name: str, hidden: tuple[int, ...], alpha: float, seed: int, columns: int | None) -> tuple[Any, np.ndarray]:
    X, y = load(name, columns)
    kind = MLPRegressor if name == "diabetes" else MLPClassifier
    model = kind(hidden_layer_sizes=hidden, alpha=alpha, random_state=seed, solver="lbfgs", max_iter=300)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X, y)
    return model, X


def local_dimension(net: pf.ReLUNetwork, limit: int = 1_000_000) -> int | None:
    from polyfiber.complexes.build import estimate_size

    if estimate_size(net)["faces"] > limit:
        return None
    try:
        return pf.local_fiber(net).dimension
    except PolyfiberError:
        return None


def row(title: str, data: str, hidden: tuple[int, ...], alpha: float, seed: int, columns: int | None) -> dict[str, Any]:
    model, X = train(data, hidden, alpha, seed, columns)
    net = pf.from_sklearn(model)
    report = pf.classify_fiber(net)
    exact = pf.minimize(net)
    lower, upper = X.min(axis=0), X.max(axis=0)
    upper = np.where(upper > lower, upper, lower + 1.0)
    loose = pf.minimize(net, epsilon=EPSILON, domain=pf.Box(lower, upper))
    counts: dict[str, int] = {}
    for finding in report.findings:
        counts[finding.kind] = counts.get(finding.kind, 0) + 1
    return {
        "network": title,
        "architecture": "-".join(map(str, net.architecture)),
        "score": round(float(model.score(X, load(data, columns)[1])), 3),
        "kind": report.kind,
        "identifiable": {True: "yes", False: "no", None: "undecided"}[report.identifiable],
        "why undecided": "; ".join(report.regime.violations) if report.kind == "undecided" else "",
        "dimension": report.dimension,
        "local dimension": local_dimension(net),
        "sign margin": float(f"{report.regime.sign_margin:.2g}") if report.regime.bottleneck else None,
        "found": ", ".join(f"{n} {kind}" for kind, n in counts.items()),
        "minimized": "-".join(map(str, exact.network.architecture)),
        "parameters saved": exact.saved_parameters,
        "difference": float(f"{exact.verify().relative:.1g}"),
        "at epsilon": "-".join(map(str, loose.network.architecture)),
        "bound": float(f"{loose.bound:.2g}"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", help="also write the rows to a file")
    options = parser.parse_args()
    rows = [row(*run) for run in RUNS]
    names = list(rows[0])
    print("| " + " | ".join(names) + " |")
    print("|" + "---|" * len(names))
    for entry in rows:
        print("| " + " | ".join("-" if entry[n] in (None, "") else str(entry[n]) for n in names) + " |")
    if options.json:
        with open(options.json, "w") as file:
            json.dump(rows, file, indent=1)


if __name__ == "__main__":
    main()
