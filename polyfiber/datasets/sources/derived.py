"""Networks made from those of another entry: perturbed, or moved along their fiber."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from ...fibers.classify import classify_fiber
from ...network.model import ReLUNetwork
from ...network.moves import random_trivial
from .. import fields
from ..tables.base import Option
from .base import ABSENT, BaseOf, Kind, Made, Source


def perturb(
    net: ReLUNetwork, size: float, rng: np.random.Generator, *, where: Literal["all", "one"] = "all"
) -> ReLUNetwork:
    """Add ``size * r * N(0, 1)`` to every parameter, or to one of them.

    ``r`` is the root mean square of the layer's weights (and of its biases, for biases; 1 if they
    are all zero).
    """
    parts = [part.copy() for both in zip(net.weights, net.biases) for part in both]
    scales = [float(np.sqrt(np.mean(np.square(part)))) or 1.0 for part in parts]
    if where == "one":
        sizes = np.array([part.size for part in parts])
        chosen = int(rng.choice(len(parts), p=sizes / sizes.sum()))
        entry = int(rng.integers(parts[chosen].size))
        parts[chosen].flat[entry] += size * scales[chosen] * rng.standard_normal()
    else:
        for part, scale in zip(parts, scales):
            part += size * scale * rng.standard_normal(part.shape)
    return ReLUNetwork(parts[::2], parts[1::2])


def _perturbed(source: Source, index: int, rng: np.random.Generator, base_of: BaseOf) -> Made:
    v = source.values
    base, variant = divmod(index, v["per"] * len(v["noise"]))
    noise = v["noise"][variant % len(v["noise"])]
    origin = base_of(base)
    return Made(
        perturb(origin, noise, rng, where=v["where"]),
        {"relation": "perturbed", "noise": noise, "where": v["where"]},
        origin,
        base,
    )


def _describe_perturbed(v: Mapping[str, Any]) -> str:
    sizes = ", ".join(f"{s:g}" for s in v["noise"])
    which = "every parameter" if v["where"] == "all" else "one parameter, drawn uniformly,"
    return (
        f"{v['per']} copies of each network of `{v['of']}` for each noise e in {{{sizes}}}; {which} moved by e · r · N(0, 1) "
        "with r the root mean square of its weight matrix or bias vector."
    )


_OF = Option("of", ABSENT, fields.identifier, "the name of an earlier entry of [[networks]]")
_PER = Option("per", 1, fields.integer(1, fields.MOST), "copies of each network")

PERTURBED = Kind(
    "perturbed",
    (
        _OF,
        _PER,
        Option("noise", ABSENT, fields.one_or_more(fields.number(above=0)), "one or more relative sizes of the noise"),
        Option("where", "all", fields.choice("all", "one"), "perturb all parameters or a single one"),
    ),
    _perturbed,
    _describe_perturbed,
    count=lambda v, base: base.count * v["per"] * len(v["noise"]) if base else 0,
    derived=True,
)


def _fiber(source: Source, index: int, rng: np.random.Generator, base_of: BaseOf) -> Made:
    v = source.values
    base = index // v["per"]
    origin = base_of(base)
    facts: dict[str, Any] = {"relation": "same function", "moves": v["moves"]}
    net = origin
    if v["moves"] == "fiber":
        report = classify_fiber(net, max_parameters=0)
        facts["fiber"] = report.kind
        net = report.sample(1, rng=rng)[0]
    return Made(random_trivial(net, rng=rng, spread=v["spread"])(net), facts, origin, base)


def _describe_fiber(v: Mapping[str, Any]) -> str:
    how = (
        "a random permutation and scaling of every hidden layer"
        if v["moves"] == "trivial"
        else "a random point of its fiber (`classify_fiber(net).sample`), then a random permutation and scaling"
    )
    return f"{v['per']} networks with the same function for each network of `{v['of']}`: {how}; factors exp({v['spread']:g} · N(0, 1))."


FIBER = Kind(
    "fiber",
    (
        _OF,
        _PER,
        Option("moves", "fiber", fields.choice("fiber", "trivial"), "the whole fiber, or permutations and scalings"),
        Option("spread", 1.0, fields.number(0), "spread of the logarithms of the scaling factors"),
    ),
    _fiber,
    _describe_fiber,
    count=lambda v, base: base.count * v["per"] if base else 0,
    derived=True,
)
