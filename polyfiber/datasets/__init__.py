"""Polyhedral datasets: plan, run and finish tables of networks, complexes, cells, fibers and pairs.

Names resolve on first use; pyarrow is imported only where a table is written or read.
"""

from __future__ import annotations

import importlib
from typing import Any

_EXPORTS: dict[str, str] = {
    "Dataset": "reader",
    "Item": "tables.base",
    "Networks": "networks",
    "Plan": "plan",
    "Ragged": "reader",
    "RunReport": "runner",
    "Spec": "spec",
    "Table": "tables.base",
    "Validation": "validation",
    "estimate": "pilot",
    "finish": "manifest",
    "load": "reader",
    "make_plan": "plan",
    "read_spec": "spec",
    "run": "runner",
    "validate": "validation",
}

__all__ = list(_EXPORTS)


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'polyfiber.datasets' has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_EXPORTS[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_EXPORTS})
