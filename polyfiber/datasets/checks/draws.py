"""Networks drawn again from the rule in the documentation, number by number; shared with the writer are NumPy's
generators alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from ..._typing import FloatArray
from ..spec import Spec

CLOSE = 1e-12
"""Relative difference that another order of products may cause."""


def differences(
    spec: Spec, number: int, parameters: FloatArray, base: Callable[[int], tuple[FloatArray, Any]]
) -> Iterator[str]:
    """Where the parameters of a network are not those of the rule; nothing where its kind has none here.

    Parameters
    ----------
    spec : Spec
    number : int
        Of the network in the dataset.
    parameters : (p,) float64
        As the file has them.
    base : callable
        ``base(number)``: parameters and widths of another network of the dataset.
    """
    ends = np.cumsum([source.count for source in spec.sources])
    entry = int(np.searchsorted(ends, number, side="right"))
    source, index = spec.sources[entry], number - int(ends[entry - 1] if entry else 0)
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(spec.seed, spawn_key=(entry, index))))
    v, tolerance = source.values, CLOSE
    if source.kind == "random":
        drawn = _layers(rng, v["architecture"][index % len(v["architecture"])], v)
        tolerance = 1e-6 if v["law"] == "orthogonal" else CLOSE
    elif source.kind == "linear" and v["law"] == "normal":
        gaussian = {"law": "normal", "scale": "lecun", "bias": "zero", "bias_scale": 0.0}
        drawn = _layers(rng, v["architecture"][index % len(v["architecture"])], gaussian)
    elif source.kind == "perturbed" and source.base is not None:
        copies = v["per"] * len(v["noise"])
        start = sum(s.count for s in spec.sources[: spec.sources.index(source.base)])
        noise = v["noise"][index % copies % len(v["noise"])]
        base_parameters, widths = base(start + index // copies)
        drawn = _moved(rng, base_parameters, widths, noise, v["where"])
    else:
        return
    found = np.asarray(parameters, dtype=np.float64)
    if len(found) != len(drawn):
        yield f"{len(found)} parameters in the file; {len(drawn)} are drawn by the rule of its seed"
    elif not (np.abs(found - drawn) <= tolerance * (1.0 + np.abs(drawn))).all():
        worst = int(np.argmax(np.abs(found - drawn)))
        yield f"parameter {worst} is {found[worst]!r} in the file; the rule of its seed draws {drawn[worst]!r}"


def _layers(rng: np.random.Generator, widths: Any, v: Mapping[str, Any]) -> FloatArray:
    numbers: list[float] = []
    for n, m in zip(widths, widths[1:]):
        variance = {"he": 2 / n, "xavier": 2 / (n + m), "lecun": 1 / n, "one": 1.0}[v["scale"]]
        matrix = _orthogonal(rng, m, n) if v["law"] == "orthogonal" else _numbers(rng, m * n, v["law"])
        numbers += [math.sqrt(variance) * x for x in matrix]
        numbers += [v["bias_scale"] * x for x in _numbers(rng, m, v["bias"])]
    return np.array(numbers)


def _numbers(rng: np.random.Generator, count: int, law: str) -> list[float]:
    laws: dict[str, Callable[[], float]] = {
        "normal": lambda: float(rng.standard_normal()),
        "uniform": lambda: (2.0 * rng.random() - 1.0) * math.sqrt(3.0),
        "integer": lambda: float(int(rng.integers(7)) - 3),
        "zero": lambda: 0.0,
    }
    return [laws[law]() for _ in range(count)]


def _orthogonal(rng: np.random.Generator, m: int, n: int) -> list[float]:
    """Columns made orthonormal one after another, twice against rounding."""
    columns = np.array(_numbers(rng, m * n, "normal")).reshape(max(m, n), min(m, n)).T
    made: list[FloatArray] = []
    for column in columns:
        for _ in range(2):
            for other in made:
                column = column - (other @ column) * other
        made.append(column / math.sqrt(float(column @ column)))
    stacked = np.array(made)
    return [float(v) for v in (stacked.T if m >= n else stacked).ravel()]


def _moved(rng: np.random.Generator, base: FloatArray, widths: Any, noise: float, where: str) -> FloatArray:
    ends = np.cumsum([0, *(k for n, m in zip(widths, widths[1:]) for k in (n * m, m))])
    parts = [base[a:b] for a, b in zip(ends, ends[1:])]
    sizes = [noise * (math.sqrt(math.fsum(x * x for x in part) / len(part)) or 1.0) for part in parts]
    moved = np.array(base)
    if where == "one":
        shares = np.cumsum([len(part) / len(base) for part in parts])
        chosen = int(np.searchsorted(shares / shares[-1], rng.random(), side="right"))
        moved[ends[chosen] + int(rng.integers(len(parts[chosen])))] += sizes[chosen] * rng.standard_normal()
    else:
        for start, part, size in zip(ends, parts, sizes):
            for k in range(len(part)):
                moved[start + k] += size * rng.standard_normal()
    return moved
