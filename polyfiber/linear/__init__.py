"""Linear networks: the rank stratification of the fiber of matrix multiplication.

`ranks` says which rank lists a product can have, `strata` lists them with their order, `count` counts without
listing; `location` finds the stratum of given `weights`, `bars` a basis that shows it, `sampling` weights on a given
one. `manifold` has tangent spaces and retractions of a stratum, `paths` its parts and ways inside it, `variety` the
components of the whole fiber. Beside them stand the square loss, its `critical` points and its `curvature`, and
`learning`, the learning coefficient.
"""

from __future__ import annotations

from .._lazy import resolver

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
    # critical points of the square loss
    "CriticalType": "critical",
    "Sharpness": "curvature",
    "critical_type": "critical",
    "flattest": "curvature",
    "hessian": "curvature",
    "sharpness": "curvature",
    "whitened_target": "critical",
    # the fiber as a variety
    "LearningCoefficient": "learning",
    "learning_coefficient": "learning",
    "FiberVariety": "variety",
    "fiber_variety": "variety",
}
_MODULES = ("bars", "count", "location", "manifold", "paths", "ranks", "sampling", "strata", "weights")

__all__ = [*_EXPORTS]

__getattr__, __dir__ = resolver(__name__, _EXPORTS, _MODULES)
