"""Table ``trajectories``: gradient flow and Langevin paths of deep linear networks towards a random target."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..._typing import FloatArray
from ...dln.dynamics.flows import gradient_flow
from ...dln.dynamics.langevin import sample_langevin
from ..fields import choice, integer, number
from .base import Beside, Column, Item, Option, Options, Table, each_once


def random_target(item: Item, table: str) -> FloatArray:
    """The matrix that the energy of a table pulls to: entries N(0, 1 / d_0), from the item's own generator."""
    widths = item.network.architecture
    result: FloatArray = item.rng(table).standard_normal((widths[-1], widths[0])) / np.sqrt(widths[0])
    return result


def _rows(items: Sequence[Item], options: Options) -> Iterator[Any]:
    (item,) = items
    paths = options["paths"] if options["process"] == "langevin" else 1
    numbers = sum(w.size for w in item.chain("trajectories").weights) + 4 * max(item.network.architecture) ** 2
    item.check_memory(8 * paths * (options["records"] + 1) * numbers, "the table of trajectories")
    target = random_target(item, "trajectories")
    weights = [w.astype(np.float64) for w in item.chain("trajectories").weights]
    times = np.linspace(0.0, options["time"], options["records"] + 1)
    if options["process"] == "flow":
        flow = gradient_flow(weights, lambda W: W - target, times)
        products = flow.products[:, None]
        layers = np.concatenate([w.reshape(len(times), -1) for w in flow.weights], axis=1)[:, None]
        drift = flow.drift
    else:
        products = _langevin(item, weights, target, options)
        layers, drift = np.zeros((*products.shape[:2], 0)), np.nan
    count = products.shape[0] * products.shape[1]
    flat = np.swapaxes(products, 0, 1).reshape(count, *products.shape[2:])
    yield TABLE.batch(
        options,
        {
            "network": np.full(count, item.id),
            "path": np.repeat(np.arange(products.shape[1], dtype=np.int32), products.shape[0]),
            "step": np.tile(np.arange(products.shape[0], dtype=np.int32), products.shape[1]),
            "time": np.tile(times, products.shape[1]),
            "product": flat.reshape(count, -1),
            "weights": np.swapaxes(layers, 0, 1).reshape(count, -1),
            "singular_values": np.linalg.svd(flat, compute_uv=False),
            "energy": 0.5 * ((flat - target) ** 2).sum(axis=(1, 2)),
            "target": np.broadcast_to(target.ravel(), (count, target.size)),
            "drift": [None if np.isnan(drift) else float(drift)] * count,
        },
    )


def _langevin(item: Item, weights: Sequence[FloatArray], target: FloatArray, options: Options) -> FloatArray:
    """(T, paths, d, d) from the product of the layers; refuses products that are not square and invertible."""
    product = weights[0]
    for w in weights[1:]:
        product = w @ product
    run = sample_langevin(
        product,
        len(weights),
        energy_gradient=lambda W: W - target,
        beta=options["beta"],
        kappa=options["kappa"],
        time=options["time"],
        steps=options["steps"] * options["records"],
        paths=options["paths"],
        rng=item.rng("langevin"),
        record=options["records"],
    )
    return run.snapshots


def _check(item: Item, rows: Sequence[Mapping[str, Any]], options: Options) -> Iterator[str]:
    """Products, energies and singular values anew; a flow again by another method, and its invariants.

    Langevin paths are replayed from their seed.
    """
    widths = item.network.architecture
    start = [w.astype(np.float64) for w in item.chain("trajectories").weights]
    target = random_target(item, "trajectories")
    ends = np.cumsum([0, *(w.size for w in start)])
    first = [w.T @ w - v @ v.T for v, w in zip(start[:-1], start[1:])]
    size = max(float((w * w).sum()) for w in start)
    times = np.linspace(0.0, options["time"], options["records"] + 1)
    paths = options["paths"] if options["process"] == "langevin" else 1
    seen: set[tuple[int, int]] = set()
    replayed = _langevin(item, start, target, options) if rows and options["process"] == "langevin" else None
    for row in rows:
        if not (0 <= row["path"] < paths and 0 <= row["step"] < len(times)) or (row["path"], row["step"]) in seen:
            yield f"path {row['path']}, step {row['step']}: there are {paths} paths of {len(times)} records, each once"
            continue
        seen.add((row["path"], row["step"]))
        if row["time"] != times[row["step"]]:
            yield f"path {row['path']}, step {row['step']}: time {row['time']}, expected {times[row['step']]}"
        if not np.array_equal(row["target"], target.ravel()):
            yield f"path {row['path']}, step {row['step']}: the target is another"
        if options["process"] == "langevin" and (row["weights"] or row["drift"] is not None):
            yield f"path {row['path']}, step {row['step']}: weights or drift on a Langevin path, which has none"
        where = f"path {row['path']}, step {row['step']}"
        W = np.reshape(row["product"], (widths[-1], widths[0]))
        numbers = 0 if options["process"] == "langevin" else ends[-1]
        if len(row["singular_values"]) != min(W.shape) or len(row["weights"]) != numbers:
            yield f"{where}: {len(row['singular_values'])} singular values, {len(row['weights'])} weights"
            continue
        if not np.allclose(np.linalg.svd(W, compute_uv=False), row["singular_values"], rtol=1e-9, atol=1e-12):
            yield f"{where}: the singular values are others"
        if not np.isclose(0.5 * ((W - target) ** 2).sum(), row["energy"], rtol=1e-9, atol=1e-12):
            yield f"{where}: the energy is another"
        if options["process"] == "langevin":
            initial = start[0]
            for w in start[1:]:
                initial = w @ initial
            if row["step"] == 0 and not np.allclose(W, initial, rtol=1e-9, atol=1e-12):
                yield f"{where}: the path does not start at the network"
            if replayed is not None and not np.allclose(W, replayed[row["step"], row["path"]], rtol=1e-6, atol=1e-9):
                yield f"{where}: the seed of the network gives another path"
            if np.linalg.slogdet(W)[0] != np.linalg.slogdet(initial)[0]:
                yield f"{where}: the path has crossed det = 0"
            continue
        layers = [np.reshape(row["weights"][a:b], w.shape) for a, b, w in zip(ends[:-1], ends[1:], start)]
        product = layers[0]
        for w in layers[1:]:
            product = w @ product
        if not np.allclose(product, W, rtol=1e-9, atol=1e-9):
            yield f"{where}: the product of the layers is another"
        drift = max(
            (float(np.abs(w.T @ w - v @ v.T - g).max()) for v, w, g in zip(layers[:-1], layers[1:], first)), default=0.0
        )
        if row["drift"] is None or not 0.0 <= row["drift"] <= 1e-6:
            yield f"{where}: drift {row['drift']}; the invariants move by less than a millionth"
        elif drift > 10.0 * (row["drift"] + 1e-12) * size:
            yield f"{where}: drift {row['drift']:.3g} in the file, {drift / size:.3g} in its own layers"
        if drift > 1e-6 * size:
            yield f"{where}: an invariant of the flow has moved by {drift:.3g}"
        if row["time"] > 0:
            again = gradient_flow(
                start, lambda W: W - target, [0.0, row["time"]], method="LSODA", rtol=1e-9, atol=1e-11
            )
            if not np.allclose(again.products[-1], W, rtol=1e-5, atol=1e-6):
                yield f"{where}: another integrator ends elsewhere"


