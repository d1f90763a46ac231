"""Smaller networks of gates: those on one side of their walls become affine, those that nothing reads go, exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .._typing import BoundMethod, IntArray, SignArray
from ..budget import Monitor
from ..complexes.build import canonical_complex, estimate_size
from ..complexes.ranges.activation import activation_bounds
from ..domain import Box
from ..errors import BudgetExceededError, GenericityError
from ..network.fixed_gates import with_fixed_gates
from ..network.piecewise import PiecewiseLinearNetwork
from ..network.sparse import SparseMatrix

MOST_NUMBERS = 1 << 16
"""Inputs times gates, beyond which no complex is thought of."""
MOST_FACES = 500_000
"""Faces expected of a complex that is built unasked."""


@dataclass(frozen=True)
class FewerGates:
    """What removing gates came to: the network, which gates of the original are left, and how that was decided."""

    network: PiecewiseLinearNetwork
    kept: tuple[IntArray, ...]
    source: str
    undecided: tuple[str, ...]
    decided_by: tuple[str, ...]


def fewer_gates(
    net: PiecewiseLinearNetwork, domain: Box | None, *, use_complex: bool | None, monitor: Monitor
) -> FewerGates:
    """The network without gates that are on one side of their walls on the domain, or that nothing reads.

    Parameters
    ----------
    net : PiecewiseLinearNetwork
    domain : Box or None
        All of R^n.
    use_complex : bool or None
        Decide sides from the complex, exactly; by default where about half a million faces are expected at most. Else
        by bounds, which need a box.

    Returns
    -------
    FewerGates
        Of the same function on the domain, exactly.
    """
    undecided: list[str] = []
    signs, source, by = np.zeros(net.n_hidden, dtype=np.int8), "bounds", set[str]()
    if domain is not None:
        method: BoundMethod = "lp" if use_complex is False else "relaxation"
        bounds = activation_bounds(net, domain, method=method, budget=monitor.rest())
        signs, by = bounds.signs, {"linear bounds"} if method == "relaxation" else {"LP bounds"}
        undecided += bounds.fallback
    if use_complex is None:  # the exact elimination alone takes minutes for more numbers
        few = net.architecture[0] * net.n_hidden <= MOST_NUMBERS
        use_complex = few and estimate_size(net, domain)["faces"] <= MOST_FACES
    if use_complex:
        try:
            cx = canonical_complex(net, domain, budget=monitor.rest())
            rows = cx.signs(cx.dimension)[:, : net.n_hidden]
            signs = np.where((rows <= 0).all(axis=0), -1, np.where((rows >= 0).all(axis=0), 1, 0)).astype(np.int8)
            source, by = "complex", {"complex"}
        except (GenericityError, BudgetExceededError) as error:
            undecided.append(f"activity by the complex: {error}")
    elif domain is None:
        undecided.append(
            "sides of gates on all of R^n are decided by the complex alone; give a box, or use_complex=True"
        )
    fixed = _with_unread(net, signs)
    ends = np.cumsum(net.hidden_widths)
    kept = tuple(np.flatnonzero(part == 0) for part in np.split(fixed, ends[:-1])) if len(ends) else ()
    small = with_fixed_gates(net, fixed) if fixed.any() else net
    return FewerGates(small, kept, source, tuple(undecided), tuple(sorted(by)) if signs.any() else ())


def _with_unread(net: PiecewiseLinearNetwork, signs: SignArray) -> SignArray:
    """The signs, and -1 for gates that no gate with a wall and no output reads, however indirectly: their side is as
    good as any.
    """
    found = signs.copy()
    maps = [*(b.affine for b in net.blocks), net.output]
    starts = np.concatenate([[0], np.cumsum(net.hidden_widths)]).astype(np.int64)
    wanted = np.zeros(net.n_hidden, dtype=bool)
    for l in range(len(maps), 0, -1):
        last = l == len(maps)
        rows = np.ones(net.n_outputs, dtype=bool) if last else wanted[starts[l - 1] : starts[l]]
        for j, matrix in maps[l - 1].weights.items():
            if j == 0:
                continue
            if isinstance(matrix, SparseMatrix):
                owner = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
                wanted[starts[j - 1] + matrix.indices[rows[owner]]] = True
            else:
                wanted[starts[j - 1] : starts[j]] |= np.asarray(matrix[rows] != 0, dtype=bool).any(axis=0)
    found[~wanted & (found == 0)] = -1
    return found


__all__ = ["FewerGates", "fewer_gates"]
