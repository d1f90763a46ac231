"""Linear networks: the rank stratification of the fiber of matrix multiplication."""

from __future__ import annotations

import importlib
from typing import Any

# public name -> module that defines it
_EXPORTS: dict[str, str] = {
    "Move": "strata",
    "RankStratification": "strata",
    "Stratum": "strata",
    "count_strata": "count",
    "enumerate_strata": "strata",
    "stratify": "strata",
}
_MODULES = ("count", "ranks", "strata")

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
