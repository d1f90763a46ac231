"""Table ``geodesics``: from the product of a deep linear network to a random matrix of its rank."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..._typing import FloatArray
from ...dln.geodesics.boundary import geodesic
from ...errors import SolverError
from ..fields import integer
from .base import Beside, Column, Item, Option, Options, Table, Unsure, each_once


def _start(item: Item) -> FloatArray:
    product = np.eye(item.network.architecture[0])
    for w in item.chain("geodesics").weights:
        product = np.asarray(w, dtype=np.float64) @ product
    return product


def _end(item: Item, rank: int) -> FloatArray:
    """A product of two Gaussian factors of that rank, on the side of the start where the determinant tells two
    sides.
    """
    start, rng = _start(item), item.rng("geodesics")
    m, n = start.shape
    end = rng.standard_normal((m, rank)) @ rng.standard_normal((rank, n)) / np.sqrt(max(rank, 1))
    if m == n == rank and np.linalg.slogdet(end)[0] != np.linalg.slogdet(start)[0]:
        end[0] *= -1
    return np.asarray(end)


def _rank(matrix: FloatArray) -> int:
    return int(np.linalg.matrix_rank(matrix, tol=1e-9 * max(float(np.linalg.norm(matrix, 2)), 1e-300)))


def _rows(items: Sequence[Item], options: Options) -> Iterator[Any]:
    (item,) = items
    start, depth = _start(item), len(item.chain("geodesics").weights)
    item.check_memory(8 * (options["records"] + 1) * start.size, "the points of a geodesic")
    rank = _rank(start)
    end = _end(item, rank)
    path = geodesic(start, end, depth, budget=item.budget)
    if not path.solved:
        raise SolverError("no geodesic was found, only a curve")
    points = path(np.linspace(0.0, 1.0, options["records"] + 1))
    yield TABLE.batch(
        options,
        {
            "network": [item.id],
            "rank": [rank],
            "depth": [depth],
            "start": [start.ravel()],
            "end": [end.ravel()],
            "length": [path.length],
            "bound": [_bound(start, end, depth)],
            "points": [np.asarray(points).ravel()],
        },
    )


def _bound(start: FloatArray, end: FloatArray, depth: int) -> float:
    """``sqrt(N) |sigma_0^{1/N} - sigma_1^{1/N}|``, below which no path is."""
    s, t = (np.linalg.svd(W, compute_uv=False) ** (1 / depth) for W in (start, end))
    return float(np.sqrt(depth) * np.linalg.norm(s - t))


def _check(item: Item, rows: Sequence[Mapping[str, Any]], options: Options) -> Iterator[str]:
    """Ends drawn anew; length and speed by quadrature along splines; no variation of the path changes its energy.

    The metric is written out in singular vectors (`_speeds`), the variations are random, smooth and zero at the ends;
    of matrices of lower rank they are cut back to it.
    """
    start, depth = _start(item), len(item.chain("geodesics").weights)
    end = _end(item, _rank(start))
    for row in rows:
        if row["depth"] != depth or row["rank"] != _rank(start):
            yield f"depth {row['depth']} and rank {row['rank']}; the network has {depth} and {_rank(start)}"
        for name, matrix in (("start", start), ("end", end)):
            if len(row[name]) != matrix.size or not np.allclose(row[name], matrix.ravel(), rtol=1e-9, atol=1e-12):
                yield f"the {name} is another"
        if not np.isclose(row["bound"], _bound(start, end, depth), rtol=1e-7, atol=1e-10):
            yield f"bound {row['bound']}, expected {_bound(start, end, depth)}"
        if len(row["points"]) != (options["records"] + 1) * start.size:
            yield f"{len(row['points'])} numbers of points, expected {options['records'] + 1} times {start.size}"
            continue
        points = np.reshape(row["points"], (-1, *start.shape))
        size = max(float(np.abs(start).max()), float(np.abs(end).max()))
        if not (np.abs(points[0] - start).max() <= 1e-8 * size and np.abs(points[-1] - end).max() <= 1e-6 * size):
            yield "the path does not join start and end"
            continue
        yield from _along(item, points, row["length"], depth, _rank(start))


def _along(item: Item, points: FloatArray, length: float, depth: int, rank: int) -> Iterator[str]:
    speeds = _speeds(points, depth, rank)
    coarse = _speeds(points[::2], depth, rank) if len(points) % 2 and len(points) > 8 else speeds[::2]
    found, rough = float(speeds.mean()), float(coarse.mean())
    slack = 1e-4 * found + 2 * abs(found - rough)
    if slack > 0.02 * found:
        yield Unsure(f"the length, which {len(points)} points give as {found:.6g} or {rough:.6g}")
        return
    if abs(length - found) > slack:
        yield f"length {length}, {found} along its points"
    if np.abs(speeds - found).max() > 0.02 * found + 20 * slack:
        yield f"the speed varies from {speeds.min()} to {speeds.max()}"
    rng, t = item.rng("check geodesics"), np.linspace(0.0, 1.0, len(points))[:, None, None]
    for k in range(1, 4):
        change = np.sin(k * np.pi * t) * rng.standard_normal(points.shape[1:])
        change *= 1e-3 * np.abs(points).max() / np.abs(change).max()
        more, less = ((_speeds(_cut(points + s * change, rank), depth, rank) ** 2).mean() for s in (1, -1))
        if abs(more - less) > 0.1 * (more + less - 2 * found**2) + 2e-3 * found * (found + slack) + 40 * slack * found:
            yield f"a variation changes the energy by {(more - less) / 2:.3g} to first order: no geodesic"


def _cut(points: FloatArray, rank: int) -> FloatArray:
    if rank == min(points.shape[1:]):
        return points
    u, s, vt = np.linalg.svd(points, full_matrices=False)
    return np.asarray((u[..., :rank] * s[..., None, :rank]) @ vt[..., :rank, :])


def _speeds(points: FloatArray, depth: int, rank: int) -> FloatArray:
    """Speed at the two Gauss points of every interval of a spline through the points.

    In singular vectors of W entry ij of a tangent vector is divided by ``sum_k sigma_i^{2(N-k)/N} sigma_j^{2(k-1)/N}``.
    """
    from scipy.interpolate import CubicSpline

    times = np.linspace(0.0, 1.0, len(points))
    spline = CubicSpline(times, points)
    step = times[1]
    at = (times[:-1, None] + step * (0.5 + np.array([-0.5, 0.5]) / np.sqrt(3.0))).ravel()
    W, Z = spline(at), spline(at, 1)
    u, s, vt = np.linalg.svd(W)
    m, n = W.shape[1:]
    left, right = np.zeros((len(at), m)), np.zeros((len(at), n))
    left[:, :rank] = right[:, :rank] = s[:, :rank]
    powers = [2 * (depth - k) / depth for k in range(1, depth + 1)], [2 * (k - 1) / depth for k in range(1, depth + 1)]
    weight = sum(left[:, :, None] ** p * right[:, None, :] ** q for p, q in zip(*powers))
    entries = (np.swapaxes(u, 1, 2) @ Z @ np.swapaxes(vt, 1, 2)) ** 2
    if rank < min(m, n) or m != n:
        entries[:, rank:, rank:] = 0.0  # normal to the matrices of this rank, within the error of the spline
        weight = np.where(weight > 0, weight, 1.0)
    return np.asarray(np.sqrt((entries / weight).sum(axis=(1, 2))))


def _whole(item: Item, rows: Any, options: Options, beside: Beside) -> Iterator[str]:
    yield from each_once(rows.column("network").to_pylist(), [item.id], "geodesics")


TABLE = Table(
    name="geodesics",
    doc=(
        "One row per linear network: the geodesic of the deep linear network from the product of its layers to a random matrix "
        "of the same rank, on the side of its determinant. Networks between whose ends none is found are left out, with the "
        "reason. A geodesic need not be the shortest."
    ),
    columns=(
        Column("network", "int64", "Number of the network in the dataset.", "id"),
        Column("rank", "int16", "Rank of all matrices on the way.", "rank"),
        Column("depth", "int16", "Number N of layers, which the metric depends on.", "layer"),
        Column("start", "list<float64>", "Product of the layers, by rows.", "output/input"),
        Column("end", "list<float64>", "The other end, by rows.", "output/input"),
        Column("length", "float64", "Length of the geodesic."),
        Column("bound", "float64", "A length that no path is below: of the Nth roots of the singular values."),
        Column("points", "list<float64>", "Points at equal times from start to end, each by rows.", "output/input"),
    ),
    rows=_rows,
    check=_check,
    whole=_whole,
    identity=("network",),
    options=(Option("records", 32, integer(8, 100_000), "Points after the start, equally spaced."),),
    linear=True,
)
