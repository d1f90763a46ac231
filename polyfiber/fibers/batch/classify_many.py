"""The classifier's labels for many networks, genericity checks included.

`polyfiber.fibers.classify_batch` reads signs alone. Here each label is that of `classify_fiber`: the
hypotheses of the theorem are checked with the same kernels, stacked, and where they hold with
room to spare and no row or column of ``(W2 | b2)`` has a special sign pattern, the network is identifiable (Theorem 5
of The Symmetries of Three-Layer ReLU Networks). Every other network is classified on its own.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..._typing import BoolArray, FloatArray, IntArray, SignArray
from ...budget import Budget
from ...errors import BudgetExceededError, InputError, NumericalError
from ...network.float_or_rational import RANGE
from ...network.model import NetworkBatch, ReLUNetwork
from ...numerics.rounding import UNIT
from ...verdict import Verdict
from ..classify import FiberReport, classify_fiber
from ..hyperplanes import ROLES
from ..layerwise import TRIED
from ..regime import least_minors, least_products, rounding_of
from .labels import KINDS, classify_batch

_STACK = 4096
_CLEAR = 1e-6  # least eigenvalue of a Gram matrix that leaves no doubt about independence


@dataclass(frozen=True)
class FiberTable:
    """Labels of networks of one architecture, one entry each.

    Attributes
    ----------
    kind : (B,) int8
        Index into `polyfiber.fibers.batch.labels.KINDS`.
    identifiable : (B,) int8
        1, 0, or -1 where not decided.
    complete : (B,) bool
        Whether the components are proved to be the whole generic fiber.
    hidden : (B,) int32
        Hidden hyperplane, -1 for none.
    dimension : (B,) int64
        Of the largest component modulo scaling, -1 where not decided.
    components : (B,) int64
        Number of components up to the number asked for; -1 where not decided.
    translation : (B,) float64
        How far a hidden hyperplane can be translated, nan for none.
    roles : (B, H) int8
        Roles of the last hidden layer, index into `ROLES`.
    generic : (B,) int8
        Verdict on the hypotheses: 1, 0, or -1 where only a sample was checked.
    sign_margin, first_layer_margin, product_margin, position_margin : (B,) float64
        As in `polyfiber.fibers.regime.Regime`.
    reasons : list of str
    alone : (B,) bool
        Classified one by one.
    """

    kind: SignArray
    identifiable: SignArray
    complete: BoolArray
    hidden: IntArray
    dimension: IntArray
    components: IntArray
    translation: FloatArray
    roles: SignArray
    generic: SignArray
    sign_margin: FloatArray
    first_layer_margin: FloatArray
    product_margin: FloatArray
    position_margin: FloatArray
    reasons: list[str]
    alone: BoolArray


def label_fibers(
    networks: NetworkBatch | Sequence[ReLUNetwork],
    *,
    limit: int = 2048,
    sign_error: float = 4 * UNIT,
    tolerance: float = 1e-9,
    components: int = 16,
) -> FiberTable:
    """Labels of `classify_fiber` for networks of one architecture.

    Parameters
    ----------
    networks : NetworkBatch or sequence of networks
    limit, sign_error, tolerance
        As for `classify_fiber`.
    components : int
        Components are counted up to this number.

    Notes
    -----
    About 1 ms a network at widths (8, 8, 6, 2) with 2048 masked products and minors each; networks that are not
    identifiable take a few milliseconds more.

    Examples
    --------
    >>> import polyfiber as pf
    >>> from polyfiber.fibers.batch.classify_many import label_fibers
    >>> table = label_fibers(pf.NetworkBatch.random((4, 3, 3, 2), 50, rng=0))
    >>> int(table.identifiable.sum()), int(table.alone.sum())
    (30, 20)
    """
    batch = networks if isinstance(networks, NetworkBatch) else None
    listed: Sequence[ReLUNetwork] = list(networks) if batch is None else batch  # type: ignore[assignment]
    if not len(listed):
        raise InputError("no networks were given, so there is no architecture")
    widths = listed[0].architecture
    size, depth = len(listed), len(widths) - 1
    table = _empty(size, widths[-2] if depth > 1 else 0)
    fast = np.zeros(size, dtype=np.bool_)
    if depth == 3 and not any(net.is_exact for net in ([] if batch is not None else listed)):
        whole = NetworkBatch.stack(listed) if batch is None else batch
        for start in range(0, size, _STACK):
            part = slice(start, min(start + _STACK, size))
            fast[part] = _stacked(whole, part, table, limit, sign_error, tolerance)
    for i in np.flatnonzero(~fast):
        report = classify_fiber(
            listed[int(i)], limit=limit, sign_error=sign_error, tolerance=tolerance, max_parameters=0
        )
        _enter(table, int(i), report, components)
    return table


def _empty(size: int, width: int) -> FiberTable:
    nan = np.full((5, size), np.nan)
    return FiberTable(
        np.zeros(size, np.int8), np.ones(size, np.int8), np.ones(size, np.bool_), np.full(size, -1), np.zeros(size, np.int64),
        np.ones(size, np.int64), nan[0], np.zeros((size, width), np.int8), np.zeros(size, np.int8), nan[1], nan[2], nan[3],
        nan[4], ["no row of (W2 | b2) has one sign and no column hides a hyperplane"] * size, np.zeros(size, np.bool_),
    )  # fmt: skip


def _stacked(
    whole: NetworkBatch, part: slice, table: FiberTable, limit: int, sign_error: float, tolerance: float
) -> BoolArray:
    """Margins of a stack; which of its networks are identifiable beyond doubt. Their rows are those of `_empty`."""
    W1, W2, W3 = (w[part] for w in whole.weights)
    b1, b2, b3 = (b[part] for b in whole.biases)
    n0, n1, n2, _ = whole.architecture
    labels = classify_batch(NetworkBatch([W1, W2, W3], [b1, b2, b3]), sign_error=sign_error)
    sure: BoolArray = labels.kind == 0
    for share in (0, 1):
        sure &= _in_range(*((w[part], share * b[part]) for w, b in zip(whole.weights, whole.biases)))
    if n0 < n1 or n1 < 2 or not sure.any():
        return np.zeros_like(sure)
    lengths = np.linalg.norm(W1, axis=2)
    lengths[lengths == 0] = 1.0
    unit = W1 / lengths[:, :, None]
    rows = np.concatenate([W2 * lengths[:, None, :], b2[:, :, None]], axis=2)
    norms = np.linalg.norm(rows, axis=2)
    norms[norms == 0] = 1.0
    first = np.linalg.svd(unit, compute_uv=False)[:, -1]
    position, minors, minors_total = least_minors(rows / norms[:, :, None], limit)
    product, products, products_total = least_products(
        unit, rows[:, :, :-1] / norms[:, :, None], W3 * norms[:, None, :], limit
    )
    noise = rounding_of(whole.architecture)
    sure &= (first > noise) & (position > noise) & (product > noise)
    sure &= _apart(rows, n2) >= 1e3 * tolerance
    if n2 <= TRIED:  # beyond, the theorem for generic parameters says that no other orientation fits
        sure &= _independent(rows[:, :, :-1], W3)
    table.sign_margin[part] = labels.margin
    table.first_layer_margin[part] = first
    table.product_margin[part] = product
    table.position_margin[part] = position
    table.generic[part] = 1 if minors == minors_total and products == products_total else -1
    return sure


def _in_range(*layers: tuple[FloatArray, FloatArray]) -> BoolArray:
    """`products_in_range` of every network (B,); without biases also, it is `all_in_range`."""
    low, high = 0, 0
    for W, b in layers:
        part, power = np.frexp(np.maximum(np.abs(W).max(axis=2), np.abs(b)))
        low = low + np.minimum(np.where(part > 0, power, 0).min(axis=1), 0)
        high = high + np.maximum(np.where(part > 0, power, 0).max(axis=1), 0)
    return np.asarray((low > -RANGE) & (high < RANGE), dtype=np.bool_)


def _apart(rows: FloatArray, n2: int) -> FloatArray:
    """Least distance (B,) of two hyperplanes of layer 2, by rows with largest entry ±1."""
    scaled = rows / np.maximum(np.abs(rows).max(axis=2, keepdims=True), 1e-300)
    least = np.full(len(rows), np.inf)
    for i, j in itertools.combinations(range(n2), 2):
        minus = np.abs(scaled[:, i] - scaled[:, j]).max(axis=1)
        plus = np.abs(scaled[:, i] + scaled[:, j]).max(axis=1)
        least = np.minimum(least, np.minimum(minus, plus))
    return least


def _independent(W2: FloatArray, W3: FloatArray) -> BoolArray:
    """Whether the rank-one terms ``c_j u_j^T`` of layer 2 are independent beyond doubt: then none can be flipped."""
    u = W2 / np.maximum(np.linalg.norm(W2, axis=2, keepdims=True), 1e-300)
    c = W3 / np.maximum(np.linalg.norm(W3, axis=1, keepdims=True), 1e-300)
    gram = (u @ np.swapaxes(u, 1, 2)) * (np.swapaxes(c, 1, 2) @ c)
    result: BoolArray = np.linalg.eigvalsh(gram)[:, 0] > _CLEAR
    return result


def _enter(table: FiberTable, i: int, report: FiberReport, components: int) -> None:
    regime = report.regime
    table.alone[i] = True
    table.kind[i] = KINDS.index(report.kind)
    table.identifiable[i] = -1 if report.identifiable is None else int(report.identifiable)
    table.complete[i] = report.complete
    table.hidden[i] = -1 if report.hidden_hyperplane is None else report.hidden_hyperplane
    table.dimension[i] = -1 if report.dimension is None else report.dimension
    table.components[i] = _count(report, components)
    end: Any = None if report.hiding is None else report.hiding.end
    table.translation[i] = np.nan if end is None else float(end)
    table.roles[i] = [ROLES.index(r) for r in report.roles] if report.roles else 0
    table.generic[i] = {Verdict.YES: 1, Verdict.NO: 0, Verdict.UNDECIDED: -1}[regime.generic]
    table.sign_margin[i] = regime.sign_margin
    table.first_layer_margin[i] = regime.first_layer_margin
    table.product_margin[i] = regime.product_margin
    table.position_margin[i] = regime.position_margin
    table.reasons[i] = report.reason


def _count(report: FiberReport, most: int) -> int:
    """Components up to ``most``; -1 where they are not decided."""
    if report.kind == "undecided":
        return -1
    try:
        return sum(1 for _ in itertools.islice(report.components(budget=Budget(seconds=30)), most))
    except (NumericalError, BudgetExceededError):
        return -1


__all__ = ["FiberTable", "label_fibers"]
