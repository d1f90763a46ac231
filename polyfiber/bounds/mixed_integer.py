"""The largest value of a network on a box by a mixed-integer program: every open sign is a switch (Tjeng, Xiao and
Tedrake, 2019).
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from .._typing import FloatArray
from ..network.model import ReLUNetwork
from ..numerics.lp import native_silence
from .relaxation import relaxed


def milp_maximum(
    net: ReLUNetwork, lo: FloatArray, hi: FloatArray, *, output: int, seconds: float | None = None
) -> tuple[float, float, FloatArray | None, str]:
    """Largest value of one output on a box by a mixed-integer program (big-M, HiGHS).

    Returns
    -------
    value, bound, x, status
        Value at the best input found, the solver's bound, the input, 'optimal' or the solver's message.
    """
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import lil_matrix

    started = time.monotonic()
    bounds = relaxed(net, (lo, hi))
    hidden = net.hidden_widths
    n0, N = net.architecture[0], sum(hidden)
    size = n0 + 2 * N  # inputs, activations, switches
    rows: Any = lil_matrix((4 * N, size))
    low, high = np.full(4 * N, -np.inf), np.full(4 * N, np.inf)
    lower, upper = np.zeros(size), np.ones(size)
    lower[:n0], upper[:n0] = lo, hi
    integral = np.zeros(size)
    previous, base, r = np.arange(n0), n0, 0
    for l, width in enumerate(hidden):
        for i in range(width):
            w, b = net.weights[l][i], net.biases[l][i]
            least, most = float(bounds.low[l][i]), float(bounds.high[l][i])
            y, s = base + i, base + i + N
            lower[y], upper[y] = max(0.0, least), max(0.0, most)
            if most <= 0:
                upper[y] = 0.0
                continue
            # y >= z; y <= z - least (1 - s); y <= most s
            rows[r, previous], rows[r, y] = -w, 1.0
            low[r] = b
            if least >= 0:
                high[r] = b
                r += 1
                continue
            integral[s] = 1
            rows[r + 1, previous], rows[r + 1, y], rows[r + 1, s] = -w, 1.0, -least
            high[r + 1] = b - least
            rows[r + 2, y], rows[r + 2, s] = 1.0, -most
            high[r + 2] = 0.0
            r += 3
        previous = np.arange(base, base + width)
        base += width
    cost = np.zeros(size)
    cost[previous] = -net.weights[-1][output]
    options = {} if seconds is None else {"time_limit": max(0.01, seconds - (time.monotonic() - started))}
    with native_silence():
        result = milp(
            cost, constraints=LinearConstraint(rows[:r].tocsr(), low[:r], high[:r]), integrality=integral,
            bounds=Bounds(lower, upper), options=options,
        )  # fmt: skip
    offset = float(net.biases[-1][output])
    bound = float(bounds.high[-1][output])  # the solver names none where no sign is open
    if result.mip_dual_bound is not None:
        bound = min(bound, float(-result.mip_dual_bound + offset))
    if result.x is None:
        return -np.inf, bound, None, str(result.message)
    x = np.clip(result.x[:n0], lo, hi)
    return float(net(x)[output]), bound, x, "optimal" if result.status == 0 else str(result.message)
