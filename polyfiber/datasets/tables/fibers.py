"""Table ``fibers``: what the classifier says about which parameters compute the same function."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ...budget import Budget
from ...errors import BudgetExceededError, NumericalError
from ...fibers.batch.classify_many import FiberTable, label_fibers
from ...fibers.batch.labels import KINDS
from ...fibers.classify import FiberReport, classify_fiber
from ...fibers.dimension import local_fiber
from ...fibers.hyperplanes import ROLES
from ...network.model import ReLUNetwork
from ...numerics.rounding import UNIT
from ..fields import boolean, integer, number
from ..storage.arrow import pyarrow
from .base import Column, Item, Option, Options, Table, Unsure, single

VERDICTS = {1: "yes", 0: "no", -1: "undecided"}


def _rows(items: Sequence[Item], options: Options) -> Iterator[Any]:
    """Networks of one architecture are labelled together; rows come in the order of the items."""
    groups: dict[tuple[int, ...], list[int]] = {}
    networks = [item.chain("fibers") for item in items]
    for i, network in enumerate(networks):
        groups.setdefault(network.architecture, []).append(i)
    rows: list[dict[str, Any]] = [{} for _ in items]
    for members in groups.values():
        found = label_fibers(
            [networks[i] for i in members],
            limit=options["limit"],
            sign_error=options["sign_error"],
            components=options["components"],
        )
        for at, i in enumerate(members):
            rows[i] = _row(items[i], found, at, options)
    names = [c.name for c in TABLE.columns_for(options)]
    yield pyarrow().RecordBatch.from_pylist(
        [{name: row[name] for name in names} for row in rows], schema=TABLE.schema(options)
    )


def _row(item: Item, found: FiberTable, at: int, options: Options) -> dict[str, Any]:
    roles = found.roles[at]
    kind = KINDS[found.kind[at]]
    row: dict[str, Any] = {
        "network": item.id,
        "kind": kind,
        "identifiable": {1: True, 0: False, -1: None}[int(found.identifiable[at])],
        "complete": bool(found.complete[at]),
        "roles": [ROLES[r] for r in roles],
        "n_nonlinear": int((roles == ROLES.index("nonlinear")).sum()),
        "n_linear": int((roles == ROLES.index("linear")).sum()),
        "n_dead": int((roles == ROLES.index("dead")).sum()),
        "hidden_hyperplane": int(found.hidden[at]),
        "translation": _finite(found.translation[at]),
        "dimension": _decided(found.dimension[at]),
        "components": _decided(found.components[at]),
        "generic": VERDICTS[int(found.generic[at])],
        "sign_margin": _finite(found.sign_margin[at]),
        "first_layer_margin": _finite(found.first_layer_margin[at]),
        "product_margin": _finite(found.product_margin[at]),
        "position_margin": _finite(found.position_margin[at]),
        "reason": found.reasons[at],
    }
    if options["local_dimension"]:
        row["local_dimension"] = local_fiber(item.network, regions=item.complex).dimension
    return row


def _finite(value: Any) -> float | None:
    return float(value) if math.isfinite(value) else None


def _decided(value: Any) -> int | None:
    return None if value < 0 else int(value)


def _check(item: Item, rows: Sequence[Mapping[str, Any]], options: Options) -> Iterator[str]:
    """The classifier on this network alone, and values of points of its fiber."""
    network = item.chain("fibers")
    report = classify_fiber(network, limit=options["limit"], sign_error=options["sign_error"], max_parameters=0)
    roles = report.roles
    most = options["components"]
    try:
        number = (
            None
            if report.kind == "undecided"
            else sum(1 for _ in itertools.islice(report.components(budget=Budget(seconds=30)), most))
        )
    except (NumericalError, BudgetExceededError):
        number = None
    margins = _margins(network, report, options["limit"])
    for row in rows:
        single = {
            "kind": report.kind,
            "identifiable": report.identifiable,
            "dimension": report.dimension,
            "roles": list(report.roles),
            "hidden_hyperplane": -1 if report.hidden_hyperplane is None else report.hidden_hyperplane,
            "generic": report.regime.generic.value,
            "complete": report.complete,
            "components": number,
            "reason": report.reason,
            "n_nonlinear": roles.count("nonlinear"),
            "n_linear": roles.count("linear"),
            "n_dead": roles.count("dead"),
        }
        for name, margin in margins.items():
            if (row[name] is None) != (margin is None) or (
                margin is not None and not math.isclose(row[name], margin, rel_tol=1e-6, abs_tol=1e-12)
            ):
                yield f"{name} is {row[name]!r} in the file, {margin!r} from the layers"
        if options["local_dimension"]:
            yield from _nullity(item, row["local_dimension"])
        for name, value in single.items():
            if row[name] != value:
                yield f"{name} is {row[name]!r} in the file, {value!r} for this network alone"
    if rows and report.kind not in ("undecided", "constant"):
        yield from _points(network, report, item.rng("check fibers"))


def _margins(network: ReLUNetwork, report: FiberReport, limit: int) -> dict[str, float | None]:
    """Margins from the layers by definition, where all minors and products were looked at; else those of the
    classifier.
    """
    regime = report.regime
    names = ("sign_margin", "first_layer_margin", "product_margin", "position_margin")
    found: dict[str, float | None] = {name: _finite(getattr(regime, name)) for name in names}
    found["translation"] = None
    k = report.hidden_hyperplane
    if k is not None:
        W2, b2 = (np.asarray(v, dtype=np.float64) for v in (network.weights[1], network.biases[1]))
        up = W2[:, k] > 0
        found["translation"] = (
            float(np.min(-b2[up] / W2[up, k]))
            if up.any() and report.hiding is not None and report.hiding.end is not None
            else None
        )
    if not regime.bottleneck:
        return found
    W1, W2 = (np.asarray(w, dtype=np.float64) for w in network.weights[:2])
    lengths = np.linalg.norm(W1, axis=1)
    lengths[lengths == 0] = 1.0
    rows = np.concatenate([W2 * lengths, np.asarray(network.biases[1], dtype=np.float64)[:, None]], axis=1)
    sizes = np.linalg.norm(rows, axis=1)
    sizes[sizes == 0] = 1.0
    found["sign_margin"] = _finite(float(np.abs(rows / sizes[:, None]).min()))
    found["first_layer_margin"] = float(np.linalg.svd(W1 / lengths[:, None], compute_uv=False)[-1])
    return found


def _nullity(item: Item, stored: int) -> Iterator[str]:
    """Parameters minus the rank of the derivative at random inputs, minus the scalings: at least the dimension from all
    regions.
    """
    net = item.chain("fibers").rounded()
    rng = item.rng("check nullity")
    count = sum(w.size + b.size for w, b in zip(net.weights, net.biases))
    points = np.concatenate([s * rng.standard_normal((2 * count, net.architecture[0])) for s in (0.3, 1.0, 4.0)])
    rows = []
    for x in points:
        values, masks = [x], []
        for w, b in list(zip(net.weights, net.biases))[:-1]:
            z = w @ values[-1] + b
            masks.append(z > 0)
            values.append(np.maximum(z, 0.0))
        back, parts = np.eye(net.architecture[-1]), list[Any]()
        for layer in range(len(net.weights) - 1, -1, -1):
            parts = [np.einsum("oi,j->oij", back, values[layer]).reshape(len(back), -1), back, *parts]
            if layer:
                back = (back @ net.weights[layer]) * masks[layer - 1]
        rows.append(np.concatenate(parts, axis=1))
    singular = np.linalg.svd(np.concatenate(rows), compute_uv=False)
    nullity = count - int((singular > 1e-9 * singular[0]).sum()) - net.n_hidden
    if stored > nullity:
        yield f"local_dimension is {stored} in the file; the derivatives at {len(points)} inputs leave {nullity}"
    elif stored < nullity:
        yield Unsure("local dimension: random inputs miss some regions")


def _points(network: ReLUNetwork, report: FiberReport, rng: np.random.Generator) -> Iterator[str]:
    """Evaluate points of the fiber: they compute the function."""
    points = 3.0 * rng.standard_normal((64, network.architecture[0]))
    values = network.rounded()(points)
    size = 1.0 + float(np.abs(values).max())
    for other in report.sample(3, rng=rng, trivial=True):
        if np.abs(other.rounded()(points) - values).max() > 1e-6 * size:
            yield "a point of the fiber computes another function"


TABLE = Table(
    name="fibers",
    doc=(
        "One row per network: the labels of the classifier. Decided are bottleneck networks with two hidden layers, "
        "generic, and networks with one hidden layer; others say why not."
    ),
    columns=(
        Column("network", "int64", "Number of the network in the dataset.", "id"),
        Column("kind", "string", "identifiable, layerwise, hiding, constant or undecided."),
        Column(
            "identifiable",
            "bool",
            "Whether the function determines the parameters up to permutation and scaling; null where not decided.",
            nullable=True,
        ),
        Column("complete", "bool", "Whether the components are proved to be the whole generic fiber."),
        Column("roles", "list<string>", "Roles in the last hidden layer: nonlinear, linear, dead or cancelling."),
        Column("n_nonlinear", "int16", "Nonlinear neurons of the last hidden layer.", "neurons"),
        Column("n_linear", "int16", "Neurons of the last hidden layer that are always active.", "neurons"),
        Column("n_dead", "int16", "Neurons of the last hidden layer that never act.", "neurons"),
        Column("hidden_hyperplane", "int32", "Neuron of layer 1 whose hyperplane is hidden by layer 2; -1 for none.", "id"),
        Column(
            "translation",
            "float64",
            "How far the hidden hyperplane can be translated towards its active side; null where none is hidden.",
            "output of layer 1",
            nullable=True,
        ),
        Column(
            "dimension",
            "int64",
            "Dimension of the largest component modulo scaling; null where not decided.",
            "parameters",
            nullable=True,
        ),
        Column(
            "components",
            "int64",
            "Components modulo permutation and scaling, at most as many as the option says; null where not decided.",
            nullable=True,
        ),
        Column(
            "local_dimension",
            "int64",
            "Functional nullity at these parameters minus the scalings, from all regions.",
            "parameters",
            option="local_dimension",
        ),
        Column("generic", "string", "yes, no, or undecided where minors and masked products were sampled."),
        Column("sign_margin", "float64", "Least entry of (W2 | b2) relative to its row; null without two hidden layers.", nullable=True),
        Column("first_layer_margin", "float64", "Least singular value of W1 with unit rows; null as above.", nullable=True),
        Column("product_margin", "float64", "Least relative singular value of a masked product; null as above.", nullable=True),
        Column("position_margin", "float64", "Least relative minor of (W2 | b2); null as above.", nullable=True),
        Column("reason", "string", "Which row, which column, or why not decided."),
    ),
    rows=_rows,
    check=_check,
    whole=single,
    identity=("network",),
    options=(
        Option("limit", 512, integer(16), "Masked products, and minors, that are looked at; classify_fiber looks at 2048."),
        Option("sign_error", 4 * UNIT, number(0.0), "Relative accuracy of the weights; 2^-24 for float32."),
        Option("components", 16, integer(1), "Components are counted up to this number."),
        Option("local_dimension", False, boolean, "The dimension from all regions of the complex too."),
    ),
    group=1024,
)  # fmt: skip