def _whole(item: Item, rows: Any, options: Options, beside: Beside) -> Iterator[str]:
    """Every record of every path, each once; of a flow, the largest change of its invariants along them."""
    count = options["paths"] if options["process"] == "langevin" else 1
    places = list(zip(rows.column("path").to_pylist(), rows.column("step").to_pylist()))
    expected = [(path, step) for path in range(count) for step in range(options["records"] + 1)]
    problems = list(each_once(places, expected, "records of paths"))
    yield from problems
    if problems or options["process"] == "langevin":
        return
    shapes = [w.shape for w in item.chain("trajectories").weights]
    ends = np.cumsum([0, *(a * b for a, b in shapes)])
    flat = sorted(zip(places, rows.column("weights").to_pylist()))
    if any(len(numbers) != ends[-1] for _, numbers in flat):
        yield f"weights of other widths than {item.network.architecture}"
        return
    layers = [[np.reshape(v[a:b], s) for a, b, s in zip(ends[:-1], ends[1:], shapes)] for _, v in flat]
    size = max(float((w * w).sum()) for w in layers[0]) or 1.0
    start, largest = _invariants(layers[0]), 0.0
    for at in layers[1:]:
        largest = max([largest, *(float(np.linalg.norm(g - h)) / size for g, h in zip(_invariants(at), start))])
    for drift in set(rows.column("drift").to_pylist()):
        if drift is None or not abs(drift - largest) <= 1e-3 * largest + 1e-15:
            yield f"drift {drift} in the file, {largest:.6g} along its layers"


def _invariants(layers: Sequence[FloatArray]) -> list[FloatArray]:
    """What a flow keeps between two layers, entry by entry."""
    pairs = zip(layers[:-1], layers[1:])
    return [np.einsum("ki,kj->ij", w, w) - np.einsum("ik,jk->ij", v, v) for v, w in pairs]


TABLE = Table(
    name="trajectories",
    doc=(
        "One row per recorded time of a path of a deep linear network under the energy |W - T|^2 / 2 of its product W, with a "
        "random target T. Paths start at the network: gradient flow of the layers, or the Riemannian Langevin equation of "
        "the product."
    ),
    columns=(
        Column("network", "int64", "Number of the network in the dataset.", "id"),
        Column("path", "int32", "Number of the path.", "id"),
        Column("step", "int32", "Number of the record, 0 at the start.", "id"),
        Column("time", "float64", "Time.", "time"),
        Column("product", "list<float64>", "Product W of the layers, by rows.", "output/input"),
        Column("weights", "list<float64>", "W_1, …, W_L by rows; empty for Langevin paths, which move the product."),
        Column("singular_values", "list<float64>", "Singular values of W, descending.", "output/input"),
        Column("energy", "float64", "Energy |W - T|^2 / 2."),
        Column("target", "list<float64>", "Target T, by rows.", "output/input"),
        Column(
            "drift",
            "float64",
            "Largest change of the invariants of the flow, relative; null for Langevin.",
            nullable=True,
        ),
    ),
    rows=_rows,
    check=_check,
    whole=_whole,
    identity=("path", "step", "weights", "drift"),
    options=(
        Option(
            "process",
            "flow",
            choice("flow", "langevin"),
            "Gradient flow of the layers, or Langevin paths of the product.",
        ),
        Option("time", 2.0, number(above=0.0), "Final time."),
        Option("records", 20, integer(1, 1_000_000), "Records after the start, equally spaced."),
        Option("steps", 10, integer(1, 1_000_000), "Langevin steps for each record."),
        Option("paths", 4, integer(1, 100_000), "Langevin paths for each network."),
        Option("beta", 10.0, number(above=0.0), "Inverse temperature."),
        Option("kappa", 1.0, number(0.0), "Strength of the noise of the product relative to that of the gauge."),
    ),
    linear=True,
)
