"""Random networks of gates: LeakyReLU, absolute values, clips, maxima; residual and dense connections."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..._typing import IntArray
from ...network.wiring.assembly import assemble
from ...network.wiring.slots import Place, Wiring
from ...network.wiring.units import clip, extremum, sloped
from .. import fields
from ..tables.base import Option
from .base import BaseOf, Kind, Made, Source, parameters_of
from .random import LAYERS, describe_layers, draw_layer

UNITS = {
    "relu": "max(z, 0)",
    "leaky": "LeakyReLU with the slope {slope:g}",
    "abs": "the absolute value",
    "clip": "z limited to [-1, 1]",
    "max": "the largest of {pool} affine functions",
}
WIRINGS = {
    "chain": "each layer reads the one before",
    "residual": "a layer as wide as the one before adds its values",
    "dense": "each layer reads the input and all layers before",
}


def _units(v: Mapping[str, Any], w: Wiring, values: list[IntArray], place: Place) -> IntArray:
    kind = v["units"]
    if kind == "max":
        return extremum(w, values, place)
    if kind == "clip":
        return clip(w, values[0], -1.0, 1.0, place)
    return sloped(w, values[0], {"relu": (0.0, 1.0), "leaky": (v["slope"], 1.0), "abs": (-1.0, 1.0)}[kind], place)


def _graph(source: Source, index: int, rng: np.random.Generator, base_of: BaseOf) -> Made:
    v = source.values
    n0, *hidden, n_out = v["architecture"][index % len(v["architecture"])]
    source.check_room(parameters_of((n0, *hidden, n_out)) * (v["pool"] if v["units"] == "max" else 1))
    w = Wiring(n0)
    before, read = w.inputs, w.inputs
    for layer, m in enumerate(hidden, start=1):
        parts = v["pool"] if v["units"] == "max" else 1
        weight, bias = draw_layer(v, rng, len(read), m * parts)
        z = w.dense(read, weight, bias, name=f"layer{layer}")
        place = Place.whole(f"layer{layer}", v["units"], (m,))
        made = _units(v, w, [z[k * m : (k + 1) * m] for k in range(parts)], place)
        if v["wiring"] == "residual" and m == len(before):
            made = w.total([(made, 1), (before, 1)], name=f"sum{layer}")
        before = made
        read = np.concatenate([read, made]) if v["wiring"] == "dense" else made
    weight, bias = draw_layer(v, rng, len(read), n_out)
    made = w.dense(read, weight, bias, name="output")
    return Made(assemble(w, made, {}), {"units": v["units"], "wiring": v["wiring"]})


def _describe(v: Mapping[str, Any]) -> str:
    units = UNITS[v["units"]].format(slope=v["slope"], pool=v["pool"])
    return f"{describe_layers(v)[:-1]}; units: {units}; {WIRINGS[v['wiring']]}."


GRAPHS = Kind(
    "graphs",
    (
        *LAYERS,
        Option("units", "leaky", fields.choice(*UNITS), "what the units of hidden layers are"),
        Option("wiring", "chain", fields.choice(*WIRINGS), "what layers read"),
        Option("slope", 0.1, fields.number(), "slope of LeakyReLU below its wall"),
        Option("pool", 3, fields.integer(2, 64), "affine functions that a maximum is taken of"),
    ),
    _graph,
    _describe,
)
