"""Table ``critical``: which rank strata carry critical points of the square loss to a random target, and of which
type.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..._typing import FloatArray
from ...budget import Monitor
from ...linear.count import count_strata
from ...linear.critical import critical_type
from ...linear.ranks import columns as rank_columns
from ...linear.sampling import sample
from ...linear.strata import stratify
from ...verdict import Verdict
from ..checks.faces import Unclear
from ..checks.strata import all_labels
from ..fields import integer
from .base import Beside, Column, Item, Option, Options, Table, Unsure, each_once
from .trajectories import random_target


def _rows(items: Sequence[Item], options: Options) -> Iterator[Any]:
    (item,) = items
    widths = item.chain("critical").architecture
    target = random_target(item, "critical")
    rows: dict[str, list[Any]] = {c.name: [] for c in TABLE.columns}
    monitor = Monitor(item.budget)
    for rank in range(min(widths) + 1):
        number = count_strata(widths, rank=rank)
        item.check_memory((len(rows["rank"]) + number) * 512, f"the table of {number} strata over rank {rank}")
        for s in stratify(widths, rank=rank, budget=monitor.rest()):
            found = critical_type(s, target, budget=monitor.rest())
            told = found.everywhere and found.index >= 0
            row = {
                "network": item.id,
                "rank": rank,
                "stratum": s.id,
                "ranks": list(s.label),
                "points": "all" if found.everywhere else "some" if found.critical is Verdict.YES else "none",
                "kind": found.kind if found.everywhere else None,
                "loss": found.loss,
                "index": found.index if told else None,
                "nullity": found.nullity if told else None,
                "target": target.ravel().tolist(),
            }
            for name, value in row.items():
                rows[name].append(value)
            if options["most"] and len(rows["rank"]) == options["most"]:
                yield TABLE.batch(options, rows)
                return
    yield TABLE.batch(options, rows)


def _check(item: Item, rows: Sequence[Mapping[str, Any]], options: Options) -> Iterator[str]:
    """Weights drawn on the stratum and moved over the best approximation of its rank: gradient and Hessian there.

    The gradient vanishes at random points iff all points are critical, and the eigenvalues of differences of gradients
    are counted. Whether special points are critical is asked by counting dimensions of flags (`_special`).
    """
    widths = item.network.architecture
    target = random_target(item, "critical")
    pairs = rank_columns(len(widths) - 1)
    u, s, vt = np.linalg.svd(target)
    rng = item.rng("check critical")
    for row in rows:
        label, rank = list(row["ranks"]), row["rank"]
        where = f"ranks {label}"
        if not np.array_equal(row["target"], target.ravel()):
            yield f"{where}: the target is another"
        if len(label) != len(pairs) or label[pairs.index((len(widths) - 1, 0))] != rank:
            yield f"{where}: rank {rank} of the product"
            continue
        if not np.isclose(row["loss"], 0.5 * float((s[rank:] ** 2).sum()), rtol=1e-9, atol=1e-12):
            yield f"{where}: loss {row['loss']}, {0.5 * float((s[rank:] ** 2).sum())} by singular values"
        weights = _over(sample(label, widths=widths, rng=rng, spread=0.3), u[:, :rank] * s[:rank] @ vt[:rank], rank)
        size = float(np.abs(_gradient(weights, target)).max(initial=0.0))
        scale = max(1.0, *(float(np.abs(w).max(initial=0.0)) for w in weights)) ** len(weights) * max(float(s[0]), 1.0)
        everywhere = size <= 1e-9 * scale
        special = everywhere or _special(label, pairs, widths, int((s > 1e-12 * s[0]).sum()) - rank, rank)
        points = "all" if everywhere else "some" if special else "none"
        if row["points"] != points:
            yield f"{where}: {row['points']} points are critical in the file, {points} by gradients and flags"
        if not everywhere:
            if (row["kind"], row["index"], row["nullity"]) != (None, None, None):
                yield f"{where}: kind, index or nullity without all points being critical"
            continue
        values = np.linalg.eigvalsh(_hessian(weights, target))
        zero = 1e-5 * max(1.0, float(np.abs(values).max()))
        index, nullity = int((values < -zero).sum()), int((np.abs(values) <= zero).sum())
        best = rank == min(*widths, int((s > 1e-12 * s[0]).sum()))
        kind = "global minimum" if best else "strict saddle" if index else "saddle"
        if row["kind"] != kind:
            yield f"{where}: {row['kind']} in the file, {kind} by its Hessian"
        if (
            np.abs(np.abs(values) / zero - 1).min(initial=9.0) < 0.9
            or (np.abs(values[np.abs(values) > zero]) < 30 * zero).any()
        ):
            yield Unsure(f"{where}: index and nullity, since an eigenvalue is small and not zero")
        elif (row["index"], row["nullity"]) != (index, nullity):
            yield f"{where}: index {row['index']}, nullity {row['nullity']}; {index}, {nullity} by its Hessian"


def _whole(item: Item, rows: Any, options: Options, beside: Beside) -> Iterator[str]:
    """The strata over every rank, each once and with its number."""
    widths = item.network.architecture
    try:
        listed = [(rank, k, *v) for rank in range(min(widths) + 1) for k, v in enumerate(all_labels(widths, rank))]
    except Unclear as error:
        yield Unsure(f"whether strata are missing: {error}")
        return
    if options["most"]:
        listed = listed[: options["most"]]
    found = zip(*(rows.column(name).to_pylist() for name in ("rank", "stratum", "ranks")))
    yield from each_once([(rank, k, *v) for rank, k, v in found], listed, "strata")


def _over(weights: Sequence[FloatArray], product: FloatArray, rank: int) -> list[FloatArray]:
    """The same ranks with another product: invertible matrices before the first layer and behind the last."""
    moved = [np.asarray(w, dtype=np.float64) for w in weights]
    now = np.eye(moved[0].shape[1])
    for w in moved:
        now = w @ now
    (u, s, vt), (a, t, bt) = np.linalg.svd(now), np.linalg.svd(product)
    stretch = np.ones(len(u))
    stretch[:rank] = t[:rank] / s[:rank]
    moved[-1] = (a * stretch) @ u.T @ moved[-1]
    moved[0] = moved[0] @ vt.T @ bt
    return moved


def _gradient(weights: Sequence[FloatArray], target: FloatArray) -> FloatArray:
    """Of half the squared distance of the product to the target, layer by layer in one vector."""
    before, after = [np.eye(weights[0].shape[1])], [np.eye(weights[-1].shape[0])]
    for w in weights:
        before.append(w @ before[-1])
    for w in reversed(weights):
        after.append(after[-1] @ w)
    error = before[-1] - target
    return np.concatenate([(after[-2 - j].T @ error @ before[j].T).ravel() for j in range(len(weights))])


def _hessian(weights: Sequence[FloatArray], target: FloatArray) -> FloatArray:
    """Central differences of the gradient, by two steps: a polynomial of degree below five in each step."""
    shapes, x = [w.shape for w in weights], np.concatenate([w.ravel() for w in weights])
    ends = np.cumsum([0, *(w.size for w in weights)])

    def at(y: FloatArray) -> FloatArray:
        return _gradient([y[a:b].reshape(s) for a, b, s in zip(ends[:-1], ends[1:], shapes)], target)

    def slope(h: float) -> FloatArray:
        return np.stack([(at(x + h * e) - at(x - h * e)) / (2 * h) for e in np.eye(len(x))])

    H = (4 * slope(1e-3) - slope(2e-3)) / 3
    return np.asarray((H + H.T) / 2)


def _special(
    label: Sequence[int], pairs: Sequence[tuple[int, int]], widths: Sequence[int], beyond: int, rank: int
) -> bool:
    """Whether flags of the ranks on both sides can avoid the error: null spaces first, then singular vectors from both
    ends.
    """
    L = len(widths) - 1
    of = dict(zip(pairs, label))
    left = [of.get((L, j), widths[L]) - rank for j in range(1, L + 1)]
    right = [of.get((j - 1, 0), widths[0]) - rank for j in range(1, L + 1)]
    rows, columns = widths[L] - rank, widths[0] - rank  # the error as a matrix beside the product
    # a columns of U and b of V with U^T E V = 0 need a + b <= rows + columns - rank E, unless one of them is none
    return all(not (a and b) or a + b <= rows + columns - beyond for a, b in zip(left, right))


TABLE = Table(
    name="critical",
    doc=(
        "One row per rank stratum of a deep linear network of these widths, over the best approximation of its rank to a random "
        "target T: whether its points are critical for half the squared distance of the product to T, and of which type. "
        "Entries of T are N(0, 1 / d_0)."
    ),
    columns=(
        Column("network", "int64", "Number of the network in the dataset.", "id"),
        Column("rank", "int16", "Rank of the product.", "rank"),
        Column("stratum", "int64", "Number of the stratum among those over this rank, ascending by dimension.", "id"),
        Column(
            "ranks", "list<int16>", "Ranks of W_k … W_{i+1} for (k, i) = (1,0), (2,0), (2,1), (3,0) and so on.", "rank"
        ),
        Column("points", "string", "Which points over that product are critical: 'all', 'some' or 'none'."),
        Column(
            "kind", "string", "Where all are: 'global minimum', 'strict saddle' or 'saddle' (no negative curvature).",
            nullable=True,
        ),
        Column("loss", "float64", "Half the squared distance to T."),
        Column("index", "int32", "Where all are: negative eigenvalues of the Hessian, null where unclear.", nullable=True),
        Column("nullity", "int32", "Where all are: its zero eigenvalues, null where unclear.", nullable=True),
        Column("target", "list<float64>", "Target T, by rows.", "output/input"),
    ),
    rows=_rows,
    check=_check,
    whole=_whole,
    identity=("rank", "stratum", "ranks"),
    options=(Option("most", 0, integer(0), "At most so many rows a network, from the lowest rank on; 0: all."),),
    linear=True,
)  # fmt: skip
