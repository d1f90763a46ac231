"""Whether a few linear statements about inputs and outputs of small networks can hold together: one linear program for each activation pattern."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.optimize import linprog

Statement = tuple[dict[tuple[int, bool, int], float], float]
"""``sum c v + constant <= 0`` of variables (network, is output, index)."""


def slack(networks: Sequence[Any], statements: Sequence[Statement], lo: Any, hi: Any) -> float:
    """Largest t such that all statements hold with t to spare somewhere in a box of inputs that the networks share; negative where they cannot hold.

    ``networks`` are pairs of lists of weights and biases.
    """
    n = len(lo)
    best = -np.inf
    counts = [sum(len(b) for b in biases[:-1]) for _, biases in networks]
    for pattern in itertools.product((0, 1), repeat=sum(counts)):
        rows, sides, outputs, at = [], [], [], 0
        for weights, biases in networks:
            A, c = np.eye(n), np.zeros(n)
            for l, (W, b) in enumerate(zip(weights, biases)):
                A, c = W @ A, W @ c + b
                if l < len(weights) - 1:
                    on = np.array(pattern[at : at + len(b)], dtype=float)
                    at += len(b)
                    sign = np.where(on > 0, -1.0, 1.0)
                    rows += [*(sign[:, None] * A)]
                    sides += [*(-sign * c)]
                    A, c = on[:, None] * A, on * c
            outputs.append((A, c))
        for terms, constant in statements:
            row, value = np.zeros(n), constant
            for (k, is_output, i), factor in terms.items():
                if is_output:
                    row = row + factor * outputs[k][0][i]
                    value += factor * outputs[k][1][i]
                else:
                    row[i] += factor
            rows.append(np.append(row, 1.0))
            sides.append(-value)
        A = np.array([np.append(r, 0.0) if len(r) == n else r for r in rows])
        found = linprog(np.append(np.zeros(n), -1.0), A, sides, bounds=[*zip(lo, hi), (-100, 100)], method="highs")
        if found.status == 0:
            best = max(best, -found.fun)
    return best
