"""Polyhedral datasets: plan, run and finish tables of networks, complexes, cells, fibers and pairs.

Where things are: `spec`, `fields` and `plan` say what is to be made, `networks`, `sources` and `pairs` make networks,
`tables` their rows, `pilot` an estimate; `runner` does a plan by `execution` (a partition, processes, clusters,
blocks); `storage` knows files and Arrow; `publishing` writes manifest and card; `reader` reads, `checks` validates.

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
    "Validation": "checks.validation",
    "estimate": "pilot",
    "finish": "publishing.manifest",
    "load": "reader",
    "make_plan": "plan",
    "read_spec": "spec",
    "run": "runner",
    "validate": "checks.validation",
    "validate_row": "checks.validation",
}

__all__ = list(_EXPORTS)

__getattr__, __dir__ = resolver(__name__, _EXPORTS)
