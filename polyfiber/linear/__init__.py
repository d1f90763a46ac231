"""Linear networks: the rank stratification of the fiber of matrix multiplication."""

from __future__ import annotations

import importlib
from typing import Any

# public name -> module that defines it
_EXPORTS: dict[str, str] = {
    # strata
    "Move": "strata",
    "RankStratification": "strata",
    "Stratum": "strata",
    "count_strata": "count",
    "enumerate_strata": "strata",
    "moves_between": "sampling",
    "stratify": "strata",
    # weights
    "Barcode": "bars",
    "Gap": "location",
    "Location": "location",
    "apply_move": "sampling",
    "barcode": "bars",
    "canonical_weights": "bars",
    "effective_ranks": "location",
    "in_closure": "location",
    "locate": "location",
    "raise_to": "sampling",
    "same_stratum": "location",
    "sample": "sampling",
    "sample_barcode": "sampling",
    "transpose": "weights",
    # geometry
    "Connection": "paths",
    "NearestPoint": "paths",
    "WeightSpace": "manifold",
    "along": "manifold",
    "connect": "paths",
    "connected_parts": "paths",
    "nearest": "paths",
    "normal_space": "manifold",
    "retract": "manifold",
    "tangent_space": "manifold",
    "to_fiber": "manifold",
    # the fiber as a variety
    "FiberVariety": "variety",
    "fiber_variety": "variety",
}
_MODULES = ("bars", "count", "location", "manifold", "paths", "ranks", "sampling", "strata", "weights")

__all__ = [*_EXPORTS]


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:
        value = getattr(importlib.import_module(f".{_EXPORTS[name]}", __name__), name)
    elif name in _MODULES:
        value = importlib.import_module(f".{name}", __name__)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_EXPORTS, *_MODULES})
