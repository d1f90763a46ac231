"""Fibers: all parameters that compute the same function.

`classify` is the question and `findings` what it says. It reads layers (`hyperplanes`, `layerwise`, `linear_neurons`,
`one_neuron`), asks what a neuron does on the domain (`activity`), whether one can hide behind another (`hiding`),
whether the theorem applies (`regime`), and counts `components`; `dimension` asks the complex instead (``gates``: of any
network). `paths` and `conserved` move along a fiber, `nonnegative_rank` says how few neurons a linear layer needs,
`parameter_share` what share of parameters is identifiable, and ``batch`` does many networks at once. Whether two
networks are the same is the floor above, `polyfiber.equivalence`; its names stand here too.

``relations`` are linear relations among features, ``image`` what layers do on the image of those before (wide and
deep networks), ``whole`` fibers beyond a neighbourhood; `examples` shows what a classifier has to cope with.
"""

from __future__ import annotations

from .._lazy import resolver

_EXPORTS: dict[str, str] = {
    "FiberLabels": "batch.labels",
    "FiberReport": "classify",
    "classify_fiber": "classify",
    "functional_dimension": "dimension",
    "gradient_flow": "conserved",
    "hidden_facets": "findings",
    "hiding_example": "examples",
    "local_fiber": "dimension",
    "nonlocal_example": "examples",
    "classify_batch": "batch.labels",
    "HyperplaneRepresentation": "hyperplanes",
    "analyse_layer": "hyperplanes",
    "LayerwiseFiber": "layerwise",
    "layerwise_fiber": "layerwise",
    "hiding_report": "hiding",
    "identifiable_share": "parameter_share",
    "identifiable_share_bounds": "parameter_share",
    "nonnegative_column_rank": "nonnegative_rank",
    "nonnegative_column_ranks": "nonnegative_rank",
}
_UPWARDS: dict[str, str] = {
    "CanonicalForm": "equivalence.forms.canonical:CanonicalForm",
    "canonical_form": "equivalence.forms.canonical:canonical_form",
    "exact_normal_form": "equivalence.forms.exact:exact_normal_form",
    "group_networks": "equivalence.collections.classes:group_networks",
    "write_parquet": "equivalence.collections.collection:write_parquet",
    "top1_agreement": "equivalence.top1.decide:top1_agreement",
    "deviation": "equivalence.checks.sample:deviation",
}
"""Names of the floor above that stand here too."""

__all__ = [*_EXPORTS, *_UPWARDS]

__getattr__, __dir__ = resolver(__name__, _EXPORTS, upwards=_UPWARDS)
