"""The regions of a network, by linear programs only: depth first over the neurons.

A region is kept as the half-spaces of the signs chosen so far with a witness point inside. The
witness settles one side of the next neuron; an LP that maximises a margin settles the other.
A margin too small to be told from rounding, or any solver status but "optimal", raises: "not known"
is never "empty". Meant for generic networks; floats only.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.optimize import linprog


class Undecided(ArithmeticError):
    """The LP could not tell whether a cell is empty."""


def largest_margin(rows: np.ndarray, constants: np.ndarray) -> tuple[float, np.ndarray]:
    """max t <= 1 with ``rows x + constants >= t * |row|``; and the x that attains it."""
    norms = np.linalg.norm(rows, axis=1)
    n = rows.shape[1]
    found = linprog(
        np.r_[np.zeros(n), -1.0],
        A_ub=np.column_stack([-rows / norms[:, None], np.ones(len(rows))]),
        b_ub=constants / norms,
        bounds=[(None, None)] * n + [(None, 1.0)],
        method="highs-ds",
    )
    if found.status != 0:
        raise Undecided(f"HiGHS status {found.status}: {found.message}")
    x = found.x[:-1]
    # what the solver says is checked: the margin is recomputed at the point
    return float(np.min((rows @ x + constants) / norms, initial=1.0)), x


def lp_regions(
    weights: Any,
    biases: Any,
    *,
    domain: tuple[Any, Any] | None = None,
    empty: float = 1e-10,
    inside: float = 1e-7,
) -> set[tuple[int, ...]]:
    """Sign vectors (-1 or 1 per hidden neuron; 0 for one that vanishes identically) of all regions.

    A margin <= `empty` means that the cell is empty, >= `inside` that it is a region; between
    them `Undecided` is raised.
    """
    ws = [np.asarray(w, dtype=float) for w in weights][:-1]
    bs = [np.asarray(b, dtype=float) for b in biases][:-1]
    n0 = np.asarray(weights[0]).shape[1]
    rows = np.zeros((0, n0)) if domain is None else -np.asarray(domain[0], dtype=float)
    constants = np.zeros(0) if domain is None else np.asarray(domain[1], dtype=float)
    witness = np.zeros(n0)
    if len(rows):
        margin, witness = largest_margin(rows, constants)
        if margin < inside:
            raise Undecided(f"the domain has margin {margin:.1e}")
    return set(_layer(0, np.eye(n0), np.zeros(n0), rows, constants, witness, (), ws, bs, empty, inside))


def _layer(l: int, a: Any, c: Any, rows: Any, constants: Any, witness: Any, signs: Any, ws: Any, bs: Any,
           empty: float, inside: float) -> Iterator[tuple[int, ...]]:  # fmt: skip
    """Regions below a cell of the layers before `l`, on which they compute ``a x + c``."""
    if l == len(ws):
        yield signs
        return
    forms, offsets = ws[l] @ a, ws[l] @ c + bs[l]
    for cell_rows, cell_constants, point, chosen in _neurons(
        0, forms, offsets, rows, constants, witness, (), empty, inside
    ):
        on = np.array(chosen) > 0
        yield from _layer(
            l + 1, forms * on[:, None], offsets * on, cell_rows, cell_constants, point, signs + chosen, ws, bs,
            empty, inside,
        )  # fmt: skip


def _neurons(i: int, forms: Any, offsets: Any, rows: Any, constants: Any, witness: Any, chosen: Any,
             empty: float, inside: float) -> Iterator[Any]:  # fmt: skip
    if i == len(forms):
        yield rows, constants, witness, chosen
        return
    form, offset = forms[i], offsets[i]
    scale = np.linalg.norm(form)
    if scale == 0:
        sign = int(np.sign(offset))
        yield from _neurons(i + 1, forms, offsets, rows, constants, witness, (*chosen, sign), empty, inside)
        return
    for sign in (-1, 1):
        new_rows, new_constants = np.vstack([rows, sign * form]), np.r_[constants, sign * offset]
        distance = sign * (form @ witness + offset) / scale
        point = witness
        if distance < inside:
            margin, point = largest_margin(new_rows, new_constants)
            if margin <= empty:
                continue
            if margin < inside:
                raise Undecided(f"margin {margin:.1e} of neuron {i}: neither empty nor clearly not")
        yield from _neurons(i + 1, forms, offsets, new_rows, new_constants, point, (*chosen, sign), empty, inside)
