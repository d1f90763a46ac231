"""Marabou on a pair of near_equal.py: is there an input where one output of f exceeds that of g by more than epsilon? JSON.

python near_equal.py TASK.npz SECONDS

Runs in an environment of its own (maraboupy, numpy), without polyfiber. TASK.npz holds f0, f1, … and g0, g1, … (weights
with the biases as last column), lo, hi, output, sign and epsilon. CPU seconds of the solver alone; its time limit is by the clock.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from typing import Any

import numpy as np

warnings.filterwarnings("ignore")  # parsers that are not used

from maraboupy import Marabou, MarabouNetwork  # noqa: E402


def through(query: Any, x: list[int], layers: list[Any]) -> list[int]:
    """Variables of the outputs of a network."""
    for l, layer in enumerate(layers):
        y = []
        for row in layer:
            v = query.getNewVariable()
            query.addEquality([v, *x], [-1.0, *row[:-1].tolist()], -float(row[-1]))
            y.append(v)
        if l < len(layers) - 1:
            z = [query.getNewVariable() for _ in y]
            for v, w in zip(y, z):
                query.addRelu(v, w)
            y = z
        x = y
    return x


def main() -> None:
    with np.load(sys.argv[1]) as data:
        f, g = (
            [data[f"{k}{i}"] for i in range(sum(n.startswith(k) and n[1:].isdigit() for n in data.files))] for k in "fg"
        )
        lo, hi, o, sign, epsilon = (data[k] for k in ("lo", "hi", "output", "sign", "epsilon"))
    query = MarabouNetwork.MarabouNetwork()
    x = [query.getNewVariable() for _ in lo]
    for v, a, b in zip(x, lo.tolist(), hi.tolist()):
        query.setLowerBound(v, a)
        query.setUpperBound(v, b)
    u, v = through(query, x, f)[int(o)], through(query, x, g)[int(o)]
    query.inputVars, query.outputVars = [np.array(x)], [np.array([u, v])]
    query.addInequality([u, v], [-float(sign), float(sign)], -float(epsilon))
    started = time.process_time()
    options = Marabou.createOptions(verbosity=0, timeoutInSeconds=int(float(sys.argv[2])))
    code, values, _ = query.solve(verbose=False, options=options)
    print(
        json.dumps(
            {
                "status": code,
                "seconds": time.process_time() - started,
                "input": [values[i] for i in x] if values else None,
            }
        )
    )


if __name__ == "__main__":
    main()
