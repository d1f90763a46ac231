"""Random ensembles, and linear networks by rank stratum."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..._typing import FloatArray
from ...budget import Budget
from ...network.model import ReLUNetwork
from .. import fields
from ..tables.base import Option
from .base import ABSENT, BaseOf, Kind, Made, Source, parameters_of

LAWS = {
    "normal": "independent N(0, s²)",
    "uniform": "independent uniform on [-s√3, s√3]",
    "orthogonal": "s times a Haar-distributed matrix with orthonormal rows or columns",
    "integer": "independent uniform integers of absolute value at most 3, times s",
}
SCALES = {"he": "s² = 2 / fan-in", "xavier": "s² = 2 / (fan-in + fan-out)", "lecun": "s² = 1 / fan-in", "one": "s = 1"}
BIASES = {
    "normal": "N(0, b²)",
    "uniform": "uniform on [-b√3, b√3]",
    "integer": "uniform integers in -3 … 3, times b",
    "zero": "zero",
}


def architectures(value: Any, key: str) -> list[tuple[int, ...]]:
    if isinstance(value, list) and value and isinstance(value[0], list):
        return list(fields.sequence(fields.architecture)(value, key))
    return [fields.architecture(value, key)]


def _deviation(scale: str, n_in: int, n_out: int) -> float:
    return float({"he": 2 / n_in, "xavier": 2 / (n_in + n_out), "lecun": 1 / n_in, "one": 1.0}[scale] ** 0.5)


def _haar(rng: np.random.Generator, m: int, n: int) -> FloatArray:
    q, r = np.linalg.qr(rng.standard_normal((max(m, n), min(m, n))))
    q = q * np.where(np.diagonal(r) < 0, -1.0, 1.0)
    return q if m >= n else np.ascontiguousarray(q.T)


def _matrix(law: str, rng: np.random.Generator, m: int, n: int) -> FloatArray:
    if law == "normal":
        return rng.standard_normal((m, n))
    if law == "uniform":
        return rng.uniform(-(3**0.5), 3**0.5, (m, n))
    if law == "orthogonal":
        return _haar(rng, m, n)
    return rng.integers(-3, 4, (m, n)).astype(np.float64)


def _bias(law: str, rng: np.random.Generator, m: int) -> FloatArray:
    if law == "normal":
        return rng.standard_normal(m)
    if law == "uniform":
        return rng.uniform(-(3**0.5), 3**0.5, m)
    return rng.integers(-3, 4, m).astype(np.float64) if law == "integer" else np.zeros(m)


def draw_layer(v: Mapping[str, Any], rng: np.random.Generator, n_in: int, n_out: int) -> tuple[FloatArray, FloatArray]:
    """Weights (n_out, n_in) and biases of one layer, by the options `LAYERS`."""
    weight = _matrix(v["law"], rng, n_out, n_in) * _deviation(v["scale"], n_in, n_out)
    return weight, _bias(v["bias"], rng, n_out) * v["bias_scale"]


def _random(source: Source, index: int, rng: np.random.Generator, base_of: BaseOf) -> Made:
    v = source.values
    widths = v["architecture"][index % len(v["architecture"])]
    source.check_room(parameters_of(widths))
    layers = [draw_layer(v, rng, n_in, n_out) for n_in, n_out in zip(widths[:-1], widths[1:])]
    return Made(ReLUNetwork([w for w, _ in layers], [b for _, b in layers]))


def describe_layers(v: Mapping[str, Any]) -> str:
    """How many networks of which widths, and what their numbers are drawn from."""
    bias = f"; biases {BIASES[v['bias']]}" + ("" if v["bias"] == "zero" else f" with b = {v['bias_scale']:g}")
    widths = " and ".join("-".join(map(str, a)) for a in v["architecture"])
    return f"{v['count']} networks {widths}; weights {LAWS[v['law']]} with {SCALES[v['scale']]}{bias}."


LAYERS = (
    Option("architecture", ABSENT, architectures, "widths [n0, …, nL], or a list of them, taken in turn"),
    Option("count", ABSENT, fields.integer(1, fields.MOST), "a number of networks >= 1"),
    Option("law", "normal", fields.choice(*LAWS), "law of the weights"),
    Option("scale", "he", fields.choice(*SCALES), "scale s of the weights"),
    Option("bias", "normal", fields.choice(*BIASES), "law of the biases"),
    Option("bias_scale", 0.5, fields.number(0), "scale b of the biases"),
)
"""Options of layers drawn at random."""

RANDOM = Kind("random", LAYERS, _random, describe_layers)


def _linear(source: Source, index: int, rng: np.random.Generator, base_of: BaseOf) -> Made:
    from ...linear.sampling import sample
    from ...linear.strata import stratify

    v = source.values
    widths = v["architecture"][index % len(v["architecture"])]
    source.check_room(parameters_of(widths))
    zeros = [np.zeros(m) for m in widths[1:]]
    if v["law"] == "normal":
        weights = [rng.standard_normal((m, n)) * (1 / n) ** 0.5 for n, m in zip(widths[:-1], widths[1:])]
        return Made(ReLUNetwork(weights, zeros), linear=True)
    strata = stratify(widths, rank=v["rank"], budget=Budget(memory=source.memory))
    chosen = int(rng.integers(len(strata)))
    weights = sample(strata[chosen], rng=rng, spread=v["spread"])
    return Made(ReLUNetwork(weights, zeros), {"stratum": chosen, "rank": v["rank"]}, linear=True)


def _describe_linear(v: Mapping[str, Any]) -> str:
    widths = " and ".join("-".join(map(str, a)) for a in v["architecture"])
    if v["law"] == "normal":
        return f"{v['count']} linear networks {widths}; weights N(0, 1 / fan-in), biases zero."
    where = "all rank strata" if v["rank"] is None else f"the rank strata over products of rank {v['rank']}"
    return f"{v['count']} linear networks {widths}; a stratum drawn uniformly among {where}, weights on it by `polyfiber.linear.sample` with spread {v['spread']:g}."


LINEAR = Kind(
    "linear",
    (
        Option("architecture", ABSENT, architectures, "widths [d0, …, dL], or a list of them, taken in turn"),
        Option("count", ABSENT, fields.integer(1, fields.MOST), "a number of networks >= 1"),
        Option("law", "strata", fields.choice("strata", "normal"), "uniform over strata, or Gaussian weights"),
        Option("rank", None, fields.integer(0), "rank of the product; all ranks by default"),
        Option("spread", 1.0, fields.number(0), "spread of the hidden changes of basis"),
    ),
    _linear,
    _describe_linear,
)
