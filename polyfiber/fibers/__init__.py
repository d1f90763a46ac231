"""Fibers: all parameters that compute the same function; equivalence of networks."""

from __future__ import annotations

from .._lazy import resolver

_EXPORTS: dict[str, str] = {
    "CanonicalForm": "canonical",
    "canonical_form": "canonical",
    "exact_normal_form": "exactform",
    "group_networks": "batches",
    "write_parquet": "collection",
    "top1_agreement": "top1",
    "FiberLabels": "labels",
    "FiberReport": "classify",
    "classify_fiber": "classify",
    "deviation": "verify",
    "functional_dimension": "dimension",
    "gradient_flow": "conserved",
    "hidden_facets": "findings",
    "hiding_example": "examples",
    "local_fiber": "dimension",
    "nonlocal_example": "examples",
    "classify_batch": "labels",
    "HyperplaneRepresentation": "representation",
    "analyse_layer": "representation",
    "LayerwiseFiber": "layerwise",
    "layerwise_fiber": "layerwise",
    "hiding_report": "hiding",
    "identifiable_share": "volume",
    "identifiable_share_bounds": "volume",
    "nonnegative_column_rank": "nonnegative",
    "nonnegative_column_ranks": "nonnegative",
}

__all__ = list(_EXPORTS)

__getattr__, __dir__ = resolver(__name__, _EXPORTS)
