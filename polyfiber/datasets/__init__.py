"""Polyhedral datasets: plan, run and finish tables of networks, complexes, cells, fibers and pairs.

Names resolve on first use; pyarrow is imported only where a table is written or read.
"""

from __future__ import annotations

from .._lazy import resolver

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

__getattr__, __dir__ = resolver(__name__, _EXPORTS)
